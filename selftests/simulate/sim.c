// SPDX-License-Identifier: GPL-2.0
/* The simulated machine; see sim.h. */
#include <stdlib.h>

#include "sim.h"

#define SHORTEST_LOOK	(20 * LHV_SCHED_US)	/* what is left of a cap is never cut finer */

enum { EV_STRETCH, EV_SLICE, EV_WAKE, EV_GATE, EV_TIMER };

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "simulate: invariant broken: %s\n", what);
	exit(1);
}

/* ---- random numbers and events ---- */

u64 sim_random(struct sim *s, u64 below)
{
	s->random ^= s->random << 13;
	s->random ^= s->random >> 7;
	s->random ^= s->random << 17;
	return below ? s->random % below : 0;
}

static bool sooner(const struct event *a, const struct event *b)
{
	return a->when != b->when ? a->when < b->when : a->seq < b->seq;
}

static void post(struct sim *s, struct sim_vcpu *v, u8 what, u32 serial, u64 when)
{
	struct event e = { when, s->seq++, v, serial, what };
	size_t i, up;

	if (s->n == s->room) {
		s->room = s->room * 2 + 64;
		s->heap = realloc(s->heap, s->room * sizeof(e));
		if (!s->heap)
			abort();
	}
	for (i = s->n++; i; i = up) {
		up = (i - 1) / 2;
		if (!sooner(&e, &s->heap[up]))
			break;
		s->heap[i] = s->heap[up];
	}
	s->heap[i] = e;
}

static struct event next_event(struct sim *s)
{
	struct event first = s->heap[0], e = s->heap[--s->n];
	size_t i = 0, down;

	for (; (down = 2 * i + 1) < s->n; i = down) {
		if (down + 1 < s->n && sooner(&s->heap[down + 1], &s->heap[down]))
			down++;
		if (!sooner(&s->heap[down], &e))
			break;
		s->heap[i] = s->heap[down];
	}
	s->heap[i] = e;
	return first;
}

/* ---- the machine: what a vCPU on a CPU does next ---- */

static struct sim_vcpu *vcpu_of(struct lhv_sched_vcpu *v)
{
	return container_of(v, struct sim_vcpu, s);
}

/* ---- caps: what a VM really ran in each period ---- */

static u64 quota(const struct sim_vm *vm)
{
	return LHV_SCHED_CAP_PERIOD / 1000 * vm->s.attrs.cap;
}

/*
 * The most that a VM may run in one period beyond its quota, if all slices end in time. A slice is
 * cut to what is left of the quota, divided by those of the VM that run; what they run is taken
 * from it when their slices end. So when one sees next to nothing left, others may have begun with
 * the whole, a half, a third, ... of it before them.
 */
u64 sim_cap_bound(const struct sim_vm *vm)
{
	u64 bound = vm->n * SHORTEST_LOOK;
	unsigned int i;

	for (i = 1; i < vm->n; i++)
		bound += quota(vm) / i;
	return bound;
}

/* A cap, or who may run, has changed: what ran and is not charged yet comes on top. */
static void cap_anew(struct sim *s, struct sim_vm *vm)
{
	s64 debt = -vm->s.cap_budget;
	u64 uncharged = 0;
	unsigned int i;

	for (i = 0; i < vm->n; i++) {
		const struct sim_vcpu *v = &vm->vcpus[i];

		uncharged += v->s.owed + (v->began ? s->now - v->began : 0);
	}
	vm->cap.beyond = max(sim_cap_bound(vm), debt > 0 ? (u64)debt : 0) + uncharged;
}

static void count_capped(struct sim *s, struct sim_vm *vm, u64 from, u64 to)
{
	struct sim_cap *cap = &vm->cap;
	u64 end, i, *used;

	for (from = max(from, cap->since); from < to; from = end) {
		i = (from - cap->since) / LHV_SCHED_CAP_PERIOD;
		end = min(to, cap->since + (i + 1) * LHV_SCHED_CAP_PERIOD);
		used = &cap->used[i % SIM_CAP_PERIODS];
		if (cap->index[i % SIM_CAP_PERIODS] != i) {
			cap->index[i % SIM_CAP_PERIODS] = i;
			*used = 0;
		}
		*used += end - from;
		cap->ran += end - from;
		if (*used > quota(vm))
			s->overrun = max(s->overrun, *used - quota(vm));
		must(*used <= quota(vm) + cap->beyond, "a cap exceeded by more than its bound");
	}
}

/* Book the CPU time until now. */
static void book(struct sim_vcpu *v)
{
	struct sim *s = v->sim;
	u64 ns = s->now - v->began;

	if (!v->began)
		return;
	v->began = s->now;
	if (!v->spinning)
		v->left -= min(ns, v->left);
	s->busy += ns;
	lhv_sched_charge(&v->s, ns, s->now);
	if (v->vm->s.attrs.cap)
		count_capped(s, v->vm, s->now - ns, s->now);
}

/* It is on a CPU: when does its stretch end, when its slice? */
static void plan(struct sim_vcpu *v)
{
	struct sim *s = v->sim;
	u64 left = lhv_sched_left(&v->s, s->now);

	v->serial++;
	if (!v->spinning && v->job != JOB_SPIN)
		post(s, v, EV_STRETCH, v->serial, s->now + v->left);
	if (left != LHV_SCHED_FOREVER)
		post(s, v, EV_SLICE, v->serial, s->now + left);
}

static void granted(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *sv, u64 left,
		    u64 now)
{
	struct sim_vcpu *v = vcpu_of(sv);

	(void)pool;
	(void)now;
	v->serial++;
	post(v->sim, v, EV_GATE, v->serial, v->sim->now);
}

static void kick(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *sv)
{
	struct sim_vcpu *v = vcpu_of(sv);

	(void)pool;
	v->serial++;
	post(v->sim, v, EV_GATE, v->serial, v->sim->now);
}

static void timer(struct lhv_sched_pool *pool, u64 when)
{
	struct sim *s = container_of(pool, struct sim, pool);

	post(s, NULL, EV_TIMER, ++s->timer_serial, max(when, s->now));
}

static const struct lhv_sched_host host = { .granted = granted, .kick = kick, .timer = timer };

static void leave_cpu(struct sim_vcpu *v)
{
	book(v);
	v->began = 0;
	v->serial++;
}

static void stretch_done(struct sim_vcpu *v);

/* At the gate: with a slot it runs on, without it waits. */
static void gate(struct sim_vcpu *v)
{
	struct sim *s = v->sim;

	s->ops++;
	book(v);
	/* Done in the very moment in which it has to give way. */
	if (v->began && !v->left && !v->spinning && v->job != JOB_SPIN) {
		stretch_done(v);
		return;
	}
	if (v->s.state == LHV_SCHED_RUNNING && v->began && !lhv_sched_left(&v->s, s->now)) {
		v->began = 0;
		v->serial++;
		lhv_sched_requeue(&v->s, s->now);
	}
	if (v->s.state != LHV_SCHED_RUNNING) {
		v->began = 0;
		return;
	}
	v->began = s->now;
	lhv_sched_entered(&v->s, s->now);
	plan(v);
}

static void go_to_sleep(struct sim_vcpu *v, u64 until)
{
	leave_cpu(v);
	v->asleep = true;
	lhv_sched_enough(&v->s, v->sim->now);
	if (until)
		post(v->sim, v, EV_WAKE, v->serial, until);
}

/* About @mean, from half to one and a half times that. */
static u64 about(struct sim *s, u64 mean)
{
	return mean / 2 + sim_random(s, mean + 1);
}

/* It is its turn, and it is on a CPU: it sees that. */
static void look_at_lock(struct sim_vcpu *v)
{
	if (!v->spinning || !v->began || v->ticket != v->vm->serving)
		return;
	book(v);
	v->spinning = false;
	v->locked = true;
	v->left = v->pause;
	plan(v);
}

static void drop_lock(struct sim_vcpu *v)
{
	struct sim_vm *vm = v->vm;
	unsigned int i;

	v->locked = false;
	vm->serving++;
	for (i = 0; i < vm->n; i++)
		look_at_lock(&vm->vcpus[i]);
}

static void stretch_done(struct sim_vcpu *v)
{
	struct sim *s = v->sim;
	struct sim_vcpu *next;

	switch (v->job) {
	case JOB_TURN:
		v->work++;
		next = &v->vm->vcpus[(v - v->vm->vcpus + 1) % v->vm->n];
		go_to_sleep(v, 0);
		post(s, next, EV_WAKE, next->serial, s->now);
		return;
	case JOB_ONCE:
		v->work++;
		v->ended = s->now;
		go_to_sleep(v, 0);
		return;
	case JOB_CYCLE:
		v->work++;
		go_to_sleep(v, s->now + about(s, v->pause));
		return;
	case JOB_PERIODIC:
		v->work++;
		if (s->now > v->deadline + LHV_SCHED_US)
			v->late++;
		if (s->now < v->deadline) {
			go_to_sleep(v, v->deadline);
			return;
		}
		v->deadline += v->pause;
		v->left = v->length;
		break;
	case JOB_LOCK:
		if (v->locked) {
			v->work++;
			v->left = about(s, v->length);
			drop_lock(v);
			break;
		}
		v->ticket = v->vm->tickets++;
		v->spinning = true;
		plan(v);
		look_at_lock(v);
		return;
	default:
		break;
	}
	plan(v);
}

static void wake_up(struct sim_vcpu *v)
{
	struct sim *s = v->sim;

	v->asleep = false;
	v->left = v->job == JOB_PERIODIC || v->job == JOB_ONCE || v->job == JOB_TURN ? v->length :
		  about(s, v->length);
	if (v->job == JOB_PERIODIC)
		v->deadline = s->now + v->pause;
	lhv_sched_want(&v->s, s->now);
}

static void watch_gangs(struct sim *s, u64 until)
{
	u64 ns = until - s->watched;
	unsigned int i;

	for (i = 0; i < s->nr_vms; i++) {
		struct sim_vm *vm = &s->vms[i];

		if (!vm->s.nr_running)
			continue;
		vm->any += ns;
		if (vm->s.nr_running == min(vm->s.nr_running + vm->s.nr_waiting, s->pool.nr_slots))
			vm->both += ns;
	}
	s->watched = until;
}

/* Somebody waits for a slot, and one is free. Who is parked does not wait. */
static bool in_vain(const struct sim *s)
{
	const struct lhv_sched_pool *pool = &s->pool;
	u32 free = pool->nr_slots - pool->nr_busy;
	bool too_wide = false;
	unsigned int i;

	if (!pool->ops || !pool->nr_waiting || pool->nr_busy >= pool->nr_slots)
		return false;
	if (pool->ops != &lhv_sched_gang)
		return true;
	/* Kept free for all of a VM that needs more, but never from one that runs already. */
	for (i = 0; i < s->nr_vms; i++) {
		const struct lhv_sched_vm *vm = &s->vms[i].s;

		if (!vm->nr_waiting)
			continue;
		if (vm->nr_running)
			return true;
		too_wide |= min(vm->nr_waiting, pool->nr_slots) > free;
	}
	return !too_wide;
}

/*
 * edf, where all that was promised can be kept: somebody runs, and was not told to give way, while
 * one with a reservation waits whose deadline is earlier. Who can wait no longer goes first; his
 * key is in the past.
 */
static bool out_of_order(const struct sim *s)
{
	u64 latest = 0, earliest = LHV_SCHED_FOREVER;
	unsigned int i, j;

	if (!s->in_order || s->pool.ops != &lhv_sched_edf)
		return false;
	for (i = 0; i < s->nr_vms; i++) {
		for (j = 0; j < s->vms[i].n; j++) {
			const struct lhv_sched_vcpu *v = &s->vms[i].vcpus[j].s;

			if (v->state == LHV_SCHED_RUNNING && !v->resched)
				latest = max(latest, v->key);
			if (v->state == LHV_SCHED_WAITING && v->vm->attrs.period)
				earliest = min(earliest, v->key);
		}
	}
	return latest > max(earliest, s->now);
}

void sim_run(struct sim *s, u64 until)
{
	/* For gangs all VMs have to be looked at. */
	bool often = s->nr_vms <= 64;
	struct lhv_sched_vcpu *v;
	struct event e;

	while (s->n && s->heap[0].when <= until) {
		e = next_event(s);
		if (s->watch_gangs && e.when > s->watched)
			watch_gangs(s, e.when);
		/* Nothing more happens at this time. */
		if (e.when > s->now && (often || s->pool.ops != &lhv_sched_gang))
			must(!in_vain(s), "a slot is free while somebody waits");
		if (e.when > s->now)
			must(!out_of_order(s), "a later deadline goes first");
		s->now = max(s->now, e.when);
		if (e.what == EV_TIMER) {
			if (e.serial == s->timer_serial)
				lhv_sched_timer(&s->pool, s->now);
			continue;
		}
		if (e.serial != e.v->serial)
			continue;
		switch (e.what) {
		case EV_WAKE:
			wake_up(e.v);
			break;
		case EV_STRETCH:
			book(e.v);
			if (!e.v->left)
				stretch_done(e.v);
			else
				plan(e.v);
			break;
		default:
			gate(e.v);
			look_at_lock(e.v);
		}
	}
	s->now = until;
	/* Who just runs on is booked too. */
	list_for_each_entry(v, &s->pool.running, of_pool)
		book(vcpu_of(v));
}

/* ---- set-up ---- */

void sim_init(struct sim *s, u32 slots, unsigned int nr_vms)
{
	memset(s, 0, sizeof(*s));
	s->random = 88172645463325252ull;
	s->now = s->watched = LHV_SCHED_MS;	/* a time of 0 means none */
	lhv_sched_pool_init(&s->pool, &host, slots);
	s->vms = calloc(nr_vms, sizeof(*s->vms));
	if (!s->vms)
		abort();
	s->nr_vms = nr_vms;
}

struct sim_vm *sim_vm(struct sim *s, unsigned int i, unsigned int nr_vcpus, enum job job,
		      u64 length, u64 pause)
{
	struct sim_vm *vm = &s->vms[i];
	unsigned int j;

	lhv_sched_vm_init(&vm->s, i + 1);
	lhv_sched_vm_join(&s->pool, &vm->s, s->now);
	vm->n = nr_vcpus;
	vm->vcpus = calloc(nr_vcpus, sizeof(*vm->vcpus));
	if (!vm->vcpus)
		abort();
	for (j = 0; j < nr_vcpus; j++) {
		struct sim_vcpu *v = &vm->vcpus[j];

		lhv_sched_vcpu_add(&vm->s, &v->s);
		v->sim = s;
		v->vm = vm;
		v->job = job;
		v->length = length;
		v->pause = pause;
		v->asleep = true;
	}
	return vm;
}

/* All is set up: begin. */
int sim_policy(struct sim *s, const struct lhv_sched_ops *ops)
{
	char why[LHV_SCHED_WHY_MAX] = "";
	bool first = !s->pool.ops;
	unsigned int i, j;

	if (ops->init && ops->init(&s->pool, why))
		return -1;
	lhv_sched_pool_set_policy(&s->pool, ops, s->now);
	for (i = 0; i < s->nr_vms; i++)
		cap_anew(s, &s->vms[i]);
	for (i = 0; first && i < s->nr_vms; i++)
		for (j = 0; j < s->vms[i].n; j++)
			if (s->vms[i].vcpus[j].start != SIM_NEVER)
				post(s, &s->vms[i].vcpus[j], EV_WAKE, 0,
				     s->now + s->vms[i].vcpus[j].start);
	return 0;
}

/* The policy has agreed. */
void sim_attrs(struct sim *s, struct sim_vm *vm, const struct lhv_sched_attrs *attrs)
{
	u64 i = (s->now - vm->cap.since) / LHV_SCHED_CAP_PERIOD, used = 0;
	bool changed = attrs->cap != vm->s.attrs.cap, had = vm->s.attrs.cap;

	if (had && vm->cap.index[i % SIM_CAP_PERIODS] == i)
		used = vm->cap.used[i % SIM_CAP_PERIODS];
	lhv_sched_vm_set(&vm->s, attrs, s->now);
	if (changed) {
		/* Another cap has the same periods, and what was had of this one. */
		vm->cap = (struct sim_cap){
			.since = had ? vm->cap.since + i * LHV_SCHED_CAP_PERIOD : s->now,
			.used = { used },
			.ran = used,
		};
	}
	cap_anew(s, vm);
}

void sim_free(struct sim *s)
{
	unsigned int i;

	for (i = 0; i < s->nr_vms; i++)
		free(s->vms[i].vcpus);
	free(s->vms);
	free(s->heap);
}

void sim_check(struct sim *s)
{
	u32 running = 0, waiting = 0, vm_running, vm_waiting;
	unsigned int i, j;
	u64 periods;

	for (i = 0; i < s->nr_vms; i++) {
		const struct sim_vm *vm = &s->vms[i];

		vm_running = vm_waiting = 0;
		for (j = 0; j < s->vms[i].n; j++) {
			struct sim_vcpu *v = &s->vms[i].vcpus[j];

			vm_running += v->s.state == LHV_SCHED_RUNNING;
			vm_waiting += v->s.state == LHV_SCHED_WAITING;
			must((v->s.state == LHV_SCHED_OUT) == v->asleep, "asleep is OUT");
			must(!v->began == (v->s.state != LHV_SCHED_RUNNING), "on a CPU is RUNNING");
		}
		periods = 1 + (s->now - vm->cap.since) / LHV_SCHED_CAP_PERIOD;
		must(!vm->s.attrs.cap || vm->cap.ran <= periods * quota(vm) + vm->cap.beyond,
		     "a cap's debt is repaid");
		must(vm_running == s->vms[i].s.nr_running, "a VM's running vCPUs");
		must(vm_waiting == s->vms[i].s.nr_waiting, "a VM's waiting vCPUs");
		running += vm_running;
		waiting += vm_waiting;
	}
	must(running == s->pool.nr_busy, "busy slots");
	must(waiting == s->pool.nr_waiting, "waiting vCPUs");
	must(running <= s->pool.nr_slots, "more run than there are slots");
	must(!in_vain(s), "a slot is free while somebody waits");
	must(!out_of_order(s), "a later deadline goes first");
}
