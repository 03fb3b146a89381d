// SPDX-License-Identifier: GPL-2.0
/* ACPI tables, the clock, kernel files of all sorts, the bus, PCI. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>

#include "../vmm/acpi.h"
#include "../vmm/aml.h"
#include "../vmm/bzimage.h"
#include "../vmm/pci.h"
#include "../vmm/rtc.h"

static uint8_t sum(const uint8_t *p, size_t n)
{
	uint8_t s = 0;

	while (n--)
		s += *p++;
	return s;
}

static uint64_t le(const uint8_t *p, unsigned int n)
{
	return bus_get(p, n);
}

static void acpi_tables(void **state)
{
	static uint8_t buf[ACPI_ROOM];
	uint64_t xsdt, table;
	unsigned int i, cpus, off;

	(void)state;
	assert_int_equal(acpi_build(buf, sizeof(buf), ACPI_ADDR, 4), 0);
	assert_memory_equal(buf, "RSD PTR ", 8);
	assert_int_equal(sum(buf, 20), 0);
	assert_int_equal(sum(buf, 36), 0);
	xsdt = le(buf + 24, 8) - ACPI_ADDR;
	assert_memory_equal(buf + xsdt, "XSDT", 4);
	assert_int_equal(sum(buf + xsdt, le(buf + xsdt + 4, 4)), 0);
	assert_int_equal(le(buf + xsdt + 4, 4), 36 + 2 * 8);
	for (i = 0; i < 2; i++) {
		table = le(buf + xsdt + 36 + 8 * i, 8) - ACPI_ADDR;
		assert_memory_equal(buf + table, i ? "APIC" : "FACP", 4);
		assert_int_equal(sum(buf + table, le(buf + table + 4, 4)), 0);
	}
	for (cpus = 0, off = 44; off < le(buf + table + 4, 4);
	     off += buf[table + off + 1]) {
		assert_true(buf[table + off + 1] >= 2);
		cpus += buf[table + off] == 0;
	}
	assert_int_equal(cpus, 4);
	table = le(buf + xsdt + 36, 8) - ACPI_ADDR;
	table = le(buf + table + 140, 8) - ACPI_ADDR;
	assert_memory_equal(buf + table, "DSDT", 4);
	assert_int_equal(sum(buf + table, le(buf + table + 4, 4)), 0);
	assert_int_equal(acpi_build(buf, sizeof(buf), ACPI_ADDR, VCPUS_MAX), 0);
	assert_int_equal(acpi_build(buf, 512, ACPI_ADDR, 1), -ENOSPC);
}

static void aml_lengths(void **state)
{
	static uint8_t buf[8192];
	static const size_t body[] = { 1, 62, 63, 4093, 4094 };
	static const size_t bytes[] = { 1, 1, 2, 2, 3 };
	size_t i, n, total;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(body); i++) {
		struct aml a = { .buf = buf, .room = sizeof(buf) };

		for (n = 0; n < body[i]; n++)
			aml_byte(&a, 0xa3);
		aml_end(&a, 0);
		assert_int_equal(a.len, body[i] + bytes[i]);
		assert_int_equal(buf[0] >> 6, bytes[i] - 1);
		total = bytes[i] == 1 ? buf[0] : buf[0] & 0xf;
		for (n = 1; n < bytes[i]; n++)
			total |= (size_t)buf[n] << (4 + 8 * (n - 1));
		assert_int_equal(total, a.len);
	}
}

static void clock_registers(void **state)
{
	const struct tm tm = { .tm_sec = 59, .tm_min = 34, .tm_hour = 13,
			       .tm_mday = 21, .tm_mon = 10, .tm_year = 126,
			       .tm_wday = 6 };
	uint8_t ram[128] = { [0x0b] = 0x02 };

	(void)state;
	assert_int_equal(rtc_register(&tm, ram, 0x00), 0x59);
	assert_int_equal(rtc_register(&tm, ram, 0x02), 0x34);
	assert_int_equal(rtc_register(&tm, ram, 0x04), 0x13);
	assert_int_equal(rtc_register(&tm, ram, 0x06), 0x07);
	assert_int_equal(rtc_register(&tm, ram, 0x07), 0x21);
	assert_int_equal(rtc_register(&tm, ram, 0x08), 0x11);
	assert_int_equal(rtc_register(&tm, ram, 0x09), 0x26);
	assert_int_equal(rtc_register(&tm, ram, 0x32), 0x20);
	assert_int_equal(rtc_register(&tm, ram, 0x0a) & 0x80, 0);
	assert_int_equal(rtc_register(&tm, ram, 0x0d), 0x80);
	ram[0x0b] = 0x04;		/* binary, 12 hours */
	assert_int_equal(rtc_register(&tm, ram, 0x04), 0x81);
	assert_int_equal(rtc_register(&tm, ram, 0x00), 59);
}

static uint8_t clock_port(struct vm *vm, uint8_t reg, int v)
{
	uint8_t d = reg;

	bus_access(&vm->pio, PORT_RTC, &d, 1, true);
	d = v;
	bus_access(&vm->pio, PORT_RTC + 1, &d, 1, v >= 0);
	return d;
}

/* Also before 1900, and not to what is no date. */
static void clock_setting(void **state)
{
	struct vm vm = { 0 };

	(void)state;
	vm.rtc = rtc_create(&vm);
	clock_port(&vm, 0x32, 0x18);
	clock_port(&vm, 0x09, 0x50);
	assert_int_equal(clock_port(&vm, 0x32, -1), 0x18);
	assert_int_equal(clock_port(&vm, 0x09, -1), 0x50);
	clock_port(&vm, 0x32, 0x20);
	assert_int_equal(clock_port(&vm, 0x32, -1), 0x20);
	assert_int_equal(clock_port(&vm, 0x09, -1), 0x50);
	clock_port(&vm, 0x32, 0);
	clock_port(&vm, 0x09, 0);
	clock_port(&vm, 0x07, 1);
	clock_port(&vm, 0x08, 0);
	assert_int_equal(clock_port(&vm, 0x32, -1), 0x19);
	assert_int_equal(clock_port(&vm, 0x09, -1), 0x70);
	rtc_destroy(vm.rtc);
}

static void good_header(uint8_t *head)
{
	struct setup_header h = {
		.setup_sects = 4, .boot_flag = 0xaa55, .header = 0x53726448,
		.version = 0x020f, .xloadflags = XLF_KERNEL_64,
		.kernel_alignment = 0x200000, .relocatable_kernel = 1,
		.pref_address = 0x1000000, .init_size = 0x2000000,
		.cmdline_size = 2047, .initrd_addr_max = 0x7fffffff,
	};

	memset(head, 0, BZIMAGE_HEAD);
	memcpy(head + 0x1f1, &h, sizeof(h));
	head[0x201] = 0x6a;
}

static void kernel_files(void **state)
{
	static uint8_t head[BZIMAGE_HEAD];
	struct bzimage img;
	unsigned int i;

	(void)state;
	good_header(head);
	assert_null(bzimage_parse(head, sizeof(head), 100000, &img));
	assert_int_equal(img.payload_off, 5 * 512);
	assert_int_equal(img.payload_len, 100000 - 5 * 512);
	assert_non_null(bzimage_parse(head, 0, 0, &img));
	assert_non_null(bzimage_parse(head, 512, 512, &img));
	assert_non_null(bzimage_parse(head, sizeof(head), 5 * 512, &img));
	assert_non_null(bzimage_parse(head, sizeof(head), 1ULL << 40, &img));
	good_header(head);
	head[0x1fe] = 0;
	assert_non_null(bzimage_parse(head, sizeof(head), 100000, &img));
	good_header(head);
	head[0x236] = 0;		/* no 64-bit entry */
	assert_string_equal(bzimage_parse(head, sizeof(head), 100000, &img),
			    "not a 64-bit Linux kernel");
	good_header(head);
	head[0x201] = 0x10;		/* a header that ends before it begins */
	assert_non_null(bzimage_parse(head, sizeof(head), 100000, &img));
	good_header(head);
	head[0x230] = 3;		/* alignment, no power of two */
	assert_non_null(bzimage_parse(head, sizeof(head), 100000, &img));
	srand(2);
	for (i = 0; i < 20000; i++) {
		const char *why;

		good_header(head);
		head[0x1f1 + rand() % 128] = rand();
		head[0x1f1 + rand() % 128] = rand();
		why = bzimage_parse(head, sizeof(head), rand() % 200000, &img);
		if (!why)
			assert_true(img.payload_len <= img.hdr.init_size);
	}
}

static void echo(void *arg, uint64_t off, uint8_t *data, unsigned int len,
		 bool write)
{
	if (!write)
		bus_put(data, len, (uintptr_t)arg + off);
}

static void bus_ranges(void **state)
{
	struct bus_range big = { .base = 0x100, .size = 0x10, .fn = echo,
				 .arg = (void *)0x10 };
	struct bus_range small = { .base = 0x104, .size = 1, .fn = echo,
				   .arg = (void *)0x80 };
	struct bus bus = { 0 };
	uint8_t data[8];

	(void)state;
	bus_add(&bus, &big);
	bus_add(&bus, &small);
	assert_true(bus_access(&bus, 0x104, data, 1, false));
	assert_int_equal(data[0], 0x80);
	assert_true(bus_access(&bus, 0x104, data, 4, false));
	assert_int_equal(data[0], 0x14);
	assert_false(bus_access(&bus, 0x10e, data, 4, false));
	assert_int_equal(data[3], 0xff);
	assert_false(bus_access(&bus, UINT64_MAX, data, 8, false));
	bus_del(&bus, &small);
	bus_del(&bus, &small);
	assert_true(bus_access(&bus, 0x104, data, 1, false));
	assert_int_equal(data[0], 0x14);
}

static uint32_t cfg(struct vm *vm, uint32_t addr, unsigned int len, int64_t v)
{
	uint8_t a[4], d[4];

	bus_put(a, 4, addr & ~3U);
	bus_access(&vm->pio, PORT_PCI_ADDR, a, 4, true);
	bus_put(d, 4, v);
	bus_access(&vm->pio, PORT_PCI_DATA + (addr & 3), d, len, v >= 0);
	return bus_get(d, len);
}

/* Configuration accesses of any kind, on a function with a BAR and no device. */
static void pci_config(void **state)
{
	static const struct pci_dev_ops ops;
	struct vm vm = { 0 };
	struct pci_dev dev = { 0 };
	uint32_t fn = 1U << 31 | 1 << 11;
	uint8_t data[8];
	unsigned int i;

	(void)state;
	vm.pci = pci_create(&vm);
	pci_dev_init(&dev, &vm, &ops, 0x1af4, 0x1042, 0x01000001, 0x42);
	assert_int_equal(pci_add_bar(&dev, 0, 0x4000), 0);
	assert_int_equal(pci_attach(&dev), 0);
	assert_int_equal(cfg(&vm, fn, 4, -1), 0x10421af4);
	assert_int_equal(cfg(&vm, fn + 2, 2, -1), 0x1042);
	assert_int_equal(cfg(&vm, 0, 4, -1), UINT32_MAX);
	assert_int_equal(cfg(&vm, 1U << 31 | 2 << 11, 4, -1), UINT32_MAX);
	cfg(&vm, fn, 4, 0);		/* read only */
	assert_int_equal(cfg(&vm, fn, 4, -1), 0x10421af4);
	cfg(&vm, fn + PCI_BASE_ADDRESS_0, 4, UINT32_MAX);
	assert_int_equal(cfg(&vm, fn + PCI_BASE_ADDRESS_0, 4, -1), 0xffffc000);
	/* Not over RAM, nor over the APICs. */
	cfg(&vm, fn + PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	cfg(&vm, fn + PCI_BASE_ADDRESS_0, 4, 0);
	assert_false(dev.bar[0].mapped);
	cfg(&vm, fn + PCI_BASE_ADDRESS_0, 4, LAPIC_ADDR);
	assert_false(dev.bar[0].mapped);
	cfg(&vm, fn + PCI_BASE_ADDRESS_0, 4, 0xd0010000);
	assert_true(dev.bar[0].mapped);
	assert_true(bus_access(&vm.mmio, 0xd0010000, data, 8, false));
	cfg(&vm, fn + PCI_COMMAND, 2, 0);
	assert_false(bus_access(&vm.mmio, 0xd0010000, data, 8, false));
	srand(3);
	for (i = 0; i < 20000; i++)
		cfg(&vm, (1U << 31 | (rand() & 0xffff)) & ~3U,
		    1 << rand() % 3, rand() % 2 ? rand() : -1);
	pci_detach(&dev);
	pci_destroy(vm.pci);
}

/* No BAR beyond the window, nor around the end of 32 bits. */
static void full_window(void **state)
{
	static const struct pci_dev_ops ops;
	struct vm vm = { 0 };
	struct pci_dev dev = { 0 };

	(void)state;
	vm.pci = pci_create(&vm);
	pci_dev_init(&dev, &vm, &ops, 0x1af4, 0x1042, 0x01000001, 0x42);
	assert_int_equal(pci_add_bar(&dev, 0, 0x10000000), 0);
	assert_int_equal(pci_add_bar(&dev, 1, 0x10000000), 0);
	assert_int_equal(pci_add_bar(&dev, 2, 0x1000), 0);
	assert_int_equal(pci_add_bar(&dev, 3, 0x10000000), -ENOSPC);
	assert_int_equal(pci_add_bar(&dev, 3, 0x80000000), -ENOSPC);
	assert_int_equal(pci_add_bar(&dev, 3, 0x4000000), 0);
	assert_int_equal(pci_add_bar(&dev, 4, 0x8000000), -ENOSPC);
	pci_destroy(vm.pci);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(acpi_tables), cmocka_unit_test(aml_lengths),
		cmocka_unit_test(clock_registers), cmocka_unit_test(clock_setting),
		cmocka_unit_test(kernel_files), cmocka_unit_test(bus_ranges),
		cmocka_unit_test(pci_config), cmocka_unit_test(full_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
