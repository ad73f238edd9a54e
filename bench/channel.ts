/** The control channel alone: bytes through `cat`, output, files in and out of one virtual server. */
import { randomBytes } from 'node:crypto'
import { MIB } from '../src/constants.ts'
import type { RunningServer } from '../soda-host/virtual-server/types.ts'
import { withServer } from './launched-server.ts'
import { row, type BenchContext, type Row } from './report.ts'

const BYTES = 256 * MIB
const MEGABYTE = 1e6
const PIECE = randomBytes(MIB)

/** A program that was started, and when it was over. */
async function throughProgram(
  artifacts: string,
  argv: string[],
  feed: (server: RunningServer) => Promise<void>
): Promise<number> {
  const exited = Promise.withResolvers<undefined>()
  let received = 0
  const listener = {
    output: async (_stream: unknown, data: Uint8Array): Promise<void> => {
      received += data.length
    },
    stdinTaken: () => undefined,
    programExited: async () => exited.resolve(undefined)
  }
  return await withServer(artifacts, listener, async (server) => {
    const startedAt = performance.now()
    await server.run({ argv, env: {} })
    await feed(server)
    await exited.promise
    if (received !== BYTES) throw new Error(`${received} bytes came back, not ${BYTES}`)
    return rate(startedAt)
  })
}

function rate(startedAt: number): number {
  return BYTES / MEGABYTE / ((performance.now() - startedAt) / 1000)
}

async function feedAll(server: RunningServer): Promise<void> {
  for (let offset = 0; offset < BYTES; offset += PIECE.length) await server.stdin(offset, PIECE)
  await server.stdinEnd(BYTES)
}

async function* content(): AsyncGenerator<Uint8Array> {
  for (let sent = 0; sent < BYTES; sent += PIECE.length) yield PIECE
}

async function files(artifacts: string): Promise<{ into: number; out: number }> {
  const exited = Promise.withResolvers<undefined>()
  const listener = {
    output: async () => undefined,
    stdinTaken: () => undefined,
    programExited: async () => exited.resolve(undefined)
  }
  return await withServer(artifacts, listener, async (server) => {
    const putAt = performance.now()
    await server.putFile({ path: 'big', kind: 'file', mode: 0o644, sizeBytes: BYTES, content: content() })
    const into = rate(putAt)
    await server.run({ argv: ['ln', '/work/big', '/out/big'], env: {} })
    await exited.promise
    const getAt = performance.now()
    let received = 0
    for await (const file of server.getFiles()) for await (const data of file.content) received += data.length
    if (received !== BYTES) throw new Error(`${received} bytes came back, not ${BYTES}`)
    return { into, out: rate(getAt) }
  })
}

async function repeat<T>(samples: number, one: () => Promise<T>): Promise<T[]> {
  const taken: T[] = []
  for (let i = 0; i < samples; i++) taken.push(await one())
  return taken
}

export async function bench({ artifacts, samples }: BenchContext): Promise<Row[]> {
  const printing = ['dd', 'if=/dev/zero', 'bs=64k', `count=${BYTES / 65_536}`]
  const echoes = await repeat(samples, () => throughProgram(artifacts, ['cat'], feedAll))
  const outputs = await repeat(samples, () =>
    throughProgram(artifacts, ['sh', '-c', `${printing.join(' ')} 2>/dev/null`], async () => undefined)
  )
  const transfers = await repeat(samples, () => files(artifacts))
  return [
    row('channel: standard input through cat to standard output', 'MB/s', echoes),
    row('channel: standard output', 'MB/s', outputs),
    row(
      'channel: file into the guest',
      'MB/s',
      transfers.map(({ into }) => into)
    ),
    row(
      'channel: file out of the guest',
      'MB/s',
      transfers.map(({ out }) => out)
    )
  ]
}
