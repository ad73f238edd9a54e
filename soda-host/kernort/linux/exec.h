/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KERNORT_LINUX_EXEC_H
#define KERNORT_LINUX_EXEC_H

#include <linux/binfmts.h>

#include "../engine/record.h"

/*
 * A program that is about to run, through the rules: if one forbids it, it is killed before its first instruction.
 * Callers wait for each other.
 * @path: of its file
 * @arguments: each ended by a zero byte; they are spaces afterwards
 */
void kernort_exec_judge(const struct linux_binprm *bprm, bool is_setuid, struct kernort_piece path, u8 *arguments,
			size_t size);

#endif
