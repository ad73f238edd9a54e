/**
 * Attacker: whoever answers in the Debian mirror's place, or names a mirror for us.
 * Asset: the guest kernel, hence every tenant of this host; the machine's own apt.
 * Expected outcome: ERR_SOURCE_FETCH; no package is fetched, nothing enters the cache, the machine's apt is as before.
 */
import { existsSync } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { fetchKernelSource } from '../../../soda-host/factory/kernel-source.ts'
import { KERNEL_SOURCE } from '../../../soda-host/factory/pins.ts'
import { codeOf } from '../../helpers/errors.ts'
import { withMirror, withMirrorAddress } from '../../helpers/debian-mirror.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

const PACKAGES = `Package: ${KERNEL_SOURCE.package}
Version: ${KERNEL_SOURCE.version}
Architecture: all
Filename: pool/evil.deb
Size: 4
SHA256: ${KERNEL_SOURCE.sha256}
`
const RELEASE = 'Origin: Debian\nSuite: trixie\nCodename: trixie\nDate: Thu, 01 Jan 2026 00:00:00 UTC\n'

/** What an attacker without the archive's key can answer. */
const ANSWERS: Record<string, (path: string) => string | undefined> = {
  'no signature at all': (path) => {
    if (path.endsWith('/Release')) return RELEASE
    return path.endsWith('/Packages') ? PACKAGES : undefined
  },
  'a signature that is none': (path) =>
    path.endsWith('/InRelease')
      ? `-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n${RELEASE}-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----\n`
      : undefined,
  rubbish: () => 'rubbish '.repeat(10_000),
  'nothing that exists': () => undefined
}

async function machineLists(): Promise<unknown> {
  const path = '/var/lib/apt/lists'
  return existsSync(path) ? [(await stat(path)).mtimeMs, (await readdir(path)).length] : undefined
}

describe('a hostile Debian mirror', function () {
  this.timeout(60_000)

  for (const [what, answer] of Object.entries(ANSWERS))
    it(`with ${what} is not believed`, async () => {
      await using cache = await temporaryDirectory()
      const before = await machineLists()
      await withMirror(answer, async (asked) => {
        expect(await codeOf(() => fetchKernelSource({ cacheDir: cache.path }))).to.equal('ERR_SOURCE_FETCH')
        expect(asked.length).to.be.greaterThan(0)
        expect(asked.filter((path) => path.endsWith('.deb'))).to.deep.equal([])
      })
      expect(existsSync(join(cache.path, 'sources'))).to.equal(false)
      expect(await machineLists()).to.deep.equal(before)
    })

  for (const address of [
    'http://x/ [trusted=yes] y',
    'http://x/"; Dir::Bin::x "y',
    'file',
    '$(id)',
    'http://x/\nbad'
  ])
    it(`whose address is ${JSON.stringify(address)} is refused before apt sees it`, async () => {
      await using cache = await temporaryDirectory()
      await withMirrorAddress(address, async () => {
        expect(await codeOf(() => fetchKernelSource({ cacheDir: cache.path }))).to.equal('ERR_SOURCE_FETCH')
      })
      expect(existsSync(join(cache.path, 'apt'))).to.equal(false)
    })

  it('cannot be brought in through the name of the cache folder', async () => {
    await using directory = await temporaryDirectory()
    const cacheDir = join(directory.path, '"; Dir::Bin::Methods "x')
    await withMirrorAddress('http://127.0.0.1:9/debian', async () => {
      expect(await codeOf(() => fetchKernelSource({ cacheDir }))).to.equal('ERR_SOURCE_FETCH')
    })
    expect(await readdir(directory.path)).to.deep.equal([])
  })
})
