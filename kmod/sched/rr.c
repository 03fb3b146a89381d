// SPDX-License-Identifier: GPL-2.0
/*
 * lhv sched/ - rr: round robin. A quantum each, in turn, while somebody waits.
 */
#include "sched/sched.h"

struct rr_pool {
	struct list_head waiting;
};

struct rr_vcpu {
	struct list_head waiting;
	struct lhv_sched_vcpu *v;
};

static struct list_head *waiting(struct lhv_sched_pool *pool)
{
	struct list_head *list = &lhv_sched_priv(pool, struct rr_pool)->waiting;

	if (!list->next)
		INIT_LIST_HEAD(list);
	return list;
}

static u64 rr_wake(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now)
{
	struct rr_vcpu *r = lhv_sched_priv(v, struct rr_vcpu);

	r->v = v;
	list_add_tail(&r->waiting, waiting(pool));
	return 0;
}

static void rr_sleep(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now)
{
	if (v->state == LHV_SCHED_WAITING)
		list_del(&lhv_sched_priv(v, struct rr_vcpu)->waiting);
}

static struct lhv_sched_vcpu *rr_pick(struct lhv_sched_pool *pool, u64 now)
{
	struct rr_vcpu *r = list_first_entry_or_null(waiting(pool), struct rr_vcpu, waiting);

	if (!r)
		return NULL;
	list_del(&r->waiting);
	return r->v;
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
