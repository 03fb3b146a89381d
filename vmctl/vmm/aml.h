/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A small AML writer (ACPI 6.5, chapter "ACPI Machine Language Specification").
 * Writing past the buffer is remembered, not done: look at aml->full at the end.
 */
#ifndef VMM_AML_H
#define VMM_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aml {
	uint8_t *buf;
	size_t len;
	size_t room;
	bool full;
};

void aml_bytes(struct aml *a, const void *p, size_t n);
void aml_byte(struct aml *a, uint8_t b);
void aml_int(struct aml *a, uint32_t v);
void aml_string(struct aml *a, const char *s);
void aml_eisa_id(struct aml *a, const char *id);
void aml_name(struct aml *a, const char *name);

/* Each begin returns a mark for aml_end(), which writes the length in. */
size_t aml_scope(struct aml *a, const char *name);
size_t aml_device(struct aml *a, const char *name);
size_t aml_package(struct aml *a, uint8_t count);
void aml_end(struct aml *a, size_t mark);

size_t aml_resources(struct aml *a);
void aml_resources_end(struct aml *a, size_t mark);
void aml_io(struct aml *a, uint16_t base, uint8_t len);
void aml_irq(struct aml *a, uint8_t irq);
void aml_bus_range(struct aml *a, uint16_t first, uint16_t last);
void aml_io_range(struct aml *a, uint16_t first, uint16_t last);
void aml_mmio_range(struct aml *a, uint32_t first, uint32_t last);

#endif
