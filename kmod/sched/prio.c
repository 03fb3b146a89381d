// SPDX-License-Identifier: GPL-2.0
/*
 * lhv sched/ - prio: the VM of the highest priority first, and round robin among equals.
 * Who waits ages: each AGEING ns are worth one level, so that nobody starves.
 *
 * Ageing without touching anybody: of two that wait, who came at time t with priority p is
 * at level p + (now - t) / AGEING, so that the order of t - p * AGEING is the order of
 * levels at any time.
 *
 * A wake-up takes the slot of the weakest running vCPU if that is of lower priority (its own,
 * not an aged one): at once, or when that has had RATE, or else it might have waited for nothing.
 */
#include <linux/minmax.h>

#include "sched/queue.h"

#define AGEING		(20 * LHV_SCHED_MS)
#define RATE		(1 * LHV_SCHED_MS)
#define LOOKED_AT	64

struct prio_pool {
	struct lhv_sched_queue waiting;
	struct lhv_sched_queue running;		/* the weakest last */
};

struct prio_vcpu {
	bool challenged;			/* its slice ends after RATE */
};

#define POOL(pool)	lhv_sched_priv(pool, struct prio_pool)
#define VCPU(v)		lhv_sched_priv(v, struct prio_vcpu)

static u32 below_top(const struct lhv_sched_vcpu *v)
{
	return LHV_SCHED_PRIORITY_MAX - v->vm->attrs.priority;
}

static void prio_queue(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now)
{
	lhv_sched_queue_add(&POOL(pool)->waiting, v, now + below_top(v) * AGEING);
}

/* Of those that run, and do not make room for somebody else already; if it is weaker than @v. */
static struct lhv_sched_vcpu *weakest_below(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v)
{
	struct lhv_sched_vcpu *x;
	struct rb_node *node;

	for (node = POOL(pool)->running.last; node; node = rb_prev(node)) {
		x = rb_entry(node, struct lhv_sched_vcpu, node);
		if (below_top(x) <= below_top(v))
			break;
		if (!x->resched && !VCPU(x)->challenged)
			return x;
	}
	return NULL;
}

/* It waits: is a slot with somebody weaker? */
static void displace(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now)
{
	struct lhv_sched_vcpu *weakest;

	/* Others may have been woken with it, and nobody was picked yet. */
	if (pool->nr_busy + pool->nr_waiting <= pool->nr_slots)
		return;
	weakest = weakest_below(pool, v);
	if (!weakest)
		return;
	if (now - weakest->since >= RATE) {
		lhv_sched_resched(pool, weakest);
	} else {
		VCPU(weakest)->challenged = true;
		lhv_sched_look(pool, weakest);
	}
}

static u64 prio_wake(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now)
{
	prio_queue(pool, v, now);
	displace(pool, v, now);
	return 0;
}

static u64 prio_yield(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now)
{
	lhv_sched_queue_del(&POOL(pool)->running, v);
	prio_queue(pool, v, now);
	return 0;
}

static void prio_sleep(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now)
{
	if (v->state == LHV_SCHED_WAITING)
		lhv_sched_queue_del(&POOL(pool)->waiting, v);
	else
		lhv_sched_queue_del(&POOL(pool)->running, v);
}

static struct lhv_sched_vcpu *prio_pick(struct lhv_sched_pool *pool, u64 now)
{
	struct lhv_sched_vcpu *v = lhv_sched_queue_pop(&POOL(pool)->waiting);

	if (v) {
		VCPU(v)->challenged = false;
		lhv_sched_queue_add(&POOL(pool)->running, v, below_top(v));
	}
	return v;
}

static u64 prio_expired(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now)
{
	const struct lhv_sched_vcpu *first;

	if (VCPU(v)->challenged)
		return v->ran < RATE ? RATE - v->ran : 0;
	if (v->ran < pool->quantum)
		return pool->quantum - v->ran;
	/* As if it came now: does anybody waiting come before it? */
	first = lhv_sched_queue_first(&POOL(pool)->waiting);
	return first && first->key <= now + below_top(v) * AGEING ? 0 : pool->quantum;
}

static void requeue(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 raised)
{
	struct prio_pool *p = POOL(pool);

	if (v->state == LHV_SCHED_WAITING) {
		/* It has waited for as long as before. */
		lhv_sched_queue_del(&p->waiting, v);
		lhv_sched_queue_add(&p->waiting, v, v->key - raised);
	} else if (v->state == LHV_SCHED_RUNNING) {
		lhv_sched_queue_del(&p->running, v);
		lhv_sched_queue_add(&p->running, v, below_top(v));
	}
}

/*
 * How many slots does it take until all have one that wait and are stronger than @vm, as far as it matters? Those
 * before them need not be, they may have aged; they get theirs first. Who is stronger is before one of @vm's
 * that came now. Of many that wait some are looked at: the others' turn comes when the slice is over.
 */
static u32 wanted_by_stronger(struct lhv_sched_pool *pool, const struct lhv_sched_vm *vm, u64 now)
{
	u64 behind = now + (LHV_SCHED_PRIORITY_MAX - vm->attrs.priority) * AGEING;
	const struct lhv_sched_vcpu *v;
	struct rb_node *node;
	u32 n = 0, seen = 0;

	for (node = POOL(pool)->waiting.first; node; node = rb_next(node)) {
		v = rb_entry(node, struct lhv_sched_vcpu, node);
		if (v->key >= behind || n >= vm->nr_running || seen++ == LOOKED_AT)
			break;
		if (v->vm->attrs.priority > vm->attrs.priority)
			n = seen;
	}
	return n;
}

/* Of those who run and were lowered as many give way as it takes; the others when their slices are over. */
static void prio_vm_set(struct lhv_sched_pool *pool, struct lhv_sched_vm *vm,
			const struct lhv_sched_attrs *was, u64 now)
{
	s64 raised = (s64)vm->attrs.priority - was->priority;
	struct lhv_sched_vcpu *v;
	u32 wanted;

	if (!raised)
		return;
	list_for_each_entry(v, &vm->vcpus, of_vm)
		requeue(pool, v, raised * AGEING);
	wanted = raised < 0 ? wanted_by_stronger(pool, vm, now) : 0;
	list_for_each_entry(v, &vm->vcpus, of_vm) {
		if (raised > 0 && v->state == LHV_SCHED_WAITING) {
			displace(pool, v, now);
		} else if (wanted && v->state == LHV_SCHED_RUNNING) {
			lhv_sched_resched(pool, v);
			wanted--;
		}
	}
}

const struct lhv_sched_ops lhv_sched_prio = {
	.name = "prio",
	.wake = prio_wake,
	.yield = prio_yield,
	.sleep = prio_sleep,
	.pick = prio_pick,
	.expired = prio_expired,
	.vm_set = prio_vm_set,
};
