// SPDX-License-Identifier: GPL-2.0
/*
 * lhv sched/ - sjf: shortest job first. A job is what a vCPU runs between two sleeps. Its
 * length is what the administrator says, else the exponentially weighted average of the
 * vCPU's jobs before. A job that has begun is run to its end.
 *
 * Who waits ages: AGEING ns of waiting make a job look one ns shorter. As in prio, the
 * order does not change with time, so nothing has to be touched for that.
 */
#include "sched/queue.h"

#define AGEING		16
#define FIRST_GUESS	(5 * LHV_SCHED_MS)
#define EWMA_SHIFT	1		/* the last job counts for a half */

struct sjf_pool {
	struct lhv_sched_queue waiting;
};

struct sjf_vcpu {
	u64 guess;
	u64 job, woken;			/* what it ran of the one that began then */
};

#define POOL(pool)	lhv_sched_priv(pool, struct sjf_pool)
#define VCPU(v)		lhv_sched_priv(v, struct sjf_vcpu)

static void sjf_vcpu_insert(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v)
{
	VCPU(v)->guess = FIRST_GUESS;
}

/* What is left of the job, as far as one can tell. */
static u64 remaining(const struct lhv_sched_vcpu *v)
{
	u64 length = v->vm->attrs.length ?: VCPU((struct lhv_sched_vcpu *)v)->guess;

	return length > v->burst ? length - v->burst : 0;
}

static void sjf_queue(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v)
{
	lhv_sched_queue_add(&POOL(pool)->waiting, v, remaining(v) + v->woken / AGEING);
}

static u64 sjf_wake(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now)
{
	struct sjf_vcpu *s = VCPU(v);

	/* A new job: the one before was as long as this. A cap cuts it in pieces, but it is one. */
	if (s->job && s->woken != v->woken) {
		s->guess += (s64)(s->job - s->guess) >> EWMA_SHIFT;
		s->job = 0;
	}
	sjf_queue(pool, v);
	return 0;
}

static u64 sjf_yield(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now)
{
	sjf_queue(pool, v);
	return 0;
}

static void sjf_sleep(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now)
{
	struct sjf_vcpu *s = VCPU(v);

	if (v->state == LHV_SCHED_WAITING) {
		lhv_sched_queue_del(&POOL(pool)->waiting, v);
	} else {
		s->job = v->burst;
		s->woken = v->woken;
	}
}

static void sjf_vm_set(struct lhv_sched_pool *pool, struct lhv_sched_vm *vm,
		       const struct lhv_sched_attrs *was, u64 now)
{
	struct lhv_sched_vcpu *v;

	list_for_each_entry(v, &vm->vcpus, of_vm) {
		if (v->state == LHV_SCHED_WAITING) {
			lhv_sched_queue_del(&POOL(pool)->waiting, v);
			sjf_queue(pool, v);
		}
	}
}

static struct lhv_sched_vcpu *sjf_pick(struct lhv_sched_pool *pool, u64 now)
{
	return lhv_sched_queue_pop(&POOL(pool)->waiting);
}

static u64 sjf_expired(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now)
{
	return LHV_SCHED_FOREVER;
}

const struct lhv_sched_ops lhv_sched_sjf = {
	.name = "sjf",
	.vcpu_insert = sjf_vcpu_insert,
	.wake = sjf_wake,
	.yield = sjf_yield,
	.sleep = sjf_sleep,
	.pick = sjf_pick,
	.expired = sjf_expired,
	.vm_set = sjf_vm_set,
};
