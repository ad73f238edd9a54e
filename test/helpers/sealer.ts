/** The guest's half of the sealed log, run in user space: kernort's own C, told by a script what to seal. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { LogKey } from '../../src/identity/index.ts'
import { KIND_LAYOUTS, type RecordKind } from '../../soda-host/logs/record-layout.ts'
import { headAfter } from '../../soda-host/logs/epoch.ts'
import type { Frame } from '../../soda-host/logs/frame-layout.ts'
import { RUN_PREFIX } from './temporary.ts'

const KERNORT = join(import.meta.dirname, '../../soda-host/kernort')
const WARNINGS = ['-Wall', '-Wextra', '-Werror', '-Wno-unused-parameter']
const SEALER_SOURCES = ['harness/sealer.c', 'engine/hpke.c', 'engine/record.c', 'engine/seal.c']
const PLATFORM_SOURCES = ['env/user/kernort_crypto.c', 'tests/seal_check.c']
const OUTPUT_BYTES_MAX = 256 * 1024 * 1024

/** Compiled once in a test file: `before(() => { harness = buildHarness() })`, `after(() => harness.remove())`. */
export interface Harness {
  sealer: string
  abi: string
  remove(): void
}

export function buildHarness(flags: readonly string[] = ['-O2']): Harness {
  const directory = mkdtempSync(join(tmpdir(), RUN_PREFIX))
  const sealer = join(directory, 'sealer')
  const abi = join(directory, 'abi')
  const common = ['-std=gnu11', '-g', ...flags, ...WARNINGS, '-Iinclude', '-Ienv/user']
  const gcc = (args: string[]) => execFileSync('gcc', [...common, ...args], { cwd: KERNORT })
  gcc(['-o', sealer, ...SEALER_SOURCES, ...PLATFORM_SOURCES, '-lcrypto'])
  gcc(['-o', abi, 'harness/abi.c'])
  return { sealer, abi, remove: () => rmSync(directory, { recursive: true, force: true }) }
}

/** Bytes that look random and are the same every time. */
export function bytesOf(seed: string, length: number): Buffer {
  const parts: Buffer[] = []
  for (let i = 0; i * 32 < length; i++) parts.push(createHash('sha256').update(`${seed} ${i}`).digest())
  return Buffer.concat(parts).subarray(0, length)
}

export interface RecordInit {
  kind: RecordKind
  fields?: Record<string, number | bigint>
  tails?: (string | Buffer)[]
  timeMs?: number
  pid?: number
}

/** Says what a guest seals. Every random byte follows from `seed`. */
export class SealScript {
  readonly #parts: Buffer[] = []
  readonly #seed: string
  #uses = 0

  constructor(seed: string, keys: readonly Pick<LogKey, 'publicKey'>[]) {
    this.#seed = seed
    for (const { publicKey } of keys) this.#add('K', publicKey)
  }

  #random(length: number): Buffer {
    return bytesOf(`${this.#seed} ${this.#uses++}`, length)
  }

  #add(letter: string, ...parts: Uint8Array[]): this {
    this.#parts.push(Buffer.from(letter), ...parts.map((part) => Buffer.from(part)))
    return this
  }

  boot(number: number, server = 'server'): this {
    return this.#add('B', bytesOf(server, 16), u32(number), this.#random(16))
  }

  /** Stand behind `frame` as whoever knows all that lies in the open, and none of the secrets. */
  forgeBehind({ header, ...frame }: Frame, epoch: number): this {
    const head = Buffer.from(headAfter({ header, ...frame }), 'hex')
    return this.#add('J', u64(header.number + 1n), u32(epoch), Buffer.from(header.bootId, 'hex'), head)
  }

  epoch(): this {
    return this.#add('E', this.#random(32), this.#random(16), this.#random(128))
  }

  record({ kind, fields = {}, tails = [], timeMs = 0, pid = 0 }: RecordInit): this {
    const layout = KIND_LAYOUTS.find(({ name }) => name === kind)!
    const body = Buffer.alloc(layout.size)
    for (const [name, type, offset] of layout.fields as readonly (readonly [string, string, number])[]) {
      const value = fields[name] ?? 0
      if (type === 'u16') body.writeUInt16LE(Number(value), offset)
      else if (type === 'u32') body.writeUInt32LE(Number(value), offset)
      else if (type === 'u64') body.writeBigUInt64LE(BigInt(value), offset)
      else if (type === 's64') body.writeBigInt64LE(BigInt(value), offset)
    }
    const nanoseconds = BigInt(timeMs) * 1_000_000n
    const texts = layout.tails.map((_name, i) => Buffer.from(tails[i] ?? ''))
    return this.#add(
      'R',
      u16(layout.number),
      u64(nanoseconds),
      u64(1_700_000_000_000_000_000n + nanoseconds),
      u32(pid),
      u32(0),
      Buffer.from('sh'.padEnd(16, '\0')),
      u16(body.length),
      body,
      Uint8Array.of(texts.length),
      ...texts.flatMap((text) => [u32(text.length), text])
    )
  }

  frame(kind: 'records' | 'end' = 'records', severity = 0): this {
    return this.#add('F', Uint8Array.of(kind === 'end' ? 3 : 2, severity), this.#random(16))
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#parts)
  }

  seal({ sealer }: Harness): Buffer {
    return execFileSync(sealer, { input: this.bytes, maxBuffer: OUTPUT_BYTES_MAX })
  }
}

/** A log of two boots: the first with two epochs, each of `frames` frames of two records; the second with one. */
export function twoBoots(
  keys: readonly Pick<LogKey, 'publicKey'>[],
  seed = 'two boots',
  frames = 3,
  server = seed
): SealScript {
  const script = new SealScript(seed, keys)
  let second = 0
  const epoch = () => {
    script.epoch()
    for (let i = 0; i < frames; i++)
      script
        .record({
          kind: 'exec',
          tails: ['/bin/sh', `sh\0-c\0echo ${second}\0`, 'init'],
          timeMs: second++ * 1000,
          pid: 7
        })
        .record({ kind: 'klog', tails: [`line ${second}`], timeMs: second * 1000 })
        .frame()
  }
  script.boot(0, server)
  epoch()
  epoch()
  script.record({ kind: 'shutdown', fields: { reason: 1 } }).frame('end')
  script.boot(1, server)
  epoch()
  return script.record({ kind: 'shutdown', fields: { reason: 1 } }).frame('end')
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16LE(value)
  return bytes
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

function u64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(value)
  return bytes
}
