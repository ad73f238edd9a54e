/* SPDX-License-Identifier: GPL-2.0-only */
/* What rules on events remember; see event_state.c. */
#ifndef KERNORT_EVENT_STATE_H
#define KERNORT_EVENT_STATE_H

#include "events.h"

#define KERNORT_EVENT_PROCESSES 1024u
#define KERNORT_EVENT_COUNTS 256u
#define KERNORT_EVENT_NOVELTIES 4096u

struct kernort_event_process {
	u32 pid; /* 0: free */
	u64 bits; /* never 0 in a place that is taken */
	u64 used; /* counts, so that the one that was used least lately is known */
};

struct kernort_event_count {
	u32 owner; /* index of the rule + 1, | KERNORT_EVENT_FILTER; 0: free */
	u32 pid; /* 0: all of them together */
	u32 count;
	u64 since_us;
};

struct kernort_event_state {
	u64 hash_key;
	u64 clock;
	struct kernort_event_counters counters;
	struct kernort_event_process processes[KERNORT_EVENT_PROCESSES];
	struct kernort_event_count counts[KERNORT_EVENT_COUNTS];
	u32 novelty_count;
	u64 novelties[KERNORT_EVENT_NOVELTIES]; /* 0: free */
};

u64 kernort_event_bits(struct kernort_event_state *state, u32 pid);
void kernort_event_set_bits(struct kernort_event_state *state, u32 pid, u64 bits);
/* Does the match pass the rule's DETECTION_FILTER or THRESHOLD? Counts it. */
bool kernort_event_filter_passes(struct kernort_event_state *state, u32 rule, const struct kernort_event *event,
				 const struct kernort_ruleset_option *option);
bool kernort_event_threshold_passes(struct kernort_event_state *state, u32 rule, const struct kernort_event *event,
				    const struct kernort_ruleset_option *option);
/* Is the text new to the rule? It is not, the next time. */
bool kernort_event_is_new(struct kernort_event_state *state, u32 rule, const struct kernort_piece *text);

#endif
