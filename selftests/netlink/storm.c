// SPDX-License-Identifier: GPL-2.0
/* VMs that come and go under a dump, many agents at one VM. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nl.h"

#define LASTING		200
#define DUMPS		60
#define STEERS		2500	/* by each of four agents */
#define STEER_SECONDS	30	/* on a slow machine fewer */

/* ---- dumps ---- */

static volatile bool over;

static void *come_and_go(void *arg)
{
	vms_come_and_go(arg, &over);
	return NULL;
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
	CHECK_EQ(pthread_create(&thread, NULL, come_and_go, &sys), 0);
	/* Some of them, and on until both have been seen. */
	for (i = 0; i < DUMPS || !disturbed || !others; i++) {
		l = (struct listing){ .first_lasting = first, .last_lasting = last };
		CHECK_EQ(nl_dump(nl, msg_new(LHV_CMD_VM_GET), listing_add, &l), 0);
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
	CHECK_EQ(nl_dump(nl, msg_new(LHV_CMD_VM_GET), listing_add, &l), 0);
	CHECK(!nl->intr && l.lasting == LASTING);
}

static void count(void *arg, int cmd, const struct attrs *a)
{
	(void)cmd;
	(void)a;
	++*(int *)arg;
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

/* ---- many agents at one VM ---- */

struct agent {
	uint64_t id;
	unsigned int seed;
	int asked, done, killed;
	pthread_barrier_t *all;
};

static uint64_t end_of_steering(void)
{
	return in_full() ? ~0ULL : now_ns() + STEER_SECONDS * 1000000000ULL;
}

static void *steer(void *arg)
{
	uint64_t end = end_of_steering();
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

/* ---- the same, and every kill ends a VM that its VMM makes anew ---- */

#define KILL_EVERY	8

struct lives {
	uint64_t id;		/* of the VM there is now */
	bool over;
	int left;		/* requests, for all agents together */
	int kills;
	unsigned int seeds;
};

static void *one_life_after_another(void *arg)
{
	struct lives *l = arg;
	struct runner r;
	struct vm *vm;

	while (!__atomic_load_n(&l->over, __ATOMIC_SEQ_CST)) {
		vm = vm_create(0);
		GUEST(vm, OUT_LOOP);
		__atomic_store_n(&l->id, vm_id(vm->fd), __ATOMIC_SEQ_CST);
		runner_start(&r, &vm->vcpus[0]);
		pthread_join(r.thread, NULL);
		CHECK_EQ(r.err, EIO);
		munmap(vm->vcpus[0].run, vm->run_size);
		close(vm->vcpus[0].fd);
		close(vm->fd);
		close(vm->sys);
		munmap(vm->ram, vm->ram_size);
		free(vm);
	}
	return NULL;
}

static void *steer_lives(void *arg)
{
	uint64_t end = end_of_steering(), id;
	struct lives *l = arg;
	unsigned int seed = __atomic_add_fetch(&l->seeds, 1, __ATOMIC_SEQ_CST);
	struct nl *nl = nl_open();
	int ret, cmd;

	while (__atomic_load_n(&l->left, __ATOMIC_SEQ_CST) > 0 && now_ns() < end) {
		cmd = rand_r(&seed) % KILL_EVERY;
		cmd = !cmd ? LHV_CMD_VM_KILL : cmd % 2 ? LHV_CMD_VM_PAUSE : LHV_CMD_VM_RESUME;
		id = __atomic_load_n(&l->id, __ATOMIC_SEQ_CST);
		ret = vm_cmd(nl, cmd, id);
		CHECK(!ret || ret == -EALREADY || ret == -ESHUTDOWN || ret == -ENOENT);
		if (ret && ret != -EALREADY) {
			/* Its VMM is making another one. */
			sched_yield();
			continue;
		}
		__atomic_sub_fetch(&l->left, 1, __ATOMIC_SEQ_CST);
		if (cmd == LHV_CMD_VM_KILL && !ret)
			__atomic_add_fetch(&l->kills, 1, __ATOMIC_SEQ_CST);
	}
	nl_close(nl);
	return NULL;
}

TEST(kill_storm, .timeout = 300)
{
	struct lives l = { .left = 4 * STEERS };
	struct nl *nl = nl_open();
	pthread_t vmm, agent[4];
	int i;

	CHECK_EQ(pthread_create(&vmm, NULL, one_life_after_another, &l), 0);
	while (!__atomic_load_n(&l.id, __ATOMIC_SEQ_CST))
		sched_yield();
	for (i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&agent[i], NULL, steer_lives, &l), 0);
	for (i = 0; i < 4; i++)
		pthread_join(agent[i], NULL);
	__atomic_store_n(&l.over, true, __ATOMIC_SEQ_CST);
	/* The last one may have been paused, or be followed by one more. */
	while (pthread_tryjoin_np(vmm, NULL)) {
		vm_cmd(nl, LHV_CMD_VM_KILL, __atomic_load_n(&l.id, __ATOMIC_SEQ_CST));
		usleep(1000);
	}
	test_note("%d requests, %d kills", 4 * STEERS - (l.left > 0 ? l.left : 0), l.kills);
	CHECK(l.kills > 4 * STEERS / KILL_EVERY / 20);
}

TEST(steer_storm, .timeout = 300) { steer_guest(OUT_LOOP, sizeof(OUT_LOOP) - 1, 0); }
TEST(steer_storm_halted, .timeout = 300) { steer_guest(HALT, sizeof(HALT) - 1, VM_IRQCHIP); }

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
