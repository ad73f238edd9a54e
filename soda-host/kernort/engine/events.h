/* SPDX-License-Identifier: GPL-2.0-only */
/* Rules on what programs do; see events.c. */
#ifndef KERNORT_EVENTS_H
#define KERNORT_EVENTS_H

#include "kernort_crypto.h"
#include "kernort_event.h"
#include "packet.h"

struct kernort_ruleset;
struct kernort_ruleset_option;

/* What one event can wake; more are counted. */
#define KERNORT_EVENT_ALERTS_MAX 8
/* Steps (work.h) that one act may cost; nobody may hold the kernel up by what he writes. */
#define KERNORT_EVENT_WORK_MAX (4u << 20)

/* One act. Texts and numbers that are not given stay NULL and out of `given`. */
struct kernort_event {
	u32 kind; /* enum kernort_event_kind */
	u32 pid; /* who acts */
	u64 time_us; /* since the boot */
	u32 given; /* bits of enum kernort_event_number */
	u32 numbers[KERNORT_NUMBER_COUNT];
	struct kernort_piece texts[KERNORT_TEXT_COUNT];
	bool is_asked_ahead; /* it is judged again when it is done: now only by rules that forbid */
	u32 looked_at; /* bytes at the beginning of a line that were looked at before: what matches there was told */
	struct kernort_address address; /* family 0: none */
	u16 port;
};

static inline void kernort_event_give(struct kernort_event *event, enum kernort_event_number number, u32 value)
{
	event->numbers[number] = value;
	event->given |= 1u << number;
}

/* What came of an event: rules to be told of, the gravest first, and whether it may happen. */
struct kernort_verdict {
	bool is_denied;
	bool is_cut; /* it was too dear to look at: some rules were not tried */
	u32 count;
	u32 rules[KERNORT_EVENT_ALERTS_MAX]; /* EVENT_RULES */
};

/* Everything that was cut or made to give way. */
struct kernort_event_counters {
	u64 events, matches, alerts_dropped, acts_cut, processes_evicted, counts_evicted, lines_evicted, first_times_full;
};

struct kernort_events;

u64 kernort_events_size(void);
/* @memory: zeroed, kernort_events_size() bytes. @hash_key: random, so that nobody aims at one place of a table. */
struct kernort_events *kernort_events_init(void *memory, const struct kernort_ruleset *rules, u64 hash_key);

/* The kinds that any rule asks about, as bits. */
u32 kernort_events_kinds(const struct kernort_events *events);
/* The texts, and the numbers, that rules ask of a kind, as bits: what else an event could tell need not be worked out. */
u32 kernort_events_texts(const struct kernort_events *events, u32 kind);
u32 kernort_events_numbers(const struct kernort_events *events, u32 kind);

void kernort_events_judge(struct kernort_events *events, const struct kernort_event *event,
			  struct kernort_verdict *verdict);
/* The bits of a process go on to its children, over an exec, and end with it. */
void kernort_events_forked(struct kernort_events *events, u32 parent, u32 child);
void kernort_events_exited(struct kernort_events *events, u32 pid);

/*
 * What passed over a terminal, @kind typed or shown. Takes bytes up to the end of a line, which it then judges: call
 * again while any are left.
 * @event: all but kind and line filled in
 * Return: how many bytes were taken, at least one.
 */
u32 kernort_events_console(struct kernort_events *events, struct kernort_event *event, u32 device, const u8 *bytes,
			   u32 length, struct kernort_verdict *verdict);

const struct kernort_event_counters *kernort_events_counters(const struct kernort_events *events);

#endif
