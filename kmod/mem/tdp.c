// SPDX-License-Identifier: GPL-2.0
/*
 * lhv mem/ - second-stage page tables: what is done to them.
 *
 * Who may do what:
 *   mmu_lock for reading: install what is missing, split a large leaf, add the write
 *	bit, take the accessed bit; every change by cmpxchg, since others do it too.
 *   mmu_lock for writing: remove leaves and whole tables, take the write bit away.
 * So a table that was reached under either is not freed before the lock is dropped.
 *
 * The hardware walks the tables and sets accessed and dirty bits at any time. Whoever
 * takes something away counts mem->zap_seq up before it drops the lock, and calls
 * lhv_mem_flush() before the page or the table is given back. Tables wait meanwhile on
 * a list linked through their struct page: their contents may still be walked.
 */
#include <linux/mm.h>
#include <linux/sched.h>

#include "lhv.h"
#include "mem/tdp.h"

static void iter_load(struct lhv_tdp_iter *it)
{
	it->entry = &it->table[it->level][lhv_tdp_index(it->gfn, it->level)];
	it->old = READ_ONCE(*it->entry);
}

/**
 * lhv_tdp_iter_start() - begin a walk
 * @it: the walk
 * @fmt: format of the entries
 * @root: root table
 * @root_level: its level
 * @start: first guest frame
 * @end: guest frame behind the last
 */
void lhv_tdp_iter_start(struct lhv_tdp_iter *it, const struct lhv_tdp_format *fmt, u64 *root,
			int root_level, gfn_t start, gfn_t end)
{
	it->fmt = fmt;
	it->start = start;
	it->end = min(end, lhv_tdp_pages(root_level + 1));
	it->level = root_level;
	it->root_level = root_level;
	it->table[root_level] = root;
	it->gfn = lhv_tdp_align(start, root_level);
	it->valid = start < it->end;
	if (it->valid)
		iter_load(it);
}

/**
 * lhv_tdp_iter_next() - go to the next entry: down, side or up
 * @it: the walk
 */
void lhv_tdp_iter_next(struct lhv_tdp_iter *it)
{
	if (lhv_tdp_is_table(it->fmt, it->old, it->level)) {
		it->level--;
		it->table[it->level] = lhv_tdp_entry_table(it->old);
		it->gfn = lhv_tdp_align(max(it->gfn, it->start), it->level);
		iter_load(it);
		return;
	}
	while (lhv_tdp_index(it->gfn, it->level) == LHV_TDP_ENTRIES - 1) {
		if (it->level == it->root_level) {
			it->valid = false;
			return;
		}
		it->level++;
		it->gfn = lhv_tdp_align(it->gfn, it->level);
	}
	it->gfn += lhv_tdp_pages(it->level);
	it->valid = it->gfn < it->end;
	if (it->valid)
		iter_load(it);
}

/**
 * lhv_tdp_table_alloc() - an empty table, charged to the caller's memory cgroup
 *
 * Return: the table or NULL. May sleep.
 */
u64 *lhv_tdp_table_alloc(void)
{
	u64 *table = (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);

	if (table)
		lhv_host_count_table(table, 1);
	return table;
}

/* NULL-safe. */
void lhv_tdp_table_free(u64 *table)
{
	if (!table)
		return;
	lhv_host_count_table(table, -1);
	free_page((unsigned long)table);
}

/**
 * lhv_tdp_cache_fill() - have enough tables at hand for a fault
 * @cache: the vCPU's
 *
 * Return: 0 or -ENOMEM. May sleep.
 */
int lhv_tdp_cache_fill(struct lhv_tdp_cache *cache)
{
	while (cache->nr < ARRAY_SIZE(cache->tables)) {
		u64 *table = lhv_tdp_table_alloc();

		if (!table)
			return cache->nr >= LHV_TDP_FAULT_TABLES ? 0 : -ENOMEM;
		cache->tables[cache->nr++] = table;
	}
	return 0;
}

void lhv_tdp_cache_drain(struct lhv_tdp_cache *cache)
{
	while (cache->nr)
		lhv_tdp_table_free(cache->tables[--cache->nr]);
}

static void count_leaves(struct lhv_mem *mem, int level, long n)
{
	atomic_long_add(n, &mem->nr_pages[level - 1]);
}

/*
 * Put a table where nothing, or a large leaf, is. A leaf is replaced by a table that
 * maps the same, so no TLB has to forget anything.
 * False: somebody else changed the entry meanwhile.
 */
static bool install_table(struct lhv_mem *mem, struct lhv_tdp_cache *cache, u64 *entry, u64 old,
			  int level)
{
	const struct lhv_tdp_format *fmt = mem->fmt;
	u64 *table = cache->tables[cache->nr - 1];
	bool split = lhv_tdp_present(fmt, old);
	int i;

	if (split) {
		u64 child = level - 1 == 1 ? old & ~fmt->huge : old;

		for (i = 0; i < LHV_TDP_ENTRIES; i++)
			table[i] = child + ((i * lhv_tdp_pages(level - 1)) << PAGE_SHIFT);
	}
	if (!try_cmpxchg64(entry, &old, lhv_tdp_make_table(fmt, table))) {
		if (split)
			clear_page(table);
		return false;
	}
	cache->nr--;
	atomic_long_inc(&mem->nr_tables);
	if (split) {
		count_leaves(mem, level, -1);
		count_leaves(mem, level - 1, LHV_TDP_ENTRIES);
	}
	return true;
}

/* Does @old give everything that @new would? */
static bool leaf_grants(const struct lhv_tdp_format *fmt, u64 old, u64 new)
{
	return !(new & (fmt->write | fmt->exec | LHV_TDP_HOST_WRITABLE) & ~old);
}

/**
 * lhv_tdp_map() - map a page
 * @mem: the VM's memory; mmu_lock is held for reading
 * @cache: at least LHV_TDP_FAULT_TABLES tables
 * @gfn: the guest frame that faulted
 * @leaf: what a 4 KiB leaf for @gfn has to be
 * @level: largest level that may be used; @leaf's frame is congruent with @gfn there
 *
 * Leaves a larger mapping of the same memory alone where it grants enough.
 *
 * Return: 0; -ESTALE: another page is mapped there, or there is a table (of smaller ones,
 * or of none any more) where the leaf belongs: @level around @gfn has to go first.
 */
int lhv_tdp_map(struct lhv_mem *mem, struct lhv_tdp_cache *cache, gfn_t gfn, u64 leaf, int level)
{
	const struct lhv_tdp_format *fmt = mem->fmt;
	u64 pfn = lhv_tdp_entry_pfn(leaf), *table = mem->root, *entry, old, new;
	int l = mem->root_level;

	lockdep_assert_held_read(&mem->mmu_lock);
	for (;;) {
		entry = &table[lhv_tdp_index(gfn, l)];
		old = READ_ONCE(*entry);
		for (;;) {
			if (lhv_tdp_is_table(fmt, old, l)) {
				if (l == level)
					return -ESTALE;
				table = lhv_tdp_entry_table(old);
				l--;
				break;
			}
			if (lhv_tdp_present(fmt, old)) {
				u64 offset = gfn & (lhv_tdp_pages(l) - 1);

				if (lhv_tdp_entry_pfn(old) + offset != pfn)
					return -ESTALE;
				if (leaf_grants(fmt, old, leaf))
					return 0;
			}
			if (l > level) {
				install_table(mem, cache, entry, old, l);
				old = READ_ONCE(*entry);
				continue;
			}
			new = leaf - ((gfn & (lhv_tdp_pages(l) - 1)) << PAGE_SHIFT);
			/* What another CPU was granted stays: its TLB is not flushed. */
			if (lhv_tdp_present(fmt, old))
				new |= old & (fmt->write | fmt->exec | fmt->dirty |
					      LHV_TDP_HOST_WRITABLE);
			if (l > 1)
				new |= fmt->huge;
			if (try_cmpxchg64(entry, &old, new)) {
				if (!lhv_tdp_present(fmt, old))
					count_leaves(mem, l, 1);
				return 0;
			}
		}
	}
}

/**
 * lhv_tdp_make_writable() - undo the dirty log's write protection
 * @mem: the VM's memory; mmu_lock is held for reading
 * @gfn: guest frame
 *
 * Return: 1: done, or was so already; 0: the leaf is large, missing, or the host does not
 * allow it, so the whole way has to be gone.
 */
int lhv_tdp_make_writable(struct lhv_mem *mem, gfn_t gfn)
{
	const struct lhv_tdp_format *fmt = mem->fmt;
	u64 *table = mem->root, *entry, old;
	int l;

	lockdep_assert_held_read(&mem->mmu_lock);
	for (l = mem->root_level; ; l--) {
		entry = &table[lhv_tdp_index(gfn, l)];
		old = READ_ONCE(*entry);
		if (!lhv_tdp_is_table(fmt, old, l))
			break;
		table = lhv_tdp_entry_table(old);
	}
	if (l != 1)
		return 0;
	do {
		if (!lhv_tdp_present(fmt, old) || !(old & LHV_TDP_HOST_WRITABLE))
			return 0;
	} while (!try_cmpxchg64(entry, &old, old | fmt->write | fmt->accessed | fmt->dirty));
	return 1;
}

/* Before the lock is dropped: from now on whoever flushes has to flush this as well. */
static void zap_done(struct lhv_mem *mem, bool *changed)
{
	if (*changed)
		atomic64_inc(&mem->zap_seq);
	*changed = false;
}

/*
 * Give others a chance. The walk goes on where it was, through whatever is there then.
 * Not before it has got past where it (re)started, or it might never get further.
 */
static void zap_resched(struct lhv_mem *mem, struct lhv_tdp_iter *it, bool *changed)
{
	if (!it->valid || it->gfn <= it->start)
		return;
	if (!need_resched() && !rwlock_needbreak(&mem->mmu_lock))
		return;
	zap_done(mem, changed);
	write_unlock(&mem->mmu_lock);
	cond_resched();
	write_lock(&mem->mmu_lock);
	lhv_tdp_iter_start(it, it->fmt, mem->root, mem->root_level, it->gfn, it->end);
}

/* The walk then steps over it. */
static void cut_table(struct lhv_tdp_iter *it, struct list_head *detached)
{
	struct page *page = virt_to_page(lhv_tdp_entry_table(it->old));

	WRITE_ONCE(*it->entry, 0);
	set_page_private(page, it->level - 1);
	list_add_tail(&page->lru, detached);
	it->old = 0;
}

/**
 * lhv_tdp_zap() - remove every translation of a range
 * @mem: the VM's memory
 * @start: first guest frame
 * @end: guest frame behind the last
 * @may_block: the lock may be dropped on the way
 * @detached: tables that became unused, for lhv_tdp_free_detached() after the flush
 *
 * A table whose whole range goes is cut off with all below it. A large leaf that
 * reaches out of the range goes as a whole.
 */
void lhv_tdp_zap(struct lhv_mem *mem, gfn_t start, gfn_t end, bool may_block,
		 struct list_head *detached)
{
	const struct lhv_tdp_format *fmt = mem->fmt;
	struct lhv_tdp_iter it;
	bool changed = false;

	write_lock(&mem->mmu_lock);
	lhv_tdp_iter_start(&it, fmt, mem->root, mem->root_level, start, end);
	while (it.valid) {
		bool whole = it.gfn >= start && it.gfn + lhv_tdp_pages(it.level) <= end;

		if (lhv_tdp_is_leaf(fmt, it.old, it.level)) {
			xchg(it.entry, 0);
			count_leaves(mem, it.level, -1);
			changed = true;
		} else if (whole && lhv_tdp_is_table(fmt, it.old, it.level)) {
			cut_table(&it, detached);
			changed = true;
		}
		lhv_tdp_iter_next(&it);
		if (may_block)
			zap_resched(mem, &it, &changed);
	}
	zap_done(mem, &changed);
	write_unlock(&mem->mmu_lock);
}

/**
 * lhv_tdp_zap_tables() - cut off some of the tables of a range, with all below them
 * @mem: the VM's memory
 * @start: first guest frame
 * @end: guest frame behind the last
 * @want: says which, by the first frame and the level of the entry that points to it
 * @arg: for @want
 * @detached: as for lhv_tdp_zap()
 *
 * May sleep between, not in, calls of @want.
 */
void lhv_tdp_zap_tables(struct lhv_mem *mem, gfn_t start, gfn_t end,
			bool (*want)(void *arg, gfn_t gfn, int level), void *arg,
			struct list_head *detached)
{
	struct lhv_tdp_iter it;
	bool changed = false;

	write_lock(&mem->mmu_lock);
	lhv_tdp_iter_start(&it, mem->fmt, mem->root, mem->root_level, start, end);
	while (it.valid) {
		if (lhv_tdp_is_table(mem->fmt, it.old, it.level) && want(arg, it.gfn, it.level)) {
			cut_table(&it, detached);
			changed = true;
		}
		lhv_tdp_iter_next(&it);
		zap_resched(mem, &it, &changed);
	}
	zap_done(mem, &changed);
	write_unlock(&mem->mmu_lock);
}

/**
 * lhv_tdp_free_detached() - free tables that nobody can reach any more
 * @mem: the VM's memory
 * @detached: filled by lhv_tdp_zap(); every TLB was flushed since
 * @may_block: may sleep
 *
 * Level by level, the list being the queue.
 */
void lhv_tdp_free_detached(struct lhv_mem *mem, struct list_head *detached, bool may_block)
{
	const struct lhv_tdp_format *fmt = mem->fmt;
	struct page *page, *child;

	while ((page = list_first_entry_or_null(detached, struct page, lru))) {
		u64 *table = page_address(page);
		int i, level = page_private(page);
		long leaves = 0;

		for (i = 0; i < LHV_TDP_ENTRIES; i++) {
			if (lhv_tdp_is_leaf(fmt, table[i], level)) {
				leaves++;
			} else if (lhv_tdp_present(fmt, table[i])) {
				child = virt_to_page(lhv_tdp_entry_table(table[i]));
				set_page_private(child, level - 1);
				list_add_tail(&child->lru, detached);
			}
		}
		if (leaves)
			count_leaves(mem, level, -leaves);
		atomic_long_dec(&mem->nr_tables);
		list_del(&page->lru);
		set_page_private(page, 0);
		lhv_tdp_table_free(table);
		if (may_block)
			cond_resched();
	}
}

static bool clear_write(struct lhv_mem *mem, struct lhv_tdp_iter *it)
{
	while (it->old & mem->fmt->write) {
		if (try_cmpxchg64(it->entry, &it->old, it->old & ~mem->fmt->write))
			return true;
	}
	return false;
}

/**
 * lhv_tdp_write_protect() - make every leaf of a range read-only
 * @mem: the VM's memory
 * @start: first guest frame
 * @end: guest frame behind the last
 *
 * May sleep. lhv_mem_flush() follows.
 */
void lhv_tdp_write_protect(struct lhv_mem *mem, gfn_t start, gfn_t end)
{
	struct lhv_tdp_iter it;
	bool changed = false;

	write_lock(&mem->mmu_lock);
	lhv_tdp_iter_start(&it, mem->fmt, mem->root, mem->root_level, start, end);
	while (it.valid) {
		if (lhv_tdp_is_leaf(mem->fmt, it.old, it.level))
			changed |= clear_write(mem, &it);
		lhv_tdp_iter_next(&it);
		zap_resched(mem, &it, &changed);
	}
	zap_done(mem, &changed);
	write_unlock(&mem->mmu_lock);
}

/**
 * lhv_tdp_write_protect_mask() - make some of BITS_PER_LONG pages read-only
 * @mem: the VM's memory; mmu_lock is held for writing
 * @base: guest frame of bit 0
 * @mask: which, not 0
 */
void lhv_tdp_write_protect_mask(struct lhv_mem *mem, gfn_t base, unsigned long mask)
{
	struct lhv_tdp_iter it;
	bool changed = false;

	lockdep_assert_held_write(&mem->mmu_lock);
	lhv_tdp_for_each(&it, mem->fmt, mem->root, mem->root_level,
			 base + __ffs(mask), base + __fls(mask) + 1) {
		if (!lhv_tdp_is_leaf(mem->fmt, it.old, it.level))
			continue;
		if (it.level == 1 && !(mask & BIT(it.gfn - base)))
			continue;
		changed |= clear_write(mem, &it);
	}
	zap_done(mem, &changed);
}

/**
 * lhv_tdp_age() - was a range used?
 * @mem: the VM's memory; mmu_lock is held for reading
 * @start: first guest frame
 * @end: guest frame behind the last
 * @clear: forget it, too
 *
 * TLBs are not flushed: an entry that stays there makes a used page look unused for a
 * while, which costs the host no more than it does for its own page tables on x86.
 * Without accessed bits whatever is mapped counts as used.
 */
bool lhv_tdp_age(struct lhv_mem *mem, gfn_t start, gfn_t end, bool clear)
{
	const struct lhv_tdp_format *fmt = mem->fmt;
	struct lhv_tdp_iter it;
	bool young = false;

	lockdep_assert_held_read(&mem->mmu_lock);
	lhv_tdp_for_each(&it, fmt, mem->root, mem->root_level, start, end) {
		if (!lhv_tdp_is_leaf(fmt, it.old, it.level))
			continue;
		if (fmt->accessed && !(it.old & fmt->accessed))
			continue;
		young = true;
		if (!clear)
			break;
		/* A fault may split the leaf meanwhile; then its parts are next. */
		while (lhv_tdp_is_leaf(fmt, it.old, it.level) && (it.old & fmt->accessed) &&
		       !try_cmpxchg64(it.entry, &it.old, it.old & ~fmt->accessed))
			;
	}
	return young;
}
