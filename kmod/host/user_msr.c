// SPDX-License-Identifier: GPL-2.0
/*
 * lhv host/ - MSRs that only user space uses.
 */
#include <linux/percpu.h>
#include <linux/smp.h>
#include <linux/user-return-notifier.h>
#include <linux/cpufeature.h>
#include <asm/msr-index.h>

#include "host.h"

/* This CPU only; interrupts off, because teardown restores by an interrupt. */
DEFINE_PER_CPU(struct lhv_host_user_msrs, lhv_host_user_msrs);

static const u32 msr_index[LHV_NR_USER_MSRS] = {
	[LHV_USER_MSR_TSC_AUX] = MSR_TSC_AUX,
	[LHV_USER_MSR_STAR] = MSR_STAR,
	[LHV_USER_MSR_LSTAR] = MSR_LSTAR,
	[LHV_USER_MSR_SFMASK] = MSR_SYSCALL_MASK,
};

static bool present[LHV_NR_USER_MSRS] __read_mostly;

static void restore_this_cpu(struct lhv_host_user_msrs *this)
{
	int i;

	if (!this->armed)
		return;
	user_return_notifier_unregister(&this->notifier);
	this->armed = false;
	for (i = 0; i < LHV_NR_USER_MSRS; i++) {
		if (this->msr[i].known && this->msr[i].now != this->msr[i].host) {
			lhv_host_wrmsr(msr_index[i], this->msr[i].host);
			this->msr[i].now = this->msr[i].host;
		}
	}
}

static void on_user_return(struct user_return_notifier *notifier)
{
	unsigned long flags;

	local_irq_save(flags);
	restore_this_cpu(container_of(notifier, struct lhv_host_user_msrs, notifier));
	local_irq_restore(flags);
}

/* See user_msr.h. */
void lhv_host_user_msr_restore(void)
{
	unsigned long flags;

	local_irq_save(flags);
	restore_this_cpu(this_cpu_ptr(&lhv_host_user_msrs));
	local_irq_restore(flags);
}

/* See user_msr.h. */
bool lhv_host_user_msr_present(enum lhv_user_msr which)
{
	return present[which];
}

/* See user_msr.h. */
void lhv_host_user_msr_write(enum lhv_user_msr which, u64 value)
{
	struct lhv_host_user_msrs *this = this_cpu_ptr(&lhv_host_user_msrs);
	unsigned long flags;

	if (!present[which])
		return;

	local_irq_save(flags);
	if (!this->msr[which].known) {
		this->msr[which].host = lhv_host_rdmsr(msr_index[which]);
		this->msr[which].now = this->msr[which].host;
		this->msr[which].known = true;
	}
	if (this->msr[which].now != value) {
		lhv_host_wrmsr(msr_index[which], value);
		this->msr[which].now = value;
	}
	if (!this->armed) {
		this->notifier.on_user_return = on_user_return;
		user_return_notifier_register(&this->notifier);
		this->armed = true;
	}
	local_irq_restore(flags);
}

/**
 * lhv_host_user_msr_setup() - look which of the registers this host has
 *
 * Return: 0.
 */
int lhv_host_user_msr_setup(void)
{
	present[LHV_USER_MSR_TSC_AUX] = boot_cpu_has(X86_FEATURE_RDTSCP) ||
					boot_cpu_has(X86_FEATURE_RDPID);
	/* Every 64-bit kernel. */
	present[LHV_USER_MSR_STAR] = true;
	present[LHV_USER_MSR_LSTAR] = true;
	present[LHV_USER_MSR_SFMASK] = true;
	return 0;
}

static void restore_ipi(void *unused)
{
	lhv_host_user_msr_restore();
}

/* See user_msr.h. No guest runs any more. */
void lhv_host_user_msr_teardown(void)
{
	on_each_cpu(restore_ipi, NULL, 1);
}
