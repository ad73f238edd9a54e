/** Exit statuses, as Docker, ssh and sysexits.h have them. */
import { IShareError, isIShareError, type IShareErrorCode } from '../errors.ts'
import type { RunResult } from '../../irun/index.ts'

export const EXIT_OK = 0
export const EXIT_FAILURE = 1
/** EX_USAGE: the flags or a file of the user's are wrong. */
export const EXIT_USAGE = 64
/** EX_UNAVAILABLE: a machine, a peer or a program that is needed is not there. */
export const EXIT_UNAVAILABLE = 69
/** EX_NOPERM: the provider's rules say no. */
export const EXIT_REFUSED = 77
/** `ishare run` itself failed, not the program: as `docker run` has it. */
export const EXIT_RUN_FAILED = 125
/** Ended by Ctrl+C. */
export const EXIT_INTERRUPTED = 130
/** 128 + SIGPIPE. */
export const EXIT_BROKEN_PIPE = 141

const STATUS: Partial<Record<IShareErrorCode, number>> = {
  ERR_CONFIG_FORMAT: EXIT_USAGE,
  ERR_CONFIG_VALUE: EXIT_USAGE,
  ERR_RULES_FORMAT: EXIT_USAGE,
  ERR_RULES_REFUSED: EXIT_REFUSED,
  ERR_RUN_REFUSED: EXIT_REFUSED,
  ERR_MANIFEST_UNTRUSTED: EXIT_REFUSED,
  ERR_OFFER_NOT_FOUND: EXIT_UNAVAILABLE,
  ERR_PROVIDER_UNREACHABLE: EXIT_UNAVAILABLE,
  ERR_HOST_UNREACHABLE: EXIT_UNAVAILABLE,
  ERR_PACKAGES_MISSING: EXIT_UNAVAILABLE
}

export function exitStatusOf(error: unknown): number {
  return isIShareError(error) ? (STATUS[error.code] ?? EXIT_FAILURE) : EXIT_FAILURE
}

/** A program's end as a shell would report it. */
export function exitStatusOfRun({ outcome }: Pick<RunResult, 'outcome'>): number {
  switch (outcome.kind) {
    case 'status':
      return outcome.status
    case 'signal':
      return 128 + outcome.signal
    case 'failed':
      return EXIT_RUN_FAILED
  }
}

/** What a person is told of a failure: the code, the message, the reasons, the first cause with another message. */
export function failureLines(error: unknown): string[] {
  if (!(error instanceof Error)) return [`ishare: ${String(error)}`]
  const code = error instanceof IShareError || isIShareError(error) ? ` [${error.code}]` : ''
  const reasons = 'reasons' in error && Array.isArray(error.reasons) ? error.reasons.map(String) : []
  const cause =
    error.cause instanceof Error && error.cause.message !== error.message ? [error.cause.message] : []
  return [`ishare: ${error.message}${code}`, ...[...reasons, ...cause].map((line) => `  ${line}`)]
}
