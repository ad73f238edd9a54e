/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The stamp: what a factory writes into a built kernel to make it one tenant's. The binary interface;
 * docs/formats/stamp.md.
 *
 * It fills the ELF section .kernort_stamp, which the build leaves with the magic and zeros. All numbers are
 * little-endian.
 */
#ifndef KERNORT_STAMP_H
#define KERNORT_STAMP_H

#include "kernort_frame.h"

#define KERNORT_STAMP_SECTION ".kernort_stamp"
#define KERNORT_STAMP_SECTION_SIZE 16384
#define KERNORT_STAMP_MAGIC "KRNTSTMP"
#define KERNORT_STAMP_VERSION 1
/* The landlord may see the severity of alerts: kernort_frame_header.severity. */
#define KERNORT_STAMP_SEVERITY_VISIBLE 0x0001

struct kernort_stamp {
	u8 magic[8];
	u32 version;
	u32 size; /* of the used part: this structure and the policy */
	u8 server_id[16];
	u32 recipients; /* 0: not stamped, and Kernort does nothing */
	u32 flags;
	u8 public_keys[KERNORT_RECIPIENTS_MAX][32]; /* X25519 */
	u8 ruleset_sha256[32]; /* zeros: none */
	u32 policy_size;
	u32 reserved;
	u8 policy[];
};
static_assert(sizeof(struct kernort_stamp) == 208);

#endif
