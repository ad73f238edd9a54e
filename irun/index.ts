/**
 * @packageDocumentation
 *
 * iRun: a program on somebody else's machine, over one libp2p stream that may break at any time.
 *
 * The provider's {@link runHandler} takes an acceptance, grants a lease and drives a {@link RunHost}; the
 * consumer's {@link runClient} submits, stages files, follows the output, brings files and receipt home, and
 * finds a run again by its id from another process or on another day. Both keep what they promised in SQLite.
 */
export { runClient } from './consumer/client.ts'
export type { RunHost } from './host.ts'
export { runHandler } from './provider/handler.ts'
export type { RunState } from './state-machine.ts'
export type * from './types.ts'
