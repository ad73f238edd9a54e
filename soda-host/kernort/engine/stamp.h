/* SPDX-License-Identifier: GPL-2.0-only */
/* Reading a stamp that may be anything; include/kernort_stamp.h. */
#ifndef KERNORT_STAMP_READER_H
#define KERNORT_STAMP_READER_H

#include "kernort_stamp.h"

/*
 * @bytes: KERNORT_STAMP_SECTION_SIZE of them, aligned to 4
 * Return: NULL when they are a stamp all of whose parts lie inside, or the place for one; else what is wrong with it.
 */
const char *kernort_stamp_check(const u8 *bytes);

#endif
