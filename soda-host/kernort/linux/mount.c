// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mounts: made, taken away, changed, moved, and the root exchanged.
 *
 * mount() tells all it does in one place. The calls that replace it (fsopen()
 * and its kin) attach by move_mount(), and change what is there by fsconfig().
 */

#include <linux/fs.h>
#include <linux/limits.h>
#include <linux/mount.h>
#include <linux/mutex.h>
#include <linux/ptrace.h>
#include <linux/sched/task_stack.h>
#include <asm/syscall.h>
#include <uapi/linux/mount.h>

#include "event.h"
#include "hooks.h"

enum operation {
	MOUNT = 1,
	UNMOUNT,
	REMOUNT,
	MOVE,
	PIVOT,
};

/* Guards the room. */
static DEFINE_MUTEX(path_lock);
static struct {
	char source[PATH_MAX];
	char target[PATH_MAX];
} path_room;

static const enum kernort_event_kind kinds[] = {
	[MOUNT] = KERNORT_EVENT_MOUNT, [UNMOUNT] = KERNORT_EVENT_UMOUNT, [REMOUNT] = KERNORT_EVENT_REMOUNT,
	[MOVE] = KERNORT_EVENT_MOVE,   [PIVOT] = KERNORT_EVENT_PIVOT,
};

static int judge_mount(enum operation operation, const struct kernort_piece tails[3])
{
	struct kernort_event event;

	if (!kernort_event_is_wanted(kinds[operation]))
		return 0;
	kernort_event_begin(&event, kinds[operation]);
	event.texts[KERNORT_TEXT_MOUNT_SOURCE] = tails[0];
	event.texts[KERNORT_TEXT_MOUNT_TARGET] = tails[1];
	event.texts[KERNORT_TEXT_MOUNT_TYPE] = tails[2];
	return kernort_event_judge(&event);
}

static int watch_mount(enum operation operation, u64 flags, const char *source, const char *target,
		      const char *type)
{
	struct kernort_mount fields = { .operation = operation, .flags = flags };
	struct kernort_piece tails[] = { kernort_text(source), kernort_text(target), kernort_text(type) };

	kernort_log(KERNORT_KIND_mount, &fields, tails);
	return judge_mount(operation, tails);
}

static enum operation operation_of(unsigned long flags)
{
	if (flags & MS_REMOUNT)
		return REMOUNT;
	return flags & MS_MOVE ? MOVE : MOUNT;
}

static int sb_mount(const char *source, const struct path *path, const char *type, unsigned long flags, void *data)
{
	int err;

	if (!kernort_is_on())
		return 0;
	mutex_lock(&path_lock);
	err = watch_mount(operation_of(flags), flags, source,
			  kernort_path_text(path, path_room.target, sizeof(path_room.target)), type);
	mutex_unlock(&path_lock);
	return err;
}

static int sb_umount(struct vfsmount *mount, int flags)
{
	struct path path = { .mnt = mount, .dentry = mount->mnt_root };
	int err;

	if (!kernort_is_on())
		return 0;
	mutex_lock(&path_lock);
	err = watch_mount(UNMOUNT, flags, mount->mnt_sb->s_id,
			  kernort_path_text(&path, path_room.target, sizeof(path_room.target)),
			  mount->mnt_sb->s_type->name);
	mutex_unlock(&path_lock);
	return err;
}

static int sb_remount(struct super_block *sb, void *options)
{
	/* Told by sb_mount() already, and better. */
	if (!kernort_is_on() || syscall_get_nr(current, current_pt_regs()) == __NR_mount)
		return 0;
	return watch_mount(REMOUNT, sb->s_flags, sb->s_id, NULL, sb->s_type->name);
}

static int watch_two_paths(enum operation operation, const struct path *from, const struct path *to)
{
	int err;

	if (!kernort_is_on())
		return 0;
	mutex_lock(&path_lock);
	err = watch_mount(operation, 0, kernort_path_text(from, path_room.source, sizeof(path_room.source)),
			  kernort_path_text(to, path_room.target, sizeof(path_room.target)),
			  from->dentry->d_sb->s_type->name);
	mutex_unlock(&path_lock);
	return err;
}

static int move_mount(const struct path *from, const struct path *to)
{
	return watch_two_paths(MOVE, from, to);
}

static int sb_pivotroot(const struct path *put_old, const struct path *new_root)
{
	return watch_two_paths(PIVOT, new_root, put_old);
}

static struct security_hook_list hooks[] __ro_after_init = {
	LSM_HOOK_INIT(sb_mount, sb_mount),
	LSM_HOOK_INIT(sb_umount, sb_umount),
	LSM_HOOK_INIT(sb_remount, sb_remount),
	LSM_HOOK_INIT(move_mount, move_mount),
	LSM_HOOK_INIT(sb_pivotroot, sb_pivotroot),
};

void __init kernort_mount_init(void)
{
	security_add_hooks(hooks, ARRAY_SIZE(hooks), &kernort_lsmid);
}
