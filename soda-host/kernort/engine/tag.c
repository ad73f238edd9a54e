// SPDX-License-Identifier: GPL-2.0-only
#include "tag.h"

#define SECOND_US 1000000ULL

static void set(struct kernort_tag *tag, const struct kernort_packet *packet, u32 rule,
		const struct kernort_ruleset_option *option)
{
	/* One that runs goes on. */
	if (tag->left && tag->rule == rule)
		return;
	*tag = (struct kernort_tag){ .rule = rule,
				     .left = option->a,
				     .metric = (u8)option->b,
				     .until_us = packet->time_us + option->a * SECOND_US };
}

void kernort_tag_set(struct kernort_tags *hosts, struct kernort_tag *flow_tag, const struct kernort_packet *packet,
		     u32 rule, const struct kernort_ruleset_option *option)
{
	const struct kernort_address *address = option->c ? &packet->destination : &packet->source;
	u32 i;

	if (option->compare == 0) {
		if (flow_tag)
			set(flow_tag, packet, rule, option);
		return;
	}
	for (i = 0; i < hosts->count; i++)
		if (hosts->tags[i].rule == rule && !memcmp(&hosts->addresses[i], address, sizeof(*address)))
			break;
	if (i == hosts->count) {
		i = hosts->next;
		hosts->next = (hosts->next + 1) % KERNORT_TAG_HOSTS;
		hosts->count += hosts->count < KERNORT_TAG_HOSTS;
		hosts->tags[i].left = 0;
		hosts->addresses[i] = *address;
	}
	set(&hosts->tags[i], packet, rule, option);
}

static bool takes(struct kernort_tag *tag, const struct kernort_packet *packet, u32 *rule)
{
	u32 cost = tag->metric == KERNORT_TAG_BYTES ? packet->network_length : tag->metric == KERNORT_TAG_PACKETS ? 1 : 0;

	if (!tag->left)
		return false;
	if (tag->metric == KERNORT_TAG_SECONDS && packet->time_us >= tag->until_us) {
		tag->left = 0;
		return false;
	}
	tag->left = tag->left > cost ? tag->left - cost : 0;
	*rule = tag->rule;
	return true;
}

bool kernort_tag_takes(struct kernort_tags *hosts, struct kernort_tag *flow_tag, const struct kernort_packet *packet,
		       u32 *rule)
{
	u32 i;

	if (flow_tag && takes(flow_tag, packet, rule))
		return true;
	for (i = 0; i < hosts->count; i++)
		if (hosts->tags[i].left &&
		    (!memcmp(&hosts->addresses[i], &packet->source, sizeof(packet->source)) ||
		     !memcmp(&hosts->addresses[i], &packet->destination, sizeof(packet->destination))) &&
		    takes(&hosts->tags[i], packet, rule))
			return true;
	return false;
}
