/* SPDX-License-Identifier: GPL-2.0 */
/* KUnit: a world made of numbers for a pool and its policies; one of each in each file that tests them. */
#ifndef LHV_SCHED_WORLD_H
#define LHV_SCHED_WORLD_H

#include <kunit/test.h>
#include <linux/prandom.h>

#include "sched/core.h"

#define SLOTS	3
#define VMS	6
#define VCPUS	18		/* three of each VM */
#define MS	LHV_SCHED_MS

static struct world {
	struct lhv_sched_pool pool;
	struct lhv_sched_vm vm[VMS];
	struct lhv_sched_vcpu vcpu[VCPUS];
	bool wants[VCPUS], kicked[VCPUS];
	u64 now, timer;
	struct rnd_state rnd;
} *w;

static inline void granted(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 left,
			   u64 now)
{
	lhv_sched_entered(v, now);
}

static inline void kick(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v)
{
	w->kicked[v - w->vcpu] = true;
}

static inline void set_timer(struct lhv_sched_pool *pool, u64 when)
{
	w->timer = when;
}

static const struct lhv_sched_host host = { .granted = granted, .kick = kick, .timer = set_timer };

static inline int world_init(struct kunit *test)
{
	int i;

	w = kunit_kzalloc(test, sizeof(*w), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, w);
	prandom_seed_state(&w->rnd, 1);
	w->now = MS;
	lhv_sched_pool_init(&w->pool, &host, SLOTS);
	for (i = 0; i < VMS; i++) {
		lhv_sched_vm_init(&w->vm[i], i);
		lhv_sched_vm_join(&w->pool, &w->vm[i], w->now);
	}
	for (i = 0; i < VCPUS; i++)
		lhv_sched_vcpu_add(&w->vm[i % VMS], &w->vcpu[i]);
	return 0;
}

static inline u32 random(u32 below)
{
	return prandom_u32_state(&w->rnd) % below;
}

static inline void want(int i)
{
	w->wants[i] = true;
	if (w->vcpu[i].state == LHV_SCHED_OUT)
		lhv_sched_want(&w->vcpu[i], w->now);
}

static inline void enough(int i)
{
	w->wants[i] = false;
	lhv_sched_enough(&w->vcpu[i], w->now);
}

/* Time passes for those that run; whose slice is over comes back. */
static inline void pass(u64 ns)
{
	int i;

	w->now += ns;
	for (i = 0; i < VCPUS; i++) {
		if (w->vcpu[i].state == LHV_SCHED_RUNNING)
			lhv_sched_charge(&w->vcpu[i], ns, w->now);
	}
	if (w->timer && w->timer <= w->now) {
		w->timer = 0;
		lhv_sched_timer(&w->pool, w->now);
	}
	for (i = 0; i < VCPUS; i++) {
		w->kicked[i] = false;
		if (w->vcpu[i].state == LHV_SCHED_RUNNING && !lhv_sched_left(&w->vcpu[i], w->now))
			lhv_sched_requeue(&w->vcpu[i], w->now);
	}
}

static inline void check(struct kunit *test, bool conserving)
{
	u32 running = 0, waiting = 0;
	int i;

	for (i = 0; i < VCPUS; i++) {
		running += w->vcpu[i].state == LHV_SCHED_RUNNING;
		waiting += w->vcpu[i].state == LHV_SCHED_WAITING;
		KUNIT_ASSERT_EQ(test, w->vcpu[i].state != LHV_SCHED_OUT, w->wants[i]);
	}
	KUNIT_ASSERT_EQ(test, running, w->pool.nr_busy);
	KUNIT_ASSERT_EQ(test, waiting, w->pool.nr_waiting);
	KUNIT_ASSERT_LE(test, running, w->pool.nr_slots);
	/* No slot is free while somebody waits, but for a gang that waits for more slots. */
	if (conserving && waiting)
		KUNIT_ASSERT_EQ(test, running, w->pool.nr_slots);
}

#endif
