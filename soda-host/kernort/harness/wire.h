/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the oracles share: a network namespace of their own with a TUN device for a wire, on which they write packets
 * and the namespace's stack answers; the headers of packets.
 */
#ifndef KERNORT_HARNESS_WIRE_H
#define KERNORT_HARNESS_WIRE_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "kernort_env.h"
#include "random.h"

#define WIRE_IP_BYTES 20u

static const u8 wire_server[4] = { 10, 99, 0, 1 }, wire_client[4] = { 10, 99, 0, 2 };

static inline void give_up(const char *what)
{
	perror(what);
	exit(2);
}

static inline void set_address(int fd, struct ifreq *request, unsigned long code, const u8 *address)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&request->ifr_addr;

	in->sin_family = AF_INET;
	memcpy(&in->sin_addr, address, 4);
	if (ioctl(fd, code, request))
		give_up("address");
}

/* A TUN device in a new namespace. Both end with the process. */
static inline int open_wire(void)
{
	static const u8 mask[4] = { 255, 255, 255, 0 };
	struct ifreq request = { .ifr_name = "wire", .ifr_flags = IFF_TUN | IFF_NO_PI };
	int wire, control;

	if (unshare(CLONE_NEWNET))
		give_up("namespace");
	wire = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (wire < 0 || control < 0 || ioctl(wire, TUNSETIFF, &request))
		give_up("/dev/net/tun");
	set_address(control, &request, SIOCSIFADDR, wire_server);
	set_address(control, &request, SIOCSIFNETMASK, mask);
	request.ifr_flags = IFF_UP | IFF_RUNNING;
	if (ioctl(control, SIOCSIFFLAGS, &request))
		give_up("up");
	close(control);
	return wire;
}

static inline void put16(u8 *at, u32 value)
{
	at[0] = (u8)(value >> 8);
	at[1] = (u8)value;
}

static inline void put32(u8 *at, u32 value)
{
	put16(at, value >> 16);
	put16(at + 2, value);
}

static inline u16 checksum(u32 sum, const u8 *bytes, u32 length)
{
	u32 i;

	for (i = 0; i < length; i++)
		sum += i & 1 ? bytes[i] : (u32)bytes[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (u16)~sum;
}

/* From client to server: the header of an IPv4 packet of @total bytes; its checksum is last. */
static inline void put_ip(u8 *packet, u32 total, u8 protocol, u16 id, u16 fragment, u8 tos)
{
	memset(packet, 0, WIRE_IP_BYTES);
	packet[0] = 0x45;
	packet[1] = tos;
	put16(packet + 2, total);
	put16(packet + 4, id);
	put16(packet + 6, fragment);
	packet[8] = 64;
	packet[9] = protocol;
	memcpy(packet + 12, wire_client, 4);
	memcpy(packet + 16, wire_server, 4);
	put16(packet + 10, checksum(0, packet, WIRE_IP_BYTES));
}

#endif
