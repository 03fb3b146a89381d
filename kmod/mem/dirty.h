/* SPDX-License-Identifier: GPL-2.0 */
/* lhv mem/ - noting that a page of a logged slot was written: in its bitmap, or in a ring. */
#ifndef LHV_MEM_DIRTY_H
#define LHV_MEM_DIRTY_H

#include "lhv.h"
#include "mem/slots.h"

void lhv_dirty_ring_push(struct lhv_vcpu *vcpu, const struct lhv_slot *slot, gfn_t gfn);
bool lhv_dirty_ring_has_room(struct lhv_vcpu *vcpu);

/**
 * lhv_may_dirty() - may a page of this slot be written for the vCPU?
 * @vcpu: the vCPU, whose thread this is
 * @slot: the slot
 *
 * Not when the ring is full to the brim, which takes ioctls outside of KVM_RUN.
 */
static inline bool lhv_may_dirty(struct lhv_vcpu *vcpu, const struct lhv_slot *slot)
{
	return !lhv_slot_logged(slot) || !vcpu->mem.ring.entries || lhv_dirty_ring_has_room(vcpu);
}

/**
 * lhv_mark_dirty() - a page was written
 * @vcpu: for whom; this is its thread
 * @slot: where
 * @gfn: the frame; what was written is there already
 */
static inline void lhv_mark_dirty(struct lhv_vcpu *vcpu, const struct lhv_slot *slot, gfn_t gfn)
{
	if (!lhv_slot_logged(slot))
		return;
	if (vcpu->mem.ring.entries)
		lhv_dirty_ring_push(vcpu, slot, gfn);
	else	/* Always a locked operation: it orders the bit after the data that was written. */
		set_bit(gfn - slot->base_gfn, slot->dirty);
}

#endif
