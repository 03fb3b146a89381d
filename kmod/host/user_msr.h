/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lhv host/ - MSRs that the kernel itself never looks at (TSC_AUX): the guest's
 * value may stay in the register until the host returns to user space.
 */
#ifndef LHV_HOST_USER_MSR_H
#define LHV_HOST_USER_MSR_H

enum lhv_user_msr { LHV_USER_MSR_TSC_AUX, LHV_NR_USER_MSRS };

int lhv_host_user_msr_setup(void);
void lhv_host_user_msr_teardown(void);	/* every CPU has its own values back on return */

/* Does this host have (and use) the register? */
bool lhv_host_user_msr_present(enum lhv_user_msr which);

/*
 * Put the guest's value into the register of this CPU. Preemption off. Writes only
 * what is not there yet.
 */
void lhv_host_user_msr_set(enum lhv_user_msr which, u64 value);

/* This CPU's own values back at once. On that CPU; interrupts may be off. */
void lhv_host_user_msr_restore(void);

#endif
