// SPDX-License-Identifier: GPL-2.0-only
/*
 * The rule table, on the host's side of a User-Mode Linux kernel.
 *
 * It is mapped whole and read once at boot, so that no packet waits for the host's disk later. Whoever may write to
 * the file could as well write to the guest's memory; the host makes sure that it is nobody (a sealed memfd, or a file
 * of its own).
 */
#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "rules.h"

int kernort_rules_map(int fd, unsigned int size_max, const void **bytes, unsigned int *size)
{
	struct stat facts;
	void *at;

	if (fstat(fd, &facts))
		return -errno;
	if (!S_ISREG(facts.st_mode) || facts.st_size <= 0)
		return -EINVAL;
	if (facts.st_size > size_max)
		return -EFBIG;
	at = mmap(NULL, (size_t)facts.st_size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	*bytes = at;
	*size = (unsigned int)facts.st_size;
	return 0;
}
