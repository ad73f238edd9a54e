import { expect } from 'chai'
import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  installArtifacts,
  installedPath,
  type InstalledArtifacts
} from '../../../soda-host/daemon/artifacts.ts'
import { readArtifacts, type Artifacts } from '../../../soda-host/factory/index.ts'
import { fakeArtifacts } from '../../helpers/daemon/fake-artifacts.ts'
import { errorOf } from '../../helpers/errors.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

describe('installing artifacts', () => {
  let resources: AsyncDisposableStack
  let cache: string
  let directory: string
  let artifacts: Artifacts

  beforeEach(async () => {
    resources = new AsyncDisposableStack()
    const top = resources.use(await temporaryDirectory()).path
    cache = join(top, 'cache')
    directory = join(top, 'installed')
    await mkdir(directory)
    artifacts = await readArtifacts(await fakeArtifacts(cache, ['tiny', 'debian']))
  })

  afterEach(() => resources.disposeAsync())

  const install = (inUse: readonly string[] = []): Promise<InstalledArtifacts> =>
    installArtifacts({ artifacts, directory, inUse, onProgress: () => undefined })

  it('puts each file under its digest, without copying what others may read', async () => {
    const installed = await install()
    expect(await readFile(installed.kernelPath, 'utf8')).to.equal('this stands for kernel')
    expect((await stat(installed.kernelPath)).ino).to.equal((await stat(artifacts.kernel.path)).ino)
    expect(installed.images.map(({ name }) => name)).to.deep.equal(['tiny', 'debian'])
    expect(installed.images[0]?.path).to.equal(installedPath(directory, artifacts.images[0]?.digest ?? ''))
    expect((await readdir(directory)).length).to.equal(4)
  })

  it('copies what others may not read, and lets them read and run the copy only', async () => {
    await chmod(artifacts.kernel.path, 0o700)
    const { kernelPath } = await install()
    expect((await stat(kernelPath)).mode & 0o777).to.equal(0o555)
    expect((await stat(artifacts.kernel.path)).mode & 0o777).to.equal(0o700)
  })

  it('does nothing the second time, even if the cache is gone', async () => {
    const first = await install()
    await rm(cache, { recursive: true })
    expect(await install()).to.deep.equal(first)
  })

  it('takes the file anew when the installed one was changed', async () => {
    await chmod(artifacts.kernel.path, 0o700)
    const { kernelPath } = await install()
    await rm(kernelPath)
    await writeFile(kernelPath, 'changed')
    await install()
    expect(await readFile(kernelPath, 'utf8')).to.equal('this stands for kernel')
  })

  it('refuses a file that is not what its digest says, or is missing, and installs nothing of it', async () => {
    const [image] = artifacts.images
    await rm(image?.path ?? '')
    expect((await errorOf(() => install())).code).to.equal('ERR_IMAGE_FORMAT')
    await writeFile(image?.path ?? '', 'something else')
    const error = await errorOf(() => install())
    expect(error.code).to.equal('ERR_IMAGE_FORMAT')
    expect(error.message).to.include(image?.digest ?? '?')
    expect((await readdir(directory)).filter((name) => name.includes('part'))).to.deep.equal([])
  })

  it('removes what nobody needs, and keeps what a living server was created with', async () => {
    await install()
    const [tiny, debian] = artifacts.images
    artifacts = { ...artifacts, images: [] }
    await install([tiny?.digest ?? ''])
    const names = (await readdir(directory)).join(' ')
    expect(names).to.include(tiny?.digest.slice(7) ?? '?')
    expect(names).to.not.include(debian?.digest.slice(7) ?? '?')
  })
})
