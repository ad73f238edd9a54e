// SPDX-License-Identifier: GPL-2.0-only
#include "use_list.h"

void kernort_use_list_init(struct kernort_use_list *list, struct kernort_arena *arena, u32 count)
{
	list->uses = arena_take(arena, count, sizeof(*list->uses));
	list->newest = list->oldest = KERNORT_NO_INDEX;
}

void kernort_use_list_remove(struct kernort_use_list *list, u32 entry)
{
	const struct kernort_use *use = &list->uses[entry];

	if (use->newer != KERNORT_NO_INDEX)
		list->uses[use->newer].older = use->older;
	else
		list->newest = use->older;
	if (use->older != KERNORT_NO_INDEX)
		list->uses[use->older].newer = use->newer;
	else
		list->oldest = use->newer;
}

void kernort_use_list_add_newest(struct kernort_use_list *list, u32 entry)
{
	list->uses[entry] = (struct kernort_use){ .newer = KERNORT_NO_INDEX, .older = list->newest };
	if (list->newest != KERNORT_NO_INDEX)
		list->uses[list->newest].newer = entry;
	else
		list->oldest = entry;
	list->newest = entry;
}

void kernort_use_list_add_oldest(struct kernort_use_list *list, u32 entry)
{
	list->uses[entry] = (struct kernort_use){ .newer = list->oldest, .older = KERNORT_NO_INDEX };
	if (list->oldest != KERNORT_NO_INDEX)
		list->uses[list->oldest].older = entry;
	else
		list->newest = entry;
	list->oldest = entry;
}
