/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Ordered trees by the kernel's names. Here they are treaps: a node's rank is a hash of a
 * counter, so that a simulation repeats itself.
 */
#ifndef SIM_RBTREE_H
#define SIM_RBTREE_H

#include <linux/kernel.h>

struct rb_node {
	struct rb_node *rb_left, *rb_right, *parent;
	u32 rank;
};

struct rb_root {
	struct rb_node *rb_node;
};

#define rb_entry(p, type, member) container_of(p, type, member)

static inline void tree_replace(struct rb_root *root, struct rb_node *was, struct rb_node *is)
{
	if (!was->parent)
		root->rb_node = is;
	else if (was->parent->rb_left == was)
		was->parent->rb_left = is;
	else
		was->parent->rb_right = is;
	if (is)
		is->parent = was->parent;
}

/* @node, a child, takes its parent's place. */
static inline void tree_lift(struct rb_root *root, struct rb_node *node)
{
	struct rb_node *parent = node->parent;

	tree_replace(root, parent, node);
	if (parent->rb_left == node) {
		parent->rb_left = node->rb_right;
		if (node->rb_right)
			node->rb_right->parent = parent;
		node->rb_right = parent;
	} else {
		parent->rb_right = node->rb_left;
		if (node->rb_left)
			node->rb_left->parent = parent;
		node->rb_left = parent;
	}
	parent->parent = node;
}

static inline struct rb_node *rb_next(const struct rb_node *node)
{
	if (node->rb_right) {
		node = node->rb_right;
		while (node->rb_left)
			node = node->rb_left;
		return (struct rb_node *)node;
	}
	while (node->parent && node == node->parent->rb_right)
		node = node->parent;
	return node->parent;
}

static inline struct rb_node *rb_prev(const struct rb_node *node)
{
	if (node->rb_left) {
		node = node->rb_left;
		while (node->rb_right)
			node = node->rb_right;
		return (struct rb_node *)node;
	}
	while (node->parent && node == node->parent->rb_left)
		node = node->parent;
	return node->parent;
}

static inline void rb_link_node(struct rb_node *node, struct rb_node *parent,
				struct rb_node **link)
{
	static u32 counter;

	*node = (struct rb_node) { .parent = parent, .rank = ++counter * 2654435761u };
	*link = node;
}

static inline void rb_insert_color(struct rb_node *node, struct rb_root *root)
{
	while (node->parent && node->parent->rank < node->rank)
		tree_lift(root, node);
}

static inline void rb_erase(struct rb_node *node, struct rb_root *root)
{
	while (node->rb_left && node->rb_right)
		tree_lift(root, node->rb_left->rank > node->rb_right->rank ? node->rb_left :
										 node->rb_right);
	tree_replace(root, node, node->rb_left ? node->rb_left : node->rb_right);
}

#endif
