// SPDX-License-Identifier: GPL-2.0-only
/*
 * Terminals: what is typed and shown on every console and pseudo-terminal.
 *
 * Theory of operation
 *
 * Goal: what a person at the terminal did and saw, byte for byte, with its
 * timing, so that it can be shown again.
 *
 * The place is as near to that person as the kernel gets: what a program's end
 * (the "slave") hands over has been through the line discipline, so echo is in
 * it, and line ends are as the terminal gets them; what the other end hands
 * over is what was typed, before any editing. Consoles and other lines are seen
 * where their driver takes and brings bytes. TIOCSTI types, too.
 *
 * The line discipline hands over small pieces: one for every line end, one for
 * every echoed letter. Pieces of one author, terminal and direction are one record
 * if nothing else happens on any terminal between them, and for no longer than
 * PENDING_MS: there is one record in the making, so the order of all is kept.
 *
 * A session is a terminal and the leader of the session that it controls; there
 * is none (0) before it is anybody's. Sizes are in every record.
 */

#include <linux/kernort.h>
#include <linux/limits.h>
#include <linux/pid.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/timer.h>
#include <linux/tty.h>
#include <linux/tty_driver.h>

#include "event.h"
#include "hooks.h"

/* Shorter than what an eye tells apart. */
#define PENDING_MS 20
#define PENDING_SIZE_MAX 2048

enum direction {
	TYPED = 1,
	SHOWN,
	RESIZED,
};

static void pending_timeout(struct timer_list *timer);

/* Guards the record in the making. */
static DEFINE_SPINLOCK(pending_lock);
static DEFINE_TIMER(pending_timer, pending_timeout);
static struct {
	struct kernort_tty fields;
	struct kernort_subject subject;
	size_t size;
	u8 data[PENDING_SIZE_MAX];
} pending;

static void end_pending(void)
{
	struct kernort_piece tail = { pending.data, pending.size };
	enum kernort_event_kind kind = pending.fields.direction == TYPED ? KERNORT_EVENT_TYPED : KERNORT_EVENT_SHOWN;

	if (pending.size)
		kernort_log_as(&pending.subject, KERNORT_KIND_tty, &pending.fields, &tail);
	if (pending.size && kernort_event_is_wanted(kind))
		kernort_event_console(kind, pending.fields.device, &pending.subject, pending.data, pending.size);
	pending.size = 0;
}

static void pending_timeout(struct timer_list *timer)
{
	kernort_terminal_flush();
}

void kernort_terminal_flush(void)
{
	unsigned long flags;

	spin_lock_irqsave(&pending_lock, flags);
	end_pending();
	spin_unlock_irqrestore(&pending_lock, flags);
}

static u32 session_of(struct tty_struct *tty)
{
	unsigned long flags;
	u32 session;

	spin_lock_irqsave(&tty->ctrl.lock, flags);
	session = pid_nr(tty->ctrl.session);
	spin_unlock_irqrestore(&tty->ctrl.lock, flags);
	return session;
}

static struct kernort_tty fields_of(struct tty_struct *tty, enum direction direction)
{
	return (struct kernort_tty){
		.device = tty->driver->major << 20 | (tty->driver->minor_start + tty->index),
		.session = session_of(tty),
		.direction = direction,
		.columns = tty->winsize.ws_col,
		.rows = tty->winsize.ws_row,
	};
}

/* Under pending_lock. */
static void begin_pending(const struct kernort_tty *fields, const struct kernort_subject *subject)
{
	if (pending.size && !memcmp(&pending.fields, fields, sizeof(*fields)) &&
	    pending.subject.pid == subject->pid)
		return;
	end_pending();
	pending.fields = *fields;
	pending.subject = *subject;
}

static void append_pending(const u8 *data, size_t size)
{
	while (size) {
		size_t piece = min(size, sizeof(pending.data) - pending.size);

		memcpy(pending.data + pending.size, data, piece);
		pending.size += piece;
		data += piece;
		size -= piece;
		if (pending.size == sizeof(pending.data))
			end_pending();
	}
}

static void log_bytes(struct tty_struct *tty, enum direction direction, const u8 *data, ssize_t size)
{
	struct kernort_subject subject;
	struct kernort_tty fields;
	unsigned long flags;

	if (!kernort_is_on() || size <= 0)
		return;
	fields = fields_of(tty, direction);
	kernort_log_author(&subject);
	spin_lock_irqsave(&pending_lock, flags);
	begin_pending(&fields, &subject);
	append_pending(data, size);
	if (pending.size && !timer_pending(&pending_timer))
		mod_timer(&pending_timer, jiffies + msecs_to_jiffies(PENDING_MS));
	spin_unlock_irqrestore(&pending_lock, flags);
}

void kernort_terminal_pty(struct tty_struct *from, const u8 *data, ssize_t size)
{
	if (from->driver->subtype == PTY_TYPE_MASTER)
		log_bytes(from->link, TYPED, data, size);
	else
		log_bytes(from, SHOWN, data, size);
}

void kernort_terminal_typed(struct tty_struct *tty, const u8 *data, ssize_t size)
{
	log_bytes(tty, TYPED, data, size);
}

void kernort_terminal_shown(struct tty_struct *tty, const u8 *data, ssize_t size)
{
	log_bytes(tty, SHOWN, data, size);
}

/* Nobody sees the size of a terminal that is nobody's yet. */
void kernort_terminal_resized(struct tty_struct *tty)
{
	struct kernort_tty fields;
	struct kernort_piece tail = { NULL, 0 };

	if (!kernort_is_on())
		return;
	fields = fields_of(tty, RESIZED);
	if (!fields.session)
		return;
	kernort_terminal_flush();
	kernort_log(KERNORT_KIND_tty, &fields, &tail);
}
