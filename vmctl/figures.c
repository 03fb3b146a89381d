// SPDX-License-Identifier: GPL-2.0
/* What a VM got of its pool over an interval, and how a person reads it. See figures.h. */
#include <stdio.h>
#include <string.h>

#include "figures.h"

#define NS_PER_SEC	1000000000.0

static double mean(uint64_t sum, uint64_t n)
{
	return n ? (double)sum / n : -1;
}

/* What goes on may be counted at once and, when it is over, as a little less. */
static void subtract(uint64_t *now, uint64_t old)
{
	*now = *now > old ? *now - old : 0;
}

/**
 * figures_percent() - a part of an interval
 * @part: ns
 * @ns: the interval
 *
 * Return: percent; of CPU time, of one CPU.
 */
double figures_percent(uint64_t part, uint64_t ns)
{
	return ns ? part * 100.0 / ns : 0;
}

/**
 * figures_per_second() - how often in a second
 * @count: how often
 * @ns: the interval
 */
double figures_per_second(uint64_t count, uint64_t ns)
{
	return ns ? count * NS_PER_SEC / ns : 0;
}

/**
 * figures_share() - a VM's part of what its pool gave
 * @run: its CPU time
 * @pool_run: that of all VMs of the pool
 *
 * Return: percent, or negative where nobody ran.
 */
double figures_share(uint64_t run, uint64_t pool_run)
{
	return pool_run ? run * 100.0 / pool_run : -1;
}

/**
 * figures_of() - what happened between two looks
 * @f: the result
 * @now: the later look
 * @old: the earlier one, or NULL for none
 * @ns: how long ago that was; without one, how old the VM is
 */
void figures_of(struct figures *f, const struct sched_info *now, const struct sched_info *old,
		uint64_t ns)
{
	struct sched_info *s = &f->s;

	*s = *now;
	f->ns = ns;
	if (old) {
		subtract(&s->run, old->run);
		subtract(&s->wait, old->wait);
		subtract(&s->throttled, old->throttled);
		subtract(&s->slices, old->slices);
		subtract(&s->wakeups, old->wakeups);
		subtract(&s->response, old->response);
		subtract(&s->bursts, old->bursts);
		subtract(&s->turnaround, old->turnaround);
		subtract(&s->misses, old->misses);
	}
	f->utilisation = figures_percent(s->run, ns);
	f->throughput = figures_per_second(s->bursts, ns);
	f->response = mean(s->response, s->wakeups);
	f->turnaround = mean(s->turnaround, s->bursts);
}

/**
 * figures_time() - two or three digits and a unit
 * @ns: the time; negative: unknown
 * @buf: for the text
 */
const char *figures_time(double ns, char buf[16])
{
	static const char * const units[] = { "ns", "us", "ms", "s" };
	int u = 0;

	if (ns < 0) {
		strcpy(buf, "-");
		return buf;
	}
	/* As it will be rounded: 999.6 us are 1.0 ms. */
	while (ns >= 999.5 && u < 3) {
		ns /= 1000;
		u++;
	}
	snprintf(buf, 16, ns < 9.95 && u ? "%.1f%s" : "%.0f%s", ns, units[u]);
	return buf;
}

/**
 * figures_bar() - a share as a bar
 * @percent: the share
 * @buf: for the text
 */
const char *figures_bar(double percent, char buf[FIGURES_BAR + 1])
{
	int n = percent <= 0 ? 0 : percent >= 100 ? FIGURES_BAR : percent * FIGURES_BAR / 100 + .5;

	memset(buf, '#', n);
	memset(buf + n, '.', FIGURES_BAR - n);
	buf[FIGURES_BAR] = '\0';
	return buf;
}

static void put_percent(char buf[16], double percent)
{
	if (percent < 0)
		strcpy(buf, "-");
	else
		snprintf(buf, 16, "%.1f%%", percent);
}

/**
 * figures_settings() - what a VM may have, and has
 * @vm: the VM, or NULL for the heads
 * @f: its figures
 * @share: of what its pool gave, in percent; negative: unknown
 * @line: for the text
 */
void figures_settings(const struct vm_info *vm, const struct figures *f, double share,
		      char line[FIGURES_LINE])
{
	char cap[16] = "-", promise[40] = "-", length[16] = "-", bar[FIGURES_BAR + 1];
	char part[16], used[16], a[16], b[16];
	const struct sched_info *s = &f->s;

	if (!vm) {
		snprintf(line, FIGURES_LINE, "%6s %4s %7s %12s %6s %-*s %6s %7s %8s", "WEIGHT",
			 "PRIO", "CAP", "RESERVED", "LENGTH", FIGURES_BAR, "SHARE", "", "UTIL",
			 "BURSTS/S");
		return;
	}
	if (s->cap)
		put_percent(cap, s->cap / 10.0);
	if (s->period)
		snprintf(promise, sizeof(promise), "%s/%s%s", figures_time(s->budget, a),
			 figures_time(s->period, b), s->hybrid ? "+" : "");
	if (s->length)
		figures_time(s->length, length);
	put_percent(part, share);
	put_percent(used, f->utilisation);
	snprintf(line, FIGURES_LINE, "%6u %4u %7s %12s %6s %s %6s %7s %8.1f", s->weight,
		 s->priority, cap, promise, length, figures_bar(share, bar), part, used,
		 f->throughput);
}

/**
 * figures_times() - how long a VM waited and for what
 * @vm: the VM, or NULL for the heads
 * @f: its figures
 * @line: for the text
 */
void figures_times(const struct vm_info *vm, const struct figures *f, char line[FIGURES_LINE])
{
	char wait[16], throttled[16], response[16], turnaround[16], p50[16], p99[16];
	const struct sched_info *s = &f->s;

	if (!vm) {
		snprintf(line, FIGURES_LINE, "%8s %9s %10s %8s %8s %8s %10s %8s", "WAITED",
			 "THROTTLED", "SLICES", "RESPONSE", "P50", "P99", "TURNAROUND", "MISSES");
		return;
	}
	snprintf(line, FIGURES_LINE, "%8s %9s %10llu %8s %8s %8s %10s %8llu",
		 figures_time(s->wait, wait), figures_time(s->throttled, throttled),
		 (unsigned long long)s->slices, figures_time(f->response, response),
		 figures_time(s->p50, p50), figures_time(s->p99, p99),
		 figures_time(f->turnaround, turnaround), (unsigned long long)s->misses);
}
