/* SPDX-License-Identifier: GPL-2.0 */
/* lhv cpu/ - what both backends do alike around the world switch. */
#ifndef LHV_CPU_GUEST_SWITCH_H
#define LHV_CPU_GUEST_SWITCH_H

#include <asm/fpu/types.h>
#include <asm/special_insns.h>

#include "lhv.h"

/* Does the guest's CPUID offer any part of SPEC_CTRL? */
static inline bool lhv_has_spec_ctrl(const struct lhv_cpu *cpu)
{
	/* Asked at each entry: one look at all of them. */
	BUILD_BUG_ON(LHV_NR_FEATURES > BITS_PER_LONG);
	return cpu->features[0] & (BIT(LHV_F_SPEC_CTRL) | BIT(LHV_F_INTEL_STIBP) |
				   BIT(LHV_F_INTEL_SSBD) | BIT(LHV_F_AMD_IBRS) |
				   BIT(LHV_F_AMD_STIBP) | BIT(LHV_F_AMD_SSBD));
}

/* SPEC_CTRL to run the guest with. Where it has none the host's may stay. */
static __always_inline u64 lhv_guest_spec_ctrl(const struct lhv_cpu *cpu, u64 host)
{
	if (!cpu_feature_enabled(X86_FEATURE_MSR_SPEC_CTRL))
		return host;
	return lhv_has_spec_ctrl(cpu) ? cpu->spec_ctrl : host;
}

static __always_inline bool lhv_pkru_differs(const struct lhv_vcpu *vcpu)
{
	if (!cpu_feature_enabled(X86_FEATURE_OSPKE))
		return false;
	return vcpu->cr4 & X86_CR4_PKE ||
	       (vcpu->cr4 & X86_CR4_OSXSAVE && vcpu->cpu_state.xcr0 & XFEATURE_MASK_PKRU);
}

/**
 * lhv_pkru_enter() - right before the guest runs
 * @vcpu: the vCPU; lhv_pkru_differs()
 *
 * Return: the host's, for lhv_pkru_leave().
 */
static inline u32 lhv_pkru_enter(struct lhv_vcpu *vcpu)
{
	u32 host = rdpkru();

	if (host != vcpu->cpu_state.pkru)
		wrpkru(vcpu->cpu_state.pkru);
	return host;
}

static inline void lhv_pkru_leave(struct lhv_vcpu *vcpu, u32 host)
{
	vcpu->cpu_state.pkru = rdpkru();
	if (vcpu->cpu_state.pkru != host)
		wrpkru(host);
}

#endif
