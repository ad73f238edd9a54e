// SPDX-License-Identifier: GPL-2.0-only
/*
 * DOC: Rules on what programs do
 *
 * Goal: each system call that the kernel is about to carry out, and each line on a terminal, is compared with the rules
 * that ask about its kind; what matches is told, and what a rule forbids does not happen.
 *
 * A rule is tried from its cheap parts to its dear ones: kind, address, numbers and bits, texts, then what it counts. Rules
 * that let pass are tried first: one that matches keeps all others quiet. There is no prefilter: such rules are few (1,024
 * at most), and acts are rare beside packets. What no rule asks of a kind need not be worked out by the caller
 * (kernort_events_texts()).
 *
 * What one act may cost is bounded (KERNORT_EVENT_WORK_MAX); rules that are not tried for it are said to be so.
 *
 * Memory is one block, nothing is allocated later, and each table in it gives way, counted (event_state.c, console.c).
 * The caller makes calls wait for each other. Attacker: chooses every text, most numbers, and when.
 */
#include "console.h"
#include "evaluate.h"
#include "event_state.h"
#include "predicates.h"

struct kernort_events {
	const struct kernort_ruleset *rules;
	u32 kinds;
	u32 texts[KERNORT_EVENT_COUNT];
	u32 numbers[KERNORT_EVENT_COUNT];
	struct kernort_counters matching;
	struct kernort_event_state state;
	struct kernort_console console;
	struct kernort_evaluation evaluation;
};

u64 kernort_events_size(void)
{
	return sizeof(struct kernort_events);
}

static void note_needs(const struct kernort_ruleset *rules, const struct kernort_ruleset_event_rule *rule, u32 *texts,
		       u32 *numbers)
{
	u32 i, j;

	for (i = 0; i < rule->block_count; i++) {
		const struct kernort_ruleset_block *block = &rules->blocks[rule->first_block + i];

		if (block->buffer >= KERNORT_EVENT_BUFFER)
			*texts |= 1u << (block->buffer - KERNORT_EVENT_BUFFER);
		for (j = 0; j < block->option_count; j++) {
			const struct kernort_ruleset_option *option = &rules->options[block->first_option + j];

			if (option->code == KERNORT_EVENT_OPTION_NUMBER)
				*numbers |= 1u << option->a;
			if (option->code == KERNORT_EVENT_OPTION_FIRST_TIME)
				*texts |= 1u << option->a;
		}
	}
}

struct kernort_events *kernort_events_init(void *memory, const struct kernort_ruleset *rules, u64 hash_key)
{
	struct kernort_events *events = memory;
	u32 i, kind;

	events->rules = events->evaluation.rules = rules;
	events->evaluation.counters = &events->matching;
	/* Texts are short, and none may use up what a rule that forbids needs. */
	events->state.hash_key = hash_key;
	for (i = 0; i < rules->counts[KERNORT_SECTION_EVENT_RULES]; i++) {
		const struct kernort_ruleset_event_rule *rule = &rules->event_rules[i];
		u32 texts = 0, numbers = 0;

		note_needs(rules, rule, &texts, &numbers);
		events->kinds |= rule->kinds;
		for (kind = 0; kind < KERNORT_EVENT_COUNT; kind++) {
			events->texts[kind] |= rule->kinds & 1u << kind ? texts : 0;
			events->numbers[kind] |= rule->kinds & 1u << kind ? numbers : 0;
		}
	}
	return events;
}

u32 kernort_events_kinds(const struct kernort_events *events)
{
	return events->kinds;
}

u32 kernort_events_texts(const struct kernort_events *events, u32 kind)
{
	return events->texts[kind];
}

u32 kernort_events_numbers(const struct kernort_events *events, u32 kind)
{
	return events->numbers[kind];
}

const struct kernort_event_counters *kernort_events_counters(const struct kernort_events *events)
{
	return &events->state.counters;
}

static bool port_is_in(const struct kernort_ruleset *rules, u32 group, u16 port)
{
	const struct kernort_ruleset_port_group *in = &rules->port_groups[group];
	u32 i;

	for (i = 0; i < in->count; i++)
		if (port >= rules->ports[in->first + i].low && port <= rules->ports[in->first + i].high)
			return true;
	return group == 0;
}

static bool end_matches(const struct kernort_ruleset *rules, u32 addresses, u32 ports, const struct kernort_event *event)
{
	if (addresses == 0 && ports == 0)
		return true;
	return event->address.family && kernort_address_is_in(rules, addresses, &event->address) &&
	       port_is_in(rules, ports, event->port);
}

/* The other side of an accepted connection is its source; of all else the address is a destination. */
static bool header_matches(const struct kernort_ruleset *rules, const struct kernort_ruleset_event_rule *rule,
			   const struct kernort_event *event)
{
	if (!(rule->kinds & 1u << event->kind))
		return false;
	if (event->kind == KERNORT_EVENT_ACCEPT)
		return rule->destination_addresses == 0 && rule->destination_ports == 0 &&
		       end_matches(rules, rule->source_addresses, rule->source_ports, event);
	return rule->source_addresses == 0 && rule->source_ports == 0 &&
	       end_matches(rules, rule->destination_addresses, rule->destination_ports, event);
}

static u64 mask_of(const struct kernort_ruleset_option *option)
{
	return option->a | (u64)option->b << 32;
}

static bool predicates_hold(struct kernort_events *events, const struct kernort_ruleset_block *block,
			    const struct kernort_event *event)
{
	u32 i;

	for (i = 0; i < block->option_count; i++) {
		const struct kernort_ruleset_option *option = &events->rules->options[block->first_option + i];
		bool holds;

		if (option->code == KERNORT_EVENT_OPTION_NUMBER)
			holds = event->given & 1u << option->a &&
				kernort_compare_value(option->compare, event->numbers[option->a], option->b, option->c) !=
					!!(option->flags & KERNORT_OPTION_NEGATED);
		else
			holds = !!(kernort_event_bits(&events->state, event->pid) & mask_of(option)) ==
				(option->compare == 0);
		if (!holds)
			return false;
	}
	return true;
}

static bool text_matches(struct kernort_events *events, const struct kernort_ruleset_block *block,
			 const struct kernort_event *event)
{
	const struct kernort_piece *text = &event->texts[block->buffer - KERNORT_EVENT_BUFFER];
	const struct kernort_subject subject = { .bytes = text->bytes, .length = (u32)text->length };

	events->evaluation.reach = 0;
	events->evaluation.has_matched_content = false;
	return text->bytes && kernort_block_matches(&events->evaluation, block, subject) &&
	       (!events->evaluation.has_matched_content || events->evaluation.reach > event->looked_at);
}

static void change_bits(struct kernort_event_state *state, u32 pid, const struct kernort_ruleset_option *option)
{
	u64 bits = kernort_event_bits(state, pid), mask = mask_of(option);

	kernort_event_set_bits(state, pid,
			       option->compare == 0 ? bits | mask : option->compare == 1 ? bits & ~mask : bits ^ mask);
}

/* In order. False: the rule has not matched. @is_told: whether it is to be told of. */
static bool run_actions(struct kernort_events *events, u32 rule, const struct kernort_ruleset_block *block,
			const struct kernort_event *event, bool *is_told)
{
	struct kernort_event_state *state = &events->state;
	u32 i;

	for (i = 0; i < block->option_count; i++) {
		const struct kernort_ruleset_option *option = &events->rules->options[block->first_option + i];

		switch (option->code) {
		case KERNORT_OPTION_DETECTION_FILTER:
			if (!kernort_event_filter_passes(state, rule, event, option))
				return false;
			break;
		case KERNORT_EVENT_OPTION_FIRST_TIME:
			if (!event->texts[option->a].bytes ||
			    !kernort_event_is_new(state, rule, &event->texts[option->a]) ||
			    event->time_us < option->b * 1000000ULL)
				return false;
			break;
		case KERNORT_EVENT_OPTION_BITS_SET:
			change_bits(state, event->pid, option);
			break;
		default:
			*is_told = kernort_event_threshold_passes(state, rule, event, option);
		}
	}
	return true;
}

/* What was asked ahead is told when it is done: unless a rule forbids it, then it never is. */
static bool is_for_later(const struct kernort_event *event, u8 action)
{
	return event->is_asked_ahead && action != KERNORT_ACTION_DROP && action != KERNORT_ACTION_REJECT;
}

static bool rule_matches(struct kernort_events *events, u32 index, const struct kernort_event *event, bool *is_told)
{
	const struct kernort_ruleset *rules = events->rules;
	const struct kernort_ruleset_event_rule *rule = &rules->event_rules[index];
	u32 i;

	if (!header_matches(rules, rule, event))
		return false;
	*is_told = !(rule->flags & KERNORT_RULE_NOALERT);
	events->evaluation.tries = 0;
	for (i = 0; i < rule->block_count; i++) {
		const struct kernort_ruleset_block *block = &rules->blocks[rule->first_block + i];
		bool tells = *is_told;

		if (block->buffer == KERNORT_BUFFER_HEADER	? !predicates_hold(events, block, event) :
		    block->buffer == KERNORT_BUFFER_ACTION ? !run_actions(events, index, block, event, &tells) :
							     !text_matches(events, block, event))
			return false;
		*is_told = *is_told && tells;
	}
	events->state.counters.matches++;
	return true;
}

/* The gravest first; of those that are alike, the one that stands first. */
static void tell(struct kernort_events *events, struct kernort_verdict *verdict, u32 rule)
{
	const struct kernort_ruleset_event_rule *rules = events->rules->event_rules;
	u32 at = verdict->count;

	while (at > 0 && rules[rule].priority < rules[verdict->rules[at - 1]].priority)
		at--;
	if (verdict->count == KERNORT_EVENT_ALERTS_MAX) {
		events->state.counters.alerts_dropped++;
		if (at == verdict->count)
			return;
		verdict->count--;
	}
	memmove(verdict->rules + at + 1, verdict->rules + at, (verdict->count - at) * sizeof(*verdict->rules));
	verdict->rules[at] = rule;
	verdict->count++;
}

void kernort_events_judge(struct kernort_events *events, const struct kernort_event *event,
			  struct kernort_verdict *verdict)
{
	const struct kernort_ruleset *rules = events->rules;
	u32 count = rules->counts[KERNORT_SECTION_EVENT_RULES], i;
	bool is_told;

	memset(verdict, 0, sizeof(*verdict));
	if (!(events->kinds & 1u << event->kind))
		return;
	events->state.counters.events++;
	events->evaluation.work = (struct kernort_work){ .limit = KERNORT_EVENT_WORK_MAX };
	for (i = 0; i < count; i++)
		if (rules->event_rules[i].action == KERNORT_ACTION_PASS && rule_matches(events, i, event, &is_told))
			return;
	for (i = 0; i < count; i++) {
		u8 action = rules->event_rules[i].action;

		if (action == KERNORT_ACTION_PASS || is_for_later(event, action) ||
		    !rule_matches(events, i, event, &is_told))
			continue;
		verdict->is_denied |= action == KERNORT_ACTION_DROP || action == KERNORT_ACTION_REJECT;
		if (is_told)
			tell(events, verdict, i);
	}
	verdict->is_cut = events->evaluation.work.is_cut;
	events->state.counters.acts_cut += verdict->is_cut;
}

void kernort_events_forked(struct kernort_events *events, u32 parent, u32 child)
{
	kernort_event_set_bits(&events->state, child, kernort_event_bits(&events->state, parent));
}

void kernort_events_exited(struct kernort_events *events, u32 pid)
{
	kernort_event_set_bits(&events->state, pid, 0);
}

u32 kernort_events_console(struct kernort_events *events, struct kernort_event *event, u32 device, const u8 *bytes,
			   u32 length, struct kernort_verdict *verdict)
{
	struct kernort_console_line *line = kernort_console_line(&events->console, device, event->kind,
								 &events->state.counters.lines_evicted);
	bool is_whole;
	u32 taken = kernort_console_add(line, bytes, length, &is_whole);

	memset(verdict, 0, sizeof(*verdict));
	if (!is_whole)
		return taken;
	event->looked_at = line->looked_at;
	event->texts[KERNORT_TEXT_CONSOLE_LINE] = (struct kernort_piece){ line->bytes, line->length };
	kernort_events_judge(events, event, verdict);
	kernort_console_begin(line);
	return taken;
}
