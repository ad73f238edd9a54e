import { expect } from 'chai'
import { execa } from 'execa'
import { join } from 'node:path'
import { temporaryDirectory } from '../../helpers/temporary.ts'

const ROOT = join(import.meta.dirname, '../../..')
const SOURCES = ['test/fixtures/guest/outbox-check.c', 'soda-host/virtual-server/guest-init/outbox.c']
const SANITIZERS = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all']

describe("guest init's outbox", function () {
  this.timeout(60_000)

  it('delivers every byte once and in order, whatever is cut, stored in part or sent in part', async () => {
    await using directory = await temporaryDirectory()
    const program = join(directory.path, 'outbox-check')
    await execa('gcc', ['-std=gnu11', '-O1', '-g', ...SANITIZERS, '-o', program, ...SOURCES], { cwd: ROOT })
    const seed = Math.floor(Math.random() * 2 ** 31)
    for (let run = 0; run < 8; run++) {
      const { stdout } = await execa(program, [String(seed + run), '50000'])
      expect(Number(stdout), `seed ${seed + run}`).to.be.above(10_000_000)
    }
  })
})
