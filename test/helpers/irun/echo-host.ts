import { once } from 'node:events'
import { EventEmitter } from 'node:events'
import type { HostServer, HostServerSpec, RunHost } from '../../../irun/host.ts'
import { HostError } from '../../../src/errors.ts'

interface EchoServer {
  server: HostServer
  /** Frames from `start` on; what was read is dropped. */
  frames: Buffer[]
  start: number
  /** Bytes of frames ever made. */
  bytes: number
  changed: EventEmitter
}

const WINDOW_BYTES = 4 * 2 ** 20

/**
 * A RunHost of which every program is `cat`, in memory, so that a bench measures iRun and nothing else. Output
 * can be read once, standard input waits for the reader.
 */
export function echoHost(image: { name: string; digest: string; sizeBytes: number }): RunHost {
  const servers = new Map<string, EchoServer>()
  function find(id: string): EchoServer {
    const found = servers.get(id)
    if (found === undefined) throw new HostError('ERR_SERVER_UNKNOWN', id)
    return found
  }
  function set(id: string, patch: Partial<HostServer>): HostServer {
    const found = find(id)
    found.server = { ...found.server, ...patch }
    found.changed.emit('change')
    return found.server
  }
  async function ended(id: string, signal?: AbortSignal): Promise<HostServer> {
    const echo = find(id)
    while (echo.server.state !== 'exited')
      await once(echo.changed, 'change', { ...(signal === undefined ? {} : { signal }) })
    return echo.server
  }
  return {
    capacity: async () => ({
      architecture: 'x86_64',
      total: { cpu: 64, memoryBytes: 2 ** 40, diskBytes: 2 ** 40, servers: 64 },
      used: { cpu: 0, memoryBytes: 0, diskBytes: 0, servers: servers.size },
      images: [image]
    }),
    create: async (spec) => {
      servers.set(spec.id, {
        server: newServer(spec),
        frames: [],
        start: 0,
        bytes: 0,
        changed: new EventEmitter().setMaxListeners(0)
      })
      return find(spec.id).server
    },
    putFiles: async (id, tar) => {
      find(id)
      for await (const chunk of tar) if (chunk.length === 0) break
    },
    start: async (id) => {
      const { server } = find(id)
      return server.state === 'created' ? set(id, { state: 'running', startedAtMs: Date.now() }) : server
    },
    inspect: async (id) => find(id).server,
    list: async () => [...servers.values()].map(({ server }) => server),
    async *output(id, { offset, signal }) {
      const echo = find(id)
      for (let at = offset; ;) {
        const frame = echo.frames.shift()
        if (frame !== undefined) {
          if (at !== echo.start) throw new HostError('ERR_HOST_REQUEST', 'the echo can be read once')
          echo.start = at += frame.length
          echo.changed.emit('change')
          yield frame
        } else if (echo.server.state === 'exited') return
        else await once(echo.changed, 'change', { ...(signal === undefined ? {} : { signal }) })
      }
    },
    async stdin(id, offset, data, options = {}) {
      const echo = find(id)
      if (echo.server.state !== 'running' || offset !== echo.server.stdin.takenBytes)
        throw new HostError('ERR_SERVER_STATE', `stdin at ${offset}`)
      const frame = Buffer.allocUnsafe(5 + data.length)
      frame.writeUInt32LE(data.length, 0)
      frame.writeUInt8(1, 4)
      frame.set(data, 5)
      if (data.length > 0) echo.frames.push(frame)
      echo.bytes += data.length > 0 ? frame.length : 0
      const stdin = { takenBytes: offset + data.length, ended: options.end === true }
      set(id, { stdin, output: { bytes: stdin.takenBytes, discardedBytes: 0 } })
      while (echo.bytes - echo.start > WINDOW_BYTES)
        await once(echo.changed, 'change', {
          ...(options.signal === undefined ? {} : { signal: options.signal })
        })
      if (stdin.ended)
        set(id, { state: 'exited', exit: { kind: 'status', status: 0 }, endedAtMs: Date.now() })
      return stdin.takenBytes
    },
    putKernel: async (id, { digest, chunks }) => {
      for await (const _chunk of chunks);
      return set(id, { kernel: digest })
    },
    putRuleset: async (id, chunks) => {
      for await (const _chunk of chunks);
      return set(id, { hasRuleset: true })
    },
    signal: async () => undefined,
    resize: async () => undefined,
    exec: async (id) => {
      throw new HostError('ERR_SERVER_STATE', `${id} runs nothing but its echo`)
    },
    wait: ended,
    watch: (id, _notice, signal) => ended(id, signal),
    stop: async (id) => {
      set(id, {
        state: 'exited',
        exit: { kind: 'signal', signal: 15 },
        reason: { code: 'stopped', message: '' }
      })
    },
    async *log() {
      yield* []
    },
    async *files() {
      yield* []
    },
    destroy: async (id) => {
      servers.delete(id)
    }
  }
}

function newServer(spec: HostServerSpec): HostServer {
  return {
    ...spec,
    state: 'created',
    notices: [],
    createdAtMs: Date.now(),
    output: { bytes: 0, discardedBytes: 0 },
    stdin: { takenBytes: 0, ended: false },
    usage: { cpuSeconds: 0, memoryPeakBytes: 0 }
  }
}
