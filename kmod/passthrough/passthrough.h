/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lhv passthrough/ - devices of the host in the hands of a guest.
 *
 * What it is for: the kernel's side of VFIO, for VMMs that own a device through vfio-pci.
 * What enters: files of VFIO, from the VMM.
 * What leaves: whether a device of the VM may bypass the CPUs' caches.
 * What it must not know: guests' registers; how interrupts are injected (irqfd and routing
 *	do that) and how BARs are mapped (they are slots like any other).
 */
#ifndef LHV_PASSTHROUGH_H
#define LHV_PASSTHROUGH_H

#include "lhv.h"

struct lhv_device_address;
struct pci_dev;

/**
 * struct lhv_device_description - what is known of a PCI function
 * @driver: its driver, or empty
 * @former: the one that it had before lhv's, and will get back
 * @members: addresses of its IOMMU group
 * @blocked: of them, with their drivers: who has to be unbound first
 * @users: what of the host uses it
 * @group: number of its IOMMU group; -1: no IOMMU stands before it
 * @vm_id: the VM that has it; 0: none
 * @bound: lhv has it
 * @can_reset: it can be
 * @isolated: it can send no interrupts but its own
 */
struct lhv_device_description {
	char driver[32], former[32], members[256], blocked[256], users[128];
	int group;
	u64 vm_id;
	bool bound, can_reset, isolated;
};

#define LHV_WHY_MAX		256

#ifdef LHV_PASSTHROUGH
int lhv_passthrough_init(void);
void lhv_passthrough_exit(void);
/* Our driver: devices may come from now on, and all go back. */
int lhv_passthrough_register(void);
void lhv_passthrough_unregister(void);

/**
 * lhv_passthrough_revoke() - the VM loses its devices
 * @vm: the VM
 *
 * They do no DMA, send no interrupt and can't be reached by the guest on return, and what was
 * pinned for them is not any more. Context: process; waits for no one of the VM.
 */
void lhv_passthrough_revoke(struct lhv_vm *vm);

/* LHV_DEVICE_OPEN: the fd or -errno. */
long lhv_device_open(struct lhv_vm *vm, const struct lhv_device_address *at);

u32 lhv_devices_version(void);
void lhv_device_describe(struct pci_dev *pdev, struct lhv_device_description *d);
int lhv_device_bind(struct pci_dev *pdev, char *why);
int lhv_device_unbind(struct pci_dev *pdev, char *why);
int lhv_device_attach(struct lhv_vm *vm, struct pci_dev *pdev, bool force, char *why);
int lhv_device_detach(struct lhv_vm *vm, struct pci_dev *pdev, char *why);
#else
static inline int lhv_passthrough_init(void)
{
	return 0;
}

static inline void lhv_passthrough_exit(void)
{
}

static inline int lhv_passthrough_register(void)
{
	return 0;
}

static inline void lhv_passthrough_unregister(void)
{
}

static inline void lhv_passthrough_revoke(struct lhv_vm *vm)
{
}

static inline long lhv_device_open(struct lhv_vm *vm, const struct lhv_device_address *at)
{
	return -ENODEV;
}

static inline u32 lhv_devices_version(void)
{
	return 1;
}

static inline void lhv_device_describe(struct pci_dev *pdev, struct lhv_device_description *d)
{
	memset(d, 0, sizeof(*d));
	d->group = -1;
}

static inline int lhv_device_bind(struct pci_dev *pdev, char *why)
{
	strscpy(why, "this kernel has no IOMMU support", LHV_WHY_MAX);
	return -EOPNOTSUPP;
}

static inline int lhv_device_unbind(struct pci_dev *pdev, char *why)
{
	return lhv_device_bind(pdev, why);
}

static inline int lhv_device_attach(struct lhv_vm *vm, struct pci_dev *pdev, bool force, char *why)
{
	return lhv_device_bind(pdev, why);
}

static inline int lhv_device_detach(struct lhv_vm *vm, struct pci_dev *pdev, char *why)
{
	return lhv_device_bind(pdev, why);
}
#endif

/**
 * lhv_vfio_create() - KVM_CREATE_DEVICE of KVM_DEV_TYPE_VFIO
 * @vm: the VM; its lock is held
 *
 * Return: a new file, which holds a reference to @vm; -EBUSY: the VM has one; -ENOMEM.
 */
struct file *lhv_vfio_create(struct lhv_vm *vm);

#endif
