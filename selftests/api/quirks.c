// SPDX-License-Identifier: GPL-2.0
/*
 * KVM_CAP_DISABLE_QUIRKS2 and KVM_CAP_X86_DISABLE_EXITS: what a VMM sees of them; the guest's view is
 * in guest/quirks.c and guest/stay.c.
 */
#include "vm.h"

#ifndef KVM_X86_QUIRK_STUFF_FEATURE_MSRS
#define KVM_X86_QUIRK_STUFF_FEATURE_MSRS (1 << 8)
#endif

#define MSR_UCODE_REV		0x8b
#define MSR_ARCH_CAPABILITIES	0x10a
#define MSR_MISC_ENABLE		0x1a0
#define MISC_ENABLE_MWAIT	(1ull << 18)
#define CPUID_1_ECX_SSE3	(1u << 0)
#define CPUID_1_ECX_MWAIT	(1u << 3)
#define APIC_LVT0		0x350
#define APIC_MASKED		(1u << 16)
#define APIC_EXTINT		(7u << 8)

static const unsigned int known = KVM_X86_QUIRK_LINT0_REENABLED | KVM_X86_QUIRK_LAPIC_MMIO_HOLE |
				  KVM_X86_QUIRK_OUT_7E_INC_RIP | KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT |
				  KVM_X86_QUIRK_FIX_HYPERCALL_INSN |
				  KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS |
				  KVM_X86_QUIRK_STUFF_FEATURE_MSRS;

static int disable(struct vm *vm, unsigned int cap, uint64_t quirks)
{
	struct kvm_enable_cap enable = { .cap = cap, .args = { quirks } };

	return ioctl(vm->fd, KVM_ENABLE_CAP, &enable);
}

static uint32_t lvt0(struct vcpu *vcpu)
{
	struct kvm_lapic_state lapic;

	CHECK_OK(ioctl(vcpu->fd, KVM_GET_LAPIC, &lapic));
	return *(uint32_t *)(lapic.regs + APIC_LVT0);
}

TEST(quirks_refused)
{
	struct vm *vm = vm_create(VM_IRQCHIP);
	int bit;

	CHECK_EQ(dev_cap(vm->sys, KVM_CAP_DISABLE_QUIRKS), 1);
	if (!on_kvm())
		CHECK_EQ(dev_cap(vm->sys, KVM_CAP_DISABLE_QUIRKS2), known);
	for (bit = 0; bit < 64; bit++) {
		if (vm_cap(vm, KVM_CAP_DISABLE_QUIRKS2) & (bit < 32 ? 1u << bit : 0))
			continue;
		CHECK_ERR(disable(vm, KVM_CAP_DISABLE_QUIRKS2, known | 1ull << bit), EINVAL);
		/* This one does not say so. */
		CHECK_OK(disable(vm, KVM_CAP_DISABLE_QUIRKS, 1ull << bit));
	}
	/* A refusal has switched nothing off. */
	CHECK_EQ(lvt0(vcpu_add(vm, 0)), APIC_EXTINT);
	CHECK_OK(disable(vm, KVM_CAP_DISABLE_QUIRKS2, known));
	CHECK_OK(disable(vm, KVM_CAP_DISABLE_QUIRKS2, 0));
}

TEST(quirk_lint0)
{
	struct vm *vm = vm_create(VM_IRQCHIP);

	CHECK_OK(disable(vm, KVM_CAP_DISABLE_QUIRKS2, KVM_X86_QUIRK_LINT0_REENABLED));
	CHECK_EQ(lvt0(vcpu_add(vm, 0)), APIC_MASKED);

	vm = vm_create(VM_IRQCHIP);
	CHECK_OK(disable(vm, KVM_CAP_DISABLE_QUIRKS, KVM_X86_QUIRK_LINT0_REENABLED));
	CHECK_EQ(lvt0(vcpu_add(vm, 0)), APIC_MASKED);
}

TEST(quirk_feature_msrs)
{
	struct vm *vm = vm_create(0);
	uint64_t value;

	CHECK(vcpu_get_msr(vcpu_add(vm, 0), MSR_UCODE_REV) != 0);
	if (!(vm_cap(vm, KVM_CAP_DISABLE_QUIRKS2) & KVM_X86_QUIRK_STUFF_FEATURE_MSRS))
		lacking("no KVM_X86_QUIRK_STUFF_FEATURE_MSRS");
	CHECK_OK(disable(vm, KVM_CAP_DISABLE_QUIRKS2, KVM_X86_QUIRK_STUFF_FEATURE_MSRS));
	/* That of vCPUs that come later */
	CHECK(vcpu_get_msr(&vm->vcpus[0], MSR_UCODE_REV) != 0);
	CHECK_EQ(vcpu_get_msr(vcpu_add(vm, 1), MSR_UCODE_REV), 0);
	if (vcpu_try_get_msr(&vm->vcpus[1], MSR_ARCH_CAPABILITIES, &value))
		CHECK_EQ(value, 0);
}

/* ---- MISC_ENABLE's MWAIT ---- */

static bool has_mwait(struct vcpu *vcpu)
{
	struct cpuid c = { .head.nent = MAX_CPUID };

	CHECK_OK(ioctl(vcpu->fd, KVM_GET_CPUID2, &c.head));
	return cpuid_find(&c, 1, 0)->ecx & CPUID_1_ECX_MWAIT;
}

static void with_ecx(struct vcpu *vcpu, uint32_t set, uint32_t clear)
{
	struct kvm_cpuid_entry2 *e;
	struct cpuid c;

	cpuid_supported(vcpu->vm->sys, &c);
	e = cpuid_find(&c, 1, 0);
	e->ecx = (e->ecx | set) & ~clear;
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_CPUID2, &c.head));
}

TEST(quirk_misc_enable)
{
	struct vm *vm = vm_create(VM_IRQCHIP);
	struct vcpu *vcpu = vcpu_add(vm, 0);
	uint64_t misc = vcpu_get_msr(vcpu, MSR_MISC_ENABLE);

	with_ecx(vcpu, CPUID_1_ECX_SSE3, CPUID_1_ECX_MWAIT);
	vcpu_set_msr(vcpu, MSR_MISC_ENABLE, misc | MISC_ENABLE_MWAIT);
	CHECK(!has_mwait(vcpu));
	vcpu_set_msr(vcpu, MSR_MISC_ENABLE, misc);

	CHECK_OK(disable(vm, KVM_CAP_DISABLE_QUIRKS2, KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT));
	vcpu_set_msr(vcpu, MSR_MISC_ENABLE, misc | MISC_ENABLE_MWAIT);
	CHECK(has_mwait(vcpu));
	vcpu_set_msr(vcpu, MSR_MISC_ENABLE, misc);
	CHECK(!has_mwait(vcpu));
	/* Whatever CPUID says from then on */
	with_ecx(vcpu, CPUID_1_ECX_SSE3 | CPUID_1_ECX_MWAIT, 0);
	CHECK(!has_mwait(vcpu));
	/* There is no such bit without SSE3. */
	with_ecx(vcpu, 0, CPUID_1_ECX_SSE3);
	CHECK_EQ(vcpu_try_set_msr(vcpu, MSR_MISC_ENABLE, misc | MISC_ENABLE_MWAIT), 0);
	CHECK_EQ(vcpu_get_msr(vcpu, MSR_MISC_ENABLE), misc);
}

/* ---- KVM_CAP_X86_DISABLE_EXITS ---- */

TEST(disable_exits)
{
	struct vm *vm = vm_create(VM_IRQCHIP);
	unsigned int known = vm_cap(vm, KVM_CAP_X86_DISABLE_EXITS);
	int bit;

	CHECK(known & KVM_X86_DISABLE_EXITS_PAUSE);
	CHECK(!(known & ~(KVM_X86_DISABLE_EXITS_PAUSE | KVM_X86_DISABLE_EXITS_HLT |
			  KVM_X86_DISABLE_EXITS_MWAIT |
			  (on_kvm() ? KVM_X86_DISABLE_EXITS_CSTATE : 0))));
	for (bit = on_kvm() ? 4 : 0; bit < 64; bit++) {
		if (bit < 32 && known & 1u << bit)
			continue;
		CHECK_ERR(disable(vm, KVM_CAP_X86_DISABLE_EXITS, known | 1ull << bit), EINVAL);
	}
	CHECK_OK(disable(vm, KVM_CAP_X86_DISABLE_EXITS, 0));
	CHECK_OK(disable(vm, KVM_CAP_X86_DISABLE_EXITS, known));
}
