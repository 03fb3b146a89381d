// SPDX-License-Identifier: GPL-2.0
/* What a guest that knows of its hypervisor uses: PV EOI, hypercalls, the preempted hint. */
#include <fcntl.h>
#include <linux/kvm_para.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest.h"

#define VEC		0x51
#define VEC_LEVEL	0x61
#define LEVEL_PIN	10

static volatile uint64_t skipped, written, pv_flag_gpa, halted, woken;

static bool offers(int feature)
{
	uint32_t r[4];

	cpuid(KVM_CPUID_FEATURES, 0, r);
	return r[0] & 1u << feature;
}

static bool skip_eoi(void)
{
	bool was;

	asm volatile("btrl $0, (%1); setc %0" : "=q"(was) : "r"(pv_flag_gpa) : "memory", "cc");
	return was;
}

static void on_irq(struct frame *frame)
{
	if (skip_eoi()) {
		skipped++;
		return;
	}
	written++;
	g_eoi(frame);
}

static bool isr_empty(void)
{
	uint32_t i, any = 0;

	for (i = 0; i < 8; i++)
		any |= xapic_read(APIC_ISR + 16 * i);
	return !any;
}

/* ---- PV EOI ---- */

static void begin_pv_eoi(void)
{
	G_CHECK(offers(KVM_FEATURE_PV_EOI));
	xapic_on();
	xapic_write(APIC_LVT0, APIC_MASKED);
	xapic_write(APIC_LVT1, APIC_MASKED);
	g_handlers[VEC] = on_irq;
	g_handlers[VEC + 1] = on_irq;
	G_EQ(rdmsr(MSR_KVM_PV_EOI_EN), 0);
	wrmsr(MSR_KVM_PV_EOI_EN, pv_flag_gpa | 1);
	G_EQ(rdmsr(MSR_KVM_PV_EOI_EN), pv_flag_gpa | 1);
}

static void g_pv_eoi(void)
{
	uint64_t i;

	begin_pv_eoi();
	/* Unaligned, with the reserved bit or no memory: #GP, and nothing changes. */
	G_EQ(G_TRY("wrmsr", : : "c"(MSR_KVM_PV_EOI_EN), "a"((uint32_t)pv_flag_gpa | 2), "d"(0)), GP);
	G_EQ(G_TRY("wrmsr", : : "c"(MSR_KVM_PV_EOI_EN), "a"(0xfee00001), "d"(0)), GP);
	G_EQ(rdmsr(MSR_KVM_PV_EOI_EN), pv_flag_gpa | 1);

	sti();
	for (i = 1; i <= 200; i++) {
		xapic_ipi(0, VEC | APIC_TO_SELF);
		g_await(&g_count[VEC], i);
		G_EQ(g_count[VEC], i);
		/* The LAPIC hears of it, and the offer does not outlive its interrupt. */
		G_CHECK(isr_empty());
		G_EQ(*(volatile uint8_t *)pv_flag_gpa & 1, 0);
	}
	G_EQ(skipped + written, 200);
	/* Now and then the host's own interrupts come between; seldom. */
	G_CHECK(skipped > 100);

	/* Two at once: the first must say when it ends. */
	cli();
	skipped = written = 0;
	for (i = 0; i < 100; i++) {
		xapic_ipi(0, VEC | APIC_TO_SELF);
		xapic_ipi(0, (VEC + 1) | APIC_TO_SELF);
		sti_nop();
		g_await(&g_count[VEC + 1], i + 1);
		g_await(&g_count[VEC], 200 + i + 1);
		cli();
	}
	G_EQ(skipped + written, 200);
	G_CHECK(written >= 100);
	G_CHECK(isr_empty());

	wrmsr(MSR_KVM_PV_EOI_EN, 0);
	skipped = 0;
	sti();
	xapic_ipi(0, VEC | APIC_TO_SELF);
	g_await(&g_count[VEC], 301);
	G_EQ(skipped, 0);
	g_done();
}

TEST(pv_eoi)
{
	struct vm *vm = machine(VM_IRQCHIP);

	GUEST_VAR(vm, pv_flag_gpa) = GUEST_SHARED;
	vcpu_done(machine_vcpu(vm, g_pv_eoi));
}

/* A level interrupt's end is the IOAPIC's business: no offer. */

static void on_level(struct frame *frame)
{
	G_CHECK(!skip_eoi());
	g_sync(1);	/* the line goes down */
	g_eoi(frame);
}

static void g_pv_eoi_level(void)
{
	begin_pv_eoi();
	g_handlers[VEC_LEVEL] = on_level;
	*(volatile uint32_t *)0xfec00000 = 0x10 + 2 * LEVEL_PIN + 1;
	*(volatile uint32_t *)0xfec00010 = 0;
	*(volatile uint32_t *)0xfec00000 = 0x10 + 2 * LEVEL_PIN;
	*(volatile uint32_t *)0xfec00010 = VEC_LEVEL | 1 << 15;
	sti();
	g_sync(2);
	g_await(&g_count[VEC_LEVEL], 1);
	g_done();
}

TEST(pv_eoi_level)
{
	struct kvm_irq_level line = { .irq = LEVEL_PIN };
	struct vm *vm = machine(VM_IRQCHIP);
	struct vcpu *vcpu = machine_vcpu(vm, g_pv_eoi_level);

	GUEST_VAR(vm, pv_flag_gpa) = GUEST_SHARED;
	vcpu_sync(vcpu, 2);
	line.level = 1;
	CHECK_OK(ioctl(vm->fd, KVM_IRQ_LINE, &line));
	vcpu_sync(vcpu, 1);
	line.level = 0;
	CHECK_OK(ioctl(vm->fd, KVM_IRQ_LINE, &line));
	vcpu_done(vcpu);
}

/* The flag's page is taken away by the host all the time. */

static void g_pv_eoi_paged(void)
{
	uint64_t i;

	begin_pv_eoi();
	sti();
	for (i = 1; i <= 3000; i++) {
		xapic_ipi(0, VEC | APIC_TO_SELF);
		g_await(&g_count[VEC], i);
		G_CHECK(isr_empty());
	}
	G_EQ(skipped + written, 3000);
	g_done();
}

static void *discard(void *page)
{
	/* Faster than the guest can bring it back, it would never get anywhere. */
	for (;;) {
		madvise(page, PAGE_SIZE, MADV_DONTNEED);
		usleep(500);
	}
	return NULL;
}

TEST(pv_eoi_paged, .timeout = 180)
{
	struct vm *vm = machine(VM_IRQCHIP);
	struct vcpu *vcpu = machine_vcpu(vm, g_pv_eoi_paged);
	int fd = CHECK_OK(memfd_create("flag", 0));
	pthread_t t;
	void *page;

	/* Shared memory: what is discarded is only the mapping. */
	CHECK_OK(ftruncate(fd, PAGE_SIZE));
	page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(page != MAP_FAILED);
	vm_set_slot(vm, 1, 0, GUEST_EXTRA, PAGE_SIZE, page);
	GUEST_VAR(vm, pv_flag_gpa) = GUEST_EXTRA;
	CHECK(!pthread_create(&t, NULL, discard, page));
	vcpu_done(vcpu);
}

/* ---- the preempted hint, KVM_HC_KICK_CPU, KVM_HC_SEND_IPI ---- */

static struct {
	uint64_t steal;
	uint32_t version, flags;
	uint8_t preempted, pad[47];
} __attribute__((aligned(64))) steal[4];

#define HYPERCALL_BY(insn, ret, nr, a, b, c, d)				\
	asm volatile(insn : "=a"(ret) : "a"(nr), "b"(a), "c"(b), "d"(c), "S"(d) : "memory")

/* The CPU's own, which needs nobody to put it right (see quirks.c). */
#define HYPERCALL(nr, a, b, c, d)					\
	({								\
		int64_t ret_;						\
		if (g_is_intel())					\
			HYPERCALL_BY("vmcall", ret_, nr, a, b, c, d);	\
		else							\
			HYPERCALL_BY("vmmcall", ret_, nr, a, b, c, d);	\
		ret_;							\
	})

static volatile uint64_t spins;

static void on_counted(struct frame *frame)
{
	atomic_add(&woken, 1);
	g_eoi(frame);
}

static void sleeper(void)
{
	xapic_on();
	halted++;
	for (;;) {
		sti_hlt();
		cli();
	}
}

/* Who runs is not preempted. With IF off all the time, Debian's Bochs never would (see api/run.c). */
static void spinner(void)
{
	wrmsr(MSR_KVM_STEAL_TIME, (uint64_t)&steal[1] | 1);
	for (;; spins++) {
		G_EQ(*(volatile uint8_t *)&steal[1].preempted, 0);
		sti();
		cli();
	}
}

/* Both share a CPU: while this one looks, the other can't run. */
static void g_preempted(void)
{
	volatile uint8_t *hint = &steal[1].preempted;
	uint64_t before;
	int i;

	G_CHECK(offers(KVM_FEATURE_STEAL_TIME));
	wrmsr(MSR_KVM_STEAL_TIME, (uint64_t)&steal[0] | 1);
	for (i = 1; i <= 5; i++) {
		before = spins;
		g_await(&spins, before + 1);
		while (!(*hint & KVM_VCPU_PREEMPTED))
			relax();
		G_EQ(*(volatile uint8_t *)&steal[0].preempted, 0);
	}
	g_done();
}

static void run_pair(guest_fn first, guest_fn others, int n)
{
	struct kvm_mp_state runnable = { KVM_MP_STATE_RUNNABLE };
	struct vm *vm = machine(VM_IRQCHIP);
	int i;

	for (i = 0; i < n; i++) {
		machine_vcpu(vm, i ? others : first);
		CHECK_OK(ioctl(vm->vcpus[i].fd, KVM_SET_MP_STATE, &runnable));
		if (i)
			vcpu_thread(&vm->vcpus[i]);
	}
	vcpu_done(&vm->vcpus[0]);
}

static void share_a_cpu(guest_fn first, guest_fn other)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	CHECK_OK(sched_setaffinity(0, sizeof(one), &one));
	run_pair(first, other, 2);
}

TEST(preempted_hint, .timeout = 240)
{
	share_a_cpu(g_preempted, spinner);
}

/* ---- steal time ---- */

#define MSEC	1000000ull
#define STOLEN	(50 * MSEC)

static uint64_t stolen(int i)
{
	volatile uint32_t *version = &steal[i].version;
	uint32_t before;
	uint64_t ns;

	do {
		before = *version;
		asm volatile("lfence" : : : "memory");
		ns = load(&steal[i].steal);
		asm volatile("lfence" : : : "memory");
	} while ((before & 1) || *version != before);
	return ns;
}

/* Both share a CPU: about half of the time is stolen from each, and never more than has passed. */
static void g_steal(void)
{
	static struct pvclock clock __attribute__((aligned(64)));
	uint64_t start, from, other, ns, passed;

	G_CHECK(offers(KVM_FEATURE_STEAL_TIME));
	wrmsr(MSR_KVM_SYSTEM_TIME_NEW, (uint64_t)&clock | 1);
	wrmsr(MSR_KVM_STEAL_TIME, (uint64_t)&steal[0] | 1);
	g_await(&spins, 1);
	start = kvmclock(&clock);
	from = stolen(0);
	other = stolen(1);
	do {
		g_touch_if();
		ns = stolen(0) - from;
		passed = kvmclock(&clock) - start;
		/* The host's scheduler and kvmclock may not agree to the last. */
		G_CHECK(ns <= passed + passed / 16 + MSEC);
	} while (ns < STOLEN);
	G_CHECK(ns >= passed / 8);
	G_CHECK(stolen(1) - other >= STOLEN / 8);
	g_done();
}

TEST(steal_time, .timeout = 120)
{
	share_a_cpu(g_steal, spinner);
}

/* Halted with interrupts off: only a kick ends that. */
static void deaf(void)
{
	xapic_on();
	for (;;) {
		halted++;
		asm volatile("cli; hlt");
		woken++;
	}
}

static void g_kick(void)
{
	uint64_t i;

	G_CHECK(offers(KVM_FEATURE_PV_UNHALT));
	for (i = 1; i <= 100; i++) {
		g_await(&halted, i);
		G_EQ(HYPERCALL(KVM_HC_KICK_CPU, 0, 1, 0, 0), 0);
		g_await(&woken, i);
		/* Once, not for ever. */
		G_CHECK(woken == i);
	}
	G_EQ(HYPERCALL(KVM_HC_KICK_CPU, 0, 77, 0, 0), 0);	/* nobody */
	g_done();
}

TEST(kick_cpu)
{
	run_pair(g_kick, deaf, 2);
}

/* A VMM that saves a halted vCPU, which has been kicked but has not run since, saves the kick. */
static void g_kick_once(void)
{
	G_CHECK(offers(KVM_FEATURE_PV_UNHALT));
	G_EQ(HYPERCALL(KVM_HC_KICK_CPU, 0, 1, 0, 0), 0);
	g_done();
}

/* KVM finds only whom it has seen turn its APIC on. */
static void g_in_reach(void)
{
	xapic_on();
	g_done();
}

TEST(kick_is_saved)
{
	struct kvm_mp_state state = { KVM_MP_STATE_RUNNABLE };
	struct vm *vm = machine(VM_IRQCHIP);
	struct vcpu *first = machine_vcpu(vm, g_kick_once), *other = machine_vcpu(vm, g_in_reach);

	CHECK_OK(ioctl(other->fd, KVM_SET_MP_STATE, &state));
	vcpu_done(other);
	state.mp_state = KVM_MP_STATE_HALTED;
	CHECK_OK(ioctl(other->fd, KVM_SET_MP_STATE, &state));
	CHECK_OK(ioctl(other->fd, KVM_GET_MP_STATE, &state));
	CHECK_EQ(state.mp_state, KVM_MP_STATE_HALTED);
	vcpu_done(first);
	CHECK_OK(ioctl(other->fd, KVM_GET_MP_STATE, &state));
	CHECK_EQ(state.mp_state, KVM_MP_STATE_RUNNABLE);
}

static void g_send_ipi(void)
{
	uint64_t i;

	G_CHECK(offers(KVM_FEATURE_PV_SEND_IPI));
	g_handlers[VEC] = on_counted;
	xapic_on();
	sti();
	g_await(&halted, 3);
	for (i = 1; i <= 50; i++) {
		/* Everybody, this one included */
		G_EQ(HYPERCALL(KVM_HC_SEND_IPI, 0xf, 0, 0, VEC), 4);
		g_await(&woken, 4 * i);
	}
	/* Counted from the third argument on; who is not there is not counted. */
	G_EQ(HYPERCALL(KVM_HC_SEND_IPI, 6, 0, 1, VEC), 2);
	g_await(&woken, 202);
	G_EQ(HYPERCALL(KVM_HC_SEND_IPI, 1, 0, 200, VEC), 0);
	G_EQ(woken, 202);
	g_done();
}

TEST(send_ipi)
{
	run_pair(g_send_ipi, sleeper, 4);
}

/* Whom it would help depends on the host's scheduler; the caller goes on in any case. */
static void g_sched_yield(void)
{
	uint64_t i;

	G_CHECK(offers(KVM_FEATURE_PV_SCHED_YIELD));
	for (i = 0; i < 50; i++)
		G_EQ(HYPERCALL(KVM_HC_SCHED_YIELD, 1, 0, 0, 0), 0);
	G_EQ(HYPERCALL(KVM_HC_SCHED_YIELD, 0, 0, 0, 0), 0);	/* itself */
	G_EQ(HYPERCALL(KVM_HC_SCHED_YIELD, 77, 0, 0, 0), 0);	/* nobody */
	G_EQ(HYPERCALL(KVM_HC_SCHED_YIELD, -1, 0, 0, 0), 0);
	g_done();
}

TEST(sched_yield, .timeout = 120)
{
	share_a_cpu(g_sched_yield, spinner);
}

/* A guest that polls by itself asks the host not to. */
static void g_poll_control(void)
{
	G_CHECK(offers(KVM_FEATURE_POLL_CONTROL));
	G_EQ(rdmsr(MSR_KVM_POLL_CONTROL), 1);
	wrmsr(MSR_KVM_POLL_CONTROL, 0);
	G_EQ(rdmsr(MSR_KVM_POLL_CONTROL), 0);
	G_EQ(G_TRY("wrmsr", : : "c"(MSR_KVM_POLL_CONTROL), "a"(2), "d"(0)), GP);
	g_done();
}

TEST(poll_control)
{
	run_guest(g_poll_control, VM_IRQCHIP);
}
