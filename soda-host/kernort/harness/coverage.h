/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which ways through the program an input takes, by -fsanitize-coverage=trace-pc: a byte for each step from one piece of
 * straight code to the next, as AFL has it (M. Zalewski, "Technical whitepaper for afl-fuzz", 2014). Places are counted
 * from main() on, so that they are the same each time.
 */
#ifndef KERNORT_HARNESS_COVERAGE_H
#define KERNORT_HARNESS_COVERAGE_H

#include "kernort_env.h"

#define COVERAGE_WAYS 65536u

static u8 coverage_now[COVERAGE_WAYS], coverage_seen[COVERAGE_WAYS];
static u64 coverage_last;

int main(int argc, char **argv);
void __sanitizer_cov_trace_pc(void);

__attribute__((no_sanitize_coverage, no_sanitize("address", "undefined"))) void __sanitizer_cov_trace_pc(void)
{
	u64 here = (u64)(uintptr_t)__builtin_return_address(0) - (u64)(uintptr_t)main;

	here = here * 0x9e3779b97f4a7c15ULL >> 40;
	coverage_now[(here ^ coverage_last) % COVERAGE_WAYS]++;
	coverage_last = here >> 1;
}

static inline void coverage_begin(void)
{
	memset(coverage_now, 0, sizeof(coverage_now));
	coverage_last = 0;
}

/* Has the input taken a way that none has before? @counts: or one of them more often, in powers of two. */
static inline bool coverage_is_new(bool counts)
{
	bool is_new = false;
	u32 i;

	for (i = 0; i < COVERAGE_WAYS; i++) {
		u8 hits = coverage_now[i], bits;

		if (!hits)
			continue;
		bits = counts ? (u8)(1u << (31 - __builtin_clz(hits))) : 1;
		is_new |= bits & ~coverage_seen[i];
		coverage_seen[i] |= bits;
	}
	return is_new;
}

#endif
