// SPDX-License-Identifier: GPL-2.0
/* Shares, rates and times of scheduling, and the lines that show them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "../figures.h"

#define MS	1000000ULL
#define SEC	1000000000ULL

static const struct vm_info web = {
	.id = 7, .name = "web",
	.sched = {
		.weight = 400, .cap = 2500, .priority = 50, .hybrid = 1,
		.length = 5 * MS, .period = 10 * MS, .budget = 2 * MS,
		.run = 500 * MS, .wait = 1200 * MS, .throttled = 30 * MS, .slices = 70,
		.wakeups = 40, .response = 40 * 150000, .bursts = 20, .turnaround = 20 * 12 * MS,
		.misses = 3, .p50 = 90000, .p99 = 4 * MS,
	},
};

static void time_is(double ns, const char *text)
{
	char buf[16];

	assert_string_equal(figures_time(ns, buf), text);
}

static void times(void **state)
{
	(void)state;
	time_is(-1, "-");
	time_is(0, "0ns");
	time_is(7, "7ns");
	time_is(999, "999ns");
	time_is(1000, "1.0us");
	time_is(9940, "9.9us");
	time_is(9960, "10us");
	time_is(999400, "999us");
	/* Not "1000us", which is one more than the column has. */
	time_is(999600, "1.0ms");
	time_is(1500000, "1.5ms");
	time_is(90e9, "90s");
	time_is(86400e9, "86400s");
}

static void bar_is(double percent, const char *text)
{
	char buf[FIGURES_BAR + 1];

	assert_string_equal(figures_bar(percent, buf), text);
}

static void bars(void **state)
{
	(void)state;
	bar_is(-1, "....................");
	bar_is(0, "....................");
	bar_is(2.4, "....................");
	bar_is(2.6, "#...................");
	bar_is(100 / 3.0, "#######.............");
	bar_is(200 / 3.0, "#############.......");
	bar_is(99.9, "####################");
	bar_is(100, "####################");
	bar_is(1e9, "####################");
}

static void shares(void **state)
{
	(void)state;
	assert_true(figures_share(0, 0) < 0);
	assert_float_equal(figures_share(1, 4), 25, 1e-9);
	/* Two years of 255 CPUs. */
	assert_float_equal(figures_share(UINT64_MAX / 2, UINT64_MAX), 50, 1e-9);
	assert_float_equal(figures_percent(SEC / 2, SEC), 50, 1e-9);
	assert_float_equal(figures_percent(3 * SEC, SEC), 300, 1e-9);
	assert_float_equal(figures_percent(1, 0), 0, 1e-9);
	assert_float_equal(figures_per_second(30, 2 * SEC), 15, 1e-9);
	assert_float_equal(figures_per_second(30, 0), 0, 1e-9);
}

/* Of one look: since the VM was created. Of two: what was between them. */
static void intervals(void **state)
{
	struct sched_info old = web.sched;
	struct figures f;

	(void)state;
	figures_of(&f, &web.sched, NULL, 2 * SEC);
	assert_int_equal(f.s.run, 500 * MS);
	assert_float_equal(f.utilisation, 25, 1e-9);
	assert_float_equal(f.throughput, 10, 1e-9);
	assert_float_equal(f.response, 150000, 1e-9);
	assert_float_equal(f.turnaround, 12.0 * MS, 1e-9);

	old.run -= 100 * MS;
	old.wait -= 200 * MS;
	old.throttled -= 10 * MS;
	old.slices -= 5;
	old.wakeups -= 10;
	old.response -= 2 * MS;
	old.bursts -= 4;
	old.turnaround -= 8 * MS;
	old.misses -= 1;
	old.p50 = old.p99 = old.weight = old.cap = 1;
	figures_of(&f, &web.sched, &old, SEC / 2);
	assert_int_equal(f.ns, SEC / 2);
	assert_int_equal(f.s.run, 100 * MS);
	assert_int_equal(f.s.wait, 200 * MS);
	assert_int_equal(f.s.throttled, 10 * MS);
	assert_int_equal(f.s.slices, 5);
	assert_int_equal(f.s.misses, 1);
	assert_float_equal(f.utilisation, 20, 1e-9);
	assert_float_equal(f.throughput, 8, 1e-9);
	assert_float_equal(f.response, 200000, 1e-9);
	assert_float_equal(f.turnaround, 2.0 * MS, 1e-9);
	/* What is no counter is as it is now. */
	assert_int_equal(f.s.p50, 90000);
	assert_int_equal(f.s.p99, 4 * MS);
	assert_int_equal(f.s.weight, 400);
	assert_int_equal(f.s.cap, 2500);
}

/* Nobody woke, nothing ended: no mean, and nothing below zero either. */
static void nothing(void **state)
{
	struct sched_info old = web.sched;
	struct figures f;

	(void)state;
	old.wait++;
	figures_of(&f, &web.sched, &old, SEC);
	assert_int_equal(f.s.wait, 0);
	assert_float_equal(f.utilisation, 0, 1e-9);
	assert_float_equal(f.throughput, 0, 1e-9);
	assert_true(f.response < 0 && f.turnaround < 0);
}

static void lines(void **state)
{
	static const struct vm_info plain = {
		.id = 12, .name = "b", .sched = { .weight = 100, .priority = 50 },
	};
	char line[FIGURES_LINE];
	struct figures f;

	(void)state;
	figures_settings(NULL, NULL, 0, line);
	assert_string_equal(line, "WEIGHT PRIO     CAP     RESERVED LENGTH "
			    "SHARE                          UTIL BURSTS/S");
	figures_of(&f, &web.sched, NULL, 2 * SEC);
	figures_settings(&web, &f, 62.5, line);
	assert_string_equal(line, "   400   50  250.0%  2.0ms/10ms+  5.0ms "
			    "#############.......  62.5%   25.0%     10.0");
	figures_times(NULL, NULL, line);
	assert_string_equal(line, "  WAITED THROTTLED     SLICES RESPONSE      P50      P99 "
			    "TURNAROUND   MISSES");
	figures_times(&web, &f, line);
	assert_string_equal(line, "    1.2s      30ms         70    150us     90us    4.0ms "
			    "      12ms        3");

	figures_of(&f, &plain.sched, NULL, 0);
	figures_settings(&plain, &f, -1, line);
	assert_string_equal(line, "   100   50       -            -      - "
			    "....................      -    0.0%      0.0");
	figures_times(&plain, &f, line);
	assert_string_equal(line, "     0ns       0ns          0        -      0ns      0ns "
			    "         -        0");
}

/* Also the longest numbers leave a line that ends. */
static void room(void **state)
{
	struct vm_info vm = { .id = UINT64_MAX };
	char line[FIGURES_LINE];
	struct figures f;

	(void)state;
	memset(&vm.sched, 0xff, sizeof(vm.sched));
	figures_of(&f, &vm.sched, NULL, 1);
	figures_settings(&vm, &f, 100, line);
	assert_true(strlen(line) < FIGURES_LINE - 1);
	figures_times(&vm, &f, line);
	assert_true(strlen(line) < FIGURES_LINE - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times), cmocka_unit_test(bars), cmocka_unit_test(shares),
		cmocka_unit_test(intervals), cmocka_unit_test(nothing), cmocka_unit_test(lines),
		cmocka_unit_test(room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
