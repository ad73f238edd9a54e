// SPDX-License-Identifier: GPL-2.0-only
/*
 * DOC: What rules on events remember
 *
 * Bits of processes, counts in windows of time, and what was seen before: three open hash tables of fixed size. An entry
 * is looked for in PROBES neighbouring places; of processes and counts the oldest of those gives way, counted. Who
 * fills the table of what was seen makes everything else look new: that is told, not silent.
 */
#include "event_state.h"
#include "kernort_ruleset.h"

#define PROBES 16u
#define SECOND_US 1000000ULL
#define FILTER 0x80000000u
/* As full as an open table may be. */
#define NOVELTIES_MAX (KERNORT_EVENT_NOVELTIES / 4 * 3)

static u64 mixed(u64 hash, u64 word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
	return hash ^ hash >> 29;
}

static struct kernort_event_process *find_process(struct kernort_event_state *state, u32 pid)
{
	u32 at = (u32)(mixed(state->hash_key, pid) >> 20), i;

	for (i = 0; i < PROBES; i++) {
		struct kernort_event_process *process = &state->processes[(at + i) % KERNORT_EVENT_PROCESSES];

		if (process->pid == pid)
			return process;
	}
	return NULL;
}

/* A free place, or that of the process that was used least lately. */
static struct kernort_event_process *place_for(struct kernort_event_state *state, u32 pid)
{
	u32 at = (u32)(mixed(state->hash_key, pid) >> 20), i;
	struct kernort_event_process *chosen = NULL;

	for (i = 0; i < PROBES; i++) {
		struct kernort_event_process *process = &state->processes[(at + i) % KERNORT_EVENT_PROCESSES];

		if (!process->pid)
			return process;
		if (!chosen || process->used < chosen->used)
			chosen = process;
	}
	state->counters.processes_evicted++;
	return chosen;
}

u64 kernort_event_bits(struct kernort_event_state *state, u32 pid)
{
	const struct kernort_event_process *process = pid ? find_process(state, pid) : NULL;

	return process ? process->bits : 0;
}

void kernort_event_set_bits(struct kernort_event_state *state, u32 pid, u64 bits)
{
	struct kernort_event_process *process;

	if (!pid)
		return;
	process = find_process(state, pid);
	if (!process && !bits)
		return;
	if (!process)
		process = place_for(state, pid);
	*process = bits ? (struct kernort_event_process){ .pid = pid, .bits = bits, .used = ++state->clock } :
			  (struct kernort_event_process){ 0 };
}

/* The count of @owner, for one process or for all: new if there is none, or none in the last @seconds. */
static struct kernort_event_count *count_match(struct kernort_event_state *state, u32 owner, u8 track, u32 seconds,
					       const struct kernort_event *event)
{
	u32 pid = track == KERNORT_TRACK_BY_SRC ? event->pid : 0, i;
	u32 at = (u32)(mixed(mixed(state->hash_key, owner), pid) >> 20);
	struct kernort_event_count *chosen = NULL;

	for (i = 0; i < PROBES; i++) {
		struct kernort_event_count *count = &state->counts[(at + i) % KERNORT_EVENT_COUNTS];

		if (count->owner == owner && count->pid == pid) {
			if (event->time_us - count->since_us >= seconds * SECOND_US) {
				count->since_us = event->time_us;
				count->count = 0;
			}
			count->count++;
			return count;
		}
		if (!chosen || (chosen->owner && (!count->owner || count->since_us < chosen->since_us)))
			chosen = count;
	}
	state->counters.counts_evicted += chosen->owner != 0;
	*chosen = (struct kernort_event_count){ .owner = owner, .pid = pid, .count = 1, .since_us = event->time_us };
	return chosen;
}

bool kernort_event_filter_passes(struct kernort_event_state *state, u32 rule, const struct kernort_event *event,
				 const struct kernort_ruleset_option *option)
{
	return count_match(state, (rule + 1) | FILTER, option->compare, option->b, event)->count > option->a;
}

bool kernort_event_threshold_passes(struct kernort_event_state *state, u32 rule, const struct kernort_event *event,
				    const struct kernort_ruleset_option *option)
{
	struct kernort_event_count *count = count_match(state, rule + 1, (u8)option->c, option->b, event);

	switch (option->compare) {
	case 0:
		return count->count <= option->a;
	case 1:
		if (count->count < option->a)
			return false;
		count->count = 0;
		return true;
	default:
		return count->count == option->a;
	}
}

bool kernort_event_is_new(struct kernort_event_state *state, u32 rule, const struct kernort_piece *text)
{
	u64 hash = mixed(state->hash_key, rule + 1), *place;
	const u8 *bytes = text->bytes;
	size_t i;
	u32 at;

	for (i = 0; i < text->length; i++)
		hash = mixed(hash, bytes[i]);
	if (!hash)
		hash = 1;
	/* There is a free place: see below. */
	for (at = (u32)(hash >> 20) % KERNORT_EVENT_NOVELTIES;; at = (at + 1) % KERNORT_EVENT_NOVELTIES) {
		place = &state->novelties[at];
		if (*place == hash)
			return false;
		if (!*place)
			break;
	}
	if (state->novelty_count >= NOVELTIES_MAX) {
		state->counters.first_times_full++;
		return true;
	}
	*place = hash;
	state->novelty_count++;
	return true;
}
