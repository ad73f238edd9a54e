// SPDX-License-Identifier: GPL-2.0-only
/* What a rule says about packet and flow, apart from content: its header line, and the options of its HEADER block. */
#include "cursor.h"
#include "evaluate.h"
#include "predicates.h"

static bool is_in_ranges4(const struct kernort_ruleset_address4 *ranges, u32 count, u32 address)
{
	u32 low = 0, high = count;

	while (low < high) {
		u32 middle = low + (high - low) / 2;

		if (address > ranges[middle].high)
			low = middle + 1;
		else
			high = middle;
	}
	return low < count && address >= ranges[low].low;
}

static bool is_in_ranges6(const struct kernort_ruleset_address6 *ranges, u32 count, const u8 *address)
{
	u32 low = 0, high = count;

	while (low < high) {
		u32 middle = low + (high - low) / 2;

		if (memcmp(address, ranges[middle].high, 16) > 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < count && memcmp(address, ranges[low].low, 16) >= 0;
}

bool kernort_address_is_in(const struct kernort_ruleset *rules, u32 group, const struct kernort_address *address)
{
	const struct kernort_ruleset_address_group *in = &rules->address_groups[group];

	if (group == 0)
		return true;
	if (address->family == 4)
		return is_in_ranges4(rules->addresses4 + in->first4, in->count4, kernort_address_ipv4(address));
	return is_in_ranges6(rules->addresses6 + in->first6, in->count6, address->bytes);
}

bool kernort_port_is_in(const struct kernort_ruleset *rules, u32 group, u16 port)
{
	const struct kernort_ruleset_port_range *ranges = rules->ports + rules->port_groups[group].first;
	u32 low = 0, high = rules->port_groups[group].count;

	if (group == 0)
		return true;
	while (low < high) {
		u32 middle = low + (high - low) / 2;

		if (port > ranges[middle].high)
			low = middle + 1;
		else
			high = middle;
	}
	return low < rules->port_groups[group].count && port >= ranges[low].low;
}

static u8 protocol_bit(const struct kernort_packet *packet)
{
	switch (packet->ip_protocol) {
	case KERNORT_PROTO_TCP:
		return KERNORT_IP_TCP;
	case KERNORT_PROTO_UDP:
		return KERNORT_IP_UDP;
	case KERNORT_PROTO_ICMP:
		return KERNORT_IP_ICMP;
	case KERNORT_PROTO_ICMP6:
		return KERNORT_IP_ICMP6;
	default:
		return KERNORT_IP_OTHER;
	}
}

/* Fragments have ports too: 0, as Suricata has it. */
static bool has_ports(const struct kernort_packet *packet)
{
	return (packet->ip_protocol == KERNORT_PROTO_TCP || packet->ip_protocol == KERNORT_PROTO_UDP) &&
	       (packet->has_transport || packet->is_fragment);
}

static bool ends_match(const struct kernort_scene *scene, const struct kernort_ruleset_rule *rule, bool is_swapped)
{
	const struct kernort_packet *packet = scene->packet;
	u16 source = is_swapped ? packet->destination_port : packet->source_port;
	u16 destination = is_swapped ? packet->source_port : packet->destination_port;

	if ((rule->source_ports || rule->destination_ports) &&
	    (!has_ports(packet) || !kernort_port_is_in(scene->rules, rule->source_ports, source) ||
	     !kernort_port_is_in(scene->rules, rule->destination_ports, destination)))
		return false;
	return kernort_address_is_in(scene->rules, rule->source_addresses,
				     is_swapped ? &packet->destination : &packet->source) &&
	       kernort_address_is_in(scene->rules, rule->destination_addresses,
				     is_swapped ? &packet->source : &packet->destination);
}

static bool is_established(const struct kernort_flow *flow)
{
	if (flow->ip_protocol == KERNORT_PROTO_TCP)
		return flow->tcp_state == KERNORT_TCP_ESTABLISHED || flow->tcp_state == KERNORT_TCP_CLOSED;
	return flow->packets[0] > 0 && flow->packets[1] > 0;
}

static bool flow_matches(const struct kernort_scene *scene, u16 wanted)
{
	const struct kernort_flow *flow = scene->flow;

	if ((wanted & KERNORT_FLOW_TO_SERVER) && (!flow || scene->side != KERNORT_CLIENT))
		return false;
	if ((wanted & KERNORT_FLOW_TO_CLIENT) && (!flow || scene->side != KERNORT_SERVER))
		return false;
	if ((wanted & KERNORT_FLOW_ESTABLISHED) && (!flow || !is_established(flow)))
		return false;
	if ((wanted & KERNORT_FLOW_NOT_ESTABLISHED) && flow && is_established(flow))
		return false;
	if ((wanted & KERNORT_FLOW_ONLY_FRAG) && !scene->packet->is_reassembled)
		return false;
	if ((wanted & KERNORT_FLOW_NO_FRAG) && scene->packet->is_reassembled)
		return false;
	return !((wanted & KERNORT_FLOW_ONLY_STREAM) && !scene->is_stream) &&
	       !((wanted & KERNORT_FLOW_NO_STREAM) && scene->is_stream);
}

bool kernort_header_matches(const struct kernort_scene *scene, const struct kernort_ruleset_rule *rule)
{
	if (!(rule->ip_protocols & protocol_bit(scene->packet)))
		return false;
	if (rule->app != KERNORT_APP_ANY && (!scene->flow || scene->flow->app != rule->app))
		return false;
	if (rule->flow && !flow_matches(scene, rule->flow))
		return false;
	return ends_match(scene, rule, false) ||
	       ((rule->flags & KERNORT_RULE_BIDIRECTIONAL) && ends_match(scene, rule, true));
}

/* 0 exactly, 1 all of, 2 any of, 3 not all of. */
static bool bits_match(u8 how, u32 value, u32 wanted)
{
	switch (how) {
	case 0:
		return value == wanted;
	case 1:
		return (value & wanted) == wanted;
	case 2:
		return (value & wanted) != 0;
	default:
		return (value & wanted) != wanted;
	}
}

static bool ip_option_holds(const struct kernort_packet *packet, u32 type)
{
	if (packet->source.family != 4)
		return false;
	if (type == 0xffff)
		return packet->ip_options != 0;
	if (type == 0x10083)
		return packet->ip_options & (1ULL << (3) | 1ULL << 9);
	return packet->ip_options >> ((type & 0x1f) + (type & 0x60 ? 32 : 0)) & 1;
}

/* Bytes that a side has sent: what has been acknowledged or seen in order. */
static bool stream_size_holds(const struct kernort_flow *flow, const struct kernort_ruleset_option *option)
{
	bool client, server;

	if (!flow || flow->ip_protocol != KERNORT_PROTO_TCP || flow->tcp_state == KERNORT_TCP_NONE)
		return false;
	client = kernort_compare_value(option->compare, flow->sides[KERNORT_CLIENT].bytes, option->b, option->b);
	server = kernort_compare_value(option->compare, flow->sides[KERNORT_SERVER].bytes, option->b, option->b);
	switch (option->a) {
	case 0:
		return server;
	case 1:
		return client;
	case 2:
		return client && server;
	default:
		return client || server;
	}
}

static bool flowbits_hold(const struct kernort_scene *scene, const struct kernort_ruleset_option *option)
{
	bool is_set = false;
	u32 i;

	if (!scene->flow)
		return false;
	for (i = 0; i < option->b && !is_set; i++) {
		u32 bit = scene->rules->words[option->a + i];

		is_set = scene->flow->bits[bit / 32] >> bit % 32 & 1;
	}
	return is_set == (option->compare == 0);
}

static bool xbit_holds(const struct kernort_scene *scene, const struct kernort_ruleset_option *option)
{
	const struct kernort_track_entry *entry =
		kernort_track_find(scene->tracks, option->a | KERNORT_TRACK_XBIT, (u8)option->b, scene->packet,
				   scene->flow, false);
	bool is_set = entry && entry->count && scene->packet->time_us < entry->until_us;

	return is_set == (option->compare == 0);
}

static bool flowint_holds(const struct kernort_scene *scene, const struct kernort_ruleset_option *option)
{
	const u32 *has_value;
	bool is_set;

	if (!scene->flow)
		return false;
	has_value = scene->flow->integers + scene->rules->header->flowint_count;
	is_set = has_value[option->a / 32] >> option->a % 32 & 1;
	if (option->compare == 32 || option->compare == 33)
		return is_set == (option->compare == 32);
	return is_set && kernort_compare_value(option->compare, scene->flow->integers[option->a], option->b, option->b);
}

/* ONC RPC call (RFC 5531): over TCP a record mark comes first. */
static bool rpc_holds(const struct kernort_packet *packet, const struct kernort_ruleset_option *option)
{
	struct kernort_cursor rest = cursor_over(packet->payload, packet->payload_length);
	u32 type, program, version, procedure;

	if (packet->ip_protocol == KERNORT_PROTO_TCP)
		cursor_be32(&rest);
	cursor_be32(&rest);
	type = cursor_be32(&rest);
	cursor_be32(&rest);
	program = cursor_be32(&rest);
	version = cursor_be32(&rest);
	procedure = cursor_be32(&rest);
	return !rest.short_read && type == 0 && program == option->a &&
	       (option->b == KERNORT_RULESET_NONE || version == option->b) &&
	       (option->c == KERNORT_RULESET_NONE || procedure == option->c);
}

static bool tcp_option_holds(const struct kernort_packet *packet, const struct kernort_ruleset_option *option)
{
	bool is_negated = option->flags & KERNORT_OPTION_NEGATED;

	if (packet->ip_protocol != KERNORT_PROTO_TCP || !packet->has_transport)
		return false;
	switch (option->code) {
	case KERNORT_OPTION_TCP_FLAGS:
		return bits_match(option->compare, option->compare == 0 ? packet->tcp_flags & ~option->b & 0xff :
									 packet->tcp_flags, option->a);
	case KERNORT_OPTION_TCP_SEQ:
		return (packet->seq == option->a) != is_negated;
	case KERNORT_OPTION_TCP_ACK:
		return (packet->ack == option->a) != is_negated;
	case KERNORT_OPTION_TCP_WINDOW:
		return (packet->window == option->a) != is_negated;
	default:
		return packet->has_mss && kernort_compare_value(option->compare, packet->mss, option->a, option->b);
	}
}

static bool icmp_option_holds(const struct kernort_packet *packet, const struct kernort_ruleset_option *option)
{
	bool is_negated = option->flags & KERNORT_OPTION_NEGATED;

	if ((packet->ip_protocol != KERNORT_PROTO_ICMP && packet->ip_protocol != KERNORT_PROTO_ICMP6) ||
	    !packet->has_transport)
		return false;
	switch (option->code) {
	case KERNORT_OPTION_ICMP_TYPE:
		return kernort_compare_value(option->compare, packet->icmp_type, option->a, option->b);
	case KERNORT_OPTION_ICMP_CODE:
		return kernort_compare_value(option->compare, packet->icmp_code, option->a, option->b);
	case KERNORT_OPTION_ICMP_ID:
		return (packet->icmp_id == option->a) != is_negated;
	default:
		return (packet->icmp_seq == option->a) != is_negated;
	}
}

static bool ip_option_code_holds(const struct kernort_packet *packet, const struct kernort_ruleset_option *option)
{
	bool is_negated = option->flags & KERNORT_OPTION_NEGATED;

	switch (option->code) {
	case KERNORT_OPTION_IP_TTL:
		return kernort_compare_value(option->compare, packet->ttl, option->a, option->b);
	case KERNORT_OPTION_IP_ID:
		return packet->source.family == 4 && (packet->ip_id == option->a) != is_negated;
	case KERNORT_OPTION_IP_TOS:
		return (packet->tos == option->a) != is_negated;
	case KERNORT_OPTION_IP_PROTO:
		return kernort_compare_value(option->compare, packet->ip_protocol, option->a, option->b);
	case KERNORT_OPTION_IP_OPTS:
		return ip_option_holds(packet, option->a) != is_negated;
	case KERNORT_OPTION_FRAG_BITS:
		return bits_match(option->compare, packet->fragment & 0xe000u, option->a);
	case KERNORT_OPTION_FRAG_OFFSET:
		return kernort_compare_value(option->compare, packet->fragment & KERNORT_FRAGMENT_OFFSET, option->a,
					     option->b);
	default:
		return !memcmp(&packet->source, &packet->destination, sizeof(packet->source)) != is_negated;
	}
}

static bool predicate_holds(const struct kernort_scene *scene, const struct kernort_ruleset_option *option)
{
	switch (option->code) {
	case KERNORT_OPTION_PAYLOAD_SIZE:
		return kernort_compare_value(option->compare, scene->packet->payload_length, option->a, option->b);
	case KERNORT_OPTION_TCP_FLAGS ... KERNORT_OPTION_TCP_MSS:
		return tcp_option_holds(scene->packet, option);
	case KERNORT_OPTION_IP_TTL ... KERNORT_OPTION_SAME_IP:
		return ip_option_code_holds(scene->packet, option);
	case KERNORT_OPTION_ICMP_TYPE ... KERNORT_OPTION_ICMP_SEQ:
		return icmp_option_holds(scene->packet, option);
	case KERNORT_OPTION_STREAM_SIZE:
		return stream_size_holds(scene->flow, option);
	case KERNORT_OPTION_FLOWBITS_TEST:
		return flowbits_hold(scene, option);
	case KERNORT_OPTION_XBITS_TEST:
		return xbit_holds(scene, option);
	case KERNORT_OPTION_FLOWINT_TEST:
		return flowint_holds(scene, option);
	case KERNORT_OPTION_RPC:
		return rpc_holds(scene->packet, option);
	default:
		return false;
	}
}

bool kernort_predicates_hold(const struct kernort_scene *scene, const struct kernort_ruleset_block *block)
{
	u32 i;

	for (i = 0; i < block->option_count; i++)
		if (!predicate_holds(scene, &scene->rules->options[block->first_option + i]))
			return false;
	return true;
}
