import { once, EventEmitter } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { HostServer, RunHost } from '../../../irun/host.ts'
import { LogReader } from '../../../soda-host/logs/log-reader.ts'
import { HostError } from '../../../src/errors.ts'
import { hostWith } from './market.ts'

const VECTOR = join(import.meta.dirname, '../../vectors/sealed-log/two-boots.klog')

/** The sealed log of every server of a host, which grows when it is told to. */
export interface GrowingLog {
  /** All that there will be. */
  readonly whole: Buffer
  /** So many bytes are there from now on. */
  growTo(bytes: number): void
  /** Bytes before this are not kept any more. */
  dropTo(start: number): void
  /** The host, with that log. */
  on(host: RunHost): RunHost
}

export async function growingLog(whole?: Buffer): Promise<GrowingLog> {
  const all = whole ?? (await readFile(VECTOR))
  const changed = new EventEmitter().setMaxListeners(0)
  let [start, end] = [0, 0]

  async function stateOf(): Promise<HostServer['log']> {
    if (end === 0) return undefined
    const reader = new LogReader({})
    for await (const _entry of reader.push(all.subarray(0, end)));
    const { head } = reader.summary
    if (head === undefined) return { start, end }
    const { bootNumber, frameNumber, head: hash } = head
    return { start, end, head: { boot: bootNumber, frame: Number(frameNumber), head: hash } }
  }

  return {
    whole: all,
    growTo(bytes) {
      end = bytes
      changed.emit('change')
    },
    dropTo(bytes) {
      start = bytes
    },
    on: (host) =>
      hostWith(host, {
        async inspect(id, signal) {
          const [server, log] = [await host.inspect(id, signal), await stateOf()]
          return { ...server, ...(log !== undefined && { log }) }
        },
        async *log(id, { offset = 0, follow = false, signal } = {}) {
          if (follow)
            void host.wait(id, signal).then(
              () => changed.emit('change'),
              () => undefined
            )
          const isOver = async () => ['exited', 'failed'].includes((await host.inspect(id, signal)).state)
          for (let at = offset; ;) {
            if (at < start || at > end) throw new HostError('ERR_HOST_REQUEST', `byte ${at} is not kept`)
            const isLast = !follow || (await isOver())
            if (at < end) {
              const chunk = all.subarray(at, Math.min(end, at + 1000))
              at += chunk.length
              yield chunk
            } else if (isLast) return
            else await once(changed, 'change', { ...(signal === undefined ? {} : { signal }) })
          }
        }
      })
  }
}
