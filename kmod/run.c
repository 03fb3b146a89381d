// SPDX-License-Identifier: GPL-2.0
/*
 * lhv - the run loop: gate, pending work, enter, dispatch, leave.
 *
 * What enters: KVM_RUN, and requests for a vCPU from any context.
 * What leaves: a kvm_run exit reason.
 *
 *   KVM_RUN -> lhv_vcpu_run
 *     serve slow work (signals, INIT/SIPI, kvmclock, HLT)
 *     atomic tier: FPU in; { pending? enter; dispatch }*; FPU out
 *     what has to sleep is dispatched again here, in the slow tier
 *
 * A vCPU is made to look at its pending word by this protocol, which loses no
 * wake-up:
 *
 *   vCPU:       mode = IN_GUEST;  full barrier;  read pending;  enter
 *   requester:  set pending bit;  full barrier;  read mode;     kick if IN_GUEST
 *
 * Interrupts are off from before the mode is set until after the guest exited,
 * so a kick that arrives in between forces the exit as soon as the guest is
 * entered.
 */
#include <linux/cpumask.h>
#include <linux/jiffies.h>
#include <linux/percpu.h>
#include <linux/sched/clock.h>
#include <linux/sched/signal.h>
#include <linux/sched/stat.h>
#include <linux/signal.h>
#include <linux/smp.h>
#include <linux/vtime.h>

#include "lhv.h"
#include "trace.h"

/* Adaptive halt polling: grow on a short halt, shrink on a long one. */
static unsigned int halt_poll_max_ns = 200000;
module_param(halt_poll_max_ns, uint, 0644);
MODULE_PARM_DESC(halt_poll_max_ns, "longest time in ns that a halted vCPU polls before it sleeps, 0: never (default 200000)");

#define LHV_HALT_POLL_START_NS	10000

enum lhv_next lhv_internal_error(struct lhv_vcpu *vcpu, u32 suberror, u32 n, const u64 *data)
{
	struct kvm_run *run = vcpu->run;

	n = min_t(u32, n, ARRAY_SIZE(run->internal.data));
	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->internal.suberror = suberror;
	run->internal.ndata = n;
	memcpy(run->internal.data, data, n * sizeof(*data));
	return LHV_CRASH;
}

/* ---- requests ---- */

/* A barrier since the request: who is about to wait is seen, or sees it. */
static void wake(struct lhv_vcpu *vcpu)
{
	if (rcuwait_active(&vcpu->wait))
		rcuwait_wake_up(&vcpu->wait);
}

/**
 * lhv_kick() - make a vCPU look at its pending word now
 * @vcpu: the vCPU
 *
 * Context: any but NMI. The caller has set the pending bit, with a full barrier behind it.
 */
void lhv_kick(struct lhv_vcpu *vcpu)
{
	wake(vcpu);
	if (READ_ONCE(vcpu->mode) == LHV_IN_GUEST &&
	    cmpxchg(&vcpu->mode, LHV_IN_GUEST, LHV_KICKED) == LHV_IN_GUEST)
		lhv_host_kick_cpu(READ_ONCE(vcpu->cpu));
}

/**
 * lhv_request_posted() - LHV_REQ_EVENT for a vector that was posted
 * @vcpu: the vCPU
 * @notify: in the guest, its CPU takes posted vectors without an exit
 *
 * Where it can't, or has just stopped to, the notification is an interrupt like any other, which
 * ends the guest's time. Context: any but NMI.
 */
void lhv_request_posted(struct lhv_vcpu *vcpu, bool notify)
{
	set_bit(LHV_REQ_EVENT, &vcpu->pending);
	smp_mb__after_atomic();	/* as in lhv_request() */
	if (!notify) {
		lhv_kick(vcpu);
		return;
	}
	wake(vcpu);
	if (READ_ONCE(vcpu->mode) == LHV_IN_GUEST)
		lhv_backend->notify(READ_ONCE(vcpu->cpu));
}

static void nop_ipi(void *unused)
{
}

/**
 * lhv_request_all() - make every vCPU of a VM do something before its next entry
 * @vm: the VM
 * @req: what
 * @wait: return only when every vCPU that was in the guest has left it
 *
 * Context: with @wait, preemptible or at least interrupts on; without, any but NMI.
 */
void lhv_request_all(struct lhv_vm *vm, enum lhv_req req, bool wait)
{
	struct lhv_vcpu *vcpu;
	cpumask_var_t cpus;
	bool have_mask;
	int i;

	if (!wait) {
		lhv_for_each_vcpu(i, vcpu, vm)
			lhv_request(vcpu, req);
		return;
	}

	have_mask = zalloc_cpumask_var(&cpus, GFP_ATOMIC | __GFP_NOWARN);
	lhv_for_each_vcpu(i, vcpu, vm) {
		set_bit(req, &vcpu->pending);
		smp_mb__after_atomic();	/* pairs with the one behind mode = IN_GUEST */
		if (READ_ONCE(vcpu->mode) == LHV_OUTSIDE_GUEST)
			continue;
		if (have_mask)
			cpumask_set_cpu(READ_ONCE(vcpu->cpu), cpus);
		else
			smp_call_function_single(READ_ONCE(vcpu->cpu), nop_ipi, NULL, true);
	}
	if (have_mask && !cpumask_empty(cpus)) {
		preempt_disable();
		smp_call_function_many(cpus, nop_ipi, NULL, true);
		preempt_enable();
	}
	if (have_mask)
		free_cpumask_var(cpus);
}

/* ---- HLT ---- */

static bool ends_halt(struct lhv_vcpu *vcpu)
{
	if (vcpu->mp_state != KVM_MP_STATE_HALTED)
		return false;
	if (READ_ONCE(vcpu->pv_unhalted))
		return true;
	if (vcpu->ev.exc.pending || vcpu->ev.exc.injected || vcpu->ev.nmi_injected)
		return true;
	if (atomic_read(&vcpu->ev.nmi_pending) && lhv_backend->nmi_allowed(vcpu))
		return true;
	/* One that is on its way was taken from its controller already. */
	return lhv_backend->irq_allowed(vcpu) &&
	       (vcpu->ev.irq.queued || vcpu->ev.irq.injected || lhv_lapic_timer_wakes(vcpu) ||
		lhv_irq_pending(vcpu));
}

/* That, or work that only the slow tier serves. Whatever it is, it was requested. */
static bool has_event(struct lhv_vcpu *vcpu)
{
	unsigned long pending = READ_ONCE(vcpu->pending);

	return pending & LHV_SLOW_REQS || (pending && ends_halt(vcpu));
}

/* True when one came. */
static bool poll_for_event(struct lhv_vcpu *vcpu, u64 end)
{
	/* Under lazy preemption need_resched() says late that another task wants this CPU. */
	while (single_task_running() && !need_resched() && !signal_pending(current)) {
		if (has_event(vcpu))
			return true;
		if (local_clock() >= end)
			break;
		cpu_relax();
	}
	return false;
}

/* Longer polling catches no event that comes from a task which waits for this very CPU. */
static void adapt_polling(struct lhv_vcpu *vcpu, u64 halted_ns, bool alone)
{
	u64 max = READ_ONCE(halt_poll_max_ns), ns = vcpu->halt_poll_ns;

	if (halted_ns > max)
		ns = ns < 2 * LHV_HALT_POLL_START_NS ? 0 : ns / 2;
	else if (halted_ns > ns && alone)
		ns = max(ns * 2, (u64)LHV_HALT_POLL_START_NS);
	vcpu->halt_poll_ns = min(ns, max);
}

/* Sleep until an event, slow work or a signal. True: the halt is over, and nothing else came. */
static bool block(struct lhv_vcpu *vcpu)
{
	u64 start = local_clock(), now = start, polled;
	bool won = false, alone = true, woken;

	vcpu->nr_halts++;
	lhv_lapic_timer_block(vcpu);
	lhv_gate_enough(vcpu);
	WRITE_ONCE(vcpu->manage.state, vcpu->mp_state == KVM_MP_STATE_HALTED ?
				       LHV_VCPU_STATE_HALTED : LHV_VCPU_STATE_WAITING);
	/* A guest that polls by itself says so. */
	if (vcpu->halt_poll_ns && (vcpu->cpu_state.poll_control & 1) && !lhv_gate_counts(vcpu)) {
		won = poll_for_event(vcpu, start + vcpu->halt_poll_ns);
		now = local_clock();
		polled = now - start;
		vcpu->stat.halt_polls++;
		vcpu->stat.halt_polls_won += won;
		*(won ? &vcpu->stat.halt_poll_won_ns : &vcpu->stat.halt_poll_lost_ns) += polled;
	}
	woken = won;
	if (!won) {
		u64 from = now;

		alone = single_task_running() && !need_resched();
		rcuwait_wait_event(&vcpu->wait,
				   (woken = has_event(vcpu)) || signal_pending(current),
				   TASK_INTERRUPTIBLE);
		now = local_clock();
		vcpu->stat.halt_wait_ns += now - from;
	}
	WRITE_ONCE(vcpu->manage.state, LHV_VCPU_STATE_RUNNING);
	adapt_polling(vcpu, now - start, alone);
	return woken && !(READ_ONCE(vcpu->pending) & LHV_SLOW_REQS);
}

/* ---- the VMM's own interrupt controller ---- */

/* Would one that the VMM hands in be taken, sooner or later, with nothing else happening first? */
static bool accepts_user_irq(struct lhv_vcpu *vcpu)
{
	return vcpu->ev.user_irq < 0 && (!vcpu->lapic || lhv_lapic_accepts_pic(vcpu)) &&
	       !(vcpu->cpu_state.guest_debug & KVM_GUESTDBG_BLOCKIRQ);
}

static bool may_take_user_irq(struct lhv_vcpu *vcpu)
{
	return accepts_user_irq(vcpu) && !vcpu->ev.irq.injected && !vcpu->ev.irq.queued &&
	       !vcpu->ev.exc.pending && lhv_backend->irq_allowed(vcpu);
}

/* The VMM asked for KVM_EXIT_IRQ_WINDOW_OPEN, and the window is open. */
static bool window_open(struct lhv_vcpu *vcpu)
{
	return vcpu->user_irq_window && may_take_user_irq(vcpu);
}

/* ---- slow work ---- */

static int exit_intr(struct lhv_vcpu *vcpu)
{
	vcpu->run->exit_reason = KVM_EXIT_INTR;
	return -EINTR;
}

/*
 * Serve what only the slow tier can. Returns 0 to go on, 1 to leave KVM_RUN with
 * kvm_run filled, or -errno.
 */
static int slow_work(struct lhv_vcpu *vcpu)
{
	bool blocked;

	for (;;) {
		lhv_steal_check(vcpu);
		if (READ_ONCE(vcpu->pending) & LHV_SLOW_REQS) {
			clear_bit(LHV_REQ_UNBLOCK, &vcpu->pending);
			if (test_and_clear_bit(LHV_REQ_GATE, &vcpu->pending))
				vcpu->sched.look = true;
			if (test_bit(LHV_REQ_DEAD, &vcpu->pending)) {
				lhv_vm_ended(vcpu->vm);
				return -EIO;
			}
			if (test_bit(LHV_REQ_PAUSE, &vcpu->pending)) {
				lhv_vcpu_wait_resume(vcpu);
				if (signal_pending(current))
					return exit_intr(vcpu);
				continue;
			}
			if (test_bit(LHV_REQ_RING_FULL, &vcpu->pending)) {
				if (lhv_dirty_ring_full(vcpu)) {
					vcpu->run->exit_reason = KVM_EXIT_DIRTY_RING_FULL;
					return 1;
				}
				clear_bit(LHV_REQ_RING_FULL, &vcpu->pending);
			}
			if (test_and_clear_bit(LHV_REQ_TRIPLE_FAULT, &vcpu->pending)) {
				vcpu->run->exit_reason = KVM_EXIT_SHUTDOWN;
				lhv_vcpu_crashed(vcpu);
				return 1;
			}
			if (test_and_clear_bit(LHV_REQ_STARTED, &vcpu->pending))
				lhv_vcpu_started(vcpu);
			if (test_and_clear_bit(LHV_REQ_APIC, &vcpu->pending))
				lhv_lapic_accept_events(vcpu);
			if (test_and_clear_bit(LHV_REQ_IOAPIC_EOI, &vcpu->pending)) {
				vcpu->run->exit_reason = KVM_EXIT_IOAPIC_EOI;
				vcpu->run->eoi.vector = vcpu->pending_eoi;
				return 1;
			}
			if (test_and_clear_bit(LHV_REQ_CLOCK, &vcpu->pending))
				lhv_clock_update(vcpu);
			if (test_and_clear_bit(LHV_REQ_STEAL, &vcpu->pending))
				lhv_steal_update(vcpu);
			if (test_and_clear_bit(LHV_REQ_MSRS, &vcpu->pending))
				lhv_backend->cpuid_changed(vcpu);
			if (test_and_clear_bit(LHV_REQ_YIELD, &vcpu->pending))
				lhv_yield_to(vcpu);
		}

		if (vcpu->mp_state == KVM_MP_STATE_HALTED && window_open(vcpu)) {
			/* STI, HLT: the interrupt that ends this is with the VMM. */
			vcpu->run->exit_reason = KVM_EXIT_IRQ_WINDOW_OPEN;
			return 1;
		}
		blocked = false;
		if (vcpu->mp_state != KVM_MP_STATE_RUNNABLE) {
			blocked = !ends_halt(vcpu);
			if (!blocked || block(vcpu)) {
				vcpu->mp_state = KVM_MP_STATE_RUNNABLE;
				WRITE_ONCE(vcpu->pv_unhalted, false);
				lhv_request_self(vcpu, LHV_REQ_EVENT);
			}
		}

		if (signal_pending(current))
			return exit_intr(vcpu);
		if (unlikely(lhv_host_work_waits()) && !lhv_gate_waits(vcpu)) {
			lhv_steal_preempted(vcpu);
			if (lhv_host_handle_work())
				return exit_intr(vcpu);
			continue;
		}
		if (!blocked && vcpu->mp_state == KVM_MP_STATE_RUNNABLE && lhv_gate_admit(vcpu))
			return 0;
	}
}

static void publish_irq_state(struct lhv_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	run->if_flag = !!(vcpu->rflags & X86_EFLAGS_IF);
	run->cr8 = vcpu->cr8;
	run->apic_base = lhv_lapic_get_base(vcpu);
	run->ready_for_interrupt_injection =
		vcpu->vm->irq.mode == LHV_IRQCHIP_KERNEL || may_take_user_irq(vcpu);
}

/* ---- the atomic tier ---- */

/* Interrupts off, mode is IN_GUEST: serve what must be served now. False: go slow first. */
static bool prepare_entry(struct lhv_vcpu *vcpu)
{
	bool timer;

	if (READ_ONCE(vcpu->pending) & LHV_SLOW_REQS)
		return false;
	if (lhv_host_work_pending(vcpu->softirqs))
		return false;
	if (unlikely(window_open(vcpu)))
		return false;
	timer = test_bit(LHV_REQ_TIMER, &vcpu->pending);
	if (timer && !lhv_lapic_timer_met(vcpu->lapic))
		return false;
	if (test_and_clear_bit(LHV_REQ_TLB_FLUSH, &vcpu->pending)) {
		vcpu->nr_tlb_flushes++;
		lhv_backend->sync_tlb(vcpu);
	}
	if (test_and_clear_bit(LHV_REQ_EVENT, &vcpu->pending))
		lhv_event_inject(vcpu);
	if (unlikely(vcpu->user_irq_window) && accepts_user_irq(vcpu))
		lhv_backend->irq_window(vcpu);
	if (timer)
		lhv_lapic_timer_wait(vcpu);
	return true;
}

static __always_inline bool must_prepare(struct lhv_vcpu *vcpu)
{
	return READ_ONCE(vcpu->pending) || lhv_host_work_pending(vcpu->softirqs);
}

/*
 * Enter the guest again and again while exits can be handled without sleeping.
 * LHV_RESUME: slow work waits. LHV_SLEEP: the last exit does.
 */
static enum lhv_next run_atomic(struct lhv_vcpu *vcpu)
{
	enum lhv_next next = LHV_RESUME;
	bool entered;

	/* What ksoftirqd has to do it does when it is scheduled: leaving would not help it. */
	preempt_disable();
	vcpu->softirqs = lhv_host_softirqs();
	lhv_host_fpu_load(vcpu->cpu_state.fpu,
			  vcpu->cr4 & X86_CR4_OSXSAVE ? vcpu->cpu_state.xcr0 : 0);
	preempt_enable();	/* the FPU keeps it off */
	if (unlikely(!lhv_cpu_usable())) {
		/* This CPU is on its way down. Wait to be moved off it. */
		lhv_host_fpu_save(vcpu->cpu_state.fpu);
		schedule_timeout_interruptible(1);
		return LHV_RESUME;
	}
	vcpu->atomic = true;
	if (unlikely(vcpu->cpu != smp_processor_id()))
		lhv_clock_moved(vcpu);
	static_call(lhv_load)(vcpu, smp_processor_id());
	lhv_gate_on(vcpu);

	do {
		local_irq_disable();
		/* The barrier: see the protocol at the top. */
		smp_store_mb(vcpu->mode, LHV_IN_GUEST);
		if (unlikely(must_prepare(vcpu)) && !prepare_entry(vcpu)) {
			WRITE_ONCE(vcpu->mode, LHV_OUTSIDE_GUEST);
			local_irq_enable();
			if (lhv_lapic_timer_meet(vcpu))
				continue;
			break;
		}

		/* Once a tick is often enough for grace periods, and cheap enough for exits. */
		if (unlikely(time_after(jiffies, vcpu->quiescent))) {
			vcpu->quiescent = jiffies;
			lhv_host_quiescent();
			/* Served after this entry, which the tick ends soon. */
			lhv_clock_tick(vcpu);
		}

		trace_lhv_entry(vcpu);
		vtime_account_guest_enter();
		entered = static_call(lhv_enter)(vcpu);
		WRITE_ONCE(vcpu->mode, LHV_OUTSIDE_GUEST);

		/*
		 * The interrupt that ended the guest's time is taken here, as the guest's (one that
		 * the exit acknowledged was already, in the backend). Not back to back: STI opens
		 * the door only after the next instruction.
		 */
		local_irq_enable();
		vcpu->exits[vcpu->exit.reason]++;
		local_irq_disable();
		vtime_account_guest_exit();
		local_irq_enable();

		if (unlikely(!entered)) {
			next = LHV_CRASH;
			break;
		}
		trace_lhv_exit(vcpu);
		if (unlikely(vcpu->eoi_offered) && !lhv_pv_eoi_settle(vcpu)) {
			next = LHV_SLEEP;
			break;
		}
		next = static_call(lhv_handle_exit)(vcpu);
	} while (next == LHV_RESUME);

	/* A preemptible kernel switches to the other task as soon as preemption is on. */
	if (unlikely(need_resched()))
		lhv_steal_preempted(vcpu);
	static_call(lhv_put)(vcpu);
	/* Who looks at a thread outside wants to know since when it is. */
	lhv_gate_off(vcpu);
	WRITE_ONCE(vcpu->atomic, false);
	lhv_host_fpu_save(vcpu->cpu_state.fpu);
	return next;
}

/* The guest cannot go on, or must not: tell it. What KVM_RUN returns. */
static int give_up(struct lhv_vcpu *vcpu, enum lhv_next next)
{
	if (next == LHV_CRASH) {
		lhv_vcpu_crashed(vcpu);
		return 0;
	}
	lhv_vm_bug(vcpu->vm);
	lhv_vm_ended(vcpu->vm);
	return -EIO;
}

/* Returns 0 with kvm_run filled, or -errno. */
static int run_loop(struct lhv_vcpu *vcpu, enum lhv_next next)
{
	int ret;

	/* Not before: a call that only completes the last exit leaves its reason to be read. */
	if (next == LHV_RESUME)
		vcpu->run->exit_reason = KVM_EXIT_UNKNOWN;
	while (next == LHV_RESUME) {
		ret = slow_work(vcpu);
		if (ret)
			return min(ret, 0);
		if (unlikely(window_open(vcpu))) {
			vcpu->run->exit_reason = KVM_EXIT_IRQ_WINDOW_OPEN;
			return 0;
		}
		next = run_atomic(vcpu);
		if (next == LHV_SLEEP) {
			lhv_gate_linger(vcpu);
			if (vcpu->eoi_offered)
				lhv_pv_eoi_settle(vcpu);
			next = static_call(lhv_handle_exit)(vcpu);
		}
		if (WARN_ON_ONCE(next == LHV_SLEEP))
			next = LHV_FATAL;
	}

	if (next >= LHV_CRASH)
		return give_up(vcpu, next);
	ret = vcpu->run_errno;
	vcpu->run_errno = 0;
	return ret;
}

/* ---- registers in kvm_run: KVM_CAP_SYNC_REGS ---- */

/* The VMM may scribble on the page all the while: take a copy, then look at it. */
static noinline int load_regs(struct lhv_vcpu *vcpu, u64 dirty)
{
	struct kvm_sync_regs *shared = &vcpu->run->s.regs;
	int ret = 0;
	union {
		struct kvm_regs regs;
		struct kvm_sregs sregs;
		struct kvm_vcpu_events events;
	} copy;

	if (dirty & KVM_SYNC_X86_REGS) {
		copy.regs = shared->regs;
		ret = lhv_set_regs(vcpu, &copy.regs);
	}
	if (!ret && (dirty & KVM_SYNC_X86_SREGS)) {
		copy.sregs = shared->sregs;
		ret = lhv_set_sregs(vcpu, &copy.sregs);
	}
	if (!ret && (dirty & KVM_SYNC_X86_EVENTS)) {
		copy.events = shared->events;
		ret = lhv_set_events(vcpu, &copy.events);
	}
	if (!ret)
		vcpu->run->kvm_dirty_regs = 0;
	return ret;
}

static int sync_regs(struct lhv_vcpu *vcpu)
{
	u64 dirty = READ_ONCE(vcpu->run->kvm_dirty_regs);
	u64 valid = READ_ONCE(vcpu->run->kvm_valid_regs);

	if (likely(!(dirty | valid)))
		return 0;
	if ((dirty | valid) & ~(u64)KVM_SYNC_X86_VALID_FIELDS)
		return -EINVAL;
	return load_regs(vcpu, dirty);
}

static noinline void store_regs(struct lhv_vcpu *vcpu)
{
	struct kvm_sync_regs *shared = &vcpu->run->s.regs;
	u64 valid = READ_ONCE(vcpu->run->kvm_valid_regs);

	if (valid & KVM_SYNC_X86_REGS)
		lhv_get_regs(vcpu, &shared->regs);
	if (valid & KVM_SYNC_X86_SREGS)
		lhv_get_sregs(vcpu, &shared->sregs);
	if (valid & KVM_SYNC_X86_EVENTS)
		lhv_get_events(vcpu, &shared->events);
}

/**
 * lhv_vcpu_run() - KVM_RUN
 * @vcpu: the vCPU; its lock is held
 *
 * Context: process, the VMM's thread. Return: 0 with kvm_run filled; -EINTR on a
 * signal or immediate_exit; -EIO when the VM is bugged; -EFAULT when guest memory is not
 * there.
 */
int lhv_vcpu_run(struct lhv_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	enum lhv_next next = LHV_RESUME;
	int ret;

	if (READ_ONCE(vcpu->vm->bugged)) {
		lhv_gate_leave(vcpu, -EIO);
		return -EIO;
	}
	if (unlikely(vcpu->manage.thread != task_pid(current))) {
		lhv_usage_new_thread(vcpu);
		lhv_gate_new_thread(vcpu);
	}

	/*
	 * A signal that is blocked but for KVM_RUN ends it and is then left pending, for
	 * sigtimedwait(): real_blocked keeps the kernel from taking it for an ignored one.
	 */
	if (vcpu->sigset_active)
		sigprocmask(SIG_SETMASK, &vcpu->sigset, &current->real_blocked);

	run->flags = 0;
	ret = sync_regs(vcpu);
	if (ret)
		goto out;
	if (vcpu->vm->irq.mode != LHV_IRQCHIP_KERNEL) {
		vcpu->user_irq_window = READ_ONCE(run->request_interrupt_window);
		if (!lhv_has_lapic(vcpu->vm) && lhv_set_cr8(vcpu, READ_ONCE(run->cr8))) {
			ret = -EINVAL;
			goto out;
		}
		lhv_request_self(vcpu, LHV_REQ_EVENT);
	}

	if (vcpu->complete) {
		enum lhv_next (*complete)(struct lhv_vcpu *vcpu) = vcpu->complete;

		vcpu->complete = NULL;
		next = complete(vcpu);
	}

	if (lhv_host_immediate_exit(run) && next == LHV_RESUME)
		ret = -EINTR;
	else
		ret = run_loop(vcpu, next);
out:
	/* Whatever it met on the way: its memory may have been given up meanwhile. */
	if (unlikely(READ_ONCE(vcpu->vm->bugged)))
		ret = -EIO;
	lhv_gate_leave(vcpu, ret);
	publish_irq_state(vcpu);
	if (unlikely(READ_ONCE(run->kvm_valid_regs)))
		store_regs(vcpu);
	if (vcpu->sigset_active) {
		sigprocmask(SIG_SETMASK, &current->real_blocked, NULL);
		sigemptyset(&current->real_blocked);
	}
	vcpu->stat.user_exits++;
	vcpu->stat.signal_exits += ret == -EINTR;
	return ret;
}
