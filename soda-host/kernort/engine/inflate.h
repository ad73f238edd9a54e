/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KERNORT_INFLATE_H
#define KERNORT_INFLATE_H

#include "kernort_env.h"

enum kernort_coding { KERNORT_CODING_NONE, KERNORT_CODING_GZIP, KERNORT_CODING_DEFLATE };

#define KERNORT_INFLATE_CODE_BITS 15
#define KERNORT_INFLATE_NEAR_BITS 9
#define KERNORT_INFLATE_LITERALS 288

struct kernort_inflate_code {
	u16 counts[KERNORT_INFLATE_CODE_BITS + 1];
	u16 symbols[KERNORT_INFLATE_LITERALS];
	u16 near[1 << KERNORT_INFLATE_NEAR_BITS]; /* by the next bits: symbol << 4 | length of its code; 0: longer, or none */
};

/* Too large for a stack of the kernel. */
struct kernort_inflate_work {
	struct kernort_inflate_code literals, distances;
};

/**
 * kernort_inflate() - decode a gzip (RFC 1952), zlib (RFC 1950) or bare deflate (RFC 1951) stream
 * @in: as much of the stream as is there; what a cut or broken stream holds is decoded up to there
 * Return: bytes written to @out, never more than @room; -EINVAL when the header is none.
 */
int kernort_inflate(struct kernort_inflate_work *work, enum kernort_coding coding, const u8 *in, u32 length, u8 *out,
		    u32 room);

#endif
