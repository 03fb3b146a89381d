/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lhv vmx/ - the VMX instructions.
 *
 * A field's width is part of its encoding, SDM Vol 3C "Structure of VMCS Component
 * Encoding": an access of another width does not compile. All of them want a current VMCS on
 * this CPU, VMX operation, and preemption off.
 */
#ifndef LHV_VMX_VMCS_H
#define LHV_VMX_VMCS_H

#include <linux/build_bug.h>
#include <asm/asm.h>
#include <asm/vmx.h>

enum lhv_vmcs_width { LHV_VMCS_16, LHV_VMCS_64, LHV_VMCS_32, LHV_VMCS_NATURAL };

#define LHV_VMCS_WIDTH(field)	((field) >> 13 & 3)
#define LHV_VMCS_HIGH(field)	((field) & 1)

/* Fields of the eight segment registers, in the order of enum lhv_seg, are this far apart. */
#define LHV_VMCS_STEP		2

void lhv_vmx_vmwrite_failed(u32 field, u64 value);

/* The caller has checked the width. Fails only where a VMWRITE failed before. */
static __always_inline u64 lhv_vmread_any(u32 field)
{
	u64 value;

	asm volatile("vmread %1, %0" : "=r" (value) : "r" ((u64)field) : "cc");
	return value;
}

static __always_inline void lhv_vmwrite_any(u32 field, u64 value)
{
	asm goto("vmwrite %1, %0\n\t"
		 "jbe %l[failed]"
		 : : "r" ((u64)field), "rm" (value) : "cc", "memory" : failed);
	return;
failed:
	lhv_vmx_vmwrite_failed(field, value);
}

#define LHV_VMCS_CHECK(field, width)							\
	BUILD_BUG_ON_MSG(__builtin_constant_p(field) &&					\
			 (LHV_VMCS_WIDTH(field) != (width) || LHV_VMCS_HIGH(field)),	\
			 "VMCS field of another width")

#define LHV_VMCS_ACCESSORS(suffix, type, width)						\
static __always_inline type lhv_vmread##suffix(u32 field)				\
{											\
	LHV_VMCS_CHECK(field, width);							\
	return lhv_vmread_any(field);							\
}											\
											\
static __always_inline void lhv_vmwrite##suffix(u32 field, type value)			\
{											\
	LHV_VMCS_CHECK(field, width);							\
	lhv_vmwrite_any(field, value);							\
}

LHV_VMCS_ACCESSORS(16, u16, LHV_VMCS_16)
LHV_VMCS_ACCESSORS(32, u32, LHV_VMCS_32)
LHV_VMCS_ACCESSORS(64, u64, LHV_VMCS_64)
LHV_VMCS_ACCESSORS(l, u64, LHV_VMCS_NATURAL)

/* All of these: 0, or -EIO when the instruction failed or faulted. */

#define LHV_VMX_INSN(insn, operand)							\
({											\
	__label__ failed, done;								\
	int _ret = 0;									\
											\
	asm goto("1:	" insn " %0\n\t"						\
		 "jbe %l[failed]\n\t"							\
		 _ASM_EXTABLE(1b, %l[failed])						\
		 : : "m" (operand) : "cc", "memory" : failed);				\
	goto done;									\
failed:											\
	_ret = -EIO;									\
done:											\
	_ret;										\
})

static __always_inline int lhv_vmxon(u64 pa)
{
	return LHV_VMX_INSN("vmxon", pa);
}

static __always_inline int lhv_vmclear(u64 pa)
{
	return LHV_VMX_INSN("vmclear", pa);
}

static __always_inline int lhv_vmptrld(u64 pa)
{
	return LHV_VMX_INSN("vmptrld", pa);
}

/* Faults where somebody else was quicker. */
static __always_inline void lhv_vmxoff(void)
{
	asm goto("1:	vmxoff\n\t"
		 _ASM_EXTABLE(1b, %l[failed])
		 : : : "cc", "memory" : failed);
failed:
	return;
}

static __always_inline void lhv_invept(u64 type, u64 eptp)
{
	const struct { u64 eptp, zero; } what = { .eptp = eptp };

	asm volatile("invept %0, %1" : : "m" (what), "r" (type) : "cc", "memory");
}

static __always_inline void lhv_invvpid(u64 type, u16 vpid)
{
	const struct { u64 vpid, address; } what = { .vpid = vpid };

	asm volatile("invvpid %0, %1" : : "m" (what), "r" (type) : "cc", "memory");
}

#endif
