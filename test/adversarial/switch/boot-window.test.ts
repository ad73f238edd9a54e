/**
 * Attacker: whoever sends before anybody expects it: a program in place of the guest kernel whose first act is to send;
 * and one that sits in the port's namespace before there is a port.
 * Asset: the other servers on the switch.
 * Expected: the rules are in force before the first frame can be: none of them arrives, and all are counted as refused.
 */
import { expect } from 'chai'
import { execa } from 'execa'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import {
  addressesOf,
  GUEST_END,
  macOf,
  GATEWAY_ADDRESS,
  portNamespace
} from '../../../soda-host/switch/addresses.ts'
import { inside, namespacePath } from '../../../soda-host/switch/commands.ts'
import { NETWORK_FD } from '../../../soda-host/virtual-server/jail.ts'
import { umlLauncher } from '../../../soda-host/virtual-server/index.ts'
import { requires } from '../../helpers/capabilities.ts'
import { launchSpec, RecordingListener } from '../../helpers/launched.ts'
import { type BareGuest, testSwitch, type TestSwitch } from '../../helpers/switch/bare-guests.ts'
import {
  arp,
  BROADCAST_MAC,
  ethernet,
  routerAdvertisement,
  tagged,
  udp,
  type Ends
} from '../../helpers/switch/frames.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

const FIXTURES = join(import.meta.dirname, '..', '..', 'fixtures', 'switch')
const END = 'nothing came before this'

/** What nobody may send, and what only a linked one may. */
function forgeries(ends: Ends): Buffer[] {
  const honest = udp(ends, 1000, 80, 'EARLY')
  return [
    honest,
    udp({ ...ends, from: '10.83.9.9' }, 1000, 80, 'EARLY'),
    udp({ ...ends, from: GATEWAY_ADDRESS, fromMac: macOf(GATEWAY_ADDRESS) }, 53, 1000, 'EARLY'),
    udp({ ...ends, toMac: BROADCAST_MAC, from: '0.0.0.0', to: '255.255.255.255' }, 68, 67, 'EARLY'),
    arp({ ...ends, toMac: BROADCAST_MAC, from: GATEWAY_ADDRESS }, 2),
    arp({ ...ends, toMac: BROADCAST_MAC }, 1),
    tagged(honest, { type: 0x8100, vlan: 1 }),
    routerAdvertisement(ends.fromMac),
    ethernet('01:80:c2:00:00:00', ends.fromMac, 0x0026, Buffer.from('EARLY'))
  ]
}

describe('frames before anybody expects them', function () {
  this.timeout(60_000)
  let lab: TestSwitch
  let victim: BareGuest
  let third: BareGuest

  before(async function () {
    requires(this, 'root', 'nftables', 'bubblewrap')
    lab = await testSwitch()
    victim = await lab.guest()
    third = await lab.guest()
    await lab.network.addLink({ from: third.id, to: victim.id, protocol: 'udp', port: 9999 })
  })
  after(() => lab[Symbol.asyncDispose]())

  const endsOf = (slot: number): Ends => {
    const { mac, ipv4 } = addressesOf(slot)
    return { fromMac: mac, toMac: victim.mac, from: ipv4, to: victim.ipv4 }
  }
  /** What the victim saw of it while `body` went on. */
  const seenWhile = async (body: () => Promise<void>): Promise<string[]> => {
    const seen = await victim.sniff()
    await body()
    await third.send(udp(third.to(victim), 1000, 9999, END))
    const { mac: own } = victim
    const fromOthers = (frame: Buffer): boolean =>
      ![own, third.mac].includes(
        frame
          .subarray(6, 12)
          .toString('hex')
          .replace(/..(?!$)/g, '$&:')
      )
    return (await seen.until(END)).filter(fromOthers).map((frame) => frame.toString('hex'))
  }
  const refused = async (): Promise<number> => {
    const text = await inside(lab.network.namespace, 'nft', ['list', 'counter', 'bridge', 'soda', 'refused'])
    return Number(/packets (\d+)/.exec(text)?.[1])
  }

  it('go nowhere when they are the first act of what stands in place of the guest kernel', async () => {
    await using directory = await temporaryDirectory()
    const program = join(directory.path, 'early')
    const flags = ['-static', '-O1', '-Wall', '-Werror', `-DCABLE=${NETWORK_FD}`]
    await execa('gcc', [...flags, '-o', program, join(FIXTURES, 'early.c')])
    await chmod(program, 0o755)
    const slot = 7
    const frames = forgeries(endsOf(slot))
    const bytes = frames.flatMap((frame) => [Buffer.from([frame.length & 255, frame.length >> 8]), frame])
    const facts = join(directory.path, 'frames')
    await writeFile(facts, Buffer.concat(bytes), { mode: 0o644 })
    const place = join(directory.path, 'guest')
    await mkdir(place)
    const before = await refused()
    const launcher = umlLauncher({ network: lab.network })
    const paths = { kernelPath: program, initrdPath: facts, imagePath: facts }
    const spec = { ...launchSpec(place, paths), slot }
    let sentPackets = 0
    expect(
      await seenWhile(async () => {
        const server = await launcher.launch(spec, new RecordingListener())
        await server.ended
        sentPackets = (await lab.network.ports()).find((port) => port.slot === slot)?.sentPackets ?? 0
      })
    ).to.deep.equal([])
    await launcher.sweep(spec)
    expect(sentPackets).to.equal(50 * frames.length)
    // All but the datagram that is honest about its sender, and its question for an address, up to a rate.
    expect((await refused()) - before).to.be.within(50 * (frames.length - 3), 50 * (frames.length - 1))
    const denied = (await lab.network.denials()).filter(
      ({ from }) => from === spec.id || from === addressesOf(slot).ipv4
    )
    expect(denied.map(({ protocol }) => protocol)).to.include('udp')
  })

  it('go nowhere from one that sat in the namespace of the port before there was a port', async () => {
    const slot = 2
    const frames = forgeries(endsOf(slot)).map((frame) => frame.toString('hex'))
    const path = namespacePath(portNamespace(lab.network.namespace, slot))
    const early = spawn('perl', [join(FIXTURES, 'early.pl'), path, GUEST_END, ...frames], {
      stdio: ['ignore', 'pipe', 'inherit']
    })
    const lines = createInterface({ input: early.stdout })
    const ended = once(early, 'exit')
    try {
      await once(lines, 'line')
      const sending = once(lines, 'line')
      const before = await refused()
      expect(
        await seenWhile(async () => {
          await lab.guest()
          await sending
          // It sends all the time: some of it came through the cable by now.
          while ((await refused()) - before < 1000);
        })
      ).to.deep.equal([])
    } finally {
      early.kill('SIGKILL')
      await ended
    }
  })
})
