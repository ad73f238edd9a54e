// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * Which limits the guest has come up against, so that its tenant can be told.
 *
 * The kernel's log says when it killed for want of memory (programs can write
 * there too, but not in the kernel's name), and the kernel says how full the disk
 * is and how many threads there are; of the latter two a peak between two looks
 * goes unseen. What was reached stays reached. Idle guests are looked
 * at rarely: there may be hundreds on one machine.
 */
#include "init.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define LOOK_MS 500
#define LOOK_MS_IDLE 5000
/* With less than this free a disk is full: what is left is in pieces, or kept for its own tables. */
#define ROOM_BYTES_MIN (32 * 1024)
/* Lines of the kernel's log that are read in one look, and the longest there is. */
#define LINES_MAX 1024
#define LINE_BYTES 8192
/* Facilities above 0 are not the kernel's: see /dev/kmsg in Documentation/ABI/testing/dev-kmsg. */
#define FACILITY_KERNEL_END 8
/* Turns of a busy loop between two looks at the clock. */
#define TURNS 64

static uint32_t reached;
static int log_fd = -1;
static unsigned int turns;
static int64_t looked_ms;

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The number after `name` in a file of the kernel's; after the first `/` if that is the name. -1 if there is none. */
static long number_after(const char *path, const char *name)
{
	char text[256];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	const char *found;

	if (fd >= 0)
		close(fd);
	if (length < 0)
		return -1;
	text[length] = '\0';
	found = strstr(text, name);
	return found ? strtol(found + strlen(name), NULL, 10) : -1;
}

void limits_init(void)
{
	log_fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (log_fd < 0)
		report("kernel log: %s", strerror(errno));
	else
		lseek(log_fd, 0, SEEK_END);
}

/* Each read is one line. One that was overwritten before it was read fails, and the next one does not. */
static bool has_killed(void)
{
	static char line[LINE_BYTES];

	for (int i = 0; log_fd >= 0 && i < LINES_MAX; i++) {
		ssize_t length = read(log_fd, line, sizeof(line) - 1);

		if (length < 0 && errno == EAGAIN)
			return false;
		if (length <= 0)
			continue;
		line[length] = '\0';
		if (strtol(line, NULL, 10) < FACILITY_KERNEL_END &&
		    strstr(line, ";Out of memory: Killed process"))
			return true;
	}
	return false;
}

static void look(void)
{
	long threads_max = number_after("/proc/sys/kernel/threads-max", "");
	struct statfs disk;

	if (!(reached & LIMIT_MEMORY) && has_killed())
		reached |= LIMIT_MEMORY;
	/*
	 * See proc_loadavg(5): threads that could run, `/`, threads that there are. Who
	 * could not fork and ended for it is not among them any more, nor are threads of
	 * the kernel that came and went: the reserve for those is larger than this slack.
	 */
	if (threads_max > 0 && number_after("/proc/loadavg", "/") >= threads_max - PROCESSES_RESERVE / 2)
		reached |= LIMIT_PROCESSES;
	if (statfs("/", &disk) < 0)
		return;
	if (disk.f_blocks > 0 && (uint64_t)disk.f_bavail * (uint64_t)disk.f_bsize < ROOM_BYTES_MIN)
		reached |= LIMIT_DISK;
	if (disk.f_files > 0 && disk.f_ffree == 0)
		reached |= LIMIT_FILES;
}

void limits_look_now(void)
{
	looked_ms = now_ms();
	look();
}

void limits_look(bool is_idle)
{
	if (!is_idle && ++turns % TURNS != 0)
		return;
	if (now_ms() - looked_ms >= LOOK_MS)
		limits_look_now();
}

int limits_wait_ms(void)
{
	return task_is_running(&program) ? LOOK_MS_IDLE : -1;
}

uint32_t limits_reached(void)
{
	return reached;
}
