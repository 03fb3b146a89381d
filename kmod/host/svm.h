/* SPDX-License-Identifier: GPL-2.0 */
/* lhv host/ - <asm/svm.h>, whose field names differ between kernels. */
#ifndef LHV_HOST_SVM_H
#define LHV_HOST_SVM_H

#include <asm/svm.h>

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

#endif
