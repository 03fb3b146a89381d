// SPDX-License-Identifier: GPL-2.0
/* MSRs that the VMM denies its guest, or answers for: KVM_X86_SET_MSR_FILTER, KVM_CAP_X86_USER_SPACE_MSR. */
#include <sched.h>

#include "guest.h"

#define MSR_NOBODYS	0x474f4f00
#define MSR_MTRR_CAP	0xfe		/* read-only */
#define MSR_MISC_ENABLE	0x1a0
#define ALL		(KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN | \
			 KVM_MSR_EXIT_REASON_FILTER)

static volatile uint64_t round;

static uint64_t try_rdmsr(uint32_t index, uint64_t *value)
{
	uint32_t lo = 0x11, hi = 0x22;
	uint64_t fault = G_TRY("rdmsr", : "+a"(lo), "+d"(hi) : "c"(index) : "memory");

	*value = lo | (uint64_t)hi << 32;
	return fault;
}

static uint64_t try_wrmsr(uint32_t index, uint64_t v)
{
	return G_TRY("wrmsr", : : "c"(index), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}

static void enable(struct vm *vm, uint64_t reasons)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_X86_USER_SPACE_MSR, .args = { reasons } };

	CHECK_OK(ioctl(vm->fd, KVM_ENABLE_CAP, &cap));
}

/* Deny one MSR; flags 0: nothing. */
static void deny(struct vm *vm, uint32_t msr, uint32_t flags)
{
	static uint64_t zero;
	struct kvm_msr_filter filter = {
		.ranges = { { .flags = flags, .nmsrs = !!flags, .base = msr, .bitmap = (uint8_t *)&zero } },
	};

	CHECK_OK(ioctl(vm->fd, KVM_X86_SET_MSR_FILTER, &filter));
}

static void run_to(struct vcpu *vcpu, uint32_t reason, uint32_t msr, uint32_t why)
{
	CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
	CHECK_EQ(vcpu->run->exit_reason, reason);
	CHECK_EQ(vcpu->run->msr.index, msr);
	CHECK_EQ(vcpu->run->msr.reason, why);
	CHECK_EQ(vcpu->run->msr.error, 0);
}

/* ---- what would raise #GP ---- */

static void g_refused(void)
{
	uint64_t v;

	for (; round < 3; round++) {
		G_EQ(try_rdmsr(MSR_NOBODYS, &v), round == 1 ? NO_FAULT : GP);
		if (round == 1)
			G_EQ(v, 0x123456789abcdef0);
		else
			G_EQ(v, 0x2200000011);
		G_EQ(try_wrmsr(MSR_NOBODYS, 0xfedcba9876543210), round == 1 ? NO_FAULT : GP);
		G_EQ(try_wrmsr(MSR_EFER, 1ull << 63), round == 1 ? NO_FAULT : GP);
		G_EQ(try_wrmsr(MSR_MTRR_CAP, 0), round == 1 ? NO_FAULT : GP);
		g_sync(round);
	}
	/* What works is not the VMM's. */
	rdmsr(MSR_MTRR_CAP);
	wrmsr(MSR_LSTAR, rdmsr(MSR_LSTAR));
	g_done();
}

TEST(user_msr_refused)
{
	struct vm *vm = machine(VM_IRQCHIP);
	struct vcpu *vcpu = machine_vcpu(vm, g_refused);
	uint32_t i;

	need_cap(vm->fd, KVM_CAP_X86_USER_SPACE_MSR);
	vcpu_sync(vcpu, 0);	/* nobody asked */
	for (i = 1; i <= 2; i++) {
		enable(vm, ALL);
		run_to(vcpu, KVM_EXIT_X86_RDMSR, MSR_NOBODYS, KVM_MSR_EXIT_REASON_UNKNOWN);
		CHECK_EQ(vcpu->run->msr.data, 0);
		vcpu->run->msr.data = 0x123456789abcdef0;
		vcpu->run->msr.error = i == 2;
		run_to(vcpu, KVM_EXIT_X86_WRMSR, MSR_NOBODYS, KVM_MSR_EXIT_REASON_UNKNOWN);
		CHECK_EQ(vcpu->run->msr.data, 0xfedcba9876543210);
		vcpu->run->msr.error = i == 2;
		run_to(vcpu, KVM_EXIT_X86_WRMSR, MSR_EFER, KVM_MSR_EXIT_REASON_INVAL);
		CHECK_EQ(vcpu->run->msr.data, 1ull << 63);
		vcpu->run->msr.error = i == 2;
		CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
		CHECK_EQ(vcpu->run->exit_reason, KVM_EXIT_X86_WRMSR);
		CHECK_EQ(vcpu->run->msr.index, MSR_MTRR_CAP);
		vcpu->run->msr.error = i == 2;
		vcpu_sync(vcpu, i);
	}
	vcpu_done(vcpu);
}

/* Only the reasons that were asked for */
static void g_reasons(void)
{
	uint64_t v;

	G_EQ(try_rdmsr(MSR_NOBODYS, &v), GP);
	G_EQ(try_wrmsr(MSR_EFER, 1ull << 63), NO_FAULT);
	g_sync(1);
	G_EQ(try_rdmsr(MSR_NOBODYS, &v), NO_FAULT);
	G_EQ(try_wrmsr(MSR_EFER, 1ull << 63), GP);
	g_done();
}

TEST(user_msr_reasons)
{
	struct vm *vm = machine(VM_IRQCHIP);
	struct vcpu *vcpu = machine_vcpu(vm, g_reasons);

	enable(vm, KVM_MSR_EXIT_REASON_INVAL);
	run_to(vcpu, KVM_EXIT_X86_WRMSR, MSR_EFER, KVM_MSR_EXIT_REASON_INVAL);
	vcpu_sync(vcpu, 1);
	enable(vm, KVM_MSR_EXIT_REASON_UNKNOWN);
	run_to(vcpu, KVM_EXIT_X86_RDMSR, MSR_NOBODYS, KVM_MSR_EXIT_REASON_UNKNOWN);
	vcpu_done(vcpu);
}

/* ---- the filter: MSRs with and without an exit of their own ---- */

static const uint32_t known[] = { MSR_GS_BASE, MSR_KERNEL_GS_BASE, MSR_SYSENTER_EIP, MSR_MISC_ENABLE };
#define NR_KNOWN	(sizeof(known) / sizeof(known[0]))

static void g_filtered(void)
{
	uint64_t v, i;

	for (i = 0; i < NR_KNOWN; i++) {
		uint64_t was = rdmsr(known[i]);

		g_sync(1);	/* denied, the VMM answers */
		G_EQ(try_rdmsr(known[i], &v), NO_FAULT);
		G_EQ(v, 4711);
		G_EQ(try_wrmsr(known[i], 0x1000), NO_FAULT);
		g_sync(2);	/* denied, and that is that */
		G_EQ(try_rdmsr(known[i], &v), GP);
		G_EQ(try_wrmsr(known[i], 0x1000), GP);
		g_sync(3);	/* writes only */
		G_EQ(try_rdmsr(known[i], &v), NO_FAULT);
		G_EQ(v, was);
		G_EQ(try_wrmsr(known[i], was), GP);
		g_sync(4);	/* nothing is denied any more */
		G_EQ(try_rdmsr(known[i], &v), NO_FAULT);
		G_EQ(v, was);
		G_EQ(try_wrmsr(known[i], was), NO_FAULT);
	}
	g_done();
}

TEST(msr_filter)
{
	const uint32_t both = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE;
	struct vm *vm = machine(VM_IRQCHIP);
	struct vcpu *vcpu = machine_vcpu(vm, g_filtered);
	uint32_t i;

	need_cap(vm->fd, KVM_CAP_X86_MSR_FILTER);
	for (i = 0; i < NR_KNOWN; i++) {
		vcpu_sync(vcpu, 1);
		enable(vm, KVM_MSR_EXIT_REASON_FILTER);
		deny(vm, known[i], both);
		run_to(vcpu, KVM_EXIT_X86_RDMSR, known[i], KVM_MSR_EXIT_REASON_FILTER);
		vcpu->run->msr.data = 4711;
		run_to(vcpu, KVM_EXIT_X86_WRMSR, known[i], KVM_MSR_EXIT_REASON_FILTER);
		CHECK_EQ(vcpu->run->msr.data, 0x1000);
		vcpu_sync(vcpu, 2);
		enable(vm, 0);
		vcpu_sync(vcpu, 3);
		deny(vm, known[i], KVM_MSR_FILTER_WRITE);
		vcpu_sync(vcpu, 4);
		deny(vm, 0, 0);
	}
	vcpu_done(vcpu);
}

/* One that nobody knows, as QEMU does with MSR_CORE_THREAD_COUNT; the VMM itself may do all. */
static void g_unknown(void)
{
	uint64_t v;

	G_EQ(try_rdmsr(MSR_NOBODYS, &v), NO_FAULT);
	G_EQ(v, 8);
	G_EQ(try_wrmsr(MSR_NOBODYS, 8), GP);
	g_done();
}

TEST(msr_filter_unknown)
{
	struct vm *vm = machine(VM_IRQCHIP);
	struct vcpu *vcpu = machine_vcpu(vm, g_unknown);

	enable(vm, KVM_MSR_EXIT_REASON_FILTER);
	deny(vm, MSR_NOBODYS, KVM_MSR_FILTER_READ);
	run_to(vcpu, KVM_EXIT_X86_RDMSR, MSR_NOBODYS, KVM_MSR_EXIT_REASON_FILTER);
	vcpu->run->msr.data = 8;
	vcpu_done(vcpu);
	deny(vm, MSR_LSTAR, KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE);
	vcpu_set_msr(vcpu, MSR_LSTAR, 0x1000);
	CHECK_EQ(vcpu_get_msr(vcpu, MSR_LSTAR), 0x1000);
}

/* All denied but for some; a LAPIC's registers can't be. A vCPU that comes later obeys as well. */
static void g_default_deny(void)
{
	uint64_t v;

	G_EQ(try_rdmsr(MSR_LSTAR, &v), NO_FAULT);
	G_EQ(try_wrmsr(MSR_LSTAR, 0x1000), GP);
	G_EQ(try_rdmsr(MSR_LSTAR + 1, &v), GP);
	G_EQ(try_rdmsr(MSR_GS_BASE, &v), GP);
	G_EQ(try_wrmsr(MSR_APIC_BASE, APIC_PAGE | APIC_BASE_EN), NO_FAULT);
	G_EQ(try_rdmsr(MSR_APIC_BASE, &v), NO_FAULT);
	wrmsr(MSR_APIC_BASE, v | APIC_BASE_X2);
	x2apic_read(APIC_TPR);
	g_done();
}

TEST(msr_filter_default_deny)
{
	uint64_t lstar = 1, base = ~0ull;
	struct kvm_msr_filter filter = {
		.flags = KVM_MSR_FILTER_DEFAULT_DENY,
		.ranges = {
			{ KVM_MSR_FILTER_READ, 2, MSR_LSTAR, (uint8_t *)&lstar },
			{ KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE, 64, MSR_APIC_BASE, (uint8_t *)&base },
		},
	};
	struct vm *vm = machine(VM_IRQCHIP);

	CHECK_OK(ioctl(vm->fd, KVM_X86_SET_MSR_FILTER, &filter));
	vcpu_done(machine_vcpu(vm, g_default_deny));
}

/* Filters come and go while the guest runs: always one of the two answers. */

static volatile uint64_t tries;

static void g_changing(void)
{
	uint64_t v, f, seen[2] = { 0, 0 };

	for (; seen[0] < 20 || seen[1] < 20; tries++) {
		f = try_rdmsr(MSR_KERNEL_GS_BASE, &v);
		G_CHECK(f == GP || (f == NO_FAULT && v == 0));
		seen[f == GP]++;
	}
	g_done();
}

static volatile bool over;

/* As soon as the guest has seen one of the last: it would not get anywhere else. */
static void *change(void *arg)
{
	uint64_t last;
	int i;

	for (i = 0; !over; i++) {
		last = GUEST_VAR(arg, tries);
		deny(arg, MSR_KERNEL_GS_BASE, i & 1 ? KVM_MSR_FILTER_READ : 0);
		while (!over && GUEST_VAR(arg, tries) == last)
			sched_yield();
	}
	return NULL;
}

TEST(msr_filter_changing, .timeout = 60)
{
	struct vm *vm = machine(VM_IRQCHIP);
	struct vcpu *vcpu = machine_vcpu(vm, g_changing);
	pthread_t t;

	CHECK(!pthread_create(&t, NULL, change, vm));
	vcpu_done(vcpu);
	over = true;
	pthread_join(t, NULL);
}
