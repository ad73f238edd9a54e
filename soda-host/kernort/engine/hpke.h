/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * HPKE, the sender's half of base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305 (RFC 9180).
 */
#ifndef KERNORT_HPKE_H
#define KERNORT_HPKE_H

#include "kernort_crypto.h"

struct kernort_hpke {
	u8 key[32];
	u8 base_nonce[12];
	u8 exporter_secret[32];
	u64 sequence;
};

/*
 * SetupBaseS (RFC 9180 section 5.1.1).
 * @encapsulated: out, what the recipient needs
 * @public_key: the recipient's
 * @ephemeral: 32 random bytes, used for nothing else; the caller wipes them
 * @info: up to 64 KiB
 * Return: 0, or -EINVAL for a public key of small order.
 */
int kernort_hpke_setup(struct kernort_hpke *context, u8 encapsulated[32], const u8 public_key[32],
		       const u8 ephemeral[32], const u8 *info, size_t info_length);

/* ContextS.Seal: @dst takes @length + 16 bytes. */
void kernort_hpke_seal(struct kernort_hpke *context, u8 *dst, const u8 *src, size_t length, const u8 *aad,
		       size_t aad_length);

/* Context.Export of 32 bytes. */
void kernort_hpke_export(const struct kernort_hpke *context, u8 out[32], const u8 *exporter_context, size_t length);

/* HKDF-Expand (RFC 5869) of one block: HMAC(key, label, data, 1). */
void kernort_expand(u8 out[32], const u8 key[32], const char *label, const u8 *data, size_t length);

#endif
