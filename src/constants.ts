/** Limits and names shared by more than one folder. Each number is written here and nowhere else. */

export const KIB = 1024
export const MIB = 1024 * KIB
export const GIB = 1024 * MIB
export const SECOND_MS = 1000
export const MINUTE_MS = 60 * SECOND_MS
export const HOUR_MS = 60 * MINUTE_MS
export const DAY_MS = 24 * HOUR_MS

/** libp2p protocol ids: `/ishare/<name>/<version>`. */
export const PROTOCOL_KAD_DHT = '/ishare/kad/1.0.0'
export const PROTOCOL_RUN = '/ishare/run/1.0.0'
export const PROTOCOL_EXEC = '/ishare/exec/1.0.0'
export const PROTOCOL_FACTORY = '/ishare/factory/1.0.0'
export const PROTOCOL_LOG = '/ishare/log/1.0.0'
export const PROTOCOL_OFFER = '/ishare/offer/1.0.0'

/** A signed document (compact JWS) is never longer than this, in bytes. */
export const DOCUMENT_BYTES_MAX = 64 * KIB
/** Clocks of strangers may differ by this much. */
export const CLOCK_SKEW_SECONDS = 60

/** A control message (JSON) on a run stream, in bytes. */
export const MESSAGE_BYTES_MAX = 128 * KIB
/** A data frame on a run stream, in bytes. Larger reads are split. */
export const DATA_FRAME_BYTES_MAX = 256 * KIB

/** A compiled rule set is never larger. */
export const RULESET_BYTES_MAX = 64 * MIB
/** No guest kernel is larger: they have 8 MB. */
export const KERNEL_BYTES_MAX = 64 * MIB

/** An offer page is read up to here and no further. */
export const PAGE_BYTES_MAX = 2 * MIB

/** A program's arguments and environment variables. */
export const ARGUMENTS_MAX = 1024
export const ENVIRONMENT_MAX = 256

/** Files and directories of a run, in either direction; the length of a path among them, and of one of its names. */
export const FILES_ENTRIES_MAX = 100_000
export const FILE_PATH_BYTES_MAX = 1024
export const FILE_NAME_BYTES_MAX = 255
/** A tar adds per entry two blocks of header and padding and, for long names, three of extended header. */
export const TAR_ENTRY_OVERHEAD_BYTES = 5 * 512
