import { expect } from 'chai'
import fc from 'fast-check'
import { resolveAddresses, parseAddresses } from '../../../soda-host/kernort/rules/addresses.ts'
import { parsePorts, resolvePorts } from '../../../soda-host/kernort/rules/ports.ts'
import { readVariables } from '../../../soda-host/kernort/rules/variables.ts'
import { codeOf } from '../../helpers/errors.ts'
import { refusalOf, refusalOfText, ruleWith } from '../../helpers/ruleset.ts'

const VARIABLES = readVariables({
  addresses: { HOME_NET: '[10.0.0.0/8,!10.1.0.0/16]', EXTERNAL_NET: '!$HOME_NET', LOOP: '$LOOP' },
  ports: { HTTP_PORTS: '[80,8080:8082,!8081]' }
})

function piece(text: string): { text: string; offset: number } {
  return { text, offset: 0 }
}

function ports(text: string): string {
  const group = resolvePorts(parsePorts(piece(text)), VARIABLES.ports, piece(text))
  return group === undefined ? 'any' : group.map(({ low, high }) => `${low}-${high}`).join()
}

function addresses(text: string): string {
  const group = resolveAddresses(parseAddresses(piece(text)), VARIABLES.addresses, piece(text))
  if (group === undefined) return 'any'
  const hex = (value: bigint): string => value.toString(16)
  return group.v4.map(({ low, high }) => `${hex(low)}-${hex(high)}`).join()
}

describe('the header of a rule', () => {
  it('computes lists, negations and variables of ports into ranges', () => {
    expect(ports('any')).to.equal('any')
    expect(ports('[21,25:30,!27]')).to.equal('21-21,25-26,28-30')
    expect(ports('!$HTTP_PORTS')).to.equal('0-79,81-8079,8081-8081,8083-65535')
    expect(ports('1024:')).to.equal('1024-65535')
    expect(ports(':1023')).to.equal('0-1023')
  })

  it('computes lists, masks and variables of addresses into ranges', () => {
    expect(addresses('$HOME_NET')).to.equal('a000000-a00ffff,a020000-affffff')
    expect(addresses('10.0.0.0/255.0.0.0')).to.equal('a000000-affffff')
    expect(addresses('[1.1.1.1,1.1.1.3-1.1.1.9]')).to.equal('1010101-1010101,1010103-1010109')
    expect(addresses('$EXTERNAL_NET')).to.equal('0-9ffffff,a010000-a01ffff,b000000-ffffffff')
  })

  it('agrees with a set of numbers on any list of ports', () => {
    const item = fc.record({ not: fc.boolean(), low: fc.nat(300), size: fc.nat(40) })
    fc.assert(
      fc.property(fc.array(item, { minLength: 1, maxLength: 8 }), (items) => {
        const text = items.map(({ not, low, size }) => `${not ? '!' : ''}${low}:${low + size}`).join()
        const inside = (port: number): boolean => {
          const hits = (negated: boolean): boolean[] =>
            items
              .filter(({ not }) => not === negated)
              .map(({ low, size }) => low <= port && port <= low + size)
          const wanted = hits(false)
          return (wanted.length === 0 || wanted.includes(true)) && !hits(true).includes(true)
        }
        const expected = Array.from({ length: 400 }, (_, port) => inside(port))
        const parse = (): string => ports(`[${text}]`)
        if (!expected.includes(true) && items.some(({ not }) => !not)) {
          expect(parse).to.throw()
          return
        }
        const ranges = parse()
          .split(',')
          .map((range) => range.split('-').map(Number))
        const found = expected.map((_, port) =>
          ranges.some(([low = 0, high = 0]) => low <= port && port <= high)
        )
        expect(found).to.deep.equal(expected)
      })
    )
  })

  it('reads both directions and every action', () => {
    expect(ruleWith('', 'drop udp any 53 <> any any').header).to.include({
      action: 'drop',
      isBidirectional: true
    })
  })

  const refused: Readonly<Record<string, readonly [header: string, refusal: string]>> = {
    'an action that is none': ['alarm tcp any any -> any any', 'header@alarm tcp an'],
    'a protocol that is none': ['alert tpc any any -> any any', 'header@tpc any any '],
    'the wrong arrow': ['alert tcp any any <- any any', 'header@<- any any ('],
    'a word too few': ['alert tcp any any -> any', 'header@any (sid:1;)'],
    'a word too many': ['alert tcp any any -> any any any', 'header@any (sid:1;)'],
    'a port above 65535': ['alert tcp any any -> any 65536', 'header@65536 (sid:1'],
    'a range that runs backwards': ['alert tcp any any -> any 30:20', 'header@30:20 (sid:1'],
    'an address that is none': ['alert tcp 1.2.3 any -> any any', 'header@1.2.3 any ->'],
    'a mask that is none': ['alert tcp 1.2.3.4/33 any -> any any', 'header@1.2.3.4/33 a'],
    'a list that is not closed': ['alert tcp [1.2.3.4 any -> any any', 'header@[1.2.3.4 any'],
    'an empty list': ['alert tcp [] any -> any any', 'header@] any -> any'],
    'the negation of any': ['alert tcp !any any -> any any', 'header@!any any -> ']
  }
  for (const [what, [header, refusal]] of Object.entries(refused))
    it(`refuses ${what}, with the place`, () => {
      expect(refusalOf('', header)).to.equal(refusal)
    })

  it('refuses text without options, or behind them', () => {
    expect(refusalOfText('alert tcp any any -> any any')).to.equal('syntax@')
    expect(refusalOfText('alert tcp any any -> any any (sid:1;) x')).to.equal('syntax@')
    expect(refusalOfText('alert tcp any any -> any any (sid:1)')).to.equal('syntax@sid:1)')
    expect(refusalOfText('alert tcp any any -> any any (msg:"x";)')).to.equal('combination@tcp any any ')
  })

  it('refuses variables that are unknown or defined through themselves', () => {
    expect(() => addresses('$NOWHERE')).to.throw('$NOWHERE is not defined')
    expect(() => addresses('$LOOP')).to.throw('defined through itself')
  })

  it('names the variable whose text is wrong', async () => {
    expect(await codeOf(() => readVariables({ ports: { X: '99999' } }))).to.equal('ERR_RULESET_VARIABLE')
  })
})
