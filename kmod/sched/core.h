/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lhv sched/ - a pool's logic: who wants a slot, who has one, caps, figures.
 *
 * What it is for: what is the same for every policy, in the kernel, in KUnit and in the
 *	simulator.
 * What enters: vCPUs that want a slot or had enough, with the time; CPU time they took.
 * What leaves: calls of the policy, and of a host that wakes, kicks and keeps a timer.
 * What it must not know: threads, locks, clocks. The caller holds the pool's lock.
 */
#ifndef LHV_SCHED_CORE_H
#define LHV_SCHED_CORE_H

#include "sched/sched.h"

/**
 * struct lhv_sched_host - what a pool wants from the world; called with its lock held
 * @granted: @v waits no more: it has a slot, for @left ns (see lhv_sched_left()), or the pool's
 *	policy is none
 * @kick: @v, RUNNING before, has to come to the gate
 * @timer: call lhv_sched_timer() at @when, in place of any time said before
 * @contended: (o) somebody waits, for the first time or again
 */
struct lhv_sched_host {
	void (*granted)(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 left, u64 now);
	void (*kick)(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v);
	void (*timer)(struct lhv_sched_pool *pool, u64 when);
	void (*contended)(struct lhv_sched_pool *pool);
};

void lhv_sched_pool_init(struct lhv_sched_pool *pool, const struct lhv_sched_host *host,
			 u32 nr_slots);
void lhv_sched_pool_set_policy(struct lhv_sched_pool *pool, const struct lhv_sched_ops *ops,
			       u64 now);
void lhv_sched_pool_set_slots(struct lhv_sched_pool *pool, u32 nr_slots, u64 now);
void lhv_sched_timer(struct lhv_sched_pool *pool, u64 now);

void lhv_sched_vm_init(struct lhv_sched_vm *vm, u64 id);
void lhv_sched_vm_join(struct lhv_sched_pool *pool, struct lhv_sched_vm *vm, u64 now);
void lhv_sched_vm_part(struct lhv_sched_vm *vm, u64 now);
void lhv_sched_vm_note(struct lhv_sched_vm *vm, const struct lhv_sched_attrs *attrs, u64 now);
void lhv_sched_vm_set(struct lhv_sched_vm *vm, const struct lhv_sched_attrs *attrs, u64 now);
bool lhv_sched_attrs_valid(const struct lhv_sched_attrs *attrs, char *why);

void lhv_sched_vcpu_add(struct lhv_sched_vm *vm, struct lhv_sched_vcpu *v);
void lhv_sched_vcpu_del(struct lhv_sched_vcpu *v, u64 now);
void lhv_sched_want(struct lhv_sched_vcpu *v, u64 now);
void lhv_sched_enough(struct lhv_sched_vcpu *v, u64 now);
void lhv_sched_requeue(struct lhv_sched_vcpu *v, u64 now);
void lhv_sched_charge(struct lhv_sched_vcpu *v, u64 ns, u64 now);
void lhv_sched_idled(struct lhv_sched_vcpu *v, u64 ns, u64 now);
u64 lhv_sched_left(struct lhv_sched_vcpu *v, u64 now);
void lhv_sched_entered(struct lhv_sched_vcpu *v, u64 when);

void lhv_sched_figures(const struct lhv_sched_vm *vm, u64 now, struct lhv_sched_figures *fig);
u64 lhv_sched_percentile(const u32 *hist, unsigned int per_mille);
u32 lhv_sched_jain(const struct lhv_sched_pool *pool);

#endif
