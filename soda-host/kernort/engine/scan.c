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

/* Four bytes near the end: what is not there is as good as any. */
static u32 load_last(const u8 *bytes, u32 at, u32 length)
{
	u32 word = 0, i;

	for (i = 0; i < 4 && i < length - at; i++)
		word |= (u32)bytes[at + i] << 8 * i;
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

/* Everything that a table's loop needs besides where it is. */
struct scan {
	const struct kernort_ruleset *rules;
	const struct kernort_ruleset_scanner_table *table;
	const u8 *bytes;
	u32 length;
	const struct kernort_scan_sink *sink;
};

static noinline void look_closer(const struct scan *scan, u32 gram, u32 next, u32 at)
{
	const struct kernort_ruleset *rules = scan->rules;
	const u32 *head = rules->heads + scan->table->heads + (gram * KERNORT_GRAM_HASH >> (32 - scan->table->head_bits));
	u32 i;

	if (!kernort_work_begins(scan->sink->work))
		return;
	kernort_work_spend(scan->sink->work, head[1] - head[0]);
	for (i = head[0]; i < head[1]; i++) {
		const struct kernort_ruleset_gram *window = &rules->grams[i];
		const struct kernort_ruleset_pattern *pattern;
		s64 start = (s64)at - (s32)window->position;

		if (window->gram != gram || (window->next && window->next != next) || start < 0)
			continue;
		pattern = &rules->patterns[window->pattern];
		if (pattern->length + start <= scan->length && pattern_is_at(rules, pattern, scan->bytes + start))
			scan->sink->hit(scan->sink->context, pattern);
	}
}

static inline u32 place_of(const struct scan *scan, u32 hash)
{
	return hash >> KERNORT_MARK_SHIFT & ((1u << scan->table->mark_bits) - 1);
}

/* Windows of four bytes. Out of line, so that the loop keeps its registers. */
static noinline void check_wide(const struct scan *scan, u32 at)
{
	const u8 *marks = scan->rules->marks + scan->table->marks;
	u32 gram = load_last(scan->bytes, at, scan->length) | KERNORT_GRAM_FOLD, next = KERNORT_GRAM_FOLD;
	u8 mark = marks[place_of(scan, gram * KERNORT_GRAM_HASH)];

	if (scan->length - at > 4)
		next |= load_last(scan->bytes, at + 4, scan->length);
	if (KERNORT_MARKS_MEET(mark, marks[place_of(scan, next * KERNORT_GRAM_HASH)]))
		look_closer(scan, gram, next, at);
}

/*
 * Every fourth place; four of them in one turn and, mostly, one branch. Most patterns have two windows side by
 * side: a place is of interest if it has the mark of a first one and the next place that of a second one.
 */
static void scan_wide(const struct scan *scan, u32 from)
{
	const u8 *bytes = scan->bytes, *marks = scan->rules->marks + scan->table->marks;
	u32 places = (1u << scan->table->mark_bits) - 1, at = from;
	u32 first, second, third, fourth, next;

#define MARK(place) marks[(load_le32(bytes + (place)) | KERNORT_GRAM_FOLD) * KERNORT_GRAM_HASH >> KERNORT_MARK_SHIFT & places]
	if (scan->length < 20 || at > scan->length - 20)
		goto rest;
	first = MARK(at);
	for (; at + 20 <= scan->length; at += 16, first = next) {
		second = MARK(at + 4);
		third = MARK(at + 8);
		fourth = MARK(at + 12);
		next = MARK(at + 16);
		if (likely(!(KERNORT_MARKS_MEET(first, second) | KERNORT_MARKS_MEET(second, third) |
			     KERNORT_MARKS_MEET(third, fourth) | KERNORT_MARKS_MEET(fourth, next))))
			continue;
		check_wide(scan, at);
		check_wide(scan, at + 4);
		check_wide(scan, at + 8);
		check_wide(scan, at + 12);
	}
#undef MARK
rest:
	for (; at < scan->length; at += 4)
		check_wide(scan, at);
}

static noinline void check_narrow(const struct scan *scan, u32 mask, u32 at)
{
	u32 gram = (load_last(scan->bytes, at, scan->length) | KERNORT_GRAM_FOLD) & mask, hash = gram * KERNORT_GRAM_HASH;
	u8 mark = scan->rules->marks[scan->table->marks + place_of(scan, hash)];

	if (mark >> (hash >> KERNORT_MARK_BIT_SHIFT & 7) & 1)
		look_closer(scan, gram, 0, at);
}

/*
 * Windows of three bytes at every second place, or of one at every one. @mask keeps what a window has of four bytes. It
 * and @stride are constants where this is called, so that there is one copy for each.
 */
static inline void scan_narrow(const struct scan *scan, u32 stride, u32 mask, u32 from)
{
	const u8 *bytes = scan->bytes, *marks = scan->rules->marks + scan->table->marks;
	u32 places = (1u << scan->table->mark_bits) - 1, at = from, i;

#define MARK(place) \
	marks[((load_le32(bytes + (place)) | KERNORT_GRAM_FOLD) & mask) * KERNORT_GRAM_HASH >> KERNORT_MARK_SHIFT & places]
	for (; at + 3 * stride + 4 <= scan->length; at += 4 * stride) {
		if (likely(!(MARK(at) | MARK(at + stride) | MARK(at + 2 * stride) | MARK(at + 3 * stride))))
			continue;
		for (i = 0; i < 4; i++)
			check_narrow(scan, mask, at + i * stride);
	}
#undef MARK
	for (; at < scan->length; at += stride)
		check_narrow(scan, mask, at);
}

void kernort_scan(const struct kernort_ruleset *rules, u32 scanner, const u8 *bytes, u32 from, u32 length,
		  const struct kernort_scan_sink *sink)
{
	const struct kernort_ruleset_scanner_table *tables = rules->scanners[scanner].tables;
	struct scan scan = { .rules = rules, .bytes = bytes, .length = length, .sink = sink };

	scan.table = &tables[0];
	if (scan.table->mark_bits)
		scan_wide(&scan, from);
	scan.table = &tables[1];
	if (scan.table->mark_bits)
		scan_narrow(&scan, 2, 0xffffff, from);
	scan.table = &tables[2];
	if (scan.table->mark_bits)
		scan_narrow(&scan, 1, 0xff, from);
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
