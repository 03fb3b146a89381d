/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lhv irq/ - interrupt controllers, timers' interrupts and routing.
 *
 * What it is for: LAPIC per vCPU, IOAPIC, 8259 pair, 8254, GSI routing, MSI, irqfd.
 * What enters: lines and messages from the VMM, eventfds, timers and other vCPUs (any
 *	context); register accesses from bus/ and cpu/ (MSRs, CR8).
 * What leaves: LHV_REQ_EVENT/LHV_REQ_APIC on a vCPU; a vector when it asks.
 * What it must not know: how a backend injects.
 *
 * All state that is touched with interrupts off is under raw spinlocks or atomic.
 */
#ifndef LHV_IRQ_H
#define LHV_IRQ_H

#include <linux/hrtimer.h>
#include <linux/spinlock.h>
#include <asm/apicdef.h>

#define LHV_IOAPIC_PINS		24
#define LHV_APIC_BUS_CYCLE_NS	1		/* 1 GHz unless the VMM says otherwise, as KVM */
#define LHV_MAX_ROUTES		4096
#define LHV_IOAPIC_ADDR		0xfec00000	/* IOAPIC_DEFAULT_PHYS_BASE */

enum lhv_irqchip_mode { LHV_IRQCHIP_NONE, LHV_IRQCHIP_KERNEL, LHV_IRQCHIP_SPLIT };

struct lhv_routing;	/* immutable table, published by SRCU */
struct lhv_lapic;
struct lhv_ioapic;
struct lhv_pic;
struct lhv_pit;

/**
 * struct lhv_posted - vectors on their way to a LAPIC whose IRR is the CPU's
 * @pir: A vectors that were requested. The CPU takes them itself when it is notified in the guest
 * @control: A bit LHV_POSTED_ON: a notification is on its way, or the vCPU will look by itself
 * @held: A the same of vectors whose EOI matters, while the CPU does not know that yet
 * @eoi_exits: O written, A read: vectors whose EOI exits. They stay so
 *
 * The first 64 bytes are the hardware's: SDM Vol 3C "Posted-Interrupt Processing". They lie
 * behind the registers, in the same page.
 */
struct lhv_posted {
	unsigned long pir[4];
	unsigned long control;
	unsigned long reserved[3];
	unsigned long held[4];
	unsigned long eoi_exits[4];
};

#define LHV_POSTED_ON		0
#define LHV_POSTED_OFFSET	0x800

/* APIC ids in one table: the first is all that xAPIC has, which guests choose from. */
#define LHV_APIC_TABLE		256

/* Physical APIC id -> LAPIC */
struct lhv_apic_map {
	raw_spinlock_t lock;		/* writers */
	int nr_vcpus;			/* A vCPUs that the map knows */
	bool irregular;			/* A an id is taken twice: ask every APIC */
	bool all_x2apic;		/* A */
	/* A NULL: no vCPU can have such an id; or nobody has it. Tables stay until the VM ends. */
	struct lhv_lapic **phys[LHV_MAX_VCPUS / LHV_APIC_TABLE];
};

struct lhv_irqchip {
	struct mutex lock;		/* writers of routing and irqfds */
	enum lhv_irqchip_mode mode;	/* A set once, released after all is built */
	/*
	 * Readers of routing, resamplers and acks, none of whom ever waits: not vm->srcu, which a vCPU
	 * holds in a fault for as long as its VMM likes.
	 */
	struct srcu_struct srcu;
	struct lhv_routing __rcu *routing; /* S by that one */
	struct lhv_ioapic *ioapic;	/* I once mode is KERNEL */
	struct lhv_pic *pic;		/* I once mode is KERNEL */
	struct lhv_pit *pit;		/* I once created */
	struct list_head irqfds;	/* lock */
	struct list_head resamplers;	/* lock */
	struct list_head acks;		/* lock */
	bool x2apic_ids;		/* L KVM_CAP_X2APIC_API */
	bool x2apic_no_broadcast_quirk;	/* L likewise */
	u32 bus_cycle_ns;		/* I once there is a vCPU: KVM_CAP_X86_APIC_BUS_CYCLES_NS */
	struct lhv_apic_map map;
	bool initialized;		/* @srcu is there */
};

bool lhv_has_lapic(const struct lhv_vm *vm);	/* KERNEL or SPLIT */
/* Does the vCPU's LAPIC let the 8259s' interrupts through? */
bool lhv_lapic_accepts_pic(struct lhv_vcpu *vcpu);

/* Bits of lhv_lapic.events. */
#define LHV_APIC_INIT	0
#define LHV_APIC_SIPI	1

/**
 * struct lhv_lapic - the local APIC of one vCPU
 *
 * O: the vCPU's own thread (vcpu->lock); A: any context.
 * In @regs the IRR and TMR change by atomic bit operations from any context; ISR, TPR and the
 * rest are the vCPU's own, but LVTs and the logical destination are read by others. With @posted
 * the IRR is the vCPU's own, too.
 */
struct lhv_lapic {
	void *regs;		/* I one page, laid out as the hardware's registers */
	struct lhv_vcpu *vcpu;	/* I */
	u64 base_msr;		/* O written, A read: MSR_IA32_APICBASE */
	bool sw_enabled;	/* O written, A read: spurious vector register, bit 8 */
	u8 sipi_vector;		/* A before LHV_APIC_SIPI is set in @events */
	int highest_isr;	/* O -1: none in service. Not kept while @virtual */
	struct lhv_posted *posted; /* I NULL: vectors go into the IRR straight away */
	bool virtual;		/* O written, A read: the CPU keeps IRR and ISR, the guest running */
	bool notify;		/* I and then it takes what is posted when it is notified */
	unsigned long events;	/* A LHV_APIC_INIT, LHV_APIC_SIPI */
	atomic_t errors;	/* A errors since the last write to ESR */

	struct hrtimer timer;	/* callback in hard interrupt context */
	u64 tscdeadline;	/* O and the timer's callback, which never run at once */
	u64 expires;		/* O the same, and stays when that is 0 again */
	bool in_backend;	/* O the CPU itself watches the deadline, not @timer */
	bool slept;		/* O armed for a vCPU that does not run: which of @lead_ns */
	bool early;		/* O delivered; the guest does not go on before its time */
	u32 lead_ns[2];		/* O how long before its time it fires; learned */
	u32 path_ns;		/* O what it takes from its delivery to the entry; learned */
	u32 waited_ns;		/* O for the time that is being met, before the delivery */
	s64 met_at;		/* O when it was delivered, against its time */
	ktime_t target;		/* when the count reaches 0 */
	u64 period_ns;		/* O 0: one-shot */
	u32 divide;		/* O 1 to 128 */
};

/* Module: the workqueue that takes irqfds down. */
int lhv_irq_module_init(void);
void lhv_irq_module_exit(void);

int lhv_irq_init_vm(struct lhv_vm *vm);
/*
 * irqfds first, then the PIT's timer, then the chips. No vCPU runs. Before the vCPUs' LAPICs
 * are destroyed (an irqfd or the PIT may still deliver to them) and before
 * lhv_bus_destroy_vm(), which forgets the chips' ports without touching them.
 * Callable on a VM whose lhv_irq_init_vm() was not called or failed (all zero).
 */
void lhv_irq_destroy_vm(struct lhv_vm *vm);

/* vm->lock held, no vCPU yet for CREATE_IRQCHIP/split. -EEXIST, -EINVAL, -ENOMEM. */
int lhv_irqchip_create(struct lhv_vm *vm);
int lhv_irqchip_create_split(struct lhv_vm *vm, u32 pins);
int lhv_apic_set_bus_cycle(struct lhv_vm *vm, u64 ns);	/* vm->lock held. -EINVAL, -ENXIO */
int lhv_irqchip_get(struct lhv_vm *vm, struct kvm_irqchip *chip);
int lhv_irqchip_set(struct lhv_vm *vm, const struct kvm_irqchip *chip);

int lhv_pit_create(struct lhv_vm *vm, const struct kvm_pit_config *config);
int lhv_pit_get(struct lhv_vm *vm, struct kvm_pit_state2 *ps);
int lhv_pit_set(struct lhv_vm *vm, const struct kvm_pit_state2 *ps);
int lhv_pit_reinject(struct lhv_vm *vm, const struct kvm_reinject_control *control);

/* Routing: @entries of @nr are checked here. Process context. */
int lhv_routing_set(struct lhv_vm *vm, const struct kvm_irq_routing_entry *entries, u32 nr,
		    u32 flags);

#define LHV_IRQ_SOURCE_USER	0	/* KVM_IRQ_LINE */
#define LHV_IRQ_SOURCE_IRQFD	1
#define LHV_IRQ_SOURCE_PIT	2
#define LHV_IRQ_SOURCE_RESAMPLE	3	/* level of a resampling irqfd, lowered by the EOI */
#define LHV_IRQ_SOURCE_ACK	4	/* the same of struct lhv_ack */
/**
 * lhv_irq_line() - raise or lower a GSI
 * @vm: the VM
 * @source: LHV_IRQ_SOURCE_*: each has its own level; the line is their OR
 * @gsi: global system interrupt, checked against the routing
 * @level: 1 or 0
 *
 * Context: any but NMI. Return: -1 ignored (masked), 0 coalesced, >0 how many CPUs got it
 * (as KVM_IRQ_LINE_STATUS wants).
 */
int lhv_irq_line(struct lhv_vm *vm, int source, u32 gsi, int level);
/* 0 < delivered, 0 blocked by the guest or nobody has that id, -EINVAL. Context: any but NMI. */
int lhv_irq_msi(struct lhv_vm *vm, const struct kvm_msi *msi);
/* From a vCPU with a LAPIC to the one of that id: mode and vector of @icr. True: it took it. */
bool lhv_apic_send(struct lhv_vcpu *vcpu, u32 id, u32 icr);
int lhv_irqfd(struct lhv_vm *vm, const struct kvm_irqfd *args);

/**
 * struct lhv_ack - somebody in the kernel who waits for the end of a level-triggered interrupt
 * @vm: set by lhv_ack_add()
 * @gsi: which
 * @fn: called when the guest has ended it; the level of LHV_IRQ_SOURCE_ACK is low.
 *	Context: any but NMI
 * @link: on vm->irq.acks
 */
struct lhv_ack {
	struct lhv_vm *vm;
	u32 gsi;
	void (*fn)(struct lhv_ack *ack);
	struct list_head link;
};

/* Process context. Nobody calls @fn any more when lhv_ack_remove() returns. */
void lhv_ack_add(struct lhv_vm *vm, struct lhv_ack *ack);
void lhv_ack_remove(struct lhv_ack *ack);
/*
 * The line goes down, unless another one of the same GSI wants it up; also after the removal.
 * Context: any but NMI.
 */
void lhv_ack_lower(struct lhv_ack *ack);

/* A vCPU was published in vm->vcpus: its LAPIC can be addressed from now on. */
void lhv_lapic_published(struct lhv_vm *vm);

/* LAPIC. Created with the vCPU when the VM has one. */
int lhv_lapic_create(struct lhv_vcpu *vcpu);
void lhv_lapic_destroy(struct lhv_vcpu *vcpu);	/* NULL-safe, cancels the timer */
void lhv_lapic_reset(struct lhv_vcpu *vcpu, bool init);
int lhv_lapic_get_state(struct lhv_vcpu *vcpu, struct kvm_lapic_state *s);
int lhv_lapic_set_state(struct lhv_vcpu *vcpu, const struct kvm_lapic_state *s);
/* Without a LAPIC in the kernel the value is only kept. */
u64 lhv_lapic_get_base(struct lhv_vcpu *vcpu);
int lhv_lapic_set_base(struct lhv_vcpu *vcpu, u64 base, bool host);	/* 0 or -EINVAL (#GP) */
/* The guest's CR8: updates vcpu->cr8 and TPR, requests EVENT. */
void lhv_lapic_set_cr8(struct lhv_vcpu *vcpu, u8 cr8);
/* x2APIC MSRs 0x800..0x8ff and TSC_DEADLINE. 0 or -EINVAL (#GP). Atomic tier fine. */
int lhv_lapic_msr_read(struct lhv_vcpu *vcpu, u32 msr, u64 *data);
int lhv_lapic_msr_write(struct lhv_vcpu *vcpu, u32 msr, u64 data);
u64 lhv_lapic_get_deadline(struct lhv_vcpu *vcpu);
void lhv_lapic_set_deadline(struct lhv_vcpu *vcpu, u64 tsc);
/* Is @gpa in the enabled xAPIC page of this vCPU? Register access as bus ops. Atomic tier fine. */
bool lhv_lapic_in_range(struct lhv_vcpu *vcpu, gpa_t gpa, unsigned int len);
int lhv_lapic_mmio_read(struct lhv_vcpu *vcpu, u32 offset, unsigned int len, void *data);
int lhv_lapic_mmio_write(struct lhv_vcpu *vcpu, u32 offset, unsigned int len, const void *data);
/* LINT0 of every vCPU that takes it as NMI: the watchdog wired to the PIT. How many did. */
int lhv_lapic_nmi_all(struct lhv_vm *vm);
/* KVM_HC_SEND_IPI and friends; also PV_UNHALT. */
int lhv_lapic_pv_unhalt(struct lhv_vm *vm, u32 apic_id);

/*
 * The vCPU asks. Interrupts off, own thread.
 * lhv_irq_pending(): is there an interrupt that TPR and ISR let through (LAPIC or ExtINT)?
 * lhv_irq_to_inject(): the same, but for those that the CPU delivers itself.
 * lhv_irq_virtualize(): LHV_REQ_EVENT is served: hand over to the CPU what it can deliver.
 * lhv_irq_ack(): takes it (IRR to ISR, or 8259 INTA); vector, or -1.
 * lhv_irq_masked_by_tpr(): an interrupt waits only for a lower TPR.
 * lhv_irq_waiting_class(): priority class (0 to 15) of the highest vector in a LAPIC's IRR.
 */
bool lhv_irq_pending(struct lhv_vcpu *vcpu);
bool lhv_irq_to_inject(struct lhv_vcpu *vcpu);
void lhv_irq_virtualize(struct lhv_vcpu *vcpu);
int lhv_irq_ack(struct lhv_vcpu *vcpu);
bool lhv_irq_masked_by_tpr(struct lhv_vcpu *vcpu);
u8 lhv_irq_waiting_class(struct lhv_vcpu *vcpu);

/* Highest vector in eight registers at @offset (APIC_IRR, APIC_ISR), or -1. Own thread. */
int lhv_lapic_highest(const struct lhv_lapic *lapic, u32 offset);
/* The CPU has ended @vector for the guest, and somebody beside the LAPIC has to hear of it. */
void lhv_lapic_eoi_exit(struct lhv_vcpu *vcpu, u8 vector);
/* The CPU has written a register for the guest (APIC_SELF_IPI), and leaves the rest to us. */
void lhv_lapic_written(struct lhv_vcpu *vcpu, u32 reg);

/* PV EOI: pv_eoi.c. The run loop settles what was offered (vcpu->eoi_offered) after each exit. */
int lhv_pv_eoi_set(struct lhv_vcpu *vcpu, u64 data);	/* 0 or -EINVAL (#GP) */
bool lhv_pv_eoi_settle(struct lhv_vcpu *vcpu);

/*
 * Served LHV_REQ_APIC, slow tier: acts on INIT and SIPI (calls lhv_vcpu_reset(), sets
 * mp_state, CS:IP).
 */
void lhv_lapic_accept_events(struct lhv_vcpu *vcpu);
bool lhv_lapic_has_events(struct lhv_vcpu *vcpu);

/* The guest's TSC offset changed, or the vCPU was moved: re-arm the deadline timer. */
void lhv_lapic_restart_timer(struct lhv_vcpu *vcpu);

/* The vCPU stops running for a while, and its timer goes on without it. Slow tier. */
void lhv_lapic_timer_block(struct lhv_vcpu *vcpu);
/*
 * LHV_REQ_TIMER is set. On the way into the guest, in this order:
 * lhv_lapic_timer_meet(): atomic tier, interrupts on: wait until the time has almost come, and deliver.
 *	False: something else comes first, or it was delivered before.
 * lhv_lapic_timer_met(): was it delivered?
 * lhv_lapic_timer_wait(): interrupts off, right before the entry: the rest.
 * And lhv_lapic_timer_wakes(): does it end a halt? Own thread.
 */
bool lhv_lapic_timer_meet(struct lhv_vcpu *vcpu);
void lhv_lapic_timer_wait(struct lhv_vcpu *vcpu);
bool lhv_lapic_timer_wakes(struct lhv_vcpu *vcpu);
static inline bool lhv_lapic_timer_met(const struct lhv_lapic *l)
{
	return l->early;
}

/* State is about to be read: what fired is delivered, at its time. Slow tier. */
void lhv_lapic_timer_settle(struct lhv_vcpu *vcpu);
/* LHV_EXIT_TIMER. */
enum lhv_next lhv_lapic_timer_exec(struct lhv_vcpu *vcpu);

#endif
