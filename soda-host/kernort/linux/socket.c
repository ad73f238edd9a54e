// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sockets: who connects, binds, listens and accepts, and where.
 *
 * The addresses of connect() and bind() were copied from user space once, and
 * what is read here is the copy that the kernel goes on with. An accepted
 * connection is looked at when it is given to its socket, not when accept()
 * begins, since only then does it have a peer.
 */

#include <linux/in.h>
#include <linux/in6.h>
#include <linux/net.h>
#include <linux/un.h>
#include <net/af_unix.h>
#include <net/inet_sock.h>

#include "event.h"
#include "hooks.h"
#include "power.h"

enum operation {
	CONNECT = 1,
	BIND,
	LISTEN,
	ACCEPT,
};

static const enum kernort_event_kind kinds[] = {
	[CONNECT] = KERNORT_EVENT_CONNECT,
	[BIND] = KERNORT_EVENT_BIND,
	[LISTEN] = KERNORT_EVENT_LISTEN,
	[ACCEPT] = KERNORT_EVENT_ACCEPT,
};

static int judge_local(const struct kernort_local *fields, struct kernort_piece path)
{
	struct kernort_event event;

	if (!kernort_event_is_wanted(kinds[fields->operation]))
		return 0;
	kernort_event_begin(&event, kinds[fields->operation]);
	kernort_event_give(&event, KERNORT_NUMBER_SOCKET_TYPE, fields->type);
	event.texts[KERNORT_TEXT_SOCKET_PATH] = path;
	return kernort_event_judge(&event);
}

static int judge_internet(const struct kernort_socket *fields)
{
	struct kernort_event event;

	kernort_power_check();
	if (!kernort_event_is_wanted(kinds[fields->operation]))
		return 0;
	kernort_event_begin(&event, kinds[fields->operation]);
	kernort_event_give(&event, KERNORT_NUMBER_SOCKET_TYPE, fields->type);
	if (fields->family == AF_INET || fields->family == AF_INET6)
		event.address.family = fields->family == AF_INET ? 4 : 6;
	memcpy(event.address.bytes, fields->address.bytes, sizeof(event.address.bytes));
	event.port = fields->port;
	return kernort_event_judge(&event);
}

static int watch_local(u16 operation, u16 type, const void *path, size_t length)
{
	struct kernort_local fields = { .operation = operation, .type = type };
	struct kernort_piece tail = { path, length };

	kernort_log(KERNORT_KIND_local, &fields, &tail);
	return judge_local(&fields, tail);
}

static int watch_address(u16 operation, u16 type, const struct sockaddr *address, int length)
{
	struct kernort_socket fields = { .operation = operation, .type = type };

	if (length < (int)sizeof(address->sa_family))
		return 0;
	fields.family = address->sa_family;
	if (address->sa_family == AF_NETLINK)
		return 0;
	if (address->sa_family == AF_UNIX) {
		const struct sockaddr_un *local = (const void *)address;
		size_t room = length - offsetof(struct sockaddr_un, sun_path);

		/* A name that is a path ends at its zero byte; an abstract one has its zero in front. */
		return watch_local(operation, type, local->sun_path, room && local->sun_path[0] ?
				   strnlen(local->sun_path, room) : room);
	}
	if (address->sa_family == AF_INET && length >= (int)sizeof(struct sockaddr_in)) {
		const struct sockaddr_in *in = (const void *)address;

		fields.port = ntohs(in->sin_port);
		memcpy(fields.address.bytes, &in->sin_addr, sizeof(in->sin_addr));
	}
	if (address->sa_family == AF_INET6 && length >= (int)offsetofend(struct sockaddr_in6, sin6_addr)) {
		const struct sockaddr_in6 *in6 = (const void *)address;

		fields.port = ntohs(in6->sin6_port);
		memcpy(fields.address.bytes, &in6->sin6_addr, sizeof(in6->sin6_addr));
	}
	kernort_log(KERNORT_KIND_socket, &fields, NULL);
	return judge_internet(&fields);
}

/* The name that a Unix socket has; accepted ones have their listener's. */
static int watch_local_name(u16 operation, struct sock *sk)
{
	const struct unix_address *name = smp_load_acquire(&unix_sk(sk)->addr);

	if (name)
		return watch_address(operation, sk->sk_type, (const struct sockaddr *)name->name, name->len);
	return watch_local(operation, sk->sk_type, NULL, 0);
}

/* Its own address when it listens, the peer's when it was accepted. */
static int watch_internet(u16 operation, struct sock *sk)
{
	const struct inet_sock *inet = inet_sk(sk);
	bool is_own = operation == LISTEN;
	struct kernort_socket fields = {
		.operation = operation,
		.family = sk->sk_family,
		.type = sk->sk_type,
		.port = is_own ? inet->inet_num : ntohs(inet->inet_dport),
	};
	__be32 address = is_own ? inet->inet_rcv_saddr : inet->inet_daddr;

	memcpy(fields.address.bytes, &address, sizeof(address));
#if IS_ENABLED(CONFIG_IPV6)
	if (sk->sk_family == AF_INET6)
		memcpy(fields.address.bytes, is_own ? &sk->sk_v6_rcv_saddr : &sk->sk_v6_daddr,
		       sizeof(fields.address.bytes));
#endif
	kernort_log(KERNORT_KIND_socket, &fields, NULL);
	return judge_internet(&fields);
}

static int watch_socket(u16 operation, struct sock *sk)
{
	if (!kernort_is_on())
		return 0;
	if (sk->sk_family == AF_UNIX)
		return watch_local_name(operation, sk);
	return sk->sk_family == AF_INET || sk->sk_family == AF_INET6 ? watch_internet(operation, sk) : 0;
}

static int socket_connect(struct socket *sock, struct sockaddr *address, int length)
{
	return kernort_is_on() ? watch_address(CONNECT, sock->type, address, length) : 0;
}

static int socket_bind(struct socket *sock, struct sockaddr *address, int length)
{
	return kernort_is_on() ? watch_address(BIND, sock->type, address, length) : 0;
}

static int socket_listen(struct socket *sock, int backlog)
{
	return watch_socket(LISTEN, sock->sk);
}

static void socket_given(struct sock *sk, struct socket *parent)
{
	watch_socket(ACCEPT, sk);
}

static struct security_hook_list hooks[] __ro_after_init = {
	LSM_HOOK_INIT(socket_connect, socket_connect),
	LSM_HOOK_INIT(socket_bind, socket_bind),
	LSM_HOOK_INIT(socket_listen, socket_listen),
	LSM_HOOK_INIT(sock_graft, socket_given),
};

void __init kernort_socket_init(void)
{
	security_add_hooks(hooks, ARRAY_SIZE(hooks), &kernort_lsmid);
}
