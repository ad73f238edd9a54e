import { expect } from 'chai'
import fc from 'fast-check'
import { addressesOf, SLOTS_MAX, slotOf, switchNamespace } from '../../../soda-host/switch/addresses.ts'
import {
  type Element,
  ElementCounts,
  elementsOfLink,
  elementsOfPort,
  SETS
} from '../../../soda-host/switch/elements.ts'
import { baseRules } from '../../../soda-host/switch/ruleset.ts'
import type { Link } from '../../../soda-host/switch/types.ts'

const link = fc.record({
  from: fc.integer({ min: 0, max: 5 }),
  to: fc.integer({ min: 0, max: 5 }),
  protocol: fc.constantFrom('tcp' as const, 'udp' as const),
  port: fc.constantFrom(22, 80, 443)
})
type SlotLink = typeof link extends fc.Arbitrary<infer T> ? T : never

const toLink = ({ from, to, protocol, port }: SlotLink): Link => ({
  from: `server ${from}`,
  to: `server ${to}`,
  protocol,
  port
})
const elementsOf = (of: SlotLink): Element[] => elementsOfLink(toLink(of), of.from, of.to)

/** nft's sets, as its commands leave them. An element that is added twice or deleted without being there is an error. */
class Sets {
  readonly #sets = new Map(Object.values(SETS).map((name) => [name as string, new Set<string>()]))

  apply(commands: readonly string[]): void {
    for (const command of commands) {
      const match = /^(add|delete) element (\w+ \w+ \w+) \{ (.*) \}$/.exec(command)
      const set = this.#sets.get(match?.[2] ?? '')
      const element = match?.[3] ?? ''
      if (match === null || set === undefined) throw new Error(`not a command: ${command}`)
      if (set.has(element) === (match[1] === 'add')) throw new Error(`nft would refuse: ${command}`)
      if (match[1] === 'add') set.add(element)
      else set.delete(element)
    }
  }

  get(name: keyof typeof SETS): string[] {
    return [...(this.#sets.get(SETS[name]) ?? [])].sort()
  }
}

describe('links as elements of sets', () => {
  it('never hold a flow or a pair that no link names, whatever comes and goes', () => {
    const step = fc.record({ link, isAdded: fc.boolean() })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const counts = new ElementCounts()
        const sets = new Sets()
        const present = new Map<string, SlotLink>()
        for (const { link: of, isAdded } of steps) {
          const key = JSON.stringify(of)
          if (present.has(key) === isAdded) continue
          const [add, remove] = isAdded ? [elementsOf(of), []] : [[], elementsOf(of)]
          sets.apply(counts.commands(add, remove))
          counts.commit(add, remove)
          if (isAdded) present.set(key, of)
          else present.delete(key)
          const expected = (name: keyof typeof SETS): string[] =>
            [
              ...new Set(
                [...present.values()]
                  .flatMap(elementsOf)
                  .filter(([set]) => set === name)
                  .map(([, element]) => element)
              )
            ].sort()
          for (const name of ['links', 'linked', 'pairs'] as const)
            expect(sets.get(name)).to.deep.equal(expected(name))
        }
      })
    )
  })

  it('name the direction: the flow from `to` to `from` is never among them', () => {
    fc.assert(
      fc.property(link, (of) => {
        fc.pre(of.from !== of.to)
        const flows = elementsOf(of).filter(([set]) => set === 'links')
        const [from, to] = [addressesOf(of.from).ipv4, addressesOf(of.to).ipv4]
        expect(flows).to.deep.equal([['links', `${from} . ${to} . ${of.protocol} . ${of.port}`]])
      })
    )
  })

  it('cost the same to change, the first and the ten-thousandth', () => {
    const counts = new ElementCounts()
    const of = (number: number): Element[] =>
      elementsOfLink({ from: 'a', to: 'b', protocol: 'tcp', port: 80 }, number, number + 1)
    const first = counts.commands(of(0), []).length
    for (let number = 0; number < 10_000; number++) counts.commit(of(number), [])
    expect(counts.commands(of(10_000), []).length).to.equal(first)
  })

  it('are replaced as a whole: each set is flushed and filled in the same transaction', () => {
    const counts = new ElementCounts()
    counts.commit(elementsOfPort(3), [])
    const text = counts.replacement()
    for (const set of Object.values(SETS)) expect(text).to.include(`flush set ${set}`)
    expect(text).to.include('add element inet soda addresses { 10.83.1.4 }')
  })
})

describe('addresses on the switch', () => {
  it('are different for any two slots, and say which slot they belong to', () => {
    const slot = fc.integer({ min: 0, max: SLOTS_MAX - 1 })
    fc.assert(
      fc.property(slot, slot, (a, b) => {
        expect(slotOf(addressesOf(a).ipv4)).to.equal(a)
        if (a !== b) {
          expect(addressesOf(a).mac).to.not.equal(addressesOf(b).mac)
          expect(addressesOf(a).ipv4).to.not.equal(addressesOf(b).ipv4)
        }
      })
    )
  })

  it('are refused for what is no slot', () => {
    for (const slot of [-1, 1.5, SLOTS_MAX, NaN]) expect(() => addressesOf(slot)).to.throw(TypeError)
  })

  it('belong to one state directory', () => {
    expect(switchNamespace('/var/a')).to.equal(switchNamespace('/var/x/../a'))
    expect(switchNamespace('/var/a')).to.not.equal(switchNamespace('/var/b'))
  })
})

describe('the rules of the switch', () => {
  it('have policy drop wherever a frame can come by', () => {
    const hooks = baseRules()
      .split('\n')
      .filter((line) => line.includes('hook'))
    expect(hooks).to.have.length(6)
    for (const line of hooks) expect(line).to.include('policy drop')
  })

  it('accept nothing without a look into a set, but for the gateway’s port', () => {
    const accepting = baseRules()
      .split('\n')
      .filter((line) => /accept$|goto connection$/.test(line) && !line.includes('soda connection'))
    expect(accepting).to.have.length.greaterThan(10)
    for (const line of accepting) expect(line).to.match(/@\w+|gw0|gateway_source/)
  })
})
