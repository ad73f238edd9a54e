// SPDX-License-Identifier: GPL-2.0-only
/*
 * The backtracker: tries ways in Perl's order of preference.
 *
 * Its stack holds what is still to be tried and what has to be put back on the way there. A lookaround or atomic
 * group puts down a barrier: if its body fails, the barrier comes up; if it matches, its own choices are dropped and
 * only what has to be put back stays. Steps and stack are bounded; whatever a program does, it stays inside both.
 */
#include "regex.h"

enum choice_kind {
	CHOICE_GO, /* go on at word, at */
	CHOICE_CAPTURE, /* put back captures[word] = at */
	CHOICE_MARK, /* put back marks[word] = at */
	CHOICE_SHORTER, /* go on at word, at one byte earlier than at, not before other */
	CHOICE_LONGER, /* go on at word one byte further, other more are allowed */
	CHOICE_BARRIER, /* the body of the latest frame has failed */
};

#define UNSET 0xffffffffu

struct machine {
	struct kernort_regex_run *run;
	u32 top; /* of the stack */
	u32 depth; /* of the frames */
	u32 word;
	u32 at;
};

static bool push(struct machine *m, u32 kind, u32 word, u32 at, u32 other)
{
	if (m->top >= KERNORT_REGEX_STACK)
		return false;
	m->run->scratch->backtrack.stack[m->top++] =
		(struct kernort_regex_choice){ .kind = kind, .word = word, .at = at, .other = other };
	return true;
}

static bool spend(struct machine *m, u32 steps)
{
	if (m->run->steps < steps)
		return false;
	m->run->steps -= steps;
	return true;
}

static u32 target_of(const struct machine *m, u32 word)
{
	return m->run->code[word] >> 8;
}

static bool is_negative(u32 code)
{
	return code == KERNORT_REGEX_NOT_AHEAD || code == KERNORT_REGEX_NOT_BEHIND;
}

static void put_back(struct machine *m, const struct kernort_regex_choice *choice)
{
	if (choice->kind == CHOICE_CAPTURE)
		m->run->scratch->backtrack.captures[choice->word] = choice->at;
	else if (choice->kind == CHOICE_MARK)
		m->run->scratch->backtrack.marks[choice->word] = choice->at;
}

/* If what follows is one certain byte, only places before it are worth trying. */
static u32 last_useful(const struct machine *m, u32 word, u32 at, u32 least)
{
	u32 next = m->run->code[word], low = (next >> 8) & 0xff, high = next >> 16;

	if ((next & 0xff) != KERNORT_REGEX_BYTE)
		return at;
	while (at > least &&
	       (at >= m->run->length || (m->run->subject[at] != low && m->run->subject[at] != high)))
		at--;
	return at;
}

static bool is_in_set_at(const struct machine *m, u32 set, u32 at)
{
	return at < m->run->length && kernort_regex_in_set(m->run->sets[set], m->run->subject[at]);
}

/* Takes up what is left to try. Returns 1 to go on, 0 when nothing is left, -E2BIG. */
static int back_up(struct machine *m)
{
	struct kernort_regex_choice choice;
	struct kernort_regex_frame *frame;
	u32 set;

	while (m->top) {
		choice = m->run->scratch->backtrack.stack[--m->top];
		switch (choice.kind) {
		case CHOICE_GO:
			m->word = choice.word;
			m->at = choice.at;
			return 1;
		case CHOICE_SHORTER:
			m->word = choice.word;
			m->at = last_useful(m, choice.word, choice.at - 1, choice.other);
			if (!spend(m, (choice.at - m->at) / 16 + 1))
				return -E2BIG;
			if (m->at > choice.other && !push(m, CHOICE_SHORTER, choice.word, m->at, choice.other))
				return -E2BIG;
			return 1;
		case CHOICE_LONGER:
			set = target_of(m, choice.word);
			if (!is_in_set_at(m, set, choice.at))
				break;
			if (choice.other > 1 &&
			    !push(m, CHOICE_LONGER, choice.word, choice.at + 1, choice.other - 1))
				return -E2BIG;
			m->word = choice.word + ((m->run->code[choice.word] & 0xff) == KERNORT_REGEX_STAR_LAZY ? 1 : 3);
			m->at = choice.at + 1;
			return 1;
		case CHOICE_BARRIER:
			frame = &m->run->scratch->backtrack.frames[--m->depth];
			if (!is_negative(m->run->code[frame->word] & 0xff))
				break;
			m->word = target_of(m, frame->word);
			m->at = frame->at;
			return 1;
		default:
			put_back(m, &choice);
		}
	}
	return 0;
}

/* The body of the latest frame has matched. Returns as back_up(). */
static int end_body(struct machine *m)
{
	struct kernort_regex_frame *frame = &m->run->scratch->backtrack.frames[m->depth - 1];
	struct kernort_regex_choice *stack = m->run->scratch->backtrack.stack;
	u32 code = m->run->code[frame->word] & 0xff, i, kept = frame->base;

	if (code >= KERNORT_REGEX_BEHIND && code <= KERNORT_REGEX_NOT_BEHIND && m->at != frame->at)
		return back_up(m);
	m->depth--;
	if (is_negative(code)) {
		while (m->top > frame->base)
			put_back(m, &stack[--m->top]);
		return back_up(m);
	}
	for (i = frame->base; i < m->top; i++)
		if (stack[i].kind == CHOICE_CAPTURE || stack[i].kind == CHOICE_MARK)
			stack[kept++] = stack[i];
	m->top = kept;
	m->word = target_of(m, frame->word);
	if (code != KERNORT_REGEX_ATOMIC)
		m->at = frame->at;
	return 1;
}

static int begin_body(struct machine *m, u32 code)
{
	bool behind = code == KERNORT_REGEX_BEHIND || code == KERNORT_REGEX_NOT_BEHIND;
	u32 width = behind ? m->run->code[m->word + 1] : 0;

	if (m->depth >= KERNORT_REGEX_DEPTH_MAX)
		return -E2BIG;
	m->run->scratch->backtrack.frames[m->depth] =
		(struct kernort_regex_frame){ .word = m->word, .at = m->at, .base = m->top };
	if (!push(m, CHOICE_BARRIER, 0, 0, 0))
		return -E2BIG;
	m->depth++;
	if (width > m->at)
		return back_up(m);
	m->at -= width;
	m->word += behind ? 2 : 1;
	return 1;
}

static int repeat(struct machine *m, u32 set, u32 least, u32 most, u32 width)
{
	u32 count = 0, next = m->word + width, end;

	while (count < most && is_in_set_at(m, set, m->at + count))
		count++;
	if (!spend(m, count / 16 + 1))
		return -E2BIG;
	if (count < least)
		return back_up(m);
	end = last_useful(m, next, m->at + count, m->at + least);
	if (end > m->at + least && !push(m, CHOICE_SHORTER, next, end, m->at + least))
		return -E2BIG;
	m->word = next;
	m->at = end;
	return 1;
}

static int repeat_lazily(struct machine *m, u32 set, u32 least, u32 most, u32 width)
{
	u32 count = 0;

	while (count < least && is_in_set_at(m, set, m->at + count))
		count++;
	if (!spend(m, count / 16 + 1))
		return -E2BIG;
	if (count < least)
		return back_up(m);
	m->at += least;
	if (most > least && !push(m, CHOICE_LONGER, m->word, m->at, most - least))
		return -E2BIG;
	m->word += width;
	return 1;
}

static u8 folded(u8 byte, bool nocase)
{
	return nocase && byte >= 'A' && byte <= 'Z' ? byte + 32 : byte;
}

static int back_reference(struct machine *m, u32 group, bool nocase)
{
	const u32 *captures = m->run->scratch->backtrack.captures;
	u32 start = captures[2 * group], end = captures[2 * group + 1], i;
	const u8 *subject = m->run->subject;

	if (start == UNSET || end == UNSET || end < start || end - start > m->run->length - m->at)
		return back_up(m);
	if (!spend(m, (end - start) / 16 + 1))
		return -E2BIG;
	for (i = 0; i < end - start; i++)
		if (folded(subject[start + i], nocase) != folded(subject[m->at + i], nocase))
			return back_up(m);
	m->at += end - start;
	m->word++;
	return 1;
}

static int remember(struct machine *m, u32 *slots, u32 slot, u32 kind)
{
	if (!push(m, kind, slot, slots[slot], 0))
		return -E2BIG;
	slots[slot] = m->at;
	m->word++;
	return 1;
}

static int consume(struct machine *m, bool matches)
{
	if (!matches)
		return back_up(m);
	m->at++;
	m->word++;
	return 1;
}

/* One instruction that is not MATCH. Returns 1 to go on, 0 when no way is left, -E2BIG. */
static int step(struct machine *m)
{
	const struct kernort_regex_run *run = m->run;
	u32 word = run->code[m->word], code = word & 0xff, argument = word >> 8;
	u8 byte = m->at < run->length ? run->subject[m->at] : 0;
	bool more = m->at < run->length;

	switch (code) {
	case KERNORT_REGEX_BYTE:
		return consume(m, more && (byte == (argument & 0xff) || byte == argument >> 8));
	case KERNORT_REGEX_SET:
		return consume(m, more && kernort_regex_in_set(run->sets[argument], byte));
	case KERNORT_REGEX_ANY:
		return consume(m, more);
	case KERNORT_REGEX_JUMP:
		m->word = argument;
		return 1;
	case KERNORT_REGEX_SPLIT:
		if (!push(m, CHOICE_GO, argument, m->at, 0))
			return -E2BIG;
		m->word++;
		return 1;
	case KERNORT_REGEX_SPLIT_TARGET:
		if (!push(m, CHOICE_GO, m->word + 1, m->at, 0))
			return -E2BIG;
		m->word = argument;
		return 1;
	case KERNORT_REGEX_STAR:
		return repeat(m, argument, 0, UNSET, 1);
	case KERNORT_REGEX_STAR_LAZY:
		return repeat_lazily(m, argument, 0, UNSET, 1);
	case KERNORT_REGEX_REPEAT:
		return repeat(m, argument, run->code[m->word + 1], run->code[m->word + 2], 3);
	case KERNORT_REGEX_REPEAT_LAZY:
		return repeat_lazily(m, argument, run->code[m->word + 1], run->code[m->word + 2], 3);
	case KERNORT_REGEX_SAVE:
		return remember(m, m->run->scratch->backtrack.captures, argument, CHOICE_CAPTURE);
	case KERNORT_REGEX_MARK:
		return remember(m, m->run->scratch->backtrack.marks, argument, CHOICE_MARK);
	case KERNORT_REGEX_MARK_MOVED:
		m->word += run->scratch->backtrack.marks[argument] == m->at ? 2 : 1;
		return 1;
	case KERNORT_REGEX_BACKREF:
	case KERNORT_REGEX_BACKREF_NOCASE:
		return back_reference(m, argument, code == KERNORT_REGEX_BACKREF_NOCASE);
	case KERNORT_REGEX_AHEAD:
	case KERNORT_REGEX_NOT_AHEAD:
	case KERNORT_REGEX_BEHIND:
	case KERNORT_REGEX_NOT_BEHIND:
	case KERNORT_REGEX_ATOMIC:
		return begin_body(m, code);
	default:
		if (!kernort_regex_assertion(run, code, m->at))
			return back_up(m);
		m->word++;
		return 1;
	}
}

/* A match that starts at @start. Returns 1 and @end, 0, or -E2BIG. */
int kernort_regex_backtrack(struct kernort_regex_run *run, u32 start, u32 *end)
{
	struct machine m = { .run = run, .at = start };
	int going = 1;

	memset(run->scratch->backtrack.captures, 0xff, sizeof(run->scratch->backtrack.captures));
	memset(run->scratch->backtrack.marks, 0xff, sizeof(run->scratch->backtrack.marks));
	while (going > 0) {
		if (!spend(&m, 1))
			return -E2BIG;
		if ((run->code[m.word] & 0xff) != KERNORT_REGEX_MATCH) {
			going = step(&m);
		} else if (m.depth) {
			going = end_body(&m);
		} else {
			*end = m.at;
			return 1;
		}
	}
	return going;
}
