// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * TCP by the size of what is handed over at once.
 *   wire serve PORT             the other end, until it is ended
 *   wire drive ADDRESS PORT     acts on demand (rows.h): messages one way, and there and back
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rows.h"

#define MESSAGE_MAX (256 * 1024)

static char message[MESSAGE_MAX];
static struct sockaddr_in peer = { .sin_family = AF_INET };

static int read_all(int fd, void *into, size_t size)
{
	ssize_t got;

	for (; size; into = (char *)into + got, size -= got)
		if ((got = read(fd, into, size)) <= 0)
			return -1;
	return 0;
}

static void write_all(int fd, const void *from, size_t size)
{
	ssize_t put;

	for (; size; from = (const char *)from + put, size -= put)
		if ((put = write(fd, from, size)) <= 0)
			exit(1);
}

/* What a connection begins with: the size of messages that come back at once, or 0. */
static void answer(int fd)
{
	uint32_t echoed;

	if (read_all(fd, &echoed, sizeof(echoed)))
		exit(0);
	while (echoed) {
		if (read_all(fd, message, echoed))
			exit(0);
		write_all(fd, message, echoed);
	}
	for (;;) {
		ssize_t got = read(fd, message, sizeof(message));

		if (got <= 0)
			exit(0);
		/* The last byte of a round. */
		if (message[got - 1])
			write_all(fd, message + got - 1, 1);
	}
}

static void serve(int port)
{
	int server = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	peer.sin_port = htons(port);
	setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(server, (void *)&peer, sizeof(peer)) || listen(server, 100))
		exit(2);
	signal(SIGCHLD, SIG_IGN);
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		int client = accept(server, NULL, NULL);

		setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		if (!fork())
			answer(client);
		close(client);
	}
}

static int connected(uint32_t echoed)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	if (connect(fd, (void *)&peer, sizeof(peer)))
		exit(3);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	write_all(fd, &echoed, sizeof(echoed));
	return fd;
}

static int one_way;

static void send_of(size_t size)
{
	if (!one_way)
		one_way = connected(0);
	write_all(one_way, message, size);
}

/* Until the other end has it all. */
static void arrived(void)
{
	char last = 1;

	write_all(one_way, &last, 1);
	if (read_all(one_way, &last, 1))
		exit(4);
}

static void there_and_back(int *fd, size_t size)
{
	if (!*fd)
		*fd = connected(size);
	write_all(*fd, message, size);
	if (read_all(*fd, message, size))
		exit(5);
}

#define SIZE(bytes) \
	static int echo_##bytes; \
	static void send_##bytes(void) { send_of(bytes); } \
	static void ask_##bytes(void) { there_and_back(&echo_##bytes, bytes); }

SIZE(64)
SIZE(256)
SIZE(1024)
SIZE(4096)
SIZE(16384)
SIZE(65536)
SIZE(262144)

#define ROWS(bytes) { "one way, " #bytes, send_##bytes, 1, arrived }, { "there and back, " #bytes, ask_##bytes, 1, NULL }

static const struct row rows[] = { ROWS(64),	ROWS(256),   ROWS(1024),  ROWS(4096),
				   ROWS(16384), ROWS(65536), ROWS(262144) };

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "serve"))
		serve(atoi(argv[2]));
	if (argc != 4 || strcmp(argv[1], "drive"))
		return 64;
	peer.sin_port = htons(atoi(argv[3]));
	if (inet_pton(AF_INET, argv[2], &peer.sin_addr) != 1)
		return 64;
	serve_rows(rows, sizeof(rows) / sizeof(rows[0]));
	return 0;
}
