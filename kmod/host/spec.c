// SPDX-License-Identifier: GPL-2.0
/*
 * lhv host/ - what the speculation mitigations in spec.h need as an object.
 */
#include <asm/segment.h>

#include "host.h"

/* VERW clears CPU buffers only with a memory operand; a writable data segment is the fast case. */
const u16 lhv_host_verw_sel = __KERNEL_DS;
