// SPDX-License-Identifier: GPL-2.0-only
/*
 * DOC: Bounded inflate
 *
 * Decodes into the caller's buffer, which is also the window; stops when it is full, when the input ends or at the
 * first error, and keeps what was decoded by then. Every step consumes input or fills output, so time is linear in
 * their sizes. Short codes are found in a table by the bits that come, long ones canonically, one bit
 * at a time, by counting (RFC 1951, section 3.2.2).
 */
#include "cursor.h"
#include "inflate.h"

#define CODE_BITS KERNORT_INFLATE_CODE_BITS
#define NEAR_BITS KERNORT_INFLATE_NEAR_BITS
#define LITERALS KERNORT_INFLATE_LITERALS
#define DISTANCES 32

struct bits {
	struct kernort_cursor in;
	u64 held;
	u32 count;
	bool is_over;
};

struct output {
	u8 *bytes;
	u32 used, room;
};

/* Hold as many bits as fit, or as there are. */
static void fill(struct bits *bits)
{
	while (bits->count <= 56 && bits->in.left > 0) {
		bits->held |= (u64)cursor_u8(&bits->in) << bits->count;
		bits->count += 8;
	}
}

static u32 take_bits(struct bits *bits, u32 count)
{
	u32 value;

	if (bits->count < count)
		fill(bits);
	if (bits->count < count) {
		bits->is_over = true;
		return 0;
	}
	value = (u32)bits->held & ((1u << count) - 1);
	bits->held >>= count;
	bits->count -= count;
	return value;
}

/* Codes are sent from their highest bit on. */
static u32 reversed(u32 code, u32 length)
{
	u32 value = 0;

	for (; length > 0; length--, code >>= 1)
		value = value << 1 | (code & 1);
	return value;
}

static void enter_near(struct kernort_inflate_code *near, u32 symbol, u32 length, u32 code)
{
	u32 at;

	for (at = reversed(code, length); at < 1u << NEAR_BITS; at += 1u << length)
		near->near[at] = (u16)(symbol << 4 | length);
}

/* Returns false when the lengths make no code. */
static bool build_code(struct kernort_inflate_code *code, const u8 *lengths, u32 count)
{
	u16 offsets[CODE_BITS + 2] = { 0 }, next[CODE_BITS + 2] = { 0 };
	int left = 1;
	u32 i;

	memset(code->counts, 0, sizeof(code->counts));
	memset(code->near, 0, sizeof(code->near));
	for (i = 0; i < count; i++)
		code->counts[lengths[i]]++;
	for (i = 1; i <= CODE_BITS; i++) {
		left = left * 2 - code->counts[i];
		if (left < 0)
			return false;
		offsets[i + 1] = (u16)(offsets[i] + code->counts[i]);
		next[i + 1] = (u16)((next[i] + code->counts[i]) << 1);
	}
	for (i = 0; i < count; i++) {
		if (!lengths[i])
			continue;
		code->symbols[offsets[lengths[i]]++] = (u16)i;
		if (lengths[i] <= NEAR_BITS)
			enter_near(code, i, lengths[i], next[lengths[i]]);
		next[lengths[i]]++;
	}
	return true;
}

/* One bit at a time, by counting: for codes that are long, and at the end of the input. */
static int decode_far(struct bits *bits, const struct kernort_inflate_code *code)
{
	int value = 0, first = 0, index = 0;
	u32 length;

	for (length = 1; length <= CODE_BITS; length++) {
		int count = code->counts[length];

		value |= (int)take_bits(bits, 1);
		if (bits->is_over)
			return -1;
		if (value - first < count)
			return code->symbols[index + value - first];
		index += count;
		first = (first + count) << 1;
		value <<= 1;
	}
	return -1;
}

static int decode_symbol(struct bits *bits, const struct kernort_inflate_code *code)
{
	u32 entry;

	if (bits->count < CODE_BITS)
		fill(bits);
	entry = code->near[bits->held & ((1u << NEAR_BITS) - 1)];
	if (!entry || (entry & 15) > bits->count)
		return decode_far(bits, code);
	bits->held >>= entry & 15;
	bits->count -= entry & 15;
	return (int)(entry >> 4);
}

static bool put(struct output *out, u8 byte)
{
	if (out->used == out->room)
		return false;
	out->bytes[out->used++] = byte;
	return true;
}

static const u16 length_base[] = { 3,  4,  5,  6,  7,  8,  9,  10, 11,	13,  15,  17,  19,  23,	 27,
				   31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258 };
static const u8 length_bits[] = { 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
				  2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0 };
static const u16 distance_base[] = { 1,	  2,   3,   4,	 5,   7,    9,	  13,	17,   25,   33,	  49,	65,    97,    129,
				     193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577 };

static bool copy_match(struct bits *bits, const struct kernort_inflate_code *distances, struct output *out, u32 symbol)
{
	u32 length, distance;
	int code;

	if (symbol >= sizeof(length_bits))
		return false;
	length = length_base[symbol] + take_bits(bits, length_bits[symbol]);
	code = decode_symbol(bits, distances);
	if (code < 0 || code >= 30)
		return false;
	distance = distance_base[code] + take_bits(bits, code < 2 ? 0 : (u32)code / 2 - 1);
	if (bits->is_over || distance > out->used)
		return false;
	for (; length > 0 && out->used < out->room; length--, out->used++)
		out->bytes[out->used] = out->bytes[out->used - distance];
	return length == 0;
}

/* The bits of the longest match: two near codes and what follows each; and a literal before it. */
#define FAST_BITS (3 * NEAR_BITS + 5 + 13)
#define LENGTH_MAX 258u
#define WORD 8u

static void copy_near(u8 *to, u32 distance, u32 length)
{
	u8 *end = to + length;

	if (distance >= WORD) {
		for (; to < end; to += WORD)
			store_le64(to, load_le64(to - distance));
		return;
	}
	for (; to < end; to++)
		*to = to[-(ptrdiff_t)distance];
}

/*
 * As inflate_codes(), as long as input and room are there for more than one turn can take: nothing has to be checked
 * between. Stops before a symbol that it cannot decode, of whatever kind.
 */
static void inflate_fast(struct bits *bits, const struct kernort_inflate_code *literals,
			 const struct kernort_inflate_code *distances, struct output *out)
{
	const u32 mask = (1u << NEAR_BITS) - 1;
	u64 held = bits->held;
	u32 count = bits->count, used = out->used;

	static_assert(FAST_BITS <= 56, "a turn has the bits that it takes");
	while (bits->in.left >= WORD && out->room - used > LENGTH_MAX + WORD) {
		u32 entry, symbol, distance, length, taken;

		if (count < 56) {
			held |= load_le64(bits->in.at) << count;
			cursor_take(&bits->in, (63 - count) / 8);
			count |= 56;
		}
		entry = literals->near[held & mask];
		if (entry && entry >> 4 < 256) {
			out->bytes[used++] = (u8)(entry >> 4);
			held >>= entry & 15;
			count -= entry & 15;
			entry = literals->near[held & mask];
		}
		symbol = entry >> 4;
		if (entry && symbol < 256) {
			out->bytes[used++] = (u8)symbol;
			held >>= entry & 15;
			count -= entry & 15;
			continue;
		}
		if (symbol < 257 || symbol - 257 >= sizeof(length_bits))
			break;
		taken = entry & 15;
		length = length_base[symbol - 257] + (u32)(held >> taken & ((1u << length_bits[symbol - 257]) - 1));
		taken += length_bits[symbol - 257];
		entry = distances->near[held >> taken & mask];
		symbol = entry >> 4;
		if (!entry || symbol >= 30)
			break;
		taken += entry & 15;
		distance = distance_base[symbol];
		if (symbol >= 4) {
			distance += (u32)(held >> taken & ((1u << (symbol / 2 - 1)) - 1));
			taken += symbol / 2 - 1;
		}
		if (distance > used)
			break;
		held >>= taken;
		count -= taken;
		copy_near(out->bytes + used, distance, length);
		used += length;
	}
	/* Of the last word only the bits that are counted. */
	bits->held = count < 64 ? held & ((1ULL << count) - 1) : held;
	bits->count = count;
	out->used = used;
}

static bool inflate_codes(struct bits *bits, const struct kernort_inflate_code *literals, const struct kernort_inflate_code *distances,
			  struct output *out)
{
	for (;;) { /* every turn consumes at least one bit */
		int symbol;

		inflate_fast(bits, literals, distances, out);
		symbol = decode_symbol(bits, literals);
		if (symbol < 0)
			return false;
		if (symbol == 256)
			return true;
		if (symbol < 256 ? !put(out, (u8)symbol) : !copy_match(bits, distances, out, (u32)symbol - 257))
			return false;
	}
}

static bool inflate_stored(struct bits *bits, struct output *out)
{
	u32 length, complement;

	take_bits(bits, bits->count % 8);
	length = take_bits(bits, 16);
	complement = take_bits(bits, 16);
	if (bits->is_over || (length ^ complement) != 0xffff)
		return false;
	for (; length > 0; length--) {
		u8 byte = (u8)take_bits(bits, 8);

		if (bits->is_over || !put(out, byte))
			return false;
	}
	return true;
}

static bool inflate_fixed(struct bits *bits, struct kernort_inflate_work *work, struct output *out)
{
	u8 lengths[LITERALS];
	u32 i;

	for (i = 0; i < LITERALS; i++)
		lengths[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
	build_code(&work->literals, lengths, LITERALS);
	memset(lengths, 5, 30);
	build_code(&work->distances, lengths, 30);
	return inflate_codes(bits, &work->literals, &work->distances, out);
}

/* The lengths of both codes, themselves coded (RFC 1951, section 3.2.7). */
static bool read_lengths(struct bits *bits, u8 *lengths, u32 count, const struct kernort_inflate_code *code)
{
	u32 at = 0;

	while (at < count) {
		int symbol = decode_symbol(bits, code);
		u32 repeat;
		u8 value = 0;

		if (symbol < 0)
			return false;
		if (symbol < 16) {
			lengths[at++] = (u8)symbol;
			continue;
		}
		if (symbol == 16) {
			if (at == 0)
				return false;
			value = lengths[at - 1];
		}
		repeat = symbol == 16 ? 3 + take_bits(bits, 2) :
			 symbol == 17 ? 3 + take_bits(bits, 3) :
					11 + take_bits(bits, 7);
		if (bits->is_over || repeat > count - at)
			return false;
		memset(lengths + at, value, repeat);
		at += repeat;
	}
	return true;
}

static bool inflate_dynamic(struct bits *bits, struct kernort_inflate_work *work, struct output *out)
{
	static const u8 order[] = { 16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15 };
	u32 literal_count = take_bits(bits, 5) + 257, distance_count = take_bits(bits, 5) + 1,
	    code_count = take_bits(bits, 4) + 4, i;
	u8 lengths[LITERALS + DISTANCES] = { 0 };

	if (bits->is_over || literal_count > 286 || distance_count > 30)
		return false;
	for (i = 0; i < code_count; i++)
		lengths[order[i]] = (u8)take_bits(bits, 3);
	if (bits->is_over || !build_code(&work->literals, lengths, 19))
		return false;
	memset(lengths, 0, sizeof(lengths));
	if (!read_lengths(bits, lengths, literal_count + distance_count, &work->literals))
		return false;
	return build_code(&work->literals, lengths, literal_count) &&
	       build_code(&work->distances, lengths + literal_count, distance_count) &&
	       inflate_codes(bits, &work->literals, &work->distances, out);
}

static void inflate_blocks(struct bits *bits, struct kernort_inflate_work *work, struct output *out)
{
	bool is_last, goes_on;

	do { /* every block consumes at least three bits */
		is_last = take_bits(bits, 1);
		switch (take_bits(bits, 2)) {
		case 0:
			goes_on = !bits->is_over && inflate_stored(bits, out);
			break;
		case 1:
			goes_on = inflate_fixed(bits, work, out);
			break;
		case 2:
			goes_on = inflate_dynamic(bits, work, out);
			break;
		default:
			goes_on = false;
		}
	} while (goes_on && !is_last && !bits->is_over);
}

static void skip_text(struct kernort_cursor *in)
{
	while (in->left > 0 && cursor_u8(in))
		;
}

static int skip_gzip_header(struct kernort_cursor *in)
{
	u16 magic = cursor_be16(in);
	u8 method = cursor_u8(in), flags = cursor_u8(in);

	cursor_take(in, 6);
	if (in->short_read || magic != 0x1f8b || method != 8)
		return -EINVAL;
	if (flags & 4) {
		u32 length = cursor_u8(in);

		length |= (u32)cursor_u8(in) << 8;
		cursor_take(in, length);
	}
	if (flags & 8)
		skip_text(in);
	if (flags & 16)
		skip_text(in);
	if (flags & 2)
		cursor_be16(in);
	return in->short_read ? -EINVAL : 0;
}

int kernort_inflate(struct kernort_inflate_work *work, enum kernort_coding coding, const u8 *in, u32 length, u8 *out,
		    u32 room)
{
	struct bits bits = { .in = cursor_over(in, length) };
	struct output output = { .bytes = out, .room = room };

	if (coding == KERNORT_CODING_GZIP) {
		if (skip_gzip_header(&bits.in))
			return -EINVAL;
	} else if (length >= 2 && (in[0] & 15) == 8 && (in[0] << 8 | in[1]) % 31 == 0) {
		cursor_take(&bits.in, 2);
	}
	inflate_blocks(&bits, work, &output);
	return (int)output.used;
}
