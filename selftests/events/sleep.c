// SPDX-License-Identifier: GPL-2.0
/* The machine sleeps and wakes up with a guest that runs. The clock's alarm wakes it. */
#include <fcntl.h>

#include "events.h"

#define STATE	"/sys/power/state"
#define ALARM	"/sys/class/rtc/rtc0/wakealarm"
#define DONE	"/sys/power/suspend_stats/success"

static uint64_t slept_ms(void)
{
	struct timespec boot, mono;

	clock_gettime(CLOCK_MONOTONIC, &mono);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	return (boot.tv_sec - mono.tv_sec) * 1000ll + (boot.tv_nsec - mono.tv_nsec) / 1000000;
}

static int times_slept(void)
{
	int n = -1;
	FILE *f = fopen(DONE, "r");

	CHECK(f && fscanf(f, "%d", &n) == 1);
	fclose(f);
	return n;
}

/*
 * To RAM: all CPUs but one are unplugged, and that one loses its state. (Bochs wakes up at once: no time
 * passes.)
 */
TEST(suspend, .timeout = 200)
{
	int i, n = amount(slow_kernel() ? 2 : 3, 10);
	uint64_t before = slept_ms();
	struct busy b = { 0 };
	int times;

	if (!has_word(STATE, "mem") || !put_text("/sys/power/mem_sleep", "deep"))
		test_skip("this machine knows no S3");
	if (access(ALARM, W_OK))
		test_skip("no clock that could wake the machine");
	times = times_slept();
	busy_start(&b, 4, BUSY_ALL, false);
	busy_alive(&b, 60);
	for (i = 0; i < n; i++) {
		put_text(ALARM, "0");
		if (!put_text(ALARM, "+2"))
			FAIL(ALARM ": %s", strerror(errno));
		if (!put_text(STATE, "mem"))
			FAIL(STATE ": %s", strerror(errno));
		busy_alive(&b, 30);
	}
	test_note("slept %llu ms in %d times, %llu guest beats",
		  (unsigned long long)(slept_ms() - before), n, (unsigned long long)busy_beats(&b));
	CHECK_EQ(times_slept(), times + n);
	busy_stop(&b);
}

/*
 * The steps on the way there, each with the way back: tasks frozen, devices stopped, CPUs
 * unplugged, the last one's state put away. (To idle is the first of them and a wait, from which
 * QEMU's clock does not wake a kernel.)
 */
TEST(suspend_steps, .timeout = 200)
{
	static const char * const steps[] = { "freezer", "devices", "processors", "core" };
	struct busy b = { 0 };
	unsigned int i;

	if (access("/sys/power/pm_test", W_OK) || !has_word(STATE, "mem"))
		test_skip("this kernel can't rehearse its sleep");
	put_text("/sys/module/suspend/parameters/pm_test_delay", "1");
	busy_start(&b, 4, BUSY_ALL, false);
	busy_alive(&b, 60);
	for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		CHECK(put_text("/sys/power/pm_test", steps[i]));
		if (!put_text(STATE, "mem"))
			FAIL("%s: %s", steps[i], strerror(errno));
		busy_alive(&b, 30);
	}
	CHECK(put_text("/sys/power/pm_test", "none"));
	busy_stop(&b);
}
