import { expect } from 'chai'
import { defaultRoutes, networkFacts, type NetworkBasis } from '../../../soda-host/resources/network-facts.ts'

const GOOD: NetworkBasis = { isRoot: true, missing: [], outward: ['eth0', 'eth1'], isForwarding: true }
const warned = (changes: Partial<NetworkBasis>): string[] =>
  networkFacts({ ...GOOD, ...changes }).flatMap(({ name, status }) => (status === 'warn' ? [name] : []))

describe('facts of the network', () => {
  it('name each uplink that would not work, and only that', () => {
    expect(warned({})).to.deep.equal([])
    expect(warned({ isForwarding: false })).to.deep.equal(['uplink-nat'])
    expect(warned({ outward: ['eth0'] })).to.deep.equal(['uplink-dedicated'])
    expect(warned({ outward: [] })).to.deep.equal(['uplink-nat', 'uplink-dedicated', 'uplink-pasta'])
    expect(warned({ missing: ['pasta'] })).to.deep.equal(['uplink-pasta'])
    expect(warned({ missing: ['nft'] })).to.deep.equal(['network-switch'])
    expect(warned({ isRoot: false })).to.have.length(4)
  })

  it('say what to install, each package once', () => {
    const [found] = networkFacts({ ...GOOD, missing: ['ip', 'tc', 'nft'] })
    expect(found?.advice).to.equal('apt-get install iproute2 nftables')
  })

  it('read default routes in the order in which they are used', () => {
    const table = `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth1	00000000	0102A8C0	0003	0	0	200	00000000	0	0	0
eth0	0002A8C0	00000000	0001	0	0	0	00FFFFFF	0	0	0
eth0	00000000	0102A8C0	0003	0	0	100	00000000	0	0	0
eth0	00000000	0202A8C0	0003	0	0	300	00000000	0	0	0
`
    expect(defaultRoutes(table)).to.deep.equal(['eth0', 'eth1'])
    expect(defaultRoutes('')).to.deep.equal([])
  })
})
