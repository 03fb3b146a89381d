// SPDX-License-Identifier: GPL-2.0
/*
 * Events on their way into the guest: exceptions, NMI, external interrupts.
 *
 * One event is handed to the hardware per entry. Order: what the last exit interrupted, a
 * new exception, NMI, interrupt. Whatever has to wait gets a window: the guest exits as
 * soon as it could take it. After lhv_event_inject() at most one *.injected is set, the
 * one that was handed over; the backend clears it when the guest was entered, and sets it
 * again when the exit interrupted the delivery.
 */
#include <linux/string.h>

#include "lhv.h"
#include "cpu/cpu_priv.h"

#define MAX_NMI		2	/* one in service or about to be, one latched */

enum exc_class { EXC_BENIGN, EXC_CONTRIBUTORY, EXC_PAGE_FAULT };

#define TRAP_CP		21	/* <asm/trapnr.h> has it under a name that changed */

static enum exc_class classify(u8 vector)
{
	switch (vector) {
	case X86_TRAP_DE:
	case X86_TRAP_TS:
	case X86_TRAP_NP:
	case X86_TRAP_SS:
	case X86_TRAP_GP:
	case TRAP_CP:
		return EXC_CONTRIBUTORY;
	case X86_TRAP_PF:
		return EXC_PAGE_FAULT;
	default:
		return EXC_BENIGN;
	}
}

/**
 * lhv_exception_merge() - an exception is met while another is being delivered
 * @first: being delivered
 * @second: met meanwhile
 *
 * SDM Vol 3A "Interrupt 8 - Double Fault Exception (#DF)", the table "Double Fault
 * Generation" and the paragraph on shutdown.
 */
enum lhv_merge lhv_exception_merge(u8 first, u8 second)
{
	enum exc_class a = classify(first), b = classify(second);

	if (first == X86_TRAP_DF)
		return b == EXC_BENIGN ? LHV_MERGE_SERIAL : LHV_MERGE_TRIPLE_FAULT;
	if (a == EXC_CONTRIBUTORY && b == EXC_CONTRIBUTORY)
		return LHV_MERGE_DOUBLE_FAULT;
	if (a == EXC_PAGE_FAULT && b != EXC_BENIGN)
		return LHV_MERGE_DOUBLE_FAULT;
	return LHV_MERGE_SERIAL;
}

static void queue(struct lhv_vcpu *vcpu, u8 vector, bool has_error, u32 error,
		  bool has_payload, u64 payload)
{
	struct lhv_event *ev = &vcpu->ev;

	if (ev->exc.pending || ev->exc.injected) {
		switch (lhv_exception_merge(ev->exc.vector, vector)) {
		case LHV_MERGE_TRIPLE_FAULT:
			ev->exc.pending = false;
			ev->exc.injected = false;
			lhv_request_self(vcpu, LHV_REQ_TRIPLE_FAULT);
			return;
		case LHV_MERGE_DOUBLE_FAULT:
			vector = X86_TRAP_DF;
			has_error = true;
			error = 0;
			has_payload = false;
			break;
		case LHV_MERGE_SERIAL:
			/* The first one comes again when its instruction is run again. */
			break;
		}
	}
	ev->exc.pending = true;
	ev->exc.injected = false;
	ev->exc.vector = vector;
	ev->exc.has_error = has_error;
	ev->exc.error = error;
	ev->exc.has_payload = has_payload;
	ev->exc.payload = payload;
	lhv_request_self(vcpu, LHV_REQ_EVENT);
}

void lhv_queue_exception(struct lhv_vcpu *vcpu, u8 vector)
{
	queue(vcpu, vector, false, 0, false, 0);
}

void lhv_queue_exception_error(struct lhv_vcpu *vcpu, u8 vector, u32 error)
{
	queue(vcpu, vector, true, error, false, 0);
}

/**
 * lhv_queue_payload() - raise an exception that says more in a register
 * @vcpu: the vCPU; either tier
 * @vector: X86_TRAP_DB
 * @payload: DR6 bits; as in the hardware, bits that are active low in DR6 are given inverted
 */
void lhv_queue_payload(struct lhv_vcpu *vcpu, u8 vector, u64 payload)
{
	queue(vcpu, vector, false, 0, true, payload);
}

void lhv_queue_pf(struct lhv_vcpu *vcpu, u64 addr, u32 error)
{
	queue(vcpu, X86_TRAP_PF, true, error, true, addr);
}

void lhv_queue_fault(struct lhv_vcpu *vcpu, const struct lhv_fault *fault)
{
	if (fault->vector == X86_TRAP_PF)
		lhv_queue_pf(vcpu, fault->gva, fault->error_code);
	else
		lhv_queue_exception_error(vcpu, fault->vector, fault->error_code);
}

/**
 * lhv_nmi() - queue an NMI
 * @vcpu: the vCPU
 *
 * Context: any. NMIs beyond the latched one are lost, as in the hardware.
 */
void lhv_nmi(struct lhv_vcpu *vcpu)
{
	int n = atomic_read(&vcpu->ev.nmi_pending);

	do {
		if (n >= MAX_NMI)
			break;
	} while (!atomic_try_cmpxchg(&vcpu->ev.nmi_pending, &n, n + 1));
	lhv_request(vcpu, LHV_REQ_EVENT);
}

/**
 * lhv_dr6_payload() - DR6 after a #DB
 * @dr6: before
 * @payload: what the exception reports
 *
 * SDM Vol 3B "Debug Status Register (DR6)": B0-B3 say what this exception met, BS, BD and BT
 * are sticky; bit 16 (RTM) and bit 11 (bus lock) are active low.
 */
u64 lhv_dr6_payload(u64 dr6, u64 payload)
{
	const u64 active_low = DR_BUS_LOCK | BIT_ULL(16);

	dr6 &= ~(u64)DR_TRAP_BITS;
	dr6 |= active_low;
	dr6 |= payload;
	dr6 ^= payload & active_low;
	return dr6;
}

static void commit_payload(struct lhv_vcpu *vcpu)
{
	struct lhv_event *ev = &vcpu->ev;

	if (!ev->exc.has_payload)
		return;
	ev->exc.has_payload = false;
	if (ev->exc.vector == X86_TRAP_PF) {
		vcpu->cr2 = ev->exc.payload;
	} else if (ev->exc.vector == X86_TRAP_DB) {
		vcpu->cpu_state.dr6 = lhv_dr6_fix(lhv_dr6_payload(lhv_backend->get_dr6(vcpu),
								  ev->exc.payload));
		lhv_backend->set_dr6(vcpu, vcpu->cpu_state.dr6);
	}
}

/* SDM Vol 3A "Exception and Interrupt Reference": faults; instruction breakpoints push RF 0. */
static bool is_fault(u8 vector)
{
	switch (vector) {
	case X86_TRAP_DB:
	case X86_TRAP_NMI:
	case X86_TRAP_BP:
	case X86_TRAP_OF:
	case X86_TRAP_DF:
	case X86_TRAP_MC:
		return false;
	default:
		return true;
	}
}

static void inject_exception(struct lhv_vcpu *vcpu)
{
	struct lhv_event *ev = &vcpu->ev;
	struct lhv_cpu *cpu = &vcpu->cpu_state;

	if (ev->exc.pending) {
		if (is_fault(ev->exc.vector))
			vcpu->rflags |= X86_EFLAGS_RF;
		commit_payload(vcpu);
		/* SDM Vol 3B "Debug Control Register (DR7)": GD goes off for the handler. */
		if (ev->exc.vector == X86_TRAP_DB && (cpu->dr7 & LHV_DR7_GD)) {
			cpu->dr7 &= ~(u64)LHV_DR7_GD;
			lhv_backend->set_dr7(vcpu, lhv_effective_dr7(cpu));
		}
		/* Real mode has no error codes. */
		if (!lhv_protected_mode(vcpu))
			ev->exc.has_error = false;
	}
	ev->exc.pending = false;
	ev->exc.injected = true;
	lhv_backend->inject_exception(vcpu);
}

/*
 * A delivery that was interrupted has to be started again; but when its place is taken by
 * an exception it waits in line like a new one.
 */
static void requeue(struct lhv_vcpu *vcpu)
{
	struct lhv_event *ev = &vcpu->ev;
	bool taken = ev->exc.pending || ev->exc.injected;

	if (ev->nmi_injected && taken) {
		ev->nmi_injected = false;
		lhv_backend->set_nmi_mask(vcpu, false);
		atomic_inc(&ev->nmi_pending);
	}
	if (!ev->irq.injected)
		return;
	if (ev->irq.soft) {
		/* INTn: RIP is still at the instruction. */
		if (taken || ev->nmi_injected)
			ev->irq.injected = false;
		return;
	}
	if (taken || ev->nmi_injected) {
		ev->irq.injected = false;
		ev->irq.queued = true;
	}
}

static bool irq_waits(struct lhv_vcpu *vcpu)
{
	return vcpu->ev.irq.queued || lhv_irq_to_inject(vcpu);
}

/* True when one was handed over. */
static bool inject_nmi(struct lhv_vcpu *vcpu)
{
	struct lhv_event *ev = &vcpu->ev;
	int two = MAX_NMI;

	/* While one is in service, only one more is latched. */
	if (lhv_backend->get_nmi_mask(vcpu))
		atomic_try_cmpxchg(&ev->nmi_pending, &two, 1);
	if (!lhv_backend->nmi_allowed(vcpu))
		return false;
	atomic_dec(&ev->nmi_pending);
	ev->nmi_injected = true;
	vcpu->nr_injections++;
	lhv_backend->inject_nmi(vcpu);
	return true;
}

static bool inject_irq(struct lhv_vcpu *vcpu)
{
	struct lhv_event *ev = &vcpu->ev;
	int vector = ev->irq.vector;

	if (!lhv_backend->irq_allowed(vcpu))
		return false;
	if (!ev->irq.queued) {
		vector = lhv_irq_ack(vcpu);
		if (vector < 0)
			return false;
	}
	ev->irq.queued = false;
	ev->irq.injected = true;
	ev->irq.soft = false;
	ev->irq.vector = vector;
	vcpu->nr_injections++;
	lhv_backend->inject_irq(vcpu, vector);
	return true;
}

/**
 * lhv_event_inject() - hand the next event to the hardware
 * @vcpu: the vCPU, about to enter
 *
 * Context: interrupts off, the vCPU's thread; LHV_REQ_EVENT was pending and is cleared.
 */
void lhv_event_inject(struct lhv_vcpu *vcpu)
{
	bool blocked = vcpu->cpu_state.guest_debug & KVM_GUESTDBG_BLOCKIRQ;
	struct lhv_event *ev = &vcpu->ev;
	bool done = false;

	lockdep_assert_irqs_disabled();
	lhv_irq_virtualize(vcpu);
	requeue(vcpu);

	if (ev->exc.pending || ev->exc.injected) {
		inject_exception(vcpu);
		done = true;
	} else if (ev->nmi_injected) {
		lhv_backend->inject_nmi(vcpu);
		done = true;
	} else if (ev->irq.injected) {
		lhv_backend->inject_irq(vcpu, ev->irq.vector);
		done = true;
	}

	if (atomic_read(&ev->nmi_pending) && !blocked) {
		if (!done)
			done = inject_nmi(vcpu);
		if (atomic_read(&ev->nmi_pending))
			lhv_backend->nmi_window(vcpu);
	}

	if (irq_waits(vcpu) && !blocked) {
		if (!done)
			done = inject_irq(vcpu);
		if (irq_waits(vcpu))
			lhv_backend->irq_window(vcpu);
	}

	/* A VMM with a LAPIC of its own hears of every lower TPR (KVM_EXIT_SET_TPR). */
	lhv_backend->watch_tpr(vcpu, !vcpu->lapic || lhv_irq_masked_by_tpr(vcpu));
}

/* Power-on and INIT: nothing is on its way any more. */
void lhv_event_reset(struct lhv_vcpu *vcpu)
{
	struct lhv_event *ev = &vcpu->ev;

	memset(&ev->exc, 0, sizeof(ev->exc));
	memset(&ev->irq, 0, sizeof(ev->irq));
	ev->nmi_injected = false;
	atomic_set(&ev->nmi_pending, 0);
	ev->user_irq = -1;
}

/* ---- KVM_GET/SET_VCPU_EVENTS ---- */

/*
 * With KVM_CAP_EXCEPTION_PAYLOAD an exception that was raised but not delivered is told
 * from one whose delivery was interrupted, and its payload has not gone where the architecture
 * puts it. Without, both are one, and the payload is in CR2 or DR6.
 */
static void get_exception(struct lhv_vcpu *vcpu, struct kvm_vcpu_events *out)
{
	struct lhv_event *ev = &vcpu->ev;

	out->exception.nr = ev->exc.vector;
	out->exception.has_error_code = ev->exc.has_error;
	out->exception.error_code = ev->exc.error;
	if (READ_ONCE(vcpu->vm->exception_payload)) {
		out->flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
		out->exception.injected = ev->exc.injected;
		out->exception.pending = ev->exc.pending;
		out->exception_has_payload = ev->exc.pending && ev->exc.has_payload;
		out->exception_payload = out->exception_has_payload ? ev->exc.payload : 0;
		return;
	}
	if (ev->exc.pending)
		commit_payload(vcpu);
	out->exception.injected = ev->exc.pending || ev->exc.injected;
}

/**
 * lhv_get_events() - the body of KVM_GET_VCPU_EVENTS
 * @vcpu: the vCPU, its lock held, slow tier
 * @out: result
 *
 * Return: 0.
 */
int lhv_get_events(struct lhv_vcpu *vcpu, struct kvm_vcpu_events *out)
{
	struct lhv_event *ev = &vcpu->ev;

	memset(out, 0, sizeof(*out));
	out->flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
	get_exception(vcpu, out);

	/* INTn is not reported: it runs again from the start. */
	out->interrupt.injected = (ev->irq.injected && !ev->irq.soft) || ev->irq.queued;
	out->interrupt.nr = ev->irq.vector;
	/* What KVM_INTERRUPT handed in and the guest has not taken yet. */
	if (!vcpu->lapic && ev->user_irq >= 0) {
		out->interrupt.injected = 1;
		out->interrupt.nr = ev->user_irq;
	}
	out->interrupt.shadow = lhv_backend->get_shadow(vcpu);

	out->nmi.injected = ev->nmi_injected;
	out->nmi.pending = atomic_read(&ev->nmi_pending);
	out->nmi.masked = lhv_backend->get_nmi_mask(vcpu);

	if (READ_ONCE(vcpu->vm->triple_fault_event)) {
		out->flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
		out->triple_fault.pending = test_bit(LHV_REQ_TRIPLE_FAULT, &vcpu->pending);
	}
	return 0;
}

static bool events_valid(struct lhv_vcpu *vcpu, const struct kvm_vcpu_events *in)
{
	u32 known = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SIPI_VECTOR |
		    KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_SMM;
	bool exception = in->exception.injected;

	if (READ_ONCE(vcpu->vm->exception_payload))
		known |= KVM_VCPUEVENT_VALID_PAYLOAD;
	if (READ_ONCE(vcpu->vm->triple_fault_event))
		known |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
	if (in->flags & ~known)
		return false;
	if ((in->flags & KVM_VCPUEVENT_VALID_SMM) &&
	    (in->smi.smm || in->smi.pending || in->smi.smm_inside_nmi || in->smi.latched_init))
		return false;
	if (in->flags & KVM_VCPUEVENT_VALID_PAYLOAD)
		exception |= in->exception.pending;
	if (exception && (in->exception.nr > 31 || in->exception.nr == X86_TRAP_NMI))
		return false;
	return !(in->flags & KVM_VCPUEVENT_VALID_SHADOW) ||
	       !(in->interrupt.shadow & ~(KVM_X86_SHADOW_INT_MOV_SS | KVM_X86_SHADOW_INT_STI));
}

static void set_exception(struct lhv_event *ev, const struct kvm_vcpu_events *in)
{
	ev->exc.pending = (in->flags & KVM_VCPUEVENT_VALID_PAYLOAD) && in->exception.pending;
	/* One or the other: what is pending comes first. */
	ev->exc.injected = in->exception.injected && !ev->exc.pending;
	ev->exc.vector = in->exception.nr;
	ev->exc.has_error = in->exception.has_error_code;
	ev->exc.error = in->exception.error_code;
	ev->exc.has_payload = ev->exc.pending && in->exception_has_payload;
	ev->exc.payload = ev->exc.has_payload ? in->exception_payload : 0;
}

/**
 * lhv_set_events() - the body of KVM_SET_VCPU_EVENTS
 * @vcpu: the vCPU, its lock held, slow tier
 * @in: from the VMM
 *
 * Return: 0 or -EINVAL.
 */
int lhv_set_events(struct lhv_vcpu *vcpu, const struct kvm_vcpu_events *in)
{
	struct lhv_event *ev = &vcpu->ev;

	if (!events_valid(vcpu, in))
		return -EINVAL;
	set_exception(ev, in);

	ev->irq.injected = in->interrupt.injected;
	ev->irq.queued = false;
	if (!vcpu->lapic)
		ev->user_irq = -1;
	ev->irq.vector = in->interrupt.nr;
	ev->irq.soft = in->interrupt.soft;
	if (in->flags & KVM_VCPUEVENT_VALID_SHADOW) {
		lhv_backend->set_shadow(vcpu, in->interrupt.shadow);
		vcpu->exit.shadow = in->interrupt.shadow;
	}

	ev->nmi_injected = in->nmi.injected;
	if (in->flags & KVM_VCPUEVENT_VALID_NMI_PENDING)
		atomic_set(&ev->nmi_pending, min_t(int, in->nmi.pending, MAX_NMI));
	lhv_backend->set_nmi_mask(vcpu, in->nmi.masked);

	if ((in->flags & KVM_VCPUEVENT_VALID_SIPI_VECTOR) && vcpu->lapic)
		vcpu->lapic->sipi_vector = in->sipi_vector;
	if (in->flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT) {
		if (in->triple_fault.pending)
			lhv_request_self(vcpu, LHV_REQ_TRIPLE_FAULT);
		else
			clear_bit(LHV_REQ_TRIPLE_FAULT, &vcpu->pending);
	}

	lhv_request_self(vcpu, LHV_REQ_EVENT);
	return 0;
}
