// SPDX-License-Identifier: GPL-2.0
/*
 * A driver in userspace for QEMU's teaching device (docs/specs/edu.rst), to be run in a guest.
 *
 *	edu SYSFS-FOLDER check		identification, liveness, a factorial
 *	edu SYSFS-FOLDER read N		N reads of a register
 *	edu SYSFS-FOLDER dma [ADDRESS]	half a page there and back; ADDRESS instead of our own page: the
 *					device writes there, and what it then reads there is said
 *	edu SYSFS-FOLDER spin		DMA over and over, until it is killed
 *	edu SYSFS-FOLDER irq N UIO	N interrupts by its line, through uio_pci_generic's /dev/uioX
 *
 * Exit status 0: all as it should be.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE		4096
#define BAR_SIZE	0x100000

#define REG_ID		0x00
#define REG_LIVE	0x04
#define REG_FACTORIAL	0x08
#define REG_STATUS	0x20
#define STATUS_BUSY	0x01
#define REG_IRQ_STATUS	0x24
#define REG_IRQ_RAISE	0x60
#define REG_IRQ_ACK	0x64
#define REG_DMA_SRC	0x80
#define REG_DMA_DST	0x88
#define REG_DMA_COUNT	0x90
#define REG_DMA_CMD	0x98
#define DMA_RUN		0x01
#define DMA_TO_RAM	0x02
#define EDU_ID		0x010000ed
#define EDU_BUFFER	0x40000		/* where its own memory begins, for DMA: a page */
#define DMA_SIZE	2048		/* QEMU takes a transfer to the page's very end for one beyond it */

#define PCI_COMMAND		4
#define PCI_COMMAND_MASTER	0x4
#define PCI_COMMAND_INTX_OFF	0x400

static volatile uint8_t *bar;
static char folder[256];

static uint32_t get(int reg) { return *(volatile uint32_t *)(bar + reg); }
static void set(int reg, uint32_t value) { *(volatile uint32_t *)(bar + reg) = value; }
static void set64(int reg, uint64_t value) { *(volatile uint64_t *)(bar + reg) = value; }

static int open_in(const char *name)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_RDWR | O_SYNC);
	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

static void change_command(uint16_t clear, uint16_t set_bits)
{
	int fd = open_in("config");
	uint16_t command;

	if (pread(fd, &command, 2, PCI_COMMAND) != 2)
		err(1, "config");
	command = (command & ~clear) | set_bits;
	if (pwrite(fd, &command, 2, PCI_COMMAND) != 2)
		err(1, "config");
	close(fd);
}

static int check(void)
{
	if (get(REG_ID) != EDU_ID)
		errx(1, "id %#x", get(REG_ID));
	set(REG_LIVE, 0x12345678);
	if (get(REG_LIVE) != ~0x12345678u)
		errx(1, "liveness %#x", get(REG_LIVE));
	set(REG_FACTORIAL, 10);
	while (get(REG_STATUS) & STATUS_BUSY)
		usleep(1000);
	if (get(REG_FACTORIAL) != 3628800)
		errx(1, "10! = %u", get(REG_FACTORIAL));
	return 0;
}

static uint64_t physical(void *page)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entry;

	if (fd < 0 || pread(fd, &entry, 8, (uintptr_t)page / PAGE * 8) != 8)
		err(1, "pagemap");
	close(fd);
	return (entry & ((1ULL << 55) - 1)) * PAGE;
}

static void transfer(uint64_t from, uint64_t to, int direction)
{
	set64(REG_DMA_SRC, from);
	set64(REG_DMA_DST, to);
	set64(REG_DMA_COUNT, DMA_SIZE);
	set64(REG_DMA_CMD, DMA_RUN | direction);
	while (get(REG_DMA_CMD) & DMA_RUN) {
		if (get(REG_ID) == 0xffffffff)
			errx(3, "the device is gone");
		usleep(1000);
	}
}

static uint8_t *own_page(void)
{
	uint8_t *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED | MAP_POPULATE, -1, 0);

	if (page == MAP_FAILED)
		err(1, "a page");
	return page;
}

static int dma(void)
{
	uint8_t *page = own_page(), want[DMA_SIZE];
	uint64_t at = physical(page);
	int i;

	for (i = 0; i < DMA_SIZE; i++)
		page[i] = want[i] = i * 7 + i / 256;
	transfer(at, EDU_BUFFER, 0);
	memset(page, 0, PAGE);
	transfer(EDU_BUFFER, at, DMA_TO_RAM);
	if (memcmp(page, want, DMA_SIZE))
		errx(1, "what came back is not what went");
	return 0;
}

static int dma_elsewhere(uint64_t at)
{
	uint8_t *page = own_page();

	memset(page, 0x5a, PAGE);
	transfer(physical(page), EDU_BUFFER, 0);
	transfer(EDU_BUFFER, at, DMA_TO_RAM);
	/* A read that fails may leave the buffer as it is. */
	memset(page, 0xa5, PAGE);
	transfer(physical(page), EDU_BUFFER, 0);
	transfer(at, EDU_BUFFER, 0);
	memset(page, 0, PAGE);
	transfer(EDU_BUFFER, physical(page), DMA_TO_RAM);
	printf("%s\n", page[0] == 0x5a ? "there" : "not-there");
	return 0;
}

static int interrupts(int n, const char *uio)
{
	int fd = open(uio, O_RDWR), i;
	uint32_t count;

	if (fd < 0)
		err(1, "%s", uio);
	for (i = 0; i < n; i++) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		/* uio_pci_generic masks the line with each interrupt. */
		change_command(PCI_COMMAND_INTX_OFF, 0);
		set(REG_IRQ_RAISE, 1);
		if (poll(&p, 1, 10000) != 1)
			errx(1, "no interrupt %d", i);
		if (read(fd, &count, 4) != 4)
			err(1, "%s", uio);
		if (get(REG_IRQ_STATUS) != 1)
			errx(1, "interrupt status %#x", get(REG_IRQ_STATUS));
		set(REG_IRQ_ACK, 1);
	}
	printf("interrupts %u\n", count);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[2] : "";
	uint32_t n;
	int fd;

	if (argc < 3)
		errx(2, "usage: edu SYSFS-FOLDER check|read N|dma [ADDRESS]|spin|irq N UIO");
	snprintf(folder, sizeof(folder), "%s", argv[1]);
	fd = open_in("enable");
	/* A driver of the kernel's may have done that: then it is busy. */
	if (write(fd, "1", 1) != 1 && errno != EBUSY)
		err(1, "enable");
	close(fd);
	change_command(0, PCI_COMMAND_MASTER);
	bar = mmap(NULL, BAR_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, open_in("resource0"), 0);
	if (bar == MAP_FAILED)
		err(1, "resource0");

	if (!strcmp(what, "check"))
		return check();
	if (!strcmp(what, "read") && argc > 3) {
		for (n = strtoul(argv[3], NULL, 0); n; n--) {
			if (get(REG_ID) != EDU_ID)
				errx(1, "id %#x", get(REG_ID));
		}
		return 0;
	}
	if (!strcmp(what, "dma"))
		return argc > 3 ? dma_elsewhere(strtoull(argv[3], NULL, 0)) : dma();
	if (!strcmp(what, "spin"))
		for (;;)
			dma();
	if (!strcmp(what, "irq") && argc > 4)
		return interrupts(atoi(argv[3]), argv[4]);
	errx(2, "what is \"%s\"?", what);
}
