// SPDX-License-Identifier: GPL-2.0
/* The in-kernel interrupt controllers' ioctls, eventfds, routing, clock. */
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "vm.h"

TEST(create_irqchip)
{
	struct vm *vm = vm_create(0);

	CHECK_OK(ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0));
	CHECK_ERR(ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0), EEXIST);
	vcpu_add(vm, 0);
	CHECK_ERR(ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0), EEXIST);

	vm = vm_create(0);
	vcpu_add(vm, 0);
	CHECK_ERR(ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0), EINVAL);
}

TEST(create_pit2)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	struct vm *vm = vm_create(0);

	/* It needs the irqchip; KVM found out in 6.13. */
	if (!on_kvm())
		CHECK_ERR(ioctl(vm->fd, KVM_CREATE_PIT2, &pit), ENOENT);
	vm = vm_create(0);
	CHECK_OK(ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0));
	CHECK_ERR(ioctl(vm->fd, KVM_CREATE_PIT2, NULL), EFAULT);
	CHECK_OK(ioctl(vm->fd, KVM_CREATE_PIT2, &pit));
	CHECK_ERR(ioctl(vm->fd, KVM_CREATE_PIT2, &pit), EEXIST);
}

TEST(irqchip_state)
{
	struct vm *vm = vm_create(VM_IRQCHIP), *none = vm_create(0);
	struct kvm_irqchip chip = {}, back = {};
	int i;

	for (i = KVM_IRQCHIP_PIC_MASTER; i <= KVM_IRQCHIP_IOAPIC; i++) {
		chip.chip_id = i;
		CHECK_ERR(ioctl(none->fd, KVM_GET_IRQCHIP, &chip), ENXIO);
		CHECK_OK(ioctl(vm->fd, KVM_GET_IRQCHIP, &chip));
		CHECK_EQ(chip.chip_id, i);
		CHECK_OK(ioctl(vm->fd, KVM_SET_IRQCHIP, &chip));
	}
	CHECK_EQ(chip.chip.ioapic.base_address, 0xfec00000);
	for (i = 0; i < KVM_IOAPIC_NUM_PINS; i++)
		CHECK_EQ(chip.chip.ioapic.redirtbl[i].fields.mask, 1);
	chip.chip.ioapic.redirtbl[5].fields.mask = 0;
	chip.chip.ioapic.redirtbl[5].fields.vector = 0x55;
	chip.chip.ioapic.redirtbl[5].fields.trig_mode = 1;
	CHECK_OK(ioctl(vm->fd, KVM_SET_IRQCHIP, &chip));
	back.chip_id = KVM_IRQCHIP_IOAPIC;
	CHECK_OK(ioctl(vm->fd, KVM_GET_IRQCHIP, &back));
	CHECK_EQ(back.chip.ioapic.redirtbl[5].bits, chip.chip.ioapic.redirtbl[5].bits);

	chip.chip_id = KVM_IRQCHIP_PIC_SLAVE;
	CHECK_OK(ioctl(vm->fd, KVM_GET_IRQCHIP, &chip));
	chip.chip.pic.imr = 0x5a;
	chip.chip.pic.irq_base = 0x70;
	CHECK_OK(ioctl(vm->fd, KVM_SET_IRQCHIP, &chip));
	back.chip_id = KVM_IRQCHIP_PIC_SLAVE;
	CHECK_OK(ioctl(vm->fd, KVM_GET_IRQCHIP, &back));
	CHECK_EQ(back.chip.pic.imr, 0x5a);
	CHECK_EQ(back.chip.pic.irq_base, 0x70);

	chip.chip_id = 3;
	CHECK_ERR(ioctl(vm->fd, KVM_GET_IRQCHIP, &chip), EINVAL);
	CHECK_ERR(ioctl(vm->fd, KVM_SET_IRQCHIP, &chip), EINVAL);
	CHECK_ERR(ioctl(vm->fd, KVM_GET_IRQCHIP, NULL), EFAULT);
}

TEST(pit2_state)
{
	struct vm *vm = vm_create(VM_IRQCHIP | VM_PIT), *none = vm_create(VM_IRQCHIP);
	struct kvm_pit_state2 s, back;

	CHECK_ERR(ioctl(none->fd, KVM_GET_PIT2, &s), ENXIO);
	CHECK_OK(ioctl(vm->fd, KVM_GET_PIT2, &s));
	s.channels[2].count = 1234;
	s.channels[2].mode = 3;
	s.channels[2].gate = 1;
	CHECK_OK(ioctl(vm->fd, KVM_SET_PIT2, &s));
	CHECK_OK(ioctl(vm->fd, KVM_GET_PIT2, &back));
	CHECK_EQ(back.channels[2].count, 1234);
	CHECK_EQ(back.channels[2].mode, 3);
	CHECK_ERR(ioctl(vm->fd, KVM_SET_PIT2, NULL), EFAULT);
}

struct routes {
	struct kvm_irq_routing head;
	struct kvm_irq_routing_entry e[32];
};

TEST(gsi_routing)
{
	struct vm *vm = vm_create(VM_IRQCHIP);
	struct routes r;
	int i;

	memset(&r, 0, sizeof(r));
	for (i = 0; i < 24; i++) {
		r.e[i].gsi = i;
		r.e[i].type = KVM_IRQ_ROUTING_IRQCHIP;
		r.e[i].u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
		r.e[i].u.irqchip.pin = i;
	}
	r.head.nr = 24;
	CHECK_OK(ioctl(vm->fd, KVM_SET_GSI_ROUTING, &r.head));
	/* The same GSI to the PIC too */
	r.e[24].gsi = 3;
	r.e[24].type = KVM_IRQ_ROUTING_IRQCHIP;
	r.e[24].u.irqchip.irqchip = KVM_IRQCHIP_PIC_MASTER;
	r.e[24].u.irqchip.pin = 3;
	r.e[25].gsi = 100;
	r.e[25].type = KVM_IRQ_ROUTING_MSI;
	r.e[25].u.msi.address_lo = 0xfee00000;
	r.e[25].u.msi.data = 0x41;
	r.head.nr = 26;
	CHECK_OK(ioctl(vm->fd, KVM_SET_GSI_ROUTING, &r.head));
	/* None at all */
	r.head.nr = 0;
	CHECK_OK(ioctl(vm->fd, KVM_SET_GSI_ROUTING, &r.head));

	r.head.nr = 26;
	r.head.flags = 1;
	CHECK_ERR(ioctl(vm->fd, KVM_SET_GSI_ROUTING, &r.head), EINVAL);
	r.head.flags = 0;
	r.head.nr = 100000;
	CHECK_ERR(ioctl(vm->fd, KVM_SET_GSI_ROUTING, &r.head), EINVAL);
	r.head.nr = 26;
#define BAD(change)							\
	do {								\
		struct routes good = r;					\
									\
		change;							\
		CHECK_ERR(ioctl(vm->fd, KVM_SET_GSI_ROUTING, &r.head), EINVAL); \
		r = good;						\
	} while (0)
	BAD(r.e[25].type = 99);
	BAD(r.e[25].flags = 1u << 31);
	BAD(r.e[25].gsi = 1u << 20);
	BAD(r.e[24].u.irqchip.irqchip = 9);
	BAD(r.e[24].u.irqchip.pin = 8);			/* a PIC has 8 */
	BAD(r.e[23].u.irqchip.pin = 24);
	BAD(r.e[24].u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC);	/* one chip twice for a GSI */
	BAD((r.e[24].gsi = 100, r.e[24].type = KVM_IRQ_ROUTING_MSI));
#undef BAD
	CHECK_ERR(ioctl(vm->fd, KVM_SET_GSI_ROUTING, NULL), EFAULT);
	CHECK_OK(ioctl(vm->fd, KVM_SET_GSI_ROUTING, &r.head));
}

TEST(gsi_routing_no_irqchip)
{
	struct routes r = { .head.nr = 0 };

	CHECK_ERR(ioctl(vm_create(0)->fd, KVM_SET_GSI_ROUTING, &r.head), EINVAL);
}

TEST(irq_line)
{
	struct vm *vm = vm_create(VM_IRQCHIP), *none = vm_create(0);
	struct kvm_irq_level line = { .irq = 4, .level = 1 };

	vcpu_add(vm, 0);
	CHECK_ERR(ioctl(none->fd, KVM_IRQ_LINE, &line), ENXIO);
	CHECK_OK(ioctl(vm->fd, KVM_IRQ_LINE, &line));
	CHECK_OK(ioctl(vm->fd, KVM_IRQ_LINE_STATUS, &line));
	line.irq = 4;
	line.level = 0;
	CHECK_OK(ioctl(vm->fd, KVM_IRQ_LINE, &line));
	/* Nothing is routed there. */
	line.irq = 1000;
	line.level = 1;
	CHECK_OK(ioctl(vm->fd, KVM_IRQ_LINE, &line));
	CHECK_OK(ioctl(vm->fd, KVM_IRQ_LINE_STATUS, &line));
	CHECK_EQ((int)line.status, -1);
	line.irq = ~0u;
	line.level = 1;
	CHECK_OK(ioctl(vm->fd, KVM_IRQ_LINE, &line));
	CHECK_ERR(ioctl(vm->fd, KVM_IRQ_LINE, NULL), EFAULT);
}

TEST(signal_msi)
{
	struct vm *vm = vm_create(VM_IRQCHIP), *none = vm_create(0);
	struct kvm_msi msi = { .address_lo = 0xfee00000, .data = 0x41 };

	vcpu_add(vm, 0);
	CHECK_ERR(ioctl(none->fd, KVM_SIGNAL_MSI, &msi), EINVAL);
	/* The LAPIC is off by software: it is there, and does not take it. */
	CHECK_EQ(ioctl(vm->fd, KVM_SIGNAL_MSI, &msi), 0);
	msi.address_lo |= 5 << 12;	/* nobody's */
	CHECK_EQ(ioctl(vm->fd, KVM_SIGNAL_MSI, &msi), 0);
	msi.flags = 1u << 31;
	CHECK_ERR(ioctl(vm->fd, KVM_SIGNAL_MSI, &msi), EINVAL);
	CHECK_ERR(ioctl(vm->fd, KVM_SIGNAL_MSI, NULL), EFAULT);
}

TEST(irqfd)
{
	struct vm *vm = vm_create(VM_IRQCHIP), *none = vm_create(0);
	int fd = CHECK_OK(eventfd(0, EFD_NONBLOCK)), fd2 = CHECK_OK(eventfd(0, EFD_NONBLOCK));
	struct kvm_irqfd irqfd = { .fd = fd, .gsi = 5 };
	uint64_t v;
	int i;

	CHECK_ERR(ioctl(none->fd, KVM_IRQFD, &irqfd), EINVAL);
	CHECK_OK(ioctl(vm->fd, KVM_IRQFD, &irqfd));
	/* One eventfd, one GSI; one GSI, many eventfds */
	CHECK_ERR(ioctl(vm->fd, KVM_IRQFD, &irqfd), EBUSY);
	irqfd.gsi = 6;
	CHECK_ERR(ioctl(vm->fd, KVM_IRQFD, &irqfd), EBUSY);
	irqfd.gsi = 5;
	irqfd.fd = fd2;
	CHECK_OK(ioctl(vm->fd, KVM_IRQFD, &irqfd));
	/* The module consumes what is written. */
	v = 1;
	CHECK_OK(write(fd, &v, sizeof(v)));
	CHECK_ERR(read(fd, &v, sizeof(v)), EAGAIN);

	irqfd.fd = fd;
	irqfd.flags = KVM_IRQFD_FLAG_DEASSIGN;
	CHECK_OK(ioctl(vm->fd, KVM_IRQFD, &irqfd));
	CHECK_OK(ioctl(vm->fd, KVM_IRQFD, &irqfd));	/* no matter */
	CHECK_OK(ioctl(none->fd, KVM_IRQFD, &irqfd));
	v = 1;
	CHECK_OK(write(fd, &v, sizeof(v)));
	CHECK_OK(read(fd, &v, sizeof(v)));

	irqfd.flags = 0;
	irqfd.fd = -1;
	CHECK_ERR(ioctl(vm->fd, KVM_IRQFD, &irqfd), EBADF);
	irqfd.fd = vm->fd;
	CHECK_ERR(ioctl(vm->fd, KVM_IRQFD, &irqfd), EINVAL);
	irqfd.fd = fd;
	irqfd.flags = 1u << 31;
	CHECK_ERR(ioctl(vm->fd, KVM_IRQFD, &irqfd), EINVAL);
	irqfd.flags = 0;
	irqfd.gsi = 1u << 20;
	if (!on_kvm())		/* KVM takes any number */
		CHECK_ERR(ioctl(vm->fd, KVM_IRQFD, &irqfd), EINVAL);
	CHECK_ERR(ioctl(vm->fd, KVM_IRQFD, NULL), EFAULT);

	/* Over and over, then the eventfd dies first, then the VM with one still bound. */
	irqfd.gsi = 7;
	for (i = 0; i < 50; i++) {
		irqfd.flags = 0;
		CHECK_OK(ioctl(vm->fd, KVM_IRQFD, &irqfd));
		irqfd.flags = KVM_IRQFD_FLAG_DEASSIGN;
		CHECK_OK(ioctl(vm->fd, KVM_IRQFD, &irqfd));
	}
	irqfd.flags = 0;
	CHECK_OK(ioctl(vm->fd, KVM_IRQFD, &irqfd));
	close(fd);
	close(vm->fd);
	close(fd2);
}

TEST(irqfd_resample)
{
	struct vm *vm = vm_create(VM_IRQCHIP);
	int fd = CHECK_OK(eventfd(0, 0)), ack = CHECK_OK(eventfd(0, 0));
	struct kvm_irqfd irqfd = {
		.fd = fd, .gsi = 5, .flags = KVM_IRQFD_FLAG_RESAMPLE, .resamplefd = ack,
	};

	need_cap(vm->fd, KVM_CAP_IRQFD_RESAMPLE);
	CHECK_OK(ioctl(vm->fd, KVM_IRQFD, &irqfd));
	irqfd.fd = CHECK_OK(eventfd(0, 0));
	irqfd.resamplefd = -1;
	CHECK_ERR(ioctl(vm->fd, KVM_IRQFD, &irqfd), EBADF);
	irqfd.fd = fd;
	irqfd.resamplefd = ack;
	irqfd.flags = KVM_IRQFD_FLAG_DEASSIGN;
	CHECK_OK(ioctl(vm->fd, KVM_IRQFD, &irqfd));
}

TEST(ioeventfd)
{
	struct vm *vm = vm_create(0);
	int fd = CHECK_OK(eventfd(0, 0)), fd2 = CHECK_OK(eventfd(0, 0));
	struct kvm_ioeventfd io = { .addr = 0x1000, .len = 4, .fd = fd };
	int i;

	CHECK_OK(ioctl(vm->fd, KVM_IOEVENTFD, &io));
	io.fd = fd2;
	CHECK_ERR(ioctl(vm->fd, KVM_IOEVENTFD, &io), EEXIST);
	/* With data to match, the same address is fine again, and again with another. */
	io.addr = 0x2000;
	io.flags = KVM_IOEVENTFD_FLAG_DATAMATCH;
	io.datamatch = 1;
	CHECK_OK(ioctl(vm->fd, KVM_IOEVENTFD, &io));
	CHECK_ERR(ioctl(vm->fd, KVM_IOEVENTFD, &io), EEXIST);
	io.datamatch = 2;
	CHECK_OK(ioctl(vm->fd, KVM_IOEVENTFD, &io));
	/* A port of the same number is another thing. */
	io.flags |= KVM_IOEVENTFD_FLAG_PIO;
	CHECK_OK(ioctl(vm->fd, KVM_IOEVENTFD, &io));

	io.flags = 1u << 31;
	CHECK_ERR(ioctl(vm->fd, KVM_IOEVENTFD, &io), EINVAL);
	io.flags = 0;
	io.addr = 0x3000;
	io.len = 3;
	CHECK_ERR(ioctl(vm->fd, KVM_IOEVENTFD, &io), EINVAL);
	io.len = 16;
	CHECK_ERR(ioctl(vm->fd, KVM_IOEVENTFD, &io), EINVAL);
	io.len = 8;
	io.addr = -4ull;	/* wraps */
	CHECK_ERR(ioctl(vm->fd, KVM_IOEVENTFD, &io), EINVAL);
	io.addr = 0x3000;
	io.len = 0;
	io.flags = KVM_IOEVENTFD_FLAG_DATAMATCH;	/* nothing to match with */
	CHECK_ERR(ioctl(vm->fd, KVM_IOEVENTFD, &io), EINVAL);
	io.flags = 0;
	CHECK_OK(ioctl(vm->fd, KVM_IOEVENTFD, &io));	/* any length */
	io.fd = -1;
	io.addr = 0x4000;
	CHECK_ERR(ioctl(vm->fd, KVM_IOEVENTFD, &io), EBADF);
	io.fd = vm->fd;
	CHECK_ERR(ioctl(vm->fd, KVM_IOEVENTFD, &io), EINVAL);
	CHECK_ERR(ioctl(vm->fd, KVM_IOEVENTFD, NULL), EFAULT);

	/* Deassign: only the very same */
	io = (struct kvm_ioeventfd){ .addr = 0x1000, .len = 4, .fd = fd2,
				     .flags = KVM_IOEVENTFD_FLAG_DEASSIGN };
	CHECK_ERR(ioctl(vm->fd, KVM_IOEVENTFD, &io), ENOENT);
	io.fd = fd;
	io.len = 2;
	CHECK_ERR(ioctl(vm->fd, KVM_IOEVENTFD, &io), ENOENT);
	io.len = 4;
	CHECK_OK(ioctl(vm->fd, KVM_IOEVENTFD, &io));
	CHECK_ERR(ioctl(vm->fd, KVM_IOEVENTFD, &io), ENOENT);
	for (i = 0; i < 50; i++) {
		io.flags = 0;
		CHECK_OK(ioctl(vm->fd, KVM_IOEVENTFD, &io));
		io.flags = KVM_IOEVENTFD_FLAG_DEASSIGN;
		CHECK_OK(ioctl(vm->fd, KVM_IOEVENTFD, &io));
	}
}

TEST(coalesced_mmio)
{
	struct vm *vm = vm_create(0);
	struct kvm_coalesced_mmio_zone z = { .addr = 0xa0000, .size = 0x20000 };
	int page = vm_cap(vm, KVM_CAP_COALESCED_MMIO);

	CHECK(page > 0);
	CHECK_OK(ioctl(vm->fd, KVM_REGISTER_COALESCED_MMIO, &z));
	CHECK_OK(ioctl(vm->fd, KVM_UNREGISTER_COALESCED_MMIO, &z));
	CHECK_OK(ioctl(vm->fd, KVM_UNREGISTER_COALESCED_MMIO, &z));
	z.pio = 2;
	CHECK_ERR(ioctl(vm->fd, KVM_UNREGISTER_COALESCED_MMIO, &z), EINVAL);
	CHECK_ERR(ioctl(vm->fd, KVM_REGISTER_COALESCED_MMIO, &z), EINVAL);
	CHECK_ERR(ioctl(vm->fd, KVM_REGISTER_COALESCED_MMIO, NULL), EFAULT);
}

static uint64_t monotonic_raw(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

TEST(clock)
{
	struct vm *vm = vm_create(0);
	struct kvm_clock_data c = {}, later = {};
	uint64_t start, took;

	vcpu_set_cpuid(vcpu_add(vm, 0));
	CHECK_OK(ioctl(vm->fd, KVM_GET_CLOCK, &c));
	CHECK_OK(ioctl(vm->fd, KVM_GET_CLOCK, &later));
	CHECK(later.clock >= c.clock);

	start = monotonic_raw();
	c = (struct kvm_clock_data){ .clock = 1000000000000ull };
	CHECK_OK(ioctl(vm->fd, KVM_SET_CLOCK, &c));
	CHECK_OK(ioctl(vm->fd, KVM_GET_CLOCK, &later));
	took = monotonic_raw() - start;
	CHECK(later.clock >= c.clock && later.clock <= c.clock + took + 1000000);
	/* Backwards too */
	c.clock = 5000000000ull;
	CHECK_OK(ioctl(vm->fd, KVM_SET_CLOCK, &c));
	CHECK_OK(ioctl(vm->fd, KVM_GET_CLOCK, &later));
	CHECK(later.clock >= c.clock && later.clock < c.clock + 5000000000ull);
	c.flags = 1u << 31;
	CHECK_ERR(ioctl(vm->fd, KVM_SET_CLOCK, &c), EINVAL);
	CHECK_ERR(ioctl(vm->fd, KVM_GET_CLOCK, NULL), EFAULT);
}

/* KVM_CLOCK_REALTIME: what passed between the reading and the setting is added. */

#define SECOND	1000000000ull

static uint64_t realtime(void)
{
	struct timespec t;

	CHECK_OK(clock_gettime(CLOCK_REALTIME, &t));
	return t.tv_sec * SECOND + t.tv_nsec;
}

/* Set with @flags to what it was @real ns from now, the clock is @ahead of that. */
static void expect_clock(struct vm *vm, uint32_t flags, int64_t real, uint64_t ahead)
{
	struct kvm_clock_data c = { .clock = 1000 * SECOND, .flags = flags }, now = {};
	uint64_t start = realtime(), took;

	c.realtime = start + real;
	CHECK_OK(ioctl(vm->fd, KVM_SET_CLOCK, &c));
	CHECK_OK(ioctl(vm->fd, KVM_GET_CLOCK, &now));
	took = realtime() - start;
	CHECK(now.clock >= c.clock + ahead);
	CHECK(now.clock <= c.clock + ahead + took + SECOND / 1000);
}

static bool host_trusts_tsc(void)
{
	char name[16] = "";
	FILE *f = fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "r");

	CHECK(f && fgets(name, sizeof(name), f));
	fclose(f);
	return !strcmp(name, "tsc\n");
}

TEST(clock_realtime)
{
	struct vm *vm = vm_create(0);
	struct kvm_clock_data c = {};
	uint64_t tsc, real;

	vcpu_set_cpuid(vcpu_add(vm, 0));
	if (!(need_cap(vm->sys, KVM_CAP_ADJUST_CLOCK) & KVM_CLOCK_REALTIME)) {
		if (host_trusts_tsc())
			lacking("no KVM_CLOCK_REALTIME");
		test_skip("not with this host's clock");
	}
	tsc = __rdtsc();
	real = realtime();
	CHECK_OK(ioctl(vm->fd, KVM_GET_CLOCK, &c));
	/* KVM says so only once the guest has run. */
	CHECK(c.flags & KVM_CLOCK_REALTIME || on_kvm());
	if (c.flags & KVM_CLOCK_REALTIME) {
		CHECK(c.realtime >= real && c.realtime <= realtime());
		CHECK(c.host_tsc >= tsc && c.host_tsc <= __rdtsc());
	}

	expect_clock(vm, KVM_CLOCK_REALTIME, -100 * (int64_t)SECOND, 100 * SECOND);
	/* It does not go back, when this host's clock is behind the other's. */
	expect_clock(vm, KVM_CLOCK_REALTIME, 100 * SECOND, 0);
	expect_clock(vm, 0, -100 * (int64_t)SECOND, 0);
}

/* ---- KVM_CAP_X2APIC_API ---- */

#define VECTOR		0x41
#define APIC_SPIV	0xf0
#define APIC_IRR	0x200
#define BASE_X2		(1u << 10)

static struct vcpu *x2apic_vcpu(struct vm *vm, int id)
{
	struct vcpu *vcpu = vcpu_add(vm, id);
	struct kvm_lapic_state lapic;
	struct kvm_sregs s;

	vcpu_set_cpuid(vcpu);
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_SREGS, &s));
	s.apic_base |= BASE_X2;
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_SREGS, &s));
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_LAPIC, &lapic));
	*(uint32_t *)&lapic.regs[APIC_SPIV] = 0x1ff;
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_LAPIC, &lapic));
	return vcpu;
}

/* Does VECTOR wait there? Not any more. */
static bool take(struct vcpu *vcpu)
{
	struct kvm_lapic_state lapic;
	uint32_t *irr = (uint32_t *)&lapic.regs[APIC_IRR + VECTOR / 32 * 16];
	bool got;

	CHECK_OK(ioctl(vcpu->fd, KVM_GET_LAPIC, &lapic));
	got = *irr & 1u << VECTOR % 32;
	*irr = 0;
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_LAPIC, &lapic));
	return got;
}

/* An MSI to @dest reaches that one of @vm's vCPUs alone; -1: none. */
static void expect_msi(struct vm *vm, uint32_t dest, int id)
{
	struct kvm_msi msi = {
		.address_lo = 0xfee00000 | (dest & 0xff) << 12, .address_hi = dest & ~0xff,
		.data = VECTOR,
	};
	struct routes r = {
		.head.nr = 1,
		.e[0] = {
			.gsi = 30, .type = KVM_IRQ_ROUTING_MSI,
			.u.msi = { .address_lo = msi.address_lo, .address_hi = msi.address_hi,
				   .data = VECTOR },
		},
	};
	struct kvm_irq_level line = { .irq = 30, .level = 1 };
	int i;

	CHECK_EQ(ioctl(vm->fd, KVM_SIGNAL_MSI, &msi), id >= 0);
	for (i = 0; i < vm->nr_vcpus; i++)
		CHECK_EQ(take(&vm->vcpus[i]), vm->vcpus[i].id == id);
	CHECK_OK(ioctl(vm->fd, KVM_SET_GSI_ROUTING, &r.head));
	CHECK_OK(ioctl(vm->fd, KVM_IRQ_LINE, &line));
	for (i = 0; i < vm->nr_vcpus; i++)
		CHECK_EQ(take(&vm->vcpus[i]), vm->vcpus[i].id == id);
}

static struct vm *many_ids(uint64_t flags)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_X2APIC_API, .args = { flags } };
	struct vm *vm = vm_create(VM_IRQCHIP);
	static const int ids[] = { 0, 44, 255, 300 };
	unsigned int i;

	CHECK_EQ(need_cap(vm->fd, KVM_CAP_X2APIC_API) & 3, 3);
	CHECK_OK(ioctl(vm->fd, KVM_ENABLE_CAP, &cap));
	for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		x2apic_vcpu(vm, ids[i]);
	return vm;
}

TEST(msi_32bit_ids)
{
	struct vm *vm = many_ids(KVM_X2APIC_API_USE_32BIT_IDS |
				 KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK);
	struct kvm_msi msi = { .address_lo = 0xfee00000, .address_hi = 1, .data = VECTOR };
	struct kvm_lapic_state lapic;

	expect_msi(vm, 300, 300);
	expect_msi(vm, 300 & 0xff, 44);
	expect_msi(vm, 255, 255);
	expect_msi(vm, 0, 0);
	expect_msi(vm, 0x200 + 44, -1);
	expect_msi(vm, 1u << 31, -1);
	/* The lowest byte is not of the id. */
	CHECK_ERR(ioctl(vm->fd, KVM_SIGNAL_MSI, &msi), EINVAL);
	CHECK_OK(ioctl(vm->vcpus[3].fd, KVM_GET_LAPIC, &lapic));
	CHECK_EQ(*(uint32_t *)&lapic.regs[0x20], 300);
}

/* Without it the high word says nothing. */
TEST(msi_8bit_ids)
{
	struct vm *vm = many_ids(KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK);
	struct kvm_msi msi = { .address_lo = 0xfee00000, .address_hi = 1, .data = VECTOR };

	expect_msi(vm, 300, 44);
	expect_msi(vm, 1u << 31, 0);
	CHECK_EQ(ioctl(vm->fd, KVM_SIGNAL_MSI, &msi), 1);
	CHECK(take(&vm->vcpus[0]));
}

TEST(split_irqchip)
{
	struct vm *vm = vm_create(0), *late = vm_create(0);
	struct kvm_enable_cap cap = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };
	struct kvm_lapic_state lapic;
	struct vcpu *vcpu;

	need_cap(vm->fd, KVM_CAP_SPLIT_IRQCHIP);
	cap.args[0] = 100000;
	CHECK_ERR(ioctl(vm->fd, KVM_ENABLE_CAP, &cap), EINVAL);
	cap.args[0] = 24;
	CHECK_OK(ioctl(vm->fd, KVM_ENABLE_CAP, &cap));
	CHECK_ERR(ioctl(vm->fd, KVM_ENABLE_CAP, &cap), EEXIST);
	vcpu_add(late, 0);
	CHECK_ERR(ioctl(late->fd, KVM_ENABLE_CAP, &cap), EEXIST);
	CHECK_ERR(ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0), EEXIST);
	CHECK_ERR(ioctl(vm->fd, KVM_GET_IRQCHIP, &chip), ENXIO);
	vcpu = vcpu_add(vm, 0);
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_LAPIC, &lapic));
}
