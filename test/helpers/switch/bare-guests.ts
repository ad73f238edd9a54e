import { spawn, type ChildProcess } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import {
  addressesOf,
  GATEWAY_ADDRESS,
  GUEST_END,
  macOf,
  portNamespace
} from '../../../soda-host/switch/addresses.ts'
import { command, namespacePath, script } from '../../../soda-host/switch/commands.ts'
import { type Link, type PortSpec, Switch } from '../../../soda-host/switch/index.ts'
import { temporaryDirectory } from '../temporary.ts'
import type { Ends } from './frames.ts'

const PEER = join(import.meta.dirname, '..', '..', 'fixtures', 'switch', 'peer.pl')

/** A real switch whose guests are bare network namespaces: everything but the guest kernel. */
export interface TestSwitch extends AsyncDisposable {
  readonly network: Switch
  /** As a daemon that starts again does, with these links on record; `slice`: what all may send outside. */
  reopen(links: readonly Link[], slice?: number): Promise<void>
  /** A port with a stack of the host's kernel behind it, in the next slot. */
  guest(spec?: Omit<PortSpec, 'id' | 'slot'>): Promise<BareGuest>
  /** The gateway's end, with everything there is outside behind it: {@link OUTSIDE_ADDRESS}. To be had once. */
  outside(): Promise<BareGuest>
}

export const OUTSIDE_ADDRESS = '151.101.1.1'

/** @param slice - what all servers may send outside together */
export async function testSwitch(slice?: number): Promise<TestSwitch> {
  await using undo = new AsyncDisposableStack()
  const stateDir = undo.use(await temporaryDirectory()).path
  const open = (
    ports: readonly PortSpec[],
    links: readonly Link[],
    outboundBitsPerSecond?: number
  ): Promise<Switch> =>
    Switch.open({
      stateDir,
      ports,
      links,
      ...(outboundBitsPerSecond !== undefined && { outboundBitsPerSecond })
    })
  let network = await open([], [], slice)
  const guests: BareGuest[] = []
  const specs: PortSpec[] = []
  const undoOutside = undo.use(new AsyncDisposableStack())
  undo.defer(async () => {
    for (const guest of guests) {
      await guest.stop()
      await network.removePort(guest.slot)
    }
    await network.close()
  })
  const resources = undo.move()
  return {
    get network() {
      return network
    },
    async reopen(links, changed = slice) {
      network = await open(specs, links, changed)
    },
    async outside() {
      return undoOutside.use(await openOutside(network))
    },
    async guest(spec = {}) {
      const slot = guests.length
      const id = `bare-guest-slot-${slot}`
      specs.push({ ...spec, id, slot })
      await network.addPort({ ...spec, id, slot })
      const guest = new BareGuest(id, slot, portNamespace(network.namespace, slot), addressesOf(slot))
      guests.push(guest)
      const { ipv4, mac } = guest
      const words = `ip link set ${GUEST_END} address ${mac} arp on; ip addr add ${ipv4}/16 dev ${GUEST_END}; ip link set lo up`
      await script(guest.namespace, `${words}; ip route add default via ${GATEWAY_ADDRESS}`)
      return guest
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync()
  }
}

/** The gateway's end of a switch, with {@link OUTSIDE_ADDRESS} behind it. */
export async function openOutside(network: Switch): Promise<BareGuest & AsyncDisposable> {
  const namespace = `${network.namespace}-outside`
  await command('ip', ['netns', 'add', namespace])
  await network.attachGateway({ namespace, interface: GUEST_END })
  const words = `ip addr add ${GATEWAY_ADDRESS}/16 dev ${GUEST_END}; ip addr add ${OUTSIDE_ADDRESS}/32 dev lo`
  await script(namespace, `${words}; ip link set lo up; ip link set ${GUEST_END} up`)
  const ends = { ipv4: OUTSIDE_ADDRESS, mac: macOf(GATEWAY_ADDRESS) }
  const outside = new BareGuest('outside', -1, namespace, ends)
  return Object.assign(outside, {
    [Symbol.asyncDispose]: async () => {
      await outside.stop()
      await command('ip', ['netns', 'delete', namespace])
    }
  })
}

export class BareGuest {
  readonly id: string
  readonly slot: number
  readonly namespace: string
  readonly ipv4: string
  readonly mac: string
  readonly #running: ChildProcess[] = []

  constructor(id: string, slot: number, namespace: string, { ipv4, mac }: { ipv4: string; mac: string }) {
    this.id = id
    this.slot = slot
    this.namespace = namespace
    this.ipv4 = ipv4
    this.mac = mac
  }

  /** Addresses of an honest frame to another. */
  to(other: BareGuest): Ends {
    return { fromMac: this.mac, toMac: other.mac, from: this.ipv4, to: other.ipv4 }
  }

  /** Put frames on the cable, in this order. */
  async send(...frames: readonly Buffer[]): Promise<void> {
    await this.#said('frames', GUEST_END, ...frames.map((frame) => frame.toString('hex')))
  }

  /** The answer; `silence`, or an error. */
  async ask(
    protocol: 'tcp' | 'udp',
    address: string,
    port: number,
    { words = 'hello', ownPort }: { words?: string; ownPort?: number } = {}
  ): Promise<string> {
    const own = ownPort === undefined ? [] : [String(ownPort)]
    return await this.#said('ask', protocol, address, String(port), words, ...own)
  }

  /** Answer on a port until the end of the test. */
  async serve(protocol: 'tcp' | 'udp', port: number): Promise<void> {
    const child = this.#spawn('serve', protocol, String(port))
    if (child.stdout !== null) await once(createInterface({ input: child.stdout }), 'line')
  }

  /** What arrives from now on. */
  async sniff(): Promise<Sniffer> {
    const child = this.#spawn('sniff', GUEST_END)
    const sniffer = new Sniffer(child)
    await sniffer.ready
    return sniffer
  }

  async stop(): Promise<void> {
    for (const child of this.#running) {
      const closed = once(child, 'close')
      if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) {
        // Servers fork for each client.
        process.kill(-child.pid, 'SIGKILL')
        await closed
      }
    }
    this.#running.length = 0
  }

  async #said(...args: string[]): Promise<string> {
    const child = this.#spawn(...args)
    if (child.stdout === null || child.stderr === null) throw new Error('no output')
    const [said, complaint] = await Promise.all([text(child.stdout), text(child.stderr)])
    if (complaint !== '') throw new Error(complaint)
    return said.trim()
  }

  #spawn(...args: string[]): ChildProcess {
    const command = ['--net=' + namespacePath(this.namespace), '--', 'perl', PEER, ...args]
    const child = spawn('nsenter', command, { stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    this.#running.push(child)
    return child
  }
}

/** Frames that arrived, as bytes. */
export class Sniffer {
  readonly ready: Promise<unknown>
  readonly frames: Buffer[] = []
  readonly #events = new EventEmitter()

  constructor(child: ChildProcess) {
    if (child.stdout === null) throw new Error('no output')
    const lines = createInterface({ input: child.stdout })
    this.ready = once(this.#events, 'ready')
    lines.on('line', (line) => {
      if (line === 'ready') this.#events.emit('ready')
      else this.frames.push(Buffer.from(line, 'hex'))
      this.#events.emit('frame')
    })
  }

  /** Everything up to the first frame that holds these words, without it. */
  async until(words: string): Promise<Buffer[]> {
    for (;;) {
      const at = this.frames.findIndex((frame) => frame.includes(words))
      if (at >= 0) return this.frames.splice(0, at + 1).slice(0, at)
      await once(this.#events, 'frame')
    }
  }
}
