/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Ordered trees by the kernel's names. Here they are treaps: a node's rank is a hash of a
 * counter, so that a simulation repeats itself.
 */
#ifndef SIM_RBTREE_H
#define SIM_RBTREE_H

#include <linux/kernel.h>

struct rb_node {
	struct rb_node *left, *right, *parent;
	u32 rank;
};

struct rb_root {
	struct rb_node *rb_node;
};

struct rb_root_cached {
	struct rb_root rb_root;
	struct rb_node *rb_leftmost;
};

#define RB_ROOT_CACHED		((struct rb_root_cached) { { NULL }, NULL })
#define RB_CLEAR_NODE(node)	((node)->parent = (node))
#define rb_entry(p, type, member) container_of(p, type, member)
#define rb_first_cached(root)	((root)->rb_leftmost)

static inline void tree_replace(struct rb_root *root, struct rb_node *was, struct rb_node *is)
{
	if (!was->parent)
		root->rb_node = is;
	else if (was->parent->left == was)
		was->parent->left = is;
	else
		was->parent->right = is;
	if (is)
		is->parent = was->parent;
}

/* @node, a child, takes its parent's place. */
static inline void tree_lift(struct rb_root *root, struct rb_node *node)
{
	struct rb_node *parent = node->parent;

	tree_replace(root, parent, node);
	if (parent->left == node) {
		parent->left = node->right;
		if (node->right)
			node->right->parent = parent;
		node->right = parent;
	} else {
		parent->right = node->left;
		if (node->left)
			node->left->parent = parent;
		node->left = parent;
	}
	parent->parent = node;
}

static inline struct rb_node *rb_next(const struct rb_node *node)
{
	if (node->right) {
		node = node->right;
		while (node->left)
			node = node->left;
		return (struct rb_node *)node;
	}
	while (node->parent && node == node->parent->right)
		node = node->parent;
	return node->parent;
}

static inline struct rb_node *rb_prev(const struct rb_node *node)
{
	if (node->left) {
		node = node->left;
		while (node->right)
			node = node->right;
		return (struct rb_node *)node;
	}
	while (node->parent && node == node->parent->left)
		node = node->parent;
	return node->parent;
}

static inline struct rb_node *rb_last(const struct rb_root *root)
{
	struct rb_node *node = root->rb_node;

	while (node && node->right)
		node = node->right;
	return node;
}

static inline void rb_add_cached(struct rb_node *node, struct rb_root_cached *root,
				 bool (*less)(struct rb_node *a, const struct rb_node *b))
{
	struct rb_node **link = &root->rb_root.rb_node, *parent = NULL;
	static u32 counter;
	bool leftmost = true;

	while (*link) {
		parent = *link;
		if (less(node, parent)) {
			link = &parent->left;
		} else {
			link = &parent->right;
			leftmost = false;
		}
	}
	*node = (struct rb_node) { .parent = parent, .rank = ++counter * 2654435761u };
	*link = node;
	if (leftmost)
		root->rb_leftmost = node;
	while (node->parent && node->parent->rank < node->rank)
		tree_lift(&root->rb_root, node);
}

static inline void rb_erase_cached(struct rb_node *node, struct rb_root_cached *root)
{
	if (root->rb_leftmost == node)
		root->rb_leftmost = rb_next(node);
	while (node->left && node->right)
		tree_lift(&root->rb_root, node->left->rank > node->right->rank ?
					  node->left : node->right);
	tree_replace(&root->rb_root, node, node->left ? node->left : node->right);
}

#endif
