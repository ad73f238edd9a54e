/**
 * Attackers: a guest that asks our resolver whatever it likes; a DNS server on the Internet that answers whatever it
 * likes, above all with addresses of the owner's network for a name that was granted (rebinding).
 * Assets: the owner's network; the resolver; other servers' names.
 * Expected: a granted name opens what it means and nothing else, and only addresses that may be reached; nothing that
 * anybody sends ends the resolver or keeps it from others.
 */
import { expect } from 'chai'
import { fileURLToPath } from 'node:url'
import { command, inside } from '../../../soda-host/switch/commands.ts'
import type { NameDenial } from '../../../soda-host/switch/gateway/gateway.ts'
import { requires } from '../../helpers/capabilities.ts'
import { granted, INTERNET, openGateway, type OpenedGateway } from '../../helpers/switch/gateway.ts'
import { openWorld, PUBLIC, type Target, type World } from '../../helpers/switch/world.ts'

const fixture = (name: string): string =>
  fileURLToPath(new URL(`../../fixtures/switch/${name}`, import.meta.url))
const [WEB, SECOND] = PUBLIC as [string, string]
const UPSTREAM = '9.9.9.9'
const https = (address: string, port = 443): Target => ({ protocol: 'tcp', address, port })
const names = (
  ...hosts: string[]
): { kind: 'allow'; to: { host: string; protocol: 'tcp'; port: number }[] } => ({
  kind: 'allow',
  to: hosts.map((host) => ({ host, protocol: 'tcp', port: 443 }))
})

describe('names for guests', function () {
  this.timeout(60_000)
  let world: World
  let opened: OpenedGateway
  let denials: NameDenial[]

  before(async function () {
    requires(this, 'root', 'nftables')
    world = await openWorld(2, [UPSTREAM])
    await world.start(world.others, process.execPath, [fixture('dns-server.ts'), UPSTREAM])
  })
  after(() => world[Symbol.asyncDispose]())
  beforeEach(async () => {
    denials = []
    opened = await openGateway(world, {
      upstreams: [UPSTREAM],
      onNameDenied: (denial) => denials.push(denial)
    })
  })
  afterEach(() => opened[Symbol.asyncDispose]())

  const ask = async (slot: number, ...words: string[]): Promise<unknown[]> =>
    JSON.parse(
      await inside(world.guests[slot]!, process.execPath, [fixture('ask.ts'), ...words])
    ) as unknown[]
  const stream = async (slot: number, ...words: string[]): Promise<unknown[]> =>
    JSON.parse(
      await inside(world.guests[slot]!, process.execPath, [fixture('ask-stream.ts'), ...words])
    ) as unknown[]
  const reach = (slot: number, ...targets: Target[]): Promise<boolean[]> =>
    world.probe(world.guests[slot]!, targets)

  it('mean nothing without a grant, and nothing beyond it with one', async () => {
    await opened.gateway.setGrants(granted(1, names('second.example')))
    expect(await ask(0, 'good.example')).to.deep.equal(['ECONNREFUSED'])
    await opened.gateway.setGrants(granted(0, names('Good.example', 'alias.example')))
    expect(await reach(0, https(WEB)), 'before it was asked for').to.deep.equal([false])
    expect(
      await ask(0, 'GOOD.example', 'alias.example', 'second.example', 'good.example/TXT', 'good.example/AAAA')
    ).to.deep.equal([[WEB], [WEB], 'EREFUSED', 'ENODATA', 'ENODATA'])
    expect(await reach(0, https(WEB), https(WEB, 80), https(SECOND))).to.deep.equal([true, false, false])
    expect(await reach(1, https(WEB)), 'what another server asked for').to.deep.equal([false])
    expect(denials).to.deep.include({
      id: granted(0, INTERNET).id,
      name: 'second.example',
      reason: 'not-granted'
    })
  })

  it('of linked servers are known to the one that is linked, at once and no longer', async () => {
    const [alice, bob] = ['10.83.1.1', '10.83.1.2']
    await opened.gateway.setNames(alice, { database: bob, constructor: bob })
    expect(
      await ask(0, 'database', 'DATABASE', 'constructor', 'database/AAAA', 'database/TXT')
    ).to.deep.equal([[bob], [bob], [bob], 'ENODATA', 'ENODATA'])
    expect(await ask(0, 'other', 'good.example', 'database.example', 'toString')).to.deep.equal([
      'ENOTFOUND',
      'EREFUSED',
      'EREFUSED',
      'ENOTFOUND'
    ])
    expect(await ask(1, 'database'), 'who has no link').to.deep.equal(['ECONNREFUSED'])
    await opened.gateway.setNames(bob, { database: alice })
    await opened.gateway.setGrants(granted(1, INTERNET))
    expect(await ask(1, 'database', 'good.example')).to.deep.equal([[alice], [WEB]])
    await opened.gateway.setNames(bob, {})
    expect(await ask(1, 'database', 'good.example')).to.deep.equal(['ENOTFOUND', [WEB]])
    await opened.reopen({ names: new Map([[alice, { store: bob }]]) })
    expect(await ask(0, 'database', 'store')).to.deep.equal(['ENOTFOUND', [bob]])
    expect(await ask(1, 'store')).to.deep.equal(['ECONNREFUSED'])
    await opened.gateway.setNames(alice, {})
    expect(await ask(0, 'store')).to.deep.equal(['ECONNREFUSED'])
    expect(await world.trespasses()).to.deep.equal([])
  })

  it('of linked servers are answered again by a resolver that was killed', async () => {
    await opened.gateway.setNames('10.83.1.1', { database: '10.83.1.2' })
    const pidOf = async (): Promise<string> =>
      (await command('ip', ['netns', 'pids', opened.gateway.namespace])).split('\n')[0] ?? ''
    const first = await pidOf()
    process.kill(Number(first), 'SIGKILL')
    await opened.gateway.setNames('10.83.1.1', { database: '10.83.1.2', store: '10.83.1.2' })
    while (JSON.stringify(await ask(0, 'store')) !== '[["10.83.1.2"]]');
    expect(await pidOf()).to.not.equal(first)
  })

  it('never mean an address that is forbidden, whoever says so', async () => {
    const hosts = ['router.example', 'metadata.example', 'loopback.example', 'rebind.example', 'printer.lan']
    await opened.gateway.setGrants(granted(0, names(...hosts)))
    await opened.gateway.setGrants(granted(1, INTERNET))
    const expected = ['ENODATA', 'ENODATA', 'ENODATA', [WEB], 'ENOTFOUND']
    for (const slot of [0, 1]) {
      expect(await ask(slot, ...hosts)).to.deep.equal(expected)
      const never = ['192.168.7.1', '169.254.169.254', '192.168.7.9', '93.184.216.2'].map((address) =>
        https(address)
      )
      expect(await reach(slot, https(WEB), ...never)).to.deep.equal([true, false, false, false, false])
    }
    expect(await world.trespasses()).to.deep.equal([])
    const told = denials.filter(({ reason }) => reason === 'forbidden-address').map(({ name }) => name)
    expect(told).to.include.members(hosts.slice(0, 4))
  })

  it('of the owner’s network are not even asked for', async () => {
    await opened.gateway.setGrants(granted(0, INTERNET))
    const own = [
      'nas',
      'nas.local',
      'fritz.box.lan',
      '1.7.168.192.in-addr.arpa/PTR',
      '_services._dns-sd._udp.local/PTR'
    ]
    const answers = await ask(0, ...own)
    expect(answers).to.deep.equal(own.map(() => 'ENOTFOUND'))
    expect(await ask(0, 'good.example', 'good.example/TXT')).to.deep.equal([[WEB], [['words']]])
  })

  it('survive a server that lies, rambles, loops or says nothing', async () => {
    await opened.gateway.setGrants(
      granted(0, names('forged.example', 'stranger.example', 'loop.example', 'many.example', 'good.example'))
    )
    const [forged, stranger, loop, many] = await ask(
      0,
      'forged.example',
      'stranger.example',
      'loop.example',
      'many.example'
    )
    expect(forged).to.deep.equal([WEB])
    expect(stranger).to.equal('ENODATA')
    expect(loop).to.equal('ENODATA')
    expect((many as string[]).length).to.be.within(10, 64)
    expect(await reach(0, https(WEB), https(SECOND))).to.deep.equal([true, false])
  })

  it('go on being answered for others while one guest floods the resolver with rubbish', async () => {
    await opened.gateway.setGrants(granted(0, INTERNET))
    await opened.gateway.setGrants(granted(1, names('good.example')))
    const flood = world.start(world.guests[0]!, process.execPath, [
      fixture('dns-rubbish.ts'),
      '10.83.0.1',
      '3000'
    ])
    expect(await ask(1, 'good.example')).to.deep.equal([[WEB]])
    await flood
    expect(await ask(1, 'good.example')).to.deep.equal([[WEB]])
    const rate = (await opened.gateway.denials()).find(
      ({ from, reason }) => from === '10.83.1.1' && reason === 'rate'
    )
    expect(rate?.packets).to.be.above(1000)
  })

  it('are answered by a stream too, whole where a datagram is too small for it', async () => {
    await opened.gateway.setGrants(granted(0, INTERNET))
    await opened.gateway.setNames('10.83.1.1', { database: '10.83.1.2' })
    const [long] = (await ask(0, 'long.example/TXT')) as string[][][]
    expect(long).to.have.length(40)
    expect(await stream(0, 'good.example', 'good.example+database+second.example', 'slowly')).to.deep.equal([
      [WEB],
      [WEB, '10.83.1.2', SECOND],
      [WEB]
    ])
    expect(await ask(0, 'longing.example/TXT', 'good.example')).to.deep.equal(['ENODATA', [WEB]])
  })

  it('are answered to others while one guest holds streams, and what is no question ends one', async () => {
    await opened.gateway.setGrants(granted(0, INTERNET))
    await opened.gateway.setGrants(granted(1, names('good.example')))
    expect(await stream(0, 'long', 'rubbish', 'answer', 'hold')).to.deep.equal([
      'closed',
      'closed',
      'closed',
      16
    ])
    expect(await stream(1, 'good.example')).to.deep.equal([[WEB]])
    expect(await stream(0, 'good.example')).to.deep.equal([[WEB]])
    await opened.gateway.removeGrants(granted(1, INTERNET).id)
    expect(await stream(1, 'good.example')).to.deep.equal(['ECONNREFUSED'])
  })

  it('pause with the daemon, while what they opened goes on; and end with the grant', async () => {
    const grants = granted(0, names('good.example'))
    await opened.gateway.setGrants(grants)
    expect(await ask(0, 'good.example')).to.deep.equal([[WEB]])
    const talk = world.talk(world.guests[0]!, https(WEB))
    expect(await talk.say('before\n')).to.be.true
    await opened.gateway.close()
    expect(await talk.say('meanwhile\n')).to.be.true
    expect(await reach(0, https(WEB))).to.deep.equal([true])
    expect(await ask(0, 'good.example')).to.not.deep.equal([[WEB]])
    await opened.reopen({ grants: [grants] })
    expect(await talk.say('after\n')).to.be.true
    expect(await ask(0, 'good.example')).to.deep.equal([[WEB]])
    await opened.gateway.removeGrants(grants.id)
    expect(await talk.say('never\n')).to.be.false
    expect(await reach(0, https(WEB))).to.deep.equal([false])
  })

  it('are answered by a process that has no privileges and cannot get any', async () => {
    await opened.gateway.setGrants(granted(0, INTERNET))
    const pids = (await command('ip', ['netns', 'pids', opened.gateway.namespace])).split('\n')
    expect(pids).to.have.length(1)
    const status = await inside(opened.gateway.namespace, 'cat', [`/proc/${pids[0]!}/status`])
    expect(status).to.match(/Uid:\t65534\t65534\t65534\t65534/)
    expect(status)
      .to.match(/CapEff:\t0+\n/)
      .and.to.match(/CapPrm:\t0+\n/)
      .and.to.match(/NoNewPrivs:\t1/)
  })
})
