/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KERNORT_DOCUMENT_H
#define KERNORT_DOCUMENT_H

#include "arena.h"
#include "cursor.h"
#include "flow.h"
#include "inflate.h"
#include "kernort_ruleset.h"
#include "work.h"

#define KERNORT_HEAD_BYTES 16384u /* start line and headers of one message */
#define KERNORT_BODY_BYTES 65536u /* of a body, as sent and as decoded: what is kept for matching */
#define KERNORT_DERIVED_BYTES 131072u /* normalised copies */
#define KERNORT_INSTANCES 64u
#define KERNORT_FIRED 64u
#define KERNORT_METHODS 16u
#define KERNORT_CODINGS 2u

struct kernort_slice {
	const u8 *bytes;
	u32 length;
};

/* Several buffers of one kind: DNS queries, certificates, single headers. */
struct kernort_instance {
	u8 buffer;
	struct kernort_slice slice;
};

/* What matching sees of one message: slices into the document, valid during one look. */
struct kernort_views {
	struct kernort_slice single[KERNORT_BUFFER_COUNT]; /* bytes NULL: the buffer is not there */
	u32 instance_count;
	struct kernort_instance instances[KERNORT_INSTANCES];
	u32 derived_used;
	u8 derived[KERNORT_DERIVED_BYTES];
};

/* What is needed only while a message is being looked at: one for all conversations. */
struct kernort_scratch {
	struct kernort_views views;
	struct kernort_inflate_work inflate;
	u8 decoded[KERNORT_CODINGS][KERNORT_BODY_BYTES]; /* a body after each of its codings */
};

/* One direction of an application conversation, being parsed byte by byte. */
struct kernort_message {
	u8 phase; /* of the protocol's parser */
	u8 coding_count, codings[KERNORT_CODINGS]; /* of the body, in the order they were applied */
	u8 line; /* HTTP heads: what the present line has had so far */
	bool is_fired_full, is_bare_feed, skips_blank;
	u32 head_used, head_lines;
	u64 body_left; /* bytes of the body or chunk still to come */
	u32 body_used; /* HTTP: bytes of the body as sent. TLS: handshake bytes, of whole records. DNS: of a message */
	u32 raw_used; /* TLS: bytes after those, of a record that is not whole */
	bool has_woken; /* the head has been scanned, and all that it woke and that may hold later is in `woken` */
	u32 woken_count, fired_count;
	u32 woken[KERNORT_FIRED];
	u32 fired[KERNORT_FIRED]; /* rules that have matched in this message */
	u8 head[KERNORT_HEAD_BYTES];
	u8 body[KERNORT_BODY_BYTES];
};

/* Phases of the protocols of lines. */
enum { KERNORT_LINES_COMMANDS, KERNORT_LINES_MAIL, KERNORT_LINES_CHUNK, KERNORT_LINES_OVER };

#define KERNORT_MIME_DEPTH 4u
#define KERNORT_BOUNDARY_BYTES 70u /* RFC 2046, section 5.1.1 */

struct kernort_boundary {
	u8 length;
	u8 bytes[KERNORT_BOUNDARY_BYTES];
};

/* Where in a mail the client is: mime.c. */
struct kernort_mime {
	u8 phase, header, encoding, depth, bits;
	bool is_multipart, is_mail;
	u32 held; /* bits of base64 that are not yet a byte */
	struct kernort_boundary boundaries[KERNORT_MIME_DEPTH];
};

struct kernort_document {
	struct kernort_flow *owner; /* whose conversation it is; NULL: free */
	u8 app;
	u8 awaits; /* SMTP, FTP: what the server's next answer decides */
	bool is_in_mail, is_last_chunk; /* SMTP */
	struct kernort_mime mime;
	u8 methods[KERNORT_METHODS]; /* of the requests that have no answer yet */
	u8 method_first, method_count;
	struct kernort_scratch *scratch;
	struct kernort_message messages[2];
};

/* Called by a parser when a message has something whole to look at. */
struct kernort_reader {
	void (*look)(void *context, struct kernort_document *document, u32 side);
	void *context;
	struct kernort_work *work; /* spent on decoding; when it is over, bodies are taken as they came */
	/* The end on @side said that a file will come to this port of it. */
	void (*expect)(void *context, u32 side, u16 port);
};

static inline void view_set(struct kernort_views *views, u8 buffer, const u8 *bytes, u32 length)
{
	views->single[buffer] = (struct kernort_slice){ .bytes = bytes, .length = length };
}

static inline void view_add(struct kernort_views *views, u8 buffer, const u8 *bytes, u32 length)
{
	if (views->instance_count < KERNORT_INSTANCES)
		views->instances[views->instance_count++] =
			(struct kernort_instance){ .buffer = buffer, .slice = { .bytes = bytes, .length = length } };
}

/* Room for @length derived bytes, or NULL. */
static inline u8 *view_derive(struct kernort_views *views, u32 length)
{
	u8 *at = views->derived + views->derived_used;

	if (length > KERNORT_DERIVED_BYTES - views->derived_used)
		return NULL;
	views->derived_used += length;
	return at;
}

void kernort_views_clear(struct kernort_views *views);

/* http.c: bytes of one side; @is_end: no more will come. */
void kernort_http_feed(struct kernort_document *document, u32 side, const u8 *bytes, u32 length,
		       const struct kernort_reader *reader);
void kernort_http_finish(struct kernort_document *document, u32 side, const struct kernort_reader *reader);
bool kernort_http_begins(const u8 *bytes, u32 length, u32 side);

/* http_views.c: fill the views with the head of @side's message, and its decoded @body if that has bytes. */
void kernort_http_views(struct kernort_document *document, u32 side, struct kernort_slice body);

/* lines.c: SMTP, FTP, SSH. */
void kernort_lines_feed(struct kernort_document *document, u32 side, const u8 *bytes, u32 length,
			const struct kernort_reader *reader);
void kernort_lines_finish(struct kernort_document *document, u32 side, const struct kernort_reader *reader);
/* file.c: all bytes of the connection are one file. */
void kernort_file_feed(struct kernort_document *document, u32 side, const u8 *bytes, u32 length,
		       const struct kernort_reader *reader);

/* tls.c */
void kernort_tls_feed(struct kernort_document *document, u32 side, const u8 *bytes, u32 length,
		      const struct kernort_reader *reader);
/* dns.c: one message, without the length that TCP puts before it. Returns false when it is none. */
bool kernort_dns_views(struct kernort_views *views, const u8 *bytes, u32 length);
/* The same over TCP. */
void kernort_dns_feed(struct kernort_document *document, u32 side, const u8 *bytes, u32 length,
		      const struct kernort_reader *reader);

#endif
