/* SPDX-License-Identifier: GPL-2.0 */
/* KUnit: a VM that never runs, with LAPICs (and chips) to send interrupts to. */
#ifndef LHV_IRQ_FIXTURE_H
#define LHV_IRQ_FIXTURE_H

#include <kunit/test.h>

#include "irq/lapic.h"

struct irq_fixture {
	struct lhv_vm *vm;
	int nr;
};

static inline void fixture_add_vcpu(struct kunit *test, struct irq_fixture *f, u32 id)
{
	struct lhv_vcpu *vcpu = kunit_kzalloc(test, sizeof(*vcpu), GFP_KERNEL);
	int ret;

	KUNIT_ASSERT_NOT_NULL(test, vcpu);
	KUNIT_ASSERT_LT(test, f->nr, LHV_VCPU_TABLE);
	vcpu->vm = f->vm;
	vcpu->id = id;
	vcpu->idx = f->nr;
	vcpu->ev.user_irq = -1;
	rcuwait_init(&vcpu->wait);
	vcpu->mp_state = KVM_MP_STATE_RUNNABLE;
	mutex_lock(&f->vm->lock);
	ret = lhv_lapic_create(vcpu);
	mutex_unlock(&f->vm->lock);
	KUNIT_ASSERT_EQ(test, ret, 0);
	lhv_lapic_reset(vcpu, false);
	f->vm->vcpus[0][f->nr++] = vcpu;
	f->vm->nr_vcpus = f->nr;
}

/* @kernel: with 8259s and IOAPIC; else as for a split irqchip. @nr vCPUs, ids from 0. */
static inline void fixture_init(struct kunit *test, struct irq_fixture *f, bool kernel, int nr)
{
	struct lhv_vm *vm = kunit_kzalloc(test, sizeof(*vm), GFP_KERNEL);
	int ret;

	KUNIT_ASSERT_NOT_NULL(test, vm);
	f->vm = vm;
	f->nr = 0;
	vm->vcpus[0] = kunit_kcalloc(test, LHV_VCPU_TABLE, sizeof(**vm->vcpus), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, vm->vcpus[0]);
	mutex_init(&vm->lock);
	KUNIT_ASSERT_EQ(test, init_srcu_struct(&vm->srcu), 0);
	KUNIT_ASSERT_EQ(test, lhv_bus_init_vm(vm), 0);
	KUNIT_ASSERT_EQ(test, lhv_irq_init_vm(vm), 0);
	mutex_lock(&vm->lock);
	ret = kernel ? lhv_irqchip_create(vm) : lhv_irqchip_create_split(vm, LHV_IOAPIC_PINS);
	mutex_unlock(&vm->lock);
	KUNIT_ASSERT_EQ(test, ret, 0);
	while (f->nr < nr)
		fixture_add_vcpu(test, f, f->nr);
}

static inline void fixture_exit(struct irq_fixture *f)
{
	int i;

	if (!f->vm)
		return;
	lhv_irq_destroy_vm(f->vm);
	for (i = 0; i < f->nr; i++)
		lhv_lapic_destroy(lhv_vcpu_at(f->vm, i));
	lhv_bus_destroy_vm(f->vm);
	cleanup_srcu_struct(&f->vm->srcu);
}

static inline void fixture_enable(struct lhv_vcpu *vcpu)
{
	u32 spiv = APIC_SPIV_APIC_ENABLED | 0xff;

	lhv_lapic_mmio_write(vcpu, APIC_SPIV, sizeof(spiv), &spiv);
}

static inline void apic_write(struct lhv_vcpu *vcpu, u32 reg, u32 val)
{
	lhv_lapic_mmio_write(vcpu, reg, sizeof(val), &val);
}

static inline u32 apic_read(struct lhv_vcpu *vcpu, u32 reg)
{
	u32 val;

	lhv_lapic_mmio_read(vcpu, reg, sizeof(val), &val);
	return val;
}

#endif
