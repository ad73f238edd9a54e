/**
 * The switch: two guests over a link against two bare namespaces on a plain bridge, with 0, 100 and 10,000 other links;
 * the time that one link takes to apply; how well a rate is kept, and how the slice is shared.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { MIB } from '../src/constants.ts'
import { GATEWAY_ADDRESS } from '../soda-host/switch/addresses.ts'
import { command, namespacePath, script } from '../soda-host/switch/commands.ts'
import { type Link, type PortSpec, Switch } from '../soda-host/switch/index.ts'
import { realGuests, type Guest } from '../test/helpers/guests.ts'
import { openOutside, OUTSIDE_ADDRESS, testSwitch } from '../test/helpers/switch/bare-guests.ts'
import { temporaryDirectory } from '../test/helpers/temporary.ts'
import { row, type BenchContext, type Row } from './report.ts'

const SCRIPT = join(import.meta.dirname, '..', 'test', 'fixtures', 'switch', 'guest_peer.py')
const POUR_BYTES = 32 * MIB
const PINGS = 200
const RATE_BITS_PER_SECOND = 20e6
/** Of a full Ethernet frame with TCP time stamps. */
const PAYLOAD_SHARE = 1448 / 1514
const RATE_BYTES = 10 * MIB
/** Guarantees of servers that all want more, of a slice of so much. */
const GUARANTEES = [8e6, 4e6, 0]
const SLICE_BITS_PER_SECOND = 20e6
const SHARE_SECONDS = 5
/** Servers that have links and no guest: what counts is the size of the sets. */
const OTHERS = 101
const OTHERS_SLOT = 1000
const OUTSIDE = { egress: true, ingress: [] }

/** Tells a line, and gets the number in the line that answers. */
type Talk = (line: string, answer: string) => Promise<number>

const numberIn = (line: string): number => Number(line.split(' ').at(-1))

function talkToGuest({ server, listener }: Guest): Talk {
  let offset = 0
  let seen = 0
  return async (line, answer) => {
    const data = Buffer.from(`${line}\n`)
    await server.stdin(offset, data)
    offset += data.length
    for (;;) {
      const text = listener.text('stdout')
      const end = text.indexOf('\n', seen)
      if (end < 0) {
        await listener.until((heard) => heard.text('stdout').includes('\n', seen))
        continue
      }
      const said = text.slice(seen, end)
      seen = end + 1
      if (said.startsWith(answer)) return numberIn(said)
    }
  }
}

function talkToProcess(child: ChildProcess): Talk {
  if (child.stdin === null || child.stdout === null) throw new Error('no pipes')
  const { stdin } = child
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return async (line, answer) => {
    stdin.write(`${line}\n`)
    for (;;) {
      const { value, done } = await lines.next()
      if (done === true) throw new Error('the peer ended')
      if (value.startsWith(answer)) return numberIn(value)
    }
  }
}

interface Figures {
  bitsPerSecond: number[]
  roundTripMicroseconds: number[]
}

async function measure(from: Talk, address: string, samples: number): Promise<Figures> {
  const figures: Figures = { bitsPerSecond: [], roundTripMicroseconds: [] }
  for (let sample = 0; sample < samples; sample++) {
    const seconds = await from(`pour ${address} 5001 ${POUR_BYTES}`, 'poured')
    figures.bitsPerSecond.push((POUR_BYTES * 8) / seconds)
    figures.roundTripMicroseconds.push(await from(`ping ${address} 5002 ${PINGS}`, 'pinged'))
  }
  return figures
}

function peerIn(namespace: string, undo: AsyncDisposableStack): Talk {
  const args = [`--net=${namespacePath(namespace)}`, '--', 'python3', '-u', SCRIPT]
  const child = spawn('nsenter', args, { stdio: ['pipe', 'pipe', 'inherit'] })
  undo.defer(async () => {
    child.kill('SIGKILL')
    if (child.exitCode === null && child.signalCode === null) await once(child, 'close')
  })
  return talkToProcess(child)
}

async function drainIn(namespace: string, undo: AsyncDisposableStack): Promise<void> {
  await peerIn(namespace, undo)('drain 5001', 'draining')
}

async function plainBridge(samples: number): Promise<Figures> {
  await using undo = new AsyncDisposableStack()
  const names = ['bridge', 'a', 'b'].map((name) => `ishare-bench-${process.pid}-${name}`)
  const [bridge = '', a = '', b = ''] = names
  for (const name of names) {
    await command('ip', ['netns', 'add', name])
    undo.defer(async () => {
      await command('ip', ['netns', 'delete', name])
    })
  }
  await script(bridge, 'ip link add br0 type bridge; ip link set br0 up')
  for (const [name, number] of [
    [a, 1],
    [b, 2]
  ] as const) {
    await script(name, 'ip link add g type veth peer name "$1" netns "$2"', `p${number}`, bridge)
    await script(bridge, 'ip link set "$1" master br0 up', `p${number}`)
    await script(name, `ip addr add 10.83.1.${number}/16 dev g; ip link set g up`)
  }
  const [from, to] = [peerIn(a, undo), peerIn(b, undo)]
  await to('drain 5001', 'draining')
  await to('serve 5002', 'serving')
  return await measure(from, '10.83.1.2', samples)
}

/** `count` links among servers that have no guest. */
function otherLinks(count: number): { ports: PortSpec[]; links: Link[] } {
  const ports = Array.from({ length: OTHERS }, (_, n) => ({ id: `other-server-${n}`, slot: OTHERS_SLOT + n }))
  const links = Array.from({ length: count }, (_, n): Link => {
    const from = n % OTHERS
    const to = (from + 1 + (Math.floor(n / OTHERS) % (OTHERS - 1))) % OTHERS
    return {
      from: `other-server-${from}`,
      to: `other-server-${to}`,
      protocol: 'tcp',
      port: 1 + Math.floor(n / OTHERS)
    }
  })
  return { ports, links }
}

async function linkTime(network: Switch, samples: number): Promise<number[]> {
  const times: number[] = []
  for (let sample = 0; sample < samples; sample++) {
    const link: Link = { from: 'other-server-0', to: 'other-server-1', protocol: 'udp', port: 1 + sample }
    const began = performance.now()
    await network.addLink(link)
    times.push(performance.now() - began)
  }
  return times
}

async function guests(samples: number, plain: Figures): Promise<Row[]> {
  await using undo = new AsyncDisposableStack()
  const stateDir = undo.use(await temporaryDirectory()).path
  let network = await Switch.open({ stateDir, ports: [], links: [] })
  undo.defer(() => network.close())
  const made = undo.use(
    await realGuests('debian', {
      network: {
        addPort: async (spec) => ({
          ...(await network.addPort({ ...spec, outside: OUTSIDE })),
          gateway: GATEWAY_ADDRESS
        }),
        removePort: (slot) => network.removePort(slot),
        setOutbound: (id, rates) => network.setOutbound(id, rates)
      }
    })
  )
  const limits = {
    cpu: 1,
    memoryBytes: 128 * MIB,
    diskBytes: 32 * MIB,
    processesMax: 64,
    outputBytesMax: MIB
  }
  const program = { argv: ['python3', '-u', '-c', await readFile(SCRIPT, 'utf8')], env: {} }
  const [a, b] = [
    await made.start(program, { slot: 0, limits, hostCpu: 0 }),
    await made.start(program, { slot: 1, limits, hostCpu: 1 })
  ]
  const [from, to] = [talkToGuest(a), talkToGuest(b)]
  await to('drain 5001', 'draining')
  await to('serve 5002', 'serving')
  const own: Link[] = [5001, 5002].map((port) => ({ from: a.spec.id, to: b.spec.id, protocol: 'tcp', port }))
  const ports: PortSpec[] = [a, b].map(({ spec }) => ({ id: spec.id, slot: spec.slot, outside: OUTSIDE }))
  const rows: Row[] = []
  for (const count of [0, 100, 10_000]) {
    const others = otherLinks(count)
    network = await Switch.open({
      stateDir,
      ports: [...ports, ...others.ports],
      links: [...own, ...others.links]
    })
    const { bitsPerSecond, roundTripMicroseconds } = await measure(from, '10.83.1.2', samples)
    rows.push(
      row(
        `TCP between guests, ${count} other links; plain bridge`,
        'bit/s',
        bitsPerSecond,
        plain.bitsPerSecond
      )
    )
    const name = `round trip between guests, ${count} other links; plain bridge`
    rows.push(row(name, 'us', roundTripMicroseconds, plain.roundTripMicroseconds))
    rows.push(row(`one more link, ${count} others`, 'ms', await linkTime(network, samples)))
  }
  await using outside = await openOutside(network)
  await drainIn(outside.namespace, undo)
  await network.setOutbound(a.spec.id, { outboundBitsPerSecond: RATE_BITS_PER_SECOND })
  const kept: number[] = []
  for (let sample = 0; sample < samples; sample++)
    kept.push((RATE_BYTES * 8) / (await from(`pour ${OUTSIDE_ADDRESS} 5001 ${RATE_BYTES}`, 'poured')))
  rows.push(
    row('TCP payload at a rate of 20 Mbit/s; what that carries', 'bit/s', kept, [
      RATE_BITS_PER_SECOND * PAYLOAD_SHARE
    ])
  )
  for (const { server } of [a, b]) await server.kill()
  return rows
}

/** Three servers that want all they can get: what each gets, to what it is entitled to. */
async function shares(samples: number): Promise<Row[]> {
  await using undo = new AsyncDisposableStack()
  const lab = undo.use(await testSwitch(SLICE_BITS_PER_SECOND))
  await drainIn((await lab.outside()).namespace, undo)
  const borrowed = (SLICE_BITS_PER_SECOND - GUARANTEES.reduce((sum, rate) => sum + rate)) / GUARANTEES.length
  for (const outboundBitsPerSecond of GUARANTEES) {
    const { namespace } = await lab.guest({ outboundBitsPerSecond, outside: OUTSIDE })
    // Whole frames, as guests send them: what counts bytes counts the headers of all.
    await script(namespace, 'ip link set g gso_max_segs 1')
    void peerIn(namespace, undo)(`pour ${OUTSIDE_ADDRESS} 5001 ${1024 * MIB}`, 'poured').catch(() => 0)
  }
  const sent = async (): Promise<number[]> => (await lab.network.ports()).map(({ sentBytes }) => sentBytes)
  await delay(1000)
  const got: number[][] = GUARANTEES.map(() => [])
  for (let sample = 0; sample < samples; sample++) {
    const [before, began] = [await sent(), performance.now()]
    await delay(SHARE_SECONDS * 1000)
    const [after, seconds] = [await sent(), (performance.now() - began) / 1000]
    for (const [n, rates] of got.entries()) rates.push((((after[n] ?? 0) - (before[n] ?? 0)) * 8) / seconds)
  }
  return GUARANTEES.map((rate, n) =>
    row(
      `sent with ${rate / 1e6} of 20 Mbit/s guaranteed, all wanting more; entitled to`,
      'bit/s',
      got[n] ?? [],
      [rate + borrowed]
    )
  )
}

export async function bench({ samples }: BenchContext): Promise<Row[]> {
  return [...(await guests(samples, await plainBridge(samples))), ...(await shares(samples))]
}
