/** Why a server ended otherwise than by its program, in words for its owner. */
import { isIShareError } from '../../src/errors.ts'
import type { ProgramExit, ServerEnd } from '../virtual-server/types.ts'
import type { Reason } from './api.ts'
import { isDiskFull } from './disk-full.ts'

/** A guest that went without being asked to. */
export class GuestGone extends Error {
  readonly reason: Reason

  constructor({ kind, detail }: ServerEnd) {
    const words = detail === '' ? kind : `${kind}: ${detail}`
    super(`the guest is gone (${words})`)
    this.reason = { code: `guest-${kind}`, message: this.message }
  }
}

/** The machine was started again while there was a guest. */
export class HostRebooted extends Error {
  readonly reason: Reason = { code: 'host-rebooted', message: 'the host was started again meanwhile' }
}

/** The end of a program by itself, as a reason to start it again. */
export function reasonOfExit(exit: ProgramExit): Reason {
  return exit.kind === 'status'
    ? { code: 'program-exit', message: `the program ended with status ${exit.status}` }
    : { code: 'program-signal', message: `the program was ended by signal ${exit.signal}` }
}

/** What went wrong, as a reason. What is not meant for others stays in the log. */
export function reasonOf(error: unknown): Reason {
  if (error instanceof GuestGone || error instanceof HostRebooted) return error.reason
  if (isDiskFull(error)) return { code: 'disk-full', message: "the host's disk is full" }
  if (isIShareError(error)) return { code: error.code, message: error.message }
  if (error instanceof Error && error.name === 'TimeoutError')
    return { code: 'guest-silent', message: 'the guest took too long' }
  return { code: 'host-error', message: 'the host failed; its log says more' }
}
