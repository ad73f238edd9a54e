import type { HostErrorCode, IShareErrorCode } from '../../src/errors.ts'

/** HTTP status of each code that the daemon answers with; every other one is 500. */
const STATUS: Partial<Record<IShareErrorCode, number>> = {
  ERR_HOST_REQUEST: 400,
  ERR_FILES_FORMAT: 400,
  ERR_FILES_LIMIT: 413,
  ERR_SERVER_UNKNOWN: 404,
  ERR_IMAGE_UNKNOWN: 422,
  ERR_KERNEL_DIGEST: 422,
  ERR_SERVER_STATE: 409,
  ERR_SERVER_EXISTS: 409,
  ERR_SESSION_LIMIT: 409,
  ERR_SESSION_LOST: 409,
  ERR_SESSION_UNKNOWN: 404,
  ERR_SLICE_FULL: 409,
  ERR_DUMP_KEY: 409,
  ERR_SNAPSHOT_EXISTS: 409,
  ERR_SNAPSHOT_LIMIT: 409,
  ERR_SNAPSHOT_UNKNOWN: 404,
  ERR_CHANNEL_CLOSED: 409,
  ERR_HOST_RECLAIMED: 409,
  ERR_HOST_STATE: 503,
  ERR_SWITCH: 503,
  ERR_UPLINK: 503
} satisfies Partial<Record<HostErrorCode, number>>

export function statusOf(code: IShareErrorCode): number {
  return STATUS[code] ?? 500
}
