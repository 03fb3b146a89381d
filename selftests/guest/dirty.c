// SPDX-License-Identifier: GPL-2.0
/*
 * The dirty log's newer forms under a running guest: the ring, and bitmaps that are
 * cleared by hand. And what it does to large mappings.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "guest.h"

#define MIB	(1ul << 20)
#define PAGES	512
#define EXTRA(i) ((volatile uint64_t *)(GUEST_EXTRA + (i) * PAGE_SIZE))

#define ENTRIES	(PAGE_SIZE / sizeof(struct kvm_dirty_gfn))
/* Kept free by KVM without PML, and by us. */
#define RESERVED 64

static volatile uint64_t stop, beats;

static struct vm *machine_extra(uint32_t flags, void *mem)
{
	struct vm *vm = machine(0);

	vm_set_slot(vm, 1, flags, GUEST_EXTRA, PAGES * PAGE_SIZE, mem);
	return vm;
}

/* The ring: what a VMM keeps of it */

struct ring {
	struct vm *vm;
	struct kvm_dirty_gfn *entries;
	unsigned int next;
	uint8_t dirty[PAGES];		/* how often each page was harvested */
	unsigned int harvested;		/* and not reset yet */
};

static struct vm *ring_machine(struct ring *r, void *mem, guest_fn fn)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_DIRTY_LOG_RING, .args = { PAGE_SIZE } };
	struct vm *vm = machine(0);

	need_cap(vm->fd, KVM_CAP_DIRTY_LOG_RING);
	CHECK_OK(ioctl(vm->fd, KVM_ENABLE_CAP, &cap));
	vm_set_slot(vm, 1, KVM_MEM_LOG_DIRTY_PAGES, GUEST_EXTRA, PAGES * PAGE_SIZE, mem);
	*r = (struct ring){ .vm = vm };
	r->entries = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			  machine_vcpu(vm, fn)->fd, KVM_DIRTY_LOG_PAGE_OFFSET * PAGE_SIZE);
	CHECK(r->entries != MAP_FAILED);
	return vm;
}

static unsigned int harvest(struct ring *r)
{
	unsigned int n = 0;

	for (;;) {
		struct kvm_dirty_gfn *e = &r->entries[r->next % ENTRIES];

		if (__atomic_load_n(&e->flags, __ATOMIC_ACQUIRE) != KVM_DIRTY_GFN_F_DIRTY)
			break;
		CHECK_EQ(e->slot, 1);
		CHECK(e->offset < PAGES);
		r->dirty[e->offset]++;
		__atomic_store_n(&e->flags, KVM_DIRTY_GFN_F_DIRTY | KVM_DIRTY_GFN_F_RESET,
				 __ATOMIC_RELEASE);
		r->next++;
		n++;
	}
	r->harvested += n;
	return n;
}

static void reset(struct ring *r)
{
	CHECK_EQ(CHECK_OK(ioctl(r->vm->fd, KVM_RESET_DIRTY_RINGS, 0)), r->harvested);
	r->harvested = 0;
}

static void g_ring(void)
{
	void *p = (void *)EXTRA(400);
	uint64_t i, n = 8;

	for (i = 0; i < 100; i++)
		*EXTRA(i * 3) = i;
	g_sync(1);
	for (i = 0; i < 100; i++)	/* not reset: nothing new */
		*EXTRA(i * 3) = i + 1;
	g_sync(2);
	for (i = 0; i < 100; i++)	/* reset: all of it anew */
		*EXTRA(i * 3) = i + 2;
	g_sync(3);
	/* Somebody else writes: an emulated instruction. */
	outl(PORT_FIFO, 0x1234);
	outl(PORT_FIFO, 0x5678);
	asm volatile("rep insb" : "+D"(p), "+c"(n) : "d"(PORT_FIFO) : "memory");
	g_sync(4);
	g_done();
}

static void expect_thirds(const struct ring *r, int times)
{
	int i;

	for (i = 0; i < PAGES; i++)
		if (r->dirty[i] != (i % 3 || i >= 300 ? 0 : times))
			FAIL("page %d was harvested %d times", i, r->dirty[i]);
}

TEST(dirty_ring)
{
	void *mem = map_memory(PAGES * PAGE_SIZE, 2 * MIB);
	struct vcpu *vcpu;
	struct ring r;

	memset(mem, 0, PAGES * PAGE_SIZE);
	vcpu = &ring_machine(&r, mem, g_ring)->vcpus[0];
	vcpu_sync(vcpu, 1);
	CHECK_EQ(harvest(&r), 100);
	expect_thirds(&r, 1);
	vcpu_sync(vcpu, 2);
	CHECK_EQ(harvest(&r), 0);
	reset(&r);
	vcpu_sync(vcpu, 3);
	CHECK_EQ(harvest(&r), 100);
	expect_thirds(&r, 2);
	reset(&r);
	vcpu_sync(vcpu, 4);
	CHECK(harvest(&r) >= 1);
	CHECK(r.dirty[400] >= 1);
	r.dirty[400] = 0;
	expect_thirds(&r, 2);
	reset(&r);
	vcpu_done(vcpu);
}

static void g_write_all(void)
{
	uint64_t i;

	for (i = 0; i < PAGES; i++)
		*EXTRA(i) = i;
	g_done();
}

static void run_full(struct vcpu *vcpu)
{
	CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
	CHECK_EQ(vcpu->run->exit_reason, KVM_EXIT_DIRTY_RING_FULL);
}

TEST(dirty_ring_full)
{
	void *mem = map_memory(PAGES * PAGE_SIZE, 2 * MIB);
	struct vcpu *vcpu;
	struct ring r;
	int i;

	vcpu = &ring_machine(&r, mem, g_write_all)->vcpus[0];
	run_full(vcpu);
	run_full(vcpu);
	CHECK_EQ(harvest(&r), ENTRIES - RESERVED);
	run_full(vcpu);		/* harvested is not reset */
	reset(&r);
	run_full(vcpu);
	CHECK_EQ(harvest(&r), ENTRIES - RESERVED);
	reset(&r);
	vcpu_done(vcpu);
	harvest(&r);
	/* The write that filled the ring was made after the reset, and noted once more. */
	for (i = 0; i < PAGES; i++)
		CHECK(r.dirty[i] == 1 || r.dirty[i] == 2);
}

/* Nothing is lost: what was copied after each reset is in the end what is there. */

static void g_write_forever(void)
{
	uint64_t n = 0;

	while (!stop) {
		n++;
		*EXTRA(n * 7 % PAGES) = n;
		beats = n;
		g_touch_if();
	}
	g_done();
}

static void *run_ring(void *arg)
{
	struct ring *r = arg;
	struct vcpu *vcpu = &r->vm->vcpus[0];
	int ret;

	while ((ret = vcpu_go(vcpu, NULL)) != GO_DONE) {
		CHECK_EQ(ret, KVM_EXIT_DIRTY_RING_FULL);
		sched_yield();
	}
	return NULL;
}

static void copy_dirty(struct ring *r, uint64_t *copy, uint8_t *mem)
{
	int i;

	harvest(r);
	reset(r);
	for (i = 0; i < PAGES; i++) {
		if (r->dirty[i])
			copy[i] = *(volatile uint64_t *)(mem + i * PAGE_SIZE);
		r->dirty[i] = 0;
	}
}

TEST(dirty_ring_running)
{
	uint8_t *mem = map_memory(PAGES * PAGE_SIZE, 2 * MIB);
	uint64_t copy[PAGES] = {};
	struct ring r;
	pthread_t t;
	int i;

	madvise(mem, PAGES * PAGE_SIZE, MADV_HUGEPAGE);
	ring_machine(&r, mem, g_write_forever);
	CHECK(!pthread_create(&t, NULL, run_ring, &r));
	for (i = 0; i < 50; i++) {
		volatile uint64_t *n = guest_ptr(r.vm, &beats);
		uint64_t seen = *n;

		copy_dirty(&r, copy, mem);
		while (*n < seen + 10) {
			copy_dirty(&r, copy, mem);
			sched_yield();
		}
	}
	GUEST_VAR(r.vm, stop) = 1;
	/* It may stand before a full ring. */
	while (pthread_tryjoin_np(t, NULL))
		copy_dirty(&r, copy, mem);
	copy_dirty(&r, copy, mem);
	for (i = 0; i < PAGES; i++)
		CHECK_EQ(copy[i], *(uint64_t *)(mem + i * PAGE_SIZE));
}

/*
 * KVM_TRANSLATE sets accessed bits, outside of KVM_RUN: it fills the ring to the brim and no
 * further. (KVM overruns it, with a warning.)
 */
TEST(dirty_ring_brim)
{
	static const uint64_t at[] = { GUEST_PML4, GUEST_PDPT, GUEST_PD };
	struct kvm_translation tr = { .linear_address = 0 };
	struct vcpu *vcpu;
	unsigned int i, j;
	struct ring r;

	if (on_kvm())
		test_skip("KVM overruns its ring");
	vcpu = &ring_machine(&r, map_memory(PAGES * PAGE_SIZE, PAGE_SIZE), g_write_all)->vcpus[0];
	vm_set_slot(r.vm, 0, KVM_MEM_LOG_DIRTY_PAGES, 0, GUEST_RAM, r.vm->ram);
	for (i = 0; i < ENTRIES; i++) {
		for (j = 0; j < 3; j++)
			*(uint64_t *)(r.vm->ram + at[j]) &= ~PTE_A;
		CHECK_OK(ioctl(vcpu->fd, KVM_TRANSLATE, &tr));
		CHECK_EQ(tr.valid, 1);
	}
	for (i = 0; i < ENTRIES; i++) {
		CHECK_EQ(r.entries[i].flags, KVM_DIRTY_GFN_F_DIRTY);
		CHECK_EQ(r.entries[i].slot, 0);
		CHECK_EQ(r.entries[i].offset, at[2 - i % 3] / PAGE_SIZE);
		r.entries[i].flags |= KVM_DIRTY_GFN_F_RESET;
	}
	run_full(vcpu);
	r.harvested = ENTRIES;
	reset(&r);
	for (j = 0; j < 3; j++)
		CHECK(!(*(uint64_t *)(r.vm->ram + at[j]) & PTE_A));
	CHECK_OK(ioctl(vcpu->fd, KVM_TRANSLATE, &tr));
	for (i = 0; i < 3; i++)
		CHECK_EQ(r.entries[i].flags, KVM_DIRTY_GFN_F_DIRTY);
	CHECK_EQ(r.entries[3].flags, 0);
}

/* Bitmaps that are cleared by hand: the log goes on bit by bit. */

static void g_manual(void)
{
	uint64_t i, round;

	for (i = 0; i < PAGES; i++)
		*EXTRA(i) = 0;
	for (round = 1; round <= 4; round++) {
		g_sync(round);
		for (i = 0; i < PAGES; i += 5)
			*EXTRA(i) = round;
	}
	g_done();
}

static void get_log(struct vm *vm, uint64_t *bitmap)
{
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = bitmap };

	CHECK_OK(ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log));
}

static void clear_log(struct vm *vm, uint64_t first, uint32_t n, uint64_t bits)
{
	struct kvm_clear_dirty_log log = {
		.slot = 1, .first_page = first, .num_pages = n,
	};
	uint64_t bitmap[PAGES / 64];
	int i;

	for (i = 0; i < PAGES / 64; i++)
		bitmap[i] = bits;
	log.dirty_bitmap = bitmap;
	CHECK_OK(ioctl(vm->fd, KVM_CLEAR_DIRTY_LOG, &log));
}

static bool bit(const uint64_t *bitmap, int i)
{
	return bitmap[i / 64] >> i % 64 & 1;
}

static void manual_log(uint64_t flags, int advice)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .args = { flags },
	};
	uint8_t *mem = map_memory(PAGES * PAGE_SIZE, 2 * MIB);
	bool all = flags & KVM_DIRTY_LOG_INITIALLY_SET;
	uint64_t bitmap[PAGES / 64];
	struct vcpu *vcpu;
	struct vm *vm;
	int i;

	madvise(mem, PAGES * PAGE_SIZE, advice);
	vm = machine_extra(0, mem);
	CHECK_OK(ioctl(vm->fd, KVM_ENABLE_CAP, &cap));
	vcpu = machine_vcpu(vm, g_manual);
	vcpu_sync(vcpu, 1);
	vm_set_slot(vm, 1, KVM_MEM_LOG_DIRTY_PAGES, GUEST_EXTRA, PAGES * PAGE_SIZE, mem);
	get_log(vm, bitmap);
	for (i = 0; i < PAGES; i++)
		CHECK_EQ(bit(bitmap, i), all);
	/* The even pages of the first half are clean from here on. */
	clear_log(vm, 0, PAGES / 2, 0x5555555555555555);
	get_log(vm, bitmap);
	for (i = 0; i < PAGES; i++)
		CHECK_EQ(bit(bitmap, i), all && (i >= PAGES / 2 || i % 2));
	vcpu_sync(vcpu, 2);	/* written once more, every fifth */
	get_log(vm, bitmap);
	for (i = 0; i < PAGES; i++)
		if (bit(bitmap, i) != (i % 5 == 0 || (all && (i >= PAGES / 2 || i % 2))))
			FAIL("page %d is %s", i, bit(bitmap, i) ? "dirty" : "clean");
	clear_log(vm, 0, PAGES, ~0ull);
	get_log(vm, bitmap);
	for (i = 0; i < PAGES / 64; i++)
		CHECK_EQ(bitmap[i], 0);
	vcpu_sync(vcpu, 3);
	get_log(vm, bitmap);
	for (i = 0; i < PAGES; i++)
		CHECK_EQ(bit(bitmap, i), i % 5 == 0);
	/* Not cleared: written again, still as dirty. */
	vcpu_sync(vcpu, 4);
	get_log(vm, bitmap);
	for (i = 0; i < PAGES; i++)
		CHECK_EQ(bit(bitmap, i), i % 5 == 0);
	vcpu_done(vcpu);
}

TEST(dirty_manual_small)
{
	manual_log(KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE, MADV_NOHUGEPAGE);
}

TEST(dirty_manual_huge)
{
	manual_log(KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE, MADV_HUGEPAGE);
}

TEST(dirty_manual_set_small)
{
	manual_log(KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET,
		   MADV_NOHUGEPAGE);
}

TEST(dirty_manual_set_huge)
{
	manual_log(KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET,
		   MADV_HUGEPAGE);
}

/* Large mappings are split while the log is on, and come back when it ends. */

static void g_levels(void)
{
	uint64_t i, round;

	for (round = 1; round <= 4; round++) {
		for (i = 0; i < PAGES; i += 3)
			*EXTRA(i) = round;
		for (i = 0; i < PAGES; i += 3)
			G_EQ(*EXTRA(i), round);
		g_sync(round);
	}
	g_done();
}

TEST(dirty_log_splits)
{
	uint8_t *mem = map_memory(PAGES * PAGE_SIZE, 2 * MIB);
	uint64_t bitmap[PAGES / 64], before;
	struct vcpu *vcpu;
	struct vm *vm;
	int i;

	madvise(mem, PAGES * PAGE_SIZE, MADV_HUGEPAGE);
	memset(mem, 0, PAGES * PAGE_SIZE);
	vm = machine_extra(0, mem);
	vcpu = machine_vcpu(vm, g_levels);
	/* What the rest of the guest is mapped by */
	vcpu_sync(vcpu, 1);
	before = vm_mapped(vm).pages[1];
	if (!before)
		test_skip("no huge page");
	vm_set_slot(vm, 1, KVM_MEM_LOG_DIRTY_PAGES, GUEST_EXTRA, PAGES * PAGE_SIZE, mem);
	vcpu_sync(vcpu, 2);
	CHECK_EQ(vm_mapped(vm).pages[1], before - 1);
	CHECK(vm_mapped(vm).pages[0] >= PAGES);
	get_log(vm, bitmap);
	for (i = 0; i < PAGES; i++)
		CHECK_EQ(bit(bitmap, i), i % 3 == 0);
	vm_set_slot(vm, 1, 0, GUEST_EXTRA, PAGES * PAGE_SIZE, mem);
	vcpu_sync(vcpu, 3);
	CHECK_EQ(vm_mapped(vm).pages[1], before);
	CHECK(vm_mapped(vm).pages[0] < PAGES);
	vcpu_sync(vcpu, 4);
	vcpu_done(vcpu);
}

/* Where the host's pages are small there is nothing to come back, and nothing goes. */
TEST(dirty_log_keeps_small)
{
	uint8_t *mem = map_memory(PAGES * PAGE_SIZE, 2 * MIB);
	struct vcpu *vcpu;
	struct vm *vm;

	madvise(mem, PAGES * PAGE_SIZE, MADV_NOHUGEPAGE);
	memset(mem, 0, PAGES * PAGE_SIZE);
	vm = machine_extra(0, mem);
	vcpu = machine_vcpu(vm, g_levels);
	vcpu_sync(vcpu, 1);
	vm_set_slot(vm, 1, KVM_MEM_LOG_DIRTY_PAGES, GUEST_EXTRA, PAGES * PAGE_SIZE, mem);
	vcpu_sync(vcpu, 2);
	vm_set_slot(vm, 1, 0, GUEST_EXTRA, PAGES * PAGE_SIZE, mem);
	CHECK(vm_mapped(vm).pages[0] >= PAGES / 3);
	vcpu_sync(vcpu, 3);
	vcpu_sync(vcpu, 4);
	vcpu_done(vcpu);
}

/* A slot that moves takes its log along. */
static void g_moved(void)
{
	*EXTRA(3) = 1;
	g_sync(1);	/* moved up by a page */
	*EXTRA(8) = 2;
	g_sync(2);
	g_done();
}

TEST(dirty_log_moved)
{
	uint64_t bitmap[PAGES / 64];
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = bitmap };
	void *mem = map_memory(PAGES * PAGE_SIZE, 2 * MIB);
	struct vm *vm = machine_extra(KVM_MEM_LOG_DIRTY_PAGES, mem);
	struct vcpu *vcpu = machine_vcpu(vm, g_moved);
	unsigned int i;

	vcpu_sync(vcpu, 1);
	vm_set_slot(vm, 1, KVM_MEM_LOG_DIRTY_PAGES, GUEST_EXTRA + PAGE_SIZE, PAGES * PAGE_SIZE,
		    mem);
	vcpu_sync(vcpu, 2);
	CHECK_OK(ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log));
	CHECK_EQ(bitmap[0], 1 << 3 | 1 << 7);
	for (i = 1; i < PAGES / 64; i++)
		CHECK_EQ(bitmap[i], 0);
	vcpu_done(vcpu);
}
