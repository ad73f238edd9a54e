/* SPDX-License-Identifier: GPL-2.0-only */
/* What the fuzzers share: numbers that are the same for the same seed, and bytes that are nearly good. */
#ifndef KERNORT_HARNESS_MUTATION_H
#define KERNORT_HARNESS_MUTATION_H

#include <stdlib.h>
#include "kernort_env.h"

static u64 random_state;

/* xorshift64*; only has to be the same everywhere. */
static inline u32 random_below(u32 limit)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (u32)((random_state * 0x2545f4914f6cdd1dULL) >> 33) % limit;
}

/* Change, insert, cut: a few times. Returns the new length. */
static inline u32 mutate(u8 *bytes, u32 length, u32 room, u32 times)
{
	static const u8 interesting[] = { 0, 1, 0x7f, 0x80, 0xff, '\r', '\n', ' ', '%', ':', 0xc0, 0x40 };

	while (times-- > 0 && length > 0) {
		u32 at = random_below(length);

		switch (random_below(6)) {
		case 0:
			bytes[at] ^= (u8)(1u << random_below(8));
			break;
		case 1:
			bytes[at] = interesting[random_below(sizeof(interesting))];
			break;
		case 2:
			bytes[at] = (u8)random_below(256);
			break;
		case 3:
			length = random_below(8) ? length : at;
			break;
		case 4: {
			u32 piece = 1 + random_below(8);

			if (length + piece > room)
				break;
			memmove(bytes + at + piece, bytes + at, length - at);
			length += piece;
			break;
		}
		default: {
			u32 other = random_below(length), piece = 1 + random_below(16);

			if (at + piece <= length && other + piece <= length)
				memmove(bytes + at, bytes + other, piece);
		}
		}
	}
	return length;
}

/* A copy of exactly the length, so that the sanitizer sees any read beyond it. */
static inline u8 *exact_copy(const u8 *bytes, u32 length)
{
	u8 *copy = malloc(length ? length : 1);

	if (!copy)
		abort();
	memcpy(copy, bytes, length);
	return copy;
}

#endif
