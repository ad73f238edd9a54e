// SPDX-License-Identifier: GPL-2.0-only
/*
 * DOC: What TLS says in the clear
 *
 * The handshake records of one side are gathered (RFC 8446, section 5.1) until they hold a whole client hello or
 * certificate message; its server name (RFC 6066) or certificates become buffers. Everything after is encrypted.
 * Memory: the message's body buffer, first the handshake, then the record that is not whole yet; a handshake that does
 * not fit is not looked at.
 */
#include "document.h"
#include "tls.h"

enum { GATHERING, DONE };
enum { RECORD_HANDSHAKE = 22, CLIENT_HELLO = 1, CERTIFICATE = 11, EXTENSION_SERVER_NAME = 0 };

/* Skip what a hello has before its extensions. Returns a cursor over these. */
static struct kernort_cursor hello_extensions(struct kernort_cursor hello)
{
	cursor_take(&hello, 34);
	cursor_take(&hello, cursor_u8(&hello));
	cursor_take(&hello, cursor_be16(&hello));
	cursor_take(&hello, cursor_u8(&hello));
	return cursor_within(&hello, cursor_be16(&hello));
}

static bool client_hello_views(struct kernort_views *views, struct kernort_cursor hello)
{
	struct kernort_cursor extensions = hello_extensions(hello);

	while (extensions.left >= 4) {
		u16 type = cursor_be16(&extensions);
		struct kernort_cursor value = cursor_within(&extensions, cursor_be16(&extensions));
		struct kernort_cursor name;

		if (type != EXTENSION_SERVER_NAME)
			continue;
		cursor_take(&value, 3);
		name = cursor_within(&value, cursor_be16(&value));
		if (name.left > 0)
			view_set(views, KERNORT_BUFFER_TLS_SNI, name.at, name.left);
	}
	return true;
}

static bool certificate_views(struct kernort_views *views, struct kernort_cursor message)
{
	struct kernort_cursor list = cursor_within(&message, cursor_be24(&message));
	bool is_first = true;

	while (list.left >= 3) {
		struct kernort_cursor one = cursor_within(&list, cursor_be24(&list));

		if (one.left == 0)
			return !is_first;
		view_add(views, KERNORT_BUFFER_TLS_CERTS, one.at, one.left);
		if (is_first)
			kernort_certificate_views(views, one);
		is_first = false;
	}
	return !is_first;
}

/* The handshake messages gathered so far. Returns true when the one that matters was there. */
static bool look_at_handshake(struct kernort_document *document, u32 side)
{
	struct kernort_message *message = &document->messages[side];
	struct kernort_cursor rest = cursor_over(message->body, message->body_used);
	struct kernort_views *views = &document->scratch->views;

	kernort_views_clear(views);
	while (rest.left >= 4) {
		u8 type = cursor_u8(&rest);
		u32 length = cursor_be24(&rest);
		struct kernort_cursor body;

		if (length > rest.left)
			return false;
		body = cursor_within(&rest, length);
		if (side == KERNORT_CLIENT && type == CLIENT_HELLO)
			return client_hello_views(views, body);
		if (side == KERNORT_SERVER && type == CERTIFICATE)
			return certificate_views(views, body);
	}
	return false;
}

/* Take the heads off whole handshake records. Returns false when there are no more such records to come. */
static bool gather(struct kernort_message *message)
{
	struct kernort_cursor rest = cursor_over(message->body + message->body_used, message->raw_used);
	bool goes_on = true;

	while (rest.left >= 5) {
		struct kernort_cursor record = rest;
		bool is_handshake = cursor_u8(&record) == RECORD_HANDSHAKE;
		u32 length;

		cursor_be16(&record);
		length = cursor_be16(&record);
		goes_on = is_handshake;
		if (!is_handshake || length > record.left)
			break;
		memmove(message->body + message->body_used, record.at, length);
		message->body_used += length;
		cursor_take(&record, length);
		rest = record;
	}
	memmove(message->body + message->body_used, rest.at, rest.left);
	message->raw_used = rest.left;
	return goes_on;
}

void kernort_tls_feed(struct kernort_document *document, u32 side, const u8 *bytes, u32 length,
		      const struct kernort_reader *reader)
{
	struct kernort_message *message = &document->messages[side];

	while (length > 0 && message->phase == GATHERING) {
		u32 used = message->body_used + message->raw_used, room = KERNORT_BODY_BYTES - used;
		u32 piece = length < room ? length : room;

		memcpy(message->body + used, bytes, piece);
		message->raw_used += piece;
		bytes += piece;
		length -= piece;
		if (!gather(message) || message->body_used + message->raw_used == KERNORT_BODY_BYTES)
			message->phase = DONE;
		if (!look_at_handshake(document, side))
			continue;
		message->phase = DONE;
		reader->look(reader->context, document, side);
	}
}
