// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's own messages, and what programs write to /dev/kmsg.
 *
 * Theory of operation
 *
 * Messages are taken from the ring where printk() keeps them, not from a
 * console: the guest's root decides which messages consoles are given. A thread
 * sleeps where readers of /dev/kmsg sleep, so printk() itself, which may be
 * called from anywhere, is left alone. This file prints nothing.
 *
 * Attacker: the guest's root, who may empty the ring (SYSLOG_ACTION_CLEAR), or
 * fill it faster than the thread runs. Before it is emptied, everything is
 * taken. What was overwritten is counted, and the count is written down.
 */

#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/kmsg_dump.h>
#include <linux/kthread.h>
#include <linux/mutex.h>
#include <linux/syslog.h>
#include <linux/wait.h>

#include "hooks.h"

/* PRINTKRB_RECORD_MAX of kernel/printk/internal.h, and room for prefixes of its lines. */
#define MESSAGE_SIZE_MAX 2048

/* kernel/printk/printk.c: where readers of messages sleep. */
extern struct wait_queue_head log_wait;

/* Guards all below. */
static DEFINE_MUTEX(klog_lock);
static struct kmsg_dump_iter position;
static char message[MESSAGE_SIZE_MAX];

static void log_text(u32 priority, const char *text, size_t size)
{
	struct kernort_klog fields = { .level = priority & 7, .facility = priority >> 3 };
	/* Whoever has it written down did not say it. */
	const struct kernort_subject kernel = { 0 };
	struct kernort_piece tail = { text, size };

	kernort_log_as(&kernel, KERNORT_KIND_klog, &fields, &tail);
}

static void log_lost(u64 count)
{
	char text[48];

	log_text(LOGLEVEL_WARNING, text, scnprintf(text, sizeof(text), "%llu messages were overwritten", count));
}

/* "<6>[    0.123456] text\n", as syslog(2) gives it; the priority is told apart. */
static void log_message(const char *text, size_t size)
{
	u32 priority = LOGLEVEL_DEFAULT;
	size_t at = 0;

	if (size && text[0] == '<') {
		for (priority = 0, at = 1; at < size && text[at] >= '0' && text[at] <= '9'; at++)
			priority = priority * 10 + (text[at] - '0');
		at++;
	}
	while (size > at && text[size - 1] == '\n')
		size--;
	log_text(priority, text + min(at, size), size - min(at, size));
}

static void drain(void)
{
	u64 wanted = position.cur_seq;
	size_t size;

	lockdep_assert_held(&klog_lock);
	while (kmsg_dump_get_line(&position, true, message, sizeof(message), &size)) {
		if (position.cur_seq - 1 > wanted)
			log_lost(position.cur_seq - 1 - wanted);
		wanted = position.cur_seq;
		log_message(message, size);
	}
}

void kernort_klog_flush(void)
{
	/* At a panic the thread that holds the lock never goes on. */
	if (!mutex_trylock(&klog_lock))
		return;
	if (kernort_is_on())
		drain();
	mutex_unlock(&klog_lock);
}

static bool has_more(void)
{
	struct kmsg_dump_iter ahead = position;

	return kmsg_dump_get_line(&ahead, true, NULL, 0, NULL);
}

static int klog_thread(void *unused)
{
	for (;;) {
		wait_event_interruptible(log_wait, has_more());
		mutex_lock(&klog_lock);
		drain();
		mutex_unlock(&klog_lock);
	}
	return 0;
}

static int syslog(int type)
{
	if (type == SYSLOG_ACTION_CLEAR || type == SYSLOG_ACTION_READ_CLEAR)
		kernort_klog_flush();
	return 0;
}

static struct security_hook_list hooks[] __ro_after_init = {
	LSM_HOOK_INIT(syslog, syslog),
};

void __init kernort_klog_init(void)
{
	security_add_hooks(hooks, ARRAY_SIZE(hooks), &kernort_lsmid);
}

static int __init klog_start(void)
{
	if (!kernort_is_on())
		return 0;
	return PTR_ERR_OR_ZERO(kthread_run(klog_thread, NULL, "kernort-klog"));
}
late_initcall(klog_start);
