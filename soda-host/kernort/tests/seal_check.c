// SPDX-License-Identifier: GPL-2.0-only
/*
 * Known answers of HPKE: RFC 9180 appendix A.2.1 (base mode, X25519, HKDF-SHA256, ChaCha20-Poly1305), and the
 * refusal of a point of small order (RFC 7748 section 6.1).
 */
#include "seal_check.h"
#include "../engine/hpke.h"

#define PLAIN_SIZE 29
#define SEALED_SIZE (PLAIN_SIZE + 16)

static const char ephemeral_hex[] = "f4ec9b33b792c372c1d2c2063507b684ef925b8c75a42dbcbf57d63ccd381600";
static const char public_hex[] = "4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a";
static const char encapsulated_hex[] = "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a";
static const char key_hex[] = "ad2744de8e17f4ebba575b3f5f5a8fa1f69c2a07f6e7500bc60ca6e3e3ec1c91";
static const char nonce_hex[] = "5c4d98150661b848853b547f";
static const char exporter_hex[] = "a3b010d4994890e2c6968a36f64470d3c824c8f5029942feb11e7a74b2921922";
static const char info[] = "Ode on a Grecian Urn";
static const char plain[] = "Beauty is truth, truth beauty";

static const struct {
	u64 sequence;
	const char *aad;
	const char *sealed;
} sealed[] = {
	{ 0, "Count-0",
	  "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28" },
	{ 1, "Count-1",
	  "6b53c051e4199c518de79594e1c4ab18b96f081549d45ce015be002090bb119e85285337cc95ba5f59992dc98c" },
	{ 2, "Count-2",
	  "71146bd6795ccc9c49ce25dda112a48f202ad220559502cef1f34271e0cb4b02b4f10ecac6f48c32f878fae86b" },
	{ 4, "Count-4",
	  "63357a2aa291f5a4e5f27db6baa2af8cf77427c7c1a909e0b37214dd47db122bb153495ff0b02e9e54a50dbe16" },
	{ 255, "Count-255",
	  "18ab939d63ddec9f6ac2b60d61d36a7375d2070c9b683861110757062c52b8880a5f6b3936da9cd6c23ef2a95c" },
	{ 256, "Count-256",
	  "7a4a13e9ef23978e2c520fd4d2e757514ae160cd0cd05e556ef692370ca53076214c0c40d4c728d6ed9e727a5b" },
};

static const struct {
	const char *context;
	u8 length;
	const char *value;
} exported[] = {
	{ "", 0, "4bbd6243b8bb54cec311fac9df81841b6fd61f56538a775e7c80a9f40160606e" },
	{ "\0", 1, "8c1df14732580e5501b00f82b10a1647b40713191b7c1240ac80e2b68808ba69" },
	{ "TestContext", 11, "5acb09211139c43b3090489a9da433e8a30ee7188ba8b0a9a1ccf0c229283e53" },
};

static u8 nibble(char digit)
{
	return (u8)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

static void unhex(u8 *out, const char *hex)
{
	for (; hex[0] && hex[1]; hex += 2)
		*out++ = (u8)(nibble(hex[0]) << 4 | nibble(hex[1]));
}

static bool is_hex(const u8 *bytes, size_t length, const char *hex)
{
	u8 expected[SEALED_SIZE];

	unhex(expected, hex);
	return !memcmp(bytes, expected, length);
}

static const char *check_seals(struct kernort_hpke *context)
{
	u8 out[SEALED_SIZE];
	u32 i;

	for (i = 0; i < sizeof(sealed) / sizeof(sealed[0]); i++) {
		context->sequence = sealed[i].sequence;
		kernort_hpke_seal(context, out, (const u8 *)plain, PLAIN_SIZE, (const u8 *)sealed[i].aad,
				  strlen(sealed[i].aad));
		if (!is_hex(out, sizeof(out), sealed[i].sealed))
			return sealed[i].aad;
	}
	return NULL;
}

static const char *check_exports(const struct kernort_hpke *context)
{
	u8 out[32];
	u32 i;

	for (i = 0; i < sizeof(exported) / sizeof(exported[0]); i++) {
		kernort_hpke_export(context, out, (const u8 *)exported[i].context, exported[i].length);
		if (!is_hex(out, sizeof(out), exported[i].value))
			return "export";
	}
	return NULL;
}

const char *kernort_seal_check(void)
{
	u8 ephemeral[32], public_key[32], encapsulated[32];
	static const u8 small_order[32];
	struct kernort_hpke context;
	const char *failed;

	unhex(ephemeral, ephemeral_hex);
	unhex(public_key, public_hex);
	if (kernort_hpke_setup(&context, encapsulated, public_key, ephemeral, (const u8 *)info, sizeof(info) - 1))
		return "setup";
	if (!is_hex(encapsulated, 32, encapsulated_hex))
		return "encapsulated key";
	if (!is_hex(context.key, 32, key_hex))
		return "key";
	if (!is_hex(context.base_nonce, 12, nonce_hex))
		return "base nonce";
	if (!is_hex(context.exporter_secret, 32, exporter_hex))
		return "exporter secret";
	failed = check_seals(&context);
	if (!failed)
		failed = check_exports(&context);
	if (failed)
		return failed;
	if (kernort_hpke_setup(&context, encapsulated, small_order, ephemeral, NULL, 0) != -EINVAL)
		return "small order";
	return NULL;
}
