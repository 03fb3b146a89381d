// SPDX-License-Identifier: GPL-2.0
/*
 * lhv svm/ - the VMCB: reset state, register access, intercepts that follow from state.
 *
 * Manual: APM Vol 2 "Layout of VMCB", "Canonicalization and Consistency Checks",
 * "Processor Initialization State".
 */
#define pr_fmt(fmt) "lhv: " fmt

#include <linux/mem_encrypt.h>
#include <linux/printk.h>
#include <linux/ratelimit.h>
#include <linux/cpufeature.h>
#include <asm/special_insns.h>

#include "svm.h"

/* Writes to DR7 find this bit always set. */
#define DR7_FIXED	0x400

/* PAT after reset: WB, WT, UC-, UC, and the same again. */
#define PAT_RESET	0x0007040600070406ULL

/* Counting PAUSE: this many in a loop, each at most so many cycles after the last. */
#define PAUSE_COUNT	3000
#define PAUSE_THRESHOLD	128

#define SEG_CODE	(SVM_SELECTOR_P_MASK | SVM_SELECTOR_S_MASK | 0xb)
#define SEG_DATA	(SVM_SELECTOR_P_MASK | SVM_SELECTOR_S_MASK | 0x3)
#define SEG_LDT		(SVM_SELECTOR_P_MASK | 0x2)
#define SEG_BUSY_TSS	(SVM_SELECTOR_P_MASK | 0x3)

/* Intercepted whatever the guest is like. The rest follows from state. */
static const u8 always_intercepted[] = {
	INTERCEPT_CR4_WRITE, INTERCEPT_SELECTIVE_CR0,
	INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_DB, INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_AC,
	INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_MC,
	INTERCEPT_INTR, INTERCEPT_NMI, INTERCEPT_SMI, INTERCEPT_INIT,
	INTERCEPT_RDPMC, INTERCEPT_CPUID, INTERCEPT_RSM, INTERCEPT_INVD, INTERCEPT_HLT,
	INTERCEPT_INVLPGA, INTERCEPT_IOIO_PROT, INTERCEPT_MSR_PROT, INTERCEPT_TASK_SWITCH,
	INTERCEPT_SHUTDOWN,
	INTERCEPT_VMRUN, INTERCEPT_VMMCALL, INTERCEPT_VMLOAD, INTERCEPT_VMSAVE,
	INTERCEPT_STGI, INTERCEPT_CLGI, INTERCEPT_SKINIT, INTERCEPT_WBINVD,
	INTERCEPT_MONITOR, INTERCEPT_MWAIT, INTERCEPT_XSETBV,
};

static void init_control(struct lhv_vcpu *vcpu)
{
	struct vmcb_control_area *control = lhv_svm_control(vcpu);
	struct lhv_svm_vcpu *svm = lhv_svm(vcpu);
	int i;

	memset(control, 0, sizeof(*control));
	for (i = 0; i < ARRAY_SIZE(always_intercepted); i++)
		lhv_svm_intercept(vcpu, always_intercepted[i], true);
	lhv_svm_intercept_dr(vcpu, true);
	lhv_svm_intercept(vcpu, INTERCEPT_RDPRU, boot_cpu_has(X86_FEATURE_RDPRU));
	lhv_svm_intercept(vcpu, INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_UD,
			  lhv_has_quirk(vcpu->vm, KVM_X86_QUIRK_FIX_HYPERCALL_INSN));
	/* The VMM's own interrupt controller wants to know about every lower TPR. */
	lhv_svm_intercept(vcpu, INTERCEPT_CR8_WRITE, !lhv_has_lapic(vcpu->vm));

	if (lhv_stays_in_guest(vcpu->vm, KVM_X86_DISABLE_EXITS_HLT))
		lhv_svm_intercept(vcpu, INTERCEPT_HLT, false);
	if (lhv_stays_in_guest(vcpu->vm, KVM_X86_DISABLE_EXITS_MWAIT)) {
		lhv_svm_intercept(vcpu, INTERCEPT_MONITOR, false);
		lhv_svm_intercept(vcpu, INTERCEPT_MWAIT, false);
	}
	if (lhv_svm_caps.pause_filter &&
	    !lhv_stays_in_guest(vcpu->vm, KVM_X86_DISABLE_EXITS_PAUSE)) {
		control->pause_filter_count = PAUSE_COUNT;
		if (lhv_svm_caps.pause_threshold)
			control->pause_filter_thresh = PAUSE_THRESHOLD;
		lhv_svm_intercept(vcpu, INTERCEPT_PAUSE, true);
	}

	control->iopm_base_pa = lhv_svm_iopm_pa();
	control->msrpm_base_pa = __sme_set(virt_to_phys(svm->msrpm));
	control->int_ctl = V_INTR_MASKING_MASK;
	control->tsc_offset = vcpu->cpu_state.tsc_offset;
	control->tlb_ctl = TLB_CONTROL_DO_NOTHING;
	control->nested_cr3 = __sme_set(lhv_mem_root(vcpu->vm));
	lhv_host_vmcb_enable_npt(control);
}

static void init_seg(struct vmcb_seg *seg, u16 attrib)
{
	*seg = (struct vmcb_seg){ .attrib = attrib, .limit = 0xffff };
}

static void init_save(struct vmcb_save_area *save)
{
	memset(save, 0, sizeof(*save));
	init_seg(&save->es, SEG_DATA);
	init_seg(&save->cs, SEG_CODE);
	init_seg(&save->ss, SEG_DATA);
	init_seg(&save->ds, SEG_DATA);
	init_seg(&save->fs, SEG_DATA);
	init_seg(&save->gs, SEG_DATA);
	init_seg(&save->gdtr, 0);
	init_seg(&save->ldtr, SEG_LDT);
	init_seg(&save->idtr, 0);
	init_seg(&save->tr, SEG_BUSY_TSS);
	save->cs.selector = 0xf000;
	save->cs.base = 0xffff0000;

	save->efer = EFER_SVME;
	save->cr0 = X86_CR0_ET;
	save->dr6 = DR6_RESERVED;
	save->dr7 = DR7_FIXED;
	save->rflags = X86_EFLAGS_FIXED;
	save->g_pat = PAT_RESET;
}

/* APM Vol 2 "Processor Initialization State": MSRs keep what they hold over INIT. */
static void keep_msrs(struct vmcb_save_area *save, const struct vmcb_save_area *before)
{
	save->g_pat = before->g_pat;
	save->spec_ctrl = before->spec_ctrl;
	save->star = before->star;
	save->lstar = before->lstar;
	save->cstar = before->cstar;
	save->sfmask = before->sfmask;
	save->kernel_gs_base = before->kernel_gs_base;
	save->sysenter_cs = before->sysenter_cs;
	save->sysenter_esp = before->sysenter_esp;
	save->sysenter_eip = before->sysenter_eip;
}

/**
 * lhv_svm_reset() - the VMCB of a CPU that comes out of reset or INIT
 * @vcpu: the vCPU
 * @init: INIT leaves MSRs alone
 */
void lhv_svm_reset(struct lhv_vcpu *vcpu, bool init)
{
	struct lhv_svm_vcpu *svm = lhv_svm(vcpu);
	struct vmcb_save_area *save = lhv_svm_save(vcpu);
	const struct vmcb_save_area before = *save;

	init_control(vcpu);
	init_save(save);
	if (init)
		keep_msrs(save, &before);
	else
		vcpu->cpu_state.spec_ctrl = 0;

	svm->asid_generation = 0;
	svm->cr0_shadowed = false;
	svm->nmi_masked = false;
	svm->watch = 0;
	svm->dr_open = false;
	lhv_svm_cpuid_changed(vcpu);
	lhv_svm_update_debug(vcpu);
	lhv_svm_mark_dirty(vcpu, LHV_SVM_ALL_DIRTY);
}

/* See struct lhv_backend. */
void lhv_svm_cpuid_changed(struct lhv_vcpu *vcpu)
{
	const struct lhv_cpu *cpu = &vcpu->cpu_state;
	struct lhv_svm_vcpu *svm = lhv_svm(vcpu);

	svm->has_tsc_aux = (lhv_has(cpu, LHV_F_RDTSCP) || lhv_has(cpu, LHV_F_RDPID)) &&
			   lhv_host_user_msr_present(LHV_USER_MSR_TSC_AUX);
	lhv_svm_intercept(vcpu, INTERCEPT_RDTSCP, !lhv_has(cpu, LHV_F_RDTSCP));
	lhv_svm_intercept(vcpu, INTERCEPT_INVPCID,
			  boot_cpu_has(X86_FEATURE_INVPCID) && !lhv_has(cpu, LHV_F_INVPCID));
	lhv_svm_msrpm_update(vcpu);
}

/* All of DR0-7, reads and writes: one word of the VMCB. */
void lhv_svm_intercept_dr(struct lhv_vcpu *vcpu, bool on)
{
	lhv_svm_control(vcpu)->intercepts[INTERCEPT_DR] =
		on ? GENMASK(INTERCEPT_DR7_READ % 32, INTERCEPT_DR0_READ % 32) |
		     GENMASK(INTERCEPT_DR7_WRITE % 32, INTERCEPT_DR0_WRITE % 32) : 0;
	lhv_svm_mark_dirty(vcpu, LHV_SVM_INTERCEPTS);
}

/**
 * lhv_svm_open_dr() - the guest uses its debug registers: let it, until the atomic tier ends
 * @vcpu: the vCPU; no debugger owns the registers
 *
 * From the next entry on DR0-3 are loaded before and read back after the guest runs.
 */
void lhv_svm_open_dr(struct lhv_vcpu *vcpu)
{
	struct lhv_svm_vcpu *svm = lhv_svm(vcpu);

	svm->dr_open = true;
	svm->dr = vcpu->cpu_state.db;
	lhv_svm_intercept_dr(vcpu, false);
}

/* The mirror: from now on an access exits again. */
void lhv_svm_close_dr(struct lhv_vcpu *vcpu)
{
	lhv_svm(vcpu)->dr_open = false;
	lhv_svm_intercept_dr(vcpu, true);
	lhv_svm_update_debug(vcpu);
}

/* See struct lhv_backend. */
void lhv_svm_update_debug(struct lhv_vcpu *vcpu)
{
	lhv_svm_set_dr7(vcpu, lhv_effective_dr7(&vcpu->cpu_state));
	lhv_svm_intercept(vcpu, INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_BP,
			  vcpu->cpu_state.guest_debug & KVM_GUESTDBG_USE_SW_BP);
}

/**
 * lhv_svm_flush() - forget what the TLB holds of this vCPU, at the next entry
 * @vcpu: the vCPU
 *
 * Guest-virtual and guest-physical translations share the ASID, so both go. Where
 * the CPU can't flush one ASID, a new one does the same.
 */
void lhv_svm_flush(struct lhv_vcpu *vcpu)
{
	if (lhv_svm_caps.flush_by_asid)
		lhv_svm_control(vcpu)->tlb_ctl = TLB_CONTROL_FLUSH_ASID;
	else
		lhv_svm(vcpu)->asid_generation = 0;
}

static struct vmcb_seg *seg_of(struct vmcb_save_area *save, enum lhv_seg seg)
{
	switch (seg) {
	case LHV_ES:	return &save->es;
	case LHV_CS:	return &save->cs;
	case LHV_SS:	return &save->ss;
	case LHV_DS:	return &save->ds;
	case LHV_FS:	return &save->fs;
	case LHV_GS:	return &save->gs;
	case LHV_LDTR:	return &save->ldtr;
	default:	return &save->tr;
	}
}

void lhv_svm_get_seg(struct lhv_vcpu *vcpu, enum lhv_seg seg, struct kvm_segment *out)
{
	struct vmcb_save_area *save = lhv_svm_save(vcpu);
	const struct vmcb_seg *s = seg_of(save, seg);

	*out = (struct kvm_segment){
		.base = s->base,
		.limit = s->limit,
		.selector = s->selector,
		.type = s->attrib & SVM_SELECTOR_TYPE_MASK,
		.s = !!(s->attrib & SVM_SELECTOR_S_MASK),
		.dpl = (s->attrib & SVM_SELECTOR_DPL_MASK) >> SVM_SELECTOR_DPL_SHIFT,
		.present = !!(s->attrib & SVM_SELECTOR_P_MASK),
		.avl = !!(s->attrib & SVM_SELECTOR_AVL_MASK),
		.l = !!(s->attrib & SVM_SELECTOR_L_MASK),
		.db = !!(s->attrib & SVM_SELECTOR_DB_MASK),
		.g = s->limit >> 20 != 0,	/* some virtual CPUs forget the bit */
	};
	out->unusable = !out->present;

	/* What the hardware leaves undefined and other CPUs insist on. */
	switch (seg) {
	case LHV_SS:
		out->dpl = save->cpl;
		if (out->unusable)
			out->db = 0;
		break;
	case LHV_TR:
		out->type |= 2;		/* busy */
		break;
	case LHV_ES:
	case LHV_DS:
	case LHV_FS:
	case LHV_GS:
		if (!out->unusable)
			out->type |= 1;	/* accessed */
		break;
	default:
		break;
	}
}

void lhv_svm_set_seg(struct lhv_vcpu *vcpu, enum lhv_seg seg, const struct kvm_segment *in)
{
	struct vmcb_save_area *save = lhv_svm_save(vcpu);
	struct vmcb_seg *s = seg_of(save, seg);

	s->base = in->base;
	s->limit = in->limit;
	s->selector = in->selector;
	s->attrib = (in->type & SVM_SELECTOR_TYPE_MASK) |
		    (in->s & 1) << SVM_SELECTOR_S_SHIFT |
		    (in->dpl & 3) << SVM_SELECTOR_DPL_SHIFT |
		    (in->present && !in->unusable) << SVM_SELECTOR_P_SHIFT |
		    (in->avl & 1) << SVM_SELECTOR_AVL_SHIFT |
		    (in->l & 1) << SVM_SELECTOR_L_SHIFT |
		    (in->db & 1) << SVM_SELECTOR_DB_SHIFT |
		    (in->g & 1) << SVM_SELECTOR_G_SHIFT;
	if (seg == LHV_SS)
		save->cpl = in->dpl & 3;
	lhv_svm_mark_dirty(vcpu, LHV_SVM_SEG);
}

static void get_table(const struct vmcb_seg *s, struct kvm_dtable *out)
{
	*out = (struct kvm_dtable){ .base = s->base, .limit = s->limit };
}

static void set_table(struct lhv_vcpu *vcpu, struct vmcb_seg *s, const struct kvm_dtable *in)
{
	s->base = in->base;
	s->limit = in->limit;
	lhv_svm_mark_dirty(vcpu, LHV_SVM_DT);
}

void lhv_svm_get_idt(struct lhv_vcpu *vcpu, struct kvm_dtable *out)
{
	get_table(&lhv_svm_save(vcpu)->idtr, out);
}

void lhv_svm_set_idt(struct lhv_vcpu *vcpu, const struct kvm_dtable *in)
{
	set_table(vcpu, &lhv_svm_save(vcpu)->idtr, in);
}

void lhv_svm_get_gdt(struct lhv_vcpu *vcpu, struct kvm_dtable *out)
{
	get_table(&lhv_svm_save(vcpu)->gdtr, out);
}

void lhv_svm_set_gdt(struct lhv_vcpu *vcpu, const struct kvm_dtable *in)
{
	set_table(vcpu, &lhv_svm_save(vcpu)->gdtr, in);
}

int lhv_svm_get_code(struct lhv_vcpu *vcpu, u64 *base)
{
	const struct vmcb_seg *cs = &lhv_svm_save(vcpu)->cs;

	*base = 0;
	if (cs->attrib & SVM_SELECTOR_L_MASK && lhv_long_mode(vcpu))
		return 8;
	*base = cs->base;
	return cs->attrib & SVM_SELECTOR_DB_MASK ? 4 : 2;
}

int lhv_svm_get_cpl(struct lhv_vcpu *vcpu)
{
	return lhv_svm_save(vcpu)->cpl;
}

u64 lhv_svm_get_cr3(struct lhv_vcpu *vcpu)
{
	return lhv_svm_save(vcpu)->cr3;
}

/*
 * Caching stays on in hardware: a guest must not slow down memory that the host and
 * other guests share. While the guest believes otherwise, every access to CR0 is
 * intercepted; as a rule only a change beyond TS and MP is.
 */
void lhv_svm_set_cr0(struct lhv_vcpu *vcpu, u64 cr0)
{
	const u64 paging = X86_CR0_PG | X86_CR0_WP;
	struct vmcb_save_area *save = lhv_svm_save(vcpu);
	struct lhv_svm_vcpu *svm = lhv_svm(vcpu);
	u64 hw;

	cr0 |= X86_CR0_ET;
	hw = cr0 & ~(X86_CR0_CD | X86_CR0_NW);
	if ((save->cr0 ^ hw) & paging)
		lhv_svm_flush(vcpu);
	vcpu->cr0 = cr0;
	save->cr0 = hw;
	svm->cr0_shadowed = cr0 != hw;
	lhv_svm_intercept(vcpu, INTERCEPT_CR0_READ, svm->cr0_shadowed);
	lhv_svm_intercept(vcpu, INTERCEPT_CR0_WRITE, svm->cr0_shadowed);
	lhv_svm_mark_dirty(vcpu, LHV_SVM_CR);
}

void lhv_svm_set_cr3(struct lhv_vcpu *vcpu, u64 cr3)
{
	lhv_svm_save(vcpu)->cr3 = cr3;
	lhv_svm_mark_dirty(vcpu, LHV_SVM_CR);
	lhv_svm_flush(vcpu);
}

/* With CR4.MCE off a machine check would shut the whole host down: the host's setting holds. */
void lhv_svm_set_cr4(struct lhv_vcpu *vcpu, u64 cr4)
{
	struct vmcb_save_area *save = lhv_svm_save(vcpu);
	u64 hw = cr4 | (native_read_cr4() & X86_CR4_MCE);

	if (save->cr4 != hw)
		lhv_svm_flush(vcpu);
	vcpu->cr4 = cr4;
	save->cr4 = hw;
	lhv_svm_intercept(vcpu, INTERCEPT_CR4_READ, cr4 != hw);
	lhv_svm_mark_dirty(vcpu, LHV_SVM_CR);
}

/* VMRUN refuses a guest whose EFER.SVME is off. The guest's reads are intercepted. */
void lhv_svm_set_efer(struct lhv_vcpu *vcpu, u64 efer)
{
	struct vmcb_save_area *save = lhv_svm_save(vcpu);
	u64 hw = efer | EFER_SVME;

	if (save->efer != hw)
		lhv_svm_flush(vcpu);
	vcpu->efer = efer;
	save->efer = hw;
	lhv_svm_mark_dirty(vcpu, LHV_SVM_CR);
}

/* MSRs that VMLOAD, VMSAVE and VMRUN exchange, kept in the VMCB. */
static u64 *msr_field(struct vmcb_save_area *save, u32 index)
{
	switch (index) {
	case MSR_STAR:			return &save->star;
	case MSR_LSTAR:			return &save->lstar;
	case MSR_CSTAR:			return &save->cstar;
	case MSR_SYSCALL_MASK:		return &save->sfmask;
	case MSR_FS_BASE:		return &save->fs.base;
	case MSR_GS_BASE:		return &save->gs.base;
	case MSR_KERNEL_GS_BASE:	return &save->kernel_gs_base;
	case MSR_IA32_SYSENTER_CS:	return &save->sysenter_cs;
	case MSR_IA32_SYSENTER_ESP:	return &save->sysenter_esp;
	case MSR_IA32_SYSENTER_EIP:	return &save->sysenter_eip;
	case MSR_IA32_CR_PAT:		return &save->g_pat;
	default:			return NULL;
	}
}

/* See struct lhv_backend. */
int lhv_svm_get_msr(struct lhv_vcpu *vcpu, u32 index, u64 *data)
{
	struct vmcb_save_area *save = lhv_svm_save(vcpu);
	const u64 *field = msr_field(save, index);

	if (field) {
		*data = *field;
		return 0;
	}
	if (index != MSR_IA32_SPEC_CTRL || !lhv_svm_caps.v_spec_ctrl)
		return -ENOENT;
	*data = save->spec_ctrl;
	return 0;
}

/* See struct lhv_backend. */
int lhv_svm_set_msr(struct lhv_vcpu *vcpu, u32 index, u64 data)
{
	struct vmcb_save_area *save = lhv_svm_save(vcpu);
	u64 *field = msr_field(save, index);

	if (field) {
		*field = data;
		if (index == MSR_IA32_CR_PAT)
			lhv_svm_mark_dirty(vcpu, LHV_SVM_NPT);
		return 0;
	}
	switch (index) {
	case MSR_TSC_AUX:
		vcpu->cpu_state.tsc_aux = data;
		lhv_svm_refresh_tsc_aux(vcpu);
		return 0;
	case MSR_IA32_SPEC_CTRL:
		vcpu->cpu_state.spec_ctrl = data;
		save->spec_ctrl = data;
		return 0;
	case MSR_IA32_PRED_CMD:
		if (data & PRED_CMD_IBPB && boot_cpu_has(X86_FEATURE_IBPB))
			lhv_host_wrmsr(MSR_IA32_PRED_CMD, PRED_CMD_IBPB);
		return 0;
	default:
		/* DEBUGCTL among them: without virtualized branch records it is the host's own. */
		return -ENOENT;
	}
}

u64 lhv_svm_get_dr6(struct lhv_vcpu *vcpu)
{
	return lhv_svm_save(vcpu)->dr6;
}

void lhv_svm_set_dr6(struct lhv_vcpu *vcpu, u64 dr6)
{
	struct vmcb_save_area *save = lhv_svm_save(vcpu);

	vcpu->cpu_state.dr6 = dr6;
	if (save->dr6 != dr6) {
		save->dr6 = dr6;
		lhv_svm_mark_dirty(vcpu, LHV_SVM_DR);
	}
}

/* @dr7: the guest's, or the debugger's while that owns the breakpoints. */
void lhv_svm_set_dr7(struct lhv_vcpu *vcpu, u64 dr7)
{
	struct vmcb_save_area *save = lhv_svm_save(vcpu);
	struct lhv_svm_vcpu *svm = lhv_svm(vcpu);

	dr7 |= DR7_FIXED;
	if (!svm->dr_open)
		svm->dr = dr7 & (DR_GLOBAL_ENABLE_MASK | DR_LOCAL_ENABLE_MASK) ?
			  lhv_effective_db(&vcpu->cpu_state) : NULL;
	if (save->dr7 != dr7) {
		save->dr7 = dr7;
		lhv_svm_mark_dirty(vcpu, LHV_SVM_DR);
	}
}

void lhv_svm_set_tsc_offset(struct lhv_vcpu *vcpu, u64 offset)
{
	lhv_svm_control(vcpu)->tsc_offset = offset;
	lhv_svm_mark_dirty(vcpu, LHV_SVM_INTERCEPTS);
}

static void dump_seg(const char *name, const struct vmcb_seg *s)
{
	pr_err("  %-4s %04x attrib %03x base %016llx limit %08x\n", name, s->selector, s->attrib,
	       s->base, s->limit);
}

/**
 * lhv_svm_dump() - the VMCB into the log, for a case that must not happen
 * @vcpu: the vCPU
 */
void lhv_svm_dump(struct lhv_vcpu *vcpu)
{
	static DEFINE_RATELIMIT_STATE(limit, DEFAULT_RATELIMIT_INTERVAL, 2);
	const struct vmcb_control_area *c = lhv_svm_control(vcpu);
	const struct vmcb_save_area *s = lhv_svm_save(vcpu);

	if (!__ratelimit(&limit))
		return;
	pr_err("VM %llu (pid %d) vCPU %u: VMCB after exit code 0x%x\n", vcpu->vm->id,
	       vcpu->vm->pid, vcpu->id, lhv_host_vmcb_exit_code(c));
	pr_err("  exitinfo1 %016llx exitinfo2 %016llx exitintinfo %08x next rip %016llx\n",
	       c->exit_info_1, c->exit_info_2, c->exit_int_info, c->next_rip);
	pr_err("  intercepts %08x %08x %08x %08x %08x %08x\n", c->intercepts[0], c->intercepts[1],
	       c->intercepts[2], c->intercepts[3], c->intercepts[4], c->intercepts[5]);
	pr_err("  iopm %016llx msrpm %016llx nested cr3 %016llx tsc offset %016llx\n",
	       c->iopm_base_pa, c->msrpm_base_pa, c->nested_cr3, c->tsc_offset);
	pr_err("  asid %u tlb %u int_ctl %08x vector %02x state %x event_inj %08x clean %03x\n",
	       c->asid, c->tlb_ctl, c->int_ctl, c->int_vector, c->int_state, c->event_inj,
	       c->clean);
	dump_seg("es", &s->es);
	dump_seg("cs", &s->cs);
	dump_seg("ss", &s->ss);
	dump_seg("ds", &s->ds);
	dump_seg("fs", &s->fs);
	dump_seg("gs", &s->gs);
	dump_seg("gdtr", &s->gdtr);
	dump_seg("ldtr", &s->ldtr);
	dump_seg("idtr", &s->idtr);
	dump_seg("tr", &s->tr);
	pr_err("  cpl %u efer %llx cr0 %llx cr2 %llx cr3 %llx cr4 %llx dr6 %llx dr7 %llx\n", s->cpl,
	       s->efer, s->cr0, s->cr2, s->cr3, s->cr4, s->dr6, s->dr7);
	pr_err("  rip %016llx rsp %016llx rflags %llx rax %016llx pat %016llx\n", s->rip, s->rsp,
	       s->rflags, s->rax, s->g_pat);
}
