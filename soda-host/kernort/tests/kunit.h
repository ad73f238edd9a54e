/* SPDX-License-Identifier: GPL-2.0-only */
/* As much of KUnit as the engine's tests need, in user space: see Documentation/dev-tools/kunit in the kernel. */
#ifndef KERNORT_KUNIT_H
#define KERNORT_KUNIT_H

#include "kernort_env.h"

struct kunit {
	bool has_failed;
};

struct kunit_case {
	void (*run)(struct kunit *test);
	const char *name;
};

void kunit_fail(struct kunit *test, const char *file, int line, const char *what, long long left, long long right);

#define KUNIT_CASE(function) { .run = (function), .name = #function }
#define KUNIT_EXPECT_EQ(test, left, right)                                                                   \
	do {                                                                                                 \
		long long left_ = (long long)(left), right_ = (long long)(right);                            \
		if (left_ != right_)                                                                         \
			kunit_fail(test, __FILE__, __LINE__, #left " == " #right, left_, right_);            \
	} while (0)
#define KUNIT_EXPECT_TRUE(test, condition) KUNIT_EXPECT_EQ(test, !!(condition), 1)

extern struct kunit_case kernort_stream_cases[], kernort_fragments_cases[];

#endif
