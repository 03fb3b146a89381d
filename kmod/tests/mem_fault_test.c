// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit: slots, faults, the notifier and the dirty log together, on real memory of a
 * process. No guest runs: the test plays its faults.
 */
#include <kunit/test.h>
#include <linux/kthread.h>
#include <linux/mman.h>
#include <linux/mm.h>
#include <linux/prandom.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "lhv.h"
#include "mem/slots.h"
#include "mem/tdp.h"

#define NR_PAGES	1024UL
#define GPA		0x10000000ULL
#define GFN		(GPA >> PAGE_SHIFT)

struct ctx {
	struct kunit *test;
	struct lhv_vm *vm;
	struct lhv_vcpu *vcpu;
	unsigned long hva;
	unsigned long bitmap;	/* where the log is read to */
};

static struct lhv_vm *fake_vm(struct kunit *test)
{
	struct lhv_vm *vm = kvzalloc(sizeof(*vm) + lhv_backend->vm_size, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, vm);
	mutex_init(&vm->lock);
	mutex_init(&vm->dma_lock);
	vm->mm = current->mm;
	KUNIT_ASSERT_EQ(test, init_srcu_struct(&vm->srcu), 0);
	KUNIT_ASSERT_EQ(test, lhv_mem_init(vm), 0);
	return vm;
}

/* The test's thread gets an mm of its own, which ends with it. */
static void setup(struct kunit *test, struct ctx *c)
{
	struct kvm_userspace_memory_region region = {
		.guest_phys_addr = GPA,
		.memory_size = NR_PAGES << PAGE_SHIFT,
	};

	c->test = test;
	c->hva = kunit_vm_mmap(test, NULL, 0, NR_PAGES << PAGE_SHIFT, PROT_READ | PROT_WRITE,
			       MAP_ANONYMOUS | MAP_PRIVATE, 0);
	c->bitmap = kunit_vm_mmap(test, NULL, 0, PAGE_SIZE, PROT_READ | PROT_WRITE,
				  MAP_ANONYMOUS | MAP_PRIVATE, 0);
	KUNIT_ASSERT_NE(test, c->hva, 0);
	KUNIT_ASSERT_NE(test, c->bitmap, 0);
	c->vm = fake_vm(test);
	c->vcpu = kvzalloc(sizeof(*c->vcpu) + lhv_backend->vcpu_size, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, c->vcpu);
	c->vcpu->vm = c->vm;
	c->vcpu->run = kunit_kzalloc(test, sizeof(*c->vcpu->run), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, c->vcpu->run);
	region.userspace_addr = c->hva;
	KUNIT_ASSERT_EQ(test, lhv_mem_set_slot(c->vm, &region), 0);
}

static void finish(struct ctx *c)
{
	lhv_mem_vcpu_destroy(c->vcpu);
	lhv_mem_destroy(c->vm);
	KUNIT_EXPECT_EQ(c->test, atomic_long_read(&c->vm->mem.nr_tables), 1);
	KUNIT_EXPECT_EQ(c->test, atomic_long_read(&c->vm->mem.nr_pages[0]), 0);
	KUNIT_EXPECT_EQ(c->test, atomic_long_read(&c->vm->mem.nr_pages[1]), 0);
	cleanup_srcu_struct(&c->vm->srcu);
	kvfree(c->vcpu);
	kvfree(c->vm);
}

static int set_slot(struct ctx *c, u32 id, gpa_t gpa, u64 size, unsigned long hva, u32 flags)
{
	struct kvm_userspace_memory_region region = {
		.slot = id,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = hva,
	};

	return lhv_mem_set_slot(c->vm, &region);
}

/* The leaf that maps @gfn, as if it were a small one; 0: none. */
static u64 leaf_level(struct ctx *c, gfn_t gfn, int *level)
{
	struct lhv_mem *mem = &c->vm->mem;
	struct lhv_tdp_iter it;
	u64 leaf = 0;

	read_lock(&mem->mmu_lock);
	lhv_tdp_for_each(&it, mem->fmt, mem->root, mem->root_level, gfn, gfn + 1) {
		if (lhv_tdp_is_leaf(mem->fmt, it.old, it.level)) {
			leaf = it.old + ((gfn - it.gfn) << PAGE_SHIFT);
			*level = it.level;
			break;
		}
	}
	read_unlock(&mem->mmu_lock);
	return leaf;
}

static u64 leaf(struct ctx *c, gfn_t gfn)
{
	int level;

	return leaf_level(c, gfn, &level);
}

static bool writable(struct ctx *c, gfn_t gfn)
{
	return leaf(c, gfn) & c->vm->mem.fmt->write;
}

static int fault(struct ctx *c, gfn_t gfn, u32 access)
{
	if (leaf(c, gfn))
		access |= LHV_ACC_PRESENT;
	return lhv_tdp_fault(c->vcpu, gfn << PAGE_SHIFT, access);
}

static void map_and_unmap(struct kunit *test)
{
	struct page *page;
	struct ctx c;
	int level = 0;

	setup(test, &c);
	KUNIT_EXPECT_EQ(test, fault(&c, GFN + 3, LHV_ACC_WRITE), LHV_RESUME);
	KUNIT_EXPECT_TRUE(test, writable(&c, GFN + 3));
	if (get_user_pages_fast(c.hva + 3 * PAGE_SIZE, 1, 0, &page) == 1) {
		u64 entry = leaf_level(&c, GFN + 3, &level);
		unsigned long pfn = page_to_pfn(page);

		KUNIT_EXPECT_EQ(test, lhv_tdp_entry_pfn(entry), pfn);
		KUNIT_EXPECT_TRUE(test, PageDirty(page));
		put_page(page);
	}
	/* As large as the host's own. */
	KUNIT_EXPECT_EQ(test, level, lhv_host_mapping_level(current->mm, c.hva + 3 * PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, atomic_long_read(&c.vm->mem.nr_pages[level == 2]), 1);
	/* Spurious: somebody else was faster. */
	KUNIT_EXPECT_EQ(test, fault(&c, GFN + 3, LHV_ACC_WRITE), LHV_RESUME);

	/* Read first: the zero page, read-only; the write gets a page of its own. */
	KUNIT_EXPECT_EQ(test, fault(&c, GFN + 700, 0), LHV_RESUME);
	KUNIT_EXPECT_NE(test, leaf(&c, GFN + 700), 0);
	KUNIT_EXPECT_FALSE(test, writable(&c, GFN + 700));
	KUNIT_EXPECT_EQ(test, fault(&c, GFN + 700, LHV_ACC_WRITE), LHV_RESUME);
	if (!leaf(&c, GFN + 700))
		KUNIT_EXPECT_EQ(test, fault(&c, GFN + 700, LHV_ACC_WRITE), LHV_RESUME);
	KUNIT_EXPECT_TRUE(test, writable(&c, GFN + 700));

	/* The host takes a page away; then all of it. */
	KUNIT_EXPECT_EQ(test, vm_munmap(c.hva + 3 * PAGE_SIZE, PAGE_SIZE), 0);
	KUNIT_EXPECT_EQ(test, leaf(&c, GFN + 3), 0);
	KUNIT_EXPECT_NE(test, leaf(&c, GFN + 700), 0);
	KUNIT_EXPECT_EQ(test, fault(&c, GFN + 3, 0), LHV_EXIT_USER);
	KUNIT_EXPECT_EQ(test, c.vcpu->run_errno, -EFAULT);
	KUNIT_EXPECT_EQ(test, vm_munmap(c.hva, NR_PAGES << PAGE_SHIFT), 0);
	KUNIT_EXPECT_EQ(test, leaf(&c, GFN + 700), 0);
	KUNIT_EXPECT_EQ(test, c.vm->mem.invalidate_count, 0);
	finish(&c);
}

static void atomic_tier(struct kunit *test)
{
	struct ctx c;
	u64 val = 0;
	int ret[5];

	setup(test, &c);
	KUNIT_ASSERT_EQ(test, put_user(0x55UL, (u64 __user *)c.hva), 0);
	KUNIT_ASSERT_EQ(test, lhv_tdp_cache_fill(&c.vcpu->mem.cache), 0);
	preempt_disable();
	c.vcpu->atomic = true;
	ret[0] = fault(&c, GFN, LHV_ACC_WRITE);
	ret[1] = fault(&c, GFN + 512, LHV_ACC_WRITE);
	ret[2] = lhv_read_gpa(c.vcpu, GPA, &val, 8);
	ret[3] = lhv_read_gpa(c.vcpu, GPA + 0x300000, &val, 8);
	ret[4] = lhv_write_gpa(c.vcpu, GPA + 0x300000, &val, 8);
	c.vcpu->atomic = false;
	preempt_enable();
	KUNIT_EXPECT_EQ(test, ret[0], lhv_host_spins_in_atomic() ? LHV_RESUME : LHV_SLEEP);
	KUNIT_EXPECT_EQ(test, ret[1], LHV_SLEEP);
	KUNIT_EXPECT_EQ(test, ret[2], 0);
	KUNIT_EXPECT_EQ(test, ret[3], -EAGAIN);
	KUNIT_EXPECT_EQ(test, ret[4], -EAGAIN);
	KUNIT_EXPECT_EQ(test, !!leaf(&c, GFN), lhv_host_spins_in_atomic());
	finish(&c);
}

static void access(struct kunit *test)
{
	u64 val = 0x1122334455667788ULL;
	char buf[16] = {};
	struct ctx c;

	setup(test, &c);
	/* Across a page; across the end of the slot. */
	KUNIT_EXPECT_EQ(test, lhv_write_gpa(c.vcpu, GPA + 0xffc, &val, 8), 0);
	KUNIT_EXPECT_EQ(test, lhv_read_gpa(c.vcpu, GPA + 0xffa, buf, 12), 0);
	KUNIT_EXPECT_MEMEQ(test, buf + 2, &val, 8);
	KUNIT_EXPECT_EQ(test, lhv_write_gpa(c.vcpu, GPA + (NR_PAGES << PAGE_SHIFT) - 4, &val, 8),
			-EFAULT);
	KUNIT_EXPECT_EQ(test, lhv_read_gpa(c.vcpu, GPA - 4, buf, 8), -EFAULT);
	KUNIT_EXPECT_TRUE(test, lhv_gpa_is_memory(c.vm, GPA, true));
	KUNIT_EXPECT_FALSE(test, lhv_gpa_is_memory(c.vm, GPA - 1, false));
	finish(&c);
}

static void slots(struct kunit *test)
{
	u64 size = NR_PAGES << PAGE_SHIFT;
	struct ctx c;

	setup(test, &c);
	KUNIT_EXPECT_EQ(test, set_slot(&c, 1, GPA + size - PAGE_SIZE, size, c.hva, 0), -EEXIST);
	KUNIT_EXPECT_EQ(test, set_slot(&c, 1, GPA + 1, size, c.hva, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, set_slot(&c, 1, 0, size, c.hva + 1, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, set_slot(&c, 1, 0, PAGE_SIZE + 1, c.hva, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, set_slot(&c, 1, 0, size, PAGE_OFFSET, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, set_slot(&c, 1, ~0ULL << PAGE_SHIFT, size, c.hva, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, set_slot(&c, 1, 1ULL << 60, size, c.hva, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, set_slot(&c, 1, 0, 1ULL << 46, 0, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, set_slot(&c, 1, 0, size, c.hva, 1U << 31), -EINVAL);
	KUNIT_EXPECT_EQ(test, set_slot(&c, LHV_MAX_SLOTS, 0, size, c.hva, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, set_slot(&c, 0x10000, 0, size, c.hva, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, set_slot(&c, 1, 0, 0, 0, 0), -EINVAL);
	/* What a slot can't change. */
	KUNIT_EXPECT_EQ(test, set_slot(&c, 0, GPA, size - PAGE_SIZE, c.hva, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, set_slot(&c, 0, GPA, size, c.hva, KVM_MEM_READONLY), -EINVAL);
	KUNIT_EXPECT_EQ(test, set_slot(&c, 0, GPA, size, c.hva, 0), 0);

	/* The same memory a second time: both go when the host takes it. */
	KUNIT_EXPECT_EQ(test, set_slot(&c, 1, 0, size, c.hva, KVM_MEM_READONLY), 0);
	KUNIT_EXPECT_EQ(test, fault(&c, GFN + 5, LHV_ACC_WRITE), LHV_RESUME);
	KUNIT_EXPECT_EQ(test, fault(&c, 5, 0), LHV_RESUME);
	KUNIT_EXPECT_NE(test, leaf(&c, 5), 0);
	KUNIT_EXPECT_FALSE(test, writable(&c, 5));
	KUNIT_EXPECT_FALSE(test, lhv_gpa_is_memory(c.vm, 0, true));
	KUNIT_EXPECT_EQ(test, lhv_write_gpa(c.vcpu, 0, &size, 8), -EFAULT);
	KUNIT_EXPECT_EQ(test, vm_munmap(c.hva + 5 * PAGE_SIZE, PAGE_SIZE), 0);
	KUNIT_EXPECT_EQ(test, leaf(&c, GFN + 5), 0);
	KUNIT_EXPECT_EQ(test, leaf(&c, 5), 0);

	/* Move, half over itself; delete. */
	KUNIT_EXPECT_EQ(test, fault(&c, GFN + 600, LHV_ACC_WRITE), LHV_RESUME);
	KUNIT_EXPECT_EQ(test, set_slot(&c, 0, 0x1000, size, c.hva, 0), -EEXIST);
	KUNIT_EXPECT_EQ(test, set_slot(&c, 0, GPA + size / 2, size, c.hva, 0), 0);
	KUNIT_EXPECT_EQ(test, leaf(&c, GFN + 600), 0);
	KUNIT_EXPECT_FALSE(test, lhv_gpa_is_memory(c.vm, GPA, false));
	KUNIT_EXPECT_TRUE(test, lhv_gpa_is_memory(c.vm, GPA + size, false));
	KUNIT_EXPECT_EQ(test, fault(&c, GFN + NR_PAGES, LHV_ACC_WRITE), LHV_RESUME);
	KUNIT_EXPECT_NE(test, leaf(&c, GFN + NR_PAGES), 0);
	KUNIT_EXPECT_EQ(test, set_slot(&c, 0, 0, 0, 0, 0), 0);
	KUNIT_EXPECT_EQ(test, leaf(&c, GFN + NR_PAGES), 0);
	KUNIT_EXPECT_FALSE(test, lhv_gpa_is_memory(c.vm, GPA + size, false));
	KUNIT_EXPECT_EQ(test, set_slot(&c, 0, 0, 0, 0, 0), -EINVAL);
	finish(&c);
}

static gpa_t gpa_of(u32 at)
{
	return 2 * GPA + ((gpa_t)at << 20);
}

/* More than the tables have room for at first, in an order that suits neither index. */
static void many_slots(struct kunit *test)
{
	u32 i, n = 300;
	struct ctx c;

	setup(test, &c);
	for (i = 1; i < n; i++) {
		u32 at = i * 7 % n;

		KUNIT_ASSERT_EQ(test, set_slot(&c, i, gpa_of(at), PAGE_SIZE,
					       c.hva + (n - at) * PAGE_SIZE, 0), 0);
	}
	KUNIT_EXPECT_EQ(test, set_slot(&c, n, gpa_of(5), PAGE_SIZE, c.hva, 0), -EEXIST);
	for (i = 1; i < n; i++) {
		KUNIT_EXPECT_TRUE(test, lhv_gpa_is_memory(c.vm, gpa_of(i), true));
		KUNIT_EXPECT_FALSE(test, lhv_gpa_is_memory(c.vm, gpa_of(i) + PAGE_SIZE, true));
	}
	for (i = 1; i < n; i += 2)
		KUNIT_ASSERT_EQ(test, set_slot(&c, i, 0, 0, 0, 0), 0);
	for (i = 1; i < n; i++)
		KUNIT_EXPECT_EQ(test, lhv_gpa_is_memory(c.vm, gpa_of(i * 7 % n), true),
				i % 2 == 0);
	finish(&c);
}

/* A bit of the log as userspace got it. */
static bool logged(struct ctx *c, unsigned int page)
{
	u64 word = 0;

	if (get_user(word, (u64 __user *)c->bitmap + page / 64))
		KUNIT_FAIL(c->test, "bitmap");
	return word & BIT_ULL(page % 64);
}

static void dirty_log(struct kunit *test)
{
	u64 size = NR_PAGES << PAGE_SHIFT, val = 1;
	struct kvm_dirty_log log = {};
	struct ctx c;

	setup(test, &c);
	log.dirty_bitmap = (void __user *)c.bitmap;
	KUNIT_EXPECT_EQ(test, lhv_mem_get_dirty_log(c.vm, &log), -ENOENT);
	KUNIT_EXPECT_EQ(test, fault(&c, GFN + 9, LHV_ACC_WRITE), LHV_RESUME);
	KUNIT_EXPECT_TRUE(test, writable(&c, GFN + 9));

	KUNIT_EXPECT_EQ(test, set_slot(&c, 0, GPA, size, c.hva, KVM_MEM_LOG_DIRTY_PAGES), 0);
	KUNIT_EXPECT_FALSE(test, writable(&c, GFN + 9));
	KUNIT_EXPECT_EQ(test, lhv_mem_get_dirty_log(c.vm, &log), 0);
	KUNIT_EXPECT_FALSE(test, logged(&c, 9));

	KUNIT_EXPECT_EQ(test, fault(&c, GFN + 9, LHV_ACC_WRITE), LHV_RESUME);
	KUNIT_EXPECT_EQ(test, fault(&c, GFN + 10, 0), LHV_RESUME);
	KUNIT_EXPECT_EQ(test, lhv_write_gpa(c.vcpu, GPA + 0x64000, &val, 8), 0);
	KUNIT_EXPECT_TRUE(test, writable(&c, GFN + 9));
	KUNIT_EXPECT_FALSE(test, writable(&c, GFN + 10));
	KUNIT_EXPECT_EQ(test, lhv_mem_get_dirty_log(c.vm, &log), 0);
	KUNIT_EXPECT_TRUE(test, logged(&c, 9));
	KUNIT_EXPECT_FALSE(test, logged(&c, 10));
	KUNIT_EXPECT_TRUE(test, logged(&c, 0x64));
	KUNIT_EXPECT_FALSE(test, writable(&c, GFN + 9));
	KUNIT_EXPECT_EQ(test, lhv_mem_get_dirty_log(c.vm, &log), 0);
	KUNIT_EXPECT_FALSE(test, logged(&c, 9));

	/* A log that can't be handed over is not lost. */
	KUNIT_EXPECT_EQ(test, fault(&c, GFN + 9, LHV_ACC_WRITE), LHV_RESUME);
	log.dirty_bitmap = (void __user *)8;
	KUNIT_EXPECT_EQ(test, lhv_mem_get_dirty_log(c.vm, &log), -EFAULT);
	log.dirty_bitmap = (void __user *)c.bitmap;
	KUNIT_EXPECT_EQ(test, lhv_mem_get_dirty_log(c.vm, &log), 0);
	KUNIT_EXPECT_TRUE(test, logged(&c, 9));

	/* Small pages stay mapped, unless the host's are large: then there is room for such. */
	KUNIT_EXPECT_EQ(test, set_slot(&c, 0, GPA, size, c.hva, 0), 0);
	KUNIT_EXPECT_EQ(test, !leaf(&c, GFN + 9),
			lhv_host_mapping_level(current->mm, c.hva + 9 * PAGE_SIZE) > 1);
	KUNIT_EXPECT_EQ(test, fault(&c, GFN + 9, LHV_ACC_WRITE), LHV_RESUME);
	KUNIT_EXPECT_TRUE(test, writable(&c, GFN + 9));
	KUNIT_EXPECT_EQ(test, lhv_mem_get_dirty_log(c.vm, &log), -ENOENT);
	finish(&c);
}

static void dirty_log_manual(struct kunit *test)
{
	struct kvm_clear_dirty_log clear = { .first_page = 64, .num_pages = 64 };
	u64 size = NR_PAGES << PAGE_SHIFT;
	struct kvm_dirty_log log = {};
	struct ctx c;

	setup(test, &c);
	log.dirty_bitmap = (void __user *)c.bitmap;
	clear.dirty_bitmap = (void __user *)c.bitmap;
	c.vm->mem.dirty_log_flags = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
				    KVM_DIRTY_LOG_INITIALLY_SET;
	KUNIT_EXPECT_EQ(test, fault(&c, GFN + 66, LHV_ACC_WRITE), LHV_RESUME);
	KUNIT_EXPECT_EQ(test, set_slot(&c, 0, GPA, size, c.hva, KVM_MEM_LOG_DIRTY_PAGES), 0);
	KUNIT_EXPECT_TRUE(test, writable(&c, GFN + 66));
	KUNIT_EXPECT_EQ(test, lhv_mem_get_dirty_log(c.vm, &log), 0);
	KUNIT_EXPECT_TRUE(test, logged(&c, 66));
	KUNIT_EXPECT_TRUE(test, logged(&c, 1023));

	KUNIT_EXPECT_EQ(test, put_user(BIT_ULL(2), (u64 __user *)c.bitmap), 0);
	KUNIT_EXPECT_EQ(test, lhv_mem_clear_dirty_log(c.vm, &clear), 0);
	KUNIT_EXPECT_FALSE(test, writable(&c, GFN + 66));
	KUNIT_EXPECT_EQ(test, lhv_mem_get_dirty_log(c.vm, &log), 0);
	KUNIT_EXPECT_FALSE(test, logged(&c, 66));
	KUNIT_EXPECT_TRUE(test, logged(&c, 67));
	KUNIT_EXPECT_EQ(test, fault(&c, GFN + 66, LHV_ACC_WRITE), LHV_RESUME);
	KUNIT_EXPECT_EQ(test, lhv_mem_get_dirty_log(c.vm, &log), 0);
	KUNIT_EXPECT_TRUE(test, logged(&c, 66));

	clear.first_page = 1;
	KUNIT_EXPECT_EQ(test, lhv_mem_clear_dirty_log(c.vm, &clear), -EINVAL);
	clear.first_page = 64;
	clear.num_pages = 65;
	KUNIT_EXPECT_EQ(test, lhv_mem_clear_dirty_log(c.vm, &clear), -EINVAL);
	clear.num_pages = NR_PAGES;
	KUNIT_EXPECT_EQ(test, lhv_mem_clear_dirty_log(c.vm, &clear), -EINVAL);
	clear.first_page = ~0ULL << 6;
	KUNIT_EXPECT_EQ(test, lhv_mem_clear_dirty_log(c.vm, &clear), -EINVAL);
	finish(&c);
}

/* Two vCPUs fault all over, while the host and the VMM change what they can. */
#define STRESS_VCPUS	2
#define STRESS_MS	1500

struct stress {
	struct ctx *c;
	struct lhv_vcpu *vcpu;
	unsigned long faults;
	int bad;
};

static int stress_vcpu(void *data)
{
	struct stress *s = data;
	struct rnd_state rnd;

	prandom_seed_state(&rnd, (unsigned long)s);
	kthread_use_mm(s->c->vm->mm);
	while (!kthread_should_stop()) {
		u32 r = prandom_u32_state(&rnd);
		gfn_t gfn = GFN + r % NR_PAGES;
		u32 access = r & BIT(20) ? LHV_ACC_WRITE : 0;
		enum lhv_next next = LHV_SLEEP;

		if (leaf(s->c, gfn))
			access |= LHV_ACC_PRESENT;
		if (r & BIT(21)) {
			preempt_disable();
			s->vcpu->atomic = true;
			next = lhv_tdp_fault(s->vcpu, gfn << PAGE_SHIFT, access);
			s->vcpu->atomic = false;
			preempt_enable();
		}
		if (next == LHV_SLEEP)
			next = lhv_tdp_fault(s->vcpu, gfn << PAGE_SHIFT, access);
		/* Memory that was just unmapped: an error of the VMM's. */
		if (next != LHV_RESUME && s->vcpu->run_errno != -EFAULT)
			s->bad++;
		s->vcpu->run_errno = 0;
		s->faults++;
		cond_resched();
	}
	kthread_unuse_mm(s->c->vm->mm);
	return 0;
}

/* Whatever is mapped is what the host has there, and no more writable. */
static void check_tables(struct kunit *test, struct ctx *c)
{
	unsigned long i, mapped = 0, wrong = 0;

	for (i = 0; i < NR_PAGES; i++) {
		unsigned long hva = c->hva + i * PAGE_SIZE;
		u64 entry = leaf(c, GFN + i);
		struct page *page;
		bool found;

		if (!entry)
			continue;
		mapped++;
		if (entry & c->vm->mem.fmt->write)
			found = get_user_page_fast_only(hva, FOLL_WRITE, &page);
		else	/* the zero page is not to be had the fast way */
			found = get_user_pages_fast(hva, 1, 0, &page) == 1;
		if (found) {
			wrong += page_to_pfn(page) != lhv_tdp_entry_pfn(entry);
			put_page(page);
		} else {
			wrong++;
		}
	}
	KUNIT_EXPECT_EQ(test, wrong, 0);
	kunit_info(test, "%lu pages mapped\n", mapped);
}

static void remap(struct ctx *c, unsigned long at, unsigned long len)
{
	KUNIT_EXPECT_EQ(c->test, at, vm_mmap(NULL, at, len, PROT_READ | PROT_WRITE,
					     MAP_FIXED | MAP_ANONYMOUS | MAP_PRIVATE, 0));
}

static void stress(struct kunit *test)
{
	unsigned long size = NR_PAGES << PAGE_SHIFT, end, faults = 0, rounds = 0;
	struct task_struct *task[STRESS_VCPUS] = {};
	struct stress s[STRESS_VCPUS] = {};
	struct kvm_dirty_log log = {};
	struct rnd_state rnd;
	struct ctx c;
	int i;

	setup(test, &c);
	log.dirty_bitmap = (void __user *)c.bitmap;
	prandom_seed_state(&rnd, 7);
	for (i = 0; i < STRESS_VCPUS; i++) {
		s[i].c = &c;
		s[i].vcpu = kvzalloc(sizeof(*s[i].vcpu) + lhv_backend->vcpu_size, GFP_KERNEL);
		if (!s[i].vcpu)
			break;
		s[i].vcpu->vm = c.vm;
		s[i].vcpu->run = c.vcpu->run;
		task[i] = kthread_run(stress_vcpu, &s[i], "lhv-load/%d", i);
	}
	end = jiffies + msecs_to_jiffies(STRESS_MS);
	while (time_before(jiffies, end)) {
		u32 r = prandom_u32_state(&rnd);
		unsigned long at = c.hva + ((r >> 8) % NR_PAGES) * PAGE_SIZE;
		unsigned long len = min(((r >> 4) % 64 + 1) * PAGE_SIZE, c.hva + size - at);

		switch (r % 5) {
		case 0:
			vm_munmap(at, len);
			fallthrough;
		case 1:
			remap(&c, at, len);
			break;
		case 2:
			set_slot(&c, 0, GPA, size, c.hva, r & BIT(3) ? KVM_MEM_LOG_DIRTY_PAGES : 0);
			break;
		case 3:
			lhv_mem_get_dirty_log(c.vm, &log);
			break;
		case 4:
			/* Everything anew, so that there is a chance of large pages. */
			if (r & BIT(3))
				remap(&c, c.hva, size);
			break;
		}
		rounds++;
		cond_resched();
	}
	for (i = 0; i < STRESS_VCPUS; i++) {
		if (!IS_ERR_OR_NULL(task[i]))
			kthread_stop(task[i]);
		KUNIT_EXPECT_EQ(test, s[i].bad, 0);
		faults += s[i].faults;
	}
	kunit_info(test, "%lu faults, %lu changes\n", faults, rounds);
	KUNIT_EXPECT_EQ(test, c.vm->mem.invalidate_count, 0);
	check_tables(test, &c);
	for (i = 0; i < STRESS_VCPUS; i++) {
		if (s[i].vcpu)
			lhv_mem_vcpu_destroy(s[i].vcpu);
		kvfree(s[i].vcpu);
	}
	finish(&c);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(map_and_unmap),
	KUNIT_CASE(atomic_tier),
	KUNIT_CASE(access),
	KUNIT_CASE(slots),
	KUNIT_CASE(many_slots),
	KUNIT_CASE(dirty_log),
	KUNIT_CASE(dirty_log_manual),
	KUNIT_CASE_SLOW(stress),
	{}
};

static struct kunit_suite suite = {
	.name = "lhv_mem_fault",
	.test_cases = cases,
};
kunit_test_suite(suite);
