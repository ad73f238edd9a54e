// SPDX-License-Identifier: GPL-2.0-only
/*
 * DOC: Loading the rules on events
 *
 * As in ruleset.c, every byte is taken for hostile. Blocks and options are shared with the rules on packets, so here is
 * what of them an event may use: numbers, bits, and on texts what needs neither a packet nor a variable.
 */
#include "ruleset.h"

static_assert(sizeof(struct kernort_ruleset_event_rule) == 64, "event rule");
static_assert(KERNORT_EVENT_BUFFER >= (int)KERNORT_BUFFER_COUNT, "buffers of events are apart");
static_assert((int)KERNORT_EVENT_OPTION_NUMBER >= (int)KERNORT_OPTION_COUNT, "options of events are apart");
static_assert(KERNORT_EVENT_COUNT <= 32 && KERNORT_NUMBER_COUNT <= 32 && KERNORT_TEXT_COUNT <= 32, "bits of a word");

static bool is_range(const struct kernort_ruleset *rules, u32 section, u32 first, u32 count)
{
	return first <= rules->counts[section] && count <= rules->counts[section] - first;
}

static bool is_predicate_good(const struct kernort_ruleset_option *option)
{
	if (option->code == KERNORT_EVENT_OPTION_NUMBER)
		return option->a < KERNORT_NUMBER_COUNT && option->compare < KERNORT_COMPARE_COUNT;
	return option->code == KERNORT_EVENT_OPTION_BITS_TEST && option->compare <= 1;
}

static bool is_effect_good(const struct kernort_ruleset_option *option)
{
	switch (option->code) {
	case KERNORT_EVENT_OPTION_BITS_SET:
		return option->compare <= 2;
	case KERNORT_EVENT_OPTION_FIRST_TIME:
		return option->a < KERNORT_TEXT_COUNT;
	case KERNORT_OPTION_DETECTION_FILTER:
	case KERNORT_OPTION_THRESHOLD:
		return true;
	default:
		return false;
	}
}

static bool is_test_good(const struct kernort_ruleset *rules, const struct kernort_ruleset_option *option)
{
	switch (option->code) {
	case KERNORT_OPTION_CONTENT:
		return is_range(rules, KERNORT_SECTION_BYTES, option->a, option->b) && option->b > 0 &&
		       option->b <= KERNORT_RULESET_CONTENT_MAX &&
		       !(option->flags & (KERNORT_CONTENT_OFFSET_IS_VARIABLE | KERNORT_CONTENT_DEPTH_IS_VARIABLE));
	case KERNORT_OPTION_REGEX:
		return option->a < rules->counts[KERNORT_SECTION_REGEXES];
	case KERNORT_OPTION_IS_DATA_AT:
		return !(option->flags & KERNORT_DATA_AT_IS_VARIABLE);
	case KERNORT_OPTION_BUFFER_SIZE:
		return option->compare < KERNORT_COMPARE_COUNT;
	default:
		return false;
	}
}

static bool is_block_good(const struct kernort_ruleset *rules, const struct kernort_ruleset_block *block)
{
	bool is_header = block->buffer == KERNORT_BUFFER_HEADER, is_action = block->buffer == KERNORT_BUFFER_ACTION;
	u32 i;

	if (!is_header && !is_action &&
	    (block->buffer < KERNORT_EVENT_BUFFER || block->buffer >= KERNORT_EVENT_BUFFER + KERNORT_TEXT_COUNT))
		return false;
	if (block->transforms[0] != KERNORT_TRANSFORM_NONE ||
	    !is_range(rules, KERNORT_SECTION_OPTIONS, block->first_option, block->option_count))
		return false;
	for (i = 0; i < block->option_count; i++) {
		const struct kernort_ruleset_option *option = &rules->options[block->first_option + i];

		if (is_header ? !is_predicate_good(option) :
		    is_action ? !is_effect_good(option) :
				!is_test_good(rules, option))
			return false;
	}
	return true;
}

static bool is_rule_good(const struct kernort_ruleset *rules, const struct kernort_ruleset_event_rule *rule)
{
	u32 options = 0, i;

	if (!is_range(rules, KERNORT_SECTION_BYTES, rule->message, rule->message_length) ||
	    rule->class_index >= rules->counts[KERNORT_SECTION_CLASSES] || rule->action > KERNORT_ACTION_REJECT ||
	    rule->source_addresses >= rules->counts[KERNORT_SECTION_ADDRESS_GROUPS] ||
	    rule->destination_addresses >= rules->counts[KERNORT_SECTION_ADDRESS_GROUPS] ||
	    rule->source_ports >= rules->counts[KERNORT_SECTION_PORT_GROUPS] ||
	    rule->destination_ports >= rules->counts[KERNORT_SECTION_PORT_GROUPS] ||
	    rule->block_count > KERNORT_RULESET_BLOCKS_MAX ||
	    !is_range(rules, KERNORT_SECTION_BLOCKS, rule->first_block, rule->block_count))
		return false;
	for (i = 0; i < rule->block_count; i++) {
		const struct kernort_ruleset_block *block = &rules->blocks[rule->first_block + i];

		options += block->option_count;
		if (options > KERNORT_RULESET_OPTIONS_MAX || !is_block_good(rules, block))
			return false;
	}
	return true;
}

bool kernort_event_rules_are_good(const struct kernort_ruleset *rules)
{
	u32 i;

	if (rules->counts[KERNORT_SECTION_EVENT_RULES] > KERNORT_EVENT_RULES_MAX)
		return false;
	for (i = 0; i < rules->counts[KERNORT_SECTION_EVENT_RULES]; i++)
		if (!is_rule_good(rules, &rules->event_rules[i]))
			return false;
	return true;
}
