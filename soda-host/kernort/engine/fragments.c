// SPDX-License-Identifier: GPL-2.0-only
/*
 * DOC: Putting fragments together as Linux does
 *
 * Goal: the datagram that the guest's stack makes of the fragments, or none if it makes none.
 * Linux (net/ipv4/ip_fragment.c and inet_fragment.c, since 4.20; IPv6 the same) keeps runs of fragments. One that begins
 * where the furthest one ends goes on with its run; any other that overlaps none is a run of its own, also between two
 * that it touches. One that lies wholly within a run is ignored; one that overlaps otherwise throws the whole queue
 * away, as do an end that contradicts an earlier one, an empty fragment, and codepoints of ECN that do not go together.
 * 30 seconds after the first fragment the queue is dropped.
 * Memory: a fixed number of queues with the payload in place; the oldest gives way, counted.
 * Attacker: sends fragments in any order, number and overlap.
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
	chosen->length = chosen->bytes_taken = chosen->tail_end = 0;
	chosen->ecn = 0;
	memset(chosen->taken, 0, sizeof(chosen->taken));
	memset(chosen->begins, 0, sizeof(chosen->begins));
	return chosen;
}

static bool has_bit(const u8 *bits, u32 at)
{
	return bits[at / 8] >> at % 8 & 1;
}

static void set_bit_at(u8 *bits, u32 at)
{
	bits[at / 8] |= (u8)(1u << at % 8);
}

/* What inet_frag_queue_insert() decides. Returns 1 taken, 0 ignored, -EINVAL: drop the queue. */
static int insert(struct kernort_fragment_queue *queue, u32 start, u32 end)
{
	u32 first = start / 8, units = (end + 7) / 8 - first, there = 0, i;
	bool goes_on = queue->bytes_taken > 0 && start == queue->tail_end, is_one_run = true;

	for (i = 0; i < units; i++) {
		there += has_bit(queue->taken, first + i);
		is_one_run &= i == 0 || !has_bit(queue->begins, first + i);
	}
	if (there > 0)
		return there == units && is_one_run && end <= queue->tail_end ? 0 : -EINVAL;
	for (i = 0; i < units; i++)
		set_bit_at(queue->taken, first + i);
	if (!goes_on)
		set_bit_at(queue->begins, first);
	queue->bytes_taken += end - start;
	if (end > queue->tail_end)
		queue->tail_end = end;
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
	return queue->has_last && has_bit(queue->taken, 0) && queue->bytes_taken == queue->length;
}

/* Not-ECT with any other: ip_frag_ecn_table (RFC 3168, section 5.3). */
static bool has_bad_ecn(const struct kernort_fragment_queue *queue)
{
	return queue->ecn & 1 && queue->ecn != 1;
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
	taken = end > start && note_end(queue, end, is_last) ? insert(queue, start, end) : -EINVAL;
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
	queue->ecn |= (u8)(1u << (packet->tos & 3));
	if (!is_whole(queue))
		return false;
	queue->is_used = false;
	if (has_bad_ecn(queue)) {
		counters->fragment_queues_dropped++;
		return false;
	}
	counters->datagrams_reassembled++;
	whole->time_us = packet->time_us;
	return kernort_decode_ip(whole, write_header(queue),
				 queue->length + (packet->source.family == 4 ? 20 : 40), true) == 0;
}
