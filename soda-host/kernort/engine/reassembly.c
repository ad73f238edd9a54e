// SPDX-License-Identifier: GPL-2.0-only
/*
 * DOC: TCP segments out of order, as Linux keeps them
 *
 * Linux (tcp_data_queue_ofo, net/ipv4/tcp_input.c) keeps segments beyond a gap in a red-black tree by sequence number. A
 * new one goes down from the root, and on its way
 * - is dropped if it lies wholly within one of those that it meets: the old content stays;
 * - takes the place of one that begins where it does and is shorter: the new content stays;
 * - is appended to one that ends exactly where it begins, and both are one from then on;
 * - passes by those that it overlaps in part: both stay, and since they are read in order, the one that begins first wins.
 * Then those after it that lie wholly within it are dropped. It is not compared with those that it does not meet, so
 * what is read depends on the shape of the tree, which is Linux's (tree.h).
 * Memory: one pool for all flows; a side may hold a quarter of it. Longer segments are kept in pieces.
 */
#include "stream.h"

static struct kernort_tree tree_of(const struct kernort_streams *streams, struct kernort_side *side)
{
	return (struct kernort_tree){ .nodes = (u8 *)streams->segments,
				      .stride = sizeof(*streams->segments),
				      .root = &side->segments };
}

static struct kernort_segment *segment_at(const struct kernort_streams *streams, u32 index)
{
	return index == KERNORT_NO_INDEX ? NULL : &streams->segments[index];
}

static u32 end_of(const struct kernort_segment *segment)
{
	return segment->seq + segment->length;
}

static void free_segment(struct kernort_streams *streams, struct kernort_side *side, u32 index)
{
	streams->segments[index].node.parent = streams->free_segment;
	streams->free_segment = index;
	streams->free_count++;
	side->segment_count--;
}

u32 kernort_segments_first(const struct kernort_streams *streams, struct kernort_side *side)
{
	struct kernort_tree tree = tree_of(streams, side);

	return kernort_tree_first(&tree);
}

void kernort_segments_free(struct kernort_streams *streams, struct kernort_side *side, u32 index)
{
	struct kernort_tree tree = tree_of(streams, side);

	kernort_tree_remove(&tree, index);
	free_segment(streams, side, index);
}

/* A piece of what arrived, on its way into the tree. */
struct piece {
	u32 seq, length, urgent;
	const u8 *bytes;
};

/* As tcp_ooo_try_coalesce() does; here as long as there is room. */
static bool append(struct kernort_segment *segment, const struct piece *piece)
{
	if (end_of(segment) != piece->seq || piece->urgent || piece->length > KERNORT_SEGMENT_BYTES - segment->length)
		return false;
	memcpy(segment->bytes + segment->length, piece->bytes, piece->length);
	segment->length += piece->length;
	return true;
}

/* Returns KERNORT_NO_INDEX, counted, when there is no room. */
static u32 store(struct kernort_streams *streams, struct kernort_side *side, const struct piece *piece)
{
	u32 index = streams->free_segment;
	struct kernort_segment *segment;

	if (index == KERNORT_NO_INDEX || side->segment_count >= streams->segment_count / 4) {
		streams->counters->segments_dropped++;
		return KERNORT_NO_INDEX;
	}
	segment = &streams->segments[index];
	streams->free_segment = segment->node.parent;
	streams->free_count--;
	side->segment_count++;
	segment->seq = piece->seq;
	segment->length = piece->length;
	segment->urgent = piece->urgent;
	memcpy(segment->bytes, piece->bytes, piece->length);
	return index;
}

/* Drop those after @index that lie wholly within it, up to the first that does not. */
static void drop_covered(struct kernort_streams *streams, struct kernort_side *side, u32 index)
{
	struct kernort_tree tree = tree_of(streams, side);
	u32 end = end_of(&streams->segments[index]), next;

	while ((next = kernort_tree_next(&tree, index)) != KERNORT_NO_INDEX) {
		const struct kernort_segment *segment = &streams->segments[next];

		if (!seq_after(end, segment->seq) || seq_before(end, end_of(segment)))
			return;
		kernort_segments_free(streams, side, next);
	}
	side->last_segment = index;
}

static void insert(struct kernort_streams *streams, struct kernort_side *side, const struct piece *piece, u32 parent,
		   u32 where)
{
	struct kernort_tree tree = tree_of(streams, side);
	u32 index = store(streams, side, piece);

	if (index == KERNORT_NO_INDEX)
		return;
	kernort_tree_insert(&tree, index, parent, where);
	drop_covered(streams, side, index);
}

/* Put @piece where @covered is, which begins where it does and is shorter. */
static void replace(struct kernort_streams *streams, struct kernort_side *side, const struct piece *piece, u32 covered)
{
	struct kernort_segment *segment = &streams->segments[covered];

	segment->length = piece->length;
	segment->urgent = piece->urgent;
	memcpy(segment->bytes, piece->bytes, piece->length);
	drop_covered(streams, side, covered);
}

static void add_piece(struct kernort_streams *streams, struct kernort_side *side, const struct piece *piece)
{
	u32 at = side->segments, parent = KERNORT_NO_INDEX, where = KERNORT_LEFT;
	struct kernort_segment *segment;

	if (at != KERNORT_NO_INDEX) {
		segment = &streams->segments[side->last_segment];
		if (append(segment, piece))
			return;
		if (!seq_before(piece->seq, end_of(segment))) {
			insert(streams, side, piece, side->last_segment, KERNORT_RIGHT);
			return;
		}
	}
	while ((segment = segment_at(streams, at))) {
		parent = at;
		where = seq_before(piece->seq, segment->seq) ? KERNORT_LEFT : KERNORT_RIGHT;
		if (where == KERNORT_RIGHT && seq_before(piece->seq, end_of(segment))) {
			if (!seq_after(piece->seq + piece->length, end_of(segment)))
				return;
			if (piece->seq == segment->seq) {
				replace(streams, side, piece, at);
				return;
			}
		} else if (where == KERNORT_RIGHT && append(segment, piece)) {
			return;
		}
		at = segment->node.children[where];
	}
	insert(streams, side, piece, parent, where);
}

void kernort_segments_add(struct kernort_streams *streams, struct kernort_side *side, u32 seq, const u8 *bytes,
			  u32 length, u32 urgent)
{
	u32 done, piece;

	for (done = 0; done < length; done += piece) {
		bool is_here = urgent > done && urgent <= done + KERNORT_SEGMENT_BYTES;

		piece = length - done < KERNORT_SEGMENT_BYTES ? length - done : KERNORT_SEGMENT_BYTES;
		add_piece(streams, side,
			  &(struct piece){ .seq = seq + done,
					   .length = piece,
					   .urgent = is_here ? urgent - done : 0,
					   .bytes = bytes + done });
	}
}
