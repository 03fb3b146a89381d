/* SPDX-License-Identifier: GPL-2.0 */
/* lhv irq/ - what the controllers tell each other; nobody outside irq/ includes this. */
#ifndef LHV_IRQ_INTERNAL_H
#define LHV_IRQ_INTERNAL_H

#include "../lhv.h"

/* ---- routing.c ---- */

/**
 * struct lhv_route - where one GSI goes
 * @gsi: the GSI
 * @type: KVM_IRQ_ROUTING_IRQCHIP or KVM_IRQ_ROUTING_MSI
 * @chip: KVM_IRQCHIP_*
 * @pin: pin of @chip
 * @addr_lo, @addr_hi, @data: MSI
 */
struct lhv_route {
	u32 gsi;
	u8 type, chip, pin;
	u32 addr_lo, addr_hi, data;
};

#define LHV_NO_GSI	(-1)

/**
 * struct lhv_routing - an immutable routing table
 * @nr_gsis: one more than the highest GSI
 * @nr_routes: entries in @routes
 * @chip_gsi: GSI of a pin, or LHV_NO_GSI
 * @pit_pins: IOAPIC pins that GSI 0, the PIT's, goes to
 * @first: @nr_gsis + 1 indexes into @routes
 * @routes: sorted by GSI
 */
struct lhv_routing {
	u32 nr_gsis, nr_routes;
	s16 chip_gsi[KVM_NR_IRQCHIPS][LHV_IOAPIC_PINS];
	u32 pit_pins;
	u16 *first;
	struct lhv_route routes[];
};

/* Pure: check @entries and build the table. ERR_PTR: -EINVAL, -ENOMEM. */
struct lhv_routing *lhv_routing_build(const struct kvm_irq_routing_entry *entries, u32 nr,
				      enum lhv_irqchip_mode mode, bool x2apic_ids);
int lhv_routing_set_default(struct lhv_vm *vm);	/* irq.lock held */
void lhv_routing_free(struct lhv_vm *vm);
/* The guest acknowledged (EOI) the interrupt of a pin. Any context; no irq lock held. */
void lhv_irq_acked(struct lhv_vm *vm, unsigned int chip, unsigned int pin);

/* Raise a GSI and lower it again. Context and result: as lhv_irq_line() that raises it. */
int lhv_irq_pulse(struct lhv_vm *vm, int source, u32 gsi);

/* ---- ipi.c ---- */

/**
 * struct lhv_apic_msg - a message on the APIC bus
 * @dest: destination, as the sender wrote it
 * @mode: APIC_DM_*
 * @vector: vector
 * @logical: @dest is logical
 * @level: level triggered
 * @lowest: to one of the addressed APICs only
 */
struct lhv_apic_msg {
	u32 dest;
	u16 mode;
	u8 vector;
	bool logical, level, lowest;
};

/* From @src (an IPI) or NULL. >0: how many took it, 0: coalesced, -1: nobody did. Any context. */
int lhv_apic_deliver(struct lhv_vm *vm, struct lhv_lapic *src, const struct lhv_apic_msg *msg);

/* ---- lapic.c ---- */

/* One message to one APIC. As lhv_apic_deliver(). */
int lhv_lapic_accept(struct lhv_lapic *lapic, const struct lhv_apic_msg *msg);
u8 lhv_lapic_ppr(struct lhv_lapic *lapic);

/* ---- pic.c ---- */

/*
 * The two 8259s, apart from locks and wake-ups: pure logic. Ports as the chips' address line:
 * @chip 0 master, 1 slave; @a0 0 or 1.
 */
struct lhv_pic_core {
	struct kvm_pic_state chip[2];
	bool output;		/* INT to the CPU */
	u16 acked;		/* pins whose in-service bit went away since last looked at */
};

void lhv_pic_core_reset(struct lhv_pic_core *pic);
int lhv_pic_core_set(struct lhv_pic_core *pic, unsigned int pin, bool level);
int lhv_pic_core_ack(struct lhv_pic_core *pic);
void lhv_pic_core_write(struct lhv_pic_core *pic, int chip, int a0, u8 val);
u8 lhv_pic_core_read(struct lhv_pic_core *pic, int chip, int a0);
void lhv_pic_core_update(struct lhv_pic_core *pic);

int lhv_pic_create(struct lhv_vm *vm);
void lhv_pic_destroy(struct lhv_vm *vm);
int lhv_pic_set(struct lhv_vm *vm, unsigned int pin, int source, bool level);
bool lhv_pic_output(struct lhv_vm *vm);
int lhv_pic_ack(struct lhv_vm *vm);
void lhv_pic_get_state(struct lhv_vm *vm, int chip, struct kvm_pic_state *s);
void lhv_pic_set_state(struct lhv_vm *vm, int chip, const struct kvm_pic_state *s);

/* ---- ioapic.c ---- */

struct lhv_ioapic {
	raw_spinlock_t lock;		/* everything below */
	struct lhv_vm *vm;		/* I */
	u32 select, id;
	u32 irr;			/* lines that are up; edges that arrived */
	u64 rte[LHV_IOAPIC_PINS];	/* redirection table entries */
	u8 levels[LHV_IOAPIC_PINS];	/* per pin: bit per source */
	u32 eois[LHV_IOAPIC_PINS];	/* EOIs in a row that found the line still up */
	u32 pit_pins;			/* edges whose EOI the PIT wants to know */
	DECLARE_BITMAP(eoi_vectors, 256); /* A read: vectors whose EOI matters here */
	struct hrtimer retry;		/* a line that storms is served again later */
	struct lhv_dev dev;		/* I */
};

/* Pure register file, lock held (or none, in tests). A write may deliver. */
u32 lhv_ioapic_reg_read(struct lhv_ioapic *ioapic, u32 index);
void lhv_ioapic_reg_write(struct lhv_ioapic *ioapic, u32 index, u32 val);

int lhv_ioapic_create(struct lhv_vm *vm);
void lhv_ioapic_destroy(struct lhv_vm *vm);
int lhv_ioapic_set(struct lhv_vm *vm, unsigned int pin, int source, bool level);
void lhv_ioapic_eoi(struct lhv_vm *vm, u8 vector, bool level);
bool lhv_ioapic_wants_eoi(struct lhv_vm *vm, u8 vector);	/* false without IOAPIC */
void lhv_ioapic_routing_changed(struct lhv_vm *vm, u32 pit_pins);
void lhv_ioapic_get_state(struct lhv_vm *vm, struct kvm_ioapic_state *s);
void lhv_ioapic_set_state(struct lhv_vm *vm, const struct kvm_ioapic_state *s);

/* ---- pit.c ---- */

/* Pure counting: what a channel shows at @now (ns). */
u16 lhv_pit_count(const struct kvm_pit_channel_state *c, s64 now);
bool lhv_pit_out(const struct kvm_pit_channel_state *c, s64 now);
u64 lhv_pit_period_ns(const struct kvm_pit_channel_state *c);
/* Accesses of the four ports; @now as above. True: channel 0 has to be re-armed. */
bool lhv_pit_core_write(struct kvm_pit_channel_state *ch, unsigned int port, u8 val, s64 now);
u8 lhv_pit_core_read(struct kvm_pit_channel_state *ch, unsigned int port, s64 now);

void lhv_pit_destroy(struct lhv_vm *vm);
void lhv_pit_acked(struct lhv_vm *vm);

/* ---- irqfd.c ---- */

struct lhv_resampler {
	struct lhv_vm *vm;
	u32 gsi;
	struct list_head link;		/* vm->irq.resamplers; readers under vm->irq.srcu */
	struct list_head irqfds;	/* readers under vm->irq.srcu */
	struct work_struct work;	/* where eventfds cannot be signalled at once */
};

void lhv_irqfd_destroy_all(struct lhv_vm *vm);
void lhv_resampler_acked(struct lhv_resampler *r);

#endif
