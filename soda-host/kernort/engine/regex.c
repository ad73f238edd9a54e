// SPDX-License-Identifier: GPL-2.0-only
/* Regular expressions: the check of programs, assertions, and the search over start positions. See regex.h. */
#include "regex.h"

/* Words whose start is known in one pass of the check. */
#define WINDOW 4096u

static u32 code_of(u32 word)
{
	return word & 0xff;
}

static u32 argument_of(u32 word)
{
	return word >> 8;
}

/* Words of an instruction, data included; 0 for a code that is none. */
static u32 width_of(u32 code)
{
	if (code >= KERNORT_REGEX_CODE_COUNT)
		return 0;
	if (code == KERNORT_REGEX_REPEAT || code == KERNORT_REGEX_REPEAT_LAZY)
		return 3;
	if (code == KERNORT_REGEX_BEHIND || code == KERNORT_REGEX_NOT_BEHIND)
		return 2;
	return 1;
}

static bool has_target(u32 code)
{
	switch (code) {
	case KERNORT_REGEX_JUMP:
	case KERNORT_REGEX_SPLIT:
	case KERNORT_REGEX_SPLIT_TARGET:
	case KERNORT_REGEX_AHEAD:
	case KERNORT_REGEX_NOT_AHEAD:
	case KERNORT_REGEX_BEHIND:
	case KERNORT_REGEX_NOT_BEHIND:
	case KERNORT_REGEX_ATOMIC:
		return true;
	default:
		return false;
	}
}

static bool is_linear_code(u32 code)
{
	switch (code) {
	case KERNORT_REGEX_REPEAT:
	case KERNORT_REGEX_REPEAT_LAZY:
	case KERNORT_REGEX_BACKREF:
	case KERNORT_REGEX_BACKREF_NOCASE:
		return false;
	default:
		return !(code >= KERNORT_REGEX_AHEAD && has_target(code));
	}
}

static bool is_argument_good(const struct kernort_regex_tables *tables, const struct kernort_ruleset_regex *regex,
			     u32 code, u32 argument)
{
	switch (code) {
	case KERNORT_REGEX_SET:
	case KERNORT_REGEX_STAR:
	case KERNORT_REGEX_STAR_LAZY:
	case KERNORT_REGEX_REPEAT:
	case KERNORT_REGEX_REPEAT_LAZY:
		return argument < tables->set_count;
	case KERNORT_REGEX_SAVE:
		return argument < 2u * regex->capture_count;
	case KERNORT_REGEX_BACKREF:
	case KERNORT_REGEX_BACKREF_NOCASE:
		return argument < regex->capture_count;
	case KERNORT_REGEX_MARK:
	case KERNORT_REGEX_MARK_MOVED:
		return argument < regex->mark_count;
	default:
		return true;
	}
}

/* Codes, arguments and widths; the last instruction must not fall off the end. */
static bool are_instructions_good(const struct kernort_regex_tables *tables,
				  const struct kernort_ruleset_regex *regex, const u32 *code)
{
	u32 at, width, last = KERNORT_REGEX_CODE_COUNT, before = KERNORT_REGEX_CODE_COUNT;

	for (at = 0; at < regex->word_count; at += width) {
		before = last;
		last = code_of(code[at]);
		width = width_of(last);
		if (!width || width > regex->word_count - at ||
		    !is_argument_good(tables, regex, last, argument_of(code[at])))
			return false;
		if (regex->flags & KERNORT_REGEX_LINEAR && !is_linear_code(last))
			return false;
		/* MARK_MOVED skips one word: it must be a whole instruction. */
		if (before == KERNORT_REGEX_MARK_MOVED && width != 1)
			return false;
	}
	return before != KERNORT_REGEX_MARK_MOVED && (last == KERNORT_REGEX_MATCH || last == KERNORT_REGEX_JUMP);
}

/* Every target is the first word of an instruction. One window of starts at a time, to need little memory. */
static bool are_targets_good(const struct kernort_ruleset_regex *regex, const u32 *code)
{
	u8 starts[WINDOW / 8];
	u32 window, at, target;

	for (window = 0; window < regex->word_count; window += WINDOW) {
		memset(starts, 0, sizeof(starts));
		for (at = 0; at < regex->word_count; at += width_of(code_of(code[at])))
			if (at >= window && at - window < WINDOW)
				starts[(at - window) >> 3] |= (u8)(1u << ((at - window) & 7));
		for (at = 0; at < regex->word_count; at += width_of(code_of(code[at]))) {
			if (!has_target(code_of(code[at])))
				continue;
			target = argument_of(code[at]);
			if (target >= regex->word_count)
				return false;
			if (target >= window && target - window < WINDOW &&
			    !(starts[(target - window) >> 3] & (1u << ((target - window) & 7))))
				return false;
		}
	}
	return true;
}

int kernort_regex_check(const struct kernort_regex_tables *tables, const struct kernort_ruleset_regex *regex)
{
	u32 most = regex->flags & KERNORT_REGEX_LINEAR ? KERNORT_REGEX_LINEAR_WORDS_MAX : KERNORT_REGEX_WORDS_MAX;
	const u32 *code;

	if (!regex->word_count || regex->word_count > most || regex->first_word > tables->code_count ||
	    regex->word_count > tables->code_count - regex->first_word)
		return -EINVAL;
	if (!regex->capture_count || regex->capture_count > KERNORT_REGEX_CAPTURES_MAX ||
	    regex->mark_count > KERNORT_REGEX_MARKS_MAX)
		return -EINVAL;
	if (regex->flags & KERNORT_REGEX_HAS_FIRST && regex->first_set >= tables->set_count)
		return -EINVAL;
	code = tables->code + regex->first_word;
	if (!are_instructions_good(tables, regex, code) || !are_targets_good(regex, code))
		return -EINVAL;
	return 0;
}

static bool is_word(const struct kernort_regex_run *run, u32 at)
{
	u8 byte;

	if (at >= run->length)
		return false;
	byte = run->subject[at];
	return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
	       byte == '_';
}

bool kernort_regex_assertion(const struct kernort_regex_run *run, u32 code, u32 at)
{
	u32 length = run->length;

	switch (code) {
	case KERNORT_REGEX_TEXT_START:
		return at == 0;
	case KERNORT_REGEX_TEXT_END:
		return at == length;
	case KERNORT_REGEX_TEXT_END_NEWLINE:
		return at == length || (at + 1 == length && run->subject[at] == '\n');
	case KERNORT_REGEX_LINE_START:
		return at == 0 || (at < length && run->subject[at - 1] == '\n');
	case KERNORT_REGEX_LINE_END:
		return at == length || run->subject[at] == '\n';
	case KERNORT_REGEX_WORD_BOUNDARY:
		return (at > 0 && is_word(run, at - 1)) != is_word(run, at);
	default:
		return (at > 0 && is_word(run, at - 1)) == is_word(run, at);
	}
}

static int search(struct kernort_regex_run *run, const struct kernort_ruleset_regex *regex, const u8 *first, u32 from,
		  u32 *failed_at, struct kernort_regex_span *span)
{
	u32 start, last = regex->flags & KERNORT_REGEX_ANCHORED ? 0 : run->length;
	int found;

	for (start = from; start <= last; start++) {
		if (first) {
			while (start < run->length && !kernort_regex_in_set(first, run->subject[start]))
				start++;
			if (start >= run->length || start > last)
				return 0;
		}
		found = kernort_regex_backtrack(run, start, &span->end);
		span->start = *failed_at = start;
		if (found)
			return found;
	}
	return 0;
}

/* No more steps than @steps, or than a share of the work that is left. Returns how many that are. */
static u32 allow(struct kernort_regex_run *run, u64 steps, const struct kernort_work *work)
{
	u64 share = kernort_work_share(work);

	steps = steps < share ? steps : share;
	run->steps = steps < 0xffffffff ? (u32)steps : 0xffffffff;
	return run->steps;
}

int kernort_regex_search(const struct kernort_regex_tables *tables, const struct kernort_ruleset_regex *regex,
			 const u8 *subject, u32 length, u32 from, struct kernort_regex_scratch *scratch,
			 struct kernort_work *work, struct kernort_regex_span *span)
{
	const u8 *first = regex->flags & KERNORT_REGEX_HAS_FIRST ? tables->sets[regex->first_set] : NULL;
	bool is_linear = regex->flags & KERNORT_REGEX_LINEAR, is_anchored = regex->flags & KERNORT_REGEX_ANCHORED;
	struct kernort_regex_run run = {
		.code = tables->code + regex->first_word,
		.code_count = regex->word_count,
		.sets = tables->sets,
		.subject = subject,
		.length = length,
		.scratch = scratch,
	};
	u64 wanted = (is_linear ? KERNORT_REGEX_STEPS_LINEAR : KERNORT_REGEX_STEPS) +
		     (u64)KERNORT_REGEX_STEPS_PER_BYTE * length;
	u32 allowed, failed_at = from;
	int found;

	/* The subject is a buffer of the engine: far below 2^28 bytes. */
	if (length >= 1u << 28)
		return -E2BIG;
	/* First bytes are looked for without counting. */
	kernort_work_spend(work, is_anchored ? 1 : 1 + (length - from) / KERNORT_WORK_SCAN_BYTES);
	allowed = allow(&run, wanted, work);
	found = search(&run, regex, first, from, &failed_at, span);
	kernort_work_spend(work, allowed - run.steps);
	if (found < 0 && is_linear) {
		wanted = ~0ULL;
		allowed = allow(&run, wanted, work);
		found = kernort_regex_pike(&run, failed_at, is_anchored, span);
		kernort_work_spend(work, allowed - run.steps);
	}
	work->is_cut |= found < 0 && allowed < wanted;
	return found;
}
