import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { logOpener, readLog, recordJson } from '../../../soda-host/logs/index.ts'
import { requires } from '../../helpers/capabilities.ts'
import { buildHarness, type Harness } from '../../helpers/sealer.ts'

const DIRECTORY = join(import.meta.dirname, '../../vectors/sealed-log')
const NAMES = readdirSync(DIRECTORY).flatMap((name) => /^(.+)\.json$/.exec(name)?.[1] ?? [])

interface Vector {
  keys: { id: string; publicKey: string; privateKey: string }[]
  records: unknown[]
}

const read = (name: string) => readFileSync(join(DIRECTORY, name))
const vectorOf = (name: string) => JSON.parse(read(`${name}.json`).toString()) as Vector

describe('Vectors of the sealed log', () => {
  for (const name of NAMES)
    it(`${name}: opens to the records that it names`, async () => {
      const { keys, records } = vectorOf(name)
      const [{ id, publicKey, privateKey }] = keys as [Vector['keys'][0]]
      const opener = await logOpener({
        id,
        publicKey: Buffer.from(publicKey, 'hex'),
        privateKey: Buffer.from(privateKey, 'hex')
      })
      const entries = await Array.fromAsync(readLog([read(`${name}.klog`)], { opener }))
      const actual = entries.map((entry) => (entry.type === 'record' ? recordJson(entry.record) : entry))
      expect(actual).to.deep.equal(records)
    })

  describe('sealed by kernort in user space', () => {
    let harness: Harness

    before(function () {
      requires(this, 'libcrypto')
      this.timeout(60_000)
      harness = buildHarness(['-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'])
    })
    after(() => harness.remove())

    for (const name of NAMES)
      it(`${name}: comes out the same to the byte`, () => {
        const log = execFileSync(harness.sealer, { input: read(`${name}.script`) })
        expect(log.equals(read(`${name}.klog`))).to.equal(true)
      })

    it('survives mutated scripts under the sanitizers', () => {
      const scripts = NAMES.map((name) => join(DIRECTORY, `${name}.script`))
      const said = execFileSync(harness.sealer, ['--fuzz', '400', '1', ...scripts], { encoding: 'utf8' })
      expect(said).to.equal(`${NAMES.length} scripts, 400 mutations each\n`)
    }).timeout(60_000)
  })
})
