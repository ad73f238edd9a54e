/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KERNORT_STREAM_H
#define KERNORT_STREAM_H

#include "flow.h"
#include "tree.h"

#define KERNORT_SEGMENT_BYTES 2048u

struct kernort_segment {
	struct kernort_tree_node node; /* `parent` of a free one: the next that is free */
	u32 seq, length;
	u32 urgent; /* 1 + offset of the urgent byte, 0: none */
	u8 bytes[KERNORT_SEGMENT_BYTES];
};

struct kernort_streams {
	struct kernort_segment *segments;
	u32 segment_count, free_segment, free_count;
	bool picks_up_midstream;
	struct kernort_counters *counters;
	/* Takes bytes that are in order, as soon as they are. */
	void (*deliver)(void *context, struct kernort_flow *flow, u32 side, const u8 *bytes, u32 length);
	void *context;
};

enum kernort_segment_fate {
	KERNORT_SEGMENT_REFUSED, /* the receiver's stack drops it */
	KERNORT_SEGMENT_ALONE, /* no connection is known that it would belong to */
	KERNORT_SEGMENT_TAKEN,
};

void kernort_streams_init(struct kernort_streams *streams, struct kernort_arena *arena, u32 segment_count);
enum kernort_segment_fate kernort_stream_segment(struct kernort_streams *streams, struct kernort_flow *flow, u32 side,
						 const struct kernort_packet *packet);
/* Give back the segments that a flow holds. */
void kernort_stream_release(struct kernort_streams *streams, struct kernort_flow *flow);

/* Segments that wait for a gap to close: reassembly.c. */
void kernort_segments_add(struct kernort_streams *streams, struct kernort_side *side, u32 seq, const u8 *bytes,
			  u32 length, u32 urgent);
/* The first by sequence number, or KERNORT_NO_INDEX. */
u32 kernort_segments_first(const struct kernort_streams *streams, struct kernort_side *side);
void kernort_segments_free(struct kernort_streams *streams, struct kernort_side *side, u32 index);

static inline bool seq_before(u32 a, u32 b)
{
	return (s32)(a - b) < 0;
}

static inline bool seq_after(u32 a, u32 b)
{
	return seq_before(b, a);
}

#endif
