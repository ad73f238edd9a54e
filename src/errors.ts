/**
 * The one place where error codes are written.
 *
 * Every failure that a caller can act on is an {@link IShareError} with a `code`. Compare codes, never
 * messages or `instanceof`. Programmer mistakes are `TypeError`; an abort passes through unchanged. A remote
 * peer is sent a code and a request id, never a message.
 */

/** Signed documents, and the bytes that carry them. */
export type DocumentErrorCode =
  | 'ERR_DOCUMENT_FORMAT'
  | 'ERR_DOCUMENT_SIZE'
  | 'ERR_DOCUMENT_SIGNATURE'
  | 'ERR_DOCUMENT_ISSUER'
  | 'ERR_DOCUMENT_EXPIRED'
  | 'ERR_DOCUMENT_NOT_YET_VALID'
  | 'ERR_DOCUMENT_REPLAYED'
  | 'ERR_DOCUMENT_RANGE'
  | 'ERR_DOCUMENT_CRITICAL'
  | 'ERR_DOCUMENT_TYPE'
  | 'ERR_DOCUMENT_MISMATCH'

/** Access rules and what they grant. */
export type RulesErrorCode = 'ERR_RULES_FORMAT' | 'ERR_RULES_REFUSED'

/** Framed messages on a stream. */
export type WireErrorCode = 'ERR_WIRE_FORMAT' | 'ERR_WIRE_SIZE' | 'ERR_WIRE_CLOSED' | 'ERR_WIRE_TIMEOUT'

export type IdentityErrorCode = 'ERR_IDENTITY_FORMAT' | 'ERR_IDENTITY_ACCESS'

export type ConfigErrorCode = 'ERR_CONFIG_FORMAT' | 'ERR_CONFIG_VALUE'

export type PublishErrorCode = 'ERR_PUBLISH_PAGE' | 'ERR_PUBLISH_DHT'

export type DiscoverErrorCode =
  | 'ERR_PAGE_FETCH'
  | 'ERR_PAGE_SIZE'
  | 'ERR_PAGE_FORMAT'
  | 'ERR_PAGE_ADDRESS'
  | 'ERR_PAGE_ROBOTS'
  | 'ERR_OFFER_NOT_FOUND'

export type RunErrorCode =
  | 'ERR_RUN_REFUSED'
  | 'ERR_RUN_UNKNOWN'
  | 'ERR_RUN_STATE'
  | 'ERR_RUN_CANCELLED'
  | 'ERR_RUN_DETACHED'
  | 'ERR_RUN_FAILED'
  | 'ERR_RUN_FILES'
  | 'ERR_RUN_BUSY'
  | 'ERR_PROVIDER_UNREACHABLE'
  | 'ERR_PROVIDER_DISHONEST'
  | 'ERR_LEASE_EXPIRED'
  | 'ERR_LEASE_MISMATCH'

export type HostErrorCode =
  | 'ERR_SLICE_FULL'
  | 'ERR_HOST_UNREACHABLE'
  | 'ERR_HOST_REQUEST'
  | 'ERR_HOST_RESPONSE'
  | 'ERR_HOST_STATE'
  | 'ERR_HOST_RECLAIMED'
  | 'ERR_SERVER_UNKNOWN'
  | 'ERR_SERVER_STATE'
  | 'ERR_SERVER_EXISTS'
  | 'ERR_SESSION_LIMIT'
  | 'ERR_SESSION_LOST'
  | 'ERR_SESSION_UNKNOWN'
  | 'ERR_DUMP_KEY'
  | 'ERR_SNAPSHOT_EXISTS'
  | 'ERR_SNAPSHOT_LIMIT'
  | 'ERR_SNAPSHOT_UNKNOWN'
  | 'ERR_BOOT_FAILED'
  | 'ERR_BOOT_TIMEOUT'
  | 'ERR_CHANNEL_FORMAT'
  | 'ERR_CHANNEL_CLOSED'
  | 'ERR_CGROUP'
  | 'ERR_JAIL'
  | 'ERR_SWITCH'
  | 'ERR_UPLINK'
  | 'ERR_FILES_FORMAT'
  | 'ERR_FILES_LIMIT'
  | 'ERR_IMAGE_UNKNOWN'
  | 'ERR_IMAGE_FORMAT'
  | 'ERR_KERNEL_DIGEST'
  | 'ERR_RULESET_DIGEST'

export type FactoryErrorCode =
  | 'ERR_SOURCE_FETCH'
  | 'ERR_SOURCE_DIGEST'
  | 'ERR_KERNEL_CONFIG'
  | 'ERR_KERNEL_BUILD'
  | 'ERR_KERNEL_FORMAT'
  | 'ERR_KERNEL_INPUTS'
  | 'ERR_FACTORY_BUSY'
  | 'ERR_FACTORY_REFUSED'
  | 'ERR_FACTORY_UNREACHABLE'
  | 'ERR_STAMP'
  | 'ERR_MANIFEST_MISMATCH'
  | 'ERR_MANIFEST_UNTRUSTED'
  | 'ERR_HARNESS_BUILD'
  | 'ERR_REPLAY'
  | 'ERR_IMAGE_BUILD'
  | 'ERR_CACHE_LOCKED'
  | 'ERR_ARTIFACTS'

/** Detection rules and the table that they are compiled into. */
export type RulesetErrorCode =
  'ERR_RULESET_FILE' | 'ERR_RULESET_VARIABLE' | 'ERR_RULESET_SELECTION' | 'ERR_RULESET_LIMIT'

/** Sealed logs: their bytes, their keys, and what was done to them. */
export type LogErrorCode = 'ERR_LOG_FORMAT' | 'ERR_LOG_KEY' | 'ERR_LOG_ACCESS' | 'ERR_LOG_LIMIT'

export type SetupErrorCode = 'ERR_PACKAGES_MISSING' | 'ERR_PACKAGES_INSTALL' | 'ERR_MACHINE'

export type IShareErrorCode =
  | DocumentErrorCode
  | RulesErrorCode
  | WireErrorCode
  | IdentityErrorCode
  | ConfigErrorCode
  | PublishErrorCode
  | DiscoverErrorCode
  | RunErrorCode
  | HostErrorCode
  | FactoryErrorCode
  | RulesetErrorCode
  | LogErrorCode
  | SetupErrorCode

/** What every error of this project is: a stable `code`, a message for people, the original as `cause`. */
export class IShareError<C extends IShareErrorCode = IShareErrorCode> extends Error {
  override readonly name: string = 'IShareError'
  readonly code: C

  constructor(code: C, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

export class DocumentError extends IShareError<DocumentErrorCode> {
  override readonly name = 'DocumentError'
}

/** `reasons` says, rule by rule, why a request was refused. */
export class RulesError extends IShareError<RulesErrorCode> {
  override readonly name = 'RulesError'
  readonly reasons: readonly string[]

  constructor(
    code: RulesErrorCode,
    message: string,
    reasons: readonly string[] = [],
    options?: ErrorOptions
  ) {
    super(code, message, options)
    this.reasons = reasons
  }
}

export class WireError extends IShareError<WireErrorCode> {
  override readonly name = 'WireError'
}

export class IdentityError extends IShareError<IdentityErrorCode> {
  override readonly name = 'IdentityError'
}

export class ConfigError extends IShareError<ConfigErrorCode> {
  override readonly name = 'ConfigError'
}

export class PublishError extends IShareError<PublishErrorCode> {
  override readonly name = 'PublishError'
}

export class DiscoverError extends IShareError<DiscoverErrorCode> {
  override readonly name = 'DiscoverError'
}

/** `reasons` holds what the provider's rules answered, where there is more than one reason. */
export class RunError extends IShareError<RunErrorCode> {
  override readonly name = 'RunError'
  readonly reasons: readonly string[]

  constructor(code: RunErrorCode, message: string, reasons: readonly string[] = [], options?: ErrorOptions) {
    super(code, message, options)
    this.reasons = reasons
  }
}

export class HostError extends IShareError<HostErrorCode> {
  override readonly name = 'HostError'
}

export class FactoryError extends IShareError<FactoryErrorCode> {
  override readonly name = 'FactoryError'
}

export class RulesetError extends IShareError<RulesetErrorCode> {
  override readonly name = 'RulesetError'
}

export class LogError extends IShareError<LogErrorCode> {
  override readonly name = 'LogError'
}

export class SetupError extends IShareError<SetupErrorCode> {
  override readonly name = 'SetupError'
}

/** True for any error that carries one of our codes, whichever copy of this module made it. */
export function isIShareError(error: unknown): error is IShareError {
  return (
    error instanceof Error &&
    'code' in error &&
    typeof error.code === 'string' &&
    error.code.startsWith('ERR_')
  )
}

/** True if `error` carries exactly `code`. */
export function hasCode(error: unknown, code: IShareErrorCode): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
