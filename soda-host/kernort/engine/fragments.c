// SPDX-License-Identifier: GPL-2.0-only
/*
 * DOC: Putting fragments together as Linux does
 *
 * Goal: the datagram that the guest's stack makes of the fragments, or none if it makes none.
 * Linux (net/ipv4/ip_fragment.c and inet_fragment.c, since 4.19; IPv6 the same): a fragment that lies wholly within
 * a contiguous run of what came before is ignored; one that overlaps otherwise throws the whole queue away, as do an
 * end that contradicts an earlier one and an empty fragment. 30 seconds after the first fragment the queue is dropped.
 * Memory: a fixed number of queues with the payload in place; the oldest gives way, counted.
 * Attacker: sends fragments in any order, number and overlap; at most KERNORT_FRAGMENT_RUNS separate runs are kept.
 */
#include "fragments.h"

#define FRAGMENT_TIMEOUT_US 30000000ULL /* IP_FRAG_TIME, include/net/ip.h */

void kernort_fragments_init(struct kernort_fragments *fragments, struct kernort_arena *arena, u32 count)
{
	fragments->queues = arena_take(arena, count, sizeof(*fragments->queues));
	fragments->count = count;
}

static bool is_same_datagram(const struct kernort_fragment_queue *queue, const struct kernort_packet *packet)
{
	return queue->is_used && queue->ip_id == packet->ip_id && queue->ip_protocol == packet->ip_protocol &&
	       !memcmp(&queue->source, &packet->source, sizeof(queue->source)) &&
	       !memcmp(&queue->destination, &packet->destination, sizeof(queue->destination));
}

static struct kernort_fragment_queue *find_queue(struct kernort_fragments *fragments,
						 const struct kernort_packet *packet, struct kernort_counters *counters)
{
	struct kernort_fragment_queue *queue, *chosen = NULL;
	u32 i;

	for (i = 0; i < fragments->count; i++) {
		queue = &fragments->queues[i];
		if (queue->is_used && packet->time_us > queue->time_us + FRAGMENT_TIMEOUT_US) {
			queue->is_used = false;
			counters->fragment_queues_dropped++;
		}
		if (is_same_datagram(queue, packet))
			return queue;
		if (!chosen || (chosen->is_used && (!queue->is_used || queue->time_us < chosen->time_us)))
			chosen = queue;
	}
	if (!chosen)
		return NULL;
	counters->fragment_queues_dropped += chosen->is_used;
	chosen->source = packet->source;
	chosen->destination = packet->destination;
	chosen->ip_id = packet->ip_id;
	chosen->ip_protocol = packet->ip_protocol;
	chosen->time_us = packet->time_us;
	chosen->is_used = true;
	chosen->has_last = false;
	chosen->length = chosen->run_count = 0;
	return chosen;
}

/* What inet_frag_queue_insert() and ip_frag_queue() decide. Returns 1 taken, 0 ignored, -EINVAL: drop the queue. */
static int insert_run(struct kernort_fragment_queue *queue, u32 start, u32 end)
{
	struct kernort_fragment_run *runs = queue->runs;
	u32 at = 0;

	while (at < queue->run_count && runs[at].end <= start)
		at++;
	if (at < queue->run_count && runs[at].start < end)
		return start >= runs[at].start && end <= runs[at].end ? 0 : -EINVAL;
	if (at > 0 && runs[at - 1].end == start) {
		runs[at - 1].end = end;
		if (at < queue->run_count && runs[at].start == end) {
			runs[at - 1].end = runs[at].end;
			memmove(&runs[at], &runs[at + 1], (queue->run_count - at - 1) * sizeof(*runs));
			queue->run_count--;
		}
		return 1;
	}
	if (at < queue->run_count && runs[at].start == end) {
		runs[at].start = start;
		return 1;
	}
	if (queue->run_count == KERNORT_FRAGMENT_RUNS)
		return -EINVAL;
	memmove(&runs[at + 1], &runs[at], (queue->run_count - at) * sizeof(*runs));
	runs[at] = (struct kernort_fragment_run){ .start = start, .end = end };
	queue->run_count++;
	return 1;
}

static bool note_end(struct kernort_fragment_queue *queue, u32 end, bool is_last)
{
	if (is_last) {
		if (end < queue->length || (queue->has_last && end != queue->length))
			return false;
		queue->has_last = true;
		queue->length = end;
	} else if (end > queue->length) {
		if (queue->has_last)
			return false;
		queue->length = end;
	}
	return true;
}

/* Write an IP header without options before the payload. Returns where the packet begins. */
static u8 *write_header(struct kernort_fragment_queue *queue)
{
	u32 header = queue->source.family == 4 ? 20 : 40, sum = 0, i;
	u8 *at = queue->bytes + KERNORT_FRAGMENT_HEADER - header;
	u32 length = queue->source.family == 4 ? queue->length + 20 : queue->length;

	memset(at, 0, header);
	if (queue->source.family == 6) {
		at[0] = (u8)(0x60 | queue->tos >> 4);
		at[1] = (u8)(queue->tos << 4);
		at[4] = (u8)(length >> 8);
		at[5] = (u8)length;
		at[6] = queue->ip_protocol;
		at[7] = queue->ttl;
		memcpy(at + 8, queue->source.bytes, 16);
		memcpy(at + 24, queue->destination.bytes, 16);
		return at;
	}
	at[0] = 0x45;
	at[1] = queue->tos;
	at[2] = (u8)(length >> 8);
	at[3] = (u8)length;
	at[4] = (u8)(queue->ip_id >> 8);
	at[5] = (u8)queue->ip_id;
	at[8] = queue->ttl;
	at[9] = queue->ip_protocol;
	memcpy(at + 12, queue->source.bytes, 4);
	memcpy(at + 16, queue->destination.bytes, 4);
	for (i = 0; i < 20; i += 2)
		sum += (u32)(at[i] << 8 | at[i + 1]);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~(sum + (sum >> 16));
	at[10] = (u8)(sum >> 8);
	at[11] = (u8)sum;
	return at;
}

static bool is_whole(const struct kernort_fragment_queue *queue)
{
	return queue->has_last && queue->run_count == 1 && queue->runs[0].start == 0 &&
	       queue->runs[0].end == queue->length;
}

bool kernort_fragments_add(struct kernort_fragments *fragments, const struct kernort_packet *packet,
			   struct kernort_packet *whole, struct kernort_counters *counters)
{
	u32 start = (u32)(packet->fragment & KERNORT_FRAGMENT_OFFSET) * 8, end = start + packet->transport_length;
	bool is_last = !(packet->fragment & KERNORT_FRAGMENT_MORE);
	struct kernort_fragment_queue *queue;
	int taken;

	counters->fragments++;
	if (!is_last)
		end &= ~7u;
	if (end > KERNORT_DATAGRAM_MAX - KERNORT_FRAGMENT_HEADER)
		return false;
	queue = find_queue(fragments, packet, counters);
	if (!queue)
		return false;
	taken = end > start && note_end(queue, end, is_last) ? insert_run(queue, start, end) : -EINVAL;
	if (taken < 0) {
		queue->is_used = false;
		counters->fragment_queues_dropped++;
	}
	if (taken <= 0)
		return false;
	memcpy(queue->bytes + KERNORT_FRAGMENT_HEADER + start, packet->transport, end - start);
	if (start == 0) {
		queue->ttl = packet->ttl;
		queue->tos = packet->tos;
	}
	if (!is_whole(queue))
		return false;
	queue->is_used = false;
	counters->datagrams_reassembled++;
	whole->time_us = packet->time_us;
	return kernort_decode_ip(whole, write_header(queue),
				 queue->length + (packet->source.family == 4 ? 20 : 40), true) == 0;
}
