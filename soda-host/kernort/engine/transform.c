// SPDX-License-Identifier: GPL-2.0-only
/* Buffers as rules want them changed: to_lowercase, url_decode and the like. What does not fit is cut off. */
#include "engine.h"

static int hex_value(u8 byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	byte |= 0x20;
	return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

static bool is_space(u8 byte)
{
	return byte == ' ' || (byte >= 9 && byte <= 13);
}

static u32 url_decode(u8 *out, const u8 *in, u32 length)
{
	u32 used = 0, i;

	for (i = 0; i < length; i++) {
		if (in[i] == '%' && i + 2 < length && hex_value(in[i + 1]) >= 0 && hex_value(in[i + 2]) >= 0) {
			out[used++] = (u8)(hex_value(in[i + 1]) << 4 | hex_value(in[i + 2]));
			i += 2;
		} else {
			out[used++] = in[i] == '+' ? ' ' : in[i];
		}
	}
	return used;
}

static u32 drop_spaces(u8 *out, const u8 *in, u32 length, bool keeps_one)
{
	u32 used = 0, i;

	for (i = 0; i < length; i++)
		if (!is_space(in[i]) || (keeps_one && (i == 0 || !is_space(in[i - 1]))))
			out[used++] = in[i];
	return used;
}

static u32 change_case(u8 *out, const u8 *in, u32 length, u8 first, u8 last)
{
	u32 i;

	for (i = 0; i < length; i++)
		out[i] = in[i] >= first && in[i] <= last ? in[i] ^ 0x20 : in[i];
	return length;
}

static u32 apply(u8 transform, u8 *out, const u8 *in, u32 length)
{
	switch (transform) {
	case KERNORT_TRANSFORM_DOTPREFIX:
		out[0] = '.';
		if (length > KERNORT_TRANSFORMED - 1)
			length = KERNORT_TRANSFORMED - 1;
		memcpy(out + 1, in, length);
		return length + 1;
	case KERNORT_TRANSFORM_TO_LOWERCASE:
		return change_case(out, in, length, 'A', 'Z');
	case KERNORT_TRANSFORM_TO_UPPERCASE:
		return change_case(out, in, length, 'a', 'z');
	case KERNORT_TRANSFORM_STRIP_WHITESPACE:
		return drop_spaces(out, in, length, false);
	case KERNORT_TRANSFORM_COMPRESS_WHITESPACE:
		return drop_spaces(out, in, length, true);
	case KERNORT_TRANSFORM_URL_DECODE:
		return url_decode(out, in, length);
	default:
		memcpy(out, in, length);
		return length;
	}
}

struct kernort_subject kernort_transform(struct kernort_engine *engine, const u8 *transforms,
					 struct kernort_subject subject)
{
	u32 i;

	if (transforms[0] == KERNORT_TRANSFORM_NONE)
		return subject;
	if (subject.length > KERNORT_TRANSFORMED)
		subject.length = KERNORT_TRANSFORMED;
	for (i = 0; i < KERNORT_RULESET_TRANSFORMS && transforms[i] != KERNORT_TRANSFORM_NONE; i++) {
		u8 *out = engine->transformed[i & 1];

		kernort_work_spend(&engine->evaluation.work, subject.length);
		subject.length = apply(transforms[i], out, subject.bytes, subject.length);
		subject.bytes = out;
	}
	return subject;
}
