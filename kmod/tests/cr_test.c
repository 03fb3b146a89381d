// SPDX-License-Identifier: GPL-2.0
/* lhv cpu/ - KUnit: control registers, register ioctls, debug registers, XSAVE images, reset. */
#include <asm/fpu/types.h>
#include <asm/kvm_para.h>

#include "cpu_fake.h"

static void cr0_rules(struct kunit *test)
{
	KUNIT_EXPECT_TRUE(test, lhv_cr0_valid(0));
	KUNIT_EXPECT_TRUE(test, lhv_cr0_valid(X86_CR0_PE | X86_CR0_PG));
	KUNIT_EXPECT_FALSE(test, lhv_cr0_valid(X86_CR0_PG));
	KUNIT_EXPECT_FALSE(test, lhv_cr0_valid(X86_CR0_NW));
	KUNIT_EXPECT_TRUE(test, lhv_cr0_valid(X86_CR0_NW | X86_CR0_CD));
	KUNIT_EXPECT_FALSE(test, lhv_cr0_valid(BIT_ULL(32)));
}

static void xcr0_rules(struct kunit *test)
{
	u64 all = XFEATURE_MASK_FPSSE | XFEATURE_MASK_YMM | XFEATURE_MASK_AVX512 |
		  XFEATURE_MASK_PKRU;

	KUNIT_EXPECT_TRUE(test, lhv_xcr0_valid(XFEATURE_MASK_FP, all));
	KUNIT_EXPECT_TRUE(test, lhv_xcr0_valid(all, all));
	KUNIT_EXPECT_FALSE(test, lhv_xcr0_valid(0, all));
	KUNIT_EXPECT_FALSE(test, lhv_xcr0_valid(XFEATURE_MASK_SSE, all));
	KUNIT_EXPECT_FALSE(test, lhv_xcr0_valid(XFEATURE_MASK_FP | XFEATURE_MASK_YMM, all));
	KUNIT_EXPECT_FALSE(test, lhv_xcr0_valid(XFEATURE_MASK_FPSSE | XFEATURE_MASK_AVX512, all));
	KUNIT_EXPECT_FALSE(test, lhv_xcr0_valid(XFEATURE_MASK_FPSSE | XFEATURE_MASK_YMM |
						XFEATURE_MASK_OPMASK, all));
	KUNIT_EXPECT_FALSE(test, lhv_xcr0_valid(all, all & ~(u64)XFEATURE_MASK_PKRU));
	KUNIT_EXPECT_FALSE(test, lhv_xcr0_valid(XFEATURE_MASK_FP | BIT_ULL(63), all));
}

static void into_long_mode_and_out(struct kunit *test)
{
	struct lhv_vcpu *vcpu = test->priv;
	u64 pg = X86_CR0_PE | X86_CR0_PG;

	vcpu->efer = EFER_LME;
	KUNIT_EXPECT_NE(test, 0, lhv_set_cr0(vcpu, pg));	/* no PAE */
	KUNIT_EXPECT_EQ(test, 0, lhv_set_cr4(vcpu, X86_CR4_PAE));
	fake(vcpu)->seg[LHV_CS].l = 1;
	KUNIT_EXPECT_NE(test, 0, lhv_set_cr0(vcpu, pg));	/* CS.L */
	fake(vcpu)->seg[LHV_CS].l = 0;
	fake(vcpu)->flushes = 0;
	KUNIT_EXPECT_EQ(test, 0, lhv_set_cr0(vcpu, pg));
	KUNIT_EXPECT_TRUE(test, lhv_long_mode(vcpu));
	KUNIT_EXPECT_EQ(test, 1, fake(vcpu)->flushes);
	KUNIT_EXPECT_TRUE(test, vcpu->cr0 & X86_CR0_ET);

	KUNIT_EXPECT_NE(test, 0, lhv_set_cr4(vcpu, 0));		/* PAE stays on */
	KUNIT_EXPECT_NE(test, 0, lhv_set_efer(vcpu, 0, false));	/* LME stays on */
	fake(vcpu)->seg[LHV_CS].l = 1;
	KUNIT_EXPECT_NE(test, 0, lhv_set_cr0(vcpu, X86_CR0_PE));
	fake(vcpu)->seg[LHV_CS].l = 0;
	KUNIT_EXPECT_EQ(test, 0, lhv_set_cr0(vcpu, X86_CR0_PE));
	KUNIT_EXPECT_FALSE(test, lhv_long_mode(vcpu));
}

static void cr4_rules(struct kunit *test)
{
	struct lhv_vcpu *vcpu = test->priv;

	vcpu->cpu_state.cr4_reserved |= X86_CR4_SMEP;	/* as where CPUID does not have it */
	KUNIT_EXPECT_NE(test, 0, lhv_set_cr4(vcpu, X86_CR4_SMEP));
	KUNIT_EXPECT_NE(test, 0, lhv_set_cr4(vcpu, X86_CR4_VMXE));
	KUNIT_EXPECT_NE(test, 0, lhv_set_cr4(vcpu, BIT_ULL(40)));
	KUNIT_EXPECT_EQ(test, 0, lhv_set_cr4(vcpu, X86_CR4_PSE | X86_CR4_PGE));

	vcpu->cpu_state.cr4_reserved &= ~(u64)X86_CR4_PCIDE;
	KUNIT_EXPECT_NE(test, 0, lhv_set_cr4(vcpu, X86_CR4_PCIDE));	/* not in long mode */
	vcpu->efer = EFER_LME | EFER_LMA;
	fake(vcpu)->cr3 = 0x1001;
	KUNIT_EXPECT_NE(test, 0, lhv_set_cr4(vcpu, X86_CR4_PAE | X86_CR4_PCIDE));
	fake(vcpu)->cr3 = 0x1000;
	KUNIT_EXPECT_EQ(test, 0, lhv_set_cr4(vcpu, X86_CR4_PAE | X86_CR4_PCIDE));

	fake(vcpu)->flushes = 0;
	KUNIT_EXPECT_EQ(test, 0, lhv_set_cr3(vcpu, 0x2000 | X86_CR3_PCID_NOFLUSH));
	KUNIT_EXPECT_EQ(test, 0, fake(vcpu)->flushes);
	KUNIT_EXPECT_EQ(test, 0x2000ull, fake(vcpu)->cr3);
	KUNIT_EXPECT_EQ(test, 0, lhv_set_cr3(vcpu, 0x3000));
	KUNIT_EXPECT_EQ(test, 1, fake(vcpu)->flushes);
	KUNIT_EXPECT_NE(test, 0, lhv_set_cr3(vcpu, BIT_ULL(51)));	/* beyond MAXPHYADDR */
}

static void osxsave_leaves_the_atomic_tier(struct kunit *test)
{
	struct lhv_vcpu *vcpu = test->priv;

	vcpu->cpu_state.cr4_reserved &= ~(u64)X86_CR4_OSXSAVE;
	vcpu->pending = 0;
	vcpu->atomic = true;
	KUNIT_EXPECT_EQ(test, 0, lhv_set_cr4(vcpu, X86_CR4_OSXSAVE));
	KUNIT_EXPECT_TRUE(test, vcpu->pending & LHV_SLOW_REQS);
	vcpu->atomic = false;
}

static void sregs(struct kunit *test)
{
	struct lhv_vcpu *vcpu = test->priv;
	struct kvm_sregs s, t;

	KUNIT_EXPECT_EQ(test, 0, lhv_get_sregs(vcpu, &s));
	KUNIT_EXPECT_EQ(test, 0, lhv_set_sregs(vcpu, &s));
	KUNIT_EXPECT_EQ(test, 0, lhv_get_sregs(vcpu, &t));
	KUNIT_EXPECT_EQ(test, 0, memcmp(&s, &t, sizeof(s)));

	t = s;
	t.cs.l = 1;
	KUNIT_EXPECT_EQ(test, -EINVAL, lhv_set_sregs(vcpu, &t));
	t = s;
	t.efer = EFER_LME | EFER_LMA;
	KUNIT_EXPECT_EQ(test, -EINVAL, lhv_set_sregs(vcpu, &t));
	t.cr0 = X86_CR0_PE | X86_CR0_PG;
	KUNIT_EXPECT_EQ(test, -EINVAL, lhv_set_sregs(vcpu, &t));
	t.cr4 = X86_CR4_PAE;
	t.cs.l = 1;
	KUNIT_EXPECT_EQ(test, 0, lhv_set_sregs(vcpu, &t));
	t.efer = EFER_LME;
	KUNIT_EXPECT_EQ(test, -EINVAL, lhv_set_sregs(vcpu, &t));
	t = s;
	t.cr8 = 16;
	KUNIT_EXPECT_EQ(test, -EINVAL, lhv_set_sregs(vcpu, &t));
	t = s;
	t.efer = EFER_SVME;
	KUNIT_EXPECT_EQ(test, -EINVAL, lhv_set_sregs(vcpu, &t));

	/* An interrupt that was on its way goes on. */
	t = s;
	t.interrupt_bitmap[0x61 / 64] = BIT_ULL(0x61 % 64);
	KUNIT_EXPECT_EQ(test, 0, lhv_set_sregs(vcpu, &t));
	KUNIT_EXPECT_TRUE(test, vcpu->ev.irq.queued);
	KUNIT_EXPECT_EQ(test, 0x61, (int)vcpu->ev.irq.vector);
	KUNIT_EXPECT_EQ(test, 0, lhv_get_sregs(vcpu, &s));
	KUNIT_EXPECT_EQ(test, 0, memcmp(&s, &t, sizeof(s)));
}

static void regs(struct kunit *test)
{
	struct lhv_vcpu *vcpu = test->priv;
	struct kvm_regs a, b;
	unsigned int i;

	for (i = 0; i < sizeof(a) / sizeof(u64); i++)
		((u64 *)&a)[i] = 0x1111111111111111ull * (i + 1);
	a.rflags = X86_EFLAGS_FIXED | X86_EFLAGS_IF;
	lhv_queue_exception(vcpu, X86_TRAP_UD);
	KUNIT_EXPECT_EQ(test, 0, lhv_set_regs(vcpu, &a));
	KUNIT_EXPECT_FALSE(test, vcpu->ev.exc.pending);
	lhv_get_regs(vcpu, &b);
	KUNIT_EXPECT_EQ(test, 0, memcmp(&a, &b, sizeof(a)));
	KUNIT_EXPECT_EQ(test, a.r9, vcpu->regs[LHV_R9]);
}

static void reset_state(struct kunit *test)
{
	struct lhv_vcpu *vcpu = test->priv;
	struct lhv_cpu *cpu = &vcpu->cpu_state;

	KUNIT_EXPECT_EQ(test, 0x60000010ull, vcpu->cr0);
	KUNIT_EXPECT_EQ(test, 0xfff0ull, vcpu->rip);
	KUNIT_EXPECT_EQ(test, 2ull, vcpu->rflags);
	KUNIT_EXPECT_EQ(test, 0x600ull, vcpu->regs[LHV_RDX]);
	KUNIT_EXPECT_EQ(test, 0xffff0ff0ull, fake(vcpu)->dr6);
	KUNIT_EXPECT_EQ(test, 0x400ull, cpu->dr7);
	KUNIT_EXPECT_EQ(test, 1ull, cpu->xcr0);

	/* INIT keeps what the manual says it keeps. */
	vcpu->cr0 = X86_CR0_PE | X86_CR0_CD | X86_CR0_ET;
	cpu->pat = 0x0606060606060606ull;
	cpu->xcr0 = 7;
	cpu->db[2] = 5;
	cpu->kvmclock_msr = 0x1000 | KVM_MSR_ENABLED;
	cpu->steal_msr = 0x2000 | KVM_MSR_ENABLED;
	cpu->steal_hinted = true;
	lhv_cpu_reset(vcpu, true);
	/* Nothing is written any more to where the one before had its records. */
	KUNIT_EXPECT_EQ(test, 0ull, cpu->kvmclock_msr);
	KUNIT_EXPECT_EQ(test, 0ull, cpu->steal_msr);
	KUNIT_EXPECT_FALSE(test, cpu->steal_hinted);
	KUNIT_EXPECT_EQ(test, (u64)(X86_CR0_CD | X86_CR0_ET), vcpu->cr0);
	KUNIT_EXPECT_EQ(test, 0x0606060606060606ull, cpu->pat);
	KUNIT_EXPECT_EQ(test, 7ull, cpu->xcr0);
	KUNIT_EXPECT_EQ(test, 0ull, cpu->db[2]);
}

static void debug_registers(struct kunit *test)
{
	struct lhv_vcpu *vcpu = test->priv;
	struct kvm_debugregs d;
	u64 val;

	KUNIT_EXPECT_EQ(test, 0, lhv_set_dr(vcpu, 7, 0xffffffff));
	KUNIT_EXPECT_EQ(test, 0, lhv_get_dr(vcpu, 5, &val));
	KUNIT_EXPECT_EQ(test, 0xffff27ffull, val);
	KUNIT_EXPECT_EQ(test, 0, lhv_set_dr(vcpu, 6, 0));
	KUNIT_EXPECT_EQ(test, 0, lhv_get_dr(vcpu, 4, &val));
	KUNIT_EXPECT_EQ(test, 0xffff0ff0ull, val);
	KUNIT_EXPECT_EQ(test, X86_TRAP_GP, lhv_set_dr(vcpu, 6, BIT_ULL(32)));
	KUNIT_EXPECT_EQ(test, X86_TRAP_GP, lhv_set_dr(vcpu, 7, BIT_ULL(32)));
	vcpu->cr4 |= X86_CR4_DE;
	KUNIT_EXPECT_EQ(test, X86_TRAP_UD, lhv_get_dr(vcpu, 4, &val));
	KUNIT_EXPECT_EQ(test, X86_TRAP_UD, lhv_set_dr(vcpu, 8, 0));

	KUNIT_EXPECT_EQ(test, 0, lhv_get_debugregs(vcpu, &d));
	KUNIT_EXPECT_EQ(test, 0, lhv_set_debugregs(vcpu, &d));
	d.flags = 1;
	KUNIT_EXPECT_EQ(test, -EINVAL, lhv_set_debugregs(vcpu, &d));
	d.flags = 0;
	d.dr7 = BIT_ULL(35);
	KUNIT_EXPECT_EQ(test, -EINVAL, lhv_set_debugregs(vcpu, &d));
}

static void xsave_images(struct kunit *test)
{
	u64 offered = XFEATURE_MASK_FPSSE | XFEATURE_MASK_YMM;
	struct xregs_state *x = kunit_kzalloc(test, sizeof(*x), GFP_KERNEL);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, x);
	KUNIT_EXPECT_TRUE(test, lhv_xsave_valid(x, offered, 0xffbf));
	x->header.xfeatures = offered;
	x->i387.mxcsr = 0x1f80;
	KUNIT_EXPECT_TRUE(test, lhv_xsave_valid(x, offered, 0xffbf));
	x->i387.mxcsr = 0x1fc0;		/* DAZ */
	KUNIT_EXPECT_FALSE(test, lhv_xsave_valid(x, offered, 0xffbf));
	KUNIT_EXPECT_TRUE(test, lhv_xsave_valid(x, offered, 0xffff));
	x->i387.mxcsr = BIT(16);
	KUNIT_EXPECT_FALSE(test, lhv_xsave_valid(x, offered, 0xffff));
	x->i387.mxcsr = 0x1f80;
	x->header.xfeatures |= XFEATURE_MASK_OPMASK;
	KUNIT_EXPECT_FALSE(test, lhv_xsave_valid(x, offered, 0xffff));
	x->header.xfeatures = offered;
	x->header.xcomp_bv = BIT_ULL(63);
	KUNIT_EXPECT_FALSE(test, lhv_xsave_valid(x, offered, 0xffff));
	x->header.xcomp_bv = 0;
	x->header.reserved[5] = 1;
	KUNIT_EXPECT_FALSE(test, lhv_xsave_valid(x, offered, 0xffff));
}

static void xsave_round_trip(struct kunit *test)
{
	struct lhv_vcpu *vcpu = test->priv;
	size_t size = sizeof(struct kvm_xsave);
	u8 *a = kunit_kzalloc(test, size, GFP_KERNEL), *b = kunit_kzalloc(test, size, GFP_KERNEL);
	struct kvm_fpu *fpu = kunit_kzalloc(test, sizeof(*fpu), GFP_KERNEL);
	struct xregs_state *x = (void *)a;
	u32 offset, len;

	KUNIT_ASSERT_TRUE(test, a && b && fpu);
	KUNIT_EXPECT_EQ(test, 0, lhv_get_fpu(vcpu, fpu));
	KUNIT_EXPECT_EQ(test, 0x37f, (int)fpu->fcw);
	KUNIT_EXPECT_EQ(test, 0x1f80u, fpu->mxcsr);
	memset(fpu->xmm, 0x5a, sizeof(fpu->xmm));
	KUNIT_EXPECT_EQ(test, 0, lhv_set_fpu(vcpu, fpu));
	fpu->mxcsr = BIT(31);
	KUNIT_EXPECT_EQ(test, -EINVAL, lhv_set_fpu(vcpu, fpu));

	KUNIT_EXPECT_EQ(test, 0, lhv_get_xsave(vcpu, a, size));
	KUNIT_EXPECT_EQ(test, 0x5a5a5a5au, x->i387.xmm_space[3]);
	if (lhv_xstate_component(XFEATURE_PKRU, &offset, &len)) {
		x->header.xfeatures |= XFEATURE_MASK_PKRU;
		*(u32 *)(a + offset) = 0x54;
	}
	lhv_cpu_reset(vcpu, false);
	KUNIT_EXPECT_EQ(test, 0, lhv_set_xsave(vcpu, a, size));
	KUNIT_EXPECT_EQ(test, 0, lhv_get_xsave(vcpu, b, size));
	KUNIT_EXPECT_EQ(test, 0, memcmp(a, b, size));
	if (lhv_xstate_component(XFEATURE_PKRU, &offset, &len))
		KUNIT_EXPECT_EQ(test, 0x54u, vcpu->cpu_state.pkru);
	KUNIT_EXPECT_FALSE(test, lhv_host_fpu_area(vcpu->cpu_state.fpu)->header.xfeatures &
				 XFEATURE_MASK_PKRU);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(cr0_rules),
	KUNIT_CASE(xcr0_rules),
	KUNIT_CASE(into_long_mode_and_out),
	KUNIT_CASE(cr4_rules),
	KUNIT_CASE(osxsave_leaves_the_atomic_tier),
	KUNIT_CASE(sregs),
	KUNIT_CASE(regs),
	KUNIT_CASE(reset_state),
	KUNIT_CASE(debug_registers),
	KUNIT_CASE(xsave_images),
	KUNIT_CASE(xsave_round_trip),
	{}
};

static struct kunit_suite suite = {
	.name = "lhv_cr",
	.init = fake_init,
	.exit = fake_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
