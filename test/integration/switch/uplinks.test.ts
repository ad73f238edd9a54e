import { expect } from 'chai'
import { inside } from '../../../soda-host/switch/commands.ts'
import { requires } from '../../helpers/capabilities.ts'
import { codeOf } from '../../helpers/errors.ts'
import { granted, INTERNET, openGateway } from '../../helpers/switch/gateway.ts'
import {
  HOST_ADDRESS,
  HOST_LAN_ADDRESS,
  openWorld,
  PUBLIC,
  type Target,
  type World
} from '../../helpers/switch/world.ts'

const tcp = (address: string, port = 80): Target => ({ protocol: 'tcp', address, port })
const udp = (address: string, port = 53): Target => ({ protocol: 'udp', address, port })
const [WEB, DNS] = PUBLIC as [string, string]
const ALLOW = { kind: 'allow' as const, to: [{ host: WEB, protocol: 'tcp' as const, port: 443 }] }

/** Everything about the owner's machine that an uplink could have changed. */
async function stateOf(host: string): Promise<string> {
  const parts = await Promise.all([
    inside(host, 'nft', ['list', 'ruleset']),
    inside(host, 'ip', ['-br', 'link']),
    inside(host, 'ip', ['-br', 'addr']),
    inside(host, 'ip', ['route', 'show', 'table', 'all']),
    inside(host, '/bin/sh', [
      '-c',
      'cd /proc/sys/net/ipv4; grep -r . ip_forward conf/all conf/default conf/eth0 2>/dev/null | sort'
    ])
  ])
  // A cable that was just plugged in is up a moment later.
  return parts.join('\n---\n').replaceAll(/ (?:UP|DOWN) +|NO-CARRIER,/g, '')
}

describe('uplinks', function () {
  this.timeout(60_000)
  let world: World

  before(async function () {
    requires(this, 'root', 'nftables')
    world = await openWorld()
  })
  after(() => world[Symbol.asyncDispose]())

  const kinds = [
    { kind: 'nat' as const },
    { kind: 'dedicated' as const, interface: 'eth0' },
    { kind: 'pasta' as const }
  ]
  for (const uplink of kinds)
    describe(`of kind ${uplink.kind}`, () => {
      before(function () {
        if (uplink.kind === 'pasta') requires(this, 'pasta')
      })

      it('carry what is granted, nothing else, and leave the owner’s machine as it was', async () => {
        const untouched = await stateOf(world.host)
        {
          await using opened = await openGateway(world, { uplink })
          const { gateway } = opened
          const [first, second] = world.guests as [string, string]
          const targets = [tcp(WEB, 443), tcp(WEB, 80), tcp(DNS, 443), udp(DNS)]
          expect(await world.probe(first, targets)).to.deep.equal([false, false, false, false])
          await gateway.setGrants(granted(0, ALLOW))
          await gateway.setGrants(granted(1, INTERNET))
          expect(await world.probe(first, targets)).to.deep.equal([true, false, false, false])
          expect(await world.probe(second, targets)).to.deep.equal([true, true, true, true])
          const denials = await gateway.denials()
          expect(
            denials.map(({ from, reason, flow }) => [from, reason, flow?.to, flow?.port])
          ).to.deep.include(['10.83.1.1', 'not-granted', DNS, 443])
        }
        expect(await stateOf(world.host)).to.equal(untouched)
      })
    })

  it('go on with their connections when the daemon is killed and another one comes', async () => {
    await using opened = await openGateway(world)
    const grants = [granted(0, INTERNET)]
    await opened.gateway.setGrants(grants[0]!)
    const talk = world.talk(world.guests[0]!, tcp(WEB, 80))
    expect(await talk.say('before\n')).to.be.true
    await opened.reopen({ grants })
    expect(await talk.say('after\n')).to.be.true
    await opened.reopen({ grants: [granted(0, ALLOW)] })
    expect(await talk.say('forbidden since\n')).to.be.false
  })

  it('cut what an earlier grant let begin in the instant that it is taken away', async () => {
    await using opened = await openGateway(world)
    await opened.gateway.setGrants(granted(0, INTERNET))
    const talk = world.talk(world.guests[0]!, tcp(WEB, 80))
    expect(await talk.say('before\n')).to.be.true
    await opened.gateway.removeGrants(granted(0, INTERNET).id)
    const arrived = (await world.arrivals()).get(`${WEB} tcp 80`)
    expect(await talk.say('after\n')).to.be.false
    expect((await world.arrivals()).get(`${WEB} tcp 80`)).to.equal(arrived)
  })

  it('make a dedicated interface the gateway’s alone: the machine has no address and answers nothing', async () => {
    await using opened = await openGateway(world, { uplink: { kind: 'dedicated', interface: 'eth0' } })
    await opened.gateway.setGrants(granted(0, INTERNET))
    expect(await inside(world.host, 'ip', ['-br', '-4', 'addr', 'show', 'scope', 'global'])).to.equal('')
    const scan = [22, 53, 80, 443].flatMap((port) => [tcp(HOST_ADDRESS, port), udp(HOST_ADDRESS, port)])
    const lan = [22, 53, 80, 443].map((port) => tcp(HOST_LAN_ADDRESS, port))
    expect(await world.probe(world.others, [...scan, ...lan])).to.deep.equal(
      [...scan, ...lan].map(() => false)
    )
    const ping = await inside(world.others, '/bin/sh', [
      '-c',
      `ping -c1 -W1 ${HOST_ADDRESS} >/dev/null && echo yes || echo no`
    ])
    expect(ping).to.equal('no')
    expect(await world.probe(world.guests[0]!, [tcp(WEB)])).to.deep.equal([true])
  })

  for (const uplink of kinds.slice(0, 2))
    it(`of kind ${uplink.kind} publish a port on the address that the owner names, and on no other`, async () => {
      await using _ = await world.serve(world.guests[0]!, 8080, 22)
      await using opened = await openGateway(world, { uplink })
      const inbound = [{ port: 8080, publishedAddress: HOST_ADDRESS, publishedPort: 20_000 }]
      const ports = [
        tcp(HOST_ADDRESS, 20_000),
        tcp(HOST_ADDRESS, 8080),
        tcp(HOST_ADDRESS, 22),
        tcp(HOST_LAN_ADDRESS, 20_000)
      ]
      expect(await world.probe(world.others, ports)).to.deep.equal([false, false, false, false])
      await opened.gateway.setGrants(granted(0, { kind: 'none' }, inbound))
      expect(await world.probe(world.others, ports)).to.deep.equal([true, false, false, false])
      const talk = world.talk(world.others, tcp(HOST_ADDRESS, 20_000))
      expect(await talk.say('in\n')).to.be.true
      expect(await world.probe(world.guests[0]!, [tcp(WEB)]), 'inbound is no egress').to.deep.equal([false])
      await opened.gateway.removeGrants(granted(0, INTERNET).id)
      expect(await talk.say('out\n')).to.be.false
      expect(await world.probe(world.others, ports)).to.deep.equal([false, false, false, false])
    })

  it('refuse to publish on an address that is not the machine’s, on 0.0.0.0, twice, or through pasta', async () => {
    await using opened = await openGateway(world)
    const publish = (slot: number, publishedAddress: string): Promise<void> =>
      opened.gateway.setGrants(
        granted(slot, { kind: 'none' }, [{ port: 80, publishedAddress, publishedPort: 20_000 }])
      )
    expect(await codeOf(() => publish(0, '0.0.0.0'))).to.equal('ERR_UPLINK')
    expect(await codeOf(() => publish(0, '93.184.216.77'))).to.equal('ERR_UPLINK')
    await publish(0, HOST_ADDRESS)
    expect(await codeOf(() => publish(1, HOST_ADDRESS))).to.equal('ERR_UPLINK')
    await opened.gateway.removeGrants(granted(0, INTERNET).id)
    await opened.reopen({ uplink: { kind: 'none' } })
    expect(await codeOf(() => publish(0, HOST_ADDRESS))).to.equal('ERR_UPLINK')
  })

  it('say what the owner has to do where the machine does not forward, and leave nothing', async () => {
    await inside(world.host, '/bin/sh', ['-c', 'echo 0 > /proc/sys/net/ipv4/ip_forward'])
    const untouched = await stateOf(world.host)
    await using opened = await openGateway(world, { uplink: { kind: 'none' } })
    expect(await codeOf(() => opened.reopen({ uplink: { kind: 'nat' } }))).to.equal('ERR_UPLINK')
    expect(await codeOf(() => opened.reopen({ uplink: { kind: 'dedicated', interface: 'eth7' } }))).to.equal(
      'ERR_UPLINK'
    )
    expect(await stateOf(world.host)).to.equal(untouched)
    await inside(world.host, '/bin/sh', ['-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward'])
  })
})
