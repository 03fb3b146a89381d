// SPDX-License-Identifier: GPL-2.0
/*
 * How long is the way out of the guest and back? A row is an operation; the guest
 * reads its TSC right before and right after it, often. In a machine whose TSC counts
 * instructions (lab --icount) the difference is the number of instructions executed by
 * guest, hypervisor, host kernel and VMM together.
 *
 * Prints "bench ROW MEDIAN LOWEST" per row, without what reading the TSC costs itself.
 * Works on /dev/kvm as on /dev/lhv. Asserts nothing but that the operations work.
 *
 * BENCH_COUNT is the number of samples per row.
 *
 * Under the plugin count.c what the host executes is counted by kind too; "count ROW" names its
 * rows, in their order.
 */
#include <asm/kvm.h>
#include <sched.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest.h"
#include "mark.h"

#define SAMPLES		1001
#define WARM_UP		100		/* not counted */
#define MAX_SAMPLES	0x10000000

#define PORT_PIC	0x21		/* the interrupt mask register */
#define PORT_VMM	0x300
#define PORT_EVENT	0x310
#define PORT_IRQ	0x320
#define MMIO_VMM	MMIO_DEV
#define MMIO_EVENT	(MMIO_DEV + 0x100)

#define VECTOR		0x40
#define MSI_GSI		24
#define MSI_ADDRESS	0xfee00000
#define SHORT_HALT	50000		/* ticks; at 1 GHz shorter than the longest polling */
#define LONG_HALT	2000000		/* and longer */

/* Shared by the guest and its driver; the guest writes. */
static volatile uint32_t g_samples[SAMPLES];
static volatile uint64_t g_nr;		/* samples so far; the newest SAMPLES are kept */
static uint64_t g_want = SAMPLES + WARM_UP;
static volatile uint64_t g_arrived;	/* TSC in the interrupt handler */
static volatile uint64_t g_ready;	/* the other vCPU takes interrupts */

static void g_sample(uint64_t from, uint64_t to)
{
	g_samples[g_nr++ % SAMPLES] = to - from;
}

/* A guest that does @op again and again, all of it on one page: two would be another row. */
#define OPERATION(name, op)						\
	static void __attribute__((aligned(512))) name(void)		\
	{								\
		while (g_nr < g_want) {					\
			uint64_t from, to;				\
									\
			MARK(MARK_FROM);				\
			from = rdtsc();					\
			op;						\
			to = rdtsc();					\
			MARK(MARK_TO);					\
			g_sample(from, to);				\
		}							\
		g_done();						\
	}

static inline uint32_t mmio_read(uintptr_t gpa)
{
	uint32_t v;

	asm volatile("movl (%1), %0" : "=r"(v) : "r"(gpa) : "memory");
	return v;
}

static inline void mmio_write(uintptr_t gpa, uint32_t v)
{
	asm volatile("movl %0, (%1)" : : "r"(v), "r"(gpa) : "memory");
}

static inline void cpuid_0(void)
{
	uint32_t r[4];

	cpuid(0, 0, r);
}

OPERATION(g_nothing, (void)0)
OPERATION(g_pic, inb(PORT_PIC))
OPERATION(g_port_in, inb(PORT_VMM))
OPERATION(g_port_out, outb(PORT_VMM, 0))
OPERATION(g_mmio_read, mmio_read(MMIO_VMM))
OPERATION(g_mmio_write, mmio_write(MMIO_VMM, 0))
OPERATION(g_touch, mmio_write(GUEST_EXTRA + g_nr * PAGE_SIZE, 1))
OPERATION(g_cpuid, cpuid_0())
OPERATION(g_rdmsr, rdmsr(MSR_APIC_BASE))
OPERATION(g_port_event, outl(PORT_EVENT, 0))
OPERATION(g_mmio_event, mmio_write(MMIO_EVENT, 0))

static void g_x2apic_eoi(void)
{
	x2apic_on();
	while (g_nr < g_want) {
		uint64_t from, to;

		MARK(MARK_FROM);
		from = rdtsc();
		x2apic_write(APIC_EOI, 0);
		to = rdtsc();
		MARK(MARK_TO);
		g_sample(from, to);
	}
	g_done();
}

static void g_interrupt(struct frame *frame)
{
	(void)frame;
	g_arrived = rdtsc();
	MARK(MARK_TO);
	x2apic_write(APIC_EOI, 0);
}

/* From the write that raises the interrupt to the handler. */
#define INTERRUPT(name, op)						\
	static void name(void)						\
	{								\
		x2apic_on();						\
		g_handlers[VECTOR] = g_interrupt;			\
		sti();							\
		while (g_nr < g_want) {					\
			uint64_t from;					\
									\
			MARK(MARK_FROM);				\
			from = rdtsc();					\
			g_arrived = 0;					\
			op;						\
			while (!g_arrived)				\
				relax();				\
			g_sample(from, g_arrived);			\
		}							\
		g_done();						\
	}

INTERRUPT(g_self_ipi, x2apic_write(APIC_SELF, VECTOR))
INTERRUPT(g_irqfd, outl(PORT_IRQ, 0))

/*
 * From the ICR of one vCPU to the handler of another, which has halted. The other's thread goes first
 * (see below): while this one runs, it sleeps.
 */
static void g_ipi(void)
{
	x2apic_on();
	g_await(&g_ready, 1);
	while (g_nr < g_want) {
		uint64_t from;

		g_arrived = 0;
		MARK(MARK_FROM);
		from = rdtsc();
		x2apic_write(APIC_ICR, 1ull << 32 | VECTOR);
		while (!g_arrived)
			relax();
		G_CHECK(g_arrived > from);
		g_sample(from, g_arrived);
	}
	g_done();
}

static void g_receive(void)
{
	x2apic_on();
	g_handlers[VECTOR] = g_interrupt;
	g_ready = 1;
	for (;;) {
		sti_hlt();
		cli();
	}
}

/* From the deadline to the handler, while the guest runs. */
static void g_timer(void)
{
	x2apic_on();
	g_handlers[VECTOR] = g_interrupt;
	x2apic_write(APIC_LVTT, VECTOR | APIC_DEADLINE);
	sti();
	while (g_nr < g_want) {
		uint64_t deadline = rdtsc() + SHORT_HALT;

		g_arrived = 0;
		MARK(MARK_FROM);
		wrmsr(MSR_TSC_DEADLINE, deadline);
		while (!g_arrived)
			;
		G_CHECK(g_arrived >= deadline);
		g_sample(deadline, g_arrived);
	}
	g_done();
}

/* From the deadline to the handler. */
static void g_halt(uint64_t ticks)
{
	x2apic_on();
	g_handlers[VECTOR] = g_interrupt;
	x2apic_write(APIC_LVTT, VECTOR | APIC_DEADLINE);
	while (g_nr < g_want) {
		uint64_t deadline = rdtsc() + ticks;

		g_arrived = 0;
		MARK(MARK_FROM);
		wrmsr(MSR_TSC_DEADLINE, deadline);
		sti_hlt();
		cli();
		G_CHECK(g_arrived >= deadline);
		g_sample(deadline, g_arrived);
	}
	g_done();
}

static void g_short_halt(void) { g_halt(SHORT_HALT); }
static void g_long_halt(void) { g_halt(LONG_HALT); }

/* ---- driver ---- */

static struct vcpu *prepare(guest_fn fn, unsigned int flags)
{
	const char *count = getenv("BENCH_COUNT");
	struct vm *vm;

	if (count)
		g_want = strtoul(count, NULL, 0);
	CHECK(g_want > 1 && g_want < MAX_SAMPLES);
	vm = machine(flags);
	return machine_vcpu(vm, fn);
}

/* As little of a VMM as can be: what it costs is in the figures. */
static void run(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	for (;;) {
		CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
		switch (run->exit_reason) {
		case KVM_EXIT_IO:
			if (run->io.port == PORT_VMM) {
				if (run->io.direction == KVM_EXIT_IO_IN)
					*((uint8_t *)run + run->io.data_offset) = 0;
				break;
			}
			if (run->io.port == PORT_DONE)
				return;
			vcpu_dump(vcpu);
			FAIL("port %#x", run->io.port);
		case KVM_EXIT_MMIO:
			CHECK(run->mmio.phys_addr == MMIO_VMM);
			if (!run->mmio.is_write)
				*(uint64_t *)run->mmio.data = 0;
			break;
		default:
			vcpu_dump(vcpu);
			FAIL("exit %u", run->exit_reason);
		}
	}
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Sorts the samples: the median is in the middle. */
static uint32_t *collect(struct vcpu *vcpu, uint32_t *n)
{
	uint32_t *samples;

	run(vcpu);
	samples = guest_ptr(vcpu->vm, g_samples);
	*n = g_want < SAMPLES ? g_want : SAMPLES;
	qsort(samples, *n, sizeof(*samples), by_value);
	return samples;
}

static void report(const char *row, struct vcpu *vcpu)
{
	uint32_t n, *empty, *samples;

	printf("count %s\n", row);
	MARK(MARK_ROW);
	samples = collect(vcpu, &n);
	MARK(MARK_OVER);
	empty = collect(prepare(g_nothing, 0), &n);
	printf("bench %s %u %u\n", row, samples[n / 2] - empty[n / 2], samples[0] - empty[0]);
}

/* ROW(what it is called, flags of the VM, the guest) */
#define ROW(row, flags, fn)						\
	TEST(row)							\
	{								\
		report(#row, prepare(fn, flags));			\
	}

ROW(pic, VM_IRQCHIP, g_pic)
ROW(port_in, VM_IRQCHIP, g_port_in)
ROW(port_out, VM_IRQCHIP, g_port_out)
ROW(mmio_read, VM_IRQCHIP, g_mmio_read)
ROW(mmio_write, VM_IRQCHIP, g_mmio_write)
ROW(cpuid, VM_IRQCHIP, g_cpuid)
ROW(rdmsr, VM_IRQCHIP, g_rdmsr)
ROW(x2apic_eoi, VM_IRQCHIP, g_x2apic_eoi)
ROW(self_ipi, VM_IRQCHIP, g_self_ipi)

/* One sample per page, each there in the VMM but not yet in the guest's tables. */
TEST(fault)
{
	struct vcpu *vcpu = prepare(g_touch, VM_IRQCHIP);
	size_t size = g_want * PAGE_SIZE;
	uint8_t *mem;

	mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(mem != MAP_FAILED);
	madvise(mem, size, MADV_NOHUGEPAGE);
	memset(mem, 1, size);
	vm_set_slot(vcpu->vm, 1, 0, GUEST_EXTRA, size, mem);
	report("fault", vcpu);
}

static int event(void)
{
	return CHECK_OK(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
}

static void ioeventfd(struct vcpu *vcpu, uint64_t addr, uint32_t flags, int fd)
{
	struct kvm_ioeventfd io = { .addr = addr, .len = 4, .fd = fd, .flags = flags };

	CHECK_OK(ioctl(vcpu->vm->fd, KVM_IOEVENTFD, &io));
}

TEST(port_event)
{
	struct vcpu *vcpu = prepare(g_port_event, VM_IRQCHIP);

	ioeventfd(vcpu, PORT_EVENT, KVM_IOEVENTFD_FLAG_PIO, event());
	report("port_event", vcpu);
}

TEST(mmio_event)
{
	struct vcpu *vcpu = prepare(g_mmio_event, VM_IRQCHIP);

	ioeventfd(vcpu, MMIO_EVENT, 0, event());
	report("mmio_event", vcpu);
}

/* The guest's write signals the eventfd that interrupts it: the way of a virtio device. */
TEST(irqfd)
{
	struct vcpu *vcpu = prepare(g_irqfd, VM_IRQCHIP);
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entry;
	} routing = {
		.head.nr = 1,
		.entry.gsi = MSI_GSI,
		.entry.type = KVM_IRQ_ROUTING_MSI,
		.entry.u.msi.address_lo = MSI_ADDRESS,
		.entry.u.msi.data = VECTOR,
	};
	struct kvm_irqfd irqfd = { .fd = event(), .gsi = MSI_GSI };

	CHECK_OK(ioctl(vcpu->vm->fd, KVM_SET_GSI_ROUTING, &routing));
	CHECK_OK(ioctl(vcpu->vm->fd, KVM_IRQFD, &irqfd));
	ioeventfd(vcpu, PORT_IRQ, KVM_IOEVENTFD_FLAG_PIO, irqfd.fd);
	report("irqfd", vcpu);
}

static void *first(void *vcpu)
{
	run(vcpu);
	return NULL;
}

TEST(ipi)
{
	struct vcpu *vcpu = prepare(g_ipi, VM_IRQCHIP);
	struct sched_param fifo = { .sched_priority = 1 };
	struct vcpu *other = machine_vcpu(vcpu->vm, g_receive);
	struct kvm_mp_state running = { KVM_MP_STATE_RUNNABLE };
	pthread_attr_t attr;
	pthread_t t;

	CHECK_OK(ioctl(other->fd, KVM_SET_MP_STATE, &running));
	CHECK(!pthread_attr_init(&attr));
	CHECK(!pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED));
	CHECK(!pthread_attr_setschedpolicy(&attr, SCHED_FIFO));
	CHECK(!pthread_attr_setschedparam(&attr, &fifo));
	CHECK(!pthread_create(&t, &attr, first, other));
	report("ipi", vcpu);
}

ROW(timer, VM_IRQCHIP, g_timer)
ROW(short_halt, VM_IRQCHIP, g_short_halt)
ROW(long_halt, VM_IRQCHIP, g_long_halt)

/* ---- from nothing to a guest ---- */

/* Real mode: the mark, out %al, $0x10 */
#define FIRST	"\x67" MARK_OPCODE "\x03\x76\x68\x6c" "\xe6\x10"

/* From before KVM_CREATE_VM to the guest's first instruction. Under count.c only: who else could tell? */
TEST(first_instruction)
{
	int i;

	printf("count first_instruction\n");
	MARK(MARK_ROW);
	for (i = 0; i < 21; i++) {
		struct vcpu *vcpu;

		MARK(MARK_FROM);
		vcpu = GUEST(vm_create(VM_IRQCHIP), FIRST);
		CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
		CHECK_EQ(vcpu->run->exit_reason, KVM_EXIT_IO);
		close(vcpu->fd);
		munmap(vcpu->run, vcpu->vm->run_size);
		close(vcpu->vm->fd);
		munmap(vcpu->vm->ram, vcpu->vm->ram_size);
	}
	MARK(MARK_OVER);
}
