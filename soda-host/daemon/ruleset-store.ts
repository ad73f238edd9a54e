/**
 * Compiled detection rules, one file per digest, for all servers whose kernels take them.
 *
 * A tenant sends them, so they are believed by their digest only, and never looked into here: that is for the guest's
 * kernel, which they can do no harm but to. Guests map the same file, read-only, and so share its pages. What no server
 * names any more is removed.
 */
import { createReadStream, createWriteStream, rmSync } from 'node:fs'
import { chmod, mkdir, open, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { MIB } from '../../src/constants.ts'
import { HostError } from '../../src/errors.ts'
import { TableDigest } from '../kernort/rules/table/table-digest.ts'
import type { Ruleset } from './api.ts'
import { writeDurably } from './durable-file.ts'

const OWNER_ONLY = 0o700
const READ_ONLY = 0o400

export class RulesetStore {
  readonly #directory: string
  /** Sizes by digest. */
  readonly #there: Map<string, number>

  /** What is there and none of `named` is removed. */
  static async open(directory: string, named: Iterable<string>): Promise<RulesetStore> {
    await mkdir(directory, { recursive: true, mode: OWNER_ONLY })
    const wanted = new Map([...named].map((digest) => [nameOf(digest), digest]))
    const there = new Map<string, number>()
    for (const name of await readdir(directory)) {
      const digest = wanted.get(name)
      if (digest === undefined) await rm(join(directory, name), { force: true })
      else there.set(digest, (await stat(join(directory, name))).size)
    }
    return new RulesetStore(directory, there)
  }

  private constructor(directory: string, there: Map<string, number>) {
    this.#directory = directory
    this.#there = there
  }

  path(digest: string): string {
    return join(this.#directory, nameOf(digest))
  }

  has({ digest, sizeBytes }: Ruleset): boolean {
    return this.#there.get(digest) === sizeBytes
  }

  /** @throws ERR_RULESET_DIGEST when they are others, or have another size; nothing is stored then */
  async put(
    ruleset: Ruleset,
    source: AsyncIterable<Uint8Array>,
    { signal, mayTakeName }: { signal: AbortSignal; mayTakeName: () => void }
  ): Promise<void> {
    const write = async (part: string): Promise<void> => {
      const digest = new TableDigest()
      await pipeline(seenBy(digest, source, ruleset), createWriteStream(part, { mode: READ_ONLY }), {
        signal
      })
      assertIs(ruleset, digest)
      await chmod(part, READ_ONLY)
      await using file = await open(part)
      await file.sync()
    }
    await writeDurably({ path: this.path(ruleset.digest), write, mayTakeName })
    this.#there.set(ruleset.digest, ruleset.sizeBytes)
  }

  /** Looked at again before each boot. @throws ERR_RULESET_DIGEST when the file is not that any more, or gone */
  async check(ruleset: Ruleset): Promise<void> {
    const digest = new TableDigest()
    try {
      for await (const piece of createReadStream(this.path(ruleset.digest), { highWaterMark: MIB }))
        digest.update(piece as Uint8Array)
    } catch (cause) {
      throw new HostError('ERR_RULESET_DIGEST', `the rules ${ruleset.digest} cannot be read`, { cause })
    }
    assertIs(ruleset, digest)
  }

  /** Remove all others. At once, so that nobody can come to name one meanwhile. */
  keepOnly(named: ReadonlySet<string>): void {
    for (const digest of this.#there.keys())
      if (!named.has(digest)) {
        this.#there.delete(digest)
        rmSync(this.path(digest), { force: true })
      }
  }
}

function nameOf(digest: string): string {
  return digest.replace(':', '-')
}

async function* seenBy(
  digest: TableDigest,
  source: AsyncIterable<Uint8Array>,
  { sizeBytes }: Ruleset
): AsyncGenerator<Uint8Array> {
  for await (const piece of source) {
    digest.update(piece)
    if (digest.bytes > sizeBytes)
      throw new HostError('ERR_RULESET_DIGEST', `the rules have more than the ${sizeBytes} bytes announced`)
    yield piece
  }
}

function assertIs({ digest, sizeBytes }: Ruleset, found: TableDigest): void {
  const is = found.digest()
  if (found.bytes !== sizeBytes || is !== digest)
    throw new HostError(
      'ERR_RULESET_DIGEST',
      `the rules have ${found.bytes} bytes and digest ${is}, expected ${sizeBytes} and ${digest}`
    )
}
