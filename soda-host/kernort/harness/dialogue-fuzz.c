// SPDX-License-Identifier: GPL-2.0-only
/*
 * kernort-dialogue-fuzz TARGET SEED ROUNDS [CORPUS [SAVE]]
 *
 * Feeds broken input to each parser of the engine alone. Built with the address and undefined-behaviour sanitizers, which
 * end the program at the first wrong access: status 0 means that nothing was found. An input that takes a new way through
 * the parser is kept and changed further. The same SEED and CORPUS make the same inputs. SAVE: those of the corpus and
 * those kept, without any that add nothing.
 *
 * Targets: `http`, `tls`, `dns-tcp`, `smtp`, `ftp`, `ssh` (an input is pieces of both sides, each with its length and
 * side before it), `dns`, `inflate`.
 */
#include <stdio.h>
#include <stdlib.h>
#include "coverage.h"
#include "document.h"
#include "inflate.h"
#include "memory.h"
#include "mutation.h"

#define INPUT_MAX 4096u
#define POOL_MAX 8192u
#define FROM_SERVER 0x80 /* in the byte before a piece; the rest is its length less one */
#define INFLATED_MAX 2048u

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

static const u8 gzipped[] = { 0x1f, 0x8b, 8,    0,    0,	  0,	0,    0,    0,	  3,	0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0x57,
			      0x28, 0xcf, 0x2f, 0xca, 0x49, 0x51, 0xc8, 0x18, 0x92, 0x0c, 0x00, 0x85, 0x11, 0x4a, 0x0d };

struct target {
	const char *name;
	void (*run)(const struct target *target, const u8 *bytes, u32 length);
	u8 app;
	void (*feed)(struct kernort_document *document, u32 side, const u8 *bytes, u32 length,
		     const struct kernort_reader *reader);
	void (*finish)(struct kernort_document *document, u32 side, const struct kernort_reader *reader);
	struct kernort_slice seeds[2]; /* of the client and the server; of the others one */
};

static struct kernort_document document;
static struct kernort_scratch scratch;

static void run_dialogue(const struct target *target, const u8 *bytes, u32 length)
{
	struct kernort_work work = { .limit = ~0ULL };
	u64 looks = 0;
	struct kernort_reader reader = { .look = ignore_look, .expect = ignore_expect, .context = &looks, .work = &work };
	u32 at = 0, side;

	memset(&document, 0, offsetof(struct kernort_document, messages));
	document.scratch = &scratch;
	document.app = target->app;
	for (side = 0; side < 2; side++)
		memset(&document.messages[side], 0, offsetof(struct kernort_message, head));
	while (at < length) {
		u32 piece = (bytes[at] & (u8)~FROM_SERVER) + 1u;
		u8 *copy;

		side = bytes[at++] & FROM_SERVER ? KERNORT_SERVER : KERNORT_CLIENT;
		piece = piece < length - at ? piece : length - at;
		copy = exact_copy(bytes + at, piece);
		if (piece > 0)
			target->feed(&document, side, copy, piece, &reader);
		free(copy);
		at += piece;
	}
	for (side = 0; side < 2 && target->finish; side++)
		target->finish(&document, side, &reader);
}

static void run_dns(const struct target *target, const u8 *bytes, u32 length)
{
	u8 *copy = exact_copy(bytes, length);

	(void)target;
	kernort_views_clear(&scratch.views);
	kernort_dns_views(&scratch.views, copy, length);
	free(copy);
}

/* The first byte says how much room there is for what comes out. */
static void run_inflate(const struct target *target, const u8 *bytes, u32 length)
{
	u32 room = length > 0 ? bytes[0] * (INFLATED_MAX / 256u) : 0;
	u8 *copy = exact_copy(bytes + (length > 0), length - (length > 0)), *out = malloc(room + 1);

	(void)target;
	if (!out)
		abort();
	kernort_inflate(&scratch.inflate, room & 8 ? KERNORT_CODING_DEFLATE : KERNORT_CODING_GZIP, copy,
			length - (length > 0), out, room);
	free(copy);
	free(out);
}

#define SEED(bytes, left_out) { (const u8 *)(bytes), sizeof(bytes) - (left_out) }
#define DIALOGUE(name, app, feed, finish, client, server, left_out) \
	{ name, run_dialogue, app, feed, finish, { SEED(client, left_out), SEED(server, left_out) } }

static const struct target targets[] = {
	DIALOGUE("http", KERNORT_APP_HTTP, kernort_http_feed, kernort_http_finish, http_request, http_response, 1),
	DIALOGUE("tls", KERNORT_APP_TLS, kernort_tls_feed, NULL, tls_hello, tls_hello, 0),
	DIALOGUE("dns-tcp", KERNORT_APP_DNS, kernort_dns_feed, NULL, dns_stream, dns_stream, 0),
	DIALOGUE("smtp", KERNORT_APP_SMTP, kernort_lines_feed, kernort_lines_finish, smtp_client, smtp_server, 1),
	DIALOGUE("ftp", KERNORT_APP_FTP, kernort_lines_feed, kernort_lines_finish, ftp_client, ftp_server, 1),
	DIALOGUE("ssh", KERNORT_APP_SSH, kernort_lines_feed, kernort_lines_finish, ssh_banner, ssh_banner, 1),
	{ "dns", run_dns, 0, NULL, NULL, { SEED(dns_query, 0) } },
	{ "inflate", run_inflate, 0, NULL, NULL, { SEED(gzipped, 0) } },
};

static struct kernort_slice pool[POOL_MAX];
static u32 pool_count;

static void keep(const u8 *bytes, u32 length)
{
	if (pool_count < POOL_MAX)
		pool[pool_count++] = (struct kernort_slice){ .bytes = exact_copy(bytes, length), .length = length };
}

/* Run an input, and keep it if it takes a new way. */
static void try_input(const struct target *target, const u8 *bytes, u32 length)
{
	coverage_begin();
	target->run(target, bytes, length);
	if (coverage_is_new(true))
		keep(bytes, length);
}

/* The seeds as one input: both sides in turns. */
static void try_seeds(const struct target *target)
{
	u8 bytes[INPUT_MAX];
	u32 used = 0, done[2] = { 0 }, side;

	if (target->run != run_dialogue) {
		bytes[0] = 0xf0;
		memcpy(bytes + 1, target->seeds[0].bytes, target->seeds[0].length);
		try_input(target, bytes, target->seeds[0].length + 1);
		try_input(target, bytes + 1, target->seeds[0].length);
		return;
	}
	while (done[0] < target->seeds[0].length || done[1] < target->seeds[1].length)
		for (side = 0; side < 2; side++) {
			u32 left = target->seeds[side].length - done[side], piece = left < 60 ? left : 60;

			if (piece == 0)
				continue;
			bytes[used++] = (u8)((side ? FROM_SERVER : 0) | (piece - 1));
			memcpy(bytes + used, target->seeds[side].bytes + done[side], piece);
			used += piece;
			done[side] += piece;
		}
	try_input(target, bytes, used);
}

static void try_changed(const struct target *target)
{
	static u8 bytes[INPUT_MAX];
	const struct kernort_slice *first = &pool[random_below(pool_count)], *second = &pool[random_below(pool_count)];
	u32 length = first->length;

	memcpy(bytes, first->bytes, length);
	/* Sometimes the end of another. */
	if (random_below(4) == 0 && length > 0 && second->length > 0) {
		u32 at = random_below(length), from = random_below(second->length), piece = second->length - from;

		piece = piece < INPUT_MAX - at ? piece : INPUT_MAX - at;
		memcpy(bytes + at, second->bytes + from, piece);
		length = at + piece;
	}
	try_input(target, bytes, mutate(bytes, length, INPUT_MAX, 1 + random_below(6)));
}

/* A corpus is inputs, each behind its length in two bytes, little-endian. */
static void read_corpus(const struct target *target, const char *path)
{
	struct memory_file file = { 0 };
	u64 at = 0;

	if (memory_file_open(&file, path))
		return;
	while (at + 2 <= file.length) {
		u32 length = file.bytes[at] | (u32)file.bytes[at + 1] << 8;

		if (length > INPUT_MAX || length > file.length - at - 2)
			return;
		try_input(target, file.bytes + at + 2, length);
		at += 2 + length;
	}
}

static int by_length(const void *a, const void *b)
{
	const struct kernort_slice *first = a, *second = b;

	return first->length < second->length ? -1 : first->length > second->length;
}

static int save_corpus(const struct target *target, const char *path)
{
	FILE *file = fopen(path, "wb");
	u32 i, kept = 0;

	if (!file)
		return 1;
	memset(coverage_seen, 0, sizeof(coverage_seen));
	qsort(pool, pool_count, sizeof(pool[0]), by_length);
	for (i = 0; i < pool_count; i++) {
		const u8 length[2] = { (u8)pool[i].length, (u8)(pool[i].length >> 8) };

		coverage_begin();
		target->run(target, pool[i].bytes, pool[i].length);
		if (!coverage_is_new(false))
			continue;
		fwrite(length, sizeof(length), 1, file);
		fwrite(pool[i].bytes, pool[i].length, 1, file);
		kept++;
	}
	printf("%u of %u inputs saved\n", kept, pool_count);
	return fclose(file) != 0;
}

int main(int argc, char **argv)
{
	const struct target *target = NULL;
	u32 rounds, i;

	for (i = 0; argc >= 4 && i < sizeof(targets) / sizeof(targets[0]); i++)
		if (!strcmp(argv[1], targets[i].name))
			target = &targets[i];
	if (!target) {
		fprintf(stderr, "usage: %s TARGET SEED ROUNDS [CORPUS [SAVE]]\n", argv[0]);
		return 1;
	}
	random_seed(argv[2]);
	rounds = (u32)strtoul(argv[3], NULL, 10);
	try_seeds(target);
	if (argc > 4)
		read_corpus(target, argv[4]);
	for (i = 0; i < rounds; i++)
		try_changed(target);
	printf("%u inputs kept\n", pool_count);
	i = argc > 5 ? (u32)save_corpus(target, argv[5]) : 0;
	while (pool_count > 0)
		free((void *)(uintptr_t)pool[--pool_count].bytes);
	return (int)i;
}
