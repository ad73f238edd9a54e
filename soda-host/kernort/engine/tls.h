/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KERNORT_TLS_H
#define KERNORT_TLS_H

#include "document.h"

/* certificate.c: subject, issuer and serial number of an X.509 certificate in DER. */
void kernort_certificate_views(struct kernort_views *views, struct kernort_cursor der);

#endif
