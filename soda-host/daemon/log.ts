/** The part of a pino logger that the daemon uses. Its readers are the machine's owner. */
export interface DaemonLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}
