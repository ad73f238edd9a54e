import { randomBytes } from 'node:crypto'
import tar from 'tar-stream'
import { DAY_MS, HOUR_MS, MIB } from '../../../src/constants.ts'
import type { HostProgram, HostServerSpec, RunHost } from '../../../irun/host.ts'

/** A small server that runs a shell script, or the program given. */
export function serverSpec(
  program: string | HostProgram,
  changes: Partial<Omit<HostServerSpec, 'limits'>> & { limits?: Partial<HostServerSpec['limits']> } = {}
): HostServerSpec {
  const { limits, ...rest } = changes
  return {
    id: `test-${process.pid}-${randomBytes(7).toString('hex')}`,
    owner: 'a consumer',
    limits: {
      cpu: 0.25,
      memoryBytes: 64 * MIB,
      diskBytes: 64 * MIB,
      processesMax: 64,
      outputBytesMax: 16 * MIB,
      ...limits
    },
    image: 'tiny',
    program: typeof program === 'string' ? { argv: ['sh', '-c', program], env: {} } : program,
    expiresAtMs: Date.now() + HOUR_MS,
    keepUntilMs: Date.now() + DAY_MS,
    ...rest
  }
}

/** Name → content, or undefined for a directory. */
export async function* tarOf(
  files: Record<string, string | Uint8Array | undefined>
): AsyncGenerator<Uint8Array> {
  const pack = tar.pack()
  for (const [name, content] of Object.entries(files))
    if (content === undefined) pack.entry({ name, type: 'directory' })
    else pack.entry({ name, mode: 0o644 }, Buffer.from(content))
  pack.finalize()
  for await (const chunk of pack) yield chunk as Uint8Array
}

/** Name → content of what a tar holds; directories are undefined. */
export async function untar(source: AsyncIterable<Uint8Array>): Promise<Map<string, Buffer | undefined>> {
  const extract = tar.extract()
  extract.end(await bytesOf(source))
  const found = new Map<string, Buffer | undefined>()
  for await (const entry of extract) {
    const content = await bytesOf(entry as AsyncIterable<Uint8Array>)
    found.set(entry.header.name.replace(/\/$/, ''), entry.header.type === 'directory' ? undefined : content)
  }
  return found
}

export async function bytesOf(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of source) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** Takes a spool apart. */
export function framesOf(spool: Buffer): { stream: number; data: Buffer }[] {
  const frames: { stream: number; data: Buffer }[] = []
  for (let at = 0; at < spool.length;) {
    const length = spool.readUInt32LE(at)
    frames.push({ stream: spool.readUInt8(at + 4), data: spool.subarray(at + 5, at + 5 + length) })
    at += 5 + length
  }
  return frames
}

/** What a program wrote to one of its streams: 1 standard output, 2 standard error. */
export function textOf(spool: Buffer, stream: number): string {
  const data = framesOf(spool).filter((frame) => frame.stream === stream)
  return Buffer.concat(data.map((frame) => frame.data)).toString()
}

/** Reads a server's output until it holds `word`. @throws Error when it ends before */
export async function untilOutput(host: Pick<RunHost, 'output'>, id: string, word: string): Promise<void> {
  let text = ''
  for await (const chunk of host.output(id, { offset: 0, follow: true })) {
    text += Buffer.from(chunk).toString('latin1')
    if (text.includes(word)) return
  }
  throw new Error(`the program never said ${word}`)
}
