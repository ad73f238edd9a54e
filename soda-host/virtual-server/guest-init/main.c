// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "init.h"
#include <errno.h>
#include <signal.h>

enum {
	POLL_CHANNEL,
	POLL_SIGNAL,
	POLL_PROGRAM,
	POLL_SESSIONS = POLL_PROGRAM + TASK_POLLS,
	POLLS = POLL_SESSIONS + SESSION_POLLS,
};

static void turn(void)
{
	struct pollfd polls[POLLS] = { 0 };
	bool is_walking = download_step();
	int ready;

	channel_flush();
	channel_poll(&polls[POLL_CHANNEL]);
	program_poll(&polls[POLL_SIGNAL]);
	task_poll(&program, &polls[POLL_PROGRAM]);
	sessions_poll(&polls[POLL_SESSIONS]);
	ready = poll(polls, POLLS, is_walking ? 0 : limits_wait_ms());
	if (ready < 0) {
		if (errno != EINTR)
			report("poll: error %d", errno);
		return;
	}
	limits_look(ready == 0);
	task_handle(&program, &polls[POLL_PROGRAM]);
	sessions_handle(&polls[POLL_SESSIONS]);
	if (polls[POLL_SIGNAL].revents)
		program_reap();
	if (polls[POLL_CHANNEL].revents)
		channel_handle(polls[POLL_CHANNEL].revents);
}

int main(void)
{
	boot();
	program_init();
	limits_init();
	sessions_init();
	download_init();
	channel_open();
	while (!channel_is_power_off_due())
		turn();
	kill(-1, SIGKILL);
	channel_flush();
	power_off();
}
