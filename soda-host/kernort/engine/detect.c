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

/* Remember a rule for the next look at the message; if there is no room, its head will be scanned again. */
static void note_woken(struct kernort_engine *engine, u32 rule)
{
	struct kernort_message *message = &engine->document->messages[engine->scene.side];

	if (message->woken_count < KERNORT_FIRED)
		message->woken[message->woken_count++] = rule;
	else
		message->has_woken = false;
}

static void try_candidates(struct kernort_engine *engine)
{
	u32 i;

	sort_candidates(engine);
	for (i = 0; i < engine->candidate_count; i++) {
		const struct kernort_candidate *candidate = &engine->candidates[i];

		if (!kernort_work_begins(&engine->evaluation.work)) {
			engine->rules_cut += engine->candidate_count - i;
			break;
		}
		if (candidate->modes & KERNORT_ON_STREAM)
			kernort_try_rule(engine, candidate->rule, KERNORT_ON_STREAM);
		if (candidate->modes & KERNORT_ON_PACKET)
			kernort_try_rule(engine, candidate->rule, KERNORT_ON_PACKET);
		if ((candidate->modes & KERNORT_ON_DOCUMENT) &&
		    !kernort_try_rule(engine, candidate->rule, KERNORT_ON_DOCUMENT))
			note_woken(engine, candidate->rule);
	}
	engine->candidate_count = 0;
}

/* In which of the present modes may a rule with these flags be tried? */
static u8 modes_for(const struct kernort_engine *engine, u16 flags)
{
	bool is_stream_only = (flags & (KERNORT_RULE_ON_PACKET | KERNORT_RULE_ON_STREAM)) == KERNORT_RULE_ON_STREAM;
	u8 modes = engine->scan_modes;

	if (flags & KERNORT_RULE_TRANSACTION)
		return modes & KERNORT_ON_DOCUMENT;
	if (!(flags & KERNORT_RULE_ON_STREAM))
		modes &= ~KERNORT_ON_STREAM;
	if (is_stream_only && engine->has_stream && !engine->is_header_scan)
		modes &= ~KERNORT_ON_PACKET;
	return modes & ~KERNORT_ON_DOCUMENT;
}

static void add_candidate(struct kernort_engine *engine, u32 rule)
{
	u8 modes = modes_for(engine, engine->rules->rules[rule].flags);
	u32 slot = engine->slots[rule];

	if (!modes)
		return;
	if (slot < engine->candidate_count && engine->candidates[slot].rule == rule) {
		engine->candidates[slot].modes |= modes;
		return;
	}
	if (engine->candidate_count == KERNORT_CANDIDATES)
		try_candidates(engine);
	slot = engine->candidate_count++;
	engine->slots[rule] = slot;
	engine->candidates[slot] = (struct kernort_candidate){ .rule = rule, .modes = modes };
}

/*
 * Remember that the stream has the fast pattern of a rule on messages. One too many: it is scanned again for these at
 * the next message.
 */
static void carry(struct kernort_side *side, u32 rule)
{
	u64 end = side->window_start + side->window_used;
	u32 i;

	for (i = 0; i < side->carried_count; i++)
		if (side->carried[i].rule == rule) {
			side->carried[i].end = end;
			return;
		}
	if (side->carried_count < KERNORT_RECENT)
		side->carried[side->carried_count++] = (struct kernort_recent){ .rule = rule, .end = end };
	else
		side->has_carried_more = true;
}

static bool is_on_messages(const struct kernort_engine *engine, u32 rule)
{
	return engine->rules->rules[rule].flags & KERNORT_RULE_TRANSACTION;
}

/* A rule that a scan ahead of the packet's turn has found: if there is no room, the scan is done again. */
static void set_aside(struct kernort_engine *engine, u32 rule)
{
	if (engine->pending_count < KERNORT_CANDIDATES)
		engine->pending[engine->pending_count] = rule;
	if (engine->pending_count <= KERNORT_CANDIDATES)
		engine->pending_count++;
}

static void wake_from_stream(struct kernort_engine *engine, u32 rule)
{
	if (is_on_messages(engine, rule))
		carry(&engine->flow->sides[engine->scene.side], rule);
	else
		set_aside(engine, rule);
}

static void wake_from_datagram(struct kernort_engine *engine, u32 rule)
{
	if (is_on_messages(engine, rule))
		add_candidate(engine, rule);
	else
		set_aside(engine, rule);
}

static void wake_and_carry(struct kernort_engine *engine, u32 rule)
{
	if (!is_on_messages(engine, rule))
		return;
	add_candidate(engine, rule);
	carry(&engine->flow->sides[engine->scene.side], rule);
}

static void wake_listed(struct kernort_engine *engine, u32 first, u32 count)
{
	u32 i;

	for (i = 0; i < count; i++)
		engine->wake(engine, engine->rules->words[first + i]);
}

static void pattern_hit(void *context, const struct kernort_ruleset_pattern *pattern)
{
	struct kernort_engine *engine = context;
	const struct kernort_packet *packet = engine->scene.packet;
	u32 *found = &engine->found[pattern - engine->rules->patterns];

	/* Once a scan, however often it is there. */
	if (*found == engine->scan_number)
		return;
	*found = engine->scan_number;
	if (pattern->side != KERNORT_SIDE_ANY &&
	    !kernort_port_is_in(engine->rules, pattern->ports,
				pattern->side == KERNORT_SIDE_DESTINATION ? packet->destination_port :
									    packet->source_port))
		return;
	kernort_work_spend(&engine->evaluation.work, pattern->rule_count);
	wake_listed(engine, pattern->first_rule, pattern->rule_count);
}

static void visit_group(struct kernort_engine *engine, const struct kernort_ruleset_group *group,
			struct kernort_slice slice, u32 from)
{
	struct kernort_scan_sink sink = { .hit = pattern_hit, .context = engine, .work = &engine->evaluation.work };

	if (!group)
		return;
	if (group->scanner != KERNORT_RULESET_NONE && slice.bytes) {
		u32 before = engine->rules->scanners[group->scanner].longest;

		from = from > before ? from - before : 0;
		kernort_work_spend(&engine->evaluation.work, (slice.length - from) / KERNORT_WORK_SCAN_BYTES);
		kernort_scan(engine->rules, group->scanner, slice.bytes, from, slice.length, &sink);
	}
	wake_listed(engine, group->first_rule, group->rule_count);
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
	engine->scan_number++;
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
		wake_listed(engine, index[low].first_rule, index[low].rule_count);
}

static void visit_headers(struct kernort_engine *engine)
{
	const struct kernort_packet *packet = engine->scene.packet;
	struct kernort_slice nothing = { 0 };

	engine->scan_modes = KERNORT_ON_PACKET;
	engine->is_header_scan = true;
	visit(engine, KERNORT_BUFFER_HEADER, nothing, 0);
	if (!engine->flow || !(engine->flow->ip_only_done >> engine->scene.side & 1))
		visit(engine, KERNORT_GROUP_IP_ONLY, nothing, 0);
	if (packet->source.family == 4 && engine->rules->counts[KERNORT_SECTION_ADDRESS_INDEX]) {
		visit_address(engine, KERNORT_SIDE_SOURCE, kernort_address_ipv4(&packet->source));
		visit_address(engine, KERNORT_SIDE_DESTINATION, kernort_address_ipv4(&packet->destination));
	}
	engine->is_header_scan = false;
}

/* Is the packet's payload what its stream ends with, not looked at yet? Then one scan serves for both. */
static bool is_payload_in_stream(const struct kernort_engine *engine, const struct kernort_side *from)
{
	const struct kernort_packet *packet = engine->scene.packet;
	u32 length = packet->payload_length;

	return length <= from->window_used && from->window_start + from->window_used - length >= from->inspected &&
	       !memcmp(kernort_window_bytes(&engine->windows, from) + from->window_used - length, packet->payload, length);
}

/* Scan the bytes of a stream that have not been scanned. */
static void scan_stream(struct kernort_engine *engine, struct kernort_side *from)
{
	struct kernort_slice slice = { .bytes = kernort_window_bytes(&engine->windows, from),
				       .length = from->window_used };
	u32 done = (u32)(from->scanned - from->window_start);

	if (done == slice.length)
		return;
	from->scanned = from->window_start + slice.length;
	engine->wake = wake_from_stream;
	visit(engine, KERNORT_BUFFER_PAYLOAD, slice, done);
	engine->wake = add_candidate;
}

static void take_pending(struct kernort_engine *engine)
{
	u32 i;

	for (i = 0; i < engine->pending_count; i++)
		add_candidate(engine, engine->pending[i]);
	engine->pending_count = 0;
}

static void visit_waiting(struct kernort_engine *engine, struct kernort_side *from, bool is_last_time)
{
	u32 i;

	if (!is_last_time && kernort_work_left(&engine->evaluation.work) < KERNORT_WORK_FOR_WAITING) {
		engine->counters.retries_put_off += from->waiting_count;
		return;
	}
	engine->scan_modes = KERNORT_ON_STREAM;
	for (i = 0; i < from->waiting_count; i++)
		add_candidate(engine, from->waiting[i].rule);
	from->waiting_count = from->waiting_next = 0;
}

/* The rules that new bytes of a stream wake, as @modes. */
static void visit_stream(struct kernort_engine *engine, struct kernort_side *from, u8 modes)
{
	engine->scan_modes = KERNORT_ON_STREAM;
	scan_stream(engine, from);
	engine->scan_modes = modes;
	if (engine->pending_count <= KERNORT_CANDIDATES) {
		take_pending(engine);
		return;
	}
	engine->pending_count = 0;
	visit(engine, KERNORT_BUFFER_PAYLOAD,
	      (struct kernort_slice){ .bytes = kernort_window_bytes(&engine->windows, from), .length = from->window_used },
	      (u32)(from->inspected - from->window_start));
}

static bool has_new_bytes(const struct kernort_side *side)
{
	return side->window != KERNORT_NO_INDEX && side->inspected < side->window_start + side->window_used;
}

void kernort_detect_packet(struct kernort_engine *engine)
{
	const struct kernort_packet *packet = engine->scene.packet;
	struct kernort_slice payload = { .bytes = packet->payload, .length = packet->payload_length };
	struct kernort_side *from = engine->flow ? &engine->flow->sides[engine->scene.side] : NULL;
	/* A fragment's content is looked at when the datagram is whole. */
	bool has_payload = payload.length > 0 && !engine->is_refused && !packet->is_fragment;

	engine->wake = add_candidate;
	visit_headers(engine);
	if (from && from->window != KERNORT_NO_INDEX) {
		bool is_over = from->has_fin || engine->flow->tcp_state == KERNORT_TCP_CLOSED;

		if (is_over || has_new_bytes(from))
			visit_waiting(engine, from, is_over);
	}
	if (from && has_new_bytes(from)) {
		bool is_same = has_payload && is_payload_in_stream(engine, from);

		visit_stream(engine, from, is_same ? KERNORT_ON_STREAM | KERNORT_ON_PACKET : KERNORT_ON_STREAM);
		has_payload &= !is_same;
	}
	engine->scan_modes = KERNORT_ON_PACKET;
	if (has_payload && engine->is_payload_scanned && engine->pending_count <= KERNORT_CANDIDATES)
		take_pending(engine);
	else if (has_payload)
		visit(engine, KERNORT_BUFFER_PAYLOAD, payload, 0);
	try_candidates(engine);
	if (from && from->window != KERNORT_NO_INDEX)
		from->inspected = from->window_start + from->window_used;
}

void kernort_detect_stream(struct kernort_engine *engine, u32 side)
{
	struct kernort_side *from = &engine->flow->sides[side];

	if (!has_new_bytes(from))
		return;
	engine->wake = add_candidate;
	visit_waiting(engine, from, true);
	visit_stream(engine, from, KERNORT_ON_STREAM);
	try_candidates(engine);
	from->inspected = from->window_start + from->window_used;
}

static void visit_view(struct kernort_engine *engine, u8 buffer, u8 direction, struct kernort_slice slice)
{
	engine->scan_number++;
	visit_group(engine, kernort_group_find(engine->rules, buffer, 0, direction, KERNORT_SIDE_ANY, 0), slice, 0);
}

/* Rules on a message may have their fast pattern in the stream that carries it. */
static void visit_carrier_stream(struct kernort_engine *engine, struct kernort_side *from)
{
	struct kernort_slice slice = { .bytes = kernort_window_bytes(&engine->windows, from),
				       .length = from->window_used };
	u32 kept = 0, i;

	scan_stream(engine, from);
	if (from->has_carried_more) {
		from->has_carried_more = false;
		from->carried_count = 0;
		engine->wake = wake_and_carry;
		visit(engine, KERNORT_BUFFER_PAYLOAD, slice, 0);
		engine->wake = add_candidate;
		return;
	}
	for (i = 0; i < from->carried_count; i++) {
		if (from->carried[i].end <= from->window_start)
			continue;
		add_candidate(engine, from->carried[i].rule);
		from->carried[kept++] = from->carried[i];
	}
	from->carried_count = (u8)kept;
}

static void visit_carrier(struct kernort_engine *engine, u32 side)
{
	struct kernort_side *from = &engine->flow->sides[side];
	struct kernort_slice payload = { .bytes = engine->scene.packet->payload,
					 .length = engine->scene.packet->payload_length };

	if (from->window != KERNORT_NO_INDEX) {
		visit_carrier_stream(engine, from);
	} else if (payload.length > 0) {
		engine->is_payload_scanned = true;
		engine->wake = wake_from_datagram;
		visit(engine, KERNORT_BUFFER_PAYLOAD, payload, 0);
		engine->wake = add_candidate;
	}
}

static bool is_body(u32 buffer)
{
	return buffer == KERNORT_BUFFER_FILE_DATA || buffer == KERNORT_BUFFER_HTTP_REQUEST_BODY ||
	       buffer == KERNORT_BUFFER_HTTP_RESPONSE_BODY;
}

/* The head of a message is scanned once; what it woke and may yet hold is tried again with each piece of the body. */
static void visit_views(struct kernort_engine *engine, struct kernort_message *message, u8 direction)
{
	const struct kernort_views *views = &engine->document->scratch->views;
	bool has_woken = message->has_woken;
	u32 i;

	for (i = 0; has_woken && i < message->woken_count; i++)
		add_candidate(engine, message->woken[i]);
	message->woken_count = 0;
	message->has_woken = true;
	for (i = 0; i < KERNORT_BUFFER_COUNT; i++)
		if (views->single[i].bytes && (is_body(i) || !has_woken))
			visit_view(engine, (u8)i, direction, views->single[i]);
	for (i = 0; !has_woken && i < views->instance_count; i++)
		visit_view(engine, views->instances[i].buffer, direction, views->instances[i].slice);
}

void kernort_detect_document(struct kernort_engine *engine, struct kernort_document *document, u32 side)
{
	u8 direction = side == KERNORT_CLIENT ? KERNORT_FLOW_TO_SERVER : KERNORT_FLOW_TO_CLIENT;

	if (!kernort_work_begins(&engine->evaluation.work))
		return;
	kernort_work_spend(&engine->evaluation.work, KERNORT_WORK_OF_LOOK);
	engine->wake = add_candidate;
	engine->document = document;
	engine->scan_modes = KERNORT_ON_DOCUMENT;
	visit_views(engine, &document->messages[side], direction);
	visit_carrier(engine, side);
	try_candidates(engine);
	engine->document = NULL;
}
