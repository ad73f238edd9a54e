// SPDX-License-Identifier: Apache-2.0 OR MIT
/* What LMbench times of the kernel's own work, on demand (rows.h). */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rows.h"

#define DESCRIPTORS 100
#define MAPPED (1024 * 1024)
#define RING_MAX 16
#define RING_BYTES (64 * 1024)
#define CONTENT_BYTES 10240

static const char *self;
static int null_device, zero_device, terminal = -1;
static char *mapped_file, *guarded_page;
static fd_set selected_files, selected_sockets;
static int descriptors_end;

static void null_call(void) { syscall(SYS_getppid); }

static void null_io(void)
{
	char byte = 0;

	if (write(null_device, &byte, 1) != 1 || read(zero_device, &byte, 1) != 1)
		exit(1);
}

static void stat_file(void)
{
	struct stat facts;

	if (stat("/usr/include/x/y/../y/file", &facts))
		exit(2);
}

static void open_close(void)
{
	int fd = open("/usr/include/x/y/file", O_RDONLY);

	if (fd < 0)
		exit(3);
	close(fd);
}

static void open_watched(void)
{
	int fd = open("/etc/shadow", O_RDONLY);

	if (fd < 0)
		exit(4);
	close(fd);
}

static void select_on(const fd_set *selected)
{
	fd_set set = *selected;
	struct timeval none = { 0 };

	if (select(descriptors_end, &set, NULL, NULL, &none) < 0)
		exit(5);
}

static void select_files(void) { select_on(&selected_files); }
static void select_sockets(void) { select_on(&selected_sockets); }

static void handler(int signal) { (void)signal; }
static void signal_install(void) { signal(SIGUSR1, handler); }
static void signal_handle(void) { kill(getpid(), SIGUSR1); }

static sigjmp_buf before_fault;
static void fault_handler(int signal) { (void)signal; siglongjmp(before_fault, 0); }

static void protection_fault(void)
{
	if (!sigsetjmp(before_fault, 0))
		*(volatile char *)guarded_page = 1;
}

static void reap(pid_t child)
{
	if (child < 0 || waitpid(child, NULL, 0) < 0)
		exit(6);
}

static void fork_exit(void)
{
	pid_t child = fork();

	if (!child)
		_exit(0);
	reap(child);
}

static void fork_exec(void)
{
	pid_t child = fork();

	if (!child) {
		execl(self, self, "nothing", NULL);
		_exit(1);
	}
	reap(child);
}

static void fork_sh(void)
{
	pid_t child = fork();

	if (!child) {
		execl("/bin/sh", "sh", "-c", self, NULL);
		_exit(1);
	}
	reap(child);
}

/*
 * A ring of processes, as lat_ctx has it: a byte goes around through pipes, and each that gets it reads memory of its
 * own. Pipe and memory are not taken off the time.
 */
struct ring {
	int size;
	size_t bytes;
	int into, out;
};

static char ring_memory[RING_BYTES];

static void touch(size_t bytes)
{
	size_t i;
	int sum = 0;

	for (i = 0; i < bytes; i += sizeof(int))
		sum += *(int *)(ring_memory + i);
	*(volatile int *)ring_memory = sum;
}

static void pass_on(int from, int to, size_t bytes)
{
	char byte;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(from, &byte, 1) == 1) {
		touch(bytes);
		if (write(to, &byte, 1) != 1)
			break;
	}
	_exit(0);
}

static void open_ring(struct ring *ring)
{
	int pipes[RING_MAX][2] = { 0 }, i;

	for (i = 0; i < ring->size; i++)
		if (pipe(pipes[i]))
			exit(7);
	for (i = 0; i < ring->size - 1; i++)
		if (!fork()) {
			memset(ring_memory, 1, sizeof(ring_memory));
			pass_on(pipes[i][0], pipes[i + 1][1], ring->bytes);
		}
	ring->into = pipes[0][1];
	ring->out = pipes[ring->size - 1][0];
	for (i = 0; i < ring->size; i++) {
		if (pipes[i][1] != ring->into)
			close(pipes[i][1]);
		if (pipes[i][0] != ring->out)
			close(pipes[i][0]);
	}
}

static void lap(struct ring *ring)
{
	char byte = 0;

	if (!ring->into)
		open_ring(ring);
	touch(ring->bytes);
	if (write(ring->into, &byte, 1) != 1 || read(ring->out, &byte, 1) != 1)
		exit(7);
}

#define RING(processes, kib) \
	static struct ring ring_##processes##_##kib = { processes, kib * 1024, 0, 0 }; \
	static void ring_##processes##p_##kib##k(void) { lap(&ring_##processes##_##kib); }

RING(2, 0)
RING(2, 16)
RING(2, 64)
RING(8, 16)
RING(8, 64)
RING(16, 16)
RING(16, 64)

static void create(size_t bytes)
{
	static const char content[CONTENT_BYTES];
	int fd = open("/tmp/created", O_WRONLY | O_CREAT, 0600);

	if (fd < 0 || write(fd, content, bytes) != (ssize_t)bytes)
		exit(8);
	close(fd);
	unlink("/tmp/created");
}

static void create_delete(void) { create(0); }
static void create_delete_10k(void) { create(CONTENT_BYTES); }

static void map(void)
{
	int fd = open("/tmp/mapped", O_RDONLY);
	char *bytes = mmap(NULL, MAPPED, PROT_READ, MAP_SHARED, fd, 0);

	if (bytes == MAP_FAILED)
		exit(9);
	munmap(bytes, MAPPED);
	close(fd);
}

static void fault(void)
{
	static size_t at;

	if (!at)
		madvise(mapped_file, MAPPED, MADV_DONTNEED);
	*(volatile char *)(mapped_file + at);
	at = (at + 4096) % MAPPED;
}

static void connect_accept(void)
{
	static int server = -1;
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(4000) };
	int client = socket(AF_INET, SOCK_STREAM, 0), accepted;

	inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
	if (server < 0) {
		server = socket(AF_INET, SOCK_STREAM, 0);
		if (bind(server, (void *)&address, sizeof(address)) || listen(server, 10))
			exit(10);
	}
	if (connect(client, (void *)&address, sizeof(address)))
		exit(11);
	accepted = accept(server, NULL, NULL);
	/* Reset, so that no port waits for its end. */
	setsockopt(client, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger));
	close(client);
	close(accepted);
}

static void terminal_line(void)
{
	static const char line[] = "a line of what a program shows on a terminal, as long as most are\n";
	static char back[200];
	static int master;

	if (terminal < 0) {

		master = posix_openpt(O_RDWR | O_NOCTTY);
		if (grantpt(master) || unlockpt(master))
			exit(12);
		terminal = open(ptsname(master), O_RDWR | O_NOCTTY);
	}
	if (write(terminal, line, sizeof(line) - 1) < 0 || read(master, back, sizeof(back)) < 0)
		exit(13);
}

static const struct row rows[] = {
	{ "null call", null_call, 1, NULL },
	{ "null I/O", null_io, 2, NULL },
	{ "stat", stat_file, 1, NULL },
	{ "open and close", open_close, 1, NULL },
	{ "open and close a watched file", open_watched, 1, NULL },
	{ "select on 100 files", select_files, 1, NULL },
	{ "select on 100 TCP sockets", select_sockets, 1, NULL },
	{ "install a signal handler", signal_install, 1, NULL },
	{ "handle a signal", signal_handle, 1, NULL },
	{ "fork and exit", fork_exit, 1, NULL },
	{ "fork and exec", fork_exec, 1, NULL },
	{ "fork and sh", fork_sh, 1, NULL },
	{ "switch, 2p/0K", ring_2p_0k, 2, NULL },
	{ "switch, 2p/16K", ring_2p_16k, 2, NULL },
	{ "switch, 2p/64K", ring_2p_64k, 2, NULL },
	{ "switch, 8p/16K", ring_8p_16k, 8, NULL },
	{ "switch, 8p/64K", ring_8p_64k, 8, NULL },
	{ "switch, 16p/16K", ring_16p_16k, 16, NULL },
	{ "switch, 16p/64K", ring_16p_64k, 16, NULL },
	{ "create and delete a file, 0K", create_delete, 1, NULL },
	{ "create and delete a file, 10K", create_delete_10k, 1, NULL },
	{ "map 1 MiB", map, 1, NULL },
	{ "protection fault", protection_fault, 1, NULL },
	{ "page fault", fault, 1, NULL },
	{ "TCP connection", connect_accept, 1, NULL },
	{ "line on a terminal", terminal_line, 1, NULL },
};

static void select_sockets_of(int server)
{
	struct sockaddr_in address;
	socklen_t size = sizeof(address);
	int i, client;

	getsockname(server, (void *)&address, &size);
	for (i = 0; i < DESCRIPTORS; i++) {
		client = socket(AF_INET, SOCK_STREAM, 0);
		if (connect(client, (void *)&address, size) || accept(server, NULL, NULL) < 0)
			exit(22);
		FD_SET(client, &selected_sockets);
		descriptors_end = client + 1;
	}
}

static void prepare(void)
{
	struct sigaction on_fault = { .sa_handler = fault_handler, .sa_flags = SA_NODEFER };
	int fd, i, server;

	if (system("mkdir -p /usr/include/x/y && touch /usr/include/x/y/file /etc/shadow"))
		exit(20);
	null_device = open("/dev/null", O_RDWR);
	zero_device = open("/dev/zero", O_RDWR);
	for (i = 0; i < DESCRIPTORS; i++)
		FD_SET(dup(null_device), &selected_files);
	server = socket(AF_INET, SOCK_STREAM, 0);
	if (listen(server, DESCRIPTORS))
		exit(21);
	select_sockets_of(server);
	fd = open("/tmp/mapped", O_RDWR | O_CREAT, 0600);
	if (fd < 0 || ftruncate(fd, MAPPED))
		exit(21);
	mapped_file = mmap(NULL, MAPPED, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	memset(mapped_file, 1, MAPPED);
	guarded_page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	signal_install();
	sigaction(SIGSEGV, &on_fault, NULL);
}

int main(int argc, char **argv)
{
	/* Started by a shell, or by exec: to end at once. */
	if (argc != 2 || strcmp(argv[1], "serve"))
		return 0;
	self = argv[0];
	prepare();
	serve_rows(rows, sizeof(rows) / sizeof(rows[0]));
	return 0;
}
