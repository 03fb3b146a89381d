// SPDX-License-Identifier: GPL-2.0
/* The guests: what they do, they count. */
#include <linux/kvm_para.h>

#include "sched.h"

volatile uint64_t g_work[8], g_length, g_go;

/* The vCPU's number is in its stack pointer: each has a stack of its own. */
void g_spin(void)
{
	uint64_t sp, me;

	asm volatile("mov %%rsp, %0" : "=r"(sp));
	me = (sp - GUEST_STACKS) / GUEST_STACK % 8;
	for (;;)
		g_work[me]++;
}

static volatile struct kvm_steal_time g_record __attribute__((aligned(64)));

void g_stolen(void)
{
	wrmsr(MSR_KVM_STEAL_TIME, (uint64_t)&g_record | 1);
	for (;;)
		g_work[0] = g_record.steal + 1;
}

void g_errand(void)
{
	while (!g_go)
		relax();
	outb(PORT_ERRAND, 0);
	for (;;)
		g_work[0]++;
}

/* Bursts of some 50,000 instructions. */
void g_rest(void)
{
	volatile uint64_t i;

	for (;;) {
		for (i = 0; i < 8000; i++)
			;
		asm volatile("hlt");
	}
}

#define NAP_VEC	0x51

void g_nap(void)
{
	xapic_on();
	g_handlers[NAP_VEC] = g_eoi;
	xapic_write(APIC_TDCR, APIC_DIV_1);
	xapic_write(APIC_LVTT, NAP_VEC);
	for (;;) {
		cli();
		xapic_write(APIC_TMICT, 100000);
		sti_hlt();
		g_work[0]++;
	}
}

void g_job(void)
{
	volatile uint64_t i;

	for (i = 0; i < g_length; i++)
		;
	g_done();
}

/* First come, first served, as a kernel's own spinlocks are. */
static volatile uint64_t next_ticket, now_serving;

void g_lock(void)
{
	uint64_t sp, me, i, ticket;

	asm volatile("mov %%rsp, %0" : "=r"(sp));
	me = (sp - GUEST_STACKS) / GUEST_STACK % 8;
	for (;;) {
		ticket = __atomic_fetch_add(&next_ticket, 1, __ATOMIC_RELAXED);
		while (__atomic_load_n(&now_serving, __ATOMIC_ACQUIRE) != ticket)
			relax();
		for (i = 0; i < 20; i++)
			store(&g_work[me], g_work[me]);
		g_work[me]++;
		__atomic_store_n(&now_serving, ticket + 1, __ATOMIC_RELEASE);
		for (i = 0; i < 2000; i++)
			store(&g_work[me], g_work[me]);
	}
}

/* Looks at the clock again and again, and writes down when it could not. */
void g_watch(void)
{
	uint64_t sp, me, last, now, n = 0;
	struct absence *log;

	asm volatile("mov %%rsp, %0" : "=r"(sp));
	me = (sp - GUEST_STACKS) / GUEST_STACK % WATCHERS;
	log = (struct absence *)GUEST_SHARED + me * ABSENCES;
	for (last = rdtsc(); ; last = now) {
		now = rdtsc();
		if (now - last < ABSENCE || n == ABSENCES)
			continue;
		log[n].from = last;
		log[n].to = now;
		store(&g_work[me], ++n);
	}
}
