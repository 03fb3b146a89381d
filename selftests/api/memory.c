// SPDX-License-Identifier: GPL-2.0
/* Memory slots and the dirty log, as far as no guest is needed. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vm.h"

#define MIB (1ul << 20)

static int set(struct vm *vm, uint32_t slot, uint32_t flags, uint64_t gpa, uint64_t size,
	       uint64_t host)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot, .flags = flags, .guest_phys_addr = gpa,
		.memory_size = size, .userspace_addr = host,
	};

	return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region);
}

static uint64_t memory(size_t size)
{
	return (uintptr_t)map_memory(size, PAGE_SIZE);
}

TEST(slot_create_delete)
{
	struct vm *vm = vm_create(0);
	uint64_t mem = memory(4 * MIB);
	int i;

	for (i = 0; i < 20; i++) {
		CHECK_OK(set(vm, 0, 0, 0, 4 * MIB, mem));
		CHECK_OK(set(vm, 0, 0, 0, 0, 0));
	}
	/* What isn't there can't be deleted. */
	CHECK_ERR(set(vm, 0, 0, 0, 0, 0), EINVAL);
	CHECK_ERR(set(vm, 7, 0, 0, 0, 0), EINVAL);
	CHECK_ERR(ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, NULL), EFAULT);
}

TEST(slot_misaligned)
{
	struct vm *vm = vm_create(0);
	uint64_t mem = memory(MIB);

	CHECK_ERR(set(vm, 0, 0, 0, MIB - 1, mem), EINVAL);
	CHECK_ERR(set(vm, 0, 0, 0, 1, mem), EINVAL);
	CHECK_ERR(set(vm, 0, 0, 0x800, PAGE_SIZE, mem), EINVAL);
	CHECK_ERR(set(vm, 0, 0, 0, PAGE_SIZE, mem + 0x800), EINVAL);
	/* Nothing was made on the way. */
	CHECK_OK(set(vm, 1, 0, 0, MIB, mem));
}

TEST(slot_bad_address)
{
	struct vm *vm = vm_create(0);
	uint64_t mem = memory(MIB);

	/* The guest-physical range wraps. */
	CHECK_ERR(set(vm, 0, 0, -PAGE_SIZE, 2 * PAGE_SIZE, mem), EINVAL);
	CHECK_ERR(set(vm, 0, 0, 0x1000, -PAGE_SIZE, mem), EINVAL);
	/* The host's range wraps, is the kernel's, or isn't canonical. */
	CHECK_ERR(set(vm, 0, 0, 0, 2 * PAGE_SIZE, -PAGE_SIZE), EINVAL);
	CHECK_ERR(set(vm, 0, 0, 0, PAGE_SIZE, 0xffff888000000000), EINVAL);
	CHECK_ERR(set(vm, 0, 0, 0, PAGE_SIZE, 0x0000900000000000), EINVAL);
	CHECK_ERR(set(vm, 0, 0, 0, 1ull << 63, mem), EINVAL);
	/* An address that nobody mapped yet is fine. */
	CHECK_OK(set(vm, 0, 0, 0, PAGE_SIZE, 0x10000));
}

TEST(slot_flags)
{
	struct vm *vm = vm_create(0);
	uint64_t mem = memory(MIB);

	CHECK_ERR(set(vm, 0, 1u << 31, 0, MIB, mem), EINVAL);
	CHECK_ERR(set(vm, 0, 1u << 8, 0, MIB, mem), EINVAL);
	CHECK_OK(set(vm, 0, KVM_MEM_LOG_DIRTY_PAGES, 0, MIB, mem));
	CHECK_OK(set(vm, 0, 0, 0, MIB, mem));
	/* Read-only may not be switched while the slot lives. */
	CHECK_ERR(set(vm, 0, KVM_MEM_READONLY, 0, MIB, mem), EINVAL);
	CHECK_OK(set(vm, 0, 0, 0, 0, 0));
	CHECK_OK(set(vm, 0, KVM_MEM_READONLY, 0, MIB, mem));
	CHECK_OK(set(vm, 0, KVM_MEM_READONLY | KVM_MEM_LOG_DIRTY_PAGES, 0, MIB, mem));
	CHECK_ERR(set(vm, 0, 0, 0, MIB, mem), EINVAL);
}

TEST(slot_overlap)
{
	struct vm *vm = vm_create(0);
	uint64_t mem = memory(8 * MIB);

	CHECK_OK(set(vm, 0, 0, 2 * MIB, 2 * MIB, mem));
	CHECK_ERR(set(vm, 1, 0, 2 * MIB, 2 * MIB, mem), EEXIST);
	CHECK_ERR(set(vm, 1, 0, 3 * MIB, MIB, mem), EEXIST);
	CHECK_ERR(set(vm, 1, 0, 0, 2 * MIB + PAGE_SIZE, mem), EEXIST);
	CHECK_ERR(set(vm, 1, 0, 4 * MIB - PAGE_SIZE, PAGE_SIZE, mem), EEXIST);
	CHECK_ERR(set(vm, 1, 0, 0, 8 * MIB, mem), EEXIST);
	/* Neighbours are not overlap; one host range twice is not either. */
	CHECK_OK(set(vm, 1, 0, 0, 2 * MIB, mem));
	CHECK_OK(set(vm, 2, 0, 4 * MIB, MIB, mem));
	/* Moving onto another is, onto itself not. */
	CHECK_ERR(set(vm, 2, 0, 3 * MIB, MIB, mem), EEXIST);
	CHECK_OK(set(vm, 2, 0, 4 * MIB + 0x10000, MIB, mem));
	CHECK_OK(set(vm, 2, 0, 16 * MIB, MIB, mem));
}

TEST(slot_change)
{
	struct vm *vm = vm_create(0);
	uint64_t mem = memory(8 * MIB);

	CHECK_OK(set(vm, 3, 0, 0, 2 * MIB, mem));
	/* The same again changes nothing. */
	CHECK_OK(set(vm, 3, 0, 0, 2 * MIB, mem));
	/* Size and host address are for life. */
	CHECK_ERR(set(vm, 3, 0, 0, MIB, mem), EINVAL);
	CHECK_ERR(set(vm, 3, 0, 0, 4 * MIB, mem), EINVAL);
	CHECK_ERR(set(vm, 3, 0, 0, 2 * MIB, mem + PAGE_SIZE), EINVAL);
	CHECK_OK(set(vm, 3, 0, 32 * MIB, 2 * MIB, mem));
	/* Its old place is free. */
	CHECK_OK(set(vm, 4, 0, 0, 2 * MIB, mem));
}

TEST(slot_number)
{
	struct vm *vm = vm_create(0);
	uint64_t mem = memory(MIB);
	uint32_t n = vm_cap(vm, KVM_CAP_NR_MEMSLOTS);
	int spaces = vm_cap(vm, KVM_CAP_MULTI_ADDRESS_SPACE) ?: 1;

	CHECK_OK(set(vm, n - 1, 0, 0, MIB, mem));
	CHECK_ERR(set(vm, n, 0, MIB, MIB, mem), EINVAL);
	CHECK_ERR(set(vm, 0xffff, 0, MIB, MIB, mem), EINVAL);
	/* The upper half is the address space. */
	CHECK_ERR(set(vm, (uint32_t)spaces << 16, 0, MIB, MIB, mem), EINVAL);
	CHECK_ERR(set(vm, 0x7fff0000, 0, MIB, MIB, mem), EINVAL);
}

TEST(slot_many)
{
	struct vm *vm = vm_create(0);
	int n = vm_cap(vm, KVM_CAP_NR_MEMSLOTS), i;
	uint64_t mem = memory(MIB);

	if (n > 512)
		n = 512;
	/* Every other page, from both ends */
	for (i = 0; i < n; i += 2)
		CHECK_OK(set(vm, i, 0, i * 2 * PAGE_SIZE, PAGE_SIZE, mem));
	for (i = n - 1; i > 0; i -= 2)
		CHECK_OK(set(vm, i, 0, i * 2 * PAGE_SIZE, PAGE_SIZE, mem));
	CHECK_ERR(set(vm, 0, 0, 2 * PAGE_SIZE, PAGE_SIZE, mem), EEXIST);
	for (i = 0; i < n; i++)
		CHECK_OK(set(vm, i, 0, 0, 0, 0));
}

TEST(dirty_log_ioctl)
{
	struct vm *vm = vm_create(0);
	uint64_t mem = memory(MIB), bitmap[MIB / PAGE_SIZE / 64];
	struct kvm_dirty_log log = { .slot = 0, .dirty_bitmap = bitmap };

	/* No slot; a slot without a log; out of range; bad memory */
	CHECK_ERR(ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log), ENOENT);
	CHECK_OK(set(vm, 0, 0, 0, MIB, mem));
	CHECK_ERR(ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log), ENOENT);
	CHECK_OK(set(vm, 0, KVM_MEM_LOG_DIRTY_PAGES, 0, MIB, mem));
	memset(bitmap, 0xff, sizeof(bitmap));
	CHECK_OK(ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log));
	CHECK_EQ(bitmap[0] | bitmap[1] | bitmap[2] | bitmap[3], 0);
	log.slot = vm_cap(vm, KVM_CAP_NR_MEMSLOTS);
	CHECK_ERR(ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log), EINVAL);
	log.slot = 0x7fff0000;
	CHECK_ERR(ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log), EINVAL);
	log.slot = 0;
	log.dirty_bitmap = (void *)0x1000;
	CHECK_ERR(ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log), EFAULT);
	CHECK_ERR(ioctl(vm->fd, KVM_GET_DIRTY_LOG, NULL), EFAULT);
	CHECK_OK(set(vm, 0, 0, 0, MIB, mem));
	log.dirty_bitmap = bitmap;
	CHECK_ERR(ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log), ENOENT);
}

static int enable(struct vm *vm, uint32_t which, uint64_t arg)
{
	struct kvm_enable_cap cap = { .cap = which, .args = { arg } };

	return ioctl(vm->fd, KVM_ENABLE_CAP, &cap);
}

static int clear(struct vm *vm, uint32_t slot, uint64_t first, uint32_t n, void *bitmap)
{
	struct kvm_clear_dirty_log log = {
		.slot = slot, .first_page = first, .num_pages = n, .dirty_bitmap = bitmap,
	};

	return ioctl(vm->fd, KVM_CLEAR_DIRTY_LOG, &log);
}

#define MANUAL	KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2

TEST(dirty_log_manual_ioctl)
{
	struct kvm_enable_cap flags = { .cap = MANUAL, .flags = 1 };
	/* Not a multiple of 64 pages, for the slot's end */
	const uint64_t pages = 200;
	struct vm *vm = vm_create(0);
	uint64_t mem = memory(MIB), bitmap[4], i;
	struct kvm_dirty_log log = { .slot = 0, .dirty_bitmap = bitmap };

	CHECK_EQ(vm_cap(vm, MANUAL),
		 KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET);
	CHECK_ERR(enable(vm, MANUAL, 4), EINVAL);
	CHECK_ERR(enable(vm, MANUAL, 1ull << 32), EINVAL);
	CHECK_ERR(enable(vm, MANUAL, KVM_DIRTY_LOG_INITIALLY_SET), EINVAL);
	CHECK_ERR(ioctl(vm->fd, KVM_ENABLE_CAP, &flags), EINVAL);
	CHECK_OK(enable(vm, MANUAL, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
			KVM_DIRTY_LOG_INITIALLY_SET));

	/* No slot; a slot without a log */
	memset(bitmap, 0xff, sizeof(bitmap));
	CHECK_ERR(clear(vm, 0, 0, 64, bitmap), ENOENT);
	CHECK_OK(set(vm, 0, 0, 0, pages * PAGE_SIZE, mem));
	CHECK_ERR(clear(vm, 0, 0, 64, bitmap), ENOENT);
	CHECK_OK(set(vm, 0, KVM_MEM_LOG_DIRTY_PAGES, 0, pages * PAGE_SIZE, mem));
	CHECK_ERR(clear(vm, vm_cap(vm, KVM_CAP_NR_MEMSLOTS), 0, 64, bitmap), EINVAL);
	CHECK_ERR(clear(vm, 0x7fff0000, 0, 64, bitmap), EINVAL);
	/* Words alone, within the slot, all but the last one whole */
	CHECK_ERR(clear(vm, 0, 1, 64, bitmap), EINVAL);
	CHECK_ERR(clear(vm, 0, 0, 63, bitmap), EINVAL);
	CHECK_ERR(clear(vm, 0, 64, 199 - 64, bitmap), EINVAL);
	CHECK_ERR(clear(vm, 0, 0, 201, bitmap), EINVAL);
	CHECK_ERR(clear(vm, 0, 0, 256, bitmap), EINVAL);
	CHECK_ERR(clear(vm, 0, 256, 0, bitmap), EINVAL);
	CHECK_ERR(clear(vm, 0, 192, 64, bitmap), EINVAL);
	CHECK_ERR(clear(vm, 0, -64ull, 64, bitmap), EINVAL);
	CHECK_ERR(clear(vm, 0, 0, 64, (void *)0x1000), EFAULT);
	CHECK_ERR(ioctl(vm->fd, KVM_CLEAR_DIRTY_LOG, NULL), EFAULT);

	/* All set, reading changes nothing, and what is cleared is what was asked for. */
	for (i = 0; i < 2; i++) {
		memset(bitmap, 0, sizeof(bitmap));
		CHECK_OK(ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log));
		CHECK_EQ(bitmap[0] & bitmap[1] & bitmap[2], ~0ull);
		CHECK_EQ(bitmap[3], 0xff);
	}
	bitmap[0] = 0xf0;
	CHECK_OK(clear(vm, 0, 64, 64, bitmap));
	bitmap[0] = ~0ull;
	CHECK_OK(clear(vm, 0, 192, 8, bitmap));
	CHECK_OK(ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log));
	CHECK_EQ(bitmap[0] & bitmap[2], ~0ull);
	CHECK_EQ(bitmap[1], ~0xf0ull);
	CHECK_EQ(bitmap[3], 0);

	/* Off again: the next log begins empty, reading it clears it, clearing still works. */
	CHECK_OK(enable(vm, MANUAL, 0));
	CHECK_OK(set(vm, 0, 0, 0, pages * PAGE_SIZE, mem));
	CHECK_OK(set(vm, 0, KVM_MEM_LOG_DIRTY_PAGES, 0, pages * PAGE_SIZE, mem));
	CHECK_OK(clear(vm, 0, 0, pages, bitmap));
	CHECK_OK(ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log));
	CHECK_EQ(bitmap[0] | bitmap[1] | bitmap[2] | bitmap[3], 0);
}

#define RING	KVM_CAP_DIRTY_LOG_RING

static void *map_ring(struct vcpu *vcpu, size_t size, int prot, int flags)
{
	return mmap(NULL, size, prot, flags, vcpu->fd, KVM_DIRTY_LOG_PAGE_OFFSET * PAGE_SIZE);
}

TEST(dirty_ring_ioctl)
{
	uint64_t bitmap[4], mem = memory(MIB), max;
	struct kvm_dirty_log log = { .slot = 0, .dirty_bitmap = bitmap };
	struct vm *vm = vm_create(0);
	struct kvm_dirty_gfn *ring;
	struct vcpu *vcpu;
	unsigned int i;

	max = vm_cap(vm, RING);
	CHECK_EQ(max, 65536 * sizeof(*ring));
	CHECK_EQ(vm_cap(vm, KVM_CAP_DIRTY_LOG_RING_ACQ_REL), max);
	CHECK_ERR(ioctl(vm->fd, KVM_RESET_DIRTY_RINGS, 0), EINVAL);
	CHECK_ERR(enable(vm, RING, 0), EINVAL);
	CHECK_ERR(enable(vm, RING, PAGE_SIZE / 2), EINVAL);
	CHECK_ERR(enable(vm, RING, 3 * PAGE_SIZE), EINVAL);
	CHECK_ERR(enable(vm, RING, 2 * max), E2BIG);
	CHECK_OK(enable(vm, RING, PAGE_SIZE));
	CHECK_ERR(enable(vm, RING, PAGE_SIZE), EINVAL);
	CHECK_ERR(enable(vm, KVM_CAP_DIRTY_LOG_RING_ACQ_REL, PAGE_SIZE), EINVAL);
	CHECK_EQ(CHECK_OK(ioctl(vm->fd, KVM_RESET_DIRTY_RINGS, 0)), 0);

	/* The other form of the log is gone. */
	CHECK_OK(set(vm, 0, KVM_MEM_LOG_DIRTY_PAGES, 0, MIB, mem));
	CHECK_ERR(ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log), ENXIO);
	CHECK_ERR(clear(vm, 0, 0, 64, bitmap), ENXIO);

	vcpu = vcpu_add(vm, 0);
	CHECK(map_ring(vcpu, PAGE_SIZE, PROT_READ, MAP_PRIVATE) == MAP_FAILED);
	CHECK_EQ(errno, EINVAL);
	CHECK(map_ring(vcpu, PAGE_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED) == MAP_FAILED);
	/* Newer kernels refuse to execute from any anonymous inode before we are asked. */
	CHECK(errno == EINVAL || errno == EPERM);
	ring = map_ring(vcpu, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);
	CHECK(ring != MAP_FAILED);
	for (i = 0; i < PAGE_SIZE / sizeof(*ring); i++)
		CHECK_EQ(ring[i].flags, 0);

	/* Harvested entries that nobody filled, of slots that are not there */
	for (i = 0; i < PAGE_SIZE / sizeof(*ring); i++) {
		ring[i].slot = i % 3 ? 0 : i << 15;
		ring[i].offset = i % 5 ? ~0ull >> i % 64 : i;
		ring[i].flags = KVM_DIRTY_GFN_F_RESET;
	}
	i = CHECK_OK(ioctl(vm->fd, KVM_RESET_DIRTY_RINGS, 0));
	if (!on_kvm())
		CHECK_EQ(i, 0);
	close(vm->fd);
}

/* Only while there is no vCPU */
TEST(dirty_ring_late)
{
	struct vm *vm = vm_create(0);
	struct vcpu *vcpu = vcpu_add(vm, 0);

	CHECK_ERR(enable(vm, RING, 16 * PAGE_SIZE), EINVAL);
	CHECK_ERR(ioctl(vm->fd, KVM_RESET_DIRTY_RINGS, 0), EINVAL);
	/* No ring, nothing special about where it would be. */
	CHECK(map_ring(vcpu, PAGE_SIZE, PROT_READ, MAP_PRIVATE) != MAP_FAILED);
}

TEST(tss_and_identity_map)
{
	struct vm *vm = vm_create(0);
	uint64_t addr = 0xfffbc000;

	CHECK_OK(ioctl(vm->fd, KVM_SET_TSS_ADDR, 0xfffbd000ul));
	CHECK_OK(ioctl(vm->fd, KVM_SET_TSS_ADDR, 0xffffd000ul));	/* three pages below 4 GiB */
	CHECK_ERR(ioctl(vm->fd, KVM_SET_TSS_ADDR, 0xffffd001ul), EINVAL);
	CHECK_ERR(ioctl(vm->fd, KVM_SET_TSS_ADDR, 0xfffffffful), EINVAL);
	CHECK_OK(ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &addr));
	CHECK_ERR(ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, NULL), EFAULT);
	addr = 0;	/* the default again */
	CHECK_OK(ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &addr));
	vcpu_add(vm, 0);
	CHECK_ERR(ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &addr), EINVAL);
}

/* Memory may go away below a slot, and the VM after it. */
TEST(slot_memory_unmapped)
{
	struct vm *vm = vm_create(0);
	uint64_t mem = memory(MIB);

	CHECK_OK(set(vm, 0, 0, 0, MIB, mem));
	CHECK_OK(munmap((void *)mem, MIB));
	CHECK_OK(set(vm, 0, 0, MIB, MIB, mem));
	CHECK_OK(set(vm, 0, 0, 0, 0, 0));
	close(vm->fd);
}

/* ---- memory without struct pages ---- */

#define BIOS		0xf0000	/* physical, in this machine */
#define WINDOW		0x10000	/* guest-physical */

/* The guest reads and writes what the VMM has mapped from a device: here, the machine's BIOS. */
TEST(slot_of_device)
{
	/* mov $0x1000, %ax; mov %ax, %ds; mov (0x1234), %al; out %al, $0xe9; mov %al, (0x1234) */
	static const char code[] = "\xb8\x00\x10\x8e\xd8\xa0\x34\x12\xe6\xe9\xa2\x34\x12";
	int fd = open("/dev/mem", O_RDONLY);
	volatile uint8_t *bios;
	struct vcpu *vcpu;
	struct vm *vm;

	if (fd < 0)
		test_skip("no /dev/mem: %s", strerror(errno));
	bios = mmap(NULL, WINDOW, PROT_READ, MAP_SHARED, fd, BIOS);
	if (bios == MAP_FAILED)
		test_skip("/dev/mem can't be mapped: %s", strerror(errno));
	vm = vm_create(0);
	vm_ram(vm, WINDOW);
	CHECK_OK(set(vm, 1, 0, WINDOW, WINDOW, (uintptr_t)bios));
	vcpu = GUEST(vm, code);
	CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
	CHECK_EQ(vcpu->run->exit_reason, KVM_EXIT_IO);
	CHECK_EQ(*((uint8_t *)vcpu->run + vcpu->run->io.data_offset), bios[0x1234]);
	/* What the VMM may not write the guest may not either. */
	CHECK_ERR(ioctl(vcpu->fd, KVM_RUN, 0), EFAULT);

	/* When the mapping goes, so does what the guest had of it. */
	vm = vm_create(0);
	vm_ram(vm, WINDOW);
	CHECK_OK(set(vm, 1, KVM_MEM_READONLY, WINDOW, WINDOW, (uintptr_t)bios));
	vcpu = GUEST(vm, code);
	CHECK_OK(munmap((void *)bios, WINDOW));
	CHECK_ERR(ioctl(vcpu->fd, KVM_RUN, 0), EFAULT);
}
