// SPDX-License-Identifier: GPL-2.0-only
/*
 * The questions of a DNS message (RFC 1035, section 4), as dotted names. Compression pointers are followed backwards only.
 * Over TCP each message comes behind its length (section 4.2.2); several may come at once, or one in pieces.
 */
#include "document.h"

#define DNS_NAME_BYTES 255u
#define DNS_QUESTIONS 16u

/* Decode the name at @cursor into @out. Returns its length, or -1. */
static int read_name(const u8 *message, u32 length, struct kernort_cursor *cursor, u8 *out)
{
	struct kernort_cursor rest = *cursor;
	u32 used = 0, limit = (u32)(cursor->at - message);
	bool has_jumped = false;

	for (;;) {
		u8 label = cursor_u8(&rest);
		const u8 *text;

		if (rest.short_read)
			return -1;
		if ((label & 0xc0) == 0xc0) {
			u32 target = (u32)(label & 0x3f) << 8 | cursor_u8(&rest);

			if (rest.short_read || target >= limit)
				return -1;
			if (!has_jumped)
				*cursor = rest;
			has_jumped = true;
			limit = target;
			rest = cursor_over(message + target, length - target);
			continue;
		}
		if (label == 0)
			break;
		text = cursor_take(&rest, label);
		if (label > 63 || !text || used + label + 1 > DNS_NAME_BYTES)
			return -1;
		if (used > 0)
			out[used++] = '.';
		memcpy(out + used, text, label);
		used += label;
	}
	if (!has_jumped)
		*cursor = rest;
	return (int)used;
}

bool kernort_dns_views(struct kernort_views *views, const u8 *bytes, u32 length)
{
	struct kernort_cursor rest = cursor_over(bytes, length);
	u32 questions, i;

	cursor_be32(&rest);
	questions = cursor_be16(&rest);
	cursor_take(&rest, 6);
	if (rest.short_read || questions == 0 || questions > DNS_QUESTIONS)
		return false;
	for (i = 0; i < questions; i++) {
		u8 *name = view_derive(views, DNS_NAME_BYTES);
		int used = name ? read_name(bytes, length, &rest, name) : -1;

		if (used < 0 || !cursor_take(&rest, 4))
			return false;
		view_add(views, KERNORT_BUFFER_DNS_QUERY, name, (u32)used);
	}
	return true;
}

/* Look at every whole message in the body, and keep what follows the last one. */
static void take_messages(struct kernort_document *document, u32 side, const struct kernort_reader *reader)
{
	struct kernort_message *message = &document->messages[side];
	struct kernort_cursor rest = cursor_over(message->body, message->body_used);

	for (;;) {
		struct kernort_cursor next = rest;
		u32 length = cursor_be16(&next);

		if (next.short_read || length > next.left)
			break;
		kernort_views_clear(&document->scratch->views);
		message->has_woken = false;
		message->fired_count = 0;
		if (kernort_dns_views(&document->scratch->views, next.at, length))
			reader->look(reader->context, document, side);
		cursor_take(&next, length);
		rest = next;
	}
	message->body_used = rest.left;
	memmove(message->body, rest.at, rest.left);
}

void kernort_dns_feed(struct kernort_document *document, u32 side, const u8 *bytes, u32 length,
		      const struct kernort_reader *reader)
{
	struct kernort_message *message = &document->messages[side];

	while (length > 0) {
		u32 room = KERNORT_BODY_BYTES - message->body_used, piece = length < room ? length : room;

		memcpy(message->body + message->body_used, bytes, piece);
		message->body_used += piece;
		bytes += piece;
		length -= piece;
		take_messages(document, side, reader);
		/* Longer than any that is read: its rest is skipped with what follows. */
		if (message->body_used == KERNORT_BODY_BYTES)
			message->body_used = 0;
	}
}
