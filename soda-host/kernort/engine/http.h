/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KERNORT_HTTP_H
#define KERNORT_HTTP_H

#include "document.h"

enum { KERNORT_HTTP_OTHER, KERNORT_HTTP_HEAD, KERNORT_HTTP_CONNECT };

/* What decides how a message goes on. */
struct kernort_http_head {
	u8 method; /* of a request */
	u32 status; /* of a response */
	bool has_length, is_chunked;
	u64 length;
	u8 coding_count;
	u8 codings[KERNORT_CODINGS]; /* enum kernort_coding, in the order they were applied */
};

/* One header, without the line break; continued lines stay as they are. */
struct kernort_http_header {
	struct kernort_slice name, value;
};

/* http_head.c */
void kernort_http_parse_head(const struct kernort_message *message, u32 side, struct kernort_http_head *head);
/* Is the first line a request without a version (HTTP/0.9), which has no headers? */
bool kernort_http_is_simple(const struct kernort_message *message, u32 side);
/* The next line of @rest, without its end; false at the end. Continuation lines belong to the line before. */
bool kernort_http_next_line(struct kernort_cursor *rest, u32 side, bool joins, struct kernort_slice *line);
bool kernort_http_next_header(struct kernort_cursor *rest, u32 side, struct kernort_http_header *header);
/* The next word of @line, which it is then past. */
struct kernort_slice kernort_http_word(struct kernort_slice *line);
bool kernort_slice_is(struct kernort_slice slice, const char *lower_case);
bool kernort_slice_has(struct kernort_slice slice, const char *lower_case);
bool kernort_slice_begins(struct kernort_slice slice, const char *lower_case);
/* What follows the first @count bytes. */
struct kernort_slice kernort_slice_after(struct kernort_slice slice, u32 count);

/* http_uri.c: the normalised form, into the views' derived bytes. */
struct kernort_slice kernort_http_normalise_uri(struct kernort_views *views, struct kernort_slice raw);

#endif
