// SPDX-License-Identifier: GPL-2.0-only
/* The asn1 keyword: BER frames that betray an overflow. A walk over at most ASN1_FRAMES frames. */
#include "cursor.h"
#include "evaluate.h"

#define ASN1_FRAMES 30

enum { ASN1_BITSTRING = 1, ASN1_DOUBLE = 2, ASN1_OVERSIZE = 4, ASN1_ABSOLUTE = 8, ASN1_RELATIVE = 16 };

struct asn1_frame {
	u8 class, tag;
	bool is_constructed;
	u32 length;
};

static bool read_frame(struct kernort_cursor *rest, struct asn1_frame *frame)
{
	u8 first = cursor_u8(rest), length;
	u32 i;

	frame->class = first >> 6;
	frame->is_constructed = first & 0x20;
	frame->tag = first & 0x1f;
	for (i = 0; frame->tag == 0x1f && i < 4; i++)
		if (!(cursor_u8(rest) & 0x80))
			break;
	length = cursor_u8(rest);
	frame->length = length & 0x7f;
	if (length & 0x80) {
		u32 count = length & 0x7f;

		for (frame->length = 0, i = 0; i < count && i < 8; i++)
			frame->length = frame->length > 0xffffff ? 0xffffffff : frame->length << 8 | cursor_u8(rest);
	}
	return !rest->short_read;
}

static bool is_bad_bitstring(const struct asn1_frame *frame, const struct kernort_cursor *rest)
{
	return frame->class == 0 && frame->tag == 3 && !frame->is_constructed && frame->length > 0 && rest->left > 0 &&
	       rest->at[0] > 7;
}

static bool is_bad_double(const struct asn1_frame *frame, const struct kernort_cursor *rest)
{
	return frame->class == 0 && frame->tag == 9 && rest->left > 1 && (rest->at[0] & 0xc0) == 0 && frame->length > 256;
}

bool kernort_asn1_matches(const struct kernort_ruleset_option *option, const struct kernort_subject *subject, u32 cursor)
{
	s64 start = option->a & ASN1_RELATIVE ? (s64)cursor + (s32)option->c :
		    option->a & ASN1_ABSOLUTE ? (s32)option->c :
						0;
	struct kernort_cursor rest;
	struct asn1_frame frame;
	u32 i;

	if (start < 0 || start >= subject->length)
		return false;
	rest = cursor_over(subject->bytes + start, subject->length - (u32)start);
	for (i = 0; i < ASN1_FRAMES && rest.left > 0 && read_frame(&rest, &frame); i++) {
		if (((option->a & ASN1_OVERSIZE) && frame.length > option->b) ||
		    ((option->a & ASN1_BITSTRING) && is_bad_bitstring(&frame, &rest)) ||
		    ((option->a & ASN1_DOUBLE) && is_bad_double(&frame, &rest)))
			return true;
		if (!frame.is_constructed && !cursor_take(&rest, frame.length))
			return false;
	}
	return false;
}
