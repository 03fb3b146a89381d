// SPDX-License-Identifier: GPL-2.0
/*
 * lhv irq/ - the pair of 8259A interrupt controllers of a PC.
 *
 * First the chips as pure logic on KVM's state structs (Intel 8259A data sheet,
 * order 231468, sections "Programming the 8259A" and "Operation Command
 * Words"), then ports, lock and the vCPU's INTR.
 */
#include "internal.h"

#define CASCADE		2	/* the master's pin that the slave drives */
#define SPURIOUS	7
#define NR_PINS		8

#define PORT_MASTER	0x20
#define PORT_SLAVE	0xa0
#define PORT_ELCR	0x4d0

/* Pins that may be level triggered: not the timer, keyboard, cascade, RTC, FPU. */
#define ELCR_MASTER	0xf8
#define ELCR_SLAVE	0xde

#define ICW1		BIT(4)
#define ICW1_IC4	BIT(0)
#define ICW4_AUTO_EOI	BIT(1)
#define ICW4_SFNM	BIT(4)
#define OCW3		BIT(3)
#define OCW3_READ	BIT(1)
#define OCW3_POLL	BIT(2)
#define OCW3_SMM	BIT(5)
#define OCW3_SET_SMM	BIT(6)
#define POLL_INT	BIT(7)

enum { WAIT_OCW, WAIT_ICW2, WAIT_ICW3, WAIT_ICW4 };	/* init_state */

/* ---- the chips ---- */

/* Rank (0: first) of the first pin of @mask in the rotated order, or NR_PINS. */
static int rank(const struct kvm_pic_state *s, u8 mask)
{
	int i;

	for (i = 0; i < NR_PINS; i++) {
		if (mask & BIT((i + s->priority_add) & 7))
			break;
	}
	return i;
}

/* The pin that the chip would interrupt for, or -1. */
static int pending(const struct kvm_pic_state *s, bool master)
{
	int want = rank(s, s->irr & ~s->imr);
	u8 in_service = s->isr;

	if (want == NR_PINS)
		return -1;
	if (s->special_mask)
		in_service &= ~s->imr;
	/* Fully nested over the cascade: the slave may interrupt itself. */
	if (master && s->special_fully_nested_mode)
		in_service &= ~BIT(CASCADE);
	return want < rank(s, in_service) ? (want + s->priority_add) & 7 : -1;
}

void lhv_pic_core_update(struct lhv_pic_core *pic)
{
	struct kvm_pic_state *master = &pic->chip[0];

	if (pending(&pic->chip[1], false) >= 0)
		master->irr |= BIT(CASCADE);
	else
		master->irr &= ~BIT(CASCADE);
	pic->output = pending(master, true) >= 0;
}

static void end_service(struct lhv_pic_core *pic, int chip, u8 mask)
{
	struct kvm_pic_state *s = &pic->chip[chip];

	pic->acked |= (u16)(s->isr & mask) << (chip * NR_PINS);
	s->isr &= ~mask;
}

/* The CPU takes @pin. */
static void take(struct lhv_pic_core *pic, int chip, int pin)
{
	struct kvm_pic_state *s = &pic->chip[chip];

	s->isr |= BIT(pin);
	if (!(s->elcr & BIT(pin)))
		s->irr &= ~BIT(pin);
	if (!s->auto_eoi)
		return;
	if (s->rotate_on_auto_eoi)
		s->priority_add = (pin + 1) & 7;
	end_service(pic, chip, BIT(pin));
}

/**
 * lhv_pic_core_set() - a line goes up or down
 * @pic: the pair
 * @pin: 0 to 7 of the master, 8 to 15 of the slave
 * @level: up
 *
 * Return: 1 a new request, 0 it was there already, -1 masked.
 */
int lhv_pic_core_set(struct lhv_pic_core *pic, unsigned int pin, bool level)
{
	struct kvm_pic_state *s = &pic->chip[pin / NR_PINS];
	u8 mask = BIT(pin % NR_PINS);
	int ret = 1;

	if (!level) {
		s->last_irr &= ~mask;
		/* A latched edge stays, so that a pulse is not lost. */
		if (s->elcr & mask)
			s->irr &= ~mask;
	} else if (s->elcr & mask) {
		ret = !(s->irr & mask);
		s->irr |= mask;
		s->last_irr |= mask;
	} else {
		ret = !(s->irr & mask);
		if (!(s->last_irr & mask))
			s->irr |= mask;
		s->last_irr |= mask;
	}
	if (s->imr & mask)
		ret = -1;
	lhv_pic_core_update(pic);
	return ret;
}

/* INTA. Always a vector: spurious when the request has gone. */
int lhv_pic_core_ack(struct lhv_pic_core *pic)
{
	struct kvm_pic_state *master = &pic->chip[0], *slave = &pic->chip[1];
	int pin = pending(master, true), slave_pin, vector;

	if (pin < 0)
		return master->irq_base + SPURIOUS;
	if (pin == CASCADE) {
		slave_pin = pending(slave, false);
		if (slave_pin >= 0)
			take(pic, 1, slave_pin);
		else
			slave_pin = SPURIOUS;
		vector = slave->irq_base + slave_pin;
	} else {
		vector = master->irq_base + pin;
	}
	take(pic, 0, pin);
	lhv_pic_core_update(pic);
	return vector;
}

static void start_init(struct lhv_pic_core *pic, int chip, u8 icw1)
{
	struct kvm_pic_state *s = &pic->chip[chip];

	end_service(pic, chip, 0xff);
	/* Edges have to come again; levels that are up stay. */
	s->irr &= s->elcr;
	s->last_irr &= s->elcr;
	s->imr = 0;
	s->priority_add = 0;
	s->special_mask = 0;
	s->read_reg_select = 0;
	s->poll = 0;
	s->init4 = icw1 & ICW1_IC4;
	if (!s->init4) {
		s->special_fully_nested_mode = 0;
		s->auto_eoi = 0;
	}
	s->rotate_on_auto_eoi = 0;
	s->init_state = WAIT_ICW2;
}

static void write_ocw3(struct kvm_pic_state *s, u8 val)
{
	if (val & OCW3_POLL)
		s->poll = 1;
	if (val & OCW3_READ)
		s->read_reg_select = val & 1;
	if (val & OCW3_SET_SMM)
		s->special_mask = !!(val & OCW3_SMM);
}

static void write_ocw2(struct lhv_pic_core *pic, int chip, u8 val)
{
	struct kvm_pic_state *s = &pic->chip[chip];
	int pin = val & 7, first;

	switch (val >> 5) {
	case 0:		/* rotate in automatic EOI mode: clear */
	case 4:		/* set */
		s->rotate_on_auto_eoi = val >> 7;
		return;
	case 1:		/* non-specific EOI */
	case 5:		/* and rotate */
		first = rank(s, s->isr);
		if (first == NR_PINS)
			return;
		pin = (first + s->priority_add) & 7;
		break;
	case 3:		/* specific EOI */
	case 7:		/* and rotate */
		break;
	case 6:		/* set priority */
		s->priority_add = (pin + 1) & 7;
		return;
	default:
		return;
	}
	end_service(pic, chip, BIT(pin));
	if (val & BIT(7))
		s->priority_add = (pin + 1) & 7;
}

void lhv_pic_core_write(struct lhv_pic_core *pic, int chip, int a0, u8 val)
{
	struct kvm_pic_state *s = &pic->chip[chip];

	if (!a0) {
		if (val & ICW1)
			start_init(pic, chip, val);
		else if (val & OCW3)
			write_ocw3(s, val);
		else
			write_ocw2(pic, chip, val);
	} else {
		switch (s->init_state) {
		case WAIT_OCW:
			s->imr = val;
			break;
		case WAIT_ICW2:
			s->irq_base = val & 0xf8;
			s->init_state = WAIT_ICW3;
			break;
		case WAIT_ICW3:
			s->init_state = s->init4 ? WAIT_ICW4 : WAIT_OCW;
			break;
		case WAIT_ICW4:
			s->special_fully_nested_mode = !!(val & ICW4_SFNM);
			s->auto_eoi = !!(val & ICW4_AUTO_EOI);
			s->init_state = WAIT_OCW;
			break;
		}
	}
	lhv_pic_core_update(pic);
}

/* A poll is an INTA by software, of this chip alone. */
static noinline u8 poll(struct lhv_pic_core *pic, int chip)
{
	int pin = pending(&pic->chip[chip], !chip);

	pic->chip[chip].poll = 0;
	if (pin < 0)
		return 0;
	take(pic, chip, pin);
	lhv_pic_core_update(pic);
	return POLL_INT | pin;
}

u8 lhv_pic_core_read(struct lhv_pic_core *pic, int chip, int a0)
{
	struct kvm_pic_state *s = &pic->chip[chip];

	if (s->poll)
		return poll(pic, chip);
	if (a0)
		return s->imr;
	return s->read_reg_select ? s->isr : s->irr;
}

void lhv_pic_core_reset(struct lhv_pic_core *pic)
{
	memset(pic, 0, sizeof(*pic));
	pic->chip[0].elcr_mask = ELCR_MASTER;
	pic->chip[1].elcr_mask = ELCR_SLAVE;
}

/* ---- ports, lock, INTR ---- */

struct lhv_pic {
	raw_spinlock_t lock;
	struct lhv_pic_core core;	/* lock */
	u8 levels[2 * NR_PINS];		/* lock: bit per source */
	struct lhv_dev master, slave, elcr; /* I */
};

/* One vCPU at most has its LINT0 open for the 8259. */
static void wake(struct lhv_vm *vm)
{
	struct lhv_vcpu *vcpu;
	int i;

	lhv_for_each_vcpu(i, vcpu, vm) {
		if (vcpu->lapic && lhv_lapic_accepts_pic(vcpu)) {
			lhv_request(vcpu, LHV_REQ_EVENT);
			return;
		}
	}
}

static noinline void tell(struct lhv_vm *vm, unsigned long acked, bool output)
{
	unsigned int pin;

	for_each_set_bit(pin, &acked, 2 * NR_PINS)
		lhv_irq_acked(vm, pin < NR_PINS ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE,
			      pin % NR_PINS);
	if (output)
		wake(vm);
}

/* Drop the lock, and only then tell others what changed: they may come back to us. */
static __always_inline void unlock(struct lhv_vm *vm, unsigned long flags)
	__releases(&vm->irq.pic->lock)
{
	struct lhv_pic *pic = vm->irq.pic;
	u16 acked = pic->core.acked;
	bool output = pic->core.output;

	pic->core.acked = 0;
	raw_spin_unlock_irqrestore(&pic->lock, flags);
	if (unlikely(acked || output))
		tell(vm, acked, output);
}

int lhv_pic_set(struct lhv_vm *vm, unsigned int pin, int source, bool level)
{
	struct lhv_pic *pic = vm->irq.pic;
	unsigned long flags;
	int ret;

	raw_spin_lock_irqsave(&pic->lock, flags);
	if (level)
		pic->levels[pin] |= BIT(source);
	else
		pic->levels[pin] &= ~BIT(source);
	ret = lhv_pic_core_set(&pic->core, pin, pic->levels[pin]);
	unlock(vm, flags);
	return ret;
}

bool lhv_pic_output(struct lhv_vm *vm)
{
	return READ_ONCE(vm->irq.pic->core.output);
}

int lhv_pic_ack(struct lhv_vm *vm)
{
	struct lhv_pic *pic = vm->irq.pic;
	unsigned long flags;
	int vector;

	raw_spin_lock_irqsave(&pic->lock, flags);
	vector = pic->core.output ? lhv_pic_core_ack(&pic->core) : -1;
	unlock(vm, flags);
	return vector;
}

static int chip_read(struct lhv_vcpu *vcpu, int chip, gpa_t addr, int len, void *data)
{
	struct lhv_pic *pic = vcpu->vm->irq.pic;
	unsigned long flags;

	if (unlikely(len != 1)) {
		memset(data, 0, len);
		return 0;
	}
	raw_spin_lock_irqsave(&pic->lock, flags);
	*(u8 *)data = lhv_pic_core_read(&pic->core, chip, addr & 1);
	unlock(vcpu->vm, flags);
	return 0;
}

static int chip_write(struct lhv_vcpu *vcpu, int chip, gpa_t addr, int len, const void *data)
{
	struct lhv_pic *pic = vcpu->vm->irq.pic;
	unsigned long flags;

	if (len != 1)
		return 0;
	raw_spin_lock_irqsave(&pic->lock, flags);
	lhv_pic_core_write(&pic->core, chip, addr & 1, *(const u8 *)data);
	unlock(vcpu->vm, flags);
	return 0;
}

static int master_read(struct lhv_vcpu *vcpu, struct lhv_dev *dev, gpa_t addr, int len, void *data)
{
	return chip_read(vcpu, 0, addr, len, data);
}

static int master_write(struct lhv_vcpu *vcpu, struct lhv_dev *dev, gpa_t addr, int len,
			const void *data)
{
	return chip_write(vcpu, 0, addr, len, data);
}

static int slave_read(struct lhv_vcpu *vcpu, struct lhv_dev *dev, gpa_t addr, int len, void *data)
{
	return chip_read(vcpu, 1, addr, len, data);
}

static int slave_write(struct lhv_vcpu *vcpu, struct lhv_dev *dev, gpa_t addr, int len,
		       const void *data)
{
	return chip_write(vcpu, 1, addr, len, data);
}

static int elcr_read(struct lhv_vcpu *vcpu, struct lhv_dev *dev, gpa_t addr, int len, void *data)
{
	struct lhv_pic *pic = vcpu->vm->irq.pic;

	memset(data, 0, len);
	if (len == 1)
		*(u8 *)data = READ_ONCE(pic->core.chip[addr & 1].elcr);
	return 0;
}

static int elcr_write(struct lhv_vcpu *vcpu, struct lhv_dev *dev, gpa_t addr, int len,
		      const void *data)
{
	struct lhv_pic *pic = vcpu->vm->irq.pic;
	struct kvm_pic_state *s = &pic->core.chip[addr & 1];
	unsigned long flags;

	if (len != 1)
		return 0;
	raw_spin_lock_irqsave(&pic->lock, flags);
	s->elcr = *(const u8 *)data & s->elcr_mask;
	lhv_pic_core_update(&pic->core);
	unlock(vcpu->vm, flags);
	return 0;
}

static const struct lhv_dev_ops master_ops = { .read = master_read, .write = master_write };
static const struct lhv_dev_ops slave_ops = { .read = slave_read, .write = slave_write };
static const struct lhv_dev_ops elcr_ops = { .read = elcr_read, .write = elcr_write };

int lhv_pic_create(struct lhv_vm *vm)
{
	struct lhv_pic *pic = kzalloc(sizeof(*pic), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!pic)
		return -ENOMEM;
	raw_spin_lock_init(&pic->lock);
	lhv_pic_core_reset(&pic->core);
	pic->master = (struct lhv_dev){ .ops = &master_ops, .addr = PORT_MASTER, .len = 2 };
	pic->slave = (struct lhv_dev){ .ops = &slave_ops, .addr = PORT_SLAVE, .len = 2 };
	pic->elcr = (struct lhv_dev){ .ops = &elcr_ops, .addr = PORT_ELCR, .len = 2 };
	vm->irq.pic = pic;

	ret = lhv_bus_add(vm, &vm->pio_bus, &pic->master);
	if (ret)
		goto err_free;
	ret = lhv_bus_add(vm, &vm->pio_bus, &pic->slave);
	if (ret)
		goto err_master;
	ret = lhv_bus_add(vm, &vm->pio_bus, &pic->elcr);
	if (ret)
		goto err_slave;
	return 0;

err_slave:
	lhv_bus_remove(vm, &vm->pio_bus, &pic->slave);
err_master:
	lhv_bus_remove(vm, &vm->pio_bus, &pic->master);
err_free:
	vm->irq.pic = NULL;
	kfree(pic);
	return ret;
}

/* Off the bus and gone. NULL-safe. vm->lock held. */
void lhv_pic_destroy(struct lhv_vm *vm)
{
	struct lhv_pic *pic = vm->irq.pic;

	if (!pic)
		return;
	lhv_bus_remove(vm, &vm->pio_bus, &pic->elcr);
	lhv_bus_remove(vm, &vm->pio_bus, &pic->slave);
	lhv_bus_remove(vm, &vm->pio_bus, &pic->master);
	vm->irq.pic = NULL;
	kfree(pic);
}

void lhv_pic_get_state(struct lhv_vm *vm, int chip, struct kvm_pic_state *s)
{
	struct lhv_pic *pic = vm->irq.pic;
	unsigned long flags;

	raw_spin_lock_irqsave(&pic->lock, flags);
	*s = pic->core.chip[chip];
	raw_spin_unlock_irqrestore(&pic->lock, flags);
}

void lhv_pic_set_state(struct lhv_vm *vm, int chip, const struct kvm_pic_state *s)
{
	struct lhv_pic *pic = vm->irq.pic;
	struct kvm_pic_state *to = &pic->core.chip[chip];
	unsigned long flags;

	raw_spin_lock_irqsave(&pic->lock, flags);
	*to = *s;
	/* Whatever the VMM hands in, the state machine stays one of ours. */
	to->elcr_mask = chip ? ELCR_SLAVE : ELCR_MASTER;
	to->elcr &= to->elcr_mask;
	to->priority_add &= 7;
	to->irq_base &= 0xf8;
	to->read_reg_select &= 1;
	if (to->init_state > WAIT_ICW4)
		to->init_state = WAIT_OCW;
	lhv_pic_core_update(&pic->core);
	unlock(vm, flags);
}
