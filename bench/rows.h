/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * A program of acts that are timed on demand. It prints "row ACTS NAME" for each, and "ready". Then, for each line
 * "NUMBER ROUNDS" that it reads, it does that act so often and prints the nanoseconds that all of it took: whoever asks
 * can ask another guest in between, so that what disturbs one disturbs the other.
 */
#ifndef BENCH_ROWS_H
#define BENCH_ROWS_H

#include <stdio.h>
#include <time.h>

struct row {
	const char *name;
	void (*act)(void);
	/* How many of what is timed one call does. */
	int acts;
	/* Called behind the last round, its time counted; may be absent. */
	void (*finish)(void);
};

static long long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void serve_rows(const struct row *rows, unsigned int count)
{
	unsigned int number;
	long rounds, i;

	for (number = 0; number < count; number++)
		printf("row %d %s\n", rows[number].acts, rows[number].name);
	printf("ready\n");
	fflush(stdout);
	while (scanf("%u %ld", &number, &rounds) == 2 && number < count) {
		long long start = now();

		for (i = 0; i < rounds; i++)
			rows[number].act();
		if (rows[number].finish)
			rows[number].finish();
		printf("%lld\n", now() - start);
		fflush(stdout);
	}
}

#endif
