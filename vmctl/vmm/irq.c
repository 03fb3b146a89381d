// SPDX-License-Identifier: GPL-2.0
/*
 * Interrupts into the guest: lines to the in-kernel PIC and IOAPIC, messages
 * through irqfd and GSI routing where the hypervisor has them, else by ioctl.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm.h"

#define PIC_PINS	8

static void route_line(struct kvm_irq_routing *table, uint32_t gsi,
		       uint32_t chip, uint32_t pin)
{
	struct kvm_irq_routing_entry *e = &table->entries[table->nr++];

	e->gsi = gsi;
	e->type = KVM_IRQ_ROUTING_IRQCHIP;
	e->u.irqchip.irqchip = chip;
	e->u.irqchip.pin = pin;
}

/* The whole table is set each time: that is what the ABI offers. */
static int set_routing(struct vm *vm)
{
	struct irq_router *irq = &vm->irq;
	struct kvm_irq_routing *table;
	unsigned int i;
	int ret = 0;

	table = calloc(1, sizeof(*table) + (2 * GSI_LINES + IRQ_MAX_MSI) *
		       sizeof(table->entries[0]));
	if (!table)
		return -ENOMEM;
	for (i = 0; i < 2 * PIC_PINS; i++)
		route_line(table, i, i < PIC_PINS ? KVM_IRQCHIP_PIC_MASTER :
			   KVM_IRQCHIP_PIC_SLAVE, i % PIC_PINS);
	for (i = 0; i < GSI_LINES; i++) {
		/* The timer's line enters the IOAPIC at pin 2, see the MADT. */
		if (i == GSI_PIT)
			route_line(table, i, KVM_IRQCHIP_IOAPIC,
				   GSI_PIT_IOAPIC);
		else if (i != GSI_PIT_IOAPIC)
			route_line(table, i, KVM_IRQCHIP_IOAPIC, i);
	}
	for (i = 0; irq->irqfd && i < IRQ_MAX_MSI; i++) {
		struct kvm_irq_routing_entry *e;

		if (!irq->msi[i].used || !irq->msi[i].addr)
			continue;
		e = &table->entries[table->nr++];
		e->gsi = GSI_LINES + i;
		e->type = KVM_IRQ_ROUTING_MSI;
		e->u.msi.address_lo = (uint32_t)irq->msi[i].addr;
		e->u.msi.address_hi = irq->msi[i].addr >> 32;
		e->u.msi.data = irq->msi[i].data;
	}
	if (ioctl(vm->fd, KVM_SET_GSI_ROUTING, table) < 0)
		ret = -errno;
	free(table);
	return ret;
}

/**
 * irq_init() - set the lines' routing up
 * @vm: its in-kernel interrupt controllers exist
 *
 * Return: 0 or -errno.
 */
int irq_init(struct vm *vm)
{
	unsigned int i;

	for (i = 0; i < IRQ_MAX_MSI; i++)
		vm->irq.msi[i].fd = -1;
	vm->irq.irqfd = vm_has(vm, KVM_CAP_IRQFD) > 0;
	return set_routing(vm);
}

void irq_destroy(struct vm *vm)
{
	int i;

	for (i = 0; i < IRQ_MAX_MSI; i++)
		irq_msi_free(vm, i);
}

/**
 * irq_line() - drive an interrupt line
 * @vm: machine
 * @gsi: line
 * @level: asserted or not
 */
void irq_line(struct vm *vm, unsigned int gsi, bool level)
{
	struct kvm_irq_level line = { .irq = gsi, .level = level };

	if (ioctl(vm->fd, KVM_IRQ_LINE, &line) < 0 && !vm_was_killed(vm, errno)) {
		report_errno(errno, "%s: interrupt line %u", vm->cfg->name, gsi);
		vm_finish(vm, VM_ERROR);
	}
}

/**
 * irq_msi_alloc() - get a message signalled interrupt
 * @vm: machine
 *
 * Return: a handle, or -errno.
 */
int irq_msi_alloc(struct vm *vm)
{
	struct irq_router *irq = &vm->irq;
	int i, err;

	for (i = 0; i < IRQ_MAX_MSI; i++)
		if (!irq->msi[i].used)
			break;
	if (i == IRQ_MAX_MSI)
		return -ENOSPC;
	irq->msi[i] = (struct irq_msi){ .used = true, .fd = -1 };
	if (irq->irqfd) {
		struct kvm_irqfd irqfd = { .gsi = GSI_LINES + i };

		irq->msi[i].fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (irq->msi[i].fd < 0)
			goto fail;
		irqfd.fd = irq->msi[i].fd;
		if (ioctl(vm->fd, KVM_IRQFD, &irqfd) < 0)
			goto fail;
	}
	return i;

fail:
	err = errno;
	if (irq->msi[i].fd >= 0)
		close(irq->msi[i].fd);
	irq->msi[i] = (struct irq_msi){ .fd = -1 };
	return -err;
}

void irq_msi_free(struct vm *vm, int handle)
{
	struct irq_msi *msi = &vm->irq.msi[handle];

	if (!msi->used)
		return;
	if (msi->fd >= 0) {
		struct kvm_irqfd irqfd = {
			.fd = msi->fd,
			.gsi = GSI_LINES + handle,
			.flags = KVM_IRQFD_FLAG_DEASSIGN,
		};

		ioctl(vm->fd, KVM_IRQFD, &irqfd);
		close(msi->fd);
	}
	*msi = (struct irq_msi){ .fd = -1 };
}

/**
 * irq_msi_set() - say which message an interrupt sends
 * @vm: machine
 * @handle: from irq_msi_alloc()
 * @addr: message address, 0 for none yet
 * @data: message data
 */
void irq_msi_set(struct vm *vm, int handle, uint64_t addr, uint32_t data)
{
	struct irq_msi *msi = &vm->irq.msi[handle];
	int ret;

	if (msi->addr == addr && msi->data == data)
		return;
	msi->addr = addr;
	msi->data = data;
	if (!vm->irq.irqfd)
		return;
	ret = set_routing(vm);
	if (ret) {
		report_errno(-ret, "%s: interrupt routing", vm->cfg->name);
		vm_finish(vm, VM_ERROR);
	}
}

/**
 * irq_msi_send() - raise a message signalled interrupt
 * @vm: machine
 * @handle: from irq_msi_alloc()
 */
void irq_msi_send(struct vm *vm, int handle)
{
	struct irq_msi *msi = &vm->irq.msi[handle];
	uint64_t one = 1;

	if (!msi->addr)
		return;
	if (msi->fd >= 0) {
		/* Only a full counter fails, and then it is signalled anyway. */
		if (write(msi->fd, &one, sizeof(one)) < 0)
			return;
	} else {
		struct kvm_msi m = {
			.address_lo = (uint32_t)msi->addr,
			.address_hi = msi->addr >> 32,
			.data = msi->data,
		};

		/* The guest chose the message: a bad one is the guest's loss. */
		ioctl(vm->fd, KVM_SIGNAL_MSI, &m);
	}
}
