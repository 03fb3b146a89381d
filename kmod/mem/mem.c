// SPDX-License-Identifier: GPL-2.0
/* lhv mem/ - the life of a VM's memory, and what is done to all of it. */
#include <linux/mm.h>
#include <linux/slab.h>

#include "lhv.h"
#include "mem/slots.h"
#include "mem/tdp.h"

#define LHV_FIRST_SLOTS		31	/* room to begin with; in 1 KiB, and doubled in 2 */

/**
 * lhv_mem_flush() - return when no TLB knows more than the tables do
 * @vm: the VM
 *
 * One round of interrupts serves everything that was zapped so far, by whomever: an
 * operation that found nothing left to zap still has to wait for the one that zapped it.
 * Any context but interrupts off; no lock that a vCPU takes in the atomic tier.
 */
void lhv_mem_flush(struct lhv_vm *vm)
{
	struct lhv_mem *mem = &vm->mem;
	s64 want = atomic64_read(&mem->zap_seq);
	s64 have = atomic64_read_acquire(&mem->flush_seq);

	if (have >= want)
		return;
	lhv_request_all(vm, LHV_REQ_TLB_FLUSH, true);
	while (have < want && !atomic64_try_cmpxchg_release(&mem->flush_seq, &have, want))
		;
}

/**
 * lhv_mem_zap() - remove every translation of a range, from the TLBs too
 * @vm: the VM
 * @start: first guest frame
 * @end: guest frame behind the last
 * @may_block: may sleep
 */
void lhv_mem_zap(struct lhv_vm *vm, gfn_t start, gfn_t end, bool may_block)
{
	LIST_HEAD(detached);

	lhv_tdp_zap(&vm->mem, start, end, may_block, &detached);
	lhv_mem_flush(vm);
	lhv_tdp_free_detached(&vm->mem, &detached, may_block);
}

void lhv_mem_zap_all(struct lhv_vm *vm)
{
	/* All that the root spans, though less may be in use: tables go that lie in the range whole. */
	lhv_mem_zap(vm, 0, lhv_tdp_pages(vm->mem.root_level + 1), true);
}

/* See mem.h. The flag comes first: a fault looks at it with mmu_lock held. */
void lhv_mem_set_noncoherent(struct lhv_vm *vm, bool *which, bool on)
{
	bool before = lhv_noncoherent(vm);

	WRITE_ONCE(*which, on);
	if (vm->mem.fmt->ignore_pat && lhv_noncoherent(vm) != before)
		lhv_mem_zap_all(vm);
}

phys_addr_t lhv_mem_root(struct lhv_vm *vm)
{
	return virt_to_phys(vm->mem.root) | lhv_host_enc_mask();
}

int lhv_mem_init(struct lhv_vm *vm)
{
	struct lhv_mem *mem = &vm->mem;
	struct lhv_slots *slots;
	int i, ret;

	mutex_init(&mem->slots_lock);
	rwlock_init(&mem->mmu_lock);
	xa_init(&mem->slot_ids);
	atomic64_set(&mem->zap_seq, 0);
	atomic64_set(&mem->flush_seq, 0);
	atomic_long_set(&mem->nr_tables, 1);
	for (i = 0; i < ARRAY_SIZE(mem->nr_pages); i++)
		atomic_long_set(&mem->nr_pages[i], 0);
	mem->fmt = lhv_backend->tdp;
	mem->root_level = mem->fmt->levels ?: lhv_host_pgtable_levels();
	mem->max_gfn = (1ULL << (min_t(int, boot_cpu_data.x86_phys_bits, LHV_MAX_GPA_BITS) -
				 PAGE_SHIFT)) - 1;
	mem->max_gfn = min(mem->max_gfn, lhv_tdp_pages(mem->root_level + 1) - 1);
	mem->registered = false;
	mem->invalidate_seq = 0;
	mem->invalidate_count = 0;
	mem->leaving = NULL;
	mem->dead = false;

	mem->root = lhv_tdp_table_alloc();
	if (!mem->root)
		return -ENOMEM;
	slots = lhv_slots_alloc(NULL, LHV_FIRST_SLOTS);
	RCU_INIT_POINTER(mem->slots, slots);
	mem->spare_slots = lhv_slots_alloc(NULL, LHV_FIRST_SLOTS);
	if (!slots || !mem->spare_slots) {
		ret = -ENOMEM;
		goto err_free_slots;
	}

	mem->notifier.ops = &lhv_mem_notifier_ops;
	ret = mmu_notifier_register(&mem->notifier, vm->mm);
	if (ret)
		goto err_free_slots;
	mem->registered = true;
	return 0;

err_free_slots:
	lhv_mem_free_slots(mem);
	lhv_tdp_table_free(mem->root);
	mem->root = NULL;
	return ret;
}

void lhv_mem_destroy(struct lhv_vm *vm)
{
	struct lhv_mem *mem = &vm->mem;

	if (!mem->root)
		return;
	/* Calls release(), unless the mm's end did; and waits for every callback. */
	if (mem->registered)
		mmu_notifier_unregister(&mem->notifier, vm->mm);
	mem->registered = false;
	lhv_mem_zap_all(vm);
	WARN_ON_ONCE(atomic_long_read(&mem->nr_tables) != 1);
	lhv_mem_free_slots(mem);
	lhv_tdp_table_free(mem->root);
	mem->root = NULL;
}

void lhv_mem_vcpu_destroy(struct lhv_vcpu *vcpu)
{
	lhv_tdp_cache_drain(&vcpu->mem.cache);
	lhv_dirty_ring_destroy(vcpu);
}

void lhv_mem_give_up(struct lhv_vm *vm)
{
	write_lock(&vm->mem.mmu_lock);
	vm->mem.dead = true;
	write_unlock(&vm->mem.mmu_lock);
	lhv_mem_zap_all(vm);
}

u64 lhv_mem_slot_bytes(struct lhv_vm *vm)
{
	return READ_ONCE(vm->mem.slot_pages) << PAGE_SHIFT;
}

u64 lhv_mem_mapped_bytes(struct lhv_vm *vm)
{
	u64 bytes = 0;
	int level;

	for (level = 0; level < ARRAY_SIZE(vm->mem.nr_pages); level++)
		bytes += (u64)atomic_long_read(&vm->mem.nr_pages[level]) * lhv_tdp_pages(level + 1);
	return bytes << PAGE_SHIFT;
}

u64 lhv_mem_table_bytes(struct lhv_vm *vm)
{
	return (u64)atomic_long_read(&vm->mem.nr_tables) << PAGE_SHIFT;
}

u64 lhv_mem_dirty_pages(struct lhv_vm *vm)
{
	const struct lhv_slot *slot;
	struct lhv_slots *slots;
	u64 pages = 0;
	int i, idx;

	idx = srcu_read_lock(&vm->srcu);
	slots = srcu_dereference(vm->mem.slots, &vm->srcu);
	for (i = 0; i < slots->n; i++) {
		slot = slots->by_gfn[i].slot;
		if (slot->dirty)
			pages += bitmap_weight(slot->dirty, slot->npages);
	}
	srcu_read_unlock(&vm->srcu, idx);
	return pages;
}
