/** A SODA host and a provider as processes of their own, and a consumer in this one, for the length of one bench. */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { GIB, MIB } from '../src/constants.ts'
import type { Limits, Offer, Verified } from '../src/documents/index.ts'
import { createIdentity } from '../src/identity/index.ts'
import { createPeer, type Peer } from '../src/peer.ts'
import { ServiceProcess } from '../src/setup/service-process.ts'
import { words } from '../src/setup/steps.ts'

export interface Market {
  consumer: Peer
  offer: Verified<Offer>
  /** Where the provider listens. */
  place: string
  directory: string
}

export const BENCH_LIMITS: Limits = {
  cpu: 1,
  memoryBytes: 128 * MIB,
  diskBytes: GIB,
  processesMax: 128,
  outboundBitsPerSecond: 0,
  outputBytesMax: GIB,
  durationSeconds: 3600
}

const LOOPBACK = '/ip4/127.0.0.1/tcp/0'

/** @param factories whose kernels the provider boots: `own` watches, `none` does not */
export async function withMarket<T>(
  artifacts: string,
  use: (market: Market) => Promise<T>,
  factories: 'own' | 'none' = 'none'
): Promise<T> {
  await using undo = new AsyncDisposableStack()
  const directory = await mkdtemp(join(tmpdir(), 'ishare-bench-'))
  undo.defer(() => rm(directory, { recursive: true, force: true }))
  // Virtual servers run under uids of their own and must be able to walk to their files.
  await chmod(directory, 0o711)
  const socket = join(directory, 'host.sock')
  const quiet = () => undefined
  undo.use(
    await ServiceProcess.start(
      words`host start --slice cpu=2,memory=1G,disk=8G,servers=4 --state-dir ${join(directory, 'host')}
        --socket-path ${socket} --artifacts ${artifacts}`,
      quiet
    )
  )
  const provider = undo.use(
    await ServiceProcess.start(
      words`provide --listen ${LOOPBACK} --state-dir ${join(directory, 'provider')} --socket-path ${socket}
        --factories ${factories} --artifacts ${artifacts}`,
      quiet
    )
  )
  const identity = await createIdentity()
  const consumer = await createPeer({ identity, ishare: { stateDir: join(directory, 'consumer') } })
  undo.defer(() => consumer.stop())
  const place = provider.fact('listening')
  return await use({ consumer, offer: await offerOf(consumer, place), place, directory })
}

async function offerOf(consumer: Peer, provider: string): Promise<Verified<Offer>> {
  for await (const found of consumer.services.ishare.discover({ peers: [provider] }))
    if (found.kind === 'offer') return found.offer
  throw new TypeError('the provider has signed no offer')
}
