// SPDX-License-Identifier: GPL-2.0-only
/* Stream windows: a pool of equal buffers, each with the latest bytes of one direction of a flow. */
#include "engine.h"

void kernort_windows_init(struct kernort_windows *windows, struct kernort_arena *arena, u32 count, u32 bytes)
{
	u32 i;

	windows->count = count;
	windows->window_bytes = bytes;
	windows->bytes = arena_take(arena, count, bytes);
	windows->next_free = arena_take(arena, count, sizeof(u32));
	windows->free = count ? 0 : KERNORT_NO_INDEX;
	for (i = 0; arena->base && i < count; i++)
		windows->next_free[i] = i + 1 < count ? i + 1 : KERNORT_NO_INDEX;
}

bool kernort_window_open(struct kernort_windows *windows, struct kernort_side *side)
{
	if (side->window != KERNORT_NO_INDEX)
		return true;
	if (windows->free == KERNORT_NO_INDEX)
		return false;
	side->window = windows->free;
	windows->free = windows->next_free[side->window];
	side->window_used = 0;
	side->window_start = side->inspected = side->bytes;
	return true;
}

void kernort_window_close(struct kernort_windows *windows, struct kernort_side *side)
{
	if (side->window == KERNORT_NO_INDEX)
		return;
	windows->next_free[side->window] = windows->free;
	windows->free = side->window;
	side->window = KERNORT_NO_INDEX;
}

u8 *kernort_window_bytes(const struct kernort_windows *windows, const struct kernort_side *side)
{
	return windows->bytes + (size_t)side->window * windows->window_bytes;
}
