// SPDX-License-Identifier: GPL-2.0-only
/*
 * Packets of the running kernel, through the detection engine.
 *
 * Theory of operation
 *
 * Goal: the engine sees every packet that the guest's stack takes and every one that it sends, in the order in which
 * the stack does; and what the tenant's rules say of them is logged as alerts. Nothing is held up or dropped.
 *
 * Netfilter hooks, the first of all in PRE_ROUTING: before connection tracking would put fragments together, which the
 * engine does itself, as Linux does. The last of all in LOCAL_OUT, where datagrams are not fragmented yet. Over the
 * loopback a packet passes both; it is taken where it comes in. Each network namespace has the hooks from its
 * beginning on, and nobody in the guest can take them away. Frames that the guest's root sends through a packet socket
 * pass no hook; their answers do.
 *
 * Softirqs and processes come here; the engine is one, so a lock makes them wait for each other. Under it nothing
 * sleeps or allocates: all memory was taken at boot. A packet whose bytes are not in one piece is copied into one.
 * Checksums of packets that never were on a cable are not there yet, and are not asked for.
 *
 * The rules are a file of the host, mapped: servers with the same rules share its pages. They are believed only if the
 * stamp names them, and then still checked as if they were hostile. A kernel that is stamped with rules does not run
 * without them: what is wrong with them is a panic at boot.
 *   kernort.rules_fd=N  descriptor of the rule table
 */

#define pr_fmt(fmt) "kernort: " fmt

#include <linux/init.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/netdevice.h>
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <linux/notifier.h>
#include <linux/panic.h>
#include <linux/printk.h>
#include <linux/random.h>
#include <linux/reboot.h>
#include <linux/skbuff.h>
#include <linux/spinlock.h>
#include <linux/tcp.h>
#include <linux/timekeeping.h>
#include <linux/unaligned.h>
#include <linux/vmalloc.h>
#include <net/net_namespace.h>

#include "../engine/packet.h"
#include "../engine/ruleset.h"
#include "../include/kernort_engine.h"
#include "event.h"
#include "log.h"
#include "rules.h"
#include "stamp.h"

#define PACKET_MAX 65536
#define EVIDENCE_MAX 160

static int rules_fd = -1;

static DEFINE_SPINLOCK(lock);
static struct {
	struct kernort_ruleset rules;
	struct kernort_engine *engine;
	u8 *copy; /* of a packet that is not in one piece */
	u8 *segment; /* one of those that were joined */
	char evidence[EVIDENCE_MAX];
} packets;

static u64 now_us(void)
{
	return ktime_get_mono_fast_ns() / NSEC_PER_USEC;
}

static int describe_end(char *text, u8 family, const u8 *address, u16 port)
{
	return family == 4 ? scnprintf(text, EVIDENCE_MAX / 2, "%pI4:%u", address, port) :
			     scnprintf(text, EVIDENCE_MAX / 2, "[%pI6c]:%u", address, port);
}

static size_t describe(char *text, const struct kernort_detection *found)
{
	int used = scnprintf(text, EVIDENCE_MAX / 4, "protocol %u ", found->ip_protocol);

	used += describe_end(text + used, found->family, found->source, found->source_port);
	used += scnprintf(text + used, 4, " > ");
	return (size_t)(used + describe_end(text + used, found->family, found->destination, found->destination_port));
}

static void log_alert(void *unused, const struct kernort_detection *found)
{
	const struct kernort_ruleset_rule *rule =
		found->rule == KERNORT_NO_RULE ? NULL : &packets.rules.rules[found->rule];
	const char *own = found->sid == KERNORT_ENGINE_SID_CUT ? KERNORT_ENGINE_MESSAGE_CUT : KERNORT_ENGINE_MESSAGE_TAGGED;
	const struct kernort_alert alert = {
		.gid = found->gid, .sid = found->sid, .revision = found->rev, .severity = found->priority,
	};
	const struct kernort_piece tails[] = {
		{ .bytes = rule ? packets.rules.bytes + rule->message : (const u8 *)own,
		  .length = rule ? rule->message_length : strlen(own) },
		{ .bytes = packets.evidence, .length = describe(packets.evidence, found) },
	};

	kernort_log(KERNORT_KIND_alert, &alert, tails);
}

/* The packet's bytes from its IP header on; NULL when it cannot be copied. */
static const u8 *bytes_of(const struct sk_buff *skb, u32 length)
{
	if (!skb_is_nonlinear(skb))
		return skb->data;
	return length <= PACKET_MAX && !skb_copy_bits(skb, 0, packets.copy, (int)length) ? packets.copy : NULL;
}

/* Where the payload of a joined TCP segment begins; 0 if it is none that can be taken apart. */
static u32 joined_head(const struct sk_buff *skb, const u8 *bytes, u32 length, u32 link)
{
	u32 ip = link == KERNORT_LINK_IPV4 ? (bytes[0] & 15) * 4 : sizeof(struct ipv6hdr);
	u32 head = ip + sizeof(struct tcphdr);

	if (!skb_is_gso_tcp(skb) || !skb_shinfo(skb)->gso_size || length > PACKET_MAX || head > length)
		return 0;
	head = ip + (bytes[ip + 12] >> 4) * 4;
	return head <= length ? head : 0;
}

/* As segment number @number was on the cable, or will be: @part bytes of payload from @at on. Returns its length. */
static u32 take_apart(u32 link, const u8 *bytes, u32 head, u32 at, u32 part, bool is_last, u32 number)
{
	u32 ip = link == KERNORT_LINK_IPV4 ? (bytes[0] & 15) * 4 : sizeof(struct ipv6hdr);
	u8 *segment = packets.segment;

	memcpy(segment, bytes, head);
	memcpy(segment + head, bytes + head + at, part);
	if (link == KERNORT_LINK_IPV4) {
		put_unaligned_be16(head + part, segment + offsetof(struct iphdr, tot_len));
		put_unaligned_be16(get_unaligned_be16(bytes + offsetof(struct iphdr, id)) + number,
				   segment + offsetof(struct iphdr, id));
	} else {
		put_unaligned_be16(head + part - ip, segment + offsetof(struct ipv6hdr, payload_len));
	}
	put_unaligned_be32(get_unaligned_be32(bytes + ip + 4) + at, segment + ip + 4);
	if (!is_last)
		segment[ip + 13] &= (u8)~(KERNORT_TCP_FIN | KERNORT_TCP_PSH);
	return head + part;
}

/*
 * What the stack has joined on its way in, or will take apart on its way out, is looked at segment by segment: rules
 * speak of packets as they are on the cable.
 */
static void feed(const struct sk_buff *skb, const u8 *bytes, u32 length, u32 link)
{
	bool is_checked = skb->ip_summed == CHECKSUM_PARTIAL || skb->ip_summed == CHECKSUM_UNNECESSARY;
	u32 head = joined_head(skb, bytes, length, link), size = skb_shinfo(skb)->gso_size, at, number = 0;

	if (!head || length - head <= size) {
		kernort_engine_packet(packets.engine, link, bytes, length, now_us(), is_checked);
		return;
	}
	for (at = 0; at < length - head; at += size, number++) {
		u32 left = length - head - at;
		u32 whole = take_apart(link, bytes, head, at, min(size, left), left <= size, number);

		kernort_engine_packet(packets.engine, link, packets.segment, whole, now_us(), true);
	}
}

static unsigned int look_at(void *unused, struct sk_buff *skb, const struct nf_hook_state *state)
{
	u32 link = state->pf == NFPROTO_IPV4 ? KERNORT_LINK_IPV4 : KERNORT_LINK_IPV6;
	const u8 *bytes;

	if (state->hook == NF_INET_LOCAL_OUT && state->out && (state->out->flags & IFF_LOOPBACK))
		return NF_ACCEPT;
	spin_lock_bh(&lock);
	bytes = bytes_of(skb, skb->len);
	if (bytes)
		feed(skb, bytes, skb->len, link);
	spin_unlock_bh(&lock);
	return NF_ACCEPT;
}

#define HOOK(family, number, order) { .hook = look_at, .pf = family, .hooknum = number, .priority = order }

static const struct nf_hook_ops hooks[] = {
	HOOK(NFPROTO_IPV4, NF_INET_PRE_ROUTING, INT_MIN),
	HOOK(NFPROTO_IPV4, NF_INET_LOCAL_OUT, INT_MAX),
	HOOK(NFPROTO_IPV6, NF_INET_PRE_ROUTING, INT_MIN),
	HOOK(NFPROTO_IPV6, NF_INET_LOCAL_OUT, INT_MAX),
};

static int __net_init watch_namespace(struct net *net)
{
	return nf_register_net_hooks(net, hooks, ARRAY_SIZE(hooks));
}

static void __net_exit leave_namespace(struct net *net)
{
	nf_unregister_net_hooks(net, hooks, ARRAY_SIZE(hooks));
}

static struct pernet_operations namespaces __net_initdata = { .init = watch_namespace, .exit = leave_namespace };

/* Messages that would have ended with their connection are looked at as far as they came. */
static int finish(struct notifier_block *block, unsigned long event, void *unused)
{
	spin_lock_bh(&lock);
	kernort_engine_finish(packets.engine, now_us());
	spin_unlock_bh(&lock);
	return NOTIFY_DONE;
}

/* Before that of the log. */
static struct notifier_block reboot_block = { .notifier_call = finish, .priority = 1 };

/* Does the stamp name this table? A stamp of zeros leaves it to the host. */
static bool is_named(const struct kernort_stamp *stamp, const struct kernort_ruleset_header *header, u32 size)
{
	static const u8 zeros[32];
	const u8 *table = (const u8 *)header;
	const size_t before = offsetof(struct kernort_ruleset_header, digest), after = before + sizeof(header->digest);
	const struct kernort_piece pieces[] = {
		{ .bytes = table, .length = before },
		{ .bytes = zeros, .length = sizeof(zeros) },
		{ .bytes = table + after, .length = size - after },
	};
	u8 digest[32];

	if (!memcmp(stamp->ruleset_sha256, zeros, sizeof(zeros)))
		return true;
	kernort_sha256(digest, pieces, ARRAY_SIZE(pieces));
	return !memcmp(digest, stamp->ruleset_sha256, sizeof(digest));
}

static void __init open_rules(const struct kernort_stamp *stamp)
{
	const char *where = "";
	const void *table;
	unsigned int size;
	int err = kernort_rules_map(rules_fd, KERNORT_RULESET_SIZE_MAX, &table, &size);

	if (err)
		panic("kernort: no rules can be read from descriptor %d: error %d\n", rules_fd, err);
	if (size < sizeof(struct kernort_ruleset_header) || !is_named(stamp, table, size))
		panic("kernort: descriptor %d does not have the rules that this kernel is stamped with\n", rules_fd);
	if (kernort_ruleset_open(&packets.rules, table, size, &where))
		panic("kernort: the rules of descriptor %d are damaged: %s\n", rules_fd, where);
}

static void __init make_engine(void)
{
	const struct kernort_sink sink = { .alert = log_alert };
	struct kernort_engine_config config;
	void *memory;
	u64 size;

	kernort_engine_config_for(&config, (u64)totalram_pages() << PAGE_SHIFT);
	get_random_bytes(config.hash_key, sizeof(config.hash_key));
	size = kernort_engine_size(&config, &packets.rules);
	memory = vzalloc(size);
	packets.copy = vmalloc(PACKET_MAX);
	packets.segment = vmalloc(PACKET_MAX);
	if (!memory || !packets.copy || !packets.segment)
		panic("kernort: no memory for detection: %llu bytes\n", size);
	packets.engine = kernort_engine_init(memory, size, &config, &packets.rules, sink);
	pr_info("%u rules, %llu KiB of state\n", packets.rules.counts[KERNORT_SECTION_RULES], size >> 10);
}

/* Before any interface is there. */
static int __init kernort_packets_start(void)
{
	const struct kernort_stamp *stamp = kernort_stamp_read();

	if (!stamp->recipients)
		return 0;
	if (rules_fd < 0) {
		if (memchr_inv(stamp->ruleset_sha256, 0, sizeof(stamp->ruleset_sha256)))
			panic("kernort: kernort.rules_fd= does not name the rules that this kernel is stamped with\n");
		return 0;
	}
	open_rules(stamp);
	make_engine();
	if (kernort_event_use(&packets.rules))
		panic("kernort: no memory for rules on what programs do\n");
	if (register_pernet_subsys(&namespaces))
		panic("kernort: packets cannot be watched\n");
	register_reboot_notifier(&reboot_block);
	return 0;
}
subsys_initcall(kernort_packets_start);

#undef MODULE_PARAM_PREFIX
#define MODULE_PARAM_PREFIX "kernort."
module_param(rules_fd, int, 0);
