/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One conventional PCI bus: configuration mechanism #1, type 0 functions with
 * 32-bit memory BARs, MSI-X, and INTA for guests that use no MSI-X.
 *
 * What enters: configuration and BAR accesses of the guest. What leaves: BAR
 * accesses to the device's own handler, interrupts. It must not know virtio.
 */
#ifndef VMM_PCI_H
#define VMM_PCI_H

#include "vmm.h"

#define PCI_CFG_SIZE		256U
#define PCI_NUM_BARS		6U
#define PCI_MSIX_MAX		128U	/* their table is half of the least BAR */
#define PCI_BAR_MIN		4096U

struct pci_dev;

/**
 * struct pci_dev_ops - what a device adds to its PCI function
 * @bar: an access to a BAR that isn't the MSI-X table
 * @cfg_read: configuration bytes are about to be read (optional)
 * @cfg_write: configuration bytes were written (optional)
 * @moved: a BAR was mapped, moved or unmapped (optional)
 * @vector: an MSI-X vector was changed, by one who sends the messages himself (optional)
 */
struct pci_dev_ops {
	void (*bar)(struct pci_dev *dev, unsigned int bar, uint64_t off,
		    uint8_t *data, unsigned int len, bool write);
	void (*cfg_read)(struct pci_dev *dev, unsigned int off, unsigned int len);
	void (*cfg_write)(struct pci_dev *dev, unsigned int off, unsigned int len);
	void (*moved)(struct pci_dev *dev, unsigned int bar);
	void (*vector)(struct pci_dev *dev, unsigned int n, bool masked);
};

struct pci_bar {
	struct pci_dev *dev;
	uint32_t size;
	bool mapped;
	struct bus_range range;
};

struct pci_msix_vector {
	uint32_t addr_lo, addr_hi, data, ctrl;
	bool pending;
	int handle;
};

struct pci_dev {
	struct vm *vm;
	const struct pci_dev_ops *ops;
	unsigned int slot;
	uint8_t cfg[PCI_CFG_SIZE];
	uint8_t wmask[PCI_CFG_SIZE];	/* bits that the guest may write */
	struct pci_bar bar[PCI_NUM_BARS];
	unsigned int cap_end;		/* where the next capability goes */
	unsigned int cap_last;
	unsigned int msix_cap;
	unsigned int msix_bar;
	unsigned int nvectors;
	struct pci_msix_vector vector[PCI_MSIX_MAX];
	bool intx;
};

struct pci_bus *pci_create(struct vm *vm);
void pci_destroy(struct pci_bus *bus);

void pci_dev_init(struct pci_dev *dev, struct vm *vm,
		  const struct pci_dev_ops *ops, uint16_t vendor,
		  uint16_t device, uint32_t class_rev, uint16_t subsystem);
unsigned int pci_add_cap(struct pci_dev *dev, uint8_t id, unsigned int len);
int pci_add_bar(struct pci_dev *dev, unsigned int bar, uint32_t size);
int pci_add_msix(struct pci_dev *dev, unsigned int bar, unsigned int n);
int pci_attach(struct pci_dev *dev);
void pci_detach(struct pci_dev *dev);
void pci_bar_access(struct pci_dev *dev, unsigned int bar, uint64_t off,
		    uint8_t *data, unsigned int len, bool write);
bool pci_msix_enabled(const struct pci_dev *dev);
void pci_msix_raise(struct pci_dev *dev, unsigned int vector);
void pci_intx(struct pci_dev *dev, bool level);

static inline void pci_put16(struct pci_dev *dev, unsigned int off, uint16_t v)
{
	bus_put(dev->cfg + off, 2, v);
}

static inline uint16_t pci_get16(const struct pci_dev *dev, unsigned int off)
{
	return bus_get(dev->cfg + off, 2);
}

static inline uint32_t pci_get32(const struct pci_dev *dev, unsigned int off)
{
	return bus_get(dev->cfg + off, 4);
}

#endif
