/**
 * What a victim's clients notice of a hostile guest on the same host CPU, each of the two with half of it. Throughput
 * under attack is compared with that of a victim which is alone and capped at its half: what it was promised.
 * Latency is compared with that of one that is alone and may use the idle half too.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hostClient, type HostClient } from '../soda-host/client/index.ts'
import { allowedCpus } from '../soda-host/resources/cpu-balancer.ts'
import { DAY_MS, MIB } from '../src/constants.ts'
import { attackerOf, ATTACKS, type Attack } from '../test/helpers/attacks.ts'
import { startDaemonProcess } from '../test/helpers/daemon/daemon-process.ts'
import { Puppet } from '../test/helpers/daemon/puppet.ts'
import { temporaryDirectory } from '../test/helpers/temporary.ts'
import { row, type BenchContext, type Row } from './report.ts'

const WORKER = join(import.meta.dirname, '..', 'test', 'fixtures', 'guest', 'worker.py')
const PORT = 8000
const REQUESTS = 10
const REQUEST_BYTES = 10_000
const HALF = { cpu: 0.5, memoryBytes: 96 * MIB, diskBytes: 64 * MIB, outputBytesMax: MIB }

interface Figures {
  requestsPerSecond: number[]
  /** Medians of each sample. */
  latencyMicroseconds: number[]
}

/** Client and victim on CPUs of their own, and room for one more beside the victim. */
interface Scene {
  host: HostClient
  victim: Puppet
  measure: () => Promise<Figures>
}

async function setScene(undo: AsyncDisposableStack, { artifacts, samples }: BenchContext): Promise<Scene> {
  const directory = undo.use(await temporaryDirectory()).path
  const socketPath = join(directory, 'run', 'host.sock')
  const config = {
    stateDir: join(directory, 'state'),
    socketPath,
    slice: { cpu: 2, memoryBytes: 512 * MIB, diskBytes: 512 * MIB, servers: 3 },
    artifactsPath: artifacts,
    cpus: allowedCpus().slice(0, 2),
    // Nobody is moved away from an attacker.
    timing: { balanceMs: DAY_MS }
  }
  const daemon = await startDaemonProcess(config, { guests: 'network' })
  undo.defer(async () => {
    await daemon.terminate()
  })
  const host = undo.use(hostClient({ socketPath }))
  undo.defer(async () => {
    for (const { id } of await host.list()) await host.destroy(id)
  })
  const files = { 'worker.py': await readFile(WORKER) }
  const program = { argv: ['python3', '-u', 'worker.py'], env: {} }
  const start = () => Puppet.start(host, program, { image: 'debian', limits: HALF, files })
  // Placed where the least is promised: the first CPU, the second, and an attacker on the first again.
  const victim = await start()
  await victim.tell(`serve ${PORT}`, 'serving')
  const client = await start()
  await victim.located()
  await host.putLink({ from: client.id, to: victim.id, protocol: 'tcp', port: PORT })
  const measure = async (): Promise<Figures> => {
    const figures: Figures = { requestsPerSecond: [], latencyMicroseconds: [] }
    for (let sample = 0; sample < samples; sample++) {
      const said = await client.tell(
        `ask ${victim.ipv4} ${PORT} ${REQUESTS} ${REQUEST_BYTES}`,
        'asked',
        'wrong'
      )
      const [count = Number.NaN, seconds = Number.NaN, latency = Number.NaN] = said
        .split(' ')
        .slice(1)
        .map(Number)
      figures.requestsPerSecond.push(count / seconds)
      figures.latencyMicroseconds.push(latency)
    }
    return figures
  }
  await measure()
  return { host, victim, measure }
}

async function underAttack({ host, victim, measure }: Scene, attack: Attack): Promise<Figures> {
  const { program, image } = attackerOf(attack)
  const attacker = await Puppet.start(host, program, { image, limits: { ...HALF, ...attack.limits } })
  await attacker.said(/^here/m)
  attacker.say('go').catch(() => undefined)
  if (attack.says !== undefined) await attacker.said(attack.says)
  while (attack.shows?.(await host.inspect(attacker.id)) === false);
  const [beside, own] = [await host.inspect(attacker.id), await host.inspect(victim.id)]
  if (beside.hostCpu !== own.hostCpu) throw new Error('attacker and victim are on different CPUs')
  const figures = await measure()
  await host.destroy(attacker.id)
  return figures
}

export async function bench(context: BenchContext): Promise<Row[]> {
  await using undo = new AsyncDisposableStack()
  const scene = await setScene(undo, context)
  const { host, victim, measure } = scene
  const alone = await measure()
  await host.setLimits(victim.id, { cpuMax: HALF.cpu })
  const promised = await measure()
  await host.setLimits(victim.id, { cpuMax: null })
  const rows = [
    row(
      'victim alone; alone, capped at its half',
      'requests/s',
      alone.requestsPerSecond,
      promised.requestsPerSecond
    ),
    row('... latency', 'us', alone.latencyMicroseconds, promised.latencyMicroseconds)
  ]
  // Those by which the attacker ends are over before there is anything to measure.
  for (const attack of ATTACKS.filter(({ isItsEnd }) => isItsEnd !== true)) {
    const { requestsPerSecond, latencyMicroseconds } = await underAttack(scene, attack)
    const name = `victim beside one that ${attack.name}`
    rows.push(
      row(`${name}; alone, capped at its half`, 'requests/s', requestsPerSecond, promised.requestsPerSecond),
      row('... latency; alone', 'us', latencyMicroseconds, alone.latencyMicroseconds)
    )
  }
  return rows
}
