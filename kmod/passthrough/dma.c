// SPDX-License-Identifier: GPL-2.0
/*
 * lhv passthrough/ - DMA: one IOMMU domain for each VM with a device, and in it the VM's memory.
 *
 * A device can't wait for a page, so all memory is pinned and counted as locked by the VM's
 * process. The device's addresses are the guest's. A page is unpinned only after the IOMMU has
 * forgotten it: iommu_unmap() returns when no translation is cached any more.
 *
 * Slots that are not plain memory (BARs) are not mapped: devices of a VM do not reach each other.
 * Nor are read-only ones.
 */
#include <linux/mm.h>
#include <linux/pid.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "host/iommu.h"
#include "mem/slots.h"
#include "passthrough/device.h"
#include "passthrough/dma.h"

/* Pages to pin at once, with mmap_lock held for so long. */
#define PIN_BATCH	512UL

/**
 * struct lhv_dma - a VM's domain; under vm->dma_lock
 * @domain: its
 * @devices: how many use it
 * @noncoherent: some DMA does not snoop
 * @ranges: struct dma_range, what is mapped
 */
struct lhv_dma {
	struct iommu_domain *domain;
	unsigned int devices;
	bool noncoherent;
	struct list_head ranges;
};

/**
 * struct dma_range - a slot, pinned
 * @link: in lhv_dma.ranges
 * @gfn: its first guest frame
 * @npages: how many of them, all charged
 * @pinned: how many of @pages are
 * @mapped: how many of them the IOMMU has
 * @pages: they
 */
struct dma_range {
	struct list_head link;
	gfn_t gfn;
	unsigned long npages, pinned, mapped;
	struct page *pages[];
};

/* ---- the limit ---- */

/* Charge @n pages to the VM's process, as its own calls would be; negative: give them back. */
static int charge(struct lhv_vm *vm, long n)
{
	struct task_struct *task;
	bool unlimited;
	int ret;

	if (n < 0) {
		mmap_write_lock(vm->mm);
		vm->mm->locked_vm += n;
		mmap_write_unlock(vm->mm);
		return 0;
	}
	task = get_pid_task(vm->manage.owner.pid, PIDTYPE_TGID);
	if (!task)
		return -ESRCH;
	rcu_read_lock();
	unlimited = __task_cred(task)->user_ns == &init_user_ns &&
		    cap_raised(__task_cred(task)->cap_effective, CAP_IPC_LOCK);
	rcu_read_unlock();
	mmap_write_lock(vm->mm);
	ret = __account_locked_vm(vm->mm, n, true, task, unlimited);
	mmap_write_unlock(vm->mm);
	put_task_struct(task);
	return ret;
}

/* ---- ranges ---- */

static void unpin_range(struct lhv_vm *vm, struct dma_range *r)
{
	struct lhv_dma *dma = vm->dma;
	size_t size = r->mapped << PAGE_SHIFT;

	if (size)
		WARN_ON(iommu_unmap(dma->domain, r->gfn << PAGE_SHIFT, size) != size);
	unpin_user_pages_dirty_lock(r->pages, r->pinned, true);
	charge(vm, -(long)r->npages);
	list_del(&r->link);
	kvfree(r);
}

static int pin_pages(struct lhv_vm *vm, struct dma_range *r, unsigned long hva)
{
	long n;

	while (r->pinned < r->npages) {
		if (fatal_signal_pending(current))
			return -EINTR;
		mmap_read_lock(vm->mm);
		n = lhv_host_pin_remote(vm->mm, hva + (r->pinned << PAGE_SHIFT),
					min(r->npages - r->pinned, PIN_BATCH),
					r->pages + r->pinned);
		mmap_read_unlock(vm->mm);
		if (n <= 0)
			return n ?: -EFAULT;
		r->pinned += n;
		cond_resched();
	}
	return 0;
}

/* Runs of frames that follow each other are mapped in one go, so that large pages can be used. */
static int map_pages(struct lhv_dma *dma, struct dma_range *r)
{
	unsigned long n;
	int ret;

	while (r->mapped < r->npages) {
		struct page **p = r->pages + r->mapped;

		for (n = 1; r->mapped + n < r->npages; n++) {
			if (page_to_pfn(p[n]) != page_to_pfn(p[0]) + n)
				break;
		}
		ret = lhv_host_iommu_map(dma->domain, (r->gfn + r->mapped) << PAGE_SHIFT,
					 page_to_phys(p[0]), n << PAGE_SHIFT,
					 IOMMU_READ | IOMMU_WRITE | IOMMU_CACHE);
		if (ret)
			return ret;
		r->mapped += n;
		cond_resched();
	}
	return 0;
}

static bool is_memory(struct lhv_vm *vm, const struct lhv_slot *slot)
{
	struct vm_area_struct *vma;
	bool ret;

	if (slot->flags & KVM_MEM_READONLY)
		return false;
	mmap_read_lock(vm->mm);
	vma = find_vma(vm->mm, slot->hva);
	ret = !vma || vma->vm_start > slot->hva || !(vma->vm_flags & (VM_IO | VM_PFNMAP));
	mmap_read_unlock(vm->mm);
	return ret;
}

static int pin_slot(struct lhv_vm *vm, const struct lhv_slot *slot)
{
	struct dma_range *r;
	int ret;

	ret = charge(vm, slot->npages);
	if (ret)
		return ret == -ENOMEM ? -EDQUOT : ret;
	/* The size is userspace's choice: no warning. */
	r = kvzalloc(struct_size(r, pages, slot->npages), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!r) {
		charge(vm, -(long)slot->npages);
		return -ENOMEM;
	}
	r->gfn = slot->base_gfn;
	r->npages = slot->npages;
	list_add(&r->link, &vm->dma->ranges);
	ret = pin_pages(vm, r, slot->hva);
	if (!ret)
		ret = map_pages(vm->dma, r);
	if (ret)
		unpin_range(vm, r);
	return ret;
}

/* ---- where the domain must not map ---- */

static bool overlaps(u64 start, u64 length, const struct lhv_slot *slot)
{
	u64 first = slot->base_gfn << PAGE_SHIFT, size = slot->npages << PAGE_SHIFT;

	return start < first + size && first < start + length;
}

/* Addresses that do not mean memory to the device: MSI, what firmware keeps for itself. */
static int check_reserved(struct iommu_group *group, const struct lhv_slot *slot, char *why)
{
	struct iommu_resv_region *region;
	LIST_HEAD(regions);
	int ret = iommu_get_group_resv_regions(group, &regions);

	list_for_each_entry(region, &regions, list) {
		if (ret || region->type == IOMMU_RESV_DIRECT_RELAXABLE ||
		    !overlaps(region->start, region->length, slot))
			continue;
		scnprintf(why, LHV_WHY_MAX, "memory of the VM lies at %#llx, reserved for devices",
			  (u64)region->start);
		ret = -EINVAL;
	}
	while (!list_empty(&regions)) {
		region = list_first_entry(&regions, struct iommu_resv_region, list);
		list_del(&region->list);
		kfree(region);
	}
	return ret;
}

static int check_slot(struct lhv_dma *dma, struct iommu_group *group,
		      const struct lhv_slot *slot, char *why)
{
	const struct iommu_domain_geometry *g = &dma->domain->geometry;
	u64 first = slot->base_gfn << PAGE_SHIFT;

	if (first < g->aperture_start ||
	    first + (slot->npages << PAGE_SHIFT) - 1 > g->aperture_end) {
		scnprintf(why, LHV_WHY_MAX, "memory of the VM at %#llx is beyond the IOMMU's reach",
			  first);
		return -EINVAL;
	}
	return check_reserved(group, slot, why);
}

/* ---- slots that come and go ---- */

int lhv_dma_add_slot(struct lhv_vm *vm, const struct lhv_slot *slot)
{
	struct lhv_device *dev;
	char why[LHV_WHY_MAX];
	int ret;

	lockdep_assert_held(&vm->mem.slots_lock);
	guard(mutex)(&vm->dma_lock);
	if (!vm->dma || !is_memory(vm, slot))
		return 0;
	list_for_each_entry(dev, &vm->devices, of_vm) {
		ret = check_slot(vm->dma, dev->group, slot, why);
		if (ret)
			return ret;
	}
	ret = pin_slot(vm, slot);
	return ret == -EDQUOT ? -ENOMEM : ret;
}

void lhv_dma_remove_slot(struct lhv_vm *vm, const struct lhv_slot *slot)
{
	struct dma_range *r;

	lockdep_assert_held(&vm->mem.slots_lock);
	guard(mutex)(&vm->dma_lock);
	if (!vm->dma)
		return;
	list_for_each_entry(r, &vm->dma->ranges, link) {
		if (r->gfn == slot->base_gfn) {
			unpin_range(vm, r);
			return;
		}
	}
}

/* ---- devices that come and go ---- */

static void update_coherency(struct lhv_vm *vm)
{
	WRITE_ONCE(vm->noncoherent_dma, vm->dma && vm->dma->noncoherent);
}

static void free_dma(struct lhv_vm *vm)
{
	struct lhv_dma *dma = vm->dma;
	struct dma_range *r, *next;

	lockdep_assert_held(&vm->dma_lock);
	list_for_each_entry_safe(r, next, &dma->ranges, link)
		unpin_range(vm, r);
	iommu_domain_free(dma->domain);
	WRITE_ONCE(vm->dma, NULL);
	update_coherency(vm);
	kfree(dma);
}

static int create_dma(struct lhv_vm *vm, struct lhv_device *dev, char *why)
{
	struct lhv_dma *dma = kzalloc(sizeof(*dma), GFP_KERNEL_ACCOUNT);
	struct iommu_domain *domain;

	if (!dma)
		return -ENOMEM;
	domain = lhv_host_domain_alloc(&dev->pdev->dev);
	if (IS_ERR_OR_NULL(domain)) {
		kfree(dma);
		scnprintf(why, LHV_WHY_MAX, "its IOMMU has no page tables to give");
		return domain ? PTR_ERR(domain) : -EOPNOTSUPP;
	}
	dma->domain = domain;
	INIT_LIST_HEAD(&dma->ranges);
	WRITE_ONCE(vm->dma, dma);
	return 0;
}

/* All memory of the VM, for its first device. */
static int map_slots(struct lhv_vm *vm, struct lhv_device *dev, bool fill, char *why)
{
	struct lhv_slot *slot;
	unsigned long id;
	int ret;

	xa_for_each(&vm->mem.slot_ids, id, slot) {
		if (!is_memory(vm, slot))
			continue;
		ret = check_slot(vm->dma, dev->group, slot, why);
		if (!ret && fill)
			ret = pin_slot(vm, slot);
		if (ret == -EDQUOT) {
			scnprintf(why, LHV_WHY_MAX,
				  "%llu MiB to lock are over its process's RLIMIT_MEMLOCK (ulimit -l)",
				  (slot->npages << PAGE_SHIFT) >> 20);
			return -ENOMEM;
		}
		if (ret) {
			if (!*why)
				scnprintf(why, LHV_WHY_MAX,
					  "memory of the VM at %#llx can't be pinned (error %d)",
					  slot->base_gfn << PAGE_SHIFT, ret);
			return ret;
		}
	}
	return 0;
}

/**
 * lhv_dma_attach() - let a device reach the VM's memory, and nothing else
 * @vm: the VM
 * @dev: the device; its group is claimed for the VM, bus mastering is off
 * @first: no other device of its group is attached yet
 * @why: what a refusal says
 *
 * Return: 0 or -errno, and then nothing has changed.
 */
int lhv_dma_attach(struct lhv_vm *vm, struct lhv_device *dev, bool first, char *why)
{
	const struct iommu_domain_ops *ops;
	bool fill;
	int ret;

	lockdep_assert_held(&vm->mem.slots_lock);
	lockdep_assert_held(&lhv_devices_lock);
	guard(mutex)(&vm->dma_lock);
	if (vm->mem.dead)
		return -ESHUTDOWN;
	fill = !vm->dma;
	if (fill) {
		ret = create_dma(vm, dev, why);
		if (ret)
			return ret;
	}
	if (first) {
		ret = iommu_attach_group(vm->dma->domain, dev->group);
		if (ret) {
			scnprintf(why, LHV_WHY_MAX, "its IOMMU refuses the VM's memory map");
			goto err_free;
		}
	}
	ops = vm->dma->domain->ops;
	if (!ops->enforce_cache_coherency || !ops->enforce_cache_coherency(vm->dma->domain))
		vm->dma->noncoherent = true;
	ret = map_slots(vm, dev, fill, why);
	if (ret)
		goto err_detach;
	vm->dma->devices++;
	list_add(&dev->of_vm, &vm->devices);
	update_coherency(vm);
	return 0;

err_detach:
	if (first)
		iommu_detach_group(vm->dma->domain, dev->group);
err_free:
	if (fill)
		free_dma(vm);
	return ret;
}

/**
 * lhv_dma_detach() - the device reaches nothing any more
 * @vm: the VM
 * @dev: the device, bus mastering is off
 * @last_of_group: no other device of its group is attached
 *
 * Not under slots_lock: a VMM can hold that for as long as a vCPU waits for its memory.
 */
void lhv_dma_detach(struct lhv_vm *vm, struct lhv_device *dev, bool last_of_group)
{
	lockdep_assert_held(&lhv_devices_lock);
	guard(mutex)(&vm->dma_lock);
	list_del(&dev->of_vm);
	if (last_of_group)
		iommu_detach_group(vm->dma->domain, dev->group);
	if (!--vm->dma->devices)
		free_dma(vm);
}
