/* SPDX-License-Identifier: GPL-2.0-only */
/* The engine's state, all of it. */
#ifndef KERNORT_ENGINE_STATE_H
#define KERNORT_ENGINE_STATE_H

#include "actions.h"
#include "document.h"
#include "evaluate.h"
#include "fragments.h"
#include "scan.h"
#include "stream.h"

#define KERNORT_CANDIDATES 2048u
#define KERNORT_MATCHES 256u
#define KERNORT_PACKET_ALERTS 15u /* told of one packet: Suricata's packet-alert-max */
#define KERNORT_TRANSFORMED 65536u

/* On what a rule is to be tried; bits. */
enum { KERNORT_ON_PACKET = 1, KERNORT_ON_STREAM = 2, KERNORT_ON_DOCUMENT = 4 };

struct kernort_candidate {
	u32 rule;
	u8 modes;
};

struct kernort_windows {
	u8 *bytes;
	struct kernort_side **owners; /* NULL: free */
	struct kernort_use_list use; /* free ones are the oldest */
	u32 count, window_bytes;
};

struct kernort_documents {
	struct kernort_document *documents;
	struct kernort_use_list use; /* free ones are the oldest */
	u32 count;
};

/* Where a file over FTP is about to be taken from. */
struct kernort_expected {
	struct kernort_address address;
	u16 port; /* 0: nothing */
};

#define KERNORT_EXPECTED 16u

struct kernort_engine {
	struct kernort_engine_config config;
	const struct kernort_ruleset *rules;
	struct kernort_sink sink;
	struct kernort_counters counters;
	struct kernort_fragments fragments;
	struct kernort_flows flows;
	struct kernort_streams streams;
	struct kernort_windows windows;
	struct kernort_documents documents;
	struct kernort_tracks tracks;
	struct kernort_tags tagged_hosts;
	/* The packet being looked at. */
	struct kernort_scene scene;
	struct kernort_flow *flow;
	struct kernort_document *document; /* while one is looked at */
	bool has_stream; /* its payload went into a stream */
	bool is_refused; /* the receiver's stack drops it */
	u32 packet_number;
	struct kernort_expected expected[KERNORT_EXPECTED];
	u32 expected_next;
	/* Rules to try. */
	u32 candidate_count;
	struct kernort_candidate candidates[KERNORT_CANDIDATES];
	u32 scan_number;
	u32 *found; /* per pattern: number of the scan that last found it */
	u32 *slots; /* per rule: its place in `candidates`, if that place is about it */
	u8 scan_modes;
	bool is_header_scan; /* rules that ask for no content */
	void (*wake)(struct kernort_engine *engine, u32 rule); /* what a scan does with the rules that it finds */
	/* Rules that the packet's payload has woken while its messages were looked at, before their turn. */
	u32 pending_count;
	u32 pending[KERNORT_CANDIDATES];
	bool is_payload_scanned; /* of a packet without a stream */
	u32 rules_cut; /* of this packet: not tried, because its work was spent */
	u64 told_cut_us; /* when that was last told */
	/* Rules that have matched. */
	struct kernort_rule_use *uses; /* per rule */
	u32 *matched; /* per rule: number of the packet it last matched on */
	u32 match_count;
	u32 matches[KERNORT_MATCHES];
	struct kernort_evaluation evaluation;
	u8 transformed[2][KERNORT_TRANSFORMED];
};

/* detect.c: the packet, and what it brought of its stream. */
void kernort_detect_packet(struct kernort_engine *engine);
void kernort_detect_stream(struct kernort_engine *engine, u32 side);
void kernort_detect_document(struct kernort_engine *engine, struct kernort_document *document, u32 side);
/* alerts.c: tell what has matched, worst first, pass rules before all. */
void kernort_alerts_tell(struct kernort_engine *engine);
/* Tell of the packet if an earlier match has tagged it. */
void kernort_alerts_tell_tagged(struct kernort_engine *engine);
/* ... and that rules were left out, because the packet's work was spent: once a flow, and once a second. */
void kernort_alerts_tell_cut(struct kernort_engine *engine);
/*
 * try.c: does @index hold on the subject of @mode? Runs its actions if so. Returns false when it does not hold yet, but
 * may at a later look at the same message.
 */
bool kernort_try_rule(struct kernort_engine *engine, u32 index, u8 mode);
/* transform.c. Returns the new subject, in engine->transformed. */
struct kernort_subject kernort_transform(struct kernort_engine *engine, const u8 *transforms,
					 struct kernort_subject subject);
/* window.c */
void kernort_windows_init(struct kernort_windows *windows, struct kernort_arena *arena, u32 count, u32 bytes);
/* Give @side the newest window. Returns whether another stream had to give its own for that. */
bool kernort_window_open(struct kernort_windows *windows, struct kernort_side *side);
void kernort_window_close(struct kernort_windows *windows, struct kernort_side *side);
u8 *kernort_window_bytes(const struct kernort_windows *windows, const struct kernort_side *side);
/* conversation.c: application protocols of flows. */
void kernort_documents_init(struct kernort_documents *documents, struct kernort_arena *arena, u32 count);
void kernort_conversation_feed(struct kernort_engine *engine, struct kernort_flow *flow, u32 side, const u8 *bytes,
			       u32 length);
void kernort_conversation_datagram(struct kernort_engine *engine);
/* Did another connection say that this one would come, with a file? Once only. */
bool kernort_conversation_is_expected(struct kernort_engine *engine, const struct kernort_flow *flow);
void kernort_conversation_finish(struct kernort_engine *engine, struct kernort_flow *flow);
void kernort_conversation_release(struct kernort_engine *engine, struct kernort_flow *flow);

#endif
