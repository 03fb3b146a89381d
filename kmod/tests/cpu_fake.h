/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lhv cpu/ - KUnit: a vCPU on a backend that only remembers what it was told.
 *
 * The suites swap lhv_backend while they run; they run when the module is loaded, before
 * anybody can have a VM.
 */
#ifndef LHV_TESTS_CPU_FAKE_H
#define LHV_TESTS_CPU_FAKE_H

#include <kunit/test.h>

#include "lhv.h"
#include "cpu/cpu_priv.h"

/* What the backend was told; its private state. */
struct fake {
	struct kvm_segment seg[LHV_NR_SEGS];
	struct kvm_dtable idt, gdt;
	u64 cr3, dr6, dr7, tsc_offset;
	u32 shadow;
	bool nmi_mask, irq_ok;
	bool irq_window, nmi_window;
	int exc, irq;		/* vector handed over, -1 none */
	bool nmi;
	int flushes;
};

static inline struct fake *fake(struct lhv_vcpu *vcpu)
{
	return (struct fake *)vcpu->backend;
}

static void fake_get_seg(struct lhv_vcpu *vcpu, enum lhv_seg seg, struct kvm_segment *out)
{
	*out = fake(vcpu)->seg[seg];
}

static void fake_set_seg(struct lhv_vcpu *vcpu, enum lhv_seg seg, const struct kvm_segment *in)
{
	fake(vcpu)->seg[seg] = *in;
}

static void fake_get_idt(struct lhv_vcpu *vcpu, struct kvm_dtable *out)
{
	*out = fake(vcpu)->idt;
}

static void fake_set_idt(struct lhv_vcpu *vcpu, const struct kvm_dtable *in)
{
	fake(vcpu)->idt = *in;
}

static void fake_get_gdt(struct lhv_vcpu *vcpu, struct kvm_dtable *out)
{
	*out = fake(vcpu)->gdt;
}

static void fake_set_gdt(struct lhv_vcpu *vcpu, const struct kvm_dtable *in)
{
	fake(vcpu)->gdt = *in;
}

static u64 fake_get_cr3(struct lhv_vcpu *vcpu)
{
	return fake(vcpu)->cr3;
}

static void fake_set_cr0(struct lhv_vcpu *vcpu, u64 cr0)
{
	vcpu->cr0 = cr0;
}

static void fake_set_cr3(struct lhv_vcpu *vcpu, u64 cr3)
{
	fake(vcpu)->cr3 = cr3;
}

static void fake_set_cr4(struct lhv_vcpu *vcpu, u64 cr4)
{
	vcpu->cr4 = cr4;
}

static void fake_set_efer(struct lhv_vcpu *vcpu, u64 efer)
{
	vcpu->efer = efer;
}

static int fake_get_msr(struct lhv_vcpu *vcpu, u32 index, u64 *data)
{
	return -ENOENT;
}

static int fake_set_msr(struct lhv_vcpu *vcpu, u32 index, u64 data)
{
	return -ENOENT;
}

static u64 fake_get_dr6(struct lhv_vcpu *vcpu)
{
	return fake(vcpu)->dr6;
}

static void fake_set_dr6(struct lhv_vcpu *vcpu, u64 dr6)
{
	fake(vcpu)->dr6 = dr6;
}

static void fake_set_dr7(struct lhv_vcpu *vcpu, u64 dr7)
{
	fake(vcpu)->dr7 = dr7;
}

static void fake_nothing(struct lhv_vcpu *vcpu)
{
}

static void fake_flush(struct lhv_vcpu *vcpu)
{
	fake(vcpu)->flushes++;
}

static void fake_set_tsc_offset(struct lhv_vcpu *vcpu, u64 offset)
{
	fake(vcpu)->tsc_offset = offset;
}

static void fake_inject_exception(struct lhv_vcpu *vcpu)
{
	fake(vcpu)->exc = vcpu->ev.exc.vector;
}

static void fake_inject_nmi(struct lhv_vcpu *vcpu)
{
	fake(vcpu)->nmi = true;
	fake(vcpu)->nmi_mask = true;
}

static void fake_inject_irq(struct lhv_vcpu *vcpu, u8 vector)
{
	fake(vcpu)->irq = vector;
}

static bool fake_irq_allowed(struct lhv_vcpu *vcpu)
{
	return fake(vcpu)->irq_ok && !fake(vcpu)->shadow;
}

static bool fake_nmi_allowed(struct lhv_vcpu *vcpu)
{
	return !fake(vcpu)->nmi_mask && !fake(vcpu)->shadow;
}

static void fake_irq_window(struct lhv_vcpu *vcpu)
{
	fake(vcpu)->irq_window = true;
}

static void fake_nmi_window(struct lhv_vcpu *vcpu)
{
	fake(vcpu)->nmi_window = true;
}

static void fake_watch_tpr(struct lhv_vcpu *vcpu, bool on)
{
}

static u32 fake_get_shadow(struct lhv_vcpu *vcpu)
{
	return fake(vcpu)->shadow;
}

static void fake_set_shadow(struct lhv_vcpu *vcpu, u32 shadow)
{
	fake(vcpu)->shadow = shadow;
}

static bool fake_get_nmi_mask(struct lhv_vcpu *vcpu)
{
	return fake(vcpu)->nmi_mask;
}

static void fake_set_nmi_mask(struct lhv_vcpu *vcpu, bool masked)
{
	fake(vcpu)->nmi_mask = masked;
}

static struct lhv_backend fake_backend = {
	.name = "fake",
	.get_seg = fake_get_seg,
	.set_seg = fake_set_seg,
	.get_idt = fake_get_idt,
	.set_idt = fake_set_idt,
	.get_gdt = fake_get_gdt,
	.set_gdt = fake_set_gdt,
	.get_cr3 = fake_get_cr3,
	.set_cr0 = fake_set_cr0,
	.set_cr3 = fake_set_cr3,
	.set_cr4 = fake_set_cr4,
	.set_efer = fake_set_efer,
	.get_msr = fake_get_msr,
	.set_msr = fake_set_msr,
	.get_dr6 = fake_get_dr6,
	.set_dr6 = fake_set_dr6,
	.set_dr7 = fake_set_dr7,
	.update_debug = fake_nothing,
	.cpuid_changed = fake_nothing,
	.flush_guest_tlb = fake_flush,
	.set_tsc_offset = fake_set_tsc_offset,
	.inject_exception = fake_inject_exception,
	.inject_nmi = fake_inject_nmi,
	.inject_irq = fake_inject_irq,
	.irq_allowed = fake_irq_allowed,
	.nmi_allowed = fake_nmi_allowed,
	.irq_window = fake_irq_window,
	.nmi_window = fake_nmi_window,
	.watch_tpr = fake_watch_tpr,
	.get_shadow = fake_get_shadow,
	.set_shadow = fake_set_shadow,
	.get_nmi_mask = fake_get_nmi_mask,
	.set_nmi_mask = fake_set_nmi_mask,
};

static const struct lhv_backend *real_backend;

/* One VM with one vCPU, reset; test->priv is the vCPU. */
static int fake_init(struct kunit *test)
{
	struct lhv_vcpu *vcpu;
	struct lhv_vm *vm;

	vm = kunit_kzalloc(test, sizeof(*vm), GFP_KERNEL);
	vcpu = kunit_kzalloc(test, sizeof(*vcpu) + sizeof(struct fake), GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, vm);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, vcpu);

	real_backend = lhv_backend;
	fake_backend.tdp = real_backend ? real_backend->tdp : NULL;
	lhv_backend_use(&fake_backend);

	vcpu->vm = vm;
	vcpu->cpu = -1;
	rcuwait_init(&vcpu->wait);
	lhv_clock_init_vm(vm);
	test->priv = vcpu;
	KUNIT_ASSERT_EQ(test, 0, lhv_cpu_create(vcpu));
	lhv_cpu_reset(vcpu, false);
	vcpu->pending = 0;
	fake(vcpu)->irq_ok = true;
	fake(vcpu)->exc = -1;
	fake(vcpu)->irq = -1;
	return 0;
}

static void fake_exit(struct kunit *test)
{
	if (test->priv)
		lhv_cpu_destroy(test->priv);
	lhv_backend_use(real_backend);
}

#endif
