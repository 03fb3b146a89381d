// SPDX-License-Identifier: GPL-2.0
/* lhv mem/ - slots: the table, and how userspace changes it. */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "lhv.h"
#include "mem/slots.h"
#include "mem/tdp.h"
#include "passthrough/dma.h"

/* As KVM: dirty bitmaps are indexed by int in places of the ABI. */
#define LHV_SLOT_MAX_PAGES	((1ULL << 31) - 1)
#define LHV_SLOT_FLAGS		(KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY)

static void slots_copy(struct lhv_slots *to, const struct lhv_slots *from)
{
	to->n = from->n;
	memcpy(to->by_gfn, from->by_gfn, from->n * sizeof(from->by_gfn[0]));
	memcpy(to->by_hva, from->by_hva, from->n * sizeof(from->by_hva[0]));
	memcpy(to->hva_end, from->hva_end, from->n * sizeof(from->hva_end[0]));
}

/**
 * lhv_slots_alloc() - make a table
 * @from: a table whose slots it shall have; may be NULL
 * @capacity: how many slots to make room for
 *
 * Return: a table to be freed with kvfree(), or NULL without memory.
 */
struct lhv_slots *lhv_slots_alloc(const struct lhv_slots *from, unsigned int capacity)
{
	struct lhv_slots *slots;
	size_t per_slot = sizeof(slots->by_gfn[0]) + sizeof(slots->by_hva[0]) +
			  sizeof(slots->hva_end[0]);

	slots = kvmalloc(sizeof(*slots) + capacity * per_slot, GFP_KERNEL_ACCOUNT);
	if (!slots)
		return NULL;
	slots->n = 0;
	slots->capacity = capacity;
	slots->by_hva = (void *)&slots->by_gfn[capacity];
	slots->hva_end = (void *)&slots->by_hva[capacity];
	if (from)
		slots_copy(slots, from);
	return slots;
}

/* How many slots lie at lower guest frames than @gfn. */
static unsigned int below_gfn(const struct lhv_slots *slots, gfn_t gfn)
{
	unsigned int lo = 0, hi = slots->n;

	while (lo < hi) {
		unsigned int mid = lo + (hi - lo) / 2;

		if (slots->by_gfn[mid].base_gfn < gfn)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* How many slots begin at lower host addresses than @hva. */
static unsigned int below_hva(const struct lhv_slots *slots, unsigned long hva)
{
	unsigned int lo = 0, hi = slots->n;

	while (lo < hi) {
		unsigned int mid = lo + (hi - lo) / 2;

		if (slots->by_hva[mid]->hva < hva)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void update_hva_end(struct lhv_slots *slots, unsigned int i)
{
	unsigned long end = i ? slots->hva_end[i - 1] : 0;

	for (; i < slots->n; i++) {
		end = max(end, lhv_slot_hva_end(slots->by_hva[i]));
		slots->hva_end[i] = end;
	}
}

/**
 * lhv_slots_insert() - put a slot in
 * @slots: a table that nobody reads, with room for one more
 * @slot: overlaps none in it
 */
void lhv_slots_insert(struct lhv_slots *slots, struct lhv_slot *slot)
{
	unsigned int i = below_gfn(slots, slot->base_gfn);
	unsigned int j = below_hva(slots, slot->hva);

	memmove(&slots->by_gfn[i + 1], &slots->by_gfn[i],
		(slots->n - i) * sizeof(slots->by_gfn[0]));
	memmove(&slots->by_hva[j + 1], &slots->by_hva[j],
		(slots->n - j) * sizeof(slots->by_hva[0]));
	slots->by_gfn[i] = (struct lhv_slot_ref){ slot->base_gfn, slot };
	slots->by_hva[j] = slot;
	slots->n++;
	update_hva_end(slots, j);
}

/**
 * lhv_slots_remove() - take a slot out
 * @slots: a table that nobody reads
 * @slot: is in it
 */
void lhv_slots_remove(struct lhv_slots *slots, const struct lhv_slot *slot)
{
	unsigned int i = below_gfn(slots, slot->base_gfn);
	unsigned int j = below_hva(slots, slot->hva);

	while (slots->by_hva[j] != slot)	/* several may begin at the same address */
		j++;
	slots->n--;
	memmove(&slots->by_gfn[i], &slots->by_gfn[i + 1],
		(slots->n - i) * sizeof(slots->by_gfn[0]));
	memmove(&slots->by_hva[j], &slots->by_hva[j + 1],
		(slots->n - j) * sizeof(slots->by_hva[0]));
	update_hva_end(slots, j);
}

/**
 * lhv_slots_search() - lhv_slots_find() where the hint did not help
 * @slots: table
 * @gfn: guest frame
 * @hint: set when a slot was found
 */
struct lhv_slot *lhv_slots_search(const struct lhv_slots *slots, gfn_t gfn, unsigned int *hint)
{
	unsigned int lo = 0, hi = slots->n;
	struct lhv_slot *slot;

	/* The first one whose base is beyond gfn; the slot, if any, is the one before it. */
	while (lo < hi) {
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
	return (int)below_hva(slots, end) - 1;
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

	if (mem->ring_bytes)
		return 0;
	slot->dirty = kvcalloc(2 * longs, sizeof(long), GFP_KERNEL_ACCOUNT);
	if (!slot->dirty)
		return -ENOMEM;
	if (mem->dirty_log_flags & KVM_DIRTY_LOG_INITIALLY_SET)
		bitmap_set(slot->dirty, 0, slot->npages);
	return 0;
}

static struct lhv_slots *current_slots(struct lhv_mem *mem)
{
	return rcu_dereference_protected(mem->slots, lockdep_is_held(&mem->slots_lock));
}

/*
 * Room for one more slot, in the spare table and in the one that follows it: the one in
 * force can't grow while it is read. Nothing has changed when there is no memory.
 */
static int slots_reserve(struct lhv_mem *mem)
{
	struct lhv_slots *spare = mem->spare_slots, *larger[2];

	if (spare->n < spare->capacity)
		return 0;
	larger[0] = lhv_slots_alloc(spare, 2 * spare->capacity);
	larger[1] = lhv_slots_alloc(NULL, 2 * spare->capacity);
	if (!larger[0] || !larger[1]) {
		kvfree(larger[0]);
		kvfree(larger[1]);
		return -ENOMEM;
	}
	kvfree(spare);
	mem->spare_slots = larger[0];
	mem->next_spare = larger[1];
	return 0;
}

static void slots_apply(struct lhv_slots *slots, const struct lhv_slot *remove,
			struct lhv_slot *add)
{
	if (remove)
		lhv_slots_remove(slots, remove);
	if (add)
		lhv_slots_insert(slots, add);
}

/*
 * Replace @remove by @add; either may be NULL. There is room. On return nobody uses
 * @remove, so no fault can map it any more.
 */
static void slots_change(struct lhv_vm *vm, const struct lhv_slot *remove, struct lhv_slot *add)
{
	struct lhv_mem *mem = &vm->mem;
	struct lhv_slots *old = current_slots(mem);

	slots_apply(mem->spare_slots, remove, add);
	WRITE_ONCE(mem->slot_pages, mem->slot_pages + (add ? add->npages : 0) -
		   (remove ? remove->npages : 0));
	rcu_assign_pointer(mem->slots, mem->spare_slots);
	smp_store_release(&mem->slots_seq, mem->slots_seq + 1);	/* see lhv_read_code() */
	synchronize_srcu_expedited(&vm->srcu);
	if (mem->next_spare) {
		kvfree(old);
		old = mem->next_spare;
		mem->next_spare = NULL;
		slots_copy(old, mem->spare_slots);
	} else {
		slots_apply(old, remove, add);
	}
	mem->spare_slots = old;
}

static void set_leaving(struct lhv_mem *mem, const struct lhv_slot *slot)
{
	write_lock(&mem->mmu_lock);
	mem->leaving = slot;
	write_unlock(&mem->mmu_lock);
}

/*
 * Take @slot out and unmap it. Until that is done the VMM decides how long it takes, by a fault
 * that waits for it, and may free the memory meanwhile: the notifier has to find it all along.
 */
static void slot_unmap(struct lhv_vm *vm, const struct lhv_slot *slot)
{
	set_leaving(&vm->mem, slot);
	slots_change(vm, slot, NULL);
	lhv_mem_zap(vm, slot->base_gfn, slot->base_gfn + slot->npages, true);
	set_leaving(&vm->mem, NULL);
}

struct lhv_slot *lhv_slot_by_id(struct lhv_mem *mem, u32 id)
{
	lockdep_assert_held(&mem->slots_lock);
	return id < LHV_MAX_SLOTS ? xa_load(&mem->slot_ids, id) : NULL;
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
	int ret;

	if (lhv_slots_overlap(current_slots(mem), new->base_gfn, new->npages, NULL))
		return -EEXIST;
	if (lhv_slot_logged(new)) {
		ret = slot_alloc_dirty(mem, new);
		if (ret)
			return ret;
	}
	ret = slots_reserve(mem);
	if (!ret)
		ret = xa_err(xa_store(&mem->slot_ids, new->id, new, GFP_KERNEL_ACCOUNT));
	if (ret)
		return ret;
	ret = lhv_dma_add_slot(vm, new);
	if (ret) {
		xa_erase(&mem->slot_ids, new->id);
		return ret;
	}
	slots_change(vm, NULL, new);
	return 0;
}

static int slot_delete(struct lhv_vm *vm, struct lhv_slot *old)
{
	xa_erase(&vm->mem.slot_ids, old->id);
	slot_unmap(vm, old);
	lhv_dma_remove_slot(vm, old);
	slot_free(old);
	return 0;
}

/* Gone from the old place and unmapped there, before it appears at the new one. */
static int slot_move(struct lhv_vm *vm, struct lhv_slot *old, struct lhv_slot *new)
{
	struct lhv_mem *mem = &vm->mem;
	bool log = lhv_slot_logged(new);

	if (lhv_slots_overlap(current_slots(mem), new->base_gfn, new->npages, old))
		return -EEXIST;
	/* A device may be at work in it. None is attached as long as slots_lock is held. */
	if (READ_ONCE(vm->dma))
		return -EBUSY;
	if (log && !old->dirty && slot_alloc_dirty(mem, new))
		return -ENOMEM;
	slot_unmap(vm, old);
	if (log && old->dirty)
		swap(new->dirty, old->dirty);
	/* An entry is there already: the store replaces it and allocates nothing. */
	xa_store(&mem->slot_ids, new->id, new, GFP_KERNEL_ACCOUNT);
	slots_change(vm, NULL, new);
	slot_free(old);
	return 0;
}

/* The dirty log goes on or off. */
static int slot_set_flags(struct lhv_vm *vm, struct lhv_slot *old, struct lhv_slot *new)
{
	struct lhv_mem *mem = &vm->mem;
	bool log = lhv_slot_logged(new);

	if (log && slot_alloc_dirty(mem, new))
		return -ENOMEM;
	xa_store(&mem->slot_ids, new->id, new, GFP_KERNEL_ACCOUNT);
	slots_change(vm, old, new);
	if (!log) {
		/* What the log made small goes, so that it can come back large. */
		lhv_mem_zap_split(vm, new);
	} else if (mem->ring_bytes || !(mem->dirty_log_flags & KVM_DIRTY_LOG_INITIALLY_SET)) {
		/* With all bits set, KVM_CLEAR_DIRTY_LOG protects what it clears. */
		lhv_tdp_write_protect(mem, new->base_gfn, new->base_gfn + new->npages);
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
	old = lhv_slot_by_id(mem, arg->slot);
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
	kvfree(mem->spare_slots);
	mem->spare_slots = NULL;
	kvfree(mem->next_spare);
	mem->next_spare = NULL;
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
