// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * Files from the host, one at a time, written below the working directory as
 * they come. After a failure the rest of that file is counted and thrown away.
 */
#include "init.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t sequence, received, size;
static int file_fd = -1, error;
static bool is_done;

static void finish(int result)
{
	/* Half a file is of no use, and may fill the disk. */
	if (result != 0 && file_fd >= 0 && ftruncate(file_fd, 0) < 0)
		report("truncate: %s", strerror(errno));
	if (file_fd >= 0 && close(file_fd) < 0 && result == 0)
		result = errno;
	file_fd = -1;
	error = result;
	is_done = true;
}

/* Relative, no empty part, none that is "." or "..". */
static bool is_sound(const char *path)
{
	while (*path) {
		size_t length = strcspn(path, "/");

		if (length == 0 || (length == 1 && path[0] == '.') ||
		    (length == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		path += length;
		if (*path == '/' && *++path == '\0')
			return false;
	}
	return true;
}

static int make_parents(int root, char *path)
{
	for (char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		int made;

		*slash = '\0';
		made = mkdirat(root, path, 0755);
		*slash = '/';
		if (made < 0 && errno != EEXIST)
			return errno;
	}
	return 0;
}

static int make_directory(int root, const char *path, mode_t mode)
{
	struct stat status;

	if (mkdirat(root, path, mode) < 0 && errno != EEXIST)
		return errno;
	if (fstatat(root, path, &status, AT_SYMLINK_NOFOLLOW) < 0)
		return errno;
	if (!S_ISDIR(status.st_mode))
		return ENOTDIR;
	return fchmodat(root, path, mode, 0) < 0 ? errno : 0;
}

/* O_NONBLOCK: what stands there may be a pipe of the program's, on which we would wait. */
static int open_file(int root, const char *path, mode_t mode)
{
	struct stat status;
	int fd = openat(root, path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, mode);

	/* A link stands there. */
	if (fd < 0 && errno == ELOOP)
		return EINVAL;
	if (fd < 0)
		return errno;
	if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || fchmod(fd, mode) < 0) {
		close(fd);
		return EINVAL;
	}
	file_fd = fd;
	return 0;
}

static int begin(struct file_entry entry, char *path)
{
	int root = open(WORK_DIRECTORY, O_PATH | O_DIRECTORY | O_CLOEXEC);
	mode_t mode = entry.mode & 0777;
	int result;

	if (root < 0)
		return errno;
	result = is_sound(path) ? make_parents(root, path) : EINVAL;
	if (result == 0 && entry.kind == KIND_DIRECTORY)
		result = make_directory(root, path, mode);
	else if (result == 0)
		result = open_file(root, path, mode);
	close(root);
	return result;
}

bool upload_begin(uint64_t number, struct span request)
{
	char path[PATH_BYTES_MAX + 1];
	struct file_entry entry;
	int result;

	if (request.length < sizeof(entry))
		return false;
	memcpy(&entry, request.data, sizeof(entry));
	if (entry.path_length != request.length - sizeof(entry) || entry.path_length == 0 ||
	    entry.path_length > PATH_BYTES_MAX)
		return false;
	if (entry.kind != KIND_FILE && (entry.kind != KIND_DIRECTORY || entry.size != 0))
		return false;
	memcpy(path, request.data + sizeof(entry), entry.path_length);
	path[entry.path_length] = '\0';

	/* What another daemon left unfinished stays so; it will be sent anew. */
	finish(ECANCELED);
	sequence = number;
	received = 0;
	size = entry.size;
	is_done = false;
	error = 0;
	result = strlen(path) == entry.path_length ? begin(entry, path) : EINVAL;
	if (result != 0 || size == 0)
		finish(result);
	return true;
}

static int write_all(struct span data)
{
	while (data.length > 0) {
		ssize_t written = write(file_fd, data.data, data.length);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return errno;
		data.data += written;
		data.length -= (size_t)written;
	}
	return 0;
}

bool upload_data(uint64_t number, uint64_t position, struct span data)
{
	int result;

	if (number != sequence || position != received || data.length > size - received)
		return false;
	received += data.length;
	if (is_done)
		return true;
	result = write_all(data);
	if (result != 0 || received == size)
		finish(result);
	return true;
}

uint64_t upload_sequence(void)
{
	return sequence;
}

uint64_t upload_received(void)
{
	return received;
}

bool upload_result(int *result)
{
	*result = error;
	return is_done;
}
