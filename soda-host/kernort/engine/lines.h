/* SPDX-License-Identifier: GPL-2.0-only */
/* Protocols of lines: SMTP, FTP, SSH's first one; and the files that they carry. */
#ifndef KERNORT_LINES_H
#define KERNORT_LINES_H

#include "document.h"

struct kernort_line_feed {
	struct kernort_document *document;
	struct kernort_message *message;
	const struct kernort_reader *reader;
	u32 side;
};

static inline struct kernort_line_feed kernort_line_feed_of(struct kernort_document *document, u32 side,
							     const struct kernort_reader *reader)
{
	return (struct kernort_line_feed){ .document = document,
					   .message = &document->messages[side],
					   .reader = reader,
					   .side = side };
}

/* file.c: a file's bytes as they come; it is looked at when it ends, and each time that its buffer is full. */
void kernort_file_begin(const struct kernort_line_feed *feed);
void kernort_file_add(const struct kernort_line_feed *feed, const u8 *bytes, u32 length);
void kernort_file_end(const struct kernort_line_feed *feed);

/* base64.c: -1 for what is none. */
int kernort_base64_value(u8 byte);

/* mime.c: a mail, by its lines with their ends. Every part that is not made of parts is a file. */
void kernort_mime_begin(const struct kernort_line_feed *feed);
void kernort_mime_line(const struct kernort_line_feed *feed, struct kernort_slice line);
void kernort_mime_end(const struct kernort_line_feed *feed);

/* A line without its end, but for mail. */
void kernort_smtp_line(const struct kernort_line_feed *feed, struct kernort_slice line);
void kernort_ftp_line(const struct kernort_line_feed *feed, struct kernort_slice line);
/* Mail of counted bytes. Returns how many of these it takes. */
u32 kernort_smtp_chunk(const struct kernort_line_feed *feed, const u8 *bytes, u32 length);

#endif
