// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writing one record: header, fields, tails, padding; see kernort_record.h.
 *
 * The content comes from guest programs: any byte, any length. Lengths are cut here, at one place, so that a record
 * never passes KERNORT_RECORD_SIZE_MAX.
 */
#include "record.h"

struct kind {
	u16 fields_size;
	u8 tails;
};

static bool find_kind(enum kernort_kind number, struct kind *kind)
{
	switch (number) {
#define CASE(name, number, size, tails, LIST)                 \
	case KERNORT_KIND_##name:                          \
		*kind = (struct kind){ (size), (tails) };  \
		return true;
		KERNORT_KINDS(CASE)
#undef CASE
	}
	return false;
}

enum kernort_class kernort_record_class(enum kernort_kind kind)
{
	switch (kind) {
	case KERNORT_KIND_exec:
	case KERNORT_KIND_cred:
	case KERNORT_KIND_mount:
	case KERNORT_KIND_ptrace:
	case KERNORT_KIND_socket:
	case KERNORT_KIND_signal:
		return KERNORT_CLASS_PROCESS;
	case KERNORT_KIND_fork:
	case KERNORT_KIND_exit:
	case KERNORT_KIND_file:
	case KERNORT_KIND_klog:
	case KERNORT_KIND_syslog:
	case KERNORT_KIND_snapshot:
		return KERNORT_CLASS_DETAIL;
	case KERNORT_KIND_tty:
		return KERNORT_CLASS_BULK;
	default:
		return KERNORT_CLASS_ALERT;
	}
}

/* Cut @tails into @lengths so that they fit into @budget bytes. True when something was lost. */
static bool cut_tails(u32 lengths[KERNORT_RECORD_TAILS_MAX], const struct kernort_piece *tails, u8 count,
		      u32 budget)
{
	bool is_cut = false;
	u8 i;

	for (i = 0; i < count; i++) {
		bool fits = tails[i].length <= budget;

		lengths[i] = fits ? (u32)tails[i].length : budget;
		budget -= lengths[i];
		is_cut |= !fits;
	}
	return is_cut;
}

int kernort_record_write(u8 *dst, size_t room, enum kernort_kind number, u64 record_number,
			 const struct kernort_subject *subject, const void *fields,
			 const struct kernort_piece *tails)
{
	struct kernort_record_header header = {
		.kind = (u16)number,
		.number = record_number,
		.monotonic_ns = subject->monotonic_ns,
		.realtime_ns = subject->realtime_ns,
		.pid = subject->pid,
		.uid = subject->uid,
	};
	u32 lengths[KERNORT_RECORD_TAILS_MAX] = { 0 };
	struct kind kind;
	u32 size, at;
	u8 i;

	if (!find_kind(number, &kind))
		return -EINVAL;
	size = sizeof(header) + kind.fields_size + kind.tails * (u32)sizeof(u32);
	if (cut_tails(lengths, tails, kind.tails, KERNORT_RECORD_SIZE_MAX - size))
		header.flags |= KERNORT_RECORD_CUT;
	for (i = 0; i < kind.tails; i++)
		size += lengths[i];
	header.size = (size + 7) & ~7u;
	if (header.size > room)
		return -ENOSPC;

	memcpy(header.comm, subject->comm, sizeof(header.comm));
	memcpy(dst, &header, sizeof(header));
	at = sizeof(header);
	memcpy(dst + at, fields, kind.fields_size);
	at += kind.fields_size;
	for (i = 0; i < kind.tails; i++) {
		memcpy(dst + at, &lengths[i], sizeof(u32));
		at += sizeof(u32);
		if (lengths[i])
			memcpy(dst + at, tails[i].bytes, lengths[i]);
		at += lengths[i];
	}
	memset(dst + at, 0, header.size - at);
	return (int)header.size;
}
