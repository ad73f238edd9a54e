/**
 * What the two sides say to each other on PROTOCOL_RUN, and in what shape.
 *
 * The first message of a stream says what it is for: `submit` and `attach` open a session on one run; `stop`,
 * `status` and `list` are answered once. Bulk data travels in data frames with offsets, one channel each way
 * and purpose; the receiver confirms with `taken` how far it has come, and the sender never runs ahead of that
 * by more than the channel's window.
 */
import { z } from 'zod'
import { runId } from '../src/documents/fields.ts'
import { ARGUMENTS_MAX, DOCUMENT_BYTES_MAX, ENVIRONMENT_MAX, KIB } from '../src/constants.ts'
import { LISTED_RUNS_MAX, NOTICES_MAX, REASONS_MAX, REASON_LENGTH_MAX } from './limits.ts'
import { RUN_STATES } from './state-machine.ts'

/** Channels of data frames. */
export const CHANNEL_STAGING = 0
export const CHANNEL_STDIN = 1
export const CHANNEL_OUTPUT = 2
export const CHANNEL_FILES = 3
export const CHANNEL_RULESET = 4

const token = z.string().min(1).max(DOCUMENT_BYTES_MAX)
const requestId = z.string().regex(/^[A-Za-z0-9_-]{1,32}$/)
export const code = z.string().regex(/^ERR_[A-Z_]{1,60}$/)
export const offset = z.int().min(0).max(Number.MAX_SAFE_INTEGER)
const channel = z.int().min(CHANNEL_STAGING).max(CHANNEL_RULESET)
export const terminalSize = z.strictObject({
  columns: z.int().min(1).max(10_000),
  rows: z.int().min(1).max(10_000)
})
const argument = z
  .string()
  .max(32 * KIB)
  .refine((text) => !text.includes('\0'), 'NUL')
const variable = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/)
  .refine((name) => name !== '__proto__', 'reserved')

export const program = z.strictObject({
  argv: z.array(argument).min(1).max(ARGUMENTS_MAX),
  env: z
    .record(variable, argument)
    .refine((env) => Object.keys(env).length <= ENVIRONMENT_MAX, 'too many variables'),
  terminal: terminalSize.optional()
})

const endedByStatus = z.strictObject({ kind: z.literal('status'), status: z.int().min(0).max(255) })
const endedBySignal = z.strictObject({ kind: z.literal('signal'), signal: z.int().min(1).max(64) })
export const outcomeOfProgram = z.discriminatedUnion('kind', [endedByStatus, endedBySignal])
const outcome = z.discriminatedUnion('kind', [
  endedByStatus,
  endedBySignal,
  z.strictObject({ kind: z.literal('failed'), code: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/) })
])

/** Something that happened to a run on its machine. Codes only: words of a stranger are not shown. */
const noticeCode = z.string().regex(/^[A-Za-z][A-Za-z_-]{0,63}$/)
const notice = z.strictObject({
  sequence: z
    .int()
    .min(1)
    .max(2 ** 31),
  atMs: z.int().min(0).max(253_402_300_799_999),
  code: noticeCode,
  /** Why. */
  cause: noticeCode.exactOptional()
})
export type RunNotice = z.infer<typeof notice>

/** How a run stands at the provider. */
const runStatus = z.strictObject({
  runId,
  state: z.enum(RUN_STATES),
  /** Standard input that the program's machine has taken; in the answers to `submit` and `attach`. */
  stdin: z.strictObject({ takenBytes: offset, ended: z.boolean() }).optional(),
  /** The rules that its kernel takes are there, or are to be sent; in the answers to `submit` and `attach`. */
  ruleset: z.enum(['there', 'wanted']).optional(),
  /** Size of the tar of the output files, once they are collected. */
  filesBytes: offset.optional(),
  /** The last ones, oldest first. */
  notices: z.array(notice).max(NOTICES_MAX).optional(),
  outcome: outcome.optional()
})
export type RunStatus = z.infer<typeof runStatus>

const taken = z.strictObject({ type: z.literal('taken'), channel, offset })

export const consumerMessage = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('submit'), requestId, acceptance: token, program }),
  /** The output is sent from `outputOffset` on. A `view` only watches: it neither feeds nor collects. */
  z.strictObject({ type: z.literal('attach'), requestId, runId, outputOffset: offset, view: z.boolean() }),
  z.strictObject({ type: z.literal('stop'), requestId, runId }),
  z.strictObject({ type: z.literal('status'), requestId, runId }),
  z.strictObject({ type: z.literal('list'), requestId }),
  /** All input files have been sent: a tar of so many bytes, 0 for none; and the rules, where they are wanted. */
  z.strictObject({ type: z.literal('stagingEnd'), bytes: offset }),
  z.strictObject({ type: z.literal('start') }),
  z.strictObject({ type: z.literal('stdinEnd'), offset }),
  z.strictObject({ type: z.literal('signal'), signal: z.int().min(1).max(64) }),
  z.strictObject({ type: z.literal('resize'), size: terminalSize }),
  /** Stop the program, or give back a lease that was not used. */
  z.strictObject({ type: z.literal('cancel') }),
  z.strictObject({ type: z.literal('getFiles'), offset }),
  z.strictObject({ type: z.literal('getReceipt') }),
  /** The consumer has all it wants on its disk; the provider may forget the rest. */
  z.strictObject({ type: z.literal('collected') }),
  taken
])
export type ConsumerMessage = z.infer<typeof consumerMessage>

export const providerMessage = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('leased'), requestId, lease: token, status: runStatus }),
  z.strictObject({ type: z.literal('attached'), requestId, status: runStatus }),
  z.strictObject({
    type: z.literal('refused'),
    requestId,
    code,
    reasons: z.array(z.string().max(REASON_LENGTH_MAX)).max(REASONS_MAX)
  }),
  z.strictObject({ type: z.literal('stopped'), requestId }),
  z.strictObject({ type: z.literal('status'), requestId, status: runStatus }),
  z.strictObject({ type: z.literal('listed'), requestId, runs: z.array(runStatus).max(LISTED_RUNS_MAX) }),
  /** Something went wrong with the session; the stream ends. */
  z.strictObject({ type: z.literal('error'), code }),
  z.strictObject({ type: z.literal('state'), status: runStatus }),
  /** The program has ended and its output, up to `offset`, was sent. */
  z.strictObject({ type: z.literal('outputEnd'), offset }),
  z.strictObject({ type: z.literal('filesEnd'), bytes: offset }),
  z.strictObject({ type: z.literal('receipt'), token }),
  /** The kernel is there; it boots when the consumer says so. */
  z.strictObject({ type: z.literal('manifest'), token }),
  /** Everything about the run but its receipt is gone. */
  z.strictObject({ type: z.literal('settled') }),
  taken
])
export type ProviderMessage = z.infer<typeof providerMessage>

export type MessageOf<M extends { type: string }, T extends M['type']> = Extract<M, { type: T }>
