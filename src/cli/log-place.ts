/** A sealed log as users name it: a file, a directory, or a run of theirs, whose log is fetched where it is not here yet. */
import { stat } from 'node:fs/promises'
import type { RunClient } from '../../irun/index.ts'
import { readLogFiles, type Anchor } from '../../soda-host/logs/index.ts'
import type { LogAnchor } from '../documents/index.ts'
import { hasCode } from '../errors.ts'
import { withConsumer } from './consumer.ts'
import { note } from './output.ts'
import { resolveRun } from './run-argument.ts'

export interface LogPlace {
  /** As the user wrote it. */
  name: string
  /** All of it, each time. */
  bytes(options: { follow: boolean; signal?: AbortSignal }): AsyncIterable<Uint8Array>
  /** What the log of a run must be of, in hex. */
  serverId?: string
  /** Heads that the provider has signed, as far as they are known after the bytes have been read. */
  anchors(): Promise<Anchor[]>
}

export async function withLogPlace(
  name: string,
  flags: object,
  use: (place: LogPlace) => Promise<void>
): Promise<void> {
  if (await isThere(name)) {
    const bytes: LogPlace['bytes'] = (options) => readLogFiles(name, options)
    await use({ name, bytes, anchors: () => Promise.resolve([]) })
    return
  }
  await withConsumer({ ...flags }, async (peer) => {
    const { runs } = peer.services.ishare
    const { runId } = resolveRun(runs, name)
    const { serverId } = await runs.logFacts(runId)
    await use({
      name,
      serverId,
      bytes: (options) => bytesOfRun(runs, runId, options),
      anchors: async () => (await runs.logFacts(runId)).anchors.map(({ payload }) => anchorOf(payload))
    })
  })
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch {
    return false
  }
}

/** Without its provider what is here has to do, and that is said. */
async function* bytesOfRun(
  runs: RunClient,
  runId: string,
  options: { follow: boolean; signal?: AbortSignal }
): AsyncGenerator<Uint8Array> {
  try {
    yield* runs.sealedLog(runId, options)
  } catch (error) {
    if (options.signal?.aborted === true) return
    if (!hasCode(error, 'ERR_PROVIDER_UNREACHABLE')) throw error
    note('The provider does not answer: this is what was brought home so far.')
  }
}

function anchorOf({ boot, frame, head }: LogAnchor): Anchor {
  return { bootNumber: boot, frameNumber: BigInt(frame), head }
}
