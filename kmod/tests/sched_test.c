// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit: a pool's logic and the policies on a world made of numbers. What the simulator
 * (selftests/simulate) checks at length is checked here in the kernel's own arithmetic,
 * lists and trees.
 */
#include <kunit/test.h>
#include <linux/math64.h>
#include <linux/prandom.h>
#include <linux/string.h>

#include "sched/core.h"

#define SLOTS	3
#define VMS	6
#define VCPUS	18		/* three of each VM */
#define MS	LHV_SCHED_MS

static const struct lhv_sched_ops * const policies[] = {
	&lhv_sched_fcfs, &lhv_sched_sjf, &lhv_sched_prio, &lhv_sched_rr, &lhv_sched_credit,
	&lhv_sched_gang, &lhv_sched_edf,
};

static struct world {
	struct lhv_sched_pool pool;
	struct lhv_sched_vm vm[VMS];
	struct lhv_sched_vcpu vcpu[VCPUS];
	bool wants[VCPUS], kicked[VCPUS];
	u64 now, timer;
	struct rnd_state rnd;
} *w;

static void granted(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 left,
		    u64 now)
{
	lhv_sched_entered(v, now);
}

static void kick(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v)
{
	w->kicked[v - w->vcpu] = true;
}

static void set_timer(struct lhv_sched_pool *pool, u64 when)
{
	w->timer = when;
}

static const struct lhv_sched_host host = { .granted = granted, .kick = kick, .timer = set_timer };

static int sched_init(struct kunit *test)
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

static u32 random(u32 below)
{
	return prandom_u32_state(&w->rnd) % below;
}

static void want(int i)
{
	w->wants[i] = true;
	if (w->vcpu[i].state == LHV_SCHED_OUT)
		lhv_sched_want(&w->vcpu[i], w->now);
}

static void enough(int i)
{
	w->wants[i] = false;
	lhv_sched_enough(&w->vcpu[i], w->now);
}

/* Time passes for those that run; whose slice is over comes back. */
static void pass(u64 ns)
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

static void check(struct kunit *test, bool conserving)
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

/* Each policy, with vCPUs that come and go at random. */
static void invariants(struct kunit *test)
{
	int i, p, step;

	for (p = 0; p < ARRAY_SIZE(policies); p++) {
		lhv_sched_pool_set_policy(&w->pool, policies[p], w->now);
		for (step = 0; step < 3000; step++) {
			i = random(VCPUS);
			if (w->wants[i])
				enough(i);
			else
				want(i);
			pass(random(3 * MS));
			check(test, policies[p] != &lhv_sched_gang);
		}
	}
}

/*
 * With all of them always ready, all of them get on; under policies that promise it: not fcfs and
 * sjf, which let a job run to its end. With jobs that end: sched_load_test.c.
 */
static void nobody_starves(struct kunit *test)
{
	u64 before[VMS];
	int i, p, step;

	for (i = 0; i < VMS; i++)
		w->vm[i].attrs.priority = 19 * i;
	for (p = 2; p < ARRAY_SIZE(policies); p++) {
		lhv_sched_pool_set_policy(&w->pool, policies[p], w->now);
		for (i = 0; i < VCPUS; i++)
			want(i);
		for (i = 0; i < VMS; i++)
			before[i] = w->vm[i].fig.run;
		for (step = 0; step < 20000; step++)
			pass(MS / 2);
		for (i = 0; i < VMS; i++)
			KUNIT_EXPECT_GT(test, w->vm[i].fig.run, before[i]);
	}
}

/* Everything that an administrator can do, at any time. */
static void changes(struct kunit *test)
{
	const struct lhv_sched_ops *ops;
	struct lhv_sched_attrs attrs;
	char why[LHV_SCHED_WHY_MAX];
	struct lhv_sched_vm *vm;
	int i, step;

	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_rr, w->now);
	for (step = 0; step < 5000; step++) {
		vm = &w->vm[random(VMS)];
		attrs = vm->attrs;
		attrs.weight = 1 + random(1000);
		attrs.cap = random(2) ? random(2000) : 0;
		attrs.period = random(2) ? 20 * MS : 0;
		attrs.budget = attrs.period / 10;
		ops = w->pool.ops;
		if (!ops->adjust || !ops->adjust(&w->pool, vm, &attrs, why))
			lhv_sched_vm_set(vm, &attrs, w->now);
		ops = policies[random(ARRAY_SIZE(policies))];
		if (!ops->init || !ops->init(&w->pool, why))
			lhv_sched_pool_set_policy(&w->pool, ops, w->now);
		lhv_sched_pool_set_slots(&w->pool, 1 + random(5), w->now);
		i = random(VCPUS);
		if (w->wants[i])
			enough(i);
		else
			want(i);
		pass(random(MS));
		pass(0);
		check(test, false);
	}
	for (i = 0; i < VCPUS; i++)
		enough(i);
	check(test, true);
	KUNIT_EXPECT_EQ(test, w->pool.nr_busy, 0);
}

/* Over many periods the cap is kept; within one it is exceeded by a step of each of the two. */
static void cap(struct kunit *test)
{
	int step;

	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_credit, w->now);
	w->vm[0].attrs.cap = 500;
	w->vm[0].cap_refill = w->now;
	want(0);
	want(VMS);	/* two of its vCPUs, and slots for both */
	for (step = 0; step < 20000; step++) {
		pass(MS / 20);
		KUNIT_ASSERT_GE(test, w->vm[0].cap_budget, -(s64)(2 * MS / 20));
	}
	KUNIT_EXPECT_LE(test, w->vm[0].fig.run, 505 * MS);
	KUNIT_EXPECT_GE(test, w->vm[0].fig.run, 495 * MS);
	KUNIT_EXPECT_GT(test, w->vm[0].fig.throttled, 0);
}

/* Of those that wait, the one with the earliest deadline is next. */
static void edf_order(struct kunit *test)
{
	static const int period[VMS] = { 50, 30, 10, 40, 20, 60 };
	int i, next;

	w->pool.nr_slots = 1;
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_edf, w->now);
	for (i = 0; i < VMS; i++) {
		w->vm[i].attrs.period = period[i] * MS;
		w->vm[i].attrs.budget = MS;
		want(i);
	}
	/* The first took the slot and gave it to the first with an earlier deadline, and so on. */
	pass(0);
	for (next = 10; next <= 60; next += 10) {
		for (i = 0; i < VMS && w->vcpu[i].state != LHV_SCHED_RUNNING; i++)
			;
		KUNIT_ASSERT_LT(test, i, VMS);
		KUNIT_EXPECT_EQ(test, period[i], next);
		enough(i);
	}
}

static void edf_admission(struct kunit *test)
{
	struct lhv_sched_attrs attrs = w->vm[0].attrs;
	char why[LHV_SCHED_WHY_MAX] = "";

	/* Three vCPUs each: three times 0.9 slots fit in three, but not once more 0.4. */
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_edf, w->now);
	attrs.period = 10 * MS;
	attrs.budget = 9 * MS;
	KUNIT_EXPECT_EQ(test, lhv_sched_edf.adjust(&w->pool, &w->vm[0], &attrs, why), 0);
	lhv_sched_vm_set(&w->vm[0], &attrs, w->now);
	attrs.budget = MS;
	KUNIT_EXPECT_EQ(test, lhv_sched_edf.adjust(&w->pool, &w->vm[1], &attrs, why), 0);
	attrs.budget = 2 * MS;
	KUNIT_EXPECT_EQ(test, lhv_sched_edf.adjust(&w->pool, &w->vm[1], &attrs, why), -EBUSY);
	KUNIT_EXPECT_STREQ(test, why, "reservations would take 3.30 of the pool's 3 slots");
}

/* A vCPU for whose reservation no room is left has what the others leave. */
static void edf_late_vcpu(struct kunit *test)
{
	struct lhv_sched_attrs attrs = w->vm[0].attrs;
	struct lhv_sched_vcpu *late = &w->vcpu[VCPUS - 1];

	lhv_sched_vcpu_del(late, w->now);
	w->pool.nr_slots = 2;
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_edf, w->now);
	attrs.period = 10 * MS;
	attrs.budget = 9 * MS;
	lhv_sched_vm_set(&w->vm[VMS - 1], &attrs, w->now);
	lhv_sched_vcpu_add(&w->vm[VMS - 1], late);
	/* It alone: no budget ends its run. */
	want(VCPUS - 1);
	pass(100 * MS);
	KUNIT_EXPECT_EQ(test, late->state, LHV_SCHED_RUNNING);
	/* Those with budgets come first. */
	want(VMS - 1);
	want(2 * VMS - 1);
	pass(MS);
	KUNIT_EXPECT_EQ(test, late->state, LHV_SCHED_WAITING);
}

/*
 * What was promised to a VM does not grow with vCPUs that it makes when it has run, and what was refused
 * is nobody's: neither other VMs' attributes nor less for itself are refused for its sake.
 */
static void edf_grown_vm(struct kunit *test)
{
	struct lhv_sched_attrs attrs = w->vm[0].attrs, other = attrs;
	char why[LHV_SCHED_WHY_MAX] = "";
	int i, fresh[] = { VMS, 2 * VMS };	/* vCPUs of VM 0, behind its first */

	for (i = 0; i < 2; i++)
		lhv_sched_vcpu_del(&w->vcpu[fresh[i]], w->now);
	w->pool.nr_slots = 2;
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_edf, w->now);
	attrs.period = 10 * MS;
	attrs.budget = 9 * MS;
	lhv_sched_vm_set(&w->vm[0], &attrs, w->now);
	want(0);
	for (i = 0; i < 2; i++)
		lhv_sched_vcpu_add(&w->vm[0], &w->vcpu[fresh[i]]);

	/* 0.9 are taken: 1.1 are there, though three vCPUs would have wanted 2.7 of 2. */
	other.weight = 7;
	KUNIT_EXPECT_EQ(test, lhv_sched_edf.adjust(&w->pool, &w->vm[1], &other, why), 0);
	other.period = 10 * MS;
	other.budget = 3 * MS;			/* of each of three */
	KUNIT_EXPECT_EQ(test, lhv_sched_edf.adjust(&w->pool, &w->vm[1], &other, why), 0);
	other.budget = 4 * MS;
	KUNIT_EXPECT_EQ(test, lhv_sched_edf.adjust(&w->pool, &w->vm[1], &other, why), -EBUSY);
	attrs.budget = 8 * MS;
	KUNIT_EXPECT_EQ(test, lhv_sched_edf.adjust(&w->pool, &w->vm[0], &attrs, why), 0);

	/* And the pool may lose what is not taken. */
	w->pool.nr_slots = 1;
	KUNIT_EXPECT_EQ(test, lhv_sched_edf.init(&w->pool, why), 0);
	w->pool.nr_slots = 2;
	lhv_sched_vm_set(&w->vm[1], &other, w->now);
	w->pool.nr_slots = 1;
	KUNIT_EXPECT_EQ(test, lhv_sched_edf.init(&w->pool, why), -EBUSY);
}

/* Who had a slot and did not use it is not next again. */
static void idled(struct kunit *test)
{
	static const struct lhv_sched_ops * const by_share[] = { &lhv_sched_credit, &lhv_sched_gang,
								  &lhv_sched_edf };
	int i;

	w->pool.nr_slots = 1;
	for (i = 0; i < ARRAY_SIZE(by_share); i++) {
		lhv_sched_pool_set_policy(&w->pool, by_share[i], w->now);
		want(0);
		want(1);
		w->now += 30 * MS;
		KUNIT_ASSERT_EQ(test, w->vcpu[0].state, LHV_SCHED_RUNNING);
		lhv_sched_idled(&w->vcpu[0], 30 * MS, w->now);
		enough(0);
		KUNIT_ASSERT_EQ(test, w->vcpu[1].state, LHV_SCHED_RUNNING);
		want(0);
		/* The other one has some 20 ms before it, whatever the first says. */
		pass(5 * MS);
		pass(5 * MS);
		KUNIT_EXPECT_EQ_MSG(test, w->vcpu[1].state, LHV_SCHED_RUNNING, "%s",
				    by_share[i]->name);
		KUNIT_EXPECT_EQ(test, w->vm[0].fig.run, 0);
		enough(0);
		enough(1);
		w->vm[1].fig.run = 0;
	}
}

/* Two that are stronger wake: two give way. */
static void each_waker_finds_one(struct kunit *test)
{
	int i;

	w->pool.nr_slots = 2;
	for (i = 2; i < 4; i++)
		w->vm[i].attrs.priority = 90;
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_prio, w->now);
	for (i = 0; i < 2; i++)
		want(i);
	pass(5 * MS);
	for (i = 2; i < 4; i++)
		want(i);
	KUNIT_EXPECT_TRUE(test, w->kicked[0]);
	KUNIT_EXPECT_TRUE(test, w->kicked[1]);
}

/* Also while these have not had their millisecond: both are asked when that is over. */
static void each_waker_challenges_one(struct kunit *test)
{
	int i;

	w->pool.nr_slots = 2;
	for (i = 2; i < 4; i++)
		w->vm[i].attrs.priority = 90;
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_prio, w->now);
	for (i = 0; i < 4; i++)
		want(i);
	pass(MS / 2);
	for (i = 0; i < 2; i++)
		KUNIT_EXPECT_EQ(test, w->vcpu[i].state, LHV_SCHED_RUNNING);
	pass(MS / 2);
	for (i = 2; i < 4; i++)
		KUNIT_EXPECT_EQ(test, w->vcpu[i].state, LHV_SCHED_RUNNING);
}

/* A promise outlives a CPU that goes, whatever else of the VM is changed meanwhile. */
static void edf_keeps_promises(struct kunit *test)
{
	struct lhv_sched_attrs attrs = w->vm[0].attrs;
	char why[LHV_SCHED_WHY_MAX] = "";
	int i;

	attrs.period = 10 * MS;
	attrs.budget = 5 * MS;
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_edf, w->now);
	for (i = 0; i < 2; i++)
		lhv_sched_vm_set(&w->vm[i], &attrs, w->now);	/* 1.5 of 3 slots each */
	w->pool.nr_slots = 2;
	attrs.weight = 7;
	KUNIT_EXPECT_EQ(test, lhv_sched_edf.adjust(&w->pool, &w->vm[0], &attrs, why), 0);
	lhv_sched_vm_set(&w->vm[0], &attrs, w->now);
	w->pool.nr_slots = 3;
	/* There is no room for a third one, however small, as there was not before. */
	attrs.budget = MS / 10;
	KUNIT_EXPECT_EQ(test, lhv_sched_edf.adjust(&w->pool, &w->vm[2], &attrs, why), -EBUSY);
}

/* One vCPU of a VM, promised as much. */
static void reserve(int i, u64 period, u64 budget)
{
	struct lhv_sched_attrs attrs = w->vm[i].attrs;

	lhv_sched_vcpu_del(&w->vcpu[i + VMS], w->now);
	lhv_sched_vcpu_del(&w->vcpu[i + 2 * VMS], w->now);
	attrs.period = period;
	attrs.budget = budget;
	lhv_sched_vm_set(&w->vm[i], &attrs, w->now);
}

/* Three that always want to run, as they are promised 47.5, 47.5 and 85 % of a CPU. */
static const u64 spinner_period[] = { 10 * MS, 10 * MS, 11 * MS };
static const u64 spinner_budget[] = { 4750 * LHV_SCHED_US, 4750 * LHV_SCHED_US, 9350 * LHV_SCHED_US };

static void start_spinners(void)
{
	int i;

	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_edf, w->now);
	for (i = 0; i < 3; i++) {
		reserve(i, spinner_period[i], spinner_budget[i]);
		want(i);
	}
}

/* Who got less than his budget in a period was failed once, also who ran when it was over. */
static void edf_counts_misses(struct kunit *test)
{
	const struct lhv_sched_figures *fig;
	u64 begun, missed, short_of;
	int i, slots;

	start_spinners();
	for (slots = 3; slots; slots--) {
		w->pool.nr_slots = slots;
		for (i = 0; i < 3; i++)
			memset(&w->vm[i].fig, 0, sizeof(w->vm[i].fig));
		begun = w->now;
		while (w->now < begun + 1100 * MS)
			pass(50 * LHV_SCHED_US);
		for (i = missed = 0; i < 3; i++) {
			fig = &w->vm[i].fig;
			short_of = div_u64(1100 * MS, spinner_period[i]) * spinner_budget[i];
			short_of -= min(short_of, fig->run);
			missed += fig->misses;
			/* One period more or less: they do not begin when this does. */
			KUNIT_EXPECT_GE(test, (fig->misses + 1) * spinner_budget[i], short_of);
			KUNIT_EXPECT_LE(test, fig->misses, div_u64(1100 * MS, spinner_period[i]) + 1);
		}
		/* Two are enough, if he who has no time left goes first. */
		if (slots >= 2)
			KUNIT_EXPECT_EQ(test, missed, 0);
		if (slots == 1)
			KUNIT_EXPECT_GT(test, missed, 80);
	}
}

/*
 * Random reservations: nobody waits with an earlier deadline than somebody has who runs. Who has no
 * time left to wait, and who waited past his deadline, is before all others.
 */
static void edf_random(struct kunit *test)
{
	static const int percent[VMS] = { 40, 20, 10, 10, 5, 5 };	/* of each of three */
	struct lhv_sched_attrs attrs = w->vm[0].attrs;
	u64 latest, earliest;
	int i, step;

	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_edf, w->now);
	for (i = 0; i < VMS; i++) {
		attrs.period = (2 + random(30)) * MS;
		attrs.budget = div_u64(attrs.period * percent[i], 100);
		lhv_sched_vm_set(&w->vm[i], &attrs, w->now);
	}
	for (step = 0; step < 20000; step++) {
		i = random(VCPUS);
		if (w->wants[i] && !random(3))
			enough(i);
		else
			want(i);
		pass(random(MS));
		/* Who is told to give way does. */
		pass(0);
		latest = 0;
		earliest = w->now + 100 * MS;
		for (i = 0; i < VCPUS; i++) {
			if (w->vcpu[i].state == LHV_SCHED_RUNNING)
				latest = max(latest, w->vcpu[i].key);
			if (w->vcpu[i].state == LHV_SCHED_WAITING)
				earliest = min(earliest, w->vcpu[i].key);
		}
		KUNIT_ASSERT_LE(test, latest, w->now + 32 * MS);
		KUNIT_ASSERT_LE(test, latest, max(earliest, w->now));
		check(test, true);
	}
}

/* Slices that were given before it came end when it can wait no more. */
static void edf_looks_in_time(struct kunit *test)
{
	int i;

	w->pool.nr_slots = 2;
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_edf, w->now);
	for (i = 0; i < 3; i++) {
		reserve(i, (8 + i / 2) * MS, (4 + i / 2 * 3) * MS);
		want(i);
	}
	KUNIT_EXPECT_TRUE(test, w->kicked[0] || w->kicked[1]);
	KUNIT_EXPECT_FALSE(test, w->vcpu[0].resched || w->vcpu[1].resched);
	/* 9 - 7 ms less what a switch takes */
	KUNIT_EXPECT_LE(test, lhv_sched_left(&w->vcpu[0], w->now), 2 * MS);
	pass(2 * MS);
	pass(0);
	KUNIT_EXPECT_EQ(test, w->vcpu[2].state, LHV_SCHED_RUNNING);
}

/*
 * One wakes and somebody is told to give way, but the slot goes to one that can wait no more: then the
 * other who runs has to give way, too.
 */
static void edf_slot_taken(struct kunit *test)
{
	static const u32 period[] = { 90, 80, 95, 30 }, budget[] = { 40, 40, 60, 10 };	/* 0.1 ms */
	int i;

	w->pool.nr_slots = 2;
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_edf, w->now);
	for (i = 0; i < 4; i++) {
		reserve(i, period[i] * MS / 10, budget[i] * MS / 10);
		if (i < 3)
			want(i);
	}
	/* The third can wait for 9.5 - 6 ms, less what a switch takes. */
	pass(34 * MS / 10);
	want(3);
	KUNIT_ASSERT_TRUE(test, w->vcpu[0].resched);
	KUNIT_ASSERT_FALSE(test, w->vcpu[1].resched);
	w->now += MS / 10;
	lhv_sched_requeue(&w->vcpu[0], w->now);
	KUNIT_EXPECT_EQ(test, w->vcpu[2].state, LHV_SCHED_RUNNING);
	KUNIT_EXPECT_TRUE(test, w->vcpu[1].resched);
	pass(0);
	KUNIT_EXPECT_EQ(test, w->vcpu[3].state, LHV_SCHED_RUNNING);
}

/*
 * Three of 60 % on two slots. If the shorter two had all of theirs first, the third could not wait when
 * their next periods begin, and one of them would miss its own.
 */
static void edf_pieces(struct kunit *test)
{
	u64 begun = w->now;
	int i;

	w->pool.nr_slots = 2;
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_edf, w->now);
	for (i = 0; i < 3; i++) {
		reserve(i, (10 + i / 2 * 10) * MS, (6 + i / 2 * 6) * MS);
		want(i);
	}
	while (w->now < begun + 201 * MS)
		pass(20 * LHV_SCHED_US);
	for (i = 0; i < 3; i++)
		KUNIT_EXPECT_EQ(test, w->vm[i].fig.misses, 0);
}

/* What a hybrid VM is promised comes in each period, however little it weighs for the rest. */
static void edf_hybrid(struct kunit *test)
{
	struct lhv_sched_attrs attrs = w->vm[0].attrs;
	int i;

	w->pool.nr_slots = 1;
	attrs.period = 10 * MS;
	attrs.budget = 2 * MS;
	attrs.weight = 1;
	attrs.hybrid = true;
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_edf, w->now);
	for (i = VMS; i < VCPUS; i += VMS)
		lhv_sched_vcpu_del(&w->vcpu[i], w->now);
	lhv_sched_vm_set(&w->vm[0], &attrs, w->now);
	for (i = 0; i < VMS; i++)
		want(i);
	for (i = 0; i < 10000; i++)
		pass(MS / 10);
	KUNIT_EXPECT_EQ(test, w->vm[0].fig.misses, 0);
	KUNIT_EXPECT_GE(test, w->vm[0].fig.run, 199 * MS);
	KUNIT_EXPECT_LE(test, w->vm[0].fig.run, 210 * MS);
}

static void edf_status(struct kunit *test)
{
	struct lhv_sched_attrs attrs = w->vm[0].attrs;
	char line[64];

	attrs.period = 10 * MS;
	attrs.budget = 3 * MS;
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_edf, w->now);
	lhv_sched_vm_set(&w->vm[0], &attrs, w->now);
	KUNIT_EXPECT_EQ(test, lhv_sched_edf.dump(&w->pool, line, sizeof(line)), strlen(line));
	KUNIT_EXPECT_STREQ(test, line, "0.90 of 3 slots reserved");
}

static void foreign_policy(struct kunit *test)
{
	struct lhv_sched_ops ops = lhv_sched_fcfs;

	ops.name = "foreign";
	ops.owner = THIS_MODULE;
	KUNIT_EXPECT_EQ(test, lhv_sched_register_layout(&ops, LHV_SCHED_LAYOUT + 8), -ENOEXEC);
	KUNIT_ASSERT_EQ(test, lhv_sched_register(&ops), 0);
	KUNIT_EXPECT_EQ(test, lhv_sched_register(&ops), -EEXIST);
	lhv_sched_unregister(&ops);
	ops.wake = NULL;
	KUNIT_EXPECT_EQ(test, lhv_sched_register(&ops), -EINVAL);
}

/* Time with a slot that its thread did not use was not withheld from it. */
static void edf_blames_nobody(struct kunit *test)
{
	struct lhv_sched_attrs attrs = w->vm[0].attrs;

	attrs.period = 10 * MS;
	attrs.budget = 5 * MS;
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_edf, w->now);
	lhv_sched_vm_set(&w->vm[0], &attrs, w->now);
	want(0);
	pass(MS);
	w->now += 6 * MS;		/* its VMM sleeps */
	pass(MS);
	pass(4 * MS);
	KUNIT_EXPECT_EQ(test, w->vm[0].fig.misses, 0);
	/* Nor is what it slept through. */
	enough(0);
	w->now += 25 * MS;
	want(0);
	pass(MS);
	enough(0);
	KUNIT_EXPECT_EQ(test, w->vm[0].fig.misses, 0);
}

/* What a starved thread idled is paid with one period. */
static void edf_debt(struct kunit *test)
{
	struct lhv_sched_attrs attrs = w->vm[0].attrs;
	u64 ran;

	attrs.period = 100 * MS;
	attrs.budget = MS;
	w->pool.nr_slots = 1;
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_edf, w->now);
	lhv_sched_vm_set(&w->vm[0], &attrs, w->now);
	want(0);
	w->now += 30 * MS;
	lhv_sched_idled(&w->vcpu[0], 30 * MS, w->now);
	pass(0);
	KUNIT_EXPECT_EQ(test, w->vcpu[0].state, LHV_SCHED_PARKED);
	ran = w->vm[0].fig.run;
	while (w->now < 320 * MS)
		pass(MS / 10);
	KUNIT_EXPECT_GT(test, w->vm[0].fig.run, ran);
}

/*
 * Who wakes when there is no slot for it is left behind by two milliseconds: then its siblings stop, too,
 * and go on together with it.
 */
static void gang_skew(struct kunit *test)
{
	w->pool.quantum = 100 * MS;
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_gang, w->now);
	want(1);
	want(0);
	want(VMS);
	pass(MS);
	want(2 * VMS);
	pass(MS / 2);
	KUNIT_EXPECT_EQ(test, w->vm[0].nr_running, 2);
	pass(MS / 2);
	pass(MS / 2);
	pass(0);
	KUNIT_EXPECT_EQ(test, w->vm[0].nr_waiting, 3);
	KUNIT_EXPECT_EQ(test, w->vm[1].nr_running, 1);
	enough(1);
	KUNIT_EXPECT_EQ(test, w->vm[0].nr_running, 3);
}

/* Slots that do not suffice for a wide VM are used by narrow ones, but not for ever. */
static void gang_gaps(struct kunit *test)
{
	u64 begun = w->now;
	int i;

	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_gang, w->now);
	for (i = 1; i <= 3; i++)
		want(i);
	for (i = 0; i < 3; i++)
		want(i * VMS);
	enough(3);
	KUNIT_EXPECT_EQ(test, w->vm[0].nr_waiting, 3);
	want(4);
	KUNIT_EXPECT_EQ(test, w->vm[4].nr_running, 1);
	want(3);
	/* Of these four one goes each millisecond and comes again: there never are three slots. */
	for (i = 0; !w->vm[0].nr_running; i++) {
		KUNIT_ASSERT_LE(test, w->now, begun + 30 * MS);
		pass(MS);
		if (w->vcpu[1 + i % 4].state == LHV_SCHED_RUNNING) {
			enough(1 + i % 4);
			want(1 + i % 4);
		}
	}
	KUNIT_EXPECT_EQ(test, w->vm[0].nr_running, 3);
	KUNIT_EXPECT_GE(test, w->now, begun + 20 * MS);
}

/* Turns are as long for all VMs: who weighs less has fewer of them. */
static void gang_weights(struct kunit *test)
{
	int i;

	w->pool.nr_slots = 1;
	w->vm[0].attrs.weight = 10;
	w->vm[1].attrs.weight = 90;
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_gang, w->now);
	want(0);
	want(1);
	for (i = 0; i < 10000; i++)
		pass(MS / 2);
	KUNIT_EXPECT_GE(test, w->vm[0].fig.run, 480 * MS);
	KUNIT_EXPECT_LE(test, w->vm[0].fig.run, 520 * MS);
}

/* Who wakes up and is behind has the slot as soon as who is in it had it for a millisecond. */
static void credit_wakes(struct kunit *test)
{
	w->pool.nr_slots = 1;
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_credit, w->now);
	want(0);
	pass(MS / 2);
	want(1);
	KUNIT_EXPECT_FALSE(test, w->kicked[0]);
	enough(1);
	pass(4 * MS);
	want(1);
	KUNIT_EXPECT_TRUE(test, w->kicked[0]);
	pass(0);
	KUNIT_EXPECT_EQ(test, w->vcpu[1].state, LHV_SCHED_RUNNING);
}

/* A level is 20 ms of waiting, neither more nor less. */
static void prio_ages(struct kunit *test)
{
	u64 begun;
	int i;

	w->pool.nr_slots = 1;
	w->vm[0].attrs.priority = 40;
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_prio, w->now);
	want(1);
	want(2);
	begun = w->now;
	want(0);
	for (i = 0; w->vcpu[0].state != LHV_SCHED_RUNNING; i++) {
		KUNIT_ASSERT_LE(test, i, 1000);
		pass(MS);
	}
	/* Ten levels; who came before that has its quantum, and who runs. */
	KUNIT_EXPECT_GE(test, w->now - begun, 10 * 20 * MS);
	KUNIT_EXPECT_LE(test, w->now - begun, 10 * 20 * MS + 3 * LHV_SCHED_QUANTUM);
}

/*
 * What a vCPU ran comes to light late, when it has lost its slot: it counts all the same, against its
 * VM's cap as against its share.
 */
static void owed(struct kunit *test)
{
	static const int caps[] = { 250, 0 };
	const u64 late = 2 * MS;
	u64 begun, ran, before[2];
	bool had;
	int i, k;

	w->pool.nr_slots = 1;
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_credit, w->now);
	for (k = 0; k < ARRAY_SIZE(caps); k++) {
		struct lhv_sched_attrs attrs = w->vm[0].attrs;

		attrs.cap = caps[k];
		lhv_sched_vm_set(&w->vm[0], &attrs, w->now);
		begun = w->now;
		ran = 0;
		for (i = 0; i < 2; i++) {
			want(i);
			before[i] = w->vm[i].fig.run;
		}
		while (w->now < begun + 1000 * MS) {
			had = w->vcpu[0].state == LHV_SCHED_RUNNING;
			pass(MS / 2);
			ran += had * MS / 2;
			if (had && w->vcpu[0].state != LHV_SCHED_RUNNING) {
				lhv_sched_charge(&w->vcpu[0], late, w->now);
				ran += late;
			}
		}
		ran -= w->vcpu[0].owed;
		KUNIT_EXPECT_EQ(test, w->vm[0].fig.run - before[0], ran);
		if (caps[k]) {
			KUNIT_EXPECT_LE(test, ran, 260 * MS);
			KUNIT_EXPECT_GE(test, ran, 240 * MS);
		} else {
			KUNIT_EXPECT_LE(test, ran, w->vm[1].fig.run - before[1] + 20 * MS);
			KUNIT_EXPECT_GE(test, ran + 20 * MS, w->vm[1].fig.run - before[1]);
		}
	}
}

/* What a slice that ended late took beyond the budget is missing in the next period. */
static void edf_repays(struct kunit *test)
{
	struct lhv_sched_attrs attrs = w->vm[0].attrs;
	u64 begun = w->now;

	attrs.period = 10 * MS;
	attrs.budget = MS;
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_edf, w->now);
	lhv_sched_vm_set(&w->vm[0], &attrs, w->now);
	want(0);
	while (w->now < begun + 1000 * MS)
		pass(700 * LHV_SCHED_US);
	KUNIT_EXPECT_GE(test, w->vm[0].fig.run, 98 * MS);
	KUNIT_EXPECT_LE(test, w->vm[0].fig.run, 102 * MS);
}

/* A hybrid VM has its budget, and a part of what is left by its weight. */
static void edf_hybrid_rest(struct kunit *test)
{
	struct lhv_sched_attrs attrs = w->vm[0].attrs;
	int i;

	w->pool.nr_slots = 1;
	attrs.period = 10 * MS;
	attrs.budget = 2 * MS;
	attrs.hybrid = true;
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_edf, w->now);
	for (i = VMS; i < VCPUS; i += VMS)
		lhv_sched_vcpu_del(&w->vcpu[i], w->now);
	lhv_sched_vm_set(&w->vm[0], &attrs, w->now);
	want(0);
	want(1);
	for (i = 0; i < 10000; i++)
		pass(MS / 10);
	/* 20 % and a half of 80 % */
	KUNIT_EXPECT_GE(test, w->vm[0].fig.run, 580 * MS);
	KUNIT_EXPECT_LE(test, w->vm[0].fig.run, 620 * MS);
}

/* Virtual times wrap: at the least weight, within days. */
static void wraps(struct kunit *test)
{
	int i;

	w->pool.nr_slots = 1;
	w->vm[0].attrs.weight = 1;
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_credit, w->now);
	want(0);
	/* 100 of it for each ns. */
	for (i = 0; i < 300; i++)
		pass(1ULL << 50);
	want(1);
	for (i = 0; i < 100; i++)
		pass(MS);
	KUNIT_EXPECT_GT(test, w->vm[1].fig.run, 90 * MS);
}

/* Who waits for ever has waited, and it is not fair; a change of the mix counts from there. */
static void starved_vm(struct kunit *test)
{
	struct lhv_sched_figures *fig = kunit_kzalloc(test, sizeof(*fig), GFP_KERNEL);
	struct lhv_sched_attrs attrs = w->vm[1].attrs;

	KUNIT_ASSERT_NOT_NULL(test, fig);
	lhv_sched_pool_set_slots(&w->pool, 1, w->now);
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_fcfs, w->now);
	want(0);
	want(1);
	pass(10 * MS);
	KUNIT_EXPECT_EQ(test, lhv_sched_jain(&w->pool), 500000);
	lhv_sched_figures(&w->vm[1], w->now, fig);
	KUNIT_EXPECT_EQ(test, fig->wait, 10 * MS);
	KUNIT_EXPECT_EQ(test, fig->run, 0);
	pass(5 * MS);
	lhv_sched_figures(&w->vm[1], w->now, fig);
	KUNIT_EXPECT_EQ(test, fig->wait, 15 * MS);

	enough(0);
	pass(10 * MS);
	KUNIT_EXPECT_LT(test, lhv_sched_jain(&w->pool), 1000000);
	attrs.weight *= 4;
	lhv_sched_vm_set(&w->vm[1], &attrs, w->now);
	want(0);
	pass(10 * MS);
	enough(1);
	pass(10 * MS);
	/* 10 ms each, but one weighs four: (1 + 4)^2 / (2 * (1 + 16)) */
	KUNIT_EXPECT_EQ(test, lhv_sched_jain(&w->pool) / 1000, 735);
}

/* An agent that sets a VM's attributes again and again takes nothing from it, nor gives it anything. */
static void set_often(struct kunit *test)
{
	static const struct lhv_sched_ops * const turns[] = {
		&lhv_sched_prio, &lhv_sched_rr, &lhv_sched_credit, &lhv_sched_gang, &lhv_sched_edf,
	};
	struct lhv_sched_attrs attrs = w->vm[0].attrs;
	u64 ran, all;
	int i, p, step;

	lhv_sched_pool_set_slots(&w->pool, 1, w->now);
	w->pool.quantum = 10 * MS;
	for (p = 0; p < ARRAY_SIZE(turns); p++) {
		lhv_sched_pool_set_policy(&w->pool, turns[p], w->now);
		for (i = 0; i < 4; i++)
			want(i);
		ran = w->vm[0].fig.run;
		all = w->now;
		for (step = 0; step < 4000; step++) {
			attrs.length = (step & 1) * MS;
			attrs.weight = LHV_SCHED_WEIGHT + (step & 1);
			lhv_sched_vm_set(&w->vm[0], &attrs, w->now);
			pass(MS);
		}
		ran = w->vm[0].fig.run - ran;
		all = w->now - all;
		KUNIT_EXPECT_GE_MSG(test, ran, all * 22 / 100, "%s", turns[p]->name);
		KUNIT_EXPECT_LE_MSG(test, ran, all * 28 / 100, "%s", turns[p]->name);
		for (i = 0; i < 4; i++)
			enough(i);
	}
}

/* Nor is a budget had anew by that, at others' expense. */
static void edf_set_often(struct kunit *test)
{
	struct lhv_sched_attrs attrs = w->vm[0].attrs;
	u64 start;
	int step;

	lhv_sched_pool_set_slots(&w->pool, 1, w->now);
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_edf, w->now);
	reserve(1, 10 * MS, 8 * MS);
	reserve(0, 10 * MS, MS);
	attrs = w->vm[0].attrs;
	want(0);
	want(1);
	start = w->now;
	for (step = 0; step < 20000; step++) {
		attrs.budget = MS - (step / 10 & 1) * LHV_SCHED_US;
		if (!(step % 10))
			lhv_sched_vm_set(&w->vm[0], &attrs, w->now);
		pass(MS / 10);
	}
	KUNIT_EXPECT_LE(test, w->vm[0].fig.run, (w->now - start) * 12 / 100);
	KUNIT_EXPECT_EQ(test, w->vm[1].fig.misses, 0);
}

/* What waits is queued by the attributes that it has now, where it stood. */
static void set_order(struct kunit *test)
{
	struct lhv_sched_attrs attrs = w->vm[0].attrs;
	int i;

	lhv_sched_pool_set_slots(&w->pool, 1, w->now);
	w->pool.quantum = 1000 * MS;
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_sjf, w->now);
	for (i = 0; i < 3; i++)
		want(i);
	attrs.length = MS;
	lhv_sched_vm_set(&w->vm[2], &attrs, w->now);
	pass(MS);
	enough(0);
	KUNIT_EXPECT_EQ(test, w->vcpu[2].state, LHV_SCHED_RUNNING);
	enough(1);
	enough(2);

	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_prio, w->now);
	for (i = 0; i < 3; i++)
		want(i);
	pass(2 * MS);
	attrs.priority++;
	lhv_sched_vm_set(&w->vm[2], &attrs, w->now);
	pass(0);
	KUNIT_EXPECT_EQ(test, w->vcpu[2].state, LHV_SCHED_RUNNING);
	pass(2 * MS);
	attrs.priority -= 2;
	lhv_sched_vm_set(&w->vm[2], &attrs, w->now);
	pass(0);
	KUNIT_EXPECT_EQ(test, w->vcpu[2].state, LHV_SCHED_WAITING);
}

/* Who is ahead by its small weight is not when it weighs more. */
static void set_heavier(struct kunit *test)
{
	static const struct lhv_sched_ops * const by_weight[] = {
		&lhv_sched_credit, &lhv_sched_gang, &lhv_sched_edf,
	};
	struct lhv_sched_attrs attrs = w->vm[0].attrs;
	u64 ran;
	int i, p;

	lhv_sched_pool_set_slots(&w->pool, 1, w->now);
	w->pool.quantum = 10 * MS;
	for (p = 0; p < ARRAY_SIZE(by_weight); p++) {
		w->vm[0].attrs.weight = 1;
		lhv_sched_pool_set_policy(&w->pool, by_weight[p], w->now);
		want(0);
		for (i = 0; i < 1000; i++)
			pass(MS);
		for (i = 1; i < 4; i++)
			want(i);
		while (w->vcpu[0].state == LHV_SCHED_RUNNING)
			pass(MS);
		lhv_sched_vm_set(&w->vm[0], &attrs, w->now);
		ran = w->vm[0].fig.run;
		for (i = 0; i < 1000; i++)
			pass(MS);
		KUNIT_EXPECT_GE_MSG(test, w->vm[0].fig.run - ran, 200 * MS, "%s",
				    by_weight[p]->name);
		for (i = 0; i < 4; i++)
			enough(i);
	}
}

/* A VM's vCPUs are compared with others by one priority, not some by the old and some by the new. */
static void set_siblings(struct kunit *test)
{
	struct lhv_sched_attrs attrs = w->vm[0].attrs;

	w->vm[0].attrs.priority = 10;
	lhv_sched_pool_set_slots(&w->pool, 2, w->now);
	w->pool.quantum = 1000 * MS;
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_prio, w->now);
	want(VMS);
	want(1);
	want(0);
	pass(2 * MS);
	attrs.priority = 99;
	lhv_sched_vm_set(&w->vm[0], &attrs, w->now);
	pass(0);
	KUNIT_EXPECT_EQ(test, w->vcpu[0].state, LHV_SCHED_RUNNING);
	KUNIT_EXPECT_EQ(test, w->vcpu[VMS].state, LHV_SCHED_RUNNING);

	/* The sibling and the other wait; the first who does is the sibling no more. */
	lhv_sched_pool_set_slots(&w->pool, 1, w->now);
	pass(0);
	attrs.priority = 0;
	lhv_sched_vm_set(&w->vm[0], &attrs, w->now);
	pass(0);
	KUNIT_EXPECT_EQ(test, w->vcpu[1].state, LHV_SCHED_RUNNING);
}

/* Another reservation does not begin when the old period ends, which may be 10 s. */
static void edf_shorter_period(struct kunit *test)
{
	struct lhv_sched_attrs attrs = w->vm[0].attrs;
	u64 ran;
	int i;

	lhv_sched_pool_set_slots(&w->pool, 1, w->now);
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_edf, w->now);
	reserve(0, 10000 * MS, MS);
	want(0);
	for (i = 0; i < 20; i++)
		pass(MS / 10);
	KUNIT_EXPECT_EQ(test, w->vcpu[0].state, LHV_SCHED_PARKED);
	attrs.period = 10 * MS;
	attrs.budget = 9 * MS;
	lhv_sched_vm_set(&w->vm[0], &attrs, w->now);
	ran = w->vm[0].fig.run;
	for (i = 0; i < 300; i++)
		pass(MS / 10);
	KUNIT_EXPECT_GE(test, w->vm[0].fig.run - ran, 17 * MS);
}

/* Also of who wakes while his cap is used up. */
static void sjf_capped_learns(struct kunit *test)
{
	int i;

	lhv_sched_pool_set_slots(&w->pool, 1, w->now);
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_sjf, w->now);
	w->vm[0].attrs.cap = 100;
	w->vm[0].cap_refill = w->now;
	for (i = 0; i < 10; i++) {
		want(0);
		while (w->vcpu[0].burst < 30 * MS)
			pass(MS / 10);
		enough(0);
		pass(MS / 10);
	}
	w->vm[0].attrs.cap = 0;
	w->vm[1].attrs.length = 20 * MS;
	want(2);
	want(0);
	want(1);
	enough(2);
	KUNIT_EXPECT_EQ(test, w->vcpu[1].state, LHV_SCHED_RUNNING);
}

/* Of two that wake at one moment, each finds somebody weaker. */
static void two_wake(struct kunit *test)
{
	struct lhv_sched_attrs attrs = w->vm[0].attrs;
	int i;

	attrs.priority = 90;
	for (i = 1; i < 3; i++) {
		w->vm[i].attrs = attrs;
		w->vm[i].attrs.cap = 100;
	}
	lhv_sched_pool_set_slots(&w->pool, 2, w->now);
	w->pool.quantum = 1000 * MS;
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_prio, w->now);
	for (i = 1; i < 3; i++)
		want(i);
	pass(5 * MS);
	want(0);			/* on a slot of theirs: both have used up their caps */
	KUNIT_EXPECT_EQ(test, w->vcpu[1].state, LHV_SCHED_PARKED);
	KUNIT_EXPECT_EQ(test, w->vcpu[2].state, LHV_SCHED_PARKED);
	while (w->vcpu[1].state == LHV_SCHED_PARKED)
		pass(MS / 10);
	pass(0);
	KUNIT_EXPECT_EQ(test, w->vcpu[1].state, LHV_SCHED_RUNNING);
	KUNIT_EXPECT_EQ(test, w->vcpu[2].state, LHV_SCHED_RUNNING);
	KUNIT_EXPECT_EQ(test, w->vcpu[0].state, LHV_SCHED_WAITING);
}

/* A cap cuts a job into pieces, and the pieces are not jobs. */
static void sjf_capped(struct kunit *test)
{
	int i;

	lhv_sched_pool_set_slots(&w->pool, 1, w->now);
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_sjf, w->now);
	for (i = 0; i < 8; i++) {	/* learned: 40 ms */
		want(0);
		pass(40 * MS);
		enough(0);
		pass(MS);
	}
	w->vm[0].attrs.cap = 250;
	w->vm[0].cap_refill = w->now;
	want(0);
	while (w->vcpu[0].burst < 12 * MS)
		pass(MS / 10);
	while (w->vcpu[0].state != LHV_SCHED_PARKED)
		pass(MS / 10);
	want(1);			/* a guess of 5 ms, which is less than what is left of 40 */
	want(2);
	while (w->vcpu[0].state == LHV_SCHED_PARKED)
		pass(MS / 10);
	enough(1);
	KUNIT_EXPECT_EQ(test, w->vcpu[2].state, LHV_SCHED_RUNNING);
}

/* One that gets in never has not answered at once. */
static void no_answer(struct kunit *test)
{
	struct lhv_sched_figures *fig = kunit_kzalloc(test, sizeof(*fig), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, fig);
	lhv_sched_pool_set_slots(&w->pool, 1, w->now);
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_fcfs, w->now);
	want(0);
	want(1);
	pass(7 * MS);
	lhv_sched_figures(&w->vm[1], w->now, fig);
	KUNIT_EXPECT_EQ(test, fig->response, 7 * MS);
	enough(0);
	pass(7 * MS);
	lhv_sched_figures(&w->vm[1], w->now, fig);
	KUNIT_EXPECT_EQ(test, fig->response, 7 * MS);
}

static void percentiles(struct kunit *test)
{
	struct lhv_sched_figures *fig = &w->vm[0].fig;
	u64 p50, p99;
	int i;

	KUNIT_EXPECT_EQ(test, lhv_sched_percentile(fig->latency, 990), 0);
	w->pool.nr_slots = 1;
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_fcfs, w->now);
	/* vCPU 1 holds the slot; 0 waits for 1 to 100 us. */
	for (i = 1; i <= 100; i++) {
		want(1);
		want(0);
		pass(i * LHV_SCHED_US);
		enough(1);
		enough(0);
	}
	p50 = lhv_sched_percentile(fig->latency, 500);
	p99 = lhv_sched_percentile(fig->latency, 990);
	KUNIT_EXPECT_GE(test, p50, 43 * LHV_SCHED_US);
	KUNIT_EXPECT_LE(test, p50, 57 * LHV_SCHED_US);
	KUNIT_EXPECT_GE(test, p99, 86 * LHV_SCHED_US);
	KUNIT_EXPECT_LE(test, p99, 112 * LHV_SCHED_US);
}

static struct kunit_case sched_cases[] = {
	KUNIT_CASE(invariants),
	KUNIT_CASE(nobody_starves),
	KUNIT_CASE(changes),
	KUNIT_CASE(cap),
	KUNIT_CASE(edf_order),
	KUNIT_CASE(edf_admission),
	KUNIT_CASE(edf_late_vcpu),
	KUNIT_CASE(edf_grown_vm),
	KUNIT_CASE(idled),
	KUNIT_CASE(each_waker_finds_one),
	KUNIT_CASE(each_waker_challenges_one),
	KUNIT_CASE(edf_keeps_promises),
	KUNIT_CASE(edf_debt),
	KUNIT_CASE(edf_counts_misses),
	KUNIT_CASE(edf_random),
	KUNIT_CASE(edf_looks_in_time),
	KUNIT_CASE(edf_slot_taken),
	KUNIT_CASE(edf_pieces),
	KUNIT_CASE(edf_hybrid),
	KUNIT_CASE(edf_status),
	KUNIT_CASE(foreign_policy),
	KUNIT_CASE(set_often),
	KUNIT_CASE(edf_set_often),
	KUNIT_CASE(set_order),
	KUNIT_CASE(set_heavier),
	KUNIT_CASE(set_siblings),
	KUNIT_CASE(edf_shorter_period),
	KUNIT_CASE(sjf_capped_learns),
	KUNIT_CASE(two_wake),
	KUNIT_CASE(sjf_capped),
	KUNIT_CASE(no_answer),
	KUNIT_CASE(edf_blames_nobody),
	KUNIT_CASE(gang_skew),
	KUNIT_CASE(gang_gaps),
	KUNIT_CASE(gang_weights),
	KUNIT_CASE(credit_wakes),
	KUNIT_CASE(prio_ages),
	KUNIT_CASE(owed),
	KUNIT_CASE(edf_repays),
	KUNIT_CASE(edf_hybrid_rest),
	KUNIT_CASE(wraps),
	KUNIT_CASE(starved_vm),
	KUNIT_CASE(percentiles),
	{}
};

static struct kunit_suite sched_suite = {
	.name = "lhv_sched",
	.init = sched_init,
	.test_cases = sched_cases,
};

kunit_test_suite(sched_suite);
