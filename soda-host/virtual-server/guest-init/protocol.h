/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Frames of the control channel, as the guest sees them. The table that
 * explains them is at the top of ../frames.ts; the two must say the same.
 * All numbers are little-endian, as is the only architecture we run on.
 */
#ifndef PROTOCOL_H
#define PROTOCOL_H

#include <assert.h>
#include <stdint.h>

#define PROTOCOL_MAGIC 0x41444f53u /* "SODA" */
#define PROTOCOL_VERSION 1

#define PAYLOAD_BYTES_MAX (256 * 1024)
/* What a sender may have under way and unacknowledged, for each flow of bytes. */
#define WINDOW_BYTES (1024 * 1024)
/* Output and files leave in pieces of at most this size. */
#define PIECE_BYTES (64 * 1024)

#define PATH_BYTES_MAX 1024
#define ENTRIES_MAX 100000
#define DEPTH_MAX 64
/* Programs beside the main one, and the window of each of their flows of bytes. */
#define SESSIONS_MAX 8
#define SESSION_WINDOW_BYTES (64 * 1024)
#define ARGUMENTS_MAX 1024
#define ENVIRONMENT_MAX 1024

enum frame_type {
	FRAME_HELLO = 0x01,

	/* host to guest: commands, numbered by `sequence` */
	FRAME_RUN = 0x10,
	FRAME_SIGNAL = 0x11,
	FRAME_RESIZE = 0x12,
	FRAME_PUT = 0x13,
	FRAME_GET = 0x14,
	FRAME_POWER_OFF = 0x15,
	/* host to guest: bytes, counted by `position` */
	FRAME_STDIN = 0x20,
	FRAME_STDIN_END = 0x21,
	FRAME_UPLOAD = 0x22,
	FRAME_OUTPUT_ACK = 0x28,
	FRAME_DOWNLOAD_ACK = 0x29,

	/* host to guest: sessions, named by `sequence` */
	FRAME_EXEC = 0x50,
	FRAME_EXEC_SIGNAL = 0x51,
	FRAME_EXEC_RESIZE = 0x52,
	FRAME_EXEC_CLOSE = 0x53,
	FRAME_EXEC_STDIN = 0x54,
	FRAME_EXEC_STDIN_END = 0x55,
	FRAME_EXEC_OUTPUT_ACK = 0x56,

	/* guest to host */
	FRAME_COMMAND_ACK = 0x30,
	FRAME_STDIN_ACK = 0x31,
	FRAME_UPLOAD_ACK = 0x32,
	FRAME_PUT_RESULT = 0x33,
	FRAME_LIMITS = 0x34,
	FRAME_STDOUT = 0x40,
	FRAME_STDERR = 0x41,
	FRAME_EXIT = 0x42,
	FRAME_DOWNLOAD = 0x43,
	FRAME_DOWNLOAD_END = 0x44,
	FRAME_EXEC_STDOUT = 0x60,
	FRAME_EXEC_STDERR = 0x61,
	FRAME_EXEC_EXIT = 0x62,
	FRAME_EXEC_STDIN_ACK = 0x63,
};

struct frame_header {
	uint32_t length; /* of the payload */
	uint16_t type;
	uint16_t reserved; /* 0 */
	uint64_t sequence;
	uint64_t position;
};
static_assert(sizeof(struct frame_header) == 24, "frame header");

/* The host leaves it to the guest where output goes on. */
#define OUTPUT_STORED_UNKNOWN UINT64_MAX

struct host_hello {
	uint32_t magic;
	uint16_t version;
	uint16_t reserved;
	uint64_t output_stored;
	uint64_t download_sequence;
	uint64_t download_received;
};
static_assert(sizeof(struct host_hello) == 32, "host hello");

#define HELLO_STARTED 0x1
#define HELLO_STDIN_ENDED 0x2
#define HELLO_UPLOAD_DONE 0x4

struct guest_hello {
	uint32_t magic;
	uint16_t version;
	uint16_t flags;
	uint8_t boot_id[16];
	uint64_t commands_done;
	uint64_t stdin_received;
	uint64_t stdin_taken;
	uint64_t output_produced;
	uint64_t output_acked;
	uint64_t upload_sequence;
	uint64_t upload_received;
	int32_t upload_errno;
	uint32_t limits; /* reached so far, as in a frame of that name */
};
static_assert(sizeof(struct guest_hello) == 88, "guest hello");

/* In the `position` of FRAME_LIMITS: memory, bytes and files on the disk, processes. */
#define LIMIT_MEMORY 0x1
#define LIMIT_DISK 0x2
#define LIMIT_FILES 0x4
#define LIMIT_PROCESSES 0x8

#define RUN_TERMINAL 0x1

/* Followed by argument and then environment strings, each ended by a NUL. */
struct run_request {
	uint16_t flags;
	uint16_t columns;
	uint16_t rows;
	uint16_t arguments;
	uint16_t environment;
	uint16_t reserved;
};
static_assert(sizeof(struct run_request) == 12, "run request");

struct terminal_size {
	uint16_t columns;
	uint16_t rows;
};
static_assert(sizeof(struct terminal_size) == 4, "terminal size");

#define KIND_FILE 1
#define KIND_DIRECTORY 2

/*
 * Head of a PUT, followed by the path up to the end of the frame; and of every
 * entry in a download, followed by path and content. No NUL ends the path.
 */
struct file_entry {
	uint8_t kind;
	uint8_t reserved;
	uint16_t mode;
	uint32_t path_length;
	uint64_t size;
};
static_assert(sizeof(struct file_entry) == 16, "file entry");

#define EXIT_KIND_STATUS 0
#define EXIT_KIND_SIGNAL 1

struct exit_report {
	uint8_t kind;
	uint8_t value;
};
static_assert(sizeof(struct exit_report) == 2, "exit report");

#endif
