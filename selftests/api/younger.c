// SPDX-License-Identifier: GPL-2.0
/* Younger parts of the ABI: memory mapped beforehand, the rate of the APIC bus, the TSC's offset. */
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "kvm_younger.h"
#include "vm.h"

#define MIB	(1ul << 20)

static int enable(int fd, unsigned int cap, uint64_t arg)
{
	struct kvm_enable_cap enable = { .cap = cap, .args = { arg } };

	return ioctl(fd, KVM_ENABLE_CAP, &enable);
}

/* ---- KVM_PRE_FAULT_MEMORY ---- */

static int prefault(struct vcpu *vcpu, uint64_t gpa, uint64_t size, uint64_t flags, uint64_t *left)
{
	struct kvm_pre_fault_memory range = { .gpa = gpa, .size = size, .flags = flags };
	int ret = ioctl(vcpu->fd, KVM_PRE_FAULT_MEMORY, &range);

	*left = range.size;
	/* What is left is what follows; a refusal changes nothing. */
	CHECK_EQ(range.gpa + range.size, gpa + size);
	CHECK(!ret || *left == size);
	return ret;
}

static uint64_t mapped_kib(struct vm *vm)
{
	struct mapped m = vm_mapped(vm);

	return m.pages[0] * 4 + m.pages[1] * 2048;
}

TEST(prefault)
{
	struct vm *vm = vm_create(0);
	struct vcpu *vcpu;
	uint64_t left;
	void *memory;

	need_cap(vm->fd, KVM_CAP_PRE_FAULT_MEMORY);
	vm_ram(vm, 4 * MIB);
	vcpu = vcpu_add(vm, 0);
	CHECK_ERR(prefault(vcpu, 0, PAGE_SIZE, 1, &left), EINVAL);
	CHECK_ERR(prefault(vcpu, 1, PAGE_SIZE, 0, &left), EINVAL);
	CHECK_ERR(prefault(vcpu, 0, PAGE_SIZE + 1, 0, &left), EINVAL);
	CHECK_ERR(prefault(vcpu, 0, 0, 0, &left), EINVAL);
	CHECK_ERR(prefault(vcpu, -PAGE_SIZE, 2 * PAGE_SIZE, 0, &left), EINVAL);
	CHECK_ERR(ioctl(vcpu->fd, KVM_PRE_FAULT_MEMORY, NULL), EFAULT);
	CHECK_EQ(mapped_kib(vm), 0);

	CHECK_OK(prefault(vcpu, 0, MIB, 0, &left));
	CHECK_EQ(left, 0);
	CHECK(mapped_kib(vm) >= 1024);
	/* As far as there is memory; and again what is there already */
	CHECK_OK(prefault(vcpu, 2 * MIB, 4 * MIB, 0, &left));
	CHECK_EQ(left, 2 * MIB);
	CHECK_OK(prefault(vcpu, 0, 4 * MIB, 0, &left));
	CHECK_EQ(left, 0);
	CHECK(mapped_kib(vm) >= 4096);
	CHECK_ERR(prefault(vcpu, 4 * MIB, PAGE_SIZE, 0, &left), ENOENT);

	/* A slot whose memory is not there */
	memory = map_memory(MIB, PAGE_SIZE);
	vm_set_slot(vm, 1, 0, 8 * MIB, MIB, memory);
	CHECK_OK(munmap(memory, MIB));
	CHECK_ERR(prefault(vcpu, 8 * MIB, MIB, 0, &left), EFAULT);
}

/* ---- KVM_CAP_X86_APIC_BUS_CYCLES_NS ---- */

#define BUS		KVM_CAP_X86_APIC_BUS_CYCLES_NS
#define BUS_NS		40
#define APIC_SPIV	0xf0
#define APIC_LVTT	0x320
#define APIC_TMICT	0x380
#define APIC_TMCCT	0x390
#define APIC_TDCR	0x3e0

static uint32_t *reg(struct kvm_lapic_state *lapic, unsigned int offset)
{
	return (uint32_t *)(lapic->regs + offset);
}

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

TEST(apic_bus_cycles)
{
	struct vm *vm = vm_create(VM_IRQCHIP), *none = vm_create(0);
	const uint64_t most = UINT64_MAX / (UINT32_MAX * 128ull);
	int64_t before, set, later, end, counted;
	struct kvm_lapic_state lapic;
	struct vcpu *vcpu;

	CHECK_EQ(need_cap(vm->fd, KVM_CAP_X86_APIC_BUS_CYCLES_NS), 1);
	CHECK_ERR(enable(none->fd, BUS, BUS_NS), ENXIO);
	CHECK_ERR(enable(vm->fd, BUS, 0), EINVAL);
	CHECK_ERR(enable(vm->fd, BUS, most + 1), EINVAL);
	CHECK_OK(enable(vm->fd, BUS, most));
	CHECK_OK(enable(vm->fd, BUS, BUS_NS));
	vcpu = vcpu_add(vm, 0);
	CHECK_ERR(enable(vm->fd, BUS, BUS_NS), EINVAL);

	/* A masked one-shot timer counts down at that rate. */
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_LAPIC, &lapic));
	*reg(&lapic, APIC_SPIV) = 0x1ff;
	*reg(&lapic, APIC_LVTT) = 1 << 16 | 0x40;
	*reg(&lapic, APIC_TDCR) = 0xb;	/* divided by 1 */
	*reg(&lapic, APIC_TMICT) = *reg(&lapic, APIC_TMCCT) = 1 << 30;
	before = now_ns();
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_LAPIC, &lapic));
	set = now_ns();
	usleep(50000);
	later = now_ns();
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_LAPIC, &lapic));
	end = now_ns();
	counted = ((1 << 30) - *reg(&lapic, APIC_TMCCT)) * (int64_t)BUS_NS;
	CHECK(counted >= later - set - BUS_NS);
	CHECK(counted <= end - before + BUS_NS);
}

/* ---- KVM_VCPU_TSC_CTRL ---- */

#define MSR_TSC	0x10

static int attr(struct vcpu *vcpu, unsigned long cmd, uint32_t group, uint64_t which, void *data)
{
	struct kvm_device_attr attr = { .group = group, .attr = which, .addr = (uintptr_t)data };

	return ioctl(vcpu->fd, cmd, &attr);
}

static void check_tsc(struct vcpu *vcpu, uint64_t offset)
{
	uint64_t before = __rdtsc(), tsc = vcpu_get_msr(vcpu, MSR_TSC);

	CHECK(tsc - offset >= before);
	CHECK(tsc - offset <= __rdtsc());
}

TEST(tsc_offset)
{
	struct vm *vm = vm_create(VM_IRQCHIP);
	struct vcpu *vcpu = vcpu_add(vm, 0);
	uint64_t offset = 0, back;

	CHECK_EQ(vm_cap(vm, KVM_CAP_VCPU_ATTRIBUTES), 1);
	CHECK_OK(attr(vcpu, KVM_HAS_DEVICE_ATTR, KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET, NULL));
	CHECK_ERR(attr(vcpu, KVM_HAS_DEVICE_ATTR, KVM_VCPU_TSC_CTRL, 1, NULL), ENXIO);
	CHECK_ERR(attr(vcpu, KVM_SET_DEVICE_ATTR, KVM_VCPU_TSC_CTRL, 1, &offset), ENXIO);
	CHECK_ERR(attr(vcpu, KVM_GET_DEVICE_ATTR, 1, KVM_VCPU_TSC_OFFSET, &offset), ENXIO);
	CHECK_ERR(attr(vcpu, KVM_SET_DEVICE_ATTR, KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET, NULL), EFAULT);
	CHECK_ERR(attr(vcpu, KVM_GET_DEVICE_ATTR, KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET, NULL), EFAULT);

	CHECK_OK(attr(vcpu, KVM_GET_DEVICE_ATTR, KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET, &offset));
	check_tsc(vcpu, offset);
	offset += 1ull << 40;
	CHECK_OK(attr(vcpu, KVM_SET_DEVICE_ATTR, KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET, &offset));
	CHECK_OK(attr(vcpu, KVM_GET_DEVICE_ATTR, KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET, &back));
	CHECK_EQ(back, offset);
	check_tsc(vcpu, offset);
	/* One that comes later keeps step with it. */
	vcpu = vcpu_add(vm, 1);
	CHECK_OK(attr(vcpu, KVM_GET_DEVICE_ATTR, KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET, &back));
	if (!on_kvm())
		CHECK_EQ(back, offset);
}

/* ---- KVM_CAP_ENFORCE_PV_FEATURE_CPUID ---- */

TEST(enforce_pv_cpuid)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_ENFORCE_PV_FEATURE_CPUID, .args = { 1 } };
	struct vm *vm = vm_create(VM_IRQCHIP);
	struct vcpu *vcpu = vcpu_add(vm, 0);

	CHECK_EQ(vm_cap(vm, KVM_CAP_ENFORCE_PV_FEATURE_CPUID), 1);
	CHECK_OK(ioctl(vcpu->fd, KVM_ENABLE_CAP, &cap));
	cap.flags = 1;
	CHECK_ERR(ioctl(vcpu->fd, KVM_ENABLE_CAP, &cap), EINVAL);
	/* It is the vCPU's. */
	CHECK_ERR(enable(vm->fd, KVM_CAP_ENFORCE_PV_FEATURE_CPUID, 1), EINVAL);
}
