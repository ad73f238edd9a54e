/**
 * The SODA host's daemon: virtual servers behind an HTTP API on a Unix socket.
 *
 * @packageDocumentation
 */
export { startDaemon, type Daemon, type DaemonComponents } from './daemon.ts'
export type { DaemonConfig } from './config.ts'
export type { DaemonLog } from './log.ts'
