// SPDX-License-Identifier: GPL-2.0-only
/*
 * Logging an event: who did it, when, and into the ring.
 *
 * Theory of operation
 *
 * Goal: an event costs little where it happens, and no caller has to think about where that is. The ring is guarded by
 * a raw lock with interrupts off; nothing is called under it that could sleep, allocate, print or log. Clocks are
 * read by the accessors that are made for printk and tracing, which take no lock.
 *
 * The time of day is the monotonic time and a distance, of which the timekeeper tells when it is set: so both clocks
 * of a record are of the very same moment, and every setting of the clock is a record of whoever did it.
 *
 * Records wait for the next tick, so that many go into one frame. An alert, or a class that has used half of its room,
 * has them sealed at once if interrupts are on; with interrupts off the caller may hold the very locks that waking
 * somebody needs. See push.c.
 */

#define pr_fmt(fmt) "kernort: " fmt

#include <linux/cred.h>
#include <linux/init.h>
#include <linux/irqflags.h>
#include <linux/notifier.h>
#include <linux/pid.h>
#include <linux/preempt.h>
#include <linux/pvclock_gtod.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/timekeeper_internal.h>
#include <linux/timekeeping.h>
#include <linux/uidgid.h>

#include "../engine/ring.h"
#include "log.h"
#include "push.h"
#include "queue.h"
#include "snapshot.h"

bool kernort_on __ro_after_init;

static DEFINE_RAW_SPINLOCK(lock);
static struct kernort_ring ring;
/* Time of day less monotonic time. */
static s64 distance;

static void tell_time(struct kernort_subject *subject)
{
	subject->monotonic_ns = ktime_get_mono_fast_ns();
	subject->realtime_ns = subject->monotonic_ns + (u64)READ_ONCE(distance);
}

void kernort_log_author(struct kernort_subject *subject)
{
	memset(subject, 0, sizeof(*subject));
	if (!in_task())
		return;
	strscpy_pad(subject->comm, current->comm, sizeof(subject->comm));
	if (current->flags & PF_KTHREAD)
		return;
	subject->pid = (u32)task_tgid_nr(current);
	subject->uid = from_kuid(&init_user_ns, current_uid());
}

void kernort_log_as(const struct kernort_subject *author, enum kernort_kind kind, const void *fields,
		    const struct kernort_piece *tails)
{
	enum kernort_class class = kernort_record_class(kind);
	struct kernort_subject subject = *author;
	unsigned long flags;
	bool is_urgent;

	if (!kernort_is_on())
		return;
	raw_spin_lock_irqsave(&lock, flags);
	/* Under the lock: so that what comes later in the log is not earlier by its clock. */
	tell_time(&subject);
	kernort_ring_put(&ring, kind, &subject, fields, tails);
	is_urgent = kind == KERNORT_KIND_alert || kernort_ring_is_half_full(&ring, class);
	raw_spin_unlock_irqrestore(&lock, flags);
	kernort_push_soon(is_urgent && !irqs_disabled());
	if (kind == KERNORT_KIND_alert)
		kernort_snapshot_request(((const struct kernort_alert *)fields)->sid);
}

void kernort_log(enum kernort_kind kind, const void *fields, const struct kernort_piece *tails)
{
	struct kernort_subject author;

	kernort_log_author(&author);
	kernort_log_as(&author, kind, fields, tails);
}

/* In the middle of the timekeeper's change: of what reads the time, only what is made for any context may be called. */
static int note_distance(struct notifier_block *block, unsigned long was_set, void *timekeeper)
{
	s64 now = ktime_to_ns(((const struct timekeeper *)timekeeper)->offs_real);
	const struct kernort_clock clock = { .step_ns = now - distance };

	if (!was_set || !clock.step_ns)
		return NOTIFY_OK;
	WRITE_ONCE(distance, now);
	kernort_log(KERNORT_KIND_clock, &clock, NULL);
	return NOTIFY_OK;
}

static struct notifier_block distance_notifier = { .notifier_call = note_distance };

static u8 gravest(u8 severity, const struct kernort_record_header *record)
{
	const struct kernort_alert *alert = (const struct kernort_alert *)(record + 1);

	if (record->kind != KERNORT_KIND_alert || !alert->severity || (severity && alert->severity >= severity))
		return severity;
	return (u8)min(alert->severity, 4u);
}

void kernort_queue_take(struct kernort_taken *taken, u8 *dst, u32 room)
{
	const struct kernort_record_header *record;
	struct kernort_subject subject = { 0 };
	unsigned long flags;

	memset(taken, 0, sizeof(*taken));
	raw_spin_lock_irqsave(&lock, flags);
	record = kernort_ring_first(&ring);
	taken->first = record ? record->number : ring.next_number;
	for (; record && record->size <= room - taken->size; record = kernort_ring_first(&ring)) {
		memcpy(dst + taken->size, record, record->size);
		taken->size += record->size;
		taken->count++;
		taken->severity = gravest(taken->severity, record);
		kernort_ring_drop(&ring);
	}
	tell_time(&subject);
	kernort_ring_tell_shed(&ring, &subject);
	raw_spin_unlock_irqrestore(&lock, flags);
}

void __init kernort_queue_start(u8 *bytes)
{
	kernort_ring_init(&ring, bytes);
	pvclock_gtod_register_notifier(&distance_notifier);
	kernort_on = true;
}
