// SPDX-License-Identifier: GPL-2.0-only
/*
 * DOC: Loading a rule table
 *
 * Goal: after this one pass, nothing that the table says can lead outside of it: every index, range, sub-code and
 * order that matching relies on holds. The digest names the table; who may load one is decided elsewhere, so here
 * every byte is taken for hostile. Time is linear in the size of the table, but for the regular expressions, which
 * their own check bounds.
 */
#include "ruleset.h"

struct section_shape {
	u32 entry_size;
	size_t view; /* offset of the pointer in struct kernort_ruleset */
};

#define SHAPE(member) { sizeof(*((struct kernort_ruleset *)0)->member), offsetof(struct kernort_ruleset, member) }

static const struct section_shape shapes[KERNORT_SECTION_COUNT] = {
	[KERNORT_SECTION_BYTES] = SHAPE(bytes),
	[KERNORT_SECTION_WORDS] = SHAPE(words),
	[KERNORT_SECTION_ADDRESSES4] = SHAPE(addresses4),
	[KERNORT_SECTION_ADDRESSES6] = SHAPE(addresses6),
	[KERNORT_SECTION_ADDRESS_GROUPS] = SHAPE(address_groups),
	[KERNORT_SECTION_PORTS] = SHAPE(ports),
	[KERNORT_SECTION_PORT_GROUPS] = SHAPE(port_groups),
	[KERNORT_SECTION_CLASSES] = SHAPE(classes),
	[KERNORT_SECTION_RULES] = SHAPE(rules),
	[KERNORT_SECTION_BLOCKS] = SHAPE(blocks),
	[KERNORT_SECTION_OPTIONS] = SHAPE(options),
	[KERNORT_SECTION_BYTE_SETS] = SHAPE(byte_sets),
	[KERNORT_SECTION_REGEXES] = SHAPE(regexes),
	[KERNORT_SECTION_REGEX_CODE] = SHAPE(regex_code),
	[KERNORT_SECTION_PATTERNS] = SHAPE(patterns),
	[KERNORT_SECTION_GRAMS] = SHAPE(grams),
	[KERNORT_SECTION_HEADS] = SHAPE(heads),
	[KERNORT_SECTION_MARKS] = SHAPE(marks),
	[KERNORT_SECTION_SCANNERS] = SHAPE(scanners),
	[KERNORT_SECTION_GROUPS] = SHAPE(groups),
	[KERNORT_SECTION_ADDRESS_INDEX] = SHAPE(address_index),
	[KERNORT_SECTION_SUPPRESSIONS] = SHAPE(suppressions),
	[KERNORT_SECTION_EVENT_RULES] = SHAPE(event_rules),
};

static_assert(sizeof(struct kernort_ruleset_header) == 64 + 23 * 16, "header of a rule table");
static_assert(sizeof(struct kernort_ruleset_rule) == 64, "rule");
static_assert(sizeof(struct kernort_ruleset_block) == 12, "block");
static_assert(sizeof(struct kernort_ruleset_option) == 32, "option");
static_assert(sizeof(struct kernort_ruleset_regex) == 24, "regular expression");
static_assert(sizeof(struct kernort_ruleset_pattern) == 16, "pattern");
static_assert(sizeof(struct kernort_ruleset_gram) == 16, "gram");
static_assert(sizeof(struct kernort_ruleset_scanner) == 64, "scanner");
static_assert(sizeof(struct kernort_ruleset_group) == 20, "group");
static_assert(sizeof(struct kernort_ruleset_address_index) == 20, "address index");
static_assert(sizeof(struct kernort_ruleset_suppression) == 12, "suppression");

static bool is_range(const struct kernort_ruleset *rules, u32 section, u32 first, u32 count)
{
	return first <= rules->counts[section] && count <= rules->counts[section] - first;
}

static bool open_sections(struct kernort_ruleset *rules, const u8 *table, u32 size)
{
	u32 i;

	for (i = 0; i < KERNORT_SECTION_COUNT; i++) {
		const struct kernort_ruleset_section *section = &rules->header->sections[i];
		const void *at = table + section->offset;

		if (section->entry_size != shapes[i].entry_size || section->offset % KERNORT_RULESET_ALIGN ||
		    section->offset > size || section->count > (size - section->offset) / section->entry_size)
			return false;
		memcpy((u8 *)rules + shapes[i].view, &at, sizeof(at));
		rules->counts[i] = section->count;
	}
	return true;
}

static bool are_addresses_good(const struct kernort_ruleset *rules)
{
	u32 i;

	for (i = 0; i < rules->counts[KERNORT_SECTION_ADDRESS_GROUPS]; i++) {
		const struct kernort_ruleset_address_group *group = &rules->address_groups[i];

		if (!is_range(rules, KERNORT_SECTION_ADDRESSES4, group->first4, group->count4) ||
		    !is_range(rules, KERNORT_SECTION_ADDRESSES6, group->first6, group->count6))
			return false;
	}
	for (i = 0; i < rules->counts[KERNORT_SECTION_PORT_GROUPS]; i++)
		if (!is_range(rules, KERNORT_SECTION_PORTS, rules->port_groups[i].first, rules->port_groups[i].count))
			return false;
	for (i = 0; i < rules->counts[KERNORT_SECTION_SUPPRESSIONS]; i++)
		if (rules->suppressions[i].addresses >= rules->counts[KERNORT_SECTION_ADDRESS_GROUPS])
			return false;
	return true;
}

static bool are_bits_good(const struct kernort_ruleset *rules, u32 first, u32 count)
{
	u32 i;

	if (!is_range(rules, KERNORT_SECTION_WORDS, first, count))
		return false;
	for (i = 0; i < count; i++)
		if (rules->words[first + i] >= rules->header->flowbit_count)
			return false;
	return true;
}

static bool is_buffer_option_good(const struct kernort_ruleset *rules, const struct kernort_ruleset_option *option)
{
	u16 flags = option->flags;
	bool is_string = flags & KERNORT_BYTES_STRING;
	bool is_offset_good = !(flags & KERNORT_BYTES_OFFSET_IS_VARIABLE) || option->c < KERNORT_RULESET_VARIABLES;
	bool is_count_good = flags & KERNORT_BYTES_COUNT_IS_VARIABLE ? option->a < KERNORT_RULESET_VARIABLES :
								       option->a <= (is_string ? 23u : 8u);

	switch (option->code) {
	case KERNORT_OPTION_CONTENT:
		return is_range(rules, KERNORT_SECTION_BYTES, option->a, option->b) && option->b > 0 &&
		       option->b <= KERNORT_RULESET_CONTENT_MAX &&
		       (!(flags & KERNORT_CONTENT_OFFSET_IS_VARIABLE) || option->c < KERNORT_RULESET_VARIABLES) &&
		       (!(flags & KERNORT_CONTENT_DEPTH_IS_VARIABLE) || option->d < KERNORT_RULESET_VARIABLES);
	case KERNORT_OPTION_REGEX:
		return option->a < rules->counts[KERNORT_SECTION_REGEXES];
	case KERNORT_OPTION_BYTE_TEST:
		return is_count_good && is_offset_good &&
		       (!(flags & KERNORT_BYTES_VALUE_IS_VARIABLE) || option->b < KERNORT_RULESET_VARIABLES);
	case KERNORT_OPTION_BYTE_JUMP:
		return is_count_good && is_offset_good;
	case KERNORT_OPTION_BYTE_EXTRACT:
		return is_count_good && is_offset_good && option->b < KERNORT_RULESET_VARIABLES;
	case KERNORT_OPTION_BYTE_MATH:
		return is_count_good && is_offset_good && option->b < KERNORT_RULESET_VARIABLES &&
		       (!(flags & KERNORT_BYTES_VALUE_IS_VARIABLE) || option->f < KERNORT_RULESET_VARIABLES);
	case KERNORT_OPTION_IS_DATA_AT:
		return !(flags & KERNORT_DATA_AT_IS_VARIABLE) || option->a < KERNORT_RULESET_VARIABLES;
	default:
		return option->code <= KERNORT_OPTION_FTP_BOUNCE;
	}
}

static bool is_header_option_good(const struct kernort_ruleset *rules, const struct kernort_ruleset_option *option)
{
	switch (option->code) {
	case KERNORT_OPTION_FLOWBITS_TEST:
		return are_bits_good(rules, option->a, option->b);
	case KERNORT_OPTION_XBITS_TEST:
		return option->a < rules->header->xbit_count;
	case KERNORT_OPTION_FLOWINT_TEST:
		return option->a < rules->header->flowint_count;
	case KERNORT_OPTION_DCE_INTERFACE:
		return is_range(rules, KERNORT_SECTION_BYTES, option->a, 16);
	case KERNORT_OPTION_DCE_OPNUM:
		return option->b <= 0x7fffffff && is_range(rules, KERNORT_SECTION_WORDS, option->a, option->b * 2);
	default:
		return option->code >= KERNORT_OPTION_PAYLOAD_SIZE && option->code <= KERNORT_OPTION_DCE_OPNUM;
	}
}

static bool is_action_option_good(const struct kernort_ruleset *rules, const struct kernort_ruleset_option *option)
{
	switch (option->code) {
	case KERNORT_OPTION_FLOWBITS_SET:
		return are_bits_good(rules, option->a, option->b);
	case KERNORT_OPTION_XBITS_SET:
		return option->a < rules->header->xbit_count;
	case KERNORT_OPTION_FLOWINT_SET:
		return option->a < rules->header->flowint_count;
	default:
		return option->code >= KERNORT_OPTION_DETECTION_FILTER && option->code <= KERNORT_OPTION_THRESHOLD;
	}
}

static bool is_block_good(const struct kernort_ruleset *rules, const struct kernort_ruleset_block *block)
{
	u32 i;

	if (block->buffer >= KERNORT_BUFFER_COUNT ||
	    !is_range(rules, KERNORT_SECTION_OPTIONS, block->first_option, block->option_count))
		return false;
	for (i = 0; i < KERNORT_RULESET_TRANSFORMS; i++)
		if (block->transforms[i] >= KERNORT_TRANSFORM_COUNT)
			return false;
	for (i = 0; i < block->option_count; i++) {
		const struct kernort_ruleset_option *option = &rules->options[block->first_option + i];

		if (block->buffer == KERNORT_BUFFER_HEADER	? !is_header_option_good(rules, option) :
		    block->buffer == KERNORT_BUFFER_ACTION ? !is_action_option_good(rules, option) :
							     !is_buffer_option_good(rules, option))
			return false;
	}
	return true;
}

static bool is_rule_good(const struct kernort_ruleset *rules, const struct kernort_ruleset_rule *rule)
{
	u32 options = 0, i;

	if (!is_range(rules, KERNORT_SECTION_BYTES, rule->message, rule->message_length) ||
	    rule->class_index >= rules->counts[KERNORT_SECTION_CLASSES] || rule->action > KERNORT_ACTION_REJECT ||
	    rule->app >= KERNORT_APP_COUNT || rule->variable_count > KERNORT_RULESET_VARIABLES ||
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

static bool are_rules_good(const struct kernort_ruleset *rules)
{
	u32 i;

	if (rules->counts[KERNORT_SECTION_RULES] > KERNORT_RULESET_RULES_MAX)
		return false;
	for (i = 0; i < rules->counts[KERNORT_SECTION_RULES]; i++)
		if (!is_rule_good(rules, &rules->rules[i]))
			return false;
	return true;
}

static bool is_rule_list_good(const struct kernort_ruleset *rules, u32 first, u32 count)
{
	u32 i;

	if (!is_range(rules, KERNORT_SECTION_WORDS, first, count))
		return false;
	for (i = 0; i < count; i++)
		if (rules->words[first + i] >= rules->counts[KERNORT_SECTION_RULES])
			return false;
	return true;
}

static bool is_scanner_table_good(const struct kernort_ruleset *rules, const struct kernort_ruleset_scanner_table *table)
{
	u32 i, heads;

	if (table->mark_bits == 0)
		return true;
	if (table->mark_bits < 6 || table->mark_bits > 20 || table->head_bits < 1 || table->head_bits > 20)
		return false;
	heads = (1u << table->head_bits) + 1;
	if (!is_range(rules, KERNORT_SECTION_MARKS, table->marks, 1u << table->mark_bits) ||
	    !is_range(rules, KERNORT_SECTION_HEADS, table->heads, heads))
		return false;
	for (i = 0; i + 1 < heads; i++)
		if (rules->heads[table->heads + i] > rules->heads[table->heads + i + 1])
			return false;
	return rules->heads[table->heads + heads - 1] <= rules->counts[KERNORT_SECTION_GRAMS];
}

static bool is_prefilter_good(const struct kernort_ruleset *rules)
{
	u32 i, j;

	for (i = 0; i < rules->counts[KERNORT_SECTION_PATTERNS]; i++) {
		const struct kernort_ruleset_pattern *pattern = &rules->patterns[i];

		if (pattern->length < 1 || pattern->length > KERNORT_PATTERN_BYTES_MAX ||
		    pattern->ports >= rules->counts[KERNORT_SECTION_PORT_GROUPS] ||
		    !is_range(rules, KERNORT_SECTION_BYTES, pattern->bytes, pattern->length) ||
		    !is_rule_list_good(rules, pattern->first_rule, pattern->rule_count))
			return false;
	}
	for (i = 0; i < rules->counts[KERNORT_SECTION_GRAMS]; i++)
		if (rules->grams[i].pattern >= rules->counts[KERNORT_SECTION_PATTERNS] ||
		    (s32)rules->grams[i].position < -1 || (s32)rules->grams[i].position > 255)
			return false;
	for (i = 0; i < rules->counts[KERNORT_SECTION_SCANNERS]; i++)
		for (j = 0; j < KERNORT_SCANNER_TABLES; j++)
			if (rules->scanners[i].longest > KERNORT_PATTERN_BYTES_MAX ||
			    !is_scanner_table_good(rules, &rules->scanners[i].tables[j]))
				return false;
	return true;
}

static bool are_groups_good(const struct kernort_ruleset *rules)
{
	u32 i;

	for (i = 0; i < rules->counts[KERNORT_SECTION_GROUPS]; i++) {
		const struct kernort_ruleset_group *group = &rules->groups[i];

		if ((group->scanner != KERNORT_RULESET_NONE &&
		     group->scanner >= rules->counts[KERNORT_SECTION_SCANNERS]) ||
		    !is_rule_list_good(rules, group->first_rule, group->rule_count))
			return false;
	}
	for (i = 0; i < rules->counts[KERNORT_SECTION_ADDRESS_INDEX]; i++)
		if (!is_rule_list_good(rules, rules->address_index[i].first_rule, rules->address_index[i].rule_count))
			return false;
	return true;
}

static bool are_regexes_good(struct kernort_ruleset *rules)
{
	u32 i;

	rules->regex_tables = (struct kernort_regex_tables){ .code = rules->regex_code,
							     .code_count = rules->counts[KERNORT_SECTION_REGEX_CODE],
							     .sets = rules->byte_sets,
							     .set_count = rules->counts[KERNORT_SECTION_BYTE_SETS] };

	for (i = 0; i < rules->counts[KERNORT_SECTION_REGEXES]; i++)
		if (kernort_regex_check(&rules->regex_tables, &rules->regexes[i]))
			return false;
	return true;
}

static int refuse(const char **where, const char *what)
{
	*where = what;
	return -EINVAL;
}

int kernort_ruleset_open(struct kernort_ruleset *rules, const void *table, u32 size, const char **where)
{
	const struct kernort_ruleset_header *header = table;

	memset(rules, 0, sizeof(*rules));
	rules->header = header;
	if (size < sizeof(*header) || size > KERNORT_RULESET_SIZE_MAX || header->size != size)
		return refuse(where, "size");
	if (header->magic != KERNORT_RULESET_MAGIC || header->version != KERNORT_RULESET_VERSION ||
	    header->section_count != KERNORT_SECTION_COUNT)
		return refuse(where, "version");
	if (header->flowbit_count > KERNORT_RULESET_FLOWBITS_MAX || header->xbit_count > KERNORT_RULESET_XBITS_MAX ||
	    header->flowint_count > KERNORT_RULESET_FLOWINTS_MAX)
		return refuse(where, "bits");
	if (!open_sections(rules, table, size))
		return refuse(where, "sections");
	if (!are_addresses_good(rules))
		return refuse(where, "addresses");
	if (!are_rules_good(rules))
		return refuse(where, "rules");
	if (!is_prefilter_good(rules))
		return refuse(where, "prefilter");
	if (!are_groups_good(rules))
		return refuse(where, "groups");
	if (!are_regexes_good(rules))
		return refuse(where, "regular expressions");
	if (!kernort_event_rules_are_good(rules))
		return refuse(where, "event rules");
	return 0;
}
