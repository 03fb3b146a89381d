// SPDX-License-Identifier: GPL-2.0
/*
 * lhv sched/ - gang: the vCPUs of a VM run together, so that none spins for a lock whose
 * holder has no slot, nor waits for an answer from one that has none.
 *
 * Relaxed. A VM is admitted when the free slots suffice for those of its vCPUs that want
 * to run (or when it has all the slots there are, if it is wider than the pool). A sibling that
 * wakes later runs if a slot is free; if none is, the VM goes on without it until the
 * leaders are SKEW ahead, and is then stopped whole, to be admitted with all of them.
 *
 * Of a VM that is wider than the pool those run who did least, within what a turn makes of a difference.
 *
 * VMs take turns by virtual time: who got least for its weight is next. It may be that the
 * next one does not fit while a narrower one does: then that one fills the gap, but only
 * while the next has not waited for PATIENCE; after that slots are left free for it.
 */
#include <linux/math64.h>
#include <linux/minmax.h>

#include "sched/fair.h"

#define SKEW		(2 * LHV_SCHED_MS)
#define PATIENCE	(20 * LHV_SCHED_MS)
#define LOOK_BEHIND	8		/* so many VMs are tried to fill a gap */

struct gang_pool {
	/* VMs with vCPUs that wait, by virtual time: */
	struct lhv_sched_queue vms;	/* not admitted */
	struct lhv_sched_queue joining;	/* admitted, the rest of them runs */
	u64 vtime;
};

struct gang_vm {
	struct lhv_sched_queue waiting;	/* its vCPUs, who got least first */
	struct lhv_sched_queue *queue;	/* the one it is in, or NULL */
	u64 vtime;
	u64 since;			/* admitted, or queued, then */
	u64 floor;			/* progress of who was last picked, at most */
	bool admitted;
};

struct gang_vcpu {
	u64 progress;			/* CPU time in the end */
};

#define POOL(pool)	lhv_sched_priv(pool, struct gang_pool)
#define VM(vm)		lhv_sched_priv(vm, struct gang_vm)
#define VCPU(v)		lhv_sched_priv(v, struct gang_vcpu)

static bool vm_less(struct rb_node *a, const struct rb_node *b)
{
	struct gang_vm *x = VM(rb_entry(a, struct lhv_sched_vm, node));
	struct gang_vm *y = VM(rb_entry((struct rb_node *)b, struct lhv_sched_vm, node));

	return lhv_sched_before(x->vtime, y->vtime);
}

static void vm_dequeue(struct lhv_sched_vm *vm)
{
	struct gang_vm *g = VM(vm);

	if (g->queue)
		lhv_sched_queue_remove(g->queue, &vm->node);
	g->queue = NULL;
}

static void vm_enqueue(struct lhv_sched_vm *vm, struct lhv_sched_queue *queue)
{
	VM(vm)->queue = queue;
	lhv_sched_queue_insert(queue, &vm->node, vm_less);
}

/* What @ns of all its vCPUs are in virtual time. */
static u64 turn(const struct lhv_sched_vm *vm, u64 ns)
{
	return div_u64(ns * LHV_SCHED_WEIGHT * vm->nr_vcpus, vm->attrs.weight);
}

/* For a turn. Who slept has saved a little, who ran alone is ahead by a turn at most. */
static void vm_wait(struct lhv_sched_pool *pool, struct lhv_sched_vm *vm, u64 now)
{
	struct gang_pool *p = POOL(pool);
	struct gang_vm *g = VM(vm);
	s64 ahead = g->vtime - p->vtime;

	if (g->queue)
		return;
	if (ahead > 0)
		ahead = min_t(u64, ahead, turn(vm, pool->quantum + LHV_SCHED_QUANTUM));
	else
		ahead = max(ahead, -(s64)LHV_SCHED_QUANTUM);
	g->vtime = p->vtime + ahead;
	g->since = now;
	vm_enqueue(vm, &p->vms);
}

/* The VM's turn is over: all of it, at once. */
static void vm_stop(struct lhv_sched_pool *pool, struct lhv_sched_vm *vm, u64 now)
{
	struct gang_vm *g = VM(vm);
	struct lhv_sched_vcpu *v;

	if (!g->admitted)
		return;
	g->admitted = false;
	vm_dequeue(vm);
	list_for_each_entry(v, &vm->vcpus, of_vm) {
		if (v->state == LHV_SCHED_RUNNING)
			lhv_sched_resched(pool, v);
	}
	if (lhv_sched_queue_first(&g->waiting))
		vm_wait(pool, vm, now);
}

static void gang_vm_add(struct lhv_sched_pool *pool, struct lhv_sched_vm *vm)
{
	VM(vm)->vtime = POOL(pool)->vtime;
}

static u64 gang_wake(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now)
{
	struct gang_vm *g = VM(v->vm);
	u64 *progress = &VCPU(v)->progress;

	/* Neither sleep nor time alone makes it the only one that runs, or that waits. */
	*progress = clamp(*progress, g->floor - min(g->floor, SKEW), g->floor + pool->quantum + SKEW);
	lhv_sched_queue_add(&g->waiting, v, *progress);
	if (!g->admitted)
		vm_wait(pool, v->vm, now);
	else if (!g->queue)
		vm_enqueue(v->vm, &POOL(pool)->joining);
	return 0;
}

static u64 gang_yield(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now)
{
	return gang_wake(pool, v, now);
}

static void gang_sleep(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now)
{
	struct gang_vm *g = VM(v->vm);

	if (v->state == LHV_SCHED_WAITING) {
		lhv_sched_queue_del(&g->waiting, v);
		if (lhv_sched_queue_first(&g->waiting))
			return;
		vm_dequeue(v->vm);
		/* All its slots were taken away meanwhile. */
		if (!v->vm->nr_running)
			g->admitted = false;
	} else if (v->vm->nr_running == 1) {
		/* The last one has gone to sleep. */
		vm_stop(pool, v->vm, now);
	}
}

static bool fits(const struct lhv_sched_pool *pool, const struct lhv_sched_vm *vm)
{
	return min(vm->nr_waiting, pool->nr_slots) <= pool->nr_slots - pool->nr_busy;
}

static struct lhv_sched_vm *next_vm(struct lhv_sched_pool *pool, u64 now)
{
	struct rb_node *node = POOL(pool)->vms.first;
	struct lhv_sched_vm *vm;
	int i;

	for (i = 0; node && i < LOOK_BEHIND; i++, node = rb_next(node)) {
		vm = rb_entry(node, struct lhv_sched_vm, node);
		/* Those of its vCPUs that still run were told to stop: they come with it. */
		if (!vm->nr_running && fits(pool, vm))
			return vm;
		if (!i && now - VM(vm)->since > PATIENCE)
			break;
	}
	return NULL;
}

static struct lhv_sched_vcpu *gang_pick(struct lhv_sched_pool *pool, u64 now)
{
	struct gang_pool *p = POOL(pool);
	struct rb_node *node = p->joining.first;
	struct lhv_sched_vm *vm;
	struct lhv_sched_vcpu *v;
	struct gang_vm *g;

	vm = node ? rb_entry(node, struct lhv_sched_vm, node) : next_vm(pool, now);
	if (!vm)
		return NULL;
	g = VM(vm);
	if (!g->admitted) {
		vm_dequeue(vm);
		if (lhv_sched_before(p->vtime, g->vtime))
			p->vtime = g->vtime;
		g->admitted = true;
		g->since = now;
		vm_enqueue(vm, &p->joining);
	}
	v = lhv_sched_queue_pop(&g->waiting);
	g->floor = max(g->floor, v->key);
	if (!lhv_sched_queue_first(&g->waiting))
		vm_dequeue(vm);
	return v;
}

static void gang_charge(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 ns, u64 now)
{
	struct gang_vm *g = VM(v->vm);
	struct lhv_sched_queue *queue = g->queue;
	u64 ran = div_u64(ns * LHV_SCHED_WEIGHT, v->vm->attrs.weight);

	VCPU(v)->progress += ns;
	/* Its siblings wait, or it was told to stop and does not yet: the order has to stay right. */
	vm_dequeue(v->vm);
	g->vtime = lhv_sched_bounded(g->vtime + ran, POOL(pool)->vtime);
	if (queue)
		vm_enqueue(v->vm, queue);
}

static u64 gang_expired(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now)
{
	struct gang_vm *g = VM(v->vm);
	const struct lhv_sched_vcpu *behind = lhv_sched_queue_first(&g->waiting);
	u64 end = g->since + pool->quantum, left;

	if (!g->admitted)
		return 0;
	if (now >= end) {
		if (!POOL(pool)->vms.first && !behind) {
			g->since = now;
			return pool->quantum;
		}
		vm_stop(pool, v->vm, now);
		return 0;
	}
	left = end - now;
	/* A sibling has no slot: it is left behind by so much and no more. */
	if (behind && v->vm->nr_vcpus > 1) {
		if (VCPU(v)->progress > behind->key + SKEW && v->ran >= SKEW) {
			vm_stop(pool, v->vm, now);
			return 0;
		}
		left = min(left, SKEW);
	}
	return max(left, LHV_SCHED_QUANTUM_MIN);
}

static void gang_vm_set(struct lhv_sched_pool *pool, struct lhv_sched_vm *vm,
			const struct lhv_sched_attrs *was, u64 now)
{
	struct lhv_sched_queue *queue = VM(vm)->queue;

	vm_dequeue(vm);
	VM(vm)->vtime = lhv_fair_reweighed(VM(vm)->vtime, POOL(pool)->vtime, was->weight,
					   vm->attrs.weight);
	if (queue)
		vm_enqueue(vm, queue);
}

const struct lhv_sched_ops lhv_sched_gang = {
	.name = "gang",
	.vm_add = gang_vm_add,
	.wake = gang_wake,
	.yield = gang_yield,
	.sleep = gang_sleep,
	.pick = gang_pick,
	.charge = gang_charge,
	.expired = gang_expired,
	.vm_set = gang_vm_set,
};
