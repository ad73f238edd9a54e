// SPDX-License-Identifier: GPL-2.0-only
/*
 * DOC: Counters by address: thresholds, detection filters, xbits
 *
 * One open hash table of fixed size. An entry is looked for in TRACK_PROBES neighbouring places; when all are taken,
 * the one whose window began first gives way, counted. An attacker who floods it can therefore make a counter begin
 * anew, which tells more alerts (threshold) or fewer (detection_filter): the loss is visible in the counters.
 */
#include "track.h"
#include "kernort_ruleset.h"

#define TRACK_PROBES 16u

void kernort_tracks_init(struct kernort_tracks *tracks, struct kernort_arena *arena, u32 count, u64 hash_key)
{
	u32 size = TRACK_PROBES;

	while (size < count)
		size *= 2;
	tracks->entries = arena_take(arena, size, sizeof(*tracks->entries));
	tracks->mask = size - 1;
	tracks->hash_key = hash_key;
}

static void key_of(struct kernort_address key[2], u8 kind, const struct kernort_packet *packet,
		   const struct kernort_flow *flow)
{
	memset(key, 0, 2 * sizeof(*key));
	switch (kind) {
	case KERNORT_TRACK_BY_SRC:
		key[0] = packet->source;
		break;
	case KERNORT_TRACK_BY_DST:
		key[0] = packet->destination;
		break;
	case KERNORT_TRACK_BY_BOTH: {
		bool is_swapped = memcmp(&packet->source, &packet->destination, sizeof(*key)) > 0;

		key[0] = is_swapped ? packet->destination : packet->source;
		key[1] = is_swapped ? packet->source : packet->destination;
		break;
	}
	case KERNORT_TRACK_BY_FLOW:
		key[0] = flow ? flow->client : packet->source;
		key[1] = flow ? flow->server : packet->destination;
		key[0].bytes[15] ^= (u8)(flow ? flow->client_port : 0);
		key[0].bytes[14] ^= (u8)((flow ? flow->client_port : 0) >> 8);
		key[1].bytes[15] ^= (u8)(flow ? flow->server_port : 0);
		key[1].bytes[14] ^= (u8)((flow ? flow->server_port : 0) >> 8);
		break;
	}
}

static u32 hash_of(const struct kernort_tracks *tracks, u32 owner, const struct kernort_address key[2])
{
	u64 hash = tracks->hash_key ^ owner, word;
	u32 i;

	for (i = 0; i < 4; i++) {
		memcpy(&word, key[i / 2].bytes + i % 2 * 8, 8);
		hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
		hash ^= hash >> 29;
	}
	return (u32)(hash >> 16) & tracks->mask;
}

struct kernort_track_entry *kernort_track_find(struct kernort_tracks *tracks, u32 owner, u8 kind,
					       const struct kernort_packet *packet, const struct kernort_flow *flow,
					       bool adds)
{
	struct kernort_address key[2];
	struct kernort_track_entry *entry, *chosen = NULL;
	u32 at, i;

	key_of(key, kind, packet, flow);
	at = hash_of(tracks, owner, key);
	for (i = 0; i < TRACK_PROBES; i++) {
		entry = &tracks->entries[(at + i) & tracks->mask];
		if (entry->is_used && entry->owner == owner && entry->kind == kind &&
		    !memcmp(entry->addresses, key, sizeof(key)))
			return entry;
		if (!chosen || (chosen->is_used && (!entry->is_used || entry->since_us < chosen->since_us)))
			chosen = entry;
	}
	if (!adds)
		return NULL;
	tracks->counters->tracks_evicted += chosen->is_used;
	*chosen = (struct kernort_track_entry){ .owner = owner, .kind = kind, .is_used = true, .since_us = packet->time_us };
	memcpy(chosen->addresses, key, sizeof(key));
	return chosen;
}
