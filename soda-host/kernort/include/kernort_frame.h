/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Frames: how records lie sealed in the log. The binary interface; docs/formats/sealed-log.md sections 2 to 4.
 *
 * A frame is a header, a clear part, a sealed part and a tag. The header is what the landlord sees; it is
 * authenticated with the rest.
 */
#ifndef KERNORT_FRAME_H
#define KERNORT_FRAME_H

#include "kernort_env.h"

#define KERNORT_FRAME_VERSION 1
/* First bytes of every frame, by which a reader finds the next one behind damage. */
#define KERNORT_FRAME_MAGIC "\x8bKRNTFR\n"

#define KERNORT_FRAME_SEALED_MAX 65536
#define KERNORT_TAG_SIZE 16
#define KERNORT_RECIPIENTS_MAX 4

enum kernort_frame_kind {
	KERNORT_FRAME_EPOCH = 1, /* begins an epoch: clear part as below, nothing sealed */
	KERNORT_FRAME_RECORDS = 2, /* nothing clear, whole records sealed */
	KERNORT_FRAME_END = 3, /* the same, and the last of its boot */
};

struct kernort_frame_header {
	u8 magic[8];
	u8 version;
	u8 kind;
	u8 severity; /* gravest alert inside, 1..4, where the tenant lets the landlord see it, else 0 */
	u8 reserved;
	u32 clear_size;
	u32 sealed_size;
	u32 record_count;
	u64 first_record; /* number of the first record inside; of the next one if there is none */
	u64 number; /* counts within a boot, from 0 */
	u32 epoch; /* counts within a boot, from 0 */
	u32 boot_number; /* counts the boots of a server, from 0 */
	u8 server_id[16];
	u8 boot_id[16]; /* random, new at every boot */
	u8 salt[16]; /* random, new in every frame */
	u8 previous[32]; /* head of the chain before this frame */
};
static_assert(sizeof(struct kernort_frame_header) == 128);

/* The clear part of an epoch frame: a link, then one of these for each recipient. */
struct kernort_epoch_link {
	u8 tag[32];
};
static_assert(sizeof(struct kernort_epoch_link) == 32);

struct kernort_recipient {
	u8 key_id[16]; /* first half of the SHA-256 of the public key */
	u8 encapsulated[32];
	u8 wrapped[80]; /* struct kernort_epoch_secret, and a tag */
};
static_assert(sizeof(struct kernort_recipient) == 128);

/* What is wrapped for each recipient. */
struct kernort_epoch_secret {
	u8 secret[32];
	u8 link_key[32];
};
static_assert(sizeof(struct kernort_epoch_secret) == 64);

#define KERNORT_EPOCH_CLEAR_MAX \
	(sizeof(struct kernort_epoch_link) + KERNORT_RECIPIENTS_MAX * sizeof(struct kernort_recipient))
#define KERNORT_FRAME_SIZE_MAX \
	(sizeof(struct kernort_frame_header) + KERNORT_FRAME_SEALED_MAX + KERNORT_TAG_SIZE)
#define KERNORT_EPOCH_FRAME_SIZE_MAX \
	(sizeof(struct kernort_frame_header) + KERNORT_EPOCH_CLEAR_MAX + KERNORT_TAG_SIZE)

#endif
