// SPDX-License-Identifier: GPL-2.0
/* lhv mem/ - second-stage table formats, as data. */
#include <asm/pgtable_types.h>
#include <asm/vmx.h>

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
	.max_leaf = LHV_TDP_MAX_LEAF,
};

/*
 * As the range registers would say it: write-back, and uncached for devices, where the guest's PAT
 * may ask for write combining. In memory it has no say (.ignore_pat), but for devices' sake: two
 * views of one line that differ in that are more than some CPUs bear.
 */
static u64 ept_memtype(bool mmio)
{
	return (mmio ? VMX_EPTP_MT_UC : VMX_EPTP_MT_WB) << VMX_EPT_MT_EPTE_SHIFT;
}

/* SDM Vol 3C "The Extended Page Table Mechanism (EPT)". The backend takes away what a CPU lacks. */
struct lhv_tdp_format lhv_ept_format __ro_after_init = {
	.present = VMX_EPT_RWX_MASK,
	.leaf = VMX_EPT_READABLE_MASK,
	.table = VMX_EPT_RWX_MASK,
	.read = VMX_EPT_READABLE_MASK,
	.write = VMX_EPT_WRITABLE_MASK,
	.exec = VMX_EPT_EXECUTABLE_MASK,
	.nx = 0,
	.accessed = VMX_EPT_ACCESS_BIT,
	.dirty = VMX_EPT_DIRTY_BIT,
	.huge = BIT_ULL(7),
	.memtype = ept_memtype,
	.ignore_pat = VMX_EPT_IPAT_BIT,
	.levels = 4,
	.max_leaf = LHV_TDP_MAX_LEAF,
};
