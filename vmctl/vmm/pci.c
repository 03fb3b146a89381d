// SPDX-License-Identifier: GPL-2.0
/* One conventional PCI bus: see pci.h. Names are those of <linux/pci_regs.h>. */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>

#include "pci.h"

#define CONF1_ENABLE		(1U << 31)
#define CONF1_BUS(a)		(((a) >> 16) & 0xff)
#define CONF1_SLOT(a)		(((a) >> 11) & 0x1f)
#define CONF1_FUNC(a)		(((a) >> 8) & 7)
#define CONF1_REG(a)		((a) & 0xfc)

#define HOST_BRIDGE_VENDOR	0x8086	/* i440FX: what guests know */
#define HOST_BRIDGE_DEVICE	0x1237
#define HOST_BRIDGE_CLASS_REV	0x06000002

#define MSIX_PBA_OFFSET		0x800
#define CAP_FIRST		0x40

struct pci_bus {
	struct vm *vm;
	uint32_t addr;
	uint32_t next_bar;
	struct pci_dev *slot[PCI_SLOTS];
	struct pci_dev host;
	struct bus_range addr_range;
	struct bus_range data_range;
	/* INTA lines are shared: how many devices hold each up. */
	unsigned int intx_a, intx_b;
};

static void bar_fn(void *arg, uint64_t off, uint8_t *data, unsigned int len,
		   bool write)
{
	struct pci_bar *bar = arg;

	pci_bar_access(bar->dev, bar - bar->dev->bar, off, data, len, write);
}

/* Put a BAR where command register and address say, or take it away. */
static void update_bar(struct pci_dev *dev, unsigned int n)
{
	struct pci_bar *bar = &dev->bar[n];
	uint32_t addr = pci_get32(dev, PCI_BASE_ADDRESS_0 + 4 * n) &
			PCI_BASE_ADDRESS_MEM_MASK;
	/* Outside of the window it would lie over RAM or the APICs. */
	bool map = (pci_get16(dev, PCI_COMMAND) & PCI_COMMAND_MEMORY) &&
		   addr >= PCI_MMIO_ADDR && addr <= PCI_MMIO_END - bar->size;

	if (!bar->size || (map == bar->mapped &&
			   (!map || bar->range.base == addr)))
		return;
	if (bar->mapped)
		bus_del(&dev->vm->mmio, &bar->range);
	bar->mapped = map;
	bar->range = (struct bus_range){ .base = addr, .size = bar->size,
					 .fn = bar_fn, .arg = bar };
	if (map)
		bus_add(&dev->vm->mmio, &bar->range);
	if (dev->ops && dev->ops->moved)
		dev->ops->moved(dev, n);
}

/* ---- MSI-X ---- */

bool pci_msix_enabled(const struct pci_dev *dev)
{
	return dev->msix_cap && (pci_get16(dev, dev->msix_cap + PCI_MSIX_FLAGS) &
				 PCI_MSIX_FLAGS_ENABLE);
}

static bool vector_masked(const struct pci_dev *dev, unsigned int n)
{
	return (pci_get16(dev, dev->msix_cap + PCI_MSIX_FLAGS) &
		PCI_MSIX_FLAGS_MASKALL) ||
	       (dev->vector[n].ctrl & PCI_MSIX_ENTRY_CTRL_MASKBIT);
}

/* After any change: hand the message on, send what waited for the unmasking. */
static void vector_update(struct pci_dev *dev, unsigned int n)
{
	struct pci_msix_vector *v = &dev->vector[n];

	if (dev->ops->vector) {
		dev->ops->vector(dev, n, vector_masked(dev, n));
		return;
	}
	if (!pci_msix_enabled(dev) || vector_masked(dev, n))
		return;
	irq_msi_set(dev->vm, v->handle, (uint64_t)v->addr_hi << 32 | v->addr_lo,
		    v->data);
	if (v->pending) {
		v->pending = false;
		irq_msi_send(dev->vm, v->handle);
	}
}

/**
 * pci_msix_raise() - send a vector's message, or hold it back while masked
 * @dev: function
 * @n: vector; one that doesn't exist is ignored
 */
void pci_msix_raise(struct pci_dev *dev, unsigned int n)
{
	if (n >= dev->nvectors || !pci_msix_enabled(dev))
		return;
	if (vector_masked(dev, n))
		dev->vector[n].pending = true;
	else
		irq_msi_send(dev->vm, dev->vector[n].handle);
}

static uint32_t *vector_word(struct pci_msix_vector *v, unsigned int off)
{
	switch (off) {
	case PCI_MSIX_ENTRY_LOWER_ADDR:
		return &v->addr_lo;
	case PCI_MSIX_ENTRY_UPPER_ADDR:
		return &v->addr_hi;
	case PCI_MSIX_ENTRY_DATA:
		return &v->data;
	default:
		return &v->ctrl;
	}
}

static void msix_access(struct pci_dev *dev, uint64_t off, uint8_t *data,
			unsigned int len, bool write)
{
	unsigned int n, i;

	if ((len != 4 && len != 8) || off % len)
		return;
	if (off >= MSIX_PBA_OFFSET) {
		uint64_t bits = 0;

		unsigned int first = 8 * ((off - MSIX_PBA_OFFSET) & ~7ULL);

		for (i = first; i < dev->nvectors && i < first + 64; i++)
			bits |= (uint64_t)dev->vector[i].pending << (i - first);
		if (!write)
			bus_put(data, len, bits >> (8 * (off & 4)));
		return;
	}
	n = off / PCI_MSIX_ENTRY_SIZE;
	if (n >= dev->nvectors)
		return;
	for (i = 0; i < len; i += 4) {
		uint32_t *w = vector_word(&dev->vector[n],
					  (off + i) % PCI_MSIX_ENTRY_SIZE);

		if (write)
			*w = bus_get(data + i, 4);
		else
			bus_put(data + i, 4, *w);
	}
	if (write)
		vector_update(dev, n);
}

/**
 * pci_add_msix() - give a function MSI-X, its table in a BAR of its own
 * @dev: function
 * @bar: which BAR
 * @n: vectors
 *
 * Return: 0 or -errno.
 */
int pci_add_msix(struct pci_dev *dev, unsigned int bar, unsigned int n)
{
	unsigned int cap;
	int ret;

	if (n > PCI_MSIX_MAX)
		return -EINVAL;
	ret = pci_add_bar(dev, bar, PCI_BAR_MIN);
	if (ret)
		return ret;
	cap = pci_add_cap(dev, PCI_CAP_ID_MSIX, PCI_CAP_MSIX_SIZEOF);
	pci_put16(dev, cap + PCI_MSIX_FLAGS, n - 1);
	bus_put(dev->cfg + cap + PCI_MSIX_TABLE, 4, bar);
	bus_put(dev->cfg + cap + PCI_MSIX_PBA, 4, MSIX_PBA_OFFSET | bar);
	bus_put(dev->wmask + cap + PCI_MSIX_FLAGS, 2,
		PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	dev->msix_bar = bar;
	for (; dev->nvectors < n; dev->nvectors++) {
		ret = dev->ops->vector ? -1 : irq_msi_alloc(dev->vm);
		if (ret < 0 && !dev->ops->vector)
			return ret;
		dev->vector[dev->nvectors] = (struct pci_msix_vector) {
			.ctrl = PCI_MSIX_ENTRY_CTRL_MASKBIT,
			.handle = ret,
		};
	}
	dev->msix_cap = cap;
	return 0;
}

/* ---- INTA ---- */

/**
 * pci_intx() - drive a function's INTA
 * @dev: function
 * @level: asserted or not
 */
void pci_intx(struct pci_dev *dev, bool level)
{
	struct pci_bus *bus = dev->vm->pci;
	unsigned int gsi = PCI_SLOT_GSI(dev->slot);
	unsigned int *holders = gsi == GSI_INTX_A ? &bus->intx_a : &bus->intx_b;

	if (pci_get16(dev, PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE)
		level = false;
	if (level == dev->intx)
		return;
	dev->intx = level;
	*holders += level ? 1 : -1;
	irq_line(dev->vm, gsi, *holders);
}

/* ---- configuration space ---- */

static void cfg_write(struct pci_dev *dev, unsigned int off, uint8_t *data,
		      unsigned int len)
{
	unsigned int i, n;

	for (i = 0; i < len; i++) {
		uint8_t mask = dev->wmask[off + i];

		dev->cfg[off + i] = (dev->cfg[off + i] & ~mask) |
				    (data[i] & mask);
	}
	for (n = 0; n < PCI_NUM_BARS; n++)
		update_bar(dev, n);
	for (n = 0; dev->msix_cap && n < dev->nvectors; n++)
		vector_update(dev, n);
	if (dev->ops && dev->ops->cfg_write)
		dev->ops->cfg_write(dev, off, len);
}

static void conf1_addr(void *arg, uint64_t off, uint8_t *data,
		       unsigned int len, bool write)
{
	struct pci_bus *bus = arg;

	if (off || len != 4)
		return;
	if (write)
		bus->addr = bus_get(data, 4) & ~3U;
	else
		bus_put(data, 4, bus->addr);
}

static void conf1_data(void *arg, uint64_t off, uint8_t *data,
		       unsigned int len, bool write)
{
	struct pci_bus *bus = arg;
	unsigned int reg = CONF1_REG(bus->addr) + off;
	struct pci_dev *dev;

	if (!(bus->addr & CONF1_ENABLE) || CONF1_BUS(bus->addr) ||
	    CONF1_FUNC(bus->addr))
		return;
	dev = bus->slot[CONF1_SLOT(bus->addr)];
	if (!dev || reg + len > PCI_CFG_SIZE)
		return;
	if (write) {
		cfg_write(dev, reg, data, len);
	} else {
		if (dev->ops && dev->ops->cfg_read)
			dev->ops->cfg_read(dev, reg, len);
		memcpy(data, dev->cfg + reg, len);
	}
}

/**
 * pci_bar_access() - an access to a BAR, from memory or through a capability
 * @dev: function
 * @bar: which BAR
 * @off: offset into it
 * @data: bytes
 * @len: 1, 2, 4 or 8
 * @write: direction
 */
void pci_bar_access(struct pci_dev *dev, unsigned int bar, uint64_t off,
		    uint8_t *data, unsigned int len, bool write)
{
	if (bar >= PCI_NUM_BARS || off >= dev->bar[bar].size ||
	    len > dev->bar[bar].size - off)
		return;
	if (dev->msix_cap && bar == dev->msix_bar)
		msix_access(dev, off, data, len, write);
	else if (dev->ops->bar)
		dev->ops->bar(dev, bar, off, data, len, write);
}

/* ---- building a function ---- */

void pci_dev_init(struct pci_dev *dev, struct vm *vm,
		  const struct pci_dev_ops *ops, uint16_t vendor,
		  uint16_t device, uint32_t class_rev, uint16_t subsystem)
{
	dev->vm = vm;
	dev->ops = ops;
	dev->cap_end = CAP_FIRST;
	pci_put16(dev, PCI_VENDOR_ID, vendor);
	pci_put16(dev, PCI_DEVICE_ID, device);
	bus_put(dev->cfg + PCI_CLASS_REVISION, 4, class_rev);
	pci_put16(dev, PCI_SUBSYSTEM_VENDOR_ID, vendor);
	pci_put16(dev, PCI_SUBSYSTEM_ID, subsystem);
	bus_put(dev->wmask + PCI_COMMAND, 2, PCI_COMMAND_MEMORY |
		PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
	dev->wmask[PCI_CACHE_LINE_SIZE] = 0xff;
	dev->wmask[PCI_INTERRUPT_LINE] = 0xff;
}

/**
 * pci_add_cap() - add a capability to the list
 * @dev: function
 * @id: which
 * @len: bytes, its two header bytes included
 *
 * Return: its offset.
 */
unsigned int pci_add_cap(struct pci_dev *dev, uint8_t id, unsigned int len)
{
	unsigned int off = dev->cap_end;

	dev->cfg[off] = id;
	if (dev->cap_last)
		dev->cfg[dev->cap_last + PCI_CAP_LIST_NEXT] = off;
	else
		dev->cfg[PCI_CAPABILITY_LIST] = off;
	pci_put16(dev, PCI_STATUS, PCI_STATUS_CAP_LIST);
	dev->cap_last = off;
	dev->cap_end = (off + len + 3) & ~3U;
	return off;
}

/**
 * pci_add_bar() - give a function a 32-bit memory BAR, with an address
 * @dev: function
 * @bar: which
 * @size: a power of two, at least PCI_BAR_MIN
 *
 * Return: 0, -ENOSPC when the window is full.
 */
int pci_add_bar(struct pci_dev *dev, unsigned int bar, uint32_t size)
{
	struct pci_bus *bus = dev->vm->pci;
	unsigned int off = PCI_BASE_ADDRESS_0 + 4 * bar;
	uint64_t addr = ((uint64_t)bus->next_bar + size - 1) & ~(uint64_t)(size - 1);

	if (addr + size > PCI_MMIO_END)
		return -ENOSPC;
	bus->next_bar = addr + size;
	dev->bar[bar].dev = dev;
	dev->bar[bar].size = size;
	bus_put(dev->cfg + off, 4, addr | PCI_BASE_ADDRESS_SPACE_MEMORY);
	/* Sizing: the low bits stay zero when all ones are written. */
	bus_put(dev->wmask + off, 4, ~(size - 1));
	return 0;
}

/**
 * pci_attach() - plug a function into the next free slot
 * @dev: complete
 *
 * Return: 0, -ENOSPC when the bus is full.
 */
int pci_attach(struct pci_dev *dev)
{
	struct pci_bus *bus = dev->vm->pci;
	unsigned int i;

	for (i = 0; i < PCI_SLOTS && bus->slot[i]; i++)
		;
	if (i == PCI_SLOTS)
		return -ENOSPC;
	bus->slot[i] = dev;
	dev->slot = i;
	if (i) {
		dev->cfg[PCI_INTERRUPT_PIN] = 1;
		dev->cfg[PCI_INTERRUPT_LINE] = PCI_SLOT_GSI(i);
	}
	return 0;
}

/**
 * pci_detach() - undo all that was done to a function, complete or not
 * @dev: function
 */
void pci_detach(struct pci_dev *dev)
{
	struct pci_bus *bus = dev->vm->pci;
	unsigned int i;

	for (i = 0; i < PCI_SLOTS; i++)
		if (bus->slot[i] == dev)
			bus->slot[i] = NULL;
	for (i = 0; i < PCI_NUM_BARS; i++)
		if (dev->bar[i].mapped)
			bus_del(&dev->vm->mmio, &dev->bar[i].range);
	for (; dev->nvectors; dev->nvectors--)
		if (!dev->ops->vector)
			irq_msi_free(dev->vm, dev->vector[dev->nvectors - 1].handle);
}

struct pci_bus *pci_create(struct vm *vm)
{
	struct pci_bus *bus = calloc(1, sizeof(*bus));

	if (!bus)
		return NULL;
	bus->vm = vm;
	bus->next_bar = PCI_MMIO_ADDR;
	bus->addr_range = (struct bus_range){ .base = PORT_PCI_ADDR, .size = 4,
					      .fn = conf1_addr, .arg = bus };
	bus->data_range = (struct bus_range){ .base = PORT_PCI_DATA, .size = 4,
					      .fn = conf1_data, .arg = bus };
	bus_add(&vm->pio, &bus->addr_range);
	bus_add(&vm->pio, &bus->data_range);
	pci_dev_init(&bus->host, vm, NULL, HOST_BRIDGE_VENDOR,
		     HOST_BRIDGE_DEVICE, HOST_BRIDGE_CLASS_REV, 0);
	bus->slot[0] = &bus->host;
	return bus;
}

void pci_destroy(struct pci_bus *bus)
{
	free(bus);
}
