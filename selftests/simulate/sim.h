/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The simulator: kmod/sched's core and policies, compiled as they are, on a machine
 * made of numbers.
 *
 * What it is for: to see what a policy does with any number of CPUs and vCPUs, the same
 *	in each run. What enters: a machine with VMs and what their vCPUs do. What leaves:
 *	the figures that the core keeps, and work done. It must not know how a policy works,
 *	but what all of them promise: no slot is free in vain, no cap exceeded beyond its bound.
 */
#ifndef SIM_H
#define SIM_H

#include "sched/core.h"

enum job {
	JOB_SPIN,	/* runs for ever */
	JOB_ONCE,	/* runs @length from @start on */
	JOB_CYCLE,	/* runs about @length, sleeps about @pause */
	JOB_PERIODIC,	/* @length in each @pause; late ones are counted */
	JOB_LOCK,	/* @length of its own, then @pause holding its VM's lock; spins for it, and
			 * they get it in the order in which they came: a spinlock of a kernel
			 */
	JOB_TURN,	/* runs @length, then wakes the next of its VM and sleeps */
};

#define SIM_NEVER	(~0ULL)		/* a @start: somebody else wakes it */

struct sim_vm;

/**
 * struct sim_vcpu - a vCPU
 * @job, @length, @pause, @start: what it does
 * @left: CPU time to the end of its present stretch
 * @began: on a CPU since then, or since it was last charged
 * @deadline: JOB_PERIODIC: end of the present period
 * @ended: JOB_ONCE: when
 * @spinning, @locked, @ticket: JOB_LOCK
 * @work: stretches completed; @late: after the end of their period
 * @serial: an event of another serial is void
 */
struct sim_vcpu {
	struct lhv_sched_vcpu s;
	struct sim *sim;
	struct sim_vm *vm;
	enum job job;
	u64 length, pause, start, left, began, deadline, ended, ticket;
	bool asleep, spinning, locked;
	u64 work, late;
	u32 serial;
};

#define SIM_CAP_PERIODS	64

/**
 * struct sim_cap - what a VM with a cap really ran, counted apart from the core
 * @since: it has the cap since then; its periods begin there
 * @ran: in all of them
 * @beyond: so much more than its quota it may run in one of them
 * @used: in the last ones; @index: which these are
 */
struct sim_cap {
	u64 since, ran, beyond;
	u64 used[SIM_CAP_PERIODS], index[SIM_CAP_PERIODS];
};

struct sim_vm {
	struct lhv_sched_vm s;
	struct sim_vcpu *vcpus;
	unsigned int n;
	u64 tickets, serving;		/* of the VM's lock */
	u64 both, any;			/* time that all of its ready vCPUs ran; that one did */
	struct sim_cap cap;
};

struct event {
	u64 when, seq;
	struct sim_vcpu *v;		/* NULL: the pool's timer */
	u32 serial;
	u8 what;
};

struct sim {
	struct lhv_sched_pool pool;
	u64 now, seq, random;
	struct event *heap;
	size_t n, room;
	u32 timer_serial;
	struct sim_vm *vms;
	unsigned int nr_vms;
	u64 busy, busy_since;		/* slot time used */
	u64 overrun;			/* the most that a cap was exceeded by in a period, ns */
	u64 ops;			/* decisions taken */
	bool watch_gangs;
	bool in_order;			/* edf: reservations that are kept, and nothing changes */
	u64 watched;
};

void sim_init(struct sim *s, u32 slots, unsigned int nr_vms);
struct sim_vm *sim_vm(struct sim *s, unsigned int i, unsigned int nr_vcpus, enum job job,
		      u64 length, u64 pause);
int sim_policy(struct sim *s, const struct lhv_sched_ops *ops);
void sim_attrs(struct sim *s, struct sim_vm *vm, const struct lhv_sched_attrs *attrs);
u64 sim_cap_bound(const struct sim_vm *vm);
void sim_run(struct sim *s, u64 until);
void sim_free(struct sim *s);
u64 sim_random(struct sim *s, u64 below);
/* Ends the program if the core's and the machine's idea differ, or a promise was broken. */
void sim_check(struct sim *s);

#endif
