/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The one bounds-checked way into hostile bytes.
 *
 * A cursor is what is left to read. A read that would pass the end leaves the cursor where it is, yields zero and
 * sets `short_read`: a parser may read a whole header and ask once at its end.
 */
#ifndef KERNORT_CURSOR_H
#define KERNORT_CURSOR_H

#include "kernort_env.h"

struct kernort_cursor {
	const u8 *at;
	u32 left;
	bool short_read;
};

static inline struct kernort_cursor cursor_over(const u8 *bytes, u32 length)
{
	return (struct kernort_cursor){ .at = bytes, .left = length };
}

/* The next @length bytes, or NULL. */
static inline const u8 *cursor_take(struct kernort_cursor *cursor, u32 length)
{
	const u8 *taken = cursor->at;

	if (length > cursor->left) {
		cursor->short_read = true;
		return NULL;
	}
	cursor->at += length;
	cursor->left -= length;
	return taken;
}

static inline u8 cursor_u8(struct kernort_cursor *cursor)
{
	const u8 *at = cursor_take(cursor, 1);

	return at ? at[0] : 0;
}

static inline u16 cursor_be16(struct kernort_cursor *cursor)
{
	const u8 *at = cursor_take(cursor, 2);

	return at ? (u16)(at[0] << 8 | at[1]) : 0;
}

static inline u32 cursor_be24(struct kernort_cursor *cursor)
{
	const u8 *at = cursor_take(cursor, 3);

	return at ? (u32)at[0] << 16 | (u32)at[1] << 8 | at[2] : 0;
}

static inline u32 cursor_be32(struct kernort_cursor *cursor)
{
	const u8 *at = cursor_take(cursor, 4);

	return at ? (u32)at[0] << 24 | (u32)at[1] << 16 | (u32)at[2] << 8 | at[3] : 0;
}

/* A cursor over the next @length bytes, which this one then is past; empty when they are not there. */
static inline struct kernort_cursor cursor_within(struct kernort_cursor *cursor, u32 length)
{
	const u8 *at = cursor_take(cursor, length);

	return cursor_over(at, at ? length : 0);
}

#endif
