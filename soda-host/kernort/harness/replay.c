// SPDX-License-Identifier: GPL-2.0-only
/*
 * kernort-replay TABLE PCAP [--ignore-checksums] [--midstream] [--guest MEGABYTES]
 *
 * Runs a capture file through the engine and prints one line per alert, `gid sid rev time_us`, then the counters as
 * `# name value`, after a line `! sid tried matched steps` for each rule that was tried. With --guest the engine has what it has in a guest with so much memory. Exit status 0; 1 when a file cannot be used, with the reason on standard error.
 */
#include <stdio.h>
#include <stdlib.h>
#include "capture.h"
#include "kernort_engine.h"
#include "memory.h"
#include "ruleset.h"

static const struct kernort_engine_config replay_config = {
	.flows = 16384,
	.windows = 2048,
	.window_bytes = 65536,
	.segments = 4096,
	.fragment_queues = 64,
	.tracks = 65536,
	.documents = 512,
	.hash_key = { 0x6b65726e6f72740aULL, 0x7265706c61790a0aULL },
};

static void print_alert(void *context, const struct kernort_detection *alert)
{
	(void)context;
	if (alert->rule == KERNORT_NO_RULE)
		return; /* the counters say it */
	printf("%u %u %u %llu\n", alert->gid, alert->sid, alert->rev, (unsigned long long)alert->time_us);
}

static void print_counters(const struct kernort_counters *counters)
{
#define PRINT(name) printf("# " #name " %llu\n", (unsigned long long)counters->name)
	PRINT(packets);
	PRINT(undecodable);
	PRINT(bad_checksums);
	PRINT(flows);
	PRINT(flows_evicted);
	PRINT(fragments);
	PRINT(fragment_queues_dropped);
	PRINT(datagrams_reassembled);
	PRINT(segments_refused);
	PRINT(segments_dropped);
	PRINT(bytes_reassembled);
	PRINT(windows_evicted);
	PRINT(documents_evicted);
	PRINT(tracks_evicted);
	PRINT(rules_tried);
	PRINT(matches);
	PRINT(alerts);
	PRINT(alerts_dropped);
	PRINT(tries_cut);
	PRINT(regex_cut);
	PRINT(tagged);
	PRINT(work);
	PRINT(work_most);
	PRINT(retries_put_off);
	PRINT(packets_cut);
	PRINT(rules_cut);
#undef PRINT
}

/* A line `! sid tried matched steps` for each rule that was tried. */
static void print_uses(const struct kernort_ruleset *rules, const struct kernort_rule_use *uses)
{
	u32 i;

	for (i = 0; i < rules->counts[KERNORT_SECTION_RULES]; i++)
		if (uses[i].tried)
			printf("! %u %u %u %llu\n", rules->rules[i].sid, uses[i].tried, uses[i].matched,
			       (unsigned long long)uses[i].steps);
}

static int replay(struct kernort_engine *engine, struct capture *capture, const struct kernort_ruleset *rules,
		  bool is_checked)
{
	struct capture_frame frame;
	u64 last_us = 0;

	while (capture_next(capture, &frame)) {
		kernort_engine_packet(engine, frame.link_type, frame.bytes, frame.length, frame.time_us,
				      is_checked);
		last_us = frame.time_us;
	}
	kernort_engine_finish(engine, last_us);
	print_uses(rules, kernort_engine_rule_uses(engine));
	print_counters(kernort_engine_counters(engine));
	return 0;
}

int main(int argc, char **argv)
{
	struct kernort_engine_config config = replay_config;
	struct kernort_sink sink = { .alert = print_alert };
	struct kernort_ruleset rules;
	struct capture capture;
	struct memory_file table = { 0 };
	const char *where = "";
	bool is_checked = false;
	void *memory;
	int i;

	if (argc < 3) {
		fprintf(stderr, "usage: %s TABLE PCAP [--ignore-checksums] [--midstream] [--guest MEGABYTES]\n", argv[0]);
		return 1;
	}
	for (i = 3; i + 1 < argc; i++)
		if (!strcmp(argv[i], "--guest"))
			kernort_engine_config_for(&config, strtoull(argv[i + 1], NULL, 10) << 20);
	for (i = 3; i < argc; i++) {
		is_checked |= !strcmp(argv[i], "--ignore-checksums");
		config.picks_up_midstream |= !strcmp(argv[i], "--midstream");
	}
	if (memory_file_open(&table, argv[1]) || kernort_ruleset_open(&rules, table.bytes, (u32)table.length, &where)) {
		fprintf(stderr, "%s: not a rule table: %s\n", argv[1], where);
		return 1;
	}
	if (capture_open(&capture, argv[2])) {
		fprintf(stderr, "%s: neither a pcap nor a pcapng file\n", argv[2]);
		return 1;
	}
	memory = memory_zeroed(kernort_engine_size(&config, &rules));
	if (!memory) {
		fprintf(stderr, "not enough memory\n");
		return 1;
	}
	return replay(kernort_engine_init(memory, kernort_engine_size(&config, &rules), &config, &rules, sink), &capture,
		      &rules, is_checked);
}
