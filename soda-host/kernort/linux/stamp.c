// SPDX-License-Identifier: GPL-2.0-only
/*
 * The stamp of the running kernel.
 *
 * It is written by assembler, so that no compiler takes what the build leaves there for what will be there: the
 * factory changes it in the linked file.
 */

#define pr_fmt(fmt) "kernort: " fmt

#include <linux/init.h>
#include <linux/panic.h>
#include <linux/stringify.h>

#include "../engine/stamp.h"
#include "stamp.h"

/* A magic, and zeros: not stamped yet. */
asm("	.pushsection " KERNORT_STAMP_SECTION ", \"a\"\n"
    "	.balign 4096\n"
    "	.globl kernort_stamp_section\n"
    "kernort_stamp_section:\n"
    "	.ascii \"" KERNORT_STAMP_MAGIC "\"\n"
    "	.org kernort_stamp_section + " __stringify(KERNORT_STAMP_SECTION_SIZE) "\n"
    "	.popsection\n");

extern const u8 kernort_stamp_section[KERNORT_STAMP_SECTION_SIZE];

const struct kernort_stamp * __init kernort_stamp_read(void)
{
	const char *wrong = kernort_stamp_check(kernort_stamp_section);

	if (wrong)
		panic("kernort: the stamp of this kernel is damaged: %s\n", wrong);
	return (const struct kernort_stamp *)kernort_stamp_section;
}
