// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * Standard input of the program: a ring of one window between the channel and
 * a pipe or terminal. taken <= received <= taken + window; the host learns
 * both, and goes on at `received` after a reconnect.
 */
#include "init.h"
#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <termios.h>
#include <unistd.h>

static uint8_t ring[WINDOW_BYTES];
static uint64_t received, taken;
static bool is_ended;
/* No program yet, a program that reads, or nobody any more. */
static enum { WAITING, OPEN, GONE } state;
static bool is_terminal;
static int input_fd = -1;

static void drop_all(void)
{
	taken = received;
}

/* A terminal has no end of its own: its end-of-file character says it. */
static void send_end(void)
{
	struct termios settings;
	char character = 4;

	if (!is_terminal) {
		close(input_fd);
	} else if (tcgetattr(input_fd, &settings) == 0) {
		character = (char)settings.c_cc[VEOF];
		if (write(input_fd, &character, 1) < 0 && errno == EAGAIN)
			return;
	}
	state = GONE;
	input_fd = -1;
}

static void end_if_due(void)
{
	if (state == OPEN && is_ended && taken == received)
		send_end();
}

void input_open(int fd, bool terminal)
{
	input_fd = fd;
	is_terminal = terminal;
	state = OPEN;
	end_if_due();
}

void input_discard(void)
{
	/* The descriptor of a terminal belongs to the output side. */
	if (state == OPEN && !is_terminal)
		close(input_fd);
	state = GONE;
	input_fd = -1;
	drop_all();
}

bool input_receive(uint64_t position, struct span data)
{
	size_t offset = (size_t)(position % WINDOW_BYTES);
	size_t to_end = WINDOW_BYTES - offset;

	if (position != received || is_ended || data.length > WINDOW_BYTES - (received - taken))
		return false;
	if (data.length <= to_end) {
		memcpy(ring + offset, data.data, data.length);
	} else {
		memcpy(ring + offset, data.data, to_end);
		memcpy(ring, data.data + to_end, data.length - to_end);
	}
	received += data.length;
	if (state == GONE)
		drop_all();
	return true;
}

bool input_end(uint64_t position)
{
	if (position != received)
		return false;
	is_ended = true;
	end_if_due();
	return true;
}

void input_poll(struct pollfd *poll)
{
	bool is_pending = state == OPEN && (taken < received || is_ended);

	poll->fd = is_pending ? input_fd : -1;
	poll->events = POLLOUT;
}

void input_handle(void)
{
	size_t offset = (size_t)(taken % WINDOW_BYTES);
	size_t length = (size_t)(received - taken);
	size_t first = length < WINDOW_BYTES - offset ? length : WINDOW_BYTES - offset;
	struct iovec parts[2] = {
		{ .iov_base = ring + offset, .iov_len = first },
		{ .iov_base = ring, .iov_len = length - first },
	};
	ssize_t written;

	if (state != OPEN)
		return;
	if (length > 0) {
		written = writev(input_fd, parts, 2);
		if (written < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (written < 0) {
			input_discard();
			return;
		}
		taken += (uint64_t)written;
	}
	end_if_due();
}

uint64_t input_received(void)
{
	return received;
}

uint64_t input_taken(void)
{
	return taken;
}

bool input_is_ended(void)
{
	return is_ended;
}
