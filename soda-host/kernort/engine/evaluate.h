/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KERNORT_EVALUATE_H
#define KERNORT_EVALUATE_H

#include "flow.h"
#include "regex.h"
#include "ruleset.h"

#define KERNORT_BASE64_BYTES 4096u
#define KERNORT_TRIES_MAX 3000u

struct kernort_subject {
	const u8 *bytes;
	u32 length;
	bool is_middle; /* of a stream whose beginning is no longer here: offsets from the start mean nothing */
};

/* Where to go on when a later option of the block fails. */
struct kernort_retry {
	u32 option, cursor, from;
};

/* One rule being tried on one packet or stretch of stream. Lives in the engine; nothing of it is on the stack. */
struct kernort_evaluation {
	const struct kernort_ruleset *rules;
	struct kernort_counters *counters;
	const struct kernort_packet *packet;
	const struct kernort_flow *flow; /* may be NULL */
	u64 variables[KERNORT_RULESET_VARIABLES];
	u32 tries;
	struct kernort_work work; /* of the packet, all rules together */
	u32 reach; /* furthest end of a match in the subject of the last block */
	bool has_matched_content; /* something positive was found, so that `reach` means something */
	u32 base64_length;
	u8 base64[KERNORT_BASE64_BYTES];
	u32 retry_count;
	struct kernort_retry retries[KERNORT_RULESET_OPTIONS_MAX];
	struct kernort_regex_scratch regex;
};

/* Do the options of @block hold on @subject? */
bool kernort_block_matches(struct kernort_evaluation *evaluation, const struct kernort_ruleset_block *block,
			   struct kernort_subject subject);

bool kernort_compare_value(u8 compare, u64 value, u64 low, u64 high);

/* content.c. Returns the offset of the first @pattern wholly in bytes[from, to), or -1. */
s64 kernort_content_find(const u8 *bytes, u32 from, u32 to, const u8 *pattern, u32 length, bool ignores_case,
			 struct kernort_work *work);

/* number.c. Returns the bytes consumed, or -1. */
int kernort_number_read(const struct kernort_subject *subject, s64 position, u32 count, u32 base, u16 flags, u64 *value);

/* base64.c. Returns the bytes decoded. */
u32 kernort_base64_decode(const u8 *bytes, u32 length, u8 *out, u32 room);

/* asn1.c */
bool kernort_asn1_matches(const struct kernort_ruleset_option *option, const struct kernort_subject *subject, u32 cursor);

#endif
