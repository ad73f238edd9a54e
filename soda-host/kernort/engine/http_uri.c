// SPDX-License-Identifier: GPL-2.0-only
/*
 * A request's address as most servers understand it: percent signs decoded in the path, back slashes taken for
 * slashes, doubled slashes joined, dot segments resolved (RFC 3986, section 5.2.4). The query stays as it is.
 */
#include "http.h"

static int hex_value(u8 byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	byte |= 0x20;
	return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* One decoded character of @in at @at. Returns how many bytes it took. */
static u32 decode_one(const u8 *in, u32 length, u32 at, u8 *out)
{
	*out = in[at];
	if (in[at] != '%' || at + 2 >= length)
		return 1;
	if ((in[at + 1] | 0x20) == 'u' && at + 5 < length && hex_value(in[at + 2]) == 0 && hex_value(in[at + 3]) == 0 &&
	    hex_value(in[at + 4]) >= 0 && hex_value(in[at + 5]) >= 0) {
		*out = (u8)(hex_value(in[at + 4]) << 4 | hex_value(in[at + 5]));
		return 6;
	}
	if (hex_value(in[at + 1]) < 0 || hex_value(in[at + 2]) < 0)
		return 1;
	*out = (u8)(hex_value(in[at + 1]) << 4 | hex_value(in[at + 2]));
	return 3;
}

static u32 decode_path(u8 *out, const u8 *in, u32 length)
{
	u32 used = 0, at = 0;

	while (at < length) {
		u8 byte;

		at += decode_one(in, length, at, &byte);
		if (byte == '\\')
			byte = '/';
		if (byte == '/' && used > 0 && out[used - 1] == '/')
			continue;
		out[used++] = byte;
	}
	return used;
}

/* Resolve "." and ".." segments in place; every segment is moved once. */
static u32 remove_dots(u8 *path, u32 length)
{
	u32 used = 0, at = 0;

	while (at < length) {
		u32 end = at;

		while (end < length && path[end] != '/')
			end++;
		if (end - at == 1 && path[at] == '.') {
			/* nothing */
		} else if (end - at == 2 && path[at] == '.' && path[at + 1] == '.') {
			if (used > 1)
				for (used--; used > 0 && path[used - 1] != '/'; used--)
					;
		} else {
			memmove(path + used, path + at, end - at);
			used += end - at;
			if (end < length)
				path[used++] = '/';
		}
		at = end + 1;
	}
	return used;
}

struct kernort_slice kernort_http_normalise_uri(struct kernort_views *views, struct kernort_slice raw)
{
	struct kernort_slice none = { 0 };
	u8 *out = view_derive(views, raw.length + 1);
	u32 path = 0, used;

	if (!out)
		return none;
	while (path < raw.length && raw.bytes[path] != '?' && raw.bytes[path] != '#')
		path++;
	used = decode_path(out, raw.bytes, path);
	if (used > 0 && out[0] == '/')
		used = 1 + remove_dots(out + 1, used - 1);
	memcpy(out + used, raw.bytes + path, raw.length - path);
	return (struct kernort_slice){ .bytes = out, .length = used + raw.length - path };
}
