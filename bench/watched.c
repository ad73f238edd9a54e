// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * What LMbench times of the kernel's own work. The fastest of many batches counts: on a machine that is shared, the
 * others time its neighbours. A batch takes several ticks of the guest's clock: what the guest's kernel does later for what was
 * done now (sealing, writing) is in it. Prints "NAME NS" for each act. The argument is how many batches.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DESCRIPTORS 100
#define MAPPED (1024 * 1024)
#define BATCH_NS 30000000

static const char *self;
static int null_device, pipes[2][2], terminal = -1;
static char *mapped_file;
static fd_set selected;

static long long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void null_call(void) { syscall(SYS_getppid); }

static void null_io(void)
{
	char byte = 0;

	if (write(null_device, &byte, 1) != 1)
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

static void select_all(void)
{
	fd_set set = selected;
	struct timeval none = { 0 };

	if (select(DESCRIPTORS + 20, &set, NULL, NULL, &none) < 0)
		exit(5);
}

static void handler(int signal) { (void)signal; }
static void signal_install(void) { signal(SIGUSR1, handler); }
static void signal_handle(void) { kill(getpid(), SIGUSR1); }

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

/* There and back through another process: two switches. */
static void context_switch(void)
{
	char byte = 0;

	if (write(pipes[0][1], &byte, 1) != 1 || read(pipes[1][0], &byte, 1) != 1)
		exit(7);
}

static void echo(void)
{
	char byte;

	while (read(pipes[0][0], &byte, 1) == 1)
		if (write(pipes[1][1], &byte, 1) != 1)
			_exit(1);
	_exit(0);
}

static void create_delete(void)
{
	int fd = open("/tmp/created", O_WRONLY | O_CREAT, 0600);

	if (fd < 0)
		exit(8);
	close(fd);
	unlink("/tmp/created");
}

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

static const struct {
	const char *name;
	void (*act)(void);
} rows[] = {
	{ "null call", null_call },
	{ "null I/O", null_io },
	{ "stat", stat_file },
	{ "open and close", open_close },
	{ "open and close a watched file", open_watched },
	{ "select on 100", select_all },
	{ "install a signal handler", signal_install },
	{ "handle a signal", signal_handle },
	{ "fork and exit", fork_exit },
	{ "fork and exec", fork_exec },
	{ "fork and sh", fork_sh },
	{ "two context switches", context_switch },
	{ "create and delete a file", create_delete },
	{ "map 1 MiB", map },
	{ "page fault", fault },
	{ "TCP connection", connect_accept },
	{ "line on a terminal", terminal_line },
};

static long long batch_of(void (*act)(void), long rounds)
{
	long long start = now();

	while (rounds--)
		act();
	return now() - start;
}

static long long fastest(void (*act)(void), int batches)
{
	long long best = -1;
	long rounds = 1;

	while (batch_of(act, rounds) < BATCH_NS)
		rounds *= 2;
	while (batches--) {
		long long took = batch_of(act, rounds) / rounds;

		if (best < 0 || took < best)
			best = took;
	}
	return best;
}

static void prepare(void)
{
	int fd, i;

	if (system("mkdir -p /usr/include/x/y && touch /usr/include/x/y/file /etc/shadow"))
		exit(20);
	null_device = open("/dev/null", O_RDWR);
	for (i = 0; i < DESCRIPTORS; i++) {
		fd = dup(null_device);
		FD_SET(fd, &selected);
	}
	fd = open("/tmp/mapped", O_RDWR | O_CREAT, 0600);
	if (fd < 0 || ftruncate(fd, MAPPED) || pipe(pipes[0]) || pipe(pipes[1]))
		exit(21);
	mapped_file = mmap(NULL, MAPPED, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	memset(mapped_file, 1, MAPPED);
	signal_install();
}

int main(int argc, char **argv)
{
	pid_t other;
	size_t i;

	if (argc > 1 && !strcmp(argv[1], "nothing"))
		return 0;
	/* Started by the shell: to end at once. */
	if (argc == 1)
		return 0;
	self = argv[0];
	prepare();
	other = fork();
	if (!other)
		echo();
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		printf("%s %lld\n", rows[i].name, fastest(rows[i].act, atoi(argv[1])));
	kill(other, SIGKILL);
	return 0;
}
