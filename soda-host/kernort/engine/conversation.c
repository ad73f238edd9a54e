// SPDX-License-Identifier: GPL-2.0-only
/*
 * DOC: Which application protocol a flow speaks, and its parser
 *
 * The protocol is told by the first bytes of either side, never by the port alone; DNS, which begins with nothing
 * special, by port 53 and a message that parses, or over TCP has a length. Parsers work on documents from a pool; when none is free, the
 * conversation that has been silent longest gives its own away, counted: it is still matched as a stream.
 */
#include "engine.h"

#define SNIFF_BYTES 4u /* fewer than this say nothing yet */

static bool starts_with(const u8 *bytes, u32 length, const char *text, u32 text_length)
{
	return length >= text_length && !memcmp(bytes, text, text_length);
}

#define STARTS(text) starts_with(bytes, length, text, sizeof(text) - 1)

static u8 sniff(const u8 *bytes, u32 length, u32 side, u16 server_port)
{
	if (kernort_http_begins(bytes, length, side))
		return KERNORT_APP_HTTP;
	if (length >= 3 && bytes[0] == 0x16 && bytes[1] == 3 && bytes[2] <= 4)
		return KERNORT_APP_TLS;
	if (STARTS("SSH-"))
		return KERNORT_APP_SSH;
	if (length >= 8 && (starts_with(bytes + 4, length - 4, "\xffSMB", 4) || starts_with(bytes + 4, length - 4, "\xfeSMB", 4)))
		return KERNORT_APP_SMB;
	if (length >= 16 && bytes[0] == 5 && bytes[1] == 0 && bytes[2] <= 19)
		return KERNORT_APP_DCERPC;
	if (side == KERNORT_CLIENT && (STARTS("EHLO") || STARTS("HELO") || STARTS("ehlo") || STARTS("helo")))
		return KERNORT_APP_SMTP;
	if (STARTS("220 ") || STARTS("220-"))
		return server_port == 25 || server_port == 587 ? KERNORT_APP_SMTP :
		       server_port == 21		       ? KERNORT_APP_FTP :
								 KERNORT_APP_ANY;
	if (side == KERNORT_CLIENT && server_port == 21 && (STARTS("USER ") || STARTS("FEAT") || STARTS("AUTH ")))
		return KERNORT_APP_FTP;
	/* The length of a message, and no more of it than its head and a question. */
	if (server_port == 53 && (bytes[0] << 8 | bytes[1]) >= 17)
		return KERNORT_APP_DNS;
	if (STARTS("SIP/2.0") || STARTS("INVITE sip") || STARTS("REGISTER sip") || STARTS("OPTIONS sip"))
		return KERNORT_APP_SIP;
	return KERNORT_APP_ANY;
}

void kernort_documents_init(struct kernort_documents *documents, struct kernort_arena *arena, u32 count)
{
	u32 i;

	struct kernort_scratch *scratch = arena_take(arena, 1, sizeof(*scratch));

	/* One more than flows can take: for datagrams. */
	documents->documents = arena_take(arena, (u64)count + 1, sizeof(*documents->documents));
	documents->count = count;
	kernort_use_list_init(&documents->use, arena, count);
	for (i = 0; arena->base && i <= count; i++)
		documents->documents[i].scratch = scratch;
	for (i = 0; arena->base && i < count; i++)
		kernort_use_list_add_newest(&documents->use, i);
}

static void clear_message(struct kernort_message *message)
{
	memset(message, 0, offsetof(struct kernort_message, woken));
}

static void open_document(struct kernort_engine *engine, struct kernort_flow *flow)
{
	struct kernort_documents *documents = &engine->documents;
	struct kernort_document *document;

	flow->document = documents->use.oldest;
	document = &documents->documents[flow->document];
	if (document->owner) {
		document->owner->document = KERNORT_NO_INDEX;
		engine->counters.documents_evicted++;
	}
	document->owner = flow;
	document->app = flow->app;
	document->method_first = document->method_count = 0;
	document->awaits = 0;
	document->is_in_mail = false;
	clear_message(&document->messages[0]);
	clear_message(&document->messages[1]);
}

void kernort_conversation_release(struct kernort_engine *engine, struct kernort_flow *flow)
{
	if (flow->document == KERNORT_NO_INDEX)
		return;
	engine->documents.documents[flow->document].owner = NULL;
	kernort_use_list_remove(&engine->documents.use, flow->document);
	kernort_use_list_add_oldest(&engine->documents.use, flow->document);
	flow->document = KERNORT_NO_INDEX;
}

static void look(void *context, struct kernort_document *document, u32 side)
{
	struct kernort_engine *engine = context;

	/* A message of the other side, ended by this packet, has no packet of its own: addresses would not fit. */
	if (side == engine->scene.side && !engine->flow->is_passed)
		kernort_detect_document(engine, document, side);
}

static bool is_of_lines(u8 app)
{
	return app == KERNORT_APP_SMTP || app == KERNORT_APP_FTP || app == KERNORT_APP_SSH;
}

static bool has_parser(u8 app)
{
	return app == KERNORT_APP_HTTP || app == KERNORT_APP_TLS || app == KERNORT_APP_DNS || is_of_lines(app);
}

static void expect(void *context, u32 side, u16 port)
{
	struct kernort_engine *engine = context;
	const struct kernort_flow *flow = engine->flow;

	engine->expected[engine->expected_next] =
		(struct kernort_expected){ .address = side == KERNORT_CLIENT ? flow->client : flow->server, .port = port };
	engine->expected_next = (engine->expected_next + 1) % KERNORT_EXPECTED;
}

bool kernort_conversation_is_expected(struct kernort_engine *engine, const struct kernort_flow *flow)
{
	u32 i;

	for (i = 0; flow->ip_protocol == KERNORT_PROTO_TCP && i < KERNORT_EXPECTED; i++)
		if (engine->expected[i].port && engine->expected[i].port == flow->server_port &&
		    !memcmp(&engine->expected[i].address, &flow->server, sizeof(flow->server))) {
			engine->expected[i].port = 0;
			return true;
		}
	return false;
}

static struct kernort_reader reader_of(struct kernort_engine *engine)
{
	return (struct kernort_reader){
		.look = look, .expect = expect, .context = engine, .work = &engine->evaluation.work
	};
}

static void parse(struct kernort_engine *engine, struct kernort_flow *flow, u32 side, const u8 *bytes, u32 length)
{
	struct kernort_reader reader = reader_of(engine);
	struct kernort_document *document = &engine->documents.documents[flow->document];

	kernort_use_list_remove(&engine->documents.use, flow->document);
	kernort_use_list_add_newest(&engine->documents.use, flow->document);
	if (document->app == KERNORT_APP_HTTP)
		kernort_http_feed(document, side, bytes, length, &reader);
	else if (document->app == KERNORT_APP_DNS)
		kernort_dns_feed(document, side, bytes, length, &reader);
	else if (is_of_lines(document->app))
		kernort_lines_feed(document, side, bytes, length, &reader);
	else if (document->app == KERNORT_APP_FTP_DATA)
		kernort_file_feed(document, side, bytes, length, &reader);
	else
		kernort_tls_feed(document, side, bytes, length, &reader);
}

/* What has come so far of both sides, now that the protocol is known. */
static void parse_beginning(struct kernort_engine *engine, struct kernort_flow *flow)
{
	u32 side;

	for (side = 0; side < 2; side++) {
		const struct kernort_side *from = &flow->sides[side];

		if (from->window != KERNORT_NO_INDEX && from->window_start == 0)
			parse(engine, flow, side, kernort_window_bytes(&engine->windows, from), from->window_used);
	}
}

void kernort_conversation_feed(struct kernort_engine *engine, struct kernort_flow *flow, u32 side, const u8 *bytes,
			       u32 length)
{
	const struct kernort_side *from = &flow->sides[side];

	if (flow->app != KERNORT_APP_ANY) {
		/* A conversation that had to give its document away is picked up at its next message. */
		if (flow->document == KERNORT_NO_INDEX && flow->app == KERNORT_APP_HTTP &&
		    kernort_http_begins(bytes, length, side))
			open_document(engine, flow);
		if (flow->document == KERNORT_NO_INDEX && flow->app == KERNORT_APP_FTP_DATA)
			open_document(engine, flow);
		if (flow->document != KERNORT_NO_INDEX)
			parse(engine, flow, side, bytes, length);
		return;
	}
	if (from->window == KERNORT_NO_INDEX || from->window_start != 0 || from->window_used < SNIFF_BYTES)
		return;
	flow->app = sniff(kernort_window_bytes(&engine->windows, from), from->window_used, side, flow->server_port);
	if (!has_parser(flow->app))
		return;
	open_document(engine, flow);
	parse_beginning(engine, flow);
}

void kernort_conversation_finish(struct kernort_engine *engine, struct kernort_flow *flow)
{
	struct kernort_reader reader = reader_of(engine);

	if (flow->document != KERNORT_NO_INDEX && flow->app == KERNORT_APP_HTTP)
		kernort_http_finish(&engine->documents.documents[flow->document], engine->scene.side, &reader);
	else if (flow->document != KERNORT_NO_INDEX)
		kernort_lines_finish(&engine->documents.documents[flow->document], engine->scene.side, &reader);
}

void kernort_conversation_datagram(struct kernort_engine *engine)
{
	const struct kernort_packet *packet = engine->scene.packet;
	struct kernort_document *document = &engine->documents.documents[engine->documents.count];
	struct kernort_flow *flow = engine->flow;
	struct kernort_views *views = &document->scratch->views;

	if (flow->is_passed || (flow->server_port != 53 && flow->client_port != 53))
		return;
	kernort_views_clear(views);
	clear_message(&document->messages[engine->scene.side]);
	if (!kernort_dns_views(views, packet->payload, packet->payload_length))
		return;
	flow->app = KERNORT_APP_DNS;
	kernort_detect_document(engine, document, engine->scene.side);
}
