// SPDX-License-Identifier: GPL-2.0
/*
 * lhv host/ - VFIO, reached by symbol_get().
 *
 * A symbol is held for one call only: who holds a file of VFIO holds its module anyway.
 */
#include <linux/module.h>
#include <linux/vfio.h>

#include "host/vfio.h"

/* Device files came with 6.6; before that groups were all there was. */
#ifdef LHV_HAVE_VFIO_FILE_IS_VALID
#define file_is_vfio vfio_file_is_valid
#else
#define file_is_vfio vfio_file_is_group
#endif

bool lhv_host_file_is_vfio(struct file *file)
{
	bool (*is_vfio)(struct file *file) = symbol_get(file_is_vfio);
	bool ret;

	if (!is_vfio)
		return false;
	ret = is_vfio(file);
	symbol_put(file_is_vfio);
	return ret;
}

bool lhv_host_vfio_coherent(struct file *file)
{
	bool (*coherent)(struct file *file) = symbol_get(vfio_file_enforced_coherent);
	bool ret;

	if (!coherent)
		return false;
	ret = coherent(file);
	symbol_put(vfio_file_enforced_coherent);
	return ret;
}
