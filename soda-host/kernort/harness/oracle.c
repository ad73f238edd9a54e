// SPDX-License-Identifier: GPL-2.0-only
/*
 * kernort-oracle SEED ROUNDS SEGMENTS
 *
 * A real Linux stack as the judge. In a network namespace of its own, with a TUN device for a wire, a server socket
 * reads what random TCP segments (overlapping, repeated with other content, out of order) make; the same segments go
 * through the engine's stream tracker, which must have read the same bytes. Needs CAP_SYS_ADMIN and /dev/net/tun.
 * Up to SEGMENTS random ones a round. Status 0: all rounds agree; 1: some do not, each with its bytes; 2: the
 * namespace cannot be made.
 */
#define _GNU_SOURCE
#include <poll.h>
#include "stream.h"
#include "wire.h"

#define STREAM_BYTES 64u
#define POOL 256u
#define SERVER_PORT 7
#define REPLY_MS 2000

static int open_server(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(SERVER_PORT) };
	int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(&at.sin_addr, wire_server, 4);
	if (server < 0 || bind(server, (struct sockaddr *)&at, sizeof(at)) || listen(server, 8))
		give_up("server");
	return server;
}

struct round {
	int wire;
	u16 port;
	u32 client_next, server_next;
	struct kernort_streams streams;
	struct kernort_flow flow;
	struct kernort_counters counters;
	struct kernort_segment pool[POOL];
	u8 read[STREAM_BYTES * 4];
	u32 length;
};

static void note(void *context, struct kernort_flow *flow, u32 side, const u8 *bytes, u32 length)
{
	struct round *round = context;

	(void)flow;
	if (side != KERNORT_CLIENT || length > sizeof(round->read) - round->length)
		return;
	memcpy(round->read + round->length, bytes, length);
	round->length += length;
}

static void show_engine(struct round *round, u8 *bytes, u32 length, u32 side)
{
	struct kernort_packet packet = { 0 };

	if (kernort_decode_ip(&packet, bytes, length, false) || packet.ip_protocol != KERNORT_PROTO_TCP)
		return;
	kernort_stream_segment(&round->streams, &round->flow, side, &packet);
}

static void send_segment(struct round *round, u8 flags, u32 seq, u32 ack, const u8 *data, u32 length)
{
	u8 packet[40 + STREAM_BYTES] = { 0 };
	u8 *tcp = packet + 20;
	u32 total = 40 + length, pseudo = KERNORT_PROTO_TCP + 20 + length, i;

	put_ip(packet, total, KERNORT_PROTO_TCP, 0, 0, 0);
	put16(tcp, round->port);
	put16(tcp + 2, SERVER_PORT);
	put32(tcp + 4, seq);
	put32(tcp + 8, ack);
	tcp[12] = 0x50;
	tcp[13] = flags;
	put16(tcp + 14, 60000);
	memcpy(tcp + 20, data, length);
	for (i = 12; i < 20; i += 2)
		pseudo += (u32)(packet[i] << 8 | packet[i + 1]);
	put16(tcp + 16, checksum(pseudo, tcp, 20 + length));
	show_engine(round, packet, total, KERNORT_CLIENT);
	if (write(round->wire, packet, total) != (ssize_t)total)
		give_up("wire");
}

/* Read what the stack sends, show it to the engine, until @wanted comes (in flags). */
static void await_reply(struct round *round, u8 wanted)
{
	struct pollfd ready = { .fd = round->wire, .events = POLLIN };
	u8 packet[2048];

	while (poll(&ready, 1, REPLY_MS) > 0) {
		ssize_t length = read(round->wire, packet, sizeof(packet));

		if (length < 40 || packet[0] != 0x45 || packet[9] != KERNORT_PROTO_TCP ||
		    (packet[22] << 8 | packet[23]) != round->port)
			continue;
		show_engine(round, packet, (u32)length, KERNORT_SERVER);
		round->server_next = ((u32)packet[24] << 24 | (u32)packet[25] << 16 | (u32)packet[26] << 8 | packet[27]) + 1;
		if ((packet[33] & wanted) == wanted)
			return;
	}
	give_up("no reply");
}

static void begin_round(struct round *round, int wire, u32 number)
{
	struct kernort_arena arena = { .base = (u8 *)round->pool };
	u32 side;

	memset(round, 0, sizeof(*round));
	round->wire = wire;
	round->port = (u16)(1024 + number % 60000);
	kernort_streams_init(&round->streams, &arena, POOL);
	round->streams.counters = &round->counters;
	round->streams.deliver = note;
	round->streams.context = round;
	for (side = 0; side < 2; side++) {
		round->flow.sides[side].segments = KERNORT_NO_INDEX;
		round->flow.sides[side].window_scale = 0xff;
	}
	round->client_next = random_below(2) ? 0xffffffe0 : random_below(0x7fffffff);
	send_segment(round, KERNORT_TCP_SYN, round->client_next, 0, NULL, 0);
	await_reply(round, KERNORT_TCP_SYN | KERNORT_TCP_ACK);
	round->client_next++;
	send_segment(round, KERNORT_TCP_ACK, round->client_next, round->server_next, NULL, 0);
}

/*
 * Up to @segments random ones, none at the very beginning until the end; then, in order, what fills every gap. Each
 * segment has content of its own, so that it shows which of them was read.
 */
static void send_stream(struct round *round, u32 segments)
{
	u8 data[STREAM_BYTES];
	u32 count = 1 + random_below(segments), i;

	for (i = 0; i < count; i++) {
		u32 start = random_below(4) ? 1 + random_below(STREAM_BYTES - 2) : random_below(8), length = 1 + random_below(16);

		if (length > STREAM_BYTES - start)
			length = STREAM_BYTES - start;
		memset(data, 'A' + (int)i, length);
		send_segment(round, KERNORT_TCP_ACK, round->client_next + start, round->server_next, data, length);
	}
	for (i = 0; i < STREAM_BYTES; i++) {
		data[0] = '.';
		send_segment(round, KERNORT_TCP_ACK, round->client_next + i, round->server_next, data, 1);
	}
	send_segment(round, KERNORT_TCP_ACK | KERNORT_TCP_FIN, round->client_next + STREAM_BYTES, round->server_next, NULL, 0);
}

static u32 read_stream(int server, u8 *bytes, u32 room)
{
	struct pollfd ready = { .fd = server, .events = POLLIN };
	struct linger at_once = { .l_onoff = 1 };
	ssize_t got;
	u32 length = 0;
	int connection;

	if (poll(&ready, 1, REPLY_MS) <= 0)
		give_up("no connection");
	connection = accept4(server, NULL, NULL, SOCK_CLOEXEC);
	ready.fd = connection;
	while (length < room && poll(&ready, 1, REPLY_MS) > 0) {
		got = read(connection, bytes + length, room - length);
		if (got <= 0)
			break;
		length += (u32)got;
	}
	setsockopt(connection, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(connection);
	return length;
}

int main(int argc, char **argv)
{
	static struct round round;
	u8 truth[STREAM_BYTES * 4];
	u32 rounds, segments, differing = 0, number, length;
	int wire, server;

	if (argc != 4)
		return 2;
	random_seed(argv[1]);
	rounds = (u32)strtoul(argv[2], NULL, 10);
	segments = (u32)strtoul(argv[3], NULL, 10);
	if (segments == 0)
		return 2;
	wire = open_wire();
	server = open_server();
	for (number = 0; number < rounds; number++) {
		begin_round(&round, wire, number);
		send_stream(&round, segments);
		length = read_stream(server, truth, sizeof(truth));
		if (length == round.length && !memcmp(truth, round.read, length))
			continue;
		printf("round %u: Linux  %.*s\nround %u: engine %.*s\n", number, (int)length, truth, number,
		       (int)round.length, round.read);
		differing++;
	}
	printf("%u of %u rounds agree\n", rounds - differing, rounds);
	return differing > 0;
}
