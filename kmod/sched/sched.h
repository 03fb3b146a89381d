/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lhv sched/ - the interface between the gate and a scheduling policy.
 *
 * What it is for: to write a policy, in this room or in another GPL module. The gate
 *	decides when a vCPU asks; a policy decides who is next, for how long, and who
 *	has to give way.
 * What enters: vCPUs that want to run, time that they took.
 * What leaves: the next vCPU; slices.
 * What it must not know: VMX, SVM, the run loop, threads, clocks. A policy file is
 *	also compiled into the simulator (selftests/simulate), where time is a number.
 *
 * A pool has slots; a vCPU that holds one may run. Outside the guest it is OUT (wants
 * none), WAITING (the policy has it), PARKED (nobody has it until a time that the policy
 * or its VM's cap named) or RUNNING (holds a slot).
 *
 * Every op is called with the pool's lock held and interrupts off: it
 * must not sleep, allocate or take a lock, and should cost the same with 8 and with 512
 * vCPUs. Times are ns of a clock that does not go back. Ops marked (o) may be NULL.
 */
#ifndef LHV_SCHED_H
#define LHV_SCHED_H

#include <linux/list.h>
#include <linux/rbtree.h>
#include <linux/types.h>

struct module;
struct lhv_sched_ops;
struct lhv_sched_pool;
struct lhv_sched_host;

#define LHV_SCHED_NAME_MAX	15
#define LHV_SCHED_WHY_MAX	96	/* room for a refusal in words */
#define LHV_SCHED_FOREVER	(~0ULL)
#define LHV_SCHED_MS		1000000ULL
#define LHV_SCHED_US		1000ULL

/* Limits and defaults of what a VM can be given. */
#define LHV_SCHED_WEIGHT_MAX	10000
#define LHV_SCHED_WEIGHT	100
#define LHV_SCHED_PRIORITY_MAX	99
#define LHV_SCHED_PRIORITY	50
#define LHV_SCHED_CAP_MAX	(255 * 1000)	/* thousandths of a CPU */
#define LHV_SCHED_CAP_PERIOD	(10 * LHV_SCHED_MS)
#define LHV_SCHED_PERIOD_MIN	(1 * LHV_SCHED_MS)
#define LHV_SCHED_PERIOD_MAX	(10000 * LHV_SCHED_MS)
#define LHV_SCHED_QUANTUM_MIN	(100 * LHV_SCHED_US)
#define LHV_SCHED_QUANTUM_MAX	(1000 * LHV_SCHED_MS)
#define LHV_SCHED_QUANTUM	(10 * LHV_SCHED_MS)

/** enum lhv_sched_state - where a vCPU is */
enum lhv_sched_state {
	LHV_SCHED_OUT,		/* wants no slot */
	LHV_SCHED_WAITING,	/* in the policy's hands */
	LHV_SCHED_PARKED,	/* wants one, may not have it before a time */
	LHV_SCHED_RUNNING,	/* has one */
};

/**
 * struct lhv_sched_attrs - what an administrator gives a VM
 * @weight: its share, relative to others'; 1 to LHV_SCHED_WEIGHT_MAX
 * @cap: most of a CPU that all its vCPUs together may take, in thousandths; 0, no cap
 * @priority: 0 to LHV_SCHED_PRIORITY_MAX, the highest goes first
 * @hybrid: beyond its reservation the VM competes by weight; else the reservation is all
 *	it gets
 * @length: how long its vCPUs run before they sleep, in ns; 0, learn it
 * @period: each vCPU is promised @budget ns in each @period ns; 0, no reservation
 * @budget: see @period
 */
struct lhv_sched_attrs {
	u32 weight;
	u32 cap;
	u32 priority;
	bool hybrid;
	u64 length;
	u64 period;
	u64 budget;
};

#define LHV_SCHED_HIST_SUB	4	/* buckets per power of two */
#define LHV_SCHED_HIST		(40 * LHV_SCHED_HIST_SUB)

/**
 * struct lhv_sched_figures - what came of it, per VM; all times in ns
 * @run: on a CPU, holding a slot
 * @wait: ready, without a slot
 * @throttled: parked
 * @slices: slots given
 * @wakeups: times that a vCPU came to want a slot
 * @response: sum over wake-ups of the time until it was in the guest, or until now
 * @bursts: times that a vCPU had enough
 * @turnaround: sum over bursts of the time from wake-up to end
 * @misses: periods in which a reservation was not kept
 * @latency: wake-up to entry, LHV_SCHED_HIST_SUB buckets per power of two
 */
struct lhv_sched_figures {
	u64 run, wait, throttled, slices;
	u64 wakeups, response, bursts, turnaround, misses;
	u32 latency[LHV_SCHED_HIST];
};

#define LHV_SCHED_PRIV	16		/* u64 that a policy has in each object */

/**
 * struct lhv_sched_queue - vCPUs in order, or VMs; empty when it is zero. See queue.h
 * @root: the tree
 * @first, @last: its ends
 */
struct lhv_sched_queue {
	struct rb_root root;
	struct rb_node *first, *last;
};

/**
 * struct lhv_sched_vm - a VM, as a policy sees it
 * @pool: its pool
 * @of_pool: in @pool->vms
 * @vcpus: its vCPUs
 * @nr_vcpus: how many
 * @nr_waiting: vCPUs that are WAITING
 * @nr_running: vCPUs that are RUNNING
 * @attrs: see there; a policy reads it
 * @fig: the core's; a policy may count @fig.misses
 * @cap_budget: what is left of the cap's period; may be a debt
 * @cap_refill: when the next period begins
 * @run_before: of @fig.run, before @mix
 * @mix: the pool's, when it last ran
 * @id: for @dump and the simulator's reports
 * @node: the policy's
 * @priv: the policy's, zero before vm_add
 */
struct lhv_sched_vm {
	struct lhv_sched_pool *pool;
	struct list_head of_pool;
	struct list_head vcpus;
	u32 nr_vcpus, nr_waiting, nr_running;
	struct lhv_sched_attrs attrs;
	struct lhv_sched_figures fig;
	s64 cap_budget;
	u64 cap_refill;
	u64 run_before;
	u32 mix;
	u64 id;

	struct rb_node node;
	u64 priv[LHV_SCHED_PRIV];
};

/**
 * struct lhv_sched_vcpu - a vCPU, as a policy sees it
 * @vm: its VM
 * @of_vm: in @vm->vcpus
 * @of_pool: in the pool's @running while it is RUNNING
 * @state: enum lhv_sched_state
 * @resched: it was told to give its slot back
 * @answered: it was in the guest since it woke
 * @waited: sum of its times as WAITING and PARKED that have ended
 * @ran: CPU time since it got its slot, as far as it is charged
 * @burst: CPU time since it woke, likewise
 * @owed: CPU time that came to light when it had no slot any more
 * @since: when it came into @state
 * @woken: when it last came from OUT
 * @until: PARKED: until when
 * @key: the queue's (queue.h): orders it in one queue at a time
 * @node: the core's while PARKED, else the policy's
 * @priv: the policy's, zero before vcpu_insert
 */
struct lhv_sched_vcpu {
	struct lhv_sched_vm *vm;
	struct list_head of_vm;
	struct list_head of_pool;
	u8 state;
	bool resched;
	bool answered;
	u64 waited;
	u64 ran, burst, owed;
	u64 since, woken, until;
	u64 key;

	struct rb_node node;
	u64 priv[LHV_SCHED_PRIV];
};

/**
 * struct lhv_sched_pool - a set of slots under one policy
 * @ops: the policy; NULL, "none": nobody waits
 * @host: who wakes and kicks; the core's
 * @nr_slots: vCPUs that may run at once
 * @nr_busy: vCPUs that do
 * @nr_waiting: vCPUs that are WAITING
 * @quantum: the administrator's idea of a slice
 * @vms: all VMs
 * @running: vCPUs that are RUNNING, the newest last
 * @parked: the core's, by time
 * @since: when @ops came
 * @mix: counts changes of policy, weights and VMs
 * @priv: the policy's, zero before the first VM is added
 */
struct lhv_sched_pool {
	const struct lhv_sched_ops *ops;
	const struct lhv_sched_host *host;
	u32 nr_slots, nr_busy, nr_waiting;
	u64 quantum;
	struct list_head vms, running;
	struct lhv_sched_queue parked;
	u64 since;
	u32 mix;

	u64 priv[LHV_SCHED_PRIV];
};

/**
 * struct lhv_sched_ops - a policy
 */
struct lhv_sched_ops {
	/** @name: by which it is chosen; at most LHV_SCHED_NAME_MAX bytes */
	const char *name;

	/** @owner: THIS_MODULE, which is not optional; held while a pool has the policy */
	struct module *owner;

	/**
	 * @init: (o) may the pool have this policy? The old one is still there: nothing of the
	 * pool, its VMs and vCPUs is changed yet. Asked, too, of the policy that the pool has,
	 * before it loses slots (@nr_slots is how many will be left). Return: 0, or -errno with the reason for people
	 * in @why[LHV_SCHED_WHY_MAX]. After 0 the pool's VMs and vCPUs are added one by one.
	 */
	int (*init)(struct lhv_sched_pool *pool, char *why);

	/** @exit: (o) the pool's VMs were removed; it gets another policy */
	void (*exit)(struct lhv_sched_pool *pool);

	/** @vm_add: (o) @vm, none of whose vCPUs wants a slot yet, belongs to the pool */
	void (*vm_add)(struct lhv_sched_pool *pool, struct lhv_sched_vm *vm);

	/** @vm_remove: (o) it does not any more; its vCPUs were removed */
	void (*vm_remove)(struct lhv_sched_pool *pool, struct lhv_sched_vm *vm);

	/** @vcpu_insert: (o) @v, OUT, is there; @pool->ops was told of its VM */
	void (*vcpu_insert)(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v);

	/** @vcpu_remove: (o) @v, OUT, goes */
	void (*vcpu_remove)(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v);

	/**
	 * @wake: @v, WAITING, wants a slot: it was OUT, or PARKED until now. The policy queues it, and may
	 * ask a running one to give way (lhv_sched_resched()).
	 * Return: 0, @v is queued; or the time before which it may not run: it is not queued,
	 * the core parks it and calls again then.
	 */
	u64 (*wake)(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now);

	/**
	 * @yield: @v lost its slot and wants another: its slice was over, or it was told to
	 * give way. Called in RUNNING; return as @wake.
	 */
	u64 (*yield)(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now);

	/**
	 * @sleep: @v wants none any more, or may not have one for its VM's cap. It is RUNNING, or
	 * WAITING and then to be taken from the queue. @wake follows, or nothing.
	 */
	void (*sleep)(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now);

	/**
	 * @pick: a slot is free. Return: who gets it, taken from the queue; or NULL to leave
	 * it free until something happens.
	 */
	struct lhv_sched_vcpu *(*pick)(struct lhv_sched_pool *pool, u64 now);

	/** @charge: (o) @v, RUNNING, was on a CPU for @ns, or had its slot and did not use it */
	void (*charge)(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 ns, u64 now);

	/**
	 * @expired: is @v's slice over? Called when it got its slot, whenever the time is up that
	 * this returned, and when it passes the gate; what it ran was charged.
	 * Return: ns of CPU time that it may go on for, LHV_SCHED_FOREVER, or 0: it is over.
	 */
	u64 (*expired)(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now);

	/**
	 * @adjust: (o) may @vm have @attrs in place of @vm->attrs? @vm may be of no pool or
	 * another one, and asks to join then; @vm->nr_vcpus is right.
	 * Return: 0, or -errno with the reason in @why.
	 */
	int (*adjust)(struct lhv_sched_pool *pool, const struct lhv_sched_vm *vm,
		      const struct lhv_sched_attrs *attrs, char *why);

	/**
	 * @vm_set: (o) @vm has other attributes than @was, by which its vCPUs may be queued or
	 * have slots; after an @adjust that agreed, under the same lock. Who keeps no order by
	 * them, and reads them when he needs them, has nothing to do. Then @expired is asked
	 * about all who run, and who was PARKED wakes.
	 */
	void (*vm_set)(struct lhv_sched_pool *pool, struct lhv_sched_vm *vm,
		       const struct lhv_sched_attrs *was, u64 now);

	/** @dump: (o) a line about the policy's own state, for people. Return: its length */
	int (*dump)(struct lhv_sched_pool *pool, char *buf, size_t room);
};

/**
 * lhv_sched_resched() - ask a running vCPU to give its slot back soon
 * @pool: its pool
 * @v: the vCPU; nothing happens unless it is RUNNING
 *
 * Context: within an op. It comes back by yield, or sleeps.
 */
void lhv_sched_resched(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v);

/**
 * lhv_sched_look() - @expired would say something else by now: ask it soon
 * @pool: the pool
 * @v: the vCPU, RUNNING
 *
 * Context: within an op.
 */
void lhv_sched_look(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v);

/**
 * lhv_sched_readmit() - take a VM's vCPUs out and put them in again
 * @vm: the VM
 * @now: the time
 *
 * As if all had slept for a moment: sleep, vcpu_remove and vm_remove; vm_add, vcpu_insert and
 * wake. What the policy noted in the VM and in them stays. Context: within vm_set.
 */
void lhv_sched_readmit(struct lhv_sched_vm *vm, u64 now);

/* What a policy's module and lhv have to know alike, as far as sizes tell. */
#define LHV_SCHED_LAYOUT						\
	((u64)sizeof(struct lhv_sched_ops) << 48 |			\
	 (u64)sizeof(struct lhv_sched_pool) << 32 |			\
	 sizeof(struct lhv_sched_vm) << 16 | sizeof(struct lhv_sched_vcpu))

int lhv_sched_register_layout(const struct lhv_sched_ops *ops, u64 layout);

/**
 * lhv_sched_register() - offer a policy
 * @ops: the policy; its name is not taken
 *
 * Context: process, the last step of a module's init. Return: 0, -EINVAL a mandatory op or the
 * owner is missing, or the name is none or too long, -ENOEXEC the module was built for another
 * lhv, -EEXIST, -ENOMEM.
 */
static inline int lhv_sched_register(const struct lhv_sched_ops *ops)
{
	return lhv_sched_register_layout(ops, LHV_SCHED_LAYOUT);
}

/**
 * lhv_sched_unregister() - take it back
 * @ops: the policy. A pool that has it all the same, since the module's init fails, gets none
 *
 * Context: process, a module's exit.
 */
void lhv_sched_unregister(const struct lhv_sched_ops *ops);

/* The policy's part of a pool, a VM or a vCPU, as its own type. */
#define lhv_sched_priv(obj, type)					\
	({								\
		_Static_assert(sizeof(type) <= sizeof((obj)->priv), #type);	\
		(type *)(obj)->priv;					\
	})

extern const struct lhv_sched_ops lhv_sched_fcfs, lhv_sched_sjf, lhv_sched_prio, lhv_sched_rr,
				  lhv_sched_credit, lhv_sched_gang, lhv_sched_edf;

#endif
