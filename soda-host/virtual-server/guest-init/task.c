// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * A program with its standard streams: the one that the server is for, or one
 * of a session.
 *
 * States: none -> running -> ended (its first process is gone, what is left in
 * its pipes is still read) -> done (nothing left). Output is read only while
 * the outbox has room, so a program whose output nobody takes waits, as behind
 * a full pipe.
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
#include <sys/wait.h>
#include <unistd.h>

#define PIPE_BYTES (256 * 1024)
/* Both pipes, full. */
#define LAST_WORDS_MAX (2 * PIPE_BYTES)
/* Output is not read in pieces smaller than this because the outbox is nearly full. */
#define ROOM_BYTES_MIN 4096
/* Pieces read from one stream before anything else has its turn. */
#define READS_IN_TURN 4

/* As a shell has it. */
#define STATUS_NOT_RUNNABLE 126
#define STATUS_NOT_FOUND 127

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
/* Of the program that is being started. */
static struct request request;

/* The child's ends of its standard streams. */
struct streams {
	int in, out, err;
};

void task_init(struct task *task, const struct task_memory *memory)
{
	uint64_t sequence = task->sequence;

	memset(task, 0, sizeof(*task));
	task->sequence = sequence;
	task->stdout_type = memory->stdout_type;
	task->output_fds[0] = task->output_fds[1] = task->terminal_fd = -1;
	outbox_init(&task->outbox, memory->output, memory->window);
	input_init(&task->input, memory->input, memory->window);
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

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void close_streams(struct streams *streams)
{
	close_fd(&streams->in);
	close_fd(&streams->out);
	close_fd(&streams->err);
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

static int open_pipes(struct task *task, struct streams *streams, int *input)
{
	if (make_pipe(input, &streams->in, false) < 0 ||
	    make_pipe(&task->output_fds[0], &streams->out, true) < 0 ||
	    make_pipe(&task->output_fds[1], &streams->err, true) < 0)
		return -1;
	return 0;
}

static int open_terminal(struct task *task, struct streams *streams, int *input)
{
	struct winsize size = { .ws_col = request.head.columns, .ws_row = request.head.rows };
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	const char *name;

	task->output_fds[0] = *input = master;
	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0 || !(name = ptsname(master)))
		return -1;
	task->terminal_fd = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (task->terminal_fd < 0 || ioctl(master, TIOCSWINSZ, &size) < 0)
		return -1;
	streams->in = fcntl(task->terminal_fd, F_DUPFD_CLOEXEC, 0);
	streams->out = fcntl(task->terminal_fd, F_DUPFD_CLOEXEC, 0);
	streams->err = fcntl(task->terminal_fd, F_DUPFD_CLOEXEC, 0);
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
static int start_child(struct task *task, const struct streams *streams)
{
	int started[2];
	char none;

	if (pipe2(started, O_CLOEXEC) < 0)
		return -1;
	task->pid = fork();
	if (task->pid == 0)
		run_child(streams);
	close(started[1]);
	if (task->pid > 0)
		while (read(started[0], &none, 1) < 0 && errno == EINTR)
			;
	close(started[0]);
	return task->pid < 0 ? -1 : 0;
}

/* Nothing runs: say why, as a program would. */
static void fail_start(struct task *task, int error)
{
	size_t room = outbox_room(&task->outbox, 256);
	char *text = (char *)outbox_payload(&task->outbox, room);
	int length = snprintf(text, room, "ishare: cannot start the program: %s\n", strerror(error));

	outbox_commit(&task->outbox, task->stdout_type + 1, task->sequence, (size_t)length);
	close_fd(&task->output_fds[0]);
	close_fd(&task->output_fds[1]);
	close_fd(&task->terminal_fd);
	input_discard(&task->input);
	task->has_ended = true;
	task->report = (struct exit_report){ EXIT_KIND_STATUS, STATUS_NOT_RUNNABLE };
}

bool task_run(struct task *task, struct span frame)
{
	struct streams streams = { -1, -1, -1 };
	int input = -1, opened, error = 0;
	bool is_terminal;

	if (!parse(frame))
		return false;
	if (task->is_started)
		return true;
	task->is_started = true;
	is_terminal = request.head.flags & RUN_TERMINAL;
	opened = is_terminal ? open_terminal(task, &streams, &input) : open_pipes(task, &streams, &input);
	if (opened < 0 || start_child(task, &streams) < 0)
		error = errno;
	close_streams(&streams);
	if (error == 0) {
		input_open(&task->input, input, is_terminal);
		return true;
	}
	if (input >= 0 && !is_terminal)
		close(input);
	fail_start(task, error);
	return true;
}

bool task_is_running(const struct task *task)
{
	return task->is_started && !task->has_ended;
}

void task_signal(const struct task *task, int number)
{
	if (task_is_running(task))
		kill(-task->pid, number);
}

void task_resize(const struct task *task, struct terminal_size size)
{
	struct winsize window = { .ws_col = size.columns, .ws_row = size.rows };

	if (task->terminal_fd >= 0)
		ioctl(task->terminal_fd, TIOCSWINSZ, &window);
}

void task_ended(struct task *task, int status)
{
	task->has_ended = true;
	if (WIFSIGNALED(status))
		task->report = (struct exit_report){ EXIT_KIND_SIGNAL, (uint8_t)WTERMSIG(status) };
	else
		task->report = (struct exit_report){ EXIT_KIND_STATUS, (uint8_t)WEXITSTATUS(status) };
	input_discard(&task->input);
	close_fd(&task->terminal_fd);
}

void task_close(struct task *task)
{
	close_fd(&task->output_fds[0]);
	close_fd(&task->output_fds[1]);
}

/* What came of an attempt to read: a full piece, less than asked for, nothing now, or no room for it. */
enum reading { FULL, SHORT, NOTHING, NO_ROOM };

static enum reading read_piece(struct task *task, int index)
{
	size_t room = outbox_room(&task->outbox, PIECE_BYTES);
	ssize_t got;

	if (room < ROOM_BYTES_MIN)
		return NO_ROOM;
	got = read(task->output_fds[index], outbox_payload(&task->outbox, room), room);
	if (got > 0) {
		outbox_commit(&task->outbox, task->stdout_type + (unsigned int)index, task->sequence, (size_t)got);
		if (task->has_ended)
			task->last_words += (size_t)got;
		return (size_t)got == room ? FULL : SHORT;
	}
	if (got < 0 && errno == EINTR)
		return SHORT;
	/* The end; a terminal says it with EIO. */
	if (got == 0 || errno != EAGAIN)
		close_fd(&task->output_fds[index]);
	return NOTHING;
}

static bool has_room(const struct task *task)
{
	return outbox_room(&task->outbox, ROOM_BYTES_MIN) == ROOM_BYTES_MIN;
}

void task_poll(const struct task *task, struct pollfd polls[TASK_POLLS])
{
	bool is_wanted = has_room(task);

	input_poll(&task->input, &polls[POLL_INPUT]);
	for (int i = 0; i < 2; i++)
		polls[POLL_STDOUT + i] = (struct pollfd){
			.fd = is_wanted ? task->output_fds[i] : -1,
			.events = POLLIN,
		};
}

void task_handle(struct task *task, const struct pollfd polls[TASK_POLLS])
{
	if (polls[POLL_INPUT].revents)
		input_handle(&task->input);
	for (int i = 0; i < 2; i++)
		if (polls[POLL_STDOUT + i].revents)
			for (int turn = 0; turn < READS_IN_TURN && read_piece(task, i) == FULL; turn++)
				;
}

/*
 * What the program's first process wrote before it ended is in its pipes now.
 * Who goes on writing, in the background, is not waited for.
 */
void task_read_last_words(struct task *task)
{
	if (!task->has_ended)
		return;
	for (int i = 0; i < 2; i++) {
		enum reading got = FULL;

		while (task->output_fds[i] >= 0 && task->last_words < LAST_WORDS_MAX && got <= SHORT)
			got = read_piece(task, i);
		if (got != NO_ROOM)
			close_fd(&task->output_fds[i]);
	}
}

bool task_exit(const struct task *task, struct exit_report *result)
{
	*result = task->report;
	return task->has_ended && task->output_fds[0] < 0 && task->output_fds[1] < 0;
}
