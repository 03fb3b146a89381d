// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit: what the policies promise, under random loads. Unlike in sched_test.c, what a vCPU ran
 * is charged only when it comes to the gate, and its slices end late, as those of real threads do.
 */
#include <kunit/test.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/prandom.h>
#include <linux/string.h>

#include "sched/core.h"

#define VMS	6
#define EACH	3			/* vCPUs of a VM */
#define VCPUS	(VMS * EACH)		/* the first of each VM, the second of each, ... */
#define MS	LHV_SCHED_MS
#define FAR	(1ULL << 60)

#define LONGEST	(30 * MS)		/* burst */
#define LATE	(200 * LHV_SCHED_US)	/* is a slice's end at most */
#define LOOK	(20 * LHV_SCHED_US)	/* what is left of a cap is never cut finer */

static const struct lhv_sched_ops * const policies[] = {
	&lhv_sched_fcfs, &lhv_sched_sjf, &lhv_sched_prio, &lhv_sched_rr, &lhv_sched_credit,
	&lhv_sched_gang, &lhv_sched_edf,
};

/*
 * @longest: burst; 0, it never sleeps
 * @work: left of the present one; @wakes: then, when it sleeps
 * @began: on a CPU since then, or since it was last charged; @counted: see count()
 * @due: its slice ends
 * @lacks: it wanted a slot for so long, and has not run since
 */
struct load {
	u64 longest, work, wakes, began, counted, due, lacks, ran;
	bool kicked;
};

static struct world {
	struct lhv_sched_pool pool;
	struct lhv_sched_vm vm[VMS];
	struct lhv_sched_vcpu vcpu[VCPUS];
	struct load load[VCPUS];
	u64 now, timer;
	u64 period;			/* of caps: ends then */
	u64 used[VMS], ran[VMS];	/* in this one; in all */
	u64 lacked;			/* the most that anybody did */
	struct rnd_state rnd;
} *w;

static u32 random(u32 below)
{
	return prandom_u32_state(&w->rnd) % below;
}

static void granted(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 left, u64 now)
{
	struct load *l = &w->load[v - w->vcpu];

	l->began = now;
	l->counted = now;
	l->due = left < FAR ? now + left + random(LATE) : FAR;
}

static void kick(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v)
{
	w->load[v - w->vcpu].kicked = true;
}

static void set_timer(struct lhv_sched_pool *pool, u64 when)
{
	w->timer = when;
}

static const struct lhv_sched_host host = { .granted = granted, .kick = kick, .timer = set_timer };

static void begin(struct kunit *test, u32 slots, u32 seed)
{
	int i;

	memset(w, 0, sizeof(*w));
	prandom_seed_state(&w->rnd, seed);
	w->now = MS;
	w->period = w->now + LHV_SCHED_CAP_PERIOD;
	lhv_sched_pool_init(&w->pool, &host, slots);
	for (i = 0; i < VMS; i++) {
		lhv_sched_vm_init(&w->vm[i], i);
		lhv_sched_vm_join(&w->pool, &w->vm[i], w->now);
	}
	for (i = 0; i < VCPUS; i++) {
		lhv_sched_vcpu_add(&w->vm[i % VMS], &w->vcpu[i]);
		w->load[i].wakes = FAR;
	}
}

static int load_init(struct kunit *test)
{
	w = kunit_kzalloc(test, sizeof(*w), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, w);
	return 0;
}

/* ---- a machine ---- */

static u64 next_of(int i)
{
	const struct load *l = &w->load[i];

	switch (w->vcpu[i].state) {
	case LHV_SCHED_OUT:
		return l->wakes;
	case LHV_SCHED_RUNNING:
		return l->kicked ? w->now : min(l->due, l->began + l->work);
	default:
		return FAR;
	}
}

static void at_gate(int i)
{
	struct lhv_sched_vcpu *v = &w->vcpu[i];
	struct load *l = &w->load[i];
	u64 ns = w->now - l->began, left;

	l->kicked = false;
	l->began = w->now;
	l->work -= min(ns, l->work);
	lhv_sched_charge(v, ns, w->now);
	if (!l->work) {
		l->wakes = w->now + random(10 * MS);
		lhv_sched_enough(v, w->now);
		return;
	}
	left = lhv_sched_left(v, w->now);
	if (left)
		l->due = left < FAR ? w->now + left + random(LATE) : FAR;
	else
		lhv_sched_requeue(v, w->now);
}

static void act(int i)
{
	struct load *l = &w->load[i];

	if (w->vcpu[i].state == LHV_SCHED_OUT) {
		l->work = l->longest ? l->longest / 20 + random(l->longest / 20 * 19) : FAR;
		lhv_sched_want(&w->vcpu[i], w->now);
	} else {
		at_gate(i);
	}
}

/* From the last event to this one: who really ran, who wanted to. */
static void count(u64 ns)
{
	int i;

	for (i = 0; i < VCPUS; i++) {
		struct load *l = &w->load[i];

		if (w->vcpu[i].state == LHV_SCHED_RUNNING) {
			w->used[i % VMS] += ns;
			l->ran += ns;
			l->lacks = 0;
		} else if (w->vcpu[i].state == LHV_SCHED_WAITING) {
			l->lacks += ns;
			w->lacked = max(w->lacked, l->lacks);
		}
	}
}

/* Slots are kept free for all of a gang that needs more, but never from one that runs already. */
static void check_gangs(struct kunit *test)
{
	u32 free = w->pool.nr_slots - w->pool.nr_busy;
	bool too_wide = false;
	int i;

	for (i = 0; i < VMS; i++) {
		if (!w->vm[i].nr_waiting)
			continue;
		KUNIT_ASSERT_EQ(test, w->vm[i].nr_running, 0);
		too_wide |= min(w->vm[i].nr_waiting, w->pool.nr_slots) > free;
	}
	KUNIT_ASSERT_TRUE(test, too_wide);
}

static void check(struct kunit *test)
{
	KUNIT_ASSERT_LE(test, w->pool.nr_busy, w->pool.nr_slots);
	if (!w->pool.nr_waiting || w->pool.nr_busy == w->pool.nr_slots)
		return;
	KUNIT_ASSERT_PTR_EQ_MSG(test, w->pool.ops, &lhv_sched_gang, "%s: a slot is free in vain",
				w->pool.ops->name);
	check_gangs(test);
}

/* Beyond its quota, in a period: see Documentation/scheduling.md. */
static u64 cap_bound(u64 quota)
{
	u64 bound = EACH * (LOOK + LATE), i;

	for (i = 1; i < EACH; i++)
		bound += div_u64(quota, i);
	return bound;
}

static void period_ends(struct kunit *test)
{
	u64 quota;
	int i;

	for (i = 0; i < VMS; i++) {
		quota = LHV_SCHED_CAP_PERIOD / 1000 * w->vm[i].attrs.cap;
		if (quota)
			KUNIT_EXPECT_LE_MSG(test, w->used[i], quota + cap_bound(quota), "%s: %u",
					    w->pool.ops->name, w->vm[i].attrs.cap);
		w->ran[i] += w->used[i];
		w->used[i] = 0;
	}
	w->period += LHV_SCHED_CAP_PERIOD;
}

static void run_until(struct kunit *test, u64 end)
{
	u64 next;
	int i;

	while (w->now < end) {
		next = min(end, w->period);
		if (w->timer)
			next = min(next, w->timer);
		for (i = 0; i < VCPUS; i++)
			next = min(next, next_of(i));
		if (next > w->now) {
			check(test);
			count(next - w->now);
			w->now = next;
		}
		if (w->now == w->period)
			period_ends(test);
		if (w->timer && w->timer <= w->now) {
			w->timer = 0;
			lhv_sched_timer(&w->pool, w->now);
		}
		for (i = 0; i < VCPUS; i++) {
			if (next_of(i) <= w->now)
				act(i);
		}
	}
}

/* ---- nobody starves ---- */

#define SPAN	40	/* of priorities */

/* How long may a vCPU want a slot before it has one? With the loads below, on three slots. */
static u64 longest_lack(const struct lhv_sched_ops *ops)
{
	/* All others once, for a burst or a quantum each. */
	const u64 bursts = (VCPUS - 1) * LONGEST / 3 + LONGEST;
	const u64 turns = (VCPUS - 1) * (LHV_SCHED_QUANTUM + LATE) / 3 + LHV_SCHED_QUANTUM;
	/*
	 * In virtual time one is ahead by a quantum and what sleep saves (10 ms each), by its VM's
	 * weight, and others are behind by 10 ms: 3 vCPUs of weight 50 come to 130 ms. A VM of 200
	 * needs 260 for that.
	 */
	const u64 shares = VMS * 260 * MS;

	if (ops == &lhv_sched_fcfs)
		return bursts;
	if (ops == &lhv_sched_sjf)
		return bursts + 16 * LONGEST;	/* ageing */
	if (ops == &lhv_sched_prio)
		return turns + SPAN * 20 * MS;
	if (ops == &lhv_sched_rr)
		return turns;
	if (ops == &lhv_sched_credit)
		return shares / 3;
	if (ops == &lhv_sched_edf)
		return shares / 2;		/* not quite one slot is reserved */
	return shares;				/* gang: it may have but one of the slots filled */
}

static void random_attrs(void)
{
	int i;

	for (i = 0; i < VMS; i++) {
		struct lhv_sched_attrs attrs = w->vm[i].attrs;

		attrs.weight = 50 + random(151);
		attrs.priority = random(SPAN + 1);
		if (i % 2)
			attrs.length = MS + random(20 * MS);
		if (i == 1 || i == 2) {
			attrs.period = (10 + random(40)) * MS;
			attrs.budget = attrs.period / 10;
			attrs.hybrid = i == 1;
		}
		if (i == 4)
			attrs.cap = 100 + random(1000);
		lhv_sched_vm_set(&w->vm[i], &attrs, w->now);
	}
}

/* @endless: every other vCPU never sleeps. */
static void random_load(struct kunit *test, const struct lhv_sched_ops *ops, bool endless, u32 seed)
{
	int i;

	begin(test, 3, seed);
	random_attrs();
	for (i = 0; i < VCPUS; i++) {
		if (!endless || random(2))
			w->load[i].longest = random(2) ? LONGEST : 2 * MS;
		w->load[i].wakes = w->now + random(20 * MS);
	}
	lhv_sched_pool_set_policy(&w->pool, ops, w->now);
	run_until(test, 4000 * MS);
	KUNIT_EXPECT_LE_MSG(test, w->lacked, longest_lack(ops), "%s, %d", ops->name, endless);
	for (i = 0; i < VCPUS; i++)
		KUNIT_EXPECT_GT_MSG(test, w->load[i].ran, 0, "%s, %d", ops->name, endless);
}

/* Bursts of all kinds, more than three slots can do: under each policy nobody waits for ever. */
static void random_loads(struct kunit *test)
{
	int p;

	for (p = 0; p < ARRAY_SIZE(policies); p++) {
		random_load(test, policies[p], false, 1 + p);
		/* Under these two who has a slot keeps it until it sleeps: it must do that. */
		if (policies[p] != &lhv_sched_fcfs && policies[p] != &lhv_sched_sjf)
			random_load(test, policies[p], true, 1 + p);
	}
}

/* ---- caps ---- */

/* In a period the three vCPUs could run longer than cap_bound() allows: it can be exceeded. */
static const u32 cap_of[VMS] = { 100, 400, 1000, 1100 };

static void capped_loads(struct kunit *test)
{
	const int periods = 100;
	u64 quota;
	int i, p;

	for (p = 0; p < ARRAY_SIZE(policies); p++) {
		begin(test, 6, 1 + p);
		for (i = 0; i < VMS; i++) {
			struct lhv_sched_attrs attrs = w->vm[i].attrs;

			attrs.cap = cap_of[i];
			lhv_sched_vm_set(&w->vm[i], &attrs, w->now);
		}
		/* Half of them never sleep; the first to come see a quota that is theirs alone. */
		for (i = 0; i < VCPUS; i++) {
			w->load[i].longest = i % VMS < 4 && i / VMS < 2 ? 0 : LONGEST;
			w->load[i].wakes = w->now + random(3 * MS);
		}
		lhv_sched_pool_set_policy(&w->pool, policies[p], w->now);
		run_until(test, w->now + periods * LHV_SCHED_CAP_PERIOD);
		for (i = 0; cap_of[i]; i++) {
			quota = LHV_SCHED_CAP_PERIOD / 1000 * cap_of[i];
			KUNIT_EXPECT_LE_MSG(test, w->ran[i], periods * quota + cap_bound(quota),
					    "%s: %u", policies[p]->name, cap_of[i]);
			KUNIT_EXPECT_GT(test, w->vm[i].fig.throttled, 0);
		}
	}
}

/*
 * Of those that come at once each sees the whole quota, since nobody's slice is over, and has its part of
 * it by how many they are: that is much of what the bound allows, which is checked. The debt is paid then.
 */
static void capped_at_once(struct kunit *test)
{
	static const u32 caps[] = { 100, 300, 500 };
	struct lhv_sched_attrs attrs;
	u64 quota, slices;
	int i, k, n;

	for (k = 0; k < ARRAY_SIZE(caps); k++) {
		begin(test, EACH, 1 + k);
		lhv_sched_pool_set_policy(&w->pool, &lhv_sched_fcfs, w->now);
		attrs = w->vm[0].attrs;
		attrs.cap = caps[k];
		lhv_sched_vm_set(&w->vm[0], &attrs, w->now);
		quota = LHV_SCHED_CAP_PERIOD / 1000 * caps[k];
		for (slices = 0, n = 1; n <= EACH; n++)
			slices += div_u64(quota, n);
		for (i = 0; i < VCPUS; i += VMS)
			w->load[i].wakes = w->now;
		run_until(test, w->period - 1);
		KUNIT_EXPECT_GE_MSG(test, w->used[0], slices, "%u", caps[k]);
		run_until(test, w->now + 99 * LHV_SCHED_CAP_PERIOD + 1);
		KUNIT_EXPECT_LE_MSG(test, w->ran[0], 100 * quota + cap_bound(quota), "%u", caps[k]);
		KUNIT_EXPECT_GE_MSG(test, w->ran[0] + cap_bound(quota), 100 * quota, "%u", caps[k]);
	}
}

/* ---- sjf ---- */

/* A vCPU that runs ends its burst after so much. */
static void burst(int i, u64 ns)
{
	w->now += ns;
	lhv_sched_charge(&w->vcpu[i], ns, w->now);
	lhv_sched_enough(&w->vcpu[i], w->now);
}

/* One long job among short ones without end: it waits as long as it has to, and no longer. */
static void sjf_ages(struct kunit *test)
{
	const u64 length = 20 * MS, begun = MS;
	int i, next;

	begin(test, 1, 1);
	for (i = 0; i < 3; i++)
		w->vm[i].attrs.length = i ? MS : length;
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_sjf, w->now);
	lhv_sched_want(&w->vcpu[1], w->now);
	lhv_sched_want(&w->vcpu[0], w->now);
	lhv_sched_want(&w->vcpu[2], w->now);
	for (next = 1; w->vcpu[0].state != LHV_SCHED_RUNNING; next = 3 - next) {
		KUNIT_ASSERT_LE(test, w->now, begun + 32 * length);
		KUNIT_ASSERT_EQ(test, w->vcpu[next].state, LHV_SCHED_RUNNING);
		burst(next, MS);
		lhv_sched_want(&w->vcpu[next], w->now);
	}
	/* 16 ms for each ms that it is longer, and who came before. */
	KUNIT_EXPECT_GE(test, w->now - begun, 16 * (length - MS));
	KUNIT_EXPECT_LE(test, w->now - begun, 16 * (length - MS) + 3 * MS);
}

/* Who is taken for the shorter: a vCPU whose length nobody declared, or one of @length? */
static bool taken_for_shorter(int i, u64 length)
{
	w->vm[1].attrs.length = length;
	lhv_sched_want(&w->vcpu[1], w->now);
	lhv_sched_want(&w->vcpu[i], w->now);
	burst(2, MS);
	return w->vcpu[i].state == LHV_SCHED_RUNNING;
}

/* The guess is a half of the last burst, a quarter of the one before, ... and follows changes. */
static void sjf_learns(struct kunit *test)
{
	u64 guess = 5 * MS, length;
	int round;

	begin(test, 1, 1);
	w->vm[2].attrs.length = 1;
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_sjf, w->now);
	for (round = 0; round < 60; round++) {
		/* Above it: the other one is first, and this one leaves without a burst. */
		lhv_sched_want(&w->vcpu[2], w->now);
		KUNIT_ASSERT_FALSE(test, taken_for_shorter(0, guess - LHV_SCHED_US));
		lhv_sched_enough(&w->vcpu[0], w->now);
		lhv_sched_enough(&w->vcpu[1], w->now);
		/* Below it: this one is, and has its burst. Short ones for a time, then long. */
		lhv_sched_want(&w->vcpu[2], w->now);
		KUNIT_ASSERT_TRUE(test, taken_for_shorter(0, guess + LHV_SCHED_US));
		length = MS + random(round / 20 % 2 ? 40 * MS : 2 * MS);
		burst(0, length);
		lhv_sched_enough(&w->vcpu[1], w->now);
		guess = (guess + length) / 2;
		w->now += random(50 * MS);
	}
}

static struct kunit_case load_cases[] = {
	KUNIT_CASE(random_loads),
	KUNIT_CASE(capped_loads),
	KUNIT_CASE(capped_at_once),
	KUNIT_CASE(sjf_ages),
	KUNIT_CASE(sjf_learns),
	{}
};

static struct kunit_suite load_suite = {
	.name = "lhv_sched_load",
	.init = load_init,
	.test_cases = load_cases,
};

kunit_test_suite(load_suite);
