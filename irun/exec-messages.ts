/**
 * What the two sides say to each other on PROTOCOL_EXEC: one stream per program that a consumer runs beside the main
 * one of its run. Standard input comes in data frames within a window, output goes in data frames as fast as the stream
 * takes them. The program ends with the stream, like that of a session of ssh.
 */
import { z } from 'zod'
import { runId } from '../src/documents/fields.ts'
import { code, offset, outcomeOfProgram, program, terminalSize } from './messages.ts'

/** Channels of data frames. */
export const CHANNEL_EXEC_STDIN = 0
export const CHANNEL_EXEC_STDOUT = 1
export const CHANNEL_EXEC_STDERR = 2

export const execConsumerMessage = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('exec'), runId, program }),
  z.strictObject({ type: z.literal('stdinEnd'), offset }),
  z.strictObject({ type: z.literal('signal'), signal: z.int().min(1).max(64) }),
  z.strictObject({ type: z.literal('resize'), size: terminalSize })
])
export type ExecConsumerMessage = z.infer<typeof execConsumerMessage>

export const execProviderMessage = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('started') }),
  z.strictObject({ type: z.literal('taken'), channel: z.literal(CHANNEL_EXEC_STDIN), offset }),
  /** All output was sent before it. */
  z.strictObject({ type: z.literal('exit'), exit: outcomeOfProgram }),
  /** Refused, or cut short; the stream ends. */
  z.strictObject({ type: z.literal('error'), code })
])
export type ExecProviderMessage = z.infer<typeof execProviderMessage>
