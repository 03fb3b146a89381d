// SPDX-License-Identifier: GPL-2.0
/*
 * lhv host/ - the machine dies: virtualization off on the way to the crash kernel.
 *
 * Some kernels do that by themselves, whoever switched it on: they look at the hardware.
 * Others call back whoever asked for it (later 6.1: for VT-x alone, and see to AMD-V themselves),
 * but have room for one alone, who is KVM as a rule, and complain when a second comes. So the
 * place is taken only while KVM's module for the CPU is not loaded.
 */
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <asm/reboot.h>

#include "power.h"

#ifdef LHV_HAVE_EMERGENCY_CALLBACK

static DEFINE_MUTEX(lock);
static bool taken;	/* @lock */
static bool kvm;	/* @lock: KVM has the place, or is about to take it */
static const char *rival;	/* KVM's module for the CPU */
static void (*on_crash)(void);

static void callback(void)
{
	on_crash();
}

/* Take the place, or give it up. */
static void settle(bool want)
{
	lockdep_assert_held(&lock);
	if (want && !taken)
		cpu_emergency_register_virt_callback(callback);
	else if (!want && taken)
		cpu_emergency_unregister_virt_callback(callback);
	taken = want;
}

/*
 * It is KVM's module for the CPU that takes the place; kvm.ko alone is what stays when that one finds
 * the CPUs in use. Its init runs behind COMING, its exit (or the undoing of a failed init) before GOING.
 * With kvm.ko gone it is not there either.
 */
static int module_changed(struct notifier_block *nb, unsigned long state, void *data)
{
	bool coming = state == MODULE_STATE_COMING, going = state == MODULE_STATE_GOING;
	const char *name = ((const struct module *)data)->name;

	if (!(coming && !strcmp(name, rival)) &&
	    !(going && (!strcmp(name, rival) || !strcmp(name, "kvm"))))
		return NOTIFY_DONE;
	guard(mutex)(&lock);
	kvm = coming;
	settle(!kvm);
	return NOTIFY_DONE;
}

static struct notifier_block module_nb = { .notifier_call = module_changed };

/* Which of its modules can't be asked: be on the safe side. */
static bool kvm_is_loaded(void)
{
	bool found = __symbol_get("kvm_get_kvm");

	if (found)
		__symbol_put("kvm_get_kvm");
	return found;
}

void lhv_host_crash_register(void (*fn)(void), const char *kvm_module)
{
	on_crash = fn;
	rival = kvm_module;
	register_module_notifier(&module_nb);
	guard(mutex)(&lock);
	if (kvm_is_loaded())
		kvm = true;
	settle(!kvm);
}

void lhv_host_crash_unregister(void)
{
	unregister_module_notifier(&module_nb);
	guard(mutex)(&lock);
	settle(false);
}

#else

void lhv_host_crash_register(void (*fn)(void), const char *kvm_module)
{
}

void lhv_host_crash_unregister(void)
{
}

#endif
