// SPDX-License-Identifier: GPL-2.0
/* lhv host/ - the host's page tables: what backs an address of the VMM, and in what size. */
#include <linux/ioport.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/sched/signal.h>

#include "host/host.h"

#ifdef LHV_HAVE_FOLL_HONOR_NUMA_FAULT
#define LHV_FOLL_NUMA	FOLL_HONOR_NUMA_FAULT
#else
#define LHV_FOLL_NUMA	0
#endif

/* Before 6.2 only a fatal signal ends the wait for a page. */
#ifdef LHV_HAVE_FOLL_INTERRUPTIBLE
#define LHV_FOLL_SIGNALS	FOLL_INTERRUPTIBLE
#else
#define LHV_FOLL_SIGNALS	0
#endif

/* The frame behind a page-table entry without a struct page; -errno when none is present. */
static int follow_frame(struct vm_area_struct *vma, unsigned long hva, unsigned long *pfn,
			bool *writable)
{
#ifdef LHV_HAVE_FOLLOW_PFNMAP
	struct follow_pfnmap_args args = { .vma = vma, .address = hva };
	int ret = follow_pfnmap_start(&args);

	if (ret)
		return ret;
	*pfn = args.pfn;
	*writable = args.writable;
	follow_pfnmap_end(&args);
#else
	spinlock_t *ptl;
	pte_t *pte;
	int ret = follow_pte(vma->vm_mm, hva, &pte, &ptl);

	if (ret)
		return ret;
	__acquire(ptl);		/* follow_pte() does not tell sparse */
	*pfn = pte_pfn(*pte);
	*writable = pte_write(*pte);
	pte_unmap_unlock(pte, ptl);
#endif
	return 0;
}

static int get_pfnmap(unsigned long hva, bool write, struct lhv_host_pfn *out)
{
	unsigned long need = write ? VM_WRITE : VM_READ;
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;
	bool unlocked = false;
	int tries, ret = -EFAULT;

	mmap_read_lock(mm);
	/* Twice: as it is, and once more after the driver has filled the entry in. */
	for (tries = 0; tries < 2; tries++) {
		ret = -EFAULT;
		vma = find_vma(mm, hva);
		if (!vma || vma->vm_start > hva || !(vma->vm_flags & (VM_IO | VM_PFNMAP)) ||
		    !(vma->vm_flags & need))
			break;
		ret = follow_frame(vma, hva, &out->pfn, &out->writable);
		if (!ret && write && !out->writable)
			ret = -EFAULT;
		if (!ret || tries)
			break;
		if (fixup_user_fault(mm, hva, write ? FAULT_FLAG_WRITE : 0, &unlocked)) {
			ret = fatal_signal_pending(current) ? -EINTR : -EFAULT;
			break;
		}
	}
	mmap_read_unlock(mm);
	if (ret)
		return ret;

	out->page = NULL;
	out->mmio = !pfn_valid(out->pfn) || !page_is_ram(out->pfn);
	return 0;
}

/**
 * lhv_host_get_pfn() - find the page frame behind an address of the current process
 * @hva: page-aligned user address
 * @write: it has to be writable; faulted in (copied, ...) if need be
 * @try_write: for a read: prefer a writable mapping where the host has one already
 * @atomic: do not sleep
 * @out: result; give it back with lhv_host_put_pfn()
 *
 * The answer is good until the MMU notifier says otherwise: the caller checks under its own lock.
 *
 * Return: 0; -EAGAIN (atomic): not resident; -EHWPOISON: the memory is broken;
 * -EINTR: a signal; -EFAULT: nothing there.
 */
int lhv_host_get_pfn(unsigned long hva, bool write, bool try_write, bool atomic,
		     struct lhv_host_pfn *out)
{
	struct page *writable_page;
	long n;

	out->mmio = false;
	out->writable = true;
	if ((write || try_write) && get_user_page_fast_only(hva, FOLL_WRITE, &out->page))
		goto got;
	out->writable = false;
	if (!write && get_user_page_fast_only(hva, 0, &out->page))
		goto got;
	if (atomic)
		return -EAGAIN;

	n = get_user_pages_unlocked(hva, 1, &out->page,
				    FOLL_HWPOISON | LHV_FOLL_NUMA | LHV_FOLL_SIGNALS |
				    (write ? FOLL_WRITE : 0));
	if (n == 1) {
		out->writable = write;
		if (!write && try_write &&
		    get_user_page_fast_only(hva, FOLL_WRITE, &writable_page)) {
			put_page(out->page);
			out->page = writable_page;
			out->writable = true;
		}
		goto got;
	}
	if (n == -EHWPOISON)
		return -EHWPOISON;
	if (n == -EINTR || fatal_signal_pending(current))
		return -EINTR;
	return get_pfnmap(hva, write, out);
got:
	out->pfn = page_to_pfn(out->page);
	return 0;
}

/**
 * lhv_host_mapping_level() - size of the host's mapping of an address
 * @mm: the process
 * @hva: the address
 *
 * Interrupts are off meanwhile, which keeps the tables from being freed. The answer may
 * be stale at once; the caller holds its lock against the MMU notifier and has checked.
 *
 * Return: 1 (4 KiB, or nothing there), 2 (2 MiB) or 3 (1 GiB).
 */
int lhv_host_mapping_level(struct mm_struct *mm, unsigned long hva)
{
	unsigned long flags;
	int level = 1;
	pgd_t pgd;
	p4d_t p4d;
	pud_t pud;
	pmd_t pmd;

	local_irq_save(flags);
	pgd = READ_ONCE(*pgd_offset(mm, hva));
	if (pgd_none(pgd))
		goto out;
	p4d = READ_ONCE(*p4d_offset(&pgd, hva));
	if (p4d_none(p4d) || !p4d_present(p4d))
		goto out;
	pud = READ_ONCE(*pud_offset(&p4d, hva));
	if (pud_none(pud) || !pud_present(pud))
		goto out;
	if (pud_leaf(pud)) {
		level = 3;
		goto out;
	}
	pmd = READ_ONCE(*pmd_offset(&pud, hva));
	if (!pmd_none(pmd) && pmd_present(pmd) && pmd_leaf(pmd))
		level = 2;
out:
	local_irq_restore(flags);
	return level;
}
