// SPDX-License-Identifier: GPL-2.0
/* CPUs that go and come back under the vCPU that runs on them. */
#include <sched.h>

#include "events.h"

#define CPU1	"/sys/devices/system/cpu/cpu1/online"

static void set_online(bool on)
{
	while (!put_text(CPU1, on ? "1" : "0")) {
		if (errno != EBUSY && errno != EINTR)
			FAIL(CPU1 ": %s", strerror(errno));
	}
}

static void pin(pthread_t thread, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	errno = pthread_setaffinity_np(thread, sizeof(set), &set);
	CHECK(!errno);
}

/* vCPUs 0 and 1 are nailed to the CPU that goes, which unpins them; 2 and 3 run where they like. */
TEST(hotplug, .timeout = 300)
{
	int i, n = amount(slow_kernel() ? 4 : 6, 50);
	struct busy b = { 0 };

	if (access(CPU1, W_OK))
		test_skip("no CPU that can go offline");
	busy_start(&b, 4, BUSY_ALL, false);
	busy_alive(&b, 60);
	for (i = 0; i < n; i++) {
		pin(b.threads[0], 1);
		pin(b.threads[1], 1);
		busy_alive(&b, 30);
		set_online(false);
		busy_alive(&b, 30);
		set_online(true);
		busy_alive(&b, 30);
	}
	test_note("%d times, %llu guest beats", n, (unsigned long long)busy_beats(&b));
	busy_stop(&b);
}

/* As fast as the host can; nothing waits for the guest in between. */
TEST(hotplug_storm, .timeout = 300)
{
	int i, n = amount(slow_kernel() ? 5 : 20, 200);
	struct busy b = { 0 };

	if (access(CPU1, W_OK))
		test_skip("no CPU that can go offline");
	busy_start(&b, 2, BUSY_ALL, false);
	for (i = 0; i < n; i++) {
		set_online(false);
		set_online(true);
		pin(b.threads[i % 2], 1);
	}
	busy_alive(&b, 60);
	busy_stop(&b);
}

/* A VM that is made while its CPU is away runs there when it is back. */
TEST(hotplug_new, .timeout = 120)
{
	struct busy b = { 0 };

	if (access(CPU1, W_OK))
		test_skip("no CPU that can go offline");
	set_online(false);
	busy_start(&b, 2, BUSY_ALL, false);
	busy_alive(&b, 60);
	set_online(true);
	pin(b.threads[0], 1);
	pin(b.threads[1], 1);
	busy_alive(&b, 60);
	busy_stop(&b);
}
