// SPDX-License-Identifier: GPL-2.0-only
/* What happens when a rule has matched: detection filter, bits and integers, threshold, suppression. */
#include "actions.h"

#define SECOND_US 1000000ULL
#define XBIT_DEFAULT_SECONDS 30

/* Count one match in the window of @seconds that begins with its first. Returns the count, this one included. */
static u32 count_in_window(const struct kernort_scene *scene, u32 owner, u8 track, u32 seconds,
			   struct kernort_track_entry **at)
{
	struct kernort_track_entry *entry =
		kernort_track_find(scene->tracks, owner, track, scene->packet, scene->flow, true);

	if (scene->packet->time_us - entry->since_us >= seconds * SECOND_US) {
		entry->since_us = scene->packet->time_us;
		entry->count = 0;
	}
	*at = entry;
	return ++entry->count;
}

static bool filter_passes(const struct kernort_scene *scene, u32 rule, const struct kernort_ruleset_option *option)
{
	struct kernort_track_entry *entry;

	return count_in_window(scene, rule | KERNORT_TRACK_FILTER, option->compare, option->b, &entry) > option->a;
}

static bool threshold_passes(const struct kernort_scene *scene, u32 rule, const struct kernort_ruleset_option *option)
{
	struct kernort_track_entry *entry;
	u32 count = count_in_window(scene, rule, (u8)option->c, option->b, &entry);

	switch (option->compare) {
	case 0:
		return count <= option->a;
	case 1:
		if (count < option->a)
			return false;
		entry->count = 0;
		return true;
	default:
		return count == option->a;
	}
}

static void change_bit(u32 *words, u32 bit, u8 how)
{
	u32 mask = 1u << bit % 32;

	if (how == 0)
		words[bit / 32] |= mask;
	else if (how == 1)
		words[bit / 32] &= ~mask;
	else
		words[bit / 32] ^= mask;
}

static void change_xbit(const struct kernort_scene *scene, const struct kernort_ruleset_option *option)
{
	struct kernort_track_entry *entry =
		kernort_track_find(scene->tracks, option->a | KERNORT_TRACK_XBIT, (u8)option->b, scene->packet,
				   scene->flow, option->compare != 1);

	if (!entry)
		return;
	if (entry->until_us <= scene->packet->time_us)
		entry->count = 0;
	entry->count = option->compare == 0 ? 1 : option->compare == 1 ? 0 : !entry->count;
	entry->until_us = scene->packet->time_us + (option->c ? option->c : XBIT_DEFAULT_SECONDS) * SECOND_US;
}

static void change_integer(const struct kernort_scene *scene, struct kernort_flow *flow,
			   const struct kernort_ruleset_option *option)
{
	u32 *value = &flow->integers[option->a];
	u32 *has_value = flow->integers + scene->rules->header->flowint_count;

	if (option->compare == 0)
		*value = option->b;
	else if (option->compare == 1)
		*value += option->b;
	else
		*value = *value > option->b ? *value - option->b : 0;
	change_bit(has_value, option->a, 0);
}

static bool is_suppressed(const struct kernort_scene *scene, const struct kernort_ruleset_rule *rule)
{
	const struct kernort_ruleset *rules = scene->rules;
	u32 i;

	for (i = 0; i < rules->counts[KERNORT_SECTION_SUPPRESSIONS]; i++) {
		const struct kernort_ruleset_suppression *entry = &rules->suppressions[i];

		if (entry->gid != rule->gid || entry->sid != rule->sid)
			continue;
		if (entry->track == KERNORT_TRACK_BY_RULE ||
		    kernort_address_is_in(rules, entry->addresses,
					  entry->track == KERNORT_TRACK_BY_SRC ? &scene->packet->source :
										 &scene->packet->destination))
			return true;
	}
	return false;
}

static bool run_action(const struct kernort_scene *scene, struct kernort_flow *flow, u32 rule,
		       const struct kernort_ruleset_option *option)
{
	u32 i;

	switch (option->code) {
	case KERNORT_OPTION_FLOWBITS_SET:
		for (i = 0; flow && i < option->b; i++)
			change_bit(flow->bits, scene->rules->words[option->a + i], option->compare);
		return true;
	case KERNORT_OPTION_XBITS_SET:
		change_xbit(scene, option);
		return true;
	case KERNORT_OPTION_FLOWINT_SET:
		if (flow)
			change_integer(scene, flow, option);
		return true;
	case KERNORT_OPTION_TAG:
		kernort_tag_set(scene->tagged_hosts, flow ? &flow->tag : NULL, scene->packet, rule, option);
		return true;
	case KERNORT_OPTION_THRESHOLD:
		return threshold_passes(scene, rule, option);
	default:
		return true;
	}
}

enum kernort_verdict kernort_actions_run(const struct kernort_scene *scene, struct kernort_flow *flow, u32 index)
{
	const struct kernort_ruleset_rule *rule = &scene->rules->rules[index];
	const struct kernort_ruleset_block *block;
	bool is_told = !(rule->flags & KERNORT_RULE_NOALERT);
	u32 i;

	if (rule->block_count == 0)
		goto suppress;
	block = &scene->rules->blocks[rule->first_block + rule->block_count - 1];
	if (block->buffer != KERNORT_BUFFER_ACTION)
		goto suppress;
	for (i = 0; i < block->option_count; i++) {
		const struct kernort_ruleset_option *option = &scene->rules->options[block->first_option + i];

		if (option->code == KERNORT_OPTION_DETECTION_FILTER && !filter_passes(scene, index, option))
			return KERNORT_UNMATCHED;
		if (!run_action(scene, flow, index, option))
			is_told = false;
	}
suppress:
	return is_told && !is_suppressed(scene, rule) ? KERNORT_TOLD : KERNORT_SILENT;
}
