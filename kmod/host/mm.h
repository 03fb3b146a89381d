/* SPDX-License-Identifier: GPL-2.0 */
/* lhv host/ - the host's page tables, behind one name. */
#ifndef LHV_HOST_MM_H
#define LHV_HOST_MM_H

#include <linux/mem_encrypt.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/pgtable.h>
#include <linux/vmstat.h>

/**
 * struct lhv_host_pfn - where a page of the VMM's memory lies now
 * @pfn: page frame
 * @page: the page, with a reference held; NULL for memory without one (VM_PFNMAP)
 * @writable: the host's page table allows writes
 * @mmio: device memory
 */
struct lhv_host_pfn {
	unsigned long pfn;
	struct page *page;
	bool writable;
	bool mmio;
};

int lhv_host_get_pfn(unsigned long hva, bool write, bool try_write, bool atomic,
		     struct lhv_host_pfn *out);

/**
 * lhv_host_put_pfn() - give back what lhv_host_get_pfn() took
 * @p: the page frame
 * @dirty: it was mapped writable
 *
 * Only the page's own flag is set: a shared file's page was made dirty, in the
 * file system's eyes too, when its host mapping became writable.
 */
static inline void lhv_host_put_pfn(struct lhv_host_pfn *p, bool dirty)
{
	if (!p->page)
		return;
	if (dirty)
		SetPageDirty(p->page);
	put_page(p->page);
}

/* Count a table as such, in /proc/meminfo and the memory cgroup it is charged to. @n: 1 or -1. */
static inline void lhv_host_count_table(void *table, int n)
{
	mod_lruvec_page_state(virt_to_page(table), NR_SECONDARY_PAGETABLE, n);
}

int lhv_host_mapping_level(struct mm_struct *mm, unsigned long hva);

/* How many levels the host's own page tables have; NPT is walked in the same mode. */
static inline int lhv_host_pgtable_levels(void)
{
	return pgtable_l5_enabled() ? 5 : 4;
}

/* The address bit that makes memory encrypted (SME): set in whatever points to RAM. */
static inline u64 lhv_host_enc_mask(void)
{
	return sme_me_mask;
}

/* What the notifier's "young" callbacks return. */
#ifdef LHV_HAVE_NOTIFIER_BOOL
typedef bool lhv_host_young_t;
#else
typedef int lhv_host_young_t;
#endif

/* May a spinlock_t or rwlock_t be tried with preemption off? */
static inline bool lhv_host_spins_in_atomic(void)
{
	return !IS_ENABLED(CONFIG_PREEMPT_RT);
}

#endif
