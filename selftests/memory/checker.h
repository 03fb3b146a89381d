/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory: what the host does to a guest's memory while the guest uses all of it.
 *
 * The guest checks itself. Each page belongs to one vCPU, which finds there what it
 * wrote last, every time, and then writes something new; the others, and the host, look
 * on and never see a page go back in time. One word of each page is the host's: the guest
 * sees what the host wrote. Each case also proves that what it is about did happen.
 */
#ifndef CHECKER_H
#define CHECKER_H

#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup.h"
#include "guest.h"

#define MIB		(1ul << 20)
#define HUGE		(2 * MIB)
#define CHECKER_CPUS	4
#define CHECKER_PAGES	16384	/* at most */

struct checker {
	struct vm *vm;
	uint8_t *mem;		/* what lies at GUEST_EXTRA */
	size_t size;
	int n;
	bool lossy;		/* EFAULT of KVM_RUN is expected, and tried again */
	uint8_t *window;	/* the same memory elsewhere: answers MMIO while the slot is away */
	volatile uint64_t faults[CHECKER_CPUS];	/* EFAULTs */
	volatile uint64_t mmio;
	pthread_t threads[CHECKER_CPUS];
	uint64_t beat;
	uint32_t seen[CHECKER_PAGES];
};

/* Zeroed memory in, a guest of @n vCPUs at work on it out. */
void checker_start(struct checker *c, int n, void *mem, size_t size);
/* Wait until every vCPU has been through all of its pages @n times more. */
void checker_passes(struct checker *c, int n);
/* Write to every page, wait, and see that the guest saw it, and that we see the guest. */
void checker_settle(struct checker *c);
/* The guest only reads until it is switched off. With checker_alike() before all else, the
 * pages of a vCPU then hold the same. */
void checker_alike(void);
void checker_quiet(struct checker *c, bool on);
/* The guest ends; what it wrote last is what is there. */
void checker_stop(struct checker *c);

/* Pages of each kind that the guest is mapped by, waited for. */
void await_mapped(struct checker *c, int kind, uint64_t at_least, uint64_t at_most);

/* ---- the host ---- */

/* madvise() about huge pages, where the kernel knows any; wants them: skips without. */
void advise(void *mem, size_t size, int advice);

uint64_t file_number(const char *path);
/* Bytes of the mapping at @mem that smaps counts as @key */
uint64_t smaps_bytes(const void *mem, const char *key);
uint64_t now_ms(void);
/* A loop device on a file in memory, as swap, for as long as the machine runs */
void need_swap(void);
bool slow_kernel(void);

#endif
