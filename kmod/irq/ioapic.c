// SPDX-License-Identifier: GPL-2.0
/*
 * lhv irq/ - the I/O APIC (Intel 82093AA data sheet, order 290566).
 *
 * A pin's line is the OR of its sources. An edge is delivered as it arrives; a
 * level is delivered while the line is up and its last delivery was answered
 * by an EOI (remote IRR). The polarity bit only says how a wire would be read,
 * and lines come here as "asserted", so it is kept and ignored.
 */
#include <linux/nospec.h>

#include "internal.h"

#define IOAPIC_SIZE		0x100
#define IOREGSEL		0x00
#define IOWIN			0x10
#define REG_ID			0
#define REG_VERSION		1
#define REG_ARB			2
#define REG_RTE			0x10
#define VERSION			0x11	/* no EOI register */

#define RTE_VECTOR		GENMASK_ULL(7, 0)
#define RTE_MODE		GENMASK_ULL(10, 8)
#define RTE_LOGICAL		BIT_ULL(11)
#define RTE_STATUS		BIT_ULL(12)
#define RTE_POLARITY		BIT_ULL(13)
#define RTE_REMOTE_IRR		BIT_ULL(14)
#define RTE_LEVEL		BIT_ULL(15)
#define RTE_MASKED		BIT_ULL(16)
#define RTE_DEST_SHIFT		56
#define RTE_DEST		GENMASK_ULL(63, 56)
#define RTE_READONLY		(RTE_STATUS | RTE_REMOTE_IRR)
#define RTE_WRITABLE		(RTE_VECTOR | RTE_MODE | RTE_LOGICAL | RTE_POLARITY | RTE_LEVEL | \
				 RTE_MASKED | RTE_DEST)

/* A level that is still up after so many EOIs in a row waits for a tick: the guest must live. */
#define STORM_EOIS		10000
#define STORM_DELAY_NS		(10 * NSEC_PER_MSEC)

/* As lhv_apic_deliver(). */
static int service(struct lhv_ioapic *ioapic, unsigned int pin)
{
	u64 rte = ioapic->rte[pin];
	struct lhv_apic_msg msg = {
		.dest = rte >> RTE_DEST_SHIFT,
		.mode = rte & RTE_MODE,
		.vector = rte & RTE_VECTOR,
		.logical = rte & RTE_LOGICAL,
		.level = rte & RTE_LEVEL,
		.lowest = (rte & RTE_MODE) == APIC_DM_LOWEST,
	};
	int ret;

	if (rte & RTE_MASKED)
		return -1;
	if ((rte & RTE_LEVEL) && (rte & RTE_REMOTE_IRR))
		return 0;
	ret = lhv_apic_deliver(ioapic->vm, NULL, &msg);
	if ((rte & RTE_LEVEL) && ret >= 0)
		ioapic->rte[pin] |= RTE_REMOTE_IRR;
	return ret;
}

static bool level_waits(const struct lhv_ioapic *ioapic, unsigned int pin)
{
	return (ioapic->irr & BIT(pin)) &&
	       (ioapic->rte[pin] & (RTE_LEVEL | RTE_REMOTE_IRR | RTE_MASKED)) == RTE_LEVEL;
}

/* For the EOI path, which looks without the lock. */
static void update_eoi_vectors(struct lhv_ioapic *ioapic)
{
	DECLARE_BITMAP(vectors, 256) = {};
	unsigned int pin;

	for (pin = 0; pin < LHV_IOAPIC_PINS; pin++) {
		if ((ioapic->rte[pin] & RTE_LEVEL) || (ioapic->pit_pins & BIT(pin)))
			__set_bit(ioapic->rte[pin] & RTE_VECTOR, vectors);
	}
	bitmap_copy(ioapic->eoi_vectors, vectors, 256);
}

u32 lhv_ioapic_reg_read(struct lhv_ioapic *ioapic, u32 index)
{
	u32 n = index - REG_RTE;

	switch (index) {
	case REG_ID:
	case REG_ARB:
		return ioapic->id << 24;
	case REG_VERSION:
		return (LHV_IOAPIC_PINS - 1) << 16 | VERSION;
	}
	if (index < REG_RTE || n >= 2 * LHV_IOAPIC_PINS)
		return 0;
	n = array_index_nospec(n, 2 * LHV_IOAPIC_PINS);
	return n & 1 ? ioapic->rte[n / 2] >> 32 : ioapic->rte[n / 2];
}

void lhv_ioapic_reg_write(struct lhv_ioapic *ioapic, u32 index, u32 val)
{
	u32 n = index - REG_RTE, pin;
	u64 old, new;

	if (index == REG_ID) {
		ioapic->id = val >> 24 & 0xf;
		return;
	}
	if (index < REG_RTE || n >= 2 * LHV_IOAPIC_PINS)
		return;

	pin = array_index_nospec(n / 2, LHV_IOAPIC_PINS);
	old = ioapic->rte[pin];
	if (n & 1)
		new = (u32)old | (u64)val << 32;
	else
		new = (old & GENMASK_ULL(63, 32)) | val;
	new = (new & RTE_WRITABLE) | (old & RTE_READONLY);
	/* Software answers a lost EOI by making the pin edge triggered for a moment. */
	if (!(new & RTE_LEVEL))
		new &= ~RTE_REMOTE_IRR;
	ioapic->rte[pin] = new;
	if ((old ^ new) & (RTE_VECTOR | RTE_LEVEL))
		update_eoi_vectors(ioapic);
	if (level_waits(ioapic, pin))
		service(ioapic, pin);
}

static int set_line(struct lhv_ioapic *ioapic, unsigned int pin, int source, bool level)
{
	u32 bit = BIT(pin);
	bool was = ioapic->irr & bit;

	if (level)
		ioapic->levels[pin] |= BIT(source);
	else
		ioapic->levels[pin] &= ~BIT(source);
	if (!ioapic->levels[pin]) {
		ioapic->irr &= ~bit;
		return 1;
	}
	ioapic->irr |= bit;
	if (was && !(ioapic->rte[pin] & RTE_LEVEL))
		return 0;
	return service(ioapic, pin);
}

int lhv_ioapic_set(struct lhv_vm *vm, unsigned int pin, int source, bool level)
{
	struct lhv_ioapic *ioapic = vm->irq.ioapic;
	unsigned long flags;
	int ret;

	raw_spin_lock_irqsave(&ioapic->lock, flags);
	ret = set_line(ioapic, pin, source, level);
	raw_spin_unlock_irqrestore(&ioapic->lock, flags);
	return ret;
}

/* Pins that @vector's EOI answers. An edge that shares its vector with a level answers no level. */
static u32 answered_pins(struct lhv_ioapic *ioapic, u8 vector, bool level)
{
	unsigned int pin;
	u32 pins = 0;

	for (pin = 0; pin < LHV_IOAPIC_PINS; pin++) {
		u64 rte = ioapic->rte[pin];

		if ((rte & RTE_VECTOR) != vector)
			continue;
		if (rte & RTE_LEVEL ? level && (rte & RTE_REMOTE_IRR) : ioapic->pit_pins & BIT(pin))
			pins |= BIT(pin);
	}
	return pins;
}

static void end_level(struct lhv_ioapic *ioapic, unsigned int pin)
{
	ioapic->rte[pin] &= ~RTE_REMOTE_IRR;
	if (!level_waits(ioapic, pin)) {
		ioapic->eois[pin] = 0;
		return;
	}
	if (++ioapic->eois[pin] < STORM_EOIS) {
		service(ioapic, pin);
		return;
	}
	ioapic->eois[pin] = 0;
	hrtimer_start(&ioapic->retry, ktime_add_ns(ktime_get(), STORM_DELAY_NS),
		      HRTIMER_MODE_ABS_HARD);
}

bool lhv_ioapic_wants_eoi(struct lhv_vm *vm, u8 vector)
{
	return vm->irq.ioapic && test_bit(vector, vm->irq.ioapic->eoi_vectors);
}

/**
 * lhv_ioapic_eoi() - a LAPIC broadcasts an EOI
 * @vm: the VM
 * @vector: the vector
 * @level: it was level triggered
 *
 * Whoever drives the pin hears of it before the pin may deliver again, and so can lower
 * the line in time. Context: any but NMI.
 */
void lhv_ioapic_eoi(struct lhv_vm *vm, u8 vector, bool level)
{
	struct lhv_ioapic *ioapic = vm->irq.ioapic;
	unsigned long pins, flags;
	unsigned int pin;

	if (!test_bit(vector, ioapic->eoi_vectors))
		return;

	raw_spin_lock_irqsave(&ioapic->lock, flags);
	pins = answered_pins(ioapic, vector, level);
	raw_spin_unlock_irqrestore(&ioapic->lock, flags);

	for_each_set_bit(pin, &pins, LHV_IOAPIC_PINS)
		lhv_irq_acked(vm, KVM_IRQCHIP_IOAPIC, pin);

	raw_spin_lock_irqsave(&ioapic->lock, flags);
	for_each_set_bit(pin, &pins, LHV_IOAPIC_PINS) {
		if ((ioapic->rte[pin] & (RTE_LEVEL | RTE_VECTOR)) == (RTE_LEVEL | vector))
			end_level(ioapic, pin);
	}
	raw_spin_unlock_irqrestore(&ioapic->lock, flags);
}

static enum hrtimer_restart retry(struct hrtimer *timer)
{
	struct lhv_ioapic *ioapic = container_of(timer, struct lhv_ioapic, retry);
	unsigned long flags;
	unsigned int pin;

	raw_spin_lock_irqsave(&ioapic->lock, flags);
	for (pin = 0; pin < LHV_IOAPIC_PINS; pin++) {
		if (level_waits(ioapic, pin))
			service(ioapic, pin);
	}
	raw_spin_unlock_irqrestore(&ioapic->lock, flags);
	return HRTIMER_NORESTART;
}

void lhv_ioapic_routing_changed(struct lhv_vm *vm, u32 pit_pins)
{
	struct lhv_ioapic *ioapic = vm->irq.ioapic;
	unsigned long flags;

	raw_spin_lock_irqsave(&ioapic->lock, flags);
	ioapic->pit_pins = pit_pins;
	update_eoi_vectors(ioapic);
	raw_spin_unlock_irqrestore(&ioapic->lock, flags);
}

/* ---- MMIO ---- */

static int mmio_read(struct lhv_vcpu *vcpu, struct lhv_dev *dev, gpa_t addr, int len, void *data)
{
	struct lhv_ioapic *ioapic = container_of(dev, struct lhv_ioapic, dev);
	unsigned long flags;
	u32 val = 0;

	raw_spin_lock_irqsave(&ioapic->lock, flags);
	switch (addr - dev->addr) {
	case IOREGSEL:
		val = ioapic->select;
		break;
	case IOWIN:
		val = lhv_ioapic_reg_read(ioapic, ioapic->select);
		break;
	}
	raw_spin_unlock_irqrestore(&ioapic->lock, flags);
	memset(data, 0, len);
	memcpy(data, &val, min_t(int, len, sizeof(val)));
	return 0;
}

static int mmio_write(struct lhv_vcpu *vcpu, struct lhv_dev *dev, gpa_t addr, int len,
		      const void *data)
{
	struct lhv_ioapic *ioapic = container_of(dev, struct lhv_ioapic, dev);
	u32 val = 0;
	unsigned long flags;

	memcpy(&val, data, min_t(int, len, sizeof(val)));
	raw_spin_lock_irqsave(&ioapic->lock, flags);
	switch (addr - dev->addr) {
	case IOREGSEL:
		ioapic->select = val & 0xff;
		break;
	case IOWIN:
		lhv_ioapic_reg_write(ioapic, ioapic->select, val);
		break;
	}
	raw_spin_unlock_irqrestore(&ioapic->lock, flags);
	return 0;
}

static const struct lhv_dev_ops ioapic_ops = { .read = mmio_read, .write = mmio_write };

/* ---- life ---- */

int lhv_ioapic_create(struct lhv_vm *vm)
{
	struct lhv_ioapic *ioapic = kzalloc(sizeof(*ioapic), GFP_KERNEL_ACCOUNT);
	unsigned int pin;
	int ret;

	if (!ioapic)
		return -ENOMEM;
	raw_spin_lock_init(&ioapic->lock);
	ioapic->vm = vm;
	for (pin = 0; pin < LHV_IOAPIC_PINS; pin++)
		ioapic->rte[pin] = RTE_MASKED;
	lhv_host_hrtimer_setup(&ioapic->retry, retry, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_HARD);
	ioapic->dev = (struct lhv_dev){
		.ops = &ioapic_ops,
		.addr = IO_APIC_DEFAULT_PHYS_BASE,
		.len = IOAPIC_SIZE,
	};
	vm->irq.ioapic = ioapic;
	ret = lhv_bus_add(vm, &vm->mmio_bus, &ioapic->dev);
	if (ret) {
		vm->irq.ioapic = NULL;
		kfree(ioapic);
	}
	return ret;
}

/* Off the bus and gone. NULL-safe. vm->lock held; nobody drives a line any more. */
void lhv_ioapic_destroy(struct lhv_vm *vm)
{
	struct lhv_ioapic *ioapic = vm->irq.ioapic;

	if (!ioapic)
		return;
	lhv_bus_remove(vm, &vm->mmio_bus, &ioapic->dev);
	hrtimer_cancel(&ioapic->retry);
	vm->irq.ioapic = NULL;
	kfree(ioapic);
}

void lhv_ioapic_get_state(struct lhv_vm *vm, struct kvm_ioapic_state *s)
{
	struct lhv_ioapic *ioapic = vm->irq.ioapic;
	unsigned int pin;
	unsigned long flags;

	memset(s, 0, sizeof(*s));
	raw_spin_lock_irqsave(&ioapic->lock, flags);
	s->base_address = IO_APIC_DEFAULT_PHYS_BASE;
	s->ioregsel = ioapic->select;
	s->id = ioapic->id;
	for (pin = 0; pin < LHV_IOAPIC_PINS; pin++) {
		s->redirtbl[pin].bits = ioapic->rte[pin];
		/* An edge that was delivered is no longer a request. */
		if (ioapic->rte[pin] & RTE_LEVEL)
			s->irr |= ioapic->irr & BIT(pin);
	}
	raw_spin_unlock_irqrestore(&ioapic->lock, flags);
}

void lhv_ioapic_set_state(struct lhv_vm *vm, const struct kvm_ioapic_state *s)
{
	struct lhv_ioapic *ioapic = vm->irq.ioapic;
	unsigned int pin;
	unsigned long flags;

	raw_spin_lock_irqsave(&ioapic->lock, flags);
	ioapic->select = s->ioregsel & 0xff;
	ioapic->id = s->id & 0xf;
	for (pin = 0; pin < LHV_IOAPIC_PINS; pin++) {
		ioapic->rte[pin] = s->redirtbl[pin].bits & (RTE_WRITABLE | RTE_READONLY);
		ioapic->eois[pin] = 0;
	}
	ioapic->irr = s->irr & GENMASK(LHV_IOAPIC_PINS - 1, 0);
	update_eoi_vectors(ioapic);
	for (pin = 0; pin < LHV_IOAPIC_PINS; pin++) {
		if (ioapic->irr & BIT(pin))
			service(ioapic, pin);
	}
	raw_spin_unlock_irqrestore(&ioapic->lock, flags);
}
