/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lhv mem/ - second-stage page tables: entries and the walk over them.
 *
 * Tables have 512 entries of 8 bytes on every level. Level 1 maps 4 KiB, level 2
 * 2 MiB, level 3 1 GiB; the root is level 4 or 5. What the bits mean is said by
 * struct lhv_tdp_format. The walk itself needs no VM, no lock and no hardware.
 */
#ifndef LHV_MEM_TDP_H
#define LHV_MEM_TDP_H

#include <linux/bits.h>
#include <linux/io.h>
#include <linux/kvm_types.h>
#include <linux/list.h>

#define LHV_TDP_MAX_LEVEL	5
#define LHV_TDP_MAX_LEAF	3	/* 1 GiB */
#define LHV_TDP_BITS		9
#define LHV_TDP_ENTRIES		BIT(LHV_TDP_BITS)

#define LHV_TDP_ADDR		GENMASK_ULL(51, 12)
/*
 * Ours: the host's page table allows writes, so a leaf that lacks the write bit
 * is write-protected by the dirty log alone. Hardware ignores bit 52 in NPT and EPT.
 */
#define LHV_TDP_HOST_WRITABLE	BIT_ULL(52)

static inline u64 lhv_tdp_pages(int level)
{
	return 1ULL << ((level - 1) * LHV_TDP_BITS);
}

static inline gfn_t lhv_tdp_align(gfn_t gfn, int level)
{
	return gfn & ~(lhv_tdp_pages(level) - 1);
}

static inline unsigned int lhv_tdp_index(gfn_t gfn, int level)
{
	return (gfn >> ((level - 1) * LHV_TDP_BITS)) & (LHV_TDP_ENTRIES - 1);
}

static inline bool lhv_tdp_present(const struct lhv_tdp_format *fmt, u64 entry)
{
	return entry & fmt->present;
}

static inline bool lhv_tdp_is_leaf(const struct lhv_tdp_format *fmt, u64 entry, int level)
{
	return lhv_tdp_present(fmt, entry) && (level == 1 || (entry & fmt->huge));
}

static inline bool lhv_tdp_is_table(const struct lhv_tdp_format *fmt, u64 entry, int level)
{
	return lhv_tdp_present(fmt, entry) && !lhv_tdp_is_leaf(fmt, entry, level);
}

static inline u64 lhv_tdp_entry_pfn(u64 entry)
{
	return (entry & LHV_TDP_ADDR & ~lhv_host_enc_mask()) >> PAGE_SHIFT;
}

static inline u64 *lhv_tdp_entry_table(u64 entry)
{
	return phys_to_virt(lhv_tdp_entry_pfn(entry) << PAGE_SHIFT);
}

static inline u64 lhv_tdp_make_table(const struct lhv_tdp_format *fmt, u64 *table)
{
	return virt_to_phys(table) | lhv_host_enc_mask() | fmt->table;
}

/**
 * struct lhv_tdp_iter - a walk over the entries that concern [start, end)
 *
 * Pre-order: an entry is shown before those below it, so that whoever walks may
 * cut off a whole subtree. From the current entry the walk goes
 *   down  to the first wanted entry of the table that it points to, if any;
 *   side  to the next entry of the same table; or, after the last one,
 *   up    to the table above and from there to the side.
 * It goes down by @old, not by what memory says now: whoever replaced the entry
 * sets @old to what is there, 0 to step over it.
 */
struct lhv_tdp_iter {
	const struct lhv_tdp_format *fmt;
	u64 *table[LHV_TDP_MAX_LEVEL + 1];	/* [level] */
	gfn_t start, end;
	gfn_t gfn;		/* first frame of the current entry */
	u64 *entry;
	u64 old;		/* what the entry was when it was read */
	int level, root_level;
	bool valid;
};

void lhv_tdp_iter_start(struct lhv_tdp_iter *it, const struct lhv_tdp_format *fmt, u64 *root,
			int root_level, gfn_t start, gfn_t end);
void lhv_tdp_iter_next(struct lhv_tdp_iter *it);

#define lhv_tdp_for_each(it, fmt, root, level, start, end)			\
	for (lhv_tdp_iter_start(it, fmt, root, level, start, end); (it)->valid;	\
	     lhv_tdp_iter_next(it))

/**
 * struct lhv_tdp_cache - zeroed pages, allocated before the lock is taken
 * @nr: how many
 * @tables: the pages
 */
struct lhv_tdp_cache {
	int nr;
	u64 *tables[6];
};

/* One fault needs at most a table per level below the root. */
#define LHV_TDP_FAULT_TABLES	(LHV_TDP_MAX_LEVEL - 1)

u64 *lhv_tdp_table_alloc(void);
void lhv_tdp_table_free(u64 *table);
int lhv_tdp_cache_fill(struct lhv_tdp_cache *cache);
void lhv_tdp_cache_drain(struct lhv_tdp_cache *cache);

struct lhv_mem;
int lhv_tdp_map(struct lhv_mem *mem, struct lhv_tdp_cache *cache, gfn_t gfn, u64 leaf, int level);
int lhv_tdp_make_writable(struct lhv_mem *mem, gfn_t gfn);
void lhv_tdp_zap(struct lhv_mem *mem, gfn_t start, gfn_t end, bool may_block,
		 struct list_head *detached);
void lhv_tdp_zap_tables(struct lhv_mem *mem, gfn_t start, gfn_t end,
			bool (*want)(void *arg, gfn_t gfn, int level), void *arg,
			struct list_head *detached);
void lhv_tdp_free_detached(struct lhv_mem *mem, struct list_head *detached, bool may_block);
void lhv_tdp_write_protect(struct lhv_mem *mem, gfn_t start, gfn_t end);
void lhv_tdp_write_protect_mask(struct lhv_mem *mem, gfn_t base, unsigned long mask);
bool lhv_tdp_age(struct lhv_mem *mem, gfn_t start, gfn_t end, bool clear);

#endif
