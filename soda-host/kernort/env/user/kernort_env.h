/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The platform, as user space has it: harness, replay, fuzzers and tests.
 *
 * The only header that Kernort's portable code may take from outside. Its twin in env/kernel has the same include
 * guard and gives the same names.
 */
#ifndef KERNORT_ENV_H
#define KERNORT_ENV_H

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t s32;
typedef int64_t s64;

#define likely(condition) __builtin_expect(!!(condition), 1)
#define noinline __attribute__((noinline))

/* Little-endian numbers at any address: what the compiler makes of it where it may, one load. */
static inline u32 load_le32(const u8 *at)
{
	u32 value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static inline u64 load_le64(const u8 *at)
{
	u64 value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static inline void store_le64(u8 *at, u64 value)
{
	memcpy(at, &value, sizeof(value));
}

/* 64-bit division, which the kernel does not leave to the compiler on every machine. */
static inline u64 div64_u64(u64 dividend, u64 divisor)
{
	return dividend / divisor;
}

#endif
