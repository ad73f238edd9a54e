/* SPDX-License-Identifier: GPL-2.0-only */
/* One decoded packet: pointers into the frame it came in, and its headers in host order. */
#ifndef KERNORT_PACKET_H
#define KERNORT_PACKET_H

#include "kernort_env.h"

enum {
	KERNORT_LINK_NULL = 0,
	KERNORT_LINK_ETHERNET = 1,
	KERNORT_LINK_PPP = 9,
	KERNORT_LINK_RAW_BSD = 12,
	KERNORT_LINK_RAW = 101,
	KERNORT_LINK_SLL = 113,
	KERNORT_LINK_IPV4 = 228,
	KERNORT_LINK_IPV6 = 229,
	KERNORT_LINK_SLL2 = 276,
};

enum { KERNORT_PROTO_ICMP = 1, KERNORT_PROTO_TCP = 6, KERNORT_PROTO_UDP = 17, KERNORT_PROTO_ICMP6 = 58 };

enum {
	KERNORT_TCP_FIN = 0x01,
	KERNORT_TCP_SYN = 0x02,
	KERNORT_TCP_RST = 0x04,
	KERNORT_TCP_PSH = 0x08,
	KERNORT_TCP_ACK = 0x10,
	KERNORT_TCP_URG = 0x20,
};

#define KERNORT_FRAGMENT_MORE 0x2000
#define KERNORT_FRAGMENT_OFFSET 0x1fff

struct kernort_address {
	u8 family; /* 4 or 6 */
	u8 bytes[16]; /* network order; IPv4 in the first four, the rest 0 */
};

struct kernort_packet {
	u64 time_us;
	struct kernort_address source, destination;
	const u8 *network; /* from the IP header on */
	u32 network_length; /* as the IP header says */
	const u8 *transport; /* what follows the IP headers */
	u32 transport_length;
	const u8 *payload; /* what follows the last header that we know */
	u32 payload_length;
	u16 source_port, destination_port;
	u8 ip_protocol;
	u8 ttl, tos;
	u16 fragment; /* flags and offset (in 8 bytes), as in IPv4 */
	u32 ip_id;
	u64 ip_options; /* bit n: option number n (low five bits of the type, 32 + n when class bits are set) */
	bool is_fragment, is_reassembled;
	bool has_transport; /* the transport header is whole */
	bool has_bad_checksum; /* of the IPv4 or the transport header: a Linux stack drops it */
	/* TCP */
	u8 tcp_flags;
	u32 seq, ack;
	u16 window, urgent, mss;
	u8 window_scale; /* 0xff: no option */
	bool has_mss, has_timestamp, has_fastopen;
	u32 timestamp;
	/* ICMP */
	u8 icmp_type, icmp_code;
	u16 icmp_id, icmp_seq;
};

/**
 * kernort_decode_frame() - decode a link-layer frame
 * Return: 0, or -EINVAL when it holds no whole IP header.
 */
int kernort_decode_frame(struct kernort_packet *packet, u32 link_type, const u8 *frame, u32 length);

/* The same from the IP header on; @is_reassembled when it was put together from fragments. */
int kernort_decode_ip(struct kernort_packet *packet, const u8 *bytes, u32 length, bool is_reassembled);

static inline u32 kernort_address_ipv4(const struct kernort_address *address)
{
	return (u32)address->bytes[0] << 24 | (u32)address->bytes[1] << 16 | (u32)address->bytes[2] << 8 |
	       address->bytes[3];
}

#endif
