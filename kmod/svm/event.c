// SPDX-License-Identifier: GPL-2.0
/*
 * lhv svm/ - events into the guest, and what an exit interrupted.
 *
 * Manual: APM Vol 2 "Event Injection", "Virtual Interrupts", "Interrupt Shadows".
 */
#include "svm.h"

static void inject(struct lhv_vcpu *vcpu, u32 type, u8 vector, bool has_error, u32 error)
{
	struct vmcb_control_area *control = lhv_svm_control(vcpu);

	control->event_inj = vector | type | SVM_EVTINJ_VALID |
			     (has_error ? SVM_EVTINJ_VALID_ERR : 0);
	control->event_inj_err = has_error ? error : 0;
}

/* INT3 and INTO, whose exceptions are traps: one byte each. */
static bool is_soft_exception(u8 vector)
{
	return vector == X86_TRAP_BP || vector == X86_TRAP_OF;
}

void lhv_svm_inject_exception(struct lhv_vcpu *vcpu)
{
	struct lhv_svm_vcpu *svm = lhv_svm(vcpu);

	/* The guest's handler expects RIP behind the instruction; injection does not move it. */
	if (is_soft_exception(vcpu->ev.exc.vector)) {
		svm->soft_rip = vcpu->rip;
		svm->watch |= LHV_SVM_SOFT;
		vcpu->rip++;
		/* A CPU that saves this at exits pushes it here. */
		if (lhv_svm_caps.nrips)
			lhv_svm_control(vcpu)->next_rip = vcpu->rip;
	}
	inject(vcpu, SVM_EVTINJ_TYPE_EXEPT, vcpu->ev.exc.vector, vcpu->ev.exc.has_error,
	       vcpu->ev.exc.error);
}

void lhv_svm_inject_nmi(struct lhv_vcpu *vcpu)
{
	inject(vcpu, SVM_EVTINJ_TYPE_NMI, X86_TRAP_NMI, false, 0);
	lhv_svm_set_nmi_mask(vcpu, true);
}

void lhv_svm_inject_irq(struct lhv_vcpu *vcpu, u8 vector)
{
	inject(vcpu, SVM_EVTINJ_TYPE_INTR, vector, false, 0);
}

static bool in_shadow(struct lhv_vcpu *vcpu)
{
	return lhv_svm_control(vcpu)->int_state & SVM_INTERRUPT_SHADOW_MASK;
}

bool lhv_svm_irq_allowed(struct lhv_vcpu *vcpu)
{
	return vcpu->rflags & X86_EFLAGS_IF && !in_shadow(vcpu);
}

bool lhv_svm_nmi_allowed(struct lhv_vcpu *vcpu)
{
	return !lhv_svm(vcpu)->nmi_masked && !in_shadow(vcpu);
}

/*
 * A virtual interrupt of the highest priority that ignores TPR is never delivered: the
 * intercept comes first, exactly when it could be.
 */
void lhv_svm_irq_window(struct lhv_vcpu *vcpu)
{
	struct vmcb_control_area *control = lhv_svm_control(vcpu);

	if (control->int_ctl & V_IRQ_MASK)
		return;
	control->int_vector = 0;
	control->int_ctl |= V_IRQ_MASK | V_INTR_PRIO_MASK | V_IGN_TPR_MASK;
	lhv_svm_intercept(vcpu, INTERCEPT_VINTR, true);
	lhv_svm_mark_dirty(vcpu, LHV_SVM_INTR);
}

void lhv_svm_close_irq_window(struct lhv_vcpu *vcpu)
{
	lhv_svm_control(vcpu)->int_ctl &= ~V_IRQ_INJECTION_BITS_MASK;
	lhv_svm_intercept(vcpu, INTERCEPT_VINTR, false);
	lhv_svm_mark_dirty(vcpu, LHV_SVM_INTR);
}

/*
 * NMIs are blocked until the guest's IRET has completed. Its intercept comes before it runs,
 * so when that has been seen (or an interrupt shadow is all that blocks), one
 * instruction is single-stepped.
 */
void lhv_svm_nmi_window(struct lhv_vcpu *vcpu)
{
	struct lhv_svm_vcpu *svm = lhv_svm(vcpu);

	if (svm->nmi_masked && !(svm->watch & LHV_SVM_IRET))
		return;
	svm->watch |= LHV_SVM_STEP;
}

/* The intercept of IRET while NMIs are blocked. */
void lhv_svm_iret(struct lhv_vcpu *vcpu)
{
	struct lhv_svm_vcpu *svm = lhv_svm(vcpu);

	lhv_svm_intercept(vcpu, INTERCEPT_IRET, false);
	svm->watch |= LHV_SVM_IRET;
	svm->iret_rip = vcpu->rip;
	if (atomic_read(&vcpu->ev.nmi_pending))
		lhv_request_self(vcpu, LHV_REQ_EVENT);
}

void lhv_svm_watch_tpr(struct lhv_vcpu *vcpu, bool on)
{
	lhv_svm_intercept(vcpu, INTERCEPT_CR8_WRITE, on);
}

/* The hardware does not say which of the two kinds of shadow it is. */
u32 lhv_svm_get_shadow(struct lhv_vcpu *vcpu)
{
	return in_shadow(vcpu) ? KVM_X86_SHADOW_INT_MOV_SS | KVM_X86_SHADOW_INT_STI : 0;
}

void lhv_svm_set_shadow(struct lhv_vcpu *vcpu, u32 shadow)
{
	struct vmcb_control_area *control = lhv_svm_control(vcpu);

	if (shadow)
		control->int_state |= SVM_INTERRUPT_SHADOW_MASK;
	else
		control->int_state &= ~SVM_INTERRUPT_SHADOW_MASK;
}

bool lhv_svm_get_nmi_mask(struct lhv_vcpu *vcpu)
{
	return lhv_svm(vcpu)->nmi_masked;
}

void lhv_svm_set_nmi_mask(struct lhv_vcpu *vcpu, bool masked)
{
	lhv_svm(vcpu)->nmi_masked = masked;
	lhv_svm(vcpu)->watch &= ~LHV_SVM_IRET;
	lhv_svm_intercept(vcpu, INTERCEPT_IRET, masked);
}

/**
 * lhv_svm_requeue() - what the exit interrupted has to be delivered again
 * @ev: filled; nothing is injected yet
 * @info: EXITINTINFO
 * @error: its error code
 *
 * INTn, INT3 and INTO left RIP at the instruction: it is executed again by itself.
 *
 * Return: true when something is to be injected again.
 */
bool lhv_svm_requeue(struct lhv_event *ev, u32 info, u32 error)
{
	u8 vector = info & SVM_EXITINTINFO_VEC_MASK;

	if (!(info & SVM_EXITINTINFO_VALID))
		return false;

	switch (info & SVM_EXITINTINFO_TYPE_MASK) {
	case SVM_EXITINTINFO_TYPE_NMI:
		ev->nmi_injected = true;
		return true;
	case SVM_EXITINTINFO_TYPE_EXEPT:
		if (is_soft_exception(vector))
			return false;
		ev->exc.injected = true;
		ev->exc.vector = vector;
		ev->exc.has_error = info & SVM_EXITINTINFO_VALID_ERR;
		ev->exc.error = ev->exc.has_error ? error : 0;
		ev->exc.has_payload = false;
		return true;
	case SVM_EXITINTINFO_TYPE_INTR:
		ev->irq.injected = true;
		ev->irq.soft = false;
		ev->irq.vector = vector;
		return true;
	default:
		return false;
	}
}

/* #BP or #OF that we injected did not get through: as if it had not been tried. */
static bool undo_soft(struct lhv_vcpu *vcpu, u32 info)
{
	struct lhv_svm_vcpu *svm = lhv_svm(vcpu);
	u8 vector = info & SVM_EXITINTINFO_VEC_MASK;

	if (!(svm->watch & LHV_SVM_SOFT))
		return false;
	svm->watch &= ~LHV_SVM_SOFT;
	if (!(info & SVM_EXITINTINFO_VALID) ||
	    (info & SVM_EXITINTINFO_TYPE_MASK) != SVM_EXITINTINFO_TYPE_EXEPT ||
	    !is_soft_exception(vector) || vcpu->rip != svm->soft_rip + 1)
		return false;
	vcpu->rip = svm->soft_rip;
	vcpu->ev.exc.injected = true;
	vcpu->ev.exc.vector = vector;
	vcpu->ev.exc.has_error = false;
	vcpu->ev.exc.has_payload = false;
	return true;
}

/**
 * lhv_svm_interrupted() - the exit met an event under way, or one that was watched for
 * @vcpu: the vCPU; rip and rflags are read back already, nothing is injected
 *
 * Context: interrupts off, right after the exit.
 */
void lhv_svm_interrupted(struct lhv_vcpu *vcpu)
{
	struct vmcb_control_area *control = lhv_svm_control(vcpu);
	struct lhv_svm_vcpu *svm = lhv_svm(vcpu);
	u32 info = control->exit_int_info;
	bool again;

	again = undo_soft(vcpu, info);
	if (!again)
		again = lhv_svm_requeue(&vcpu->ev, info, control->exit_int_info_err);
	if (again)
		lhv_request_self(vcpu, LHV_REQ_EVENT);

	/* The IRET that ends NMI blocking has been executed. */
	if (svm->watch & LHV_SVM_IRET && vcpu->rip != svm->iret_rip) {
		lhv_svm_set_nmi_mask(vcpu, false);
		if (atomic_read(&vcpu->ev.nmi_pending))
			lhv_request_self(vcpu, LHV_REQ_EVENT);
	}
	/* A step is for one entry only; whoever still waits for an NMI asks again. */
	if (svm->watch & LHV_SVM_STEPPED)
		lhv_request_self(vcpu, LHV_REQ_EVENT);
}
