// SPDX-License-Identifier: GPL-2.0-only
/* Prints the binary interface of the sealed log as JSON: a test compares it with the reader's twin. */
#include "kernort_frame.h"
#include "kernort_record.h"

#include <stdio.h>

#define FIELD(structure, field)                                                            \
	printf("%s{\"name\":\"" #field "\",\"offset\":%zu,\"size\":%zu}", separator,       \
	       offsetof(struct structure, field), sizeof(((struct structure *)0)->field)); \
	separator = ",";

static void print_frame(void)
{
	const char *separator = "";

	printf("\"frame\":{\"size\":%zu,\"fields\":[", sizeof(struct kernort_frame_header));
	FIELD(kernort_frame_header, magic)
	FIELD(kernort_frame_header, version)
	FIELD(kernort_frame_header, kind)
	FIELD(kernort_frame_header, severity)
	FIELD(kernort_frame_header, reserved)
	FIELD(kernort_frame_header, clear_size)
	FIELD(kernort_frame_header, sealed_size)
	FIELD(kernort_frame_header, record_count)
	FIELD(kernort_frame_header, first_record)
	FIELD(kernort_frame_header, number)
	FIELD(kernort_frame_header, epoch)
	FIELD(kernort_frame_header, boot_number)
	FIELD(kernort_frame_header, server_id)
	FIELD(kernort_frame_header, boot_id)
	FIELD(kernort_frame_header, salt)
	FIELD(kernort_frame_header, previous)
	printf("]},");
}

static void print_record(void)
{
	const char *separator = "";

	printf("\"record\":{\"size\":%zu,\"fields\":[", sizeof(struct kernort_record_header));
	FIELD(kernort_record_header, size)
	FIELD(kernort_record_header, kind)
	FIELD(kernort_record_header, flags)
	FIELD(kernort_record_header, number)
	FIELD(kernort_record_header, monotonic_ns)
	FIELD(kernort_record_header, realtime_ns)
	FIELD(kernort_record_header, pid)
	FIELD(kernort_record_header, uid)
	FIELD(kernort_record_header, comm)
	printf("]},");
}

static const char *separator;
static size_t offset;

#define PRINT_FIELD(type, name)                                                                         \
	printf("%s{\"name\":\"" #name "\",\"type\":\"" #type "\",\"offset\":%zu}", separator, offset);  \
	offset += sizeof(KERNORT_TYPE_##type);                                                          \
	separator = ",";
#define PRINT_TAIL(name)                        \
	printf("%s\"" #name "\"", separator);   \
	separator = ",";
#define NOTHING(...)

#define PRINT_KIND(name, number, size, tails, LIST)                                              \
	printf("%s{\"name\":\"" #name "\",\"number\":%d,\"size\":%d,\"fields\":[",              \
	       number == 1 ? "" : ",", number, size);                                            \
	separator = "";                                                                          \
	offset = 0;                                                                              \
	LIST(PRINT_FIELD, NOTHING)                                                               \
	printf("],\"tails\":[");                                                                 \
	separator = "";                                                                          \
	LIST(NOTHING, PRINT_TAIL)                                                                \
	printf("]}");

int main(void)
{
	printf("{");
	print_frame();
	print_record();
	printf("\"limits\":{\"recordSizeMax\":%d,\"sealedSizeMax\":%d,\"recipientsMax\":%d,\"recipientSize\":%zu,"
	       "\"linkSize\":%zu,\"tagSize\":%d},",
	       KERNORT_RECORD_SIZE_MAX, KERNORT_FRAME_SEALED_MAX, KERNORT_RECIPIENTS_MAX,
	       sizeof(struct kernort_recipient), sizeof(struct kernort_epoch_link), KERNORT_TAG_SIZE);
	printf("\"kinds\":[");
	KERNORT_KINDS(PRINT_KIND)
	puts("]}");
	return 0;
}
