// SPDX-License-Identifier: GPL-2.0-only
/*
 * What programs do, through the rules on it.
 *
 * Theory of operation
 *
 * Goal: where a hook writes an act down, it also asks here whether a rule of the tenant's has something to say of it: an
 * alert, or that it must not be. A guest without such rules pays one load and one branch an act.
 *
 * There is one set of rules and of what they remember (engine/events.c), so a lock makes all who ask wait for each other.
 * It is taken with interrupts off, since some hooks are. Under it nothing sleeps or allocates, and no lock is taken that
 * a hook may hold: what needs one (a parent's files) is worked out by the hook before (exec.c).
 *
 * An alert says what was done in words; the record of the act itself, if its kind has one, comes beside it.
 */

#include <linux/cred.h>
#include <linux/dcache.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/irqflags.h>
#include <linux/limits.h>
#include <linux/mm.h>
#include <linux/pid.h>
#include <linux/random.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/spinlock.h>
#include <linux/timekeeping.h>
#include <linux/uidgid.h>
#include <linux/vmalloc.h>

#include "../engine/ruleset.h"
#include "event.h"
#include "guard.h"
#include "hooks.h"
#include "push.h"

#define EVIDENCE_MAX 1024

u32 kernort_event_kinds __read_mostly;

static DEFINE_SPINLOCK(lock);
static struct {
	const struct kernort_ruleset *rules;
	struct kernort_events *events;
	char path[PATH_MAX];
	char evidence[EVIDENCE_MAX];
} watch;

static const char *const kind_names[KERNORT_EVENT_COUNT] = {
	"exec",	  "cred",  "connect",  "bind",	"listen", "accept",  "read",  "write",	"remove", "rename", "link",  "chmod",
	"truncate", "mount", "umount", "remount", "move", "pivot", "ptrace", "signal", "unshare", "setns",	"typed", "shown",
};

bool kernort_event_wants_text(enum kernort_event_kind kind, enum kernort_event_text text)
{
	unsigned long flags;
	bool wants;

	spin_lock_irqsave(&lock, flags);
	wants = watch.events && kernort_events_texts(watch.events, kind) & 1u << text;
	spin_unlock_irqrestore(&lock, flags);
	return wants;
}

bool kernort_event_wants_number(enum kernort_event_kind kind, enum kernort_event_number number)
{
	unsigned long flags;
	bool wants;

	spin_lock_irqsave(&lock, flags);
	wants = watch.events && kernort_events_numbers(watch.events, kind) & 1u << number;
	spin_unlock_irqrestore(&lock, flags);
	return wants;
}

void kernort_event_begin(struct kernort_event *event, enum kernort_event_kind kind)
{
	memset(event, 0, sizeof(*event));
	event->kind = kind;
	event->time_us = ktime_get_mono_fast_ns() / NSEC_PER_USEC;
	event->pid = (u32)task_tgid_nr(current);
	event->texts[KERNORT_TEXT_PROCESS_NAME] = kernort_text(current->comm);
	kernort_event_give(event, KERNORT_NUMBER_UID, from_kuid(&init_user_ns, current_uid()));
	kernort_event_give(event, KERNORT_NUMBER_EUID, from_kuid(&init_user_ns, current_euid()));
}

/* Under the lock. What the kernel's own threads run has no path. */
static void give_process_path(struct kernort_event *event)
{
	struct file *file = current->mm ? get_mm_exe_file(current->mm) : NULL;

	if (!file)
		return;
	event->texts[KERNORT_TEXT_PROCESS_PATH] =
		kernort_text(kernort_path_text(&file->f_path, watch.path, sizeof(watch.path)));
	fput(file);
}

/* Under RCU: the name of a parent that ends meanwhile stays readable. */
static void give_parent_name(struct kernort_event *event)
{
	const struct task_struct *parent = rcu_dereference(current->real_parent);

	event->texts[KERNORT_TEXT_PARENT_NAME] = kernort_text(parent->comm);
}

/* The text, bytes that are no letters as dots: so that an alert is one line, whoever wrote what is in it. */
static size_t append(size_t used, const char *before, const void *bytes, size_t length)
{
	const u8 *from = bytes;
	size_t i;

	if (!bytes || !length)
		return used;
	used += scnprintf(watch.evidence + used, EVIDENCE_MAX - used, "%s", before);
	for (i = 0; i < length && used < EVIDENCE_MAX; i++)
		watch.evidence[used++] = from[i] >= ' ' && from[i] != 0x7f ? from[i] : '.';
	return used;
}

static size_t append_text(size_t used, const char *before, const struct kernort_event *event, enum kernort_event_text text)
{
	return append(used, before, event->texts[text].bytes, event->texts[text].length);
}

static size_t append_numbers(size_t used, const struct kernort_event *event)
{
	char *at = watch.evidence + used;
	size_t room = EVIDENCE_MAX - used;
	const u32 *numbers = event->numbers;

	if (event->address.family == 4)
		used += scnprintf(at, room, " %pI4:%u", event->address.bytes, event->port);
	else if (event->address.family == 6)
		used += scnprintf(at, room, " [%pI6c]:%u", event->address.bytes, event->port);
	else if (event->kind == KERNORT_EVENT_CRED)
		used += scnprintf(at, room, " uid %u to %u, effective %u to %u", numbers[KERNORT_NUMBER_CRED_UID_BEFORE],
				  numbers[KERNORT_NUMBER_CRED_UID_AFTER], numbers[KERNORT_NUMBER_CRED_EUID_BEFORE],
				  numbers[KERNORT_NUMBER_CRED_EUID_AFTER]);
	else if (event->kind == KERNORT_EVENT_SIGNAL)
		used += scnprintf(at, room, " %u to process %u", numbers[KERNORT_NUMBER_SIGNAL_NUMBER],
				  numbers[KERNORT_NUMBER_TARGET_PID]);
	else if (event->kind == KERNORT_EVENT_PTRACE)
		used += scnprintf(at, room, " of process %u", numbers[KERNORT_NUMBER_TARGET_PID]);
	return used;
}

/* What was done, to what, by whom. */
static size_t describe(const struct kernort_event *event, bool is_denied)
{
	size_t used = scnprintf(watch.evidence, EVIDENCE_MAX, "%s%s", is_denied ? "denied: " : "", kind_names[event->kind]);
	static const struct {
		enum kernort_event_text text;
		const char *before;
	} whats[] = {
		{ KERNORT_TEXT_EXEC_PATH, " " },     { KERNORT_TEXT_EXEC_ARGS, ": " },	  { KERNORT_TEXT_FILE_PATH, " " },
		{ KERNORT_TEXT_SOCKET_PATH, " " },   { KERNORT_TEXT_MOUNT_SOURCE, " " },  { KERNORT_TEXT_MOUNT_TARGET, " on " },
		{ KERNORT_TEXT_CONSOLE_LINE, ": " },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(whats); i++)
		used = append_text(used, whats[i].before, event, whats[i].text);
	used = min(append_numbers(used, event), (size_t)EVIDENCE_MAX - 100);
	used = append_text(used, "; by ", event, KERNORT_TEXT_PROCESS_NAME);
	used += scnprintf(watch.evidence + used, EVIDENCE_MAX - used, " (process %u, uid %u)", event->pid,
			  event->numbers[KERNORT_NUMBER_UID]);
	return append_text(used, " of ", event, KERNORT_TEXT_PARENT_NAME);
}

static void log_alert(const struct kernort_event *event, u32 index, const struct kernort_subject *author, bool is_denied)
{
	const struct kernort_ruleset_event_rule *rule = &watch.rules->event_rules[index];
	const struct kernort_alert alert = {
		.gid = rule->gid, .sid = rule->sid, .revision = rule->rev, .severity = rule->priority,
	};
	const struct kernort_piece tails[] = {
		{ .bytes = watch.rules->bytes + rule->message, .length = rule->message_length },
		{ .bytes = watch.evidence, .length = describe(event, is_denied) },
	};

	kernort_log_as(author, KERNORT_KIND_alert, &alert, tails);
}

/* Under the lock. */
static void log_alerts(const struct kernort_event *event, const struct kernort_verdict *verdict,
		       const struct kernort_subject *author)
{
	u32 i;

	for (i = 0; i < verdict->count; i++) {
		u8 action = watch.rules->event_rules[verdict->rules[i]].action;

		log_alert(event, verdict->rules[i], author,
			  action == KERNORT_ACTION_DROP || action == KERNORT_ACTION_REJECT);
	}
}

/* Alerts do not wait: with interrupts off, as above, they are not pushed. */
static void push(bool is_alert)
{
	if (is_alert && !irqs_disabled())
		kernort_push_soon(true);
}

int kernort_event_judge(struct kernort_event *event)
{
	struct kernort_verdict verdict = { 0 };
	struct kernort_subject author;
	unsigned long flags;

	/* What init does, the host asked for. */
	if (is_global_init(current))
		return 0;
	kernort_log_author(&author);
	spin_lock_irqsave(&lock, flags);
	rcu_read_lock();
	if (watch.events) {
		give_parent_name(event);
		if (kernort_events_texts(watch.events, event->kind) & 1u << KERNORT_TEXT_PROCESS_PATH)
			give_process_path(event);
		kernort_events_judge(watch.events, event, &verdict);
		log_alerts(event, &verdict, &author);
	}
	rcu_read_unlock();
	spin_unlock_irqrestore(&lock, flags);
	push(verdict.count > 0);
	if (verdict.is_cut)
		kernort_guard_tell(KERNORT_GUARD_CUT, "%s", kind_names[event->kind]);
	return verdict.is_denied ? -EPERM : 0;
}

void kernort_event_forked(u32 parent, u32 child)
{
	unsigned long flags;

	spin_lock_irqsave(&lock, flags);
	if (watch.events)
		kernort_events_forked(watch.events, parent, child);
	spin_unlock_irqrestore(&lock, flags);
}

void kernort_event_exited(u32 pid)
{
	unsigned long flags;

	spin_lock_irqsave(&lock, flags);
	if (watch.events)
		kernort_events_exited(watch.events, pid);
	spin_unlock_irqrestore(&lock, flags);
}

void kernort_event_console(enum kernort_event_kind kind, u32 device, const struct kernort_subject *author, const u8 *bytes,
			   u32 length)
{
	struct kernort_event event = {
		.kind = kind,
		.pid = author->pid,
		.time_us = ktime_get_mono_fast_ns() / NSEC_PER_USEC,
	};
	struct kernort_verdict verdict = { 0 };
	unsigned long flags;
	u32 at = 0;

	event.texts[KERNORT_TEXT_PROCESS_NAME] =
		(struct kernort_piece){ author->comm, strnlen(author->comm, sizeof(author->comm)) };
	kernort_event_give(&event, KERNORT_NUMBER_UID, author->uid);
	while (at < length) {
		spin_lock_irqsave(&lock, flags);
		if (!watch.events)
			at = length;
		else {
			at += kernort_events_console(watch.events, &event, device, bytes + at, length - at, &verdict);
			log_alerts(&event, &verdict, author);
		}
		spin_unlock_irqrestore(&lock, flags);
		if (verdict.is_cut)
			kernort_guard_tell(KERNORT_GUARD_CUT, "%s", kind_names[kind]);
	}
}

int kernort_event_use(const struct kernort_ruleset *rules)
{
	void *memory = vzalloc(kernort_events_size()), *before;
	unsigned long flags;

	if (!memory)
		return -ENOMEM;
	spin_lock_irqsave(&lock, flags);
	before = watch.events;
	watch.events = kernort_events_init(memory, rules, get_random_u64());
	watch.rules = rules;
	WRITE_ONCE(kernort_event_kinds, kernort_events_kinds(watch.events));
	spin_unlock_irqrestore(&lock, flags);
	vfree(before);
	return 0;
}
