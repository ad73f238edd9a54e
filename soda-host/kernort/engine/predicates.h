/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KERNORT_PREDICATES_H
#define KERNORT_PREDICATES_H

#include "flow.h"
#include "ruleset.h"
#include "track.h"

/* What a rule's header and HEADER block are asked about. */
struct kernort_scene {
	const struct kernort_ruleset *rules;
	const struct kernort_packet *packet;
	const struct kernort_flow *flow; /* may be NULL */
	u32 side; /* whose packet it is */
	bool is_stream; /* the subject is the reassembled stream */
	struct kernort_tracks *tracks;
	struct kernort_tags *tagged_hosts;
};

/* Protocol, addresses, ports and flow of @rule. */
bool kernort_port_is_in(const struct kernort_ruleset *rules, u32 group, u16 port);
bool kernort_header_matches(const struct kernort_scene *scene, const struct kernort_ruleset_rule *rule);
bool kernort_predicates_hold(const struct kernort_scene *scene, const struct kernort_ruleset_block *block);
bool kernort_address_is_in(const struct kernort_ruleset *rules, u32 group, const struct kernort_address *address);

#endif
