/* SPDX-License-Identifier: GPL-2.0 */
/* A module has one way in: what the built-in files would run at boot gets a name instead. */
#ifndef LHV_GCOV_MODULE_H
#define LHV_GCOV_MODULE_H

#include <linux/init.h>
#include <linux/module.h>

#undef device_initcall
#define device_initcall(fn) int __init start_##fn(void) { return fn(); }

int __init start_gcov_init(void);
int __init start_gcov_fs_init(void);

#endif
