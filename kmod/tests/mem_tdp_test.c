// SPDX-License-Identifier: GPL-2.0
/* KUnit: second-stage tables, in a format that no hardware has. */
#include <kunit/test.h>
#include <linux/slab.h>

#include "lhv.h"
#include "mem/tdp.h"

static u64 no_memtype(bool mmio)
{
	return mmio ? BIT_ULL(4) : 0;
}

/* As with EPT, presence is any of the rights. */
static const struct lhv_tdp_format fake_format = {
	.present = BIT_ULL(0) | BIT_ULL(1) | BIT_ULL(2),
	.leaf = 0,
	.table = BIT_ULL(0) | BIT_ULL(1) | BIT_ULL(2),
	.read = BIT_ULL(0),
	.write = BIT_ULL(1),
	.exec = BIT_ULL(2),
	.accessed = BIT_ULL(8),
	.dirty = BIT_ULL(9),
	.huge = BIT_ULL(7),
	.memtype = no_memtype,
	.levels = 4,
};

#define RO	(fake_format.read | fake_format.exec | fake_format.accessed)
#define RW	(RO | fake_format.write | LHV_TDP_HOST_WRITABLE)
#define RO_LOGGED	(RO | LHV_TDP_HOST_WRITABLE)

struct ctx {
	struct lhv_mem mem;
	struct lhv_tdp_cache cache;
};

static int init(struct kunit *test)
{
	struct ctx *c = kunit_kzalloc(test, sizeof(*c), GFP_KERNEL);

	if (!c)
		return -ENOMEM;
	rwlock_init(&c->mem.mmu_lock);
	c->mem.fmt = &fake_format;
	c->mem.root_level = 4;
	c->mem.root = lhv_tdp_table_alloc();
	if (!c->mem.root)
		return -ENOMEM;
	test->priv = c;
	return 0;
}

static void zap(struct ctx *c, gfn_t start, gfn_t end)
{
	LIST_HEAD(detached);

	lhv_tdp_zap(&c->mem, start, end, true, &detached);
	lhv_tdp_free_detached(&c->mem, &detached, true);
}

static void finish(struct kunit *test)
{
	struct ctx *c = test->priv;
	int i;

	if (!c)
		return;
	zap(c, 0, BIT_ULL(36));
	KUNIT_EXPECT_EQ(test, atomic_long_read(&c->mem.nr_tables), 0);
	for (i = 0; i < 3; i++)
		KUNIT_EXPECT_EQ(test, atomic_long_read(&c->mem.nr_pages[i]), 0);
	lhv_tdp_cache_drain(&c->cache);
	lhv_tdp_table_free(c->mem.root);
}

static int map(struct kunit *test, gfn_t gfn, u64 pfn, u64 bits, int level)
{
	struct ctx *c = test->priv;
	int ret;

	KUNIT_ASSERT_EQ(test, lhv_tdp_cache_fill(&c->cache), 0);
	read_lock(&c->mem.mmu_lock);
	ret = lhv_tdp_map(&c->mem, &c->cache, gfn, (pfn << PAGE_SHIFT) | bits, level);
	read_unlock(&c->mem.mmu_lock);
	return ret;
}

/* The leaf that maps @gfn; its level, 0 when there is none. */
static int look(struct ctx *c, gfn_t gfn, u64 *entry)
{
	struct lhv_tdp_iter it;

	lhv_tdp_for_each(&it, &fake_format, c->mem.root, 4, gfn, gfn + 1) {
		*entry = it.old;
		if (lhv_tdp_is_leaf(&fake_format, it.old, it.level))
			return it.level;
	}
	return 0;
}

static void expect_leaf(struct kunit *test, gfn_t gfn, int level, u64 pfn, bool write)
{
	u64 entry = 0;

	KUNIT_EXPECT_EQ(test, look(test->priv, gfn, &entry), level);
	if (!level)
		return;
	KUNIT_EXPECT_EQ(test, lhv_tdp_entry_pfn(entry), pfn);
	KUNIT_EXPECT_EQ(test, !!(entry & fake_format.write), write);
}

static long pages(struct kunit *test, int level)
{
	struct ctx *c = test->priv;

	return atomic_long_read(&c->mem.nr_pages[level - 1]);
}

static void map_and_zap(struct kunit *test)
{
	struct ctx *c = test->priv;

	KUNIT_EXPECT_EQ(test, map(test, 0x12345, 0x777, RW, 1), 0);
	expect_leaf(test, 0x12345, 1, 0x777, true);
	expect_leaf(test, 0x12344, 0, 0, false);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&c->mem.nr_tables), 3);
	KUNIT_EXPECT_EQ(test, pages(test, 1), 1);
	/* The same again changes nothing; another page is refused. */
	KUNIT_EXPECT_EQ(test, map(test, 0x12345, 0x777, RO, 1), 0);
	expect_leaf(test, 0x12345, 1, 0x777, true);
	KUNIT_EXPECT_EQ(test, map(test, 0x12345, 0x778, RO, 1), -ESTALE);
	KUNIT_EXPECT_EQ(test, pages(test, 1), 1);

	zap(c, 0x12346, 0x20000);
	zap(c, 0, 0x12345);
	expect_leaf(test, 0x12345, 1, 0x777, true);
	zap(c, 0x12345, 0x12346);
	expect_leaf(test, 0x12345, 0, 0, false);
	KUNIT_EXPECT_EQ(test, pages(test, 1), 0);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&c->mem.nr_tables), 3);
	/* Whole tables go where their whole range does. */
	zap(c, 0x12200, 0x12400);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&c->mem.nr_tables), 2);
	zap(c, 0, BIT_ULL(27));
	KUNIT_EXPECT_EQ(test, atomic_long_read(&c->mem.nr_tables), 0);
}

static void upgrade(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, map(test, 5, 9, RO, 1), 0);
	expect_leaf(test, 5, 1, 9, false);
	KUNIT_EXPECT_EQ(test, map(test, 5, 9, RW, 1), 0);
	expect_leaf(test, 5, 1, 9, true);
	KUNIT_EXPECT_EQ(test, pages(test, 1), 1);
}

/* Another right comes, and what there was stays: nobody flushes. */
static void add_right(struct kunit *test)
{
	u64 rw = RW & ~fake_format.exec, entry = 0;

	KUNIT_EXPECT_EQ(test, map(test, 5, 9, rw | fake_format.dirty, 1), 0);
	KUNIT_EXPECT_EQ(test, map(test, 5, 9, RO, 1), 0);
	KUNIT_EXPECT_EQ(test, look(test->priv, 5, &entry), 1);
	KUNIT_EXPECT_EQ(test, entry & ~LHV_TDP_ADDR,
			RW | fake_format.dirty);
}

static void large(struct kunit *test)
{
	struct ctx *c = test->priv;

	/* The page that faulted lies in the middle. */
	KUNIT_EXPECT_EQ(test, map(test, 0x40123, 0x80123, RW, 2), 0);
	expect_leaf(test, 0x40000, 2, 0x80000, true);
	expect_leaf(test, 0x401ff, 2, 0x80000, true);
	expect_leaf(test, 0x40200, 0, 0, false);
	KUNIT_EXPECT_EQ(test, map(test, 0x80000 + 0x12345, 0x12345, RW, 3), 0);
	expect_leaf(test, 0x80000, 3, 0, true);
	KUNIT_EXPECT_EQ(test, pages(test, 2), 1);
	KUNIT_EXPECT_EQ(test, pages(test, 3), 1);

	/* Smaller is fine where a larger one is. */
	KUNIT_EXPECT_EQ(test, map(test, 0x40007, 0x80007, RW, 1), 0);
	expect_leaf(test, 0x40007, 2, 0x80000, true);
	KUNIT_EXPECT_EQ(test, map(test, 0x40007, 0x80008, RW, 1), -ESTALE);

	/* One page of it goes: so does all of it. */
	zap(c, 0x40001, 0x40002);
	expect_leaf(test, 0x40000, 0, 0, false);
	KUNIT_EXPECT_EQ(test, pages(test, 2), 0);

	/* A table is in the way, be it empty. */
	KUNIT_EXPECT_EQ(test, map(test, 0x40000, 0x80000, RW, 1), 0);
	KUNIT_EXPECT_EQ(test, map(test, 0x40001, 0x80001, RW, 2), -ESTALE);
	expect_leaf(test, 0x40001, 0, 0, false);
	zap(c, 0x40000, 0x40001);
	KUNIT_EXPECT_EQ(test, map(test, 0x40001, 0x80001, RW, 2), -ESTALE);
	zap(c, 0x40000, 0x40200);
	KUNIT_EXPECT_EQ(test, map(test, 0x40001, 0x80001, RW, 2), 0);
	expect_leaf(test, 0x40001, 2, 0x80000, true);
}

/* The dirty log on a 1 GiB leaf: protected as one, split down to the page that is written. */
static void split(struct kunit *test)
{
	struct ctx *c = test->priv;
	u64 seq;

	KUNIT_EXPECT_EQ(test, map(test, 0x40000, 0x80000, RW, 3), 0);
	seq = atomic64_read(&c->mem.zap_seq);
	lhv_tdp_write_protect(&c->mem, 0x40000, 0x80000);
	KUNIT_EXPECT_GT(test, atomic64_read(&c->mem.zap_seq), seq);
	expect_leaf(test, 0x40000, 3, 0x80000, false);
	seq = atomic64_read(&c->mem.zap_seq);
	lhv_tdp_write_protect(&c->mem, 0x40000, 0x80000);
	KUNIT_EXPECT_EQ(test, atomic64_read(&c->mem.zap_seq), seq);

	read_lock(&c->mem.mmu_lock);
	KUNIT_EXPECT_EQ(test, lhv_tdp_make_writable(&c->mem, 0x40201), 0);
	read_unlock(&c->mem.mmu_lock);
	KUNIT_EXPECT_EQ(test, map(test, 0x40201, 0x80201, RW, 1), 0);
	expect_leaf(test, 0x40201, 1, 0x80201, true);
	expect_leaf(test, 0x40200, 1, 0x80200, false);
	expect_leaf(test, 0x403ff, 1, 0x803ff, false);
	expect_leaf(test, 0x40000, 2, 0x80000, false);
	expect_leaf(test, 0x7ffff, 2, 0xbfe00, false);
	KUNIT_EXPECT_EQ(test, pages(test, 3), 0);
	KUNIT_EXPECT_EQ(test, pages(test, 2), 511);
	KUNIT_EXPECT_EQ(test, pages(test, 1), 512);

	read_lock(&c->mem.mmu_lock);
	KUNIT_EXPECT_EQ(test, lhv_tdp_make_writable(&c->mem, 0x40202), 1);
	KUNIT_EXPECT_EQ(test, lhv_tdp_make_writable(&c->mem, 0x100), 0);
	read_unlock(&c->mem.mmu_lock);
	expect_leaf(test, 0x40202, 1, 0x80202, true);

	write_lock(&c->mem.mmu_lock);
	lhv_tdp_write_protect_mask(&c->mem, 0x40200, BIT(1));
	write_unlock(&c->mem.mmu_lock);
	expect_leaf(test, 0x40201, 1, 0x80201, false);
	expect_leaf(test, 0x40202, 1, 0x80202, true);
}

/* What the host itself has read-only stays so. */
static void host_readonly(struct kunit *test)
{
	struct ctx *c = test->priv;

	KUNIT_EXPECT_EQ(test, map(test, 1, 1, RO, 1), 0);
	KUNIT_EXPECT_EQ(test, map(test, 2, 2, RO_LOGGED, 1), 0);
	read_lock(&c->mem.mmu_lock);
	KUNIT_EXPECT_EQ(test, lhv_tdp_make_writable(&c->mem, 1), 0);
	KUNIT_EXPECT_EQ(test, lhv_tdp_make_writable(&c->mem, 2), 1);
	read_unlock(&c->mem.mmu_lock);
}

static void age(struct kunit *test)
{
	struct ctx *c = test->priv;
	struct lhv_mem *mem = &c->mem;

	KUNIT_EXPECT_EQ(test, map(test, 7, 7, RW, 1), 0);
	KUNIT_EXPECT_EQ(test, map(test, 0x200, 0x200, RW, 2), 0);
	read_lock(&mem->mmu_lock);
	KUNIT_EXPECT_FALSE(test, lhv_tdp_age(mem, 0, 7, true));
	KUNIT_EXPECT_FALSE(test, lhv_tdp_age(mem, 8, 0x200, true));
	KUNIT_EXPECT_TRUE(test, lhv_tdp_age(mem, 7, 8, false));
	KUNIT_EXPECT_TRUE(test, lhv_tdp_age(mem, 7, 8, true));
	KUNIT_EXPECT_FALSE(test, lhv_tdp_age(mem, 7, 8, false));
	KUNIT_EXPECT_TRUE(test, lhv_tdp_age(mem, 0, 0x400, true));
	KUNIT_EXPECT_FALSE(test, lhv_tdp_age(mem, 0, 0x400, true));
	read_unlock(&mem->mmu_lock);
	expect_leaf(test, 7, 1, 7, true);
}

/* Pre-order, nothing outside of the range, nothing twice. */
static void order(struct kunit *test)
{
	static const struct { int level; gfn_t gfn; } want[] = {
		{ 4, 0 }, { 3, 0 }, { 2, 0 }, { 1, 510 }, { 1, 511 }, { 2, 512 }, { 1, 512 },
		{ 1, 513 },
	};
	struct ctx *c = test->priv;
	struct lhv_tdp_iter it;
	int n = 0;

	map(test, 0, 0, RW, 1);
	map(test, 511, 511, RW, 1);
	map(test, 512, 512, RW, 1);
	lhv_tdp_for_each(&it, &fake_format, c->mem.root, 4, 510, 514) {
		KUNIT_ASSERT_LT(test, n, (int)ARRAY_SIZE(want));
		KUNIT_EXPECT_EQ(test, it.level, want[n].level);
		KUNIT_EXPECT_EQ(test, it.gfn, want[n].gfn);
		n++;
	}
	KUNIT_EXPECT_EQ(test, n, (int)ARRAY_SIZE(want));

	/* Empty ranges, and the very end of the address space. */
	n = 0;
	lhv_tdp_for_each(&it, &fake_format, c->mem.root, 4, 510, 510)
		n++;
	KUNIT_EXPECT_EQ(test, n, 0);
	lhv_tdp_for_each(&it, &fake_format, c->mem.root, 4, BIT_ULL(36) - 1, ~0ULL)
		n++;
	KUNIT_EXPECT_EQ(test, n, 1);
	lhv_tdp_for_each(&it, &fake_format, c->mem.root, 4, BIT_ULL(36), ~0ULL)
		n++;
	KUNIT_EXPECT_EQ(test, n, 1);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(map_and_zap),
	KUNIT_CASE(upgrade),
	KUNIT_CASE(add_right),
	KUNIT_CASE(large),
	KUNIT_CASE(split),
	KUNIT_CASE(host_readonly),
	KUNIT_CASE(age),
	KUNIT_CASE(order),
	{}
};

static struct kunit_suite suite = {
	.name = "lhv_mem_tdp",
	.init = init,
	.exit = finish,
	.test_cases = cases,
};
kunit_test_suite(suite);
