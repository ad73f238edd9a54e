// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sealing what was logged, and pushing it down to the host.
 *
 * Theory of operation
 *
 * Goal: whatever the guest's root does, what was logged is sealed and out of the guest's reach within a tick or two;
 * and the log never makes the guest wait.
 *
 * Records are taken from the queue, sealed into one frame, and ordered from the spool, one order at a time; while it
 * is written, the queue gathers the next ones. This is done in a softirq, not in a thread: there is nothing that root
 * could renice, bind to a CPU, freeze, or starve by a realtime task. It is raised
 *   - by an irq_work at the next tick, so that a frame holds what a tick has brought;
 *   - at once by whoever logs an alert, or fills the queue: who makes much work does it;
 *   - when an order is done.
 * All memory is taken at boot: a guest that has used up its own loses no record.
 *
 * An epoch ends by number of frames or bytes (the sealer tells), or when it has secrets of records that are older than
 * EPOCH_SECONDS: also in a guest that has fallen silent since.
 *
 * The end: a reboot notifier tells how the guest ends; what is logged after that still goes out. The last frame is sealed
 * where nothing runs any more, still in the context of who ended it: in an exit call of the architecture, or a panic's
 * notifier. There the spool is waited for, but not for ever.
 *
 * A kernel that is stamped does not run without a log: what is wrong with its parameters is a panic at boot.
 *   kernort.fd=A,B       descriptors of the spool's files
 *   kernort.spool=BYTES  how much each of them takes
 *   kernort.boot=N       boots of this server count from 0
 *   kernort.previous=HEX head of the log after the boot before; not in boot 0
 *
 * Randomness: a secret comes from the guest's generator, whose seed is the host's. A salt must differ even where a
 * guest is set back to an earlier state, generator and all: it comes from the host each time.
 */

#define pr_fmt(fmt) "kernort: " fmt

#include <linux/bottom_half.h>
#include <linux/gfp.h>
#include <linux/hex.h>
#include <linux/init.h>
#include <linux/interrupt.h>
#include <linux/irq_work.h>
#include <linux/kernel.h>
#include <linux/moduleparam.h>
#include <linux/notifier.h>
#include <linux/panic.h>
#include <linux/panic_notifier.h>
#include <linux/printk.h>
#include <linux/random.h>
#include <linux/reboot.h>
#include <linux/timer.h>
#include <linux/utsname.h>
#include <init.h>
#include <irq_kern.h>
#include <irq_user.h>
#include <os.h>

#include "../engine/ring.h"
#include "../engine/seal.h"
#include "log.h"
#include "push.h"
#include "queue.h"
#include "spool.h"
#include "stamp.h"

#define KERNORT_ABI 1
#define EPOCH_SECONDS 600
/* How long a guest that ends waits for its spool, for each order. */
#define LAST_ORDERS_MS 2000
/* One frame must fit. */
#define SPOOL_FILE_MIN (2 * KERNORT_FRAME_SIZE_MAX)

/* As they stand on the command line: what is no number must be refused, not passed over. */
static char *fds;
static char *spool_max;
static char *boot;
static char *previous;

static struct {
	struct kernort_sealer sealer;
	bool shows_severity;
	u8 *buffer; /* an epoch frame and a frame of records */
	bool is_sealing;
	bool is_ordered; /* the spool has the buffer */
	bool is_epoch_old;
	bool is_over;
	u32 reason; /* of the end: kernort_shutdown.reason */
} push;

static void push_records(struct tasklet_struct *unused);
static DECLARE_TASKLET(push_tasklet, push_records);

static u32 epoch_frame_size(void)
{
	return (u32)(sizeof(struct kernort_frame_header) + sizeof(struct kernort_epoch_link) +
		     push.sealer.config.recipients * sizeof(struct kernort_recipient) + KERNORT_TAG_SIZE);
}

static void epoch_grew_old(struct timer_list *unused)
{
	push.is_epoch_old = true;
	tasklet_hi_schedule(&push_tasklet);
}

static DEFINE_TIMER(epoch_timer, epoch_grew_old);

static void host_random(u8 *out, size_t length)
{
	if (os_getrandom(out, length, 0) != length)
		get_random_bytes(out, length);
}

static int begin_epoch(u8 *frame, u64 next_record)
{
	struct kernort_epoch_random random;

	get_random_bytes(&random, sizeof(random));
	host_random(random.salt, sizeof(random.salt));
	push.is_epoch_old = false;
	return kernort_sealer_begin_epoch(&push.sealer, frame, next_record, &random);
}

/* Into the buffer: a frame of what waits, before it an epoch where one is due. Return: bytes, 0 if there is nothing. */
static int seal_waiting(enum kernort_frame_kind kind)
{
	bool is_new_epoch = !push.sealer.epochs || push.is_epoch_old ||
			    kernort_sealer_is_epoch_full(&push.sealer);
	u8 *frame = push.buffer + (is_new_epoch ? epoch_frame_size() : 0);
	struct kernort_batch batch = { .kind = kind };
	struct kernort_taken taken;
	int size = 0, err;

	kernort_queue_take(&taken, kernort_frame_records(frame), KERNORT_FRAME_SEALED_MAX);
	if (!taken.count && kind == KERNORT_FRAME_RECORDS && !push.is_epoch_old)
		return 0;
	if (is_new_epoch) {
		size = begin_epoch(push.buffer, taken.first);
		if (size < 0)
			return size;
	}
	if (!taken.count && kind == KERNORT_FRAME_RECORDS)
		return size;
	batch.record_count = taken.count;
	batch.first_record = taken.first;
	if (push.shows_severity)
		batch.severity = taken.severity;
	host_random(batch.salt, sizeof(batch.salt));
	err = kernort_sealer_seal(&push.sealer, frame, taken.size, &batch);
	return err < 0 ? err : size + err;
}

/* Return: bytes that were ordered, 0 if there were none. */
static int order(enum kernort_frame_kind kind)
{
	int size, err;

	push.is_sealing = true;
	size = seal_waiting(kind);
	push.is_sealing = false;
	if (size <= 0)
		return size;
	/* Before: it may be done, and its interrupt over, when the call returns. */
	WRITE_ONCE(push.is_ordered, true);
	err = kernort_spool_order(push.buffer, size);
	if (err)
		return err;
	if (push.sealer.frames_in_epoch == 1)
		mod_timer(&epoch_timer, jiffies + EPOCH_SECONDS * HZ);
	return size;
}

static void push_records(struct tasklet_struct *unused)
{
	int err;

	if (push.is_over || READ_ONCE(push.is_ordered))
		return;
	err = order(KERNORT_FRAME_RECORDS);
	/* It has been sealing since the boot, to a thread of this very process. */
	if (err < 0)
		panic("kernort: the log cannot go on: error %d\n", err);
}

static void push_at_tick(struct irq_work *work)
{
	tasklet_hi_schedule(&push_tasklet);
}

static DEFINE_IRQ_WORK(tick_work, push_at_tick);

void kernort_push_soon(bool at_once)
{
	if (!at_once) {
		irq_work_queue(&tick_work);
		return;
	}
	local_bh_disable();
	tasklet_hi_schedule(&push_tasklet);
	local_bh_enable();
}

static irqreturn_t order_done(int irq, void *unused)
{
	if (!push.is_over && kernort_spool_done(0) == 1) {
		WRITE_ONCE(push.is_ordered, false);
		tasklet_hi_schedule(&push_tasklet);
	}
	return IRQ_HANDLED;
}

/* Wait for the spool, but not for ever. */
static bool is_free(void)
{
	if (push.is_ordered && kernort_spool_done(LAST_ORDERS_MS) == 1)
		push.is_ordered = false;
	return !push.is_ordered;
}

static bool push_waiting(void)
{
	int size;

	do {
		if (!is_free())
			return false;
		size = order(KERNORT_FRAME_RECORDS);
	} while (size > 0);
	return size == 0;
}

/* All that waits, and the last frame. Nothing else runs, and nothing will. */
static void push_last(void)
{
	const struct kernort_shutdown shutdown = { .reason = push.reason };

	if (!kernort_is_on() || push.is_over)
		return;
	push.is_over = true;
	/* It came in the middle of a frame: the reader is told that this boot did not say its end. */
	if (push.is_sealing)
		return;
	if (push_waiting()) {
		kernort_log(KERNORT_KIND_shutdown, &shutdown, NULL);
		if (order(KERNORT_FRAME_END) > 0)
			is_free();
	}
	kernort_sealer_wipe(&push.sealer);
}

__uml_exitcall(push_last);

static int end_by_panic(struct notifier_block *block, unsigned long unused, void *text)
{
	push.reason = 4;
	push_last();
	return NOTIFY_DONE;
}

/* Before that of the architecture, which does not return. */
static struct notifier_block panic_block = { .notifier_call = end_by_panic, .priority = INT_MAX };

static int note_reason(struct notifier_block *block, unsigned long event, void *unused)
{
	if (event == SYS_POWER_OFF)
		push.reason = 1;
	else if (event == SYS_RESTART)
		push.reason = 2;
	else if (event == SYS_HALT)
		push.reason = 3;
	return NOTIFY_DONE;
}

static struct notifier_block reboot_block = { .notifier_call = note_reason };

static void __init log_boot(void)
{
	const struct kernort_boot record = {
		.abi = KERNORT_ABI, .boot_number = push.sealer.config.boot_number,
	};
	char kernel[2 * (__NEW_UTS_LEN + 1)];
	struct kernort_piece tails[2];

	tails[0].bytes = kernel;
	tails[0].length = scnprintf(kernel, sizeof(kernel), "%s %s", init_utsname()->release, init_utsname()->version);
	tails[1].bytes = saved_command_line;
	tails[1].length = strlen(saved_command_line);
	kernort_log(KERNORT_KIND_boot, &record, tails);
}

/* @head: zeros before a server's first boot */
static void __init parse_previous(u8 head[32], u32 boot_number)
{
	memset(head, 0, 32);
	if (!previous && !boot_number)
		return;
	if (!previous || !boot_number || strlen(previous) != 64 || hex2bin(head, previous, 32))
		panic("kernort: kernort.previous= is not the head of a log before boot %u\n", boot_number);
}

static void __init start_sealer(const struct kernort_stamp *stamp)
{
	struct kernort_seal_config config = { .recipients = stamp->recipients };
	u8 boot_id[16], head[32];

	if (!boot || kstrtou32(boot, 10, &config.boot_number))
		panic("kernort: kernort.boot= is not the number of a boot\n");
	parse_previous(head, config.boot_number);
	memcpy(config.server_id, stamp->server_id, sizeof(config.server_id));
	memcpy(config.public_keys, stamp->public_keys, sizeof(config.public_keys));
	host_random(boot_id, sizeof(boot_id));
	if (kernort_sealer_init(&push.sealer, &config, boot_id, head))
		panic("kernort: no sealer for %u recipients\n", stamp->recipients);
	push.shows_severity = stamp->flags & KERNORT_STAMP_SEVERITY_VISIBLE;
}

static void __init start_spool(void)
{
	int numbers[KERNORT_SPOOL_FILES + 1], fd;
	u64 file_max;

	if (!fds || *get_options(fds, ARRAY_SIZE(numbers), numbers) || numbers[0] != KERNORT_SPOOL_FILES ||
	    numbers[1] == numbers[2])
		panic("kernort: kernort.fd= does not name %d descriptors\n", KERNORT_SPOOL_FILES);
	if (!spool_max || kstrtou64(spool_max, 10, &file_max) || file_max < SPOOL_FILE_MIN)
		panic("kernort: kernort.spool= is not a number of %zu bytes or more\n", SPOOL_FILE_MIN);
	fd = kernort_spool_start(numbers + 1, file_max);
	if (fd < 0)
		panic("kernort: no log can be written to descriptors %s: error %d\n", fds, fd);
	fd = um_request_irq(UM_IRQ_ALLOC, fd, IRQ_READ, order_done, 0, "kernort", &push);
	if (fd < 0)
		panic("kernort: no interrupt for the log: error %d\n", fd);
}

static u8 * __init pages(size_t size)
{
	u8 *bytes = alloc_pages_exact(size, GFP_KERNEL);

	if (!bytes)
		panic("kernort: no memory for the log\n");
	return bytes;
}

static int __init kernort_start(void)
{
	const struct kernort_stamp *stamp = kernort_stamp_read();

	if (!stamp->recipients)
		return 0;
	start_sealer(stamp);
	start_spool();
	push.buffer = pages(KERNORT_EPOCH_FRAME_SIZE_MAX + KERNORT_FRAME_SIZE_MAX);
	kernort_queue_start(pages(KERNORT_RING_SIZE));
	register_reboot_notifier(&reboot_block);
	atomic_notifier_chain_register(&panic_notifier_list, &panic_block);
	log_boot();
	local_bh_disable();
	if (order(KERNORT_FRAME_RECORDS) < 0)
		panic("kernort: nothing can be sealed to the keys of this kernel\n");
	local_bh_enable();
	return 0;
}
early_initcall(kernort_start);

#undef MODULE_PARAM_PREFIX
#define MODULE_PARAM_PREFIX "kernort."
module_param_named(fd, fds, charp, 0);
module_param_named(spool, spool_max, charp, 0);
module_param(boot, charp, 0);
module_param(previous, charp, 0);
