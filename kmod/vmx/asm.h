/* SPDX-License-Identifier: GPL-2.0 */
/* lhv vmx/ - what switch.S has to know and <asm/vmx.h> can't tell it; checked in enter.c. */
#ifndef LHV_VMX_ASM_H
#define LHV_VMX_ASM_H

#define LHV_VMCS_HOST_RSP	0x6c14

#endif
