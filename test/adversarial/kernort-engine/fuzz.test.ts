/**
 * Attacker: writes every byte that the guest receives, or hands over a forged rule table.
 * Asset: the guest's kernel, in which the engine runs.
 * Expected: no access outside of what is the engine's, no undefined operation, an end to every loop. The programs are
 * built with the sanitizers, which end them at the first of these. The same seeds as always: what passes here
 * passes again. `soda-host/kernort/harness/fuzz.sh` goes on for longer with other seeds.
 */
import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ensureHarness } from '../../../soda-host/kernort/harness/index.ts'
import { cacheDir, tableOf } from '../../helpers/engine.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

const VECTORS = join(import.meta.dirname, '../../vectors/ids')
const captures = readdirSync(VECTORS, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => join(VECTORS, name, 'input.pcap'))
  .toSorted()
const runFile = promisify(execFile)

const ROUNDS = { packets: 60_000, table: 1000 }
/** Parsers alone, each from a corpus that earlier runs have found: inputs that take ways of their own. */
const PARSER_ROUNDS = {
  http: 10_000,
  tls: 10_000,
  dns: 20_000,
  'dns-tcp': 10_000,
  smtp: 10_000,
  ftp: 10_000,
  ssh: 10_000,
  inflate: 20_000
}
const CORPORA = join(import.meta.dirname, '../../vectors/fuzz')
const SEED = '1'
const BUILD_TIMEOUT_MS = 300_000

describe('broken input to the detection engine', function () {
  this.timeout(BUILD_TIMEOUT_MS)

  for (const [target, rounds] of Object.entries(ROUNDS))
    it(`finds nothing to break in: ${target}`, async () => {
      await using directory = await temporaryDirectory()
      const table = join(directory.path, 'table')
      await writeFile(table, await tableOf(join(VECTORS, 'all.rules')))
      const { path } = await ensureHarness('fuzz', { cacheDir })
      await runFile(path, [target, SEED, String(rounds), table, ...captures])
    })

  for (const [target, rounds] of Object.entries(PARSER_ROUNDS))
    it(`finds nothing to break in: ${target}`, async () => {
      const { path } = await ensureHarness('dialogue-fuzz', { cacheDir })
      await runFile(path, [target, SEED, String(rounds), join(CORPORA, `${target}.corpus`)])
    })
})
