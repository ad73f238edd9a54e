/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * All memory of an engine, given once by the caller.
 *
 * Parts take what they need at start, in a fixed order, and never give back. With `base` NULL nothing is given and
 * only `used` grows: that is how the size is known beforehand.
 */
#ifndef KERNORT_ARENA_H
#define KERNORT_ARENA_H

#include "kernort_env.h"

#define KERNORT_ARENA_ALIGN 16u

struct kernort_arena {
	u8 *base;
	u64 used;
};

static inline void *arena_take(struct kernort_arena *arena, u64 count, u64 bytes)
{
	void *taken = arena->base ? arena->base + arena->used : NULL;

	arena->used += (count * bytes + KERNORT_ARENA_ALIGN - 1) & ~(u64)(KERNORT_ARENA_ALIGN - 1);
	return taken;
}

#endif
