/* SPDX-License-Identifier: GPL-2.0 */
/* lhv host/ - suspend and resume of the boot CPU, after and before all others; the end. */
#ifndef LHV_HOST_POWER_H
#define LHV_HOST_POWER_H

/**
 * struct lhv_host_power_ops - called on the boot CPU, interrupts off, tasks frozen
 * @suspend: right before the machine sleeps; 0 or -errno to stay awake
 * @resume: right after it woke up
 */
struct lhv_host_power_ops {
	int (*suspend)(void);
	void (*resume)(void);
};

/* One user, the module itself. */
void lhv_host_power_register(const struct lhv_host_power_ops *ops);
void lhv_host_power_unregister(void);

/**
 * lhv_host_crash_register() - be called when the machine dies, where the host needs it
 * @fn: called on each CPU in turn, the others' last act; in NMI context or with interrupts off
 * @kvm_module: who wants to be called, too
 *
 * Hosts that clean up the hardware by themselves never call. One user.
 */
void lhv_host_crash_register(void (*fn)(void), const char *kvm_module);
void lhv_host_crash_unregister(void);

#endif
