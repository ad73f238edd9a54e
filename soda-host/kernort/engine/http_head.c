// SPDX-License-Identifier: GPL-2.0-only
/* Lines, words and headers of an HTTP head, and what they mean for the body. */
#include "http.h"
#include "inflate.h"

static u8 lower(u8 byte)
{
	return byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
}

static bool is_blank(u8 byte)
{
	return byte == ' ' || byte == '\t';
}

/* Does the slice begin with the text? Zero bytes in it are passed over, as browsers do. Returns the end, or 0. */
static u32 prefix_end(struct kernort_slice slice, const char *lower_case)
{
	u32 i;

	for (i = 0; i < slice.length && *lower_case; i++) {
		if (slice.bytes[i] == 0)
			continue;
		if (lower(slice.bytes[i]) != (u8)*lower_case++)
			return 0;
	}
	if (*lower_case)
		return 0;
	while (i < slice.length && slice.bytes[i] == 0)
		i++;
	return i;
}

bool kernort_slice_is(struct kernort_slice slice, const char *lower_case)
{
	return slice.length > 0 && prefix_end(slice, lower_case) == slice.length;
}

bool kernort_slice_has(struct kernort_slice slice, const char *lower_case)
{
	for (; slice.length > 0; slice.bytes++, slice.length--)
		if (prefix_end(slice, lower_case))
			return true;
	return false;
}

bool kernort_slice_begins(struct kernort_slice slice, const char *lower_case)
{
	u32 length = (u32)strlen(lower_case);

	return slice.length >= length &&
	       kernort_slice_is((struct kernort_slice){ .bytes = slice.bytes, .length = length }, lower_case);
}

struct kernort_slice kernort_slice_after(struct kernort_slice slice, u32 count)
{
	return (struct kernort_slice){ .bytes = slice.bytes + count, .length = slice.length - count };
}

/* A line that begins so goes on with the one before. */
static bool is_fold(u8 byte)
{
	return is_blank(byte) || byte == 0;
}

/* A line feed ends a line; in a response a carriage return with neither beside it does too. */
static bool ends_line(const u8 *at, u32 left, u32 side)
{
	if (at[0] == '\n')
		return true;
	return side == KERNORT_SERVER && at[0] == '\r' && left > 1 && at[1] != '\n' && at[1] != '\r';
}

bool kernort_http_next_line(struct kernort_cursor *rest, u32 side, bool joins, struct kernort_slice *line)
{
	const u8 *start = rest->at;
	u32 length = 0;

	if (rest->left == 0)
		return false;
	while (length < rest->left && (!ends_line(start + length, rest->left - length, side) ||
				       (joins && length + 1 < rest->left && is_fold(start[length + 1]))))
		length++;
	cursor_take(rest, length < rest->left ? length + 1 : length);
	while (length > 0 && start[length - 1] == '\r')
		length--;
	*line = (struct kernort_slice){ .bytes = start, .length = length };
	return true;
}

static bool is_trimmed(u8 byte)
{
	return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static struct kernort_slice trim(struct kernort_slice slice)
{
	while (slice.length > 0 && is_trimmed(slice.bytes[0])) {
		slice.bytes++;
		slice.length--;
	}
	while (slice.length > 0 && is_trimmed(slice.bytes[slice.length - 1]))
		slice.length--;
	return slice;
}

bool kernort_http_next_header(struct kernort_cursor *rest, u32 side, struct kernort_http_header *header)
{
	struct kernort_slice line;
	u32 colon = 0;

	do {
		if (!kernort_http_next_line(rest, side, true, &line))
			return false;
	} while (line.length == 0);
	while (colon < line.length && line.bytes[colon] != ':')
		colon++;
	if (colon == line.length) { /* no colon: libhtp and browsers take it for a header without a name */
		header->name = (struct kernort_slice){ .bytes = line.bytes, .length = 0 };
		header->value = trim(line);
		return true;
	}
	header->name = trim((struct kernort_slice){ .bytes = line.bytes, .length = colon });
	header->value = trim((struct kernort_slice){ .bytes = line.bytes + colon + 1, .length = line.length - colon - 1 });
	return true;
}

struct kernort_slice kernort_http_word(struct kernort_slice *line)
{
	struct kernort_slice word;

	while (line->length > 0 && is_blank(line->bytes[0])) {
		line->bytes++;
		line->length--;
	}
	word = *line;
	while (line->length > 0 && !is_blank(line->bytes[0])) {
		line->bytes++;
		line->length--;
	}
	word.length -= line->length;
	return word;
}

bool kernort_http_is_simple(const struct kernort_message *message, u32 side)
{
	struct kernort_cursor rest = cursor_over(message->head, message->head_used);
	struct kernort_slice line;

	if (side != KERNORT_CLIENT || !kernort_http_next_line(&rest, side, false, &line))
		return false;
	kernort_http_word(&line);
	kernort_http_word(&line);
	return kernort_http_word(&line).length == 0;
}

static bool parse_length(struct kernort_slice value, u64 *length)
{
	u32 i, digits = 0;

	*length = 0;
	for (i = 0; i < value.length; i++) {
		if (value.bytes[i] == 0)
			continue;
		if (value.bytes[i] < '0' || value.bytes[i] > '9')
			return false;
		if (*length > 1ULL << 48)
			return false;
		*length = *length * 10 + (value.bytes[i] - '0');
		digits++;
	}
	return digits > 0;
}

/* The names in a Content-Encoding header, in order; more than KERNORT_CODINGS are too many for any client. */
static void note_codings(struct kernort_http_head *head, struct kernort_slice value)
{
	while (value.length > 0 && head->coding_count < KERNORT_CODINGS) {
		struct kernort_slice one = value;
		u32 length = 0;

		while (length < value.length && value.bytes[length] != ',')
			length++;
		one.length = length;
		one = trim(one);
		if (kernort_slice_has(one, "gzip"))
			head->codings[head->coding_count++] = KERNORT_CODING_GZIP;
		else if (kernort_slice_has(one, "deflate"))
			head->codings[head->coding_count++] = KERNORT_CODING_DEFLATE;
		length += length < value.length;
		value.bytes += length;
		value.length -= length;
	}
}

static void note_header(struct kernort_http_head *head, const struct kernort_http_header *header)
{
	if (kernort_slice_is(header->name, "content-length")) {
		if (!head->has_length)
			head->has_length = parse_length(header->value, &head->length);
	} else if (kernort_slice_is(header->name, "transfer-encoding")) {
		head->is_chunked |= kernort_slice_has(header->value, "chunked");
	} else if (kernort_slice_is(header->name, "content-encoding")) {
		note_codings(head, header->value);
	}
}

void kernort_http_parse_head(const struct kernort_message *message, u32 side, struct kernort_http_head *head)
{
	struct kernort_cursor rest = cursor_over(message->head, message->head_used);
	struct kernort_http_header header;
	struct kernort_slice line, word;
	u32 i;

	memset(head, 0, sizeof(*head));
	if (!kernort_http_next_line(&rest, side, false, &line))
		return;
	word = kernort_http_word(&line);
	if (side == KERNORT_SERVER) {
		word = kernort_http_word(&line);
		for (i = 0; i < word.length && i < 4 && word.bytes[i] >= '0' && word.bytes[i] <= '9'; i++)
			head->status = head->status * 10 + (word.bytes[i] - '0');
		if (head->status > 999)
			head->status = 0;
	} else if (kernort_slice_is(word, "head")) {
		head->method = KERNORT_HTTP_HEAD;
	} else if (kernort_slice_is(word, "connect")) {
		head->method = KERNORT_HTTP_CONNECT;
	}
	while (kernort_http_next_header(&rest, side, &header))
		note_header(head, &header);
}
