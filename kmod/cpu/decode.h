/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lhv cpu/ - instruction decoder and arithmetic.
 *
 * What it is for: the length of any instruction that can exit, and all of those that can
 *	reach a device: operands, sizes, effective address, results, flags.
 * What enters: bytes, the code segment's mode, register values.
 * What leaves: struct lhv_insn, numbers.
 * What it must not know: vCPUs, guest memory; it compiles in user space too.
 */
#ifndef LHV_DECODE_H
#define LHV_DECODE_H

#include <linux/types.h>

#define LHV_INSN_MAX		15	/* longer raises #GP */
#define LHV_INSN_NOREG		0xff

/* Word size of the code segment: of CS.L, CS.D and neither. */
enum lhv_insn_mode { LHV_MODE_16 = 2, LHV_MODE_32 = 4, LHV_MODE_64 = 8 };

enum lhv_insn_status {
	LHV_INSN_OK,
	LHV_INSN_SHORT,		/* more bytes are needed */
	LHV_INSN_LONG,		/* more than LHV_INSN_MAX bytes */
	LHV_INSN_BAD,		/* no such opcode, or one that the decoder does not know */
};

/* What to do. Opcodes of which only the length matters have LHV_OP_NONE. */
enum lhv_op {
	LHV_OP_NONE,
	/* in the order of their encoding */
	LHV_OP_ADD, LHV_OP_OR, LHV_OP_ADC, LHV_OP_SBB,
	LHV_OP_AND, LHV_OP_SUB, LHV_OP_XOR, LHV_OP_CMP,
	LHV_OP_BT, LHV_OP_BTS, LHV_OP_BTR, LHV_OP_BTC,
	LHV_OP_TEST, LHV_OP_NOT, LHV_OP_NEG, LHV_OP_INC, LHV_OP_DEC,
	LHV_OP_MOV, LHV_OP_MOVZX, LHV_OP_MOVSX, LHV_OP_MOVBE,
	LHV_OP_XCHG, LHV_OP_CMPXCHG, LHV_OP_CMPXCHG8B, LHV_OP_XADD, LHV_OP_SETCC,
	LHV_OP_PUSH, LHV_OP_POP,
	LHV_OP_MOVS, LHV_OP_CMPS, LHV_OP_STOS, LHV_OP_LODS, LHV_OP_SCAS,
	LHV_OP_VMOV,		/* vector register, aligned or not (LHV_INSN_ALIGNED) */
	/* resolved by ModRM.reg while decoding, never seen outside */
	LHV_OP_GRP1, LHV_OP_GRP1A, LHV_OP_GRP3, LHV_OP_GRP4, LHV_OP_GRP5, LHV_OP_GRP8, LHV_OP_GRP9,
	LHV_OP_GRP11,
};

enum lhv_form {
	LHV_FORM_NONE,
	LHV_FORM_MR,		/* r/m is the destination, reg the source */
	LHV_FORM_RM,		/* reg is the destination, r/m the source */
	LHV_FORM_MI,		/* r/m and an immediate */
	LHV_FORM_M,		/* r/m alone */
	LHV_FORM_STR,		/* string: rSI, rDI, accumulator */
};

/* struct lhv_insn.flags */
#define LHV_INSN_LOCK		0x0001
#define LHV_INSN_REP		0x0002	/* F3 */
#define LHV_INSN_REPNE		0x0004	/* F2 */
#define LHV_INSN_66		0x0008
#define LHV_INSN_67		0x0010
#define LHV_INSN_MODRM		0x0020
#define LHV_INSN_MEM		0x0040	/* the r/m operand is memory */
#define LHV_INSN_RIP_REL	0x0080
#define LHV_INSN_VEX		0x0100
#define LHV_INSN_ALIGNED	0x0200	/* #GP when the operand is not aligned to its size */
#define LHV_INSN_HIGH		0x0400	/* vector: the high half of the register */

/**
 * struct lhv_insn - a decoded instruction
 * @mode: word size of the code segment it was decoded for
 * @len: its length
 * @map: opcode map: 0 one byte, 1 0F, 2 0F38, 3 0F3A
 * @opcode: last opcode byte
 * @op: enum lhv_op
 * @form: enum lhv_form
 * @op_size: operand size: 1, 2, 4, 8; 16 for vectors
 * @mem_size: size of the memory operand
 * @addr_size: 2, 4, 8
 * @seg: segment of the memory operand (of rSI for strings)
 * @rex: REX byte (or what VEX says instead), 0 for none
 * @modrm: ModRM byte
 * @reg: ModRM.reg, extended by REX.R (VEX.R)
 * @rm: ModRM.rm, extended by REX.B, when it is a register
 * @base, @index: registers of the address, LHV_INSN_NOREG for none
 * @scale: shift of @index
 * @flags: LHV_INSN_*
 * @disp: displacement, or the whole address of MOV moffs
 * @imm: immediate, sign-extended
 */
struct lhv_insn {
	u8 mode, len;
	u8 map, opcode;
	u8 op, form;
	u8 op_size, mem_size, addr_size;
	u8 seg;
	u8 rex, modrm;
	u8 reg, rm;
	u8 base, index, scale;
	u16 flags;
	s64 disp;
	s64 imm;
};

/**
 * lhv_decode() - decode one instruction
 * @insn: result, valid with LHV_INSN_OK
 * @bytes: the instruction
 * @len: how many bytes are there
 * @mode: of the code segment
 */
enum lhv_insn_status lhv_decode(struct lhv_insn *insn, const u8 *bytes, unsigned int len,
				enum lhv_insn_mode mode);

/**
 * lhv_insn_ea() - effective address of the memory operand
 * @insn: an instruction with LHV_INSN_MEM
 * @regs: general registers by number
 * @rip: RIP of the instruction itself
 *
 * Return: the offset into the segment, cut to the address size.
 */
u64 lhv_insn_ea(const struct lhv_insn *insn, const u64 *regs, u64 rip);

static inline u64 lhv_size_mask(unsigned int size)
{
	return ~0ULL >> (64 - size * 8);
}

/* A register operand of @size bytes; without REX, byte registers 4 to 7 are AH, CH, DH, BH. */
u64 lhv_insn_get_reg(const struct lhv_insn *insn, const u64 *regs, u8 nr, unsigned int size);
void lhv_insn_set_reg(const struct lhv_insn *insn, u64 *regs, u8 nr, unsigned int size, u64 val);

/**
 * lhv_alu() - result and flags of an arithmetic instruction
 * @op: LHV_OP_ADD ... LHV_OP_DEC
 * @size: operand size
 * @dst: destination operand (BTx: the word), @src: source operand (BTx: bit number)
 * @flags: RFLAGS, updated
 *
 * Return: the new value of the destination (CMP, TEST, BT: the old one).
 */
u64 lhv_alu(enum lhv_op op, unsigned int size, u64 dst, u64 src, u64 *flags);

/* Is condition @cc (low four bits of Jcc and SETcc) true? */
bool lhv_condition(u8 cc, u64 flags);

#endif
