/* SPDX-License-Identifier: GPL-2.0-only */
/* What Kernort denies for its own sake; see guard.c. */
#ifndef KERNORT_LINUX_GUARD_H
#define KERNORT_LINUX_GUARD_H

#include <linux/sched.h>

/* Signature ids of the alerts, below the generator KERNORT_GUARD_GID. */
enum kernort_guard_act {
	KERNORT_GUARD_PTRACE = 1, /* ptrace, /proc/1/mem, process_vm_writev(), pidfd_getfd() */
	KERNORT_GUARD_SIGNAL,
	KERNORT_GUARD_PRIORITY,
	KERNORT_GUARD_LIMIT,
	KERNORT_GUARD_POWER, /* power.c */
	KERNORT_GUARD_CUT, /* event.c */
};

#define KERNORT_GUARD_GID 1000

/* An alert of Kernort's own about the current process; not more often than a few times a minute. */
__printf(2, 3) void kernort_guard_tell(enum kernort_guard_act act, const char *format, ...);

/* Return: -EPERM, and an alert, when @target is the guest's init and somebody else is at it; else 0. */
int kernort_guard_init(struct task_struct *target, enum kernort_guard_act act);

#endif
