// SPDX-License-Identifier: GPL-2.0
/*
 * Control registers with their architectural checks and effects, the register ioctls, and
 * the life of this room's part of a vCPU.
 *
 * With nested paging the hardware loads PAE's PDPTEs itself when CR3 is used; a backend
 * whose hardware wants them handed over reads them from guest memory in its set_cr3.
 */
#include <linux/bitops.h>
#include <linux/string.h>
#include <asm/page.h>
#include <asm/fpu/types.h>

#include "lhv.h"
#include "cpu/cpu_priv.h"

#define CR0_KNOWN	(X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_ET |	\
			 X86_CR0_NE | X86_CR0_WP | X86_CR0_AM | X86_CR0_NW | X86_CR0_CD |	\
			 X86_CR0_PG)

/* Changing one of these changes what the guest's translations mean. */
#define CR4_TRANSLATION	(X86_CR4_PSE | X86_CR4_PAE | X86_CR4_PGE | X86_CR4_SMEP |	\
			 X86_CR4_SMAP | X86_CR4_PKE | X86_CR4_LA57 | X86_CR4_PCIDE)

#define CR8_MAX		15
#define CR3_PAE_ADDR	GENMASK_ULL(31, 5)	/* where PAE paging has its four PDPTEs */

/* The reset vector, SDM Vol 3A "First Instruction Executed". */
#define RESET_CS		0xf000
#define RESET_CS_BASE		0xffff0000
#define RESET_RIP		0xfff0
#define RESET_EDX		0x600	/* family 6, for a vCPU without CPUID */

#define EFER_ALWAYS	(EFER_SCE | EFER_LME | EFER_LMA | EFER_NX | EFER_FFXSR)

/* SDM Vol 2A "MOV—Move to/from Control Registers" */
bool lhv_cr0_valid(u64 cr0)
{
	if (upper_32_bits(cr0))
		return false;
	if ((cr0 & X86_CR0_NW) && !(cr0 & X86_CR0_CD))
		return false;
	return !(cr0 & X86_CR0_PG) || (cr0 & X86_CR0_PE);
}

/*
 * The hardware's XCR0 is the host's while CR4.OSXSAVE is off; a change is picked up when
 * the FPU is loaded, so the atomic tier has to be left.
 */
static void reload_fpu(struct lhv_vcpu *vcpu)
{
	if (vcpu->atomic)
		lhv_request_self(vcpu, LHV_REQ_UNBLOCK);
}

/**
 * lhv_set_cr0() - MOV to CR0, LMSW, CLTS
 * @vcpu: the vCPU; either tier
 * @cr0: the new value
 *
 * Return: 0; nonzero: #GP(0), nothing changed.
 */
int lhv_set_cr0(struct lhv_vcpu *vcpu, u64 cr0)
{
	u64 old = vcpu->cr0, efer = vcpu->efer;
	struct kvm_segment cs;

	if (!lhv_cr0_valid(cr0))
		return -EINVAL;
	cr0 = (cr0 & CR0_KNOWN) | X86_CR0_ET;

	if ((old ^ cr0) & X86_CR0_PG) {
		if (efer & EFER_LME)
			lhv_backend->get_seg(vcpu, LHV_CS, &cs);
		if (cr0 & X86_CR0_PG) {
			/* SDM Vol 3A "Initializing IA-32e Mode" */
			if ((efer & EFER_LME) && (!(vcpu->cr4 & X86_CR4_PAE) || cs.l))
				return -EINVAL;
			if (efer & EFER_LME)
				efer |= EFER_LMA;
		} else {
			if ((efer & EFER_LMA) && cs.l)
				return -EINVAL;
			if (vcpu->cr4 & X86_CR4_PCIDE)
				return -EINVAL;
			efer &= ~(u64)EFER_LMA;
		}
	}

	if (efer != vcpu->efer)
		lhv_backend->set_efer(vcpu, efer);
	lhv_backend->set_cr0(vcpu, cr0);
	if ((old ^ cr0) & X86_CR0_PG)
		lhv_backend->flush_guest_tlb(vcpu);
	return 0;
}

static bool cr3_valid(const struct lhv_cpu *cpu, u64 cr3, bool long_mode)
{
	return !long_mode || !(cr3 & cpu->gpa_reserved);
}

/**
 * lhv_set_cr3() - MOV to CR3
 * @vcpu: the vCPU; either tier
 * @cr3: the new value
 *
 * Return: 0; nonzero: #GP(0), nothing changed.
 */
int lhv_set_cr3(struct lhv_vcpu *vcpu, u64 cr3)
{
	bool flush = true;

	if (vcpu->cr4 & X86_CR4_PCIDE) {
		flush = !(cr3 & X86_CR3_PCID_NOFLUSH);
		cr3 &= ~X86_CR3_PCID_NOFLUSH;
	}
	if (!cr3_valid(&vcpu->cpu_state, cr3, lhv_long_mode(vcpu)))
		return -EINVAL;
	lhv_backend->set_cr3(vcpu, cr3);
	if (flush)
		lhv_backend->flush_guest_tlb(vcpu);
	return 0;
}

/**
 * lhv_set_cr4() - MOV to CR4
 * @vcpu: the vCPU; either tier
 * @cr4: the new value
 *
 * Return: 0; nonzero: #GP(0), nothing changed.
 */
int lhv_set_cr4(struct lhv_vcpu *vcpu, u64 cr4)
{
	u64 changed = vcpu->cr4 ^ cr4;

	if (cr4 & vcpu->cpu_state.cr4_reserved)
		return -EINVAL;
	if (lhv_long_mode(vcpu) && (!(cr4 & X86_CR4_PAE) || (changed & X86_CR4_LA57)))
		return -EINVAL;
	/* SDM Vol 3A "Process-Context Identifiers (PCIDs)" */
	if ((changed & cr4 & X86_CR4_PCIDE) &&
	    (!lhv_long_mode(vcpu) || (static_call(lhv_get_cr3)(vcpu) & X86_CR3_PCID_MASK)))
		return -EINVAL;

	lhv_backend->set_cr4(vcpu, cr4);
	if (changed & CR4_TRANSLATION)
		lhv_backend->flush_guest_tlb(vcpu);
	if (changed & (X86_CR4_OSXSAVE | X86_CR4_PKE))
		lhv_cpuid_runtime(vcpu);
	if (changed & X86_CR4_OSXSAVE)
		reload_fpu(vcpu);
	return 0;
}

int lhv_set_cr8(struct lhv_vcpu *vcpu, u64 cr8)
{
	if (cr8 > CR8_MAX)
		return -EINVAL;
	if (vcpu->lapic)
		lhv_lapic_set_cr8(vcpu, cr8);
	else
		vcpu->cr8 = cr8;
	return 0;
}

/* SDM Vol 1 "XSAVE-Supported Features and State-Component Bitmaps", "XSETBV" */
bool lhv_xcr0_valid(u64 xcr0, u64 offered)
{
	u64 avx512 = xcr0 & XFEATURE_MASK_AVX512;

	if (!(xcr0 & XFEATURE_MASK_FP) || (xcr0 & ~offered))
		return false;
	if ((xcr0 & XFEATURE_MASK_YMM) && !(xcr0 & XFEATURE_MASK_SSE))
		return false;
	if (avx512 && (avx512 != XFEATURE_MASK_AVX512 || !(xcr0 & XFEATURE_MASK_YMM)))
		return false;
	return true;
}

/**
 * lhv_set_xcr0() - XSETBV with ECX 0
 * @vcpu: the vCPU; either tier
 * @xcr0: the new value
 *
 * Return: 0; nonzero: #GP(0), nothing changed.
 */
int lhv_set_xcr0(struct lhv_vcpu *vcpu, u64 xcr0)
{
	if (!lhv_xcr0_valid(xcr0, vcpu->cpu_state.xcr0_allowed))
		return -EINVAL;
	if (vcpu->cpu_state.xcr0 == xcr0)
		return 0;
	vcpu->cpu_state.xcr0 = xcr0;
	lhv_cpuid_runtime(vcpu);
	reload_fpu(vcpu);
	return 0;
}

/* SVME is the backend's own business: guests are given no SVM. */
bool lhv_efer_valid(const struct lhv_cpu *cpu, u64 efer, bool host)
{
	u64 allowed = EFER_ALWAYS;

	if (!lhv_cpuid_offered(X86_FEATURE_FXSR_OPT))
		allowed &= ~(u64)EFER_FFXSR;
	if (!host) {
		if (!lhv_has(cpu, LHV_F_SYSCALL))
			allowed &= ~(u64)EFER_SCE;
		if (!lhv_has(cpu, LHV_F_LM))
			allowed &= ~(u64)(EFER_LME | EFER_LMA);
		if (!lhv_has(cpu, LHV_F_NX))
			allowed &= ~(u64)EFER_NX;
		if (!lhv_has(cpu, LHV_F_FFXSR))
			allowed &= ~(u64)EFER_FFXSR;
	}
	return !(efer & ~allowed);
}

/**
 * lhv_set_efer() - write of MSR_EFER
 * @vcpu: the vCPU; either tier
 * @efer: the new value
 * @host: by the VMM, which may set what the guest's CPUID does not show
 *
 * Return: 0; nonzero: #GP(0), nothing changed.
 */
int lhv_set_efer(struct lhv_vcpu *vcpu, u64 efer, bool host)
{
	u64 old = vcpu->efer;

	if (!lhv_efer_valid(&vcpu->cpu_state, efer, host))
		return -EINVAL;
	if (!host && lhv_paging(vcpu) && ((old ^ efer) & EFER_LME))
		return -EINVAL;
	/* LMA follows CR0.PG and LME; nobody writes it. */
	efer = (efer & ~(u64)EFER_LMA) | (old & EFER_LMA);
	lhv_backend->set_efer(vcpu, efer);
	if ((old ^ efer) & EFER_NX)
		lhv_backend->flush_guest_tlb(vcpu);
	return 0;
}

/* ---- KVM_GET/SET_REGS ---- */

void lhv_get_regs(struct lhv_vcpu *vcpu, struct kvm_regs *regs)
{
	memset(regs, 0, sizeof(*regs));
	regs->rax = vcpu->regs[LHV_RAX];
	regs->rbx = vcpu->regs[LHV_RBX];
	regs->rcx = vcpu->regs[LHV_RCX];
	regs->rdx = vcpu->regs[LHV_RDX];
	regs->rsi = vcpu->regs[LHV_RSI];
	regs->rdi = vcpu->regs[LHV_RDI];
	regs->rsp = vcpu->regs[LHV_RSP];
	regs->rbp = vcpu->regs[LHV_RBP];
	regs->r8 = vcpu->regs[LHV_R8];
	regs->r9 = vcpu->regs[LHV_R9];
	regs->r10 = vcpu->regs[LHV_R10];
	regs->r11 = vcpu->regs[LHV_R11];
	regs->r12 = vcpu->regs[LHV_R12];
	regs->r13 = vcpu->regs[LHV_R13];
	regs->r14 = vcpu->regs[LHV_R14];
	regs->r15 = vcpu->regs[LHV_R15];
	regs->rip = vcpu->rip;
	regs->rflags = vcpu->rflags;
}

/**
 * lhv_set_regs() - the body of KVM_SET_REGS
 * @vcpu: the vCPU, its lock held
 * @regs: from the VMM
 *
 * An exception that waits for delivery belongs to the old RIP and is dropped.
 * Return: 0.
 */
int lhv_set_regs(struct lhv_vcpu *vcpu, const struct kvm_regs *regs)
{
	vcpu->regs[LHV_RAX] = regs->rax;
	vcpu->regs[LHV_RBX] = regs->rbx;
	vcpu->regs[LHV_RCX] = regs->rcx;
	vcpu->regs[LHV_RDX] = regs->rdx;
	vcpu->regs[LHV_RSI] = regs->rsi;
	vcpu->regs[LHV_RDI] = regs->rdi;
	vcpu->regs[LHV_RSP] = regs->rsp;
	vcpu->regs[LHV_RBP] = regs->rbp;
	vcpu->regs[LHV_R8] = regs->r8;
	vcpu->regs[LHV_R9] = regs->r9;
	vcpu->regs[LHV_R10] = regs->r10;
	vcpu->regs[LHV_R11] = regs->r11;
	vcpu->regs[LHV_R12] = regs->r12;
	vcpu->regs[LHV_R13] = regs->r13;
	vcpu->regs[LHV_R14] = regs->r14;
	vcpu->regs[LHV_R15] = regs->r15;
	vcpu->rip = regs->rip;
	vcpu->rflags = regs->rflags | X86_EFLAGS_FIXED;
	vcpu->ev.exc.pending = false;
	lhv_request_self(vcpu, LHV_REQ_EVENT);
	return 0;
}

/* ---- KVM_GET/SET_SREGS, KVM_GET/SET_SREGS2 ---- */

/* Where each segment is in struct kvm_sregs. */
static const struct {
	enum lhv_seg seg;
	size_t offset;
} sreg_segs[] = {
	{ LHV_CS, offsetof(struct kvm_sregs, cs) },
	{ LHV_DS, offsetof(struct kvm_sregs, ds) },
	{ LHV_ES, offsetof(struct kvm_sregs, es) },
	{ LHV_FS, offsetof(struct kvm_sregs, fs) },
	{ LHV_GS, offsetof(struct kvm_sregs, gs) },
	{ LHV_SS, offsetof(struct kvm_sregs, ss) },
	{ LHV_TR, offsetof(struct kvm_sregs, tr) },
	{ LHV_LDTR, offsetof(struct kvm_sregs, ldt) },
};

/* The two structs differ in what comes behind this only. */
#define COMMON_SREGS	offsetofend(struct kvm_sregs, apic_base)
static_assert(offsetofend(struct kvm_sregs2, apic_base) == COMMON_SREGS);
static_assert(offsetof(struct kvm_sregs2, efer) == offsetof(struct kvm_sregs, efer));

/**
 * lhv_get_sregs() - the body of KVM_GET_SREGS
 * @vcpu: the vCPU, its lock held
 * @sregs: result
 *
 * Return: 0.
 */
int lhv_get_sregs(struct lhv_vcpu *vcpu, struct kvm_sregs *sregs)
{
	const struct lhv_event *ev = &vcpu->ev;
	unsigned int i;

	memset(sregs, 0, sizeof(*sregs));
	for (i = 0; i < ARRAY_SIZE(sreg_segs); i++)
		lhv_backend->get_seg(vcpu, sreg_segs[i].seg,
				     (void *)sregs + sreg_segs[i].offset);
	lhv_backend->get_gdt(vcpu, &sregs->gdt);
	lhv_backend->get_idt(vcpu, &sregs->idt);
	sregs->cr0 = vcpu->cr0;
	sregs->cr2 = vcpu->cr2;
	sregs->cr3 = static_call(lhv_get_cr3)(vcpu);
	sregs->cr4 = vcpu->cr4;
	sregs->cr8 = vcpu->cr8;
	sregs->efer = vcpu->efer;
	sregs->apic_base = lhv_lapic_get_base(vcpu);
	if (ev->irq.queued || (ev->irq.injected && !ev->irq.soft))
		__set_bit(ev->irq.vector, (unsigned long *)sregs->interrupt_bitmap);
	else if (!vcpu->lapic && ev->user_irq >= 0)
		__set_bit(ev->user_irq, (unsigned long *)sregs->interrupt_bitmap);
	return 0;
}

static bool pae_paging(u64 cr0, u64 cr4, u64 efer)
{
	return (cr0 & X86_CR0_PG) && (cr4 & X86_CR4_PAE) && !(efer & EFER_LMA);
}

/* False when they can't be known. */
static bool get_pdptrs(struct lhv_vcpu *vcpu, u64 *pdptrs, unsigned int size)
{
	if (!pae_paging(vcpu->cr0, vcpu->cr4, vcpu->efer))
		return false;
	if (lhv_backend->get_pdptrs) {
		lhv_backend->get_pdptrs(vcpu, pdptrs);
		return true;
	}
	return !lhv_read_gpa(vcpu, lhv_backend->get_cr3(vcpu) & CR3_PAE_ADDR, pdptrs, size);
}

/**
 * lhv_get_sregs2() - the body of KVM_GET_SREGS2
 * @vcpu: the vCPU, its lock held, slow tier
 * @sregs2: result
 *
 * Return: 0.
 */
int lhv_get_sregs2(struct lhv_vcpu *vcpu, struct kvm_sregs2 *sregs2)
{
	struct kvm_sregs sregs;

	lhv_get_sregs(vcpu, &sregs);
	memset(sregs2, 0, sizeof(*sregs2));
	memcpy(sregs2, &sregs, COMMON_SREGS);
	if (get_pdptrs(vcpu, sregs2->pdptrs, sizeof(sregs2->pdptrs)))
		sregs2->flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
	return 0;
}

/**
 * lhv_sregs_valid() - could a CPU be in this state?
 * @cpu: what the guest may have set
 * @s: the state
 */
bool lhv_sregs_valid(const struct lhv_cpu *cpu, const struct kvm_sregs *s)
{
	bool paging = s->cr0 & X86_CR0_PG;

	if (!lhv_cr0_valid(s->cr0) || (s->cr4 & cpu->cr4_reserved) ||
	    !lhv_efer_valid(cpu, s->efer, true) || s->cr8 > CR8_MAX)
		return false;
	if ((s->efer & EFER_LME) && paging) {
		if (!(s->cr4 & X86_CR4_PAE) || !(s->efer & EFER_LMA))
			return false;
		if (!cr3_valid(cpu, s->cr3, true))
			return false;
	} else if ((s->efer & EFER_LMA) || s->cs.l) {
		/* 64-bit code outside long mode. */
		return false;
	}
	if ((s->cr4 & X86_CR4_PCIDE) && !(s->efer & EFER_LMA))
		return false;
	return true;
}

/* Old VMMs reset a halted boot CPU by writing its reset state. */
static bool is_reset_state(const struct lhv_vcpu *vcpu, const struct kvm_sregs *s)
{
	return vcpu->rip == RESET_RIP && s->cs.selector == RESET_CS &&
	       s->cs.base == RESET_CS_BASE && !(s->cr0 & X86_CR0_PE);
}

/**
 * lhv_set_sregs() - the body of KVM_SET_SREGS
 * @vcpu: the vCPU, its lock held, slow tier
 * @sregs: from the VMM
 *
 * All is checked before anything changes.
 * Return: 0 or -EINVAL.
 */
int lhv_set_sregs(struct lhv_vcpu *vcpu, const struct kvm_sregs *sregs)
{
	struct lhv_cpu *cpu = &vcpu->cpu_state;
	bool osxsave = (vcpu->cr4 ^ sregs->cr4) & X86_CR4_OSXSAVE;
	unsigned int i, vector;

	if (!lhv_sregs_valid(cpu, sregs))
		return -EINVAL;
	if (lhv_lapic_set_base(vcpu, sregs->apic_base, true))
		return -EINVAL;

	lhv_backend->set_gdt(vcpu, &sregs->gdt);
	lhv_backend->set_idt(vcpu, &sregs->idt);
	vcpu->cr2 = sregs->cr2;
	lhv_backend->set_efer(vcpu, sregs->efer);
	lhv_backend->set_cr0(vcpu, (sregs->cr0 & CR0_KNOWN) | X86_CR0_ET);
	lhv_backend->set_cr4(vcpu, sregs->cr4);
	lhv_backend->set_cr3(vcpu, sregs->cr3);
	lhv_set_cr8(vcpu, sregs->cr8);
	for (i = 0; i < ARRAY_SIZE(sreg_segs); i++)
		lhv_backend->set_seg(vcpu, sreg_segs[i].seg,
				     (const void *)sregs + sreg_segs[i].offset);
	lhv_backend->flush_guest_tlb(vcpu);
	lhv_cpuid_runtime(vcpu);
	if (osxsave)
		reload_fpu(vcpu);

	vector = find_first_bit((const unsigned long *)sregs->interrupt_bitmap,
				KVM_NR_INTERRUPTS);
	if (vector < KVM_NR_INTERRUPTS) {
		vcpu->ev.irq.injected = false;
		vcpu->ev.irq.queued = true;
		vcpu->ev.irq.soft = false;
		vcpu->ev.irq.vector = vector;
		/* KVM_GET_SREGS reports what KVM_INTERRUPT left here: not twice. */
		if (!vcpu->lapic)
			vcpu->ev.user_irq = -1;
	}
	if (vcpu->id == vcpu->vm->bsp_id && is_reset_state(vcpu, sregs))
		vcpu->mp_state = KVM_MP_STATE_RUNNABLE;
	lhv_request_self(vcpu, LHV_REQ_EVENT);
	return 0;
}

/**
 * lhv_set_sregs2() - the body of KVM_SET_SREGS2
 * @vcpu: the vCPU, its lock held, slow tier
 * @sregs2: from the VMM
 *
 * Where the CPU keeps no PDPTEs of its own, those in memory count, as they do there.
 * Return: 0 or -EINVAL.
 */
int lhv_set_sregs2(struct lhv_vcpu *vcpu, const struct kvm_sregs2 *sregs2)
{
	bool pdptrs = sregs2->flags & KVM_SREGS2_FLAGS_PDPTRS_VALID;
	struct kvm_sregs sregs = {};
	int ret;

	if (sregs2->flags & ~(u64)KVM_SREGS2_FLAGS_PDPTRS_VALID)
		return -EINVAL;
	if (pdptrs && !pae_paging(sregs2->cr0, sregs2->cr4, sregs2->efer))
		return -EINVAL;
	memcpy(&sregs, sregs2, COMMON_SREGS);
	ret = lhv_set_sregs(vcpu, &sregs);
	if (!ret && pdptrs && lhv_backend->set_pdptrs)
		lhv_backend->set_pdptrs(vcpu, sregs2->pdptrs);
	return ret;
}

/* ---- life ---- */

/**
 * lhv_cpu_create() - this room's part of a new vCPU
 * @vcpu: the vCPU, zeroed, vm set; the backend's part comes later
 *
 * Context: process, may sleep. Return: 0 or -ENOMEM.
 */
int lhv_cpu_create(struct lhv_vcpu *vcpu)
{
	struct lhv_cpu *cpu = &vcpu->cpu_state;

	cpu->emul.last = cpu->emul.decoded;
	cpu->fpu = lhv_host_fpu_alloc();
	if (!cpu->fpu)
		return -ENOMEM;
	cpu->xcr0 = XFEATURE_MASK_FP;
	cpu->mcg_cap = LHV_MCE_BANKS;
	vcpu->ev.user_irq = -1;
	lhv_cpuid_create(vcpu);
	lhv_clock_create(vcpu);
	return 0;
}

void lhv_cpu_destroy(struct lhv_vcpu *vcpu)
{
	lhv_cpuid_destroy(vcpu);
	lhv_host_fpu_free(vcpu->cpu_state.fpu);
	vcpu->cpu_state.fpu = NULL;
}

/**
 * lhv_cpu_reset() - architectural reset
 * @vcpu: the vCPU; the backend has reset segments, tables and intercepts
 * @init: INIT, which leaves FPU, MSRs, TSC and the cache bits alone; else power-on
 *
 * SDM Vol 3A "Processor State After Reset", APM Vol 2 "Processor Initialization State".
 */
void lhv_cpu_reset(struct lhv_vcpu *vcpu, bool init)
{
	struct lhv_cpu *cpu = &vcpu->cpu_state;
	const struct kvm_cpuid_entry2 *leaf1 = lhv_cpuid_find(vcpu, 1, 0);
	u64 cache = X86_CR0_CD | X86_CR0_NW;

	lhv_event_reset(vcpu);
	memset(vcpu->regs, 0, sizeof(vcpu->regs));
	vcpu->regs[LHV_RDX] = leaf1 ? leaf1->eax : RESET_EDX;
	vcpu->rip = RESET_RIP;
	vcpu->rflags = X86_EFLAGS_FIXED;
	vcpu->cr2 = 0;
	if (init)
		cache &= vcpu->cr0;

	lhv_backend->set_efer(vcpu, 0);
	lhv_backend->set_cr0(vcpu, X86_CR0_ET | cache);
	lhv_backend->set_cr4(vcpu, 0);
	lhv_backend->set_cr3(vcpu, 0);
	lhv_backend->flush_guest_tlb(vcpu);
	lhv_debugreg_reset(vcpu);
	lhv_clock_reset(vcpu);

	if (!init) {
		cpu->xcr0 = XFEATURE_MASK_FP;
		lhv_fpu_reset(vcpu);
		lhv_msr_reset(vcpu);
		lhv_backend->set_tsc_offset(vcpu, cpu->tsc_offset);
	}
	lhv_cpuid_runtime(vcpu);
	lhv_request_self(vcpu, LHV_REQ_EVENT);
}
