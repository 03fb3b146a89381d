// SPDX-License-Identifier: GPL-2.0
/*
 * lhv sched/ - the gate: vCPU threads at the pools of core.c.
 *
 * A slot stands for a CPU. So a thread keeps its slot for as long as it is on one: in the guest,
 * in the kernel and on a short errand in its VMM, and all that time is charged. Whether it was
 * there all the time its counters of context switches tell: where they have moved, only what
 * had passed when it left the atomic tier is charged. A timer per CPU interrupts the guest, so that
 * an entry that nobody wants to prevent costs not one instruction. It fires no later than SWITCH after
 * the slice of who is there ends, but may fire earlier: then it looks what is left. To arm it for each
 * one who comes would cost more than all the rest of his way in.
 *
 * How a slot gets back:
 *	the slice is over	the timer: its handler queues the vCPU anew and gives the slot to
 *				the next one; LHV_REQ_GATE sends the thread to sleep. One that
 *				is in its VMM wants none until it is back
 *	HLT, pause, signal	lhv_gate_enough()
 *	the thread sleeps	(its VMM, or a page that comes from a disk:) who wants a slot takes
 *				it. Who waited when it set out gets it after LINGER
 *	no CPU for the thread	the host gives it to others (SCHED_IDLE, cpu.max): after STARVED
 *				it goes to somebody who waits
 *	policy switch		core.c: all have to queue up again
 *
 * A slot can be taken from any thread at any time, for LHV_REQ_GATE is set behind that: it comes
 * to the gate before it enters the guest again.
 *
 * No wake-up is lost: whoever changes a vCPU's state does it under the pool's lock and then wakes
 * vcpu->wait; the thread looks at its state after it has announced itself there.
 */
#include <linux/percpu.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/timekeeping.h>

#include "lhv.h"

#define LINGER		(100 * LHV_SCHED_US)
#define LOOK_AGAIN	(10 * LHV_SCHED_MS)	/* at least so often a running one is charged */
#define SHORTEST	(10 * LHV_SCHED_US)
#define SWITCH		(10 * LHV_SCHED_US)	/* from one thread to the next; more or less */
#define STARVED		(20 * LHV_SCHED_MS)
#define SLEEPERS	16			/* so many slots are tried for one */
#define NOT_COUNTED	(~0ULL)			/* no thread has switched so often */

DEFINE_STATIC_KEY_FALSE(lhv_sched_on);
DEFINE_PER_CPU(struct lhv_slice, lhv_slices);

/* Threads with other CPUs than they came with: lhv_sched_on stays on for them. */
static atomic_t nr_pinned;

static struct lhv_vcpu *vcpu_of(struct lhv_sched_vcpu *v)
{
	return container_of(v, struct lhv_vcpu, sched.core);
}

static struct lhv_pool *pool_of(struct lhv_sched_pool *pool)
{
	return container_of(pool, struct lhv_pool, core);
}

/* The pool that a VM is in, which may be moved meanwhile. Interrupts off. */
static struct lhv_pool *lock_pool(struct lhv_sched_vm *vm)
	__acquires(&pool->lock)
{
	struct lhv_pool *pool;

	for (;;) {
		pool = pool_of(READ_ONCE(vm->pool));
		raw_spin_lock(&pool->lock);
		if (likely(&pool->core == vm->pool))
			return pool;
		raw_spin_unlock(&pool->lock);
	}
}

/**
 * lhv_gate_lock() - lock the pool that a VM is in
 * @vm: the VM
 * @flags: for lhv_gate_unlock()
 *
 * Context: any but NMI. Pools do not go away before the module.
 */
struct lhv_pool *lhv_gate_lock(struct lhv_sched_vm *vm, unsigned long *flags)
	__acquires(&pool->lock)
{
	local_irq_save(*flags);
	return lock_pool(vm);
}

void lhv_gate_unlock(struct lhv_pool *pool, unsigned long flags)
	__releases(&pool->lock)
{
	raw_spin_unlock_irqrestore(&pool->lock, flags);
}

/* ---- time on CPUs ---- */

static u64 tsc_to_ns(u64 ticks)
{
	return div_u64(min(ticks, U64_MAX / USEC_PER_SEC) * USEC_PER_SEC, lhv_host_tsc_khz());
}

/* Of a slice: for less than a second. */
static u64 ns_to_tsc(u64 ns)
{
	return div_u64(ns * lhv_host_tsc_khz(), USEC_PER_SEC);
}

/* What ran until @end is to be charged; from @from on it is counted anew. */
static void count(struct lhv_vcpu_sched *s, u64 end, u64 from)
{
	u64 start = xchg(&s->counted, from);

	if (start && end > start)
		atomic64_add(end - start, &s->uncharged);
}

/* The same, until now. Interrupts off, the vCPU's thread is the current one. */
static void catch_up(struct lhv_vcpu_sched *s)
{
	u64 now = rdtsc(), switches = lhv_gate_switches();

	count(s, switches == s->switches ? now : s->left_at, now);
	s->switches = switches;
}

/* The same; then nothing is counted until lhv_gate_on(). Interrupts may be on. */
static void stop_counting(struct lhv_vcpu_sched *s)
{
	u64 now = rdtsc();

	/* Not later than @now, and not before the last switch. */
	barrier();
	count(s, lhv_gate_switches() == s->switches ? now : s->left_at, 0);
	s->switches = NOT_COUNTED;
}

static noinline void charge_ticks(struct lhv_vcpu_sched *s, u64 ticks, u64 now)
{
	u64 began = READ_ONCE(s->began);

	if (!s->core.answered && began)
		lhv_sched_entered(&s->core, now - min(now, tsc_to_ns(rdtsc() - began)));
	lhv_sched_charge(&s->core, tsc_to_ns(ticks), now);
}

/* Under the pool's lock. */
static __always_inline void charge(struct lhv_vcpu_sched *s, u64 now)
{
	u64 ticks = atomic64_xchg(&s->uncharged, 0);

	if (ticks)
		charge_ticks(s, ticks, now);
}

/* ---- slots of threads that do not use them ---- */

/* Under the pool's lock: from a thread that is not in the atomic tier. */
static void take_slot(struct lhv_vcpu *vcpu, u64 now)
{
	struct lhv_vcpu_sched *s = &vcpu->sched;

	count(s, READ_ONCE(s->left_at), 0);
	charge(s, now);
	lhv_sched_enough(&s->core, now);
	lhv_request(vcpu, LHV_REQ_GATE);
}

/* For how long it has been neither in the atomic tier nor, as far as is known, on a CPU. */
static u64 idle_ns(const struct lhv_vcpu *vcpu)
{
	s64 ticks = rdtsc() - max(READ_ONCE(vcpu->sched.left_at), READ_ONCE(vcpu->sched.counted));

	return READ_ONCE(vcpu->atomic) || ticks < 0 ? 0 : tsc_to_ns(ticks);
}

/* Not one that just got its slot: it is about to wake up. */
static bool sleeps(struct lhv_vcpu *vcpu, u64 now)
{
	return !READ_ONCE(vcpu->atomic) && now > vcpu->sched.core.since + LINGER &&
	       lhv_host_task_sleeps(vcpu->sched.task);
}

static bool starved(struct lhv_vcpu *vcpu, u64 now)
{
	return now > vcpu->sched.core.since + STARVED && idle_ns(vcpu) > STARVED;
}

/* Somebody who has a slot and does not use it, or should give it back and is not in the guest. */
static __always_inline struct lhv_sched_vcpu *find_unused(struct lhv_pool *pool, u64 now)
{
	struct lhv_sched_vcpu *v;
	int n = 0;

	list_for_each_entry(v, &pool->core.running, of_pool) {
		if (n++ == SLEEPERS)
			break;
		if (!READ_ONCE(vcpu_of(v)->atomic) && (v->resched || sleeps(vcpu_of(v), now)))
			return v;
	}
	return NULL;
}

/**
 * lhv_gate_reclaim() - somebody may have begun to wait: who sleeps, or was told, loses its slot
 * @pool: the pool
 * @now: the time
 *
 * Context: under the pool's lock.
 */
void lhv_gate_reclaim(struct lhv_pool *pool, u64 now)
{
	struct lhv_sched_vcpu *v;

	/* Each time from the start: the list is another one then. */
	while (pool->core.ops && pool->core.nr_waiting) {
		v = find_unused(pool, now);
		if (!v)
			return;
		take_slot(vcpu_of(v), now);
	}
}

/* Takes its slot from a thread that does not use it. */
static void take_idle(struct lhv_sched_vcpu *v, u64 now)
{
	if (!sleeps(vcpu_of(v), now)) {
		if (!starved(vcpu_of(v), now))
			return;
		/* Else it would be the next again, having got nothing. */
		lhv_sched_idled(v, min(idle_ns(vcpu_of(v)), now - v->since), now);
	}
	take_slot(vcpu_of(v), now);
}

static enum hrtimer_restart watch_fired(struct hrtimer *timer)
{
	struct lhv_pool *pool = container_of(timer, struct lhv_pool, watch);
	struct lhv_sched_vcpu *v, *next;
	unsigned long flags;
	u64 now;

	raw_spin_lock_irqsave(&pool->lock, flags);
	now = ktime_get_ns();
	/*
	 * Who gets a slot comes to the end of the list; nobody but @v leaves it. @next may come to its head,
	 * being told to give way, once: all are looked at again then.
	 */
	list_for_each_entry_safe(v, next, &pool->core.running, of_pool) {
		if (!pool->core.nr_waiting)
			break;
		take_idle(v, now);
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

/* ---- the timer of a slice: one per CPU ---- */

/* Who got the slot is about to come here, as a rule. */
static struct lhv_vcpu *newest(const struct lhv_pool *pool, u64 now)
{
	struct lhv_sched_vcpu *v;

	if (list_empty(&pool->core.running))
		return NULL;
	v = list_last_entry(&pool->core.running, struct lhv_sched_vcpu, of_pool);
	return v->since == now ? vcpu_of(v) : NULL;
}

/*
 * Its slice is over: whose is the next one? If it is on its way into the guest or out, it wants to
 * go on, and its thread learns of it later. If it is in its VMM it wants nothing yet.
 */
static struct lhv_vcpu *end_slice(struct lhv_pool *pool, struct lhv_vcpu *vcpu, u64 now)
{
	struct lhv_vcpu_sched *s = &vcpu->sched;

	if (READ_ONCE(vcpu->atomic)) {
		lhv_sched_requeue(&s->core, now);
		if (s->core.state == LHV_SCHED_RUNNING)
			return vcpu;
		lhv_request(vcpu, LHV_REQ_GATE);
	} else if (pool->core.nr_waiting) {
		take_slot(vcpu, now);
	} else {
		lhv_request(vcpu, LHV_REQ_GATE);
		return NULL;
	}
	return newest(pool, now);
}

/*
 * How is he doing whose slice this is? Ns after which to look again, or 0; it may be another's
 * then. Under @slice->lock, interrupts off.
 */
static u64 look_at(struct lhv_slice *slice)
{
	struct lhv_vcpu *vcpu = slice->vcpu;
	struct lhv_vcpu_sched *s = &vcpu->sched;
	struct lhv_pool *pool;
	u64 left = 0, now;

	pool = lock_pool(&vcpu->vm->sched);
	now = ktime_get_ns();
	slice->looked = now;
	if (!pool->core.ops || s->core.state != LHV_SCHED_RUNNING)
		goto out;
	/* It is elsewhere, where it arms another timer, or nowhere. */
	if (s->task != current) {
		/* Its CPU was gone, and has come back meanwhile. */
		if (slice != this_cpu_ptr(&lhv_slices))
			lhv_request(vcpu, LHV_REQ_GATE);
		else if (pool->core.nr_waiting && sleeps(vcpu, now))
			take_slot(vcpu, now);
		else if (pool->core.nr_waiting && now <= s->core.since + LINGER)
			left = LINGER;	/* too early to tell */
		goto out;
	}
	catch_up(s);
	charge(s, now);
	left = lhv_sched_left(&s->core, now);
	s->slice_left = left;
	if (!left) {
		slice->vcpu = end_slice(pool, vcpu, now);
		if (slice->vcpu)
			left = min(slice->vcpu->sched.slice_left, LOOK_AGAIN) + SWITCH;
	} else if (!READ_ONCE(vcpu->atomic) && pool->core.nr_waiting) {
		left = min(left, LINGER);
	}
out:
	raw_spin_unlock(&pool->lock);
	return left;
}

static enum hrtimer_restart slice_fired(struct hrtimer *timer)
{
	struct lhv_slice *slice = container_of(timer, struct lhv_slice, timer);
	enum hrtimer_restart ret = HRTIMER_NORESTART;
	u64 left = 0;

	raw_spin_lock(&slice->lock);
	/* Else it was armed anew for somebody else while this waited for the lock. */
	if (!hrtimer_is_queued(timer)) {
		if (slice->vcpu)
			left = look_at(slice);
		slice->soon = false;
		slice->ends = 0;
		if (left) {
			left = clamp(left, SHORTEST, LOOK_AGAIN + SWITCH);
			slice->ends = rdtsc() + ns_to_tsc(left);
			hrtimer_set_expires(timer, ns_to_ktime(slice->looked + left));
			ret = HRTIMER_RESTART;
		} else {
			slice->vcpu = NULL;
		}
	}
	raw_spin_unlock(&slice->lock);
	return ret;
}

/**
 * lhv_gate_cpu_up() - a CPU comes, and no thread of users is there yet
 * @cpu: the CPU
 *
 * When it went its timer moved to another CPU: whoever comes here arms it anew.
 */
void lhv_gate_cpu_up(unsigned int cpu)
{
	struct lhv_slice *slice = &per_cpu(lhv_slices, cpu);
	unsigned long flags;

	raw_spin_lock_irqsave(&slice->lock, flags);
	slice->vcpu = NULL;
	slice->ends = 0;
	raw_spin_unlock_irqrestore(&slice->lock, flags);
}

/* Interrupts off. */
static void arm_slice(struct lhv_vcpu *vcpu, u64 ns, bool soon)
{
	struct lhv_slice *slice = this_cpu_ptr(&lhv_slices);

	ns = clamp(ns, SHORTEST, LOOK_AGAIN);
	raw_spin_lock(&slice->lock);
	/* Nobody else would look whether it sleeps. */
	if (slice->vcpu && slice->vcpu != vcpu &&
	    READ_ONCE(slice->vcpu->sched.core.state) == LHV_SCHED_RUNNING)
		look_at(slice);
	slice->vcpu = vcpu;
	slice->soon = soon;
	if (!slice->ends || slice->ends > rdtsc() + ns_to_tsc(ns + SWITCH)) {
		slice->ends = rdtsc() + ns_to_tsc(ns);
		hrtimer_start(&slice->timer, ns_to_ktime(ns), HRTIMER_MODE_REL_PINNED_HARD);
	}
	raw_spin_unlock(&slice->lock);
}

/* See lhv_gate_on(): it lost the CPU meanwhile, has just got its slot, or another had the timer. */
void lhv_gate_on_slow(struct lhv_vcpu *vcpu)
{
	struct lhv_vcpu_sched *s = &vcpu->sched;
	bool begins = !READ_ONCE(s->counted);

	/* Somebody has sent it elsewhere. */
	if (unlikely(s->pinned && !cpumask_test_cpu(smp_processor_id(), s->bound_cpus)))
		lhv_request_self(vcpu, LHV_REQ_GATE);
	if (READ_ONCE(s->core.state) != LHV_SCHED_RUNNING)
		return;
	local_irq_disable();
	if (begins) {
		s->switches = lhv_gate_switches();
		WRITE_ONCE(s->counted, rdtsc());
		if (!s->began)
			WRITE_ONCE(s->began, s->counted);
	} else {
		catch_up(s);
		s->slice_left -= min(s->slice_left, tsc_to_ns(atomic64_read(&s->uncharged)));
	}
	if (begins || this_cpu_read(lhv_slices.vcpu) != vcpu)
		arm_slice(vcpu, s->slice_left, false);
	local_irq_enable();
}

/* See lhv_gate_linger(): somebody waits. */
void lhv_gate_linger_slow(struct lhv_vcpu *vcpu)
{
	unsigned long flags;

	if (READ_ONCE(vcpu->sched.core.state) != LHV_SCHED_RUNNING) {
		/* Queued anew by the timer: a slot would come to nobody. */
		lhv_gate_enough_slow(vcpu);
		return;
	}
	local_irq_save(flags);
	arm_slice(vcpu, min(vcpu->sched.slice_left, LINGER), true);
	local_irq_restore(flags);
}

/* ---- what the pools' logic wants ---- */

static void granted(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 left, u64 now)
{
	vcpu_of(v)->sched.slice_left = left;
	rcuwait_wake_up(&vcpu_of(v)->wait);
}

static void kick(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v)
{
	lhv_request(vcpu_of(v), LHV_REQ_GATE);
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

/*
 * Its thread may run where it might before, unless somebody else has said meanwhile where it may: the
 * user, a cpuset, the host for want of those CPUs.
 */
static void unbind_thread(struct lhv_vcpu_sched *s)
{
	if (!s->pinned)
		return;
	/* Not cpus_ptr: it may be on one of these CPUs for a moment, and not migrate. */
	if (cpumask_equal(&s->task->cpus_mask, s->bound_cpus))
		set_cpus_allowed_ptr(s->task, s->own_cpus);
	free_cpumask_var(s->own_cpus);
	free_cpumask_var(s->bound_cpus);
	s->pinned = false;
	atomic_dec(&nr_pinned);
}

/* On those of @cpus that the thread might use anyway, its cpuset's; on @cpus if there are none. */
static void bind_thread(struct lhv_vcpu_sched *s, const struct cpumask *cpus)
{
	if (!s->pinned) {
		if (!zalloc_cpumask_var(&s->own_cpus, GFP_KERNEL_ACCOUNT))
			return;
		if (!zalloc_cpumask_var(&s->bound_cpus, GFP_KERNEL_ACCOUNT)) {
			free_cpumask_var(s->own_cpus);
			return;
		}
		s->pinned = true;
		atomic_inc(&nr_pinned);
	}
	/* The first time, and when somebody else said where it may run. */
	if (!cpumask_equal(current->cpus_ptr, s->bound_cpus))
		cpumask_copy(s->own_cpus, current->cpus_ptr);
	if (!cpumask_and(s->bound_cpus, cpus, s->own_cpus))
		cpumask_copy(s->bound_cpus, cpus);
	/* Fails when they are all gone: then anywhere is better than nowhere, until one comes. */
	if (set_cpus_allowed_ptr(current, s->bound_cpus))
		cpumask_copy(s->bound_cpus, current->cpus_ptr);
}

/**
 * lhv_gate_new_thread() - another thread than before runs the vCPU
 * @vcpu: the vCPU; its thread
 *
 * It has not followed the pool's CPUs yet; the one before has its own again.
 */
void lhv_gate_new_thread(struct lhv_vcpu *vcpu)
{
	struct lhv_vcpu_sched *s = &vcpu->sched;
	struct task_struct *old;
	struct lhv_pool *pool;
	unsigned long flags;

	unbind_thread(s);
	pool = lhv_gate_lock(&vcpu->vm->sched, &flags);
	old = s->task;
	s->task = get_task_struct(current);
	count(s, s->left_at, 0);
	lhv_gate_unlock(pool, flags);
	if (old)
		put_task_struct(old);
	s->look = true;
	s->cpus_pool = LHV_POOLS_MAX;
}

/* A bound pool's threads run on its CPUs; a thread that leaves it has its own again. */
static void follow_cpus(struct lhv_vcpu *vcpu)
{
	struct lhv_vcpu_sched *s = &vcpu->sched;
	struct lhv_pool *pool = pool_of(READ_ONCE(s->core.vm->pool));
	u32 version = READ_ONCE(pool->cpus_version);

	if (likely(s->cpus_pool == pool->id && s->cpus_version == version &&
		   (!s->pinned || cpumask_equal(current->cpus_ptr, s->bound_cpus))))
		return;
	s->cpus_pool = pool->id;
	s->cpus_version = version;
	if (READ_ONCE(pool->bound))
		bind_thread(s, &pool->cpus);
	else
		unbind_thread(s);
}

/**
 * lhv_gate_settle() - the vCPU was queued anew: not while its thread is in the VMM
 * @v: the vCPU
 * @now: the time
 *
 * Context: under the pool's lock, which has a policy; LHV_REQ_GATE is set behind it.
 */
void lhv_gate_settle(struct lhv_sched_vcpu *v, u64 now)
{
	if (!mutex_is_locked(&vcpu_of(v)->lock)) {
		charge(&vcpu_of(v)->sched, now);
		lhv_sched_enough(v, now);
	}
}

/*
 * The decision. True: it has a slot. Under the pool's lock, by the vCPU's thread; charged.
 */
static bool decide(struct lhv_pool *pool, struct lhv_vcpu_sched *s, u64 now)
{
	if (s->core.state == LHV_SCHED_RUNNING) {
		s->slice_left = lhv_sched_left(&s->core, now);
		if (!s->slice_left)
			lhv_sched_requeue(&s->core, now);
	} else if (s->core.state == LHV_SCHED_OUT) {
		lhv_sched_want(&s->core, now);
		if (s->core.state == LHV_SCHED_WAITING && find_unused(pool, now))
			lhv_gate_reclaim(pool, now);
	}
	return s->core.state == LHV_SCHED_RUNNING;
}

/* Wake-ups come from the pool, from lhv_request() and by signals. */
static bool may_stop_waiting(struct lhv_vcpu *vcpu)
{
	u8 state = READ_ONCE(vcpu->sched.core.state);

	return state == LHV_SCHED_RUNNING || state == LHV_SCHED_OUT ||
	       (READ_ONCE(vcpu->pending) & LHV_SLOW_REQS) || signal_pending(current);
}

/* True: it has a slot, or needs none. */
static bool ask(struct lhv_vcpu *vcpu)
{
	struct lhv_vcpu_sched *s = &vcpu->sched;
	struct lhv_pool *pool;
	bool in = true;
	u64 now;

	local_irq_disable();
	pool = lock_pool(&vcpu->vm->sched);
	if (pool->core.ops) {
		now = ktime_get_ns();
		if (s->core.state == LHV_SCHED_OUT) {
			/* What was counted without a policy is nobody's. */
			WRITE_ONCE(s->counted, 0);
			WRITE_ONCE(s->began, 0);
			s->switches = NOT_COUNTED;
		} else {
			stop_counting(s);
		}
		charge(s, now);
		in = decide(pool, s, now);
	}
	raw_spin_unlock_irq(&pool->lock);
	return in;
}

/* See lhv_gate_admit(). */
bool lhv_gate_admit_slow(struct lhv_vcpu *vcpu)
{
	struct lhv_vcpu_sched *s = &vcpu->sched;

	if (s->look) {
		s->look = false;
		follow_cpus(vcpu);
	} else if (!READ_ONCE(READ_ONCE(s->core.vm->pool)->ops)) {
		return true;	/* when that changes, LHV_REQ_GATE is set */
	}
	if (lhv_gate_waits(vcpu))
		stop_counting(s);	/* others have seen to the rest */
	else if (ask(vcpu))
		return true;

	lhv_steal_preempted(vcpu);
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
	u64 now;

	if (READ_ONCE(s->core.state) == LHV_SCHED_OUT)
		return;
	local_irq_disable();
	pool = lock_pool(&vcpu->vm->sched);
	stop_counting(s);
	if (pool->core.ops) {
		now = ktime_get_ns();
		charge(s, now);
		lhv_sched_enough(&s->core, now);
	}
	raw_spin_unlock_irq(&pool->lock);
}

/* ---- lives ---- */

void lhv_gate_vcpu_init(struct lhv_vcpu *vcpu)
{
	struct lhv_vcpu_sched *s = &vcpu->sched;

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
	struct lhv_slice *slice;
	int cpu;

	if (!s->core.vm)
		return;
	pool = lhv_gate_lock(s->core.vm, &flags);
	lhv_sched_vcpu_del(&s->core, ktime_get_ns());
	lhv_gate_unlock(pool, flags);
	for_each_possible_cpu(cpu) {
		slice = &per_cpu(lhv_slices, cpu);
		raw_spin_lock_irqsave(&slice->lock, flags);
		if (slice->vcpu == vcpu)
			slice->vcpu = NULL;
		raw_spin_unlock_irqrestore(&slice->lock, flags);
	}
	unbind_thread(s);
	if (s->task)
		put_task_struct(s->task);
}

/* No pool has a policy or CPUs of its own: does still anybody need lhv_sched_on? */
bool lhv_gate_idle(void)
{
	return !atomic_read(&nr_pinned);
}

void __init lhv_gate_init(void)
{
	struct lhv_slice *slice;
	int cpu;

	for_each_possible_cpu(cpu) {
		slice = &per_cpu(lhv_slices, cpu);
		raw_spin_lock_init(&slice->lock);
		lhv_host_hrtimer_setup(&slice->timer, slice_fired, CLOCK_MONOTONIC,
				       HRTIMER_MODE_REL_PINNED_HARD);
	}
}

/* No vCPU is left. */
void lhv_gate_exit(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		hrtimer_cancel(&per_cpu(lhv_slices, cpu).timer);
}
