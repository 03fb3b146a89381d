// SPDX-License-Identifier: GPL-2.0
/* The busy guest; see abuse.h. */
#include "abuse.h"

#define VEC_TIMER	0x41
#define VEC_IPI		0x42
#define TAG		0x5afe000000000000u

static volatile uint64_t nr_cpus, ready, todo, lossy, quit, period;
static volatile uint64_t beats[BUSY_MAX_CPUS];

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
	uint32_t other = (random >> 40) % nr_cpus, r[4];

	switch (what) {
	case BUSY_IPI:
		xapic_ipi(other, VEC_IPI | (random >> 48 & 1 ? APIC_TO_OTHERS : 0));
		break;
	case BUSY_NMI:
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
		beats[id]++;
	}
	cli();
	g_done();
}

static void g_busy(void)
{
	g_handlers[VEC_TIMER] = g_eoi;
	g_handlers[VEC_IPI] = g_eoi;
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
		if (vcpu->run->exit_reason == KVM_EXIT_MMIO)
			continue;
		if (vcpu->run->exit_reason != KVM_EXIT_IO) {
			vcpu_dump(vcpu);
			FAIL("vCPU %d: exit %u", vcpu->id, vcpu->run->exit_reason);
		}
		if (vcpu->run->io.port == PORT_DONE)
			return NULL;
		if (vcpu->run->io.port == PORT_FAIL)
			vcpu_go(vcpu, &value);	/* says what failed */
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
	for (i = 0; i < n; i++)
		machine_vcpu(vm, i ? NULL : g_busy);
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

bool busy_took(struct busy *b, unsigned int what)
{
	volatile uint64_t *count = guest_ptr(b->vm, g_count);

	return (!(what & BUSY_IPI) || count[VEC_IPI]) && (!(what & BUSY_NMI) || count[NMI]) &&
	       (!(what & BUSY_TIMER) || count[VEC_TIMER]);
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
