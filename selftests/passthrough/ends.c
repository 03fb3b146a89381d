// SPDX-License-Identifier: GPL-2.0
/* How it ends: detached, unbound, pulled out, killed; always at once, and nothing is left. */
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device.h"

#define RAM		(4UL << 20)
#define SMALL		(1UL << 20)

static void vm_of_shared(struct vm *vm, uint8_t *ram)
{
	vm->ram = ram;
	vm->ram_size = RAM;
	vm_set_slot(vm, 0, 0, 0, RAM, ram);
}

/* All that a VMM can still do with a device that was taken away. */
static void gone(struct edu *e)
{
	struct lhv_device_vector v = { .address = 0xfee00000 };
	struct lhv_device_irq irq = { .type = LHV_DEVICE_IRQ_MSI };
	struct lhv_device_info info;

	CHECK_EQ(edu_get(e, EDU_REG_ID), 0xffffffff);
	edu_set(e, EDU_REG_RAISE, 1);
	CHECK_EQ(config_read(e->fd, PCI_VENDOR_ID, 4), 0xffffffff);
	CHECK_EQ(config_read(e->fd, PCI_COMMAND, 2) & 0xffff, 0xffff);
	CHECK_ERR(ioctl(e->fd, LHV_DEVICE_INFO, &info), ENODEV);
	CHECK_ERR(ioctl(e->fd, LHV_DEVICE_VECTOR, &v), ENODEV);
	CHECK_ERR(ioctl(e->fd, LHV_DEVICE_IRQ, &irq), ENODEV);
	CHECK_ERR(ioctl(e->fd, LHV_DEVICE_RESET, 0), ENODEV);
}

/* Nothing comes any more; a transfer would have been over by now. */
static void quiet(uint8_t *ram, size_t size)
{
	uint64_t before;

	memset(ram, 0x3c, size);
	before = sum(ram, size);
	nap(250);
	CHECK_EQ(sum(ram, size), before);
}

/* Without bus mastering, as the host sees it. */
static void silent(const char *address)
{
	uint8_t config[PCI_CFG_SPACE_SIZE];

	read_real(address, config);
	CHECK(!(config[PCI_COMMAND] & PCI_COMMAND_MASTER));
}

/* Bound, attached, and about to write to the VM's memory. */
static struct edu busy_edu(struct nl *nl, struct vm *vm, const char *address)
{
	struct edu e;

	take(nl, address);
	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_ATTACH, address, vm_id(vm->fd), true), 0);
	e = edu_open(vm->fd, address);
	edu_fill(&e, vm->ram, 0x12);
	edu_start(&e, EDU_BUFFER, PAGE_SIZE, EDU_TO_RAM);
	return e;
}

TEST(taken_away)
{
	const char *address = find_edu(0);
	struct vm *vm = vm_create(0);
	struct nl *nl = nl_open();
	struct edu e, again;
	int faults;

	vm_ram(vm, RAM);
	e = busy_edu(nl, vm, address);
	faults = iommu_faults();
	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_DETACH, address, 0, false), 0);
	silent(address);
	quiet(vm->ram, RAM);
	/* It did not even try: the transfer that was under way is not what the IOMMU had to stop. */
	CHECK_EQ(iommu_faults(), faults);
	gone(&e);
	CHECK(none_locked(0));
	/* The file of the first time stays dead. */
	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_ATTACH, address, vm_id(vm->fd), true), 0);
	again = edu_open(vm->fd, address);
	CHECK_EQ(edu_get(&again, EDU_REG_ID), EDU_ID);
	CHECK_ERR(ioctl(e.fd, LHV_DEVICE_RESET, 0), ENODEV);
	CHECK_EQ(config_read(e.fd, PCI_VENDOR_ID, 4), 0xffffffff);
	CHECK(edu_get(&e, EDU_REG_ID) != EDU_ID);
	/* Unbound under the VM. */
	edu_fill(&again, vm->ram, 0x12);
	edu_start(&again, EDU_BUFFER, PAGE_SIZE, EDU_TO_RAM);
	give_back(nl, address);
	silent(address);
	quiet(vm->ram, RAM);
	CHECK_EQ(iommu_faults(), faults);
	gone(&again);
	CHECK(none_locked(0));
}

/* As when somebody pulls the card. */
TEST(pulled_out)
{
	const char *address = find_edu(0);
	struct vm *vm = vm_create(0);
	long before = pins();
	struct nl *nl = nl_open();
	struct edu e;
	char path[128];

	vm_ram(vm, RAM);
	e = busy_edu(nl, vm, address);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/remove", address);
	write_to(path, "1");
	quiet(vm->ram, RAM);
	gone(&e);
	CHECK(none_locked(0));
	CHECK_EQ(pins(), before);
	REFUSED(nl, device_cmd(nl, LHV_CMD_DEVICE_ATTACH, address, vm_id(vm->fd), true), ENODEV,
		"no PCI device");
	munmap((void *)e.bar, EDU_BAR_SIZE);
	close(e.fd);
	write_to("/sys/bus/pci/rescan", "1");
	CHECK(driven_by(address, ""));
}

/* Amid a listing: who reads it is told. */
TEST(pulled_out_of_a_listing)
{
	const char *address = find_edu(0);
	struct nl *nl = nl_open();
	const struct nlmsghdr *h;
	bool done = false, intr = false;
	char path[128];
	struct msg *m;
	ssize_t n;

	m = msg_new(LHV_CMD_DEVICE_GET);
	m->head.nlmsg_type = nl->family;
	m->head.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	CHECK_OK(send(nl->fd, m, m->head.nlmsg_len, 0));
	/* Its first part is made, and the rest when that is read. */
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/remove", address);
	write_to(path, "1");
	while (!done) {
		n = CHECK_OK(recv(nl->fd, nl->buf, sizeof(nl->buf), 0));
		for (h = (void *)nl->buf; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			intr |= h->nlmsg_flags & NLM_F_DUMP_INTR;
			done |= h->nlmsg_type == NLMSG_DONE;
		}
	}
	CHECK(intr);
	write_to("/sys/bus/pci/rescan", "1");
	CHECK_EQ(nl_dump(nl, msg_new(LHV_CMD_DEVICE_GET), NULL, NULL), 0);
	CHECK(!nl->intr);
}

/* The VM is killed by the administrator, its VMM lives on. */
TEST(vm_killed)
{
	const char *address = find_edu(0);
	struct vm *vm = vm_create(0);
	struct nl *nl = nl_open();
	struct edu e;

	vm_ram(vm, RAM);
	e = busy_edu(nl, vm, address);
	CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_KILL, vm_id(vm->fd)), 0);
	quiet(vm->ram, RAM);
	gone(&e);
	CHECK(none_locked(0));
	give_back(nl, address);
}

/* Who bound it, and gave it to a VM, is dead: the driver comes back all the same. */
static void former(const char *address, const char *driver, const char *override)
{
	struct nl *nl = nl_open();
	char path[128], said[64] = "";
	int status, fd;
	pid_t pid;

	CHECK(driven_by(address, driver));
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver_override", address);
	write_to(path, *override ? override : "\n");
	pid = CHECK_OK(fork());
	if (!pid) {
		struct nl *own = nl_open();
		struct vm *vm = vm_create(0);

		vm_ram(vm, SMALL);
		take(own, address);
		CHECK_EQ(device_cmd(own, LHV_CMD_DEVICE_ATTACH, address, vm_id(vm->fd), true), 0);
		kill(getpid(), SIGKILL);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status));
	CHECK(driven_by(address, "lhv"));
	give_back(nl, address);
	CHECK(driven_by(address, driver));
	fd = CHECK_OK(open(path, O_RDONLY));
	CHECK(read(fd, said, sizeof(said) - 1) >= 0);
	close(fd);
	CHECK(!strncmp(said, *override ? override : "(null)", strlen(*override ? override : "(null)")));
	write_to(path, "\n");
}

TEST(former_driver)
{
	const char *nvme = find_function(NVME_VENDOR, NVME_DEVICE, 0);

	former(nvme, "nvme", "");
	former(nvme, "nvme", "nvme");
	former(find_edu(0), "", "");
	CHECK_OK(open_disk());
}

/* The first BAR, for the host, while no VM has the device: what was mapped before is gone then. */
static volatile uint8_t *host_bar(const char *address)
{
	char path[128];
	uint8_t *bar;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource0", address);
	fd = CHECK_OK(open(path, O_RDWR | O_SYNC));
	bar = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(bar != MAP_FAILED);
	close(fd);
	return bar;
}

static bool is_ready(volatile uint8_t *bar)
{
	return *(volatile uint32_t *)(bar + NVME_REG_CSTS) & NVME_READY;
}

/* What one owner has set up the next one does not find: on the way out, in, and by the VMM's wish. */
TEST(reset)
{
	const char *nvme = find_function(NVME_VENDOR, NVME_DEVICE, 0);
	struct vm *vm = vm_create(0);
	volatile uint8_t *bar;
	struct nl *nl = nl_open();
	struct nvme n;

	vm_ram(vm, RAM);
	take(nl, nvme);
	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_ATTACH, nvme, vm_id(vm->fd), false), 0);
	n = nvme_map(vm->fd, nvme, vm->ram);
	nvme_start(&n);
	CHECK(is_ready(n.bar));
	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_DETACH, nvme, 0, false), 0);

	bar = host_bar(nvme);
	CHECK(!is_ready(bar));
	nvme_enable(bar);
	munmap((void *)bar, PAGE_SIZE);
	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_ATTACH, nvme, vm_id(vm->fd), false), 0);
	n = nvme_map(vm->fd, nvme, vm->ram);
	CHECK(!is_ready(n.bar));

	nvme_start(&n);
	nvme_read(&n, 0, NVME_DATA);
	CHECK_OK(ioctl(n.fd, LHV_DEVICE_RESET, 0));
	CHECK(!is_ready(n.bar));
	nvme_start(&n);
	nvme_read(&n, 0, NVME_DATA);
	give_back(nl, nvme);
	CHECK_OK(open_disk());
}

/* ---- again and again ---- */

static bool long_form(void)
{
	return rounds(0, 1);
}

/*
 * Whenever a function is switched on or off the kernel asks ACPI where its line goes, which takes the
 * debug kernel a second. So the long forms leave it on, for whoever has it next.
 */
static void leave_on(const char *address)
{
	char path[128];

	if (!long_form())
		return;
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver/unbind", address);
	if (!driven_by(address, ""))
		write_to(path, address);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/enable", address);
	write_to(path, "1");
}

static void leave_no_more(const char *address)
{
	char path[128];

	/* One that has its driver back is on anyway. */
	if (!long_form() || !driven_by(address, ""))
		return;
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/enable", address);
	write_to(path, "0");
}

/* A process that makes its device write to @ram, until it is killed; @transfers: how often. */
struct vmm {
	const char *address;
	void (*busy)(const struct vmm *v, struct vm *vm, struct nl *nl);
	uint8_t *ram;
	volatile uint64_t *transfers;
	int ready[2];
};

static void busy_with_edu(const struct vmm *v, struct vm *vm, struct nl *nl)
{
	struct edu e;

	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_ATTACH, v->address, vm_id(vm->fd), true), 0);
	e = edu_open(vm->fd, v->address);
	edu_fill(&e, vm->ram, 0x12);
	CHECK_EQ(write(v->ready[1], "", 1), 1);
	for (;;) {
		++*v->transfers;	/* each takes a tenth of a second */
		edu_dma(&e, EDU_BUFFER, PAGE_SIZE, EDU_TO_RAM);
	}
}

static void busy_with_nvme(const struct vmm *v, struct vm *vm, struct nl *nl)
{
	struct nvme n;

	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_ATTACH, v->address, vm_id(vm->fd), false), 0);
	n = nvme_map(vm->fd, v->address, vm->ram);
	nvme_start(&n);
	nvme_read(&n, 0, NVME_DATA);
	CHECK_EQ(write(v->ready[1], "", 1), 1);
	nvme_read_on(&n, NVME_DATA, v->transfers);
}

static pid_t start_vmm(struct vmm *v)
{
	pid_t pid;

	CHECK_OK(pipe(v->ready));
	pid = CHECK_OK(fork());
	if (!pid) {
		struct nl *nl = nl_open();
		struct vm *vm = vm_create(0);

		vm_of_shared(vm, v->ram);
		v->busy(v, vm, nl);
	}
	return pid;
}

static bool is_free(struct nl *nl, const char *address)
{
	return device_cmd(nl, LHV_CMD_DEVICE_DETACH, address, 0, false) == -ENODEV;
}

/* What there is now, where the kernel counts them, must not be much more than before. */
static void check_tables(long before)
{
	long now = iommu_pages();

	if (before < 0)
		return;
	test_note("pages of IOMMU tables: %ld before, %ld now", before, now);
	CHECK(now <= before + 16);
}

/* One in four dies while it gets its device. */
static void kill_amid(struct vmm *v, int n)
{
	struct nl *nl = nl_open();
	int i, early = 0, status;
	long pinned, tables;
	uint64_t before;
	pid_t pid;
	char c;

	v->ram = shared_memory(RAM);
	v->transfers = shared_memory(PAGE_SIZE);
	leave_on(v->address);
	take(nl, v->address);
	pinned = pins();
	tables = iommu_pages();
	for (i = 0; i < n; i++) {
		pid = start_vmm(v);
		if (i % 4 == 3) {
			nap(i * 7 % 60);
			early++;
		} else {
			CHECK_EQ(read(v->ready[0], &c, 1), 1);
			nap(i * 31 % 120);
		}
		kill(pid, SIGKILL);
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK(WIFSIGNALED(status));
		/* A dead process has given its device back: memory first, then the files. */
		CHECK(is_free(nl, v->address));
		close(v->ready[0]);
		close(v->ready[1]);
		memset(v->ram, 0x3c, RAM);
		before = sum(v->ram, RAM);
		CHECK_EQ(pins(), pinned);
		nap(110);
		CHECK_EQ(sum(v->ram, RAM), before);
	}
	test_note("%d killed, %d of them early; %llu transfers", n, early,
		  (unsigned long long)*v->transfers);
	CHECK(*v->transfers);
	check_tables(tables);
	give_back(nl, v->address);
	leave_no_more(v->address);
}

TEST(killed_amid_dma, .timeout = 1800)
{
	struct vmm v = { .address = find_edu(0), .busy = busy_with_edu };

	kill_amid(&v, rounds(5, 200));
}

/* Half a megabyte is on its way at any time. The host's driver reads what was there before. */
TEST(killed_amid_nvme_dma, .timeout = 1800)
{
	struct vmm v = {
		.address = find_function(NVME_VENDOR, NVME_DEVICE, 0), .busy = busy_with_nvme,
	};
	uint8_t *data = shared_memory(2 * NVME_READ);
	int fd = CHECK_OK(open_disk());

	CHECK_EQ(pread(fd, data, NVME_READ, 0), NVME_READ);
	close(fd);
	kill_amid(&v, rounds(4, 200));
	fd = CHECK_OK(open_disk());
	CHECK(driven_by(v.address, "nvme"));
	CHECK_EQ(pread(fd, data + NVME_READ, NVME_READ, 0), NVME_READ);
	CHECK(!memcmp(data, data + NVME_READ, NVME_READ));
}

TEST(attach_detach, .timeout = 7200)
{
	const char *edu = find_edu(0), *nvme = find_function(NVME_VENDOR, NVME_DEVICE, 0);
	int i, n = rounds(40, 10000);
	struct vm *vm = vm_create(0);
	struct nl *nl = nl_open();
	long before, tables;
	uint64_t id = vm_id(vm->fd);

	vm_ram(vm, SMALL);
	leave_on(edu);
	leave_on(nvme);
	take(nl, edu);
	take(nl, nvme);
	before = pins();
	tables = iommu_pages();
	for (i = 0; i < n; i++) {
		/* nvme's reset takes a tenth of a second. */
		bool both = i % 20 == 0;

		CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_ATTACH, edu, id, true), 0);
		if (both)
			CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_ATTACH, nvme, id, false), 0);
		CHECK_EQ(locked_kb(0), SMALL >> 10);
		CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_DETACH, edu, 0, false), 0);
		if (both) {
			CHECK_EQ(locked_kb(0), SMALL >> 10);
			CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_DETACH, nvme, 0, false), 0);
		}
		CHECK(none_locked(0));
		if (i % 500 == 499)
			test_note("%d rounds", i + 1);
	}
	CHECK_EQ(pins(), before);
	check_tables(tables);
	give_back(nl, edu);
	give_back(nl, nvme);
	leave_no_more(edu);
	leave_no_more(nvme);
	/* The host's driver has it again. */
	CHECK_OK(open_disk());
	CHECK(driven_by(nvme, "nvme"));
}
