/* SPDX-License-Identifier: GPL-2.0-only */
/* Acts, compared with the tenant's rules on them; see event.c. */
#ifndef KERNORT_LINUX_EVENT_H
#define KERNORT_LINUX_EVENT_H

#include <linux/cache.h>
#include <linux/compiler.h>

#include "../engine/events.h"
#include "../engine/record.h"

extern u32 kernort_event_kinds;

/* True if some rule asks about acts of this kind: otherwise nothing need be worked out for them. */
static inline bool kernort_event_is_wanted(enum kernort_event_kind kind)
{
	return unlikely(READ_ONCE(kernort_event_kinds) & 1u << kind);
}

/* True if some rule asks for this text, or this number, of acts of this kind. */
bool kernort_event_wants_text(enum kernort_event_kind kind, enum kernort_event_text text);
bool kernort_event_wants_number(enum kernort_event_kind kind, enum kernort_event_number number);

/* An act of the current process; who it is is filled in. */
void kernort_event_begin(struct kernort_event *event, enum kernort_event_kind kind);

/*
 * Have the rules look at it, and alerts logged. Never sleeps or allocates; may be called under any lock but the rules'.
 * Return: 0, or -EPERM when a rule forbids it.
 */
int kernort_event_judge(struct kernort_event *event);

/* A process's share of what rules remember. */
void kernort_event_forked(u32 parent, u32 child);
void kernort_event_exited(u32 pid);

/* What passed over a terminal, typed or shown, by @author. */
void kernort_event_console(enum kernort_event_kind kind, u32 device, const struct kernort_subject *author, const u8 *bytes,
			   u32 length);

/*
 * Look by @rules from now on; they stay where they are until the next call. What was remembered by others is forgotten.
 * Sleeps. Return: 0 or -ENOMEM, and the rules before stay.
 */
int kernort_event_use(const struct kernort_ruleset *rules);

#endif
