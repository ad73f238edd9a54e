/* SPDX-License-Identifier: GPL-2.0-only */
/* Records on their way from an event to the sealer, in bounded memory. */
#ifndef KERNORT_RING_H
#define KERNORT_RING_H

#include "record.h"

/* What all classes may hold together, and a record's length for the end that is too short for one. */
#define KERNORT_RING_ROOM (1u << 20)
#define KERNORT_RING_SIZE (KERNORT_RING_ROOM + KERNORT_RECORD_SIZE_MAX)

struct kernort_shed_count {
	u64 records;
	u64 bytes;
};

struct kernort_ring {
	u8 *bytes; /* KERNORT_RING_SIZE of them */
	u32 head; /* where the next record goes */
	u32 tail; /* where the oldest record is */
	u32 end; /* where the records behind @tail end, when @head has begun anew at 0 */
	u32 filled; /* bytes of records */
	u32 used[KERNORT_CLASSES];
	u64 next_number;
	struct kernort_shed_count shed[KERNORT_CLASSES];
};

/* @bytes: KERNORT_RING_SIZE of them, aligned for any type */
void kernort_ring_init(struct kernort_ring *ring, u8 *bytes);

/*
 * Put a record behind all others and give it the next number; or, when its class has no room left, count it as shed.
 * Return: 0, -ENOSPC when it was shed, -EINVAL for an unknown kind.
 */
int kernort_ring_put(struct kernort_ring *ring, enum kernort_kind kind, const struct kernort_subject *subject,
		     const void *fields, const struct kernort_piece *tails);

/* The oldest record, whole; NULL when there is none. */
const struct kernort_record_header *kernort_ring_first(const struct kernort_ring *ring);

/* Forget the oldest record. */
void kernort_ring_drop(struct kernort_ring *ring);

/* True when a class has used half of its room. */
bool kernort_ring_is_half_full(const struct kernort_ring *ring, enum kernort_class class);

/*
 * For every class that has shed something since the last call: a record that says so, where there is room for it.
 * Call it when records were taken out.
 */
void kernort_ring_tell_shed(struct kernort_ring *ring, const struct kernort_subject *subject);

#endif
