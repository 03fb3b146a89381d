// SPDX-License-Identifier: GPL-2.0
/* KVM_CAP_X86_DISABLE_EXITS: HLT, PAUSE and MWAIT that stay in the guest, and what ends them. */
#include <linux/kvm_para.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include "guest.h"
#include "stats.h"

#define VEC		0x51
#define TURNS		20

static volatile uint64_t by_mwait, token, listening;

static void nap(void)
{
	static uint64_t line __attribute__((aligned(64)));

	if (by_mwait) {
		asm volatile("monitor" : : "a"(&line), "c"(0), "d"(0) : "memory");
		asm volatile("sti; mwait; cli" : : "a"(0), "c"(0) : "memory");
	} else {
		sti_hlt();
		cli();
	}
}

/* A halt may end early: then it halts again. */
static void g_naps(void)
{
	uint64_t i;

	xapic_on();
	g_handlers[VEC] = g_eoi;
	xapic_write(APIC_TDCR, APIC_DIV_1);
	xapic_write(APIC_LVTT, VEC);
	for (i = 1; i <= TURNS; i++) {
		xapic_write(APIC_TMICT, i % 2 ? 200000 : 1000000);
		while (g_count[VEC] < i)
			nap();
		relax();
	}
	/* By the deadline of the TSC */
	xapic_write(APIC_LVTT, VEC | APIC_DEADLINE);
	for (; i <= 2 * TURNS; i++) {
		wrmsr(MSR_TSC_DEADLINE, rdtsc() + 200000);
		while (g_count[VEC] < i)
			nap();
	}
	g_sync(1);
	/* The VMM's, while it halts */
	while (!g_count[NMI])
		nap();
	g_done();
}

static uint64_t counter(struct vcpu *vcpu, const char *name)
{
	int fd = CHECK_OK(ioctl(vcpu->fd, KVM_GET_STATS_FD, NULL));
	struct stats s;

	stats_open(fd, &s);
	return stats_get(fd, &s, name);
}

static void enable(struct vm *vm, uint64_t exits)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_X86_DISABLE_EXITS, .args = { exits } };

	CHECK_OK(ioctl(vm->fd, KVM_ENABLE_CAP, &cap));
}

static volatile bool woken;

/* One that comes between the guest's look and its HLT ends no halt: hence the next. */
static void *send_nmis(void *arg)
{
	struct kvm_msi msi = { .address_lo = APIC_PAGE, .data = APIC_NMI };
	struct vm *vm = arg;

	do {
		CHECK_EQ(ioctl(vm->fd, KVM_SIGNAL_MSI, &msi), 1);
		usleep(1000);
	} while (!woken);
	return NULL;
}

/* Does a line of @path that begins with @key have @word? */
static bool line_has(const char *path, const char *key, const char *word)
{
	FILE *f = fopen(path, "r");
	char line[2048];
	bool has = false;

	CHECK(f);
	while (!has && fgets(line, sizeof(line), f))
		has = !strncmp(line, key, strlen(key)) && strstr(line, word);
	fclose(f);
	return has;
}

/* Return predictions, between the threads of a core; SMT that is "on" or "off" may be had. */
static bool threads_share(void)
{
	return line_has("/proc/cpuinfo", "bugs", "smt_rsb") &&
	       line_has("/sys/devices/system/cpu/smt/control", "o", "");
}

/* PAUSE stays on each CPU, HLT on most, MWAIT on some. */
static void need_exits(struct vm *vm, uint64_t exits)
{
	uint64_t missing = exits & ~(uint64_t)vm_cap(vm, KVM_CAP_X86_DISABLE_EXITS);

	if ((missing & KVM_X86_DISABLE_EXITS_PAUSE) ||
	    ((missing & KVM_X86_DISABLE_EXITS_HLT) && !threads_share()))
		lacking("no KVM_CAP_X86_DISABLE_EXITS");
	if (missing)
		test_skip("not on this CPU");
}

static struct vcpu *naps(uint64_t exits, bool mwait)
{
	struct vm *vm = machine(VM_IRQCHIP);
	struct vcpu *vcpu;
	pthread_t t;

	need_exits(vm, exits);
	enable(vm, exits);
	GUEST_VAR(vm, by_mwait) = mwait;
	vcpu = machine_vcpu(vm, g_naps);
	vcpu_sync(vcpu, 1);
	CHECK(!pthread_create(&t, NULL, send_nmis, vm));
	vcpu_done(vcpu);
	woken = true;
	pthread_join(t, NULL);
	return vcpu;
}

TEST(hlt_exits, .timeout = 60)
{
	struct vcpu *vcpu = naps(0, false);

	CHECK(counter(vcpu, "halt_exits") >= 2 * TURNS);
}

TEST(hlt_stays, .timeout = 60)
{
	struct vcpu *vcpu = naps(KVM_X86_DISABLE_EXITS_HLT, false);

	if (!on_kvm())
		CHECK_EQ(counter(vcpu, "halt_exits"), 0);
}

TEST(mwait_stays, .timeout = 60)
{
	struct vcpu *vcpu = naps(KVM_X86_DISABLE_EXITS_MWAIT, true);

	if (!on_kvm())
		CHECK_EQ(counter(vcpu, "mwait_exits") + counter(vcpu, "monitor_exits"), 0);
}

TEST(pause_stays, .timeout = 60)
{
	struct vcpu *vcpu = naps(KVM_X86_DISABLE_EXITS_PAUSE, false);

	if (!on_kvm())
		CHECK_EQ(counter(vcpu, "pause_exits"), 0);
}

/* Two that wake each other; on one CPU, and on two */

static void on_token(struct frame *frame)
{
	atomic_add(&token, 1);
	g_eoi(frame);
}

static void pass(uint64_t parity, uint32_t to)
{
	uint64_t i;

	xapic_on();
	g_handlers[VEC] = on_token;
	atomic_add(&listening, 1);
	g_await(&listening, 2);
	for (i = parity; i < 2 * TURNS; i += 2) {
		while (token < i)
			nap();
		xapic_ipi(to, VEC | APIC_ASSERT);
	}
	while (token < 2 * TURNS)
		nap();
}

static void g_first(void)
{
	pass(0, 1);
	g_done();
}

static void g_second(void)
{
	pass(1, 0);
	/* The last one wakes the first; nobody asks for this one any more. */
	for (;;)
		nap();
}

static void wake_each_other(bool one_cpu)
{
	struct kvm_mp_state runnable = { KVM_MP_STATE_RUNNABLE };
	struct vm *vm = machine(VM_IRQCHIP);
	cpu_set_t one;

	if (one_cpu) {
		CPU_ZERO(&one);
		CPU_SET(0, &one);
		CHECK_OK(sched_setaffinity(0, sizeof(one), &one));
	}
	need_exits(vm, KVM_X86_DISABLE_EXITS_HLT);
	enable(vm, KVM_X86_DISABLE_EXITS_HLT);
	machine_vcpu(vm, g_first);
	machine_vcpu(vm, g_second);
	CHECK_OK(ioctl(vm->vcpus[1].fd, KVM_SET_MP_STATE, &runnable));
	vcpu_thread(&vm->vcpus[1]);
	vcpu_done(&vm->vcpus[0]);
}

TEST(hlt_stays_smp, .timeout = 60)
{
	wake_each_other(false);
}

TEST(hlt_stays_one_cpu, .timeout = 60)
{
	wake_each_other(true);
}

/* The VMM moves a halted vCPU elsewhere: it runs there. (KVM leaves it halted on VT-x.) */

static void g_elsewhere(void)
{
	g_done();
}

static void g_halted(void)
{
	g_sync(1);
	for (;;)
		asm volatile("cli; hlt");
}

static volatile bool back;

static void on_signal(int sig)
{
	(void)sig;
}

/* Until one meets it in the guest */
static void *poke(void *thread)
{
	while (!back) {
		pthread_kill(*(pthread_t *)thread, SIGUSR1);
		usleep(10000);
	}
	return NULL;
}

TEST(hlt_stays_moved, .timeout = 60)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct vm *vm = machine(VM_IRQCHIP);
	pthread_t t, self = pthread_self();
	struct kvm_regs regs;
	struct vcpu *vcpu;

	need_exits(vm, KVM_X86_DISABLE_EXITS_HLT);
	enable(vm, KVM_X86_DISABLE_EXITS_HLT);
	vcpu = machine_vcpu(vm, g_halted);
	vcpu_sync(vcpu, 1);
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_REGS, &regs));
	sigaction(SIGUSR1, &sa, NULL);
	CHECK(!pthread_create(&t, NULL, poke, &self));
	CHECK_EQ(vcpu_go(vcpu, NULL), GO_INTR);
	back = true;
	pthread_join(t, NULL);
	regs.rip = (uintptr_t)g_elsewhere;
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_REGS, &regs));
	vcpu_done(vcpu);
}

/* Who can't be seen halting can't be kicked. */
TEST(hlt_stays_cpuid)
{
	struct cpuid c = { .head.nent = MAX_CPUID };
	struct vm *vm = machine(VM_IRQCHIP);
	struct vcpu *vcpu;

	need_exits(vm, KVM_X86_DISABLE_EXITS_HLT);
	enable(vm, KVM_X86_DISABLE_EXITS_HLT);
	vcpu = machine_vcpu(vm, g_elsewhere);
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_CPUID2, &c));
	CHECK(!(cpuid_find(&c, KVM_CPUID_FEATURES, 0)->eax & 1 << KVM_FEATURE_PV_UNHALT));
	CHECK(cpuid_find(&c, KVM_CPUID_FEATURES, 0)->eax & 1 << KVM_FEATURE_CLOCKSOURCE);
	vcpu_done(vcpu);
}
