// SPDX-License-Identifier: GPL-2.0
/*
 * lhv mem/ - the dirty ring: which pages were written, as a list per vCPU.
 *
 * The ring is userspace's as much as ours: an entry is dirty when we say so, harvested
 * when userspace does, and unused again after KVM_RESET_DIRTY_RINGS, which protects the
 * page anew. Whatever userspace writes there is read once and checked; where the ring
 * begins and ends is kept outside of it.
 *
 * Every page is written on behalf of a vCPU, by its own thread, so there is one
 * producer. KVM_RUN returns KVM_EXIT_DIRTY_RING_FULL while fewer entries are free than
 * what is done between two entries can take. Ioctls outside of KVM_RUN write too, and are
 * refused when no entry is left at all: no page is ever written that is not in the log.
 */
#include <linux/mm.h>
#include <linux/vmalloc.h>

#include "lhv.h"
#include "mem/dirty.h"
#include "mem/tdp.h"

/* As KVM's, without PML. */
#define LHV_RING_RESERVED	64

static u32 ring_used(const struct lhv_dirty_ring *ring)
{
	/* Pairs with the release in reset_ring(): an entry that is free again may be filled. */
	return ring->head - smp_load_acquire(&ring->tail);
}

static struct kvm_dirty_gfn *ring_entry(const struct lhv_dirty_ring *ring, u32 index)
{
	return &ring->entries[index & (ring->size - 1)];
}

/**
 * lhv_dirty_ring_enable() - KVM_CAP_DIRTY_LOG_RING
 * @vm: the VM; its lock is held
 * @bytes: size of each vCPU's ring
 *
 * Return: 0; -EINVAL: not a power of two, too small, enabled already, or there are
 * vCPUs; -E2BIG.
 */
int lhv_dirty_ring_enable(struct lhv_vm *vm, u64 bytes)
{
	lockdep_assert_held(&vm->lock);
	if (!is_power_of_2(bytes) || bytes < PAGE_SIZE)
		return -EINVAL;
	if (bytes > LHV_RING_MAX_BYTES)
		return -E2BIG;
	if (vm->mem.ring_bytes || vm->nr_vcpus)
		return -EINVAL;
	BUILD_BUG_ON(PAGE_SIZE / sizeof(struct kvm_dirty_gfn) <= LHV_RING_RESERVED);
	/* Faults look at the vCPU's ring, of which there is none yet; the log's ioctls at this. */
	mutex_lock(&vm->mem.slots_lock);
	vm->mem.ring_bytes = bytes;
	mutex_unlock(&vm->mem.slots_lock);
	return 0;
}

/* Return: 0 or -ENOMEM. May sleep. */
int lhv_dirty_ring_create(struct lhv_vcpu *vcpu)
{
	struct lhv_dirty_ring *ring = &vcpu->mem.ring;
	u32 bytes = vcpu->vm->mem.ring_bytes;

	if (!bytes)
		return 0;
	/* Mapped by userspace page by page, so it has to consist of such. */
	ring->entries = __vmalloc(bytes, GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN);
	if (!ring->entries)
		return -ENOMEM;
	ring->size = bytes / sizeof(*ring->entries);
	return 0;
}

void lhv_dirty_ring_destroy(struct lhv_vcpu *vcpu)
{
	vfree(vcpu->mem.ring.entries);
	vcpu->mem.ring.entries = NULL;
}

/* Is that page offset of the vCPU's fd a page of its ring? */
bool lhv_dirty_ring_covers(struct lhv_vcpu *vcpu, unsigned long pgoff)
{
	return pgoff >= KVM_DIRTY_LOG_PAGE_OFFSET &&
	       pgoff - KVM_DIRTY_LOG_PAGE_OFFSET < vcpu->vm->mem.ring_bytes >> PAGE_SHIFT;
}

/**
 * lhv_dirty_ring_page() - what mmap() of the vCPU's fd shows there
 * @vcpu: the vCPU
 * @pgoff: page offset
 *
 * Return: the page, NULL when the ring does not reach there.
 */
struct page *lhv_dirty_ring_page(struct lhv_vcpu *vcpu, unsigned long pgoff)
{
	unsigned long at = (pgoff - KVM_DIRTY_LOG_PAGE_OFFSET) << PAGE_SHIFT;

	if (!lhv_dirty_ring_covers(vcpu, pgoff))
		return NULL;
	return vmalloc_to_page((void *)vcpu->mem.ring.entries + at);
}

/* May a page be written, that is, would it find its place in the log? */
bool lhv_dirty_ring_has_room(struct lhv_vcpu *vcpu)
{
	const struct lhv_dirty_ring *ring = &vcpu->mem.ring;

	return ring_used(ring) < ring->size;
}

/**
 * lhv_dirty_ring_push() - note that a page was written
 * @vcpu: the vCPU whose thread this is; it has a ring with room
 * @slot: a logged slot
 * @gfn: the frame; what was written is there already
 *
 * Either tier.
 */
void lhv_dirty_ring_push(struct lhv_vcpu *vcpu, const struct lhv_slot *slot, gfn_t gfn)
{
	struct lhv_dirty_ring *ring = &vcpu->mem.ring;
	u64 offset = gfn - slot->base_gfn;
	struct kvm_dirty_gfn *entry;

	/*
	 * The same page again, which userspace has not taken note of yet: it will, and reads the
	 * page after that. The barrier is between what was written and that it has not.
	 */
	smp_mb();
	if (ring->head != READ_ONCE(ring->tail) && ring->last_slot == slot->id &&
	    ring->last_offset == offset &&
	    READ_ONCE(ring_entry(ring, ring->head - 1)->flags) == KVM_DIRTY_GFN_F_DIRTY)
		return;
	if (WARN_ON_ONCE(ring_used(ring) >= ring->size))
		return;
	entry = ring_entry(ring, ring->head);
	WRITE_ONCE(entry->slot, slot->id);
	WRITE_ONCE(entry->offset, offset);
	ring->last_slot = slot->id;
	ring->last_offset = offset;
	WRITE_ONCE(ring->head, ring->head + 1);
	/*
	 * Pairs with userspace's acquire: it sees a dirty entry with all that is in it, and when it
	 * has taken note of one, KVM_RESET_DIRTY_RINGS counts that one.
	 */
	smp_store_release(&entry->flags, KVM_DIRTY_GFN_F_DIRTY);
	if (ring_used(ring) >= ring->size - LHV_RING_RESERVED)
		lhv_request_self(vcpu, LHV_REQ_RING_FULL);
}

/**
 * lhv_dirty_ring_full() - must userspace reset the ring before the vCPU goes on?
 * @vcpu: the vCPU, whose thread this is
 */
bool lhv_dirty_ring_full(struct lhv_vcpu *vcpu)
{
	const struct lhv_dirty_ring *ring = &vcpu->mem.ring;

	return ring_used(ring) >= ring->size - LHV_RING_RESERVED;
}

/* Up to BITS_PER_LONG pages that are protected together. */
struct reset_batch {
	u32 slot;
	u64 first;
	unsigned long mask;
};

static void reset_pages(struct lhv_mem *mem, const struct reset_batch *batch)
{
	const struct lhv_slot *slot = lhv_slot_by_id(mem, batch->slot);

	/* Since then the slot may have gone, or another have come. Or userspace made it up. */
	if (!batch->mask || !slot || batch->first >= slot->npages ||
	    __fls(batch->mask) >= slot->npages - batch->first)
		return;
	write_lock(&mem->mmu_lock);
	lhv_tdp_write_protect_mask(mem, slot->base_gfn + batch->first, batch->mask);
	write_unlock(&mem->mmu_lock);
}

static int reset_ring(struct lhv_mem *mem, struct lhv_dirty_ring *ring)
{
	struct reset_batch batch = {};
	u32 head;
	int n;

	/* Behind it is nothing that userspace can have seen as dirty. */
	head = READ_ONCE(ring->head);
	for (n = 0; ring->tail != head; n++) {
		struct kvm_dirty_gfn *entry = ring_entry(ring, ring->tail);
		u64 offset, first;
		u32 slot;

		/* Pairs with userspace's release, when it had taken note of the entry. */
		if (!(smp_load_acquire(&entry->flags) & KVM_DIRTY_GFN_F_RESET))
			break;
		slot = READ_ONCE(entry->slot);
		offset = READ_ONCE(entry->offset);
		WRITE_ONCE(entry->flags, 0);
		/* Pairs with the acquire in ring_used(): unused first, then free. */
		smp_store_release(&ring->tail, ring->tail + 1);

		first = round_down(offset, BITS_PER_LONG);
		if (batch.slot != slot || batch.first != first) {
			reset_pages(mem, &batch);
			batch = (struct reset_batch){ .slot = slot, .first = first };
			cond_resched();
		}
		batch.mask |= BIT(offset - first);
	}
	reset_pages(mem, &batch);
	return n;
}

/**
 * lhv_dirty_rings_reset() - KVM_RESET_DIRTY_RINGS
 * @vm: the VM
 *
 * Return: how many entries are unused again; -EINVAL without rings. Process context.
 */
int lhv_dirty_rings_reset(struct lhv_vm *vm)
{
	struct lhv_mem *mem = &vm->mem;
	struct lhv_vcpu *vcpu;
	int i, n = 0;

	guard(mutex)(&mem->slots_lock);
	if (!mem->ring_bytes)
		return -EINVAL;
	lhv_for_each_vcpu(i, vcpu, vm)
		n += reset_ring(mem, &vcpu->mem.ring);
	if (n)
		lhv_mem_flush(vm);
	return n;
}
