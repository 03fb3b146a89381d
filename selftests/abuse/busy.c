// SPDX-License-Identifier: GPL-2.0
/* The busy guest; see abuse.h. */
#include "abuse.h"
#include "stats.h"

#define VEC_TIMER	0x41
#define VEC_IPI		0x42
#define TAG		0x5afe000000000000u

static volatile uint64_t nr_cpus, ready, todo, lossy, quit, period;
static volatile uint64_t beats[BUSY_MAX_CPUS];

/* By vCPU and the number of a BUSY_ bit: what it did; interrupts sent to it, and taken. */
#define KINDS	9
#define KIND(what) __builtin_ctz(what)
static volatile uint64_t did[BUSY_MAX_CPUS][KINDS], sent[BUSY_MAX_CPUS][KINDS];
static volatile uint64_t taken[BUSY_MAX_CPUS][KINDS];

/* ---- the guest's side ---- */

static uint64_t *word(uint64_t page)
{
	return (uint64_t *)(GUEST_EXTRA + page * PAGE_SIZE + page % 500 * 8);
}

/* The pages of a vCPU: every nr_cpus-th. What they hold says which and how often written. */
static void check_page(uint64_t page, volatile uint16_t *gen)
{
	uint64_t is = *word(page), want = TAG | page << 16 | *gen;

	if (lossy ? is && (is >> 16) != (want >> 16) : *gen && is != want)
		g_fail(__FILE__, __LINE__, "page", is, want);
	if (!++*gen)
		*gen = 1;
	*word(page) = TAG | page << 16 | *gen;
}

static volatile uint16_t gens[BUSY_SIZE / PAGE_SIZE];

static void one(unsigned int what, uint32_t id, uint64_t random)
{
	uint64_t page = (random >> 16) % (BUSY_SIZE / PAGE_SIZE / nr_cpus) * nr_cpus + id;
	uint32_t other = (random >> 40) % nr_cpus, r[4], i;
	bool all = random >> 48 & 1;

	switch (what) {
	case BUSY_IPI:
		for (i = 0; i < nr_cpus; i++)
			if (all ? i != id : i == other)
				atomic_add(&sent[i][KIND(BUSY_IPI)], 1);
		xapic_ipi(other, VEC_IPI | (all ? APIC_TO_OTHERS : 0));
		break;
	case BUSY_NMI:
		atomic_add(&sent[other][KIND(BUSY_NMI)], 1);
		xapic_ipi(other, APIC_NMI);
		break;
	case BUSY_MEMORY:
		check_page(page, &gens[page]);
		break;
	case BUSY_CPUID:
		cpuid(random >> 32 & 0xf, 0, r);
		break;
	case BUSY_PIO:
		outb(PORT_DEV + (random >> 32 & 0x3f), random >> 24);
		break;
	case BUSY_MMIO:
		store((void *)(uintptr_t)(MMIO_DEV + (random >> 32 & 0xff8)), random);
		break;
	case BUSY_HLT:
		/* Never without a timer to end it */
		if (todo & BUSY_TIMER)
			asm volatile("hlt");
		break;
	case BUSY_FLUSH:
		WRITE_CR(3, READ_CR(3));
		WRITE_CR(4, READ_CR(4) ^ X86_CR4_PGE);
		break;
	}
}

static void work(uint32_t id)
{
	uint64_t random = 88172645463325252u + id;

	xapic_on();
	if (todo & BUSY_TIMER) {
		xapic_write(APIC_TDCR, APIC_DIV_1);
		xapic_write(APIC_LVTT, VEC_TIMER | APIC_PERIODIC);
		xapic_write(APIC_TMICT, period);
	}
	/* Nobody is ready for an NMI before its IDT is in place. */
	atomic_add(&ready, 1);
	g_await(&ready, nr_cpus);
	sti();
	while (!quit) {
		unsigned int what;

		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		what = 1u << (random % 9);
		if (!(todo & what))
			continue;
		one(what, id, random);
		did[id][KIND(what)]++;
		beats[id]++;
	}
	cli();
	g_done();
}

/* Handlers run on the stack of their vCPU. */
static void take(struct frame *frame, unsigned int what)
{
	taken[((uintptr_t)frame - GUEST_STACKS) / GUEST_STACK][KIND(what)]++;
}

static void on_timer(struct frame *frame)
{
	take(frame, BUSY_TIMER);
	g_eoi(frame);
}

static void on_ipi(struct frame *frame)
{
	take(frame, BUSY_IPI);
	g_eoi(frame);
}

static void on_nmi(struct frame *frame)
{
	take(frame, BUSY_NMI);
}

static void g_busy(void)
{
	g_handlers[VEC_TIMER] = on_timer;
	g_handlers[VEC_IPI] = on_ipi;
	g_handlers[NMI] = on_nmi;
	xapic_on();
	g_ap_main = work;
	if (nr_cpus > 1) {
		xapic_ipi(0, APIC_INIT | APIC_ASSERT | APIC_TO_OTHERS);
		xapic_ipi(0, APIC_SIPI | APIC_ASSERT | APIC_TO_OTHERS | GUEST_TRAMPOLINE >> 12);
	}
	work(0);
}

/* ---- the driver's ---- */

/* While the slot at GUEST_EXTRA is away, its accesses come here. */
static bool absent(struct vcpu *vcpu, uint8_t *extra)
{
	struct kvm_run *run = vcpu->run;
	uint64_t at = run->mmio.phys_addr - GUEST_EXTRA;

	if (run->exit_reason != KVM_EXIT_MMIO || at + run->mmio.len > BUSY_SIZE)
		return false;
	if (run->mmio.is_write)
		memcpy(extra + at, run->mmio.data, run->mmio.len);
	else
		memcpy(run->mmio.data, extra + at, run->mmio.len);
	return true;
}

static struct busy *the_busy;
static volatile uint64_t came[BUSY_MAX_CPUS][KINDS];	/* exits to here, as did[] */

static void *vcpu_loop(void *arg)
{
	struct vcpu *vcpu = arg;
	uint32_t value;
	int ret;

	for (;;) {
		ret = ioctl(vcpu->fd, KVM_RUN, 0);
		if (ret < 0 && (errno == EINTR || errno == EAGAIN || errno == EFAULT))
			continue;
		if (ret < 0)
			FAIL("KVM_RUN: %s", strerror(errno));
		if (absent(vcpu, the_busy->extra))
			continue;
		if (vcpu->run->exit_reason == KVM_EXIT_MMIO) {
			came[vcpu->id][KIND(BUSY_MMIO)]++;
			continue;
		}
		if (vcpu->run->exit_reason != KVM_EXIT_IO) {
			vcpu_dump(vcpu);
			FAIL("vCPU %d: exit %u", vcpu->id, vcpu->run->exit_reason);
		}
		if (vcpu->run->io.port == PORT_DONE)
			return NULL;
		if (vcpu->run->io.port == PORT_FAIL)
			vcpu_go(vcpu, &value);	/* says what failed */
		came[vcpu->id][KIND(BUSY_PIO)]++;
	}
}

void busy_start(struct busy *b, int n, unsigned int what, bool may_lose)
{
	struct vm *vm = machine(VM_IRQCHIP);
	int i;

	CHECK(n <= BUSY_MAX_CPUS);
	b->vm = vm;
	b->n = n;
	if (!b->extra)
		b->extra = map_memory(BUSY_SIZE, 2 << 20);
	the_busy = b;
	vm_set_slot(vm, 1, 0, GUEST_EXTRA, BUSY_SIZE, b->extra);
	GUEST_VAR(vm, nr_cpus) = n;
	GUEST_VAR(vm, todo) = what;
	GUEST_VAR(vm, lossy) = may_lose;
	GUEST_VAR(vm, period) = what & BUSY_STORM ? 1 : 1000000;
	for (i = 0; i < n; i++) {
		machine_vcpu(vm, i ? NULL : g_busy);
		/* Later ioctls would wait for its KVM_RUN to end. */
		if (what & BUSY_STORM)
			b->stats[i] = CHECK_OK(ioctl(vm->vcpus[i].fd, KVM_GET_STATS_FD, 0));
	}
	for (i = 0; i < n; i++) {
		errno = pthread_create(&b->threads[i], NULL, vcpu_loop, &vm->vcpus[i]);
		CHECK(!errno);
	}
}

uint64_t busy_beats(struct busy *b)
{
	volatile uint64_t *p = guest_ptr(b->vm, beats);
	uint64_t sum = 0;
	int i;

	for (i = 0; i < b->n; i++)
		sum += p[i];
	return sum;
}

void busy_await_all(struct busy *b, unsigned int seconds)
{
	volatile uint64_t *p = guest_ptr(b->vm, &ready);
	uint64_t end = now() + seconds * 1000ull;

	while (*p < (uint64_t)b->n) {
		CHECK(now() < end);
		msleep(1);
	}
}

static uint64_t all_exits(int fd)
{
	struct stats s;
	uint64_t n;

	stats_open(fd, &s);
	n = stats_get(fd, &s, "exits");
	free(s.descs);
	return n;
}

static void enough(int cpu, const char *what, uint64_t is, uint64_t least)
{
	if (is < least)
		FAIL("vCPU %d: %llu %s, not %llu", cpu, (unsigned long long)is, what,
		     (unsigned long long)least);
}

void busy_check_storm(struct busy *b, unsigned int what, uint64_t ms)
{
	static const char *const names[KINDS] = {
		"IPIs", "NMIs", "pages", "CPUIDs", "port accesses", "MMIO accesses", "halts", "flushes",
		"timer interrupts",
	};
	volatile uint64_t (*made)[KINDS] = guest_ptr(b->vm, did);
	volatile uint64_t (*to)[KINDS] = guest_ptr(b->vm, sent);
	volatile uint64_t (*got)[KINDS] = guest_ptr(b->vm, taken);
	unsigned int kind, slow = slow_kernel() ? 10 : 1;
	bool timer = what & BUSY_TIMER;	/* whose interrupts may leave no time for much else */
	int i;

	for (i = 0; i < b->n; i++) {
		uint64_t exits = 0, n, m;

		for (kind = 0; kind < KINDS; kind++) {
			if (!(what & 1u << kind))
				continue;
			switch (1u << kind) {
			case BUSY_IPI:
			case BUSY_NMI:
				n = to[i][kind];
				m = got[i][kind];
				enough(i, names[kind], n, timer ? 1 : ms / 20 / slow);
				enough(i, names[kind], m, timer ? 1 : n / 100 + 10 / slow);
				break;
			case BUSY_TIMER:
				n = ms;
				m = got[i][kind];
				enough(i, names[kind], m, ms / 20 / slow);
				break;
			case BUSY_PIO:
			case BUSY_MMIO:
				n = made[i][kind];
				m = came[i][kind];
				enough(i, names[kind], n, ms / 10 / slow);
				enough(i, names[kind], m, n);
				exits += n;
				break;
			default:
				n = m = made[i][kind];
				enough(i, names[kind], n, timer ? 1 : ms / 50 / slow);
				exits += 1u << kind == BUSY_CPUID ? n : 0;
				break;
			}
			test_note("vCPU %d: %llu of %llu %s", i, (unsigned long long)m,
				  (unsigned long long)n, names[kind]);
		}
		if (exits)
			enough(i, "exits", all_exits(b->stats[i]), exits);
	}
}

void busy_alive(struct busy *b, unsigned int seconds)
{
	volatile uint64_t *p = guest_ptr(b->vm, beats);
	uint64_t before[BUSY_MAX_CPUS], end = now() + seconds * 1000ull;
	int i;

	for (i = 0; i < b->n; i++)
		before[i] = p[i];
	for (i = 0; i < b->n; i++) {
		while (p[i] == before[i]) {
			if (now() > end)
				FAIL("vCPU %d does not go on", i);
			msleep(1);
		}
	}
}

void busy_stop(struct busy *b)
{
	int i;

	GUEST_VAR(b->vm, quit) = 1;
	for (i = 0; i < b->n; i++)
		pthread_join(b->threads[i], NULL);
}
