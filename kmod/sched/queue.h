/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lhv sched/ - a queue of vCPUs ordered by a key, first come first served among equals.
 *
 * A vCPU is in one queue at most: a policy that wants to find who of the running ones
 * should give way keeps those in a second queue.
 */
#ifndef LHV_SCHED_QUEUE_H
#define LHV_SCHED_QUEUE_H

#include "sched/sched.h"

#define LHV_SCHED_FAR	(1ULL << 62)	/* behind all times that are compared with it */

/* Of two times, real or virtual ones. The latter may wrap: they are never far from each other. */
static inline bool lhv_sched_before(u64 a, u64 b)
{
	return (s64)(a - b) < 0;
}

/* A virtual time beside its pool's: of who ran alone, for years perhaps, and still is ahead. */
static inline u64 lhv_sched_bounded(u64 vtime, u64 pools)
{
	u64 far = pools + LHV_SCHED_FAR;

	return lhv_sched_before(vtime, far) ? vtime : far;
}

static inline bool lhv_sched_queue_less(struct rb_node *a, const struct rb_node *b)
{
	const struct lhv_sched_vcpu *x = rb_entry(a, struct lhv_sched_vcpu, node);
	const struct lhv_sched_vcpu *y = rb_entry(b, struct lhv_sched_vcpu, node);

	return lhv_sched_before(x->key, y->key);
}

/* Behind its equals. Who comes last as a rule comes at the end, and a queue of one is no tree yet. */
static __always_inline void lhv_sched_queue_insert(struct lhv_sched_queue *queue,
						   struct rb_node *node,
						   bool (*less)(struct rb_node *,
								const struct rb_node *))
{
	struct rb_node **link = &queue->root.rb_node, *parent = NULL, *next = *link;

	if (!queue->last) {
		queue->first = node;
		queue->last = node;
	} else if (!less(node, queue->last)) {
		parent = queue->last;
		link = &parent->rb_right;
		queue->last = node;
	} else {
		while (next) {
			parent = next;
			next = less(node, parent) ? parent->rb_left : parent->rb_right;
		}
		link = less(node, parent) ? &parent->rb_left : &parent->rb_right;
		if (link == &queue->first->rb_left)
			queue->first = node;
	}
	rb_link_node(node, parent, link);
	rb_insert_color(node, &queue->root);
}

static __always_inline void lhv_sched_queue_remove(struct lhv_sched_queue *queue,
						   struct rb_node *node)
{
	if (queue->first == queue->last) {
		*queue = (struct lhv_sched_queue){ };
		return;
	}
	if (queue->first == node)
		queue->first = rb_next(node);
	else if (queue->last == node)
		queue->last = rb_prev(node);
	rb_erase(node, &queue->root);
}

static inline void lhv_sched_queue_add(struct lhv_sched_queue *queue, struct lhv_sched_vcpu *v,
				       u64 key)
{
	v->key = key;
	lhv_sched_queue_insert(queue, &v->node, lhv_sched_queue_less);
}

static inline void lhv_sched_queue_del(struct lhv_sched_queue *queue, struct lhv_sched_vcpu *v)
{
	lhv_sched_queue_remove(queue, &v->node);
}

static inline struct lhv_sched_vcpu *lhv_sched_queue_first(const struct lhv_sched_queue *queue)
{
	return queue->first ? rb_entry(queue->first, struct lhv_sched_vcpu, node) : NULL;
}

/* Of a queue that is not empty: who comes behind the first, or NULL. */
static inline struct lhv_sched_vcpu *lhv_sched_queue_second(const struct lhv_sched_queue *queue)
{
	struct rb_node *node = rb_next(queue->first);

	return node ? rb_entry(node, struct lhv_sched_vcpu, node) : NULL;
}

/* Of a queue of running ones: the last that was not yet told to give its slot back. */
static inline struct lhv_sched_vcpu *lhv_sched_queue_last(const struct lhv_sched_queue *queue)
{
	struct lhv_sched_vcpu *v;
	struct rb_node *node;

	for (node = queue->last; node; node = rb_prev(node)) {
		v = rb_entry(node, struct lhv_sched_vcpu, node);
		if (!v->resched)
			return v;
	}
	return NULL;
}

static inline struct lhv_sched_vcpu *lhv_sched_queue_pop(struct lhv_sched_queue *queue)
{
	struct lhv_sched_vcpu *v = lhv_sched_queue_first(queue);

	if (v)
		lhv_sched_queue_del(queue, v);
	return v;
}

#endif
