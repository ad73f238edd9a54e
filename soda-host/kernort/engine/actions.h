/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KERNORT_ACTIONS_H
#define KERNORT_ACTIONS_H

#include "predicates.h"

enum kernort_verdict { KERNORT_UNMATCHED, KERNORT_SILENT, KERNORT_TOLD };

/* Do what the rule's ACTION block says; @flow may be NULL. */
enum kernort_verdict kernort_actions_run(const struct kernort_scene *scene, struct kernort_flow *flow, u32 rule);

#endif
