// SPDX-License-Identifier: GPL-2.0
/* The in-kernel LAPIC of one vCPU, in xAPIC and x2APIC mode. */
#include <unistd.h>

#include "guest.h"
#include "stats.h"

#define VEC	0x51
#define VEC_HI	0x81

/* Set by the driver before the guest starts. */
static volatile uint64_t use_x2;

static void apic_on(void)
{
	if (use_x2)
		x2apic_on();
	else
		xapic_on();
}

static uint32_t apic_read(uint32_t reg)
{
	return use_x2 ? x2apic_read(reg) : xapic_read(reg);
}

static void apic_write(uint32_t reg, uint32_t v)
{
	if (use_x2)
		x2apic_write(reg, v);
	else
		xapic_write(reg, v);
}

static void self_ipi(uint32_t vector)
{
	apic_write(APIC_ICR, vector | APIC_TO_SELF);
}

static void run_apic(guest_fn fn, bool x2)
{
	struct vm *vm = machine(VM_IRQCHIP);

	GUEST_VAR(vm, use_x2) = x2;
	vcpu_done(machine_vcpu(vm, fn));
}

/* TEST in both modes */
#define APIC_TEST(name, fn, ...)					\
	TEST(xapic_##name, ##__VA_ARGS__)				\
	{								\
		run_apic(fn, false);					\
	}								\
	TEST(x2apic_##name, ##__VA_ARGS__)				\
	{								\
		run_apic(fn, true);					\
	}

static void g_reset_state(void)
{
	uint64_t base = rdmsr(MSR_APIC_BASE);

	G_EQ(base & ~0xfffull, APIC_PAGE);
	G_CHECK(base & APIC_BASE_EN);
	G_CHECK(base & 1 << 8);			/* BSP */
	G_EQ(xapic_read(APIC_ID), 0);
	G_EQ(xapic_read(APIC_SVR), 0xff);
	G_EQ(xapic_read(APIC_TPR), 0);
	G_EQ(xapic_read(APIC_DFR), 0xffffffff);
	G_EQ(xapic_read(APIC_LDR), 0);
	G_EQ(xapic_read(APIC_LVTT), APIC_MASKED);
	G_EQ(xapic_read(APIC_LVT1), APIC_MASKED);
	G_EQ(xapic_read(APIC_VER) & 0xf0, 0x10);
	G_EQ(xapic_read(APIC_TMICT), 0);
	G_EQ(xapic_read(APIC_TMCCT), 0);

	apic_on();
	G_EQ(apic_read(APIC_ID), 0);
	G_EQ(apic_read(APIC_SVR), 0x1ff);
	if (use_x2) {
		G_EQ(apic_read(APIC_LDR), 1);	/* derived from the id */
		/* Back to xAPIC needs a detour through "off". */
		G_EQ(G_TRY("wrmsr", : : "c"(MSR_APIC_BASE), "a"(APIC_PAGE | APIC_BASE_EN), "d"(0)),
		     GP);
		/* No such register, read-only, write-only, reserved bits */
		G_EQ(G_TRY("rdmsr", : : "c"(0x80e) : "rax", "rdx"), GP);
		G_EQ(G_TRY("wrmsr", : : "c"(0x802), "a"(0), "d"(0)), GP);
		G_EQ(G_TRY("rdmsr", : : "c"(0x80b) : "rax", "rdx"), GP);
		G_EQ(G_TRY("wrmsr", : : "c"(0x83f), "a"(0x100), "d"(0)), GP);
	}
	g_done();
}

APIC_TEST(reset, g_reset_state)

/* Self-IPIs: one interrupt each, IRR while masked, ISR in the handler */

static volatile uint64_t isr_seen;

static void g_isr(struct frame *frame)
{
	isr_seen = apic_read(APIC_ISR + 0x10 * (frame->vector / 32)) >> frame->vector % 32 & 1;
	g_eoi(frame);
}

static void g_self_ipi(void)
{
	int i;

	apic_on();
	g_handlers[VEC] = g_isr;
	cli();
	for (i = 1; i <= 20; i++) {
		self_ipi(VEC);
		self_ipi(VEC);	/* merged */
		G_EQ(apic_read(APIC_IRR + 0x10 * (VEC / 32)) >> VEC % 32 & 1, 1);
		sti_nop();
		cli();
		G_EQ(g_count[VEC], i);
		G_EQ(isr_seen, 1);
		G_EQ(apic_read(APIC_IRR + 0x10 * (VEC / 32)), 0);
		G_EQ(apic_read(APIC_ISR + 0x10 * (VEC / 32)), 0);
	}
	if (use_x2) {
		x2apic_write(APIC_SELF, VEC);
		sti_nop();
		G_EQ(g_count[VEC], i);
	}
	/* Open: delivered at once */
	sti();
	self_ipi(VEC);
	asm volatile("nop; nop");
	G_EQ(g_count[VEC], i + use_x2);
	g_done();
}

APIC_TEST(self_ipi, g_self_ipi)

/* Where the CPU delivers by itself, neither a self-IPI nor its EOI exits. */

#define MANY	1000

static void g_x2_eoi(struct frame *frame)
{
	(void)frame;
	x2apic_write(APIC_EOI, 0);
}

static void g_many(void)
{
	int i;

	x2apic_on();
	g_handlers[VEC] = g_x2_eoi;
	sti();
	for (i = 1; i <= MANY; i++) {
		x2apic_write(APIC_SELF, VEC);
		asm volatile("nop; nop");
		G_EQ(g_count[VEC], i);
	}
	g_done();
}

TEST(x2apic_without_exits)
{
	struct vcpu *vcpu = machine_vcpu(machine(VM_IRQCHIP), g_many);
	struct stats s;
	int fd;

	if (!cpu_delivers())
		test_skip("this CPU injects what the hypervisor delivers");
	fd = CHECK_OK(ioctl(vcpu->fd, KVM_GET_STATS_FD, 0));
	stats_open(fd, &s);
	vcpu_done(vcpu);
	CHECK(stats_get(fd, &s, "exits") < MANY / 2);
	close(fd);
}

/* Priorities: the higher vector first, a lower one waits for EOI, a higher one nests */

static volatile uint8_t order[8];
static volatile uint64_t nr_order;

static void g_order(struct frame *frame)
{
	order[nr_order++] = frame->vector;
	if (frame->vector == VEC && nr_order < 4) {
		self_ipi(VEC_HI);	/* nests */
		self_ipi(VEC - 1);	/* same class: waits */
		sti_nop();
		cli();
		order[nr_order++] = 1;
	}
	g_eoi(frame);
}

static void g_priority(void)
{
	apic_on();
	g_handlers[VEC] = g_order;
	g_handlers[VEC - 1] = g_order;
	g_handlers[VEC_HI] = g_order;
	cli();
	self_ipi(VEC);
	self_ipi(VEC_HI);
	sti_nop();
	G_EQ(nr_order, 5);
	G_EQ(order[0], VEC_HI);
	G_EQ(order[1], VEC);
	G_EQ(order[2], VEC_HI);
	G_EQ(order[3], 1);
	G_EQ(order[4], VEC - 1);
	g_done();
}

APIC_TEST(priority, g_priority)

/* TPR and CR8 hold interrupts of their class and below back */

static void g_tpr(void)
{
	apic_on();
	g_handlers[VEC] = g_eoi;
	g_handlers[VEC_HI] = g_eoi;
	sti();
	apic_write(APIC_TPR, VEC & 0xf0);
	G_EQ(READ_CR(8), VEC >> 4);
	G_EQ(apic_read(APIC_PPR), VEC & 0xf0);
	self_ipi(VEC);
	asm volatile("nop; nop");
	G_EQ(g_count[VEC], 0);
	self_ipi(VEC_HI);
	asm volatile("nop; nop");
	G_EQ(g_count[VEC_HI], 1);
	apic_write(APIC_TPR, (VEC & 0xf0) - 0x10);
	asm volatile("nop; nop");
	G_EQ(g_count[VEC], 1);
	apic_write(APIC_TPR, 0);
	g_done();
}

APIC_TEST(tpr, g_tpr)

static void g_cr8(void)
{
	apic_on();
	g_handlers[VEC] = g_eoi;
	sti();
	WRITE_CR(8, VEC >> 4);
	G_EQ(apic_read(APIC_TPR), VEC & 0xf0);
	self_ipi(VEC);
	asm volatile("nop; nop");
	G_EQ(g_count[VEC], 0);
	WRITE_CR(8, 0);
	asm volatile("nop; nop");
	G_EQ(g_count[VEC], 1);
	g_done();
}

APIC_TEST(cr8, g_cr8)

/* The ESR is latched by a write; nothing was wrong. */

static void g_esr(void)
{
	apic_on();
	apic_write(APIC_ESR, 0);
	apic_write(APIC_ESR, 0);
	G_EQ(apic_read(APIC_ESR), 0);
	g_done();
}

APIC_TEST(esr, g_esr)

/* NMI by ICR, and the LINT1 pin's */

static void g_self_nmi(void)
{
	apic_on();
	/* Self with NMI is not allowed, by destination it is. */
	if (use_x2)
		x2apic_write(APIC_ICR, APIC_NMI | APIC_ASSERT);
	else
		xapic_ipi(0, APIC_NMI | APIC_ASSERT);
	g_await(&g_count[NMI], 1);
	G_EQ(g_count[NMI], 1);
	g_done();
}

APIC_TEST(nmi, g_self_nmi)

/* Timer. TDCR divides by 1, so that the counter is quick. */

static void g_oneshot(void)
{
	uint64_t i;

	apic_on();
	g_handlers[VEC] = g_eoi;
	apic_write(APIC_TDCR, APIC_DIV_1);
	apic_write(APIC_LVTT, VEC);
	sti();
	for (i = 1; i <= 20; i++) {
		apic_write(APIC_TMICT, 100000);
		g_await(&g_count[VEC], i);
		G_EQ(g_count[VEC], i);
		G_EQ(apic_read(APIC_TMCCT), 0);
	}
	/* Stopped by an initial count of 0 */
	apic_write(APIC_TMICT, 5000000);
	apic_write(APIC_TMICT, 0);
	apic_write(APIC_TMICT, 0);
	G_EQ(apic_read(APIC_TMCCT), 0);
	/* Masked: it runs out, but nothing comes. */
	apic_write(APIC_LVTT, VEC | APIC_MASKED);
	apic_write(APIC_TMICT, 100000);
	while (apic_read(APIC_TMCCT))
		relax();
	G_EQ(g_count[VEC], 20);
	g_done();
}

APIC_TEST(timer_oneshot, g_oneshot)

/* The count runs down, by one and not below 0. */

static void g_current_count(void)
{
	uint32_t last = 50000000, now;
	int i;

	apic_on();
	apic_write(APIC_TDCR, APIC_DIV_1);
	apic_write(APIC_LVTT, VEC | APIC_MASKED);
	apic_write(APIC_TMICT, last);
	for (i = 0; i < 200; i++) {
		now = apic_read(APIC_TMCCT);
		G_CHECK(now <= last);
		last = now;
	}
	G_CHECK(last < 50000000);
	g_done();
}

APIC_TEST(timer_count, g_current_count)

/* By the TSC's rate: a count is a nanosecond. Interrupts may merge where the host is late. */

#define PERIOD		4000000
#define PERIODS		50

static void g_periodic(void)
{
	uint64_t start, n, ns;
	int round;

	apic_on();
	g_handlers[VEC] = g_eoi;
	apic_write(APIC_TDCR, APIC_DIV_1);
	apic_write(APIC_LVTT, VEC | APIC_PERIODIC);
	sti();
	apic_write(APIC_TMICT, PERIOD);
	/* What a slow machine is late for is lost: the best of some rounds. */
	for (round = 0; ; round++) {
		G_CHECK(round < 10);
		n = g_count[VEC];
		start = rdtsc();
		g_await(&g_count[VEC], n + PERIODS);
		ns = g_ns(rdtsc() - start);
		G_CHECK(ns >= PERIODS * 3 / 4 * PERIOD);
		if (ns <= PERIODS * 3 / 2 * PERIOD)
			break;
	}
	/* Off: no more than one was on its way */
	apic_write(APIC_LVTT, VEC | APIC_PERIODIC | APIC_MASKED);
	n = g_count[VEC];
	apic_write(APIC_TMICT, 0);
	cpuid(0, 0, (uint32_t [4]){});
	G_EQ(g_count[VEC], n);
	g_done();
}

APIC_TEST(timer_periodic, g_periodic)

static void g_deadline(void)
{
	uint64_t i, deadline;

	apic_on();
	g_handlers[VEC] = g_eoi;
	apic_write(APIC_LVTT, VEC | APIC_DEADLINE);
	sti();
	for (i = 1; i <= 20; i++) {
		deadline = rdtsc() + 1000000;
		wrmsr(MSR_TSC_DEADLINE, deadline);
		g_await(&g_count[VEC], i);
		G_CHECK(rdtsc() >= deadline);
		G_EQ(rdmsr(MSR_TSC_DEADLINE), 0);
	}
	/* In the past: at once */
	wrmsr(MSR_TSC_DEADLINE, 1);
	g_await(&g_count[VEC], 21);
	/* Disarmed */
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + (1ull << 40));
	G_CHECK(rdmsr(MSR_TSC_DEADLINE));
	wrmsr(MSR_TSC_DEADLINE, 0);
	G_EQ(rdmsr(MSR_TSC_DEADLINE), 0);
	/* A TMICT write means nothing in this mode, nor the MSR in the others. */
	apic_write(APIC_TMICT, 100);
	G_EQ(apic_read(APIC_TMCCT), 0);
	apic_write(APIC_LVTT, VEC);
	wrmsr(MSR_TSC_DEADLINE, 1);
	G_EQ(rdmsr(MSR_TSC_DEADLINE), 0);
	G_EQ(g_count[VEC], 21);
	g_done();
}

APIC_TEST(timer_deadline, g_deadline)

/* hlt until the timer, each mode */

static void g_timer_hlt(void)
{
	uint64_t i;

	apic_on();
	g_handlers[VEC] = g_eoi;
	apic_write(APIC_TDCR, APIC_DIV_1);
	apic_write(APIC_LVTT, VEC);
	for (i = 1; i <= 10; i++) {
		cli();
		apic_write(APIC_TMICT, i % 2 ? 1 : 1000000);
		sti_hlt();
		G_EQ(g_count[VEC], i);
	}
	apic_write(APIC_LVTT, VEC | APIC_DEADLINE);
	for (; i <= 20; i++) {
		cli();
		wrmsr(MSR_TSC_DEADLINE, rdtsc() + (i % 2 ? 1 : 1000000));
		sti_hlt();
		G_EQ(g_count[VEC], i);
	}
	apic_write(APIC_LVTT, VEC | APIC_PERIODIC);
	cli();
	apic_write(APIC_TMICT, 1000000);
	while (g_count[VEC] < 30) {
		sti_hlt();
		cli();
	}
	g_done();
}

APIC_TEST(timer_hlt, g_timer_hlt)

/* The host learns to be on time, and is never early: into a guest that runs, polls, and is asleep. */

static volatile uint64_t arrived, counter;

static void g_arrive(struct frame *frame)
{
	arrived = rdtsc();
	counter = apic_read(APIC_TMCCT);
	g_eoi(frame);
}

static void g_on_time(void)
{
	static const uint64_t spans[] = { 30000, 100000, 2000000 };
	uint64_t i, deadline;

	apic_on();
	g_handlers[VEC] = g_arrive;
	apic_write(APIC_LVTT, VEC | APIC_DEADLINE);
	for (i = 0; i < 240; i++) {
		cli();
		deadline = rdtsc() + spans[i / 2 % 3];
		wrmsr(MSR_TSC_DEADLINE, deadline);
		if (i % 2) {
			sti_hlt();
		} else {
			sti();
			/* What is written all the while changes nothing. */
			while (i % 4 && g_count[VEC] == i)
				apic_write(APIC_LVTT, VEC | APIC_DEADLINE);
			g_await(&g_count[VEC], i + 1);
		}
		G_EQ(g_count[VEC], i + 1);
		G_CHECK(arrived >= deadline);
		G_EQ(rdmsr(MSR_TSC_DEADLINE), 0);
	}
	apic_write(APIC_TDCR, APIC_DIV_1);
	apic_write(APIC_LVTT, VEC);
	for (; i < 480; i++) {
		cli();
		apic_write(APIC_TMICT, spans[i / 2 % 3]);
		if (i % 2) {
			sti_hlt();
		} else {
			sti();
			g_await(&g_count[VEC], i + 1);
		}
		G_EQ(g_count[VEC], i + 1);
		G_EQ(counter, 0);
	}
	g_done();
}

APIC_TEST(timer_on_time, g_on_time)

/* A deadline passes while the VMM saves the vCPU's state, which then goes on elsewhere. */

#define SAVE_SPAN	10000000

static volatile uint64_t deadline_said;

static void g_saved(void)
{
	uint64_t end;

	apic_on();
	g_handlers[VEC] = g_eoi;
	apic_write(APIC_LVTT, VEC | APIC_DEADLINE);
	cli();
	deadline_said = rdtsc() + SAVE_SPAN;
	wrmsr(MSR_TSC_DEADLINE, deadline_said);
	g_sync(1);
	sti();
	for (end = deadline_said + SAVE_SPAN; rdtsc() < end;)
		relax();
	g_done();
}

static void let_pass(struct vcpu *vcpu, uint64_t deadline)
{
	while (vcpu_get_msr(vcpu, MSR_TSC) < deadline + SAVE_SPAN / 10)
		;
}

/* How often the guest is interrupted. */
static uint64_t saved_deadline(bool x2, bool lapic_first)
{
	struct vm *vm = machine(VM_IRQCHIP), *fresh = vm_create(VM_IRQCHIP);
	struct vcpu *vcpu = machine_vcpu(vm, g_saved), *next;
	struct kvm_lapic_state lapic;
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	uint64_t deadline, tsc;

	GUEST_VAR(vm, use_x2) = x2;
	vcpu_sync(vcpu, 1);
	/* The instruction that said so is over. */
	vcpu->run->immediate_exit = 1;
	CHECK_ERR(ioctl(vcpu->fd, KVM_RUN, 0), EINTR);
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_REGS, &regs));
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_SREGS, &sregs));
	if (lapic_first) {
		CHECK_OK(ioctl(vcpu->fd, KVM_GET_LAPIC, &lapic));
		let_pass(vcpu, GUEST_VAR(vm, deadline_said));
	}
	tsc = vcpu_get_msr(vcpu, MSR_TSC);
	deadline = vcpu_get_msr(vcpu, MSR_TSC_DEADLINE);
	if (!lapic_first) {
		let_pass(vcpu, GUEST_VAR(vm, deadline_said));
		CHECK_OK(ioctl(vcpu->fd, KVM_GET_LAPIC, &lapic));
	}

	vm_set_slot(fresh, 0, 0, 0, vm->ram_size, vm->ram);
	next = vcpu_add(fresh, 0);
	vcpu_set_cpuid(next);
	CHECK_OK(ioctl(next->fd, KVM_SET_REGS, &regs));
	CHECK_OK(ioctl(next->fd, KVM_SET_SREGS, &sregs));
	CHECK_OK(ioctl(next->fd, KVM_SET_LAPIC, &lapic));
	vcpu_set_msr(next, MSR_TSC, tsc);
	vcpu_set_msr(next, MSR_TSC_DEADLINE, deadline);
	vcpu_done(next);
	return GUEST_VAR(vm, g_count)[VEC];
}

static void run_saved(bool x2)
{
	uint64_t n;

	CHECK_EQ(saved_deadline(x2, true), 1);
	n = saved_deadline(x2, false);
	CHECK(n == 1 || n == 2);
}

TEST(xapic_timer_saved)
{
	run_saved(false);
}

TEST(x2apic_timer_saved)
{
	run_saved(true);
}

/* Software-disabled: IPIs don't come, LVTs are masked */

static void g_soft_off(void)
{
	apic_on();
	g_handlers[VEC] = g_eoi;
	apic_write(APIC_LVTT, VEC);
	apic_write(APIC_SVR, 0xff);
	G_CHECK(apic_read(APIC_LVTT) & APIC_MASKED);
	sti();
	self_ipi(VEC);
	asm volatile("nop; nop");
	G_EQ(g_count[VEC], 0);
	apic_write(APIC_SVR, 0x1ff);
	self_ipi(VEC);
	asm volatile("nop; nop");
	g_await(&g_count[VEC], 1);
	g_done();
}

APIC_TEST(software_off, g_soft_off)
