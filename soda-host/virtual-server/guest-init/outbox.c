// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "outbox.h"
#include <string.h>

#define HEADER sizeof(struct frame_header)

static struct frame_header header_at(const struct outbox *box, size_t offset)
{
	struct frame_header header;

	memcpy(&header, box->buffer + offset, HEADER);
	return header;
}

static size_t end_of(const struct outbox *box, size_t offset)
{
	return offset + HEADER + header_at(box, offset).length;
}

static bool is_empty(const struct outbox *box)
{
	return box->first == box->free;
}

/* The record after the one at `offset`. */
static size_t following(const struct outbox *box, size_t offset)
{
	size_t end = end_of(box, offset);

	return box->free < box->first && end == box->wrap ? 0 : end;
}

void outbox_init(struct outbox *box, uint8_t *buffer, size_t window)
{
	memset(box, 0, sizeof(*box));
	box->buffer = buffer;
	box->window = window;
	box->size = OUTBOX_BYTES(window);
}

void outbox_reset(struct outbox *box)
{
	outbox_init(box, box->buffer, box->window);
}

/* One byte always stays free: full and empty must not look alike. */
static size_t payload_space(size_t bytes)
{
	return bytes <= HEADER + 1 ? 0 : bytes - HEADER - 1;
}

static size_t space_here(const struct outbox *box)
{
	size_t end = box->free < box->first ? box->first : box->size;

	return payload_space(end - box->free);
}

static size_t space_at_front(const struct outbox *box)
{
	return box->free < box->first ? 0 : payload_space(box->first);
}

size_t outbox_room(const struct outbox *box, size_t want)
{
	size_t window = box->window - (size_t)(box->produced - box->acked);
	size_t here = space_here(box);
	size_t front = space_at_front(box);
	size_t room = here > front ? here : front;

	if (room > window)
		room = window;
	return room > want ? want : room;
}

uint8_t *outbox_payload(struct outbox *box, size_t room)
{
	if (space_here(box) < room) {
		/* Who had sent all and waits at the old place goes along. */
		if (outbox_is_all_sent(box))
			box->record = box->sent = 0;
		box->wrap = box->free;
		box->free = 0;
	}
	return box->buffer + box->free + HEADER;
}

void outbox_commit(struct outbox *box, enum frame_type type, uint64_t sequence, size_t length)
{
	struct frame_header header = {
		.length = (uint32_t)length,
		.type = (uint16_t)type,
		.sequence = sequence,
		.position = box->produced,
	};

	memcpy(box->buffer + box->free, &header, HEADER);
	box->free += HEADER + length;
	box->produced += length;
}

bool outbox_is_between_frames(const struct outbox *box)
{
	return box->sent == box->record;
}

bool outbox_is_all_sent(const struct outbox *box)
{
	return box->record == box->free;
}

const uint8_t *outbox_next(const struct outbox *box, size_t *length)
{
	size_t end = box->record < box->free ? box->free : box->wrap;

	if (outbox_is_all_sent(box))
		return NULL;
	*length = end - box->sent;
	return box->buffer + box->sent;
}

const uint8_t *outbox_begun(const struct outbox *box, size_t *length)
{
	if (outbox_is_between_frames(box))
		return NULL;
	*length = end_of(box, box->record) - box->sent;
	return box->buffer + box->sent;
}

void outbox_sent(struct outbox *box, size_t length)
{
	box->sent += length;
	while (!outbox_is_all_sent(box)) {
		size_t end = end_of(box, box->record);

		if (box->sent < end)
			return;
		box->record = following(box, box->record);
		if (box->record != end)
			box->sent = box->record;
	}
}

bool outbox_ack(struct outbox *box, uint64_t position)
{
	if (position < box->acked || position > box->produced)
		return false;
	while (!is_empty(box)) {
		struct frame_header header = header_at(box, box->first);

		if (header.position + header.length > position)
			break;
		/* The host cannot have what was not sent to it. */
		if (box->first == box->record)
			return false;
		box->first = following(box, box->first);
	}
	box->acked = position;
	if (is_empty(box))
		box->first = box->free = box->record = box->sent = 0;
	return true;
}

/* Cut off the part of the oldest record that the host has. */
static void trim_first(struct outbox *box, uint64_t position)
{
	struct frame_header header = header_at(box, box->first);
	size_t cut = (size_t)(position - header.position);

	header.length -= (uint32_t)cut;
	header.position = position;
	box->first += cut;
	memcpy(box->buffer + box->first, &header, HEADER);
}

bool outbox_rewind(struct outbox *box, uint64_t position)
{
	/* All counts as sent to an earlier connection. */
	box->record = box->sent = box->free;
	if (!outbox_ack(box, position))
		return false;
	if (!is_empty(box) && header_at(box, box->first).position < position)
		trim_first(box, position);
	box->record = box->sent = box->first;
	return true;
}
