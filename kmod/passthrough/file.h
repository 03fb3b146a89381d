/* SPDX-License-Identifier: GPL-2.0 */
/* lhv passthrough/ - the fd that LHV_DEVICE_OPEN gives: what file.c and bars.c share. */
#ifndef LHV_PASSTHROUGH_FILE_H
#define LHV_PASSTHROUGH_FILE_H

#include "passthrough/device.h"

/**
 * struct lhv_device_file - the VM's side of an attachment
 * @dev: holds a reference
 * @attachment: of which attachment of @dev; when that is over the file is dead
 * @ones: what is mapped then
 */
struct lhv_device_file {
	struct lhv_device *dev;
	u64 attachment;
	struct page *ones;
};

u64 lhv_bar_size(const struct lhv_device *dev, unsigned int bar);
int lhv_bars_mmap(struct lhv_device_file *f, struct vm_area_struct *vma);

#endif
