// SPDX-License-Identifier: GPL-2.0
/*
 * make simulate: each policy on a set of workloads, as tables in Markdown on standard
 * output. Exits 1 when an invariant or one of the targets of Documentation/scheduling.md
 * is not met. With a folder as its argument, plots.gp finds its data there. With --sets N LOAD:
 * N random sets of reservations, that take LOAD percent, on each of 2 to 16 slots; no more.
 */
#include <stdarg.h>
#include <stdlib.h>

#include "sim.h"

#define MS	LHV_SCHED_MS
#define SEC	(1000 * MS)
#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))

static const struct lhv_sched_ops * const policies[] = {
	&lhv_sched_fcfs, &lhv_sched_sjf, &lhv_sched_prio, &lhv_sched_rr, &lhv_sched_credit,
	&lhv_sched_gang, &lhv_sched_edf,
};

static int failures;
static const char *data_dir;

/* A line of a plot's data. */
static void __attribute__((format(printf, 2, 3))) plot(const char *name, const char *fmt, ...)
{
	char path[512];
	va_list args;
	FILE *f;

	if (!data_dir)
		return;
	snprintf(path, sizeof(path), "%s/%s.dat", data_dir, name);
	f = fopen(path, "a");
	if (!f) {
		perror(path);
		exit(1);
	}
	va_start(args, fmt);
	vfprintf(f, fmt, args);
	va_end(args);
	fclose(f);
}

static void expect(bool ok, const char *policy, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "simulate: %s: %s\n", policy, what);
	failures++;
}

struct sums {
	u64 run, wait, response, wakeups, turnaround, bursts, misses, p99;
};

static struct sums sum_up(struct sim *s)
{
	static u32 hist[LHV_SCHED_HIST];
	struct sums t = { 0 };
	unsigned int i, b;

	memset(hist, 0, sizeof(hist));
	for (i = 0; i < s->nr_vms; i++) {
		struct lhv_sched_figures is, *f = &is;

		lhv_sched_figures(&s->vms[i].s, s->now, f);
		t.run += f->run;
		t.wait += f->wait;
		t.response += f->response;
		t.wakeups += f->wakeups;
		t.turnaround += f->turnaround;
		t.bursts += f->bursts;
		t.misses += f->misses;
		for (b = 0; b < LHV_SCHED_HIST; b++)
			hist[b] += f->latency[b];
	}
	t.p99 = lhv_sched_percentile(hist, 990);
	return t;
}

static double ms(u64 ns, u64 n)
{
	return n ? ns / 1e6 / n : 0;
}

static void head_of(const char *title, const char *what)
{
	printf("\n### %s\n\n", title);
	printf("| %s | response ms | p99 ms | wait ms | turnaround ms | bursts/s | utilisation | Jain |\n",
	       what);
	printf("|---|---|---|---|---|---|---|---|\n");
}

/* What there is to be had, in the columns of line(). */
static void __attribute__((format(printf, 1, 2))) textbook(const char *fmt, ...)
{
	va_list args;

	printf("| *the best there is* | ");
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf(" |\n");
}

static void line(struct sim *s, const char *name, u64 time)
{
	struct sums t = sum_up(s);

	printf("| %s | %.3f | %.2f | %.2f | %.2f | %.0f | %.1f %% | %.4f |\n", name,
	       ms(t.response, t.wakeups), t.p99 / 1e6, ms(t.wait, t.wakeups),
	       ms(t.turnaround, t.bursts), t.bursts / (time / 1e9),
	       100.0 * s->busy / ((double)time * s->pool.nr_slots), lhv_sched_jain(&s->pool) / 1e6);
}

/* Run all policies on what @setup makes; @check looks at each. */
static void compare(const char *title, void (*setup)(struct sim *s), u64 time,
		    void (*check)(struct sim *s, const char *name))
{
	struct sim s;
	unsigned int i, step;

	head_of(title, "policy");
	for (i = 0; i < COUNT(policies); i++) {
		setup(&s);
		if (sim_policy(&s, policies[i])) {
			sim_free(&s);
			continue;
		}
		for (step = 1; step <= 100; step++) {
			sim_run(&s, MS + time / 100 * step);
			sim_check(&s);
		}
		line(&s, policies[i]->name, time);
		if (check)
			check(&s, policies[i]->name);
		sim_free(&s);
	}
}

/* ---- jobs that come at once: what is the least mean wait? ---- */

#define JOBS	40

static u64 job_length(unsigned int i)
{
	return (1 + i * 7 % JOBS) * MS;
}

static void setup_jobs(struct sim *s)
{
	unsigned int i;

	sim_init(s, 1, JOBS);
	for (i = 0; i < JOBS; i++) {
		struct sim_vm *vm = sim_vm(s, i, 1, JOB_ONCE, job_length(i), 0);

		vm->s.attrs.length = job_length(i);
		vm->s.attrs.priority = 99 - job_length(i) / MS;
	}
}

static u64 least_turnaround(void)
{
	u64 sum = 0, i;

	/* Lengths are 1 to JOBS ms, each once; the shortest first. */
	for (i = 1; i <= JOBS; i++)
		sum += i * (JOBS - i + 1) * MS;
	return sum;
}

static void check_jobs(struct sim *s, const char *name)
{
	struct sums t = sum_up(s);

	plot("jobs", "%s %.2f %.2f\n", name, ms(t.turnaround, t.bursts), ms(least_turnaround(), JOBS));
	expect(t.bursts == JOBS, name, "all jobs come to their end");
	/* The first to come gets the slot before there is a second; that costs a little. */
	if (!strcmp(name, "sjf"))
		expect(t.turnaround <= least_turnaround() * 101 / 100 && t.turnaround >= least_turnaround(),
		       name, "the least mean turnaround");
	expect(t.turnaround >= least_turnaround(), name, "nothing is better than the optimum");
}

/* ---- jobs that come again and again, and nobody says how long they are ---- */

#define SHORT_JOBS	12

static bool declared;

static void setup_learned(struct sim *s)
{
	unsigned int i;

	sim_init(s, 1, SHORT_JOBS + 4);
	for (i = 0; i < s->nr_vms; i++) {
		u64 length = i < SHORT_JOBS ? 2 * MS : 40 * MS;
		struct sim_vm *vm = sim_vm(s, i, 1, JOB_CYCLE, length, 10 * MS);

		if (declared)
			vm->s.attrs.length = length;
	}
}

/* How a burst of a group waited, in ms: on the average. */
static double mean_wait(const struct sim *s, unsigned int from, unsigned int to)
{
	u64 wait = 0, n = 0;

	for (; from < to; from++) {
		wait += s->vms[from].s.fig.wait;
		n += s->vms[from].s.fig.wakeups;
	}
	return ms(wait, n);
}

static double learned_by[2];	/* short ones under fcfs; under sjf */

static void check_learned(struct sim *s, const char *name)
{
	unsigned int i;
	double brief = mean_wait(s, 0, SHORT_JOBS), lengthy = mean_wait(s, SHORT_JOBS, s->nr_vms);

	printf("| | wait of a short one %.2f, of a long one %.2f | | | | | | |\n", brief, lengthy);
	for (i = 0; i < s->nr_vms; i++)
		expect(s->vms[i].s.fig.bursts > 3, name, "all get on, the long ones too");
	if (!strcmp(name, "fcfs"))
		learned_by[0] = brief;
	if (strcmp(name, "sjf"))
		return;
	learned_by[1] = brief;
	/* 16 ms of waiting make up for one; then those that came before are done. */
	expect(lengthy <= 16 * (40 - 2) + SHORT_JOBS * 2 + 3 * 40, name, "who is long ages");
}

/* What sjf has learned is as good as what somebody had said. */
static void learned_lengths(void)
{
	struct sim s;

	compare("12 short jobs and 4 long, again and again, one slot, lengths learned, 20 s",
		setup_learned, 20 * SEC, check_learned);
	declared = true;
	setup_learned(&s);
	sim_policy(&s, &lhv_sched_sjf);
	sim_run(&s, MS + 20 * SEC);
	line(&s, "*sjf, lengths declared*", 20 * SEC);
	check_learned(&s, "sjf, declared");
	expect(learned_by[1] < learned_by[0] / 2 &&
	       learned_by[1] < mean_wait(&s, 0, SHORT_JOBS) * 1.1, "sjf", "lengths are learned");
	sim_free(&s);
}

/* ---- shares ---- */

static void setup_shares(struct sim *s)
{
	unsigned int i;

	sim_init(s, 1, 3);
	for (i = 0; i < 3; i++)
		sim_vm(s, i, 1, JOB_SPIN, SEC, 0)->s.attrs.weight = 100 << i;
}

static void check_shares(struct sim *s, const char *name)
{
	unsigned int i;

	printf("| | shares %.2f %% %.2f %% %.2f %% | | | | | | |\n", s->vms[0].s.fig.run / 1e7,
	       s->vms[1].s.fig.run / 1e7, s->vms[2].s.fig.run / 1e7);
	plot("shares", "%s %.2f %.2f %.2f\n", name, s->vms[0].s.fig.run / 1e7,
	     s->vms[1].s.fig.run / 1e7, s->vms[2].s.fig.run / 1e7);
	for (i = 0; i < 3 && !strcmp(name, "credit"); i++) {
		double want = (1 << i) * 1e9 / 7, is = s->vms[i].s.fig.run;

		expect(is > want * .99 && is < want * 1.01, name, "1:2:4 within 1 % over 1 s");
	}
}

/* On several slots: each VM has as many vCPUs that spin, as any of them might need. */
static void shares_of_slots(void)
{
	unsigned int i;
	struct sim s;
	u32 slots;

	printf("\n### credit, weights 100, 200, 400 on 2, 4 and 8 slots, a vCPU per slot each, 1 s\n\n");
	printf("| slots | shares | | |\n|---|---|---|---|\n");
	for (slots = 2; slots <= 8; slots *= 2) {
		sim_init(&s, slots, 3);
		for (i = 0; i < 3; i++)
			sim_vm(&s, i, slots, JOB_SPIN, SEC, 0)->s.attrs.weight = 100 << i;
		sim_policy(&s, &lhv_sched_credit);
		sim_run(&s, MS + SEC);
		sim_check(&s);
		printf("| %u |", slots);
		for (i = 0; i < 3; i++) {
			double want = (1 << i) / 7.0, is = s.vms[i].s.fig.run / 1e9 / slots;

			printf(" %.2f %% |", 100 * is);
			expect(is > want * .99 && is < want * 1.01, "credit",
			       "1:2:4 within 1 % on several slots");
		}
		printf("\n");
		sim_free(&s);
	}
	printf("| *the best there is* | 14.29 %% | 28.57 %% | 57.14 %% |\n");
}

static void setup_equal(struct sim *s)
{
	unsigned int i;

	sim_init(s, 8, 64);
	for (i = 0; i < 64; i++)
		sim_vm(s, i, 1, JOB_SPIN, SEC, 0);
}

static void check_equal(struct sim *s, const char *name)
{
	if (!strcmp(name, "credit") || !strcmp(name, "rr"))
		expect(lhv_sched_jain(&s->pool) >= 999000, name, "Jain's index of 64 is 0.999");
	if (strcmp(name, "fcfs") && strcmp(name, "sjf"))
		expect(lhv_sched_jain(&s->pool) >= 900000, name, "nobody starves");
	expect(s->busy > 8 * 10 * SEC * .999, name, "no slot is free while somebody waits");
}

/* ---- mixed: interactive ones among heavy ones ---- */

static void setup_mixed(struct sim *s)
{
	unsigned int i;

	sim_init(s, 4, 24);
	for (i = 0; i < 24; i++) {
		if (i < 6)
			sim_vm(s, i, 2, JOB_CYCLE, 200 * MS, 5 * MS);
		else if (i < 12)
			sim_vm(s, i, 1, JOB_CYCLE, 20 * MS, 60 * MS);
		else
			sim_vm(s, i, 1, JOB_CYCLE, MS / 2, 20 * MS)->s.attrs.priority = 80;
	}
}

static void check_mixed(struct sim *s, const char *name)
{
	unsigned int i;

	for (i = 0; i < s->nr_vms; i++)
		expect(s->vms[i].s.fig.run, name, "everybody ran");
}

/* ---- spinlocks ---- */

static void setup_locks(struct sim *s)
{
	unsigned int i, j;

	sim_init(s, 4, 9);
	for (i = 0; i < 3; i++) {
		sim_vm(s, i, 4, JOB_LOCK, 100000, 10000);
		/* Siblings are not in step by chance, */
		for (j = 0; j < 4; j++)
			s->vms[i].vcpus[j].start = sim_random(s, 30 * MS);
	}
	/* nor stay so: others come and go. */
	for (; i < 9; i++)
		sim_vm(s, i, 1, JOB_CYCLE, MS / 3, 20 * MS);
	s->watch_gangs = true;
}

/* One that spins keeps a slot: the gang has its turn without it. */
static void setup_gap(struct sim *s)
{
	sim_init(s, 4, 2);
	sim_vm(s, 0, 4, JOB_LOCK, 100000, 10000);
	sim_vm(s, 1, 1, JOB_SPIN, SEC, 0);
	s->watch_gangs = true;
}

static void check_gap(struct sim *s, const char *name)
{
	const struct sim_vm *vm = &s->vms[0];

	printf("| | together %.1f %% | | | | | | |\n", vm->any ? 100.0 * vm->both / vm->any : 0);
	if (!strcmp(name, "gang"))
		expect(vm->any > SEC && vm->both >= vm->any / 100 * 95, name,
		       "a gang runs when all of it has slots");
}

static u64 undisturbed;

static void check_locks(struct sim *s, const char *name)
{
	u64 work = 0, both = 0, any = 0;
	unsigned int i, j;

	for (i = 0; i < 3; i++) {
		for (j = 0; j < s->vms[i].n; j++)
			work += s->vms[i].vcpus[j].work;
		both += s->vms[i].both;
		any += s->vms[i].any;
	}
	printf("| | %llu critical sections, together %.1f %% | | | | | | |\n", work, 100.0 * both / any);
	plot("locks", "%s %llu\n", name, work);
	/* The first: each gang has the machine to itself until it ends, which it never does. */
	if (!strcmp(name, "fcfs"))
		undisturbed = work;
	if (!strcmp(name, "gang")) {
		expect(both >= any * .95, name, "siblings run together 95 % of the time");
		expect(work >= undisturbed * 9 / 10, name, "nobody spins for who has no slot");
	}
}

/* ---- who is owed what: one after the other, many or one, in turns ---- */

static bool has_shares(const struct lhv_sched_ops *ops)
{
	return ops == &lhv_sched_credit || ops == &lhv_sched_gang || ops == &lhv_sched_edf;
}

/* The night alone is nobody's debt in the morning, nor is a sleep a treasure. */
static void latecomer(const struct lhv_sched_ops *ops)
{
	struct sim s;
	u64 ran[2];
	int i;

	sim_init(&s, 1, 2);
	sim_vm(&s, 0, 1, JOB_SPIN, SEC, 0);
	sim_vm(&s, 1, 1, JOB_SPIN, SEC, 0)->vcpus[0].start = 10 * SEC;
	sim_policy(&s, ops);
	sim_run(&s, 10 * SEC);
	for (i = 0; i < 2; i++)
		ran[i] = s.vms[i].s.fig.run;
	sim_run(&s, 20 * SEC);
	for (i = 0; i < 2; i++)
		expect(s.vms[i].s.fig.run - ran[i] > 49 * SEC / 10, ops->name,
		       "who comes late gets a half, and leaves one");
	sim_free(&s);
}

/* In a VM wider than the pool as well. */
static void late_sibling(const struct lhv_sched_ops *ops)
{
	struct sim s;
	u64 ran;

	sim_init(&s, 1, 1);
	sim_vm(&s, 0, 2, JOB_SPIN, SEC, 0)->vcpus[1].start = 10 * SEC;
	sim_policy(&s, ops);
	sim_run(&s, 10 * SEC);
	ran = s.vms[0].vcpus[0].s.burst;
	sim_run(&s, 11 * SEC);
	expect(s.vms[0].vcpus[0].s.burst - ran > SEC * 4 / 10, ops->name,
	       "a sibling that wakes does not take all");
	sim_free(&s);
}

/* A VM's weight is the VM's, whether it has many vCPUs that spin or hands its work around. */
static void by_vm(const struct lhv_sched_ops *ops, unsigned int n, enum job job, u32 weight)
{
	double want = weight / (weight + 100.0), got;
	struct sim s;
	unsigned int i;

	sim_init(&s, 1, 2);
	sim_vm(&s, 0, n, job, 5 * MS, 0)->s.attrs.weight = weight;
	for (i = 1; i < n && job == JOB_TURN; i++)
		s.vms[0].vcpus[i].start = SIM_NEVER;
	sim_vm(&s, 1, 1, JOB_SPIN, SEC, 0);
	sim_policy(&s, ops);
	sim_run(&s, 10 * SEC);
	got = s.vms[0].s.fig.run / 1e10;
	printf("| %s | %u vCPUs that %s | %u | %.1f %% | %.1f %% |\n", ops->name, n,
	       job == JOB_TURN ? "take turns of 5 ms" : "spin", weight, 100 * got, 100 * want);
	/* A gang's turn is not cut short because another's vCPU wakes up: who sleeps gets less. */
	expect((got > want - .02 || (job == JOB_TURN && ops == &lhv_sched_gang)) && got < want + .02,
	       ops->name, "a VM's weight is shared by its vCPUs");
	sim_free(&s);
}

/* Several wake at once: each finds one that gives way. Far below the bound, so none may be late. */
static void bursts(void)
{
	struct sim s;
	unsigned int i;
	u64 late = 0;

	sim_init(&s, 8, 16);
	for (i = 0; i < 16; i++) {
		u64 budget = i < 8 ? 30 * MS : 5 * MS / 2, period = i < 8 ? 100 * MS : 10 * MS;
		struct sim_vm *vm = sim_vm(&s, i, 1, JOB_PERIODIC, budget, period);

		vm->s.attrs.period = period;
		vm->s.attrs.budget = budget;
	}
	sim_policy(&s, &lhv_sched_edf);
	sim_run(&s, 5 * SEC);
	for (i = 0; i < 16; i++)
		late += s.vms[i].vcpus[0].late + s.vms[i].s.fig.misses;
	expect(!late, "edf", "of many that wake at once none is late");
	sim_free(&s);
}

/* Whose turn comes by age, gets something of it, however often a stronger one wakes. */
static void aged(void)
{
	struct sim s;

	sim_init(&s, 1, 3);
	sim_vm(&s, 0, 1, JOB_SPIN, SEC, 0)->s.attrs.priority = 60;
	sim_vm(&s, 1, 1, JOB_CYCLE, MS / 200, MS / 50)->s.attrs.priority = 60;
	sim_vm(&s, 2, 1, JOB_SPIN, SEC, 0)->s.attrs.priority = 50;
	sim_policy(&s, &lhv_sched_prio);
	sim_run(&s, 10 * SEC);
	expect(s.vms[2].s.fig.run > 40 * MS, "prio", "who has waited long does not do so for nothing");
	sim_free(&s);
}

static void fairness(void)
{
	unsigned int i;
	u32 weight;

	printf("\n### A VM of several vCPUs beside one of one that spins, of weight 100, one slot, 10 s\n\n");
	printf("| policy | the VM | its weight | got | *the best there is* |\n|---|---|---|---|---|\n");
	for (i = 0; i < COUNT(policies); i++) {
		const struct lhv_sched_ops *ops = policies[i];

		if (ops == &lhv_sched_fcfs || ops == &lhv_sched_sjf)
			continue;
		latecomer(ops);
		late_sibling(ops);
		if (!has_shares(ops))
			continue;
		for (weight = 100; weight <= 300; weight += 200) {
			by_vm(ops, 4, JOB_SPIN, weight);
			by_vm(ops, 10, JOB_TURN, weight);
		}
	}
	bursts();
	aged();
}

/* ---- reservations ---- */

static unsigned int edf_load;

static void setup_periodic(struct sim *s)
{
	static const u64 period[] = { 5 * MS, 10 * MS, 20 * MS, 50 * MS };
	unsigned int i;

	sim_init(s, 1, 6);
	s->in_order = true;
	for (i = 0; i < 4; i++) {
		u64 budget = period[i] * edf_load / 400;
		struct sim_vm *vm = sim_vm(s, i, 1, JOB_PERIODIC, budget, period[i]);

		vm->s.attrs.period = period[i];
		vm->s.attrs.budget = budget;
		vm->s.attrs.priority = 80 - i;
	}
	/* And two without a promise, that would take all they can get. */
	for (; i < 6; i++)
		sim_vm(s, i, 1, JOB_SPIN, SEC, 0);
}

static u64 late_jobs(struct sim *s, u64 *jobs)
{
	u64 late = 0;
	unsigned int i;

	*jobs = 0;
	for (i = 0; i < 4; i++) {
		late += s->vms[i].vcpus[0].late;
		*jobs += s->vms[i].vcpus[0].work;
	}
	return late;
}

static void check_periodic(struct sim *s, const char *name)
{
	u64 jobs, late = late_jobs(s, &jobs);

	printf("| | %llu of %llu jobs late | | | | | | |\n", late, jobs);
	if (!strcmp(name, "edf") && edf_load <= 100) {
		expect(!late && !sum_up(s).misses, name, "no deadline is missed");
		expect(jobs > 1500, name, "jobs were done");
	}
}

/* On several slots, nine tenths of them reserved, beside two that spin. */

#define SETS	100

/* As long as promised, but for what is too little for the policy to run it. */
static struct sim_vm *reserved(struct sim *s, unsigned int i, u64 period, u64 budget, bool spins)
{
	struct sim_vm *vm = sim_vm(s, i, 1, spins ? JOB_SPIN : JOB_PERIODIC,
				   budget - 20 * LHV_SCHED_US, period);

	vm->s.attrs.period = period;
	vm->s.attrs.budget = budget;
	return vm;
}

/* One that needs nearly all of a slot, and shorter periods that would keep them all from it. */
static unsigned int one_heavy(struct sim *s, u32 slots, bool spins)
{
	u64 light = (900 * slots - 850) * (10 * MS / 1000) / slots;
	unsigned int i;

	sim_init(s, slots, slots + 3);
	s->in_order = true;
	for (i = 0; i < slots; i++)
		reserved(s, i, 10 * MS, light, spins)->s.attrs.priority = 80;
	reserved(s, i, 11 * MS, 11 * MS / 100 * 85, spins)->s.attrs.priority = 80;
	return slots + 1;
}

/*
 * Shares at random, in thousandths: together @load per slot, none above 850. False: none were found, as
 * @n is too few, or nearly.
 */
static bool draw_shares(struct sim *s, u32 slots, unsigned int load, unsigned int n,
			unsigned int *share)
{
	unsigned int i, left, tries;

	for (tries = 0; tries < 1000; tries++) {
		left = load * slots;
		for (i = 0; i < n - 1 && left; i++) {
			share[i] = 20 + sim_random(s, min(831U, 2 * left / (n - i)));
			left -= min(share[i], left);
		}
		share[n - 1] = left;
		if (i == n - 1 && left >= 20 && left <= 850)
			return true;
	}
	return false;
}

#define MOST_SLOTS	16
#define MOST_VMS	(2 * MOST_SLOTS + 2 + 2)	/* of a set, and two that spin */

static unsigned int random_set(struct sim *s, u32 slots, unsigned int load, u64 seed)
{
	static const unsigned int periods[] = { 3, 5, 7, 10, 11, 13, 20, 25, 30, 50, 100 };
	unsigned int share[MOST_VMS], n, i;

	sim_init(s, slots, MOST_VMS);
	s->random ^= seed * 0x9e3779b97f4a7c15ULL;
	do {
		n = slots + 1 + sim_random(s, slots + 2);
	} while (!draw_shares(s, slots, load, n, share));
	s->in_order = load <= 900;
	for (i = 0; i < n; i++) {
		u64 period = periods[sim_random(s, COUNT(periods))] * MS;

		reserved(s, i, period, period / 1000 * share[i], false)->vcpus[0].start =
			sim_random(s, 2) * sim_random(s, 50 * MS);
	}
	return n;
}

struct kept {
	u64 jobs, late, misses;
};

static struct kept keep(struct sim *s, unsigned int n, const struct lhv_sched_ops *ops)
{
	struct kept k = { 0 };
	unsigned int i;

	for (i = n; i < n + 2; i++)
		sim_vm(s, i, 1, JOB_SPIN, SEC, 0);
	s->nr_vms = n + 2;
	expect(!sim_policy(s, ops), ops->name, "what takes no more than the slots is admitted");
	sim_run(s, MS + 5 * SEC);
	sim_check(s);
	for (i = 0; i < n; i++) {
		k.jobs += s->vms[i].vcpus[0].work;
		k.late += s->vms[i].vcpus[0].late;
		k.misses += s->vms[i].s.fig.misses;
	}
	return k;
}

/* Always ready, each has what it was promised; what is not counted was kept. */
static void check_kept(struct sim *s, unsigned int n, struct kept k)
{
	unsigned int i;

	expect(!k.misses, "edf", "no reservation is missed");
	for (i = 0; i < n; i++) {
		const struct lhv_sched_attrs *a = &s->vms[i].s.attrs;

		expect(s->vms[i].s.fig.run >= (5 * SEC / a->period - 1) * a->budget, "edf",
		       "who always wants to run gets what it was promised");
	}
}

static void several_slots(void)
{
	unsigned int i, n, set, bad, all_bad = 0;
	struct kept k;
	struct sim s;
	u32 slots;

	printf("\n### Periodic, load 90 %% of 2, 4 and 8 slots, one job of 85 %%, beside two that spin, ");
	printf("5 s\n\n");
	printf("| policy | 2 slots | 4 slots | 8 slots |\n|---|---|---|---|\n");
	for (i = 0; i < COUNT(policies); i++) {
		printf("| %s |", policies[i]->name);
		for (slots = 2; slots <= 8; slots *= 2) {
			k = keep(&s, one_heavy(&s, slots, false), policies[i]);
			sim_free(&s);
			printf(" %llu of %llu late |", k.late, k.jobs);
			if (policies[i] != &lhv_sched_edf)
				continue;
			expect(!k.late && !k.misses && k.jobs > 1400, "edf", "of several slots none is late");
			n = one_heavy(&s, slots, true);
			check_kept(&s, n, keep(&s, n, policies[i]));
			sim_free(&s);
		}
		printf("\n");
	}
	printf("| edf, sets at random with a late job |");
	for (slots = 2; slots <= 8; slots *= 2) {
		for (set = bad = 0; set < SETS; set++) {
			n = random_set(&s, slots, 900, set + 1);
			k = keep(&s, n, &lhv_sched_edf);
			bad += k.late || k.misses;
			expect(!k.late || k.misses, "edf", "where a job is late a miss is counted");
			sim_free(&s);
		}
		printf(" %u of %u |", bad, SETS);
		all_bad += bad;
	}
	printf("\n| *the best there is* | 0 late | 0 late | 0 late |\n");
	expect(!all_bad, "edf", "all sets that take nine tenths of the slots are kept");
}

static void many_sets(unsigned int sets, unsigned int load)
{
	static const u32 slots[] = { 2, 3, 4, 8, MOST_SLOTS };
	unsigned int i, n, set, bad;
	struct kept k;
	struct sim s;

	printf("| slots | sets | with a miss |\n|---|---|---|\n");
	for (i = 0; i < COUNT(slots); i++) {
		for (set = bad = 0; set < sets; set++) {
			n = random_set(&s, slots[i], 10 * load, set + 1);
			k = keep(&s, n, &lhv_sched_edf);
			bad += k.late || k.misses;
			sim_free(&s);
		}
		printf("| %u | %u | %u |\n", slots[i], sets, bad);
	}
}

/* ---- caps ---- */

/* @cap, in thousandths, on a VM of @n vCPUs beside one that spins; a slot for each of the @n. */
static void caps(const char *title, u32 cap, unsigned int n, enum job job)
{
	double want = cap / 1000.0, got;
	unsigned int i;

	printf("\n### %s\n\n", title);
	printf("| policy | got | most overrun of a period, us | bound, us |\n|---|---|---|---|\n");
	for (i = 0; i < COUNT(policies); i++) {
		struct lhv_sched_attrs attrs;
		struct sim s;

		sim_init(&s, n, 2);
		sim_vm(&s, 0, n, job, 3 * MS, MS);
		sim_vm(&s, 1, 1, JOB_SPIN, SEC, 0);
		attrs = s.vms[0].s.attrs;
		attrs.cap = cap;
		sim_attrs(&s, &s.vms[0], &attrs);
		sim_policy(&s, policies[i]);
		sim_run(&s, MS + 100 * LHV_SCHED_CAP_PERIOD);
		sim_check(&s);
		got = s.vms[0].s.fig.run / (100.0 * LHV_SCHED_CAP_PERIOD);
		printf("| %s | %.2f %% | %.1f | %.1f |\n", policies[i]->name, 100 * got,
		       s.overrun / 1e3, sim_cap_bound(&s.vms[0]) / 1e3);
		expect(got < want * 1.01, policies[i]->name, "no more than the cap and 1 %");
		/* A gang waits until the slots suffice for all of it. */
		if (strcmp(policies[i]->name, "gang"))
			expect(got > want * .99, policies[i]->name, "no less than the cap less 1 %");
		sim_free(&s);
	}
	printf("| *the best there is* | %.2f %% | 0.0 | |\n", 100 * want);
}

/* ---- random: invariants, with everything changing ---- */

static void disturb(struct sim *s)
{
	struct sim_vm *vm = &s->vms[sim_random(s, s->nr_vms)];
	struct lhv_sched_attrs attrs = vm->s.attrs;
	char why[LHV_SCHED_WHY_MAX];

	switch (sim_random(s, 5)) {
	case 0:
		sim_policy(s, policies[sim_random(s, COUNT(policies))]);
		break;
	case 1:
		lhv_sched_pool_set_slots(&s->pool, 1 + sim_random(s, 12), s->now);
		break;
	case 2:
		attrs.cap = sim_random(s, 2) ? 0 : 100 + sim_random(s, 3000);
		break;
	case 3:
		attrs.period = (5 + sim_random(s, 20)) * MS;
		attrs.budget = attrs.period / 20;
		attrs.hybrid = sim_random(s, 2);
		break;
	default:
		attrs.weight = 1 + sim_random(s, 1000);
		attrs.priority = sim_random(s, 100);
	}
	if (!s->pool.ops->adjust || !s->pool.ops->adjust(&s->pool, &vm->s, &attrs, why))
		sim_attrs(s, vm, &attrs);
}

static void random_walk(void)
{
	static const enum job jobs[] = { JOB_SPIN, JOB_CYCLE, JOB_PERIODIC, JOB_LOCK };
	struct sim s;
	unsigned int i, j, step;
	u64 last[40] = { 0 };

	sim_init(&s, 6, 40);
	for (i = 0; i < 40; i++) {
		struct sim_vm *vm = sim_vm(&s, i, 1 + sim_random(&s, 6), jobs[i % COUNT(jobs)],
					   (1 + sim_random(&s, 30)) * MS / 4, 20 * MS);

		for (j = 0; j < vm->n; j++)
			vm->vcpus[j].start = sim_random(&s, 50 * MS);
	}
	sim_policy(&s, &lhv_sched_credit);
	for (step = 0; step < 20000; step++) {
		sim_run(&s, s.now + sim_random(&s, 5 * MS));
		disturb(&s);
		sim_run(&s, s.now);
		if (s.pool.nr_busy <= s.pool.nr_slots)
			sim_check(&s);
	}
	/* It all comes to life under each that does not let anybody starve. */
	lhv_sched_pool_set_slots(&s.pool, 6, s.now);
	for (i = 0; i < COUNT(policies); i++) {
		const char *name = policies[i]->name;

		if (!strcmp(name, "fcfs") || !strcmp(name, "sjf") || sim_policy(&s, policies[i]))
			continue;
		for (j = 0; j < 40; j++)
			last[j] = s.vms[j].s.fig.run;
		sim_run(&s, s.now + 20 * SEC);
		sim_check(&s);
		for (j = 0; j < 40; j++)
			expect(s.vms[j].s.fig.run > last[j], name, "nobody starves after the storm");
	}
	sim_free(&s);
}

/* How many are late, from a light load on; EDF alone may refuse, above 100 %. */
static void deadlines(void)
{
	unsigned int i;
	struct sim s;
	u64 jobs, late;

	for (i = 0; i < COUNT(policies); i++) {
		for (edf_load = 40; edf_load <= 120; edf_load += 5) {
			setup_periodic(&s);
			if (!sim_policy(&s, policies[i])) {
				sim_run(&s, MS + 5 * SEC);
				late = late_jobs(&s, &jobs);
				plot("deadlines", "%u %.2f\n", edf_load, jobs ? 100.0 * late / jobs : 0);
				expect(edf_load <= 100 || strcmp(policies[i]->name, "edf"), "edf",
				       "what does not fit is refused");
			} else {
				expect(edf_load > 100, policies[i]->name, "only what does not fit is refused");
			}
			sim_free(&s);
		}
		plot("deadlines", "\n\n");
	}
}

/* ---- size: from 1 CPU to 1,024, with 98 vCPUs per CPU ---- */

static void scale(void)
{
	unsigned int slots, vms, i, j, step;
	struct sim s;
	char title[100];

	for (i = 0; i < COUNT(policies); i++) {
		for (slots = 1; slots <= 1024; slots *= 4) {
			vms = slots * 25000 / 1024;
			sim_init(&s, slots, vms);
			for (j = 0; j < vms; j++)
				sim_vm(&s, j, 4, j % 2 ? JOB_CYCLE : JOB_SPIN, 5 * MS, 100 * MS);
			sim_policy(&s, policies[i]);
			for (step = 1; step <= 4; step++) {
				sim_run(&s, MS + SEC / 2 * step);
				sim_check(&s);
			}
			if (slots == 1) {
				snprintf(title, sizeof(title), "%s, 98 vCPUs per CPU, half of them spinning, 2 s",
					 policies[i]->name);
				head_of(title, "CPUs, vCPUs");
			}
			snprintf(title, sizeof(title), "%u, %u", slots, 4 * vms);
			line(&s, title, 2 * SEC);
			if (policies[i] == &lhv_sched_credit || policies[i] == &lhv_sched_edf)
				expect(lhv_sched_jain(&s.pool) >= 990000, policies[i]->name,
				       "Jain's index is 0.99 on 1 CPU as on 1,024");
			plot("scale", "%u %.4f %.3f\n", slots, lhv_sched_jain(&s.pool) / 1e6,
			     ms(sum_up(&s).response, sum_up(&s).wakeups));
			sim_free(&s);
		}
		plot("scale", "\n\n");
	}
	printf("\nIn each the fairest index is 1, the highest utilisation 100 %%.\n");
}

int main(int argc, char **argv)
{
	static const unsigned int loads[] = { 50, 90, 100 };
	char title[80];
	unsigned int i;

	if (argc == 4 && !strcmp(argv[1], "--sets")) {
		i = atoi(argv[3]);
		if (i < 50 || i > 100) {
			fprintf(stderr, "simulate: a load is 50 to 100 percent\n");
			return 2;
		}
		many_sets(atoi(argv[2]), i);
		return !!failures;
	}
	data_dir = argc > 1 ? argv[1] : NULL;
	compare("40 jobs at once on one slot, 1 to 40 ms, lengths declared", setup_jobs, SEC, check_jobs);
	textbook("%.3f | - | %.2f | %.2f | 40 | 82.0 %% | -", ms(least_turnaround(), JOBS) - 20.5,
		 ms(least_turnaround(), JOBS) - 20.5, ms(least_turnaround(), JOBS));
	learned_lengths();
	compare("Weights 100, 200, 400 on one slot, all spinning, 1 s", setup_shares, SEC, check_shares);
	textbook("shares 14.29 %% 28.57 %% 57.14 %% | - | - | - | - | 100.0 %% | 1.0000");
	shares_of_slots();
	compare("64 equal vCPUs on 8 slots, all spinning, 10 s", setup_equal, 10 * SEC, check_equal);
	textbook("- | - | 8750.00 | - | - | 100.0 %% | 1.0000");
	compare("24 VMs on 4 slots: 6 heavy, 6 bursty, 12 interactive, 20 s", setup_mixed, 20 * SEC,
		check_mixed);
	compare("3 VMs of 4 vCPUs with a spinlock each, 4 slots, 10 s", setup_locks, 10 * SEC, check_locks);
	textbook("%llu critical sections: one gang alone | - | - | - | - | 100.0 %% | -", undisturbed);
	compare("A VM of 4 vCPUs beside one that spins, 4 slots, 5 s", setup_gap, 5 * SEC, check_gap);
	for (i = 0; i < COUNT(loads); i++) {
		edf_load = loads[i];
		snprintf(title, sizeof(title), "Periodic, load %u %%, beside two that spin, one slot, 5 s",
			 edf_load);
		compare(title, setup_periodic, 5 * SEC, check_periodic);
		textbook("0 late up to a load of 100 %% | - | - | - | 370 | 100.0 %% | -");
	}
	several_slots();
	caps("A cap of 25 % of a CPU on a VM of two spinning vCPUs, two slots, 100 periods",
	     250, 2, JOB_SPIN);
	caps("A cap of 150 % on a VM of eight vCPUs, bursts of 3 ms, eight slots, 100 periods",
	     1500, 8, JOB_CYCLE);
	fairness();
	random_walk();
	deadlines();
	scale();
	if (failures)
		fprintf(stderr, "simulate: %d failed\n", failures);
	return !!failures;
}
