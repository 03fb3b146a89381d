// SPDX-License-Identifier: GPL-2.0
/*
 * lhv mem/ - the dirty log as bitmaps; dirty_ring.c has the other form of it.
 *
 * A slot that is logged has 4 KiB leaves alone, read-only until the first write. The
 * fault sets the page's bit and the write bit together under mmu_lock (read); harvesting
 * takes both away under mmu_lock (write). Writes made for the guest set the bit after
 * the data. So a write that a harvest misses is in the next one.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "lhv.h"
#include "mem/slots.h"
#include "mem/tdp.h"

/* How many words of the bitmap are done under one hold of mmu_lock. */
#define LHV_DIRTY_BATCH		256

static struct lhv_slot *logged_slot(struct lhv_mem *mem, u32 id)
{
	struct lhv_slot *slot = lhv_slot_by_id(mem, id);

	if (mem->ring_bytes)
		return ERR_PTR(-ENXIO);
	if (id >= LHV_MAX_SLOTS)
		return ERR_PTR(-EINVAL);
	return slot && slot->dirty ? slot : ERR_PTR(-ENOENT);
}

/**
 * lhv_dirty_log_enable() - KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2
 * @vm: the VM
 * @flags: KVM_DIRTY_LOG_*, from userspace
 *
 * Return: 0 or -EINVAL. Logs that are there already stay as they are.
 */
int lhv_dirty_log_enable(struct lhv_vm *vm, u64 flags)
{
	if (flags & ~(u64)LHV_DIRTY_LOG_FLAGS)
		return -EINVAL;
	/* Who never clears could do nothing with a log that begins with all set. */
	if (flags == KVM_DIRTY_LOG_INITIALLY_SET)
		return -EINVAL;
	mutex_lock(&vm->mem.slots_lock);
	vm->mem.dirty_log_flags = flags;
	mutex_unlock(&vm->mem.slots_lock);
	return 0;
}

/* Scratch space for the slot's whole bitmap. */
static unsigned long *dirty_scratch(struct lhv_slot *slot)
{
	return slot->dirty + BITS_TO_LONGS(slot->npages);
}

/*
 * Take the bits [first, first + n) (in words) from the log and write-protect their
 * pages. @want says which (NULL: all); what was found is in @found, which may be @want.
 * A task that is killed stops early: how many words were done is returned.
 */
static unsigned long harvest(struct lhv_vm *vm, struct lhv_slot *slot, unsigned long first,
			     unsigned long n, const unsigned long *want, unsigned long *found)
{
	struct lhv_mem *mem = &vm->mem;
	unsigned long i, mask;

	write_lock(&mem->mmu_lock);
	for (i = 0; i < n; i++) {
		if (i && i % LHV_DIRTY_BATCH == 0) {
			if (fatal_signal_pending(current))
				break;
			if (need_resched() || rwlock_needbreak(&mem->mmu_lock)) {
				write_unlock(&mem->mmu_lock);
				cond_resched();
				write_lock(&mem->mmu_lock);
			}
		}
		mask = want ? want[i] : ~0UL;
		if (mask && READ_ONCE(slot->dirty[first + i]))
			mask &= atomic_long_fetch_andnot(mask,
							 (atomic_long_t *)&slot->dirty[first + i]);
		else
			mask = 0;
		found[i] = mask;
		if (mask)
			lhv_tdp_write_protect_mask(mem, slot->base_gfn +
						   (first + i) * BITS_PER_LONG, mask);
	}
	write_unlock(&mem->mmu_lock);
	lhv_mem_flush(vm);
	return i;
}

/**
 * lhv_mem_get_dirty_log() - KVM_GET_DIRTY_LOG
 * @vm: the VM
 * @log: from userspace, unchecked
 *
 * Clears the log too, unless KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 is on.
 * Return: 0; -EINVAL; -ENOENT: no such slot, or not logged; -ENXIO: the log is in rings;
 * -EFAULT; -EINTR: killed. Process context.
 */
int lhv_mem_get_dirty_log(struct lhv_vm *vm, const struct kvm_dirty_log *log)
{
	struct lhv_mem *mem = &vm->mem;
	unsigned long i, n, longs, *scratch;
	struct lhv_slot *slot;

	guard(mutex)(&mem->slots_lock);
	slot = logged_slot(mem, log->slot);
	if (IS_ERR(slot))
		return PTR_ERR(slot);
	longs = BITS_TO_LONGS(slot->npages);

	if (mem->dirty_log_flags & KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE) {
		if (copy_to_user(log->dirty_bitmap, slot->dirty, longs * sizeof(long)))
			return -EFAULT;
		return 0;
	}

	scratch = dirty_scratch(slot);
	n = harvest(vm, slot, 0, longs, NULL, scratch);
	if (n == longs && !copy_to_user(log->dirty_bitmap, scratch, longs * sizeof(long)))
		return 0;

	/* Nothing gets lost: the pages may stay protected though their bits are set. */
	for (i = 0; i < n; i++)
		if (scratch[i])
			atomic_long_or(scratch[i], (atomic_long_t *)&slot->dirty[i]);
	return n == longs ? -EFAULT : -EINTR;
}

/**
 * lhv_mem_clear_dirty_log() - KVM_CLEAR_DIRTY_LOG
 * @vm: the VM
 * @log: from userspace, unchecked
 *
 * Return: 0; -EINVAL; -ENOENT: no such slot, or not logged; -ENXIO: the log is in rings;
 * -EFAULT; -EINTR: killed. Process context.
 */
int lhv_mem_clear_dirty_log(struct lhv_vm *vm, const struct kvm_clear_dirty_log *log)
{
	struct lhv_mem *mem = &vm->mem;
	unsigned long longs, *scratch;
	struct lhv_slot *slot;

	guard(mutex)(&mem->slots_lock);
	slot = logged_slot(mem, log->slot);
	if (IS_ERR(slot))
		return PTR_ERR(slot);
	if (log->first_page % BITS_PER_LONG || log->first_page > slot->npages ||
	    log->num_pages > slot->npages - log->first_page)
		return -EINVAL;
	/* Whole words, but for the end of the slot. */
	if (log->num_pages < slot->npages - log->first_page && log->num_pages % BITS_PER_LONG)
		return -EINVAL;

	longs = BITS_TO_LONGS(log->num_pages);
	scratch = dirty_scratch(slot);
	if (copy_from_user(scratch, log->dirty_bitmap, longs * sizeof(long)))
		return -EFAULT;
	if (harvest(vm, slot, log->first_page / BITS_PER_LONG, longs, scratch, scratch) < longs)
		return -EINTR;
	return 0;
}
