// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/soda-channel: the host controls a virtual server through this device.
 *
 * Theory of operation
 *
 * Goal: a byte stream between guest init and whoever connects to a Unix socket
 * on the host, fast (UML's serial lines make a host call for every byte), and
 * indifferent to the death of the host side.
 *
 * The kernel inherits a *listening* stream socket: soda_channel.fd=N on the
 * command line. One connection is used at a time. Only the host's daemon can
 * reach the socket, so a newer connection is a newer daemon, and always right:
 * it ends the one before.
 *
 * The reader sees the end of a connection as one read() that returns 0. Only
 * after that does the next connection begin, and until then write() fails with
 * EPIPE: no byte meant for one connection ever reaches another.
 *
 * All calls are non-blocking whatever O_NONBLOCK says; use poll(). Whether the
 * host socket can be read or written is tried, not asked: CHANNEL_READABLE and
 * CHANNEL_WRITABLE are cleared *before* a host call, and set again if there may
 * be more, or by the interrupt, so an edge between the two is not lost.
 *
 * Writing to a socket whose peer is gone gives EPIPE: UML blocks SIGPIPE for
 * its whole life (arch/um/os-Linux/main.c). Host descriptors are not visible
 * to guest programs: userspace_tramp() closes all of them but the memory's.
 *
 * Attacker: a guest program, root included. It cannot open the device while
 * init has it (EBUSY), and init never lets go.
 */

#define pr_fmt(fmt) "soda-channel: " fmt

#include <linux/bitops.h>
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/init.h>
#include <linux/interrupt.h>
#include <linux/miscdevice.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/printk.h>
#include <linux/sizes.h>
#include <linux/uaccess.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <irq_kern.h>
#include <os.h>

/* One host call moves at most this much. */
#define CHANNEL_BUFFER_SIZE SZ_64K

enum channel_flag {
	CHANNEL_OPENED,		/* somebody holds the device */
	CHANNEL_CONNECTED,	/* there is a connection, or the end of one */
	CHANNEL_ENDED,		/* the reader has to be told that it ended */
	CHANNEL_READABLE,
	CHANNEL_WRITABLE,
};

/**
 * struct channel - the one channel of this guest
 * @flags: bits of &enum channel_flag
 * @lock: guards everything below, and host calls on the descriptors
 * @fd: connection in use; -1 if none
 * @read_irq: interrupt of @fd
 * @write_irq: interrupt of @fd
 * @next_fd: newest connection, waiting until the reader has seen the end of
 *	@fd; -1 if none
 * @read_buffer: on its way to user space
 * @write_buffer: on its way to the host
 * @wait: readers and writers in poll()
 * @accept_work: takes new connections
 */
struct channel {
	unsigned long flags;
	struct mutex lock;
	int fd;
	int read_irq;
	int write_irq;
	int next_fd;
	void *read_buffer;
	void *write_buffer;
	wait_queue_head_t wait;
	struct work_struct accept_work;
};

static int listen_fd = -1;

static struct channel channel = {
	.lock = __MUTEX_INITIALIZER(channel.lock),
	.fd = -1,
	.next_fd = -1,
	.wait = __WAIT_QUEUE_HEAD_INITIALIZER(channel.wait),
};

static irqreturn_t listen_interrupt(int irq, void *data)
{
	struct channel *ch = data;

	schedule_work(&ch->accept_work);
	return IRQ_HANDLED;
}

static irqreturn_t read_interrupt(int irq, void *data)
{
	struct channel *ch = data;

	set_bit(CHANNEL_READABLE, &ch->flags);
	wake_up_interruptible_poll(&ch->wait, EPOLLIN | EPOLLRDNORM);
	return IRQ_HANDLED;
}

static irqreturn_t write_interrupt(int irq, void *data)
{
	struct channel *ch = data;

	set_bit(CHANNEL_WRITABLE, &ch->flags);
	wake_up_interruptible_poll(&ch->wait, EPOLLOUT | EPOLLWRNORM);
	return IRQ_HANDLED;
}

/* Begin to use a connection. Takes @fd over, also when it fails. */
static int channel_attach(struct channel *ch, int fd)
{
	int err;

	lockdep_assert_held(&ch->lock);

	/* A guest that reboots becomes a new kernel by exec. */
	err = os_set_exec_close(fd);
	if (err < 0)
		goto out_close;

	err = um_request_irq(UM_IRQ_ALLOC, fd, IRQ_READ, read_interrupt, 0,
			     "soda-channel-read", ch);
	if (err < 0)
		goto out_close;
	ch->read_irq = err;

	err = um_request_irq(UM_IRQ_ALLOC, fd, IRQ_WRITE, write_interrupt, 0,
			     "soda-channel-write", ch);
	if (err < 0)
		goto out_free_read;
	ch->write_irq = err;

	ch->fd = fd;
	/* What arrived before the interrupts were there made no edge. */
	set_bit(CHANNEL_READABLE, &ch->flags);
	set_bit(CHANNEL_WRITABLE, &ch->flags);
	set_bit(CHANNEL_CONNECTED, &ch->flags);
	wake_up_interruptible(&ch->wait);
	return 0;

out_free_read:
	um_free_irq(ch->read_irq, ch);
out_close:
	os_close_file(fd);
	pr_err("connection refused: error %d\n", err);
	return err;
}

/* Drop the connection in use and go on with the next, if there is one. */
static void channel_detach(struct channel *ch)
{
	int next = ch->next_fd;

	lockdep_assert_held(&ch->lock);

	if (ch->fd >= 0) {
		um_free_irq(ch->write_irq, ch);
		um_free_irq(ch->read_irq, ch);
		os_close_file(ch->fd);
		ch->fd = -1;
	}
	clear_bit(CHANNEL_CONNECTED, &ch->flags);
	clear_bit(CHANNEL_ENDED, &ch->flags);
	ch->next_fd = -1;
	if (next >= 0)
		channel_attach(ch, next);
}

static void channel_end(struct channel *ch)
{
	set_bit(CHANNEL_ENDED, &ch->flags);
	wake_up_interruptible(&ch->wait);
}

static void channel_replace(struct channel *ch, int fd)
{
	if (ch->next_fd >= 0)
		os_close_file(ch->next_fd);
	ch->next_fd = fd;
	channel_end(ch);
}

static void channel_accept(struct work_struct *work)
{
	struct channel *ch = container_of(work, struct channel, accept_work);
	int fd;

	mutex_lock(&ch->lock);
	for (;;) {
		fd = os_accept_connection(listen_fd);
		if (fd == -EINTR || fd == -ECONNABORTED)
			continue;
		if (fd < 0)
			break;
		if (ch->fd >= 0)
			channel_replace(ch, fd);
		else
			channel_attach(ch, fd);
	}
	mutex_unlock(&ch->lock);
	if (fd != -EAGAIN)
		pr_err_ratelimited("accept failed: error %d\n", fd);
}

/* One host read into the buffer: bytes, 0 at the end, or -errno. */
static int host_read(struct channel *ch, size_t count)
{
	int n;

	clear_bit(CHANNEL_READABLE, &ch->flags);
	do {
		n = os_read_file(ch->fd, ch->read_buffer, count);
	} while (n == -EINTR);
	if (n > 0)
		set_bit(CHANNEL_READABLE, &ch->flags);
	return n;
}

static int host_write(struct channel *ch, size_t count)
{
	int n;

	clear_bit(CHANNEL_WRITABLE, &ch->flags);
	do {
		n = os_write_file(ch->fd, ch->write_buffer, count);
	} while (n == -EINTR);
	if (n == count)
		set_bit(CHANNEL_WRITABLE, &ch->flags);
	return n;
}

static ssize_t read_pieces(struct channel *ch, char __user *buf, size_t count)
{
	size_t done = 0;

	while (done < count) {
		size_t want = min_t(size_t, count - done, CHANNEL_BUFFER_SIZE);
		int n = host_read(ch, want);

		if (n == -EAGAIN)
			return done ?: -EAGAIN;
		/* Whatever ended it (ECONNRESET, a bad address), it is over. */
		if (n <= 0 || copy_to_user(buf + done, ch->read_buffer, n)) {
			channel_end(ch);
			return done;
		}
		done += n;
		/*
		 * A short read is not the last: the end of the connection may
		 * lie behind the data, announced by the same edge.
		 */
	}
	return done;
}

static ssize_t channel_read(struct file *file, char __user *buf, size_t count,
			    loff_t *pos)
{
	struct channel *ch = file->private_data;
	ssize_t ret;

	if (!count)
		return 0;
	if (mutex_lock_interruptible(&ch->lock))
		return -ERESTARTSYS;

	ret = -EAGAIN;
	if (ch->fd >= 0 && !test_bit(CHANNEL_ENDED, &ch->flags))
		ret = read_pieces(ch, buf, count);
	else if (ch->fd >= 0)
		ret = 0;
	/* The end is told once, and never together with data. */
	if (ret == 0)
		channel_detach(ch);
	mutex_unlock(&ch->lock);
	return ret;
}

static ssize_t write_pieces(struct channel *ch, const char __user *buf,
			    size_t count)
{
	size_t done = 0;

	while (done < count) {
		size_t want = min_t(size_t, count - done, CHANNEL_BUFFER_SIZE);
		int n;

		if (copy_from_user(ch->write_buffer, buf + done, want))
			return done ?: -EFAULT;
		n = host_write(ch, want);
		if (n == -EAGAIN)
			return done ?: -EAGAIN;
		if (n <= 0) {
			channel_end(ch);
			return done ?: -EPIPE;
		}
		done += n;
		if (n < want)
			break;
	}
	return done;
}

static ssize_t channel_write(struct file *file, const char __user *buf,
			     size_t count, loff_t *pos)
{
	struct channel *ch = file->private_data;
	ssize_t ret = -EPIPE;

	if (!count)
		return 0;
	if (mutex_lock_interruptible(&ch->lock))
		return -ERESTARTSYS;
	if (ch->fd >= 0 && !test_bit(CHANNEL_ENDED, &ch->flags))
		ret = write_pieces(ch, buf, count);
	mutex_unlock(&ch->lock);
	return ret;
}

static __poll_t channel_poll(struct file *file, poll_table *wait)
{
	struct channel *ch = file->private_data;
	unsigned long flags;
	__poll_t mask = 0;

	poll_wait(file, &ch->wait, wait);
	flags = READ_ONCE(ch->flags);
	if (!(flags & BIT(CHANNEL_CONNECTED)))
		return 0;
	if (flags & BIT(CHANNEL_ENDED))
		return EPOLLIN | EPOLLRDNORM | EPOLLRDHUP;
	if (flags & BIT(CHANNEL_READABLE))
		mask |= EPOLLIN | EPOLLRDNORM;
	if (flags & BIT(CHANNEL_WRITABLE))
		mask |= EPOLLOUT | EPOLLWRNORM;
	return mask;
}

static int channel_open(struct inode *inode, struct file *file)
{
	if (test_and_set_bit(CHANNEL_OPENED, &channel.flags))
		return -EBUSY;
	file->private_data = &channel;
	return stream_open(inode, file);
}

static int channel_release(struct inode *inode, struct file *file)
{
	struct channel *ch = file->private_data;

	/* A later opener must not go on in the middle of a stream. */
	mutex_lock(&ch->lock);
	channel_detach(ch);
	mutex_unlock(&ch->lock);
	clear_bit(CHANNEL_OPENED, &ch->flags);
	return 0;
}

static const struct file_operations channel_fops = {
	.owner = THIS_MODULE,
	.open = channel_open,
	.release = channel_release,
	.read = channel_read,
	.write = channel_write,
	.poll = channel_poll,
};

static struct miscdevice channel_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "soda-channel",
	.mode = 0600,
	.fops = &channel_fops,
};

static int __init channel_init(void)
{
	struct channel *ch = &channel;
	unsigned int order = get_order(CHANNEL_BUFFER_SIZE);
	int irq, err = -ENOMEM;

	if (listen_fd < 0)
		return 0;

	INIT_WORK(&ch->accept_work, channel_accept);
	ch->read_buffer = (void *)__get_free_pages(GFP_KERNEL, order);
	if (!ch->read_buffer)
		goto out;
	ch->write_buffer = (void *)__get_free_pages(GFP_KERNEL, order);
	if (!ch->write_buffer)
		goto out_free_read;

	irq = um_request_irq(UM_IRQ_ALLOC, listen_fd, IRQ_READ,
			     listen_interrupt, 0, "soda-channel-listen", ch);
	if (irq < 0) {
		err = irq;
		goto out_free_write;
	}
	err = misc_register(&channel_device);
	if (err)
		goto out_free_irq;

	/* Whoever connected before the interrupt was there made no edge. */
	schedule_work(&ch->accept_work);
	return 0;

out_free_irq:
	um_free_irq(irq, ch);
out_free_write:
	free_pages((unsigned long)ch->write_buffer, order);
out_free_read:
	free_pages((unsigned long)ch->read_buffer, order);
out:
	pr_err("no channel on host descriptor %d: error %d\n", listen_fd, err);
	return err;
}
device_initcall(channel_init);

#undef MODULE_PARAM_PREFIX
#define MODULE_PARAM_PREFIX "soda_channel."
module_param_named(fd, listen_fd, int, 0);
