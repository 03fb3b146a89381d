// SPDX-License-Identifier: GPL-2.0
/* lhv cpu/ - KUnit: the instruction decoder. */
#include <kunit/test.h>
#include <linux/string.h>

#include "lhv.h"
#include "decode_cases.h"

static void decode_lengths(struct kunit *test)
{
	struct lhv_insn insn;
	unsigned int i, len;

	for (i = 0; i < ARRAY_SIZE(decode_cases); i++) {
		enum lhv_insn_mode mode = decode_cases[i].mode;
		u8 bytes[LHV_INSN_MAX];

		memset(bytes, 0x90, sizeof(bytes));
		memcpy(bytes, decode_cases[i].bytes, decode_cases[i].len);
		KUNIT_EXPECT_EQ_MSG(test, LHV_INSN_OK,
				    lhv_decode(&insn, bytes, sizeof(bytes), mode), "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, decode_cases[i].len, insn.len, "case %u", i);
		for (len = 0; len < decode_cases[i].len; len++)
			KUNIT_EXPECT_EQ_MSG(test, LHV_INSN_SHORT,
					    lhv_decode(&insn, bytes, len, mode),
					    "case %u cut to %u", i, len);
	}
}

#define NO	LHV_INSN_NOREG
#define B(...)	{ __VA_ARGS__ }

static const struct operand_case {
	u8 mode;
	u8 bytes[LHV_INSN_MAX];
	u8 op, form, op_size, mem_size, addr_size, seg, reg, base, index, scale;
	s64 disp, imm;
} operand_cases[] = {
	/* mov %eax,0xb0(%rdi) */
	{ M64, B(0x89, 0x87, 0xb0, 0, 0, 0), LHV_OP_MOV, LHV_FORM_MR, 4, 4, 8, LHV_DS, LHV_RAX,
	  LHV_RDI, NO, 0, 0xb0, 0 },
	/* mov %r15,-8(%r13,%r12,8) */
	{ M64, B(0x4f, 0x89, 0x7c, 0xe5, 0xf8), LHV_OP_MOV, LHV_FORM_MR, 8, 8, 8, LHV_DS, LHV_R15,
	  LHV_R13, LHV_R12, 3, -8, 0 },
	/* mov 0x10(%rsp),%al */
	{ M64, B(0x8a, 0x44, 0x24, 0x10), LHV_OP_MOV, LHV_FORM_RM, 1, 1, 8, LHV_SS, LHV_RAX,
	  LHV_RSP, NO, 0, 0x10, 0 },
	/* movl $-1,%fs:(%rbp): the override beats the default */
	{ M64, B(0x64, 0xc7, 0x45, 0, 0xff, 0xff, 0xff, 0xff), LHV_OP_MOV, LHV_FORM_MI, 4, 4, 8,
	  LHV_FS, 0, LHV_RBP, NO, 0, 0, -1 },
	/* movq $0x7fffffff,(%rax) */
	{ M64, B(0x48, 0xc7, 0, 0xff, 0xff, 0xff, 0x7f), LHV_OP_MOV, LHV_FORM_MI, 8, 8, 8, LHV_DS,
	  0, LHV_RAX, NO, 0, 0, 0x7fffffff },
	/* %cs: means nothing in 64-bit mode, nor does it undo %gs: */
	{ M64, B(0x65, 0x2e, 0x8b, 0x03), LHV_OP_MOV, LHV_FORM_RM, 4, 4, 8, LHV_GS, LHV_RAX,
	  LHV_RBX, NO, 0, 0, 0 },
	/* mov 0xfee00020,%eax with SIB and no base */
	{ M64, B(0x8b, 0x04, 0x25, 0x20, 0, 0xe0, 0xfe), LHV_OP_MOV, LHV_FORM_RM, 4, 4, 8, LHV_DS,
	  LHV_RAX, NO, NO, 0, (s32)0xfee00020, 0 },
	/* movabs 0x1122334455667788,%al */
	{ M64, B(0xa0, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11), LHV_OP_MOV, LHV_FORM_RM,
	  1, 1, 8, LHV_DS, LHV_RAX, NO, NO, 0, 0x1122334455667788, 0 },
	/* movzwl (%eax,%ecx,2),%edx */
	{ M64, B(0x67, 0x0f, 0xb7, 0x14, 0x48), LHV_OP_MOVZX, LHV_FORM_RM, 4, 2, 4, LHV_DS,
	  LHV_RDX, LHV_RAX, LHV_RCX, 1, 0, 0 },
	/* movslq (%rbx),%rax; the same bytes are ARPL in 32-bit mode */
	{ M64, B(0x48, 0x63, 0x03), LHV_OP_MOVSX, LHV_FORM_RM, 8, 4, 8, LHV_DS, LHV_RAX,
	  LHV_RBX, NO, 0, 0, 0 },
	/* orw $0x80ff (sign-extended), (%rdx) */
	{ M64, B(0x66, 0x81, 0x0a, 0xff, 0x80), LHV_OP_OR, LHV_FORM_MI, 2, 2, 8, LHV_DS, 1,
	  LHV_RDX, NO, 0, 0, (s16)0x80ff },
	/* cmpb $0x80,(%rdx) */
	{ M64, B(0x80, 0x3a, 0x80), LHV_OP_CMP, LHV_FORM_MI, 1, 1, 8, LHV_DS, 7, LHV_RDX, NO, 0,
	  0, -128 },
	/* testl $1,(%rdx); notl; negl */
	{ M64, B(0xf7, 0x02, 1, 0, 0, 0), LHV_OP_TEST, LHV_FORM_MI, 4, 4, 8, LHV_DS, 0, LHV_RDX,
	  NO, 0, 0, 1 },
	{ M64, B(0xf7, 0x12), LHV_OP_NOT, LHV_FORM_M, 4, 4, 8, LHV_DS, 2, LHV_RDX, NO, 0, 0, 0 },
	{ M64, B(0xf7, 0x1a), LHV_OP_NEG, LHV_FORM_M, 4, 4, 8, LHV_DS, 3, LHV_RDX, NO, 0, 0, 0 },
	/* btsl $33,(%rdx) */
	{ M64, B(0x0f, 0xba, 0x2a, 33), LHV_OP_BTS, LHV_FORM_MI, 4, 4, 8, LHV_DS, 5, LHV_RDX, NO,
	  0, 0, 33 },
	/* push (%rax) */
	{ M64, B(0xff, 0x30), LHV_OP_PUSH, LHV_FORM_M, 8, 8, 8, LHV_DS, 6, LHV_RAX, NO, 0, 0, 0 },
	/* cmpxchg8b and cmpxchg16b */
	{ M64, B(0x0f, 0xc7, 0x08), LHV_OP_CMPXCHG8B, LHV_FORM_M, 4, 8, 8, LHV_DS, 1, LHV_RAX, NO,
	  0, 0, 0 },
	{ M64, B(0x48, 0x0f, 0xc7, 0x08), LHV_OP_CMPXCHG8B, LHV_FORM_M, 8, 16, 8, LHV_DS, 1,
	  LHV_RAX, NO, 0, 0, 0 },
	/* movdqa (%rax),%xmm9; movq %xmm1,(%rax); movss (%rax),%xmm0 */
	{ M64, B(0x66, 0x44, 0x0f, 0x6f, 0x08), LHV_OP_VMOV, LHV_FORM_RM, 16, 16, 8, LHV_DS, 9,
	  LHV_RAX, NO, 0, 0, 0 },
	{ M64, B(0x66, 0x0f, 0xd6, 0x08), LHV_OP_VMOV, LHV_FORM_MR, 16, 8, 8, LHV_DS, 1, LHV_RAX,
	  NO, 0, 0, 0 },
	{ M64, B(0xf3, 0x0f, 0x10, 0x00), LHV_OP_VMOV, LHV_FORM_RM, 16, 4, 8, LHV_DS, 0, LHV_RAX,
	  NO, 0, 0, 0 },
	/* 16-bit addressing: mov 0x12(%bp,%di),%ax; mov 0x1234,%bx; %bx+%si */
	{ M16, B(0x8b, 0x43, 0x12), LHV_OP_MOV, LHV_FORM_RM, 2, 2, 2, LHV_SS, LHV_RAX, LHV_RBP,
	  LHV_RDI, 0, 0x12, 0 },
	{ M16, B(0x8b, 0x1e, 0x34, 0x12), LHV_OP_MOV, LHV_FORM_RM, 2, 2, 2, LHV_DS, LHV_RBX, NO,
	  NO, 0, 0x1234, 0 },
	{ M16, B(0x26, 0x66, 0x89, 0x00), LHV_OP_MOV, LHV_FORM_MR, 4, 4, 2, LHV_ES, LHV_RAX,
	  LHV_RBX, LHV_RSI, 0, 0, 0 },
	/* 32-bit addressing from 16-bit code */
	{ M16, B(0x67, 0x8b, 0x45, 0xfc), LHV_OP_MOV, LHV_FORM_RM, 2, 2, 4, LHV_SS, LHV_RAX,
	  LHV_RBP, NO, 0, -4, 0 },
	/* 32-bit: disp32 without base is absolute */
	{ M32, B(0x8b, 0x0d, 0, 0, 0xe0, 0xfe), LHV_OP_MOV, LHV_FORM_RM, 4, 4, 4, LHV_DS, LHV_RCX,
	  NO, NO, 0, (s32)0xfee00000, 0 },
	/* strings */
	{ M32, B(0xf3, 0x2e, 0xa5), LHV_OP_MOVS, LHV_FORM_STR, 4, 4, 4, LHV_CS, 0, NO, NO, 0, 0,
	  0 },
	{ M64, B(0xf2, 0xae), LHV_OP_SCAS, LHV_FORM_STR, 1, 1, 8, LHV_DS, 0, NO, NO, 0, 0, 0 },
};

static void decode_operands(struct kunit *test)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(operand_cases); i++) {
		const struct operand_case *c = &operand_cases[i];
		struct lhv_insn insn;

		KUNIT_EXPECT_EQ_MSG(test, LHV_INSN_OK,
				    lhv_decode(&insn, c->bytes, LHV_INSN_MAX, c->mode),
				    "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, c->op, insn.op, "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, c->form, insn.form, "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, c->op_size, insn.op_size, "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, c->mem_size, insn.mem_size, "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, c->addr_size, insn.addr_size, "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, c->seg, insn.seg, "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, c->reg, insn.reg, "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, c->base, insn.base, "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, c->index, insn.index, "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, c->scale, insn.scale, "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, c->disp, insn.disp, "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, c->imm, insn.imm, "case %u", i);
	}
}

static void decode_refuses(struct kunit *test)
{
	static const struct {
		u8 mode, len;
		u8 bytes[16];
		enum lhv_insn_status want;
	} cases[] = {
		{ M64, 16, B([0 ... 13] = 0x66, 0x0f, 0xa2), LHV_INSN_LONG },
		{ M64, 15, B([0 ... 14] = 0x66), LHV_INSN_LONG },
		{ M64, 14, B([0 ... 13] = 0x66), LHV_INSN_SHORT },
		{ M64, 4, B(0x06, 0x90, 0x90, 0x90), LHV_INSN_BAD },	/* push %es */
		{ M64, 4, B(0x0f, 0x04, 0x90, 0x90), LHV_INSN_BAD },
		{ M64, 7, B(0x62, 0xf1, 0x7c, 0x48, 0x10, 0x00, 0x90), LHV_INSN_BAD }, /* EVEX */
		{ M64, 5, B(0x66, 0xc5, 0xf8, 0x10, 0x03), LHV_INSN_BAD },	/* 66 and VEX */
		{ M64, 0, B(0), LHV_INSN_SHORT },
	};
	struct lhv_insn insn;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		KUNIT_EXPECT_EQ_MSG(test, cases[i].want,
				    lhv_decode(&insn, cases[i].bytes, cases[i].len, cases[i].mode),
				    "case %u", i);
}

static void decode_addresses(struct kunit *test)
{
	u64 regs[LHV_NR_REGS] = { [LHV_RAX] = 0x1000, [LHV_RCX] = 0xffffffffffffff00,
				  [LHV_RBX] = 0x12340fff0, [LHV_RSI] = 0x20 };
	struct lhv_insn insn;

#define EA(mode, want, ...)							\
	do {									\
		static const u8 bytes[LHV_INSN_MAX] = { __VA_ARGS__ };		\
		KUNIT_ASSERT_EQ(test, LHV_INSN_OK, lhv_decode(&insn, bytes, 15, mode));	\
		KUNIT_EXPECT_EQ(test, (u64)(want), lhv_insn_ea(&insn, regs, 0x400000));	\
	} while (0)
	EA(M64, 0x1000, 0x8b, 0x00);
	EA(M64, 0x1000 - 0x100 * 4 + 8, 0x8b, 0x44, 0x88, 0x08);
	EA(M64, 0x400000 + 6 + 0x10, 0x8b, 0x05, 0x10, 0, 0, 0);		/* RIP-relative */
	EA(M64, 0x400000 + 10 + 0x10, 0xc7, 0x05, 0x10, 0, 0, 0, 1, 2, 3, 4);	/* from its end */
	EA(M64, 0x2340fff0, 0x67, 0x8b, 0x03);		/* cut to 32 bits */
	EA(M16, 0x0010, 0x8b, 0x00);			/* %bx + %si wraps at 64 KiB */
	EA(M64, 0xfffffffffee00020, 0x8b, 0x04, 0x25, 0x20, 0, 0xe0, 0xfe);
#undef EA
}

static struct kunit_case decode_kunit_cases[] = {
	KUNIT_CASE(decode_lengths),
	KUNIT_CASE(decode_operands),
	KUNIT_CASE(decode_refuses),
	KUNIT_CASE(decode_addresses),
	{}
};

static struct kunit_suite decode_suite = {
	.name = "lhv-decode",
	.test_cases = decode_kunit_cases,
};

kunit_test_suite(decode_suite);
