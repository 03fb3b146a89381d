// SPDX-License-Identifier: GPL-2.0
/*
 * lhv - latency histograms: how long the guest was away, by the exit's reason.
 *
 * They are kept by a probe on our own two tracepoints and by nothing else, so an exit
 * costs what it did before while nobody wants them: the tracepoints are there anyway,
 * as no-ops. The module's parameter "latency" switches them on.
 */
#include <linux/log2.h>
#include <linux/module.h>
#include <linux/sched/clock.h>
#include <linux/slab.h>

#include "lhv.h"
#include "trace.h"

struct lhv_latency {
	u64 left;		/* local_clock() of the last exit, 0: none yet */
	u8 reason;		/* of that exit */
	u32 count[LHV_NR_EXIT_REASONS][LHV_LATENCY_BUCKETS];
};

static DEFINE_MUTEX(latency_lock);
static bool wanted;		/* latency_lock */
static bool on;			/* latency_lock; probes are registered */
static bool loaded;		/* latency_lock */

static struct lhv_latency *histograms(struct lhv_vcpu *vcpu)
{
	/* Pairs with the cmpxchg() that publishes them, zeroed. */
	return smp_load_acquire(&vcpu->manage.latency);
}

/* Both run in the vCPU's own thread, in the atomic tier. */
static void probe_exit(void *unused, struct lhv_vcpu *vcpu)
{
	struct lhv_latency *lat = histograms(vcpu);

	if (!lat)
		return;
	lat->left = local_clock();
	lat->reason = vcpu->exit.reason;
}

static void probe_entry(void *unused, struct lhv_vcpu *vcpu)
{
	struct lhv_latency *lat = histograms(vcpu);
	u64 now = local_clock(), ns;
	u32 *count;

	if (!lat || !lat->left)
		return;
	/* Clocks of two CPUs may differ a little. */
	ns = now > lat->left ? now - lat->left : 1;
	count = &lat->count[lat->reason][min(ilog2(ns), LHV_LATENCY_BUCKETS - 1)];
	WRITE_ONCE(*count, *count + 1);
	lat->left = 0;
}

/**
 * lhv_latency_vcpu() - give a vCPU its histograms, if they are wanted
 * @vcpu: the vCPU; without memory for them it has none
 *
 * Context: process.
 */
void lhv_latency_vcpu(struct lhv_vcpu *vcpu)
{
	struct lhv_latency *lat;

	if (!READ_ONCE(on) || READ_ONCE(vcpu->manage.latency))
		return;
	lat = kzalloc(sizeof(*lat), GFP_KERNEL_ACCOUNT);
	if (lat && cmpxchg(&vcpu->manage.latency, NULL, lat))
		kfree(lat);
}

void lhv_latency_destroy(struct lhv_vcpu *vcpu)
{
	kfree(vcpu->manage.latency);
}

/**
 * lhv_latency_get() - add a vCPU's histogram of one reason
 * @vcpu: the vCPU
 * @reason: enum lhv_exit_reason
 * @sum: added to
 *
 * Context: any. Return: false when it has none.
 */
bool lhv_latency_get(struct lhv_vcpu *vcpu, unsigned int reason, u32 sum[LHV_LATENCY_BUCKETS])
{
	struct lhv_latency *lat = histograms(vcpu);
	int i;

	if (!lat)
		return false;
	for (i = 0; i < LHV_LATENCY_BUCKETS; i++)
		sum[i] += READ_ONCE(lat->count[reason][i]);
	return true;
}

bool lhv_latency_on(void)
{
	return READ_ONCE(on);
}

static void give_to_all(void)
{
	struct lhv_vcpu *vcpu;
	struct lhv_vm *vm;
	unsigned long id;
	int i;

	mutex_lock(&lhv_vms_lock);
	lhv_for_each_vm(id, vm) {
		lhv_for_each_vcpu(i, vcpu, vm)
			lhv_latency_vcpu(vcpu);
	}
	mutex_unlock(&lhv_vms_lock);
}

static int switch_on(void)
{
	int ret = register_trace_lhv_exit(probe_exit, NULL);

	if (ret)
		return ret;
	ret = register_trace_lhv_entry(probe_entry, NULL);
	if (ret) {
		unregister_trace_lhv_exit(probe_exit, NULL);
		return ret;
	}
	WRITE_ONCE(on, true);
	give_to_all();
	return 0;
}

static void switch_off(void)
{
	WRITE_ONCE(on, false);
	unregister_trace_lhv_entry(probe_entry, NULL);
	unregister_trace_lhv_exit(probe_exit, NULL);
	tracepoint_synchronize_unregister();
}

static int apply(void)
{
	int ret = 0;

	lockdep_assert_held(&latency_lock);
	if (!loaded || wanted == on)
		return 0;
	if (wanted)
		ret = switch_on();
	else
		switch_off();
	return ret;
}

static int set_latency(const char *text, const struct kernel_param *kp)
{
	int ret;

	mutex_lock(&latency_lock);
	ret = param_set_bool(text, kp);
	if (!ret)
		ret = apply();
	mutex_unlock(&latency_lock);
	return ret;
}

static const struct kernel_param_ops latency_ops = {
	.set = set_latency,
	.get = param_get_bool,
};
module_param_cb(latency, &latency_ops, &wanted, 0644);
MODULE_PARM_DESC(latency, "keep histograms of how long exits take (default N)");

int lhv_latency_init(void)
{
	int ret;

	mutex_lock(&latency_lock);
	loaded = true;
	ret = apply();
	mutex_unlock(&latency_lock);
	return ret;
}

void lhv_latency_exit(void)
{
	mutex_lock(&latency_lock);
	loaded = false;
	if (on)
		switch_off();
	mutex_unlock(&latency_lock);
}
