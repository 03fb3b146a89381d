/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Devices of the host in the guest's PCI bus. What enters: an address on the host. What leaves:
 * ioctls of uapi/linux/lhv.h. It must not know who attached the device to the VM.
 */
#ifndef VMM_PCI_HOST_H
#define VMM_PCI_HOST_H

#include "vmm.h"

struct pci_host;

struct pci_host *pci_host_create(struct vm *vm, const char *address, unsigned int number);
void pci_host_destroy(struct pci_host *h);

#endif
