// SPDX-License-Identifier: GPL-2.0
/*
 * lhv irq/ - the set of controllers of a VM: made, saved and taken down as one.
 */
#include "internal.h"
#include "lapic.h"

int lhv_irq_init_vm(struct lhv_vm *vm)
{
	struct lhv_irqchip *irq = &vm->irq;

	mutex_init(&irq->lock);
	INIT_LIST_HEAD(&irq->irqfds);
	INIT_LIST_HEAD(&irq->resamplers);
	INIT_LIST_HEAD(&irq->acks);
	irq->bus_cycle_ns = LHV_APIC_BUS_CYCLE_NS;
	raw_spin_lock_init(&irq->map.lock);
	irq->initialized = !init_srcu_struct(&irq->srcu);
	return irq->initialized ? 0 : -ENOMEM;
}

/* See irq.h. */
void lhv_irq_destroy_vm(struct lhv_vm *vm)
{
	struct lhv_irqchip *irq = &vm->irq;
	struct lhv_vcpu *vcpu;
	int i;

	if (!irq->initialized)
		return;
	irq->initialized = false;
	/* An interrupt of theirs looks at the IOAPIC. */
	lhv_for_each_vcpu(i, vcpu, vm) {
		if (vcpu->lapic)
			lhv_lapic_timer_stop(vcpu->lapic);
	}
	lhv_irqfd_destroy_all(vm);
	mutex_lock(&vm->lock);
	lhv_pit_destroy(vm);
	lhv_ioapic_destroy(vm);
	lhv_pic_destroy(vm);
	mutex_unlock(&vm->lock);
	lhv_routing_free(vm);
	cleanup_srcu_struct(&irq->srcu);
	for (i = 0; i < ARRAY_SIZE(irq->map.phys); i++) {
		kfree(irq->map.phys[i]);
		irq->map.phys[i] = NULL;
	}
}

int lhv_irqchip_create(struct lhv_vm *vm)
{
	int ret;

	lockdep_assert_held(&vm->lock);
	if (vm->irq.mode != LHV_IRQCHIP_NONE)
		return -EEXIST;
	/* A vCPU is born with its LAPIC or without. */
	if (vm->nr_vcpus)
		return -EINVAL;
	ret = lhv_apic_map_extend(vm, 0);
	if (ret)
		return ret;
	ret = lhv_pic_create(vm);
	if (ret)
		return ret;
	ret = lhv_ioapic_create(vm);
	if (ret)
		goto err_pic;
	mutex_lock(&vm->irq.lock);
	ret = lhv_routing_set_default(vm);
	mutex_unlock(&vm->irq.lock);
	if (ret)
		goto err_ioapic;
	/* Whoever sees the mode sees the chips. */
	smp_store_release(&vm->irq.mode, LHV_IRQCHIP_KERNEL);
	return 0;

err_ioapic:
	lhv_ioapic_destroy(vm);
err_pic:
	lhv_pic_destroy(vm);
	return ret;
}

int lhv_irqchip_create_split(struct lhv_vm *vm, u32 pins)
{
	int ret;

	lockdep_assert_held(&vm->lock);
	if (pins > LHV_MAX_ROUTES)
		return -EINVAL;
	if (vm->irq.mode != LHV_IRQCHIP_NONE || vm->nr_vcpus)
		return -EEXIST;
	ret = lhv_apic_map_extend(vm, 0);
	if (ret)
		return ret;
	/* As above. */
	smp_store_release(&vm->irq.mode, LHV_IRQCHIP_SPLIT);
	return 0;
}

int lhv_irqchip_get(struct lhv_vm *vm, struct kvm_irqchip *chip)
{
	switch (chip->chip_id) {
	case KVM_IRQCHIP_PIC_MASTER:
		lhv_pic_get_state(vm, 0, &chip->chip.pic);
		return 0;
	case KVM_IRQCHIP_PIC_SLAVE:
		lhv_pic_get_state(vm, 1, &chip->chip.pic);
		return 0;
	case KVM_IRQCHIP_IOAPIC:
		lhv_ioapic_get_state(vm, &chip->chip.ioapic);
		return 0;
	default:
		return -EINVAL;
	}
}

int lhv_irqchip_set(struct lhv_vm *vm, const struct kvm_irqchip *chip)
{
	switch (chip->chip_id) {
	case KVM_IRQCHIP_PIC_MASTER:
		lhv_pic_set_state(vm, 0, &chip->chip.pic);
		return 0;
	case KVM_IRQCHIP_PIC_SLAVE:
		lhv_pic_set_state(vm, 1, &chip->chip.pic);
		return 0;
	case KVM_IRQCHIP_IOAPIC:
		lhv_ioapic_set_state(vm, &chip->chip.ioapic);
		return 0;
	default:
		return -EINVAL;
	}
}
