/**
 * Attacker: whoever holds a guest's end of the cable, with every frame in reach, from before the guest runs.
 * Asset: the other servers on the switch, and the host.
 * Expected: nothing arrives but what a link allows, in its direction and on its port; what arrives tells the truth
 * about who sent it.
 *
 * Guests are bare network namespaces here: their end of the cable is the very same, and they are fast. What arrives
 * is seen by a packet socket at the victim; a datagram over a link, sent last, says when to look.
 */
import { expect } from 'chai'
import { GATEWAY_ADDRESS, macOf } from '../../../soda-host/switch/addresses.ts'
import { inside } from '../../../soda-host/switch/commands.ts'
import type { Link } from '../../../soda-host/switch/index.ts'
import { requires } from '../../helpers/capabilities.ts'
import {
  type BareGuest,
  type Sniffer,
  testSwitch,
  type TestSwitch
} from '../../helpers/switch/bare-guests.ts'
import {
  arp,
  BROADCAST_MAC,
  datagram,
  ethernet,
  packet,
  routerAdvertisement,
  tagged,
  tcp,
  udp
} from '../../helpers/switch/frames.ts'

const MARK_PORT = 9999

describe('a neighbour on the switch', function () {
  this.timeout(60_000)
  let lab: TestSwitch
  let attacker: BareGuest
  let victim: BareGuest
  let third: BareGuest
  let seen: Sniffer
  let mark = 0

  const linked = (from: BareGuest, to: BareGuest, protocol: Link['protocol'], port: number): Link => ({
    from: from.id,
    to: to.id,
    protocol,
    port
  })

  before(async function () {
    requires(this, 'root', 'nftables')
    lab = await testSwitch()
    attacker = await lab.guest()
    victim = await lab.guest()
    third = await lab.guest()
    await lab.network.addLink(linked(attacker, victim, 'udp', MARK_PORT))
    seen = await victim.sniff()
  })

  after(async () => {
    // Undefined where the test was skipped.
    await (lab as TestSwitch | undefined)?.[Symbol.asyncDispose]()
  })

  /** What the victim saw of these frames. */
  async function arrives(...frames: Buffer[]): Promise<Buffer[]> {
    const words = `mark ${++mark}!`
    await attacker.send(...frames, udp(attacker.to(victim), 1000, MARK_PORT, words))
    const before = await seen.until(words)
    // Where the victim's kernel asks who we are, ours tells the truth: not what we look for.
    const honest = arp(attacker.to(victim), 2).subarray(0, 42)
    return before.filter((frame) => !frame.subarray(0, 42).equals(honest))
  }

  const secret = (words = 'SECRET'): Buffer => datagram(1000, MARK_PORT, words)

  it('gets nothing across with somebody else’s MAC, nor with one of its own making', async () => {
    const ends = attacker.to(victim)
    for (const fromMac of [third.mac, victim.mac, macOf(GATEWAY_ADDRESS), '02:00:00:00:00:07'])
      expect(await arrives(packet({ ...ends, fromMac }, 17, secret()))).to.deep.equal([])
  })

  it('gets nothing across with somebody else’s address, a second one, or one from outside', async () => {
    const ends = attacker.to(victim)
    for (const from of [
      third.ipv4,
      victim.ipv4,
      '10.83.7.7',
      GATEWAY_ADDRESS,
      '8.8.8.8',
      '0.0.0.0',
      '127.0.0.1'
    ])
      expect(await arrives(packet({ ...ends, from }, 17, secret()))).to.deep.equal([])
  })

  it('can not say by ARP that it has another address or MAC, nor ask about others in another name', async () => {
    const ends = attacker.to(victim)
    const lies = [
      arp({ ...ends, from: third.ipv4 }, 2),
      arp({ ...ends, from: GATEWAY_ADDRESS }, 2),
      arp(ends, 2, third.mac),
      arp({ ...ends, fromMac: third.mac }, 2),
      arp({ ...ends, from: third.ipv4, toMac: BROADCAST_MAC }, 1),
      arp({ ...ends, from: victim.ipv4, to: victim.ipv4, toMac: BROADCAST_MAC }, 2)
    ]
    expect(await arrives(...lies)).to.deep.equal([])
  })

  it('that is linked is told a MAC, and one that is not, nothing', async () => {
    const question = { ...attacker.to(victim), toMac: BROADCAST_MAC }
    expect(await arrives(arp(question, 1))).to.have.length(1)
    const other = await third.sniff()
    await attacker.send(arp({ ...attacker.to(third), toMac: BROADCAST_MAC }, 1))
    await lab.network.addLink(linked(attacker, third, 'udp', MARK_PORT))
    await attacker.send(udp(attacker.to(third), 1000, MARK_PORT, 'third mark'))
    expect(await other.until('third mark')).to.deep.equal([])
    await lab.network.removeLink(linked(attacker, third, 'udp', MARK_PORT))
  })

  it('gets no IPv6 across, above all no router advertisement', async () => {
    expect(await arrives(routerAdvertisement(attacker.mac))).to.deep.equal([])
    expect(await arrives(ethernet(victim.mac, attacker.mac, 0x86dd, Buffer.alloc(60, 0x60)))).to.deep.equal(
      []
    )
  })

  it('gets nothing across behind VLAN tags, one or two, priority tags among them', async () => {
    const frame = udp(attacker.to(victim), 1000, MARK_PORT, 'SECRET')
    const tags = [
      [{ type: 0x8100, vlan: 1 }],
      [{ type: 0x8100, vlan: 0 }],
      [{ type: 0x8100, vlan: 0x2005 }],
      [{ type: 0x88a8, vlan: 2 }],
      [
        { type: 0x88a8, vlan: 1 },
        { type: 0x8100, vlan: 1 }
      ],
      [
        { type: 0x8100, vlan: 1 },
        { type: 0x8100, vlan: 1 }
      ]
    ]
    for (const tag of tags) expect(await arrives(tagged(frame, ...tag))).to.deep.equal([])
    const question = arp({ ...attacker.to(victim), toMac: BROADCAST_MAC }, 1)
    for (const tag of tags) expect(await arrives(tagged(question, ...tag))).to.deep.equal([])
  })

  it('can be no DHCP server, nor ask one', async () => {
    const everybody = { ...attacker.to(victim), toMac: BROADCAST_MAC, to: '255.255.255.255' }
    expect(await arrives(udp(everybody, 67, 68, 'OFFER'))).to.deep.equal([])
    expect(await arrives(udp({ ...everybody, from: '0.0.0.0' }, 68, 67, 'DISCOVER'))).to.deep.equal([])
    expect(await arrives(udp(attacker.to(victim), 67, 68, 'OFFER'))).to.deep.equal([])
  })

  it('gets no multicast, no broadcast, no other protocol and no spanning tree across', async () => {
    const ends = attacker.to(victim)
    expect(
      await arrives(
        udp({ ...ends, toMac: '01:00:5e:00:00:fb', to: '224.0.0.251' }, 5353, 5353, 'mDNS'),
        udp({ ...ends, toMac: BROADCAST_MAC, to: '10.83.255.255' }, 1000, MARK_PORT, 'SECRET'),
        packet(ends, 47, Buffer.alloc(40)),
        packet(ends, 1, Buffer.from('0800f7ff00000000', 'hex')),
        ethernet('01:80:c2:00:00:00', attacker.mac, 38, Buffer.alloc(38, 0x42)),
        ethernet(victim.mac, attacker.mac, 0x88cc, Buffer.alloc(50)),
        ethernet(victim.mac, attacker.mac, 0x8864, Buffer.alloc(50))
      )
    ).to.deep.equal([])
  })

  it('reaches nobody by naming one MAC and another address', async () => {
    const ends = attacker.to(victim)
    expect(await arrives(packet({ ...ends, to: third.ipv4 }, 17, secret()))).to.deep.equal([])
    const other = await third.sniff()
    await lab.network.addLink(linked(attacker, third, 'udp', MARK_PORT))
    await attacker.send(
      packet({ ...ends, toMac: third.mac }, 17, secret('SECRET for the victim')),
      udp(attacker.to(third), 1000, MARK_PORT, 'mark for the third')
    )
    expect(await other.until('mark for the third')).to.deep.equal([])
    await lab.network.removeLink(linked(attacker, third, 'udp', MARK_PORT))
  })

  it('gets around no port by fragments: what is reassembled is judged, what never is, never arrives', async () => {
    const ends = attacker.to(victim)
    const forbidden = datagram(1000, 22, 'x'.repeat(24))
    const allowed = datagram(1000, MARK_PORT, 'whole again '.repeat(2))
    const pieces = (bytes: Buffer, id: number): Buffer[] => [
      packet(ends, 17, bytes.subarray(0, 16), { id, moreFragments: true }),
      packet(ends, 17, bytes.subarray(16), { id, fragmentOffset: 16 })
    ]
    expect(await arrives(...pieces(forbidden, 7))).to.deep.equal([])
    // A tail alone; and a first piece so short that it holds no port.
    expect(await arrives(packet(ends, 17, Buffer.alloc(64, 1), { id: 8, fragmentOffset: 64 }))).to.deep.equal(
      []
    )
    expect(
      await arrives(packet(ends, 17, allowed.subarray(0, 8), { id: 9, moreFragments: true }))
    ).to.deep.equal([])
    const whole = await arrives(...pieces(allowed, 10))
    expect(whole.some((frame) => frame.includes('whole again'))).to.equal(true)
  })

  it('opens nothing with the source port of a reply, and no segment passes without a connection', async () => {
    await lab.network.addLink(linked(victim, attacker, 'tcp', 80))
    const ends = attacker.to(victim)
    // As if they answered: from the linked port, with every combination of flags that starts or joins something.
    const segments = [2, 16, 18, 1, 4, 0].map((flags) => tcp(ends, 80, 2000, flags))
    expect(await arrives(...segments, udp(ends, 80, 2000, 'SECRET'))).to.deep.equal([])
    await lab.network.removeLink(linked(victim, attacker, 'tcp', 80))
  })

  it('can not pretend an error of a connection that it has no part in', async () => {
    const inner = udp(victim.to(third), 1000, 80, 'x').subarray(14, 42)
    const icmp = Buffer.concat([Buffer.from('0301000000000000', 'hex'), inner])
    expect(await arrives(packet(attacker.to(victim), 1, icmp))).to.deep.equal([])
  })

  it('connects over a link in its direction and to its port only, and is cut off with it at once', async () => {
    const link = linked(attacker, victim, 'tcp', 8000)
    for (const guest of [attacker, victim]) for (const port of [8000, 8001]) await guest.serve('tcp', port)
    expect(await attacker.ask('tcp', victim.ipv4, 8000)).to.not.include('hello')
    await lab.network.addLink(link)
    expect(await attacker.ask('tcp', victim.ipv4, 8000)).to.equal(`${attacker.ipv4} hello`)
    expect(await attacker.ask('tcp', victim.ipv4, 8001)).to.equal('silence')
    expect(await victim.ask('tcp', attacker.ipv4, 8000)).to.equal('silence')
    // Half of a connection that exists, from the wrong side.
    await lab.network.removeLink(link)
    expect(await attacker.ask('tcp', victim.ipv4, 8000)).to.not.include('hello')
    await arrives()
    const held = await arrives(tcp(attacker.to(victim), 1234, 8000, 16))
    expect(held).to.deep.equal([])
  })

  it('finds replies cut in the middle of a conversation when the link goes', async () => {
    const link = linked(third, victim, 'udp', 7000)
    await victim.serve('udp', 7000)
    await lab.network.addLink(link)
    expect(await third.ask('udp', victim.ipv4, 7000, { ownPort: 4000 })).to.equal(`${third.ipv4} hello`)
    await lab.network.removeLink(link)
    // The connection is still in the table of the kernel: same ports, both directions.
    const other = await third.sniff()
    await victim.send(udp(victim.to(third), 7000, 4000, 'late reply'))
    await lab.network.addLink(linked(victim, third, 'udp', MARK_PORT))
    await victim.send(udp(victim.to(third), 1000, MARK_PORT, 'mark after the reply'))
    const frames = await other.until('mark after the reply')
    expect(frames.some((frame) => frame.includes('late reply'))).to.equal(false)
    await lab.network.removeLink(linked(victim, third, 'udp', MARK_PORT))
  })

  it('is on record for what was refused', async () => {
    await lab.network.addLink(linked(attacker, victim, 'udp', MARK_PORT))
    await arrives(tcp(attacker.to(victim), 5000, 5432, 2))
    const denials = await lab.network.denials()
    const between = denials.filter(({ from, to }) => from === attacker.id && to === victim.id)
    expect(
      between.find(({ protocol, port }) => protocol === 'tcp' && port === 5432)?.packets
    ).to.be.greaterThan(0)
    expect(between.find(({ protocol }) => protocol === undefined)?.packets).to.be.greaterThan(0)
  })

  it('scans without an end, and neither fills the record nor slows it', async () => {
    const ends = attacker.to(victim)
    const scan = Array.from({ length: 3000 }, (_, port) => tcp(ends, 5001, 10_000 + port, 2))
    for (let at = 0; at < scan.length; at += 300) await attacker.send(...scan.slice(at, at + 300))
    expect(await arrives()).to.deep.equal([])
    const flows = (await lab.network.denials()).filter(({ port }) => port !== undefined && port >= 10_000)
    expect(flows.length).to.be.greaterThan(10).and.lessThan(1500)
  })

  it('hears nothing of what others say to each other', async () => {
    const link = linked(victim, third, 'udp', 6000)
    await lab.network.addLink(link)
    const ear = await attacker.sniff()
    await victim.send(udp(victim.to(third), 1000, 6000, 'in confidence'))
    await lab.network.addLink(linked(victim, attacker, 'udp', MARK_PORT))
    await victim.send(udp(victim.to(attacker), 1000, MARK_PORT, 'mark for the ear'))
    expect(await ear.until('mark for the ear')).to.deep.equal([])
    await lab.network.removeLink(link)
    await lab.network.removeLink(linked(victim, attacker, 'udp', MARK_PORT))
  })

  it('finds neither the host nor the bridge: there is no address to find', async () => {
    const addresses = await inside(lab.network.namespace, 'ip', ['-o', 'addr'])
    expect(addresses.trim()).to.equal('')
    const bridge = await inside(lab.network.namespace, 'ip', ['-o', 'link', 'show', 'br0'])
    const bridgeMac = /link\/ether ([0-9a-f:]{17})/.exec(bridge)?.[1] ?? ''
    const ear = await attacker.sniff()
    const ends = { ...attacker.to(victim), toMac: bridgeMac }
    await attacker.send(
      arp({ ...ends, to: GATEWAY_ADDRESS, toMac: BROADCAST_MAC }, 1),
      packet({ ...ends, to: '10.83.0.1' }, 1, Buffer.from('0800f7ff00000000', 'hex')),
      tcp({ ...ends, to: '127.0.0.1' }, 5000, 22, 2)
    )
    await lab.network.addLink(linked(victim, attacker, 'udp', MARK_PORT))
    await victim.send(udp(victim.to(attacker), 1000, MARK_PORT, 'mark of silence'))
    expect(await ear.until('mark of silence')).to.deep.equal([])
    await lab.network.removeLink(linked(victim, attacker, 'udp', MARK_PORT))
  })

  it('has only its own end of a cable beside it, whatever its socket is bound to', async () => {
    const links = await inside(attacker.namespace, 'ip', ['-o', 'link'])
    // What the kernel puts into every new namespace is down, and leads nowhere.
    const up = links.split('\n').filter((line) => line.includes('state UP'))
    expect(up).to.have.length(1)
    expect(up[0]).to.include(' g@')
    expect(links).to.not.match(/ p\d+@| br0| eth/)
  })

  it('finds links, denials and addresses as they were after the daemon has died', async () => {
    const link = linked(attacker, victim, 'tcp', 8000)
    await lab.network.addLink(link)
    const before = (await lab.network.denials()).filter(({ protocol }) => protocol === undefined)
    await lab.reopen([link, linked(attacker, victim, 'udp', MARK_PORT)])
    expect(await attacker.ask('tcp', victim.ipv4, 8000)).to.equal(`${attacker.ipv4} hello`)
    const after = (await lab.network.denials()).filter(({ protocol }) => protocol === undefined)
    for (const { from, to, packets } of before)
      expect(after.find((denial) => denial.from === from && denial.to === to)?.packets).to.be.at.least(
        packets
      )
    // A link that is not on record is none, however it came to be there.
    await lab.reopen([linked(attacker, victim, 'udp', MARK_PORT)])
    expect(await attacker.ask('tcp', victim.ipv4, 8000)).to.not.include('hello')
    const addresses = (await lab.network.ports()).map(({ ipv4 }) => ipv4)
    expect(addresses).to.have.members([attacker, victim, third].map(({ ipv4 }) => ipv4))
  })
})
