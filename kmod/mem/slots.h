/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lhv mem/ - the table of slots.
 *
 * A table never changes once it is published: writers build the next one and swap
 * it in, readers hold vm->srcu. It has two indexes, by guest frame (slots never
 * overlap there) and by host address (they may), both sorted arrays.
 */
#ifndef LHV_MEM_SLOTS_H
#define LHV_MEM_SLOTS_H

#include <linux/bitops.h>
#include <linux/kvm.h>
#include <linux/kvm_types.h>
#include <linux/types.h>

/**
 * struct lhv_slot - a range of guest-physical memory
 * @base_gfn: first guest frame
 * @npages: length, never 0
 * @hva: where it lies in the VMM
 * @flags: KVM_MEM_*
 * @id: the VMM's number for it
 * @dirty: one bit per page, then as much again as scratch space; NULL when not logged
 *
 * Immutable while published, but for the bits behind @dirty.
 */
struct lhv_slot {
	gfn_t base_gfn;
	u64 npages;
	unsigned long hva;
	u32 flags;
	u16 id;
	unsigned long *dirty;
};

struct lhv_slot_ref {
	gfn_t base_gfn;		/* copied here: a search touches no slot but the one it finds */
	struct lhv_slot *slot;
};

/**
 * struct lhv_slots - a published table
 * @n: number of slots
 * @by_gfn: sorted by guest frame
 * @by_hva: sorted by host address
 * @hva_end: hva_end[i] is the highest end of by_hva[0..i]: where to stop a backward search
 */
struct lhv_slots {
	unsigned int n;
	struct lhv_slot **by_hva;
	unsigned long *hva_end;
	struct lhv_slot_ref by_gfn[];
};

static inline unsigned long lhv_slot_hva_end(const struct lhv_slot *slot)
{
	return slot->hva + (slot->npages << PAGE_SHIFT);
}

static inline unsigned long lhv_slot_hva(const struct lhv_slot *slot, gfn_t gfn)
{
	return slot->hva + ((gfn - slot->base_gfn) << PAGE_SHIFT);
}

static inline void lhv_slot_mark_dirty(const struct lhv_slot *slot, gfn_t gfn)
{
	/* Always a locked operation: it orders the bit after the data that was written. */
	if (slot->dirty)
		set_bit(gfn - slot->base_gfn, slot->dirty);
}

/**
 * lhv_slots_find() - the slot that holds a guest frame
 * @slots: table
 * @gfn: guest frame
 * @hint: index of the last hit of the same caller; any value will do
 */
static inline struct lhv_slot *lhv_slots_find(const struct lhv_slots *slots, gfn_t gfn,
					      unsigned int *hint)
{
	unsigned int lo = *hint, hi;
	struct lhv_slot *slot;

	/* Unsigned: a frame below the base is far beyond the end. */
	if (lo < slots->n) {
		slot = slots->by_gfn[lo].slot;
		if (gfn - slot->base_gfn < slot->npages)
			return slot;
	}
	/* The first one whose base is beyond gfn; the slot, if any, is the one before it. */
	for (lo = 0, hi = slots->n; lo < hi; ) {
		unsigned int mid = lo + (hi - lo) / 2;

		if (slots->by_gfn[mid].base_gfn <= gfn)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!lo)
		return NULL;
	slot = slots->by_gfn[lo - 1].slot;
	if (gfn - slot->base_gfn >= slot->npages)
		return NULL;
	*hint = lo - 1;
	return slot;
}

struct lhv_slots *lhv_slots_build(const struct lhv_slots *old, const struct lhv_slot *remove,
				  struct lhv_slot *add);
bool lhv_slots_overlap(const struct lhv_slots *slots, gfn_t base, u64 npages,
		       const struct lhv_slot *ignore);
int lhv_slots_hva_last(const struct lhv_slots *slots, unsigned long end);

/*
 * Every slot that touches [start, end) of the VMM's addresses, highest first.
 * lhv_slots_hva_last() finds where to start, @hva_end tells where to stop.
 */
#define lhv_for_each_slot_hva(i, s, slots, start, end)				\
	for (i = lhv_slots_hva_last(slots, end);				\
	     i >= 0 && (slots)->hva_end[i] > (start) && ((s) = (slots)->by_hva[i], 1); \
	     i--)								\
		if (lhv_slot_hva_end(s) > (start))

#endif
