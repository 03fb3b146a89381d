// SPDX-License-Identifier: GPL-2.0
/*
 * lhv host/ - what the host wants done before the guest runs: reschedule, task work.
 *
 * The kernel's helper is open to every module, but until it lost its argument it
 * notes a pending signal in KVM's own vCPU. There it is lent one that nobody
 * reads: one for all, because nothing but a counter and an exit reason is written.
 */
#include "host.h"

#ifdef LHV_HAVE_ENTRY_VIRT

int lhv_host_work_setup(void)
{
	return 0;
}

void lhv_host_work_teardown(void)
{
}

int lhv_host_handle_work(void)
{
	return xfer_to_guest_mode_handle_work();
}

#else

#include <linux/kvm_host.h>
#include <linux/mm.h>

static struct kvm_vcpu *lent;

/* Context: process. Return: 0 or -ENOMEM. */
int lhv_host_work_setup(void)
{
	lent = kvzalloc(sizeof(*lent), GFP_KERNEL);
	if (!lent)
		return -ENOMEM;
	lent->run = kvzalloc(sizeof(*lent->run), GFP_KERNEL);
	if (!lent->run) {
		kvfree(lent);
		return -ENOMEM;
	}
	return 0;
}

void lhv_host_work_teardown(void)
{
	kvfree(lent->run);
	kvfree(lent);
}

int lhv_host_handle_work(void)
{
	return xfer_to_guest_mode_handle_work(lent);
}

#endif
