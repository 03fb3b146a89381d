// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit: a pool's logic and the policies on a world made of numbers. What the simulator
 * (selftests/simulate) checks at length is checked here in the kernel's own arithmetic,
 * lists and trees. edf: sched_edf_test.c.
 */
#include <kunit/test.h>

#include "sched/fair.h"
#include "sched_world.h"

static const struct lhv_sched_ops * const policies[] = {
	&lhv_sched_fcfs, &lhv_sched_sjf, &lhv_sched_prio, &lhv_sched_rr, &lhv_sched_credit,
	&lhv_sched_gang, &lhv_sched_edf,
};

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

/* Who of the first two is next, if they ran for so long before, and the first one comes first? */
static int next_of(const struct lhv_sched_ops *ops, u64 first_ran, u64 second_ran)
{
	const u64 ran[] = { first_ran, second_ran };
	int i, next;

	lhv_sched_pool_set_policy(&w->pool, ops, w->now);
	for (i = 0; i < 2; i++) {
		want(i);
		pass(ran[i]);
		enough(i);
	}
	want(2);
	for (i = 0; i < 2; i++)
		want(i);
	enough(2);
	next = w->vcpu[1].state == LHV_SCHED_RUNNING;
	for (i = 0; i < 2; i++)
		enough(i);
	return next;
}

/* Of two that are as far behind, but for a grain, the one that came first; beyond that, who is further. */
static void fair_grain(struct kunit *test)
{
	static const struct lhv_sched_ops * const fair[] = { &lhv_sched_credit, &lhv_sched_edf };
	const u64 grain = LHV_FAIR_GRAIN;
	int i;

	w->pool.nr_slots = 1;
	for (i = 0; i < ARRAY_SIZE(fair); i++) {
		const char *name = fair[i]->name;

		KUNIT_EXPECT_EQ_MSG(test, next_of(fair[i], 2 * grain - 1, grain), 0, "%s", name);
		KUNIT_EXPECT_EQ_MSG(test, next_of(fair[i], grain, 2 * grain - 1), 0, "%s", name);
		KUNIT_EXPECT_EQ_MSG(test, next_of(fair[i], 2 * grain, grain - 1), 1, "%s", name);
		KUNIT_EXPECT_EQ_MSG(test, next_of(fair[i], 4 * grain - 1, 2 * grain), 1, "%s", name);
		KUNIT_EXPECT_EQ_MSG(test, next_of(fair[i], grain, 2 * grain + 1), 0, "%s", name);
	}
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

/* Who is lowered gives way to somebody stronger, though the first who waits is a weaker one that aged. */
static void set_lower(struct kunit *test)
{
	struct lhv_sched_attrs attrs = w->vm[0].attrs;

	lhv_sched_pool_set_slots(&w->pool, 1, w->now);
	w->pool.quantum = 1000 * MS;
	w->vm[0].attrs.priority = 60;
	w->vm[1].attrs.priority = 40;
	w->vm[2].attrs.priority = 55;
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_prio, w->now);
	want(0);
	want(1);
	pass(400 * MS);			/* 20 levels */
	want(2);
	pass(0);
	KUNIT_ASSERT_EQ(test, w->vcpu[0].state, LHV_SCHED_RUNNING);
	/* Nobody is stronger than 55. */
	attrs.priority = 55;
	lhv_sched_vm_set(&w->vm[0], &attrs, w->now);
	pass(0);
	KUNIT_EXPECT_EQ(test, w->vcpu[0].state, LHV_SCHED_RUNNING);
	attrs.priority = 54;
	lhv_sched_vm_set(&w->vm[0], &attrs, w->now);
	pass(0);
	/* The slot is the first's all the same, and then the stronger one's. */
	KUNIT_EXPECT_EQ(test, w->vcpu[1].state, LHV_SCHED_RUNNING);
	enough(1);
	KUNIT_EXPECT_EQ(test, w->vcpu[2].state, LHV_SCHED_RUNNING);
}

/* It has three slots: as many are given back as it takes until the stronger one has one, too, and no more. */
static void set_lower_some(struct kunit *test)
{
	struct lhv_sched_attrs attrs = w->vm[0].attrs;
	int i, told = 0;

	w->pool.quantum = 1000 * MS;
	w->vm[0].attrs.priority = 60;
	w->vm[1].attrs.priority = 40;
	w->vm[2].attrs.priority = 55;
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_prio, w->now);
	for (i = 0; i < VCPUS; i += VMS)
		want(i);
	want(1);
	pass(400 * MS);			/* 20 levels */
	want(2);
	attrs.priority = 54;
	lhv_sched_vm_set(&w->vm[0], &attrs, w->now);
	for (i = 0; i < VCPUS; i += VMS)
		told += w->vcpu[i].resched;
	KUNIT_EXPECT_EQ(test, told, 2);
	pass(0);
	KUNIT_EXPECT_EQ(test, w->vcpu[1].state, LHV_SCHED_RUNNING);
	KUNIT_EXPECT_EQ(test, w->vcpu[2].state, LHV_SCHED_RUNNING);
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

/* A histogram whose count would wrap is halved, and goes on in proportion. */
static void full_histogram(struct kunit *test)
{
	u32 *hist = w->vm[0].fig.latency;
	const int high = 60;
	const u32 max = ~0U;
	u64 p999;

	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_fcfs, w->now);
	hist[0] = max - 2;
	hist[high] = max / 4;
	hist[high + 1] = 1;
	p999 = lhv_sched_percentile(hist, 999);
	want(0);
	enough(0);
	KUNIT_EXPECT_EQ(test, hist[0], max - 1);
	want(0);
	enough(0);
	KUNIT_EXPECT_EQ(test, hist[0], max / 2);
	KUNIT_EXPECT_EQ(test, hist[high], max / 4 / 2);
	KUNIT_EXPECT_EQ(test, hist[high + 1], 0);
	KUNIT_EXPECT_EQ(test, lhv_sched_percentile(hist, 500), 0);
	KUNIT_EXPECT_EQ(test, lhv_sched_percentile(hist, 999), p999);
	want(0);
	KUNIT_EXPECT_EQ(test, hist[0], max / 2 + 1);
}

static struct kunit_case sched_cases[] = {
	KUNIT_CASE(invariants),
	KUNIT_CASE(nobody_starves),
	KUNIT_CASE(changes),
	KUNIT_CASE(cap),
	KUNIT_CASE(idled),
	KUNIT_CASE(each_waker_finds_one),
	KUNIT_CASE(each_waker_challenges_one),
	KUNIT_CASE(foreign_policy),
	KUNIT_CASE(set_often),
	KUNIT_CASE(set_order),
	KUNIT_CASE(set_heavier),
	KUNIT_CASE(set_siblings),
	KUNIT_CASE(set_lower),
	KUNIT_CASE(set_lower_some),
	KUNIT_CASE(sjf_capped_learns),
	KUNIT_CASE(two_wake),
	KUNIT_CASE(sjf_capped),
	KUNIT_CASE(no_answer),
	KUNIT_CASE(gang_skew),
	KUNIT_CASE(gang_gaps),
	KUNIT_CASE(gang_weights),
	KUNIT_CASE(credit_wakes),
	KUNIT_CASE(fair_grain),
	KUNIT_CASE(prio_ages),
	KUNIT_CASE(owed),
	KUNIT_CASE(wraps),
	KUNIT_CASE(starved_vm),
	KUNIT_CASE(percentiles),
	KUNIT_CASE(full_histogram),
	{}
};

static struct kunit_suite sched_suite = {
	.name = "lhv_sched",
	.init = world_init,
	.test_cases = sched_cases,
};

kunit_test_suite(sched_suite);
