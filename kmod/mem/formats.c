// SPDX-License-Identifier: GPL-2.0
/* lhv mem/ - second-stage table formats, as data. */
#include <asm/pgtable_types.h>

#include "lhv.h"

/*
 * Device memory is UC-: uncached, unless the guest asks for write combining, just as
 * the host maps it for the VMM. In the PAT that Linux sets up, index 2 (PCD).
 */
static u64 npt_memtype(bool mmio)
{
	return mmio ? _PAGE_PCD : 0;
}

/* The host's own long-mode format. The walk counts as user code's: U is needed everywhere. */
const struct lhv_tdp_format lhv_npt_format = {
	.present = _PAGE_PRESENT,
	.leaf = _PAGE_PRESENT | _PAGE_USER,
	.table = _PAGE_PRESENT | _PAGE_RW | _PAGE_USER | _PAGE_ACCESSED,
	.read = _PAGE_PRESENT,
	.write = _PAGE_RW,
	.exec = 0,
	.nx = _PAGE_NX,
	.accessed = _PAGE_ACCESSED,
	.dirty = _PAGE_DIRTY,
	.huge = _PAGE_PSE,
	.memtype = npt_memtype,
	.levels = 0,
};
