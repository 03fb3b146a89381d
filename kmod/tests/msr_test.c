// SPDX-License-Identifier: GPL-2.0
/* lhv cpu/ - KUnit: who may read and write which MSR. */
#include <asm/kvm_para.h>
#include <asm/mce.h>
#include <asm/mtrr.h>

#include "cpu_fake.h"

static void table_is_sorted(struct kunit *test)
{
	KUNIT_EXPECT_TRUE(test, lhv_msr_test_sorted());
	KUNIT_EXPECT_TRUE(test, lhv_msr_test_known(MSR_IA32_TSC));
	KUNIT_EXPECT_TRUE(test, lhv_msr_test_known(MSR_IA32_MCx_MISC(LHV_MCE_BANKS - 1)));
	KUNIT_EXPECT_TRUE(test, lhv_msr_test_known(MSR_F15H_EX_CFG));
	KUNIT_EXPECT_FALSE(test, lhv_msr_test_known(MSR_IA32_MCx_CTL(LHV_MCE_BANKS)));
	KUNIT_EXPECT_FALSE(test, lhv_msr_test_known(~0u));
}

/* A VMM that saves and restores every MSR of the list must not fail. */
static void listed_ones_round_trip(struct kunit *test)
{
	struct lhv_vcpu *vcpu = test->priv;
	const u32 *list;
	u32 i, n = lhv_msr_list(&list);
	u64 data;

	KUNIT_EXPECT_GT(test, n, 20u);
	for (i = 0; i < n; i++) {
		KUNIT_EXPECT_EQ_MSG(test, 0, lhv_msr_read(vcpu, list[i], &data, true), "%x",
				    list[i]);
		KUNIT_EXPECT_EQ_MSG(test, 0, lhv_msr_write(vcpu, list[i], data, true), "%x",
				    list[i]);
	}
	n = lhv_msr_feature_list(&list);
	for (i = 0; i < n; i++)
		KUNIT_EXPECT_EQ_MSG(test, 0, lhv_msr_feature(list[i], &data), "%x", list[i]);
	KUNIT_EXPECT_NE(test, 0, lhv_msr_feature(MSR_IA32_TSC, &data));
}

static const struct {
	u32 index;
	u64 data;
	bool host, ok;
} writes[] = {
	{ MSR_LSTAR, 0x00007fffffffffffull, false, true },
	{ MSR_LSTAR, 0xffff800000000000ull, false, true },
	{ MSR_LSTAR, 0x0000800000000000ull, false, false },
	{ MSR_KERNEL_GS_BASE, BIT_ULL(62), true, false },
	{ MSR_STAR, ~0ull, false, true },
	{ MSR_IA32_CR_PAT, 0x0007040600070406ull, false, true },
	{ MSR_IA32_CR_PAT, 0x0007040600070402ull, false, false },
	{ MSR_IA32_CR_PAT, BIT_ULL(63), false, false },
	{ MSR_MTRRdefType, 0xc06, false, true },
	{ MSR_MTRRdefType, 0xc02, false, false },
	{ MSR_MTRRdefType, 0x1c06, false, false },
	{ MSR_MTRRcap, 0, false, false },
	{ MTRRphysBase_MSR(7), 0x80000006, false, true },
	{ MTRRphysBase_MSR(7), 0x80000106, false, false },
	{ MTRRphysMask_MSR(7), 0xf80000800ull, false, true },
	{ MTRRphysMask_MSR(7), 0xf80000400ull, false, false },
	{ MTRRphysMask_MSR(7), BIT_ULL(60), false, false },
	{ MTRRphysBase_MSR(8), 0, false, false },
	{ MSR_MTRRfix4K_F8000, 0x0606060606060606ull, false, true },
	{ MSR_MTRRfix64K_00000, 0x0306060606060606ull, false, false },
	{ MSR_IA32_MC0_CTL, ~0ull, false, true },
	{ MSR_IA32_MC0_CTL, ~BIT_ULL(10), false, true },
	{ MSR_IA32_MC0_CTL, 0, false, true },
	{ MSR_IA32_MC0_CTL, 0x1234, false, false },
	{ MSR_IA32_MC0_STATUS, 0, false, true },
	{ MSR_IA32_MC0_STATUS, 1, false, false },
	{ MSR_IA32_MC0_STATUS, 1, true, true },
	{ MSR_IA32_MCG_CTL, ~0ull, false, false },	/* not in MCG_CAP */
	{ MSR_IA32_MISC_ENABLE, MSR_IA32_MISC_ENABLE_FAST_STRING, true, true },
	{ MSR_IA32_UCODE_REV, 5, true, true },
	{ MSR_IA32_SMBASE, 0, false, false },
	{ MSR_K7_HWCR, BIT_ULL(24), false, true },
	{ MSR_K7_HWCR, BIT_ULL(8), false, true },
	{ MSR_K7_HWCR, BIT_ULL(0), false, false },
	{ MSR_K7_EVNTSEL0, 0x43, false, true },
	{ MSR_K7_PERFCTR3, 1, false, true },
	{ MSR_VM_CR, 1, false, false },
	{ MSR_IA32_XSS, 1, true, false },
	{ MSR_EFER, EFER_SVME, false, false },
	{ MSR_EFER, EFER_SVME, true, false },
	{ MSR_EFER, EFER_NX, false, false },		/* not in CPUID */
	{ MSR_EFER, EFER_NX, true, true },
	{ MSR_IA32_SPEC_CTRL, 1, false, false },	/* not in CPUID */
	{ MSR_IA32_PRED_CMD, 1, false, false },		/* not in CPUID */
	{ MSR_KVM_SYSTEM_TIME_NEW, 0x1001, false, false },	/* not in CPUID */
	{ MSR_KVM_SYSTEM_TIME_NEW, 0x1001, true, true },
	{ MSR_KVM_STEAL_TIME, 0x1041, true, true },
	{ MSR_KVM_STEAL_TIME, 0x1043, true, false },
	{ MSR_KVM_ASYNC_PF_EN, 0, true, true },
	{ MSR_KVM_ASYNC_PF_EN, 1, true, false },
	{ APIC_BASE_MSR + 0x30, 0, false, false },	/* no LAPIC */
	{ 0x12345678, 0, true, false },
};

static void writes_checked(struct kunit *test)
{
	struct lhv_vcpu *vcpu = test->priv;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(writes); i++)
		KUNIT_EXPECT_EQ_MSG(test, writes[i].ok,
				    !lhv_msr_write(vcpu, writes[i].index, writes[i].data,
						   writes[i].host),
				    "case %u, msr %x", i, writes[i].index);
}

/* SDM Vol 3A "Microcode Update Facilities": Linux writes 0, executes CPUID and reads. */
static void microcode_revision(struct kunit *test)
{
	struct lhv_vcpu *vcpu = test->priv;
	u64 data;

	KUNIT_EXPECT_EQ(test, 0, lhv_msr_write(vcpu, MSR_IA32_UCODE_REV, 5ull << 32, true));
	KUNIT_EXPECT_EQ(test, 0, lhv_msr_write(vcpu, MSR_IA32_UCODE_REV, 0, false));
	KUNIT_EXPECT_EQ(test, 0, lhv_msr_read(vcpu, MSR_IA32_UCODE_REV, &data, false));
	KUNIT_EXPECT_EQ(test, 5ull << 32, data);
}

static void mtrrs_keep_apart(struct kunit *test)
{
	static const u32 fixed[] = {
		MSR_MTRRfix64K_00000, MSR_MTRRfix16K_80000, MSR_MTRRfix16K_A0000,
		MSR_MTRRfix4K_C0000, MSR_MTRRfix4K_C8000, MSR_MTRRfix4K_D0000,
		MSR_MTRRfix4K_D8000, MSR_MTRRfix4K_E0000, MSR_MTRRfix4K_E8000,
		MSR_MTRRfix4K_F0000, MSR_MTRRfix4K_F8000,
	};
	static const u8 types[] = { 0, 1, 4, 5, 6 };
	struct lhv_vcpu *vcpu = test->priv;
	unsigned int i;
	u64 data;

	for (i = 0; i < ARRAY_SIZE(fixed); i++)
		KUNIT_EXPECT_EQ(test, 0, lhv_msr_write(vcpu, fixed[i],
						       types[i % 5] | types[i / 5] << 8, false));
	for (i = 0; i < 16; i++)
		KUNIT_EXPECT_EQ(test, 0, lhv_msr_write(vcpu, MTRRphysBase_MSR(0) + i, i << 12,
						       false));
	for (i = 0; i < ARRAY_SIZE(fixed); i++) {
		KUNIT_EXPECT_EQ(test, 0, lhv_msr_read(vcpu, fixed[i], &data, false));
		KUNIT_EXPECT_EQ(test, (u64)(types[i % 5] | types[i / 5] << 8),
				data);
	}
	for (i = 0; i < 16; i++) {
		KUNIT_EXPECT_EQ(test, 0, lhv_msr_read(vcpu, MTRRphysBase_MSR(0) + i, &data, false));
		KUNIT_EXPECT_EQ(test, (u64)i << 12, data);
	}
}

static void machine_check(struct kunit *test)
{
	struct lhv_vcpu *vcpu = test->priv;
	u64 data;

	KUNIT_EXPECT_EQ(test, -EINVAL, lhv_setup_mce(vcpu, 0));
	KUNIT_EXPECT_EQ(test, -EINVAL, lhv_setup_mce(vcpu, LHV_MCE_BANKS + 1));
	KUNIT_EXPECT_EQ(test, -EINVAL, lhv_setup_mce(vcpu, 10 | BIT_ULL(40)));
	KUNIT_EXPECT_EQ(test, 0, lhv_setup_mce(vcpu, 10 | LHV_MCG_CAP));
	KUNIT_EXPECT_EQ(test, 0, lhv_msr_read(vcpu, MSR_IA32_MCG_CAP, &data, false));
	KUNIT_EXPECT_EQ(test, 10 | (u64)LHV_MCG_CAP, data);
	KUNIT_EXPECT_EQ(test, 0, lhv_msr_read(vcpu, MSR_IA32_MCx_CTL(9), &data, false));
	KUNIT_EXPECT_EQ(test, ~0ull, data);
	KUNIT_EXPECT_NE(test, 0, lhv_msr_read(vcpu, MSR_IA32_MCx_CTL(10), &data, false));
	KUNIT_EXPECT_EQ(test, 0, lhv_msr_write(vcpu, MSR_IA32_MCG_CTL, 0, false));
	KUNIT_EXPECT_NE(test, 0, lhv_msr_write(vcpu, MSR_IA32_MCG_CTL, 5, false));
}

static struct kunit_case cases[] = {
	KUNIT_CASE(table_is_sorted),
	KUNIT_CASE(listed_ones_round_trip),
	KUNIT_CASE(writes_checked),
	KUNIT_CASE(microcode_revision),
	KUNIT_CASE(mtrrs_keep_apart),
	KUNIT_CASE(machine_check),
	{}
};

static struct kunit_suite suite = {
	.name = "lhv_msr",
	.init = fake_init,
	.exit = fake_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
