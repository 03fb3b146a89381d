// SPDX-License-Identifier: GPL-2.0
/* Reclaim, THP, KSM, fork, moved and removed mappings, slots: see checker.h. */
#include <fcntl.h>

#include "checker.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

#define SIZE	(4 * MIB)
#define PAGES	(SIZE / PAGE_SIZE)
#define THP	"/sys/kernel/mm/transparent_hugepage/"
#define KSM	"/sys/kernel/mm/ksm/"

static int rounds(int n)
{
	return slow_kernel() ? (n + 1) / 2 : n;
}

static uint8_t *region(int advice)
{
	uint8_t *mem = map_memory(SIZE, HUGE);

	advise(mem, SIZE, advice);
	return mem;
}

/* ---- reclaim ---- */

/*
 * Twice: before 6.9 the first call only forgets that a page was used, and a page that was
 * used stays. So it takes small pieces, and turns, until a guest that uses all has lost enough.
 */
static void page_out(uint8_t *mem, size_t piece)
{
	size_t off;

	for (off = 0; off < SIZE; off += piece) {
		CHECK_OK(madvise(mem + off, piece, MADV_PAGEOUT));
		CHECK_OK(madvise(mem + off, piece, MADV_PAGEOUT));
	}
}

static void pageout(int advice, size_t piece)
{
	uint64_t before = file_value("/proc/vmstat", "pswpout"), out;
	struct checker c = { 0 };

	need_swap();
	checker_start(&c, 2, region(advice), SIZE);
	checker_passes(&c, 1);
	do {
		page_out(c.mem, piece);
		checker_settle(&c);
		out = file_value("/proc/vmstat", "pswpout") - before;
	} while (out < (slow_kernel() ? PAGES / 16 : PAGES / 2));
	test_note("%llu pages went to swap", (unsigned long long)out);
	checker_stop(&c);
}

TEST(pageout_small, .timeout = 240)
{
	pageout(MADV_NOHUGEPAGE, 8 * PAGE_SIZE);
}

TEST(pageout_huge, .timeout = 240)
{
	pageout(MADV_HUGEPAGE, HUGE);
}

/*
 * The cgroup has less room than the guest uses: it swaps all the time. What else the cgroup has
 * may go first, so the room shrinks until the guest's own memory does.
 */
TEST(cgroup_limit, .timeout = 240)
{
	const size_t size = 2 * MIB;
	struct checker c = { 0 };
	uint64_t before, in, room;
	const char *cg;
	char path[128];

	if (slow_kernel())
		test_skip("reclaim is slower than the guest touches all again: it finds nothing, and the process is killed");
	need_swap();
	cg = own_cgroup();
	checker_start(&c, 2, region(MADV_NOHUGEPAGE), size);
	checker_passes(&c, 1);
	snprintf(path, sizeof(path), "%s/memory.current", cg);
	room = file_number(path) - size / 4;
	snprintf(path, sizeof(path), "%s/memory.max", cg);
	before = file_value("/proc/vmstat", "pswpin");
	do {
		room -= size / 8;
		CHECK(room > size);
		write_file(path, "%llu", (unsigned long long)room);
		checker_settle(&c);
		in = file_value("/proc/vmstat", "pswpin") - before;
	} while (in < size / PAGE_SIZE / 4);
	test_note("%llu pages came back from swap", (unsigned long long)in);
	write_file(path, "max");
	checker_settle(&c);
	checker_stop(&c);
}

/*
 * What the guest used and no longer uses is asked for twice and goes, by what lhv says of it alone:
 * the host's own page tables do not see a guest's accesses.
 */
static void g_touch(void)
{
	uint64_t i, round;

	for (round = 1; round <= 2; round++) {
		for (i = 0; i < PAGES; i++) {
			volatile uint64_t *p = (uint64_t *)(GUEST_EXTRA + i * PAGE_SIZE);

			G_EQ(*p, round == 1 ? 0 : i + 1);
			*p = i + 1;
		}
		g_sync(round);
	}
	g_done();
}

TEST(reclaim_idle, .timeout = 240)
{
	uint8_t *mem = region(MADV_NOHUGEPAGE);
	struct vm *vm = machine(0);
	const char *cg;
	char path[128];

	need_swap();
	cg = own_cgroup();
	snprintf(path, sizeof(path), "%s/memory.reclaim", cg);
	if (access(path, W_OK))
		test_skip("this kernel reclaims no cgroup's memory on demand");
	vm_set_slot(vm, 1, 0, GUEST_EXTRA, SIZE, mem);
	machine_vcpu(vm, g_touch);
	vcpu_sync(&vm->vcpus[0], 1);
	/* It takes what it finds, and says so when that is less. */
	while (smaps_bytes(mem, "Swap") < SIZE / 2)
		try_write_file(path, "1M");
	vcpu_sync(&vm->vcpus[0], 2);
	vcpu_done(&vm->vcpus[0]);
}

/* ---- huge pages made and broken ---- */

static void split_thp(struct checker *c)
{
	write_file("/sys/kernel/debug/split_huge_pages", "%d,0x%lx,0x%lx", getpid(),
		   (unsigned long)c->mem, (unsigned long)c->mem + SIZE);
}

/* Until the pages are what they should be: somebody may hold a reference just then. */
static void until_thp(struct checker *c, uint64_t bytes, void (*again)(struct checker *c))
{
	uint64_t end = now_ms() + 60000, is;

	while ((is = smaps_bytes(c->mem, "AnonHugePages")) != bytes) {
		if (now_ms() > end)
			FAIL("%llu bytes in huge pages", (unsigned long long)is);
		if (again)
			again(c);
		checker_passes(c, 1);
	}
}

static void collapse(struct checker *c)
{
	size_t off;

	for (off = 0; off < SIZE; off += HUGE)
		if (madvise(c->mem + off, HUGE, MADV_COLLAPSE) && errno == EINVAL)
			test_skip("no MADV_COLLAPSE");
}

TEST(thp_collapse_split, .timeout = 240)
{
	struct checker c = { 0 };
	int i;

	if (access("/sys/kernel/debug/split_huge_pages", W_OK))
		test_skip("no way to split huge pages");
	checker_start(&c, 2, region(MADV_NOHUGEPAGE), SIZE);
	checker_passes(&c, 1);
	await_mapped(&c, 0, PAGES, -1);
	advise(c.mem, SIZE, MADV_HUGEPAGE);
	for (i = 0; i < rounds(3); i++) {
		until_thp(&c, SIZE, collapse);
		await_mapped(&c, 1, SIZE / HUGE, -1);
		checker_settle(&c);
		until_thp(&c, 0, split_thp);
		await_mapped(&c, 0, PAGES, -1);
		checker_settle(&c);
	}
	checker_stop(&c);
}

/* A mapping of one piece is broken by rights that differ, and pieces of it move. */
TEST(thp_torn, .timeout = 240)
{
	struct checker c = { 0 };
	int i;

	checker_start(&c, 2, region(MADV_HUGEPAGE), SIZE);
	c.lossy = true;		/* while rights are away, writes are refused */
	checker_passes(&c, 1);
	for (i = 0; i < rounds(4); i++) {
		uint8_t *p = c.mem + i % 2 * HUGE + (i + 1) * 37 * PAGE_SIZE;

		CHECK_OK(mprotect(p, PAGE_SIZE, PROT_READ));
		sched_yield();
		CHECK_OK(mprotect(p, PAGE_SIZE, PROT_READ | PROT_WRITE));
		checker_passes(&c, 1);
		CHECK_OK(mprotect(c.mem, SIZE, PROT_NONE));
		sched_yield();
		CHECK_OK(mprotect(c.mem, SIZE, PROT_READ | PROT_WRITE));
		checker_settle(&c);
	}
	checker_stop(&c);
}

TEST(khugepaged, .timeout = 240)
{
	struct checker c = { 0 };

	if (access(THP "khugepaged", F_OK))
		test_skip("this kernel has no transparent huge pages");
	write_file(THP "khugepaged/scan_sleep_millisecs", "1");
	write_file(THP "khugepaged/alloc_sleep_millisecs", "1");
	write_file(THP "khugepaged/pages_to_scan", "100000");
	checker_start(&c, 2, region(MADV_NOHUGEPAGE), SIZE);
	checker_passes(&c, 1);
	CHECK_EQ(smaps_bytes(c.mem, "AnonHugePages"), 0);
	advise(c.mem, SIZE, MADV_HUGEPAGE);
	until_thp(&c, SIZE, NULL);
	await_mapped(&c, 1, SIZE / HUGE, -1);
	checker_settle(&c);
	checker_stop(&c);
	write_file(THP "khugepaged/scan_sleep_millisecs", "10000");
}

/* ---- KSM ---- */

/* Pages that more than one place maps: in pagemap, bit 63 is present, 56 mapped here alone. */
static size_t shared_pages(const uint8_t *mem)
{
	static uint64_t entry[PAGES];
	int fd = open("/proc/self/pagemap", O_RDONLY);
	size_t i, n = 0;

	CHECK_OK(fd);
	CHECK_EQ(pread(fd, entry, sizeof(entry), (uintptr_t)mem / PAGE_SIZE * 8), sizeof(entry));
	close(fd);
	for (i = 0; i < PAGES; i++)
		n += (entry[i] >> 63) && !(entry[i] >> 56 & 1);
	return n;
}

TEST(ksm, .timeout = 240)
{
	uint64_t end = now_ms() + 180000, shared;
	struct checker c = { 0 };

	if (access(KSM "run", W_OK))
		test_skip("no KSM");
	write_file(KSM "sleep_millisecs", "1");
	write_file(KSM "pages_to_scan", "10000");
	try_write_file(KSM "smart_scan", "0");	/* since 6.7: skip what was in vain before */
	checker_alike();
	checker_start(&c, 2, region(MADV_NOHUGEPAGE), SIZE);
	checker_passes(&c, 2);
	checker_quiet(&c, true);
	CHECK_OK(madvise(c.mem, SIZE, MADV_MERGEABLE));
	write_file(KSM "run", "1");
	while ((shared = shared_pages(c.mem)) < PAGES / 4) {
		if (now_ms() > end)
			FAIL("only %llu pages are shared", (unsigned long long)shared);
		checker_passes(&c, 1);
	}
	checker_passes(&c, 2);
	/* Merged pages stay while the thread rests. The guest writes: each gets its own again. */
	write_file(KSM "run", "0");
	checker_quiet(&c, false);
	checker_passes(&c, 2);
	CHECK_EQ(shared_pages(c.mem), 0);
	checker_settle(&c);
	/* And so does who does not write. */
	checker_quiet(&c, true);
	write_file(KSM "run", "1");
	while (shared_pages(c.mem) < PAGES / 4 && now_ms() < end)
		checker_passes(&c, 1);
	CHECK_OK(madvise(c.mem, SIZE, MADV_UNMERGEABLE));
	write_file(KSM "run", "2");
	CHECK_EQ(file_number(KSM "pages_shared"), 0);
	checker_quiet(&c, false);
	checker_settle(&c);
	checker_stop(&c);
}

/* ---- fork, mremap, munmap ---- */

/* Its copy does not change, whatever the guest does; and what it writes nobody sees. */
static void child(struct checker *c)
{
	static uint64_t copy[PAGES];
	size_t i;

	for (i = 0; i < PAGES; i++)
		copy[i] = *(volatile uint64_t *)(c->mem + i * PAGE_SIZE);
	for (i = 0; i < PAGES; i++)
		if (*(volatile uint64_t *)(c->mem + i * PAGE_SIZE) != copy[i])
			_exit(1);
	for (i = 0; i < PAGES; i++)
		*(volatile uint64_t *)(c->mem + i * PAGE_SIZE) = ~0ull;
	_exit(0);
}

static void forked(int advice)
{
	struct checker c = { 0 };
	int i, status;

	checker_start(&c, 2, region(advice), SIZE);
	checker_passes(&c, 1);
	for (i = 0; i < rounds(4); i++) {
		pid_t pid = CHECK_OK(fork());

		if (!pid)
			child(&c);
		checker_passes(&c, 1);
		CHECK_OK(waitpid(pid, &status, 0));
		CHECK_EQ(status, 0);
		checker_settle(&c);
	}
	checker_stop(&c);
}

TEST(fork_small, .timeout = 240)
{
	forked(MADV_NOHUGEPAGE);
}

TEST(fork_huge, .timeout = 240)
{
	forked(MADV_HUGEPAGE);
}

/* Every vCPU has found nothing there. */
static void await_efault(struct checker *c)
{
	uint64_t before;
	int i;

	for (i = 0; i < c->n; i++) {
		before = c->faults[i];
		while (c->faults[i] == before)
			usleep(1000);
	}
}

static void moved(int advice)
{
	uint8_t *elsewhere = map_memory(SIZE, HUGE), *mem = region(advice);
	struct checker c = { .lossy = true };
	int i;

	checker_start(&c, 2, mem, SIZE);
	checker_passes(&c, 1);
	for (i = 0; i < rounds(4); i++) {
		CHECK(mremap(mem, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, elsewhere) ==
		      elsewhere);
		await_efault(&c);
		CHECK(mremap(elsewhere, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, mem) == mem);
		checker_passes(&c, 1);
		checker_settle(&c);
	}
	checker_stop(&c);
}

TEST(mremap_small, .timeout = 240)
{
	moved(MADV_NOHUGEPAGE);
}

TEST(mremap_huge, .timeout = 240)
{
	moved(MADV_HUGEPAGE);
}

/* Without memory KVM_RUN says EFAULT, on every vCPU; with it again the guest goes on. */
TEST(munmap, .timeout = 240)
{
	int fd = CHECK_OK(memfd_create("guest", 0)), i;
	uint8_t *mem = map_memory(SIZE, HUGE);
	struct checker c = { .lossy = true };

	CHECK_OK(ftruncate(fd, SIZE));
	CHECK(mmap(mem, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == mem);
	checker_start(&c, 2, mem, SIZE);
	checker_passes(&c, 1);
	for (i = 0; i < rounds(4); i++) {
		CHECK_OK(munmap(mem, SIZE));
		await_efault(&c);
		CHECK(mmap(mem, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) ==
		      mem);
		checker_settle(&c);
	}
	checker_stop(&c);
}

/* ---- slots ---- */

static void set(struct checker *c, int slot, uint32_t flags, uint64_t gpa, bool there)
{
	vm_set_slot(c->vm, slot, flags, gpa, there ? c->size : 0, c->mem);
}

static void await_mmio(struct checker *c)
{
	uint64_t before = c->mmio;

	while (c->mmio == before)
		usleep(1000);
}

/* The slot goes, moves, is read-only, is logged. Accesses in between are MMIO, on the same memory. */
TEST(slots, .timeout = 240)
{
	static uint64_t dirty[PAGES / 64];
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = dirty };
	int fd = CHECK_OK(memfd_create("guest", 0)), i;
	uint8_t *mem = map_memory(SIZE, HUGE), *window;
	struct checker c = { 0 };
	uint64_t j, n;

	CHECK_OK(ftruncate(fd, SIZE));
	CHECK(mmap(mem, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == mem);
	window = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(window != MAP_FAILED);
	c.window = window;
	checker_start(&c, 2, mem, SIZE);
	checker_passes(&c, 1);
	for (i = 0; i < rounds(4); i++) {
		set(&c, 1, 0, GUEST_EXTRA, false);
		await_mmio(&c);
		set(&c, 1, 0, GUEST_EXTRA, true);
		checker_passes(&c, 1);

		set(&c, 1, 0, 2ul * GUEST_EXTRA, true);
		await_mmio(&c);
		set(&c, 1, 0, GUEST_EXTRA, true);
		checker_passes(&c, 1);

		set(&c, 1, 0, GUEST_EXTRA, false);
		set(&c, 2, KVM_MEM_READONLY, GUEST_EXTRA, true);
		await_mmio(&c);
		set(&c, 2, 0, GUEST_EXTRA, false);
		set(&c, 1, 0, GUEST_EXTRA, true);

		set(&c, 1, KVM_MEM_LOG_DIRTY_PAGES, GUEST_EXTRA, true);
		/* The first of them may have begun before. */
		checker_passes(&c, 2);
		CHECK_OK(ioctl(c.vm->fd, KVM_GET_DIRTY_LOG, &log));
		for (n = j = 0; j < PAGES / 64; j++)
			n += __builtin_popcountll(dirty[j]);
		CHECK_EQ(n, PAGES);
		set(&c, 1, 0, GUEST_EXTRA, true);
		checker_settle(&c);
	}
	checker_stop(&c);
}
