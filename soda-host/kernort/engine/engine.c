// SPDX-License-Identifier: GPL-2.0-only
/*
 * DOC: One packet through the engine
 *
 * decode -> fragments -> flow -> TCP stream -> application parsers -> detection -> alerts. Each step sees what the
 * guest's own stack would see: a packet that Linux drops goes no further and can neither hide nor forge content.
 * All state is in one block of memory that the caller gave.
 */
#include "engine.h"

static void release_flow(struct kernort_engine *engine, struct kernort_flow *flow)
{
	kernort_conversation_release(engine, flow);
	kernort_stream_release(&engine->streams, flow);
	kernort_window_close(&engine->windows, &flow->sides[0]);
	kernort_window_close(&engine->windows, &flow->sides[1]);
}

static void slide(struct kernort_engine *engine, struct kernort_side *side)
{
	u8 *bytes = kernort_window_bytes(&engine->windows, side);
	u32 kept = engine->windows.window_bytes / 2;

	memmove(bytes, bytes + side->window_used - kept, kept);
	side->window_start += side->window_used - kept;
	side->window_used = kept;
	if (side->inspected < side->window_start)
		side->inspected = side->window_start;
	if (side->scanned < side->window_start)
		side->scanned = side->window_start;
}

static void append(struct kernort_engine *engine, struct kernort_side *side, bool is_own, const u8 *bytes, u32 length)
{
	while (length > 0) {
		u32 room = engine->windows.window_bytes - side->window_used;
		u32 piece = length < room ? length : room;

		if (piece == 0) {
			if (is_own)
				kernort_detect_stream(engine, engine->scene.side);
			slide(engine, side);
			continue;
		}
		memcpy(kernort_window_bytes(&engine->windows, side) + side->window_used, bytes, piece);
		side->window_used += piece;
		side->bytes += piece;
		bytes += piece;
		length -= piece;
	}
}

static void deliver(void *context, struct kernort_flow *flow, u32 side, const u8 *bytes, u32 length)
{
	struct kernort_engine *engine = context;

	if (flow->is_passed)
		return;
	kernort_work_spend(&engine->evaluation.work, length / KERNORT_WORK_SCAN_BYTES);
	engine->counters.windows_evicted += kernort_window_open(&engine->windows, &flow->sides[side]);
	append(engine, &flow->sides[side], side == engine->scene.side, bytes, length);
	kernort_conversation_feed(engine, flow, side, bytes, length);
}

/*
 * Is the sender of a flow's first packet the server? In the middle of a connection, the lower port says so,
 * unless it asks as a client does.
 */
static bool is_from_server(const struct kernort_engine *engine, const struct kernort_packet *packet)
{
	if (packet->ip_protocol != KERNORT_PROTO_TCP)
		return false;
	if (packet->tcp_flags & KERNORT_TCP_SYN)
		return packet->tcp_flags & KERNORT_TCP_ACK;
	return engine->config.picks_up_midstream && packet->source_port < packet->destination_port &&
	       !kernort_http_begins(packet->payload, packet->payload_length, KERNORT_CLIENT);
}

/* What may be spent on a packet: what its flow has, and what it earns. One that is of no flow has the start of one. */
static void begin_work(struct kernort_engine *engine, const struct kernort_flow *flow, u32 payload_length)
{
	u64 earned = KERNORT_WORK_PER_PACKET + (u64)KERNORT_WORK_PER_BYTE * payload_length;

	engine->evaluation.work = (struct kernort_work){ .limit = flow ? flow->credit + earned : KERNORT_WORK_AT_FIRST };
	engine->rules_cut = 0;
	engine->pending_count = 0;
	engine->is_payload_scanned = false;
}

static void end_work(struct kernort_engine *engine, struct kernort_flow *flow)
{
	u64 left = kernort_work_left(&engine->evaluation.work);

	engine->counters.work += engine->evaluation.work.spent;
	if (engine->evaluation.work.spent > engine->counters.work_most)
		engine->counters.work_most = engine->evaluation.work.spent;
	if (flow)
		flow->credit = (u32)(left < KERNORT_WORK_KEPT_MAX ? left : KERNORT_WORK_KEPT_MAX);
	if (engine->evaluation.work.is_cut)
		kernort_alerts_tell_cut(engine);
}

/* Look at what still waits for its end, with a packet that its sender could have sent: bodies without a length. */
static void finish_flow(struct kernort_engine *engine, struct kernort_flow *flow, u64 time_us)
{
	struct kernort_scene before = engine->scene;
	struct kernort_flow *flow_before = engine->flow;
	struct kernort_packet packet = { .time_us = time_us, .ip_protocol = flow->ip_protocol, .has_transport = true };
	struct kernort_work work_before = engine->evaluation.work;
	u32 rules_cut_before = engine->rules_cut, side;

	for (side = 0; side < 2 && flow->document != KERNORT_NO_INDEX; side++) {
		packet.source = side ? flow->server : flow->client;
		packet.destination = side ? flow->client : flow->server;
		packet.source_port = side ? flow->server_port : flow->client_port;
		packet.destination_port = side ? flow->client_port : flow->server_port;
		engine->scene.packet = &packet;
		engine->scene.flow = engine->flow = flow;
		engine->scene.side = side;
		engine->packet_number++;
		begin_work(engine, flow, 0);
		kernort_conversation_finish(engine, flow);
		kernort_alerts_tell(engine);
		end_work(engine, flow);
	}
	engine->scene = before;
	engine->flow = flow_before;
	engine->evaluation.work = work_before;
	engine->rules_cut = rules_cut_before;
	engine->pending_count = 0;
}

static void drop_flow(struct kernort_engine *engine, struct kernort_flow *flow, u64 time_us)
{
	finish_flow(engine, flow, time_us);
	release_flow(engine, flow);
	kernort_flow_remove(&engine->flows, flow);
}

static struct kernort_flow *add_flow(struct kernort_engine *engine, const struct kernort_packet *packet, u32 *side)
{
	struct kernort_flow *flow = kernort_flow_add(&engine->flows, packet);

	if (!flow) {
		flow = kernort_flow_oldest(&engine->flows);
		if (!flow)
			return NULL;
		drop_flow(engine, flow, packet->time_us);
		engine->counters.flows_evicted++;
		flow = kernort_flow_add(&engine->flows, packet);
	}
	engine->counters.flows++;
	flow->credit = KERNORT_WORK_AT_FIRST;
	*side = KERNORT_CLIENT;
	if (is_from_server(engine, packet)) {
		struct kernort_address address = flow->client;
		u16 port = flow->client_port;

		flow->client = flow->server;
		flow->client_port = flow->server_port;
		flow->server = address;
		flow->server_port = port;
		*side = KERNORT_SERVER;
	}
	if (kernort_conversation_is_expected(engine, flow))
		flow->app = KERNORT_APP_FTP_DATA;
	return flow;
}

static bool begins_anew(const struct kernort_flow *flow, const struct kernort_packet *packet)
{
	return packet->ip_protocol == KERNORT_PROTO_TCP && flow->tcp_state == KERNORT_TCP_CLOSED &&
	       (packet->tcp_flags & (KERNORT_TCP_SYN | KERNORT_TCP_ACK | KERNORT_TCP_RST)) == KERNORT_TCP_SYN;
}

static void set_flow(struct kernort_engine *engine, const struct kernort_packet *packet)
{
	u32 side = KERNORT_CLIENT;
	struct kernort_flow *flow = kernort_flow_find(&engine->flows, packet, &side);

	if (flow && begins_anew(flow, packet)) {
		drop_flow(engine, flow, packet->time_us);
		flow = NULL;
	}
	if (flow)
		kernort_flow_touch(&engine->flows, flow, packet->time_us);
	else
		flow = add_flow(engine, packet, &side);
	engine->flow = flow;
	engine->scene.flow = flow;
	engine->scene.side = side;
	if (!flow)
		return;
	flow->packets[side]++;
	flow->payload_bytes[side] += packet->payload_length;
}

/* A connection that is over brings no more bytes: what it holds is for others. */
static void end_stream(struct kernort_engine *engine, struct kernort_flow *flow)
{
	if (flow->tcp_state != KERNORT_TCP_CLOSED)
		return;
	finish_flow(engine, flow, engine->scene.packet->time_us);
	release_flow(engine, flow);
}

static void follow_stream(struct kernort_engine *engine, const struct kernort_packet *packet)
{
	struct kernort_flow *flow = engine->flow;
	enum kernort_segment_fate fate;

	fate = kernort_stream_segment(&engine->streams, flow, engine->scene.side, packet);
	engine->has_stream = fate == KERNORT_SEGMENT_TAKEN &&
			     (!(packet->tcp_flags & KERNORT_TCP_SYN) || packet->has_fastopen);
	engine->is_refused = fate == KERNORT_SEGMENT_REFUSED;
	if (flow->sides[engine->scene.side].has_fin || flow->tcp_state == KERNORT_TCP_CLOSED)
		kernort_conversation_finish(engine, flow);
}

static void look_at(struct kernort_engine *engine, const struct kernort_packet *packet)
{
	engine->scene.packet = packet;
	engine->scene.flow = engine->flow = NULL;
	engine->scene.side = KERNORT_CLIENT;
	engine->has_stream = engine->is_refused = false;
	engine->packet_number++;
	if (!packet->is_fragment)
		set_flow(engine, packet);
	kernort_alerts_tell_tagged(engine);
	begin_work(engine, engine->flow, packet->payload_length);
	if (engine->flow && packet->ip_protocol == KERNORT_PROTO_TCP && packet->has_transport)
		follow_stream(engine, packet);
	if (engine->flow && packet->ip_protocol == KERNORT_PROTO_UDP && packet->has_transport)
		kernort_conversation_datagram(engine);
	if (!engine->flow || !engine->flow->is_passed)
		kernort_detect_packet(engine);
	kernort_alerts_tell(engine);
	end_work(engine, engine->flow);
	if (!engine->flow)
		return;
	engine->flow->ip_only_done |= (u8)(1u << engine->scene.side);
	end_stream(engine, engine->flow);
}

void kernort_engine_packet(struct kernort_engine *engine, u32 link_type, const u8 *frame, u32 length, u64 time_us,
			   bool is_checked)
{
	struct kernort_packet packet, whole;

	packet.time_us = time_us;
	engine->counters.packets++;
	if (kernort_decode_frame(&packet, link_type, frame, length)) {
		engine->counters.undecodable++;
		return;
	}
	if (packet.has_bad_checksum && !is_checked) {
		engine->counters.bad_checksums++;
		return;
	}
	look_at(engine, &packet);
	if (!packet.is_fragment || !kernort_fragments_add(&engine->fragments, &packet, &whole, &engine->counters))
		return;
	if (whole.has_bad_checksum && !is_checked)
		engine->counters.bad_checksums++;
	else
		look_at(engine, &whole);
}

void kernort_engine_finish(struct kernort_engine *engine, u64 time_us)
{
	u32 i;

	for (i = 0; i < engine->flows.count; i++)
		if (engine->flows.flows[i].is_used)
			finish_flow(engine, &engine->flows.flows[i], time_us);
}

void kernort_engine_config_for(struct kernort_engine_config *config, u64 memory_bytes)
{
	const u64 unit = 128 << 20;
	u32 scale = memory_bytes < unit ? 1 : memory_bytes < 16 * unit ? (u32)div64_u64(memory_bytes, unit) : 16;

	*config = (struct kernort_engine_config){ .flows = 512 * scale,
						  .windows = 64 * scale,
						  .window_bytes = 16384,
						  .segments = 128 * scale,
						  .fragment_queues = 3 + scale,
						  .tracks = 2048 * scale,
						  .documents = 4 * scale };
}

/* Take every part's memory, in one order; with an arena that only measures, into parts that nobody keeps. */
static void lay_out(struct kernort_engine *engine, struct kernort_arena *arena,
		    const struct kernort_engine_config *config, const struct kernort_ruleset *rules)
{
	u32 count = rules->counts[KERNORT_SECTION_RULES];

	kernort_fragments_init(&engine->fragments, arena, config->fragment_queues);
	kernort_flows_init(&engine->flows, arena, config, rules->header->flowbit_count, rules->header->flowint_count);
	kernort_streams_init(&engine->streams, arena, config->segments);
	kernort_windows_init(&engine->windows, arena, config->windows, config->window_bytes);
	kernort_documents_init(&engine->documents, arena, config->documents);
	kernort_tracks_init(&engine->tracks, arena, config->tracks, config->hash_key[0]);
	engine->found = arena_take(arena, rules->counts[KERNORT_SECTION_PATTERNS], sizeof(u32));
	engine->slots = arena_take(arena, count, sizeof(u32));
	engine->matched = arena_take(arena, count, sizeof(u32));
	engine->uses = arena_take(arena, count, sizeof(*engine->uses));
}

/*
 * The parts' sizes depend on configuration and rules only, so measuring needs no engine: the same calls are made on
 * the parts' descriptors alone.
 */
u64 kernort_engine_size(const struct kernort_engine_config *config, const struct kernort_ruleset *rules)
{
	struct kernort_arena arena = { 0 };
	struct kernort_fragments fragments;
	struct kernort_flows flows;
	struct kernort_streams streams;
	struct kernort_windows windows;
	struct kernort_documents documents;
	struct kernort_tracks tracks;

	arena_take(&arena, 1, sizeof(struct kernort_engine));
	kernort_fragments_init(&fragments, &arena, config->fragment_queues);
	kernort_flows_init(&flows, &arena, config, rules->header->flowbit_count, rules->header->flowint_count);
	kernort_streams_init(&streams, &arena, config->segments);
	kernort_windows_init(&windows, &arena, config->windows, config->window_bytes);
	kernort_documents_init(&documents, &arena, config->documents);
	kernort_tracks_init(&tracks, &arena, config->tracks, config->hash_key[0]);
	arena_take(&arena, rules->counts[KERNORT_SECTION_PATTERNS], sizeof(u32));
	arena_take(&arena, rules->counts[KERNORT_SECTION_RULES], sizeof(u32));
	arena_take(&arena, rules->counts[KERNORT_SECTION_RULES], sizeof(u32));
	arena_take(&arena, rules->counts[KERNORT_SECTION_RULES], sizeof(struct kernort_rule_use));
	return arena.used;
}

struct kernort_engine *kernort_engine_init(void *memory, u64 size, const struct kernort_engine_config *config,
					   const struct kernort_ruleset *rules, struct kernort_sink sink)
{
	struct kernort_arena arena = { .base = memory };
	struct kernort_engine *engine;

	/* Both sides of the flow that is being looked at need a window. */
	if (size < kernort_engine_size(config, rules) || config->windows < 2 || config->documents < 1)
		return NULL;
	engine = arena_take(&arena, 1, sizeof(*engine));
	engine->config = *config;
	engine->rules = rules;
	engine->sink = sink;
	lay_out(engine, &arena, config, rules);
	engine->streams.picks_up_midstream = config->picks_up_midstream;
	engine->streams.counters = engine->tracks.counters = &engine->counters;
	engine->streams.deliver = deliver;
	engine->streams.context = engine;
	engine->scene.rules = engine->evaluation.rules = rules;
	engine->scene.tracks = &engine->tracks;
	engine->scene.tagged_hosts = &engine->tagged_hosts;
	engine->evaluation.counters = &engine->counters;
	return engine;
}

const struct kernort_rule_use *kernort_engine_rule_uses(const struct kernort_engine *engine)
{
	return engine->uses;
}

const struct kernort_counters *kernort_engine_counters(const struct kernort_engine *engine)
{
	return &engine->counters;
}
