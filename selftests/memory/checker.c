// SPDX-License-Identifier: GPL-2.0
/* The guest that checks itself; see checker.h. */
#include "checker.h"

#define TAG	0x9e3779b97f4a7c15u

/* Where in a page: how often it was written, the host's word, and what must go with it */
enum { GEN, HOST, FIRST = 171, MIDDLE = 342, LAST = 511 };

static volatile uint64_t nr, nr_pages, quit, quiet, uniform;
static volatile uint64_t passes[CHECKER_CPUS], acked[CHECKER_CPUS];
static volatile uint32_t gens[CHECKER_PAGES];
static volatile uint32_t host_seen[CHECKER_PAGES];
static volatile uint32_t seen[CHECKER_CPUS][CHECKER_PAGES];

static uint64_t pattern(uint64_t page, uint64_t gen, int word)
{
	return gen ? (gen + (uniform ? 0 : page << 32)) * TAG + word : 0;
}

/* ---- the guest's side ---- */

static volatile uint64_t *at(uint64_t page)
{
	return (volatile uint64_t *)(GUEST_EXTRA + page * PAGE_SIZE);
}

static void check_own(uint64_t page)
{
	volatile uint64_t *p = at(page);
	uint64_t gen = gens[page], host = p[HOST];

	G_EQ(p[GEN], gen);
	G_EQ(p[FIRST], pattern(page, gen, FIRST));
	G_EQ(p[MIDDLE], pattern(page, gen, MIDDLE));
	G_EQ(p[LAST], pattern(page, gen, LAST));
	if (host < host_seen[page])
		g_fail(__FILE__, __LINE__, "the host's word", host, host_seen[page]);
	host_seen[page] = host;
}

static void write_own(uint64_t page)
{
	volatile uint64_t *p = at(page);
	uint64_t gen = gens[page] + 1;

	p[FIRST] = pattern(page, gen, FIRST);
	p[MIDDLE] = pattern(page, gen, MIDDLE);
	p[LAST] = pattern(page, gen, LAST);
	p[GEN] = gen;
	gens[page] = gen;
}

static void look_on(uint64_t id, uint64_t page)
{
	uint64_t gen = at(page)[GEN];

	if (gen < seen[id][page])
		g_fail(__FILE__, __LINE__, "another's page", gen, seen[id][page]);
	seen[id][page] = gen;
}

static void g_check(uint64_t id)
{
	uint64_t page, only_read;

	while (!quit) {
		only_read = quiet;
		for (page = id; page < nr_pages; page += nr) {
			check_own(page);
			if (!only_read)
				write_own(page);
		}
		for (page = passes[id] % 8; page < nr_pages; page += 8)
			look_on(id, page);
		acked[id] = only_read;
		passes[id]++;
	}
	g_done();
}

static void g_check0(void) { g_check(0); }
static void g_check1(void) { g_check(1); }
static void g_check2(void) { g_check(2); }
static void g_check3(void) { g_check(3); }

/* ---- the driver's ---- */

static struct checker *the_checker;

/* While the slot is away or read-only, its accesses come here. */
static void absent(struct vcpu *vcpu)
{
	struct checker *c = the_checker;
	struct kvm_run *run = vcpu->run;
	uint64_t off = run->mmio.phys_addr - GUEST_EXTRA;

	if (!c->window || off + run->mmio.len > c->size || run->mmio.len != 8) {
		vcpu_dump(vcpu);
		FAIL("MMIO at %#llx, size %u", run->mmio.phys_addr, run->mmio.len);
	}
	__atomic_add_fetch(&c->mmio, 1, __ATOMIC_RELAXED);
	if (run->mmio.is_write)
		*(volatile uint64_t *)(c->window + off) = *(uint64_t *)run->mmio.data;
	else
		*(uint64_t *)run->mmio.data = *(volatile uint64_t *)(c->window + off);
}

static void *vcpu_loop(void *arg)
{
	struct checker *c = the_checker;
	struct vcpu *vcpu = arg;
	uint32_t value;

	for (;;) {
		if (ioctl(vcpu->fd, KVM_RUN, 0) < 0) {
			if (errno == EINTR || errno == EAGAIN)
				continue;
			if (errno != EFAULT || !c->lossy)
				FAIL("KVM_RUN: %s", strerror(errno));
			c->faults[vcpu->id]++;
			sched_yield();
			continue;
		}
		switch (vcpu->run->exit_reason) {
		case KVM_EXIT_MMIO:
			absent(vcpu);
			break;
		case KVM_EXIT_IO:
			if (vcpu->run->io.port == PORT_DONE)
				return NULL;
			vcpu_go(vcpu, &value);	/* says what failed */
			break;
		default:
			vcpu_dump(vcpu);
			FAIL("vCPU %d: exit %u", vcpu->id, vcpu->run->exit_reason);
		}
	}
}

void checker_start(struct checker *c, int n, void *mem, size_t size)
{
	static const guest_fn fns[CHECKER_CPUS] = { g_check0, g_check1, g_check2, g_check3 };
	int i;

	CHECK(n <= CHECKER_CPUS && size / PAGE_SIZE <= CHECKER_PAGES);
	c->vm = machine(0);
	c->mem = mem;
	c->size = size;
	c->n = n;
	the_checker = c;
	vm_set_slot(c->vm, 1, 0, GUEST_EXTRA, size, mem);
	GUEST_VAR(c->vm, nr) = n;
	GUEST_VAR(c->vm, nr_pages) = size / PAGE_SIZE;
	GUEST_VAR(c->vm, uniform) = uniform;
	for (i = 0; i < n; i++)
		machine_vcpu(c->vm, fns[i]);
	for (i = 0; i < n; i++) {
		errno = pthread_create(&c->threads[i], NULL, vcpu_loop, &c->vm->vcpus[i]);
		CHECK(!errno);
	}
}

/* The harness has a time limit; there is none here. */
void checker_passes(struct checker *c, int n)
{
	volatile uint64_t *p = guest_ptr(c->vm, passes);
	uint64_t until[CHECKER_CPUS];
	int i;

	for (i = 0; i < c->n; i++)
		until[i] = p[i] + n;
	for (i = 0; i < c->n; i++)
		while (p[i] < until[i])
			usleep(1000);
}

void checker_settle(struct checker *c)
{
	volatile uint32_t *guest_saw = guest_ptr(c->vm, host_seen);
	volatile uint64_t *p;
	size_t i;

	c->beat++;
	for (i = 0; i < c->size / PAGE_SIZE; i++) {
		p = (uint64_t *)(c->mem + i * PAGE_SIZE);
		p[HOST] = c->beat;
		if (p[GEN] < c->seen[i])
			FAIL("page %zu fell from %u to %llu", i, c->seen[i],
			     (unsigned long long)p[GEN]);
		c->seen[i] = p[GEN];
	}
	/* The first of them may have begun before we wrote. */
	checker_passes(c, 2);
	for (i = 0; i < c->size / PAGE_SIZE; i++)
		CHECK_EQ(guest_saw[i], c->beat);
}

void checker_quiet(struct checker *c, bool on)
{
	volatile uint64_t *p = guest_ptr(c->vm, acked);
	int i;

	GUEST_VAR(c->vm, quiet) = on;
	for (i = 0; i < c->n; i++)
		while (p[i] != on)
			usleep(1000);
}

void checker_stop(struct checker *c)
{
	const uint32_t *gen = guest_ptr(c->vm, gens);
	size_t i;
	int j;

	GUEST_VAR(c->vm, quit) = 1;
	for (j = 0; j < c->n; j++)
		CHECK(!pthread_join(c->threads[j], NULL));
	for (i = 0; i < c->size / PAGE_SIZE; i++) {
		uint64_t *p = (uint64_t *)(c->mem + i * PAGE_SIZE);

		CHECK_EQ(p[GEN], gen[i]);
		CHECK_EQ(p[FIRST], pattern(i, gen[i], FIRST));
		CHECK_EQ(p[MIDDLE], pattern(i, gen[i], MIDDLE));
		CHECK_EQ(p[LAST], pattern(i, gen[i], LAST));
	}
}

void await_mapped(struct checker *c, int kind, uint64_t at_least, uint64_t at_most)
{
	uint64_t end = now_ms() + 30000, n;

	do {
		checker_passes(c, 1);
		n = vm_mapped(c->vm).pages[kind];
		if (n >= at_least && n <= at_most)
			return;
	} while (now_ms() < end);
	FAIL("%llu pages of kind %d, not %llu to %llu", (unsigned long long)n, kind,
	     (unsigned long long)at_least, (unsigned long long)at_most);
}

/* See checker.h. */
void checker_alike(void)
{
	uniform = 1;
}
