// SPDX-License-Identifier: GPL-2.0
/* Machine check: banks that the VMM fills and the guest reads. */
#include <linux/nospec.h>
#include <asm/mce.h>

#include "cpu/msr.h"

#define MCI_CTL_GART		BIT_ULL(10)	/* K8's OS leaves GART errors off */

static u8 mce_banks(const struct lhv_cpu *cpu)
{
	return cpu->mcg_cap & MCG_BANKCNT_MASK;
}

int lhv_mcg_ctl_set(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 data,
		    bool host)
{
	struct lhv_cpu *cpu = &vcpu->cpu_state;

	if (!(cpu->mcg_cap & MCG_CTL_P) && (!host || data))
		return -EINVAL;
	if (data && ~data)
		return -EINVAL;
	cpu->mcg_ctl = data;
	return 0;
}

int lhv_mcg_ctl_get(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 *data,
		    bool host)
{
	struct lhv_cpu *cpu = &vcpu->cpu_state;

	if (!(cpu->mcg_cap & MCG_CTL_P) && !host)
		return -EINVAL;
	*data = cpu->mcg_ctl;
	return 0;
}

static u64 *mc_bank(struct lhv_cpu *cpu, u32 index)
{
	u32 i = index - MSR_IA32_MC0_CTL;

	if (i >= mce_banks(cpu) * 4u)
		return NULL;
	return &cpu->mci[array_index_nospec(i, ARRAY_SIZE(cpu->mci))];
}

int lhv_mc_bank_get(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 *data,
		    bool host)
{
	u64 *bank = mc_bank(&vcpu->cpu_state, index);

	if (!bank)
		return -EINVAL;
	*data = *bank;
	return 0;
}

int lhv_mc_bank_set(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 data,
		    bool host)
{
	struct lhv_cpu *cpu = &vcpu->cpu_state;
	u64 *bank = mc_bank(cpu, index);

	if (!bank)
		return -EINVAL;
	switch ((index - MSR_IA32_MC0_CTL) % 4) {
	case 0:
		/* All on or all off, but for the bits that Linux is known to leave off. */
		if (data && ~(data | MCI_CTL_GART | 1))
			return -EINVAL;
		break;
	case 1:
		if (!host && data && !(cpu->hwcr & LHV_HWCR_MC_STATUS_WR_EN))
			return -EINVAL;
		break;
	}
	*bank = data;
	return 0;
}

/**
 * lhv_setup_mce() - the body of KVM_X86_SETUP_MCE
 * @vcpu: the vCPU, its lock held
 * @mcg_cap: number of banks and LHV_MCG_CAP bits
 *
 * Return: 0 or -EINVAL.
 */
int lhv_setup_mce(struct lhv_vcpu *vcpu, u64 mcg_cap)
{
	struct lhv_cpu *cpu = &vcpu->cpu_state;
	unsigned int i, banks = mcg_cap & MCG_BANKCNT_MASK;

	if (!banks || banks > LHV_MCE_BANKS)
		return -EINVAL;
	if (mcg_cap & ~(LHV_MCG_CAP | MCG_BANKCNT_MASK | MCG_EXT_CNT_MASK))
		return -EINVAL;
	cpu->mcg_cap = mcg_cap;
	if (mcg_cap & MCG_CTL_P)
		cpu->mcg_ctl = ~0ull;
	for (i = 0; i < banks; i++)
		cpu->mci[i * 4] = ~0ull;
	return 0;
}

/**
 * lhv_set_mce() - the body of KVM_X86_SET_MCE: an error is reported to the guest
 * @vcpu: the vCPU, its lock held
 * @mce: from the VMM
 *
 * SDM Vol 3B "Machine-Check Architecture": what a bank records, what is lost, when the CPU
 * shuts down.
 * Return: 0 or -EINVAL.
 */
int lhv_set_mce(struct lhv_vcpu *vcpu, const struct kvm_x86_mce *mce)
{
	bool uncorrected = mce->status & MCI_STATUS_UC;
	struct lhv_cpu *cpu = &vcpu->cpu_state;
	u64 status = mce->status, *bank;

	if (mce->bank >= mce_banks(cpu) || !(status & MCI_STATUS_VAL))
		return -EINVAL;
	/* CTL, STATUS, ADDR, MISC */
	bank = &cpu->mci[array_index_nospec(mce->bank, LHV_MCE_BANKS) * 4];
	if (uncorrected && (((cpu->mcg_cap & MCG_CTL_P) && ~cpu->mcg_ctl) || ~bank[0]))
		return 0;	/* reporting is off */
	if (uncorrected && ((cpu->mcg_status & MCG_STATUS_MCIP) || !(vcpu->cr4 & X86_CR4_MCE))) {
		lhv_request_self(vcpu, LHV_REQ_TRIPLE_FAULT);
		return 0;
	}
	if (bank[1] & MCI_STATUS_VAL) {
		/* A corrected error does not overwrite an uncorrected one. */
		if (!uncorrected && (bank[1] & MCI_STATUS_UC)) {
			bank[1] |= MCI_STATUS_OVER;
			return 0;
		}
		status |= MCI_STATUS_OVER;
	}
	bank[1] = status;
	bank[2] = mce->addr;
	bank[3] = mce->misc;
	if (uncorrected) {
		cpu->mcg_status = mce->mcg_status;
		lhv_queue_exception(vcpu, X86_TRAP_MC);
	}
	return 0;
}
