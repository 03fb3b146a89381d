// SPDX-License-Identifier: GPL-2.0
/* Guest RAM: one anonymous mapping, seen as one or two memory slots. */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "vmm.h"

/* A huge page can be the guest's only where it begins at the same offset on both sides. */
#define HUGE	(2ull << 20)

/* Pages come as the guest touches them: no swap is set aside. */
static uint8_t *map_aligned(uint64_t size)
{
	uint8_t *p = mmap(NULL, size + HUGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t before;

	if (p == MAP_FAILED)
		return NULL;
	before = -(uintptr_t)p & (HUGE - 1);
	if (before)
		munmap(p, before);
	munmap(p + before + size, HUGE - before);
	return p + before;
}

/**
 * mem_init() - reserve guest RAM
 * @mem: to fill
 * @size: bytes, a multiple of the page size
 *
 * Return: 0 or -errno.
 */
int mem_init(struct guest_mem *mem, uint64_t size)
{
	uint64_t low = size < HOLE_ADDR ? size : HOLE_ADDR;
	uint8_t *hva;

	memset(mem, 0, sizeof(*mem));
	hva = map_aligned(size);
	if (!hva)
		return -errno;
	/* A hint: a host without huge pages does without. */
	madvise(hva, size, MADV_HUGEPAGE);
	/* A core dump of the VMM must not carry the guest's memory. */
	madvise(hva, size, MADV_DONTDUMP);

	mem->size = size;
	mem->region[0] = (struct mem_region){ 0, low, hva };
	mem->nregions = 1;
	if (size > low) {
		mem->region[1] = (struct mem_region){ HOLE_END, size - low,
						      hva + low };
		mem->nregions = 2;
	}
	return 0;
}

/**
 * mem_register() - give guest RAM to the VM
 * @mem: RAM
 * @vm_fd: VM
 *
 * Return: 0 or -errno.
 */
int mem_register(const struct guest_mem *mem, int vm_fd)
{
	unsigned int i;

	for (i = 0; i < mem->nregions; i++) {
		struct kvm_userspace_memory_region slot = {
			.slot = i,
			.guest_phys_addr = mem->region[i].gpa,
			.memory_size = mem->region[i].size,
			.userspace_addr = (uintptr_t)mem->region[i].hva,
		};

		if (ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
			return -errno;
	}
	return 0;
}

void mem_destroy(struct guest_mem *mem)
{
	if (mem->size)
		munmap(mem->region[0].hva, mem->size);
	memset(mem, 0, sizeof(*mem));
}

/**
 * mem_at() - translate a guest physical range
 * @mem: RAM
 * @gpa: start, as the guest gave it
 * @len: bytes
 *
 * Return: the host address, or NULL when the range isn't within one piece of
 * RAM. Any values may be passed.
 */
void *mem_at(const struct guest_mem *mem, uint64_t gpa, uint64_t len)
{
	unsigned int i;

	for (i = 0; i < mem->nregions; i++) {
		const struct mem_region *r = &mem->region[i];

		if (gpa < r->gpa || gpa - r->gpa >= r->size)
			continue;
		if (len > r->size - (gpa - r->gpa))
			return NULL;
		return r->hva + (gpa - r->gpa);
	}
	return NULL;
}

/**
 * mem_low_end() - the end of RAM below the MMIO hole
 * @mem: RAM
 */
uint64_t mem_low_end(const struct guest_mem *mem)
{
	return mem->region[0].size;
}
