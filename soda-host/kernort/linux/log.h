/* SPDX-License-Identifier: GPL-2.0-only */
/* Logging an event of the running kernel. */
#ifndef KERNORT_LINUX_LOG_H
#define KERNORT_LINUX_LOG_H

#include <linux/cache.h>
#include <linux/compiler.h>

#include "../engine/record.h"

extern bool kernort_on;

/* True from early in the boot on in a kernel that is stamped with at least one recipient, and never in another. */
static inline bool kernort_is_on(void)
{
	return unlikely(READ_ONCE(kernort_on));
}

/*
 * Log an event of the current process, or of the kernel in an interrupt. Who, and when, is filled in.
 *
 * Never sleeps, never allocates, and may be called anywhere: with interrupts off, under any lock, from printk(), in
 * an interrupt. What is pointed to is copied. When memory runs short the record is shed, counted, and the count
 * logged. With interrupts on, softirqs may run before it returns, as at the end of any interrupt.
 *
 * @fields: the kind's structure of kernort_record.h
 * @tails: as many as the kind has, NULL for none; what is too long is cut off
 */
void kernort_log(enum kernort_kind kind, const void *fields, const struct kernort_piece *tails);

/* Who acts now; the times are not filled in. */
void kernort_log_author(struct kernort_subject *author);

/* As kernort_log(), an event that @author brought about earlier. Its time is now: the log's order is that of its clock. */
void kernort_log_as(const struct kernort_subject *author, enum kernort_kind kind, const void *fields,
		    const struct kernort_piece *tails);

#endif
