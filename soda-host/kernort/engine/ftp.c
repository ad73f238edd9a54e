// SPDX-License-Identifier: GPL-2.0-only
/*
 * DOC: FTP (RFC 959, RFC 2428)
 *
 * The client's commands are buffers. Commands and answers also say where the next file will come through: that connection
 * is then followed as one file (file.c). Only the port is believed; the address is that of the end which said it.
 */
#include "http.h"
#include "lines.h"

enum { AWAITS_NOTHING, AWAITS_TLS };

static bool is_digit(u8 byte)
{
	return byte >= '0' && byte <= '9';
}

/* The next number of @text, which it is then past; 0 when there is none. */
static u32 next_number(struct kernort_slice *text)
{
	u32 value = 0;

	while (text->length > 0 && !is_digit(text->bytes[0]))
		*text = kernort_slice_after(*text, 1);
	for (; text->length > 0 && is_digit(text->bytes[0]); *text = kernort_slice_after(*text, 1))
		value = value < 100000 ? value * 10 + (text->bytes[0] - '0') : value;
	return value;
}

static void expect(const struct kernort_line_feed *feed, u32 port)
{
	if (port > 0 && port < 65536)
		feed->reader->expect(feed->reader->context, feed->side, (u16)port);
}

/* h1,h2,h3,h4,p1,p2 */
static void expect_address(const struct kernort_line_feed *feed, struct kernort_slice text)
{
	u32 i, high;

	for (i = 0; i < 4; i++)
		next_number(&text);
	high = next_number(&text);
	expect(feed, high << 8 | (next_number(&text) & 0xff));
}

/* |protocol|address|port|, with any byte for the bar: the port is the last field. */
static void expect_extended(const struct kernort_line_feed *feed, struct kernort_slice text)
{
	u32 bars = 0, i;

	for (i = 1; text.length > 0 && i < text.length && bars < 2; i++)
		bars += text.bytes[i] == text.bytes[0];
	text = kernort_slice_after(text, i < text.length ? i : text.length);
	expect(feed, next_number(&text));
}

static void command(const struct kernort_line_feed *feed, struct kernort_slice line)
{
	struct kernort_views *views = &feed->document->scratch->views;
	struct kernort_slice rest = line, verb = kernort_http_word(&rest);

	while (rest.length > 0 && rest.bytes[0] == ' ')
		rest = kernort_slice_after(rest, 1);
	kernort_views_clear(views);
	view_set(views, KERNORT_BUFFER_FTP_COMMAND, verb.bytes, verb.length);
	view_set(views, KERNORT_BUFFER_FTP_COMMAND_DATA, rest.bytes, rest.length);
	feed->message->has_woken = false;
	feed->message->fired_count = 0;
	feed->reader->look(feed->reader->context, feed->document, feed->side);
	if (kernort_slice_is(verb, "port"))
		expect_address(feed, rest);
	else if (kernort_slice_is(verb, "eprt"))
		expect_extended(feed, rest);
	feed->document->awaits = kernort_slice_is(verb, "auth") ? AWAITS_TLS : AWAITS_NOTHING;
}

static void answer(const struct kernort_line_feed *feed, struct kernort_slice line)
{
	const u8 *bracket = memchr(line.bytes, '(', line.length);
	struct kernort_slice inside =
		kernort_slice_after(line, bracket ? (u32)(bracket - line.bytes) + 1 : line.length < 4 ? line.length : 4);

	if (kernort_slice_begins(line, "227"))
		expect_address(feed, inside);
	else if (kernort_slice_begins(line, "229"))
		expect_extended(feed, inside);
	else if (kernort_slice_begins(line, "234") && feed->document->awaits == AWAITS_TLS)
		feed->document->messages[KERNORT_CLIENT].phase = feed->message->phase = KERNORT_LINES_OVER;
}

void kernort_ftp_line(const struct kernort_line_feed *feed, struct kernort_slice line)
{
	if (feed->side == KERNORT_CLIENT)
		command(feed, line);
	else
		answer(feed, line);
}
