/**
 * A kernel that is one server's own: stamped for its tenant, put by whoever created the server, and shared with nobody.
 *
 * What it must be is said by digest. It takes its name only when it is that, and is looked at again before each boot: a
 * file that was changed meanwhile is not booted.
 */
import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { chmod, open } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { KERNEL_BYTES_MAX } from '../../src/constants.ts'
import { HostError } from '../../src/errors.ts'
import { writeDurably } from './durable-file.ts'

/** The guest's uid reads it, nobody writes it. */
const MODE = 0o555

export interface StoreKernelInit {
  path: string
  /** `sha256:<hex>` */
  digest: string
  signal: AbortSignal
  /** Throws when it is too late. */
  mayTakeName: () => void
}

/** @throws ERR_KERNEL_DIGEST when it is another one; nothing is stored then */
export async function storeKernel(source: AsyncIterable<Uint8Array>, init: StoreKernelInit): Promise<void> {
  const { path, digest, signal, mayTakeName } = init
  const write = async (part: string): Promise<void> => {
    const hash = createHash('sha256')
    async function* seen(): AsyncGenerator<Uint8Array> {
      let bytes = 0
      for await (const chunk of source) {
        bytes += chunk.length
        if (bytes > KERNEL_BYTES_MAX)
          throw new HostError('ERR_KERNEL_DIGEST', `a kernel has at most ${KERNEL_BYTES_MAX} bytes`)
        hash.update(chunk)
        yield chunk
      }
    }
    await pipeline(seen, createWriteStream(part), { signal })
    assertDigest(hash.digest('hex'), digest)
    await chmod(part, MODE)
    await using file = await open(part)
    await file.sync()
  }
  await writeDurably({ path, write, mayTakeName })
}

/** @throws ERR_KERNEL_DIGEST when the file is not that any more, or gone */
export async function checkKernel(path: string, digest: string): Promise<void> {
  const hash = createHash('sha256')
  try {
    await pipeline(createReadStream(path, { highWaterMark: 2 ** 20 }), hash)
  } catch (cause) {
    throw new HostError('ERR_KERNEL_DIGEST', `the server's own kernel cannot be read`, { cause })
  }
  assertDigest(hash.digest('hex'), digest)
}

function assertDigest(hex: string, digest: string): void {
  if (`sha256:${hex}` !== digest)
    throw new HostError(
      'ERR_KERNEL_DIGEST',
      `the server's own kernel has digest sha256:${hex}, expected ${digest}`
    )
}
