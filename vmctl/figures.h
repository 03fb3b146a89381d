/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a VM got of its pool over an interval, and how a person reads it.
 *
 * What it is for: vmctl sched and vmctl top compute and print the same. What enters: two looks at
 * counters, or one since the VM was created. It must not know where they come from.
 */
#ifndef VMCTL_FIGURES_H
#define VMCTL_FIGURES_H

#include "mgmt.h"

#define FIGURES_BAR	20
#define FIGURES_LINE	256

/**
 * struct figures - of an interval
 * @s: its counters count what was meanwhile, the rest is as it is now
 * @ns: how long it was
 * @utilisation: CPU time, in percent of one CPU
 * @throughput: bursts per second
 * @response: mean time from wake-up to entry, in ns; negative where none was
 * @turnaround: mean time from wake-up to the end of a burst, likewise
 */
struct figures {
	struct sched_info s;
	uint64_t ns;
	double utilisation, throughput, response, turnaround;
};

void figures_of(struct figures *f, const struct sched_info *now, const struct sched_info *old,
		uint64_t ns);
double figures_share(uint64_t run, uint64_t pool_run);
double figures_percent(uint64_t part, uint64_t ns);
double figures_per_second(uint64_t count, uint64_t ns);

const char *figures_time(double ns, char buf[16]);
const char *figures_bar(double percent, char buf[FIGURES_BAR + 1]);
/* Columns of a VM, between its ID and its name, and with @vm NULL their heads. */
void figures_settings(const struct vm_info *vm, const struct figures *f, double share,
		      char line[FIGURES_LINE]);
void figures_times(const struct vm_info *vm, const struct figures *f, char line[FIGURES_LINE]);

#endif
