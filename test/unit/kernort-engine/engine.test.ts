import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { ensureHarness, replay } from '../../../soda-host/kernort/harness/index.ts'
import { cacheDir, replayCase, sidsOf, tableOf } from '../../helpers/engine.ts'
import { codeOf } from '../../helpers/errors.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

const VECTORS = join(import.meta.dirname, '../../vectors/ids')
const vectors = readdirSync(VECTORS, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)
const runFile = promisify(execFile)

/** Compiling with sanitizers takes a while on a busy machine. */
const BUILD_TIMEOUT_MS = 300_000

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
