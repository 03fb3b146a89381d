// SPDX-License-Identifier: GPL-2.0
/* KUnit: what edf promises, on the world of sched_test.c. */
#include <kunit/test.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/string.h>

#include "sched_world.h"

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

/* Nor is a budget had anew by setting attributes often, at others' expense. */
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

/* A change of VM 0's reservation, which is next to nothing, each ms: it competes for the rest. */
static void set_hybrid(u32 weight, int step)
{
	struct lhv_sched_attrs attrs = w->vm[0].attrs;

	attrs.weight = weight;
	attrs.period = 1000 * MS;
	attrs.budget = MS / 10 + (step & 1);
	attrs.hybrid = true;
	lhv_sched_vm_set(&w->vm[0], &attrs, w->now);
}

/* However often: it has its weight's part, be it one vCPU or be it three that take turns. */
static void edf_set_hybrid(struct kunit *test)
{
	u64 start, ran;
	int turns, step, i = 0;

	lhv_sched_pool_set_slots(&w->pool, 1, w->now);
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_edf, w->now);
	want(1);
	for (turns = 0; turns < 2; turns++) {
		want(0);
		ran = w->vm[0].fig.run;
		start = w->now;
		for (step = 0; step < 10000; step++) {
			if (turns && !(step % 20)) {
				enough(i);
				i = (i + VMS) % VCPUS;
			}
			set_hybrid(1, step);
			want(i);
			pass(MS);
		}
		/* One part in 101. */
		KUNIT_EXPECT_LE_MSG(test, (w->vm[0].fig.run - ran) * 100, w->now - start, "%d",
				    turns);
	}
}

/* And of its vCPUs each has a half of that. */
static void edf_set_siblings(struct kunit *test)
{
	int step;

	lhv_sched_pool_set_slots(&w->pool, 1, w->now);
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_edf, w->now);
	want(0);
	want(1);
	want(VMS);
	for (step = 0; step < 4000; step++) {
		set_hybrid(LHV_SCHED_WEIGHT, step);
		pass(MS);
	}
	KUNIT_EXPECT_GE(test, w->vcpu[0].burst, 900 * MS);
	KUNIT_EXPECT_GE(test, w->vcpu[VMS].burst, 900 * MS);
	KUNIT_EXPECT_GE(test, w->vcpu[1].burst, 1900 * MS);
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

/* What went by before a change is judged by the reservation that there was. */
static void edf_old_period(struct kunit *test)
{
	static const struct {
		u64 period, then, misses;
	} cases[] = {
		{ 10 * MS, 100 * MS, 3 }, { 20 * MS, MS, 1 }, { 10 * MS, 0, 3 }, { 40 * MS, MS, 0 },
	};
	struct lhv_sched_attrs attrs;
	int i;

	lhv_sched_pool_set_slots(&w->pool, 1, w->now);
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_edf, w->now);
	want(0);			/* and it does not give its slot back */
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		reserve(i + 1, cases[i].period, cases[i].period / 5);
		want(i + 1);
	}
	w->now += 35 * MS;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		attrs = w->vm[i + 1].attrs;
		attrs.period = cases[i].then;
		attrs.budget = cases[i].then / 5;
		lhv_sched_vm_set(&w->vm[i + 1], &attrs, w->now);
		KUNIT_EXPECT_EQ_MSG(test, w->vm[i + 1].fig.misses, cases[i].misses, "%d", i);
	}
}

/* Who has now one reservation, now another has no more than their mean, and others have theirs. */
static void edf_alternates(struct kunit *test)
{
	static const struct {
		u32 period[2], budget[2], each;		/* in 0.1 ms */
		u32 least, most;			/* per cent */
	} cases[] = {
		{ { 1000, 10 }, { 500, 5 }, 505, 40, 51 }, { { 1000, 100 }, { 100, 50 }, 10, 28, 31 },
	};
	struct lhv_sched_attrs attrs;
	u64 start, ran;
	int i, k, step;

	lhv_sched_pool_set_slots(&w->pool, 1, w->now);
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_edf, w->now);
	for (i = 0; i < 2; i++)
		reserve(i, 200 * MS, 100 * MS);
	for (i = 0; i < 3; i++)
		want(i);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		attrs = w->vm[0].attrs;
		start = w->now;
		ran = w->vm[0].fig.run;
		for (step = 0; step < 40000; step++) {
			k = step / cases[i].each & 1;
			attrs.period = cases[i].period[k] * (MS / 10);
			attrs.budget = cases[i].budget[k] * (MS / 10);
			if (!(step % cases[i].each))
				lhv_sched_vm_set(&w->vm[0], &attrs, w->now);
			pass(MS / 10);
		}
		ran = w->vm[0].fig.run - ran;
		KUNIT_EXPECT_LE_MSG(test, ran * 100, (w->now - start) * cases[i].most, "%d", i);
		KUNIT_EXPECT_GE_MSG(test, ran * 100, (w->now - start) * cases[i].least, "%d", i);
		KUNIT_EXPECT_EQ(test, w->vm[1].fig.misses, 0);
	}
}

static void change(u64 period, u64 budget)
{
	struct lhv_sched_attrs attrs = w->vm[0].attrs;

	attrs.period = period;
	attrs.budget = budget;
	lhv_sched_vm_set(&w->vm[0], &attrs, w->now);
}

/* Nor has he more whose time is not charged yet when it is changed, or who has none in between. */
static void edf_forgives_nothing(struct kunit *test)
{
	struct lhv_sched_vcpu *v = &w->vcpu[0];
	u64 start, ran, owed;
	int how, round, i;

	lhv_sched_pool_set_slots(&w->pool, 1, w->now);
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_edf, w->now);
	reserve(1, 200 * MS, 160 * MS);
	want(0);
	want(1);
	for (how = 0; how < 2; how++) {
		start = w->now;
		ran = w->vm[0].fig.run;
		for (round = 0; round < 300; round++) {
			change(100 * MS, 10 * MS);
			pass(MS / 10);
			owed = v->state == LHV_SCHED_RUNNING ? 9 * MS : 0;
			w->now += owed;
			if (how)
				change(0, 0);
			change(MS, MS / 10);
			lhv_sched_charge(v, owed, w->now);
			for (i = 0; i < 11; i++)
				pass(MS / 10);
		}
		ran = w->vm[0].fig.run - ran;
		KUNIT_EXPECT_LE_MSG(test, ran * 100, (w->now - start) * 15, "%d", how);
		KUNIT_EXPECT_GE_MSG(test, ran * 100, (w->now - start) * 8, "%d", how);
		KUNIT_EXPECT_EQ(test, w->vm[1].fig.misses, 0);
	}
}

/* What was taken from the budget before it was charged is not taken again when it is. */
static void edf_charges_once(struct kunit *test)
{
	struct lhv_sched_vcpu *v = &w->vcpu[0];

	lhv_sched_pool_set_slots(&w->pool, 1, w->now);
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_edf, w->now);
	reserve(0, 100 * MS, 10 * MS);
	want(0);
	w->now += 4 * MS;
	change(100 * MS, 11 * MS);
	KUNIT_ASSERT_EQ(test, v->state, LHV_SCHED_RUNNING);
	KUNIT_EXPECT_EQ(test, lhv_sched_left(v, w->now), 6 * MS);
	lhv_sched_charge(v, 4 * MS, w->now);
	KUNIT_EXPECT_EQ(test, lhv_sched_left(v, w->now), 6 * MS);
	/* And what comes then is. */
	w->now += MS;
	lhv_sched_charge(v, MS, w->now);
	KUNIT_EXPECT_EQ(test, lhv_sched_left(v, w->now), 5 * MS);
}

/* Until when it waits that has used its budget up, or will have. */
static u64 changed(u64 period, u64 budget)
{
	u64 begun = w->now;

	change(period, budget);
	while (period && w->vcpu[0].state == LHV_SCHED_RUNNING)
		pass(MS / 10);
	return w->vcpu[0].until - begun;
}

/* When the period ends in which its length is changed. */
static void edf_changed_period(struct kunit *test)
{
	lhv_sched_pool_set_slots(&w->pool, 1, w->now);
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_edf, w->now);
	reserve(0, 100 * MS, 50 * MS);
	want(0);
	pass(10 * MS);
	/* 5 ms too much, and what it has now: it was due that in 11 ms. */
	KUNIT_EXPECT_EQ(test, changed(MS, MS / 2) / MS, 11);
	/* As much and the 9 ms that it gets at most before it is parked, but no longer than a new one. */
	changed(10 * MS, 9 * MS);
	KUNIT_EXPECT_EQ(test, changed(10000 * MS, MS) / MS, 10000);
	/* Between two reservations it had none: it owes the 5 ms all the same, and is due them in ten times that. */
	changed(0, 0);
	KUNIT_EXPECT_EQ(test, changed(10 * MS, MS) / MS, 52);
}

/* The same of one that others have kept from it: it has 60 ms of 100 before it, of which 75 are left. */
static void edf_changed_waiting(struct kunit *test)
{
	static const struct {
		u32 period, budget, lasts;		/* in 0.1 ms */
	} cases[] = {
		/* The same and more: at its old deadline, unless one that came now would have an earlier one. */
		{ 1000, 600, 750 }, { 1000, 900, 750 }, { 2000, 1200, 750 }, { 500, 350, 500 },
		{ 500, 300, 500 }, { 720, 648, 666 },
		/* Less: later, by as much, but at the old one if it loses budget by it. */
		{ 2000, 1000, 900 }, { 10000, 1000, 4500 }, { 100000, 500, 70000 },
		{ 1000, 500, 750 }, { 1100, 594, 822 }, { 500, 200, 500 },
	};
	u64 lasts;
	int i;

	lhv_sched_pool_set_slots(&w->pool, 1, w->now);
	for (i = VMS; i < VCPUS; i += VMS)
		lhv_sched_vcpu_del(&w->vcpu[i], w->now);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		lhv_sched_pool_set_policy(&w->pool, &lhv_sched_edf, w->now);
		change(100 * MS, 60 * MS);
		want(1);		/* and it does not give its slot back */
		want(0);
		w->now += 25 * MS;
		change(cases[i].period * (MS / 10), cases[i].budget * (MS / 10));
		lasts = w->vcpu[0].key - w->now;
		KUNIT_EXPECT_EQ_MSG(test, div_u64(lasts, MS / 10), cases[i].lasts, "%d", i);
		enough(0);
		enough(1);
	}
}

/* What VM 0 ran in 4 s, in thousandths, that has one of two reservations (in 0.01 ms) by turns. */
static u64 ran_by_turns(const u32 period[2], const u32 budget[2], u64 each)
{
	const u64 begun = w->now, ran = w->vm[0].fig.run, unit = MS / 100;
	u64 next = begun;
	int turn = 0;

	while (w->now < begun + 4000 * MS) {
		if (w->now >= next) {
			change(period[turn & 1] * unit, budget[turn & 1] * unit);
			turn++;
			next += each;
		}
		pass(MS / 20);
	}
	return div64_u64((w->vm[0].fig.run - ran) * 1000, w->now - begun);
}

/* A promise is not put off with each change: neither while others are first, nor when 20 us of it are left. */
static void edf_put_off(struct kunit *test)
{
	static const struct {
		u32 period[2], budget[2];
		u64 each;
		u32 least, most;			/* in thousandths */
	} cases[] = {
		{ { 500, 500 }, { 120, 119 }, MS / 2, 236, 241 },
		{ { 1000, 1000 }, { 240, 200 }, 2 * MS, 199, 241 },
		{ { 1000, 1000 }, { 200, 240 }, 2 * MS, 199, 241 },
		{ { 500, 2000 }, { 120, 480 }, 5 * MS, 220, 241 },
		{ { 400, 400 }, { 31, 32 }, MS / 10, 75, 81 },
		{ { 400, 500 }, { 32, 40 }, MS / 10, 76, 82 },
	};
	u64 ran;
	int i;

	lhv_sched_pool_set_slots(&w->pool, 1, w->now);
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_edf, w->now);
	reserve(0, 100 * MS, MS);
	reserve(1, 7 * MS, 76 * 7 * MS / 100);
	want(0);
	want(1);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		ran = ran_by_turns(cases[i].period, cases[i].budget, cases[i].each);
		KUNIT_EXPECT_GE_MSG(test, ran, cases[i].least, "%d", i);
		KUNIT_EXPECT_LE_MSG(test, ran, cases[i].most, "%d", i);
		KUNIT_EXPECT_EQ(test, w->vm[0].fig.misses, 0);
		KUNIT_EXPECT_EQ(test, w->vm[1].fig.misses, 0);
	}
}

/* Who had its budget and is lowered for a moment waits as long as if it had not been. */
static void edf_lowered(struct kunit *test)
{
	static const u64 low[] = { 100 * MS, 1000 * MS, 10 * MS };
	struct lhv_sched_vcpu *v = &w->vcpu[0];
	u64 begun, ran;
	int i;

	lhv_sched_pool_set_slots(&w->pool, 1, w->now);
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_edf, w->now);
	reserve(0, 100 * MS, 30 * MS);
	reserve(1, 200 * MS, 140 * MS);
	want(0);
	want(1);
	for (i = 0; i < ARRAY_SIZE(low); i++) {
		begun = w->now;
		ran = w->vm[0].fig.run;
		while (w->now < begun + 4000 * MS) {
			pass(MS / 10);
			if (v->state != LHV_SCHED_PARKED)
				continue;
			change(low[i], low[i] / 50);
			pass(MS / 10);
			change(100 * MS, 30 * MS);
		}
		ran = w->vm[0].fig.run - ran;
		KUNIT_EXPECT_LE_MSG(test, ran * 100, (w->now - begun) * 31, "%d", i);
		KUNIT_EXPECT_EQ(test, w->vm[1].fig.misses, 0);
	}
}

/*
 * Who had no reservation for a while, or was held back by its own cap, did not wait for others: it is not
 * owed what it had before it. Nor is it kept from a period that is over when it gets a longer one.
 */
static void edf_not_owed(struct kunit *test)
{
	struct lhv_sched_attrs attrs;
	int how;

	lhv_sched_pool_set_slots(&w->pool, 1, w->now);
	reserve(0, 100 * MS, 50 * MS);
	for (how = 0; how < 3; how++) {
		lhv_sched_pool_set_policy(&w->pool, &lhv_sched_edf, w->now);
		attrs = w->vm[0].attrs;
		if (how == 1) {
			attrs.cap = 1;
			lhv_sched_vm_set(&w->vm[0], &attrs, w->now);
			want(0);
			pass(MS);
			KUNIT_ASSERT_EQ(test, w->vcpu[0].state, LHV_SCHED_PARKED);
		}
		want(1);			/* and it does not give its slot back */
		want(0);
		if (!how)
			change(0, 0);
		w->now += (how == 2 ? 150 : 60) * MS;
		attrs.cap = 0;
		attrs.budget += LHV_SCHED_US;
		lhv_sched_vm_set(&w->vm[0], &attrs, w->now);
		KUNIT_ASSERT_EQ(test, w->vcpu[0].state, LHV_SCHED_WAITING);
		KUNIT_EXPECT_EQ_MSG(test, w->vcpu[0].key, w->now + 100 * MS, "%d", how);
		enough(0);
		enough(1);
	}
}

/* The same reservation, set again, changes nothing. */
static void edf_set_again(struct kunit *test)
{
	u64 key, left;

	lhv_sched_pool_set_slots(&w->pool, 1, w->now);
	lhv_sched_pool_set_policy(&w->pool, &lhv_sched_edf, w->now);
	reserve(0, 100 * MS, 50 * MS);
	reserve(1, 50 * MS, 20 * MS);
	want(0);
	want(1);
	pass(0);
	pass(3 * MS);
	/* One waits, and has more left than its share of the period. */
	KUNIT_ASSERT_EQ(test, w->vcpu[0].state, LHV_SCHED_WAITING);
	key = w->vcpu[0].key;
	change(100 * MS, 50 * MS);
	KUNIT_EXPECT_EQ(test, w->vcpu[0].key, key);
	enough(1);
	pass(3 * MS);
	left = lhv_sched_left(&w->vcpu[0], w->now);
	change(100 * MS, 50 * MS);
	KUNIT_EXPECT_EQ(test, w->vcpu[0].key, key);
	KUNIT_EXPECT_EQ(test, lhv_sched_left(&w->vcpu[0], w->now), left);
	KUNIT_EXPECT_EQ(test, left, 47 * MS);
}

static struct kunit_case edf_cases[] = {
	KUNIT_CASE(edf_order),
	KUNIT_CASE(edf_admission),
	KUNIT_CASE(edf_late_vcpu),
	KUNIT_CASE(edf_grown_vm),
	KUNIT_CASE(edf_keeps_promises),
	KUNIT_CASE(edf_debt),
	KUNIT_CASE(edf_counts_misses),
	KUNIT_CASE(edf_random),
	KUNIT_CASE(edf_looks_in_time),
	KUNIT_CASE(edf_slot_taken),
	KUNIT_CASE(edf_pieces),
	KUNIT_CASE(edf_hybrid),
	KUNIT_CASE(edf_status),
	KUNIT_CASE(edf_set_often),
	KUNIT_CASE(edf_set_hybrid),
	KUNIT_CASE(edf_set_siblings),
	KUNIT_CASE(edf_shorter_period),
	KUNIT_CASE(edf_old_period),
	KUNIT_CASE(edf_alternates),
	KUNIT_CASE(edf_forgives_nothing),
	KUNIT_CASE(edf_charges_once),
	KUNIT_CASE(edf_changed_period),
	KUNIT_CASE(edf_changed_waiting),
	KUNIT_CASE(edf_put_off),
	KUNIT_CASE(edf_lowered),
	KUNIT_CASE(edf_not_owed),
	KUNIT_CASE(edf_set_again),
	KUNIT_CASE(edf_blames_nobody),
	KUNIT_CASE(edf_repays),
	KUNIT_CASE(edf_hybrid_rest),
	{}
};

static struct kunit_suite edf_suite = {
	.name = "lhv_sched_edf",
	.init = world_init,
	.test_cases = edf_cases,
};

kunit_test_suite(edf_suite);
