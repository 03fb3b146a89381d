// SPDX-License-Identifier: GPL-2.0
/*
 * lhv host/ - suspend and resume. Newer kernels hand the callbacks a data pointer.
 */
#include <linux/syscore_ops.h>

#include "power.h"

static const struct lhv_host_power_ops *power_ops;

#ifdef LHV_HAVE_REGISTER_SYSCORE

static int suspend(void *unused)
{
	return power_ops->suspend();
}

static void resume(void *unused)
{
	power_ops->resume();
}

static const struct syscore_ops ops = { .suspend = suspend, .resume = resume };
static struct syscore syscore = { .ops = &ops };

void lhv_host_power_register(const struct lhv_host_power_ops *new_ops)
{
	power_ops = new_ops;
	register_syscore(&syscore);
}

void lhv_host_power_unregister(void)
{
	unregister_syscore(&syscore);
}

#else

static int suspend(void)
{
	return power_ops->suspend();
}

static void resume(void)
{
	power_ops->resume();
}

static struct syscore_ops ops = { .suspend = suspend, .resume = resume };

void lhv_host_power_register(const struct lhv_host_power_ops *new_ops)
{
	power_ops = new_ops;
	register_syscore_ops(&ops);
}

void lhv_host_power_unregister(void)
{
	unregister_syscore_ops(&ops);
}

#endif
