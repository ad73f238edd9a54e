import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import type { ConsumerProcessConfig } from '../../fixtures/irun/consumer-process.ts'
import type { ProviderProcessConfig } from '../../fixtures/irun/provider-process.ts'

const FIXTURES = join(import.meta.dirname, '..', '..', 'fixtures', 'irun')

function start(
  script: string,
  config: object
): { child: ReturnType<typeof spawn>; lines: AsyncIterable<string>; said: Promise<string> } {
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', join(FIXTURES, script), JSON.stringify(config)],
    { stdio: ['ignore', 'pipe', 'pipe'] }
  )
  return { child, lines: createInterface({ input: child.stdout }), said: text(child.stderr) }
}

export interface ProviderProcess extends AsyncDisposable {
  addresses: string[]
  /** Resolves when it is gone. */
  gone: Promise<void>
}

export async function startProvider(config: ProviderProcessConfig): Promise<ProviderProcess> {
  const { child, lines, said } = start('provider-process.ts', config)
  const closed = once(child, 'close')
  const gone = closed.then(() => undefined)
  for await (const line of lines)
    if (line.startsWith('ready ')) {
      return {
        addresses: line.split(' ').slice(1),
        gone,
        [Symbol.asyncDispose]: async () => {
          child.kill('SIGKILL')
          await gone
        }
      }
    }
  throw new Error(`the provider ended: ${await said}`)
}

/** A provider that is started again whenever it dies, without a wish to die the next time. */
export async function keepProvider(
  config: ProviderProcessConfig
): Promise<ProviderProcess & { deaths(): number }> {
  let current = await startProvider(config)
  let [deaths, isStopped] = [0, false]
  const port = Number(/\/tcp\/(\d+)/.exec(current.addresses[0] ?? '')?.[1])
  const { die: _die, ...calm } = config
  const kept = (async () => {
    while (true) {
      await current.gone
      if (isStopped) return
      deaths += 1
      current = await startProvider({ ...calm, port })
    }
  })()
  return {
    addresses: current.addresses,
    gone: kept,
    deaths: () => deaths,
    [Symbol.asyncDispose]: async () => {
      isStopped = true
      await current[Symbol.asyncDispose]()
      await kept
    }
  }
}

export interface ConsumerEnd {
  signal: NodeJS.Signals | null
  runId?: string
  stdout: string
  result?: { outcome: unknown; files: { path: string; sizeBytes: number }[] }
  said: string
}

/** Run a consumer to its end, whichever that is. */
export async function runConsumer(config: ConsumerProcessConfig): Promise<ConsumerEnd> {
  const { child, lines, said } = start('consumer-process.ts', config)
  const closed = once(child, 'close')
  const end: Pick<ConsumerEnd, 'runId' | 'stdout' | 'result'> = { stdout: '' }
  for await (const line of lines) {
    const [word = '', ...rest] = line.split(' ')
    if (word === 'run') end.runId = rest.join(' ')
    if (word === 'stdout') end.stdout += JSON.parse(rest.join(' ')) as string
    if (word === 'result') end.result = JSON.parse(rest.join(' ')) as NonNullable<ConsumerEnd['result']>
  }
  await closed
  return { ...end, signal: child.signalCode, said: await said }
}
