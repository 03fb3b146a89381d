// SPDX-License-Identifier: GPL-2.0
/* VMMs that die at any moment, or drown in signals; exits without end. */
#include <sys/time.h>

#include "abuse.h"

/* ---- killed ---- */

static void vmm(void *unused __attribute__((unused)))
{
	struct busy b = { 0 };

	busy_start(&b, 4, BUSY_ALL, false);
	for (;;)
		pause();
}

TEST(kill, .timeout = 240)
{
	int i, n = amount(20, 200), status, ended = 0;
	struct rng r;
	pid_t pid;

	rng_init(&r, abuse_seed(), 0);
	for (i = 0; i < n; i++) {
		pid = spawn(vmm, NULL);
		/* One in three dies while it builds its VM. */
		msleep(below(&r, i % 3 ? 400 : 30) * (slow_kernel() ? 4 : 1));
		kill(pid, SIGKILL);
		status = reap_child(pid, 30);
		ended += !WIFSIGNALED(status);
	}
	test_note("%d killed, %d had ended before", n - ended, ended);
	CHECK_EQ(ended, 0);
	expect_users(0);
}

/* ---- signals ---- */

static void ignore(int sig)
{
	(void)sig;
}

static void alarm_at(unsigned int hz)
{
	struct itimerval t = { .it_interval.tv_usec = 1000000 / hz, .it_value.tv_usec = 1 };
	struct sigaction sa = { .sa_handler = ignore };

	CHECK_OK(sigaction(SIGALRM, &sa, NULL));
	CHECK_OK(setitimer(ITIMER_REAL, &t, NULL));
}

TEST(signals, .timeout = 120)
{
	struct busy b = { 0 };
	uint64_t end;
	int i = 0;

	busy_start(&b, 2, BUSY_ALL, false);
	alarm_at(1000);
	for (end = now() + amount(3000, 60000); now() < end; i++) {
		/* The timer's own signals go to the main thread, mostly. */
		pthread_kill(b.threads[i % 2], SIGALRM);
		usleep(500);
	}
	busy_alive(&b, 30);
	busy_stop(&b);
}

/* ---- storms: the host stays responsive ---- */

static void storm(int cpus, unsigned int what)
{
	uint64_t end, before, gap, worst = 0, limit = slow_kernel() ? 10000 : 4000;
	struct busy b = { 0 };

	busy_start(&b, cpus, what | BUSY_STORM, false);
	for (end = now() + amount(1000, 10000); now() < end; ) {
		before = now();
		msleep(5);
		gap = now() - before;
		if (gap > worst)
			worst = gap;
	}
	test_note("%llu rounds, the host waited at most %d ms",
		  (unsigned long long)busy_beats(&b), (int)worst);
	CHECK(worst < limit);
	CHECK(busy_beats(&b) && busy_took(&b, what));
	/* The guest may be too busy to look at anything: no wait for its end. */
}

#define STORM(name, cpus, what)						\
	TEST(storm_##name, .timeout = 60)				\
	{								\
		storm(cpus, what);					\
	}

STORM(cpuid, 2, BUSY_CPUID)
STORM(pio, 2, BUSY_PIO)
STORM(mmio, 2, BUSY_MMIO)
STORM(ipi, 4, BUSY_IPI)
STORM(nmi, 4, BUSY_NMI)
STORM(flush, 2, BUSY_FLUSH | BUSY_MEMORY)
STORM(timer, 2, BUSY_TIMER | BUSY_CPUID)
STORM(hlt, 4, BUSY_HLT | BUSY_TIMER | BUSY_IPI)
