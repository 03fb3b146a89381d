// SPDX-License-Identifier: GPL-2.0
/*
 * lhv vmx/ - a VM entry that failed, in words: which check, which field.
 *
 * The hardware says only that the guest's state is invalid. So the checks are made again
 * here, in the manual's order, on what the VMCS was told.
 *
 * Manual: SDM Vol 3C "Checks on the Guest State Area", "VM-Instruction Error Numbers".
 */
#define pr_fmt(fmt) "lhv: " fmt

#include <linux/printk.h>
#include <linux/ratelimit.h>

#include "vmx.h"

/* Types that SS may have: writable and accessed, growing up or down. */
#define SS_UP	3
#define SS_DOWN	7

static const char * const seg_names[LHV_NR_SEGS] = {
	"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr",
};

/**
 * lhv_vmx_instruction_error() - the VM-instruction error in words
 * @error: VM_INSTRUCTION_ERROR
 */
const char *lhv_vmx_instruction_error(u32 error)
{
	switch (error) {
	case VMXERR_VMLAUNCH_NONCLEAR_VMCS:
		return "VMLAUNCH with a VMCS that is not clear";
	case VMXERR_VMRESUME_NONLAUNCHED_VMCS:
		return "VMRESUME with a VMCS that was not launched";
	case VMXERR_VMRESUME_AFTER_VMXOFF:
		return "VMRESUME after VMXOFF";
	case VMXERR_ENTRY_INVALID_CONTROL_FIELD:
		return "invalid control field";
	case VMXERR_ENTRY_INVALID_HOST_STATE_FIELD:
		return "invalid host-state field";
	case VMXERR_ENTRY_EVENTS_BLOCKED_BY_MOV_SS:
		return "the host's events are blocked by MOV SS";
	default:
		return "VMLAUNCH or VMRESUME failed";
	}
}

static bool canonical(u64 addr)
{
	int shift = 64 - boot_cpu_data.x86_virt_bits;

	return (u64)((s64)(addr << shift) >> shift) == addr;
}

static bool usable(const struct lhv_vmx_seg *s)
{
	return !(s->ar & VMX_AR_UNUSABLE_MASK);
}

static const char *bad_control_regs(struct lhv_vcpu *vcpu)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);
	bool lma = vcpu->efer & EFER_LMA, pg = vcpu->cr0 & X86_CR0_PG;

	if (pg && !(vcpu->cr0 & X86_CR0_PE))
		return "CR0.PG without CR0.PE";
	if (lma && !pg)
		return "EFER.LMA without CR0.PG";
	if (lma && !(vcpu->cr4 & X86_CR4_PAE))
		return "EFER.LMA without CR4.PAE";
	if (!lma && vcpu->cr4 & X86_CR4_PCIDE)
		return "CR4.PCIDE outside long mode";
	if (vmx->cr3 >> boot_cpu_data.x86_phys_bits)
		return "CR3 beyond the physical address width";
	if (upper_32_bits(vmx->dr7))
		return "DR7 bits 63:32";
	if (!canonical(vmx->sysenter_esp) || !canonical(vmx->sysenter_eip))
		return "SYSENTER_ESP or SYSENTER_EIP not canonical";
	if (pg && lma != !!(vcpu->efer & EFER_LME))
		return "EFER.LMA unlike EFER.LME";
	return NULL;
}

static const char *bad_v86_segment(const struct lhv_vmx_seg *s)
{
	if (s->base != (u64)s->selector << 4)
		return "base of a segment in virtual-8086 mode";
	if (s->limit != 0xffff)
		return "limit of a segment in virtual-8086 mode";
	return s->ar != 0xf3 ? "access rights of a segment in virtual-8086 mode" : NULL;
}

static const char *bad_code_segment(struct lhv_vcpu *vcpu)
{
	const struct lhv_vmx_seg *cs = &lhv_vmx(vcpu)->seg[LHV_CS];
	const struct lhv_vmx_seg *ss = &lhv_vmx(vcpu)->seg[LHV_SS];

	if (!usable(cs) || !(cs->ar & VMX_AR_P_MASK) || !(cs->ar & VMX_AR_S_MASK))
		return "CS not present, or no code or data segment";
	switch ((cs->ar | VMX_AR_TYPE_ACCESSES_MASK) & VMX_AR_TYPE_MASK) {
	case 3:
		if (VMX_AR_DPL(cs->ar))
			return "CS is a data segment with DPL other than 0";
		break;
	case 9:
	case 11:
		if (VMX_AR_DPL(cs->ar) != VMX_AR_DPL(ss->ar))
			return "CS.DPL unlike SS.DPL";
		break;
	case 13:
	case 15:
		if (VMX_AR_DPL(cs->ar) > VMX_AR_DPL(ss->ar))
			return "conforming CS.DPL above SS.DPL";
		break;
	default:
		return "CS type";
	}
	if (cs->ar & VMX_AR_L_MASK && cs->ar & VMX_AR_DB_MASK && lhv_long_mode(vcpu))
		return "CS.L and CS.D both set";
	return upper_32_bits(cs->base) ? "CS base bits 63:32" : NULL;
}

static const char *bad_segments(struct lhv_vcpu *vcpu)
{
	const struct lhv_vmx_seg *seg = lhv_vmx(vcpu)->seg;
	u32 ss_type = seg[LHV_SS].ar & VMX_AR_TYPE_MASK;
	const char *why;
	int i;

	if (vcpu->rflags & X86_EFLAGS_VM) {
		for (i = LHV_ES; i <= LHV_GS; i++) {
			why = bad_v86_segment(&seg[i]);
			if (why)
				return why;
		}
		return NULL;
	}
	why = bad_code_segment(vcpu);
	if (why)
		return why;
	if (usable(&seg[LHV_SS]) && ss_type != SS_UP && ss_type != SS_DOWN)
		return "SS type";
	if ((!(vcpu->cr0 & X86_CR0_PE) || (seg[LHV_CS].ar & VMX_AR_TYPE_MASK) == 3) &&
	    VMX_AR_DPL(seg[LHV_SS].ar))
		return "SS.DPL other than 0 in real mode";
	for (i = LHV_ES; i <= LHV_GS; i++) {
		if (!usable(&seg[i]))
			continue;
		if (!(seg[i].ar & VMX_AR_S_MASK) || !(seg[i].ar & VMX_AR_P_MASK))
			return "a data segment that is none, or not present";
		if (seg[i].ar & VMX_AR_TYPE_CODE_MASK && !(seg[i].ar & VMX_AR_TYPE_READABLE_MASK) &&
		    i != LHV_CS)
			return "a data segment that can't be read";
	}
	if (!canonical(seg[LHV_FS].base) || !canonical(seg[LHV_GS].base) ||
	    !canonical(seg[LHV_TR].base))
		return "base of FS, GS or TR not canonical";
	if (seg[LHV_TR].selector & 4)
		return "TR selects the LDT";
	if (usable(&seg[LHV_LDTR]) && seg[LHV_LDTR].selector & 4)
		return "LDTR selects the LDT";
	return NULL;
}

static const char *bad_rest(struct lhv_vcpu *vcpu)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);
	bool long_code = lhv_long_mode(vcpu) && vmx->seg[LHV_CS].ar & VMX_AR_L_MASK;
	u32 state = vmx->interruptibility;

	if (!canonical(vmx->gdt.base) || !canonical(vmx->idt.base))
		return "base of GDTR or IDTR not canonical";
	if (!long_code && upper_32_bits(vcpu->rip))
		return "RIP bits 63:32 outside 64-bit code";
	if (long_code && !canonical(vcpu->rip))
		return "RIP not canonical";
	if ((vmx->inject_info & (INTR_INFO_VALID_MASK | INTR_INFO_INTR_TYPE_MASK)) ==
	    (INTR_INFO_VALID_MASK | INTR_TYPE_EXT_INTR) && !(vcpu->rflags & X86_EFLAGS_IF))
		return "an interrupt to deliver with RFLAGS.IF off";
	if (state & GUEST_INTR_STATE_STI && state & GUEST_INTR_STATE_MOV_SS)
		return "blocking by STI and by MOV SS";
	return NULL;
}

/**
 * lhv_vmx_bad_guest_state() - which check of the guest state fails
 * @vcpu: the vCPU; all groups are known
 */
const char *lhv_vmx_bad_guest_state(struct lhv_vcpu *vcpu)
{
	const char *why;

	switch (vcpu->exit.info1) {
	case ENTRY_FAIL_PDPTE:
		return "invalid guest state: a PDPTE with reserved bits";
	case ENTRY_FAIL_NMI:
		return "invalid guest state: an NMI to deliver while NMIs are blocked";
	case ENTRY_FAIL_VMCS_LINK_PTR:
		return "invalid guest state: VMCS link pointer";
	}
	why = bad_control_regs(vcpu);
	if (!why)
		why = bad_segments(vcpu);
	if (!why)
		why = bad_rest(vcpu);
	return why ?: "invalid guest state";
}

/**
 * lhv_vmx_dump() - the vCPU into the log, for a case that must not happen
 * @vcpu: the vCPU; all groups are known
 * @what: what happened
 */
void lhv_vmx_dump(struct lhv_vcpu *vcpu, const char *what)
{
	static DEFINE_RATELIMIT_STATE(limit, DEFAULT_RATELIMIT_INTERVAL, 2);
	const struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);
	int i;

	if (!__ratelimit(&limit))
		return;
	pr_err("VM %llu (pid %d) vCPU %u: %s\n", vcpu->vm->id, vcpu->vm->pid, vcpu->id, what);
	pr_err("  exit reason %x qualification %llx info %llx interruption %08x vectoring %08x\n",
	       vcpu->exit.code, vcpu->exit.info1, vcpu->exit.info2, vmx->intr_info,
	       vmx->vectoring_info);
	pr_err("  controls pin %08x cpu %08x cpu2 %08x exit %08x entry %08x exceptions %08x\n",
	       vmx->controls[LHV_VMX_PIN], vmx->controls[LHV_VMX_CPU],
	       vmx->controls[LHV_VMX_CPU2], vmx->controls[LHV_VMX_EXIT],
	       vmx->controls[LHV_VMX_ENTRY], vmx->exceptions);
	pr_err("  eptp %016llx vpid %u inject %08x error %x interruptibility %x tsc offset %016llx\n",
	       vmx->eptp, vmx->vpid, vmx->inject_info, vmx->inject_error,
	       vmx->interruptibility, vmx->tsc_offset);
	for (i = 0; i < LHV_NR_SEGS; i++)
		pr_err("  %-4s %04x ar %05x base %016llx limit %08x\n", seg_names[i],
		       vmx->seg[i].selector, vmx->seg[i].ar, vmx->seg[i].base,
		       vmx->seg[i].limit);
	pr_err("  gdtr base %016llx limit %04x idtr base %016llx limit %04x\n", vmx->gdt.base,
	       vmx->gdt.limit, vmx->idt.base, vmx->idt.limit);
	pr_err("  efer %llx cr0 %llx cr2 %llx cr3 %llx cr4 %llx dr7 %llx pat %016llx\n",
	       vcpu->efer, vcpu->cr0, vcpu->cr2, vmx->cr3, vcpu->cr4, vmx->dr7, vmx->pat);
	pr_err("  rip %016llx rsp %016llx rflags %llx rax %016llx\n", vcpu->rip,
	       vcpu->regs[LHV_RSP], vcpu->rflags, vcpu->regs[LHV_RAX]);
}
