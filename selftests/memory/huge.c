// SPDX-License-Identifier: GPL-2.0
/* Pages of hugetlbfs, 2 MiB and 1 GiB: mapped as large as the host has them. */
#include <linux/mman.h>

#include "checker.h"

#define GIB	(1ul << 30)
#define NR_2M	"/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
#define NR_1G	"/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages"

static void *hugetlb(size_t size, unsigned int flag)
{
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | flag, -1, 0);

	if (mem == MAP_FAILED)
		test_skip("no page of hugetlbfs: %s", strerror(errno));
	return mem;
}

TEST(hugetlb_2m, .timeout = 240)
{
	const size_t size = 4 * MIB;
	struct checker c = { .lossy = true };
	uint8_t *mem;
	int i;

	try_write_file(NR_2M, "4");
	mem = hugetlb(size, MAP_HUGE_2MB);
	checker_start(&c, 2, mem, size);
	checker_settle(&c);
	await_mapped(&c, 1, size / HUGE, -1);
	CHECK(vm_mapped(c.vm).pages[0] < size / PAGE_SIZE);
	for (i = 0; i < 2; i++) {
		CHECK_OK(mprotect(mem + i * HUGE, HUGE, PROT_READ));
		sched_yield();
		CHECK_OK(mprotect(mem + i * HUGE, HUGE, PROT_READ | PROT_WRITE));
		checker_settle(&c);
	}
	checker_stop(&c);
	CHECK_OK(munmap(mem, size));
	CHECK(vm_mapped(c.vm).pages[1] < size / HUGE);
	try_write_file(NR_2M, "0");
}

/* A word per 2 MiB, and one per 4 KiB of the first two */
static void g_sweep(void)
{
	uint64_t round, i;

	for (round = 1; ; round++) {
		for (i = 0; i < GIB; i += i < 2 * HUGE ? PAGE_SIZE : HUGE)
			*(volatile uint64_t *)(GUEST_EXTRA + i) = round * GIB + i;
		for (i = 0; i < GIB; i += i < 2 * HUGE ? PAGE_SIZE : HUGE)
			G_EQ(*(volatile uint64_t *)(GUEST_EXTRA + i), round * GIB + i);
		g_sync(round);
	}
}

TEST(hugetlb_1g, .timeout = 240)
{
	static uint64_t dirty[GIB / PAGE_SIZE / 64];
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = dirty };
	uint64_t i, n = 0, want = 2 * HUGE / PAGE_SIZE + GIB / HUGE - 2;
	struct vm *vm = machine(0);
	struct vcpu *vcpu;
	uint8_t *mem;

	/* Unless the kernel has one since it booted */
	if (!file_number(NR_1G))
		try_write_file(NR_1G, "1");
	mem = hugetlb(GIB, MAP_HUGE_1GB);
	vm_set_slot(vm, 1, 0, GUEST_EXTRA, GIB, mem);
	vcpu = machine_vcpu(vm, g_sweep);
	vcpu_sync(vcpu, 1);
	CHECK_EQ(vm_mapped(vm).pages[2], 1);
	CHECK_EQ(*(uint64_t *)(mem + GIB - HUGE), GIB + GIB - HUGE);

	/* The log takes it to pieces, */
	vm_set_slot(vm, 1, KVM_MEM_LOG_DIRTY_PAGES, GUEST_EXTRA, GIB, mem);
	vcpu_sync(vcpu, 2);
	CHECK_EQ(vm_mapped(vm).pages[2], 0);
	CHECK_OK(ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log));
	for (i = 0; i < GIB / PAGE_SIZE / 64; i++)
		n += __builtin_popcountll(dirty[i]);
	CHECK_EQ(n, want);
	for (i = 0; i < GIB; i += HUGE)
		CHECK_EQ(dirty[i / PAGE_SIZE / 64] & 1, 1);
	/* and its end puts it together again. */
	vm_set_slot(vm, 1, 0, GUEST_EXTRA, GIB, mem);
	vcpu_sync(vcpu, 3);
	CHECK_EQ(vm_mapped(vm).pages[2], 1);

	/* A slot of which only a part is that well aligned: 2 MiB at most */
	vm_set_slot(vm, 1, 0, GUEST_EXTRA, 0, mem);
	vm_set_slot(vm, 1, 0, GUEST_EXTRA, GIB / 2, mem);
	vm_set_slot(vm, 2, 0, GUEST_EXTRA + GIB / 2, GIB / 2, mem + GIB / 2);
	vcpu_sync(vcpu, 4);
	CHECK_EQ(vm_mapped(vm).pages[2], 0);
	CHECK(vm_mapped(vm).pages[1] >= GIB / HUGE);

	/* What the host takes away the guest has no more. */
	vm_set_slot(vm, 2, 0, 0, 0, NULL);
	vm_set_slot(vm, 1, 0, GUEST_EXTRA, 0, mem);
	vm_set_slot(vm, 1, 0, GUEST_EXTRA, GIB, mem);
	vcpu_sync(vcpu, 5);
	CHECK_EQ(vm_mapped(vm).pages[2], 1);
	CHECK_OK(munmap(mem, GIB));
	CHECK_EQ(vm_mapped(vm).pages[2], 0);
	CHECK_EQ(vcpu_go(vcpu, NULL), -EFAULT);
}
