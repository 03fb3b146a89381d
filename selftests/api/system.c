// SPDX-License-Identifier: GPL-2.0
/* The device itself: version, capabilities, CPUID and MSR lists, VMs. */
#include <cpuid.h>
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "vm.h"

TEST(api_version)
{
	int sys = dev_open();

	CHECK_EQ(ioctl(sys, KVM_GET_API_VERSION, 0), KVM_API_VERSION);
	CHECK_ERR(ioctl(sys, KVM_GET_API_VERSION, 1), EINVAL);
}

/* What every client in KVM_ABI asks for: present on both fds, and of use */
TEST(check_extension)
{
	static const struct {
		int cap;
		int min;
	} wanted[] = {
		{ KVM_CAP_USER_MEMORY, 1 },
		{ KVM_CAP_DESTROY_MEMORY_REGION_WORKS, 1 },
		{ KVM_CAP_JOIN_MEMORY_REGIONS_WORKS, 1 },
		{ KVM_CAP_SET_TSS_ADDR, 1 },
		{ KVM_CAP_SET_IDENTITY_MAP_ADDR, 1 },
		{ KVM_CAP_EXT_CPUID, 1 },
		{ KVM_CAP_MP_STATE, 1 },
		{ KVM_CAP_IRQCHIP, 1 },
		{ KVM_CAP_IRQ_ROUTING, 24 },
		{ KVM_CAP_IRQ_INJECT_STATUS, 1 },
		{ KVM_CAP_SIGNAL_MSI, 1 },
		{ KVM_CAP_IRQFD, 1 },
		{ KVM_CAP_IOEVENTFD, 1 },
		{ KVM_CAP_IOEVENTFD_ANY_LENGTH, 1 },
		{ KVM_CAP_IOEVENTFD_NO_LENGTH, 1 },
		{ KVM_CAP_IOAPIC_POLARITY_IGNORED, 1 },
		{ KVM_CAP_ENABLE_CAP, 1 },
		{ KVM_CAP_PIT, 1 },
		{ KVM_CAP_PIT2, 1 },
		{ KVM_CAP_PIT_STATE2, 1 },
		{ KVM_CAP_COALESCED_MMIO, 1 },
		{ KVM_CAP_HLT, 1 },
		{ KVM_CAP_DEBUGREGS, 1 },
		{ KVM_CAP_XSAVE, 1 },
		{ KVM_CAP_XCRS, 1 },
		{ KVM_CAP_VCPU_EVENTS, 1 },
		{ KVM_CAP_ADJUST_CLOCK, 1 },
		{ KVM_CAP_READONLY_MEM, 1 },
		{ KVM_CAP_IMMEDIATE_EXIT, 1 },
		{ KVM_CAP_TSC_DEADLINE_TIMER, 1 },
		{ KVM_CAP_GET_TSC_KHZ, 1 },
		{ KVM_CAP_KVMCLOCK_CTRL, 1 },
		{ KVM_CAP_USER_NMI, 1 },
		{ KVM_CAP_NR_VCPUS, 1 },
		{ KVM_CAP_MAX_VCPUS, 16 },
		{ KVM_CAP_MAX_VCPU_ID, 16 },
		{ KVM_CAP_NR_MEMSLOTS, 32 },
		{ KVM_CAP_INTERNAL_ERROR_DATA, 1 },
		{ KVM_CAP_X86_ROBUST_SINGLESTEP, 1 },
		{ KVM_CAP_MCE, 10 },
		{ KVM_CAP_SYNC_MMU, 1 },
		{ KVM_CAP_CHECK_EXTENSION_VM, 1 },
		{ KVM_CAP_GET_MSR_FEATURES, 1 },
	};
	struct vm *vm = vm_create(0);
	size_t i;

	for (i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		int s = dev_cap(vm->sys, wanted[i].cap), v = vm_cap(vm, wanted[i].cap);

		if (s < wanted[i].min || v < wanted[i].min)
			FAIL("capability %d is %d on the device, %d on the VM, not %d",
			     wanted[i].cap, s, v, wanted[i].min);
		CHECK_EQ(s, v);
	}
	CHECK(dev_cap(vm->sys, KVM_CAP_MAX_VCPUS) >= dev_cap(vm->sys, KVM_CAP_NR_VCPUS));
	/* Nobody knows these. */
	CHECK_EQ(ioctl(vm->sys, KVM_CHECK_EXTENSION, 0x12345678), 0);
	CHECK_EQ(ioctl(vm->fd, KVM_CHECK_EXTENSION, -1L), 0);
}

TEST(create_vm)
{
	int sys = dev_open();
	int a, b;

	CHECK_ERR(ioctl(sys, KVM_CREATE_VM, 1), EINVAL);
	CHECK_ERR(ioctl(sys, KVM_CREATE_VM, -1L), EINVAL);
	a = CHECK_OK(ioctl(sys, KVM_CREATE_VM, 0));
	b = CHECK_OK(ioctl(sys, KVM_CREATE_VM, 0));
	CHECK(a != b);
	/* A VM outlives the fd of the device. */
	close(sys);
	CHECK(ioctl(a, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY) > 0);
	close(a);
	close(b);
}

TEST(create_vm_no_fd)
{
	struct rlimit limit = { 0, 0 };
	int sys = dev_open(), i;

	/* Nothing may be left over from failed tries. */
	CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
	for (i = 0; i < 20; i++)
		CHECK_ERR(ioctl(sys, KVM_CREATE_VM, 0), EMFILE);
}

/* Threads of ours, and of the kernel but those of its workqueues, which come and go. */
static unsigned int threads(void)
{
	DIR *proc = opendir("/proc"), *own = opendir("/proc/self/task");
	unsigned int n = 0;
	struct dirent *e;

	CHECK(proc && own);
	while ((e = readdir(own)))
		n += e->d_name[0] != '.';
	while ((e = readdir(proc))) {
		char path[300], line[300] = "", *end;
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%s/stat", e->d_name);
		f = isdigit(e->d_name[0]) ? fopen(path, "r") : NULL;
		if (!f)
			continue;
		end = fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
		fclose(f);
		/* Its name in parentheses, its state, its parent: kthreadd is 2. */
		n += end && !strncmp(end + 3, " 2 ", 3) && !strstr(line, "(kworker/");
	}
	closedir(proc);
	closedir(own);
	return n;
}

/* KVM starts some: for the PIT, and to recover huge pages. */
TEST(create_starts_no_thread)
{
	unsigned int before, i;

	/* Somebody else's may come or go meanwhile. */
	for (i = 0; i < 5; i++) {
		before = threads();
		CHECK(before > 3);
		vcpu_add(vm_create(VM_IRQCHIP | VM_PIT), 0);
		if (threads() == before)
			return;
	}
	lacking("a VM has threads of its own");
}

TEST(create_many_vms)
{
	int sys = dev_open(), fds[64], i, round;

	for (round = 0; round < 2; round++) {
		for (i = 0; i < 64; i++) {
			fds[i] = CHECK_OK(ioctl(sys, KVM_CREATE_VM, 0));
			CHECK_OK(close(CHECK_OK(ioctl(fds[i], KVM_CREATE_VCPU, i % 16))));
		}
		for (i = 0; i < 64; i++)
			close(fds[i]);
	}
}

TEST(vcpu_mmap_size)
{
	struct vm *vm = vm_create(0);
	struct vcpu *vcpu = vcpu_add(vm, 0);
	size_t size = ioctl(vm->sys, KVM_GET_VCPU_MMAP_SIZE, 0);

	CHECK(size >= sizeof(struct kvm_run) && size % PAGE_SIZE == 0);
	CHECK_ERR(ioctl(vm->sys, KVM_GET_VCPU_MMAP_SIZE, 1), EINVAL);
	/* Every page of it can be touched. */
	memset(vcpu->run, 0, size);
}

/* Behind the end there is nothing: the mapping may be made, but not touched. */
TEST(vcpu_mmap_beyond)
{
	struct vm *vm = vm_create(0);
	struct vcpu *vcpu = vcpu_add(vm, 0);
	int pipes[2];
	void *p;

	p = mmap(NULL, PAGE_SIZE, PROT_READ, MAP_SHARED, vcpu->fd, vm->run_size);
	if (p == MAP_FAILED)
		return;
	/* The kernel itself finds out, so that no signal comes. */
	CHECK_OK(pipe(pipes));
	CHECK_ERR(write(pipes[1], p, 1), EFAULT);
}

TEST(supported_cpuid)
{
	struct cpuid c = { .head.nent = 0 };
	int sys = dev_open();
	uint32_t n, i;

	CHECK_ERR(ioctl(sys, KVM_GET_SUPPORTED_CPUID, &c.head), E2BIG);
	c.head.nent = 1;
	CHECK_ERR(ioctl(sys, KVM_GET_SUPPORTED_CPUID, &c.head), E2BIG);
	CHECK_ERR(ioctl(sys, KVM_GET_SUPPORTED_CPUID, NULL), EFAULT);
	cpuid_supported(sys, &c);
	n = c.head.nent;
	CHECK(n > 5 && n <= 100);	/* kvmtool's and QEMU's buffers hold 100 */
	/* An exact fit does, and gives the same. */
	c.head.nent = n;
	CHECK_OK(ioctl(sys, KVM_GET_SUPPORTED_CPUID, &c.head));
	CHECK_EQ(c.head.nent, n);
	c.head.nent = n - 1;
	CHECK_ERR(ioctl(sys, KVM_GET_SUPPORTED_CPUID, &c.head), E2BIG);

	cpuid_supported(sys, &c);
	for (i = 0; i < n; i++) {
		struct kvm_cpuid_entry2 *e = &c.entries[i];

		CHECK(!e->padding[0] && !e->padding[1] && !e->padding[2]);
	}
	/* Leaves that clients stop without */
	CHECK(cpuid_find(&c, 0, 0));
	CHECK(cpuid_find(&c, 1, 0));
	CHECK(cpuid_find(&c, 7, 0));
	CHECK(cpuid_find(&c, 0x80000000, 0));
	CHECK(cpuid_find(&c, 0x80000001, 0));
	CHECK(cpuid_find(&c, 0x80000008, 0));
	CHECK(cpuid_find(&c, 0x40000000, 0));
	CHECK(cpuid_find(&c, 0x40000001, 0));
	CHECK_EQ(cpuid_find(&c, 0x40000000, 0)->ebx, 0x4b4d564b);	/* "KVMK" */
	CHECK(cpuid_find(&c, 1, 0)->ecx & 1 << 21);			/* x2APIC */
}

/* Caches and TLBs are the host's, as the guest's programs size their buffers by them. */
static void expect_hosts(struct kvm_cpuid_entry2 *e, uint32_t eax_mask)
{
	uint32_t a, b, c, d;

	CHECK(e);
	__cpuid_count(e->function, e->index, a, b, c, d);
	CHECK_EQ(e->eax & eax_mask, a & eax_mask);
	CHECK_EQ(e->ebx, b);
	CHECK_EQ(e->ecx, c);
	/* Reserved bits of the L3 cache's word are not passed on. */
	CHECK_EQ(e->edx, e->function == 0x80000006 ? d & ~0x30000u : d);
}

TEST(supported_cpuid_caches)
{
	uint32_t max = __get_cpuid_max(0x80000000, NULL), i;
	struct kvm_cpuid_entry2 *e;
	struct cpuid c;

	cpuid_supported(dev_open(), &c);
	expect_hosts(cpuid_find(&c, 0x80000005, 0), ~0u);
	expect_hosts(cpuid_find(&c, 0x80000006, 0), ~0u);
	if (max < 0x8000001d)
		return;
	/* One entry for each cache, and the one that ends the list; who shares them is the VMM's. */
	for (i = 0; ; i++) {
		e = cpuid_find(&c, 0x8000001d, i);
		expect_hosts(e, 0x3fff);
		CHECK(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX);
		CHECK_EQ(e->eax >> 14 & 0xfff, 0);
		if (!(e->eax & 0x1f))
			break;
	}
	CHECK(i);
	CHECK(cpuid_find(&c, 0x80000000, 0)->eax >= 0x8000001e);
	/* So is the rest of the topology. */
	e = cpuid_find(&c, 0x8000001e, 0);
	CHECK(e);
	CHECK(!e->eax && !e->ebx && !e->ecx && !e->edx);
}

TEST(emulated_cpuid)
{
	struct cpuid c = { .head.nent = MAX_CPUID };
	int sys = dev_open();

	if (!on_kvm()) {	/* lhv emulates no instruction that the CPU has not. */
		CHECK_EQ(dev_cap(sys, KVM_CAP_EXT_EMUL_CPUID), 0);
		CHECK_ERR(ioctl(sys, KVM_GET_EMULATED_CPUID, &c.head), ENOTTY);
		return;
	}
	need_cap(sys, KVM_CAP_EXT_EMUL_CPUID);
	CHECK_OK(ioctl(sys, KVM_GET_EMULATED_CPUID, &c.head));
	CHECK(c.head.nent < MAX_CPUID);
}

struct index_list {
	struct kvm_msr_list head;
	__u32 indices[1024];
};

static void get_index_list(int sys, struct index_list *list)
{
	list->head.nmsrs = 1024;
	CHECK_OK(ioctl(sys, KVM_GET_MSR_INDEX_LIST, &list->head));
}

TEST(msr_index_list)
{
	struct index_list list;
	int sys = dev_open();
	uint32_t n, i, j;

	list.head.nmsrs = 0;
	CHECK_ERR(ioctl(sys, KVM_GET_MSR_INDEX_LIST, &list.head), E2BIG);
	n = list.head.nmsrs;
	CHECK(n > 10 && n < 1024);
	list.head.nmsrs = n - 1;
	CHECK_ERR(ioctl(sys, KVM_GET_MSR_INDEX_LIST, &list.head), E2BIG);
	CHECK_EQ(list.head.nmsrs, n);
	list.indices[n] = 0xdeadbeef;
	CHECK_OK(ioctl(sys, KVM_GET_MSR_INDEX_LIST, &list.head));
	CHECK_EQ(list.head.nmsrs, n);
	CHECK_EQ(list.indices[n], 0xdeadbeef);
	CHECK_ERR(ioctl(sys, KVM_GET_MSR_INDEX_LIST, NULL), EFAULT);
	for (i = 0; i < n; i++)
		for (j = 0; j < i; j++)
			CHECK(list.indices[i] != list.indices[j]);
}

/* Every MSR in the list can be read, and takes what was read. */
TEST(msrs_of_index_list)
{
	struct index_list list;
	struct vcpu *vcpu = vcpu_add(vm_create(VM_IRQCHIP), 0);
	uint32_t i;

	vcpu_set_cpuid(vcpu);
	get_index_list(vcpu->vm->sys, &list);
	for (i = 0; i < list.head.nmsrs; i++) {
		uint64_t v = vcpu_get_msr(vcpu, list.indices[i]);

		vcpu_set_msr(vcpu, list.indices[i], v);
	}
}

/* So it does without CPUID, as a VMM restores in any order. */
TEST(msrs_without_cpuid)
{
	struct index_list list;
	struct vcpu *vcpu = vcpu_add(vm_create(VM_IRQCHIP), 0);
	uint32_t i;

	get_index_list(vcpu->vm->sys, &list);
	for (i = 0; i < list.head.nmsrs; i++) {
		uint64_t v = vcpu_get_msr(vcpu, list.indices[i]);

		vcpu_set_msr(vcpu, list.indices[i], v);
	}
}

TEST(unknown_ioctls)
{
	struct vm *vm = vm_create(0);
	struct vcpu *vcpu = vcpu_add(vm, 0);
	unsigned int unknown = _IOW(KVMIO, 0x3f, long);
	unsigned int alien = _IO('X', 1);

	/* KVM says EINVAL on two of the three; lhv keeps to the custom. */
	CHECK_ERR(ioctl(vm->sys, unknown, 0), on_kvm() ? EINVAL : ENOTTY);
	CHECK_ERR(ioctl(vm->sys, alien, 0), on_kvm() ? EINVAL : ENOTTY);
	CHECK_ERR(ioctl(vm->fd, unknown, 0), ENOTTY);
	CHECK_ERR(ioctl(vm->fd, alien, 0), ENOTTY);
	CHECK_ERR(ioctl(vcpu->fd, unknown, 0), on_kvm() ? EINVAL : ENOTTY);
	CHECK_ERR(ioctl(vcpu->fd, alien, 0), on_kvm() ? EINVAL : ENOTTY);
	/* The right ones on the wrong fd */
	CHECK(ioctl(vm->sys, KVM_CREATE_VCPU, 0) < 0);
	CHECK(ioctl(vm->sys, KVM_RUN, 0) < 0);
	CHECK(ioctl(vm->fd, KVM_RUN, 0) < 0);
	CHECK(ioctl(vm->fd, KVM_CREATE_VM, 0) < 0);
	CHECK(ioctl(vcpu->fd, KVM_CREATE_VCPU, 0) < 0);
	CHECK(ioctl(vcpu->fd, KVM_GET_API_VERSION, 0) < 0);
	/* The right ones with the wrong size */
	CHECK(ioctl(vcpu->fd, _IOR(KVMIO, _IOC_NR(KVM_GET_REGS), char[8]), NULL) < 0);
}

/* KVM's pseudo-device for VFIO. What it does with real files: vfio-guest. */
TEST(vfio_device)
{
	struct kvm_create_device dev = { .type = KVM_DEV_TYPE_VFIO, .fd = -1 };
	struct vm *vm = vm_create(0);
	int32_t fd = open("/dev/null", O_RDWR), bad = -1;
	struct kvm_device_attr attr = {
		.group = KVM_DEV_VFIO_GROUP, .attr = KVM_DEV_VFIO_GROUP_ADD,
		.addr = (uintptr_t)&fd,
	};
	struct rlimit limit = { 0, 1024 };

	CHECK(dev_cap(vm->sys, KVM_CAP_DEVICE_CTRL) > 0);
	dev.flags = KVM_CREATE_DEVICE_TEST;
	CHECK_OK(ioctl(vm->fd, KVM_CREATE_DEVICE, &dev));
	CHECK_EQ(dev.fd, (uint32_t)-1);
	dev.flags = 0;
	CHECK_OK(ioctl(vm->fd, KVM_CREATE_DEVICE, &dev));
	/* One for each VM. */
	CHECK_ERR(ioctl(vm->fd, KVM_CREATE_DEVICE, &(struct kvm_create_device) {
			.type = KVM_DEV_TYPE_VFIO }), EBUSY);
	CHECK_ERR(ioctl(vm->fd, KVM_CREATE_DEVICE, &(struct kvm_create_device) {
			.type = 0xffff }), ENODEV);

	CHECK_OK(ioctl(dev.fd, KVM_HAS_DEVICE_ATTR, &attr));
	CHECK_ERR(ioctl(dev.fd, KVM_SET_DEVICE_ATTR, &attr), EINVAL);
	CHECK_ERR(ioctl(dev.fd, KVM_GET_DEVICE_ATTR, &attr), EPERM);
	CHECK_ERR(ioctl(dev.fd, KVM_RUN, 0), ENOTTY);
	attr.addr = (uintptr_t)&bad;
	CHECK_ERR(ioctl(dev.fd, KVM_SET_DEVICE_ATTR, &attr), EBADF);
	attr.addr = 8;
	CHECK_ERR(ioctl(dev.fd, KVM_SET_DEVICE_ATTR, &attr), EFAULT);
	attr.addr = (uintptr_t)&fd;
	attr.attr = KVM_DEV_VFIO_GROUP_DEL;
	CHECK_ERR(ioctl(dev.fd, KVM_SET_DEVICE_ATTR, &attr), ENOENT);
	attr.attr = 100;
	CHECK_ERR(ioctl(dev.fd, KVM_HAS_DEVICE_ATTR, &attr), ENXIO);
	CHECK_ERR(ioctl(dev.fd, KVM_SET_DEVICE_ATTR, &attr), ENXIO);
	attr.group = 100;
	CHECK_ERR(ioctl(dev.fd, KVM_HAS_DEVICE_ATTR, &attr), ENXIO);

	/* It goes with its fd, and the next may come, if there is a number for it. */
	close(dev.fd);
	CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
	CHECK_ERR(ioctl(vm->fd, KVM_CREATE_DEVICE, &dev), EMFILE);
	limit.rlim_cur = limit.rlim_max;
	CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
	CHECK_OK(ioctl(vm->fd, KVM_CREATE_DEVICE, &dev));
	/* It may outlive the VM's own fd. */
	close(vm->fd);
	attr.group = KVM_DEV_VFIO_GROUP;
	attr.attr = KVM_DEV_VFIO_GROUP_ADD;
	CHECK_OK(ioctl(dev.fd, KVM_HAS_DEVICE_ATTR, &attr));
	close(dev.fd);
}

/* What the module says of itself, for people: a line per feature. */
TEST(parameters)
{
	char name[64], value[64], line[128];
	bool svm, npt = false;
	int lines = 0;
	FILE *f;

	if (on_kvm())
		test_skip("lhv's own");
	f = fopen("/sys/module/lhv/parameters/backend", "r");
	CHECK(f && fgets(line, sizeof(line), f));
	svm = !strcmp(line, "svm\n");
	CHECK(svm || !strcmp(line, "vmx\n"));
	fclose(f);
	f = fopen("/sys/module/lhv/parameters/features", "r");
	CHECK(f);
	for (; fgets(line, sizeof(line), f); lines++) {
		CHECK_EQ(sscanf(line, "%63[^:]: %63[^\n]", name, value), 2);
		npt |= !strcmp(name, "npt") && !strcmp(value, "yes");
	}
	fclose(f);
	/* Without nested paging it had not been loaded. */
	CHECK(npt == svm);
	CHECK(lines > 3);
}

/* ---- KVM_CAP_SYS_ATTRIBUTES ---- */

static int attr(unsigned long cmd, uint32_t flags, uint32_t group, uint64_t which, void *data)
{
	struct kvm_device_attr attr = {
		.flags = flags, .group = group, .attr = which, .addr = (uintptr_t)data,
	};

	return ioctl(dev_open(), cmd, &attr);
}

TEST(system_attributes)
{
	struct kvm_cpuid_entry2 *e;
	uint64_t xcr0 = ~0ull;
	struct cpuid c;

	CHECK_EQ(dev_cap(dev_open(), KVM_CAP_SYS_ATTRIBUTES), 1);
	CHECK_OK(attr(KVM_HAS_DEVICE_ATTR, 0, 0, KVM_X86_XCOMP_GUEST_SUPP, NULL));
	CHECK_ERR(attr(KVM_HAS_DEVICE_ATTR, 0, 0, 77, NULL), ENXIO);
	CHECK_ERR(attr(KVM_HAS_DEVICE_ATTR, 0, 77, KVM_X86_XCOMP_GUEST_SUPP, NULL), ENXIO);
	CHECK_ERR(attr(KVM_GET_DEVICE_ATTR, 0, 0, 77, &xcr0), ENXIO);
	CHECK_ERR(attr(KVM_GET_DEVICE_ATTR, 0, 0, KVM_X86_XCOMP_GUEST_SUPP, NULL), EFAULT);
	if (!on_kvm())
		CHECK_ERR(attr(KVM_GET_DEVICE_ATTR, 1, 0, KVM_X86_XCOMP_GUEST_SUPP, &xcr0), EINVAL);
	CHECK_OK(attr(KVM_GET_DEVICE_ATTR, 0, 0, KVM_X86_XCOMP_GUEST_SUPP, &xcr0));
	cpuid_supported(dev_open(), &c);
	e = cpuid_find(&c, 0xd, 0);
	CHECK_EQ(xcr0, e ? e->eax | (uint64_t)e->edx << 32 : 0);
}
