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

#endif
