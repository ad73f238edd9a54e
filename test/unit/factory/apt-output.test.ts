import { expect } from 'chai'
import {
  aptFraction,
  mirrorFromTargets,
  parsePackageVersions
} from '../../../soda-host/factory/apt-output.ts'
import { chooseSource } from '../../../soda-host/factory/kernel-source.ts'
import { KERNEL_SOURCE } from '../../../soda-host/factory/pins.ts'
import { codeOf } from '../../helpers/errors.ts'

const DIGEST = 'a'.repeat(64)

function paragraph(name: string, version: string, sha256 = DIGEST, size = '12'): string {
  return `Package: ${name}\nVersion: ${version}\nArchitecture: all\nSize: ${size}\nSHA256: ${sha256}\nDescription: x\n y\n`
}

/** An archive that holds these packages: name to versions, best first. */
function archiveWith(packages: Record<string, string[]>, sha256: string = KERNEL_SOURCE.sha256) {
  return {
    packageNames: async () => Object.keys(packages),
    versions: async (name: string) =>
      parsePackageVersions(
        (packages[name] ?? []).map((version) => paragraph(name, version, sha256)).join('\n')
      )
  }
}

describe('factory: what apt says', () => {
  it('the mirror is the one that the machine’s own apt takes Debian from', () => {
    const lines = [
      'Some Vendor|stable|https://vendor.example/apt/',
      'Debian|bookworm-security|http://security.example/debian-security/',
      'Debian|bookworm|http://mirror.example/debian',
      'Debian|bookworm|http://second.example/debian/'
    ]
    expect(mirrorFromTargets(lines.join('\n'))).to.equal('http://mirror.example/debian/')
  })

  it('lists that were never fetched have no origin: then the usual path tells', () => {
    const lines = [
      '|bookworm-security|http://mirror.example/debian-security/',
      '|bookworm|http://mirror.example/debian/'
    ]
    expect(mirrorFromTargets(lines.join('\n'))).to.equal('http://mirror.example/debian/')
    expect(mirrorFromTargets('$(ORIGIN)|x|mirror+file:/etc/mirrors/debian/')).to.equal(
      'mirror+file:/etc/mirrors/debian/'
    )
  })

  it('a disc, another vendor’s archive or nothing is not a mirror', () => {
    expect(mirrorFromTargets('Debian|bookworm|cdrom://[Debian]/')).to.equal(undefined)
    expect(mirrorFromTargets('Vendor|stable|https://vendor.example/debian/')).to.equal(undefined)
    expect(mirrorFromTargets('')).to.equal(undefined)
  })

  it('progress is read from status lines only, and never exceeds the whole', () => {
    expect(aptFraction('dlstatus:1:12.5000:Retrieving file 1 of 2')).to.equal(0.125)
    expect(aptFraction('pmstatus:libc6:100.0000:Installed libc6')).to.equal(1)
    expect(aptFraction('dlstatus:1:101:x')).to.equal(1)
    for (const line of ['Get:1 http://x 12.5', 'dlstatus:1:nan:x', 'pmerror:a:5.0:b', ''])
      expect(aptFraction(line), line).to.equal(undefined)
  })

  it('versions of a package are read in order; a paragraph without a digest or size is left out', () => {
    const output = [
      paragraph('p', '2'),
      paragraph('p', '1'),
      paragraph('p', '0', 'abc'),
      paragraph('p', '0', DIGEST, 'x')
    ]
    expect(parsePackageVersions(output.join('\n')).map(({ version }) => version)).to.deep.equal(['2', '1'])
    expect(parsePackageVersions('')).to.deep.equal([])
  })
})

describe('factory: choice of the kernel source', () => {
  it('is the pinned version while the archive has it, even beside newer ones', async () => {
    const archive = archiveWith({
      'linux-source-7.9': ['7.9.1-1'],
      [KERNEL_SOURCE.package]: ['8-1', KERNEL_SOURCE.version]
    })
    expect((await chooseSource(archive)).version).to.equal(KERNEL_SOURCE.version)
  })

  it('falls back to the newest of the newest 7.x, compared as numbers', async () => {
    const names = [
      'linux-source-6.12',
      'linux-source-7.9',
      'linux-source-7.10',
      'linux-source-7.9-rt',
      'linux-source-71.2'
    ]
    const archive = archiveWith(
      Object.fromEntries(names.map((name) => [name, [`${name.slice(13)}.2-1`, '0-1']]))
    )
    expect(await chooseSource(archive)).to.include({ package: 'linux-source-7.10', version: '7.10.2-1' })
  })

  it('fails when there is no 7.x at all', async () => {
    expect(await codeOf(() => chooseSource(archiveWith({ 'linux-source-6.12': ['6.12-1'] })))).to.equal(
      'ERR_SOURCE_FETCH'
    )
  })

  it('refuses another file under the pinned version', async () => {
    const archive = archiveWith({ [KERNEL_SOURCE.package]: [KERNEL_SOURCE.version] }, DIGEST)
    expect(await codeOf(() => chooseSource(archive))).to.equal('ERR_SOURCE_DIGEST')
  })
})
