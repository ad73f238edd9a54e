/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KERNORT_INFLATE_H
#define KERNORT_INFLATE_H

#include "kernort_env.h"

enum kernort_coding { KERNORT_CODING_NONE, KERNORT_CODING_GZIP, KERNORT_CODING_DEFLATE };

/**
 * kernort_inflate() - decode a gzip (RFC 1952), zlib (RFC 1950) or bare deflate (RFC 1951) stream
 * @in: as much of the stream as is there; what a cut or broken stream holds is decoded up to there
 * Return: bytes written to @out, never more than @room; -EINVAL when the header is none.
 */
int kernort_inflate(enum kernort_coding coding, const u8 *in, u32 length, u8 *out, u32 room);

#endif
