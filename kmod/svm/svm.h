/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lhv svm/ - AMD-V: the backend for processors with Secure Virtual Machine.
 *
 * What it is for: owning the VMCB: programming it, entering the guest, and saying
 *	in vendor-neutral terms why the guest stopped.
 * What enters: the ops of struct lhv_backend.
 * What leaves: vcpu state, vcpu->exit, calls of one room per exit.
 * What it must not know: how an access is emulated, what a device is, which host
 *	kernel this is.
 *
 * Manual: AMD64 Architecture Programmer's Manual Volume 2, "Secure Virtual Machine".
 */
#ifndef LHV_SVM_H
#define LHV_SVM_H

#include "lhv.h"
#include "host/svm.h"

/* VMCB clean bits, APM Vol 2 "VMCB Clean Field": what the CPU may still have cached. */
enum lhv_svm_clean {
	LHV_SVM_INTERCEPTS = BIT(0),	/* intercept words, TSC offset, pause filter count */
	LHV_SVM_PERM_MAPS = BIT(1),	/* IOPM and MSRPM addresses */
	LHV_SVM_ASID = BIT(2),
	LHV_SVM_INTR = BIT(3),		/* V_TPR, V_IRQ and the rest of that word; vector */
	LHV_SVM_NPT = BIT(4),		/* nested CR3, G_PAT */
	LHV_SVM_CR = BIT(5),		/* CR0, CR3, CR4, EFER */
	LHV_SVM_DR = BIT(6),		/* DR6, DR7 */
	LHV_SVM_DT = BIT(7),		/* GDT, IDT */
	LHV_SVM_SEG = BIT(8),		/* CS, DS, SS, ES, CPL */
	LHV_SVM_CR2 = BIT(9),
	LHV_SVM_ALL_DIRTY = GENMASK(9, 0),
};

/**
 * struct lhv_svm_caps - what this CPU model can do beyond the floor; constant after probe
 * @nr_asids: address-space identifiers, 0 (the host's) included
 * @nrips: the VMCB gives the address of the next instruction
 * @decode_assists: it gives register numbers, segments and instruction bytes
 * @flush_by_asid: one ASID's translations can be flushed alone
 * @pause_filter, @pause_threshold: PAUSE loops are counted by the CPU
 * @v_spec_ctrl: the CPU switches SPEC_CTRL itself
 */
struct lhv_svm_caps {
	u32 nr_asids;
	bool nrips, decode_assists, flush_by_asid;
	bool pause_filter, pause_threshold;
	bool v_spec_ctrl;
};

extern struct lhv_svm_caps lhv_svm_caps;

/* Per CPU; touched on that CPU with preemption off. */
struct lhv_svm_cpu {
	bool on;		/* we set EFER.SVME */
	bool guests;		/* a guest ran here since */
	u64 hsave_pa;		/* page where VMRUN keeps the host's state */
	u64 save_pa;		/* page where load keeps what VMLOAD brings back */
	u64 asid_generation;	/* bumped when the ASIDs are used up; never 0 */
	u32 next_asid;
	u64 last_vcpu;		/* id of the vCPU that ran last */
	u16 ldt;		/* host's LDT selector in the page at @save_pa */
	struct page *hsave, *save;
};

/* What there is to look at around an entry. Rare: asked for as a whole. */
enum lhv_svm_watch {
	LHV_SVM_IRET = BIT(0),		/* the guest's IRET was intercepted at @iret_rip and is being run */
	LHV_SVM_STEP = BIT(1),		/* single-step the next instruction for an NMI */
	LHV_SVM_STEPPED = BIT(2),	/* the last entry was asked to */
	LHV_SVM_STEP_TF = BIT(3),	/* and nobody else wanted the trap */
	LHV_SVM_SOFT = BIT(4),		/* #BP or #OF injected as by the VMM: RIP was moved behind it */
};

/* Everything O: touched only by the thread that holds vcpu->lock. */
struct lhv_svm_vcpu {
	struct vmcb *vmcb;
	u64 vmcb_pa;
	unsigned long *msrpm;	/* MSR permission map, 2 bits per MSR */
	u64 id;			/* never reused */
	struct lhv_svm_cpu *cpu; /* valid in the atomic tier */
	int last_cpu;		/* the VMCB was run here last; -1: nowhere yet */
	u64 asid_generation;	/* 0: needs a new ASID */
	u32 dirty;		/* enum lhv_svm_clean: written since the last entry */

	bool cr0_shadowed;	/* the guest's CR0 is not what the hardware has */
	bool has_tsc_aux;	/* guest has RDTSCP or RDPID */

	bool nmi_masked;	/* the guest is in its NMI handler */
	u8 watch;		/* enum lhv_svm_watch */
	u64 iret_rip;
	u64 step_dr6;		/* guest's DR6 before the step */
	u64 soft_rip;		/* RIP before it was moved */

	const u64 *dr;		/* DR0-3 while the guest runs; NULL: it does not need them */
	bool dr_open;		/* accesses are not intercepted; @dr is the guest's, read back */
};

static inline struct lhv_svm_vcpu *lhv_svm(struct lhv_vcpu *vcpu)
{
	return (struct lhv_svm_vcpu *)vcpu->backend;
}

static inline struct vmcb_control_area *lhv_svm_control(struct lhv_vcpu *vcpu)
{
	return &lhv_svm(vcpu)->vmcb->control;
}

static inline struct vmcb_save_area *lhv_svm_save(struct lhv_vcpu *vcpu)
{
	return &lhv_svm(vcpu)->vmcb->save;
}

static inline void lhv_svm_mark_dirty(struct lhv_vcpu *vcpu, u32 what)
{
	lhv_svm(vcpu)->dirty |= what;
}

/* Intercepts by their INTERCEPT_* number; dirty only when something changes. */
static inline void lhv_svm_intercept(struct lhv_vcpu *vcpu, unsigned int nr, bool on)
{
	u32 *word = &lhv_svm_control(vcpu)->intercepts[nr / 32];
	u32 value = on ? *word | BIT(nr % 32) : *word & ~BIT(nr % 32);

	if (*word != value) {
		*word = value;
		lhv_svm_mark_dirty(vcpu, LHV_SVM_INTERCEPTS);
	}
}

/* caps.c */
extern const struct lhv_survey lhv_svm_survey;
int lhv_svm_probe(void);
int lhv_svm_describe(char *buf, size_t size);
bool lhv_svm_foreign_owner(void);	/* of this CPU; preemption off */

/* permissions.c */
int lhv_svm_permissions_setup(void);
void lhv_svm_permissions_teardown(void);
u64 lhv_svm_iopm_pa(void);
unsigned long *lhv_svm_msrpm_alloc(void);
void lhv_svm_msrpm_free(unsigned long *map);
int lhv_svm_msrpm_bit(u32 msr);
void lhv_svm_msrpm_set(unsigned long *map, u32 msr, bool read, bool write);
void lhv_svm_msrpm_update(struct lhv_vcpu *vcpu);

/* vmcb.c */
void lhv_svm_reset(struct lhv_vcpu *vcpu, bool init);
void lhv_svm_cpuid_changed(struct lhv_vcpu *vcpu);
void lhv_svm_intercept_dr(struct lhv_vcpu *vcpu, bool on);
void lhv_svm_open_dr(struct lhv_vcpu *vcpu);
void lhv_svm_close_dr(struct lhv_vcpu *vcpu);
void lhv_svm_update_debug(struct lhv_vcpu *vcpu);
void lhv_svm_flush(struct lhv_vcpu *vcpu);
void lhv_svm_get_seg(struct lhv_vcpu *vcpu, enum lhv_seg seg, struct kvm_segment *out);
void lhv_svm_set_seg(struct lhv_vcpu *vcpu, enum lhv_seg seg, const struct kvm_segment *in);
void lhv_svm_get_idt(struct lhv_vcpu *vcpu, struct kvm_dtable *out);
void lhv_svm_set_idt(struct lhv_vcpu *vcpu, const struct kvm_dtable *in);
void lhv_svm_get_gdt(struct lhv_vcpu *vcpu, struct kvm_dtable *out);
void lhv_svm_set_gdt(struct lhv_vcpu *vcpu, const struct kvm_dtable *in);
int lhv_svm_get_code(struct lhv_vcpu *vcpu, u64 *base);
int lhv_svm_get_cpl(struct lhv_vcpu *vcpu);
u64 lhv_svm_get_cr3(struct lhv_vcpu *vcpu);
void lhv_svm_set_cr0(struct lhv_vcpu *vcpu, u64 cr0);
void lhv_svm_set_cr3(struct lhv_vcpu *vcpu, u64 cr3);
void lhv_svm_set_cr4(struct lhv_vcpu *vcpu, u64 cr4);
void lhv_svm_set_efer(struct lhv_vcpu *vcpu, u64 efer);
int lhv_svm_get_msr(struct lhv_vcpu *vcpu, u32 index, u64 *data);
int lhv_svm_set_msr(struct lhv_vcpu *vcpu, u32 index, u64 data);
u64 lhv_svm_get_dr6(struct lhv_vcpu *vcpu);
void lhv_svm_set_dr6(struct lhv_vcpu *vcpu, u64 dr6);
void lhv_svm_set_dr7(struct lhv_vcpu *vcpu, u64 dr7);
void lhv_svm_set_tsc_offset(struct lhv_vcpu *vcpu, u64 offset);
void lhv_svm_dump(struct lhv_vcpu *vcpu);

/* event.c */
void lhv_svm_inject_exception(struct lhv_vcpu *vcpu);
void lhv_svm_inject_nmi(struct lhv_vcpu *vcpu);
void lhv_svm_inject_irq(struct lhv_vcpu *vcpu, u8 vector);
bool lhv_svm_irq_allowed(struct lhv_vcpu *vcpu);
bool lhv_svm_nmi_allowed(struct lhv_vcpu *vcpu);
void lhv_svm_irq_window(struct lhv_vcpu *vcpu);
void lhv_svm_close_irq_window(struct lhv_vcpu *vcpu);
void lhv_svm_nmi_window(struct lhv_vcpu *vcpu);
void lhv_svm_watch_tpr(struct lhv_vcpu *vcpu, bool on);
u32 lhv_svm_get_shadow(struct lhv_vcpu *vcpu);
void lhv_svm_set_shadow(struct lhv_vcpu *vcpu, u32 shadow);
bool lhv_svm_get_nmi_mask(struct lhv_vcpu *vcpu);
void lhv_svm_set_nmi_mask(struct lhv_vcpu *vcpu, bool masked);
bool lhv_svm_requeue(struct lhv_event *ev, u32 info, u32 error);
void lhv_svm_interrupted(struct lhv_vcpu *vcpu);
void lhv_svm_iret(struct lhv_vcpu *vcpu);

/* exit.c */
#define LHV_SVM_NR_REASONS	(SVM_EXIT_INVPCID + 1)
extern const u8 lhv_svm_reasons[LHV_SVM_NR_REASONS];
u32 lhv_svm_npf_access(u64 info1);
enum lhv_next lhv_svm_handle_exit(struct lhv_vcpu *vcpu);

/**
 * lhv_svm_exit_reason() - the vendor-neutral reason of an exit code
 * @code: EXITCODE
 */
static __always_inline u8 lhv_svm_exit_reason(u32 code)
{
	u8 plus_one = code < LHV_SVM_NR_REASONS ? lhv_svm_reasons[code] : 0;

	if (plus_one)
		return plus_one - 1;
	return code == SVM_EXIT_NPF ? LHV_EXIT_FAULT : LHV_EXIT_OTHER;
}

/* EXITINFO1 of IOIO with decode assists: effective segment. */
#define IOIO_SEG_SHIFT		10
#define IOIO_SEG_MASK		7
#define IOIO_PORT_SHIFT		16

/**
 * lhv_svm_io_decode() - EXITINFO1 of an IOIO intercept
 * @info1: EXITINFO1
 * @decode_assists: the CPU says which segment OUTS reads
 * @io: filled
 */
static __always_inline void lhv_svm_io_decode(u64 info1, bool decode_assists,
						  struct lhv_io *io)
{
	/* One bit each for 16, 32 and 64; bytes for 8, 16 and 32: doubled. */
	u32 size = (info1 & SVM_IOIO_SIZE_MASK) >> SVM_IOIO_SIZE_SHIFT;
	u32 asize = (info1 & SVM_IOIO_ASIZE_MASK) >> SVM_IOIO_ASIZE_SHIFT;

	*io = (struct lhv_io){
		.port = info1 >> IOIO_PORT_SHIFT,
		.size = size,
		.in = info1 & SVM_IOIO_TYPE_MASK,
		.string = info1 & SVM_IOIO_STR_MASK,
		.rep = info1 & SVM_IOIO_REP_MASK,
		.addr_size = asize * 2,
		.seg = LHV_NR_SEGS,
	};
	if (io->string && io->in)
		io->seg = LHV_ES;
	else if (io->string && decode_assists)
		io->seg = info1 >> IOIO_SEG_SHIFT & IOIO_SEG_MASK;
	if (io->seg > LHV_GS)
		io->seg = LHV_NR_SEGS;
}

/* svm.c */
void lhv_svm_refresh_tsc_aux(struct lhv_vcpu *vcpu);

/* enter.S */
void lhv_svm_switch(u64 *regs, u64 vmcb_pa, u64 host_pa, u64 guest_spec, u64 host_spec);

#endif
