/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Scheduling policies on a real kernel, with real guests. What a guest got is what it did: it counts.
 */
#ifndef SCHED_TEST_H
#define SCHED_TEST_H

#include "guest.h"
#include "../netlink/nl.h"

#define MS	1000000ull

/* A VM whose vCPUs count, and the threads that run them. */
struct crew {
	struct vm *vm;
	uint64_t id;
	int n;
	struct runner runner[8];
};

extern struct nl *nl;

/* Netlink is open, the default pool has one slot (or @slots) and @policy. */
void sched_setup(const char *policy, uint32_t slots);
int pool_set(const char *pool, const char *policy, int slots, const char *cpus);
int pool_set_quantum(const char *pool, uint64_t ns);
uint64_t pool_get(const char *pool, int attr);

/* vm-set with one or two attributes; 0 ends. Values of 64 bits by the attribute. */
int sched_set(uint64_t id, int attr, uint64_t value, int attr2, uint64_t value2);
/* The same, to another pool at once. */
int sched_move(uint64_t id, int pool, int attr, uint64_t value, int attr2, uint64_t value2);
uint64_t sched_get(uint64_t id, int attr);
/* All figures of one moment: fig[LHV_A_SCHED_WAIT_NS], ... */
void sched_figures(uint64_t id, uint64_t *fig);
#define FIGURES	(LHV_A_SCHED_MAX + 1)

void crew_start(struct crew *c, int vcpus, guest_fn fn);
/* The same in two steps: what asks a vCPU once it runs waits until it stops. */
void crew_make(struct crew *c, struct vm *vm, int vcpus, guest_fn fn);
void crew_go(struct crew *c);
uint64_t crew_work(const struct crew *c);
/* Until each vCPU of each of these has gone on. How long that took; fails when one does not. */
uint64_t crews_move(const struct crew *c, int n);
/* Kills the VM and waits for its threads: each got EIO. */
void crew_end(struct crew *c);
void sleep_ms(unsigned int ms);

/* guests.c */
extern volatile uint64_t g_work[8], g_length, g_go;
void g_spin(void);	/* counts for ever */
void g_rest(void);	/* halts every now and then */
void g_nap(void);	/* halts for 100 us, and counts; needs a LAPIC */
void g_stolen(void);	/* runs for ever; its work is its steal time in ns */
void g_errand(void);	/* waits for g_go, sends its VMM on an errand, and counts */
#define PORT_ERRAND	0x300
void g_job(void);	/* g_length steps, and ends */
void g_lock(void);	/* counts under a lock that its siblings want, too */

/*
 * Of each vCPU at GUEST_SHARED: when it was not running for at least ABSENCE ticks of the TSC; g_work
 * counts them. What is shorter may be the machine's own interrupts.
 */
#define ABSENCE		(5 * MS)
struct absence {
	uint64_t from, to;
};

#define WATCHERS	2
#define ABSENCES	2000
void g_watch(void);

#endif
