/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lhv host/ - MSRs that the kernel itself never looks at (TSC_AUX, those of SYSCALL): the
 * guest's value may stay in the register until the host returns to user space.
 */
#ifndef LHV_HOST_USER_MSR_H
#define LHV_HOST_USER_MSR_H

#include <linux/percpu.h>
#include <linux/user-return-notifier.h>

enum lhv_user_msr {
	LHV_USER_MSR_TSC_AUX, LHV_USER_MSR_STAR, LHV_USER_MSR_LSTAR, LHV_USER_MSR_SFMASK,
	LHV_NR_USER_MSRS
};

int lhv_host_user_msr_setup(void);
void lhv_host_user_msr_teardown(void);	/* every CPU has its own values back on return */

/* Does this host have (and use) the register? */
bool lhv_host_user_msr_present(enum lhv_user_msr which);

/* This CPU's registers; user_msr.c's own. */
struct lhv_host_user_msrs {
	struct user_return_notifier notifier;
	bool armed;			/* the notifier is registered */
	struct {
		bool known;		/* @host was read; never where the register is absent */
		u64 host, now;
	} msr[LHV_NR_USER_MSRS];
};

DECLARE_PER_CPU(struct lhv_host_user_msrs, lhv_host_user_msrs);

void lhv_host_user_msr_write(enum lhv_user_msr which, u64 value);

/*
 * Put the guest's value into the register of this CPU. Preemption off. Writes only
 * what is not there yet.
 */
static __always_inline void lhv_host_user_msr_set(enum lhv_user_msr which, u64 value)
{
	if (!this_cpu_read(lhv_host_user_msrs.msr[which].known) ||
	    this_cpu_read(lhv_host_user_msrs.msr[which].now) != value)
		lhv_host_user_msr_write(which, value);
}

/* This CPU's own values back at once. On that CPU; interrupts may be off. */
void lhv_host_user_msr_restore(void);

#endif
