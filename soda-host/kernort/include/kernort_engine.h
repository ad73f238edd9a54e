/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: The detection engine's front door
 *
 * The caller gives a compiled rule table, a configuration and one block of zeroed memory; then packets with their
 * time. Alerts come back through one function while a packet is being looked at. Nothing is allocated, nothing
 * sleeps, and an engine is used by one caller at a time.
 *
 *	size = kernort_engine_size(&config, &rules);
 *	engine = kernort_engine_init(memory, size, &config, &rules, sink);
 *	kernort_engine_packet(engine, KERNORT_LINK_ETHERNET, frame, length, now_us, false);
 *	kernort_engine_finish(engine, now_us);
 */
#ifndef KERNORT_ENGINE_H
#define KERNORT_ENGINE_H

#include "kernort_env.h"

struct kernort_engine;
struct kernort_ruleset;

struct kernort_engine_config {
	u32 flows; /* most flows at a time; the least recently used gives way */
	u32 windows; /* streams (one direction of a TCP flow) whose content is kept for matching */
	u32 window_bytes; /* of each */
	u32 segments; /* TCP segments that wait for a gap to close, of 2,048 bytes each */
	u32 fragment_queues; /* IP datagrams that are being put together */
	u32 tracks; /* counters of thresholds and detection filters, and xbits */
	u32 documents; /* HTTP, TLS or line conversations that are being parsed */
	bool picks_up_midstream; /* follow TCP flows whose beginning was not seen */
	u64 hash_key[2]; /* random, so that nobody can aim flows at one chain */
};

/* What the engine tells of itself has these instead of a rule's. */
#define KERNORT_NO_RULE 0xffffffffu
#define KERNORT_ENGINE_GID 65000
#define KERNORT_ENGINE_SID_CUT 1 /* a packet was too costly: rules were left out (work.h) */
#define KERNORT_ENGINE_MESSAGE_CUT "detection cut short: this traffic costs more work than it has earned"
#define KERNORT_ENGINE_SID_TAGGED 2 /* a packet that an earlier match has tagged; rev: the sid of its rule */
#define KERNORT_ENGINE_MESSAGE_TAGGED "tagged packet"

struct kernort_detection {
	u32 rule; /* index in the table, or KERNORT_NO_RULE */
	u32 gid, sid, rev;
	u8 action, priority;
	u64 time_us;
	u8 family, ip_protocol;
	u8 source[16], destination[16];
	u16 source_port, destination_port;
};

struct kernort_sink {
	void (*alert)(void *context, const struct kernort_detection *alert);
	void *context;
};

/* Everything that was cut, dropped or made to give way, so that no limit works in silence. */
struct kernort_counters {
	u64 packets, undecodable, bad_checksums;
	u64 flows, flows_evicted;
	u64 fragments, fragment_queues_dropped, datagrams_reassembled;
	u64 segments_refused, segments_dropped, bytes_reassembled, windows_evicted, documents_evicted;
	u64 tracks_evicted;
	u64 rules_tried, matches, alerts, alerts_dropped, tries_cut, regex_cut;
	u64 work, work_most; /* steps so far, and of one packet */
	u64 tagged; /* packets told of because of an earlier match */
	u64 retries_put_off; /* rules that waited for more of a stream, and were not tried again at once */
	u64 packets_cut, rules_cut; /* packets whose work was spent, and rules that were therefore not tried on them */
};

/* What one rule has cost so far. */
struct kernort_rule_use {
	u32 tried, matched;
	u64 steps; /* of its share of the packets' work */
};

/* What suits a guest with @memory_bytes: some three per cent of them. All but the hash key. */
void kernort_engine_config_for(struct kernort_engine_config *config, u64 memory_bytes);
u64 kernort_engine_size(const struct kernort_engine_config *config, const struct kernort_ruleset *rules);
struct kernort_engine *kernort_engine_init(void *memory, u64 size, const struct kernort_engine_config *config,
					   const struct kernort_ruleset *rules, struct kernort_sink sink);
/* @is_checked: checksums are good, or not filled in because they are not needed */
void kernort_engine_packet(struct kernort_engine *engine, u32 link_type, const u8 *frame, u32 length, u64 time_us,
			   bool is_checked);
/* Look at what still waits for its end: bodies without a length, for example. */
void kernort_engine_finish(struct kernort_engine *engine, u64 time_us);
const struct kernort_counters *kernort_engine_counters(const struct kernort_engine *engine);
/* One per rule of the table. */
const struct kernort_rule_use *kernort_engine_rule_uses(const struct kernort_engine *engine);

#endif
