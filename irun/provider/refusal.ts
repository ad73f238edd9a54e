import { hasCode, isIShareError, RulesError, RunError, type IShareErrorCode } from '../../src/errors.ts'
import { REASONS_MAX, REASON_LENGTH_MAX } from '../limits.ts'

/** What may be known about the provider's inside. Everything else is `ERR_RUN_FAILED`. */
const INSIDE: ReadonlySet<IShareErrorCode> = new Set([
  'ERR_SLICE_FULL',
  'ERR_HOST_RECLAIMED',
  'ERR_IMAGE_UNKNOWN',
  'ERR_FILES_FORMAT',
  'ERR_FILES_LIMIT',
  'ERR_RULESET_DIGEST',
  'ERR_SERVER_STATE',
  'ERR_SESSION_LIMIT',
  'ERR_SESSION_LOST'
])

/** The code that a consumer is sent for an error: never a message, never what only we should know. */
export function publicCode(error: unknown): string {
  if (error instanceof Error && error.name === 'TimeoutError') return 'ERR_WIRE_TIMEOUT'
  // The host comes back; so may the consumer.
  if (hasCode(error, 'ERR_HOST_UNREACHABLE')) return 'ERR_RUN_BUSY'
  if (!isIShareError(error)) return 'ERR_RUN_FAILED'
  const isPublic = /^ERR_(DOCUMENT|RULES|RUN|WIRE|LEASE)_/.test(error.code) || INSIDE.has(error.code)
  return isPublic ? error.code : 'ERR_RUN_FAILED'
}

/** Reasons are written by our own rules, for the consumer. */
export function publicReasons(error: unknown): string[] {
  if (!(error instanceof RulesError || error instanceof RunError)) return []
  return error.reasons.slice(0, REASONS_MAX).map((reason) => reason.slice(0, REASON_LENGTH_MAX))
}
