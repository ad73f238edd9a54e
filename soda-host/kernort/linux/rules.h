/* SPDX-License-Identifier: GPL-2.0-only */
/* The host's file with a rule table, as the kernel has it. */
#ifndef KERNORT_LINUX_RULES_H
#define KERNORT_LINUX_RULES_H

/*
 * Map the file behind a descriptor, to be read only. The pages are the host's: servers that use the same rules share
 * them. Return: 0 or -errno; -EFBIG when it has more than @size_max bytes.
 */
int kernort_rules_map(int fd, unsigned int size_max, const void **bytes, unsigned int *size);

#endif
