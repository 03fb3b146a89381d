// SPDX-License-Identifier: GPL-2.0
/* KUnit: the 8259 pair as a state machine. */
#include <kunit/test.h>

#include "irq/internal.h"

static void program(struct lhv_pic_core *pic, u8 icw4)
{
	static const u8 base[] = { 0x20, 0x28 }, cascade[] = { 0x04, 0x02 };
	int chip;

	lhv_pic_core_reset(pic);
	for (chip = 0; chip < 2; chip++) {
		lhv_pic_core_write(pic, chip, 0, 0x11);
		lhv_pic_core_write(pic, chip, 1, base[chip]);
		lhv_pic_core_write(pic, chip, 1, cascade[chip]);
		lhv_pic_core_write(pic, chip, 1, icw4);
	}
}

static void pulse(struct lhv_pic_core *pic, unsigned int pin)
{
	lhv_pic_core_set(pic, pin, true);
	lhv_pic_core_set(pic, pin, false);
}

static void edges(struct kunit *test)
{
	struct lhv_pic_core pic;

	program(&pic, 0x01);
	KUNIT_EXPECT_FALSE(test, pic.output);
	KUNIT_EXPECT_EQ(test, lhv_pic_core_set(&pic, 3, true), 1);
	KUNIT_EXPECT_TRUE(test, pic.output);
	KUNIT_EXPECT_EQ(test, lhv_pic_core_ack(&pic), 0x23);
	/* Still up: no new edge. */
	lhv_pic_core_write(&pic, 0, 0, 0x20);
	KUNIT_EXPECT_EQ(test, pic.acked, BIT(3));
	KUNIT_EXPECT_FALSE(test, pic.output);
	lhv_pic_core_set(&pic, 3, false);
	pulse(&pic, 3);
	KUNIT_EXPECT_EQ(test, lhv_pic_core_set(&pic, 3, true), 0);
	KUNIT_EXPECT_EQ(test, lhv_pic_core_ack(&pic), 0x23);
}

static void nesting(struct kunit *test)
{
	struct lhv_pic_core pic;

	program(&pic, 0x01);
	pulse(&pic, 4);
	KUNIT_EXPECT_EQ(test, lhv_pic_core_ack(&pic), 0x24);
	pulse(&pic, 6);
	KUNIT_EXPECT_FALSE(test, pic.output);
	pulse(&pic, 1);
	KUNIT_EXPECT_EQ(test, lhv_pic_core_ack(&pic), 0x21);
	lhv_pic_core_write(&pic, 0, 0, 0x0b);
	KUNIT_EXPECT_EQ(test, lhv_pic_core_read(&pic, 0, 0), BIT(1) | BIT(4));
	lhv_pic_core_write(&pic, 0, 0, 0x0a);
	KUNIT_EXPECT_EQ(test, lhv_pic_core_read(&pic, 0, 0), BIT(6));
	/* A non-specific EOI ends the highest, a specific one what it names. */
	lhv_pic_core_write(&pic, 0, 0, 0x20);
	KUNIT_EXPECT_EQ(test, pic.chip[0].isr, BIT(4));
	lhv_pic_core_write(&pic, 0, 0, 0x60 | 4);
	KUNIT_EXPECT_EQ(test, pic.chip[0].isr, 0);
	KUNIT_EXPECT_EQ(test, lhv_pic_core_ack(&pic), 0x26);
}

static void cascade(struct kunit *test)
{
	struct lhv_pic_core pic;

	program(&pic, 0x01);
	pulse(&pic, 12);
	pulse(&pic, 3);
	KUNIT_EXPECT_EQ(test, lhv_pic_core_ack(&pic), 0x2c);
	KUNIT_EXPECT_EQ(test, pic.chip[0].isr, BIT(2));
	KUNIT_EXPECT_EQ(test, pic.chip[1].isr, BIT(4));
	/* A better one on the slave waits for the master's EOI (no special fully nested mode). */
	pulse(&pic, 8);
	KUNIT_EXPECT_FALSE(test, pic.output);
	lhv_pic_core_write(&pic, 1, 0, 0x20);
	lhv_pic_core_write(&pic, 0, 0, 0x20);
	KUNIT_EXPECT_EQ(test, pic.acked & BIT(12), BIT(12));
	KUNIT_EXPECT_EQ(test, lhv_pic_core_ack(&pic), 0x28);

	program(&pic, 0x11);
	pulse(&pic, 12);
	lhv_pic_core_ack(&pic);
	pulse(&pic, 8);
	KUNIT_EXPECT_EQ(test, lhv_pic_core_ack(&pic), 0x28);
}

static void levels(struct kunit *test)
{
	struct lhv_pic_core pic;

	program(&pic, 0x01);
	pic.chip[1].elcr = BIT(2);
	lhv_pic_core_set(&pic, 10, true);
	KUNIT_EXPECT_EQ(test, lhv_pic_core_ack(&pic), 0x2a);
	lhv_pic_core_write(&pic, 1, 0, 0x20);
	lhv_pic_core_write(&pic, 0, 0, 0x20);
	KUNIT_EXPECT_TRUE(test, pic.output);
	/* It goes away before INTA: spurious. */
	lhv_pic_core_set(&pic, 10, false);
	KUNIT_EXPECT_FALSE(test, pic.output);
	KUNIT_EXPECT_EQ(test, lhv_pic_core_ack(&pic), 0x27);
	KUNIT_EXPECT_EQ(test, pic.chip[0].isr, 0);
}

static void masks(struct kunit *test)
{
	struct lhv_pic_core pic;

	program(&pic, 0x01);
	lhv_pic_core_write(&pic, 0, 1, 0xfe);
	KUNIT_EXPECT_EQ(test, lhv_pic_core_read(&pic, 0, 1), 0xfe);
	KUNIT_EXPECT_EQ(test, lhv_pic_core_set(&pic, 5, true), -1);
	KUNIT_EXPECT_FALSE(test, pic.output);
	lhv_pic_core_write(&pic, 0, 1, 0);
	KUNIT_EXPECT_TRUE(test, pic.output);
	KUNIT_EXPECT_EQ(test, lhv_pic_core_ack(&pic), 0x25);

	/* Special mask mode: what is in service and masked holds nobody back. */
	pulse(&pic, 6);
	KUNIT_EXPECT_FALSE(test, pic.output);
	lhv_pic_core_write(&pic, 0, 0, 0x68);
	lhv_pic_core_write(&pic, 0, 1, BIT(5));
	KUNIT_EXPECT_TRUE(test, pic.output);
	lhv_pic_core_write(&pic, 0, 0, 0x48);
	KUNIT_EXPECT_FALSE(test, pic.output);
}

static void rotation(struct kunit *test)
{
	struct lhv_pic_core pic;

	program(&pic, 0x01);
	pulse(&pic, 1);
	pulse(&pic, 4);
	KUNIT_EXPECT_EQ(test, lhv_pic_core_ack(&pic), 0x21);
	lhv_pic_core_write(&pic, 0, 0, 0xa0);	/* rotate on non-specific EOI */
	pulse(&pic, 1);
	KUNIT_EXPECT_EQ(test, lhv_pic_core_ack(&pic), 0x24);
	lhv_pic_core_write(&pic, 0, 0, 0x20);
	lhv_pic_core_write(&pic, 0, 0, 0xc0 | 0);	/* 1 comes first */
	KUNIT_EXPECT_EQ(test, lhv_pic_core_ack(&pic), 0x21);

	program(&pic, 0x03);	/* automatic EOI, rotating */
	lhv_pic_core_write(&pic, 0, 0, 0x80);
	pulse(&pic, 0);
	KUNIT_EXPECT_EQ(test, lhv_pic_core_ack(&pic), 0x20);
	KUNIT_EXPECT_EQ(test, pic.chip[0].isr, 0);
	KUNIT_EXPECT_EQ(test, pic.chip[0].priority_add, 1);
	KUNIT_EXPECT_EQ(test, pic.acked, BIT(0));
}

static void polling(struct kunit *test)
{
	struct lhv_pic_core pic;

	program(&pic, 0x01);
	lhv_pic_core_write(&pic, 0, 0, 0x0c);
	KUNIT_EXPECT_EQ(test, lhv_pic_core_read(&pic, 0, 0), 0);
	pulse(&pic, 5);
	lhv_pic_core_write(&pic, 0, 0, 0x0c);
	KUNIT_EXPECT_EQ(test, lhv_pic_core_read(&pic, 0, 0), 0x85);
	KUNIT_EXPECT_EQ(test, pic.chip[0].isr, BIT(5));
	KUNIT_EXPECT_FALSE(test, pic.output);
}

static struct kunit_case pic_cases[] = {
	KUNIT_CASE(edges),
	KUNIT_CASE(nesting),
	KUNIT_CASE(cascade),
	KUNIT_CASE(levels),
	KUNIT_CASE(masks),
	KUNIT_CASE(rotation),
	KUNIT_CASE(polling),
	{}
};

static struct kunit_suite pic_suite = {
	.name = "lhv_pic",
	.test_cases = pic_cases,
};

kunit_test_suite(pic_suite);
