// SPDX-License-Identifier: GPL-2.0
/* VM helpers; see vm.h. */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vm.h"

#define CPUID_1_ECX_TSC_DEADLINE (1u << 24)
#define CPUID_1_EBX_APIC_ID_SHIFT 24

int dev_open(void)
{
	int fd = open(test_device(), O_RDWR | O_CLOEXEC);

	if (fd < 0)
		FAIL("%s: %s", test_device(), strerror(errno));
	return fd;
}

bool on_kvm(void)
{
	return !strcmp(test_device(), "/dev/kvm");
}

int dev_cap(int sys, int cap)
{
	return CHECK_OK(ioctl(sys, KVM_CHECK_EXTENSION, cap));
}

int vm_cap(struct vm *vm, int cap)
{
	return CHECK_OK(ioctl(vm->fd, KVM_CHECK_EXTENSION, cap));
}

void lacking(const char *what)
{
	if (on_kvm())
		test_skip("%s", what);
	FAIL("%s", what);
}

struct vm *vm_create(unsigned int flags)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	CHECK(vm);
	vm->sys = dev_open();
	vm->run_size = CHECK_OK(ioctl(vm->sys, KVM_GET_VCPU_MMAP_SIZE, 0));
	do {
		vm->fd = ioctl(vm->sys, KVM_CREATE_VM, 0);
	} while (vm->fd < 0 && errno == EINTR);
	CHECK_OK(vm->fd);
	if (flags & VM_IRQCHIP)
		CHECK_OK(ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0));
	if (flags & VM_PIT) {
		struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };

		CHECK_OK(ioctl(vm->fd, KVM_CREATE_PIT2, &pit));
	}
	if (flags & VM_SPLIT) {
		struct kvm_enable_cap cap = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };

		need_cap(vm->fd, KVM_CAP_SPLIT_IRQCHIP);
		CHECK_OK(ioctl(vm->fd, KVM_ENABLE_CAP, &cap));
	}
	return vm;
}

void *map_memory(size_t size, size_t align)
{
	uintptr_t p;
	void *mem;

	mem = mmap(NULL, size + align, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(mem != MAP_FAILED);
	p = ((uintptr_t)mem + align - 1) & -align;
	return (void *)p;
}

static uint64_t kvm_stat(struct vm *vm, const char *name)
{
	unsigned long long n;
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/kernel/debug/kvm/%d-%d/%s", getpid(), vm->fd, name);
	f = fopen(path, "r");
	if (!f)
		test_skip("no %s", path);
	CHECK_EQ(fscanf(f, "%llu", &n), 1);
	fclose(f);
	return n;
}

struct mapped vm_mapped(struct vm *vm)
{
	unsigned long long id, tables, n[3];
	FILE *f;
	int pid;

	if (on_kvm())
		return (struct mapped){ .pages = { kvm_stat(vm, "pages_4k"),
				kvm_stat(vm, "pages_2m"), kvm_stat(vm, "pages_1g") } };
	f = fopen("/sys/kernel/debug/lhv/memory", "r");
	if (!f)
		test_skip("no debugfs");
	while (fscanf(f, "%llu %d %llu %llu %llu %llu", &id, &pid, &tables, &n[0], &n[1],
		      &n[2]) == 6) {
		if (pid != getpid())
			continue;
		fclose(f);
		return (struct mapped){ tables, { n[0], n[1], n[2] } };
	}
	FAIL("the VM is not in debugfs");
}

void vm_set_slot(struct vm *vm, int slot, uint32_t flags, uint64_t gpa, size_t size, void *host)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)host,
	};

	CHECK_OK(ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region));
}

void vm_ram(struct vm *vm, size_t size)
{
	vm->ram = map_memory(size, PAGE_SIZE);
	vm->ram_size = size;
	vm_set_slot(vm, 0, 0, 0, size, vm->ram);
}

struct vcpu *vcpu_add(struct vm *vm, int id)
{
	struct vcpu *vcpu = &vm->vcpus[vm->nr_vcpus++];

	CHECK(vm->nr_vcpus <= MAX_VCPUS);
	vcpu->vm = vm;
	vcpu->id = id;
	vcpu->fd = CHECK_OK(ioctl(vm->fd, KVM_CREATE_VCPU, id));
	vcpu->run = mmap(NULL, vm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	CHECK(vcpu->run != MAP_FAILED);
	return vcpu;
}

void cpuid_supported(int sys, struct cpuid *cpuid)
{
	cpuid->head.nent = MAX_CPUID;
	CHECK_OK(ioctl(sys, KVM_GET_SUPPORTED_CPUID, &cpuid->head));
}

struct kvm_cpuid_entry2 *cpuid_find(struct cpuid *cpuid, uint32_t leaf, uint32_t index)
{
	uint32_t i;

	for (i = 0; i < cpuid->head.nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		if (e->function == leaf &&
		    (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || e->index == index))
			return e;
	}
	return NULL;
}

void vcpu_set_cpuid(struct vcpu *vcpu)
{
	struct kvm_cpuid_entry2 *e;
	struct cpuid cpuid;

	cpuid_supported(vcpu->vm->sys, &cpuid);
	e = cpuid_find(&cpuid, 1, 0);
	CHECK(e);
	e->ebx &= (1u << CPUID_1_EBX_APIC_ID_SHIFT) - 1;
	e->ebx |= (uint32_t)vcpu->id << CPUID_1_EBX_APIC_ID_SHIFT;
	/* Known only with an in-kernel LAPIC, so the list leaves it out. */
	if (vm_cap(vcpu->vm, KVM_CAP_TSC_DEADLINE_TIMER))
		e->ecx |= CPUID_1_ECX_TSC_DEADLINE;
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_CPUID2, &cpuid.head));
}

struct one_msr {
	struct kvm_msrs head;
	struct kvm_msr_entry entry;
};

int vcpu_try_get_msr(struct vcpu *vcpu, uint32_t index, uint64_t *value)
{
	struct one_msr msr = { .head.nmsrs = 1, .entry.index = index };
	int ret = CHECK_OK(ioctl(vcpu->fd, KVM_GET_MSRS, &msr.head));

	*value = msr.entry.data;
	return ret;
}

int vcpu_try_set_msr(struct vcpu *vcpu, uint32_t index, uint64_t value)
{
	struct one_msr msr = {
		.head.nmsrs = 1, .entry.index = index, .entry.data = value,
	};

	return CHECK_OK(ioctl(vcpu->fd, KVM_SET_MSRS, &msr.head));
}

uint64_t vcpu_get_msr(struct vcpu *vcpu, uint32_t index)
{
	uint64_t value;

	if (vcpu_try_get_msr(vcpu, index, &value) != 1)
		FAIL("MSR %#x can't be read", index);
	return value;
}

void vcpu_set_msr(struct vcpu *vcpu, uint32_t index, uint64_t value)
{
	if (vcpu_try_set_msr(vcpu, index, value) != 1)
		FAIL("MSR %#x does not take %#llx", index, (unsigned long long)value);
}

struct vcpu *guest_in(struct vm *vm, const void *code, size_t size)
{
	struct kvm_regs regs = { .rip = GUEST_CODE, .rflags = 2, .rsp = 0x8000 };
	struct vcpu *vcpu = vcpu_add(vm, vm->nr_vcpus);
	struct kvm_sregs s;

	if (!vm->ram)
		vm_ram(vm, 1 << 20);
	memcpy(vm->ram + GUEST_CODE, code, size);
	vcpu_set_cpuid(vcpu);
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_SREGS, &s));
	s.cs.base = s.cs.selector = 0;
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_SREGS, &s));
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_REGS, &regs));
	return vcpu;
}

int missing_faults(void *mem, size_t size)
{
	struct uffdio_register reg = {
		.range = { (uintptr_t)mem, size }, .mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	struct uffdio_api api = { .api = UFFD_API };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		test_skip("no userfaultfd: %s", strerror(errno));
	CHECK_OK(ioctl(fd, UFFDIO_API, &api));
	CHECK_OK(ioctl(fd, UFFDIO_REGISTER, &reg));
	return fd;
}
