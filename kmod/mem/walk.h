/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lhv mem/ - the walk through a guest's own page tables.
 *
 * Pure: what the CPU is set to comes in struct lhv_walk, memory through struct
 * lhv_walk_ops. Always inlined into its two users (access.c and the tests), so
 * that the ops cost no indirect call.
 */
#ifndef LHV_MEM_WALK_H
#define LHV_MEM_WALK_H

#include <linux/bits.h>
#include <asm/pgtable_types.h>
#include <asm/processor-flags.h>
#include <asm/trap_pf.h>
#include <asm/trapnr.h>

/**
 * struct lhv_walk - the registers that rule a walk
 * @cr0, @cr3, @cr4, @efer, @rflags: as the guest has them
 * @pkru: protection-key rights
 * @reserved: address bits that the guest's CPU does not have (of 51:0)
 * @gbpages: 1 GiB pages exist
 */
struct lhv_walk {
	u64 cr0, cr3, cr4, efer, rflags;
	u64 reserved;
	u32 pkru;
	bool gbpages;
};

/**
 * struct lhv_walk_ops - memory
 * @read: read an entry of @len (4 or 8) bytes. 0; -EAGAIN; -EFAULT: no memory there
 * @update: compare and exchange. 0; 1: it was not @old; -EAGAIN; -EFAULT: no memory, or read-only
 */
struct lhv_walk_ops {
	int (*read)(void *ctx, gpa_t gpa, u64 *entry, unsigned int len);
	int (*update)(void *ctx, gpa_t gpa, u64 old, u64 new, unsigned int len);
};

/* What of it the walk found on its way. */
struct lhv_walk_leaf {
	u64 entry;
	int level;
	bool write, user, nx;
};

static __always_inline int lhv_walk_fault(struct lhv_fault *fault, u64 gva, u32 error)
{
	fault->gva = gva;
	fault->error_code = error;
	fault->vector = X86_TRAP_PF;
	return -EFAULT;
}

/* The bits of a #PF's error code that say what was tried. */
static __always_inline u32 lhv_walk_error(const struct lhv_walk *w, u32 access)
{
	bool nx = w->efer & EFER_NX && w->cr4 & X86_CR4_PAE;
	u32 error = 0;

	if (access & LHV_ACC_WRITE)
		error |= X86_PF_WRITE;
	if (access & LHV_ACC_USER)
		error |= X86_PF_USER;
	if (access & LHV_ACC_EXEC && (nx || w->cr4 & X86_CR4_SMEP))
		error |= X86_PF_INSTR;
	return error;
}

/* A present entry's bits that have to be zero. */
static __always_inline u64 lhv_walk_reserved(const struct lhv_walk *w, int level, bool huge,
					     bool lma)
{
	u64 rsvd;

	if (!(w->cr4 & X86_CR4_PAE)) {
		/* 4 MiB: bits 20:13 are address bits 39:32 (PSE-36), bit 21 is nothing. */
		if (!huge)
			return 0;
		return BIT_ULL(21) | ((w->reserved >> 32 & 0xff) << 13);
	}
	rsvd = w->reserved;
	if (!(w->efer & EFER_NX))
		rsvd |= _PAGE_NX;
	if (!lma) {
		rsvd |= GENMASK_ULL(62, 52);
		if (level == 3)		/* PDPTE: no rights, no accessed bit */
			return rsvd | _PAGE_NX | GENMASK_ULL(8, 5) | _PAGE_RW | _PAGE_USER;
	}
	if (level >= 4 || (level == 3 && !w->gbpages))
		rsvd |= _PAGE_PSE;
	if (huge && level == 2)
		rsvd |= GENMASK_ULL(20, 13);
	if (huge && level == 3)
		rsvd |= GENMASK_ULL(29, 13);
	return rsvd;
}

/* Does the page allow the access? 0, or the protection bits of the error code. */
static __always_inline u32 lhv_walk_denied(const struct lhv_walk *w,
					   const struct lhv_walk_leaf *leaf, u32 access, bool lma)
{
	bool user = access & LHV_ACC_USER, write = access & LHV_ACC_WRITE;
	unsigned int key;

	if (user && !leaf->user)
		return X86_PF_PROT;
	if (access & LHV_ACC_EXEC) {
		if (leaf->nx || (!user && leaf->user && w->cr4 & X86_CR4_SMEP))
			return X86_PF_PROT;
		return 0;
	}
	if (write && !leaf->write && (user || w->cr0 & X86_CR0_WP))
		return X86_PF_PROT;
	if (!user && leaf->user && w->cr4 & X86_CR4_SMAP &&
	    (access & LHV_ACC_IMPLICIT || !(w->rflags & X86_EFLAGS_AC)))
		return X86_PF_PROT;
	if (lma && leaf->user && w->cr4 & X86_CR4_PKE) {
		key = (leaf->entry & _PAGE_PKEY_MASK) >> _PAGE_BIT_PKEY_BIT0;
		if (w->pkru & BIT(2 * key))
			return X86_PF_PROT | X86_PF_PK;
		if (write && w->pkru & BIT(2 * key + 1) && (user || w->cr0 & X86_CR0_WP))
			return X86_PF_PROT | X86_PF_PK;
	}
	return 0;
}

/**
 * lhv_walk() - translate a linear address
 * @w: the guest's registers
 * @ops: memory
 * @ctx: for @ops
 * @gva: linear address
 * @access: LHV_ACC_*
 * @gpa: result
 * @fault: filled when -EFAULT is returned
 *
 * Sets accessed bits on the way and the dirty bit of what is written, after the rights
 * were checked; where the tables are read-only the bits stay as they are.
 *
 * Return: 0, -EFAULT, -EAGAIN.
 */
static __always_inline int lhv_walk(const struct lhv_walk *w, const struct lhv_walk_ops *ops,
				    void *ctx, u64 gva, u32 access, gpa_t *gpa,
				    struct lhv_fault *fault)
{
	bool lma = w->efer & EFER_LMA, pae = w->cr4 & X86_CR4_PAE;
	unsigned int len = pae ? 8 : 4, bits = pae ? 9 : 10;
	u64 addr_mask = pae ? GENMASK_ULL(51, 12) : GENMASK_ULL(31, 12);
	struct lhv_walk_leaf leaf;
	gpa_t table, at[6];
	u64 entry[6], size;
	int level, top, ret;
	u32 denied;
	bool huge;

	if (!lma)
		gva = (u32)gva;
	if (!(w->cr0 & X86_CR0_PG)) {
		*gpa = gva;
		return 0;
	}

	if (lma) {
		top = w->cr4 & X86_CR4_LA57 ? 5 : 4;
		if ((s64)(gva << (64 - (12 + 9 * top))) >> (64 - (12 + 9 * top)) != (s64)gva) {
			*fault = (struct lhv_fault){ .gva = gva, .vector = X86_TRAP_GP };
			return -EFAULT;
		}
		table = w->cr3 & GENMASK_ULL(51, 12);
	} else {
		top = pae ? 3 : 2;
		/* Four 8-byte entries, aligned to their size alone. */
		table = w->cr3 & (pae ? GENMASK_ULL(31, 5) : GENMASK_ULL(31, 12));
	}

restart:
	leaf = (struct lhv_walk_leaf){ .write = true, .user = true };
	at[top] = table;
	for (level = top; ; level--) {
		at[level] += ((gva >> (12 + (level - 1) * bits)) & (BIT(bits) - 1)) * len;
		ret = ops->read(ctx, at[level], &entry[level], len);
		if (ret == -EAGAIN)
			return ret;
		if (ret || !(entry[level] & _PAGE_PRESENT))
			return lhv_walk_fault(fault, gva, lhv_walk_error(w, access));
		huge = level > 1 && entry[level] & _PAGE_PSE &&
		       (level == 2 ? pae || w->cr4 & X86_CR4_PSE : level == 3 && lma);
		if (entry[level] & lhv_walk_reserved(w, level, huge, lma))
			return lhv_walk_fault(fault, gva, lhv_walk_error(w, access) |
					      X86_PF_PROT | X86_PF_RSVD);
		if (level < 3 || lma) {
			leaf.write &= !!(entry[level] & _PAGE_RW);
			leaf.user &= !!(entry[level] & _PAGE_USER);
			leaf.nx |= pae && entry[level] & _PAGE_NX;
		}
		if (level == 1 || huge)
			break;
		at[level - 1] = entry[level] & addr_mask;
	}
	leaf.entry = entry[level];
	leaf.level = level;

	denied = lhv_walk_denied(w, &leaf, access, lma);
	if (denied)
		return lhv_walk_fault(fault, gva, lhv_walk_error(w, access) | denied);

	for (level = top; level >= leaf.level; level--) {
		u64 want = entry[level] | _PAGE_ACCESSED;

		if (level == 3 && !lma)
			continue;
		if (level == leaf.level && access & LHV_ACC_WRITE)
			want |= _PAGE_DIRTY;
		if (want == entry[level])
			continue;
		ret = ops->update(ctx, at[level], entry[level], want, len);
		if (ret == -EAGAIN)
			return ret;
		if (ret == 1)	/* the guest changed it meanwhile */
			goto restart;
	}

	size = BIT_ULL(12 + (leaf.level - 1) * bits);
	*gpa = (leaf.entry & addr_mask & ~(size - 1)) | (gva & (size - 1));
	if (!pae && leaf.level == 2)
		*gpa |= (leaf.entry >> 13 & 0xff) << 32;
	return 0;
}

#endif
