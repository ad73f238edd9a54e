// SPDX-License-Identifier: GPL-2.0-only
/*
 * DOC: From traffic to alerts
 *
 * Three kinds of subject: a packet, new bytes of a stream, a message of an application protocol. For each, the groups
 * of rules that can apply (by buffer, protocol, direction and port) are looked up; their scanners and their lists of
 * rules without a fast pattern name the candidates, which are then tried in the order of the table (the compiler puts
 * rules that set a flowbit before those that test it).
 */
#include "engine.h"

static void add_candidate(struct kernort_engine *engine, u32 rule);

static void sort_candidates(struct kernort_engine *engine)
{
	struct kernort_candidate *list = engine->candidates;
	u32 gap, i, j;

	for (gap = engine->candidate_count / 2; gap > 0; gap /= 2)
		for (i = gap; i < engine->candidate_count; i++) {
			struct kernort_candidate moved = list[i];

			for (j = i; j >= gap && list[j - gap].rule > moved.rule; j -= gap)
				list[j] = list[j - gap];
			list[j] = moved;
		}
}

static void try_candidates(struct kernort_engine *engine)
{
	u32 i;

	sort_candidates(engine);
	for (i = 0; i < engine->candidate_count; i++) {
		const struct kernort_candidate *candidate = &engine->candidates[i];

		if (candidate->modes & KERNORT_ON_STREAM)
			kernort_try_rule(engine, candidate->rule, KERNORT_ON_STREAM);
		if (candidate->modes & KERNORT_ON_PACKET)
			kernort_try_rule(engine, candidate->rule, KERNORT_ON_PACKET);
		if (candidate->modes & KERNORT_ON_DOCUMENT)
			kernort_try_rule(engine, candidate->rule, KERNORT_ON_DOCUMENT);
	}
	engine->candidate_count = 0;
}

/* May a rule with these flags be tried in the present mode? */
static bool fits_mode(const struct kernort_engine *engine, u16 flags)
{
	if (flags & KERNORT_RULE_TRANSACTION)
		return engine->scan_modes & KERNORT_ON_DOCUMENT;
	if (engine->scan_modes & KERNORT_ON_DOCUMENT)
		return false;
	if (engine->scan_modes & KERNORT_ON_STREAM)
		return flags & KERNORT_RULE_ON_STREAM;
	if ((flags & (KERNORT_RULE_ON_PACKET | KERNORT_RULE_ON_STREAM)) == KERNORT_RULE_ON_STREAM)
		return engine->is_header_scan || !engine->has_stream;
	return true;
}

static void add_candidate(struct kernort_engine *engine, u32 rule)
{
	u32 slot = engine->slots[rule];

	if (!fits_mode(engine, engine->rules->rules[rule].flags))
		return;
	if (slot < engine->candidate_count && engine->candidates[slot].rule == rule) {
		engine->candidates[slot].modes |= engine->scan_modes;
		return;
	}
	if (engine->candidate_count == KERNORT_CANDIDATES)
		try_candidates(engine);
	slot = engine->candidate_count++;
	engine->slots[rule] = slot;
	engine->candidates[slot] = (struct kernort_candidate){ .rule = rule, .modes = engine->scan_modes };
}

static void add_listed(struct kernort_engine *engine, u32 first, u32 count)
{
	u32 i;

	for (i = 0; i < count; i++)
		add_candidate(engine, engine->rules->words[first + i]);
}

static void pattern_hit(void *context, const struct kernort_ruleset_pattern *pattern)
{
	add_listed(context, pattern->first_rule, pattern->rule_count);
}

static void visit_group(struct kernort_engine *engine, const struct kernort_ruleset_group *group,
			struct kernort_slice slice, u32 from)
{
	struct kernort_scan_sink sink = { .hit = pattern_hit, .context = engine };

	if (!group)
		return;
	if (group->scanner != KERNORT_RULESET_NONE && slice.bytes) {
		u32 before = engine->rules->scanners[group->scanner].longest;

		kernort_scan(engine->rules, group->scanner, slice.bytes, from > before ? from - before : 0,
			     slice.length, &sink);
	}
	add_listed(engine, group->first_rule, group->rule_count);
}

static u8 protocol_bit(u8 ip_protocol)
{
	return ip_protocol == KERNORT_PROTO_TCP	  ? KERNORT_IP_TCP :
	       ip_protocol == KERNORT_PROTO_UDP	  ? KERNORT_IP_UDP :
	       ip_protocol == KERNORT_PROTO_ICMP  ? KERNORT_IP_ICMP :
	       ip_protocol == KERNORT_PROTO_ICMP6 ? KERNORT_IP_ICMP6 :
						    KERNORT_IP_OTHER;
}

static void visit_ports(struct kernort_engine *engine, u8 buffer, u8 direction, struct kernort_slice slice, u32 from)
{
	const struct kernort_packet *packet = engine->scene.packet;
	const struct kernort_ruleset *rules = engine->rules;
	u8 bit = protocol_bit(packet->ip_protocol);

	visit_group(engine, kernort_group_find(rules, buffer, bit, direction, KERNORT_SIDE_ANY, 0), slice, from);
	if (bit & ~(KERNORT_IP_TCP | KERNORT_IP_UDP))
		return;
	visit_group(engine,
		    kernort_group_find(rules, buffer, bit, direction, KERNORT_SIDE_DESTINATION, packet->destination_port),
		    slice, from);
	visit_group(engine, kernort_group_find(rules, buffer, bit, direction, KERNORT_SIDE_SOURCE, packet->source_port),
		    slice, from);
}

/* All groups of a buffer for the packet; one without a known direction is looked up as both. */
static void visit(struct kernort_engine *engine, u8 buffer, struct kernort_slice slice, u32 from)
{
	if (!engine->flow || engine->scene.side == KERNORT_CLIENT)
		visit_ports(engine, buffer, KERNORT_FLOW_TO_SERVER, slice, from);
	if (!engine->flow || engine->scene.side == KERNORT_SERVER)
		visit_ports(engine, buffer, KERNORT_FLOW_TO_CLIENT, slice, from);
}

static void visit_address(struct kernort_engine *engine, u32 side, u32 address)
{
	const struct kernort_ruleset_address_index *index = engine->rules->address_index;
	u32 low = 0, count = engine->rules->counts[KERNORT_SECTION_ADDRESS_INDEX], high = count;

	while (low < high) {
		u32 middle = low + (high - low) / 2;

		if (index[middle].side < side || (index[middle].side == side && index[middle].high < address))
			low = middle + 1;
		else
			high = middle;
	}
	if (low < count && index[low].side == side && index[low].low <= address)
		add_listed(engine, index[low].first_rule, index[low].rule_count);
}

void kernort_detect_packet(struct kernort_engine *engine)
{
	const struct kernort_packet *packet = engine->scene.packet;
	struct kernort_slice payload = { .bytes = packet->payload, .length = packet->payload_length };

	engine->scan_modes = KERNORT_ON_PACKET;
	engine->is_header_scan = true;
	visit(engine, KERNORT_BUFFER_HEADER, (struct kernort_slice){ 0 }, 0);
	if (packet->source.family == 4 && engine->rules->counts[KERNORT_SECTION_ADDRESS_INDEX]) {
		visit_address(engine, KERNORT_SIDE_SOURCE, kernort_address_ipv4(&packet->source));
		visit_address(engine, KERNORT_SIDE_DESTINATION, kernort_address_ipv4(&packet->destination));
	}
	engine->is_header_scan = false;
	/* A fragment's content is looked at when the datagram is whole. */
	if (payload.length > 0 && !engine->is_refused && !packet->is_fragment)
		visit(engine, KERNORT_BUFFER_PAYLOAD, payload, 0);
	try_candidates(engine);
}

void kernort_detect_stream(struct kernort_engine *engine, u32 side)
{
	struct kernort_side *from = &engine->flow->sides[side];
	struct kernort_slice slice;
	u32 i;

	if (from->window == KERNORT_NO_INDEX || from->inspected == from->window_start + from->window_used)
		return;
	slice.bytes = kernort_window_bytes(&engine->windows, from);
	slice.length = from->window_used;
	engine->scan_modes = KERNORT_ON_STREAM;
	for (i = 0; i < from->waiting_count; i++)
		add_candidate(engine, from->waiting[i].rule);
	from->waiting_count = from->waiting_next = 0;
	visit(engine, KERNORT_BUFFER_PAYLOAD, slice, (u32)(from->inspected - from->window_start));
	try_candidates(engine);
	from->inspected = from->window_start + from->window_used;
}

static void visit_view(struct kernort_engine *engine, u8 buffer, u8 direction, struct kernort_slice slice)
{
	visit_group(engine, kernort_group_find(engine->rules, buffer, 0, direction, KERNORT_SIDE_ANY, 0), slice, 0);
}

/* Rules on a message may have their fast pattern in the stream or packet that carries it. */
static void visit_carrier(struct kernort_engine *engine, u32 side)
{
	const struct kernort_side *from = &engine->flow->sides[side];
	struct kernort_slice slice = { .bytes = engine->scene.packet->payload,
				       .length = engine->scene.packet->payload_length };

	if (from->window != KERNORT_NO_INDEX) {
		slice.bytes = kernort_window_bytes(&engine->windows, from);
		slice.length = from->window_used;
	}
	engine->is_header_scan = false;
	if (slice.length > 0)
		visit(engine, KERNORT_BUFFER_PAYLOAD, slice, 0);
}

void kernort_detect_document(struct kernort_engine *engine, struct kernort_document *document, u32 side)
{
	u8 direction = side == KERNORT_CLIENT ? KERNORT_FLOW_TO_SERVER : KERNORT_FLOW_TO_CLIENT;
	const struct kernort_views *views = &document->views;
	u32 i;

	engine->document = document;
	engine->scan_modes = KERNORT_ON_DOCUMENT;
	for (i = 0; i < KERNORT_BUFFER_COUNT; i++)
		if (views->single[i].bytes)
			visit_view(engine, (u8)i, direction, views->single[i]);
	for (i = 0; i < views->instance_count; i++)
		visit_view(engine, views->instances[i].buffer, direction, views->instances[i].slice);
	visit_carrier(engine, side);
	try_candidates(engine);
	engine->document = NULL;
}
