// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that the host takes back from a virtual server, and gives again.
 *
 * Theory of operation
 *
 * Goal: the host says how much of its memory this guest may use, at any moment
 * of its life, up to what it was booted with. What the guest must not use is
 * allocated here, so that nobody else can have it, and each page is punched out
 * of the file that holds guest memory, so that the host has it again. To let
 * go of a page is all that it takes to give it back: the file has a hole there,
 * which the host fills when the page is touched.
 *
 * The kernel inherits a *listening* stream socket, as for the control channel
 * and for the same reason: soda_balloon.fd=N on the command line. The newest
 * connection is the one that is listened to. The host sends orders and gets
 * reports, in records of 16 bytes, little-endian:
 *
 *   order:  u64 bytes that may be used, u32 flags (1: insist), u32 0
 *   report: u64 bytes that can be used now, u32 state, u32 flags (1: killed)
 *
 * The newest order counts. A gentle one takes free memory, and what the kernel
 * can reclaim from its caches; when there is no more of that, the state is
 * "stuck" until the next order. With "insist" the kernel ends processes for it,
 * as it does when a program needs memory that is not there. It may do so before,
 * when its caches become too small for the programs that run: whoever was ended
 * while memory was missing for an order, "killed" tells. When to insist, and when
 * to give up, is decided by the host.
 *
 * A guest that boots with less than it has (soda_balloon.usable=, in MiB) gives
 * the rest up before its first process runs.
 *
 * Attacker: a guest program, root included. Orders come from the host only; no
 * file or call of the guest leads here. Root can hold memory (mlock, tmpfs), so
 * that a gentle order is stuck, and dies of an order that insists.
 */

#define pr_fmt(fmt) "soda-balloon: " fmt

#include <linux/bits.h>
#include <linux/gfp.h>
#include <linux/init.h>
#include <linux/interrupt.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/notifier.h>
#include <linux/oom.h>
#include <linux/printk.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/workqueue.h>
#include <as-layout.h>
#include <irq_kern.h>
#include <os.h>

/* Taken and dropped by one host call where there is such a piece: 1 MiB. */
#define PIECE_ORDER 8
/* Between two looks at what the host wants now, and between two reports. */
#define STEP_PAGES (SZ_8M >> PAGE_SHIFT)

#define ORDER_INSIST BIT(0)
#define REPORT_KILLED BIT(0)

struct balloon_order {
	__le64 usable;
	__le32 flags;
	__le32 reserved;
};
static_assert(sizeof(struct balloon_order) == 16);

enum balloon_state {
	BALLOON_WORKING,
	BALLOON_DONE,
	BALLOON_STUCK,	/* nothing more without an order that insists */
	BALLOON_BROKEN,	/* the host does not take memory back */
};

struct balloon_report {
	__le64 usable;
	__le32 state;
	__le32 flags;
};
static_assert(sizeof(struct balloon_report) == 16);

/**
 * struct balloon - the one balloon of this guest
 * @fd: connection in use; -1 if none
 * @irq: interrupt of @fd
 * @pages: those that nobody has
 * @taken: how many they are
 * @wanted: how many they should be
 * @insists: the order says so
 * @has_killed: memory ran out while so much of it was wanted
 * @state: how far it is carried out
 * @work: does all of it, one at a time
 * @queue: where
 */
struct balloon {
	int fd;
	int irq;
	struct list_head pages;
	unsigned long taken;
	unsigned long wanted;
	bool insists;
	bool has_killed;
	enum balloon_state state;
	struct work_struct work;
	struct workqueue_struct *queue;
};

static int listen_fd = -1;
static unsigned int usable_mib;

static struct balloon balloon = {
	.fd = -1,
	.pages = LIST_HEAD_INIT(balloon.pages),
	.state = BALLOON_DONE,
};

static irqreturn_t balloon_interrupt(int irq, void *data)
{
	struct balloon *b = data;

	queue_work(b->queue, &b->work);
	return IRQ_HANDLED;
}

/* The kernel is about to end a process for want of memory. */
static int out_of_memory_notified(struct notifier_block *block,
				  unsigned long event, void *freed)
{
	if (balloon.taken < balloon.wanted)
		balloon.has_killed = true;
	return NOTIFY_OK;
}

static struct notifier_block out_of_memory_block = {
	.notifier_call = out_of_memory_notified,
};

static void want(struct balloon *b, u64 usable)
{
	unsigned long wanted =
		usable < physmem_size ? (physmem_size - usable) >> PAGE_SHIFT : 0;

	if (wanted != b->wanted)
		b->has_killed = false;
	b->wanted = wanted;
	b->state = BALLOON_WORKING;
}

/* Pages of a piece to the host, then into our list, one by one. */
static bool keep_pages(struct balloon *b, struct page *page, unsigned int order)
{
	unsigned long count = 1UL << order;
	int err = os_drop_memory(page_address(page), PAGE_SIZE << order);

	if (err) {
		pr_err_once("the host does not take memory back: error %d\n", err);
		__free_pages(page, order);
		b->state = BALLOON_BROKEN;
		return false;
	}
	split_page(page, order);
	for (unsigned long i = 0; i < count; i++)
		list_add(&page[i].lru, &b->pages);
	/* What programs are told that there is. */
	adjust_managed_page_count(page, -(long)count);
	b->taken += count;
	return true;
}

static bool take_piece(struct balloon *b)
{
	gfp_t common = __GFP_NOWARN | __GFP_NOMEMALLOC;
	unsigned long missing = b->wanted - b->taken;
	struct page *page = NULL;

	if (missing >= 1UL << PIECE_ORDER)
		page = alloc_pages(__GFP_NORETRY | common, PIECE_ORDER);
	if (page)
		return keep_pages(b, page, PIECE_ORDER);

	page = alloc_page(GFP_KERNEL | common |
			  (b->insists ? 0 : __GFP_RETRY_MAYFAIL));
	if (page)
		return keep_pages(b, page, 0);
	b->state = BALLOON_STUCK;
	return false;
}

static void give_page(struct balloon *b)
{
	struct page *page = list_first_entry(&b->pages, struct page, lru);

	list_del(&page->lru);
	adjust_managed_page_count(page, 1);
	__free_page(page);
	b->taken--;
}

/* Some of the way to what is wanted. */
static void step(struct balloon *b)
{
	unsigned long start = b->taken;

	while (b->taken > b->wanted && start - b->taken < STEP_PAGES)
		give_page(b);
	while (b->taken < b->wanted && b->taken - start < STEP_PAGES) {
		if (!take_piece(b))
			return;
		cond_resched();
	}
	if (b->taken == b->wanted)
		b->state = BALLOON_DONE;
}

static void disconnect(struct balloon *b)
{
	if (b->fd < 0)
		return;
	um_free_irq(b->irq, b);
	os_close_file(b->fd);
	b->fd = -1;
}

static void accept_connections(struct balloon *b)
{
	int fd, err;

	for (;;) {
		fd = os_accept_connection(listen_fd);
		if (fd == -EINTR || fd == -ECONNABORTED)
			continue;
		if (fd < 0)
			return;
		disconnect(b);
		err = os_set_exec_close(fd);
		if (!err)
			err = um_request_irq(UM_IRQ_ALLOC, fd, IRQ_READ,
					     balloon_interrupt, 0,
					     "soda-balloon", b);
		if (err < 0) {
			pr_err("connection refused: error %d\n", err);
			os_close_file(fd);
			continue;
		}
		b->irq = err;
		b->fd = fd;
	}
}

static void read_orders(struct balloon *b)
{
	struct balloon_order order;
	int n;

	while (b->fd >= 0) {
		do {
			n = os_read_file(b->fd, &order, sizeof(order));
		} while (n == -EINTR);
		if (n == -EAGAIN)
			return;
		/* The end, or something else than an order. */
		if (n != sizeof(order) || order.reserved) {
			disconnect(b);
			return;
		}
		b->insists = le32_to_cpu(order.flags) & ORDER_INSIST;
		want(b, le64_to_cpu(order.usable));
	}
}

/* Small, and few: one that does not fit means that nobody reads them. */
static void report(struct balloon *b)
{
	struct balloon_report report = {
		.usable = cpu_to_le64(physmem_size - ((u64)b->taken << PAGE_SHIFT)),
		.state = cpu_to_le32(b->state),
		.flags = cpu_to_le32(b->has_killed ? REPORT_KILLED : 0),
	};
	int n;

	if (b->fd < 0)
		return;
	do {
		n = os_write_file(b->fd, &report, sizeof(report));
	} while (n == -EINTR);
	if (n != sizeof(report))
		disconnect(b);
}

static void balloon_work(struct work_struct *work)
{
	struct balloon *b = container_of(work, struct balloon, work);

	accept_connections(b);
	read_orders(b);
	if (b->state != BALLOON_WORKING)
		return;
	step(b);
	report(b);
	/* Also when nobody listens any more: the order stands. */
	if (b->state == BALLOON_WORKING)
		queue_work(b->queue, &b->work);
}

static int __init balloon_init(void)
{
	struct balloon *b = &balloon;
	int irq;

	if (usable_mib) {
		want(b, (u64)usable_mib << 20);
		while (b->state == BALLOON_WORKING)
			step(b);
	}
	if (listen_fd < 0)
		return 0;

	INIT_WORK(&b->work, balloon_work);
	b->queue = alloc_ordered_workqueue("soda-balloon", 0);
	if (!b->queue)
		return -ENOMEM;
	register_oom_notifier(&out_of_memory_block);
	irq = um_request_irq(UM_IRQ_ALLOC, listen_fd, IRQ_READ,
			     balloon_interrupt, 0, "soda-balloon-listen", b);
	if (irq < 0) {
		pr_err("no balloon on host descriptor %d: error %d\n", listen_fd, irq);
		unregister_oom_notifier(&out_of_memory_block);
		destroy_workqueue(b->queue);
		return irq;
	}
	/* Whoever connected before the interrupt was there made no edge. */
	queue_work(b->queue, &b->work);
	return 0;
}
late_initcall(balloon_init);

#undef MODULE_PARAM_PREFIX
#define MODULE_PARAM_PREFIX "soda_balloon."
module_param_named(fd, listen_fd, int, 0);
module_param_named(usable, usable_mib, uint, 0);
