// SPDX-License-Identifier: GPL-2.0
/*
 * lhv sched/ - the gate: vCPU threads at the pools of core.c.
 *
 * A thread that holds a slot runs with two things attached. A preempt notifier adds up
 * its time on CPUs: it is charged at the gate and when the slice is over. And one pinned timer per
 * CPU, armed for the rest of the slice when the thread gets its slot or comes to another CPU:
 * its interrupt ends the guest's time by itself, and its handler sets LHV_REQ_GATE, so that an
 * entry that nobody wants to prevent costs not one instruction.
 *
 * How a slot gets back:
 *	the slice is over	timer: LHV_REQ_GATE; the thread queues up anew at the gate
 *	HLT, pause		lhv_gate_enough()
 *	the thread sleeps elsewhere (a page comes from a disk): sched_out, which holds the run
 *				queue's lock and so leaves it to irq_work
 *	KVM_RUN returns		lhv_gate_leave(): it keeps it for a while, for most exits to a VMM
 *				are short. Those who wait by then get it after LINGER, who
 *				begins to wait later at once.
 *	no CPU for the thread	the host gives it to others (SCHED_IDLE, cpu.max): after STARVED
 *				it goes to somebody who waits
 *	signal, kill, death	KVM_RUN returns
 *	policy switch		core.c: all have to queue up again
 *
 * No wake-up is lost: whoever changes a vCPU's state does it under the pool's lock and then wakes
 * vcpu->wait; the thread looks at its state after it has announced itself there.
 */
#include <linux/percpu.h>
#include <linux/sched/clock.h>
#include <linux/sched/signal.h>
#include <linux/timekeeping.h>

#include "lhv.h"

#define LINGER		(50 * LHV_SCHED_US)
#define LOOK_AGAIN	(10 * LHV_SCHED_MS)	/* at least so often a running one is charged */
#define SHORTEST	(10 * LHV_SCHED_US)
#define STARVED		(20 * LHV_SCHED_MS)

DEFINE_STATIC_KEY_FALSE(lhv_sched_on);

/* Threads with a notifier or other CPUs than they came with: lhv_sched_on stays on for them. */
static atomic_t nr_attached;

static struct lhv_vcpu *vcpu_of(struct lhv_sched_vcpu *v)
{
	return container_of(v, struct lhv_vcpu, sched.core);
}

static struct lhv_pool *pool_of(struct lhv_sched_pool *pool)
{
	return container_of(pool, struct lhv_pool, core);
}

/**
 * lhv_gate_lock() - lock the pool that a VM is in
 * @vm: the VM, which may be moved meanwhile
 * @flags: for lhv_gate_unlock()
 *
 * Context: any but NMI. Pools do not go away before the module.
 */
struct lhv_pool *lhv_gate_lock(struct lhv_sched_vm *vm, unsigned long *flags)
	__acquires(&pool->lock)
{
	struct lhv_pool *pool;

	for (;;) {
		pool = pool_of(READ_ONCE(vm->pool));
		raw_spin_lock_irqsave(&pool->lock, *flags);
		if (likely(&pool->core == vm->pool))
			return pool;
		raw_spin_unlock_irqrestore(&pool->lock, *flags);
	}
}

void lhv_gate_unlock(struct lhv_pool *pool, unsigned long flags)
	__releases(&pool->lock)
{
	raw_spin_unlock_irqrestore(&pool->lock, flags);
}

/* ---- the timer of a slice: one per CPU ---- */

/**
 * struct slice - a CPU's
 * @lock: taken before a pool's
 * @timer: pinned
 * @vcpu: whose slice it is; not necessarily on this CPU any more
 * @cpu: this one
 */
struct slice {
	raw_spinlock_t lock;
	struct hrtimer timer;
	struct lhv_vcpu *vcpu;
	int cpu;
};

static DEFINE_PER_CPU(struct slice, slices);

/* The time until now is counted. Interrupts off, the vCPU's thread is the current one. */
static void count_time(struct lhv_vcpu_sched *s)
{
	u64 now = local_clock();

	if (!s->stamp)
		return;
	if (now > s->stamp) {
		atomic64_add(now - s->stamp, &s->uncharged);
		s->slice_left -= min(s->slice_left, now - s->stamp);
	}
	s->stamp = now;
}

/* From here on it is not. */
static void count_off(struct lhv_vcpu_sched *s)
{
	count_time(s);
	s->stamp = 0;
	WRITE_ONCE(s->off_since, local_clock());
	WRITE_ONCE(s->on_cpu, -1);
}

static void charge(struct lhv_vcpu_sched *s, u64 now)
{
	u64 ns = atomic64_xchg(&s->uncharged, 0);

	if (ns)
		lhv_sched_charge(&s->core, ns, now);
}

/* Under the pool's lock: does it take the slot away from a thread that is in the VMM? */
static bool revoke(struct lhv_vcpu_sched *s, u64 now)
{
	if (cmpxchg(&s->where, LHV_GATE_LINGERS, LHV_GATE_REVOKED) != LHV_GATE_LINGERS)
		return false;
	charge(s, now);
	lhv_sched_enough(&s->core, now);
	return true;
}

/* The slice is up, as far as the timer knows. Return: ns after which to look again, or 0. */
static u64 slice_end(struct lhv_vcpu *vcpu, bool here)
{
	struct lhv_vcpu_sched *s = &vcpu->sched;
	struct lhv_pool *pool;
	unsigned long flags;
	u64 left = 0, now;

	pool = lhv_gate_lock(&vcpu->vm->sched, &flags);
	now = ktime_get_ns();
	if (!pool->core.ops || s->core.state != LHV_SCHED_RUNNING) {
		left = 0;
	} else if (READ_ONCE(s->where) == LHV_GATE_LINGERS) {
		/* Nobody waits: it may go on lingering, and find its slot when it comes back. */
		if (pool->core.nr_waiting)
			revoke(s, now);
	} else if (here) {
		count_time(s);
		charge(s, now);
		left = lhv_sched_left(&s->core, now);
		if (!left)
			lhv_request(vcpu, LHV_REQ_GATE);
		left = min(left, LOOK_AGAIN);
		s->slice_left = left;
	}
	lhv_gate_unlock(pool, flags);
	return left;
}

static enum hrtimer_restart slice_fired(struct hrtimer *timer)
{
	struct slice *slice = container_of(timer, struct slice, timer);
	enum hrtimer_restart ret = HRTIMER_NORESTART;
	struct lhv_vcpu *vcpu;
	bool here;
	u64 left;

	raw_spin_lock(&slice->lock);
	vcpu = slice->vcpu;
	if (vcpu) {
		/* The timer may have been moved off a CPU that went down. */
		here = READ_ONCE(vcpu->sched.on_cpu) == slice->cpu &&
		       slice->cpu == smp_processor_id();
		left = slice_end(vcpu, here);
		if (left) {
			hrtimer_forward_now(timer, ns_to_ktime(max(left, SHORTEST)));
			ret = HRTIMER_RESTART;
		} else {
			slice->vcpu = NULL;
		}
	}
	raw_spin_unlock(&slice->lock);
	return ret;
}

/* Preemption off. */
static void arm_slice(struct lhv_vcpu *vcpu, u64 ns)
{
	struct slice *slice = this_cpu_ptr(&slices);
	unsigned long flags;

	raw_spin_lock_irqsave(&slice->lock, flags);
	/* Nobody else would end its lingering. */
	if (slice->vcpu && slice->vcpu != vcpu &&
	    READ_ONCE(slice->vcpu->sched.where) == LHV_GATE_LINGERS)
		slice_end(slice->vcpu, false);
	slice->vcpu = vcpu;
	hrtimer_start(&slice->timer, ns_to_ktime(clamp(ns, SHORTEST, LOOK_AGAIN)),
		      HRTIMER_MODE_REL_PINNED_HARD);
	raw_spin_unlock_irqrestore(&slice->lock, flags);
}

/* ---- the thread comes and goes ---- */

static struct lhv_vcpu *notified(struct preempt_notifier *pn)
{
	return container_of(pn, struct lhv_vcpu, sched.notifier);
}

static void sched_in(struct preempt_notifier *pn, int cpu)
{
	struct lhv_vcpu *vcpu = notified(pn);
	struct lhv_vcpu_sched *s = &vcpu->sched;
	unsigned long flags;

	local_irq_save(flags);
	WRITE_ONCE(s->asleep, false);
	s->stamp = local_clock();
	WRITE_ONCE(s->on_cpu, cpu);
	local_irq_restore(flags);
	if (READ_ONCE(s->core.state) == LHV_SCHED_RUNNING &&
	    READ_ONCE(this_cpu_ptr(&slices)->vcpu) != vcpu)
		arm_slice(vcpu, s->slice_left);
}

/* The run queue's lock is held: nobody may be woken, no pool locked. */
static void sched_out(struct preempt_notifier *pn, struct task_struct *next)
{
	struct lhv_vcpu_sched *s = &notified(pn)->sched;

	count_off(s);
	if (lhv_host_task_sleeps(current) && READ_ONCE(s->core.state) != LHV_SCHED_OUT) {
		WRITE_ONCE(s->asleep, true);
		irq_work_queue(&s->release);
	}
}

static struct preempt_ops preempt_ops = { .sched_in = sched_in, .sched_out = sched_out };

static void release_slot(struct irq_work *work)
{
	struct lhv_vcpu *vcpu = container_of(work, struct lhv_vcpu, sched.release);
	struct lhv_vcpu_sched *s = &vcpu->sched;
	struct lhv_pool *pool;
	unsigned long flags;
	u64 now;

	pool = lhv_gate_lock(s->core.vm, &flags);
	if (READ_ONCE(s->asleep) && pool->core.ops && s->core.state != LHV_SCHED_OUT) {
		now = ktime_get_ns();
		charge(s, now);
		lhv_sched_enough(&s->core, now);
		/* Should it be awake again by now, it comes back to the gate at once. */
		lhv_request(vcpu, LHV_REQ_GATE);
	}
	lhv_gate_unlock(pool, flags);
}

/* Begin to count. Interrupts off. */
static void attach(struct lhv_vcpu_sched *s)
{
	if (s->registered)
		return;
	s->registered = true;
	WRITE_ONCE(s->asleep, false);
	s->stamp = local_clock();
	WRITE_ONCE(s->on_cpu, smp_processor_id());
	preempt_notifier_register(&s->notifier);
}

/* Count no more. Interrupts off. */
static void detach(struct lhv_vcpu_sched *s)
{
	if (!s->registered)
		return;
	count_off(s);
	preempt_notifier_unregister(&s->notifier);
	s->registered = false;
}

/* Under the pool's lock: while there is a policy, or no other way back. */
static void set_counted(struct lhv_vcpu_sched *s, bool counted)
{
	if (s->counted == counted)
		return;
	s->counted = counted;
	atomic_add(counted ? 1 : -1, &nr_attached);
}

/**
 * lhv_gate_forget() - the pool has no policy any more; a slot that lingers is none
 * @v: the vCPU
 *
 * Context: under the pool's lock.
 */
void lhv_gate_forget(struct lhv_sched_vcpu *v)
{
	struct lhv_vcpu_sched *s = &vcpu_of(v)->sched;

	if (cmpxchg(&s->where, LHV_GATE_LINGERS, LHV_GATE_REVOKED) == LHV_GATE_LINGERS)
		set_counted(s, false);
}

/* ---- slots of threads that get no CPU ---- */

static bool starved(struct lhv_sched_vcpu *v, u64 now)
{
	struct lhv_vcpu_sched *s = &vcpu_of(v)->sched;

	if (READ_ONCE(s->where) != LHV_GATE_INSIDE || READ_ONCE(s->on_cpu) >= 0 ||
	    now < v->since + STARVED)
		return false;
	/* One that is not counted was granted its slot and has not come for it. */
	return !s->counted || local_clock() > READ_ONCE(s->off_since) + STARVED;
}

static struct lhv_sched_vcpu *first_starved(struct lhv_pool *pool, u64 now)
{
	struct lhv_sched_vcpu *v;

	list_for_each_entry(v, &pool->core.running, of_pool) {
		if (starved(v, now))
			return v;
	}
	return NULL;
}

static enum hrtimer_restart watch_fired(struct hrtimer *timer)
{
	struct lhv_pool *pool = container_of(timer, struct lhv_pool, watch);
	struct lhv_sched_vcpu *v;
	unsigned long flags;
	u64 now;

	raw_spin_lock_irqsave(&pool->lock, flags);
	now = ktime_get_ns();
	while (pool->core.ops && pool->core.nr_waiting && (v = first_starved(pool, now))) {
		charge(&vcpu_of(v)->sched, now);
		/* It queues up anew when it gets a CPU. */
		lhv_sched_enough(v, now);
		lhv_request(vcpu_of(v), LHV_REQ_GATE);
	}
	if (pool->core.nr_waiting)
		hrtimer_start(timer, ns_to_ktime(STARVED), HRTIMER_MODE_REL_HARD);
	raw_spin_unlock_irqrestore(&pool->lock, flags);
	return HRTIMER_NORESTART;
}

/**
 * lhv_gate_pool_init() - the gate's part of a pool
 * @pool: the pool
 */
void lhv_gate_pool_init(struct lhv_pool *pool)
{
	lhv_host_hrtimer_setup(&pool->watch, watch_fired, CLOCK_MONOTONIC, HRTIMER_MODE_REL_HARD);
}

/* ---- what the pools' logic wants ---- */

static void granted(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v)
{
	rcuwait_wake_up(&vcpu_of(v)->wait);
}

static void kick(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v)
{
	struct lhv_vcpu *vcpu = vcpu_of(v);

	lhv_request(vcpu, LHV_REQ_GATE);
}

static void set_timer(struct lhv_sched_pool *pool, u64 when)
{
	/* A policy may say "never". */
	when = min_t(u64, when, KTIME_MAX);
	hrtimer_start(&pool_of(pool)->timer, ns_to_ktime(when), HRTIMER_MODE_ABS_HARD);
}

static void contended(struct lhv_sched_pool *pool)
{
	struct hrtimer *watch = &pool_of(pool)->watch;

	if (!hrtimer_is_queued(watch))
		hrtimer_start(watch, ns_to_ktime(STARVED), HRTIMER_MODE_REL_HARD);
}

const struct lhv_sched_host lhv_gate_host = {
	.granted = granted, .kick = kick, .timer = set_timer, .contended = contended,
};

/* ---- the gate ---- */

static void let_go(struct lhv_vcpu_sched *s)
{
	free_cpumask_var(s->own_cpus);
	s->pinned = false;
	atomic_dec(&nr_attached);
}

/* On those of @cpus that the thread might use anyway, its cpuset's; on @cpus when there are none. */
static void bind_thread(struct lhv_vcpu_sched *s, const struct cpumask *cpus)
{
	cpumask_var_t both;

	if (!zalloc_cpumask_var(&both, GFP_KERNEL_ACCOUNT))
		return;
	if (!s->pinned) {
		if (!zalloc_cpumask_var(&s->own_cpus, GFP_KERNEL_ACCOUNT))
			goto out;
		cpumask_copy(s->own_cpus, current->cpus_ptr);
		s->pinned = true;
		atomic_inc(&nr_attached);
	}
	cpumask_and(both, cpus, s->own_cpus);
	/* Fails when they are all gone: then anywhere is better than nowhere. */
	set_cpus_allowed_ptr(current, cpumask_empty(both) ? cpus : both);
out:
	free_cpumask_var(both);
}

/**
 * lhv_gate_new_thread() - another thread than before runs the vCPU
 * @vcpu: the vCPU; its thread
 *
 * It has not followed the pool's CPUs yet. The one before stays where it was put.
 */
void lhv_gate_new_thread(struct lhv_vcpu *vcpu)
{
	struct lhv_vcpu_sched *s = &vcpu->sched;

	s->cpus_pool = LHV_POOLS_MAX;
	if (s->pinned)
		let_go(s);
}

/* A bound pool's threads run on its CPUs; a thread that leaves it has its own again. */
static void follow_cpus(struct lhv_vcpu *vcpu)
{
	struct lhv_vcpu_sched *s = &vcpu->sched;
	struct lhv_pool *pool = pool_of(READ_ONCE(s->core.vm->pool));
	u32 version = READ_ONCE(pool->cpus_version);

	if (likely(s->cpus_pool == pool->id && s->cpus_version == version))
		return;
	s->cpus_pool = pool->id;
	s->cpus_version = version;
	if (READ_ONCE(pool->bound)) {
		bind_thread(s, &pool->cpus);
	} else if (s->pinned) {
		set_cpus_allowed_ptr(current, s->own_cpus);
		let_go(s);
	}
}

/**
 * lhv_gate_reclaim() - somebody may have begun to wait: whose slot lingers loses it
 * @pool: the pool
 * @now: the time
 *
 * Context: under the pool's lock.
 */
void lhv_gate_reclaim(struct lhv_pool *pool, u64 now)
{
	struct lhv_sched_vcpu *v;

again:
	if (!pool->core.ops || !pool->core.nr_waiting)
		return;
	list_for_each_entry(v, &pool->core.running, of_pool) {
		if (revoke(&vcpu_of(v)->sched, now))
			goto again;	/* the list is another one now */
	}
}

/**
 * lhv_gate_settle() - the vCPU was queued anew: not while its thread is in the VMM
 * @v: the vCPU
 * @now: the time
 *
 * Context: under the pool's lock, which has a policy. lhv_gate_leave_slow() has the other half.
 */
void lhv_gate_settle(struct lhv_sched_vcpu *v, u64 now)
{
	smp_mb();	/* its state was written, @where is read */
	revoke(&vcpu_of(v)->sched, now);
}

/*
 * The decision. True: it has a slot, or needs none.
 * Under the pool's lock, by the vCPU's thread.
 */
static bool decide(struct lhv_pool *pool, struct lhv_vcpu_sched *s)
{
	u64 now = ktime_get_ns(), left;

	count_time(s);
	charge(s, now);
	if (s->core.state == LHV_SCHED_RUNNING) {
		left = lhv_sched_left(&s->core, now);
		if (left) {
			s->slice_left = left;
			return true;
		}
		lhv_sched_requeue(&s->core, now);
	} else if (s->core.state == LHV_SCHED_OUT) {
		lhv_sched_want(&s->core, now);
		if (s->core.state == LHV_SCHED_WAITING)
			lhv_gate_reclaim(pool, now);
	}
	if (s->core.state != LHV_SCHED_RUNNING)
		return false;
	s->slice_left = lhv_sched_left(&s->core, now);
	return true;
}

/* Wake-ups come from the pool, from lhv_request() and by signals. */
static bool may_stop_waiting(struct lhv_vcpu *vcpu)
{
	u8 state = READ_ONCE(vcpu->sched.core.state);

	return state == LHV_SCHED_RUNNING || state == LHV_SCHED_OUT ||
	       (READ_ONCE(vcpu->pending) & LHV_SLOW_REQS) || signal_pending(current);
}

/* Back from the VMM, and nobody took the slot meanwhile? What changes now sets LHV_REQ_GATE. */
static bool still_in(struct lhv_vcpu *vcpu)
{
	struct lhv_vcpu_sched *s = &vcpu->sched;
	bool back = s->where != LHV_GATE_INSIDE &&
		    xchg(&s->where, LHV_GATE_INSIDE) == LHV_GATE_LINGERS;
	unsigned long flags;

	if (s->look)
		return false;
	if (s->registered)
		return READ_ONCE(s->core.state) == LHV_SCHED_RUNNING;
	if (!back)
		return false;
	local_irq_save(flags);
	attach(s);
	if (READ_ONCE(this_cpu_ptr(&slices)->vcpu) != vcpu)
		arm_slice(vcpu, s->slice_left);
	local_irq_restore(flags);
	return true;
}

/* See lhv_gate_admit(). */
bool lhv_gate_admit_slow(struct lhv_vcpu *vcpu)
{
	struct lhv_vcpu_sched *s = &vcpu->sched;
	struct lhv_pool *pool;
	unsigned long flags;
	bool in;

	if (still_in(vcpu))
		return true;
	s->look = false;
	follow_cpus(vcpu);
	pool = lhv_gate_lock(&vcpu->vm->sched, &flags);
	in = !pool->core.ops || decide(pool, s);
	if (in && pool->core.ops) {
		set_counted(s, true);
		attach(s);
		raw_spin_unlock(&pool->lock);	/* a slice's lock is taken first */
		arm_slice(vcpu, s->slice_left);
		local_irq_restore(flags);
		return true;
	}
	detach(s);
	set_counted(s, false);
	lhv_gate_unlock(pool, flags);
	if (in)
		return true;

	WRITE_ONCE(vcpu->manage.state, LHV_VCPU_STATE_QUEUED);
	rcuwait_wait_event(&vcpu->wait, may_stop_waiting(vcpu), TASK_INTERRUPTIBLE);
	WRITE_ONCE(vcpu->manage.state, LHV_VCPU_STATE_RUNNING);
	return false;
}

/* See lhv_gate_enough(). */
void lhv_gate_enough_slow(struct lhv_vcpu *vcpu)
{
	struct lhv_vcpu_sched *s = &vcpu->sched;
	struct lhv_pool *pool;
	unsigned long flags;
	u64 now;

	if (!s->registered && s->where == LHV_GATE_INSIDE &&
	    READ_ONCE(s->core.state) == LHV_SCHED_OUT)
		return;
	pool = lhv_gate_lock(&vcpu->vm->sched, &flags);
	WRITE_ONCE(s->where, LHV_GATE_INSIDE);
	detach(s);
	set_counted(s, false);
	now = ktime_get_ns();
	if (pool->core.ops) {
		charge(s, now);
		lhv_sched_enough(&s->core, now);
	}
	lhv_gate_unlock(pool, flags);
}

/* Will the thread be back soon? */
static bool short_errand(struct lhv_vcpu *vcpu, int ret)
{
	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_IO:
	case KVM_EXIT_MMIO:
	case KVM_EXIT_HYPERCALL:
	case KVM_EXIT_X86_RDMSR:
	case KVM_EXIT_X86_WRMSR:
	case KVM_EXIT_IOAPIC_EOI:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
	case KVM_EXIT_SET_TPR:
		return !ret;
	default:
		return false;
	}
}

/* See lhv_gate_leave(). */
void lhv_gate_leave_slow(struct lhv_vcpu *vcpu, int ret)
{
	struct lhv_vcpu_sched *s = &vcpu->sched;

	if (READ_ONCE(s->core.state) != LHV_SCHED_RUNNING || !short_errand(vcpu, ret)) {
		lhv_gate_enough_slow(vcpu);
		return;
	}
	local_irq_disable();
	detach(s);
	/* A full barrier: lhv_gate_reclaim() and lhv_gate_settle() or we see the other. */
	xchg(&s->where, LHV_GATE_LINGERS);
	if (READ_ONCE(s->core.vm->pool->nr_waiting))
		arm_slice(vcpu, LINGER);
	local_irq_enable();
	if (unlikely(READ_ONCE(s->core.state) != LHV_SCHED_RUNNING))
		lhv_gate_enough_slow(vcpu);
}

/* ---- lives ---- */

void lhv_gate_vcpu_init(struct lhv_vcpu *vcpu)
{
	struct lhv_vcpu_sched *s = &vcpu->sched;

	preempt_notifier_init(&s->notifier, &preempt_ops);
	s->on_cpu = -1;
	s->release = IRQ_WORK_INIT_HARD(release_slot);
	INIT_LIST_HEAD(&s->core.of_vm);
	INIT_LIST_HEAD(&s->core.of_pool);
}

/* It is about to be published; vm->lock is held. */
void lhv_gate_vcpu_add(struct lhv_vcpu *vcpu)
{
	struct lhv_pool *pool;
	unsigned long flags;

	pool = lhv_gate_lock(&vcpu->vm->sched, &flags);
	lhv_sched_vcpu_add(&vcpu->vm->sched, &vcpu->sched.core);
	lhv_gate_unlock(pool, flags);
}

/* Nobody runs it any more. Callable on one that was not added. Context: process. */
void lhv_gate_vcpu_destroy(struct lhv_vcpu *vcpu)
{
	struct lhv_vcpu_sched *s = &vcpu->sched;
	struct lhv_pool *pool;
	unsigned long flags;
	struct slice *slice;
	int cpu;

	if (!s->core.vm)
		return;
	irq_work_sync(&s->release);
	pool = lhv_gate_lock(s->core.vm, &flags);
	lhv_sched_vcpu_del(&s->core, ktime_get_ns());
	set_counted(s, false);
	lhv_gate_unlock(pool, flags);
	for_each_possible_cpu(cpu) {
		slice = &per_cpu(slices, cpu);
		raw_spin_lock_irqsave(&slice->lock, flags);
		if (slice->vcpu == vcpu)
			slice->vcpu = NULL;
		raw_spin_unlock_irqrestore(&slice->lock, flags);
	}
	if (s->pinned)
		let_go(s);
}

/* No pool has a policy: does still anybody need lhv_sched_on? Nobody new can come. */
bool lhv_gate_idle(void)
{
	return !atomic_read(&nr_attached);
}

void __init lhv_gate_init(void)
{
	struct slice *slice;
	int cpu;

	for_each_possible_cpu(cpu) {
		slice = &per_cpu(slices, cpu);
		raw_spin_lock_init(&slice->lock);
		slice->cpu = cpu;
		lhv_host_hrtimer_setup(&slice->timer, slice_fired, CLOCK_MONOTONIC,
				       HRTIMER_MODE_REL_PINNED_HARD);
	}
}

/* No vCPU is left. */
void lhv_gate_exit(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		hrtimer_cancel(&per_cpu(slices, cpu).timer);
}
