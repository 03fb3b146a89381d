// SPDX-License-Identifier: GPL-2.0
/*
 * lhv sched/ - credit: CPU time in proportion to the VMs' weights.
 *
 * Each vCPU has a virtual time that runs the slower the more it weighs; who is furthest
 * behind is next. A VM's weight is shared by its vCPUs that want to run. Who slept has
 * saved CREDIT of virtual time at most, and who ran ahead waits until it has not: that
 * is the credit of other schedulers, without a tick that hands it out.
 *
 * A slice lasts until the vCPU is no longer the one furthest behind, and QUANTUM beyond
 * that at most, but never less than RATE: a wake-up does not take the slot before.
 */
#include <linux/math64.h>
#include <linux/minmax.h>

#include "sched/queue.h"

#define CREDIT		(10 * LHV_SCHED_MS)
#define RATE		(1 * LHV_SCHED_MS)

struct credit_pool {
	struct rb_root_cached waiting;
	struct rb_root_cached running;	/* by virtual time when it got the slot */
	u64 vtime;			/* of who was furthest behind; only grows */
};

struct credit_vcpu {
	u64 vtime;
};

#define POOL(pool)	lhv_sched_priv(pool, struct credit_pool)
#define VCPU(v)		lhv_sched_priv(v, struct credit_vcpu)

/* How many of a VM's vCPUs share its weight. */
static u32 sharers(const struct lhv_sched_vm *vm)
{
	return max(vm->nr_waiting + vm->nr_running, 1U);
}

static u64 to_virtual(const struct lhv_sched_vm *vm, u64 ns)
{
	return div_u64(ns * LHV_SCHED_WEIGHT * sharers(vm), vm->attrs.weight);
}

static u64 to_real(const struct lhv_sched_vm *vm, u64 vns)
{
	return div_u64(vns * vm->attrs.weight, LHV_SCHED_WEIGHT * sharers(vm));
}

static void credit_vcpu_insert(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v)
{
	VCPU(v)->vtime = POOL(pool)->vtime;
}

static u64 credit_wake(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now)
{
	struct credit_pool *p = POOL(pool);
	struct lhv_sched_vcpu *last;
	u64 vtime = VCPU(v)->vtime;

	/* What it saved in its sleep ends somewhere, and nobody begins before all others. */
	if (vtime + CREDIT < p->vtime)
		vtime = p->vtime - CREDIT;
	VCPU(v)->vtime = vtime;
	lhv_sched_queue_add(&p->waiting, pool, v, vtime);
	if (pool->nr_busy < pool->nr_slots)
		return 0;
	last = lhv_sched_queue_last(&p->running);
	if (last && VCPU(last)->vtime > vtime && now - last->since >= RATE)
		lhv_sched_resched(pool, last);
	return 0;
}

static u64 credit_yield(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now)
{
	struct credit_pool *p = POOL(pool);

	lhv_sched_queue_del(&p->running, v);
	lhv_sched_queue_add(&p->waiting, pool, v, VCPU(v)->vtime);
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
	p->vtime = max(p->vtime, v->key);
	lhv_sched_queue_add(&p->running, pool, v, VCPU(v)->vtime);
	return v;
}

static void credit_charge(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 ns, u64 now)
{
	VCPU(v)->vtime += to_virtual(v->vm, ns);
}

static u64 credit_expired(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now)
{
	const struct lhv_sched_vcpu *first = lhv_sched_queue_first(&POOL(pool)->waiting);
	u64 ahead;

	if (v->ran < RATE)
		return RATE - v->ran;
	if (!first)
		return pool->quantum;
	if (VCPU(v)->vtime >= first->key)
		return 0;
	ahead = to_real(v->vm, min(first->key - VCPU(v)->vtime, 1000 * LHV_SCHED_MS));
	return clamp(ahead, 100 * LHV_SCHED_US, pool->quantum);
}

const struct lhv_sched_ops lhv_sched_credit = {
	.name = "credit",
	.vcpu_insert = credit_vcpu_insert,
	.wake = credit_wake,
	.yield = credit_yield,
	.sleep = credit_sleep,
	.pick = credit_pick,
	.charge = credit_charge,
	.expired = credit_expired,
};
