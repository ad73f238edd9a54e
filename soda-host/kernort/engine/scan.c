// SPDX-License-Identifier: GPL-2.0-only
/*
 * DOC: The prefilter
 *
 * Of every rule with content one pattern, its fast pattern, is looked for in all traffic at once; the rest of the rule
 * is tried only where that is found. From each fast pattern the compiler took the window of four bytes (two or one if it
 * is short) that is rarest. At each place of the traffic the four bytes there, folded by `| 0x20`, are hashed and one
 * mark is looked at; the marks fit into a near cache and nearly always say no, whatever the number of rules.
 * If one says yes, the windows with that hash are compared, then the whole pattern around the window.
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

static u64 load_word(const u8 *at)
{
	u64 word;

	memcpy(&word, at, sizeof(word)); /* little-endian, like the table */
	return word;
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

/* A window that may be one of the table's: look at the mark's bit, then at the windows with this hash. */
static void check(const struct kernort_ruleset *rules, const struct kernort_ruleset_scanner_table *table, u32 gram, u8 mark,
		  const u8 *bytes, u32 at, u32 length, const struct kernort_scan_sink *sink)
{
	if (mark >> (gram * KERNORT_GRAM_HASH >> KERNORT_MARK_BIT_SHIFT & 7) & 1)
		look_closer(rules, table, gram, bytes, at, length, sink);
}

/*
 * Four places in one load of eight bytes and, mostly, one branch. @mask keeps what windows of this width have of a
 * gram; it is a constant where this is called, so that there is one copy for each width.
 */
static inline void scan_table(const struct kernort_ruleset *rules, const struct kernort_ruleset_scanner_table *table,
			      u32 width, u32 mask, const u8 *bytes, u32 from, u32 length,
			      const struct kernort_scan_sink *sink)
{
	const u8 *marks = rules->marks + table->marks;
	u32 places = (1u << table->mark_bits) - 1, at = from, end = length < width ? 0 : length - width + 1;

#define MARK(gram) marks[((gram) * KERNORT_GRAM_HASH >> KERNORT_MARK_SHIFT) & places]
	for (; at + 8 <= length; at += 4) {
		u64 word = load_word(bytes + at) | KERNORT_GRAM_FOLD * 0x100000001ULL;
		u32 a = (u32)word & mask, b = (u32)(word >> 8) & mask, c = (u32)(word >> 16) & mask;
		u32 d = (u32)(word >> 24) & mask;

		if (!(MARK(a) | MARK(b) | MARK(c) | MARK(d)))
			continue;
		check(rules, table, a, MARK(a), bytes, at, length, sink);
		check(rules, table, b, MARK(b), bytes, at + 1, length, sink);
		check(rules, table, c, MARK(c), bytes, at + 2, length, sink);
		check(rules, table, d, MARK(d), bytes, at + 3, length, sink);
	}
	for (; at < end; at++) {
		u32 gram = load_folded(bytes + at, width);

		check(rules, table, gram, MARK(gram), bytes, at, length, sink);
	}
#undef MARK
}

void kernort_scan(const struct kernort_ruleset *rules, u32 scanner, const u8 *bytes, u32 from, u32 length,
		  const struct kernort_scan_sink *sink)
{
	const struct kernort_ruleset_scanner_table *tables = rules->scanners[scanner].tables;

	if (tables[0].mark_bits)
		scan_table(rules, &tables[0], 4, 0xffffffff, bytes, from, length, sink);
	if (tables[1].mark_bits)
		scan_table(rules, &tables[1], 2, 0xffff, bytes, from, length, sink);
	if (tables[2].mark_bits)
		scan_table(rules, &tables[2], 1, 0xff, bytes, from, length, sink);
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
