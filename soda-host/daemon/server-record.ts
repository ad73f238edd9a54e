/** What is written down about a server, and what of it is told. */
import { z } from 'zod'
import { NEW_COLLECTOR } from '../logs/index.ts'
import {
  digest,
  frozenBy,
  leaseRequest,
  limits,
  notice,
  logHead,
  programExit,
  publishedPort,
  reason,
  serverSpec,
  serverState,
  snapshot,
  usage,
  type Limits,
  type Notice,
  type Reason,
  type Ruleset,
  type Server,
  type ServerSpec
} from './api.ts'
import { NOTICES_KEPT } from './limits.ts'

/** JSON in the state table. A field that is added later needs a default, so that old records still read. */
export const serverRecord = z.strictObject({
  spec: serverSpec,
  imageDigest: digest,
  /** Of its own kernel, once that is there. */
  kernelDigest: digest.exactOptional(),
  /** The rules that it takes are on this machine. */
  hasRuleset: z.literal(true).exactOptional(),
  /** Unique among servers whose guest may live. */
  slot: z.int().min(0),
  /** Where its inbound ports are found, while its guest may live. */
  published: z.array(publishedPort).default([]),
  state: serverState,
  createdAtMs: z.number(),
  startedAtMs: z.number().exactOptional(),
  endedAtMs: z.number().exactOptional(),
  /** Of the program that runs now, or ran last. */
  lifeStartedAtMs: z.number().exactOptional(),
  hostCpu: z.int().exactOptional(),
  /** What is granted since the limits were changed; before that, those of the spec. */
  limits: limits.exactOptional(),
  /** Who wants it frozen. */
  frozenBy: frozenBy.default([]),
  /** A cap on top of its limits, while the owner needs the machine. */
  reclaimCpuMax: z.number().exactOptional(),
  /** The same of memory. */
  reclaimMemoryMaxBytes: z.number().exactOptional(),
  /** The launcher's own words, by which another daemon finds the guest again. */
  process: z
    .strictObject({ pid: z.int(), startTime: z.string(), cgroups: z.array(z.string()) })
    .exactOptional(),
  /** The boot of the host that `process` belongs to. */
  hostBoot: z.string().exactOptional(),
  /** Number of the next guest among those that have the writable layer; 0: it gets a fresh one. */
  boots: z.int().min(0).default(0),
  /** What the guests before this one had put out, taken in and used: each counts from 0. */
  base: z
    .strictObject({ outputBytes: z.int().min(0), stdinBytes: z.int().min(0), cpuSeconds: z.number().min(0) })
    .default({ outputBytes: 0, stdinBytes: 0, cpuSeconds: 0 }),
  restarts: z
    .strictObject({
      count: z.int().min(1),
      /** Of `count`, those since somebody last asked for one: what the maximum of the policy is about. */
      failures: z.int().min(0),
      /** Of `failures`, those in a row that came soon after a start. */
      streak: z.int().min(0),
      dueAtMs: z.number(),
      last: z.strictObject({ atMs: z.number(), reason })
    })
    .exactOptional(),
  /** What the lease was extended to. */
  lease: leaseRequest.required().exactOptional(),
  /** The end of the lease that the tenant was warned of. */
  warnedOfMs: z.number().exactOptional(),
  notices: z.array(notice).default([]),
  /** Somebody wants it started again: TERM was sent, and when KILL is due. */
  again: z.strictObject({ killAtMs: z.number() }).exactOptional(),
  /** Why the program is being ended before its time, and when TERM becomes KILL. */
  cut: z.strictObject({ reason, killAtMs: z.number() }).exactOptional(),
  exit: programExit.exactOptional(),
  reason: reason.exactOptional(),
  /** Bytes that the program wrote, as far as they are not in the spool: more than it holds if some were discarded. */
  outputSeenBytes: z.int().min(0),
  outputKeptBytes: z.int().min(0),
  /** Why output was discarded, if not for its limit. */
  outputTrouble: reason.exactOptional(),
  stdin: z.strictObject({ takenBytes: z.int().min(0), ended: z.boolean() }),
  filesBytes: z.int().min(0).exactOptional(),
  /** How far the spool of its sealed log was taken. */
  log: z
    .strictObject({
      file: z.literal([0, 1]),
      fileStart: z.int().min(0),
      at: z.int().min(0),
      head: logHead.exactOptional()
    })
    .default(NEW_COLLECTOR),
  /** Offsets of what is kept of it. */
  logRange: z.strictObject({ start: z.int().min(0), end: z.int().min(0) }).default({ start: 0, end: 0 }),
  usage,
  /** The snapshot that its next guest begins with. */
  layer: snapshot.shape.name.exactOptional(),
  /** Copies of its writable layer. One that is not whole is being made, or was when a daemon died. */
  snapshots: z.array(snapshot.extend({ isWhole: z.boolean() })).default([]),
  /** What the present guest, or the last one, came up against. */
  limitsReached: z.array(z.enum(['memory', 'disk', 'files', 'processes', 'output'])).default([]),
  /** Set first when a server is destroyed: whoever finds it so finishes the work. */
  isDoomed: z.boolean()
})
export type ServerRecord = z.infer<typeof serverRecord>

export function newRecord(
  spec: ServerSpec,
  imageDigest: string,
  { slot, published, hasRuleset }: Pick<ServerRecord, 'slot' | 'published' | 'hasRuleset'>
): ServerRecord {
  return {
    spec,
    imageDigest,
    slot,
    published,
    ...(hasRuleset && { hasRuleset }),
    state: 'created',
    createdAtMs: Date.now(),
    notices: [],
    limitsReached: [],
    boots: 0,
    base: { outputBytes: 0, stdinBytes: 0, cpuSeconds: 0 },
    frozenBy: [],
    outputSeenBytes: 0,
    outputKeptBytes: 0,
    stdin: { takenBytes: 0, ended: false },
    log: NEW_COLLECTOR,
    logRange: { start: 0, end: 0 },
    usage: { cpuSeconds: 0, memoryPeakBytes: 0 },
    snapshots: [],
    isDoomed: false
  }
}

export function isEnded({ state }: Pick<ServerRecord, 'state'>): boolean {
  return state === 'exited' || state === 'failed'
}

/** What the server may use now. */
export function grantedLimits({ limits: changed, spec }: ServerRecord): Limits {
  return changed ?? spec.limits
}

/** Until when it may run, and its results are kept. */
export function leaseOf({ lease, spec }: Pick<ServerRecord, 'lease' | 'spec'>): {
  expiresAtMs: number
  keepUntilMs: number
} {
  return lease ?? spec
}

/** With one notice more, and no more than are kept. */
export function noticed(
  { notices }: Pick<ServerRecord, 'notices'>,
  { code, message, cause }: Reason & Pick<Notice, 'cause'>
): Pick<ServerRecord, 'notices'> {
  const sequence = (notices.at(-1)?.sequence ?? 0) + 1
  return {
    notices: [
      ...notices,
      { sequence, atMs: Date.now(), code, ...(cause !== undefined && { cause }), message }
    ].slice(-NOTICES_KEPT)
  }
}

/** The same, less what the owner takes back for a time. */
export function presentLimits(record: ServerRecord): Limits {
  const granted = grantedLimits(record)
  const { reclaimCpuMax = Infinity, reclaimMemoryMaxBytes = Infinity } = record
  const cpuMax = Math.min(granted.cpuMax ?? Infinity, reclaimCpuMax)
  return {
    ...granted,
    ...(cpuMax < Infinity && { cpuMax }),
    memoryBytes: Math.min(granted.memoryBytes, reclaimMemoryMaxBytes)
  }
}

/**
 * Only a program that runs is frozen: what comes before is short and bounded, and what comes after (the end of the
 * program before its time, its results) needs the guest.
 */
export function isToBeFrozen({ frozenBy: by, state, cut, again }: ServerRecord): boolean {
  return by.length > 0 && state === 'running' && cut === undefined && again === undefined
}

/** One that has ended, as it is when it starts again with the disk of a snapshot. */
export function revived(
  record: ServerRecord,
  layer: string,
  place: Pick<ServerRecord, 'slot' | 'published'>
): ServerRecord {
  const { endedAtMs: _end, exit: _exit, reason: _reason, cut: _cut, again: _again, ...rest } = record
  const { filesBytes: _files, process: _process, lifeStartedAtMs: _life, ...kept } = rest
  const base = baseOf(record)
  return { ...kept, ...place, layer, base, state: 'booting', boots: Math.max(1, record.boots) }
}

/** What the guests so far had put out, taken in and used. */
export function baseOf({ outputSeenBytes, stdin, usage: used }: ServerRecord): ServerRecord['base'] {
  return { outputBytes: outputSeenBytes, stdinBytes: stdin.takenBytes, cpuSeconds: used.cpuSeconds }
}

/** Its writable layer, output and input are such that another guest can go on after a sudden end. */
export function isRestartable({ spec: { restart } }: Pick<ServerRecord, 'spec'>): boolean {
  return (restart?.policy ?? 'never') !== 'never'
}

function tellRestarts(
  { count, last, dueAtMs }: NonNullable<ServerRecord['restarts']>,
  state: Server['state']
): NonNullable<Server['restarts']> {
  return { count, last, ...(state === 'restarting' && { dueAtMs }) }
}

/** What its snapshots take of the host's disk. */
export function snapshotBytes({ snapshots }: Pick<ServerRecord, 'snapshots'>): number {
  return snapshots.reduce((sum, { bytes }) => sum + bytes, 0)
}

/** The rules that its kernel takes, while it may boot again. */
export function rulesetInUse({ spec, ...record }: ServerRecord): Ruleset[] {
  if (spec.ruleset === undefined || (isEnded(record) && record.snapshots.length === 0)) return []
  return [spec.ruleset]
}

/** The part of a record that clients see. */
export function describe(record: ServerRecord): Server {
  const { spec, state, createdAtMs, startedAtMs, endedAtMs, exit, filesBytes } = record
  const { expiresAtMs, keepUntilMs } = leaseOf(record)
  return {
    id: spec.id,
    owner: spec.owner,
    state,
    limits: grantedLimits(record),
    image: spec.image,
    ...(record.kernelDigest !== undefined && { kernel: record.kernelDigest }),
    ...(spec.ruleset !== undefined && { ruleset: spec.ruleset }),
    ...(record.hasRuleset && { hasRuleset: record.hasRuleset }),
    program: spec.program,
    ...(spec.restart !== undefined && { restart: spec.restart }),
    ...(record.restarts !== undefined && { restarts: tellRestarts(record.restarts, state) }),
    notices: record.notices,
    ...(spec.egress !== undefined && { egress: spec.egress }),
    ...(record.published.length > 0 && !isEnded(record) && { published: record.published }),
    createdAtMs,
    ...(startedAtMs !== undefined && { startedAtMs }),
    ...(endedAtMs !== undefined && { endedAtMs }),
    expiresAtMs,
    keepUntilMs,
    ...(record.frozenBy.length > 0 && !isEnded(record) && { frozenBy: record.frozenBy }),
    ...(record.hostCpu !== undefined && { hostCpu: record.hostCpu }),
    ...(exit !== undefined && { exit }),
    ...(record.reason !== undefined && { reason: record.reason }),
    output: {
      bytes: record.outputKeptBytes,
      discardedBytes: Math.max(0, record.outputSeenBytes - record.outputKeptBytes)
    },
    stdin: record.stdin,
    ...(filesBytes !== undefined && { files: { bytes: filesBytes } }),
    ...(record.logRange.end > 0 && {
      log: { ...record.logRange, ...(record.log.head !== undefined && { head: record.log.head }) }
    }),
    usage: record.usage
  }
}
