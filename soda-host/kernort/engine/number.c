// SPDX-License-Identifier: GPL-2.0-only
/* Reading the number that byte_test, byte_jump, byte_extract and byte_math ask for. */
#include "evaluate.h"

static int digit_of(u8 byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	if ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'f')
		return (byte | 0x20) - 'a' + 10;
	return 99;
}

/* As strtoull does: leading blanks, a sign, a prefix; at least one digit. */
static int read_text(const u8 *at, u32 count, u32 base, u64 *value)
{
	u32 i = 0, digits = 0;
	bool is_negative = false;

	while (i < count && (at[i] == ' ' || (at[i] >= 9 && at[i] <= 13)))
		i++;
	if (i < count && (at[i] == '-' || at[i] == '+'))
		is_negative = at[i++] == '-';
	if ((base == 16 || base == 0) && i + 2 < count && at[i] == '0' && (at[i + 1] | 0x20) == 'x' &&
	    digit_of(at[i + 2]) < 16) {
		base = 16;
		i += 2;
	} else if (base == 0) {
		base = i < count && at[i] == '0' ? 8 : 10;
	}
	*value = 0;
	for (; i < count && (u32)digit_of(at[i]) < base; i++, digits++)
		*value = *value * base + (u32)digit_of(at[i]);
	if (is_negative)
		*value = 0 - *value;
	return digits > 0 ? (int)i : -1;
}

int kernort_number_read(const struct kernort_subject *subject, s64 position, u32 count, u32 base, u16 flags, u64 *value)
{
	const u8 *at;
	u32 i;

	*value = 0;
	if (position < 0 || position > subject->length)
		return -1;
	at = subject->bytes + position;
	if (flags & KERNORT_BYTES_STRING) {
		u32 left = subject->length - (u32)position;

		return left > 0 ? read_text(at, count < left ? count : left, base, value) : -1;
	}
	if (count > 8 || count > subject->length - (u32)position)
		return -1;
	for (i = 0; i < count; i++)
		*value |= (u64)at[i] << 8 * (flags & KERNORT_BYTES_LITTLE ? i : count - 1 - i);
	return (int)count;
}
