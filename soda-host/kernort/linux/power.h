/* SPDX-License-Identifier: GPL-2.0-only */
/* What each task is known to be allowed; see power.c. */
#ifndef KERNORT_LINUX_POWER_H
#define KERNORT_LINUX_POWER_H

#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/uidgid.h>

struct kernort_power {
	kuid_t uid, euid, suid;
	kernel_cap_t permitted;
	bool is_known;
	bool is_told;
};

/* The current task has these credentials from now on, by a call that gives them. */
void kernort_power_note(const struct cred *cred);

/* Tell, once, if the current task has power that no call has given it. */
void kernort_power_check(void);

#endif
