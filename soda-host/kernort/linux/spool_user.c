// SPDX-License-Identifier: GPL-2.0-only
/*
 * The spool, on the host's side of a User-Mode Linux kernel.
 *
 * Theory of operation
 *
 * Goal: what is written is the host's, whichever process is killed; and however slow or full its disk is, the guest
 * does not wait. Writing to a regular file may block for seconds, whatever O_NONBLOCK says: so a thread does it, as for
 * the block devices (arch/um/drivers/ubd_user.c). When a disk is full it tries again until there is room; the kernel
 * sheds records meanwhile.
 *
 * The host takes what is written, and must be able to give the space back. So there are two files. One is written
 * until it is full; then the other one, once that is empty. The host empties a file only when it has taken all of it
 * and the other one has begun to fill: then nobody writes there. A file may grow beyond its size by one order.
 *
 * All signals are blocked in the thread, SIGXFSZ too: a file that may not grow is a disk that is full.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <os.h>
#include "spool.h"

#define RETRY_NS 100000000

struct order {
	const char *bytes;
	unsigned int length;
};

static struct {
	int files[KERNORT_SPOOL_FILES];
	int active;
	unsigned long long file_max;
	int kernel_end; /* does not block */
	int thread_end; /* blocks */
} spool;

static void wait_for_room(void)
{
	const struct timespec pause = { .tv_nsec = RETRY_NS };

	nanosleep(&pause, NULL);
}

/* Size of a file; a file that cannot be asked is not to be written to. */
static unsigned long long size_of(int file)
{
	struct stat facts;

	return fstat(file, &facts) ? spool.file_max : (unsigned long long)facts.st_size;
}

static void choose_file(void)
{
	while (size_of(spool.files[spool.active]) >= spool.file_max) {
		int other = 1 - spool.active;

		if (!size_of(spool.files[other]))
			spool.active = other;
		else
			wait_for_room();
	}
}

static void append(const struct order *order)
{
	unsigned int done = 0;

	choose_file();
	while (done < order->length) {
		ssize_t n = write(spool.files[spool.active], order->bytes + done, order->length - done);

		if (n > 0)
			done += (unsigned int)n;
		else if (n == 0 || errno != EINTR)
			wait_for_room();
	}
}

static void *spool_thread(void *unused)
{
	struct order order;
	ssize_t n;

	for (;;) {
		n = read(spool.thread_end, &order, sizeof(order));
		if (n < 0 && errno == EINTR)
			continue;
		if (n != sizeof(order))
			return NULL;
		append(&order);
		do {
			n = write(spool.thread_end, "", 1);
		} while (n < 0 && errno == EINTR);
	}
}

static int check_file(int file)
{
	struct stat facts;
	int flags = fcntl(file, F_GETFL);

	if (flags < 0 || fstat(file, &facts) || !S_ISREG(facts.st_mode))
		return -EBADF;
	if ((flags & O_ACCMODE) != O_WRONLY || !(flags & O_APPEND))
		return -EBADF;
	if (facts.st_size)
		return -EEXIST;
	/* A guest that reboots becomes a new kernel by exec, whose log this is not. */
	return os_set_exec_close(file);
}

static int start_thread(void)
{
	sigset_t all, before;
	pthread_t thread;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = -pthread_create(&thread, NULL, spool_thread, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return err;
}

int kernort_spool_start(const int fds[KERNORT_SPOOL_FILES], unsigned long long file_max)
{
	int ends[2], i, err;

	for (i = 0; i < KERNORT_SPOOL_FILES; i++) {
		err = check_file(fds[i]);
		if (err)
			return err;
		spool.files[i] = fds[i];
	}
	spool.file_max = file_max;
	err = os_pipe(ends, 1, 1);
	if (err < 0)
		return err;
	spool.kernel_end = ends[0];
	spool.thread_end = ends[1];
	err = os_set_fd_block(spool.kernel_end, 0);
	if (!err)
		err = start_thread();
	return err ? err : spool.kernel_end;
}

int kernort_spool_order(const void *bytes, unsigned int length)
{
	const struct order order = { bytes, length };
	ssize_t n;

	do {
		n = write(spool.kernel_end, &order, sizeof(order));
	} while (n < 0 && errno == EINTR);
	return n == sizeof(order) ? 0 : -errno;
}

static long long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* Also where the guest's timer interrupts every few milliseconds. */
static void wait_for_done(int timeout_ms)
{
	struct pollfd end = { .fd = spool.kernel_end, .events = POLLIN };
	long long until = now_ms() + timeout_ms, left = timeout_ms;

	for (; left > 0; left = until - now_ms()) {
		if (poll(&end, 1, (int)left) >= 0 || errno != EINTR)
			return;
	}
}

int kernort_spool_done(int timeout_ms)
{
	char byte;
	ssize_t n;

	wait_for_done(timeout_ms);
	do {
		n = read(spool.kernel_end, &byte, 1);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return 0;
	return n == 1 ? 1 : -EPIPE;
}
