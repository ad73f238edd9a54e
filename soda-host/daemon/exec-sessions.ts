/**
 * Programs that tenants run beside the main ones, as requests see them: one that is answered with the session's output
 * and lives as long as the session, and others that feed, signal and resize it by its name.
 *
 * A session ends when its program does, when the client of the first request goes, or with this daemon, whose guests
 * kill what has lost its connection. So nothing of it is written down, and no name survives: names are random, lest
 * one of an earlier daemon be taken for another's.
 */
import { randomUUID } from 'node:crypto'
import { HostError } from '../../src/errors.ts'
import type { GuestSession, ProgramExit, ProgramSpec, RunningServer } from '../virtual-server/types.ts'

/** What a frame of the answer holds, see {@link execFrame}. */
export const EXEC_FRAME = { session: 0, stdout: 1, stderr: 2, exit: 3 } as const

/** u32 LE length, u8 what, data. Those of output are as in the spool. */
function execFrame(what: keyof typeof EXEC_FRAME, data: Uint8Array): Uint8Array {
  const frame = Buffer.allocUnsafe(5 + data.length)
  frame.writeUInt32LE(data.length, 0)
  frame.writeUInt8(EXEC_FRAME[what], 4)
  frame.set(data, 5)
  return frame
}

interface Entry {
  server: string
  session: GuestSession
}

export class ExecSessions {
  readonly #entries = new Map<string, Entry>()

  /**
   * The session's name, its output, and how it ended. A stream that ends without the last was cut.
   * @throws ERR_SESSION_LIMIT, ERR_SESSION_LOST
   */
  async *run(
    server: string,
    guest: RunningServer,
    program: ProgramSpec,
    signal: AbortSignal
  ): AsyncGenerator<Uint8Array> {
    const session = await guest.exec(program)
    const name = randomUUID()
    this.#entries.set(name, { server, session })
    try {
      yield execFrame('session', Buffer.from(name))
      for await (const { stream, data } of session.output(signal)) yield execFrame(stream, data)
      yield execFrame('exit', exitText(await session.exited))
    } finally {
      this.#entries.delete(name)
      session.close()
    }
  }

  /** @throws ERR_SESSION_UNKNOWN */
  find(server: string, name: string): GuestSession {
    const entry = this.#entries.get(name)
    if (entry?.server !== server)
      throw new HostError('ERR_SESSION_UNKNOWN', `server ${server} has no session ${name}: it may have ended`)
    return entry.session
  }
}

function exitText(exit: ProgramExit): Uint8Array {
  return Buffer.from(JSON.stringify(exit))
}
