// SPDX-License-Identifier: GPL-2.0
/*
 * lhv passthrough/ - interrupts of a device, from the host's handler into the guest.
 *
 * A message goes out as the guest has written it, through the VM's LAPICs. The line is masked at
 * the device while the guest has not ended the interrupt; its IOAPIC tells (lhv_ack).
 */
#include <linux/interrupt.h>
#include <linux/nospec.h>

#include "passthrough/device.h"

static void deliver(struct lhv_vector *v)
{
	lhv_irq_msi(v->vm, &v->msg);
}

static irqreturn_t vector_handler(int irq, void *data)
{
	struct lhv_vector *v = data;
	unsigned long flags;

	raw_spin_lock_irqsave(&v->lock, flags);
	if (v->masked)
		v->pending = true;
	else
		deliver(v);
	raw_spin_unlock_irqrestore(&v->lock, flags);
	return IRQ_HANDLED;
}

static irqreturn_t line_handler(int irq, void *data)
{
	struct lhv_device *dev = data;

	if (!pci_check_and_mask_intx(dev->pdev))
		return IRQ_NONE;
	if (!READ_ONCE(dev->intx_off))
		lhv_irq_line(dev->ack.vm, LHV_IRQ_SOURCE_ACK, dev->ack.gsi, 1);
	return IRQ_HANDLED;
}

/* The guest has ended it; if the device still asks, the line goes up again. Any context but NMI. */
static void line_acked(struct lhv_ack *ack)
{
	struct lhv_device *dev = container_of(ack, struct lhv_device, ack);

	if (!READ_ONCE(dev->intx_off) && !pci_check_and_unmask_intx(dev->pdev))
		lhv_irq_line(ack->vm, LHV_IRQ_SOURCE_ACK, ack->gsi, 1);
}

static void free_vectors(struct lhv_device *dev)
{
	while (dev->nr_vectors) {
		dev->nr_vectors--;
		free_irq(pci_irq_vector(dev->pdev, dev->nr_vectors),
			 &dev->vectors[dev->nr_vectors]);
	}
	pci_free_irq_vectors(dev->pdev);
	/* That has switched the line on, which nobody handles. */
	pci_intx(dev->pdev, false);
}

static int request_vectors(struct lhv_device *dev, unsigned int n, unsigned int type)
{
	int ret = pci_alloc_irq_vectors(dev->pdev, n, n, type);

	if (ret < 0) {
		pci_intx(dev->pdev, false);
		return ret;
	}
	for (; dev->nr_vectors < n; dev->nr_vectors++) {
		struct lhv_vector *v = &dev->vectors[dev->nr_vectors];

		v->vm = dev->vm;
		v->pending = false;
		ret = request_irq(pci_irq_vector(dev->pdev, dev->nr_vectors), vector_handler,
				  IRQF_NO_THREAD, "lhv-device", v);
		if (ret) {
			free_vectors(dev);
			return ret;
		}
	}
	return 0;
}

static int request_line(struct lhv_device *dev, u32 gsi)
{
	int ret;

	if (!dev->pdev->pin || !dev->pdev->irq || !pci_intx_mask_supported(dev->pdev) ||
	    gsi >= LHV_IOAPIC_PINS)
		return -EINVAL;
	/* With split chips the end of an interrupt goes to the VMM. */
	if (dev->vm->irq.mode != LHV_IRQCHIP_KERNEL)
		return -EINVAL;
	dev->ack.vm = dev->vm;
	dev->ack.gsi = gsi;
	dev->ack.fn = line_acked;
	/* The handler is there before the device may ask. */
	pci_intx(dev->pdev, false);
	ret = request_irq(dev->pdev->irq, line_handler, IRQF_SHARED, "lhv-device", dev);
	if (ret)
		return ret;
	lhv_ack_add(dev->vm, &dev->ack);
	if (!dev->intx_off)
		pci_intx(dev->pdev, true);
	return 0;
}

static void free_line(struct lhv_device *dev)
{
	/* Nobody unmasks it any more, then no handler runs, then nothing raises the guest's line. */
	lhv_ack_remove(&dev->ack);
	pci_intx(dev->pdev, false);
	free_irq(dev->pdev->irq, dev);
	lhv_ack_lower(&dev->ack);
}

/* No interrupt comes or is on its way any more. */
void lhv_device_free_irqs(struct lhv_device *dev)
{
	lockdep_assert_held(&dev->setup_lock);
	switch (dev->irq_type) {
	case LHV_DEVICE_IRQ_INTX:
		free_line(dev);
		break;
	case LHV_DEVICE_IRQ_MSI:
	case LHV_DEVICE_IRQ_MSIX:
		free_vectors(dev);
		break;
	}
	dev->irq_type = LHV_DEVICE_IRQ_NONE;
}

/* For another VM, or after a reset: nothing of before is left. No vector is requested. */
void lhv_device_init_irqs(struct lhv_device *dev)
{
	int i;

	lockdep_assert_held(&dev->setup_lock);
	for (i = 0; i < LHV_DEVICE_VECTORS; i++) {
		dev->vectors[i].msg = (struct kvm_msi) {};
		dev->vectors[i].masked = true;
		dev->vectors[i].pending = false;
	}
	dev->intx_off = false;
}

/* LHV_DEVICE_IRQ */
int lhv_device_set_irq(struct lhv_device *dev, const struct lhv_device_irq *arg)
{
	int ret = 0;

	lockdep_assert_held(&dev->setup_lock);
	if (arg->type > LHV_DEVICE_IRQ_MSIX || !lhv_has_lapic(dev->vm))
		return -EINVAL;
	lhv_device_free_irqs(dev);
	switch (arg->type) {
	case LHV_DEVICE_IRQ_INTX:
		ret = request_line(dev, arg->gsi);
		break;
	case LHV_DEVICE_IRQ_MSI:
		ret = dev->pdev->msi_cap ? request_vectors(dev, 1, PCI_IRQ_MSI) : -EINVAL;
		break;
	case LHV_DEVICE_IRQ_MSIX:
		ret = dev->table_size ? request_vectors(dev, dev->table_size, PCI_IRQ_MSIX) :
					-EINVAL;
		break;
	}
	if (!ret)
		dev->irq_type = arg->type;
	return ret;
}

/* LHV_DEVICE_VECTOR */
int lhv_device_set_vector(struct lhv_device *dev, const struct lhv_device_vector *arg)
{
	struct lhv_vector *v;
	unsigned long flags;

	lockdep_assert_held(&dev->setup_lock);
	if (arg->index >= LHV_DEVICE_VECTORS || arg->masked > 1 || arg->reserved)
		return -EINVAL;
	v = &dev->vectors[array_index_nospec(arg->index, LHV_DEVICE_VECTORS)];
	raw_spin_lock_irqsave(&v->lock, flags);
	v->msg.address_lo = lower_32_bits(arg->address);
	v->msg.address_hi = upper_32_bits(arg->address);
	v->msg.data = arg->data;
	v->masked = arg->masked;
	if (v->pending && !v->masked) {
		v->pending = false;
		if (arg->index < dev->nr_vectors)
			deliver(v);
	}
	raw_spin_unlock_irqrestore(&v->lock, flags);
	return 0;
}

/*
 * Somebody has written the command register as he had read it, and the line may have been unmasked
 * in between, by an end of interrupt on another CPU: once more.
 */
void lhv_device_look_at_intx(struct lhv_device *dev)
{
	lockdep_assert_held(&dev->setup_lock);
	if (dev->irq_type == LHV_DEVICE_IRQ_INTX)
		line_acked(&dev->ack);
}

/* The guest's PCI_COMMAND_INTX_DISABLE. */
void lhv_device_set_intx_off(struct lhv_device *dev, bool off)
{
	lockdep_assert_held(&dev->setup_lock);
	if (dev->intx_off == off)
		return;
	WRITE_ONCE(dev->intx_off, off);
	if (dev->irq_type != LHV_DEVICE_IRQ_INTX)
		return;
	if (off) {
		pci_intx(dev->pdev, false);
		lhv_ack_lower(&dev->ack);
	} else {
		line_acked(&dev->ack);
	}
}
