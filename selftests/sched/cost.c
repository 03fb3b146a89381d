// SPDX-License-Identifier: GPL-2.0
/*
 * What the gate's slow path costs: a slice that ends (or a burst), the next vCPU picked and woken,
 * and its way in, with 8, 64 and 512 vCPUs at one slot. For `make bench`: count.c, a plugin of the
 * lab's QEMU, counts the instructions between two marks that are executed in the gate, its timers,
 * the policy and what they call, without the host's schedule() and, apart, the wake-ups. It is told
 * where those functions are. "count gate POLICY EVENT N" names its lines "gate", in their order.
 */
#include <ctype.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "../bench/mark.h"
#include "sched.h"

#define QUANTUM	(200 * 1000ull)
#define WATCH	200		/* ms */

static const char * const enter[] = {
	"lhv_gate_admit_slow", "lhv_gate_enough_slow", "lhv_gate_on_slow", "lhv_gate_linger_slow",
	"slice_fired", "watch_fired", "pool_timer",
};

/* A thread gives its CPU away; or, on some kernels, another one takes it. */
static const char * const leave[] = {
	"schedule", "preempt_schedule", "preempt_schedule_irq", "__cond_resched",
};

#define ENTRIES	(sizeof(enter) / sizeof(enter[0]))
#define EXITS	(sizeof(leave) / sizeof(leave[0]))

/* The plugin reads what the code is, not what it does. */
static void tell(uint8_t *page, uint32_t what, uint64_t addr)
{
	uint8_t *p = page;
	uint32_t low = addr;

	memcpy(p, MARK_OPCODE, 3);
	memcpy(p + 3, &what, 4);
	memcpy(p + 7, MARK_OPCODE, 3);
	memcpy(p + 10, &low, 4);
	p[14] = 0xc3;	/* ret */
	((void (*)(void))page)();
}

static bool is_name(const char *name, const char *want)
{
	size_t n = strlen(want);

	return !strncmp(name, want, n) && (!name[n] || isspace(name[n]) || name[n] == '.');
}

static void tell_addresses(void)
{
	uint64_t out[EXITS] = { 0 }, wake = 0, at[ENTRIES] = { 0 };
	unsigned long long addr;
	char line[512], name[256];
	unsigned int i;
	uint8_t *page;
	FILE *f;

	f = fopen("/proc/kallsyms", "r");
	CHECK(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%llx %*c %255s", &addr, name) != 2)
			continue;
		for (i = 0; i < EXITS; i++)
			if (is_name(name, leave[i]))
				out[i] = addr;
		if (is_name(name, "rcuwait_wake_up"))
			wake = addr;
		for (i = 0; i < ENTRIES && strstr(line, "[lhv]"); i++)
			if (is_name(name, enter[i]))
				at[i] = addr;
	}
	fclose(f);
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
	CHECK(page != MAP_FAILED && out[0] && wake);
	for (i = 0; i < ENTRIES; i++) {
		CHECK(at[i]);
		tell(page, MARK_GATE, at[i]);
	}
	for (i = 0; i < EXITS; i++)
		if (out[i])
			tell(page, MARK_SCHEDULE, out[i]);
	tell(page, MARK_WAKE, wake);
	munmap(page, 4096);
}

/* A thread whose vCPU halts, and whose VMM lets it go on. */
static void *restless(void *arg)
{
	struct vcpu *v = arg;
	int ret;

	do
		ret = ioctl(v->fd, KVM_RUN, 0);
	while (!ret && v->run->exit_reason == KVM_EXIT_HLT);
	return NULL;
}

static struct {
	struct vm *vm;
	pthread_t thread;
} crowd[512];

/* Nine tenths of the slot are promised in equal parts, the rest is for all. */
#define EDF_HYBRID	"edf_hybrid"

static void run_crowd(int n, guest_fn fn, const char *event, const char * const *policies)
{
	struct rlimit files = { 4096, 4096 };
	struct sched_param fifo = { .sched_priority = 1 };
	int i;

	CHECK_OK(setrlimit(RLIMIT_NOFILE, &files));
	/* 512 threads that come and go would leave this one little of the CPU. */
	CHECK_OK(sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &fifo));
	tell_addresses();
	sched_setup("fcfs", 1);
	CHECK_EQ(pool_set_quantum("default", QUANTUM), 0);
	for (i = 0; i < n; i++) {
		crowd[i].vm = machine(0);
		CHECK(!pthread_create(&crowd[i].thread, NULL, restless, machine_vcpu(crowd[i].vm, fn)));
	}
	for (i = 0; i < n; i++)
		while (!sched_get(vm_id(crowd[i].vm->fd), LHV_A_SCHED_WAKEUPS))
			sleep_ms(10);
	for (; *policies; policies++) {
		bool hybrid = !strcmp(*policies, EDF_HYBRID);

		CHECK_EQ(pool_set("default", hybrid ? "edf" : *policies, -1, NULL), 0);
		for (i = 0; hybrid && i < n; i++) {
			uint64_t id = vm_id(crowd[i].vm->fd);

			CHECK_EQ(sched_set(id, LHV_A_SCHED_HYBRID, 1, 0, 0), 0);
			CHECK_EQ(sched_set(id, LHV_A_SCHED_PERIOD, 100 * MS,
					   LHV_A_SCHED_BUDGET, 90 * MS / n), 0);
		}
		sleep_ms(50 + n);	/* until all have found themselves in other queues */
		printf("count gate %s %s %d\n", *policies, event, n);
		MARK(MARK_GATE_FROM);
		sleep_ms(WATCH);
		MARK(MARK_GATE_TO);
	}
	for (i = 0; i < n; i++)
		CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_KILL, vm_id(crowd[i].vm->fd)), 0);
	for (i = 0; i < n; i++)
		CHECK(!pthread_join(crowd[i].thread, NULL));
	CHECK_EQ(pool_set("default", "none", 0, NULL), 0);
}

static const char * const with_slices[] = { "rr", "prio", "credit", "gang", "edf", EDF_HYBRID,
					      NULL };
static const char * const all[] = { "fcfs", "sjf", "rr", "prio", "credit", "gang", "edf", EDF_HYBRID,
				    NULL };

#define COST(n)								\
	TEST(cost_slices_##n, .timeout = 300) { run_crowd(n, g_spin, "slice", with_slices); }	\
	TEST(cost_bursts_##n, .timeout = 300) { run_crowd(n, g_rest, "burst", all); }

COST(8)
COST(64)
COST(512)
