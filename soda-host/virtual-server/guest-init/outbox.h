/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Frames that have been made and not yet been acknowledged.
 *
 * A ring of records, each one frame as it goes over the wire, never torn at
 * the end of the buffer: what does not fit there begins again at the front.
 * Positions: acked <= sent <= produced, counted in payload bytes. A record is
 * forgotten when all of it is acknowledged, so that after a reconnect
 * everything from the host's position on can be sent again.
 */
#ifndef OUTBOX_H
#define OUTBOX_H

#include "protocol.h"
#include <stdbool.h>
#include <stddef.h>

/* Room for a full window in the smallest pieces that program output comes in. */
#define OUTBOX_BYTES(window) ((window) + (window) / 8)

struct outbox {
	uint8_t *buffer;
	size_t size; /* of the buffer */
	size_t window; /* payload bytes that may be unacknowledged */
	size_t first; /* oldest record */
	size_t free; /* where the next record begins */
	size_t wrap; /* end of the records before the front; valid if free < first */
	size_t record; /* record that is being sent */
	size_t sent; /* next byte to be sent, within `record` */
	uint64_t acked;
	uint64_t produced;
};

/* `buffer`: OUTBOX_BYTES(window). */
void outbox_init(struct outbox *box, uint8_t *buffer, size_t window);
/* Drop everything and count from 0 again. */
void outbox_reset(struct outbox *box);
/* Room for a payload of at most `want` bytes; returns how much, 0 if none. */
size_t outbox_room(const struct outbox *box, size_t want);
/* Where that payload goes. Only after outbox_room(), and before outbox_commit(). */
uint8_t *outbox_payload(struct outbox *box, size_t room);
void outbox_commit(struct outbox *box, enum frame_type type, uint64_t sequence, size_t length);
/* The bytes to be sent next; NULL if there are none. */
const uint8_t *outbox_next(const struct outbox *box, size_t *length);
void outbox_sent(struct outbox *box, size_t length);
bool outbox_is_between_frames(const struct outbox *box);
/* What is left of the frame that was begun; NULL between frames. */
const uint8_t *outbox_begun(const struct outbox *box, size_t *length);
bool outbox_is_all_sent(const struct outbox *box);
/* False if `position` was never produced. */
bool outbox_ack(struct outbox *box, uint64_t position);
/* Send again all that lies after `position`. False if that is not there. */
bool outbox_rewind(struct outbox *box, uint64_t position);

#endif
