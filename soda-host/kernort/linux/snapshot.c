// SPDX-License-Identifier: GPL-2.0-only
/*
 * Snapshots: which processes there are, which sockets they hold, and how busy the machine is.
 *
 * Theory of operation
 *
 * Goal: whoever reads the log sees what surrounded an alert, and, between alerts, what is there that should not
 * be. Taken from the kernel's own lists, not from /proc, which the guest's root may cover.
 *
 * Every SNAPSHOT_PERIOD_MS by the clock of a guest that does something (an idle one is not woken), and when
 * somebody asks, at most once in SNAPSHOT_INTERVAL_MS: alerts come in swarms, and a later one asks for nothing
 * that the snapshot before did not show. A topic is written in parts, from one buffer, as long as it may be; the
 * last part says how many there were.
 */

#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/init.h>
#include <linux/irq_work.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/net.h>
#include <linux/sched/loadavg.h>
#include <linux/sched/signal.h>
#include <linux/sched/stat.h>
#include <linux/sched/task.h>
#include <linux/sizes.h>
#include <linux/swap.h>
#include <linux/timekeeping.h>
#include <linux/workqueue.h>
#include <net/af_unix.h>
#include <net/inet_sock.h>

#include "hooks.h"
#include "snapshot.h"

#define SNAPSHOT_PERIOD_MS 60000
/* What the boot has brought up. */
#define SNAPSHOT_FIRST_MS 5000
#define SNAPSHOT_INTERVAL_MS 1000
#define PART_SIZE_MAX SZ_16K
/* No line of any topic is longer. */
#define LINE_SIZE_MAX 256

enum topic {
	PROCESSES = 1,
	SOCKETS,
	LOAD,
};

/* The worker's alone. */
static struct {
	struct kernort_snapshot fields;
	size_t size;
	char text[PART_SIZE_MAX];
} part;

static u32 wanted_cause;
static unsigned long earliest;

static void take_snapshot(struct work_struct *work);
static void take_periodic_snapshot(struct work_struct *work);
static DECLARE_DELAYED_WORK(snapshot_work, take_snapshot);
static DECLARE_DEFERRABLE_WORK(periodic_work, take_periodic_snapshot);

static void begin_topic(enum topic topic, u32 cause)
{
	part.fields = (struct kernort_snapshot){ .topic = topic, .cause = cause };
	part.size = 0;
}

static void log_part(void)
{
	struct kernort_piece tail = { part.text, part.size };

	kernort_log(KERNORT_KIND_snapshot, &part.fields, &tail);
	part.fields.part++;
	part.size = 0;
}

static void end_topic(void)
{
	part.fields.parts = part.fields.part + 1;
	log_part();
}

static __printf(1, 2) void write_line(const char *format, ...)
{
	va_list arguments;

	if (part.size + LINE_SIZE_MAX > sizeof(part.text))
		log_part();
	va_start(arguments, format);
	part.size += vscnprintf(part.text + part.size, LINE_SIZE_MAX, format, arguments);
	va_end(arguments);
}

/* A name is what its process says: a line end in it would forge a line. */
static void printable_name(char name[TASK_COMM_LEN], const struct task_struct *task)
{
	int i;

	strscpy(name, task->comm, TASK_COMM_LEN);
	for (i = 0; name[i]; i++)
		if (name[i] < ' ' || name[i] == 0x7f)
			name[i] = '?';
}

/* pid, parent, real and effective uid, state, threads, KiB of memory, seconds since the boot at its start, name */
static void write_process(struct task_struct *task)
{
	unsigned long pages = 0;
	char name[TASK_COMM_LEN];

	task_lock(task);
	if (task->mm)
		pages = get_mm_rss(task->mm);
	task_unlock(task);
	printable_name(name, task);
	write_line("%d %d %u %u %c %d %lu %llu %s\n", task_tgid_nr(task),
		   task_tgid_nr(rcu_dereference(task->real_parent)), from_kuid(&init_user_ns, task_uid(task)),
		   from_kuid(&init_user_ns, task_cred_xxx(task, euid)), task_state_to_char(task), get_nr_threads(task),
		   pages << (PAGE_SHIFT - 10), div_u64(task->start_boottime, NSEC_PER_SEC), name);
}

static void snapshot_processes(u32 cause)
{
	struct task_struct *task;

	begin_topic(PROCESSES, cause);
	rcu_read_lock();
	for_each_process(task)
		if (!(task->flags & PF_KTHREAD))
			write_process(task);
	rcu_read_unlock();
	end_topic();
}

static void write_internet_socket(const char *holder, const struct sock *sk)
{
	const struct inet_sock *inet = inet_sk(sk);

#if IS_ENABLED(CONFIG_IPV6)
	if (sk->sk_family == AF_INET6) {
		write_line("%s %d %d %d %pI6c %u %pI6c %u\n", holder, sk->sk_type, sk->sk_protocol, sk->sk_state,
			   &sk->sk_v6_rcv_saddr, inet->inet_num, &sk->sk_v6_daddr, ntohs(inet->inet_dport));
		return;
	}
#endif
	write_line("%s %d %d %d %pI4 %u %pI4 %u\n", holder, sk->sk_type, sk->sk_protocol, sk->sk_state,
		   &inet->inet_rcv_saddr, inet->inet_num, &inet->inet_daddr, ntohs(inet->inet_dport));
}

/* pid, descriptor, family, type, protocol, state, then local and remote address and port where there are any */
static int write_socket(const void *data, struct file *file, unsigned int fd)
{
	struct task_struct *task = (struct task_struct *)data;
	struct socket *sock = sock_from_file(file);
	char holder[40];

	if (!sock || !sock->sk)
		return 0;
	scnprintf(holder, sizeof(holder), "%d %u %u", task_tgid_nr(task), fd, sock->sk->sk_family);
	if (sock->sk->sk_family == AF_INET || sock->sk->sk_family == AF_INET6)
		write_internet_socket(holder, sock->sk);
	else
		write_line("%s %d %d %d\n", holder, sock->sk->sk_type, sock->sk->sk_protocol, sock->sk->sk_state);
	return 0;
}

static void snapshot_sockets(u32 cause)
{
	struct task_struct *task;

	begin_topic(SOCKETS, cause);
	rcu_read_lock();
	for_each_process(task) {
		task_lock(task);
		iterate_fd(task->files, 0, write_socket, task);
		task_unlock(task);
	}
	rcu_read_unlock();
	end_topic();
}

static void snapshot_load(u32 cause)
{
	struct sysinfo memory = { 0 };

	begin_topic(LOAD, cause);
	si_meminfo(&memory);
	write_line("uptime_seconds %llu\n", ktime_get_boottime_seconds());
	write_line("load_1m %lu.%02lu\n", LOAD_INT(avenrun[0]), LOAD_FRAC(avenrun[0]));
	write_line("load_15m %lu.%02lu\n", LOAD_INT(avenrun[2]), LOAD_FRAC(avenrun[2]));
	write_line("running %u\nthreads %d\n", nr_running(), nr_threads);
	write_line("memory_kib %lu\nfree_kib %lu\navailable_kib %ld\n", memory.totalram << (PAGE_SHIFT - 10),
		   memory.freeram << (PAGE_SHIFT - 10), si_mem_available() << (PAGE_SHIFT - 10));
	end_topic();
}

static void snapshot_all(u32 cause)
{
	if (!kernort_is_on())
		return;
	snapshot_processes(cause);
	snapshot_sockets(cause);
	snapshot_load(cause);
}

/* Both run in one queue, which does one thing at a time: the buffer is theirs. */
static struct workqueue_struct *queue;

static void take_snapshot(struct work_struct *work)
{
	WRITE_ONCE(earliest, jiffies + msecs_to_jiffies(SNAPSHOT_INTERVAL_MS));
	snapshot_all(READ_ONCE(wanted_cause));
}

static void take_periodic_snapshot(struct work_struct *work)
{
	snapshot_all(0);
	queue_delayed_work(queue, &periodic_work, msecs_to_jiffies(SNAPSHOT_PERIOD_MS));
}

static void queue_snapshot(struct irq_work *work)
{
	unsigned long now = jiffies, wanted = READ_ONCE(earliest);

	if (queue)
		queue_delayed_work(queue, &snapshot_work, time_before(now, wanted) ? wanted - now : 0);
}

/* Whoever asks may hold the locks that a queue needs. */
static DEFINE_IRQ_WORK(request_work, queue_snapshot);

void kernort_snapshot_request(u32 cause)
{
	if (delayed_work_pending(&snapshot_work))
		return;
	WRITE_ONCE(wanted_cause, cause);
	irq_work_queue(&request_work);
}

static int __init snapshot_start(void)
{
	if (!kernort_is_on())
		return 0;
	earliest = jiffies;
	queue = alloc_ordered_workqueue("kernort-snapshot", 0);
	if (!queue)
		return -ENOMEM;
	queue_delayed_work(queue, &periodic_work, msecs_to_jiffies(SNAPSHOT_FIRST_MS));
	return 0;
}
late_initcall(snapshot_start);
