// SPDX-License-Identifier: GPL-2.0
/*
 * lhv sched/ - a pool's logic; see core.h.
 *
 * A vCPU's way, with the policy's op on each arrow:
 *
 *          want: wake             pick
 *   OUT ---------------> WAITING -------> RUNNING --- enough: sleep ---> OUT
 *    |                    ^   ^              |
 *    +--> PARKED ---------+   +--------------+
 *          time: wake            requeue: yield
 *
 * The cap. A VM may run up a debt within a period (a slice is cut to what is left, but a
 * timer is late and several vCPUs run at once); the debt is taken from the next periods, so
 * that over many the cap is kept exactly.
 */
#include <linux/bitops.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/string.h>

#include "sched/core.h"
#include "sched/queue.h"

/* ---- figures ---- */

static unsigned int hist_bucket(u64 ns)
{
	unsigned int shift;

	if (ns < LHV_SCHED_HIST_SUB)
		return ns;
	shift = ilog2(ns) - ilog2(LHV_SCHED_HIST_SUB);
	return min_t(unsigned int, (shift << 2) + (ns >> shift), LHV_SCHED_HIST - 1);
}

/* The middle of what a bucket counts. */
static u64 hist_value(unsigned int bucket)
{
	unsigned int shift;

	if (bucket < 2 * LHV_SCHED_HIST_SUB)
		return bucket;
	shift = bucket / LHV_SCHED_HIST_SUB - 1;
	return ((u64)(bucket % LHV_SCHED_HIST_SUB + LHV_SCHED_HIST_SUB) << shift) +
	       (1ULL << shift) / 2;
}

/**
 * lhv_sched_percentile() - of a histogram of struct lhv_sched_figures
 * @hist: it
 * @per_mille: 500 is the median
 *
 * Return: ns, within an eighth; 0 when nothing was counted.
 */
u64 lhv_sched_percentile(const u32 *hist, unsigned int per_mille)
{
	u64 total = 0, seen = 0, want;
	unsigned int i;

	for (i = 0; i < LHV_SCHED_HIST; i++)
		total += hist[i];
	if (!total)
		return 0;
	want = div_u64(total * per_mille + 999, 1000);
	for (i = 0; i < LHV_SCHED_HIST - 1; i++) {
		seen += hist[i];
		if (seen >= want)
			break;
	}
	return hist_value(i);
}

static u64 since(const struct lhv_sched_vcpu *v, u64 now)
{
	return now > v->since ? now - v->since : 0;
}

/* CPU time by weight since the pool's mix last changed. */
static u64 share(const struct lhv_sched_vm *vm)
{
	return vm->mix == vm->pool->mix ? div_u64(vm->fig.run - vm->run_before, vm->attrs.weight) : 0;
}

/**
 * lhv_sched_jain() - Jain's index of fairness
 * @pool: the pool
 *
 * Of CPU time by weight since the policy, a weight or which VMs there are last changed, over the VMs that
 * ran or wait for it. Return: millionths; 1000000 is fair.
 */
u32 lhv_sched_jain(const struct lhv_sched_pool *pool)
{
	const struct lhv_sched_vm *vm;
	u64 sum = 0, squares = 0, most = 1, x;
	unsigned int n = 0;
	int shift;

	/* Scaled to 20 bits, so that the squares of thousands of VMs fit. */
	list_for_each_entry(vm, &pool->vms, of_pool)
		most = max(most, share(vm));
	shift = ilog2(most) - 19;
	list_for_each_entry(vm, &pool->vms, of_pool) {
		x = share(vm);
		if (!x && !vm->nr_waiting)
			continue;
		x = shift > 0 ? x >> shift : x << -shift;
		sum += x;
		squares += x * x;
		n++;
	}
	if (!squares)
		return 1000000;
	/* sum * sum / (n * squares) */
	return div64_u64(div64_u64(sum, n) * sum, max(div_u64(squares, 1000000), 1ULL));
}

/**
 * lhv_sched_figures() - a VM's, with the waits and responses that have not ended
 * @vm: the VM
 * @now: the time
 * @fig: for them
 */
void lhv_sched_figures(const struct lhv_sched_vm *vm, u64 now, struct lhv_sched_figures *fig)
{
	const struct lhv_sched_vcpu *v;

	*fig = vm->fig;
	list_for_each_entry(v, &vm->vcpus, of_vm) {
		if (v->state == LHV_SCHED_WAITING)
			fig->wait += since(v, now);
		else if (v->state == LHV_SCHED_PARKED)
			fig->throttled += since(v, now);
		if (v->state != LHV_SCHED_OUT && !v->answered && now > v->woken)
			fig->response += now - v->woken;
	}
}

/* ---- caps ---- */

static u64 cap_quota(const struct lhv_sched_vm *vm)
{
	return div_u64(LHV_SCHED_CAP_PERIOD * vm->attrs.cap, 1000);
}

static noinline u64 over_cap(struct lhv_sched_vm *vm, u64 now)
{
	u64 quota = cap_quota(vm), n;

	if (now >= vm->cap_refill) {
		n = div64_u64(now - vm->cap_refill, LHV_SCHED_CAP_PERIOD) + 1;
		vm->cap_refill += n * LHV_SCHED_CAP_PERIOD;
		/* A debt is of a few periods; nobody may have looked for thousands. */
		n = min(n, 1000000ULL);
		vm->cap_budget = min_t(s64, vm->cap_budget + (s64)(n * quota), quota);
	}
	if (vm->cap_budget > 0)
		return 0;
	n = div64_u64((u64)-vm->cap_budget, quota);
	return vm->cap_refill + n * LHV_SCHED_CAP_PERIOD;
}

/* 0: it may run. Else until when it may not. */
static __always_inline u64 capped(struct lhv_sched_vm *vm, u64 now)
{
	return vm->attrs.cap ? over_cap(vm, now) : 0;
}

/* ---- states ---- */

/* @from is its state: a constant where that is known, as @to is. */
static __always_inline void change_state(struct lhv_sched_vcpu *v, u8 from, u8 to, u64 now)
{
	struct lhv_sched_vm *vm = v->vm;
	struct lhv_sched_pool *pool = vm->pool;

	if (from == LHV_SCHED_RUNNING) {
		vm->nr_running--;
		pool->nr_busy--;
		list_del_init(&v->of_pool);
	} else if (from == LHV_SCHED_WAITING) {
		vm->fig.wait += since(v, now);
		WRITE_ONCE(v->waited, v->waited + since(v, now));
		vm->nr_waiting--;
		pool->nr_waiting--;
	} else if (from == LHV_SCHED_PARKED) {
		vm->fig.throttled += since(v, now);
		WRITE_ONCE(v->waited, v->waited + since(v, now));
	}
	/* Read without the lock by the vCPU's own thread. */
	WRITE_ONCE(v->state, to);
	v->since = now;
	if (to == LHV_SCHED_RUNNING) {
		vm->nr_running++;
		pool->nr_busy++;
		list_add_tail(&v->of_pool, &pool->running);
	} else if (to == LHV_SCHED_WAITING) {
		vm->nr_waiting++;
		if (!pool->nr_waiting++ && pool->host->contended)
			pool->host->contended(pool);
	}
}

static void arm(struct lhv_sched_pool *pool)
{
	struct lhv_sched_vcpu *first = lhv_sched_queue_first(&pool->parked);

	if (first)
		pool->host->timer(pool, first->until);
}

static void park(struct lhv_sched_vcpu *v, u64 until, u64 now)
{
	struct lhv_sched_pool *pool = v->vm->pool;

	/* A policy may say "never". */
	until = min(until, now + LHV_SCHED_FAR);
	change_state(v, v->state, LHV_SCHED_PARKED, now);
	v->until = until;
	lhv_sched_queue_add(&pool->parked, v, until);
	if (lhv_sched_queue_first(&pool->parked) == v)
		arm(pool);
}

/* From OUT or PARKED into the policy's hands, or parked. */
static __always_inline void wake(struct lhv_sched_vcpu *v, u8 from, u64 now)
{
	struct lhv_sched_pool *pool = v->vm->pool;
	u64 until = capped(v->vm, now);

	if (!until) {
		/* Counted before the policy looks, as it is when it yields. */
		change_state(v, from, LHV_SCHED_WAITING, now);
		until = pool->ops->wake(pool, v, now);
	}
	if (until)
		park(v, max(until, now + 1), now);
}

/**
 * lhv_sched_charge() - it was on a CPU
 * @v: the vCPU, in any state
 * @ns: for so long, since the last time
 * @now: the time
 */
void lhv_sched_charge(struct lhv_sched_vcpu *v, u64 ns, u64 now)
{
	struct lhv_sched_vm *vm = v->vm;
	struct lhv_sched_pool *pool = vm->pool;

	if (v->state != LHV_SCHED_RUNNING) {
		v->owed += ns;
		return;
	}
	v->ran += ns;
	v->burst += ns;
	if (unlikely(vm->mix != pool->mix)) {
		vm->mix = pool->mix;
		vm->run_before = vm->fig.run;
	}
	vm->fig.run += ns;
	if (vm->attrs.cap) {
		capped(vm, now);	/* what was due comes first */
		vm->cap_budget -= ns;
	}
	if (pool->ops->charge)
		pool->ops->charge(pool, v, ns, now);
}

static __always_inline u64 time_left(struct lhv_sched_vcpu *v, u64 now)
{
	struct lhv_sched_vm *vm = v->vm;
	u64 left;

	/* More run than there are slots, after some were taken away. */
	if (v->resched || vm->pool->nr_busy > vm->pool->nr_slots || capped(vm, now))
		return 0;
	left = vm->pool->ops->expired(vm->pool, v, now);
	if (vm->attrs.cap)
		left = min(left, max(div_u64(vm->cap_budget, max(vm->nr_running, 1U)),
				     20 * LHV_SCHED_US));
	return left;
}

static void grant(struct lhv_sched_vcpu *v, u64 now)
{
	struct lhv_sched_vm *vm = v->vm;
	u64 owed = v->owed;

	change_state(v, LHV_SCHED_WAITING, LHV_SCHED_RUNNING, now);
	v->ran = 0;
	v->resched = false;
	vm->fig.slices++;
	if (owed) {
		v->owed = 0;
		lhv_sched_charge(v, owed, now);
		v->ran = 0;
	}
	vm->pool->host->granted(vm->pool, v, time_left(v, now), now);
}

static noinline void give_slots(struct lhv_sched_pool *pool, u64 now)
{
	struct lhv_sched_vcpu *v;

	do {
		v = pool->ops->pick(pool, now);
		if (!v)
			break;
		grant(v, now);
	} while (pool->nr_waiting && pool->nr_busy < pool->nr_slots);
}

static __always_inline void dispatch(struct lhv_sched_pool *pool, u64 now)
{
	if (pool->nr_waiting && pool->nr_busy < pool->nr_slots)
		give_slots(pool, now);
}

/* Whatever it is, it is OUT then. Nobody is picked in its place yet. */
static __always_inline void take_out(struct lhv_sched_vcpu *v, u64 now)
{
	struct lhv_sched_pool *pool = v->vm->pool;

	if (v->state == LHV_SCHED_PARKED) {
		lhv_sched_queue_del(&pool->parked, v);
	} else if (v->state != LHV_SCHED_OUT) {
		/* The policy sees the old state, and how many are left without it. */
		pool->ops->sleep(pool, v, now);
	}
	v->resched = false;
	change_state(v, v->state, LHV_SCHED_OUT, now);
}

/* ---- what a vCPU does ---- */

/**
 * lhv_sched_want() - a vCPU wants to run
 * @v: the vCPU, OUT; the pool has a policy
 * @now: the time
 *
 * It is RUNNING on return if there was a slot for it.
 */
void lhv_sched_want(struct lhv_sched_vcpu *v, u64 now)
{
	v->woken = now;
	v->burst = 0;
	v->answered = false;
	v->vm->fig.wakeups++;
	wake(v, LHV_SCHED_OUT, now);
	dispatch(v->vm->pool, now);
}

/* In proportion they stay right. */
static noinline void halve(u32 *hist)
{
	unsigned int i;

	for (i = 0; i < LHV_SCHED_HIST; i++)
		hist[i] /= 2;
}

/**
 * lhv_sched_entered() - it is in the guest, or was: for the first time since it woke?
 * @v: the vCPU, in any state
 * @when: it was when it entered
 */
void lhv_sched_entered(struct lhv_sched_vcpu *v, u64 when)
{
	struct lhv_sched_figures *fig = &v->vm->fig;
	u64 ns = when > v->woken ? when - v->woken : 0;

	if (v->answered)
		return;
	v->answered = true;
	fig->response += ns;
	if (unlikely(++fig->latency[hist_bucket(ns)] == ~0U))
		halve(fig->latency);
}

/**
 * lhv_sched_enough() - it wants none any more
 * @v: the vCPU, in any state
 * @now: the time
 */
void lhv_sched_enough(struct lhv_sched_vcpu *v, u64 now)
{
	struct lhv_sched_pool *pool = v->vm->pool;

	if (v->state == LHV_SCHED_OUT)
		return;
	if (v->answered) {
		v->vm->fig.bursts++;
		v->vm->fig.turnaround += now > v->woken ? now - v->woken : 0;
	}
	take_out(v, now);
	dispatch(pool, now);
}

/**
 * lhv_sched_requeue() - its slice is over; it wants another
 * @v: the vCPU, RUNNING
 * @now: the time
 *
 * It may be RUNNING again on return.
 */
void lhv_sched_requeue(struct lhv_sched_vcpu *v, u64 now)
{
	struct lhv_sched_pool *pool = v->vm->pool;
	u64 until = capped(v->vm, now);

	if (until) {
		pool->ops->sleep(pool, v, now);
	} else {
		until = pool->ops->yield(pool, v, now);
		if (!until)
			change_state(v, LHV_SCHED_RUNNING, LHV_SCHED_WAITING, now);
	}
	v->resched = false;
	if (until)
		park(v, max(until, now + 1), now);
	dispatch(pool, now);
}

/**
 * lhv_sched_idled() - it had a slot and did not use it
 * @v: the vCPU, RUNNING
 * @ns: for so long
 * @now: the time
 *
 * Its thread got no CPU. That was nobody's time on one, but the others went without the slot: the
 * policy is told, or else it would think that it is this one's turn again.
 */
void lhv_sched_idled(struct lhv_sched_vcpu *v, u64 ns, u64 now)
{
	struct lhv_sched_pool *pool = v->vm->pool;

	if (pool->ops->charge)
		pool->ops->charge(pool, v, ns, now);
}

/**
 * lhv_sched_left() - how long may it go on?
 * @v: the vCPU, RUNNING and charged
 * @now: the time
 *
 * Return: ns of CPU time, LHV_SCHED_FOREVER, or 0: it has to come back by requeue.
 */
u64 lhv_sched_left(struct lhv_sched_vcpu *v, u64 now)
{
	return time_left(v, now);
}

/* See sched.h. */
void lhv_sched_resched(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v)
{
	if (v->resched || v->state != LHV_SCHED_RUNNING)
		return;
	v->resched = true;
	/* Where the gate looks first for slots that are not used. */
	if (pool->running.next != &v->of_pool)
		list_move(&v->of_pool, &pool->running);
	pool->host->kick(pool, v);
}
EXPORT_SYMBOL_GPL(lhv_sched_resched);

/* See sched.h. */
void lhv_sched_look(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v)
{
	pool->host->kick(pool, v);
}
EXPORT_SYMBOL_GPL(lhv_sched_look);

/* ---- pools ---- */

void lhv_sched_pool_init(struct lhv_sched_pool *pool, const struct lhv_sched_host *host,
			 u32 nr_slots)
{
	memset(pool, 0, sizeof(*pool));
	pool->host = host;
	pool->nr_slots = nr_slots;
	pool->quantum = LHV_SCHED_QUANTUM;
	INIT_LIST_HEAD(&pool->vms);
	INIT_LIST_HEAD(&pool->running);
}

/**
 * lhv_sched_timer() - the time has come that the host was told
 * @pool: the pool
 * @now: the time
 */
void lhv_sched_timer(struct lhv_sched_pool *pool, u64 now)
{
	struct lhv_sched_vcpu *v;

	while ((v = lhv_sched_queue_first(&pool->parked)) && v->until <= now) {
		lhv_sched_queue_del(&pool->parked, v);
		wake(v, LHV_SCHED_PARKED, now);
	}
	arm(pool);
	if (pool->ops)
		dispatch(pool, now);
}

/* CPUs came or went, or somebody changed his mind. */
void lhv_sched_pool_set_slots(struct lhv_sched_pool *pool, u32 nr_slots, u64 now)
{
	struct lhv_sched_vcpu *v;

	pool->nr_slots = nr_slots;
	if (!pool->ops)
		return;
	/* Who has one too many finds out at the gate. */
	if (pool->nr_busy > nr_slots) {
		list_for_each_entry(v, &pool->running, of_pool)
			pool->host->kick(pool, v);
	}
	dispatch(pool, now);
}

/* Returns with all vCPUs OUT and unknown to the policy, those marked that want a slot. */
static void vm_unplug(struct lhv_sched_vm *vm, u64 now)
{
	struct lhv_sched_pool *pool = vm->pool;
	struct lhv_sched_vcpu *v;
	bool wanted;

	list_for_each_entry(v, &vm->vcpus, of_vm) {
		wanted = v->state != LHV_SCHED_OUT;
		if (v->state == LHV_SCHED_RUNNING)
			pool->host->kick(pool, v);
		take_out(v, now);
		v->until = wanted;
		if (pool->ops->vcpu_remove)
			pool->ops->vcpu_remove(pool, v);
	}
	if (pool->ops->vm_remove)
		pool->ops->vm_remove(pool, vm);
}

/* The reverse. Who wanted a slot waits for one again; nobody is picked yet. */
static void vm_plug(struct lhv_sched_vm *vm, u64 now)
{
	struct lhv_sched_pool *pool = vm->pool;
	struct lhv_sched_vcpu *v;

	if (pool->ops->vm_add)
		pool->ops->vm_add(pool, vm);
	list_for_each_entry(v, &vm->vcpus, of_vm) {
		if (pool->ops->vcpu_insert)
			pool->ops->vcpu_insert(pool, v);
	}
	list_for_each_entry(v, &vm->vcpus, of_vm) {
		if (v->until)
			wake(v, LHV_SCHED_OUT, now);
	}
}

/* To a policy that does not know it yet. */
static void vm_plug_new(struct lhv_sched_vm *vm, u64 now)
{
	struct lhv_sched_vcpu *v;

	memset(vm->priv, 0, sizeof(vm->priv));
	list_for_each_entry(v, &vm->vcpus, of_vm)
		memset(v->priv, 0, sizeof(v->priv));
	vm_plug(vm, now);
}

/* See sched.h. */
void lhv_sched_readmit(struct lhv_sched_vm *vm, u64 now)
{
	vm_unplug(vm, now);
	vm_plug(vm, now);
}
EXPORT_SYMBOL_GPL(lhv_sched_readmit);

/* Nobody waits in this pool any more: let go who was found waiting. */
static void vm_release(struct lhv_sched_vm *vm, u64 now)
{
	struct lhv_sched_vcpu *v;

	list_for_each_entry(v, &vm->vcpus, of_vm) {
		if (v->until)
			vm->pool->host->granted(vm->pool, v, 0, now);
		v->until = 0;
	}
}

/**
 * lhv_sched_pool_set_policy() - the pool gets another policy
 * @pool: the pool
 * @ops: the policy, whose init has said yes; or NULL
 * @now: the time
 *
 * Who waits, waits again; who runs has to queue up again. No vCPU's place is kept.
 */
void lhv_sched_pool_set_policy(struct lhv_sched_pool *pool, const struct lhv_sched_ops *ops,
			       u64 now)
{
	struct lhv_sched_vm *vm;

	if (pool->ops) {
		list_for_each_entry(vm, &pool->vms, of_pool)
			vm_unplug(vm, now);
	}
	if (pool->ops && pool->ops->exit)
		pool->ops->exit(pool);
	memset(pool->priv, 0, sizeof(pool->priv));
	WRITE_ONCE(pool->ops, ops);
	pool->since = now;
	pool->mix++;
	list_for_each_entry(vm, &pool->vms, of_pool) {
		if (ops)
			vm_plug_new(vm, now);
		else
			vm_release(vm, now);
	}
	if (ops)
		dispatch(pool, now);
}

/* ---- VMs and vCPUs come and go ---- */

void lhv_sched_vm_init(struct lhv_sched_vm *vm, u64 id)
{
	memset(vm, 0, sizeof(*vm));
	vm->id = id;
	vm->attrs.weight = LHV_SCHED_WEIGHT;
	vm->attrs.priority = LHV_SCHED_PRIORITY;
	INIT_LIST_HEAD(&vm->vcpus);
	INIT_LIST_HEAD(&vm->of_pool);
}

/* @vm is in no pool. */
void lhv_sched_vm_join(struct lhv_sched_pool *pool, struct lhv_sched_vm *vm, u64 now)
{
	WRITE_ONCE(vm->pool, pool);
	list_add_tail(&vm->of_pool, &pool->vms);
	pool->mix++;
	/* Another pool's count may be the same number. */
	vm->mix = pool->mix;
	vm->run_before = vm->fig.run;
	if (pool->ops) {
		vm_plug_new(vm, now);
		dispatch(pool, now);
	} else {
		vm_release(vm, now);
	}
}

/* The VM's pool stays noted until it joins another. */
void lhv_sched_vm_part(struct lhv_sched_vm *vm, u64 now)
{
	if (vm->pool->ops)
		vm_unplug(vm, now);
	list_del_init(&vm->of_pool);
	vm->pool->mix++;
	if (vm->pool->ops)
		dispatch(vm->pool, now);
}

/**
 * lhv_sched_attrs_valid() - are these in their limits?
 * @attrs: them
 * @why: room for the reason
 */
bool lhv_sched_attrs_valid(const struct lhv_sched_attrs *attrs, char *why)
{
	const char *wrong = NULL;

	if (attrs->weight < 1 || attrs->weight > LHV_SCHED_WEIGHT_MAX)
		wrong = "a weight is 1 to 10000";
	else if (attrs->cap > LHV_SCHED_CAP_MAX)
		wrong = "a cap is at most 255 CPUs";
	else if (attrs->priority > LHV_SCHED_PRIORITY_MAX)
		wrong = "a priority is 0 to 99";
	else if (attrs->length > LHV_SCHED_PERIOD_MAX)
		wrong = "a length is at most 10 s";
	else if (!attrs->period != !attrs->budget)
		wrong = "a reservation is a period and a budget, or neither";
	else if (attrs->period && (attrs->period < LHV_SCHED_PERIOD_MIN ||
				   attrs->period > LHV_SCHED_PERIOD_MAX))
		wrong = "a period is 1 ms to 10 s";
	else if (attrs->budget > attrs->period)
		wrong = "a budget is at most its period";
	else if (attrs->period && attrs->budget < LHV_SCHED_QUANTUM_MIN)
		wrong = "a budget is at least 100 us";
	if (wrong)
		strscpy(why, wrong, LHV_SCHED_WHY_MAX);
	return !wrong;
}

/* As lhv_sched_vm_set(), of a VM that is between two pools. */
void lhv_sched_vm_note(struct lhv_sched_vm *vm, const struct lhv_sched_attrs *attrs, u64 now)
{
	bool capped_anew = attrs->cap && !vm->attrs.cap;
	u64 was = cap_quota(vm);

	vm->attrs = *attrs;
	if (capped_anew) {
		vm->cap_budget = cap_quota(vm);
		vm->cap_refill = now + LHV_SCHED_CAP_PERIOD;
	} else {
		/* What it had of this period it had. */
		vm->cap_budget += cap_quota(vm) - was;
	}
}

/*
 * The policy's adjust has agreed. Nobody loses his place, or an agent that sets something again and
 * again would starve the VM.
 */
void lhv_sched_vm_set(struct lhv_sched_vm *vm, const struct lhv_sched_attrs *attrs, u64 now)
{
	const struct lhv_sched_attrs was = vm->attrs;
	struct lhv_sched_pool *pool = vm->pool;
	struct lhv_sched_vcpu *v;

	if (attrs->weight != was.weight)
		pool->mix++;
	lhv_sched_vm_note(vm, attrs, now);
	if (!pool->ops)
		return;
	if (pool->ops->vm_set)
		pool->ops->vm_set(pool, vm, &was, now);
	list_for_each_entry(v, &vm->vcpus, of_vm) {
		if (v->state == LHV_SCHED_RUNNING) {
			lhv_sched_look(pool, v);
		} else if (v->state == LHV_SCHED_PARKED) {
			lhv_sched_queue_del(&pool->parked, v);
			wake(v, LHV_SCHED_PARKED, now);
		}
	}
	dispatch(pool, now);
}

void lhv_sched_vcpu_add(struct lhv_sched_vm *vm, struct lhv_sched_vcpu *v)
{
	memset(v, 0, sizeof(*v));
	v->vm = vm;
	INIT_LIST_HEAD(&v->of_pool);
	list_add_tail(&v->of_vm, &vm->vcpus);
	vm->nr_vcpus++;
	if (vm->pool->ops && vm->pool->ops->vcpu_insert)
		vm->pool->ops->vcpu_insert(vm->pool, v);
}

void lhv_sched_vcpu_del(struct lhv_sched_vcpu *v, u64 now)
{
	struct lhv_sched_pool *pool = v->vm->pool;

	lhv_sched_enough(v, now);
	if (pool->ops && pool->ops->vcpu_remove)
		pool->ops->vcpu_remove(pool, v);
	list_del_init(&v->of_vm);
	v->vm->nr_vcpus--;
}
