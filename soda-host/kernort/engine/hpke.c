// SPDX-License-Identifier: GPL-2.0-only
/*
 * HPKE base mode. Names follow RFC 9180, sections 4, 4.1 and 5.1; the numbers of the suite are in section 7.
 */
#include "hpke.h"

/* Longest output asked of HKDF here: one block of the hash. */
#define BLOCK 32

static const char version_label[] = "HPKE-v1";
/* "KEM" 0x0020 */
static const u8 kem_suite[] = { 'K', 'E', 'M', 0x00, 0x20 };
/* "HPKE" KEM 0x0020, KDF 0x0001, AEAD 0x0003 */
static const u8 hpke_suite[] = { 'H', 'P', 'K', 'E', 0x00, 0x20, 0x00, 0x01, 0x00, 0x03 };

struct suite {
	const u8 *id;
	size_t length;
};

static const struct suite kem = { kem_suite, sizeof(kem_suite) };
static const struct suite hpke = { hpke_suite, sizeof(hpke_suite) };

/* RFC 9180 section 4: LabeledExtract. */
static void labeled_extract(u8 out[BLOCK], const struct suite *suite, const u8 *salt, size_t salt_length,
			    const char *label, const u8 *ikm, size_t ikm_length)
{
	const struct kernort_piece pieces[] = {
		{ version_label, sizeof(version_label) - 1 },
		{ suite->id, suite->length },
		{ label, strlen(label) },
		{ ikm, ikm_length },
	};

	kernort_hmac_sha256(out, salt, salt_length, pieces, 4);
}

/* RFC 9180 section 4: LabeledExpand, of at most one block. */
static void labeled_expand(u8 *out, u8 length, const struct suite *suite, const u8 prk[BLOCK], const char *label,
			   const u8 *info, size_t info_length)
{
	const u8 wanted[2] = { 0, length };
	const u8 first = 1;
	const struct kernort_piece pieces[] = {
		{ wanted, sizeof(wanted) },
		{ version_label, sizeof(version_label) - 1 },
		{ suite->id, suite->length },
		{ label, strlen(label) },
		{ info, info_length },
		{ &first, 1 },
	};
	u8 block[BLOCK];

	kernort_hmac_sha256(block, prk, BLOCK, pieces, 6);
	memcpy(out, block, length);
	kernort_wipe(block, sizeof(block));
}

/* RFC 9180 section 4.1: Encap. */
static int encapsulate(u8 shared[32], u8 encapsulated[32], const u8 public_key[32], const u8 ephemeral[32])
{
	u8 context[64], dh[32], eae[BLOCK];
	int err = -EINVAL;

	if (!kernort_x25519_public(encapsulated, ephemeral))
		goto out;
	if (!kernort_x25519(dh, ephemeral, public_key))
		goto out;
	memcpy(context, encapsulated, 32);
	memcpy(context + 32, public_key, 32);
	labeled_extract(eae, &kem, NULL, 0, "eae_prk", dh, sizeof(dh));
	labeled_expand(shared, 32, &kem, eae, "shared_secret", context, sizeof(context));
	err = 0;
out:
	kernort_wipe(dh, sizeof(dh));
	kernort_wipe(eae, sizeof(eae));
	return err;
}

int kernort_hpke_setup(struct kernort_hpke *context, u8 encapsulated[32], const u8 public_key[32],
		       const u8 ephemeral[32], const u8 *info, size_t info_length)
{
	/* mode_base, then the hashes of an empty psk_id and of info */
	u8 schedule[1 + 2 * BLOCK] = { 0 };
	u8 shared[32], secret[BLOCK];
	int err = encapsulate(shared, encapsulated, public_key, ephemeral);

	if (err)
		return err;
	labeled_extract(schedule + 1, &hpke, NULL, 0, "psk_id_hash", NULL, 0);
	labeled_extract(schedule + 1 + BLOCK, &hpke, NULL, 0, "info_hash", info, info_length);
	labeled_extract(secret, &hpke, shared, sizeof(shared), "secret", NULL, 0);
	labeled_expand(context->key, 32, &hpke, secret, "key", schedule, sizeof(schedule));
	labeled_expand(context->base_nonce, 12, &hpke, secret, "base_nonce", schedule, sizeof(schedule));
	labeled_expand(context->exporter_secret, 32, &hpke, secret, "exp", schedule, sizeof(schedule));
	context->sequence = 0;
	kernort_wipe(shared, sizeof(shared));
	kernort_wipe(secret, sizeof(secret));
	return 0;
}

void kernort_hpke_seal(struct kernort_hpke *context, u8 *dst, const u8 *src, size_t length, const u8 *aad,
		       size_t aad_length)
{
	const struct kernort_piece piece = { aad, aad_length };
	u8 nonce[12];
	u32 i;

	/* ComputeNonce: base_nonce XOR the sequence, big-endian, at its end. */
	memcpy(nonce, context->base_nonce, sizeof(nonce));
	for (i = 0; i < 8; i++)
		nonce[11 - i] ^= (u8)(context->sequence >> (8 * i));
	context->sequence++;
	kernort_aead_seal(dst, src, length, &piece, nonce, context->key);
}

void kernort_hpke_export(const struct kernort_hpke *context, u8 out[32], const u8 *exporter_context, size_t length)
{
	labeled_expand(out, 32, &hpke, context->exporter_secret, "sec", exporter_context, length);
}

void kernort_expand(u8 out[32], const u8 key[32], const char *label, const u8 *data, size_t length)
{
	const u8 first = 1;
	const struct kernort_piece pieces[] = { { label, strlen(label) }, { data, length }, { &first, 1 } };

	kernort_hmac_sha256(out, key, 32, pieces, 3);
}
