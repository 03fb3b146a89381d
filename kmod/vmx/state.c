// SPDX-License-Identifier: GPL-2.0
/*
 * lhv vmx/ - the guest's registers: what is kept of the VMCS, reset state, controls that follow
 * from state.
 *
 * Manual: SDM Vol 3C "Guest-State Area", "Checks on the Guest State Area", Vol 3A "Processor
 * State After Reset".
 */
#include <linux/cpufeature.h>
#include <asm/segment.h>

#include "vmx.h"

/* PAT after reset: WB, WT, UC-, UC, and the same again. */
#define PAT_RESET	0x0007040600070406ULL

/* PAUSE loops: this many cycles apart at most, for this many in all. */
#define PLE_GAP_CYCLES		128
#define PLE_WINDOW_CYCLES	4096

#define SEG_AVL		BIT(12)
#define SEG_DPL_MASK	3
#define SEG_AR(type)	(VMX_AR_P_MASK | VMX_AR_S_MASK | (type))
#define SYS_AR(type)	(VMX_AR_P_MASK | (type))
#define TYPE_CODE	0xb	/* execute, read, accessed */
#define TYPE_DATA	0x3	/* read, write, accessed */

/* ---- reading what the guest may have changed ---- */

static void read_seg(struct lhv_vmx_seg *s, int seg)
{
	int step = seg * LHV_VMCS_STEP;

	s->selector = lhv_vmread16(GUEST_ES_SELECTOR + step);
	s->base = lhv_vmreadl(GUEST_ES_BASE + step);
	s->limit = lhv_vmread32(GUEST_ES_LIMIT + step);
	s->ar = lhv_vmread32(GUEST_ES_AR_BYTES + step);
}

/**
 * lhv_vmx_read_groups() - take over what the guest has in some groups
 * @vmx: the vCPU; its VMCS is current
 * @groups: bits of the volatile groups; those already known are left alone
 */
void lhv_vmx_read_groups(struct lhv_vmx_vcpu *vmx, u32 groups)
{
	unsigned long todo = groups & LHV_VMX_VOLATILE & ~vmx->known;
	int group, i;

	for_each_set_bit(group, &todo, LHV_VMX_NR_VOLATILE) {
		switch (group) {
		case LHV_VMX_GDT:
			vmx->gdt.base = lhv_vmreadl(GUEST_GDTR_BASE);
			vmx->gdt.limit = lhv_vmread32(GUEST_GDTR_LIMIT);
			break;
		case LHV_VMX_IDT:
			vmx->idt.base = lhv_vmreadl(GUEST_IDTR_BASE);
			vmx->idt.limit = lhv_vmread32(GUEST_IDTR_LIMIT);
			break;
		case LHV_VMX_CR3:
			vmx->cr3 = lhv_vmreadl(GUEST_CR3);
			break;
		case LHV_VMX_SYSENTER:
			vmx->sysenter_cs = lhv_vmread32(GUEST_SYSENTER_CS);
			vmx->sysenter_esp = lhv_vmreadl(GUEST_SYSENTER_ESP);
			vmx->sysenter_eip = lhv_vmreadl(GUEST_SYSENTER_EIP);
			break;
		case LHV_VMX_PDPTES:
			for (i = 0; i < ARRAY_SIZE(vmx->pdptes); i++)
				vmx->pdptes[i] = lhv_vmread64(GUEST_PDPTR0 + i * LHV_VMCS_STEP);
			break;
		default:
			read_seg(&vmx->seg[group], group);
		}
	}
	vmx->known |= todo;
}

/* ---- writing what we changed ---- */

/* Form that the entry's checks ask for, where it makes no difference to the guest. */
static u32 fix_ar(struct lhv_vcpu *vcpu, const struct lhv_vmx_seg *s, int seg)
{
	u32 ar = s->ar;

	switch (seg) {
	case LHV_TR:
		if (ar & VMX_AR_UNUSABLE_MASK || !(ar & VMX_AR_P_MASK))
			ar = SYS_AR(VMX_AR_TYPE_BUSY_32_TSS);
		ar = (ar & ~VMX_AR_S_MASK) | 2;	/* busy */
		if (lhv_long_mode(vcpu) || (ar & VMX_AR_TYPE_MASK) != VMX_AR_TYPE_BUSY_16_TSS)
			ar = (ar & ~VMX_AR_TYPE_MASK) | VMX_AR_TYPE_BUSY_64_TSS;
		break;
	case LHV_LDTR:
		if ((ar & (VMX_AR_TYPE_MASK | VMX_AR_S_MASK | VMX_AR_P_MASK)) !=
		    SYS_AR(VMX_AR_TYPE_LDT))
			ar |= VMX_AR_UNUSABLE_MASK;
		break;
	default:
		if (!(ar & VMX_AR_UNUSABLE_MASK))
			ar |= VMX_AR_TYPE_ACCESSES_MASK;
	}
	if (ar & VMX_AR_UNUSABLE_MASK)
		return ar;
	if (s->limit & GENMASK(31, 20))
		ar |= VMX_AR_G_MASK;
	else if (~s->limit & GENMASK(11, 0))
		ar &= ~VMX_AR_G_MASK;
	return ar;
}

static void write_seg(struct lhv_vcpu *vcpu, int seg)
{
	const struct lhv_vmx_seg *s = &lhv_vmx(vcpu)->seg[seg];
	bool wide = seg == LHV_FS || seg == LHV_GS || seg >= LHV_LDTR;
	int step = seg * LHV_VMCS_STEP;

	lhv_vmwrite16(GUEST_ES_SELECTOR + step, s->selector);
	lhv_vmwritel(GUEST_ES_BASE + step, wide ? s->base : (u32)s->base);
	lhv_vmwrite32(GUEST_ES_LIMIT + step, s->limit);
	lhv_vmwrite32(GUEST_ES_AR_BYTES + step, fix_ar(vcpu, s, seg));
}

static noinline void write_eoi_exits(const struct lhv_vmx_vcpu *vmx)
{
	lhv_vmwrite64(EOI_EXIT_BITMAP0, vmx->eoi_exits[0]);
	lhv_vmwrite64(EOI_EXIT_BITMAP1, vmx->eoi_exits[1]);
	lhv_vmwrite64(EOI_EXIT_BITMAP2, vmx->eoi_exits[2]);
	lhv_vmwrite64(EOI_EXIT_BITMAP3, vmx->eoi_exits[3]);
}

/* What is the same for every entry of every vCPU, or of this one. */
static void write_constant(struct lhv_vcpu *vcpu)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);

	lhv_vmwrite64(EPT_POINTER, vmx->eptp);
	lhv_vmwrite64(MSR_BITMAP, virt_to_phys(vmx->msr_bitmap));
	lhv_vmwrite64(VMCS_LINK_POINTER, ~0ULL);
	lhv_vmwrite32(PAGE_FAULT_ERROR_CODE_MASK, 0);
	lhv_vmwrite32(PAGE_FAULT_ERROR_CODE_MATCH, 0);
	lhv_vmwrite32(CR3_TARGET_COUNT, 0);
	lhv_vmwrite32(VM_EXIT_MSR_STORE_COUNT, 0);
	lhv_vmwrite32(VM_EXIT_MSR_LOAD_COUNT, 0);
	lhv_vmwrite32(VM_ENTRY_MSR_LOAD_COUNT, 0);
	lhv_vmwrite64(VM_EXIT_MSR_LOAD_ADDR, __pa(vmx->pebs_host));
	lhv_vmwrite64(VM_ENTRY_MSR_LOAD_ADDR, __pa(vmx->pebs_guest));
	vmx->pebs = 0;
	lhv_vmwrite32(VM_ENTRY_INTR_INFO_FIELD, 0);
	lhv_vmwrite32(GUEST_ACTIVITY_STATE, GUEST_ACTIVITY_ACTIVE);
	lhv_vmwrite32(GUEST_INTERRUPTIBILITY_INFO, 0);
	lhv_vmwrite64(GUEST_IA32_DEBUGCTL, 0);
	/* Every bit of CR0 and CR4 is the host's: the guest reads the shadow, a change exits. */
	lhv_vmwritel(CR0_GUEST_HOST_MASK, ~0ULL);
	lhv_vmwritel(CR4_GUEST_HOST_MASK, ~0ULL);
	if (vmx->vpid)
		lhv_vmwrite16(VIRTUAL_PROCESSOR_ID, vmx->vpid);
	if (lhv_vmx_has(LHV_VMX_CPU2, SECONDARY_EXEC_PAUSE_LOOP_EXITING)) {
		lhv_vmwrite32(PLE_GAP, PLE_GAP_CYCLES);
		lhv_vmwrite32(PLE_WINDOW, PLE_WINDOW_CYCLES);
	}
	if (lhv_vmx_has(LHV_VMX_CPU2, SECONDARY_EXEC_ENCLS_EXITING))
		lhv_vmwrite64(ENCLS_EXITING_BITMAP, ~0ULL);
	if (vcpu->lapic && vcpu->lapic->notify) {
		lhv_vmwrite16(POSTED_INTR_NV, lhv_host_notify_vector());
		lhv_vmwrite64(POSTED_INTR_DESC_ADDR, virt_to_phys(vcpu->lapic->posted));
	}

	lhv_vmwrite16(HOST_CS_SELECTOR, __KERNEL_CS);
	lhv_vmwrite16(HOST_SS_SELECTOR, __KERNEL_DS);
	/* Those of the VMM's thread, which the fields can't hold: see lhv_host_segs_restore(). */
	lhv_vmwrite16(HOST_DS_SELECTOR, 0);
	lhv_vmwrite16(HOST_ES_SELECTOR, 0);
	lhv_vmwrite16(HOST_FS_SELECTOR, 0);
	lhv_vmwrite16(HOST_GS_SELECTOR, 0);
	lhv_vmwrite16(HOST_TR_SELECTOR, GDT_ENTRY_TSS * 8);
	lhv_vmwritel(HOST_RIP, (unsigned long)lhv_vmx_exit_point);
	if (lhv_vmx_has(LHV_VMX_PIN, PIN_BASED_VMX_PREEMPTION_TIMER))
		lhv_vmwrite32(VMX_PREEMPTION_TIMER_VALUE, U32_MAX);
	if (lhv_vmx_has(LHV_VMX_CPU2, LHV_VMX_VIRTUAL_IRQS))
		write_eoi_exits(vmx);
	vmx->vmcs_timer = U32_MAX;
	vmx->vmcs_interruptibility = 0;
	vmx->vmcs_rsp = lhv_vmreadl(GUEST_RSP);
	vmx->vmcs_rip = lhv_vmreadl(GUEST_RIP);
	vmx->vmcs_rflags = lhv_vmreadl(GUEST_RFLAGS);
	vmx->host_cr3 = lhv_vmreadl(HOST_CR3);
	vmx->host_cr4 = lhv_vmreadl(HOST_CR4);
	vmx->host_rsp = lhv_vmreadl(HOST_RSP);
	vmx->host_fs_base = lhv_vmreadl(HOST_FS_BASE);
}

/*
 * S_CET is neither loaded nor saved: with CR4.CET off, which it is for the guest, it means
 * nothing, its accesses are intercepted, and so the host's value is there all the time.
 */
static void write_host(void)
{
	struct lhv_host_cpu_state host;

	lhv_host_cpu_state(&host);
	lhv_vmwritel(HOST_CR0, host.cr0);
	lhv_vmwrite64(HOST_IA32_EFER, host.efer);
	lhv_vmwrite64(HOST_IA32_PAT, host.pat);
	lhv_vmwritel(HOST_GS_BASE, host.gs_base);
	lhv_vmwritel(HOST_TR_BASE, host.tr_base);
	lhv_vmwritel(HOST_GDTR_BASE, host.gdt_base);
	lhv_vmwritel(HOST_IDTR_BASE, host.idt_base);
	lhv_vmwrite32(HOST_IA32_SYSENTER_CS, host.sysenter_cs);
	lhv_vmwritel(HOST_IA32_SYSENTER_ESP, host.sysenter_esp);
	lhv_vmwritel(HOST_IA32_SYSENTER_EIP, host.sysenter_eip);
}

static void write_controls(const struct lhv_vmx_vcpu *vmx)
{
	lhv_vmwrite32(PIN_BASED_VM_EXEC_CONTROL, vmx->controls[LHV_VMX_PIN]);
	lhv_vmwrite32(CPU_BASED_VM_EXEC_CONTROL, vmx->controls[LHV_VMX_CPU]);
	lhv_vmwrite32(SECONDARY_VM_EXEC_CONTROL, vmx->controls[LHV_VMX_CPU2]);
	lhv_vmwrite32(VM_EXIT_CONTROLS, vmx->controls[LHV_VMX_EXIT]);
	lhv_vmwrite32(VM_ENTRY_CONTROLS, vmx->controls[LHV_VMX_ENTRY]);
	lhv_vmwrite32(EXCEPTION_BITMAP, vmx->exceptions);
}

/* Caching stays on in hardware: a guest must not slow down memory that others share. */
static u64 hw_cr0(u64 cr0)
{
	const u64 unrestricted = X86_CR0_PE | X86_CR0_PG;

	return (cr0 & ~(u64)(X86_CR0_CD | X86_CR0_NW)) | (lhv_vmx_caps.cr0_fixed & ~unrestricted);
}

/* With CR4.MCE off a machine check would shut the whole host down: the host's setting holds. */
static u64 hw_cr4(u64 cr4)
{
	return cr4 | lhv_vmx_caps.cr4_fixed | (native_read_cr4() & X86_CR4_MCE);
}

/* SDM Vol 3C "Guest Non-Register State": RVI and SVI follow from the register page. */
static void write_virtual_irqs(struct lhv_vmx_vcpu *vmx, const struct lhv_lapic *l)
{
	const unsigned long *told = vmx->eoi_exits, *wanted = l->posted->eoi_exits;
	int rvi = max(lhv_lapic_highest(l, APIC_IRR), 0);
	int svi = max(lhv_lapic_highest(l, APIC_ISR), 0);

	lhv_vmwrite16(GUEST_INTR_STATUS, rvi | svi << 8);
	/* They only grow, and seldom do. */
	if (unlikely((told[0] ^ wanted[0]) | (told[1] ^ wanted[1]) | (told[2] ^ wanted[2]) |
		     (told[3] ^ wanted[3]))) {
		memcpy(vmx->eoi_exits, wanted, sizeof(vmx->eoi_exits));
		write_eoi_exits(vmx);
	}
}

static void write_group(struct lhv_vcpu *vcpu, int group)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);
	int i;

	switch (group) {
	case LHV_VMX_GDT:
		lhv_vmwritel(GUEST_GDTR_BASE, vmx->gdt.base);
		lhv_vmwrite32(GUEST_GDTR_LIMIT, vmx->gdt.limit);
		break;
	case LHV_VMX_IDT:
		lhv_vmwritel(GUEST_IDTR_BASE, vmx->idt.base);
		lhv_vmwrite32(GUEST_IDTR_LIMIT, vmx->idt.limit);
		break;
	case LHV_VMX_CR3:
		lhv_vmwritel(GUEST_CR3, vmx->cr3);
		break;
	case LHV_VMX_SYSENTER:
		lhv_vmwrite32(GUEST_SYSENTER_CS, vmx->sysenter_cs);
		lhv_vmwritel(GUEST_SYSENTER_ESP, vmx->sysenter_esp);
		lhv_vmwritel(GUEST_SYSENTER_EIP, vmx->sysenter_eip);
		break;
	case LHV_VMX_CR0:
		lhv_vmwritel(GUEST_CR0, hw_cr0(vcpu->cr0));
		lhv_vmwritel(CR0_READ_SHADOW, vcpu->cr0);
		break;
	case LHV_VMX_CR4:
		lhv_vmwritel(GUEST_CR4, hw_cr4(vcpu->cr4));
		lhv_vmwritel(CR4_READ_SHADOW, vcpu->cr4);
		break;
	case LHV_VMX_EFER:
		lhv_vmwrite64(GUEST_IA32_EFER, vcpu->efer);
		break;
	case LHV_VMX_PAT:
		lhv_vmwrite64(GUEST_IA32_PAT, vmx->pat);
		break;
	case LHV_VMX_DR7:
		lhv_vmwritel(GUEST_DR7, vmx->dr7);
		break;
	case LHV_VMX_TSC:
		lhv_vmwrite64(TSC_OFFSET, vmx->tsc_offset);
		if (lhv_vmx_has(LHV_VMX_CPU2, SECONDARY_EXEC_TSC_SCALING))
			lhv_vmwrite64(TSC_MULTIPLIER, vcpu->cpu_state.tsc_ratio);
		break;
	case LHV_VMX_CONTROLS:
		write_controls(vmx);
		break;
	case LHV_VMX_PDPTES:
		for (i = 0; i < ARRAY_SIZE(vmx->pdptes); i++)
			lhv_vmwrite64(GUEST_PDPTR0 + i * LHV_VMCS_STEP, vmx->pdptes[i]);
		break;
	case LHV_VMX_PENDING_DBG:
		lhv_vmwritel(GUEST_PENDING_DBG_EXCEPTIONS, vmx->pending_dbg);
		break;
	case LHV_VMX_TPR:
		if (vmx->tpr) {
			lhv_vmwrite64(VIRTUAL_APIC_PAGE_ADDR, virt_to_phys(vcpu->lapic->regs));
			lhv_vmwrite32(TPR_THRESHOLD, vmx->tpr_threshold);
		}
		break;
	case LHV_VMX_VIRTUAL_IRQ:
		if (vcpu->lapic && vcpu->lapic->virtual)
			write_virtual_irqs(vmx, vcpu->lapic);
		break;
	case LHV_VMX_ACTIVITY:
		lhv_vmwrite32(GUEST_ACTIVITY_STATE, GUEST_ACTIVITY_ACTIVE);
		break;
	case LHV_VMX_CONSTANT:
		write_constant(vcpu);
		break;
	case LHV_VMX_HOST:
		write_host();
		break;
	default:
		write_seg(vcpu, group);
	}
}

/**
 * lhv_vmx_write_dirty() - tell the VMCS what changed
 * @vcpu: the vCPU; its VMCS is current
 */
void lhv_vmx_write_dirty(struct lhv_vcpu *vcpu)
{
	unsigned long dirty = lhv_vmx(vcpu)->dirty;
	int group;

	for_each_set_bit(group, &dirty, LHV_VMX_NR_GROUPS)
		write_group(vcpu, group);
	lhv_vmx(vcpu)->dirty = 0;
}

/* ---- reset ---- */

static void init_seg(struct lhv_vmx_vcpu *vmx, int seg, u32 ar)
{
	vmx->seg[seg] = (struct lhv_vmx_seg){ .limit = 0xffff, .ar = ar };
}

/**
 * lhv_vmx_reset() - the state of a CPU that comes out of reset or INIT
 * @vcpu: the vCPU
 * @init: INIT leaves MSRs alone
 */
void lhv_vmx_reset(struct lhv_vcpu *vcpu, bool init)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);
	int seg;

	if (init)
		lhv_vmx_need(vcpu, BIT(LHV_VMX_SYSENTER));
	for (seg = LHV_ES; seg <= LHV_GS; seg++)
		init_seg(vmx, seg, SEG_AR(seg == LHV_CS ? TYPE_CODE : TYPE_DATA));
	init_seg(vmx, LHV_LDTR, SYS_AR(VMX_AR_TYPE_LDT));
	init_seg(vmx, LHV_TR, SYS_AR(VMX_AR_TYPE_BUSY_32_TSS));
	/* SDM Vol 3A "First Instruction Executed" */
	vmx->seg[LHV_CS].selector = 0xf000;
	vmx->seg[LHV_CS].base = 0xffff0000;
	vmx->gdt = (struct kvm_dtable){ .limit = 0xffff };
	vmx->idt = vmx->gdt;

	if (!init) {
		vmx->sysenter_cs = 0;
		vmx->sysenter_esp = 0;
		vmx->sysenter_eip = 0;
		vmx->pat = PAT_RESET;
		vmx->star = 0;
		vmx->lstar = 0;
		vmx->cstar = 0;
		vmx->sfmask = 0;
		vmx->kernel_gs_base = 0;
		vcpu->cpu_state.spec_ctrl = 0;
	}
	lhv_vmx_initial_controls(vmx);
	lhv_vmx_control(vmx, CPU2, SECONDARY_EXEC_ENABLE_VPID, vmx->vpid);
	vmx->halts = lhv_stays_in_guest(vcpu->vm, KVM_X86_DISABLE_EXITS_HLT);
	if (vmx->halts)
		lhv_vmx_control(vmx, CPU, CPU_BASED_HLT_EXITING, false);
	vmx->sleeps = lhv_stays_in_guest(vcpu->vm, KVM_X86_DISABLE_EXITS_MWAIT);
	if (vmx->sleeps)
		lhv_vmx_control(vmx, CPU, CPU_BASED_MWAIT_EXITING | CPU_BASED_MONITOR_EXITING,
				false);
	if (lhv_stays_in_guest(vcpu->vm, KVM_X86_DISABLE_EXITS_PAUSE))
		lhv_vmx_control(vmx, CPU2, SECONDARY_EXEC_PAUSE_LOOP_EXITING, false);
	lhv_vmx_virtual_irqs(vcpu, false);
	vmx->tpr_threshold = 0;
	vmx->deadline = 0;
	if (vcpu->lapic && lhv_vmx_has(LHV_VMX_CPU, CPU_BASED_TPR_SHADOW)) {
		vmx->tpr = vcpu->lapic->regs + APIC_TASKPRI;
		lhv_vmx_control(vmx, CPU, CPU_BASED_TPR_SHADOW, true);
		lhv_vmx_control(vmx, CPU, CPU_BASED_CR8_LOAD_EXITING | CPU_BASED_CR8_STORE_EXITING,
				false);
	}
	/*
	 * #AC and #DB for the host's sake: a guest whose handler raises the same exception while
	 * it is being delivered would keep the CPU busy without ever letting an interrupt
	 * through (CVE-2015-5307, CVE-2015-8104).
	 */
	vmx->exceptions = BIT(X86_TRAP_DB) | BIT(X86_TRAP_AC) | BIT(X86_TRAP_MC);
	if (lhv_has_quirk(vcpu->vm, KVM_X86_QUIRK_FIX_HYPERCALL_INSN))
		vmx->exceptions |= BIT(X86_TRAP_UD);
	vmx->interruptibility = 0;
	vmx->pending_dbg = 0;
	vmx->inject_info = 0;
	vmx->soft_injected = false;
	vmx->dr_open = false;
	lhv_vmx_set_tsc_offset(vcpu, vcpu->cpu_state.tsc_offset);
	vmx->flush_ept = true;
	vmx->flush_vpid = true;
	vmx->known = LHV_VMX_ALL;
	vmx->dirty |= LHV_VMX_ALL & ~(BIT(LHV_VMX_CONSTANT) | BIT(LHV_VMX_HOST));
	lhv_vmx_cpuid_changed(vcpu);
	lhv_vmx_update_debug(vcpu);
}

/* See struct lhv_backend. */
void lhv_vmx_cpuid_changed(struct lhv_vcpu *vcpu)
{
	const struct lhv_cpu *cpu = &vcpu->cpu_state;
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);

	vmx->has_tsc_aux = (lhv_has(cpu, LHV_F_RDTSCP) || lhv_has(cpu, LHV_F_RDPID)) &&
			   lhv_host_user_msr_present(LHV_USER_MSR_TSC_AUX);
	lhv_vmx_control(vmx, CPU2, SECONDARY_EXEC_ENABLE_RDTSCP,
			lhv_has(cpu, LHV_F_RDTSCP) || lhv_has(cpu, LHV_F_RDPID));
	lhv_vmx_control(vmx, CPU2, SECONDARY_EXEC_ENABLE_INVPCID, lhv_has(cpu, LHV_F_INVPCID));
	lhv_vmx_msr_update(vcpu);
}

/* ---- debug registers ---- */

/**
 * lhv_vmx_open_dr() - the guest uses its debug registers: let it, until the atomic tier ends
 * @vcpu: the vCPU; no debugger owns the registers
 *
 * From the next entry on they are loaded before and read back after the guest runs.
 */
void lhv_vmx_open_dr(struct lhv_vcpu *vcpu)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);

	vmx->dr_open = true;
	vmx->dr = vcpu->cpu_state.db;
	lhv_vmx_control(vmx, CPU, CPU_BASED_MOV_DR_EXITING, false);
}

/* The mirror: from now on an access exits again. */
void lhv_vmx_close_dr(struct lhv_vcpu *vcpu)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);

	vmx->dr_open = false;
	lhv_vmx_control(vmx, CPU, CPU_BASED_MOV_DR_EXITING, true);
	lhv_vmx_update_debug(vcpu);
}

/* See struct lhv_backend. */
void lhv_vmx_update_debug(struct lhv_vcpu *vcpu)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);
	u32 exceptions = vmx->exceptions & ~BIT(X86_TRAP_BP);

	lhv_vmx_set_dr7(vcpu, lhv_effective_dr7(&vcpu->cpu_state));
	if (vcpu->cpu_state.guest_debug & KVM_GUESTDBG_USE_SW_BP)
		exceptions |= BIT(X86_TRAP_BP);
	if (vmx->exceptions != exceptions) {
		vmx->exceptions = exceptions;
		vmx->dirty |= BIT(LHV_VMX_CONTROLS);
	}
}

/* A VM exit that reports #DB leaves DR6 alone; so does everything else while accesses exit. */
u64 lhv_vmx_get_dr6(struct lhv_vcpu *vcpu)
{
	return vcpu->cpu_state.dr6;
}

void lhv_vmx_set_dr6(struct lhv_vcpu *vcpu, u64 dr6)
{
	vcpu->cpu_state.dr6 = dr6;
}

/* @dr7: the guest's, or the debugger's while that owns the breakpoints. */
void lhv_vmx_set_dr7(struct lhv_vcpu *vcpu, u64 dr7)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);

	if (!vmx->dr_open)
		vmx->dr = dr7 & (DR_GLOBAL_ENABLE_MASK | DR_LOCAL_ENABLE_MASK) ?
			  lhv_effective_db(&vcpu->cpu_state) : NULL;
	if (vmx->dr7 != dr7) {
		vmx->dr7 = dr7;
		vmx->dirty |= BIT(LHV_VMX_DR7);
	}
}

/* ---- translations ---- */

/* See struct lhv_backend. */
void lhv_vmx_flush_guest(struct lhv_vcpu *vcpu)
{
	lhv_vmx(vcpu)->flush_vpid = true;
}

/* ---- segments and tables ---- */

/**
 * lhv_vmx_segment_ar() - access rights as the VMCS has them
 * @in: the segment
 */
u32 lhv_vmx_segment_ar(const struct kvm_segment *in)
{
	return (in->type & VMX_AR_TYPE_MASK) |
	       (in->s & 1 ? VMX_AR_S_MASK : 0) |
	       (in->dpl & SEG_DPL_MASK) << VMX_AR_DPL_SHIFT |
	       (in->present & 1 ? VMX_AR_P_MASK : 0) |
	       (in->avl & 1 ? SEG_AVL : 0) |
	       (in->l & 1 ? VMX_AR_L_MASK : 0) |
	       (in->db & 1 ? VMX_AR_DB_MASK : 0) |
	       (in->g & 1 ? VMX_AR_G_MASK : 0) |
	       (in->unusable || !in->present ? VMX_AR_UNUSABLE_MASK : 0);
}

void lhv_vmx_get_seg(struct lhv_vcpu *vcpu, enum lhv_seg seg, struct kvm_segment *out)
{
	const struct lhv_vmx_seg *s = &lhv_vmx(vcpu)->seg[seg];

	lhv_vmx_need(vcpu, BIT(LHV_VMX_SEG + seg));
	*out = (struct kvm_segment){
		.base = s->base,
		.limit = s->limit,
		.selector = s->selector,
		.type = s->ar & VMX_AR_TYPE_MASK,
		.s = !!(s->ar & VMX_AR_S_MASK),
		.dpl = VMX_AR_DPL(s->ar),
		.present = !(s->ar & VMX_AR_UNUSABLE_MASK),
		.avl = !!(s->ar & SEG_AVL),
		.l = !!(s->ar & VMX_AR_L_MASK),
		.db = !!(s->ar & VMX_AR_DB_MASK),
		.g = !!(s->ar & VMX_AR_G_MASK),
		.unusable = !!(s->ar & VMX_AR_UNUSABLE_MASK),
	};
}

void lhv_vmx_set_seg(struct lhv_vcpu *vcpu, enum lhv_seg seg, const struct kvm_segment *in)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);

	vmx->seg[seg] = (struct lhv_vmx_seg){
		.base = in->base,
		.limit = in->limit,
		.selector = in->selector,
		.ar = lhv_vmx_segment_ar(in),
	};
	lhv_vmx_mark_dirty(vmx, LHV_VMX_SEG + seg);
}

void lhv_vmx_get_idt(struct lhv_vcpu *vcpu, struct kvm_dtable *out)
{
	lhv_vmx_need(vcpu, BIT(LHV_VMX_IDT));
	*out = lhv_vmx(vcpu)->idt;
}

void lhv_vmx_set_idt(struct lhv_vcpu *vcpu, const struct kvm_dtable *in)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);

	vmx->idt = (struct kvm_dtable){ .base = in->base, .limit = in->limit };
	lhv_vmx_mark_dirty(vmx, LHV_VMX_IDT);
}

void lhv_vmx_get_gdt(struct lhv_vcpu *vcpu, struct kvm_dtable *out)
{
	lhv_vmx_need(vcpu, BIT(LHV_VMX_GDT));
	*out = lhv_vmx(vcpu)->gdt;
}

void lhv_vmx_set_gdt(struct lhv_vcpu *vcpu, const struct kvm_dtable *in)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);

	vmx->gdt = (struct kvm_dtable){ .base = in->base, .limit = in->limit };
	lhv_vmx_mark_dirty(vmx, LHV_VMX_GDT);
}

int lhv_vmx_get_code(struct lhv_vcpu *vcpu, u64 *base)
{
	const struct lhv_vmx_seg *cs = &lhv_vmx(vcpu)->seg[LHV_CS];

	lhv_vmx_need(vcpu, BIT(LHV_VMX_SEG + LHV_CS));
	*base = 0;
	if (cs->ar & VMX_AR_L_MASK && lhv_long_mode(vcpu))
		return 8;
	*base = cs->base;
	return cs->ar & VMX_AR_DB_MASK ? 4 : 2;
}

/* SDM Vol 3C "Guest Register State": SS.DPL is always the CPL, but for the two modes without. */
int lhv_vmx_get_cpl(struct lhv_vcpu *vcpu)
{
	if (!lhv_protected_mode(vcpu))
		return 0;
	if (vcpu->rflags & X86_EFLAGS_VM)
		return 3;
	lhv_vmx_need(vcpu, BIT(LHV_VMX_SEG + LHV_SS));
	return VMX_AR_DPL(lhv_vmx(vcpu)->seg[LHV_SS].ar);
}

/* ---- control registers ---- */

static bool pae_paging(struct lhv_vcpu *vcpu)
{
	return lhv_paging(vcpu) && vcpu->cr4 & X86_CR4_PAE && !lhv_long_mode(vcpu);
}

/* SDM Vol 3A "PDPTE Registers": what a present entry may not have set. */
static bool pdpte_valid(const struct lhv_vcpu *vcpu, u64 pdpte)
{
	const u64 reserved = GENMASK_ULL(2, 1) | GENMASK_ULL(8, 5) |
			     GENMASK_ULL(63, boot_cpu_data.x86_phys_bits);

	return !(pdpte & _PAGE_PRESENT && pdpte & (reserved | vcpu->cpu_state.gpa_reserved));
}

/**
 * lhv_vmx_load_pdptes() - the four entries that PAE paging keeps in the CPU
 * @vcpu: the vCPU; either tier
 *
 * The CPU loads them when the guest moves to CR3; when we change CR0 or CR4 for it, it is
 * for us. Return: 0; -EAGAIN in the atomic tier: not resident; -EINVAL: #GP(0), they stay as
 * they were.
 */
int lhv_vmx_load_pdptes(struct lhv_vcpu *vcpu)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);
	u64 pdptes[ARRAY_SIZE(vmx->pdptes)];
	int i, ret;

	lhv_vmx_need(vcpu, BIT(LHV_VMX_CR3));
	ret = lhv_read_gpa(vcpu, vmx->cr3 & GENMASK_ULL(31, 5), pdptes, sizeof(pdptes));
	if (ret == -EAGAIN)
		return ret;
	if (ret)	/* no memory there: not present */
		memset(pdptes, 0, sizeof(pdptes));
	for (i = 0; i < ARRAY_SIZE(pdptes); i++) {
		if (!pdpte_valid(vcpu, pdptes[i]))
			return -EINVAL;
	}
	lhv_vmx_set_pdptrs(vcpu, pdptes);
	return 0;
}

void lhv_vmx_get_pdptrs(struct lhv_vcpu *vcpu, u64 pdptrs[4])
{
	lhv_vmx_need(vcpu, BIT(LHV_VMX_PDPTES));
	memcpy(pdptrs, lhv_vmx(vcpu)->pdptes, sizeof(lhv_vmx(vcpu)->pdptes));
}

void lhv_vmx_set_pdptrs(struct lhv_vcpu *vcpu, const u64 pdptrs[4])
{
	memcpy(lhv_vmx(vcpu)->pdptes, pdptrs, sizeof(lhv_vmx(vcpu)->pdptes));
	lhv_vmx_mark_dirty(lhv_vmx(vcpu), LHV_VMX_PDPTES);
}

u64 lhv_vmx_get_cr3(struct lhv_vcpu *vcpu)
{
	lhv_vmx_need(vcpu, BIT(LHV_VMX_CR3));
	return lhv_vmx(vcpu)->cr3;
}

void lhv_vmx_set_cr0(struct lhv_vcpu *vcpu, u64 cr0)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);

	if ((vcpu->cr0 ^ cr0) & (X86_CR0_PG | X86_CR0_WP))
		vmx->flush_vpid = true;
	vcpu->cr0 = cr0 | X86_CR0_ET;
	vmx->dirty |= BIT(LHV_VMX_CR0);
}

/* Called last of the control registers by KVM_SET_SREGS, which is in the slow tier. */
void lhv_vmx_set_cr3(struct lhv_vcpu *vcpu, u64 cr3)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);

	vmx->cr3 = cr3;
	lhv_vmx_mark_dirty(vmx, LHV_VMX_CR3);
	vmx->flush_vpid = true;
	if (pae_paging(vcpu))
		lhv_vmx_load_pdptes(vcpu);
}

void lhv_vmx_set_cr4(struct lhv_vcpu *vcpu, u64 cr4)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);

	if (vcpu->cr4 != cr4)
		vmx->flush_vpid = true;
	vcpu->cr4 = cr4;
	vmx->dirty |= BIT(LHV_VMX_CR4);
}

void lhv_vmx_set_efer(struct lhv_vcpu *vcpu, u64 efer)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);

	if ((vcpu->efer ^ efer) & EFER_LMA) {
		/* The form of TR depends on it. */
		lhv_vmx_need(vcpu, BIT(LHV_VMX_SEG + LHV_TR));
		vmx->dirty |= BIT(LHV_VMX_SEG + LHV_TR);
	}
	if (vcpu->efer != efer)
		vmx->flush_vpid = true;
	vcpu->efer = efer;
	vmx->dirty |= BIT(LHV_VMX_EFER);
	lhv_vmx_control(vmx, ENTRY, VM_ENTRY_IA32E_MODE, efer & EFER_LMA);
}

/* See struct lhv_backend. */
u64 lhv_vmx_max_tsc_ratio(void)
{
	return lhv_vmx_has(LHV_VMX_CPU2, SECONDARY_EXEC_TSC_SCALING) ? U64_MAX : 0;
}

/* SDM Vol 3C "TSC-Multiplier Field": a fraction of 48 bits, as lhv_cpu's ratio is. */
void lhv_vmx_set_tsc_offset(struct lhv_vcpu *vcpu, u64 offset)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);

	BUILD_BUG_ON(LHV_TSC_FRACTION != 48);
	vmx->tsc_offset = offset;
	vmx->dirty |= BIT(LHV_VMX_TSC);
	lhv_vmx_control(vmx, CPU2, SECONDARY_EXEC_TSC_SCALING,
			vcpu->cpu_state.tsc_ratio != LHV_TSC_UNSCALED);
}

/* See struct lhv_backend. */
bool lhv_vmx_set_deadline(struct lhv_vcpu *vcpu, u64 guest_tsc)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);

	/* It may stand still in what MWAIT leads to. */
	if (vmx->sleeps || !lhv_vmx_has(LHV_VMX_PIN, PIN_BASED_VMX_PREEMPTION_TIMER))
		return false;
	vmx->deadline = guest_tsc;
	return true;
}
