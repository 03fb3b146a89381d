// SPDX-License-Identifier: GPL-2.0
/*
 * lhv vmx/ - events into the guest, and what an exit interrupted.
 *
 * Manual: SDM Vol 3C "Event Injection", "Information for VM Exits That Occur During Event
 * Delivery", "Guest Non-Register State".
 */
#include "vmx.h"

#define BLOCKED_SHADOW	(GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS)

/* SDM Vol 3A "Exception and Interrupt Reference": exceptions with an error code. */
#define WITH_ERROR	(BIT(X86_TRAP_DF) | BIT(X86_TRAP_TS) | BIT(X86_TRAP_NP) |	\
			 BIT(X86_TRAP_SS) | BIT(X86_TRAP_GP) | BIT(X86_TRAP_PF) |	\
			 BIT(X86_TRAP_AC))

/* INT3 and INTO, whose exceptions are traps: one byte each. */
static bool is_soft_exception(u8 vector)
{
	return vector == X86_TRAP_BP || vector == X86_TRAP_OF;
}

/* The entry insists on an error code where the architecture has one, and on none elsewhere. */
void lhv_vmx_inject_exception(struct lhv_vcpu *vcpu)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);
	u8 vector = vcpu->ev.exc.vector;
	bool has_error = vcpu->ev.exc.has_error;

	if (vector < 32)
		has_error = lhv_protected_mode(vcpu) && BIT(vector) & WITH_ERROR;
	vmx->soft_injected = is_soft_exception(vector);
	vmx->inject_info = vector | INTR_INFO_VALID_MASK |
			   (vmx->soft_injected ? INTR_TYPE_SOFT_EXCEPTION :
						 INTR_TYPE_HARD_EXCEPTION) |
			   (has_error ? INTR_INFO_DELIVER_CODE_MASK : 0);
	vmx->inject_error = has_error && vcpu->ev.exc.has_error ? vcpu->ev.exc.error : 0;

	/* A trap that was pending when the instruction exited would come on top of it. */
	if (vector == X86_TRAP_DB) {
		vmx->pending_dbg = 0;
		vmx->dirty |= BIT(LHV_VMX_PENDING_DBG);
	}
}

/* The CPU blocks further ones itself; and refuses where it does already. */
void lhv_vmx_inject_nmi(struct lhv_vcpu *vcpu)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);

	vmx->inject_info = X86_TRAP_NMI | INTR_TYPE_NMI_INTR | INTR_INFO_VALID_MASK;
	vmx->interruptibility &= ~(GUEST_INTR_STATE_NMI | BLOCKED_SHADOW);
}

void lhv_vmx_inject_irq(struct lhv_vcpu *vcpu, u8 vector)
{
	lhv_vmx(vcpu)->inject_info = vector | INTR_TYPE_EXT_INTR | INTR_INFO_VALID_MASK;
	lhv_vmx(vcpu)->interruptibility &= ~BLOCKED_SHADOW;
}

bool lhv_vmx_irq_allowed(struct lhv_vcpu *vcpu)
{
	return vcpu->rflags & X86_EFLAGS_IF &&
	       !(lhv_vmx(vcpu)->interruptibility & BLOCKED_SHADOW);
}

bool lhv_vmx_nmi_allowed(struct lhv_vcpu *vcpu)
{
	return !(lhv_vmx(vcpu)->interruptibility & (BLOCKED_SHADOW | GUEST_INTR_STATE_NMI));
}

void lhv_vmx_irq_window(struct lhv_vcpu *vcpu)
{
	lhv_vmx_control(lhv_vmx(vcpu), CPU, CPU_BASED_INTR_WINDOW_EXITING, true);
}

/*
 * SDM Vol 3C "Other Causes of VM Exits": the NMI window may be open in STI's shadow already, and
 * the guest would exit there for ever. The interrupt window opens behind it.
 */
void lhv_vmx_nmi_window(struct lhv_vcpu *vcpu)
{
	if (lhv_vmx(vcpu)->interruptibility & GUEST_INTR_STATE_STI &&
	    vcpu->rflags & X86_EFLAGS_IF) {
		lhv_vmx_irq_window(vcpu);
		return;
	}
	lhv_vmx_control(lhv_vmx(vcpu), CPU, CPU_BASED_NMI_WINDOW_EXITING, true);
}

/*
 * Without TPR shadow every access to CR8 exits. With it, one that lets the vector come through that
 * waits. The entry refuses a threshold above the TPR.
 */
void lhv_vmx_watch_tpr(struct lhv_vcpu *vcpu, bool on)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);
	u8 threshold = 0;

	if (!vmx->tpr)
		return;
	if (on)
		threshold = min(lhv_irq_waiting_class(vcpu), vcpu->cr8);
	if (threshold != vmx->tpr_threshold) {
		vmx->tpr_threshold = threshold;
		vmx->dirty |= BIT(LHV_VMX_TPR);
	}
}

/* See struct lhv_backend. */
bool lhv_vmx_takes_irqs(bool *notified)
{
	*notified = lhv_vmx_has(LHV_VMX_PIN, PIN_BASED_POSTED_INTR);
	return lhv_vmx_has(LHV_VMX_CPU2, LHV_VMX_VIRTUAL_IRQS);
}

/*
 * See struct lhv_backend. SDM Vol 3C "APIC Virtualization and Virtual Interrupts". In xAPIC mode,
 * where each access exits anyway, interrupts are injected.
 */
void lhv_vmx_virtual_irqs(struct lhv_vcpu *vcpu, bool on)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);

	if (on != vmx->virtual_irqs) {
		vmx->virtual_irqs = on;
		lhv_vmx_control(vmx, CPU2, LHV_VMX_VIRTUAL_IRQS, on);
		lhv_vmx_control(vmx, PIN, PIN_BASED_POSTED_INTR, on);
		lhv_vmx_control(vmx, EXIT, VM_EXIT_ACK_INTR_ON_EXIT, on);
		lhv_vmx_msr_virtual_irqs(vmx->msr_bitmap, on);
	}
	if (on)
		vmx->dirty |= BIT(LHV_VMX_VIRTUAL_IRQ);
}

u32 lhv_vmx_get_shadow(struct lhv_vcpu *vcpu)
{
	u32 state = lhv_vmx(vcpu)->interruptibility;

	return (state & GUEST_INTR_STATE_STI ? KVM_X86_SHADOW_INT_STI : 0) |
	       (state & GUEST_INTR_STATE_MOV_SS ? KVM_X86_SHADOW_INT_MOV_SS : 0);
}

/* Never both: the entry refuses that. A shadow that ends takes the debug exceptions it held. */
void lhv_vmx_set_shadow(struct lhv_vcpu *vcpu, u32 shadow)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);

	if (vmx->interruptibility & BLOCKED_SHADOW && !shadow) {
		vmx->pending_dbg = 0;
		vmx->dirty |= BIT(LHV_VMX_PENDING_DBG);
	}
	vmx->interruptibility &= ~BLOCKED_SHADOW;
	if (shadow & KVM_X86_SHADOW_INT_MOV_SS)
		vmx->interruptibility |= GUEST_INTR_STATE_MOV_SS;
	else if (shadow & KVM_X86_SHADOW_INT_STI)
		vmx->interruptibility |= GUEST_INTR_STATE_STI;
}

bool lhv_vmx_get_nmi_mask(struct lhv_vcpu *vcpu)
{
	return lhv_vmx(vcpu)->interruptibility & GUEST_INTR_STATE_NMI;
}

void lhv_vmx_set_nmi_mask(struct lhv_vcpu *vcpu, bool masked)
{
	if (masked)
		lhv_vmx(vcpu)->interruptibility |= GUEST_INTR_STATE_NMI;
	else
		lhv_vmx(vcpu)->interruptibility &= ~GUEST_INTR_STATE_NMI;
}

/**
 * lhv_vmx_requeue() - what the exit interrupted has to be delivered again
 * @ev: filled; nothing is injected yet
 * @info: IDT-vectoring information
 * @error: its error code
 * @soft_injected: the entry was to deliver #BP or #OF for the VMM
 *
 * INTn, INT1, INT3 and INTO left RIP at the instruction: it is executed again by itself.
 *
 * Return: true when something is to be injected again.
 */
bool lhv_vmx_requeue(struct lhv_event *ev, u32 info, u32 error, bool soft_injected)
{
	u8 vector = info & VECTORING_INFO_VECTOR_MASK;

	if (!(info & VECTORING_INFO_VALID_MASK))
		return false;

	switch (info & VECTORING_INFO_TYPE_MASK) {
	case INTR_TYPE_NMI_INTR:
		ev->nmi_injected = true;
		return true;
	case INTR_TYPE_SOFT_EXCEPTION:
		if (!soft_injected)
			return false;
		fallthrough;
	case INTR_TYPE_HARD_EXCEPTION:
		ev->exc.injected = true;
		ev->exc.vector = vector;
		ev->exc.has_error = info & VECTORING_INFO_DELIVER_CODE_MASK;
		ev->exc.error = ev->exc.has_error ? error : 0;
		ev->exc.has_payload = false;
		return true;
	case INTR_TYPE_EXT_INTR:
		ev->irq.injected = true;
		ev->irq.soft = false;
		ev->irq.vector = vector;
		return true;
	default:
		return false;
	}
}

/**
 * lhv_vmx_interrupted() - the exit met an event under way, or an IRET that did not end
 * @vcpu: the vCPU; nothing is injected
 *
 * Context: interrupts off, right after the exit.
 */
void lhv_vmx_interrupted(struct lhv_vcpu *vcpu)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);
	u32 info = vmx->vectoring_info;

	if (lhv_vmx_requeue(&vcpu->ev, info, vmx->vectoring_error, vmx->soft_injected)) {
		/* An NMI on its way blocks others; its repetition must not find them blocked. */
		if (vcpu->ev.nmi_injected)
			vmx->interruptibility &= ~GUEST_INTR_STATE_NMI;
		lhv_request_self(vcpu, LHV_REQ_EVENT);
	}
	vmx->soft_injected = false;
	if (info & VECTORING_INFO_VALID_MASK)
		return;

	/*
	 * SDM Vol 3C "NMI Unblocking Due to Execution of IRET": the fault undid the IRET, but not
	 * that it unblocked NMIs.
	 */
	if (vcpu->exit.code == EXIT_REASON_EXCEPTION_NMI ?
	    vmx->intr_info & INTR_INFO_UNBLOCK_NMI &&
	    (vmx->intr_info & INTR_INFO_VECTOR_MASK) != X86_TRAP_DF :
	    vcpu->exit.code == EXIT_REASON_EPT_VIOLATION &&
	    vcpu->exit.info1 & INTR_INFO_UNBLOCK_NMI)
		vmx->interruptibility |= GUEST_INTR_STATE_NMI;
}
