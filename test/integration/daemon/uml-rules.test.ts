import { createReadStream } from 'node:fs'
import { expect } from 'chai'
import { requires } from '../../helpers/capabilities.ts'
import { openHost, type OpenedHost } from '../../helpers/daemon/open-host.ts'
import { serverSpec } from '../../helpers/daemon/server-spec.ts'
import { stampedKernel } from '../../helpers/stamped-kernel.ts'
import { ruleSetOf } from '../../helpers/tables.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'
import { umlLauncher } from '../../../soda-host/virtual-server/index.ts'
import { createLogKey } from '../../../src/identity/index.ts'

describe('a real guest whose kernel is stamped with rules', function () {
  this.timeout(120_000)
  const rules = ruleSetOf(1)
  const stamp = { rulesetSha256: Buffer.from(rules.digest.slice('sha256:'.length), 'hex') }
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>
  let opened: OpenedHost
  let kernel: Awaited<ReturnType<typeof stampedKernel>>
  before(async function () {
    requires(this, 'root', 'uml', 'bubblewrap')
    directory = await temporaryDirectory()
    kernel = await stampedKernel(directory.path, createLogKey(), stamp)
    const artifacts = (): Promise<string> => Promise.resolve(process.env['ISHARE_ARTIFACTS'] ?? '')
    opened = await openHost({ launcher: umlLauncher(), artifacts })
  })
  after(async () => {
    await opened[Symbol.asyncDispose]()
    await directory[Symbol.asyncDispose]()
  })

  /** How a server ends that takes those rules, under that kernel. */
  async function outcome({ bytes, digest } = rules): Promise<string | undefined> {
    const ruleset = { digest, sizeBytes: bytes.length }
    const spec = serverSpec('true', { hasOwnKernel: true, ruleset })
    await opened.host.create(spec)
    await opened.host.putKernel(spec.id, { digest: kernel.digest, chunks: createReadStream(kernel.path) })
    await opened.host.putRuleset(
      spec.id,
      (async function* () {
        yield bytes
      })()
    )
    await opened.host.start(spec.id)
    const { state, reason } = await opened.host.wait(spec.id)
    await opened.host.destroy(spec.id)
    return reason?.message ?? state
  }

  it('boots with these, which come to it by a descriptor', async () => {
    expect(await outcome()).to.equal('exited')
  })

  it('does not boot with others, whatever its host was told', async () => {
    expect(await outcome(ruleSetOf(2))).to.match(/does not have the rules/)
  })
})
