// SPDX-License-Identifier: GPL-2.0-only
/*
 * DOC: Trying one rule
 *
 * Header, predicates, blocks in order, then its actions. On a stream the subject begins after the rule's last match
 * there, so that old bytes do not match again each time when new ones come; and a match must reach into new bytes.
 * A rule that was woken but does not hold yet is remembered for when more of the stream is there.
 */
#include "engine.h"

static bool find_recent(const struct kernort_recent *list, u8 count, u32 rule, u64 *end)
{
	u32 i;

	for (i = 0; i < count; i++)
		if (list[i].rule == rule) {
			*end = list[i].end;
			return true;
		}
	return false;
}

static void note_recent(struct kernort_recent *list, u8 *count, u8 *next, u32 rule, u64 end)
{
	u32 i;

	for (i = 0; i < *count; i++)
		if (list[i].rule == rule) {
			list[i].end = end;
			return;
		}
	list[*next] = (struct kernort_recent){ .rule = rule, .end = end };
	*next = (u8)((*next + 1) % KERNORT_RECENT);
	if (*count < KERNORT_RECENT)
		(*count)++;
}

static struct kernort_subject stream_subject(const struct kernort_engine *engine, u32 rule)
{
	const struct kernort_side *side = &engine->flow->sides[engine->scene.side];
	struct kernort_subject subject = { 0 };
	u64 start = side->window_start, fired = 0;

	if (side->window == KERNORT_NO_INDEX)
		return subject;
	if (find_recent(side->fired, side->fired_count, rule, &fired) && fired > start)
		start = fired;
	subject.bytes = kernort_window_bytes(&engine->windows, side) + (start - side->window_start);
	subject.length = side->window_used - (u32)(start - side->window_start);
	subject.is_middle = start != 0;
	return subject;
}

static struct kernort_subject payload_subject(const struct kernort_engine *engine, u32 rule, u8 mode)
{
	const struct kernort_packet *packet = engine->scene.packet;

	if (mode == KERNORT_ON_STREAM ||
	    (mode == KERNORT_ON_DOCUMENT && packet->ip_protocol == KERNORT_PROTO_TCP && engine->flow))
		return stream_subject(engine, rule);
	return (struct kernort_subject){ .bytes = packet->payload, .length = packet->payload_length };
}

static bool view_block_matches(struct kernort_engine *engine, const struct kernort_ruleset_block *block)
{
	const struct kernort_views *views = &engine->document->scratch->views;
	const struct kernort_slice *single = &views->single[block->buffer];
	u32 i;

	if (single->bytes) {
		struct kernort_subject subject = { .bytes = single->bytes, .length = single->length };

		if (kernort_block_matches(&engine->evaluation, block,
					  kernort_transform(engine, block->transforms, subject)))
			return true;
	}
	for (i = 0; i < views->instance_count; i++) {
		struct kernort_subject subject = { .bytes = views->instances[i].slice.bytes,
						   .length = views->instances[i].slice.length };

		if (views->instances[i].buffer == block->buffer &&
		    kernort_block_matches(&engine->evaluation, block,
					  kernort_transform(engine, block->transforms, subject)))
			return true;
	}
	return false;
}

static bool block_holds(struct kernort_engine *engine, const struct kernort_ruleset_block *block, u32 rule, u8 mode)
{
	struct kernort_evaluation *evaluation = &engine->evaluation;
	struct kernort_subject subject;

	switch (block->buffer) {
	case KERNORT_BUFFER_HEADER:
		return kernort_predicates_hold(&engine->scene, block);
	case KERNORT_BUFFER_ACTION:
		return true;
	case KERNORT_BUFFER_PAYLOAD:
		subject = payload_subject(engine, rule, mode);
		evaluation->reach = 0;
		return subject.bytes &&
		       kernort_block_matches(evaluation, block, kernort_transform(engine, block->transforms, subject));
	case KERNORT_BUFFER_BASE64_DATA:
		subject = (struct kernort_subject){ .bytes = evaluation->base64, .length = evaluation->base64_length };
		return subject.length > 0 &&
		       kernort_block_matches(evaluation, block, kernort_transform(engine, block->transforms, subject));
	default:
		return mode == KERNORT_ON_DOCUMENT && engine->document && view_block_matches(engine, block);
	}
}

/* Returns the first block that does not hold, or NULL. */
static const struct kernort_ruleset_block *failing_block(struct kernort_engine *engine,
							 const struct kernort_ruleset_rule *rule, u32 index, u8 mode)
{
	const struct kernort_ruleset_block *blocks = engine->rules->blocks + rule->first_block;
	u32 i;

	engine->evaluation.packet = engine->scene.packet;
	engine->evaluation.flow = engine->flow;
	engine->evaluation.tries = 0;
	engine->evaluation.reach = 0;
	engine->evaluation.base64_length = 0;
	engine->evaluation.has_matched_content = false;
	memset(engine->evaluation.variables, 0, rule->variable_count * sizeof(u64));
	for (i = 0; i < rule->block_count; i++)
		if (!block_holds(engine, &blocks[i], index, mode))
			return &blocks[i];
	return NULL;
}

/* What a later look at the same message cannot change: its head. */
static bool is_settled(const struct kernort_engine *engine, const struct kernort_ruleset_block *block)
{
	const struct kernort_views *views = &engine->document->scratch->views;
	u32 i;

	if (block->buffer <= KERNORT_BUFFER_FILE_DATA || block->buffer == KERNORT_BUFFER_HTTP_REQUEST_BODY ||
	    block->buffer == KERNORT_BUFFER_HTTP_RESPONSE_BODY)
		return false;
	for (i = 0; i < views->instance_count; i++)
		if (views->instances[i].buffer == block->buffer)
			return true;
	return views->single[block->buffer].bytes;
}

/* Where the stream match ended, if it reaches into bytes that were not looked at before. */
static bool stream_match_is_new(struct kernort_engine *engine, u32 index)
{
	struct kernort_side *side = &engine->flow->sides[engine->scene.side];
	u64 start = side->window_start, fired = 0, end;

	if (find_recent(side->fired, side->fired_count, index, &fired) && fired > start)
		start = fired;
	end = engine->evaluation.has_matched_content ? start + engine->evaluation.reach :
						       side->window_start + side->window_used;
	if (end <= side->inspected && fired != 0)
		return false;
	note_recent(side->fired, &side->fired_count, &side->fired_next, index, end);
	return true;
}

static bool was_fired(const struct kernort_message *message, u32 rule)
{
	u32 i;

	for (i = 0; i < message->fired_count; i++)
		if (message->fired[i] == rule)
			return true;
	return false;
}

static void note_match(struct kernort_engine *engine, u32 index)
{
	if (engine->matched[index] == engine->packet_number)
		return;
	engine->matched[index] = engine->packet_number;
	if (engine->match_count < KERNORT_MATCHES)
		engine->matches[engine->match_count++] = index;
	else
		engine->counters.alerts_dropped++;
}

bool kernort_try_rule(struct kernort_engine *engine, u32 index, u8 mode)
{
	const struct kernort_ruleset_rule *rule = &engine->rules->rules[index];
	const struct kernort_ruleset_block *failing;
	struct kernort_message *message = NULL;
	struct kernort_work *work = &engine->evaluation.work;
	enum kernort_verdict verdict;
	u64 before;

	engine->scene.is_stream = mode == KERNORT_ON_STREAM;
	if (mode != KERNORT_ON_DOCUMENT && engine->matched[index] == engine->packet_number)
		return true;
	if (mode == KERNORT_ON_DOCUMENT) {
		message = &engine->document->messages[engine->scene.side];
		if (was_fired(message, index))
			return true;
	}
	if ((rule->flags & KERNORT_RULE_IP_ONLY) && engine->flow && (engine->flow->ip_only_done >> engine->scene.side & 1))
		return true;
	if (!kernort_header_matches(&engine->scene, rule))
		return true;
	engine->counters.rules_tried++;
	before = work->spent;
	kernort_work_spend(work, KERNORT_WORK_OF_RULE);
	failing = failing_block(engine, rule, index, mode);
	engine->uses[index].tried++;
	engine->uses[index].steps += work->spent - before;
	if (failing) {
		if (mode == KERNORT_ON_STREAM && (rule->flags & KERNORT_RULE_PREFILTERED)) {
			struct kernort_side *side = &engine->flow->sides[engine->scene.side];

			note_recent(side->waiting, &side->waiting_count, &side->waiting_next, index, side->bytes);
		}
		return mode != KERNORT_ON_DOCUMENT || is_settled(engine, failing);
	}
	if (mode == KERNORT_ON_STREAM && !stream_match_is_new(engine, index))
		return true;
	if (message && message->fired_count < KERNORT_FIRED)
		message->fired[message->fired_count++] = index;
	verdict = kernort_actions_run(&engine->scene, engine->flow, index);
	engine->counters.matches += verdict != KERNORT_UNMATCHED;
	engine->uses[index].matched += verdict != KERNORT_UNMATCHED;
	if (verdict == KERNORT_TOLD)
		note_match(engine, index);
	return true;
}
