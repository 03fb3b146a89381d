/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lhv passthrough/ - what its files share: a device that lhv's PCI driver is bound to.
 *
 * Lock order: bind_lock > device_lock > lhv_devices_lock; slots_lock > lhv_devices_lock;
 *	lhv_devices_lock > setup_lock > vm->irq.lock, bars_lock;
 *	lhv_devices_lock > vm->dma_lock; slots_lock > mmap_lock > bars_lock;
 *	a vector's lock is the innermost, and raw.
 *
 * A device can be taken away at any time. So nothing that waits for the VMM or its memory
 * (slots_lock, mmap_lock, copying from user memory, pinning, the VM's SRCU) is waited
 * for with lhv_devices_lock, setup_lock or dma_lock held.
 */
#ifndef LHV_PASSTHROUGH_DEVICE_H
#define LHV_PASSTHROUGH_DEVICE_H

#include <linux/iommu.h>
#include <linux/kref.h>
#include <linux/pci.h>

#include <uapi/linux/lhv.h>

#include "lhv.h"
#include "passthrough/passthrough.h"

/* Vectors that are handed through at most: what one page of table holds, less its other half. */
#define LHV_DEVICE_VECTORS	128

/**
 * struct lhv_vector - an interrupt of the device, and the message that the guest made of it
 * @vm: whose it is, while it is requested
 * @lock: for what follows; taken by the handler
 * @msg: what the guest wrote
 * @masked: by the guest
 * @pending: one came meanwhile
 */
struct lhv_vector {
	struct lhv_vm *vm;
	raw_spinlock_t lock;
	struct kvm_msi msg;
	bool masked, pending;
};

/**
 * struct lhv_device - a device that lhv's driver has
 *
 * Legend: I immutable after probe; D lhv_devices_lock; S @setup_lock; B @bars_lock.
 */
struct lhv_device {
	struct kref refs;		/* the driver's, and each open file's */
	struct pci_dev *pdev;		/* I holds a reference */
	struct list_head link;		/* D on lhv_devices while the driver has it */
	char *former_override;		/* D what driver_override was before the bind */
	char former[32];		/* D which driver had it, for who asks */

	struct lhv_vm *vm;		/* D, S: either lock to read, both to write */
	struct list_head of_vm;		/* vm->dma_lock: vm->devices */
	bool stale;			/* D has state of a VM's, for want of a reset */
	struct iommu_group *group;	/* D while attached; holds a reference */
	struct pci_saved_state *saved;	/* D its state when it was attached */

	struct mutex setup_lock;	/* what the guest makes of it */
	int irq_type;			/* S LHV_DEVICE_IRQ_* */
	unsigned int nr_vectors;	/* S requested */
	struct lhv_vector *vectors;	/* I LHV_DEVICE_VECTORS of them */
	struct lhv_ack ack;		/* S the line's end of interrupt */
	bool intx_off;			/* A the guest has disabled its line */

	struct inode *inode;		/* I its address space has all mappings of the BARs */
	struct rw_semaphore bars_lock;
	u64 attachment;			/* B counts; a file of an earlier one is dead */
	bool reachable;			/* B the BARs may be mapped */
	u64 table_start, table_end;	/* I pages of @table_bar not to be mapped */
	int table_bar;			/* I with the MSI-X table; -1: no MSI-X */
	unsigned int table_size;	/* I vectors in it */
};

extern struct mutex lhv_devices_lock;
extern struct list_head lhv_devices;

void lhv_device_put(struct lhv_device *dev);
int lhv_device_try_reset(struct lhv_device *dev);
int lhv_device_give(struct lhv_vm *vm, struct pci_dev *pdev, bool force, struct lhv_dma **fresh,
		    char *why);

/* attach.c */
int lhv_attach_init(void);
void lhv_attach_exit(void);

/* irq.c: setup_lock is held. */
int lhv_device_set_irq(struct lhv_device *dev, const struct lhv_device_irq *arg);
int lhv_device_set_vector(struct lhv_device *dev, const struct lhv_device_vector *arg);
void lhv_device_set_intx_off(struct lhv_device *dev, bool off);
void lhv_device_look_at_intx(struct lhv_device *dev);
void lhv_device_free_irqs(struct lhv_device *dev);
void lhv_device_init_irqs(struct lhv_device *dev);

/* bars.c */
int lhv_bars_init(void);
void lhv_bars_exit(void);
int lhv_bars_setup(struct lhv_device *dev);
void lhv_bars_teardown(struct lhv_device *dev);
/* Let the BARs be mapped by files of this attachment, or take all mappings away. */
void lhv_bars_open(struct lhv_device *dev);
void lhv_bars_revoke(struct lhv_device *dev);
/* Reset the device, while nobody can reach it. */
int lhv_bars_reset(struct lhv_device *dev);

/*
 * dma.c: for attach and detach lhv_devices_lock is held, for pin and attach slots_lock. @why: what
 * a refusal says, of LHV_WHY_MAX bytes.
 */
int lhv_dma_init(void);
void lhv_dma_exit(void);
struct lhv_dma *lhv_dma_pin(struct lhv_vm *vm, const bool *given_up, char *why);
int lhv_dma_attach(struct lhv_vm *vm, struct lhv_device *dev, bool first, struct lhv_dma **fresh,
		   char *why);
struct lhv_dma *lhv_dma_detach(struct lhv_vm *vm, struct lhv_device *dev, bool last_of_group);
void lhv_dma_free(struct lhv_dma *dma);

#endif
