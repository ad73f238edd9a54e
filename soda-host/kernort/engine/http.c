// SPDX-License-Identifier: GPL-2.0-only
/*
 * DOC: HTTP/1 messages out of a byte stream
 *
 * Goal: of each message the start line, the headers and the decoded body, as a lenient client or server reads them
 * (RFC 9112, and what browsers forgive). One state machine per direction, fed with bytes as they come:
 * HEAD -> (BODY | CHUNK_SIZE <-> CHUNK_DATA <-> CHUNK_END, TRAILER | TO_END) -> HEAD.
 * A message is looked at when its head is whole and again when its body is whole, or its buffer full.
 * Memory: fixed per conversation; a longer head is cut, a longer body is looked at in pieces.
 * Attacker: writes both sides; each byte is looked at a bounded number of times.
 */
#include "document.h"
#include "http.h"

enum phase { HEAD, BODY, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER, TO_END, TUNNEL };

struct feed {
	struct kernort_document *document;
	struct kernort_message *message;
	const struct kernort_reader *reader;
	u32 side;
};

bool kernort_http_begins(const u8 *bytes, u32 length, u32 side)
{
	static const char *const methods[] = { "GET ",	   "POST ",   "HEAD ",	"PUT ",	  "OPTIONS ", "CONNECT ",
					       "DELETE ",  "TRACE ",  "PATCH ", "PROPFIND ", "SEARCH ",	 "LOCK ",
					       "UNLOCK ",  "MKCOL ",  "COPY ",	"MOVE ",     "PROPPATCH " };
	u32 i;

	if (length >= 5 && !memcmp(bytes, "HTTP/", 5))
		return side == KERNORT_SERVER;
	for (i = 0; side == KERNORT_CLIENT && i < sizeof(methods) / sizeof(methods[0]); i++) {
		u32 method = (u32)strlen(methods[i]);

		if (length >= method && !memcmp(bytes, methods[i], method))
			return true;
	}
	return false;
}

static void look(const struct feed *feed, struct kernort_slice body)
{
	kernort_http_views(feed->document, feed->side, body);
	feed->reader->look(feed->reader->context, feed->document, feed->side);
}

static void begin_message(struct kernort_message *message)
{
	message->phase = HEAD;
	message->head_used = message->head_lines = 0;
	message->body_used = 0;
	message->body_left = 0;
	message->coding_count = 0;
	message->line = 0;
	message->is_bare_feed = message->skips_blank = false;
	message->is_fired_full = false;
	message->has_woken = false;
	message->fired_count = 0;
}

/* Undo the codings, the last one first. What does not decode stays as it is: a client may show it so. */
static struct kernort_slice decoded_body(const struct feed *feed)
{
	const struct kernort_message *message = feed->message;
	struct kernort_slice body = { .bytes = message->body, .length = message->body_used };
	u32 at;

	for (at = message->coding_count; at > 0 && kernort_work_begins(feed->reader->work); at--) {
		struct kernort_scratch *scratch = feed->document->scratch;
		u8 *to = scratch->decoded[at - 1];
		int used = kernort_inflate(&scratch->inflate, message->codings[at - 1], body.bytes, body.length, to,
					   KERNORT_BODY_BYTES);

		kernort_work_spend(feed->reader->work, body.length + (u32)(used > 0 ? used : 0));
		if (used > 0)
			body = (struct kernort_slice){ .bytes = to, .length = (u32)used };
	}
	return body;
}

static void end_message(const struct feed *feed)
{
	/* A coded body that was longer than its buffer has been looked at. */
	if (feed->message->body_used > 0 && !feed->message->is_fired_full)
		look(feed, decoded_body(feed));
	begin_message(feed->message);
}

static void add_body(const struct feed *feed, const u8 *bytes, u32 length)
{
	struct kernort_message *message = feed->message;

	/* What follows a full buffer of a coded body cannot be decoded alone. */
	while (length > 0 && !message->is_fired_full) {
		u32 room = KERNORT_BODY_BYTES - message->body_used, piece = length < room ? length : room;

		memcpy(message->body + message->body_used, bytes, piece);
		message->body_used += piece;
		bytes += piece;
		length -= piece;
		if (message->body_used < KERNORT_BODY_BYTES)
			return;
		look(feed, decoded_body(feed));
		message->is_fired_full = message->coding_count > 0;
		memmove(message->body, message->body + KERNORT_BODY_BYTES / 2, KERNORT_BODY_BYTES / 2);
		message->body_used = KERNORT_BODY_BYTES / 2;
	}
}

static void choose_body(const struct feed *feed, const struct kernort_http_head *head)
{
	struct kernort_message *message = feed->message;

	message->coding_count = head->coding_count;
	memcpy(message->codings, head->codings, sizeof(message->codings));
	if (head->is_chunked) {
		message->phase = CHUNK_SIZE;
		message->body_left = 0;
		message->head_lines = 0;
	} else if (head->has_length) {
		message->body_left = head->length;
		message->phase = BODY;
		if (head->length == 0)
			end_message(feed);
	} else if (feed->side == KERNORT_SERVER) {
		message->phase = TO_END;
	} else {
		end_message(feed);
	}
}

static u8 take_method(struct kernort_document *document)
{
	u8 method;

	if (document->method_count == 0)
		return KERNORT_HTTP_OTHER;
	method = document->methods[document->method_first];
	document->method_first = (u8)((document->method_first + 1) % KERNORT_METHODS);
	document->method_count--;
	return method;
}

static void end_request_head(const struct feed *feed, const struct kernort_http_head *head)
{
	struct kernort_document *document = feed->document;

	if (document->method_count < KERNORT_METHODS)
		document->methods[(document->method_first + document->method_count++) % KERNORT_METHODS] = head->method;
	choose_body(feed, head);
}

static void end_response_head(const struct feed *feed, const struct kernort_http_head *head)
{
	u8 method;

	bool has_framing = head->is_chunked || head->has_length;

	if (head->status >= 100 && head->status < 200 && head->status != 101 && !has_framing) {
		begin_message(feed->message);
		return;
	}
	method = take_method(feed->document);
	if ((head->status == 101 && !has_framing) || (method == KERNORT_HTTP_CONNECT && head->status / 100 == 2)) {
		feed->document->messages[0].phase = feed->document->messages[1].phase = TUNNEL;
		return;
	}
	/* Clients take the content that must not be there if its length is given. */
	if (method == KERNORT_HTTP_HEAD || ((head->status == 204 || head->status == 304) && !has_framing))
		end_message(feed);
	else
		choose_body(feed, head);
}

static void end_head(const struct feed *feed)
{
	struct kernort_http_head head;

	kernort_http_parse_head(feed->message, feed->side, &head);
	look(feed, (struct kernort_slice){ 0 });
	if (feed->side == KERNORT_CLIENT)
		end_request_head(feed, &head);
	else
		end_response_head(feed, &head);
}

/* A response that does not begin with a status line is all content. Returns whether it was so. */
static bool is_bare_response(const struct feed *feed)
{
	struct kernort_message *message = feed->message;
	struct kernort_slice head = { .bytes = message->head, .length = message->head_used };

	if (feed->side != KERNORT_SERVER || message->head_lines > 0 || message->head_used != 4 ||
	    message->head[0] == ' ' || kernort_slice_is(head, "http"))
		return false;
	message->phase = TO_END;
	memcpy(message->body, message->head, 4);
	message->body_used = 4;
	message->head_used = 0;
	take_method(feed->document);
	return true;
}

/* What the line that is being read has had so far. */
enum { LINE_EMPTY, LINE_RETURN, LINE_BLANK, LINE_TEXT };

static u8 line_after(u8 line, u8 byte)
{
	bool is_blank = byte == ' ' || byte == '\t';

	if (byte == '\r')
		return line == LINE_EMPTY ? LINE_RETURN : line == LINE_RETURN ? LINE_BLANK : LINE_TEXT;
	return is_blank && (line == LINE_EMPTY || line == LINE_BLANK) ? LINE_BLANK : LINE_TEXT;
}

/*
 * Does a line with this in it end the head? An empty one does. One of blanks or two carriage returns does when the line
 * before ended with a line feed alone, as clients have it; an empty line after that is not content yet.
 */
static bool line_ends_head(struct kernort_message *message)
{
	if (message->line == LINE_BLANK && message->is_bare_feed) {
		message->skips_blank = true;
		return true;
	}
	return message->line == LINE_EMPTY || message->line == LINE_RETURN;
}

static void end_line(const struct feed *feed)
{
	struct kernort_message *message = feed->message;
	bool ends_head = line_ends_head(message);

	message->is_bare_feed = message->head_used < 2 || message->head[message->head_used - 2] != '\r';
	message->line = LINE_EMPTY;
	if (message->head_lines == 0 && (ends_head || (feed->side == KERNORT_SERVER && message->head[0] == ' '))) {
		message->head_used = 0;
		return;
	}
	if (ends_head) {
		end_head(feed);
		return;
	}
	message->head_lines++;
	if (message->head_lines == 1 && kernort_http_is_simple(message, feed->side))
		end_head(feed);
}

static void head_byte(const struct feed *feed, u8 byte)
{
	struct kernort_message *message = feed->message;

	if (message->head_used == 0 && byte == '\r')
		return;
	if (message->head_used < KERNORT_HEAD_BYTES)
		message->head[message->head_used++] = byte;
	if (byte == '\n') {
		end_line(feed);
		return;
	}
	message->line = line_after(message->line, byte);
	is_bare_response(feed);
}

static int hex_digit(u8 byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	byte |= 0x20;
	return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* head_lines: 0 before the size, 1 within it, 2 in what follows it. */
static void chunk_size_byte(const struct feed *feed, u8 byte)
{
	struct kernort_message *message = feed->message;

	if (byte == '\n') {
		bool has_size = message->head_lines > 0;

		message->head_lines = 0;
		if (!has_size)
			return;
		message->phase = message->body_left ? CHUNK_DATA : TRAILER;
		return;
	}
	if (message->head_lines == 0 && hex_digit(byte) >= 0)
		message->head_lines = 1;
	if (message->head_lines == 0 && byte > ' ') {
		/* Not chunked after all: clients take it for content that ends with the connection. */
		message->phase = TO_END;
		add_body(feed, &byte, 1);
		return;
	}
	if (message->head_lines == 1) {
		if (hex_digit(byte) < 0)
			message->head_lines = 2;
		else if (message->body_left < 1ULL << 48)
			message->body_left = message->body_left << 4 | (u32)hex_digit(byte);
	}
}

/* head_lines: bytes of the present line. */
static void trailer_byte(const struct feed *feed, u8 byte)
{
	if (byte == '\n' && feed->message->head_lines == 0) {
		end_message(feed);
		return;
	}
	if (byte == '\n')
		feed->message->head_lines = 0;
	else if (byte != '\r')
		feed->message->head_lines = 1;
}

static void line_byte(const struct feed *feed, u8 byte)
{
	switch (feed->message->phase) {
	case HEAD:
		head_byte(feed, byte);
		break;
	case CHUNK_SIZE:
		chunk_size_byte(feed, byte);
		break;
	case CHUNK_END:
		if (byte == '\n')
			feed->message->phase = CHUNK_SIZE;
		break;
	default:
		trailer_byte(feed, byte);
	}
}

/* Take as many body bytes as this phase wants. Returns how many. */
static u32 body_bytes(const struct feed *feed, const u8 *bytes, u32 length)
{
	struct kernort_message *message = feed->message;

	if (message->phase != TO_END && length > message->body_left)
		length = (u32)message->body_left;
	add_body(feed, bytes, length);
	if (message->phase == TO_END)
		return length;
	message->body_left -= length;
	if (message->body_left > 0)
		return length;
	if (message->phase == BODY)
		end_message(feed);
	else
		message->phase = CHUNK_END;
	return length;
}

void kernort_http_feed(struct kernort_document *document, u32 side, const u8 *bytes, u32 length,
		       const struct kernort_reader *reader)
{
	struct feed feed = { .document = document,
			     .message = &document->messages[side],
			     .reader = reader,
			     .side = side };
	u32 at = 0;

	while (at < length) {
		if (feed.message->skips_blank && feed.message->phase != HEAD) {
			feed.message->skips_blank = bytes[at] == '\r';
			if (bytes[at] == '\r' || bytes[at] == '\n') {
				at++;
				continue;
			}
		}
		switch (feed.message->phase) {
		case TUNNEL:
			return;
		case BODY:
		case CHUNK_DATA:
		case TO_END:
			at += body_bytes(&feed, bytes + at, length - at);
			break;
		default:
			line_byte(&feed, bytes[at++]);
		}
	}
}

void kernort_http_finish(struct kernort_document *document, u32 side, const struct kernort_reader *reader)
{
	struct feed feed = { .document = document,
			     .message = &document->messages[side],
			     .reader = reader,
			     .side = side };

	if (feed.message->phase == TUNNEL)
		return;
	if (feed.message->phase == HEAD && feed.message->head_lines > 0)
		end_head(&feed);
	if (feed.message->phase != HEAD && feed.message->phase != TUNNEL)
		end_message(&feed);
}
