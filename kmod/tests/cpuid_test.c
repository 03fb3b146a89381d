// SPDX-License-Identifier: GPL-2.0
/* lhv cpu/ - KUnit: CPUID tables and what they answer. */
#include <asm/fpu/types.h>
#include <asm/kvm_para.h>

#include "cpu_fake.h"

#define INDEXED		KVM_CPUID_FLAG_SIGNIFCANT_INDEX

static const struct kvm_cpuid_entry2 sample[] = {
	{ .function = 0x80000001, .eax = 0x81 },
	{ .function = 7, .index = 1, .flags = INDEXED, .eax = 0x71 },
	{ .function = 0xb, .index = 0, .flags = INDEXED, .ebx = 1, .ecx = 0x100, .edx = 3 },
	{ .function = 0xb, .index = 1, .flags = INDEXED, .ebx = 4, .ecx = 0x201, .edx = 3 },
	{ .function = 0, .eax = 0xb },		/* vendor: neither AMD nor Hygon */
	{ .function = 1, .eax = 0x11, .ebx = 0x12, .ecx = 0x13, .edx = 0x14 },
	{ .function = 7, .index = 0, .flags = INDEXED, .eax = 0x70 },
	{ .function = 0x80000000, .eax = 0x80000008 },
	{ .function = KVM_CPUID_SIGNATURE, .eax = KVM_CPUID_FEATURES },
	{ .function = 0x80000008, .eax = 0x3028 },
};

struct answer {
	u32 eax, ebx, ecx, edx;
};

static struct answer ask(struct lhv_cpuid_table *t, u32 function, u32 index)
{
	struct answer a = { .eax = function, .ecx = index };

	lhv_cpuid_test_query(t, &a.eax, &a.ebx, &a.ecx, &a.edx);
	return a;
}

static void look_up(struct kunit *test)
{
	struct lhv_cpuid_table *t = lhv_cpuid_test_build(sample, ARRAY_SIZE(sample));
	struct answer a;

	KUNIT_ASSERT_FALSE(test, IS_ERR(t));
	a = ask(t, 1, 77);	/* not indexed: any subleaf */
	KUNIT_EXPECT_EQ(test, 0x11u, a.eax);
	KUNIT_EXPECT_EQ(test, 0x12u, a.ebx);
	KUNIT_EXPECT_EQ(test, 0x13u, a.ecx);
	KUNIT_EXPECT_EQ(test, 0x14u, a.edx);
	KUNIT_EXPECT_EQ(test, 0x70u, ask(t, 7, 0).eax);
	KUNIT_EXPECT_EQ(test, 0x71u, ask(t, 7, 1).eax);
	KUNIT_EXPECT_EQ(test, 0u, ask(t, 7, 2).eax);
	KUNIT_EXPECT_EQ(test, 0u, ask(t, 5, 0).eax);
	KUNIT_EXPECT_EQ(test, 0x81u, ask(t, 0x80000001, 0).eax);
	KUNIT_EXPECT_EQ(test, KVM_CPUID_FEATURES, (int)ask(t, KVM_CPUID_SIGNATURE, 0).eax);
	KUNIT_EXPECT_EQ(test, 0u, ask(t, KVM_CPUID_FEATURES, 0).eax);
	KUNIT_EXPECT_EQ(test, 0u, ask(t, 0x40000100, 0).eax);

	/* Topology: the level comes back, and the x2APIC id at every level. */
	a = ask(t, 0xb, 5);
	KUNIT_EXPECT_EQ(test, 0u, a.eax);
	KUNIT_EXPECT_EQ(test, 0u, a.ebx);
	KUNIT_EXPECT_EQ(test, 5u, a.ecx);
	KUNIT_EXPECT_EQ(test, 3u, a.edx);
	lhv_cpuid_test_free(t);
}

static void out_of_range(struct kunit *test)
{
	struct kvm_cpuid_entry2 *e = kunit_kzalloc(test, sizeof(sample), GFP_KERNEL);
	struct lhv_cpuid_table *t;
	unsigned int i;

	/* Intel: as the highest basic leaf. */
	t = lhv_cpuid_test_build(sample, ARRAY_SIZE(sample));
	KUNIT_ASSERT_FALSE(test, IS_ERR(t));
	KUNIT_EXPECT_EQ(test, 4u, ask(t, 0xc, 1).ebx);
	KUNIT_EXPECT_EQ(test, 4u, ask(t, 0x8fff, 1).ebx);
	KUNIT_EXPECT_EQ(test, 4u, ask(t, 0x80000009, 1).ebx);
	KUNIT_EXPECT_EQ(test, 4u, ask(t, 0xffffffff, 1).ebx);
	KUNIT_EXPECT_EQ(test, 0u, ask(t, 0x4000ffff, 1).ebx);
	KUNIT_EXPECT_EQ(test, 0u, ask(t, 0x80000002, 1).ebx);
	lhv_cpuid_test_free(t);

	/* AMD: zeros. */
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, e);
	memcpy(e, sample, sizeof(sample));
	for (i = 0; i < ARRAY_SIZE(sample); i++) {
		if (e[i].function)
			continue;
		memcpy(&e[i].ebx, "Auth", 4);
		memcpy(&e[i].edx, "enti", 4);
		memcpy(&e[i].ecx, "cAMD", 4);
	}
	t = lhv_cpuid_test_build(e, ARRAY_SIZE(sample));
	KUNIT_ASSERT_FALSE(test, IS_ERR(t));
	KUNIT_EXPECT_EQ(test, 0u, ask(t, 0xc, 1).ebx);
	KUNIT_EXPECT_EQ(test, 0u, ask(t, 0x80000009, 1).ebx);
	lhv_cpuid_test_free(t);
}

/* KVM's way: the first that fits, in the order in which they were handed in. */
static void duplicates(struct kunit *test)
{
	static const struct kvm_cpuid_entry2 e[] = {
		{ .function = 4, .index = 1, .flags = INDEXED, .eax = 1 },
		{ .function = 4, .index = 1, .flags = INDEXED, .eax = 2 },
		{ .function = 4, .index = 0, .flags = INDEXED, .eax = 3 },
		{ .function = 1, .eax = 4 },
		{ .function = 4, .eax = 5 },
		{ .function = 1, .eax = 6 },
		{ .function = 4, .index = 2, .flags = INDEXED, .eax = 7 },
	};
	struct lhv_cpuid_table *t = lhv_cpuid_test_build(e, ARRAY_SIZE(e));

	KUNIT_ASSERT_FALSE(test, IS_ERR(t));
	KUNIT_EXPECT_EQ(test, 1u, ask(t, 4, 1).eax);
	KUNIT_EXPECT_EQ(test, 3u, ask(t, 4, 0).eax);
	KUNIT_EXPECT_EQ(test, 5u, ask(t, 4, 2).eax);
	KUNIT_EXPECT_EQ(test, 4u, ask(t, 1, 0).eax);
	lhv_cpuid_test_free(t);
	t = lhv_cpuid_test_build(e, 0);
	KUNIT_ASSERT_FALSE(test, IS_ERR(t));
	KUNIT_EXPECT_EQ(test, 0u, ask(t, 0, 0).eax);
	lhv_cpuid_test_free(t);
}

static struct kvm_cpuid_entry2 *supported(struct kunit *test, u32 *nent)
{
	struct kvm_cpuid_entry2 *e = kunit_kcalloc(test, 100, sizeof(*e), GFP_KERNEL);

	*nent = 100;
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, e);
	KUNIT_ASSERT_EQ(test, 0, lhv_cpuid_supported(e, nent));
	return e;
}

/* What is offered can be set, and is found again. */
static void offer(struct kunit *test)
{
	struct lhv_vcpu *vcpu = test->priv;
	const struct kvm_cpuid_entry2 *f;
	struct kvm_cpuid_entry2 *e;
	u32 nent, n;

	e = supported(test, &nent);
	/* Works, but is the VMM's to offer. */
	for (n = 0; n < nent; n++) {
		if (e[n].function != 1)
			continue;
		KUNIT_EXPECT_EQ(test, 0u, e[n].ecx & BIT(X86_FEATURE_TSC_DEADLINE_TIMER % 32));
		e[n].ecx |= BIT(X86_FEATURE_TSC_DEADLINE_TIMER % 32);
	}
	KUNIT_EXPECT_EQ(test, 0, lhv_cpuid_set(vcpu, e, nent));
	KUNIT_EXPECT_TRUE(test, lhv_has(&vcpu->cpu_state, LHV_F_LM));
	KUNIT_EXPECT_TRUE(test, lhv_has(&vcpu->cpu_state, LHV_F_X2APIC));
	KUNIT_EXPECT_TRUE(test, lhv_has(&vcpu->cpu_state, LHV_F_TSC_DEADLINE));
	KUNIT_EXPECT_FALSE(test, lhv_has(&vcpu->cpu_state, LHV_F_SVM));
	KUNIT_EXPECT_TRUE(test, vcpu->cpu_state.pv_features & BIT(KVM_FEATURE_CLOCKSOURCE2));
	f = lhv_cpuid_find(vcpu, 0xa, 0);
	if (f)
		KUNIT_EXPECT_EQ(test, 0u, f->eax | f->ebx | f->ecx | f->edx);
	f = lhv_cpuid_find(vcpu, KVM_CPUID_SIGNATURE, 0);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, f);
	KUNIT_EXPECT_EQ(test, 0, memcmp(&f->ebx, "KVMKVMKVM\0\0\0", 12));

	n = nent;
	KUNIT_EXPECT_EQ(test, 0, lhv_cpuid_get(vcpu, e, &n));
	KUNIT_EXPECT_EQ(test, nent, n);
	n = nent - 1;
	KUNIT_EXPECT_EQ(test, -E2BIG, lhv_cpuid_get(vcpu, e, &n));
	KUNIT_EXPECT_EQ(test, nent, n);
	n = 3;
	KUNIT_EXPECT_EQ(test, -E2BIG, lhv_cpuid_supported(e, &n));
	KUNIT_EXPECT_EQ(test, nent, n);
}

static struct kvm_cpuid_entry2 *find(struct kvm_cpuid_entry2 *e, u32 nent, u32 function)
{
	u32 i;

	for (i = 0; i < nent; i++)
		if (e[i].function == function)
			return &e[i];
	return NULL;
}

static void set_is_checked(struct kunit *test)
{
	struct kvm_cpuid_entry2 *e, *sizes;
	struct lhv_vcpu *vcpu = test->priv;
	u32 nent, keep;

	e = supported(test, &nent);
	sizes = find(e, nent, 0x80000008);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, sizes);
	keep = sizes->eax;
	sizes->eax = (keep & ~0xffu) | 53;
	KUNIT_EXPECT_EQ(test, -EINVAL, lhv_cpuid_set(vcpu, e, nent));
	sizes->eax = (keep & ~0xffu) | 20;
	KUNIT_EXPECT_EQ(test, -EINVAL, lhv_cpuid_set(vcpu, e, nent));
	sizes->eax = (keep & ~0xff00u) | 64 << 8;
	KUNIT_EXPECT_EQ(test, -EINVAL, lhv_cpuid_set(vcpu, e, nent));
	sizes->eax = (keep & ~0xffu) | 40;
	KUNIT_EXPECT_EQ(test, 0, lhv_cpuid_set(vcpu, e, nent));
	KUNIT_EXPECT_EQ(test, 40, (int)vcpu->cpu_state.maxphyaddr);
	KUNIT_EXPECT_EQ(test, ~(BIT_ULL(40) - 1), vcpu->cpu_state.gpa_reserved);
	KUNIT_EXPECT_EQ(test, -E2BIG, lhv_cpuid_set(vcpu, e, 257));

	/* Once it has run: only the same again. */
	vcpu->cpu = 0;
	KUNIT_EXPECT_EQ(test, 0, lhv_cpuid_set(vcpu, e, nent));
	sizes->eax = keep;
	if ((keep & 0xff) != 40)
		KUNIT_EXPECT_EQ(test, -EINVAL, lhv_cpuid_set(vcpu, e, nent));
}

static void runtime_bits(struct kunit *test)
{
	struct lhv_vcpu *vcpu = test->priv;
	struct kvm_cpuid_entry2 *e;
	u32 nent, eax, ebx, ecx, edx;

	e = supported(test, &nent);
	KUNIT_ASSERT_EQ(test, 0, lhv_cpuid_set(vcpu, e, nent));
	eax = 1;
	ecx = 0;
	lhv_cpuid_query(vcpu, &eax, &ebx, &ecx, &edx);
	KUNIT_EXPECT_FALSE(test, ecx & BIT(X86_FEATURE_OSXSAVE % 32));
	if (!lhv_has(&vcpu->cpu_state, LHV_F_XSAVE))
		return;
	KUNIT_EXPECT_EQ(test, 0, lhv_set_cr4(vcpu, X86_CR4_OSXSAVE));
	eax = 1;
	ecx = 0;
	lhv_cpuid_query(vcpu, &eax, &ebx, &ecx, &edx);
	KUNIT_EXPECT_TRUE(test, ecx & BIT(X86_FEATURE_OSXSAVE % 32));

	eax = 0xd;
	ecx = 0;
	lhv_cpuid_query(vcpu, &eax, &ebx, &ecx, &edx);
	KUNIT_EXPECT_EQ(test, 576u, ebx);
	if (!(eax & XFEATURE_MASK_YMM))
		return;
	KUNIT_EXPECT_EQ(test, 0, lhv_set_xcr0(vcpu, XFEATURE_MASK_FPSSE | XFEATURE_MASK_YMM));
	eax = 0xd;
	ecx = 0;
	lhv_cpuid_query(vcpu, &eax, &ebx, &ecx, &edx);
	KUNIT_EXPECT_EQ(test, 832u, ebx);
	KUNIT_EXPECT_GE(test, ecx, ebx);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(look_up),
	KUNIT_CASE(out_of_range),
	KUNIT_CASE(duplicates),
	KUNIT_CASE(offer),
	KUNIT_CASE(set_is_checked),
	KUNIT_CASE(runtime_bits),
	{}
};

static struct kunit_suite suite = {
	.name = "lhv_cpuid",
	.init = fake_init,
	.exit = fake_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
