/** A SODA host, a provider and a consumer on loopback, in this process, for the length of one bench. */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pino from 'pino'
import { hostClient } from '../soda-host/client/index.ts'
import { startDaemon } from '../soda-host/daemon/index.ts'
import { GIB, MIB } from '../src/constants.ts'
import type { Limits, Offer, Verified } from '../src/documents/index.ts'
import { createIdentity } from '../src/identity/index.ts'
import { createPeer, type Peer } from '../src/peer.ts'
import { defaultRules } from '../src/rules/index.ts'

export interface Market {
  consumer: Peer
  offer: Verified<Offer>
  directory: string
}

const SLICE = { cpu: 2, memoryBytes: GIB, diskBytes: 8 * GIB, servers: 4 }

export const BENCH_LIMITS: Limits = {
  cpu: 1,
  memoryBytes: 128 * MIB,
  diskBytes: GIB,
  processesMax: 128,
  outboundBitsPerSecond: 0,
  outputBytesMax: 8 * GIB,
  durationSeconds: 3600
}

export async function withMarket<T>(artifacts: string, use: (market: Market) => Promise<T>): Promise<T> {
  await using undo = new AsyncDisposableStack()
  const directory = await mkdtemp(join(tmpdir(), 'ishare-bench-'))
  undo.defer(() => rm(directory, { recursive: true, force: true }))
  // Virtual servers run under uids of their own and must be able to walk to their files.
  await chmod(directory, 0o711)
  const socketPath = join(directory, 'host.sock')
  undo.use(
    await startDaemon(
      { stateDir: join(directory, 'host'), socketPath, slice: SLICE, artifactsPath: artifacts },
      { log: pino({ level: 'error' }, pino.destination(2)) }
    )
  )
  const provider = await startProvider(directory, socketPath)
  undo.defer(() => provider.stop())
  const identity = await createIdentity()
  const consumer = await createPeer({ identity, ishare: { stateDir: join(directory, 'consumer') } })
  undo.defer(() => consumer.stop())
  const offer = provider.services.ishare.provider?.offer()
  if (offer === undefined) throw new TypeError('the provider has signed no offer')
  return await use({ consumer, offer, directory })
}

async function startProvider(directory: string, socketPath: string): Promise<Peer> {
  const host = hostClient({ socketPath })
  const rules = { ...defaultRules(SLICE), perRun: BENCH_LIMITS }
  return createPeer({
    identity: await createIdentity(),
    listen: ['/ip4/127.0.0.1/tcp/0'],
    ishare: {
      stateDir: join(directory, 'provider'),
      provider: {
        host,
        describe: async (signal) => ({
          slice: {
            architecture: 'x86_64',
            cpu: SLICE.cpu,
            memoryBytes: SLICE.memoryBytes,
            diskBytes: SLICE.diskBytes,
            outboundBitsPerSecond: 0,
            count: SLICE.servers
          },
          images: (await host.capacity(signal)).images,
          labels: [],
          rules,
          terms: { text: 'For measuring.' },
          factories: []
        })
      }
    }
  })
}
