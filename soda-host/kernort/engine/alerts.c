// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is told of one packet: pass rules first, which silence the rest, then by priority; at most
 * KERNORT_PACKET_ALERTS, the others are counted.
 */
#include "engine.h"

#define CUT_INTERVAL_US 1000000ULL
#define CUT_PRIORITY 2
#define TAGGED_PRIORITY 4

static u32 action_order(u8 action)
{
	static const u8 order[] = { [KERNORT_ACTION_PASS] = 0,
				    [KERNORT_ACTION_DROP] = 1,
				    [KERNORT_ACTION_REJECT] = 2,
				    [KERNORT_ACTION_ALERT] = 3,
				    [KERNORT_ACTION_LOG] = 4 };

	return order[action];
}

static bool goes_before(const struct kernort_ruleset_rule *rules, u32 a, u32 b)
{
	u32 first = action_order(rules[a].action), second = action_order(rules[b].action);

	if (first != second)
		return first < second;
	if (rules[a].priority != rules[b].priority)
		return rules[a].priority < rules[b].priority;
	return a < b;
}

static void sort_matches(struct kernort_engine *engine)
{
	u32 i, j;

	for (i = 1; i < engine->match_count; i++) {
		u32 index = engine->matches[i];

		for (j = i; j > 0 && goes_before(engine->rules->rules, index, engine->matches[j - 1]); j--)
			engine->matches[j] = engine->matches[j - 1];
		engine->matches[j] = index;
	}
}

/* An alert about the present packet, of no rule yet. */
static struct kernort_detection about_packet(const struct kernort_engine *engine)
{
	const struct kernort_packet *packet = engine->scene.packet;
	struct kernort_detection alert = { .time_us = packet->time_us,
					   .family = packet->source.family,
					   .ip_protocol = packet->ip_protocol,
					   .source_port = packet->source_port,
					   .destination_port = packet->destination_port };

	memcpy(alert.source, packet->source.bytes, sizeof(alert.source));
	memcpy(alert.destination, packet->destination.bytes, sizeof(alert.destination));
	return alert;
}

static void tell(struct kernort_engine *engine, u32 index)
{
	const struct kernort_ruleset_rule *rule = &engine->rules->rules[index];
	struct kernort_detection alert = about_packet(engine);

	alert.rule = index;
	alert.gid = rule->gid;
	alert.sid = rule->sid;
	alert.rev = rule->rev;
	alert.action = rule->action;
	alert.priority = rule->priority;
	engine->counters.alerts++;
	engine->sink.alert(engine->sink.context, &alert);
}

void kernort_alerts_tell_tagged(struct kernort_engine *engine)
{
	struct kernort_detection alert;
	u32 rule;

	if (!kernort_tag_takes(&engine->tagged_hosts, engine->flow ? &engine->flow->tag : NULL, engine->scene.packet, &rule))
		return;
	engine->counters.tagged++;
	alert = about_packet(engine);
	alert.rule = KERNORT_NO_RULE;
	alert.gid = KERNORT_ENGINE_GID;
	alert.sid = KERNORT_ENGINE_SID_TAGGED;
	alert.rev = engine->rules->rules[rule].sid;
	alert.priority = TAGGED_PRIORITY;
	engine->sink.alert(engine->sink.context, &alert);
}

void kernort_alerts_tell_cut(struct kernort_engine *engine)
{
	struct kernort_detection alert = about_packet(engine);

	engine->counters.packets_cut++;
	engine->counters.rules_cut += engine->rules_cut;
	if (engine->flow && engine->flow->is_cut)
		return;
	if (engine->flow)
		engine->flow->is_cut = true;
	if (engine->told_cut_us && alert.time_us - engine->told_cut_us < CUT_INTERVAL_US)
		return;
	engine->told_cut_us = alert.time_us;
	alert.rule = KERNORT_NO_RULE;
	alert.gid = KERNORT_ENGINE_GID;
	alert.sid = KERNORT_ENGINE_SID_CUT;
	alert.priority = CUT_PRIORITY;
	engine->sink.alert(engine->sink.context, &alert);
}

void kernort_alerts_tell(struct kernort_engine *engine)
{
	u32 i, told = 0;

	sort_matches(engine);
	for (i = 0; i < engine->match_count; i++) {
		if (engine->rules->rules[engine->matches[i]].action == KERNORT_ACTION_PASS) {
			if (engine->flow)
				engine->flow->is_passed = true;
			break;
		}
		if (told++ < KERNORT_PACKET_ALERTS)
			tell(engine, engine->matches[i]);
		else
			engine->counters.alerts_dropped++;
	}
	engine->match_count = 0;
}
