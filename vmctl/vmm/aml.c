// SPDX-License-Identifier: GPL-2.0
/* A small AML writer: see aml.h. */
#include <ctype.h>
#include <string.h>

#include "aml.h"

#define OP_NAME		0x08
#define OP_BYTE		0x0a
#define OP_WORD		0x0b
#define OP_DWORD	0x0c
#define OP_STRING	0x0d
#define OP_SCOPE	0x10
#define OP_BUFFER	0x11
#define OP_PACKAGE	0x12
#define OP_EXT		0x5b
#define OP_EXT_DEVICE	0x82

/* Resource descriptors. */
#define RES_IRQ		0x22
#define RES_IO		0x47
#define RES_END		0x79
#define RES_DWORD	0x87
#define RES_WORD	0x88
#define RES_MEMORY	0
#define RES_PORT	1
#define RES_BUS		2
/* Minimum and maximum fixed, this device produces the range. */
#define RES_FIXED	0x0c
#define RES_ENTIRE	0x03	/* ports: ISA and others */
#define RES_READ_WRITE	0x01	/* memory: not cacheable, writable */
#define RES_DECODE16	0x01

/* The longest PkgLength, and the lengths from which each form is needed. */
#define PKG_MAX_BYTES	4
#define PKG_1BYTE_LIMIT	0x40
#define PKG_2BYTE_LIMIT	0x1000
#define PKG_3BYTE_LIMIT	0x100000

void aml_bytes(struct aml *a, const void *p, size_t n)
{
	if (a->full || n > a->room - a->len) {
		a->full = true;
		return;
	}
	memcpy(a->buf + a->len, p, n);
	a->len += n;
}

void aml_byte(struct aml *a, uint8_t b)
{
	aml_bytes(a, &b, 1);
}

static void aml_le(struct aml *a, uint32_t v, unsigned int n)
{
	while (n--) {
		aml_byte(a, v);
		v >>= 8;
	}
}

void aml_int(struct aml *a, uint32_t v)
{
	if (v <= 1) {		/* ZeroOp, OneOp */
		aml_byte(a, v);
	} else if (v <= UINT8_MAX) {
		aml_byte(a, OP_BYTE);
		aml_byte(a, v);
	} else if (v <= UINT16_MAX) {
		aml_byte(a, OP_WORD);
		aml_le(a, v, 2);
	} else {
		aml_byte(a, OP_DWORD);
		aml_le(a, v, 4);
	}
}

void aml_string(struct aml *a, const char *s)
{
	aml_byte(a, OP_STRING);
	aml_bytes(a, s, strlen(s) + 1);
}

static unsigned int hex_digit(char c)
{
	return isdigit((unsigned char)c) ? c - '0' :
	       toupper((unsigned char)c) - 'A' + 10;
}

/* Three letters of five bits, four hex digits; stored big endian. */
void aml_eisa_id(struct aml *a, const char *id)
{
	uint32_t v = 0;
	unsigned int i;

	for (i = 0; i < 3; i++)
		v = v << 5 | ((id[i] - '@') & 0x1f);
	for (i = 3; i < 7; i++)
		v = v << 4 | (hex_digit(id[i]) & 0xf);
	aml_byte(a, OP_DWORD);
	aml_le(a, __builtin_bswap32(v), 4);
}

/* One name segment of four characters, or a root path of one such. */
static void name_string(struct aml *a, const char *name)
{
	size_t len;

	if (*name == '\\') {
		aml_byte(a, '\\');
		name++;
	}
	len = strlen(name);
	aml_bytes(a, name, len);
	while (len++ < 4)
		aml_byte(a, '_');
}

void aml_name(struct aml *a, const char *name)
{
	aml_byte(a, OP_NAME);
	name_string(a, name);
}

size_t aml_scope(struct aml *a, const char *name)
{
	size_t mark;

	aml_byte(a, OP_SCOPE);
	mark = a->len;
	name_string(a, name);
	return mark;
}

size_t aml_device(struct aml *a, const char *name)
{
	size_t mark;

	aml_byte(a, OP_EXT);
	aml_byte(a, OP_EXT_DEVICE);
	mark = a->len;
	name_string(a, name);
	return mark;
}

size_t aml_package(struct aml *a, uint8_t count)
{
	size_t mark;

	aml_byte(a, OP_PACKAGE);
	mark = a->len;
	aml_byte(a, count);
	return mark;
}

/* The length counts its own bytes and comes first: shift the body. */
void aml_end(struct aml *a, size_t mark)
{
	uint8_t enc[PKG_MAX_BYTES];
	size_t body, total;
	unsigned int n, i;

	if (a->full)
		return;
	body = a->len - mark;
	n = body + 1 < PKG_1BYTE_LIMIT ? 1 : body + 2 < PKG_2BYTE_LIMIT ? 2 :
	    body + 3 < PKG_3BYTE_LIMIT ? 3 : 4;
	total = body + n;
	if (n == 1) {
		enc[0] = total;
	} else {
		enc[0] = (n - 1) << 6 | (total & 0xf);
		for (i = 1; i < n; i++)
			enc[i] = total >> (4 + 8 * (i - 1));
	}
	if (n > a->room - a->len) {
		a->full = true;
		return;
	}
	memmove(a->buf + mark + n, a->buf + mark, body);
	memcpy(a->buf + mark, enc, n);
	a->len += n;
}

/* A buffer's size is written as a word, so that it can be filled in later. */
size_t aml_resources(struct aml *a)
{
	size_t mark;

	aml_byte(a, OP_BUFFER);
	mark = a->len;
	aml_byte(a, OP_WORD);
	aml_le(a, 0, 2);
	return mark;
}

void aml_resources_end(struct aml *a, size_t mark)
{
	size_t size;

	aml_byte(a, RES_END);
	aml_byte(a, 0);		/* no checksum */
	if (a->full)
		return;
	size = a->len - mark - 3;
	a->buf[mark + 1] = size;
	a->buf[mark + 2] = size >> 8;
	aml_end(a, mark);
}

void aml_io(struct aml *a, uint16_t base, uint8_t len)
{
	aml_byte(a, RES_IO);
	aml_byte(a, RES_DECODE16);
	aml_le(a, base, 2);
	aml_le(a, base, 2);
	aml_byte(a, 1);
	aml_byte(a, len);
}

void aml_irq(struct aml *a, uint8_t irq)
{
	aml_byte(a, RES_IRQ);
	aml_le(a, 1U << irq, 2);
}

static void word_range(struct aml *a, uint8_t type, uint8_t flags,
		       uint16_t first, uint16_t last)
{
	aml_byte(a, RES_WORD);
	aml_le(a, 13, 2);
	aml_byte(a, type);
	aml_byte(a, RES_FIXED);
	aml_byte(a, flags);
	aml_le(a, 0, 2);
	aml_le(a, first, 2);
	aml_le(a, last, 2);
	aml_le(a, 0, 2);
	aml_le(a, last - first + 1, 2);
}

void aml_bus_range(struct aml *a, uint16_t first, uint16_t last)
{
	word_range(a, RES_BUS, 0, first, last);
}

void aml_io_range(struct aml *a, uint16_t first, uint16_t last)
{
	word_range(a, RES_PORT, RES_ENTIRE, first, last);
}

void aml_mmio_range(struct aml *a, uint32_t first, uint32_t last)
{
	aml_byte(a, RES_DWORD);
	aml_le(a, 23, 2);
	aml_byte(a, RES_MEMORY);
	aml_byte(a, RES_FIXED);
	aml_byte(a, RES_READ_WRITE);
	aml_le(a, 0, 4);
	aml_le(a, first, 4);
	aml_le(a, last, 4);
	aml_le(a, 0, 4);
	aml_le(a, last - first + 1, 4);
}
