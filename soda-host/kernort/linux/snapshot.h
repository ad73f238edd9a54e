/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KERNORT_LINUX_SNAPSHOT_H
#define KERNORT_LINUX_SNAPSHOT_H

#include <linux/types.h>

/**
 * kernort_snapshot_request - have processes, sockets and load written down soon
 * @cause: goes into the records: the number (sid) of the alert that asks
 *
 * From any context. One that asks while another waits is served by that.
 */
void kernort_snapshot_request(u32 cause);

#endif
