/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lhv sched/ - the gate: vCPU threads at the pools of core.c.
 *
 * What it is for: to let a vCPU's thread into the guest when its pool's policy says so,
 *	and to get it out again (gate.c); pools, policies by name, and what an
 *	administrator changes (pools.c).
 * What enters: the run loop, before it enters and when it sleeps; requests that netlink
 *	has checked.
 * What leaves: threads that sleep on vcpu->wait; LHV_REQ_GATE in pending words.
 * What it must not know: how a policy chooses; VMX, SVM.
 *
 * While no pool has a policy (lhv_sched_on) the run loop does not come here at all.
 */
#ifndef LHV_GATE_H
#define LHV_GATE_H

#include <linux/atomic.h>
#include <linux/cpumask.h>
#include <linux/hrtimer.h>
#include <linux/jump_label.h>
#include <linux/percpu.h>
#include <linux/spinlock.h>

#include "sched/core.h"

struct lhv_vcpu;
struct lhv_vm;

#define LHV_POOL_NAME_MAX	31
#define LHV_POOLS_MAX		64

/**
 * struct lhv_pool - a pool of CPUs
 * @core: slots and policy; under @lock
 * @lock: see Documentation/locking.md
 * @timer: for @core's timer
 * @watch: looks for slots of threads that get no CPU, while somebody waits
 * @id: index in the table of pools; 0 is the default pool
 * @name: by which it is known
 * @cpus: may run there
 * @bound: @cpus were named; else all
 * @slots: as many were asked for; 0, as many as there are CPUs
 * @cpus_version: counts changes of @cpus
 * @used: it exists for an administrator
 *
 * From @id on all change under lhv_pools_lock and @lock.
 */
struct lhv_pool {
	struct lhv_sched_pool core;
	raw_spinlock_t lock;
	struct hrtimer timer, watch;
	u32 id;
	char name[LHV_POOL_NAME_MAX + 1];
	struct cpumask cpus;
	bool bound;
	u32 slots;
	u32 cpus_version;
	bool used;
};

/**
 * struct lhv_vcpu_sched - the vCPU's part
 *
 * Legend: P the pool's lock; T the vCPU's thread, interrupts off; A any. Times are the TSC's.
 *
 * @core: P
 * @task: P the vCPU's thread, with a reference
 * @began: T when it entered the guest for the first time since it wanted a slot; 0, it has not
 * @counted: A its time on a CPU is counted from here on; 0, it is not
 * @uncharged: A counted, and not yet charged
 * @left_at: T when it last left the atomic tier
 * @switches: T the thread's context switches when it was last looked at
 * @slice_left: T ns until the gate has to be asked
 * @look: T LHV_REQ_GATE was served: the slot may be gone
 * @pinned: T the thread's CPUs are those of a pool
 * @own_cpus: T what they were before
 * @bound_cpus: T what they were made
 * @cpus_version, @cpus_pool: T of these
 */
struct lhv_vcpu_sched {
	struct lhv_sched_vcpu core;
	struct task_struct *task;
	u64 began;
	u64 counted;
	atomic64_t uncharged;
	u64 left_at;
	u64 switches;
	u64 slice_left;
	bool look;
	bool pinned;
	cpumask_var_t own_cpus, bound_cpus;
	u32 cpus_version, cpus_pool;
};

/**
 * struct lhv_slice - a CPU's timer of slices
 * @lock: taken before a pool's
 * @timer: pinned
 * @vcpu: whose slice it is; not necessarily on this CPU any more, or not yet
 * @ends: when the timer fires, by the TSC; 0, it is not armed
 * @looked: when it was last looked how @vcpu is doing, in ns
 * @soon: it fires earlier than the slice ends, for a vCPU that lingers
 */
struct lhv_slice {
	raw_spinlock_t lock;
	struct hrtimer timer;
	struct lhv_vcpu *vcpu;
	u64 ends, looked;
	bool soon;
};

DECLARE_PER_CPU(struct lhv_slice, lhv_slices);
DECLARE_STATIC_KEY_FALSE(lhv_sched_on);

/* ---- gate.c: the vCPU's own thread ---- */

bool lhv_gate_admit_slow(struct lhv_vcpu *vcpu);
void lhv_gate_enough_slow(struct lhv_vcpu *vcpu);
void lhv_gate_on_slow(struct lhv_vcpu *vcpu);
void lhv_gate_linger_slow(struct lhv_vcpu *vcpu);

void lhv_gate_new_thread(struct lhv_vcpu *vcpu);
void lhv_gate_pool_init(struct lhv_pool *pool);
void lhv_gate_vcpu_init(struct lhv_vcpu *vcpu);
void lhv_gate_vcpu_add(struct lhv_vcpu *vcpu);
void lhv_gate_vcpu_destroy(struct lhv_vcpu *vcpu);
void lhv_gate_init(void);
void lhv_gate_exit(void);
void lhv_gate_cpu_up(unsigned int cpu);
bool lhv_gate_idle(void);
void lhv_gate_settle(struct lhv_sched_vcpu *v, u64 now);
void lhv_gate_reclaim(struct lhv_pool *pool, u64 now);

extern const struct lhv_sched_host lhv_gate_host;

struct lhv_pool *lhv_gate_lock(struct lhv_sched_vm *vm, unsigned long *flags);
void lhv_gate_unlock(struct lhv_pool *pool, unsigned long flags);

/* ---- pools.c ---- */

extern struct mutex lhv_pools_lock;

/**
 * struct lhv_pool_change - what an administrator wants of a pool
 * @policy, @quantum, @slots, @cpus: NULL, or the new value
 */
struct lhv_pool_change {
	const char *policy;
	const u64 *quantum;
	const u32 *slots;
	const struct cpumask *cpus;
};

int lhv_pools_init(void);
void lhv_pools_exit(void);
void lhv_pools_cpu(unsigned int cpu, bool up);
void lhv_pools_vm_create(struct lhv_vm *vm);
void lhv_pools_vm_destroy(struct lhv_vm *vm);

/* Under lhv_pools_lock. @why has room for LHV_SCHED_WHY_MAX. */
struct lhv_pool *lhv_pool_by_id(u32 id);
struct lhv_pool *lhv_pool_by_name(const char *name);
struct lhv_pool *lhv_pool_create(const char *name, char *why);
int lhv_pool_remove(struct lhv_pool *pool, char *why);
struct lhv_pool *lhv_pool_next(u32 *id);
int lhv_pool_change(struct lhv_pool *pool, const struct lhv_pool_change *change, char *why);
int lhv_pool_move_vm(struct lhv_pool *pool, struct lhv_vm *vm, const struct lhv_sched_attrs *attrs,
		     char *why);
int lhv_pool_set_vm(struct lhv_vm *vm, const struct lhv_sched_attrs *attrs, char *why);
const char *lhv_pool_policy(const struct lhv_pool *pool);
struct lhv_pool *lhv_pool_of(const struct lhv_vm *vm);
bool lhv_pools_policy_name(unsigned int index, char name[LHV_SCHED_NAME_MAX + 1]);

#endif
