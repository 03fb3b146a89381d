// SPDX-License-Identifier: GPL-2.0
/* vCPUs that wait at the gate, and everything that ends that. Policies that change. */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sched.h"
#include "stats.h"

/* fcfs on one slot: the first spins for ever, the second waits for ever. */
static void one_waits(struct crew *runs, struct crew *waits)
{
	sched_setup("fcfs", 1);
	crew_start(runs, 1, g_spin);
	while (!crew_work(runs))
		sleep_ms(1);
	crew_start(waits, 1, g_spin);
	while (pool_get("default", LHV_A_POOL_WAITING) != 1)
		sleep_ms(1);
	CHECK_EQ(crew_work(waits), 0);
}

TEST(wait_kill)
{
	struct crew a, b;

	one_waits(&a, &b);
	crew_end(&b);
	CHECK_EQ(pool_get("default", LHV_A_POOL_WAITING), 0);
	crew_end(&a);
	CHECK_EQ(pool_get("default", LHV_A_POOL_BUSY), 0);
}

TEST(wait_pause)
{
	struct crew a, b;

	one_waits(&a, &b);
	CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_PAUSE, b.id), 0);
	while (pool_get("default", LHV_A_POOL_WAITING))
		sleep_ms(1);
	CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_RESUME, b.id), 0);
	while (pool_get("default", LHV_A_POOL_WAITING) != 1)
		sleep_ms(1);
	/* The slot of a paused VM is free for others. */
	CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_PAUSE, a.id), 0);
	while (!crew_work(&b))
		sleep_ms(1);
	CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_RESUME, a.id), 0);
	crew_end(&b);
	crew_end(&a);
}

static volatile int signals;

static void on_signal(int sig)
{
	(void)sig;
	signals++;
}

static void *run_once(void *arg)
{
	struct vcpu *v = arg;

	CHECK_ERR(ioctl(v->fd, KVM_RUN, 0), EINTR);
	return NULL;
}

TEST(wait_signal)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct crew a, b;
	struct vm *vm;
	pthread_t t;

	CHECK_OK(sigaction(SIGUSR2, &sa, NULL));
	one_waits(&a, &b);
	vm = machine(0);
	CHECK(!pthread_create(&t, NULL, run_once, machine_vcpu(vm, g_spin)));
	while (pool_get("default", LHV_A_POOL_WAITING) != 2)
		sleep_ms(1);
	CHECK(!pthread_kill(t, SIGUSR2));
	CHECK(!pthread_join(t, NULL));
	CHECK_EQ(signals, 1);
	CHECK_EQ(pool_get("default", LHV_A_POOL_WAITING), 1);
	crew_end(&a);
	while (!crew_work(&b))
		sleep_ms(1);
	crew_end(&b);
}

TEST(wait_switch)
{
	struct crew a, b;

	one_waits(&a, &b);
	CHECK_EQ(pool_set("default", "none", -1, NULL), 0);
	while (!crew_work(&b))
		sleep_ms(1);
	crew_end(&a);
	crew_end(&b);
}

TEST(wait_slots)
{
	struct crew a, b;

	one_waits(&a, &b);
	CHECK_EQ(pool_set("default", NULL, 2, NULL), 0);
	while (!crew_work(&b))
		sleep_ms(1);
	CHECK_EQ(pool_set("default", NULL, 1, NULL), 0);
	while (pool_get("default", LHV_A_POOL_WAITING) != 1)
		sleep_ms(1);
	crew_end(&a);
	crew_end(&b);
}

/* ---- what is written down of a wait that does not end ---- */

TEST(wait_counted)
{
	uint64_t from = 0, to = 0, after, begun, wait = 0, last = 0;
	struct crew a, b;
	int i;

	sched_setup("fcfs", 1);
	crew_start(&a, 1, g_spin);
	while (!crew_work(&a))
		sleep_ms(1);
	begun = now_ns();
	crew_start(&b, 2, g_spin);
	while (pool_get("default", LHV_A_POOL_WAITING) != 2)
		sleep_ms(1);
	for (i = 0; i < 4; i++) {
		after = now_ns();
		wait = sched_get(b.id, LHV_A_SCHED_WAIT_NS);
		/* Two vCPUs, since between @from and @to. */
		if (i) {
			CHECK(wait - last >= 2 * (after - to));
			CHECK(wait - last <= 2 * (now_ns() - from));
		}
		from = after;
		to = now_ns();
		last = wait;
		sleep_ms(20);
	}
	CHECK(wait > 0);
	/* Two VMs want to run, and one gets it all. */
	CHECK(pool_get("default", LHV_A_POOL_JAIN) < 600000);
	CHECK_EQ(sched_get(a.id, LHV_A_SCHED_WAIT_NS), 0);
	CHECK_EQ(sched_get(b.id, LHV_A_SCHED_RUN_NS), 0);
	/* When it ends it is not counted once more. */
	CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_PAUSE, b.id), 0);
	while (pool_get("default", LHV_A_POOL_WAITING))
		sleep_ms(1);
	wait = sched_get(b.id, LHV_A_SCHED_WAIT_NS);
	CHECK(wait > last && wait <= 2 * (now_ns() - begun));
	sleep_ms(10);
	CHECK_EQ(sched_get(b.id, LHV_A_SCHED_WAIT_NS), wait);
	CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_RESUME, b.id), 0);
	crew_end(&b);
	crew_end(&a);
}

/* ---- a thread in its VMM has its slot for as long as it is on a CPU ---- */

static volatile bool home, burns;
static pthread_barrier_t left;

static void *errand(void *arg)
{
	struct vcpu *v = arg;
	int ret;

	CHECK_OK(ioctl(v->fd, KVM_RUN, 0));
	CHECK_EQ(v->run->exit_reason, KVM_EXIT_IO);
	if (!burns)
		pthread_barrier_wait(&left);
	while (!home)
		if (!burns)
			sleep_ms(1);
	ret = ioctl(v->fd, KVM_RUN, 0);
	CHECK(ret < 0 && errno == EIO);
	return NULL;
}

/* A on the errand, B that waits for A's slot: already, or only then. */
static void on_errand(const char *policy, bool already)
{
	struct crew b;
	struct vm *a;
	pthread_t t;
	uint64_t id;

	sched_setup(policy, 1);
	CHECK(!pthread_barrier_init(&left, NULL, 2));
	a = machine(0);
	id = vm_id(a->fd);
	CHECK(!pthread_create(&t, NULL, errand, machine_vcpu(a, g_errand)));
	while (pool_get("default", LHV_A_POOL_BUSY) != 1)
		sleep_ms(1);
	if (already) {
		crew_start(&b, 1, g_spin);
		while (pool_get("default", LHV_A_POOL_WAITING) != 1)
			sleep_ms(1);
	}
	*(volatile uint64_t *)guest_ptr(a, &g_go) = 1;
	if (!burns)
		pthread_barrier_wait(&left);
	if (!already)
		crew_start(&b, 1, g_spin);
	while (!crew_work(&b))
		sleep_ms(1);
	home = true;
	if (burns)
		while (!*(volatile uint64_t *)guest_ptr(a, g_work))
			sleep_ms(1);
	else
		while (pool_get("default", LHV_A_POOL_WAITING) != 1)
			sleep_ms(1);
	CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_KILL, id), 0);
	CHECK(!pthread_join(t, NULL));
	crew_end(&b);
}

TEST(errand_sleeps)
{
	on_errand("fcfs", false);
}

TEST(errand_sleeps_contended)
{
	on_errand("fcfs", true);
}

TEST(errand_burns)
{
	burns = true;
	on_errand("rr", false);
}

static volatile bool dead;

/* On an errand its VM is killed; its thread does not believe that. */
static void *stubborn(void *arg)
{
	struct vcpu *v = arg;

	CHECK_OK(ioctl(v->fd, KVM_RUN, 0));
	CHECK_EQ(v->run->exit_reason, KVM_EXIT_IO);
	pthread_barrier_wait(&left);
	while (!dead)
		;
	while (!home)
		CHECK(ioctl(v->fd, KVM_RUN, 0) < 0 && errno == EIO);
	return NULL;
}

TEST(errand_killed)
{
	struct vm *a;
	pthread_t t;

	sched_setup("fcfs", 1);
	CHECK(!pthread_barrier_init(&left, NULL, 2));
	a = machine(0);
	*(volatile uint64_t *)guest_ptr(a, &g_go) = 1;
	CHECK(!pthread_create(&t, NULL, stubborn, machine_vcpu(a, g_errand)));
	pthread_barrier_wait(&left);
	CHECK_EQ(pool_get("default", LHV_A_POOL_BUSY), 1);
	CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_KILL, vm_id(a->fd)), 0);
	dead = true;
	while (pool_get("default", LHV_A_POOL_BUSY))
		sleep_ms(1);
	home = true;
	CHECK(!pthread_join(t, NULL));
}

static volatile bool hog_stops;

static void *hog(void *arg)
{
	(void)arg;
	while (!hog_stops)
		;
	return NULL;
}

/* The host gives the CPU of who has the slot to others: it goes to who waits. */
TEST(wait_starved)
{
	struct sched_param idle = { 0 }, fifo = { .sched_priority = 1 };
	pthread_t thread, t;
	struct crew a, b;
	cpu_set_t cpus;

	one_waits(&a, &b);
	thread = a.runner[0].thread;
	CPU_ZERO(&cpus);
	CPU_SET(1, &cpus);
	CHECK(!pthread_setaffinity_np(thread, sizeof(cpus), &cpus));
	CHECK(!pthread_setschedparam(thread, SCHED_IDLE, &idle));
	CHECK(!pthread_create(&t, NULL, hog, NULL));
	CHECK(!pthread_setaffinity_np(t, sizeof(cpus), &cpus));
	CHECK(!pthread_setschedparam(t, SCHED_FIFO, &fifo));
	while (!crew_work(&b))
		sleep_ms(1);
	hog_stops = true;
	CHECK(!pthread_join(t, NULL));
	/* It comes back to the gate, and waits. */
	while (pool_get("default", LHV_A_POOL_WAITING) != 1)
		sleep_ms(1);
	crew_end(&b);
	crew_end(&a);
}

#define CPU1	"/sys/devices/system/cpu/cpu1/online"

/* The host's kernel can do it. */
static void need_hotplug(void)
{
	if (access(CPU1, W_OK))
		test_skip("CPU 1 cannot be switched off: no %s", CPU1);
}

static bool cpu1(const char *online)
{
	int fd = open(CPU1, O_WRONLY);
	bool ok = fd >= 0 && write(fd, online, 1) == 1;

	close(fd);
	return ok;
}

TEST(cpu_goes, .timeout = 60)
{
	struct crew a, b;
	uint64_t work;
	int i;

	need_hotplug();
	sched_setup("credit", 2);
	crew_start(&a, 1, g_spin);
	crew_start(&b, 1, g_spin);
	for (i = 0; i < 5; i++) {
		CHECK(cpu1("0"));
		CHECK_EQ(pool_get("default", LHV_A_POOL_SLOTS), 1);
		work = crew_work(&a);
		while (crew_work(&a) == work)
			sleep_ms(1);
		work = crew_work(&b);
		while (crew_work(&b) == work)
			sleep_ms(1);
		CHECK(cpu1("1"));
		CHECK_EQ(pool_get("default", LHV_A_POOL_SLOTS), 2);
		sleep_ms(50);
	}
	crew_end(&a);
	crew_end(&b);
}

/* A CPU that goes does not ask what was promised: it is written down what was not kept. */
TEST(misses, .timeout = 60)
{
	uint64_t missed;
	struct crew c;

	need_hotplug();
	sched_setup("edf", 2);
	crew_start(&c, 2, g_spin);
	CHECK_EQ(sched_set(c.id, LHV_A_SCHED_PERIOD, 50 * MS, LHV_A_SCHED_BUDGET, 40 * MS), 0);
	crews_move(&c, 1);
	missed = sched_get(c.id, LHV_A_SCHED_MISSES);
	CHECK(cpu1("0"));
	/* 1.60 of one slot */
	while (sched_get(c.id, LHV_A_SCHED_MISSES) < missed + 10)
		sleep_ms(1);
	CHECK(cpu1("1"));
	crew_end(&c);
}

/* ---- pools ---- */

static void make_side(const char *policy)
{
	struct msg *m = msg_new(LHV_CMD_POOL_SET);
	int ret;

	msg_str(m, LHV_A_POOL_NAME, "side");
	msg_flag(m, LHV_A_POOL_CREATE);
	msg_str(m, LHV_A_POOL_CPUS, "1");
	msg_str(m, LHV_A_POOL_POLICY, policy);
	ret = nl_do(nl, m, NULL, NULL);
	/* Its second try, where the emulator's threads race */
	CHECK(!ret || (ret == -EEXIST && getenv("TAP_AGAIN")));
}

static void remove_side(void)
{
	struct msg *m = msg_new(LHV_CMD_POOL_SET);

	msg_str(m, LHV_A_POOL_NAME, "side");
	msg_flag(m, LHV_A_POOL_REMOVE);
	CHECK_EQ(nl_do(nl, m, NULL, NULL), 0);
}

TEST(pools)
{
	struct crew c;
	uint64_t work;
	struct msg *m;
	int i;

	sched_setup("none", 2);
	crew_start(&c, 2, g_spin);
	make_side("rr");
	CHECK_EQ(pool_get("side", LHV_A_POOL_SLOTS), 1);
	for (i = 0; i < 6; i++) {
		CHECK_EQ(sched_set(c.id, LHV_A_SCHED_POOL, i % 2 ? 0 :
				   pool_get("side", LHV_A_POOL_ID), 0, 0), 0);
		CHECK_EQ(pool_get("side", LHV_A_POOL_VMS), !(i % 2));
		work = crew_work(&c);
		while (crew_work(&c) == work)
			sleep_ms(1);
		if (!(i % 2))
			CHECK(pool_get("side", LHV_A_POOL_BUSY) <= 1);
	}
	CHECK_EQ(sched_set(c.id, LHV_A_SCHED_POOL, pool_get("side", LHV_A_POOL_ID), 0, 0), 0);
	m = msg_new(LHV_CMD_POOL_SET);
	msg_str(m, LHV_A_POOL_NAME, "side");
	msg_flag(m, LHV_A_POOL_REMOVE);
	REFUSED(nl, nl_do(nl, m, NULL, NULL), EBUSY, "move them first");
	CHECK_EQ(sched_set(c.id, LHV_A_SCHED_POOL, 0, 0, 0), 0);
	crew_end(&c);
	remove_side();
}

static bool runs_only_on(pthread_t thread, int cpu)
{
	cpu_set_t cpus;

	CHECK(!pthread_getaffinity_np(thread, sizeof(cpus), &cpus));
	return CPU_COUNT(&cpus) == 1 && CPU_ISSET(cpu, &cpus);
}

/* A pool's CPUs are its threads', whatever these say; what they said is theirs when they leave it. */
TEST(bound)
{
	static const char * const policies[] = { "none", "rr" };
	struct crew c;
	pthread_t thread;
	cpu_set_t first;
	unsigned int i;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		test_skip("needs two CPUs");
	CPU_ZERO(&first);
	CPU_SET(0, &first);
	sched_setup("none", 2);
	crew_start(&c, 1, g_spin);
	thread = c.runner[0].thread;
	for (i = 0; i < 2; i++) {
		make_side(policies[i]);
		CHECK_EQ(sched_set(c.id, LHV_A_SCHED_POOL, pool_get("side", LHV_A_POOL_ID), 0, 0), 0);
		while (!runs_only_on(thread, 1))
			sleep_ms(1);
		CHECK(!pthread_setaffinity_np(thread, sizeof(first), &first));
		while (!runs_only_on(thread, 1))
			sleep_ms(1);
		CHECK_EQ(sched_set(c.id, LHV_A_SCHED_POOL, 0, 0, 0), 0);
		while (!runs_only_on(thread, 0))
			sleep_ms(1);
		remove_side();
	}
	crew_end(&c);
}

/* Where a pool is changes under its VMs, who wait and who run. */
TEST(bound_moves)
{
	static const char * const policies[] = { "none", "rr" }, * const cpus[] = { "0", "1" };
	struct crew c[2];
	unsigned int i, k, n;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		test_skip("needs two CPUs");
	sched_setup("none", 2);
	crew_start(&c[0], 1, g_spin);
	crew_start(&c[1], 2, g_spin);
	for (i = 0; i < 2; i++) {
		make_side(policies[i]);
		for (n = 0; n < 2; n++)
			CHECK_EQ(sched_set(c[n].id, LHV_A_SCHED_POOL,
					   pool_get("side", LHV_A_POOL_ID), 0, 0), 0);
		for (k = 0; k < 4; k++) {
			CHECK_EQ(pool_set("side", NULL, -1, cpus[k % 2]), 0);
			for (n = 0; n < 3; n++)
				while (!runs_only_on(n ? c[1].runner[n - 1].thread :
						     c[0].runner[0].thread, k % 2))
					sleep_ms(1);
			CHECK_EQ(pool_get("side", LHV_A_POOL_SLOTS), 1);
			crews_move(c, 2);
		}
		/* Those of all: nobody is bound. */
		CHECK_EQ(pool_set("side", NULL, -1, ""), 0);
		while (runs_only_on(c[0].runner[0].thread, 1))
			sleep_ms(1);
		for (n = 0; n < 2; n++)
			CHECK_EQ(sched_set(c[n].id, LHV_A_SCHED_POOL, 0, 0, 0), 0);
		crews_move(c, 2);
		remove_side();
	}
	crew_end(&c[0]);
	crew_end(&c[1]);
}

/* Its only CPU goes: they run anywhere, until it is back. */
TEST(bound_cpu_goes, .timeout = 60)
{
	struct crew c;
	pthread_t thread;
	int i;

	need_hotplug();
	sched_setup("none", 2);
	make_side("rr");
	crew_start(&c, 1, g_spin);
	thread = c.runner[0].thread;
	CHECK_EQ(sched_set(c.id, LHV_A_SCHED_POOL, pool_get("side", LHV_A_POOL_ID), 0, 0), 0);
	for (i = 0; i < 3; i++) {
		while (!runs_only_on(thread, 1))
			sleep_ms(1);
		CHECK(cpu1("0"));
		crews_move(&c, 1);
		CHECK(cpu1("1"));
	}
	while (!runs_only_on(thread, 1))
		sleep_ms(1);
	crews_move(&c, 1);
	CHECK_EQ(sched_set(c.id, LHV_A_SCHED_POOL, 0, 0, 0), 0);
	crew_end(&c);
	remove_side();
}

static void on_status(void *arg, int cmd, const struct attrs *a)
{
	char *status = arg;

	(void)cmd;
	*status = 0;
	if (a->at[LHV_A_POOL_STATUS]) {
		snprintf(status, 128, "%s", attr_str(a, LHV_A_POOL_STATUS));
		CHECK(*status);
	}
}

/* A line of the policy's own; most have nothing to say. */
TEST(pool_status)
{
	static const char * const policies[] = { "edf", "rr", "edf", "none" };
	char status[128];
	struct msg *m;
	struct crew c;
	int i;

	sched_setup("none", 1);
	crew_start(&c, 1, g_spin);
	CHECK_EQ(sched_set(c.id, LHV_A_SCHED_PERIOD, 20 * MS, LHV_A_SCHED_BUDGET, 5 * MS), 0);
	for (i = 0; i < 4; i++) {
		CHECK_EQ(pool_set("default", policies[i], -1, NULL), 0);
		m = msg_new(LHV_CMD_POOL_GET);
		msg_str(m, LHV_A_POOL_NAME, "default");
		CHECK_EQ(nl_do(nl, m, on_status, status), 0);
		test_note("%s: \"%s\"", policies[i], status);
		CHECK_EQ(!*status, !!strcmp(policies[i], "edf"));
	}
	crew_end(&c);
}

/* Refused is all of a request: a pool that is to lose slots, and one that is to get a policy with fewer. */
TEST(refused_whole)
{
	struct crew c;

	sched_setup("none", 2);
	crew_start(&c, 2, g_spin);
	CHECK_EQ(sched_set(c.id, LHV_A_SCHED_PERIOD, 10 * MS, LHV_A_SCHED_BUDGET, 6 * MS), 0);
	REFUSED(nl, pool_set("default", "edf", 1, NULL), EBUSY, "1.20 of the pool's 1 slots");
	CHECK_EQ(pool_get("default", LHV_A_POOL_SLOTS), 2);
	CHECK_EQ(pool_set("default", "edf", 2, NULL), 0);
	REFUSED(nl, pool_set("default", NULL, 1, NULL), EBUSY, "1.20 of the pool's 1 slots");
	CHECK_EQ(pool_get("default", LHV_A_POOL_SLOTS), 2);
	crew_end(&c);
}

/* A pool and attributes in one request: all of it, as the new pool sees it, or nothing. */
TEST(pools_and_attributes)
{
	struct crew c[2];
	int side;

	sched_setup("none", 2);
	make_side("edf");
	side = pool_get("side", LHV_A_POOL_ID);
	crew_start(&c[0], 1, g_spin);
	crew_start(&c[1], 1, g_spin);
	CHECK_EQ(sched_move(c[0].id, side, LHV_A_SCHED_PERIOD, 10 * MS, LHV_A_SCHED_BUDGET, 8 * MS), 0);
	REFUSED(nl, sched_move(c[1].id, side, LHV_A_SCHED_PERIOD, 10 * MS,
			       LHV_A_SCHED_BUDGET, 4 * MS), EBUSY, "1.20");
	CHECK_EQ(sched_get(c[1].id, LHV_A_SCHED_POOL), 0);
	CHECK_EQ(sched_get(c[1].id, LHV_A_SCHED_PERIOD), 0);
	CHECK_EQ(sched_move(c[1].id, side, LHV_A_SCHED_WEIGHT, 300, 0, 0), 0);
	/* Where it is there is no room for what it gets elsewhere. */
	CHECK_EQ(sched_move(c[1].id, 0, LHV_A_SCHED_PERIOD, 10 * MS, LHV_A_SCHED_BUDGET, 4 * MS), 0);
	CHECK_EQ(sched_get(c[1].id, LHV_A_SCHED_WEIGHT), 300);
	CHECK_EQ(sched_get(c[1].id, LHV_A_SCHED_BUDGET), 4 * MS);
	CHECK_EQ(sched_set(c[0].id, LHV_A_SCHED_POOL, 0, 0, 0), 0);
	crew_end(&c[0]);
	crew_end(&c[1]);
	remove_side();
}

TEST(refusals)
{
	struct crew c;
	struct msg *m;

	sched_setup("none", 2);
	crew_start(&c, 1, g_spin);
	REFUSED(nl, pool_set("default", "lottery", -1, NULL), ENOENT, "no policy of this name");
	REFUSED(nl, pool_set("nowhere", "rr", -1, NULL), ENOENT, "no such pool");
	REFUSED(nl, pool_set("default", NULL, -1, "0-x"), EINVAL, "not a list of CPUs");
	REFUSED(nl, pool_set("default", NULL, -1, "8000"), EINVAL, "not a list of CPUs");
	REFUSED(nl, sched_set(c.id, LHV_A_SCHED_PERIOD, 10 * MS, 0, 0), EINVAL, "a period and a budget");
	REFUSED(nl, sched_set(c.id, LHV_A_SCHED_PERIOD, 10, LHV_A_SCHED_BUDGET, 5), EINVAL, "1 ms to 10 s");
	REFUSED(nl, sched_set(c.id, LHV_A_SCHED_CAP, 1 << 30, 0, 0), EINVAL, "255 CPUs");
	REFUSED(nl, sched_set(c.id, LHV_A_SCHED_POOL, 63, 0, 0), ENOENT, "no pool of this id");
	CHECK_EQ(sched_set(c.id, LHV_A_SCHED_WEIGHT, 0, 0, 0), -ERANGE);
	m = msg_new(LHV_CMD_POOL_SET);
	msg_str(m, LHV_A_POOL_NAME, "default");
	msg_flag(m, LHV_A_POOL_REMOVE);
	REFUSED(nl, nl_do(nl, m, NULL, NULL), EBUSY, "has to stay");
	m = msg_new(LHV_CMD_POOL_SET);
	msg_str(m, LHV_A_POOL_NAME, "default");
	msg_flag(m, LHV_A_POOL_CREATE);
	REFUSED(nl, nl_do(nl, m, NULL, NULL), EEXIST, "a pool of this name");
	crew_end(&c);
}

/* The parameter is the default pool's policy, now and at load. */

#define PARAMETERS	"/sys/module/lhv/parameters/"

static int set_parameter(const char *name, const char *value)
{
	char path[64];
	int fd, ret;

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	fd = CHECK_OK(open(path, O_WRONLY));
	ret = write(fd, value, strlen(value));
	ret = ret < 0 ? -errno : 0;
	close(fd);
	return ret;
}

static void parameter_is(const char *want)
{
	char is[32] = "";
	int fd = CHECK_OK(open(PARAMETERS "sched", O_RDONLY));

	CHECK_OK(read(fd, is, sizeof(is) - 1));
	close(fd);
	is[strcspn(is, "\n")] = 0;
	if (strcmp(is, want))
		FAIL("%s, not %s", is, want);
}

TEST(parameter)
{
	sched_setup("none", 2);
	parameter_is("none");
	CHECK_EQ(set_parameter("sched", "credit\n"), 0);
	parameter_is("credit");
	CHECK_EQ(set_parameter("sched", "nonesuch"), -ENOENT);
	CHECK_EQ(set_parameter("sched", "a name that is much longer than that of any policy"), -EINVAL);
	parameter_is("credit");
	CHECK_EQ(pool_set("default", "rr", -1, NULL), 0);
	parameter_is("rr");
	CHECK_EQ(set_parameter("sched", "none"), 0);
}

/* ---- who polls has no slot ---- */

static void nap(const struct crew *c, uint64_t times)
{
	uint64_t until = crew_work(c) + times;

	while (crew_work(c) < until)
		sleep_ms(1);
}

/* A halted vCPU gives its slot back at once. As long as nobody rations CPUs, it polls a little. */
TEST(naps_do_not_poll)
{
	struct stats stats;
	struct crew c;
	uint64_t polls;
	int fd;

	sched_setup("none", 1);
	/* An emulated nap is longer than the default. */
	CHECK_EQ(set_parameter("halt_poll_max_ns", "20000000"), 0);
	crew_make(&c, machine(VM_IRQCHIP), 1, g_nap);
	fd = CHECK_OK(ioctl(c.vm->vcpus[0].fd, KVM_GET_STATS_FD, 0));
	stats_open(fd, &stats);
	crew_go(&c);
	while (!stats_get(fd, &stats, "halt_attempted_poll"))
		sleep_ms(1);
	CHECK_EQ(pool_set("default", "rr", -1, NULL), 0);
	nap(&c, 2);
	polls = stats_get(fd, &stats, "halt_attempted_poll");
	nap(&c, 20);
	CHECK_EQ(stats_get(fd, &stats, "halt_attempted_poll"), polls);
	CHECK_EQ(pool_set("default", "none", -1, NULL), 0);
	while (stats_get(fd, &stats, "halt_attempted_poll") == polls)
		sleep_ms(1);
	CHECK_EQ(set_parameter("halt_poll_max_ns", "200000"), 0);
	crew_end(&c);
}

/* On a CPU that another task wants, polling would only keep that task, or its event, away. */
TEST(polls_alone)
{
	struct stats stats;
	cpu_set_t cpus;
	struct crew c;
	pthread_t t;
	int fd;

	sched_setup("none", 1);
	CHECK_EQ(set_parameter("halt_poll_max_ns", "0"), 0);
	crew_make(&c, machine(VM_IRQCHIP), 1, g_nap);
	fd = CHECK_OK(ioctl(c.vm->vcpus[0].fd, KVM_GET_STATS_FD, 0));
	stats_open(fd, &stats);
	crew_go(&c);
	CPU_ZERO(&cpus);
	CPU_SET(1, &cpus);
	CHECK(!pthread_setaffinity_np(c.runner[0].thread, sizeof(cpus), &cpus));
	hog_stops = false;
	CHECK(!pthread_create(&t, NULL, hog, NULL));
	CHECK(!pthread_setaffinity_np(t, sizeof(cpus), &cpus));
	nap(&c, 2);
	CHECK_EQ(set_parameter("halt_poll_max_ns", "20000000"), 0);
	nap(&c, 20);
	CHECK_EQ(stats_get(fd, &stats, "halt_attempted_poll"), 0);
	hog_stops = true;
	CHECK(!pthread_join(t, NULL));
	while (!stats_get(fd, &stats, "halt_attempted_poll"))
		sleep_ms(1);
	CHECK_EQ(set_parameter("halt_poll_max_ns", "200000"), 0);
	crew_end(&c);
}

/* ---- everything changes under load ---- */

/* Whatever was before: under credit, without caps and with equal weights, each vCPU gets on. */
static uint64_t nobody_starves(struct crew *c, int n)
{
	static const char * const fair[] = { "credit", "rr", "gang", "edf" };
	int i;

	CHECK_EQ(pool_set("default", fair[random() % 4], -1, NULL), 0);
	for (i = 0; i < n; i++)
		CHECK_EQ(sched_set(c[i].id, LHV_A_SCHED_CAP, 0, LHV_A_SCHED_WEIGHT, 100), 0);
	return crews_move(c, n);
}

static void storm(unsigned int seconds)
{
	static const char * const names[] = {
		"credit", "rr", "gang", "edf", "prio", "none", "fcfs", "sjf",
	};
	unsigned int n = 0, refused = 0, moved = 0, offline = 0;
	struct crew c[6];
	uint64_t end, side, t, most = 0;
	int i, ret;

	sched_setup("credit", 2);
	make_side("credit");
	side = pool_get("side", LHV_A_POOL_ID);
	for (i = 0; i < 6; i++)
		crew_start(&c[i], 1 + i % 3, g_spin);
	srandom(1);
	for (end = now_ns() + seconds * 1000 * MS; now_ns() < end; n++) {
		i = random() % 6;
		ret = pool_set("default", names[random() % 8], 1 + random() % 2, NULL);
		refused += ret == -EBUSY;
		CHECK(!ret || ret == -EBUSY);
		CHECK_EQ(sched_set(c[i].id, LHV_A_SCHED_WEIGHT, 1 + random() % 1000,
				   LHV_A_SCHED_PRIORITY, random() % 100), 0);
		CHECK_EQ(sched_set(c[i].id, LHV_A_SCHED_CAP, random() % 2 ? 0 : 100 + random() % 1000,
				   LHV_A_SCHED_LENGTH, random() % 20 * MS), 0);
		ret = random() % 2 ? 20 + random() % 20 : 0;
		ret = sched_set(c[i].id, LHV_A_SCHED_PERIOD, ret * MS, LHV_A_SCHED_BUDGET, ret * MS / 20);
		refused += ret == -EBUSY;
		CHECK(!ret || ret == -EBUSY);
		if (!(random() % 4)) {
			ret = sched_set(c[i].id, LHV_A_SCHED_POOL, random() % 2 ? side : 0, 0, 0);
			refused += ret == -EBUSY;
			CHECK(!ret || ret == -EBUSY);
			moved += !ret;
		}
		if (!(random() % 16)) {
			if (n % 2)
				offline += cpu1("0");
			else
				cpu1("1");
		}
		if (!(random() % 8)) {
			CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_PAUSE, c[i].id), 0);
			CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_RESUME, c[i].id), 0);
		}
		usleep(random() % 4000);
		if (!(n % 8)) {
			t = nobody_starves(c, 6);
			most = t > most ? t : most;
		}
	}
	test_note("%u changes, %u refused for lack of slots, %u moves, a CPU switched off %u times", n,
		  refused, moved, offline);
	CHECK(moved && (offline || access(CPU1, W_OK)));
	test_note("until all vCPUs had run: %llu ms at most", (unsigned long long)(most / MS));
	cpu1("1");
	CHECK_EQ(pool_set("default", "credit", 2, NULL), 0);
	for (i = 0; i < 6; i++)
		CHECK_EQ(sched_set(c[i].id, LHV_A_SCHED_POOL, 0, 0, 0), 0);
	nobody_starves(c, 6);
	for (i = 0; i < 6; i++)
		crew_end(&c[i]);
	remove_side();
	CHECK_EQ(pool_get("default", LHV_A_POOL_BUSY), 0);
	CHECK_EQ(pool_get("default", LHV_A_POOL_WAITING), 0);
}

TEST(storm, .timeout = 60)
{
	storm(8);
}

TEST(storm_long, .timeout = 600)
{
	storm(300);
}

/* ---- a policy in another module ---- */

#define EXAMPLE	"/lab/lottery.ko"

TEST(second_module, .timeout = 60)
{
	static const int weights[] = { 100, 400, 1000 };
	struct crew c[3];
	int fd, i;

	fd = open(EXAMPLE, O_RDONLY);
	if (fd < 0)
		test_skip("no %s", EXAMPLE);
	sched_setup("none", 1);
	CHECK_OK(syscall(SYS_finit_module, fd, "", 0));
	close(fd);
	for (i = 0; i < 3; i++)
		crew_start(&c[i], 1, g_spin);
	CHECK_EQ(pool_set("default", "lottery", -1, NULL), 0);
	for (i = 0; i < 20; i++) {
		CHECK_EQ(sched_set(c[random() % 3].id, LHV_A_SCHED_WEIGHT, weights[random() % 3],
				   0, 0), 0);
		crews_move(c, 3);
	}
	CHECK_ERR(syscall(SYS_delete_module, "lottery", O_NONBLOCK), EWOULDBLOCK);
	CHECK_EQ(pool_set("default", "rr", -1, NULL), 0);
	CHECK_OK(syscall(SYS_delete_module, "lottery", O_NONBLOCK));
	REFUSED(nl, pool_set("default", "lottery", -1, NULL), ENOENT, "no policy of this name");
	for (i = 0; i < 3; i++)
		crew_end(&c[i]);
}
