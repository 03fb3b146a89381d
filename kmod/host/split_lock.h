/* SPDX-License-Identifier: GPL-2.0 */
/* lhv host/ - what the host does about locked accesses that cross a cache line. */
#ifndef LHV_HOST_SPLIT_LOCK_H
#define LHV_HOST_SPLIT_LOCK_H

#include <linux/cpufeature.h>
#include <asm/cpu.h>

/* May an #AC be the host's alone? */
static inline bool lhv_host_traps_split_locks(void)
{
	return boot_cpu_has(X86_FEATURE_SPLIT_LOCK_DETECT);
}

/**
 * lhv_host_split_lock() - the guest met such an #AC
 * @rip: where
 *
 * Return: true: it may try again, and will get past; false: it may not, as the host is configured
 * (the thread then has a signal), or this kernel does not say. Context: process, may sleep.
 */
static inline bool lhv_host_split_lock(unsigned long rip)
{
#ifdef LHV_HAVE_GUEST_SPLIT_LOCK
	return handle_guest_split_lock(rip);
#else
	return false;
#endif
}

#endif
