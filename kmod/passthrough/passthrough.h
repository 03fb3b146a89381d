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

/**
 * lhv_vfio_create() - KVM_CREATE_DEVICE of KVM_DEV_TYPE_VFIO
 * @vm: the VM; its lock is held
 *
 * Return: a new file, which holds a reference to @vm; -EBUSY: the VM has one; -ENOMEM.
 */
struct file *lhv_vfio_create(struct lhv_vm *vm);

#endif
