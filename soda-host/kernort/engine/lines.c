// SPDX-License-Identifier: GPL-2.0-only
/*
 * DOC: Lines out of a byte stream
 *
 * Each side's bytes are cut into lines, which are handed to the protocol one by one. Memory: a line of the length of a
 * head; a longer one is handed on in pieces. Attacker: writes both sides; each byte is looked at a bounded number of times.
 */
#include "lines.h"
#include "http.h"

enum { SSH_BANNER, SSH_DONE };

static struct kernort_slice without_end(struct kernort_slice line)
{
	if (line.length > 0 && line.bytes[line.length - 1] == '\n')
		line.length--;
	if (line.length > 0 && line.bytes[line.length - 1] == '\r')
		line.length--;
	return line;
}

/* SSH-protocol-software comments (RFC 4253, section 4.2); lines before it are a server's greeting. */
static void ssh_line(const struct kernort_line_feed *feed, struct kernort_slice line)
{
	struct kernort_views *views = &feed->document->scratch->views;
	struct kernort_slice rest = kernort_slice_begins(line, "ssh-") ? kernort_slice_after(line, 4) : line;
	const u8 *dash;

	if (rest.length == line.length)
		return;
	feed->message->phase = SSH_DONE;
	dash = memchr(rest.bytes, '-', rest.length);
	if (!dash)
		return;
	kernort_views_clear(views);
	view_set(views, KERNORT_BUFFER_SSH_PROTO, rest.bytes, (u32)(dash - rest.bytes));
	rest = kernort_slice_after(rest, (u32)(dash - rest.bytes) + 1);
	dash = memchr(rest.bytes, ' ', rest.length);
	view_set(views, KERNORT_BUFFER_SSH_SOFTWARE, rest.bytes, dash ? (u32)(dash - rest.bytes) : rest.length);
	feed->reader->look(feed->reader->context, feed->document, feed->side);
}

static void end_line(const struct kernort_line_feed *feed)
{
	struct kernort_slice line = { .bytes = feed->message->head, .length = feed->message->head_used };

	feed->message->head_used = 0;
	if (feed->document->app == KERNORT_APP_SMTP)
		kernort_smtp_line(feed, feed->message->phase == KERNORT_LINES_MAIL ? line : without_end(line));
	else if (feed->document->app == KERNORT_APP_FTP)
		kernort_ftp_line(feed, without_end(line));
	else if (feed->message->phase == SSH_BANNER)
		ssh_line(feed, without_end(line));
}

static u32 add_to_line(const struct kernort_line_feed *feed, const u8 *bytes, u32 length)
{
	struct kernort_message *message = feed->message;
	const u8 *end = memchr(bytes, '\n', length);
	u32 room = KERNORT_HEAD_BYTES - message->head_used;

	if (end)
		length = (u32)(end - bytes) + 1;
	if (length > room) {
		length = room;
		end = NULL;
	}
	memcpy(message->head + message->head_used, bytes, length);
	message->head_used += length;
	if (end || message->head_used == KERNORT_HEAD_BYTES)
		end_line(feed);
	return length;
}

void kernort_lines_feed(struct kernort_document *document, u32 side, const u8 *bytes, u32 length,
			const struct kernort_reader *reader)
{
	struct kernort_line_feed feed = kernort_line_feed_of(document, side, reader);
	u32 taken;

	for (; length > 0 && feed.message->phase != KERNORT_LINES_OVER; bytes += taken, length -= taken) {
		taken = feed.message->phase == KERNORT_LINES_CHUNK ? kernort_smtp_chunk(&feed, bytes, length) :
								      add_to_line(&feed, bytes, length);
	}
}

void kernort_lines_finish(struct kernort_document *document, u32 side, const struct kernort_reader *reader)
{
	struct kernort_line_feed feed = kernort_line_feed_of(document, side, reader);

	if (document->app == KERNORT_APP_FTP_DATA)
		kernort_file_end(&feed);
	if (document->app != KERNORT_APP_SMTP || side != KERNORT_CLIENT ||
	    (feed.message->phase != KERNORT_LINES_MAIL && feed.message->phase != KERNORT_LINES_CHUNK))
		return;
	if (feed.message->head_used > 0)
		end_line(&feed);
	kernort_mime_end(&feed);
}
