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

/* So often does a walk begin again because an entry changed under it. The caller may not sleep. */
#define LHV_WALK_TRIES	16

/*
 * What the entries on the way have in common: the AND of all gives write, user and accessed,
 * the OR of all gives NX.
 */
struct lhv_walk_rights {
	u64 all, any;
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

/* The bits that have to be zero in each present entry of long mode and PAE. */
static __always_inline u64 lhv_walk_reserved(const struct lhv_walk *w, bool lma)
{
	u64 rsvd = w->reserved;

	if (!(w->efer & EFER_NX))
		rsvd |= _PAGE_NX;
	if (!lma)
		rsvd |= GENMASK_ULL(62, 52);
	return rsvd;
}

/* What is reserved beyond that: in a PDPTE of PAE; where PS means nothing; below a large page. */
static __always_inline u64 lhv_walk_reserved_level(const struct lhv_walk *w, int level, bool huge,
						   bool lma, bool pae)
{
	if (!pae)	/* 4 MiB: bits 20:13 are address bits 39:32 (PSE-36), bit 21 is nothing */
		return huge ? BIT_ULL(21) | ((w->reserved >> 32 & 0xff) << 13) : 0;
	/* Bit 5 is reserved too, but there are CPUs (QEMU's) that mark a PDPTE accessed. */
	if (!lma && level == 3)
		return _PAGE_NX | GENMASK_ULL(8, 6) | _PAGE_RW | _PAGE_USER;
	if (level >= 4 || (level == 3 && !w->gbpages))
		return _PAGE_PSE;
	if (!huge)
		return 0;
	return level == 3 ? GENMASK_ULL(29, 13) : GENMASK_ULL(20, 13);
}

/* Does the page allow the access? 0, or the protection bits of the error code. */
static __always_inline u32 lhv_walk_denied(const struct lhv_walk *w, u32 access, bool lma,
					   const struct lhv_walk_rights *rights, u64 leaf)
{
	bool user = access & LHV_ACC_USER, write = access & LHV_ACC_WRITE;
	bool user_page = rights->all & _PAGE_USER;
	unsigned int key;

	if (user && !user_page)
		return X86_PF_PROT;
	if (access & LHV_ACC_EXEC) {
		if (rights->any & _PAGE_NX || (!user && user_page && w->cr4 & X86_CR4_SMEP))
			return X86_PF_PROT;
		return 0;
	}
	if (write && !(rights->all & _PAGE_RW) && (user || w->cr0 & X86_CR0_WP))
		return X86_PF_PROT;
	if (!user && user_page && w->cr4 & X86_CR4_SMAP &&
	    (access & LHV_ACC_IMPLICIT || !(w->rflags & X86_EFLAGS_AC)))
		return X86_PF_PROT;
	if (lma && user_page && w->cr4 & X86_CR4_PKE) {
		key = (leaf & _PAGE_PKEY_MASK) >> _PAGE_BIT_PKEY_BIT0;
		if (w->pkru & BIT(2 * key))
			return X86_PF_PROT | X86_PF_PK;
		if (write && w->pkru & BIT(2 * key + 1) && (user || w->cr0 & X86_CR0_WP))
			return X86_PF_PROT | X86_PF_PK;
	}
	return 0;
}

/* One paging mode: @lma and @pae are constants, and the compiler drops what they rule out. */
static __always_inline int lhv_walk_mode(const struct lhv_walk *w, const struct lhv_walk_ops *ops,
					 void *ctx, u64 gva, u32 access, gpa_t *gpa,
					 struct lhv_fault *fault, bool lma, bool pae)
{
	const unsigned int len = pae ? 8 : 4, bits = pae ? 9 : 10;
	const u64 addr_mask = pae ? GENMASK_ULL(51, 12) : GENMASK_ULL(31, 12);
	const u64 rsvd = pae ? lhv_walk_reserved(w, lma) : 0;
	const int top = lma ? (w->cr4 & X86_CR4_LA57 ? 5 : 4) : pae ? 3 : 2;
	struct lhv_walk_rights rights;
	gpa_t table, at[6];
	u64 entry, seen[6], size;
	unsigned int lost = 0;
	int level, bottom, ret;
	u32 denied;
	bool huge;

restart:
	/* A PAE root is four entries, aligned to their size alone. */
	table = w->cr3 & (lma || !pae ? addr_mask : GENMASK_ULL(31, 5));
	rights = (struct lhv_walk_rights){ .all = ~0ULL };
	for (level = top; ; level--) {
		at[level] = table + ((gva >> (12 + (level - 1) * bits)) & (BIT(bits) - 1)) * len;
		ret = ops->read(ctx, at[level], &entry, len);
		if (ret == -EAGAIN)
			return ret;
		if (ret || !(entry & _PAGE_PRESENT))
			return lhv_walk_fault(fault, gva, lhv_walk_error(w, access));
		seen[level] = entry;
		huge = false;
		if (level > 1) {
			huge = entry & _PAGE_PSE && (level == 2 ? pae || w->cr4 & X86_CR4_PSE :
							     level == 3 && lma);
			if (entry & lhv_walk_reserved_level(w, level, huge, lma, pae))
				goto reserved;
		}
		if (entry & rsvd)
			goto reserved;
		if (lma || level < 3) {		/* PDPTEs have no rights */
			rights.all &= entry;
			if (pae)
				rights.any |= entry;
		}
		if (level == 1 || huge)
			break;
		table = entry & addr_mask;
	}

	denied = lhv_walk_denied(w, access, lma, &rights, entry);
	if (denied)
		return lhv_walk_fault(fault, gva, lhv_walk_error(w, access) | denied);

	size = BIT_ULL(12 + (level - 1) * bits);
	*gpa = (entry & addr_mask & ~(size - 1)) | (gva & (size - 1));
	if (!pae && level == 2)
		*gpa |= (entry >> 13 & 0xff) << 32;
	if (rights.all & _PAGE_ACCESSED && (entry & _PAGE_DIRTY || !(access & LHV_ACC_WRITE)))
		return 0;

	for (bottom = level; level <= top && (lma || level < 3); level++) {
		u64 want = seen[level] | _PAGE_ACCESSED;

		if (level == bottom && access & LHV_ACC_WRITE)
			want |= _PAGE_DIRTY;
		if (want == seen[level])
			continue;
		ret = ops->update(ctx, at[level], seen[level], want, len);
		if (ret == -EAGAIN)
			return ret;
		/* The guest changed it meanwhile. One that never stops does without the bits. */
		if (ret == 1 && ++lost < LHV_WALK_TRIES)
			goto restart;
	}
	return 0;
reserved:
	return lhv_walk_fault(fault, gva,
			      lhv_walk_error(w, access) | X86_PF_PROT | X86_PF_RSVD);
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
 * were checked; where the tables are read-only, or another vCPU changes them all the time, the
 * bits stay as they are.
 *
 * Return: 0, -EFAULT, -EAGAIN.
 */
static __always_inline int lhv_walk(const struct lhv_walk *w, const struct lhv_walk_ops *ops,
				    void *ctx, u64 gva, u32 access, gpa_t *gpa,
				    struct lhv_fault *fault)
{
	if (!(w->efer & EFER_LMA))
		gva = (u32)gva;
	if (!(w->cr0 & X86_CR0_PG)) {
		*gpa = gva;
		return 0;
	}
	if (w->efer & EFER_LMA) {
		int unused = w->cr4 & X86_CR4_LA57 ? 64 - 57 : 64 - 48;

		if ((u64)((s64)(gva << unused) >> unused) != gva) {
			*fault = (struct lhv_fault){ .gva = gva, .vector = X86_TRAP_GP };
			return -EFAULT;
		}
		return lhv_walk_mode(w, ops, ctx, gva, access, gpa, fault, true, true);
	}
	if (w->cr4 & X86_CR4_PAE)
		return lhv_walk_mode(w, ops, ctx, gva, access, gpa, fault, false, true);
	return lhv_walk_mode(w, ops, ctx, gva, access, gpa, fault, false, false);
}

#endif
