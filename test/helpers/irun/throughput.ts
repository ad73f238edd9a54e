/**
 * Standard input to standard output through iRun alone: `node test/helpers/irun/throughput.ts [MB]`. The provider
 * is a process of its own whose programs are `cat` in memory; all that is measured is frames, windows, libp2p and
 * the consumer's copy of the output.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { runClient, runHandler } from '../../../irun/index.ts'
import { createIdentity } from '../../../src/identity/index.ts'
import { verifyDocument } from '../../../src/documents/index.ts'
import { sampleOffer, SAMPLE_IMAGE, signed } from '../documents.ts'
import { temporaryDirectory } from '../temporary.ts'
import { echoHost } from './echo-host.ts'
import { RULES, smallLimits, startNode } from './market.ts'

if (process.send === undefined) await consume(Number(process.argv[2] ?? 512) * 1e6)
else await provide(process.argv[2] ?? '')

async function provide(stateDir: string): Promise<void> {
  const node = await startNode(await createIdentity())
  const offer = await signed(
    'offer',
    sampleOffer(node.identity, { rules: RULES, addresses: node.addresses() }),
    node.identity
  )
  const handler = runHandler(
    {
      registrar: node.libp2p,
      host: echoHost(SAMPLE_IMAGE),
      identity: node.identity,
      offers: { current: () => [offer.token] }
    },
    { stateDir, onError: (error) => console.error(error) }
  )
  await handler.start()
  process.send?.(offer.token)
}

async function consume(bytes: number): Promise<void> {
  await using directory = await temporaryDirectory()
  const provider = fork(import.meta.filename, [join(directory.path, 'provider')])
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
    let [received, endedAt] = [0, 0]
    const startedAt = performance.now()
    const feeding = feed()
    for await (const event of run.events)
      if (event.type === 'stdout') {
        received += event.data.length
        endedAt = performance.now()
      }
    await feeding
    await run.done
    console.log(`${received} bytes, ${(bytes / 1e3 / (endedAt - startedAt)).toFixed(1)} MB/s`)
  } finally {
    provider.kill('SIGKILL')
    await once(provider, 'close')
  }
}
