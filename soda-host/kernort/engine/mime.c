// SPDX-License-Identifier: GPL-2.0-only
/*
 * DOC: The files in a mail (RFC 2045, 2046, 5322)
 *
 * States: HEADERS -> (BODY | BETWEEN) -> HEADERS of the next part ... A part is a file; one made of parts has a boundary,
 * of which as many are kept as parts are nested (KERNORT_MIME_DEPTH); what is nested deeper is one file as it stands.
 * Each line is decoded as it comes. As mail programs do, what cannot be decoded is passed over.
 * Attacker: writes the mail; time is linear in its lines and the boundaries that are kept.
 */
#include "http.h"
#include "lines.h"

enum { HEADERS, BODY, BETWEEN };
enum { OTHER_HEADER, TYPE_HEADER, ENCODING_HEADER };
enum { AS_IT_IS, BASE64, QUOTED_PRINTABLE };

static void begin_part(struct kernort_mime *mime)
{
	mime->phase = HEADERS;
	mime->header = OTHER_HEADER;
	mime->encoding = AS_IT_IS;
	mime->is_multipart = mime->is_mail = false;
	mime->held = 0;
	mime->bits = 0;
	if (mime->depth < KERNORT_MIME_DEPTH)
		mime->boundaries[mime->depth].length = 0;
}

void kernort_mime_begin(const struct kernort_line_feed *feed)
{
	feed->document->mime.depth = 0;
	begin_part(&feed->document->mime);
	kernort_file_begin(feed);
}

void kernort_mime_end(const struct kernort_line_feed *feed)
{
	kernort_file_end(feed);
}

/* `boundary=x` or `boundary="x y"`, kept for when the headers end. */
static void note_boundary(struct kernort_mime *mime, struct kernort_slice line)
{
	struct kernort_boundary *boundary = &mime->boundaries[mime->depth];
	u32 i;

	while (line.length > 0 && !kernort_slice_begins(line, "boundary="))
		line = kernort_slice_after(line, 1);
	if (line.length == 0)
		return;
	line = kernort_slice_after(line, 9);
	if (line.length > 0 && line.bytes[0] == '"') {
		line = kernort_slice_after(line, 1);
		for (i = 0; i < line.length && line.bytes[i] != '"' && line.bytes[i] != '\r' && line.bytes[i] != '\n'; i++)
			;
	} else {
		for (i = 0; i < line.length && line.bytes[i] > ' ' && line.bytes[i] != ';'; i++)
			;
	}
	boundary->length = (u8)(i < KERNORT_BOUNDARY_BYTES ? i : KERNORT_BOUNDARY_BYTES);
	memcpy(boundary->bytes, line.bytes, boundary->length);
}

static void header_line(struct kernort_mime *mime, struct kernort_slice line)
{
	if (line.bytes[0] != ' ' && line.bytes[0] != '\t')
		mime->header = kernort_slice_begins(line, "content-type:")		? TYPE_HEADER :
			       kernort_slice_begins(line, "content-transfer-encoding:") ? ENCODING_HEADER :
											  OTHER_HEADER;
	if (mime->header == ENCODING_HEADER && kernort_slice_has(line, "base64"))
		mime->encoding = BASE64;
	if (mime->header == ENCODING_HEADER && kernort_slice_has(line, "quoted-printable"))
		mime->encoding = QUOTED_PRINTABLE;
	if (mime->header != TYPE_HEADER)
		return;
	mime->is_multipart |= kernort_slice_has(line, "multipart/");
	mime->is_mail |= kernort_slice_has(line, "message/rfc822");
	if (mime->depth < KERNORT_MIME_DEPTH)
		note_boundary(mime, line);
}

static void end_headers(struct kernort_mime *mime)
{
	if (mime->is_multipart && mime->depth < KERNORT_MIME_DEPTH && mime->boundaries[mime->depth].length > 0) {
		mime->depth++;
		mime->phase = BETWEEN;
	} else if (mime->is_mail) {
		begin_part(mime);
	} else {
		mime->phase = BODY;
	}
}

/* Which boundary the line is, the innermost first; or the depth, if it is none. */
static u32 boundary_at(const struct kernort_mime *mime, struct kernort_slice line)
{
	u32 level;

	if (line.length < 2 || line.bytes[0] != '-' || line.bytes[1] != '-')
		return mime->depth;
	for (level = mime->depth; level-- > 0;)
		if (line.length - 2 >= mime->boundaries[level].length &&
		    !memcmp(line.bytes + 2, mime->boundaries[level].bytes, mime->boundaries[level].length))
			return level;
	return mime->depth;
}

static void take_boundary(const struct kernort_line_feed *feed, struct kernort_slice line, u32 level)
{
	struct kernort_mime *mime = &feed->document->mime;
	struct kernort_slice rest = kernort_slice_after(line, 2u + mime->boundaries[level].length);

	kernort_file_end(feed);
	mime->depth = (u8)(kernort_slice_begins(rest, "--") ? level : level + 1);
	if (mime->depth == level)
		mime->phase = BETWEEN;
	else
		begin_part(mime);
}

static void add_base64(const struct kernort_line_feed *feed, struct kernort_slice line)
{
	struct kernort_mime *mime = &feed->document->mime;
	u32 i;

	for (i = 0; i < line.length; i++) {
		int value = kernort_base64_value(line.bytes[i]);
		u8 byte;

		if (line.bytes[i] == '=')
			mime->bits = 0;
		if (value < 0)
			continue;
		mime->held = mime->held << 6 | (u32)value;
		mime->bits += 6;
		if (mime->bits < 8)
			continue;
		mime->bits -= 8;
		byte = (u8)(mime->held >> mime->bits);
		kernort_file_add(feed, &byte, 1);
	}
}

static int hex_value(u8 byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	byte |= 0x20;
	return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

static void add_quoted(const struct kernort_line_feed *feed, struct kernort_slice line)
{
	u32 i;

	for (i = 0; i < line.length; i++) {
		u8 byte = line.bytes[i];

		/* At the end of a line: it goes on. */
		if (byte == '=' && (i + 1 == line.length || line.bytes[i + 1] == '\r' || line.bytes[i + 1] == '\n'))
			return;
		if (byte == '=' && i + 2 < line.length && hex_value(line.bytes[i + 1]) >= 0 &&
		    hex_value(line.bytes[i + 2]) >= 0) {
			byte = (u8)(hex_value(line.bytes[i + 1]) << 4 | hex_value(line.bytes[i + 2]));
			i += 2;
		}
		kernort_file_add(feed, &byte, 1);
	}
}

static void body_line(const struct kernort_line_feed *feed, struct kernort_slice line)
{
	switch (feed->document->mime.encoding) {
	case BASE64:
		add_base64(feed, line);
		break;
	case QUOTED_PRINTABLE:
		add_quoted(feed, line);
		break;
	default:
		kernort_file_add(feed, line.bytes, line.length);
	}
}

void kernort_mime_line(const struct kernort_line_feed *feed, struct kernort_slice line)
{
	struct kernort_mime *mime = &feed->document->mime;
	u32 level = boundary_at(mime, line);

	if (line.length == 0)
		return;
	if (level < mime->depth)
		take_boundary(feed, line, level);
	else if (mime->phase == BODY)
		body_line(feed, line);
	else if (mime->phase == HEADERS && (kernort_slice_is(line, "\r\n") || kernort_slice_is(line, "\n")))
		end_headers(mime);
	else if (mime->phase == HEADERS)
		header_line(mime, line);
}
