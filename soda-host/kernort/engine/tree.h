/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Red-black trees whose nodes are named by their numbers.
 *
 * Of all ways to keep such a tree in balance this one is Linux's (lib/rbtree.c), rotation for rotation: which waiting
 * segments its TCP compares a new one with depends on the shape of the tree, and so what it reads (reassembly.c).
 * See T. Cormen et al., "Introduction to Algorithms", chapter 13.
 */
#ifndef KERNORT_TREE_H
#define KERNORT_TREE_H

#include "use_list.h"

enum { KERNORT_LEFT, KERNORT_RIGHT };

struct kernort_tree_node {
	u32 parent, children[2]; /* KERNORT_NO_INDEX: none */
	bool is_red;
};

/* Nodes lie in an array of larger things: at @nodes, and every @stride bytes. */
struct kernort_tree {
	u8 *nodes;
	u32 stride;
	u32 *root;
};

static inline struct kernort_tree_node *tree_node(const struct kernort_tree *tree, u32 index)
{
	return (struct kernort_tree_node *)(tree->nodes + (size_t)index * tree->stride);
}

/* Make @index the child of @parent on @side, where there is none; KERNORT_NO_INDEX: the root of an empty tree. */
void kernort_tree_insert(struct kernort_tree *tree, u32 index, u32 parent, u32 side);
void kernort_tree_remove(struct kernort_tree *tree, u32 index);
u32 kernort_tree_first(const struct kernort_tree *tree);
/* The one after @index in order, or KERNORT_NO_INDEX. */
u32 kernort_tree_next(const struct kernort_tree *tree, u32 index);

#endif
