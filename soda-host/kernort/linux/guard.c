// SPDX-License-Identifier: GPL-2.0-only
/*
 * What nobody in the guest may do, whatever the rules say: its root neither.
 *
 * The log is written by threads of the kernel: they may not be put behind the guest's own programs.
 *
 * The guest's init is the host's hand in the guest: it starts what the tenant asks for and tells how it ends. Who could
 * write to its memory, take its descriptors, stop it or starve it would speak to the host in its name. None of this is
 * needed for anything else, so each attempt is an alert, of the gravest kind but for signals, which a poweroff sends too.
 */

#include <linux/errno.h>
#include <linux/jiffies.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/stdarg.h>

#include "guard.h"
#include "hooks.h"

static const struct {
	const char *message;
	u32 severity;
} acts[] = {
	[KERNORT_GUARD_PTRACE] = { "Kernort: init is to be traced", 1 },
	[KERNORT_GUARD_SIGNAL] = { "Kernort: a signal to init", 2 },
	[KERNORT_GUARD_PRIORITY] = { "Kernort: the priority of init is to be changed", 1 },
	[KERNORT_GUARD_POWER] = { "Kernort: power that no call has given", 1 },
	[KERNORT_GUARD_CUT] = { "Kernort: an act that is too dear to be looked at whole", 2 },
	[KERNORT_GUARD_LIMIT] = { "Kernort: the limits of init are to be changed", 1 },
};

/* Nobody floods the log with attempts: of each act so many are told in a minute. */
#define TOLD_MAX 10
#define EVIDENCE_MAX 120
#define WINDOW (60 * HZ)

static DEFINE_SPINLOCK(lock);
static struct {
	unsigned long since;
	unsigned int count;
	unsigned int untold;
} told[ARRAY_SIZE(acts)];

/* Is this attempt to be told? @untold: how many were not, since the last that was. */
static bool counts(enum kernort_guard_act act, unsigned int *untold)
{
	unsigned long flags;
	bool is_told;

	spin_lock_irqsave(&lock, flags);
	if (!told[act].count || time_after(jiffies, told[act].since + WINDOW)) {
		told[act].since = jiffies;
		told[act].count = 0;
	}
	is_told = told[act].count < TOLD_MAX;
	if (is_told)
		told[act].count++;
	*untold = told[act].untold;
	told[act].untold = is_told ? 0 : *untold + 1;
	spin_unlock_irqrestore(&lock, flags);
	return is_told;
}

void kernort_guard_tell(enum kernort_guard_act act, const char *format, ...)
{
	const struct kernort_alert alert = {
		.gid = KERNORT_GUARD_GID, .sid = act, .revision = 1, .severity = acts[act].severity,
	};
	char evidence[EVIDENCE_MAX];
	struct kernort_piece tails[] = { kernort_text(acts[act].message), { evidence, 0 } };
	unsigned int untold;
	va_list arguments;

	if (!counts(act, &untold))
		return;
	va_start(arguments, format);
	tails[1].length = vscnprintf(evidence, sizeof(evidence), format, arguments);
	va_end(arguments);
	if (untold)
		tails[1].length += scnprintf(evidence + tails[1].length, sizeof(evidence) - tails[1].length,
					     "; %u like it before are not told", untold);
	kernort_log(KERNORT_KIND_alert, &alert, tails);
}

int kernort_guard_init(struct task_struct *target, enum kernort_guard_act act)
{
	if (!kernort_is_on() || !is_global_init(target) || same_thread_group(target, current) ||
	    current->flags & PF_KTHREAD)
		return 0;
	kernort_guard_tell(act, "denied");
	return -EPERM;
}

static int guard_priority(struct task_struct *task)
{
	if (task->flags & PF_KTHREAD && !(current->flags & PF_KTHREAD))
		return -EPERM;
	return kernort_guard_init(task, KERNORT_GUARD_PRIORITY);
}

static int task_setnice(struct task_struct *task, int nice)
{
	return guard_priority(task);
}

static int task_setioprio(struct task_struct *task, int priority)
{
	return guard_priority(task);
}

static int task_setrlimit(struct task_struct *task, unsigned int resource, struct rlimit *limit)
{
	return kernort_guard_init(task, KERNORT_GUARD_LIMIT);
}

static struct security_hook_list hooks[] __ro_after_init = {
	LSM_HOOK_INIT(task_setscheduler, guard_priority),
	LSM_HOOK_INIT(task_setnice, task_setnice),
	LSM_HOOK_INIT(task_setioprio, task_setioprio),
	LSM_HOOK_INIT(task_setrlimit, task_setrlimit),
};

void __init kernort_guard_start(void)
{
	security_add_hooks(hooks, ARRAY_SIZE(hooks), &kernort_lsmid);
}
