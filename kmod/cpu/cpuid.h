/* SPDX-License-Identifier: GPL-2.0 */
/* lhv cpu/ - CPUID: leaves and feature words, for the offer and for the vCPU's own table. */
#ifndef LHV_CPU_CPUID_H
#define LHV_CPU_CPUID_H

#include "cpu/cpu_priv.h"

#define LHV_CPUID_EXT_BASE	0x80000000u
#define LHV_CPUID_HV_BASE	0x40000000u
#define LHV_CPUID_RANGE_MASK	0xffff0000u

/* Where a feature word of <asm/cpufeatures.h> lives in CPUID. */
struct lhv_cpuid_word {
	u32 function;
	u32 index;
	u8 reg;
};

extern const struct lhv_cpuid_word lhv_cpuid_words[NR_CPUID_WORDS];
extern u32 lhv_cpuid_pv;	/* KVM_CPUID_FEATURES.EAX that can be offered */

/* A feature's bit, with the proof that it belongs into word @w. */
#define F(w, feature)	(BUILD_BUG_ON_ZERO((feature) / 32 != (w)) + (1u << ((feature) % 32)))

#define F1C(n)	F(CPUID_1_ECX, X86_FEATURE_##n)
#define F1D(n)	F(CPUID_1_EDX, X86_FEATURE_##n)
#define F7B(n)	F(CPUID_7_0_EBX, X86_FEATURE_##n)
#define F7C(n)	F(CPUID_7_ECX, X86_FEATURE_##n)
#define F7D(n)	F(CPUID_7_EDX, X86_FEATURE_##n)
#define F71(n)	F(CPUID_7_1_EAX, X86_FEATURE_##n)
#define FD1(n)	F(CPUID_D_1_EAX, X86_FEATURE_##n)
#define FEC(n)	F(CPUID_8000_0001_ECX, X86_FEATURE_##n)
#define FED(n)	F(CPUID_8000_0001_EDX, X86_FEATURE_##n)
#define FE8(n)	F(CPUID_8000_0008_EBX, X86_FEATURE_##n)

#endif
