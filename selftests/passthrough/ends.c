// SPDX-License-Identifier: GPL-2.0
/* How it ends: detached, unbound, pulled out, killed; always at once, and nothing is left. */
#include <linux/pci_regs.h>
#include <signal.h>
#include <sys/mman.h>
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

	vm_ram(vm, RAM);
	e = busy_edu(nl, vm, address);
	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_DETACH, address, 0, false), 0);
	quiet(vm->ram, RAM);
	gone(&e);
	CHECK_EQ(locked_kb(0), 0);
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
	quiet(vm->ram, RAM);
	gone(&again);
	CHECK_EQ(locked_kb(0), 0);
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
	CHECK_EQ(locked_kb(0), 0);
	CHECK_EQ(pins(), before);
	REFUSED(nl, device_cmd(nl, LHV_CMD_DEVICE_ATTACH, address, vm_id(vm->fd), true), ENODEV,
		"no PCI device");
	munmap((void *)e.bar, EDU_BAR_SIZE);
	close(e.fd);
	write_to("/sys/bus/pci/rescan", "1");
	CHECK(driven_by(address, ""));
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
	CHECK_EQ(locked_kb(0), 0);
	give_back(nl, address);
}

/* ---- again and again ---- */

static void vmm(const char *address, uint8_t *ram, int ready)
{
	struct nl *nl = nl_open();
	struct vm *vm = vm_create(0);
	struct edu e;
	char c = 0;

	vm_of_shared(vm, ram);
	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_ATTACH, address, vm_id(vm->fd), true), 0);
	e = edu_open(vm->fd, address);
	edu_fill(&e, vm->ram, 0x12);
	CHECK_EQ(write(ready, &c, 1), 1);
	for (;;)
		edu_dma(&e, EDU_BUFFER, PAGE_SIZE, EDU_TO_RAM);
}

static bool is_free(struct nl *nl, const char *address)
{
	return device_cmd(nl, LHV_CMD_DEVICE_DETACH, address, 0, false) == -ENODEV;
}

TEST(killed_amid_dma, .timeout = 1800)
{
	int i, n = rounds(5, 200), early = 0, status, ready[2];
	uint8_t *ram = shared_memory(RAM);
	const char *address = find_edu(0);
	struct nl *nl = nl_open();
	long before;
	pid_t pid;
	char c;

	take(nl, address);
	CHECK_OK(pipe(ready));
	before = pins();
	for (i = 0; i < n; i++) {
		pid = CHECK_OK(fork());
		if (!pid) {
			vmm(address, ram, ready[1]);
			_exit(0);
		}
		/* One in four dies while it gets its device. */
		if (i % 4 == 3) {
			nap(i * 7 % 60);
			early++;
		} else {
			CHECK_EQ(read(ready[0], &c, 1), 1);
			nap(i * 31 % 120);
		}
		kill(pid, SIGKILL);
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK(WIFSIGNALED(status));
		/* A dead process has given its device back: memory first, then the files. */
		CHECK(is_free(nl, address));
		if (i % 4 == 3) {
			/* What it may have said meanwhile. */
			close(ready[0]);
			close(ready[1]);
			CHECK_OK(pipe(ready));
		}
		memset(ram, 0x3c, PAGE_SIZE * 2);
		CHECK_EQ(pins(), before);
		nap(110);
		CHECK_EQ(ram[PAGE_SIZE], 0x3c);
	}
	test_note("%d killed, %d of them early", n, early);
	give_back(nl, address);
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
		CHECK_EQ(locked_kb(0), 0);
		if (i % 500 == 499)
			test_note("%d rounds", i + 1);
	}
	CHECK_EQ(pins(), before);
	if (tables >= 0) {
		test_note("pages of IOMMU tables: %ld before, %ld now", tables, iommu_pages());
		CHECK(iommu_pages() <= tables + 16);
	}
	give_back(nl, edu);
	give_back(nl, nvme);
	/* The host's driver has it again. */
	for (i = 0; i < 200 && access("/dev/nvme0n1", F_OK); i++)
		nap(100);
	CHECK(driven_by(nvme, "nvme"));
	CHECK(!access("/dev/nvme0n1", F_OK));
}
