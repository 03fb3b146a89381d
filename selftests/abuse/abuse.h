/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Abuse: what a hostile guest, a hostile VMM or a host in distress may do. The host survives: no
 * splat, no leak, no hang, no VM left. And what was asked for was done, or refused without a trace.
 *
 * From the environment:
 *	ABUSE_SEED	what the random numbers start from; printed by each case
 *	ABUSE_LONG	do as much as `make abuse` does, not as `make test`
 */
#ifndef ABUSE_H
#define ABUSE_H

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

/* ---- random numbers ---- */

struct rng {
	uint64_t s;
};

/* The seed of this process, from the environment or the clock; says which. */
uint64_t abuse_seed(void);
void rng_init(struct rng *r, uint64_t seed, uint64_t stream);
uint64_t rng64(struct rng *r);
uint64_t below(struct rng *r, uint64_t n);
/* A value of the kind that breaks things: near powers of two, near zero, near -1. */
uint64_t odd(struct rng *r);
void fill_random(struct rng *r, void *p, size_t n);

/* ---- how long ---- */

/* How much to do: @brief, or @thorough in the long form. */
uint64_t amount(uint64_t brief, uint64_t thorough);
uint64_t now(void);	/* in milliseconds */
void msleep(unsigned int ms);
/* The debug kernel: some hundred times slower where it counts. */
bool slow_kernel(void);

/* ---- the module ---- */

/* Skips without a module to load, and where it is not lhv that is tested. */
void need_module(void);
/* insmod, with parameters, and rmmod: 0, or -1 and errno */
int module_load(const char *parameters);
int module_unload(void);

/* Fail unless the module's use count falls to @n soon. */
void expect_users(int n);

/* The same for no users, and neither is a page left of all VMs' tables. */
void expect_nothing(void);

/* Take out of a vCPU's state what QEMU's TCG does not survive. */
void spare_emulator(struct kvm_sregs *sregs);

/* ---- a process per VMM ---- */

/* Fork @fn(@arg); the child never returns. */
pid_t spawn(void (*fn)(void *arg), void *arg);
/* A zeroed page that children share with their parent. */
void *map_shared(void);
/* Wait for it at most @seconds; fails when it does not come. */
int reap_child(pid_t pid, unsigned int seconds);

/* ---- the busy guest ---- */

#define BUSY_SIZE	(4u << 20)	/* at GUEST_EXTRA */
#define BUSY_MAX_CPUS	4

enum {
	BUSY_IPI = 1, BUSY_NMI = 2, BUSY_MEMORY = 4, BUSY_CPUID = 8, BUSY_PIO = 16, BUSY_MMIO = 32,
	BUSY_HLT = 64, BUSY_FLUSH = 128, BUSY_TIMER = 256, BUSY_STORM = 512,
	BUSY_ALL = BUSY_IPI | BUSY_NMI | BUSY_MEMORY | BUSY_CPUID | BUSY_PIO | BUSY_MMIO |
		   BUSY_HLT | BUSY_FLUSH | BUSY_TIMER,
};

struct busy {
	struct vm *vm;
	uint8_t *extra;		/* what lies at GUEST_EXTRA */
	pthread_t threads[BUSY_MAX_CPUS];
	int stats[BUSY_MAX_CPUS];	/* BUSY_STORM: of the vCPUs */
	int n;
};

/*
 * A guest of @n vCPUs that does what @what says, each in a thread of its own, and checks that
 * its memory keeps what it wrote (@lossy: or reads as zero). -EFAULT is retried.
 */
void busy_start(struct busy *b, int n, unsigned int what, bool lossy);
/* Sum over all vCPUs of what they did so far. */
uint64_t busy_beats(struct busy *b);
/* Fail unless all vCPUs are at work within @seconds. */
void busy_await_all(struct busy *b, unsigned int seconds);
/*
 * Fail unless each vCPU, for itself, made and took enough of all that @what has in the @ms since
 * busy_await_all(): no exit may be missing, while interrupts may become one with those before. Beside
 * a timer's, one of each is enough.
 */
void busy_check_storm(struct busy *b, unsigned int what, uint64_t ms);
/* Fail unless every vCPU goes on within @seconds. */
void busy_alive(struct busy *b, unsigned int seconds);
/* Ask the guest to end and wait for it. */
void busy_stop(struct busy *b);

#endif
