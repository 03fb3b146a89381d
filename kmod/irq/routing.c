// SPDX-License-Identifier: GPL-2.0
/*
 * lhv irq/ - GSI routing and MSI.
 *
 * The table is immutable: built, checked, published under vm->irq.srcu. A GSI may
 * go to one pin of each chip, or to one MSI.
 */
#include <linux/mm.h>
#include <linux/nospec.h>

#include "internal.h"

#define PIC_PINS		8

/* SDM Vol 3A "Message Signalled Interrupts" */
#define MSI_ADDR_LOGICAL	BIT(2)
#define MSI_ADDR_REDIRECT	BIT(3)
#define MSI_ADDR_DEST_SHIFT	12
#define MSI_ADDR_DEST_MASK	0xffU
#define MSI_ADDR_HI_RESERVED	0xffU	/* 32-bit ids: bits 31:8 are the id's */
#define MSI_DATA_VECTOR		0xffU
#define MSI_DATA_MODE		APIC_MODE_MASK
#define MSI_DATA_LEVEL		BIT(15)

/* ---- building a table ---- */

static int check_irqchip(const struct kvm_irq_routing_irqchip *e, enum lhv_irqchip_mode mode)
{
	if (mode != LHV_IRQCHIP_KERNEL)
		return -EINVAL;
	switch (e->irqchip) {
	case KVM_IRQCHIP_PIC_MASTER:
	case KVM_IRQCHIP_PIC_SLAVE:
		return e->pin < PIC_PINS ? 0 : -EINVAL;
	case KVM_IRQCHIP_IOAPIC:
		return e->pin < LHV_IOAPIC_PINS ? 0 : -EINVAL;
	default:
		return -EINVAL;
	}
}

static int check_entry(const struct kvm_irq_routing_entry *e, enum lhv_irqchip_mode mode,
		       bool x2apic_ids)
{
	/* KVM_MSI_VALID_DEVID is for hosts whose interrupt controllers know devices. */
	if (e->gsi >= LHV_MAX_ROUTES || e->flags)
		return -EINVAL;
	switch (e->type) {
	case KVM_IRQ_ROUTING_IRQCHIP:
		return check_irqchip(&e->u.irqchip, mode);
	case KVM_IRQ_ROUTING_MSI:
		return x2apic_ids && (e->u.msi.address_hi & MSI_ADDR_HI_RESERVED) ? -EINVAL : 0;
	default:
		return -EINVAL;
	}
}

/* May @new join the routes of its GSI? One pin per chip, or one MSI alone. */
static bool fits(const struct lhv_route *others, u32 n, const struct lhv_route *new)
{
	u32 i;

	for (i = 0; i < n; i++) {
		if (others[i].type != KVM_IRQ_ROUTING_IRQCHIP ||
		    new->type != KVM_IRQ_ROUTING_IRQCHIP || others[i].chip == new->chip)
			return false;
	}
	return true;
}

static struct lhv_route make_route(const struct kvm_irq_routing_entry *e)
{
	struct lhv_route r = { .gsi = array_index_nospec(e->gsi, LHV_MAX_ROUTES), .type = e->type };

	if (e->type == KVM_IRQ_ROUTING_IRQCHIP) {
		r.chip = array_index_nospec(e->u.irqchip.irqchip, KVM_NR_IRQCHIPS);
		r.pin = array_index_nospec(e->u.irqchip.pin, LHV_IOAPIC_PINS);
	} else {
		r.addr_lo = e->u.msi.address_lo;
		r.addr_hi = e->u.msi.address_hi;
		r.data = e->u.msi.data;
	}
	return r;
}

static int fill(struct lhv_routing *rt, const struct kvm_irq_routing_entry *entries, u32 nr)
{
	u32 i, gsi;

	/* Counting sort: first[g] is where the routes of g end, and after filling, begin. */
	for (i = 0; i < nr; i++)
		rt->first[array_index_nospec(entries[i].gsi, rt->nr_gsis)]++;
	for (gsi = 1; gsi <= rt->nr_gsis; gsi++)
		rt->first[gsi] += rt->first[gsi - 1];

	for (i = 0; i < nr; i++) {
		struct lhv_route r = make_route(&entries[i]);
		u32 at = --rt->first[r.gsi], end = at + 1;

		while (end < nr && rt->routes[end].type && rt->routes[end].gsi == r.gsi)
			end++;
		if (!fits(&rt->routes[at + 1], end - at - 1, &r))
			return -EINVAL;
		rt->routes[at] = r;
		if (r.type != KVM_IRQ_ROUTING_IRQCHIP)
			continue;
		rt->chip_gsi[r.chip][r.pin] = r.gsi;
		if (!r.gsi && r.chip == KVM_IRQCHIP_IOAPIC)
			rt->pit_pins |= BIT(r.pin);
	}
	return 0;
}

struct lhv_routing *lhv_routing_build(const struct kvm_irq_routing_entry *entries, u32 nr,
				      enum lhv_irqchip_mode mode, bool x2apic_ids)
{
	struct lhv_routing *rt;
	u32 i, nr_gsis = 0;
	int ret;

	if (nr > LHV_MAX_ROUTES)
		return ERR_PTR(-EINVAL);
	for (i = 0; i < nr; i++) {
		ret = check_entry(&entries[i], mode, x2apic_ids);
		if (ret)
			return ERR_PTR(ret);
		nr_gsis = max(nr_gsis, entries[i].gsi + 1);
	}

	rt = kvzalloc(struct_size(rt, routes, nr) + (nr_gsis + 1) * sizeof(*rt->first),
		      GFP_KERNEL_ACCOUNT);
	if (!rt)
		return ERR_PTR(-ENOMEM);
	rt->nr_gsis = nr_gsis;
	rt->nr_routes = nr;
	rt->first = (u16 *)&rt->routes[nr];
	memset(rt->chip_gsi, 0xff, sizeof(rt->chip_gsi));	/* LHV_NO_GSI */
	ret = fill(rt, entries, nr);
	if (ret) {
		kvfree(rt);
		return ERR_PTR(ret);
	}
	return rt;
}

/* ---- publishing ---- */

static int publish(struct lhv_vm *vm, const struct kvm_irq_routing_entry *entries, u32 nr,
		   enum lhv_irqchip_mode mode)
{
	struct lhv_routing *new, *old;

	lockdep_assert_held(&vm->irq.lock);
	new = lhv_routing_build(entries, nr, mode, vm->irq.x2apic_ids);
	if (IS_ERR(new))
		return PTR_ERR(new);
	old = rcu_replace_pointer(vm->irq.routing, new, lockdep_is_held(&vm->irq.lock));
	if (vm->irq.ioapic)
		lhv_ioapic_routing_changed(vm, new->pit_pins);
	if (old) {
		synchronize_srcu_expedited(&vm->irq.srcu);
		kvfree(old);
	}
	return 0;
}

int lhv_routing_set(struct lhv_vm *vm, const struct kvm_irq_routing_entry *entries, u32 nr,
		    u32 flags)
{
	if (flags || !lhv_has_lapic(vm))
		return -EINVAL;
	guard(mutex)(&vm->irq.lock);
	return publish(vm, entries, nr, vm->irq.mode);
}

/* GSI 0-15 to the 8259s and the IOAPIC, 16-23 to the IOAPIC: pin by pin. */
int lhv_routing_set_default(struct lhv_vm *vm)
{
	struct kvm_irq_routing_entry *entries, *e;
	u32 gsi;
	int ret;

	entries = kcalloc(LHV_IOAPIC_PINS + 2 * PIC_PINS, sizeof(*entries), GFP_KERNEL);
	if (!entries)
		return -ENOMEM;
	e = entries;
	for (gsi = 0; gsi < LHV_IOAPIC_PINS; gsi++) {
		*e++ = (struct kvm_irq_routing_entry){
			.gsi = gsi, .type = KVM_IRQ_ROUTING_IRQCHIP,
			.u.irqchip = { .irqchip = KVM_IRQCHIP_IOAPIC, .pin = gsi },
		};
		if (gsi >= 2 * PIC_PINS)
			continue;
		*e++ = (struct kvm_irq_routing_entry){
			.gsi = gsi, .type = KVM_IRQ_ROUTING_IRQCHIP,
			.u.irqchip = {
				.irqchip = gsi < PIC_PINS ? KVM_IRQCHIP_PIC_MASTER :
							    KVM_IRQCHIP_PIC_SLAVE,
				.pin = gsi % PIC_PINS,
			},
		};
	}
	ret = publish(vm, entries, e - entries, LHV_IRQCHIP_KERNEL);
	kfree(entries);
	return ret;
}

void lhv_routing_free(struct lhv_vm *vm)
{
	struct lhv_routing *rt = rcu_dereference_protected(vm->irq.routing, true);

	RCU_INIT_POINTER(vm->irq.routing, NULL);
	kvfree(rt);
}

/* ---- using it ---- */

static int deliver_msi(struct lhv_vm *vm, u32 addr_lo, u32 addr_hi, u32 data)
{
	struct lhv_apic_msg msg = {
		.dest = addr_lo >> MSI_ADDR_DEST_SHIFT & MSI_ADDR_DEST_MASK,
		.mode = data & MSI_DATA_MODE,
		.vector = data & MSI_DATA_VECTOR,
		.logical = addr_lo & MSI_ADDR_LOGICAL,
		.level = data & MSI_DATA_LEVEL,
		.lowest = (data & MSI_DATA_MODE) == APIC_DM_LOWEST || (addr_lo & MSI_ADDR_REDIRECT),
	};

	if (vm->irq.x2apic_ids) {
		if (addr_hi & MSI_ADDR_HI_RESERVED)
			return -1;
		msg.dest |= addr_hi & ~MSI_ADDR_HI_RESERVED;
	}
	return lhv_apic_deliver(vm, NULL, &msg);
}

static int set_route(struct lhv_vm *vm, const struct lhv_route *r, int source, bool level)
{
	if (r->type == KVM_IRQ_ROUTING_MSI)
		return level ? deliver_msi(vm, r->addr_lo, r->addr_hi, r->data) : -1;
	switch (r->chip) {
	case KVM_IRQCHIP_PIC_MASTER:
		return lhv_pic_set(vm, r->pin, source, level);
	case KVM_IRQCHIP_PIC_SLAVE:
		return lhv_pic_set(vm, PIC_PINS + r->pin, source, level);
	default:
		return lhv_ioapic_set(vm, r->pin, source, level);
	}
}

/* @pulse: lower it right after. An MSI has no level, so there is nothing to lower. */
static __always_inline int set_line(struct lhv_vm *vm, int source, u32 gsi, bool level, bool pulse)
{
	struct lhv_routing *rt;
	int idx, one, ret = -1;
	u32 i, end;

	idx = srcu_read_lock(&vm->irq.srcu);
	rt = srcu_dereference(vm->irq.routing, &vm->irq.srcu);
	if (rt && gsi < rt->nr_gsis) {
		gsi = array_index_nospec(gsi, rt->nr_gsis);
		end = rt->first[gsi + 1];
		for (i = rt->first[gsi]; i < end; i++) {
			one = set_route(vm, &rt->routes[i], source, level);
			if (one >= 0)
				ret = max(ret, 0) + one;
		}
		for (i = rt->first[gsi]; pulse && i < end; i++) {
			if (rt->routes[i].type != KVM_IRQ_ROUTING_MSI)
				set_route(vm, &rt->routes[i], source, false);
		}
	}
	srcu_read_unlock(&vm->irq.srcu, idx);
	return ret;
}

int lhv_irq_line(struct lhv_vm *vm, int source, u32 gsi, int level)
{
	return set_line(vm, source, gsi, level, false);
}

int lhv_irq_pulse(struct lhv_vm *vm, int source, u32 gsi)
{
	return set_line(vm, source, gsi, true, true);
}

int lhv_irq_msi(struct lhv_vm *vm, const struct kvm_msi *msi)
{
	if (msi->flags || !lhv_has_lapic(vm) ||
	    (vm->irq.x2apic_ids && (msi->address_hi & MSI_ADDR_HI_RESERVED)))
		return -EINVAL;
	/* To nobody: KVM's map of LAPICs says 0, too. */
	return max(deliver_msi(vm, msi->address_lo, msi->address_hi, msi->data), 0);
}

/* Under vm->irq.srcu. */
static void tell_acks(struct lhv_vm *vm, u32 gsi)
{
	struct lhv_ack *ack;
	bool lowered = false;

	list_for_each_entry_srcu(ack, &vm->irq.acks, link, srcu_read_lock_held(&vm->irq.srcu)) {
		if (ack->gsi != gsi)
			continue;
		if (!lowered)
			lhv_irq_line(vm, LHV_IRQ_SOURCE_ACK, gsi, 0);
		lowered = true;
		ack->fn(ack);
	}
}

void lhv_irq_acked(struct lhv_vm *vm, unsigned int chip, unsigned int pin)
{
	int idx = srcu_read_lock(&vm->irq.srcu), gsi = LHV_NO_GSI;
	struct lhv_resampler *r;
	struct lhv_routing *rt;

	rt = srcu_dereference(vm->irq.routing, &vm->irq.srcu);
	if (rt)
		gsi = rt->chip_gsi[chip][pin];
	if (gsi >= 0) {
		if (!gsi)
			lhv_pit_acked(vm);
		list_for_each_entry_srcu(r, &vm->irq.resamplers, link,
					 srcu_read_lock_held(&vm->irq.srcu)) {
			if (r->gsi == gsi)
				lhv_resampler_acked(r);
		}
		tell_acks(vm, gsi);
	}
	srcu_read_unlock(&vm->irq.srcu, idx);
}

/* See irq.h. */
void lhv_ack_add(struct lhv_vm *vm, struct lhv_ack *ack)
{
	ack->vm = vm;
	mutex_lock(&vm->irq.lock);
	list_add_rcu(&ack->link, &vm->irq.acks);
	mutex_unlock(&vm->irq.lock);
}

void lhv_ack_lower(struct lhv_ack *ack)
{
	int idx = srcu_read_lock(&ack->vm->irq.srcu);

	lhv_irq_line(ack->vm, LHV_IRQ_SOURCE_ACK, ack->gsi, 0);
	tell_acks(ack->vm, ack->gsi);
	srcu_read_unlock(&ack->vm->irq.srcu, idx);
}

void lhv_ack_remove(struct lhv_ack *ack)
{
	mutex_lock(&ack->vm->irq.lock);
	list_del_rcu(&ack->link);
	mutex_unlock(&ack->vm->irq.lock);
	synchronize_srcu_expedited(&ack->vm->irq.srcu);
}
