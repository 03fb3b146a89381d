// SPDX-License-Identifier: GPL-2.0
/* The ACPI tables (ACPI 6.5, chapter "ACPI Software Programming Model"). */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "acpi.h"
#include "aml.h"
#include "layout.h"
#include "pm.h"

#define OEM_ID		"LHV   "
#define OEM_TABLE_ID	"LHVBOARD"
#define CREATOR_ID	"LHV "

#define FADT_REVISION	6
#define MADT_REVISION	5
#define FACS_ALIGN	64

/* FADT flags: WBINVD works, C1 works, a fixed power button, no sleep button, reset register. */
#define FADT_WBINVD		(1U << 0)
#define FADT_PROC_C1		(1U << 2)
#define FADT_SLP_BUTTON		(1U << 5)
#define FADT_TMR_VAL_EXT	(1U << 8)
#define FADT_RESET_REG		(1U << 10)
/* IA-PC boot flags: ISA-like devices, no VGA; no 8042 bit. */
#define BOOT_LEGACY_DEVICES	(1U << 0)
#define BOOT_NO_VGA		(1U << 2)

#define GAS_PORT		1
#define GAS_BYTE		1
#define GAS_WORD		2
#define GAS_DWORD		3

#define MADT_PCAT_COMPAT	1
#define MADT_LAPIC		0
#define MADT_IOAPIC		1
#define MADT_OVERRIDE		2
#define MADT_LAPIC_NMI		4
#define MADT_ENABLED		1
#define MADT_ALL_CPUS		0xff
#define MADT_HIGH_EDGE		0x05
#define MADT_HIGH_LEVEL		0x0d

struct sdt {
	char signature[4];
	uint32_t length;
	uint8_t revision;
	uint8_t checksum;
	char oem_id[6];
	char oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} __attribute__((packed));

struct rsdp {
	char signature[8];
	uint8_t checksum;
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t ext_checksum;
	uint8_t reserved[3];
} __attribute__((packed));

struct gas {
	uint8_t space;
	uint8_t bits;
	uint8_t offset;
	uint8_t size;
	uint64_t addr;
} __attribute__((packed));

struct fadt {
	struct sdt head;
	uint32_t facs, dsdt;
	uint8_t reserved0, profile;
	uint16_t sci;
	uint32_t smi_cmd;
	uint8_t acpi_enable, acpi_disable, s4bios, pstate_cnt;
	uint32_t pm1a_evt, pm1b_evt, pm1a_cnt, pm1b_cnt, pm2_cnt, pm_tmr;
	uint32_t gpe0, gpe1;
	uint8_t pm1_evt_len, pm1_cnt_len, pm2_cnt_len, pm_tmr_len;
	uint8_t gpe0_len, gpe1_len, gpe1_base, cst_cnt;
	uint16_t c2_latency, c3_latency, flush_size, flush_stride;
	uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
	uint16_t boot_arch;
	uint8_t reserved1;
	uint32_t flags;
	struct gas reset;
	uint8_t reset_value;
	uint16_t arm_boot;
	uint8_t minor;
	uint64_t x_facs, x_dsdt;
	struct gas x_pm1a_evt, x_pm1b_evt, x_pm1a_cnt, x_pm1b_cnt, x_pm2_cnt;
	struct gas x_pm_tmr, x_gpe0, x_gpe1, sleep_control, sleep_status;
	uint64_t hypervisor;
} __attribute__((packed));

struct facs {
	char signature[4];
	uint32_t length;
	uint32_t hardware_signature, waking_vector, global_lock, flags;
	uint64_t x_waking_vector;
	uint8_t version;
	uint8_t reserved[31];
} __attribute__((packed));

struct madt {
	struct sdt head;
	uint32_t lapic;
	uint32_t flags;
} __attribute__((packed));

struct madt_lapic {
	uint8_t type, len, uid, apic_id;
	uint32_t flags;
} __attribute__((packed));

struct madt_ioapic {
	uint8_t type, len, id, reserved;
	uint32_t addr, gsi_base;
} __attribute__((packed));

struct madt_override {
	uint8_t type, len, bus, irq;
	uint32_t gsi;
	uint16_t flags;
} __attribute__((packed));

struct madt_lapic_nmi {
	uint8_t type, len, uid;
	uint16_t flags;
	uint8_t lint;
} __attribute__((packed));

_Static_assert(sizeof(struct sdt) == 36, "table header");
_Static_assert(sizeof(struct rsdp) == 36, "RSDP");
_Static_assert(sizeof(struct fadt) == 276, "FADT of ACPI 6");
_Static_assert(sizeof(struct facs) == 64, "FACS");

/**
 * acpi_checksum() - the byte that makes a table's bytes add up to zero
 * @p: table, its checksum field still zero
 * @len: bytes
 */
uint8_t acpi_checksum(const void *p, size_t len)
{
	const uint8_t *b = p;
	uint8_t sum = 0;

	while (len--)
		sum += *b++;
	return -sum;
}

static void sdt_start(struct sdt *h, const char *signature, uint8_t revision)
{
	memcpy(h->signature, signature, sizeof(h->signature));
	h->revision = revision;
	memcpy(h->oem_id, OEM_ID, sizeof(h->oem_id));
	memcpy(h->oem_table_id, OEM_TABLE_ID, sizeof(h->oem_table_id));
	h->oem_revision = 1;
	memcpy(h->creator_id, CREATOR_ID, sizeof(h->creator_id));
	h->creator_revision = 1;
}

/* Where the next bytes go: an AML buffer serves every table. */
static uint64_t here(const struct aml *a, uint64_t gpa)
{
	return gpa + a->len;
}

static void align(struct aml *a, size_t to)
{
	while (!a->full && a->len % to)
		aml_byte(a, 0);
}

/* Length and checksum of the table that began at @start. */
static void sdt_finish(struct aml *a, size_t start)
{
	struct sdt h;

	if (a->full)
		return;
	memcpy(&h, a->buf + start, sizeof(h));
	h.length = a->len - start;
	h.checksum = 0;
	memcpy(a->buf + start, &h, sizeof(h));
	h.checksum = acpi_checksum(a->buf + start, h.length);
	memcpy(a->buf + start, &h, sizeof(h));
}

static void dsdt_route(struct aml *a, unsigned int slot, unsigned int gsi)
{
	size_t p = aml_package(a, 4);

	aml_int(a, slot << 16 | 0xffff);
	aml_int(a, 0);			/* INTA */
	aml_int(a, 0);
	aml_int(a, gsi);
	aml_end(a, p);
}

static void dsdt_pci(struct aml *a)
{
	size_t dev = aml_device(a, "PCI0"), res, p;
	unsigned int slot;

	aml_name(a, "_HID");
	aml_eisa_id(a, "PNP0A03");
	aml_name(a, "_UID");
	aml_int(a, 0);
	aml_name(a, "_BBN");
	aml_int(a, 0);
	aml_name(a, "_CRS");
	res = aml_resources(a);
	aml_bus_range(a, 0, 0);
	aml_io(a, PORT_PCI_ADDR, 8);
	aml_io_range(a, 0, PORT_PCI_ADDR - 1);
	aml_io_range(a, PORT_PCI_DATA + 4, UINT16_MAX);
	aml_mmio_range(a, PCI_MMIO_ADDR, PCI_MMIO_END - 1);
	aml_resources_end(a, res);
	aml_name(a, "_PRT");
	p = aml_package(a, PCI_SLOTS - 1);
	for (slot = 1; slot < PCI_SLOTS; slot++)
		dsdt_route(a, slot, PCI_SLOT_GSI(slot));
	aml_end(a, p);
	aml_end(a, dev);
}

static void dsdt_legacy(struct aml *a, const char *name, const char *hid,
			uint16_t port, uint8_t len, int irq)
{
	size_t dev = aml_device(a, name), res;

	aml_name(a, "_HID");
	aml_eisa_id(a, hid);
	aml_name(a, "_UID");
	aml_int(a, 0);
	aml_name(a, "_CRS");
	res = aml_resources(a);
	aml_io(a, port, len);
	if (irq >= 0)
		aml_irq(a, irq);
	aml_resources_end(a, res);
	aml_end(a, dev);
}

static void build_dsdt(struct aml *a)
{
	struct sdt head = { 0 };
	size_t start = a->len, mark;

	sdt_start(&head, "DSDT", 2);
	aml_bytes(a, &head, sizeof(head));
	mark = aml_scope(a, "\\_SB");
	dsdt_pci(a);
	dsdt_legacy(a, "COM1", "PNP0501", PORT_COM1, 8, GSI_COM1);
	/* No line: the clock tells the time and rings no alarm. */
	dsdt_legacy(a, "RTC", "PNP0B00", PORT_RTC, 2, -1);
	aml_end(a, mark);
	aml_name(a, "\\_S5");
	mark = aml_package(a, 4);
	aml_int(a, ACPI_SLP_TYP_S5);
	aml_int(a, ACPI_SLP_TYP_S5);
	aml_int(a, 0);
	aml_int(a, 0);
	aml_end(a, mark);
	sdt_finish(a, start);
}

static struct gas port_gas(uint16_t port, uint8_t bytes, uint8_t size)
{
	return (struct gas){ GAS_PORT, bytes * 8, 0, size, port };
}

static void build_fadt(struct aml *a, uint64_t facs, uint64_t dsdt)
{
	struct fadt f = { 0 };
	size_t start = a->len;

	sdt_start(&f.head, "FACP", FADT_REVISION);
	f.facs = facs;
	f.dsdt = dsdt;
	f.x_dsdt = dsdt;
	f.sci = GSI_SCI;
	f.pm1a_evt = PORT_PM + PM_EVENT;
	f.pm1a_cnt = PORT_PM + PM_CONTROL;
	f.pm_tmr = PORT_PM + PM_TIMER;
	f.pm1_evt_len = PM_EVENT_LEN;
	f.pm1_cnt_len = PM_CONTROL_LEN;
	f.pm_tmr_len = PM_TIMER_LEN;
	f.c2_latency = 0xffff;		/* no C2 */
	f.c3_latency = 0xffff;		/* no C3 */
	f.boot_arch = BOOT_LEGACY_DEVICES | BOOT_NO_VGA;
	/* The power button is a fixed one because its flag, "not fixed", is clear. */
	f.flags = FADT_WBINVD | FADT_PROC_C1 | FADT_SLP_BUTTON |
		  FADT_TMR_VAL_EXT | FADT_RESET_REG;
	f.reset = port_gas(PORT_RESET, 1, GAS_BYTE);
	f.reset_value = ACPI_RESET_VALUE;
	f.x_pm1a_evt = port_gas(f.pm1a_evt, PM_EVENT_LEN, GAS_DWORD);
	f.x_pm1a_cnt = port_gas(f.pm1a_cnt, PM_CONTROL_LEN, GAS_WORD);
	f.x_pm_tmr = port_gas(f.pm_tmr, PM_TIMER_LEN, GAS_DWORD);
	memcpy(&f.hypervisor, "LHV", 3);
	aml_bytes(a, &f, sizeof(f));
	sdt_finish(a, start);
}

static void madt_override(struct aml *a, uint8_t irq, uint32_t gsi,
			  uint16_t flags)
{
	struct madt_override o = {
		.type = MADT_OVERRIDE, .len = sizeof(o),
		.irq = irq, .gsi = gsi, .flags = flags,
	};

	aml_bytes(a, &o, sizeof(o));
}

static void build_madt(struct aml *a, unsigned int ncpus)
{
	struct madt m = { .lapic = LAPIC_ADDR, .flags = MADT_PCAT_COMPAT };
	struct madt_ioapic io = {
		.type = MADT_IOAPIC, .len = sizeof(io), .id = 0,
		.addr = IOAPIC_ADDR,
	};
	struct madt_lapic_nmi nmi = {
		.type = MADT_LAPIC_NMI, .len = sizeof(nmi),
		.uid = MADT_ALL_CPUS, .flags = MADT_HIGH_EDGE, .lint = 1,
	};
	size_t start = a->len;
	unsigned int i;

	sdt_start(&m.head, "APIC", MADT_REVISION);
	aml_bytes(a, &m, sizeof(m));
	for (i = 0; i < ncpus; i++) {
		struct madt_lapic l = {
			.type = MADT_LAPIC, .len = sizeof(l),
			.uid = i, .apic_id = i, .flags = MADT_ENABLED,
		};

		aml_bytes(a, &l, sizeof(l));
	}
	aml_bytes(a, &io, sizeof(io));
	madt_override(a, GSI_PIT, GSI_PIT_IOAPIC, 0);
	madt_override(a, GSI_SCI, GSI_SCI, MADT_HIGH_LEVEL);
	madt_override(a, GSI_INTX_A, GSI_INTX_A, MADT_HIGH_LEVEL);
	madt_override(a, GSI_INTX_B, GSI_INTX_B, MADT_HIGH_LEVEL);
	aml_bytes(a, &nmi, sizeof(nmi));
	sdt_finish(a, start);
}

static void build_rsdp(uint8_t *buf, uint64_t xsdt)
{
	struct rsdp r = { .revision = 2, .length = sizeof(r), .xsdt = xsdt };

	memcpy(r.signature, "RSD PTR ", sizeof(r.signature));
	memcpy(r.oem_id, OEM_ID, sizeof(r.oem_id));
	r.checksum = acpi_checksum(&r, offsetof(struct rsdp, length));
	r.ext_checksum = acpi_checksum(&r, sizeof(r));
	memcpy(buf, &r, sizeof(r));
}

/**
 * acpi_build() - write all tables
 * @buf: where, RSDP first
 * @room: bytes there
 * @gpa: the guest's address of @buf
 * @ncpus: CPUs, whose APIC ids count from 0
 *
 * Return: 0, -ENOSPC when they don't fit.
 */
int acpi_build(uint8_t *buf, size_t room, uint64_t gpa, unsigned int ncpus)
{
	struct aml a = { .buf = buf, .room = room };
	struct facs facs = { .length = sizeof(facs), .version = 2 };
	uint64_t facs_at, dsdt_at, entries[2];
	struct rsdp hole = { 0 };
	struct sdt xsdt = { 0 };
	size_t start;

	aml_bytes(&a, &hole, sizeof(hole));
	align(&a, FACS_ALIGN);
	facs_at = here(&a, gpa);
	memcpy(facs.signature, "FACS", sizeof(facs.signature));
	aml_bytes(&a, &facs, sizeof(facs));
	dsdt_at = here(&a, gpa);
	build_dsdt(&a);
	align(&a, sizeof(uint64_t));
	entries[0] = here(&a, gpa);
	build_fadt(&a, facs_at, dsdt_at);
	align(&a, sizeof(uint64_t));
	entries[1] = here(&a, gpa);
	build_madt(&a, ncpus);
	align(&a, sizeof(uint64_t));
	start = a.len;
	sdt_start(&xsdt, "XSDT", 1);
	aml_bytes(&a, &xsdt, sizeof(xsdt));
	aml_bytes(&a, entries, sizeof(entries));
	sdt_finish(&a, start);
	if (a.full)
		return -ENOSPC;
	build_rsdp(buf, gpa + start);
	return 0;
}
