import { expect } from 'chai'
import { decode, encode, type Answer } from 'dns-packet'
import fc from 'fast-check'
import { forbiddenRanges, isForbidden } from '../../../soda-host/switch/gateway/forbidden.ts'
import { formatIpv4 } from '../../../soda-host/switch/gateway/ipv4.ts'
import { ResolvedBook } from '../../../soda-host/switch/gateway/resolved-book.ts'
import {
  readAnswer,
  readQuestion,
  writeAnswer,
  writeQuestion,
  type Question
} from '../../../soda-host/switch/gateway/resolver/message.ts'
import { isPrivateName, namePolicy } from '../../../soda-host/switch/gateway/resolver/names.ts'

const FORBIDDEN = forbiddenRanges([])
const ASKED = { name: 'good.example', type: 'A' }
const bytes = fc.uint8Array({ maxLength: 600 })
const address = fc.oneof(
  fc.integer({ min: 0, max: 2 ** 32 - 1 }).map(formatIpv4),
  fc.constantFrom('10.0.0.1', '192.168.1.1', '127.0.0.1', '169.254.169.254', '1.1.1.1')
)
const owner = fc.constantFrom('good.example', 'alias.example', 'other.example', 'GOOD.example')
const record: fc.Arbitrary<Answer> = fc.oneof(
  fc.record({ type: fc.constant('A' as const), name: owner, ttl: fc.nat(), data: address }),
  fc.record({ type: fc.constant('CNAME' as const), name: owner, ttl: fc.nat(), data: owner }),
  fc.record({ type: fc.constant('AAAA' as const), name: owner, ttl: fc.nat(), data: fc.constant('fe80::1') })
)

function question(changes: Partial<Question> = {}): Question {
  return { id: 7, ...ASKED, nameAsAsked: 'good.example', sizeMax: 512, ...changes }
}

function answer(answers: Answer[], id = 7): Uint8Array {
  return encode({ type: 'response', id, questions: [{ name: 'good.example', type: 'A' }], answers })
}

describe('messages of the resolver', () => {
  it('take any bytes at all without failing', () => {
    fc.assert(fc.property(bytes, (data) => void readQuestion(data)))
    fc.assert(fc.property(bytes, (data) => void readAnswer(data, 7, ASKED, FORBIDDEN)))
    const good = Buffer.from(answer([{ type: 'A', name: 'good.example', ttl: 60, data: '1.1.1.1' }]))
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.nat(255), (at, value) => {
        const bent = Buffer.from(good)
        bent[at] = value
        for (const { type, ...rest } of readAnswer(bent, 7, ASKED, FORBIDDEN)?.records ?? [])
          if (type === 'A') expect(isForbidden((rest as { data: string }).data, FORBIDDEN)).to.be.false
      })
    )
  })

  it('never pass on an address that is forbidden, nor a record that the question does not lead to', () => {
    fc.assert(
      fc.property(fc.array(record, { maxLength: 12 }), (records) => {
        const found = readAnswer(answer(records), 7, ASKED, FORBIDDEN)!
        let at = 'good.example'
        for (const { name, type, ...rest } of found.records) {
          expect(name).to.equal(at)
          if (type === 'CNAME') at = (rest as { data: string }).data
          else expect(isForbidden((rest as { data: string }).data, FORBIDDEN)).to.be.false
        }
        const text = decode(Buffer.from(writeAnswer(question(), 'NOERROR', found.records)))
        for (const passed of text.answers ?? [])
          if (passed.type === 'A') expect(isForbidden(passed.data, FORBIDDEN)).to.be.false
      })
    )
  })

  it('are read back as they were written', () => {
    const read = readQuestion(writeQuestion(4711, { name: 'a.good.example', type: 'A' }))
    expect(read).to.deep.equal({
      id: 4711,
      name: 'a.good.example',
      nameAsAsked: 'a.good.example',
      type: 'A',
      sizeMax: 1232
    })
  })

  it('are no answer when number, question or direction is another', () => {
    const records: Answer[] = [{ type: 'A', name: 'good.example', ttl: 60, data: '1.1.1.1' }]
    expect(readAnswer(answer(records, 8), 7, ASKED, FORBIDDEN)).to.be.undefined
    expect(readAnswer(answer(records), 7, { name: 'other.example', type: 'A' }, FORBIDDEN)).to.be.undefined
    expect(readAnswer(writeQuestion(7, ASKED), 7, ASKED, FORBIDDEN)).to.be.undefined
    expect(readAnswer(answer(records), 7, ASKED, FORBIDDEN)?.records).to.have.length(1)
  })

  it('are no question when there are two, none, an answer with it, or an odd name', () => {
    const odd = [
      encode({ type: 'query', questions: [] }),
      encode({ type: 'query', questions: [ASKED, ASKED].map(({ name }) => ({ name, type: 'A' as const })) }),
      encode({ type: 'response', questions: [{ name: 'good.example', type: 'A' }] }),
      encode({ type: 'query', questions: [{ name: 'good example', type: 'A' }] }),
      encode({ type: 'query', questions: [{ name: 'good.example', type: 'A', class: 'CH' }] }),
      encode({ type: 'query', flags: 5 << 11, questions: [{ name: 'good.example', type: 'A' }] })
    ]
    for (const data of odd) expect(readQuestion(data)).to.be.undefined
  })

  it('fit what the client can take, and bound how long they hold', () => {
    const many = Array.from({ length: 60 }, (_, i): Answer => ({
      type: 'A',
      name: 'good.example',
      ttl: 0x7fff_ffff,
      data: `11.0.0.${i}`
    }))
    const found = readAnswer(answer(many), 7, ASKED, FORBIDDEN)!
    const written = writeAnswer(question({ sizeMax: 512 }), 'NOERROR', found.records)
    expect(written.length).to.be.at.most(512)
    for (const passed of decode(Buffer.from(written)).answers ?? [])
      expect(passed.type === 'A' && passed.ttl).to.equal(300)
  })
})

describe('names that are the owner’s', () => {
  it('are single words, private zones, and reverse names of what is forbidden', () => {
    for (const name of [
      'nas',
      'router.local',
      'a.b.home.arpa',
      '9.7.168.192.in-addr.arpa',
      'x.ip6.arpa',
      'x.onion'
    ])
      expect(isPrivateName(name, FORBIDDEN), name).to.be.true
    for (const name of ['good.example', '1.1.1.1.in-addr.arpa', 'local.example'])
      expect(isPrivateName(name, FORBIDDEN), name).to.be.false
  })

  it('are nobody’s without a name in the grant', () => {
    expect(namePolicy({ kind: 'none' })).to.be.undefined
    expect(namePolicy({ kind: 'allow', to: [{ host: '1.1.1.1', protocol: 'tcp', port: 443 }] })).to.be
      .undefined
  })
})

describe('the book of what names opened', () => {
  it('never holds more for a server than its share, and makes room as time goes', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(30), fc.nat(100)), { maxLength: 200 }), (asked) => {
        const book = new ResolvedBook(5)
        const open = new Map<string, number>()
        let nowMs = 0
        for (const [host, passed] of asked) {
          nowMs += passed * 100
          for (const [key, untilMs] of open) if (untilMs <= nowMs) open.delete(key)
          const entry = { address: `1.1.1.${host}`, protocol: 'tcp' as const, port: 443, seconds: 30 }
          for (const { address: key } of book.enter('a', [entry], nowMs)) open.set(key, nowMs + 30_000)
          expect(open.size).to.be.at.most(5)
        }
        expect(
          book.enter('b', [{ address: '1.1.1.1', protocol: 'tcp', port: 1, seconds: 1 }], nowMs)
        ).to.have.length(1)
      })
    )
  })
})
