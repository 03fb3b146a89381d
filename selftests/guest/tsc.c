// SPDX-License-Identifier: GPL-2.0
/* A guest whose TSC has another rate than the host's, where the CPU can scale it. */
#include <linux/kvm_para.h>

#include "guest.h"

#define VEC	0x51
#define TURNS	8
#define SPAN	2000000		/* cycles of the guest */
#define ROUNDING 16

static struct pvclock page __attribute__((aligned(64)));
static volatile uint64_t tsc_said, clock_said, latest;

static void g_scaled(void)
{
	uint64_t i, deadline, late;

	x2apic_on();
	g_handlers[VEC] = g_eoi;
	wrmsr(MSR_KVM_SYSTEM_TIME_NEW, (uint64_t)&page | 1);
	x2apic_write(APIC_LVTT, VEC | APIC_DEADLINE);
	sti();
	latest = -1;
	for (i = 1; i <= TURNS; i++) {
		tsc_said = rdtsc();
		clock_said = kvmclock(&page);
		g_sync(1);
		G_CHECK(rdmsr(MSR_TSC) >= tsc_said);

		/* Not before its time, and once in a while not long after. */
		deadline = rdtsc() + SPAN;
		wrmsr(MSR_TSC_DEADLINE, deadline);
		g_await(&g_count[VEC], 2 * i - 1);
		late = rdtsc() - deadline;
		G_CHECK(late < 1ull << 63);
		if (late < latest)
			latest = late;
		cli();
		deadline = rdtsc() + SPAN;
		wrmsr(MSR_TSC_DEADLINE, deadline);
		sti_hlt();
		G_EQ(g_count[VEC], 2 * i);
		late = rdtsc() - deadline;
		G_CHECK(late < 1ull << 63);
	}
	G_CHECK(latest < SPAN / 4);
	/* What the guest writes counts from there at the same rate. */
	wrmsr(MSR_TSC, 1ull << 50);
	tsc_said = rdtsc();
	G_CHECK(tsc_said >= 1ull << 50 && tsc_said < (1ull << 50) + (1ull << 40));
	g_done();
}

static int64_t scale(uint64_t tsc, long khz, long own)
{
	return (unsigned __int128)tsc * khz / own;
}

static void run_scaled(int num, int den)
{
	struct vm *vm = machine(VM_IRQCHIP);
	struct vcpu *vcpu = machine_vcpu(vm, g_scaled);
	int own = CHECK_OK(ioctl(vcpu->fd, KVM_GET_TSC_KHZ, 0)), i;
	int64_t low = INT64_MIN, high = INT64_MAX, said;
	long khz = (long)own * num / den;

	if (!vm_cap(vm, KVM_CAP_TSC_CONTROL)) {
		CHECK_ERR(ioctl(vcpu->fd, KVM_SET_TSC_KHZ, khz), EINVAL);
		test_skip("this CPU does not scale its guests' TSCs");
	}
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_TSC_KHZ, khz));
	CHECK_EQ(ioctl(vcpu->fd, KVM_GET_TSC_KHZ, 0), khz);
	for (i = 0; i < TURNS; i++) {
		struct kvm_clock_data before, after;
		uint64_t from, to, clock;

		CHECK_OK(ioctl(vm->fd, KVM_GET_CLOCK, &before));
		from = rdtsc();
		vcpu_sync(vcpu, 1);
		to = rdtsc();
		CHECK_OK(ioctl(vm->fd, KVM_GET_CLOCK, &after));

		/* What is added to the scaled TSC of the host is the same each time. */
		said = GUEST_VAR(vm, tsc_said);
		if (said - scale(to, khz, own) > low)
			low = said - scale(to, khz, own);
		if (said - scale(from, khz, own) < high)
			high = said - scale(from, khz, own);
		if (low > high + ROUNDING)
			FAIL("turn %d: the TSC's rate is not %ld kHz", i, khz);
		clock = GUEST_VAR(vm, clock_said);
		if (clock + 1000 < before.clock || clock > after.clock + 1000)
			FAIL("the guest's clock says %llu, the host's %llu to %llu",
			     (unsigned long long)clock, (unsigned long long)before.clock,
			     (unsigned long long)after.clock);
	}
	vcpu_done(vcpu);
}

TEST(tsc_faster, .timeout = 60)
{
	run_scaled(5, 2);
}

TEST(tsc_slower, .timeout = 60)
{
	run_scaled(1, 3);
}
