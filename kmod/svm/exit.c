// SPDX-License-Identifier: GPL-2.0
/*
 * lhv svm/ - why the guest stopped: decode, and call one room.
 *
 * Manual: APM Vol 2 "#VMEXIT", "Instruction Intercepts", "IOIO Intercepts",
 * "Exception Intercepts", "Decode Assists", "SVM Intercept Exit Codes".
 */
#include <asm/trap_pf.h>

#include "svm.h"

/* EXITINFO1 of #NPF: the walk of the guest's own tables faulted, not the final access. */
#define NPF_GUEST_TABLE		BIT_ULL(33)

/* EXITINFO1 of MOV CR with decode assists: valid, and the general register. */
#define CR_IS_MOV		BIT_ULL(63)

/* Reason by exit code, plus one: 0 is a code that is never asked for. */
#define R(name)	(LHV_EXIT_##name + 1)
const u8 lhv_svm_reasons[LHV_SVM_NR_REASONS] = {
	[SVM_EXIT_READ_CR0 ... SVM_EXIT_READ_CR0 + 0x1f] = R(CR),
	[SVM_EXIT_READ_DR0 ... SVM_EXIT_READ_DR0 + 0x1f] = R(DR),
	[SVM_EXIT_EXCP_BASE ... SVM_EXIT_EXCP_BASE + X86_TRAP_MC - 1] = R(EXCEPTION),
	[SVM_EXIT_EXCP_BASE + X86_TRAP_MC] = R(MCE),
	[SVM_EXIT_EXCP_BASE + X86_TRAP_MC + 1 ... SVM_EXIT_LAST_EXCP] = R(EXCEPTION),
	[SVM_EXIT_INTR] = R(INTR),
	[SVM_EXIT_NMI] = R(NMI),
	[SVM_EXIT_SMI] = R(SMI),
	[SVM_EXIT_INIT] = R(INIT),
	[SVM_EXIT_VINTR] = R(IRQ_WINDOW),
	[SVM_EXIT_CR0_SEL_WRITE] = R(CR),
	[SVM_EXIT_RDPMC] = R(RDPMC),
	[SVM_EXIT_CPUID] = R(CPUID),
	[SVM_EXIT_RSM] = R(VIRT_INSN),
	[SVM_EXIT_IRET] = R(NMI_WINDOW),
	[SVM_EXIT_INVD] = R(INVD),
	[SVM_EXIT_PAUSE] = R(PAUSE),
	[SVM_EXIT_HLT] = R(HLT),
	[SVM_EXIT_INVLPGA] = R(VIRT_INSN),
	[SVM_EXIT_IOIO] = R(PIO),
	[SVM_EXIT_MSR] = R(MSR),
	[SVM_EXIT_TASK_SWITCH] = R(TASK_SWITCH),
	[SVM_EXIT_SHUTDOWN] = R(SHUTDOWN),
	[SVM_EXIT_VMRUN] = R(VIRT_INSN),
	[SVM_EXIT_VMMCALL] = R(HYPERCALL),
	[SVM_EXIT_VMLOAD] = R(VIRT_INSN),
	[SVM_EXIT_VMSAVE] = R(VIRT_INSN),
	[SVM_EXIT_STGI] = R(VIRT_INSN),
	[SVM_EXIT_CLGI] = R(VIRT_INSN),
	[SVM_EXIT_SKINIT] = R(VIRT_INSN),
	[SVM_EXIT_RDTSCP] = R(VIRT_INSN),
	[SVM_EXIT_WBINVD] = R(WBINVD),
	[SVM_EXIT_MONITOR] = R(MONITOR),
	[SVM_EXIT_MWAIT] = R(MWAIT),
	[SVM_EXIT_XSETBV] = R(XSETBV),
	[SVM_EXIT_RDPRU] = R(VIRT_INSN),
	[SVM_EXIT_INVPCID] = R(VIRT_INSN),
};

#undef R

/**
 * lhv_svm_npf_access() - what the access that met a nested page fault wanted
 * @info1: EXITINFO1
 *
 * Return: LHV_ACC_*. The hardware's user bit says nothing: to the nested tables every
 * access is a user's.
 */
u32 lhv_svm_npf_access(u64 info1)
{
	return (info1 & X86_PF_PROT ? LHV_ACC_PRESENT : 0) |
	       (info1 & X86_PF_WRITE ? LHV_ACC_WRITE : 0) |
	       (info1 & X86_PF_RSVD ? LHV_ACC_RSVD : 0) |
	       (info1 & X86_PF_INSTR ? LHV_ACC_EXEC : 0) |
	       (info1 & NPF_GUEST_TABLE ? LHV_ACC_GUEST_PT : 0);
}

/* Out of line: other exits need no stack frame. */
static noinline enum lhv_next handle_io(struct lhv_vcpu *vcpu)
{
	struct lhv_io io;

	lhv_svm_io_decode(vcpu->exit.info1, lhv_svm_caps.decode_assists, &io);
	return lhv_pio_exec(vcpu, &io);
}

static enum lhv_next handle_fault(struct lhv_vcpu *vcpu)
{
	struct vmcb_control_area *control = lhv_svm_control(vcpu);

	if (lhv_svm_caps.decode_assists) {
		vcpu->exit.nr_bytes = min_t(u8, control->insn_len, sizeof(vcpu->exit.bytes));
		memcpy(vcpu->exit.bytes, control->insn_bytes, sizeof(vcpu->exit.bytes));
	}
	return lhv_tdp_fault(vcpu, vcpu->exit.info2, lhv_svm_npf_access(vcpu->exit.info1));
}

static enum lhv_next handle_cr(struct lhv_vcpu *vcpu)
{
	u32 code = vcpu->exit.code;
	int reg = -1;

	if (lhv_svm_caps.decode_assists && vcpu->exit.info1 & CR_IS_MOV)
		reg = vcpu->exit.info1 & SVM_EXITINFO_REG_MASK;
	if (code == SVM_EXIT_CR0_SEL_WRITE)
		return lhv_cr_exec(vcpu, 0, reg, true);
	return lhv_cr_exec(vcpu, code & 0xf, reg, code >= SVM_EXIT_WRITE_CR0);
}

static enum lhv_next handle_dr(struct lhv_vcpu *vcpu)
{
	u32 code = vcpu->exit.code;
	int reg = -1;

	if (!(vcpu->cpu_state.guest_debug & KVM_GUESTDBG_USE_HW_BP)) {
		lhv_svm_open_dr(vcpu);
		return LHV_RESUME;
	}
	if (lhv_svm_caps.decode_assists)
		reg = vcpu->exit.info1 & SVM_EXITINFO_REG_MASK;
	return lhv_dr_exec(vcpu, code & 0xf, reg, code >= SVM_EXIT_WRITE_DR0);
}

static enum lhv_next handle_msr(struct lhv_vcpu *vcpu)
{
	return vcpu->exit.info1 ? lhv_wrmsr_exec(vcpu) : lhv_rdmsr_exec(vcpu);
}

static enum lhv_next handle_db(struct lhv_vcpu *vcpu)
{
	const u32 debugger = KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW_BP;
	struct vmcb_save_area *save = lhv_svm_save(vcpu);
	struct lhv_svm_vcpu *svm = lhv_svm(vcpu);
	u32 debug = vcpu->cpu_state.guest_debug;

	/* The step that waits for an NMI window, and nothing else: not the guest's business. */
	if (svm->watch & LHV_SVM_STEP_TF && save->dr6 & DR_STEP && !(save->dr6 & DR_TRAP_BITS)) {
		save->dr6 = svm->step_dr6;
		lhv_svm_mark_dirty(vcpu, LHV_SVM_DR);
		return LHV_RESUME;
	}
	if (debug & debugger) {
		u64 dr6 = save->dr6;

		/* It is the debugger's: the guest's own stays as it was, as far as that is known. */
		lhv_svm_set_dr6(vcpu, svm->dr_open ? dr6 & ~(u64)DR_STEP : vcpu->cpu_state.dr6);
		return lhv_debug_exit(vcpu, X86_TRAP_DB, dr6);
	}

	/* DR6 and DR7 are as the handler has to see them: no payload. */
	vcpu->cpu_state.dr6 = save->dr6;
	lhv_queue_exception(vcpu, X86_TRAP_DB);
	return LHV_RESUME;
}

static enum lhv_next give_up(struct lhv_vcpu *vcpu, u32 suberror)
{
	u64 data[] = { vcpu->exit.code, vcpu->exit.info1, vcpu->exit.info2, vcpu->rip };

	return lhv_internal_error(vcpu, suberror, ARRAY_SIZE(data), data);
}

static enum lhv_next unexpected(struct lhv_vcpu *vcpu)
{
	lhv_svm_dump(vcpu);
	lhv_vm_bug(vcpu->vm);
	return give_up(vcpu, KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON);
}

/*
 * #AC and #DB are intercepted for the host's sake: a guest whose handler raises the same
 * exception while it is being delivered would keep the CPU busy without ever letting an
 * interrupt through (CVE-2015-5307, CVE-2015-8104).
 */
static enum lhv_next handle_exception(struct lhv_vcpu *vcpu)
{
	u8 vector = vcpu->exit.code - SVM_EXIT_EXCP_BASE;

	switch (vector) {
	case X86_TRAP_DB:
		return handle_db(vcpu);
	case X86_TRAP_BP:
		return lhv_debug_exit(vcpu, vector, 0);
	case X86_TRAP_UD:
		return lhv_ud_exec(vcpu);
	case X86_TRAP_AC:
		lhv_queue_exception_error(vcpu, vector, vcpu->exit.info1);
		return LHV_RESUME;
	default:
		return unexpected(vcpu);
	}
}

static enum lhv_next handle_irq_window(struct lhv_vcpu *vcpu)
{
	lhv_svm_close_irq_window(vcpu);
	lhv_request_self(vcpu, LHV_REQ_EVENT);
	return LHV_RESUME;
}

static enum lhv_next handle_nmi_window(struct lhv_vcpu *vcpu)
{
	lhv_svm_iret(vcpu);
	return LHV_RESUME;
}

/* After a shutdown the VMCB's state save area is undefined: give the vCPU a defined state. */
static enum lhv_next handle_shutdown(struct lhv_vcpu *vcpu)
{
	if (vcpu->atomic)
		return LHV_SLEEP;
	/* For people: what the hardware left there is mostly what it was. */
	lhv_vcpu_note_regs(vcpu);
	lhv_vcpu_reset(vcpu, true);
	lhv_request_self(vcpu, LHV_REQ_TRIPLE_FAULT);
	return LHV_RESUME;
}

/* See struct lhv_backend. */
enum lhv_next lhv_svm_handle_exit(struct lhv_vcpu *vcpu)
{
	u8 reason = vcpu->exit.reason;

	/* Without jump tables the switch is a search. */
	if (reason == LHV_EXIT_PIO)
		return handle_io(vcpu);
	if (reason == LHV_EXIT_INTR)	/* taken when the host opened its interrupts */
		return LHV_RESUME;
	if (reason == LHV_EXIT_FAULT)
		return handle_fault(vcpu);

	switch (reason) {
	case LHV_EXIT_NMI:		/* taken at the STGI */
	case LHV_EXIT_SMI:		/* ditto */
	case LHV_EXIT_INIT:		/* ditto */
	case LHV_EXIT_MCE:		/* handed over in enter */
		return LHV_RESUME;
	case LHV_EXIT_MSR:		return handle_msr(vcpu);
	case LHV_EXIT_CPUID:		return lhv_cpuid_exec(vcpu);
	case LHV_EXIT_HLT:		return lhv_hlt_exec(vcpu);
	case LHV_EXIT_IRQ_WINDOW:	return handle_irq_window(vcpu);
	case LHV_EXIT_NMI_WINDOW:	return handle_nmi_window(vcpu);
	case LHV_EXIT_CR:		return handle_cr(vcpu);
	case LHV_EXIT_DR:		return handle_dr(vcpu);
	case LHV_EXIT_EXCEPTION:	return handle_exception(vcpu);
	case LHV_EXIT_HYPERCALL:	return lhv_hypercall_exec(vcpu);
	case LHV_EXIT_PAUSE:		return lhv_pause_exec(vcpu);
	case LHV_EXIT_XSETBV:		return lhv_xsetbv_exec(vcpu);
	case LHV_EXIT_RDPMC:		return lhv_rdpmc_exec(vcpu);
	case LHV_EXIT_INVD:		return lhv_nop_exec(vcpu);
	case LHV_EXIT_WBINVD:		return lhv_wbinvd_exec(vcpu);
	case LHV_EXIT_MONITOR:
	case LHV_EXIT_MWAIT:		return lhv_mwait_exec(vcpu);
	case LHV_EXIT_VIRT_INSN:	return lhv_inject_ud(vcpu);
	case LHV_EXIT_SHUTDOWN:		return handle_shutdown(vcpu);
	/* Hardware task switches (32-bit task gates) are not emulated: said, not guessed. */
	case LHV_EXIT_TASK_SWITCH:	return give_up(vcpu, KVM_INTERNAL_ERROR_EMULATION);
	default:			return unexpected(vcpu);
	}
}
