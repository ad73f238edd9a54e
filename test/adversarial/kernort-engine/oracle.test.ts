/**
 * Attacker: sends overlapping segments that say different things, so that engine and guest read different texts.
 * Asset: what the engine believes the guest has read.
 * Expected: for two waiting segments of any place and length, exactly what a real Linux stack gave to the application.
 * With more of them Linux's answer depends on the shape of its tree of waiting segments: see decision 0013.
 */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { ensureHarness } from '../../../soda-host/kernort/harness/index.ts'
import { requires } from '../../helpers/capabilities.ts'
import { cacheDir } from '../../helpers/engine.ts'

const ROUNDS = '300'
const SEGMENTS = '2'
const TIMEOUT_MS = 300_000
const runFile = promisify(execFile)

describe('overlapping segments', function () {
  this.timeout(TIMEOUT_MS)

  for (const seed of ['1', '2', '3'])
    it(`are read as a real Linux stack reads them, seed ${seed}`, async function () {
      requires(this, 'root')
      const { path } = await ensureHarness('oracle', { cacheDir })
      const { stdout } = await runFile(path, [seed, ROUNDS, SEGMENTS])
      expect(stdout).to.equal(`${ROUNDS} of ${ROUNDS} rounds agree\n`)
    })
})
