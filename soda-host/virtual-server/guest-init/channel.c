// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * The control channel: frames in, frames out.
 *
 * States of a connection: awaiting the host's hello -> talking -> (the host
 * broke the protocol) deaf. The end of a connection, a read of 0, leads back
 * to the first. Everything that must outlive a connection lives elsewhere:
 * counters of bytes and commands, and the two outboxes.
 *
 * Acknowledgements are not queued. `told` is what the host has heard last on
 * this connection; whatever differs from how things stand is due.
 */
#include "init.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define DEVICE "/dev/soda-channel"
#define HEADER sizeof(struct frame_header)
#define WRITE_BYTES_MAX (256 * 1024)
/* Reads before the program's output has its turn. */
#define READS_IN_TURN 4

static int channel_fd = -1;
static enum { AWAITING, TALKING, DEAF } state;
/* Set when a write failed: the next read tells that the connection is over. */
static bool is_cut;
static bool is_blocked;
static bool is_power_off_due;

static uint8_t received[HEADER + PAYLOAD_BYTES_MAX];
static size_t received_length;

/* The one frame of our own that is on its way, or the rest of a piece whose outbox was emptied. */
static uint8_t control[HEADER + PIECE_BYTES];
static size_t control_length, control_sent;

/* Main program, files, sessions. */
#define OUTBOXES (2 + SESSIONS_MAX)
/* Whose turn was the last, and whose frame may be on its way. */
static unsigned int turn;
static struct outbox *begun;

static uint8_t boot_id[16];
static uint64_t commands_done;

static struct {
	bool hello, exit, download_end;
	uint64_t commands, stdin_taken, upload_received;
	/* Sequence of the upload whose result was told. */
	uint64_t upload_result;
	uint32_t limits;
} told;

static void read_boot_id(void)
{
	char text[37] = "";
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	size_t digits = 0;

	if (fd < 0 || read(fd, text, 36) != 36)
		die("boot id");
	close(fd);
	for (const char *c = text; *c && digits < 32; c++) {
		int value = *c >= '0' && *c <= '9' ? *c - '0' : *c - 'a' + 10;

		if (*c == '-')
			continue;
		boot_id[digits / 2] = (uint8_t)(boot_id[digits / 2] << 4 | value);
		digits++;
	}
}

void channel_open(void)
{
	channel_fd = open(DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (channel_fd < 0)
		die(DEVICE);
	read_boot_id();
}

static void lose_connection(void)
{
	state = AWAITING;
	is_cut = is_blocked = false;
	received_length = 0;
	control_length = control_sent = 0;
	begun = NULL;
	sessions_end();
}

/* ---- in ---- */

static bool handle_hello(struct span payload)
{
	struct host_hello hello;
	bool is_good;

	if (payload.length != sizeof(hello))
		return false;
	memcpy(&hello, payload.data, sizeof(hello));
	is_good = hello.magic == PROTOCOL_MAGIC && hello.version == PROTOCOL_VERSION;
	if (hello.output_stored == OUTPUT_STORED_UNKNOWN)
		hello.output_stored = program.outbox.acked;
	if (is_good && !outbox_rewind(&program.outbox, hello.output_stored))
		is_good = false;
	if (download_sequence() == 0 || hello.download_sequence != download_sequence())
		download_cancel();
	else if (is_good && !outbox_rewind(&download_outbox, hello.download_received))
		is_good = false;
	/* Answered in any case, so that the host sees what does not fit. */
	memset(&told, 0, sizeof(told));
	state = TALKING;
	channel_flush();
	return is_good;
}

/* A new walk replaces the one before, but a frame that was begun must be finished. */
static void begin_download(uint64_t sequence)
{
	size_t length;
	const uint8_t *rest = outbox_begun(&download_outbox, &length);

	if (rest) {
		memcpy(control, rest, length);
		control_length = length;
		control_sent = 0;
	}
	download_begin(sequence);
	told.download_end = false;
}

static bool handle_command(const struct frame_header *header, struct span payload)
{
	struct terminal_size size;

	switch (header->type) {
	case FRAME_RUN:
		/* The files that it was given are given once. */
		secure_layer();
		return task_run(&program, payload);
	case FRAME_SIGNAL:
		if (payload.length != 1)
			return false;
		task_signal(&program, payload.data[0]);
		return true;
	case FRAME_RESIZE:
		if (payload.length != sizeof(size))
			return false;
		memcpy(&size, payload.data, sizeof(size));
		task_resize(&program, size);
		return true;
	case FRAME_PUT:
		return upload_begin(header->sequence, payload);
	case FRAME_GET:
		begin_download(header->sequence);
		return payload.length == 0;
	case FRAME_POWER_OFF:
		is_power_off_due = true;
		return payload.length == 0;
	default:
		return false;
	}
}

static bool handle_frame(const struct frame_header *header, struct span payload)
{
	if (state == AWAITING)
		return header->type == FRAME_HELLO && handle_hello(payload);
	switch (header->type) {
	case FRAME_STDIN:
		return input_receive(&program.input, header->position, payload);
	case FRAME_STDIN_END:
		return payload.length == 0 && input_end(&program.input, header->position);
	case FRAME_UPLOAD:
		return upload_data(header->sequence, header->position, payload);
	case FRAME_OUTPUT_ACK:
		return payload.length == 0 && outbox_ack(&program.outbox, header->position);
	case FRAME_DOWNLOAD_ACK:
		/* One that crossed a newer request means nothing. */
		return payload.length == 0 && (header->sequence != download_sequence() ||
					       outbox_ack(&download_outbox, header->position));
	case FRAME_EXEC ... FRAME_EXEC_OUTPUT_ACK:
		return sessions_frame(header, payload);
	default:
		if (header->sequence != commands_done + 1 || !handle_command(header, payload))
			return false;
		commands_done++;
		return true;
	}
}

static void go_deaf(const struct frame_header *header)
{
	report("the host broke the protocol: frame %#x, %u bytes, sequence %llu, position %llu",
	       header->type, header->length, (unsigned long long)header->sequence,
	       (unsigned long long)header->position);
	state = DEAF;
}

static void handle_received(void)
{
	size_t offset = 0;

	while (state != DEAF && received_length - offset >= HEADER) {
		struct frame_header header;
		struct span payload;

		memcpy(&header, received + offset, HEADER);
		if (header.length > PAYLOAD_BYTES_MAX || header.reserved != 0) {
			go_deaf(&header);
			break;
		}
		if (received_length - offset < HEADER + header.length)
			break;
		payload = (struct span){ received + offset + HEADER, header.length };
		offset += HEADER + header.length;
		if (!handle_frame(&header, payload))
			go_deaf(&header);
	}
	if (state == DEAF)
		offset = received_length;
	received_length -= offset;
	memmove(received, received + offset, received_length);
}

void channel_handle(short events)
{
	if (!(events & (POLLIN | POLLHUP | POLLERR)))
		return;
	for (int turn = 0; turn < READS_IN_TURN; turn++) {
		size_t room = sizeof(received) - received_length;
		ssize_t got = read(channel_fd, received + received_length, room);

		if (got < 0)
			return;
		if (got == 0) {
			lose_connection();
			return;
		}
		received_length += (size_t)got;
		handle_received();
		if ((size_t)got < room)
			return;
	}
}

/* ---- out ---- */

static bool make_control(enum frame_type type, uint64_t sequence, uint64_t position,
			 const void *payload, size_t length)
{
	struct frame_header header = {
		.length = (uint32_t)length,
		.type = (uint16_t)type,
		.sequence = sequence,
		.position = position,
	};

	memcpy(control, &header, HEADER);
	if (length > 0)
		memcpy(control + HEADER, payload, length);
	control_length = HEADER + length;
	control_sent = 0;
	return true;
}

static bool make_hello(void)
{
	struct guest_hello hello = {
		.magic = PROTOCOL_MAGIC,
		.version = PROTOCOL_VERSION,
		.commands_done = commands_done,
		.stdin_received = program.input.received,
		.stdin_taken = program.input.taken,
		.output_produced = program.outbox.produced,
		.output_acked = program.outbox.acked,
		.upload_sequence = upload_sequence(),
		.upload_received = upload_received(),
		.limits = limits_reached(),
	};
	int error;

	memcpy(hello.boot_id, boot_id, sizeof(boot_id));
	if (program.is_started)
		hello.flags |= HELLO_STARTED;
	if (program.input.is_ended)
		hello.flags |= HELLO_STDIN_ENDED;
	if (upload_result(&error)) {
		hello.flags |= HELLO_UPLOAD_DONE;
		hello.upload_errno = error;
		told.upload_result = hello.upload_sequence;
	}
	told.hello = true;
	told.limits = hello.limits;
	told.commands = hello.commands_done;
	told.stdin_taken = hello.stdin_taken;
	told.upload_received = hello.upload_received;
	return make_control(FRAME_HELLO, 0, 0, &hello, sizeof(hello));
}

static bool make_upload_answer(void)
{
	int32_t error;
	bool is_done = upload_result(&error);

	if (is_done && told.upload_result != upload_sequence()) {
		told.upload_result = upload_sequence();
		return make_control(FRAME_PUT_RESULT, upload_sequence(), 0, &error, sizeof(error));
	}
	if (!is_done && told.upload_received != upload_received()) {
		told.upload_received = upload_received();
		/* The first piece is yet to come. */
		return told.upload_received > 0 &&
		       make_control(FRAME_UPLOAD_ACK, upload_sequence(), told.upload_received, NULL, 0);
	}
	return false;
}

/* The most urgent small frame that is due, if any. */
static bool make_due(void)
{
	struct exit_report report;
	struct session_news news;
	int32_t error;

	if (!told.hello)
		return make_hello();
	if (told.commands != commands_done) {
		told.commands = commands_done;
		return make_control(FRAME_COMMAND_ACK, commands_done, 0, NULL, 0);
	}
	if (told.stdin_taken != program.input.taken) {
		told.stdin_taken = program.input.taken;
		return make_control(FRAME_STDIN_ACK, 0, told.stdin_taken, NULL, 0);
	}
	if (make_upload_answer())
		return true;
	if (told.limits != limits_reached()) {
		told.limits = limits_reached();
		return make_control(FRAME_LIMITS, 0, told.limits, NULL, 0);
	}
	if (!told.exit && task_exit(&program, &report) && outbox_is_all_sent(&program.outbox)) {
		told.exit = true;
		return make_control(FRAME_EXIT, 0, program.outbox.produced, &report, sizeof(report));
	}
	if (sessions_news(&news)) {
		bool is_exit = news.type == FRAME_EXEC_EXIT;

		return make_control(news.type, news.sequence, news.position, &news.report,
				    is_exit ? sizeof(news.report) : 0);
	}
	if (!told.download_end && download_end(&error) && outbox_is_all_sent(&download_outbox)) {
		told.download_end = true;
		return make_control(FRAME_DOWNLOAD_END, download_sequence(), download_outbox.produced,
				    &error, sizeof(error));
	}
	return false;
}

static struct outbox *outbox_at(unsigned int index)
{
	if (index == 0)
		return &program.outbox;
	return index == 1 ? &download_outbox : session_outbox(index - 2);
}

/* In turns, so that nobody who has much to say keeps the others from saying anything. */
static struct outbox *next_outbox(void)
{
	for (unsigned int i = 0; i < OUTBOXES; i++) {
		struct outbox *box;

		turn = (turn + 1) % OUTBOXES;
		box = outbox_at(turn);
		if (box && !outbox_is_all_sent(box))
			return box;
	}
	return NULL;
}

/* A frame that was begun is finished first. */
static struct span next_span(struct outbox **box)
{
	struct span span = { NULL, 0 };

	*box = NULL;
	if (control_sent == control_length && begun && !outbox_is_between_frames(begun))
		*box = begun;
	if (!*box && (control_sent < control_length || make_due()))
		return (struct span){ control + control_sent, control_length - control_sent };
	if (!*box)
		*box = next_outbox();
	begun = *box;
	if (*box)
		span.data = outbox_next(*box, &span.length);
	return span;
}

void channel_flush(void)
{
	is_blocked = false;
	while (state == TALKING && !is_cut) {
		struct outbox *box;
		struct span span = next_span(&box);
		ssize_t written;

		if (!span.data)
			return;
		if (span.length > WRITE_BYTES_MAX)
			span.length = WRITE_BYTES_MAX;
		written = write(channel_fd, span.data, span.length);
		if (written < 0) {
			is_blocked = errno == EAGAIN;
			is_cut = errno != EAGAIN && errno != EINTR;
			return;
		}
		if (box)
			outbox_sent(box, (size_t)written);
		else
			control_sent += (size_t)written;
	}
}

void channel_poll(struct pollfd *poll)
{
	poll->fd = channel_fd;
	poll->events = POLLIN | (is_blocked ? POLLOUT : 0);
}

bool channel_is_power_off_due(void)
{
	return is_power_off_due;
}
