// SPDX-License-Identifier: GPL-2.0-only
/* Base64 as mail has it (RFC 2045): line breaks and spaces are passed over, anything else strange is the end. */
#include "evaluate.h"
#include "lines.h"

int kernort_base64_value(u8 byte)
{
	if (byte >= 'A' && byte <= 'Z')
		return byte - 'A';
	if (byte >= 'a' && byte <= 'z')
		return byte - 'a' + 26;
	if (byte >= '0' && byte <= '9')
		return byte - '0' + 52;
	return byte == '+' ? 62 : byte == '/' ? 63 : -1;
}

u32 kernort_base64_decode(const u8 *bytes, u32 length, u8 *out, u32 room)
{
	u32 bits = 0, held = 0, used = 0, i;

	for (i = 0; i < length && used < room; i++) {
		int value = kernort_base64_value(bytes[i]);

		if (bytes[i] == ' ' || bytes[i] == '\r' || bytes[i] == '\n' || bytes[i] == '\t')
			continue;
		if (value < 0)
			break;
		held = held << 6 | (u32)value;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			out[used++] = (u8)(held >> bits);
		}
	}
	return used;
}
