/* SPDX-License-Identifier: GPL-2.0 */
/* lhv host/ - a machine check that hit while the guest ran, handed to the host. */
#ifndef LHV_HOST_MCE_H
#define LHV_HOST_MCE_H

#include <asm/mce.h>
#include <asm/ptrace.h>
#include <asm/segment.h>

/**
 * lhv_host_machine_check() - let the host's handler have it
 *
 * As if it had interrupted user mode: the task can be killed, the kernel is unharmed.
 * Context: interrupts off, right after the exit.
 */
static inline void lhv_host_machine_check(void)
{
#ifdef CONFIG_X86_MCE
	struct pt_regs regs = {};

	regs.cs = __USER_CS;
	regs.flags = X86_EFLAGS_IF;
	do_machine_check(&regs);
#endif
}

#endif
