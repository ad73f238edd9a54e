/**
 * Attacker: chooses the paths, arguments, names, numbers and keystrokes of everything that runs in the guest, or hands over a
 * forged rule table.
 * Asset: the guest's kernel, in which the rules on events run.
 * Expected: no access outside of what is the engine's, no undefined operation, an end to every loop; see fuzz.test.ts.
 */
import { expect } from 'chai'
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ensureHarness } from '../../../soda-host/kernort/harness/index.ts'
import { compileRuleset, readRuleFile } from '../../../soda-host/kernort/rules/index.ts'
import { judgeBy } from '../../helpers/events.ts'
import { cacheDir } from '../../helpers/engine.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

const VECTORS = join(import.meta.dirname, '../../vectors/events')
const runFile = promisify(execFile)
const ROUNDS = { acts: 60_000, 'event-table': 3000 }
const SEED = '1'

/** In a table: docs/formats/ruleset.md. */
const SECTIONS_AT = 64
const SECTION_BYTES = 16
const EVENT_RULES = 22
const [KINDS_AT, FIRST_BLOCK_AT, BLOCK_COUNT_AT] = [24, 36, 40]

async function tableOf(...files: string[]): Promise<Buffer> {
  const { table, coverage } = compileRuleset(await Promise.all(files.map(readRuleFile)))
  expect(coverage.refusals).to.deep.equal([])
  return table.bytes
}

describe('broken input to rules on events', function () {
  this.timeout(300_000)

  for (const [target, rounds] of Object.entries(ROUNDS))
    it(`finds nothing to break in: ${target}`, async () => {
      await using directory = await temporaryDirectory()
      const table = join(directory.path, 'table')
      await writeFile(table, await tableOf(join(VECTORS, 'hostile.rules'), 'intruder', 'service'))
      const { path } = await ensureHarness('fuzz_events', { cacheDir })
      const { stdout } = await runFile(path, [
        target,
        SEED,
        String(rounds),
        table,
        join(VECTORS, 'words.txt')
      ])
      expect(stdout).not.to.match(/^0 /)
    })

  it('is refused where a rule leads outside of the table, or to what events have not', async () => {
    const good = await tableOf('intruder')
    const at = good.readUInt32LE(SECTIONS_AT + EVENT_RULES * SECTION_BYTES)
    const changes: [name: string, change: (table: Buffer) => void][] = [
      ['a block beyond the last', (table) => table.writeUInt32LE(0xffff_fff0, at + FIRST_BLOCK_AT)],
      ['too many blocks', (table) => table.writeUInt16LE(0xffff, at + BLOCK_COUNT_AT)],
      ['a message beyond the texts', (table) => table.writeUInt32LE(0xffff_fff0, at + 12)]
    ]
    for (const [name, change] of changes) {
      const table = Buffer.from(good)
      change(table)
      const refused = await judgeBy(table, []).catch(String)
      expect(refused, name).to.match(/not a rule table: event rules/)
    }
    const harmless = Buffer.from(good)
    harmless.writeUInt32LE(0xffff_ffff, at + KINDS_AT)
    expect(await judgeBy(harmless, [{ exit: 1 }])).to.deep.equal(['allowed'])
  })
})
