// SPDX-License-Identifier: GPL-2.0
/*
 * Second-stage memory under a running guest: what the host unmaps, discards,
 * copies or write-protects, the guest sees at once; what the guest writes, the
 * dirty log shows.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

#define MIB	(1ul << 20)
#define EXTRA(off) ((volatile uint64_t *)(GUEST_EXTRA + (off)))

static volatile uint64_t go, beats, stop;

static struct vm *machine_extra(unsigned int flags, size_t size, void *mem)
{
	struct vm *vm = machine(0);

	vm_set_slot(vm, 1, flags, GUEST_EXTRA, size, mem);
	return vm;
}

/* Dirty log */

static void g_dirty(void)
{
	uint64_t i;

	for (i = 0; i < 256; i += 3)
		*EXTRA(i * PAGE_SIZE) = i;
	(void)*EXTRA(5 * PAGE_SIZE);		/* the first touch may count, the next not */
	g_sync(1);
	for (i = 0; i < 256; i += 7)
		*EXTRA(i * PAGE_SIZE + 8) = i;
	(void)*EXTRA(5 * PAGE_SIZE);		/* reading is no writing */
	g_sync(2);
	/* Across two pages */
	*(volatile uint64_t *)(GUEST_EXTRA + 10 * PAGE_SIZE - 4) = 1;
	/* By ins, which somebody else writes */
	{
		void *p = (void *)(GUEST_EXTRA + 20 * PAGE_SIZE);
		uint64_t n = 4;

		outl(PORT_FIFO, 0x1234);
		asm volatile("rep insb" : "+D"(p), "+c"(n) : "d"(PORT_FIFO) : "memory");
	}
	/* A guest's page table in the log: the CPU's own A and D bits count too. */
	g_sync(3);
	g_sync(4);
	g_done();
}

static void get_log(struct vm *vm, uint64_t *bitmap)
{
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = bitmap };

	memset(bitmap, 0xff, 256 / 8);
	CHECK_OK(ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log));
}

static bool bit(const uint64_t *bitmap, int i)
{
	return bitmap[i / 64] >> i % 64 & 1;
}

static void dirty_log(size_t align, int advice)
{
	void *mem = map_memory(2 * MIB, align);
	uint64_t bitmap[4];
	struct vm *vm;
	struct vcpu *vcpu;
	int i;

	madvise(mem, 2 * MIB, advice);
	memset(mem, 0, 2 * MIB);
	vm = machine_extra(KVM_MEM_LOG_DIRTY_PAGES, MIB, mem);
	vcpu = machine_vcpu(vm, g_dirty);
	vcpu_sync(vcpu, 1);
	get_log(vm, bitmap);
	for (i = 0; i < 256; i++)
		if (i != 5 && bit(bitmap, i) != (i % 3 == 0))
			FAIL("first: page %d is %s", i, bit(bitmap, i) ? "dirty" : "clean");
	vcpu_sync(vcpu, 2);
	get_log(vm, bitmap);
	for (i = 0; i < 256; i++)
		if (bit(bitmap, i) != (i % 7 == 0))
			FAIL("second: page %d is %s", i, bit(bitmap, i) ? "dirty" : "clean");
	vcpu_sync(vcpu, 3);
	get_log(vm, bitmap);
	for (i = 0; i < 256; i++)
		if (bit(bitmap, i) != (i == 9 || i == 10 || i == 20))
			FAIL("third: page %d is %s", i, bit(bitmap, i) ? "dirty" : "clean");
	vcpu_sync(vcpu, 4);
	get_log(vm, bitmap);
	CHECK_EQ(bitmap[0] | bitmap[1] | bitmap[2] | bitmap[3], 0);
	vcpu_done(vcpu);
}

TEST(dirty_log_small_pages)
{
	dirty_log(PAGE_SIZE, MADV_NOHUGEPAGE);
}

TEST(dirty_log_huge_pages)
{
	dirty_log(2 * MIB, MADV_HUGEPAGE);
}

/* The log is switched on and off again under the guest, huge mappings before and after. */

static void g_write_all(void)
{
	uint64_t i, round;

	for (round = 1; round <= 4; round++) {
		for (i = 0; i < 512; i++)
			*EXTRA(i * PAGE_SIZE) = round;
		g_sync(round);
	}
	g_done();
}

TEST(dirty_log_switched)
{
	void *mem = map_memory(2 * MIB, 2 * MIB);
	uint64_t bitmap[8], i;
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = bitmap };
	struct vcpu *vcpu;
	struct vm *vm;

	madvise(mem, 2 * MIB, MADV_HUGEPAGE);
	vm = machine_extra(0, 2 * MIB, mem);
	vcpu = machine_vcpu(vm, g_write_all);
	vcpu_sync(vcpu, 1);
	vm_set_slot(vm, 1, KVM_MEM_LOG_DIRTY_PAGES, GUEST_EXTRA, 2 * MIB, mem);
	CHECK_OK(ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log));
	vcpu_sync(vcpu, 2);
	CHECK_OK(ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log));
	for (i = 0; i < 8; i++)
		CHECK_EQ(bitmap[i], ~0ull);
	vm_set_slot(vm, 1, 0, GUEST_EXTRA, 2 * MIB, mem);
	vcpu_sync(vcpu, 3);
	vm_set_slot(vm, 1, KVM_MEM_LOG_DIRTY_PAGES, GUEST_EXTRA, 2 * MIB, mem);
	vcpu_sync(vcpu, 4);
	CHECK_OK(ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log));
	for (i = 0; i < 8; i++)
		CHECK_EQ(bitmap[i], ~0ull);
	for (i = 0; i < 512; i++)
		CHECK_EQ(*(uint64_t *)((uint8_t *)mem + i * PAGE_SIZE), 4);
	vcpu_done(vcpu);
}

/*
 * An instruction and what it writes in one large page, which the guest knows nothing of yet.
 * Where the host may not let code run from large pages, the two have to stay together.
 */

static void g_code_beside_data(void)
{
	int (*code)(volatile uint64_t *) = (void *)EXTRA(0);

	G_EQ(code(EXTRA(300 * PAGE_SIZE)), 42);
	G_EQ(*EXTRA(300 * PAGE_SIZE), 42);
	G_EQ(code(EXTRA(301 * PAGE_SIZE)), 42);
	g_done();
}

TEST(code_beside_data)
{
	/* mov $42, %eax; mov %rax, (%rdi); ret */
	static const uint8_t code[] = { 0xb8, 42, 0, 0, 0, 0x48, 0x89, 0x07, 0xc3 };
	void *mem = map_memory(2 * MIB, 2 * MIB);

	madvise(mem, 2 * MIB, MADV_HUGEPAGE);
	memcpy(mem, code, sizeof(code));
	vcpu_done(machine_vcpu(machine_extra(0, 2 * MIB, mem), g_code_beside_data));
}

/* Nothing is lost: a vCPU writes for ever, the log is read again and again. */

static void g_write_forever(void)
{
	uint64_t n = 0;

	while (!stop) {
		n++;
		*EXTRA(n % 64 * PAGE_SIZE) = n;
		beats = n;
		g_touch_if();
	}
	g_done();
}

TEST(dirty_log_running)
{
	uint8_t *mem = map_memory(MIB, PAGE_SIZE);
	struct vm *vm = machine_extra(KVM_MEM_LOG_DIRTY_PAGES, MIB, mem);
	pthread_t t = vcpu_thread(machine_vcpu(vm, g_write_forever));
	uint64_t copy[64] = {}, bitmap[4];
	int i, round;

	/* What is copied when dirty is in the end what is there, as in migration. */
	for (round = 0; round < 50; round++) {
		uint64_t seen = GUEST_VAR(vm, beats);

		get_log(vm, bitmap);
		for (i = 0; i < 64; i++)
			if (bit(bitmap, i))
				copy[i] = *(volatile uint64_t *)(mem + i * PAGE_SIZE);
		while (GUEST_VAR(vm, beats) < seen + 10)
			sched_yield();
	}
	GUEST_VAR(vm, stop) = 1;
	CHECK(!pthread_join(t, NULL));
	get_log(vm, bitmap);
	for (i = 0; i < 64; i++)
		if (bit(bitmap, i))
			copy[i] = *(uint64_t *)(mem + i * PAGE_SIZE);
	for (i = 0; i < 64; i++)
		CHECK_EQ(copy[i], *(uint64_t *)(mem + i * PAGE_SIZE));
}

/* A read-only slot: reads and fetches are memory's, writes are MMIO. */

static void g_readonly(void)
{
	void (*code)(void) = (void *)(GUEST_EXTRA + PAGE_SIZE);

	G_EQ(*EXTRA(0), 0x1234);
	code();
	*EXTRA(0) = 0x5678;
	G_EQ(*EXTRA(0), 0x1234);
	*(volatile uint8_t *)(GUEST_EXTRA + 0x100) = 9;
	g_done();
}

TEST(readonly_slot)
{
	uint8_t *mem = map_memory(MIB, PAGE_SIZE);
	struct vm *vm = machine_extra(KVM_MEM_READONLY, MIB, mem);
	struct vcpu *vcpu = machine_vcpu(vm, g_readonly);
	struct kvm_run *run = vcpu->run;

	*(uint64_t *)mem = 0x1234;
	mem[PAGE_SIZE] = 0xc3;
	CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
	CHECK_EQ(run->exit_reason, KVM_EXIT_MMIO);
	CHECK_EQ(run->mmio.phys_addr, GUEST_EXTRA);
	CHECK_EQ(run->mmio.is_write, 1);
	CHECK_EQ(run->mmio.len, 8);
	CHECK_EQ(*(uint64_t *)run->mmio.data, 0x5678);
	CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
	CHECK_EQ(run->exit_reason, KVM_EXIT_MMIO);
	CHECK_EQ(run->mmio.phys_addr, GUEST_EXTRA + 0x100);
	CHECK_EQ(run->mmio.len, 1);
	vcpu_done(vcpu);
	CHECK_EQ(*(uint64_t *)mem, 0x1234);
}

/* Slots deleted, moved and replaced between and during runs */

static void g_slots(void)
{
	G_EQ(*EXTRA(0), 1);
	g_sync(1);		/* deleted */
	(void)*EXTRA(0);	/* MMIO now */
	g_sync(2);		/* another one */
	G_EQ(*EXTRA(0), 2);
	g_sync(3);		/* moved up by a page */
	G_EQ(*EXTRA(PAGE_SIZE), 2);
	g_done();
}

TEST(slot_replaced)
{
	uint64_t *a = map_memory(MIB, PAGE_SIZE), *b = map_memory(MIB, PAGE_SIZE);
	struct vm *vm = machine_extra(0, MIB, a);
	struct vcpu *vcpu = machine_vcpu(vm, g_slots);
	struct kvm_run *run = vcpu->run;

	*a = 1;
	*b = 2;
	vcpu_sync(vcpu, 1);
	vm_set_slot(vm, 1, 0, GUEST_EXTRA, 0, NULL);
	CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
	CHECK_EQ(run->exit_reason, KVM_EXIT_MMIO);
	CHECK_EQ(run->mmio.phys_addr, GUEST_EXTRA);
	vcpu_sync(vcpu, 2);
	vm_set_slot(vm, 1, 0, GUEST_EXTRA, MIB, b);
	vcpu_sync(vcpu, 3);
	vm_set_slot(vm, 1, 0, GUEST_EXTRA + PAGE_SIZE, MIB, b);
	vcpu_done(vcpu);
}

static void g_read_forever(void)
{
	uint64_t v;

	while (!stop) {
		v = *EXTRA(0);
		/* Memory says 7, the VMM's MMIO says 0. */
		G_CHECK(v == 7 || v == 0);
		beats++;
		g_touch_if();
	}
	g_done();
}

static void *answer_mmio(void *arg)
{
	struct vcpu *vcpu = arg;
	int ret;

	while ((ret = vcpu_go(vcpu, NULL)) != GO_DONE)
		CHECK_EQ(ret, GO_INTR);
	return NULL;
}

/* The driver's MMIO device ends below GUEST_EXTRA; so this has a loop of its own. */
static void *answer_zero(void *arg)
{
	struct vcpu *vcpu = arg;
	struct kvm_run *run = vcpu->run;

	for (;;) {
		CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
		if (run->exit_reason == KVM_EXIT_IO)
			break;
		CHECK_EQ(run->exit_reason, KVM_EXIT_MMIO);
		CHECK_EQ(run->mmio.phys_addr, GUEST_EXTRA);
		CHECK_EQ(run->mmio.is_write, 0);
		memset(run->mmio.data, 0, 8);
	}
	CHECK_EQ(run->io.port, PORT_DONE);
	return NULL;
}

static void wait_beats(struct vm *vm, uint64_t n)
{
	volatile uint64_t *p = guest_ptr(vm, &beats);
	uint64_t until = *p + n;

	while (*p < until)
		sched_yield();
}

TEST(slot_deleted_while_running)
{
	uint64_t *mem = map_memory(MIB, PAGE_SIZE);
	struct vm *vm = machine_extra(0, MIB, mem);
	struct vcpu *vcpu = machine_vcpu(vm, g_read_forever);
	pthread_t t;
	int i;

	*mem = 7;
	CHECK(!pthread_create(&t, NULL, answer_zero, vcpu));
	for (i = 0; i < 20; i++) {
		wait_beats(vm, 5);
		vm_set_slot(vm, 1, 0, GUEST_EXTRA, 0, NULL);
		wait_beats(vm, 2);
		vm_set_slot(vm, 1, 0, GUEST_EXTRA, MIB, mem);
	}
	GUEST_VAR(vm, stop) = 1;
	CHECK(!pthread_join(t, NULL));
}

/* A flag change on a live slot (log on, log off) must not make the guest see anything else. */
TEST(slot_flags_while_running)
{
	uint64_t *mem = map_memory(MIB, PAGE_SIZE);
	struct vm *vm = machine_extra(0, MIB, mem);
	struct vcpu *vcpu = machine_vcpu(vm, g_read_forever);
	pthread_t t;
	int i;

	*mem = 7;
	CHECK(!pthread_create(&t, NULL, answer_mmio, vcpu));
	for (i = 0; i < 20; i++) {
		vm_set_slot(vm, 1, i % 2 ? 0 : KVM_MEM_LOG_DIRTY_PAGES, GUEST_EXTRA, MIB, mem);
		wait_beats(vm, 2);
	}
	GUEST_VAR(vm, stop) = 1;
	CHECK(!pthread_join(t, NULL));
}

/*
 * The host takes pages away under the guest, which
 * must read the new contents, whatever its CPU has cached.
 */

static void g_follow(void)
{
	uint64_t round, i;

	for (round = 1; round <= 8; round++) {
		for (i = 0; i < 512; i++)
			*EXTRA(i * PAGE_SIZE) = round * 1000 + i;
		g_sync(1);	/* discarded: zeros */
		for (i = 0; i < 512; i++)
			G_EQ(*EXTRA(i * PAGE_SIZE), 0);
		g_sync(2);	/* the host writes round */
		for (i = 0; i < 512; i++)
			G_EQ(*EXTRA(i * PAGE_SIZE), round);
	}
	g_done();
}

enum discard { DONTNEED, REMAP, PROTECT };

static void discard_test(size_t align, int advice, enum discard how)
{
	size_t size = 2 * MIB;
	uint8_t *mem = map_memory(size, align);
	struct vcpu *vcpu;
	uint64_t round, i;

	madvise(mem, size, advice);
	memset(mem, 0xff, size);
	vcpu = machine_vcpu(machine_extra(0, size, mem), g_follow);
	for (round = 1; round <= 8; round++) {
		vcpu_sync(vcpu, 1);
		for (i = 0; i < 512; i++)
			CHECK_EQ(*(uint64_t *)(mem + i * PAGE_SIZE), round * 1000 + i);
		switch (how) {
		case DONTNEED:
			CHECK_OK(madvise(mem, size, MADV_DONTNEED));
			break;
		case REMAP:
			CHECK_OK(munmap(mem, size));
			CHECK(mmap(mem, size, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == mem);
			madvise(mem, size, advice);
			break;
		case PROTECT:
			/* Half of it is split off and read-only for a while. */
			CHECK_OK(mprotect(mem + size / 2, size / 2, PROT_READ));
			CHECK_OK(madvise(mem, size, MADV_DONTNEED));
			CHECK_OK(mprotect(mem + size / 2, size / 2, PROT_READ | PROT_WRITE));
			break;
		}
		vcpu_sync(vcpu, 2);
		for (i = 0; i < 512; i++)
			*(uint64_t *)(mem + i * PAGE_SIZE) = round;
	}
	vcpu_done(vcpu);
}

TEST(discard_small_pages)
{
	discard_test(PAGE_SIZE, MADV_NOHUGEPAGE, DONTNEED);
}

TEST(discard_huge_pages)
{
	discard_test(2 * MIB, MADV_HUGEPAGE, DONTNEED);
}

TEST(remap_small_pages)
{
	discard_test(PAGE_SIZE, MADV_NOHUGEPAGE, REMAP);
}

TEST(remap_huge_pages)
{
	discard_test(2 * MIB, MADV_HUGEPAGE, REMAP);
}

TEST(protect_huge_pages)
{
	discard_test(2 * MIB, MADV_HUGEPAGE, PROTECT);
}

/* A host address 4 KiB off a huge page's alignment: no huge mapping may come of it. */
TEST(discard_misaligned_huge_pages)
{
	size_t size = 4 * MIB;
	uint8_t *mem = map_memory(size, 2 * MIB);
	struct vcpu *vcpu;
	uint64_t i;

	madvise(mem, size, MADV_HUGEPAGE);
	memset(mem, 0, size);
	vcpu = machine_vcpu(machine_extra(0, 2 * MIB, mem + PAGE_SIZE), g_write_all);
	vcpu_sync(vcpu, 1);
	for (i = 0; i < 512; i++)
		CHECK_EQ(*(uint64_t *)(mem + (i + 1) * PAGE_SIZE), 1);
	CHECK_EQ(*(uint64_t *)mem, 0);
	CHECK_EQ(*(uint64_t *)(mem + 513 * PAGE_SIZE), 0);
	for (i = 2; i <= 4; i++)
		vcpu_sync(vcpu, i);
	vcpu_done(vcpu);
}

/* While the guest runs: a value that was there before the discard may never come back. */

static void g_watch_zero(void)
{
	uint64_t seen, last = 0;

	while (!stop) {
		seen = go;		/* discards up to here are done */
		asm volatile("mfence" : : : "memory");
		last = *EXTRA(0);
		if (last && last <= seen)
			g_fail(__FILE__, __LINE__, "stale value", last, seen);
		beats++;
		g_touch_if();
	}
	g_done();
}

static void discard_running(size_t align, int advice)
{
	size_t size = 2 * MIB;
	uint8_t *mem = map_memory(size, align);
	struct vm *vm;
	pthread_t t;
	uint64_t i;

	madvise(mem, size, advice);
	vm = machine_extra(0, size, mem);
	t = vcpu_thread(machine_vcpu(vm, g_watch_zero));
	for (i = 1; i <= 60; i++) {
		*(volatile uint64_t *)mem = i;
		wait_beats(vm, 1);
		CHECK_OK(madvise(mem, size, MADV_DONTNEED));
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		*(volatile uint64_t *)guest_ptr(vm, &go) = i;
		if (i % 4 == 0)
			wait_beats(vm, 2);
	}
	GUEST_VAR(vm, stop) = 1;
	CHECK(!pthread_join(t, NULL));
}

TEST(discard_running_small)
{
	discard_running(PAGE_SIZE, MADV_NOHUGEPAGE);
}

TEST(discard_running_huge)
{
	discard_running(2 * MIB, MADV_HUGEPAGE);
}

/* fork makes the memory copy-on-write: the guest stays with the parent. */

static void g_fork(void)
{
	uint64_t i;

	for (i = 0; i < 64; i++)
		*EXTRA(i * PAGE_SIZE) = i;
	g_sync(1);	/* forked; the child keeps what is there now */
	for (i = 0; i < 64; i++) {
		G_EQ(*EXTRA(i * PAGE_SIZE), i);
		*EXTRA(i * PAGE_SIZE) = 100 + i;
	}
	g_sync(2);	/* the parent sees these, the child does not; parent writes */
	for (i = 0; i < 64; i++)
		G_EQ(*EXTRA(i * PAGE_SIZE), 200 + i);
	g_done();
}

TEST(fork_copies)
{
	uint8_t *mem = map_memory(MIB, PAGE_SIZE);
	struct vcpu *vcpu = machine_vcpu(machine_extra(0, MIB, mem), g_fork);
	int pipes[2], status, i;
	pid_t pid;
	char c;

	CHECK_OK(pipe(pipes));
	vcpu_sync(vcpu, 1);
	pid = CHECK_OK(fork());
	if (!pid) {
		CHECK_EQ(read(pipes[0], &c, 1), 1);
		for (i = 0; i < 64; i++)
			CHECK_EQ(*(uint64_t *)(mem + i * PAGE_SIZE), i);
		memset(mem, 0xee, MIB);
		_exit(0);
	}
	vcpu_sync(vcpu, 2);
	CHECK_EQ(write(pipes[1], "x", 1), 1);
	CHECK_OK(waitpid(pid, &status, 0));
	CHECK_EQ(status, 0);
	for (i = 0; i < 64; i++) {
		CHECK_EQ(*(uint64_t *)(mem + i * PAGE_SIZE), 100 + i);
		*(uint64_t *)(mem + i * PAGE_SIZE) = 200 + i;
	}
	vcpu_done(vcpu);
}

/* The zero page: read first, then written by either side */

static void g_zero_page(void)
{
	uint64_t i;

	for (i = 0; i < 64; i++)
		G_EQ(*EXTRA(i * PAGE_SIZE), 0);
	g_sync(1);	/* the host writes the odd ones */
	for (i = 0; i < 64; i++) {
		G_EQ(*EXTRA(i * PAGE_SIZE), i % 2 ? i : 0);
		*EXTRA(i * PAGE_SIZE) = i + 5;
	}
	g_done();
}

TEST(zero_page)
{
	uint8_t *mem = map_memory(MIB, PAGE_SIZE);
	struct vcpu *vcpu = machine_vcpu(machine_extra(0, MIB, mem), g_zero_page);
	int i;

	vcpu_sync(vcpu, 1);
	for (i = 1; i < 64; i += 2)
		*(uint64_t *)(mem + i * PAGE_SIZE) = i;
	vcpu_done(vcpu);
	for (i = 0; i < 64; i++)
		CHECK_EQ(*(uint64_t *)(mem + i * PAGE_SIZE), i + 5);
}

/* Shared memory of a file that other processes see too */

static void g_shared(void)
{
	*EXTRA(0) = 1;
	g_sync(1);
	G_EQ(*EXTRA(0), 2);
	g_done();
}

TEST(memfd)
{
	int fd = CHECK_OK(memfd_create("guest", 0));
	uint64_t *a, *b;
	struct vcpu *vcpu;

	CHECK_OK(ftruncate(fd, MIB));
	a = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	b = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(a != MAP_FAILED && b != MAP_FAILED);
	vcpu = machine_vcpu(machine_extra(0, MIB, a), g_shared);
	vcpu_sync(vcpu, 1);
	CHECK_EQ(*b, 1);
	*b = 2;
	vcpu_done(vcpu);
}

/* Memory that the VMM may only read: a guest's write can't be served. */

static void g_write_once(void)
{
	G_EQ(*EXTRA(0), 0);
	*EXTRA(0) = 1;
	g_done();
}

TEST(host_readonly)
{
	void *mem = map_memory(MIB, PAGE_SIZE);
	struct vcpu *vcpu = machine_vcpu(machine_extra(0, MIB, mem), g_write_once);

	CHECK_OK(mprotect(mem, MIB, PROT_READ));
	CHECK_EQ(vcpu_go(vcpu, NULL), -EFAULT);
	CHECK_OK(mprotect(mem, MIB, PROT_READ | PROT_WRITE));
	vcpu_done(vcpu);
}

/* Code that changes itself, and code that another vCPU changes */

static void g_self_modify(void)
{
	uint8_t *code = (uint8_t *)GUEST_EXTRA;
	uint64_t i, r;

	for (i = 0; i < 64; i++) {
		uint8_t *c = code + i * 1024;	/* 64 KiB of it */

		/* mov $imm32, %eax; ret */
		c[0] = 0xb8;
		*(volatile uint32_t *)(c + 1) = i;
		c[5] = 0xc3;
		asm volatile("call *%1" : "=a"(r) : "r"(c) : "memory");
		G_EQ(r, i);
		*(volatile uint32_t *)(c + 1) = i + 1000;
		asm volatile("call *%1" : "=a"(r) : "r"(c) : "memory");
		G_EQ(r, i + 1000);
	}
	g_done();
}

TEST(self_modifying_code)
{
	vcpu_done(machine_vcpu(machine_extra(0, MIB, map_memory(MIB, PAGE_SIZE)), g_self_modify));
}

/* MMIO from many places, whose code changes: what was remembered of it is not what is there. */
static void g_mmio_code_changes(void)
{
	static const uint8_t low[] = { 0x8b, 0x03, 0xc3 };		/* mov (%rbx), %eax; ret */
	static const uint8_t high[] = { 0x8b, 0x43, 0x04, 0xc3 };	/* mov 4(%rbx), %eax; ret */
	uint64_t round, place, v, k;

	*(volatile uint64_t *)MMIO_DEV = 0x8877665544332211;
	for (round = 0; round < 6; round++)
		for (place = 0; place < 12; place++) {
			volatile uint8_t *c = (uint8_t *)GUEST_EXTRA + place * PAGE_SIZE + place * 16;
			bool is_high = round & 2;

			for (k = 0; k < sizeof(high); k++)
				c[k] = is_high ? high[k] : low[k % sizeof(low)];
			asm volatile("call *%1" : "=a"(v) : "r"(c), "b"(MMIO_DEV) : "memory");
			G_EQ(v, is_high ? 0x88776655 : 0x44332211);
		}
	g_done();
}

TEST(mmio_code_changes)
{
	vcpu_done(machine_vcpu(machine_extra(0, MIB, map_memory(MIB, PAGE_SIZE)),
			       g_mmio_code_changes));
}

/* Beyond any slot and beyond the CPU's addresses */

static void g_beyond(void)
{
	uint64_t gva = 0x50000000;

	g_map(gva, 1ull << 38, PTE_P | PTE_W);
	*(volatile uint64_t *)gva = 0x1122;
	g_done();
}

TEST(mmio_high)
{
	struct vcpu *vcpu = machine_vcpu(machine(0), g_beyond);
	struct kvm_run *run = vcpu->run;

	CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
	CHECK_EQ(run->exit_reason, KVM_EXIT_MMIO);
	CHECK_EQ(run->mmio.phys_addr, 1ull << 38);
	CHECK_EQ(*(uint64_t *)run->mmio.data, 0x1122);
	vcpu_done(vcpu);
}

/* Instructions fetched from where there is no memory end the guest, not the host. */

static void g_fetch_nowhere(void)
{
	asm volatile("jmp *%0" : : "r"(0x60000000ul));
}

TEST(fetch_from_mmio)
{
	struct vcpu *vcpu = machine_vcpu(machine(0), g_fetch_nowhere);
	int ret = vcpu_go(vcpu, NULL);

	if (ret != KVM_EXIT_INTERNAL_ERROR && ret != KVM_EXIT_SHUTDOWN)
		FAIL("ended with %d", ret);
}

/* The guest's page tables lie in MMIO. */

static void g_tables_nowhere(void)
{
	WRITE_CR(3, 0x60000000);
	g_done();
}

static void on_alarm(int sig)
{
	(void)sig;
}

TEST(page_tables_in_mmio)
{
	struct vcpu *vcpu = machine_vcpu(machine(0), g_tables_nowhere);
	struct sigaction sa = { .sa_handler = on_alarm };
	int ret;

	/* KVM goes round and round, but in a way that a signal ends. */
	sigaction(SIGALRM, &sa, NULL);
	alarm(1);
	ret = vcpu_go(vcpu, NULL);
	if (ret != KVM_EXIT_INTERNAL_ERROR && ret != KVM_EXIT_SHUTDOWN && ret != -EFAULT &&
	    !(on_kvm() && ret == GO_INTR))
		FAIL("ended with %d", ret);
}
