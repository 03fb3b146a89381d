// SPDX-License-Identifier: GPL-2.0
/* The kernel's gcov as a module. It stays: it keeps the counts of modules that are gone. */
#include "module.h"

static int __init gcov_module_init(void)
{
	int ret = start_gcov_init();

	return ret ?: start_gcov_fs_init();
}

module_init(gcov_module_init);

MODULE_DESCRIPTION("gcov of kernel/gcov, as a module");
MODULE_LICENSE("GPL");
