// SPDX-License-Identifier: GPL-2.0-only
/*
 * kernort-events TABLE < ACTS
 *
 * Has acts judged by the rules on events of a table, in their order, a line each:
 *   KIND PID TIME_US [nNUMBER=VALUE]... [tTEXT=HEX]... [aADDRESS=PORT]   an act; ADDRESS is hexadecimal, 4 or 16 bytes
 *   c KIND PID TIME_US DEVICE HEX                                        what passed over a terminal
 *   f PARENT CHILD, x PID                                                a fork, an end
 * KIND, NUMBER and TEXT are numbers of kernort_event.h. Prints for each line `allowed` or `denied`, `cut` when
 * it was too dear, and the signature ids of the alerts. Exit status 0; 1 when something cannot be used, with the reason on standard error.
 */
#include <stdio.h>
#include <stdlib.h>
#include "events.h"
#include "memory.h"
#include "ruleset.h"

#define LINE_MAX_BYTES 262144
#define HASH_KEY 0x6b65726e6f72740aULL

static char line[LINE_MAX_BYTES];
static u8 bytes[LINE_MAX_BYTES];
static const struct kernort_ruleset *set;

static int digit(char letter)
{
	return letter >= '0' && letter <= '9' ? letter - '0' : letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

/* Bytes from hexadecimal, up to what is none. Returns how many. */
static u32 read_hex(const char **text, u8 *out)
{
	u32 count = 0;

	for (; digit((*text)[0]) >= 0 && digit((*text)[1]) >= 0; *text += 2)
		out[count++] = (u8)(digit((*text)[0]) << 4 | digit((*text)[1]));
	return count;
}

static u64 read_number(const char **text)
{
	char *end;
	u64 value = strtoull(*text, &end, 10);

	*text = *end ? end + 1 : end;
	return value;
}

static void read_fields(struct kernort_event *event, const char *text)
{
	u8 *at = bytes;

	while (*text && *text != '\n') {
		char what = *text++;
		u8 address[16] = { 0 };
		u32 length;
		u64 number;

		switch (what) {
		case 'n':
			number = read_number(&text);
			if (number < KERNORT_NUMBER_COUNT)
				kernort_event_give(event, (enum kernort_event_number)number, (u32)read_number(&text));
			break;
		case 't':
			number = read_number(&text);
			length = read_hex(&text, at);
			if (number < KERNORT_TEXT_COUNT)
				event->texts[number] = (struct kernort_piece){ at, length };
			at += length;
			break;
		case 'a':
			length = read_hex(&text, address);
			text++;
			event->address.family = length == 4 ? 4 : 6;
			memcpy(event->address.bytes, address, sizeof(address));
			event->port = (u16)read_number(&text);
			break;
		default:
			break;
		}
	}
}

static void print(const struct kernort_verdict *verdict)
{
	u32 i;

	if (verdict->is_cut)
		printf(" cut");
	for (i = 0; i < verdict->count; i++)
		printf(" %u", set->event_rules[verdict->rules[i]].sid);
}

static void judge(struct kernort_events *events, const char *text)
{
	struct kernort_event event = { .kind = (u32)read_number(&text) % KERNORT_EVENT_COUNT };
	struct kernort_verdict verdict;

	event.pid = (u32)read_number(&text);
	event.time_us = read_number(&text);
	read_fields(&event, text);
	kernort_events_judge(events, &event, &verdict);
	printf("%s", verdict.is_denied ? "denied" : "allowed");
	print(&verdict);
	printf("\n");
}

static void show(struct kernort_events *events, const char *text)
{
	struct kernort_event event = { .kind = (u32)read_number(&text) % KERNORT_EVENT_COUNT };
	struct kernort_verdict verdict;
	u32 device, length, at = 0;

	event.pid = (u32)read_number(&text);
	event.time_us = read_number(&text);
	device = (u32)read_number(&text);
	length = read_hex(&text, bytes);
	printf("allowed");
	while (at < length) {
		at += kernort_events_console(events, &event, device, bytes + at, length - at, &verdict);
		print(&verdict);
	}
	printf("\n");
}

int main(int argc, char **argv)
{
	struct kernort_ruleset rules;
	struct memory_file table = { 0 };
	struct kernort_events *events;
	const char *where = "";

	if (argc != 2 || memory_file_open(&table, argv[1]) ||
	    kernort_ruleset_open(&rules, table.bytes, (u32)table.length, &where)) {
		fprintf(stderr, "%s: not a rule table: %s\n", argc > 1 ? argv[1] : "", where);
		return 1;
	}
	set = &rules;
	events = kernort_events_init(memory_zeroed(kernort_events_size()), &rules, HASH_KEY);
	while (fgets(line, sizeof(line), stdin)) {
		const char *text = line + 2;
		u32 parent;

		if (line[0] == 'f') {
			parent = (u32)read_number(&text);
			kernort_events_forked(events, parent, (u32)read_number(&text));
			printf("allowed\n");
		} else if (line[0] == 'x') {
			kernort_events_exited(events, (u32)read_number(&text));
			printf("allowed\n");
		} else if (line[0] == 'c') {
			show(events, text);
		} else {
			judge(events, line);
		}
	}
	return 0;
}
