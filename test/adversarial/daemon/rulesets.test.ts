/**
 * Attacker: a tenant who sends other rules than those that were agreed on; then whoever can write to the files of the
 * host's daemon.
 * Asset: that a server's kernel gets the rules of its tenant, whole, or nothing boots; and the owner's disk.
 * Expected: typed errors, nothing stored of what was refused, one file for all servers with the same rules, none when
 * no server needs it any more.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { diskShareBytes, grantableDiskBytes } from '../../../soda-host/daemon/limits.ts'
import type { HostServerSpec } from '../../../irun/host.ts'
import type { OpenedHost } from '../../helpers/daemon/open-host.ts'
import { serverSpec } from '../../helpers/daemon/server-spec.ts'
import { codeOf } from '../../helpers/errors.ts'
import { fakeRunHost } from '../../helpers/fake-run-host.ts'
import { ruleSetOf, type TestRules } from '../../helpers/tables.ts'

async function* chunks(...bytes: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* bytes
}

describe("adversarial: a tenant's rules on the host's disk", () => {
  const rules = ruleSetOf(1)
  let opened: OpenedHost
  before(async () => {
    opened = await fakeRunHost()
  })
  afterEach(async () => {
    for (const { id } of await opened.host.list()) await opened.host.destroy(id)
    expect(await stored()).to.deep.equal([])
  })
  after(() => opened[Symbol.asyncDispose]())

  const folder = (): string => join(opened.directory, 'state/rulesets')
  const stored = (): Promise<string[]> => readdir(folder())
  const fileOf = ({ digest }: TestRules): string => join(folder(), digest.replace(':', '-'))

  /** A server that waits for its rules only. */
  async function created(
    script: string,
    { digest, bytes }: TestRules = rules,
    changes: Partial<HostServerSpec> = {}
  ): Promise<string> {
    const ruleset = { digest, sizeBytes: bytes.length }
    const spec = serverSpec(script, { hasOwnKernel: true, ruleset, ...changes })
    await opened.host.create(spec)
    const kernel = await readFile(opened.kernelPath)
    const kernelDigest = `sha256:${createHash('sha256').update(kernel).digest('hex')}`
    await opened.host.putKernel(spec.id, { digest: kernelDigest, chunks: chunks(kernel) })
    return spec.id
  }

  it('are those that were agreed on, to the last byte, or are not taken, and then nothing boots', async () => {
    const id = await created('true')
    const { bytes } = rules
    const changed = Buffer.from(bytes)
    changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1
    const deeds = [
      [changed],
      [bytes.subarray(0, -1)],
      [bytes, Buffer.alloc(1)],
      [ruleSetOf(2).bytes],
      [Buffer.alloc(bytes.length)],
      []
    ]
    for (const deed of deeds)
      expect(await codeOf(() => opened.host.putRuleset(id, chunks(...deed)))).to.equal('ERR_RULESET_DIGEST')
    expect(await stored()).to.deep.equal([])
    expect(await codeOf(() => opened.host.start(id))).to.equal('ERR_SERVER_STATE')
  })

  it('do not hide in the digest that they carry: what they are named by is what they hold', async () => {
    const forged = Buffer.from(ruleSetOf(2).bytes)
    rules.bytes.copy(forged, 16, 16, 48)
    const id = await created('true', { digest: rules.digest, bytes: forged })
    expect(await codeOf(() => opened.host.putRuleset(id, chunks(forged)))).to.equal('ERR_RULESET_DIGEST')
  })

  it('changed, swapped or taken away are not booted with', async () => {
    const deeds: ((path: string) => Promise<void>)[] = [
      async (path) => {
        const bytes = await readFile(path)
        bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1
        await rm(path)
        await writeFile(path, bytes)
      },
      async (path) => {
        await writeFile(`${path}.new`, ruleSetOf(2).bytes)
        await rename(`${path}.new`, path)
      },
      rm
    ]
    for (const deed of deeds) {
      const id = await created('true')
      await opened.host.putRuleset(id, chunks(rules.bytes))
      await deed(fileOf(rules))
      await opened.host.start(id)
      const { state, reason } = await opened.host.wait(id)
      expect([state, reason?.code]).to.deep.equal(['failed', 'ERR_RULESET_DIGEST'])
      await opened.host.destroy(id)
    }
  })

  it('are one file for all servers that take them, and gone with the last of these', async () => {
    const first = await created('read line')
    const put = await opened.host.putRuleset(first, chunks(rules.bytes))
    expect(put).to.include({ hasRuleset: true })
    // Known by its digest: nothing is sent.
    const second = await created('true')
    expect(await opened.host.inspect(second)).to.include({ hasRuleset: true })
    await opened.host.start(second)
    expect((await opened.host.wait(second)).state).to.equal('exited')
    expect(await stored()).to.have.length(1)
    await opened.host.destroy(second)
    expect(await stored()).to.have.length(1)
    await opened.host.start(first)
    await opened.host.stop(first, { graceMs: 0 })
    await opened.host.wait(first)
    expect(await stored()).to.deep.equal([])
  })

  it('take room on the disk of the slice, once, and are refused where there is none', async () => {
    const before = (await opened.host.capacity()).used.diskBytes
    const sizeBytes = rules.bytes.length
    const first = await created('true')
    const { total, used } = await opened.host.capacity()
    const { limits } = serverSpec('true')
    expect(used.diskBytes - before).to.equal(diskShareBytes(limits.diskBytes) + sizeBytes)
    const all = { limits: { ...limits, diskBytes: grantableDiskBytes(total.diskBytes - used.diskBytes) } }
    expect(await codeOf(() => created('true', ruleSetOf(2), all))).to.equal('ERR_SLICE_FULL')
    await opened.host.destroy(await created('true', rules, all))
    await opened.host.destroy(first)
    expect((await opened.host.capacity()).used.diskBytes).to.equal(before)
  })

  it('are for a kernel of its own, before it boots, and no longer than the longest that there can be', async () => {
    const ruleset = { digest: rules.digest, sizeBytes: rules.bytes.length }
    const put = (id: string) => codeOf(() => opened.host.putRuleset(id, chunks(rules.bytes)))
    expect(await codeOf(() => opened.host.create(serverSpec('true', { ruleset })))).to.equal(
      'ERR_HOST_REQUEST'
    )
    const tooLong = { hasOwnKernel: true, ruleset: { ...ruleset, sizeBytes: 64 * 2 ** 20 + 1 } } as const
    expect(await codeOf(() => opened.host.create(serverSpec('true', tooLong)))).to.equal('ERR_HOST_REQUEST')
    const none = serverSpec('true')
    await opened.host.create(none)
    expect(await put(none.id)).to.equal('ERR_SERVER_STATE')
    const id = await created('read line')
    await opened.host.putRuleset(id, chunks(rules.bytes))
    await opened.host.start(id)
    expect(await put(id)).to.equal('ERR_SERVER_STATE')
  })
})
