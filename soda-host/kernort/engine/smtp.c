// SPDX-License-Identifier: GPL-2.0-only
/*
 * DOC: SMTP (RFC 5321)
 *
 * The client's commands, whose arguments are buffers, and its mails (mime.c). What a client sends after DATA is mail only
 * when the server says 354, and nothing more is read when it agrees to STARTTLS: the server decides, as it does for the
 * client. BDAT (RFC 3030) counts its bytes and does not wait.
 */
#include "http.h"
#include "lines.h"

enum { AWAITS_NOTHING, AWAITS_DATA, AWAITS_TLS };

static void begin_mail(const struct kernort_line_feed *feed, u8 phase)
{
	feed->message->phase = phase;
	if (feed->document->is_in_mail)
		return;
	feed->document->is_in_mail = true;
	kernort_mime_begin(feed);
}

static void end_mail(const struct kernort_line_feed *feed)
{
	feed->document->is_in_mail = false;
	feed->message->phase = KERNORT_LINES_COMMANDS;
	kernort_mime_end(feed);
}

/* The text between angle brackets, or the first word. */
static struct kernort_slice path_in(struct kernort_slice text)
{
	const u8 *begin = memchr(text.bytes, '<', text.length), *end;

	if (!begin)
		return kernort_http_word(&text);
	text = kernort_slice_after(text, (u32)(begin - text.bytes) + 1);
	end = memchr(text.bytes, '>', text.length);
	if (end)
		text.length = (u32)(end - text.bytes);
	return text;
}

static void look(const struct kernort_line_feed *feed, u8 buffer, struct kernort_slice value)
{
	struct kernort_views *views = &feed->document->scratch->views;

	kernort_views_clear(views);
	view_set(views, buffer, value.bytes, value.length);
	feed->message->has_woken = false;
	feed->message->fired_count = 0;
	feed->reader->look(feed->reader->context, feed->document, feed->side);
}

static void chunk_command(const struct kernort_line_feed *feed, struct kernort_slice arguments)
{
	struct kernort_slice count = kernort_http_word(&arguments);
	u64 length = 0;
	u32 i;

	for (i = 0; i < count.length && i < 12 && count.bytes[i] >= '0' && count.bytes[i] <= '9'; i++)
		length = length * 10 + (count.bytes[i] - '0');
	feed->document->is_last_chunk = kernort_slice_begins(kernort_http_word(&arguments), "last");
	begin_mail(feed, KERNORT_LINES_CHUNK);
	feed->message->body_left = length;
	if (length == 0)
		kernort_smtp_chunk(feed, (const u8 *)"", 0);
}

static void command(const struct kernort_line_feed *feed, struct kernort_slice line)
{
	struct kernort_slice rest = line, verb = kernort_http_word(&rest);

	feed->document->awaits = AWAITS_NOTHING;
	if (kernort_slice_is(verb, "helo") || kernort_slice_is(verb, "ehlo"))
		look(feed, KERNORT_BUFFER_SMTP_HELO, kernort_http_word(&rest));
	else if (kernort_slice_begins(line, "mail from:"))
		look(feed, KERNORT_BUFFER_SMTP_MAIL_FROM, path_in(kernort_slice_after(line, 10)));
	else if (kernort_slice_begins(line, "rcpt to:"))
		look(feed, KERNORT_BUFFER_SMTP_RCPT_TO, path_in(kernort_slice_after(line, 8)));
	else if (kernort_slice_is(verb, "data"))
		feed->document->awaits = AWAITS_DATA;
	else if (kernort_slice_is(verb, "starttls"))
		feed->document->awaits = AWAITS_TLS;
	else if (kernort_slice_is(verb, "bdat"))
		chunk_command(feed, rest);
	else if (kernort_slice_is(verb, "rset") && feed->document->is_in_mail)
		end_mail(feed);
}

/* Commands before these may be answered first (RFC 2920); whatever a client sends after them, without this, is a command. */
static void answer(const struct kernort_line_feed *feed, struct kernort_slice line)
{
	struct kernort_line_feed client = kernort_line_feed_of(feed->document, KERNORT_CLIENT, feed->reader);
	u8 *awaits = &feed->document->awaits;

	if (*awaits == AWAITS_DATA && kernort_slice_begins(line, "354")) {
		*awaits = AWAITS_NOTHING;
		begin_mail(&client, KERNORT_LINES_MAIL);
	}
	if (*awaits == AWAITS_TLS && kernort_slice_begins(line, "220"))
		feed->message->phase = client.message->phase = KERNORT_LINES_OVER;
}

/* A line that begins with a dot has one more than the mail; one with nothing else ends it (section 4.5.2). */
static void mail_line(const struct kernort_line_feed *feed, struct kernort_slice line)
{
	if (line.length == 0 || line.bytes[0] != '.') {
		kernort_mime_line(feed, line);
		return;
	}
	line = kernort_slice_after(line, 1);
	if (kernort_slice_is(line, "\r\n") || kernort_slice_is(line, "\n"))
		end_mail(feed);
	else
		kernort_mime_line(feed, line);
}

void kernort_smtp_line(const struct kernort_line_feed *feed, struct kernort_slice line)
{
	if (feed->side == KERNORT_SERVER)
		answer(feed, line);
	else if (feed->message->phase == KERNORT_LINES_MAIL)
		mail_line(feed, line);
	else if (feed->message->phase == KERNORT_LINES_CHUNK)
		kernort_mime_line(feed, line);
	else
		command(feed, line);
}

u32 kernort_smtp_chunk(const struct kernort_line_feed *feed, const u8 *bytes, u32 length)
{
	struct kernort_message *message = feed->message;
	u32 taken = length < message->body_left ? length : (u32)message->body_left, at, end;

	for (at = 0; at < taken; at = end) {
		const u8 *feed_at = memchr(bytes + at, '\n', taken - at);

		end = feed_at ? (u32)(feed_at - bytes) + 1 : taken;
		kernort_mime_line(feed, (struct kernort_slice){ .bytes = bytes + at, .length = end - at });
	}
	message->body_left -= taken;
	if (message->body_left > 0)
		return taken;
	if (feed->document->is_last_chunk)
		end_mail(feed);
	else
		message->phase = KERNORT_LINES_COMMANDS;
	return taken;
}
