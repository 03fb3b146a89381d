/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The board: where everything lies in the guest's address spaces, and which
 * interrupt lines are taken. Nothing here is visible outside of the VMM but
 * through the ACPI tables and PCI, which are built from these same names.
 */
#ifndef VMM_LAYOUT_H
#define VMM_LAYOUT_H

#define KIB(n)			((uint64_t)(n) << 10)
#define MIB(n)			((uint64_t)(n) << 20)
#define GIB(n)			((uint64_t)(n) << 30)

/* Memory below 1 MiB. */
#define GDT_ADDR		0x500ULL
#define BOOT_PARAMS_ADDR	0x7000ULL
#define PAGE_TABLE_ADDR		0x9000ULL	/* PML4, PDPT, four PDs */
#define CMDLINE_ADDR		0x20000ULL
#define CMDLINE_ROOM		0x10000U
#define BASE_MEM_END		0x9fc00ULL
#define ACPI_ADDR		0xe0000ULL
#define ACPI_ROOM		0x20000U
#define HIGH_MEM_ADDR		MIB(1)

/* The hole below 4 GiB. */
#define HOLE_ADDR		GIB(3)
#define HOLE_END		GIB(4)
#define PCI_MMIO_ADDR		0xd0000000ULL
#define PCI_MMIO_END		0xfec00000ULL
#define IOAPIC_ADDR		0xfec00000U
#define LAPIC_ADDR		0xfee00000U
#define IDENTITY_MAP_ADDR	0xfffbc000ULL
#define TSS_ADDR		0xfffbd000ULL

/* Ports. */
#define PORT_I8042_STATUS	0x64
#define PORT_RTC		0x70
#define PORT_COM1		0x3f8
#define PORT_PM			0x600
#define PORT_PCI_ADDR		0xcf8
#define PORT_RESET		0xcf9
#define PORT_PCI_DATA		0xcfc

/* Interrupt lines. */
#define GSI_PIT			0
#define GSI_PIT_IOAPIC		2
#define GSI_COM1		4
#define GSI_SCI			9
#define GSI_INTX_A		10
#define GSI_INTX_B		11
#define GSI_LINES		24

/* PCI: one bus, one function per slot, INTA on two lines in turn. */
#define PCI_SLOTS		32U
#define PCI_SLOT_GSI(slot)	((slot) % 2 ? GSI_INTX_A : GSI_INTX_B)

#define VCPUS_MAX		255U
#define MEM_MIN			MIB(16)
#define MEM_MAX			(64ULL << 40)

#endif
