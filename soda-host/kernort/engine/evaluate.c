// SPDX-License-Identifier: GPL-2.0-only
/*
 * DOC: The options of a rule on one buffer
 *
 * Options are done in order with one cursor. When one fails, the latest earlier option that the compiler marked RETRY
 * looks for its next match; that is backtracking with an explicit stack, and the number of tries of a rule is bounded
 * (KERNORT_TRIES_MAX) and what was cut is counted, as is what was cut because the packet's work was spent (work.h).
 * Invariant: 0 <= cursor <= length of the subject. Attacker: chooses the subject, and with it every number read.
 */
#include "evaluate.h"

struct step {
	struct kernort_evaluation *evaluation;
	const struct kernort_subject *subject;
	u32 cursor;
	u32 from; /* content and regex: do not match before this */
	u32 found; /* ... and where they did */
};

bool kernort_compare_value(u8 compare, u64 value, u64 low, u64 high)
{
	switch (compare) {
	case KERNORT_COMPARE_EQ:
		return value == low;
	case KERNORT_COMPARE_NE:
		return value != low;
	case KERNORT_COMPARE_LT:
		return value < low;
	case KERNORT_COMPARE_LE:
		return value <= low;
	case KERNORT_COMPARE_GT:
		return value > low;
	case KERNORT_COMPARE_GE:
		return value >= low;
	case KERNORT_COMPARE_BETWEEN:
		return value >= low && value <= high;
	case KERNORT_COMPARE_OUTSIDE:
		return value < low || value > high;
	case KERNORT_COMPARE_AND:
		return (value & low) != 0;
	case KERNORT_COMPARE_OR:
		return (value ^ low) != 0;
	default:
		return false;
	}
}

static s64 clamp(s64 value, s64 low, s64 high)
{
	return value < low ? low : value > high ? high : value;
}

/* A number of the rule, or the variable that it names; capped so that sums stay far from overflow. */
static s64 signed_operand(const struct step *step, u32 word, bool is_variable)
{
	if (!is_variable)
		return (s32)word;
	return (s64)(step->evaluation->variables[word] > 0x7fffffff ? 0x7fffffff : step->evaluation->variables[word]);
}

static void note_match(struct step *step, u32 end)
{
	step->cursor = end;
	step->evaluation->has_matched_content = true;
	if (end > step->evaluation->reach)
		step->evaluation->reach = end;
}

static bool content_option(struct step *step, const struct kernort_ruleset_option *option)
{
	u16 flags = option->flags;
	u32 length = step->subject->length;
	s64 base = flags & KERNORT_OPTION_RELATIVE ? step->cursor : 0;
	s64 offset = signed_operand(step, option->c, flags & KERNORT_CONTENT_OFFSET_IS_VARIABLE);
	s64 start = base + offset, end = length, found;
	const u8 *pattern = step->evaluation->rules->bytes + option->a;

	if (flags & KERNORT_CONTENT_HAS_DEPTH)
		end = start + signed_operand(step, option->d, flags & KERNORT_CONTENT_DEPTH_IS_VARIABLE);
	if (step->subject->is_middle && !(flags & KERNORT_OPTION_RELATIVE) &&
	    (offset != 0 || (flags & KERNORT_CONTENT_HAS_DEPTH)))
		return false;
	start = clamp(start, 0, length);
	end = clamp(end, start, length);
	if (start < step->from)
		start = step->from;
	if (flags & KERNORT_CONTENT_ENDS_WITH) {
		if (end != length || (s64)option->b > end - start)
			return flags & KERNORT_OPTION_NEGATED;
		start = end - option->b;
	}
	found = start > end ? -1 :
			      kernort_content_find(step->subject->bytes, (u32)start, (u32)end, pattern, option->b,
						   flags & KERNORT_CONTENT_NOCASE, &step->evaluation->work);
	kernort_work_spend(&step->evaluation->work, (u64)(found >= 0 ? found - start + 1 : start > end ? 0 : end - start));
	if (flags & KERNORT_OPTION_NEGATED)
		return found < 0;
	if (found < 0)
		return false;
	step->found = (u32)found;
	note_match(step, (u32)found + option->b);
	return true;
}

static bool regex_option(struct step *step, const struct kernort_ruleset_option *option)
{
	const struct kernort_ruleset *rules = step->evaluation->rules;
	u32 base = option->flags & KERNORT_OPTION_RELATIVE ? step->cursor : 0;
	u32 from = step->from > base ? step->from - base : 0, length = step->subject->length - base;
	struct kernort_regex_span span = { 0 };
	int found = 0;

	if (from <= length)
		found = kernort_regex_search(&rules->regex_tables, &rules->regexes[option->a],
					     step->subject->bytes + base, length, from, &step->evaluation->regex,
					     &step->evaluation->work, &span);
	if (found < 0)
		step->evaluation->counters->regex_cut++;
	if (option->flags & KERNORT_OPTION_NEGATED)
		return found == 0;
	if (found <= 0)
		return false;
	step->found = base + span.start;
	note_match(step, base + span.end);
	return true;
}

/* Position and value of a byte_* option. Returns the bytes consumed, or -1. */
static int read_number(const struct step *step, const struct kernort_ruleset_option *option, s64 *position, u64 *value)
{
	u16 flags = option->flags;
	u64 count = flags & KERNORT_BYTES_COUNT_IS_VARIABLE ? step->evaluation->variables[option->a] : option->a;
	int consumed;

	*position = (flags & KERNORT_OPTION_RELATIVE ? (s64)step->cursor : 0) +
		    signed_operand(step, option->c, flags & KERNORT_BYTES_OFFSET_IS_VARIABLE);
	*value = 0;
	if (count == 0 && option->code == KERNORT_OPTION_BYTE_JUMP)
		return *position >= 0 && *position <= step->subject->length ? 0 : -1;
	if (count > 23)
		return -1;
	consumed = kernort_number_read(step->subject, *position, (u32)count, option->d, flags, value);
	if (consumed >= 0 && option->e) {
		u32 mask = option->e;

		*value &= mask;
		for (; !(mask & 1); mask >>= 1)
			*value >>= 1;
	}
	return consumed;
}

static bool byte_test_option(const struct step *step, const struct kernort_ruleset_option *option)
{
	u64 low = option->b | (u64)option->g << 32, value;
	s64 position;

	if (read_number(step, option, &position, &value) < 0)
		return false;
	if (option->flags & KERNORT_BYTES_VALUE_IS_VARIABLE)
		low = step->evaluation->variables[option->b];
	return kernort_compare_value(option->compare, value, low, low) != !!(option->flags & KERNORT_OPTION_NEGATED);
}

static bool byte_jump_option(struct step *step, const struct kernort_ruleset_option *option)
{
	s64 position, target;
	u64 value;
	int consumed = read_number(step, option, &position, &value);

	if (consumed < 0 || value > 0x7fffffff)
		return false;
	value *= option->f;
	if (value > 0x7fffffff)
		return false;
	if (option->flags & KERNORT_BYTES_ALIGN)
		value = (value + 3) & ~3ULL;
	target = option->flags & KERNORT_BYTES_FROM_BEGINNING ? 0 :
		 option->flags & KERNORT_BYTES_FROM_END	      ? step->subject->length :
								position + consumed;
	target += (s64)value + (s32)option->g;
	if (target < 0 || target > step->subject->length)
		return false;
	step->cursor = (u32)target;
	return true;
}

static bool byte_extract_option(struct step *step, const struct kernort_ruleset_option *option)
{
	s64 position;
	u64 value;
	int consumed = read_number(step, option, &position, &value);

	if (consumed < 0)
		return false;
	value *= option->f ? option->f : 1;
	if (option->g == 2 || option->g == 4)
		value = (value + option->g - 1) & ~(u64)(option->g - 1);
	step->evaluation->variables[option->b] = value;
	step->cursor = (u32)(position + consumed);
	return true;
}

static bool byte_math_option(struct step *step, const struct kernort_ruleset_option *option)
{
	s64 position;
	u64 value, right = option->f;
	int consumed = read_number(step, option, &position, &value);

	if (consumed < 0)
		return false;
	if (option->flags & KERNORT_BYTES_VALUE_IS_VARIABLE)
		right = step->evaluation->variables[option->f];
	switch (option->compare) {
	case 0:
		value += right;
		break;
	case 1:
		value -= right;
		break;
	case 2:
		value *= right;
		break;
	case 3:
		if (right == 0)
			return false;
		value = div64_u64(value, right);
		break;
	case 4:
		value = right < 64 ? value << right : 0;
		break;
	case 5:
		value = right < 64 ? value >> right : 0;
		break;
	default:
		return false;
	}
	step->evaluation->variables[option->b] = value;
	step->cursor = (u32)(position + consumed);
	return true;
}

static bool is_data_at_option(const struct step *step, const struct kernort_ruleset_option *option)
{
	u64 count = option->flags & KERNORT_DATA_AT_IS_VARIABLE ? step->evaluation->variables[option->a] : option->a;
	u32 length = step->subject->length;
	bool holds = option->flags & KERNORT_OPTION_RELATIVE ? count <= length && step->cursor <= length - count :
							       count < length;

	return holds != !!(option->flags & KERNORT_OPTION_NEGATED);
}

static bool base64_option(const struct step *step, const struct kernort_ruleset_option *option)
{
	u64 start = (option->flags & KERNORT_OPTION_RELATIVE ? (u64)step->cursor : 0) + option->b;
	u32 left;

	step->evaluation->base64_length = 0;
	if (start >= step->subject->length)
		return false;
	left = step->subject->length - (u32)start;
	if (option->a && option->a < left)
		left = option->a;
	kernort_work_spend(&step->evaluation->work, left);
	step->evaluation->base64_length = kernort_base64_decode(step->subject->bytes + start, left,
								step->evaluation->base64, KERNORT_BASE64_BYTES);
	return step->evaluation->base64_length > 0;
}

/* PORT h1,h2,h3,h4,p1,p2 whose address is not the client's (who is the sender of the packet). */
static bool ftp_bounce_option(const struct step *step, const struct kernort_ruleset_option *option)
{
	u32 at = option->flags & KERNORT_OPTION_RELATIVE ? step->cursor : 0, address = 0, octet;
	const struct kernort_packet *packet = step->evaluation->packet;

	while (at < step->subject->length && step->subject->bytes[at] == ' ')
		at++;
	for (octet = 0; octet < 4; octet++) {
		u32 value = 0, digits = 0;

		for (; at < step->subject->length && digits < 3; at++, digits++) {
			u8 byte = step->subject->bytes[at];

			if (byte < '0' || byte > '9')
				break;
			value = value * 10 + (byte - '0');
		}
		if (digits == 0 || value > 255 || at >= step->subject->length || step->subject->bytes[at++] != ',')
			return false;
		address = address << 8 | value;
	}
	return packet->source.family == 4 && address != kernort_address_ipv4(&packet->source);
}

static bool option_holds(struct step *step, const struct kernort_ruleset_option *option)
{
	switch (option->code) {
	case KERNORT_OPTION_CONTENT:
		return content_option(step, option);
	case KERNORT_OPTION_REGEX:
		return regex_option(step, option);
	case KERNORT_OPTION_BYTE_TEST:
		return byte_test_option(step, option);
	case KERNORT_OPTION_BYTE_JUMP:
		return byte_jump_option(step, option);
	case KERNORT_OPTION_BYTE_EXTRACT:
		return byte_extract_option(step, option);
	case KERNORT_OPTION_BYTE_MATH:
		return byte_math_option(step, option);
	case KERNORT_OPTION_IS_DATA_AT:
		return is_data_at_option(step, option);
	case KERNORT_OPTION_BUFFER_SIZE:
		return kernort_compare_value(option->compare, step->subject->length, option->a, option->b);
	case KERNORT_OPTION_BASE64_DECODE:
		return base64_option(step, option);
	case KERNORT_OPTION_ASN1:
		return kernort_asn1_matches(option, step->subject, step->cursor);
	case KERNORT_OPTION_FTP_BOUNCE:
		return ftp_bounce_option(step, option);
	default:
		return false;
	}
}

bool kernort_block_matches(struct kernort_evaluation *evaluation, const struct kernort_ruleset_block *block,
			   struct kernort_subject subject)
{
	const struct kernort_ruleset_option *options = evaluation->rules->options + block->first_option;
	struct step step = { .evaluation = evaluation, .subject = &subject };
	u32 at = 0, cursor;

	evaluation->retry_count = 0;
	while (at < block->option_count) {
		kernort_work_spend(&evaluation->work, KERNORT_WORK_OF_OPTION);
		if (!kernort_work_begins(&evaluation->work))
			return false;
		cursor = step.cursor;
		if (option_holds(&step, &options[at])) {
			if (options[at].flags & KERNORT_OPTION_RETRY)
				evaluation->retries[evaluation->retry_count++] =
					(struct kernort_retry){ .option = at, .cursor = cursor, .from = step.found + 1 };
			step.from = 0;
			at++;
			continue;
		}
		if (evaluation->retry_count == 0)
			return false;
		if (++evaluation->tries > KERNORT_TRIES_MAX) {
			evaluation->counters->tries_cut++;
			return false;
		}
		evaluation->retry_count--;
		at = evaluation->retries[evaluation->retry_count].option;
		step.cursor = evaluation->retries[evaluation->retry_count].cursor;
		step.from = evaluation->retries[evaluation->retry_count].from;
	}
	return true;
}
