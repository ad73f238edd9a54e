import { hasCode, isIShareError, RunError } from '../../src/errors.ts'

/** The provider ended the session with a code. */
export class ProviderError extends Error {
  readonly providerCode: string

  constructor(code: string) {
    super(`the provider ended the session: ${code}`)
    this.providerCode = code
  }
}

/** The provider answers pings, but not what it was asked. */
export class StalledError extends Error {}

/** No stream to the provider. */
export class UnreachableError extends Error {
  constructor(peer: string, cause: unknown) {
    super(`${peer} cannot be reached`, { cause })
  }
}

/** Codes after which the same question may be answered another time. */
const PASSING: ReadonlySet<string> = new Set([
  'ERR_RUN_BUSY',
  'ERR_RUN_FAILED',
  'ERR_WIRE_TIMEOUT',
  'ERR_WIRE_CLOSED'
])

/**
 * What a broken session means for the run: `undefined` if it is to be tried again, else the error to end with.
 */
export function verdictOn(error: unknown): Error | undefined {
  if (error instanceof StalledError || error instanceof UnreachableError) return undefined
  if (hasCode(error, 'ERR_WIRE_FORMAT') || hasCode(error, 'ERR_WIRE_SIZE'))
    return new RunError('ERR_PROVIDER_DISHONEST', 'the provider does not speak the protocol', [], {
      cause: error
    })
  if (error instanceof ProviderError) return verdictOfProvider(error)
  if (isIShareError(error) && !PASSING.has(error.code)) return error
  return isIShareError(error) || isTimeout(error) ? undefined : (error as Error)
}

function verdictOfProvider(error: ProviderError): Error | undefined {
  const { providerCode } = error
  if (PASSING.has(providerCode)) return undefined
  if (providerCode === 'ERR_RUN_DETACHED')
    return new RunError('ERR_RUN_DETACHED', 'another process has attached to the run')
  if (providerCode === 'ERR_RUN_UNKNOWN')
    return new RunError('ERR_RUN_UNKNOWN', 'the provider does not know the run', [], { cause: error })
  if (providerCode.startsWith('ERR_FILES_') || providerCode === 'ERR_RUN_FILES')
    return new RunError('ERR_RUN_FILES', `the provider refuses the input files: ${providerCode}`, [], {
      cause: error
    })
  if (providerCode === 'ERR_RULESET_DIGEST')
    return new RunError('ERR_RUN_FILES', `the provider refuses the rules: ${providerCode}`, [], {
      cause: error
    })
  return new RunError('ERR_RUN_FAILED', error.message, [], { cause: error })
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && error.name === 'TimeoutError'
}

/** The run itself is over with this error, on whatever day somebody asks again. */
export function isFatal(error: unknown): boolean {
  return (
    hasCode(error, 'ERR_PROVIDER_DISHONEST') ||
    hasCode(error, 'ERR_RUN_UNKNOWN') ||
    hasCode(error, 'ERR_LEASE_MISMATCH')
  )
}
