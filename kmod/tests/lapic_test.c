// SPDX-License-Identifier: GPL-2.0
/* KUnit: the local APIC: priorities, destinations, registers, timer. */
#include <linux/delay.h>

#include "irq_fixture.h"

/* The x2APIC MSR of a register. */
#define X2(reg)	(APIC_BASE_MSR + ((reg) >> 4))

static struct irq_fixture f;

static int lapic_init(struct kunit *test)
{
	f.vm = NULL;
	fixture_init(test, &f, false, 4);
	for (int i = 0; i < f.nr; i++)
		fixture_enable(lhv_vcpu_at(f.vm, i));
	return 0;
}

static void lapic_exit(struct kunit *test)
{
	fixture_exit(&f);
}

static struct lhv_vcpu *cpu(int i)
{
	return lhv_vcpu_at(f.vm, i);
}

static int send(u32 dest, u16 mode, u8 vector, bool logical, bool level)
{
	struct lhv_apic_msg msg = {
		.dest = dest, .mode = mode, .vector = vector, .logical = logical, .level = level,
		.lowest = mode == APIC_DM_LOWEST,
	};

	return lhv_apic_deliver(f.vm, NULL, &msg);
}

static bool requested(struct lhv_vcpu *vcpu, u8 vector)
{
	return apic_read(vcpu, APIC_IRR + (vector >> 5) * 0x10) & BIT(vector & 31);
}

static void priorities(struct kunit *test)
{
	struct lhv_vcpu *vcpu = cpu(1);

	KUNIT_EXPECT_FALSE(test, lhv_irq_pending(vcpu));
	KUNIT_EXPECT_EQ(test, send(1, APIC_DM_FIXED, 0x31, false, false), 1);
	KUNIT_EXPECT_EQ(test, send(1, APIC_DM_FIXED, 0x31, false, false), 0);
	KUNIT_EXPECT_TRUE(test, test_bit(LHV_REQ_EVENT, &vcpu->pending));
	KUNIT_EXPECT_EQ(test, lhv_irq_ack(vcpu), 0x31);
	KUNIT_EXPECT_EQ(test, apic_read(vcpu, APIC_PROCPRI), 0x30);
	KUNIT_EXPECT_EQ(test, lhv_irq_ack(vcpu), -1);

	/* Same class waits, a higher one nests. */
	send(1, APIC_DM_FIXED, 0x3f, false, false);
	KUNIT_EXPECT_FALSE(test, lhv_irq_pending(vcpu));
	KUNIT_EXPECT_FALSE(test, lhv_irq_masked_by_tpr(vcpu));
	send(1, APIC_DM_FIXED, 0x42, false, false);
	KUNIT_EXPECT_EQ(test, lhv_irq_ack(vcpu), 0x42);
	KUNIT_EXPECT_EQ(test, apic_read(vcpu, APIC_PROCPRI), 0x40);
	apic_write(vcpu, APIC_EOI, 0);
	KUNIT_EXPECT_EQ(test, lhv_irq_ack(vcpu), -1);
	apic_write(vcpu, APIC_EOI, 0);
	KUNIT_EXPECT_EQ(test, lhv_irq_ack(vcpu), 0x3f);
	apic_write(vcpu, APIC_EOI, 0);
	apic_write(vcpu, APIC_EOI, 0);
	KUNIT_EXPECT_EQ(test, apic_read(vcpu, APIC_PROCPRI), 0);
}

static void task_priority(struct kunit *test)
{
	struct lhv_vcpu *vcpu = cpu(0);

	apic_write(vcpu, APIC_TASKPRI, 0x55);
	KUNIT_EXPECT_EQ(test, vcpu->cr8, 5);
	KUNIT_EXPECT_EQ(test, apic_read(vcpu, APIC_PROCPRI), 0x55);
	send(0, APIC_DM_FIXED, 0x5f, false, false);
	KUNIT_EXPECT_FALSE(test, lhv_irq_pending(vcpu));
	KUNIT_EXPECT_TRUE(test, lhv_irq_masked_by_tpr(vcpu));

	/* CR8 without an exit: only the backend's copy changed. */
	vcpu->cr8 = 4;
	KUNIT_EXPECT_TRUE(test, lhv_irq_pending(vcpu));
	KUNIT_EXPECT_EQ(test, apic_read(vcpu, APIC_TASKPRI), 0x40);
	lhv_lapic_set_cr8(vcpu, 15);
	KUNIT_EXPECT_FALSE(test, lhv_irq_pending(vcpu));
	lhv_lapic_set_cr8(vcpu, 0);
	KUNIT_EXPECT_EQ(test, lhv_irq_ack(vcpu), 0x5f);
}

static void level_eoi(struct kunit *test)
{
	struct lhv_vcpu *vcpu = cpu(2);

	send(2, APIC_DM_FIXED, 0x61, false, true);
	KUNIT_EXPECT_EQ(test, apic_read(vcpu, APIC_TMR + 0x30), BIT(1));
	KUNIT_EXPECT_EQ(test, lhv_irq_ack(vcpu), 0x61);
	apic_write(vcpu, APIC_EOI, 0);
	KUNIT_EXPECT_TRUE(test, test_bit(LHV_REQ_IOAPIC_EOI, &vcpu->pending));
	KUNIT_EXPECT_EQ(test, vcpu->pending_eoi, 0x61);

	clear_bit(LHV_REQ_IOAPIC_EOI, &vcpu->pending);
	send(2, APIC_DM_FIXED, 0x61, false, false);
	lhv_irq_ack(vcpu);
	apic_write(vcpu, APIC_EOI, 0);
	KUNIT_EXPECT_FALSE(test, test_bit(LHV_REQ_IOAPIC_EOI, &vcpu->pending));
}

static void logical(struct kunit *test)
{
	int i;

	for (i = 0; i < 4; i++)
		apic_write(cpu(i), APIC_LDR, BIT(i) << 24);
	KUNIT_EXPECT_EQ(test, send(0x05, APIC_DM_FIXED, 0x40, true, false), 2);
	KUNIT_EXPECT_TRUE(test, requested(cpu(0), 0x40));
	KUNIT_EXPECT_FALSE(test, requested(cpu(1), 0x40));
	KUNIT_EXPECT_TRUE(test, requested(cpu(2), 0x40));
	KUNIT_EXPECT_EQ(test, send(0xff, APIC_DM_FIXED, 0x41, true, false), 4);

	/* Cluster 2: members 0 and 1. */
	for (i = 0; i < 4; i++) {
		apic_write(cpu(i), APIC_DFR, APIC_DFR_CLUSTER);
		apic_write(cpu(i), APIC_LDR, (0x10 * (i / 2 + 1) | BIT(i & 1)) << 24);
	}
	KUNIT_EXPECT_EQ(test, send(0x23, APIC_DM_FIXED, 0x42, true, false), 2);
	KUNIT_EXPECT_FALSE(test, requested(cpu(1), 0x42));
	KUNIT_EXPECT_TRUE(test, requested(cpu(2), 0x42));
	KUNIT_EXPECT_TRUE(test, requested(cpu(3), 0x42));
	KUNIT_EXPECT_EQ(test, send(0x31, APIC_DM_FIXED, 0x43, true, false), -1);
}

static void lowest_priority(struct kunit *test)
{
	int i, v, n[4] = {};

	for (v = 0x50; v < 0x70; v++) {
		KUNIT_EXPECT_EQ(test, send(0xff, APIC_DM_LOWEST, v, true, false), 1);
		for (i = 0; i < 4; i++)
			n[i] += requested(cpu(i), v);
	}
	for (i = 0; i < 4; i++)
		KUNIT_EXPECT_EQ(test, n[i], 8);

	/* One that is switched off is not chosen. */
	apic_write(cpu(1), APIC_SPIV, 0xff);
	for (v = 0x70; v < 0x90; v++) {
		send(0xff, APIC_DM_LOWEST, v, true, false);
		KUNIT_EXPECT_FALSE(test, requested(cpu(1), v));
	}
}

static void physical(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, send(9, APIC_DM_FIXED, 0x40, false, false), -1);
	KUNIT_EXPECT_EQ(test, send(0xff, APIC_DM_FIXED, 0x40, false, false), 4);
	/* The id is software's in xAPIC mode. */
	apic_write(cpu(3), APIC_ID, 9 << 24);
	KUNIT_EXPECT_EQ(test, send(9, APIC_DM_FIXED, 0x41, false, false), 1);
	KUNIT_EXPECT_TRUE(test, requested(cpu(3), 0x41));
	KUNIT_EXPECT_EQ(test, send(3, APIC_DM_FIXED, 0x41, false, false), -1);
	/* Twice the same: both hear it. */
	apic_write(cpu(3), APIC_ID, 0);
	KUNIT_EXPECT_EQ(test, send(0, APIC_DM_FIXED, 0x44, false, false), 2);
	apic_write(cpu(3), APIC_ID, 3 << 24);
	KUNIT_EXPECT_EQ(test, send(0, APIC_DM_FIXED, 0x45, false, false), 1);
}

static void ipis(struct kunit *test)
{
	apic_write(cpu(0), APIC_ICR2, 2 << 24);
	apic_write(cpu(0), APIC_ICR, APIC_DM_FIXED | 0x33);
	KUNIT_EXPECT_TRUE(test, requested(cpu(2), 0x33));
	apic_write(cpu(0), APIC_ICR, APIC_DEST_ALLBUT | 0x34);
	KUNIT_EXPECT_FALSE(test, requested(cpu(0), 0x34));
	KUNIT_EXPECT_TRUE(test, requested(cpu(1), 0x34) && requested(cpu(3), 0x34));
	apic_write(cpu(0), APIC_ICR, APIC_DEST_SELF | 0x35);
	KUNIT_EXPECT_TRUE(test, requested(cpu(0), 0x35));
	KUNIT_EXPECT_FALSE(test, requested(cpu(1), 0x35));
	apic_write(cpu(0), APIC_ICR, APIC_DEST_ALLINC | 0x36);
	KUNIT_EXPECT_TRUE(test, requested(cpu(0), 0x36) && requested(cpu(3), 0x36));

	apic_write(cpu(0), APIC_ICR, APIC_DM_NMI);
	KUNIT_EXPECT_EQ(test, atomic_read(&cpu(2)->ev.nmi_pending), 1);

	/* INIT, then SIPI; a level de-assert is nothing. */
	apic_write(cpu(0), APIC_ICR, APIC_DM_INIT | APIC_INT_LEVELTRIG);
	KUNIT_EXPECT_FALSE(test, lhv_lapic_has_events(cpu(2)));
	apic_write(cpu(0), APIC_ICR, APIC_DM_INIT | APIC_INT_LEVELTRIG | APIC_INT_ASSERT);
	KUNIT_EXPECT_TRUE(test, lhv_lapic_has_events(cpu(2)));
	KUNIT_EXPECT_TRUE(test, test_bit(LHV_REQ_APIC, &cpu(2)->pending));
	apic_write(cpu(0), APIC_ICR, APIC_DM_STARTUP | 0x9a);
	KUNIT_EXPECT_EQ(test, cpu(2)->lapic->sipi_vector, 0x9a);
	KUNIT_EXPECT_EQ(test, cpu(2)->lapic->events, BIT(LHV_APIC_INIT) | BIT(LHV_APIC_SIPI));
}

static void errors(struct kunit *test)
{
	struct lhv_vcpu *vcpu = cpu(1);

	apic_write(vcpu, APIC_LVTERR, 0x77);
	apic_write(vcpu, APIC_ICR, APIC_DEST_SELF | 5);
	KUNIT_EXPECT_EQ(test, apic_read(vcpu, APIC_ESR), 0);
	apic_write(vcpu, APIC_ESR, 0);
	KUNIT_EXPECT_EQ(test, apic_read(vcpu, APIC_ESR), APIC_ESR_SENDILL);
	apic_write(vcpu, APIC_ESR, 0);
	KUNIT_EXPECT_EQ(test, apic_read(vcpu, APIC_ESR), 0);
	KUNIT_EXPECT_EQ(test, lhv_irq_ack(vcpu), 0x77);
	send(1, APIC_DM_FIXED, 3, false, false);
	apic_write(vcpu, APIC_ESR, 0);
	KUNIT_EXPECT_EQ(test, apic_read(vcpu, APIC_ESR), APIC_ESR_RECVILL);
	/* A bad vector in LVTERR itself does not go round in circles. */
	apic_write(vcpu, APIC_LVTERR, 2);
	send(1, APIC_DM_FIXED, 3, false, false);
}

static void registers(struct kunit *test)
{
	struct lhv_vcpu *vcpu = cpu(3);
	u8 byte = 0xff;

	KUNIT_EXPECT_EQ(test, apic_read(vcpu, APIC_ID), 3 << 24);
	KUNIT_EXPECT_EQ(test, GET_APIC_MAXLVT(apic_read(vcpu, APIC_LVR)), 5);
	vcpu->cpu_state.mcg_cap = MCG_CMCI_P;
	KUNIT_EXPECT_EQ(test, GET_APIC_MAXLVT(apic_read(vcpu, APIC_LVR)), 6);
	apic_write(vcpu, APIC_LVT0, 0xffffffff);
	KUNIT_EXPECT_EQ(test, apic_read(vcpu, APIC_LVT0),
			APIC_VECTOR_MASK | APIC_MODE_MASK | APIC_INPUT_POLARITY |
			APIC_LVT_LEVEL_TRIGGER | APIC_LVT_MASKED);
	/* No deadline mode without the CPUID bit. */
	apic_write(vcpu, APIC_LVTT, APIC_LVT_TIMER_TSCDEADLINE | 0x40);
	KUNIT_EXPECT_EQ(test, apic_read(vcpu, APIC_LVTT), 0x40);
	apic_write(vcpu, APIC_SPIV, 0xff);
	KUNIT_EXPECT_EQ(test, apic_read(vcpu, APIC_LVTT), APIC_LVT_MASKED | 0x40);
	apic_write(vcpu, APIC_LVTT, 0x41);
	KUNIT_EXPECT_EQ(test, apic_read(vcpu, APIC_LVTT), APIC_LVT_MASKED | 0x41);

	/* Odd accesses do no harm. */
	lhv_lapic_mmio_write(vcpu, APIC_TASKPRI, 1, &byte);
	KUNIT_EXPECT_EQ(test, apic_read(vcpu, APIC_TASKPRI), 0);
	lhv_lapic_mmio_read(vcpu, APIC_ID + 3, 1, &byte);
	KUNIT_EXPECT_EQ(test, byte, 3);
	KUNIT_EXPECT_EQ(test, apic_read(vcpu, 0xff0), 0);
}

static void x2apic(struct kunit *test)
{
	u64 val;
	int i;

	KUNIT_EXPECT_EQ(test, lhv_lapic_msr_read(cpu(0), X2(APIC_ID), &val),
			-EINVAL);
	for (i = 0; i < 4; i++)
		cpu(i)->lapic->base_msr |= X2APIC_ENABLE;
	lhv_lapic_published(f.vm);

	KUNIT_EXPECT_EQ(test, lhv_lapic_msr_read(cpu(3), X2(APIC_ID), &val), 0);
	KUNIT_EXPECT_EQ(test, val, 3);
	KUNIT_EXPECT_EQ(test, lhv_lapic_msr_write(cpu(3), X2(APIC_ID), 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, lhv_lapic_msr_write(cpu(3), X2(APIC_EOI), 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, lhv_lapic_msr_read(cpu(3), X2(APIC_EOI), &val),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, lhv_lapic_msr_read(cpu(3), X2(APIC_DFR), &val),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, lhv_lapic_msr_write(cpu(3), X2(APIC_TASKPRI), 0x100),
			-EINVAL);

	/* Cluster 0, members 1 and 3. */
	KUNIT_EXPECT_EQ(test, lhv_lapic_msr_write(cpu(0), X2(APIC_ICR),
						  0xaULL << 32 | APIC_DEST_LOGICAL | 0x44), 0);
	for (int i = 0; i < 4; i++)
		KUNIT_EXPECT_EQ(test, lhv_irq_waiting_class(cpu(i)), i == 1 || i == 3 ? 4 : 0);
	KUNIT_EXPECT_EQ(test, lhv_lapic_msr_read(cpu(0), X2(APIC_ICR), &val), 0);
	KUNIT_EXPECT_EQ(test, val, 0xaULL << 32 | APIC_DEST_LOGICAL | 0x44);
	KUNIT_EXPECT_EQ(test, lhv_lapic_msr_write(cpu(2), X2(APIC_SELF_IPI), 0x51), 0);
	KUNIT_EXPECT_EQ(test, lhv_irq_ack(cpu(2)), 0x51);

	/* A device's 0xff is a broadcast, unless the VMM said otherwise. */
	KUNIT_EXPECT_EQ(test, send(0xff, APIC_DM_FIXED, 0x60, false, false), 4);
	f.vm->irq.x2apic_no_broadcast_quirk = true;
	KUNIT_EXPECT_EQ(test, send(0xff, APIC_DM_FIXED, 0x61, false, false), -1);
	KUNIT_EXPECT_EQ(test, send(0xffffffff, APIC_DM_FIXED, 0x62, false, false), 4);
	KUNIT_EXPECT_EQ(test, send(0x10001, APIC_DM_FIXED, 0x63, true, false), -1);
	KUNIT_EXPECT_EQ(test, send(0x7fff0001, APIC_DM_FIXED, 0x63, true, false), -1);
}

/* An id beyond eight bits: no other's in xAPIC mode, and its own then and in x2APIC mode. */
static void big_ids(struct kunit *test)
{
	int i;

	fixture_add_vcpu(test, &f, 0x102);
	fixture_enable(cpu(4));
	KUNIT_EXPECT_EQ(test, send(2, APIC_DM_FIXED, 0x41, false, false), 1);
	KUNIT_EXPECT_EQ(test, lhv_irq_ack(cpu(2)), 0x41);
	KUNIT_EXPECT_EQ(test, lhv_irq_ack(cpu(4)), -1);
	KUNIT_EXPECT_TRUE(test, lhv_apic_send(cpu(0), 0x102, 0x42));
	KUNIT_EXPECT_EQ(test, lhv_irq_ack(cpu(4)), 0x42);

	for (i = 0; i < 5; i++)
		cpu(i)->lapic->base_msr |= X2APIC_ENABLE;
	lhv_lapic_published(f.vm);
	KUNIT_EXPECT_TRUE(test, lhv_apic_send(cpu(0), 0x102, 0x53));
	KUNIT_EXPECT_EQ(test, lhv_irq_ack(cpu(4)), 0x53);
	/* Cluster 16, member 2. */
	KUNIT_EXPECT_EQ(test, lhv_lapic_msr_write(cpu(0), X2(APIC_ICR), 0x100004ULL << 32 |
						  APIC_DEST_LOGICAL | 0x64), 0);
	KUNIT_EXPECT_EQ(test, lhv_irq_ack(cpu(4)), 0x64);
	KUNIT_EXPECT_FALSE(test, lhv_apic_send(cpu(0), LHV_MAX_VCPUS, 0x45));
}

static void base_transitions(struct kunit *test)
{
	struct lhv_vcpu *vcpu = cpu(0);
	u64 base = APIC_DEFAULT_PHYS_BASE | MSR_IA32_APICBASE_BSP;

	vcpu->cpu_state.gpa_reserved = GENMASK_ULL(63, 40);
	KUNIT_EXPECT_EQ(test, lhv_lapic_get_base(vcpu), base | MSR_IA32_APICBASE_ENABLE);
	/* x2APIC that CPUID does not offer, x2APIC without enable, reserved bits. */
	KUNIT_EXPECT_NE(test, lhv_lapic_set_base(vcpu, base | MSR_IA32_APICBASE_ENABLE |
						 X2APIC_ENABLE, true), 0);
	KUNIT_EXPECT_NE(test, lhv_lapic_set_base(vcpu, base | X2APIC_ENABLE, true), 0);
	KUNIT_EXPECT_NE(test, lhv_lapic_set_base(vcpu, base | BIT_ULL(40), true), 0);
	KUNIT_EXPECT_NE(test, lhv_lapic_set_base(vcpu, base | BIT(0), true), 0);
	/* It may be moved. */
	base = 0xfed00000 | MSR_IA32_APICBASE_ENABLE;
	KUNIT_EXPECT_EQ(test, lhv_lapic_set_base(vcpu, base, false), 0);
	KUNIT_EXPECT_TRUE(test, lhv_lapic_in_range(vcpu, 0xfed00030, 4));
	KUNIT_EXPECT_FALSE(test, lhv_lapic_in_range(vcpu, 0xfed00ffe, 4));
	KUNIT_EXPECT_FALSE(test, lhv_lapic_in_range(vcpu, APIC_DEFAULT_PHYS_BASE, 4));
}

/* A timer that fires early is met at its time, delivered once, and is gone when it is set anew. */
static void timer_early(struct kunit *test)
{
	struct lhv_vcpu *vcpu = cpu(0);
	struct lhv_lapic *l = vcpu->lapic;

	apic_write(vcpu, APIC_TDCR, APIC_TDR_DIV_1);
	apic_write(vcpu, APIC_LVTT, 0x99);
	l->lead_ns[0] = NSEC_PER_SEC;
	apic_write(vcpu, APIC_TMICT, NSEC_PER_SEC / 2);
	while (!test_bit(LHV_REQ_TIMER, &vcpu->pending))
		cpu_relax();
	KUNIT_EXPECT_GT(test, apic_read(vcpu, APIC_TMCCT), 0U);
	KUNIT_EXPECT_FALSE(test, requested(vcpu, 0x99));
	apic_write(vcpu, APIC_TMICT, NSEC_PER_SEC / 2);
	KUNIT_EXPECT_FALSE(test, requested(vcpu, 0x99));
	while (!test_bit(LHV_REQ_TIMER, &vcpu->pending))
		cpu_relax();
	apic_write(vcpu, APIC_TMICT, 0);
	KUNIT_EXPECT_FALSE(test, test_bit(LHV_REQ_TIMER, &vcpu->pending));

	l->lead_ns[0] = 10 * NSEC_PER_USEC;
	apic_write(vcpu, APIC_TMICT, 10 * NSEC_PER_USEC);
	while (!test_bit(LHV_REQ_TIMER, &vcpu->pending))
		cpu_relax();
	KUNIT_EXPECT_TRUE(test, lhv_lapic_timer_meet(vcpu));
	KUNIT_EXPECT_TRUE(test, requested(vcpu, 0x99));
	KUNIT_EXPECT_TRUE(test, lhv_lapic_timer_met(l));
	KUNIT_EXPECT_FALSE(test, lhv_lapic_timer_meet(vcpu));
	lhv_lapic_timer_wait(vcpu);
	KUNIT_EXPECT_EQ(test, apic_read(vcpu, APIC_TMCCT), 0);
	KUNIT_EXPECT_FALSE(test, test_bit(LHV_REQ_TIMER, &vcpu->pending));
	KUNIT_EXPECT_EQ(test, lhv_irq_ack(vcpu), 0x99);
	KUNIT_EXPECT_EQ(test, lhv_irq_ack(vcpu), -1);
	/* Whatever it learned: not more than its cap. */
	KUNIT_EXPECT_LE(test, l->lead_ns[0], (u32)(10 * NSEC_PER_USEC));
}

/* What the guest or the VMM writes beside a timer does not lose what it has armed. */
static void timer_kept(struct kunit *test)
{
	struct lhv_vcpu *vcpu = cpu(0);
	struct lhv_lapic *l = vcpu->lapic;
	struct kvm_lapic_state *state;
	u64 deadline;

	/* The vector, between the early firing and its time. */
	apic_write(vcpu, APIC_TDCR, APIC_TDR_DIV_1);
	apic_write(vcpu, APIC_LVTT, 0x99);
	l->lead_ns[0] = NSEC_PER_SEC;
	apic_write(vcpu, APIC_TMICT, NSEC_PER_SEC / 2);
	while (!test_bit(LHV_REQ_TIMER, &vcpu->pending))
		cpu_relax();
	apic_write(vcpu, APIC_LVTT, 0x9a);
	KUNIT_EXPECT_TRUE(test, test_bit(LHV_REQ_TIMER, &vcpu->pending));
	apic_write(vcpu, APIC_TMICT, 0);

	/* The divider, and all registers, under a deadline. */
	state = kunit_kzalloc(test, sizeof(*state), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, state);
	__set_bit(LHV_F_TSC_DEADLINE, vcpu->cpu_state.features);
	vcpu->cpu_state.tsc_mul = BIT(31);	/* a tick is a nanosecond */
	vcpu->cpu_state.tsc_shift = 1;
	apic_write(vcpu, APIC_LVTT, 0x9b | APIC_LVT_TIMER_TSCDEADLINE);
	deadline = lhv_guest_tsc(vcpu, rdtsc()) + 1000000000000ULL;
	lhv_lapic_set_deadline(vcpu, deadline);
	apic_write(vcpu, APIC_TDCR, APIC_TDR_DIV_16);
	KUNIT_EXPECT_TRUE(test, hrtimer_active(&l->timer));
	KUNIT_EXPECT_EQ(test, lhv_lapic_get_state(vcpu, state), 0);
	KUNIT_EXPECT_EQ(test, lhv_lapic_set_state(vcpu, state), 0);
	KUNIT_EXPECT_TRUE(test, hrtimer_active(&l->timer));
	KUNIT_EXPECT_EQ(test, lhv_lapic_get_deadline(vcpu), deadline);
	lhv_lapic_set_deadline(vcpu, 0);
}

/* A host that is late with its timers loses none: not to a new divider, not to KVM_GET_LAPIC. */
static void timer_late(struct kunit *test)
{
	struct kvm_lapic_state *state = kunit_kzalloc(test, sizeof(*state), GFP_KERNEL);
	struct lhv_vcpu *vcpu = cpu(0);
	struct lhv_lapic *l = vcpu->lapic;
	bool divided, changed;

	KUNIT_ASSERT_NOT_NULL(test, state);
	apic_write(vcpu, APIC_TDCR, APIC_TDR_DIV_1);
	apic_write(vcpu, APIC_LVTT, 0x99);
	local_irq_disable();
	apic_write(vcpu, APIC_TMICT, 1000);
	udelay(50);
	apic_write(vcpu, APIC_TDCR, APIC_TDR_DIV_128);
	divided = hrtimer_active(&l->timer);
	udelay(50);
	apic_write(vcpu, APIC_LVTT, 0x99 | APIC_LVT_TIMER_PERIODIC);
	apic_write(vcpu, APIC_LVTT, 0x99);
	changed = hrtimer_active(&l->timer);
	udelay(50);
	lhv_lapic_get_state(vcpu, state);
	local_irq_enable();
	KUNIT_EXPECT_TRUE(test, divided);
	KUNIT_EXPECT_TRUE(test, changed);
	KUNIT_EXPECT_EQ(test, 1u, *(u32 *)(state->regs + APIC_TMCCT));

	KUNIT_EXPECT_EQ(test, 0, lhv_lapic_set_state(vcpu, state));
	while (!test_bit(LHV_REQ_TIMER, &vcpu->pending))
		cpu_relax();
	lhv_lapic_timer_settle(vcpu);
	KUNIT_EXPECT_EQ(test, 0x99, lhv_irq_ack(vcpu));
	KUNIT_EXPECT_EQ(test, 0, lhv_lapic_get_state(vcpu, state));
	KUNIT_EXPECT_EQ(test, 0u, *(u32 *)(state->regs + APIC_TMCCT));
	apic_write(vcpu, APIC_EOI, 0);
}

/* Both mode bits at once: no timer, however it comes about. */
static void timer_reserved_mode(struct kunit *test)
{
	const u32 reserved = 0x99 | APIC_LVT_TIMER_PERIODIC | APIC_LVT_TIMER_TSCDEADLINE;
	struct kvm_lapic_state *state = kunit_kzalloc(test, sizeof(*state), GFP_KERNEL);
	struct lhv_vcpu *vcpu = cpu(0);
	struct lhv_lapic *l = vcpu->lapic;

	KUNIT_ASSERT_NOT_NULL(test, state);
	__set_bit(LHV_F_TSC_DEADLINE, vcpu->cpu_state.features);
	vcpu->cpu_state.tsc_mul = BIT(31);	/* a tick is a nanosecond */
	vcpu->cpu_state.tsc_shift = 1;
	apic_write(vcpu, APIC_LVTT, reserved);
	apic_write(vcpu, APIC_TMICT, 1000000000);
	KUNIT_EXPECT_FALSE(test, hrtimer_active(&l->timer));
	apic_write(vcpu, APIC_TDCR, APIC_TDR_DIV_16);
	KUNIT_EXPECT_FALSE(test, hrtimer_active(&l->timer));

	apic_write(vcpu, APIC_LVTT, 0x99 | APIC_LVT_TIMER_TSCDEADLINE);
	lhv_lapic_set_deadline(vcpu, lhv_guest_tsc(vcpu, rdtsc()) + 1000000000000ULL);
	KUNIT_EXPECT_TRUE(test, hrtimer_active(&l->timer));
	apic_write(vcpu, APIC_LVTT, reserved);
	KUNIT_EXPECT_FALSE(test, hrtimer_active(&l->timer));
	apic_write(vcpu, APIC_LVTT, 0x99 | APIC_LVT_TIMER_TSCDEADLINE);
	KUNIT_EXPECT_EQ(test, lhv_lapic_get_deadline(vcpu), 0);

	apic_write(vcpu, APIC_LVTT, 0x99);
	apic_write(vcpu, APIC_TMICT, 1000000000);
	KUNIT_EXPECT_EQ(test, lhv_lapic_get_state(vcpu, state), 0);
	*(u32 *)(state->regs + APIC_LVTT) = reserved;
	KUNIT_EXPECT_EQ(test, lhv_lapic_set_state(vcpu, state), 0);
	KUNIT_EXPECT_FALSE(test, hrtimer_active(&l->timer));
	KUNIT_EXPECT_EQ(test, apic_read(vcpu, APIC_TMCCT), 0);
}

static void timer(struct kunit *test)
{
	struct lhv_vcpu *vcpu = cpu(0);
	u32 count;

	apic_write(vcpu, APIC_TDCR, APIC_TDR_DIV_1);
	apic_write(vcpu, APIC_LVTT, 0x99);
	apic_write(vcpu, APIC_TMICT, 1000000000);
	count = apic_read(vcpu, APIC_TMCCT);
	KUNIT_EXPECT_GT(test, count, 500000000U);
	apic_write(vcpu, APIC_TMICT, 0);
	KUNIT_EXPECT_EQ(test, apic_read(vcpu, APIC_TMCCT), 0);
	KUNIT_EXPECT_FALSE(test, requested(vcpu, 0x99));

	/* It fired; the vector is there when the vCPU goes on, or when somebody looks. */
	apic_write(vcpu, APIC_TMICT, 1000);
	msleep(20);
	KUNIT_EXPECT_TRUE(test, lhv_lapic_timer_wakes(vcpu));
	KUNIT_EXPECT_FALSE(test, requested(vcpu, 0x99));
	lhv_lapic_timer_settle(vcpu);
	KUNIT_EXPECT_FALSE(test, test_bit(LHV_REQ_TIMER, &vcpu->pending));
	KUNIT_EXPECT_EQ(test, lhv_irq_ack(vcpu), 0x99);
	apic_write(vcpu, APIC_EOI, 0);
	msleep(20);
	KUNIT_EXPECT_FALSE(test, requested(vcpu, 0x99));

	apic_write(vcpu, APIC_LVTT, APIC_LVT_TIMER_PERIODIC | 0x9a);
	apic_write(vcpu, APIC_TMICT, 1000000);
	for (count = 0; count < 3; count++) {
		msleep(20);
		KUNIT_EXPECT_EQ(test, lhv_irq_ack(vcpu), 0x9a);
		apic_write(vcpu, APIC_EOI, 0);
	}
	apic_write(vcpu, APIC_TMICT, 0);
	apic_write(vcpu, APIC_TDCR, APIC_TDR_DIV_128);
	KUNIT_EXPECT_EQ(test, vcpu->lapic->divide, 128);
	apic_write(vcpu, APIC_TDCR, APIC_TDR_DIV_2);
	KUNIT_EXPECT_EQ(test, vcpu->lapic->divide, 2);
}

static void save_restore(struct kunit *test)
{
	struct kvm_lapic_state *s = kunit_kzalloc(test, sizeof(*s), GFP_KERNEL);
	struct lhv_vcpu *from = cpu(1), *to = cpu(2);

	KUNIT_ASSERT_NOT_NULL(test, s);
	apic_write(from, APIC_TASKPRI, 0x20);
	send(1, APIC_DM_FIXED, 0x80, false, false);
	send(1, APIC_DM_FIXED, 0x90, false, true);
	KUNIT_EXPECT_EQ(test, lhv_irq_ack(from), 0x90);
	lhv_lapic_get_state(from, s);
	KUNIT_EXPECT_EQ(test, *(u32 *)(s->regs + APIC_PROCPRI), 0x90);
	KUNIT_EXPECT_EQ(test, lhv_lapic_set_state(to, s), 0);
	KUNIT_EXPECT_EQ(test, to->cr8, 2);
	KUNIT_EXPECT_FALSE(test, lhv_irq_pending(to));
	apic_write(to, APIC_EOI, 0);
	KUNIT_EXPECT_EQ(test, to->pending_eoi, 0x90);
	KUNIT_EXPECT_EQ(test, lhv_irq_ack(to), 0x80);

	to->lapic->base_msr |= X2APIC_ENABLE;
	lhv_lapic_get_state(to, s);
	KUNIT_EXPECT_EQ(test, *(u32 *)(s->regs + APIC_ID), 2 << 24);
	f.vm->irq.x2apic_ids = true;
	KUNIT_EXPECT_EQ(test, lhv_lapic_set_state(to, s), -EINVAL);
	lhv_lapic_get_state(to, s);
	KUNIT_EXPECT_EQ(test, *(u32 *)(s->regs + APIC_ID), 2);
	KUNIT_EXPECT_EQ(test, lhv_lapic_set_state(to, s), 0);

	/* Rubbish is taken without harm. */
	memset(s->regs, 0xff, sizeof(s->regs));
	*(u32 *)(s->regs + APIC_ID) = 2;
	KUNIT_EXPECT_EQ(test, lhv_lapic_set_state(to, s), 0);
	KUNIT_EXPECT_FALSE(test, lhv_irq_pending(to));
	lhv_lapic_reset(to, false);
}

static void ext_int(struct kunit *test)
{
	struct lhv_vcpu *bsp = cpu(0);

	/* KVM_INTERRUPT of a split irqchip, through LINT0. */
	bsp->ev.user_irq = 0x22;
	apic_write(bsp, APIC_LVT0, APIC_LVT_MASKED | APIC_DM_EXTINT);
	KUNIT_EXPECT_FALSE(test, lhv_irq_pending(bsp));
	apic_write(bsp, APIC_LVT0, APIC_DM_EXTINT);
	KUNIT_EXPECT_TRUE(test, lhv_irq_pending(bsp));
	KUNIT_EXPECT_EQ(test, lhv_irq_ack(bsp), 0x22);
	KUNIT_EXPECT_EQ(test, bsp->ev.user_irq, -1);
	KUNIT_EXPECT_EQ(test, apic_read(bsp, APIC_PROCPRI), 0);
}

static bool cpu_delivers;

static void note_virtual(struct lhv_vcpu *vcpu, bool on)
{
	cpu_delivers = on;
}

static void *lapic_reg(struct lhv_lapic *l, u32 base, u8 vector)
{
	return l->regs + base + (vector >> 5) * 0x10;
}

/* For a CPU that keeps IRR and ISR. */
static void posted(struct kunit *test)
{
	static struct lhv_backend taking = { .virtual_irqs = note_virtual };
	const struct lhv_backend *real = lhv_backend;
	struct lhv_lapic *l = cpu(1)->lapic;
	struct lhv_posted *p = l->regs + LHV_POSTED_OFFSET;
	u64 x2 = lhv_lapic_get_base(cpu(1)) | X2APIC_ENABLE;

	KUNIT_ASSERT_EQ(test, sizeof(*p) <= PAGE_SIZE - LHV_POSTED_OFFSET, true);
	l->posted = p;
	lhv_backend_use(&taking);
	WRITE_ONCE(l->base_msr, x2);

	/* Into the descriptor, once; from there when somebody looks. */
	KUNIT_EXPECT_EQ(test, send(1, APIC_DM_FIXED, 0x51, false, false), 1);
	KUNIT_EXPECT_EQ(test, send(1, APIC_DM_FIXED, 0x51, false, false), 0);
	KUNIT_EXPECT_TRUE(test, test_bit(0x51, p->pir));
	KUNIT_EXPECT_TRUE(test, test_bit(LHV_POSTED_ON, &p->control));
	KUNIT_EXPECT_LT(test, lhv_lapic_highest(l, APIC_IRR), 0);
	cpu(1)->pending = 0;
	KUNIT_EXPECT_TRUE(test, lhv_irq_pending(cpu(1)));
	KUNIT_EXPECT_EQ(test, lhv_lapic_highest(l, APIC_IRR), 0x51);
	KUNIT_EXPECT_FALSE(test, test_bit(LHV_POSTED_ON, &p->control));
	/* The CPU does not know of it yet. */
	KUNIT_EXPECT_TRUE(test, test_bit(LHV_REQ_EVENT, &cpu(1)->pending));

	/* Handed over: nothing is left to inject. */
	lhv_irq_virtualize(cpu(1));
	KUNIT_EXPECT_TRUE(test, cpu_delivers);
	KUNIT_EXPECT_TRUE(test, lhv_irq_pending(cpu(1)));
	KUNIT_EXPECT_FALSE(test, lhv_irq_to_inject(cpu(1)));
	KUNIT_EXPECT_EQ(test, lhv_irq_ack(cpu(1)), -1);

	/* A level's EOI exits: the CPU gets the vector when it knows that. */
	KUNIT_EXPECT_EQ(test, send(1, APIC_DM_FIXED, 0x61, false, true), 1);
	KUNIT_EXPECT_FALSE(test, test_bit(0x61, p->pir));
	lhv_irq_virtualize(cpu(1));
	KUNIT_EXPECT_TRUE(test, test_bit(0x61, p->eoi_exits));
	KUNIT_EXPECT_EQ(test, lhv_lapic_highest(l, APIC_IRR), 0x61);
	KUNIT_EXPECT_FALSE(test, test_bit(0x51, p->eoi_exits));
	clear_bit(0x61 & 31, lapic_reg(l, APIC_IRR, 0x61));
	set_bit(0x61 & 31, lapic_reg(l, APIC_ISR, 0x61));
	KUNIT_EXPECT_EQ(test, send(1, APIC_DM_FIXED, 0x61, false, true), 1);
	KUNIT_EXPECT_TRUE(test, test_bit(0x61, p->pir));
	KUNIT_EXPECT_FALSE(test, lhv_irq_pending(cpu(1)));

	/* Taken back: what the CPU has in service counts. */
	WRITE_ONCE(l->base_msr, x2 & ~(u64)X2APIC_ENABLE);
	lhv_irq_virtualize(cpu(1));
	KUNIT_EXPECT_FALSE(test, cpu_delivers);
	KUNIT_EXPECT_EQ(test, apic_read(cpu(1), APIC_PROCPRI), 0x60);
	KUNIT_EXPECT_FALSE(test, lhv_irq_to_inject(cpu(1)));
	apic_write(cpu(1), APIC_EOI, 0);
	KUNIT_EXPECT_EQ(test, cpu(1)->pending_eoi, 0x61);
	KUNIT_EXPECT_EQ(test, lhv_irq_ack(cpu(1)), 0x61);
	lhv_backend_use(real);
}

static struct kunit_case lapic_cases[] = {
	KUNIT_CASE(priorities),
	KUNIT_CASE(task_priority),
	KUNIT_CASE(level_eoi),
	KUNIT_CASE(logical),
	KUNIT_CASE(lowest_priority),
	KUNIT_CASE(physical),
	KUNIT_CASE(ipis),
	KUNIT_CASE(errors),
	KUNIT_CASE(registers),
	KUNIT_CASE(x2apic),
	KUNIT_CASE(big_ids),
	KUNIT_CASE(base_transitions),
	KUNIT_CASE(timer),
	KUNIT_CASE(timer_early),
	KUNIT_CASE(timer_kept),
	KUNIT_CASE(timer_late),
	KUNIT_CASE(timer_reserved_mode),
	KUNIT_CASE(save_restore),
	KUNIT_CASE(ext_int),
	KUNIT_CASE(posted),
	{}
};

static struct kunit_suite lapic_suite = {
	.name = "lhv_lapic",
	.init = lapic_init,
	.exit = lapic_exit,
	.test_cases = lapic_cases,
};

kunit_test_suite(lapic_suite);
