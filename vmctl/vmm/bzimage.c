// SPDX-License-Identifier: GPL-2.0
/*
 * Reading a bzImage's header (Documentation/arch/x86/boot.rst). The file is
 * untrusted: nothing of it is used before it is checked.
 */
#include <string.h>

#include "bzimage.h"

#define HDR_OFFSET	0x1f1
#define HDR_MAGIC	0x53726448U	/* "HdrS" */
#define BOOT_FLAG	0xaa55
#define JUMP_OFFSET	0x201		/* its byte gives the header's end */
#define JUMP_BASE	0x202
#define SECTOR		512
#define SETUP_SECTS_OLD	4		/* what 0 means */
#define PROTOCOL_64BIT	0x020c		/* XLF_KERNEL_64 came with 2.12 */
#define ENTRY64_OFFSET	0x200

/**
 * bzimage_parse() - check a kernel file's header
 * @head: the file's beginning
 * @len: how much of it
 * @file_size: of the whole file
 * @img: to fill
 *
 * Return: NULL, or what is wrong with it.
 */
const char *bzimage_parse(const void *head, size_t len, uint64_t file_size,
			  struct bzimage *img)
{
	const uint8_t *p = head;
	size_t hdr_len;

	memset(img, 0, sizeof(*img));
	if (len < HDR_OFFSET + sizeof(img->hdr))
		return "not a Linux kernel (bzImage): the file is too short";
	memcpy(&img->hdr, p + HDR_OFFSET, sizeof(img->hdr));
	if (img->hdr.boot_flag != BOOT_FLAG || img->hdr.header != HDR_MAGIC)
		return "not a Linux kernel (bzImage)";
	if (img->hdr.version < PROTOCOL_64BIT ||
	    !(img->hdr.xloadflags & XLF_KERNEL_64))
		return "not a 64-bit Linux kernel";
	/* An older header is shorter: what lies behind it is code. */
	hdr_len = JUMP_BASE + p[JUMP_OFFSET] - HDR_OFFSET;
	if (hdr_len < offsetof(struct setup_header, handover_offset))
		return "damaged kernel: its header is too short";
	if (hdr_len < sizeof(img->hdr))
		memset((uint8_t *)&img->hdr + hdr_len, 0,
		       sizeof(img->hdr) - hdr_len);
	if (!img->hdr.setup_sects)
		img->hdr.setup_sects = SETUP_SECTS_OLD;
	img->payload_off = (img->hdr.setup_sects + 1) * SECTOR;
	if (file_size <= img->payload_off + ENTRY64_OFFSET)
		return "damaged kernel: the file ends early";
	img->payload_len = file_size - img->payload_off;
	if (img->payload_len < (uint64_t)img->hdr.syssize * 16 -
	    (img->hdr.syssize ? 15 : 0))
		return "damaged kernel: the file ends early";
	if (img->payload_len > img->hdr.init_size)
		return "damaged kernel: it is larger than it says";
	if (!img->hdr.kernel_alignment ||
	    (img->hdr.kernel_alignment & (img->hdr.kernel_alignment - 1)))
		return "damaged kernel: bad alignment";
	return NULL;
}
