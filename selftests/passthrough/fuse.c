// SPDX-License-Identifier: GPL-2.0
/*
 * A VMM whose memory is a file of FUSE, and comes when the file system likes. Who touches it waits,
 * with the VMM's mmap_lock held; the host's devices do not.
 */
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device.h"

#define RAM		(1UL << 20)
#define DIR		"/tmp/fuse"
#define SLOW_GPA	(8 * RAM)
#define AT_ONCE_MS	10000	/* for what must not wait */
#define TOO_SLOW_MS	20000	/* for memory of a few pages */
#define FIRST_FILE	2	/* nodes: "a", and so on; each a page long */

/* ---- the file system: reads are held until somebody says so ---- */

struct server {
	int fuse, held[2], go[2];
	pid_t pid;
};

static void answer(int fuse, uint64_t unique, int error, const void *data, size_t size)
{
	struct fuse_out_header head = {
		.len = sizeof(head) + size, .error = error, .unique = unique,
	};
	struct iovec v[2] = { { &head, sizeof(head) }, { (void *)data, size } };

	if (writev(fuse, v, size ? 2 : 1) < 0 && errno != ENOENT)
		_exit(1);
}

static struct fuse_attr attr_of(uint64_t node)
{
	struct fuse_attr a = {
		.ino = node, .nlink = 1, .blksize = PAGE_SIZE, .mode = S_IFDIR | 0755,
	};

	if (node >= FIRST_FILE) {
		a.mode = S_IFREG | 0644;
		a.size = PAGE_SIZE;
	}
	return a;
}

static void serve(struct server *s, const struct fuse_in_header *in, const void *arg)
{
	static const uint8_t page[PAGE_SIZE];
	struct fuse_init_out init = {
		.major = FUSE_KERNEL_VERSION, .minor = 31, .max_write = PAGE_SIZE,
	};
	struct fuse_entry_out entry = { .entry_valid = 3600, .attr_valid = 3600 };
	struct fuse_attr_out attr = { .attr_valid = 3600, .attr = attr_of(in->nodeid) };
	struct fuse_open_out open = {};
	char c;

	switch (in->opcode) {
	case FUSE_INIT:
		answer(s->fuse, in->unique, 0, &init, sizeof(init));
		break;
	case FUSE_LOOKUP:
		entry.nodeid = FIRST_FILE + *(const char *)arg - 'a';
		entry.attr = attr_of(entry.nodeid);
		answer(s->fuse, in->unique, 0, &entry, sizeof(entry));
		break;
	case FUSE_GETATTR:
		answer(s->fuse, in->unique, 0, &attr, sizeof(attr));
		break;
	case FUSE_OPEN:
		answer(s->fuse, in->unique, 0, &open, sizeof(open));
		break;
	case FUSE_READ:
		if (write(s->held[1], "", 1) != 1 || read(s->go[0], &c, 1) != 1)
			_exit(1);
		answer(s->fuse, in->unique, 0, page, PAGE_SIZE);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break;
	case FUSE_FLUSH:
	case FUSE_RELEASE:
		answer(s->fuse, in->unique, 0, NULL, 0);
		break;
	default:
		answer(s->fuse, in->unique, -ENOSYS, NULL, 0);
	}
}

static struct server start_server(void)
{
	static uint8_t buf[1 << 20];
	const struct fuse_in_header *in = (const void *)buf;
	struct server s = { .fuse = open("/dev/fuse", O_RDWR) };
	char options[128];

	if (s.fuse < 0)
		test_skip("no FUSE: %s", strerror(errno));
	CHECK_OK(pipe(s.held));
	CHECK_OK(pipe(s.go));
	mkdir(DIR, 0700);
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", s.fuse);
	CHECK_OK(mount("slow", DIR, "fuse", 0, options));
	s.pid = CHECK_OK(fork());
	if (!s.pid) {
		while (read(s.fuse, buf, sizeof(buf)) >= (ssize_t)sizeof(*in))
			serve(&s, in, in + 1);
		_exit(0);
	}
	return s;
}

/* Somebody reads now, and waits. */
static void wait_held(struct server *s)
{
	struct pollfd p = { .fd = s->held[0], .events = POLLIN };
	char c;

	CHECK_EQ(poll(&p, 1, 30000), 1);
	CHECK_EQ(read(s->held[0], &c, 1), 1);
}

static void let_go(struct server *s)
{
	CHECK_EQ(write(s->go[1], "", 1), 1);
}

static void stop_server(struct server *s)
{
	CHECK_OK(umount2(DIR, MNT_DETACH));
	kill(s->pid, SIGKILL);
	CHECK_EQ(waitpid(s->pid, NULL, 0), s->pid);
	close(s->fuse);
}

/* ---- others, in processes of their own: this one goes on whatever becomes of them ---- */

static void ended_well(pid_t pid)
{
	int status;

	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

/* Its status. If not, the file system gives in, or this could not even end. */
static int status_within(struct server *s, pid_t pid, int ms, const char *what)
{
	int status;

	for (; ms > 0; ms -= 10) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return status;
		nap(10);
	}
	let_go(s);
	FAIL("%s waits for the VMM", what);
}

static void ends_at_once(struct server *s, pid_t pid, const char *what)
{
	CHECK_EQ(status_within(s, pid, AT_ONCE_MS, what), 0);
}

static void dies_at_once(struct server *s, pid_t pid, const char *what)
{
	kill(pid, SIGKILL);
	CHECK_EQ(status_within(s, pid, AT_ONCE_MS, what), SIGKILL);
}

static pid_t command(int cmd, const char *address, uint64_t vm)
{
	pid_t pid = CHECK_OK(fork());

	if (!pid) {
		struct nl *nl = nl_open();

		CHECK_EQ(device_cmd(nl, cmd, address, vm, vm != 0), 0);
		_exit(0);
	}
	return pid;
}

/* Another device, to another VM, and back. */
static pid_t others_affairs(const char *address)
{
	pid_t pid = CHECK_OK(fork());

	if (!pid) {
		struct vm *vm = vm_create(0);
		struct nl *nl = nl_open();

		vm_ram(vm, RAM);
		CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_ATTACH, address, vm_id(vm->fd), true), 0);
		CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_DETACH, address, 0, false), 0);
		_exit(0);
	}
	return pid;
}

/* A VMM with RAM, and a page of file @name that nobody has touched: where, and its VM's id. */
struct vmm {
	pid_t pid;
	int tell[2];
	uint64_t id, slow;
};

static void run_vmm(const struct vmm *v, int up, const char *name)
{
	struct kvm_userspace_memory_region slot = {
		.slot = 1, .guest_phys_addr = SLOW_GPA, .memory_size = PAGE_SIZE,
	};
	struct vm *vm = vm_create(0);
	uint64_t said[2];
	char path[64], c;
	void *p;
	int fd;

	vm_ram(vm, RAM);
	snprintf(path, sizeof(path), DIR "/%s", name);
	fd = CHECK_OK(open(path, O_RDONLY));
	p = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	CHECK(p != MAP_FAILED);
	close(fd);	/* while the file system answers */
	slot.userspace_addr = (uintptr_t)p;
	said[0] = vm_id(vm->fd);
	said[1] = slot.userspace_addr;
	CHECK_EQ(write(up, said, sizeof(said)), sizeof(said));
	/* When told so, that page becomes the guest's; and, told again, is there once more. */
	while (read(v->tell[0], &c, 1) == 1) {
		CHECK_OK(ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &slot));
		CHECK_EQ(write(up, "", 1), 1);
		slot.slot++;
		slot.guest_phys_addr += PAGE_SIZE;
	}
	_exit(0);
}

static struct vmm start_vmm(const char *name, int *up)
{
	struct vmm v = {};
	uint64_t said[2];
	int p[2];

	CHECK_OK(pipe(p));
	CHECK_OK(pipe(v.tell));
	v.pid = CHECK_OK(fork());
	if (!v.pid) {
		close(v.tell[1]);
		run_vmm(&v, p[1], name);
	}
	close(p[1]);
	close(v.tell[0]);
	CHECK_EQ(read(p[0], said, sizeof(said)), sizeof(said));
	v.id = said[0];
	v.slow = said[1];
	*up = p[0];
	return v;
}

/* One who waits to write to @vmm's mappings, so that whoever would read them waits as well. */
static pid_t waiting_writer(pid_t vmm)
{
	pid_t pid = CHECK_OK(fork());
	uint64_t end = now_ns() + 5000000000ULL;
	char path[64], state = 0;
	FILE *f;

	if (!pid) {
		int fd;

		snprintf(path, sizeof(path), "/proc/%d/clear_refs", vmm);
		fd = CHECK_OK(open(path, O_WRONLY));
		/* The peak of RSS: asks for the lock, and changes nothing that matters. */
		_exit(write(fd, "5", 1) != 1);
	}
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	while (state != 'D') {
		CHECK(now_ns() < end);
		f = fopen(path, "r");
		CHECK(f && fscanf(f, "%*d (%*[^)]) %c", &state) == 1);
		fclose(f);
		nap(1);
	}
	return pid;
}

/* ---- what does not wait ---- */

/* A friend reads the VMM's memory by /proc, and so has its mmap_lock. */
TEST(memory_read_by_a_friend)
{
	const char *edu = find_edu(0), *other = find_function(EDU_VENDOR, EDU_DEVICE, 1);
	struct server s = start_server();
	struct nl *nl = nl_open();
	uint64_t end;
	struct vmm v;
	pid_t friend, writer;
	long before;
	int up;

	take(nl, edu);
	take(nl, other);
	v = start_vmm("a", &up);
	before = pins();
	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_ATTACH, edu, v.id, true), 0);
	CHECK_EQ(locked_kb(v.pid), RAM >> 10);
	friend = CHECK_OK(fork());
	if (!friend) {
		char path[64], c;

		snprintf(path, sizeof(path), "/proc/%d/mem", v.pid);
		_exit(pread(open(path, O_RDONLY), &c, 1, v.slow) != 1);
	}
	wait_held(&s);
	writer = waiting_writer(v.pid);
	ends_at_once(&s, command(LHV_CMD_DEVICE_ATTACH, other, v.id), "attaching another");
	ends_at_once(&s, command(LHV_CMD_DEVICE_DETACH, other, 0), "detaching it");
	ends_at_once(&s, command(LHV_CMD_DEVICE_DETACH, edu, 0), "detaching");
	CHECK_EQ(pins(), before);
	let_go(&s);
	ended_well(friend);
	ended_well(writer);
	/* It was given back as soon as that could be. */
	for (end = now_ns() + 5000000000ULL; locked_kb(v.pid); nap(1))
		CHECK(now_ns() < end);
	close(v.tell[1]);
	ended_well(v.pid);
	give_back(nl, edu);
	give_back(nl, other);
	stop_server(&s);
}

/* A slot of such memory comes while the VM has a device, and a device while it has such a slot. */
TEST(memory_that_does_not_come)
{
	const char *edu = find_edu(0), *other = find_function(EDU_VENDOR, EDU_DEVICE, 1);
	struct server s = start_server();
	struct nl *nl = nl_open();
	int up, up_b;
	struct vmm v, b;
	long before;
	pid_t pid;
	char c;

	take(nl, edu);
	take(nl, other);
	v = start_vmm("a", &up);
	before = pins();
	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_ATTACH, edu, v.id, true), 0);
	CHECK_EQ(write(v.tell[1], "", 1), 1);
	wait_held(&s);
	ends_at_once(&s, others_affairs(other), "another VM's device");
	ends_at_once(&s, command(LHV_CMD_DEVICE_DETACH, edu, 0), "detaching");
	let_go(&s);
	CHECK_EQ(read(up, &c, 1), 1);
	CHECK(none_locked(v.pid));
	CHECK_EQ(pins(), before);
	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_ATTACH, edu, v.id, true), 0);
	CHECK_EQ(locked_kb(v.pid), (RAM + PAGE_SIZE) >> 10);
	close(v.tell[1]);
	ended_well(v.pid);
	CHECK_EQ(pins(), before);

	b = start_vmm("b", &up_b);
	CHECK_EQ(write(b.tell[1], "", 1), 1);
	CHECK_EQ(read(up_b, &c, 1), 1);
	pid = command(LHV_CMD_DEVICE_ATTACH, edu, b.id);
	wait_held(&s);
	ends_at_once(&s, others_affairs(other), "another VM's device");
	let_go(&s);
	ended_well(pid);
	CHECK_EQ(locked_kb(b.pid), (RAM + PAGE_SIZE) >> 10);
	kill(b.pid, SIGKILL);
	CHECK_EQ(waitpid(b.pid, NULL, 0), b.pid);
	CHECK_EQ(pins(), before);
	give_back(nl, edu);
	give_back(nl, other);
	stop_server(&s);
}

/* A VMM whose page has become the guest's, and that nobody has touched yet. */
static struct vmm start_slow_vmm(const char *name)
{
	struct vmm v;
	int up;
	char c;

	v = start_vmm(name, &up);
	CHECK_EQ(write(v.tell[1], "", 1), 1);
	CHECK_EQ(read(up, &c, 1), 1);
	close(up);
	return v;
}

static void await_pins(long n)
{
	uint64_t end;

	for (end = now_ns() + 5000000000ULL; pins() != n; nap(1))
		CHECK(now_ns() < end);
}

/* Attaching, refused because the memory takes too long. */
static pid_t too_slow(const char *address, uint64_t vm)
{
	pid_t pid = CHECK_OK(fork());

	if (!pid) {
		struct nl *nl = nl_open();

		REFUSED(nl, device_cmd(nl, LHV_CMD_DEVICE_ATTACH, address, vm, true), EAGAIN,
			"too slowly");
		_exit(0);
	}
	return pid;
}

/*
 * The file system never answers. As long as somebody asks, no netlink family can come or go: so he
 * does not for ever, and can be killed. What was pinned in vain is given back.
 */
TEST(memory_that_never_comes, .timeout = 120)
{
	const char *edu = find_edu(0);
	struct server s = start_server();
	struct nl *nl = nl_open();
	struct vmm a, b;
	long before;
	pid_t pid;

	take(nl, edu);
	before = pins();
	a = start_slow_vmm("a");
	pid = command(LHV_CMD_DEVICE_ATTACH, edu, a.id);
	wait_held(&s);
	dies_at_once(&s, pid, "who attaches and is killed");
	REFUSED(nl, device_cmd(nl, LHV_CMD_DEVICE_ATTACH, edu, a.id, true), EAGAIN, "try again");
	ends_at_once(&s, others_affairs(edu), "another VM's device");
	let_go(&s);
	await_pins(before);
	CHECK(none_locked(a.pid));
	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_ATTACH, edu, a.id, true), 0);
	CHECK_EQ(locked_kb(a.pid), (RAM + PAGE_SIZE) >> 10);
	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_DETACH, edu, 0, false), 0);
	kill(a.pid, SIGKILL);
	CHECK_EQ(waitpid(a.pid, NULL, 0), a.pid);
	CHECK_EQ(pins(), before);

	/* Nothing but the time ends it; the VMM's end does not need the page, either. */
	b = start_slow_vmm("b");
	pid = too_slow(edu, b.id);
	wait_held(&s);
	CHECK_EQ(status_within(&s, pid, TOO_SLOW_MS + AT_ONCE_MS, "who attaches"), 0);
	dies_at_once(&s, b.pid, "the VMM");
	ends_at_once(&s, others_affairs(edu), "another VM's device");
	let_go(&s);
	await_pins(before);
	give_back(nl, edu);
	stop_server(&s);
}
