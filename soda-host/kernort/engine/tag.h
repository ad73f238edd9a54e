/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * `tag`: packets that come after a match, of the same flow or the same address, are told of as well, up to a number,
 * a time or as many bytes.
 */
#ifndef KERNORT_TAG_H
#define KERNORT_TAG_H

#include "kernort_env.h"
#include "kernort_ruleset.h"
#include "packet.h"

#define KERNORT_TAG_HOSTS 16u /* addresses at a time; the oldest gives way */

enum { KERNORT_TAG_PACKETS, KERNORT_TAG_SECONDS, KERNORT_TAG_BYTES };

struct kernort_tag {
	u32 rule, left; /* 0 left: none */
	u8 metric;
	u64 until_us;
};

struct kernort_tags {
	struct kernort_tag tags[KERNORT_TAG_HOSTS];
	struct kernort_address addresses[KERNORT_TAG_HOSTS];
	u32 next, count;
};

/* What a rule with @option, a TAG, has matched is tagged from here on. @flow_tag: of the packet's flow, may be NULL. */
void kernort_tag_set(struct kernort_tags *hosts, struct kernort_tag *flow_tag, const struct kernort_packet *packet,
		     u32 rule, const struct kernort_ruleset_option *option);
/* Is @packet tagged, and by which rule? Counts it. */
bool kernort_tag_takes(struct kernort_tags *hosts, struct kernort_tag *flow_tag, const struct kernort_packet *packet,
		       u32 *rule);

#endif
