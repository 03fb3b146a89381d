/* SPDX-License-Identifier: GPL-2.0 */
/* lhv cpu/ - what only the files of this room share with each other and with their tests. */
#ifndef LHV_CPU_PRIV_H
#define LHV_CPU_PRIV_H

#include "lhv.h"

/* cpuid.c */
void lhv_cpuid_create(struct lhv_vcpu *vcpu);
void lhv_cpuid_destroy(struct lhv_vcpu *vcpu);
bool lhv_cpuid_offered(unsigned int x86_feature);
u32 lhv_xstate_size(u64 mask, bool compacted);
/* Where component @nr lies in the standard format; false when it isn't offered. */
bool lhv_xstate_component(unsigned int nr, u32 *offset, u32 *size);

/* msr.c */
void lhv_msr_setup(void);
void lhv_msr_reset(struct lhv_vcpu *vcpu);	/* power-on */
/* Is @is true of an MSR that is known here? */
bool lhv_msr_any(bool (*is)(void *arg, u32 index), void *arg);

/* msr_filter.c */
enum lhv_next lhv_msr_refused(struct lhv_vcpu *vcpu, unsigned int len, bool write, int err);

/* insn.c: the operand of RDMSR, WRMSR and XSETBV */
static inline u64 lhv_edx_eax(const struct lhv_vcpu *vcpu)
{
	return (u32)vcpu->regs[LHV_RAX] | vcpu->regs[LHV_RDX] << 32;
}

static inline void lhv_set_edx_eax(struct lhv_vcpu *vcpu, u64 val)
{
	vcpu->regs[LHV_RAX] = lower_32_bits(val);
	vcpu->regs[LHV_RDX] = upper_32_bits(val);
}

/* cr.c: the checks alone; true when the combination is allowed */
bool lhv_cr0_valid(u64 cr0);
bool lhv_sregs_valid(const struct lhv_cpu *cpu, const struct kvm_sregs *sregs);
bool lhv_efer_valid(const struct lhv_cpu *cpu, u64 efer, bool host);
bool lhv_xcr0_valid(u64 xcr0, u64 offered);

/* event.c: what becomes of @second while @first is being delivered */
enum lhv_merge { LHV_MERGE_SERIAL, LHV_MERGE_DOUBLE_FAULT, LHV_MERGE_TRIPLE_FAULT };
enum lhv_merge lhv_exception_merge(u8 first, u8 second);
u64 lhv_dr6_payload(u64 dr6, u64 payload);
void lhv_event_reset(struct lhv_vcpu *vcpu);

/* fpu.c */
void lhv_fpu_setup(void);
void lhv_fpu_reset(struct lhv_vcpu *vcpu);
bool lhv_xsave_valid(const struct xregs_state *x, u64 offered, u32 mxcsr_mask);

/* debugreg.c */
#define LHV_DR7_GD	BIT(13)		/* general detect: DR accesses raise #DB */
void lhv_debugreg_reset(struct lhv_vcpu *vcpu);
/* Registers as the CPU keeps them: fixed bits forced. */
u64 lhv_dr6_fix(u64 dr6);
u64 lhv_dr7_fix(u64 dr7);

/* clock.c */
void lhv_clock_setup(void);
void lhv_clock_create(struct lhv_vcpu *vcpu);
void lhv_clock_reset(struct lhv_vcpu *vcpu);
void lhv_clock_adjust(struct lhv_vcpu *vcpu, u64 delta);	/* guest's TSC_ADJUST */
void lhv_tsc_scale(u32 khz, u32 *mul, s8 *shift);

#if IS_ENABLED(CONFIG_KUNIT)
struct lhv_cpuid_table *lhv_cpuid_test_build(const struct kvm_cpuid_entry2 *e, u32 nent);
void lhv_cpuid_test_query(struct lhv_cpuid_table *t, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx);
void lhv_cpuid_test_free(struct lhv_cpuid_table *t);
bool lhv_msr_test_sorted(void);
bool lhv_msr_test_known(u32 index);
#endif

#endif
