// SPDX-License-Identifier: GPL-2.0
/*
 * An example of a scheduling policy in a module of its own: a lottery. Whoever waits has as
 * many tickets as its VM has weight; a ticket is drawn whenever a slot is free.
 *
 * Build it with lhv's folder as LHV, see the Kbuild beside this file.
 */
#include <linux/math64.h>
#include <linux/module.h>

#include "sched/sched.h"

#define TURN	(5 * LHV_SCHED_MS)

struct lottery {
	struct list_head waiting;
	u64 tickets, random;
};

struct player {
	struct list_head list;
	struct lhv_sched_vcpu *v;
	u32 tickets;			/* its VM's weight may change while it waits */
};

static struct lottery *lottery(struct lhv_sched_pool *pool)
{
	struct lottery *l = lhv_sched_priv(pool, struct lottery);

	/* Zero at first. */
	if (!l->waiting.next) {
		INIT_LIST_HEAD(&l->waiting);
		l->random = 88172645463325252ULL;
	}
	return l;
}

static u64 lottery_wake(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now)
{
	struct player *p = lhv_sched_priv(v, struct player);

	p->v = v;
	p->tickets = v->vm->attrs.weight;
	list_add_tail(&p->list, &lottery(pool)->waiting);
	lottery(pool)->tickets += p->tickets;
	return 0;
}

static void leave(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v)
{
	list_del(&lhv_sched_priv(v, struct player)->list);
	lottery(pool)->tickets -= lhv_sched_priv(v, struct player)->tickets;
}

static void lottery_sleep(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now)
{
	if (v->state == LHV_SCHED_WAITING)
		leave(pool, v);
}

/* For an example; a real one would not walk a list whose length is anybody's. */
static struct lhv_sched_vcpu *lottery_pick(struct lhv_sched_pool *pool, u64 now)
{
	struct lottery *l = lottery(pool);
	struct player *p;
	u64 ticket;

	if (!l->tickets)
		return NULL;
	l->random = l->random * 6364136223846793005ULL + 1442695040888963407ULL;
	div64_u64_rem(l->random >> 16, l->tickets, &ticket);
	list_for_each_entry(p, &l->waiting, list) {
		if (ticket < p->tickets) {
			leave(pool, p->v);
			return p->v;
		}
		ticket -= p->tickets;
	}
	return NULL;
}

static u64 lottery_expired(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 now)
{
	return v->ran < TURN || !pool->nr_waiting ? TURN : 0;
}

static const struct lhv_sched_ops ops = {
	.name = "lottery", .owner = THIS_MODULE,
	.wake = lottery_wake, .yield = lottery_wake, .sleep = lottery_sleep,
	.pick = lottery_pick, .expired = lottery_expired,
};

static int __init lottery_init(void) { return lhv_sched_register(&ops); }
static void __exit lottery_exit(void) { lhv_sched_unregister(&ops); }
module_init(lottery_init);
module_exit(lottery_exit);
MODULE_DESCRIPTION("lhv: an example of a scheduling policy");
MODULE_LICENSE("GPL");
