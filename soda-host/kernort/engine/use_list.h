/* SPDX-License-Identifier: GPL-2.0-only */
/* Which entry of a pool was used when: the newest first, so that the oldest can give way. All steps are constant. */
#ifndef KERNORT_USE_LIST_H
#define KERNORT_USE_LIST_H

#include "arena.h"

#define KERNORT_NO_INDEX 0xffffffffu

struct kernort_use {
	u32 newer, older; /* KERNORT_NO_INDEX at the ends */
};

struct kernort_use_list {
	struct kernort_use *uses; /* one per entry */
	u32 newest, oldest;
};

void kernort_use_list_init(struct kernort_use_list *list, struct kernort_arena *arena, u32 count);
void kernort_use_list_remove(struct kernort_use_list *list, u32 entry);
void kernort_use_list_add_newest(struct kernort_use_list *list, u32 entry);
void kernort_use_list_add_oldest(struct kernort_use_list *list, u32 entry);

#endif
