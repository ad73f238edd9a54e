// SPDX-License-Identifier: GPL-2.0-only
/*
 * kernort-fragment-oracle SEED ROUNDS FRAGMENTS
 *
 * A real Linux stack as the judge. In a network namespace of its own, with a TUN device for a wire, a raw socket reads
 * what random IPv4 fragments (overlapping, repeated with other content, out of order, of odd lengths, with ends that
 * contradict each other) make; the same fragments go to the engine, which must have put the same datagrams together.
 * Needs CAP_SYS_ADMIN and /dev/net/tun. Up to FRAGMENTS random ones a round. Status 0: all rounds agree; 1: some do
 * not, each with its datagrams; 2: the namespace cannot be made.
 */
#define _GNU_SOURCE
#include <poll.h>
#include "fragments.h"
#include "wire.h"

#define UNITS 10u /* of eight bytes: the longest datagram */
#define DATAGRAM_BYTES (UNITS * 8)
#define PROTOCOL 99
#define MARKER_ID 0xffff /* a datagram in one piece that ends each round */
#define QUEUES 4u
#define REPLY_MS 2000
#define TEXT_BYTES 2048u

/* The datagrams of a round, one after the other. */
struct text {
	u32 length;
	char bytes[TEXT_BYTES];
};

struct round {
	int wire;
	u16 id;
	struct kernort_fragments fragments;
	struct kernort_fragment_queue queues[QUEUES];
	struct kernort_counters counters;
	struct text engine, truth, sent;
};

static void note(struct text *text, const u8 *bytes, u32 length)
{
	if (length + 1 > TEXT_BYTES - text->length)
		return;
	memcpy(text->bytes + text->length, bytes, length);
	text->bytes[text->length + length] = '|';
	text->length += length + 1;
}

static void show_engine(struct round *round, const u8 *bytes, u32 length)
{
	struct kernort_packet packet = { 0 }, whole = { 0 };

	if (kernort_decode_ip(&packet, bytes, length, false))
		return;
	if (!packet.is_fragment)
		note(&round->engine, packet.payload, packet.payload_length);
	else if (kernort_fragments_add(&round->fragments, &packet, &whole, &round->counters))
		note(&round->engine, whole.payload, whole.payload_length);
}

static void send_packet(struct round *round, u16 id, u16 fragment, u8 tos, char content, u32 length)
{
	u8 packet[WIRE_IP_BYTES + DATAGRAM_BYTES];
	u32 total = WIRE_IP_BYTES + length;

	put_ip(packet, total, PROTOCOL, id, fragment, tos);
	memset(packet + WIRE_IP_BYTES, content, length);
	show_engine(round, packet, total);
	if (write(round->wire, packet, total) != (ssize_t)total)
		give_up("wire");
}

static void send_fragment(struct round *round, u32 unit, u32 length, bool has_more, u8 tos, char content)
{
	char name[64];

	note(&round->sent, (const u8 *)name,
	     (u32)snprintf(name, sizeof(name), "%c at %u for %u%s tos %u", content, unit * 8, length,
			   has_more ? "" : " last", tos));
	send_packet(round, round->id, (u16)(unit | (has_more ? KERNORT_FRAGMENT_MORE : 0)), tos, content, length);
}

/* Random fragments, then, most often, what makes the datagram whole: a unit at a time, in order. */
static void send_datagram(struct round *round, u32 fragments)
{
	u32 count = random_below(fragments + 1), end = 1 + random_below(UNITS), i;
	u8 tos = (u8)random_below(4), ecn;

	for (i = 0; i < count; i++) {
		u32 unit = random_below(UNITS), length = 8 * (1 + random_below(3));
		bool is_last = random_below(8) == 0;

		if (random_below(8) == 0)
			length = random_below(24);
		if (length > DATAGRAM_BYTES - unit * 8)
			length = DATAGRAM_BYTES - unit * 8;
		ecn = random_below(32) ? tos : (u8)random_below(4);
		send_fragment(round, unit, length, !is_last && unit + (length + 7) / 8 < UNITS, ecn, (char)('A' + i % 26));
	}
	for (i = 0; i < end && random_below(64); i++)
		send_fragment(round, i, 8, i + 1 < end, tos, '.');
}

static void read_datagrams(struct round *round, int socket)
{
	struct pollfd ready = { .fd = socket, .events = POLLIN };
	u8 packet[4096];

	while (poll(&ready, 1, REPLY_MS) > 0) {
		ssize_t length = recv(socket, packet, sizeof(packet), 0);

		if (length < (ssize_t)WIRE_IP_BYTES)
			give_up("short datagram");
		note(&round->truth, packet + WIRE_IP_BYTES, (u32)length - WIRE_IP_BYTES);
		if ((packet[4] << 8 | packet[5]) == MARKER_ID)
			return;
	}
	give_up("no marker");
}

/* Returns whether engine and stack agree. */
static bool play(struct round *round, int socket, u32 fragments)
{
	round->engine.length = round->truth.length = round->sent.length = 0;
	round->id = (u16)((round->id + 1) % MARKER_ID);
	send_datagram(round, fragments);
	send_packet(round, MARKER_ID, 0, 0, '#', 1);
	read_datagrams(round, socket);
	return round->engine.length == round->truth.length &&
	       !memcmp(round->engine.bytes, round->truth.bytes, round->truth.length);
}

int main(int argc, char **argv)
{
	static struct round round;
	struct kernort_arena arena = { .base = (u8 *)round.queues };
	u32 rounds, differing = 0, number;
	int server;

	if (argc != 4)
		return 2;
	random_seed(argv[1]);
	rounds = (u32)strtoul(argv[2], NULL, 10);
	kernort_fragments_init(&round.fragments, &arena, QUEUES);
	round.wire = open_wire();
	server = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, PROTOCOL);
	if (server < 0)
		give_up("server");
	for (number = 0; number < rounds; number++) {
		if (play(&round, server, (u32)strtoul(argv[3], NULL, 10)))
			continue;
		printf("round %u: %.*s\n  Linux  %.*s\n  engine %.*s\n", number, (int)round.sent.length, round.sent.bytes,
		       (int)round.truth.length, round.truth.bytes, (int)round.engine.length, round.engine.bytes);
		differing++;
	}
	printf("%u of %u rounds agree\n", rounds - differing, rounds);
	return differing > 0;
}
