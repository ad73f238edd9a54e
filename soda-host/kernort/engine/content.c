// SPDX-License-Identifier: GPL-2.0-only
/* Finding one content. The prefilter has already found most subjects wanting, so this is plain: first byte, compare. */
#include "evaluate.h"

static u8 lower(u8 byte)
{
	return byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
}

static bool equals_ignoring_case(const u8 *bytes, const u8 *pattern, u32 length, struct kernort_work *work)
{
	u32 i;

	for (i = 0; i < length; i++)
		if (lower(bytes[i]) != pattern[i])
			break;
	kernort_work_spend(work, i);
	return i == length;
}

s64 kernort_content_find(const u8 *bytes, u32 from, u32 to, const u8 *pattern, u32 length, bool ignores_case,
			 struct kernort_work *work)
{
	u32 at, last;

	if (to < length || from > to - length)
		return -1;
	last = to - length;
	if (ignores_case) {
		for (at = from; at <= last; at++) {
			if (lower(bytes[at]) != pattern[0])
				continue;
			if (equals_ignoring_case(bytes + at + 1, pattern + 1, length - 1, work))
				return at;
			if (!kernort_work_begins(work))
				return -1;
		}
		return -1;
	}
	for (at = from; at <= last && kernort_work_begins(work); at++) {
		const u8 *first = memchr(bytes + at, pattern[0], last - at + 1);

		if (!first)
			return -1;
		at = (u32)(first - bytes);
		if (!memcmp(first + 1, pattern + 1, length - 1))
			return at;
		kernort_work_spend(work, length / KERNORT_WORK_SCAN_BYTES);
	}
	return -1;
}
