import { expect } from 'chai'
import fc from 'fast-check'
import { forbiddenRanges, isForbidden } from '../../../soda-host/switch/gateway/forbidden.ts'
import { egressMark, grantElements, type ServerGrants } from '../../../soda-host/switch/gateway/grants.ts'
import {
  formatIpv4,
  isWithin,
  mergeRanges,
  parseIpv4,
  parseRange
} from '../../../soda-host/switch/gateway/ipv4.ts'
import {
  admitResolved,
  baseRules,
  changeGrants,
  replaceForbidden,
  replaceGrants
} from '../../../soda-host/switch/gateway/ruleset.ts'

const address = fc.integer({ min: 0, max: 2 ** 32 - 1 })
const port = fc.integer({ min: 1, max: 65_535 })
const range = fc
  .tuple(address, fc.integer({ min: 8, max: 32 }))
  .map(([number, length]) => parseRange(`${formatIpv4(number)}/${length}`))
const host = fc.oneof(
  address.map(formatIpv4),
  fc.constantFrom('example.org', 'Rebind.Example', '10.0.0.1', '127.0.0.1')
)
const egress: fc.Arbitrary<ServerGrants['egress']> = fc.oneof(
  fc.constant({ kind: 'none' as const }),
  fc.constant({ kind: 'internet' as const }),
  fc.record({
    kind: fc.constant('allow' as const),
    to: fc.array(fc.record({ host, protocol: fc.constantFrom('tcp' as const, 'udp' as const), port }), {
      minLength: 1,
      maxLength: 8
    })
  })
)
const inbound = fc.array(
  fc.record({ port, publishedAddress: fc.constant('93.184.216.2'), publishedPort: port }),
  { maxLength: 4 }
)
const grants = fc.record({
  id: fc.stringMatching(/^[a-z]{16}$/),
  address: fc.constantFrom('10.83.1.1', '10.83.1.2'),
  egress,
  inbound
})

describe('what a grant compiles to', () => {
  it('never lets an address through that is forbidden, whatever is granted and whatever the owner has', () => {
    fc.assert(
      fc.property(grants, fc.array(range, { maxLength: 6 }), (granted, owner) => {
        const forbidden = forbiddenRanges(owner)
        for (const [set, element] of grantElements(granted, forbidden)) {
          if (set !== 'allowed') continue
          const [from, to] = element.split(' . ')
          expect(from).to.equal(granted.address)
          expect(isForbidden(to!, forbidden), to).to.be.false
        }
      })
    )
  })

  it('forbids every address of every private and special network, and every one of the owner', () => {
    const special = [
      '10.255.0.1',
      '172.31.255.255',
      '192.168.0.1',
      '100.127.255.255',
      '169.254.169.254',
      '127.0.0.53'
    ]
    for (const text of [
      ...special,
      '224.0.0.1',
      '255.255.255.255',
      '0.0.0.0',
      '192.0.0.192',
      '168.63.129.16'
    ])
      expect(isForbidden(text, forbiddenRanges([])), text).to.be.true
    for (const text of ['1.1.1.1', '172.32.0.1', '100.128.0.1', '11.0.0.1', '223.255.255.255'])
      expect(isForbidden(text, forbiddenRanges([])), text).to.be.false
    fc.assert(
      fc.property(range, address, ({ first, last }, offset) => {
        const inside = first + (offset % (last - first + 1))
        expect(isForbidden(formatIpv4(inside), forbiddenRanges([{ first, last }]))).to.be.true
      })
    )
  })

  it('takes what is no plain IPv4 address for forbidden', () => {
    for (const text of [
      '',
      '010.0.0.1',
      '0x7f.1',
      '1.1.1',
      '1.1.1.1.',
      '1.1.1.256',
      '::1',
      '::ffff:1.1.1.1',
      ' 1.1.1.1'
    ])
      expect(isForbidden(text, forbiddenRanges([])), text).to.be.true
  })

  it('has the same addresses in merged ranges as in those that were merged', () => {
    fc.assert(
      fc.property(fc.array(range, { maxLength: 8 }), address, (ranges, probe) => {
        const merged = mergeRanges(ranges)
        expect(isWithin(probe, merged)).to.equal(isWithin(probe, ranges))
        merged.slice(1).forEach(({ first }, i) => expect(first).to.be.greaterThan(merged[i]!.last + 1))
      })
    )
  })

  it('reads back the addresses that it writes', () => {
    fc.assert(fc.property(address, (number) => void expect(parseIpv4(formatIpv4(number))).to.equal(number)))
  })

  it('is nothing at all without a grant', () => {
    const none: ServerGrants = {
      id: 'a'.repeat(16),
      address: '10.83.1.1',
      egress: { kind: 'none' },
      inbound: []
    }
    expect(grantElements(none, [])).to.deep.equal([])
    expect(
      admitResolved(none, [{ address: '1.1.1.1', protocol: 'tcp', port: 443, seconds: 60 }])
    ).to.deep.equal([])
  })

  it('marks connections of the same grant alike, and of another server or grant otherwise', () => {
    const base: ServerGrants = {
      id: 'a'.repeat(16),
      address: '10.83.1.1',
      egress: { kind: 'internet' },
      inbound: []
    }
    expect(egressMark(base)).to.equal(egressMark({ ...base }))
    expect(egressMark(base)).not.to.equal(egressMark({ ...base, id: 'b'.repeat(16) }))
    expect(egressMark(base)).not.to.equal(
      egressMark({ ...base, egress: { kind: 'allow', to: [{ host: '1.1.1.1', protocol: 'tcp', port: 1 }] } })
    )
  })

  it('changes exactly the difference between two grants', () => {
    fc.assert(
      fc.property(grants, grants, (before, after) => {
        const state = new Map<string, Set<string>>()
        apply(state, replaceGrants([before], []))
        apply(state, changeGrants(before, after, []))
        const wanted = new Map<string, Set<string>>()
        apply(wanted, replaceGrants([after], []))
        expect(state).to.deep.equal(wanted)
      })
    )
  })
})

describe('the rules of the reverse firewall', () => {
  const lines = baseRules().split('\n')
  const outbound = lines.filter((line) => line.startsWith('add rule inet soda_gateway outbound '))

  it('look at what is forbidden before any egress grant and any established connection of one', () => {
    const forbidden = outbound.findIndex((line) => line.includes('@forbidden'))
    expect(outbound.slice(0, forbidden)).to.have.length(1)
    expect(outbound[0]).to.contain('ct direction reply')
    expect(outbound[forbidden]).to.match(/ip daddr @forbidden meta mark set \d goto denied$/)
  })

  it('drop by policy whatever is forwarded, received or sent', () => {
    for (const hook of ['forward', 'input', 'output'])
      expect(lines.find((line) => line.includes(`hook ${hook} `))).to.contain('policy drop')
  })

  it('have every forbidden range in their set', () => {
    const text = replaceForbidden(forbiddenRanges([])).join('\n')
    expect(text).to.contain('10.0.0.0-10.255.255.255').and.to.contain('169.254.0.0-169.254.255.255')
  })
})

/** What the kernel would do with these commands; fails as it would. */
function apply(state: Map<string, Set<string>>, commands: readonly string[]): void {
  for (const text of commands) {
    const [, verb, set, list] =
      /^(flush|add|delete) (?:set|map|element) inet soda_gateway (\w+)(?: \{ (.*) \})?$/.exec(text)!
    const elements = state.get(set!) ?? new Set()
    state.set(set!, elements)
    if (verb === 'flush') elements.clear()
    for (const element of list?.split(', ') ?? [])
      if (verb === 'add') elements.add(element)
      else if (!elements.delete(element)) throw new Error(`${set!} has no ${element}`)
  }
}
