/**
 * What Kernort's watch costs a guest's TCP, by the size of what is handed over at once, as in the paper's figures 7 and 8:
 * the same kernel, stamped, logging everything and looking for 10 rules in every packet, against itself unstamped. The
 * other end is a process of the host on the other CPU, across the switch.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { compileRuleset } from '../soda-host/kernort/rules/index.ts'
import { namespacePath } from '../soda-host/switch/commands.ts'
import { bareGuest } from '../test/helpers/bare-guest.ts'
import { testSwitch, type BareGuest as Neighbour } from '../test/helpers/switch/bare-guests.ts'
import { temporaryDirectory } from '../test/helpers/temporary.ts'
import { watchedGuest } from '../test/helpers/watched-guest.ts'
import type { BenchContext, Row } from './report.ts'
import { inTurns, rowsOf, ROLES, type Boot } from './turns.ts'
import { compiled } from './watched.ts'

const MEMORY_BYTES = 96 * 1024 * 1024
const NETWORK_FD = 20
const PORT = 5001
const SLOT = 100
/** As many as the paper's. */
const RULES = Array.from(
  { length: 10 },
  (_, index) =>
    `alert tcp any any -> any any (msg:"bench"; flow:established; content:"attack-${index}-on-a-service"; sid:${index + 1};)`
).join('\n')

export async function bench({ samples }: BenchContext): Promise<Row[]> {
  await using undo = new AsyncDisposableStack()
  const directory = undo.use(await temporaryDirectory()).path
  const program = await compiled('wire.c')
  const path = join(directory, 'wire')
  await writeFile(path, program)
  await chmod(path, 0o755)
  const network = undo.use(await testSwitch())
  const other = await network.guest()
  undo.use(await otherEnd(other, path))
  const { table } = compileRuleset([{ file: 'bench.rules', text: RULES }])
  const boot: Boot = async (role, resources) => {
    const slot = SLOT + ROLES.indexOf(role)
    const port = await network.network.addPort({ id: role, slot })
    resources.defer(() => network.network.removePort(slot))
    await network.network.addLink({ from: role, to: other.id, protocol: 'tcp', port: PORT })
    const options = {
      memoryBytes: MEMORY_BYTES,
      opener: port.openSocket(NETWORK_FD),
      parameters: [
        `vec0:transport=fd,fd=${NETWORK_FD},mac=${port.mac},mtu=1500`,
        `ishare.ipv4=${port.ipv4}/${port.prefixLength}`
      ]
    }
    return role === 'watched'
      ? resources.use(await watchedGuest({ ...options, rules: table })).guest
      : resources.use(await bareGuest(options))
  }
  const rows = rowsOf(await inTurns(boot, program, ['drive', other.ipv4, String(PORT)], samples))
  return rows.map(inUnits)
}

/** `one way, 64` in nanoseconds a message becomes megabits a second; the rest microseconds. */
function inUnits(row: Row): Row {
  const [, way, bytes] = /^(one way|there and back), (\d+)$/.exec(row.name) ?? []
  if (way === undefined) return row
  const convert = (ns: number) => (way === 'one way' ? (Number(bytes) * 8e3) / ns : ns / 1e3)
  const invert = (ratio: number) => (way === 'one way' ? 1 / ratio : ratio)
  return {
    ...row,
    name: way === 'one way' ? `throughput, ${bytes} bytes at once` : `round trip of ${bytes} bytes`,
    unit: way === 'one way' ? 'Mbit/s' : 'us',
    value: convert(row.value),
    ...(row.baseline === undefined ? {} : { baseline: convert(row.baseline) }),
    ...(row.ratio === undefined ? {} : { ratio: invert(row.ratio) }),
    ...(row.control === undefined ? {} : { control: invert(row.control) })
  }
}

async function otherEnd({ namespace }: Neighbour, path: string): Promise<AsyncDisposable> {
  const command = ['taskset', '--cpu-list', '0', path, 'serve', String(PORT)]
  const child = spawn('nsenter', [`--net=${namespacePath(namespace)}`, '--', ...command], {
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true
  })
  await once(child.stdout, 'data')
  return {
    [Symbol.asyncDispose]: async () => {
      const closed = once(child, 'close')
      // It has one process for each connection.
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
      await closed
    }
  }
}
