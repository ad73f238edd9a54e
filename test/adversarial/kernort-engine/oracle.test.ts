/**
 * Attacker: sends overlapping segments or fragments that say different things, so that engine and guest read different
 * texts.
 * Asset: what the engine believes the guest has read.
 * Expected: whatever their places, lengths, number and order, exactly what a real Linux stack gave to the application.
 */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { ensureHarness } from '../../../soda-host/kernort/harness/index.ts'
import { requires } from '../../helpers/capabilities.ts'
import { cacheDir } from '../../helpers/engine.ts'

const ROUNDS = '300'
const TIMEOUT_MS = 300_000
/** At most so many wait at a time. */
const PIECES = ['2', '12', '40']
const runFile = promisify(execFile)

describe('what overlaps', function () {
  this.timeout(TIMEOUT_MS)

  for (const [seed, pieces] of PIECES.entries())
    it(`is read as a real Linux stack reads it: up to ${pieces} segments`, async function () {
      requires(this, 'root')
      const { path } = await ensureHarness('oracle', { cacheDir })
      const { stdout } = await runFile(path, [String(seed), ROUNDS, pieces])
      expect(stdout).to.equal(`${ROUNDS} of ${ROUNDS} rounds agree\n`)
    })

  for (const [seed, pieces] of PIECES.entries())
    it(`is put together as a real Linux stack puts it together: up to ${pieces} fragments`, async function () {
      requires(this, 'root')
      const { path } = await ensureHarness('fragment-oracle', { cacheDir })
      const { stdout } = await runFile(path, [String(seed), ROUNDS, pieces])
      expect(stdout).to.equal(`${ROUNDS} of ${ROUNDS} rounds agree\n`)
    })
})
