// SPDX-License-Identifier: GPL-2.0-only
/*
 * DOC: The prefilter
 *
 * Of every rule with content one pattern, its fast pattern, is looked for in all traffic at once; the rest of the rule
 * is tried only where that is found. From each fast pattern the compiler took the window of four bytes (or of as many
 * as it has) that is rarest. At each place of the traffic the four bytes there, folded by `| 0x20`, are hashed and one
 * bit of a bitmap asked; the bitmap fits into a near cache and nearly always says no, whatever the number of rules.
 * If it says yes, the windows with that hash are compared, then the whole pattern around the window.
 * Folding joins more than letters, so a hit is only a reason to look: the rule checks its content itself.
 */
#include "scan.h"

static u32 load_folded(const u8 *at, u32 width)
{
	u32 gram = 0, i;

	for (i = 0; i < width; i++)
		gram |= (u32)(at[i] | 0x20) << 8 * i;
	return gram;
}

static bool pattern_is_at(const struct kernort_ruleset *rules, const struct kernort_ruleset_pattern *pattern,
			  const u8 *at)
{
	const u8 *bytes = rules->bytes + pattern->bytes;
	u32 i;

	for (i = 0; i < pattern->length; i++)
		if ((at[i] | 0x20) != bytes[i])
			return false;
	return true;
}

static void look_closer(const struct kernort_ruleset *rules, const struct kernort_ruleset_scanner_table *table, u32 gram,
			const u8 *bytes, u32 at, u32 length, const struct kernort_scan_sink *sink)
{
	const u32 *head = rules->heads + table->heads + ((gram * KERNORT_GRAM_HASH) >> (32 - table->head_bits));
	u32 i;

	for (i = head[0]; i < head[1]; i++) {
		const struct kernort_ruleset_gram *window = &rules->grams[i];
		const struct kernort_ruleset_pattern *pattern = &rules->patterns[window->pattern];

		if (window->gram == gram && at >= window->position && pattern->length <= length - (at - window->position) &&
		    pattern_is_at(rules, pattern, bytes + at - window->position))
			sink->hit(sink->context, pattern);
	}
}

static void scan_table(const struct kernort_ruleset *rules, const struct kernort_ruleset_scanner_table *table, u32 width,
		       const u8 *bytes, u32 from, u32 length, const struct kernort_scan_sink *sink)
{
	const u32 *bitmap = rules->bitmaps + table->bitmap;
	u32 shift = 32 - table->bitmap_bits, at, end = length < width ? 0 : length - width + 1;

	for (at = from; at < end; at++) {
		u32 gram = load_folded(bytes + at, width);
		u32 bit = (gram * KERNORT_GRAM_HASH) >> shift;

		if (bitmap[bit / 32] >> bit % 32 & 1)
			look_closer(rules, table, gram, bytes, at, length, sink);
	}
}

/* The same for the widest windows, which nearly all patterns have: one load instead of four. */
static void scan_wide(const struct kernort_ruleset *rules, const struct kernort_ruleset_scanner_table *table,
		      const u8 *bytes, u32 from, u32 length, const struct kernort_scan_sink *sink)
{
	const u32 *bitmap = rules->bitmaps + table->bitmap;
	u32 shift = 32 - table->bitmap_bits, at, end = length < 4 ? 0 : length - 3;

	for (at = from; at < end; at++) {
		u32 gram, bit;

		memcpy(&gram, bytes + at, 4);
		gram |= KERNORT_GRAM_FOLD;
		bit = (gram * KERNORT_GRAM_HASH) >> shift;
		if (bitmap[bit / 32] >> bit % 32 & 1)
			look_closer(rules, table, gram, bytes, at, length, sink);
	}
}

void kernort_scan(const struct kernort_ruleset *rules, u32 scanner, const u8 *bytes, u32 from, u32 length,
		  const struct kernort_scan_sink *sink)
{
	const struct kernort_ruleset_scanner *tables = &rules->scanners[scanner];
	u32 i;

	if (tables->tables[0].bitmap_bits)
		scan_wide(rules, &tables->tables[0], bytes, from, length, sink);
	for (i = 1; i < 4; i++)
		if (tables->tables[i].bitmap_bits)
			scan_table(rules, &tables->tables[i], 4 - i, bytes, from, length, sink);
}

static u64 group_key(u8 buffer, u8 ip_protocol, u8 direction, u8 side, u16 port)
{
	return (u64)buffer << 40 | (u64)ip_protocol << 32 | (u64)direction << 24 | (u64)side << 16 | port;
}

const struct kernort_ruleset_group *kernort_group_find(const struct kernort_ruleset *rules, u8 buffer, u8 ip_protocol,
						       u8 direction, u8 side, u16 port)
{
	u64 key = group_key(buffer, ip_protocol, direction, side, port);
	u32 low = 0, high = rules->counts[KERNORT_SECTION_GROUPS];

	while (low < high) {
		u32 middle = low + (high - low) / 2;
		const struct kernort_ruleset_group *group = &rules->groups[middle];
		u64 here = group_key(group->buffer, group->ip_protocol, group->direction, group->side, group->port);

		if (here == key)
			return group;
		if (here < key)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}
