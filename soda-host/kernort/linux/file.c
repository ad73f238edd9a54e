// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files that are watched: opened, removed, renamed, linked, changed.
 *
 * Theory of operation
 *
 * Goal: whatever name an intruder comes by, an act on a watched file is
 * written down; an act on any other file costs next to nothing.
 *
 * A file is watched if its path within its file system is, or its path from
 * the top of all mounts is. The first holds when it is reached by a bind mount
 * or from a changed root, the second when something was mounted over a watched
 * folder. Where both are the same (the mount that is the process's root, which
 * is nearly always) only the first is worked out. Symbolic links play no part:
 * what is looked at is where they led.
 *
 * A file system of layers opens the file below as well; that is the same act.
 * The layer that is written to can be mounted by itself: there all paths begin
 * with LAYER, where guest init has put it. A file that is reached by its handle
 * may have no path at all; each of those is written down.
 */

#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/fs_struct.h>
#include <linux/limits.h>
#include <linux/path.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/string.h>

#include "event.h"
#include "hooks.h"
#include "power.h"

enum operation {
	OPEN_READING = 1,
	OPEN_WRITING,
	REMOVED,
	RENAMED,
	LINKED,
	MODE_OR_OWNER,
	CUT_SHORT,
};

/* soda-host/virtual-server/guest-init/boot.c */
#define LAYER "/upper"

/* Guards the room; held for as long as a record takes. */
static DEFINE_SPINLOCK(path_lock);
static char path_room[PATH_MAX];

static bool is_watched_within(const char *path, bool is_reading)
{
	size_t layer = str_has_prefix(path, LAYER "/") ? strlen(LAYER) : 0;

	return kernort_is_watched(path, is_reading) || (layer && kernort_is_watched(path + layer, is_reading));
}

/* The watched path of a file, in the room; NULL if there is none. */
static const char *watched_path(const struct path *path, bool is_reading)
{
	const char *text = dentry_path_raw(path->dentry, path_room, sizeof(path_room));
	bool is_watched = !IS_ERR(text) && is_watched_within(text, is_reading);

	if (IS_ROOT(path->dentry) && !d_is_dir(path->dentry))
		is_watched = true;

	if (!is_watched && path->mnt == current->fs->root.mnt)
		return NULL;
	text = kernort_path_text(path, path_room, sizeof(path_room));
	return is_watched || kernort_is_watched(text, is_reading) ? text : NULL;
}

static const enum kernort_event_kind kinds[] = {
	[OPEN_READING] = KERNORT_EVENT_READ, [OPEN_WRITING] = KERNORT_EVENT_WRITE, [REMOVED] = KERNORT_EVENT_REMOVE,
	[RENAMED] = KERNORT_EVENT_RENAME,    [LINKED] = KERNORT_EVENT_LINK,	     [MODE_OR_OWNER] = KERNORT_EVENT_CHMOD,
	[CUT_SHORT] = KERNORT_EVENT_TRUNCATE,
};

static int judge_file(enum kernort_event_kind kind, struct kernort_piece path)
{
	struct kernort_event event;

	kernort_power_check();
	if (!kernort_event_is_wanted(kind))
		return 0;
	kernort_event_begin(&event, kind);
	event.texts[KERNORT_TEXT_FILE_PATH] = path;
	return kernort_event_judge(&event);
}

static int watch_as(enum operation operation, enum kernort_event_kind kind, const struct path *path)
{
	struct kernort_piece tail;
	const char *text;
	int err = 0;

	if (!kernort_is_on() || !current->fs)
		return 0;
	spin_lock(&path_lock);
	text = watched_path(path, operation == OPEN_READING);
	if (text) {
		const struct inode *inode = d_backing_inode(path->dentry);
		struct kernort_file fields = {
			.operation = operation,
			.mode = inode ? inode->i_mode : 0,
			.inode = inode ? inode->i_ino : 0,
		};

		tail = kernort_text(text);
		kernort_log(KERNORT_KIND_file, &fields, &tail);
		err = judge_file(kind, tail);
	}
	spin_unlock(&path_lock);
	return err;
}

static int watch_file(enum operation operation, const struct path *path)
{
	return watch_as(operation, kinds[operation], path);
}

static int watch_entry(enum operation operation, const struct path *folder, struct dentry *dentry)
{
	struct path path = { .mnt = folder->mnt, .dentry = dentry };

	return watch_file(operation, &path);
}

static int file_open(struct file *file)
{
	umode_t mode = file_inode(file)->i_mode;

	if (file->f_mode & FMODE_BACKING || (!S_ISREG(mode) && !S_ISBLK(mode)))
		return 0;
	return watch_file(file->f_mode & FMODE_WRITE ? OPEN_WRITING : OPEN_READING, &file->f_path);
}

/* Of a file that is about to be made, so that a rule that forbids it leaves none; its opening is told of below. */
static int path_mknod(const struct path *folder, struct dentry *dentry, umode_t mode, unsigned int device)
{
	const struct path path = { .mnt = folder->mnt, .dentry = dentry };
	struct kernort_event event;
	const char *text;
	int err = 0;

	if (!kernort_event_is_wanted(KERNORT_EVENT_WRITE) || !current->fs)
		return 0;
	kernort_event_begin(&event, KERNORT_EVENT_WRITE);
	event.is_asked_ahead = true;
	spin_lock(&path_lock);
	text = watched_path(&path, false);
	event.texts[KERNORT_TEXT_FILE_PATH] = kernort_text(text);
	if (text)
		err = kernort_event_judge(&event);
	spin_unlock(&path_lock);
	return err;
}

static int path_unlink(const struct path *folder, struct dentry *dentry)
{
	return watch_entry(REMOVED, folder, dentry);
}

/* Two records, and to the rules one kind of act under both names: what is moved away is not gone. */
static int path_rename(const struct path *old_folder, struct dentry *old, const struct path *new_folder,
		       struct dentry *new, unsigned int flags)
{
	const struct path from = { .mnt = old_folder->mnt, .dentry = old };
	int err = watch_as(REMOVED, KERNORT_EVENT_RENAME, &from), other = watch_entry(RENAMED, new_folder, new);

	return err ? err : other;
}

/* Both ends: a second name for a secret, or a secret's name for something else. */
static int path_link(struct dentry *old, const struct path *folder, struct dentry *new)
{
	int err = watch_entry(LINKED, folder, old), other = watch_entry(LINKED, folder, new);

	return err ? err : other;
}

static int path_symlink(const struct path *folder, struct dentry *dentry, const char *target)
{
	return watch_entry(LINKED, folder, dentry);
}

static int path_chmod(const struct path *path, umode_t mode)
{
	return watch_file(MODE_OR_OWNER, path);
}

static int path_chown(const struct path *path, kuid_t uid, kgid_t gid)
{
	return watch_file(MODE_OR_OWNER, path);
}

static int path_truncate(const struct path *path)
{
	return watch_file(CUT_SHORT, path);
}

/* ftruncate(), and an open that empties what was there. */
static int file_truncate(struct file *file)
{
	return file->f_mode & FMODE_BACKING ? 0 : watch_file(CUT_SHORT, &file->f_path);
}

static struct security_hook_list hooks[] __ro_after_init = {
	LSM_HOOK_INIT(file_open, file_open),
	LSM_HOOK_INIT(path_mknod, path_mknod),
	LSM_HOOK_INIT(path_unlink, path_unlink),
	LSM_HOOK_INIT(path_rmdir, path_unlink),
	LSM_HOOK_INIT(path_rename, path_rename),
	LSM_HOOK_INIT(path_link, path_link),
	LSM_HOOK_INIT(path_symlink, path_symlink),
	LSM_HOOK_INIT(path_chmod, path_chmod),
	LSM_HOOK_INIT(path_chown, path_chown),
	LSM_HOOK_INIT(path_truncate, path_truncate),
	LSM_HOOK_INIT(file_truncate, file_truncate),
};

void __init kernort_file_init(void)
{
	security_add_hooks(hooks, ARRAY_SIZE(hooks), &kernort_lsmid);
}
