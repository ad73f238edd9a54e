/**
 * What goes over the daemon's socket, as schemas: the only place where its shapes are written. The OpenAPI
 * document, the checks at the border and the client's types all come from here.
 *
 * The shapes are those of `RunHost` in iRun, which knows this API by its own words; a compliance test holds the
 * two together.
 */
import { z } from 'zod'
import { ARGUMENTS_MAX, ENVIRONMENT_MAX } from '../../src/constants.ts'
import { restart, rulesetBytes, stamped, warning } from '../../src/documents/fields.ts'
import { accessRules } from '../../src/rules/index.ts'
import { GRACE_MS_MAX } from './limits.ts'
import { LINK_PROTOCOLS } from '../switch/types.ts'

const bytes = z
  .int()
  .min(0)
  .max(2 ** 50)
const timeMs = z.int().min(0).max(253_402_300_799_999)
// The guest's interface is C: a NUL would end the text there and nowhere else.
const withoutNul = z.string().regex(/^[^\0]*$/, 'must not hold a NUL')

/** 16..64 characters: it names a directory, a cgroup, and a part of a socket's path. */
export const serverId = z.string().regex(/^[a-z0-9][a-z0-9-]{15,63}$/)
export const digest = z.string().regex(/^sha256:[0-9a-f]{64}$/)
const imageName = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,63}$/)

export const limits = z.strictObject({
  cpu: z.number().min(0.05).max(64),
  /** A hard cap; without it a server may use what others leave idle. */
  cpuMax: z.number().min(0.01).max(64).exactOptional(),
  memoryBytes: bytes.min(32 * 2 ** 20),
  diskBytes: bytes.min(16 * 2 ** 20),
  processesMax: z.int().min(8).max(65_536),
  outputBytesMax: bytes,
  /** Bits per second to the outside that are guaranteed; absent: none, or all where the slice has no rate. */
  outboundBitsPerSecond: z.number().min(0).max(1e12).exactOptional(),
  /** At most, when others leave theirs; absent: all of the slice, or what is guaranteed where it has no rate. */
  outboundMaxBitsPerSecond: z.number().min(0).max(1e12).exactOptional()
})

/** What of a living server's limits may be changed, within what it was created with. `cpuMax` null: no cap. */
export const limitsPatch = z.strictObject({
  cpu: limits.shape.cpu.exactOptional(),
  cpuMax: limits.shape.cpuMax.unwrap().nullable().exactOptional(),
  memoryBytes: limits.shape.memoryBytes.exactOptional(),
  outboundBitsPerSecond: limits.shape.outboundBitsPerSecond.unwrap().exactOptional(),
  outboundMaxBitsPerSecond: limits.shape.outboundMaxBitsPerSecond.unwrap().exactOptional()
})

export const terminalSize = z.strictObject({
  columns: z.int().min(1).max(10_000),
  rows: z.int().min(1).max(10_000)
})

export const program = z.strictObject({
  argv: z.array(withoutNul.max(131_071)).min(1).max(ARGUMENTS_MAX),
  env: z
    .record(z.string().regex(/^[^=\0]{1,256}$/), withoutNul.max(131_071))
    .refine((env) => Object.keys(env).length <= ENVIRONMENT_MAX, `at most ${ENVIRONMENT_MAX} variables`),
  terminal: terminalSize.exactOptional()
})

/** Compiled rules, by the digest that docs/formats/ruleset.md gives them. */
export const ruleset = z.strictObject({ digest, sizeBytes: rulesetBytes })

export const egress = accessRules.shape.egress
const portNumber = z.int().min(1).max(65_535)

/** A TCP port of a server, and where it is found from outside. */
export const publishedPort = z.strictObject({
  port: portNumber,
  publishedAddress: z.ipv4(),
  publishedPort: portNumber
})

export const serverSpec = z
  .strictObject({
    id: serverId,
    owner: z.string().max(256),
    limits,
    image: z.union([digest, imageName]),
    /** It boots a kernel of its own, which is put before it is started. */
    hasOwnKernel: z.literal(true).exactOptional(),
    /** Detection rules that its own kernel takes; put before it is started, unless they are there already. */
    ruleset: ruleset.exactOptional(),
    program,
    /** Absent: never. */
    restart: restart.exactOptional(),
    /** Absent: a notice some time before the lease ends, and no signal. */
    warning: warning.exactOptional(),
    /** What it may reach outside; absent: nothing. */
    egress: egress.exactOptional(),
    /** TCP ports at which it may be reached from outside, where the owner publishes ports. */
    inboundPorts: z.array(portNumber).max(256).exactOptional(),
    expiresAtMs: timeMs,
    keepUntilMs: timeMs,
    /** The tenant has agreed that the owner may freeze it, or take CPU from it, when they need the machine. */
    mayFreeze: z.boolean().exactOptional(),
    /** X25519 public keys, base64url: who may open a dump of it. Absent: none is made. */
    dumpKeys: stamped.logKeys.exactOptional()
  })
  .refine(({ expiresAtMs, keepUntilMs }) => keepUntilMs >= expiresAtMs, 'keepUntilMs is before expiresAtMs')
  .refine(
    ({ ruleset, hasOwnKernel }) => ruleset === undefined || hasOwnKernel === true,
    'rules are for a kernel of its own'
  )

/** Who wants a server frozen: somebody who asked for this one, the owner who needs the machine. */
export const frozenBy = z.array(z.enum(['request', 'reclaim']))

export const serverState = z.enum([
  'created',
  'booting',
  'running',
  'restarting',
  'collecting',
  'exited',
  'failed'
])

export const programExit = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('status'), status: z.int().min(0).max(255) }),
  z.strictObject({ kind: z.literal('signal'), signal: z.int().min(1).max(64) })
])

export const reason = z.strictObject({ code: z.string(), message: z.string() })

/** How often a server was started again, and why the last time. */
export const restarts = z.strictObject({
  count: z.int().min(1),
  /** When the next time is due; in `restarting` only. */
  dueAtMs: timeMs.exactOptional(),
  last: z.strictObject({ atMs: timeMs, reason })
})

/** Something that the tenant should hear of, numbered by server. */
export const notice = z.strictObject({
  sequence: z.int().min(1),
  atMs: timeMs,
  code: z.string(),
  /** The code of the reason that is behind it. */
  cause: z.string().exactOptional(),
  message: z.string()
})

export const usage = z.strictObject({ cpuSeconds: z.number().min(0), memoryPeakBytes: z.number().min(0) })

/** The last frame of a sealed log, and the head of its chain behind that: `boot:frame:head` is an anchor. */
export const logHead = z.strictObject({
  boot: z.int().min(0),
  frame: z.int().min(0),
  head: z.string().regex(/^[0-9a-f]{64}$/)
})

export const server = z.strictObject({
  id: serverId,
  owner: z.string(),
  state: serverState,
  limits,
  image: z.string(),
  /** Digest of its own kernel, once that was put. */
  kernel: digest.exactOptional(),
  /** As asked for. */
  ruleset: ruleset.exactOptional(),
  /** They are on this machine; absent: they are not, or none were asked for. */
  hasRuleset: z.literal(true).exactOptional(),
  program,
  restart: restart.exactOptional(),
  restarts: restarts.exactOptional(),
  /** The last ones. */
  notices: z.array(notice),
  egress: egress.exactOptional(),
  published: z.array(publishedPort).exactOptional(),
  createdAtMs: timeMs,
  startedAtMs: timeMs.exactOptional(),
  endedAtMs: timeMs.exactOptional(),
  expiresAtMs: timeMs,
  keepUntilMs: timeMs,
  /** The CPU of the host that it is on now. */
  hostCpu: z.int().min(0).exactOptional(),
  /** Absent while it may run. */
  frozenBy: frozenBy.exactOptional(),
  exit: programExit.exactOptional(),
  reason: reason.exactOptional(),
  output: z.strictObject({ bytes: z.int().min(0), discardedBytes: z.int().min(0) }),
  stdin: z.strictObject({ takenBytes: z.int().min(0), ended: z.boolean() }),
  files: z.strictObject({ bytes: z.int().min(0) }).exactOptional(),
  /** What is kept of its sealed log: offsets of the oldest byte, and behind the newest. Absent while it is empty. */
  log: z
    .strictObject({ start: z.int().min(0), end: z.int().min(0), head: logHead.exactOptional() })
    .exactOptional(),
  usage
})

/** It names a file. */
export const snapshotName = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,63}$/)

/** A copy of a server's writable layer. `bytes`: what it takes on the host's disk. */
export const snapshot = z.strictObject({ name: snapshotName, createdAtMs: timeMs, bytes: z.int().min(0) })
export const snapshotList = z.array(snapshot)
export const snapshotRequest = z.strictObject({ name: snapshotName })
export const snapshotQuery = z.strictObject({ name: snapshotName })

const amounts = z.strictObject({
  cpu: z.number().min(0),
  memoryBytes: z.number().min(0),
  diskBytes: z.number().min(0),
  servers: z.int().min(0),
  /** To the outside; absent where the owner did not say how much there is. */
  outboundBitsPerSecond: z.number().min(0).exactOptional()
})

export const image = z.strictObject({ name: imageName, digest, sizeBytes: z.int().min(0) })

/** The owner needs the machine: servers that allow it are frozen, or share so much of it among all of them. */
export const reclaimRequest = z.strictObject({
  cpu: z.number().min(0.01).max(1024).exactOptional(),
  memoryBytes: bytes.exactOptional()
})

export const capacity = z.strictObject({
  architecture: z.literal('x86_64'),
  total: amounts,
  used: amounts,
  images: z.array(image),
  /** Present while the owner needs the machine. */
  reclaim: reclaimRequest.exactOptional()
})

export const eventKind = z.enum([
  'created',
  'booting',
  'running',
  'restarting',
  'resized',
  'noticed',
  'frozen',
  'thawed',
  'exited',
  'failed',
  'destroyed'
])

export const hostEvent = z.strictObject({
  sequence: z.int().min(1),
  atMs: timeMs,
  id: serverId,
  kind: eventKind
})

const linkProtocol = z.enum(LINK_PROTOCOLS)

/**
 * Begins with a letter and has no dot: so it is no address, however one is written, and hides no name of the Internet.
 */
export const linkName = z
  .string()
  .regex(/^[a-z](?:[a-z0-9_-]{0,61}[a-z0-9])?$/)
  .refine((name) => name !== 'localhost', 'localhost is the server itself')

/** `from` may open connections to `to` on one port. The four together name it. */
export const link = z
  .strictObject({
    from: serverId,
    to: serverId,
    protocol: linkProtocol,
    port: z.int().min(1).max(65_535),
    untilMs: timeMs.exactOptional(),
    /** What programs of `from` call `to`; nobody else learns it. */
    name: linkName.exactOptional()
  })
  .refine(({ from, to }) => from !== to, 'a server needs no link to itself')
export const linkList = z.array(link)

const count = z.int().min(0)
export const port = z.strictObject({
  id: serverId,
  slot: count,
  ipv4: z.ipv4(),
  mac: z.string(),
  outboundBitsPerSecond: z.number().min(0),
  outboundMaxBitsPerSecond: z.number().min(0),
  sentBytes: count,
  sentPackets: count,
  receivedBytes: count,
  receivedPackets: count
})
export const portList = z.array(port)

/** Server ids, or addresses that no server has. Without a protocol: all that was refused between the two. */
export const denial = z.strictObject({
  from: z.string(),
  to: z.string(),
  protocol: z.string().exactOptional(),
  port: z.int().min(1).max(65_535).exactOptional(),
  packets: count,
  bytes: count
})
export const denialList = z.array(denial)

export const errorBody = z.strictObject({ code: z.string(), message: z.string(), requestId: z.string() })

export const signalRequest = z.strictObject({ signal: z.int().min(1).max(64) })
export const stopRequest = z.strictObject({ graceMs: z.int().min(0).max(GRACE_MS_MAX).exactOptional() })
/** The lease of a server goes on: `keepUntilMs` moves along if it is not given. */
export const leaseRequest = z.strictObject({ expiresAtMs: timeMs, keepUntilMs: timeMs.exactOptional() })
/** Up to where input was taken, and whether the program knows that there is no more. */
export const stdinAnswer = z.strictObject({ offset: z.int().min(0), ended: z.boolean() })
export const serverList = z.array(server)
export const imageList = z.array(image)

/** A whole number in a query. */
const whole = z
  .string()
  .regex(/^\d{1,15}$/, 'must be a whole number')
  .transform(Number)
const flag = z.enum(['true', 'false']).transform((text) => text === 'true')

export const kernelQuery = z.strictObject({ digest })
export const filesQuery = z.strictObject({ offset: whole.default(0) })
export const outputQuery = z.strictObject({ offset: whole.default(0), follow: flag.default(false) })
export const logQuery = z.strictObject({
  offset: whole.default(0),
  length: whole.exactOptional(),
  follow: flag.default(false)
})
export const stdinQuery = z.strictObject({ offset: whole, end: flag.default(false) })
const egressDenial = z.strictObject({
  /** Server id, or the address that one had. */
  from: z.string(),
  reason: z.enum(['forbidden', 'not-granted', 'rate', 'connections', 'no-connection']),
  packets: count,
  /** Absent where all that was refused for that reason is counted. */
  flow: z.strictObject({ to: z.string(), protocol: z.string(), port: z.int() }).exactOptional()
})

/** What servers have outside, and what of it they were refused. */
export const outsideState = z.strictObject({
  uplink: z.enum(['none', 'nat', 'dedicated', 'pasta']),
  servers: z.array(z.strictObject({ id: serverId, egress, published: z.array(publishedPort) })),
  denials: z.array(egressDenial)
})

export const linkQuery = z.strictObject({
  from: serverId,
  to: serverId,
  protocol: linkProtocol,
  port: whole.pipe(z.number().min(1).max(65_535))
})
/** Also answered when there is a notice of a higher number. */
export const waitQuery = z.strictObject({ notice: whole.exactOptional() })
export const eventsQuery = z.strictObject({ after: whole.default(0), follow: flag.default(false) })

/** The session that a request is about; names are given by `exec`. */
const sessionName = z.string().regex(/^[0-9a-f-]{36}$/)
export const sessionQuery = z.strictObject({ session: sessionName })
export const sessionStdinQuery = z.strictObject({ session: sessionName, end: flag.default(false) })

export type ServerSpec = z.infer<typeof serverSpec>
export type Ruleset = z.infer<typeof ruleset>
export type ServerState = z.infer<typeof serverState>
export type Limits = z.infer<typeof limits>
export type LimitsPatch = z.infer<typeof limitsPatch>
export type Program = z.infer<typeof program>
export type Server = z.infer<typeof server>
export type Snapshot = z.infer<typeof snapshot>
export type ReclaimRequest = z.infer<typeof reclaimRequest>
export type Capacity = z.infer<typeof capacity>
export type Image = z.infer<typeof image>
export type EventKind = z.infer<typeof eventKind>
export type HostEvent = z.infer<typeof hostEvent>
export type StdinAnswer = z.infer<typeof stdinAnswer>
export type Link = z.infer<typeof link>
export type PortState = z.infer<typeof port>
export type OutsideState = z.infer<typeof outsideState>
export type Denial = z.infer<typeof denial>
export type Notice = z.infer<typeof notice>
export type LeaseRequest = z.infer<typeof leaseRequest>
export type Reason = z.infer<typeof reason>
