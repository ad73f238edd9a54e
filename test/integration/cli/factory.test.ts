import { execFileSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect } from 'chai'
import { execa } from 'execa'
import { remoteFactory } from '../../../ifactory/index.ts'
import { writeArtifacts } from '../../../soda-host/factory/artifacts.ts'
import { describeFile } from '../../../soda-host/factory/result.ts'
import { createIdentity, createLogKey } from '../../../src/identity/index.ts'
import { SAMPLE_INPUTS } from '../../helpers/documents.ts'
import { agree, kernelFacts } from '../../helpers/ifactory/workshop.ts'
import { startNode } from '../../helpers/irun/market.ts'
import { stampableKernel } from '../../helpers/stampable-kernel.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

const MAIN = join(import.meta.dirname, '../../../src/cli/main.ts')
const NODE = ['--disable-warning=ExperimentalWarning', MAIN, 'factory']

function factory(...args: string[]) {
  return execa('node', [...NODE, ...args], { reject: false, stdin: 'ignore' })
}

describe('Command line, the factory', function () {
  this.timeout(60_000)
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>
  let base: string
  const at = (name: string): string => join(directory.path, name)
  before(async () => {
    directory = await temporaryDirectory()
    base = await stampableKernel(directory.path)
  })
  after(() => directory[Symbol.asyncDispose]())

  it('stamps a kernel, and says what one is stamped with', async () => {
    const key = Buffer.from(createLogKey().publicKey).toString('base64url')
    await writeFile(at('policy'), 'tell')
    const stamped = await factory(
      'stamp',
      base,
      '--key',
      key,
      '--policy',
      at('policy'),
      '--out',
      at('kernel')
    )
    expect(stamped.exitCode, stamped.stderr).to.equal(0)
    expect(execFileSync(at('kernel')).toString('latin1'))
      .to.include('KRNTSTMP')
      .and.include('tell')
    const shown = await factory('show', at('kernel'), '--json')
    expect(JSON.parse(shown.stdout)).to.include({ policy: '4 bytes', ruleset: 'any' })
    expect(JSON.parse(shown.stdout)).to.have.property('logKey').that.deep.equals([key])
    expect((await factory('show', base)).stdout).to.include('a base kernel')
    const again = await factory('stamp', at('kernel'), '--key', key, '--out', at('again'))
    expect(again.exitCode).to.equal(1)
    expect(again.stderr).to.include('ERR_STAMP')
  })

  it('starts as a peer with a key of its own, makes kernels, and shows what their manifests say', async () => {
    const kernel = { ...(await describeFile(base)), inputs: SAMPLE_INPUTS }
    const artifacts = { kernel, initrd: { path: base, digest: kernel.digest }, images: [] }
    await writeArtifacts(at('artifacts.json'), artifacts)
    const listen = '/ip4/127.0.0.1/tcp/0'
    const args = ['start', '--json', '--state-dir', at('state'), '--artifacts', at('artifacts.json')]
    const running = execa('node', [...NODE, ...args, '--listen', listen], { reject: false, stdin: 'ignore' })
    try {
      const { value } = await createInterface({ input: running.stdout })[Symbol.asyncIterator]().next()
      const { factory: id, listening } = JSON.parse(String(value)) as { factory: string; listening: string[] }
      await using provider = await startNode()
      const agreed = await agree({
        provider: provider.identity,
        consumer: await createIdentity(),
        // Only its name is used.
        factory: { ...(await createIdentity()), id }
      })
      const remote = remoteFactory(provider, { id, addresses: listening })
      await using made = await remote.issue(agreed.request, AbortSignal.timeout(20_000))
      const { digest } = await kernelFacts(made)
      await writeFile(at('manifest.jws'), `${made.manifest}\n`)
      const shown = await factory('show', at('manifest.jws'), '--json')
      expect(JSON.parse(shown.stdout)).to.include({ factory: id, kernel: digest, lease: agreed.lease.digest })
    } finally {
      running.kill('SIGTERM')
      const { exitCode } = await running
      expect(exitCode).to.equal(0)
    }
  })
})
