// SPDX-License-Identifier: GPL-2.0-only
/* Paths as text. */
#include <linux/dcache.h>
#include <linux/err.h>
#include <linux/string.h>

#include "hooks.h"

const char *kernort_path_text(const struct path *path, char *buffer, int size)
{
	const char *text = d_absolute_path(path, buffer, size);

	if (IS_ERR(text))
		text = d_path(path, buffer, size);
	return IS_ERR(text) ? "" : text;
}

struct kernort_piece kernort_text(const char *text)
{
	return (struct kernort_piece){ text, text ? strlen(text) : 0 };
}
