// SPDX-License-Identifier: GPL-2.0-only
/*
 * What programs send to the system's log, /dev/log.
 *
 * A socket is known for that of the system's log when somebody finds it under
 * one of the names below (the second is where systemd's link leads); from then
 * on what is queued there is written down too, from the kernel's own copy.
 * Whether the daemon that reads there keeps it does not matter.
 */

#include <linux/dcache.h>
#include <linux/kernort.h>
#include <linux/limits.h>
#include <linux/net.h>
#include <linux/skbuff.h>
#include <linux/spinlock.h>
#include <net/sock.h>

#include "hooks.h"
#include "power.h"

#define MESSAGE_SIZE_MAX 8192
/* facility user, level notice: what syslog(3) says where nothing is said */
#define DEFAULT_PRIORITY 13

struct socket_state {
	bool is_syslog;
};

/* The framework makes an offset of the size. */
struct lsm_blob_sizes kernort_blobs __ro_after_init = {
	.lbs_task = sizeof(struct kernort_power),
	.lbs_sock = sizeof(struct socket_state),
};

/* Guards the rooms. */
static DEFINE_SPINLOCK(room_lock);
static char path_room[PATH_MAX];
static char message[MESSAGE_SIZE_MAX];

static struct socket_state *state_of(const struct sock *sk)
{
	return sk->sk_security + kernort_blobs.lbs_sock;
}

static bool is_syslog_path(const struct path *path)
{
	const char *text;
	bool is_it;

	/* The last name tells nearly all others apart. */
	if (strcmp(path->dentry->d_name.name, "log") && strcmp(path->dentry->d_name.name, "dev-log"))
		return false;
	spin_lock(&room_lock);
	text = kernort_path_text(path, path_room, sizeof(path_room));
	is_it = !strcmp(text, "/dev/log") || !strcmp(text, "/run/systemd/journal/dev-log");
	spin_unlock(&room_lock);
	return is_it;
}

static int unix_find(const struct path *path, struct sock *other, int flags)
{
	if (is_syslog_path(path))
		WRITE_ONCE(state_of(other)->is_syslog, true);
	return 0;
}

/* A connection to it goes on in a socket of its own. */
static int unix_stream_connect(struct sock *sock, struct sock *other, struct sock *newsk)
{
	state_of(newsk)->is_syslog = READ_ONCE(state_of(other)->is_syslog);
	return 0;
}

static void log_message(const char *text, size_t size)
{
	struct kernort_syslog fields = { .priority = DEFAULT_PRIORITY };
	struct kernort_piece tail;
	u32 priority = 0;
	size_t at = 1;

	while (at < size && at < 4 && text[at] >= '0' && text[at] <= '9')
		priority = priority * 10 + (text[at++] - '0');
	if (at > 1 && at < size && text[0] == '<' && text[at] == '>')
		fields.priority = priority;
	else
		at = -1;
	tail = (struct kernort_piece){ text + at + 1, size - at - 1 };
	kernort_log(KERNORT_KIND_syslog, &fields, &tail);
}

void kernort_syslog_sent(struct sock *to, const struct sk_buff *skb)
{
	size_t size;

	if (!READ_ONCE(state_of(to)->is_syslog) || !kernort_is_on())
		return;
	size = min_t(size_t, skb->len, sizeof(message));
	spin_lock(&room_lock);
	if (!skb_copy_bits(skb, 0, message, size))
		log_message(message, size);
	spin_unlock(&room_lock);
}

static struct security_hook_list hooks[] __ro_after_init = {
	LSM_HOOK_INIT(unix_find, unix_find),
	LSM_HOOK_INIT(unix_stream_connect, unix_stream_connect),
};

void __init kernort_syslog_init(void)
{
	security_add_hooks(hooks, ARRAY_SIZE(hooks), &kernort_lsmid);
}
