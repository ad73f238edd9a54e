// SPDX-License-Identifier: GPL-2.0-only
/*
 * DOC: Lines on terminals, as a person reads them
 *
 * A terminal brings pieces: a letter as it is typed, half a line as it is shown. Rules look at a line when it ends.
 * What was rubbed out is gone from it, and so are escape sequences, so that neither colours nor second thoughts hide a
 * word. A line that is too long is looked at in pieces that overlap.
 *
 * Lines in the making are few; a terminal that has said nothing for long gives way, counted.
 */
#include "console.h"

enum escape {
	NONE,
	BEGUN, /* ESC */
	SEQUENCE, /* ESC [ */
	STRING, /* ESC ] P X ^ _: up to BEL or ESC \ */
	STRING_ESCAPE, /* ESC within a string */
};

#define BACKSPACE 0x08
#define BELL 0x07
#define KILL_LINE 0x15
#define ESCAPE 0x1b
#define DELETE 0x7f

struct kernort_console_line *kernort_console_line(struct kernort_console *console, u32 device, u32 kind, u64 *evicted)
{
	struct kernort_console_line *chosen = NULL;
	u32 i;

	for (i = 0; i < KERNORT_CONSOLE_LINES; i++) {
		struct kernort_console_line *line = &console->lines[i];

		if (line->is_used && line->device == device && line->kind == kind) {
			chosen = line;
			break;
		}
		if (!chosen || (chosen->is_used && (!line->is_used || line->used < chosen->used)))
			chosen = line;
	}
	if (!chosen->is_used || chosen->device != device || chosen->kind != kind) {
		*evicted += chosen->is_used;
		chosen->is_used = true;
		chosen->device = device;
		chosen->kind = kind;
		chosen->escape = NONE;
		chosen->length = chosen->looked_at = 0;
	}
	chosen->used = ++console->clock;
	return chosen;
}

static u8 begun_by(u8 byte)
{
	if (byte == '[')
		return SEQUENCE;
	return byte == ']' || byte == 'P' || byte == 'X' || byte == '^' || byte == '_' ? STRING : NONE;
}

/* Where in an escape sequence @byte leads from @state; the end of a line ends each, so that nobody hides all that follows. */
static u8 next_escape(u8 state, u8 byte)
{
	if (byte == '\n' || byte == '\r')
		return NONE;
	switch (state) {
	case BEGUN:
		return begun_by(byte);
	case SEQUENCE:
		return byte >= 0x40 && byte <= 0x7e ? NONE : SEQUENCE;
	case STRING:
		return byte == BELL ? NONE : byte == ESCAPE ? STRING_ESCAPE : STRING;
	case STRING_ESCAPE:
		return byte == '\\' ? NONE : STRING;
	default:
		return byte == ESCAPE ? BEGUN : NONE;
	}
}

/* Is the byte part of an escape sequence? */
static bool is_escaped(struct kernort_console_line *line, u8 byte)
{
	u8 before = line->escape;

	line->escape = next_escape(before, byte);
	return byte != '\n' && byte != '\r' && (before != NONE || line->escape != NONE);
}

u32 kernort_console_add(struct kernort_console_line *line, const u8 *bytes, u32 length, bool *is_whole)
{
	u32 at;

	*is_whole = false;
	for (at = 0; at < length; at++) {
		u8 byte = bytes[at];

		if (is_escaped(line, byte))
			continue;
		if (byte == '\n' || byte == '\r') {
			*is_whole = line->length > 0;
			if (*is_whole)
				return at + 1;
		} else if (byte == BACKSPACE || byte == DELETE) {
			line->length -= line->length > 0;
			if (line->looked_at > line->length)
				line->looked_at = line->length;
		} else if (byte == KILL_LINE) {
			line->length = line->looked_at = 0;
		} else if (byte >= ' ' || byte == '\t') {
			line->bytes[line->length++] = byte;
			if (line->length == KERNORT_CONSOLE_LINE_MAX) {
				*is_whole = true;
				return at + 1;
			}
		}
	}
	return length;
}

void kernort_console_begin(struct kernort_console_line *line)
{
	bool is_cut = line->length == KERNORT_CONSOLE_LINE_MAX;

	if (is_cut)
		memmove(line->bytes, line->bytes + line->length - KERNORT_CONSOLE_OVERLAP, KERNORT_CONSOLE_OVERLAP);
	line->length = line->looked_at = is_cut ? KERNORT_CONSOLE_OVERLAP : 0;
}
