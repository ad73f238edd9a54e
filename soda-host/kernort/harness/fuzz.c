// SPDX-License-Identifier: GPL-2.0-only
/*
 * kernort-fuzz TARGET SEED ROUNDS TABLE PCAP...
 *
 * Feeds broken input to the engine. Built with the address and undefined-behaviour sanitizers, which end the program
 * at the first wrong access: status 0 means that nothing was found. The same SEED makes the same input.
 *
 * Targets: `packets` (decoding, fragments, flows, reassembly, detection: frames of the captures, mutated, doubled,
 * dropped and reordered), `table` (the loader, and the engine with any table that it takes). Parsers alone:
 * dialogue-fuzz.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include "capture.h"
#include "kernort_engine.h"
#include "mutation.h"
#include "ruleset.h"

#define FRAME_MAX 65536u
#define FRAMES_MAX 20000u
#define TABLE_ROUND_FRAMES 40u

struct corpus {
	struct capture_frame *frames;
	u32 count;
};

static void read_corpus(struct corpus *corpus, int count, char **paths)
{
	int i;

	corpus->frames = calloc(FRAMES_MAX, sizeof(*corpus->frames));
	corpus->count = 0;
	for (i = 0; corpus->frames && i < count; i++) {
		struct capture capture;

		if (capture_open(&capture, paths[i])) {
			fprintf(stderr, "%s: not a capture\n", paths[i]);
			exit(1);
		}
		while (corpus->count < FRAMES_MAX && capture_next(&capture, &corpus->frames[corpus->count]))
			corpus->count++;
	}
	if (corpus->count == 0) {
		fprintf(stderr, "no frames\n");
		exit(1);
	}
}

static void ignore_alert(void *context, const struct kernort_detection *alert)
{
	(void)alert;
	++*(u64 *)context;
}

/* Small on purpose: every pool runs out, everything is evicted. */
static const struct kernort_engine_config small_config = {
	.flows = 16,
	.windows = 8,
	.window_bytes = 4096,
	.segments = 24,
	.fragment_queues = 4,
	.tracks = 32,
	.documents = 3,
	.hash_key = { 1, 2 },
};

static struct kernort_engine *new_engine(const struct kernort_ruleset *rules, u64 *alerts, void **memory)
{
	struct kernort_engine_config config = small_config;
	struct kernort_sink sink = { .alert = ignore_alert, .context = alerts };
	u64 size;

	config.picks_up_midstream = random_below(2);
	size = kernort_engine_size(&config, rules);
	*memory = calloc(1, size);
	if (!*memory)
		abort();
	return kernort_engine_init(*memory, size, &config, rules, sink);
}

static void feed_frame(struct kernort_engine *engine, const struct capture_frame *frame, u32 mutations, u64 time_us)
{
	static u8 bytes[FRAME_MAX];
	u32 length = frame->length < FRAME_MAX ? frame->length : FRAME_MAX;
	u8 *copy;

	memcpy(bytes, frame->bytes, length);
	length = mutate(bytes, length, FRAME_MAX, mutations);
	copy = exact_copy(bytes, length);
	kernort_engine_packet(engine, frame->link_type, copy, length, time_us, random_below(2));
	free(copy);
}

static void fuzz_packets(const struct corpus *corpus, const struct kernort_ruleset *rules, u32 rounds)
{
	u64 alerts = 0, time_us = 0;
	u32 round, at = 0;
	void *memory;
	struct kernort_engine *engine = new_engine(rules, &alerts, &memory);

	for (round = 0; round < rounds; round++) {
		const struct capture_frame *frame = &corpus->frames[at];

		if (round % 4096 == 4095) {
			kernort_engine_finish(engine, time_us);
			free(memory);
			engine = new_engine(rules, &alerts, &memory);
		}
		time_us += random_below(1000) ? random_below(5000) : 40000000;
		feed_frame(engine, frame, random_below(3) ? 0 : 1 + random_below(4), time_us);
		/* Mostly in order, so that connections open; sometimes again, earlier or somewhere else. */
		at = random_below(16) ? at + 1 : random_below(2) ? at : random_below(corpus->count);
		at %= corpus->count;
	}
	kernort_engine_finish(engine, time_us);
	free(memory);
}

/* Often in the header. */
static u32 place_to_break(const u8 *table, u32 size)
{
	(void)table;
	return random_below(random_below(4) ? size : sizeof(struct kernort_ruleset_header));
}

static void fuzz_table(const struct corpus *corpus, const struct memory_file *table, u32 rounds)
{
	u32 round, i, size = (u32)table->length, taken = 0;
	u64 alerts = 0;

	for (round = 0; round < rounds; round++) {
		struct kernort_ruleset rules;
		struct kernort_engine *engine;
		const char *where;
		void *memory;
		u8 *copy = broken_table(table->bytes, size, place_to_break);

		if (!kernort_ruleset_open(&rules, copy, size, &where)) {
			taken++;
			engine = new_engine(&rules, &alerts, &memory);
			for (i = 0; i < TABLE_ROUND_FRAMES; i++)
				feed_frame(engine, &corpus->frames[(round * 7 + i) % corpus->count], 0, i);
			kernort_engine_finish(engine, i);
			free(memory);
		}
		free(copy);
	}
	printf("%u of %u tables taken\n", taken, rounds);
}

int main(int argc, char **argv)
{
	struct kernort_ruleset rules;
	struct memory_file table = { 0 };
	struct corpus corpus;
	const char *where = "";
	u32 rounds;

	if (argc < 6) {
		fprintf(stderr, "usage: %s TARGET SEED ROUNDS TABLE PCAP...\n", argv[0]);
		return 1;
	}
	random_seed(argv[2]);
	rounds = (u32)strtoul(argv[3], NULL, 10);
	if (memory_file_open(&table, argv[4]) || kernort_ruleset_open(&rules, table.bytes, (u32)table.length, &where)) {
		fprintf(stderr, "%s: not a rule table: %s\n", argv[4], where);
		return 1;
	}
	read_corpus(&corpus, argc - 5, argv + 5);
	if (!strcmp(argv[1], "packets"))
		fuzz_packets(&corpus, &rules, rounds);
	else if (!strcmp(argv[1], "table"))
		fuzz_table(&corpus, &table, rounds);
	else
		return 1;
	free(corpus.frames);
	return 0;
}
