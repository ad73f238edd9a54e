/* SPDX-License-Identifier: GPL-2.0-only */
/* Numbers that are the same for the same seed, for all programs of the harness that make their input themselves. */
#ifndef KERNORT_HARNESS_RANDOM_H
#define KERNORT_HARNESS_RANDOM_H

#include <stdlib.h>
#include "kernort_env.h"

static u64 random_state;

/* @seed: a number, as it stands on the command line. */
static inline void random_seed(const char *seed)
{
	random_state = strtoull(seed, NULL, 10) * 2654435761u + 1;
}

/* xorshift64*; only has to be the same everywhere. */
static inline u32 random_below(u32 limit)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (u32)((random_state * 0x2545f4914f6cdd1dULL) >> 33) % limit;
}

#endif
