// SPDX-License-Identifier: GPL-2.0
/* The host changes the memory of a guest that runs, and the guest must not notice. */
#include <fcntl.h>

#include "abuse.h"

#define WHAT	(BUSY_MEMORY | BUSY_TIMER | BUSY_IPI | BUSY_CPUID)

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0)
		test_note("%s: %s", path, strerror(errno));
	close(fd);
}

/* The child's copy is its own: what it writes there is nobody else's. */
static void scribble(void *extra)
{
	memset(extra, 0xee, BUSY_SIZE);
}

static uint8_t *range(struct rng *r, uint8_t *extra, size_t *size)
{
	size_t at = below(r, BUSY_SIZE / PAGE_SIZE);

	*size = (below(r, BUSY_SIZE / PAGE_SIZE - at) + 1) * PAGE_SIZE;
	return extra + at * PAGE_SIZE;
}

/* All but what loses contents. */
static void harmless(struct rng *r, uint8_t *extra, uint8_t *elsewhere)
{
	size_t size;
	uint8_t *p = range(r, extra, &size);
	void *q;

	switch (below(r, 8)) {
	case 0:
		madvise(p, size, MADV_PAGEOUT);
		break;
	case 1:
		CHECK_OK(mprotect(p, size, PROT_READ));
		usleep(below(r, 2000));
		CHECK_OK(mprotect(p, size, PROT_READ | PROT_WRITE));
		break;
	case 2:
		CHECK_OK(mprotect(p, size, PROT_NONE));
		CHECK_OK(mprotect(p, size, PROT_READ | PROT_WRITE));
		break;
	case 3:
		reap_child(spawn(scribble, extra), 60);
		break;
	case 4:
		/* Away and back; in between the VMM's addresses stand for nothing. */
		q = mremap(extra, BUSY_SIZE, BUSY_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, elsewhere);
		CHECK(q == elsewhere);
		usleep(below(r, 2000));
		q = mremap(elsewhere, BUSY_SIZE, BUSY_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, extra);
		CHECK(q == extra);
		break;
	case 5:
		madvise(extra, BUSY_SIZE, below(r, 2) ? MADV_COLLAPSE : MADV_HUGEPAGE);
		break;
	case 6:
		madvise(extra, BUSY_SIZE, below(r, 2) ? MADV_MERGEABLE : MADV_UNMERGEABLE);
		break;
	case 7:
		write_file("/proc/sys/vm/compact_memory", "1");
		break;
	}
}

TEST(memory_moved, .timeout = 200)
{
	uint8_t *elsewhere = map_memory(BUSY_SIZE, 2 << 20);
	struct busy b = { 0 };
	int rounds = 0;
	struct rng r;
	uint64_t end;

	rng_init(&r, abuse_seed(), 1);
	write_file("/sys/kernel/mm/ksm/sleep_millisecs", "1");
	write_file("/sys/kernel/mm/ksm/pages_to_scan", "1000");
	write_file("/sys/kernel/mm/ksm/run", "1");
	busy_start(&b, 2, WHAT, false);
	for (end = now() + amount(4000, 60000); now() < end; rounds++)
		harmless(&r, b.extra, elsewhere);
	test_note("%d rounds, %llu guest beats", rounds, (unsigned long long)busy_beats(&b));
	busy_alive(&b, 60);
	busy_stop(&b);
	write_file("/sys/kernel/mm/ksm/run", "2");
}

TEST(memory_dropped, .timeout = 200)
{
	struct busy b = { 0 };
	struct rng r;
	uint64_t end;

	rng_init(&r, abuse_seed(), 2);
	busy_start(&b, 2, WHAT, true);
	for (end = now() + amount(2000, 30000); now() < end; ) {
		size_t size;
		uint8_t *p = range(&r, b.extra, &size);

		if (below(&r, 2))
			CHECK_OK(madvise(p, size, MADV_DONTNEED));
		else
			CHECK(mmap(p, size, PROT_READ | PROT_WRITE,
				   MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == p);
		usleep(below(&r, 1000));
	}
	busy_alive(&b, 60);
	busy_stop(&b);
}

/* Slots go and come back, move, are logged: accesses in between are MMIO on the same memory. */
TEST(slots_changed, .timeout = 200)
{
	static uint64_t dirty[BUSY_SIZE / PAGE_SIZE / 64];
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = dirty };
	struct busy b = { 0 };
	int rounds = 0;
	struct rng r;
	uint64_t end;

	rng_init(&r, abuse_seed(), 3);
	busy_start(&b, 2, WHAT, false);
	for (end = now() + amount(4000, 60000); now() < end; rounds++) {
		switch (below(&r, 4)) {
		case 0:
			vm_set_slot(b.vm, 1, 0, GUEST_EXTRA, 0, b.extra);
			usleep(below(&r, 500));
			vm_set_slot(b.vm, 1, 0, GUEST_EXTRA, BUSY_SIZE, b.extra);
			break;
		case 1:
			vm_set_slot(b.vm, 1, 0, 2ul * GUEST_EXTRA, BUSY_SIZE, b.extra);
			vm_set_slot(b.vm, 1, 0, GUEST_EXTRA, BUSY_SIZE, b.extra);
			break;
		case 2:
			vm_set_slot(b.vm, 1, KVM_MEM_LOG_DIRTY_PAGES, GUEST_EXTRA, BUSY_SIZE,
				    b.extra);
			usleep(below(&r, 2000));
			CHECK_OK(ioctl(b.vm->fd, KVM_GET_DIRTY_LOG, &log));
			usleep(below(&r, 2000));
			vm_set_slot(b.vm, 1, 0, GUEST_EXTRA, BUSY_SIZE, b.extra);
			break;
		case 3:
			vm_set_slot(b.vm, 1, 0, GUEST_EXTRA, 0, b.extra);
			vm_set_slot(b.vm, 2, KVM_MEM_READONLY, GUEST_EXTRA, BUSY_SIZE, b.extra);
			usleep(below(&r, 500));
			vm_set_slot(b.vm, 2, 0, GUEST_EXTRA, 0, b.extra);
			vm_set_slot(b.vm, 1, 0, GUEST_EXTRA, BUSY_SIZE, b.extra);
			break;
		}
	}
	test_note("%d rounds, %llu guest beats", rounds, (unsigned long long)busy_beats(&b));
	busy_alive(&b, 60);
	busy_stop(&b);
}
