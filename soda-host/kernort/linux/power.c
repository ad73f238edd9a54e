// SPDX-License-Identifier: GPL-2.0-only
/*
 * Power that nothing gave.
 *
 * Theory of operation
 *
 * Goal: who is made root by a hole in the kernel, without any call that makes root, is told of at its next act.
 *
 * The kernel changes a task's credentials at few places, and each of them asks security modules: exec, the set*id calls,
 * capset(). What came out there is kept with the task, and by fork with its children. Such a hole is used by writing to
 * the credentials, or by giving the task others: then they are no longer what is kept. To compare costs a few words, so it
 * is done at acts that an intruder goes on to: a fork, a program, a connection, a watched file, a change of ids.
 *
 * Who can write to the kernel's memory can write here too, or to Kernort; but would have to know of it, and be done
 * before anything was told.
 */

#include <linux/sched.h>

#include "guard.h"
#include "hooks.h"
#include "power.h"

static struct kernort_power *power_of(const struct task_struct *task)
{
	return task->security + kernort_blobs.lbs_task;
}

void kernort_power_note(const struct cred *cred)
{
	*power_of(current) = (struct kernort_power){
		.uid = cred->uid,
		.euid = cred->euid,
		.suid = cred->suid,
		.permitted = cred->cap_permitted,
		.is_known = true,
	};
}

static bool is_explained(const struct kernort_power *known, const struct cred *cred)
{
	return uid_eq(known->uid, cred->uid) && uid_eq(known->euid, cred->euid) && uid_eq(known->suid, cred->suid) &&
	       cap_issubset(cred->cap_permitted, known->permitted);
}

void kernort_power_check(void)
{
	struct kernort_power *known = power_of(current);
	/* Not those that the kernel borrows for a while, which an overlay does. */
	const struct cred *cred = current_real_cred();

	if (current->flags & PF_KTHREAD)
		return;
	if (!known->is_known)
		kernort_power_note(cred);
	if (known->is_told || is_explained(known, cred))
		return;
	known->is_told = true;
	kernort_guard_tell(KERNORT_GUARD_POWER, "uid %u to %u, effective %u to %u",
			   from_kuid(&init_user_ns, known->uid), from_kuid(&init_user_ns, cred->uid),
			   from_kuid(&init_user_ns, known->euid), from_kuid(&init_user_ns, cred->euid));
}

static int task_alloc(struct task_struct *task, u64 clone_flags)
{
	*power_of(task) = *power_of(current);
	if (current->flags & PF_KTHREAD)
		power_of(task)->is_known = false;
	return 0;
}

static struct security_hook_list hooks[] __ro_after_init = {
	LSM_HOOK_INIT(task_alloc, task_alloc),
};

void __init kernort_power_start(void)
{
	security_add_hooks(hooks, ARRAY_SIZE(hooks), &kernort_lsmid);
}
