// SPDX-License-Identifier: GPL-2.0-only
/*
 * Kernort's primitives on the kernel's lib/crypto.
 *
 * Its ChaCha20-Poly1305 takes a nonce of 64 bits, and HPKE's has 96: the two are put together here as RFC 8439
 * section 2.8 says.
 */
#include "kernort_crypto.h"

#include <crypto/chacha.h>
#include <crypto/curve25519.h>
#include <crypto/poly1305.h>
#include <crypto/sha2.h>
#include <linux/string.h>
#include <linux/unaligned.h>

bool kernort_x25519_public(u8 out[32], const u8 scalar[32])
{
	return curve25519_generate_public(out, scalar);
}

bool kernort_x25519(u8 out[32], const u8 scalar[32], const u8 point[32])
{
	return curve25519(out, scalar, point);
}

void kernort_sha256(u8 out[32], const struct kernort_piece *pieces, u32 count)
{
	struct sha256_ctx context;
	u32 i;

	sha256_init(&context);
	for (i = 0; i < count; i++)
		sha256_update(&context, pieces[i].bytes, pieces[i].length);
	sha256_final(&context, out);
}

void kernort_hmac_sha256(u8 out[32], const u8 *key, size_t key_length, const struct kernort_piece *pieces,
			 u32 count)
{
	struct hmac_sha256_ctx context;
	u32 i;

	hmac_sha256_init_usingrawkey(&context, key, key_length);
	for (i = 0; i < count; i++)
		hmac_sha256_update(&context, pieces[i].bytes, pieces[i].length);
	hmac_sha256_final(&context, out);
}

/* RFC 8439 section 2.6: the first block of the key stream is the key of Poly1305. */
static void begin_mac(struct poly1305_desc_ctx *mac, struct chacha_state *stream)
{
	u8 block[CHACHA_BLOCK_SIZE];

	chacha20_block(stream, block);
	poly1305_init(mac, block);
	memzero_explicit(block, sizeof(block));
}

static void pad_mac(struct poly1305_desc_ctx *mac, size_t length)
{
	static const u8 zeros[POLY1305_BLOCK_SIZE];

	if (length % POLY1305_BLOCK_SIZE)
		poly1305_update(mac, zeros, POLY1305_BLOCK_SIZE - length % POLY1305_BLOCK_SIZE);
}

void kernort_aead_seal(u8 *dst, const u8 *src, size_t length, const struct kernort_piece *aad, const u8 nonce[12],
		       const u8 key[32])
{
	u32 words[CHACHA_KEY_WORDS];
	struct poly1305_desc_ctx mac;
	struct chacha_state stream;
	/* A block counter of zero, then the nonce. */
	u8 iv[CHACHA_IV_SIZE] = { 0 };
	__le64 lengths[2] = { cpu_to_le64(aad->length), cpu_to_le64(length) };
	u32 i;

	for (i = 0; i < CHACHA_KEY_WORDS; i++)
		words[i] = get_unaligned_le32(key + 4 * i);
	memcpy(iv + 4, nonce, 12);
	chacha_init(&stream, words, iv);
	begin_mac(&mac, &stream);
	chacha20_crypt(&stream, dst, src, length);
	poly1305_update(&mac, aad->bytes, aad->length);
	pad_mac(&mac, aad->length);
	poly1305_update(&mac, dst, length);
	pad_mac(&mac, length);
	poly1305_update(&mac, (const u8 *)lengths, sizeof(lengths));
	poly1305_final(&mac, dst + length);
	memzero_explicit(words, sizeof(words));
	chacha_zeroize_state(&stream);
}

void kernort_wipe(void *bytes, size_t length)
{
	memzero_explicit(bytes, length);
}
