/* SPDX-License-Identifier: GPL-2.0 */
/* lhv host/ - VFIO, a module of its own: used where it is loaded, never loaded for our sake. */
#ifndef LHV_HOST_VFIO_H
#define LHV_HOST_VFIO_H

#include <linux/fs.h>

/* Is @file a VFIO group or device? */
bool lhv_host_file_is_vfio(struct file *file);
/* Does the IOMMU make all DMA of what is behind @file, a VFIO file, snoop the CPUs' caches? */
bool lhv_host_vfio_coherent(struct file *file);

#endif
