/* SPDX-License-Identifier: GPL-2.0-only */
/**
 * DOC: Rules on what programs do: what they can ask, and how the table says it
 *
 * An event is a system call that the kernel is about to carry out (`alert syscall`), or a line on a terminal (`alert
 * console`). It has a kind, numbers, texts, and for sockets an address. docs/formats/event-rules.md says what each means.
 * Rules are entries of the section EVENT_RULES; they share blocks, options, patterns and expressions with those on
 * packets. rules/table/event-layout.ts says the same again; a test compares the two.
 */
#ifndef KERNORT_EVENT_H
#define KERNORT_EVENT_H

/* Bounds that the compiler keeps and the loader checks. */
#define KERNORT_EVENT_RULES_MAX 1024
#define KERNORT_EVENT_BITS_MAX 64 /* names of flowbits: bits of one process */

/* A rule looks at a set of them: bit KIND of `kinds`. */
enum kernort_event_kind {
	KERNORT_EVENT_EXEC,
	KERNORT_EVENT_CRED,
	KERNORT_EVENT_CONNECT,
	KERNORT_EVENT_BIND,
	KERNORT_EVENT_LISTEN,
	KERNORT_EVENT_ACCEPT,
	KERNORT_EVENT_READ,
	KERNORT_EVENT_WRITE,
	KERNORT_EVENT_REMOVE,
	KERNORT_EVENT_RENAME,
	KERNORT_EVENT_LINK,
	KERNORT_EVENT_CHMOD,
	KERNORT_EVENT_TRUNCATE,
	KERNORT_EVENT_MOUNT,
	KERNORT_EVENT_UMOUNT,
	KERNORT_EVENT_REMOUNT,
	KERNORT_EVENT_MOVE,
	KERNORT_EVENT_PIVOT,
	KERNORT_EVENT_PTRACE,
	KERNORT_EVENT_SIGNAL,
	KERNORT_EVENT_UNSHARE,
	KERNORT_EVENT_SETNS,
	KERNORT_EVENT_TYPED,
	KERNORT_EVENT_SHOWN,
	KERNORT_EVENT_COUNT
};

/* What an event cannot tell, no test of it holds. */
enum kernort_event_number {
	KERNORT_NUMBER_UID,
	KERNORT_NUMBER_EUID,
	KERNORT_NUMBER_EXEC_SETUID,
	KERNORT_NUMBER_STDIO,
	KERNORT_NUMBER_PARENT_STDIO,
	KERNORT_NUMBER_CRED_UID_BEFORE,
	KERNORT_NUMBER_CRED_UID_AFTER,
	KERNORT_NUMBER_CRED_EUID_BEFORE,
	KERNORT_NUMBER_CRED_EUID_AFTER,
	KERNORT_NUMBER_CRED_SAVED_UID,
	KERNORT_NUMBER_SOCKET_TYPE,
	KERNORT_NUMBER_TARGET_PID,
	KERNORT_NUMBER_TARGET_UID,
	KERNORT_NUMBER_SIGNAL_NUMBER,
	KERNORT_NUMBER_COUNT
};

/* KERNORT_NUMBER_STDIO: what the descriptors 0, 1 and 2 are, together. */
#define KERNORT_STDIO_SOCKET 0x01 /* of the network */
#define KERNORT_STDIO_LOCAL 0x02 /* a Unix socket */
#define KERNORT_STDIO_TTY 0x04
#define KERNORT_STDIO_PIPE 0x08
#define KERNORT_STDIO_FILE 0x10 /* anything else that is open */

enum kernort_event_text {
	KERNORT_TEXT_PROCESS_NAME,
	KERNORT_TEXT_PROCESS_PATH,
	KERNORT_TEXT_PARENT_NAME,
	KERNORT_TEXT_PARENT_PATH,
	KERNORT_TEXT_EXEC_PATH,
	KERNORT_TEXT_EXEC_ARGS,
	KERNORT_TEXT_FILE_PATH,
	KERNORT_TEXT_SOCKET_PATH,
	KERNORT_TEXT_MOUNT_SOURCE,
	KERNORT_TEXT_MOUNT_TARGET,
	KERNORT_TEXT_MOUNT_TYPE,
	KERNORT_TEXT_CONSOLE_LINE,
	KERNORT_TEXT_COUNT
};

/* The buffer of a block on text T is this plus T; those of packets are far below. */
#define KERNORT_EVENT_BUFFER 0x80

/* Options that only rules on events have; those of packets are far below. */
enum kernort_event_option {
	KERNORT_EVENT_OPTION_NUMBER = 0x80, /* HEADER: a enum kernort_event_number; compare with b, c; may be NEGATED */
	KERNORT_EVENT_OPTION_BITS_TEST, /* HEADER: compare 0 any of them is set, 1 none is; mask a (low), b (high) */
	KERNORT_EVENT_OPTION_BITS_SET, /* ACTION: compare 0 set, 1 unset, 2 toggle; mask a (low), b (high) */
	KERNORT_EVENT_OPTION_FIRST_TIME, /* ACTION: a enum kernort_event_text, new to this rule; b seconds of learning */
};

struct kernort_ruleset_event_rule {
	u32 gid;
	u32 sid;
	u32 rev;
	u32 message; /* BYTES offset */
	u16 message_length;
	u16 class_index; /* CLASSES */
	u8 priority; /* 1 (worst) .. 255 */
	u8 action; /* enum kernort_rule_action; drop and reject deny */
	u16 flags; /* KERNORT_RULE_NOALERT or 0 */
	u32 kinds; /* bits of enum kernort_event_kind */
	u16 source_addresses; /* of whom a connection is accepted: ADDRESS_GROUPS */
	u16 source_ports; /* PORT_GROUPS */
	u16 destination_addresses; /* what is connected, bound or listened to */
	u16 destination_ports;
	u32 first_block; /* BLOCKS: HEADER, one for each text, ACTION */
	u16 block_count;
	u16 reserved0;
	u32 reserved[5];
};

#endif
