// SPDX-License-Identifier: GPL-2.0-only
/*
 * DOC: From a frame to a packet
 *
 * Goal: the headers that rules ask for, and where the payload is, in one pass and without copying.
 * Invariant: every pointer in the packet lies in the frame, every length within what is left of it.
 * Attacker: writes every byte of the frame. Chains of headers (VLAN tags, IPv6 extensions, tunnels) are bounded.
 * A packet that Linux would not accept as IP (short header, wrong version, total length below the header) is refused.
 */
#include "cursor.h"
#include "packet.h"

#define VLAN_DEPTH 4
#define IPV6_HEADERS 16
#define TCP_OPTIONS 40

enum { ETHERTYPE_IPV4 = 0x0800, ETHERTYPE_IPV6 = 0x86dd, ETHERTYPE_PPPOE = 0x8864 };

/* Sum of 16-bit words, not folded; eight bytes at a time as they lie in memory (RFC 1071, section 2). */
static u32 checksum_add(u32 sum, const u8 *bytes, u32 length)
{
	u64 wide = 0;
	u32 i;

	for (i = 0; i + 8 <= length; i += 8) {
		u64 word;

		memcpy(&word, bytes + i, sizeof(word));
		wide += (word & 0xffffffff) + (word >> 32);
	}
	while (wide >> 16)
		wide = (wide & 0xffff) + (wide >> 16);
	sum += (u32)(wide & 0xff) << 8 | (u32)wide >> 8;
	for (; i + 1 < length; i += 2)
		sum += (u32)(bytes[i] << 8 | bytes[i + 1]);
	return length & 1 ? sum + (u32)(bytes[length - 1] << 8) : sum;
}

static u16 checksum_fold(u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (u16)(sum + (sum >> 16));
}

static bool transport_checksum_is_bad(const struct kernort_packet *packet, bool has_pseudo_header)
{
	u32 sum = 0;

	if (has_pseudo_header) {
		u32 width = packet->source.family == 4 ? 4 : 16;

		sum = checksum_add(sum, packet->source.bytes, width);
		sum = checksum_add(sum, packet->destination.bytes, width);
		sum += packet->ip_protocol + packet->transport_length;
	}
	return checksum_fold(checksum_add(sum, packet->transport, packet->transport_length)) != 0xffff;
}

static void decode_tcp_option(struct kernort_packet *packet, u8 kind, struct kernort_cursor value)
{
	switch (kind) {
	case 2:
		packet->mss = cursor_be16(&value);
		packet->has_mss = !value.short_read;
		break;
	case 3:
		packet->window_scale = cursor_u8(&value);
		if (packet->window_scale > 14)
			packet->window_scale = 14; /* RFC 7323, section 2.3 */
		break;
	case 8:
		packet->timestamp = cursor_be32(&value);
		packet->has_timestamp = !value.short_read;
		break;
	case 254: /* experiments (RFC 6994); fast open's is the one of RFC 7413, appendix A */
		if (cursor_be16(&value) == 0xf989)
			packet->has_fastopen = value.left >= 4;
		break;
	case 34:
		packet->has_fastopen = value.left >= 4; /* a cookie, not the wish for one */
		break;
	}
}

static void decode_tcp_options(struct kernort_packet *packet, struct kernort_cursor options)
{
	u32 seen;

	for (seen = 0; seen < TCP_OPTIONS && options.left > 0; seen++) {
		u8 kind = cursor_u8(&options), length;

		if (kind == 0)
			return;
		if (kind == 1)
			continue;
		length = cursor_u8(&options);
		if (length < 2 || (u32)length - 2 > options.left)
			return;
		decode_tcp_option(packet, kind, cursor_within(&options, (u32)length - 2));
	}
}

static void decode_tcp(struct kernort_packet *packet, struct kernort_cursor rest)
{
	u8 words;

	packet->source_port = cursor_be16(&rest);
	packet->destination_port = cursor_be16(&rest);
	packet->seq = cursor_be32(&rest);
	packet->ack = cursor_be32(&rest);
	words = cursor_u8(&rest) >> 4;
	packet->tcp_flags = cursor_u8(&rest);
	packet->window = cursor_be16(&rest);
	cursor_be16(&rest);
	packet->urgent = cursor_be16(&rest);
	packet->window_scale = 0xff;
	if (rest.short_read || words < 5 || (words - 5u) * 4 > rest.left)
		return;
	decode_tcp_options(packet, cursor_within(&rest, (words - 5u) * 4));
	packet->payload = rest.at;
	packet->payload_length = rest.left;
	packet->has_transport = true;
	packet->has_bad_checksum |= transport_checksum_is_bad(packet, true);
}

static void decode_udp(struct kernort_packet *packet, struct kernort_cursor rest)
{
	u32 length, checksum;

	packet->source_port = cursor_be16(&rest);
	packet->destination_port = cursor_be16(&rest);
	length = cursor_be16(&rest);
	checksum = cursor_be16(&rest);
	if (rest.short_read || length < 8 || length - 8 > rest.left)
		return;
	packet->transport_length = length;
	packet->payload = rest.at;
	packet->payload_length = length - 8;
	packet->has_transport = true;
	if (checksum != 0)
		packet->has_bad_checksum |= transport_checksum_is_bad(packet, true);
}

static void decode_icmp(struct kernort_packet *packet, struct kernort_cursor rest)
{
	packet->icmp_type = cursor_u8(&rest);
	packet->icmp_code = cursor_u8(&rest);
	cursor_be16(&rest);
	packet->icmp_id = cursor_be16(&rest);
	packet->icmp_seq = cursor_be16(&rest);
	if (rest.short_read)
		return;
	packet->payload = rest.at;
	packet->payload_length = rest.left;
	packet->has_transport = true;
	packet->has_bad_checksum |= transport_checksum_is_bad(packet, packet->ip_protocol == KERNORT_PROTO_ICMP6);
}

static void decode_transport(struct kernort_packet *packet, struct kernort_cursor rest)
{
	packet->transport = packet->payload = rest.at;
	packet->transport_length = packet->payload_length = rest.left;
	if (packet->is_fragment)
		return;
	switch (packet->ip_protocol) {
	case KERNORT_PROTO_TCP:
		decode_tcp(packet, rest);
		break;
	case KERNORT_PROTO_UDP:
		decode_udp(packet, rest);
		break;
	case KERNORT_PROTO_ICMP:
	case KERNORT_PROTO_ICMP6:
		decode_icmp(packet, rest);
		break;
	default:
		packet->has_transport = true;
	}
}

static void note_ip_option(struct kernort_packet *packet, u8 type)
{
	packet->ip_options |= 1ULL << ((type & 0x1f) + (type & 0x60 ? 32 : 0));
}

static void decode_ip_options(struct kernort_packet *packet, struct kernort_cursor options)
{
	while (options.left > 0) { /* at most 40 bytes */
		u8 type = cursor_u8(&options), length;

		note_ip_option(packet, type);
		if (type == 0)
			return;
		if (type == 1)
			continue;
		length = cursor_u8(&options);
		if (length < 2 || !cursor_take(&options, (u32)length - 2))
			return;
	}
}

static int decode_ipv4(struct kernort_packet *packet, struct kernort_cursor rest)
{
	const u8 *start = rest.at;
	u32 header = (u32)(cursor_u8(&rest) & 15) * 4, total;
	const u8 *addresses;

	packet->tos = cursor_u8(&rest);
	total = cursor_be16(&rest);
	packet->ip_id = cursor_be16(&rest);
	packet->fragment = cursor_be16(&rest);
	packet->ttl = cursor_u8(&rest);
	packet->ip_protocol = cursor_u8(&rest);
	cursor_be16(&rest);
	addresses = cursor_take(&rest, 8);
	if (!addresses || header < 20 || total < header || total - 20 > rest.left)
		return -EINVAL;
	packet->source.family = packet->destination.family = 4;
	memcpy(packet->source.bytes, addresses, 4);
	memcpy(packet->destination.bytes, addresses + 4, 4);
	packet->network_length = total;
	packet->has_bad_checksum = checksum_fold(checksum_add(0, start, header)) != 0xffff;
	rest.left = total - 20; /* what follows is padding of the link layer */
	decode_ip_options(packet, cursor_within(&rest, header - 20));
	packet->is_fragment = (packet->fragment & (KERNORT_FRAGMENT_MORE | KERNORT_FRAGMENT_OFFSET)) != 0;
	decode_transport(packet, rest);
	return 0;
}

/* One IPv6 extension header. Returns false when the chain ends here. */
static bool decode_extension(struct kernort_packet *packet, u8 *next, struct kernort_cursor *rest)
{
	u8 following;
	u32 offset;

	switch (*next) {
	case 0: /* hop by hop */
	case 43: /* routing */
	case 60: /* destination */
	case 51: /* authentication, in units of 4 */
		following = cursor_u8(rest);
		offset = cursor_u8(rest);
		offset = *next == 51 ? offset * 4 + 6 : offset * 8 + 6;
		if (!cursor_take(rest, offset))
			return false;
		*next = following;
		return true;
	case 44: /* fragment */
		following = cursor_u8(rest);
		cursor_u8(rest);
		offset = cursor_be16(rest);
		packet->ip_id = cursor_be32(rest);
		if (rest->short_read)
			return false;
		packet->fragment = (u16)(offset >> 3 | (offset & 1 ? KERNORT_FRAGMENT_MORE : 0));
		packet->is_fragment = packet->fragment != 0; /* an atomic fragment is none (RFC 6946) */
		*next = following;
		return !packet->is_fragment;
	default:
		return false;
	}
}

static int decode_ipv6(struct kernort_packet *packet, struct kernort_cursor rest)
{
	u32 word = cursor_be32(&rest), length = cursor_be16(&rest), i;
	u8 next = cursor_u8(&rest);
	const u8 *addresses;

	packet->tos = (u8)(word >> 20);
	packet->ttl = cursor_u8(&rest);
	addresses = cursor_take(&rest, 32);
	if (!addresses || length > rest.left)
		return -EINVAL;
	packet->source.family = packet->destination.family = 6;
	memcpy(packet->source.bytes, addresses, 16);
	memcpy(packet->destination.bytes, addresses + 16, 16);
	packet->network_length = 40 + length;
	rest.left = length;
	for (i = 0; i < IPV6_HEADERS && decode_extension(packet, &next, &rest); i++)
		;
	packet->ip_protocol = next;
	decode_transport(packet, rest);
	return 0;
}

int kernort_decode_ip(struct kernort_packet *packet, const u8 *bytes, u32 length, bool is_reassembled)
{
	u64 time_us = packet->time_us;

	memset(packet, 0, sizeof(*packet));
	packet->time_us = time_us;
	packet->is_reassembled = is_reassembled;
	packet->network = bytes;
	if (length < 1)
		return -EINVAL;
	switch (bytes[0] >> 4) {
	case 4:
		return decode_ipv4(packet, cursor_over(bytes, length));
	case 6:
		return decode_ipv6(packet, cursor_over(bytes, length));
	default:
		return -EINVAL;
	}
}

static int decode_ethertype(struct kernort_packet *packet, u16 type, struct kernort_cursor rest)
{
	u32 depth;

	for (depth = 0; depth < VLAN_DEPTH && (type == 0x8100 || type == 0x88a8 || type == 0x9100); depth++) {
		cursor_be16(&rest);
		type = cursor_be16(&rest);
	}
	if (type == ETHERTYPE_PPPOE) {
		u16 protocol;

		cursor_take(&rest, 6);
		protocol = cursor_be16(&rest);
		type = protocol == 0x21 ? ETHERTYPE_IPV4 : protocol == 0x57 ? ETHERTYPE_IPV6 : 0;
	}
	if (rest.short_read || (type != ETHERTYPE_IPV4 && type != ETHERTYPE_IPV6))
		return -EINVAL;
	return kernort_decode_ip(packet, rest.at, rest.left, false);
}

int kernort_decode_frame(struct kernort_packet *packet, u32 link_type, const u8 *frame, u32 length)
{
	struct kernort_cursor rest = cursor_over(frame, length);
	u16 type;

	switch (link_type) {
	case KERNORT_LINK_ETHERNET:
		cursor_take(&rest, 12);
		type = cursor_be16(&rest);
		return decode_ethertype(packet, type, rest);
	case KERNORT_LINK_SLL:
		cursor_take(&rest, 14);
		type = cursor_be16(&rest);
		return decode_ethertype(packet, type, rest);
	case KERNORT_LINK_SLL2:
		type = cursor_be16(&rest);
		cursor_take(&rest, 18);
		return decode_ethertype(packet, type, rest);
	case KERNORT_LINK_PPP:
		if (length > 2 && frame[0] == 0xff && frame[1] == 0x03)
			cursor_take(&rest, 2);
		type = cursor_be16(&rest);
		return decode_ethertype(packet, type == 0x21 ? ETHERTYPE_IPV4 : type == 0x57 ? ETHERTYPE_IPV6 : 0, rest);
	case KERNORT_LINK_NULL:
		cursor_take(&rest, 4);
		return kernort_decode_ip(packet, rest.at, rest.left, false);
	case KERNORT_LINK_RAW:
	case KERNORT_LINK_RAW_BSD:
	case KERNORT_LINK_IPV4:
	case KERNORT_LINK_IPV6:
		return kernort_decode_ip(packet, frame, length, false);
	default:
		return -EINVAL;
	}
}
