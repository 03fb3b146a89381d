/* SPDX-License-Identifier: GPL-2.0 */
/* lhv cpu/ - the rows of the MSR table, and who serves some of them. */
#ifndef LHV_CPU_MSR_H
#define LHV_CPU_MSR_H

#include "cpu/cpu_priv.h"

/**
 * struct lhv_msr_row - one MSR or a run of them
 * @first: index
 * @last: index, of the last one of a run
 * @flags: ROW_*
 * @needs: enum lhv_feature + 1 that the guest must have; 0 none. The VMM may always.
 * @pv: bit of KVM_CPUID_FEATURES + 1 that the guest must have; 0 none
 * @host: X86_FEATURE_* that must be offered for the MSR to be listed; 0 (FPU) is always
 * @offset: into struct lhv_cpu, for get_field() and set_field()
 * @value: a constant's value; a field's writable bits
 * @get: RDMSR; NULL or nonzero: #GP. Either tier.
 * @set: WRMSR; NULL or nonzero: #GP. Either tier.
 */
struct lhv_msr_row {
	u32 first, last;
	u8 flags, needs, pv;
	u16 host;
	u32 offset;
	u64 value;
	int (*get)(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 *data,
		   bool host);
	int (*set)(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 data,
		   bool host);
};

enum {
	ROW_LISTED = BIT(0),	/* in KVM_GET_MSR_INDEX_LIST */
	ROW_FEATURE = BIT(1),	/* in KVM_GET_MSR_FEATURE_INDEX_LIST */
	ROW_HOST_READ = BIT(2),	/* the guest gets #GP */
	ROW_HOST_WRITE = BIT(3),
	ROW_CANONICAL = BIT(4),	/* holds a linear address */
};

#define LHV_NR_VAR_MTRRS	8
#define LHV_MTRR_CAP		(LHV_NR_VAR_MTRRS | BIT(8) | BIT(10))	/* fixed ranges, WC */
#define LHV_HWCR_MC_STATUS_WR_EN BIT_ULL(18)	/* AMD: a guest may write banks' STATUS */

/* mtrr.c */
void lhv_mtrr_reset(struct lhv_cpu *cpu);
int lhv_mtrr_get(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 *data,
		 bool host);
int lhv_mtrr_set(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 data,
		 bool host);

/* mce.c */
int lhv_mcg_ctl_get(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 *data,
		    bool host);
int lhv_mcg_ctl_set(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 data,
		    bool host);
int lhv_mc_bank_get(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 *data,
		    bool host);
int lhv_mc_bank_set(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 data,
		    bool host);

#endif
