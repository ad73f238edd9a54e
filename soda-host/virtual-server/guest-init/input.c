// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * Standard input of a program: a ring of one window between the channel and
 * a pipe or terminal. taken <= received <= taken + window; the host learns
 * both. That of the main program goes on at `received` after a reconnect.
 */
#include "init.h"
#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <termios.h>
#include <unistd.h>

static void drop_all(struct input *input)
{
	input->taken = input->received;
}

void input_init(struct input *input, uint8_t *ring, size_t window)
{
	*input = (struct input){ .ring = ring, .window = window, .fd = -1 };
}

/* A terminal has no end of its own: its end-of-file character says it. */
static void send_end(struct input *input)
{
	struct termios settings;
	char character = 4;

	if (!input->is_terminal) {
		close(input->fd);
	} else if (tcgetattr(input->fd, &settings) == 0) {
		character = (char)settings.c_cc[VEOF];
		if (write(input->fd, &character, 1) < 0 && errno == EAGAIN)
			return;
	}
	input->state = INPUT_GONE;
	input->fd = -1;
}

static void end_if_due(struct input *input)
{
	if (input->state == INPUT_OPEN && input->is_ended && input->taken == input->received)
		send_end(input);
}

void input_open(struct input *input, int fd, bool is_terminal)
{
	input->fd = fd;
	input->is_terminal = is_terminal;
	input->state = INPUT_OPEN;
	end_if_due(input);
}

void input_discard(struct input *input)
{
	/* The descriptor of a terminal belongs to the output side. */
	if (input->state == INPUT_OPEN && !input->is_terminal)
		close(input->fd);
	input->state = INPUT_GONE;
	input->fd = -1;
	drop_all(input);
}

bool input_receive(struct input *input, uint64_t position, struct span data)
{
	size_t offset = (size_t)(position % input->window);
	size_t to_end = input->window - offset;

	if (position != input->received || input->is_ended ||
	    data.length > input->window - (input->received - input->taken))
		return false;
	if (data.length <= to_end) {
		memcpy(input->ring + offset, data.data, data.length);
	} else {
		memcpy(input->ring + offset, data.data, to_end);
		memcpy(input->ring, data.data + to_end, data.length - to_end);
	}
	input->received += data.length;
	if (input->state == INPUT_GONE)
		drop_all(input);
	return true;
}

bool input_end(struct input *input, uint64_t position)
{
	if (position != input->received)
		return false;
	input->is_ended = true;
	end_if_due(input);
	return true;
}

void input_poll(const struct input *input, struct pollfd *poll)
{
	bool is_pending = input->state == INPUT_OPEN &&
			  (input->taken < input->received || input->is_ended);

	poll->fd = is_pending ? input->fd : -1;
	poll->events = POLLOUT;
}

void input_handle(struct input *input)
{
	size_t offset = (size_t)(input->taken % input->window);
	size_t length = (size_t)(input->received - input->taken);
	size_t first = length < input->window - offset ? length : input->window - offset;
	struct iovec parts[2] = {
		{ .iov_base = input->ring + offset, .iov_len = first },
		{ .iov_base = input->ring, .iov_len = length - first },
	};
	ssize_t written;

	if (input->state != INPUT_OPEN)
		return;
	if (length > 0) {
		written = writev(input->fd, parts, 2);
		if (written < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (written < 0) {
			input_discard(input);
			return;
		}
		input->taken += (uint64_t)written;
	}
	end_if_due(input);
}
