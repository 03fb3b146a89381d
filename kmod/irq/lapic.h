/* SPDX-License-Identifier: GPL-2.0 */
/* lhv irq/ - what lapic.c, lapic_timer.c and ipi.c share. */
#ifndef LHV_LAPIC_H
#define LHV_LAPIC_H

#include "internal.h"

#define LHV_XAPIC_BROADCAST	0xffU
#define LHV_FIRST_VECTOR	16	/* lower ones are illegal */

static inline u32 lhv_lapic_reg(const struct lhv_lapic *l, u32 reg)
{
	return READ_ONCE(*(u32 *)(l->regs + reg));
}

static inline void lhv_lapic_set_reg(struct lhv_lapic *l, u32 reg, u32 val)
{
	WRITE_ONCE(*(u32 *)(l->regs + reg), val);
}

static inline bool lhv_lapic_hw_enabled(const struct lhv_lapic *l)
{
	return READ_ONCE(l->base_msr) & MSR_IA32_APICBASE_ENABLE;
}

static inline bool lhv_lapic_x2(const struct lhv_lapic *l)
{
	u64 both = MSR_IA32_APICBASE_ENABLE | X2APIC_ENABLE;

	return (READ_ONCE(l->base_msr) & both) == both;
}

static inline u64 lhv_lapic_default_base(const struct lhv_vcpu *vcpu)
{
	return APIC_DEFAULT_PHYS_BASE | MSR_IA32_APICBASE_ENABLE |
	       (vcpu->id == vcpu->vm->bsp_id ? MSR_IA32_APICBASE_BSP : 0);
}

/* The logical id that x2APIC mode derives from the physical one. */
static inline u32 lhv_x2apic_ldr(u32 id)
{
	return (id >> 4) << 16 | BIT(id & 0xf);
}

bool lhv_lapic_deliver_lvt(struct lhv_lapic *l, u32 reg);
/* The highest vector in service has ended. The vCPU's own thread. */
void lhv_lapic_eoi(struct lhv_lapic *l);
/* Has somebody beside the LAPIC to hear of the end of @vector? */
bool lhv_lapic_eoi_matters(const struct lhv_lapic *l, u8 vector);
void lhv_pv_eoi_offer(struct lhv_lapic *l, u8 vector, bool nested);
/* An error for the ESR, and its interrupt. Any context. */
void lhv_lapic_error(struct lhv_lapic *l, u32 bit);

/* ipi.c: room for an APIC with this id. vm->lock is held. */
int lhv_apic_map_extend(struct lhv_vm *vm, u32 id);
/* a vCPU came, or its APIC's id or mode changed. Any context. */
void lhv_apic_map_rebuild(struct lhv_vm *vm);
/* The ICR was written: @dest as the mode of @l has it. The vCPU's own thread. */
void lhv_apic_send_ipi(struct lhv_lapic *l, u32 icr, u32 dest);

/* lapic_timer.c: the vCPU's own thread */
void lhv_lapic_timer_init(struct lhv_lapic *l);
void lhv_lapic_timer_stop(struct lhv_lapic *l);
void lhv_lapic_timer_set_lvt(struct lhv_lapic *l, u32 lvtt);
void lhv_lapic_timer_set_count(struct lhv_lapic *l, u32 count);
void lhv_lapic_timer_set_divide(struct lhv_lapic *l, u32 tdcr);
u32 lhv_lapic_timer_count(struct lhv_lapic *l);
/* What KVM_GET_LAPIC says: not 0 while it has not been delivered, for 0 would be a timer that is over. */
u32 lhv_lapic_timer_state(struct lhv_lapic *l);
/* KVM_SET_LAPIC: go on counting from @count. */
void lhv_lapic_timer_restore(struct lhv_lapic *l, u32 lvtt, u32 count);

#endif
