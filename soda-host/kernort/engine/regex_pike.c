// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pike's machine: all ways at once, one byte after the other.
 *
 * A list holds the words that are alive, best first, each once; so a byte costs at most one visit of each word,
 * whatever the text. See R. Cox, "Regular Expression Matching: the Virtual Machine Approach" (2009), and P. Briggs
 * and L. Torczon, "An Efficient Representation for Sparse Sets" (1993).
 */
#include "regex.h"

static bool is_alive(const struct kernort_regex_threads *list, u32 word)
{
	u32 index = list->sparse[word];

	return index < list->count && list->dense[index].word == word;
}

/* Entered, but not (yet) waiting for a byte. */
#define INERT 0xffffffffu
/* On the pending stack: waits for a byte after all that was pending above it. */
#define LATE 0x80000000u

static void enter(struct kernort_regex_threads *list, u32 word, u32 start)
{
	list->sparse[word] = (u16)list->count;
	list->dense[list->count++] = (struct kernort_regex_thread){ .word = word, .start = start };
}

/*
 * Enters @word and all that is reached from it without a byte, best first. Each word is entered once, and puts at
 * most two on the pending stack while it takes itself off: the stack never holds more than words plus one.
 * Returns false when the steps have run out.
 */
static bool follow(struct kernort_regex_run *run, struct kernort_regex_threads *list, u32 word, u32 at, u32 start)
{
	u32 *pending = run->scratch->pike.pending, count = 0, code, argument;

	pending[count++] = word;
	while (count) {
		if (!run->steps)
			return false;
		run->steps--;
		word = pending[--count];
		if (word & LATE) {
			list->dense[list->count++] =
				(struct kernort_regex_thread){ .word = word & ~LATE, .start = start };
			continue;
		}
		if (is_alive(list, word))
			continue;
		enter(list, word, start);
		code = run->code[word] & 0xff;
		argument = run->code[word] >> 8;
		switch (code) {
		case KERNORT_REGEX_MATCH:
		case KERNORT_REGEX_BYTE:
		case KERNORT_REGEX_SET:
		case KERNORT_REGEX_ANY:
			break;
		case KERNORT_REGEX_STAR:
			pending[count++] = word + 1;
			break;
		case KERNORT_REGEX_STAR_LAZY:
			list->dense[list->count - 1].start = INERT;
			pending[count++] = word | LATE;
			pending[count++] = word + 1;
			break;
		case KERNORT_REGEX_JUMP:
			pending[count++] = argument;
			break;
		case KERNORT_REGEX_SPLIT:
			pending[count++] = argument;
			pending[count++] = word + 1;
			break;
		case KERNORT_REGEX_SPLIT_TARGET:
			pending[count++] = word + 1;
			pending[count++] = argument;
			break;
		case KERNORT_REGEX_SAVE:
		case KERNORT_REGEX_MARK:
		case KERNORT_REGEX_MARK_MOVED:
			pending[count++] = word + 1;
			break;
		default:
			if (kernort_regex_assertion(run, code, at))
				pending[count++] = word + 1;
		}
	}
	return true;
}

/* Where a thread goes with @byte: KERNORT_RULESET_NONE for nowhere. */
static u32 after(const struct kernort_regex_run *run, u32 word, u8 byte)
{
	u32 argument = run->code[word] >> 8;

	switch (run->code[word] & 0xff) {
	case KERNORT_REGEX_BYTE:
		return byte == (argument & 0xff) || byte == argument >> 8 ? word + 1 : KERNORT_RULESET_NONE;
	case KERNORT_REGEX_SET:
		return kernort_regex_in_set(run->sets[argument], byte) ? word + 1 : KERNORT_RULESET_NONE;
	case KERNORT_REGEX_ANY:
		return word + 1;
	case KERNORT_REGEX_STAR:
	case KERNORT_REGEX_STAR_LAZY:
		return kernort_regex_in_set(run->sets[argument], byte) ? word : KERNORT_RULESET_NONE;
	default:
		return KERNORT_RULESET_NONE;
	}
}

/*
 * Moves all threads over the byte at @at. Returns 1 if one has matched before it; worse ones are dropped. 0 if none has,
 * -E2BIG when the steps have run out.
 */
static int advance(struct kernort_regex_run *run, const struct kernort_regex_threads *now,
		    struct kernort_regex_threads *next, u32 at, struct kernort_regex_span *span)
{
	u32 i, word;

	for (i = 0; i < now->count; i++) {
		if (now->dense[i].start == INERT)
			continue;
		if ((run->code[now->dense[i].word] & 0xff) == KERNORT_REGEX_MATCH) {
			*span = (struct kernort_regex_span){ .start = now->dense[i].start, .end = at };
			return 1;
		}
		if (at >= run->length)
			continue;
		word = after(run, now->dense[i].word, run->subject[at]);
		if (word != KERNORT_RULESET_NONE && !follow(run, next, word, at + 1, now->dense[i].start))
			return -E2BIG;
	}
	return 0;
}

int kernort_regex_pike(struct kernort_regex_run *run, u32 from, bool anchored, struct kernort_regex_span *span)
{
	struct kernort_regex_threads *now = &run->scratch->pike.lists[0], *next = &run->scratch->pike.lists[1], *swap;
	bool matched = false;
	int found;
	u32 at;

	/* Sparse sets need no contents, but what tells about undefined memory does not know that. */
	memset(now->sparse, 0, sizeof(now->sparse));
	memset(next->sparse, 0, sizeof(next->sparse));
	now->count = 0;
	for (at = from; at <= run->length; at++) {
		if (!matched && (at == from || !anchored) && !follow(run, now, 0, at, at))
			return -E2BIG;
		if (!now->count)
			break;
		next->count = 0;
		found = advance(run, now, next, at, span);
		if (found < 0)
			return found;
		matched |= found;
		swap = now;
		now = next;
		next = swap;
	}
	return matched;
}
