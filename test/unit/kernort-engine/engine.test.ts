import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { ensureHarness, replay } from '../../../soda-host/kernort/harness/index.ts'
import { compileRuleset } from '../../../soda-host/kernort/rules/index.ts'
import { captureOf } from '../../helpers/captures.ts'
import { cacheDir, replayCase, sidsOf, tableOf } from '../../helpers/engine.ts'
import { codeOf } from '../../helpers/errors.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'
import { tcpConversation, udpFrame } from '../../helpers/traffic.ts'

const VECTORS = join(import.meta.dirname, '../../vectors/ids')
const vectors = readdirSync(VECTORS, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)
const runFile = promisify(execFile)

/** Compiling with sanitizers takes a while on a busy machine. */
const BUILD_TIMEOUT_MS = 300_000

/** Chance that leaves everything where it is. */
function* inOrder(): Generator<number> {
  for (;;) yield 0
}

describe('the detection engine', function () {
  this.timeout(BUILD_TIMEOUT_MS)

  describe('on traffic with known alerts', () => {
    for (const name of vectors)
      it(`tells what Suricata tells: ${name}`, async () => {
        const { alerts, expected } = await replayCase(join(VECTORS, name))
        expect(sidsOf(alerts)).to.deep.equal(sidsOf(expected))
      })
  })

  it('sees streams and fragments as Linux does', async () => {
    const { path } = await ensureHarness('check', { cacheDir })
    const { stdout } = await runFile(path)
    expect(stdout).to.match(/^1\.\.16$/m)
    expect(stdout).to.not.match(/^not ok/m)
  })

  it('reads the questions of DNS over TCP, whole or in pieces', async () => {
    const question = Buffer.from('000101000001000000000000046576696c076578616d706c650000010001', 'hex')
    const message = Buffer.concat([Buffer.from([0, question.length]), question])
    const { table } = compileRuleset([
      {
        file: 'dns.rules',
        text: 'alert dns any any -> any any (msg:"evil"; dns.query; content:"evil.example"; bsize:12; sid:1;)'
      }
    ])
    for (const cuts of [[100], [1], [3, 7]]) {
      await using directory = await temporaryDirectory()
      const path = join(directory.path, 'dns.pcap')
      const frames = tcpConversation(Buffer.concat([message, message]), cuts, inOrder(), { port: 53 })
      await writeFile(path, captureOf(frames))
      const { alerts } = await replay(table.bytes, path, { cacheDir, ignoresChecksums: true })
      expect(alerts.map(({ sid }) => sid)).to.deep.equal([1])
    }
  })

  it('is not made blind by connections that stay open, however many', async () => {
    const { table } = compileRuleset([
      {
        file: 'a.rules',
        text: 'alert http any any -> any any (msg:"a"; http.uri; content:"/needle"; sid:1;)'
      }
    ])
    const request = (uri: string): Buffer => Buffer.from(`GET ${uri} HTTP/1.1\r\nHost: a\r\n\r\n`)
    const open = Array.from({ length: 2000 }, (_, number) =>
      tcpConversation(request('/'), [100], inOrder(), { clientPort: 1024 + number, isLeftOpen: true })
    )
    await using directory = await temporaryDirectory()
    const path = join(directory.path, 'open.pcap')
    const last = tcpConversation(request('/needle'), [7], inOrder(), { clientPort: 60_000 })
    await writeFile(path, captureOf([...open.flat(), ...last]))
    const options = { cacheDir, ignoresChecksums: true, guestMemoryBytes: 64 * 1024 * 1024 }
    const { alerts, counters } = await replay(table.bytes, path, options)
    expect(alerts).to.deep.equal([{ sid: 1, count: 1 }])
    expect(counters['flows_evicted']).to.be.above(1000)
    expect(counters['windows_evicted']).to.be.above(1000)
  })

  it('says which rules cost most', async () => {
    const text = [
      'alert udp any any -> any any (msg:"cheap"; content:"abcdef"; sid:1;)',
      'alert udp any any -> any any (msg:"dear"; content:"abcdef"; pcre:"/(x+x+)+y/"; sid:2;)'
    ].join('\n')
    const { table } = compileRuleset([{ file: 'a.rules', text }])
    await using directory = await temporaryDirectory()
    const path = join(directory.path, 'dear.pcap')
    await writeFile(path, captureOf([udpFrame(Buffer.from(`abcdef${'x'.repeat(40)}`))]))
    const { uses } = await replay(table.bytes, path, { cacheDir, ignoresChecksums: true })
    expect(uses.map(({ sid, tried, matched }) => [sid, tried, matched])).to.deep.equal([
      [2, 1, 0],
      [1, 1, 1]
    ])
    expect(uses[0]?.steps).to.be.above(1000)
  })

  it('tells of the packets that come after a match, as its tag says', async () => {
    const rule = (tag: string): string =>
      `alert udp any any -> any any (msg:"a"; content:"begin"; tag:${tag}; sid:1;)`
    const frames = ['one', 'begin', 'two', 'three', 'four'].map((text) => udpFrame(Buffer.from(text)))
    await using directory = await temporaryDirectory()
    const path = join(directory.path, 'tagged.pcap')
    await writeFile(path, captureOf(frames, 1e6))
    for (const [tag, expected] of [
      ['session', 3],
      ['session,2,packets', 2],
      ['host,2,seconds,src', 1],
      ['host,10,packets,dst', 3],
      ['session,40,bytes', 2]
    ] as const) {
      const { table } = compileRuleset([{ file: 'a.rules', text: rule(tag) }])
      const { counters } = await replay(table.bytes, path, { cacheDir, ignoresChecksums: true })
      expect(counters['tagged'], tag).to.equal(expected)
    }
  })

  it('refuses a table with any section out of place', async () => {
    const table = Buffer.from(await tableOf(join(VECTORS, 'flowbit-oring', 'rules.rules')))
    const pcap = join(VECTORS, 'flowbit-oring', 'input.pcap')
    for (let section = 0; section < 22; section++) {
      const broken = Buffer.from(table)
      broken.writeUInt32LE(0xffff_fff0, 64 + section * 16 + 4)
      expect(await codeOf(() => replay(broken, pcap, { cacheDir }))).to.equal('ERR_REPLAY')
    }
  })

  it('refuses a file that is no capture', async () => {
    await using directory = await temporaryDirectory()
    const path = join(directory.path, 'text.pcap')
    await writeFile(path, 'not a capture, but long enough to be one')
    const table = await tableOf(join(VECTORS, 'flowbit-oring', 'rules.rules'))
    expect(await codeOf(() => replay(table, path, { cacheDir }))).to.equal('ERR_REPLAY')
  })
})
