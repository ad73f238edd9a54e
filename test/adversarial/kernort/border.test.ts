/**
 * Attacker: a landlord who boots a tenant's stamped kernel with a command line, descriptors or a stamp of their own.
 * Asset: a service that is watched, into the log that goes on where the last boot ended.
 * Expected: a kernel that is told nonsense says what, and runs nothing.
 */
import { expect } from 'chai'
import { spawnSync } from 'node:child_process'
import { open, readFile, rm, writeFile } from 'node:fs/promises'
import { constants } from 'node:fs'
import { join } from 'node:path'
import { createLogKey } from '../../../src/identity/index.ts'
import { STAMP_HEADER_BYTES, STAMP_MAGIC } from '../../../soda-host/factory/stamp.ts'
import { requires } from '../../helpers/capabilities.ts'
import { stampedKernel } from '../../helpers/stamped-kernel.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

const HEAD = 'ab'.repeat(32)
const APPEND = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT
const GOOD = ['kernort.fd=3,4', 'kernort.spool=4194304', 'kernort.boot=0']

describe('A stamped kernel at its border', function () {
  this.timeout(120_000)

  let resources: AsyncDisposableStack
  let directory: string
  let kernel: string

  before(async function () {
    requires(this, 'uml')
    resources = new AsyncDisposableStack()
    directory = resources.use(await temporaryDirectory()).path
    ;({ path: kernel } = await stampedKernel(directory, createLogKey()))
  })

  after(async () => {
    // Not there when the test was skipped.
    const made = resources as AsyncDisposableStack | undefined
    await made?.disposeAsync()
  })

  interface Boot {
    words?: readonly string[]
    /** How the descriptors 3 and 4 are opened. */
    flags?: number
    /** What the files hold. */
    content?: string
    image?: string
  }

  /** Without a disk it panics at the latest when it looks for one. @returns what it said when it did */
  async function lastWords({
    words = GOOD,
    flags = APPEND,
    content = '',
    image = kernel
  }: Boot): Promise<string> {
    const paths = [join(directory, 'a'), join(directory, 'b')]
    for (const path of paths) await writeFile(path, content)
    await using first = await open(paths[0]!, flags)
    await using second = await open(paths[1]!, flags)
    const { stdout } = spawnSync(
      image,
      ['mem=64M', 'seccomp=off', 'con=null', 'con0=null,fd:1', 'quiet', ...words],
      {
        encoding: 'latin1',
        timeout: 20_000,
        env: { HOME: directory, PATH: process.env['PATH'] },
        stdio: ['ignore', 'pipe', 'ignore', first.fd, second.fd]
      }
    )
    return /Kernel panic - not syncing: (.*)/.exec(stdout)?.[1]?.trim() ?? stdout
  }

  it('boots where all is as it should be', async () => {
    expect(await lastWords({})).to.match(/^VFS: /)
    expect((await readFile(join(directory, 'a'))).length).to.be.above(500)
    expect(
      await lastWords({ words: [...GOOD.slice(0, 2), 'kernort.boot=7', `kernort.previous=${HEAD}`] })
    ).to.match(/^VFS: /)
  })

  const [FD, SPOOL, BOOT] = GOOD as [string, string, string]
  const NO_FD = /^kernort: kernort\.fd= does not name 2 descriptors$/
  const NO_LOG = /^kernort: no log can be written to descriptors /
  const NO_SPOOL = /^kernort: kernort\.spool= is not a number of \d+ bytes or more$/
  const NO_BOOT = /^kernort: kernort\.boot= is not the number of a boot$/
  const NO_HEAD = /^kernort: kernort\.previous= is not the head of a log before boot \d+$/

  const refused: [string, string[], RegExp][] = [
    ['no parameter at all', [], NO_BOOT],
    ['no descriptors', [SPOOL, BOOT], NO_FD],
    ['one descriptor', ['kernort.fd=3', SPOOL, BOOT], NO_FD],
    ['three of them', ['kernort.fd=3,4,5', SPOOL, BOOT], NO_FD],
    ['the same one twice', ['kernort.fd=3,3', SPOOL, BOOT], NO_FD],
    ['descriptors that are no numbers', ['kernort.fd=a,b', SPOOL, BOOT], NO_FD],
    ['descriptors with something behind them', ['kernort.fd=3,4x', SPOOL, BOOT], NO_FD],
    ['a descriptor that is not open', ['kernort.fd=3,77', SPOOL, BOOT], NO_LOG],
    ['a negative descriptor', ['kernort.fd=3,-4', SPOOL, BOOT], NO_LOG],
    ['its own console', ['kernort.fd=3,1', SPOOL, BOOT], NO_LOG],
    ['no size', [FD, BOOT], NO_SPOOL],
    ['a size that is too small', [FD, 'kernort.spool=4096', BOOT], NO_SPOOL],
    ['a size beyond all numbers', [FD, 'kernort.spool=99999999999999999999', BOOT], NO_SPOOL],
    ['no number of the boot', [FD, SPOOL], NO_BOOT],
    ['a boot that is no number', [FD, SPOOL, 'kernort.boot=zero'], NO_BOOT],
    ['a negative boot', [FD, SPOOL, 'kernort.boot=-1'], NO_BOOT],
    ['a boot of 33 bits', [FD, SPOOL, 'kernort.boot=4294967296'], NO_BOOT],
    ['a later boot without a head', [FD, SPOOL, 'kernort.boot=1'], NO_HEAD],
    ['a first boot with one', [FD, SPOOL, BOOT, `kernort.previous=${HEAD}`], NO_HEAD],
    ['a head that is short', [FD, SPOOL, 'kernort.boot=1', `kernort.previous=${HEAD.slice(2)}`], NO_HEAD],
    ['a head that is long', [FD, SPOOL, 'kernort.boot=1', `kernort.previous=${HEAD}00`], NO_HEAD],
    ['a head that is no hex', [FD, SPOOL, 'kernort.boot=1', `kernort.previous=${'xy'.repeat(32)}`], NO_HEAD]
  ]
  for (const [what, words, expected] of refused)
    it(`refuses ${what}`, async () => {
      expect(await lastWords({ words })).to.match(expected)
    })

  it('refuses files that it could read, overwrite, or that hold something', async () => {
    const { O_RDWR, O_RDONLY, O_WRONLY, O_APPEND } = constants
    for (const flags of [O_RDWR | O_APPEND, O_RDONLY, O_WRONLY])
      expect(await lastWords({ flags })).to.match(NO_LOG)
    expect(await lastWords({ content: 'something' })).to.match(NO_LOG)
  })

  /** The kernel with its stamp changed by hand. */
  async function tampered(change: (stamp: Buffer) => void): Promise<string> {
    const bytes = await readFile(kernel)
    const at = bytes.indexOf(Buffer.concat([STAMP_MAGIC, Buffer.from([1, 0, 0, 0])]))
    change(bytes.subarray(at, at + STAMP_HEADER_BYTES))
    const path = join(directory, 'tampered')
    await rm(path, { force: true })
    await writeFile(path, bytes, { mode: 0o755 })
    return path
  }

  const DAMAGED = /^kernort: the stamp of this kernel is damaged: /
  const stamps: [string, (stamp: Buffer) => void, RegExp][] = [
    ['without a magic', (stamp) => stamp.fill(0, 0, 8), DAMAGED],
    ['of another version', (stamp) => stamp.writeUInt32LE(2, 8), DAMAGED],
    ['that is shorter than a stamp', (stamp) => stamp.writeUInt32LE(207, 12), DAMAGED],
    ['that is longer than its section', (stamp) => stamp.writeUInt32LE(16_385, 12), DAMAGED],
    ['with five recipients', (stamp) => stamp.writeUInt32LE(5, 32), DAMAGED],
    ['with flags that nobody knows', (stamp) => stamp.writeUInt32LE(2, 36), DAMAGED],
    ['whose policy reaches beyond it', (stamp) => stamp.writeUInt32LE(0xffffffff, 200), DAMAGED],
    [
      'with a key of small order',
      (stamp) => stamp.fill(0, 40, 72),
      /^kernort: nothing can be sealed to the keys of this kernel$/
    ]
  ]
  for (const [what, change, expected] of stamps)
    it(`refuses a stamp ${what}`, async () => {
      expect(await lastWords({ image: await tampered(change) })).to.match(expected)
    })
})
