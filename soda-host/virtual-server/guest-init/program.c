// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * The program that this server is for. When its first process is gone,
 * everything else in the guest is killed.
 */
#include "init.h"
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

struct task program;
static uint8_t output[OUTBOX_BYTES(WINDOW_BYTES)];
static uint8_t input[WINDOW_BYTES];

static int signal_fd = -1;

void program_init(void)
{
	struct task_memory memory = { output, input, WINDOW_BYTES, FRAME_STDOUT };
	sigset_t set;

	task_init(&program, &memory);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signal_fd < 0)
		die("signals");
}

void program_poll(struct pollfd *poll)
{
	*poll = (struct pollfd){ .fd = signal_fd, .events = POLLIN };
}

/* The server is there for its program: what that leaves behind ends too. */
static void end_program(int status)
{
	limits_look_now();
	task_ended(&program, status);
	kill(-1, SIGKILL);
}

void program_reap(void)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	while (read(signal_fd, &info, sizeof(info)) > 0)
		;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (task_is_running(&program) && pid == program.pid)
			end_program(status);
		else
			sessions_reaped(pid, status);
	}
}
