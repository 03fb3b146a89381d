// SPDX-License-Identifier: GPL-2.0
/* What a VMM, its guest and people without privileges can hold up: their own affairs. */
#include <asm/kvm.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../guest/guest.h"
#include "device.h"

#define GSI		10
#define AT_ONCE		10	/* seconds, for what must not wait */
#define NOBODY		1000

static void g_touch(void)
{
	(void)*(volatile uint64_t *)GUEST_EXTRA;
	g_done();
}

/* A vCPU that waits for a page of its VMM's. No device reaches that: it is read-only. */
struct stuck {
	struct vm *vm;
	pthread_t vcpu;
	int uffd;
};

static struct stuck stuck_vcpu(unsigned int flags)
{
	uint8_t *mem = map_memory(PAGE_SIZE, PAGE_SIZE);
	struct stuck s = { .vm = machine(flags), .uffd = missing_faults(mem, PAGE_SIZE) };
	struct pollfd p = { .fd = s.uffd, .events = POLLIN };

	vm_set_slot(s.vm, 1, KVM_MEM_READONLY, GUEST_EXTRA, PAGE_SIZE, mem);
	machine_vcpu(s.vm, g_touch);
	s.vcpu = vcpu_thread(&s.vm->vcpus[0]);
	CHECK_EQ(poll(&p, 1, 30000), 1);
	return s;
}

/* The page comes. */
static void unstick(struct stuck *s)
{
	close(s->uffd);
	CHECK(!pthread_join(s->vcpu, NULL));
}

/* Something that may have to wait, in a thread. */
struct call {
	void (*fn)(struct call *c);
	struct stuck *s;
	const char *address;
	pthread_t thread;
	_Atomic pid_t tid;
};

static void *call_thread(void *arg)
{
	struct call *c = arg;

	c->tid = gettid();
	c->fn(c);
	return NULL;
}

static void call(struct call *c)
{
	CHECK(!pthread_create(&c->thread, NULL, call_thread, c));
}

/* It sleeps in the kernel, and no signal wakes it. */
static void wait_asleep(struct call *c)
{
	uint64_t end = now_ns() + 30000000000ULL;
	char path[64], state = 0;
	FILE *f;

	while (state != 'D') {
		CHECK(now_ns() < end);
		nap(1);
		if (!c->tid)
			continue;
		snprintf(path, sizeof(path), "/proc/self/task/%d/stat", c->tid);
		f = fopen(path, "r");
		CHECK(f);
		CHECK_EQ(fscanf(f, "%*d (%*[^)]) %c", &state), 1);
		fclose(f);
	}
}

/* If not, the vCPU goes on, or this could not even end. */
static void ends_at_once(struct call *c, const char *what)
{
	struct timespec t;

	CHECK_OK(clock_gettime(CLOCK_REALTIME, &t));
	t.tv_sec += AT_ONCE;
	if (!pthread_timedjoin_np(c->thread, NULL, &t))
		return;
	close(c->s->uffd);
	FAIL("%s waits for the VMM", what);
}

static void set_routing(struct call *c)
{
	struct kvm_irq_routing none = {};

	CHECK_OK(ioctl(c->s->vm->fd, KVM_SET_GSI_ROUTING, &none));
}

static void detach(struct call *c)
{
	struct nl *nl = nl_open();

	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_DETACH, c->address, 0, false), 0);
	nl_close(nl);
}

static void attach_in_vain(struct call *c)
{
	struct nl *nl = nl_open();

	REFUSED(nl, device_cmd(nl, LHV_CMD_DEVICE_ATTACH, c->address, vm_id(c->s->vm->fd), true),
		EAGAIN, "try again");
	nl_close(nl);
}

static void attach_with_line(struct call *c)
{
	struct lhv_device_irq irq = { .type = LHV_DEVICE_IRQ_INTX, .gsi = GSI };
	struct nl *nl = nl_open();
	int fd;

	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_ATTACH, c->address, vm_id(c->s->vm->fd), true), 0);
	fd = CHECK_OK(open_device(c->s->vm->fd, c->address));
	CHECK_OK(ioctl(fd, LHV_DEVICE_IRQ, &irq));
	nl_close(nl);
}

static void add_slot(struct call *c)
{
	vm_set_slot(c->s->vm, 2, KVM_MEM_READONLY, GUEST_EXTRA + PAGE_SIZE, PAGE_SIZE,
		    map_memory(PAGE_SIZE, PAGE_SIZE));
}

/*
 * A vCPU waits for memory that its VMM does not bring, and another thread for that vCPU, with what
 * it holds: the VM's slots. The device comes before that, its interrupt is routed anew, and it is
 * taken, all the same. Another device has to wait for the slots, but not its administrator, who would
 * hold up the host's netlink.
 */
TEST(vcpu_that_waits)
{
	struct call slots = { .fn = add_slot }, other = { .address = find_edu(0) };
	struct call second = { .address = find_function(EDU_VENDOR, EDU_DEVICE, 1) };
	struct stuck s = stuck_vcpu(VM_IRQCHIP);
	struct nl *nl = nl_open();

	slots.s = &s;
	other.s = &s;
	second.s = &s;
	take(nl, other.address);
	other.fn = attach_with_line;
	call(&other);
	ends_at_once(&other, "the line");
	other.fn = set_routing;
	call(&other);
	ends_at_once(&other, "routing");
	call(&slots);
	wait_asleep(&slots);
	take(nl, second.address);
	second.fn = attach_in_vain;
	call(&second);
	ends_at_once(&second, "attaching another one");
	give_back(nl, second.address);
	other.fn = detach;
	call(&other);
	ends_at_once(&other, "detaching");
	give_back(nl, other.address);
	unstick(&s);
	CHECK(!pthread_join(slots.thread, NULL));
}

/* Somebody without privileges looks at a device all the time: it is reset all the same. */
TEST(looked_at)
{
	const char *nvme = find_function(NVME_VENDOR, NVME_DEVICE, 0);
	struct vm *vm = vm_create(0);
	struct nl *nl = nl_open();
	int i, status, fd;
	pid_t pid;

	vm_ram(vm, 1 << 20);
	take(nl, nvme);
	pid = CHECK_OK(fork());
	if (!pid) {
		CHECK_OK(setgid(NOBODY));
		CHECK_OK(setuid(NOBODY));
		nl = nl_open();
		for (;;)
			CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_GET, nvme, 0, false), 0);
	}
	for (i = 0; i < rounds(15, 100); i++) {
		if (device_cmd(nl, LHV_CMD_DEVICE_ATTACH, nvme, vm_id(vm->fd), false))
			FAIL("round %d: %s", i, nl->said);
		fd = CHECK_OK(open_device(vm->fd, nvme));
		CHECK_OK(ioctl(fd, LHV_DEVICE_RESET, 0));
		close(fd);
		CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_DETACH, nvme, 0, false), 0);
	}
	CHECK_EQ(waitpid(pid, &status, WNOHANG), 0);
	kill(pid, SIGKILL);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	give_back(nl, nvme);
	CHECK_OK(open_disk());
}

/* Two functions of one group: the host's drivers get neither while a VM has the other. */
TEST(unbound_one_by_one)
{
	const char *first = find_function(EDU_VENDOR, EDU_DEVICE, 1);
	const char *second = find_function(EDU_VENDOR, EDU_DEVICE, 2);
	struct vm *vm = vm_create(0);
	struct nl *nl = nl_open();
	uint64_t id = vm_id(vm->fd);

	if (strncmp(first, second, 11))
		test_skip("%s and %s are no neighbours", first, second);
	vm_ram(vm, 1 << 20);
	take(nl, first);
	take(nl, second);
	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_ATTACH, first, id, true), 0);
	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_ATTACH, second, id, true), 0);
	REFUSED(nl, device_cmd(nl, LHV_CMD_DEVICE_UNBIND, first, 0, false), EBUSY, second);
	CHECK(strstr(nl->said, "detach it first"));
	/* It has lost nothing by that. */
	CHECK_OK(open_device(vm->fd, first));
	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_DETACH, second, 0, false), 0);
	give_back(nl, first);
	give_back(nl, second);
}

/* ---- the line ---- */

static bool line_is_off(const char *address)
{
	uint8_t config[PCI_CFG_SPACE_SIZE];

	read_real(address, config);
	return config[PCI_COMMAND + 1] & PCI_COMMAND_INTX_DISABLE >> 8;
}

/* Others of the host may share it: nothing raises it while there is no handler. */
static void line_of(const char *address, bool force)
{
	struct lhv_device_irq irq = { .type = LHV_DEVICE_IRQ_INTX, .gsi = GSI };
	struct vm *vm = vm_create(VM_IRQCHIP);
	struct lhv_device_info info;
	struct nl *nl = nl_open();
	int fd;

	vm_ram(vm, 1 << 20);
	take(nl, address);
	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_ATTACH, address, vm_id(vm->fd), force), 0);
	CHECK(line_is_off(address));
	fd = CHECK_OK(open_device(vm->fd, address));
	CHECK_OK(ioctl(fd, LHV_DEVICE_INFO, &info));
	CHECK(info.intx);
	CHECK_OK(ioctl(fd, LHV_DEVICE_IRQ, &irq));
	CHECK(!line_is_off(address));
	irq.type = info.msi ? LHV_DEVICE_IRQ_MSI : LHV_DEVICE_IRQ_MSIX;
	CHECK_OK(ioctl(fd, LHV_DEVICE_IRQ, &irq));
	CHECK(line_is_off(address));
	irq.type = LHV_DEVICE_IRQ_NONE;
	CHECK_OK(ioctl(fd, LHV_DEVICE_IRQ, &irq));
	CHECK(line_is_off(address));
	irq.type = LHV_DEVICE_IRQ_INTX;
	CHECK_OK(ioctl(fd, LHV_DEVICE_IRQ, &irq));
	/* The guest's switch, which a reset puts back. */
	config_write(fd, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
	CHECK(line_is_off(address));
	CHECK_EQ(config_read(fd, PCI_COMMAND, 2), PCI_COMMAND_INTX_DISABLE);
	if (!force) {
		CHECK_OK(ioctl(fd, LHV_DEVICE_RESET, 0));
		CHECK_EQ(config_read(fd, PCI_COMMAND, 2), 0);
		CHECK(line_is_off(address));
	}
	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_DETACH, address, 0, false), 0);
	CHECK(line_is_off(address));
	give_back(nl, address);
	close(fd);
}

TEST(line)
{
	line_of(find_edu(0), true);
	line_of(find_function(NVME_VENDOR, NVME_DEVICE, 0), false);
	CHECK_OK(open_disk());
}

/* Its end of interrupt would go to the VMM. */
TEST(line_of_split_chips)
{
	struct lhv_device_irq irq = { .type = LHV_DEVICE_IRQ_INTX, .gsi = GSI };
	struct vm *vm = vm_create(VM_SPLIT);
	const char *edu = find_edu(0);
	struct nl *nl = nl_open();
	int fd;

	vm_ram(vm, 1 << 20);
	take(nl, edu);
	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_ATTACH, edu, vm_id(vm->fd), true), 0);
	fd = CHECK_OK(open_device(vm->fd, edu));
	CHECK_ERR(ioctl(fd, LHV_DEVICE_IRQ, &irq), EINVAL);
	irq.type = LHV_DEVICE_IRQ_MSI;
	CHECK_OK(ioctl(fd, LHV_DEVICE_IRQ, &irq));
	give_back(nl, edu);
}
