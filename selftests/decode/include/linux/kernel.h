/* SPDX-License-Identifier: GPL-2.0 */
/* What kmod/cpu/decode.c takes from the kernel, for user space. */
#ifndef DECODE_LINUX_KERNEL_H
#define DECODE_LINUX_KERNEL_H
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define fallthrough	__attribute__((__fallthrough__))
#endif
