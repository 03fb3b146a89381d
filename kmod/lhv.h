/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lhv - the objects: struct lhv_vm and struct lhv_vcpu.
 *
 * Each room of the module (mem/, cpu/, irq/, bus/) keeps its part of an object
 * in a struct of its own, embedded here, and touches no other room's part.
 *
 * The run loop has two tiers, and every exit handler must know which it is in:
 *
 *   atomic   vcpu->atomic is true: preemption is off and the guest's FPU state
 *            is live in the registers. Interrupts are on; bottom halves are
 *            off where kernel_fpu_begin() turns them off, elsewhere they
 *            run right here.
 *            Nothing may sleep, take a spinlock_t or mutex, or fault in user
 *            memory; raw spinlocks, atomics, SRCU read sections and
 *            copy_*_user() under pagefault_disable() are fine.
 *   slow     vcpu->atomic is false: plain process context, may sleep.
 *
 * A handler that finds out that it has to sleep returns LHV_SLEEP before it has
 * changed anything; the run loop then leaves the atomic tier and dispatches
 * the same exit again. So an exit that the kernel can answer at once pays
 * neither for XSAVE nor for preemption.
 *
 * Lock order (outermost first):
 *   vcpu->lock > vm->lock > vm->mem.slots_lock > mmap_lock > vm->mem.mmu_lock
 *   management: vm->manage.lock > lhv_vms_lock; neither inside of those above
 *   passthrough: device_lock, vm->manage.lock and slots_lock > lhv_devices_lock > vm->dma_lock
 *   sched: lhv_pools_lock (mutex) > a CPU's slice lock (raw) > pool->lock (raw)
 *   irq: vm->irq.lock (mutex) > ioapic.lock (raw) > pic.lock (raw) > lapic (atomics only)
 *   vm->srcu and vm->irq.srcu read sections nest anywhere; synchronize_srcu() only under vm->lock or
 *   slots_lock, of irq.srcu under irq.lock, and never from within a read section.
 */
#ifndef LHV_H
#define LHV_H

#include <linux/bitops.h>
#include <linux/kvm.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rcuwait.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/srcu.h>
#include <linux/types.h>

#include "host/host.h"
#include "manage/manage.h"
#include "sched/gate.h"

struct lhv_vm;
struct lhv_vcpu;

/* Pages of a vCPU's mmap. */
#define LHV_PAGE_RUN		0
#define LHV_PAGE_PIO		KVM_PIO_PAGE_OFFSET
#define LHV_PAGE_COALESCED	KVM_COALESCED_MMIO_PAGE_OFFSET
#define LHV_VCPU_PAGES		3

#define LHV_MAX_VCPUS		1024	/* and ids are below it */
#define LHV_VCPU_TABLE		64	/* vCPUs of a VM in one table */
#define LHV_MAX_GPA_BITS	52

/** enum lhv_next - what the run loop does after an exit was handled */
enum lhv_next {
	LHV_RESUME,	/* enter the guest again */
	LHV_SLEEP,	/* (atomic tier only) nothing was changed: dispatch again in the slow tier */
	LHV_EXIT_USER,	/* KVM_RUN returns 0; kvm_run says why */
	LHV_CRASH,	/* the same, and the guest cannot go on from it: listeners are told */
	LHV_FATAL,	/* the VM is bugged: KVM_RUN returns -EIO from now on */
};

/* General registers by their number in the instruction encoding. */
enum lhv_reg {
	LHV_RAX, LHV_RCX, LHV_RDX, LHV_RBX, LHV_RSP, LHV_RBP, LHV_RSI, LHV_RDI,
	LHV_R8, LHV_R9, LHV_R10, LHV_R11, LHV_R12, LHV_R13, LHV_R14, LHV_R15,
	LHV_NR_REGS
};

/* Segment registers, the first six by their number in the instruction encoding. */
enum lhv_seg {
	LHV_ES, LHV_CS, LHV_SS, LHV_DS, LHV_FS, LHV_GS, LHV_LDTR, LHV_TR, LHV_NR_SEGS
};

/* Why the guest stopped, said alike by both backends. One counter per reason. */
#define LHV_EXIT_REASONS(X)						\
	X(INTR) X(NMI) X(SMI) X(MCE) X(INIT) X(EXCEPTION) X(IRQ_WINDOW)	\
	X(NMI_WINDOW) X(CPUID) X(HLT) X(PIO) X(MSR) X(CR) X(DR) X(FAULT)	\
	X(INVLPG) X(INVD) X(WBINVD) X(RDPMC) X(RDTSC) X(MONITOR) X(MWAIT)	\
	X(PAUSE) X(XSETBV) X(HYPERCALL) X(VIRT_INSN) X(DESC_TABLE)	\
	X(TASK_SWITCH) X(SHUTDOWN) X(APIC) X(TIMER) X(OTHER)

enum lhv_exit_reason {
#define X(name) LHV_EXIT_##name,
	LHV_EXIT_REASONS(X)
#undef X
	LHV_NR_EXIT_REASONS
};

/**
 * struct lhv_exit - the last exit, decoded
 * @reason: vendor-neutral reason
 * @insn_len: length of the instruction that exited, 0 when the CPU did not say
 * @nr_bytes: how many of @bytes the CPU gave (decode assist), 0 for none
 * @shadow: an interrupt shadow may be in force; get_shadow() knows
 * @bytes: the instruction's first bytes
 * @code: the hardware's own exit code (for tracing and FAIL_ENTRY)
 * @info1: hardware's exit information (EXITINFO1 / exit qualification)
 * @info2: hardware's exit information (EXITINFO2 / guest-physical address)
 */
struct lhv_exit {
	u8 reason;
	u8 insn_len;
	u8 nr_bytes;
	bool shadow;
	u8 bytes[15];
	u32 code;
	u64 info1;
	u64 info2;
};

/*
 * Bits of vcpu->pending: everything that has to happen before the next entry.
 * Set by lhv_request() from any context; cleared by the vCPU's own thread.
 * The first group is served with interrupts off, right before entry; the
 * second in the slow tier.
 */
enum lhv_req {
	LHV_REQ_EVENT,		/* interrupt, NMI or exception state changed */
	LHV_REQ_TLB_FLUSH,	/* drop the vCPU's guest-physical translations */
	LHV_REQ_TIMER,		/* the LAPIC's timer fired: meet its time, and deliver it */
	LHV_REQ_FIRST_SLOW,
	LHV_REQ_APIC = LHV_REQ_FIRST_SLOW, /* INIT or SIPI waits in the LAPIC */
	LHV_REQ_CLOCK,		/* rewrite the kvmclock page */
	LHV_REQ_STEAL,		/* rewrite the steal-time record */
	LHV_REQ_IOAPIC_EOI,	/* split irqchip: report KVM_EXIT_IOAPIC_EOI */
	LHV_REQ_TRIPLE_FAULT,	/* report KVM_EXIT_SHUTDOWN */
	LHV_REQ_RING_FULL,	/* report KVM_EXIT_DIRTY_RING_FULL until it is not any more */
	LHV_REQ_GATE,		/* ask the scheduling policy whether it may go on */
	LHV_REQ_MSRS,		/* which MSRs may pass without an exit */
	LHV_REQ_YIELD,		/* let another vCPU run first */
	LHV_REQ_UNBLOCK,	/* a halted vCPU has to look again (no state changed) */
	LHV_REQ_DEAD,		/* the VM is bugged or was killed */
	LHV_REQ_PAUSE,		/* wait until nobody wants the VM paused */
	LHV_REQ_STARTED,	/* tell that the guest runs: for the first time, or after a crash */
	LHV_NR_REQS
};

#define LHV_SLOW_REQS	(~0UL << LHV_REQ_FIRST_SLOW)

/* vcpu->mode */
enum { LHV_OUTSIDE_GUEST, LHV_IN_GUEST, LHV_KICKED };

/* Rooms. Each header defines the room's part of the VM and the vCPU. */
#include "mem/mem.h"
#include "bus/bus.h"
#include "irq/irq.h"
#include "cpu/cpu.h"

/**
 * struct lhv_vcpu - a virtual CPU
 *
 * Legend: I immutable after create; O touched only by the thread that holds
 * @lock (the one in KVM_RUN or another vCPU ioctl); A any context, atomic ops.
 */
struct lhv_vcpu {
	/* Hot: touched by every entry and exit. */
	u64 regs[LHV_NR_REGS];	/* O general registers, always current outside the guest */
	u64 rip;		/* O */
	u64 rflags;		/* O */
	unsigned long pending;	/* A enum lhv_req bits */
	int mode;		/* A LHV_OUTSIDE_GUEST, LHV_IN_GUEST, LHV_KICKED */
	int cpu;		/* O host CPU the vCPU last ran on, -1 before the first run */
	u32 softirqs;		/* O pending when the atomic tier was entered: not ours */
	unsigned long quiescent; /* O jiffies when RCU last heard of this vCPU's thread */
	bool atomic;		/* O in the atomic tier of the run loop */
	u64 pv_eoi;		/* O irq/: MSR_KVM_PV_EOI_EN */
	bool eoi_offered;	/* O irq/: PV EOI, to be settled after the exit */
	u8 mp_state;		/* O KVM_MP_STATE_* */
	u8 cr8;			/* O TPR bits 7:4, as the guest sees in CR8 */
	struct lhv_exit exit;	/* O */
	struct lhv_event ev;	/* O cpu/: exceptions, NMI, interrupt in flight */

	/* Control registers, always current outside the guest; CR3 is the backend's (get_cr3). */
	u64 cr0, cr2, cr4, efer; /* O */

	struct lhv_vm *vm;	/* I holds a reference */
	u32 id;			/* I the APIC id userspace chose */
	u32 idx;		/* I index in vm->vcpus */
	struct kvm_run *run;	/* I shared with userspace: read once, never trust */
	struct page *pages[LHV_VCPU_PAGES]; /* I what mmap shows, by page offset */
	struct mutex lock;	/* one vCPU ioctl at a time */
	struct rcuwait wait;	/* where HLT blocks */
	sigset_t sigset;	/* O what is blocked in KVM_RUN */
	bool sigset_active;	/* O */

	/* Set by a handler that returned LHV_EXIT_USER and has to look at the VMM's answer. */
	enum lhv_next (*complete)(struct lhv_vcpu *vcpu); /* O */
	int run_errno;		/* O LHV_EXIT_USER with this set: KVM_RUN returns it */
	u8 pending_eoi;		/* O split irqchip: vector of KVM_EXIT_IOAPIC_EOI */
	bool user_irq_window;	/* O the VMM wants KVM_EXIT_IRQ_WINDOW_OPEN */

	struct lhv_cpu cpu_state;	/* cpu/: CPUID, MSRs, FPU, debug registers, clock */
	struct lhv_lapic *lapic;	/* irq/: NULL without in-kernel LAPIC; I */
	u32 yield_to;			/* cpu/: O APIC id, for LHV_REQ_YIELD */
	bool pv_unhalted;		/* irq/: A KVM_HC_KICK_CPU came; ends the next HLT */
	u64 apic_base;			/* irq/: O MSR_IA32_APICBASE while @lapic is NULL */
	struct lhv_vcpu_mem mem;	/* mem/: caches */
	struct lhv_pio_state pio;	/* bus/: port I/O or MMIO waiting for the VMM */

	u64 exits[LHV_NR_EXIT_REASONS];	/* O written by the vCPU's thread, read by anyone */
	u64 nr_injections;		/* O */
	u64 nr_halts;			/* O */
	u64 nr_tlb_flushes;		/* O */
	u64 halt_poll_ns;		/* O adaptive */
	struct {
		u64 user_exits;		/* KVM_RUN returned to the VMM */
		u64 signal_exits;	/* ... because of a signal or immediate_exit */
		u64 halt_polls, halt_polls_won;
		u64 halt_poll_won_ns, halt_poll_lost_ns;
		u64 halt_wait_ns;	/* asleep */
	} stat;				/* O written by the vCPU's thread, read by anyone: stats.c */
	struct lhv_vcpu_manage manage;	/* management */
	struct lhv_vcpu_sched sched;	/* sched/ */

	/* Backend's private state, host_ops.vcpu_size bytes. */
	u8 backend[] __aligned(64);
};

/**
 * struct lhv_vm - a virtual machine
 *
 * Legend: I immutable after create; L @lock; S written under @lock, read under
 * @srcu; A atomic.
 */
struct lhv_vm {
	u64 id;			/* I never reused; 0 before it is in the registry */
	refcount_t refs;	/* A the VM fd and every vCPU fd hold one */
	struct mm_struct *mm;	/* I the creator's; ioctls from another mm get -EIO */
	pid_t pid;		/* I creator's tgid, for the log */
	struct mutex lock;
	struct srcu_struct srcu;
	bool bugged;		/* A no vCPU runs any more */

	int nr_vcpus;		/* L; read with smp_load_acquire */
	struct lhv_vcpu **vcpus[LHV_MAX_VCPUS / LHV_VCPU_TABLE]; /* L see lhv_vcpu_at() */

	struct lhv_mem mem;	/* mem/: slots, second-stage tables, notifier */
	struct lhv_bus pio_bus;	/* bus/ */
	struct lhv_bus mmio_bus; /* bus/ */
	struct lhv_coalesced coalesced; /* bus/ */
	struct lhv_irqchip irq;	/* irq/ */
	struct lhv_clock clock;	/* cpu/: kvmclock base, TSC */
	u32 bsp_id;		/* L APIC id of the bootstrap processor */
	u32 vcpu_ids;		/* L KVM_CAP_MAX_VCPU_ID: APIC ids are below it; 0: not limited */
	u32 nr_mmu_pages;	/* A KVM_SET_NR_MMU_PAGES */
	struct lhv_msr_filter __rcu *msr_filter; /* S cpu/msr_filter.c; NULL: none */
	bool msrs_denied;	/* A it denies something that would be served here */
	u32 user_msrs;		/* A KVM_CAP_X86_USER_SPACE_MSR: KVM_MSR_EXIT_REASON_* */
	u32 disabled_exits;	/* A KVM_CAP_X86_DISABLE_EXITS: KVM_X86_DISABLE_EXITS_* */
	u64 disabled_quirks;	/* A KVM_CAP_DISABLE_QUIRKS2: KVM_X86_QUIRK_* */
	bool exit_on_emulation_failure; /* A KVM_CAP_EXIT_ON_EMULATION_FAILURE was enabled */
	bool hide_platform_info; /* A KVM_CAP_MSR_PLATFORM_INFO: the guest may not read that MSR */
	bool exception_payload;	/* A KVM_CAP_EXCEPTION_PAYLOAD was enabled */
	bool triple_fault_event; /* A KVM_CAP_X86_TRIPLE_FAULT_EVENT likewise */
	struct lhv_vfio *vfio;	/* L passthrough/: KVM's VFIO pseudo-device, while its fd is open */
	struct mutex dma_lock;	/* passthrough/: the next two */
	struct lhv_dma *dma;	/* what its devices reach; NULL: none. Comes under mem.slots_lock, too */
	struct list_head devices; /* attached to it */
	bool had_device;	/* A passthrough/: one was or is being attached */
	bool noncoherent_dma;	/* A passthrough/: a device may not snoop the CPUs' caches */
	bool noncoherent_vfio;	/* A likewise, of VFIO's */
	struct lhv_manage manage; /* management */
	struct lhv_sched_vm sched; /* sched/ */

	/* Backend's private state, host_ops.vm_size bytes. */
	u8 backend[] __aligned(64);
};

/* Is one of KVM's quirks (KVM_X86_QUIRK_*) in force? All are until the VMM says otherwise. */
static inline bool lhv_has_quirk(const struct lhv_vm *vm, u64 quirk)
{
	return !(READ_ONCE(vm->disabled_quirks) & quirk);
}

/* Does an instruction stay in the guest (KVM_X86_DISABLE_EXITS_*)? Asked when a vCPU is reset. */
static inline bool lhv_stays_in_guest(const struct lhv_vm *vm, u32 exit)
{
	return READ_ONCE(vm->disabled_exits) & exit;
}

/* Does a device of the VM not see what is in the CPUs' caches only? */
static inline bool lhv_noncoherent(const struct lhv_vm *vm)
{
	return READ_ONCE(vm->noncoherent_dma) || READ_ONCE(vm->noncoherent_vfio);
}

#include "backend.h"

/* vm.c: the VM's life */
struct lhv_vm *lhv_vm_create(void);
void lhv_vm_get(struct lhv_vm *vm);
void lhv_vm_put(struct lhv_vm *vm);
void lhv_vm_bug(struct lhv_vm *vm);

/* Count first, then the array: an index below the count is always valid. */
static inline int lhv_nr_vcpus(struct lhv_vm *vm)
{
	return smp_load_acquire(&vm->nr_vcpus);	/* pairs with the release in lhv_vcpu_create() */
}

/* One that the caller has seen counted. Neither it nor its table goes or moves before the VM. */
static inline struct lhv_vcpu *lhv_vcpu_at(const struct lhv_vm *vm, unsigned int idx)
{
	return vm->vcpus[idx / LHV_VCPU_TABLE][idx % LHV_VCPU_TABLE];
}

#define lhv_for_each_vcpu(i, v, vm)					\
	for (i = 0; i < lhv_nr_vcpus(vm) && ((v) = lhv_vcpu_at(vm, i), 1); i++)

struct lhv_vcpu *lhv_vcpu_by_id(struct lhv_vm *vm, u32 id);

/* vcpu.c: the vCPU's life */
struct lhv_vcpu *lhv_vcpu_create(struct lhv_vm *vm, u32 id);
void lhv_vcpu_destroy(struct lhv_vcpu *vcpu);
int lhv_vcpu_get_mp_state(struct lhv_vcpu *vcpu, struct kvm_mp_state *state);
int lhv_vcpu_set_mp_state(struct lhv_vcpu *vcpu, const struct kvm_mp_state *state);
/**
 * lhv_vcpu_reset() - put the vCPU into its INIT or power-on state
 * @vcpu: the vCPU; its lock is held
 * @init: true for INIT (SIPI follows), false for power-on
 */
void lhv_vcpu_reset(struct lhv_vcpu *vcpu, bool init);

/* main.c: is virtualization on, on this CPU? Preemption off. */
bool lhv_cpu_usable(void);

/* run.c: the run loop */
int lhv_vcpu_run(struct lhv_vcpu *vcpu);
void lhv_kick(struct lhv_vcpu *vcpu);
void lhv_request_posted(struct lhv_vcpu *vcpu, bool notify);
void lhv_request_all(struct lhv_vm *vm, enum lhv_req req, bool wait);

/**
 * lhv_request() - make a vCPU do something before its next entry
 * @vcpu: the vCPU
 * @req: what
 *
 * Context: any, interrupts on or off. A vCPU in the guest is forced out, a
 * halted one is woken. Returns before the request is served.
 */
static inline void lhv_request(struct lhv_vcpu *vcpu, enum lhv_req req)
{
	set_bit(req, &vcpu->pending);
	smp_mb__after_atomic();	/* pairs with the one behind mode = IN_GUEST in run.c */
	lhv_kick(vcpu);
}

/* The vCPU's own thread, outside the guest: nobody needs a kick. */
static inline void lhv_request_self(struct lhv_vcpu *vcpu, enum lhv_req req)
{
	set_bit(req, &vcpu->pending);
}

/* Atomic tier: does something wait that comes before the guest? */
static inline bool lhv_must_leave(const struct lhv_vcpu *vcpu)
{
	return READ_ONCE(vcpu->pending) & LHV_SLOW_REQS || lhv_host_work_waits() ||
	       lhv_host_softirqs() & ~vcpu->softirqs;
}

/**
 * lhv_internal_error() - give up on an exit, with evidence
 * @vcpu: the vCPU
 * @suberror: KVM_INTERNAL_ERROR_*
 * @n: number of u64 in @data, at most 16
 * @data: evidence, copied to kvm_run.internal.data
 *
 * Return: LHV_CRASH, for the caller to return in turn.
 */
enum lhv_next lhv_internal_error(struct lhv_vcpu *vcpu, u32 suberror, u32 n, const u64 *data);

static inline bool lhv_long_mode(const struct lhv_vcpu *vcpu)
{
	return vcpu->efer & EFER_LMA;
}

static inline bool lhv_protected_mode(const struct lhv_vcpu *vcpu)
{
	return vcpu->cr0 & X86_CR0_PE;
}

static inline bool lhv_paging(const struct lhv_vcpu *vcpu)
{
	return vcpu->cr0 & X86_CR0_PG;
}

#include "cpu/retire.h"
#include "sched/fast.h"

#endif
