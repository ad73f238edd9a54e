/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Cryptographic primitives: in the guest kernel by lib/crypto (env/kernel), in user space by OpenSSL's libcrypto
 * (env/user).
 *
 * None of these fails on well-formed input, but for the two that return bool.
 */
#ifndef KERNORT_CRYPTO_H
#define KERNORT_CRYPTO_H

#include "kernort_env.h"

struct kernort_piece {
	const void *bytes;
	size_t length;
};

/* @out = scalar * base point. False when the scalar is degenerate. */
bool kernort_x25519_public(u8 out[32], const u8 scalar[32]);
/* @out = scalar * point. False when the result is all zeros: the point was of small order. */
bool kernort_x25519(u8 out[32], const u8 scalar[32], const u8 point[32]);
void kernort_sha256(u8 out[32], const struct kernort_piece *pieces, u32 count);
void kernort_hmac_sha256(u8 out[32], const u8 *key, size_t key_length, const struct kernort_piece *pieces,
			 u32 count);
/* RFC 8439. @dst: @length bytes and a tag of 16; may be @src. */
void kernort_aead_seal(u8 *dst, const u8 *src, size_t length, const struct kernort_piece *aad, const u8 nonce[12],
		       const u8 key[32]);
/* Zeros that no compiler leaves out. */
void kernort_wipe(void *bytes, size_t length);

#endif
