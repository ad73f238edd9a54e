import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { readArtifacts, writeArtifacts } from '../../../soda-host/factory/artifacts.ts'
import { inputsSha256 } from '../../../soda-host/factory/cache.ts'
import { isBuildStep } from '../../../soda-host/factory/kernel-build.ts'
import { bytesText } from '../../../soda-host/factory/progress.ts'
import { findResult, storeResult } from '../../../soda-host/factory/result.ts'
import { codeOf } from '../../helpers/errors.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

const INPUTS = 'ab'.repeat(32)
const DIGEST = `sha256:${'0'.repeat(64)}`
const ARTIFACTS = {
  kernel: { path: '/cache/linux', digest: DIGEST },
  initrd: { path: '/cache/initrd', digest: DIGEST },
  images: [{ name: 'tiny', path: '/cache/tiny', digest: DIGEST, sizeBytes: 12 }]
}

describe('factory: results', () => {
  it('are found again by their inputs, and only by these', async () => {
    await using cache = await temporaryDirectory()
    await writeFile(join(cache.path, 'made'), 'bytes')
    const stored = await storeResult(cache.path, 'kernels', INPUTS, {
      path: join(cache.path, 'made'),
      name: 'linux'
    })
    expect(stored).to.include({ sizeBytes: 5 })
    expect(stored.digest).to.equal('sha256:277089d91c0bdf4f2e6862ba7e4a07605119431f5d13f726dd352b06f1b206a9')
    expect(await findResult(cache.path, 'kernels', INPUTS)).to.deep.equal(stored)
    expect(await findResult(cache.path, 'kernels', 'cd'.repeat(32))).to.equal(undefined)
  })

  it('that were changed, cut or half-stored are not found', async () => {
    await using cache = await temporaryDirectory()
    await writeFile(join(cache.path, 'made'), 'bytes')
    const { path } = await storeResult(cache.path, 'kernels', INPUTS, {
      path: join(cache.path, 'made'),
      name: 'linux'
    })
    await writeFile(path, 'Bytes')
    expect(await findResult(cache.path, 'kernels', INPUTS)).to.equal(undefined)
    await mkdir(join(cache.path, 'kernels', 'half'), { recursive: true })
    await writeFile(join(cache.path, 'kernels', 'half', 'linux'), 'bytes')
    expect(await findResult(cache.path, 'kernels', 'half')).to.equal(undefined)
  })

  it('that point out of their directory are not found', async () => {
    await using cache = await temporaryDirectory()
    const directory = join(cache.path, 'kernels', INPUTS)
    await mkdir(directory, { recursive: true })
    await writeFile(join(cache.path, 'secret'), 'bytes')
    const digest = 'sha256:277089d91c0bdf4f2e6862ba7e4a07605119431f5d13f726dd352b06f1b206a9'
    await writeFile(join(directory, 'result.json'), JSON.stringify({ file: '../../secret', digest }))
    expect(await findResult(cache.path, 'kernels', INPUTS)).to.equal(undefined)
  })

  it('inputs cannot be shifted from one to the next without changing the digest', () => {
    expect(inputsSha256({ a: '1', b: '' })).to.not.equal(inputsSha256({ a: '', b: '1' }))
    expect(inputsSha256({ a: '1","b' })).to.not.equal(inputsSha256({ a: '1', b: '' }))
    expect(inputsSha256({ a: '1', b: '2' })).to.equal(inputsSha256({ b: '2', a: '1' }))
  })
})

describe('factory: list of artifacts', () => {
  it('reads back what was written', async () => {
    await using directory = await temporaryDirectory()
    const path = join(directory.path, 'artifacts.json')
    await writeArtifacts(path, ARTIFACTS)
    expect(await readArtifacts(path)).to.deep.equal(ARTIFACTS)
  })

  for (const [what, text] of Object.entries({
    'half a file': JSON.stringify(ARTIFACTS).slice(0, 60),
    'a relative path': JSON.stringify({ ...ARTIFACTS, kernel: { path: 'linux', digest: DIGEST } }),
    'a short digest': JSON.stringify({ ...ARTIFACTS, kernel: { path: '/linux', digest: 'sha256:00' } }),
    'an image with a path for a name': JSON.stringify({
      ...ARTIFACTS,
      images: [{ ...ARTIFACTS.images[0], name: '../x' }]
    })
  }))
    it(`refuses ${what}`, async () => {
      await using directory = await temporaryDirectory()
      const path = join(directory.path, 'artifacts.json')
      await writeFile(path, text)
      expect(await codeOf(() => readArtifacts(path))).to.equal('ERR_ARTIFACTS')
      expect(await readFile(path, 'utf8')).to.equal(text)
    })
})

describe('factory: progress in words', () => {
  it('counts the lines by which kbuild tells what it does, and no others', () => {
    for (const line of [
      '  CC      kernel/fork.o',
      '  AR      fs/built-in.a',
      '  HOSTCC  scripts/kallsyms',
      '  UPD     include/x.h'
    ])
      expect(isBuildStep(line), line).to.equal(true)
    for (const line of ['make[2]: Entering directory', '  warning: x', 'CC fork.o', '', '  CALL'])
      expect(isBuildStep(line), line).to.equal(false)
  })

  it('writes bytes in the unit that fits', () => {
    expect([0, 999, 1000, 166_780_612, 1.8e9].map(bytesText)).to.deep.equal([
      '0 B',
      '999 B',
      '1.0 kB',
      '166.8 MB',
      '1.8 GB'
    ])
  })
})
