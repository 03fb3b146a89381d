// SPDX-License-Identifier: GPL-2.0
/*
 * Loading a guest: kernel, command line, initrd, zero page, the first page
 * tables and GDT.
 */
#include <asm/bootparam.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "acpi.h"
#include "bzimage.h"
#include "vmm.h"

#define PAGE_SIZE		4096U
#define PTES			512U
#define PTE_PRESENT		(1ULL << 0)
#define PTE_WRITE		(1ULL << 1)
#define PTE_HUGE		(1ULL << 7)
#define IDENTITY_GIB		4U
#define ENTRY64_OFFSET		0x200
#define LOADER_UNDEFINED	0xff
#define DEFAULT_CMDLINE		"console=ttyS0"

/* Descriptors of the boot protocol: 64-bit code at 0x10, data at 0x18. */
#define GDT_CODE64		0x00af9b000000ffffULL
#define GDT_DATA		0x00cf93000000ffffULL

/* <asm/e820.h> isn't an installed header. */
#define E820_RAM		1
#define E820_RESERVED		2

static uint64_t round_up(uint64_t v, uint64_t align)
{
	return (v + align - 1) & ~(align - 1);
}

static int read_all(int fd, void *buf, uint64_t len, uint64_t off)
{
	uint8_t *p = buf;
	ssize_t n;

	while (len) {
		n = pread(fd, p, len, off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			return -EIO;	/* it shrank since it was measured */
		p += n;
		off += n;
		len -= n;
	}
	return 0;
}

static void build_gdt(struct vm *vm)
{
	const uint64_t gdt[4] = { 0, 0, GDT_CODE64, GDT_DATA };

	memcpy(mem_at(&vm->mem, GDT_ADDR, sizeof(gdt)), gdt, sizeof(gdt));
	vm->boot.gdt = GDT_ADDR;
}

/* The first 4 GiB, mapped one to one by 2 MiB pages. */
static void build_page_tables(struct vm *vm)
{
	uint64_t *pml4 = mem_at(&vm->mem, PAGE_TABLE_ADDR,
				(2 + IDENTITY_GIB) * PAGE_SIZE);
	uint64_t *pdpt = pml4 + PTES, *pd = pdpt + PTES;
	unsigned int i;

	pml4[0] = (PAGE_TABLE_ADDR + PAGE_SIZE) | PTE_PRESENT | PTE_WRITE;
	for (i = 0; i < IDENTITY_GIB; i++)
		pdpt[i] = (PAGE_TABLE_ADDR + (2 + i) * PAGE_SIZE) |
			  PTE_PRESENT | PTE_WRITE;
	for (i = 0; i < IDENTITY_GIB * PTES; i++)
		pd[i] = MIB(2) * i | PTE_PRESENT | PTE_WRITE | PTE_HUGE;
	vm->boot.page_table = PAGE_TABLE_ADDR;
}

static void e820_add(struct boot_params *bp, uint64_t addr, uint64_t size,
		     uint32_t type)
{
	struct boot_e820_entry *e = &bp->e820_table[bp->e820_entries++];

	e->addr = addr;
	e->size = size;
	e->type = type;
}

static void build_e820(const struct guest_mem *mem, struct boot_params *bp)
{
	e820_add(bp, 0, BASE_MEM_END, E820_RAM);
	e820_add(bp, ACPI_ADDR, ACPI_ROOM, E820_RESERVED);
	e820_add(bp, HIGH_MEM_ADDR, mem_low_end(mem) - HIGH_MEM_ADDR, E820_RAM);
	if (mem->nregions > 1)
		e820_add(bp, mem->region[1].gpa, mem->region[1].size, E820_RAM);
}

static int load_kernel(struct vm *vm, struct bzimage *img, uint64_t *end)
{
	const struct vm_config *cfg = vm->cfg;
	uint64_t low = mem_low_end(&vm->mem), addr, need;
	uint8_t head[BZIMAGE_HEAD];
	const char *why;
	struct stat st;
	ssize_t n;
	int ret;

	n = pread(cfg->kernel_fd, head, sizeof(head), 0);
	if (n < 0 || fstat(cfg->kernel_fd, &st) < 0) {
		report_errno(errno, "cannot read kernel %s", cfg->kernel);
		return -EIO;
	}
	why = bzimage_parse(head, n, st.st_size, img);
	if (why) {
		report("%s: %s", cfg->kernel, why);
		return -EINVAL;
	}
	addr = img->hdr.pref_address;
	need = (uint64_t)img->hdr.init_size + PAGE_SIZE;
	if (addr < HIGH_MEM_ADDR || addr >= low || need > low - addr) {
		/* Its favourite place is taken: any aligned one will do. */
		if (img->hdr.relocatable_kernel)
			addr = round_up(HIGH_MEM_ADDR,
					img->hdr.kernel_alignment);
		if (addr < HIGH_MEM_ADDR || addr >= low || need > low - addr) {
			report("too little memory: kernel %s needs at least %"
			       PRIu64 "M (-m)", cfg->kernel,
			       (addr + need + MIB(1) - 1) >> 20);
			return -ENOMEM;
		}
	}
	ret = read_all(cfg->kernel_fd, mem_at(&vm->mem, addr, img->payload_len),
		       img->payload_len, img->payload_off);
	if (ret) {
		report_errno(-ret, "cannot read kernel %s", cfg->kernel);
		return ret;
	}
	vm->boot.entry = addr + ENTRY64_OFFSET;
	*end = addr + need;
	return 0;
}

/* As high as it may lie, so that the kernel has room to unpack itself. */
static int load_initrd(struct vm *vm, const struct bzimage *img,
		       uint64_t kernel_end, struct boot_params *bp)
{
	const struct vm_config *cfg = vm->cfg;
	uint64_t top = mem_low_end(&vm->mem), addr;
	struct stat st;
	uint64_t size;
	int ret;

	if (cfg->initrd_fd < 0)
		return 0;
	if (fstat(cfg->initrd_fd, &st) < 0) {
		report_errno(errno, "cannot read initrd %s", cfg->initrd);
		return -EIO;
	}
	size = st.st_size;
	if (!size) {
		report("initrd %s is empty", cfg->initrd);
		return -EINVAL;
	}
	if (top > (uint64_t)img->hdr.initrd_addr_max + 1)
		top = (uint64_t)img->hdr.initrd_addr_max + 1;
	if (top < kernel_end || size > top - kernel_end ||
	    ((top - size) & ~(uint64_t)(PAGE_SIZE - 1)) < kernel_end) {
		report("initrd %s is too large (%" PRIu64 "M) for the guest's memory: give it at least %"
		       PRIu64 "M (-m)", cfg->initrd,
		       (size + MIB(1) - 1) >> 20,
		       (kernel_end + size + MIB(1)) >> 20);
		return -ENOMEM;
	}
	addr = (top - size) & ~(uint64_t)(PAGE_SIZE - 1);
	ret = read_all(cfg->initrd_fd, mem_at(&vm->mem, addr, size), size, 0);
	if (ret) {
		report_errno(-ret, "cannot read initrd %s", cfg->initrd);
		return ret;
	}
	bp->hdr.ramdisk_image = addr;
	bp->hdr.ramdisk_size = size;
	return 0;
}

static int load_cmdline(struct vm *vm, const struct bzimage *img,
			struct boot_params *bp)
{
	const char *text = vm->cfg->append ? vm->cfg->append : DEFAULT_CMDLINE;
	size_t len = strlen(text) + 1;
	size_t max = (size_t)img->hdr.cmdline_size + 1;

	if (max > CMDLINE_ROOM)
		max = CMDLINE_ROOM;
	if (len > max) {
		report("the kernel's command line is too long: %zu bytes, the kernel takes %zu",
		       len - 1, max - 1);
		return -E2BIG;
	}
	memcpy(mem_at(&vm->mem, CMDLINE_ADDR, len), text, len);
	bp->hdr.cmd_line_ptr = CMDLINE_ADDR;
	return 0;
}

/**
 * boot_load() - put kernel and all it is handed into guest memory
 * @vm: its RAM is there and zero
 *
 * Return: 0, or -errno with the error reported.
 */
int boot_load(struct vm *vm)
{
	struct boot_params *bp;
	struct bzimage img;
	uint64_t kernel_end;
	int ret;

	ret = load_kernel(vm, &img, &kernel_end);
	if (ret)
		return ret;
	bp = mem_at(&vm->mem, BOOT_PARAMS_ADDR, sizeof(*bp));
	bp->hdr = img.hdr;
	bp->hdr.type_of_loader = LOADER_UNDEFINED;
	bp->acpi_rsdp_addr = ACPI_ADDR;
	vm->boot.params = BOOT_PARAMS_ADDR;
	build_e820(&vm->mem, bp);
	ret = load_cmdline(vm, &img, bp);
	if (!ret)
		ret = load_initrd(vm, &img, kernel_end, bp);
	if (ret)
		return ret;
	build_gdt(vm);
	build_page_tables(vm);
	ret = acpi_build(mem_at(&vm->mem, ACPI_ADDR, ACPI_ROOM), ACPI_ROOM,
			 ACPI_ADDR, vm->cfg->vcpus);
	if (ret)
		report("the ACPI tables don't fit");
	return ret;
}
