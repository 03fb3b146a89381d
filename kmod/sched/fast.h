/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lhv sched/ - the gate's fast path: what the run loop pays for a policy while nobody
 * wants anything of the vCPU. While no pool has a policy that is a patched-out branch each.
 *
 * What enters: the vCPU's own thread on its way into the guest and out. What leaves: calls
 * of gate.c, when there is more to do.
 */
#ifndef LHV_SCHED_FAST_H
#define LHV_SCHED_FAST_H

#include <asm/msr.h>

/* The VMM answers these at once: the vCPU keeps its slot meanwhile. */
#define LHV_GATE_ERRANDS						\
	(BIT_ULL(KVM_EXIT_IO) | BIT_ULL(KVM_EXIT_MMIO) |		\
	 BIT_ULL(KVM_EXIT_HYPERCALL) | BIT_ULL(KVM_EXIT_X86_RDMSR) |	\
	 BIT_ULL(KVM_EXIT_X86_WRMSR) | BIT_ULL(KVM_EXIT_IOAPIC_EOI) |	\
	 BIT_ULL(KVM_EXIT_IRQ_WINDOW_OPEN) | BIT_ULL(KVM_EXIT_SET_TPR))

/* How often the current thread gave its CPU away; in between its time is the clock's. */
static __always_inline u64 lhv_gate_switches(void)
{
	return current->nvcsw + current->nivcsw;
}

/**
 * lhv_gate_admit() - may the vCPU enter the guest?
 * @vcpu: the vCPU
 *
 * Sleeps until it may, a signal or a request comes. Return: false, look at signals and
 * requests again and then come back; true, it has a slot, or needs none.
 */
static __always_inline bool lhv_gate_admit(struct lhv_vcpu *vcpu)
{
	/* What changes from here on sets LHV_REQ_GATE. */
	if (static_branch_unlikely(&lhv_sched_on) &&
	    (READ_ONCE(vcpu->sched.core.state) != LHV_SCHED_RUNNING || vcpu->sched.look))
		return lhv_gate_admit_slow(vcpu);
	return true;
}

/** lhv_gate_waits() - it lost its slot: its thread is about to give the CPU away anyway */
static __always_inline bool lhv_gate_waits(const struct lhv_vcpu *vcpu)
{
	u8 state;

	if (!static_branch_unlikely(&lhv_sched_on))
		return false;
	state = READ_ONCE(vcpu->sched.core.state);
	return state == LHV_SCHED_WAITING || state == LHV_SCHED_PARKED;
}

/** lhv_gate_on() - it enters the atomic tier. Preemption off, interrupts on */
static __always_inline void lhv_gate_on(struct lhv_vcpu *vcpu)
{
	if (static_branch_unlikely(&lhv_sched_on) &&
	    (vcpu->sched.switches != lhv_gate_switches() ||
	     this_cpu_read(lhv_slices.vcpu) != vcpu))
		lhv_gate_on_slow(vcpu);
}

/** lhv_gate_off() - it left the atomic tier. Preemption off */
static __always_inline void lhv_gate_off(struct lhv_vcpu *vcpu)
{
	if (static_branch_unlikely(&lhv_sched_on))
		vcpu->sched.left_at = rdtsc();
}

/** lhv_gate_linger() - its thread may sleep before it is back: somebody may want the slot */
static __always_inline void lhv_gate_linger(struct lhv_vcpu *vcpu)
{
	if (static_branch_unlikely(&lhv_sched_on) &&
	    (lhv_gate_waits(vcpu) || (READ_ONCE(READ_ONCE(vcpu->vm->sched.pool)->nr_waiting) &&
				      !raw_cpu_read(lhv_slices.soon))))
		lhv_gate_linger_slow(vcpu);
}

/** lhv_gate_enough() - it is about to sleep: it wants no slot */
static __always_inline void lhv_gate_enough(struct lhv_vcpu *vcpu)
{
	if (static_branch_unlikely(&lhv_sched_on))
		lhv_gate_enough_slow(vcpu);
}

/** lhv_gate_counts() - the vCPU's time on a CPU is rationed: none may pass without a slot */
static __always_inline bool lhv_gate_counts(const struct lhv_vcpu *vcpu)
{
	return static_branch_unlikely(&lhv_sched_on) &&
	       READ_ONCE(READ_ONCE(vcpu->vm->sched.pool)->ops);
}

/** lhv_gate_leave() - KVM_RUN is about to return @ret */
static __always_inline void lhv_gate_leave(struct lhv_vcpu *vcpu, int ret)
{
	u32 reason;

	if (!static_branch_unlikely(&lhv_sched_on))
		return;
	reason = READ_ONCE(vcpu->run->exit_reason);
	if (ret || reason >= 64 || !(BIT_ULL(reason) & LHV_GATE_ERRANDS) ||
	    READ_ONCE(vcpu->sched.core.state) != LHV_SCHED_RUNNING)
		lhv_gate_enough_slow(vcpu);
	else
		lhv_gate_linger(vcpu);
}

#endif
