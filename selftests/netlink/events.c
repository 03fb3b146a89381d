// SPDX-License-Identifier: GPL-2.0
/* Events, and who may see what. */
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/lhv.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nl.h"

#define UD_AFTER_MOV	"\xba\x00\x02\x0f\x0b"	/* mov $0x200, %dx; ud2 */
#define FAULT_RIP	(0x1000 + 3)
#define WAIT_MS		5000
#define SOMEBODY	1000
#define SOMEBODY_ELSE	1001

/* The next event of this VM; others' are not ours. */
static int next_of(struct nl *nl, uint64_t id, struct attrs *a)
{
	int cmd;

	for (;;) {
		cmd = nl_event(nl, WAIT_MS, a);
		if (cmd <= 0)
			FAIL("no event (%d)", cmd);
		if (cmd == LHV_CMD_VM_EVENT && attr_u64(a, LHV_A_VM_ID) == id)
			return cmd;
		if (cmd == LHV_CMD_VCPU_EVENT && attr_u64(a, LHV_A_VCPU_VM_ID) == id)
			return cmd;
	}
}

static void want(struct nl *nl, uint64_t id, int event, struct attrs *a)
{
	int cmd;

	do {
		cmd = next_of(nl, id, a);
	} while (cmd != LHV_CMD_VM_EVENT);
	CHECK_EQ(attr_u32(a, LHV_A_VM_EVENT), event);
}

static struct nl *listener(void)
{
	struct nl *nl = nl_open();

	nl_join(nl, nl->group_vm);
	nl_join(nl, nl->group_vcpu);
	return nl;
}

/* The whole life of a VM, in order. */
TEST(life)
{
	struct nl *ear = listener(), *nl = nl_open();
	struct vm *vm = vm_create(0);
	uint64_t id = vm_id(vm->fd), t;
	int efd = CHECK_OK(eventfd(0, 0));
	struct attrs a;
	struct msg *m;

	want(ear, id, LHV_VM_EVENT_CREATED, &a);
	CHECK_EQ(attr_u32(&a, LHV_A_VM_STATE), LHV_VM_STATE_CREATED);
	t = attr_u64(&a, LHV_A_VM_TIME);
	GUEST(vm, OUT_LOOP);
	CHECK_EQ(next_of(ear, id, &a), LHV_CMD_VCPU_EVENT);
	CHECK_EQ(attr_u32(&a, LHV_A_VCPU_EVENT), LHV_VCPU_EVENT_ADDED);
	CHECK_EQ(attr_u32(&a, LHV_A_VCPU_ID), 0);
	CHECK_OK(ioctl(vm->vcpus[0].fd, KVM_RUN, 0));
	CHECK_OK(ioctl(vm->vcpus[0].fd, KVM_RUN, 0));
	want(ear, id, LHV_VM_EVENT_READY, &a);
	CHECK(attr_u64(&a, LHV_A_VM_TIME) >= t);
	CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_PAUSE, id), 0);
	want(ear, id, LHV_VM_EVENT_PAUSED, &a);
	CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_RESUME, id), 0);
	want(ear, id, LHV_VM_EVENT_RESUMED, &a);
	m = msg_new(LHV_CMD_VM_SET);
	msg_u64(m, LHV_A_VM_ID, id);
	msg_str(m, LHV_A_VM_NAME, "renamed");
	CHECK_EQ(nl_do(nl, m, NULL, NULL), 0);
	want(ear, id, LHV_VM_EVENT_RENAMED, &a);
	CHECK(!strcmp(attr_str(&a, LHV_A_VM_NAME), "renamed"));
	CHECK(strcmp(attr_str(&a, LHV_A_VM_OLD_NAME), "renamed"));
	CHECK_OK(ioctl(vm->fd, LHV_SET_STOP_EVENTFD, &efd));
	CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_STOP, id), 0);
	want(ear, id, LHV_VM_EVENT_STOP_REQUESTED, &a);
	CHECK_OK(munmap(vm->vcpus[0].run, vm->run_size));
	close(vm->vcpus[0].fd);
	close(vm->fd);
	want(ear, id, LHV_VM_EVENT_STOPPED, &a);
	CHECK_EQ(attr_u32(&a, LHV_A_VM_REASON), LHV_STOP_REASON_CLOSED);
}

/* Killed: told once, though the VM is closed afterwards. */
TEST(killed)
{
	struct nl *ear = listener(), *nl = nl_open();
	struct vm *vm = vm_create(0);
	uint64_t id = vm_id(vm->fd), after;
	struct attrs a;

	want(ear, id, LHV_VM_EVENT_CREATED, &a);
	CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_KILL, id), 0);
	want(ear, id, LHV_VM_EVENT_STOPPED, &a);
	CHECK_EQ(attr_u32(&a, LHV_A_VM_REASON), LHV_STOP_REASON_KILLED);
	close(vm->fd);
	after = vm_id(vm_create(0)->fd);
	do {
		CHECK(nl_event(ear, WAIT_MS, &a) == LHV_CMD_VM_EVENT);
		CHECK(attr_u64(&a, LHV_A_VM_ID) != id);
	} while (attr_u64(&a, LHV_A_VM_ID) != after);
}

/* A triple fault: with the registers it had; and the VMM may make something of it. */
TEST(crash)
{
	struct nl *ear = listener(), *nl = nl_open();
	struct vm *vm = vm_create(0);
	struct vcpu *vcpu = GUEST(vm, UD_AFTER_MOV);
	struct attrs a, regs;
	struct kvm_sregs s;
	struct kvm_regs r;
	uint64_t id = vm_id(vm->fd);

	CHECK_OK(ioctl(vcpu->fd, KVM_GET_SREGS, &s));
	s.idt.limit = 0;
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_SREGS, &s));
	CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
	CHECK_EQ(vcpu->run->exit_reason, KVM_EXIT_SHUTDOWN);
	want(ear, id, LHV_VM_EVENT_CREATED, &a);
	want(ear, id, LHV_VM_EVENT_READY, &a);
	want(ear, id, LHV_VM_EVENT_CRASHED, &a);
	CHECK_EQ(attr_u32(&a, LHV_A_VM_EXIT_REASON), KVM_EXIT_SHUTDOWN);
	CHECK_EQ(attr_u32(&a, LHV_A_VM_VCPU_ID), 0);
	/* AMD-V leaves rip undefined after a shutdown, and the emulator leaves it alone. */
	attrs_nest(&regs, a.at[LHV_A_VM_REGS]);
	CHECK_EQ(attr_u64(&regs, LHV_A_REGS_RDX), 0x200);
	CHECK_EQ(attr_u64(&regs, LHV_A_REGS_RIP), FAULT_RIP);
	CHECK(regs.at[LHV_A_REGS_CR0] && regs.at[LHV_A_REGS_CR3] && regs.at[LHV_A_REGS_EFER]);
	CHECK_EQ(vm_state(nl, id), LHV_VM_STATE_CRASHED);
	/* The VMM resets it. */
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_SREGS, &s));
	s.cs.base = s.cs.selector = 0;
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_SREGS, &s));
	r = (struct kvm_regs){ .rip = 0x3000, .rflags = 2 };
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_REGS, &r));
	memcpy(vm->ram + r.rip, OUT_LOOP, sizeof(OUT_LOOP) - 1);
	CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
	CHECK_EQ(vm_state(nl, id), LHV_VM_STATE_RUNNING);
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

/* A guest that spins deaf is reported, once; one that does port I/O is not. */
TEST(stuck, .timeout = 120)
{
	struct nl *ear = listener();
	struct vm *deaf, *busy;
	struct runner r[2];
	struct attrs a;
	int cmd, n = 0;
	uint64_t end;

	write_param("stuck_seconds", "1");
	deaf = vm_create(0);
	busy = vm_create(0);
	GUEST(deaf, DEAF_SPIN);
	GUEST(busy, OUT_LOOP);
	runner_start(&r[0], &deaf->vcpus[0]);
	runner_start(&r[1], &busy->vcpus[0]);
	/* Time enough for a slow machine; once it came, for another one that must not. */
	end = now_ns() + 40000000000ULL;
	while (now_ns() < end) {
		cmd = nl_event(ear, 500, &a);
		if (cmd != LHV_CMD_VCPU_EVENT ||
		    attr_u32(&a, LHV_A_VCPU_EVENT) != LHV_VCPU_EVENT_STUCK)
			continue;
		CHECK(attr_u64(&a, LHV_A_VCPU_VM_ID) != vm_id(busy->fd));
		if (attr_u64(&a, LHV_A_VCPU_VM_ID) == vm_id(deaf->fd)) {
			n++;
			end = now_ns() + 3000000000ULL;
		}
	}
	write_param("stuck_seconds", "10");
	CHECK_EQ(n, 1);
	runner_join(&r[0]);
	runner_join(&r[1]);
}

static bool reported_stuck(struct nl *ear, uint64_t id, int seconds)
{
	uint64_t end = now_ns() + seconds * 1000000000ULL;
	struct attrs a;

	while (now_ns() < end) {
		if (nl_event(ear, 500, &a) == LHV_CMD_VCPU_EVENT &&
		    attr_u32(&a, LHV_A_VCPU_EVENT) == LHV_VCPU_EVENT_STUCK &&
		    attr_u64(&a, LHV_A_VCPU_VM_ID) == id)
			return true;
	}
	return false;
}

/* What is written to it holds from then on, not from the next look on. */
TEST(stuck_seconds, .timeout = 120)
{
	struct nl *ear = listener();
	struct vm *vm[3];
	struct runner r[3];
	int i;

	write_param("stuck_seconds", "1");
	for (i = 0; i < 3; i++) {
		vm[i] = vm_create(0);
		GUEST(vm[i], DEAF_SPIN);
	}
	runner_start(&r[0], &vm[0]->vcpus[0]);
	CHECK(reported_stuck(ear, vm_id(vm[0]->fd), 40));
	/* By the end of this the next look is half an hour away. */
	write_param("stuck_seconds", "3600");
	CHECK(!reported_stuck(ear, vm_id(vm[0]->fd), 2));
	runner_start(&r[1], &vm[1]->vcpus[0]);
	write_param("stuck_seconds", "1");
	CHECK(reported_stuck(ear, vm_id(vm[1]->fd), 40));
	/* Looked at once, and it makes no progress; but nobody wants to know any more. */
	runner_start(&r[2], &vm[2]->vcpus[0]);
	write_param("stuck_seconds", "10");
	CHECK(!reported_stuck(ear, vm_id(vm[2]->fd), 6));
	write_param("stuck_seconds", "0");
	CHECK(!reported_stuck(ear, vm_id(vm[2]->fd), 6));
	write_param("stuck_seconds", "10");
	for (i = 0; i < 3; i++)
		runner_join(&r[i]);
}

/* Who created it dies, and another process holds its fds. */
TEST(owner_gone)
{
	struct nl *ear = listener(), *nl = nl_open();
	int pipes[2], hold[2];
	struct attrs a;
	uint64_t id;
	pid_t pid;

	CHECK_OK(pipe(pipes));
	CHECK_OK(pipe(hold));
	pid = CHECK_OK(fork());
	if (!pid) {
		id = vm_id(vm_create(0)->fd);
		if (!fork()) {
			/* Keeps the VM until the test is over. */
			close(hold[1]);
			CHECK_EQ(read(hold[0], &id, 1), 0);
			_exit(0);
		}
		CHECK_EQ(write(pipes[1], &id, sizeof(id)), sizeof(id));
		_exit(0);
	}
	CHECK_EQ(read(pipes[0], &id, sizeof(id)), sizeof(id));
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	want(ear, id, LHV_VM_EVENT_CREATED, &a);
	want(ear, id, LHV_VM_EVENT_OWNER_GONE, &a);
	CHECK_EQ(vm_state(nl, id), LHV_VM_STATE_CREATED);
	close(hold[1]);
	want(ear, id, LHV_VM_EVENT_STOPPED, &a);
}

/* Who does not read loses events and is told so; others get them all. */
TEST(slow_listener, .timeout = 60)
{
	struct nl *slow = listener(), *ear = listener(), *nl = nl_open();
	struct vm *vm = vm_create(0);
	uint64_t id = vm_id(vm->fd);
	struct attrs a;
	int i, small = 4096;

	CHECK_OK(setsockopt(slow->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)));
	want(ear, id, LHV_VM_EVENT_CREATED, &a);
	for (i = 0; i < 200; i++) {
		CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_PAUSE, id), 0);
		want(ear, id, LHV_VM_EVENT_PAUSED, &a);
		CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_RESUME, id), 0);
		want(ear, id, LHV_VM_EVENT_RESUMED, &a);
	}
	for (i = 0; i < 400; i++) {
		if (nl_event(slow, 0, &a) == -ENOBUFS)
			return;
	}
	FAIL("a listener that never read lost nothing");
}

/* ---- who may see what ---- */

static void become(uid_t uid)
{
	CHECK_OK(setgid(uid));
	CHECK_OK(setuid(uid));
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static int see(struct nl *nl, uint64_t id)
{
	return vm_cmd(nl, LHV_CMD_VM_GET, id);
}

/* The child runs as @uid, makes a VM, and serves as its owner. */
struct other {
	pid_t pid;
	int to, from;
	uint64_t id;
};

/* As container managers start what needs no privileges, without a user namespace. */
static void drop_capabilities(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};

	CHECK_OK(syscall(SYS_capset, &head, none));
}

/* The process namespace is that of its children. */
static void go_on_as_child(void)
{
	int status;
	pid_t pid;

	pid = CHECK_OK(fork());
	if (pid) {
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static void other_run(uid_t uid, int unshared, int in, int out, uint64_t roots)
{
	int sys = dev_open(), fd;
	uint64_t id, go;
	struct nl *nl;

	become(uid);
	if (unshared && unshare(unshared)) {
		id = 0;
		CHECK_EQ(write(out, &id, sizeof(id)), sizeof(id));
		_exit(0);
	}
	if (unshared & CLONE_NEWPID)
		go_on_as_child();
	if (!uid)
		drop_capabilities();
	nl = nl_open();
	fd = CHECK_OK(ioctl(sys, KVM_CREATE_VM, 0));
	id = vm_id(fd);
	CHECK_EQ(see(nl, id), 0);
	CHECK_EQ(see(nl, roots), -ENOENT);
	CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_PAUSE, roots), -ENOENT);
	CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_KILL, roots), -ENOENT);
	CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_PAUSE, id), 0);
	CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_RESUME, id), 0);
	CHECK_EQ(write(out, &id, sizeof(id)), sizeof(id));
	/* A VM of another one's, if the number is not 0: must be invisible. */
	while (read(in, &go, sizeof(go)) == sizeof(go)) {
		CHECK_EQ(see(nl, go), -ENOENT);
		CHECK_EQ(write(out, &id, sizeof(id)), sizeof(id));
	}
	_exit(0);
}

static struct other other_start(uid_t uid, int unshared, uint64_t roots)
{
	struct other o = { 0 };
	int to[2], from[2], fd;

	CHECK_OK(pipe(to));
	CHECK_OK(pipe(from));
	o.pid = CHECK_OK(fork());
	if (!o.pid) {
		/* Another child's pipes would keep that one waiting. */
		for (fd = 3; fd < 256; fd++)
			if (fd != to[0] && fd != from[1])
				close(fd);
		other_run(uid, unshared, to[0], from[1], roots);
	}
	close(to[0]);
	close(from[1]);
	o.to = to[1];
	o.from = from[0];
	if (read(o.from, &o.id, sizeof(o.id)) != sizeof(o.id))
		FAIL("uid %u: its checks failed", uid);
	return o;
}

static void other_must_not_see(struct other *o, uint64_t id)
{
	CHECK_EQ(write(o->to, &id, sizeof(id)), sizeof(id));
	if (read(o->from, &id, sizeof(id)) != sizeof(id))
		FAIL("it sees what it must not");
}

static void other_end(struct other *o)
{
	int status;

	close(o->to);
	CHECK_EQ(waitpid(o->pid, &status, 0), o->pid);
	CHECK(WIFEXITED(status) && !WEXITSTATUS(status));
}

/* Users see their own, root sees all. */
TEST(users)
{
	uint64_t roots = vm_id(vm_create(0)->fd);
	struct nl *nl = nl_open();
	struct other a = other_start(SOMEBODY, 0, roots);
	struct other b = other_start(SOMEBODY_ELSE, 0, roots);

	other_must_not_see(&a, b.id);
	other_must_not_see(&b, a.id);
	CHECK_EQ(see(nl, a.id), 0);
	CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_PAUSE, b.id), 0);
	CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_KILL, b.id), 0);
	other_end(&a);
	other_end(&b);
}

/* A container sees its own, not its user's VMs outside; outside, both are seen. */
TEST(containers)
{
	uint64_t roots = vm_id(vm_create(0)->fd);
	struct nl *nl = nl_open();
	struct other out = other_start(SOMEBODY, 0, roots);
	struct other in = other_start(SOMEBODY, CLONE_NEWUSER, roots);
	struct other net;

	if (!in.id)
		test_skip("no user namespaces for users here");
	other_must_not_see(&in, out.id);
	CHECK_EQ(see(nl, in.id), 0);
	net = other_start(SOMEBODY, CLONE_NEWUSER | CLONE_NEWNET, roots);
	if (!net.id)
		test_skip("no network namespaces here");
	other_must_not_see(&net, out.id);
	other_must_not_see(&net, in.id);
	other_must_not_see(&in, net.id);
	CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_KILL, net.id), 0);
	other_end(&out);
	other_end(&in);
	other_end(&net);
}

/* A user's listener hears of the user's VMs alone; or may not listen at all. */
TEST(user_events)
{
	struct nl *root_ear = listener();
	struct attrs a;
	pid_t pid;
	int status;

	pid = CHECK_OK(fork());
	if (!pid) {
		int sys = dev_open(), fd;
		struct nl *nl;
		uint64_t id;

		become(SOMEBODY);
		nl = nl_open();
		if (nl_try_join(nl, nl->group_vm))
			_exit(4);
		/* Root's VMs come and go meanwhile. */
		usleep(300000);
		fd = CHECK_OK(ioctl(sys, KVM_CREATE_VM, 0));
		id = vm_id(fd);
		CHECK_EQ(nl_event(nl, WAIT_MS, &a), LHV_CMD_VM_EVENT);
		CHECK_EQ(attr_u64(&a, LHV_A_VM_ID), id);
		CHECK_EQ(attr_u32(&a, LHV_A_VM_EVENT), LHV_VM_EVENT_CREATED);
		_exit(0);
	}
	while (!waitpid(pid, &status, WNOHANG)) {
		close(vm_create(0)->fd);
		usleep(10000);
	}
	CHECK(WIFEXITED(status));
	CHECK(nl_event(root_ear, WAIT_MS, &a) == LHV_CMD_VM_EVENT);
	if (WEXITSTATUS(status) == 4)
		test_note("this kernel cannot choose among listeners: users may not listen");
	else
		CHECK_EQ(WEXITSTATUS(status), 0);
}

/* A container without a user namespace has root's user id, and sees its own VMs all the same. */
TEST(containers_of_root)
{
	uint64_t roots = vm_id(vm_create(0)->fd);
	struct nl *nl = nl_open();
	struct other net = other_start(0, CLONE_NEWNET, roots);
	struct other pid, both;

	if (!net.id)
		test_skip("no network namespaces here");
	pid = other_start(0, CLONE_NEWPID, roots);
	if (!pid.id)
		test_skip("no process namespaces here");
	both = other_start(0, CLONE_NEWNET | CLONE_NEWPID, roots);
	other_must_not_see(&net, pid.id);
	other_must_not_see(&net, both.id);
	other_must_not_see(&pid, both.id);
	other_must_not_see(&both, net.id);
	other_must_not_see(&both, pid.id);
	CHECK_EQ(see(nl, net.id), 0);
	CHECK_EQ(see(nl, pid.id), 0);
	CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_KILL, both.id), 0);
	/* Who has lost his capabilities outside is still the owner of what he had before. */
	drop_capabilities();
	nl = nl_open();
	CHECK_EQ(see(nl, roots), 0);
	CHECK_EQ(see(nl, pid.id), 0);
	other_end(&net);
	other_end(&pid);
	other_end(&both);
}

/* Somebody's socket does not become root's by root's writing into it. */
TEST(socket_of_another)
{
	uint64_t roots = vm_id(vm_create(0)->fd);
	int status;
	pid_t pid;

	pid = CHECK_OK(fork());
	if (!pid) {
		struct nl *nl;

		CHECK_OK(setresuid(SOMEBODY, SOMEBODY, 0));
		nl = nl_open();
		CHECK_EQ(see(nl, roots), -ENOENT);
		CHECK_OK(setresuid(0, 0, 0));
		CHECK_EQ(see(nl, roots), -ENOENT);
		CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_KILL, roots), -ENOENT);
		CHECK_EQ(count_vms(nl, 0, 0), 0);
		CHECK_EQ(see(nl_open(), roots), 0);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status) && !WEXITSTATUS(status));
}

static void on_uid(void *arg, int cmd, const struct attrs *a)
{
	struct attrs o;

	(void)cmd;
	attrs_nest(&o, a->at[LHV_A_VM_OWNER]);
	*(uint32_t *)arg = attr_u32(&o, LHV_A_OWNER_UID);
}

/* In a container of its own: 4 when there are none here. */
static int container(void)
{
	static const int life[] = { LHV_VM_EVENT_CREATED, LHV_VM_EVENT_PAUSED,
				    LHV_VM_EVENT_RESUMED, LHV_VM_EVENT_STOPPED };
	int sys = dev_open(), fd;
	struct attrs a, owner;
	struct nl *nl, *ear;
	uint32_t uid = 0;
	unsigned int i;
	struct msg *m;
	uint64_t id;

	become(SOMEBODY);
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET))
		return 4;
	nl = nl_open();
	ear = listener();
	/* Root's VMs come and go meanwhile. */
	usleep(300000);
	fd = CHECK_OK(ioctl(sys, KVM_CREATE_VM, 0));
	id = vm_id(fd);
	CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_PAUSE, id), 0);
	CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_RESUME, id), 0);
	m = msg_new(LHV_CMD_VM_GET);
	msg_u64(m, LHV_A_VM_ID, id);
	CHECK_EQ(nl_do(nl, m, on_uid, &uid), 0);
	close(fd);
	for (i = 0; i < sizeof(life) / sizeof(life[0]); i++) {
		CHECK_EQ(nl_event(ear, WAIT_MS, &a), LHV_CMD_VM_EVENT);
		CHECK_EQ(attr_u64(&a, LHV_A_VM_ID), id);
		CHECK_EQ(attr_u32(&a, LHV_A_VM_EVENT), life[i]);
		/* Nobody has mapped a user id into the container: it sees the overflow id. */
		attrs_nest(&owner, a.at[LHV_A_VM_OWNER]);
		CHECK_EQ(attr_u32(&owner, LHV_A_OWNER_UID), uid);
		CHECK_EQ(attr_u32(&owner, LHV_A_OWNER_PID), getpid());
	}
	CHECK_EQ(uid, 65534);
	return 0;
}

/* A container's agent hears of the container's VMs, as they are called there, and of no others. */
TEST(container_events)
{
	int status;
	pid_t pid;

	pid = CHECK_OK(fork());
	if (!pid)
		_exit(container());
	while (!waitpid(pid, &status, WNOHANG)) {
		close(vm_create(0)->fd);
		usleep(10000);
	}
	CHECK(WIFEXITED(status));
	if (WEXITSTATUS(status) == 4)
		test_skip("no user or network namespaces here");
	CHECK_EQ(WEXITSTATUS(status), 0);
}

/* The container: listens until a VM of its own is told. 4 when there are none here, or none listens. */
static int listen_in_container(int ready, int go)
{
	int sys = dev_open();
	struct attrs a;
	struct nl *ear;
	uint64_t id;
	char c;

	become(SOMEBODY);
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET))
		return 4;
	ear = listener();
	CHECK_EQ(write(ready, "", 1), 1);
	CHECK_EQ(read(go, &c, 1), 1);
	id = vm_id(CHECK_OK(ioctl(sys, KVM_CREATE_VM, 0)));
	CHECK_EQ(nl_event(ear, WAIT_MS, &a), LHV_CMD_VM_EVENT);
	CHECK_EQ(attr_u64(&a, LHV_A_VM_ID), id);
	return 0;
}

/* Who goes into a container's network, and into nothing else of it, is not heard there. */
TEST(visitor)
{
	int ready[2], go[2], status, fd;
	char path[64], c;
	pid_t pid;

	CHECK_OK(pipe(ready));
	CHECK_OK(pipe(go));
	pid = CHECK_OK(fork());
	if (!pid) {
		close(ready[0]);
		_exit(listen_in_container(ready[1], go[0]));
	}
	close(ready[1]);
	if (read(ready[0], &c, 1) == 1) {
		snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
		fd = CHECK_OK(open(path, O_RDONLY));
		CHECK_OK(setns(fd, CLONE_NEWNET));
		close(vm_create(0)->fd);
		CHECK_EQ(write(go[1], "", 1), 1);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status));
	if (WEXITSTATUS(status) == 4)
		test_skip("no user or network namespaces here");
	CHECK_EQ(WEXITSTATUS(status), 0);
}

static void on_pool(void *arg, int cmd, const struct attrs *a)
{
	(void)cmd;
	CHECK(attr_u32(a, LHV_A_POOL_SLOTS));
	CHECK_EQ(!!a->at[LHV_A_POOL_JAIN], *(bool *)arg);
	CHECK_EQ(!!a->at[LHV_A_POOL_VMS], *(bool *)arg);
}

static void look_at_pools(bool admin)
{
	struct msg *m = msg_new(LHV_CMD_POOL_GET);
	struct nl *nl = nl_open();

	msg_u32(m, LHV_A_POOL_ID, 0);
	CHECK_EQ(nl_do(nl, m, on_pool, &admin), 0);
	CHECK_EQ(nl_dump(nl, msg_new(LHV_CMD_POOL_GET), on_pool, &admin), 0);
}

/* Who is not the host's administrator may look at pools, not change them; nor make lhv look at every VM. */
TEST(pools_of_others)
{
	int status;
	pid_t pid;

	look_at_pools(true);
	pid = CHECK_OK(fork());
	if (!pid) {
		struct msg *m = msg_new(LHV_CMD_POOL_SET);
		struct nl *nl;

		become(SOMEBODY);
		nl = nl_open();
		msg_u32(m, LHV_A_POOL_ID, 0);
		msg_str(m, LHV_A_POOL_POLICY, "none");
		REFUSED(nl, nl_do(nl, m, NULL, NULL), EPERM, "administrator");
		look_at_pools(false);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status) && !WEXITSTATUS(status));
}
