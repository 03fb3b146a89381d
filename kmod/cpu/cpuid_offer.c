// SPDX-License-Identifier: GPL-2.0
/*
 * CPUID: what the host and the module can offer together, KVM_GET_SUPPORTED_CPUID.
 *
 * The offer is data: one row per feature word, host bits that may pass and bits that the
 * module provides by itself. A feature that is not in the table is not offered.
 */
#include <linux/sched/stat.h>
#include <linux/string.h>
#include <asm/fpu/types.h>
#include <asm/fpu/xcr.h>
#include <asm/kvm_para.h>
#include <linux/processor.h>
#include <asm/tsc.h>

#include "cpu/cpuid.h"

/* Highest leaves. */
#define MAX_BASIC		0xdu
#define MAX_EXT			0x80000021u

const struct lhv_cpuid_word lhv_cpuid_words[NR_CPUID_WORDS] = {
	[CPUID_1_EDX]		= { 1, 0, CPUID_EDX },
	[CPUID_1_ECX]		= { 1, 0, CPUID_ECX },
	[CPUID_7_0_EBX]		= { 7, 0, CPUID_EBX },
	[CPUID_7_ECX]		= { 7, 0, CPUID_ECX },
	[CPUID_7_EDX]		= { 7, 0, CPUID_EDX },
	[CPUID_7_1_EAX]		= { 7, 1, CPUID_EAX },
	[CPUID_D_1_EAX]		= { 0xd, 1, CPUID_EAX },
	[CPUID_8000_0001_EDX]	= { 0x80000001, 0, CPUID_EDX },
	[CPUID_8000_0001_ECX]	= { 0x80000001, 0, CPUID_ECX },
	[CPUID_8000_0008_EBX]	= { 0x80000008, 0, CPUID_EBX },
};

/* What AMD repeats in 0x80000001.EDX at the same bits. */
#define ALIASED	(F1D(FPU) | F1D(VME) | F1D(DE) | F1D(PSE) | F1D(TSC) | F1D(MSR) |	\
		 F1D(PAE) | F1D(MCE) | F1D(CX8) | F1D(APIC) | F1D(MTRR) | F1D(PGE) |	\
		 F1D(MCA) | F1D(CMOV) | F1D(PAT) | F1D(PSE36) | F1D(MMX) | F1D(FXSR))

/**
 * struct offer - one feature word
 * @word: index into lhv_cpuid_words[]
 * @pass: bits that are passed on where the host has them
 * @own: bits that the module provides whatever the host has
 */
struct offer {
	u8 word;
	u32 pass;
	u32 own;
};

static const struct offer offers[] = {
	{
		.word = CPUID_1_ECX,
		.pass = F1C(XMM3) | F1C(PCLMULQDQ) | F1C(SSSE3) | F1C(FMA) | F1C(CX16) |
			F1C(PCID) | F1C(XMM4_1) | F1C(XMM4_2) | F1C(MOVBE) | F1C(POPCNT) |
			F1C(AES) | F1C(XSAVE) | F1C(AVX) | F1C(F16C) | F1C(RDRAND),
		.own = F1C(X2APIC) | F1C(TSC_DEADLINE_TIMER) | F1C(HYPERVISOR),
	}, {
		.word = CPUID_1_EDX,
		.pass = ALIASED | F1D(SEP) | F1D(CLFLUSH) | F1D(XMM) | F1D(XMM2) |
			F1D(SELFSNOOP),
		.own = F1D(APIC) | F1D(MTRR) | F1D(PAT) | F1D(MCE) | F1D(MCA),
	}, {
		.word = CPUID_7_0_EBX,
		.pass = F7B(FSGSBASE) | F7B(BMI1) | F7B(AVX2) | F7B(FDP_EXCPTN_ONLY) |
			F7B(SMEP) | F7B(BMI2) | F7B(ERMS) | F7B(INVPCID) | F7B(ZERO_FCS_FDS) |
			F7B(AVX512F) | F7B(AVX512DQ) | F7B(RDSEED) | F7B(ADX) | F7B(SMAP) |
			F7B(AVX512IFMA) | F7B(CLFLUSHOPT) | F7B(CLWB) | F7B(AVX512PF) |
			F7B(AVX512ER) | F7B(AVX512CD) | F7B(SHA_NI) | F7B(AVX512BW) |
			F7B(AVX512VL),
		.own = F7B(TSC_ADJUST),
	}, {
		.word = CPUID_7_ECX,
		.pass = F7C(AVX512VBMI) | F7C(UMIP) | F7C(PKU) | F7C(AVX512_VBMI2) |
			F7C(GFNI) | F7C(VAES) | F7C(VPCLMULQDQ) | F7C(AVX512_VNNI) |
			F7C(AVX512_BITALG) | F7C(AVX512_VPOPCNTDQ) | F7C(LA57) |
			F7C(RDPID) | F7C(CLDEMOTE) | F7C(MOVDIRI) | F7C(MOVDIR64B),
	}, {
		.word = CPUID_7_EDX,
		.pass = F7D(AVX512_4VNNIW) | F7D(AVX512_4FMAPS) | F7D(FSRM) |
			F7D(AVX512_VP2INTERSECT) | F7D(MD_CLEAR) | F7D(SERIALIZE) |
			F7D(AVX512_FP16) | F7D(SPEC_CTRL) | F7D(INTEL_STIBP) |
			F7D(ARCH_CAPABILITIES) | F7D(SPEC_CTRL_SSBD),
	}, {
		.word = CPUID_7_1_EAX,
		.pass = F71(AVX_VNNI) | F71(AVX512_BF16),
	}, {
		/* No XSAVES: guests are given no supervisor state. */
		.word = CPUID_D_1_EAX,
		.pass = FD1(XSAVEOPT) | FD1(XSAVEC) | FD1(XGETBV1),
	}, {
		.word = CPUID_8000_0001_ECX,
		.pass = FEC(LAHF_LM) | FEC(CMP_LEGACY) | FEC(CR8_LEGACY) | FEC(ABM) |
			FEC(SSE4A) | FEC(MISALIGNSSE) | FEC(3DNOWPREFETCH) | FEC(OSVW) |
			FEC(XOP) | FEC(FMA4) | FEC(TBM) | FEC(TOPOEXT),
	}, {
		.word = CPUID_8000_0001_EDX,
		.pass = ALIASED | FED(SYSCALL) | FED(NX) | FED(MMXEXT) | FED(FXSR_OPT) |
			FED(GBPAGES) | FED(RDTSCP) | FED(LM) | FED(3DNOWEXT) | FED(3DNOW),
	}, {
		.word = CPUID_8000_0008_EBX,
		.pass = FE8(CLZERO) | FE8(XSAVEERPTR) | FE8(WBNOINVD) | FE8(AMD_IBPB) |
			FE8(AMD_IBRS) | FE8(AMD_STIBP) | FE8(AMD_STIBP_ALWAYS_ON) |
			FE8(AMD_SSBD) | FE8(AMD_SSB_NO),
	},
};

/* What goes when the guest can't be given a part of the extended state. */
static const struct offer needs_ymm[] = {
	{ CPUID_1_ECX, F1C(AVX) | F1C(FMA) | F1C(F16C) },
	{ CPUID_7_0_EBX, F7B(AVX2) },
	{ CPUID_7_ECX, F7C(VAES) | F7C(VPCLMULQDQ) },
	{ CPUID_7_1_EAX, F71(AVX_VNNI) },
	{ CPUID_8000_0001_ECX, FEC(XOP) | FEC(FMA4) },
};

static const struct offer needs_avx512[] = {
	{ CPUID_7_0_EBX, F7B(AVX512F) | F7B(AVX512DQ) | F7B(AVX512IFMA) | F7B(AVX512PF) |
		F7B(AVX512ER) | F7B(AVX512CD) | F7B(AVX512BW) | F7B(AVX512VL) },
	{ CPUID_7_ECX, F7C(AVX512VBMI) | F7C(AVX512_VBMI2) | F7C(AVX512_VNNI) |
		F7C(AVX512_BITALG) | F7C(AVX512_VPOPCNTDQ) },
	{ CPUID_7_EDX, F7D(AVX512_4VNNIW) | F7D(AVX512_4FMAPS) | F7D(AVX512_VP2INTERSECT) |
		F7D(AVX512_FP16) },
	{ CPUID_7_1_EAX, F71(AVX512_BF16) },
};

static const struct offer needs_xsave[] = {
	{ CPUID_1_ECX, F1C(XSAVE) },
	{ CPUID_D_1_EAX, ~0u },
	{ CPUID_8000_0008_EBX, FE8(XSAVEERPTR) },
};

/* 0x80000021.EAX; not every host kernel has names for them. */
enum {
	E21_NO_NESTED_DATA_BP	= BIT(0),
	E21_LFENCE_SERIALIZES	= BIT(2),
	E21_NULL_SEL_CLR_BASE	= BIT(6),
	E21_NO_SMM_CTL_MSR	= BIT(9),
};

/* Other fields. */
#define L1_EBX_CLFLUSH		GENMASK(15, 8)
#define L6_EAX_ARAT		BIT(2)
#define CACHE_EAX_TYPE		GENMASK(4, 0)	/* leaves 4 and 0x8000001d */
#define CACHE_EAX_SHARING	GENMASK(31, 14)
#define MAX_CACHES		8
#define XSTATE_ECX_ALIGNED	BIT(1)		/* 0xd, component leaves */
#define E1_EBX_PKG		GENMASK(31, 28)
#define E6_EDX_RESERVED		GENMASK(17, 16)
#define E7_EDX_INVARIANT_TSC	BIT(8)
#define E1A_EAX_VALID		GENMASK(2, 0)

static u32 offered[NR_CPUID_WORDS];	/* written at module init only */
u32 lhv_cpuid_pv;
static u64 offered_xcr0;

static struct {
	u32 size, offset;
	bool aligned;
} xstate[64];

static u32 host_reg(u32 function, u32 index, u8 reg)
{
	u32 r[4];

	cpuid_count(function, index, &r[CPUID_EAX], &r[CPUID_EBX], &r[CPUID_ECX], &r[CPUID_EDX]);
	return r[reg];
}

static bool host_has_leaf(u32 function)
{
	u32 max = cpuid_eax(function & LHV_CPUID_RANGE_MASK);

	return (max & LHV_CPUID_RANGE_MASK) == (function & LHV_CPUID_RANGE_MASK) && function <= max;
}

static void withdraw(const struct offer *rows, unsigned int n)
{
	while (n--)
		offered[rows[n].word] &= ~rows[n].pass;
}

/* Instructions that are #UD in a guest unless the hardware can be told otherwise. */
static void ask_backend(void)
{
	static const unsigned int features[] = {
		X86_FEATURE_RDTSCP, X86_FEATURE_RDPID, X86_FEATURE_INVPCID,
	};
	unsigned int i;

	for (i = 0; lhv_backend->withholds && i < ARRAY_SIZE(features); i++) {
		if (lhv_backend->withholds(features[i]))
			offered[features[i] / 32] &= ~BIT(features[i] % 32);
	}
}

u64 lhv_cpuid_xcr0(void)
{
	return offered_xcr0;
}

u32 lhv_xstate_size(u64 mask, bool compacted)
{
	u32 size = sizeof(struct fxregs_state) + sizeof(struct xstate_header);
	unsigned int i;

	for (i = FIRST_EXTENDED_XFEATURE; i < ARRAY_SIZE(xstate); i++) {
		if (!(mask & BIT_ULL(i)) || !xstate[i].size)
			continue;
		if (!compacted)
			size = max(size, xstate[i].offset + xstate[i].size);
		else
			size = (xstate[i].aligned ? ALIGN(size, 64) : size) + xstate[i].size;
	}
	return size;
}

bool lhv_xstate_component(unsigned int nr, u32 *offset, u32 *size)
{
	if (nr >= ARRAY_SIZE(xstate) || !xstate[nr].size)
		return false;
	*offset = xstate[nr].offset;
	*size = xstate[nr].size;
	return true;
}

static void setup_xstate(void)
{
	u32 eax, ebx, ecx, edx;
	unsigned int i;

	offered_xcr0 = boot_cpu_has(X86_FEATURE_XSAVE) ? lhv_host_xcr0() : 0;
	for (i = FIRST_EXTENDED_XFEATURE; i < ARRAY_SIZE(xstate); i++) {
		if (!(offered_xcr0 & BIT_ULL(i)))
			continue;
		cpuid_count(0xd, i, &eax, &ebx, &ecx, &edx);
		xstate[i].size = eax;
		xstate[i].offset = ebx;
		xstate[i].aligned = ecx & XSTATE_ECX_ALIGNED;
		if (!eax)
			offered_xcr0 &= ~BIT_ULL(i);
	}
}

/**
 * lhv_cpuid_setup() - find out what this host and this module can offer
 *
 * Module init, after host/ was set up. Process context.
 */
void lhv_cpuid_setup(void)
{
	unsigned int i;

	setup_xstate();
	for (i = 0; i < ARRAY_SIZE(offers); i++) {
		const struct offer *o = &offers[i];
		const struct lhv_cpuid_word *p = &lhv_cpuid_words[o->word];
		u32 host = 0;

		if (host_has_leaf(p->function))
			host = host_reg(p->function, p->index, p->reg);
		/* What the host's kernel switched off stays off. */
		host &= boot_cpu_data.x86_capability[o->word];
		offered[o->word] = (host & o->pass) | o->own;
	}
	/* The kernel's word 1 is not kept in step with word 0 on every vendor. */
	offered[CPUID_8000_0001_EDX] &= ~ALIASED;
	if (boot_cpu_data.x86_vendor == X86_VENDOR_AMD ||
	    boot_cpu_data.x86_vendor == X86_VENDOR_HYGON)
		offered[CPUID_8000_0001_EDX] |= offered[CPUID_1_EDX] & ALIASED;

	if (!offered_xcr0)
		withdraw(needs_xsave, ARRAY_SIZE(needs_xsave));
	if (!(offered_xcr0 & XFEATURE_MASK_YMM))
		withdraw(needs_ymm, ARRAY_SIZE(needs_ymm));
	if ((offered_xcr0 & XFEATURE_MASK_AVX512) != XFEATURE_MASK_AVX512)
		withdraw(needs_avx512, ARRAY_SIZE(needs_avx512));
	ask_backend();
	/* PKRU is the host's register too: only where the host has it on. */
	if (!boot_cpu_has(X86_FEATURE_OSPKE) || !(offered_xcr0 & XFEATURE_MASK_PKRU))
		offered[CPUID_7_ECX] &= ~F7C(PKU);

	lhv_cpuid_pv = BIT(KVM_FEATURE_CLOCKSOURCE) | BIT(KVM_FEATURE_CLOCKSOURCE2) |
		     BIT(KVM_FEATURE_NOP_IO_DELAY) | BIT(KVM_FEATURE_CLOCKSOURCE_STABLE_BIT) |
		     BIT(KVM_FEATURE_PV_UNHALT) | BIT(KVM_FEATURE_PV_EOI) |
		     BIT(KVM_FEATURE_PV_SEND_IPI) | BIT(KVM_FEATURE_POLL_CONTROL) |
		     BIT(KVM_FEATURE_PV_SCHED_YIELD);
	if (sched_info_on())
		lhv_cpuid_pv |= BIT(KVM_FEATURE_STEAL_TIME);

	/* The rest of the room, which needs to know the offer. */
	lhv_clock_setup();
	lhv_fpu_setup();
	lhv_msr_setup();
}

bool lhv_cpuid_offered(unsigned int x86_feature)
{
	unsigned int word = x86_feature / 32;

	return word < ARRAY_SIZE(offered) && (offered[word] & BIT(x86_feature % 32));
}

/* ---- KVM_GET_SUPPORTED_CPUID ---- */

struct sink {
	struct kvm_cpuid_entry2 *entries;
	u32 max, nent;
	struct kvm_cpuid_entry2 spill;	/* takes what does not fit */
};

static struct kvm_cpuid_entry2 *emit(struct sink *s, u32 function, u32 index, u32 flags)
{
	struct kvm_cpuid_entry2 *e = s->nent < s->max ? &s->entries[s->nent] : &s->spill;

	s->nent++;
	memset(e, 0, sizeof(*e));
	e->function = function;
	e->index = index;
	e->flags = flags;
	return e;
}

static struct kvm_cpuid_entry2 *emit_host(struct sink *s, u32 function, u32 index, u32 flags)
{
	struct kvm_cpuid_entry2 *e = emit(s, function, index, flags);

	if (host_has_leaf(function))
		cpuid_count(function, index, &e->eax, &e->ebx, &e->ecx, &e->edx);
	return e;
}

static void emit_caches(struct sink *s, u32 function)
{
	struct kvm_cpuid_entry2 *e;
	u32 i = 0;

	/* How caches are shared depends on a topology that only the VMM knows. */
	do {
		e = emit_host(s, function, i, KVM_CPUID_FLAG_SIGNIFCANT_INDEX);
		e->eax &= ~CACHE_EAX_SHARING;
	} while ((e->eax & CACHE_EAX_TYPE) && ++i < MAX_CACHES);
}

static void emit_xstate(struct sink *s)
{
	struct kvm_cpuid_entry2 *e;
	unsigned int i;

	e = emit(s, 0xd, 0, KVM_CPUID_FLAG_SIGNIFCANT_INDEX);
	if (!offered_xcr0)
		return;
	e->eax = lower_32_bits(offered_xcr0);
	e->edx = upper_32_bits(offered_xcr0);
	e->ebx = lhv_xstate_size(offered_xcr0, false);
	e->ecx = e->ebx;

	e = emit(s, 0xd, 1, KVM_CPUID_FLAG_SIGNIFCANT_INDEX);
	e->eax = offered[CPUID_D_1_EAX];
	if (e->eax & FD1(XSAVEC))
		e->ebx = lhv_xstate_size(offered_xcr0, true);

	for (i = FIRST_EXTENDED_XFEATURE; i < ARRAY_SIZE(xstate); i++) {
		if (!(offered_xcr0 & BIT_ULL(i)))
			continue;
		e = emit(s, 0xd, i, KVM_CPUID_FLAG_SIGNIFCANT_INDEX);
		e->eax = xstate[i].size;
		e->ebx = xstate[i].offset;
		e->ecx = xstate[i].aligned ? XSTATE_ECX_ALIGNED : 0;
	}
}

static void emit_basic(struct sink *s)
{
	u32 i, max = min(cpuid_eax(0), MAX_BASIC);
	struct kvm_cpuid_entry2 *e;

	for (i = 0; i <= max; i++) {
		switch (i) {
		case 0:
			e = emit_host(s, 0, 0, 0);
			e->eax = max;
			break;
		case 1:
			e = emit_host(s, 1, 0, 0);
			e->ebx &= L1_EBX_CLFLUSH;
			/*
			 * Goes with the LAPIC in the kernel, so the ABI leaves it to the VMM:
			 * see KVM_CAP_TSC_DEADLINE_TIMER.
			 */
			e->ecx = offered[CPUID_1_ECX] & ~F1C(TSC_DEADLINE_TIMER);
			e->edx = offered[CPUID_1_EDX];
			break;
		case 2:
			emit_host(s, 2, 0, 0);
			break;
		case 4:
			emit_caches(s, 4);
			break;
		case 6:
			emit(s, 6, 0, 0)->eax = L6_EAX_ARAT;
			break;
		case 7:
			e = emit(s, 7, 0, KVM_CPUID_FLAG_SIGNIFCANT_INDEX);
			e->eax = offered[CPUID_7_1_EAX] ? 1 : 0;
			e->ebx = offered[CPUID_7_0_EBX];
			e->ecx = offered[CPUID_7_ECX];
			e->edx = offered[CPUID_7_EDX];
			if (offered[CPUID_7_1_EAX])
				emit(s, 7, 1, KVM_CPUID_FLAG_SIGNIFCANT_INDEX)->eax =
					offered[CPUID_7_1_EAX];
			break;
		case 0xb:	/* topology is the VMM's to say */
			emit(s, 0xb, 0, KVM_CPUID_FLAG_SIGNIFCANT_INDEX);
			break;
		case 0xd:
			emit_xstate(s);
			break;
		default:	/* 3, 5 (MWAIT), 8, 9, 0xa (no PMU), 0xc */
			emit(s, i, 0, 0);
			break;
		}
	}
}

static void emit_pv(struct sink *s)
{
	static const char signature[12] = KVM_SIGNATURE;
	struct kvm_cpuid_entry2 *e = emit(s, KVM_CPUID_SIGNATURE, 0, 0);

	e->eax = KVM_CPUID_FEATURES;
	memcpy(&e->ebx, signature, 4);
	memcpy(&e->ecx, signature + 4, 4);
	memcpy(&e->edx, signature + 8, 4);
	emit(s, KVM_CPUID_FEATURES, 0, 0)->eax = lhv_cpuid_pv;
}

static void emit_address_sizes(struct sink *s)
{
	struct kvm_cpuid_entry2 *e = emit_host(s, 0x80000008, 0, 0);
	u32 phys = min_t(u32, e->eax & 0xff, LHV_MAX_GPA_BITS);
	u32 virt = lhv_cpuid_offered(X86_FEATURE_LA57) ? 57 : 48;
	u32 guest_phys = lhv_backend->tdp->levels < 5 ? min(phys, 48u) : phys;

	e->eax = phys | virt << 8 | guest_phys << 16;
	e->ebx = offered[CPUID_8000_0008_EBX];
	e->ecx = 0;
	e->edx = 0;
}

static void emit_extended(struct sink *s)
{
	u32 i, max = min(cpuid_eax(LHV_CPUID_EXT_BASE), MAX_EXT);
	struct kvm_cpuid_entry2 *e;

	/* A host with AMD's cache leaf gets AMD's latest leaf: parts of it need no host. */
	if (max >= 0x8000001d)
		max = MAX_EXT;

	for (i = LHV_CPUID_EXT_BASE; i <= max; i++) {
		switch (i) {
		case 0x80000000:
			e = emit_host(s, i, 0, 0);
			e->eax = max;
			break;
		case 0x80000001:
			e = emit_host(s, i, 0, 0);
			e->ebx &= E1_EBX_PKG;
			e->ecx = offered[CPUID_8000_0001_ECX];
			e->edx = offered[CPUID_8000_0001_EDX];
			break;
		case 0x80000002 ... 0x80000005:
			emit_host(s, i, 0, 0);
			break;
		case 0x80000006:
			emit_host(s, i, 0, 0)->edx &= ~E6_EDX_RESERVED;
			break;
		case 0x80000007:
			if (lhv_host_tsc_invariant())
				emit(s, i, 0, 0)->edx = E7_EDX_INVARIANT_TSC;
			else
				emit(s, i, 0, 0);
			break;
		case 0x80000008:
			emit_address_sizes(s);
			break;
		case 0x80000019:
			e = emit_host(s, i, 0, 0);
			e->ecx = 0;
			e->edx = 0;
			break;
		case 0x8000001a:
			e = emit_host(s, i, 0, 0);
			e->eax &= E1A_EAX_VALID;
			e->ebx = 0;
			e->ecx = 0;
			e->edx = 0;
			break;
		case 0x8000001d:
			emit_caches(s, i);
			break;
		case 0x80000021:
			e = emit_host(s, i, 0, 0);
			e->eax &= E21_NO_NESTED_DATA_BP | E21_LFENCE_SERIALIZES |
				  E21_NULL_SEL_CLR_BASE;
			if (boot_cpu_has(X86_FEATURE_LFENCE_RDTSC))
				e->eax |= E21_LFENCE_SERIALIZES;
			if (!boot_cpu_has_bug(X86_BUG_NULL_SEG))
				e->eax |= E21_NULL_SEL_CLR_BASE;
			e->eax |= E21_NO_SMM_CTL_MSR;
			e->ebx = 0;
			e->ecx = 0;
			e->edx = 0;
			break;
		case 0x8000000a:	/* no SVM */
		case 0x8000001e:	/* topology is the VMM's to say */
			emit(s, i, 0, 0);
			break;
		default:		/* reserved, IBS, LWP, SEV, QoS: nothing, as if absent */
			break;
		}
	}
}

/**
 * lhv_cpuid_supported() - the body of KVM_GET_SUPPORTED_CPUID
 * @entries: room for *@nent entries
 * @nent: in: room; out: entries needed
 *
 * Return: 0, or -E2BIG when the room was too small.
 */
int lhv_cpuid_supported(struct kvm_cpuid_entry2 *entries, u32 *nent)
{
	struct sink s = { .entries = entries, .max = *nent };

	emit_basic(&s);
	emit_pv(&s);
	emit_extended(&s);
	*nent = s.nent;
	return s.nent > s.max ? -E2BIG : 0;
}
