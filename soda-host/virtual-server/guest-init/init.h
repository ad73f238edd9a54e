/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Guest init: the first process of a virtual server, and the only one that the
 * host talks to. One thread, one poll loop (main.c), no memory allocated after
 * the start but by directory walks.
 *
 * boot.c     file systems, limits, host name;  network.c  interfaces
 * channel.c  frames in and out, hello after every connection
 * program.c  the program: start, output, signals, end
 * input.c    its standard input
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

#define WORK_DIRECTORY "/work"
#define OUT_DIRECTORY "/out"

struct span {
	const uint8_t *data;
	size_t length;
};

/* boot.c */
void boot(void);
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

/* program.c */
extern struct outbox program_outbox;
void program_init(void);
bool program_is_started(void);
/* False if the request makes no sense; a program that cannot be started ends with a status. */
bool program_run(struct span request);
void program_signal(int number);
void program_resize(struct terminal_size size);
#define PROGRAM_POLLS 3
void program_poll(struct pollfd polls[PROGRAM_POLLS]);
void program_handle(const struct pollfd polls[PROGRAM_POLLS]);
/* True once the program has ended and all of its output is in the outbox. */
bool program_exit(struct exit_report *report);

/* input.c */
void input_open(int fd, bool is_terminal);
/* Nobody reads any more: what there is and what comes is thrown away. */
void input_discard(void);
bool input_receive(uint64_t position, struct span data);
bool input_end(uint64_t position);
void input_poll(struct pollfd *poll);
void input_handle(void);
uint64_t input_received(void);
uint64_t input_taken(void);
bool input_is_ended(void);

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
