// SPDX-License-Identifier: GPL-2.0
/*
 * MTRRs, for the guest to read back: nested paging takes memory types from the host's
 * tables and the guest's PAT.
 */
#include <linux/nospec.h>
#include <linux/string.h>
#include <asm/mtrr.h>

#include "cpu/msr.h"

#define MTRR_DEF_BITS	(GENMASK_ULL(7, 0) | BIT_ULL(10) | BIT_ULL(11))
#define MTRR_MASK_VALID	BIT_ULL(11)

static bool mtrr_type_valid(u8 type)
{
	return type < MTRR_NUM_TYPES && type != 2 && type != 3;
}

static bool mtrr_fixed_valid(u64 types)
{
	unsigned int i;

	for (i = 0; i < 8; i++, types >>= 8)
		if (!mtrr_type_valid(types))
			return false;
	return true;
}

static u64 *mtrr_slot(struct lhv_cpu *cpu, u32 index)
{
	switch (index) {
	case MTRRphysBase_MSR(0) ... MTRRphysMask_MSR(LHV_NR_VAR_MTRRS - 1):
		return &cpu->mtrr_var[array_index_nospec(index - MTRRphysBase_MSR(0),
							 ARRAY_SIZE(cpu->mtrr_var))];
	case MSR_MTRRfix64K_00000:
		return &cpu->mtrr_fixed[0];
	case MSR_MTRRfix16K_80000:
	case MSR_MTRRfix16K_A0000:
		return &cpu->mtrr_fixed[1 + (index - MSR_MTRRfix16K_80000)];
	case MSR_MTRRfix4K_C0000 ... MSR_MTRRfix4K_F8000:
		return &cpu->mtrr_fixed[3 + array_index_nospec(index - MSR_MTRRfix4K_C0000, 8)];
	}
	return &cpu->mtrr_def_type;
}

int lhv_mtrr_get(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 *data,
		 bool host)
{
	*data = *mtrr_slot(&vcpu->cpu_state, index);
	return 0;
}

/*
 * Kept for the guest to read back: nested paging takes memory types from the host's tables
 * and the guest's PAT. SDM Vol 3A "MTRR Feature Identification" ff.
 */
int lhv_mtrr_set(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 data,
		 bool host)
{
	struct lhv_cpu *cpu = &vcpu->cpu_state;
	bool mask_reg;

	switch (index) {
	case MSR_MTRRdefType:
		if ((data & ~MTRR_DEF_BITS) || !mtrr_type_valid(data))
			return -EINVAL;
		break;
	case MTRRphysBase_MSR(0) ... MTRRphysMask_MSR(LHV_NR_VAR_MTRRS - 1):
		mask_reg = index & 1;
		if (data & cpu->gpa_reserved)
			return -EINVAL;
		if (mask_reg ? data & (MTRR_MASK_VALID - 1) :
			       (data & GENMASK_ULL(11, 8)) || !mtrr_type_valid(data))
			return -EINVAL;
		break;
	default:
		if (!mtrr_fixed_valid(data))
			return -EINVAL;
	}
	*mtrr_slot(cpu, index) = data;
	return 0;
}

void lhv_mtrr_reset(struct lhv_cpu *cpu)
{
	cpu->mtrr_def_type = 0;
	memset(cpu->mtrr_fixed, 0, sizeof(cpu->mtrr_fixed));
	memset(cpu->mtrr_var, 0, sizeof(cpu->mtrr_var));
}
