// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * Everything below the output directory, as one stream of entries: parents
 * before children, regular files and directories only. A step at a time, so
 * that the channel stays answerable during a long walk.
 *
 * What the program left there may be hostile: links are not followed, pipes
 * not waited on, depth, number and length of names bounded. The walk then ends
 * with an errno.
 */
#include "init.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Records made in one step. */
#define STEP_RECORDS 16

struct outbox download_outbox;
static uint8_t buffer[OUTBOX_BYTES(WINDOW_BYTES)];

static uint64_t sequence;
static enum { IDLE, WALKING, ENDED } state;
static int error;
static unsigned int entries;

/* Directories that are being read, the top one first. */
static struct {
	DIR *stream;
	size_t path_length; /* of its path, with a slash behind it unless empty */
} levels[DEPTH_MAX];
static unsigned int depth;
/* Of the entry at hand, below the output directory. */
static char path[PATH_BYTES_MAX + NAME_MAX + 2];

/* The file that is being sent. */
static int file_fd = -1;
static uint64_t file_left;

void download_init(void)
{
	outbox_init(&download_outbox, buffer, WINDOW_BYTES);
}

static void release(void)
{
	if (file_fd >= 0)
		close(file_fd);
	file_fd = -1;
	file_left = 0;
	while (depth > 0)
		closedir(levels[--depth].stream);
}

static void end(int result)
{
	release();
	error = result;
	state = ENDED;
}

void download_cancel(void)
{
	release();
	outbox_reset(&download_outbox);
	sequence = 0;
	state = IDLE;
}

static int enter(int fd, size_t path_length)
{
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);

	if (!stream) {
		int result = errno;

		if (fd >= 0)
			close(fd);
		return result;
	}
	levels[depth].stream = stream;
	levels[depth].path_length = path_length;
	depth++;
	return 0;
}

void download_begin(uint64_t number)
{
	int fd, result;

	download_cancel();
	sequence = number;
	state = WALKING;
	entries = 0;
	fd = open(OUT_DIRECTORY, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	/* A program may remove the directory: then there is no output. */
	result = fd < 0 && errno == ENOENT ? ENOENT : enter(fd, 0);
	if (result != 0)
		end(result == ENOENT ? 0 : result);
}

uint64_t download_sequence(void)
{
	return sequence;
}

bool download_end(int *result)
{
	*result = error;
	return state == ENDED;
}

/* As much of the file at hand as fits behind `length` bytes in a record. */
static int read_file(uint8_t *record, size_t *length, size_t room)
{
	while (file_left > 0 && *length < room) {
		size_t want = room - *length < file_left ? room - *length : (size_t)file_left;
		ssize_t got = read(file_fd, record + *length, want);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return errno;
		/* It has become shorter while we were reading it. */
		if (got == 0)
			return ESTALE;
		*length += (size_t)got;
		file_left -= (uint64_t)got;
	}
	if (file_left == 0 && file_fd >= 0) {
		close(file_fd);
		file_fd = -1;
	}
	return 0;
}

static int send_file(void)
{
	size_t room = outbox_room(&download_outbox, PIECE_BYTES), length = 0;
	uint8_t *record = outbox_payload(&download_outbox, room);
	int result = read_file(record, &length, room);

	if (length > 0)
		outbox_commit(&download_outbox, FRAME_DOWNLOAD, sequence, length);
	return result;
}

/* The head of an entry and, with a file, the beginning of its content. */
static int send_entry(const struct stat *status, size_t path_length)
{
	struct file_entry entry = {
		.kind = S_ISDIR(status->st_mode) ? KIND_DIRECTORY : KIND_FILE,
		.mode = status->st_mode & 0777,
		.path_length = (uint32_t)path_length,
		.size = S_ISDIR(status->st_mode) ? 0 : (uint64_t)status->st_size,
	};
	size_t room = outbox_room(&download_outbox, PIECE_BYTES);
	uint8_t *record = outbox_payload(&download_outbox, room);
	size_t length = sizeof(entry) + path_length;
	int result;

	if (++entries > ENTRIES_MAX)
		return E2BIG;
	memcpy(record, &entry, sizeof(entry));
	memcpy(record + sizeof(entry), path, path_length);
	file_left = entry.size;
	result = read_file(record, &length, room);
	outbox_commit(&download_outbox, FRAME_DOWNLOAD, sequence, length);
	return result;
}

static int visit_directory(int parent, const char *name, size_t path_length)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat status;
	int result;

	if (depth == DEPTH_MAX || fd < 0 || fstat(fd, &status) < 0) {
		result = depth == DEPTH_MAX ? E2BIG : errno;
		if (fd >= 0)
			close(fd);
		return result;
	}
	result = send_entry(&status, path_length);
	if (result != 0) {
		close(fd);
		return result;
	}
	path[path_length] = '/';
	return enter(fd, path_length + 1);
}

static int visit_file(int parent, const char *name, size_t path_length)
{
	struct stat status;

	file_fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (file_fd < 0)
		return errno;
	if (fstat(file_fd, &status) < 0 || !S_ISREG(status.st_mode))
		return ESTALE;
	return send_entry(&status, path_length);
}

static int visit(DIR *directory, size_t prefix_length, const char *name)
{
	size_t path_length = prefix_length + strlen(name);
	struct stat status;

	if (!strcmp(name, ".") || !strcmp(name, ".."))
		return 0;
	if (fstatat(dirfd(directory), name, &status, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : errno;
	if (!S_ISDIR(status.st_mode) && !S_ISREG(status.st_mode))
		return 0;
	if (path_length > PATH_BYTES_MAX)
		return ENAMETOOLONG;
	strcpy(path + prefix_length, name);
	return S_ISDIR(status.st_mode) ? visit_directory(dirfd(directory), name, path_length) :
					 visit_file(dirfd(directory), name, path_length);
}

static int walk_on(void)
{
	DIR *directory = levels[depth - 1].stream;
	struct dirent *entry;

	errno = 0;
	entry = readdir(directory);
	if (entry)
		return visit(directory, levels[depth - 1].path_length, entry->d_name);
	if (errno != 0)
		return errno;
	closedir(directory);
	depth--;
	return 0;
}

/* An entry's head must fit into one record. */
static bool has_room(void)
{
	size_t least = file_left > 0 ? 1 : sizeof(struct file_entry) + PATH_BYTES_MAX;

	return outbox_room(&download_outbox, least) == least;
}

bool download_step(void)
{
	for (int i = 0; i < STEP_RECORDS; i++) {
		int result;

		if (state != WALKING || !has_room())
			return false;
		if (depth == 0) {
			end(0);
			return false;
		}
		result = file_left > 0 ? send_file() : walk_on();
		if (result != 0)
			end(result);
	}
	return state == WALKING && has_room();
}
