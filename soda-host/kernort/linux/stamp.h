/* SPDX-License-Identifier: GPL-2.0-only */
/* The stamp of the running kernel; include/kernort_stamp.h. */
#ifndef KERNORT_LINUX_STAMP_H
#define KERNORT_LINUX_STAMP_H

#include "../include/kernort_stamp.h"

/* The stamp, checked. Panics when the section holds none: then the kernel is not what its factory made. */
const struct kernort_stamp *kernort_stamp_read(void);

#endif
