// SPDX-License-Identifier: GPL-2.0-only
/*
 * DOC: TCP segments out of order, as Linux keeps them
 *
 * Linux (tcp_data_queue_ofo, net/ipv4/tcp_input.c) keeps segments beyond a gap by sequence number:
 * - one that lies wholly within a waiting one is dropped: the old content stays;
 * - waiting ones that lie wholly within it are dropped: the new content stays;
 * - a partial overlap leaves both, and since they are read in order, the one that begins first wins.
 * - one that begins exactly where a waiting one ends is appended to it, and both are one segment from then on.
 * Memory: one pool for all flows; a side may hold a quarter of it. Longer segments are kept in pieces.
 */
#include "stream.h"

static struct kernort_segment *segment_at(struct kernort_streams *streams, u32 index)
{
	return index == KERNORT_NO_INDEX ? NULL : &streams->segments[index];
}

static void free_segment(struct kernort_streams *streams, u32 index)
{
	streams->segments[index].next = streams->free_segment;
	streams->free_segment = index;
	streams->free_count++;
}

void kernort_segments_free_first(struct kernort_streams *streams, struct kernort_side *side)
{
	u32 index = side->segments;

	side->segments = streams->segments[index].next;
	side->segment_count--;
	free_segment(streams, index);
}

/* Drop the waiting segments after @link that end at or before @end. */
static void drop_covered(struct kernort_streams *streams, struct kernort_side *side, u32 *link, u32 end)
{
	struct kernort_segment *segment;

	while ((segment = segment_at(streams, *link)) && !seq_after(segment->seq + segment->length, end)) {
		u32 index = *link;

		*link = segment->next;
		side->segment_count--;
		free_segment(streams, index);
	}
}

/* As tcp_ooo_try_coalesce() does; here as long as there is room in the piece. */
static bool append(struct kernort_segment *segment, u32 seq, const u8 *bytes, u32 length, u32 urgent)
{
	if (segment->seq + segment->length != seq || urgent || length > KERNORT_SEGMENT_BYTES - segment->length)
		return false;
	memcpy(segment->bytes + segment->length, bytes, length);
	segment->length += length;
	return true;
}

static bool is_covered(struct kernort_streams *streams, const struct kernort_side *side, u32 start, u32 end)
{
	const struct kernort_segment *segment = segment_at(streams, side->segments);

	for (; segment && !seq_after(segment->seq, start); segment = segment_at(streams, segment->next))
		if (!seq_after(end, segment->seq + segment->length))
			return true;
	return false;
}

static void add_piece(struct kernort_streams *streams, struct kernort_side *side, u32 seq, const u8 *bytes, u32 length,
		      u32 urgent)
{
	u32 *link = &side->segments, index;
	struct kernort_segment *segment;

	if (is_covered(streams, side, seq, seq + length))
		return;
	for (; (segment = segment_at(streams, *link)) && seq_before(segment->seq, seq); link = &segment->next)
		if (append(segment, seq, bytes, length, urgent))
			return;
	drop_covered(streams, side, link, seq + length);
	if (streams->free_segment == KERNORT_NO_INDEX || side->segment_count >= streams->segment_count / 4) {
		streams->counters->segments_dropped++;
		return;
	}
	index = streams->free_segment;
	segment = &streams->segments[index];
	streams->free_segment = segment->next;
	streams->free_count--;
	side->segment_count++;
	segment->seq = seq;
	segment->length = length;
	segment->urgent = urgent;
	memcpy(segment->bytes, bytes, length);
	segment->next = *link;
	*link = index;
}

void kernort_segments_add(struct kernort_streams *streams, struct kernort_side *side, u32 seq, const u8 *bytes,
			  u32 length, u32 urgent)
{
	u32 done, piece;

	for (done = 0; done < length; done += piece) {
		bool is_here = urgent > done && urgent <= done + KERNORT_SEGMENT_BYTES;

		piece = length - done < KERNORT_SEGMENT_BYTES ? length - done : KERNORT_SEGMENT_BYTES;
		add_piece(streams, side, seq + done, bytes + done, piece, is_here ? urgent - done : 0);
	}
}
