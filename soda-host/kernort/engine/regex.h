/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Regular expressions of a rule table: check, and search with bounded time and memory.
 *
 * Two machines run the same words. The backtracker is fast on what rules and honest traffic are like; its steps are
 * counted. When they run out, a linear program starts again on Pike's machine, which needs no luck: every position of
 * the subject costs at most one visit of each word. Programs that look back or around have the backtracker only. Both end
 * where the packet's work ends; a search that is cut off is told as such.
 */
#ifndef KERNORT_REGEX_H
#define KERNORT_REGEX_H

#include "kernort_env.h"
#include "kernort_ruleset.h"
#include "work.h"

#define KERNORT_REGEX_STACK 8192
/* Steps of one search, and more per byte of the subject. A linear program has another machine to fall back on. */
#define KERNORT_REGEX_STEPS_LINEAR 4096
#define KERNORT_REGEX_STEPS 65536
#define KERNORT_REGEX_STEPS_PER_BYTE 16

struct kernort_regex_tables {
	const u32 *code;
	u32 code_count;
	const u8 (*sets)[32];
	u32 set_count;
};

struct kernort_regex_span {
	u32 start;
	u32 end;
};

struct kernort_regex_choice {
	u32 kind; /* regex_backtrack.c */
	u32 word;
	u32 at;
	u32 other;
};

struct kernort_regex_frame {
	u32 word; /* of the lookaround or atomic group */
	u32 at; /* where it began */
	u32 base; /* choices below are not its own */
};

struct kernort_regex_thread {
	u32 word;
	u32 start;
};

struct kernort_regex_threads {
	u32 count;
	struct kernort_regex_thread dense[2 * KERNORT_REGEX_LINEAR_WORDS_MAX];
	u16 sparse[KERNORT_REGEX_LINEAR_WORDS_MAX];
};

/* Working memory of a search; contents mean nothing between searches. */
struct kernort_regex_scratch {
	union {
		struct {
			struct kernort_regex_choice stack[KERNORT_REGEX_STACK];
			struct kernort_regex_frame frames[KERNORT_REGEX_DEPTH_MAX];
			u32 captures[KERNORT_REGEX_CAPTURES_MAX * 2];
			u32 marks[KERNORT_REGEX_MARKS_MAX];
		} backtrack;
		struct {
			struct kernort_regex_threads lists[2];
			u32 pending[KERNORT_REGEX_LINEAR_WORDS_MAX + 2];
		} pike;
	};
};

/* One search under way. */
struct kernort_regex_run {
	const u32 *code;
	u32 code_count;
	const u8 (*sets)[32];
	const u8 *subject;
	u32 length;
	u32 steps; /* left to the machine that runs */
	struct kernort_regex_scratch *scratch;
};

/**
 * kernort_regex_check() - is a program safe to run?
 * Return: 0, or -EINVAL. Nothing in a program that passes leads outside of the tables or the scratch.
 */
int kernort_regex_check(const struct kernort_regex_tables *tables, const struct kernort_ruleset_regex *regex);

/**
 * kernort_regex_search() - the leftmost match that starts at @from or later
 * @regex: checked
 * @subject: @length bytes; assertions see nothing around them
 * @work: spends of this, and no more than is left
 * @span: set when there is a match
 * Return: 1 for a match, 0 for none, -E2BIG when it was cut off.
 */
int kernort_regex_search(const struct kernort_regex_tables *tables, const struct kernort_ruleset_regex *regex,
			 const u8 *subject, u32 length, u32 from, struct kernort_regex_scratch *scratch,
			 struct kernort_work *work, struct kernort_regex_span *span);

/* The machines; regex.c chooses. */
int kernort_regex_backtrack(struct kernort_regex_run *run, u32 start, u32 *end);
int kernort_regex_pike(struct kernort_regex_run *run, u32 from, bool anchored, struct kernort_regex_span *span);
bool kernort_regex_assertion(const struct kernort_regex_run *run, u32 code, u32 at);

static inline bool kernort_regex_in_set(const u8 set[32], u8 byte)
{
	return set[byte >> 3] & (1u << (byte & 7));
}

#endif
