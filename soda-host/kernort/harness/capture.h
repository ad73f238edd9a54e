/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KERNORT_CAPTURE_H
#define KERNORT_CAPTURE_H

#include "memory.h"

#define CAPTURE_INTERFACES 16

struct capture_frame {
	u64 time_us;
	u32 link_type, length;
	const u8 *bytes;
};

struct capture {
	struct memory_file file;
	u64 at;
	bool is_swapped, is_nanoseconds, is_ng;
	u32 interface_count;
	struct {
		u32 link_type;
		u64 units_per_second;
	} interfaces[CAPTURE_INTERFACES];
};

/* 0, or -EINVAL when the file is neither a pcap nor a pcapng file. */
int capture_open(struct capture *capture, const char *path);
/* false at the end, and at the first broken record. */
bool capture_next(struct capture *capture, struct capture_frame *frame);

#endif
