// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which paths are watched: where an intruder stays (what starts programs by
 * itself), takes (secrets), and wipes (logs). The list is the shipped one.
 */

#include <linux/kernel.h>
#include <linux/string.h>

#include "hooks.h"

/*
 * A star is one name. A slash at the end is everything below; a name that
 * ends in a star, everything that begins so. What everybody reads all day
 * is watched for writing only.
 */
struct watch {
	const char *pattern;
	bool is_secret;
};

static const struct watch watches[] = {
	{ "/etc/shadow*", true },
	{ "/etc/gshadow*", true },
	{ "/etc/sudoers", true },
	{ "/etc/sudoers.d/", true },
	{ "/etc/ssh/", true },
	{ "/root/.ssh/", true },
	{ "/home/*/.ssh/", true },
	{ "/root/.gnupg/", true },
	{ "/home/*/.gnupg/", true },
	{ "/dev/ubd*", true },
	{ "/etc/passwd*" },
	{ "/etc/group*" },
	{ "/etc/pam.d/" },
	{ "/etc/security/" },
	{ "/etc/cron*" },
	{ "/etc/anacrontab" },
	{ "/etc/at.allow" },
	{ "/etc/init.d/" },
	{ "/etc/inittab" },
	{ "/etc/rc*" },
	{ "/etc/systemd/" },
	{ "/etc/udev/" },
	{ "/etc/profile*" },
	{ "/etc/environment" },
	{ "/etc/bash.bashrc" },
	{ "/etc/ld.so.*" },
	{ "/etc/hosts*" },
	{ "/etc/resolv.conf" },
	{ "/etc/nsswitch.conf" },
	{ "/etc/syslog*" },
	{ "/etc/rsyslog*" },
	{ "/etc/inetd.conf" },
	{ "/etc/xinetd.d/" },
	{ "/etc/apt/" },
	{ "/root/.bash*" },
	{ "/root/.profile" },
	{ "/root/.config/" },
	{ "/home/*/.bash*" },
	{ "/home/*/.profile" },
	{ "/home/*/.config/" },
	{ "/var/log/" },
	{ "/var/spool/cron/" },
	{ "/var/spool/at/" },
	{ "/var/run/utmp" },
	{ "/run/utmp" },
	{ "/run/systemd/system/" },
	{ "/lib/systemd/" },
	{ "/usr/lib/systemd/" },
	{ "/usr/local/lib/" },
	{ "/usr/local/bin/" },
	{ "/usr/local/sbin/" },
	{ "/usr/bin/" },
	{ "/usr/sbin/" },
	{ "/bin/" },
	{ "/sbin/" },
	{ "/proc/sysrq-trigger" },
	{ "/proc/sys/kernel/" },
};

static bool matches(const char *pattern, const char *path)
{
	for (; *pattern; pattern++) {
		if (*pattern == '*') {
			/* Within a name: /home/ * /.ssh; at the end: whatever follows. */
			if (!pattern[1])
				return true;
			while (*path && *path != '/')
				path++;
			continue;
		}
		if (*pattern != *path)
			/* The folder itself is part of what lies below it. */
			return *pattern == '/' && !pattern[1] && !*path;
		path++;
	}
	return !*path || pattern[-1] == '/';
}

bool kernort_is_watched(const char *path, bool is_reading)
{
	size_t i;

	if (path[0] != '/')
		return false;
	for (i = 0; i < ARRAY_SIZE(watches); i++) {
		/* The first letter tells most of them apart. */
		if (watches[i].pattern[1] != path[1] || (is_reading && !watches[i].is_secret))
			continue;
		if (matches(watches[i].pattern, path))
			return true;
	}
	return false;
}
