// SPDX-License-Identifier: GPL-2.0
/*
 * lhv host/ - the host's own hardware breakpoints.
 */
#include <linux/percpu.h>

#include "host.h"

/* Out of line: a guest with breakpoints enabled is rare. */
void lhv_host_dr_swap_in(struct lhv_host_dr *host, const u64 *guest)
{
	int i;

	if (host->active) {
		/* Before DR0-3 change: the host's DR7 must not match the guest's addresses. */
		native_set_debugreg(7, 0);
		for (i = 0; i < 4; i++)
			host->dr[i] = native_get_debugreg(i);
		barrier();	/* the reads are plain asm: keep them before the writes */
	}
	for (i = 0; i < 4; i++)
		native_set_debugreg(i, guest[i]);
}

/* The guest's DR0-3 as it left them; before leave. */
void lhv_host_dr_read(u64 *guest)
{
	int i;

	for (i = 0; i < 4; i++)
		guest[i] = native_get_debugreg(i);
	barrier();	/* the reads are plain asm: keep them before the host's come back */
}

/* Out of line: a host with breakpoints enabled is rare. */
void lhv_host_dr_restore(struct lhv_host_dr *host)
{
	int i;

	if (host->swapped) {
		for (i = 0; i < 4; i++)
			native_set_debugreg(i, host->dr[i]);
	}
	native_set_debugreg(7, this_cpu_read(cpu_dr7));
}
