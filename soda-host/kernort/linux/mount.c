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

static void log_mount(enum operation operation, u64 flags, const char *source, const char *target,
		      const char *type)
{
	struct kernort_mount fields = { .operation = operation, .flags = flags };
	struct kernort_piece tails[] = { kernort_text(source), kernort_text(target), kernort_text(type) };

	kernort_log(KERNORT_KIND_mount, &fields, tails);
}

static enum operation operation_of(unsigned long flags)
{
	if (flags & MS_REMOUNT)
		return REMOUNT;
	return flags & MS_MOVE ? MOVE : MOUNT;
}

static int sb_mount(const char *source, const struct path *path, const char *type, unsigned long flags, void *data)
{
	if (!kernort_is_on())
		return 0;
	mutex_lock(&path_lock);
	log_mount(operation_of(flags), flags, source,
		  kernort_path_text(path, path_room.target, sizeof(path_room.target)), type);
	mutex_unlock(&path_lock);
	return 0;
}

static int sb_umount(struct vfsmount *mount, int flags)
{
	struct path path = { .mnt = mount, .dentry = mount->mnt_root };

	if (!kernort_is_on())
		return 0;
	mutex_lock(&path_lock);
	log_mount(UNMOUNT, flags, mount->mnt_sb->s_id,
		  kernort_path_text(&path, path_room.target, sizeof(path_room.target)),
		  mount->mnt_sb->s_type->name);
	mutex_unlock(&path_lock);
	return 0;
}

static int sb_remount(struct super_block *sb, void *options)
{
	/* Told by sb_mount() already, and better. */
	if (kernort_is_on() && syscall_get_nr(current, current_pt_regs()) != __NR_mount)
		log_mount(REMOUNT, sb->s_flags, sb->s_id, NULL, sb->s_type->name);
	return 0;
}

static void log_two_paths(enum operation operation, const struct path *from, const struct path *to)
{
	if (!kernort_is_on())
		return;
	mutex_lock(&path_lock);
	log_mount(operation, 0, kernort_path_text(from, path_room.source, sizeof(path_room.source)),
		  kernort_path_text(to, path_room.target, sizeof(path_room.target)),
		  from->dentry->d_sb->s_type->name);
	mutex_unlock(&path_lock);
}

static int move_mount(const struct path *from, const struct path *to)
{
	log_two_paths(MOVE, from, to);
	return 0;
}

static int sb_pivotroot(const struct path *put_old, const struct path *new_root)
{
	log_two_paths(PIVOT, new_root, put_old);
	return 0;
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
