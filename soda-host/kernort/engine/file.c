// SPDX-License-Identifier: GPL-2.0-only
/* Files that come as bytes, in mail and over FTP: looked at when whole, or in pieces of a full buffer. */
#include "lines.h"

static void look(const struct kernort_line_feed *feed)
{
	struct kernort_views *views = &feed->document->scratch->views;

	kernort_views_clear(views);
	view_set(views, KERNORT_BUFFER_FILE_DATA, feed->message->body, feed->message->body_used);
	feed->reader->look(feed->reader->context, feed->document, feed->side);
}

void kernort_file_begin(const struct kernort_line_feed *feed)
{
	feed->message->body_used = 0;
	feed->message->has_woken = false;
	feed->message->fired_count = 0;
}

void kernort_file_add(const struct kernort_line_feed *feed, const u8 *bytes, u32 length)
{
	struct kernort_message *message = feed->message;

	while (length > 0) {
		u32 room = KERNORT_BODY_BYTES - message->body_used, piece = length < room ? length : room;

		memcpy(message->body + message->body_used, bytes, piece);
		message->body_used += piece;
		bytes += piece;
		length -= piece;
		if (message->body_used < KERNORT_BODY_BYTES)
			return;
		look(feed);
		memmove(message->body, message->body + KERNORT_BODY_BYTES / 2, KERNORT_BODY_BYTES / 2);
		message->body_used = KERNORT_BODY_BYTES / 2;
	}
}

void kernort_file_end(const struct kernort_line_feed *feed)
{
	if (feed->message->body_used > 0)
		look(feed);
	kernort_file_begin(feed);
}

void kernort_file_feed(struct kernort_document *document, u32 side, const u8 *bytes, u32 length,
		       const struct kernort_reader *reader)
{
	struct kernort_line_feed feed = kernort_line_feed_of(document, side, reader);

	kernort_file_add(&feed, bytes, length);
}
