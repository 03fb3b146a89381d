// SPDX-License-Identifier: GPL-2.0
/* lhv cpu/ - KUnit: results, flags and register operands of emulated instructions. */
#include <kunit/test.h>

#include "lhv.h"

#define CF	X86_EFLAGS_CF
#define PF	X86_EFLAGS_PF
#define AF	X86_EFLAGS_AF
#define ZF	X86_EFLAGS_ZF
#define SF	X86_EFLAGS_SF
#define OF	X86_EFLAGS_OF

static const struct alu_case {
	u8 op, size;
	u64 dst, src, flags;
	u64 want, want_flags;
} alu_cases[] = {
	{ LHV_OP_ADD, 1, 0x7f, 0x01, 0, 0x80, SF | OF | AF },
	{ LHV_OP_ADD, 1, 0xff, 0x01, 0, 0x00, ZF | PF | CF | AF },
	{ LHV_OP_ADD, 4, 0xffffffff, 0xffffffff, 0, 0xfffffffe, SF | CF | AF },
	{ LHV_OP_ADD, 8, 1ULL << 63, 1ULL << 63, 0, 0, ZF | PF | CF | OF },
	{ LHV_OP_ADC, 2, 0xffff, 0x0000, CF, 0, ZF | PF | CF | AF },
	{ LHV_OP_ADC, 8, ~0ULL, ~0ULL, CF, ~0ULL, SF | PF | CF | AF },
	{ LHV_OP_SBB, 1, 0x00, 0xff, CF, 0x00, ZF | PF | CF | AF },
	{ LHV_OP_SBB, 4, 0x80000000, 0, CF, 0x7fffffff, OF | PF | AF },
	{ LHV_OP_SUB, 4, 3, 5, 0, 0xfffffffe, SF | CF | AF },
	{ LHV_OP_SUB, 1, 0x80, 0x01, 0, 0x7f, OF | AF },
	{ LHV_OP_CMP, 8, 5, 5, CF | OF, 5, ZF | PF },
	{ LHV_OP_CMP, 2, 0x1234, 0xffff, 0, 0x1234, CF | AF | PF },
	{ LHV_OP_AND, 4, 0xf0f0, 0x0f0f, CF | OF, 0, ZF | PF },
	{ LHV_OP_OR, 1, 0x80, 0x01, CF, 0x81, SF | PF },
	{ LHV_OP_XOR, 8, ~0ULL, ~0ULL, OF, 0, ZF | PF },
	{ LHV_OP_TEST, 2, 0x8001, 0x8000, CF, 0x8001, SF | PF },
	{ LHV_OP_NOT, 2, 0x00ff, 0, CF | ZF, 0xff00, CF | ZF },
	{ LHV_OP_NEG, 4, 0, 0, CF, 0, ZF | PF },
	{ LHV_OP_NEG, 4, 1, 0, 0, 0xffffffff, SF | PF | CF | AF },
	{ LHV_OP_NEG, 1, 0x80, 0, 0, 0x80, SF | CF | OF },
	{ LHV_OP_INC, 4, 0xffffffff, 0, CF, 0, ZF | PF | AF | CF },
	{ LHV_OP_INC, 1, 0x7f, 0, 0, 0x80, SF | OF | AF },
	{ LHV_OP_DEC, 2, 0, 0, 0, 0xffff, SF | PF | AF },
	{ LHV_OP_DEC, 8, 1ULL << 63, 0, CF, ~0ULL >> 1, OF | PF | AF | CF },
	{ LHV_OP_BT, 4, 0x8, 3, ZF, 0x8, ZF | CF },
	{ LHV_OP_BTS, 2, 0x0, 17, CF, 0x2, 0 },
	{ LHV_OP_BTR, 8, ~0ULL, 63, 0, ~0ULL >> 1, CF },
	{ LHV_OP_BTC, 4, 0x1, 32, 0, 0x0, CF },
};

static void alu(struct kunit *test)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(alu_cases); i++) {
		const struct alu_case *c = &alu_cases[i];
		/* Bits that are no arithmetic flags stay. */
		u64 flags = c->flags | X86_EFLAGS_FIXED | X86_EFLAGS_IF | X86_EFLAGS_DF;

		KUNIT_EXPECT_EQ_MSG(test, c->want, lhv_alu(c->op, c->size, c->dst, c->src, &flags),
				    "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, c->want_flags | X86_EFLAGS_FIXED | X86_EFLAGS_IF |
				    X86_EFLAGS_DF, flags, "case %u", i);
	}
}

static void conditions(struct kunit *test)
{
	static const struct {
		u8 cc;
		u64 flags;
		bool want;
	} cases[] = {
		{ 0x0, OF, true }, { 0x1, OF, false }, { 0x2, CF, true }, { 0x3, 0, true },
		{ 0x4, ZF, true }, { 0x5, ZF, false }, { 0x6, CF, true }, { 0x6, ZF, true },
		{ 0x7, 0, true }, { 0x8, SF, true }, { 0x9, SF, false }, { 0xa, PF, true },
		{ 0xb, PF, false }, { 0xc, SF, true }, { 0xc, SF | OF, false }, { 0xd, OF, false },
		{ 0xe, ZF, true }, { 0xe, OF, true }, { 0xf, 0, true }, { 0xf, SF | OF, true },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		KUNIT_EXPECT_EQ_MSG(test, cases[i].want,
				    lhv_condition(cases[i].cc, cases[i].flags), "case %u", i);
}

static void registers(struct kunit *test)
{
	struct lhv_insn plain = {}, rex = { .rex = 0x40 };
	u64 regs[LHV_NR_REGS] = { [LHV_RAX] = 0x1122334455667788, [LHV_RSP] = 0xaabbccddeeff0011 };

	KUNIT_EXPECT_EQ(test, 0x77ULL, lhv_insn_get_reg(&plain, regs, 4, 1));	/* AH */
	KUNIT_EXPECT_EQ(test, 0x11ULL, lhv_insn_get_reg(&rex, regs, 4, 1));	/* SPL */
	KUNIT_EXPECT_EQ(test, 0x55667788ULL, lhv_insn_get_reg(&plain, regs, LHV_RAX, 4));
	lhv_insn_set_reg(&plain, regs, 4, 1, 0x1ee);
	KUNIT_EXPECT_EQ(test, 0x112233445566ee88ULL, regs[LHV_RAX]);
	lhv_insn_set_reg(&rex, regs, 4, 1, 0x99);
	KUNIT_EXPECT_EQ(test, 0xaabbccddeeff0099ULL, regs[LHV_RSP]);
	lhv_insn_set_reg(&plain, regs, LHV_RAX, 2, 0xabcd);
	KUNIT_EXPECT_EQ(test, 0x112233445566abcdULL, regs[LHV_RAX]);
	lhv_insn_set_reg(&plain, regs, LHV_RAX, 4, 0x80000000);
	KUNIT_EXPECT_EQ(test, 0x80000000ULL, regs[LHV_RAX]);
	lhv_insn_set_reg(&plain, regs, LHV_RAX, 8, ~0ULL);
	KUNIT_EXPECT_EQ(test, ~0ULL, regs[LHV_RAX]);
}

static struct kunit_case emulate_kunit_cases[] = {
	KUNIT_CASE(alu),
	KUNIT_CASE(conditions),
	KUNIT_CASE(registers),
	{}
};

static struct kunit_suite emulate_suite = {
	.name = "lhv-emulate",
	.test_cases = emulate_kunit_cases,
};

kunit_test_suite(emulate_suite);
