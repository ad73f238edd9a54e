/** What is written down about a server, and what of it is told. */
import { z } from 'zod'
import {
  digest,
  frozenBy,
  limits,
  programExit,
  publishedPort,
  reason,
  serverSpec,
  serverState,
  usage,
  type Limits,
  type Server,
  type ServerSpec
} from './api.ts'

/** JSON in the state table. A field that is added later needs a default, so that old records still read. */
export const serverRecord = z.strictObject({
  spec: serverSpec,
  imageDigest: digest,
  /** Of its own kernel, once that is there. */
  kernelDigest: digest.exactOptional(),
  /** Unique among servers whose guest may live. */
  slot: z.int().min(0),
  /** Where its inbound ports are found, while its guest may live. */
  published: z.array(publishedPort).default([]),
  state: serverState,
  createdAtMs: z.number(),
  startedAtMs: z.number().exactOptional(),
  endedAtMs: z.number().exactOptional(),
  hostCpu: z.int().exactOptional(),
  /** What is granted since the limits were changed; before that, those of the spec. */
  limits: limits.exactOptional(),
  /** Who wants it frozen. */
  frozenBy: frozenBy.default([]),
  /** A cap on top of its limits, while the owner needs the machine. */
  reclaimCpuMax: z.number().exactOptional(),
  /** The launcher's own words, by which another daemon finds the guest again. */
  process: z
    .strictObject({ pid: z.int(), startTime: z.string(), cgroups: z.array(z.string()) })
    .exactOptional(),
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
  usage,
  /** Set first when a server is destroyed: whoever finds it so finishes the work. */
  isDoomed: z.boolean()
})
export type ServerRecord = z.infer<typeof serverRecord>

export function newRecord(
  spec: ServerSpec,
  imageDigest: string,
  { slot, published }: Pick<ServerRecord, 'slot' | 'published'>
): ServerRecord {
  return {
    spec,
    imageDigest,
    slot,
    published,
    state: 'created',
    createdAtMs: Date.now(),
    frozenBy: [],
    outputSeenBytes: 0,
    outputKeptBytes: 0,
    stdin: { takenBytes: 0, ended: false },
    usage: { cpuSeconds: 0, memoryPeakBytes: 0 },
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

/** The same, less what the owner takes back for a time. */
export function presentLimits(record: ServerRecord): Limits {
  const granted = grantedLimits(record)
  if (record.reclaimCpuMax === undefined) return granted
  return { ...granted, cpuMax: Math.min(granted.cpuMax ?? Infinity, record.reclaimCpuMax) }
}

/**
 * Only a program that runs is frozen: what comes before is short and bounded, and what comes after (the end of the
 * program before its time, its results) needs the guest.
 */
export function isToBeFrozen({ frozenBy: by, state, cut }: ServerRecord): boolean {
  return by.length > 0 && state === 'running' && cut === undefined
}

/** The part of a record that clients see. */
export function describe(record: ServerRecord): Server {
  const { spec, state, createdAtMs, startedAtMs, endedAtMs, exit, filesBytes } = record
  return {
    id: spec.id,
    owner: spec.owner,
    state,
    limits: grantedLimits(record),
    image: spec.image,
    ...(record.kernelDigest !== undefined && { kernel: record.kernelDigest }),
    program: spec.program,
    ...(spec.egress !== undefined && { egress: spec.egress }),
    ...(record.published.length > 0 && !isEnded(record) && { published: record.published }),
    createdAtMs,
    ...(startedAtMs !== undefined && { startedAtMs }),
    ...(endedAtMs !== undefined && { endedAtMs }),
    expiresAtMs: spec.expiresAtMs,
    keepUntilMs: spec.keepUntilMs,
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
    usage: record.usage
  }
}
