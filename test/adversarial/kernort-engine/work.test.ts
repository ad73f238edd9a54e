/**
 * Attacker: sends packets that are made to be dear: they wake every rule, let expressions try all ways, or inflate a few
 * bytes to many.
 * Asset: the guest's CPU, on which the engine runs for each packet before anything else does.
 * Expected: no packet costs more than its flow has earned, what was cut is counted, and whoever is not so dear is still
 * inspected in full. Steps are counted, not time: they are the same on every machine.
 */
import { gzipSync } from 'node:zlib'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { replay, type Replay } from '../../../soda-host/kernort/harness/index.ts'
import { compileRuleset } from '../../../soda-host/kernort/rules/index.ts'
import { captureOf } from '../../helpers/captures.ts'
import { cacheDir } from '../../helpers/engine.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'
import { tcpConversation, udpFrame } from '../../helpers/traffic.ts'

/** `engine/work.h`: what a flow begins with, what a packet earns, and a byte. */
const AT_FIRST = 2 ** 18
const PER_PACKET = 16_384
const PER_BYTE = 64
/** The last search or decoding is not stopped in its middle. */
const LAST_STEP = 2 ** 17
const PAYLOAD_BYTES = 1400
const PACKETS = 50
const RULES = 300
/** That one packet of ordinary traffic wakes, and many more. */
const HONEST_RULES = 60
const IN_ORDER = { next: () => ({ value: 0 }) }

describe('packets that are made to be dear', function () {
  this.timeout(120_000)

  const most = AT_FIRST + PER_PACKET + PER_BYTE * PAYLOAD_BYTES + LAST_STEP

  it('cost no more than their flow has earned, whatever the expression', async () => {
    for (const expression of [
      '(x+x+)+y',
      '(x|xx)+(x|xx)+(?:x{1,9}){1,9}y',
      '(x+)(x+)\\1\\2y',
      '(?=(x+x+)+y)x'
    ]) {
      const { counters } = await inspect(
        rules(`content:"attack"; pcre:"/${expression}/";`),
        Array.from({ length: PACKETS }, () => udpFrame(attack('x')))
      )
      expect(counters['work_most'], expression).to.be.at.most(most)
      const earned = AT_FIRST + PACKETS * (PER_PACKET + PER_BYTE * PAYLOAD_BYTES)
      expect(counters['work'], expression).to.be.at.most(earned + PACKETS * LAST_STEP)
      expect(counters['packets_cut'], expression).to.be.above(0)
      expect(counters['rules_cut'], expression).to.be.above(RULES)
    }
  })

  it('cost no more when contents nearly match everywhere', async () => {
    const nearly = `content:"attack"; content:"${'x'.repeat(200)}y"; nocase; content:"x"; content:"z"; distance:1;`
    const { counters } = await inspect(
      rules(nearly),
      Array.from({ length: PACKETS }, () => udpFrame(attack('x')))
    )
    expect(counters['work_most']).to.be.at.most(most)
    expect(counters['rules_cut']).to.be.above(RULES)
  })

  it('cost no more when small bodies inflate to large ones, one after the other', async () => {
    const bomb = gzipSync(Buffer.alloc(65_000, 'x'), { level: 9 })
    const post = `POST / HTTP/1.1\r\nContent-Encoding: gzip\r\nContent-Length: ${bomb.length}\r\n\r\n`
    const stream = Buffer.concat(Array.from({ length: 400 }, () => Buffer.concat([Buffer.from(post), bomb])))
    const { counters } = await inspect(
      rules('file_data; content:"xxxx"; pcre:"/(x+x+)+y/";'),
      tcpConversation(stream, [PAYLOAD_BYTES], IN_ORDER, { port: 80 })
    )
    const packets = Math.ceil(stream.length / PAYLOAD_BYTES) + 4
    const earned = AT_FIRST + packets * (PER_PACKET + PER_BYTE * PAYLOAD_BYTES)
    expect(counters['work']).to.be.at.most(earned + packets * LAST_STEP)
    expect(counters['packets_cut']).to.be.above(0)
  })

  it('do not keep others from being inspected in full, nor what follows in the same connection', async () => {
    const worm = 'alert tcp any any -> any any (msg:"worm"; content:"worm at large"; sid:9999;)'
    const text = `${rules('content:"attack"; pcre:"/(x+)(x+)\\1\\2y/";')}\n${worm}`
    const dear = Array.from({ length: PACKETS }, () => udpFrame(attack('x')))
    const hidden = Buffer.concat([attack('x'), Buffer.from('worm at large')])
    const streams = [Buffer.from('worm at large'), hidden].flatMap((stream, port) =>
      tcpConversation(stream, [PAYLOAD_BYTES], IN_ORDER, { clientPort: 5000 + port })
    )
    const { alerts, counters } = await inspect(text, [...dear, ...streams, ...dear])
    expect(counters['rules_cut']).to.be.above(RULES)
    expect(alerts).to.deep.equal([{ sid: 9999, count: 2 }])
  })

  it('are not what honest ones are: those of known traffic are all inspected in full', async () => {
    const { counters } = await inspect(
      rules('content:"attack"; pcre:"/x+y/";', HONEST_RULES),
      Array.from({ length: PACKETS }, () => udpFrame(attack('.')))
    )
    expect(counters['packets_cut']).to.equal(0)
    expect(counters['rules_tried']).to.equal(PACKETS * HONEST_RULES)
  })
})

function attack(filling: string): Buffer {
  return Buffer.from('attack'.padEnd(PAYLOAD_BYTES, filling))
}

function rules(options: string, count = RULES): string {
  return Array.from(
    { length: count },
    (_, index) => `alert ip any any -> any any (msg:"${index}"; ${options} sid:${index + 1};)`
  ).join('\n')
}

async function inspect(text: string, frames: readonly Buffer[]): Promise<Replay> {
  const { table, coverage } = compileRuleset([{ file: 'dear.rules', text }])
  expect(coverage.refusals).to.deep.equal([])
  await using directory = await temporaryDirectory()
  const path = join(directory.path, 'dear.pcap')
  await writeFile(path, captureOf(frames))
  return await replay(table.bytes, path, { cacheDir, ignoresChecksums: true })
}
