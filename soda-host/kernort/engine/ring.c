// SPDX-License-Identifier: GPL-2.0-only
/*
 * Records on their way from an event to the sealer.
 *
 * Theory of operation
 *
 * Goal: whoever makes events of one kind can neither use up the memory nor crowd out the events of another. The
 * records of all classes lie in one ring, in the order in which they were made and in which they will be numbered;
 * each class has room of its own in it. A record for which its class has no room is shed and counted; the counts are
 * logged as soon as the sealer has made room.
 *
 * A record is never split: where the end of the ring is too short for it, it begins at 0. The end that is lost then is
 * shorter than the longest record, and the ring is larger than the sum of all rooms by just that; so what has room in
 * its class has a place.
 *
 * The head moves last: a panic in the middle of a put leaves the ring as it was.
 * Not locked: that is the caller's.
 * Attacker: a guest program that makes events of any kind, number and length.
 */
#include "ring.h"

/* In sixteenths of KERNORT_RING_ROOM. None is less than two of the longest records. */
static const u8 shares[KERNORT_CLASSES] = {
	[KERNORT_CLASS_ALERT] = 2,
	[KERNORT_CLASS_PROCESS] = 6,
	[KERNORT_CLASS_DETAIL] = 4,
	[KERNORT_CLASS_BULK] = 4,
};

static u32 room_of(enum kernort_class class)
{
	return KERNORT_RING_ROOM / 16 * shares[class];
}

void kernort_ring_init(struct kernort_ring *ring, u8 *bytes)
{
	memset(ring, 0, sizeof(*ring));
	ring->bytes = bytes;
}

int kernort_ring_put(struct kernort_ring *ring, enum kernort_kind kind, const struct kernort_subject *subject,
		     const void *fields, const struct kernort_piece *tails)
{
	enum kernort_class class = kernort_record_class(kind);
	int size = kernort_record_size(kind, tails);
	bool is_wrapping;
	u32 at;

	if (size < 0)
		return size;
	if (ring->used[class] + (u32)size > room_of(class)) {
		ring->shed[class].records++;
		ring->shed[class].bytes += (u32)size;
		return -ENOSPC;
	}
	if (!ring->filled)
		ring->head = ring->tail = ring->end = 0;
	at = ring->head;
	is_wrapping = (u32)size > KERNORT_RING_SIZE - at;
	if (is_wrapping)
		at = 0;
	size = kernort_record_write(ring->bytes + at, (size_t)size, kind, ring->next_number, subject, fields, tails);
	if (size < 0)
		return size;
	if (is_wrapping)
		ring->end = ring->head;
	ring->head = at + (u32)size;
	ring->filled += (u32)size;
	ring->used[class] += (u32)size;
	ring->next_number++;
	return 0;
}

const struct kernort_record_header *kernort_ring_first(const struct kernort_ring *ring)
{
	if (!ring->filled)
		return NULL;
	return (const struct kernort_record_header *)(ring->bytes + ring->tail);
}

void kernort_ring_drop(struct kernort_ring *ring)
{
	const struct kernort_record_header *first = kernort_ring_first(ring);
	u32 size;

	if (!first)
		return;
	size = first->size;
	ring->used[kernort_record_class((enum kernort_kind)first->kind)] -= size;
	ring->filled -= size;
	ring->tail += size;
	if (ring->end && ring->tail == ring->end) {
		ring->tail = 0;
		ring->end = 0;
	}
}

bool kernort_ring_is_half_full(const struct kernort_ring *ring, enum kernort_class class)
{
	return ring->used[class] > room_of(class) / 2;
}

void kernort_ring_tell_shed(struct kernort_ring *ring, const struct kernort_subject *subject)
{
	u32 class;

	for (class = 0; class < KERNORT_CLASSES; class++) {
		struct kernort_shed_count *count = &ring->shed[class];
		const struct kernort_shed shed = {
			.class = class, .records = count->records, .bytes = count->bytes,
		};

		if (!count->records)
			continue;
		memset(count, 0, sizeof(*count));
		if (kernort_ring_put(ring, KERNORT_KIND_shed, subject, &shed, NULL)) {
			/* The record of the shedding was shed: none of it is told yet. */
			ring->shed[KERNORT_CLASS_ALERT].records--;
			ring->shed[KERNORT_CLASS_ALERT].bytes -= kernort_record_size(KERNORT_KIND_shed, NULL);
			count->records += shed.records;
			count->bytes += shed.bytes;
		}
	}
}
