// SPDX-License-Identifier: GPL-2.0
/*
 * Interrupts from outside: IOAPIC, 8259 pair, 8254, MSI, irqfd; each into a
 * running and into a halted vCPU. And the way out: ioeventfd, coalesced MMIO.
 */
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "guest.h"

#define VEC		0x51
#define VEC_LEVEL	0x61
#define PIC_BASE	0x30

#define IOAPIC		0xfec00000
#define IOAPIC_LEVEL	(1u << 15)
#define IOAPIC_RIRR	(1u << 14)
#define IOAPIC_MASKED	(1u << 16)

static uint32_t ioapic_read(uint32_t reg)
{
	*(volatile uint32_t *)IOAPIC = reg;
	return *(volatile uint32_t *)(IOAPIC + 0x10);
}

static void ioapic_write(uint32_t reg, uint32_t v)
{
	*(volatile uint32_t *)IOAPIC = reg;
	*(volatile uint32_t *)(IOAPIC + 0x10) = v;
}

static void ioapic_route(uint32_t pin, uint32_t lo, uint32_t dest)
{
	ioapic_write(0x11 + 2 * pin, dest << 24);
	ioapic_write(0x10 + 2 * pin, lo);
}

/* Set by the driver before the guest starts: the mode of its LAPIC. */
static volatile uint64_t use_x2;

/* TEST in both modes: in one of them the CPU may deliver by itself */
#define IRQ_TEST(name, fn, ...)						\
	TEST(name)							\
	{								\
		fn(false, ##__VA_ARGS__);				\
	}								\
	TEST(name##_x2apic)						\
	{								\
		fn(true, ##__VA_ARGS__);				\
	}

static struct vm *irq_machine(bool x2)
{
	struct vm *vm = machine(VM_IRQCHIP);

	GUEST_VAR(vm, use_x2) = x2;
	return vm;
}

/* Out of reset LINT0 lets the 8259s through, and their vectors are 0 and up. */
static void apic_alone(void)
{
	if (use_x2) {
		x2apic_on();
		x2apic_write(APIC_LVT0, APIC_MASKED);
		return;
	}
	xapic_on();
	xapic_write(APIC_LVT0, APIC_MASKED);
}

static void set_line(struct vm *vm, int gsi, int level)
{
	struct kvm_irq_level line = { .irq = gsi, .level = level };

	CHECK_OK(ioctl(vm->fd, KVM_IRQ_LINE, &line));
}

/* Edge */

static void g_ioapic_edge(void)
{
	uint64_t i, n;

	G_EQ(ioapic_read(1) >> 16 & 0xff, 23);
	apic_alone();
	g_handlers[VEC] = g_eoi;
	ioapic_route(9, VEC | IOAPIC_MASKED, 0);
	G_EQ(ioapic_read(0x10 + 18), VEC | IOAPIC_MASKED);
	sti();
	g_sync(1);		/* pulsed, then raised, while masked: no edge is kept */
	ioapic_route(9, VEC, 0);
	g_sync(2);		/* down */
	for (i = 0; i < 1000; i++)
		relax();
	G_EQ(g_count[VEC], 0);
	for (i = 1; i <= 20; i++) {
		g_sync(3);	/* up and down */
		g_await(&g_count[VEC], i);
		G_EQ(g_count[VEC], i);
	}
	g_sync(4);		/* up, and stays there: one */
	g_await(&g_count[VEC], i);
	g_sync(5);		/* up once more: none */
	g_sync(6);		/* down: none */
	for (n = 0; n < 1000; n++)
		relax();
	G_EQ(g_count[VEC], i);
	g_done();
}

static void ioapic_edge_test(bool x2)
{
	struct vm *vm = irq_machine(x2);
	struct vcpu *vcpu = machine_vcpu(vm, g_ioapic_edge);
	int i;

	vcpu_sync(vcpu, 1);
	set_line(vm, 9, 1);
	set_line(vm, 9, 0);
	set_line(vm, 9, 1);
	vcpu_sync(vcpu, 2);
	set_line(vm, 9, 0);
	for (i = 0; i < 20; i++) {
		vcpu_sync(vcpu, 3);
		set_line(vm, 9, 1);
		set_line(vm, 9, 0);
	}
	vcpu_sync(vcpu, 4);
	set_line(vm, 9, 1);
	vcpu_sync(vcpu, 5);
	set_line(vm, 9, 1);
	vcpu_sync(vcpu, 6);
	set_line(vm, 9, 0);
	vcpu_done(vcpu);
}

IRQ_TEST(ioapic_edge, ioapic_edge_test)

/* Level: again after each EOI until the line falls; Remote IRR in between */

static volatile uint64_t level_left;

static void g_level(struct frame *frame)
{
	G_CHECK(ioapic_read(0x10 + 22) & IOAPIC_RIRR);
	if (!--level_left)
		g_sync(2);	/* line down */
	g_eoi(frame);
}

static void g_ioapic_level(void)
{
	apic_alone();
	g_handlers[VEC_LEVEL] = g_level;
	ioapic_route(11, VEC_LEVEL | IOAPIC_LEVEL, 0);
	level_left = 5;
	sti();
	g_sync(1);		/* line up */
	g_await(&g_count[VEC_LEVEL], 5);
	asm volatile("nop; nop");
	G_EQ(g_count[VEC_LEVEL], 5);
	G_EQ(ioapic_read(0x10 + 22) & IOAPIC_RIRR, 0);
	g_sync(3);
	g_done();
}

static void ioapic_level_test(bool x2)
{
	struct vm *vm = irq_machine(x2);
	struct vcpu *vcpu = machine_vcpu(vm, g_ioapic_level);

	vcpu_sync(vcpu, 1);
	set_line(vm, 11, 1);
	vcpu_sync(vcpu, 2);
	set_line(vm, 11, 0);
	vcpu_sync(vcpu, 3);
	vcpu_done(vcpu);
}

IRQ_TEST(ioapic_level, ioapic_level_test)

/* HLT until: a line, an MSI, an irqfd, an NMI; the driver acts while the vCPU sleeps. */

static void g_halt_loop(void)
{
	uint64_t n;

	apic_alone();
	g_handlers[VEC] = g_eoi;
	ioapic_route(9, VEC, 0);
	cli();
	g_sync(1);
	for (n = 1; n <= 30; n++) {
		sti_hlt();
		cli();
		G_CHECK(g_count[NMI] || g_count[VEC] == n);
		g_sync(2);
	}
	g_done();
}

enum waker { LINE, MSI, FD_LINE, FD_MSI, NON_MASKABLE };

struct wake {
	struct vm *vm;
	int fd;
	enum waker how;
};

static void wake(struct wake *w)
{
	struct kvm_msi msi = { .address_lo = APIC_PAGE, .data = VEC };
	uint64_t one = 1;

	switch (w->how) {
	case LINE:
		set_line(w->vm, 9, 1);
		set_line(w->vm, 9, 0);
		break;
	case MSI:
		CHECK_EQ(ioctl(w->vm->fd, KVM_SIGNAL_MSI, &msi), 1);
		break;
	case FD_LINE:
	case FD_MSI:
		CHECK_EQ(write(w->fd, &one, 8), 8);
		break;
	case NON_MASKABLE:
		/* KVM_NMI would wait for the end of KVM_RUN. */
		msi.data = APIC_NMI;
		CHECK_EQ(ioctl(w->vm->fd, KVM_SIGNAL_MSI, &msi), 1);
	}
}

static volatile int wake_turn;

/*
 * Wait until the vCPU sleeps (or is about to), then wake it. An NMI may come
 * before the hlt, which then sleeps on: so it is sent until it has woken somebody.
 */
static void *waker(void *arg)
{
	struct wake *w = arg;
	int i;

	for (i = 0; i < 30; i++) {
		while (wake_turn <= i)
			;
		if (i % 3)
			usleep(i % 3 * 1000);
		do {
			wake(w);
			if (w->how == NON_MASKABLE)
				usleep(1000);
		} while (w->how == NON_MASKABLE && wake_turn == i + 1);
	}
	return NULL;
}

static void msi_route(struct vm *vm, int gsi)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry e;
	} r = {
		.head.nr = 1,
		.e = {
			.gsi = gsi, .type = KVM_IRQ_ROUTING_MSI,
			.u.msi = { .address_lo = APIC_PAGE, .data = VEC },
		},
	};

	CHECK_OK(ioctl(vm->fd, KVM_SET_GSI_ROUTING, &r.head));
}

static void wake_test(bool x2, enum waker how)
{
	struct vm *vm = irq_machine(x2);
	struct vcpu *vcpu = machine_vcpu(vm, g_halt_loop);
	struct wake w = { .vm = vm, .how = how };
	pthread_t t;
	int i;

	if (how == FD_LINE || how == FD_MSI) {
		struct kvm_irqfd irqfd = { .gsi = how == FD_LINE ? 9 : 50 };

		irqfd.fd = w.fd = CHECK_OK(eventfd(0, 0));
		if (how == FD_MSI)
			msi_route(vm, 50);
		CHECK_OK(ioctl(vm->fd, KVM_IRQFD, &irqfd));
	}
	CHECK(!pthread_create(&t, NULL, waker, &w));
	vcpu_sync(vcpu, 1);
	for (i = 0; i < 30; i++) {
		wake_turn = i + 1;
		vcpu_sync(vcpu, 2);
	}
	wake_turn = i + 1;
	vcpu_done(vcpu);
	CHECK(!pthread_join(t, NULL));
}

IRQ_TEST(wake_by_line, wake_test, LINE)
IRQ_TEST(wake_by_msi, wake_test, MSI)
IRQ_TEST(wake_by_irqfd_line, wake_test, FD_LINE)
IRQ_TEST(wake_by_irqfd_msi, wake_test, FD_MSI)
IRQ_TEST(wake_by_nmi, wake_test, NON_MASKABLE)

/* A spinning guest is reached too, by each of them. */

static void g_spin_loop(void)
{
	uint64_t n;

	apic_alone();
	g_handlers[VEC] = g_eoi;
	ioapic_route(9, VEC, 0);
	sti();
	g_sync(1);
	for (n = 1; n <= 30; n++) {
		while (g_count[VEC] + g_count[NMI] < n)
			relax();
		g_sync(2);
	}
	g_done();
}

static void spin_test(bool x2, enum waker how)
{
	struct vm *vm = irq_machine(x2);
	struct vcpu *vcpu = machine_vcpu(vm, g_spin_loop);
	struct kvm_irqfd irqfd = { .gsi = 50 };
	struct wake w = { .vm = vm, .how = how };
	pthread_t t;
	int i;

	if (how == FD_MSI) {
		irqfd.fd = w.fd = CHECK_OK(eventfd(0, 0));
		msi_route(vm, 50);
		CHECK_OK(ioctl(vm->fd, KVM_IRQFD, &irqfd));
	}
	CHECK(!pthread_create(&t, NULL, waker, &w));
	vcpu_sync(vcpu, 1);
	for (i = 0; i < 30; i++) {
		wake_turn = i + 1;
		vcpu_sync(vcpu, 2);
	}
	vcpu_done(vcpu);
}

IRQ_TEST(kick_by_line, spin_test, LINE)
IRQ_TEST(kick_by_irqfd_msi, spin_test, FD_MSI)
IRQ_TEST(kick_by_nmi, spin_test, NON_MASKABLE)

/* 8259 pair, through LINT0 as ExtINT */

static void pic_init(void)
{
	outb(0x20, 0x11);
	outb(0x21, PIC_BASE);
	outb(0x21, 4);
	outb(0x21, 1);
	outb(0xa0, 0x11);
	outb(0xa1, PIC_BASE + 8);
	outb(0xa1, 2);
	outb(0xa1, 1);
	outb(0x21, 0);
	outb(0xa1, 0);
}

static void g_pic_eoi(struct frame *frame)
{
	if (frame->vector >= PIC_BASE + 8)
		outb(0xa0, 0x20);
	outb(0x20, 0x20);
}

static void g_pic(void)
{
	uint64_t i;

	pic_init();
	apic_alone();
	xapic_write(APIC_LVT0, APIC_EXTINT);
	for (i = 0; i < 16; i++)
		g_handlers[PIC_BASE + i] = g_pic_eoi;
	sti();
	for (i = 1; i <= 5; i++) {
		g_sync(4);	/* IRQ 4 */
		g_await(&g_count[PIC_BASE + 4], i);
		G_EQ(g_count[PIC_BASE + 4], i);
		g_sync(11);	/* IRQ 11, on the second chip */
		g_await(&g_count[PIC_BASE + 11], i);
		G_EQ(g_count[PIC_BASE + 11], i);
	}
	/* Masked in the chip; IRR shows it; unmasked it comes. */
	outb(0x21, 1 << 4);
	g_sync(4);
	asm volatile("nop; nop");
	G_EQ(g_count[PIC_BASE + 4], 5);
	outb(0x20, 0x0a);
	G_EQ(inb(0x21), 1 << 4);
	outb(0x21, 0);
	g_await(&g_count[PIC_BASE + 4], 6);
	/* In hlt, too */
	for (i = 7; i < 10; i++) {
		cli();
		g_sync(4);
		sti_hlt();
		G_EQ(g_count[PIC_BASE + 4], i);
	}
	/* Masked in the LAPIC */
	xapic_write(APIC_LVT0, APIC_EXTINT | APIC_MASKED);
	g_sync(5);
	asm volatile("nop; nop");
	G_EQ(g_count[PIC_BASE + 5], 0);
	g_done();
}

static void pulse_until_done(struct vcpu *vcpu)
{
	uint32_t gsi;
	int ret;

	while ((ret = vcpu_go(vcpu, &gsi)) == GO_SYNC) {
		set_line(vcpu->vm, gsi, 1);
		set_line(vcpu->vm, gsi, 0);
	}
	if (ret != GO_DONE) {
		vcpu_dump(vcpu);
		FAIL("ended with %d", ret);
	}
}

/* An edge withdrawn before it was taken is spurious on a real 8259; so the line stays up here. */
static void raise_until_done(struct vcpu *vcpu)
{
	uint32_t gsi;
	int ret;

	while ((ret = vcpu_go(vcpu, &gsi)) == GO_SYNC) {
		set_line(vcpu->vm, gsi, 0);
		set_line(vcpu->vm, gsi, 1);
	}
	if (ret != GO_DONE) {
		vcpu_dump(vcpu);
		FAIL("ended with %d", ret);
	}
}

TEST(pic)
{
	raise_until_done(machine_vcpu(machine(VM_IRQCHIP), g_pic));
}

/* Two vCPUs, an interrupt for each by IOAPIC destination */

static volatile uint64_t got_by[2], ap_up;

static void g_by(struct frame *frame)
{
	uint32_t r[4];

	cpuid(1, 0, r);
	got_by[r[1] >> 24 & 1]++;
	g_eoi(frame);
}

static void ap_wait(uint32_t id)
{
	(void)id;
	apic_alone();
	ap_up = 1;
	for (;;) {
		sti_hlt();
		cli();
	}
}

static void g_ioapic_dest(void)
{
	uint64_t i;

	apic_alone();
	g_handlers[VEC] = g_by;
	g_ap_main = ap_wait;
	xapic_ipi(1, APIC_INIT | APIC_ASSERT);
	xapic_ipi(1, APIC_SIPI | APIC_ASSERT | GUEST_TRAMPOLINE >> 12);
	g_await(&ap_up, 1);
	ioapic_route(9, VEC, 0);
	ioapic_route(10, VEC, 1);
	sti();
	for (i = 1; i < 10; i++) {
		g_sync(9);
		g_await(&got_by[0], i);
		g_sync(10);
		g_await(&got_by[1], i);
	}
	G_EQ(got_by[0], 9);
	g_done();
}

TEST(ioapic_destination)
{
	struct vm *vm = machine(VM_IRQCHIP);

	machine_vcpu(vm, g_ioapic_dest);
	vcpu_thread(machine_vcpu(vm, NULL));
	pulse_until_done(&vm->vcpus[0]);
}

/* 8254: channel 0 through GSI 0, which is IOAPIC pin 0 unless routed else; channel 2 by port 0x61 */

static void pit_set(int channel, int mode, uint32_t count)
{
	outb(0x43, channel << 6 | 3 << 4 | mode << 1);
	outb(0x40 + channel, count);
	outb(0x40 + channel, count >> 8);
}

static uint32_t pit_read(int channel)
{
	uint32_t lo;

	outb(0x43, channel << 6);	/* latch */
	lo = inb(0x40 + channel);
	return lo | inb(0x40 + channel) << 8;
}

#define PIT_MS	1193
#define MSEC	1000000ull

static void g_pit(void)
{
	uint64_t t0, ns;
	uint32_t a, b;
	int round;
	bool low;

	apic_alone();
	g_handlers[VEC] = g_eoi;
	ioapic_route(0, VEC, 0);
	sti();
	/* What a slow machine is late for is lost: the best of some rounds, here and below. */
	for (round = 0; ; round++) {
		G_CHECK(round < 10);
		g_count[VEC] = 0;
		t0 = rdtsc();
		pit_set(0, 2, 5 * PIT_MS);
		g_await(&g_count[VEC], 40);
		ns = g_ns(rdtsc() - t0);
		G_CHECK(ns >= 100 * MSEC);
		if (ns <= 400 * MSEC)
			break;
	}
	/* It stops when its mode is set and no count follows. */
	outb(0x43, 0x30);
	cpuid(0, 0, (uint32_t [4]){});

	/* One-shot */
	g_count[VEC] = 0;
	t0 = rdtsc();
	pit_set(0, 0, 2 * PIT_MS);
	g_await(&g_count[VEC], 1);
	G_CHECK(g_ns(rdtsc() - t0) >= MSEC);
	t0 = rdtsc();
	while (g_ns(rdtsc() - t0) < 10 * MSEC)
		relax();
	G_EQ(g_count[VEC], 1);

	/* Channel 2: count down, output high at the end */
	outb(0x61, (inb(0x61) & ~2) | 1);
	for (round = 0; ; round++) {
		G_CHECK(round < 10);
		t0 = rdtsc();
		pit_set(2, 0, 10 * PIT_MS);
		low = !(inb(0x61) & 0x20);
		a = pit_read(2);
		b = pit_read(2);
		/* It goes on below 0, and the output is high by then. */
		if (g_ns(rdtsc() - t0) > 9 * MSEC)
			continue;
		G_CHECK(low);
		G_CHECK(a <= 10 * PIT_MS);
		G_CHECK(b <= a);
		while (!(inb(0x61) & 0x20))
			relax();
		ns = g_ns(rdtsc() - t0);
		G_CHECK(ns >= 5 * MSEC);
		if (ns <= 200 * MSEC)
			break;
	}
	/* Read-back of status: channel 2, mode 0, 16 bits, output high */
	outb(0x43, 0xe8);
	G_EQ(inb(0x42) & 0xbf, 0xb0);
	g_done();
}

TEST(pit)
{
	run_guest(g_pit, VM_IRQCHIP | VM_PIT);
}

/*
 * KVM_REINJECT_CONTROL. Interrupts are off for a time of many ticks: each of them comes afterwards,
 * or the one that waited.
 */

#define TICK_MS		2
#define DEAF_NS		(200 * MSEC)

static volatile uint64_t reinjects;

static void g_reinject(void)
{
	uint64_t start, end, from, now, n;

	apic_alone();
	g_handlers[VEC] = g_eoi;
	ioapic_route(0, VEC, 0);
	start = rdtsc();
	pit_set(0, 2, TICK_MS * PIT_MS);
	while (g_ns(rdtsc() - start) < DEAF_NS)
		inl(PORT_COUNT);	/* not g_touch_if(), which TCG lets interrupts through */
	G_EQ(g_count[VEC], 0);
	end = rdtsc();
	sti();
	if (reinjects) {
		/* Without it, not before four times that time. */
		do {
			now = rdtsc();
			G_CHECK(g_ns(now - start) < 3 * DEAF_NS);
			n = g_count[VEC];
		} while (n < g_ns(now - start) / (TICK_MS * MSEC) * 3 / 4);
		from = start;
	} else {
		g_await(&g_count[VEC], 5);
		from = end;
	}
	cli();
	G_CHECK(g_count[VEC] <= g_ns(rdtsc() - from) / (TICK_MS * MSEC) + 2);
	g_done();
}

static void reinject_test(int how)
{
	struct vm *vm = machine(VM_IRQCHIP | VM_PIT);
	struct kvm_reinject_control control = { .pit_reinject = how };

	need_cap(vm->fd, KVM_CAP_REINJECT_CONTROL);
	GUEST_VAR(vm, reinjects) = how;
	CHECK_OK(ioctl(vm->fd, KVM_REINJECT_CONTROL, &control));
	vcpu_done(machine_vcpu(vm, g_reinject));
}

TEST(pit_reinject)
{
	reinject_test(true);
}

TEST(pit_no_reinject)
{
	reinject_test(false);
}

/* What a VM begins with */
TEST(pit_reinject_unasked)
{
	struct vm *vm = machine(VM_IRQCHIP | VM_PIT);

	GUEST_VAR(vm, reinjects) = true;
	vcpu_done(machine_vcpu(vm, g_reinject));
}

/* ioeventfd: no exit, one signal; what does not match goes to the VMM */

static void g_eventfds(void)
{
	uint32_t n = inl(PORT_COUNT);
	int i;

	for (i = 0; i < 5; i++) {
		outw(PORT_DEV, 7);				/* matches */
		*(volatile uint32_t *)MMIO_DEV = 1;		/* matches */
		*(volatile uint64_t *)(MMIO_DEV + 0x40) = i;	/* any length */
		*(volatile uint8_t *)(MMIO_DEV + 0x40) = i;
	}
	G_EQ(inl(PORT_COUNT) - n, 0);
	outw(PORT_DEV, 8);				/* other data */
	outb(PORT_DEV, 7);				/* other length */
	*(volatile uint16_t *)MMIO_DEV = 1;
	*(volatile uint32_t *)(MMIO_DEV + 4) = 1;	/* other address */
	G_EQ(inl(PORT_COUNT) - n, 4);
	inb(PORT_DEV);					/* a read is no write */
	G_EQ(inl(PORT_COUNT) - n, 5);
	g_done();
}

static int add_ioeventfd(struct vm *vm, uint64_t addr, int len, int flags, uint64_t match)
{
	struct kvm_ioeventfd io = { .addr = addr, .len = len, .flags = flags, .datamatch = match };

	io.fd = CHECK_OK(eventfd(0, EFD_NONBLOCK));
	CHECK_OK(ioctl(vm->fd, KVM_IOEVENTFD, &io));
	return io.fd;
}

static uint64_t count_of(int fd)
{
	uint64_t v;

	CHECK_EQ(read(fd, &v, sizeof(v)), sizeof(v));
	return v;
}

TEST(ioeventfd_writes)
{
	struct vm *vm = machine(VM_IRQCHIP);
	int port = add_ioeventfd(vm, PORT_DEV, 2,
				 KVM_IOEVENTFD_FLAG_PIO | KVM_IOEVENTFD_FLAG_DATAMATCH, 7);
	int mmio = add_ioeventfd(vm, MMIO_DEV, 4, 0, 0);
	int any = add_ioeventfd(vm, MMIO_DEV + 0x40, 0, 0, 0);

	vcpu_done(machine_vcpu(vm, g_eventfds));
	CHECK_EQ(count_of(port), 5);
	CHECK_EQ(count_of(mmio), 5);
	CHECK_EQ(count_of(any), 10);
}

/* A virtqueue's kick and answer: ioeventfd to another thread, irqfd back, vCPU halted in between */

struct echo {
	int kick, irq;
};

static void *echo(void *arg)
{
	struct echo *e = arg;
	uint64_t v, one = 1;

	for (;;) {
		struct pollfd p = { .fd = e->kick, .events = POLLIN };

		CHECK_OK(poll(&p, 1, -1));
		CHECK_EQ(read(e->kick, &v, 8), 8);
		CHECK_EQ(write(e->irq, &one, 8), 8);
	}
	return NULL;
}

static void g_echo(void)
{
	uint64_t i;

	apic_alone();
	g_handlers[VEC] = g_eoi;
	for (i = 1; i <= 200; i++) {
		cli();
		*(volatile uint32_t *)MMIO_DEV = i;
		while (g_count[VEC] < i) {
			sti_hlt();
			cli();
		}
		G_EQ(g_count[VEC], i);
	}
	g_done();
}

TEST(ioeventfd_irqfd_echo)
{
	struct vm *vm = machine(VM_IRQCHIP);
	struct kvm_irqfd irqfd = { .gsi = 50 };
	struct echo e = { .kick = add_ioeventfd(vm, MMIO_DEV, 4, 0, 0) };
	pthread_t t;

	irqfd.fd = e.irq = CHECK_OK(eventfd(0, 0));
	msi_route(vm, 50);
	CHECK_OK(ioctl(vm->fd, KVM_IRQFD, &irqfd));
	CHECK(!pthread_create(&t, NULL, echo, &e));
	vcpu_done(machine_vcpu(vm, g_echo));
}

/* Coalesced MMIO: writes gather in the ring, nothing exits; a full ring does. */

static void g_coalesced(void)
{
	uint32_t n = inl(PORT_COUNT), i;

	for (i = 0; i < 50; i++)
		*(volatile uint32_t *)(MMIO_DEV + 4ul * i) = i;
	G_EQ(inl(PORT_COUNT) - n, 0);
	g_sync(1);
	/* Reads are not deferred. */
	(void)*(volatile uint32_t *)MMIO_DEV;
	G_EQ(inl(PORT_COUNT) - n, 1);
	g_done();
}

TEST(coalesced_ring)
{
	struct vm *vm = machine(0);
	struct vcpu *vcpu = machine_vcpu(vm, g_coalesced);
	struct kvm_coalesced_mmio_zone zone = { .addr = MMIO_DEV, .size = 0x1000 };
	int page = vm_cap(vm, KVM_CAP_COALESCED_MMIO), i;
	struct kvm_coalesced_mmio_ring *ring = (void *)((uint8_t *)vcpu->run + page * PAGE_SIZE);

	CHECK_OK(ioctl(vm->fd, KVM_REGISTER_COALESCED_MMIO, &zone));
	vcpu_sync(vcpu, 1);
	CHECK_EQ(ring->last, 50);
	CHECK_EQ(ring->first, 0);
	for (i = 0; i < 50; i++) {
		CHECK_EQ(ring->coalesced_mmio[i].phys_addr, MMIO_DEV + 4 * i);
		CHECK_EQ(ring->coalesced_mmio[i].len, 4);
		CHECK_EQ(*(uint32_t *)ring->coalesced_mmio[i].data, i);
	}
	ring->first = ring->last;
	vcpu_done(vcpu);
}
