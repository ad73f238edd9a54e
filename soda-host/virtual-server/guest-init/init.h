/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Guest init: the first process of a virtual server, and the only one that the
 * host talks to. One thread, one poll loop (main.c), no memory allocated after
 * the start but by directory walks.
 *
 * boot.c     file systems, limits, host name;  network.c  interfaces
 * channel.c  frames in and out, hello after every connection
 * task.c     a program with its streams: start, output, signals, end
 * input.c    its standard input
 * program.c  the program that the server is for
 * sessions.c programs that the tenant runs beside it
 * limits.c   what the guest has come up against
 * upload.c   files in;  download.c  files out
 *
 * Whoever sends bytes sets a mark that an acknowledgement is due; channel.c
 * makes the frame when there is room. So nothing here ever waits for the host.
 */
#ifndef INIT_H
#define INIT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "outbox.h"
#include "protocol.h"
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define WORK_DIRECTORY "/work"
#define OUT_DIRECTORY "/out"

/* Threads beyond what programs may have, for those of the kernel that are born later. */
#define PROCESSES_RESERVE 16

struct span {
	const uint8_t *data;
	size_t length;
};

/* boot.c */
void boot(void);
/* The files that were handed over survive a sudden end, and are in every copy of the layer. */
void secure_layer(void);
void power_off(void) __attribute__((noreturn));
/* Write to the console. */
void report(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Report with errno and power off. */
void die(const char *what) __attribute__((noreturn));

/* The word that follows `name` on the kernel's command line. False if there is none that fits. */
bool parameter_text(const char *name, char *text, size_t size);

/* network.c */
void start_loopback(void);
/* The cable to the switch, if there is one. */
void start_network(void);

/* channel.c */
void channel_open(void);
/* Fill in what to poll for. */
void channel_poll(struct pollfd *poll);
void channel_handle(short events);
/* Send what there is to send, as far as it goes. */
void channel_flush(void);
/* The host wants the end; answered as far as it goes. */
bool channel_is_power_off_due(void);

/* input.c */
struct input {
	uint8_t *ring;
	size_t window;
	uint64_t received, taken;
	bool is_ended;
	/* No program yet, a program that reads, or nobody any more. */
	enum { INPUT_WAITING, INPUT_OPEN, INPUT_GONE } state;
	bool is_terminal;
	int fd;
};
void input_init(struct input *input, uint8_t *ring, size_t window);
void input_open(struct input *input, int fd, bool is_terminal);
/* Nobody reads any more: what there is and what comes is thrown away. */
void input_discard(struct input *input);
bool input_receive(struct input *input, uint64_t position, struct span data);
bool input_end(struct input *input, uint64_t position);
void input_poll(const struct input *input, struct pollfd *poll);
void input_handle(struct input *input);

/* task.c */
struct task {
	uint64_t sequence; /* of the session, 0 for the main program */
	enum frame_type stdout_type; /* that of standard error is the next number */
	bool is_started, has_ended;
	pid_t pid;
	struct exit_report report;
	/* Standard output and error; a terminal is both, and `output_fds[0]`. */
	int output_fds[2];
	/* The program's side of the terminal, so that it has a reader's end as long as the program lives. */
	int terminal_fd;
	size_t last_words; /* read after the end */
	struct outbox outbox;
	struct input input;
};
struct task_memory {
	uint8_t *output; /* OUTBOX_BYTES(window) */
	uint8_t *input; /* window */
	size_t window;
	enum frame_type stdout_type;
};
/* As new; only `sequence` stays. */
void task_init(struct task *task, const struct task_memory *memory);
/* False if the request makes no sense; a program that cannot be started ends with a status. */
bool task_run(struct task *task, struct span request);
bool task_is_running(const struct task *task);
/* To its process group. */
void task_signal(const struct task *task, int number);
void task_resize(const struct task *task, struct terminal_size size);
/* Its first process was waited for. */
void task_ended(struct task *task, int status);
/* Its output is of no more use. */
void task_close(struct task *task);
enum { POLL_INPUT, POLL_STDOUT, POLL_STDERR, TASK_POLLS };
void task_poll(const struct task *task, struct pollfd polls[TASK_POLLS]);
void task_handle(struct task *task, const struct pollfd polls[TASK_POLLS]);
void task_read_last_words(struct task *task);
/* True once it has ended and all of its output is in the outbox. */
bool task_exit(const struct task *task, struct exit_report *report);

/* program.c */
extern struct task program;
void program_init(void);
/* Wait for what has ended. */
void program_poll(struct pollfd *poll);
void program_reap(void);

/* limits.c */
/* Before any program runs. */
void limits_init(void);
/* Something may have changed; `is_idle`: nothing was done for a while. */
void limits_look(bool is_idle);
void limits_look_now(void);
/* For poll: when to look again if nothing happens. */
int limits_wait_ms(void);
/* Bits of LIMIT_. */
uint32_t limits_reached(void);

/* sessions.c */
#define SESSION_POLLS (SESSIONS_MAX * TASK_POLLS)
void sessions_init(void);
/* The connection is lost: they end with it. */
void sessions_end(void);
/* False if the host breaks the protocol. */
bool sessions_frame(const struct frame_header *header, struct span payload);
void sessions_poll(struct pollfd polls[SESSION_POLLS]);
void sessions_handle(const struct pollfd polls[SESSION_POLLS]);
void sessions_reaped(pid_t pid, int status);
/* NULL if that slot is free. */
struct outbox *session_outbox(unsigned int slot);
/* An acknowledgement or an exit that is due; false if none. */
struct session_news {
	enum frame_type type;
	uint64_t sequence, position;
	struct exit_report report;
};
bool sessions_news(struct session_news *news);

/* upload.c */
bool upload_begin(uint64_t sequence, struct span request);
bool upload_data(uint64_t sequence, uint64_t position, struct span data);
uint64_t upload_sequence(void);
uint64_t upload_received(void);
/* False while bytes are missing. `error` is 0 or an errno. */
bool upload_result(int *error);

/* download.c */
extern struct outbox download_outbox;
void download_init(void);
void download_begin(uint64_t sequence);
void download_cancel(void);
uint64_t download_sequence(void);
/* Put more into the outbox. True if it could go on at once. */
bool download_step(void);
/* True once everything is in the outbox. `error` is 0 or an errno. */
bool download_end(int *error);

#endif
