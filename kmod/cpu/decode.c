// SPDX-License-Identifier: GPL-2.0
/* lhv cpu/ - instruction decoder: tables, prefixes, ModRM; and arithmetic on values. */
#include <linux/kernel.h>
#include <linux/string.h>
#include <linux/types.h>
#include <asm/processor-flags.h>

#include "decode.h"

/* Attributes of an opcode. */
#define MODRM	0x0001
#define IB	0x0002		/* 8-bit immediate */
#define IW	0x0004		/* 16-bit */
#define IZ	0x0008		/* 16- or 32-bit, by operand size */
#define IV	0x0010		/* 16-, 32- or 64-bit, by operand size */
#define REL	0x0020		/* as IZ, but always 32-bit in 64-bit mode */
#define MOFFS	0x0040		/* address, by address size */
#define FAR	0x0080		/* 16:16 or 16:32 */
#define BYTE	0x0100		/* byte operands */
#define D64	0x0200		/* 64-bit operands by default in 64-bit mode */
#define NO64	0x0400		/* not in 64-bit mode */
#define BAD	0x0800
#define MEM8	0x1000		/* memory operand is smaller than the register */
#define MEM16	0x2000
#define REGS	0x4000		/* ModRM names registers, whatever its mod field says */

struct opcode {
	u16 attr;
	u8 op, form;
};

#define T(a, o, f)	{ .attr = (a), .op = LHV_OP_##o, .form = LHV_FORM_##f }
#define L(a)		{ .attr = (a) }		/* length only */

#define ALU(base, o)							\
	[(base) + 0] = T(MODRM | BYTE, o, MR), [(base) + 1] = T(MODRM, o, MR),	\
	[(base) + 2] = T(MODRM | BYTE, o, RM), [(base) + 3] = T(MODRM, o, RM),	\
	[(base) + 4] = L(IB | BYTE), [(base) + 5] = L(IZ)

/* Prefixes, REX, VEX and escapes are taken before the table is looked at. */
static const struct opcode map0[256] = {
	ALU(0x00, ADD), [0x06 ... 0x07] = L(NO64),
	ALU(0x08, OR), [0x0e] = L(NO64),
	ALU(0x10, ADC), [0x16 ... 0x17] = L(NO64),
	ALU(0x18, SBB), [0x1e ... 0x1f] = L(NO64),
	ALU(0x20, AND), [0x27] = L(NO64),
	ALU(0x28, SUB), [0x2f] = L(NO64),
	ALU(0x30, XOR), [0x37] = L(NO64),
	ALU(0x38, CMP), [0x3f] = L(NO64),
	[0x50 ... 0x5f] = L(D64),
	[0x60 ... 0x61] = L(NO64),
	[0x62] = L(MODRM | NO64),
	[0x63] = T(MODRM, MOVSX, RM),
	[0x68] = L(IZ | D64),
	[0x69] = L(MODRM | IZ),
	[0x6a] = L(IB | D64),
	[0x6b] = L(MODRM | IB),
	[0x6c] = L(BYTE), [0x6d] = L(0), [0x6e] = L(BYTE), [0x6f] = L(0),
	[0x70 ... 0x7f] = L(IB | D64),
	[0x80] = T(MODRM | IB | BYTE, GRP1, MI),
	[0x81] = T(MODRM | IZ, GRP1, MI),
	[0x82] = T(MODRM | IB | BYTE | NO64, GRP1, MI),
	[0x83] = T(MODRM | IB, GRP1, MI),
	[0x84] = T(MODRM | BYTE, TEST, MR), [0x85] = T(MODRM, TEST, MR),
	[0x86] = T(MODRM | BYTE, XCHG, MR), [0x87] = T(MODRM, XCHG, MR),
	[0x88] = T(MODRM | BYTE, MOV, MR), [0x89] = T(MODRM, MOV, MR),
	[0x8a] = T(MODRM | BYTE, MOV, RM), [0x8b] = T(MODRM, MOV, RM),
	[0x8c ... 0x8e] = L(MODRM),
	[0x8f] = T(MODRM | D64, GRP1A, M),
	[0x90 ... 0x99] = L(0),
	[0x9a] = L(FAR | NO64),
	[0x9b] = L(0), [0x9c ... 0x9d] = L(D64), [0x9e ... 0x9f] = L(0),
	[0xa0] = T(MOFFS | BYTE, MOV, RM), [0xa1] = T(MOFFS, MOV, RM),
	[0xa2] = T(MOFFS | BYTE, MOV, MR), [0xa3] = T(MOFFS, MOV, MR),
	[0xa4] = T(BYTE, MOVS, STR), [0xa5] = T(0, MOVS, STR),
	[0xa6] = T(BYTE, CMPS, STR), [0xa7] = T(0, CMPS, STR),
	[0xa8] = L(IB | BYTE), [0xa9] = L(IZ),
	[0xaa] = T(BYTE, STOS, STR), [0xab] = T(0, STOS, STR),
	[0xac] = T(BYTE, LODS, STR), [0xad] = T(0, LODS, STR),
	[0xae] = T(BYTE, SCAS, STR), [0xaf] = T(0, SCAS, STR),
	[0xb0 ... 0xb7] = L(IB | BYTE),
	[0xb8 ... 0xbf] = L(IV),
	[0xc0] = L(MODRM | IB | BYTE), [0xc1] = L(MODRM | IB),
	[0xc2] = L(IW | D64), [0xc3] = L(D64),
	[0xc4 ... 0xc5] = L(MODRM | NO64),
	[0xc6] = T(MODRM | IB | BYTE, GRP11, MI), [0xc7] = T(MODRM | IZ, GRP11, MI),
	[0xc8] = L(IW | IB | D64), [0xc9] = L(D64),
	[0xca] = L(IW), [0xcb ... 0xcc] = L(0), [0xcd] = L(IB), [0xce] = L(NO64), [0xcf] = L(0),
	[0xd0] = L(MODRM | BYTE), [0xd1] = L(MODRM), [0xd2] = L(MODRM | BYTE), [0xd3] = L(MODRM),
	[0xd4 ... 0xd5] = L(IB | NO64), [0xd6] = L(NO64), [0xd7] = L(0),
	[0xd8 ... 0xdf] = L(MODRM),
	[0xe0 ... 0xe3] = L(IB | D64),
	[0xe4] = L(IB | BYTE), [0xe5] = L(IB), [0xe6] = L(IB | BYTE), [0xe7] = L(IB),
	[0xe8 ... 0xe9] = L(REL | D64), [0xea] = L(FAR | NO64), [0xeb] = L(IB | D64),
	[0xec] = L(BYTE), [0xed] = L(0), [0xee] = L(BYTE), [0xef] = L(0),
	[0xf1] = L(0), [0xf4 ... 0xf5] = L(0),
	[0xf6] = T(MODRM | BYTE, GRP3, M), [0xf7] = T(MODRM, GRP3, M),
	[0xf8 ... 0xfd] = L(0),
	[0xfe] = T(MODRM | BYTE, GRP4, M), [0xff] = T(MODRM, GRP5, M),
};

static const struct opcode map1[256] = {
	[0x00 ... 0x03] = L(MODRM), [0x04] = L(BAD), [0x05 ... 0x09] = L(0), [0x0a] = L(BAD),
	[0x0b] = L(0), [0x0c] = L(BAD), [0x0d] = L(MODRM), [0x0e] = L(0), [0x0f] = L(MODRM | IB),
	[0x10] = T(MODRM, VMOV, RM), [0x11] = T(MODRM, VMOV, MR),
	[0x12] = L(MODRM), [0x13] = T(MODRM, VMOV, MR),
	[0x14 ... 0x16] = L(MODRM), [0x17] = T(MODRM, VMOV, MR),
	[0x18 ... 0x1f] = L(MODRM),
	[0x20 ... 0x23] = L(MODRM | REGS),
	[0x24 ... 0x27] = L(BAD),
	[0x28] = T(MODRM, VMOV, RM), [0x29] = T(MODRM, VMOV, MR), [0x2a] = L(MODRM),
	[0x2b] = T(MODRM, VMOV, MR), [0x2c ... 0x2f] = L(MODRM),
	[0x30 ... 0x35] = L(0), [0x36] = L(BAD), [0x37] = L(0), [0x39] = L(BAD),
	[0x3b ... 0x3f] = L(BAD),
	[0x40 ... 0x6d] = L(MODRM),
	[0x6e] = T(MODRM, VMOV, RM), [0x6f] = T(MODRM, VMOV, RM),
	[0x70 ... 0x73] = L(MODRM | IB), [0x74 ... 0x76] = L(MODRM), [0x77] = L(0),
	[0x78 ... 0x79] = L(MODRM), [0x7a ... 0x7b] = L(BAD), [0x7c ... 0x7d] = L(MODRM),
	[0x7e] = T(MODRM, VMOV, MR), [0x7f] = T(MODRM, VMOV, MR),
	[0x80 ... 0x8f] = L(REL | D64),
	[0x90 ... 0x9f] = T(MODRM | BYTE, SETCC, M),
	[0xa0 ... 0xa1] = L(D64), [0xa2] = L(0), [0xa3] = T(MODRM, BT, MR),
	[0xa4] = L(MODRM | IB), [0xa5] = L(MODRM), [0xa6 ... 0xa7] = L(BAD),
	[0xa8 ... 0xa9] = L(D64), [0xaa] = L(0), [0xab] = T(MODRM, BTS, MR),
	[0xac] = L(MODRM | IB), [0xad ... 0xaf] = L(MODRM),
	[0xb0] = T(MODRM | BYTE, CMPXCHG, MR), [0xb1] = T(MODRM, CMPXCHG, MR),
	[0xb2] = L(MODRM), [0xb3] = T(MODRM, BTR, MR), [0xb4 ... 0xb5] = L(MODRM),
	[0xb6] = T(MODRM | MEM8, MOVZX, RM), [0xb7] = T(MODRM | MEM16, MOVZX, RM),
	[0xb8 ... 0xb9] = L(MODRM), [0xba] = T(MODRM | IB, GRP8, MI), [0xbb] = T(MODRM, BTC, MR),
	[0xbc ... 0xbd] = L(MODRM),
	[0xbe] = T(MODRM | MEM8, MOVSX, RM), [0xbf] = T(MODRM | MEM16, MOVSX, RM),
	[0xc0] = T(MODRM | BYTE, XADD, MR), [0xc1] = T(MODRM, XADD, MR),
	[0xc2] = L(MODRM | IB), [0xc3] = T(MODRM, MOV, MR), [0xc4 ... 0xc6] = L(MODRM | IB),
	[0xc7] = T(MODRM, GRP9, M),
	[0xc8 ... 0xcf] = L(0),
	[0xd0 ... 0xd5] = L(MODRM), [0xd6] = T(MODRM, VMOV, MR), [0xd7 ... 0xe6] = L(MODRM),
	[0xe7] = T(MODRM, VMOV, MR), [0xe8 ... 0xef] = L(MODRM), [0xf0] = T(MODRM, VMOV, RM),
	[0xf1 ... 0xff] = L(MODRM),
};

/* Every opcode of 0F38 has a ModRM byte, every one of 0F3A also an immediate byte. */
static const struct opcode map2_default = L(MODRM);
static const struct opcode map2_2a = T(MODRM, VMOV, RM);
static const struct opcode map2_f0 = T(MODRM, MOVBE, RM);
static const struct opcode map2_f1 = T(MODRM, MOVBE, MR);
static const struct opcode map3_default = L(MODRM | IB);

/* Groups: the operation by ModRM.reg. */
static const u8 group[][8] = {
	[LHV_OP_GRP1 - LHV_OP_GRP1] = {
		LHV_OP_ADD, LHV_OP_OR, LHV_OP_ADC, LHV_OP_SBB,
		LHV_OP_AND, LHV_OP_SUB, LHV_OP_XOR, LHV_OP_CMP },
	[LHV_OP_GRP1A - LHV_OP_GRP1] = { LHV_OP_POP },
	[LHV_OP_GRP3 - LHV_OP_GRP1] = {
		LHV_OP_TEST, LHV_OP_TEST, LHV_OP_NOT, LHV_OP_NEG },
	[LHV_OP_GRP4 - LHV_OP_GRP1] = { LHV_OP_INC, LHV_OP_DEC },
	[LHV_OP_GRP5 - LHV_OP_GRP1] = {
		LHV_OP_INC, LHV_OP_DEC, [6] = LHV_OP_PUSH },
	[LHV_OP_GRP8 - LHV_OP_GRP1] = {
		[4] = LHV_OP_BT, LHV_OP_BTS, LHV_OP_BTR, LHV_OP_BTC },
	[LHV_OP_GRP9 - LHV_OP_GRP1] = { [1] = LHV_OP_CMPXCHG8B },
	[LHV_OP_GRP11 - LHV_OP_GRP1] = { LHV_OP_MOV },
};

/* Vector moves: opcode and mandatory prefix (0, 66, F3, F2) to size and kind. */
struct vector_move {
	u8 map, opcode, prefix;
	u8 size;	/* 0: 4, or 8 with REX.W */
	u16 flags;
	u8 form;	/* 0: as in the opcode table */
};

static const struct vector_move vector_moves[] = {
	{ 1, 0x10, 0x00, 16 }, { 1, 0x10, 0x66, 16 }, { 1, 0x10, 0xf3, 4 }, { 1, 0x10, 0xf2, 8 },
	{ 1, 0x11, 0x00, 16 }, { 1, 0x11, 0x66, 16 }, { 1, 0x11, 0xf3, 4 }, { 1, 0x11, 0xf2, 8 },
	{ 1, 0x13, 0x00, 8 }, { 1, 0x13, 0x66, 8 },
	{ 1, 0x17, 0x00, 8, LHV_INSN_HIGH }, { 1, 0x17, 0x66, 8, LHV_INSN_HIGH },
	{ 1, 0x28, 0x00, 16, LHV_INSN_ALIGNED }, { 1, 0x28, 0x66, 16, LHV_INSN_ALIGNED },
	{ 1, 0x29, 0x00, 16, LHV_INSN_ALIGNED }, { 1, 0x29, 0x66, 16, LHV_INSN_ALIGNED },
	{ 1, 0x2b, 0x00, 16, LHV_INSN_ALIGNED }, { 1, 0x2b, 0x66, 16, LHV_INSN_ALIGNED },
	{ 1, 0x6e, 0x66, 0 }, { 1, 0x7e, 0x66, 0 }, { 1, 0x7e, 0xf3, 8, 0, LHV_FORM_RM },
	{ 1, 0x6f, 0x66, 16, LHV_INSN_ALIGNED }, { 1, 0x6f, 0xf3, 16 },
	{ 1, 0x7f, 0x66, 16, LHV_INSN_ALIGNED }, { 1, 0x7f, 0xf3, 16 },
	{ 1, 0xd6, 0x66, 8 },
	{ 1, 0xe7, 0x66, 16, LHV_INSN_ALIGNED },
	{ 1, 0xf0, 0xf2, 16 },
	{ 2, 0x2a, 0x66, 16, LHV_INSN_ALIGNED },
};

enum { ES, CS, SS, DS, FS, GS };	/* numbers of the encoding */
enum { RAX = 0, RBX = 3, RSP = 4, RBP = 5, RSI = 6, RDI = 7 };

#define NOSEG		0xff
#define REX_B		0x01
#define REX_X		0x02
#define REX_R		0x04
#define REX_W		0x08

/* Reader over the bytes. Past the end it yields zeros and says so at the end. */
struct cursor {
	const u8 *bytes;
	unsigned int pos, len;
};

static u8 peek8(const struct cursor *c)
{
	return c->pos < c->len ? c->bytes[c->pos] : 0;
}

static u8 get8(struct cursor *c)
{
	u8 b = peek8(c);

	c->pos++;
	return b;
}

static s64 get(struct cursor *c, unsigned int size)
{
	u64 val = 0;
	unsigned int i;

	for (i = 0; i < size; i++)
		val |= (u64)get8(c) << (i * 8);
	return (s64)(val << (64 - size * 8)) >> (64 - size * 8);
}

static enum lhv_insn_status verdict(const struct cursor *c)
{
	if (c->pos > LHV_INSN_MAX)
		return LHV_INSN_LONG;
	return c->pos > c->len ? LHV_INSN_SHORT : LHV_INSN_OK;
}

/* Legacy prefixes and REX, in any order and number; a REX counts only right before the opcode. */
static u8 decode_prefixes(struct lhv_insn *insn, struct cursor *c)
{
	bool long_mode = insn->mode == LHV_MODE_64;
	u8 seg = NOSEG;

	for (; c->pos < c->len; c->pos++) {
		u8 b = peek8(c);

		if (long_mode && (b & 0xf0) == 0x40) {
			insn->rex = b;
			continue;
		}
		switch (b) {
		case 0x26: case 0x2e: case 0x36: case 0x3e:
			if (!long_mode)		/* null prefixes in 64-bit mode */
				seg = (b >> 3) & 3;
			break;
		case 0x64: case 0x65:
			seg = FS + (b & 1);
			break;
		case 0x66:
			insn->flags |= LHV_INSN_66;
			break;
		case 0x67:
			insn->flags |= LHV_INSN_67;
			break;
		case 0xf0:
			insn->flags |= LHV_INSN_LOCK;
			break;
		case 0xf2:		/* of F2 and F3 the last one counts */
			insn->flags = (insn->flags & ~LHV_INSN_REP) | LHV_INSN_REPNE;
			break;
		case 0xf3:
			insn->flags = (insn->flags & ~LHV_INSN_REPNE) | LHV_INSN_REP;
			break;
		default:
			return seg;
		}
		insn->rex = 0;
	}
	return seg;
}

/* C4 and C5, where they are not LES and LDS. False: bad. */
static bool decode_vex(struct lhv_insn *insn, struct cursor *c, bool three)
{
	static const u16 pp[4] = { 0, LHV_INSN_66, LHV_INSN_REP, LHV_INSN_REPNE };
	u8 p0, p1;

	if (insn->rex ||
	    (insn->flags & (LHV_INSN_66 | LHV_INSN_REP | LHV_INSN_REPNE | LHV_INSN_LOCK)))
		return false;
	p0 = get8(c);
	insn->map = 1;
	p1 = p0;
	insn->rex = (~p0 >> 5) & REX_R;
	if (three) {
		p1 = get8(c);
		insn->map = p0 & 0x1f;
		insn->rex = (~p0 >> 5) & (REX_R | REX_X | REX_B);
		if (p1 & 0x80)
			insn->rex |= REX_W;
	}
	if (insn->mode != LHV_MODE_64)
		insn->rex &= REX_W;
	insn->flags |= LHV_INSN_VEX | pp[p1 & 3];
	insn->opcode = get8(c);
	/* 256-bit operands are not known to the emulator; the length is the same. */
	return insn->map >= 1 && insn->map <= 3;
}

static void decode_mem16(struct lhv_insn *insn, struct cursor *c, u8 *seg)
{
	static const u8 bases[8] = { RBX, RBX, RBP, RBP, RSI, RDI, RBP, RBX };
	static const u8 indices[8] = { RSI, RDI, RSI, RDI, LHV_INSN_NOREG, LHV_INSN_NOREG,
				       LHV_INSN_NOREG, LHV_INSN_NOREG };
	u8 mod = insn->modrm >> 6, rm = insn->modrm & 7;

	insn->base = bases[rm];
	insn->index = indices[rm];
	if (!mod && rm == 6) {
		insn->base = LHV_INSN_NOREG;
		insn->disp = get(c, 2);
	} else if (mod) {
		insn->disp = get(c, mod);	/* 1 or 2 bytes */
	}
	if (*seg == NOSEG)
		*seg = insn->base == RBP ? SS : DS;
}

static void decode_mem32(struct lhv_insn *insn, struct cursor *c, u8 *seg)
{
	u8 mod = insn->modrm >> 6, base = insn->modrm & 7;

	insn->base = base | (insn->rex & REX_B ? 8 : 0);
	if (base == RSP) {
		u8 sib = get8(c);

		base = sib & 7;
		insn->base = base | (insn->rex & REX_B ? 8 : 0);
		insn->index = ((sib >> 3) & 7) | (insn->rex & REX_X ? 8 : 0);
		insn->scale = sib >> 6;
		if (insn->index == RSP)
			insn->index = LHV_INSN_NOREG;
		if (!mod && base == RBP) {
			insn->base = LHV_INSN_NOREG;
			insn->disp = get(c, 4);
		}
	} else if (!mod && base == RBP) {
		insn->base = LHV_INSN_NOREG;
		insn->disp = get(c, 4);
		if (insn->mode == LHV_MODE_64)
			insn->flags |= LHV_INSN_RIP_REL;
	}
	if (mod)
		insn->disp = get(c, mod == 1 ? 1 : 4);
	if (*seg == NOSEG)
		*seg = insn->base == RSP || insn->base == RBP ? SS : DS;
}

static void decode_modrm(struct lhv_insn *insn, struct cursor *c, u16 attr, u8 *seg)
{
	insn->modrm = get8(c);
	insn->flags |= LHV_INSN_MODRM;
	insn->reg = ((insn->modrm >> 3) & 7) | (insn->rex & REX_R ? 8 : 0);
	if (insn->modrm >= 0xc0 || (attr & REGS)) {
		insn->rm = (insn->modrm & 7) | (insn->rex & REX_B ? 8 : 0);
		return;
	}
	insn->flags |= LHV_INSN_MEM;
	if (insn->addr_size == 2)
		decode_mem16(insn, c, seg);
	else
		decode_mem32(insn, c, seg);
}

static void decode_sizes(struct lhv_insn *insn, u16 attr)
{
	bool p66 = insn->flags & LHV_INSN_66, p67 = insn->flags & LHV_INSN_67;

	switch (insn->mode) {
	case LHV_MODE_64:
		insn->addr_size = p67 ? 4 : 8;
		if (insn->rex & REX_W)
			insn->op_size = 8;
		else if (p66)
			insn->op_size = 2;
		else
			insn->op_size = attr & D64 ? 8 : 4;
		break;
	case LHV_MODE_32:
		insn->addr_size = p67 ? 2 : 4;
		insn->op_size = p66 ? 2 : 4;
		break;
	default:
		insn->addr_size = p67 ? 4 : 2;
		insn->op_size = p66 ? 4 : 2;
		break;
	}
	if (attr & BYTE)
		insn->op_size = 1;
	insn->mem_size = insn->op_size;
	if (attr & MEM8)
		insn->mem_size = 1;
	else if (attr & MEM16)
		insn->mem_size = 2;
}

static void decode_immediate(struct lhv_insn *insn, struct cursor *c, u16 attr)
{
	unsigned int z = insn->op_size == 2 ? 2 : 4;

	if (attr & IW)
		insn->imm = get(c, 2);
	if (attr & IB)
		insn->imm = get(c, 1);
	if (attr & IZ)
		insn->imm = get(c, z);
	if (attr & IV)
		insn->imm = get(c, insn->op_size);
	if (attr & REL)
		insn->imm = get(c, insn->mode == LHV_MODE_64 ? 4 : z);
	if (attr & MOFFS) {
		insn->disp = get(c, insn->addr_size);
		insn->flags |= LHV_INSN_MEM;
	}
	if (attr & FAR)
		insn->imm = get(c, z + 2);
	/* EXTRQ and INSERTQ have two immediate bytes. */
	if (insn->map == 1 && insn->opcode == 0x78 &&
	    (insn->flags & (LHV_INSN_66 | LHV_INSN_REPNE)))
		insn->imm = get(c, 2);
}

static void decode_vector_move(struct lhv_insn *insn)
{
	u8 prefix = 0;
	unsigned int i;

	if (insn->flags & LHV_INSN_REPNE)
		prefix = 0xf2;
	else if (insn->flags & LHV_INSN_REP)
		prefix = 0xf3;
	else if (insn->flags & LHV_INSN_66)
		prefix = 0x66;
	for (i = 0; i < ARRAY_SIZE(vector_moves); i++) {
		const struct vector_move *v = &vector_moves[i];

		if (v->map != insn->map || v->opcode != insn->opcode || v->prefix != prefix)
			continue;
		insn->mem_size = v->size ?: (insn->rex & REX_W ? 8 : 4);
		insn->op_size = 16;
		insn->flags |= v->flags;
		if (v->form)
			insn->form = v->form;
		return;
	}
	insn->op = LHV_OP_NONE;		/* MMX and what else shares the opcode */
}

/* Operations that depend on more than the opcode. */
static void decode_op(struct lhv_insn *insn)
{
	u8 reg = (insn->modrm >> 3) & 7;

	if (insn->op >= LHV_OP_GRP1) {
		if (insn->op == LHV_OP_GRP9)
			insn->mem_size = insn->rex & REX_W ? 16 : 8;
		insn->op = group[insn->op - LHV_OP_GRP1][reg];
		if (insn->op == LHV_OP_PUSH && insn->mode == LHV_MODE_64 && insn->op_size == 4) {
			insn->op_size = 8;
			insn->mem_size = 8;
		}
	}
	switch (insn->op) {
	case LHV_OP_TEST:
		if (insn->form == LHV_FORM_M)
			insn->form = LHV_FORM_MI;
		break;
	case LHV_OP_MOVSX:
		if (insn->map == 0) {		/* ARPL outside 64-bit mode */
			if (insn->mode == LHV_MODE_64)
				insn->mem_size = insn->op_size == 2 ? 2 : 4;
			else
				insn->op = LHV_OP_NONE;
		}
		break;
	case LHV_OP_MOVBE:
		if (insn->flags & (LHV_INSN_REPNE | LHV_INSN_REP))	/* CRC32 */
			insn->op = LHV_OP_NONE;
		break;
	case LHV_OP_VMOV:
		decode_vector_move(insn);
		break;
	}
	/* The VEX forms are known by length alone; register forms never meet memory. */
	if ((insn->flags & LHV_INSN_VEX) ||
	    (insn->form != LHV_FORM_STR && !(insn->flags & LHV_INSN_MEM)))
		insn->op = LHV_OP_NONE;
}

static const struct opcode *lookup(const struct lhv_insn *insn)
{
	switch (insn->map) {
	case 0:
		return &map0[insn->opcode];
	case 1:
		return &map1[insn->opcode];
	case 2:
		switch (insn->opcode) {
		case 0x2a:
			return &map2_2a;
		case 0xf0:
			return &map2_f0;
		case 0xf1:
			return &map2_f1;
		default:
			return &map2_default;
		}
	default:
		return &map3_default;
	}
}

/* Opcode bytes with their escapes. False: bad. */
static bool decode_opcode(struct lhv_insn *insn, struct cursor *c)
{
	bool long_mode = insn->mode == LHV_MODE_64;
	u8 b = get8(c);

	insn->opcode = b;
	if (b == 0x0f) {
		insn->map = 1;
		insn->opcode = get8(c);
		if (insn->opcode == 0x38 || insn->opcode == 0x3a) {
			insn->map = insn->opcode == 0x38 ? 2 : 3;
			insn->opcode = get8(c);
		}
		return true;
	}
	/* Outside 64-bit mode a register form of LES, LDS or BOUND is VEX or EVEX instead. */
	if ((b == 0xc4 || b == 0xc5) && (long_mode || peek8(c) >= 0xc0))
		return decode_vex(insn, c, b == 0xc4);
	if (b == 0x62 && (long_mode || peek8(c) >= 0xc0))
		return false;
	/* XOP */
	if (b == 0x8f && (peek8(c) & 0x38))
		return false;
	return true;
}

enum lhv_insn_status lhv_decode(struct lhv_insn *insn, const u8 *bytes, unsigned int len,
				enum lhv_insn_mode mode)
{
	struct cursor c = { .bytes = bytes, .len = len };
	const struct opcode *opcode;
	enum lhv_insn_status status;
	u16 attr;
	bool ok;
	u8 seg;

	memset(insn, 0, sizeof(*insn));
	insn->mode = mode;
	insn->base = LHV_INSN_NOREG;
	insn->index = LHV_INSN_NOREG;

	seg = decode_prefixes(insn, &c);
	ok = decode_opcode(insn, &c);
	status = verdict(&c);
	if (status != LHV_INSN_OK)
		return status;
	if (!ok)
		return LHV_INSN_BAD;

	opcode = lookup(insn);
	attr = opcode->attr;
	insn->op = opcode->op;
	insn->form = opcode->form;
	if ((attr & BAD) || ((attr & NO64) && mode == LHV_MODE_64))
		return LHV_INSN_BAD;

	decode_sizes(insn, attr);
	if (attr & MODRM)
		decode_modrm(insn, &c, attr, &seg);
	/* Of group 3 only TEST has an immediate. */
	if (insn->op == LHV_OP_GRP3 && (insn->modrm & 0x38) <= 0x08)
		attr |= attr & BYTE ? IB : IZ;
	decode_immediate(insn, &c, attr);
	status = verdict(&c);
	if (status != LHV_INSN_OK)
		return status;

	insn->seg = seg == NOSEG ? DS : seg;
	insn->len = c.pos;
	decode_op(insn);
	return LHV_INSN_OK;
}

u64 lhv_insn_ea(const struct lhv_insn *insn, const u64 *regs, u64 rip)
{
	u64 ea = insn->disp;

	if (insn->flags & LHV_INSN_RIP_REL)
		ea += rip + insn->len;
	if (insn->base != LHV_INSN_NOREG)
		ea += regs[insn->base];
	if (insn->index != LHV_INSN_NOREG)
		ea += regs[insn->index] << insn->scale;
	return ea & lhv_size_mask(insn->addr_size);
}

static bool is_high_byte(const struct lhv_insn *insn, u8 nr, unsigned int size)
{
	return size == 1 && !insn->rex && nr >= 4 && nr < 8;
}

u64 lhv_insn_get_reg(const struct lhv_insn *insn, const u64 *regs, u8 nr, unsigned int size)
{
	if (is_high_byte(insn, nr, size))
		return (regs[nr - 4] >> 8) & 0xff;
	return regs[nr & 15] & lhv_size_mask(size);
}

void lhv_insn_set_reg(const struct lhv_insn *insn, u64 *regs, u8 nr, unsigned int size, u64 val)
{
	u64 mask = lhv_size_mask(size);

	if (is_high_byte(insn, nr, size)) {
		nr -= 4;
		val = (val & 0xff) << 8;
		mask = 0xff00;
	} else if (size == 4) {
		mask = ~0ULL;		/* the upper half becomes zero */
		val = (u32)val;
	}
	nr &= 15;
	regs[nr] = (regs[nr] & ~mask) | (val & mask);
}

/* SF, ZF and PF come from the result alone. */
static u64 result_flags(unsigned int size, u64 res)
{
	u64 flags = 0;
	u8 low = res;

	res &= lhv_size_mask(size);
	if (!res)
		flags |= X86_EFLAGS_ZF;
	if (res >> (size * 8 - 1))
		flags |= X86_EFLAGS_SF;
	low ^= low >> 4;
	low ^= low >> 2;
	low ^= low >> 1;
	if (!(low & 1))
		flags |= X86_EFLAGS_PF;
	return flags;
}

#define ALU_FLAGS	(X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | X86_EFLAGS_ZF | \
			 X86_EFLAGS_SF | X86_EFLAGS_OF)

/* CF, OF and AF from the carries (borrows) out of every bit of a + b or a - b, which gave res. */
static u64 carry_flags(unsigned int size, u64 a, u64 b, u64 res, bool sub)
{
	u64 carries = sub ? (~a & b) | (~(a ^ b) & res) : (a & b) | ((a | b) & ~res);
	unsigned int top = size * 8 - 1;
	u64 flags = 0;

	if ((carries >> top) & 1)
		flags |= X86_EFLAGS_CF;
	if (((carries >> top) ^ (carries >> (top - 1))) & 1)
		flags |= X86_EFLAGS_OF;
	if (carries & 8)
		flags |= X86_EFLAGS_AF;
	return flags;
}

static u64 alu_bit(enum lhv_op op, unsigned int size, u64 dst, u64 src, u64 *flags)
{
	u64 bit = 1ULL << (src & (size * 8 - 1));

	*flags &= ~(u64)X86_EFLAGS_CF;
	if (dst & bit)
		*flags |= X86_EFLAGS_CF;
	switch (op) {
	case LHV_OP_BTS:
		return dst | bit;
	case LHV_OP_BTR:
		return dst & ~bit;
	case LHV_OP_BTC:
		return dst ^ bit;
	default:
		return dst;
	}
}

u64 lhv_alu(enum lhv_op op, unsigned int size, u64 dst, u64 src, u64 *flags)
{
	u64 mask = lhv_size_mask(size), changed = ALU_FLAGS, res, new;
	bool carry = *flags & X86_EFLAGS_CF, keep = false;

	dst &= mask;
	src &= mask;
	switch (op) {
	case LHV_OP_BT: case LHV_OP_BTS: case LHV_OP_BTR: case LHV_OP_BTC:
		return alu_bit(op, size, dst, src, flags);
	case LHV_OP_NOT:
		return ~dst & mask;
	case LHV_OP_INC:
		src = 1;
		changed &= ~(u64)X86_EFLAGS_CF;
		fallthrough;
	case LHV_OP_ADD:
		carry = false;
		fallthrough;
	case LHV_OP_ADC:
		res = (dst + src + carry) & mask;
		new = carry_flags(size, dst, src, res, false);
		break;
	case LHV_OP_NEG:
		src = dst;
		dst = 0;
		carry = false;
		res = -src & mask;
		new = carry_flags(size, dst, src, res, true);
		break;
	case LHV_OP_DEC:
		src = 1;
		changed &= ~(u64)X86_EFLAGS_CF;
		fallthrough;
	case LHV_OP_SUB:
	case LHV_OP_CMP:
		carry = false;
		keep = op == LHV_OP_CMP;
		fallthrough;
	case LHV_OP_SBB:
		res = (dst - src - carry) & mask;
		new = carry_flags(size, dst, src, res, true);
		break;
	case LHV_OP_TEST:
		keep = true;
		fallthrough;
	case LHV_OP_AND:
		res = dst & src;
		new = 0;		/* AF is undefined; zero as on hardware */
		break;
	case LHV_OP_OR:
		res = dst | src;
		new = 0;
		break;
	case LHV_OP_XOR:
		res = dst ^ src;
		new = 0;
		break;
	default:
		return dst;
	}
	new |= result_flags(size, res);
	*flags = (*flags & ~changed) | (new & changed);
	return keep ? dst : res;
}

bool lhv_condition(u8 cc, u64 flags)
{
	bool of = flags & X86_EFLAGS_OF, sf = flags & X86_EFLAGS_SF, zf = flags & X86_EFLAGS_ZF;
	bool cf = flags & X86_EFLAGS_CF, res;

	switch ((cc >> 1) & 7) {
	case 0:
		res = of;
		break;
	case 1:
		res = cf;
		break;
	case 2:
		res = zf;
		break;
	case 3:
		res = cf || zf;
		break;
	case 4:
		res = sf;
		break;
	case 5:
		res = flags & X86_EFLAGS_PF;
		break;
	case 6:
		res = sf != of;
		break;
	default:
		res = zf || sf != of;
		break;
	}
	return res != (cc & 1);
}
