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
 * of a record are of the very same moment. Where the distance is not what it last was, somebody has set the time of
 * day: a clock record goes before the event, and does not wait for one.
 *
 * Records wait for the next tick, so that many go into one frame. An alert, or a class that has used half of its room,
 * has them sealed at once if interrupts are on; with interrupts off the caller may hold the very locks that waking
 * somebody needs. See push.c.
 */

#define pr_fmt(fmt) "kernort: " fmt

#include <linux/cred.h>
#include <linux/init.h>
#include <linux/irq_work.h>
#include <linux/irqflags.h>
#include <linux/notifier.h>
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
/* Time of day less monotonic time: now, and as the log says. */
static s64 distance;
static s64 distance_logged;

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

static void log_clock_step(const struct kernort_subject *subject)
{
	s64 now = (s64)(subject->realtime_ns - subject->monotonic_ns);
	const struct kernort_clock clock = { .step_ns = now - distance_logged };

	if (!clock.step_ns)
		return;
	distance_logged = now;
	kernort_ring_put(&ring, KERNORT_KIND_clock, subject, &clock, NULL);
}

static void clock_was_set(struct irq_work *work)
{
	struct kernort_subject subject = { 0 };
	unsigned long flags;

	raw_spin_lock_irqsave(&lock, flags);
	tell_time(&subject);
	log_clock_step(&subject);
	raw_spin_unlock_irqrestore(&lock, flags);
	kernort_push_soon(false);
}

static DEFINE_IRQ_WORK(clock_work, clock_was_set);

/* The timekeeper is being changed: nothing that reads it may be called. */
static int note_distance(struct notifier_block *block, unsigned long was_set, void *timekeeper)
{
	const struct timekeeper *keeper = timekeeper;

	if (was_set) {
		WRITE_ONCE(distance, ktime_to_ns(keeper->offs_real));
		if (kernort_is_on())
			irq_work_queue(&clock_work);
	}
	return NOTIFY_OK;
}

static struct notifier_block distance_notifier = { .notifier_call = note_distance };

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
	log_clock_step(&subject);
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
	distance_logged = distance;
	kernort_on = true;
}
