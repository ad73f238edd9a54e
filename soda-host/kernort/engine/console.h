/* SPDX-License-Identifier: GPL-2.0-only */
/* Lines on terminals; see console.c. */
#ifndef KERNORT_CONSOLE_H
#define KERNORT_CONSOLE_H

#include "kernort_env.h"

#define KERNORT_CONSOLE_LINES 32u
#define KERNORT_CONSOLE_LINE_MAX 1024u
/* Of a line that is too long, what is looked at again with what follows. */
#define KERNORT_CONSOLE_OVERLAP 256u

/* The line in the making of one direction of one terminal. */
struct kernort_console_line {
	u32 device;
	u32 kind; /* enum kernort_event_kind: typed or shown */
	bool is_used;
	u8 escape; /* where in an escape sequence; console.c */
	u32 length;
	u32 looked_at; /* of them, before */
	u64 used; /* counts */
	u8 bytes[KERNORT_CONSOLE_LINE_MAX];
};

struct kernort_console {
	u64 clock;
	struct kernort_console_line lines[KERNORT_CONSOLE_LINES];
};

/* The line of @device and @kind; when there is none, that which was used least lately gives way. */
struct kernort_console_line *kernort_console_line(struct kernort_console *console, u32 device, u32 kind, u64 *evicted);
/*
 * Add bytes up to the end of the line. Return: how many were taken, at least one of @length.
 * @is_whole: set when the line is to be looked at; kernort_console_begin() then begins the next.
 */
u32 kernort_console_add(struct kernort_console_line *line, const u8 *bytes, u32 length, bool *is_whole);
void kernort_console_begin(struct kernort_console_line *line);

#endif
