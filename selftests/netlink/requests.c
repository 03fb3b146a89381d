// SPDX-License-Identifier: GPL-2.0
/* Every command, what it answers and what it refuses. */
#include <asm/kvm_para.h>
#include <linux/lhv.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nl.h"

struct vm_seen {
	int n;
	uint64_t id, memory, resident, tables, start_time;
	uint32_t state, vcpus, pid, uid, user_ns;
	char name[LHV_NAME_MAX + 1], comm[16];
	bool can_stop, gone;
};

static void on_vm(void *arg, int cmd, const struct attrs *a)
{
	struct vm_seen *s = arg;
	struct attrs o;

	CHECK_EQ(cmd, LHV_CMD_VM_GET);
	s->n++;
	s->id = attr_u64(a, LHV_A_VM_ID);
	s->state = attr_u32(a, LHV_A_VM_STATE);
	s->vcpus = attr_u32(a, LHV_A_VM_VCPUS);
	s->memory = attr_u64(a, LHV_A_VM_MEMORY);
	s->resident = attr_u64(a, LHV_A_VM_RESIDENT);
	s->tables = attr_u64(a, LHV_A_VM_TABLES);
	s->can_stop = a->at[LHV_A_VM_CAN_STOP];
	snprintf(s->name, sizeof(s->name), "%s", attr_str(a, LHV_A_VM_NAME));
	CHECK(attr_u64(a, LHV_A_VM_CREATED));
	attrs_nest(&o, a->at[LHV_A_VM_OWNER]);
	s->pid = o.at[LHV_A_OWNER_PID] ? attr_u32(&o, LHV_A_OWNER_PID) : 0;
	s->uid = attr_u32(&o, LHV_A_OWNER_UID);
	s->user_ns = attr_u32(&o, LHV_A_OWNER_USER_NS);
	s->start_time = attr_u64(&o, LHV_A_OWNER_START_TIME);
	s->gone = o.at[LHV_A_OWNER_GONE];
	snprintf(s->comm, sizeof(s->comm), "%s", attr_str(&o, LHV_A_OWNER_COMM));
}

static struct vm_seen look(struct nl *nl, uint64_t id)
{
	struct msg *m = msg_new(LHV_CMD_VM_GET);
	struct vm_seen s = { 0 };

	msg_u64(m, LHV_A_VM_ID, id);
	CHECK_EQ(nl_do(nl, m, on_vm, &s), 0);
	CHECK_EQ(s.n, 1);
	return s;
}

/* starttime of /proc/self/stat, in ticks */
static uint64_t own_start_ticks(void)
{
	unsigned long long ticks;
	char text[1024], *p;
	FILE *f = fopen("/proc/self/stat", "r");

	CHECK(f && fgets(text, sizeof(text), f));
	fclose(f);
	p = strrchr(text, ')');
	CHECK_EQ(sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d "
			"%*d %*d %*d %*d %llu", &ticks), 1);
	return ticks;
}

static unsigned int own_user_ns(void)
{
	char link[64] = "";
	unsigned int inum;

	CHECK_OK(readlink("/proc/self/ns/user", link, sizeof(link) - 1));
	CHECK_EQ(sscanf(link, "user:[%u]", &inum), 1);
	return inum;
}

/* What vm-get tells is what this process knows of itself. */
TEST(vm_get)
{
	struct nl *nl = nl_open();
	struct vm *vm = vm_create(0);
	struct vm_seen s;
	char comm[16];
	FILE *f;

	GUEST(vm, HALT);
	s = look(nl, vm_id(vm->fd));
	CHECK_EQ(s.state, LHV_VM_STATE_CREATED);
	CHECK_EQ(s.vcpus, 1);
	CHECK_EQ(s.memory, vm->ram_size);
	CHECK_EQ(s.resident, 0);
	CHECK(s.tables >= PAGE_SIZE);
	CHECK_EQ(s.pid, getpid());
	CHECK_EQ(s.uid, getuid());
	CHECK_EQ(s.user_ns, own_user_ns());
	CHECK_EQ(s.start_time * sysconf(_SC_CLK_TCK) / 1000000000, own_start_ticks());
	CHECK(!s.can_stop && !s.gone);
	f = fopen("/proc/self/comm", "r");
	CHECK(f && fscanf(f, "%15s", comm) == 1);
	CHECK(!strcmp(s.comm, comm));
	CHECK(!strncmp(s.name, comm, strlen(comm)));
}

/* Its memory is the sum of its slots, as they come, change and go. */
TEST(memory)
{
	struct nl *nl = nl_open();
	struct vm *vm = vm_create(0);
	uint64_t id = vm_id(vm->fd);
	uint8_t *p;

	vm_ram(vm, 0x80000);
	CHECK_EQ(look(nl, id).memory, 0x80000);
	p = mmap(NULL, 0x10000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(p != MAP_FAILED);
	vm_set_slot(vm, 7, 0, 0x100000, 0x10000, p);
	CHECK_EQ(look(nl, id).memory, 0x90000);
	vm_set_slot(vm, 7, KVM_MEM_LOG_DIRTY_PAGES, 0x100000, 0x10000, p);
	vm_set_slot(vm, 7, KVM_MEM_LOG_DIRTY_PAGES, 0x200000, 0x10000, p);
	CHECK_EQ(look(nl, id).memory, 0x90000);
	vm_set_slot(vm, 7, 0, 0x200000, 0, p);
	CHECK_EQ(look(nl, id).memory, 0x80000);
}

/* A command is what its process likes; what is told of it can be printed everywhere. */
TEST(odd_command)
{
	struct nl *nl = nl_open();
	struct vm_seen s;

	CHECK_OK(prctl(PR_SET_NAME, "a\xff b\x1b[2J\n"));
	s = look(nl, vm_id(vm_create(0)->fd));
	if (strcmp(s.comm, "a? b?[2J?"))
		FAIL("its command is shown as \"%s\"", s.comm);
	CHECK(!strncmp(s.name, "a__b__2J_", 9));
}

/* The id is in fdinfo too, and a new VM has a new one. */
TEST(ids)
{
	struct nl *nl = nl_open();
	uint64_t id, last = 0;
	char path[64], line[128];
	unsigned long long found = 0;
	struct vm *vm;
	FILE *f;
	int i;

	for (i = 0; i < 20; i++) {
		vm = vm_create(0);
		id = vm_id(vm->fd);
		CHECK(id > last);
		last = id;
		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", vm->fd);
		f = fopen(path, "r");
		CHECK(f);
		while (fgets(line, sizeof(line), f))
			sscanf(line, "lhv-vm-id: %llu", &found);
		fclose(f);
		CHECK_EQ(found, id);
		close(vm->fd);
		REFUSED(nl, vm_cmd(nl, LHV_CMD_VM_GET, id), ENOENT, "no VM of yours");
	}
}

static void on_host(void *arg, int cmd, const struct attrs *a)
{
	CHECK_EQ(cmd, LHV_CMD_HOST_GET);
	CHECK(!strcmp(attr_str(a, LHV_A_HOST_BACKEND), "svm") ||
	      !strcmp(attr_str(a, LHV_A_HOST_BACKEND), "vmx"));
	CHECK_EQ(attr_u32(a, LHV_A_HOST_API_VERSION), KVM_API_VERSION);
	CHECK(attr_u32(a, LHV_A_HOST_MAX_VCPUS) >= 16);
	CHECK_EQ(!!a->at[LHV_A_HOST_FEATURES], *(bool *)arg);
	*(uint64_t *)((char *)arg + 8) = attr_u64(a, LHV_A_HOST_LAST_VM_ID);
}

TEST(host_get)
{
	struct { bool verbose; uint64_t last; } want = { false, 0 };
	struct nl *nl = nl_open();
	struct vm *vm = vm_create(0);
	struct msg *m;

	CHECK_EQ(nl_do(nl, msg_new(LHV_CMD_HOST_GET), on_host, &want), 0);
	CHECK(want.last >= vm_id(vm->fd));
	want.verbose = true;
	m = msg_new(LHV_CMD_HOST_GET);
	msg_flag(m, LHV_A_HOST_VERBOSE);
	CHECK_EQ(nl_do(nl, m, on_host, &want), 0);
}

static int rename_to(struct nl *nl, uint64_t id, const char *name)
{
	struct msg *m = msg_new(LHV_CMD_VM_SET);

	msg_u64(m, LHV_A_VM_ID, id);
	msg_str(m, LHV_A_VM_NAME, name);
	return nl_do(nl, m, NULL, NULL);
}

static int get_by_name(struct nl *nl, const char *name, struct vm_seen *s)
{
	struct msg *m = msg_new(LHV_CMD_VM_GET);

	memset(s, 0, sizeof(*s));
	msg_str(m, LHV_A_VM_NAME, name);
	return nl_do(nl, m, on_vm, s);
}

TEST(names)
{
	static const char * const bad[] = { "", "1a", "-a", "a b", "a/b", "a\n", "\xc3\xa4", ".a" };
	struct nl *nl = nl_open();
	uint64_t a = vm_id(vm_create(0)->fd), b = vm_id(vm_create(0)->fd);
	char longest[LHV_NAME_MAX + 2];
	struct vm_seen s;
	unsigned int i;

	CHECK(strcmp(look(nl, a).name, look(nl, b).name));
	CHECK_EQ(rename_to(nl, a, "web-1.example_x"), 0);
	CHECK_EQ(rename_to(nl, a, "web-1.example_x"), 0);
	CHECK_EQ(get_by_name(nl, "web-1.example_x", &s), 0);
	CHECK_EQ(s.id, a);
	REFUSED(nl, rename_to(nl, b, "web-1.example_x"), EEXIST, "another VM");
	CHECK_EQ(rename_to(nl, a, "_other"), 0);
	CHECK_EQ(rename_to(nl, b, "web-1.example_x"), 0);
	REFUSED(nl, get_by_name(nl, "nobody", &s), ENOENT, "no VM of yours");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		REFUSED(nl, rename_to(nl, a, bad[i]), EINVAL, "not a name");
	memset(longest, 'x', sizeof(longest));
	longest[LHV_NAME_MAX + 1] = '\0';
	CHECK(rename_to(nl, a, longest) < 0);
	longest[LHV_NAME_MAX] = '\0';
	CHECK_EQ(rename_to(nl, a, longest), 0);
	CHECK_EQ(get_by_name(nl, longest, &s), 0);
	CHECK_EQ(s.id, a);
}

/* What is missing or unknown is refused with a word. */
TEST(refusals)
{
	static const int steer[] = { LHV_CMD_VM_PAUSE, LHV_CMD_VM_RESUME, LHV_CMD_VM_STOP,
				     LHV_CMD_VM_KILL };
	struct nl *nl = nl_open();
	struct vm *vm = vm_create(0);
	uint64_t id = vm_id(vm->fd);
	struct msg *m;
	unsigned int i;

	for (i = 0; i < sizeof(steer) / sizeof(steer[0]); i++) {
		REFUSED(nl, nl_do(nl, msg_new(steer[i]), NULL, NULL), EINVAL, "id is missing");
		REFUSED(nl, vm_cmd(nl, steer[i], id + 1000), ENOENT, "no VM of yours");
		CHECK(vm_cmd(nl, steer[i], 0) < 0);	/* below the policy's minimum */
	}
	REFUSED(nl, nl_do(nl, msg_new(LHV_CMD_VM_GET), NULL, NULL), EINVAL, "missing");
	REFUSED(nl, nl_do(nl, msg_new(LHV_CMD_VM_SET), NULL, NULL), EINVAL, "nothing to set");
	REFUSED(nl, nl_do(nl, msg_new(LHV_CMD_STATS_GET), NULL, NULL), EINVAL, "missing");
	REFUSED(nl, nl_do(nl, msg_new(LHV_CMD_VCPU_GET), NULL, NULL), EINVAL, "missing");
	m = msg_new(LHV_CMD_VCPU_GET);
	msg_u64(m, LHV_A_VCPU_VM_ID, id);
	REFUSED(nl, nl_do(nl, m, NULL, NULL), EINVAL, "which vCPU");
	m = msg_new(LHV_CMD_VCPU_GET);
	msg_u64(m, LHV_A_VCPU_VM_ID, id);
	msg_u32(m, LHV_A_VCPU_ID, 7);
	REFUSED(nl, nl_do(nl, m, NULL, NULL), ENOENT, "no such vCPU");
	REFUSED(nl, vm_cmd(nl, LHV_CMD_VM_RESUME, id), EALREADY, "not paused");
	REFUSED(nl, vm_cmd(nl, LHV_CMD_VM_STOP, id), EOPNOTSUPP, "cannot be asked");
	/* An attribute that the command does not know; one too short. */
	m = msg_new(LHV_CMD_VM_PAUSE);
	msg_u64(m, LHV_A_VM_ID, id);
	msg_u32(m, LHV_A_VM_UID, 0);
	CHECK(nl_do(nl, m, NULL, NULL) < 0);
	m = msg_new(LHV_CMD_VM_GET);
	msg_u32(m, LHV_A_VM_ID, id);
	CHECK(nl_do(nl, m, NULL, NULL) < 0);
	CHECK_EQ(nl_do(nl, msg_new(200), NULL, NULL), -EOPNOTSUPP);
}

struct vcpu_seen {
	int n;
	uint32_t id, state, thread;
};

static void on_vcpu(void *arg, int cmd, const struct attrs *a)
{
	struct vcpu_seen *s = arg;

	CHECK_EQ(cmd, LHV_CMD_VCPU_GET);
	CHECK(attr_u64(a, LHV_A_VCPU_VM_ID));
	s->n++;
	s->id = attr_u32(a, LHV_A_VCPU_ID);
	s->state = attr_u32(a, LHV_A_VCPU_STATE);
	s->thread = a->at[LHV_A_VCPU_THREAD] ? attr_u32(a, LHV_A_VCPU_THREAD) : 0;
}

static struct vcpu_seen look_vcpu(struct nl *nl, uint64_t id, int vcpu)
{
	struct msg *m = msg_new(LHV_CMD_VCPU_GET);
	struct vcpu_seen s = { 0 };

	msg_u64(m, LHV_A_VCPU_VM_ID, id);
	msg_u32(m, LHV_A_VCPU_ID, vcpu);
	CHECK_EQ(nl_do(nl, m, on_vcpu, &s), 0);
	CHECK_EQ(s.n, 1);
	return s;
}

static void await_vcpu(struct nl *nl, uint64_t id, int vcpu, uint32_t state)
{
	uint64_t end = now_ns() + 10000000000ULL;

	while (look_vcpu(nl, id, vcpu).state != state) {
		if (now_ns() > end)
			FAIL("vCPU %d is in state %u, not %u", vcpu,
			     look_vcpu(nl, id, vcpu).state, state);
		sched_yield();
	}
}

TEST(vcpu_get)
{
	struct nl *nl = nl_open();
	struct vm *vm = vm_create(VM_IRQCHIP);
	struct vcpu_seen s = { 0 };
	struct runner r[3];
	uint64_t id;
	struct msg *m;
	int i;

	for (i = 0; i < 3; i++)
		GUEST(vm, HALT);
	id = vm_id(vm->fd);
	s = look_vcpu(nl, id, 1);
	CHECK_EQ(s.id, 1);
	CHECK_EQ(s.state, LHV_VCPU_STATE_OUTSIDE);
	CHECK_EQ(s.thread, 0);
	for (i = 0; i < 3; i++)
		runner_start(&r[i], &vm->vcpus[i]);
	await_vcpu(nl, id, 0, LHV_VCPU_STATE_HALTED);
	await_vcpu(nl, id, 1, LHV_VCPU_STATE_WAITING);
	CHECK(look_vcpu(nl, id, 0).thread && look_vcpu(nl, id, 0).thread != (uint32_t)getpid());
	memset(&s, 0, sizeof(s));
	m = msg_new(LHV_CMD_VCPU_GET);
	msg_u64(m, LHV_A_VCPU_VM_ID, id);
	CHECK_EQ(nl_dump(nl, m, on_vcpu, &s), 0);
	CHECK_EQ(s.n, 3);
	for (i = 0; i < 3; i++)
		runner_join(&r[i]);
	/* The thread is gone, and its number is free for others. */
	CHECK_EQ(look_vcpu(nl, id, 0).thread, 0);
}

/* ---- pause, resume, stop, kill ---- */

static void wait_running(struct nl *nl, uint64_t id)
{
	uint64_t end = now_ns() + 10000000000ULL;

	while (vm_state(nl, id) == LHV_VM_STATE_CREATED) {
		CHECK(now_ns() < end);
		sched_yield();
	}
}

/* Port accesses of the guest since the VM was made */
static void on_exits(void *arg, int cmd, const struct attrs *a)
{
	(void)cmd;
	*(uint64_t *)arg = attr_u64(a, LHV_A_STATS_TOTAL_EXITS);
}

static uint64_t exits(struct nl *nl, uint64_t id)
{
	struct msg *m = msg_new(LHV_CMD_STATS_GET);
	uint64_t n = 0;

	msg_u64(m, LHV_A_STATS_VM_ID, id);
	CHECK_EQ(nl_do(nl, m, on_exits, &n), 0);
	return n;
}

static void pause_resume(const char *code, size_t size, unsigned int flags)
{
	struct nl *nl = nl_open();
	struct vm *vm = vm_create(flags);
	struct runner r;
	uint64_t id, before, n, worst = 0, t;
	int i;

	guest_in(vm, code, size);
	id = vm_id(vm->fd);
	runner_start(&r, &vm->vcpus[0]);
	wait_running(nl, id);
	for (i = 0; i < 20; i++) {
		t = now_ns();
		CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_PAUSE, id), 0);
		t = now_ns() - t;
		worst = t > worst ? t : worst;
		CHECK_EQ(vm_state(nl, id), LHV_VM_STATE_PAUSED);
		REFUSED(nl, vm_cmd(nl, LHV_CMD_VM_PAUSE, id), EALREADY, "paused already");
		await_vcpu(nl, id, 0, LHV_VCPU_STATE_PAUSED);
		before = exits(nl, id);
		usleep(2000);
		CHECK_EQ(exits(nl, id), before);
		CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_RESUME, id), 0);
		if (size == sizeof(HALT) - 1 && !memcmp(code, HALT, size)) {
			await_vcpu(nl, id, 0, LHV_VCPU_STATE_HALTED);
			continue;
		}
		t = now_ns() + 10000000000ULL;
		do {
			n = exits(nl, id);
			CHECK(now_ns() < t);
		} while (n == before);
	}
	test_note("longest pause request: %llu us", (unsigned long long)worst / 1000);
	runner_join(&r);
}

TEST(pause_spinning) { pause_resume(SPIN, sizeof(SPIN) - 1, 0); }
TEST(pause_deaf) { pause_resume(DEAF_SPIN, sizeof(DEAF_SPIN) - 1, 0); }
TEST(pause_io) { pause_resume(OUT_LOOP, sizeof(OUT_LOOP) - 1, 0); }
TEST(pause_kernel_io) { pause_resume(IN_LOOP, sizeof(IN_LOOP) - 1, VM_IRQCHIP | VM_PIT); }
TEST(pause_halted) { pause_resume(HALT, sizeof(HALT) - 1, VM_IRQCHIP); }

/*
 * How long does a request take until busy vCPUs have left the guest? Two VMs of two vCPUs each, one
 * deaf, one that exits all the time, more than the machine's CPUs. The median is what the design
 * promises; what the emulator's own machine puts in between counts in the worst.
 */
#define PAUSES		100
#define PAUSE_MS	10
#define PAUSE_WORST_MS	1000

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void report_latency(const char *what, uint64_t *t)
{
	qsort(t, PAUSES, sizeof(t[0]), by_value);
	test_note("%s within %llu us (median), %llu us (95 of 100), %llu us (worst)", what,
		  (unsigned long long)t[PAUSES / 2] / 1000,
		  (unsigned long long)t[PAUSES * 95 / 100] / 1000,
		  (unsigned long long)t[PAUSES - 1] / 1000);
}

static void *spin(void *arg)
{
	while (!__atomic_load_n((bool *)arg, __ATOMIC_RELAXED))
		;
	return NULL;
}

/* What the machine takes for the same without any guest: interrupt a busy CPU and wait for it. */
static void ipi_latency(void)
{
	uint64_t t[PAUSES];
	bool over = false;
	pthread_t thread[2];
	int i;

	if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0))
		return;
	for (i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, spin, &over), 0);
	for (i = 0; i < PAUSES; i++) {
		usleep(1000);
		t[i] = now_ns();
		CHECK_OK(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
		t[i] = now_ns() - t[i];
	}
	__atomic_store_n(&over, true, __ATOMIC_RELAXED);
	for (i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	report_latency("for comparison: threads are interrupted", t);
}

TEST(pause_latency, .timeout = 100)
{
	struct vm *deaf = vm_create(0), *busy = vm_create(0);
	uint64_t id[2] = { vm_id(deaf->fd), vm_id(busy->fd) }, t[PAUSES];
	struct nl *nl = nl_open();
	struct runner r[4];
	int i;

	for (i = 0; i < 2; i++) {
		GUEST(deaf, DEAF_SPIN);
		GUEST(busy, OUT_LOOP);
	}
	for (i = 0; i < 2; i++) {
		runner_start(&r[i], &deaf->vcpus[i]);
		runner_start(&r[2 + i], &busy->vcpus[i]);
	}
	wait_running(nl, id[0]);
	wait_running(nl, id[1]);
	for (i = 0; i < PAUSES; i++) {
		t[i] = now_ns();
		CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_PAUSE, id[i % 2]), 0);
		t[i] = now_ns() - t[i];
		CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_RESUME, id[i % 2]), 0);
		usleep(1000);
	}
	for (i = 0; i < 4; i++)
		runner_join(&r[i]);
	report_latency("paused", t);
	ipi_latency();
	CHECK(t[PAUSES / 2] < PAUSE_MS * 1000000ULL);
	CHECK(t[PAUSES - 1] < PAUSE_WORST_MS * 1000000ULL);
}

/* A vCPU that is made, or comes to KVM_RUN, while the VM is paused waits; signals get through. */
TEST(pause_first)
{
	struct nl *nl = nl_open();
	struct vm *vm = vm_create(0);
	uint64_t id = vm_id(vm->fd);
	struct runner r;

	CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_PAUSE, id), 0);
	GUEST(vm, OUT_LOOP);
	runner_start(&r, &vm->vcpus[0]);
	await_vcpu(nl, id, 0, LHV_VCPU_STATE_PAUSED);
	CHECK_EQ(exits(nl, id), 0);
	runner_join(&r);
	CHECK_EQ(r.ret, -1);
	CHECK_EQ(r.err, EINTR);
	vm->vcpus[0].run->immediate_exit = 0;
	CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_RESUME, id), 0);
	CHECK_OK(ioctl(vm->vcpus[0].fd, KVM_RUN, 0));
	CHECK_EQ(vm->vcpus[0].run->exit_reason, KVM_EXIT_IO);
}

/* struct pvclock_vcpu_time_info, which is no installed header's */
#define PVCLOCK_FLAGS		29
#define PVCLOCK_GUEST_STOPPED	2
#define CLOCK_GPA		0x8000

/* The guest learns that it was stopped, so that its watchdogs stay quiet. */
TEST(pause_kvmclock)
{
	struct nl *nl = nl_open();
	struct vm *vm = vm_create(0);
	struct vcpu *vcpu = GUEST(vm, OUT_LOOP);
	uint8_t *flags = vm->ram + CLOCK_GPA + PVCLOCK_FLAGS;
	uint64_t id = vm_id(vm->fd);

	vcpu_set_msr(vcpu, MSR_KVM_SYSTEM_TIME_NEW, CLOCK_GPA | KVM_MSR_ENABLED);
	CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
	CHECK(!(*flags & PVCLOCK_GUEST_STOPPED));
	CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_PAUSE, id), 0);
	CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_RESUME, id), 0);
	CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
	CHECK(*flags & PVCLOCK_GUEST_STOPPED);
}

static void kill_guest(const char *code, size_t size, unsigned int flags, bool paused)
{
	struct nl *nl = nl_open();
	struct vm *vm = vm_create(flags);
	struct vm_seen s;
	struct runner r;
	uint64_t id;

	guest_in(vm, code, size);
	id = vm_id(vm->fd);
	runner_start(&r, &vm->vcpus[0]);
	wait_running(nl, id);
	if (paused)
		CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_PAUSE, id), 0);
	CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_KILL, id), 0);
	CHECK_EQ(pthread_join(r.thread, NULL), 0);
	CHECK_EQ(r.ret, -1);
	CHECK_EQ(r.err, EIO);
	s = look(nl, id);
	CHECK_EQ(s.state, LHV_VM_STATE_KILLED);
	CHECK_EQ(s.resident, 0);
	CHECK_EQ(s.tables, PAGE_SIZE);
	REFUSED(nl, vm_cmd(nl, LHV_CMD_VM_KILL, id), EALREADY, "killed already");
	REFUSED(nl, vm_cmd(nl, LHV_CMD_VM_PAUSE, id), ESHUTDOWN, "was killed");
	REFUSED(nl, vm_cmd(nl, LHV_CMD_VM_RESUME, id), ESHUTDOWN, "was killed");
	REFUSED(nl, vm_cmd(nl, LHV_CMD_VM_STOP, id), ESHUTDOWN, "was killed");
	CHECK_ERR(ioctl(vm->vcpus[0].fd, KVM_RUN, 0), EIO);
	CHECK_ERR(ioctl(vm->fd, KVM_CREATE_VCPU, 9), EIO);
}

TEST(kill_spinning) { kill_guest(DEAF_SPIN, sizeof(DEAF_SPIN) - 1, 0, false); }
TEST(kill_io) { kill_guest(OUT_LOOP, sizeof(OUT_LOOP) - 1, 0, false); }
TEST(kill_halted) { kill_guest(HALT, sizeof(HALT) - 1, VM_IRQCHIP, false); }
TEST(kill_paused) { kill_guest(SPIN, sizeof(SPIN) - 1, 0, true); }

/* A VMM that hangs (it is stopped) does not keep its guest alive. */
TEST(kill_hung)
{
	struct nl *nl = nl_open();
	struct vm_seen s;
	uint64_t id = 0;
	int pipes[2];
	pid_t pid;

	CHECK_OK(pipe(pipes));
	pid = CHECK_OK(fork());
	if (!pid) {
		struct vm *vm = vm_create(0);

		GUEST(vm, OUT_LOOP);
		CHECK_OK(ioctl(vm->vcpus[0].fd, KVM_RUN, 0));
		id = vm_id(vm->fd);
		CHECK_EQ(write(pipes[1], &id, sizeof(id)), sizeof(id));
		for (;;)
			raise(SIGSTOP);
	}
	CHECK_EQ(read(pipes[0], &id, sizeof(id)), sizeof(id));
	CHECK_EQ(waitpid(pid, NULL, WUNTRACED), pid);
	CHECK(look(nl, id).resident);
	CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_KILL, id), 0);
	s = look(nl, id);
	CHECK_EQ(s.resident, 0);
	CHECK_EQ(s.state, LHV_VM_STATE_KILLED);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

TEST(stop_eventfd)
{
	struct nl *nl = nl_open();
	struct vm *vm = vm_create(0);
	uint64_t id = vm_id(vm->fd), count = 0;
	int efd = CHECK_OK(eventfd(0, EFD_NONBLOCK)), none = -1, other;

	other = dup(0);
	CHECK_ERR(ioctl(vm->fd, LHV_SET_STOP_EVENTFD, &other), EINVAL);
	other = 9999;
	CHECK_ERR(ioctl(vm->fd, LHV_SET_STOP_EVENTFD, &other), EBADF);
	other = -2;
	CHECK_ERR(ioctl(vm->fd, LHV_SET_STOP_EVENTFD, &other), EINVAL);
	CHECK_OK(ioctl(vm->fd, LHV_SET_STOP_EVENTFD, &efd));
	CHECK(look(nl, id).can_stop);
	CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_STOP, id), 0);
	CHECK_EQ(read(efd, &count, sizeof(count)), sizeof(count));
	CHECK_EQ(count, 1);
	CHECK_EQ(vm_state(nl, id), LHV_VM_STATE_STOPPING);
	CHECK_OK(ioctl(vm->fd, LHV_SET_STOP_EVENTFD, &none));
	CHECK(!look(nl, id).can_stop);
	REFUSED(nl, vm_cmd(nl, LHV_CMD_VM_STOP, id), EOPNOTSUPP, "cannot be asked");
}

/* ---- counters ---- */

struct stats {
	int n;
	uint64_t pio, hlt, total, halts, run, host, faults, p4k, resident;
	bool per_vcpu, latency;
	uint64_t latency_sum;
};

static void on_stats(void *arg, int cmd, const struct attrs *a)
{
	struct stats *s = arg;
	const struct nlattr *n = (void *)a;
	struct attrs e;

	CHECK_EQ(cmd, LHV_CMD_STATS_GET);
	s->n++;
	(void)n;
	if (a->at[LHV_A_STATS_EXITS]) {
		/* The last reason only; the tests below make sure that it is the one. */
		attrs_nest(&e, a->at[LHV_A_STATS_EXITS]);
		if (!strcmp(attr_str(&e, LHV_A_EXIT_COUNT_REASON), "PIO"))
			s->pio = attr_u64(&e, LHV_A_EXIT_COUNT_COUNT);
		s->latency = e.at[LHV_A_EXIT_COUNT_LATENCY];
		if (s->latency) {
			const uint32_t *b = (void *)(e.at[LHV_A_EXIT_COUNT_LATENCY] + 1);
			int i;

			for (i = 0; i < LHV_LATENCY_BUCKETS; i++)
				s->latency_sum += b[i];
		}
	}
	s->total = attr_u64(a, LHV_A_STATS_TOTAL_EXITS);
	s->halts = attr_u64(a, LHV_A_STATS_HALTS);
	s->run = attr_u64(a, LHV_A_STATS_RUN_NS);
	s->host = attr_u64(a, LHV_A_STATS_HOST_NS);
	s->faults = attr_u64(a, LHV_A_STATS_FAULTS);
	s->per_vcpu = a->at[LHV_A_STATS_VCPU_ID];
	if (!s->per_vcpu) {
		s->p4k = attr_u64(a, LHV_A_STATS_PAGES_4K);
		s->resident = attr_u64(a, LHV_A_STATS_RESIDENT);
	}
}

static struct stats stats_of(struct nl *nl, uint64_t id, int vcpu)
{
	struct msg *m = msg_new(LHV_CMD_STATS_GET);
	struct stats s = { 0 };

	msg_u64(m, LHV_A_STATS_VM_ID, id);
	if (vcpu >= 0)
		msg_u32(m, LHV_A_STATS_VCPU_ID, vcpu);
	CHECK_EQ(nl_do(nl, m, on_stats, &s), 0);
	CHECK_EQ(s.n, 1);
	return s;
}

TEST(stats_get)
{
	struct nl *nl = nl_open();
	struct vm *vm = vm_create(0);
	struct vcpu *vcpu = GUEST(vm, OUT_LOOP);
	uint64_t id = vm_id(vm->fd);
	struct stats s, one;
	struct msg *m;
	int i;

	GUEST(vm, OUT_LOOP);
	for (i = 0; i < 50; i++)
		CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
	s = stats_of(nl, id, -1);
	one = stats_of(nl, id, 0);
	CHECK(one.per_vcpu && !s.per_vcpu);
	CHECK(s.total >= 50 && s.total == one.total);
	CHECK(s.faults >= 1);
	CHECK_EQ(s.resident, look(nl, id).resident);
	CHECK(s.resident >= PAGE_SIZE);
	CHECK_EQ(stats_of(nl, id, 1).total, 0);
	memset(&s, 0, sizeof(s));
	m = msg_new(LHV_CMD_STATS_GET);
	msg_u64(m, LHV_A_STATS_VM_ID, id);
	CHECK_EQ(nl_dump(nl, m, on_stats, &s), 0);
	CHECK_EQ(s.n, 2);
	CHECK(s.per_vcpu);
	memset(&s, 0, sizeof(s));
	CHECK_EQ(nl_dump(nl, msg_new(LHV_CMD_STATS_GET), on_stats, &s), 0);
	CHECK(s.n >= 1 && !s.per_vcpu);
}

/* No number goes back, whichever thread runs the vCPU. */
TEST(stats_monotonic)
{
	struct nl *nl = nl_open();
	struct vm *vm = vm_create(0);
	struct stats s, last = { 0 };
	struct runner r;
	uint64_t id, end;
	int i;

	GUEST(vm, OUT_LOOP);
	id = vm_id(vm->fd);
	for (i = 0; i < 5; i++) {
		vm->vcpus[0].run->immediate_exit = 0;
		runner_start(&r, &vm->vcpus[0]);
		end = now_ns() + 200000000;
		while (now_ns() < end) {
			s = stats_of(nl, id, -1);
			CHECK(s.total >= last.total && s.run >= last.run && s.host >= last.host);
			last = s;
		}
		runner_join(&r);
	}
	CHECK(last.run + last.host);
}

struct faults {
	uint64_t all, read, write, exec, protected, mmio;
};

static void on_faults(void *arg, int cmd, const struct attrs *a)
{
	struct faults *f = arg;

	(void)cmd;
	f->all = attr_u64(a, LHV_A_STATS_FAULTS);
	f->read = attr_u64(a, LHV_A_STATS_READ_FAULTS);
	f->write = attr_u64(a, LHV_A_STATS_WRITE_FAULTS);
	f->exec = attr_u64(a, LHV_A_STATS_EXEC_FAULTS);
	f->protected = attr_u64(a, LHV_A_STATS_PROTECTED_FAULTS);
	f->mmio = attr_u64(a, LHV_A_STATS_MMIO_FAULTS);
}

static struct faults faults_of(struct nl *nl, uint64_t id)
{
	struct msg *m = msg_new(LHV_CMD_STATS_GET);
	struct faults f;

	msg_u64(m, LHV_A_STATS_VM_ID, id);
	CHECK_EQ(nl_do(nl, m, on_faults, &f), 0);
	CHECK_EQ(f.all, f.read + f.write + f.exec + f.protected);
	return f;
}

/* A fetch, a read, a write, a write to what is logged, and one where no memory is. */
TEST(fault_kinds)
{
	/* out; mov 0x5000, %ax; out; mov %ax, 0x6000; out; the same; out; mov $0xe000, %ax; mov %ax, %ds; mov %ax, 0 */
	static const char code[] = "\xba\x00\x02\xee\xa1\x00\x50\xee\xa3\x00\x60\xee"
		"\xa3\x00\x60\xee\xb8\x00\xe0\x8e\xd8\xa3\x00\x00\xee";
	struct nl *nl = nl_open();
	struct vm *vm = vm_create(0);
	struct faults f, was;
	struct vcpu *vcpu;
	uint64_t id = vm_id(vm->fd);

	vm_ram(vm, 0x80000);
	/* Small pages, all there in the VMM: the host has no reason to hold one back. */
	madvise(vm->ram, vm->ram_size, MADV_NOHUGEPAGE);
	memset(vm->ram, 1, vm->ram_size);
	vcpu = guest_in(vm, code, sizeof(code) - 1);
	CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
	was = faults_of(nl, id);
	CHECK(was.exec >= 1);
	CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
	f = faults_of(nl, id);
	CHECK_EQ(f.read, was.read + 1);
	CHECK_EQ(f.write, was.write);
	CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
	was = faults_of(nl, id);
	CHECK_EQ(was.write, f.write + 1);
	CHECK_EQ(was.protected, f.protected);
	vm_set_slot(vm, 0, KVM_MEM_LOG_DIRTY_PAGES, 0, vm->ram_size, vm->ram);
	CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
	f = faults_of(nl, id);
	CHECK_EQ(f.protected, was.protected + 1);
	CHECK_EQ(f.mmio, was.mmio);
	CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
	CHECK_EQ(vcpu->run->exit_reason, KVM_EXIT_MMIO);
	was = faults_of(nl, id);
	CHECK_EQ(was.mmio, f.mmio + 1);
	CHECK_EQ(was.all, f.all);
}

static void on_dirty(void *arg, int cmd, const struct attrs *a)
{
	(void)cmd;
	*(uint64_t *)arg = attr_u64(a, LHV_A_STATS_DIRTY_PAGES);
}

static uint64_t dirty_pages(struct nl *nl, uint64_t id)
{
	struct msg *m = msg_new(LHV_CMD_STATS_GET);
	uint64_t n = ~0ULL;

	msg_u64(m, LHV_A_STATS_VM_ID, id);
	CHECK_EQ(nl_do(nl, m, on_dirty, &n), 0);
	return n;
}

/* mov %ax, 0x5000; mov %ax, 0x6000; then port I/O */
TEST(dirty)
{
	static const char code[] = "\xa3\x00\x50\xa3\x00\x60" OUT_LOOP;
	uint64_t bitmap[64];
	struct kvm_dirty_log log = { .slot = 0, .dirty_bitmap = bitmap };
	struct nl *nl = nl_open();
	struct vm *vm = vm_create(0);
	struct vcpu *vcpu = guest_in(vm, code, sizeof(code) - 1);
	uint64_t id = vm_id(vm->fd);

	CHECK_EQ(dirty_pages(nl, id), 0);
	vm_set_slot(vm, 0, KVM_MEM_LOG_DIRTY_PAGES, 0, vm->ram_size, vm->ram);
	CHECK(vm->ram_size / PAGE_SIZE <= sizeof(bitmap) * 8);
	CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
	CHECK_EQ(dirty_pages(nl, id), 2);
	CHECK_OK(ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log));
	CHECK_EQ(dirty_pages(nl, id), 0);
}

static void write_param(const char *name, const char *value)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/module/lhv/parameters/%s", name);
	f = fopen(path, "w");
	CHECK(f && fputs(value, f) >= 0);
	CHECK_EQ(fclose(f), 0);
}

/* Histograms are there once they are wanted, for VMs that were there before too. */
TEST(latency)
{
	struct nl *nl = nl_open();
	struct vm *vm = vm_create(0);
	struct vcpu *vcpu = GUEST(vm, OUT_LOOP);
	uint64_t id = vm_id(vm->fd);
	struct stats s;
	int i;

	for (i = 0; i < 10; i++)
		CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
	CHECK(!stats_of(nl, id, -1).latency);
	write_param("latency", "1");
	for (i = 0; i < 101; i++)
		CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
	write_param("latency", "0");
	s = stats_of(nl, id, -1);
	CHECK(s.latency);
	/* The last reason in the list is not PIO when a fault came after: look at one that is. */
	if (s.pio)
		CHECK(s.latency_sum >= 100 && s.latency_sum <= 102);
	for (i = 0; i < 10; i++)
		CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
	CHECK_EQ(stats_of(nl, id, -1).latency_sum, s.latency_sum);
}
