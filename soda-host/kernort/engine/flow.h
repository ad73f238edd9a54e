/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KERNORT_FLOW_H
#define KERNORT_FLOW_H

#include "arena.h"
#include "kernort_engine.h"
#include "packet.h"
#include "tag.h"
#include "use_list.h"

#define KERNORT_RECENT 16

enum { KERNORT_CLIENT, KERNORT_SERVER }; /* whose packet it is; also the index of a flow's sides */

enum kernort_tcp_state { KERNORT_TCP_NONE, KERNORT_TCP_OPENING, KERNORT_TCP_ESTABLISHED, KERNORT_TCP_CLOSED };

/* A rule and a place in the stream. */
struct kernort_recent {
	u32 rule;
	u64 end;
};

/* What one side has sent, as the other side's stack sees it. */
struct kernort_side {
	bool has_syn, has_window, has_fin, has_timestamp, has_sent;
	u8 window_scale; /* 0xff: none offered */
	u32 next; /* the sequence number that the receiver waits for */
	u32 sent; /* the highest that this side is known to have sent */
	u32 window_end; /* this side's receive window ends here (in the other side's sequence numbers) */
	u32 timestamp;
	u32 segments; /* root of the tree of those that wait */
	u32 last_segment; /* of these by sequence number, if there are any */
	u32 segment_count;
	u64 bytes; /* in order so far; also the stream offset of `next` */
	/* The window: what of the stream is kept for matching. */
	u32 window; /* index, or KERNORT_NO_INDEX */
	u32 window_used;
	u64 window_start; /* stream offset of its first byte */
	u64 scanned; /* stream offset up to which it has been scanned */
	u64 inspected; /* ... and the rules that this woke have been tried */
	struct kernort_recent fired[KERNORT_RECENT], waiting[KERNORT_RECENT];
	u8 fired_count, fired_next, waiting_count, waiting_next;
	/* Rules on messages whose fast pattern was in the stream; if there were too many, it is scanned anew for these. */
	struct kernort_recent carried[KERNORT_RECENT];
	u8 carried_count;
	bool has_carried_more;
};

struct kernort_flow {
	struct kernort_address client, server;
	u16 client_port, server_port;
	u8 ip_protocol;
	bool is_used;
	u32 chain_next; /* in the hash chain */
	u64 time_us;
	u64 packets[2], payload_bytes[2];
	u8 tcp_state;
	bool is_passed; /* a pass rule has matched the flow */
	u8 ip_only_done; /* bit per side */
	u8 app; /* enum kernort_app; KERNORT_APP_ANY: not known */
	u8 app_tries; /* how often it was looked for, per side two bits */
	u32 document; /* of the application parser, or KERNORT_NO_INDEX */
	u32 credit; /* work that its packets have earned and not spent: work.h */
	bool is_cut; /* it has spent all of that, and this has been told */
	struct kernort_tag tag;
	struct kernort_side sides[2];
	u32 *bits; /* flowbits */
	u32 *integers; /* flowints, then the set of those that have a value */
};

struct kernort_flows {
	struct kernort_flow *flows;
	u32 *heads;
	struct kernort_use_list use;
	u32 count, head_mask, free;
	u32 bit_words, integer_words;
	u64 hash_key[2];
};

void kernort_flows_init(struct kernort_flows *flows, struct kernort_arena *arena,
			const struct kernort_engine_config *config, u32 flowbits, u32 flowints);
/* The packet's flow, or NULL. @side: whose packet it is. */
struct kernort_flow *kernort_flow_find(struct kernort_flows *flows, const struct kernort_packet *packet, u32 *side);
/* A free entry for the packet, whose sender is then the client; NULL when one must first be released. */
struct kernort_flow *kernort_flow_add(struct kernort_flows *flows, const struct kernort_packet *packet);
struct kernort_flow *kernort_flow_oldest(struct kernort_flows *flows);
void kernort_flow_touch(struct kernort_flows *flows, struct kernort_flow *flow, u64 time_us);
void kernort_flow_remove(struct kernort_flows *flows, struct kernort_flow *flow);
/* Forget what a connection left behind, for another one between the same ports. */
void kernort_flow_restart(struct kernort_flows *flows, struct kernort_flow *flow);

#endif
