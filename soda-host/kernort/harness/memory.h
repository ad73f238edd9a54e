/* SPDX-License-Identifier: GPL-2.0-only */
/* Files and zeroed memory for the harness. */
#ifndef KERNORT_HARNESS_MEMORY_H
#define KERNORT_HARNESS_MEMORY_H

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "kernort_env.h"

struct memory_file {
	const u8 *bytes;
	u64 length;
};

static inline int memory_file_open(struct memory_file *file, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;
	void *bytes = MAP_FAILED;

	if (fd < 0)
		return -errno;
	if (!fstat(fd, &status) && status.st_size > 0)
		bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (bytes == MAP_FAILED)
		return -EINVAL;
	file->bytes = bytes;
	file->length = (u64)status.st_size;
	return 0;
}

static inline void *memory_zeroed(u64 length)
{
	void *bytes = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return bytes == MAP_FAILED ? NULL : bytes;
}

#endif
