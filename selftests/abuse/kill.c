// SPDX-License-Identifier: GPL-2.0
/* VMMs that die at any moment, or drown in signals; exits without end. */
#include <sys/time.h>

#include "abuse.h"
#include "cgroup.h"

/* ---- killed ---- */

/* @arg: shared, set once its guest does something */
static void vmm(void *arg)
{
	volatile bool *entered = arg;
	struct busy b = { 0 };

	busy_start(&b, 4, BUSY_ALL, false);
	while (!busy_beats(&b))
		msleep(1);
	*entered = true;
	for (;;)
		pause();
}

/* True when it was alive, and its guest in the midst of its work. */
static bool kill_vmm(pid_t pid, volatile bool *entered)
{
	bool was_in = *entered;
	int status;

	CHECK_OK(kill(pid, SIGKILL));
	status = reap_child(pid, 30);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGKILL);
	return was_in;
}

static void await_entered(pid_t pid, volatile bool *entered)
{
	uint64_t end = now() + 30000;

	while (!*entered) {
		CHECK_EQ(waitpid(pid, NULL, WNOHANG), 0);
		CHECK(now() < end);
		msleep(1);
	}
}

TEST(kill, .timeout = 240)
{
	int i, n = amount(20, 200), inside = 0, early = 0;
	volatile bool *entered = map_shared();
	struct rng r;
	pid_t pid;

	rng_init(&r, abuse_seed(), 0);
	for (i = 0; i < n; i++) {
		*entered = false;
		pid = spawn(vmm, (void *)entered);
		await_entered(pid, entered);
		msleep(below(&r, 200));
		inside += kill_vmm(pid, entered);
		if (i % 2)
			continue;
		/* And half as many while they build their VM. */
		*entered = false;
		pid = spawn(vmm, (void *)entered);
		msleep(below(&r, 30) * (slow_kernel() ? 4 : 1));
		early += !kill_vmm(pid, entered);
	}
	test_note("%d killed with their guests running, %d before", inside, early);
	CHECK(early);
	expect_nothing();
}

#define LOGGED	4		/* slots whose writes are logged */
#define FEW_PAGES 6

struct charged_vmm {
	const char *cgroup;
	volatile bool *entered;
};

/* All that a VM has of memory: irqchip, tables, slots that come and go, their logs. */
static void charged_vmm(void *arg)
{
	static uint8_t bits[BUSY_SIZE / PAGE_SIZE / 8];
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = bits };
	struct charged_vmm *c = arg;
	struct busy b = { 0 };
	int i;

	join_cgroup(c->cgroup);
	busy_start(&b, 2, BUSY_ALL, false);
	for (;;) {
		for (i = 0; i < LOGGED; i++)
			vm_set_slot(b.vm, 2 + i, KVM_MEM_LOG_DIRTY_PAGES,
				    GUEST_EXTRA + (1ul + i) * 2 * BUSY_SIZE, BUSY_SIZE, b.extra);
		vm_set_slot(b.vm, 1, KVM_MEM_LOG_DIRTY_PAGES, GUEST_EXTRA, BUSY_SIZE, b.extra);
		CHECK_OK(ioctl(b.vm->fd, KVM_GET_DIRTY_LOG, &log));
		vm_set_slot(b.vm, 1, 0, GUEST_EXTRA, BUSY_SIZE, b.extra);
		for (i = 0; i < LOGGED; i++)
			vm_set_slot(b.vm, 2 + i, 0, GUEST_EXTRA + (1ul + i) * 2 * BUSY_SIZE, 0, NULL);
		*c->entered = busy_beats(&b);
	}
}

/* Those who are killed give back all that was charged to their cgroup. */
TEST(killed_leave_nothing, .timeout = 120)
{
	struct charged_vmm c = { .cgroup = new_cgroup(), .entered = map_shared() };
	uint64_t most = 0, n = 0, low, end;
	int i, inside = 0, vmms = amount(10, 100);
	struct rng r;
	pid_t pid;

	rng_init(&r, abuse_seed(), 0);
	for (i = 0; i < vmms; i++) {
		*c.entered = false;
		pid = spawn(charged_vmm, &c);
		if (i % 3)
			await_entered(pid, c.entered);
		msleep(below(&r, 100));
		n = charged(c.cgroup, "kernel");
		if (n > most)
			most = n;
		inside += kill_vmm(pid, c.entered);
	}
	expect_nothing();
	/* The statistics may be two seconds old: they have to stay low for longer. */
	for (low = now(), end = low + 30000; now() < low + 5000; msleep(100)) {
		n = charged(c.cgroup, "kernel");
		if (n <= FEW_PAGES * PAGE_SIZE)
			continue;
		low = now();
		if (low > end)
			FAIL("%llu bytes are still charged", (unsigned long long)n);
	}
	test_note("%d of %d amid their work; %llu bytes were charged, %llu are left", inside, vmms,
		  (unsigned long long)most, (unsigned long long)n);
	/* It was counted. */
	CHECK(most > FEW_PAGES * PAGE_SIZE);
	CHECK_OK(rmdir(c.cgroup));
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
	uint64_t length = amount(1000, 60000);
	struct busy b = { 0 };

	busy_start(&b, cpus, what | BUSY_STORM, false);
	busy_await_all(&b, 30);
	for (end = now() + length; now() < end; ) {
		before = now();
		msleep(5);
		gap = now() - before;
		if (gap > worst)
			worst = gap;
	}
	test_note("%llu rounds, the host waited at most %d ms",
		  (unsigned long long)busy_beats(&b), (int)worst);
	CHECK(worst < limit);
	busy_check_storm(&b, what, length);
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
