// SPDX-License-Identifier: GPL-2.0
/*
 * What each policy promises, measured by what the guests did.
 *
 * The lab's machine emulates all its CPUs in one thread and its clock is the host's: what a guest does in
 * a slice there depends on what else the host does. So where work is compared (measure_*) the lab
 * runs with --icount: one CPU, and an instruction is a nanosecond.
 */
#include <unistd.h>

#include "sched.h"

#define SLACK_PERCENT	2	/* under emulation */

static bool within(double is, double want, double percent)
{
	return is > want * (1 - percent / 100) && is < want * (1 + percent / 100);
}

/* What each did in @ms, from a moment at which all run. */
static void measure(struct crew *c, int n, unsigned int ms, double *work)
{
	uint64_t before[64];
	int i;

	sleep_ms(100);
	for (i = 0; i < n; i++)
		before[i] = crew_work(&c[i]);
	sleep_ms(ms);
	for (i = 0; i < n; i++)
		work[i] = crew_work(&c[i]) - before[i];
}

TEST(measure_shares, .timeout = 300)
{
	struct crew c[3];
	double work[3], sum;
	int i;

	sched_setup("credit", 1);
	for (i = 0; i < 3; i++) {
		crew_start(&c[i], 1, g_spin);
		CHECK_EQ(sched_set(c[i].id, LHV_A_SCHED_WEIGHT, 100 << i, 0, 0), 0);
	}
	measure(c, 3, 1000, work);
	sum = work[0] + work[1] + work[2];
	test_note("shares %.2f %.2f %.2f %%", 100 * work[0] / sum, 100 * work[1] / sum,
		  100 * work[2] / sum);
	for (i = 0; i < 3; i++)
		CHECK(within(work[i] / sum, (1 << i) / 7.0, SLACK_PERCENT));
	for (i = 0; i < 3; i++)
		crew_end(&c[i]);
}

/* Weights are a VM's, whatever it consists of. */
TEST(measure_by_vm, .timeout = 300)
{
	struct crew c[2];
	double work[2];

	sched_setup("credit", 1);
	crew_start(&c[0], 3, g_spin);
	crew_start(&c[1], 1, g_spin);
	measure(c, 2, 700, work);
	test_note("CPU time %llu and %llu ms", (unsigned long long)
		  sched_get(c[0].id, LHV_A_SCHED_RUN_NS) / MS, (unsigned long long)
		  sched_get(c[1].id, LHV_A_SCHED_RUN_NS) / MS);
	test_note("three vCPUs %.2f %%, one %.2f %%", 100 * work[0] / (work[0] + work[1]),
		  100 * work[1] / (work[0] + work[1]));
	CHECK(within(work[0] / (work[0] + work[1]), .5, SLACK_PERCENT));
	crew_end(&c[0]);
	crew_end(&c[1]);
}

static void fairness(const char *policy, int n, unsigned int ms, double least)
{
	static struct crew c[64];
	double work[64], sum = 0, squares = 0;
	int i;

	sched_setup(policy, 1);
	for (i = 0; i < n; i++)
		crew_start(&c[i], 1, g_spin);
	measure(c, n, ms, work);
	for (i = 0; i < n; i++) {
		sum += work[i];
		squares += work[i] * work[i];
	}
	test_note("%s: Jain's index of %d vCPUs on one slot: %.5f", policy, n,
		  sum * sum / n / squares);
	CHECK(sum * sum / n / squares >= least);
	for (i = 0; i < n; i++)
		crew_end(&c[i]);
}

TEST(measure_fair_64, .timeout = 300)
{
	fairness("credit", 64, 2000, .999);
}

TEST(measure_rr_16, .timeout = 300)
{
	fairness("rr", 16, 1600, .99);
}

/* What a VM's figures came to, from *@t on; then that is how long it was. Percentiles are of all. */
static void figures_since(const struct crew *c, const uint64_t *before, uint64_t *fig, uint64_t *t)
{
	int i;

	sched_figures(c->id, fig);
	*t = now_ns() - *t;
	for (i = 0; i < LHV_A_SCHED_P50_NS; i++)
		fig[i] -= before[i];
}

/* Who always wants to run is on a CPU, waits or is held back. */
static void adds_up(const char *who, const uint64_t *fig, uint64_t t)
{
	double run = fig[LHV_A_SCHED_RUN_NS], wait = fig[LHV_A_SCHED_WAIT_NS],
	       throttled = fig[LHV_A_SCHED_THROTTLED_NS];

	test_note("%s: %.2f %% run, %.2f %% wait, %.2f %% throttled: %.2f %%", who, 100 * run / t,
		  100 * wait / t, 100 * throttled / t, 100 * (run + wait + throttled) / t);
	CHECK(within(run + wait + throttled, t, SLACK_PERCENT));
}

TEST(measure_cap, .timeout = 300)
{
	uint64_t before[2][FIGURES] = { 0 }, fig[2][FIGURES], t[2];
	struct crew c[2];
	double work[2], run;
	int i;

	sched_setup("credit", 1);
	for (i = 0; i < 2; i++)
		crew_start(&c[i], 1, g_spin);
	CHECK_EQ(sched_set(c[0].id, LHV_A_SCHED_CAP, 250, 0, 0), 0);
	sleep_ms(200);
	for (i = 0; i < 2; i++) {
		t[i] = now_ns();
		sched_figures(c[i].id, before[i]);
	}
	measure(c, 2, 1000, work);
	for (i = 0; i < 2; i++)
		figures_since(&c[i], before[i], fig[i], &t[i]);
	run = fig[0][LHV_A_SCHED_RUN_NS];
	test_note("capped at 25 %%: got %.2f %% of a CPU; %.2f %% of the work",
		  100 * run / t[0], 100 * work[0] / (work[0] + work[1]));
	CHECK(within(run / t[0], .25, 1));
	CHECK(within(work[0] / (work[0] + work[1]), .25, 2));
	adds_up("capped", fig[0], t[0]);
	adds_up("the other", fig[1], t[1]);
	CHECK(fig[0][LHV_A_SCHED_THROTTLED_NS] > t[0] / 2);
	CHECK_EQ(fig[1][LHV_A_SCHED_THROTTLED_NS], 0);
	/* And without it again. */
	CHECK_EQ(sched_set(c[0].id, LHV_A_SCHED_CAP, 0, 0, 0), 0);
	measure(c, 2, 500, work);
	CHECK(within(work[0] / work[1], 1, 5));
	crew_end(&c[0]);
	crew_end(&c[1]);
}

/* What it waits for a slot, or for its cap, is stolen time. */
TEST(measure_steal, .timeout = 300)
{
	uint64_t before[FIGURES] = { 0 }, fig[FIGURES], away, stolen;
	struct crew c[2];

	sched_setup("rr", 1);
	crew_start(&c[0], 1, g_stolen);
	while (!crew_work(&c[0]))
		sleep_ms(1);
	sched_figures(c[0].id, before);
	stolen = crew_work(&c[0]);
	crew_start(&c[1], 1, g_spin);
	sleep_ms(500);
	CHECK_EQ(sched_set(c[0].id, LHV_A_SCHED_CAP, 250, 0, 0), 0);
	sleep_ms(500);
	sched_figures(c[0].id, fig);
	stolen = crew_work(&c[0]) - stolen;
	away = fig[LHV_A_SCHED_WAIT_NS] + fig[LHV_A_SCHED_THROTTLED_NS] -
	       before[LHV_A_SCHED_WAIT_NS] - before[LHV_A_SCHED_THROTTLED_NS];
	test_note("away for %.1f ms, of which %.1f ms were throttled: %.1f ms stolen", away / 1e6,
		  fig[LHV_A_SCHED_THROTTLED_NS] / 1e6, stolen / 1e6);
	CHECK(fig[LHV_A_SCHED_THROTTLED_NS] > 100 * MS);
	/* The wait that has not ended is not told yet. */
	CHECK(stolen > away - 25 * MS && stolen < away + 5 * MS);
	crew_end(&c[0]);
	crew_end(&c[1]);
}

/*
 * Beside one that spins, the other has each wake-up answered when the slice of that one ends: all
 * figures are known.
 */
TEST(measure_figures, .timeout = 300)
{
	enum { SPINS, NAPS };
	uint64_t before[2][FIGURES] = { 0 }, fig[2][FIGURES], t[2], naps;
	struct crew c[2];
	double wait;
	int i;

	sched_setup("rr", 1);
	crew_start(&c[SPINS], 1, g_spin);
	while (!crew_work(&c[SPINS]))
		sleep_ms(1);
	crew_make(&c[NAPS], machine(VM_IRQCHIP), 1, g_nap);
	crew_go(&c[NAPS]);
	sleep_ms(100);
	for (i = 0; i < 2; i++) {
		t[i] = now_ns();
		sched_figures(c[i].id, before[i]);
	}
	naps = crew_work(&c[NAPS]);
	sleep_ms(1000);
	naps = crew_work(&c[NAPS]) - naps;
	for (i = 0; i < 2; i++)
		figures_since(&c[i], before[i], fig[i], &t[i]);

	adds_up("spins", fig[SPINS], t[SPINS]);
	CHECK_EQ(fig[SPINS][LHV_A_SCHED_WAKEUPS], 0);
	CHECK_EQ(fig[SPINS][LHV_A_SCHED_BURSTS], 0);
	CHECK_EQ(fig[SPINS][LHV_A_SCHED_TURNAROUND_NS], 0);

	test_note("%llu naps: %llu wake-ups, %llu slices, %llu bursts", (unsigned long long)naps,
		  (unsigned long long)fig[NAPS][LHV_A_SCHED_WAKEUPS],
		  (unsigned long long)fig[NAPS][LHV_A_SCHED_SLICES],
		  (unsigned long long)fig[NAPS][LHV_A_SCHED_BURSTS]);
	CHECK(naps > 80);
	CHECK(within(fig[NAPS][LHV_A_SCHED_WAKEUPS], naps, SLACK_PERCENT));
	CHECK(within(fig[NAPS][LHV_A_SCHED_SLICES], naps, SLACK_PERCENT));
	CHECK(within(fig[NAPS][LHV_A_SCHED_BURSTS], naps, SLACK_PERCENT));
	CHECK(within(fig[SPINS][LHV_A_SCHED_SLICES], naps, SLACK_PERCENT));

	wait = (double)fig[NAPS][LHV_A_SCHED_WAIT_NS] / naps;
	test_note("each waits for %.3f ms: response %.3f, turnaround %.3f, median %.3f, p99 %.3f",
		  wait / MS, (double)fig[NAPS][LHV_A_SCHED_RESPONSE_NS] / naps / MS,
		  (double)fig[NAPS][LHV_A_SCHED_TURNAROUND_NS] / naps / MS,
		  (double)fig[NAPS][LHV_A_SCHED_P50_NS] / MS,
		  (double)fig[NAPS][LHV_A_SCHED_P99_NS] / MS);
	CHECK(within(wait, 10 * MS, 5));
	CHECK(within((double)fig[NAPS][LHV_A_SCHED_RESPONSE_NS] / naps, wait, SLACK_PERCENT));
	CHECK(within(fig[NAPS][LHV_A_SCHED_TURNAROUND_NS],
		     fig[NAPS][LHV_A_SCHED_RESPONSE_NS] + fig[NAPS][LHV_A_SCHED_RUN_NS],
		     SLACK_PERCENT));
	/* One that is not answered yet is in the response alone. */
	CHECK(fig[NAPS][LHV_A_SCHED_TURNAROUND_NS] + 10 * MS > fig[NAPS][LHV_A_SCHED_RESPONSE_NS]);
	CHECK(within(fig[NAPS][LHV_A_SCHED_P50_NS], wait, 12.5));
	CHECK(within(fig[NAPS][LHV_A_SCHED_P99_NS], wait, 12.5));
	for (i = 0; i < 2; i++) {
		CHECK_EQ(fig[i][LHV_A_SCHED_THROTTLED_NS], 0);
		CHECK_EQ(fig[i][LHV_A_SCHED_MISSES], 0);
		crew_end(&c[i]);
	}
}

/* Changed while they run. */
TEST(measure_quantum, .timeout = 300)
{
	static const unsigned int quantum[] = { 2, 20, 2 };
	uint64_t slices[2], t;
	struct crew c[2];
	unsigned int i, k;
	double each;

	sched_setup("rr", 1);
	for (i = 0; i < 2; i++)
		crew_start(&c[i], 1, g_spin);
	for (k = 0; k < 3; k++) {
		CHECK_EQ(pool_set_quantum("default", quantum[k] * MS), 0);
		sleep_ms(100);
		t = now_ns();
		for (i = 0; i < 2; i++)
			slices[i] = sched_get(c[i].id, LHV_A_SCHED_SLICES);
		/* Some fifty slices of each: one more or less is 2 %. */
		sleep_ms(100 * quantum[k]);
		t = now_ns() - t;
		for (i = 0; i < 2; i++) {
			slices[i] = sched_get(c[i].id, LHV_A_SCHED_SLICES) - slices[i];
			each = (double)t / 2 / slices[i] / MS;
			test_note("quantum %u ms: a slice of each %.2f ms", quantum[k], each);
			CHECK(within(each, quantum[k], 5));
		}
	}
	for (i = 0; i < 2; i++)
		crew_end(&c[i]);
}

TEST(measure_edf, .timeout = 300)
{
	static const struct { uint64_t period, budget; } want[] = {
		{ 20 * MS, 8 * MS }, { 50 * MS, 25 * MS },
	};
	uint64_t misses[2];
	struct crew c[3];
	double work[3], sum;
	int i;

	sched_setup("edf", 1);
	for (i = 0; i < 3; i++)
		crew_start(&c[i], 1, g_spin);
	for (i = 0; i < 2; i++)
		CHECK_EQ(sched_set(c[i].id, LHV_A_SCHED_PERIOD, want[i].period,
				   LHV_A_SCHED_BUDGET, want[i].budget), 0);
	/* The third would make it 1.1 slots. */
	REFUSED(nl, sched_set(c[2].id, LHV_A_SCHED_PERIOD, 100 * MS, LHV_A_SCHED_BUDGET, 20 * MS),
		EBUSY, "would take 1.10 of the pool's 1 slots");
	sleep_ms(200);
	for (i = 0; i < 2; i++)
		misses[i] = sched_get(c[i].id, LHV_A_SCHED_MISSES);
	measure(c, 3, 1000, work);
	sum = work[0] + work[1] + work[2];
	test_note("reserved 40 and 50 %%, the rest for the third: %.2f %.2f %.2f %%",
		  100 * work[0] / sum, 100 * work[1] / sum, 100 * work[2] / sum);
	for (i = 0; i < 2; i++) {
		/* Static: that, and no more. */
		CHECK(within(work[i] / sum, (double)want[i].budget / want[i].period,
			     SLACK_PERCENT));
		test_note("missed: %llu", (unsigned long long)
			  (sched_get(c[i].id, LHV_A_SCHED_MISSES) - misses[i]));
		CHECK_EQ(sched_get(c[i].id, LHV_A_SCHED_MISSES), misses[i]);
	}
	/* What is refused leaves no trace, and another policy does not ask. */
	CHECK_EQ(sched_get(c[2].id, LHV_A_SCHED_PERIOD), 0);
	CHECK_EQ(pool_set("default", "rr", -1, NULL), 0);
	CHECK_EQ(sched_set(c[2].id, LHV_A_SCHED_PERIOD, 100 * MS, LHV_A_SCHED_BUDGET, 20 * MS), 0);
	REFUSED(nl, pool_set("default", "edf", -1, NULL), EBUSY, "1.10");
	for (i = 0; i < 3; i++)
		crew_end(&c[i]);
}

/* The same as the guests see it: nobody is away for longer than from the end of one budget to the start of the next. */
TEST(measure_absences, .timeout = 300)
{
	static const uint64_t period[] = { 20 * MS, 50 * MS }, budget[] = { 8 * MS, 25 * MS };
	uint64_t from[2], n, away, most;
	const struct absence *log;
	struct crew c[3];
	int i;

	sched_setup("edf", 1);
	for (i = 0; i < 3; i++)
		crew_start(&c[i], 1, i < 2 ? g_watch : g_spin);
	for (i = 0; i < 2; i++)
		CHECK_EQ(sched_set(c[i].id, LHV_A_SCHED_PERIOD, period[i], LHV_A_SCHED_BUDGET,
				   budget[i]), 0);
	sleep_ms(200);
	for (i = 0; i < 2; i++)
		from[i] = crew_work(&c[i]);
	sleep_ms(1000);
	for (i = 0; i < 2; i++) {
		log = (const struct absence *)(c[i].vm->ram + GUEST_SHARED);
		most = 0;
		/* The first may be of the time before. */
		for (n = from[i] + 1; n < crew_work(&c[i]); n++) {
			away = log[n].to - log[n].from;
			most = away > most ? away : most;
		}
		test_note("%.0f ms in %.0f: away %llu times, for %.2f ms at most",
			  budget[i] / (double)MS, period[i] / (double)MS,
			  (unsigned long long)(n - from[i]), most / (double)MS);
		/* Once a period at least, but for the last one; by 1 ms more as timers are late. */
		CHECK(n - from[i] >= 1000 * MS / period[i] - 2 && n < ABSENCES);
		CHECK(most <= 2 * (period[i] - budget[i]) + MS);
	}
	for (i = 0; i < 3; i++)
		crew_end(&c[i]);
}

/* A reservation and a part of what is left, by weight; a reservation only; a weight only. */
TEST(measure_hybrid, .timeout = 300)
{
	enum { HYBRID, STATIC, DYNAMIC };
	static const double want[] = { .4 + .1, .2, .3 };
	struct crew c[3];
	double work[3], sum;
	int i;

	sched_setup("edf", 1);
	for (i = 0; i < 3; i++)
		crew_start(&c[i], 1, g_spin);
	CHECK_EQ(sched_set(c[HYBRID].id, LHV_A_SCHED_PERIOD, 20 * MS,
			   LHV_A_SCHED_BUDGET, 8 * MS), 0);
	CHECK_EQ(sched_set(c[HYBRID].id, LHV_A_SCHED_HYBRID, 1, 0, 0), 0);
	CHECK_EQ(sched_get(c[HYBRID].id, LHV_A_SCHED_HYBRID), 1);
	CHECK_EQ(sched_set(c[STATIC].id, LHV_A_SCHED_PERIOD, 20 * MS,
			   LHV_A_SCHED_BUDGET, 4 * MS), 0);
	CHECK_EQ(sched_set(c[DYNAMIC].id, LHV_A_SCHED_WEIGHT, 300, 0, 0), 0);
	measure(c, 3, 2000, work);
	sum = work[HYBRID] + work[STATIC] + work[DYNAMIC];
	test_note("40 %% and a part of the rest %.2f %%, 20 %% %.2f %%, three parts %.2f %%",
		  100 * work[HYBRID] / sum, 100 * work[STATIC] / sum, 100 * work[DYNAMIC] / sum);
	for (i = 0; i < 3; i++) {
		CHECK(within(work[i] / sum, want[i], SLACK_PERCENT));
		CHECK_EQ(sched_get(c[i].id, LHV_A_SCHED_MISSES), 0);
	}
	/* Without it, live: the rest is the third's. */
	CHECK_EQ(sched_set(c[HYBRID].id, LHV_A_SCHED_HYBRID, 0, 0, 0), 0);
	measure(c, 3, 1000, work);
	sum = work[HYBRID] + work[STATIC] + work[DYNAMIC];
	CHECK(within(work[HYBRID] / sum, .4, SLACK_PERCENT));
	CHECK(within(work[DYNAMIC] / sum, .4, SLACK_PERCENT));
	for (i = 0; i < 3; i++)
		crew_end(&c[i]);
}

TEST(measure_prio, .timeout = 300)
{
	struct crew c[3];
	double work[3], sum;
	int i;

	sched_setup("prio", 1);
	for (i = 0; i < 3; i++) {
		crew_start(&c[i], 1, g_spin);
		CHECK_EQ(sched_set(c[i].id, LHV_A_SCHED_PRIORITY, 90 - 40 * i, 0, 0), 0);
	}
	/* 80 levels of 20 ms */
	measure(c, 3, 2500, work);
	sum = work[0] + work[1] + work[2];
	test_note("priorities 90, 50, 10: %.2f %.2f %.2f %%", 100 * work[0] / sum,
		  100 * work[1] / sum, 100 * work[2] / sum);
	CHECK(work[0] / sum > .95);
	CHECK(work[1] > work[2] && work[2] > 0);	/* ageing */
	for (i = 0; i < 3; i++)
		crew_end(&c[i]);
}

/* Jobs that end: in which order? */

struct job {
	struct vm *vm;
	uint64_t id;
	pthread_t thread;
	uint64_t ended;
};

static void *job_thread(void *arg)
{
	struct job *j = arg;

	vcpu_done(&j->vm->vcpus[0]);
	j->ended = now_ns();
	return NULL;
}

/* Three jobs behind one that holds the slot; order[i] is who ends as number i. */
static void jobs(const char *policy, const uint64_t *length, const int *order)
{
	struct crew first;
	struct job j[3];
	int i;

	sched_setup(policy, 1);
	crew_start(&first, 1, g_spin);
	while (!crew_work(&first))
		sleep_ms(1);
	for (i = 0; i < 3; i++) {
		j[i].vm = machine(0);
		j[i].id = vm_id(j[i].vm->fd);
		*(uint64_t *)guest_ptr(j[i].vm, &g_length) = length[i] * 100000;
		machine_vcpu(j[i].vm, g_job);
		CHECK_EQ(sched_set(j[i].id, LHV_A_SCHED_LENGTH, length[i] * MS, 0, 0), 0);
		CHECK(!pthread_create(&j[i].thread, NULL, job_thread, &j[i]));
		while (pool_get("default", LHV_A_POOL_WAITING) != (uint64_t)i + 1)
			sleep_ms(1);
	}
	crew_end(&first);
	for (i = 0; i < 3; i++)
		CHECK(!pthread_join(j[i].thread, NULL));
	for (i = 1; i < 3; i++)
		CHECK(j[order[i]].ended > j[order[i - 1]].ended);
}

TEST(fcfs_order, .timeout = 300)
{
	jobs("fcfs", (const uint64_t[]){ 30, 20, 10 }, (const int[]){ 0, 1, 2 });
}

TEST(sjf_order, .timeout = 300)
{
	jobs("sjf", (const uint64_t[]){ 3000, 2000, 1000 }, (const int[]){ 2, 1, 0 });
}

/*
 * Lock-holder preemption: three VMs, each with as many vCPUs as there are CPUs, and a spinlock in
 * each. How often each got its lock, with the host's scheduler alone and with each gang's vCPUs
 * together. Seen with four CPUs.
 */
static double locks(const char *policy, int n)
{
	struct crew c[3];
	double work[3];
	int i;

	sched_setup(policy, n);
	for (i = 0; i < 3; i++)
		crew_start(&c[i], n, g_lock);
	measure(c, 3, 3000, work);
	test_note("%s: %.0f, %.0f and %.0f critical sections of %d vCPUs each on %d CPUs", policy,
		  work[0], work[1], work[2], n, n);
	for (i = 0; i < 3; i++)
		crew_end(&c[i]);
	return work[0] + work[1] + work[2];
}

TEST(gang_locks, .timeout = 600)
{
	int n = sysconf(_SC_NPROCESSORS_ONLN);
	double gang, none;

	if (n < 2)
		test_skip("needs two CPUs");
	gang = locks("gang", n < 4 ? n : 4);
	none = locks("none", n < 4 ? n : 4);
	test_note("gang/none: %.2f", gang / none);
	CHECK(gang > 0 && none > 0);
	/* With two of them the emulator's PAUSE, which hands the turn on, hides it. */
	CHECK(n < 4 || gang > none);
}

/*
 * How much of the time in which one of a VM's two vCPUs ran did the other run, too? By what they saw
 * themselves.
 */

static bool runs(const struct absence *log, uint64_t n, uint64_t t)
{
	uint64_t i;

	for (i = 0; i < n; i++)
		if (t >= log[i].from && t < log[i].to)
			return false;
	return true;
}

static void sum_up(const struct crew *c, uint64_t *any, uint64_t *both)
{
	const struct absence *log[WATCHERS];
	uint64_t n[WATCHERS], from = 0, to = UINT64_MAX, t;
	unsigned int i;
	bool a, b;

	for (i = 0; i < WATCHERS; i++) {
		log[i] = (struct absence *)(c->vm->ram + GUEST_SHARED) + i * ABSENCES;
		n[i] = ((volatile uint64_t *)guest_ptr(c->vm, g_work))[i];
		CHECK(n[i] > 4 && n[i] < ABSENCES);
		from = log[i][0].from > from ? log[i][0].from : from;
		to = log[i][n[i] - 1].to < to ? log[i][n[i] - 1].to : to;
	}
	CHECK(from < to);
	for (t = from; t < to; t += MS / 10) {
		a = runs(log[0], n[0], t);
		b = runs(log[1], n[1], t);
		*any += a || b;
		*both += a && b;
	}
}

static double together(const char *policy)
{
	uint64_t any = 0, both = 0;
	struct crew c[3];
	int i;

	sched_setup(policy, 2);
	CHECK_EQ(pool_set_quantum("default", 100 * MS), 0);
	for (i = 0; i < 3; i++)
		crew_start(&c[i], 2, g_watch);
	sleep_ms(4000);
	for (i = 0; i < 3; i++) {
		sum_up(&c[i], &any, &both);
		crew_end(&c[i]);
	}
	test_note("%s: siblings ran together for %.2f %% of the time", policy, 100.0 * both / any);
	return (double)both / any;
}

TEST(gang_together, .timeout = 600)
{
	if (sysconf(_SC_NPROCESSORS_ONLN) != 2)
		test_skip("needs two CPUs");
	together("rr");
	together("credit");
	CHECK(together("gang") >= .95);
}
