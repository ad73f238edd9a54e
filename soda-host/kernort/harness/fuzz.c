// SPDX-License-Identifier: GPL-2.0-only
/*
 * kernort-fuzz TARGET SEED ROUNDS TABLE PCAP...
 *
 * Feeds broken input to the engine. Built with the address and undefined-behaviour sanitizers, which end the program
 * at the first wrong access: status 0 means that nothing was found. The same SEED makes the same input.
 *
 * Targets: `packets` (decoding, fragments, flows, reassembly, detection: frames of the captures, mutated, doubled,
 * dropped and reordered), `http`, `tls`, `dns`, `dns-tcp`, `smtp`, `ftp`, `ssh`, `inflate` (each parser alone, fed in
 * pieces), `table` (the loader, and the engine with any table that it takes).
 */
#include <stdio.h>
#include <stdlib.h>
#include "capture.h"
#include "document.h"
#include "inflate.h"
#include "kernort_engine.h"
#include "ruleset.h"

#define FRAME_MAX 65536u
#define FRAMES_MAX 20000u
#define TABLE_ROUND_FRAMES 40u

static u64 random_state;

/* xorshift64*; only has to be the same everywhere. */
static u32 random_below(u32 limit)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (u32)((random_state * 0x2545f4914f6cdd1dULL) >> 33) % limit;
}

struct corpus {
	struct capture_frame *frames;
	u32 count;
};

static void read_corpus(struct corpus *corpus, int count, char **paths)
{
	int i;

	corpus->frames = calloc(FRAMES_MAX, sizeof(*corpus->frames));
	corpus->count = 0;
	for (i = 0; corpus->frames && i < count; i++) {
		struct capture capture;

		if (capture_open(&capture, paths[i])) {
			fprintf(stderr, "%s: not a capture\n", paths[i]);
			exit(1);
		}
		while (corpus->count < FRAMES_MAX && capture_next(&capture, &corpus->frames[corpus->count]))
			corpus->count++;
	}
	if (corpus->count == 0) {
		fprintf(stderr, "no frames\n");
		exit(1);
	}
}

/* Change, insert, cut: a few times. Returns the new length. */
static u32 mutate(u8 *bytes, u32 length, u32 room, u32 times)
{
	static const u8 interesting[] = { 0, 1, 0x7f, 0x80, 0xff, '\r', '\n', ' ', '%', ':', 0xc0, 0x40 };

	while (times-- > 0 && length > 0) {
		u32 at = random_below(length);

		switch (random_below(6)) {
		case 0:
			bytes[at] ^= (u8)(1u << random_below(8));
			break;
		case 1:
			bytes[at] = interesting[random_below(sizeof(interesting))];
			break;
		case 2:
			bytes[at] = (u8)random_below(256);
			break;
		case 3:
			length = random_below(8) ? length : at;
			break;
		case 4: {
			u32 piece = 1 + random_below(8);

			if (length + piece > room)
				break;
			memmove(bytes + at + piece, bytes + at, length - at);
			length += piece;
			break;
		}
		default: {
			u32 other = random_below(length), piece = 1 + random_below(16);

			if (at + piece <= length && other + piece <= length)
				memmove(bytes + at, bytes + other, piece);
		}
		}
	}
	return length;
}

/* A copy of exactly the length, so that the sanitizer sees any read beyond it. */
static u8 *exact_copy(const u8 *bytes, u32 length)
{
	u8 *copy = malloc(length ? length : 1);

	if (!copy)
		abort();
	memcpy(copy, bytes, length);
	return copy;
}

static void ignore_alert(void *context, const struct kernort_detection *alert)
{
	(void)alert;
	++*(u64 *)context;
}

/* Small on purpose: every pool runs out, everything is evicted. */
static const struct kernort_engine_config small_config = {
	.flows = 16,
	.windows = 8,
	.window_bytes = 4096,
	.segments = 24,
	.fragment_queues = 4,
	.tracks = 32,
	.documents = 3,
	.hash_key = { 1, 2 },
};

static struct kernort_engine *new_engine(const struct kernort_ruleset *rules, u64 *alerts, void **memory)
{
	struct kernort_engine_config config = small_config;
	struct kernort_sink sink = { .alert = ignore_alert, .context = alerts };
	u64 size;

	config.picks_up_midstream = random_below(2);
	size = kernort_engine_size(&config, rules);
	*memory = calloc(1, size);
	if (!*memory)
		abort();
	return kernort_engine_init(*memory, size, &config, rules, sink);
}

static void feed_frame(struct kernort_engine *engine, const struct capture_frame *frame, u32 mutations, u64 time_us)
{
	static u8 bytes[FRAME_MAX];
	u32 length = frame->length < FRAME_MAX ? frame->length : FRAME_MAX;
	u8 *copy;

	memcpy(bytes, frame->bytes, length);
	length = mutate(bytes, length, FRAME_MAX, mutations);
	copy = exact_copy(bytes, length);
	kernort_engine_packet(engine, frame->link_type, copy, length, time_us, random_below(2));
	free(copy);
}

static void fuzz_packets(const struct corpus *corpus, const struct kernort_ruleset *rules, u32 rounds)
{
	u64 alerts = 0, time_us = 0;
	u32 round, at = 0;
	void *memory;
	struct kernort_engine *engine = new_engine(rules, &alerts, &memory);

	for (round = 0; round < rounds; round++) {
		const struct capture_frame *frame = &corpus->frames[at];

		if (round % 4096 == 4095) {
			kernort_engine_finish(engine, time_us);
			free(memory);
			engine = new_engine(rules, &alerts, &memory);
		}
		time_us += random_below(1000) ? random_below(5000) : 40000000;
		feed_frame(engine, frame, random_below(3) ? 0 : 1 + random_below(4), time_us);
		/* Mostly in order, so that connections open; sometimes again, earlier or somewhere else. */
		at = random_below(16) ? at + 1 : random_below(2) ? at : random_below(corpus->count);
		at %= corpus->count;
	}
	kernort_engine_finish(engine, time_us);
	free(memory);
}

static void ignore_look(void *context, struct kernort_document *document, u32 side)
{
	volatile u8 touched = 0;
	const struct kernort_views *views = &document->scratch->views;
	u32 i;

	(void)side;
	for (i = 0; i < KERNORT_BUFFER_COUNT; i++)
		if (views->single[i].bytes && views->single[i].length)
			touched += views->single[i].bytes[0] + views->single[i].bytes[views->single[i].length - 1];
	for (i = 0; i < views->instance_count; i++)
		if (views->instances[i].slice.length)
			touched += views->instances[i].slice.bytes[views->instances[i].slice.length - 1];
	++*(u64 *)context;
}

static void ignore_expect(void *context, u32 side, u16 port)
{
	*(u64 *)context += side + port;
}

static const char http_request[] =
	"POST /a/./b/../c%20d//e\\f?q=1%41 HTTP/1.1\r\nHost: Example.com:80\r\nCookie: a=b\r\nX: y\r\n z\r\n"
	"Transfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nTrailer: 1\r\n\r\nGET / HTTP/1.0\r\n\r\n";
static const char http_response[] =
	"HTTP/1.1 200 OK\r\nContent-Encoding: gzip, deflate\r\nContent-Length: 40\r\nSet-Cookie: c=d\r\n\r\n"
	"\x1f\x8b\x08\x08\0\0\0\0\0\x03name\0\xcb\x48\xcd\xc9\xc9\x57\x28\xcf\x2f\xca\x49\x01\0\x85\x11\x4a\x0d\x0b\0\0\0"
	"HTTP/1.1 304 Not Modified\r\n\r\nHTTP/1.1 200 ok\rServer: x\r\n\n9\nbody";
static const u8 tls_hello[] = {
	22, 3, 1, 0, 69, 1, 0, 0, 65, 3, 3, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
	22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 0, 0, 2, 0x13, 1, 1, 0, 0, 22, 0, 0, 0, 18, 0, 16, 0, 0, 13, 'w', 'w', 'w',
	'.', 'e', 'x', 'a', 'm', 'p', 'l', 'e', '.', 'd',
};
static const u8 dns_query[] = { 0, 1, 1, 0, 0, 2, 0, 0, 0, 0, 0, 0, 3, 'w', 'w', 'w', 7, 'e', 'x', 'a', 'm', 'p', 'l', 'e',
				3, 'c', 'o', 'm', 0, 0, 1, 0, 1, 1, 'a', 0xc0, 16, 0, 1, 0, 1 };
/* Two messages, each behind its length. */
static const u8 dns_stream[] = { 0, 29, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, 'w', 'w', 'w', 7, 'e', 'x', 'a', 'm', 'p', 'l', 'e', 0, 0, 1, 0, 1,
				 0, 18, 0, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'a', 0, 0, 1, 0, 1 };

static const char smtp_client[] =
	"EHLO a.example\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nBDAT 233 LAST\r\n"
	"Content-Type: multipart/mixed;\r\n boundary=\"one\"\r\n\r\n--one\r\nContent-Transfer-Encoding: base64\r\n\r\n"
	"aGVsbG8=\r\n--one\r\nContent-Type: message/rfc822\r\n\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
	"a=3D=\r\nb\r\n--one--\r\nRSET\r\nDATA\r\nSubject: x\r\n\r\n..\r\n.\r\nDATA\r\n";
static const char smtp_server[] = "220 x\r\n250-a\r\n250 b\r\n354 go\r\n";
static const char ftp_client[] = "USER a\r\nPORT 10,0,0,1,4,5\r\nEPRT |1|10.0.0.1|99|\r\nAUTH TLS\r\nRETR a b\r\n";
static const char ftp_server[] = "220 x\r\n227 ok (10,0,0,2,31,64)\r\n229 ok (|||8000|)\r\n234 go\r\n";
static const char ssh_banner[] = "hello\r\nSSH-2.0-OpenSSH_9.2 Debian\r\n";

/* A protocol's parser, and a good conversation's two sides to begin from. */
struct protocol {
	const char *name;
	u8 app;
	void (*feed)(struct kernort_document *document, u32 side, const u8 *bytes, u32 length,
		     const struct kernort_reader *reader);
	void (*finish)(struct kernort_document *document, u32 side, const struct kernort_reader *reader);
	struct kernort_slice seeds[2];
};

#define SEED(bytes, left_out) { (const u8 *)(bytes), sizeof(bytes) - (left_out) }

static const struct protocol protocols[] = {
	{ "http", KERNORT_APP_HTTP, kernort_http_feed, kernort_http_finish, { SEED(http_request, 1), SEED(http_response, 1) } },
	{ "tls", KERNORT_APP_TLS, kernort_tls_feed, NULL, { SEED(tls_hello, 0), SEED(tls_hello, 0) } },
	{ "dns-tcp", KERNORT_APP_DNS, kernort_dns_feed, NULL, { SEED(dns_stream, 0), SEED(dns_stream, 0) } },
	{ "smtp", KERNORT_APP_SMTP, kernort_lines_feed, kernort_lines_finish, { SEED(smtp_client, 1), SEED(smtp_server, 1) } },
	{ "ftp", KERNORT_APP_FTP, kernort_lines_feed, kernort_lines_finish, { SEED(ftp_client, 1), SEED(ftp_server, 1) } },
	{ "ssh", KERNORT_APP_SSH, kernort_lines_feed, kernort_lines_finish, { SEED(ssh_banner, 1), SEED(ssh_banner, 1) } },
};

static void feed_pieces(struct kernort_document *document, u32 side, const u8 *bytes, u32 length,
			const struct protocol *protocol, u64 *looks)
{
	struct kernort_work work = { .limit = ~0ULL };
	struct kernort_reader reader = { .look = ignore_look, .expect = ignore_expect, .context = looks, .work = &work };

	while (length > 0) {
		u32 piece = 1 + random_below(length);
		u8 *copy = exact_copy(bytes, piece);

		protocol->feed(document, side, copy, piece, &reader);
		free(copy);
		bytes += piece;
		length -= piece;
	}
}

static void fuzz_conversation(u32 rounds, const struct protocol *protocol)
{
	struct kernort_document *document = calloc(1, sizeof(*document));
	struct kernort_scratch *scratch = calloc(1, sizeof(*scratch));
	struct kernort_work work = { .limit = ~0ULL };
	struct kernort_reader reader = { .look = ignore_look, .expect = ignore_expect, .work = &work };
	u8 bytes[4096];
	u64 looks = 0;
	u32 round;

	if (!document || !scratch)
		abort();
	document->scratch = scratch;
	document->app = protocol->app;
	reader.context = &looks;
	for (round = 0; round < rounds; round++) {
		u32 side = random_below(2), length;

		length = protocol->seeds[side].length;
		memcpy(bytes, protocol->seeds[side].bytes, length);
		length = mutate(bytes, length, sizeof(bytes), 1 + random_below(6));
		feed_pieces(document, side, bytes, length, protocol, &looks);
		if (random_below(4) == 0) {
			if (protocol->finish)
				protocol->finish(document, side, &reader);
			memset(document->messages, 0, sizeof(document->messages));
		}
	}
	free(scratch);
	free(document);
}

static void fuzz_dns(u32 rounds)
{
	struct kernort_views *views = calloc(1, sizeof(*views));
	u8 bytes[512];
	u32 round;

	if (!views)
		abort();
	for (round = 0; round < rounds; round++) {
		u32 length = sizeof(dns_query);
		u8 *copy;

		memcpy(bytes, dns_query, length);
		length = mutate(bytes, length, sizeof(bytes), 1 + random_below(6));
		copy = exact_copy(bytes, length);
		kernort_views_clear(views);
		kernort_dns_views(views, copy, length);
		free(copy);
	}
	free(views);
}

static void fuzz_inflate(u32 rounds)
{
	static struct kernort_inflate_work work;
	static const u8 seed[] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0x57, 0x28, 0xcf, 0x2f, 0xca,
				   0x49, 0x51, 0xc8, 0x18, 0x92, 0x0c, 0x00, 0x85, 0x11, 0x4a, 0x0d };
	u8 bytes[256];
	u32 round;

	for (round = 0; round < rounds; round++) {
		u32 length = sizeof(seed), room = random_below(2048), skip = random_below(2) ? 10 : 0;
		u8 *copy, *out = malloc(room + 1);

		if (!out)
			abort();
		memcpy(bytes, seed, length);
		length = mutate(bytes, length, sizeof(bytes), 1 + random_below(8));
		skip = skip < length ? skip : 0;
		copy = exact_copy(bytes + skip, length - skip);
		kernort_inflate(&work, skip ? KERNORT_CODING_DEFLATE : KERNORT_CODING_GZIP, copy, length - skip, out, room);
		free(copy);
		free(out);
	}
}

static void fuzz_table(const struct corpus *corpus, const struct memory_file *table, u32 rounds)
{
	u32 round, i, size = (u32)table->length, taken = 0;
	u64 alerts = 0;

	for (round = 0; round < rounds; round++) {
		struct kernort_ruleset rules;
		struct kernort_engine *engine;
		const char *where;
		void *memory;
		u8 *copy = aligned_alloc(KERNORT_RULESET_ALIGN, (size + 15) & ~15u);

		if (!copy)
			abort();
		memcpy(copy, table->bytes, size);
		for (i = 1 + random_below(3); i > 0; i--) {
			u32 at = random_below(random_below(4) ? size : sizeof(struct kernort_ruleset_header));

			copy[at] = random_below(2) ? (u8)random_below(256) : copy[at] ^ (u8)(1u << random_below(8));
		}
		if (!kernort_ruleset_open(&rules, copy, size, &where)) {
			taken++;
			engine = new_engine(&rules, &alerts, &memory);
			for (i = 0; i < TABLE_ROUND_FRAMES; i++)
				feed_frame(engine, &corpus->frames[(round * 7 + i) % corpus->count], 0, i);
			kernort_engine_finish(engine, i);
			free(memory);
		}
		free(copy);
	}
	printf("%u of %u tables taken\n", taken, rounds);
}

int main(int argc, char **argv)
{
	struct kernort_ruleset rules;
	struct memory_file table = { 0 };
	struct corpus corpus;
	const char *where = "";
	u32 rounds, i;

	if (argc < 6) {
		fprintf(stderr, "usage: %s TARGET SEED ROUNDS TABLE PCAP...\n", argv[0]);
		return 1;
	}
	random_state = strtoull(argv[2], NULL, 10) * 2654435761u + 1;
	rounds = (u32)strtoul(argv[3], NULL, 10);
	if (memory_file_open(&table, argv[4]) || kernort_ruleset_open(&rules, table.bytes, (u32)table.length, &where)) {
		fprintf(stderr, "%s: not a rule table: %s\n", argv[4], where);
		return 1;
	}
	read_corpus(&corpus, argc - 5, argv + 5);
	for (i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++)
		if (!strcmp(argv[1], protocols[i].name)) {
			fuzz_conversation(rounds, &protocols[i]);
			goto done;
		}
	if (!strcmp(argv[1], "packets"))
		fuzz_packets(&corpus, &rules, rounds);
	else if (!strcmp(argv[1], "dns"))
		fuzz_dns(rounds);
	else if (!strcmp(argv[1], "inflate"))
		fuzz_inflate(rounds);
	else if (!strcmp(argv[1], "table"))
		fuzz_table(&corpus, &table, rounds);
	else
		return 1;
done:
	free(corpus.frames);
	return 0;
}
