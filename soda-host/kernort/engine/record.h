/* SPDX-License-Identifier: GPL-2.0-only */
/* Writing one record. */
#ifndef KERNORT_RECORD_WRITER_H
#define KERNORT_RECORD_WRITER_H

#include "kernort_crypto.h"
#include "kernort_record.h"

/* Who did it, and when. */
struct kernort_subject {
	u64 monotonic_ns;
	u64 realtime_ns;
	u32 pid;
	u32 uid;
	char comm[16];
};

/*
 * Write a record of a known kind.
 * @dst, @room: where to
 * @fields: the kind's structure
 * @tails: as many as the kind has; what does not fit into a record is cut off their ends, and the record says so
 * Return: bytes written; -EINVAL for an unknown kind; -ENOSPC when @room is too small, and nothing was written.
 */
int kernort_record_write(u8 *dst, size_t room, enum kernort_kind kind, u64 number,
			 const struct kernort_subject *subject, const void *fields,
			 const struct kernort_piece *tails);

/* How many bytes that would be: at most KERNORT_RECORD_SIZE_MAX. Return: -EINVAL for an unknown kind. */
int kernort_record_size(enum kernort_kind kind, const struct kernort_piece *tails);

/* How soon a kind is shed when memory runs short. */
enum kernort_class kernort_record_class(enum kernort_kind kind);

#endif
