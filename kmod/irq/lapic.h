/* SPDX-License-Identifier: GPL-2.0 */
/* lhv irq/ - what lapic.c and lapic_timer.c share. */
#ifndef LHV_LAPIC_H
#define LHV_LAPIC_H

#include "internal.h"

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

bool lhv_lapic_deliver_lvt(struct lhv_lapic *l, u32 reg);

/* lapic_timer.c: the vCPU's own thread */
void lhv_lapic_timer_init(struct lhv_lapic *l);
void lhv_lapic_timer_stop(struct lhv_lapic *l);
void lhv_lapic_timer_set_lvt(struct lhv_lapic *l, u32 lvtt);
void lhv_lapic_timer_set_count(struct lhv_lapic *l, u32 count);
void lhv_lapic_timer_set_divide(struct lhv_lapic *l, u32 tdcr);
u32 lhv_lapic_timer_count(struct lhv_lapic *l);
/* KVM_SET_LAPIC: go on counting from @count. */
void lhv_lapic_timer_restore(struct lhv_lapic *l, u32 lvtt, u32 count);

#endif
