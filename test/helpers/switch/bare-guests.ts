import { spawn, type ChildProcess } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { addressesOf, GUEST_END, portNamespace } from '../../../soda-host/switch/addresses.ts'
import { namespacePath, script } from '../../../soda-host/switch/commands.ts'
import { type Link, Switch } from '../../../soda-host/switch/index.ts'
import { temporaryDirectory } from '../temporary.ts'
import type { Ends } from './frames.ts'

const PEER = join(import.meta.dirname, '..', '..', 'fixtures', 'switch', 'peer.pl')

/** A real switch whose guests are bare network namespaces: everything but the guest kernel. */
export interface TestSwitch extends AsyncDisposable {
  readonly network: Switch
  /** As a daemon that starts again does, with these links on record. */
  reopen(links: readonly Link[]): Promise<void>
  /** A port with a stack of the host's kernel behind it, in the next slot. */
  guest(outboundBitsPerSecond?: number): Promise<BareGuest>
}

export async function testSwitch(): Promise<TestSwitch> {
  await using undo = new AsyncDisposableStack()
  const stateDir = undo.use(await temporaryDirectory()).path
  let network = await Switch.open({ stateDir, ports: [], links: [] })
  const guests: BareGuest[] = []
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
    async reopen(links) {
      network = await Switch.open({ stateDir, ports: guests, links })
    },
    async guest(outboundBitsPerSecond) {
      const slot = guests.length
      const id = `bare-guest-slot-${slot}`
      await network.addPort({ id, slot, outboundBitsPerSecond })
      const guest = new BareGuest(id, slot, network.namespace)
      guests.push(guest)
      const { ipv4, mac } = guest
      const words = `ip link set ${GUEST_END} address ${mac} arp on; ip addr add ${ipv4}/16 dev ${GUEST_END}; ip link set lo up`
      await script(guest.namespace, words)
      return guest
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync()
  }
}

export class BareGuest {
  readonly id: string
  readonly slot: number
  readonly namespace: string
  readonly ipv4: string
  readonly mac: string
  readonly #running: ChildProcess[] = []

  constructor(id: string, slot: number, switchNamespace: string) {
    this.id = id
    this.slot = slot
    this.namespace = portNamespace(switchNamespace, slot)
    const { ipv4, mac } = addressesOf(slot)
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
