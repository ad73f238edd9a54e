/** What is known of a buffer; the buffers are in `buffers.ts` and `events/buffers.ts`. */

export type AppProtocol =
  'http' | 'dns' | 'tls' | 'smtp' | 'ftp' | 'ftp-data' | 'smb' | 'ssh' | 'dcerpc' | 'sip'

export type Side = 'request' | 'response' | 'both'

export interface BufferRow {
  /** Its place in `enum kernort_buffer`. */
  readonly code: number
  readonly sticky: readonly string[]
  readonly modifiers: readonly string[]
  readonly regexFlag?: string
  readonly apps: readonly AppProtocol[]
  readonly side: Side
  /** There may be several in one transaction; each block needs one that satisfies it. */
  readonly hasInstances?: boolean
}
