// SPDX-License-Identifier: GPL-2.0
/*
 * lhv irq/ - messages between APICs: who is addressed, and by which APIC id.
 *
 * What enters: a guest's write to the ICR; messages of devices (MSI, IOAPIC), from any
 * context. What leaves: lhv_lapic_accept() of every APIC that is addressed.
 *
 * SDM Vol 3A "Issuing Interprocessor Interrupts", "Determining IPI Destination".
 */
#include <linux/nospec.h>

#include "lapic.h"

#define X2APIC_BROADCAST	0xffffffffU
#define ICR_SHORTHAND		APIC_DEST_ALLBUT

static u32 xapic_id(const struct lhv_lapic *l)
{
	return lhv_lapic_reg(l, APIC_ID) >> 24;
}

/*
 * An id that xAPIC's eight bits do not hold is an x2APIC's, before the APIC is one: so another CPU
 * reaches it to start it.
 */
static u32 physical_id(const struct lhv_lapic *l)
{
	return lhv_lapic_x2(l) || l->vcpu->id > LHV_XAPIC_BROADCAST ? l->vcpu->id : xapic_id(l);
}

/* See lapic.h. */
int lhv_apic_map_extend(struct lhv_vm *vm, u32 id)
{
	struct lhv_lapic ***table = &vm->irq.map.phys[id / LHV_APIC_TABLE], **new;

	lockdep_assert_held(&vm->lock);
	if (*table)
		return 0;
	new = kcalloc(LHV_APIC_TABLE, sizeof(*new), GFP_KERNEL_ACCOUNT);
	if (!new)
		return -ENOMEM;
	/* Whoever sees the table sees it empty. */
	smp_store_release(table, new);
	return 0;
}

/* @id: below LHV_MAX_VCPUS, under speculation, too */
static struct lhv_lapic *look_up(const struct lhv_apic_map *map, u32 id)
{
	struct lhv_lapic **table = READ_ONCE(map->phys[id / LHV_APIC_TABLE]);

	return table ? READ_ONCE(table[id % LHV_APIC_TABLE]) : NULL;
}

static void vacate(struct lhv_lapic **table, u32 first)
{
	u32 i;

	for (i = 0; i < LHV_APIC_TABLE; i++) {
		struct lhv_lapic *l = table[i];

		if (l && (!lhv_lapic_hw_enabled(l) || physical_id(l) != first + i))
			WRITE_ONCE(table[i], NULL);
	}
}

/* See lapic.h. */
void lhv_apic_map_rebuild(struct lhv_vm *vm)
{
	struct lhv_apic_map *map = &vm->irq.map;
	int i, nr = lhv_nr_vcpus(vm);
	bool irregular = false, all_x2 = true;
	struct lhv_lapic **place, **table;
	struct lhv_vcpu *vcpu;
	unsigned int id;
	unsigned long flags;

	raw_spin_lock_irqsave(&map->lock, flags);

	/* Vacate what changed first; whoever looks meanwhile finds the old or the new. */
	for (i = 0; i < ARRAY_SIZE(map->phys); i++) {
		/* Another one may come meanwhile, for a vCPU that is not published yet. */
		table = READ_ONCE(map->phys[i]);
		if (table)
			vacate(table, i * LHV_APIC_TABLE);
	}
	for (i = 0; i < nr; i++) {
		vcpu = lhv_vcpu_at(vm, i);
		if (!vcpu->lapic || !lhv_lapic_hw_enabled(vcpu->lapic))
			continue;
		all_x2 &= lhv_lapic_x2(vcpu->lapic);
		id = physical_id(vcpu->lapic);
		place = &map->phys[id / LHV_APIC_TABLE][id % LHV_APIC_TABLE];
		if (*place && *place != vcpu->lapic)
			irregular = true;
		else
			WRITE_ONCE(*place, vcpu->lapic);
	}
	WRITE_ONCE(map->irregular, irregular);
	WRITE_ONCE(map->all_x2apic, all_x2);
	WRITE_ONCE(map->nr_vcpus, nr);
	raw_spin_unlock_irqrestore(&map->lock, flags);
}

void lhv_lapic_published(struct lhv_vm *vm)
{
	if (lhv_has_lapic(vm))
		lhv_apic_map_rebuild(vm);
}

/* SDM Vol 3A "Determining IPI Destination", and KVM_CAP_X2APIC_API for messages of devices. */
static bool addressed(struct lhv_vm *vm, struct lhv_lapic *l, struct lhv_lapic *src,
		      const struct lhv_apic_msg *msg)
{
	u32 dest = msg->dest, ldr;

	if (!lhv_lapic_hw_enabled(l))
		return false;

	if (lhv_lapic_x2(l)) {
		if (!src && dest == LHV_XAPIC_BROADCAST && !vm->irq.x2apic_no_broadcast_quirk)
			return true;
		if (dest == X2APIC_BROADCAST)
			return true;
		if (!msg->logical)
			return dest == l->vcpu->id;
		ldr = lhv_x2apic_ldr(l->vcpu->id);
		return ldr >> 16 == dest >> 16 && (ldr & dest & 0xffff);
	}

	if (dest == X2APIC_BROADCAST || dest == LHV_XAPIC_BROADCAST)
		return true;
	if (!msg->logical)
		return dest == physical_id(l);
	ldr = GET_APIC_LOGICAL_ID(lhv_lapic_reg(l, APIC_LDR));
	if (lhv_lapic_reg(l, APIC_DFR) == APIC_DFR_FLAT)
		return ldr & dest;
	return ldr >> 4 == dest >> 4 && (ldr & dest & 0xf);
}

/*
 * One of the addressed APICs. Which one is model specific; hashing the vector spreads
 * devices over vCPUs and keeps each on one.
 */
static int deliver_lowest(struct lhv_vm *vm, struct lhv_lapic *src, const struct lhv_apic_msg *msg)
{
	struct lhv_lapic *chosen = NULL;
	unsigned int n = 0, want;
	struct lhv_vcpu *vcpu;
	int i;

	lhv_for_each_vcpu(i, vcpu, vm) {
		if (vcpu->lapic && READ_ONCE(vcpu->lapic->sw_enabled) &&
		    addressed(vm, vcpu->lapic, src, msg))
			n++;
	}
	if (!n)
		return -1;

	want = msg->vector % n;
	lhv_for_each_vcpu(i, vcpu, vm) {
		if (!vcpu->lapic || !READ_ONCE(vcpu->lapic->sw_enabled) ||
		    !addressed(vm, vcpu->lapic, src, msg))
			continue;
		chosen = vcpu->lapic;
		if (!want--)
			break;
	}
	return chosen ? lhv_lapic_accept(chosen, msg) : -1;
}

static void add_result(int *sum, int one)
{
	if (one >= 0)
		*sum = max(*sum, 0) + one;
}

static int deliver_x2apic_cluster(const struct lhv_apic_map *map, const struct lhv_apic_msg *msg)
{
	unsigned long members = msg->dest & 0xffff;
	unsigned int bit, id;
	int sum = -1;

	for_each_set_bit(bit, &members, 16) {
		struct lhv_lapic *l;

		id = (msg->dest >> 16) * 16 + bit;
		if (id >= LHV_MAX_VCPUS)
			break;
		l = look_up(map, array_index_nospec(id, LHV_MAX_VCPUS));
		if (l)
			add_result(&sum, lhv_lapic_accept(l, msg));
	}
	return sum;
}

int lhv_apic_deliver(struct lhv_vm *vm, struct lhv_lapic *src, const struct lhv_apic_msg *msg)
{
	struct lhv_apic_map *map = &vm->irq.map;
	struct lhv_vcpu *vcpu;
	int i, sum = -1;

	if (unlikely(READ_ONCE(map->nr_vcpus) != lhv_nr_vcpus(vm)))
		lhv_apic_map_rebuild(vm);

	if (!msg->logical && msg->dest < LHV_XAPIC_BROADCAST && !READ_ONCE(map->irregular)) {
		u32 id = array_index_nospec(msg->dest, LHV_XAPIC_BROADCAST);
		struct lhv_lapic *l = look_up(map, id);

		return l ? lhv_lapic_accept(l, msg) : -1;
	}
	if (msg->lowest)
		return deliver_lowest(vm, src, msg);
	if (msg->logical && READ_ONCE(map->all_x2apic) && msg->dest >> 16 != 0xffff &&
	    (src || msg->dest != LHV_XAPIC_BROADCAST))
		return deliver_x2apic_cluster(map, msg);

	lhv_for_each_vcpu(i, vcpu, vm) {
		if (vcpu->lapic && addressed(vm, vcpu->lapic, src, msg))
			add_result(&sum, lhv_lapic_accept(vcpu->lapic, msg));
	}
	return sum;
}

/* See lapic.h. */
void lhv_apic_send_ipi(struct lhv_lapic *l, u32 icr, u32 dest)
{
	struct lhv_apic_msg msg = {
		.dest = dest,
		.mode = icr & APIC_MODE_MASK,
		.vector = icr & APIC_VECTOR_MASK,
		.logical = icr & APIC_DEST_LOGICAL,
		.lowest = (icr & APIC_MODE_MASK) == APIC_DM_LOWEST,
	};
	struct lhv_vcpu *vcpu;
	int i;

	/* "INIT level de-assert" only resets arbitration ids, which are gone. */
	if (msg.mode == APIC_DM_INIT && (icr & APIC_INT_LEVELTRIG) && !(icr & APIC_INT_ASSERT))
		return;
	if ((msg.mode == APIC_DM_FIXED || msg.lowest) && msg.vector < LHV_FIRST_VECTOR) {
		lhv_lapic_error(l, APIC_ESR_SENDILL);
		return;
	}

	switch (icr & ICR_SHORTHAND) {
	case 0:
		lhv_apic_deliver(l->vcpu->vm, l, &msg);
		return;
	case APIC_DEST_SELF:
		lhv_lapic_accept(l, &msg);
		return;
	}
	lhv_for_each_vcpu(i, vcpu, l->vcpu->vm) {
		if (!vcpu->lapic || !lhv_lapic_hw_enabled(vcpu->lapic))
			continue;
		if (vcpu->lapic == l && (icr & ICR_SHORTHAND) == APIC_DEST_ALLBUT)
			continue;
		lhv_lapic_accept(vcpu->lapic, &msg);
	}
}

/* See irq.h. */
bool lhv_apic_send(struct lhv_vcpu *vcpu, u32 id, u32 icr)
{
	struct lhv_apic_msg msg = {
		.dest = id,
		.mode = icr & APIC_MODE_MASK,
		.vector = icr & APIC_VECTOR_MASK,
	};

	return lhv_apic_deliver(vcpu->vm, vcpu->lapic, &msg) > 0;
}
