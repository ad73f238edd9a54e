// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ring of records and the reading of stamps, given anything; for sanitizers.
 *
 *   ring COUNT SEED      COUNT random steps on a ring, compared with a plain count of what should be in it
 *   ring --stamp COUNT SEED    COUNT random stamps; of those that are taken, all is read that they say is there
 */
#include "../engine/ring.h"
#include "../engine/stamp.h"

#include <stdio.h>
#include <stdlib.h>

static u64 random_state;

/* xorshift64 (Marsaglia 2003). */
static u64 random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

#define CHECK(condition)                                                        \
	do {                                                                    \
		if (!(condition)) {                                             \
			fprintf(stderr, "line %d: %s\n", __LINE__, #condition); \
			exit(1);                                                \
		}                                                               \
	} while (0)

static const enum kernort_kind kinds[KERNORT_CLASSES] = {
	KERNORT_KIND_alert, KERNORT_KIND_exec, KERNORT_KIND_klog, KERNORT_KIND_tty,
};

/* What went in, less what was told as shed, per class; and what came out. */
static u64 in[KERNORT_CLASSES], out[KERNORT_CLASSES], told[KERNORT_CLASSES];
static u64 next_out;

static void put(struct kernort_ring *ring)
{
	static u8 bytes[40000];
	static const u8 fields[64];
	const struct kernort_subject subject = { .pid = 1 };
	u32 class = (u32)(random_next() % KERNORT_CLASSES);
	size_t length = random_next() % 8 ? random_next() % 300 : random_next() % sizeof(bytes);
	struct kernort_piece tails[KERNORT_RECORD_TAILS_MAX] = { { bytes, length }, { bytes, 3 }, { NULL, 0 } };

	memset(bytes, (u8)ring->next_number, length);
	in[class]++;
	kernort_ring_put(ring, kinds[class], &subject, fields, tails);
}

static void take(struct kernort_ring *ring)
{
	const struct kernort_record_header *record = kernort_ring_first(ring);
	const struct kernort_shed *shed;
	u32 class;

	if (!record)
		return;
	CHECK(record->number == next_out++);
	CHECK(record->size <= KERNORT_RECORD_SIZE_MAX && record->size % 8 == 0);
	if (record->kind == KERNORT_KIND_shed) {
		shed = (const struct kernort_shed *)(record + 1);
		CHECK(shed->class < KERNORT_CLASSES && shed->records && shed->bytes);
		told[shed->class] += shed->records;
	} else {
		class = kernort_record_class((enum kernort_kind)record->kind);
		CHECK(record->kind == kinds[class]);
		out[class]++;
	}
	kernort_ring_drop(ring);
}

static void run_ring(u64 count)
{
	const struct kernort_subject subject = { .pid = 0 };
	/* Of its own size, so that a sanitizer sees the first byte too far. */
	u8 *bytes = malloc(KERNORT_RING_SIZE);
	struct kernort_ring ring;
	u32 class, many;

	CHECK(bytes);
	kernort_ring_init(&ring, bytes);
	while (count--) {
		switch (random_next() % 64) {
		case 0:
			for (many = (u32)(random_next() % 100); many; many--)
				take(&ring);
			kernort_ring_tell_shed(&ring, &subject);
			break;
		case 1:
			take(&ring);
			kernort_ring_tell_shed(&ring, &subject);
			break;
		default:
			put(&ring);
		}
		CHECK(ring.filled <= KERNORT_RING_ROOM);
	}
	while (kernort_ring_first(&ring)) {
		take(&ring);
		kernort_ring_tell_shed(&ring, &subject);
	}
	for (class = 0; class < KERNORT_CLASSES; class++) {
		CHECK(!ring.used[class] && !ring.shed[class].records && !ring.shed[class].bytes);
		CHECK(in[class] == out[class] + told[class] && out[class] && told[class]);
	}
	free(bytes);
}

static void run_stamps(u64 count)
{
	u64 sum = 0;

	while (count--) {
		u8 *bytes = malloc(KERNORT_STAMP_SECTION_SIZE);
		struct kernort_stamp *stamp = (struct kernort_stamp *)bytes;
		u32 changes = (u32)(random_next() % 6), i;

		CHECK(bytes);
		memset(bytes, 0, KERNORT_STAMP_SECTION_SIZE);
		memcpy(stamp->magic, KERNORT_STAMP_MAGIC, sizeof(stamp->magic));
		stamp->version = KERNORT_STAMP_VERSION;
		stamp->recipients = 1;
		stamp->policy_size = (u32)(random_next() % 17000);
		stamp->size = (u32)(sizeof(*stamp) + random_next() % 17000);
		while (changes--)
			bytes[random_next() % sizeof(*stamp)] = (u8)random_next();
		if (!kernort_stamp_check(bytes)) {
			for (i = 0; i < stamp->recipients; i++)
				sum += stamp->public_keys[i][31];
			for (i = 0; i < stamp->policy_size; i++)
				sum += stamp->policy[i];
		}
		free(bytes);
	}
	fprintf(stderr, "%llu\n", (unsigned long long)sum);
}

int main(int argc, char **argv)
{
	bool is_stamps = argc == 4 && !strcmp(argv[1], "--stamp");

	if (argc != 3 && !is_stamps)
		return 2;
	random_state = strtoull(argv[argc - 1], NULL, 10) | 1;
	if (is_stamps)
		run_stamps(strtoull(argv[2], NULL, 10));
	else
		run_ring(strtoull(argv[1], NULL, 10));
	puts("ok");
	return 0;
}
