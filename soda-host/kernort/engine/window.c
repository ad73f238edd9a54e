// SPDX-License-Identifier: GPL-2.0-only
/*
 * DOC: Stream windows
 *
 * A pool of equal buffers, each with the latest bytes of one direction of a flow, in a list by
 * use. The one that has been used least lately gives way, so that streams which are open and idle, however
 * many, cannot keep others from being looked at. Its stream goes on with a new window at its next bytes.
 */
#include "engine.h"

void kernort_windows_init(struct kernort_windows *windows, struct kernort_arena *arena, u32 count, u32 bytes)
{
	u32 i;

	windows->count = count;
	windows->window_bytes = bytes;
	windows->bytes = arena_take(arena, count, bytes);
	windows->owners = arena_take(arena, count, sizeof(*windows->owners));
	kernort_use_list_init(&windows->use, arena, count);
	for (i = 0; arena->base && i < count; i++)
		kernort_use_list_add_newest(&windows->use, i);
}

bool kernort_window_open(struct kernort_windows *windows, struct kernort_side *side)
{
	bool is_open = side->window != KERNORT_NO_INDEX, is_taken;
	u32 index = is_open ? side->window : windows->use.oldest;

	kernort_use_list_remove(&windows->use, index);
	kernort_use_list_add_newest(&windows->use, index);
	if (is_open)
		return false;
	is_taken = windows->owners[index];
	if (is_taken)
		windows->owners[index]->window = KERNORT_NO_INDEX;
	windows->owners[index] = side;
	side->window = index;
	side->window_used = 0;
	side->window_start = side->scanned = side->inspected = side->bytes;
	return is_taken;
}

void kernort_window_close(struct kernort_windows *windows, struct kernort_side *side)
{
	if (side->window == KERNORT_NO_INDEX)
		return;
	windows->owners[side->window] = NULL;
	kernort_use_list_remove(&windows->use, side->window);
	kernort_use_list_add_oldest(&windows->use, side->window);
	side->window = KERNORT_NO_INDEX;
}

u8 *kernort_window_bytes(const struct kernort_windows *windows, const struct kernort_side *side)
{
	return windows->bytes + (size_t)side->window * windows->window_bytes;
}
