// SPDX-License-Identifier: GPL-2.0
/* Who may have a device, and what of it. */
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device.h"

#define MIB		(1 << 20)
#define NOBODY		1000

/* A VM with 1 MiB. */
static struct vm *small_vm(void)
{
	struct vm *vm = vm_create(0);

	vm_ram(vm, MIB);
	return vm;
}

TEST(states)
{
	const char *edu = find_edu(0);
	struct vm *vm = small_vm(), *other = small_vm();
	struct nl *nl = nl_open();
	uint64_t id = vm_id(vm->fd);
	char text[32];

	REFUSED(nl, device_cmd(nl, LHV_CMD_DEVICE_ATTACH, "0000:00:1e.7", id, false), ENODEV,
		"no PCI device");
	REFUSED(nl, device_cmd(nl, LHV_CMD_DEVICE_ATTACH, "nonsense", id, false), EINVAL,
		"not a PCI address");
	REFUSED(nl, device_cmd(nl, LHV_CMD_DEVICE_UNBIND, edu, 0, false), ENODEV, "does not have it");
	REFUSED(nl, device_cmd(nl, LHV_CMD_DEVICE_ATTACH, edu, id, true), ENODEV, "bind it first");
	take(nl, edu);
	REFUSED(nl, device_cmd(nl, LHV_CMD_DEVICE_BIND, edu, 0, false), EALREADY, "already");
	REFUSED(nl, device_cmd(nl, LHV_CMD_DEVICE_ATTACH, edu, id, false), ENOTTY, "can't be reset");
	REFUSED(nl, device_cmd(nl, LHV_CMD_DEVICE_DETACH, edu, 0, false), ENODEV, "no VM has it");
	CHECK_ERR(open_device(vm->fd, edu), ENODEV);
	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_ATTACH, edu, id, true), 0);
	snprintf(text, sizeof(text), "VM %llu has it", (unsigned long long)id);
	REFUSED(nl, device_cmd(nl, LHV_CMD_DEVICE_ATTACH, edu, vm_id(other->fd), true), EBUSY, text);
	REFUSED(nl, device_cmd(nl, LHV_CMD_DEVICE_ATTACH, edu, id, true), EBUSY, text);
	CHECK_ERR(open_device(other->fd, edu), ENODEV);
	CHECK(open_device(vm->fd, edu) >= 0);
	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_DETACH, edu, id, false), 0);
	give_back(nl, edu);
}

/* An edu on a slot with another function: one group, as neither isolates itself. */
TEST(foreign_member)
{
	const char *edu = find_function(EDU_VENDOR, EDU_DEVICE, 1), *other;
	struct vm *vm = small_vm();
	struct nl *nl = nl_open();
	char path[128];

	other = find_function(EDU_VENDOR, EDU_DEVICE, 2);
	if (strncmp(edu, other, 11))
		test_skip("%s and %s are no neighbours", edu, other);
	if (access("/sys/bus/pci/drivers/vfio-pci", F_OK))
		test_skip("no vfio-pci");
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver_override", other);
	write_to(path, "vfio-pci");
	write_to("/sys/bus/pci/drivers_probe", other);
	CHECK(driven_by(other, "vfio-pci"));
	take(nl, edu);
	REFUSED(nl, device_cmd(nl, LHV_CMD_DEVICE_ATTACH, edu, vm_id(vm->fd), true), EPERM,
		"(vfio-pci): of the same IOMMU group");
	CHECK(strstr(nl->said, other));
	write_to("/sys/bus/pci/drivers/vfio-pci/unbind", other);
	write_to(path, "\n");
	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_ATTACH, edu, vm_id(vm->fd), true), 0);
	take(nl, other);
	REFUSED(nl, device_cmd(nl, LHV_CMD_DEVICE_ATTACH, other, vm_id(small_vm()->fd), true), EBUSY,
		edu);
	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_ATTACH, other, vm_id(vm->fd), true), 0);
	/* The first one leaves: the second one's DMA is not disturbed, and the last one frees the group. */
	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_DETACH, edu, 0, false), 0);
	{
		struct edu e = edu_open(vm->fd, other);

		edu_fill(&e, vm->ram, 0x33);
		edu_dma(&e, EDU_BUFFER, PAGE_SIZE, EDU_TO_RAM);
		CHECK_EQ(vm->ram[PAGE_SIZE], 0x33);
	}
	give_back(nl, other);
	give_back(nl, edu);
	write_to("/sys/bus/pci/drivers_probe", other);
}

/* Not for those who are not the host's administrator. */
TEST(administrators)
{
	const char *edu = find_edu(0);
	struct nl *nl;

	CHECK_OK(setgid(NOBODY));
	CHECK_OK(setuid(NOBODY));
	nl = nl_open();
	REFUSED(nl, device_cmd(nl, LHV_CMD_DEVICE_BIND, edu, 0, false), EPERM, "administrator");
	REFUSED(nl, device_cmd(nl, LHV_CMD_DEVICE_UNBIND, edu, 0, false), EPERM, "administrator");
	REFUSED(nl, device_cmd(nl, LHV_CMD_DEVICE_ATTACH, edu, 1, false), EPERM, "administrator");
	REFUSED(nl, device_cmd(nl, LHV_CMD_DEVICE_DETACH, edu, 1, false), EPERM, "administrator");
}

static void read_real(const char *address, uint8_t *config)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", address);
	fd = CHECK_OK(open(path, O_RDONLY));
	CHECK_EQ(read(fd, config, PCI_CFG_SPACE_SIZE), PCI_CFG_SPACE_SIZE);
	close(fd);
}

static bool has(const char *path, const char *what)
{
	char text[4096] = "";
	int fd = CHECK_OK(open(path, O_RDONLY));

	CHECK(read(fd, text, sizeof(text) - 1) >= 0);
	close(fd);
	return strstr(text, what);
}

/* In a machine whose kernel was told not to remap interrupts; with and without the parameter. */
TEST(no_remapping)
{
	unsigned long long tainted = 0;
	const char *edu = find_edu(0);
	struct vm *vm = small_vm();
	struct nl *nl = nl_open();
	uint64_t id = vm_id(vm->fd);
	FILE *f;

	if (!has("/proc/cmdline", "intremap=off"))
		test_skip("interrupts are remapped here");
	take(nl, edu);
	if (has("/sys/module/lhv/parameters/unsafe_interrupts", "N")) {
		REFUSED(nl, device_cmd(nl, LHV_CMD_DEVICE_ATTACH, edu, id, true), EPERM,
			"no interrupt remapping");
	} else {
		CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_ATTACH, edu, id, true), 0);
		f = fopen("/proc/sys/kernel/tainted", "r");
		CHECK(f && fscanf(f, "%llu", &tainted) == 1);
		CHECK(tainted & 1 << 6);	/* TAINT_USER */
	}
	give_back(nl, edu);
}

/* Whatever is written: only bus mastering and the line's switch reach the device. */
static void config_of(const char *address)
{
	uint8_t before[PCI_CFG_SPACE_SIZE], after[PCI_CFG_SPACE_SIZE];
	struct lhv_device_config c = { .len = 4 };
	struct vm *vm = small_vm();
	struct nl *nl = nl_open();
	unsigned int i;
	int fd;

	take(nl, address);
	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_ATTACH, address, vm_id(vm->fd), true), 0);
	fd = CHECK_OK(open_device(vm->fd, address));
	read_real(address, before);
	for (i = 0; i < PCI_CFG_SPACE_SIZE; i += 4)
		config_write(fd, i, 4, 0xffffffff);
	for (i = 0; i < PCI_CFG_SPACE_SIZE; i += 4)
		config_write(fd, i, 4, 0);
	config_write(fd, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	read_real(address, after);
	CHECK(!(before[PCI_COMMAND] & PCI_COMMAND_MASTER));
	CHECK(after[PCI_COMMAND] & PCI_COMMAND_MASTER);
	after[PCI_COMMAND] &= ~PCI_COMMAND_MASTER;
	for (i = 0; i < PCI_CFG_SPACE_SIZE; i++) {
		if (after[i] != before[i])
			FAIL("%s: byte %#x was %#x and is %#x", address, i, before[i], after[i]);
	}
	CHECK_EQ(config_read(fd, PCI_VENDOR_ID, 4), *(uint32_t *)before);
	for (i = 0; i < 6; i++)
		CHECK_EQ(config_read(fd, PCI_BASE_ADDRESS_0 + 4 * i, 4), 0);
	CHECK_EQ(config_read(fd, PCI_CAPABILITY_LIST, 1), 0);
	for (i = PCI_STD_HEADER_SIZEOF; i < PCI_CFG_SPACE_SIZE; i += 4)
		CHECK_EQ(config_read(fd, i, 4), 0);
	for (i = 0; i < 4; i++) {
		static const struct lhv_device_config bad[] = {
			{ .len = 3 }, { .len = 4, .offset = 2 },
			{ .len = 1, .offset = PCI_CFG_SPACE_SIZE }, { .len = 1, .write = 2 },
		};

		c = bad[i];
		CHECK_ERR(ioctl(fd, LHV_DEVICE_CONFIG, &c), EINVAL);
	}
	CHECK_ERR(ioctl(fd, LHV_DEVICE_RESET, 1), EINVAL);
	CHECK_ERR(ioctl(fd, KVM_CREATE_VCPU, 0), ENOTTY);
	give_back(nl, address);
}

TEST(config)
{
	config_of(find_edu(0));
	config_of(find_function(NVME_VENDOR, NVME_DEVICE, 0));
}

static bool maps(int fd, int flags, int prot, uint64_t offset, size_t size)
{
	void *p = mmap(NULL, size, prot, flags, fd, offset);

	if (p == MAP_FAILED)
		return false;
	munmap(p, size);
	return true;
}

/* All of the BARs but the pages of the MSI-X table. */
TEST(mappings)
{
	const char *nvme = find_function(NVME_VENDOR, NVME_DEVICE, 0);
	const uint64_t one = 1ULL << LHV_DEVICE_BAR_SHIFT;
	int rw = PROT_READ | PROT_WRITE, fd;
	struct lhv_device_info info;
	struct vm *vm = small_vm();
	struct nl *nl = nl_open();
	uint64_t table, end;

	take(nl, nvme);
	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_ATTACH, nvme, vm_id(vm->fd), false), 0);
	fd = CHECK_OK(open_device(vm->fd, nvme));
	CHECK_OK(ioctl(fd, LHV_DEVICE_INFO, &info));
	CHECK(info.msix_vectors && info.msix_size);
	table = info.msix_bar * one + info.msix_offset;
	end = info.msix_bar * one + info.bar_size[info.msix_bar];
	test_note("MSI-X table at %#llx of BAR %u, which has %#llx bytes",
		  (unsigned long long)info.msix_offset, info.msix_bar,
		  (unsigned long long)info.bar_size[info.msix_bar]);
	CHECK(maps(fd, MAP_SHARED, rw, info.msix_bar * one, info.msix_offset));
	CHECK(!maps(fd, MAP_SHARED, rw, table, PAGE_SIZE));
	CHECK(!maps(fd, MAP_SHARED, PROT_READ, table, PAGE_SIZE));
	CHECK(!maps(fd, MAP_SHARED, rw, table - PAGE_SIZE, 3 * PAGE_SIZE));
	CHECK(!maps(fd, MAP_SHARED, rw, info.msix_bar * one, info.bar_size[info.msix_bar]));
	CHECK(!maps(fd, MAP_SHARED, rw, end, PAGE_SIZE));
	CHECK(!maps(fd, MAP_SHARED, rw, end - PAGE_SIZE, 2 * PAGE_SIZE));
	CHECK(!maps(fd, MAP_SHARED, rw, LHV_DEVICE_BARS * one, PAGE_SIZE));
	CHECK(!maps(fd, MAP_SHARED, rw, 1ULL << 62, PAGE_SIZE));
	CHECK(!maps(fd, MAP_PRIVATE, rw, info.msix_bar * one, PAGE_SIZE));
	CHECK(!maps(fd, MAP_SHARED, rw | PROT_EXEC, info.msix_bar * one, PAGE_SIZE));
	give_back(nl, nvme);
}

/* ---- the limit ---- */

static void poor_vmm(int up, int down, size_t ram, size_t limit)
{
	struct rlimit l = { limit, limit };
	struct vm *vm;
	uint64_t id;
	char c;

	CHECK_OK(setrlimit(RLIMIT_MEMLOCK, &l));
	CHECK_OK(setgid(NOBODY));
	CHECK_OK(setuid(NOBODY));
	vm = vm_create(0);
	vm_ram(vm, ram);
	id = vm_id(vm->fd);
	CHECK_EQ(write(up, &id, sizeof(id)), sizeof(id));
	/* When told so, one slot that fits and one that does not. */
	CHECK_EQ(read(down, &c, 1), 1);
	vm_set_slot(vm, 1, 0, 4 * MIB, MIB, map_memory(MIB, PAGE_SIZE));
	{
		struct kvm_userspace_memory_region more = {
			.slot = 2, .guest_phys_addr = 8 * MIB, .memory_size = MIB,
			.userspace_addr = (uintptr_t)map_memory(MIB, PAGE_SIZE),
		};

		CHECK_ERR(ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &more), ENOMEM);
		vm_set_slot(vm, 1, 0, 4 * MIB, 0, NULL);
		CHECK_OK(ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &more));
	}
	CHECK_EQ(write(up, &c, 1), 1);
	CHECK_EQ(read(down, &c, 1), 1);
}

/* A VMM without privileges, with so much memory, that may lock so much. Its VM's id. */
static pid_t start_poor(int pipes[2], size_t ram, size_t limit, uint64_t *id)
{
	int up[2], down[2];
	pid_t pid;

	CHECK_OK(pipe(up));
	CHECK_OK(pipe(down));
	CHECK_OK(chmod(test_device(), 0666));
	pid = CHECK_OK(fork());
	if (!pid) {
		poor_vmm(up[1], down[0], ram, limit);
		_exit(0);
	}
	close(up[1]);
	CHECK_EQ(read(up[0], id, sizeof(*id)), sizeof(*id));
	pipes[0] = up[0];
	pipes[1] = down[1];
	return pid;
}

TEST(limit)
{
	const char *edu = find_edu(0);
	struct nl *nl = nl_open();
	int pipes[2], status;
	long before = pins();
	uint64_t id;
	pid_t pid;
	char c = 0;

	take(nl, edu);
	pid = start_poor(pipes, 2 * MIB, MIB, &id);
	REFUSED(nl, device_cmd(nl, LHV_CMD_DEVICE_ATTACH, edu, id, true), ENOMEM, "RLIMIT_MEMLOCK");
	CHECK_EQ(locked_kb(pid), 0);
	CHECK_EQ(pins(), before);
	kill(pid, 9);
	waitpid(pid, NULL, 0);

	/* 2 MiB, of 3: another one fits, and no second one. */
	pid = start_poor(pipes, 2 * MIB, 3 * MIB, &id);
	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_ATTACH, edu, id, true), 0);
	CHECK_EQ(locked_kb(pid), 2 * MIB >> 10);
	CHECK_EQ(write(pipes[1], &c, 1), 1);
	CHECK_EQ(read(pipes[0], &c, 1), 1);
	CHECK_EQ(locked_kb(pid), 3 * MIB >> 10);
	CHECK_EQ(pins() - before, 3 * MIB / PAGE_SIZE);
	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_DETACH, edu, id, false), 0);
	CHECK_EQ(locked_kb(pid), 0);
	CHECK_EQ(pins(), before);
	CHECK_EQ(write(pipes[1], &c, 1), 1);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	give_back(nl, edu);
}
