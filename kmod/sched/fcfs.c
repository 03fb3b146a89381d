// SPDX-License-Identifier: GPL-2.0
/*
 * lhv sched/ - fcfs: first come, first served. Who has a slot keeps it until it sleeps.
 */
#include "sched/queue.h"

struct fcfs_pool {
	struct lhv_sched_queue waiting;
};

#define POOL(pool)	lhv_sched_priv(pool, struct fcfs_pool)

static u64 fcfs_wake(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now)
{
	/* In the order of waking up, so that who was parked or had to give way is not last. */
	lhv_sched_queue_add(&POOL(pool)->waiting, v, v->woken);
	return 0;
}

static void fcfs_sleep(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now)
{
	if (v->state == LHV_SCHED_WAITING)
		lhv_sched_queue_del(&POOL(pool)->waiting, v);
}

static struct lhv_sched_vcpu *fcfs_pick(struct lhv_sched_pool *pool, u64 now)
{
	return lhv_sched_queue_pop(&POOL(pool)->waiting);
}

static u64 fcfs_expired(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now)
{
	return LHV_SCHED_FOREVER;
}

const struct lhv_sched_ops lhv_sched_fcfs = {
	.name = "fcfs",
	.wake = fcfs_wake,
	.yield = fcfs_wake,
	.sleep = fcfs_sleep,
	.pick = fcfs_pick,
	.expired = fcfs_expired,
};
