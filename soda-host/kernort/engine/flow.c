// SPDX-License-Identifier: GPL-2.0-only
/*
 * DOC: The flow table
 *
 * Goal: packets of one conversation find the same entry, whichever side sent them, in constant time and fixed memory.
 * A keyed hash (SipHash-1-3) over both ends in a fixed order picks a chain; all entries are also in a list by use, and
 * the oldest gives way when no entry is free (the caller counts it and releases what it holds).
 * ICMP: type and its answer's type stand in for the ports.
 */
#include "flow.h"

#define CHAIN_MAX 64

struct flow_ends {
	const struct kernort_address *low, *high;
	u16 low_port, high_port;
	bool is_swapped;
};

static u64 rotate(u64 value, int by)
{
	return value << by | value >> (64 - by);
}

static void sip_round(u64 v[4])
{
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

static u64 sip_hash(const u64 key[2], const u64 *words, u32 count)
{
	u64 v[4] = { key[0] ^ 0x736f6d6570736575ULL, key[1] ^ 0x646f72616e646f6dULL, key[0] ^ 0x6c7967656e657261ULL,
		     key[1] ^ 0x7465646279746573ULL };
	u32 i;

	for (i = 0; i < count; i++) {
		v[3] ^= words[i];
		sip_round(v);
		v[0] ^= words[i];
	}
	v[2] ^= 0xff;
	for (i = 0; i < 3; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static u16 icmp_port(u8 protocol, u8 type)
{
	if (protocol == KERNORT_PROTO_ICMP)
		switch (type) {
		case 0:
			return 8;
		case 14:
			return 13;
		case 16:
			return 15;
		case 18:
			return 17;
		}
	else if (type == 129)
		return 128;
	return type;
}

static u16 port_of(const struct kernort_packet *packet, u16 port)
{
	if (packet->ip_protocol == KERNORT_PROTO_ICMP || packet->ip_protocol == KERNORT_PROTO_ICMP6)
		return icmp_port(packet->ip_protocol, packet->icmp_type);
	return port;
}

static struct flow_ends ends_of(const struct kernort_packet *packet)
{
	struct flow_ends ends = { .low = &packet->source, .high = &packet->destination };
	int order = memcmp(&packet->source, &packet->destination, sizeof(packet->source));

	ends.low_port = port_of(packet, packet->source_port);
	ends.high_port = port_of(packet, packet->destination_port);
	if (order > 0 || (order == 0 && ends.low_port > ends.high_port)) {
		u16 port = ends.low_port;

		ends.low = &packet->destination;
		ends.high = &packet->source;
		ends.low_port = ends.high_port;
		ends.high_port = port;
		ends.is_swapped = true;
	}
	return ends;
}

static u32 hash_of(const struct kernort_flows *flows, const struct kernort_packet *packet)
{
	struct flow_ends ends = ends_of(packet);
	u64 words[5] = { 0 };

	memcpy(&words[0], ends.low->bytes, 16);
	memcpy(&words[2], ends.high->bytes, 16);
	words[4] = (u64)ends.low_port << 32 | (u64)ends.high_port << 16 | (u64)packet->ip_protocol << 8 |
		   packet->source.family;
	return (u32)sip_hash(flows->hash_key, words, 5) & flows->head_mask;
}

void kernort_flows_init(struct kernort_flows *flows, struct kernort_arena *arena,
			const struct kernort_engine_config *config, u32 flowbits, u32 flowints)
{
	u32 heads = 16, i;
	u32 *bits, *integers;

	while (heads < config->flows)
		heads *= 2;
	flows->count = config->flows;
	flows->head_mask = heads - 1;
	flows->bit_words = (flowbits + 31) / 32;
	flows->integer_words = flowints ? flowints + (flowints + 31) / 32 : 0;
	memcpy(flows->hash_key, config->hash_key, sizeof(flows->hash_key));
	flows->flows = arena_take(arena, flows->count, sizeof(*flows->flows));
	flows->heads = arena_take(arena, heads, sizeof(u32));
	kernort_use_list_init(&flows->use, arena, flows->count);
	bits = arena_take(arena, flows->count, flows->bit_words * sizeof(u32));
	integers = arena_take(arena, flows->count, flows->integer_words * sizeof(u32));
	if (!arena->base)
		return;
	for (i = 0; i < heads; i++)
		flows->heads[i] = KERNORT_NO_INDEX;
	for (i = 0; i < flows->count; i++) {
		flows->flows[i].bits = bits + (size_t)i * flows->bit_words;
		flows->flows[i].integers = integers + (size_t)i * flows->integer_words;
		flows->flows[i].chain_next = i + 1 < flows->count ? i + 1 : KERNORT_NO_INDEX;
	}
	flows->free = flows->count ? 0 : KERNORT_NO_INDEX;
}

static bool is_end(const struct kernort_address *address, u16 port, const struct kernort_address *of, u16 of_port)
{
	return port == of_port && !memcmp(address, of, sizeof(*address));
}

/* Whose packet it is, or -1 when it is not of this flow. */
static int side_of(const struct kernort_flow *flow, const struct kernort_packet *packet)
{
	u16 source = port_of(packet, packet->source_port), destination = port_of(packet, packet->destination_port);

	if (flow->ip_protocol != packet->ip_protocol)
		return -1;
	if (is_end(&flow->client, flow->client_port, &packet->source, source) &&
	    is_end(&flow->server, flow->server_port, &packet->destination, destination))
		return KERNORT_CLIENT;
	if (is_end(&flow->server, flow->server_port, &packet->source, source) &&
	    is_end(&flow->client, flow->client_port, &packet->destination, destination))
		return KERNORT_SERVER;
	return -1;
}

struct kernort_flow *kernort_flow_find(struct kernort_flows *flows, const struct kernort_packet *packet, u32 *side)
{
	u32 at = flows->heads[hash_of(flows, packet)], steps;

	for (steps = 0; at != KERNORT_NO_INDEX && steps < CHAIN_MAX; steps++) {
		struct kernort_flow *flow = &flows->flows[at];
		int found = side_of(flow, packet);

		if (found >= 0) {
			*side = (u32)found;
			return flow;
		}
		at = flow->chain_next;
	}
	return NULL;
}

static void clear_side(struct kernort_side *side)
{
	memset(side, 0, sizeof(*side));
	side->segments = side->window = KERNORT_NO_INDEX;
	side->window_scale = 0xff;
}

void kernort_flow_restart(struct kernort_flows *flows, struct kernort_flow *flow)
{
	flow->is_cut = false;
	flow->tag.left = 0;
	memset(flow->packets, 0, sizeof(flow->packets));
	memset(flow->payload_bytes, 0, sizeof(flow->payload_bytes));
	flow->tcp_state = KERNORT_TCP_NONE;
	flow->is_passed = false;
	flow->ip_only_done = flow->app = flow->app_tries = 0;
	flow->document = KERNORT_NO_INDEX;
	clear_side(&flow->sides[0]);
	clear_side(&flow->sides[1]);
	if (flows->bit_words)
		memset(flow->bits, 0, flows->bit_words * sizeof(u32));
	if (flows->integer_words)
		memset(flow->integers, 0, flows->integer_words * sizeof(u32));
}

struct kernort_flow *kernort_flow_add(struct kernort_flows *flows, const struct kernort_packet *packet)
{
	struct kernort_flow *flow;
	u32 *head;

	if (flows->free == KERNORT_NO_INDEX)
		return NULL;
	flow = &flows->flows[flows->free];
	flows->free = flow->chain_next;
	flow->client = packet->source;
	flow->server = packet->destination;
	flow->client_port = port_of(packet, packet->source_port);
	flow->server_port = port_of(packet, packet->destination_port);
	flow->ip_protocol = packet->ip_protocol;
	flow->is_used = true;
	flow->time_us = packet->time_us;
	kernort_flow_restart(flows, flow);
	head = &flows->heads[hash_of(flows, packet)];
	flow->chain_next = *head;
	*head = (u32)(flow - flows->flows);
	kernort_use_list_add_newest(&flows->use, (u32)(flow - flows->flows));
	return flow;
}

struct kernort_flow *kernort_flow_oldest(struct kernort_flows *flows)
{
	return flows->use.oldest == KERNORT_NO_INDEX ? NULL : &flows->flows[flows->use.oldest];
}

void kernort_flow_touch(struct kernort_flows *flows, struct kernort_flow *flow, u64 time_us)
{
	flow->time_us = time_us;
	kernort_use_list_remove(&flows->use, (u32)(flow - flows->flows));
	kernort_use_list_add_newest(&flows->use, (u32)(flow - flows->flows));
}

static u32 hash_of_flow(const struct kernort_flows *flows, const struct kernort_flow *flow)
{
	struct kernort_packet packet = { .source = flow->client,
					 .destination = flow->server,
					 .source_port = flow->client_port,
					 .destination_port = flow->server_port,
					 .icmp_type = (u8)flow->client_port,
					 .ip_protocol = flow->ip_protocol };

	return hash_of(flows, &packet);
}

void kernort_flow_remove(struct kernort_flows *flows, struct kernort_flow *flow)
{
	u32 index = (u32)(flow - flows->flows);
	u32 *link = &flows->heads[hash_of_flow(flows, flow)];

	while (*link != KERNORT_NO_INDEX && *link != index)
		link = &flows->flows[*link].chain_next;
	if (*link == index)
		*link = flow->chain_next;
	kernort_use_list_remove(&flows->use, index);
	flow->is_used = false;
	flow->chain_next = flows->free;
	flows->free = index;
}
