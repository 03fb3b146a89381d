// SPDX-License-Identifier: GPL-2.0
/*
 * lhv passthrough/ - DMA: one IOMMU domain for each VM with a device, and in it the VM's memory.
 *
 * A device can't wait for a page, so all memory is pinned and counted as locked by the VM's
 * process. The device's addresses are the guest's. A page is unpinned only after the IOMMU has
 * forgotten it: iommu_unmap() returns when no translation is cached any more.
 *
 * Pinning and counting wait for the VMM, so they are done under slots_lock alone; then the pages
 * are mapped under lhv_devices_lock or dma_lock. On the way back a device is taken off the domain
 * under those, and what was its last one's is unmapped and unpinned without.
 *
 * Slots that are not plain memory (BARs) are not mapped: devices of a VM do not reach each other.
 * Nor are read-only ones.
 */
#include <linux/mm.h>
#include <linux/pid.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "host/iommu.h"
#include "mem/slots.h"
#include "passthrough/device.h"
#include "passthrough/dma.h"

/* Pages to pin at once, with mmap_lock held for so long; to unpin, before others get the CPU. */
#define PIN_BATCH	512UL
/* Of one struct dma_range: its list of pages takes 2 MiB then. */
#define RANGE_PAGES	(SZ_1G >> PAGE_SHIFT)

/**
 * struct lhv_dma - a VM's domain and what is in it; vm->dma_lock, once it is vm->dma
 * @domain: its; NULL: nothing is mapped yet
 * @mm: whose memory is pinned and charged; holds a reference
 * @devices: how many use it
 * @noncoherent: some DMA does not snoop
 * @ranges: struct dma_range
 * @charged: pages to give back, once none is pinned
 * @uncharge: does that where mmap_lock is taken
 */
struct lhv_dma {
	struct iommu_domain *domain;
	struct mm_struct *mm;
	unsigned int devices;
	bool noncoherent;
	struct list_head ranges;
	unsigned long charged;
	struct work_struct uncharge;
};

/**
 * struct dma_range - a part of a slot, pinned
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

/* Who takes a device away does not wait for mmap_lock, which a VMM can hold back. */
static struct workqueue_struct *uncharge_wq;

int lhv_dma_init(void)
{
	uncharge_wq = alloc_workqueue("lhv-uncharge", WQ_UNBOUND, 0);
	return uncharge_wq ? 0 : -ENOMEM;
}

void lhv_dma_exit(void)
{
	destroy_workqueue(uncharge_wq);
}

/* ---- the limit ---- */

/* Charge pages to the VM's process, as its own calls would be. */
static int charge(struct lhv_vm *vm, unsigned long npages)
{
	struct task_struct *task;
	bool unlimited;
	int ret;

	task = get_pid_task(vm->manage.owner.pid, PIDTYPE_TGID);
	if (!task)
		return -ESRCH;
	rcu_read_lock();
	unlimited = __task_cred(task)->user_ns == &init_user_ns &&
		    cap_raised(__task_cred(task)->cap_effective, CAP_IPC_LOCK);
	rcu_read_unlock();
	ret = mmap_write_lock_killable(vm->mm);
	if (!ret) {
		ret = __account_locked_vm(vm->mm, npages, true, task, unlimited);
		mmap_write_unlock(vm->mm);
	}
	put_task_struct(task);
	return ret == -ENOMEM ? -EDQUOT : ret;
}

static void uncharge(struct mm_struct *mm, unsigned long npages)
{
	if (!npages)
		return;
	mmap_write_lock(mm);
	mm->locked_vm -= npages;
	mmap_write_unlock(mm);
}

static void say_limit(struct lhv_vm *vm, unsigned long npages, char *why)
{
	struct task_struct *task = get_pid_task(vm->manage.owner.pid, PIDTYPE_TGID);

	if (!task)
		return;
	scnprintf(why, LHV_WHY_MAX,
		  "%lu KiB to lock, with %lu locked already, are over process %d's RLIMIT_MEMLOCK of %lu KiB: raise it (ulimit -l, LimitMEMLOCK=)",
		  npages << (PAGE_SHIFT - 10), READ_ONCE(vm->mm->locked_vm) << (PAGE_SHIFT - 10),
		  pid_nr(vm->manage.owner.pid), task_rlimit(task, RLIMIT_MEMLOCK) >> 10);
	put_task_struct(task);
}

/* ---- ranges ---- */

/* No page of them is mapped. How many are still charged. */
static unsigned long unpin_ranges(struct list_head *ranges)
{
	struct dma_range *r, *next;
	unsigned long n, charged = 0;

	list_for_each_entry_safe(r, next, ranges, link) {
		while (r->pinned) {
			n = min(r->pinned, PIN_BATCH);
			r->pinned -= n;
			unpin_user_pages_dirty_lock(r->pages + r->pinned, n, true);
			cond_resched();
		}
		charged += r->npages;
		list_del(&r->link);
		kvfree(r);
	}
	return charged;
}

static int pin_pages(struct lhv_vm *vm, struct dma_range *r, unsigned long hva,
		     const bool *given_up)
{
	long n;

	while (r->pinned < r->npages) {
		if (fatal_signal_pending(current) || (given_up && READ_ONCE(*given_up)))
			return -EINTR;
		n = mmap_read_lock_killable(vm->mm);
		if (n)
			return n;
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

static int pin_range(struct lhv_vm *vm, const struct lhv_slot *slot, unsigned long first,
		     struct list_head *to, const bool *given_up)
{
	unsigned long n = min_t(unsigned long, slot->npages - first, RANGE_PAGES);
	struct dma_range *r;
	int ret;

	ret = charge(vm, n);
	if (ret)
		return ret;
	/* The size is userspace's choice: no warning. */
	r = kvzalloc(struct_size(r, pages, n), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!r) {
		uncharge(vm->mm, n);
		return -ENOMEM;
	}
	r->gfn = slot->base_gfn + first;
	r->npages = n;
	list_add(&r->link, to);
	return pin_pages(vm, r, slot->hva + (first << PAGE_SHIFT), given_up);
}

/*
 * Its pages are put on @to; some of them also on failure. Waits for the VMM's memory, so without
 * any lock that somebody needs who takes a device away. @given_up: looked at between two batches;
 * NULL: it may take for ever.
 */
static int pin_slot(struct lhv_vm *vm, const struct lhv_slot *slot, struct list_head *to,
		    const bool *given_up)
{
	unsigned long first;
	int ret = 0;

	lockdep_assert_held(&vm->mem.slots_lock);
	for (first = 0; !ret && first < slot->npages; first += RANGE_PAGES)
		ret = pin_range(vm, slot, first, to, given_up);
	return ret;
}

/* Runs of frames that follow each other are mapped in one go, so that large pages can be used. */
static int map_range(struct iommu_domain *domain, struct dma_range *r)
{
	unsigned long n;
	int ret;

	while (r->mapped < r->npages) {
		struct page **p = r->pages + r->mapped;

		for (n = 1; r->mapped + n < r->npages; n++) {
			if (page_to_pfn(p[n]) != page_to_pfn(p[0]) + n)
				break;
		}
		ret = lhv_host_iommu_map(domain, (r->gfn + r->mapped) << PAGE_SHIFT,
					 page_to_phys(p[0]), n << PAGE_SHIFT,
					 IOMMU_READ | IOMMU_WRITE | IOMMU_CACHE);
		if (ret)
			return ret;
		r->mapped += n;
		cond_resched();
	}
	return 0;
}

static void unmap_range(struct iommu_domain *domain, struct dma_range *r)
{
	size_t size = r->mapped << PAGE_SHIFT;

	if (size)
		WARN_ON(iommu_unmap(domain, r->gfn << PAGE_SHIFT, size) != size);
	r->mapped = 0;
}

static void unmap_ranges(struct iommu_domain *domain, struct list_head *ranges)
{
	struct dma_range *r;

	list_for_each_entry(r, ranges, link)
		unmap_range(domain, r);
}

/* All or none. */
static int map_ranges(struct iommu_domain *domain, struct list_head *ranges)
{
	struct dma_range *r;
	int ret;

	list_for_each_entry(r, ranges, link) {
		ret = map_range(domain, r);
		if (ret) {
			unmap_ranges(domain, ranges);
			return ret;
		}
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

/* ---- where the domain must not map ---- */

static bool overlaps(u64 start, u64 length, gfn_t gfn, u64 npages)
{
	u64 first = gfn << PAGE_SHIFT, size = npages << PAGE_SHIFT;

	return start < first + size && first < start + length;
}

/* Addresses that do not mean memory to the device: MSI, what firmware keeps for itself. */
static int check_reserved(struct iommu_group *group, gfn_t gfn, u64 npages, char *why)
{
	struct iommu_resv_region *region;
	LIST_HEAD(regions);
	int ret = iommu_get_group_resv_regions(group, &regions);

	list_for_each_entry(region, &regions, list) {
		if (ret || region->type == IOMMU_RESV_DIRECT_RELAXABLE ||
		    !overlaps(region->start, region->length, gfn, npages))
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

static int check_place(struct lhv_dma *dma, struct iommu_group *group, gfn_t gfn, u64 npages,
		       char *why)
{
	const struct iommu_domain_geometry *g = &dma->domain->geometry;
	u64 first = gfn << PAGE_SHIFT;

	if (first < g->aperture_start || first + (npages << PAGE_SHIFT) - 1 > g->aperture_end) {
		scnprintf(why, LHV_WHY_MAX, "memory of the VM at %#llx is beyond the IOMMU's reach",
			  first);
		return -EINVAL;
	}
	return check_reserved(group, gfn, npages, why);
}

/* For all devices of the VM; no others come while slots_lock is held. */
static int check_for_devices(struct lhv_vm *vm, const struct lhv_slot *slot, char *why)
{
	struct lhv_device *dev;
	int ret;

	guard(mutex)(&vm->dma_lock);
	if (!vm->dma)
		return 0;
	list_for_each_entry(dev, &vm->devices, of_vm) {
		ret = check_place(vm->dma, dev->group, slot->base_gfn, slot->npages, why);
		if (ret)
			return ret;
	}
	return 0;
}

/* ---- slots that come and go ---- */

static int pin_and_map(struct lhv_vm *vm, const struct lhv_slot *slot, char *why)
{
	LIST_HEAD(ranges);
	int ret;

	ret = check_for_devices(vm, slot, why);
	if (ret)
		return ret;
	ret = pin_slot(vm, slot, &ranges, NULL);
	if (!ret) {
		guard(mutex)(&vm->dma_lock);
		/* It may have lost its devices meanwhile. */
		if (vm->dma)
			ret = map_ranges(vm->dma->domain, &ranges);
		if (vm->dma && !ret)
			list_splice_init(&ranges, &vm->dma->ranges);
	}
	uncharge(vm->mm, unpin_ranges(&ranges));
	if (ret == -EDQUOT) {
		say_limit(vm, slot->npages, why);
		return -ENOMEM;
	}
	return ret;
}

int lhv_dma_add_slot(struct lhv_vm *vm, const struct lhv_slot *slot)
{
	char why[LHV_WHY_MAX] = "";
	int ret;

	lockdep_assert_held(&vm->mem.slots_lock);
	/* There is none before slots_lock is released, either. */
	if (!READ_ONCE(vm->dma) || !is_memory(vm, slot))
		return 0;
	ret = pin_and_map(vm, slot, why);
	if (ret)
		pr_warn_ratelimited("lhv: VM %llu has a device, and its slot of %llu KiB at %#llx can't be reached by it (error %d): %s\n",
				    vm->id, slot->npages << (PAGE_SHIFT - 10),
				    slot->base_gfn << PAGE_SHIFT, ret,
				    *why ? why : "its memory can't be pinned or mapped");
	return ret;
}

void lhv_dma_remove_slot(struct lhv_vm *vm, const struct lhv_slot *slot)
{
	struct dma_range *r, *next;
	LIST_HEAD(gone);

	lockdep_assert_held(&vm->mem.slots_lock);
	if (!READ_ONCE(vm->dma))
		return;
	scoped_guard(mutex, &vm->dma_lock) {
		if (!vm->dma)
			return;
		list_for_each_entry_safe(r, next, &vm->dma->ranges, link) {
			if (r->gfn < slot->base_gfn || r->gfn >= slot->base_gfn + slot->npages)
				continue;
			unmap_range(vm->dma->domain, r);
			list_move(&r->link, &gone);
		}
	}
	uncharge(vm->mm, unpin_ranges(&gone));
}

/* ---- all memory of the VM ---- */

static void finish(struct lhv_dma *dma)
{
	mmdrop(dma->mm);
	kfree(dma);
}

static void uncharge_later(struct work_struct *work)
{
	struct lhv_dma *dma = container_of(work, struct lhv_dma, uncharge);

	uncharge(dma->mm, dma->charged);
	finish(dma);
}

/**
 * lhv_dma_free() - what was pinned is not any more
 * @dma: of lhv_dma_pin() or lhv_dma_detach(); NULL or an error: nothing happens
 *
 * Outside of lhv_devices_lock: it may take long. Waits for nobody; the pages count as locked a bit
 * longer if the VMM holds its mmap_lock.
 */
void lhv_dma_free(struct lhv_dma *dma)
{
	if (IS_ERR_OR_NULL(dma))
		return;
	unmap_ranges(dma->domain, &dma->ranges);
	if (dma->domain)
		iommu_domain_free(dma->domain);
	dma->charged = unpin_ranges(&dma->ranges);
	if (lhv_host_try_uncharge(dma->mm, dma->charged))
		finish(dma);
	else
		queue_work(uncharge_wq, &dma->uncharge);
}

static int pin_slots(struct lhv_vm *vm, struct lhv_dma *dma, const bool *given_up,
		     unsigned long *npages, char *why)
{
	struct lhv_slot *slot;
	unsigned long id;
	int ret = 0;

	xa_for_each(&vm->mem.slot_ids, id, slot) {
		if (!is_memory(vm, slot))
			continue;
		*npages += slot->npages;
		/* Over the limit: go on counting, to say what it would take. */
		if (ret)
			continue;
		ret = pin_slot(vm, slot, &dma->ranges, given_up);
		if (!ret || ret == -EDQUOT)
			continue;
		scnprintf(why, LHV_WHY_MAX, "memory of the VM at %#llx can't be pinned (error %d)",
			  slot->base_gfn << PAGE_SHIFT, ret);
		return ret;
	}
	return ret;
}

/**
 * lhv_dma_pin() - pin all memory of a VM
 * @vm: the VM
 * @given_up: becomes true when nobody is interested any more; looked at between two batches
 * @why: what a refusal says
 *
 * Waits for the VMM's memory, and for its mmap_lock: under slots_lock alone. For a page that never
 * comes (FUSE) for ever.
 *
 * Return: for lhv_dma_attach(), or to be freed; or ERR_PTR.
 */
struct lhv_dma *lhv_dma_pin(struct lhv_vm *vm, const bool *given_up, char *why)
{
	struct lhv_dma *dma = kzalloc(sizeof(*dma), GFP_KERNEL_ACCOUNT);
	unsigned long npages = 0;
	int ret;

	lockdep_assert_held(&vm->mem.slots_lock);
	if (!dma) {
		strscpy(why, "the host is short of memory", LHV_WHY_MAX);
		return ERR_PTR(-ENOMEM);
	}
	mmgrab(vm->mm);
	dma->mm = vm->mm;
	INIT_LIST_HEAD(&dma->ranges);
	INIT_WORK(&dma->uncharge, uncharge_later);
	ret = pin_slots(vm, dma, given_up, &npages, why);
	if (!ret)
		return dma;
	lhv_dma_free(dma);
	if (ret == -EDQUOT) {
		say_limit(vm, npages, why);
		ret = -ENOMEM;
	}
	return ERR_PTR(ret);
}

/* ---- devices that come and go ---- */

static void update_coherency(struct lhv_vm *vm)
{
	lhv_mem_set_noncoherent(vm, &vm->noncoherent_dma, vm->dma && vm->dma->noncoherent);
}

static int create_domain(struct lhv_dma *dma, struct lhv_device *dev, char *why)
{
	struct iommu_domain *domain = lhv_host_domain_alloc(&dev->pdev->dev);
	int ret;

	if (!IS_ERR_OR_NULL(domain)) {
		dma->domain = domain;
		return 0;
	}
	ret = domain ? PTR_ERR(domain) : -EOPNOTSUPP;
	scnprintf(why, LHV_WHY_MAX,
		  "its IOMMU has no page tables to give (error %d)", ret);
	return ret;
}

/*
 * What the VM has must be where the device may have it, and the device is to have it. What that is
 * was seen when it was pinned: to look again would be to wait for mmap_lock.
 */
static int fill(struct lhv_vm *vm, struct lhv_dma *dma, struct lhv_device *dev, char *why)
{
	struct dma_range *r;
	int ret;

	list_for_each_entry(r, &dma->ranges, link) {
		ret = check_place(dma, dev->group, r->gfn, r->npages, why);
		if (ret)
			return ret;
	}
	if (dma == vm->dma)
		return 0;
	ret = map_ranges(dma->domain, &dma->ranges);
	if (ret)
		scnprintf(why, LHV_WHY_MAX, "its IOMMU can't map the VM's memory (error %d)", ret);
	return ret;
}

/**
 * lhv_dma_attach() - let a device reach the VM's memory, and nothing else
 * @vm: the VM
 * @dev: the device; its group is claimed for the VM, bus mastering is off
 * @first: no other device of its group is attached yet
 * @fresh: lhv_dma_pin()'s, if the VM has no other device; NULL afterwards if that was taken
 * @why: what a refusal says
 *
 * Return: 0 or -errno, and then nothing has changed.
 */
int lhv_dma_attach(struct lhv_vm *vm, struct lhv_device *dev, bool first, struct lhv_dma **fresh,
		   char *why)
{
	struct lhv_dma *dma = vm->dma ?: *fresh;
	const struct iommu_domain_ops *ops;
	int ret;

	lockdep_assert_held(&vm->mem.slots_lock);
	lockdep_assert_held(&lhv_devices_lock);
	guard(mutex)(&vm->dma_lock);
	if (vm->mem.dead) {
		strscpy(why, "the memory of this VM is gone: its process ends", LHV_WHY_MAX);
		return -ESHUTDOWN;
	}
	if (!dma->domain) {
		ret = create_domain(dma, dev, why);
		if (ret)
			return ret;
	}
	if (first) {
		ret = iommu_attach_group(dma->domain, dev->group);
		if (ret) {
			scnprintf(why, LHV_WHY_MAX,
				  dma == vm->dma ?
				  "it can't share a memory map with the VM's other devices (error %d): give it to a VM of its own" :
				  "its IOMMU refuses the VM's memory map (error %d)", ret);
			return ret;
		}
	}
	/* Before anything is mapped; a domain that snoops takes no device that can't. */
	ops = dma->domain->ops;
	if (dma != vm->dma &&
	    (!ops->enforce_cache_coherency || !ops->enforce_cache_coherency(dma->domain)))
		dma->noncoherent = true;
	ret = fill(vm, dma, dev, why);
	if (ret) {
		if (first)
			iommu_detach_group(dma->domain, dev->group);
		return ret;
	}
	if (dma == *fresh) {
		WRITE_ONCE(vm->dma, dma);
		*fresh = NULL;
	}
	dma->devices++;
	list_add(&dev->of_vm, &vm->devices);
	update_coherency(vm);
	return 0;
}

/**
 * lhv_dma_detach() - the device reaches nothing any more
 * @vm: the VM
 * @dev: the device, bus mastering is off
 * @last_of_group: no other device of its group is attached
 *
 * Not under slots_lock: a VMM can hold that for as long as a vCPU waits for its memory.
 *
 * Return: NULL, or after the VM's last device what is still pinned: for lhv_dma_free().
 */
struct lhv_dma *lhv_dma_detach(struct lhv_vm *vm, struct lhv_device *dev, bool last_of_group)
{
	struct lhv_dma *dma = vm->dma;

	lockdep_assert_held(&lhv_devices_lock);
	guard(mutex)(&vm->dma_lock);
	list_del(&dev->of_vm);
	if (last_of_group)
		iommu_detach_group(dma->domain, dev->group);
	if (--dma->devices)
		return NULL;
	WRITE_ONCE(vm->dma, NULL);
	update_coherency(vm);
	return dma;
}
