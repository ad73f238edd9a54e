import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { runClient } from '../../../irun/index.ts'
import { verifyDocument } from '../../../src/documents/index.ts'
import { SAMPLE_IMAGE } from '../documents.ts'
import { temporaryDirectory } from '../temporary.ts'
import { smallLimits, startNode } from './market.ts'

const PROVIDER = join(import.meta.dirname, '..', '..', 'fixtures', 'irun', 'echo-provider.ts')

/**
 * Standard input to standard output through iRun alone: frames, windows, libp2p between two processes, and the
 * consumer's copy of the output; the host is memory. For benches: `node test/helpers/irun/throughput.ts [MB]`.
 *
 * @returns what came back, in bytes, and the rate
 */
export async function echoThroughRun(
  bytes: number
): Promise<{ receivedBytes: number; megabytesPerSecond: number }> {
  await using directory = await temporaryDirectory()
  const provider = fork(PROVIDER, [join(directory.path, 'provider')])
  try {
    const [token] = (await once(provider, 'message')) as [string]
    await using node = await startNode()
    await using client = runClient(node, { stateDir: join(directory.path, 'consumer') })
    const run = await client.submit({
      offer: await verifyDocument('offer', token),
      limits: smallLimits({ outputBytesMax: 2e9 }),
      image: SAMPLE_IMAGE.name,
      program: { argv: ['cat'] }
    })
    const chunk = Buffer.alloc(2 ** 20, 'x')
    const feed = async (): Promise<void> => {
      for (let sent = 0; sent < bytes; sent += chunk.length)
        await run.writeStdin(chunk.subarray(0, Math.min(chunk.length, bytes - sent)))
      await run.endStdin()
    }
    let [receivedBytes, endedAtMs] = [0, 0]
    const startedAtMs = performance.now()
    const feeding = feed()
    for await (const event of run.events)
      if (event.type === 'stdout') {
        receivedBytes += event.data.length
        endedAtMs = performance.now()
      }
    await feeding
    await run.done
    return { receivedBytes, megabytesPerSecond: bytes / 1e3 / (endedAtMs - startedAtMs) }
  } finally {
    provider.kill('SIGKILL')
    await once(provider, 'close')
  }
}

if (import.meta.main) console.log(await echoThroughRun(Number(process.argv[2] ?? 512) * 1e6))
