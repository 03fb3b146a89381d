// SPDX-License-Identifier: GPL-2.0
/*
 * lhv mem/ - the MMU notifier: the host is about to change its page tables.
 *
 * Guest memory is not pinned. A fault looks up the host's page without our lock, then
 * takes mmu_lock and maps it only if no invalidation of that address is under way
 * (invalidate_count, and the hull of their ranges) and none has ended since before the
 * lookup (invalidate_seq). Both ends of an invalidation are always counted, whether or
 * not a slot lies there, so that slots may come and go in between.
 *
 * invalidate_range_start() returns when neither the tables nor any TLB has a translation
 * of the range. The change_pte() of older kernels is always made within such a bracket
 * and needs nothing here.
 */
#include <linux/mmu_notifier.h>

#include "lhv.h"
#include "mem/slots.h"
#include "mem/tdp.h"

static struct lhv_vm *notifier_vm(struct mmu_notifier *mn)
{
	return container_of(mn, struct lhv_vm, mem.notifier);
}

/* The guest frames of @slot that lie in [start, end) of the VMM, which touches the slot. */
static void slot_range(const struct lhv_slot *slot, unsigned long start, unsigned long end,
		       gfn_t *first, gfn_t *last)
{
	start = max(start, slot->hva);
	end = min(end, lhv_slot_hva_end(slot));
	*first = slot->base_gfn + ((start - slot->hva) >> PAGE_SHIFT);
	*last = slot->base_gfn + ((end - slot->hva + PAGE_SIZE - 1) >> PAGE_SHIFT);
}

/* The slot that is in no table any more, but may still be mapped: see slot_unmap(). */
static bool leaving_range(struct lhv_mem *mem, unsigned long start, unsigned long end,
			  gfn_t *first, gfn_t *last)
{
	const struct lhv_slot *slot;
	bool touched;

	read_lock(&mem->mmu_lock);
	slot = mem->leaving;
	touched = slot && slot->hva < end && lhv_slot_hva_end(slot) > start;
	if (touched)
		slot_range(slot, start, end, first, last);
	read_unlock(&mem->mmu_lock);
	return touched;
}

static int invalidate_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	bool may_block = mmu_notifier_range_blockable(range);
	struct lhv_vm *vm = notifier_vm(mn);
	struct lhv_mem *mem = &vm->mem;
	struct lhv_slots *slots;
	struct lhv_slot *slot;
	LIST_HEAD(detached);
	gfn_t first, last;
	int i, idx;

	write_lock(&mem->mmu_lock);
	if (mem->invalidate_count++) {
		mem->invalidate_start = min(mem->invalidate_start, range->start);
		mem->invalidate_end = max(mem->invalidate_end, range->end);
	} else {
		mem->invalidate_start = range->start;
		mem->invalidate_end = range->end;
	}
	write_unlock(&mem->mmu_lock);

	idx = srcu_read_lock(&vm->srcu);
	slots = srcu_dereference(mem->slots, &vm->srcu);
	lhv_for_each_slot_hva(i, slot, slots, range->start, range->end) {
		slot_range(slot, range->start, range->end, &first, &last);
		lhv_tdp_zap(mem, first, last, may_block, &detached);
	}
	srcu_read_unlock(&vm->srcu, idx);
	/* After the table was read: a slot is one of the two until it is unmapped. */
	if (leaving_range(mem, range->start, range->end, &first, &last))
		lhv_tdp_zap(mem, first, last, may_block, &detached);

	lhv_mem_flush(vm);
	lhv_tdp_free_detached(mem, &detached, may_block);
	return 0;
}

static void invalidate_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct lhv_mem *mem = &notifier_vm(mn)->mem;

	write_lock(&mem->mmu_lock);
	/* Pairs with the acquire in the fault: who sees this sees the host's new entries. */
	smp_store_release(&mem->invalidate_seq, mem->invalidate_seq + 1);
	if (!WARN_ON_ONCE(!mem->invalidate_count))
		mem->invalidate_count--;
	write_unlock(&mem->mmu_lock);
}

/* The host's page-table lock may be held: nothing sleeps here. */
static bool age(struct mmu_notifier *mn, unsigned long start, unsigned long end, bool clear)
{
	struct lhv_vm *vm = notifier_vm(mn);
	struct lhv_mem *mem = &vm->mem;
	struct lhv_slots *slots;
	struct lhv_slot *slot;
	bool young = false;
	gfn_t first, last;
	int i, idx;

	idx = srcu_read_lock(&vm->srcu);
	slots = srcu_dereference(mem->slots, &vm->srcu);
	lhv_for_each_slot_hva(i, slot, slots, start, end) {
		slot_range(slot, start, end, &first, &last);
		read_lock(&mem->mmu_lock);
		young |= lhv_tdp_age(mem, first, last, clear);
		read_unlock(&mem->mmu_lock);
	}
	srcu_read_unlock(&vm->srcu, idx);
	return young;
}

static lhv_host_young_t clear_flush_young(struct mmu_notifier *mn, struct mm_struct *mm,
					  unsigned long start, unsigned long end)
{
	return age(mn, start, end, true);
}

static lhv_host_young_t clear_young(struct mmu_notifier *mn, struct mm_struct *mm,
				    unsigned long start, unsigned long end)
{
	return age(mn, start, end, true);
}

static lhv_host_young_t test_young(struct mmu_notifier *mn, struct mm_struct *mm,
				   unsigned long address)
{
	return age(mn, address, address + PAGE_SIZE, false);
}

/* The mm ends (or the VM does): its pages are about to be freed with no further notice. */
static void release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct lhv_vm *vm = notifier_vm(mn);

	lhv_mem_give_up(vm);
	lhv_vm_owner_gone(vm);
}

const struct mmu_notifier_ops lhv_mem_notifier_ops = {
	.invalidate_range_start = invalidate_start,
	.invalidate_range_end = invalidate_end,
	.clear_flush_young = clear_flush_young,
	.clear_young = clear_young,
	.test_young = test_young,
	.release = release,
};
