// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs that are started, as rules see them: file, arguments as one line, who starts them, and what the first three
 * descriptors are. Descriptors that close themselves are closed by now.
 */

#include <linux/cred.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kdev_t.h>
#include <linux/limits.h>
#include <linux/major.h>
#include <linux/mm.h>
#include <linux/net.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/uidgid.h>
#include <net/sock.h>

#include "event.h"
#include "exec.h"
#include "hooks.h"

static char parent_path[PATH_MAX];

static bool is_terminal(const struct inode *inode)
{
	unsigned int major = imajor(inode);

	return major == TTY_MAJOR || major == TTYAUX_MAJOR ||
	       (major >= UNIX98_PTY_MASTER_MAJOR && major < UNIX98_PTY_SLAVE_MAJOR + UNIX98_PTY_MAJOR_COUNT);
}

static u32 kind_of(struct file *file)
{
	const struct inode *inode = file_inode(file);
	struct socket *socket = sock_from_file(file);

	if (socket)
		return socket->sk && socket->sk->sk_family == AF_UNIX ? KERNORT_STDIO_LOCAL : KERNORT_STDIO_SOCKET;
	if (S_ISFIFO(inode->i_mode))
		return KERNORT_STDIO_PIPE;
	return S_ISCHR(inode->i_mode) && is_terminal(inode) ? KERNORT_STDIO_TTY : KERNORT_STDIO_FILE;
}

/* KERNORT_STDIO_* of all three. */
static u32 stdio_of(struct task_struct *task)
{
	unsigned int fd;
	u32 kinds = 0;

	for (fd = 0; fd < 3; fd++) {
		struct file *file = fget_task(task, fd);

		if (!file)
			continue;
		kinds |= kind_of(file);
		fput(file);
	}
	return kinds;
}

static struct task_struct *get_parent(void)
{
	struct task_struct *parent;

	rcu_read_lock();
	parent = rcu_dereference(current->real_parent);
	get_task_struct(parent);
	rcu_read_unlock();
	return parent;
}

static void give_parent(struct kernort_event *event)
{
	struct task_struct *parent = get_parent();
	struct file *file = NULL;

	if (kernort_event_wants_number(KERNORT_EVENT_EXEC, KERNORT_NUMBER_PARENT_STDIO))
		kernort_event_give(event, KERNORT_NUMBER_PARENT_STDIO, stdio_of(parent));
	if (kernort_event_wants_text(KERNORT_EVENT_EXEC, KERNORT_TEXT_PARENT_PATH))
		file = get_task_exe_file(parent);
	if (file) {
		event->texts[KERNORT_TEXT_PARENT_PATH] =
			kernort_text(kernort_path_text(&file->f_path, parent_path, sizeof(parent_path)));
		fput(file);
	}
	put_task_struct(parent);
}

/* As one would type them; without what ends the last. */
static struct kernort_piece as_line(u8 *arguments, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++)
		arguments[i] = arguments[i] ? arguments[i] : ' ';
	return (struct kernort_piece){ arguments, size && arguments[size - 1] == ' ' ? size - 1 : size };
}

void kernort_exec_judge(const struct linux_binprm *bprm, bool is_setuid, struct kernort_piece path, u8 *arguments,
			size_t size)
{
	struct kernort_event event;

	if (!kernort_event_is_wanted(KERNORT_EVENT_EXEC))
		return;
	kernort_event_begin(&event, KERNORT_EVENT_EXEC);
	kernort_event_give(&event, KERNORT_NUMBER_UID, from_kuid(&init_user_ns, bprm->cred->uid));
	kernort_event_give(&event, KERNORT_NUMBER_EUID, from_kuid(&init_user_ns, bprm->cred->euid));
	kernort_event_give(&event, KERNORT_NUMBER_EXEC_SETUID, is_setuid);
	if (kernort_event_wants_number(KERNORT_EVENT_EXEC, KERNORT_NUMBER_STDIO))
		kernort_event_give(&event, KERNORT_NUMBER_STDIO, stdio_of(current));
	event.texts[KERNORT_TEXT_EXEC_PATH] = path;
	event.texts[KERNORT_TEXT_EXEC_ARGS] = as_line(arguments, size);
	give_parent(&event);
	if (kernort_event_judge(&event))
		force_fatal_sig(SIGKILL);
}
