/**
 * Every operation of the API: path, what goes in, what comes out, and what is done. The dispatcher and the OpenAPI
 * document are both made from this one table.
 */
import { z } from 'zod'
import * as api from './api.ts'
import type { Host } from './host.ts'
import { STDIN_BYTES_MAX } from './limits.ts'

/** What a request brings, checked. `bytes` is its body where that is not JSON. */
export interface Call<Query, Body> {
  host: Host
  /** The server's id; empty where the path has none. */
  id: string
  query: Query
  body: Body
  bytes: AsyncIterable<Uint8Array>
  /** Aborts when the client is gone. */
  signal: AbortSignal
}

export type Answer =
  | { kind: 'json'; value: unknown }
  | { kind: 'nothing' }
  | { kind: 'stream'; type: StreamType; chunks: AsyncIterable<Uint8Array | string> }

export type StreamType = 'application/x-tar' | 'application/octet-stream' | 'application/x-ndjson'

export interface Operation {
  name: string
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** With `{id}` where the server's id stands. */
  path: string
  summary: string
  query: z.ZodObject
  /** A JSON body, or bytes of that type, up to so many where it is read at once; undefined: no body. */
  body: z.ZodType | { type: StreamType; bytesMax?: number } | undefined
  /** JSON, or a stream of that type; undefined: nothing (204). */
  answer: z.ZodType | StreamType | undefined
  run: (call: Call<unknown, unknown>) => Promise<Answer> | Answer
}

/** A query of no parameters. */
export const none = z.strictObject({})
type None = z.infer<typeof none>

interface OperationInit<Query extends z.ZodObject, Body extends z.ZodType> extends Pick<
  Operation,
  'method' | 'path' | 'summary' | 'answer'
> {
  query?: Query
  body?: Body
  bytes?: { type: StreamType; bytesMax?: number }
  run: (call: Call<z.infer<Query>, z.infer<Body>>) => Promise<Answer> | Answer
}

function operation<Query extends z.ZodObject = z.ZodObject<None>, Body extends z.ZodType = z.ZodUndefined>(
  name: string,
  { query, body, bytes, run, ...rest }: OperationInit<Query, Body>
): Operation {
  // The dispatcher parses by these very schemas before it calls.
  return { name, ...rest, query: query ?? none, body: body ?? bytes, run: run as Operation['run'] }
}

const json = (value: unknown): Answer => ({ kind: 'json', value })
const NOTHING: Answer = { kind: 'nothing' }

async function* lines(values: AsyncIterable<unknown>): AsyncGenerator<string> {
  for await (const value of values) yield `${JSON.stringify(value)}\n`
}

export const operations: readonly Operation[] = [
  operation('capacity', {
    method: 'GET',
    path: '/v1/capacity',
    summary: 'The slice that the owner gives, what of it is promised now, and the images',
    answer: api.capacity,
    run: ({ host }) => json(host.capacity())
  }),
  operation('images', {
    method: 'GET',
    path: '/v1/images',
    summary: 'The images that servers can run',
    answer: api.imageList,
    run: ({ host }) => json(host.images())
  }),
  operation('create', {
    method: 'POST',
    path: '/v1/servers',
    summary: 'Reserve a part of the slice; the same spec again is answered with the same server',
    body: api.serverSpec,
    answer: api.server,
    run: async ({ host, body }) => json(await host.create(body))
  }),
  operation('list', {
    method: 'GET',
    path: '/v1/servers',
    summary: 'All servers, ended ones included until they are destroyed',
    answer: api.serverList,
    run: ({ host }) => json(host.list())
  }),
  operation('inspect', {
    method: 'GET',
    path: '/v1/servers/{id}',
    summary: 'One server as it stands',
    answer: api.server,
    run: async ({ host, id }) => json(await host.inspect(id))
  }),
  operation('destroy', {
    method: 'DELETE',
    path: '/v1/servers/{id}',
    summary: 'Kill if alive, and remove everything; a no-op for an unknown id',
    answer: undefined,
    run: async ({ host, id }) => {
      await host.destroy(id)
      return NOTHING
    }
  }),
  operation('putFiles', {
    method: 'PUT',
    path: '/v1/servers/{id}/files',
    summary: 'Replace the input files by those of a tar; only before the server is started',
    bytes: { type: 'application/x-tar' },
    answer: undefined,
    run: async ({ host, id, bytes, signal }) => {
      await host.putFiles(id, bytes, signal)
      return NOTHING
    }
  }),
  operation('putKernel', {
    method: 'PUT',
    path: '/v1/servers/{id}/kernel',
    summary:
      'The kernel of a server that boots its own, which must have that digest; only before it is started',
    query: api.kernelQuery,
    bytes: { type: 'application/octet-stream' },
    answer: api.server,
    run: async ({ host, id, query, bytes, signal }) =>
      json(await host.putKernel(id, { digest: query.digest, bytes }, signal))
  }),
  operation('putRuleset', {
    method: 'PUT',
    path: '/v1/servers/{id}/ruleset',
    summary:
      'The compiled rules that its own kernel takes, which must be those that it was created with; only before it is ' +
      'started. `hasRuleset` of the server tells that they are there already',
    bytes: { type: 'application/octet-stream' },
    answer: api.server,
    run: async ({ host, id, bytes, signal }) => json(await host.putRuleset(id, bytes, signal))
  }),
  operation('files', {
    method: 'GET',
    path: '/v1/servers/{id}/files',
    summary:
      'The collected output directory as a tar, from byte `offset` on; only when the server has exited',
    query: api.filesQuery,
    answer: 'application/x-tar',
    run: ({ host, id, query }) => ({
      kind: 'stream',
      type: 'application/x-tar',
      chunks: host.files(id, query.offset)
    })
  }),
  operation('start', {
    method: 'POST',
    path: '/v1/servers/{id}/start',
    summary: 'Boot and run; a no-op when that has been done',
    answer: api.server,
    run: ({ host, id }) => json(host.start(id))
  }),
  operation('stop', {
    method: 'POST',
    path: '/v1/servers/{id}/stop',
    summary: 'TERM, after graceMs KILL; files are collected',
    body: api.stopRequest,
    answer: undefined,
    run: ({ host, id, body }) => {
      host.stop(id, body.graceMs)
      return NOTHING
    }
  }),
  operation('output', {
    method: 'GET',
    path: '/v1/servers/{id}/output',
    summary:
      'The spool from byte `offset` on: frames of u32 LE length, u8 stream (1 stdout, 2 stderr), data. With `follow` ' +
      'it ends when the server has ended',
    query: api.outputQuery,
    answer: 'application/octet-stream',
    run: ({ host, id, query, signal }) => ({
      kind: 'stream',
      type: 'application/octet-stream',
      chunks: host.output(id, query.offset, query.follow, signal)
    })
  }),
  operation('log', {
    method: 'GET',
    path: '/v1/servers/{id}/log',
    summary:
      'The sealed log from byte `offset` on, at most `length` bytes. `log` of the server tells which bytes are kept. With ' +
      '`follow` it ends when the server has ended',
    query: api.logQuery,
    answer: 'application/octet-stream',
    run: ({ host, id, query, signal }) => ({
      kind: 'stream',
      type: 'application/octet-stream',
      chunks: host.log(id, query, signal)
    })
  }),
  operation('stdin', {
    method: 'POST',
    path: '/v1/servers/{id}/stdin',
    summary:
      'Standard input at `offset`, bytes since the start; answered when it is taken, or after a while with how much was',
    query: api.stdinQuery,
    bytes: { type: 'application/octet-stream', bytesMax: STDIN_BYTES_MAX },
    answer: api.stdinAnswer,
    run: async ({ host, id, query, body, signal }) => {
      const piece = { offset: query.offset, data: body as unknown as Uint8Array, isLast: query.end }
      return json(await host.stdin(id, piece, signal))
    }
  }),
  operation('signal', {
    method: 'POST',
    path: '/v1/servers/{id}/signal',
    summary: "A signal by number to the program's process group",
    body: api.signalRequest,
    answer: undefined,
    run: async ({ host, id, body, signal }) => {
      await host.signal(id, body.signal, signal)
      return NOTHING
    }
  }),
  operation('resize', {
    method: 'POST',
    path: '/v1/servers/{id}/resize',
    summary: "Size of the program's terminal",
    body: api.terminalSize,
    answer: undefined,
    run: async ({ host, id, body, signal }) => {
      await host.resize(id, body, signal)
      return NOTHING
    }
  }),
  operation('setLimits', {
    method: 'PATCH',
    path: '/v1/servers/{id}/limits',
    summary:
      'Change what a living server may use, within what it was created with. Answered when memory that it gives up is free',
    body: api.limitsPatch,
    answer: api.server,
    run: async ({ host, id, body }) => json(await host.setLimits(id, body))
  }),
  operation('ports', {
    method: 'GET',
    path: '/v1/switch/ports',
    summary: 'Ports of the switch: address, rate, and what went through since the guest was started',
    answer: api.portList,
    run: async ({ host }) => json(await host.links.ports())
  }),
  operation('links', {
    method: 'GET',
    path: '/v1/switch/links',
    summary: 'Who may open connections to whom',
    answer: api.linkList,
    run: ({ host }) => json(host.links.list())
  }),
  operation('putLink', {
    method: 'PUT',
    path: '/v1/switch/links',
    summary: 'Let one server open connections to another on a port; the same again changes only when it ends',
    body: api.link,
    answer: api.link,
    run: async ({ host, body }) => json(await host.putLink(body))
  }),
  operation('removeLink', {
    method: 'DELETE',
    path: '/v1/switch/links',
    summary:
      'Take a link away; what runs over it is cut when this is answered. A no-op for one that is not there',
    query: api.linkQuery,
    answer: undefined,
    run: async ({ host, query }) => {
      await host.links.remove(query)
      return NOTHING
    }
  }),
  operation('outside', {
    method: 'GET',
    path: '/v1/switch/outside',
    summary:
      'The uplink, what each server may reach by it and where it is reached, and what was refused lately',
    answer: api.outsideState,
    run: async ({ host }) => json(await host.outside())
  }),
  operation('denials', {
    method: 'GET',
    path: '/v1/switch/denials',
    summary: 'What the switch has refused lately: per pair of servers, and per flow',
    answer: api.denialList,
    run: async ({ host }) => json(await host.links.denials())
  }),
  operation('exec', {
    method: 'POST',
    path: '/v1/servers/{id}/exec',
    summary:
      'Run another program beside the main one. Frames of u32 LE length, u8 kind, data: 0 name of the session, 1 ' +
      'stdout, 2 stderr, 3 how it ended, as JSON. It is killed when this request is given up',
    body: api.program,
    answer: 'application/octet-stream',
    run: ({ host, id, body, signal }) => ({
      kind: 'stream',
      type: 'application/octet-stream',
      chunks: host.exec(id, body, signal)
    })
  }),
  operation('execStdin', {
    method: 'POST',
    path: '/v1/servers/{id}/exec/stdin',
    summary:
      "A session's standard input; answered when there is room for it. One request at a time keeps the order",
    query: api.sessionStdinQuery,
    bytes: { type: 'application/octet-stream', bytesMax: STDIN_BYTES_MAX },
    answer: undefined,
    run: async ({ host, id, query, body, signal }) => {
      const piece = { data: body as unknown as Uint8Array, isLast: query.end }
      await host.execStdin(id, query.session, piece, signal)
      return NOTHING
    }
  }),
  operation('execSignal', {
    method: 'POST',
    path: '/v1/servers/{id}/exec/signal',
    summary: "A signal by number to a session's process group",
    query: api.sessionQuery,
    body: api.signalRequest,
    answer: undefined,
    run: async ({ host, id, query, body }) => {
      await host.execSignal(id, query.session, body.signal)
      return NOTHING
    }
  }),
  operation('execResize', {
    method: 'POST',
    path: '/v1/servers/{id}/exec/resize',
    summary: "Size of a session's terminal",
    query: api.sessionQuery,
    body: api.terminalSize,
    answer: undefined,
    run: async ({ host, id, query, body }) => {
      await host.execResize(id, query.session, body)
      return NOTHING
    }
  }),
  operation('freeze', {
    method: 'POST',
    path: '/v1/servers/{id}/freeze',
    summary:
      'Stop a server where it stands; it keeps its part of the slice, and its lease goes on. Answered when nothing of ' +
      'it runs any more',
    answer: api.server,
    run: async ({ host, id }) => json(await host.freeze(id))
  }),
  operation('thaw', {
    method: 'POST',
    path: '/v1/servers/{id}/thaw',
    summary: 'Let a frozen server go on, unless the owner needs the machine; a no-op for one that runs',
    answer: api.server,
    run: async ({ host, id }) => json(await host.thaw(id))
  }),
  operation('snapshots', {
    method: 'GET',
    path: '/v1/servers/{id}/snapshots',
    summary: "Copies of a server's writable layer, oldest first",
    answer: api.snapshotList,
    run: ({ host, id }) => json(host.snapshots(id))
  }),
  operation('takeSnapshot', {
    method: 'POST',
    path: '/v1/servers/{id}/snapshots',
    summary:
      "Copy a running server's writable layer, as a power cut would leave it; the server is frozen for the time of the " +
      "copy. All snapshots of a server may take as much as its disk quota, and are part of the owner's slice",
    body: api.snapshotRequest,
    answer: api.snapshot,
    run: async ({ host, id, body }) => json(await host.takeSnapshot(id, body.name))
  }),
  operation('removeSnapshot', {
    method: 'DELETE',
    path: '/v1/servers/{id}/snapshots',
    summary: 'Remove a snapshot; a no-op for one that is not there',
    query: api.snapshotQuery,
    answer: undefined,
    run: async ({ host, id, query }) => {
      await host.removeSnapshot(id, query.name)
      return NOTHING
    }
  }),
  operation('restore', {
    method: 'POST',
    path: '/v1/servers/{id}/restore',
    summary:
      "Start a server's program again in a new guest with the disk that a snapshot holds; what runs is killed. One that " +
      'has ended gets its part of the slice again, if there is room and its lease goes on',
    body: api.snapshotRequest,
    answer: api.server,
    run: async ({ host, id, body }) => json(await host.restore(id, body.name))
  }),
  operation('dump', {
    method: 'GET',
    path: '/v1/servers/{id}/dump',
    summary:
      "Disk and memory of a running server, which stands still meanwhile: a tar, encrypted by age to its tenant's keys",
    answer: 'application/octet-stream',
    run: async ({ host, id, signal }) => ({
      kind: 'stream',
      type: 'application/octet-stream',
      chunks: await host.dump(id, signal)
    })
  }),
  operation('reclaim', {
    method: 'PUT',
    path: '/v1/reclaim',
    summary:
      'The owner needs the machine: servers whose tenants agreed are frozen or, with `cpu` or `memoryBytes`, share so ' +
      'much of it; nothing new is taken. Stays over restarts',
    body: api.reclaimRequest,
    answer: api.capacity,
    run: async ({ host, body }) => json(await host.setReclaim(body))
  }),
  operation('return', {
    method: 'DELETE',
    path: '/v1/reclaim',
    summary: 'The machine is given again: what was frozen or shrunk for its owner goes on',
    answer: api.capacity,
    run: async ({ host }) => json(await host.setReclaim(undefined))
  }),
  operation('extend', {
    method: 'PATCH',
    path: '/v1/servers/{id}/lease',
    summary:
      'The lease of a server that has not ended goes on for longer, and so does the time that its results are kept',
    body: api.leaseRequest,
    answer: api.server,
    run: ({ host, id, body }) => json(host.extend(id, body))
  }),
  operation('restart', {
    method: 'POST',
    path: '/v1/servers/{id}/restart',
    summary:
      'Start the program again in a new guest, with the files that it has: TERM, after `graceMs` KILL. One that waits to ' +
      'be started again is started at once',
    body: api.stopRequest,
    answer: api.server,
    run: ({ host, id, body }) => json(host.restart(id, body.graceMs))
  }),
  operation('wait', {
    method: 'GET',
    path: '/v1/servers/{id}/wait',
    summary:
      'Answered when the server has ended, with `notice` also when it has a notice of a higher number, or after a while ' +
      'with how it stands: ask again then',
    query: api.waitQuery,
    answer: api.server,
    run: async ({ host, id, query, signal }) => json(await host.wait(id, query.notice, signal))
  }),
  operation('events', {
    method: 'GET',
    path: '/v1/events',
    summary:
      'One JSON object per line, numbered; those after number `after`. A jump in the numbers means that older ones ' +
      'are no longer kept',
    query: api.eventsQuery,
    answer: 'application/x-ndjson',
    run: ({ host, query, signal }) => ({
      kind: 'stream',
      type: 'application/x-ndjson',
      chunks: lines(host.events(query.after, query.follow, signal))
    })
  })
]
