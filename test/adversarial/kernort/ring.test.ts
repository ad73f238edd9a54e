/**
 * Attacker: a guest that makes events of every class, in any number and length; a landlord who writes any stamp.
 * Asset: the guest kernel's memory, the order of records, and the count of those that were shed.
 * Expected: under sanitizers nothing is touched that is not theirs; every record comes out once, in order, or is in
 * a count of its class.
 */
import { execa } from 'execa'
import { expect } from 'chai'
import { join } from 'node:path'
import { temporaryDirectory } from '../../helpers/temporary.ts'

const KERNORT = join(import.meta.dirname, '../../../soda-host/kernort')
const SOURCES = ['harness/ring.c', 'engine/ring.c', 'engine/record.c', 'engine/stamp.c']
const FLAGS = ['-std=gnu11', '-g', '-O1', '-Wall', '-Wextra', '-Werror', '-Wno-unused-parameter']

describe('Records on their way to the sealer', function () {
  this.timeout(60_000)

  let resources: AsyncDisposableStack
  let program: string

  before(async () => {
    resources = new AsyncDisposableStack()
    program = join(resources.use(await temporaryDirectory()).path, 'ring')
    const sanitizers = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all']
    await execa('gcc', [...FLAGS, ...sanitizers, '-Iinclude', '-Ienv/user', '-o', program, ...SOURCES], {
      cwd: KERNORT
    })
  })

  after(() => resources.disposeAsync())

  for (const seed of ['1', '20', '300'])
    it(`come out once and in order, or are counted: seed ${seed}`, async () => {
      expect((await execa(program, ['200000', seed])).stdout).to.equal('ok')
    })

  it('are for nobody whose stamp says more than it holds', async () => {
    expect((await execa(program, ['--stamp', '20000', '7'])).stdout).to.equal('ok')
  })
})
