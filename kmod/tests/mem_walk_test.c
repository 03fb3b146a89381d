// SPDX-License-Identifier: GPL-2.0
/* KUnit: the walk through a guest's page tables, every mode and every right. */
#include <kunit/test.h>
#include <linux/slab.h>

#include "lhv.h"
#include "mem/walk.h"

#define NR_PAGES	8
#define TABLE(n)	((u64)(n) << PAGE_SHIFT)	/* table n of the fake memory */
#define P		_PAGE_PRESENT
#define PWU		(_PAGE_PRESENT | _PAGE_RW | _PAGE_USER)

struct fake {
	u8 mem[NR_PAGES << PAGE_SHIFT];
	int again;	/* how many accesses until -EAGAIN; 0 never */
	int race;	/* how many updates lose */
	int updates;
};

static int fake_read(void *ctx, gpa_t gpa, u64 *entry, unsigned int len)
{
	struct fake *f = ctx;

	if (f->again && !--f->again)
		return -EAGAIN;
	if (gpa + len > sizeof(f->mem))
		return -EFAULT;
	*entry = 0;
	memcpy(entry, f->mem + gpa, len);
	return 0;
}

static int fake_update(void *ctx, gpa_t gpa, u64 old, u64 new, unsigned int len)
{
	struct fake *f = ctx;

	if (f->race) {
		f->race--;
		return 1;
	}
	if (memcmp(f->mem + gpa, &old, len))
		return 1;
	memcpy(f->mem + gpa, &new, len);
	f->updates++;
	return 0;
}

static const struct lhv_walk_ops fake_ops = { .read = fake_read, .update = fake_update };

static void set(struct fake *f, u64 table, unsigned int index, u64 entry)
{
	memcpy(f->mem + table + 8 * index, &entry, 8);
}

static u64 get(struct fake *f, u64 table, unsigned int index)
{
	u64 entry;

	memcpy(&entry, f->mem + table + 8 * index, 8);
	return entry;
}

static void set32(struct fake *f, u64 table, unsigned int index, u32 entry)
{
	memcpy(f->mem + table + 4 * index, &entry, 4);
}

static const struct lhv_walk long_mode = {
	.cr0 = X86_CR0_PG | X86_CR0_PE | X86_CR0_WP,
	.cr3 = TABLE(1),
	.cr4 = X86_CR4_PAE,
	.efer = EFER_LME | EFER_LMA | EFER_NX,
	.reserved = GENMASK_ULL(51, 40),
	.gbpages = true,
};

/* 4-level tables for address 0: TABLE(1) > 2 > 3 > 4, page at 0xabc000. */
static struct fake *fake_new(struct kunit *test)
{
	struct fake *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, f);
	set(f, TABLE(1), 0, TABLE(2) | PWU);
	set(f, TABLE(2), 0, TABLE(3) | PWU);
	set(f, TABLE(3), 0, TABLE(4) | PWU);
	set(f, TABLE(4), 0, 0xabc000 | PWU);
	return f;
}

static int walk(struct fake *f, const struct lhv_walk *w, u64 gva, u32 access, gpa_t *gpa,
		struct lhv_fault *fault)
{
	*fault = (struct lhv_fault){};
	*gpa = 0;
	return lhv_walk(w, &fake_ops, f, gva, access, gpa, fault);
}

static void expect_fault(struct kunit *test, struct fake *f, const struct lhv_walk *w, u64 gva,
			 u32 access, u32 error)
{
	struct lhv_fault fault;
	gpa_t gpa;

	KUNIT_EXPECT_EQ(test, walk(f, w, gva, access, &gpa, &fault), -EFAULT);
	KUNIT_EXPECT_EQ(test, fault.vector, X86_TRAP_PF);
	KUNIT_EXPECT_EQ(test, fault.gva, gva);
	KUNIT_EXPECT_EQ(test, fault.error_code, error);
}

static void expect_gpa(struct kunit *test, struct fake *f, const struct lhv_walk *w, u64 gva,
		       u32 access, gpa_t want)
{
	struct lhv_fault fault;
	gpa_t gpa;

	KUNIT_EXPECT_EQ(test, walk(f, w, gva, access, &gpa, &fault), 0);
	KUNIT_EXPECT_EQ(test, gpa, want);
}

static void no_paging(struct kunit *test)
{
	struct fake *f = fake_new(test);
	struct lhv_walk w = {};

	expect_gpa(test, f, &w, 0x12345678, LHV_ACC_WRITE | LHV_ACC_USER, 0x12345678);
	expect_gpa(test, f, &w, 0x100000010ULL, 0, 0x10);	/* wraps at 4 GiB */
}

static void four_levels(struct kunit *test)
{
	struct fake *f = fake_new(test);
	struct lhv_walk w = long_mode;

	expect_gpa(test, f, &w, 0x123, 0, 0xabc123);
	KUNIT_EXPECT_EQ(test, get(f, TABLE(1), 0), TABLE(2) | PWU | _PAGE_ACCESSED);
	KUNIT_EXPECT_EQ(test, get(f, TABLE(3), 0), TABLE(4) | PWU | _PAGE_ACCESSED);
	KUNIT_EXPECT_EQ(test, get(f, TABLE(4), 0), 0xabc000 | PWU | _PAGE_ACCESSED);
	KUNIT_EXPECT_EQ(test, f->updates, 4);
	expect_gpa(test, f, &w, 0x123, LHV_ACC_WRITE, 0xabc123);
	KUNIT_EXPECT_EQ(test, get(f, TABLE(4), 0), 0xabc000 | PWU | _PAGE_ACCESSED | _PAGE_DIRTY);
	KUNIT_EXPECT_EQ(test, f->updates, 5);
	expect_gpa(test, f, &w, 0x123, LHV_ACC_WRITE, 0xabc123);
	KUNIT_EXPECT_EQ(test, f->updates, 5);

	expect_fault(test, f, &w, 0x1000, 0, 0);
	expect_fault(test, f, &w, 0x1000, LHV_ACC_WRITE | LHV_ACC_USER, X86_PF_WRITE | X86_PF_USER);
	expect_fault(test, f, &w, 0x1000, LHV_ACC_EXEC, X86_PF_INSTR);
	w.efer &= ~EFER_NX;
	expect_fault(test, f, &w, 0x1000, LHV_ACC_EXEC, 0);
	w.cr4 |= X86_CR4_SMEP;
	expect_fault(test, f, &w, 0x1000, LHV_ACC_EXEC, X86_PF_INSTR);

	/* The highest half, sign-extended. */
	set(f, TABLE(1), 511, TABLE(2) | PWU);
	expect_gpa(test, f, &w, 0xffffff8000000040ULL, 0, 0xabc040);
	/* A table where no memory is. */
	set(f, TABLE(1), 1, TABLE(100) | PWU);
	expect_fault(test, f, &w, 1ULL << 39, 0, 0);
}

static void canonical(struct kunit *test)
{
	struct fake *f = fake_new(test);
	struct lhv_walk w = long_mode;
	struct lhv_fault fault;
	gpa_t gpa;

	KUNIT_EXPECT_EQ(test, walk(f, &w, 1ULL << 47, 0, &gpa, &fault), -EFAULT);
	KUNIT_EXPECT_EQ(test, fault.vector, X86_TRAP_GP);
	KUNIT_EXPECT_EQ(test, fault.error_code, 0);
	KUNIT_EXPECT_EQ(test, walk(f, &w, 0xffff000000000000ULL, 0, &gpa, &fault), -EFAULT);
	KUNIT_EXPECT_EQ(test, fault.vector, X86_TRAP_GP);

	/* With five levels it is one: index 0 of level 5, 256 of level 4. */
	w.cr4 |= X86_CR4_LA57;
	w.cr3 = TABLE(5);
	set(f, TABLE(5), 0, TABLE(1) | PWU);
	set(f, TABLE(1), 256, TABLE(2) | PWU);
	expect_gpa(test, f, &w, (1ULL << 47) | 8, 0, 0xabc008);
	KUNIT_EXPECT_EQ(test, walk(f, &w, 1ULL << 56, 0, &gpa, &fault), -EFAULT);
	KUNIT_EXPECT_EQ(test, fault.vector, X86_TRAP_GP);
}

static void large_pages(struct kunit *test)
{
	struct fake *f = fake_new(test);
	struct lhv_walk w = long_mode;

	set(f, TABLE(3), 1, 0x40000000 | PWU | _PAGE_PSE);
	expect_gpa(test, f, &w, 0x212345, LHV_ACC_WRITE, 0x40012345);
	KUNIT_EXPECT_EQ(test, get(f, TABLE(3), 1),
			0x40000000 | PWU | _PAGE_PSE | _PAGE_ACCESSED | _PAGE_DIRTY);
	/* PAT, bit 12, is no address bit and not reserved. */
	set(f, TABLE(3), 1, 0x40000000 | PWU | _PAGE_PSE | _PAGE_PAT_LARGE);
	expect_gpa(test, f, &w, 0x212345, 0, 0x40012345);
	set(f, TABLE(3), 1, 0x40002000 | PWU | _PAGE_PSE);
	expect_fault(test, f, &w, 0x212345, 0, X86_PF_PROT | X86_PF_RSVD);

	set(f, TABLE(2), 1, 0x80000000ULL | PWU | _PAGE_PSE);
	expect_gpa(test, f, &w, 0x5abcdef0, 0, 0x9abcdef0);
	w.gbpages = false;
	expect_fault(test, f, &w, 0x5abcdef0, 0, X86_PF_PROT | X86_PF_RSVD);
}

static void reserved(struct kunit *test)
{
	struct fake *f = fake_new(test);
	struct lhv_walk w = long_mode;

	set(f, TABLE(4), 0, 0xabc000 | PWU | BIT_ULL(40));
	expect_fault(test, f, &w, 0, LHV_ACC_USER, X86_PF_PROT | X86_PF_RSVD | X86_PF_USER);
	/* Ignored bits. */
	set(f, TABLE(4), 0, 0xabc000 | PWU | GENMASK_ULL(58, 52) | GENMASK_ULL(11, 9));
	expect_gpa(test, f, &w, 0, 0, 0xabc000);
	/* PS in the top level. */
	set(f, TABLE(1), 0, TABLE(2) | PWU | _PAGE_PSE);
	expect_fault(test, f, &w, 0, 0, X86_PF_PROT | X86_PF_RSVD);
	/* NX while EFER.NXE is off; absent beats reserved. */
	f = fake_new(test);
	set(f, TABLE(4), 0, 0xabc000 | PWU | _PAGE_NX);
	w.efer &= ~EFER_NX;
	expect_fault(test, f, &w, 0, LHV_ACC_WRITE, X86_PF_PROT | X86_PF_RSVD | X86_PF_WRITE);
	set(f, TABLE(4), 0, 0xabc000 | _PAGE_NX);
	expect_fault(test, f, &w, 0, LHV_ACC_WRITE, X86_PF_WRITE);
}

static void rights(struct kunit *test)
{
	struct fake *f = fake_new(test);
	struct lhv_walk w = long_mode;

	/* Rights are the intersection of all levels. */
	set(f, TABLE(2), 0, TABLE(3) | P | _PAGE_RW);
	expect_fault(test, f, &w, 0, LHV_ACC_USER, X86_PF_PROT | X86_PF_USER);
	expect_gpa(test, f, &w, 0, LHV_ACC_WRITE, 0xabc000);
	set(f, TABLE(2), 0, TABLE(3) | P | _PAGE_USER);
	expect_fault(test, f, &w, 0, LHV_ACC_WRITE, X86_PF_PROT | X86_PF_WRITE);
	expect_fault(test, f, &w, 0, LHV_ACC_WRITE | LHV_ACC_USER,
		     X86_PF_PROT | X86_PF_WRITE | X86_PF_USER);
	w.cr0 &= ~X86_CR0_WP;
	expect_gpa(test, f, &w, 0, LHV_ACC_WRITE, 0xabc000);
	expect_fault(test, f, &w, 0, LHV_ACC_WRITE | LHV_ACC_USER,
		     X86_PF_PROT | X86_PF_WRITE | X86_PF_USER);
	set(f, TABLE(2), 0, TABLE(3) | PWU | _PAGE_NX);
	expect_fault(test, f, &w, 0, LHV_ACC_EXEC, X86_PF_PROT | X86_PF_INSTR);
	expect_gpa(test, f, &w, 0, 0, 0xabc000);

	/* A refused access leaves no trace. */
	f = fake_new(test);
	set(f, TABLE(4), 0, 0xabc000 | P);
	w = long_mode;
	expect_fault(test, f, &w, 0, LHV_ACC_WRITE, X86_PF_PROT | X86_PF_WRITE);
	KUNIT_EXPECT_EQ(test, f->updates, 0);
}

static void smep_smap(struct kunit *test)
{
	struct fake *f = fake_new(test);
	struct lhv_walk w = long_mode;

	expect_gpa(test, f, &w, 0, LHV_ACC_EXEC, 0xabc000);
	w.cr4 |= X86_CR4_SMEP | X86_CR4_SMAP;
	expect_fault(test, f, &w, 0, LHV_ACC_EXEC, X86_PF_PROT | X86_PF_INSTR);
	expect_gpa(test, f, &w, 0, LHV_ACC_EXEC | LHV_ACC_USER, 0xabc000);
	expect_fault(test, f, &w, 0, 0, X86_PF_PROT);
	expect_gpa(test, f, &w, 0, LHV_ACC_USER, 0xabc000);
	w.rflags = X86_EFLAGS_AC;
	expect_gpa(test, f, &w, 0, 0, 0xabc000);
	expect_fault(test, f, &w, 0, LHV_ACC_IMPLICIT, X86_PF_PROT);
	/* A supervisor page is nobody's business but the supervisor's. */
	set(f, TABLE(4), 0, 0xabc000 | P | _PAGE_RW);
	w.rflags = 0;
	expect_gpa(test, f, &w, 0, LHV_ACC_WRITE, 0xabc000);
	expect_gpa(test, f, &w, 0, LHV_ACC_EXEC, 0xabc000);
}

static void keys(struct kunit *test)
{
	struct fake *f = fake_new(test);
	struct lhv_walk w = long_mode;

	set(f, TABLE(4), 0, 0xabc000 | PWU | (5ULL << _PAGE_BIT_PKEY_BIT0));
	w.pkru = BIT(2 * 5);			/* access disable */
	expect_gpa(test, f, &w, 0, LHV_ACC_USER, 0xabc000);
	w.cr4 |= X86_CR4_PKE;
	expect_fault(test, f, &w, 0, LHV_ACC_USER, X86_PF_PROT | X86_PF_PK | X86_PF_USER);
	expect_fault(test, f, &w, 0, 0, X86_PF_PROT | X86_PF_PK);
	expect_gpa(test, f, &w, 0, LHV_ACC_USER | LHV_ACC_EXEC, 0xabc000);
	w.pkru = BIT(2 * 5 + 1);		/* write disable */
	expect_gpa(test, f, &w, 0, LHV_ACC_USER, 0xabc000);
	expect_fault(test, f, &w, 0, LHV_ACC_WRITE, X86_PF_PROT | X86_PF_PK | X86_PF_WRITE);
	w.cr0 &= ~X86_CR0_WP;
	expect_gpa(test, f, &w, 0, LHV_ACC_WRITE, 0xabc000);
	expect_fault(test, f, &w, 0, LHV_ACC_WRITE | LHV_ACC_USER,
		     X86_PF_PROT | X86_PF_PK | X86_PF_WRITE | X86_PF_USER);
}

static void legacy(struct kunit *test)
{
	struct fake *f = fake_new(test);
	struct lhv_walk w = {
		.cr0 = X86_CR0_PG | X86_CR0_PE,
		.cr3 = TABLE(6) | 0x18,		/* PCD and PWT are no address */
		.reserved = GENMASK_ULL(51, 36),
	};

	set32(f, TABLE(6), 0, TABLE(7) | PWU);
	set32(f, TABLE(7), 1, 0xabcde000 | PWU);
	expect_gpa(test, f, &w, 0x1abc, LHV_ACC_USER | LHV_ACC_WRITE, 0xabcdeabc);
	expect_fault(test, f, &w, 0x2000, LHV_ACC_EXEC, 0);

	/* Without PSE the bit means nothing. */
	set32(f, TABLE(6), 1, TABLE(7) | PWU | _PAGE_PSE);
	expect_gpa(test, f, &w, 0x401abc, 0, 0xabcdeabc);
	/* With it: 4 MiB, and bits 20:13 are address bits 39:32. */
	w.cr4 = X86_CR4_PSE;
	set32(f, TABLE(6), 1, 0x80000000 | (0x5 << 13) | PWU | _PAGE_PSE);
	expect_gpa(test, f, &w, 0x7abcde, LHV_ACC_WRITE, 0x5803abcdeULL);
	set32(f, TABLE(6), 1, 0x80000000 | (0x10 << 13) | PWU | _PAGE_PSE);	/* bit 36 */
	expect_fault(test, f, &w, 0x7abcde, 0, X86_PF_PROT | X86_PF_RSVD);
	set32(f, TABLE(6), 1, 0x80000000 | BIT(21) | PWU | _PAGE_PSE);
	expect_fault(test, f, &w, 0x7abcde, 0, X86_PF_PROT | X86_PF_RSVD);
	/* The last entry; addresses wrap at 4 GiB. */
	set32(f, TABLE(6), 1023, TABLE(7) | PWU);
	expect_gpa(test, f, &w, 0xffc01004, 0, 0xabcde004);
	expect_gpa(test, f, &w, 0x1ffc01004ULL, 0, 0xabcde004);
}

static void pae(struct kunit *test)
{
	struct fake *f = fake_new(test);
	struct lhv_walk w = {
		.cr0 = X86_CR0_PG | X86_CR0_PE | X86_CR0_WP,
		.cr3 = TABLE(6) | 0x20,		/* aligned to 32 bytes */
		.cr4 = X86_CR4_PAE,
		.efer = EFER_NX,
		.reserved = GENMASK_ULL(51, 40),
	};

	set(f, TABLE(6) + 0x20, 3, TABLE(3) | P);	/* no rights in a PDPTE */
	expect_gpa(test, f, &w, 0xc0000123, LHV_ACC_WRITE | LHV_ACC_USER, 0xabc123);
	KUNIT_EXPECT_EQ(test, get(f, TABLE(6) + 0x20, 3), TABLE(3) | P);
	set(f, TABLE(3), 1, 0x1240000000ULL | PWU | _PAGE_PSE);
	expect_gpa(test, f, &w, 0xc0212345, 0, 0x1240012345ULL);
	set(f, TABLE(4), 0, 0xabc000 | PWU | _PAGE_NX);
	expect_fault(test, f, &w, 0xc0000000, LHV_ACC_EXEC, X86_PF_PROT | X86_PF_INSTR);
	set(f, TABLE(4), 0, 0xabc000 | PWU | BIT_ULL(52));
	expect_fault(test, f, &w, 0xc0000000, 0, X86_PF_PROT | X86_PF_RSVD);
	set(f, TABLE(6) + 0x20, 3, TABLE(3) | P | _PAGE_RW);
	expect_fault(test, f, &w, 0xc0000000, 0, X86_PF_PROT | X86_PF_RSVD);
	expect_fault(test, f, &w, 0x80000000, 0, 0);
}

static void disturbed(struct kunit *test)
{
	struct fake *f = fake_new(test);
	struct lhv_fault fault;
	gpa_t gpa;

	f->again = 3;
	KUNIT_EXPECT_EQ(test, walk(f, &long_mode, 0, 0, &gpa, &fault), -EAGAIN);
	f->race = 3;
	expect_gpa(test, f, &long_mode, 0, LHV_ACC_WRITE, 0xabc000);
	KUNIT_EXPECT_EQ(test, f->updates, 4);

	/* Another vCPU that changes the entries for ever does not keep this one here. */
	f = fake_new(test);
	f->race = INT_MAX;
	expect_gpa(test, f, &long_mode, 0, LHV_ACC_WRITE, 0xabc000);
	KUNIT_EXPECT_GT(test, f->race, INT_MAX - 100);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(no_paging),
	KUNIT_CASE(four_levels),
	KUNIT_CASE(canonical),
	KUNIT_CASE(large_pages),
	KUNIT_CASE(reserved),
	KUNIT_CASE(rights),
	KUNIT_CASE(smep_smap),
	KUNIT_CASE(keys),
	KUNIT_CASE(legacy),
	KUNIT_CASE(pae),
	KUNIT_CASE(disturbed),
	{}
};

static struct kunit_suite suite = {
	.name = "lhv_mem_walk",
	.test_cases = cases,
};
kunit_test_suite(suite);
