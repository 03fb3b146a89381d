/* SPDX-License-Identifier: GPL-2.0 */
/* lhv host/ - MSR access, under one name (the kernel renamed its own). */
#ifndef LHV_HOST_MSR_H
#define LHV_HOST_MSR_H

#include <asm/msr.h>

/* The MSR is known to exist; the kernel complains if it does not. */
static __always_inline u64 lhv_host_rdmsr(u32 msr)
{
	u32 lo, hi;

	native_rdmsr(msr, lo, hi);
	return lo | (u64)hi << 32;
}

static __always_inline void lhv_host_wrmsr(u32 msr, u64 value)
{
	native_wrmsr(msr, (u32)value, (u32)(value >> 32));
}

#endif
