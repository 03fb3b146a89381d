// SPDX-License-Identifier: GPL-2.0
/*
 * Debug registers, and debugging of the guest by the VMM.
 *
 * The guest's values live in lhv_cpu (DR6 in the backend, which the hardware updates). With
 * KVM_GUESTDBG_USE_HW_BP the VMM's own breakpoints are in the hardware instead; see
 * lhv_effective_db() and lhv_effective_dr7().
 */
#include "lhv.h"
#include "cpu/cpu_priv.h"

/*
 * SDM Vol 3B "Debug Registers": what can be set; the rest reads as fixed. Neither RTM nor
 * bus-lock debugging is offered, so their bits are fixed too.
 */
#define DR6_SETTABLE	(DR_TRAP_BITS | BIT(13) | DR_STEP | DR_SWITCH)
#define DR6_FIXED_ONE	0xffff0ff0ull
#define DR7_SETTABLE	(0xffff0000ull | DR_LOCAL_ENABLE_MASK | DR_GLOBAL_ENABLE_MASK | \
			 DR_LOCAL_SLOWDOWN | DR_GLOBAL_SLOWDOWN | LHV_DR7_GD)
#define DR7_FIXED_ONE	BIT_ULL(10)

u64 lhv_dr6_fix(u64 dr6)
{
	return (dr6 & DR6_SETTABLE) | DR6_FIXED_ONE;
}

u64 lhv_dr7_fix(u64 dr7)
{
	return (dr7 & DR7_SETTABLE) | DR7_FIXED_ONE;
}

static void set_dr6(struct lhv_vcpu *vcpu, u64 dr6)
{
	vcpu->cpu_state.dr6 = lhv_dr6_fix(dr6);
	lhv_backend->set_dr6(vcpu, vcpu->cpu_state.dr6);
}

/* DR0-3, DR7 or who owns them changed. */
static void update(struct lhv_vcpu *vcpu)
{
	lhv_backend->set_dr7(vcpu, lhv_effective_dr7(&vcpu->cpu_state));
	lhv_backend->update_debug(vcpu);
}

void lhv_debugreg_reset(struct lhv_vcpu *vcpu)
{
	struct lhv_cpu *cpu = &vcpu->cpu_state;

	memset(cpu->db, 0, sizeof(cpu->db));
	cpu->dr7 = lhv_dr7_fix(0);
	set_dr6(vcpu, 0);
	update(vcpu);
}

/* DR4 and DR5 are other names for DR6 and DR7 unless CR4.DE is set. */
static int canonical_dr(struct lhv_vcpu *vcpu, int dr)
{
	if (dr == 4 || dr == 5)
		return vcpu->cr4 & X86_CR4_DE ? -1 : dr + 2;
	return dr >= 0 && dr <= 7 ? dr : -1;
}

int lhv_get_dr(struct lhv_vcpu *vcpu, int dr, u64 *val)
{
	dr = canonical_dr(vcpu, dr);
	switch (dr) {
	case 0 ... 3:
		*val = vcpu->cpu_state.db[dr];
		return 0;
	case 6:
		*val = lhv_backend->get_dr6(vcpu);
		return 0;
	case 7:
		*val = vcpu->cpu_state.dr7;
		return 0;
	}
	return X86_TRAP_UD;
}

int lhv_set_dr(struct lhv_vcpu *vcpu, int dr, u64 val)
{
	struct lhv_cpu *cpu = &vcpu->cpu_state;

	dr = canonical_dr(vcpu, dr);
	switch (dr) {
	case 0 ... 3:
		cpu->db[dr] = val;
		update(vcpu);
		return 0;
	case 6:
		if (upper_32_bits(val))
			return X86_TRAP_GP;
		set_dr6(vcpu, val);
		return 0;
	case 7:
		if (upper_32_bits(val))
			return X86_TRAP_GP;
		cpu->dr7 = lhv_dr7_fix(val);
		update(vcpu);
		return 0;
	}
	return X86_TRAP_UD;
}

/**
 * lhv_get_debugregs() - the body of KVM_GET_DEBUGREGS
 * @vcpu: the vCPU, its lock held
 * @d: result
 *
 * Return: 0.
 */
int lhv_get_debugregs(struct lhv_vcpu *vcpu, struct kvm_debugregs *d)
{
	struct lhv_cpu *cpu = &vcpu->cpu_state;

	memset(d, 0, sizeof(*d));
	memcpy(d->db, cpu->db, sizeof(d->db));
	d->dr6 = lhv_backend->get_dr6(vcpu);
	d->dr7 = cpu->dr7;
	return 0;
}

/**
 * lhv_set_debugregs() - the body of KVM_SET_DEBUGREGS
 * @vcpu: the vCPU, its lock held
 * @d: from the VMM
 *
 * Return: 0 or -EINVAL.
 */
int lhv_set_debugregs(struct lhv_vcpu *vcpu, const struct kvm_debugregs *d)
{
	struct lhv_cpu *cpu = &vcpu->cpu_state;

	if (d->flags || upper_32_bits(d->dr6) || upper_32_bits(d->dr7))
		return -EINVAL;
	memcpy(cpu->db, d->db, sizeof(cpu->db));
	cpu->dr7 = lhv_dr7_fix(d->dr7);
	set_dr6(vcpu, d->dr6);
	update(vcpu);
	return 0;
}

/**
 * lhv_set_guest_debug() - the body of KVM_SET_GUEST_DEBUG
 * @vcpu: the vCPU, its lock held, slow tier
 * @dbg: from the VMM
 *
 * For single-stepping the backend sets RFLAGS.TF at each entry; vcpu->rflags stays the guest's.
 * Return: 0; -EINVAL on unknown flags; -EBUSY when an exception is already on its way.
 */
int lhv_set_guest_debug(struct lhv_vcpu *vcpu, const struct kvm_guest_debug *dbg)
{
	struct lhv_cpu *cpu = &vcpu->cpu_state;
	u32 control = dbg->control;
	unsigned int i;

	if (control & ~LHV_GUESTDBG)
		return -EINVAL;
	if (control & (KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP)) {
		if (vcpu->ev.exc.pending || vcpu->ev.exc.injected)
			return -EBUSY;
		lhv_queue_exception(vcpu, control & KVM_GUESTDBG_INJECT_DB ? X86_TRAP_DB :
									     X86_TRAP_BP);
	}

	cpu->guest_debug = control & KVM_GUESTDBG_ENABLE ?
			   control & ~(KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP) : 0;
	memset(&cpu->guest_debug_dr, 0, sizeof(cpu->guest_debug_dr));
	if (cpu->guest_debug & KVM_GUESTDBG_USE_HW_BP) {
		for (i = 0; i < ARRAY_SIZE(cpu->db); i++)
			cpu->guest_debug_dr.debugreg[i] = dbg->arch.debugreg[i];
		cpu->guest_debug_dr.debugreg[7] = lhv_dr7_fix(dbg->arch.debugreg[7]);
	}

	update(vcpu);
	/* Interrupts may have been held back until now. */
	lhv_request_self(vcpu, LHV_REQ_EVENT);
	return 0;
}
