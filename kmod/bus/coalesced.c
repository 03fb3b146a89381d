// SPDX-License-Identifier: GPL-2.0
/*
 * lhv bus/ - coalesced MMIO and port zones: writes that the VMM need not see at once
 * are put in a ring that it shares with us, and reads when it gets round to it.
 */
#include <linux/mm.h>

#include "../lhv.h"

struct lhv_zone {
	struct lhv_dev dev;
	struct lhv_vm *vm;
	bool pio;
};

static int zone_read(struct lhv_vcpu *vcpu, struct lhv_dev *dev, gpa_t addr, int len, void *data)
{
	return -EOPNOTSUPP;
}

/* The VMM can scribble on the ring's indexes: each is read once and checked. */
static int zone_write(struct lhv_vcpu *vcpu, struct lhv_dev *dev, gpa_t addr, int len,
		      const void *data)
{
	struct lhv_zone *zone = container_of(dev, struct lhv_zone, dev);
	struct kvm_coalesced_mmio_ring *ring = page_address(zone->vm->coalesced.ring);
	struct kvm_coalesced_mmio *slot;
	int ret = -EOPNOTSUPP;
	unsigned long flags;
	u32 last, next;

	if (len > (int)sizeof(slot->data))
		return -EOPNOTSUPP;

	raw_spin_lock_irqsave(&zone->vm->coalesced.ring_lock, flags);
	last = READ_ONCE(ring->last);
	if (last >= KVM_COALESCED_MMIO_MAX)
		goto out;
	next = (last + 1) % KVM_COALESCED_MMIO_MAX;
	if (next == READ_ONCE(ring->first))
		goto out;	/* full: the VMM has to come and read it */

	slot = &ring->coalesced_mmio[last];
	slot->phys_addr = addr;
	slot->len = len;
	memcpy(slot->data, data, len);
	slot->pio = zone->pio;
	/* The VMM sees the index move only after the slot. */
	smp_store_release(&ring->last, next);
	ret = 0;
out:
	raw_spin_unlock_irqrestore(&zone->vm->coalesced.ring_lock, flags);
	return ret;
}

static void zone_destroy(struct lhv_dev *dev)
{
	kfree(container_of(dev, struct lhv_zone, dev));
}

static const struct lhv_dev_ops zone_ops = {
	.read = zone_read,
	.write = zone_write,
	.destroy = zone_destroy,
};

static struct lhv_bus *bus_of(struct lhv_vm *vm, const struct kvm_coalesced_mmio_zone *args)
{
	return args->pio ? &vm->pio_bus : &vm->mmio_bus;
}

/**
 * lhv_coalesced_register() - KVM_REGISTER_COALESCED_MMIO
 * @vm: the VM
 * @args: unchecked
 *
 * Context: process; takes vm->lock. Return: 0, -EINVAL, -ENOMEM, -ENOSPC.
 */
int lhv_coalesced_register(struct lhv_vm *vm, const struct kvm_coalesced_mmio_zone *args)
{
	struct lhv_zone *zone;
	int ret;

	if (args->pio > 1 || !args->size)
		return -EINVAL;
	zone = kzalloc(sizeof(*zone), GFP_KERNEL_ACCOUNT);
	if (!zone)
		return -ENOMEM;
	zone->vm = vm;
	zone->pio = args->pio;
	zone->dev = (struct lhv_dev){ .ops = &zone_ops, .addr = args->addr, .len = args->size };

	mutex_lock(&vm->lock);
	ret = lhv_bus_add(vm, bus_of(vm, args), &zone->dev);
	mutex_unlock(&vm->lock);
	if (ret)
		kfree(zone);
	return ret;
}

/* Does this zone hold all of the given range? */
static bool holds(struct lhv_dev *dev, const void *arg)
{
	const struct kvm_coalesced_mmio_zone *args = arg;

	return dev->ops == &zone_ops && dev->addr <= args->addr &&
	       args->size <= dev->len && args->addr - dev->addr <= dev->len - args->size;
}

/**
 * lhv_coalesced_unregister() - KVM_UNREGISTER_COALESCED_MMIO
 * @vm: the VM
 * @args: unchecked
 *
 * Every zone around the range goes; that there was none is no error, as under KVM.
 * Context: process; takes vm->lock. Return: 0, -EINVAL.
 */
int lhv_coalesced_unregister(struct lhv_vm *vm, const struct kvm_coalesced_mmio_zone *args)
{
	struct lhv_bus *bus = bus_of(vm, args);
	struct lhv_dev *dev;

	if (args->pio > 1)
		return -EINVAL;
	guard(mutex)(&vm->lock);
	while ((dev = lhv_bus_find(bus, holds, args)) != NULL) {
		lhv_bus_remove(vm, bus, dev);
		zone_destroy(dev);
	}
	return 0;
}
