// SPDX-License-Identifier: GPL-2.0
/* What QEMU and the kernel's KVM selftests ask for beyond what runs a guest. */
#include <sys/mman.h>
#include <unistd.h>

#include "kvm_younger.h"
#include "vm.h"

#define MEM_GUEST_MEMFD (1u << 2)

TEST(memory_region2)
{
	struct vm *vm = vm_create(0);
	struct kvm_userspace_memory_region2 r = {
		.memory_size = 0x2000,
		.userspace_addr = (uintptr_t)map_memory(0x2000, 0x1000),
	};
	unsigned int bit;

	need_cap(vm->fd, KVM_CAP_USER_MEMORY2);
	CHECK_OK(ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION2, &r));
	r.slot = 1;
	CHECK_ERR(ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION2, &r), EEXIST);
	r.guest_phys_addr = 0x10000;
	for (bit = 0; bit < 32; bit++) {
		r.flags = 1u << bit;
		/* KVM may have memory of its own kind for guests. */
		if (r.flags & (KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY) ||
		    (r.flags == MEM_GUEST_MEMFD && on_kvm()))
			continue;
		CHECK_ERR(ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION2, &r), EINVAL);
	}
	r.flags = KVM_MEM_READONLY;
	CHECK_OK(ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION2, &r));
	r.memory_size = 0;
	CHECK_OK(ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION2, &r));
}

TEST(vm_tsc_khz)
{
	struct vcpu *vcpu = vcpu_add(vm_create(0), 0);

	CHECK(ioctl(vcpu->vm->fd, KVM_GET_TSC_KHZ, 0) > 0);
	CHECK_EQ(ioctl(vcpu->vm->fd, KVM_GET_TSC_KHZ, 0), ioctl(vcpu->fd, KVM_GET_TSC_KHZ, 0));
}

/* What vCPUs start with; not any more when there is one. */
TEST(vm_set_tsc_khz)
{
	struct vm *vm = vm_create(0);
	int khz = CHECK_OK(ioctl(vm->fd, KVM_GET_TSC_KHZ, 0));
	struct vcpu *vcpu;

	if (!vm_cap(vm, KVM_CAP_VM_TSC_CONTROL)) {
		CHECK_ERR(ioctl(vm->fd, KVM_SET_TSC_KHZ, khz * 2l), EINVAL);
		test_skip("this CPU does not scale its guests' TSCs");
	}
	CHECK_OK(ioctl(vm->fd, KVM_SET_TSC_KHZ, khz * 2l));
	vcpu = vcpu_add(vm, 0);
	CHECK_EQ(ioctl(vm->fd, KVM_GET_TSC_KHZ, 0), khz * 2);
	CHECK_EQ(ioctl(vcpu->fd, KVM_GET_TSC_KHZ, 0), khz * 2);
	if (!on_kvm())	/* 6.1's takes it, for the next vCPU */
		CHECK_ERR(ioctl(vm->fd, KVM_SET_TSC_KHZ, (long)khz), EINVAL);
	CHECK_EQ(ioctl(vcpu->fd, KVM_GET_TSC_KHZ, 0), khz * 2);
}

TEST(vcpu_id_limit)
{
	struct vm *vm = vm_create(0);
	struct kvm_enable_cap cap = { .cap = KVM_CAP_MAX_VCPU_ID };

	cap.args[0] = vm_cap(vm, KVM_CAP_MAX_VCPU_ID) + 1;
	CHECK_ERR(ioctl(vm->fd, KVM_ENABLE_CAP, &cap), EINVAL);
	CHECK_OK(ioctl(vm->fd, KVM_SET_BOOT_CPU_ID, 3));
	cap.args[0] = 2;
	CHECK_ERR(ioctl(vm->fd, KVM_ENABLE_CAP, &cap), EINVAL);
	cap.args[0] = 5;
	CHECK_OK(ioctl(vm->fd, KVM_ENABLE_CAP, &cap));
	CHECK_OK(ioctl(vm->fd, KVM_ENABLE_CAP, &cap));
	cap.args[0] = 6;
	CHECK_ERR(ioctl(vm->fd, KVM_ENABLE_CAP, &cap), EINVAL);
	CHECK_ERR(ioctl(vm->fd, KVM_SET_BOOT_CPU_ID, 6), EINVAL);
	CHECK_ERR(ioctl(vm->fd, KVM_CREATE_VCPU, 5), EINVAL);
	CHECK_ERR(ioctl(vm->fd, KVM_CREATE_VCPU, 1ul << 32), EINVAL);
	CHECK_OK(ioctl(vm->fd, KVM_CREATE_VCPU, 4));
}

TEST(nr_mmu_pages)
{
	struct vm *vm = vm_create(0);

	CHECK_ERR(ioctl(vm->fd, KVM_SET_NR_MMU_PAGES, 63), EINVAL);
	CHECK_OK(ioctl(vm->fd, KVM_SET_NR_MMU_PAGES, 64));
	need_cap(vm->fd, KVM_CAP_MMU_SHADOW_CACHE_CONTROL);
	if (!on_kvm())
		CHECK_EQ(ioctl(vm->fd, KVM_GET_NR_MMU_PAGES, 0), 64);
}

/* QEMU says "nowhere" at reset, and ends when that is refused. */
TEST(vapic_addr)
{
	struct vcpu *with = vcpu_add(vm_create(VM_IRQCHIP), 0);
	struct kvm_vapic_addr addr = { 0 };

	CHECK_OK(ioctl(with->fd, KVM_SET_VAPIC_ADDR, &addr));
	if (!on_kvm()) {
		CHECK_EQ(vm_cap(with->vm, KVM_CAP_VAPIC), 0);
		addr.vapic_addr = 0x1000;
		CHECK_ERR(ioctl(with->fd, KVM_SET_VAPIC_ADDR, &addr), EINVAL);
	}
}

TEST(vapic_addr_no_irqchip)
{
	struct vcpu *vcpu = vcpu_add(vm_create(0), 0);
	struct kvm_vapic_addr addr = { 0 };

	CHECK_ERR(ioctl(vcpu->fd, KVM_SET_VAPIC_ADDR, &addr), EINVAL);
}

/* It depends on the irqchip: a VMM with its own must not take it for its LAPIC's. */
TEST(deadline_not_in_cpuid)
{
	struct cpuid cpuid;

	cpuid_supported(dev_open(), &cpuid);
	CHECK_EQ(cpuid_find(&cpuid, 1, 0)->ecx & 1u << 24, 0);
}

/* Registers first, CPUID later: what the CPU has may be set. */
TEST(cr4_before_cpuid)
{
	struct vcpu *vcpu = vcpu_add(vm_create(VM_IRQCHIP), 0);
	struct kvm_sregs s;

	CHECK_OK(ioctl(vcpu->fd, KVM_GET_SREGS, &s));
	s.cr4 |= 1u << 18;	/* OSXSAVE */
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_SREGS, &s));
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_SREGS, &s));
	CHECK(s.cr4 & 1u << 18);
}
