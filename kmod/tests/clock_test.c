// SPDX-License-Identifier: GPL-2.0
/* lhv cpu/ - KUnit: scaling, TSC synchronisation, kvmclock. */
#include <linux/math64.h>
#include <asm/kvm_para.h>
#include <asm/msr.h>

#include "cpu_fake.h"

static void scale(struct kunit *test)
{
	static const u32 khz[] = { 1, 999, 32768, 1000000, 1193182, 2000000, 2399999, 3187204,
				   4000000, 4294968, 5700000, U32_MAX };
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(khz); i++) {
		struct lhv_cpu *cpu = &((struct lhv_vcpu *)test->priv)->cpu_state;
		s8 shift;
		u32 mul;

		lhv_tsc_scale(khz[i], &mul, &shift);
		KUNIT_EXPECT_GE_MSG(test, mul, 1u << 31, "%u kHz", khz[i]);
		cpu->tsc_mul = mul;
		cpu->tsc_shift = shift;
		for (j = 0; j < 13; j++) {
			/* A second, a minute... and what that takes in cycles. */
			u64 ns = NSEC_PER_SEC << j, cycles = mul_u64_u32_div(ns, khz[i], 1000000);
			u64 got = lhv_tsc_to_ns(test->priv, cycles);
			u64 want = mul_u64_u32_div(cycles, 1000000, khz[i]);
			u64 diff = got > want ? got - want : want - got;

			/* One part in 2^30, and a nanosecond for rounding. */
			KUNIT_EXPECT_LE_MSG(test, diff, (want >> 30) + 1, "%u kHz, 2^%u s",
					    khz[i], j);
		}
	}
}

static u64 guest_tsc(struct lhv_vcpu *vcpu)
{
	return lhv_guest_tsc(vcpu, rdtsc());
}

static void tsc_writes(struct kunit *test)
{
	struct lhv_vcpu *vcpu = test->priv;
	struct lhv_cpu *cpu = &vcpu->cpu_state;
	u64 khz = vcpu->vm->clock.tsc_khz, first = cpu->tsc_offset, offset;

	/* 0 joins the others... */
	lhv_clock_write_tsc(vcpu, 0, true);
	KUNIT_EXPECT_EQ(test, first, cpu->tsc_offset);
	/* ...a new value counts... */
	lhv_clock_write_tsc(vcpu, khz * 1000 * 1000, true);
	offset = cpu->tsc_offset;
	KUNIT_EXPECT_NE(test, first, offset);
	KUNIT_EXPECT_EQ(test, offset, fake(vcpu)->tsc_offset);
	KUNIT_EXPECT_TRUE(test, test_bit(LHV_REQ_CLOCK, &vcpu->pending));
	KUNIT_EXPECT_GE(test, guest_tsc(vcpu), khz * 1000 * 1000);
	/* ...the same value for the next vCPU means the same TSC... */
	lhv_clock_write_tsc(vcpu, khz * 1000 * 1000, true);
	KUNIT_EXPECT_EQ(test, offset, cpu->tsc_offset);
	lhv_clock_write_tsc(vcpu, khz * 1000 * 1000 + khz, true);
	KUNIT_EXPECT_EQ(test, offset, cpu->tsc_offset);
	lhv_clock_write_tsc(vcpu, 0, true);
	KUNIT_EXPECT_EQ(test, offset, cpu->tsc_offset);
	/* ...and another value another one. */
	lhv_clock_write_tsc(vcpu, khz * 1000 * 5000, true);
	KUNIT_EXPECT_NE(test, offset, cpu->tsc_offset);
	KUNIT_EXPECT_EQ(test, 0ull, cpu->tsc_adjust);
}

static void guest_writes(struct kunit *test)
{
	struct lhv_vcpu *vcpu = test->priv;
	struct lhv_cpu *cpu = &vcpu->cpu_state;
	u64 offset = cpu->tsc_offset;

	lhv_clock_write_tsc(vcpu, 1ull << 50, false);
	KUNIT_EXPECT_EQ(test, cpu->tsc_offset - offset, cpu->tsc_adjust);
	KUNIT_EXPECT_GE(test, guest_tsc(vcpu), 1ull << 50);
	lhv_clock_adjust(vcpu, -cpu->tsc_adjust);
	KUNIT_EXPECT_EQ(test, offset, cpu->tsc_offset);
}

static void rate(struct kunit *test)
{
	struct lhv_vcpu *vcpu = test->priv;
	u32 khz = vcpu->vm->clock.tsc_khz;

	KUNIT_EXPECT_EQ(test, 0, lhv_set_tsc_khz(vcpu, 0));
	KUNIT_EXPECT_EQ(test, 0, lhv_set_tsc_khz(vcpu, khz));
	KUNIT_EXPECT_EQ(test, 0, lhv_set_tsc_khz(vcpu, khz + khz / 8000));
	KUNIT_EXPECT_EQ(test, -EINVAL, lhv_set_tsc_khz(vcpu, khz + khz / 1000));
	KUNIT_EXPECT_EQ(test, -EINVAL, lhv_set_tsc_khz(vcpu, khz / 2));
}

static u64 kvmclock_now(struct kunit *test, struct lhv_vcpu *vcpu)
{
	struct kvm_clock_data d;

	KUNIT_EXPECT_EQ(test, 0, lhv_get_clock(vcpu->vm, &d));
	return d.clock;
}

static void kvmclock(struct kunit *test)
{
	struct lhv_vcpu *vcpu = test->priv;
	struct kvm_clock_data d;
	u64 before, now;

	before = kvmclock_now(test, vcpu);
	now = kvmclock_now(test, vcpu);
	KUNIT_EXPECT_GE(test, now, before);
	KUNIT_EXPECT_LT(test, now, 100 * (u64)NSEC_PER_SEC);

	memset(&d, 0, sizeof(d));
	d.clock = 5000 * (u64)NSEC_PER_SEC;
	KUNIT_EXPECT_EQ(test, 0, lhv_set_clock(vcpu->vm, &d));
	KUNIT_EXPECT_EQ(test, 0, lhv_get_clock(vcpu->vm, &d));
	KUNIT_EXPECT_GE(test, d.clock, 5000 * (u64)NSEC_PER_SEC);
	KUNIT_EXPECT_LT(test, d.clock, 5100 * (u64)NSEC_PER_SEC);
	KUNIT_EXPECT_EQ(test, vcpu->vm->clock.stable, !!(d.flags & KVM_CLOCK_HOST_TSC));

	/* A minute passed while the VM was saved. */
	d.flags = KVM_CLOCK_REALTIME;
	d.clock = 1000 * (u64)NSEC_PER_SEC;
	d.realtime = ktime_get_real_ns() - 60 * (u64)NSEC_PER_SEC;
	KUNIT_EXPECT_EQ(test, 0, lhv_set_clock(vcpu->vm, &d));
	KUNIT_EXPECT_GE(test, kvmclock_now(test, vcpu), 1060 * (u64)NSEC_PER_SEC);
	d.flags = BIT(31);
	KUNIT_EXPECT_EQ(test, -EINVAL, lhv_set_clock(vcpu->vm, &d));
}

static void stopped_flag(struct kunit *test)
{
	struct lhv_vcpu *vcpu = test->priv;

	KUNIT_EXPECT_EQ(test, -EINVAL, lhv_kvmclock_ctrl(vcpu));
	KUNIT_EXPECT_EQ(test, 0, lhv_clock_msr_write(vcpu, MSR_KVM_SYSTEM_TIME_NEW, 0x1001));
	vcpu->pending = 0;
	KUNIT_EXPECT_EQ(test, 0, lhv_kvmclock_ctrl(vcpu));
	KUNIT_EXPECT_TRUE(test, test_bit(LHV_CLOCK_STOPPED, &vcpu->cpu_state.clock_flags));
	KUNIT_EXPECT_TRUE(test, test_bit(LHV_REQ_CLOCK, &vcpu->pending));
	KUNIT_EXPECT_EQ(test, -EINVAL, lhv_clock_msr_write(vcpu, MSR_KVM_STEAL_TIME, 0x1003));
}

static struct kunit_case cases[] = {
	KUNIT_CASE(scale),
	KUNIT_CASE(tsc_writes),
	KUNIT_CASE(guest_writes),
	KUNIT_CASE(rate),
	KUNIT_CASE(kvmclock),
	KUNIT_CASE(stopped_flag),
	{}
};

static struct kunit_suite suite = {
	.name = "lhv_clock",
	.init = fake_init,
	.exit = fake_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
