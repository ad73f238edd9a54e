/** Random rules over random traffic: the engine against a matcher that only tries everything (`obvious-matcher.ts`). */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import fc from 'fast-check'
import { replay } from '../../../soda-host/kernort/harness/index.ts'
import { compileRuleset } from '../../../soda-host/kernort/rules/index.ts'
import { captureOf } from '../../helpers/captures.ts'
import { cacheDir } from '../../helpers/engine.ts'
import { holds, optionText, type ObviousOption } from '../../helpers/obvious-matcher.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'
import { tcpConversation, udpFrame } from '../../helpers/traffic.ts'

const RUNS = 20
/** No more are told of one packet. */
const RULES_MAX = 15
const PACKETS_MAX = 40
/** Contents of one byte and more: longer than what is looked for of them. */
const LENGTHS = 45
const PLACES = [0, 1, 2, 3, 4, 5]
const IN_ORDER = { next: () => ({ value: 0 }) }
/** Few bytes, so that much matches and much nearly does; some fold to the same. */
const byte = fc.constantFrom(0x61, 0x41, 0x62, 0x42, 0x00, 0x20, 0x31, 0xff)
const bytes = (minLength: number, maxLength: number): fc.Arbitrary<Buffer> =>
  fc.array(byte, { minLength, maxLength, size: 'max' }).map((values) => Buffer.from(values))

const content = (isFirst: boolean): fc.Arbitrary<ObviousOption> =>
  fc
    .record({
      bytes: bytes(1, 4),
      isNegated: isFirst ? fc.constant(false) : fc.boolean(),
      ignoresCase: fc.boolean(),
      from: fc.nat(12),
      extra: fc.option(fc.nat(12), { nil: undefined }),
      isRelative: isFirst ? fc.constant(false) : fc.boolean()
    })
    .map(({ extra, ...rest }) => ({
      kind: 'content',
      ...rest,
      room: extra === undefined ? undefined : rest.bytes.length + extra
    }))

const dataAt: fc.Arbitrary<ObviousOption> = fc.record({
  kind: fc.constant('isdataat'),
  count: fc.integer({ min: 1, max: 30 }),
  isNegated: fc.boolean(),
  isRelative: fc.boolean()
})

const number: fc.Arbitrary<ObviousOption> = fc.record({
  kind: fc.constant('byte_test'),
  offset: fc.nat(20),
  operator: fc.constantFrom('<', '>', '='),
  value: fc.constantFrom(0, 0x20, 0x41, 0x61, 0xff),
  isRelative: fc.boolean()
})

const options = fc
  .tuple(content(true), fc.array(fc.oneof(content(false), dataAt, number), { maxLength: 3 }))
  .map(([first, rest]) => [first, ...rest])
/** On a stream, which may be looked at in any pieces, only what is found stays found. */
const streamOptions = fc
  .tuple(bytes(1, 6), fc.array(fc.record({ bytes: bytes(1, 4), from: fc.nat(8) }), { maxLength: 2 }))
  .map(([first, rest]): ObviousOption[] => {
    const plain = { kind: 'content', isNegated: false, ignoresCase: false, room: undefined } as const
    return [
      { ...plain, bytes: first, from: 0, isRelative: false },
      ...rest.map((one): ObviousOption => ({ ...plain, ...one, isRelative: true }))
    ]
  })

describe('the detection engine on random rules and traffic', function () {
  this.timeout(120_000)

  it('tells of packets what a matcher tells that tries everything', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(options, { minLength: 1, maxLength: RULES_MAX, size: 'max' }),
        fc.array(bytes(1, 60), { minLength: 1, maxLength: PACKETS_MAX, size: 'max' }),
        async (sets, payloads) => {
          const frames = payloads.map((payload) => udpFrame(payload))
          const { told, taken } = await alertsOf('udp', sets, frames)
          for (const sid of taken) {
            const expected = payloads.filter((payload) => holds(sets[sid - 1] ?? [], payload)).length
            expect(told.get(sid) ?? 0, ruleOf('udp', sets[sid - 1] ?? [], sid)).to.equal(expected)
          }
        }
      ),
      { numRuns: RUNS, seed: 1 }
    )
  })

  it('finds a content of any length at any place, at the very end too', async () => {
    const contents = Array.from({ length: LENGTHS }, (_, index) =>
      Buffer.from(Array.from({ length: index + 1 }, (__, at) => 0x80 + ((index * 7 + at * 3) % 0x60)))
    )
    for (const protocol of ['udp', 'tcp'])
      for (const first of Array.from({ length: LENGTHS / RULES_MAX }, (_, index) => index * RULES_MAX)) {
        const some = contents.slice(first, first + RULES_MAX)
        const sets = some.map((one): ObviousOption[] => [
          {
            kind: 'content',
            bytes: one,
            isNegated: false,
            ignoresCase: false,
            from: 0,
            room: undefined,
            isRelative: false
          }
        ])
        const payloads = some.flatMap((one) =>
          PLACES.flatMap((before) =>
            PLACES.map((after) => Buffer.concat([Buffer.alloc(before, '.'), one, Buffer.alloc(after, '.')]))
          )
        )
        const frames =
          protocol === 'udp'
            ? payloads.map((payload) => udpFrame(payload))
            : payloads.flatMap((payload, port) =>
                tcpConversation(payload, [3], IN_ORDER, { clientPort: 2000 + port })
              )
        const { told } = await alertsOf(protocol, sets, frames)
        for (const [index, set] of sets.entries()) {
          const expected = payloads.filter((payload) => holds(set, payload)).length
          expect(told.get(index + 1), ruleOf(protocol, set, index + 1)).to.equal(expected)
        }
      }
  })

  it('tells of a stream what is in it, however it was cut and in whatever order it came', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(streamOptions, { minLength: 1, maxLength: RULES_MAX, size: 'max' }),
        bytes(1, 400),
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 30 }),
        fc.infiniteStream(fc.nat(1000)),
        async (sets, stream, cuts, chance) => {
          const { told, taken } = await alertsOf('tcp', sets, tcpConversation(stream, cuts, chance))
          for (const sid of taken) {
            const rule = sets[sid - 1] ?? []
            expect(told.has(sid), ruleOf('tcp', rule, sid)).to.equal(holds(rule, stream))
          }
        }
      ),
      { numRuns: RUNS, seed: 2 }
    )
  })
})

function ruleOf(protocol: string, set: readonly ObviousOption[], sid: number): string {
  const flow = protocol === 'tcp' ? 'flow:to_server,only_stream; ' : ''
  return `alert ${protocol} any any -> any any (msg:"${sid}"; ${flow}${set.map(optionText).join(' ')} sid:${sid};)`
}

/** How often each rule was told, and which rules the compiler took. */
async function alertsOf(
  protocol: string,
  sets: readonly (readonly ObviousOption[])[],
  frames: readonly Buffer[]
): Promise<{ told: Map<number, number>; taken: number[] }> {
  const text = sets.map((set, index) => ruleOf(protocol, set, index + 1)).join('\n')
  const { table, coverage } = compileRuleset([{ file: 'random.rules', text }])
  const refused = new Set(coverage.refusals.map(({ sid }) => sid))
  await using directory = await temporaryDirectory()
  const path = join(directory.path, 'random.pcap')
  await writeFile(path, captureOf(frames))
  const { alerts, counters } = await replay(table.bytes, path, { cacheDir, ignoresChecksums: true })
  expect(counters['alerts_dropped']).to.equal(0)
  const taken = sets.map((_, index) => index + 1).filter((sid) => !refused.has(sid))
  return { told: new Map(alerts.map(({ sid, count }) => [sid, count])), taken }
}
