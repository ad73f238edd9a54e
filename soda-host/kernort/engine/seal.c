// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sealing.
 *
 * Theory of operation
 *
 * Goal: a log that the landlord stores and only the tenant can read, in which nothing can be taken out, put in,
 * moved or repeated unseen.
 *
 * An epoch begins with a fresh random secret, wrapped for each recipient by HPKE. From it come two keys, and it is
 * forgotten:
 *   frame root: every frame has a key of its own, expanded from the root and the frame's whole header. The header
 *     holds a number that never repeats within a boot, and a fresh random salt: should the guest's memory ever be
 *     set back (snapshot, restore), the salt still makes another key. A key seals once, so the nonce is zero.
 *   link key, of a boot's first epoch only: authenticates that epoch's beginning. Each later epoch has the next one,
 *     stepped on from the one before by a function that cannot be undone, and told to the reader with the secret.
 *     Sealing needs no secret of the tenant's, so anybody could begin an epoch; who seizes the machine later lacks
 *     the link keys of the past and cannot put an epoch of their own among the old ones.
 *
 * Every header holds the chain's head before it; the head after it is SHA-256 of header and tag. The first header
 * of a boot holds the last head of the boot before, as the host says: what the host can lie about shows against
 * the heads that the tenant knows.
 *
 * Invariants: a key and a nonce are used once; secrets of an epoch are wiped before the next has any; numbers only
 * grow; a failed call changes nothing.
 * Attacker: the landlord with all files at all times, and with the machine's memory from some moment on.
 */
#include "seal.h"
#include "hpke.h"

/* What one lost secret would open. */
#define EPOCH_FRAMES_MAX 4096
#define EPOCH_BYTES_MAX (16u << 20)
/* Their numbers have 32 bits. */
#define EPOCHS_MAX 0xffffffffu

static const char hpke_info[] = "kernort sealed log 1";
static const char root_label[] = "kernort frame root";
static const char link_key_label[] = "kernort link key";
static const char link_step_label[] = "kernort link step";
static const char link_label[] = "kernort link";
static const char frame_label[] = "kernort frame";

int kernort_sealer_init(struct kernort_sealer *sealer, const struct kernort_seal_config *config,
			const u8 boot_id[16], const u8 previous[32])
{
	if (config->recipients < 1 || config->recipients > KERNORT_RECIPIENTS_MAX)
		return -EINVAL;
	memset(sealer, 0, sizeof(*sealer));
	sealer->config = *config;
	memcpy(sealer->boot_id, boot_id, sizeof(sealer->boot_id));
	memcpy(sealer->head, previous, sizeof(sealer->head));
	return 0;
}

static struct kernort_frame_header header_of(const struct kernort_sealer *sealer, const u8 salt[16])
{
	struct kernort_frame_header header = {
		.version = KERNORT_FRAME_VERSION,
		.number = sealer->frames,
		.boot_number = sealer->config.boot_number,
	};

	memcpy(header.magic, KERNORT_FRAME_MAGIC, sizeof(header.magic));
	memcpy(header.server_id, sealer->config.server_id, sizeof(header.server_id));
	memcpy(header.boot_id, sealer->boot_id, sizeof(header.boot_id));
	memcpy(header.salt, salt, sizeof(header.salt));
	memcpy(header.previous, sealer->head, sizeof(header.previous));
	return header;
}

/* Seal what lies behind header and clear part, in place, and move the chain on. Return: the frame's size. */
static int finish(struct kernort_sealer *sealer, u8 *frame, const struct kernort_frame_header *header,
		  const u8 frame_root[32])
{
	static const u8 nonce[12];
	size_t clear = sizeof(*header) + header->clear_size;
	const struct kernort_piece aad = { frame, clear };
	const struct kernort_piece chained[] = {
		{ frame, sizeof(*header) },
		{ frame + clear + header->sealed_size, KERNORT_TAG_SIZE },
	};
	u8 key[32];

	kernort_expand(key, frame_root, frame_label, frame, sizeof(*header));
	kernort_aead_seal(frame + clear, frame + clear, header->sealed_size, &aad, nonce, key);
	kernort_wipe(key, sizeof(key));
	kernort_sha256(sealer->head, chained, 2);
	sealer->frames++;
	return (int)(clear + header->sealed_size + KERNORT_TAG_SIZE);
}

static int wrap(struct kernort_recipient *recipient, const u8 public_key[32], const u8 ephemeral[32],
		const struct kernort_epoch_secret *secret, const struct kernort_frame_header *header)
{
	const struct kernort_piece key = { public_key, 32 };
	struct kernort_hpke context;
	u8 digest[32];
	int err;

	err = kernort_hpke_setup(&context, recipient->encapsulated, public_key, ephemeral, (const u8 *)hpke_info,
				 sizeof(hpke_info) - 1);
	if (err)
		return err;
	kernort_sha256(digest, &key, 1);
	memcpy(recipient->key_id, digest, sizeof(recipient->key_id));
	kernort_hpke_seal(&context, recipient->wrapped, (const u8 *)secret, sizeof(*secret), (const u8 *)header,
			  sizeof(*header));
	kernort_wipe(&context, sizeof(context));
	return 0;
}

/* The link key of the epoch to begin. */
static void next_link_key(const struct kernort_sealer *sealer, u8 out[32], const u8 secret[32])
{
	if (sealer->epochs)
		kernort_expand(out, sealer->link_key, link_step_label, NULL, 0);
	else
		kernort_expand(out, secret, link_key_label, NULL, 0);
}

static void write_link(u8 *frame, const u8 link_key[32], size_t recipients_size)
{
	u8 *tag = frame + sizeof(struct kernort_frame_header);
	const struct kernort_piece pieces[] = {
		{ link_label, sizeof(link_label) - 1 },
		{ frame, sizeof(struct kernort_frame_header) },
		{ tag + sizeof(struct kernort_epoch_link), recipients_size },
	};

	kernort_hmac_sha256(tag, link_key, 32, pieces, 3);
}

int kernort_sealer_begin_epoch(struct kernort_sealer *sealer, u8 *frame, u64 next_record,
			       struct kernort_epoch_random *random)
{
	struct kernort_frame_header header = header_of(sealer, random->salt);
	u8 *recipients = frame + sizeof(header) + sizeof(struct kernort_epoch_link);
	size_t size = sealer->config.recipients * sizeof(struct kernort_recipient);
	struct kernort_epoch_secret secret;
	int err = -EINVAL;
	u32 i;

	if (sealer->is_ended || sealer->epochs == EPOCHS_MAX)
		goto out;
	memcpy(secret.secret, random->secret, sizeof(secret.secret));
	next_link_key(sealer, secret.link_key, random->secret);
	header.kind = KERNORT_FRAME_EPOCH;
	header.epoch = sealer->epochs;
	header.first_record = next_record;
	header.clear_size = (u32)(sizeof(struct kernort_epoch_link) + size);
	memcpy(frame, &header, sizeof(header));
	for (i = 0; i < sealer->config.recipients; i++) {
		struct kernort_recipient recipient;

		err = wrap(&recipient, sealer->config.public_keys[i], random->ephemeral[i], &secret, &header);
		if (err)
			goto out;
		memcpy(recipients + i * sizeof(recipient), &recipient, sizeof(recipient));
	}
	write_link(frame, secret.link_key, size);
	memcpy(sealer->link_key, secret.link_key, sizeof(sealer->link_key));
	kernort_expand(sealer->frame_root, secret.secret, root_label, NULL, 0);
	err = finish(sealer, frame, &header, sealer->frame_root);
	sealer->epochs++;
	sealer->frames_in_epoch = 0;
	sealer->bytes_in_epoch = 0;
out:
	kernort_wipe(&secret, sizeof(secret));
	kernort_wipe(random, sizeof(*random));
	return err;
}

bool kernort_sealer_is_epoch_full(const struct kernort_sealer *sealer)
{
	return sealer->frames_in_epoch >= EPOCH_FRAMES_MAX || sealer->bytes_in_epoch >= EPOCH_BYTES_MAX;
}

int kernort_sealer_seal(struct kernort_sealer *sealer, u8 *frame, u32 size, const struct kernort_batch *batch)
{
	struct kernort_frame_header header = header_of(sealer, batch->salt);

	if (!sealer->epochs || sealer->is_ended || size > KERNORT_FRAME_SEALED_MAX)
		return -EINVAL;
	if (batch->kind != KERNORT_FRAME_RECORDS && batch->kind != KERNORT_FRAME_END)
		return -EINVAL;
	header.kind = (u8)batch->kind;
	header.severity = batch->severity;
	header.epoch = sealer->epochs - 1;
	header.sealed_size = size;
	header.record_count = batch->record_count;
	header.first_record = batch->first_record;
	memcpy(frame, &header, sizeof(header));
	sealer->frames_in_epoch++;
	sealer->bytes_in_epoch += size;
	if (batch->kind == KERNORT_FRAME_END)
		sealer->is_ended = true;
	return finish(sealer, frame, &header, sealer->frame_root);
}

void kernort_sealer_wipe(struct kernort_sealer *sealer)
{
	kernort_wipe(sealer, sizeof(*sealer));
	sealer->is_ended = true;
}
