/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lhv - events for whoever listens on the netlink groups. Nothing is built while
 * nobody does. Context of all: process, may sleep.
 */
#ifndef LHV_EVENT_H
#define LHV_EVENT_H

#include "manage/manage.h"

void lhv_tell_vm(struct lhv_vm *vm, enum lhv_vm_event event);
void lhv_tell_stopped(struct lhv_vm *vm, enum lhv_stop_reason reason);
void lhv_tell_renamed(struct lhv_vm *vm, const char *old);
/* The vCPU's own thread; kvm_run says why. */
void lhv_tell_crashed(struct lhv_vcpu *vcpu);
void lhv_tell_vcpu(struct lhv_vcpu *vcpu, enum lhv_vcpu_event event);

struct pci_dev;
/* netlink_device.c; @vm_id: 0 for none */
void lhv_tell_device(struct pci_dev *pdev, enum lhv_device_event event, u64 vm_id);

/* netlink.c */
int lhv_netlink_init(void);
void lhv_netlink_exit(void);

#endif
