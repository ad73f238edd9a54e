// SPDX-License-Identifier: GPL-2.0-only
/* kernort.selftest=1 on the command line: known answers are computed at boot, and the result is printed. */

#define pr_fmt(fmt) "kernort: " fmt

#include <linux/init.h>
#include <linux/moduleparam.h>
#include <linux/printk.h>

#include "../tests/seal_check.h"

static bool selftest;

static int __init kernort_selftest(void)
{
	const char *failed;

	if (!selftest)
		return 0;
	failed = kernort_seal_check();
	if (failed)
		pr_emerg("self-test failed: %s\n", failed);
	else
		pr_emerg("self-test passed\n");
	return 0;
}
late_initcall(kernort_selftest);

#undef MODULE_PARAM_PREFIX
#define MODULE_PARAM_PREFIX "kernort."
module_param(selftest, bool, 0);
