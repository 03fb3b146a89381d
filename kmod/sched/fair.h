/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lhv sched/ - CPU time by weight, as a virtual time that runs the slower the more a VM weighs; who is
 * furthest behind is next. Used by credit, and by edf for what is not reserved.
 *
 * A VM's weight is shared by those of its vCPUs that want to run. The VM has a clock, too, behind which
 * no vCPU begins that wakes up: else vCPUs that take turns would each have slept most of the time.
 *
 * Nobody is far from the pool's time, which moves only when somebody is picked: who slept has saved
 * CREDIT at most, and who ran while nobody else wanted to is a slice ahead, not all that time.
 */
#ifndef LHV_SCHED_FAIR_H
#define LHV_SCHED_FAIR_H

#include <linux/math64.h>
#include <linux/minmax.h>

#include "sched/queue.h"

#define LHV_FAIR_CREDIT	(10 * LHV_SCHED_MS)
#define LHV_FAIR_GRAIN	0x10000ULL		/* 66 us of the standard weight */

/* In a pool: of who was furthest behind; in a VM; in a vCPU. */
struct lhv_fair {
	u64 vtime;
};

static inline u32 lhv_fair_sharers(const struct lhv_sched_vm *vm)
{
	return max(vm->nr_waiting + vm->nr_running, 1U);
}

/* What @ns of one of its vCPUs are, and the reverse. */
static inline u64 lhv_fair_virtual(const struct lhv_sched_vm *vm, u64 ns)
{
	return div_u64(ns * LHV_SCHED_WEIGHT * lhv_fair_sharers(vm), vm->attrs.weight);
}

static inline u64 lhv_fair_real(const struct lhv_sched_vm *vm, u64 vns)
{
	return div_u64(vns * vm->attrs.weight, LHV_SCHED_WEIGHT * lhv_fair_sharers(vm));
}

static inline void lhv_fair_bound(const struct lhv_fair *of_pool, struct lhv_fair *f, u64 lead)
{
	s64 ahead = f->vtime - of_pool->vtime;

	f->vtime = of_pool->vtime + clamp_t(s64, ahead, -(s64)LHV_FAIR_CREDIT, lead);
}

/*
 * By what it is queued. Who is as far behind, but for a grain, comes first who came first; so who had a short
 * turn comes at the end as a rule, and not somewhere in the deepest corner of a tree.
 */
static inline u64 lhv_fair_key(const struct lhv_fair *f)
{
	return f->vtime & -LHV_FAIR_GRAIN;
}

/* It ran for @ns. */
static inline void lhv_fair_charge(struct lhv_sched_vcpu *v, const struct lhv_fair *of_pool,
				   struct lhv_fair *of_vm, struct lhv_fair *of_vcpu, u64 ns)
{
	u64 ran = div_u64(ns * LHV_SCHED_WEIGHT, v->vm->attrs.weight);

	of_vm->vtime = lhv_sched_bounded(of_vm->vtime + ran, of_pool->vtime);
	ran = lhv_fair_virtual(v->vm, ns);
	of_vcpu->vtime = lhv_sched_bounded(of_vcpu->vtime + ran, of_pool->vtime);
}

/* It is about to be queued by its virtual time. @woke: it had wanted nothing. */
static inline void lhv_fair_settle(struct lhv_sched_vcpu *v, const struct lhv_fair *of_pool,
				   struct lhv_fair *of_vm, struct lhv_fair *of_vcpu, bool woke)
{
	u64 lead = lhv_fair_virtual(v->vm, v->vm->pool->quantum + LHV_FAIR_CREDIT);

	lhv_fair_bound(of_pool, of_vm, lead);
	if (woke && lhv_sched_before(of_vcpu->vtime, of_vm->vtime))
		of_vcpu->vtime = of_vm->vtime;
	lhv_fair_bound(of_pool, of_vcpu, lead);
}

/* Its VM's weight was another: it is ahead by as much time as before. */
static inline u64 lhv_fair_reweighed(u64 vtime, u64 of_pool, u32 was, u32 is)
{
	s64 ahead = vtime - of_pool;

	return ahead > 0 ? of_pool + div_u64(min_t(u64, ahead, 1ULL << 48) * was, is) : vtime;
}

/* It was picked, being first in the queue. */
static inline void lhv_fair_picked(struct lhv_fair *of_pool, const struct lhv_sched_vcpu *v)
{
	if (lhv_sched_before(of_pool->vtime, v->key))
		of_pool->vtime = v->key;
}

#endif
