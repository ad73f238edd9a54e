// SPDX-License-Identifier: GPL-2.0-only
/* Runs the engine's KUnit cases and prints them as TAP. Status 0 when all hold. */
#include <stdio.h>
#include "kunit.h"

void kunit_fail(struct kunit *test, const char *file, int line, const char *what, long long left, long long right)
{
	test->has_failed = true;
	printf("# %s:%d: expected %s, got %lld and %lld\n", file, line, what, left, right);
}

static int run_suite(const struct kunit_case *cases, int *number)
{
	int failures = 0;

	for (; cases->run; cases++) {
		struct kunit test = { 0 };

		cases->run(&test);
		failures += test.has_failed;
		printf("%sok %d %s\n", test.has_failed ? "not " : "", ++*number, cases->name);
	}
	return failures;
}

int main(void)
{
	int number = 0, failures = run_suite(kernort_stream_cases, &number);

	failures += run_suite(kernort_fragments_cases, &number);
	printf("1..%d\n", number);
	return failures > 0;
}
