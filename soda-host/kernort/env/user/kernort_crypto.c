// SPDX-License-Identifier: GPL-2.0-only
/*
 * Kernort's primitives on OpenSSL 3. What libcrypto refuses here is want of memory or a broken installation: the
 * harness ends.
 */
#include "kernort_crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/params.h>
#include <stdio.h>
#include <stdlib.h>

static void check(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "libcrypto failed: %s\n", what);
	abort();
}

bool kernort_x25519_public(u8 out[32], const u8 scalar[32])
{
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, scalar, 32);
	size_t length = 32;

	check(key != NULL, "X25519 key");
	check(EVP_PKEY_get_raw_public_key(key, out, &length) == 1, "X25519 public key");
	EVP_PKEY_free(key);
	return true;
}

bool kernort_x25519(u8 out[32], const u8 scalar[32], const u8 point[32])
{
	EVP_PKEY *ours = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, scalar, 32);
	EVP_PKEY *theirs = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, point, 32);
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(ours, NULL);
	size_t length = 32;
	bool ok;

	check(ours && theirs && context, "X25519 keys");
	check(EVP_PKEY_derive_init(context) == 1, "X25519");
	check(EVP_PKEY_derive_set_peer(context, theirs) == 1, "X25519 peer");
	ok = EVP_PKEY_derive(context, out, &length) == 1;
	EVP_PKEY_CTX_free(context);
	EVP_PKEY_free(theirs);
	EVP_PKEY_free(ours);
	return ok;
}

void kernort_sha256(u8 out[32], const struct kernort_piece *pieces, u32 count)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	u32 i;

	check(context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1, "SHA-256");
	for (i = 0; i < count; i++)
		check(EVP_DigestUpdate(context, pieces[i].bytes, pieces[i].length) == 1, "SHA-256");
	check(EVP_DigestFinal_ex(context, out, NULL) == 1, "SHA-256");
	EVP_MD_CTX_free(context);
}

void kernort_hmac_sha256(u8 out[32], const u8 *key, size_t key_length, const struct kernort_piece *pieces,
			 u32 count)
{
	static EVP_MAC *mac;
	char digest[] = "SHA256";
	OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string("digest", digest, 0), OSSL_PARAM_construct_end() };
	static const u8 empty;
	EVP_MAC_CTX *context;
	u32 i;

	if (!mac)
		mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	context = mac ? EVP_MAC_CTX_new(mac) : NULL;
	/* Without a key OpenSSL would go on with an older one. */
	check(context && EVP_MAC_init(context, key_length ? key : &empty, key_length, params) == 1, "HMAC");
	for (i = 0; i < count; i++)
		check(EVP_MAC_update(context, pieces[i].bytes, pieces[i].length) == 1, "HMAC");
	check(EVP_MAC_final(context, out, NULL, 32) == 1, "HMAC");
	EVP_MAC_CTX_free(context);
}

void kernort_aead_seal(u8 *dst, const u8 *src, size_t length, const struct kernort_piece *aad, const u8 nonce[12],
		       const u8 key[32])
{
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	u8 none[16];
	int n = 0;

	check(context && EVP_EncryptInit_ex(context, EVP_chacha20_poly1305(), NULL, key, nonce) == 1, "AEAD");
	if (aad->length)
		check(EVP_EncryptUpdate(context, NULL, &n, aad->bytes, (int)aad->length) == 1, "AEAD");
	if (length)
		check(EVP_EncryptUpdate(context, dst, &n, src, (int)length) == 1, "AEAD");
	check(EVP_EncryptFinal_ex(context, none, &n) == 1, "AEAD");
	check(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, dst + length) == 1, "AEAD");
	EVP_CIPHER_CTX_free(context);
}

void kernort_wipe(void *bytes, size_t length)
{
	OPENSSL_cleanse(bytes, length);
}
