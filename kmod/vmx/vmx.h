/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lhv vmx/ - VT-x: the backend for Intel's processors.
 *
 * What it is for: owning the VMCS: programming it, entering the guest, and saying
 *	in vendor-neutral terms why the guest stopped.
 * What enters: the ops of struct lhv_backend.
 * What leaves: vcpu state, vcpu->exit, calls of one room per exit.
 * What it must not know: how an access is emulated, what a device is, which host
 *	kernel this is.
 *
 * A VMCS can be read and written only while it is current on this CPU. So what the ops
 * get and set is kept here: @known says which groups of fields hold what the guest has,
 * @dirty which ones the VMCS has to be told at the next entry. What the guest may have
 * changed is read when somebody asks.
 *
 * Where CR4's helpers are open to us (see host/vmx.h) a CPU is in VMX operation from load to
 * unload and a VMCS stays active on the CPU that ran it last. Elsewhere VMX operation is a
 * bracket around each entry: VMXON, VMPTRLD, VMLAUNCH, VMCLEAR, VMXOFF.
 *
 * Manual: Intel 64 and IA-32 Architectures Software Developer's Manual Volume 3C.
 */
#ifndef LHV_VMX_H
#define LHV_VMX_H

#include "lhv.h"
#include "vmx/controls.h"
#include "vmx/vmcs.h"

/* Groups of VMCS fields. The first ones can change while the guest runs. */
enum lhv_vmx_group {
	LHV_VMX_SEG = 0,	/* and on, in the order of enum lhv_seg */
	LHV_VMX_GDT = LHV_NR_SEGS,
	LHV_VMX_IDT,
	LHV_VMX_CR3,
	LHV_VMX_SYSENTER,
	LHV_VMX_PDPTES,		/* means something in PAE paging only */
	LHV_VMX_NR_VOLATILE,
	/* Written only. */
	LHV_VMX_CR0 = LHV_VMX_NR_VOLATILE,
	LHV_VMX_CR4,
	LHV_VMX_EFER,
	LHV_VMX_PAT,
	LHV_VMX_DR7,
	LHV_VMX_TSC,
	LHV_VMX_CONTROLS,
	LHV_VMX_PENDING_DBG,
	LHV_VMX_TPR,		/* where it is, and how low it may get */
	LHV_VMX_VIRTUAL_IRQ,	/* RVI, SVI and which EOIs exit */
	LHV_VMX_ACTIVITY,	/* never halted: what HLT waited for may have come */
	LHV_VMX_CONSTANT,	/* what never changes after creation */
	LHV_VMX_HOST,		/* what differs between CPUs */
	LHV_VMX_NR_GROUPS
};

#define LHV_VMX_VOLATILE	(BIT(LHV_VMX_NR_VOLATILE) - 1)
#define LHV_VMX_ALL		(BIT(LHV_VMX_NR_GROUPS) - 1)
/* What decoding an instruction in 64-bit mode needs: word size, CPL, page tables. */
#define LHV_VMX_FOR_MMIO	\
	(BIT(LHV_VMX_SEG + LHV_CS) | BIT(LHV_VMX_SEG + LHV_SS) | BIT(LHV_VMX_CR3))

/**
 * struct lhv_vmx_caps - what this CPU model can do beyond the floor; constant after probe, and the
 *	same on each CPU in use
 * @revision: VMCS revision
 * @ins_outs_info: the VMCS tells the segment and address size of INS and OUTS
 * @vpid: translations of guests are tagged, and can be flushed by tag
 * @invvpid, @invept: extents of the two flushes in use
 * @pebs_baseline: any counter can write records, and none does while it stands still
 * @ept_ad: EPT entries have accessed and dirty bits
 * @ept_max_leaf: largest level of EPT that may be a leaf (1 to 3)
 * @timer_shift: the preemption timer counts once in so many cycles, as a power of two
 * @allowed: by control word, the optional controls that the CPU has, and what must be set
 * @cr0_fixed, @cr4_fixed: bits that must be set in VMX operation
 */
struct lhv_vmx_caps {
	u32 revision;
	bool ins_outs_info, vpid, ept_ad, pebs_baseline;
	u8 invvpid, invept, timer_shift, ept_max_leaf;
	struct { u32 must, may; } allowed[LHV_VMX_NR_CONTROLS];
	u64 cr0_fixed, cr4_fixed;
};

extern struct lhv_vmx_caps lhv_vmx_caps;

/* Per CPU; touched on that CPU with interrupts off, or preemption off in the atomic tier. */
struct lhv_vmx_cpu {
	bool on;		/* we may use VMX here */
	u64 vmxon_pa;
	struct page *vmxon;
	u64 current_vmcs;	/* physical address; 0: none. Resident mode only */
	struct list_head active; /* VMCSs that are active on this CPU. Resident mode only */
	u64 last_vcpu;		/* id of the vCPU that ran last */
};

struct lhv_vmx_seg {
	u64 base;
	u32 limit, ar;
	u16 selector;
};

#define LHV_VMX_PEBS_MSRS	2

/* Everything O (touched only by the thread that holds vcpu->lock) unless said otherwise. */
struct lhv_vmx_vcpu {
	struct page *vmcs;
	u64 vmcs_pa;
	unsigned long *msr_bitmap;
	u64 id;			/* never reused */
	u64 eptp;
	struct lhv_vmx_cpu *cpu; /* valid in the atomic tier */
	int last_cpu;		/* ran there last; -1: nowhere yet */
	int active_cpu;		/* VMCS is active there, -1: nowhere. That CPU, interrupts off */
	struct list_head active_link; /* that CPU, interrupts off */
	bool launched;		/* that CPU, interrupts off */
	bool loaded;		/* current on this CPU until put */
	u16 vpid;		/* 0: none */
	bool flush_ept, flush_vpid; /* at the next entry */
	bool touched;		/* for lhv_host_l1d_flush() */

	u32 known, dirty;	/* enum lhv_vmx_group bits */

	/* The guest's, by group. */
	struct lhv_vmx_seg seg[LHV_NR_SEGS];
	struct kvm_dtable gdt, idt;
	u64 cr3, pdptes[4];
	u64 sysenter_cs, sysenter_esp, sysenter_eip;
	u64 pat, dr7, tsc_offset;
	u64 pending_dbg;
	u32 controls[LHV_VMX_NR_CONTROLS];
	u32 exceptions;		/* the exception bitmap */

	/* What the VMCS holds now. */
	u64 vmcs_rsp, vmcs_rip, vmcs_rflags, host_cr3, host_cr4, host_rsp;
	u64 host_fs_base;
	u32 vmcs_interruptibility;

	u32 interruptibility;	/* GUEST_INTR_STATE_*, always known */
	u32 inject_info, inject_error; /* VM-entry interruption information; 0: none */
	bool soft_injected : 1;	/* #BP or #OF as by the VMM */
	bool halts : 1;		/* KVM_X86_DISABLE_EXITS_HLT */
	bool sleeps : 1;	/* KVM_X86_DISABLE_EXITS_MWAIT */

	/*
	 * The TPR in the LAPIC's register page, which MOV to and from CR8 uses without an exit.
	 * NULL: no TPR shadow, or no LAPIC.
	 */
	u32 *tpr;
	u8 tpr_threshold;	/* a CR8 below it exits */
	bool virtual_irqs;	/* the CPU delivers the LAPIC's interrupts */
	unsigned long eoi_exits[4]; /* what the VMCS holds of struct lhv_posted */
	u64 deadline;		/* guest TSC at which it exits, 0: none */
	u32 vmcs_timer;		/* what the preemption timer starts from */

	/* Of the last exit. */
	u32 intr_info, intr_error, vectoring_info, vectoring_error;

	/* MSRs in hardware while the vCPU is loaded, or as long as user space stays away. */
	u64 star, lstar, cstar, sfmask, kernel_gs_base;
	bool has_tsc_aux;

	struct lhv_host_segs host_segs;

	u64 pebs;		/* the entry switches the MSRs below; 0: it does not */
	struct vmx_msr_entry pebs_guest[LHV_VMX_PEBS_MSRS], pebs_host[LHV_VMX_PEBS_MSRS];

	const u64 *dr;		/* DR0-3 while the guest runs; NULL: it does not need them */
	bool dr_open;		/* accesses are not intercepted; @dr is the guest's, read back */
};

static inline struct lhv_vmx_vcpu *lhv_vmx(struct lhv_vcpu *vcpu)
{
	return (struct lhv_vmx_vcpu *)vcpu->backend;
}

static inline void lhv_vmx_mark_dirty(struct lhv_vmx_vcpu *vmx, enum lhv_vmx_group group)
{
	vmx->dirty |= BIT(group);
	vmx->known |= BIT(group);
}

/* Never called: a control bit that controls.h does not declare. */
void __compiletime_error("control bit not declared in controls.h") lhv_vmx_undeclared(void);

/**
 * lhv_vmx_control() - set or clear a control of one vCPU
 * @vmx: the vCPU
 * @word: PIN, CPU, CPU2, EXIT or ENTRY
 * @bits: constant; declared in controls.h. One that the CPU lacks stays off
 * @on: which
 */
#define lhv_vmx_control(vmx, word, bits, on)						\
do {											\
	if (!__builtin_constant_p(bits) ||						\
	    ((bits) & ~(u32)(LHV_VMX_##word##_REQUIRED | LHV_VMX_##word##_OPTIONAL)))	\
		lhv_vmx_undeclared();							\
	lhv_vmx_set_control(vmx, LHV_VMX_##word, bits, on);				\
} while (0)

static inline void lhv_vmx_set_control(struct lhv_vmx_vcpu *vmx, enum lhv_vmx_word word, u32 bits,
				       bool on)
{
	u32 old = vmx->controls[word], new;

	new = on ? old | (bits & lhv_vmx_caps.allowed[word].may) :
		   old & ~(bits & ~lhv_vmx_caps.allowed[word].must);
	if (new != old) {
		vmx->controls[word] = new;
		vmx->dirty |= BIT(LHV_VMX_CONTROLS);
	}
}

/* caps.c */
extern const struct lhv_survey lhv_vmx_survey;
int lhv_vmx_probe(void);
bool lhv_vmx_alike(void);
int lhv_vmx_describe(char *buf, size_t size);
void lhv_vmx_initial_controls(struct lhv_vmx_vcpu *vmx);
bool lhv_vmx_withholds(unsigned int x86_feature);
static inline bool lhv_vmx_has(enum lhv_vmx_word word, u32 bit)
{
	return lhv_vmx_caps.allowed[word].may & bit;
}

/* msr.c */
unsigned long *lhv_vmx_msr_bitmap_alloc(void);
void lhv_vmx_msr_bitmap_free(unsigned long *map);
int lhv_vmx_msr_bit(u32 msr);
void lhv_vmx_msr_intercept(unsigned long *map, u32 msr, bool read, bool write);
void lhv_vmx_msr_update(struct lhv_vcpu *vcpu);
void lhv_vmx_msr_virtual_irqs(unsigned long *map, bool on);
void lhv_vmx_load_msrs(struct lhv_vcpu *vcpu);
int lhv_vmx_get_msr(struct lhv_vcpu *vcpu, u32 index, u64 *data);
int lhv_vmx_set_msr(struct lhv_vcpu *vcpu, u32 index, u64 data);

/* state.c */
void lhv_vmx_read_groups(struct lhv_vmx_vcpu *vmx, u32 groups);
void lhv_vmx_write_dirty(struct lhv_vcpu *vcpu);
void lhv_vmx_reset(struct lhv_vcpu *vcpu, bool init);
void lhv_vmx_cpuid_changed(struct lhv_vcpu *vcpu);
void lhv_vmx_open_dr(struct lhv_vcpu *vcpu);
void lhv_vmx_close_dr(struct lhv_vcpu *vcpu);
void lhv_vmx_update_debug(struct lhv_vcpu *vcpu);
void lhv_vmx_flush_guest(struct lhv_vcpu *vcpu);
void lhv_vmx_get_seg(struct lhv_vcpu *vcpu, enum lhv_seg seg, struct kvm_segment *out);
void lhv_vmx_set_seg(struct lhv_vcpu *vcpu, enum lhv_seg seg, const struct kvm_segment *in);
void lhv_vmx_get_idt(struct lhv_vcpu *vcpu, struct kvm_dtable *out);
void lhv_vmx_set_idt(struct lhv_vcpu *vcpu, const struct kvm_dtable *in);
void lhv_vmx_get_gdt(struct lhv_vcpu *vcpu, struct kvm_dtable *out);
void lhv_vmx_set_gdt(struct lhv_vcpu *vcpu, const struct kvm_dtable *in);
int lhv_vmx_get_code(struct lhv_vcpu *vcpu, u64 *base);
int lhv_vmx_get_cpl(struct lhv_vcpu *vcpu);
u64 lhv_vmx_get_cr3(struct lhv_vcpu *vcpu);
void lhv_vmx_get_pdptrs(struct lhv_vcpu *vcpu, u64 pdptrs[4]);
void lhv_vmx_set_pdptrs(struct lhv_vcpu *vcpu, const u64 pdptrs[4]);
void lhv_vmx_set_cr0(struct lhv_vcpu *vcpu, u64 cr0);
void lhv_vmx_set_cr3(struct lhv_vcpu *vcpu, u64 cr3);
void lhv_vmx_set_cr4(struct lhv_vcpu *vcpu, u64 cr4);
void lhv_vmx_set_efer(struct lhv_vcpu *vcpu, u64 efer);
int lhv_vmx_load_pdptes(struct lhv_vcpu *vcpu);
u64 lhv_vmx_get_dr6(struct lhv_vcpu *vcpu);
void lhv_vmx_set_dr6(struct lhv_vcpu *vcpu, u64 dr6);
void lhv_vmx_set_dr7(struct lhv_vcpu *vcpu, u64 dr7);
u64 lhv_vmx_max_tsc_ratio(void);
void lhv_vmx_set_tsc_offset(struct lhv_vcpu *vcpu, u64 offset);
bool lhv_vmx_set_deadline(struct lhv_vcpu *vcpu, u64 guest_tsc);
u32 lhv_vmx_segment_ar(const struct kvm_segment *in);

/* event.c */
void lhv_vmx_inject_exception(struct lhv_vcpu *vcpu);
void lhv_vmx_inject_nmi(struct lhv_vcpu *vcpu);
void lhv_vmx_inject_irq(struct lhv_vcpu *vcpu, u8 vector);
bool lhv_vmx_irq_allowed(struct lhv_vcpu *vcpu);
bool lhv_vmx_nmi_allowed(struct lhv_vcpu *vcpu);
void lhv_vmx_irq_window(struct lhv_vcpu *vcpu);
void lhv_vmx_nmi_window(struct lhv_vcpu *vcpu);
void lhv_vmx_watch_tpr(struct lhv_vcpu *vcpu, bool on);
bool lhv_vmx_takes_irqs(bool *notified);
void lhv_vmx_virtual_irqs(struct lhv_vcpu *vcpu, bool on);
u32 lhv_vmx_get_shadow(struct lhv_vcpu *vcpu);
void lhv_vmx_set_shadow(struct lhv_vcpu *vcpu, u32 shadow);
bool lhv_vmx_get_nmi_mask(struct lhv_vcpu *vcpu);
void lhv_vmx_set_nmi_mask(struct lhv_vcpu *vcpu, bool masked);
bool lhv_vmx_requeue(struct lhv_event *ev, u32 info, u32 error, bool soft_injected);
void lhv_vmx_interrupted(struct lhv_vcpu *vcpu);

/* exit.c */
#define LHV_VMX_NR_REASONS	(EXIT_REASON_TDCALL + 1)

/**
 * struct lhv_vmx_reason - what an exit reason means
 * @reason: vendor-neutral reason, plus one; 0: one that is never asked for
 * @says: LHV_VMX_SAYS_*, what the VMCS has to say of such an exit
 */
struct lhv_vmx_reason {
	u8 reason, says;
};

#define LHV_VMX_SAYS_QUALIFICATION	BIT(0)
#define LHV_VMX_SAYS_LENGTH		BIT(1)	/* of the instruction */
#define LHV_VMX_SAYS_VECTORING		BIT(2)	/* it may have interrupted a delivery */
#define LHV_VMX_SAYS_ADDRESS		BIT(3)	/* guest-physical */
#define LHV_VMX_SAYS_EVENT		BIT(4)	/* which exception or interrupt */
#define LHV_VMX_SAYS_OPERAND		BIT(5)	/* of INS and OUTS */

extern const struct lhv_vmx_reason lhv_vmx_reasons[LHV_VMX_NR_REASONS];
u32 lhv_vmx_ept_access(u64 qualification);
void lhv_vmx_io_operand(bool info_valid, u32 info, struct lhv_io *io);
enum lhv_next lhv_vmx_handle_exit(struct lhv_vcpu *vcpu);

/* Exit qualification for I/O instructions. */
#define LHV_VMX_IO_SIZE		GENMASK(2, 0)	/* less one */
#define LHV_VMX_IO_IN		BIT(3)
#define LHV_VMX_IO_STRING	BIT(4)
#define LHV_VMX_IO_REP		BIT(5)
#define LHV_VMX_IO_PORT_SHIFT	16

/**
 * lhv_vmx_io_decode() - the exit qualification of an I/O instruction
 * @qualification: exit qualification
 * @info_valid: the CPU says which segment and address size INS and OUTS use
 * @info: VM-exit instruction information
 * @io: filled
 */
static __always_inline void lhv_vmx_io_decode(u64 qualification, bool info_valid, u32 info,
					      struct lhv_io *io)
{
	*io = (struct lhv_io){
		.port = qualification >> LHV_VMX_IO_PORT_SHIFT,
		.size = (qualification & LHV_VMX_IO_SIZE) + 1,
		.in = qualification & LHV_VMX_IO_IN,
		.string = qualification & LHV_VMX_IO_STRING,
		.rep = qualification & LHV_VMX_IO_REP,
		.seg = LHV_NR_SEGS,
	};
	if (unlikely(io->string))
		lhv_vmx_io_operand(info_valid, info, io);
}

/* explain.c */
const char *lhv_vmx_instruction_error(u32 error);
const char *lhv_vmx_bad_guest_state(struct lhv_vcpu *vcpu);
void lhv_vmx_dump(struct lhv_vcpu *vcpu, const char *what);

/* vmx.c */
void lhv_vmx_need(struct lhv_vcpu *vcpu, u32 groups);

/* enter.c */
void lhv_vmx_read_bracketed(struct lhv_vmx_vcpu *vmx, struct lhv_vmx_cpu *cpu);
bool lhv_vmx_enter(struct lhv_vcpu *vcpu);

/* switch.S */
int lhv_vmx_switch(u64 *regs, bool launched, u64 *host_rsp, u64 guest_spec, u64 host_spec);
extern const char lhv_vmx_exit_point[];

#endif
