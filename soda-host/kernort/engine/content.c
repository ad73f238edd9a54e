// SPDX-License-Identifier: GPL-2.0-only
/* Finding one content. The prefilter has already found most subjects wanting, so this is plain: first byte, compare. */
#include "evaluate.h"

static u8 lower(u8 byte)
{
	return byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
}

static bool equals_ignoring_case(const u8 *bytes, const u8 *pattern, u32 length)
{
	u32 i;

	for (i = 0; i < length; i++)
		if (lower(bytes[i]) != pattern[i])
			return false;
	return true;
}

s64 kernort_content_find(const u8 *bytes, u32 from, u32 to, const u8 *pattern, u32 length, bool ignores_case)
{
	u32 at, last;

	if (to < length || from > to - length)
		return -1;
	last = to - length;
	if (ignores_case) {
		for (at = from; at <= last; at++)
			if (lower(bytes[at]) == pattern[0] &&
			    equals_ignoring_case(bytes + at + 1, pattern + 1, length - 1))
				return at;
		return -1;
	}
	for (at = from; at <= last; at++) {
		const u8 *first = memchr(bytes + at, pattern[0], last - at + 1);

		if (!first)
			return -1;
		at = (u32)(first - bytes);
		if (!memcmp(first + 1, pattern + 1, length - 1))
			return at;
	}
	return -1;
}
