/* SPDX-License-Identifier: GPL-2.0-only */
/* A checked rule table: typed views of its sections. */
#ifndef KERNORT_RULESET_VIEW_H
#define KERNORT_RULESET_VIEW_H

#include "kernort_env.h"
#include "kernort_event.h"
#include "kernort_ruleset.h"
#include "regex.h"

struct kernort_ruleset {
	const struct kernort_ruleset_header *header;
	const u8 *bytes;
	const u32 *words;
	const struct kernort_ruleset_address4 *addresses4;
	const struct kernort_ruleset_address6 *addresses6;
	const struct kernort_ruleset_address_group *address_groups;
	const struct kernort_ruleset_port_range *ports;
	const struct kernort_ruleset_port_group *port_groups;
	const struct kernort_ruleset_class *classes;
	const struct kernort_ruleset_rule *rules;
	const struct kernort_ruleset_block *blocks;
	const struct kernort_ruleset_option *options;
	const u8 (*byte_sets)[32];
	const struct kernort_ruleset_regex *regexes;
	const u32 *regex_code;
	const struct kernort_ruleset_pattern *patterns;
	const struct kernort_ruleset_gram *grams;
	const u32 *heads;
	const u8 *marks;
	const struct kernort_ruleset_scanner *scanners;
	const struct kernort_ruleset_group *groups;
	const struct kernort_ruleset_address_index *address_index;
	const struct kernort_ruleset_suppression *suppressions;
	const struct kernort_ruleset_event_rule *event_rules;
	u32 counts[KERNORT_SECTION_COUNT];
	struct kernort_regex_tables regex_tables;
};

/**
 * kernort_ruleset_open() - check a table and make it usable
 * @table: aligned to KERNORT_RULESET_ALIGN; stays the caller's and must not change
 * @where: when refused, a word for what was wrong
 * Return: 0, or -EINVAL. Whatever the bytes, a table that opens cannot lead the engine outside of it.
 */
int kernort_ruleset_open(struct kernort_ruleset *rules, const void *table, u32 size, const char **where);

/* event_rules.c: may every entry of EVENT_RULES be believed? */
bool kernort_event_rules_are_good(const struct kernort_ruleset *rules);

#endif
