// SPDX-License-Identifier: GPL-2.0
/* lhv mem/ - slots: the table, and how userspace changes it. */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "lhv.h"
#include "mem/slots.h"
#include "mem/tdp.h"

/* As KVM: dirty bitmaps are indexed by int in places of the ABI. */
#define LHV_SLOT_MAX_PAGES	((1ULL << 31) - 1)
#define LHV_SLOT_FLAGS		(KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY)

static struct lhv_slots *slots_alloc(unsigned int n)
{
	struct lhv_slots *slots;
	size_t per_slot = sizeof(slots->by_gfn[0]) + sizeof(slots->by_hva[0]) +
			  sizeof(slots->hva_end[0]);

	slots = kvmalloc(sizeof(*slots) + n * per_slot, GFP_KERNEL_ACCOUNT);
	if (!slots)
		return NULL;
	slots->n = n;
	slots->by_hva = (void *)&slots->by_gfn[n];
	slots->hva_end = (void *)&slots->by_hva[n];
	return slots;
}

/**
 * lhv_slots_build() - make the next table
 * @old: the table it follows; may be NULL
 * @remove: slot of @old to leave out; may be NULL
 * @add: slot to put in; may be NULL
 *
 * Return: a table to be published and freed with kvfree(), or NULL without memory.
 */
struct lhv_slots *lhv_slots_build(const struct lhv_slots *old, const struct lhv_slot *remove,
				  struct lhv_slot *add)
{
	unsigned int i, j, n_old = old ? old->n : 0;
	struct lhv_slot *todo;
	struct lhv_slots *new;
	unsigned long end = 0;

	new = slots_alloc(n_old - !!remove + !!add);
	if (!new)
		return NULL;

	/* One merge pass per index. */
	for (i = 0, j = 0, todo = add; j < new->n; ) {
		struct lhv_slot *next = i < n_old ? old->by_gfn[i].slot : NULL;

		if (next && next == remove) {
			i++;
		} else if (todo && (!next || todo->base_gfn < next->base_gfn)) {
			new->by_gfn[j++] = (struct lhv_slot_ref){ todo->base_gfn, todo };
			todo = NULL;
		} else {
			new->by_gfn[j++] = old->by_gfn[i++];
		}
	}
	for (i = 0, j = 0, todo = add; j < new->n; j++) {
		struct lhv_slot *next = i < n_old ? old->by_hva[i] : NULL;

		if (next && next == remove)
			next = ++i < n_old ? old->by_hva[i] : NULL;
		if (todo && (!next || todo->hva < next->hva)) {
			new->by_hva[j] = todo;
			todo = NULL;
		} else {
			new->by_hva[j] = next;
			i++;
		}
		end = max(end, lhv_slot_hva_end(new->by_hva[j]));
		new->hva_end[j] = end;
	}
	return new;
}

/**
 * lhv_slots_overlap() - does a range of guest frames touch a slot?
 * @slots: table
 * @base: first guest frame
 * @npages: length
 * @ignore: a slot that does not count; may be NULL
 */
bool lhv_slots_overlap(const struct lhv_slots *slots, gfn_t base, u64 npages,
		       const struct lhv_slot *ignore)
{
	unsigned int lo = 0, hi = slots->n;

	/* The first slot that ends beyond base. */
	while (lo < hi) {
		unsigned int mid = lo + (hi - lo) / 2;
		const struct lhv_slot *s = slots->by_gfn[mid].slot;

		if (s->base_gfn + s->npages <= base)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < slots->n && slots->by_gfn[lo].base_gfn < base + npages; lo++)
		if (slots->by_gfn[lo].slot != ignore)
			return true;
	return false;
}

/**
 * lhv_slots_hva_last() - index of the last slot that begins below a host address
 * @slots: table
 * @end: host address
 *
 * Return: index into by_hva, -1 when there is none.
 */
int lhv_slots_hva_last(const struct lhv_slots *slots, unsigned long end)
{
	unsigned int lo = 0, hi = slots->n;

	while (lo < hi) {
		unsigned int mid = lo + (hi - lo) / 2;

		if (slots->by_hva[mid]->hva < end)
			lo = mid + 1;
		else
			hi = mid;
	}
	return (int)lo - 1;
}

static void slot_free(struct lhv_slot *slot)
{
	if (!slot)
		return;
	kvfree(slot->dirty);
	kfree(slot);
}

static int slot_alloc_dirty(struct lhv_mem *mem, struct lhv_slot *slot)
{
	unsigned long longs = BITS_TO_LONGS(slot->npages);

	slot->dirty = kvcalloc(2 * longs, sizeof(long), GFP_KERNEL_ACCOUNT);
	if (!slot->dirty)
		return -ENOMEM;
	if (mem->dirty_log_flags & KVM_DIRTY_LOG_INITIALLY_SET)
		bitmap_set(slot->dirty, 0, slot->npages);
	return 0;
}

/*
 * Make @next the table in force and free the one before. On return nobody uses
 * what only the old table had, so no fault can map it any more.
 */
static void slots_publish(struct lhv_vm *vm, struct lhv_slots *next)
{
	struct lhv_mem *mem = &vm->mem;
	struct lhv_slots *old = rcu_dereference_protected(mem->slots,
							  lockdep_is_held(&mem->slots_lock));

	rcu_assign_pointer(mem->slots, next);
	synchronize_srcu_expedited(&vm->srcu);
	kvfree(old);
}

static int slot_check(struct lhv_mem *mem, const struct kvm_userspace_memory_region *arg)
{
	u64 npages = arg->memory_size >> PAGE_SHIFT;

	/* The upper half numbers an address space; there is one. */
	if (arg->slot >= LHV_MAX_SLOTS || arg->flags & ~LHV_SLOT_FLAGS)
		return -EINVAL;
	if ((arg->memory_size | arg->guest_phys_addr | arg->userspace_addr) & ~PAGE_MASK)
		return -EINVAL;
	if (npages > LHV_SLOT_MAX_PAGES)
		return -EINVAL;
	if (arg->guest_phys_addr + arg->memory_size < arg->guest_phys_addr)
		return -EINVAL;
	if (!access_ok((void __user *)(unsigned long)arg->userspace_addr, arg->memory_size))
		return -EINVAL;
	if (npages && (arg->guest_phys_addr + arg->memory_size) >> PAGE_SHIFT > mem->max_gfn + 1)
		return -EINVAL;
	return 0;
}

static int slot_create(struct lhv_vm *vm, struct lhv_slot *new)
{
	struct lhv_mem *mem = &vm->mem;
	struct lhv_slots *slots = rcu_dereference_protected(mem->slots,
							    lockdep_is_held(&mem->slots_lock));
	struct lhv_slots *next;
	int ret;

	if (lhv_slots_overlap(slots, new->base_gfn, new->npages, NULL))
		return -EEXIST;
	if (new->flags & KVM_MEM_LOG_DIRTY_PAGES) {
		ret = slot_alloc_dirty(mem, new);
		if (ret)
			return ret;
	}
	next = lhv_slots_build(slots, NULL, new);
	if (!next)
		return -ENOMEM;
	ret = xa_err(xa_store(&mem->slot_ids, new->id, new, GFP_KERNEL_ACCOUNT));
	if (ret) {
		kvfree(next);
		return ret;
	}
	slots_publish(vm, next);
	return 0;
}

static int slot_delete(struct lhv_vm *vm, struct lhv_slot *old)
{
	struct lhv_mem *mem = &vm->mem;
	struct lhv_slots *slots = rcu_dereference_protected(mem->slots,
							    lockdep_is_held(&mem->slots_lock));
	struct lhv_slots *next = lhv_slots_build(slots, old, NULL);

	if (!next)
		return -ENOMEM;
	xa_erase(&mem->slot_ids, old->id);
	slots_publish(vm, next);
	lhv_mem_zap(vm, old->base_gfn, old->base_gfn + old->npages, true);
	slot_free(old);
	return 0;
}

/* Gone from the old place and unmapped there, before it appears at the new one. */
static int slot_move(struct lhv_vm *vm, struct lhv_slot *old, struct lhv_slot *new)
{
	struct lhv_mem *mem = &vm->mem;
	struct lhv_slots *slots = rcu_dereference_protected(mem->slots,
							    lockdep_is_held(&mem->slots_lock));
	struct lhv_slots *without, *with;

	if (lhv_slots_overlap(slots, new->base_gfn, new->npages, old))
		return -EEXIST;
	if ((new->flags & KVM_MEM_LOG_DIRTY_PAGES) && !old->dirty && slot_alloc_dirty(mem, new))
		return -ENOMEM;
	without = lhv_slots_build(slots, old, NULL);
	with = without ? lhv_slots_build(without, NULL, new) : NULL;
	if (!with) {
		kvfree(without);
		return -ENOMEM;
	}
	slots_publish(vm, without);
	lhv_mem_zap(vm, old->base_gfn, old->base_gfn + old->npages, true);
	if (new->flags & KVM_MEM_LOG_DIRTY_PAGES && old->dirty)
		swap(new->dirty, old->dirty);
	/* Same index, an entry is there: the store replaces it and allocates nothing. */
	xa_store(&mem->slot_ids, new->id, new, GFP_KERNEL_ACCOUNT);
	slots_publish(vm, with);
	slot_free(old);
	return 0;
}

/* The dirty log goes on or off. */
static int slot_set_flags(struct lhv_vm *vm, struct lhv_slot *old, struct lhv_slot *new)
{
	struct lhv_mem *mem = &vm->mem;
	struct lhv_slots *slots = rcu_dereference_protected(mem->slots,
							    lockdep_is_held(&mem->slots_lock));
	bool log = new->flags & KVM_MEM_LOG_DIRTY_PAGES;
	gfn_t end = new->base_gfn + new->npages;
	struct lhv_slots *next;

	if (log && slot_alloc_dirty(mem, new))
		return -ENOMEM;
	next = lhv_slots_build(slots, old, new);
	if (!next)
		return -ENOMEM;
	xa_store(&mem->slot_ids, new->id, new, GFP_KERNEL_ACCOUNT);
	slots_publish(vm, next);
	if (!log) {
		/* 4 KiB leaves go, so that large ones can come back. */
		lhv_mem_zap(vm, new->base_gfn, end, true);
	} else if (!(mem->dirty_log_flags & KVM_DIRTY_LOG_INITIALLY_SET)) {
		/* With all bits set, KVM_CLEAR_DIRTY_LOG protects what it clears. */
		lhv_tdp_write_protect(mem, new->base_gfn, end);
		lhv_mem_flush(vm);
	}
	slot_free(old);
	return 0;
}

/* 0: @new is in force; positive: it is what was there; or -errno. */
static int slot_change(struct lhv_vm *vm, struct lhv_slot *old, struct lhv_slot *new)
{
	if (!old)
		return slot_create(vm, new);
	if (old->npages != new->npages || old->hva != new->hva ||
	    (old->flags ^ new->flags) & KVM_MEM_READONLY)
		return -EINVAL;
	if (old->base_gfn != new->base_gfn)
		return slot_move(vm, old, new);
	if (old->flags != new->flags)
		return slot_set_flags(vm, old, new);
	return 1;
}

/**
 * lhv_mem_set_slot() - KVM_SET_USER_MEMORY_REGION
 * @vm: the VM
 * @arg: from userspace, unchecked
 *
 * Return: 0; -EINVAL; -EEXIST: overlaps another slot; -ENOMEM. Process context.
 */
int lhv_mem_set_slot(struct lhv_vm *vm, const struct kvm_userspace_memory_region *arg)
{
	struct lhv_mem *mem = &vm->mem;
	struct lhv_slot *old, *new;
	int ret;

	ret = slot_check(mem, arg);
	if (ret)
		return ret;

	guard(mutex)(&mem->slots_lock);
	old = xa_load(&mem->slot_ids, arg->slot);
	if (!arg->memory_size)
		return old ? slot_delete(vm, old) : -EINVAL;

	new = kzalloc(sizeof(*new), GFP_KERNEL_ACCOUNT);
	if (!new)
		return -ENOMEM;
	new->id = arg->slot;
	new->base_gfn = arg->guest_phys_addr >> PAGE_SHIFT;
	new->npages = arg->memory_size >> PAGE_SHIFT;
	new->hva = arg->userspace_addr;
	new->flags = arg->flags;

	ret = slot_change(vm, old, new);
	if (ret)
		slot_free(new);
	return min(ret, 0);
}

/**
 * lhv_mem_free_slots() - the VM's end: nobody reads the table any more
 * @mem: the VM's memory
 */
void lhv_mem_free_slots(struct lhv_mem *mem)
{
	struct lhv_slot *slot;
	unsigned long id;

	xa_for_each(&mem->slot_ids, id, slot)
		slot_free(slot);
	xa_destroy(&mem->slot_ids);
	kvfree(rcu_dereference_protected(mem->slots, true));
	RCU_INIT_POINTER(mem->slots, NULL);
}

bool lhv_gpa_is_memory(struct lhv_vm *vm, gpa_t gpa, bool write)
{
	unsigned int hint = 0;
	struct lhv_slot *slot;
	int idx = srcu_read_lock(&vm->srcu);
	bool ret;

	slot = lhv_slots_find(srcu_dereference(vm->mem.slots, &vm->srcu), gpa >> PAGE_SHIFT, &hint);
	ret = slot && !(write && slot->flags & KVM_MEM_READONLY);
	srcu_read_unlock(&vm->srcu, idx);
	return ret;
}
