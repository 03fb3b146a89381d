// SPDX-License-Identifier: GPL-2.0
/*
 * State that the host uses too: x87, SSE, AVX, PKRU kept over exits and over host
 * threads that use them; and time: kvmclock against the host's clock.
 */
#include <linux/kvm_para.h>

#include <sched.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

#define CPUID_1_ECX_XSAVE	(1u << 26)
#define CPUID_1_ECX_AVX		(1u << 28)
#define CPUID_7_ECX_PKU		(1u << 3)
#define XCR0_FP_SSE_AVX		7

static volatile uint64_t turns;

static bool supported(uint32_t leaf, int reg, uint32_t bit)
{
	struct kvm_cpuid_entry2 *e;
	struct cpuid c;

	cpuid_supported(dev_open(), &c);
	e = cpuid_find(&c, leaf, 0);
	if (!e)
		return false;
	return (reg == 2 ? e->ecx : e->ebx) & bit;
}

/* Vector registers are loaded once, and compared after each kind of exit. */

static uint64_t sse_in[2] __attribute__((aligned(32))), sse_out[2] __attribute__((aligned(32)));
static uint64_t ymm_out[4] __attribute__((aligned(32))), ymm_in[4] __attribute__((aligned(32)));

static void check_sse(void)
{
	asm volatile("movdqa %%xmm5, %0" : "=m"(sse_out));
	G_EQ(sse_out[0], sse_in[0]);
	G_EQ(sse_out[1], sse_in[1]);
	asm volatile("movdqa %%xmm15, %0" : "=m"(sse_out));
	G_EQ(sse_out[0], sse_in[0]);
}

static void g_sse(void)
{
	uint32_t mxcsr = 0x1fa0, now, r[4];
	uint64_t i, d = 0;

	sse_in[0] = 0x0123456789abcdef;
	sse_in[1] = 0xfedcba9876543210;
	asm volatile("movdqa %0, %%xmm5; movdqa %0, %%xmm15" : : "m"(sse_in));
	asm volatile("ldmxcsr %0" : : "m"(mxcsr));
	asm volatile("fninit; fldpi; fldpi; fmulp");
	for (i = 0; i < turns; i++) {
		inb(PORT_DEV);
		check_sse();
		cpuid(0, 0, r);
		*(volatile uint32_t *)MMIO_DEV = i;
		check_sse();
	}
	asm volatile("stmxcsr %0" : "=m"(now));
	G_EQ(now & ~0x3fu, mxcsr & ~0x3fu);
	asm volatile("fstpl %0" : "=m"(d));
	G_EQ(d, 0x4023bd3cc9be45de);	/* pi squared */
	g_done();
}

/* The host's own use, between exits and beside them */
static void host_sse(void)
{
	asm volatile("pcmpeqd %xmm5, %xmm5; pcmpeqd %xmm15, %xmm15; fninit; fld1");
}

static void *host_avx(void *arg)
{
	bool avx = *(bool *)arg;

	for (;;) {
		host_sse();
		if (avx)
			asm volatile("vcmptrueps %ymm5, %ymm5, %ymm5");
		sched_yield();
	}
	return NULL;
}

static bool host_has_avx(void)
{
	return supported(1, 2, CPUID_1_ECX_AVX);
}

static struct vcpu *avx_vcpu(struct vm *vm, guest_fn fn)
{
	struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs = { { .value = XCR0_FP_SSE_AVX } } };
	struct vcpu *vcpu = machine_vcpu(vm, fn);

	CHECK_OK(ioctl(vcpu->fd, KVM_SET_XCRS, &xcrs));
	return vcpu;
}

static void run_beside_host(guest_fn fn, bool avx, uint64_t n)
{
	struct vm *vm = machine(VM_IRQCHIP);
	cpu_set_t one;
	pthread_t t;

	/* One CPU, so that they take turns */
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	CHECK_OK(sched_setaffinity(0, sizeof(one), &one));
	GUEST_VAR(vm, turns) = n;
	CHECK(!pthread_create(&t, NULL, host_avx, &avx));
	vcpu_done(avx ? avx_vcpu(vm, fn) : machine_vcpu(vm, fn));
}

TEST(sse_kept)
{
	run_beside_host(g_sse, false, 300);
}

/* XCR0 comes from the VMM. The upper halves of ymm0..15 go in by xrstor, out by xsave. */
#define XSAVE_HEADER	512
#define XSAVE_YMM	576
#define XSAVE_SIZE	832

static uint8_t area_in[XSAVE_SIZE] __attribute__((aligned(64)));
static uint8_t area_out[XSAVE_SIZE] __attribute__((aligned(64)));

static uint32_t xcr0(void)
{
	uint32_t a, d;

	asm volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
	return a;
}

static void load_ymm(void)
{
	int i;

	WRITE_CR(4, READ_CR(4) | X86_CR4_OSXSAVE);
	G_EQ(xcr0(), XCR0_FP_SSE_AVX);
	asm volatile("xsave %0" : "+m"(area_in) : "a"(XCR0_FP_SSE_AVX), "d"(0));
	store(area_in + XSAVE_HEADER, XCR0_FP_SSE_AVX);
	for (i = 0; i < 256; i += 8)
		store(area_in + XSAVE_YMM + i, 0x0101010101010101ull * i + 1);
	asm volatile("xrstor %0" : : "m"(area_in), "a"(XCR0_FP_SSE_AVX), "d"(0));
}

static void check_ymm(void)
{
	int i;

	G_EQ(xcr0(), XCR0_FP_SSE_AVX);
	asm volatile("xsave %0" : "+m"(area_out) : "a"(XCR0_FP_SSE_AVX), "d"(0));
	for (i = 0; i < 256; i += 8)
		G_EQ(load(area_out + XSAVE_YMM + i), 0x0101010101010101ull * i + 1);
}

static void g_avx(void)
{
	uint32_t r[4];
	uint64_t i;

	load_ymm();
	for (i = 0; i < turns; i++) {
		inb(PORT_DEV);
		check_ymm();
		cpuid(0, 0, r);
		check_ymm();
	}
	g_done();
}

TEST(avx_kept)
{
	if (!host_has_avx())
		test_skip("no AVX");
	run_beside_host(g_avx, true, 300);
}

/* While the guest never exits by itself: only the host's scheduler comes between. */

static void g_avx_spin(void)
{
	uint64_t end;

	load_ymm();
	end = rdtsc() + turns;
	while (rdtsc() < end)
		check_ymm();
	g_done();
}

TEST(avx_kept_preempted)
{
	if (!host_has_avx())
		test_skip("no AVX");
	run_beside_host(g_avx_spin, true, 500000000);
}

/* The instructions themselves */

static void g_avx_insn(void)
{
	int j;

	load_ymm();
	for (j = 0; j < 4; j++)
		ymm_in[j] = 0x1111111111111111 * (j + 1);
	asm volatile("vmovdqa %0, %%ymm5" : : "m"(ymm_in));
	inb(PORT_DEV);
	asm volatile("vmovdqa %%ymm5, %0" : "=m"(ymm_out));
	for (j = 0; j < 4; j++)
		G_EQ(ymm_out[j], ymm_in[j]);
	g_done();
}

TEST(avx_instructions)
{
	if (!host_has_avx())
		test_skip("no AVX");
	vcpu_done(avx_vcpu(machine(0), g_avx_insn));
}

static void g_xsetbv_kept(void)
{
	WRITE_CR(4, READ_CR(4) | X86_CR4_OSXSAVE);
	asm volatile("xsetbv" : : "c"(0), "a"(XCR0_FP_SSE_AVX), "d"(0));
	G_EQ(xcr0(), XCR0_FP_SSE_AVX);
	inb(PORT_DEV);
	G_EQ(xcr0(), XCR0_FP_SSE_AVX);
	g_done();
}

TEST(xsetbv_kept)
{
	if (!host_has_avx())
		test_skip("no AVX");
	run_guest(g_xsetbv_kept, 0);
}

/* The host's registers too come back: its AVX state over many KVM_RUNs */
TEST(host_avx_kept)
{
	static uint64_t in[4] __attribute__((aligned(32))) = { 1, 2, 3, 4 };
	static uint64_t out[4] __attribute__((aligned(32)));
	struct vm *vm = machine(0);
	struct vcpu *vcpu;
	int i;

	if (!host_has_avx())
		test_skip("no AVX");
	vcpu = avx_vcpu(vm, g_avx);
	GUEST_VAR(vm, turns) = 20;
	for (i = 0; i < 20; i++) {
		long ret;

		asm volatile("vmovdqa %1, %%ymm5\n\t"
			     "syscall\n\t"
			     "vmovdqa %%ymm5, %2"
			     : "=a"(ret)
			     : "m"(in), "m"(out), "a"(16 /* ioctl */), "D"((long)vcpu->fd),
			       "S"((long)KVM_RUN), "d"(0L)
			     : "rcx", "r11", "memory");
		CHECK_EQ(ret, 0);
		CHECK_EQ(vcpu->run->exit_reason, KVM_EXIT_IO);
		CHECK(!memcmp(in, out, sizeof(in)));
	}
}

static uint32_t rdpkru(void)
{
	uint32_t a, d;

	asm volatile(".byte 0x0f, 0x01, 0xee" : "=a"(a), "=d"(d) : "c"(0));
	return a;
}

static void g_pkru(void)
{
	uint64_t i;
	uint32_t r[4];

	WRITE_CR(4, READ_CR(4) | X86_CR4_PKE);
	asm volatile(".byte 0x0f, 0x01, 0xef" : : "a"(0xc), "c"(0), "d"(0));
	for (i = 0; i < 50; i++) {
		inb(PORT_DEV);
		G_EQ(rdpkru(), 0xc);
		cpuid(0, 0, r);
		G_EQ(rdpkru(), 0xc);
	}
	g_done();
}

TEST(pkru_kept)
{
	if (!supported(7, 2, CPUID_7_ECX_PKU))
		test_skip("no protection keys");
	run_guest(g_pkru, 0);
}

/* kvmclock */

static struct pvclock clock_page __attribute__((aligned(64)));

static struct {
	uint32_t version, sec, nsec;
} wall __attribute__((aligned(16)));

static volatile uint64_t clock_said;

uint64_t kvmclock(const struct pvclock *clock)
{
	const volatile struct pvclock *c = clock;
	uint32_t version;
	uint64_t delta, ns;

	do {
		version = c->version;
		asm volatile("lfence" : : : "memory");
		delta = rdtsc() - c->tsc_timestamp;
		delta = c->shift >= 0 ? delta << c->shift : delta >> -c->shift;
		ns = c->system_time + (uint64_t)((unsigned __int128)delta * c->mul >> 32);
		asm volatile("lfence" : : : "memory");
	} while ((version & 1) || version != c->version);
	return ns;
}

static void g_kvmclock(void)
{
	uint64_t last = 0, now;
	uint32_t r[4];
	int i;

	cpuid(KVM_CPUID_FEATURES, 0, r);
	G_CHECK(r[0] & 1 << KVM_FEATURE_CLOCKSOURCE2);
	wrmsr(MSR_KVM_SYSTEM_TIME_NEW, (uint64_t)&clock_page | 1);
	G_CHECK(clock_page.version && !(clock_page.version & 1));
	G_CHECK(clock_page.mul);
	for (i = 0; i < 1000; i++) {
		now = kvmclock(&clock_page);
		G_CHECK(now >= last);
		last = now;
		if (i % 100 == 0) {
			clock_said = now;
			g_sync(1);
		}
	}
	wrmsr(MSR_KVM_WALL_CLOCK_NEW, (uint64_t)&wall);
	G_CHECK(wall.version && !(wall.version & 1));
	g_sync(2);
	/* Off: it is not written any more. */
	wrmsr(MSR_KVM_SYSTEM_TIME_NEW, 0);
	G_EQ(rdmsr(MSR_KVM_SYSTEM_TIME_NEW), 0);
	g_done();
}

TEST(kvmclock)
{
	struct vm *vm = machine(VM_IRQCHIP);
	struct vcpu *vcpu = machine_vcpu(vm, g_kvmclock);
	struct kvm_clock_data before, after;
	uint64_t boot;
	int i;

	for (i = 0; i < 10; i++) {
		struct timespec rt;
		cpu_set_t one;

		/* Each time on another CPU, if there is one. */
		CPU_ZERO(&one);
		CPU_SET(i % sysconf(_SC_NPROCESSORS_ONLN), &one);
		CHECK_OK(sched_setaffinity(0, sizeof(one), &one));
		/* What the guest read lies between what the host reads before and after. */
		CHECK_OK(ioctl(vm->fd, KVM_GET_CLOCK, &before));
		vcpu_sync(vcpu, 1);
		CHECK_OK(ioctl(vm->fd, KVM_GET_CLOCK, &after));
		CHECK_OK(clock_gettime(CLOCK_REALTIME, &rt));
		if (GUEST_VAR(vm, clock_said) + 1000000 < before.clock ||
		    GUEST_VAR(vm, clock_said) > after.clock + 1000000)
			FAIL("the guest's clock says %llu, the host's %llu to %llu",
			     (unsigned long long)GUEST_VAR(vm, clock_said),
			     (unsigned long long)before.clock, (unsigned long long)after.clock);
	}
	vcpu_sync(vcpu, 2);
	/* Wall clock plus system time is now, to the second. */
	boot = (uint64_t)GUEST_VAR(vm, wall).sec * 1000000000 + GUEST_VAR(vm, wall).nsec;
	{
		struct timespec rt;
		int64_t diff;

		CHECK_OK(ioctl(vm->fd, KVM_GET_CLOCK, &after));
		CHECK_OK(clock_gettime(CLOCK_REALTIME, &rt));
		diff = (int64_t)(rt.tv_sec * 1000000000ull + rt.tv_nsec) -
		       (int64_t)(boot + after.clock);
		CHECK(diff < 1000000000 && diff > -1000000000);
	}
	vcpu_done(vcpu);
}

/* Where the TSC is not stable the page is written anew by itself: it would drift away. */

static void g_refreshed(void)
{
	uint32_t version;

	wrmsr(MSR_KVM_SYSTEM_TIME_NEW, (uint64_t)&clock_page | 1);
	if (clock_page.flags & 1)
		g_done();	/* one pair for ever: nothing drifts */
	version = clock_page.version;
	/* No exit of its own in here */
	while (clock_page.version < version + 4)
		relax();
	g_done();
}

TEST(kvmclock_refreshed)
{
	if (on_kvm())
		test_skip("KVM takes five minutes");
	run_guest(g_refreshed, VM_IRQCHIP);
}

/* KVM_KVMCLOCK_CTRL: the guest is told that it was stopped, once. */

static void g_stopped(void)
{
	wrmsr(MSR_KVM_SYSTEM_TIME_NEW, (uint64_t)&clock_page | 1);
	G_EQ(clock_page.flags & 2, 0);
	g_sync(1);
	cpuid(0, 0, (uint32_t [4]){});
	G_EQ(clock_page.flags & 2, 2);
	g_done();
}

TEST(kvmclock_stopped)
{
	struct vcpu *vcpu = machine_vcpu(machine(VM_IRQCHIP), g_stopped);

	vcpu_sync(vcpu, 1);
	CHECK_OK(ioctl(vcpu->fd, KVM_KVMCLOCK_CTRL, 0));
	vcpu_done(vcpu);
}

/* KVM_SET_CLOCK reaches the guest. */

static void g_set_clock(void)
{
	wrmsr(MSR_KVM_SYSTEM_TIME_NEW, (uint64_t)&clock_page | 1);
	g_sync(1);
	clock_said = kvmclock(&clock_page);
	g_sync(2);
	g_done();
}

TEST(kvmclock_set)
{
	struct vm *vm = machine(VM_IRQCHIP);
	struct vcpu *vcpu = machine_vcpu(vm, g_set_clock);
	struct kvm_clock_data c = { .clock = 1000000000000000ull }, after;

	vcpu_sync(vcpu, 1);
	CHECK_OK(ioctl(vm->fd, KVM_SET_CLOCK, &c));
	vcpu_sync(vcpu, 2);
	CHECK_OK(ioctl(vm->fd, KVM_GET_CLOCK, &after));
	CHECK(GUEST_VAR(vm, clock_said) >= c.clock - 1000000);
	CHECK(GUEST_VAR(vm, clock_said) <= after.clock + 1000000);
	vcpu_done(vcpu);
}

/* Setting the TSC from outside: the guest goes on from there. */

static void g_tsc_set(void)
{
	g_sync(1);
	clock_said = rdtsc();
	g_sync(2);
	g_done();
}

TEST(tsc_set)
{
	struct vm *vm = machine(0);
	struct vcpu *vcpu = machine_vcpu(vm, g_tsc_set);
	uint64_t value = 1ull << 50;

	vcpu_sync(vcpu, 1);
	vcpu_set_msr(vcpu, MSR_TSC, value);
	vcpu_sync(vcpu, 2);
	CHECK(GUEST_VAR(vm, clock_said) >= value);
	CHECK(GUEST_VAR(vm, clock_said) <= vcpu_get_msr(vcpu, MSR_TSC));
	vcpu_done(vcpu);
}
