import { expect } from 'chai'
import { execa } from 'execa'
import { join } from 'node:path'
import { SESSION_WINDOW_BYTES, WINDOW_BYTES } from '../../../soda-host/virtual-server/frames.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

const ROOT = join(import.meta.dirname, '../../..')
const SOURCES = ['test/fixtures/guest/outbox-check.c', 'soda-host/virtual-server/guest-init/outbox.c']
const SANITIZERS = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all']

/** That of a session, and that of the main program. */
const WINDOWS = [SESSION_WINDOW_BYTES, WINDOW_BYTES]

describe("guest init's outbox", function () {
  this.timeout(60_000)

  it('delivers every byte once and in order, whatever is cut, stored in part or sent in part', async () => {
    await using directory = await temporaryDirectory()
    const program = join(directory.path, 'outbox-check')
    await execa('gcc', ['-std=gnu11', '-O1', '-g', ...SANITIZERS, '-o', program, ...SOURCES], { cwd: ROOT })
    const seed = Math.floor(Math.random() * 2 ** 31)
    for (let run = 0; run < 8; run++) {
      const { stdout } = await execa(program, [
        String(seed + run),
        '50000',
        String(WINDOWS[run % WINDOWS.length])
      ])
      expect(Number(stdout), `seed ${seed + run}`).to.be.above(1_000_000)
    }
  })
})
