/* SPDX-License-Identifier: GPL-2.0 */
/* What the boot protocol's header says about a kernel file. */
#ifndef VMM_BZIMAGE_H
#define VMM_BZIMAGE_H

#include <asm/bootparam.h>
#include <stddef.h>
#include <stdint.h>

/* The setup header lies within the file's first sectors. */
#define BZIMAGE_HEAD	4096

struct bzimage {
	struct setup_header hdr;
	uint64_t payload_off;	/* of the protected-mode code, in the file */
	uint64_t payload_len;
};

const char *bzimage_parse(const void *head, size_t len, uint64_t file_size,
			  struct bzimage *img);

#endif
