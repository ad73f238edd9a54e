// SPDX-License-Identifier: GPL-2.0-only
/*
 * kernort-fuzz_events TARGET SEED ROUNDS TABLE [TEXT...]
 *
 * Feeds broken acts and tables to the rules on events. Built with the address and undefined-behaviour sanitizers, which end
 * the program at the first wrong access: status 0 means that nothing was found. The same SEED makes the same input.
 *
 * Targets: `acts` (any act with any texts: made of words of the TEXT files, mutated; forks, ends, terminals), `event-table`
 * (the loader, mostly where rules on events are, and acts by each table that it takes).
 */
#include <stdio.h>
#include <stdlib.h>
#include "events.h"
#include "memory.h"
#include "mutation.h"
#include "ruleset.h"

#define TEXT_MAX 4096u
#define WORDS_MAX 4096u
#define TABLE_ROUND_ACTS 60u

static struct kernort_piece words[WORDS_MAX];
static u32 word_count;

/* Lines of a file are words. */
static void read_words(const char *path)
{
	struct memory_file file = { 0 };
	u64 start = 0, at;

	if (memory_file_open(&file, path)) {
		fprintf(stderr, "%s: cannot be read\n", path);
		exit(1);
	}
	for (at = 0; at < file.length && word_count < WORDS_MAX; at++)
		if (file.bytes[at] == '\n') {
			words[word_count++] = (struct kernort_piece){ file.bytes + start, at - start };
			start = at + 1;
		}
}

/* A few words, some bytes of them changed, in memory of exactly that size. */
static struct kernort_piece new_text(void)
{
	static u8 bytes[TEXT_MAX];
	u32 length = 0, i, changes;

	for (i = random_below(4); i > 0 && word_count > 0; i--) {
		const struct kernort_piece *word = &words[random_below(word_count)];

		if (word->length > TEXT_MAX - length)
			break;
		memcpy(bytes + length, word->bytes, word->length);
		length += (u32)word->length;
	}
	for (changes = random_below(3) ? 0 : random_below(8); changes > 0 && length > 0; changes--)
		bytes[random_below(length)] = (u8)random_below(256);
	return (struct kernort_piece){ exact_copy(bytes, length), length };
}

static void do_act(struct kernort_events *events, u64 time_us)
{
	struct kernort_event event = { .kind = random_below(KERNORT_EVENT_COUNT), .pid = random_below(3000) };
	struct kernort_verdict verdict;
	u32 i;

	event.time_us = time_us;
	event.given = random_below(2) ? 0xffffffffu >> (32 - KERNORT_NUMBER_COUNT) : random_below(1u << KERNORT_NUMBER_COUNT);
	for (i = 0; i < KERNORT_NUMBER_COUNT; i++)
		event.numbers[i] = random_below(3) ? random_below(4) : (u32)random_state;
	for (i = 0; i < KERNORT_TEXT_COUNT; i++)
		if (random_below(4))
			event.texts[i] = new_text();
	event.address.family = (u8)(random_below(3) * 2 + random_below(2) * 2);
	event.port = (u16)random_below(65536);
	kernort_events_judge(events, &event, &verdict);
	for (i = 0; i < verdict.count; i++)
		if (verdict.rules[i] >= KERNORT_EVENT_RULES_MAX)
			abort();
	for (i = 0; i < KERNORT_TEXT_COUNT; i++)
		free((void *)event.texts[i].bytes);
}

static void do_terminal(struct kernort_events *events)
{
	struct kernort_event event = { .kind = random_below(2) ? KERNORT_EVENT_TYPED : KERNORT_EVENT_SHOWN };
	struct kernort_piece text = new_text();
	u32 device = random_below(60), at = 0;
	struct kernort_verdict verdict;

	while (at < text.length)
		at += kernort_events_console(events, &event, device, (const u8 *)text.bytes + at, (u32)text.length - at,
					     &verdict);
	free((void *)text.bytes);
}

static void do_something(struct kernort_events *events, u64 time_us)
{
	switch (random_below(6)) {
	case 0:
		kernort_events_forked(events, random_below(3000), random_below(3000));
		break;
	case 1:
		kernort_events_exited(events, random_below(3000));
		break;
	case 2:
		do_terminal(events);
		break;
	default:
		do_act(events, time_us);
	}
}

static struct kernort_events *new_events(const struct kernort_ruleset *rules)
{
	void *memory = calloc(1, kernort_events_size());

	if (!memory)
		abort();
	return kernort_events_init(memory, rules, random_state);
}

static void fuzz_acts(const struct kernort_ruleset *rules, u32 rounds)
{
	struct kernort_events *events = new_events(rules);
	u64 time_us = 0;

	while (rounds-- > 0) {
		time_us += random_below(100) ? random_below(50000) : 40000000;
		do_something(events, time_us);
	}
	printf("%llu rules matched\n", (unsigned long long)kernort_events_counters(events)->matches);
	free(events);
}

/* Where to break it: in the header, in the rules on events, in blocks or options, anywhere. */
static u32 place_to_break(const u8 *table, u32 size)
{
	static const u32 sections[] = { KERNORT_SECTION_EVENT_RULES, KERNORT_SECTION_BLOCKS, KERNORT_SECTION_OPTIONS };
	const struct kernort_ruleset_header *header = (const void *)table;
	const struct kernort_ruleset_section *section = &header->sections[sections[random_below(3)]];
	u32 bytes = section->count * section->entry_size;

	if (random_below(8) == 0)
		return random_below(sizeof(*header));
	if (random_below(8) == 0 || bytes == 0)
		return random_below(size);
	return section->offset + random_below(bytes);
}

static void fuzz_table(const struct memory_file *table, u32 rounds)
{
	u32 round, i, size = (u32)table->length, taken = 0;

	for (round = 0; round < rounds; round++) {
		struct kernort_ruleset rules;
		struct kernort_events *events;
		const char *where;
		u8 *copy = broken_table(table->bytes, size, place_to_break);

		if (!kernort_ruleset_open(&rules, copy, size, &where)) {
			taken++;
			events = new_events(&rules);
			for (i = 0; i < TABLE_ROUND_ACTS; i++)
				do_something(events, i * 1000000ULL);
			free(events);
		}
		free(copy);
	}
	printf("%u of %u tables taken\n", taken, rounds);
}

int main(int argc, char **argv)
{
	struct kernort_ruleset rules;
	struct memory_file table = { 0 };
	const char *where = "";
	u32 rounds;
	int i;

	if (argc < 5) {
		fprintf(stderr, "usage: %s TARGET SEED ROUNDS TABLE [TEXT...]\n", argv[0]);
		return 1;
	}
	random_seed(argv[2]);
	rounds = (u32)strtoul(argv[3], NULL, 10);
	if (memory_file_open(&table, argv[4]) || kernort_ruleset_open(&rules, table.bytes, (u32)table.length, &where)) {
		fprintf(stderr, "%s: not a rule table: %s\n", argv[4], where);
		return 1;
	}
	for (i = 5; i < argc; i++)
		read_words(argv[i]);
	if (!strcmp(argv[1], "acts"))
		fuzz_acts(&rules, rounds);
	else if (!strcmp(argv[1], "event-table"))
		fuzz_table(&table, rounds);
	else
		return 1;
	return 0;
}
