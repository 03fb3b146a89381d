// SPDX-License-Identifier: GPL-2.0
/*
 * lhv sched/ - edf: earliest deadline first. Each vCPU of a VM with a reservation is
 * promised its budget in every period. A vCPU that used it up waits for its next period, or, in a
 * hybrid VM, competes by weight for what is left, together with all that have no
 * reservation at all.
 *
 * A vCPU that wakes goes on with its budget and deadline if it could not exceed its share by
 * that; else it begins a period anew (the wake-up rule of constant bandwidth servers), so that no
 * sleep makes others miss theirs.
 *
 * On several slots the earliest deadlines alone are not enough: short periods would keep all slots
 * from a long one until it is too late. So who waits and would miss its deadline unless it ran from now on
 * without a break goes before all others (zero laxity). When that will be does not change while it
 * waits; whoever runs looks then. A hybrid VM's vCPU that waits for the rest is looked at when its next
 * period begins.
 *
 * Nor is that enough: more than there are slots may come to it at once. It is those with great shares
 * that do, when they waited long and most of the budget is still before them. So these have their
 * periods in pieces of 5 to 10 ms: each piece has its part of the budget and its end, which is their
 * deadline and by which they are looked at. Who has a piece before its time goes on with the next one.
 *
 * Admission: the reservations of a pool may take its slots, no more. On one slot then no
 * deadline is missed. On several that is certain while they take no more than
 * slots - (slots - 1) * (the greatest of them). Up to 0.9 of the slots it is no proof, but none of 58,000
 * random sets on 2 to 16 slots, with periods from 3 ms on, missed any (`make -C selftests/simulate sets`
 * makes such; by deadlines alone one in four did). Nearer to all of the slots a few do. All misses are counted.
 *
 * A vCPU that is made later, when there is no room any more or its VM has run already,
 * competes for what is left, like one without a reservation, until its VM is adjusted or joins anew: an
 * administrator promised something to the VM that was there.
 */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/math64.h>
#include <linux/minmax.h>

#include "sched/fair.h"

#define SHARE_ONE	1000000ULL	/* a slot, in millionths */
#define TOO_LITTLE	(20 * LHV_SCHED_US)	/* a timer is not finer */
#define SWITCH		(50 * LHV_SCHED_US)	/* from somebody's look to another in the guest */
#define RATE		(1 * LHV_SCHED_MS)
#define PIECE		(5 * LHV_SCHED_MS)	/* up to twice that */
#define GREAT		(SHARE_ONE / 4)		/* a share that is had in pieces */

struct edf_pool {
	struct lhv_sched_queue waiting;	/* by deadline */
	struct lhv_sched_queue running;	/* by deadline; then those without, at BACKGROUND */
	struct lhv_sched_queue rest;	/* waiting without budget, by virtual time */
	struct lhv_sched_queue watched;	/* of both, by when somebody has to look; their @watch */
	struct lhv_fair fair;
	u64 taken;			/* by those admitted, in SHARE_ONE */
	u64 agreed;			/* was taken before a change to less: still is right */
	u32 refused;			/* vCPUs, for which there was no room */
};

struct edf_vm {
	struct lhv_fair fair;
	u32 promised;			/* so many vCPUs were there when it was */
	u32 inserted;
	bool known;			/* put in before: @fair stays */
};

struct edf_vcpu {
	u64 deadline;			/* end of the period */
	u64 period;			/* that one's length: its VM may have got another */
	s64 budget;			/* left of it */
	u64 ahead;			/* taken from @budget, but not charged yet */
	u64 later;			/* of @budget, as last queued: for the pieces behind this one */
	u64 unused;			/* time with a slot, in it, that it was on no CPU */
	u64 changed;			/* when it last was given other attributes in it, and wanted a slot */
	struct rb_node watch;
	u64 look;			/* in @watched: when; else 0 */
	struct lhv_fair fair;		/* of what it ran without budget */
	u32 share;			/* of its reservation, as admitted */
	u32 rate;			/* the share that its time until @deadline goes by */
	u32 pieces;			/* of its period */
	bool refused;			/* there was no room for its reservation */
	bool rest;			/* it has no budget now: in or from @rest */
	bool known;			/* put in before: @fair stays */
};

#define POOL(pool)	lhv_sched_priv(pool, struct edf_pool)
#define VM(vm)		lhv_sched_priv(vm, struct edf_vm)
#define VCPU(v)		lhv_sched_priv(v, struct edf_vcpu)
#define BACKGROUND	LHV_SCHED_FAR	/* behind all deadlines */

/* ---- admission ---- */

static u64 share(const struct lhv_sched_attrs *attrs, u32 nr_vcpus)
{
	return attrs->period ? div64_u64(attrs->budget * SHARE_ONE, attrs->period) * nr_vcpus : 0;
}

/* By those admitted, or that would be. */
static u64 taken(struct lhv_sched_pool *pool)
{
	const struct lhv_sched_vm *vm;
	u64 sum = 0;

	if (pool->ops == &lhv_sched_edf)
		return POOL(pool)->taken;
	list_for_each_entry(vm, &pool->vms, of_pool)
		sum += share(&vm->attrs, vm->nr_vcpus);
	return sum;
}

static int refuse(u64 sum, const struct lhv_sched_pool *pool, char *why)
{
	if (sum <= pool->nr_slots * SHARE_ONE)
		return 0;
	snprintf(why, LHV_SCHED_WHY_MAX,
		 "reservations would take %llu.%02llu of the pool's %u slots",
		 div_u64(sum, SHARE_ONE), div_u64(sum, SHARE_ONE / 100) % 100, pool->nr_slots);
	return -EBUSY;
}

static int edf_init(struct lhv_sched_pool *pool, char *why)
{
	return refuse(taken(pool), pool, why);
}

static int edf_adjust(struct lhv_sched_pool *pool, const struct lhv_sched_vm *vm,
		      const struct lhv_sched_attrs *attrs, char *why)
{
	u64 others = taken(pool), want = share(attrs, vm->nr_vcpus);
	struct lhv_sched_vcpu *v;

	POOL(pool)->agreed = 0;
	if (vm->pool == pool) {
		/* Less is always right, also when the pool shrank or some were refused. */
		if (want <= share(&vm->attrs, vm->nr_vcpus)) {
			POOL(pool)->agreed = others;
			return 0;
		}
		list_for_each_entry(v, &vm->vcpus, of_vm)
			others -= VCPU(v)->share;
	}
	return want ? refuse(others + want, pool, why) : 0;
}

static void edf_vm_add(struct lhv_sched_pool *pool, struct lhv_sched_vm *vm)
{
	if (!VM(vm)->known)
		VM(vm)->fair = POOL(pool)->fair;
	VM(vm)->known = true;
	VM(vm)->promised = vm->nr_vcpus;
}

static void edf_vcpu_insert(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v)
{
	struct edf_pool *p = POOL(pool);
	struct edf_vcpu *e = VCPU(v);
	bool late = VM(v->vm)->inserted++ >= VM(v->vm)->promised && v->vm->fig.slices;
	u64 room = max(pool->nr_slots * SHARE_ONE, p->agreed);

	if (!e->known)
		e->fair = p->fair;
	e->known = true;
	e->share = share(&v->vm->attrs, 1);
	e->refused = e->share && (late || p->taken + e->share > room);
	if (e->refused)
		e->share = 0;
	p->refused += e->refused;
	p->taken += e->share;
	e->pieces = e->share < GREAT ? 1 : max(div64_u64(v->vm->attrs.period, PIECE), 1ULL);
}

static void edf_vcpu_remove(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v)
{
	VM(v->vm)->inserted--;
	POOL(pool)->taken -= VCPU(v)->share;
	POOL(pool)->refused -= VCPU(v)->refused;
}

/* ---- budgets ---- */

static bool reserved(const struct lhv_sched_vcpu *v)
{
	return v->vm->attrs.period && !VCPU(v)->refused;
}

static void replenish(struct lhv_sched_vcpu *v, u64 now)
{
	const struct lhv_sched_attrs *a = &v->vm->attrs;
	struct edf_vcpu *e = VCPU(v);

	if (now >= e->deadline) {
		/* Periods follow each other, unless whole ones went by. */
		e->deadline = now < e->deadline + a->period ? e->deadline + a->period :
							      now + a->period;
		e->period = a->period;
		e->rate = e->share;
		/*
		 * A debt is a timer's delay, or what a starved thread idled: a period's at most.
		 * What was too little to run for is not lost.
		 */
		e->budget = clamp_t(s64, e->budget, -(s64)a->budget, TOO_LITTLE) + a->budget;
		e->unused = 0;
	}
}

/* What is left of the piece that it is in. */
static s64 piece_left(const struct edf_vcpu *e)
{
	return e->budget - (s64)e->later;
}

/* It has budget: the end of the piece that it is in, by what is left. */
static u64 piece_end(const struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v)
{
	const struct lhv_sched_attrs *a = &v->vm->attrs;
	struct edf_vcpu *e = VCPU(v);
	u64 budget, behind;

	e->later = 0;
	if (e->pieces == 1 || pool->nr_slots == 1)
		return e->deadline;
	budget = div_u64(a->budget, e->pieces) + 1;
	behind = div64_u64(e->budget - TOO_LITTLE - 1, budget);
	e->later = behind * budget;
	return e->deadline - behind * div_u64(a->period, e->pieces);
}

/* Is what is left of its budget more than its share of what is left of its period? */
static bool exceeds_share(struct lhv_sched_vcpu *v, u64 now)
{
	const struct edf_vcpu *e = VCPU(v);

	return e->budget > 0 && e->budget * SHARE_ONE > (e->deadline - now) * e->share;
}

/*
 * Its period is over, and of its budget @left was left then: did it get what it was promised? For
 * who slept in the period that is no other question: at its last wake-up it had no more than its
 * share of what was left of the period, and since then it wanted to run. A slot whose thread slept,
 * or got no CPU from the host, counts as got.
 */
static void check_kept(struct lhv_sched_vcpu *v, s64 left, u64 now)
{
	const struct edf_vcpu *e = VCPU(v);

	if (now >= e->deadline && left > (s64)(TOO_LITTLE + e->unused))
		v->vm->fig.misses += 1 + div64_u64(now - e->deadline, e->period);
}

/* The same of one that has a slot, and budget, since before its deadline. */
static void check_running(struct lhv_sched_vcpu *v, u64 now)
{
	struct edf_vcpu *e = VCPU(v);

	if (now > v->since + v->ran)
		e->unused += now - v->since - v->ran;
	check_kept(v, e->budget + (s64)(now - e->deadline), now);
}

/* ---- queues ---- */

static struct lhv_sched_vcpu *of_watch(const struct rb_node *node)
{
	return container_of((void *)rb_entry(node, struct edf_vcpu, watch), struct lhv_sched_vcpu,
			    priv);
}

static bool looked_at_before(struct rb_node *a, const struct rb_node *b)
{
	return rb_entry(a, struct edf_vcpu, watch)->look < rb_entry(b, struct edf_vcpu, watch)->look;
}

static noinline void watch(struct edf_pool *p, struct edf_vcpu *e, u64 when)
{
	e->look = when;
	lhv_sched_queue_insert(&p->watched, &e->watch, looked_at_before);
}

static noinline void stop_watching(struct edf_pool *p, struct edf_vcpu *e)
{
	lhv_sched_queue_remove(&p->watched, &e->watch);
	e->look = 0;
}

static __always_inline void unwatch(struct edf_pool *p, struct edf_vcpu *e)
{
	if (e->look)
		stop_watching(p, e);
}

static void queue_rest(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, bool woke)
{
	struct edf_pool *p = POOL(pool);
	struct edf_vcpu *e = VCPU(v);

	e->rest = true;
	lhv_fair_settle(v, &p->fair, &VM(v->vm)->fair, &e->fair, woke);
	lhv_sched_queue_add(&p->rest, v, lhv_fair_key(&e->fair));
}

static noinline void queue_waiting(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now)
{
	struct edf_pool *p = POOL(pool);
	struct edf_vcpu *e = VCPU(v);
	u64 key = piece_end(pool, v), latest;

	e->rest = false;
	if (pool->nr_slots > 1) {
		latest = key - piece_left(e) - SWITCH;
		if (latest > now)
			watch(p, e, latest);
		else
			key = latest;
	}
	lhv_sched_queue_add(&p->waiting, v, key);
}

/* With its budget and deadline right: queue it, or say until when it has to wait. */
static u64 queue(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, bool woke, u64 now)
{
	struct edf_vcpu *e = VCPU(v);

	if (reserved(v)) {
		if (e->budget > (s64)TOO_LITTLE) {
			queue_waiting(pool, v, now);
			return 0;
		}
		if (!v->vm->attrs.hybrid)
			return e->deadline;
		watch(POOL(pool), e, e->deadline);
	}
	queue_rest(pool, v, woke);
	return 0;
}

/* It has budget, and there is no slot for it: whose could it be? */
static void displace(struct lhv_sched_pool *pool, const struct lhv_sched_vcpu *v)
{
	struct lhv_sched_vcpu *last = lhv_sched_queue_last(&POOL(pool)->running);

	if (last && last->key > v->key)
		lhv_sched_resched(pool, last);
}

/* Its time has come: its next period begins, or it can do without a slot no longer. */
static void promote(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now)
{
	struct edf_pool *p = POOL(pool);
	struct edf_vcpu *e = VCPU(v);
	u64 look = e->look;

	unwatch(p, e);
	if (e->rest) {
		lhv_sched_queue_del(&p->rest, v);
		replenish(v, now);
		queue(pool, v, false, now);
	} else {
		lhv_sched_queue_del(&p->waiting, v);
		lhv_sched_queue_add(&p->waiting, v, look);
	}
}

/*
 * All whose time has come. A @free slot is for the first who waits, be it another: the next one needs
 * somebody's. Return: for how long nobody has to look.
 */
static u64 look(struct lhv_sched_pool *pool, bool free, u64 now)
{
	struct edf_pool *p = POOL(pool);
	struct lhv_sched_vcpu *v;

	while (p->watched.first) {
		v = of_watch(p->watched.first);
		if (VCPU(v)->look > now)
			return VCPU(v)->look - now;
		promote(pool, v, now);
		if (VCPU(v)->rest || pool->nr_busy + pool->nr_waiting <= pool->nr_slots)
			continue;
		if (free)
			v = lhv_sched_queue_second(&p->waiting);
		if (v)
			displace(pool, v);
	}
	return LHV_SCHED_FOREVER;
}

/* It was queued and goes on waiting: somebody who runs looks in time. All who get a slot will. */
static void look_in_time(struct lhv_sched_pool *pool, const struct lhv_sched_vcpu *v, u64 now)
{
	struct edf_pool *p = POOL(pool);
	struct lhv_sched_vcpu *last = lhv_sched_queue_last(&p->running);
	u64 end;

	if (!last || p->watched.first != &VCPU(v)->watch)
		return;
	end = VCPU(last)->rest ? now + RATE :
				 min(now + piece_left(VCPU(last)), VCPU(last)->deadline);
	if (end > VCPU(v)->look)
		lhv_sched_look(pool, last);
}

/* ---- ops ---- */

static u64 edf_wake(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now)
{
	const struct lhv_sched_attrs *a = &v->vm->attrs;
	struct edf_vcpu *e = VCPU(v);
	bool goes_on;
	u64 until;

	if (!reserved(v)) {
		queue_rest(pool, v, true);
		return 0;
	}
	/*
	 * Was it parked until its next period, by queue()? It goes on in that, though a timer is late. Nor did
	 * it sleep if it is only queued anew, with another reservation.
	 */
	goes_on = (v->until == e->deadline && v->woken != now) || e->changed == now;
	replenish(v, now);
	if (!goes_on && exceeds_share(v, now)) {
		e->deadline = now + a->period;
		e->period = a->period;
		e->rate = e->share;
		e->budget = a->budget;
	}
	until = queue(pool, v, true, now);
	/* Others may have been woken before it, and nobody was picked yet. */
	if (until || pool->nr_busy + pool->nr_waiting <= pool->nr_slots)
		return until;
	if (!e->rest)
		displace(pool, v);
	if (e->look)
		look_in_time(pool, v, now);
	return 0;
}

static u64 edf_yield(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now)
{
	lhv_sched_queue_del(&POOL(pool)->running, v);
	if (!VCPU(v)->rest)
		check_running(v, now);
	if (reserved(v))
		replenish(v, now);
	return queue(pool, v, false, now);
}

static void edf_sleep(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now)
{
	struct edf_pool *p = POOL(pool);
	struct edf_vcpu *e = VCPU(v);

	if (!e->rest) {
		if (v->state == LHV_SCHED_RUNNING)
			check_running(v, now);
		else
			check_kept(v, e->budget, now);
		e->unused = 0;
	}
	unwatch(p, e);
	lhv_sched_queue_del(v->state == LHV_SCHED_RUNNING ? &p->running :
			    e->rest ? &p->rest : &p->waiting, v);
}

static struct lhv_sched_vcpu *edf_pick(struct lhv_sched_pool *pool, u64 now)
{
	struct edf_pool *p = POOL(pool);
	struct lhv_sched_vcpu *v;

	if (p->watched.first)
		look(pool, true, now);
	v = lhv_sched_queue_pop(&p->waiting);
	if (v) {
		unwatch(p, VCPU(v));
		/* Waited past its deadline: the promise was not kept, and a new period began. */
		if (now >= VCPU(v)->deadline) {
			check_kept(v, VCPU(v)->budget, now);
			replenish(v, now);
			v->key = piece_end(pool, v);
		}
		lhv_sched_queue_add(&p->running, v, v->key);
		return v;
	}
	v = lhv_sched_queue_pop(&p->rest);
	if (v) {
		unwatch(p, VCPU(v));
		lhv_fair_picked(&p->fair, v);
		lhv_sched_queue_add(&p->running, v, BACKGROUND);
	}
	return v;
}

static void edf_charge(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 ns, u64 now)
{
	struct edf_vcpu *e = VCPU(v);
	u64 taken = min(ns, e->ahead);

	e->ahead -= taken;
	ns -= taken;
	if (e->rest)
		lhv_fair_charge(v, &POOL(pool)->fair, &VM(v->vm)->fair, &e->fair, ns);
	else
		e->budget -= ns;
}

static __always_inline u64 expired(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now)
{
	const struct lhv_sched_vcpu *first = lhv_sched_queue_first(&POOL(pool)->waiting);
	struct edf_vcpu *e = VCPU(v);
	u64 left = RATE;

	if (!e->rest) {
		/* A new period began while it ran: it goes on in that, in its new place. */
		if (now >= e->deadline)
			return 0;
		return piece_left(e) > (s64)TOO_LITTLE ?
		       min_t(u64, piece_left(e), e->deadline - now) : 0;
	}
	if (first)
		return 0;
	/* Hybrid: its next period begins. */
	if (reserved(v)) {
		if (now >= e->deadline)
			return 0;
		left = min(left, e->deadline - now);
	}
	if (v->ran < RATE)
		return min(left, RATE - v->ran);
	first = lhv_sched_queue_first(&POOL(pool)->rest);
	return first && !lhv_sched_before(e->fair.vtime, first->key) ? 0 : left;
}

/* Somebody has to be looked at: now, or while @v runs. */
static noinline u64 expired_watching(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now)
{
	u64 next = look(pool, false, now);

	return v->resched ? 0 : min(expired(pool, v, now), next);
}

static u64 edf_expired(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now)
{
	return POOL(pool)->watched.first ? expired_watching(pool, v, now) : expired(pool, v, now);
}

/* What it ran since it was charged is taken from its budget now, not when the charge comes. */
static void foresee_charge(struct lhv_sched_vcpu *v, u64 now)
{
	struct edf_vcpu *e = VCPU(v);
	s64 ran = now - v->since - v->ran - e->ahead;

	if (v->state == LHV_SCHED_RUNNING && !e->rest && ran > 0) {
		e->budget -= ran;
		e->ahead += ran;
	}
}

/*
 * It gets reservation @is in the midst of a period. What is left of its budget stays, if that is not more than
 * the new one, and the period lasts until it is due at the new rate what it was due at the old one: else who
 * alternates between a long and a short period would have nearly all. But the next one begins when the
 * present one would have ended, or one that began now would, if both are earlier. Its rate is the one by which
 * it is due all by then: who is lowered for a moment is forgiven nothing.
 *
 * Who is due more than that, since others kept it waiting, is owed it: if each change put that off, who is
 * changed often would never have it. Unless its share is less the period goes on as it was. One that is longer
 * than those to come ends when what is left would be due at the new rate.
 */
static void change_period(struct lhv_sched_vcpu *v, const struct lhv_sched_attrs *is, u64 now)
{
	struct edf_vcpu *e = VCPU(v);
	u64 lasts = e->deadline - now, rate = share(is, 1), due = lasts * e->rate;
	u64 left = max(e->budget, 0LL), lost = left - min(left, is->budget), longest;

	e->budget -= lost;
	left *= SHARE_ONE;
	lost *= SHARE_ONE;
	if (left <= due) {
		due -= lost;
	} else if (e->changed != now) {
		due = left - lost;
	} else {
		if (rate >= e->rate && lasts <= is->period)
			return;
		due = min(left - lost, max(due - min(due, lost), lasts * rate));
	}
	longest = max(lasts, is->period);
	lasts = div64_u64(due, rate) ?: 1;
	if (lasts > longest) {
		lasts = longest;
		rate = div64_u64(due, longest);
	}
	e->deadline = now + lasts;
	e->period = is->period;
	e->rate = rate;
}

/* It wants to run, or would if it had budget: it does not sleep, nor is its VM's cap used up. */
static bool kept_waiting(const struct lhv_sched_vcpu *v)
{
	return v->state == LHV_SCHED_WAITING || v->state == LHV_SCHED_RUNNING ||
	       (v->state == LHV_SCHED_PARKED && v->until == VCPU(v)->deadline);
}

/*
 * As if its vCPUs had slept for a moment: who used up his budget waits for the period's end all the same,
 * or he would get one with each change.
 */
static void edf_vm_set(struct lhv_sched_pool *pool, struct lhv_sched_vm *vm,
		       const struct lhv_sched_attrs *was, u64 now)
{
	const struct lhv_sched_attrs *is = &vm->attrs;
	struct edf_pool *p = POOL(pool);
	struct edf_vcpu *e;
	bool another = is->period != was->period || is->budget != was->budget;
	bool anew = another || is->hybrid != was->hybrid;
	struct lhv_sched_vcpu *v;

	VM(vm)->fair.vtime = lhv_fair_reweighed(VM(vm)->fair.vtime, p->fair.vtime, was->weight,
						is->weight);
	list_for_each_entry(v, &vm->vcpus, of_vm) {
		e = VCPU(v);
		anew |= e->refused;
		if (another)
			foresee_charge(v, now);
		if (e->share && e->deadline > now && kept_waiting(v))
			e->changed = now;
		if (another && is->period && e->deadline > now)
			change_period(v, is, now);
		e->fair.vtime = lhv_fair_reweighed(e->fair.vtime, p->fair.vtime, was->weight,
						   is->weight);
		if (v->state == LHV_SCHED_WAITING && e->rest) {
			lhv_sched_queue_del(&p->rest, v);
			lhv_sched_queue_add(&p->rest, v, lhv_fair_key(&e->fair));
		}
	}
	if (anew)
		lhv_sched_readmit(vm, now);
	p->agreed = 0;
}

static int edf_dump(struct lhv_sched_pool *pool, char *buf, size_t room)
{
	const struct edf_pool *p = POOL(pool);
	size_t n = snprintf(buf, room, "%llu.%02llu of %u slots reserved",
			    div_u64(p->taken, SHARE_ONE),
			    div_u64(p->taken, SHARE_ONE / 100) % 100, pool->nr_slots);

	if (p->refused && n < room)
		n += snprintf(buf + n, room - n, "; %u vCPUs have no reservation that their VM has",
			       p->refused);
	return n;
}

const struct lhv_sched_ops lhv_sched_edf = {
	.name = "edf",
	.init = edf_init,
	.vm_add = edf_vm_add,
	.vcpu_insert = edf_vcpu_insert,
	.vcpu_remove = edf_vcpu_remove,
	.wake = edf_wake,
	.yield = edf_yield,
	.sleep = edf_sleep,
	.pick = edf_pick,
	.charge = edf_charge,
	.expired = edf_expired,
	.adjust = edf_adjust,
	.vm_set = edf_vm_set,
	.dump = edf_dump,
};
