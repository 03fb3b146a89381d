/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lhv host/ - the only room that knows which host kernel this is.
 *
 * What it is for: one name, lhv_host_*, for what differs between host kernels or
 *	is not exported to us: FPU ownership, work before guest entry, user-return
 *	MSRs, speculation mitigations, debug registers, host page tables.
 * What enters: calls from every room.
 * What it must not know: any of our objects.
 *
 * LHV_HAVE_* comes from Kbuild's probes and appears nowhere else.
 */
#ifndef LHV_HOST_H
#define LHV_HOST_H

#include <linux/cleanup.h>
#include <linux/context_tracking.h>
#include <linux/eventfd.h>
#include <linux/hrtimer.h>
#include <linux/interrupt.h>
#include <linux/kvm.h>
#include <linux/kvm_types.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/srcu.h>
#include <linux/vtime.h>
#ifdef LHV_HAVE_ENTRY_VIRT
#include <linux/entry-virt.h>
#else
#include <linux/entry-kvm.h>
#endif

/* ---- work that the host wants done before the guest runs ---- */

/**
 * lhv_host_softirqs() - soft interrupts that this context holds up, or could
 *
 * What is pending while bottom halves are on was left to ksoftirqd, and comes when that is
 * scheduled; on PREEMPT_RT that goes for all of them. Context: preemption off.
 */
static inline u32 lhv_host_softirqs(void)
{
	return IS_ENABLED(CONFIG_PREEMPT_RT) ? 0 : local_softirq_pending();
}

/**
 * lhv_host_work_pending() - must the atomic tier be left?
 * @deferred: lhv_host_softirqs() right before it was entered
 *
 * Signals, rescheduling, task work, or soft interrupts that wait where the
 * atomic tier keeps bottom halves off. Context: interrupts off.
 */
static inline bool lhv_host_work_pending(u32 deferred)
{
	return xfer_to_guest_mode_work_pending() || (lhv_host_softirqs() & ~deferred);
}

/* The same for the slow tier, where soft interrupts do not wait. Context: any. */
static inline bool lhv_host_work_waits(void)
{
	return __xfer_to_guest_mode_work_pending();
}

/**
 * lhv_host_handle_work() - reschedule, run task work
 *
 * Context: process, may sleep. Return: 0, or -EINTR with a signal pending.
 */
int lhv_host_handle_work(void);
int lhv_host_work_setup(void);
void lhv_host_work_teardown(void);

/* Does @task sleep? Of another than the current one that may be over by now. Context: any. */
static inline bool lhv_host_task_sleeps(struct task_struct *task)
{
#ifdef LHV_HAVE_TASK_IS_RUNNABLE
	return !task_is_runnable(task);
#else
	return !READ_ONCE(task->on_rq);
#endif
}

/* May eventfds be signalled and wait queues woken with preemption off? */
static inline bool lhv_host_wakes_in_atomic(void)
{
	return !IS_ENABLED(CONFIG_PREEMPT_RT);
}

static inline void lhv_host_eventfd_signal(struct eventfd_ctx *ctx)
{
#ifdef LHV_HAVE_EVENTFD_SIGNAL_1
	eventfd_signal(ctx);
#else
	eventfd_signal(ctx, 1);
#endif
}

static inline void lhv_host_hrtimer_setup(struct hrtimer *timer,
					  enum hrtimer_restart (*fn)(struct hrtimer *),
					  clockid_t clock, enum hrtimer_mode mode)
{
#ifdef LHV_HAVE_HRTIMER_SETUP
	hrtimer_setup(timer, fn, clock, mode);
#else
	hrtimer_init(timer, clock, mode);
	timer->function = fn;
#endif
}

/* ---- FPU: host/fpu.c ---- */

struct lhv_host_fpu;		/* a guest's XSAVE area, standard format, without PKRU */

int lhv_host_fpu_setup(void);
void lhv_host_fpu_teardown(void);
u64 lhv_host_xcr0(void);	/* features of the host that guests may be given; 0 without XSAVE */
unsigned int lhv_host_xsave_size(void);
struct lhv_host_fpu *lhv_host_fpu_alloc(void);
void lhv_host_fpu_free(struct lhv_host_fpu *fpu);	/* NULL-safe */
void lhv_host_fpu_init(struct lhv_host_fpu *fpu);
/* The area itself, to be read and written in the slow tier, while the state is not live. */
struct xregs_state *lhv_host_fpu_area(struct lhv_host_fpu *fpu);
/*
 * Enter and leave the atomic tier: kernel_fpu_begin(), load the guest's state, set
 * its XCR0; and the mirror. Preemption is off in between, and on newer kernels bottom
 * halves too.
 */
void lhv_host_fpu_load(struct lhv_host_fpu *fpu, u64 guest_xcr0);
void lhv_host_fpu_save(struct lhv_host_fpu *fpu);

/* ---- time in the guest: accounting and RCU ---- */

/*
 * Right around the entry, interrupts off. Ticks that hit in between count as guest
 * time; on a CPU with context tracking the guest is an extended quiescent state.
 */
static __always_inline void lhv_host_guest_enter(void)
{
	context_tracking_guest_enter();
}

static __always_inline void lhv_host_guest_exit(void)
{
	context_tracking_guest_exit();
}

/*
 * Right before the entry, now and then: whoever ran until here was no RCU reader. The tick that
 * hits the guest can't see that, because preemption is off. Context: interrupts off.
 */
static inline void lhv_host_quiescent(void)
{
	rcu_note_context_switch(false);
}

/* kvm_run.immediate_exit, which newer kernels rename for their own side: read once. */
static inline bool lhv_host_immediate_exit(struct kvm_run *run)
{
#ifdef LHV_HAVE_IMMEDIATE_EXIT_UNSAFE
	return READ_ONCE(run->immediate_exit__unsafe);
#else
	return READ_ONCE(run->immediate_exit);
#endif
}

/* Make a CPU that is in a guest leave it. Context: any but NMI. */
static inline void lhv_host_kick_cpu(int cpu)
{
	(smp_ops.smp_send_reschedule)(cpu);
}

#include "cpuid.h"
#include "mm.h"
#include "msr.h"
#include "mce.h"
#include "spec.h"
#include "user_msr.h"
#include "dr.h"
#include "vmx.h"

#endif
