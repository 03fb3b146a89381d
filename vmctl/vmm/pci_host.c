// SPDX-License-Identifier: GPL-2.0
/*
 * A device of the host, in the guest's PCI bus.
 *
 * The module (uapi/linux/lhv.h) lets us map its BARs, turn its bus mastering on and wire its
 * interrupts; the rest of its configuration space is made up here: 32-bit BARs, an MSI-X table in
 * a BAR of its own, MSI with one vector, INTA. All other capabilities are left out.
 *
 * BARs are slots of the VM, so the guest's accesses do not come here. Those to the page of the
 * device's own MSI-X table do: they read all ones.
 */
#include <errno.h>
#include <linux/lhv.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pci.h"
#include "pci_host.h"

#define PIECES		2	/* of a BAR, before and behind the MSI-X table */
#define FIRST_SLOT	16	/* numbers of the VM's slots: RAM has the first ones */
#define SLOTS_EACH	(LHV_DEVICE_BARS * PIECES)
#define MSI_CAP_SIZE	14	/* with a 64-bit address, without masks */

struct piece {
	uint64_t off, size;
	void *map;
	bool in_guest;
};

struct pci_host {
	struct pci_dev pci;
	int fd;
	unsigned int number;
	struct lhv_device_info info;
	struct piece piece[LHV_DEVICE_BARS][PIECES];
	unsigned int msi_cap;
	uint32_t irq_type;
	uint16_t command;
	bool told;		/* of what the guest's driver asked in vain */
};

static struct pci_host *host_of(struct pci_dev *dev)
{
	return container_of(dev, struct pci_host, pci);
}

static uint32_t config(struct pci_host *h, uint16_t off, uint8_t len, bool write, uint32_t value)
{
	struct lhv_device_config c = {
		.offset = off, .len = len, .write = write, .value = value,
	};

	return ioctl(h->fd, LHV_DEVICE_CONFIG, &c) < 0 ? UINT32_MAX : c.value;
}

/* Once a machine: the guest can do it without end, and the log is the host's. */
static void report_once(struct pci_host *h, const char *what)
{
	if (!h->told)
		report_errno(errno, "%s: %s of a device", h->pci.vm->cfg->name, what);
	h->told = true;
}

/* ---- BARs ---- */

static void set_slot(struct pci_host *h, unsigned int bar, unsigned int n, uint64_t gpa, bool in)
{
	struct piece *p = &h->piece[bar][n];
	struct kvm_userspace_memory_region slot = {
		.slot = FIRST_SLOT + h->number * SLOTS_EACH + bar * PIECES + n,
		.guest_phys_addr = gpa + p->off,
		.memory_size = in ? p->size : 0,
		.userspace_addr = (uintptr_t)p->map,
	};

	if (!p->map || in == p->in_guest)
		return;
	if (ioctl(h->pci.vm->fd, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
		report_once(h, "a BAR");
	else
		p->in_guest = in;
}

static void bar_moved(struct pci_dev *dev, unsigned int bar)
{
	struct pci_host *h = host_of(dev);
	unsigned int n;

	if (bar >= LHV_DEVICE_BARS)
		return;
	for (n = 0; n < PIECES; n++) {
		set_slot(h, bar, n, 0, false);
		if (dev->bar[bar].mapped)
			set_slot(h, bar, n, dev->bar[bar].range.base, true);
	}
}

static int map_piece(struct pci_host *h, unsigned int bar, unsigned int n, uint64_t off,
		     uint64_t end)
{
	struct piece *p = &h->piece[bar][n];

	if (off >= end)
		return 0;
	p->map = mmap(NULL, end - off, PROT_READ | PROT_WRITE, MAP_SHARED, h->fd,
		      ((uint64_t)bar << LHV_DEVICE_BAR_SHIFT) + off);
	if (p->map == MAP_FAILED) {
		p->map = NULL;
		return -errno;
	}
	p->off = off;
	p->size = end - off;
	return 0;
}

static int add_bar(struct pci_host *h, unsigned int bar)
{
	const struct lhv_device_info *info = &h->info;
	uint64_t size = info->bar_size[bar];
	int ret;

	if (size > PCI_MMIO_END - PCI_MMIO_ADDR)
		return -ENOSPC;
	ret = pci_add_bar(&h->pci, bar, size);
	if (ret)
		return ret;
	if (!info->msix_vectors || info->msix_bar != bar)
		return map_piece(h, bar, 0, 0, size);
	ret = map_piece(h, bar, 0, 0, info->msix_offset);
	return ret ? ret : map_piece(h, bar, 1, info->msix_offset + info->msix_size, size);
}

/* ---- interrupts ---- */

static void set_vector(struct pci_host *h, uint32_t n, uint64_t addr, uint32_t data, bool masked)
{
	struct lhv_device_vector v = {
		.address = addr, .data = data, .index = n, .masked = masked,
	};

	/* Fails when the device was taken away, and then there is nothing to be sent. */
	(void)ioctl(h->fd, LHV_DEVICE_VECTOR, &v);
}

static void vector_changed(struct pci_dev *dev, unsigned int n, bool masked)
{
	struct pci_msix_vector *v = &dev->vector[n];

	set_vector(host_of(dev), n, (uint64_t)v->addr_hi << 32 | v->addr_lo, v->data, masked);
}

static bool msi_enabled(const struct pci_host *h)
{
	return h->msi_cap && (pci_get16(&h->pci, h->msi_cap + PCI_MSI_FLAGS) &
			      PCI_MSI_FLAGS_ENABLE);
}

static void wire_interrupts(struct pci_host *h)
{
	struct lhv_device_irq irq = { .type = LHV_DEVICE_IRQ_NONE };

	if (pci_msix_enabled(&h->pci)) {
		irq.type = LHV_DEVICE_IRQ_MSIX;
	} else if (msi_enabled(h)) {
		irq.type = LHV_DEVICE_IRQ_MSI;
	} else if (h->info.intx) {
		irq.type = LHV_DEVICE_IRQ_INTX;
		irq.gsi = PCI_SLOT_GSI(h->pci.slot);
	}
	if (irq.type == h->irq_type)
		return;
	if (ioctl(h->fd, LHV_DEVICE_IRQ, &irq) < 0 && errno != ENODEV)
		report_once(h, "interrupts");
	h->irq_type = irq.type;
}

static void config_written(struct pci_dev *dev, unsigned int off, unsigned int len)
{
	struct pci_host *h = host_of(dev);
	uint16_t command = pci_get16(dev, PCI_COMMAND);

	(void)off;
	(void)len;
	if (msi_enabled(h))
		set_vector(h, 0, pci_get32(dev, h->msi_cap + PCI_MSI_ADDRESS_LO) |
			   (uint64_t)pci_get32(dev, h->msi_cap + PCI_MSI_ADDRESS_HI) << 32,
			   pci_get16(dev, h->msi_cap + PCI_MSI_DATA_64), false);
	wire_interrupts(h);
	if (command != h->command) {
		config(h, PCI_COMMAND, 2, true, command);
		h->command = command;
	}
}

/* Drivers that share a line ask the status register whether it was theirs. */
static void config_read(struct pci_dev *dev, unsigned int off, unsigned int len)
{
	uint32_t status;

	if (off > PCI_STATUS || off + len <= PCI_STATUS)
		return;
	status = config(host_of(dev), PCI_STATUS, 2, false, 0);
	pci_put16(dev, PCI_STATUS, PCI_STATUS_CAP_LIST | (status & PCI_STATUS_INTERRUPT));
}

static void add_msi(struct pci_host *h)
{
	struct pci_dev *dev = &h->pci;
	unsigned int cap = pci_add_cap(dev, PCI_CAP_ID_MSI, MSI_CAP_SIZE);

	pci_put16(dev, cap + PCI_MSI_FLAGS, PCI_MSI_FLAGS_64BIT);
	bus_put(dev->wmask + cap + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
	bus_put(dev->wmask + cap + PCI_MSI_ADDRESS_LO, 4, ~3U);
	bus_put(dev->wmask + cap + PCI_MSI_ADDRESS_HI, 4, ~0U);
	bus_put(dev->wmask + cap + PCI_MSI_DATA_64, 2, 0xffff);
	h->msi_cap = cap;
}

static const struct pci_dev_ops ops = {
	.cfg_read = config_read,
	.cfg_write = config_written,
	.moved = bar_moved,
	.vector = vector_changed,
};

/* ---- the device ---- */

static int build(struct pci_host *h, struct vm *vm)
{
	uint32_t id = config(h, PCI_VENDOR_ID, 4, false, 0);
	uint32_t class_rev = config(h, PCI_CLASS_REVISION, 4, false, 0);
	uint32_t subsystem = config(h, PCI_SUBSYSTEM_VENDOR_ID, 4, false, 0);
	unsigned int i;
	int table = -1, ret = 0;

	pci_dev_init(&h->pci, vm, &ops, id, id >> 16, class_rev, subsystem >> 16);
	pci_put16(&h->pci, PCI_SUBSYSTEM_VENDOR_ID, subsystem);
	for (i = 0; i < LHV_DEVICE_BARS && !ret; i++) {
		if (h->info.bar_size[i])
			ret = add_bar(h, i);
		else if (table < 0)
			table = i;
	}
	if (!ret && h->info.msix_vectors && table >= 0)
		ret = pci_add_msix(&h->pci, table, h->info.msix_vectors);
	if (!ret && h->info.msi)
		add_msi(h);
	if (!ret)
		ret = pci_attach(&h->pci);
	if (!ret && !h->info.intx)
		h->pci.cfg[PCI_INTERRUPT_PIN] = 0;
	if (!ret)
		wire_interrupts(h);
	return ret;
}

static int parse_address(const char *text, struct lhv_device_address *at)
{
	unsigned int domain, bus, slot, fn;
	char end;

	if (sscanf(text, "%x:%x:%x.%x%c", &domain, &bus, &slot, &fn, &end) != 4) {
		domain = 0;
		if (sscanf(text, "%x:%x.%x%c", &bus, &slot, &fn, &end) != 3)
			return -EINVAL;
	}
	if (bus > UINT8_MAX || slot > 31 || fn > 7)
		return -EINVAL;
	*at = (struct lhv_device_address){ .domain = domain, .bus = bus,
					   .devfn = slot << 3 | fn };
	return 0;
}

/**
 * pci_host_create() - put a device of the host into the guest's bus
 * @vm: machine; the device was attached to it
 * @address: of the device on the host, domain:bus:device.function
 * @number: how many such devices there are already
 *
 * Return: the device, NULL with errno set.
 */
struct pci_host *pci_host_create(struct vm *vm, const char *address, unsigned int number)
{
	struct pci_host *h = calloc(1, sizeof(*h));
	struct lhv_device_address at;
	int ret;

	if (!h)
		return NULL;
	h->number = number;
	h->pci.vm = vm;
	h->fd = -1;
	ret = parse_address(address, &at);
	if (!ret) {
		h->fd = ioctl(vm->fd, LHV_DEVICE_OPEN, &at);
		if (h->fd < 0 || ioctl(h->fd, LHV_DEVICE_INFO, &h->info) < 0)
			ret = -errno;
	}
	if (!ret)
		ret = build(h, vm);
	if (!ret)
		return h;
	pci_host_destroy(h);
	errno = -ret;
	return NULL;
}

void pci_host_destroy(struct pci_host *h)
{
	unsigned int bar, n;

	pci_detach(&h->pci);
	for (bar = 0; bar < LHV_DEVICE_BARS; bar++) {
		for (n = 0; n < PIECES; n++) {
			set_slot(h, bar, n, 0, false);
			if (h->piece[bar][n].map)
				munmap(h->piece[bar][n].map, h->piece[bar][n].size);
		}
	}
	if (h->fd >= 0)
		close(h->fd);
	free(h);
}
