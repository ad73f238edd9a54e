// SPDX-License-Identifier: GPL-2.0-only
/*
 * The sealing side in user space: a script in, a log out. Every random byte comes from the script, so that a log
 * can be made again to the byte.
 *
 * A script is a sequence of steps, each a letter and its operands, little-endian:
 *   K key[32]                                      a recipient
 *   B server[16] boot_number:u32 boot_id[16]       begin a boot; the chain goes on from the boot before
 *   J frames:u64 epochs:u32 boot_id[16] head[32]   stand where another sealer stands, but for its secrets
 *   E secret[32] salt[16] ephemeral[4][32]         begin an epoch
 *   R kind:u16 monotonic:u64 realtime:u64 pid:u32 uid:u32 comm[16]
 *     fields:u16 bytes, tails:u8, each length:u32 bytes      write a record
 *   F kind:u8 severity:u8 salt[16]                 seal what was written
 *
 *   sealer < script > log
 *   sealer --fuzz COUNT SEED script...             run mutations of the scripts; for sanitizers
 *   sealer --speed MEGABYTES                       print MB/s
 *   sealer --check                                 the known answers
 */
#include "../engine/cursor.h"
#include "../engine/record.h"
#include "../engine/seal.h"
#include "../tests/seal_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SCRIPT_MAX (16u << 20)

struct script_state {
	struct kernort_seal_config config;
	struct kernort_sealer sealer;
	u8 frame[KERNORT_FRAME_SIZE_MAX];
	u32 written;
	u32 count;
	u64 first;
	u64 next;
	FILE *out;
};

static void emit(struct script_state *state, int size)
{
	if (size > 0 && state->out)
		fwrite(state->frame, 1, (size_t)size, state->out);
}

static int copy(struct kernort_cursor *script, void *dst, u32 length)
{
	const u8 *bytes = cursor_take(script, length);

	if (!bytes)
		return -EINVAL;
	memcpy(dst, bytes, length);
	return 0;
}

static int add_key(struct script_state *state, struct kernort_cursor *script)
{
	if (state->config.recipients == KERNORT_RECIPIENTS_MAX)
		return -EINVAL;
	return copy(script, state->config.public_keys[state->config.recipients++], 32);
}

static int begin_boot(struct script_state *state, struct kernort_cursor *script)
{
	u8 boot_id[16], previous[32];

	if (copy(script, state->config.server_id, 16) || copy(script, &state->config.boot_number, 4) ||
	    copy(script, boot_id, sizeof(boot_id)))
		return -EINVAL;
	memcpy(previous, state->sealer.head, sizeof(previous));
	state->written = state->count = 0;
	state->first = state->next = 0;
	return kernort_sealer_init(&state->sealer, &state->config, boot_id, previous);
}

/* As whoever knows all that lies in the open, and none of the secrets. */
static int jump(struct script_state *state, struct kernort_cursor *script)
{
	struct kernort_sealer *sealer = &state->sealer;

	return copy(script, &sealer->frames, 8) || copy(script, &sealer->epochs, 4) ||
			       copy(script, sealer->boot_id, 16) || copy(script, sealer->head, 32) ?
		       -EINVAL :
		       0;
}

static int begin_epoch(struct script_state *state, struct kernort_cursor *script)
{
	struct kernort_epoch_random random;
	int size;

	if (state->written || copy(script, &random, sizeof(random)))
		return -EINVAL;
	size = kernort_sealer_begin_epoch(&state->sealer, state->frame, state->next, &random);
	emit(state, size);
	return size < 0 ? size : 0;
}

static int write_record(struct script_state *state, struct kernort_cursor *script)
{
	struct kernort_piece tails[KERNORT_RECORD_TAILS_MAX] = { { NULL, 0 } };
	struct kernort_subject subject;
	u8 fields[256] = { 0 };
	u16 kind, fields_size;
	u8 count, i;
	int size;

	if (copy(script, &kind, 2) || copy(script, &subject, sizeof(subject)) || copy(script, &fields_size, 2) ||
	    fields_size > sizeof(fields) || copy(script, fields, fields_size) || copy(script, &count, 1) ||
	    count > KERNORT_RECORD_TAILS_MAX)
		return -EINVAL;
	for (i = 0; i < count; i++) {
		u32 length;

		if (copy(script, &length, 4))
			return -EINVAL;
		tails[i].bytes = cursor_take(script, length);
		tails[i].length = length;
		if (!tails[i].bytes)
			return -EINVAL;
	}
	size = kernort_record_write(kernort_frame_records(state->frame) + state->written,
				    KERNORT_FRAME_SEALED_MAX - state->written, (enum kernort_kind)kind,
				    state->next, &subject, fields, tails);
	if (size < 0)
		return size;
	if (!state->count)
		state->first = state->next;
	state->next++;
	state->count++;
	state->written += (u32)size;
	return 0;
}

static int seal_frame(struct script_state *state, struct kernort_cursor *script)
{
	struct kernort_batch batch = { .record_count = state->count };
	u8 kind;
	int size;

	if (copy(script, &kind, 1) || copy(script, &batch.severity, 1) || copy(script, batch.salt, 16))
		return -EINVAL;
	batch.kind = (enum kernort_frame_kind)kind;
	batch.first_record = state->count ? state->first : state->next;
	size = kernort_sealer_seal(&state->sealer, state->frame, state->written, &batch);
	state->written = state->count = 0;
	emit(state, size);
	return size < 0 ? size : 0;
}

static int run_script(struct script_state *state, const u8 *bytes, u32 length)
{
	struct kernort_cursor script = cursor_over(bytes, length);
	int err = 0;

	while (script.left && !err) {
		switch (cursor_u8(&script)) {
		case 'K':
			err = add_key(state, &script);
			break;
		case 'B':
			err = begin_boot(state, &script);
			break;
		case 'J':
			err = jump(state, &script);
			break;
		case 'E':
			err = begin_epoch(state, &script);
			break;
		case 'R':
			err = write_record(state, &script);
			break;
		case 'F':
			err = seal_frame(state, &script);
			break;
		default:
			err = -EINVAL;
		}
	}
	return err;
}

static u32 read_all(FILE *file, u8 *bytes)
{
	return (u32)fread(bytes, 1, SCRIPT_MAX, file);
}

static u64 random_state;

/* xorshift64 (Marsaglia 2003): the same seed, the same mutations. */
static u64 random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static void mutate(u8 *bytes, u32 *length)
{
	u32 changes = 1 + (u32)(random_next() % 8);

	while (changes-- && *length) {
		u32 at = (u32)(random_next() % *length);

		if (random_next() % 16 == 0)
			*length = at;
		else
			bytes[at] = (u8)random_next();
	}
}

static int fuzz(struct script_state *state, int argc, char **argv)
{
	u32 count = (u32)strtoul(argv[0], NULL, 10), i, length;
	u8 *original = malloc(SCRIPT_MAX);
	int file;

	if (!original)
		return 1;
	random_state = strtoull(argv[1], NULL, 10) | 1;
	for (file = 2; file < argc; file++) {
		FILE *in = fopen(argv[file], "rb");

		if (!in)
			return 1;
		length = read_all(in, original);
		fclose(in);
		for (i = 0; i < count; i++) {
			u32 mutated = length;
			/* Of its own size, so that a sanitizer sees the first byte too far. */
			u8 *script = malloc(length ? length : 1);

			if (!script)
				return 1;
			memcpy(script, original, length);
			if (i)
				mutate(script, &mutated);
			memset(state, 0, sizeof(*state));
			run_script(state, script, mutated);
			free(script);
		}
	}
	free(original);
	printf("%d scripts, %u mutations each\n", argc - 2, count);
	return 0;
}

static int measure(struct script_state *state, u32 megabytes)
{
	struct kernort_epoch_random random;
	struct kernort_batch batch = { .kind = KERNORT_FRAME_RECORDS, .record_count = 1 };
	u64 left = (u64)megabytes << 20;
	struct timespec begin, end;
	double seconds;

	memset(&random, 7, sizeof(random));
	state->config.recipients = 1;
	kernort_x25519_public(state->config.public_keys[0], random.secret);
	kernort_sealer_init(&state->sealer, &state->config, random.salt, random.secret);
	kernort_sealer_begin_epoch(&state->sealer, state->frame, 0, &random);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
	for (; left >= KERNORT_FRAME_SEALED_MAX; left -= KERNORT_FRAME_SEALED_MAX) {
		if (kernort_sealer_is_epoch_full(&state->sealer)) {
			memset(&random, 9, sizeof(random));
			kernort_sealer_begin_epoch(&state->sealer, state->frame, 0, &random);
		}
		if (kernort_sealer_seal(&state->sealer, state->frame, KERNORT_FRAME_SEALED_MAX, &batch) < 0)
			return 1;
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
	seconds = (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
	printf("%.1f\n", (double)((u64)megabytes << 20) / 1e6 / seconds);
	return 0;
}

int main(int argc, char **argv)
{
	static struct script_state state;
	u8 *script;
	int err;

	if (argc >= 5 && !strcmp(argv[1], "--fuzz"))
		return fuzz(&state, argc - 2, argv + 2);
	if (argc == 3 && !strcmp(argv[1], "--speed"))
		return measure(&state, (u32)strtoul(argv[2], NULL, 10));
	if (argc == 2 && !strcmp(argv[1], "--check")) {
		const char *failed = kernort_seal_check();

		puts(failed ? failed : "ok");
		return failed != NULL;
	}
	script = malloc(SCRIPT_MAX);
	if (!script)
		return 1;
	state.out = stdout;
	err = run_script(&state, script, read_all(stdin, script));
	free(script);
	if (err)
		fprintf(stderr, "sealer: error %d\n", err);
	return err != 0;
}
