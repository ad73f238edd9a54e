/**
 * Attacker: root in a guest, with every grant that there is, or none; raw sockets, any packet it likes.
 * Assets: the owner's machine, its networks, a cloud's metadata, the other servers; and the world's peace.
 * Expected: not one packet arrives where no guest may go (counted there, not here); nothing arrives that was not
 * granted; what a guest sends outward is bounded; a neighbour notices nothing.
 */
import { expect } from 'chai'
import { fileURLToPath } from 'node:url'
import { inside, script } from '../../../soda-host/switch/commands.ts'
import { NEW_BURST, NEW_PER_SECOND } from '../../../soda-host/switch/gateway/limits.ts'
import { requires } from '../../helpers/capabilities.ts'
import { granted, INTERNET, openGateway, type OpenedGateway } from '../../helpers/switch/gateway.ts'
import {
  HOST_ADDRESS,
  HOST_LAN_ADDRESS,
  openWorld,
  PRIVATE,
  PUBLIC,
  type Target,
  type World
} from '../../helpers/switch/world.ts'

const fixture = (name: string): string =>
  fileURLToPath(new URL(`../../fixtures/switch/${name}`, import.meta.url))
const [WEB, DNS] = PUBLIC as [string, string]
const QUIC = { kind: 'allow' as const, to: [{ host: WEB, protocol: 'udp' as const, port: 443 }] }
/** Everything that is somebody's who was not asked, the gateway itself and the neighbour too. */
const OUT_OF_REACH = [
  ...PRIVATE,
  HOST_ADDRESS,
  HOST_LAN_ADDRESS,
  '10.83.0.1',
  '10.83.1.2',
  '10.83.255.255',
  '198.18.0.1',
  '192.168.7.255',
  '93.184.216.255',
  '224.0.0.251',
  '239.255.255.250',
  '255.255.255.255',
  '240.0.0.1'
]

describe('a hostile guest at the reverse firewall', function () {
  this.timeout(60_000)
  let world: World
  let opened: OpenedGateway
  let attacker: string
  let neighbour: string

  before(async function () {
    requires(this, 'root', 'nftables')
    world = await openWorld()
    ;[attacker, neighbour] = world.guests as [string, string]
    // By way of the gateway, since the switch lets it go no other way.
    await inside(attacker, 'ip', ['route', 'add', '10.83.1.2/32', 'via', '10.83.0.1'])
  })
  after(async () => world[Symbol.asyncDispose]())
  beforeEach(async () => {
    opened = await openGateway(world)
    await opened.gateway.setGrants(granted(1, INTERNET))
  })
  afterEach(async () => opened[Symbol.asyncDispose]())

  const everywhere = (port: number, sourcePort?: number): Target[] =>
    OUT_OF_REACH.flatMap((address) =>
      (['tcp', 'udp'] as const).map((protocol) => ({
        protocol,
        address,
        port,
        ...(sourcePort !== undefined && { sourcePort })
      }))
    )

  it('reaches nobody who was not asked, by any grant, port or source port', async () => {
    const allowAll = {
      kind: 'allow' as const,
      to: OUT_OF_REACH.flatMap((host) =>
        [53, 80].flatMap((port) => (['tcp', 'udp'] as const).map((protocol) => ({ host, protocol, port })))
      )
    }
    await using _ = await world.serve(neighbour, 80)
    for (const egress of [{ kind: 'none' as const }, INTERNET, allowAll]) {
      await opened.gateway.setGrants(granted(0, egress))
      const scan = [...everywhere(80), ...everywhere(53, 53).slice(1)]
      // A source port is taken once for TCP and UDP each.
      const answers = await world.probe(attacker, scan)
      expect(scan.filter((_target, i) => answers[i])).to.deep.equal([])
      expect(await world.trespasses()).to.deep.equal([])
    }
    const reasons = await opened.gateway.denials()
    expect(reasons.some(({ reason, flow }) => reason === 'forbidden' && flow?.to === '192.168.7.9')).to.be
      .true
  })

  it('cannot be let to a network that the owner joined after the grant', async () => {
    await opened.gateway.setGrants(granted(0, INTERNET))
    const office: Target = { protocol: 'tcp', address: DNS, port: 443 }
    const talk = world.talk(attacker, office)
    expect(await talk.say('while it is public\n')).to.be.true
    await inside(world.host, 'ip', ['route', 'add', '1.1.0.0/16', 'dev', 'eth0'])
    await opened.gateway.refresh()
    const arrived = (await world.arrivals()).get(`${DNS} tcp 443`)
    expect(await talk.say('now it is the owner’s\n')).to.be.false
    expect(await world.probe(attacker, [office])).to.deep.equal([false])
    await inside(world.host, 'ip', ['route', 'del', '1.1.0.0/16', 'dev', 'eth0'])
    expect((await world.arrivals()).get(`${DNS} tcp 443`)).to.equal(arrived)
  })

  it('gets no packet through that belongs to no connection, in pieces, or by source route', async () => {
    await opened.gateway.setGrants(granted(0, QUIC))
    const before = await world.arrivals()
    for (const what of [
      'overlap',
      'tiny',
      'ack',
      'rst',
      'xmas',
      'synack',
      'null',
      'route',
      'gre',
      'sctp',
      'ipip'
    ])
      await inside(attacker, 'perl', [fixture('raw-packets.pl'), WEB, what, '10.83.1.1'])
    const allowed = await world.probe(attacker, [{ protocol: 'udp', address: WEB, port: 443 }])
    expect(allowed).to.deep.equal([true])
    expect(newSince(before, await world.arrivals())).to.deep.equal([`${WEB} udp 443`])
    await opened.gateway.setGrants(granted(0, INTERNET))
    for (const what of ['ack', 'rst', 'xmas', 'synack', 'null', 'route', 'gre', 'sctp', 'ipip'])
      await inside(attacker, 'perl', [fixture('raw-packets.pl'), WEB, what, '10.83.1.1'])
    expect(newSince(before, await world.arrivals())).to.deep.equal([`${WEB} udp 443`])
    expect(await world.trespasses()).to.deep.equal([])
  })

  it('cannot send from an address that is not of the switch', async () => {
    await opened.gateway.setGrants(granted(0, INTERNET))
    const before = await world.arrivals()
    for (const from of ['192.168.7.9', '8.8.8.8', '10.83.0.1', HOST_ADDRESS])
      await inside(attacker, 'perl', [fixture('raw-packets.pl'), WEB, 'overlap', from])
    expect(newSince(before, await world.arrivals())).to.deep.equal([])
  })

  for (const protocol of ['tcp', 'udp'] as const)
    it(`cannot flood the world with new ${protocol} flows, and its neighbour is served meanwhile`, async () => {
      await opened.gateway.setGrants(granted(0, INTERNET))
      const before = total(await world.arrivals(), protocol)
      const startedMs = performance.now()
      const flood = world.start(attacker, process.execPath, [fixture('flood.ts'), protocol, WEB, '5000'])
      const served = await world.probe(neighbour, [
        { protocol: 'tcp', address: DNS, port: 443 },
        { protocol: 'udp', address: DNS, port: 443 }
      ])
      expect(served).to.deep.equal([true, true])
      await flood
      const arrived = total(await world.arrivals(), protocol) - before
      const seconds = (performance.now() - startedMs) / 1000
      // What the neighbour sent arrived as well: a handshake and a question.
      expect(arrived).to.be.below(2 * (NEW_BURST + NEW_PER_SECOND * seconds) + 100)
      const denied = (await opened.gateway.denials()).find(
        ({ from, reason, flow }) => from === '10.83.1.1' && reason === 'rate' && flow === undefined
      )
      expect(denied?.packets).to.be.above(1000)
    })

  it('loses no rule to a crowd of denied flows: detail is bounded, totals go on', async () => {
    await inside(attacker, process.execPath, [fixture('flood.ts'), 'udp', WEB, '3000'])
    const denials = await opened.gateway.denials()
    const flows = denials.filter(({ flow }) => flow !== undefined)
    const sum = denials
      .filter(({ flow }) => flow === undefined)
      .reduce((all, { packets }) => all + packets, 0)
    expect(sum).to.be.above(2000)
    expect(flows.length).to.be.within(1, 1000)
  })

  it('gets nothing through as IPv6', async () => {
    await opened.gateway.setGrants(granted(0, INTERNET))
    await script(
      attacker,
      'echo 0 > /proc/sys/net/ipv6/conf/all/disable_ipv6; echo 0 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6 || true'
    )
    const addresses = await inside(opened.gateway.namespace, 'ip', ['-6', 'addr'])
    expect(addresses).to.equal('')
    const rules = await inside(opened.gateway.namespace, 'cat', ['/proc/sys/net/ipv6/conf/all/forwarding'])
    expect(rules).to.equal('0')
  })

  it('would have been seen: whoever may go there is counted', async () => {
    await world.probe(world.host, [{ protocol: 'tcp', address: '192.168.7.9', port: 81 }])
    expect(await world.trespasses()).to.include('192.168.7.9 tcp 81')
  })
})

function newSince(before: ReadonlyMap<string, number>, now: ReadonlyMap<string, number>): string[] {
  return [...now].filter(([key, count]) => count !== before.get(key)).map(([key]) => key)
}

function total(arrivals: ReadonlyMap<string, number>, protocol: string): number {
  return [...arrivals]
    .filter(([key]) => key.includes(` ${protocol} `))
    .reduce((sum, [, count]) => sum + count, 0)
}
