/**
 * Attacker: root in a guest, with a link or an egress grant, and every packet that it likes, as fast as it can.
 * Assets: the neighbour that it is linked to, what others are served, the table of connections, the world's peace.
 * Expected: new connections, open connections and packets are bounded as the rules say, each server's by itself; who is
 * beside it is served meanwhile.
 *
 * The rules are the real ones with smaller numbers, so that no test has to send for minutes.
 */
import { expect } from 'chai'
import { once } from 'node:events'
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { namespacePath, nft } from '../../../soda-host/switch/commands.ts'
import * as outward from '../../../soda-host/switch/gateway/limits.ts'
import { baseRules as gatewayRules } from '../../../soda-host/switch/gateway/ruleset.ts'
import type { Link } from '../../../soda-host/switch/index.ts'
import { baseRules as switchRules } from '../../../soda-host/switch/ruleset.ts'
import { requires } from '../../helpers/capabilities.ts'
import { type BareGuest, testSwitch, type TestSwitch } from '../../helpers/switch/bare-guests.ts'
import { tcp, udp } from '../../helpers/switch/frames.ts'
import { granted, INTERNET, openGateway, type OpenedGateway } from '../../helpers/switch/gateway.ts'
import { openWorld, PUBLIC, type World } from '../../helpers/switch/world.ts'

const fixture = (name: string): string =>
  fileURLToPath(new URL(`../../fixtures/switch/${name}`, import.meta.url))
const [WEB, OTHER] = PUBLIC as [string, string]

/** The same rules with other numbers; fails where a number is not in them. */
function withNumbers(rules: string, numbers: Readonly<Record<string, string>>): string {
  return Object.entries(numbers).reduce((text, [from, to]) => {
    expect(text).to.include(from)
    return text.replaceAll(from, to)
  }, rules)
}

describe('floods towards a neighbour', function () {
  this.timeout(60_000)
  const BURST = 20
  const PER_SECOND = 10
  let lab: TestSwitch
  let attacker: BareGuest
  let victim: BareGuest
  let third: BareGuest

  before(async function () {
    requires(this, 'root', 'nftables')
    lab = await testSwitch()
    await nft(lab.network.namespace, [
      withNumbers(switchRules(), {
        '1000/second burst 1000 packets': `${PER_SECOND}/second burst ${BURST} packets`
      })
    ])
    attacker = await lab.guest()
    victim = await lab.guest()
    third = await lab.guest()
    await victim.serve('tcp', 80)
    await victim.serve('udp', 53)
    const links: [BareGuest, Link['protocol'], number][] = [
      [attacker, 'tcp', 80],
      [attacker, 'udp', 53],
      [attacker, 'udp', 54],
      [third, 'tcp', 80],
      [third, 'udp', 53],
      [third, 'udp', 54]
    ]
    for (const [from, protocol, port] of links)
      await lab.network.addLink({ from: from.id, to: victim.id, protocol, port })
  })
  after(() => lab[Symbol.asyncDispose]())

  for (const [name, frame] of [
    ['SYN', (port: number) => tcp(attacker.to(victim), port, 80, 2)],
    ['UDP', (port: number) => udp(attacker.to(victim), port, 53, 'flood')]
  ] as const)
    it(`of ${name} come through at the rate of new connections, and another is served meanwhile`, async () => {
      const seen = await victim.sniff()
      const startedMs = performance.now()
      for (let at = 0; at < 1500; at += 300) {
        await attacker.send(...Array.from({ length: 300 }, (_, i) => frame(1024 + at + i)))
        expect(await third.ask('tcp', victim.ipv4, 80)).to.equal(`${third.ipv4} hello`)
        expect(await third.ask('udp', victim.ipv4, 53)).to.equal(`${third.ipv4} hello`)
      }
      const seconds = (performance.now() - startedMs) / 1000
      await third.send(udp(third.to(victim), 1000, 54, 'the end'))
      const frames = await seen.until('the end')
      const flood = frames.filter(
        (each) => each.subarray(26, 30).join('.') === attacker.ipv4 && each.readUInt16BE(12) === 0x0800
      )
      const distinct = new Set(flood.map((each) => each.readUInt16BE(34)))
      expect(distinct.size).to.be.within(1, BURST + PER_SECOND * seconds + 1)
      const denied = (await lab.network.denials()).find(
        ({ from, to, protocol }) => from === attacker.id && to === victim.id && protocol === undefined
      )
      expect(denied?.packets).to.be.above(1000)
    })

  it('hold no more connections than one server may have, and leave others theirs', async () => {
    const CONNECTIONS = 15
    await nft(lab.network.namespace, [
      'flush set inet soda connections',
      withNumbers(switchRules(), { 'ct count over 4096': `ct count over ${CONNECTIONS}` })
    ])
    const [source, other] = [await lab.guest(), await lab.guest()]
    for (const from of [source, other])
      for (const port of [53, 54])
        await lab.network.addLink({ from: from.id, to: victim.id, protocol: 'udp', port })
    const seen = await victim.sniff()
    await source.send(
      ...Array.from({ length: 100 }, (_, i) => udp(source.to(victim), 2000 + i, 54, 'one more'))
    )
    expect(await other.ask('udp', victim.ipv4, 53)).to.equal(`${other.ipv4} hello`)
    await other.send(udp(other.to(victim), 1000, 54, 'the end'))
    const frames = (await seen.until('the end')).filter((frame) => frame.includes('one more'))
    expect(frames).to.have.length(CONNECTIONS)
  })
})

describe('floods outward', function () {
  this.timeout(60_000)
  let world: World
  let opened: OpenedGateway
  let attacker: string
  let neighbour: string

  before(async function () {
    requires(this, 'root', 'nftables')
    world = await openWorld()
    ;[attacker, neighbour] = world.guests as [string, string]
  })
  after(() => world[Symbol.asyncDispose]())
  beforeEach(async () => {
    opened = await openGateway(world)
    for (const slot of [0, 1]) await opened.gateway.setGrants(granted(slot, INTERNET))
  })
  afterEach(() => opened[Symbol.asyncDispose]())

  const reaches = (namespace: string): Promise<boolean[]> =>
    world.probe(namespace, [{ protocol: 'tcp', address: OTHER, port: 443 }])
  const refusals = async (reason: string): Promise<number> =>
    (await opened.gateway.denials()).find(
      (denial) => denial.from === '10.83.1.1' && denial.reason === reason && denial.flow === undefined
    )?.packets ?? 0

  it('hold no more connections than one server may have; others open theirs, and so does it when it lets go', async () => {
    const OPEN = 8
    await nft(opened.gateway.namespace, [
      withNumbers(gatewayRules(), { [`ct count over ${outward.CONNECTIONS_MAX}`]: `ct count over ${OPEN}` })
    ])
    const child = spawn(
      'nsenter',
      [`--net=${namespacePath(attacker)}`, '--', process.execPath, fixture('hold.ts'), WEB, '443', '30'],
      { stdio: ['ignore', 'pipe', 'inherit'] }
    )
    try {
      const [said] = (await once(child.stdout, 'data')) as [Buffer]
      expect(Number(said.toString())).to.equal(OPEN)
      expect(await reaches(attacker)).to.deep.equal([false])
      expect(await reaches(neighbour)).to.deep.equal([true])
      expect(await refusals('connections')).to.be.above(0)
    } finally {
      const ended = once(child, 'exit')
      child.kill('SIGKILL')
      await ended
    }
    expect(await reaches(attacker)).to.deep.equal([true])
  })

  it('send no more packets than the rate, in one flow as in many', async () => {
    const [perSecond, burst, sent] = [200, 100, 3000]
    await nft(opened.gateway.namespace, [
      withNumbers(gatewayRules(), {
        [`${outward.PACKETS_PER_SECOND}/second burst ${outward.PACKETS_BURST} packets`]: `${perSecond}/second burst ${burst} packets`
      })
    ])
    const arrived = async (): Promise<number> => (await world.arrivals()).get(`${WEB} udp 443`) ?? 0
    const before = await arrived()
    const startedMs = performance.now()
    await world.start(attacker, process.execPath, [fixture('stream.ts'), WEB, '443', String(sent)])
    expect(await reaches(neighbour)).to.deep.equal([true])
    const seconds = (performance.now() - startedMs) / 1000
    const count = (await arrived()) - before
    expect(count).to.be.within(1, burst + perSecond * seconds + 1)
    expect(await refusals('rate')).to.be.at.least(sent - count)
  })
})
