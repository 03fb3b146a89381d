// SPDX-License-Identifier: GPL-2.0
/*
 * lhv irq/ - the local APIC: registers, priorities, acceptance.
 *
 * SDM Vol 3A "Advanced Programmable Interrupt Controller (APIC)" is the
 * reference. The timer is in lapic_timer.c, delivery between APICs in ipi.c.
 *
 * A vector arrives by an atomic bit in the IRR and LHV_REQ_EVENT, from any
 * context. Everything else is done by the vCPU's own thread, so that neither
 * side takes a lock.
 */
#include <linux/mm.h>

#include "lapic.h"

#define APIC_NR_LVT_MAX		6	/* highest LVT entry without CMCI is 5 */
#define APIC_VERSION		0x14	/* integrated APIC */

/* Bits of a register that software can set. */
#define LVT_COMMON		(APIC_VECTOR_MASK | APIC_LVT_MASKED)
#define LVT_LINT		(LVT_COMMON | APIC_MODE_MASK | APIC_INPUT_POLARITY | \
				 APIC_LVT_LEVEL_TRIGGER)
#define SPIV_MASK		(APIC_VECTOR_MASK | APIC_SPIV_APIC_ENABLED | \
				 APIC_SPIV_FOCUS_DISABLED)
#define ICR_MASK_LO		(APIC_VECTOR_MASK | APIC_MODE_MASK | APIC_DEST_LOGICAL | \
				 APIC_INT_ASSERT | APIC_INT_LEVELTRIG | APIC_DEST_ALLBUT)
#define TDCR_MASK		0xb

/* LVT registers and what can be set in them, but for the timer's mode. */
static const struct {
	u16 reg;
	u32 mask;
} lvts[] = {
	{ APIC_LVTT, LVT_COMMON | APIC_LVT_TIMER_PERIODIC },
	{ APIC_LVTTHMR, LVT_COMMON | APIC_MODE_MASK },
	{ APIC_LVTPC, LVT_COMMON | APIC_MODE_MASK },
	{ APIC_LVT0, LVT_LINT },
	{ APIC_LVT1, LVT_LINT },
	{ APIC_LVTERR, LVT_COMMON },
	{ APIC_LVTCMCI, LVT_COMMON | APIC_MODE_MASK },
};

bool lhv_has_lapic(const struct lhv_vm *vm)
{
	/* Pairs with the creation of the irqchip. */
	return smp_load_acquire(&vm->irq.mode) != LHV_IRQCHIP_NONE;
}

/* ---- vectors ---- */

static unsigned long *vector_word(const struct lhv_lapic *l, u32 base, u8 vector)
{
	return l->regs + base + (vector >> 5) * 0x10;
}

static bool test_vector(const struct lhv_lapic *l, u32 base, u8 vector)
{
	return test_bit(vector & 31, vector_word(l, base, vector));
}

/* By halves: it is asked for often. A bit that comes meanwhile may be missed, not one that was there. */
int lhv_lapic_highest(const struct lhv_lapic *l, u32 base)
{
	const u32 *first = l->regs + base, *word = first;
	u32 bits;

	if (READ_ONCE(word[16]) | READ_ONCE(word[20]) | READ_ONCE(word[24]) | READ_ONCE(word[28]))
		word += 16;
	if (READ_ONCE(word[8]) | READ_ONCE(word[12]))
		word += 8;
	if (READ_ONCE(word[4]))
		word += 4;
	bits = READ_ONCE(*word);
	return bits ? (word - first) * 8 + __fls(bits) : -1;
}

/*
 * Take over what was posted. True: there was something. Notified first, then the vectors: who
 * posts later finds the bit clear and notifies again.
 */
static bool take_posted(struct lhv_lapic *l)
{
	struct lhv_posted *p = l->posted;
	unsigned long held, word, any = 0;
	int i;

	if (test_bit(LHV_POSTED_ON, &p->control)) {
		clear_bit(LHV_POSTED_ON, &p->control);
		smp_mb__after_atomic();	/* pairs with the order of pir and control in post() */
	}
	for (i = 0; i < ARRAY_SIZE(p->pir); i++) {
		held = READ_ONCE(p->held[i]) ? xchg(&p->held[i], 0) : 0;
		word = held | (READ_ONCE(p->pir[i]) ? xchg(&p->pir[i], 0) : 0);
		if (!word)
			continue;
		WRITE_ONCE(p->eoi_exits[i], p->eoi_exits[i] | held);
		*(u32 *)(l->regs + APIC_IRR + i * 0x20) |= word;
		*(u32 *)(l->regs + APIC_IRR + i * 0x20 + 0x10) |= word >> 32;
		any |= word;
	}
	return any;
}

/* Own thread, not in the guest. What comes to light wants another look before the entry. */
static int highest_irr(struct lhv_lapic *l)
{
	if (l->posted && take_posted(l))
		lhv_request_self(l->vcpu, LHV_REQ_EVENT);
	return lhv_lapic_highest(l, APIC_IRR);
}

static int highest_isr(const struct lhv_lapic *l)
{
	return l->virtual ? lhv_lapic_highest(l, APIC_ISR) : l->highest_isr;
}

/* TPR bits 7:4 may have changed behind our back, by CR8 without an exit. */
static u8 tpr(struct lhv_lapic *l)
{
	u32 val = lhv_lapic_reg(l, APIC_TASKPRI);

	if (unlikely(val >> 4 != l->vcpu->cr8)) {
		val = l->vcpu->cr8 << 4;
		lhv_lapic_set_reg(l, APIC_TASKPRI, val);
	}
	return val;
}

u8 lhv_lapic_ppr(struct lhv_lapic *l)
{
	int isr = highest_isr(l);
	u8 isr_class = isr < 0 ? 0 : isr & 0xf0;
	u8 t = tpr(l);

	return (t & 0xf0) >= isr_class ? t : isr_class;
}

/* The highest vector that is requested and that PPR lets through, or -1. */
static int deliverable(struct lhv_lapic *l)
{
	/* What was accepted before a software disable is still delivered. */
	int vector = highest_irr(l);

	return vector >= 0 && (vector & 0xf0) > (lhv_lapic_ppr(l) & 0xf0) ? vector : -1;
}

bool lhv_lapic_accepts_pic(struct lhv_vcpu *vcpu)
{
	struct lhv_lapic *l = vcpu->lapic;
	u32 lvt0;

	if (!lhv_lapic_hw_enabled(l))
		return true;
	lvt0 = lhv_lapic_reg(l, APIC_LVT0);
	return !(lvt0 & APIC_LVT_MASKED) && (lvt0 & APIC_MODE_MASK) == APIC_DM_EXTINT;
}

static bool extint_pending(struct lhv_vcpu *vcpu)
{
	struct lhv_vm *vm = vcpu->vm;

	if (vm->irq.mode == LHV_IRQCHIP_SPLIT)
		return vcpu->ev.user_irq >= 0 && lhv_lapic_accepts_pic(vcpu);
	return lhv_pic_output(vm) && lhv_lapic_accepts_pic(vcpu);
}

/* See irq.h for these three. */
bool lhv_irq_pending(struct lhv_vcpu *vcpu)
{
	if (!vcpu->lapic)
		return vcpu->ev.user_irq >= 0;
	if (lhv_lapic_hw_enabled(vcpu->lapic) && deliverable(vcpu->lapic) >= 0)
		return true;
	return extint_pending(vcpu);
}

bool lhv_irq_to_inject(struct lhv_vcpu *vcpu)
{
	return vcpu->lapic && vcpu->lapic->virtual ? extint_pending(vcpu) : lhv_irq_pending(vcpu);
}

/* The CPU begins to keep IRR and ISR: which EOIs does it have to tell? */
static void find_eoi_exits(struct lhv_lapic *l)
{
	unsigned int vector;

	for (vector = LHV_FIRST_VECTOR; vector < APIC_ISR_NR * 32; vector++) {
		if ((test_vector(l, APIC_ISR, vector) || test_vector(l, APIC_IRR, vector)) &&
		    lhv_lapic_eoi_matters(l, vector))
			set_bit(vector, l->posted->eoi_exits);
	}
}

void lhv_irq_virtualize(struct lhv_vcpu *vcpu)
{
	struct lhv_lapic *l = vcpu->lapic;
	bool on;

	if (!l || !l->posted)
		return;
	on = lhv_lapic_x2(l) && !(vcpu->cpu_state.guest_debug & KVM_GUESTDBG_BLOCKIRQ);
	take_posted(l);
	if (on != l->virtual) {
		if (on)
			find_eoi_exits(l);
		else
			l->highest_isr = lhv_lapic_highest(l, APIC_ISR);
		WRITE_ONCE(l->virtual, on);
	}
	lhv_backend->virtual_irqs(vcpu, on);
}

static int take_user_irq(struct lhv_vcpu *vcpu)
{
	int vector = vcpu->ev.user_irq;

	vcpu->ev.user_irq = -1;
	return vector;
}

int lhv_irq_ack(struct lhv_vcpu *vcpu)
{
	struct lhv_lapic *l = vcpu->lapic;
	int vector;

	if (!l)
		return take_user_irq(vcpu);
	if (extint_pending(vcpu)) {
		if (vcpu->vm->irq.mode == LHV_IRQCHIP_SPLIT)
			return take_user_irq(vcpu);
		vector = lhv_pic_ack(vcpu->vm);
		if (vector >= 0)
			return vector;
	}
	if (!lhv_lapic_hw_enabled(l) || l->virtual)
		return -1;
	vector = deliverable(l);
	if (vector < 0)
		return -1;
	clear_bit(vector & 31, vector_word(l, APIC_IRR, vector));
	__set_bit(vector & 31, vector_word(l, APIC_ISR, vector));
	lhv_pv_eoi_offer(l, vector, l->highest_isr >= 0);
	l->highest_isr = vector;
	return vector;
}

bool lhv_irq_masked_by_tpr(struct lhv_vcpu *vcpu)
{
	struct lhv_lapic *l = vcpu->lapic;
	int vector;

	if (!l || !lhv_lapic_hw_enabled(l) || l->virtual)
		return false;
	vector = highest_irr(l);
	if (vector < 0 || (l->highest_isr >= 0 && (vector & 0xf0) <= (l->highest_isr & 0xf0)))
		return false;
	return (vector & 0xf0) <= (tpr(l) & 0xf0);
}

u8 lhv_irq_waiting_class(struct lhv_vcpu *vcpu)
{
	int vector = highest_irr(vcpu->lapic);

	return vector < 0 ? 0 : vector >> 4;
}

bool lhv_lapic_eoi_matters(const struct lhv_lapic *l, u8 vector)
{
	return test_vector(l, APIC_TMR, vector) || lhv_ioapic_wants_eoi(l->vcpu->vm, vector);
}

void lhv_lapic_eoi_exit(struct lhv_vcpu *vcpu, u8 vector)
{
	bool level = test_vector(vcpu->lapic, APIC_TMR, vector);

	if (vcpu->vm->irq.mode == LHV_IRQCHIP_KERNEL) {
		lhv_ioapic_eoi(vcpu->vm, vector, level);
	} else if (level) {
		vcpu->pending_eoi = vector;
		lhv_request_self(vcpu, LHV_REQ_IOAPIC_EOI);
	}
}

void lhv_lapic_eoi(struct lhv_lapic *l)
{
	int vector = highest_isr(l);

	if (vector < 0)
		return;
	__clear_bit(vector & 31, vector_word(l, APIC_ISR, vector));
	l->highest_isr = lhv_lapic_highest(l, APIC_ISR);
	if (l->virtual || highest_irr(l) >= 0)
		lhv_request_self(l->vcpu, LHV_REQ_EVENT);
	lhv_lapic_eoi_exit(l->vcpu, vector);
}

/* ---- acceptance ---- */

/*
 * For a CPU that delivers by itself. A vector whose EOI matters is kept from it until it was told
 * to exit at that EOI.
 */
static int post(struct lhv_lapic *l, u8 vector)
{
	bool waits = test_vector(l, APIC_IRR, vector);
	struct lhv_posted *p = l->posted;

	/* Others count on it that the first of them gets on to the request. */
	guard(preempt)();
	if (lhv_lapic_eoi_matters(l, vector) && !test_bit(vector, p->eoi_exits)) {
		if (test_and_set_bit(vector, p->held))
			return 0;
		lhv_request(l->vcpu, LHV_REQ_EVENT);
		return !waits;
	}
	if (test_and_set_bit(vector, p->pir))
		return 0;
	if (!test_and_set_bit(LHV_POSTED_ON, &p->control))
		lhv_request_posted(l->vcpu, l->notify && READ_ONCE(l->virtual));
	return !waits;
}

static int accept_vector(struct lhv_lapic *l, u8 vector, bool level)
{
	unsigned long *tmr = vector_word(l, APIC_TMR, vector);
	unsigned int bit = vector & 31;

	if (!lhv_lapic_hw_enabled(l) || !READ_ONCE(l->sw_enabled))
		return -1;
	if (vector < LHV_FIRST_VECTOR) {
		lhv_lapic_error(l, APIC_ESR_RECVILL);
		return 0;
	}
	/* The trigger mode is there before the request is seen. */
	if (test_bit(bit, tmr) != level) {
		if (level)
			set_bit(bit, tmr);
		else
			clear_bit(bit, tmr);
	}
	if (l->posted)
		return post(l, vector);
	if (test_and_set_bit(bit, vector_word(l, APIC_IRR, vector)))
		return 0;
	lhv_request(l->vcpu, LHV_REQ_EVENT);
	return 1;
}

int lhv_lapic_accept(struct lhv_lapic *l, const struct lhv_apic_msg *msg)
{
	switch (msg->mode) {
	case APIC_DM_FIXED:
	case APIC_DM_LOWEST:
		return accept_vector(l, msg->vector, msg->level);
	case APIC_DM_NMI:
		lhv_nmi(l->vcpu);
		return 1;
	case APIC_DM_INIT:
		/* INIT forgets a SIPI that came before it. */
		WRITE_ONCE(l->events, BIT(LHV_APIC_INIT));
		lhv_request(l->vcpu, LHV_REQ_APIC);
		return 1;
	case APIC_DM_STARTUP:
		WRITE_ONCE(l->sipi_vector, msg->vector);
		/* The vector is there before the event. */
		smp_mb__before_atomic();
		set_bit(LHV_APIC_SIPI, &l->events);
		lhv_request(l->vcpu, LHV_REQ_APIC);
		return 1;
	default:	/* SMI (no SMM here), remote read, ExtINT (comes from the 8259 by LINT0) */
		return -1;
	}
}

/* An interrupt from one of the APIC's own sources. True when it was delivered. */
bool lhv_lapic_deliver_lvt(struct lhv_lapic *l, u32 reg)
{
	u32 lvt = lhv_lapic_reg(l, reg);
	struct lhv_apic_msg msg = {
		.mode = lvt & APIC_MODE_MASK,
		.vector = lvt & APIC_VECTOR_MASK,
		.level = (reg == APIC_LVT0) && (lvt & APIC_LVT_LEVEL_TRIGGER),
	};

	if (!lhv_lapic_hw_enabled(l) || (lvt & APIC_LVT_MASKED))
		return false;
	if (reg == APIC_LVTT || reg == APIC_LVTERR)
		msg.mode = APIC_DM_FIXED;
	if (msg.mode != APIC_DM_FIXED && msg.mode != APIC_DM_NMI)
		return false;
	return lhv_lapic_accept(l, &msg) > 0;
}

void lhv_lapic_error(struct lhv_lapic *l, u32 bit)
{
	/* A bad vector in LVTERR itself is recorded, and not reported again. */
	if (!(atomic_fetch_or(bit, &l->errors) & bit) &&
	    (lhv_lapic_reg(l, APIC_LVTERR) & APIC_VECTOR_MASK) >= LHV_FIRST_VECTOR)
		lhv_lapic_deliver_lvt(l, APIC_LVTERR);
}

int lhv_lapic_nmi_all(struct lhv_vm *vm)
{
	struct lhv_vcpu *vcpu;
	int i, n = 0;

	lhv_for_each_vcpu(i, vcpu, vm) {
		if (vcpu->lapic &&
		    (lhv_lapic_reg(vcpu->lapic, APIC_LVT0) & APIC_MODE_MASK) == APIC_DM_NMI)
			n += lhv_lapic_deliver_lvt(vcpu->lapic, APIC_LVT0);
	}
	return n;
}

int lhv_lapic_pv_unhalt(struct lhv_vm *vm, u32 apic_id)
{
	struct lhv_vcpu *vcpu = lhv_vcpu_by_id(vm, apic_id);

	if (!vcpu || !vcpu->lapic)
		return -EINVAL;
	WRITE_ONCE(vcpu->pv_unhalted, true);
	lhv_request(vcpu, LHV_REQ_UNBLOCK);
	return 0;
}

/* ---- registers ---- */

static bool has_cmci(const struct lhv_lapic *l)
{
	return l->vcpu->cpu_state.mcg_cap & MCG_CMCI_P;
}

static u32 version(const struct lhv_lapic *l)
{
	return APIC_VERSION | (APIC_NR_LVT_MAX - 1 + has_cmci(l)) << 16;
}

/* Is there a register, readable or not, at this offset in the mode that the APIC is in? */
static bool reg_exists(const struct lhv_lapic *l, u32 reg)
{
	bool x2 = lhv_lapic_x2(l);

	switch (reg) {
	case APIC_ID:
	case APIC_LVR:
	case APIC_TASKPRI:
	case APIC_PROCPRI:
	case APIC_EOI:
	case APIC_LDR:
	case APIC_SPIV:
	case APIC_ISR ... APIC_IRR + 0x70:
	case APIC_ESR:
	case APIC_ICR:
	case APIC_LVTT ... APIC_TMCCT:
	case APIC_TDCR:
		return true;
	case APIC_ARBPRI:
	case APIC_RRR:
	case APIC_DFR:
	case APIC_ICR2:
		return !x2;
	case APIC_SELF_IPI:
		return x2;
	case APIC_LVTCMCI:
		return has_cmci(l);
	default:
		return false;
	}
}

static int read_reg(struct lhv_lapic *l, u32 reg, u32 *val)
{
	if (!reg_exists(l, reg)) {
		lhv_lapic_error(l, APIC_ESR_ILLREGA);
		return -EINVAL;
	}
	switch (reg) {
	case APIC_ID:
		*val = lhv_lapic_x2(l) ? l->vcpu->id : lhv_lapic_reg(l, APIC_ID);
		break;
	case APIC_LVR:
		*val = version(l);
		break;
	case APIC_TASKPRI:
		*val = tpr(l);
		break;
	case APIC_PROCPRI:
		*val = lhv_lapic_ppr(l);
		break;
	case APIC_TMCCT:
		*val = lhv_lapic_timer_count(l);
		break;
	case APIC_EOI:
	case APIC_SELF_IPI:
		*val = 0;
		/* Write-only: only x2APIC says so aloud. */
		return lhv_lapic_x2(l) ? -EINVAL : 0;
	case APIC_IRR ... APIC_IRR + 0x70:
		highest_irr(l);
		fallthrough;
	default:
		*val = lhv_lapic_reg(l, reg);
	}
	return 0;
}

void lhv_lapic_set_cr8(struct lhv_vcpu *vcpu, u8 cr8)
{
	vcpu->cr8 = cr8 & 0xf;
	if (!vcpu->lapic)
		return;
	lhv_lapic_set_reg(vcpu->lapic, APIC_TASKPRI, vcpu->cr8 << 4);
	lhv_request_self(vcpu, LHV_REQ_EVENT);
}

static void set_tpr(struct lhv_lapic *l, u8 val)
{
	lhv_lapic_set_reg(l, APIC_TASKPRI, val);
	l->vcpu->cr8 = val >> 4;
	lhv_request_self(l->vcpu, LHV_REQ_EVENT);
}

static void set_spiv(struct lhv_lapic *l, u32 val)
{
	bool enable = val & APIC_SPIV_APIC_ENABLED;
	size_t i;

	lhv_lapic_set_reg(l, APIC_SPIV, val & SPIV_MASK);
	WRITE_ONCE(l->sw_enabled, enable);
	if (enable) {
		lhv_request_self(l->vcpu, LHV_REQ_EVENT);
		return;
	}
	for (i = 0; i < ARRAY_SIZE(lvts); i++)
		lhv_lapic_set_reg(l, lvts[i].reg,
				  lhv_lapic_reg(l, lvts[i].reg) | APIC_LVT_MASKED);
}

static void set_lvt(struct lhv_lapic *l, u32 reg, u32 val)
{
	u32 mask = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(lvts); i++) {
		if (lvts[i].reg == reg)
			mask = lvts[i].mask;
	}
	if (reg == APIC_LVTT && lhv_has(&l->vcpu->cpu_state, LHV_F_TSC_DEADLINE))
		mask |= APIC_LVT_TIMER_TSCDEADLINE;
	val &= mask;
	if (!l->sw_enabled)
		val |= APIC_LVT_MASKED;
	if (reg == APIC_LVTT) {
		lhv_lapic_timer_set_lvt(l, val);
		return;
	}
	lhv_lapic_set_reg(l, reg, val);
	/* The 8259 or the VMM may have been waiting for this pin. */
	if (reg == APIC_LVT0)
		lhv_request_self(l->vcpu, LHV_REQ_EVENT);
}

static int write_reg(struct lhv_lapic *l, u32 reg, u32 val)
{
	bool x2 = lhv_lapic_x2(l);

	if (!reg_exists(l, reg)) {
		lhv_lapic_error(l, APIC_ESR_ILLREGA);
		return -EINVAL;
	}
	switch (reg) {
	case APIC_ID:
		if (x2)
			return -EINVAL;
		lhv_lapic_set_reg(l, APIC_ID, val & 0xff000000);
		lhv_apic_map_rebuild(l->vcpu->vm);
		break;
	case APIC_TASKPRI:
		set_tpr(l, val & APIC_TPRI_MASK);
		break;
	case APIC_EOI:
		lhv_lapic_eoi(l);
		break;
	case APIC_LDR:
		if (x2)
			return -EINVAL;
		lhv_lapic_set_reg(l, APIC_LDR, val & APIC_LDR_MASK);
		break;
	case APIC_DFR:
		lhv_lapic_set_reg(l, APIC_DFR, val | APIC_DFR_CLUSTER);
		break;
	case APIC_SPIV:
		set_spiv(l, val);
		break;
	case APIC_ESR:
		lhv_lapic_set_reg(l, APIC_ESR, atomic_xchg(&l->errors, 0));
		break;
	case APIC_ICR:
		/* An xAPIC keeps reserved bits, as KVM's does; the x2APIC's are refused above. */
		lhv_lapic_set_reg(l, APIC_ICR, val & ~APIC_ICR_BUSY);
		val &= ICR_MASK_LO;
		lhv_apic_send_ipi(l, val, x2 ? lhv_lapic_reg(l, APIC_ICR2) :
					       lhv_lapic_reg(l, APIC_ICR2) >> 24);
		break;
	case APIC_ICR2:
		lhv_lapic_set_reg(l, APIC_ICR2, val & 0xff000000);
		break;
	case APIC_LVTT:
	case APIC_LVTTHMR:
	case APIC_LVTPC:
	case APIC_LVT0:
	case APIC_LVT1:
	case APIC_LVTERR:
	case APIC_LVTCMCI:
		set_lvt(l, reg, val);
		break;
	case APIC_TMICT:
		lhv_lapic_timer_set_count(l, val);
		break;
	case APIC_TDCR:
		lhv_lapic_timer_set_divide(l, val & TDCR_MASK);
		break;
	case APIC_SELF_IPI:
		lhv_apic_send_ipi(l, (val & APIC_VECTOR_MASK) | APIC_DEST_SELF, 0);
		break;
	default:	/* read-only: ignored, unless x2APIC */
		return x2 ? -EINVAL : 0;
	}
	return 0;
}

void lhv_lapic_written(struct lhv_vcpu *vcpu, u32 reg)
{
	write_reg(vcpu->lapic, reg, lhv_lapic_reg(vcpu->lapic, reg));
}

/* Are the registers in memory? */
static bool has_page(const struct lhv_lapic *l)
{
	return lhv_lapic_hw_enabled(l) && !lhv_lapic_x2(l);
}

/* A page that is none is a hole, as KVM's, unless that quirk is off: then it is the VMM's. */
bool lhv_lapic_in_range(struct lhv_vcpu *vcpu, gpa_t gpa, unsigned int len)
{
	struct lhv_lapic *l = vcpu->lapic;

	if (!l || (gpa & PAGE_MASK) != (l->base_msr & PAGE_MASK) ||
	    offset_in_page(gpa) + len > PAGE_SIZE)
		return false;
	return likely(has_page(l)) || lhv_has_quirk(vcpu->vm, KVM_X86_QUIRK_LAPIC_MMIO_HOLE);
}

/* Only aligned 32-bit accesses are architectural; anything else reads what it can. */
int lhv_lapic_mmio_read(struct lhv_vcpu *vcpu, u32 offset, unsigned int len, void *data)
{
	u32 val, sub = offset & 0xf;

	if (unlikely(!has_page(vcpu->lapic))) {
		memset(data, 0xff, len);
		return 0;
	}
	memset(data, 0, len);
	if (sub + len > sizeof(val) || read_reg(vcpu->lapic, offset & ~0xfU, &val))
		return 0;
	memcpy(data, (u8 *)&val + sub, len);
	return 0;
}

int lhv_lapic_mmio_write(struct lhv_vcpu *vcpu, u32 offset, unsigned int len, const void *data)
{
	u32 val;

	if (len != sizeof(val) || (offset & 0xf) || unlikely(!has_page(vcpu->lapic)))
		return 0;
	memcpy(&val, data, sizeof(val));
	write_reg(vcpu->lapic, offset, val);
	return 0;
}

/* SDM Vol 3A "x2APIC Register Address Space". */
int lhv_lapic_msr_read(struct lhv_vcpu *vcpu, u32 msr, u64 *data)
{
	struct lhv_lapic *l = vcpu->lapic;
	u32 reg = (msr - APIC_BASE_MSR) << 4, val;

	if (msr == MSR_IA32_TSC_DEADLINE) {
		*data = lhv_lapic_get_deadline(vcpu);
		return 0;
	}
	if (!l || !lhv_lapic_x2(l) || read_reg(l, reg, &val))
		return -EINVAL;
	*data = val;
	if (reg == APIC_ICR)
		*data |= (u64)lhv_lapic_reg(l, APIC_ICR2) << 32;
	return 0;
}

int lhv_lapic_msr_write(struct lhv_vcpu *vcpu, u32 msr, u64 data)
{
	struct lhv_lapic *l = vcpu->lapic;
	u32 reg = (msr - APIC_BASE_MSR) << 4, max = U32_MAX;

	if (msr == MSR_IA32_TSC_DEADLINE) {
		lhv_lapic_set_deadline(vcpu, data);
		return 0;
	}
	if (!l || !lhv_lapic_x2(l))
		return -EINVAL;

	switch (reg) {
	case APIC_ICR:
		if ((u32)data & ~(ICR_MASK_LO | APIC_ICR_BUSY))
			return -EINVAL;
		lhv_lapic_set_reg(l, APIC_ICR2, data >> 32);
		return write_reg(l, APIC_ICR, data);
	case APIC_EOI:
	case APIC_ESR:
		max = 0;
		break;
	case APIC_TASKPRI:
	case APIC_SELF_IPI:
		max = 0xff;
		break;
	}
	return data > max ? -EINVAL : write_reg(l, reg, data);
}

/* ---- base address and life ---- */

u64 lhv_lapic_get_base(struct lhv_vcpu *vcpu)
{
	if (vcpu->lapic)
		return vcpu->lapic->base_msr;
	if (!vcpu->apic_base)
		vcpu->apic_base = lhv_lapic_default_base(vcpu);
	return vcpu->apic_base;
}

/* SDM Vol 3A "x2APIC State Transitions". */
int lhv_lapic_set_base(struct lhv_vcpu *vcpu, u64 base, bool host)
{
	u64 modes = MSR_IA32_APICBASE_ENABLE | X2APIC_ENABLE;
	u64 old = lhv_lapic_get_base(vcpu), allowed;
	struct lhv_lapic *l = vcpu->lapic;

	allowed = (~vcpu->cpu_state.gpa_reserved & PAGE_MASK) | MSR_IA32_APICBASE_BSP |
		  MSR_IA32_APICBASE_ENABLE;
	if (lhv_has(&vcpu->cpu_state, LHV_F_X2APIC))
		allowed |= X2APIC_ENABLE;
	if ((base & ~allowed) || (base & modes) == X2APIC_ENABLE)
		return -EINVAL;
	if (!host) {
		/* x2APIC is left by way of "disabled", and is not entered from there. */
		if ((old & modes) == modes && (base & modes) == MSR_IA32_APICBASE_ENABLE)
			return -EINVAL;
		if (!(old & modes) && (base & modes) == modes)
			return -EINVAL;
	}
	if (!l) {
		vcpu->apic_base = base;
		return 0;
	}
	if (base == old)
		return 0;

	WRITE_ONCE(l->base_msr, base);
	if ((old ^ base) & modes) {
		if (!(base & MSR_IA32_APICBASE_ENABLE))
			lhv_lapic_timer_stop(l);
		else if (base & X2APIC_ENABLE)
			lhv_lapic_set_reg(l, APIC_LDR, lhv_x2apic_ldr(vcpu->id));
		else
			lhv_lapic_set_reg(l, APIC_ID, vcpu->id << 24);
		lhv_apic_map_rebuild(vcpu->vm);
		lhv_cpuid_runtime(vcpu);
		lhv_request_self(vcpu, LHV_REQ_EVENT);
	}
	return 0;
}

void lhv_lapic_reset(struct lhv_vcpu *vcpu, bool init)
{
	struct lhv_lapic *l = vcpu->lapic;
	u32 id = lhv_lapic_reg(l, APIC_ID);
	size_t i;

	lhv_lapic_timer_stop(l);
	if (!init) {
		WRITE_ONCE(l->base_msr, lhv_lapic_default_base(vcpu));
		WRITE_ONCE(l->events, 0);
		id = vcpu->id << 24;
	}

	WRITE_ONCE(l->sw_enabled, false);
	if (l->posted)
		take_posted(l);
	memset(l->regs, 0, sizeof(struct kvm_lapic_state));
	l->highest_isr = -1;
	atomic_set(&l->errors, 0);
	lhv_lapic_set_reg(l, APIC_ID, id);
	lhv_lapic_set_reg(l, APIC_DFR, APIC_DFR_FLAT);
	if (lhv_lapic_x2(l))
		lhv_lapic_set_reg(l, APIC_LDR, lhv_x2apic_ldr(vcpu->id));
	lhv_lapic_set_reg(l, APIC_SPIV, APIC_VECTOR_MASK);
	for (i = 0; i < ARRAY_SIZE(lvts); i++)
		lhv_lapic_set_reg(l, lvts[i].reg, APIC_LVT_MASKED);
	/* As firmware would leave it: the 8259 reaches the BSP (KVM does it, VMMs rely on it). */
	if (l->base_msr & MSR_IA32_APICBASE_BSP &&
	    lhv_has_quirk(vcpu->vm, KVM_X86_QUIRK_LINT0_REENABLED))
		lhv_lapic_set_reg(l, APIC_LVT0, APIC_DM_EXTINT);
	lhv_lapic_timer_set_divide(l, 0);
	vcpu->pv_eoi = 0;
	vcpu->eoi_offered = false;
	vcpu->cr8 = 0;
	lhv_apic_map_rebuild(vcpu->vm);
	lhv_request_self(vcpu, LHV_REQ_EVENT);
}

int lhv_lapic_create(struct lhv_vcpu *vcpu)
{
	struct lhv_lapic *l;
	int ret;

	ret = lhv_apic_map_extend(vcpu->vm, vcpu->id);
	if (ret)
		return ret;
	l = kzalloc(sizeof(*l), GFP_KERNEL_ACCOUNT);
	if (!l)
		return -ENOMEM;
	l->regs = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!l->regs) {
		kfree(l);
		return -ENOMEM;
	}
	l->vcpu = vcpu;
	if (lhv_backend->takes_irqs && lhv_backend->takes_irqs(&l->notify))
		l->posted = l->regs + LHV_POSTED_OFFSET;
	l->highest_isr = -1;
	l->base_msr = lhv_lapic_default_base(vcpu);
	lhv_lapic_timer_init(l);
	vcpu->lapic = l;
	return 0;
}

/* Nobody delivers any more: irqfds, PIT and the other vCPUs are quiet. */
void lhv_lapic_destroy(struct lhv_vcpu *vcpu)
{
	struct lhv_lapic *l = vcpu->lapic;

	if (!l)
		return;
	vcpu->lapic = NULL;
	lhv_lapic_timer_stop(l);
	free_page((unsigned long)l->regs);
	kfree(l);
}

/* ---- KVM_GET_LAPIC, KVM_SET_LAPIC ---- */

static u32 *state_reg(struct kvm_lapic_state *s, u32 reg)
{
	return (u32 *)(s->regs + reg);
}

int lhv_lapic_get_state(struct lhv_vcpu *vcpu, struct kvm_lapic_state *s)
{
	struct lhv_lapic *l = vcpu->lapic;

	lhv_lapic_timer_settle(vcpu);
	highest_irr(l);
	memcpy(s->regs, l->regs, sizeof(s->regs));
	*state_reg(s, APIC_LVR) = version(l);
	*state_reg(s, APIC_TASKPRI) = tpr(l);
	*state_reg(s, APIC_PROCPRI) = lhv_lapic_ppr(l);
	*state_reg(s, APIC_TMCCT) = lhv_lapic_timer_state(l);
	if (lhv_lapic_x2(l))
		*state_reg(s, APIC_ID) = vcpu->vm->irq.x2apic_ids ? vcpu->id : vcpu->id << 24;
	return 0;
}

int lhv_lapic_set_state(struct lhv_vcpu *vcpu, const struct kvm_lapic_state *s)
{
	const u32 illegal = GENMASK(LHV_FIRST_VECTOR - 1, 0);
	struct lhv_lapic *l = vcpu->lapic;
	u64 deadline;
	u32 count, lvtt;

	/* In x2APIC mode the id is not software's to choose. */
	if (lhv_lapic_x2(l) && vcpu->vm->irq.x2apic_ids &&
	    *(const u32 *)(s->regs + APIC_ID) != vcpu->id)
		return -EINVAL;

	/* An MSR: it is not in there, and stays. */
	deadline = lhv_lapic_get_deadline(vcpu);
	lhv_lapic_timer_stop(l);
	if (l->posted)
		take_posted(l);
	/* Taken over anew by the CPU, at the next entry. */
	WRITE_ONCE(l->virtual, false);
	memcpy(l->regs, s->regs, sizeof(s->regs));
	count = lhv_lapic_reg(l, APIC_TMCCT);
	lvtt = lhv_lapic_reg(l, APIC_LVTT);
	if (lhv_lapic_x2(l))
		lhv_lapic_set_reg(l, APIC_LDR, lhv_x2apic_ldr(vcpu->id));

	/* Vectors below 16 cannot be in service. In the IRR they are below any priority. */
	lhv_lapic_set_reg(l, APIC_ISR, lhv_lapic_reg(l, APIC_ISR) & ~illegal);
	l->highest_isr = lhv_lapic_highest(l, APIC_ISR);
	vcpu->eoi_offered = false;
	lhv_lapic_set_reg(l, APIC_ID, lhv_lapic_reg(l, APIC_ID) & 0xff000000);
	lhv_lapic_set_reg(l, APIC_SPIV, lhv_lapic_reg(l, APIC_SPIV) & SPIV_MASK);
	WRITE_ONCE(l->sw_enabled, lhv_lapic_reg(l, APIC_SPIV) & APIC_SPIV_APIC_ENABLED);
	lhv_lapic_set_reg(l, APIC_TASKPRI, lhv_lapic_reg(l, APIC_TASKPRI) & APIC_TPRI_MASK);
	vcpu->cr8 = lhv_lapic_reg(l, APIC_TASKPRI) >> 4;
	atomic_set(&l->errors, 0);
	lhv_apic_map_rebuild(vcpu->vm);
	lhv_lapic_timer_restore(l, lvtt, count);
	if (deadline)
		lhv_lapic_set_deadline(vcpu, deadline);
	lhv_request_self(vcpu, LHV_REQ_EVENT);
	return 0;
}

/* ---- INIT and SIPI ---- */

bool lhv_lapic_has_events(struct lhv_vcpu *vcpu)
{
	return vcpu->lapic && READ_ONCE(vcpu->lapic->events);
}

void lhv_lapic_accept_events(struct lhv_vcpu *vcpu)
{
	struct lhv_lapic *l = vcpu->lapic;
	struct kvm_segment cs;
	u8 vector;

	if (!l)
		return;
	if (test_and_clear_bit(LHV_APIC_INIT, &l->events)) {
		lhv_vcpu_reset(vcpu, true);
		vcpu->mp_state = l->base_msr & MSR_IA32_APICBASE_BSP ?
				 KVM_MP_STATE_RUNNABLE : KVM_MP_STATE_INIT_RECEIVED;
	}
	/* A SIPI counts only for a CPU that waits for it. */
	if (!test_and_clear_bit(LHV_APIC_SIPI, &l->events) ||
	    vcpu->mp_state != KVM_MP_STATE_INIT_RECEIVED)
		return;
	vector = READ_ONCE(l->sipi_vector);
	lhv_backend->get_seg(vcpu, LHV_CS, &cs);
	cs.selector = vector << 8;
	cs.base = vector << 12;
	lhv_backend->set_seg(vcpu, LHV_CS, &cs);
	vcpu->rip = 0;
	vcpu->mp_state = KVM_MP_STATE_RUNNABLE;
}
