// SPDX-License-Identifier: GPL-2.0
/* KUnit: the table of slots. */
#include <kunit/test.h>
#include <linux/prandom.h>
#include <linux/slab.h>

#include "lhv.h"
#include "mem/slots.h"

#define NR_SLOTS	60

static struct lhv_slots *replace(struct kunit *test, struct lhv_slots *slots,
				 const struct lhv_slot *remove, struct lhv_slot *add)
{
	if (!slots)
		slots = lhv_slots_alloc(NULL, NR_SLOTS);
	KUNIT_ASSERT_NOT_NULL(test, slots);
	if (remove)
		lhv_slots_remove(slots, remove);
	if (add)
		lhv_slots_insert(slots, add);
	return slots;
}

static void check_sorted(struct kunit *test, const struct lhv_slots *slots)
{
	unsigned long end = 0;
	unsigned int i;

	for (i = 0; i < slots->n; i++) {
		KUNIT_ASSERT_EQ(test, slots->by_gfn[i].base_gfn, slots->by_gfn[i].slot->base_gfn);
		end = max(end, lhv_slot_hva_end(slots->by_hva[i]));
		KUNIT_ASSERT_EQ(test, slots->hva_end[i], end);
		if (!i)
			continue;
		KUNIT_ASSERT_LT(test, slots->by_gfn[i - 1].base_gfn, slots->by_gfn[i].base_gfn);
		KUNIT_ASSERT_LE(test, slots->by_hva[i - 1]->hva, slots->by_hva[i]->hva);
	}
}

static void empty(struct kunit *test)
{
	struct lhv_slots *slots = replace(test, NULL, NULL, NULL);
	unsigned int hint = 7;

	KUNIT_EXPECT_EQ(test, slots->n, 0);
	KUNIT_EXPECT_NULL(test, lhv_slots_find(slots, 0, &hint));
	KUNIT_EXPECT_FALSE(test, lhv_slots_overlap(slots, 0, ~0ULL, NULL));
	KUNIT_EXPECT_EQ(test, lhv_slots_hva_last(slots, ~0UL), -1);
	kvfree(slots);
}

/* The edges of one slot, with every value of the hint. */
static void edges(struct kunit *test)
{
	struct lhv_slot a = { .base_gfn = 16, .npages = 4, .hva = 0x100000 };
	struct lhv_slot b = { .base_gfn = 20, .npages = 1, .hva = 0x200000 };
	struct lhv_slots *slots = replace(test, NULL, NULL, &b);
	unsigned int hint, try;

	slots = replace(test, slots, NULL, &a);
	for (hint = 0; hint < 4; hint++) {
		KUNIT_EXPECT_NULL(test, lhv_slots_find(slots, 15, (try = hint, &try)));
		KUNIT_EXPECT_PTR_EQ(test, lhv_slots_find(slots, 16, (try = hint, &try)), &a);
		KUNIT_EXPECT_PTR_EQ(test, lhv_slots_find(slots, 19, (try = hint, &try)), &a);
		KUNIT_EXPECT_PTR_EQ(test, lhv_slots_find(slots, 20, (try = hint, &try)), &b);
		KUNIT_EXPECT_NULL(test, lhv_slots_find(slots, 21, (try = hint, &try)));
		KUNIT_EXPECT_NULL(test, lhv_slots_find(slots, ~0ULL, (try = hint, &try)));
	}
	KUNIT_EXPECT_FALSE(test, lhv_slots_overlap(slots, 0, 16, NULL));
	KUNIT_EXPECT_TRUE(test, lhv_slots_overlap(slots, 0, 17, NULL));
	KUNIT_EXPECT_TRUE(test, lhv_slots_overlap(slots, 17, 1, NULL));
	KUNIT_EXPECT_FALSE(test, lhv_slots_overlap(slots, 17, 1, &a));
	KUNIT_EXPECT_TRUE(test, lhv_slots_overlap(slots, 17, 4, &a));
	KUNIT_EXPECT_FALSE(test, lhv_slots_overlap(slots, 21, 1000, NULL));
	KUNIT_EXPECT_EQ(test, lhv_slot_hva(&a, 18), 0x102000UL);
	kvfree(slots);
}

/* Slots come and go at random; both indexes agree with a plain search. */
static void random(struct kunit *test)
{
	struct lhv_slot *all = kunit_kcalloc(test, NR_SLOTS, sizeof(*all), GFP_KERNEL);
	struct lhv_slots *slots = replace(test, NULL, NULL, NULL);
	bool in[NR_SLOTS] = {};
	struct rnd_state rnd;
	unsigned int hint = 0;
	int i, j, round;

	KUNIT_ASSERT_NOT_NULL(test, all);
	prandom_seed_state(&rnd, 1);
	for (i = 0; i < NR_SLOTS; i++) {
		all[i].base_gfn = 10 * i;
		all[i].npages = 1 + prandom_u32_state(&rnd) % 10;
		/* Some share memory of the VMM. */
		all[i].hva = (prandom_u32_state(&rnd) % 200) << PAGE_SHIFT;
	}

	for (round = 0; round < 500; round++) {
		gfn_t gfn = prandom_u32_state(&rnd) % (10 * NR_SLOTS + 10);
		unsigned long start = (prandom_u32_state(&rnd) % 220) << PAGE_SHIFT;
		unsigned long end = start + ((1 + prandom_u32_state(&rnd) % 8) << PAGE_SHIFT);
		struct lhv_slot *s, *want = NULL;
		int seen = 0, expected = 0;

		i = prandom_u32_state(&rnd) % NR_SLOTS;
		slots = replace(test, slots, in[i] ? &all[i] : NULL, in[i] ? NULL : &all[i]);
		in[i] = !in[i];
		check_sorted(test, slots);
		if (round % 50 == 0) {
			struct lhv_slots *copy = lhv_slots_alloc(slots, NR_SLOTS + round);

			KUNIT_ASSERT_NOT_NULL(test, copy);
			kvfree(slots);
			slots = copy;
			check_sorted(test, slots);
		}

		for (j = 0; j < NR_SLOTS; j++) {
			if (!in[j])
				continue;
			if (gfn >= all[j].base_gfn && gfn < all[j].base_gfn + all[j].npages)
				want = &all[j];
			expected += all[j].hva < end && lhv_slot_hva_end(&all[j]) > start;
		}
		KUNIT_ASSERT_PTR_EQ(test, lhv_slots_find(slots, gfn, &hint), want);
		KUNIT_ASSERT_EQ(test, lhv_slots_overlap(slots, gfn, 1, NULL), !!want);
		lhv_for_each_slot_hva(j, s, slots, start, end) {
			KUNIT_ASSERT_TRUE(test, s->hva < end && lhv_slot_hva_end(s) > start);
			seen++;
		}
		KUNIT_ASSERT_EQ(test, seen, expected);
	}
	kvfree(slots);
}

/* One out and one in at once, at a neighbouring place: as a change of flags does. */
static void swap_one(struct kunit *test)
{
	struct lhv_slot a = { .base_gfn = 0, .npages = 1, .hva = 0x1000 };
	struct lhv_slot b = { .base_gfn = 5, .npages = 1, .hva = 0x2000 };
	struct lhv_slot c = { .base_gfn = 5, .npages = 1, .hva = 0x2000, .flags = 1 };
	struct lhv_slots *slots = replace(test, NULL, NULL, &a);
	unsigned int hint = 0;

	slots = replace(test, slots, NULL, &b);
	slots = replace(test, slots, &b, &c);
	KUNIT_EXPECT_EQ(test, slots->n, 2);
	check_sorted(test, slots);
	KUNIT_EXPECT_PTR_EQ(test, lhv_slots_find(slots, 5, &hint), &c);
	KUNIT_EXPECT_PTR_EQ(test, lhv_slots_find(slots, 0, &hint), &a);
	slots = replace(test, slots, &a, &b);
	slots = replace(test, slots, &b, NULL);
	KUNIT_EXPECT_PTR_EQ(test, slots->by_hva[0], &c);
	kvfree(slots);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(empty),
	KUNIT_CASE(edges),
	KUNIT_CASE(random),
	KUNIT_CASE(swap_one),
	{}
};

static struct kunit_suite suite = {
	.name = "lhv_mem_slots",
	.test_cases = cases,
};
kunit_test_suite(suite);
