/* SPDX-License-Identifier: GPL-2.0-only */
/* Sealing records into the frames of a log; kernort_frame.h. */
#ifndef KERNORT_SEAL_H
#define KERNORT_SEAL_H

#include "kernort_crypto.h"
#include "kernort_frame.h"

/* Whose log, and who may read it. */
struct kernort_seal_config {
	u8 server_id[16];
	u32 boot_number;
	u32 recipients;
	u8 public_keys[KERNORT_RECIPIENTS_MAX][32];
};

struct kernort_sealer {
	struct kernort_seal_config config;
	u8 boot_id[16];
	u8 head[32];
	u64 frames;
	u32 epochs;
	u32 frames_in_epoch;
	u64 bytes_in_epoch;
	bool is_ended;
	u8 frame_root[32];
	u8 link_key[32];
};

/* Randomness of one epoch; wiped by the use. */
struct kernort_epoch_random {
	u8 secret[32];
	u8 salt[16];
	u8 ephemeral[KERNORT_RECIPIENTS_MAX][32];
};

/* What a frame of records is besides the records. */
struct kernort_batch {
	enum kernort_frame_kind kind; /* RECORDS or END */
	u8 severity;
	u32 record_count;
	u64 first_record;
	u8 salt[16]; /* random */
};

/*
 * Begin a boot. @boot_id: random. @previous: head of the boot before, zeros if there was none.
 * Return: 0, or -EINVAL for a count of recipients out of 1..KERNORT_RECIPIENTS_MAX.
 */
int kernort_sealer_init(struct kernort_sealer *sealer, const struct kernort_seal_config *config,
			const u8 boot_id[16], const u8 previous[32]);

/*
 * Begin an epoch: new secrets, the old ones wiped.
 * @frame: takes KERNORT_EPOCH_FRAME_SIZE_MAX bytes
 * Return: the frame's size, or -EINVAL after the end, when all numbers are used up, or for a bad public key. The
 * sealer is then as it was.
 */
int kernort_sealer_begin_epoch(struct kernort_sealer *sealer, u8 *frame, u64 next_record,
			       struct kernort_epoch_random *random);

/* True when an epoch holds as much as one should. How long it should last is the caller's to decide. */
bool kernort_sealer_is_epoch_full(const struct kernort_sealer *sealer);

/* Where the records of a frame go before they are sealed in place. */
static inline u8 *kernort_frame_records(u8 *frame)
{
	return frame + sizeof(struct kernort_frame_header);
}

/*
 * Seal the @size bytes (0..KERNORT_FRAME_SEALED_MAX) at kernort_frame_records(@frame), in place.
 * Return: the frame's size, or -EINVAL before the first epoch, after the end, or for a size out of range.
 */
int kernort_sealer_seal(struct kernort_sealer *sealer, u8 *frame, u32 size, const struct kernort_batch *batch);

/* Forget all secrets. */
void kernort_sealer_wipe(struct kernort_sealer *sealer);

#endif
