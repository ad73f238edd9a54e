/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KERNORT_TRACK_H
#define KERNORT_TRACK_H

#include "flow.h"

/* A counter or a bit that belongs to a rule (or xbit) and to addresses. */
struct kernort_track_entry {
	u32 owner; /* rule index, or xbit | KERNORT_TRACK_XBIT */
	u8 kind; /* enum kernort_track */
	bool is_used;
	struct kernort_address addresses[2];
	u64 since_us; /* the window began */
	u64 until_us; /* xbits: they expire */
	u32 count;
};

#define KERNORT_TRACK_XBIT 0x80000000u
#define KERNORT_TRACK_FILTER 0x40000000u /* a detection_filter, beside the same rule's threshold */

struct kernort_tracks {
	struct kernort_track_entry *entries;
	u32 mask;
	u64 hash_key;
	struct kernort_counters *counters;
};

void kernort_tracks_init(struct kernort_tracks *tracks, struct kernort_arena *arena, u32 count, u64 hash_key);

/* The entry of @owner for this packet, new (count 0) if there is none, or NULL if there is none and @adds is false. */
struct kernort_track_entry *kernort_track_find(struct kernort_tracks *tracks, u32 owner, u8 kind,
					       const struct kernort_packet *packet, const struct kernort_flow *flow,
					       bool adds);

#endif
