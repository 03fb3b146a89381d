// SPDX-License-Identifier: GPL-2.0
/* KUnit: IOAPIC, routing and the way from a GSI to a vCPU and back. */
#include <linux/delay.h>

#include "irq_fixture.h"

static struct irq_fixture f;

static int ioapic_init(struct kunit *test)
{
	int i;

	f.vm = NULL;
	fixture_init(test, &f, true, 2);
	for (i = 0; i < f.nr; i++)
		fixture_enable(lhv_vcpu_at(f.vm, i));
	return 0;
}

static void ioapic_exit(struct kunit *test)
{
	fixture_exit(&f);
}

static void set_rte(unsigned int pin, u64 rte)
{
	lhv_ioapic_reg_write(f.vm->irq.ioapic, 0x10 + 2 * pin + 1, rte >> 32);
	lhv_ioapic_reg_write(f.vm->irq.ioapic, 0x10 + 2 * pin, rte);
}

static u64 get_rte(unsigned int pin)
{
	return lhv_ioapic_reg_read(f.vm->irq.ioapic, 0x10 + 2 * pin) |
	       (u64)lhv_ioapic_reg_read(f.vm->irq.ioapic, 0x10 + 2 * pin + 1) << 32;
}

static int line(u32 gsi, int level)
{
	return lhv_irq_line(f.vm, LHV_IRQ_SOURCE_USER, gsi, level);
}

#define TO_CPU1		BIT_ULL(56)
#define LEVEL		BIT(15)
#define REMOTE_IRR	BIT(14)
#define MASKED		BIT(16)

static void register_file(struct kunit *test)
{
	struct lhv_ioapic *ioapic = f.vm->irq.ioapic;

	KUNIT_EXPECT_EQ(test, lhv_ioapic_reg_read(ioapic, 1), 0x170011);
	lhv_ioapic_reg_write(ioapic, 0, 0xff000000);
	KUNIT_EXPECT_EQ(test, lhv_ioapic_reg_read(ioapic, 0), 0x0f000000);
	KUNIT_EXPECT_EQ(test, get_rte(5), MASKED);
	set_rte(5, ~0ULL);
	KUNIT_EXPECT_EQ(test, get_rte(5), 0xff0000000001afffULL);
	KUNIT_EXPECT_EQ(test, lhv_ioapic_reg_read(ioapic, 0x10 + 48), 0);
	lhv_ioapic_reg_write(ioapic, 0xff, 1);
	KUNIT_EXPECT_EQ(test, lhv_ioapic_reg_read(ioapic, 0xff), 0);
}

static void edge(struct kunit *test)
{
	struct lhv_vcpu *vcpu = lhv_vcpu_at(f.vm, 1);

	KUNIT_EXPECT_EQ(test, line(20, 1), -1);	/* masked */
	line(20, 0);
	set_rte(20, TO_CPU1 | 0x40);
	KUNIT_EXPECT_FALSE(test, lhv_irq_pending(vcpu));	/* lost, as in hardware */
	KUNIT_EXPECT_EQ(test, line(20, 1), 1);
	KUNIT_EXPECT_EQ(test, line(20, 1), 0);
	KUNIT_EXPECT_EQ(test, lhv_irq_ack(vcpu), 0x40);
	line(20, 0);
	line(20, 1);
	apic_write(vcpu, APIC_EOI, 0);
	KUNIT_EXPECT_EQ(test, lhv_irq_ack(vcpu), 0x40);
	KUNIT_EXPECT_EQ(test, get_rte(20) & REMOTE_IRR, 0);
}

static void level(struct kunit *test)
{
	struct lhv_vcpu *vcpu = lhv_vcpu_at(f.vm, 1);

	set_rte(21, TO_CPU1 | LEVEL | MASKED | 0x41);
	line(21, 1);
	KUNIT_EXPECT_FALSE(test, lhv_irq_pending(vcpu));
	set_rte(21, TO_CPU1 | LEVEL | 0x41);
	KUNIT_EXPECT_EQ(test, lhv_irq_ack(vcpu), 0x41);
	KUNIT_EXPECT_EQ(test, get_rte(21) & REMOTE_IRR, REMOTE_IRR);
	/* Another source on the same wire. */
	KUNIT_EXPECT_EQ(test, lhv_irq_line(f.vm, LHV_IRQ_SOURCE_IRQFD, 21, 1), 0);
	line(21, 0);
	apic_write(vcpu, APIC_EOI, 0);
	KUNIT_EXPECT_EQ(test, lhv_irq_ack(vcpu), 0x41);
	lhv_irq_line(f.vm, LHV_IRQ_SOURCE_IRQFD, 21, 0);
	apic_write(vcpu, APIC_EOI, 0);
	KUNIT_EXPECT_EQ(test, lhv_irq_ack(vcpu), -1);
	KUNIT_EXPECT_EQ(test, get_rte(21) & REMOTE_IRR, 0);

	/* Software's substitute for an EOI. */
	line(21, 1);
	lhv_irq_ack(vcpu);
	set_rte(21, TO_CPU1 | MASKED | 0x41);
	set_rte(21, TO_CPU1 | LEVEL | 0x41);
	KUNIT_EXPECT_EQ(test, get_rte(21) & REMOTE_IRR, REMOTE_IRR);
}

/* An edge of the same vector is answered by its own EOI, and the level by its own. */
static void shared_vector(struct kunit *test)
{
	struct lhv_vcpu *vcpu = lhv_vcpu_at(f.vm, 1);

	set_rte(20, 0x41);
	set_rte(21, TO_CPU1 | LEVEL | 0x41);
	line(21, 1);
	KUNIT_EXPECT_EQ(test, lhv_irq_ack(vcpu), 0x41);
	line(21, 0);
	line(20, 1);
	KUNIT_EXPECT_EQ(test, lhv_irq_ack(lhv_vcpu_at(f.vm, 0)), 0x41);
	apic_write(lhv_vcpu_at(f.vm, 0), APIC_EOI, 0);
	KUNIT_EXPECT_EQ(test, get_rte(21) & REMOTE_IRR, REMOTE_IRR);
	apic_write(vcpu, APIC_EOI, 0);
	KUNIT_EXPECT_EQ(test, get_rte(21) & REMOTE_IRR, 0);
}

static void pic_route(struct kunit *test)
{
	struct lhv_vcpu *bsp = lhv_vcpu_at(f.vm, 0);
	struct kvm_irqchip *chip = kunit_kzalloc(test, sizeof(*chip), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, chip);
	chip->chip_id = KVM_IRQCHIP_PIC_MASTER;
	chip->chip.pic.irq_base = 0x20;
	KUNIT_EXPECT_EQ(test, lhv_irqchip_set(f.vm, chip), 0);
	clear_bit(LHV_REQ_EVENT, &bsp->pending);
	/* GSI 4 goes to the 8259 as well, and LINT0 of the BSP is open. */
	KUNIT_EXPECT_EQ(test, line(4, 1), 1);
	KUNIT_EXPECT_TRUE(test, test_bit(LHV_REQ_EVENT, &bsp->pending));
	KUNIT_EXPECT_FALSE(test, lhv_irq_pending(lhv_vcpu_at(f.vm, 1)));
	KUNIT_EXPECT_EQ(test, lhv_irq_ack(bsp), 0x24);
	lhv_irqchip_get(f.vm, chip);
	KUNIT_EXPECT_EQ(test, chip->chip.pic.isr, BIT(4));
	chip->chip_id = KVM_NR_IRQCHIPS;
	KUNIT_EXPECT_EQ(test, lhv_irqchip_get(f.vm, chip), -EINVAL);
	KUNIT_EXPECT_EQ(test, lhv_irqchip_set(f.vm, chip), -EINVAL);
}

static void msi(struct kunit *test)
{
	struct kvm_irq_routing_entry e = {
		.gsi = 100, .type = KVM_IRQ_ROUTING_MSI,
		.u.msi = { .address_lo = APIC_DEFAULT_PHYS_BASE | 1 << 12, .data = 0x55 },
	};
	struct kvm_msi m = { .address_lo = APIC_DEFAULT_PHYS_BASE, .data = 0x56 };

	KUNIT_EXPECT_EQ(test, lhv_irq_msi(f.vm, &m), 1);
	KUNIT_EXPECT_EQ(test, lhv_irq_ack(lhv_vcpu_at(f.vm, 0)), 0x56);
	m.flags = KVM_MSI_VALID_DEVID;
	KUNIT_EXPECT_EQ(test, lhv_irq_msi(f.vm, &m), -EINVAL);

	KUNIT_EXPECT_EQ(test, lhv_routing_set(f.vm, &e, 1, 0), 0);
	KUNIT_EXPECT_EQ(test, line(100, 1), 1);
	KUNIT_EXPECT_EQ(test, lhv_irq_ack(lhv_vcpu_at(f.vm, 1)), 0x55);
	KUNIT_EXPECT_EQ(test, line(100, 0), -1);
	/* The default routes are gone, and nothing lies beyond. */
	KUNIT_EXPECT_EQ(test, line(4, 1), -1);
	KUNIT_EXPECT_EQ(test, line(101, 1), -1);
	KUNIT_EXPECT_EQ(test, line(U32_MAX, 1), -1);
}

static void routing_checks(struct kunit *test)
{
	struct kvm_irq_routing_entry e[3] = {
		{ .gsi = 7, .type = KVM_IRQ_ROUTING_IRQCHIP,
		  .u.irqchip = { KVM_IRQCHIP_PIC_MASTER, 7 } },
		{ .gsi = 2, .type = KVM_IRQ_ROUTING_MSI },
		{ .gsi = 7, .type = KVM_IRQ_ROUTING_IRQCHIP,
		  .u.irqchip = { KVM_IRQCHIP_IOAPIC, 23 } },
	};
	struct lhv_routing *rt;

	rt = lhv_routing_build(e, 3, LHV_IRQCHIP_KERNEL, false);
	KUNIT_ASSERT_FALSE(test, IS_ERR(rt));
	KUNIT_EXPECT_EQ(test, rt->nr_gsis, 8);
	KUNIT_EXPECT_EQ(test, rt->first[3] - rt->first[2], 1);
	KUNIT_EXPECT_EQ(test, rt->first[8] - rt->first[7], 2);
	KUNIT_EXPECT_EQ(test, rt->first[7] - rt->first[3], 0);
	KUNIT_EXPECT_EQ(test, rt->chip_gsi[KVM_IRQCHIP_IOAPIC][23], 7);
	KUNIT_EXPECT_EQ(test, rt->chip_gsi[KVM_IRQCHIP_PIC_SLAVE][0], LHV_NO_GSI);
	kvfree(rt);

	rt = lhv_routing_build(e, 0, LHV_IRQCHIP_KERNEL, false);
	KUNIT_ASSERT_FALSE(test, IS_ERR(rt));
	KUNIT_EXPECT_EQ(test, rt->nr_gsis, 0);
	kvfree(rt);

#define REFUSED(nr, mode, ids) \
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(lhv_routing_build(e, nr, mode, ids)), -EINVAL)
	REFUSED(3, LHV_IRQCHIP_SPLIT, false);	/* no such chips */
	e[0].flags = 1;
	REFUSED(1, LHV_IRQCHIP_KERNEL, false);
	e[0].flags = 0;
	e[0].gsi = LHV_MAX_ROUTES;
	REFUSED(1, LHV_IRQCHIP_KERNEL, false);
	e[0].gsi = 2;
	REFUSED(2, LHV_IRQCHIP_KERNEL, false);	/* MSI and pin on one GSI */
	e[0].gsi = 7;
	e[0].u.irqchip.pin = 8;
	REFUSED(1, LHV_IRQCHIP_KERNEL, false);
	e[0].u.irqchip = (struct kvm_irq_routing_irqchip){ KVM_IRQCHIP_IOAPIC, 3 };
	REFUSED(3, LHV_IRQCHIP_KERNEL, false);	/* twice the same chip */
	e[0].u.irqchip.irqchip = KVM_NR_IRQCHIPS;
	REFUSED(1, LHV_IRQCHIP_KERNEL, false);
	e[0].u.irqchip = (struct kvm_irq_routing_irqchip){ KVM_IRQCHIP_IOAPIC, 24 };
	REFUSED(1, LHV_IRQCHIP_KERNEL, false);
	e[0].type = KVM_IRQ_ROUTING_HV_SINT;
	REFUSED(1, LHV_IRQCHIP_KERNEL, false);
	e[0].type = KVM_IRQ_ROUTING_MSI;
	e[0].u.msi.address_hi = 1;
	REFUSED(1, LHV_IRQCHIP_KERNEL, true);
#undef REFUSED
}

static void state(struct kunit *test)
{
	struct kvm_irqchip *chip = kunit_kzalloc(test, sizeof(*chip), GFP_KERNEL);
	struct lhv_vcpu *vcpu = lhv_vcpu_at(f.vm, 1);

	KUNIT_ASSERT_NOT_NULL(test, chip);
	set_rte(22, TO_CPU1 | LEVEL | 0x66);
	line(22, 1);
	lhv_irq_ack(vcpu);
	chip->chip_id = KVM_IRQCHIP_IOAPIC;
	KUNIT_EXPECT_EQ(test, lhv_irqchip_get(f.vm, chip), 0);
	KUNIT_EXPECT_EQ(test, chip->chip.ioapic.base_address, IO_APIC_DEFAULT_PHYS_BASE);
	KUNIT_EXPECT_EQ(test, chip->chip.ioapic.irr, BIT(22));
	KUNIT_EXPECT_TRUE(test, chip->chip.ioapic.redirtbl[22].bits & REMOTE_IRR);
	apic_write(vcpu, APIC_EOI, 0);
	lhv_irq_ack(vcpu);
	apic_write(vcpu, APIC_EOI, 0);

	/* What waited is delivered when the state comes back. */
	chip->chip.ioapic.redirtbl[22].fields.remote_irr = 0;
	clear_bit(LHV_REQ_EVENT, &vcpu->pending);
	lhv_irqchip_set(f.vm, chip);
	KUNIT_EXPECT_TRUE(test, lhv_irq_pending(vcpu));
	memset(&chip->chip, 0xff, sizeof(chip->chip));
	lhv_irqchip_set(f.vm, chip);
	line(22, 0);
}

static bool wait_for_irq(struct lhv_vcpu *vcpu)
{
	unsigned long end = jiffies + 5 * HZ;

	while (!lhv_irq_pending(vcpu) && time_before(jiffies, end))
		usleep_range(50, 100);
	return lhv_irq_pending(vcpu);
}

static void pit_ticks(struct kunit *test)
{
	struct kvm_pit_config config = { .flags = KVM_PIT_SPEAKER_DUMMY };
	struct lhv_vcpu *vcpu = lhv_vcpu_at(f.vm, 0);
	u8 val;
	int i;

	mutex_lock(&f.vm->lock);
	config.flags |= BIT(5);
	KUNIT_EXPECT_EQ(test, lhv_pit_create(f.vm, &config), -EINVAL);
	config.flags = KVM_PIT_SPEAKER_DUMMY;
	KUNIT_EXPECT_EQ(test, lhv_pit_create(f.vm, &config), 0);
	KUNIT_EXPECT_EQ(test, lhv_pit_create(f.vm, &config), -EEXIST);
	mutex_unlock(&f.vm->lock);

	/* Through the IOAPIC, every millisecond: slow EOIs lose no tick. */
	apic_write(vcpu, APIC_LVT0, APIC_LVT_MASKED);
	set_rte(0, 0x30);
	val = 0x34;
	lhv_bus_write(vcpu, &f.vm->pio_bus, 0x43, 1, &val);
	val = 1193 & 0xff;
	lhv_bus_write(vcpu, &f.vm->pio_bus, 0x40, 1, &val);
	val = 1193 >> 8;
	lhv_bus_write(vcpu, &f.vm->pio_bus, 0x40, 1, &val);
	for (i = 0; i < 20; i++) {
		KUNIT_EXPECT_TRUE(test, wait_for_irq(vcpu));
		/* Longer than a period: those that come meanwhile are kept. */
		mdelay(2);
		KUNIT_EXPECT_EQ(test, lhv_irq_ack(vcpu), 0x30);
		apic_write(vcpu, APIC_EOI, 0);
	}
	/* Mode 0, nothing loaded: it stops after one more at most. */
	KUNIT_EXPECT_EQ(test, lhv_bus_read(vcpu, &f.vm->pio_bus, 0x61, 1, &val), 0);
}

static struct kunit_case ioapic_cases[] = {
	KUNIT_CASE(register_file),
	KUNIT_CASE(edge),
	KUNIT_CASE(level),
	KUNIT_CASE(shared_vector),
	KUNIT_CASE(pic_route),
	KUNIT_CASE(msi),
	KUNIT_CASE(routing_checks),
	KUNIT_CASE(state),
	KUNIT_CASE(pit_ticks),
	{}
};

static struct kunit_suite ioapic_suite = {
	.name = "lhv_ioapic",
	.init = ioapic_init,
	.exit = ioapic_exit,
	.test_cases = ioapic_cases,
};

kunit_test_suite(ioapic_suite);
