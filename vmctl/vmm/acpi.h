/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The board as ACPI tells it: RSDP, XSDT, FADT, FACS, MADT, DSDT. What enters:
 * the number of CPUs; the rest is layout.h. What leaves: bytes.
 */
#ifndef VMM_ACPI_H
#define VMM_ACPI_H

#include <stddef.h>
#include <stdint.h>

/* What \_S5 says and PM1 control understands. */
#define ACPI_SLP_TYP_S5		5
#define ACPI_RESET_VALUE	0x06

uint8_t acpi_checksum(const void *p, size_t len);
int acpi_build(uint8_t *buf, size_t room, uint64_t gpa, unsigned int ncpus);

#endif
