/* SPDX-License-Identifier: GPL-2.0-only */
/* The records that wait to be sealed: what log.c has for push.c. */
#ifndef KERNORT_LINUX_QUEUE_H
#define KERNORT_LINUX_QUEUE_H

#include <linux/types.h>

/* What was taken out. */
struct kernort_taken {
	u32 size;
	u32 count;
	u64 first; /* number of the first record; of the next one where there is none */
	u8 severity; /* the gravest of its alerts, 1..4; 0: none */
};

/* From now on events are logged. @bytes: KERNORT_RING_SIZE of them */
void kernort_queue_start(u8 *bytes);

/* Move the oldest records, as many as fit into @room bytes, to @dst. Counts of shed records are queued behind them. */
void kernort_queue_take(struct kernort_taken *taken, u8 *dst, u32 room);

#endif
