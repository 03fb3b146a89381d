// SPDX-License-Identifier: GPL-2.0
/*
 * lhv irq/ - PV EOI: the guest ends an interrupt without an exit.
 *
 * An interrupt whose end only the LAPIC has to know of is delivered with a bit set in the
 * guest's memory. A guest that finds it set clears it and is done; one that finds it clear writes
 * to the EOI register as ever. So the offer stands only while nothing else depends on the
 * end: nothing nested, nothing waiting, no level and no EOI that a device counts. It ends with
 * the next exit, before anybody looks at the LAPIC.
 */
#include <asm/kvm_para.h>

#include "lapic.h"

#define EOI_MAY_SKIP	BIT(KVM_PV_EOI_BIT)

static gpa_t flag_gpa(const struct lhv_vcpu *vcpu)
{
	return vcpu->pv_eoi & ~(u64)KVM_MSR_ENABLED;
}

/**
 * lhv_pv_eoi_set() - MSR_KVM_PV_EOI_EN is written
 * @vcpu: the vCPU; either tier
 * @data: address of the flag, and the enable bit
 *
 * Where the VMM has the LAPIC it has no effect, as on KVM, which lets a guest set it.
 * Return: 0 or -EINVAL (#GP): not aligned, or enabled where nothing can be written.
 */
int lhv_pv_eoi_set(struct lhv_vcpu *vcpu, u64 data)
{
	gpa_t gpa = data & ~(u64)KVM_MSR_ENABLED;

	if (!IS_ALIGNED(gpa, sizeof(u32)))
		return -EINVAL;
	if (data & KVM_MSR_ENABLED && !lhv_gpa_is_memory(vcpu->vm, gpa, true))
		return -EINVAL;
	vcpu->pv_eoi = data;
	return 0;
}

/**
 * lhv_pv_eoi_offer() - an interrupt is about to be injected
 * @l: its LAPIC; @vector is in service and was not before
 * @vector: the vector
 * @nested: another one is in service too
 *
 * Context: interrupts off, the vCPU's thread. Where the flag can't be written now there is no
 * offer.
 */
void lhv_pv_eoi_offer(struct lhv_lapic *l, u8 vector, bool nested)
{
	struct lhv_vcpu *vcpu = l->vcpu;
	u8 flag = EOI_MAY_SKIP;

	if (likely(!(vcpu->pv_eoi & KVM_MSR_ENABLED)))
		return;
	if (nested || lhv_lapic_highest(l, APIC_IRR) >= 0 || lhv_lapic_eoi_matters(l, vector))
		return;
	if (!lhv_write_gpa(vcpu, flag_gpa(vcpu), &flag, sizeof(flag)))
		vcpu->eoi_offered = true;
}

/**
 * lhv_pv_eoi_settle() - the guest exited while an offer stood
 * @vcpu: the vCPU; either tier, interrupts on
 *
 * Return: true; false (atomic tier only) when it takes the slow tier to find out.
 */
bool lhv_pv_eoi_settle(struct lhv_vcpu *vcpu)
{
	struct lhv_lapic *l = vcpu->lapic;
	u8 flag, none = 0;
	int ret;

	ret = lhv_read_gpa(vcpu, flag_gpa(vcpu), &flag, sizeof(flag));
	if (!ret && (flag & EOI_MAY_SKIP))
		ret = lhv_write_gpa(vcpu, flag_gpa(vcpu), &none, sizeof(none));
	else if (!ret)
		lhv_lapic_eoi(l);
	if (ret == -EAGAIN)
		return false;
	vcpu->eoi_offered = false;
	return true;
}
