// SPDX-License-Identifier: GPL-2.0-only
/*
 * DOC: TCP as the receiver's stack sees it
 *
 * Goal: exactly the bytes that the receiving application will read, in order, as soon as they are.
 * States of a flow: NONE -> OPENING (a SYN was seen) -> ESTABLISHED (both SYNs, and an ACK) -> CLOSED (a valid RST,
 * or both FINs). A SYN from each side opens too (simultaneous open, RFC 9293 section 3.5).
 * A segment is refused, as Linux does (tcp_validate_incoming, tcp_ack), when
 * - it has no ACK, or acknowledges what was never sent;
 * - its timestamp is older than the latest (PAWS, RFC 7323);
 * - it begins beyond the receive window;
 * - it comes after the FIN.
 * A RST counts only at exactly the next sequence number (RFC 5961). A byte that has been read is never read again:
 * retransmissions with other content change nothing. The urgent byte is taken out of the stream.
 * Attacker: one or both ends, choosing any flags, numbers and order. The pool of waiting segments is bounded.
 */
#include "stream.h"

void kernort_streams_init(struct kernort_streams *streams, struct kernort_arena *arena, u32 segment_count)
{
	u32 i;

	streams->segments = arena_take(arena, segment_count, sizeof(*streams->segments));
	streams->segment_count = streams->free_count = segment_count;
	streams->free_segment = segment_count ? 0 : KERNORT_NO_INDEX;
	for (i = 0; arena->base && i < segment_count; i++)
		streams->segments[i].node.parent = i + 1 < segment_count ? i + 1 : KERNORT_NO_INDEX;
}

static void free_segments(struct kernort_streams *streams, struct kernort_side *side)
{
	while (side->segments != KERNORT_NO_INDEX)
		kernort_segments_free(streams, side, side->segments);
}

void kernort_stream_release(struct kernort_streams *streams, struct kernort_flow *flow)
{
	free_segments(streams, &flow->sides[KERNORT_CLIENT]);
	free_segments(streams, &flow->sides[KERNORT_SERVER]);
}

/* Hand over @bytes, which begin at the side's next sequence number; @urgent as in struct kernort_segment. */
static void advance(struct kernort_streams *streams, struct kernort_flow *flow, u32 side, const u8 *bytes, u32 length,
		    u32 urgent)
{
	streams->counters->bytes_reassembled += length;
	flow->sides[side].next += length;
	if (urgent && urgent <= length) {
		if (urgent > 1)
			streams->deliver(streams->context, flow, side, bytes, urgent - 1);
		bytes += urgent;
		length -= urgent;
	}
	if (length > 0)
		streams->deliver(streams->context, flow, side, bytes, length);
}

static void drain(struct kernort_streams *streams, struct kernort_flow *flow, u32 side)
{
	struct kernort_side *from = &flow->sides[side];
	u32 first;

	while ((first = kernort_segments_first(streams, from)) != KERNORT_NO_INDEX) {
		struct kernort_segment *segment = &streams->segments[first];
		u32 read = from->next - segment->seq;

		if (seq_after(segment->seq, from->next))
			return;
		if (read < segment->length)
			advance(streams, flow, side, segment->bytes + read, segment->length - read,
				segment->urgent > read ? segment->urgent - read : 0);
		kernort_segments_free(streams, from, first);
	}
}

/* The receiver has acknowledged what was not seen here (a lossy capture): go on at what is there. */
static void skip_gap(struct kernort_streams *streams, struct kernort_flow *flow, u32 side, u32 ack)
{
	struct kernort_side *from = &flow->sides[side];
	u32 first;

	if (from->segments == KERNORT_NO_INDEX || !seq_after(ack, from->next))
		return;
	first = streams->segments[kernort_segments_first(streams, from)].seq;
	if (seq_after(first, ack))
		return;
	from->next = first;
	drain(streams, flow, side);
}

static u32 urgent_of(const struct kernort_packet *packet)
{
	return packet->tcp_flags & KERNORT_TCP_URG ? packet->urgent : 0;
}

static void take_data(struct kernort_streams *streams, struct kernort_flow *flow, u32 side,
		      const struct kernort_packet *packet, u32 seq)
{
	struct kernort_side *from = &flow->sides[side];
	u32 urgent = urgent_of(packet), read = from->next - seq;

	if (seq_after(seq, from->next)) {
		kernort_segments_add(streams, from, seq, packet->payload, packet->payload_length, urgent);
		return;
	}
	if (read < packet->payload_length)
		advance(streams, flow, side, packet->payload + read, packet->payload_length - read,
			urgent > read ? urgent - read : 0);
	drain(streams, flow, side);
}

static void note_sent(struct kernort_side *from, const struct kernort_packet *packet)
{
	u32 end = packet->seq + packet->payload_length + !!(packet->tcp_flags & KERNORT_TCP_SYN) +
		  !!(packet->tcp_flags & KERNORT_TCP_FIN);

	if (!from->has_sent || seq_after(end, from->sent))
		from->sent = end;
	from->has_sent = true;
	if (packet->has_timestamp) {
		from->timestamp = packet->timestamp;
		from->has_timestamp = true;
	}
}

/* Remember how far the sender of this packet lets the other side send. */
static void note_window(struct kernort_flow *flow, u32 side, const struct kernort_packet *packet)
{
	struct kernort_side *from = &flow->sides[side];
	bool is_scaled = !(packet->tcp_flags & KERNORT_TCP_SYN) && from->window_scale != 0xff &&
			 flow->sides[!side].window_scale != 0xff;
	u32 end = packet->ack + ((u32)packet->window << (is_scaled ? from->window_scale : 0));

	if (!(packet->tcp_flags & KERNORT_TCP_ACK))
		return;
	if (!from->has_window || seq_after(end, from->window_end))
		from->window_end = end;
	from->has_window = true;
}

static void begin_side(struct kernort_side *from, const struct kernort_packet *packet)
{
	from->has_syn = true;
	from->next = packet->seq + 1;
	from->window_scale = packet->window_scale;
	note_sent(from, packet);
}

static enum kernort_segment_fate take_syn(struct kernort_streams *streams, struct kernort_flow *flow, u32 side,
					  const struct kernort_packet *packet)
{
	struct kernort_side *from = &flow->sides[side], *to = &flow->sides[!side];
	bool is_again = from->has_syn && from->next == packet->seq + 1;

	if (flow->tcp_state == KERNORT_TCP_ESTABLISHED || flow->tcp_state == KERNORT_TCP_CLOSED)
		return is_again ? KERNORT_SEGMENT_TAKEN : KERNORT_SEGMENT_REFUSED;
	if ((packet->tcp_flags & KERNORT_TCP_ACK) && to->has_syn &&
	    (seq_before(packet->ack, to->next) || seq_after(packet->ack, to->sent)))
		return KERNORT_SEGMENT_REFUSED;
	if (from->has_syn && to->has_syn && !is_again)
		return KERNORT_SEGMENT_REFUSED;
	if (!from->has_syn && !to->has_syn && (packet->tcp_flags & KERNORT_TCP_ACK)) {
		if (!streams->picks_up_midstream)
			return KERNORT_SEGMENT_ALONE;
		to->has_syn = true;
		to->next = to->sent = packet->ack;
	}
	flow->tcp_state = KERNORT_TCP_OPENING;
	if (!is_again)
		begin_side(from, packet);
	note_window(flow, side, packet);
	if (packet->payload_length > 0 && packet->has_fastopen)
		kernort_segments_add(streams, from, packet->seq + 1, packet->payload, packet->payload_length, 0);
	/* Data in the SYN counts if the answer acknowledges it (RFC 7413). */
	if ((packet->tcp_flags & KERNORT_TCP_ACK) && !seq_after(packet->ack, to->next))
		free_segments(streams, to);
	return KERNORT_SEGMENT_TAKEN;
}

static enum kernort_segment_fate take_rst(struct kernort_flow *flow, u32 side, const struct kernort_packet *packet)
{
	struct kernort_side *from = &flow->sides[side], *to = &flow->sides[!side];
	bool is_valid = from->has_syn ? packet->seq == from->next :
					(packet->tcp_flags & KERNORT_TCP_ACK) && to->has_syn && packet->ack == to->next;

	if (!is_valid)
		return KERNORT_SEGMENT_REFUSED;
	flow->tcp_state = KERNORT_TCP_CLOSED;
	return KERNORT_SEGMENT_TAKEN;
}

static void pick_up(struct kernort_flow *flow, u32 side, const struct kernort_packet *packet)
{
	struct kernort_side *from = &flow->sides[side], *to = &flow->sides[!side];

	flow->tcp_state = KERNORT_TCP_ESTABLISHED;
	from->has_syn = to->has_syn = true;
	from->next = packet->seq;
	from->window_scale = to->window_scale = 14; /* not known: assume the widest */
	to->next = to->sent = packet->ack;
	to->has_sent = true;
}

static bool is_refused(const struct kernort_flow *flow, u32 side, const struct kernort_packet *packet)
{
	const struct kernort_side *from = &flow->sides[side], *to = &flow->sides[!side];

	if (!(packet->tcp_flags & KERNORT_TCP_ACK))
		return true;
	if (flow->tcp_state == KERNORT_TCP_CLOSED && packet->payload_length > 0)
		return true;
	if (to->has_sent && seq_after(packet->ack, to->sent))
		return true;
	if (from->has_timestamp && packet->has_timestamp && seq_before(packet->timestamp, from->timestamp))
		return true;
	if (to->has_window && seq_after(packet->seq, to->window_end))
		return true;
	return from->has_fin && packet->payload_length > 0 &&
	       seq_after(packet->seq + packet->payload_length, from->next);
}

static void take_fin(struct kernort_flow *flow, u32 side, const struct kernort_packet *packet)
{
	struct kernort_side *from = &flow->sides[side];

	if (!(packet->tcp_flags & KERNORT_TCP_FIN) || from->has_fin ||
	    packet->seq + packet->payload_length != from->next)
		return;
	from->has_fin = true;
	from->next++;
	if (flow->sides[!side].has_fin)
		flow->tcp_state = KERNORT_TCP_CLOSED;
}

enum kernort_segment_fate kernort_stream_segment(struct kernort_streams *streams, struct kernort_flow *flow, u32 side,
						 const struct kernort_packet *packet)
{
	struct kernort_side *from = &flow->sides[side], *to = &flow->sides[!side];

	if (packet->tcp_flags & KERNORT_TCP_RST)
		return take_rst(flow, side, packet);
	if (packet->tcp_flags & KERNORT_TCP_SYN)
		return take_syn(streams, flow, side, packet);
	if (flow->tcp_state == KERNORT_TCP_NONE) {
		if (!streams->picks_up_midstream)
			return KERNORT_SEGMENT_ALONE;
		pick_up(flow, side, packet);
	}
	if (!from->has_syn || !to->has_syn)
		return KERNORT_SEGMENT_ALONE;
	if (is_refused(flow, side, packet)) {
		streams->counters->segments_refused++;
		return KERNORT_SEGMENT_REFUSED;
	}
	if (flow->tcp_state == KERNORT_TCP_OPENING)
		flow->tcp_state = KERNORT_TCP_ESTABLISHED;
	note_sent(from, packet);
	note_window(flow, side, packet);
	skip_gap(streams, flow, !side, packet->ack);
	drain(streams, flow, side);
	if (packet->payload_length > 0)
		take_data(streams, flow, side, packet, packet->seq);
	take_fin(flow, side, packet);
	return KERNORT_SEGMENT_TAKEN;
}
