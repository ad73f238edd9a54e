// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "init.h"
#include <errno.h>
#include <signal.h>

enum { POLL_CHANNEL, POLL_INPUT, POLL_PROGRAM, POLLS = POLL_PROGRAM + PROGRAM_POLLS };

static void turn(void)
{
	struct pollfd polls[POLLS] = { 0 };
	bool is_walking = download_step();

	channel_flush();
	channel_poll(&polls[POLL_CHANNEL]);
	input_poll(&polls[POLL_INPUT]);
	program_poll(&polls[POLL_PROGRAM]);
	if (poll(polls, POLLS, is_walking ? 0 : -1) < 0) {
		if (errno != EINTR)
			report("poll: error %d", errno);
		return;
	}
	program_handle(&polls[POLL_PROGRAM]);
	if (polls[POLL_INPUT].revents)
		input_handle();
	if (polls[POLL_CHANNEL].revents)
		channel_handle(polls[POLL_CHANNEL].revents);
}

int main(void)
{
	boot();
	program_init();
	download_init();
	channel_open();
	while (!channel_is_power_off_due())
		turn();
	kill(-1, SIGKILL);
	channel_flush();
	power_off();
}
