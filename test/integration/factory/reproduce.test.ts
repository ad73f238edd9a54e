import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { fileSha256 } from '../../../soda-host/factory/cache.ts'
import { buildKernel } from '../../../soda-host/factory/kernel-build.ts'
import { kernelInputs } from '../../../soda-host/factory/kernel-recipe.ts'
import { keepBaseKernel, kernelStamper } from '../../../soda-host/factory/kernel-stamper.ts'
import { reproduceKernel } from '../../../soda-host/factory/reproduce.ts'
import { describeFile } from '../../../soda-host/factory/result.ts'
import { toolchainInputs } from '../../../soda-host/factory/toolchain.ts'
import { sampleKernelWish } from '../../helpers/documents.ts'
import { codeOf, errorOf } from '../../helpers/errors.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'
import { toyRecipe, toySource } from '../../helpers/toy-kernel.ts'

const { factories: _, ...wish } = sampleKernelWish()
const STAMP = { serverId: 'c0'.repeat(16), ...wish, policy: Buffer.from('a policy').toString('base64url') }

describe('factory: what a manifest says', () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>
  const at = (name: string): string => join(directory.path, name)
  /** A kernel built from the toy's source, as anybody would, in a directory of that name. */
  async function built(name: string, patched?: string) {
    const recipe = await toyRecipe(at(`recipe-${name}`), 'CONFIG_SECURITY_KERNORT=y\n', patched)
    const path = await buildKernel(source, recipe, at(name), { cacheDir: at('cache') })
    return {
      ...(await describeFile(path)),
      inputs: await kernelInputs(source, recipe, await toolchainInputs())
    }
  }
  let source: Awaited<ReturnType<typeof toySource>>
  let base: Awaited<ReturnType<typeof built>>

  before(async () => {
    directory = await temporaryDirectory()
    source = await toySource(at('source'), at('cache'))
    base = await built('factory')
    await keepBaseKernel(at('bench'), base)
  })
  after(() => directory[Symbol.asyncDispose]())

  async function stampedBy(bench: string) {
    const stamper = await kernelStamper(at(bench))
    await using made = await stamper.stamp(STAMP)
    const { digest, sizeBytes } = made
    return { base: stamper.base, kernel: { digest, sizeBytes }, stamp: STAMP }
  }

  it('anybody builds again from its inputs, with the same digests', async () => {
    const manifest = await stampedBy('bench')
    const {
      isSame,
      base: compared,
      kernel
    } = await reproduceKernel(manifest, await built('elsewhere'), at('.'))
    expect(isSame).to.equal(true)
    expect(compared.made).to.equal(manifest.base.digest)
    expect(kernel.made).to.equal(manifest.kernel.digest)
  })

  it('does not hold for a kernel that was built from it and changed', async () => {
    const manifest = await stampedBy('bench')
    const changed = await readFile(base.path)
    const byte = changed.indexOf('patched')
    changed[byte] = (changed[byte] ?? 0) ^ 1
    const path = at('changed')
    await writeFile(path, changed)
    await keepBaseKernel(at('dishonest'), {
      path,
      digest: `sha256:${await fileSha256(path)}`,
      inputs: base.inputs
    })
    const lie = await stampedBy('dishonest')
    expect((await reproduceKernel(lie, base, at('.'))).isSame).to.equal(false)
    const swapped = { ...manifest, kernel: lie.kernel }
    const { base: same, kernel, isSame } = await reproduceKernel(swapped, base, at('.'))
    expect(same.made).to.equal(same.said)
    expect(kernel.made).to.not.equal(kernel.said)
    expect(isSame).to.equal(false)
  })

  it('cannot be told where the inputs are others, which are named', async () => {
    const manifest = await stampedBy('bench')
    const error = await errorOf(async () =>
      reproduceKernel(manifest, await built('other', 'otherwise'), at('.'))
    )
    expect(error).to.have.property('code', 'ERR_KERNEL_INPUTS')
    expect(error.message).to.match(/: patches is sha256:\w+, here sha256:\w+$/)
  })

  it('is of a base that was whole when the bench was opened, and of no other', async () => {
    const wrong = { ...base, digest: `sha256:${'0'.repeat(64)}` }
    expect(await codeOf(() => keepBaseKernel(at('none'), wrong))).to.equal('ERR_ARTIFACTS')
    const { path, digest } = base
    expect(await codeOf(() => keepBaseKernel(at('none'), { path, digest }))).to.equal('ERR_ARTIFACTS')
    expect(await codeOf(() => kernelStamper(at('none')))).to.equal('ERR_ARTIFACTS')
    await keepBaseKernel(at('spoilt'), base)
    await writeFile(at('spoilt/base-kernel'), 'x', { flag: 'a' })
    expect(await codeOf(() => kernelStamper(at('spoilt')))).to.equal('ERR_ARTIFACTS')
    const stamper = await kernelStamper(at('bench'))
    await using stamped = await stamper.stamp(STAMP)
    expect(await codeOf(() => keepBaseKernel(at('twice'), { ...base, ...stamped }))).to.equal('ERR_STAMP')
  })
})
