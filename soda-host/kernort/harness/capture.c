// SPDX-License-Identifier: GPL-2.0-only
/* Capture files: classic pcap (draft-ietf-opsawg-pcap) of either byte order and unit of time, and pcapng. */
#include "capture.h"

enum { PCAPNG_INTERFACE = 1, PCAPNG_ENHANCED = 6, PCAPNG_SECTION = 0x0a0d0d0a };

static u32 word_at(const struct capture *capture, u64 at)
{
	u32 word;

	memcpy(&word, capture->file.bytes + at, sizeof(word));
	return capture->is_swapped ? __builtin_bswap32(word) : word;
}

static u16 half_at(const struct capture *capture, u64 at)
{
	u16 half;

	memcpy(&half, capture->file.bytes + at, sizeof(half));
	return capture->is_swapped ? __builtin_bswap16(half) : half;
}

int capture_open(struct capture *capture, const char *path)
{
	u32 magic;

	memset(capture, 0, sizeof(*capture));
	if (memory_file_open(&capture->file, path) || capture->file.length < 24)
		return -EINVAL;
	magic = word_at(capture, 0);
	if (magic == PCAPNG_SECTION) {
		capture->is_ng = true;
		return 0;
	}
	capture->is_swapped = magic == 0xd4c3b2a1 || magic == 0x4d3cb2a1;
	magic = word_at(capture, 0);
	capture->is_nanoseconds = magic == 0xa1b23c4d;
	if (magic != 0xa1b2c3d4 && magic != 0xa1b23c4d)
		return -EINVAL;
	capture->interfaces[0].link_type = word_at(capture, 20) & 0xffff;
	capture->at = 24;
	return 0;
}

static bool classic_next(struct capture *capture, struct capture_frame *frame)
{
	u64 left = capture->file.length - capture->at;

	if (left < 16)
		return false;
	frame->time_us = word_at(capture, capture->at) * 1000000ULL +
			 word_at(capture, capture->at + 4) / (capture->is_nanoseconds ? 1000 : 1);
	frame->length = word_at(capture, capture->at + 8);
	frame->link_type = capture->interfaces[0].link_type;
	frame->bytes = capture->file.bytes + capture->at + 16;
	if (frame->length > left - 16)
		return false;
	capture->at += 16 + frame->length;
	return true;
}

/* The if_tsresol option (code 9) of an interface block: a power of ten, or of two when the high bit is set. */
static u64 units_per_second(const struct capture *capture, u64 at, u64 end)
{
	u64 units = 1;
	u8 resolution = 6;

	while (at + 4 <= end) {
		u16 code = half_at(capture, at), length = half_at(capture, at + 2);

		if (code == 0 || at + 4 + length > end)
			break;
		if (code == 9 && length >= 1)
			resolution = capture->file.bytes[at + 4];
		at += 4 + ((length + 3u) & ~3u);
	}
	if (resolution & 0x80)
		return 1ULL << (resolution & 0x3f);
	for (; resolution > 0 && units < 1000000000000ULL; resolution--)
		units *= 10;
	return units;
}

static void add_interface(struct capture *capture, u64 at, u32 length)
{
	if (length < 20 || capture->interface_count == CAPTURE_INTERFACES)
		return;
	capture->interfaces[capture->interface_count].link_type = half_at(capture, at + 8);
	capture->interfaces[capture->interface_count++].units_per_second =
		units_per_second(capture, at + 16, at + length - 4);
}

static bool enhanced_frame(struct capture *capture, u64 at, u32 length, struct capture_frame *frame)
{
	u32 interface = word_at(capture, at + 8);
	u64 time = (u64)word_at(capture, at + 12) << 32 | word_at(capture, at + 16), units;

	frame->length = word_at(capture, at + 20);
	if (interface >= capture->interface_count || frame->length > length - 32)
		return false;
	units = capture->interfaces[interface].units_per_second;
	frame->time_us = time / units * 1000000 + time % units * 1000000 / units;
	frame->link_type = capture->interfaces[interface].link_type;
	frame->bytes = capture->file.bytes + at + 28;
	return true;
}

static bool ng_next(struct capture *capture, struct capture_frame *frame)
{
	while (capture->file.length - capture->at >= 12) {
		u64 at = capture->at;
		u32 type = word_at(capture, at), length;

		if (type == PCAPNG_SECTION) {
			capture->is_swapped = false;
			capture->is_swapped = word_at(capture, at + 8) == 0x4d3c2b1a;
			capture->interface_count = 0;
		}
		length = word_at(capture, at + 4);
		if (length < 12 || length % 4 || length > capture->file.length - at)
			return false;
		capture->at += length;
		if (type == PCAPNG_INTERFACE)
			add_interface(capture, at, length);
		if (type == PCAPNG_ENHANCED && length >= 32 && enhanced_frame(capture, at, length, frame))
			return true;
	}
	return false;
}

bool capture_next(struct capture *capture, struct capture_frame *frame)
{
	return capture->is_ng ? ng_next(capture, frame) : classic_next(capture, frame);
}
