// SPDX-License-Identifier: GPL-2.0
/*
 * lhv irq/ - the local APIC's timer: one-shot, periodic and TSC-deadline.
 *
 * An hrtimer in hard interrupt context sets the vector itself; no thread, no
 * work item. The vCPU's own thread changes the timer only after it cancelled
 * it, so the callback and the thread never touch the state at once.
 *
 * Where the CPU can end the guest's time by itself, a deadline needs no hrtimer as long as the vCPU
 * runs: one that is not running learns of it at its next entry. Only HLT needs to be woken.
 */
#include <asm/msr.h>

#include "lapic.h"

#define MAX_DIVIDE		128
#define MIN_PERIOD_NS		200000	/* a guest does not buy more host interrupts than this */
#define MIN_REARM_NS		1000
#define MAX_SLEW		2048	/* one part in so many: NTP slews by 500 ppm at most */
#define MAX_TIMER_NS		(KTIME_MAX / 4)

static u32 timer_mode(const struct lhv_lapic *l)
{
	return lhv_lapic_reg(l, APIC_LVTT) & (APIC_LVT_TIMER_PERIODIC | APIC_LVT_TIMER_TSCDEADLINE);
}

/* What one tick of the counter takes. */
static u64 tick_ns(const struct lhv_lapic *l)
{
	return (u64)l->divide * l->vcpu->vm->irq.bus_cycle_ns;
}

/* See irq.h. The longest count still has to be less than the end of time. */
int lhv_apic_set_bus_cycle(struct lhv_vm *vm, u64 ns)
{
	lockdep_assert_held(&vm->lock);
	if (!ns || ns > U64_MAX / ((u64)U32_MAX * MAX_DIVIDE))
		return -EINVAL;
	if (!lhv_has_lapic(vm))
		return -ENXIO;
	if (vm->nr_vcpus)
		return -EINVAL;
	vm->irq.bus_cycle_ns = ns;
	return 0;
}

static bool is_deadline(const struct lhv_lapic *l)
{
	return timer_mode(l) == APIC_LVT_TIMER_TSCDEADLINE;
}

/* How long until the guest's TSC reaches the deadline; 0: it has. */
static u64 deadline_delta_ns(struct lhv_lapic *l)
{
	u64 ns, now = lhv_guest_tsc(l->vcpu, rdtsc());

	if (now >= l->tscdeadline)
		return 0;
	/*
	 * One more, because the conversion rounds down; and a little more, because the host's clock
	 * may be slewed against the TSC: arming the timer a second time costs more.
	 */
	ns = min_t(u64, lhv_tsc_to_ns(l->vcpu, l->tscdeadline - now), MAX_TIMER_NS);
	return ns + min_t(u64, ns / MAX_SLEW, MIN_REARM_NS) + 1;
}

static enum hrtimer_restart timer_fired(struct hrtimer *timer)
{
	struct lhv_lapic *l = container_of(timer, struct lhv_lapic, timer);
	u64 early;

	if (is_deadline(l)) {
		/* The host's clock is slewed, the TSC is not: never fire before the deadline. */
		early = deadline_delta_ns(l);
		if (early) {
			hrtimer_forward_now(timer, ns_to_ktime(max_t(u64, early, MIN_REARM_NS)));
			return HRTIMER_RESTART;
		}
		WRITE_ONCE(l->tscdeadline, 0);
	}
	lhv_lapic_deliver_lvt(l, APIC_LVTT);
	if (!l->period_ns)
		return HRTIMER_NORESTART;
	hrtimer_forward_now(timer, ns_to_ktime(l->period_ns));
	WRITE_ONCE(l->target, hrtimer_get_expires(timer));
	return HRTIMER_RESTART;
}

void lhv_lapic_timer_init(struct lhv_lapic *l)
{
	lhv_host_hrtimer_setup(&l->timer, timer_fired, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_HARD);
	l->divide = 2;
}

/* Nothing will come of what was armed. */
static void disarm(struct lhv_lapic *l)
{
	hrtimer_cancel(&l->timer);
	if (l->in_backend) {
		l->in_backend = false;
		lhv_backend->set_deadline(l->vcpu, 0);
	}
}

void lhv_lapic_timer_stop(struct lhv_lapic *l)
{
	disarm(l);
	l->period_ns = 0;
	l->tscdeadline = 0;
}

static void arm_deadline(struct lhv_lapic *l)
{
	unsigned long flags;
	ktime_t now;
	u64 delta;

	if (!l->tscdeadline)
		return;
	if (l->vcpu->atomic && lhv_backend->set_deadline &&
	    lhv_backend->set_deadline(l->vcpu, l->tscdeadline)) {
		l->in_backend = true;
		return;
	}
	/* Both clocks are read together. */
	local_irq_save(flags);
	now = ktime_get();
	delta = deadline_delta_ns(l);
	local_irq_restore(flags);

	if (!delta) {
		l->tscdeadline = 0;
		lhv_lapic_deliver_lvt(l, APIC_LVTT);
		return;
	}
	hrtimer_start(&l->timer, ktime_add_ns(now, delta), HRTIMER_MODE_ABS_HARD);
}

/* One-shot or periodic, @ticks from now; the timer is stopped. */
static void arm_count(struct lhv_lapic *l, u32 ticks)
{
	u32 initial = lhv_lapic_reg(l, APIC_TMICT);
	u64 tick = tick_ns(l);

	if (!initial)
		return;
	l->period_ns = 0;
	if (timer_mode(l) == APIC_LVT_TIMER_PERIODIC)
		l->period_ns = clamp_t(u64, initial * tick, MIN_PERIOD_NS, MAX_TIMER_NS);
	l->target = ktime_add_ns(ktime_get(), min_t(u64, ticks * tick, MAX_TIMER_NS));
	hrtimer_start(&l->timer, l->target, HRTIMER_MODE_ABS_HARD);
}

void lhv_lapic_timer_set_lvt(struct lhv_lapic *l, u32 lvtt)
{
	u32 old = timer_mode(l);
	u32 count;

	/* Both mode bits at once are reserved: that timer does not run. */
	if (((old ^ lvtt) & APIC_LVT_TIMER_TSCDEADLINE)) {
		/* Between deadline and count nothing is carried over. */
		lhv_lapic_timer_stop(l);
		lhv_lapic_set_reg(l, APIC_TMICT, 0);
		lhv_lapic_set_reg(l, APIC_LVTT, lvtt);
		return;
	}
	if (!((old ^ lvtt) & APIC_LVT_TIMER_PERIODIC)) {
		lhv_lapic_set_reg(l, APIC_LVTT, lvtt);
		return;
	}
	/* One-shot becomes periodic or back while it counts. */
	count = lhv_lapic_timer_count(l);
	hrtimer_cancel(&l->timer);
	lhv_lapic_set_reg(l, APIC_LVTT, lvtt);
	l->period_ns = 0;
	if (count)
		arm_count(l, count);
}

void lhv_lapic_timer_set_count(struct lhv_lapic *l, u32 count)
{
	if (is_deadline(l))
		return;
	hrtimer_cancel(&l->timer);
	l->period_ns = 0;
	lhv_lapic_set_reg(l, APIC_TMICT, count);
	arm_count(l, count);
}

/* SDM Vol 3A "APIC Timer": bits 3, 1 and 0 select 2, 4, ... 128, and 1. */
void lhv_lapic_timer_set_divide(struct lhv_lapic *l, u32 tdcr)
{
	u32 sel = (tdcr & 3) | (tdcr & 8) >> 1;
	u32 count = lhv_lapic_timer_count(l);

	lhv_lapic_set_reg(l, APIC_TDCR, tdcr);
	if (l->divide == 1U << ((sel + 1) & 7))
		return;
	hrtimer_cancel(&l->timer);
	l->divide = 1U << ((sel + 1) & 7);
	if (count)
		arm_count(l, count);
}

u32 lhv_lapic_timer_count(struct lhv_lapic *l)
{
	u32 initial = lhv_lapic_reg(l, APIC_TMICT);
	s64 left;

	if (!initial || is_deadline(l))
		return 0;
	left = ktime_to_ns(ktime_sub(READ_ONCE(l->target), ktime_get()));
	if (left <= 0)
		return 0;
	return min_t(u64, div64_u64(left, tick_ns(l)), initial);
}

void lhv_lapic_timer_restore(struct lhv_lapic *l, u32 lvtt, u32 count)
{
	u32 sel = lhv_lapic_reg(l, APIC_TDCR);

	sel = (sel & 3) | (sel & 8) >> 1;
	l->divide = 1U << ((sel + 1) & 7);
	if (is_deadline(l))	/* the deadline itself comes by KVM_SET_MSRS */
		return;
	count = min(count, lhv_lapic_reg(l, APIC_TMICT));
	/* A periodic timer always counts. */
	if (!count && (lvtt & APIC_LVT_TIMER_PERIODIC))
		count = lhv_lapic_reg(l, APIC_TMICT);
	if (count)
		arm_count(l, count);
}

u64 lhv_lapic_get_deadline(struct lhv_vcpu *vcpu)
{
	struct lhv_lapic *l = vcpu->lapic;

	return l && is_deadline(l) ? READ_ONCE(l->tscdeadline) : 0;
}

void lhv_lapic_set_deadline(struct lhv_vcpu *vcpu, u64 tsc)
{
	struct lhv_lapic *l = vcpu->lapic;

	/* Ignored in the other modes. */
	if (!l || !is_deadline(l))
		return;
	disarm(l);
	l->tscdeadline = tsc;
	arm_deadline(l);
}

void lhv_lapic_restart_timer(struct lhv_vcpu *vcpu)
{
	struct lhv_lapic *l = vcpu->lapic;

	if (!l || !is_deadline(l) || !READ_ONCE(l->tscdeadline))
		return;
	disarm(l);
	arm_deadline(l);
}

void lhv_lapic_timer_block(struct lhv_vcpu *vcpu)
{
	if (vcpu->lapic && vcpu->lapic->in_backend)
		lhv_lapic_restart_timer(vcpu);
}

enum lhv_next lhv_lapic_timer_exec(struct lhv_vcpu *vcpu)
{
	struct lhv_lapic *l = vcpu->lapic;

	/* It is the backend's to say it again when it was early. */
	if (l && l->in_backend && lhv_guest_tsc(vcpu, rdtsc()) >= l->tscdeadline) {
		disarm(l);
		l->tscdeadline = 0;
		lhv_lapic_deliver_lvt(l, APIC_LVTT);
	}
	return LHV_RESUME;
}
