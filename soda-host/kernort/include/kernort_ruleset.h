/* SPDX-License-Identifier: GPL-2.0 */
/**
 * DOC: The compiled rule set: one position-independent, read-only table
 *
 * The rule compiler (soda-host/kernort/rules, TypeScript) writes it, the engine reads it. docs/formats/ruleset.md
 * says what every field means. Little-endian, fixed width, no pointers: references are indices into sections, or
 * byte offsets into the BYTES section. kernort_ruleset_open() checks every one of them once; after that no access
 * needs a check against the table (only against traffic). A table is named by the SHA-256 of its bytes with the
 * digest field zero.
 */
#ifndef KERNORT_RULESET_H
#define KERNORT_RULESET_H

#define KERNORT_RULESET_MAGIC 0x53454c5552544e4bULL /* "KNTRULES" */
#define KERNORT_RULESET_VERSION 4
#define KERNORT_RULESET_ALIGN 16
#define KERNORT_RULESET_SIZE_MAX (64u << 20)
#define KERNORT_RULESET_NONE 0xffffffffu

/* Bounds that the compiler keeps and the loader checks; the engine sizes its scratch by them. */
#define KERNORT_RULESET_RULES_MAX 131072
#define KERNORT_RULESET_BLOCKS_MAX 32 /* of one rule */
#define KERNORT_RULESET_OPTIONS_MAX 256 /* of one rule */
#define KERNORT_RULESET_CONTENT_MAX 2048 /* bytes of one content */
#define KERNORT_RULESET_VARIABLES 16 /* byte_extract / byte_math results of one rule */
#define KERNORT_RULESET_FLOWBITS_MAX 8192
#define KERNORT_RULESET_XBITS_MAX 1024
#define KERNORT_RULESET_FLOWINTS_MAX 256
#define KERNORT_RULESET_TRANSFORMS 4 /* of one block */
#define KERNORT_REGEX_WORDS_MAX 16384 /* of one program */
#define KERNORT_REGEX_LINEAR_WORDS_MAX 4096 /* of a program that is flagged linear */
#define KERNORT_REGEX_CAPTURES_MAX 32 /* groups, number 0 is the whole match */
#define KERNORT_REGEX_MARKS_MAX 32
#define KERNORT_REGEX_DEPTH_MAX 8 /* nested lookarounds and atomic groups */

enum kernort_ruleset_section_kind {
	KERNORT_SECTION_BYTES, /* patterns and texts, entry size 1 */
	KERNORT_SECTION_WORDS, /* u32 lists: rule indices, flowbit alternatives, */
	KERNORT_SECTION_ADDRESSES4, /* struct kernort_ruleset_address4 */
	KERNORT_SECTION_ADDRESSES6, /* struct kernort_ruleset_address6 */
	KERNORT_SECTION_ADDRESS_GROUPS, /* struct kernort_ruleset_address_group; group 0 is any */
	KERNORT_SECTION_PORTS, /* struct kernort_ruleset_port_range */
	KERNORT_SECTION_PORT_GROUPS, /* struct kernort_ruleset_port_group; group 0 is any */
	KERNORT_SECTION_CLASSES, /* struct kernort_ruleset_class; class 0 is "none" */
	KERNORT_SECTION_RULES, /* struct kernort_ruleset_rule */
	KERNORT_SECTION_BLOCKS, /* struct kernort_ruleset_block */
	KERNORT_SECTION_OPTIONS, /* struct kernort_ruleset_option */
	KERNORT_SECTION_BYTE_SETS, /* u8[32], bit (b & 7) of byte (b >> 3) is byte value b */
	KERNORT_SECTION_REGEXES, /* struct kernort_ruleset_regex */
	KERNORT_SECTION_REGEX_CODE, /* u32 */
	KERNORT_SECTION_PATTERNS, /* struct kernort_ruleset_pattern */
	KERNORT_SECTION_GRAMS, /* struct kernort_ruleset_gram */
	KERNORT_SECTION_HEADS, /* u32 */
	KERNORT_SECTION_MARKS, /* u8 */
	KERNORT_SECTION_SCANNERS, /* struct kernort_ruleset_scanner */
	KERNORT_SECTION_GROUPS, /* struct kernort_ruleset_group, sorted by key */
	KERNORT_SECTION_ADDRESS_INDEX, /* struct kernort_ruleset_address_index, sorted by side, low */
	KERNORT_SECTION_SUPPRESSIONS, /* struct kernort_ruleset_suppression, sorted by gid, sid */
	KERNORT_SECTION_EVENT_RULES, /* struct kernort_ruleset_event_rule (kernort_event.h) */
	KERNORT_SECTION_COUNT
};

struct kernort_ruleset_section {
	u32 offset; /* from the start of the table, multiple of KERNORT_RULESET_ALIGN */
	u32 count; /* entries */
	u32 entry_size; /* bytes; as this header says, or the table is refused */
	u32 reserved; /* 0 */
};

struct kernort_ruleset_header {
	u64 magic;
	u32 version;
	u32 size; /* bytes of the whole table */
	u8 digest[32]; /* SHA-256 of the table with this field zero */
	u32 section_count; /* KERNORT_SECTION_COUNT */
	u32 flowbit_count;
	u32 xbit_count;
	u32 flowint_count;
	struct kernort_ruleset_section sections[KERNORT_SECTION_COUNT];
};

/* Inclusive ranges in host order, sorted, disjoint; negation is already computed. */
struct kernort_ruleset_address4 {
	u32 low;
	u32 high;
};

struct kernort_ruleset_address6 {
	u8 low[16]; /* network order */
	u8 high[16];
};

struct kernort_ruleset_address_group {
	u32 first4;
	u32 count4;
	u32 first6;
	u32 count6;
};

struct kernort_ruleset_port_range {
	u16 low;
	u16 high;
};

struct kernort_ruleset_port_group {
	u32 first;
	u32 count;
};

struct kernort_ruleset_class {
	u32 name; /* BYTES offset */
	u32 name_length;
	u32 text;
	u32 text_length;
};

enum kernort_rule_action {
	KERNORT_ACTION_ALERT,
	KERNORT_ACTION_LOG,
	KERNORT_ACTION_PASS,
	KERNORT_ACTION_DROP,
	KERNORT_ACTION_REJECT,
};

/* What the IP protocol must be: a set, so that "ip" is all of them. */
#define KERNORT_IP_TCP 0x01
#define KERNORT_IP_UDP 0x02
#define KERNORT_IP_ICMP 0x04
#define KERNORT_IP_ICMP6 0x08
#define KERNORT_IP_OTHER 0x10
#define KERNORT_IP_ANY 0x1f

/* What the application protocol of the flow must be. */
enum kernort_app {
	KERNORT_APP_ANY,
	KERNORT_APP_HTTP,
	KERNORT_APP_DNS,
	KERNORT_APP_TLS,
	KERNORT_APP_SMTP,
	KERNORT_APP_FTP,
	KERNORT_APP_FTP_DATA,
	KERNORT_APP_SMB,
	KERNORT_APP_SSH,
	KERNORT_APP_DCERPC,
	KERNORT_APP_SIP,
	KERNORT_APP_COUNT
};

/* Rule flags. */
#define KERNORT_RULE_BIDIRECTIONAL 0x0001 /* header matches either way round */
#define KERNORT_RULE_NOALERT 0x0002
#define KERNORT_RULE_ON_PACKET 0x0004 /* PAYLOAD is the packet's payload */
#define KERNORT_RULE_ON_STREAM 0x0008 /* PAYLOAD is the reassembled stream; with both flags: stream, then packet */
#define KERNORT_RULE_TRANSACTION 0x0010 /* has at least one application buffer: all blocks in one transaction */
#define KERNORT_RULE_IP_ONLY 0x0020 /* nothing but header and threshold: once per flow and direction */
#define KERNORT_RULE_PREFILTERED 0x0040 /* found through a scanner; otherwise listed in a group or the address index */

/* Flow predicates (0: none). */
#define KERNORT_FLOW_TO_SERVER 0x0001
#define KERNORT_FLOW_TO_CLIENT 0x0002
#define KERNORT_FLOW_ESTABLISHED 0x0004
#define KERNORT_FLOW_NOT_ESTABLISHED 0x0008
#define KERNORT_FLOW_STATELESS 0x0010
#define KERNORT_FLOW_ONLY_STREAM 0x0020
#define KERNORT_FLOW_NO_STREAM 0x0040
#define KERNORT_FLOW_ONLY_FRAG 0x0080
#define KERNORT_FLOW_NO_FRAG 0x0100

struct kernort_ruleset_rule {
	u32 gid;
	u32 sid;
	u32 rev;
	u32 message; /* BYTES offset */
	u16 message_length;
	u16 class_index; /* CLASSES */
	u8 priority; /* 1 (worst) .. 255 */
	u8 action; /* enum kernort_rule_action */
	u8 ip_protocols; /* KERNORT_IP_* */
	u8 app; /* enum kernort_app */
	u16 flags; /* KERNORT_RULE_* */
	u16 flow; /* KERNORT_FLOW_* */
	u16 source_addresses; /* ADDRESS_GROUPS */
	u16 source_ports; /* PORT_GROUPS */
	u16 destination_addresses;
	u16 destination_ports;
	u32 first_block; /* BLOCKS */
	u16 block_count;
	u16 variable_count; /* <= KERNORT_RULESET_VARIABLES */
	u32 reserved[5];
};

enum kernort_buffer {
	KERNORT_BUFFER_HEADER, /* predicates on packet and flow; no cursor */
	KERNORT_BUFFER_ACTION, /* done in order when everything else has matched */
	KERNORT_BUFFER_PAYLOAD,
	KERNORT_BUFFER_BASE64_DATA, /* what the latest base64_decode of this rule left */
	KERNORT_BUFFER_FILE_DATA,
	KERNORT_BUFFER_HTTP_METHOD,
	KERNORT_BUFFER_HTTP_URI, /* normalised */
	KERNORT_BUFFER_HTTP_URI_RAW,
	KERNORT_BUFFER_HTTP_HOST, /* lower case, no port */
	KERNORT_BUFFER_HTTP_HOST_RAW,
	KERNORT_BUFFER_HTTP_HEADER, /* both directions; without cookies; "Name: value\r\n" lines */
	KERNORT_BUFFER_HTTP_HEADER_RAW,
	KERNORT_BUFFER_HTTP_COOKIE, /* Cookie or Set-Cookie */
	KERNORT_BUFFER_HTTP_USER_AGENT,
	KERNORT_BUFFER_HTTP_REFERER,
	KERNORT_BUFFER_HTTP_ACCEPT,
	KERNORT_BUFFER_HTTP_ACCEPT_ENCODING,
	KERNORT_BUFFER_HTTP_ACCEPT_LANGUAGE,
	KERNORT_BUFFER_HTTP_CONNECTION,
	KERNORT_BUFFER_HTTP_CONTENT_TYPE,
	KERNORT_BUFFER_HTTP_CONTENT_LENGTH,
	KERNORT_BUFFER_HTTP_HEADER_NAMES, /* "\r\nHost\r\nAccept\r\n\r\n" */
	KERNORT_BUFFER_HTTP_REQUEST_BODY,
	KERNORT_BUFFER_HTTP_REQUEST_LINE,
	KERNORT_BUFFER_HTTP_REQUEST_HEADER, /* one instance per header, "Name: value" */
	KERNORT_BUFFER_HTTP_START,
	KERNORT_BUFFER_HTTP_PROTOCOL,
	KERNORT_BUFFER_HTTP_STATUS_CODE,
	KERNORT_BUFFER_HTTP_STATUS_MESSAGE,
	KERNORT_BUFFER_HTTP_RESPONSE_LINE,
	KERNORT_BUFFER_HTTP_RESPONSE_BODY,
	KERNORT_BUFFER_HTTP_RESPONSE_HEADER, /* one instance per header */
	KERNORT_BUFFER_HTTP_LOCATION,
	KERNORT_BUFFER_HTTP_SERVER,
	KERNORT_BUFFER_DNS_QUERY, /* one instance per question, dotted, no final dot */
	KERNORT_BUFFER_TLS_SNI,
	KERNORT_BUFFER_TLS_CERT_SUBJECT, /* "C=US, O=..., CN=..." as Suricata writes it */
	KERNORT_BUFFER_TLS_CERT_ISSUER,
	KERNORT_BUFFER_TLS_CERT_SERIAL, /* "AA:BB:..." */
	KERNORT_BUFFER_TLS_CERT_FINGERPRINT,
	KERNORT_BUFFER_TLS_CERTS, /* one instance per certificate, DER */
	KERNORT_BUFFER_JA3_HASH,
	KERNORT_BUFFER_JA3_STRING,
	KERNORT_BUFFER_JA3S_HASH,
	KERNORT_BUFFER_JA3S_STRING,
	KERNORT_BUFFER_SSH_PROTO,
	KERNORT_BUFFER_SSH_SOFTWARE,
	KERNORT_BUFFER_DCE_STUB_DATA,
	KERNORT_BUFFER_SIP_METHOD,
	KERNORT_BUFFER_SIP_HEADER,
	KERNORT_BUFFER_SIP_STATUS_CODE,
	KERNORT_BUFFER_SMTP_HELO, /* the name that the client gives itself */
	KERNORT_BUFFER_SMTP_MAIL_FROM, /* without the brackets */
	KERNORT_BUFFER_SMTP_RCPT_TO,
	KERNORT_BUFFER_FTP_COMMAND,
	KERNORT_BUFFER_FTP_COMMAND_DATA, /* what follows the command and its blank */
	KERNORT_BUFFER_COUNT
};

enum kernort_transform {
	KERNORT_TRANSFORM_NONE,
	KERNORT_TRANSFORM_DOTPREFIX,
	KERNORT_TRANSFORM_TO_LOWERCASE,
	KERNORT_TRANSFORM_TO_UPPERCASE,
	KERNORT_TRANSFORM_STRIP_WHITESPACE,
	KERNORT_TRANSFORM_COMPRESS_WHITESPACE,
	KERNORT_TRANSFORM_URL_DECODE,
	KERNORT_TRANSFORM_COUNT
};

/* Options on one buffer, in order, with one cursor that starts at 0. */
struct kernort_ruleset_block {
	u8 buffer; /* enum kernort_buffer */
	u8 transforms[KERNORT_RULESET_TRANSFORMS]; /* applied first to last */
	u8 reserved;
	u16 option_count;
	u32 first_option; /* OPTIONS */
};

enum kernort_option_code {
	/* On a buffer with a cursor. */
	KERNORT_OPTION_CONTENT,
	KERNORT_OPTION_REGEX,
	KERNORT_OPTION_BYTE_TEST,
	KERNORT_OPTION_BYTE_JUMP,
	KERNORT_OPTION_BYTE_EXTRACT,
	KERNORT_OPTION_BYTE_MATH,
	KERNORT_OPTION_IS_DATA_AT,
	KERNORT_OPTION_BUFFER_SIZE, /* bsize, urilen */
	KERNORT_OPTION_BASE64_DECODE,
	KERNORT_OPTION_ASN1,
	KERNORT_OPTION_FTP_BOUNCE,
	/* Predicates on packet and flow (block HEADER). */
	KERNORT_OPTION_PAYLOAD_SIZE, /* dsize */
	KERNORT_OPTION_TCP_FLAGS,
	KERNORT_OPTION_TCP_SEQ,
	KERNORT_OPTION_TCP_ACK,
	KERNORT_OPTION_TCP_WINDOW,
	KERNORT_OPTION_TCP_MSS,
	KERNORT_OPTION_IP_TTL,
	KERNORT_OPTION_IP_ID,
	KERNORT_OPTION_IP_TOS,
	KERNORT_OPTION_IP_PROTO,
	KERNORT_OPTION_IP_OPTS,
	KERNORT_OPTION_FRAG_BITS,
	KERNORT_OPTION_FRAG_OFFSET,
	KERNORT_OPTION_SAME_IP,
	KERNORT_OPTION_ICMP_TYPE,
	KERNORT_OPTION_ICMP_CODE,
	KERNORT_OPTION_ICMP_ID,
	KERNORT_OPTION_ICMP_SEQ,
	KERNORT_OPTION_STREAM_SIZE,
	KERNORT_OPTION_FLOWBITS_TEST,
	KERNORT_OPTION_XBITS_TEST,
	KERNORT_OPTION_FLOWINT_TEST,
	KERNORT_OPTION_RPC,
	KERNORT_OPTION_TLS_VERSION,
	KERNORT_OPTION_SSL_STATE,
	KERNORT_OPTION_DCE_INTERFACE,
	KERNORT_OPTION_DCE_OPNUM,
	/* Effects (block ACTION). */
	KERNORT_OPTION_DETECTION_FILTER, /* first if present: not passed means the rule has not matched */
	KERNORT_OPTION_FLOWBITS_SET,
	KERNORT_OPTION_XBITS_SET,
	KERNORT_OPTION_FLOWINT_SET,
	KERNORT_OPTION_TAG,
	KERNORT_OPTION_THRESHOLD, /* last if present: decides whether the alert is told */
	KERNORT_OPTION_COUNT
};

/* Flags common to options on buffers. */
#define KERNORT_OPTION_NEGATED 0x0001
#define KERNORT_OPTION_RELATIVE 0x0002 /* to the cursor */
#define KERNORT_OPTION_RETRY 0x8000 /* a later option of the block depends on where this one matched */
/* CONTENT */
#define KERNORT_CONTENT_NOCASE 0x0004 /* the pattern is stored in lower case */
#define KERNORT_CONTENT_OFFSET_IS_VARIABLE 0x0008
#define KERNORT_CONTENT_DEPTH_IS_VARIABLE 0x0010
#define KERNORT_CONTENT_HAS_DEPTH 0x0020
#define KERNORT_CONTENT_ENDS_WITH 0x0040 /* the match must end where the buffer ends */
#define KERNORT_CONTENT_FAST 0x0080 /* the rule's fast pattern (for counters; it is checked all the same) */
/* BYTE_* */
#define KERNORT_BYTES_LITTLE 0x0004
#define KERNORT_BYTES_STRING 0x0008
#define KERNORT_BYTES_DCE 0x0010
#define KERNORT_BYTES_ALIGN 0x0020
#define KERNORT_BYTES_FROM_BEGINNING 0x0040
#define KERNORT_BYTES_FROM_END 0x0080
#define KERNORT_BYTES_VALUE_IS_VARIABLE 0x0100
#define KERNORT_BYTES_OFFSET_IS_VARIABLE 0x0200
#define KERNORT_BYTES_COUNT_IS_VARIABLE 0x0400
/* IS_DATA_AT */
#define KERNORT_DATA_AT_IS_VARIABLE 0x0004

/* Comparisons, wherever an option has one. Ranges: low < v < high or inclusive, as the code says. */
enum kernort_compare {
	KERNORT_COMPARE_EQ,
	KERNORT_COMPARE_NE,
	KERNORT_COMPARE_LT,
	KERNORT_COMPARE_LE,
	KERNORT_COMPARE_GT,
	KERNORT_COMPARE_GE,
	KERNORT_COMPARE_BETWEEN, /* low <= v <= high */
	KERNORT_COMPARE_OUTSIDE, /* !(low <= v <= high) */
	KERNORT_COMPARE_AND, /* v & operand */
	KERNORT_COMPARE_OR, /* v ^ operand (byte_test's ^) */
	KERNORT_COMPARE_COUNT
};

struct kernort_ruleset_option {
	u8 code; /* enum kernort_option_code */
	u8 compare; /* enum kernort_compare, or the option's own sub-code */
	u16 flags;
	u32 a, b, c, d, e, f, g; /* by code; NOTES.md / docs/formats/ruleset.md has the table */
};

/* Tracking of thresholds, detection filters, suppressions, tags, xbits. */
enum kernort_track {
	KERNORT_TRACK_BY_SRC,
	KERNORT_TRACK_BY_DST,
	KERNORT_TRACK_BY_RULE,
	KERNORT_TRACK_BY_BOTH,
	KERNORT_TRACK_BY_FLOW,
	KERNORT_TRACK_COUNT
};

/* ---- regular expressions ---- */

#define KERNORT_REGEX_LINEAR 0x0001 /* no back-reference, lookaround, atomic group or counted set: Pike's machine can run it */
#define KERNORT_REGEX_ANCHORED 0x0002 /* can match at subject offset 0 only */
#define KERNORT_REGEX_HAS_FIRST 0x0004 /* first_set is the set of bytes that a (never empty) match begins with */

struct kernort_ruleset_regex {
	u32 first_word; /* REGEX_CODE */
	u32 word_count;
	u32 flags;
	u32 first_set; /* BYTE_SETS */
	u16 capture_count; /* groups + 1, <= KERNORT_REGEX_CAPTURES_MAX */
	u16 mark_count; /* <= KERNORT_REGEX_MARKS_MAX */
	u32 reserved;
};

/* One word: code in the low 8 bits, argument in the high 24. Targets are word indices in the program. */
enum kernort_regex_code {
	KERNORT_REGEX_MATCH, /* of the program, or of the lookaround/atomic body it closes */
	KERNORT_REGEX_BYTE, /* arg: byte | other << 8; matches either (equal when case counts) */
	KERNORT_REGEX_SET, /* arg: BYTE_SETS index */
	KERNORT_REGEX_ANY, /* any byte */
	KERNORT_REGEX_JUMP, /* arg: target */
	KERNORT_REGEX_SPLIT, /* the next word first, then target */
	KERNORT_REGEX_SPLIT_TARGET, /* target first, then the next word */
	KERNORT_REGEX_STAR, /* arg: set; any number, as many as possible first */
	KERNORT_REGEX_STAR_LAZY, /* arg: set; as few as possible first */
	KERNORT_REGEX_REPEAT, /* arg: set; next two words: min, max (0xffffffff: none); greedy. Not in linear programs */
	KERNORT_REGEX_REPEAT_LAZY, /* as REPEAT, lazy */
	KERNORT_REGEX_SAVE, /* arg: capture slot (2n start, 2n+1 end), n >= 1 */
	KERNORT_REGEX_MARK, /* arg: mark slot; remember the position */
	KERNORT_REGEX_MARK_MOVED, /* arg: mark slot; if the position has not moved since MARK, skip the next word */
	KERNORT_REGEX_TEXT_START, /* offset 0 of the subject */
	KERNORT_REGEX_TEXT_END, /* the end of the subject */
	KERNORT_REGEX_TEXT_END_NEWLINE, /* the end, or before a newline that is last */
	KERNORT_REGEX_LINE_START, /* offset 0 or after a newline (not one that ends the subject) */
	KERNORT_REGEX_LINE_END, /* the end or before a newline */
	KERNORT_REGEX_WORD_BOUNDARY,
	KERNORT_REGEX_NOT_WORD_BOUNDARY,
	KERNORT_REGEX_BACKREF, /* arg: group; an unset group fails */
	KERNORT_REGEX_BACKREF_NOCASE,
	KERNORT_REGEX_AHEAD, /* arg: where to go on; the body follows, closed by MATCH */
	KERNORT_REGEX_NOT_AHEAD,
	KERNORT_REGEX_BEHIND, /* arg: where to go on; next word: length of the body in bytes; then the body */
	KERNORT_REGEX_NOT_BEHIND,
	KERNORT_REGEX_ATOMIC, /* arg: where to go on; the body follows, closed by MATCH; consumes */
	KERNORT_REGEX_CODE_COUNT
};

/* ---- prefilter ---- */

/* A fast pattern, folded (every byte | 0x20), and the rules that it wakes. */
struct kernort_ruleset_pattern {
	u32 bytes; /* BYTES offset */
	u8 length; /* 1 .. 32 */
	u8 side; /* enum kernort_group_side: which port of the packet must be one of `ports` */
	u16 ports; /* PORT_GROUPS */
	u32 first_rule; /* WORDS: rule indices, ascending */
	u32 rule_count;
};

/* One window of a pattern in the hash of a scanner. */
struct kernort_ruleset_gram {
	u32 gram; /* the folded window, little-endian, upper bytes 0 when shorter than 4 */
	u32 next; /* the window that must follow it; 0: any */
	u32 pattern; /* PATTERNS */
	u32 position; /* of the window in the pattern; -1: it begins with the byte before */
};

/* Windows of one length. mark_bits == 0: none of this length. */
struct kernort_ruleset_scanner_table {
	u32 mark_bits; /* 0, or 6 .. 20: there are 1 << mark_bits marks, 0 where no window is */
	u32 head_bits; /* 1 .. 20: there are (1 << head_bits) + 1 heads */
	u32 marks; /* MARKS index */
	u32 heads; /* HEADS index; heads[h] .. heads[h + 1] are GRAMS indices */
};

#define KERNORT_SCANNER_TABLES 3
#define KERNORT_PATTERN_BYTES_MAX 32 /* longer ones are found by a part */

struct kernort_ruleset_scanner {
	struct kernort_ruleset_scanner_table tables[KERNORT_SCANNER_TABLES]; /* windows of 4, 3 and 1 bytes at every 4th, 2nd and 1st place */
	u32 pattern_count;
	u32 longest; /* bytes of the longest pattern: what a streaming scan must keep */
	u32 reserved[2];
};

#define KERNORT_GRAM_FOLD 0x20202020u
#define KERNORT_GRAM_HASH 0x9e3779b1u /* h = gram * this, modulo 2^32; head: h >> (32 - head_bits) */
#define KERNORT_MARK_SHIFT 12 /* mark: (h >> 12) & ((1 << mark_bits) - 1); it has the bit (h >> 9) & 7 */
#define KERNORT_MARK_BIT_SHIFT 9
/*
 * Marks of windows of four bytes. Patterns of eleven bytes and more have two windows side by side; each is of one of
 * three lots, and a first window counts only before a second one of the same lot.
 */
#define KERNORT_MARK_LOTS 3
#define KERNORT_MARK_FIRST 0x01 /* << lot: a first window */
#define KERNORT_MARK_ALONE 0x08 /* a window of a shorter pattern */
#define KERNORT_MARK_SECOND 0x10 /* << lot */
#define KERNORT_MARKS_MEET(mark, next) ((mark) & ((next) >> 4 | KERNORT_MARK_ALONE))

enum kernort_group_side {
	KERNORT_SIDE_ANY, /* port is 0: for all */
	KERNORT_SIDE_DESTINATION, /* the packet's destination port is `port` */
	KERNORT_SIDE_SOURCE,
};

/* Groups that are of no buffer. */
#define KERNORT_GROUP_IP_ONLY 0xfe /* rules tried for the first packet of each direction of a flow */

/* What to scan and which rules to try, by buffer, IP protocol, direction and port. Sorted by the first 8 bytes. */
struct kernort_ruleset_group {
	u8 buffer; /* enum kernort_buffer, KERNORT_GROUP_*; HEADER: rules tried for each packet */
	u8 ip_protocol; /* one KERNORT_IP_* bit; 0 for application buffers */
	u8 direction; /* KERNORT_FLOW_TO_SERVER or KERNORT_FLOW_TO_CLIENT */
	u8 side; /* enum kernort_group_side */
	u16 port;
	u16 reserved;
	u32 scanner; /* SCANNERS or KERNORT_RULESET_NONE */
	u32 first_rule; /* WORDS: rules without a fast pattern */
	u32 rule_count;
};

/* Rules that only an address wakes (reputation lists): sorted by (side, low), disjoint within a side. IPv4. */
struct kernort_ruleset_address_index {
	u32 side; /* KERNORT_SIDE_SOURCE or KERNORT_SIDE_DESTINATION */
	u32 low;
	u32 high;
	u32 first_rule; /* WORDS */
	u32 rule_count;
};

struct kernort_ruleset_suppression {
	u32 gid;
	u32 sid;
	u16 track; /* BY_SRC, BY_DST or BY_RULE (always) */
	u16 addresses; /* ADDRESS_GROUPS */
};

#endif
