// SPDX-License-Identifier: GPL-2.0-only
/* Fragments against what Linux does (net/ipv4/inet_fragment.c): duplicates are ignored, overlaps end the datagram. */
#include "fragments.h"
#include "kunit.h"

#define QUEUES 2u

static struct kernort_fragment_queue queues[QUEUES];
static struct kernort_fragments fragments;
static struct kernort_counters counters;

static void begin(void)
{
	struct kernort_arena arena = { .base = (u8 *)queues };

	memset(queues, 0, sizeof(queues));
	memset(&counters, 0, sizeof(counters));
	kernort_fragments_init(&fragments, &arena, QUEUES);
}

/* A fragment of datagram @id at @offset bytes. Returns the length of the payload if that made it whole, or -1. */
static int add(u32 id, u32 offset, const char *text, bool has_more, u64 time_us)
{
	static struct kernort_packet whole;
	struct kernort_packet packet = { .time_us = time_us,
					 .source = { .family = 4, .bytes = { 10, 0, 0, 1 } },
					 .destination = { .family = 4, .bytes = { 10, 0, 0, 2 } },
					 .ip_protocol = 99,
					 .ttl = 64,
					 .ip_id = id,
					 .fragment = (u16)(offset / 8 | (has_more ? KERNORT_FRAGMENT_MORE : 0)),
					 .is_fragment = true,
					 .transport = (const u8 *)text,
					 .transport_length = (u32)strlen(text) };

	if (!kernort_fragments_add(&fragments, &packet, &whole, &counters))
		return -1;
	return memcmp(whole.payload, "0123456789abcdefEND", whole.payload_length) || whole.has_bad_checksum ?
		       -2 :
		       (int)whole.payload_length;
}

static void fragments_in_any_order_make_one_datagram(struct kunit *test)
{
	begin();
	KUNIT_EXPECT_EQ(test, add(1, 16, "END", false, 0), -1);
	KUNIT_EXPECT_EQ(test, add(1, 0, "01234567", true, 0), -1);
	KUNIT_EXPECT_EQ(test, add(1, 8, "89abcdef", true, 0), 19);
}

static void fragments_that_repeat_are_ignored_whatever_they_say(struct kunit *test)
{
	begin();
	add(1, 0, "01234567", true, 0);
	add(1, 0, "EVILEVIL", true, 0);
	add(1, 8, "89abcdef", true, 0);
	KUNIT_EXPECT_EQ(test, add(1, 16, "END", false, 0), 19);
}

static void fragments_that_overlap_end_the_datagram(struct kunit *test)
{
	begin();
	add(1, 0, "01234567", true, 0);
	add(1, 0, "0123456789abcdef", true, 0);
	KUNIT_EXPECT_EQ(test, counters.fragment_queues_dropped, 1);
	KUNIT_EXPECT_EQ(test, add(1, 16, "END", false, 0), -1);
}

static void fragments_with_two_ends_end_the_datagram(struct kunit *test)
{
	begin();
	add(1, 16, "END", false, 0);
	add(1, 8, "x", false, 0);
	add(1, 0, "01234567", true, 0);
	KUNIT_EXPECT_EQ(test, add(1, 8, "89abcdef", true, 0), -1);
}

static void fragments_are_forgotten_after_thirty_seconds(struct kunit *test)
{
	begin();
	add(1, 0, "0123456789abcdef", true, 0);
	KUNIT_EXPECT_EQ(test, add(1, 16, "END", false, 30000001), -1);
}

static void fragments_of_many_datagrams_push_the_oldest_out(struct kunit *test)
{
	begin();
	add(1, 0, "0123456789abcdef", true, 1);
	add(2, 0, "0123456789abcdef", true, 2);
	add(3, 0, "0123456789abcdef", true, 3);
	KUNIT_EXPECT_EQ(test, counters.fragment_queues_dropped, 1);
	KUNIT_EXPECT_EQ(test, add(3, 16, "END", false, 4), 19);
	KUNIT_EXPECT_EQ(test, add(2, 16, "END", false, 4), 19);
}

struct kunit_case kernort_fragments_cases[] = {
	KUNIT_CASE(fragments_in_any_order_make_one_datagram),
	KUNIT_CASE(fragments_that_repeat_are_ignored_whatever_they_say),
	KUNIT_CASE(fragments_that_overlap_end_the_datagram),
	KUNIT_CASE(fragments_with_two_ends_end_the_datagram),
	KUNIT_CASE(fragments_are_forgotten_after_thirty_seconds),
	KUNIT_CASE(fragments_of_many_datagrams_push_the_oldest_out),
	{ 0 },
};
