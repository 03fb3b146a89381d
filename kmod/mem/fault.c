// SPDX-License-Identifier: GPL-2.0
/* lhv mem/ - second-stage faults: from a guest-physical address to a mapped page. */
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include "host/kvm_abi.h"
#include "lhv.h"
#include "mem/dirty.h"
#include "mem/tdp.h"

/*
 * Has the host changed, or is it changing, what @hva stands for since @seq was read?
 * mmu_lock is held.
 */
static bool invalidated(struct lhv_mem *mem, unsigned long seq, unsigned long hva)
{
	if (mem->invalidate_count && hva >= mem->invalidate_start && hva < mem->invalidate_end)
		return true;
	return mem->invalidate_seq != seq;
}

/* Does a leaf of that level lie within the slot, and in the VMM at a like address? */
static bool fits(const struct lhv_slot *slot, gfn_t gfn, int level)
{
	gfn_t base = lhv_tdp_align(gfn, level), pages = lhv_tdp_pages(level);

	return !((slot->base_gfn ^ (slot->hva >> PAGE_SHIFT)) & (pages - 1)) &&
	       base >= slot->base_gfn && base + pages <= slot->base_gfn + slot->npages;
}

static int host_level(struct lhv_vm *vm, const struct lhv_slot *slot, gfn_t gfn)
{
	return lhv_host_mapping_level(vm->mm, lhv_slot_hva(slot, gfn));
}

/*
 * The largest leaf that may map @gfn: no larger than the host's own mapping, within the
 * slot, at an address congruent in all three; and 4 KiB for what is logged.
 */
static int max_level(struct lhv_vm *vm, const struct lhv_slot *slot, gfn_t gfn, u64 pfn)
{
	int level = lhv_slot_logged(slot) ? 1 : vm->mem.fmt->max_leaf;

	for (; level > 1; level--) {
		if (!((gfn ^ pfn) & (lhv_tdp_pages(level) - 1)) && fits(slot, gfn, level))
			break;
	}
	return level == 1 ? 1 : min(level, host_level(vm, slot, gfn));
}

static enum lhv_next fault_error(struct lhv_vcpu *vcpu, int err)
{
	vcpu->run->exit_reason = KVM_EXIT_UNKNOWN;
	vcpu->run->hw.hardware_exit_reason = 0;
	vcpu->run_errno = err;
	return LHV_EXIT_USER;
}

/* The host has no page for us. */
static enum lhv_next no_page(struct lhv_vcpu *vcpu, int err, unsigned long hva)
{
	switch (err) {
	case -EAGAIN:
		return LHV_SLEEP;
	case -EINTR:		/* a signal: the run loop sees it */
		return LHV_RESUME;
	case -EHWPOISON:	/* the VMM's signal handler may tell the guest */
		send_sig_mceerr(BUS_MCEERR_AR, (void __user *)hva, PAGE_SHIFT, current);
		return LHV_RESUME;
	default:
		return fault_error(vcpu, -EFAULT);
	}
}

/*
 * Where code must not run from large pages these are mapped without the right to, and a page
 * that is executed is mapped on its own; so are then the others around it: to put the large one
 * back for their sake would take the code away, and what touches both would never get past.
 * Arguments as lhv_tdp_map(); mmu_lock is held for reading. Return: as that; @level: the one tried.
 */
static int map_sized(struct lhv_vcpu *vcpu, const struct lhv_slot *slot, gfn_t gfn, u64 leaf,
		     u32 access, int *level)
{
	struct lhv_mem *mem = &vcpu->vm->mem;
	const struct lhv_tdp_format *fmt = mem->fmt;
	bool small_code = fmt->exec && lhv_host_no_huge_exec();
	int ret;

	*level = 1;
	if (!small_code || !(access & LHV_ACC_EXEC))
		*level = max_level(vcpu->vm, slot, gfn, lhv_tdp_entry_pfn(leaf));
	if (!small_code || *level == 1)
		return lhv_tdp_map(mem, &vcpu->mem.cache, gfn, leaf, *level);

	ret = lhv_tdp_map(mem, &vcpu->mem.cache, gfn, leaf & ~fmt->exec, *level);
	if (ret != -ESTALE)
		return ret;
	*level = 1;
	return lhv_tdp_map(mem, &vcpu->mem.cache, gfn, leaf, *level);
}

/* Map @pfn at @gfn, if it still is what the host has there. @mapped: 0, or on which level it is. */
static enum lhv_next map_page(struct lhv_vcpu *vcpu, struct lhv_slot *slot, gfn_t gfn, u32 access,
			      unsigned long seq, const struct lhv_host_pfn *pfn, int *mapped)
{
	bool write = access & LHV_ACC_WRITE;
	struct lhv_mem *mem = &vcpu->vm->mem;
	const struct lhv_tdp_format *fmt = mem->fmt;
	u64 leaf = ((u64)pfn->pfn << PAGE_SHIFT) | fmt->leaf | fmt->read | fmt->exec |
		   fmt->accessed | fmt->memtype(pfn->mmio);
	int ret, level = 1;

	if (!pfn->mmio)
		leaf |= lhv_host_enc_mask();
	if (pfn->writable) {
		leaf |= LHV_TDP_HOST_WRITABLE;
		if (write || !lhv_slot_logged(slot))
			leaf |= fmt->write | fmt->dirty;
	}

	if (!vcpu->atomic)
		read_lock(&mem->mmu_lock);
	else if (!read_trylock(&mem->mmu_lock))
		return LHV_SLEEP;
	if (!pfn->mmio && !lhv_noncoherent(vcpu->vm))
		leaf |= fmt->ignore_pat;
	if (mem->dead) {
		ret = -EFAULT;
	} else if (invalidated(mem, seq, lhv_slot_hva(slot, gfn))) {
		ret = -EAGAIN;
	} else {
		ret = map_sized(vcpu, slot, gfn, leaf, access, &level);
		if (!ret && write)
			lhv_mark_dirty(vcpu, slot, gfn);
	}
	read_unlock(&mem->mmu_lock);

	*mapped = ret ? 0 : level;
	if (!ret || ret == -EAGAIN)
		return LHV_RESUME;
	if (ret == -EFAULT)
		return fault_error(vcpu, -EFAULT);
	/* Make room, and let the guest fault again. */
	if (vcpu->atomic)
		return LHV_SLEEP;
	gfn = lhv_tdp_align(gfn, level);
	lhv_mem_zap(vcpu->vm, gfn, gfn + lhv_tdp_pages(level), true);
	return LHV_RESUME;
}

/* The page is there but for the dirty log's write protection: no need to ask the host. */
static bool unprotect(struct lhv_vcpu *vcpu, struct lhv_slot *slot, gfn_t gfn)
{
	struct lhv_mem *mem = &vcpu->vm->mem;
	bool done;

	if (!vcpu->atomic)
		read_lock(&mem->mmu_lock);
	else if (!read_trylock(&mem->mmu_lock))
		return false;
	done = lhv_tdp_make_writable(mem, gfn);
	if (done)
		lhv_mark_dirty(vcpu, slot, gfn);
	read_unlock(&mem->mmu_lock);
	return done;
}

static enum lhv_next resolve(struct lhv_vcpu *vcpu, struct lhv_slot *slot, gfn_t gfn, u32 access,
			     int *mapped)
{
	unsigned long seq, hva = lhv_slot_hva(slot, gfn);
	bool write = access & LHV_ACC_WRITE;
	struct lhv_host_pfn pfn;
	enum lhv_next next;
	int ret;

	/* On PREEMPT_RT mmu_lock is a lock that sleeps. */
	if (vcpu->atomic && !lhv_host_spins_in_atomic())
		return LHV_SLEEP;
	if (write && access & LHV_ACC_PRESENT && unprotect(vcpu, slot, gfn))
		return LHV_RESUME;
	if (vcpu->mem.cache.nr < LHV_TDP_FAULT_TABLES) {
		if (vcpu->atomic)
			return LHV_SLEEP;
		if (lhv_tdp_cache_fill(&vcpu->mem.cache))
			return fault_error(vcpu, -ENOMEM);
	}

	/* Before the host is asked: see notifier.c. */
	seq = smp_load_acquire(&vcpu->vm->mem.invalidate_seq);
	ret = lhv_host_get_pfn(hva, write, !(slot->flags & KVM_MEM_READONLY), vcpu->atomic, &pfn);
	if (ret)
		return no_page(vcpu, ret, hva);
	if (slot->flags & KVM_MEM_READONLY)
		pfn.writable = false;
	next = map_page(vcpu, slot, gfn, access, seq, &pfn, mapped);
	lhv_host_put_pfn(&pfn, pfn.writable);
	return next;
}

/* Frames that a read of @gfn would have mapped, from there to the end of the leaf; 0: again; -errno. */
static long prefault(struct lhv_vcpu *vcpu, gfn_t gfn)
{
	struct lhv_vm *vm = vcpu->vm;
	struct lhv_slot *slot;
	int idx, level = 0;
	long ret = 0;

	idx = srcu_read_lock(&vm->srcu);
	slot = lhv_slots_find(srcu_dereference(vm->mem.slots, &vm->srcu), gfn,
			      &vcpu->mem.slot_hint);
	if (!slot) {
		ret = -ENOENT;
	} else if (resolve(vcpu, slot, gfn, 0, &level) == LHV_EXIT_USER) {
		ret = vcpu->run_errno;
		vcpu->run_errno = 0;
	}
	srcu_read_unlock(&vm->srcu, idx);
	if (!ret && level)
		ret = lhv_tdp_pages(level) - (gfn & (lhv_tdp_pages(level) - 1));
	return ret;
}

/**
 * lhv_mem_prefault() - the body of KVM_PRE_FAULT_MEMORY
 * @vcpu: the vCPU, its lock held
 * @range: what is to be mapped; comes back as what is left of it
 *
 * Process context. Return: 0 when something was mapped, else -EINVAL (not aligned, empty, flags),
 * -ENOENT (no slot there), -EINTR, -EFAULT, -ENOMEM.
 */
int lhv_mem_prefault(struct lhv_vcpu *vcpu, struct kvm_pre_fault_memory *range)
{
	bool some = false;
	long n = 0;

	if (range->flags || !PAGE_ALIGNED(range->gpa) || !PAGE_ALIGNED(range->size) ||
	    range->gpa + range->size <= range->gpa)
		return -EINVAL;
	while (range->size) {
		n = signal_pending(current) ? -EINTR : prefault(vcpu, range->gpa >> PAGE_SHIFT);
		if (n < 0)
			break;
		n = min_t(u64, n << PAGE_SHIFT, range->size);
		range->gpa += n;
		range->size -= n;
		some |= n;
		cond_resched();
	}
	return some ? 0 : n;
}

struct split_ctx {
	struct lhv_vm *vm;
	const struct lhv_slot *slot;
};

/* The host may change it right away; then it is mapped small again, as it is now. */
static bool was_split(void *arg, gfn_t gfn, int level)
{
	const struct split_ctx *ctx = arg;

	return level <= ctx->vm->mem.fmt->max_leaf && fits(ctx->slot, gfn, level) &&
	       host_level(ctx->vm, ctx->slot, gfn) >= level;
}

/**
 * lhv_mem_zap_split() - the dirty log ended: drop the tables where a large leaf could be
 * @vm: the VM
 * @slot: the slot, in force, not logged any more
 *
 * All else stays, write-protected where it was: the next write puts that right.
 */
void lhv_mem_zap_split(struct lhv_vm *vm, const struct lhv_slot *slot)
{
	struct split_ctx ctx = { vm, slot };
	LIST_HEAD(detached);

	lhv_tdp_zap_tables(&vm->mem, slot->base_gfn, slot->base_gfn + slot->npages, was_split,
			   &ctx, &detached);
	lhv_mem_flush(vm);
	lhv_tdp_free_detached(&vm->mem, &detached, true);
}

static noinline enum lhv_next no_table(struct lhv_vcpu *vcpu, gpa_t gpa, u32 access)
{
	u64 data[] = { vcpu->exit.code, gpa, access };

	return lhv_internal_error(vcpu, KVM_INTERNAL_ERROR_EMULATION, ARRAY_SIZE(data), data);
}

static enum lhv_fault_kind fault_kind(u32 access)
{
	if (access & LHV_ACC_WRITE)
		return access & LHV_ACC_PRESENT ? LHV_FAULT_PROTECTED : LHV_FAULT_WRITE;
	return access & LHV_ACC_EXEC ? LHV_FAULT_EXEC : LHV_FAULT_READ;
}

enum lhv_next lhv_tdp_fault(struct lhv_vcpu *vcpu, gpa_t gpa, u32 access)
{
	struct lhv_vm *vm = vcpu->vm;
	gfn_t gfn = gpa >> PAGE_SHIFT;
	enum lhv_next next = LHV_RESUME;
	struct lhv_slot *slot;
	int idx, mapped;
	bool memory;

	if (unlikely(access & LHV_ACC_RSVD)) {
		pr_err_ratelimited("lhv: VM %llu: malformed second-stage entry for %#llx\n",
				   vm->id, gpa);
		return LHV_FATAL;
	}

	idx = srcu_read_lock(&vm->srcu);
	slot = lhv_slots_find(srcu_dereference(vm->mem.slots, &vm->srcu), gfn,
			      &vcpu->mem.slot_hint);
	memory = slot && !(access & LHV_ACC_WRITE && slot->flags & KVM_MEM_READONLY);
	if (memory)
		next = resolve(vcpu, slot, gfn, access, &mapped);
	srcu_read_unlock(&vm->srcu, idx);

	if (memory) {
		if (next != LHV_SLEEP)
			vcpu->mem.faults[fault_kind(access)]++;
		return next;
	}
	/* The guest's own page tables can't be emulated instruction by instruction. */
	if (unlikely(access & LHV_ACC_GUEST_PT))
		return no_table(vcpu, gpa, access);
	next = lhv_mmio_exec(vcpu, gpa, access);
	if (next != LHV_SLEEP)
		vcpu->mem.mmio_faults++;
	return next;
}
