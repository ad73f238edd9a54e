// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * Programs that the tenant runs beside the main one, at most SESSIONS_MAX.
 *
 * A session is named by the host, with numbers that grow on one connection.
 * It ends with that connection, or with EXEC_CLOSE: every process of it (by
 * its session id, so that what moved into another process group is found too)
 * is killed then. What made itself a session of its own stays, as with ssh.
 * A session that has ended is told by EXEC_EXIT, once, after all of its
 * output; its slot is free then. Frames that cross it mean nothing.
 *
 * Each has its own windows: one whose output nobody takes waits alone.
 */
#include "init.h"
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct session {
	struct task task; /* a sequence of 0: the slot is free */
	bool is_closed;
	uint64_t told_taken;
	uint8_t output[OUTBOX_BYTES(SESSION_WINDOW_BYTES)];
	uint8_t input[SESSION_WINDOW_BYTES];
} sessions[SESSIONS_MAX];

/* The newest of this connection. */
static uint64_t last_sequence;

static void reset(struct session *session, uint64_t sequence)
{
	struct task_memory memory = {
		session->output, session->input, SESSION_WINDOW_BYTES, FRAME_EXEC_STDOUT,
	};

	session->task.sequence = sequence;
	task_init(&session->task, &memory);
	session->is_closed = false;
	session->told_taken = 0;
}

void sessions_init(void)
{
	for (unsigned int i = 0; i < SESSIONS_MAX; i++)
		reset(&sessions[i], 0);
}

static struct session *find(uint64_t sequence)
{
	for (unsigned int i = 0; i < SESSIONS_MAX; i++)
		if (sessions[i].task.sequence == sequence)
			return &sessions[i];
	return NULL;
}

/* Field 6 of /proc/PID/stat; the name before it may hold anything. */
static pid_t session_of(const char *pid)
{
	char path[64], text[512], *after;
	ssize_t length;
	int fd, session = -1;

	snprintf(path, sizeof(path), "/proc/%s/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -1;
	length = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (length <= 0)
		return -1;
	text[length] = '\0';
	after = strrchr(text, ')');
	if (!after || sscanf(after + 1, " %*c %*d %*d %d", &session) != 1)
		return -1;
	return session;
}

static void kill_members(pid_t leader)
{
	DIR *directory = opendir("/proc");
	struct dirent *entry;

	while (directory && (entry = readdir(directory)))
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && session_of(entry->d_name) == leader)
			kill(atoi(entry->d_name), SIGKILL);
	if (directory)
		closedir(directory);
}

/* Until its end is waited for, the leader's number is nobody else's. */
static void end(struct session *session)
{
	session->is_closed = true;
	if (!task_is_running(&session->task))
		return;
	task_signal(&session->task, SIGKILL);
	/* Once more for what was born meanwhile. */
	kill_members(session->task.pid);
	kill_members(session->task.pid);
}

void sessions_end(void)
{
	last_sequence = 0;
	for (unsigned int i = 0; i < SESSIONS_MAX; i++) {
		struct session *session = &sessions[i];

		if (session->task.sequence == 0)
			continue;
		end(session);
		task_ended(&session->task, SIGKILL);
		task_close(&session->task);
		reset(session, 0);
	}
}

static bool begin(uint64_t sequence, struct span request)
{
	struct session *session = find(0);

	if (!session || sequence <= last_sequence)
		return false;
	last_sequence = sequence;
	reset(session, sequence);
	return task_run(&session->task, request);
}

static bool handle(struct session *session, const struct frame_header *header, struct span payload)
{
	struct task *task = &session->task;
	struct terminal_size size;

	switch (header->type) {
	case FRAME_EXEC_SIGNAL:
		if (payload.length != 1)
			return false;
		task_signal(task, payload.data[0]);
		return true;
	case FRAME_EXEC_RESIZE:
		if (payload.length != sizeof(size))
			return false;
		memcpy(&size, payload.data, sizeof(size));
		task_resize(task, size);
		return true;
	case FRAME_EXEC_CLOSE:
		end(session);
		return payload.length == 0;
	case FRAME_EXEC_STDIN:
		return input_receive(&task->input, header->position, payload);
	case FRAME_EXEC_STDIN_END:
		return payload.length == 0 && input_end(&task->input, header->position);
	case FRAME_EXEC_OUTPUT_ACK:
		return payload.length == 0 && outbox_ack(&task->outbox, header->position);
	default:
		return false;
	}
}

bool sessions_frame(const struct frame_header *header, struct span payload)
{
	struct session *session;

	if (header->type == FRAME_EXEC)
		return begin(header->sequence, payload);
	if (header->sequence == 0 || header->sequence > last_sequence)
		return false;
	session = find(header->sequence);
	return !session || handle(session, header, payload);
}

void sessions_poll(struct pollfd polls[SESSION_POLLS])
{
	for (unsigned int i = 0; i < SESSIONS_MAX; i++)
		task_poll(&sessions[i].task, polls + i * TASK_POLLS);
}

void sessions_handle(const struct pollfd polls[SESSION_POLLS])
{
	for (unsigned int i = 0; i < SESSIONS_MAX; i++) {
		task_handle(&sessions[i].task, polls + i * TASK_POLLS);
		task_read_last_words(&sessions[i].task);
	}
}

void sessions_reaped(pid_t pid, int status)
{
	for (unsigned int i = 0; i < SESSIONS_MAX; i++) {
		struct task *task = &sessions[i].task;

		if (!task_is_running(task) || task->pid != pid)
			continue;
		if (sessions[i].is_closed)
			task_close(task);
		task_ended(task, status);
		task_read_last_words(task);
	}
}

struct outbox *session_outbox(unsigned int slot)
{
	return sessions[slot].task.sequence ? &sessions[slot].task.outbox : NULL;
}

bool sessions_news(struct session_news *news)
{
	for (unsigned int i = 0; i < SESSIONS_MAX; i++) {
		struct session *session = &sessions[i];
		struct task *task = &session->task;

		*news = (struct session_news){ .sequence = task->sequence };
		if (task->sequence == 0)
			continue;
		if (session->told_taken != task->input.taken) {
			session->told_taken = task->input.taken;
			news->type = FRAME_EXEC_STDIN_ACK;
			news->position = session->told_taken;
			return true;
		}
		if (task_exit(task, &news->report) && outbox_is_all_sent(&task->outbox)) {
			news->type = FRAME_EXEC_EXIT;
			news->position = task->outbox.produced;
			reset(session, 0);
			return true;
		}
	}
	return false;
}
