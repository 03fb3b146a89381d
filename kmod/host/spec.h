/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lhv host/ - speculation mitigations around guest entry, as the host's
 * configuration asks.
 *
 * The host decides at boot and says so in its CPU feature bits; here they are
 * only obeyed. The assembly half is spec_asm.S.
 */
#ifndef LHV_HOST_SPEC_H
#define LHV_HOST_SPEC_H

#include <linux/cpu.h>
#include <linux/percpu.h>
#include <linux/cpufeature.h>
#include <asm/hardirq.h>
#include <asm/nospec-branch.h>

#include "msr.h"

extern const u16 lhv_host_verw_sel;

/**
 * lhv_host_spec_ctrl() - the value SPEC_CTRL has to have in the host
 *
 * 0 where the CPU has no such MSR. Context: preemption off.
 */
static __always_inline u64 lhv_host_spec_ctrl(void)
{
	return cpu_feature_enabled(X86_FEATURE_MSR_SPEC_CTRL) ?
	       this_cpu_read(x86_spec_ctrl_current) : 0;
}

/**
 * lhv_host_ibpb_on_switch() - another vCPU than the last one is about to run on this CPU
 *
 * Flushes the indirect branch predictor, unless the host does so at every exit anyway.
 * Context: preemption off.
 */
static inline void lhv_host_ibpb_on_switch(void)
{
#ifdef X86_FEATURE_IBPB_ON_VMEXIT
	if (cpu_feature_enabled(X86_FEATURE_IBPB_ON_VMEXIT))
		return;
#endif
#ifdef X86_FEATURE_USE_IBPB
	if (cpu_feature_enabled(X86_FEATURE_USE_IBPB))
#else
	/* The switch that replaced the feature bit is closed to us: do it where it can matter. */
	if (cpu_feature_enabled(X86_FEATURE_IBPB) && boot_cpu_has_bug(X86_BUG_SPECTRE_V2) &&
	    !cpu_mitigations_off())
#endif
		lhv_host_wrmsr(MSR_IA32_PRED_CMD, PRED_CMD_IBPB);
}

/**
 * lhv_host_reduce_speculation() - guests run on this CPU from now on, or no longer
 * @on: they do
 *
 * Where the host's answer to SRSO is that its hypervisor keeps this bit set (Zen 5), nothing
 * else guards the host's returns. Context: on that CPU, preemption off.
 */
static inline void lhv_host_reduce_speculation(bool on)
{
#ifdef X86_FEATURE_SRSO_BP_SPEC_REDUCE
	u64 bit = BIT_ULL(MSR_ZEN4_BP_CFG_BP_SPEC_REDUCE_BIT), value;

	if (!cpu_feature_enabled(X86_FEATURE_SRSO_BP_SPEC_REDUCE))
		return;
	value = lhv_host_rdmsr(MSR_ZEN4_BP_CFG);
	lhv_host_wrmsr(MSR_ZEN4_BP_CFG, on ? value | bit : value & ~bit);
#endif
}

/**
 * lhv_host_guest_ran() - a guest ran on this CPU in this task
 *
 * Where the host asks for it, the predictors are flushed on the way to the VMM (VMSCAPE).
 * Context: preemption off.
 */
static __always_inline void lhv_host_guest_ran(void)
{
#ifdef X86_FEATURE_IBPB_EXIT_TO_USER
	if (cpu_feature_enabled(X86_FEATURE_IBPB_EXIT_TO_USER))
		this_cpu_write(x86_ibpb_exit_to_user, true);
#endif
}

/**
 * lhv_host_clear_divider() - right before the guest runs: leave no quotient in the divider
 *
 * On Zen 1 a division by zero goes on with the last one for a moment (CVE-2023-20588).
 */
static __always_inline void lhv_host_clear_divider(void)
{
	if (static_cpu_has_bug(X86_BUG_DIV0))
		amd_clear_divider();
}

/*
 * Older kernels have a switch of its own for what is asked for only because a guest may own a
 * device (MMIO Stale Data). As where it is a feature bit, it is done for every guest. VT-x only.
 */
static __always_inline void lhv_host_clear_mmio_buffers(void)
{
#ifdef LHV_HAVE_MMIO_STALE_DATA
	if (static_branch_unlikely(&mmio_stale_data_clear))
		asm volatile("verw %0" : : "m" (lhv_host_verw_sel) : "cc", "memory");
#endif
}

/* ---- L1 terminal fault: VT-x only ---- */

/* Context: process, may sleep. 0 or -ENOMEM. */
int lhv_host_l1d_setup(void);
void lhv_host_l1d_teardown(void);
const char *lhv_host_l1d_state(void);
void lhv_host_l1d_flush_now(void);
extern u8 lhv_host_l1d;		/* enum lhv_host_l1d_mode */

enum lhv_host_l1d_mode {
	LHV_L1D_LEAVE,		/* not affected, or the host says never */
	LHV_L1D_COND,		/* when something of others may be there */
	LHV_L1D_ALWAYS,
};

/**
 * lhv_host_l1d_flush() - right before the guest runs: leave no secrets in the L1 data cache
 * @touched: more than the vCPU's own state was worked on since the last entry
 *
 * Interrupts count too; the kernel notes them. Context: interrupts off.
 */
static __always_inline void lhv_host_l1d_flush(bool touched)
{
	if (likely(lhv_host_l1d == LHV_L1D_LEAVE))
		return;
#if IS_ENABLED(CONFIG_KVM_INTEL)
	touched |= kvm_get_cpu_l1tf_flush_l1d();
	kvm_clear_cpu_l1tf_flush_l1d();
	if (lhv_host_l1d == LHV_L1D_COND && !touched)
		return;
#endif
	lhv_host_l1d_flush_now();
}

/**
 * lhv_host_no_huge_exec() - may a guest not run code from large pages?
 *
 * On these CPUs a guest that changes the size of a page under running code stops the machine
 * (iTLB multihit).
 */
static inline bool lhv_host_no_huge_exec(void)
{
	return boot_cpu_has_bug(X86_BUG_ITLB_MULTIHIT) && !cpu_mitigations_off();
}

#endif
