// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * The program that this server is for.
 *
 * States: none -> running -> ended (its first process is gone, everything else
 * is killed, what is left in its pipes is still read) -> exit (nothing left).
 * Output is read only while the outbox has room, so a program whose output
 * nobody takes waits, as behind a full pipe.
 */
#include "init.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define PIPE_BYTES (256 * 1024)
/* Output is not read in pieces smaller than this because the outbox is nearly full. */
#define ROOM_BYTES_MIN 4096
/* Pieces read from one stream before anything else has its turn. */
#define READS_IN_TURN 4

/* As a shell has it. */
#define STATUS_NOT_RUNNABLE 126
#define STATUS_NOT_FOUND 127

enum { POLL_SIGNAL, POLL_STDOUT, POLL_STDERR };

struct outbox program_outbox;
static uint8_t buffer[OUTBOX_BYTES];

static bool is_started, has_ended;
static pid_t program_pid;
static struct exit_report program_report;
static int signal_fd = -1;
/* Standard output and error; a terminal is both, and `output_fds[0]`. */
static int output_fds[2] = { -1, -1 };
/* The program's side of the terminal, so that it has a reader's end as long as the program lives. */
static int terminal_fd = -1;

static const char *default_environment[] = {
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	"HOME=/root",
	"ISHARE_OUT=" OUT_DIRECTORY,
};
#define DEFAULTS (sizeof(default_environment) / sizeof(*default_environment))

struct request {
	struct run_request head;
	char *arguments[ARGUMENTS_MAX + 1];
	/* The defaults come last: what was asked for wins. */
	char *environment[ENVIRONMENT_MAX + DEFAULTS + 2];
};
static struct request request;

/* The child's ends of its standard streams. */
struct streams {
	int in, out, err;
};

void program_init(void)
{
	sigset_t set;

	outbox_init(&program_outbox, buffer);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signal_fd < 0)
		die("signals");
}

bool program_is_started(void)
{
	return is_started;
}

static bool is_set(char *const *environment, const char *assignment)
{
	size_t length = strcspn(assignment, "=") + 1;

	for (; *environment; environment++)
		if (!strncmp(*environment, assignment, length))
			return true;
	return false;
}

static void add_default(char **environment, const char *assignment)
{
	if (is_set(environment, assignment))
		return;
	while (*environment)
		environment++;
	environment[0] = (char *)assignment;
	environment[1] = NULL;
}

/* Strings are used where they lie. */
static bool take_strings(const uint8_t **data, const uint8_t *end, char **strings, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		const uint8_t *nul = memchr(*data, '\0', (size_t)(end - *data));

		if (!nul)
			return false;
		strings[i] = (char *)*data;
		*data = nul + 1;
	}
	strings[count] = NULL;
	return true;
}

static bool parse(struct span frame)
{
	const uint8_t *data = frame.data + sizeof(request.head), *end = frame.data + frame.length;

	if (frame.length < sizeof(request.head))
		return false;
	memcpy(&request.head, frame.data, sizeof(request.head));
	if (request.head.arguments < 1 || request.head.arguments > ARGUMENTS_MAX ||
	    request.head.environment > ENVIRONMENT_MAX)
		return false;
	if (!take_strings(&data, end, request.arguments, request.head.arguments) ||
	    !take_strings(&data, end, request.environment, request.head.environment) || data != end)
		return false;
	for (size_t i = 0; i < DEFAULTS; i++)
		add_default(request.environment, default_environment[i]);
	if (request.head.flags & RUN_TERMINAL)
		add_default(request.environment, "TERM=xterm");
	return true;
}

static void close_streams(struct streams *streams)
{
	int *fds[] = { &streams->in, &streams->out, &streams->err };

	for (int i = 0; i < 3; i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

/* One end for us, which does not block, and one for the program, which does. */
static int make_pipe(int *ours, int *theirs, bool is_output)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -1;
	*ours = fds[is_output ? 0 : 1];
	*theirs = fds[is_output ? 1 : 0];
	/* Larger than the default saves switches; the default will do. */
	fcntl(*ours, F_SETPIPE_SZ, PIPE_BYTES);
	return fcntl(*ours, F_SETFL, O_NONBLOCK);
}

static int open_pipes(struct streams *streams, int *input)
{
	if (make_pipe(input, &streams->in, false) < 0 ||
	    make_pipe(&output_fds[0], &streams->out, true) < 0 ||
	    make_pipe(&output_fds[1], &streams->err, true) < 0)
		return -1;
	return 0;
}

static int open_terminal(struct streams *streams, int *input)
{
	struct winsize size = { .ws_col = request.head.columns, .ws_row = request.head.rows };
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	const char *name;

	output_fds[0] = *input = master;
	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0 || !(name = ptsname(master)))
		return -1;
	terminal_fd = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (terminal_fd < 0 || ioctl(master, TIOCSWINSZ, &size) < 0)
		return -1;
	streams->in = fcntl(terminal_fd, F_DUPFD_CLOEXEC, 0);
	streams->out = fcntl(terminal_fd, F_DUPFD_CLOEXEC, 0);
	streams->err = fcntl(terminal_fd, F_DUPFD_CLOEXEC, 0);
	return streams->in < 0 || streams->out < 0 || streams->err < 0 ? -1 : 0;
}

static void reset_process(void)
{
	sigset_t none;
	int fd;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setpriority(PRIO_PROCESS, 0, 0);
	fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, "0\n", 2) < 0)
		report("oom_score_adj: %s", strerror(errno));
}

static void run_child(const struct streams *streams) __attribute__((noreturn));
static void run_child(const struct streams *streams)
{
	const char *name = request.arguments[0];

	setsid();
	if (request.head.flags & RUN_TERMINAL)
		ioctl(streams->in, TIOCSCTTY, 0);
	dup2(streams->in, STDIN_FILENO);
	dup2(streams->out, STDOUT_FILENO);
	dup2(streams->err, STDERR_FILENO);
	reset_process();
	environ = request.environment;
	if (chdir(WORK_DIRECTORY) == 0)
		execvp(name, request.arguments);
	dprintf(STDERR_FILENO, "ishare: %s: %s\n", name, errno == ENOENT ? "not found" : strerror(errno));
	_exit(errno == ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_RUNNABLE);
}

/*
 * Returns when the child has become the program, or failed to: from then on it
 * is its own process group, and signals reach it.
 */
static int start_child(const struct streams *streams)
{
	int started[2];
	char none;

	if (pipe2(started, O_CLOEXEC) < 0)
		return -1;
	program_pid = fork();
	if (program_pid == 0)
		run_child(streams);
	close(started[1]);
	if (program_pid > 0)
		while (read(started[0], &none, 1) < 0 && errno == EINTR)
			;
	close(started[0]);
	return program_pid < 0 ? -1 : 0;
}

/* Nothing runs: say why, as a program would. */
static void fail_start(int error)
{
	size_t room = outbox_room(&program_outbox, 256);
	char *text = (char *)outbox_payload(&program_outbox, room);
	int length = snprintf(text, room, "ishare: cannot start the program: %s\n", strerror(error));

	outbox_commit(&program_outbox, FRAME_STDERR, 0, (size_t)length);
	for (int i = 0; i < 2; i++) {
		if (output_fds[i] >= 0)
			close(output_fds[i]);
		output_fds[i] = -1;
	}
	input_discard();
	has_ended = true;
	program_report = (struct exit_report){ EXIT_KIND_STATUS, STATUS_NOT_RUNNABLE };
}

bool program_run(struct span frame)
{
	struct streams streams = { -1, -1, -1 };
	int input = -1, opened, error = 0;
	bool is_terminal;

	if (!parse(frame))
		return false;
	if (is_started)
		return true;
	is_started = true;
	is_terminal = request.head.flags & RUN_TERMINAL;
	opened = is_terminal ? open_terminal(&streams, &input) : open_pipes(&streams, &input);
	if (opened < 0 || start_child(&streams) < 0)
		error = errno;
	close_streams(&streams);
	if (error == 0) {
		input_open(input, is_terminal);
		return true;
	}
	if (input >= 0 && !is_terminal)
		close(input);
	fail_start(error);
	return true;
}

void program_signal(int number)
{
	if (is_started && !has_ended)
		kill(-program_pid, number);
}

void program_resize(struct terminal_size size)
{
	struct winsize window = { .ws_col = size.columns, .ws_row = size.rows };

	if (terminal_fd >= 0)
		ioctl(terminal_fd, TIOCSWINSZ, &window);
}

/* The server is there for its program: what that leaves behind ends too. */
static void end_program(int status)
{
	has_ended = true;
	if (WIFSIGNALED(status))
		program_report = (struct exit_report){ EXIT_KIND_SIGNAL, (uint8_t)WTERMSIG(status) };
	else
		program_report = (struct exit_report){ EXIT_KIND_STATUS, (uint8_t)WEXITSTATUS(status) };
	kill(-1, SIGKILL);
	input_discard();
	if (terminal_fd >= 0)
		close(terminal_fd);
	terminal_fd = -1;
}

static void reap(void)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	while (read(signal_fd, &info, sizeof(info)) > 0)
		;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (is_started && !has_ended && pid == program_pid)
			end_program(status);
}

/* One piece; true if there may be more at once. */
static bool read_piece(int index)
{
	size_t room = outbox_room(&program_outbox, PIECE_BYTES);
	ssize_t got;

	if (room < ROOM_BYTES_MIN)
		return false;
	got = read(output_fds[index], outbox_payload(&program_outbox, room), room);
	if (got > 0) {
		outbox_commit(&program_outbox, index == 0 ? FRAME_STDOUT : FRAME_STDERR, 0, (size_t)got);
		return (size_t)got == room;
	}
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	/* The end; a terminal says it with EIO. */
	close(output_fds[index]);
	output_fds[index] = -1;
	return false;
}

void program_poll(struct pollfd polls[PROGRAM_POLLS])
{
	bool has_room = outbox_room(&program_outbox, ROOM_BYTES_MIN) == ROOM_BYTES_MIN;

	polls[POLL_SIGNAL] = (struct pollfd){ .fd = signal_fd, .events = POLLIN };
	for (int i = 0; i < 2; i++)
		polls[POLL_STDOUT + i] = (struct pollfd){
			.fd = has_room ? output_fds[i] : -1,
			.events = POLLIN,
		};
}

void program_handle(const struct pollfd polls[PROGRAM_POLLS])
{
	for (int i = 0; i < 2; i++)
		if (polls[POLL_STDOUT + i].revents)
			for (int turn = 0; turn < READS_IN_TURN && read_piece(i); turn++)
				;
	if (polls[POLL_SIGNAL].revents)
		reap();
}

bool program_exit(struct exit_report *result)
{
	*result = program_report;
	return has_ended && output_fds[0] < 0 && output_fds[1] < 0;
}
