/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lhv host/ - what VT-x wants from the host kernel: CR4.VMXE, the segment state that a VM
 * exit does not bring back, NMIs.
 */
#ifndef LHV_HOST_VMX_H
#define LHV_HOST_VMX_H

#include <linux/cpufeature.h>
#include <asm/desc_defs.h>
#include <asm/special_insns.h>
#include <asm/vmx.h>

/* Not in the headers of 6.1 and 6.12. SDM Vol 3D "Basic Exit Reasons". */
#ifndef EXIT_REASON_SEAMCALL
#define EXIT_REASON_SEAMCALL	76
#define EXIT_REASON_TDCALL	77
#endif

/**
 * lhv_host_vmx_resident() - may a CPU stay in VMX operation while interrupts are on?
 *
 * The kernel keeps a shadow of CR4 and writes CR4 from it whenever interrupts are on. Where
 * its helpers are open, VMXE goes into the shadow. Where they are not, VMXE is set in the
 * register alone, so VMX operation has to end before interrupts are on again.
 */
static __always_inline bool lhv_host_vmx_resident(void)
{
#ifdef LHV_HAVE_CR4_HELPERS
	return true;
#else
	return false;
#endif
}

/* Context: interrupts off. */
static __always_inline bool lhv_host_vmxe(void)
{
	return native_read_cr4() & X86_CR4_VMXE;
}

/**
 * lhv_host_set_vmxe() - allow or forbid VMXON on this CPU
 * @on: allow
 *
 * Context: interrupts off; lhv_host_vmx_resident().
 */
#ifdef LHV_HAVE_CR4_HELPERS
void lhv_host_set_vmxe(bool on);
#else
static inline void lhv_host_set_vmxe(bool on)
{
}
#endif

static __always_inline void lhv_host_write_cr4(unsigned long cr4)
{
	asm volatile("mov %0, %%cr4" : : "r" (cr4) : "memory");
}

/**
 * lhv_host_vmxe_begin() - allow VMXON on this CPU for a moment
 * @cr4: CR4 as it was, for lhv_host_vmxe_end()
 *
 * Context: interrupts off until it is undone. Return: false: somebody else allowed it already.
 */
static __always_inline bool lhv_host_vmxe_begin(unsigned long *cr4)
{
	*cr4 = native_read_cr4();
	if (*cr4 & X86_CR4_VMXE)
		return false;
	lhv_host_write_cr4(*cr4 | X86_CR4_VMXE);
	return true;
}

static __always_inline void lhv_host_vmxe_end(unsigned long cr4)
{
	lhv_host_write_cr4(cr4);
}

/**
 * struct lhv_host_segs - segment state of the host that a VM exit spoils
 * @ds, @es, @fs, @gs: selectors of the VMM's thread, live in kernel mode too
 * @ldt: LDTR, 0 after an exit
 * @fs_base: the thread's; an exit loads it
 * @user_gs_base: KERNEL_GS_BASE, which holds the thread's GS base in kernel mode
 * @gdt: GDTR; after an exit the limit is 64 KiB
 */
struct lhv_host_segs {
	u16 ds, es, fs, gs, ldt;
	u64 fs_base, user_gs_base;
	struct desc_ptr gdt;
};

/* Preemption is off from save until after restore. Restore only when a guest ran in between. */
void lhv_host_segs_save(struct lhv_host_segs *segs);
void lhv_host_segs_restore(const struct lhv_host_segs *segs);

static __always_inline u16 lhv_host_ldt(void)
{
	u16 ldt;

	asm volatile("sldt %0" : "=rm" (ldt));
	return ldt;
}

/**
 * struct lhv_host_cpu_state - what a VM exit loads and is a CPU's own, or constant
 */
struct lhv_host_cpu_state {
	u64 cr0, efer, pat;
	u64 gs_base, tr_base, gdt_base, idt_base;
	u64 sysenter_cs, sysenter_esp, sysenter_eip;
};

/* Of this CPU; preemption off. */
void lhv_host_cpu_state(struct lhv_host_cpu_state *state);

/**
 * lhv_host_nmi() - let the host's handler have the NMI that ended the guest's time
 *
 * NMIs are blocked since that exit; the handler's IRET ends it. Context: interrupts off, right
 * after the exit.
 */
static __always_inline void lhv_host_nmi(void)
{
	asm volatile("int $2" : : : "memory");
}

/**
 * lhv_host_interrupt() - let the host's handler have the interrupt that the exit acknowledged
 * @vector: the vector
 *
 * Context: interrupts off, right after the exit; on for a while.
 */
void lhv_host_interrupt(u8 vector);

/*
 * A vector that a CPU in a guest takes for news of posted interrupts, and of which the host thinks
 * nothing: the one that it keeps for KVM.
 */
bool lhv_host_can_notify(void);
u8 lhv_host_notify_vector(void);
/* Context: any but NMI. */
void lhv_host_notify_cpu(int cpu);

/* With FRED, INT is no way into the NMI handler, and the entry points are closed to us. */
static inline bool lhv_host_nmi_deliverable(void)
{
#ifdef X86_FEATURE_FRED
	return !cpu_feature_enabled(X86_FEATURE_FRED);
#else
	return true;
#endif
}

/* Counters of the host that write records of their own accord, a bit for each. Context: interrupts off. */
static __always_inline u64 lhv_host_pebs(void)
{
	return cpu_feature_enabled(X86_FEATURE_PEBS) ? lhv_host_rdmsr(MSR_IA32_PEBS_ENABLE) : 0;
}

static inline bool lhv_host_pebs_baseline(void)
{
	return boot_cpu_has(X86_FEATURE_PDCM) &&
	       lhv_host_rdmsr(MSR_IA32_PERF_CAPABILITIES) & PERF_CAP_PEBS_BASELINE;
}

/* DEBUGCTL is 0 after an exit. Context: interrupts off around both. */
static __always_inline u64 lhv_host_debugctl(void)
{
	return lhv_host_rdmsr(MSR_IA32_DEBUGCTLMSR);
}

static __always_inline void lhv_host_restore_debugctl(u64 value)
{
	if (unlikely(value))
		lhv_host_wrmsr(MSR_IA32_DEBUGCTLMSR, value);
}

#endif
