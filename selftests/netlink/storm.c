// SPDX-License-Identifier: GPL-2.0
/* Many VMs, VMs that come and go under a dump, many agents at one VM. */
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nl.h"

#define LASTING		200
#define DUMPS		60
#define MANY		1000
#define MANY_SECONDS	5	/* a slow machine makes fewer in that time */
#define STEERS		2500	/* by each of four agents */
#define STEER_SECONDS	30	/* on a slow machine fewer */

static int new_vm(int sys)
{
	int fd;

	do {
		fd = ioctl(sys, KVM_CREATE_VM, 0);
	} while (fd < 0 && errno == EINTR);
	return CHECK_OK(fd);
}

static void raise_files(void)
{
	struct rlimit r = { 65536, 65536 };

	CHECK_OK(setrlimit(RLIMIT_NOFILE, &r));
}

/* ---- dumps ---- */

static volatile bool over;

static void *come_and_go(void *arg)
{
	int sys = dev_open(), fd[8], i;

	(void)arg;
	while (!over) {
		for (i = 0; i < 8; i++)
			fd[i] = new_vm(sys);
		for (i = 0; i < 8; i++)
			close(fd[i]);
	}
	return NULL;
}

struct listing {
	uint64_t last, first_lasting, last_lasting;
	int lasting, others;
};

static void on_listed(void *arg, int cmd, const struct attrs *a)
{
	struct listing *l = arg;
	uint64_t id = attr_u64(a, LHV_A_VM_ID);

	(void)cmd;
	/* In the order of ids, so none comes twice. */
	CHECK(id > l->last);
	l->last = id;
	if (id >= l->first_lasting && id <= l->last_lasting)
		l->lasting++;
	else
		l->others++;
}

/* No VM twice, none missing that lived throughout; and a dump says when it was disturbed. */
TEST(dump_storm, .timeout = 120)
{
	int sys = dev_open(), i, disturbed = 0, others = 0, parts = 0;
	struct nl *nl = nl_open();
	struct listing l = { 0 };
	uint64_t first = 0, last = 0;
	pthread_t thread;

	raise_files();
	for (i = 0; i < LASTING; i++) {
		last = vm_id(new_vm(sys));
		if (!first)
			first = last;
	}
	CHECK_EQ(pthread_create(&thread, NULL, come_and_go, NULL), 0);
	/* Some of them, and on until both have been seen. */
	for (i = 0; i < DUMPS || !disturbed || !others; i++) {
		l = (struct listing){ .first_lasting = first, .last_lasting = last };
		CHECK_EQ(nl_dump(nl, msg_new(LHV_CMD_VM_GET), on_listed, &l), 0);
		CHECK_EQ(l.lasting, LASTING);
		disturbed += nl->intr;
		others += l.others;
		parts += nl->parts;
	}
	over = true;
	pthread_join(thread, NULL);
	test_note("%d dumps in %d parts, %d disturbed, %d passing VMs seen", i, parts, disturbed,
		  others);
	CHECK(parts > 2 * i);
	l = (struct listing){ .first_lasting = first, .last_lasting = last };
	CHECK_EQ(nl_dump(nl, msg_new(LHV_CMD_VM_GET), on_listed, &l), 0);
	CHECK(!nl->intr && l.lasting == LASTING);
}

static void count(void *arg, int cmd, const struct attrs *a)
{
	(void)cmd;
	(void)a;
	++*(int *)arg;
}

static int count_vms(struct nl *nl, int attr, uint32_t value)
{
	struct msg *m = msg_new(LHV_CMD_VM_GET);
	int n = 0;

	if (attr)
		msg_u32(m, attr, value);
	CHECK_EQ(nl_dump(nl, m, count, &n), 0);
	return n;
}

TEST(filters)
{
	struct nl *nl = nl_open();
	int sys = dev_open(), fd[5], i, n = 0;
	struct msg *m;

	for (i = 0; i < 5; i++)
		fd[i] = new_vm(sys);
	CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_PAUSE, vm_id(fd[2])), 0);
	CHECK(count_vms(nl, 0, 0) >= 5);
	CHECK_EQ(count_vms(nl, LHV_A_VM_STATE, LHV_VM_STATE_PAUSED), 1);
	CHECK(count_vms(nl, LHV_A_VM_STATE, LHV_VM_STATE_CREATED) >= 4);
	CHECK(count_vms(nl, LHV_A_VM_UID, getuid()) >= 5);
	CHECK_EQ(count_vms(nl, LHV_A_VM_UID, 54321), 0);
	m = msg_new(LHV_CMD_VM_GET);
	msg_u64(m, LHV_A_VM_ID, vm_id(fd[3]));
	CHECK_EQ(nl_dump(nl, m, count, &n), 0);
	CHECK_EQ(n, 1);
	m = msg_new(LHV_CMD_VM_SET);
	msg_u64(m, LHV_A_VM_ID, vm_id(fd[4]));
	msg_str(m, LHV_A_VM_NAME, "filtered");
	CHECK_EQ(nl_do(nl, m, NULL, NULL), 0);
	n = 0;
	m = msg_new(LHV_CMD_VM_GET);
	msg_str(m, LHV_A_VM_NAME, "filtered");
	CHECK_EQ(nl_dump(nl, m, count, &n), 0);
	CHECK_EQ(n, 1);
	/* A state beyond the last one is refused. */
	m = msg_new(LHV_CMD_VM_GET);
	msg_u32(m, LHV_A_VM_STATE, 77);
	CHECK(nl_dump(nl, m, count, &n) < 0);
}

static long available_kib(void)
{
	char line[128];
	long kib = 0;
	FILE *f = fopen("/proc/meminfo", "r");

	CHECK(f);
	while (fgets(line, sizeof(line), f))
		sscanf(line, "MemAvailable: %ld", &kib);
	fclose(f);
	return kib;
}

/* A thousand VMs of one vCPU: listed, paused, resumed, killed. Listing is linear. */
TEST(thousand, .timeout = 240)
{
	int sys = dev_open(), i, many;
	int *vm = calloc(MANY, sizeof(int));
	uint64_t t[6], tenth = 0;
	struct nl *nl = nl_open();
	long before, after;

	raise_files();
	before = available_kib();
	t[0] = now_ns();
	for (many = 0; many < MANY && now_ns() < t[0] + MANY_SECONDS * 1000000000ULL; many++) {
		vm[many] = new_vm(sys);
		CHECK_OK(ioctl(vm[many], KVM_CREATE_VCPU, 0));
		if (many + 1 == MANY / 10) {
			tenth = now_ns();
			CHECK(count_vms(nl, 0, 0) >= MANY / 10);
			tenth = now_ns() - tenth;
		}
	}
	after = available_kib();
	t[1] = now_ns();
	CHECK(count_vms(nl, 0, 0) >= many);
	t[2] = now_ns();
	for (i = 0; i < many; i++)
		CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_PAUSE, vm_id(vm[i])), 0);
	t[3] = now_ns();
	for (i = 0; i < many; i++)
		CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_RESUME, vm_id(vm[i])), 0);
	t[4] = now_ns();
	/* Killing ends the fd's use: the id is asked for before. */
	for (i = 0; i < many; i++)
		CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_KILL, vm_id(vm[i])), 0);
	t[5] = now_ns();
	CHECK(count_vms(nl, LHV_A_VM_STATE, LHV_VM_STATE_KILLED) >= many);
	test_note("%d VMs: created %llu us, listed %llu us (a tenth of them %llu us), paused %llu us, resumed %llu us, killed %llu us each; %ld KiB each",
		  many, (t[1] - t[0]) / 1000ULL / many, (t[2] - t[1]) / 1000ULL / many,
		  (unsigned long long)tenth / 1000 / (MANY / 10), (t[3] - t[2]) / 1000ULL / many,
		  (t[4] - t[3]) / 1000ULL / many, (t[5] - t[4]) / 1000ULL / many,
		  (before - after) / many);
	/* Ten times as many may not take a hundred times as long. */
	if (many == MANY)
		CHECK(t[2] - t[1] < 40 * tenth + 20000000);
}

/* ---- many agents at one VM ---- */

struct agent {
	uint64_t id;
	unsigned int seed;
	int asked, done, killed;
	pthread_barrier_t *all;
};

static void *steer(void *arg)
{
	uint64_t end = now_ns() + STEER_SECONDS * 1000000000ULL;
	struct agent *a = arg;
	struct nl *nl = nl_open();
	int i, ret;

	for (i = 0; i < STEERS && now_ns() < end; i++) {
		bool pause = rand_r(&a->seed) & 1;

		ret = vm_cmd(nl, pause ? LHV_CMD_VM_PAUSE : LHV_CMD_VM_RESUME, a->id);
		CHECK(!ret || ret == -EALREADY);
		a->done += !ret;
		a->asked++;
	}
	/* Then they kill it, all at once. */
	pthread_barrier_wait(a->all);
	a->killed = !vm_cmd(nl, LHV_CMD_VM_KILL, a->id);
	nl_close(nl);
	return NULL;
}

static void steer_guest(const char *code, size_t size, unsigned int flags)
{
	struct vm *vm = vm_create(flags);
	int i, asked = 0, done = 0, killed = 0;
	pthread_barrier_t all;
	struct agent a[4];
	pthread_t t[4];
	struct runner r;

	guest_in(vm, code, size);
	runner_start(&r, &vm->vcpus[0]);
	pthread_barrier_init(&all, NULL, 4);
	for (i = 0; i < 4; i++) {
		a[i] = (struct agent){ .id = vm_id(vm->fd), .seed = i + 1, .all = &all };
		CHECK_EQ(pthread_create(&t[i], NULL, steer, &a[i]), 0);
	}
	for (i = 0; i < 4; i++) {
		pthread_join(t[i], NULL);
		asked += a[i].asked;
		done += a[i].done;
		killed += a[i].killed;
	}
	pthread_join(r.thread, NULL);
	CHECK_EQ(r.err, EIO);
	CHECK_EQ(killed, 1);
	test_note("%d of %d requests took effect", done, asked);
}

TEST(steer_storm, .timeout = 120) { steer_guest(OUT_LOOP, sizeof(OUT_LOOP) - 1, 0); }
TEST(steer_storm_halted, .timeout = 120) { steer_guest(HALT, sizeof(HALT) - 1, VM_IRQCHIP); }

/* A paused guest is where it was when it is resumed: nothing is lost, nothing done twice. */
#define COUNT_TO	20000

TEST(pause_exact, .timeout = 60)
{
	/* mov $0x200, %dx; xor %ax, %ax; 1: inc %ax; out %ax, %dx; jmp 1b */
	static const char code[] = "\xba\x00\x02\x31\xc0\x40\xef\xeb\xfc";
	struct vm *vm = vm_create(0);
	struct vcpu *vcpu = guest_in(vm, code, sizeof(code) - 1);
	struct agent a = { .id = vm_id(vm->fd) };
	uint16_t seen;
	uint64_t end = now_ns() + STEER_SECONDS * 1000000000ULL;
	pid_t pid;
	int i;

	pid = CHECK_OK(fork());
	if (!pid) {
		struct nl *other = nl_open();

		for (;;) {
			vm_cmd(other, LHV_CMD_VM_PAUSE, a.id);
			vm_cmd(other, LHV_CMD_VM_RESUME, a.id);
		}
	}
	for (i = 1; i <= COUNT_TO && now_ns() < end; i++) {
		CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
		CHECK_EQ(vcpu->run->exit_reason, KVM_EXIT_IO);
		memcpy(&seen, (char *)vcpu->run + vcpu->run->io.data_offset, sizeof(seen));
		CHECK_EQ(seen, (uint16_t)i);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* Agents that die in the middle of a dump leave nothing behind. */
TEST(agent_killed, .timeout = 120)
{
	int sys = dev_open(), i;
	struct nl *nl;
	pid_t pid;

	raise_files();
	for (i = 0; i < LASTING; i++)
		new_vm(sys);
	for (i = 0; i < 60; i++) {
		pid = CHECK_OK(fork());
		if (!pid) {
			nl = nl_open();
			for (;;) {
				struct msg *m = msg_new(LHV_CMD_VM_GET);

				m->head.nlmsg_type = nl->family;
				m->head.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
				m->head.nlmsg_seq = ++nl->seq;
				if (send(nl->fd, m, m->head.nlmsg_len, 0) < 0 && errno != EBUSY)
					_exit(1);
				free(m);
				recv(nl->fd, nl->buf, sizeof(nl->buf), 0);
			}
		}
		usleep(1000 + i * 300);
		kill(pid, SIGKILL);
		CHECK_EQ(waitpid(pid, NULL, 0), pid);
	}
	nl = nl_open();
	CHECK(count_vms(nl, 0, 0) >= LASTING);
}
