// SPDX-License-Identifier: GPL-2.0-only
/*
 * Kernort as a Linux Security Module.
 *
 * Built in, in every list of modules, never unloaded. Hooks are registered here, one
 * file for each kind of act; where the framework has no hook, a patch of the
 * kernel calls (include/linux/kernort.h). They write down and let pass; what
 * they deny, they deny for their own sake (guard.c), or because a rule of the
 * tenant's forbids it (event.c).
 */

#define pr_fmt(fmt) "kernort: " fmt

#include <linux/init.h>
#include <linux/limits.h>
#include <linux/notifier.h>
#include <linux/panic_notifier.h>
#include <linux/printk.h>
#include <linux/reboot.h>

#include "hooks.h"

#define KERNORT_VERSION "0.1.0"

/*
 * Ids below 1000 are given out by include/uapi/linux/lsm.h; this one is
 * "kernort", and far above.
 */
#define LSM_ID_KERNORT 0x6b65726e6f7274ULL

const struct lsm_id kernort_lsmid = {
	.name = "kernort",
	.id = LSM_ID_KERNORT,
};

/* Runs before the notifiers of push.c, which log the end: these are the first that are registered. */
static int flush(struct notifier_block *block, unsigned long event, void *data)
{
	kernort_terminal_flush();
	kernort_klog_flush();
	return NOTIFY_DONE;
}

static struct notifier_block reboot_block = { .notifier_call = flush, .priority = INT_MAX };
static struct notifier_block panic_block = { .notifier_call = flush, .priority = INT_MAX };

static int __init kernort_init(void)
{
	pr_info("version " KERNORT_VERSION "\n");
	kernort_process_init();
	kernort_guard_start();
	kernort_power_start();
	kernort_socket_init();
	kernort_file_init();
	kernort_mount_init();
	kernort_klog_init();
	kernort_syslog_init();
	register_reboot_notifier(&reboot_block);
	atomic_notifier_chain_register(&panic_notifier_list, &panic_block);
	return 0;
}

DEFINE_LSM(kernort) = {
	.id = &kernort_lsmid,
	/* Whatever lsm= and security= say on the command line. */
	.order = LSM_ORDER_LAST,
	.init = kernort_init,
	.blobs = &kernort_blobs,
};
