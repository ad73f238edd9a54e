/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KERNORT_FRAGMENTS_H
#define KERNORT_FRAGMENTS_H

#include "arena.h"
#include "kernort_engine.h"
#include "packet.h"

#define KERNORT_FRAGMENT_HEADER 40
#define KERNORT_DATAGRAM_MAX 65535u
#define KERNORT_FRAGMENT_UNITS 8192u /* of eight bytes: where fragments begin */

struct kernort_fragment_queue {
	struct kernort_address source, destination;
	u32 ip_id;
	u8 ip_protocol;
	bool is_used, has_last;
	u8 ttl, tos;
	u64 time_us; /* of the first fragment */
	u32 length; /* of what is known of the payload */
	u32 bytes_taken, tail_end; /* the furthest end of a fragment */
	u8 ecn; /* bit n: a fragment had codepoint n */
	u8 taken[KERNORT_FRAGMENT_UNITS / 8]; /* bit per unit: it is there */
	u8 begins[KERNORT_FRAGMENT_UNITS / 8]; /* ... and a run begins with it */
	u8 bytes[KERNORT_FRAGMENT_HEADER + KERNORT_DATAGRAM_MAX]; /* room for an IP header, then the payload */
};

struct kernort_fragments {
	struct kernort_fragment_queue *queues;
	u32 count;
};

void kernort_fragments_init(struct kernort_fragments *fragments, struct kernort_arena *arena, u32 count);

/**
 * kernort_fragments_add() - take in one fragment
 * @whole: on success the datagram, valid until the next call
 * Return: true when the datagram is whole.
 */
bool kernort_fragments_add(struct kernort_fragments *fragments, const struct kernort_packet *packet,
			   struct kernort_packet *whole, struct kernort_counters *counters);

#endif
