import { expect } from 'chai'
import { inside } from '../../../soda-host/switch/commands.ts'
import { requires } from '../../helpers/capabilities.ts'
import {
  OUTSIDE_ADDRESS,
  testSwitch,
  type BareGuest,
  type TestSwitch
} from '../../helpers/switch/bare-guests.ts'

const outside = { egress: true, ingress: [] }

describe('bandwidth of servers on the switch', function () {
  this.timeout(60_000)
  let lab: TestSwitch
  let guests: BareGuest[]

  before(async function () {
    requires(this, 'root', 'nftables')
    lab = await testSwitch(10e6)
    const world = await lab.outside()
    guests = [
      await lab.guest({ outboundBitsPerSecond: 2e6, outside }),
      await lab.guest({ outboundBitsPerSecond: 0, outside })
    ]
    await world.serve('tcp', 80)
    await guests[1]!.serve('tcp', 80)
    await lab.network.addLink({ from: guests[0]!.id, to: guests[1]!.id, protocol: 'tcp', port: 80 })
  })
  after(() => lab[Symbol.asyncDispose]())

  /** `rate/ceil` of a server's class as the kernel has it, and the packets that went through it. */
  const classOf = async (slot: number): Promise<{ rates: string; packets: number }> => {
    const text = await inside(lab.network.namespace, 'tc', ['-s', 'class', 'show', 'dev', 'ifb0'])
    const minor = (16 + slot).toString(16)
    const found = new RegExp(
      `class htb 1:${minor} .* rate (\\S+) ceil (\\S+) .*\\n Sent \\d+ bytes (\\d+)`
    ).exec(text)
    return { rates: `${found?.[1]}/${found?.[2]}`, packets: Number(found?.[3]) }
  }
  const rates = async (): Promise<string[]> => [(await classOf(0)).rates, (await classOf(1)).rates]
  const reachesOutside = async (slot: number): Promise<boolean> =>
    (await guests[slot]!.ask('tcp', OUTSIDE_ADDRESS, 80)).endsWith('hello')

  it('is shared by what is guaranteed, and borrowed up to all of the slice', async () => {
    expect(await rates()).to.deep.equal(['2Mbit/10Mbit', '1Kbit/10Mbit'])
    expect(await reachesOutside(0)).to.equal(true)
    expect(await reachesOutside(1), 'what others leave').to.equal(true)
    const told = (await lab.network.ports()).map(({ outboundBitsPerSecond, outboundMaxBitsPerSecond }) => [
      outboundBitsPerSecond,
      outboundMaxBitsPerSecond
    ])
    expect(told).to.deep.equal([
      [2e6, 10e6],
      [0, 10e6]
    ])
  })

  it('is not used by what goes to another server', async () => {
    const before = await classOf(0)
    expect(await guests[0]!.ask('tcp', guests[1]!.ipv4, 80)).to.include('hello')
    expect((await classOf(0)).packets).to.equal(before.packets)
    await reachesOutside(0)
    expect((await classOf(0)).packets).to.be.above(before.packets)
  })

  it('of 0 lets nothing out, and links go on; that changes while the server lives', async () => {
    await lab.network.setOutbound(guests[0]!.id, { outboundBitsPerSecond: 1e6, outboundMaxBitsPerSecond: 0 })
    const before = await classOf(0)
    expect(await reachesOutside(0)).to.equal(false)
    expect((await classOf(0)).packets).to.equal(before.packets)
    expect(await guests[0]!.ask('tcp', guests[1]!.ipv4, 80)).to.include('hello')
    await lab.network.setOutbound(guests[0]!.id, {
      outboundBitsPerSecond: 1e6,
      outboundMaxBitsPerSecond: 4e6
    })
    expect((await classOf(0)).rates).to.equal('1Mbit/4Mbit')
    expect(await reachesOutside(0)).to.equal(true)
  })

  it('follows the slice when the daemon starts again with another one', async () => {
    await lab.reopen([], 6e6)
    expect(await rates()).to.deep.equal(['2Mbit/6Mbit', '1Kbit/6Mbit'])
    await lab.reopen([], 0)
    expect([await reachesOutside(0), await reachesOutside(1)]).to.deep.equal([false, false])
  })
})
