/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lhv mem/ - the table of slots.
 *
 * A table has two indexes, by guest frame (slots never overlap there) and by host
 * address (they may), both sorted arrays. Readers hold vm->srcu and see a table that
 * does not change. Writers have a second one just like it: they change that, swap the
 * two, wait for the readers, and change the other alike. So the usual new slot, behind
 * all others, costs no copy of the table.
 */
#ifndef LHV_MEM_SLOTS_H
#define LHV_MEM_SLOTS_H

#include <linux/bitops.h>
#include <linux/kvm.h>
#include <linux/kvm_types.h>
#include <linux/types.h>

struct lhv_mem;

/**
 * struct lhv_slot - a range of guest-physical memory
 * @base_gfn: first guest frame
 * @npages: length, never 0
 * @hva: where it lies in the VMM
 * @flags: KVM_MEM_*
 * @id: the VMM's number for it
 * @dirty: one bit per page, then as much again as scratch space; NULL when not logged, or
 *	in the vCPUs' rings
 *
 * Immutable while in a table, but for the bits behind @dirty.
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
 * struct lhv_slots - a table
 * @n: number of slots
 * @capacity: how many there is room for
 * @by_gfn: sorted by guest frame
 * @by_hva: sorted by host address
 * @hva_end: hva_end[i] is the highest end of by_hva[0..i]: where to stop a backward search
 */
struct lhv_slots {
	unsigned int n, capacity;
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

static inline bool lhv_slot_logged(const struct lhv_slot *slot)
{
	return slot->flags & KVM_MEM_LOG_DIRTY_PAGES;
}

/* Under slots_lock. NULL: there is none, or there can't be. */
struct lhv_slot *lhv_slot_by_id(struct lhv_mem *mem, u32 id);

struct lhv_slot *lhv_slots_search(const struct lhv_slots *slots, gfn_t gfn, unsigned int *hint);

/**
 * lhv_slots_find() - the slot that holds a guest frame
 * @slots: table
 * @gfn: guest frame
 * @hint: index of the last hit of the same caller; any value will do
 */
static __always_inline struct lhv_slot *lhv_slots_find(const struct lhv_slots *slots, gfn_t gfn,
						       unsigned int *hint)
{
	unsigned int i = *hint;

	if (likely(i < slots->n)) {
		struct lhv_slot *slot = slots->by_gfn[i].slot;

		/* Unsigned: a frame below the base is far beyond the end. */
		if (likely(gfn - slot->base_gfn < slot->npages))
			return slot;
	}
	return lhv_slots_search(slots, gfn, hint);
}

struct lhv_slots *lhv_slots_alloc(const struct lhv_slots *from, unsigned int capacity);
void lhv_slots_insert(struct lhv_slots *slots, struct lhv_slot *slot);
void lhv_slots_remove(struct lhv_slots *slots, const struct lhv_slot *slot);
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
