import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { constants } from 'node:os'
import { join } from 'node:path'
import { HostError } from '../../src/errors.ts'
import type {
  GuestSession,
  ProgramExit,
  ProgramSpec,
  ServerEnd,
  SessionOutput
} from '../../soda-host/virtual-server/types.ts'

export interface FakeGuest {
  directory: string
  ended: Promise<ServerEnd>
  isAlive: () => boolean
}

/** A session of the fake launcher: a child of ours, so that it ends with us. It has no terminal. */
export function fakeSession(program: ProgramSpec, guest: FakeGuest): GuestSession {
  const [file = '', ...args] = program.argv
  const env = {
    PATH: process.env['PATH'],
    HOME: guest.directory,
    ISHARE_OUT: join(guest.directory, 'out'),
    ...program.env
  }
  const dying = ['--pdeathsig', 'KILL', '--', file, ...args]
  const child = spawn('setpriv', dying, {
    cwd: join(guest.directory, 'work'),
    env,
    detached: true,
    stdio: 'pipe'
  })
  const queue: SessionOutput[] = []
  let isOver = false
  for (const stream of ['stdout', 'stderr'] as const)
    child[stream].on('data', (data: Buffer) => {
      queue.push({ stream, data })
      child.emit('news')
    })
  child.stdin.on('error', () => undefined)
  const exited = once(child, 'close').then(([status, signal]: unknown[]): ProgramExit => {
    isOver = true
    child.emit('news')
    // Who ends a guest ends what runs in it first.
    if (!guest.isAlive()) throw new HostError('ERR_SESSION_LOST', 'the guest is gone')
    return signal === null
      ? { kind: 'status', status: status as number }
      : { kind: 'signal', signal: constants.signals[signal as NodeJS.Signals] }
  })
  const kill = (signal: number): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, signal)
    } catch {
      // It has ended.
    }
  }
  exited.catch(() => undefined)
  const close = (): void => kill(constants.signals.SIGKILL)
  void guest.ended.then(close)
  return {
    exited,
    close,
    async *output(signal) {
      for (;;) {
        const next = queue.shift()
        if (next !== undefined) yield next
        else if (isOver) return
        else await once(child, 'news', signal && { signal })
      }
    },
    stdin: async (data) => void child.stdin.write(data),
    stdinEnd: async () => void child.stdin.end(),
    signal: async (signal) => kill(signal),
    resize: async () => undefined
  }
}
