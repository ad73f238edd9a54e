import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import fc from 'fast-check'
import { readStamp, stampKernel, STAMP_BYTES, type Stamp } from '../../../soda-host/factory/stamp.ts'
import { codeOf } from '../../helpers/errors.ts'
import { stampableKernel } from '../../helpers/stampable-kernel.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

function sampleStamp(changes: Partial<Stamp> = {}): Stamp {
  return {
    serverId: Buffer.alloc(16, 0x5d),
    recipients: [Buffer.alloc(32, 1), Buffer.alloc(32, 2)],
    showsSeverity: true,
    rulesetSha256: Buffer.alloc(32, 0xee),
    policy: Buffer.from('tell everything'),
    ...changes
  }
}

describe('factory: a stamp', () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>
  let base: string
  let count = 0
  const fresh = (): string => join(directory.path, `kernel-${count++}`)

  before(async () => {
    directory = await temporaryDirectory()
    base = await stampableKernel(directory.path)
  })
  after(() => directory[Symbol.asyncDispose]())

  it('is what the running kernel finds in its read-only data, to the byte', async () => {
    const kernel = fresh()
    await stampKernel(base, kernel, sampleStamp())
    const expected = Buffer.alloc(STAMP_BYTES)
    Buffer.concat([
      Buffer.from('4b524e5453544d5001000000df000000', 'hex'),
      Buffer.alloc(16, 0x5d),
      Buffer.from('0200000001000000', 'hex'),
      Buffer.alloc(32, 1),
      Buffer.alloc(32, 2),
      Buffer.alloc(64),
      Buffer.alloc(32, 0xee),
      Buffer.from('0f00000000000000', 'hex'),
      Buffer.from('tell everything')
    ]).copy(expected)
    expect(execFileSync(kernel).equals(expected)).to.equal(true)
  })

  it('changes nothing else, and is the same every time', async () => {
    const [one, two] = [fresh(), fresh()]
    const stamped = await stampKernel(base, one, sampleStamp())
    expect(await stampKernel(base, two, sampleStamp())).to.deep.equal(stamped)
    const [before, after] = await Promise.all([readFile(base), readFile(one)])
    expect(stamped.digest).to.equal(`sha256:${createHash('sha256').update(after).digest('hex')}`)
    expect(stamped.sizeBytes).to.equal(before.length)
    const different = [...before.keys()].filter((at) => before[at] !== after[at])
    expect((different.at(-1) ?? 0) - (different[0] ?? 0)).to.be.lessThan(STAMP_BYTES)
  })

  it('is read back as it was written, whatever it was', async () => {
    const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
    const stamps = fc.record(
      {
        serverId: bytes(16),
        recipients: fc.uniqueArray(bytes(32), {
          minLength: 1,
          maxLength: 4,
          selector: (key) => key.join()
        }),
        showsSeverity: fc.boolean(),
        rulesetSha256: bytes(32).filter((digest) => digest.some((byte) => byte !== 0)),
        policy: fc.uint8Array({ maxLength: 16_176 })
      },
      { requiredKeys: ['serverId', 'recipients', 'showsSeverity', 'policy'] }
    )
    await fc.assert(
      fc.asyncProperty(stamps, async (stamp) => {
        const kernel = fresh()
        await stampKernel(base, kernel, stamp)
        const found = await readStamp(kernel)
        expect(JSON.stringify(plain(found))).to.equal(JSON.stringify(plain(stamp)))
      }),
      { numRuns: 20 }
    )
  })

  it('is not found in a base kernel, and is put there once only', async () => {
    const kernel = fresh()
    await stampKernel(base, kernel, sampleStamp())
    expect(await readStamp(base)).to.equal(undefined)
    expect(await codeOf(() => stampKernel(kernel, fresh(), sampleStamp()))).to.equal('ERR_STAMP')
    expect(await codeOf(() => stampKernel(base, kernel, sampleStamp()))).to.equal('EEXIST')
  })

  it('that does not fit is refused', async () => {
    const key = Buffer.alloc(32, 7)
    const wrong: Partial<Stamp>[] = [
      { serverId: Buffer.alloc(15) },
      { recipients: [] },
      { recipients: [key, key] },
      { recipients: [Buffer.alloc(31)] },
      { recipients: [1, 2, 3, 4, 5].map((fill) => Buffer.alloc(32, fill)) },
      { rulesetSha256: Buffer.alloc(20) },
      { policy: Buffer.alloc(16_177) }
    ]
    for (const changes of wrong)
      expect(await codeOf(() => stampKernel(base, fresh(), sampleStamp(changes)))).to.equal('ERR_STAMP')
  })

  it('that no factory has written is told apart', async () => {
    const kernel = fresh()
    await stampKernel(base, kernel, sampleStamp())
    const bytes = await readFile(kernel)
    const at = bytes.indexOf('KRNTSTMP')
    // A fifth recipient; a reserved flag; a byte behind the policy.
    for (const [offset, byte] of [
      [32, 5],
      [36, 3],
      [223, 1]
    ] as const) {
      const changed = Buffer.from(bytes)
      changed[at + offset] = byte
      const path = fresh()
      await writeFile(path, changed)
      expect(await codeOf(() => readStamp(path)), String(offset)).to.equal('ERR_STAMP')
    }
  })

  it('needs a place that is read-only, of the right size, and the only one of its name', async () => {
    for (const options of [{ section: '.kernort_other' }, { bytes: 8192 }, { place: 'volatile' }]) {
      await using other = await temporaryDirectory()
      const kernel = await stampableKernel(other.path, options)
      expect(await codeOf(() => readStamp(kernel)), JSON.stringify(options)).to.equal('ERR_KERNEL_FORMAT')
    }
  })

  it('of a file that lies about itself is an error with a code, and nothing beyond the file is read', async () => {
    const whole = await readFile(base)
    const header = fc.tuple(fc.integer({ min: 0, max: 63 }), fc.uint8Array({ minLength: 1, maxLength: 8 }))
    const tableAt = Number(whole.readBigUInt64LE(40))
    const table = fc.tuple(
      fc.integer({ min: tableAt, max: whole.length - 8 }),
      fc.uint8Array({ minLength: 1, maxLength: 8 })
    )
    const path = fresh()
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(header, table), { maxLength: 4 }),
        fc.integer({ min: 0, max: whole.length }),
        async (changes, length) => {
          const bytes = Buffer.from(whole)
          for (const [at, patch] of changes) bytes.set(patch, at)
          await writeFile(path, bytes.subarray(0, length))
          const code = await codeOf(async () => {
            await readStamp(path)
            throw Object.assign(new Error(), { code: 'fine' })
          })
          expect(code).to.be.oneOf(['ERR_KERNEL_FORMAT', 'ERR_STAMP', 'fine'])
        }
      ),
      { numRuns: 300 }
    )
  })
})

function plain(stamp: Stamp | undefined): unknown {
  if (stamp === undefined) return undefined
  const hex = (bytes: Uint8Array | undefined) => bytes && Buffer.from(bytes).toString('hex')
  const { serverId, recipients, showsSeverity, rulesetSha256, policy } = stamp
  return [hex(serverId), recipients.map(hex), showsSeverity, hex(rulesetSha256), hex(policy)]
}
