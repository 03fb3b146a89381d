/* SPDX-License-Identifier: GPL-2.0 */
/* lhv passthrough/ - what mem/ tells of slots, for devices that reach the VM's memory. */
#ifndef LHV_PASSTHROUGH_DMA_H
#define LHV_PASSTHROUGH_DMA_H

#include "lhv.h"

struct lhv_slot;

#ifdef LHV_PASSTHROUGH
/*
 * slots_lock is held. Pins and maps a slot that is about to be used; 0 or -errno. VMs without a
 * device pay an uncontended mutex for it.
 */
int lhv_dma_add_slot(struct lhv_vm *vm, const struct lhv_slot *slot);
/* No vCPU can reach it any more. */
void lhv_dma_remove_slot(struct lhv_vm *vm, const struct lhv_slot *slot);
#else
static inline int lhv_dma_add_slot(struct lhv_vm *vm, const struct lhv_slot *slot)
{
	return 0;
}

static inline void lhv_dma_remove_slot(struct lhv_vm *vm, const struct lhv_slot *slot)
{
}
#endif

#endif
