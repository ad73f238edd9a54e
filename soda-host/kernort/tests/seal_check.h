/* SPDX-License-Identifier: GPL-2.0-only */
/* Known answers, for the harness and for the guest kernel's own test at boot (kernort.selftest=1). */
#ifndef KERNORT_SEAL_CHECK_H
#define KERNORT_SEAL_CHECK_H

/* Return: NULL, or which answer was wrong. */
const char *kernort_seal_check(void);

#endif
