// SPDX-License-Identifier: GPL-2.0
/*
 * lhv sched/ - credit: CPU time in proportion to the VMs' weights.
 *
 * Who is furthest behind in virtual time (fair.h) is next. Who slept has saved some of it, and
 * who ran ahead waits until it has not: that is the credit of other schedulers, without a
 * tick that hands it out.
 *
 * A slice lasts until the vCPU is no longer the one furthest behind, and QUANTUM beyond
 * that at most, but never less than RATE: a wake-up does not take the slot before.
 */
#include <linux/minmax.h>

#include "sched/fair.h"

#define RATE		(1 * LHV_SCHED_MS)

struct credit_pool {
	struct lhv_sched_queue waiting;
	struct lhv_sched_queue running;	/* by virtual time when it got the slot */
	struct lhv_fair fair;
};

#define POOL(pool)	lhv_sched_priv(pool, struct credit_pool)
#define VM(vm)		lhv_sched_priv(vm, struct lhv_fair)
#define VCPU(v)		lhv_sched_priv(v, struct lhv_fair)

static void credit_vm_add(struct lhv_sched_pool *pool, struct lhv_sched_vm *vm)
{
	*VM(vm) = POOL(pool)->fair;
}

static void credit_vcpu_insert(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v)
{
	*VCPU(v) = POOL(pool)->fair;
}

static void queue(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, bool woke)
{
	struct credit_pool *p = POOL(pool);

	lhv_fair_settle(v, &p->fair, VM(v->vm), VCPU(v), woke);
	lhv_sched_queue_add(&p->waiting, v, lhv_fair_key(VCPU(v)));
}

static u64 credit_wake(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now)
{
	struct lhv_sched_vcpu *last;

	queue(pool, v, true);
	if (pool->nr_busy + pool->nr_waiting <= pool->nr_slots)
		return 0;
	last = lhv_sched_queue_last(&POOL(pool)->running);
	if (last && lhv_sched_before(VCPU(v)->vtime, VCPU(last)->vtime) && now - last->since >= RATE)
		lhv_sched_resched(pool, last);
	return 0;
}

static u64 credit_yield(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now)
{
	lhv_sched_queue_del(&POOL(pool)->running, v);
	queue(pool, v, false);
	return 0;
}

static void credit_sleep(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now)
{
	if (v->state == LHV_SCHED_WAITING)
		lhv_sched_queue_del(&POOL(pool)->waiting, v);
	else
		lhv_sched_queue_del(&POOL(pool)->running, v);
}

static struct lhv_sched_vcpu *credit_pick(struct lhv_sched_pool *pool, u64 now)
{
	struct credit_pool *p = POOL(pool);
	struct lhv_sched_vcpu *v = lhv_sched_queue_pop(&p->waiting);

	if (!v)
		return NULL;
	lhv_fair_picked(&p->fair, v);
	lhv_sched_queue_add(&p->running, v, VCPU(v)->vtime);
	return v;
}

static void credit_charge(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 ns, u64 now)
{
	lhv_fair_charge(v, &POOL(pool)->fair, VM(v->vm), VCPU(v), ns);
}

static u64 credit_expired(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now)
{
	const struct lhv_sched_vcpu *first = lhv_sched_queue_first(&POOL(pool)->waiting);
	u64 ahead;

	if (v->ran < RATE)
		return RATE - v->ran;
	if (!first)
		return pool->quantum;
	if (!lhv_sched_before(VCPU(v)->vtime, first->key))
		return 0;
	ahead = lhv_fair_real(v->vm, min(first->key - VCPU(v)->vtime, 1000 * LHV_SCHED_MS));
	return clamp(ahead, 100 * LHV_SCHED_US, pool->quantum);
}

static void credit_vm_set(struct lhv_sched_pool *pool, struct lhv_sched_vm *vm,
			  const struct lhv_sched_attrs *was, u64 now)
{
	struct credit_pool *p = POOL(pool);
	u32 weight = vm->attrs.weight;
	struct lhv_sched_vcpu *v;

	if (weight == was->weight)
		return;
	VM(vm)->vtime = lhv_fair_reweighed(VM(vm)->vtime, p->fair.vtime, was->weight, weight);
	list_for_each_entry(v, &vm->vcpus, of_vm) {
		if (v->state == LHV_SCHED_WAITING)
			lhv_sched_queue_del(&p->waiting, v);
		VCPU(v)->vtime = lhv_fair_reweighed(VCPU(v)->vtime, p->fair.vtime, was->weight,
						    weight);
		if (v->state == LHV_SCHED_WAITING)
			lhv_sched_queue_add(&p->waiting, v, lhv_fair_key(VCPU(v)));
	}
}

const struct lhv_sched_ops lhv_sched_credit = {
	.name = "credit",
	.vm_add = credit_vm_add,
	.vcpu_insert = credit_vcpu_insert,
	.wake = credit_wake,
	.yield = credit_yield,
	.sleep = credit_sleep,
	.pick = credit_pick,
	.charge = credit_charge,
	.expired = credit_expired,
	.vm_set = credit_vm_set,
};
