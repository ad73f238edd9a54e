// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * Which limits the guest has come up against, so that its tenant can be told.
 *
 * The kernel counts how often it killed for want of memory, and says how full
 * the disk is and how many threads there are; of the latter two a peak between
 * two looks goes unseen. What was reached stays reached. Idle guests are looked
 * at rarely: there may be hundreds on one machine.
 */
#include "init.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define LOOK_MS 500
#define LOOK_MS_IDLE 5000
/* Turns of a busy loop between two looks at the clock. */
#define TURNS 64

static uint32_t reached;
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
	static char text[16384];
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

static void look(void)
{
	long threads_max = number_after("/proc/sys/kernel/threads-max", "");
	struct statfs disk;

	if (number_after("/proc/vmstat", "\noom_kill ") > 0)
		reached |= LIMIT_MEMORY;
	/* See proc_loadavg(5): threads that could run, `/`, threads that there are. */
	if (threads_max > 0 && number_after("/proc/loadavg", "/") >= threads_max)
		reached |= LIMIT_PROCESSES;
	if (statfs("/", &disk) < 0)
		return;
	if (disk.f_blocks > 0 && disk.f_bavail == 0)
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
