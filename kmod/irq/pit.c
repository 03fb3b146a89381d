// SPDX-License-Identifier: GPL-2.0
/*
 * lhv irq/ - the 8254 timer (Intel 8254 data sheet, order 231164) and port 0x61.
 *
 * Counters are not run: what a channel shows follows from its start time and
 * the clock, which is pure logic on KVM's state structs. Only channel 0's
 * interrupt needs a timer. Its ticks can be made up for: a tick that the guest
 * was too slow to take is delivered again once it acknowledged the last one.
 */
#include <linux/math64.h>
#include <linux/timex.h>

#include "internal.h"

#define PORT_PIT		0x40	/* three counters and the control word */
#define PORT_SPEAKER		0x61
#define NR_CHANNELS		3
#define CONTROL			3

#define SPEAKER_GATE		BIT(0)
#define SPEAKER_ON		BIT(1)
#define SPEAKER_REFRESH		BIT(4)
#define SPEAKER_OUT		BIT(5)
#define REFRESH_NS		15085	/* memory refresh toggles at half of this rate */

#define READBACK		3	/* control word: no channel, but a read-back command */
#define READBACK_NO_COUNT	BIT(5)
#define READBACK_NO_STATUS	BIT(4)
#define STATUS_OUT		BIT(7)
#define FULL_COUNT		0x10000

/* read_state, write_state, rw_mode, count_latched */
enum { RW_NONE, RW_LSB, RW_MSB, RW_WORD, RW_WORD_MSB };

#define MIN_PERIOD_NS		200000	/* a guest does not buy more host interrupts than this */
#define MAX_PENDING		1000	/* ticks to make up for; more than that and time was lost */

/* ---- counting ---- */

static u32 full_count(const struct kvm_pit_channel_state *c)
{
	return c->count ? min_t(u32, c->count, FULL_COUNT) : FULL_COUNT;
}

static u64 ticks(const struct kvm_pit_channel_state *c, s64 now)
{
	return mul_u64_u32_div(max_t(s64, now - c->count_load_time, 0), PIT_TICK_RATE,
			       NSEC_PER_SEC);
}

static u32 phase(u64 n, u32 by)
{
	u32 rest;

	div_u64_rem(n, by, &rest);
	return rest;
}

u16 lhv_pit_count(const struct kvm_pit_channel_state *c, s64 now)
{
	u32 full = full_count(c);
	u64 t = ticks(c, now);

	switch (c->mode) {
	case 2:
		return full - phase(t, full);
	case 3:		/* counts by two, twice per period */
		return full - phase(2 * t, full);
	default:
		return full - t;
	}
}

bool lhv_pit_out(const struct kvm_pit_channel_state *c, s64 now)
{
	u32 full = full_count(c);
	u64 t = ticks(c, now);

	switch (c->mode) {
	case 0:
		return t >= full;
	case 1:
		return t >= full;
	case 2:
		return phase(t, full) != full - 1;
	case 3:
		return phase(t, full) < (full + 1) / 2;
	default:
		return t != full;
	}
}

u64 lhv_pit_period_ns(const struct kvm_pit_channel_state *c)
{
	return div_u64((u64)full_count(c) * NSEC_PER_SEC, PIT_TICK_RATE);
}

static bool is_periodic(const struct kvm_pit_channel_state *c)
{
	return c->mode == 2 || c->mode == 3;
}

/* ---- registers ---- */

static void latch_count(struct kvm_pit_channel_state *c, s64 now)
{
	if (c->count_latched)
		return;
	c->latched_count = lhv_pit_count(c, now);
	c->count_latched = c->rw_mode;
}

static void latch_status(struct kvm_pit_channel_state *c, s64 now)
{
	if (c->status_latched)
		return;
	c->status = (lhv_pit_out(c, now) ? STATUS_OUT : 0) | c->rw_mode << 4 | c->mode << 1 |
		    c->bcd;
	c->status_latched = 1;
}

static void write_control(struct kvm_pit_channel_state *ch, u8 val, s64 now)
{
	struct kvm_pit_channel_state *c;
	int i;

	if (val >> 6 == READBACK) {
		for (i = 0; i < NR_CHANNELS; i++) {
			if (!(val & BIT(i + 1)))
				continue;
			if (!(val & READBACK_NO_COUNT))
				latch_count(&ch[i], now);
			if (!(val & READBACK_NO_STATUS))
				latch_status(&ch[i], now);
		}
		return;
	}

	c = &ch[val >> 6];
	if (!(val >> 4 & 3)) {
		latch_count(c, now);
		return;
	}
	c->rw_mode = val >> 4 & 3;
	c->read_state = c->rw_mode;
	c->write_state = c->rw_mode;
	c->count_latched = RW_NONE;
	c->status_latched = 0;
	c->mode = val >> 1 & 7;
	if (c->mode > 5)	/* 6 and 7 are 2 and 3 */
		c->mode -= 4;
	c->bcd = val & 1;
}

/* Does this control word set channel 0's mode? Then it counts no more before it is loaded. */
static bool is_mode_of_0(u8 control)
{
	return !(control >> 6) && control >> 4 & 3;
}

static void load(struct kvm_pit_channel_state *c, u16 val, s64 now)
{
	c->count = val ?: FULL_COUNT;
	c->count_load_time = now;
}

bool lhv_pit_core_write(struct kvm_pit_channel_state *ch, unsigned int port, u8 val, s64 now)
{
	struct kvm_pit_channel_state *c;

	if (port == CONTROL) {
		write_control(ch, val, now);
		return false;
	}
	c = &ch[port];
	switch (c->write_state) {
	case RW_MSB:
		load(c, val << 8, now);
		break;
	case RW_WORD:
		c->write_latch = val;
		c->write_state = RW_WORD_MSB;
		return false;
	case RW_WORD_MSB:
		c->write_state = RW_WORD;
		load(c, c->write_latch | val << 8, now);
		break;
	default:
		load(c, val, now);
		break;
	}
	return port == 0;
}

u8 lhv_pit_core_read(struct kvm_pit_channel_state *ch, unsigned int port, s64 now)
{
	struct kvm_pit_channel_state *c;
	u16 count;

	if (port == CONTROL)
		return 0;
	c = &ch[port];
	if (c->status_latched) {
		c->status_latched = 0;
		return c->status;
	}
	switch (c->count_latched) {
	case RW_NONE:
		break;
	case RW_WORD:
		c->count_latched = RW_MSB;
		return c->latched_count;
	case RW_MSB:
		c->count_latched = RW_NONE;
		return c->latched_count >> 8;
	default:
		c->count_latched = RW_NONE;
		return c->latched_count;
	}

	count = lhv_pit_count(c, now);
	switch (c->read_state) {
	case RW_MSB:
		return count >> 8;
	case RW_WORD:
		c->read_state = RW_WORD_MSB;
		return count;
	case RW_WORD_MSB:
		c->read_state = RW_WORD;
		return count >> 8;
	default:
		return count;
	}
}

/* ---- the device ---- */

struct lhv_pit {
	raw_spinlock_t lock;	/* channels, flags, arming; never taken by the timer */
	struct lhv_vm *vm;	/* I */
	struct kvm_pit_channel_state ch[NR_CHANNELS];
	u32 flags;		/* KVM_PIT_FLAGS_* */
	struct hrtimer timer;
	u64 period_ns;		/* changed only while the timer is stopped; 0: one-shot */
	bool reinject;		/* A */
	atomic_t pending;	/* A ticks to make up for, the one under way included */
	atomic_t acked;		/* A the guest acknowledged the last tick */
	struct lhv_dev dev, speaker; /* I */
	bool has_speaker;	/* I */
};

static struct lhv_pit *published(struct lhv_vm *vm)
{
	/* Pairs with the end of lhv_pit_create(). */
	return smp_load_acquire(&vm->irq.pit);
}

/* One edge on GSI 0. */
static void pulse(struct lhv_pit *pit)
{
	int ret = lhv_irq_pulse(pit->vm, LHV_IRQ_SOURCE_PIT, 0);

	lhv_lapic_nmi_all(pit->vm);
	if (ret < 0) {
		/* Masked everywhere: nobody will acknowledge it, nobody misses it. */
		atomic_set(&pit->pending, 0);
		atomic_set(&pit->acked, 1);
	}
}

/* Deliver the next tick if there is one and the last one is done. */
static void kick_pending(struct lhv_pit *pit)
{
	if (atomic_read(&pit->pending) > 0 && atomic_xchg(&pit->acked, 0))
		pulse(pit);
}

static enum hrtimer_restart timer_fired(struct hrtimer *timer)
{
	struct lhv_pit *pit = container_of(timer, struct lhv_pit, timer);
	u64 ticks = 1;

	/* More than one when the host was late. */
	if (pit->period_ns)
		ticks = hrtimer_forward_now(timer, ns_to_ktime(pit->period_ns));
	if (!READ_ONCE(pit->reinject)) {
		pulse(pit);
	} else {
		ticks = min_t(u64, ticks, MAX_PENDING);
		if (atomic_add_return(ticks, &pit->pending) > MAX_PENDING) {
			/* The guest took a tick and never acknowledged it: start anew. */
			atomic_set(&pit->pending, 1);
			atomic_set(&pit->acked, 1);
		}
		kick_pending(pit);
	}
	return pit->period_ns ? HRTIMER_RESTART : HRTIMER_NORESTART;
}

/* GSI 0's EOI. Any context, no lock of an interrupt controller held. */
void lhv_pit_acked(struct lhv_vm *vm)
{
	struct lhv_pit *pit = published(vm);

	if (!pit || !READ_ONCE(pit->reinject))
		return;
	atomic_dec_if_positive(&pit->pending);
	atomic_set(&pit->acked, 1);
	kick_pending(pit);
}

static void forget_ticks(struct lhv_pit *pit)
{
	atomic_set(&pit->pending, 0);
	atomic_set(&pit->acked, 1);
}

static void stop(struct lhv_pit *pit)
{
	lockdep_assert_held(&pit->lock);
	/* The timer's callback takes no lock of ours, so waiting for it here is fine. */
	hrtimer_cancel(&pit->timer);
	forget_ticks(pit);
}

/* Channel 0 was loaded. */
static void arm(struct lhv_pit *pit)
{
	const struct kvm_pit_channel_state *c = &pit->ch[0];
	u64 period = lhv_pit_period_ns(c);

	stop(pit);
	if ((pit->flags & KVM_PIT_FLAGS_HPET_LEGACY) || c->mode == 5)
		return;
	if (is_periodic(c))
		period = max_t(u64, period, MIN_PERIOD_NS);
	pit->period_ns = is_periodic(c) ? period : 0;
	hrtimer_start(&pit->timer, ktime_add_ns(ktime_get(), period), HRTIMER_MODE_ABS_HARD);
}

static int pit_read(struct lhv_vcpu *vcpu, struct lhv_dev *dev, gpa_t addr, int len, void *data)
{
	struct lhv_pit *pit = container_of(dev, struct lhv_pit, dev);
	unsigned long flags;

	memset(data, 0, len);
	raw_spin_lock_irqsave(&pit->lock, flags);
	*(u8 *)data = lhv_pit_core_read(pit->ch, addr & 3, ktime_get_ns());
	raw_spin_unlock_irqrestore(&pit->lock, flags);
	return 0;
}

static int pit_write(struct lhv_vcpu *vcpu, struct lhv_dev *dev, gpa_t addr, int len,
		     const void *data)
{
	struct lhv_pit *pit = container_of(dev, struct lhv_pit, dev);
	u8 val = *(const u8 *)data;
	unsigned long flags;

	raw_spin_lock_irqsave(&pit->lock, flags);
	if (lhv_pit_core_write(pit->ch, addr & 3, val, ktime_get_ns()))
		arm(pit);
	else if ((addr & 3) == CONTROL && is_mode_of_0(val))
		stop(pit);
	raw_spin_unlock_irqrestore(&pit->lock, flags);
	return 0;
}

static int speaker_read(struct lhv_vcpu *vcpu, struct lhv_dev *dev, gpa_t addr, int len,
			void *data)
{
	struct lhv_pit *pit = container_of(dev, struct lhv_pit, speaker);
	s64 now = ktime_get_ns();
	u8 val = 0;
	unsigned long flags;

	memset(data, 0, len);
	raw_spin_lock_irqsave(&pit->lock, flags);
	if (pit->ch[2].gate)
		val |= SPEAKER_GATE;
	if (pit->flags & KVM_PIT_FLAGS_SPEAKER_DATA_ON)
		val |= SPEAKER_ON;
	if (div_u64(now, REFRESH_NS) & 1)
		val |= SPEAKER_REFRESH;
	if (lhv_pit_out(&pit->ch[2], now))
		val |= SPEAKER_OUT;
	*(u8 *)data = val;
	raw_spin_unlock_irqrestore(&pit->lock, flags);
	return 0;
}

static int speaker_write(struct lhv_vcpu *vcpu, struct lhv_dev *dev, gpa_t addr, int len,
			 const void *data)
{
	struct lhv_pit *pit = container_of(dev, struct lhv_pit, speaker);
	struct kvm_pit_channel_state *c = &pit->ch[2];
	u8 val = *(const u8 *)data;
	unsigned long flags;

	raw_spin_lock_irqsave(&pit->lock, flags);
	pit->flags &= ~KVM_PIT_FLAGS_SPEAKER_DATA_ON;
	if (val & SPEAKER_ON)
		pit->flags |= KVM_PIT_FLAGS_SPEAKER_DATA_ON;
	/* A rising gate starts modes 1, 2, 3 and 5 over; 0 and 4 only count while it is up. */
	if ((val & SPEAKER_GATE) && !c->gate && c->mode != 0 && c->mode != 4)
		c->count_load_time = ktime_get_ns();
	c->gate = val & SPEAKER_GATE;
	raw_spin_unlock_irqrestore(&pit->lock, flags);
	return 0;
}

static const struct lhv_dev_ops pit_ops = { .read = pit_read, .write = pit_write };
static const struct lhv_dev_ops speaker_ops = { .read = speaker_read, .write = speaker_write };

/* ---- life ---- */

int lhv_pit_create(struct lhv_vm *vm, const struct kvm_pit_config *config)
{
	struct lhv_pit *pit;
	int i, ret;

	lockdep_assert_held(&vm->lock);
	if (config->flags & ~KVM_PIT_SPEAKER_DUMMY)
		return -EINVAL;
	if (vm->irq.mode != LHV_IRQCHIP_KERNEL)
		return -ENOENT;
	if (vm->irq.pit)
		return -EEXIST;

	pit = kzalloc(sizeof(*pit), GFP_KERNEL_ACCOUNT);
	if (!pit)
		return -ENOMEM;
	raw_spin_lock_init(&pit->lock);
	pit->vm = vm;
	pit->reinject = true;
	forget_ticks(pit);
	for (i = 0; i < NR_CHANNELS; i++) {
		pit->ch[i].mode = 3;
		pit->ch[i].rw_mode = RW_WORD;
		pit->ch[i].read_state = RW_WORD;
		pit->ch[i].write_state = RW_WORD;
		pit->ch[i].gate = i != 2;
		load(&pit->ch[i], 0, ktime_get_ns());
	}
	lhv_host_hrtimer_setup(&pit->timer, timer_fired, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_HARD);
	pit->dev = (struct lhv_dev){ .ops = &pit_ops, .addr = PORT_PIT, .len = 4 };
	pit->speaker = (struct lhv_dev){ .ops = &speaker_ops, .addr = PORT_SPEAKER, .len = 1 };

	ret = lhv_bus_add(vm, &vm->pio_bus, &pit->dev);
	if (ret)
		goto err_free;
	if (config->flags & KVM_PIT_SPEAKER_DUMMY) {
		ret = lhv_bus_add(vm, &vm->pio_bus, &pit->speaker);
		if (ret)
			goto err_dev;
		pit->has_speaker = true;
	}
	/* Pairs with published(). */
	smp_store_release(&vm->irq.pit, pit);
	return 0;

err_dev:
	lhv_bus_remove(vm, &vm->pio_bus, &pit->dev);
	/* A vCPU may have armed it meanwhile. */
	hrtimer_cancel(&pit->timer);
err_free:
	kfree(pit);
	return ret;
}

/* NULL-safe. vm->lock held; no vCPU runs and nobody is in lhv_pit_acked(). */
void lhv_pit_destroy(struct lhv_vm *vm)
{
	struct lhv_pit *pit = vm->irq.pit;

	if (!pit)
		return;
	if (pit->has_speaker)
		lhv_bus_remove(vm, &vm->pio_bus, &pit->speaker);
	lhv_bus_remove(vm, &vm->pio_bus, &pit->dev);
	hrtimer_cancel(&pit->timer);
	vm->irq.pit = NULL;
	kfree(pit);
}

int lhv_pit_get(struct lhv_vm *vm, struct kvm_pit_state2 *ps)
{
	struct lhv_pit *pit = published(vm);
	unsigned long flags;

	if (!pit)
		return -ENXIO;
	memset(ps, 0, sizeof(*ps));
	raw_spin_lock_irqsave(&pit->lock, flags);
	memcpy(ps->channels, pit->ch, sizeof(ps->channels));
	ps->flags = pit->flags;
	raw_spin_unlock_irqrestore(&pit->lock, flags);
	return 0;
}

int lhv_pit_set(struct lhv_vm *vm, const struct kvm_pit_state2 *ps)
{
	struct lhv_pit *pit = published(vm);
	int i;
	unsigned long flags;

	if (!pit)
		return -ENXIO;
	raw_spin_lock_irqsave(&pit->lock, flags);
	memcpy(pit->ch, ps->channels, sizeof(pit->ch));
	for (i = 0; i < NR_CHANNELS; i++) {
		struct kvm_pit_channel_state *c = &pit->ch[i];

		c->count = full_count(c);
		c->mode = min_t(u8, c->mode, 5);
		c->rw_mode &= 3;
		c->bcd &= 1;
	}
	pit->flags = ps->flags & (KVM_PIT_FLAGS_HPET_LEGACY | KVM_PIT_FLAGS_SPEAKER_DATA_ON);
	/* Channel 0 starts its period over, as it does under KVM. */
	pit->ch[0].count_load_time = ktime_get_ns();
	arm(pit);
	raw_spin_unlock_irqrestore(&pit->lock, flags);
	return 0;
}

int lhv_pit_reinject(struct lhv_vm *vm, const struct kvm_reinject_control *control)
{
	struct lhv_pit *pit = published(vm);

	if (!pit)
		return -ENXIO;
	forget_ticks(pit);
	WRITE_ONCE(pit->reinject, control->pit_reinject);
	return 0;
}
