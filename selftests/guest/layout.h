/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What guests (C and assembly) and their driver agree on: where things lie in
 * the guest's memory and what its devices are.
 *
 * RAM starts at 0. The program's own image is copied to the addresses that it
 * is linked to, so that guest code written in C or assembly runs in place and
 * the driver finds a guest's variable by its own address. Real-mode guests are
 * copied to GUEST_BLOB.
 */
#ifndef LAYOUT_H
#define LAYOUT_H

#define GUEST_RAM	(16 << 20)

#define GUEST_TRAMPOLINE 0x8000		/* where SIPI sends other vCPUs */
#define GUEST_BLOB	0x10000
#define GUEST_PML4	0x20000
#define GUEST_PDPT	0x21000
#define GUEST_PD	0x22000		/* four pages: 4 GiB by 2 MiB, also PAE's */
#define GUEST_GDT	0x26000
#define GUEST_IDT	0x27000
#define GUEST_TSS	0x28000
#define GUEST_PAE_PDPT	0x29000
#define GUEST_PD32	0x2a000		/* 4 GiB by 4 MiB */
#define GUEST_IDT32	0x2b000
#define GUEST_STACKS	0x30000		/* one per vCPU */
#define GUEST_STACK	0x4000
#define GUEST_SHARED	0x140000	/* for use by the tests */
#define GUEST_PTES	0x150000	/* page tables made by the tests */
#define GUEST_EXTRA	0x40000000	/* where tests put slots of their own */

/* Selectors */
#define SEL_CODE64	0x08
#define SEL_DATA	0x10
#define SEL_TSS		0x18		/* 16 bytes */
#define SEL_CODE32	0x28
#define SEL_CODE16	0x30
#define SEL_DATA16	0x38
#define SEL_USER_DATA	(0x40 | 3)
#define SEL_USER_CODE	(0x48 | 3)
#define GDT_SIZE	0x50

/* Ports by which a guest talks to the driver */
#define PORT_DONE	0x200		/* end, with a 32-bit value */
#define PORT_SYNC	0x204		/* let the driver act, with a 32-bit value */
#define PORT_FAIL	0x208		/* a check failed; struct guest_report says which */

/* The test device: plain memory behind ports and behind MMIO */
#define PORT_DEV	0x300
#define PORT_DEV_SIZE	0xe0
#define PORT_COUNT	0x3f0		/* accesses so far */
#define PORT_LAST	0x3f4		/* the last one: size, LAST_WRITE */
#define PORT_FIFO	0x2f0		/* what is written can be read again, in order */
#define LAST_WRITE	0x100

#define MMIO_DEV	0xd0000000
#define MMIO_DEV_SIZE	0x4000

#define PASS		0x600d
#define BAD_LINE	0xbad00000	/* an assembly guest's failed line */

#endif
