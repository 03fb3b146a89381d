/* SPDX-License-Identifier: GPL-2.0 */
/* lhv host/ - <asm/svm.h>, whose field names differ between kernels. */
#ifndef LHV_HOST_SVM_H
#define LHV_HOST_SVM_H

#include <linux/cpufeature.h>
#include <linux/thread_info.h>
#include <asm/svm.h>

#include "msr.h"

#ifdef LHV_HAVE_VMCB_MISC_CTL
static inline void lhv_host_vmcb_enable_npt(struct vmcb_control_area *control)
{
	control->misc_ctl |= SVM_MISC_ENABLE_NP;
}
#else
static inline void lhv_host_vmcb_enable_npt(struct vmcb_control_area *control)
{
	control->nested_ctl |= SVM_NESTED_CTL_NP_ENABLE;
}
#endif

/* 32 bits say it all; the upper half is only ever a sign extension. */
static inline u32 lhv_host_vmcb_exit_code(const struct vmcb_control_area *control)
{
	return (u32)control->exit_code;
}

/*
 * DEBUGCTL stays the host's while a guest runs: it would get #DBs for bus locks that the host wants
 * to know of, and step by branches where somebody steps the VMM so. Context: interrupts off from
 * suspend until after resume, which wants its result.
 */
static __always_inline u64 lhv_host_debugctl_suspend(void)
{
	u64 debugctl;

	if (!cpu_feature_enabled(X86_FEATURE_BUS_LOCK_DETECT) &&
	    likely(!test_thread_flag(TIF_BLOCKSTEP)))
		return 0;
	debugctl = lhv_host_rdmsr(MSR_IA32_DEBUGCTLMSR);
	if (debugctl)
		lhv_host_wrmsr(MSR_IA32_DEBUGCTLMSR, 0);
	return debugctl;
}

static __always_inline void lhv_host_debugctl_resume(u64 debugctl)
{
	if (unlikely(debugctl))
		lhv_host_wrmsr(MSR_IA32_DEBUGCTLMSR, debugctl);
}

#endif
