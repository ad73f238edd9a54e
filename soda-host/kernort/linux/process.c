// SPDX-License-Identifier: GPL-2.0-only
/*
 * Processes: exec, fork, exit, credentials, ptrace, signals, namespaces.
 *
 * Theory of operation
 *
 * Goal: a record of every act by which a process becomes, or gains power over,
 * something else, that says what the kernel did and not what it was asked.
 *
 * A program's arguments and environment are read from its own new memory,
 * after the point of no return and before its first instruction. Nobody else
 * can write there: it is mapped in no other process, ptrace and /proc/PID/mem
 * wait for the exec to end. The pointers that execve() was given are not
 * looked at again.
 *
 * Buffers are static, since an attacker may have left no memory to allocate.
 * A mutex guards them; while it is held, nothing waits for a disk.
 */

#include <linux/binfmts.h>
#include <linux/cred.h>
#include <linux/kernort.h>
#include <linux/limits.h>
#include <linux/mutex.h>
#include <linux/ptrace.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/sizes.h>
#include <linux/uaccess.h>
#include <crypto/sha2.h>

#include "event.h"
#include "exec.h"
#include "guard.h"
#include "hooks.h"
#include "power.h"

/* More arguments are cut here, so that a long list leaves room for path and ancestry. */
#define ARGUMENTS_SIZE_MAX SZ_16K
#define ANCESTORS_MAX 16
/* A number, a space, a name, a zero byte. */
#define ANCESTOR_SIZE (10 + 1 + TASK_COMM_LEN)

static DEFINE_MUTEX(exec_lock);
static struct {
	char path[PATH_MAX];
	char ancestry[ANCESTORS_MAX * ANCESTOR_SIZE];
	u8 arguments[ARGUMENTS_SIZE_MAX];
	u8 chunk[SZ_4K];
} exec_room;

/* "PID NAME" of each, ended by a zero byte, the parent first. */
static size_t write_ancestry(char *text, size_t size)
{
	struct task_struct *task = current;
	size_t at = 0;
	int i;

	rcu_read_lock();
	for (i = 0; i < ANCESTORS_MAX; i++) {
		task = rcu_dereference(task->real_parent);
		if (!task || !task_tgid_nr(task))
			break;
		at += scnprintf(text + at, size - at, "%d %.*s", task_tgid_nr(task), TASK_COMM_LEN - 1,
				task->comm);
		text[at++] = 0;
	}
	rcu_read_unlock();
	return at;
}

/* Length of the first @strings strings in @bytes, or all of it; counts @strings down. */
static size_t strings_length(const u8 *bytes, size_t size, int *strings)
{
	size_t at = 0;

	while (*strings && at < size) {
		const u8 *end = memchr(bytes + at, 0, size - at);

		if (!end)
			return size;
		at = end + 1 - bytes;
		--*strings;
	}
	return at;
}

/*
 * From bprm->p upwards lie the arguments, then the environment, up to
 * bprm->exec. Return: how many bytes of the arguments were kept.
 */
static size_t read_strings(const struct linux_binprm *bprm, u8 environment_sha256[32])
{
	int arguments_left = bprm->argc;
	struct sha256_ctx sha256;
	unsigned long at = bprm->p;
	size_t kept = 0;

	sha256_init(&sha256);
	while (at < bprm->exec) {
		size_t size = min_t(size_t, bprm->exec - at, sizeof(exec_room.chunk));
		size_t arguments, keep;

		if (copy_from_user(exec_room.chunk, (const void __user *)at, size))
			break;
		arguments = strings_length(exec_room.chunk, size, &arguments_left);
		keep = min_t(size_t, arguments, sizeof(exec_room.arguments) - kept);
		memcpy(exec_room.arguments + kept, exec_room.chunk, keep);
		kept += keep;
		sha256_update(&sha256, exec_room.chunk + arguments, size - arguments);
		at += size;
	}
	sha256_final(&sha256, environment_sha256);
	return kept;
}

static u32 parent_of(struct task_struct *task)
{
	u32 parent;

	rcu_read_lock();
	parent = task_tgid_nr(rcu_dereference(task->real_parent));
	rcu_read_unlock();
	return parent;
}

static void log_cred(const struct cred *new, const struct cred *old)
{
	struct kernort_cred fields = {
		.uid_before = from_kuid(&init_user_ns, old->uid),
		.uid_after = from_kuid(&init_user_ns, new->uid),
		.euid_before = from_kuid(&init_user_ns, old->euid),
		.euid_after = from_kuid(&init_user_ns, new->euid),
		.gid_before = from_kgid(&init_user_ns, old->egid),
		.gid_after = from_kgid(&init_user_ns, new->egid),
		.capabilities_before = old->cap_effective.val,
		.capabilities_after = new->cap_effective.val,
	};

	if (fields.uid_before == fields.uid_after && fields.euid_before == fields.euid_after &&
	    fields.gid_before == fields.gid_after && fields.capabilities_before == fields.capabilities_after)
		return;
	kernort_log(KERNORT_KIND_cred, &fields, NULL);
}

static int judge_cred(const struct cred *new, const struct cred *old)
{
	struct kernort_event event;

	if (!kernort_event_is_wanted(KERNORT_EVENT_CRED))
		return 0;
	kernort_event_begin(&event, KERNORT_EVENT_CRED);
	kernort_event_give(&event, KERNORT_NUMBER_CRED_UID_BEFORE, from_kuid(&init_user_ns, old->uid));
	kernort_event_give(&event, KERNORT_NUMBER_CRED_UID_AFTER, from_kuid(&init_user_ns, new->uid));
	kernort_event_give(&event, KERNORT_NUMBER_CRED_EUID_BEFORE, from_kuid(&init_user_ns, old->euid));
	kernort_event_give(&event, KERNORT_NUMBER_CRED_EUID_AFTER, from_kuid(&init_user_ns, new->euid));
	kernort_event_give(&event, KERNORT_NUMBER_CRED_SAVED_UID, from_kuid(&init_user_ns, old->suid));
	return kernort_event_judge(&event);
}

static int change_cred(const struct cred *new, const struct cred *old)
{
	int err;

	if (!kernort_is_on())
		return 0;
	kernort_power_check();
	log_cred(new, old);
	err = judge_cred(new, old);
	if (!err)
		kernort_power_note(new);
	return err;
}

static bool gains_by_exec(const struct cred *new, const struct cred *old)
{
	return !uid_eq(new->euid, old->euid) || !gid_eq(new->egid, old->egid) ||
	       !cap_issubset(new->cap_permitted, old->cap_permitted);
}

static void bprm_committing_creds(const struct linux_binprm *bprm)
{
	const struct cred *old = current_cred();
	struct kernort_exec fields = { 0 };
	struct kernort_piece tails[3];

	if (!kernort_is_on())
		return;
	kernort_power_check();
	kernort_power_note(bprm->cred);
	fields.parent = parent_of(current);
	fields.arguments_count = bprm->argc;
	fields.euid = from_kuid(&init_user_ns, bprm->cred->euid);
	fields.is_setuid = gains_by_exec(bprm->cred, old);
	mutex_lock(&exec_lock);
	tails[0] = kernort_text(kernort_path_text(&bprm->file->f_path, exec_room.path, sizeof(exec_room.path)));
	tails[1].bytes = exec_room.arguments;
	tails[1].length = read_strings(bprm, fields.environment_sha256.bytes);
	tails[2].bytes = exec_room.ancestry;
	tails[2].length = write_ancestry(exec_room.ancestry, sizeof(exec_room.ancestry));
	kernort_log(KERNORT_KIND_exec, &fields, tails);
	kernort_exec_judge(bprm, fields.is_setuid, tails[0], exec_room.arguments, tails[1].length);
	mutex_unlock(&exec_lock);
	if (fields.is_setuid)
		log_cred(bprm->cred, old);
}

void kernort_process_forked(struct task_struct *child, u64 clone_flags)
{
	struct kernort_fork fields;

	if (!kernort_is_on() || child->flags & PF_KTHREAD)
		return;
	kernort_power_check();
	fields = (struct kernort_fork){
		.parent = task_tgid_nr(current),
		.child = task_pid_nr(child),
		.clone_flags = clone_flags,
	};
	kernort_log(KERNORT_KIND_fork, &fields, NULL);
	if (!(clone_flags & CLONE_THREAD))
		kernort_event_forked(fields.parent, fields.child);
}

void kernort_process_exited(void)
{
	const struct signal_struct *signal = current->signal;
	struct kernort_exit fields;

	if (!kernort_is_on() || current->flags & PF_KTHREAD)
		return;
	fields = (struct kernort_exit){
		.parent = parent_of(current),
		.status = signal->flags & SIGNAL_GROUP_EXIT ? signal->group_exit_code : current->exit_code,
	};
	kernort_log(KERNORT_KIND_exit, &fields, NULL);
	kernort_event_exited((u32)task_tgid_nr(current));
}

static int task_fix_setid(struct cred *new, const struct cred *old, int flags)
{
	return change_cred(new, old);
}

static int capset(struct cred *new, const struct cred *old, const kernel_cap_t *effective,
		  const kernel_cap_t *inheritable, const kernel_cap_t *permitted)
{
	return change_cred(new, old);
}

static void begin_on(struct kernort_event *event, enum kernort_event_kind kind, struct task_struct *target)
{
	kernort_event_begin(event, kind);
	kernort_event_give(event, KERNORT_NUMBER_TARGET_PID, (u32)task_tgid_nr(target));
	kernort_event_give(event, KERNORT_NUMBER_TARGET_UID, from_kuid(&init_user_ns, task_uid(target)));
}

static int watch_ptrace(struct task_struct *target, unsigned int mode)
{
	struct kernort_ptrace fields = {
		.target = task_tgid_nr(target),
		.target_uid = from_kuid(&init_user_ns, task_uid(target)),
		.mode = mode,
	};

	struct kernort_event event;

	if (!kernort_is_on())
		return 0;
	kernort_log(KERNORT_KIND_ptrace, &fields, NULL);
	if (!kernort_event_is_wanted(KERNORT_EVENT_PTRACE))
		return 0;
	begin_on(&event, KERNORT_EVENT_PTRACE, target);
	return kernort_event_judge(&event);
}

/* Also for /proc/PID/mem and process_vm_writev(). Reading /proc/PID/status and its like is no attachment. */
static int ptrace_access_check(struct task_struct *child, unsigned int mode)
{
	int err;

	if (!(mode & PTRACE_MODE_ATTACH))
		return 0;
	err = watch_ptrace(child, mode);
	return err ? err : kernort_guard_init(child, KERNORT_GUARD_PTRACE);
}

static int ptrace_traceme(struct task_struct *parent)
{
	return watch_ptrace(current, 0);
}

static int task_kill(struct task_struct *target, struct kernel_siginfo *info, int signal, const struct cred *cred)
{
	struct kernort_signal fields;
	struct kernort_event event;

	if (!kernort_is_on() || !signal)
		return 0;
	if (is_global_init(target))
		return kernort_guard_init(target, KERNORT_GUARD_SIGNAL);
	if (uid_eq(task_uid(target), current_uid()))
		return 0;
	fields = (struct kernort_signal){
		.target = task_tgid_nr(target),
		.target_uid = from_kuid(&init_user_ns, task_uid(target)),
		.signal = signal,
	};
	kernort_log(KERNORT_KIND_signal, &fields, NULL);
	if (!kernort_event_is_wanted(KERNORT_EVENT_SIGNAL))
		return 0;
	begin_on(&event, KERNORT_EVENT_SIGNAL, target);
	kernort_event_give(&event, KERNORT_NUMBER_SIGNAL_NUMBER, (u32)signal);
	return kernort_event_judge(&event);
}

static void log_namespace(u32 operation, u64 flags, enum kernort_event_kind kind)
{
	struct kernort_namespace fields = { .operation = operation, .flags = flags };
	struct kernort_event event;

	if (!kernort_is_on())
		return;
	kernort_log(KERNORT_KIND_namespace, &fields, NULL);
	if (!kernort_event_is_wanted(kind))
		return;
	kernort_event_begin(&event, kind);
	kernort_event_judge(&event);
}

void kernort_namespace_unshared(unsigned long flags)
{
	log_namespace(1, flags, KERNORT_EVENT_UNSHARE);
}

void kernort_namespace_entered(unsigned long flags)
{
	log_namespace(2, flags, KERNORT_EVENT_SETNS);
}

static struct security_hook_list hooks[] __ro_after_init = {
	LSM_HOOK_INIT(bprm_committing_creds, bprm_committing_creds),
	LSM_HOOK_INIT(task_fix_setuid, task_fix_setid),
	LSM_HOOK_INIT(task_fix_setgid, task_fix_setid),
	LSM_HOOK_INIT(capset, capset),
	LSM_HOOK_INIT(ptrace_access_check, ptrace_access_check),
	LSM_HOOK_INIT(ptrace_traceme, ptrace_traceme),
	LSM_HOOK_INIT(task_kill, task_kill),
};

void __init kernort_process_init(void)
{
	security_add_hooks(hooks, ARRAY_SIZE(hooks), &kernort_lsmid);
}
