// SPDX-License-Identifier: GPL-2.0
/*
 * lhv vmx/ - entering the guest and coming back.
 *
 * Manual: SDM Vol 3C "VM Entries", "VM Exits".
 */
#define pr_fmt(fmt) "lhv: " fmt

#include <linux/math64.h>
#include <linux/printk.h>
#include <linux/ratelimit.h>

#include "vmx.h"
#include "cpu/guest_switch.h"
#include "vmx/asm.h"

#define RFLAGS_KNOWN	(X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | X86_EFLAGS_ZF |	\
			 X86_EFLAGS_SF | X86_EFLAGS_TF | X86_EFLAGS_IF | X86_EFLAGS_DF |	\
			 X86_EFLAGS_OF | X86_EFLAGS_IOPL | X86_EFLAGS_NT | X86_EFLAGS_RF |	\
			 X86_EFLAGS_VM | X86_EFLAGS_AC | X86_EFLAGS_VIF | X86_EFLAGS_VIP |	\
			 X86_EFLAGS_ID)

#define EXIT_REASON_MASK	0xffff

/* As far ahead as the preemption timer is ever set: an exit too early does no harm. */
#define MAX_TIMER_CYCLES	BIT_ULL(40)

/* Context: any; a bug of ours. */
void lhv_vmx_vmwrite_failed(u32 field, u64 value)
{
	WARN_ONCE(1, "lhv: VMWRITE of %#llx to field %#x failed, error %u\n", value, field,
		  lhv_vmread32(VM_INSTRUCTION_ERROR));
}

/* ---- VMX operation around one entry ---- */

/*
 * VMXON, and the vCPU's VMCS is current. Interrupts off until after bracket_close(), which wants
 * @cr4. Return: 0; -EBUSY: another hypervisor is in VMX operation; -EIO.
 */
static __always_inline int bracket_open(struct lhv_vmx_vcpu *vmx, struct lhv_vmx_cpu *cpu,
					unsigned long *cr4)
{
	if (!lhv_host_vmxe_begin(cr4))
		return -EBUSY;
	if (lhv_vmxon(cpu->vmxon_pa))
		goto err_vmxe;
	if (unlikely(vmx->active_cpu < 0) && lhv_vmclear(vmx->vmcs_pa))
		goto err_vmxon;
	vmx->active_cpu = smp_processor_id();
	if (lhv_vmptrld(vmx->vmcs_pa))
		goto err_vmxon;
	return 0;

err_vmxon:
	lhv_vmxoff();
err_vmxe:
	lhv_host_vmxe_end(*cr4);
	return -EIO;
}

/* The mirror. SDM Vol 3C "Software Access to Related Structures": VMCLEAR before VMXOFF. */
static __always_inline void bracket_close(struct lhv_vmx_vcpu *vmx, unsigned long cr4)
{
	lhv_vmclear(vmx->vmcs_pa);
	vmx->launched = false;
	lhv_vmxoff();
	lhv_host_vmxe_end(cr4);
}

/**
 * lhv_vmx_read_bracketed() - what the guest has, in a bracket for that alone
 * @vmx: the vCPU
 * @cpu: this CPU's state
 *
 * Context: interrupts off.
 */
void lhv_vmx_read_bracketed(struct lhv_vmx_vcpu *vmx, struct lhv_vmx_cpu *cpu)
{
	unsigned long cr4;

	if (bracket_open(vmx, cpu, &cr4))
		return;
	lhv_vmx_read_groups(vmx, LHV_VMX_VOLATILE);
	bracket_close(vmx, cr4);
}

/* ---- before ---- */

/* RFLAGS to enter with: TF where the VMM single-steps; nothing that the entry would refuse. */
static u64 entry_rflags(const struct lhv_vcpu *vcpu)
{
	u64 rflags = vcpu->rflags;

	if (unlikely(vcpu->cpu_state.guest_debug & KVM_GUESTDBG_SINGLESTEP))
		rflags |= X86_EFLAGS_TF;
	if (unlikely(rflags & (~(u64)RFLAGS_KNOWN | X86_EFLAGS_VM))) {
		rflags &= RFLAGS_KNOWN;
		if (lhv_long_mode(vcpu) || !lhv_protected_mode(vcpu))
			rflags &= ~(u64)X86_EFLAGS_VM;
	}
	return rflags | X86_EFLAGS_FIXED;
}

/*
 * SDM Vol 3C "Checks on Guest Non-Register State": in an interrupt shadow, a single-step trap
 * is pending exactly when TF is set; and STI's shadow wants IF.
 */
static noinline void settle_shadow(struct lhv_vmx_vcpu *vmx, u64 rflags)
{
	u64 pending;

	if (vmx->interruptibility & GUEST_INTR_STATE_STI && !(rflags & X86_EFLAGS_IF))
		vmx->interruptibility &= ~GUEST_INTR_STATE_STI;
	pending = lhv_vmreadl(GUEST_PENDING_DBG_EXCEPTIONS) & ~(u64)DR_STEP;
	if (rflags & X86_EFLAGS_TF)
		pending |= DR_STEP;
	lhv_vmwritel(GUEST_PENDING_DBG_EXCEPTIONS, pending);
}

static noinline void write_inject_seldom(struct lhv_vmx_vcpu *vmx)
{
	if (vmx->soft_injected)
		lhv_vmwrite32(VM_ENTRY_INSTRUCTION_LEN, 1);
	/* SDM Vol 3C "Checks on Guest Non-Register State": few events may come to a halted CPU. */
	if (vmx->halts)
		lhv_vmwrite32(GUEST_ACTIVITY_STATE, GUEST_ACTIVITY_ACTIVE);
}

static __always_inline void write_inject(struct lhv_vmx_vcpu *vmx)
{
	lhv_vmwrite32(VM_ENTRY_INTR_INFO_FIELD, vmx->inject_info);
	if (vmx->inject_info & INTR_INFO_DELIVER_CODE_MASK)
		lhv_vmwrite32(VM_ENTRY_EXCEPTION_ERROR_CODE, vmx->inject_error);
	if (unlikely(vmx->soft_injected || vmx->halts))
		write_inject_seldom(vmx);
}

static __always_inline void write_host(struct lhv_vmx_vcpu *vmx)
{
	u64 cr3 = __native_read_cr3(), cr4 = native_read_cr4();

	if (unlikely(cr3 != vmx->host_cr3)) {
		vmx->host_cr3 = cr3;
		lhv_vmwritel(HOST_CR3, cr3);
	}
	if (unlikely(vmx->host_segs.fs_base != vmx->host_fs_base)) {
		vmx->host_fs_base = vmx->host_segs.fs_base;
		lhv_vmwritel(HOST_FS_BASE, vmx->host_fs_base);
	}
	if (unlikely(cr4 != vmx->host_cr4)) {
		vmx->host_cr4 = cr4;
		lhv_vmwritel(HOST_CR4, cr4);
	}
}

static noinline void flush_translations(struct lhv_vmx_vcpu *vmx)
{
	if (vmx->flush_ept)
		lhv_invept(lhv_vmx_caps.invept, vmx->eptp);
	/* Without a tag every entry forgets them. */
	if (vmx->flush_vpid && vmx->vpid)
		lhv_invvpid(lhv_vmx_caps.invvpid, vmx->vpid);
	vmx->flush_ept = false;
	vmx->flush_vpid = false;
}

/*
 * SDM Vol 3C "VMX-Preemption Timer": it starts from the field at each entry. Without a deadline it
 * runs all the same, and once in a while an exit comes of it.
 */
static noinline void write_timer(struct lhv_vcpu *vcpu)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);
	u64 now = lhv_guest_tsc(vcpu, rdtsc()), left;
	u32 value = U32_MAX;

	if (vmx->deadline <= now) {
		value = vmx->deadline ? 0 : U32_MAX;
	} else {
		left = min(vmx->deadline - now, MAX_TIMER_CYCLES);
		/* It counts the host's cycles. */
		if (vcpu->cpu_state.tsc_ratio != LHV_TSC_UNSCALED)
			left = mul_u64_u32_div(left, vcpu->vm->clock.tsc_khz,
					       vcpu->cpu_state.tsc_khz);
		value = 1 + min_t(u64, left >> lhv_vmx_caps.timer_shift, U32_MAX - 1);
	}
	if (value != vmx->vmcs_timer) {
		vmx->vmcs_timer = value;
		lhv_vmwrite32(VMX_PREEMPTION_TIMER_VALUE, value);
	}
}

static __always_inline void write_state(struct lhv_vcpu *vcpu, u64 rflags)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);

	if (unlikely(vmx->dirty))
		lhv_vmx_write_dirty(vcpu);
	write_host(vmx);
	if (unlikely(vmx->flush_ept || vmx->flush_vpid))
		flush_translations(vmx);

	if (vcpu->rip != vmx->vmcs_rip) {
		vmx->vmcs_rip = vcpu->rip;
		lhv_vmwritel(GUEST_RIP, vcpu->rip);
	}
	if (unlikely(vcpu->regs[LHV_RSP] != vmx->vmcs_rsp)) {
		vmx->vmcs_rsp = vcpu->regs[LHV_RSP];
		lhv_vmwritel(GUEST_RSP, vmx->vmcs_rsp);
	}
	if (unlikely(rflags != vmx->vmcs_rflags)) {
		vmx->vmcs_rflags = rflags;
		lhv_vmwritel(GUEST_RFLAGS, rflags);
	}
	if (unlikely(vmx->interruptibility & (GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS)))
		settle_shadow(vmx, rflags);
	if (unlikely(vmx->interruptibility != vmx->vmcs_interruptibility)) {
		vmx->vmcs_interruptibility = vmx->interruptibility;
		lhv_vmwrite32(GUEST_INTERRUPTIBILITY_INFO, vmx->interruptibility);
	}
	if (unlikely(vmx->inject_info))
		write_inject(vmx);
	if (unlikely(vmx->deadline || vmx->vmcs_timer != U32_MAX))
		write_timer(vcpu);
	if (vmx->tpr && unlikely(*vmx->tpr >> 4 != vcpu->cr8))
		*vmx->tpr = vcpu->cr8 << 4;
}

/* Counters that can write records where not all can; the other bits of PEBS_ENABLE mean something else. */
#define PEBS_COUNTERS	GENMASK(7, 0)

/*
 * A record of the host's counters (PEBS) goes to a linear address, whoever's page tables translate
 * it. So those counters stand still in the guest. The entry itself sees to that, as an NMI may
 * start them until the last moment. On older CPUs that is not enough, and the WRMSR before it lets
 * a record under way come to its end.
 */
static noinline void switch_pebs(struct lhv_vmx_vcpu *vmx, u64 pebs)
{
	bool baseline = lhv_vmx_caps.pebs_baseline;
	u64 counters;

	if (!pebs != !vmx->pebs) {
		u32 count = !pebs ? 0 : baseline ? 1 : LHV_VMX_PEBS_MSRS;

		lhv_vmwrite32(VM_EXIT_MSR_LOAD_COUNT, count);
		lhv_vmwrite32(VM_ENTRY_MSR_LOAD_COUNT, count);
	}
	vmx->pebs = pebs;
	if (!pebs)
		return;
	counters = lhv_host_rdmsr(MSR_CORE_PERF_GLOBAL_CTRL);
	vmx->pebs_guest[0] = (struct vmx_msr_entry){
		.index = MSR_CORE_PERF_GLOBAL_CTRL,
		.value = counters & ~(baseline ? pebs : pebs & PEBS_COUNTERS),
	};
	vmx->pebs_host[0] = (struct vmx_msr_entry){
		.index = MSR_CORE_PERF_GLOBAL_CTRL, .value = counters,
	};
	if (baseline)
		return;
	lhv_host_wrmsr(MSR_IA32_PEBS_ENABLE, 0);
	vmx->pebs_guest[1] = (struct vmx_msr_entry){ .index = MSR_IA32_PEBS_ENABLE };
	vmx->pebs_host[1] = (struct vmx_msr_entry){
		.index = MSR_IA32_PEBS_ENABLE, .value = pebs,
	};
}

/* ---- the switch ---- */

static __always_inline int world_switch(struct lhv_vcpu *vcpu)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);
	u64 host_spec = lhv_host_spec_ctrl(), debugctl = lhv_host_debugctl(), pebs = lhv_host_pebs();
	u16 ldt = lhv_host_ldt();
	int ret;

	BUILD_BUG_ON(LHV_VMCS_HOST_RSP != HOST_RSP);
	/* An exit leaves LDTR empty; modify_ldt() in another thread may have filled it since. */
	if (unlikely(ldt))
		vmx->host_segs.ldt = ldt;
	if (vcpu->cr2 != native_read_cr2())
		native_write_cr2(vcpu->cr2);

	if (unlikely(pebs | vmx->pebs))
		switch_pebs(vmx, pebs);
	lhv_host_l1d_flush(vmx->touched);
	vmx->touched = false;
	lhv_host_clear_mmio_buffers();
	lhv_host_guest_enter();
	ret = lhv_vmx_switch(vcpu->regs, vmx->launched, &vmx->host_rsp,
			     lhv_guest_spec_ctrl(&vcpu->cpu_state, host_spec), host_spec);
	lhv_host_guest_exit();
	lhv_host_restore_debugctl(debugctl);
	/* Nothing was loaded, nor anything brought back. */
	if (unlikely(ret) && vmx->pebs && !lhv_vmx_caps.pebs_baseline)
		lhv_host_wrmsr(MSR_IA32_PEBS_ENABLE, vmx->pebs);
	vcpu->cr2 = native_read_cr2();
	return ret;
}

/* Somebody uses the debug registers. */
static noinline int switch_with_dr(struct lhv_vcpu *vcpu)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);
	struct lhv_cpu *cpu = &vcpu->cpu_state;
	struct lhv_host_dr host_dr;
	int ret;

	lhv_host_dr_enter(&host_dr, vmx->dr);
	if (vmx->dr_open)
		native_set_debugreg(6, cpu->dr6);
	ret = world_switch(vcpu);
	if (vmx->dr_open) {
		lhv_host_dr_read(cpu->db);
		cpu->dr6 = native_get_debugreg(6);
		lhv_host_dr6_ran(cpu->dr6);
		cpu->dr7 = lhv_vmreadl(GUEST_DR7);
		vmx->dr7 = cpu->dr7;
	}
	lhv_host_dr_leave(&host_dr);
	return ret;
}

static __always_inline int run_guest(struct lhv_vcpu *vcpu)
{
	bool swap_pkru = lhv_pkru_differs(vcpu);
	u32 host_pkru = 0;
	int ret;

	if (unlikely(swap_pkru))
		host_pkru = lhv_pkru_enter(vcpu);
	if (unlikely(lhv_vmx(vcpu)->dr || lhv_host_dr_active()))
		ret = switch_with_dr(vcpu);
	else
		ret = world_switch(vcpu);
	if (unlikely(swap_pkru))
		lhv_pkru_leave(vcpu, host_pkru);
	lhv_host_guest_ran();
	return ret;
}

/* ---- after ---- */

/* What is said of an exception or NMI; INT1, INT3 and INTO tell their length. */
static noinline void read_exception(struct lhv_vcpu *vcpu)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);
	struct lhv_exit *exit = &vcpu->exit;

	vmx->intr_info = lhv_vmread32(VM_EXIT_INTR_INFO);
	vmx->intr_error = vmx->intr_info & INTR_INFO_DELIVER_CODE_MASK ?
			  lhv_vmread32(VM_EXIT_INTR_ERROR_CODE) : 0;
	exit->info2 = vmx->intr_info | (u64)vmx->intr_error << 32;
	switch (vmx->intr_info & INTR_INFO_INTR_TYPE_MASK) {
	case INTR_TYPE_NMI_INTR:
		exit->reason = LHV_EXIT_NMI;
		break;
	case INTR_TYPE_PRIV_SW_EXCEPTION:
	case INTR_TYPE_SOFT_EXCEPTION:
		exit->insn_len = lhv_vmread32(VM_EXIT_INSTRUCTION_LEN);
		break;
	default:
		if ((vmx->intr_info & INTR_INFO_VECTOR_MASK) == X86_TRAP_MC)
			exit->reason = LHV_EXIT_MCE;
	}
}

/* Does an exit take the interrupt from the host's APIC? Posted ones insist on that. */
static __always_inline bool acknowledges(const struct lhv_vmx_vcpu *vmx)
{
	return vmx->controls[LHV_VMX_EXIT] & VM_EXIT_ACK_INTR_ON_EXIT;
}

/* What only some exits have: an event that they interrupted, are, or an address. */
static __always_inline void read_more(struct lhv_vcpu *vcpu, u8 says)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);

	if (says & LHV_VMX_SAYS_VECTORING) {
		vmx->vectoring_info = lhv_vmread32(IDT_VECTORING_INFO_FIELD);
		if (vmx->vectoring_info & VECTORING_INFO_DELIVER_CODE_MASK)
			vmx->vectoring_error = lhv_vmread32(IDT_VECTORING_ERROR_CODE);
	}
	if (says & LHV_VMX_SAYS_ADDRESS)
		vcpu->exit.info2 = lhv_vmread64(GUEST_PHYSICAL_ADDRESS);
	if (vcpu->exit.reason == LHV_EXIT_EXCEPTION)
		read_exception(vcpu);
	else if (says & LHV_VMX_SAYS_EVENT && acknowledges(vmx))
		vmx->intr_info = lhv_vmread32(VM_EXIT_INTR_INFO);
}

/* Return: LHV_VMX_SAYS_*. */
static __always_inline u8 read_exit(struct lhv_vcpu *vcpu, u32 code)
{
	struct lhv_exit *exit = &vcpu->exit;
	u8 reason = LHV_EXIT_OTHER, says = LHV_VMX_SAYS_QUALIFICATION;

	if (likely(code < LHV_VMX_NR_REASONS && lhv_vmx_reasons[code].reason)) {
		reason = lhv_vmx_reasons[code].reason - 1;
		says = lhv_vmx_reasons[code].says;
	}
	exit->code = code;
	exit->reason = reason;
	exit->nr_bytes = 0;
	exit->info1 = says & LHV_VMX_SAYS_QUALIFICATION ? lhv_vmreadl(EXIT_QUALIFICATION) : 0;
	exit->info2 = 0;
	exit->insn_len = says & LHV_VMX_SAYS_LENGTH ? lhv_vmread32(VM_EXIT_INSTRUCTION_LEN) : 0;
	lhv_vmx(vcpu)->vectoring_info = 0;
	if (says & (LHV_VMX_SAYS_VECTORING | LHV_VMX_SAYS_ADDRESS | LHV_VMX_SAYS_EVENT))
		read_more(vcpu, says);
	else if (says & LHV_VMX_SAYS_OPERAND && exit->info1 & LHV_VMX_IO_STRING)
		exit->info2 = lhv_vmread32(VMX_INSTRUCTION_INFO);
	return says;
}

static __always_inline void read_state(struct lhv_vcpu *vcpu, u64 entered)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);

	vmx->known &= ~LHV_VMX_VOLATILE;
	vmx->vmcs_rip = lhv_vmreadl(GUEST_RIP);
	vmx->vmcs_rsp = lhv_vmreadl(GUEST_RSP);
	vmx->vmcs_rflags = lhv_vmreadl(GUEST_RFLAGS);
	vmx->vmcs_interruptibility = lhv_vmread32(GUEST_INTERRUPTIBILITY_INFO);
	vmx->interruptibility = vmx->vmcs_interruptibility;
	vcpu->rip = vmx->vmcs_rip;
	vcpu->regs[LHV_RSP] = vmx->vmcs_rsp;
	/* Take back a TF that was the debugger's. */
	if (unlikely((entered ^ vcpu->rflags) & X86_EFLAGS_TF))
		vcpu->rflags = vmx->vmcs_rflags & ~(u64)X86_EFLAGS_TF;
	else
		vcpu->rflags = vmx->vmcs_rflags;
	if (vmx->tpr)
		vcpu->cr8 = *vmx->tpr >> 4;
	vcpu->exit.shadow = vmx->interruptibility &
			    (GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS);
}

/* Settle what the entry was to deliver. */
static __always_inline void events_after_exit(struct lhv_vcpu *vcpu, u8 says)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);

	vmx->inject_info = 0;
	vcpu->ev.exc.injected = false;
	vcpu->ev.irq.injected = false;
	vcpu->ev.nmi_injected = false;
	if (unlikely(says & LHV_VMX_SAYS_VECTORING || vmx->soft_injected))
		lhv_vmx_interrupted(vcpu);
}

static bool entry_failed(struct lhv_vcpu *vcpu, u32 reason, const char *what)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);
	struct kvm_run *run = vcpu->run;

	vcpu->exit = (struct lhv_exit){ .code = reason, .reason = LHV_EXIT_OTHER };
	/* The event that was handed over is handed over again. */
	vmx->inject_info = 0;
	vmx->soft_injected = false;
	lhv_request_self(vcpu, LHV_REQ_EVENT);
	pr_err_ratelimited("VM %llu (pid %d) vCPU %u: VM entry failed: %s\n", vcpu->vm->id,
			   vcpu->vm->pid, vcpu->id, what);
	run->exit_reason = KVM_EXIT_FAIL_ENTRY;
	run->fail_entry.hardware_entry_failure_reason = reason;
	run->fail_entry.cpu = vcpu->cpu;
	return false;
}

/* VMfail: nothing was loaded. The VMCS is still current. */
static bool instruction_failed(struct lhv_vcpu *vcpu)
{
	u32 error = lhv_vmread32(VM_INSTRUCTION_ERROR);

	lhv_vmwrite32(VM_ENTRY_INTR_INFO_FIELD, 0);
	lhv_vmx_read_groups(lhv_vmx(vcpu), LHV_VMX_VOLATILE);
	lhv_vmx_dump(vcpu, lhv_vmx_instruction_error(error));
	return entry_failed(vcpu, error, lhv_vmx_instruction_error(error));
}

/*
 * The entry got as far as loading the guest. False: it failed for good; true: a machine check
 * hit meanwhile, and another try is fine.
 */
static bool guest_not_loaded(struct lhv_vcpu *vcpu, u32 reason)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);
	const char *what = "an MSR could not be loaded";
	u32 code = reason & EXIT_REASON_MASK;

	lhv_vmwrite32(VM_ENTRY_INTR_INFO_FIELD, 0);
	if (code == EXIT_REASON_MCE_DURING_VMENTRY) {
		vcpu->exit = (struct lhv_exit){ .code = code, .reason = LHV_EXIT_MCE };
		vmx->inject_info = 0;
		lhv_request_self(vcpu, LHV_REQ_EVENT);
		return true;
	}
	lhv_vmx_read_groups(vmx, LHV_VMX_VOLATILE);
	if (code == EXIT_REASON_INVALID_STATE) {
		vcpu->exit = (struct lhv_exit){
			.code = reason, .info1 = lhv_vmreadl(EXIT_QUALIFICATION),
		};
		vmx->intr_info = 0;
		vmx->vectoring_info = 0;
		what = lhv_vmx_bad_guest_state(vcpu);
		lhv_vmx_dump(vcpu, what);
	}
	return entry_failed(vcpu, reason, what);
}

/* The VMCS is current. As lhv_vmx_enter(). */
static __always_inline bool enter(struct lhv_vcpu *vcpu)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);
	u64 rflags = entry_rflags(vcpu);
	u32 reason;

	write_state(vcpu, rflags);
	if (unlikely(run_guest(vcpu)))
		return instruction_failed(vcpu);
	reason = lhv_vmread32(VM_EXIT_REASON);
	if (unlikely(reason & VMX_EXIT_REASONS_FAILED_VMENTRY))
		return guest_not_loaded(vcpu, reason);
	vmx->launched = true;	/* not before: SDM Vol 3C "VM Entries", loading state comes first */
	read_state(vcpu, rflags);
	events_after_exit(vcpu, read_exit(vcpu, reason & EXIT_REASON_MASK));
	return true;
}

/* See struct lhv_backend. */
bool lhv_vmx_enter(struct lhv_vcpu *vcpu)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);
	unsigned long cr4 = 0;
	bool entered;

	if (!lhv_host_vmx_resident() && unlikely(bracket_open(vmx, vmx->cpu, &cr4)))
		return entry_failed(vcpu, VMXERR_VMXON_IN_VMX_ROOT_OPERATION,
				    "VT-x is in use by another hypervisor (kvm_intel?)");
	entered = enter(vcpu);
	if (!lhv_host_vmx_resident()) {
		/* MMIO will ask for these, and a bracket of their own would cost more. */
		if (vcpu->exit.reason == LHV_EXIT_FAULT)
			lhv_vmx_read_groups(vmx, LHV_VMX_FOR_MMIO);
		bracket_close(vmx, cr4);
	}

	if (unlikely(!entered))
		return false;
	switch (vcpu->exit.reason) {
	case LHV_EXIT_INTR:
		if (!acknowledges(vmx))
			break;
		WRITE_ONCE(vcpu->mode, LHV_OUTSIDE_GUEST);	/* no need to kick it */
		lhv_host_interrupt(vmx->intr_info & INTR_INFO_VECTOR_MASK);
		break;
	case LHV_EXIT_NMI:
		lhv_host_nmi();
		break;
	case LHV_EXIT_MCE:
		lhv_host_machine_check();
		break;
	}
	return true;
}
