/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lhv - what is counted: one table for VMs and one for vCPUs.
 *
 * What it is for: whoever reports counters (KVM_GET_STATS_FD, management) reads names, units
 *	and values here, so that all of them say the same.
 * What enters: an object, the number of a row. What leaves: a value.
 *
 * Names that KVM has for the same thing are KVM's. Rows are only ever added at the end.
 */
#ifndef LHV_STATS_H
#define LHV_STATS_H

#include "lhv.h"

#define LHV_STATS_NAME_SIZE	48	/* with the NUL, as KVM's */

/**
 * struct lhv_stat - one counter
 * @name: what users call it
 * @flags: KVM_STATS_TYPE_*, KVM_STATS_UNIT_*, KVM_STATS_BASE_*
 * @exponent: power of the base that one unit is counted in: -9 for nanoseconds
 * @offset: of the first u64, in struct lhv_vm or struct lhv_vcpu
 * @nr: how many u64 there are to be summed up
 */
struct lhv_stat {
	const char *name;
	u32 flags;
	s16 exponent;
	u16 nr;
	u32 offset;
};

extern const struct lhv_stat lhv_vm_stats[], lhv_vcpu_stats[];
extern const unsigned int lhv_nr_vm_stats, lhv_nr_vcpu_stats;

/* Context: any. The object is held by the caller. */
u64 lhv_vm_stat(struct lhv_vm *vm, const struct lhv_stat *stat);
u64 lhv_vcpu_stat(struct lhv_vcpu *vcpu, const struct lhv_stat *stat);

/* KVM_GET_STATS_FD: a new fd, or -errno. @vcpu: NULL for the VM's own. Process context. */
int lhv_stats_open(struct lhv_vm *vm, struct lhv_vcpu *vcpu);

#endif
