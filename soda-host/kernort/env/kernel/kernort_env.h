/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The platform, as the guest kernel has it. Twin of env/user/kernort_env.h: same include guard, same names.
 */
#ifndef KERNORT_ENV_H
#define KERNORT_ENV_H

#include <linux/build_bug.h>
#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/math64.h>
#include <linux/stddef.h>
#include <linux/string.h>
#include <linux/types.h>
#include <linux/unaligned.h>

/* Loads, not calls: the kernel is built without the compiler's own memcpy(). */
static inline u32 load_le32(const u8 *at)
{
	return get_unaligned_le32(at);
}

static inline u64 load_le64(const u8 *at)
{
	return get_unaligned_le64(at);
}

static inline void store_le64(u8 *at, u64 value)
{
	put_unaligned_le64(value, at);
}

#endif
