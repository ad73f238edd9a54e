// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs expressions on subjects, for tests that compare the machines with others.
 *
 * Standard input: cases, each of eight u32 (flags, first set, captures, marks, words, sets, bytes of subject, from),
 * then words, sets of 32 bytes, subject; little-endian. Standard output: one line a case, what the search found and
 * what Pike's machine alone finds ("-" where it may not run): "bad", "none", "cut" or START-END.
 */
#include <stdio.h>
#include <stdlib.h>

#include "regex.h"

static void *read_all(size_t bytes)
{
	/* Exactly as large as it is said to be, so that a sanitizer sees the first byte beyond. */
	void *memory = malloc(bytes ? bytes : 1);

	if (!memory || fread(memory, 1, bytes, stdin) != bytes)
		exit(1);
	return memory;
}

static void print_found(int found, struct kernort_regex_span span)
{
	if (found > 0)
		printf("%u-%u", span.start, span.end);
	else
		printf("%s", found ? "cut" : "none");
}

static void print_pike(const struct kernort_regex_tables *tables, const struct kernort_ruleset_regex *regex,
		       const u8 *subject, u32 length, u32 from, struct kernort_regex_scratch *scratch)
{
	struct kernort_regex_run run = { .code = tables->code,
					 .code_count = regex->word_count,
					 .sets = tables->sets,
					 .subject = subject,
					 .length = length,
					 .steps = 0xffffffff,
					 .scratch = scratch };
	struct kernort_regex_span span = { 0 };
	int found;

	if (!(regex->flags & KERNORT_REGEX_LINEAR)) {
		printf("-");
		return;
	}
	found = kernort_regex_pike(&run, from, regex->flags & KERNORT_REGEX_ANCHORED && from == 0, &span);
	print_found(found, span);
}

int main(void)
{
	struct kernort_regex_scratch *scratch = malloc(sizeof(*scratch));
	u32 head[8];

	while (scratch && fread(head, sizeof(head), 1, stdin) == 1) {
		struct kernort_ruleset_regex regex = { .word_count = head[4],
						       .flags = head[0],
						       .first_set = head[1],
						       .capture_count = (u16)head[2],
						       .mark_count = (u16)head[3] };
		u32 *code = read_all((size_t)head[4] * sizeof(u32));
		u8 *sets = read_all((size_t)head[5] * 32), *subject = read_all(head[6]);
		struct kernort_regex_tables tables = { .code = code,
						       .code_count = head[4],
						       .sets = (const u8 (*)[32])sets,
						       .set_count = head[5] };
		struct kernort_regex_span span = { 0 };
		struct kernort_work work = { .limit = ~0ULL };

		if (kernort_regex_check(&tables, &regex)) {
			printf("bad bad\n");
		} else {
			print_found(kernort_regex_search(&tables, &regex, subject, head[6], head[7], scratch, &work, &span),
				    span);
			printf(" ");
			print_pike(&tables, &regex, subject, head[6], head[7], scratch);
			printf("\n");
		}
		free(code);
		free(sets);
		free(subject);
	}
	free(scratch);
	return 0;
}
