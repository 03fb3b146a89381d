// SPDX-License-Identifier: GPL-2.0
/* lhv cpu/ - KUnit: events on their way into the guest. Nothing is lost, nothing comes twice. */
#include "cpu_fake.h"

/* SDM Vol 3A, table "Double Fault Generation": rows are the first exception, columns the second. */
static void merge_table(struct kunit *test)
{
	static const u8 benign[] = { X86_TRAP_DB, X86_TRAP_NMI, X86_TRAP_BP, X86_TRAP_OF,
				     X86_TRAP_BR, X86_TRAP_UD, X86_TRAP_NM, X86_TRAP_MF,
				     X86_TRAP_AC, X86_TRAP_MC, X86_TRAP_XF };
	static const u8 contributory[] = { X86_TRAP_DE, X86_TRAP_TS, X86_TRAP_NP, X86_TRAP_SS,
					   X86_TRAP_GP };
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(benign); i++) {
		for (j = 0; j < 32; j++)
			KUNIT_EXPECT_EQ(test, (int)LHV_MERGE_SERIAL,
					(int)lhv_exception_merge(benign[i], j));
		for (j = 0; j < 32; j++)
			KUNIT_EXPECT_EQ(test, (int)LHV_MERGE_SERIAL,
					(int)lhv_exception_merge(j, benign[i]));
	}
	for (i = 0; i < ARRAY_SIZE(contributory); i++) {
		u8 c = contributory[i];

		for (j = 0; j < ARRAY_SIZE(contributory); j++)
			KUNIT_EXPECT_EQ(test, (int)LHV_MERGE_DOUBLE_FAULT,
					(int)lhv_exception_merge(c, contributory[j]));
		KUNIT_EXPECT_EQ(test, (int)LHV_MERGE_SERIAL,
				(int)lhv_exception_merge(c, X86_TRAP_PF));
		KUNIT_EXPECT_EQ(test, (int)LHV_MERGE_DOUBLE_FAULT,
				(int)lhv_exception_merge(X86_TRAP_PF, c));
		KUNIT_EXPECT_EQ(test, (int)LHV_MERGE_TRIPLE_FAULT,
				(int)lhv_exception_merge(X86_TRAP_DF, c));
	}
	KUNIT_EXPECT_EQ(test, (int)LHV_MERGE_DOUBLE_FAULT,
			(int)lhv_exception_merge(X86_TRAP_PF, X86_TRAP_PF));
	KUNIT_EXPECT_EQ(test, (int)LHV_MERGE_TRIPLE_FAULT,
			(int)lhv_exception_merge(X86_TRAP_DF, X86_TRAP_PF));
}

static void inject(struct lhv_vcpu *vcpu)
{
	unsigned long flags;

	local_irq_save(flags);
	clear_bit(LHV_REQ_EVENT, &vcpu->pending);
	lhv_event_inject(vcpu);
	local_irq_restore(flags);
}

/* The guest was entered and took what was handed over. */
static void delivered(struct lhv_vcpu *vcpu)
{
	vcpu->ev.exc.injected = false;
	vcpu->ev.irq.injected = false;
	vcpu->ev.nmi_injected = false;
	fake(vcpu)->exc = -1;
	fake(vcpu)->irq = -1;
	fake(vcpu)->nmi = false;
	fake(vcpu)->irq_window = false;
	fake(vcpu)->nmi_window = false;
}

static void faults_in_faults(struct kunit *test)
{
	struct lhv_vcpu *vcpu = test->priv;

	lhv_queue_pf(vcpu, 0x1000, 2);
	lhv_queue_exception_error(vcpu, X86_TRAP_GP, 8);
	KUNIT_EXPECT_EQ(test, X86_TRAP_DF, (int)vcpu->ev.exc.vector);
	KUNIT_EXPECT_TRUE(test, vcpu->ev.exc.has_error);
	KUNIT_EXPECT_EQ(test, 0u, vcpu->ev.exc.error);
	inject(vcpu);
	KUNIT_EXPECT_EQ(test, X86_TRAP_DF, fake(vcpu)->exc);
	KUNIT_EXPECT_EQ(test, 0ull, vcpu->cr2);

	/* The exit interrupted the delivery of #DF with a page fault. */
	lhv_queue_pf(vcpu, 0x2000, 0);
	KUNIT_EXPECT_TRUE(test, test_bit(LHV_REQ_TRIPLE_FAULT, &vcpu->pending));
	KUNIT_EXPECT_FALSE(test, vcpu->ev.exc.pending || vcpu->ev.exc.injected);
}

static void payloads(struct kunit *test)
{
	struct lhv_vcpu *vcpu = test->priv;

	vcpu->cr0 |= X86_CR0_PE;
	lhv_queue_pf(vcpu, 0xdead000, 4);
	KUNIT_EXPECT_EQ(test, 0ull, vcpu->cr2);
	inject(vcpu);
	KUNIT_EXPECT_EQ(test, 0xdead000ull, vcpu->cr2);
	KUNIT_EXPECT_TRUE(test, vcpu->ev.exc.has_error);
	KUNIT_EXPECT_TRUE(test, vcpu->rflags & X86_EFLAGS_RF);
	delivered(vcpu);

	vcpu->rflags = X86_EFLAGS_FIXED;
	fake(vcpu)->dr6 = lhv_dr6_fix(DR_TRAP0 | DR_SWITCH);
	vcpu->cpu_state.dr7 = lhv_dr7_fix(LHV_DR7_GD);
	lhv_queue_payload(vcpu, X86_TRAP_DB, DR_STEP);
	inject(vcpu);
	KUNIT_EXPECT_EQ(test, lhv_dr6_fix(DR_STEP | DR_SWITCH), fake(vcpu)->dr6);
	KUNIT_EXPECT_EQ(test, lhv_dr7_fix(0), fake(vcpu)->dr7);
	KUNIT_EXPECT_FALSE(test, vcpu->rflags & X86_EFLAGS_RF);
}

static void real_mode_has_no_error_code(struct kunit *test)
{
	struct lhv_vcpu *vcpu = test->priv;

	lhv_queue_exception_error(vcpu, X86_TRAP_GP, 0);
	inject(vcpu);
	KUNIT_EXPECT_FALSE(test, vcpu->ev.exc.has_error);
}

static void in_order_each_once(struct kunit *test)
{
	struct lhv_vcpu *vcpu = test->priv;
	struct fake *f = fake(vcpu);

	lhv_queue_exception(vcpu, X86_TRAP_UD);
	lhv_nmi(vcpu);
	vcpu->ev.user_irq = 0x41;

	inject(vcpu);
	KUNIT_EXPECT_EQ(test, X86_TRAP_UD, f->exc);
	KUNIT_EXPECT_FALSE(test, f->nmi);
	KUNIT_EXPECT_EQ(test, -1, f->irq);
	KUNIT_EXPECT_TRUE(test, f->nmi_window && f->irq_window);
	delivered(vcpu);

	inject(vcpu);
	KUNIT_EXPECT_EQ(test, -1, f->exc);
	KUNIT_EXPECT_TRUE(test, f->nmi);
	KUNIT_EXPECT_EQ(test, -1, f->irq);
	KUNIT_EXPECT_FALSE(test, f->nmi_window);
	KUNIT_EXPECT_TRUE(test, f->irq_window);
	delivered(vcpu);

	inject(vcpu);
	KUNIT_EXPECT_FALSE(test, f->nmi);
	KUNIT_EXPECT_EQ(test, 0x41, f->irq);
	KUNIT_EXPECT_FALSE(test, f->irq_window);
	delivered(vcpu);

	inject(vcpu);
	KUNIT_EXPECT_EQ(test, -1, f->exc);
	KUNIT_EXPECT_FALSE(test, f->nmi);
	KUNIT_EXPECT_EQ(test, -1, f->irq);
	KUNIT_EXPECT_FALSE(test, f->nmi_window || f->irq_window);
	KUNIT_EXPECT_EQ(test, 2ull, vcpu->nr_injections);
}

static void windows(struct kunit *test)
{
	struct lhv_vcpu *vcpu = test->priv;
	struct fake *f = fake(vcpu);

	f->irq_ok = false;
	vcpu->ev.user_irq = 0x30;
	inject(vcpu);
	KUNIT_EXPECT_EQ(test, -1, f->irq);
	KUNIT_EXPECT_TRUE(test, f->irq_window);
	KUNIT_EXPECT_EQ(test, 0x30, vcpu->ev.user_irq);
	delivered(vcpu);
	f->irq_ok = true;
	inject(vcpu);
	KUNIT_EXPECT_EQ(test, 0x30, f->irq);
	KUNIT_EXPECT_EQ(test, -1, vcpu->ev.user_irq);
}

static void nmis(struct kunit *test)
{
	struct lhv_vcpu *vcpu = test->priv;
	struct fake *f = fake(vcpu);
	int i;

	for (i = 0; i < 5; i++)
		lhv_nmi(vcpu);
	KUNIT_EXPECT_EQ(test, 2, atomic_read(&vcpu->ev.nmi_pending));
	inject(vcpu);
	KUNIT_EXPECT_TRUE(test, f->nmi);
	KUNIT_EXPECT_TRUE(test, f->nmi_window);
	delivered(vcpu);

	/* In the handler: one is latched, more are lost. */
	for (i = 0; i < 5; i++)
		lhv_nmi(vcpu);
	inject(vcpu);
	KUNIT_EXPECT_FALSE(test, f->nmi);
	KUNIT_EXPECT_EQ(test, 1, atomic_read(&vcpu->ev.nmi_pending));
	delivered(vcpu);

	f->nmi_mask = false;
	inject(vcpu);
	KUNIT_EXPECT_TRUE(test, f->nmi);
	KUNIT_EXPECT_EQ(test, 0, atomic_read(&vcpu->ev.nmi_pending));
}

/* The exit interrupted an interrupt's delivery, and handling it raised an exception. */
static void interrupted_irq_waits(struct kunit *test)
{
	struct lhv_vcpu *vcpu = test->priv;
	struct fake *f = fake(vcpu);

	vcpu->ev.irq.injected = true;
	vcpu->ev.irq.vector = 0x55;
	inject(vcpu);
	KUNIT_EXPECT_EQ(test, 0x55, f->irq);
	delivered(vcpu);

	vcpu->ev.irq.injected = true;
	lhv_queue_exception(vcpu, X86_TRAP_UD);
	inject(vcpu);
	KUNIT_EXPECT_EQ(test, X86_TRAP_UD, f->exc);
	KUNIT_EXPECT_EQ(test, -1, f->irq);
	KUNIT_EXPECT_TRUE(test, f->irq_window);
	delivered(vcpu);

	/* The handler runs with interrupts off. */
	f->irq_ok = false;
	inject(vcpu);
	KUNIT_EXPECT_EQ(test, -1, f->irq);
	KUNIT_EXPECT_TRUE(test, f->irq_window);
	delivered(vcpu);
	f->irq_ok = true;
	inject(vcpu);
	KUNIT_EXPECT_EQ(test, 0x55, f->irq);
	delivered(vcpu);
	inject(vcpu);
	KUNIT_EXPECT_EQ(test, -1, f->irq);

	/* INTn comes back by itself. */
	vcpu->ev.irq.injected = true;
	vcpu->ev.irq.soft = true;
	lhv_queue_exception(vcpu, X86_TRAP_UD);
	inject(vcpu);
	delivered(vcpu);
	inject(vcpu);
	KUNIT_EXPECT_EQ(test, -1, f->irq);
}

static void interrupted_nmi_waits(struct kunit *test)
{
	struct lhv_vcpu *vcpu = test->priv;
	struct fake *f = fake(vcpu);

	vcpu->ev.nmi_injected = true;
	f->nmi_mask = true;
	lhv_queue_exception(vcpu, X86_TRAP_UD);
	inject(vcpu);
	KUNIT_EXPECT_EQ(test, X86_TRAP_UD, f->exc);
	KUNIT_EXPECT_FALSE(test, f->nmi);
	KUNIT_EXPECT_TRUE(test, f->nmi_window);
	delivered(vcpu);
	inject(vcpu);
	KUNIT_EXPECT_TRUE(test, f->nmi);
	KUNIT_EXPECT_EQ(test, 0, atomic_read(&vcpu->ev.nmi_pending));
}

static void block_irq(struct kunit *test)
{
	struct lhv_vcpu *vcpu = test->priv;
	struct kvm_guest_debug dbg = { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_BLOCKIRQ };
	struct fake *f = fake(vcpu);

	KUNIT_EXPECT_EQ(test, 0, lhv_set_guest_debug(vcpu, &dbg));
	lhv_nmi(vcpu);
	vcpu->ev.user_irq = 0x30;
	inject(vcpu);
	KUNIT_EXPECT_FALSE(test, f->nmi);
	KUNIT_EXPECT_EQ(test, -1, f->irq);

	dbg.control = 0;
	KUNIT_EXPECT_EQ(test, 0, lhv_set_guest_debug(vcpu, &dbg));
	KUNIT_EXPECT_TRUE(test, test_bit(LHV_REQ_EVENT, &vcpu->pending));
	inject(vcpu);
	KUNIT_EXPECT_TRUE(test, f->nmi);

	dbg.control = 1u << 31;
	KUNIT_EXPECT_EQ(test, -EINVAL, lhv_set_guest_debug(vcpu, &dbg));
}

static void vcpu_events(struct kunit *test)
{
	struct lhv_vcpu *vcpu = test->priv;
	struct kvm_vcpu_events a, b;

	vcpu->cr0 |= X86_CR0_PE;
	lhv_queue_pf(vcpu, 0x5000, 6);
	atomic_set(&vcpu->ev.nmi_pending, 1);
	fake(vcpu)->shadow = KVM_X86_SHADOW_INT_STI;
	KUNIT_EXPECT_EQ(test, 0, lhv_get_events(vcpu, &a));
	KUNIT_EXPECT_EQ(test, 1, (int)a.exception.injected);
	KUNIT_EXPECT_EQ(test, X86_TRAP_PF, (int)a.exception.nr);
	KUNIT_EXPECT_EQ(test, 6u, a.exception.error_code);
	KUNIT_EXPECT_EQ(test, 0x5000ull, vcpu->cr2);

	lhv_event_reset(vcpu);
	fake(vcpu)->shadow = 0;
	KUNIT_EXPECT_EQ(test, 0, lhv_set_events(vcpu, &a));
	KUNIT_EXPECT_EQ(test, 0, lhv_get_events(vcpu, &b));
	KUNIT_EXPECT_EQ(test, 0, memcmp(&a, &b, sizeof(a)));

	b = a;
	b.flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
	KUNIT_EXPECT_EQ(test, -EINVAL, lhv_set_events(vcpu, &b));
	b = a;
	b.flags |= KVM_VCPUEVENT_VALID_SMM;
	KUNIT_EXPECT_EQ(test, 0, lhv_set_events(vcpu, &b));
	b.smi.smm = 1;
	KUNIT_EXPECT_EQ(test, -EINVAL, lhv_set_events(vcpu, &b));
	b = a;
	b.exception.nr = X86_TRAP_NMI;
	KUNIT_EXPECT_EQ(test, -EINVAL, lhv_set_events(vcpu, &b));
	b.exception.nr = 32;
	KUNIT_EXPECT_EQ(test, -EINVAL, lhv_set_events(vcpu, &b));
	b = a;
	b.interrupt.shadow = 0x80;
	KUNIT_EXPECT_EQ(test, -EINVAL, lhv_set_events(vcpu, &b));
	b = a;
	b.nmi.pending = 200;
	KUNIT_EXPECT_EQ(test, 0, lhv_set_events(vcpu, &b));
	KUNIT_EXPECT_EQ(test, 2, atomic_read(&vcpu->ev.nmi_pending));
}

static struct kunit_case cases[] = {
	KUNIT_CASE(merge_table),
	KUNIT_CASE(faults_in_faults),
	KUNIT_CASE(payloads),
	KUNIT_CASE(real_mode_has_no_error_code),
	KUNIT_CASE(in_order_each_once),
	KUNIT_CASE(windows),
	KUNIT_CASE(nmis),
	KUNIT_CASE(interrupted_irq_waits),
	KUNIT_CASE(interrupted_nmi_waits),
	KUNIT_CASE(block_irq),
	KUNIT_CASE(vcpu_events),
	{}
};

static struct kunit_suite suite = {
	.name = "lhv_event",
	.init = fake_init,
	.exit = fake_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
