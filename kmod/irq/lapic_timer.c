// SPDX-License-Identifier: GPL-2.0
/*
 * lhv irq/ - the local APIC's timer: one-shot, periodic and TSC-deadline.
 *
 * An hrtimer in hard interrupt context; no thread, no work item. The vCPU's own
 * thread changes the timer only after it cancelled it, so the callback and the
 * thread never touch the state at once. A periodic timer sets its vector itself.
 *
 * The others fire early, by what it lately took from there to the guest, and set LHV_REQ_TIMER. The
 * vCPU meets the time on its way into the guest: it waits until it has almost come, with interrupts
 * on, and gives way to whatever comes up meanwhile, as the guest would; sets the vector; and waits
 * for the rest right before the entry. How long was the host's choice: the guest can't make it longer.
 *
 * Where the CPU can end the guest's time by itself, a deadline needs no hrtimer as long as the vCPU
 * runs: one that is not running learns of it at its next entry. Only HLT needs to be woken.
 */
#include <asm/msr.h>
#include <asm/tsc.h>

#include "lapic.h"

#define LVTT_MODE		(APIC_LVT_TIMER_PERIODIC | APIC_LVT_TIMER_TSCDEADLINE)
#define MAX_DIVIDE		128
#define MIN_PERIOD_NS		200000	/* a guest does not buy more host interrupts than this */
#define MIN_REARM_NS		1000
#define MAX_TIMER_NS		(KTIME_MAX / 4)

/*
 * As much before its time does a timer fire at most: what it takes to come from a running guest or from
 * polling; and to wake from an idle CPU.
 */
#define MAX_LEAD_NS		10000U
#define MAX_SLEPT_LEAD_NS	(2 * MAX_LEAD_NS)
#define MAX_PATH_NS		5000	/* that part of it with interrupts off */
#define TOO_LATE_NS		NSEC_PER_MSEC	/* what comes then was held up by something else */
#define MARGIN_NS		150	/* as much before its time a vCPU is meant to be there */

static unsigned int timer_lead_ns = MAX_LEAD_NS;
module_param(timer_lead_ns, uint, 0644);
MODULE_PARM_DESC(timer_lead_ns, "longest time in ns by which a LAPIC timer fires early and is met before the entry, 0 (none) to 10000 (default)");

static u32 timer_mode(const struct lhv_lapic *l)
{
	return lhv_lapic_reg(l, APIC_LVTT) & LVTT_MODE;
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

/* Both mode bits at once are reserved: that timer neither counts nor has it a deadline. */
static bool counts(const struct lhv_lapic *l)
{
	return !(timer_mode(l) & APIC_LVT_TIMER_TSCDEADLINE);
}

/* How long until the guest's TSC reaches the deadline; 0: it has. */
static u64 deadline_delta_ns(struct lhv_lapic *l)
{
	u64 now = lhv_guest_tsc(l->vcpu, rdtsc());

	if (now >= l->expires)
		return 0;
	/* One more, because the conversion rounds down. */
	return min_t(u64, lhv_tsc_to_ns(l->vcpu, l->expires - now), MAX_TIMER_NS) + 1;
}

static u32 lead_ns(const struct lhv_lapic *l)
{
	return l->lead_ns[l->slept];
}

static enum hrtimer_restart timer_fired(struct hrtimer *timer)
{
	struct lhv_lapic *l = container_of(timer, struct lhv_lapic, timer);
	u64 left;

	if (l->period_ns) {
		lhv_lapic_deliver_lvt(l, APIC_LVTT);
		hrtimer_forward_now(timer, ns_to_ktime(l->period_ns));
		WRITE_ONCE(l->target, hrtimer_get_expires(timer));
		return HRTIMER_RESTART;
	}
	if (is_deadline(l)) {
		/* The host's clock is slewed, the TSC is not. */
		left = deadline_delta_ns(l);
		if (left > lead_ns(l) + MIN_REARM_NS) {
			hrtimer_forward_now(timer, ns_to_ktime(left - lead_ns(l)));
			return HRTIMER_RESTART;
		}
	}
	lhv_request(l->vcpu, LHV_REQ_TIMER);
	return HRTIMER_NORESTART;
}

void lhv_lapic_timer_init(struct lhv_lapic *l)
{
	lhv_host_hrtimer_setup(&l->timer, timer_fired, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_HARD);
	l->divide = 2;
}

/* ---- the time of a timer that has fired, which may lie a bit ahead ---- */

static bool too_early(const struct lhv_lapic *l)
{
	if (is_deadline(l))
		return lhv_guest_tsc(l->vcpu, rdtsc()) < l->expires;
	return ktime_before(ktime_get(), l->target);
}

/* Negative: it has not come yet. */
static s64 late_ns(const struct lhv_lapic *l)
{
	u64 now;

	if (!is_deadline(l))
		return ktime_to_ns(ktime_sub(ktime_get(), l->target));
	now = lhv_guest_tsc(l->vcpu, rdtsc());
	if (now < l->expires)
		return -(s64)min_t(u64, lhv_tsc_to_ns(l->vcpu, l->expires - now), MAX_TIMER_NS);
	return min_t(u64, lhv_tsc_to_ns(l->vcpu, now - l->expires), MAX_TIMER_NS);
}

/* The host's TSC when a wait ends, whatever the guest's says. */
static u64 wait_end(const struct lhv_lapic *l, u32 ns)
{
	return rdtsc() + (u64)l->vcpu->vm->clock.tsc_khz * ns / USEC_PER_SEC;
}

static void wait_rest(const struct lhv_lapic *l, u32 max_ns)
{
	u64 end = wait_end(l, max_ns);

	while (too_early(l) && rdtsc() < end)
		cpu_relax();
}

/*
 * The vCPU was @late at the entry; what it is early, above the margin, it only wastes. No single time
 * moves the lead far.
 */
static void learn(struct lhv_lapic *l, s64 late)
{
	s64 error = clamp_t(s64, late - l->waited_ns + MARGIN_NS, -(s64)MAX_LEAD_NS,
			    MAX_LEAD_NS);
	s64 lead = lead_ns(l) + error / (error > 0 ? 8 : 4);
	u32 max = min(READ_ONCE(timer_lead_ns), MAX_LEAD_NS);

	if (late > TOO_LATE_NS)
		return;
	/* TSCs that are not in step agree on no time to be met. */
	if (check_tsc_unstable())
		lead = 0;
	l->lead_ns[l->slept] = clamp_t(s64, lead, 0, l->slept ? 2 * max : max);
	l->path_ns = clamp_t(s64, late - l->met_at, 0, MAX_PATH_NS);
}

static void deliver(struct lhv_lapic *l)
{
	l->tscdeadline = 0;
	lhv_lapic_deliver_lvt(l, APIC_LVTT);
}

static bool has_fired(const struct lhv_lapic *l)
{
	return test_bit(LHV_REQ_TIMER, &l->vcpu->pending);
}

static void forget(struct lhv_lapic *l)
{
	l->early = false;
	clear_bit(LHV_REQ_TIMER, &l->vcpu->pending);
}

/* The guest is about to change the timer: what is due by now it shall have. */
static void take_due(struct lhv_lapic *l)
{
	if (likely(!has_fired(l)) || too_early(l))
		return;
	if (!l->early)
		deliver(l);
	forget(l);
}

/* See irq.h for these. */
bool lhv_lapic_timer_meet(struct lhv_vcpu *vcpu)
{
	struct lhv_lapic *l = vcpu->lapic;
	s64 from, late, near;
	u64 end;

	if (!l || !has_fired(l) || l->early)
		return false;
	from = late_ns(l);
	late = from;
	near = -(s64)(l->path_ns + l->path_ns / 4 + MARGIN_NS);
	if (late < near) {
		end = wait_end(l, MAX_SLEPT_LEAD_NS);
		do {
			if (lhv_must_leave(vcpu))
				return false;
			cpu_relax();
			late = late_ns(l);
		} while (late < near && rdtsc() < end);
	}
	l->waited_ns = max_t(s64, late - from, 0);
	l->met_at = late;
	deliver(l);
	l->early = true;
	return true;
}

void lhv_lapic_timer_wait(struct lhv_vcpu *vcpu)
{
	struct lhv_lapic *l = vcpu->lapic;
	s64 late = late_ns(l);

	/* Behind the wait comes nothing but the entry. */
	learn(l, late);
	forget(l);
	if (late <= 0)
		wait_rest(l, 2 * MAX_PATH_NS);
}

bool lhv_lapic_timer_wakes(struct lhv_vcpu *vcpu)
{
	struct lhv_lapic *l = vcpu->lapic;
	u32 lvtt;

	if (!l || !has_fired(l) || !lhv_lapic_hw_enabled(l))
		return false;
	lvtt = lhv_lapic_reg(l, APIC_LVTT);
	return !(lvtt & APIC_LVT_MASKED) && (lvtt & 0xf0) > (lhv_lapic_ppr(l) & 0xf0);
}

void lhv_lapic_timer_settle(struct lhv_vcpu *vcpu)
{
	struct lhv_lapic *l = vcpu->lapic;

	if (!l || !has_fired(l))
		return;
	wait_rest(l, MAX_SLEPT_LEAD_NS);
	if (!l->early)
		deliver(l);
	forget(l);
}

/* ---- arming ---- */

/* Return: true when its hrtimer has not fired. */
static bool cancel(struct lhv_lapic *l)
{
	bool active = hrtimer_cancel(&l->timer);

	if (l->in_backend) {
		l->in_backend = false;
		lhv_backend->set_deadline(l->vcpu, 0);
	}
	return active;
}

/*
 * Nothing will come of what was armed, unless it is due. Return: true when something was armed
 * and has not been delivered, however late its hrtimer is.
 */
static bool disarm(struct lhv_lapic *l)
{
	bool armed = cancel(l);

	take_due(l);
	if (has_fired(l)) {
		armed = !l->early;
		forget(l);
	}
	return armed;
}

void lhv_lapic_timer_stop(struct lhv_lapic *l)
{
	cancel(l);
	forget(l);
	l->period_ns = 0;
	l->tscdeadline = 0;
}

static void arm_deadline(struct lhv_lapic *l)
{
	struct lhv_vcpu *vcpu = l->vcpu;
	unsigned long flags;
	u64 delta, lead;
	ktime_t now;

	if (!l->tscdeadline)
		return;
	l->expires = l->tscdeadline;
	l->slept = !vcpu->atomic;
	lead = lead_ns(l);
	if (vcpu->atomic && lhv_backend->set_deadline) {
		u64 cycles = lead * vcpu->cpu_state.tsc_khz / USEC_PER_SEC;

		/* 0 would be none. */
		if (lhv_backend->set_deadline(vcpu, max(l->expires, cycles + 1) - cycles)) {
			l->in_backend = true;
			return;
		}
	}
	/* Both clocks are read together. */
	local_irq_save(flags);
	now = ktime_get();
	delta = deadline_delta_ns(l);
	local_irq_restore(flags);

	if (!delta)
		deliver(l);
	else if (delta <= lead)
		lhv_request_self(vcpu, LHV_REQ_TIMER);
	else
		hrtimer_start(&l->timer, ktime_add_ns(now, delta - lead), HRTIMER_MODE_ABS_HARD);
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
	l->slept = false;
	hrtimer_start(&l->timer, ktime_sub_ns(l->target, l->period_ns ? 0 : lead_ns(l)),
		      HRTIMER_MODE_ABS_HARD);
}

void lhv_lapic_timer_set_lvt(struct lhv_lapic *l, u32 lvtt)
{
	u32 old = timer_mode(l), new = lvtt & LVTT_MODE;
	u32 count;
	bool armed;

	take_due(l);
	if (new == old) {
		lhv_lapic_set_reg(l, APIC_LVTT, lvtt);
		return;
	}
	if ((old | new) & APIC_LVT_TIMER_TSCDEADLINE) {
		/* Between deadline and count nothing is carried over. */
		lhv_lapic_timer_stop(l);
		lhv_lapic_set_reg(l, APIC_TMICT, 0);
		lhv_lapic_set_reg(l, APIC_LVTT, lvtt);
		return;
	}
	/* One-shot becomes periodic or back while it counts. */
	armed = disarm(l);
	count = lhv_lapic_timer_count(l);
	lhv_lapic_set_reg(l, APIC_LVTT, lvtt);
	l->period_ns = 0;
	if (armed)
		arm_count(l, max(count, 1U));
}

void lhv_lapic_timer_set_count(struct lhv_lapic *l, u32 count)
{
	if (!counts(l))
		return;
	disarm(l);
	l->period_ns = 0;
	lhv_lapic_set_reg(l, APIC_TMICT, count);
	arm_count(l, count);
}

/* SDM Vol 3A "APIC Timer": bits 3, 1 and 0 select 2, 4, ... 128, and 1. */
void lhv_lapic_timer_set_divide(struct lhv_lapic *l, u32 tdcr)
{
	u32 sel = (tdcr & 3) | (tdcr & 8) >> 1;
	u32 count;
	bool armed;

	lhv_lapic_set_reg(l, APIC_TDCR, tdcr);
	if (l->divide == 1U << ((sel + 1) & 7))
		return;
	if (!counts(l)) {
		/* The count that it divides stands still. */
		l->divide = 1U << ((sel + 1) & 7);
		return;
	}
	armed = disarm(l);
	count = lhv_lapic_timer_count(l);
	l->divide = 1U << ((sel + 1) & 7);
	if (armed)
		arm_count(l, max(count, 1U));
}

u32 lhv_lapic_timer_count(struct lhv_lapic *l)
{
	u32 initial = lhv_lapic_reg(l, APIC_TMICT);
	s64 left;

	if (!initial || !counts(l))
		return 0;
	left = ktime_to_ns(ktime_sub(READ_ONCE(l->target), ktime_get()));
	if (left <= 0)
		return 0;
	return min_t(u64, div64_u64(left, tick_ns(l)), initial);
}

/* See lapic.h: between its last tick and the delivery a timer is not over. */
u32 lhv_lapic_timer_state(struct lhv_lapic *l)
{
	/* In this order: the callback requests before it is no longer active. */
	bool armed = counts(l) && (hrtimer_active(&l->timer) || has_fired(l));
	u32 count = lhv_lapic_timer_count(l);

	return armed ? max(count, 1U) : count;
}

void lhv_lapic_timer_restore(struct lhv_lapic *l, u32 lvtt, u32 count)
{
	u32 sel = lhv_lapic_reg(l, APIC_TDCR);

	sel = (sel & 3) | (sel & 8) >> 1;
	l->divide = 1U << ((sel + 1) & 7);
	if (!counts(l))	/* the deadline itself comes by KVM_SET_MSRS */
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
	if (l && l->in_backend && late_ns(l) + (s64)lead_ns(l) >= 0) {
		cancel(l);
		lhv_request_self(vcpu, LHV_REQ_TIMER);
	}
	return LHV_RESUME;
}
