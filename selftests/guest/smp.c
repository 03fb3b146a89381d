// SPDX-License-Identifier: GPL-2.0
/* Several vCPUs: bring-up by INIT and SIPI, IPIs of each kind, HLT and wake-ups, TSC. */
#include "guest.h"

#define VEC	0x51
#define MAX_CPUS 16

static volatile uint64_t nr_cpus;	/* set by the driver */
static volatile uint64_t started[MAX_CPUS], got[MAX_CPUS], turn, stop;

static uint32_t my_id(void)
{
	uint32_t r[4];

	cpuid(1, 0, r);
	return r[1] >> 24;
}

static void bring_up(void (*ap)(uint32_t))
{
	xapic_on();
	g_ap_main = ap;
	xapic_ipi(0, APIC_INIT | APIC_ASSERT | APIC_TO_OTHERS);
	xapic_ipi(0, APIC_SIPI | APIC_ASSERT | APIC_TO_OTHERS | GUEST_TRAMPOLINE >> 12);
	g_await(&g_aps, nr_cpus - 1);
}

static void run_smp(guest_fn fn, int n)
{
	struct vm *vm = machine(VM_IRQCHIP);
	int i;

	GUEST_VAR(vm, nr_cpus) = n;
	for (i = 0; i < n; i++)
		machine_vcpu(vm, i ? NULL : fn);
	for (i = 1; i < n; i++)
		vcpu_thread(&vm->vcpus[i]);
	vcpu_done(&vm->vcpus[0]);
}

#define SMP_TEST(name, fn, ...)						\
	TEST(name##_4, ##__VA_ARGS__)					\
	{								\
		run_smp(fn, 4);						\
	}								\
	TEST(name##_16, .timeout = 120, ##__VA_ARGS__)			\
	{								\
		run_smp(fn, 16);					\
	}

/* Everybody comes up once, with the right id. */

static void ap_start(uint32_t id)
{
	started[id]++;
	for (;;)
		asm volatile("cli; hlt");
}

static void g_start(void)
{
	uint64_t i, n;

	bring_up(ap_start);
	for (i = 1; i < nr_cpus; i++) {
		g_await(&started[i], 1);
		G_EQ(started[i], 1);
	}
	/* A second SIPI without INIT does nothing, INIT and SIPI again restart. */
	xapic_ipi(1, APIC_SIPI | APIC_ASSERT | GUEST_TRAMPOLINE >> 12);
	for (n = 0; n < 1000; n++)
		relax();
	G_EQ(started[1], 1);
	for (n = 2; n < 6; n++) {
		xapic_ipi(1, APIC_INIT | APIC_ASSERT);
		xapic_ipi(1, APIC_SIPI | APIC_ASSERT | GUEST_TRAMPOLINE >> 12);
		g_await(&started[1], n);
	}
	g_done();
}

SMP_TEST(smp_start, g_start)

/* IPIs: each vCPU halts and passes the token on when it is woken. */

static void g_pass_on(struct frame *frame)
{
	uint32_t id = my_id();

	got[id]++;
	g_eoi(frame);
	if (++turn < 20 * nr_cpus)
		xapic_ipi((id + 1) % nr_cpus, VEC);
	else
		stop = 1;
}

static void ap_halt(uint32_t id)
{
	xapic_on();
	started[id] = 1;
	for (;;) {
		sti_hlt();
		cli();
	}
}

static void g_ring(void)
{
	uint64_t i;

	g_handlers[VEC] = g_pass_on;
	bring_up(ap_halt);
	for (i = 1; i < nr_cpus; i++)
		g_await(&started[i], 1);
	cli();
	xapic_ipi(1, VEC);
	while (!stop) {
		sti();
		relax();
		cli();
	}
	for (i = 0; i < nr_cpus; i++)
		G_EQ(got[i], 20);
	g_done();
}

SMP_TEST(smp_ipi_ring, g_ring)

/* One to all, with HLT in between; answered by a counter */

static void g_count_me(struct frame *frame)
{
	got[my_id()]++;
	g_eoi(frame);
}

static void g_broadcast(void)
{
	uint64_t round, i;

	g_handlers[VEC] = g_count_me;
	bring_up(ap_halt);
	for (i = 1; i < nr_cpus; i++)
		g_await(&started[i], 1);
	sti();
	for (round = 1; round <= 10; round++) {
		xapic_ipi(0, VEC | APIC_TO_OTHERS);
		for (i = 1; i < nr_cpus; i++)
			g_await(&got[i], 2 * round - 1);
		G_EQ(got[0], round - 1);
		xapic_ipi(0, VEC | APIC_TO_ALL);
		for (i = 1; i < nr_cpus; i++)
			g_await(&got[i], 2 * round);
		g_await(&got[0], round);
	}
	/* Physical broadcast */
	xapic_ipi(0xff, VEC);
	for (i = 1; i < nr_cpus; i++)
		g_await(&got[i], 21);
	g_await(&got[0], 11);
	for (i = 1; i < nr_cpus; i++)
		G_EQ(got[i], 21);
	g_done();
}

SMP_TEST(smp_broadcast, g_broadcast)

/* Logical destinations: flat for 4, cluster for 16; lowest priority picks exactly one */

static void ap_logical(uint32_t id)
{
	xapic_on();
	if (nr_cpus > 8) {
		xapic_write(APIC_DFR, 0x0fffffff);
		xapic_write(APIC_LDR, (id / 4 << 4 | 1 << id % 4) << 24);
	} else {
		xapic_write(APIC_DFR, 0xffffffff);
		xapic_write(APIC_LDR, 1u << id << 24);
	}
	started[id] = 1;
	for (;;) {
		sti_hlt();
		cli();
	}
}

static uint64_t total(void)
{
	uint64_t i, sum = 0;

	for (i = 0; i < nr_cpus; i++)
		sum += got[i];
	return sum;
}

static void g_logical(void)
{
	uint64_t i;

	g_handlers[VEC] = g_count_me;
	bring_up(ap_logical);
	for (i = 1; i < nr_cpus; i++)
		g_await(&started[i], 1);
	/* vCPUs 2 and 3 share a cluster, and a mask in flat mode. */
	xapic_ipi(0x0c, VEC | APIC_LOGICAL);
	g_await(&got[2], 1);
	g_await(&got[3], 1);
	G_EQ(total(), 2);
	xapic_ipi(0x08, VEC | APIC_LOGICAL);
	g_await(&got[3], 2);
	G_EQ(total(), 3);
	if (nr_cpus > 8) {
		xapic_ipi(0x31, VEC | APIC_LOGICAL);
		g_await(&got[12], 1);
		G_EQ(total(), 4);
	} else {
		/* Lowest priority: one of the two */
		for (i = 4; i < 14; i++) {
			xapic_ipi(0x0c, VEC | APIC_LOGICAL | 1 << 8);
			while (total() < i)
				relax();
		}
		G_EQ(total(), 13);
		G_EQ(got[0] + got[1], 0);
	}
	g_done();
}

SMP_TEST(smp_logical, g_logical)

/* x2APIC: ids and logical ids by MSR */

static void ap_x2(uint32_t id)
{
	x2apic_on();
	G_EQ(x2apic_read(APIC_ID), id);
	G_EQ(x2apic_read(APIC_LDR), (id / 16) << 16 | 1u << id % 16);
	started[id] = 1;
	for (;;) {
		sti_hlt();
		cli();
	}
}

static void g_x2(void)
{
	uint64_t i;

	g_handlers[VEC] = g_count_me;
	bring_up(ap_x2);
	for (i = 1; i < nr_cpus; i++)
		g_await(&started[i], 1);
	x2apic_on();
	sti();
	for (i = 0; i < nr_cpus; i++) {
		x2apic_write(APIC_ICR, i << 32 | VEC);
		g_await(&got[i], 1);
		G_EQ(total(), i + 1);
	}
	/* Logical: the odd ones of cluster 0 */
	x2apic_write(APIC_ICR, 0xaaaaull << 32 | VEC | APIC_LOGICAL);
	for (i = 1; i < nr_cpus; i += 2)
		g_await(&got[i], 2);
	G_EQ(total(), nr_cpus + nr_cpus / 2);
	/* Broadcast */
	x2apic_write(APIC_ICR, 0xffffffffull << 32 | VEC);
	while (total() < 2 * nr_cpus + nr_cpus / 2)
		relax();
	g_done();
}

SMP_TEST(smp_x2apic, g_x2)

/* NMI to all others, running and halted */

static volatile uint64_t nmis[MAX_CPUS];

static void g_count_nmi(struct frame *frame)
{
	(void)frame;
	nmis[my_id()]++;
}

static void ap_spin_or_halt(uint32_t id)
{
	xapic_on();
	started[id] = 1;
	for (;;) {
		if (id % 2)
			asm volatile("cli; hlt");
		else
			relax();
	}
}

static void g_nmi_all(void)
{
	uint64_t round, i;

	g_handlers[NMI] = g_count_nmi;
	bring_up(ap_spin_or_halt);
	for (i = 1; i < nr_cpus; i++)
		g_await(&started[i], 1);
	for (round = 1; round <= 10; round++) {
		xapic_ipi(0, APIC_NMI | APIC_ASSERT | APIC_TO_OTHERS);
		for (i = 1; i < nr_cpus; i++) {
			g_await(&nmis[i], round);
			G_EQ(nmis[i], round);
		}
	}
	G_EQ(nmis[0], 0);
	g_done();
}

SMP_TEST(smp_nmi, g_nmi_all)

/* The TSC never runs backwards, whoever reads it. */

static volatile uint64_t tsc_lock, last_tsc, tsc_reads;

static void read_tsc_in_turn(void)
{
	uint64_t i, now;

	for (i = 0; i < 500; i++) {
		while (__atomic_exchange_n(&tsc_lock, 1, __ATOMIC_ACQUIRE))
			relax();
		now = rdtsc();
		if (now < last_tsc)
			g_fail(__FILE__, __LINE__, "TSC", now, last_tsc);
		last_tsc = now;
		__atomic_store_n(&tsc_lock, 0, __ATOMIC_RELEASE);
	}
	atomic_add(&tsc_reads, 1);
}

static void ap_tsc(uint32_t id)
{
	(void)id;
	read_tsc_in_turn();
	for (;;)
		asm volatile("cli; hlt");
}

static void g_tsc(void)
{
	bring_up(ap_tsc);
	read_tsc_in_turn();
	g_await(&tsc_reads, nr_cpus);
	g_done();
}

SMP_TEST(smp_tsc, g_tsc)

/* Locked counting in shared memory that nobody touched before: second-stage faults in parallel */

static void count_in_fresh_memory(void)
{
	uint64_t page;

	for (page = 0; page < 256; page++)
		atomic_add((uint64_t *)(GUEST_EXTRA + page * PAGE_SIZE), 1);
	atomic_add(&stop, 1);
}

static void ap_fault(uint32_t id)
{
	(void)id;
	count_in_fresh_memory();
	for (;;)
		asm volatile("cli; hlt");
}

static void g_faults(void)
{
	uint64_t page;

	bring_up(ap_fault);
	count_in_fresh_memory();
	g_await(&stop, nr_cpus);
	for (page = 0; page < 256; page++)
		G_EQ(load((void *)(GUEST_EXTRA + page * PAGE_SIZE)), nr_cpus);
	g_done();
}

TEST(smp_faults_4)
{
	struct vm *vm = machine(VM_IRQCHIP);
	int i;

	vm_set_slot(vm, 1, 0, GUEST_EXTRA, 256 * PAGE_SIZE, map_memory(256 * PAGE_SIZE, PAGE_SIZE));
	GUEST_VAR(vm, nr_cpus) = 4;
	for (i = 0; i < 4; i++)
		machine_vcpu(vm, i ? NULL : g_faults);
	for (i = 1; i < 4; i++)
		vcpu_thread(&vm->vcpus[i]);
	vcpu_done(&vm->vcpus[0]);
}

/* KVM_SET_BOOT_CPU_ID: vCPU 1 begins, and wakes vCPU 0. */

static bool am_boot_cpu(void)
{
	return rdmsr(MSR_APIC_BASE) & 1 << 8;
}

static void ap_other(uint32_t id)
{
	started[id] = am_boot_cpu() ? 2 : 1;
	for (;;)
		asm volatile("cli; hlt");
}

static void g_boot_cpu(void)
{
	G_EQ(my_id(), 1);
	G_CHECK(am_boot_cpu());
	G_EQ(g_aps, 0);
	bring_up(ap_other);
	g_await(&started[0], 1);
	G_EQ(started[0], 1);
	g_done();
}

TEST(smp_boot_cpu)
{
	struct vm *vm = machine(VM_IRQCHIP);

	CHECK_OK(ioctl(vm->fd, KVM_SET_BOOT_CPU_ID, 1));
	GUEST_VAR(vm, nr_cpus) = 2;
	machine_vcpu(vm, NULL);
	machine_vcpu(vm, g_boot_cpu);
	vcpu_thread(&vm->vcpus[0]);
	vcpu_done(&vm->vcpus[1]);
}

/* A vCPU that waits for SIPI: its KVM_RUN sleeps, and a triple fault elsewhere ends only that one. */

static void ap_triple(uint32_t id)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) idtr = { 0, 0 };

	started[id] = 1;
	asm volatile("lidt %0; ud2" : : "m"(idtr));
}

static void g_ap_triple(void)
{
	bring_up(ap_triple);
	g_await(&started[1], 1);
	g_done();
}

static void *run_to_shutdown(void *vcpu)
{
	CHECK_EQ(vcpu_go(vcpu, NULL), KVM_EXIT_SHUTDOWN);
	return NULL;
}

TEST(smp_triple_fault)
{
	struct vm *vm = machine(VM_IRQCHIP);
	pthread_t t;

	GUEST_VAR(vm, nr_cpus) = 2;
	machine_vcpu(vm, g_ap_triple);
	machine_vcpu(vm, NULL);
	CHECK(!pthread_create(&t, NULL, run_to_shutdown, &vm->vcpus[1]));
	vcpu_done(&vm->vcpus[0]);
	CHECK(!pthread_join(t, NULL));
}
