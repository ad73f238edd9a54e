// SPDX-License-Identifier: GPL-2.0-only
/*
 * Names of an X.509 certificate (RFC 5280, section 4.1), written as Suricata writes them: "C=US, O=Example, CN=www".
 * Only the fields up to the subject are walked; anything odd ends the walk.
 */
#include "tls.h"

#define NAME_BYTES 2048u
#define NAME_PARTS 32u

enum { DER_INTEGER = 0x02, DER_OID = 0x06, DER_SEQUENCE = 0x30, DER_SET = 0x31, DER_VERSION = 0xa0 };

/* The content of the next element if its tag is @tag; nothing otherwise, and the cursor stays. */
static bool der_enter(struct kernort_cursor *rest, u8 tag, struct kernort_cursor *content)
{
	struct kernort_cursor ahead = *rest;
	u32 length, bytes;

	if (cursor_u8(&ahead) != tag)
		return false;
	length = cursor_u8(&ahead);
	if (length & 0x80) {
		bytes = length & 0x7f;
		if (bytes == 0 || bytes > 3)
			return false;
		for (length = 0; bytes > 0; bytes--)
			length = length << 8 | cursor_u8(&ahead);
	}
	if (ahead.short_read || length > ahead.left)
		return false;
	*content = cursor_within(&ahead, length);
	*rest = ahead;
	return true;
}

static bool der_skip(struct kernort_cursor *rest)
{
	struct kernort_cursor content;

	return rest->left > 0 && der_enter(rest, rest->at[0], &content);
}

static const char *attribute_name(const struct kernort_cursor *oid)
{
	static const struct {
		u8 last;
		const char *name;
	} names[] = { { 3, "CN" }, { 4, "SN" }, { 5, "serialNumber" }, { 6, "C" },	   { 7, "L" },
		      { 8, "ST" }, { 9, "street" }, { 10, "O" },	       { 11, "OU" }, { 12, "title" },
		      { 17, "postalCode" }, { 42, "GN" } };
	u32 i;

	if (oid->left == 3 && oid->at[0] == 0x55 && oid->at[1] == 4)
		for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			if (names[i].last == oid->at[2])
				return names[i].name;
	if (oid->left == 9 && !memcmp(oid->at, "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01", 9))
		return "emailAddress";
	if (oid->left == 10 && !memcmp(oid->at, "\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19", 10))
		return "DC";
	return NULL;
}

static void append(u8 *out, u32 *used, const void *bytes, u32 length)
{
	if (length > NAME_BYTES - *used)
		length = NAME_BYTES - *used;
	memcpy(out + *used, bytes, length);
	*used += length;
}

static void name_view(struct kernort_views *views, u8 buffer, struct kernort_cursor name)
{
	u8 *out = view_derive(views, NAME_BYTES);
	struct kernort_cursor set, pair, oid, value;
	u32 used = 0, parts;

	if (!out)
		return;
	for (parts = 0; parts < NAME_PARTS && der_enter(&name, DER_SET, &set); parts++) {
		const char *attribute;

		if (!der_enter(&set, DER_SEQUENCE, &pair) || !der_enter(&pair, DER_OID, &oid) || pair.left == 0 ||
		    !der_enter(&pair, pair.at[0], &value))
			return;
		attribute = attribute_name(&oid);
		if (!attribute)
			continue;
		if (used > 0)
			append(out, &used, ", ", 2);
		append(out, &used, attribute, (u32)strlen(attribute));
		append(out, &used, "=", 1);
		append(out, &used, value.at, value.left);
	}
	view_set(views, buffer, out, used);
}

static void serial_view(struct kernort_views *views, struct kernort_cursor serial)
{
	static const char digits[] = "0123456789ABCDEF";
	u8 *out = serial.left > 0 && serial.left < 128 ? view_derive(views, serial.left * 3) : NULL;
	u32 used = 0;

	if (!out)
		return;
	while (serial.left > 0) {
		u8 byte = cursor_u8(&serial);

		out[used++] = (u8)digits[byte >> 4];
		out[used++] = (u8)digits[byte & 15];
		out[used++] = ':';
	}
	view_set(views, KERNORT_BUFFER_TLS_CERT_SERIAL, out, used - 1);
}

void kernort_certificate_views(struct kernort_views *views, struct kernort_cursor der)
{
	struct kernort_cursor certificate, fields, version, serial, issuer, subject;

	if (!der_enter(&der, DER_SEQUENCE, &certificate) || !der_enter(&certificate, DER_SEQUENCE, &fields))
		return;
	der_enter(&fields, DER_VERSION, &version);
	if (!der_enter(&fields, DER_INTEGER, &serial) || !der_skip(&fields) ||
	    !der_enter(&fields, DER_SEQUENCE, &issuer) || !der_skip(&fields) ||
	    !der_enter(&fields, DER_SEQUENCE, &subject))
		return;
	serial_view(views, serial);
	name_view(views, KERNORT_BUFFER_TLS_CERT_ISSUER, issuer);
	name_view(views, KERNORT_BUFFER_TLS_CERT_SUBJECT, subject);
}
