/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KERNORT_SCAN_H
#define KERNORT_SCAN_H

#include "ruleset.h"
#include "work.h"

struct kernort_scan_sink {
	void (*hit)(void *context, const struct kernort_ruleset_pattern *pattern);
	void *context;
	struct kernort_work *work; /* spent on what is looked at more closely; when it is over, nothing more is */
};

/* Call @sink for every fast pattern of @scanner whose window lies in bytes[from, length). */
void kernort_scan(const struct kernort_ruleset *rules, u32 scanner, const u8 *bytes, u32 from, u32 length,
		  const struct kernort_scan_sink *sink);

/* The group with this key, or NULL. */
const struct kernort_ruleset_group *kernort_group_find(const struct kernort_ruleset *rules, u8 buffer, u8 ip_protocol,
						       u8 direction, u8 side, u16 port);

#endif
