/**
 * Packages from the Debian archive, through apt with a configuration of its own: the machine's package lists and
 * settings are neither used nor changed (but for proxies and the like), and apt refuses whatever the archive's
 * keys have not signed, down to the digest of each package.
 */
import { mkdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { FactoryError } from '../../src/errors.ts'
import { fileSha256 } from './cache.ts'
import { run } from './command.ts'
import {
  DEBIAN_BACKPORTS_SUITE,
  DEBIAN_KEYRING,
  DEBIAN_SUITE,
  DOWNLOAD_TIMEOUT_MS,
  PACKAGE_LISTS_FRESH_MS
} from './pins.ts'
import type { FactoryOptions } from './progress.ts'
import { bytesText } from './progress.ts'

/** One version of a package, as the signed index describes it. */
export interface PackageVersion {
  package: string
  version: string
  architecture: string
  sha256: string
  sizeBytes: number
}

export interface DebianArchive {
  /** Address of the mirror, with a slash at its end. */
  mirror: string
  /** Where apt keeps the signed package lists. */
  listsDir: string
  /** Names of the archive's packages that begin with `prefix`. */
  packageNames(prefix: string): Promise<string[]>
  /** Every version of a package that the archive has, best first. */
  versions(packageName: string): Promise<PackageVersion[]>
  /** Fetch one version into `directory`. @returns the path of the verified file */
  download(wanted: PackageVersion, directory: string): Promise<string>
}

/** Codename and address of the index targets that the machine's apt knows, one `origin|codename|uri` per line. */
const TARGET_FORMAT = '$(ORIGIN)|$(CODENAME)|$(REPO_URI)'

/**
 * The mirror this machine already uses, from the output of `apt-get indextargets` in {@link TARGET_FORMAT}.
 *
 * Lists that were never fetched have no origin yet: then the usual last part of the path must do.
 */
export function mirrorFromTargets(output: string): string | undefined {
  const targets = output.split('\n').map((line) => {
    const [origin = '', codename = '', uri = ''] = line.split('|')
    return { origin, codename, uri }
  })
  const usable = targets.filter(({ uri }) => /^[a-z+]+:\/?/.test(uri) && !uri.startsWith('cdrom:'))
  const main = usable.find(({ origin, codename }) => origin === 'Debian' && !codename.endsWith('-security'))
  const guess = usable.find(
    ({ origin, uri }) => (origin === '' || origin.startsWith('$')) && /\/debian\/?$/.test(uri)
  )
  const uri = (main ?? guess)?.uri
  return uri?.replace(/\/*$/, '/')
}

/** Address of the Debian mirror: `ISHARE_DEBIAN_MIRROR`, else the one that the machine's own apt uses. */
async function findMirror(signal: AbortSignal | undefined): Promise<string> {
  const wanted = process.env['ISHARE_DEBIAN_MIRROR']
  if (wanted !== undefined && wanted !== '') return checkedMirror(wanted)
  const args = ['indextargets', '--format', TARGET_FORMAT, 'Created-By: Packages']
  const found = mirrorFromTargets(await run('apt-get', args, { code: 'ERR_SOURCE_FETCH', signal }))
  if (found !== undefined) return checkedMirror(found)
  const hint = 'apt knows no Debian mirror here: set ISHARE_DEBIAN_MIRROR to the address of one'
  throw new FactoryError('ERR_SOURCE_FETCH', hint)
}

/** A mirror's address stands in apt's configuration: no blanks, quotes or brackets. */
function checkedMirror(address: string): string {
  if (/^[a-z+]+:[\w\-./:@%~+]+$/.test(address)) return address.replace(/\/*$/, '/')
  throw new FactoryError('ERR_SOURCE_FETCH', `not the address of a Debian mirror: ${JSON.stringify(address)}`)
}

function sourcesList(mirror: string): string {
  const suites = [DEBIAN_SUITE, DEBIAN_BACKPORTS_SUITE]
  return suites
    .map((suite) => `deb [signed-by=${DEBIAN_KEYRING} arch=amd64] ${mirror} ${suite} main\n`)
    .join('')
}

/** Read after the machine's own settings, so it overrides them. Hooks of the machine must not see our lists. */
function aptConfiguration(directory: string): string {
  return `Dir::State "${directory}/state";
Dir::State::status "${directory}/state/status";
Dir::Cache "${directory}/cache";
Dir::Etc::sourcelist "${directory}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Acquire::Languages "none";
Acquire::Retries "3";
APT::Architecture "amd64";
#clear APT::Architectures;
APT::Architectures "amd64";
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
APT::Sandbox::User "root";
`
}

/** The fraction that a line of apt's status descriptor reports: `dlstatus:1:12.3456:Retrieving file 1 of 2`. */
export function aptFraction(line: string): number | undefined {
  const match = /^(?:dlstatus|pmstatus):[^:]*:(\d+(?:\.\d+)?):/.exec(line)
  return match === null ? undefined : Math.min(Number(match[1]) / 100, 1)
}

/** What `apt-cache show` prints: one paragraph per version. */
export function parsePackageVersions(output: string): PackageVersion[] {
  return output.split(/\n\s*\n/).flatMap((paragraph) => {
    const field = (name: string): string => new RegExp(`^${name}: (\\S+)$`, 'm').exec(paragraph)?.[1] ?? ''
    const found = {
      package: field('Package'),
      version: field('Version'),
      architecture: field('Architecture'),
      sha256: field('SHA256'),
      sizeBytes: Number(field('Size'))
    }
    const isWhole = found.package !== '' && found.version !== '' && /^[0-9a-f]{64}$/.test(found.sha256)
    return isWhole && Number.isSafeInteger(found.sizeBytes) ? [found] : []
  })
}

/** True if the lists were fetched a moment ago, by another step of the same set-up. */
async function isFresh(stamp: string): Promise<boolean> {
  const written = await stat(stamp).catch(() => undefined)
  return written !== undefined && Math.abs(Date.now() - written.mtimeMs) < PACKAGE_LISTS_FRESH_MS
}

/**
 * Open the archive: fetch the signed package lists into `<cacheDir>/apt` where they are not up to date.
 *
 * @throws ERR_SOURCE_FETCH when the archive is unreachable or its signature is wrong
 */
export async function debianArchive({ cacheDir, progress, signal }: FactoryOptions): Promise<DebianArchive> {
  const mirror = await findMirror(signal)
  const directory = join(cacheDir, 'apt')
  await mkdir(join(directory, 'state/lists/partial'), { recursive: true })
  await mkdir(join(directory, 'cache/archives/partial'), { recursive: true })
  const configuration = join(directory, 'apt.conf')
  await writeFile(join(directory, 'state/status'), '')
  await writeFile(join(directory, 'sources.list'), sourcesList(mirror))
  await writeFile(configuration, aptConfiguration(directory))

  const apt = (program: string, args: string[], onFraction?: (fraction: number) => void, cwd?: string) =>
    run(program, ['-c', configuration, ...(onFraction ? ['-o', 'APT::Status-Fd=3'] : []), '-q', ...args], {
      code: 'ERR_SOURCE_FETCH',
      signal,
      timeoutMs: DOWNLOAD_TIMEOUT_MS,
      ...(cwd === undefined ? {} : { cwd }),
      ...(onFraction && {
        onStatusLine: (line: string) => {
          const fraction = aptFraction(line)
          if (fraction !== undefined) onFraction(fraction)
        }
      })
    })

  const stamp = join(directory, 'updated')
  if (!(await isFresh(stamp))) {
    const task = `fetching the package lists of Debian ${DEBIAN_SUITE}`
    // Without this option apt calls unreachable indexes a warning and goes on with old ones.
    const update = ['update', '-o', 'APT::Update::Error-Mode=any']
    await apt('apt-get', update, (fraction) => progress?.({ task, fraction }))
    await writeFile(stamp, mirror)
    progress?.({ task, isDone: true })
  }

  return {
    mirror,
    listsDir: join(directory, 'state/lists'),
    packageNames: async (prefix) =>
      (await apt('apt-cache', ['pkgnames', prefix])).split('\n').filter(Boolean),
    versions: async (name) => parsePackageVersions(await apt('apt-cache', ['show', name])),
    async download(wanted, into) {
      await mkdir(into, { recursive: true })
      const title = `downloading ${wanted.package} ${wanted.version}`
      const total = wanted.sizeBytes
      const report = (fraction: number): void =>
        progress?.({ task: title, fraction, detail: `${bytesText(fraction * total)} of ${bytesText(total)}` })
      await apt('apt-get', ['download', `${wanted.package}=${wanted.version}`], report, into)
      const path = join(into, debFileName(wanted))
      await verifyFile(path, wanted.sha256)
      progress?.({ task: title, isDone: true, detail: bytesText(total) })
      return path
    }
  }
}

/** The name under which `apt-get download` leaves a package: the epoch's colon is written %3a. */
function debFileName({ package: name, version, architecture }: PackageVersion): string {
  return `${name}_${version.replaceAll(':', '%3a')}_${architecture}.deb`
}

/** @throws ERR_SOURCE_DIGEST when the file at `path` is not the one that was pinned or signed */
export async function verifyFile(path: string, sha256: string, signal?: AbortSignal): Promise<void> {
  const actual = await fileSha256(path, signal)
  if (actual !== sha256)
    throw new FactoryError('ERR_SOURCE_DIGEST', `${path}: expected sha256 ${sha256}, got ${actual}`)
}
