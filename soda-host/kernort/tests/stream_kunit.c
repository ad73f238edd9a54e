// SPDX-License-Identifier: GPL-2.0-only
/*
 * The stream tracker against what Linux does (net/ipv4/tcp_input.c): a client sends, the test notes what would be
 * read. Sequence numbers begin just below the wrap, so that every case crosses it.
 */
#include "kunit.h"
#include "stream.h"

#define CLIENT_ISN 0xfffffff0u
#define SERVER_ISN 5000u
#define SEGMENTS 16u

struct line {
	struct kernort_streams streams;
	struct kernort_flow flow;
	struct kernort_counters counters;
	struct kernort_segment pool[SEGMENTS];
	char read[256];
	u32 length;
};

static void note(void *context, struct kernort_flow *flow, u32 side, const u8 *bytes, u32 length)
{
	struct line *line = context;

	if (side != KERNORT_CLIENT || &line->flow != flow || length > sizeof(line->read) - line->length)
		return;
	memcpy(line->read + line->length, bytes, length);
	line->length += length;
}

static enum kernort_segment_fate send(struct line *line, u32 side, u8 flags, u32 seq, u32 ack, const char *text)
{
	struct kernort_packet packet = { .tcp_flags = flags,
					 .seq = seq,
					 .ack = ack,
					 .window = 1000,
					 .window_scale = 0xff,
					 .payload = (const u8 *)text,
					 .payload_length = (u32)strlen(text) };

	return kernort_stream_segment(&line->streams, &line->flow, side, &packet);
}

/* Data at @offset of the client's stream. */
static enum kernort_segment_fate data(struct line *line, u32 offset, const char *text)
{
	return send(line, KERNORT_CLIENT, KERNORT_TCP_ACK, CLIENT_ISN + 1 + offset, SERVER_ISN + 1, text);
}

static void open_line(struct line *line)
{
	struct kernort_arena arena = { .base = (u8 *)line->pool };
	u32 side;

	memset(line, 0, sizeof(*line));
	kernort_streams_init(&line->streams, &arena, SEGMENTS);
	line->streams.counters = &line->counters;
	line->streams.deliver = note;
	line->streams.context = line;
	for (side = 0; side < 2; side++) {
		line->flow.sides[side].segments = KERNORT_NO_INDEX;
		line->flow.sides[side].window_scale = 0xff;
	}
	send(line, KERNORT_CLIENT, KERNORT_TCP_SYN, CLIENT_ISN, 0, "");
	send(line, KERNORT_SERVER, KERNORT_TCP_SYN | KERNORT_TCP_ACK, SERVER_ISN, CLIENT_ISN + 1, "");
	send(line, KERNORT_CLIENT, KERNORT_TCP_ACK, CLIENT_ISN + 1, SERVER_ISN + 1, "");
}

static void expect_read(struct kunit *test, const struct line *line, const char *text)
{
	KUNIT_EXPECT_EQ(test, line->length, strlen(text));
	KUNIT_EXPECT_EQ(test, memcmp(line->read, text, line->length), 0);
}

static struct line line;

static void stream_reads_segments_in_order_whatever_their_arrival(struct kunit *test)
{
	open_line(&line);
	data(&line, 20, "uvwxyz");
	data(&line, 10, "klmnopqrst");
	expect_read(test, &line, "");
	data(&line, 0, "abcdefghij");
	expect_read(test, &line, "abcdefghijklmnopqrstuvwxyz");
	KUNIT_EXPECT_EQ(test, line.streams.free_count, SEGMENTS);
}

static void stream_never_reads_a_byte_again(struct kunit *test)
{
	open_line(&line);
	data(&line, 0, "good");
	data(&line, 0, "EVIL");
	data(&line, 2, "ILmore");
	expect_read(test, &line, "goodmore");
}

static void stream_keeps_what_waits_when_the_new_lies_within(struct kunit *test)
{
	open_line(&line);
	data(&line, 4, "efghij");
	data(&line, 5, "XXX");
	data(&line, 0, "abcd");
	expect_read(test, &line, "abcdefghij");
}

static void stream_takes_the_new_when_it_covers_what_waits(struct kunit *test)
{
	open_line(&line);
	data(&line, 5, "XXX");
	data(&line, 4, "efghij");
	data(&line, 0, "abcd");
	expect_read(test, &line, "abcdefghij");
}

static void stream_takes_the_segment_that_begins_first_on_partial_overlap(struct kunit *test)
{
	open_line(&line);
	data(&line, 4, "efgh");
	data(&line, 6, "XXij");
	data(&line, 0, "abcd");
	expect_read(test, &line, "abcdefghij");
	open_line(&line);
	data(&line, 6, "XXij");
	data(&line, 4, "efgh");
	data(&line, 0, "abcd");
	expect_read(test, &line, "abcdefghij");
}

static void stream_refuses_what_the_receiver_drops(struct kunit *test)
{
	open_line(&line);
	KUNIT_EXPECT_EQ(test, send(&line, KERNORT_CLIENT, 0, CLIENT_ISN + 1, 0, "no ack"), KERNORT_SEGMENT_REFUSED);
	KUNIT_EXPECT_EQ(test, send(&line, KERNORT_CLIENT, KERNORT_TCP_ACK, CLIENT_ISN + 1, SERVER_ISN + 2, "future"),
			KERNORT_SEGMENT_REFUSED);
	KUNIT_EXPECT_EQ(test, data(&line, 1001, "beyond the window"), KERNORT_SEGMENT_REFUSED);
	data(&line, 0, "true");
	expect_read(test, &line, "true");
	KUNIT_EXPECT_EQ(test, line.counters.segments_refused, 3);
}

static void stream_ends_by_a_reset_at_exactly_the_next_number(struct kunit *test)
{
	open_line(&line);
	data(&line, 0, "one");
	KUNIT_EXPECT_EQ(test, send(&line, KERNORT_CLIENT, KERNORT_TCP_RST, CLIENT_ISN + 5, 0, ""),
			KERNORT_SEGMENT_REFUSED);
	data(&line, 3, "two");
	KUNIT_EXPECT_EQ(test, send(&line, KERNORT_CLIENT, KERNORT_TCP_RST, CLIENT_ISN + 7, 0, ""), KERNORT_SEGMENT_TAKEN);
	data(&line, 6, "three");
	expect_read(test, &line, "onetwo");
}

static void stream_reads_nothing_after_the_end(struct kunit *test)
{
	open_line(&line);
	send(&line, KERNORT_CLIENT, KERNORT_TCP_ACK | KERNORT_TCP_FIN, CLIENT_ISN + 1, SERVER_ISN + 1, "last");
	data(&line, 4, "after");
	data(&line, 5, "after");
	expect_read(test, &line, "last");
}

static void stream_takes_the_urgent_byte_out(struct kunit *test)
{
	struct kernort_packet packet = { .tcp_flags = KERNORT_TCP_ACK | KERNORT_TCP_URG,
					 .seq = CLIENT_ISN + 1,
					 .ack = SERVER_ISN + 1,
					 .urgent = 3,
					 .window = 1000,
					 .window_scale = 0xff,
					 .payload = (const u8 *)"abXcd",
					 .payload_length = 5 };

	open_line(&line);
	kernort_stream_segment(&line.streams, &line.flow, KERNORT_CLIENT, &packet);
	expect_read(test, &line, "abcd");
}

static void stream_bounds_what_one_side_may_keep_waiting(struct kunit *test)
{
	u32 i;

	open_line(&line);
	for (i = 0; i < SEGMENTS; i++)
		data(&line, 10 + i * 10, "x");
	KUNIT_EXPECT_EQ(test, line.flow.sides[KERNORT_CLIENT].segment_count, SEGMENTS / 4);
	KUNIT_EXPECT_EQ(test, line.counters.segments_dropped, SEGMENTS - SEGMENTS / 4);
	kernort_stream_release(&line.streams, &line.flow);
	KUNIT_EXPECT_EQ(test, line.streams.free_count, SEGMENTS);
}

struct kunit_case kernort_stream_cases[] = {
	KUNIT_CASE(stream_reads_segments_in_order_whatever_their_arrival),
	KUNIT_CASE(stream_never_reads_a_byte_again),
	KUNIT_CASE(stream_keeps_what_waits_when_the_new_lies_within),
	KUNIT_CASE(stream_takes_the_new_when_it_covers_what_waits),
	KUNIT_CASE(stream_takes_the_segment_that_begins_first_on_partial_overlap),
	KUNIT_CASE(stream_refuses_what_the_receiver_drops),
	KUNIT_CASE(stream_ends_by_a_reset_at_exactly_the_next_number),
	KUNIT_CASE(stream_reads_nothing_after_the_end),
	KUNIT_CASE(stream_takes_the_urgent_byte_out),
	KUNIT_CASE(stream_bounds_what_one_side_may_keep_waiting),
	{ 0 },
};
