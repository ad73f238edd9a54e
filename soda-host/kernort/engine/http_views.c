// SPDX-License-Identifier: GPL-2.0-only
/* An HTTP message as the buffers that rules name. Slices of the head where they can be, derived copies where not. */
#include "http.h"

struct named_header {
	const char *name;
	u8 buffer;
};

static const struct named_header named_headers[] = {
	{ "user-agent", KERNORT_BUFFER_HTTP_USER_AGENT },
	{ "referer", KERNORT_BUFFER_HTTP_REFERER },
	{ "accept", KERNORT_BUFFER_HTTP_ACCEPT },
	{ "accept-encoding", KERNORT_BUFFER_HTTP_ACCEPT_ENCODING },
	{ "accept-language", KERNORT_BUFFER_HTTP_ACCEPT_LANGUAGE },
	{ "connection", KERNORT_BUFFER_HTTP_CONNECTION },
	{ "content-type", KERNORT_BUFFER_HTTP_CONTENT_TYPE },
	{ "content-length", KERNORT_BUFFER_HTTP_CONTENT_LENGTH },
	{ "location", KERNORT_BUFFER_HTTP_LOCATION },
	{ "server", KERNORT_BUFFER_HTTP_SERVER },
};

void kernort_views_clear(struct kernort_views *views)
{
	memset(views->single, 0, sizeof(views->single));
	views->instance_count = views->derived_used = 0;
}

static void put(u8 *out, u32 *used, const void *bytes, u32 length)
{
	memcpy(out + *used, bytes, length);
	*used += length;
}

/* The host without its port, in lower case. */
static void set_host(struct kernort_views *views, struct kernort_slice host)
{
	u8 *out = view_derive(views, host.length);
	u32 i, length = host.length;

	view_set(views, KERNORT_BUFFER_HTTP_HOST_RAW, host.bytes, host.length);
	if (!out)
		return;
	for (i = 0; i < host.length; i++) {
		out[i] = host.bytes[i] >= 'A' && host.bytes[i] <= 'Z' ? host.bytes[i] | 0x20 : host.bytes[i];
		if (host.bytes[i] == ':' && (host.length == 0 || host.bytes[0] != '['))
			length = length < i ? length : i;
	}
	view_set(views, KERNORT_BUFFER_HTTP_HOST, out, length);
}

static void set_named(struct kernort_views *views, u32 side, const struct kernort_http_header *header)
{
	u32 i;

	for (i = 0; i < sizeof(named_headers) / sizeof(named_headers[0]); i++)
		if (kernort_slice_is(header->name, named_headers[i].name) &&
		    !views->single[named_headers[i].buffer].bytes)
			view_set(views, named_headers[i].buffer, header->value.bytes, header->value.length);
	if (side == KERNORT_CLIENT && kernort_slice_is(header->name, "host") &&
	    !views->single[KERNORT_BUFFER_HTTP_HOST_RAW].bytes)
		set_host(views, header->value);
}

/* A value with its continued lines joined. */
static void put_value(u8 *out, u32 *used, struct kernort_slice value)
{
	u32 i;

	for (i = 0; i < value.length; i++)
		if (value.bytes[i] != '\r' && value.bytes[i] != '\n')
			out[(*used)++] = value.bytes[i];
}

static bool is_cookie(u32 side, struct kernort_slice name)
{
	return kernort_slice_is(name, side == KERNORT_CLIENT ? "cookie" : "set-cookie");
}

/* The whole block, normalised: `out` has room for the head and four bytes for each header. */
static void set_headers(struct kernort_views *views, u32 side, struct kernort_cursor rest)
{
	u8 instance = side == KERNORT_CLIENT ? KERNORT_BUFFER_HTTP_REQUEST_HEADER : KERNORT_BUFFER_HTTP_RESPONSE_HEADER;
	u32 room = rest.left * 3 + 8, used = 0, name_used = 2;
	u8 *out = view_derive(views, room), *names = view_derive(views, room);
	struct kernort_http_header header;

	if (!out || !names)
		return;
	memcpy(names, "\r\n", 2);
	while (kernort_http_next_header(&rest, side, &header)) {
		u32 start = used;

		set_named(views, side, &header);
		put(names, &name_used, header.name.bytes, header.name.length);
		put(names, &name_used, "\r\n", 2);
		if (is_cookie(side, header.name)) {
			view_set(views, KERNORT_BUFFER_HTTP_COOKIE, header.value.bytes, header.value.length);
			continue;
		}
		put(out, &used, header.name.bytes, header.name.length);
		put(out, &used, ": ", 2);
		put_value(out, &used, header.value);
		view_add(views, instance, out + start, used - start);
		put(out, &used, "\r\n", 2);
	}
	put(names, &name_used, "\r\n", 2);
	if (used > 0)
		view_set(views, KERNORT_BUFFER_HTTP_HEADER, out, used);
	if (name_used > 4)
		view_set(views, KERNORT_BUFFER_HTTP_HEADER_NAMES, names, name_used);
}

static void set_request_line(struct kernort_views *views, struct kernort_slice line)
{
	struct kernort_slice word;

	view_set(views, KERNORT_BUFFER_HTTP_REQUEST_LINE, line.bytes, line.length);
	word = kernort_http_word(&line);
	view_set(views, KERNORT_BUFFER_HTTP_METHOD, word.bytes, word.length);
	word = kernort_http_word(&line);
	view_set(views, KERNORT_BUFFER_HTTP_URI_RAW, word.bytes, word.length);
	word = kernort_http_normalise_uri(views, word);
	view_set(views, KERNORT_BUFFER_HTTP_URI, word.bytes, word.length);
	word = kernort_http_word(&line);
	view_set(views, KERNORT_BUFFER_HTTP_PROTOCOL, word.bytes, word.length);
}

static void set_status_line(struct kernort_views *views, struct kernort_slice line)
{
	struct kernort_slice word;

	view_set(views, KERNORT_BUFFER_HTTP_RESPONSE_LINE, line.bytes, line.length);
	word = kernort_http_word(&line);
	view_set(views, KERNORT_BUFFER_HTTP_PROTOCOL, word.bytes, word.length);
	word = kernort_http_word(&line);
	view_set(views, KERNORT_BUFFER_HTTP_STATUS_CODE, word.bytes, word.length);
	if (line.length > 0)
		view_set(views, KERNORT_BUFFER_HTTP_STATUS_MESSAGE, line.bytes + 1, line.length - 1);
}

/* Without a Host header the request's target says it: CONNECT's, or one in absolute form (RFC 9112, section 3.2). */
static void set_target_host(struct kernort_views *views)
{
	struct kernort_slice target = views->single[KERNORT_BUFFER_HTTP_URI_RAW];
	const u8 *end;

	if (views->single[KERNORT_BUFFER_HTTP_HOST_RAW].bytes || target.length == 0)
		return;
	if (kernort_slice_is(views->single[KERNORT_BUFFER_HTTP_METHOD], "connect")) {
		set_host(views, target);
		return;
	}
	if (!kernort_slice_begins(target, "http://"))
		return;
	target = kernort_slice_after(target, 7);
	end = memchr(target.bytes, '/', target.length);
	if (end)
		target.length = (u32)(end - target.bytes);
	set_host(views, target);
}

static void set_body(struct kernort_views *views, u32 side, struct kernort_slice body)
{
	view_set(views, KERNORT_BUFFER_FILE_DATA, body.bytes, body.length);
	view_set(views, side == KERNORT_CLIENT ? KERNORT_BUFFER_HTTP_REQUEST_BODY : KERNORT_BUFFER_HTTP_RESPONSE_BODY,
		 body.bytes, body.length);
}

void kernort_http_views(struct kernort_document *document, u32 side, struct kernort_slice body)
{
	struct kernort_views *views = &document->scratch->views;
	const struct kernort_message *message = &document->messages[side];
	struct kernort_cursor rest = cursor_over(message->head, message->head_used);
	struct kernort_slice line;

	kernort_views_clear(views);
	if (body.bytes)
		set_body(views, side, body);
	if (!kernort_http_next_line(&rest, side, false, &line))
		return;
	if (side == KERNORT_CLIENT)
		set_request_line(views, line);
	else
		set_status_line(views, line);
	if (rest.left > 0)
		view_set(views, KERNORT_BUFFER_HTTP_HEADER_RAW, rest.at, rest.left);
	view_set(views, KERNORT_BUFFER_HTTP_START, message->head, message->head_used);
	set_headers(views, side, rest);
	if (side == KERNORT_CLIENT)
		set_target_host(views);
}
