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
	case KERNORT_KIND_local:
	case KERNORT_KIND_namespace:
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

struct measure {
	struct kind kind;
	u32 lengths[KERNORT_RECORD_TAILS_MAX];
	u32 size; /* header, fields, tails and padding */
	bool is_cut;
};

static int measure(struct measure *out, enum kernort_kind number, const struct kernort_piece *tails)
{
	u8 i;

	memset(out, 0, sizeof(*out));
	if (!find_kind(number, &out->kind))
		return -EINVAL;
	out->size = (u32)sizeof(struct kernort_record_header) + out->kind.fields_size +
		    out->kind.tails * (u32)sizeof(u32);
	out->is_cut = cut_tails(out->lengths, tails, out->kind.tails, KERNORT_RECORD_SIZE_MAX - out->size);
	for (i = 0; i < out->kind.tails; i++)
		out->size += out->lengths[i];
	out->size = (out->size + 7) & ~7u;
	return 0;
}

int kernort_record_size(enum kernort_kind kind, const struct kernort_piece *tails)
{
	struct measure record;
	int err = measure(&record, kind, tails);

	return err ? err : (int)record.size;
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
	struct measure record;
	u32 at;
	u8 i;

	if (measure(&record, number, tails))
		return -EINVAL;
	if (record.size > room)
		return -ENOSPC;
	header.size = record.size;
	if (record.is_cut)
		header.flags |= KERNORT_RECORD_CUT;

	memcpy(header.comm, subject->comm, sizeof(header.comm));
	memcpy(dst, &header, sizeof(header));
	at = sizeof(header);
	memcpy(dst + at, fields, record.kind.fields_size);
	at += record.kind.fields_size;
	for (i = 0; i < record.kind.tails; i++) {
		memcpy(dst + at, &record.lengths[i], sizeof(u32));
		at += sizeof(u32);
		if (record.lengths[i])
			memcpy(dst + at, tails[i].bytes, record.lengths[i]);
		at += record.lengths[i];
	}
	memset(dst + at, 0, record.size - at);
	return (int)record.size;
}
