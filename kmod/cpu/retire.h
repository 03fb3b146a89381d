/* SPDX-License-Identifier: GPL-2.0 */
/* lhv cpu/ - the end of an emulated instruction; at the end of lhv.h, for every room. */
#ifndef LHV_CPU_RETIRE_H
#define LHV_CPU_RETIRE_H

unsigned int lhv_insn_len_unknown(struct lhv_vcpu *vcpu, enum lhv_next *next);
enum lhv_next lhv_skip_unknown(struct lhv_vcpu *vcpu);
bool lhv_retire_rare(struct lhv_vcpu *vcpu, unsigned int len);

/**
 * lhv_insn_len() - the length of the instruction that exited
 * @vcpu: the vCPU
 * @next: what to return instead
 *
 * Return: the length, or 0 when the handler has to return *@next: LHV_SLEEP; LHV_RESUME with
 * a fault queued or the instruction gone; LHV_EXIT_USER, undecodable.
 */
static inline unsigned int lhv_insn_len(struct lhv_vcpu *vcpu, enum lhv_next *next)
{
	unsigned int len = vcpu->exit.insn_len;

	return likely(len) ? len : lhv_insn_len_unknown(vcpu, next);
}

/**
 * lhv_retire_quiet() - step over an instruction that was carried out
 * @vcpu: the vCPU
 * @len: the instruction's length
 *
 * For a handler that already filled kvm_run.
 * Return: true when KVM_EXIT_DEBUG is due, after the VMM's answer: lhv_debug_exit().
 */
static inline bool lhv_retire_quiet(struct lhv_vcpu *vcpu, unsigned int len)
{
	u64 rip = vcpu->rip + len;

	if (unlikely((rip ^ vcpu->rip) >> 32 || vcpu->exit.shadow ||
		     vcpu->rflags & X86_EFLAGS_TF ||
		     vcpu->cpu_state.guest_debug & KVM_GUESTDBG_SINGLESTEP))
		return lhv_retire_rare(vcpu, len);
	vcpu->rip = rip;
	vcpu->rflags &= ~(u64)X86_EFLAGS_RF;
	return false;
}

/**
 * lhv_retire() - step over an instruction that was carried out
 * @vcpu: the vCPU
 * @len: the instruction's length
 *
 * Advances RIP, ends the interrupt shadow, single-steps (#DB or, for the VMM,
 * KVM_EXIT_DEBUG). Cannot fail.
 * Return: LHV_RESUME, or LHV_EXIT_USER with KVM_EXIT_DEBUG.
 */
static inline enum lhv_next lhv_retire(struct lhv_vcpu *vcpu, unsigned int len)
{
	if (unlikely(lhv_retire_quiet(vcpu, len)))
		return lhv_debug_exit(vcpu, X86_TRAP_DB, DR_STEP);
	return LHV_RESUME;
}

/**
 * lhv_skip() - step over the instruction that exited
 * @vcpu: the vCPU; vcpu->exit.insn_len is used when the CPU gave it, the decoder otherwise
 *
 * Call it before any other state changes.
 * Return: as lhv_retire(); also LHV_SLEEP (the bytes are not resident), or LHV_EXIT_USER when
 * they cannot be decoded.
 */
static inline enum lhv_next lhv_skip(struct lhv_vcpu *vcpu)
{
	unsigned int len = vcpu->exit.insn_len;

	return likely(len) ? lhv_retire(vcpu, len) : lhv_skip_unknown(vcpu);
}

#endif
