// SPDX-License-Identifier: GPL-2.0
/* KUnit: counting of the 8254, with a clock of our own. */
#include <kunit/test.h>
#include <linux/timex.h>

#include "irq/internal.h"

static struct kvm_pit_channel_state ch[3];

static int pit_init(struct kunit *test)
{
	memset(ch, 0, sizeof(ch));
	return 0;
}

/* The time at which @ticks have just passed. */
static s64 at(u64 ticks)
{
	return DIV_ROUND_UP_ULL(ticks * NSEC_PER_SEC, PIT_TICK_RATE);
}

static void program(int channel, int mode, u16 count, s64 now)
{
	lhv_pit_core_write(ch, 3, channel << 6 | 3 << 4 | mode << 1, now);
	lhv_pit_core_write(ch, channel, count, now);
	lhv_pit_core_write(ch, channel, count >> 8, now);
}

static void terminal_count(struct kunit *test)
{
	program(2, 0, 1000, 0);
	KUNIT_EXPECT_EQ(test, lhv_pit_count(&ch[2], 0), 1000);
	KUNIT_EXPECT_EQ(test, lhv_pit_count(&ch[2], at(400)), 600);
	KUNIT_EXPECT_FALSE(test, lhv_pit_out(&ch[2], at(999)));
	KUNIT_EXPECT_TRUE(test, lhv_pit_out(&ch[2], at(1000)));
	KUNIT_EXPECT_TRUE(test, lhv_pit_out(&ch[2], at(1000000)));
	KUNIT_EXPECT_EQ(test, lhv_pit_count(&ch[2], at(1001)), 0xffff);
	/* The clock never runs backwards for it. */
	KUNIT_EXPECT_EQ(test, lhv_pit_count(&ch[2], -5), 1000);
}

static void rate_generator(struct kunit *test)
{
	program(0, 2, 1000, 0);
	KUNIT_EXPECT_EQ(test, lhv_pit_count(&ch[0], at(1000)), 1000);
	KUNIT_EXPECT_EQ(test, lhv_pit_count(&ch[0], at(5999)), 1);
	KUNIT_EXPECT_TRUE(test, lhv_pit_out(&ch[0], at(5998)));
	KUNIT_EXPECT_FALSE(test, lhv_pit_out(&ch[0], at(5999)));
	KUNIT_EXPECT_TRUE(test, lhv_pit_out(&ch[0], at(6000)));
	/* Hours do not overflow. */
	KUNIT_EXPECT_LE(test, lhv_pit_count(&ch[0], 86400LL * NSEC_PER_SEC * 365), 1000);
}

static void square_wave(struct kunit *test)
{
	program(0, 3, 1000, 0);
	KUNIT_EXPECT_EQ(test, lhv_pit_count(&ch[0], at(100)), 800);
	KUNIT_EXPECT_EQ(test, lhv_pit_count(&ch[0], at(600)), 800);
	KUNIT_EXPECT_TRUE(test, lhv_pit_out(&ch[0], at(499)));
	KUNIT_EXPECT_FALSE(test, lhv_pit_out(&ch[0], at(500)));
	KUNIT_EXPECT_TRUE(test, lhv_pit_out(&ch[0], at(1000)));
}

static void full_count(struct kunit *test)
{
	program(0, 2, 0, 0);
	KUNIT_EXPECT_EQ(test, ch[0].count, 0x10000);
	KUNIT_EXPECT_EQ(test, lhv_pit_count(&ch[0], at(1)), 0xffff);
	KUNIT_EXPECT_EQ(test, lhv_pit_period_ns(&ch[0]), 54925401ULL);
}

static void access_modes(struct kunit *test)
{
	/* Low byte only, high byte only, both. */
	lhv_pit_core_write(ch, 3, 1 << 4 | 2 << 1, 0);
	KUNIT_EXPECT_TRUE(test, lhv_pit_core_write(ch, 0, 0x34, 0));
	KUNIT_EXPECT_EQ(test, ch[0].count, 0x34);
	lhv_pit_core_write(ch, 3, 2 << 4 | 2 << 1, 0);
	lhv_pit_core_write(ch, 0, 0x12, 0);
	KUNIT_EXPECT_EQ(test, ch[0].count, 0x1200);
	KUNIT_EXPECT_EQ(test, lhv_pit_core_read(ch, 0, 0), 0x12);
	lhv_pit_core_write(ch, 3, 3 << 4 | 2 << 1, 0);
	KUNIT_EXPECT_FALSE(test, lhv_pit_core_write(ch, 0, 0x78, 0));
	KUNIT_EXPECT_TRUE(test, lhv_pit_core_write(ch, 0, 0x56, 0));
	KUNIT_EXPECT_EQ(test, ch[0].count, 0x5678);
	KUNIT_EXPECT_EQ(test, lhv_pit_core_read(ch, 0, 0), 0x78);
	KUNIT_EXPECT_EQ(test, lhv_pit_core_read(ch, 0, 0), 0x56);
	KUNIT_EXPECT_EQ(test, lhv_pit_core_read(ch, 0, 0), 0x78);
	/* Other channels do not re-arm the interrupt. */
	KUNIT_EXPECT_FALSE(test, lhv_pit_core_write(ch, 1, 1, 0));
	KUNIT_EXPECT_EQ(test, lhv_pit_core_read(ch, 3, 0), 0);
}

static void latches(struct kunit *test)
{
	program(0, 2, 1000, 0);
	lhv_pit_core_write(ch, 3, 0, at(100));
	lhv_pit_core_write(ch, 3, 0, at(200));	/* the first latch holds */
	KUNIT_EXPECT_EQ(test, lhv_pit_core_read(ch, 0, at(300)), 900 & 0xff);
	KUNIT_EXPECT_EQ(test, lhv_pit_core_read(ch, 0, at(300)), 900 >> 8);
	KUNIT_EXPECT_EQ(test, lhv_pit_core_read(ch, 0, at(300)), 700 & 0xff);
	lhv_pit_core_read(ch, 0, at(300));

	/* Read back status and count of channel 0: status comes first. */
	lhv_pit_core_write(ch, 3, 3 << 6 | BIT(1), at(400));
	KUNIT_EXPECT_EQ(test, lhv_pit_core_read(ch, 0, at(500)), BIT(7) | 3 << 4 | 2 << 1);
	KUNIT_EXPECT_EQ(test, lhv_pit_core_read(ch, 0, at(500)), 600 & 0xff);
	KUNIT_EXPECT_EQ(test, lhv_pit_core_read(ch, 0, at(500)), 600 >> 8);
}

static struct kunit_case pit_cases[] = {
	KUNIT_CASE(terminal_count),
	KUNIT_CASE(rate_generator),
	KUNIT_CASE(square_wave),
	KUNIT_CASE(full_count),
	KUNIT_CASE(access_modes),
	KUNIT_CASE(latches),
	{}
};

static struct kunit_suite pit_suite = {
	.name = "lhv_pit",
	.init = pit_init,
	.test_cases = pit_cases,
};

kunit_test_suite(pit_suite);
