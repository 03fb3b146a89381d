// SPDX-License-Identifier: GPL-2.0
/*
 * lhv sched/ - rr: round robin. A quantum each, in turn, while somebody waits.
 */
#include "sched/queue.h"

struct rr_pool {
	struct rb_root_cached waiting;
};

#define POOL(pool)	lhv_sched_priv(pool, struct rr_pool)

static u64 rr_wake(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now)
{
	/* Equal keys: the queue is in the order of arrival. */
	lhv_sched_queue_add(&POOL(pool)->waiting, pool, v, 0);
	return 0;
}

static void rr_sleep(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now)
{
	if (v->state == LHV_SCHED_WAITING)
		lhv_sched_queue_del(&POOL(pool)->waiting, v);
}

static struct lhv_sched_vcpu *rr_pick(struct lhv_sched_pool *pool, u64 now)
{
	return lhv_sched_queue_pop(&POOL(pool)->waiting);
}

static u64 rr_expired(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now)
{
	if (v->ran < pool->quantum)
		return pool->quantum - v->ran;
	return pool->nr_waiting ? 0 : pool->quantum;
}

const struct lhv_sched_ops lhv_sched_rr = {
	.name = "rr",
	.wake = rr_wake,
	.yield = rr_wake,
	.sleep = rr_sleep,
	.pick = rr_pick,
	.expired = rr_expired,
};
