/* SPDX-License-Identifier: GPL-2.0 */
/* lhv - what is counted, as KVM_GET_STATS_FD tells it. */
#ifndef LHV_STATS_H
#define LHV_STATS_H

#include "lhv.h"

/* KVM_GET_STATS_FD: a new fd, or -errno. @vcpu: NULL for the VM's own. Process context. */
int lhv_stats_open(struct lhv_vm *vm, struct lhv_vcpu *vcpu);

#endif
