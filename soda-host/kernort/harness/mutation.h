/* SPDX-License-Identifier: GPL-2.0-only */
/* What the fuzzers share: bytes and tables that are nearly good. */
#ifndef KERNORT_HARNESS_MUTATION_H
#define KERNORT_HARNESS_MUTATION_H

#include <stdlib.h>
#include "kernort_env.h"
#include "kernort_ruleset.h"
#include "random.h"

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

/* A copy of a table of rules with one to three bytes changed, each where @place says. */
static inline u8 *broken_table(const u8 *table, u32 size, u32 (*place)(const u8 *table, u32 size))
{
	u8 *copy = aligned_alloc(KERNORT_RULESET_ALIGN, (size + 15) & ~15u);
	u32 i;

	if (!copy)
		abort();
	memcpy(copy, table, size);
	for (i = 1 + random_below(3); i > 0; i--) {
		u32 at = place(table, size);

		copy[at] = random_below(2) ? (u8)random_below(256) : copy[at] ^ (u8)(1u << random_below(8));
	}
	return copy;
}

#endif
