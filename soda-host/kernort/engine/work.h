/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: The work that a packet may cost
 *
 * One counter of steps for everything that is done for a packet: a step is about what comparing one byte costs.
 * Attacker: sends what wakes many rules, makes expressions backtrack, or inflates a few bytes to many. Each packet earns
 * its flow a credit, by its length; what a flow does not use it keeps, up to a bound, so that honest traffic, which
 * needs a few steps a byte, never sees the end of it. When it is used up nothing more is tried for the packet, which is
 * counted and told. A flow cannot use up another's.
 */
#ifndef KERNORT_WORK_H
#define KERNORT_WORK_H

#include "kernort_env.h"

#define KERNORT_WORK_PER_PACKET 16384u
#define KERNORT_WORK_PER_BYTE 64u /* of payload */
#define KERNORT_WORK_AT_FIRST (1u << 18) /* that a flow begins with */
#define KERNORT_WORK_KEPT_MAX (4u << 20)

/*
 * Rules that wait for more of a stream are tried again with each packet only while so much is left; else with a later
 * one, before the stream's window moves on, and at its end.
 */
#define KERNORT_WORK_FOR_WAITING (1u << 18)

/* What things cost that are not counted byte by byte. */
#define KERNORT_WORK_OF_RULE 16u
#define KERNORT_WORK_OF_OPTION 4u
#define KERNORT_WORK_OF_LOOK 512u /* at a message, whatever is in it */
#define KERNORT_WORK_SCAN_BYTES 4u /* are scanned in one step */

/*
 * One search for an expression may take this part of what is left, so that after some that are dear there still is enough
 * for many that are not; and all together leave this part of the whole to contents.
 */
#define KERNORT_WORK_SHARE 4u

struct kernort_work {
	u64 spent, limit;
	bool is_cut; /* something was not done because of the limit */
};

static inline bool kernort_work_is_over(const struct kernort_work *work)
{
	return work->spent >= work->limit;
}

static inline u64 kernort_work_left(const struct kernort_work *work)
{
	return kernort_work_is_over(work) ? 0 : work->limit - work->spent;
}

/* Is there work left to begin something? If not, that is remembered. */
static inline bool kernort_work_begins(struct kernort_work *work)
{
	work->is_cut |= kernort_work_is_over(work);
	return !kernort_work_is_over(work);
}

/* What one search for an expression may take. */
static inline u64 kernort_work_share(const struct kernort_work *work)
{
	u64 left = kernort_work_left(work), kept = work->limit / KERNORT_WORK_SHARE;

	return left > kept ? (left - kept) / KERNORT_WORK_SHARE : 0;
}

static inline void kernort_work_spend(struct kernort_work *work, u64 steps)
{
	work->spent += steps;
}

#endif
