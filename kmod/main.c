// SPDX-License-Identifier: GPL-2.0
/*
 * lhv - module init and exit, the choice of the backend, and what happens to the
 * hardware when CPUs come and go, the machine sleeps, reboots or kexecs.
 *
 * The order of loading is the order of the ladder in lhv_init(). Unloading walks it down, but
 * netlink, the last to come, goes behind what it can ask for. The module can't be unloaded while
 * an fd is open: the fds hold it.
 */
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/cpumask.h>
#include <linux/module.h>
#include <linux/reboot.h>
#include <linux/smp.h>

#include "chardev.h"
#include "debugfs.h"
#include "manage/event.h"
#include "lhv.h"
#include "passthrough/passthrough.h"
#include "host/power.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

const struct lhv_backend *lhv_backend;

DEFINE_STATIC_CALL_NULL(lhv_load, *lhv_backend->load);
DEFINE_STATIC_CALL_NULL(lhv_put, *lhv_backend->put);
DEFINE_STATIC_CALL_NULL(lhv_enter, *lhv_backend->enter);
DEFINE_STATIC_CALL_NULL(lhv_handle_exit, *lhv_backend->handle_exit);
DEFINE_STATIC_CALL_NULL(lhv_get_code, *lhv_backend->get_code);
DEFINE_STATIC_CALL_NULL(lhv_get_cpl, *lhv_backend->get_cpl);
DEFINE_STATIC_CALL_NULL(lhv_get_cr3, *lhv_backend->get_cr3);

/* What is called while there is none: nothing. */
static const struct lhv_backend no_backend;

void lhv_backend_use(const struct lhv_backend *backend)
{
	const struct lhv_backend *b = backend ?: &no_backend;

	lhv_backend = backend;
	static_call_update(lhv_load, b->load);
	static_call_update(lhv_put, b->put);
	static_call_update(lhv_enter, b->enter);
	static_call_update(lhv_handle_exit, b->handle_exit);
	static_call_update(lhv_get_code, b->get_code);
	static_call_update(lhv_get_cpl, b->get_cpl);
	static_call_update(lhv_get_cr3, b->get_cr3);
}

static const struct lhv_backend * const backends[] = {
	&lhv_vmx_backend,
	&lhv_svm_backend,
};

/* ---- is the hardware free? ---- */

struct findings {
	const struct lhv_survey *survey;
	cpumask_var_t off, owned;
};

static void survey_cpu(void *arg)
{
	struct findings *f = arg;

	if (f->survey->switched_off())
		cpumask_set_cpu(smp_processor_id(), f->off);
	else if (f->survey->foreign_owner())
		cpumask_set_cpu(smp_processor_id(), f->owned);
}

int lhv_survey_cpus(const struct lhv_survey *survey)
{
	struct findings f = { .survey = survey };
	int ret = -ENOMEM;

	if (!zalloc_cpumask_var(&f.off, GFP_KERNEL))
		return ret;
	if (!zalloc_cpumask_var(&f.owned, GFP_KERNEL))
		goto out_off;

	on_each_cpu(survey_cpu, &f, 1);

	ret = 0;
	if (!cpumask_empty(f.off)) {
		pr_err("lhv: %s is switched off by the firmware (CPUs %*pbl): switch it on in its setup\n",
		       survey->name, cpumask_pr_args(f.off));
		ret = -EOPNOTSUPP;
	} else if (!cpumask_empty(f.owned)) {
		pr_err("lhv: %s is in use by another hypervisor (%s?) on CPUs %*pbl: stop its guests and unload it (modprobe -r %s)\n",
		       survey->name, survey->owner, cpumask_pr_args(f.owned), survey->owner);
		ret = -EBUSY;
	}

	free_cpumask_var(f.owned);
out_off:
	free_cpumask_var(f.off);
	return ret;
}

/* ---- which CPUs are ours ---- */

/*
 * Set on a CPU between cpu_up and cpu_down. The run loop looks at it with preemption off;
 * hotplug clears it from a thread on that very CPU, so no vCPU is in the guest there then.
 */
static DEFINE_PER_CPU(bool, cpu_on);
static bool all_off;	/* the machine goes down: no vCPU enters any more */
static int hotplug_state;

bool lhv_cpu_usable(void)
{
	return this_cpu_read(cpu_on) && !READ_ONCE(all_off);
}

/*
 * While lhv is being loaded every CPU has to be free, and like the others. One that comes later and
 * is not is no reason to keep it from the host: no guest runs there.
 */
static int cpu_up_here(unsigned int cpu)
{
	unsigned long flags;
	int ret;

	local_irq_save(flags);
	ret = lhv_backend->cpu_up();
	if (!ret)
		this_cpu_write(cpu_on, true);
	local_irq_restore(flags);
	if (!ret)
		lhv_pools_cpu(cpu, true);
	if (ret)
		pr_err("lhv: CPU %u: %s is not to be had (error %d): no guest of lhv runs there\n",
		       cpu, lhv_backend->name, ret);
	return hotplug_state ? 0 : ret;
}

static int cpu_down_here(unsigned int cpu)
{
	unsigned long flags;

	lhv_pools_cpu(cpu, false);
	local_irq_save(flags);
	if (this_cpu_read(cpu_on)) {
		this_cpu_write(cpu_on, false);
		lhv_backend->cpu_down();
	}
	local_irq_restore(flags);
	return 0;
}

static void cpu_down_ipi(void *unused)
{
	cpu_down_here(smp_processor_id());
}

/* Suspend: all other CPUs are unplugged by now, tasks are frozen, interrupts off. */
static int suspend(void)
{
	lhv_clock_suspend();
	cpu_down_here(smp_processor_id());
	return 0;
}

static void resume(void)
{
	cpu_up_here(smp_processor_id());
	lhv_clock_resume();
}

/*
 * Reboot, poweroff, kexec: get every vCPU out of the guest for good, then switch
 * virtualization off, for the next kernel finds the CPUs as we leave them.
 */
static int reboot(struct notifier_block *nb, unsigned long event, void *unused)
{
	struct lhv_vm *vm;
	unsigned long id;

	WRITE_ONCE(all_off, true);
	mutex_lock(&lhv_vms_lock);
	lhv_for_each_vm(id, vm)
		lhv_request_all(vm, LHV_REQ_UNBLOCK, true);
	mutex_unlock(&lhv_vms_lock);
	on_each_cpu(cpu_down_ipi, NULL, 1);
	return NOTIFY_OK;
}

static struct notifier_block reboot_notifier = { .notifier_call = reboot };

static const struct lhv_host_power_ops power_ops = { .suspend = suspend, .resume = resume };

/* ---- what the module tells about itself, under /sys/module/lhv/parameters ---- */

static int get_backend(char *buf, const struct kernel_param *kp)
{
	return sysfs_emit(buf, "%s\n", lhv_backend ? lhv_backend->name : "none");
}

static int get_features(char *buf, const struct kernel_param *kp)
{
	return lhv_backend ? lhv_backend->describe(buf, PAGE_SIZE) : 0;
}

static const struct kernel_param_ops backend_ops = { .get = get_backend };
static const struct kernel_param_ops features_ops = { .get = get_features };
module_param_cb(backend, &backend_ops, NULL, 0444);
MODULE_PARM_DESC(backend, "read-only: hardware interface in use (svm, vmx)");
module_param_cb(features, &features_ops, NULL, 0444);
MODULE_PARM_DESC(features, "read-only: hardware features, found and missing");

/* ---- load and unload ---- */

/*
 * The first backend whose hardware is there decides. What the others said (-ENODEV) is
 * not interesting then.
 */
static int choose_backend(void)
{
	int i, ret = -ENODEV;

	for (i = 0; i < ARRAY_SIZE(backends); i++) {
		ret = backends[i]->probe();
		if (ret == -ENODEV)
			continue;
		if (!ret)
			lhv_backend_use(backends[i]);
		return ret;
	}
	pr_err("lhv: this CPU has neither VT-x nor AMD-V; nothing to drive\n");
	return ret;
}

static int __init lhv_init(void)
{
	int ret;

	ret = choose_backend();
	if (ret)
		return ret;
	ret = lhv_host_fpu_setup();
	if (ret)
		return ret;
	ret = lhv_host_work_setup();
	if (ret)
		goto err_fpu;
	ret = lhv_irq_module_init();
	if (ret)
		goto err_work;
	ret = lhv_pools_init();
	if (ret)
		goto err_irq;
	ret = lhv_backend->setup();
	if (ret)
		goto err_pools;
	lhv_cpuid_setup();

	hotplug_state = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "virt/lhv:online",
					  cpu_up_here, cpu_down_here);
	ret = hotplug_state;
	if (ret < 0)
		goto err_backend;
	lhv_host_power_register(&power_ops);
	lhv_host_crash_register(lhv_backend->cpu_crash, lhv_backend->survey->owner);
	register_reboot_notifier(&reboot_notifier);
	lhv_control_init();
	ret = lhv_latency_init();
	if (ret)
		goto err_power;
	ret = lhv_passthrough_init();
	if (ret)
		goto err_latency;
	ret = lhv_passthrough_register();
	if (ret)
		goto err_passthrough;
	ret = lhv_chardev_init();
	if (ret)
		goto err_driver;
	/* A module that fails to load is freed whoever holds it, as a dump that goes on does. */
	ret = lhv_netlink_init();
	if (ret)
		goto err_chardev;
	lhv_chardev_open();
	lhv_debugfs_init();
	pr_info("lhv: ready, backend %s\n", lhv_backend->name);
	return 0;

err_chardev:
	lhv_chardev_exit();
err_driver:
	lhv_passthrough_unregister();
err_passthrough:
	lhv_passthrough_exit();
err_latency:
	lhv_latency_exit();
err_power:
	lhv_control_exit();
	unregister_reboot_notifier(&reboot_notifier);
	lhv_host_crash_unregister();
	lhv_host_power_unregister();
	cpuhp_remove_state(hotplug_state);
err_backend:
	lhv_backend->teardown();
err_pools:
	lhv_pools_exit();
err_irq:
	lhv_irq_module_exit();
err_work:
	lhv_host_work_teardown();
err_fpu:
	lhv_host_fpu_teardown();
	return ret;
}

static void __exit lhv_exit(void)
{
	lhv_debugfs_exit();
	lhv_chardev_exit();
	lhv_passthrough_unregister();
	/* A request may hold the last reference to a VM: none is under way any more. */
	lhv_netlink_exit();
	lhv_passthrough_exit();
	lhv_latency_exit();
	lhv_control_exit();
	unregister_reboot_notifier(&reboot_notifier);
	lhv_host_crash_unregister();
	lhv_host_power_unregister();
	cpuhp_remove_state(hotplug_state);
	lhv_backend->teardown();
	lhv_pools_exit();
	lhv_irq_module_exit();
	lhv_msr_filter_exit();
	lhv_host_work_teardown();
	lhv_host_fpu_teardown();
}

module_init(lhv_init);
module_exit(lhv_exit);

MODULE_DESCRIPTION("lhv, the Loadable HyperVisor");
MODULE_LICENSE("GPL");
