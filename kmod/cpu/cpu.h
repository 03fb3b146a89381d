/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lhv cpu/ - what a virtual CPU is, apart from memory and interrupts.
 *
 * What it is for: CPUID, MSRs, control registers, FPU state, debug registers, clock
 *	(TSC, kvmclock, steal time), hypercalls, event queue, instruction decoder.
 * What enters: decoded exits, state ioctls.
 * What leaves: register changes, queued exceptions, MMIO and port accesses (to bus/).
 * What it must not know: control blocks, host kernel versions.
 */
#ifndef LHV_CPU_H
#define LHV_CPU_H

#include <linux/cpufeature.h>
#include <linux/jump_label_ratelimit.h>
#include <asm/debugreg.h>
#include <asm/mce.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>
#include <asm/tsc.h>

#include "decode.h"

#define LHV_MCE_BANKS	32
#define LHV_MCG_CAP	(MCG_CTL_P | MCG_SER_P)	/* what KVM_X86_SETUP_MCE may ask for, besides the bank count */

/* ---- event.c: exceptions, NMI and interrupt on their way into the guest ---- */

/**
 * struct lhv_event - what is to be delivered next
 *
 * "pending" was raised and not yet handed to the hardware; "injected" was handed over
 * (or was being delivered when the guest exited) and has to be handed over again.
 */
struct lhv_event {
	struct {
		bool pending, injected;
		bool has_error, has_payload;
		u8 vector;
		u32 error;
		u64 payload;	/* CR2 of a #PF, DR6 bits of a #DB */
	} exc;
	struct {
		bool injected, soft;
		bool queued;	/* acknowledged, but an exception came first */
		u8 vector;
	} irq;			/* soft: INTn, re-executed rather than re-injected */
	bool nmi_injected;
	atomic_t nmi_pending;	/* A at most 2 */
	int user_irq;		/* vector queued by KVM_INTERRUPT, -1 none */
};

void lhv_queue_exception(struct lhv_vcpu *vcpu, u8 vector);
void lhv_queue_exception_error(struct lhv_vcpu *vcpu, u8 vector, u32 error);
void lhv_queue_payload(struct lhv_vcpu *vcpu, u8 vector, u64 payload);	/* #DB */
void lhv_queue_pf(struct lhv_vcpu *vcpu, u64 addr, u32 error);
struct lhv_fault;
void lhv_queue_fault(struct lhv_vcpu *vcpu, const struct lhv_fault *fault);
void lhv_nmi(struct lhv_vcpu *vcpu);		/* any context: queue an NMI */
/* Interrupts off, right before entry, when LHV_REQ_EVENT was pending. */
void lhv_event_inject(struct lhv_vcpu *vcpu);
int lhv_get_events(struct lhv_vcpu *vcpu, struct kvm_vcpu_events *ev);
int lhv_set_events(struct lhv_vcpu *vcpu, const struct kvm_vcpu_events *ev);

/* #GP(0), and on to the handler. */
static inline enum lhv_next lhv_inject_gp(struct lhv_vcpu *vcpu)
{
	lhv_queue_exception_error(vcpu, X86_TRAP_GP, 0);
	return LHV_RESUME;
}

static inline enum lhv_next lhv_inject_ud(struct lhv_vcpu *vcpu)
{
	lhv_queue_exception(vcpu, X86_TRAP_UD);
	return LHV_RESUME;
}

/* ---- state ---- */

/* Guest CPUID features that the module itself asks about (cpuid.c computes them at SET_CPUID2). */
enum lhv_feature {
	LHV_F_LM, LHV_F_NX, LHV_F_SVM, LHV_F_SYSCALL, LHV_F_GBPAGES, LHV_F_FFXSR,
	LHV_F_XSAVE, LHV_F_XSAVES, LHV_F_PCID, LHV_F_SMEP, LHV_F_SMAP, LHV_F_FSGSBASE,
	LHV_F_UMIP, LHV_F_PKU, LHV_F_LA57, LHV_F_RDTSCP, LHV_F_RDPID, LHV_F_X2APIC,
	LHV_F_TSC_DEADLINE, LHV_F_MWAIT, LHV_F_SPEC_CTRL, LHV_F_AMD_IBRS, LHV_F_AMD_STIBP,
	LHV_F_AMD_SSBD, LHV_F_IBPB, LHV_F_ARCH_CAPS, LHV_F_TSC_ADJUST, LHV_F_INVPCID,
	LHV_F_INTEL_STIBP, LHV_F_INTEL_SSBD, LHV_F_OSVW,
	LHV_NR_FEATURES
};

struct lhv_cpuid_table;		/* cpuid.c */

/**
 * struct lhv_decoded - an instruction that was carried out, and may well be again
 * @insn: decoded instruction
 * @rip: where it was
 * @bytes: those it was decoded from, and those behind it
 * @known: all of @bytes were there, and that is what they mean
 */
struct lhv_decoded {
	struct lhv_insn insn;
	u64 rip;
	u8 bytes[LHV_INSN_MAX];
	bool known;
};

#define LHV_DECODED	16

/**
 * struct lhv_emul - the emulated instruction that waits for the VMM (emulate.c)
 * @last: the instruction, one of @decoded
 * @decoded: the last ones, by RIP: a driver goes to its device from a few places
 * @rip: where it is
 * @gpa, @access: the fault that led here
 * @waiting: the VMM or the slow tier has to come first, then it is run again
 * @debug: KVM_EXIT_DEBUG is due after the VMM took the write
 * @written: the access that waits is the instruction's last: it is not run again
 * @nr_log: accesses in @log that are already done
 * @log: device accesses made so far, so that none is made twice
 */
struct lhv_emul {
	struct lhv_decoded *last;	/* O */
	struct lhv_decoded decoded[LHV_DECODED]; /* O */
	u64 rip;			/* O */
	gpa_t gpa;			/* O */
	u32 access;			/* O */
	bool waiting, debug, written;	/* O */
	u8 nr_log;			/* O */
	struct {
		gpa_t gpa;
		u8 len;
		bool write;
		u8 data[16];
	} log[4];			/* O */
};

struct lhv_cpu {
	struct lhv_cpuid_table *cpuid;	/* O */
	DECLARE_BITMAP(features, LHV_NR_FEATURES); /* O */
	u64 pv_features;		/* O KVM_CPUID_FEATURES eax as set by the VMM */
	u64 cr4_reserved;		/* O bits the guest may not set */
	u64 gpa_reserved;		/* O address bits beyond MAXPHYADDR */
	u8 maxphyaddr;			/* O */

	/* FPU: fpu.c */
	struct lhv_host_fpu *fpu;	/* I XSAVE area */
	u64 xcr0;			/* O guest's XCR0 */
	u64 xcr0_allowed;		/* O what it may be set to */
	u32 pkru;			/* O guest's, while it is not in the register */

	/* Debug registers: debugreg.c */
	u64 db[4];			/* O guest's DR0-DR3 */
	u64 dr6, dr7;			/* O guest's */
	struct kvm_guest_debug_arch guest_debug_dr; /* O */
	u32 guest_debug;		/* O KVM_GUESTDBG_* */

	/* MSRs that have no other home: msr.c */
	const struct lhv_msr_row *msr_row; /* O of the last one asked for, or NULL */
	u64 mtrr_def_type, mtrr_fixed[11], mtrr_var[16];
	u64 pat, misc_enable, mcg_cap, mcg_status, mcg_ctl, mci[LHV_MCE_BANKS * 4];
	u64 tsc_aux, tsc_adjust, spec_ctrl, arch_capabilities, platform_info, ucode_rev;
	u64 smbase, power_ctl, hwcr, poll_control, steal_msr, de_cfg;
	u64 osvw_length, osvw_status, hsave_pa;

	/* Clock: clock.c */
	u64 tsc_offset;			/* O guest TSC = host TSC * tsc_ratio + offset */
	u64 tsc_ratio;			/* O binary fraction, see LHV_TSC_FRACTION */
	u32 tsc_khz, tsc_mul;		/* O ns = cycles * tsc_mul >> (32 - tsc_shift) */
	s8 tsc_shift;			/* O */
	u64 kvmclock_msr;		/* O MSR_KVM_SYSTEM_TIME_NEW */
	unsigned long clock_flags;	/* A LHV_CLOCK_* */
	u64 wall_gpa;			/* O where the wall clock is to be written */
	u64 steal_last;			/* O stolen time, @steal_pid's, when last looked at */
	pid_t steal_pid;		/* O the thread that ran the vCPU then */
	bool steal_hinted;		/* O the record says that the vCPU does not run */
	u64 tsc_lost;			/* O part of lhv_clock.tsc_lost that tsc_offset has */
	unsigned long clock_refresh;	/* O jiffies when the kvmclock page is due again */
	u64 load_tsc;			/* O host TSC when the vCPU last changed CPUs */

	u64 msr_rip;			/* O msr_filter.c: of the access that waits for the VMM */
	u8 msr_len;			/* O its length */

	struct lhv_emul emul;		/* O insn.c, emulate.c */
};

/* lhv_cpu.clock_flags */
enum {
	LHV_CLOCK_STOPPED,	/* KVM_KVMCLOCK_CTRL: tell the guest that it was stopped */
	LHV_CLOCK_WALL,		/* the wall clock at wall_gpa is to be written */
};

static inline bool lhv_has(const struct lhv_cpu *cpu, enum lhv_feature f)
{
	return test_bit(f, cpu->features);
}

int lhv_cpu_create(struct lhv_vcpu *vcpu);
void lhv_cpu_destroy(struct lhv_vcpu *vcpu);	/* callable on a half-built vCPU */
/* Architectural reset of everything in this room; calls the backend's set_cr*, set_efer. */
void lhv_cpu_reset(struct lhv_vcpu *vcpu, bool init);

/* ---- skip and small instructions: insn.c ---- */

/*
 * lhv_skip() steps over the instruction that exited. For a handler that changes state of its
 * own it comes in two halves: first lhv_insn_len() (nothing has changed yet), then the
 * effects, then lhv_retire(). All of them are in retire.h.
 */
/* KVM_EXIT_DEBUG: @dr6 bits (DR_STEP, DR_TRAPn...). Returns LHV_EXIT_USER. */
enum lhv_next lhv_debug_exit(struct lhv_vcpu *vcpu, u8 vector, u64 dr6);

/* Exits decoded by the backend. Each skips the instruction itself where the CPU would. */
enum lhv_next lhv_cpuid_exec(struct lhv_vcpu *vcpu);
enum lhv_next lhv_rdmsr_exec(struct lhv_vcpu *vcpu);
enum lhv_next lhv_wrmsr_exec(struct lhv_vcpu *vcpu);
enum lhv_next lhv_hlt_exec(struct lhv_vcpu *vcpu);
enum lhv_next lhv_xsetbv_exec(struct lhv_vcpu *vcpu);
enum lhv_next lhv_hypercall_exec(struct lhv_vcpu *vcpu);
void lhv_yield_to(struct lhv_vcpu *vcpu);
enum lhv_next lhv_ud_exec(struct lhv_vcpu *vcpu);		/* #UD: the other hypercall? */
enum lhv_next lhv_rdpmc_exec(struct lhv_vcpu *vcpu);
enum lhv_next lhv_nop_exec(struct lhv_vcpu *vcpu);		/* INVD */
enum lhv_next lhv_wbinvd_exec(struct lhv_vcpu *vcpu);
enum lhv_next lhv_mwait_exec(struct lhv_vcpu *vcpu);		/* MONITOR, too */
enum lhv_next lhv_pause_exec(struct lhv_vcpu *vcpu);		/* pause loop: yield */
/*
 * MOV to/from CR and DR, CLTS, LMSW, SMSW. @reg: the general register, -1 when the CPU did
 * not say (the decoder looks). @write: MOV to CR/DR.
 */
enum lhv_next lhv_cr_exec(struct lhv_vcpu *vcpu, int cr, int reg, bool write);
enum lhv_next lhv_dr_exec(struct lhv_vcpu *vcpu, int dr, int reg, bool write);

/* ---- control registers: cr.c. Architectural checks and effects; nonzero: #GP ---- */
int lhv_set_cr0(struct lhv_vcpu *vcpu, u64 cr0);
int lhv_set_cr3(struct lhv_vcpu *vcpu, u64 cr3);
int lhv_set_cr4(struct lhv_vcpu *vcpu, u64 cr4);
int lhv_set_cr8(struct lhv_vcpu *vcpu, u64 cr8);
int lhv_set_xcr0(struct lhv_vcpu *vcpu, u64 xcr0);
int lhv_set_efer(struct lhv_vcpu *vcpu, u64 efer, bool host);
int lhv_get_sregs(struct lhv_vcpu *vcpu, struct kvm_sregs *sregs);
int lhv_set_sregs(struct lhv_vcpu *vcpu, const struct kvm_sregs *sregs);
int lhv_get_sregs2(struct lhv_vcpu *vcpu, struct kvm_sregs2 *sregs2);
int lhv_set_sregs2(struct lhv_vcpu *vcpu, const struct kvm_sregs2 *sregs2);
void lhv_get_regs(struct lhv_vcpu *vcpu, struct kvm_regs *regs);
int lhv_set_regs(struct lhv_vcpu *vcpu, const struct kvm_regs *regs);

/* ---- CPUID: cpuid.c ---- */
void lhv_cpuid_setup(void);	/* module init: what this host and this module can offer */
/* Fills @entries (at most *nent); -E2BIG when short; sets *nent. */
int lhv_cpuid_supported(struct kvm_cpuid_entry2 *entries, u32 *nent);
int lhv_cpuid_set(struct lhv_vcpu *vcpu, const struct kvm_cpuid_entry2 *entries, u32 nent);
int lhv_cpuid_get(struct lhv_vcpu *vcpu, struct kvm_cpuid_entry2 *entries, u32 *nent);
const struct kvm_cpuid_entry2 *lhv_cpuid_find(struct lhv_vcpu *vcpu, u32 function, u32 index);
void lhv_cpuid_query(struct lhv_vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx);
u64 lhv_cpuid_xcr0(void);	/* XCR0 bits that guests may set; 0 without XSAVE */
/* CR4.OSXSAVE, APIC base enable, XCR0, CR4.PKE show up in CPUID. */
void lhv_cpuid_runtime(struct lhv_vcpu *vcpu);
/* MISC_ENABLE's MWAIT bit changed. */
void lhv_cpuid_mwait(struct lhv_vcpu *vcpu);

/* ---- MSRs: msr.c. @host: from the VMM, which may set what the guest may not. Nonzero: #GP ---- */
int lhv_msr_read(struct lhv_vcpu *vcpu, u32 index, u64 *data, bool host);
int lhv_msr_write(struct lhv_vcpu *vcpu, u32 index, u64 data, bool host);
/* msr_filter.c: what the VMM denies. */
extern struct static_key_false_deferred lhv_msrs_denied;
bool lhv_msr_allowed(struct lhv_vcpu *vcpu, u32 index, u32 access);
int lhv_msr_set_filter(struct lhv_vm *vm, const struct kvm_msr_filter *user);
void lhv_msr_filter_destroy(struct lhv_vm *vm);
void lhv_msr_filter_exit(void);
/* The lists behind KVM_GET_MSR_INDEX_LIST and _FEATURE_INDEX_LIST. */
u32 lhv_msr_list(const u32 **list);
u32 lhv_msr_feature_list(const u32 **list);
int lhv_msr_feature(u32 index, u64 *data);
int lhv_setup_mce(struct lhv_vcpu *vcpu, u64 mcg_cap);
int lhv_set_mce(struct lhv_vcpu *vcpu, const struct kvm_x86_mce *mce);

/* ---- FPU: fpu.c on top of host/ ---- */
int lhv_get_fpu(struct lhv_vcpu *vcpu, struct kvm_fpu *fpu);
int lhv_set_fpu(struct lhv_vcpu *vcpu, const struct kvm_fpu *fpu);
int lhv_get_xsave(struct lhv_vcpu *vcpu, void *buf, size_t size);	/* XSAVE (4096) and XSAVE2 */
int lhv_set_xsave(struct lhv_vcpu *vcpu, const void *buf, size_t size);
int lhv_get_xcrs(struct lhv_vcpu *vcpu, struct kvm_xcrs *xcrs);
int lhv_set_xcrs(struct lhv_vcpu *vcpu, const struct kvm_xcrs *xcrs);

/* ---- debug registers: debugreg.c ---- */

/* What KVM_SET_GUEST_DEBUG may ask for. */
#define LHV_GUESTDBG	(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_SW_BP | \
			 KVM_GUESTDBG_USE_HW_BP | KVM_GUESTDBG_INJECT_DB |		\
			 KVM_GUESTDBG_INJECT_BP | KVM_GUESTDBG_BLOCKIRQ)

int lhv_get_debugregs(struct lhv_vcpu *vcpu, struct kvm_debugregs *d);
int lhv_set_debugregs(struct lhv_vcpu *vcpu, const struct kvm_debugregs *d);
int lhv_set_guest_debug(struct lhv_vcpu *vcpu, const struct kvm_guest_debug *dbg);
/* MOV to/from DR. 0, or the vector to raise (X86_TRAP_UD, X86_TRAP_GP). DR7.GD is the caller's. */
int lhv_get_dr(struct lhv_vcpu *vcpu, int dr, u64 *val);
int lhv_set_dr(struct lhv_vcpu *vcpu, int dr, u64 val);

/* What the hardware's DR0-3 and DR7 hold while the guest runs: the VMM's own breakpoints win. */
static inline const u64 *lhv_effective_db(const struct lhv_cpu *cpu)
{
	return cpu->guest_debug & KVM_GUESTDBG_USE_HW_BP ? cpu->guest_debug_dr.debugreg : cpu->db;
}

static inline u64 lhv_effective_dr7(const struct lhv_cpu *cpu)
{
	return cpu->guest_debug & KVM_GUESTDBG_USE_HW_BP ? cpu->guest_debug_dr.debugreg[7] :
							   cpu->dr7;
}

/* ---- clock: clock.c ---- */

/**
 * struct lhv_clock - the VM's time
 *
 * While the host's TSC is stable, kvmclock is base_ns at host TSC base_tsc and advances at
 * the TSC's rate: one pair for all vCPUs. Otherwise it is the host's boot time plus @offset.
 */
struct lhv_clock {
	raw_spinlock_t lock;
	bool stable;		/* lock: base_tsc and base_ns are in use */
	u64 base_tsc, base_ns;	/* lock */
	s64 offset;		/* lock */
	u64 tsc_base_host;	/* lock: when the host's TSC was here... */
	u64 tsc_base_guest;	/* lock: ...that of synchronised vCPUs was there */
	u64 tsc_ratio;		/* lock: of the vCPU that was told its rate last */
	u64 tsc_lost;		/* lock: what the host's TSC went back by in suspend, in all */
	u64 last_write_tsc;	/* lock: last guest TSC that the VMM wrote... */
	u64 last_write_ns;	/* lock: ...and when; 0 never */
	u64 wall_clock_msr;	/* A */
	u32 tsc_khz, mul;	/* I the host's; ns = cycles * mul >> (32 - shift) */
	s8 shift;		/* I */
	u32 guest_khz;		/* vm->lock: what new vCPUs start with */
};

/* A guest's TSC beside the host's: so many bits of the ratio are behind the point. */
#define LHV_TSC_FRACTION	48
#define LHV_TSC_UNSCALED	BIT_ULL(LHV_TSC_FRACTION)

bool lhv_host_tsc_invariant(void);
bool lhv_host_tsc_stable(void);

static inline u32 lhv_host_tsc_khz(void)
{
	return tsc_khz ?: cpu_khz ?: USEC_PER_SEC;
}

void lhv_clock_init_vm(struct lhv_vm *vm);
u64 lhv_guest_tsc(struct lhv_vcpu *vcpu, u64 host_tsc);
u64 lhv_tsc_to_ns(struct lhv_vcpu *vcpu, u64 cycles);
void lhv_clock_write_tsc(struct lhv_vcpu *vcpu, u64 data, bool host);
void lhv_clock_set_offset(struct lhv_vcpu *vcpu, u64 offset);
/* The run loop, entering the atomic tier on another CPU than last time. Preemption off. */
void lhv_clock_moved(struct lhv_vcpu *vcpu);
void lhv_clock_tick(struct lhv_vcpu *vcpu);
void lhv_clock_update(struct lhv_vcpu *vcpu);	/* served LHV_REQ_CLOCK; slow tier */
void lhv_steal_update(struct lhv_vcpu *vcpu);	/* served LHV_REQ_STEAL; slow tier */
/* SYSTEM_TIME and WALL_CLOCK (both kinds), STEAL_TIME. Nonzero: #GP. Either tier. */
int lhv_clock_msr_write(struct lhv_vcpu *vcpu, u32 index, u64 data);
int lhv_get_clock(struct lhv_vm *vm, struct kvm_clock_data *data);
int lhv_set_clock(struct lhv_vm *vm, const struct kvm_clock_data *data);
bool lhv_tsc_scales(void);
int lhv_set_tsc_khz(struct lhv_vcpu *vcpu, u32 khz);
int lhv_set_vm_tsc_khz(struct lhv_vm *vm, u32 khz);
int lhv_kvmclock_ctrl(struct lhv_vcpu *vcpu);
/* The run loop, slow tier, before it serves requests: asks for LHV_REQ_STEAL when it is due. */
void lhv_steal_check(struct lhv_vcpu *vcpu);
void lhv_steal_preempted(struct lhv_vcpu *vcpu);
/* Around suspend of the host, all VMs. Boot CPU, interrupts off, tasks frozen. */
void lhv_clock_suspend(void);
void lhv_clock_resume(void);

/* ---- instruction decoder and emulation: decode.c (pure), emulate.c ---- */

/**
 * lhv_mmio_exec() - carry out the instruction at RIP, which touched @gpa that has no memory
 * @vcpu: the vCPU
 * @gpa: the guest-physical address that faulted
 * @access: LHV_ACC_*
 *
 * Return: what the run loop does next. What cannot be decoded becomes
 * KVM_EXIT_INTERNAL_ERROR (KVM_INTERNAL_ERROR_EMULATION) with the bytes.
 */
enum lhv_next lhv_mmio_exec(struct lhv_vcpu *vcpu, gpa_t gpa, u32 access);

/*
 * Instruction bytes at RIP: the CPU's (vcpu->exit.bytes) or read from guest memory.
 * 0 with *len bytes in buf (at least 1; stops at what can be read), -EAGAIN, -EFAULT with @fault.
 */
struct lhv_fault;
int lhv_fetch_insn(struct lhv_vcpu *vcpu, u8 buf[15], unsigned int *len, struct lhv_fault *fault);

/*
 * Decode the instruction at RIP. True; or false when the handler has to return *next
 * (LHV_SLEEP; LHV_RESUME with a fault queued; LHV_EXIT_USER, undecodable).
 */
bool lhv_decode_at_rip(struct lhv_vcpu *vcpu, struct lhv_insn *insn, enum lhv_next *next);
/* The same for vcpu->cpu_state.emul.last, which often was there before. */
bool lhv_decode_emul(struct lhv_vcpu *vcpu, enum lhv_next *next);
enum lhv_insn_mode lhv_insn_mode(struct lhv_vcpu *vcpu);	/* what CS says */
u64 lhv_linear_rip(struct lhv_vcpu *vcpu);
u32 lhv_access_user(struct lhv_vcpu *vcpu);	/* LHV_ACC_USER at CPL 3, else 0 */

/*
 * Logical to linear: segment base, limit, type and canonical checks. True with *lin; false
 * with @fault (#GP or #SS, to lhv_queue_fault()). @ea is cut to the address size by the caller.
 */
bool lhv_linear(struct lhv_vcpu *vcpu, enum lhv_seg seg, u64 ea, unsigned int len, bool write,
		u64 *lin, struct lhv_fault *fault);

/* KVM_EXIT_INTERNAL_ERROR with the bytes at RIP; #UD when user code of the guest did it. */
enum lhv_next lhv_emulation_failure(struct lhv_vcpu *vcpu);

#endif
