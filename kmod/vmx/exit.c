// SPDX-License-Identifier: GPL-2.0
/*
 * lhv vmx/ - why the guest stopped: decode, and call one room.
 *
 * Manual: SDM Vol 3C "Basic VM-Exit Information", "Exit Qualification", "Information for VM
 * Exits Due to Instruction Execution"; appendix "VMX Basic Exit Reasons".
 */
#include "vmx.h"
#include "host/split_lock.h"

/* <asm/vmx.h> has no name for it. */
#define EXIT_REASON_GETSEC	11

/* Exit qualification for control-register accesses. */
#define CR_NUMBER	GENMASK(3, 0)
#define CR_TYPE_SHIFT	4
#define CR_TYPE_MASK	3
#define CR_REG_SHIFT	8
#define CR_REG_MASK	0xf

enum { CR_MOV_TO, CR_MOV_FROM, CR_CLTS, CR_LMSW };

/* Exit qualification for APIC-write exits: offset in the page. */
#define APIC_WRITE_OFFSET	0xff0

/* VM-exit instruction information of INS and OUTS. */
#define IO_ASIZE_SHIFT	7
#define IO_ASIZE_MASK	7
#define IO_SEG_SHIFT	15
#define IO_SEG_MASK	7

/* Exit qualification for debug exceptions: the bits of DR6 that it has. */
#define DB_BITS		(DR_TRAP_BITS | BIT(11) | BIT(13) | DR_STEP | BIT(16))

#define QUALIFICATION	LHV_VMX_SAYS_QUALIFICATION
#define LENGTH		LHV_VMX_SAYS_LENGTH
#define VECTORING	LHV_VMX_SAYS_VECTORING
#define ADDRESS		LHV_VMX_SAYS_ADDRESS
#define EVENT		LHV_VMX_SAYS_EVENT
#define OPERAND		LHV_VMX_SAYS_OPERAND
#define R(name, what)	{ .reason = LHV_EXIT_##name + 1, .says = what }
const struct lhv_vmx_reason lhv_vmx_reasons[LHV_VMX_NR_REASONS] = {
	[EXIT_REASON_EXCEPTION_NMI] = R(EXCEPTION, QUALIFICATION | VECTORING | EVENT),
	[EXIT_REASON_EXTERNAL_INTERRUPT] = R(INTR, EVENT),
	[EXIT_REASON_TRIPLE_FAULT] = R(SHUTDOWN, VECTORING),
	[EXIT_REASON_INIT_SIGNAL] = R(INIT, 0),
	[EXIT_REASON_INTERRUPT_WINDOW] = R(IRQ_WINDOW, 0),
	[EXIT_REASON_NMI_WINDOW] = R(NMI_WINDOW, 0),
	[EXIT_REASON_TASK_SWITCH] = R(TASK_SWITCH, QUALIFICATION | VECTORING),
	[EXIT_REASON_CPUID] = R(CPUID, LENGTH),
	[EXIT_REASON_GETSEC] = R(VIRT_INSN, LENGTH),
	[EXIT_REASON_HLT] = R(HLT, LENGTH),
	[EXIT_REASON_INVD] = R(INVD, LENGTH),
	[EXIT_REASON_INVLPG] = R(INVLPG, LENGTH),
	[EXIT_REASON_RDPMC] = R(RDPMC, LENGTH),
	[EXIT_REASON_VMCALL] = R(HYPERCALL, LENGTH),
	[EXIT_REASON_VMCLEAR ... EXIT_REASON_VMON] = R(VIRT_INSN, LENGTH),
	[EXIT_REASON_CR_ACCESS] = R(CR, QUALIFICATION | LENGTH),
	[EXIT_REASON_DR_ACCESS] = R(DR, QUALIFICATION | LENGTH),
	[EXIT_REASON_IO_INSTRUCTION] = R(PIO, QUALIFICATION | OPERAND | LENGTH),
	[EXIT_REASON_MSR_READ] = R(MSR, LENGTH),
	[EXIT_REASON_MSR_WRITE] = R(MSR, LENGTH),
	[EXIT_REASON_MWAIT_INSTRUCTION] = R(MWAIT, LENGTH),
	[EXIT_REASON_MONITOR_INSTRUCTION] = R(MONITOR, LENGTH),
	[EXIT_REASON_PAUSE_INSTRUCTION] = R(PAUSE, LENGTH),
	[EXIT_REASON_TPR_BELOW_THRESHOLD] = R(APIC, 0),
	[EXIT_REASON_EOI_INDUCED] = R(APIC, QUALIFICATION),
	[EXIT_REASON_APIC_WRITE] = R(APIC, QUALIFICATION),
	[EXIT_REASON_PREEMPTION_TIMER] = R(TIMER, 0),
	[EXIT_REASON_EPT_VIOLATION] = R(FAULT, QUALIFICATION | VECTORING | ADDRESS),
	[EXIT_REASON_EPT_MISCONFIG] = R(FAULT, VECTORING | ADDRESS),
	[EXIT_REASON_INVEPT] = R(VIRT_INSN, LENGTH),
	[EXIT_REASON_INVVPID] = R(VIRT_INSN, LENGTH),
	[EXIT_REASON_WBINVD] = R(WBINVD, LENGTH),
	[EXIT_REASON_XSETBV] = R(XSETBV, LENGTH),
	[EXIT_REASON_VMFUNC] = R(VIRT_INSN, LENGTH),
	[EXIT_REASON_ENCLS] = R(VIRT_INSN, LENGTH),
	/* Where the host's CPU has TDX, a user program's end here as well. */
	[EXIT_REASON_SEAMCALL] = R(VIRT_INSN, LENGTH),
	[EXIT_REASON_TDCALL] = R(VIRT_INSN, LENGTH),
};

#undef QUALIFICATION
#undef LENGTH
#undef VECTORING
#undef ADDRESS
#undef EVENT
#undef OPERAND
#undef R

/**
 * lhv_vmx_ept_access() - what the access that met an EPT violation wanted
 * @qualification: exit qualification
 *
 * With accessed and dirty bits on, a walk of the guest's own tables counts as a write.
 * Return: LHV_ACC_*.
 */
u32 lhv_vmx_ept_access(u64 qualification)
{
	const u64 linear = EPT_VIOLATION_GVA_IS_VALID, final = EPT_VIOLATION_GVA_TRANSLATED;
	const u64 present = (u64)VMX_EPT_RWX_MASK << 3;

	return (qualification & EPT_VIOLATION_ACC_WRITE ? LHV_ACC_WRITE : 0) |
	       (qualification & EPT_VIOLATION_ACC_INSTR ? LHV_ACC_EXEC : 0) |
	       (qualification & present ? LHV_ACC_PRESENT : 0) |
	       ((qualification & (linear | final)) == linear ? LHV_ACC_GUEST_PT : 0);
}

/* The memory operand of INS and OUTS, of which the instruction information speaks. */
void lhv_vmx_io_operand(bool info_valid, u32 info, struct lhv_io *io)
{
	if (info_valid) {
		io->addr_size = 2 << (info >> IO_ASIZE_SHIFT & IO_ASIZE_MASK);
		io->seg = info >> IO_SEG_SHIFT & IO_SEG_MASK;
	}
	if (io->in)
		io->seg = LHV_ES;
	if (io->seg > LHV_GS)
		io->seg = LHV_NR_SEGS;
	if (io->addr_size > 8)
		io->addr_size = 0;
}

/*
 * On CPUs with L1TF the next entry flushes the L1 data cache where @touched is set: whenever the
 * atomic tier was left (what slept or saw user space, see vmx_load()), and where guest memory was
 * accessed for the guest. Exits answered here otherwise touch nothing but this VM's own state.
 */
static enum lhv_next handle_io(struct lhv_vcpu *vcpu)
{
	struct lhv_io io;

	lhv_vmx_io_decode(vcpu->exit.info1, lhv_vmx_caps.ins_outs_info, vcpu->exit.info2, &io);
	if (io.string)
		lhv_vmx(vcpu)->touched = true;
	return lhv_pio_exec(vcpu, &io);
}

static enum lhv_next handle_fault(struct lhv_vcpu *vcpu)
{
	u32 access = LHV_ACC_RSVD;
	enum lhv_next next;
	u64 rip = vcpu->rip, count = vcpu->regs[LHV_RCX];

	if (vcpu->exit.code == EXIT_REASON_EPT_VIOLATION)
		access = lhv_vmx_ept_access(vcpu->exit.info1);
	next = lhv_tdp_fault(vcpu, vcpu->exit.info2, access);
	/* An instruction was decoded and carried out, or a part of a string's. */
	if (vcpu->rip != rip || vcpu->regs[LHV_RCX] != count)
		lhv_vmx(vcpu)->touched = true;
	return next;
}

/*
 * SDM Vol 3A "PDPTE Registers": does this MOV to CR0 or CR4 load them? Outside long mode a
 * register has 32 bits.
 */
static bool loads_pdptes(const struct lhv_vcpu *vcpu, int cr, u32 value)
{
	u64 cr0 = cr == 0 ? value : vcpu->cr0, cr4 = cr == 4 ? value : vcpu->cr4;

	return cr0 & X86_CR0_PG && cr4 & X86_CR4_PAE && !(vcpu->efer & EFER_LME) &&
	       ((cr0 ^ vcpu->cr0) & (X86_CR0_CD | X86_CR0_NW | X86_CR0_PG) ||
		(cr4 ^ vcpu->cr4) & (X86_CR4_PAE | X86_CR4_PGE | X86_CR4_PSE | X86_CR4_SMEP));
}

static enum lhv_next handle_cr(struct lhv_vcpu *vcpu)
{
	u64 qualification = vcpu->exit.info1;
	int cr = qualification & CR_NUMBER;
	int reg = qualification >> CR_REG_SHIFT & CR_REG_MASK;
	int ret;

	switch (qualification >> CR_TYPE_SHIFT & CR_TYPE_MASK) {
	case CR_MOV_TO:
		/* Now is when it can still be put off, or refused. */
		if ((cr == 0 || cr == 4) && loads_pdptes(vcpu, cr, vcpu->regs[reg])) {
			ret = lhv_vmx_load_pdptes(vcpu);
			if (ret)
				return ret == -EAGAIN ? LHV_SLEEP : lhv_inject_gp(vcpu);
		}
		return lhv_cr_exec(vcpu, cr, reg, true);
	case CR_MOV_FROM:
		return lhv_cr_exec(vcpu, cr, reg, false);
	default:		/* CLTS and LMSW: the operand is left to the decoder */
		return lhv_cr_exec(vcpu, 0, -1, true);
	}
}

static enum lhv_next handle_dr(struct lhv_vcpu *vcpu)
{
	u64 qualification = vcpu->exit.info1;

	if (!(vcpu->cpu_state.guest_debug & KVM_GUESTDBG_USE_HW_BP)) {
		lhv_vmx_open_dr(vcpu);
		return LHV_RESUME;
	}
	return lhv_dr_exec(vcpu, qualification & DEBUG_REG_ACCESS_NUM,
			   DEBUG_REG_ACCESS_REG(qualification),
			   !(qualification & DEBUG_REG_ACCESS_TYPE));
}

static enum lhv_next handle_msr(struct lhv_vcpu *vcpu)
{
	return vcpu->exit.code == EXIT_REASON_MSR_WRITE ? lhv_wrmsr_exec(vcpu) :
							  lhv_rdmsr_exec(vcpu);
}

/* DR6 is as before the exception; what would go there is in the qualification. */
static enum lhv_next handle_db(struct lhv_vcpu *vcpu)
{
	const u32 debugger = KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW_BP;
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);
	u64 dr6 = vcpu->exit.info1 & DB_BITS;

	if (vcpu->cpu_state.guest_debug & debugger)
		return lhv_debug_exit(vcpu, X86_TRAP_DB, dr6);

	/* INT1 is over when its exception is delivered. */
	if ((vmx->intr_info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_PRIV_SW_EXCEPTION)
		vcpu->rip += vcpu->exit.insn_len;
	lhv_queue_payload(vcpu, X86_TRAP_DB, dr6);
	return LHV_RESUME;
}

static enum lhv_next give_up(struct lhv_vcpu *vcpu, u32 suberror)
{
	u64 data[] = { vcpu->exit.code, vcpu->exit.info1, vcpu->exit.info2, vcpu->rip };

	return lhv_internal_error(vcpu, suberror, ARRAY_SIZE(data), data);
}

static enum lhv_next unexpected(struct lhv_vcpu *vcpu)
{
	lhv_vmx_need(vcpu, LHV_VMX_VOLATILE);
	lhv_vmx_dump(vcpu, "an exit that was not asked for");
	lhv_vm_bug(vcpu->vm);
	return give_up(vcpu, KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON);
}

/*
 * An #AC is the guest's where the guest checks alignment. Any other is raised by a locked access
 * across a cache line, which the guest may do and the host has trapped.
 */
static enum lhv_next handle_ac(struct lhv_vcpu *vcpu)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);
	struct kvm_run *run = vcpu->run;

	if (!lhv_host_traps_split_locks() ||
	    (vcpu->cr0 & X86_CR0_AM && vcpu->rflags & X86_EFLAGS_AC && lhv_vmx_get_cpl(vcpu) == 3)) {
		lhv_queue_exception_error(vcpu, X86_TRAP_AC, vmx->intr_error);
		return LHV_RESUME;
	}
	if (vcpu->atomic)
		return LHV_SLEEP;
	if (lhv_host_split_lock(vcpu->rip))
		return LHV_RESUME;
	pr_warn_ratelimited("lhv: VM %llu vCPU %u: locked access across a cache line, which this host does not let pass (split_lock_detect=off does)\n",
			    vcpu->vm->id, vcpu->id);
	run->exit_reason = KVM_EXIT_EXCEPTION;
	run->ex.exception = X86_TRAP_AC;
	run->ex.error_code = vmx->intr_error;
	return LHV_EXIT_USER;
}

static enum lhv_next handle_exception(struct lhv_vcpu *vcpu)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);
	u8 vector = vmx->intr_info & INTR_INFO_VECTOR_MASK;

	switch (vector) {
	case X86_TRAP_DB:
		return handle_db(vcpu);
	case X86_TRAP_BP:
		return lhv_debug_exit(vcpu, vector, 0);
	case X86_TRAP_UD:
		vmx->touched = true;
		return lhv_ud_exec(vcpu);
	case X86_TRAP_AC:
		return handle_ac(vcpu);
	default:
		return unexpected(vcpu);
	}
}

static enum lhv_next handle_irq_window(struct lhv_vcpu *vcpu)
{
	lhv_vmx_control(lhv_vmx(vcpu), CPU, CPU_BASED_INTR_WINDOW_EXITING, false);
	lhv_request_self(vcpu, LHV_REQ_EVENT);
	return LHV_RESUME;
}

static enum lhv_next handle_nmi_window(struct lhv_vcpu *vcpu)
{
	lhv_vmx_control(lhv_vmx(vcpu), CPU, CPU_BASED_NMI_WINDOW_EXITING, false);
	lhv_request_self(vcpu, LHV_REQ_EVENT);
	return LHV_RESUME;
}

/* All of these are traps: the instruction is over. */
static enum lhv_next handle_apic(struct lhv_vcpu *vcpu)
{
	u64 qualification = vcpu->exit.info1;

	switch (vcpu->exit.code) {
	case EXIT_REASON_EOI_INDUCED:
		lhv_lapic_eoi_exit(vcpu, qualification);
		break;
	case EXIT_REASON_APIC_WRITE:
		lhv_lapic_written(vcpu, qualification & APIC_WRITE_OFFSET);
		break;
	default:	/* the TPR lets through what waited */
		lhv_request_self(vcpu, LHV_REQ_EVENT);
	}
	return LHV_RESUME;
}

static enum lhv_next handle_shutdown(struct lhv_vcpu *vcpu)
{
	lhv_request_self(vcpu, LHV_REQ_TRIPLE_FAULT);
	return LHV_RESUME;
}

static enum lhv_next handle_hypercall(struct lhv_vcpu *vcpu)
{
	lhv_vmx(vcpu)->touched = true;
	return lhv_hypercall_exec(vcpu);
}

/* See struct lhv_backend. */
enum lhv_next lhv_vmx_handle_exit(struct lhv_vcpu *vcpu)
{
	switch (vcpu->exit.reason) {
	case LHV_EXIT_INTR:		/* taken when the host opened its interrupts */
	case LHV_EXIT_NMI:		/* handed over in enter */
	case LHV_EXIT_MCE:		/* dito */
	case LHV_EXIT_INIT:		/* blocked, as long as VMX is on */
		return LHV_RESUME;
	case LHV_EXIT_PIO:		return handle_io(vcpu);
	case LHV_EXIT_FAULT:		return handle_fault(vcpu);
	case LHV_EXIT_MSR:		return handle_msr(vcpu);
	case LHV_EXIT_CPUID:		return lhv_cpuid_exec(vcpu);
	case LHV_EXIT_HLT:		return lhv_hlt_exec(vcpu);
	case LHV_EXIT_IRQ_WINDOW:	return handle_irq_window(vcpu);
	case LHV_EXIT_NMI_WINDOW:	return handle_nmi_window(vcpu);
	case LHV_EXIT_CR:		return handle_cr(vcpu);
	case LHV_EXIT_DR:		return handle_dr(vcpu);
	case LHV_EXIT_EXCEPTION:	return handle_exception(vcpu);
	case LHV_EXIT_HYPERCALL:	return handle_hypercall(vcpu);
	case LHV_EXIT_PAUSE:		return lhv_pause_exec(vcpu);
	case LHV_EXIT_XSETBV:		return lhv_xsetbv_exec(vcpu);
	case LHV_EXIT_RDPMC:		return lhv_rdpmc_exec(vcpu);
	case LHV_EXIT_INVD:		return lhv_nop_exec(vcpu);
	case LHV_EXIT_WBINVD:		return lhv_wbinvd_exec(vcpu);
	case LHV_EXIT_MONITOR:
	case LHV_EXIT_MWAIT:		return lhv_mwait_exec(vcpu);
	case LHV_EXIT_VIRT_INSN:	return lhv_inject_ud(vcpu);
	case LHV_EXIT_APIC:		return handle_apic(vcpu);
	case LHV_EXIT_TIMER:		return lhv_lapic_timer_exec(vcpu);
	case LHV_EXIT_SHUTDOWN:		return handle_shutdown(vcpu);
	/* Hardware task switches (32-bit task gates) are not emulated: said, not guessed. */
	case LHV_EXIT_TASK_SWITCH:	return give_up(vcpu, KVM_INTERNAL_ERROR_EMULATION);
	default:			return unexpected(vcpu);
	}
}
