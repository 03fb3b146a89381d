// SPDX-License-Identifier: GPL-2.0
/* The guests: what they do, they count. */
#include "sched.h"

volatile uint64_t g_work[8], g_length;

/* The vCPU's number is in its stack pointer: each has a stack of its own. */
void g_spin(void)
{
	uint64_t sp, me;

	asm volatile("mov %%rsp, %0" : "=r"(sp));
	me = (sp - GUEST_STACKS) / GUEST_STACK % 8;
	for (;;)
		g_work[me]++;
}

void g_job(void)
{
	volatile uint64_t i;

	for (i = 0; i < g_length; i++)
		;
	g_done();
}

static volatile uint64_t lock;

void g_lock(void)
{
	uint64_t sp, me, i;

	asm volatile("mov %%rsp, %0" : "=r"(sp));
	me = (sp - GUEST_STACKS) / GUEST_STACK % 8;
	for (;;) {
		while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE))
			relax();
		for (i = 0; i < 200; i++)
			store(&g_work[me], g_work[me]);
		g_work[me]++;
		__atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
		for (i = 0; i < 400; i++)
			relax();
	}
}
