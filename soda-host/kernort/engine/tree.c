// SPDX-License-Identifier: GPL-2.0-only
#include "tree.h"

#define NONE KERNORT_NO_INDEX

static bool is_red(const struct kernort_tree *tree, u32 index)
{
	return index != NONE && tree_node(tree, index)->is_red;
}

static u32 side_of(const struct kernort_tree *tree, u32 parent, u32 child)
{
	return tree_node(tree, parent)->children[KERNORT_RIGHT] == child ? KERNORT_RIGHT : KERNORT_LEFT;
}

/* @parent has @with where it had @index; if it is none, the tree has it as its root. */
static void change_child(struct kernort_tree *tree, u32 parent, u32 index, u32 with)
{
	if (parent == NONE)
		*tree->root = with;
	else
		tree_node(tree, parent)->children[side_of(tree, parent, index)] = with;
	if (with != NONE)
		tree_node(tree, with)->parent = parent;
}

/* Let @index sink to @side; the child on its other side takes its place. Returns that. */
static u32 rotate(struct kernort_tree *tree, u32 index, u32 side)
{
	struct kernort_tree_node *node = tree_node(tree, index);
	u32 raised = node->children[!side];
	struct kernort_tree_node *child = tree_node(tree, raised);

	change_child(tree, node->parent, index, raised);
	node->children[!side] = child->children[side];
	if (node->children[!side] != NONE)
		tree_node(tree, node->children[!side])->parent = index;
	child->children[side] = index;
	node->parent = raised;
	return raised;
}

void kernort_tree_insert(struct kernort_tree *tree, u32 index, u32 parent, u32 side)
{
	*tree_node(tree, index) =
		(struct kernort_tree_node){ .parent = parent, .children = { NONE, NONE }, .is_red = true };
	if (parent == NONE)
		*tree->root = index;
	else
		tree_node(tree, parent)->children[side] = index;
	while (is_red(tree, parent)) {
		u32 grandparent = tree_node(tree, parent)->parent, uncle;

		side = side_of(tree, grandparent, parent);
		uncle = tree_node(tree, grandparent)->children[!side];
		if (is_red(tree, uncle)) {
			tree_node(tree, uncle)->is_red = tree_node(tree, parent)->is_red = false;
			tree_node(tree, grandparent)->is_red = true;
			index = grandparent;
			parent = tree_node(tree, index)->parent;
			continue;
		}
		if (side_of(tree, parent, index) != side)
			parent = rotate(tree, parent, side);
		rotate(tree, grandparent, !side);
		tree_node(tree, parent)->is_red = false;
		tree_node(tree, grandparent)->is_red = true;
		return;
	}
	tree_node(tree, *tree->root)->is_red = false;
}

/* Below @parent on the side of @index, which may be none, a black node is missing. */
static void rebalance(struct kernort_tree *tree, u32 index, u32 parent)
{
	while (parent != NONE) {
		struct kernort_tree_node *above = tree_node(tree, parent);
		/* With @index none, the other child cannot be none: it has a black node more. */
		u32 side = above->children[KERNORT_RIGHT] == index ? KERNORT_RIGHT : KERNORT_LEFT;
		u32 sibling = above->children[!side];
		struct kernort_tree_node *beside;

		if (is_red(tree, sibling)) {
			rotate(tree, parent, side);
			tree_node(tree, sibling)->is_red = false;
			above->is_red = true;
			sibling = above->children[!side];
		}
		beside = tree_node(tree, sibling);
		if (!is_red(tree, beside->children[!side])) {
			if (!is_red(tree, beside->children[side])) {
				beside->is_red = true;
				index = parent;
				parent = above->parent;
				if (!above->is_red)
					continue;
				above->is_red = false;
				return;
			}
			tree_node(tree, beside->children[side])->is_red = false;
			beside->is_red = true;
			sibling = rotate(tree, sibling, !side);
			beside = tree_node(tree, sibling);
		}
		beside->is_red = above->is_red;
		above->is_red = false;
		tree_node(tree, beside->children[!side])->is_red = false;
		rotate(tree, parent, side);
		return;
	}
}

/* Take out @index, which has both children: the next one in order takes its place and colour. */
static void remove_inner(struct kernort_tree *tree, u32 index)
{
	struct kernort_tree_node *node = tree_node(tree, index), *next;
	u32 heir = kernort_tree_next(tree, index), below, parent;
	bool was_red;

	next = tree_node(tree, heir);
	below = next->children[KERNORT_RIGHT];
	was_red = next->is_red;
	parent = next->parent;
	if (parent == index) {
		parent = heir;
	} else {
		change_child(tree, parent, heir, below);
		next->children[KERNORT_RIGHT] = node->children[KERNORT_RIGHT];
		tree_node(tree, next->children[KERNORT_RIGHT])->parent = heir;
	}
	next->children[KERNORT_LEFT] = node->children[KERNORT_LEFT];
	tree_node(tree, next->children[KERNORT_LEFT])->parent = heir;
	change_child(tree, node->parent, index, heir);
	next->is_red = node->is_red;
	if (below != NONE)
		tree_node(tree, below)->is_red = false;
	else if (!was_red)
		rebalance(tree, NONE, parent);
}

void kernort_tree_remove(struct kernort_tree *tree, u32 index)
{
	struct kernort_tree_node *node = tree_node(tree, index);
	u32 left = node->children[KERNORT_LEFT], right = node->children[KERNORT_RIGHT];
	u32 child = left == NONE ? right : left;

	if (left != NONE && right != NONE) {
		remove_inner(tree, index);
		return;
	}
	change_child(tree, node->parent, index, child);
	if (child != NONE)
		tree_node(tree, child)->is_red = node->is_red;
	else if (!node->is_red)
		rebalance(tree, NONE, node->parent);
}

u32 kernort_tree_first(const struct kernort_tree *tree)
{
	u32 index = *tree->root;

	while (index != NONE && tree_node(tree, index)->children[KERNORT_LEFT] != NONE)
		index = tree_node(tree, index)->children[KERNORT_LEFT];
	return index;
}

u32 kernort_tree_next(const struct kernort_tree *tree, u32 index)
{
	u32 above = tree_node(tree, index)->children[KERNORT_RIGHT];

	if (above != NONE) {
		while (tree_node(tree, above)->children[KERNORT_LEFT] != NONE)
			above = tree_node(tree, above)->children[KERNORT_LEFT];
		return above;
	}
	for (above = tree_node(tree, index)->parent; above != NONE; above = tree_node(tree, index)->parent) {
		if (side_of(tree, above, index) == KERNORT_LEFT)
			return above;
		index = above;
	}
	return NONE;
}
