// SPDX-License-Identifier: GPL-2.0
/* Who may have a device, and what of it. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/pci_regs.h>
#include <net/if.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device.h"

#define MIB		(1 << 20)
#define NOBODY		1000
#define USERS_MAX	128
#define CGROUPS		"/tmp/cgroup"
#define PAYER		CGROUPS "/vmm"

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

/* Two VMs ask at the same moment, over and over. */
static void ask(const char *address, int go, int won)
{
	struct vm *vm = small_vm();
	struct nl *nl = nl_open();
	uint64_t id = vm_id(vm->fd);
	int ret;
	char c;

	while (read(go, &c, 1) == 1) {
		ret = device_cmd(nl, LHV_CMD_DEVICE_ATTACH, address, id, true);
		if (ret && (ret != -EBUSY || !strstr(nl->said, "has it")))
			FAIL("%d: %s", ret, nl->said);
		c = !ret;
		CHECK_EQ(write(won, &c, 1), 1);
	}
	_exit(0);
}

TEST(two_ask, .timeout = 240)
{
	const char *edu = find_edu(0);
	struct nl *nl = nl_open();
	int i, j, go[2][2], won[2], status;
	char c[2];

	take(nl, edu);
	CHECK_OK(pipe(won));
	for (i = 0; i < 2; i++) {
		CHECK_OK(pipe(go[i]));
		if (!CHECK_OK(fork())) {
			for (j = 0; j <= i; j++)
				close(go[j][1]);
			ask(edu, go[i][0], won[1]);
		}
	}
	for (i = 0; i < rounds(20, 200); i++) {
		for (j = 0; j < 2; j++)
			CHECK_EQ(write(go[(i + j) % 2][1], "", 1), 1);
		for (j = 0; j < 2; j++)
			CHECK_EQ(read(won[0], &c[j], 1), 1);
		CHECK_EQ(c[0] + c[1], 1);
		CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_DETACH, edu, 0, false), 0);
	}
	for (i = 0; i < 2; i++)
		close(go[i][1]);
	for (i = 0; i < 2; i++) {
		CHECK_OK(wait(&status));
		CHECK_EQ(status, 0);
	}
	give_back(nl, edu);
}

/* A driver for those that the host keeps: it takes part in nothing. */
static const char *keeper(void)
{
	static const char *const drivers[] = { "vfio-pci", "pci-stub" };
	char path[64];
	unsigned int i;

	for (i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/sys/bus/pci/drivers/%s", drivers[i]);
		if (!access(path, F_OK))
			return drivers[i];
	}
	test_skip("neither vfio-pci nor pci-stub");
	return NULL;
}

static void keep(const char *address, const char *driver)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver_override", address);
	write_to(path, driver);
	write_to("/sys/bus/pci/drivers_probe", address);
	CHECK(driven_by(address, driver));
}

static void keep_no_more(const char *address, const char *driver)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/drivers/%s/unbind", driver);
	write_to(path, address);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver_override", address);
	write_to(path, "\n");
	write_to("/sys/bus/pci/drivers_probe", address);
}

/* Three edus on one slot: one group, as none isolates itself. */
TEST(foreign_members)
{
	const char *edu = find_function(EDU_VENDOR, EDU_DEVICE, 1), *driver = keeper();
	const char *second = find_function(EDU_VENDOR, EDU_DEVICE, 2);
	const char *third = find_function(EDU_VENDOR, EDU_DEVICE, 3);
	struct vm *vm = small_vm();
	struct nl *nl = nl_open();
	uint64_t id = vm_id(vm->fd);
	struct edu e;

	if (strncmp(edu, second, 11) || strncmp(edu, third, 11))
		test_skip("%s, %s and %s are no neighbours", edu, second, third);
	keep(second, driver);
	keep(third, driver);
	take(nl, edu);
	/* Each of them is named. */
	REFUSED(nl, device_cmd(nl, LHV_CMD_DEVICE_ATTACH, edu, id, true), EPERM,
		"of the same IOMMU group");
	CHECK(strstr(nl->said, driver));
	CHECK(strstr(nl->said, second));
	CHECK(strstr(nl->said, third));
	keep_no_more(third, driver);
	REFUSED(nl, device_cmd(nl, LHV_CMD_DEVICE_ATTACH, edu, id, true), EPERM, second);
	CHECK(!strstr(nl->said, third));
	keep_no_more(second, driver);
	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_ATTACH, edu, id, true), 0);
	take(nl, second);
	REFUSED(nl, device_cmd(nl, LHV_CMD_DEVICE_ATTACH, second, vm_id(small_vm()->fd), true), EBUSY,
		edu);
	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_ATTACH, second, id, true), 0);
	/* The first one leaves: the second one's DMA is not disturbed, and the last one frees the group. */
	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_DETACH, edu, 0, false), 0);
	e = edu_open(vm->fd, second);
	edu_fill(&e, vm->ram, 0x33);
	edu_dma(&e, EDU_BUFFER, PAGE_SIZE, EDU_TO_RAM);
	CHECK_EQ(vm->ram[PAGE_SIZE], 0x33);
	give_back(nl, second);
	give_back(nl, edu);
}

/* ---- what the host uses ---- */

static void on_users(void *arg, int cmd, const struct attrs *a)
{
	(void)cmd;
	snprintf(arg, USERS_MAX, "%s", a->at[LHV_A_DEVICE_USERS] ? attr_str(a, LHV_A_DEVICE_USERS) : "");
}

static void users_are(const char *address, const char *text)
{
	struct msg *m = msg_new(LHV_CMD_DEVICE_GET);
	struct nl *nl = nl_open();
	char users[USERS_MAX];

	msg_str(m, LHV_A_DEVICE_ADDRESS, address);
	CHECK_EQ(nl_do(nl, m, on_users, users), 0);
	if (strcmp(users, text))
		FAIL("%s uses it, not %s", users, text);
	nl_close(nl);
}

/* Who is not the host's administrator does not learn what the host calls it. */
static void users_are_to_others(const char *address, const char *text)
{
	int status;
	pid_t pid;

	pid = CHECK_OK(fork());
	if (!pid) {
		CHECK_OK(setgid(NOBODY));
		CHECK_OK(setuid(NOBODY));
		users_are(address, text);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

TEST(disk_in_use)
{
	const char *nvme = find_function(NVME_VENDOR, NVME_DEVICE, 0);
	struct nl *nl = nl_open();
	int fd = CHECK_OK(open_disk());

	REFUSED(nl, device_cmd(nl, LHV_CMD_DEVICE_BIND, nvme, 0, false), EBUSY,
		"disk nvme0n1 is open or mounted");
	CHECK(driven_by(nvme, "nvme"));
	users_are(nvme, "disk nvme0n1 is open or mounted");
	users_are_to_others(nvme, "the host");
	CHECK_OK(mkdir("/tmp/disk", 0700));
	CHECK_OK(mount("/dev/nvme0n1", "/tmp/disk", "ext4", MS_RDONLY, NULL));
	close(fd);
	REFUSED(nl, device_cmd(nl, LHV_CMD_DEVICE_BIND, nvme, 0, false), EBUSY,
		"disk nvme0n1 is open or mounted");
	CHECK_OK(umount("/tmp/disk"));
	rmdir("/tmp/disk");
	users_are_to_others(nvme, "");
	take(nl, nvme);
	give_back(nl, nvme);
	CHECK_OK(open_disk());
	CHECK(driven_by(nvme, "nvme"));
}

static void set_up(const char *interface, bool up)
{
	int fd = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	struct ifreq req = {};

	strncpy(req.ifr_name, interface, IFNAMSIZ - 1);
	CHECK_OK(ioctl(fd, SIOCGIFFLAGS, &req));
	req.ifr_flags = (req.ifr_flags & ~IFF_UP) | (up ? IFF_UP : 0);
	CHECK_OK(ioctl(fd, SIOCSIFFLAGS, &req));
	close(fd);
}

TEST(interface_in_use)
{
	const char *nic = find_function(NIC_VENDOR, NIC_DEVICE, 0);
	char path[128], said[64], *name;
	struct nl *nl = nl_open();
	struct dirent **names;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/net", nic);
	if (scandir(path, &names, NULL, alphasort) < 3)
		test_skip("no driver for %s", nic);
	name = names[2]->d_name;
	set_up(name, true);
	snprintf(said, sizeof(said), "interface %.20s is up", name);
	REFUSED(nl, device_cmd(nl, LHV_CMD_DEVICE_BIND, nic, 0, false), EBUSY, said);
	set_up(name, false);
	take(nl, nic);
	give_back(nl, nic);
	CHECK(driven_by(nic, "e1000e"));
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
	const struct rlimit less = { 2 * MIB, 3 * MIB };
	long before = pins();
	char text[128];
	uint64_t id;
	pid_t pid;
	char c = 0;

	take(nl, edu);
	pid = start_poor(pipes, 2 * MIB, MIB, &id);
	snprintf(text, sizeof(text),
		 "2048 KiB to lock, with 0 locked already, are over process %d's RLIMIT_MEMLOCK of 1024 KiB",
		 pid);
	REFUSED(nl, device_cmd(nl, LHV_CMD_DEVICE_ATTACH, edu, id, true), ENOMEM, text);
	CHECK(none_locked(pid));
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
	snprintf(text, sizeof(text), "VM %llu has a device, and its slot of 1024 KiB at 0x800000",
		 (unsigned long long)id);
	CHECK_EQ(log_lines(text, "1024 KiB to lock, with 3072 locked already, "), 1);
	CHECK_EQ(pins() - before, 3 * MIB / PAGE_SIZE);
	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_DETACH, edu, id, false), 0);
	CHECK(none_locked(pid));
	CHECK_EQ(pins(), before);
	/* Two slots, and the limit is lower than what both of them take. */
	CHECK_OK(prlimit(pid, RLIMIT_MEMLOCK, &less, NULL));
	REFUSED(nl, device_cmd(nl, LHV_CMD_DEVICE_ATTACH, edu, id, true), ENOMEM,
		"3072 KiB to lock, with 0 locked already");
	CHECK(none_locked(pid));
	CHECK_EQ(pins(), before);
	CHECK_EQ(write(pipes[1], &c, 1), 1);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	give_back(nl, edu);
}

/* ---- who pays ---- */

/* A VMM with so much memory, in a memory cgroup of its own. */
static pid_t start_payer(int pipes[2], size_t ram, uint64_t *id)
{
	int up[2], down[2];
	pid_t pid;
	char c;

	CHECK_OK(pipe(up));
	CHECK_OK(pipe(down));
	pid = CHECK_OK(fork());
	if (!pid) {
		struct vm *vm;

		close(down[1]);
		write_to(PAYER "/cgroup.procs", "0");
		vm = vm_create(0);
		vm_ram(vm, ram);
		memset(vm->ram, 1, ram);
		*id = vm_id(vm->fd);
		CHECK_EQ(write(up[1], id, sizeof(*id)), sizeof(*id));
		_exit(read(down[0], &c, 1) != 0);
	}
	close(up[1]);
	close(down[0]);
	CHECK_EQ(read(up[0], id, sizeof(*id)), sizeof(*id));
	pipes[0] = up[0];
	pipes[1] = down[1];
	return pid;
}

/* Bytes of kernel memory; page tables of the process apart. */
static long paid(void)
{
	return number_in(PAYER "/memory.stat", "kernel") -
	       number_in(PAYER "/memory.stat", "pagetables");
}

/* The statistics may lag behind by two seconds. */
static void await_paid(long least, long most)
{
	uint64_t end;
	long n;

	for (end = now_ns() + 20000000000ULL; n = paid(), n < least || n > most; usleep(100000))
		CHECK(now_ns() < end);
}

/* The VM's owner, not who attaches, has the list of its pages to pay: a 512th of them. */
TEST(who_pays, .timeout = 60)
{
	const char *edu = find_edu(0);
	const size_t ram = 128 * MIB;
	struct nl *nl = nl_open();
	int pipes[2], fd, status;
	long before;
	uint64_t id;
	pid_t pid;

	mkdir(CGROUPS, 0755);
	if (access(CGROUPS "/cgroup.procs", F_OK) &&
	    mount("cgroup2", CGROUPS, "cgroup2", 0, NULL))
		test_skip("no cgroup2: %s", strerror(errno));
	fd = open(CGROUPS "/cgroup.subtree_control", O_WRONLY);
	if (fd < 0 || write(fd, "+memory", 7) != 7)
		test_skip("no memory cgroup");
	close(fd);
	CHECK_OK(mkdir(PAYER, 0755));
	take(nl, edu);
	pid = start_payer(pipes, ram, &id);
	before = paid();
	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_ATTACH, edu, id, true), 0);
	await_paid(before + ram / 512, LONG_MAX);
	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_DETACH, edu, id, false), 0);
	await_paid(0, before + ram / 1024);
	close(pipes[1]);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK_OK(rmdir(PAYER));
	give_back(nl, edu);
}
