/* SPDX-License-Identifier: GPL-2.0-only */
/* Sealing what was logged, and pushing it down to the host. */
#ifndef KERNORT_LINUX_PUSH_H
#define KERNORT_LINUX_PUSH_H

#include <linux/types.h>

/* There are records. @at_once: before this returns; interrupts are on. Else by the next tick. */
void kernort_push_soon(bool at_once);

#endif
