// SPDX-License-Identifier: GPL-2.0-only
/*
 * Kernort as a Linux Security Module.
 *
 * Built in, named by CONFIG_LSM, never unloaded. It holds no hooks yet: this
 * file is where they will be registered.
 */

#define pr_fmt(fmt) "kernort: " fmt

#include <linux/init.h>
#include <linux/lsm_hooks.h>
#include <linux/printk.h>

#define KERNORT_VERSION "0.1.0"

/*
 * Ids below 1000 are given out by include/uapi/linux/lsm.h; this one is
 * "kernort", and far above.
 */
#define LSM_ID_KERNORT 0x6b65726e6f7274ULL

static const struct lsm_id kernort_lsmid = {
	.name = "kernort",
	.id = LSM_ID_KERNORT,
};

static int __init kernort_init(void)
{
	pr_info("version " KERNORT_VERSION "\n");
	return 0;
}

DEFINE_LSM(kernort) = {
	.id = &kernort_lsmid,
	.init = kernort_init,
};
