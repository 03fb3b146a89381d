/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lhv host/ - the host's own hardware breakpoints, put aside while the guest's
 * are loaded.
 *
 * An exit leaves DR7 with all breakpoints off, DR0-3 as the guest had them and
 * DR6 as the guest left it. The kernel's restore helper is closed to us, so the
 * registers are read and written natively, and only when somebody uses them.
 */
#ifndef LHV_HOST_DR_H
#define LHV_HOST_DR_H

#include <asm/debugreg.h>

/**
 * struct lhv_host_dr - what enter put aside for leave
 * @dr: DR0-3, valid with @active and @swapped
 * @active: the host has breakpoints on this CPU
 * @swapped: DR0-3 hold the guest's
 */
struct lhv_host_dr {
	unsigned long dr[4];
	bool active, swapped;
};

/* Has the host breakpoints on this CPU? Context: interrupts off. */
static __always_inline bool lhv_host_dr_active(void)
{
	return hw_breakpoint_active();
}

void lhv_host_dr_swap_in(struct lhv_host_dr *host, const u64 *guest);
void lhv_host_dr_restore(struct lhv_host_dr *host);
void lhv_host_dr_read(u64 *guest);

/**
 * lhv_host_dr_enter() - right before the guest runs
 * @host: filled for leave
 * @guest: the guest's DR0-3 where it has breakpoints enabled, else NULL
 *
 * Context: interrupts off until after lhv_host_dr_leave().
 */
static __always_inline void lhv_host_dr_enter(struct lhv_host_dr *host, const u64 *guest)
{
	host->active = hw_breakpoint_active();
	host->swapped = guest;
	if (unlikely(guest))
		lhv_host_dr_swap_in(host, guest);
}

/**
 * lhv_host_dr_leave() - right after the guest ran
 * @host: as filled by enter
 */
static __always_inline void lhv_host_dr_leave(struct lhv_host_dr *host)
{
	if (unlikely(host->active))
		lhv_host_dr_restore(host);
}

/**
 * lhv_host_dr6_ran() - a guest ran on this CPU, whether it uses debug registers or not
 * @dr6: DR6 as the guest left it
 *
 * The host's #DB handler expects to see its own bits alone.
 */
static __always_inline void lhv_host_dr6_ran(u64 dr6)
{
	if (unlikely(dr6 != DR6_RESERVED))
		native_set_debugreg(6, DR6_RESERVED);
}

#endif
