/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The spool: two files of the host, to which a thread of the host's writes.
 *
 * Between the kernel and the host's C library, like the headers of arch/um: neither's types are used.
 */
#ifndef KERNORT_LINUX_SPOOL_H
#define KERNORT_LINUX_SPOOL_H

#define KERNORT_SPOOL_FILES 2

/*
 * Take over two descriptors of empty regular files, open for appending only, of which each takes about @file_max bytes
 * at a time, and start the thread.
 * Return: a descriptor that can be read when an order is done; -EBADF for a descriptor that is no such file,
 * -EEXIST for a file that is not empty, or another -errno.
 */
int kernort_spool_start(const int fds[KERNORT_SPOOL_FILES], unsigned long long file_max);

/*
 * Order @length bytes to be appended, together. They must stay as they are until it is done: one order at a time.
 * Return: 0 or -errno. Never waits for a disk.
 */
int kernort_spool_order(const void *bytes, unsigned int length);

/* Is the order done? Return: 1 if it is, once; 0 if not, after @timeout_ms; or -errno. */
int kernort_spool_done(int timeout_ms);

#endif
