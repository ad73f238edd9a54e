/**
 * Packages from the Debian archive, through apt with a configuration of its own: the machine's package lists and
 * settings are neither used nor changed (but for proxies and the like), and apt refuses whatever the archive's
 * keys have not signed, down to the digest of each package.
 */
import { mkdir, stat, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { FactoryError } from '../../src/errors.ts'
import type { PackageVersion } from './apt-output.ts'
import {
  aptFraction,
  debFileName,
  mirrorFromTargets,
  parsePackageVersions,
  TARGET_FORMAT
} from './apt-output.ts'
import { fileSha256 } from './cache.ts'
import { run } from './command.ts'
import { withLock } from './lock.ts'
import {
  DEBIAN_BACKPORTS_SUITE,
  DEBIAN_KEYRING,
  DEBIAN_SUITE,
  DOWNLOAD_TIMEOUT_MS,
  PACKAGE_LISTS_FRESH_MS
} from './pins.ts'
import type { FactoryOptions } from './progress.ts'
import { bytesText } from './progress.ts'

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

/** True if the lists were fetched a moment ago, by another step of the same set-up. */
async function isFresh(stamp: string): Promise<boolean> {
  const written = await stat(stamp).catch(() => undefined)
  return written !== undefined && Math.abs(Date.now() - written.mtimeMs) < PACKAGE_LISTS_FRESH_MS
}

/** How to call apt: what it reports goes to `onFraction`. */
interface AptCall {
  onFraction?: (fraction: number) => void
  cwd?: string
}

/** An archive whose signed package lists are here and up to date. */
export class DebianArchive {
  /** Address of the mirror, with a slash at its end. */
  readonly mirror: string
  readonly #directory: string
  readonly #options: FactoryOptions

  private constructor(mirror: string, options: FactoryOptions) {
    this.mirror = mirror
    // It stands between quotes in apt's configuration, where no path may be relative.
    this.#directory = resolve(options.cacheDir, 'apt')
    if (/["\\\n]/.test(this.#directory))
      throw new FactoryError(
        'ERR_SOURCE_FETCH',
        `not a cache folder for apt: ${JSON.stringify(options.cacheDir)}`
      )
    this.#options = options
  }

  /**
   * Open the archive: fetch the signed package lists into `<cacheDir>/apt` where they are not up to date.
   *
   * @throws ERR_SOURCE_FETCH when the archive is unreachable or its signature is wrong
   */
  static async open(options: FactoryOptions): Promise<DebianArchive> {
    const archive = new DebianArchive(await findMirror(options.signal), options)
    await archive.#alone(() => archive.#update())
    return archive
  }

  /** Where apt keeps the signed package lists. */
  get listsDir(): string {
    return join(this.#directory, 'state/lists')
  }

  /** Where apt keeps the packages of {@link fetchAll}. */
  get packagesDir(): string {
    return join(this.#directory, 'cache/archives')
  }

  /** Names of the archive's packages that begin with `prefix`. */
  async packageNames(prefix: string): Promise<string[]> {
    return (await this.#apt('apt-cache', ['pkgnames', prefix])).split('\n').filter(Boolean)
  }

  /** Every version of a package that the archive has, best first. */
  async versions(name: string): Promise<PackageVersion[]> {
    return parsePackageVersions(await this.#apt('apt-cache', ['show', name]))
  }

  /**
   * Fetch one version into `directory`.
   *
   * @returns the path of the verified file
   * @throws ERR_SOURCE_FETCH, ERR_SOURCE_DIGEST
   */
  async download(wanted: PackageVersion, directory: string): Promise<string> {
    const { progress } = this.#options
    const task = `downloading ${wanted.package} ${wanted.version}`
    const total = wanted.sizeBytes
    await mkdir(directory, { recursive: true })
    await this.#apt('apt-get', ['download', `${wanted.package}=${wanted.version}`], {
      cwd: directory,
      onFraction: (fraction) =>
        progress?.({ task, fraction, detail: `${bytesText(fraction * total)} of ${bytesText(total)}` })
    })
    const path = join(directory, debFileName(wanted))
    await verifyFile(path, wanted.sha256)
    progress?.({ task, isDone: true, detail: bytesText(total) })
    return path
  }

  /** Fetch packages, or apt's patterns of packages, and all that they depend on, into {@link packagesDir}. */
  async fetchAll(task: string, wanted: readonly string[]): Promise<void> {
    const { progress } = this.#options
    const args = ['--yes', '--no-install-recommends', '--download-only', 'install', ...wanted]
    await this.#alone(async () => {
      const plan = await this.#apt('apt-get', ['--simulate', ...args])
      const count = plan.split('\n').filter((line) => line.startsWith('Inst ')).length
      const onFraction = (fraction: number): void =>
        progress?.({ task, fraction, detail: `of ${count} packages` })
      await this.#apt('apt-get', args, { onFraction })
      progress?.({ task, isDone: true, detail: `${count} packages` })
    })
  }

  async #update(): Promise<void> {
    const directory = this.#directory
    await mkdir(join(directory, 'state/lists/partial'), { recursive: true })
    await mkdir(join(this.packagesDir, 'partial'), { recursive: true })
    await writeFile(join(directory, 'state/status'), '')
    await writeFile(join(directory, 'sources.list'), sourcesList(this.mirror))
    await writeFile(join(directory, 'apt.conf'), aptConfiguration(directory))
    const stamp = join(directory, 'updated')
    if (await isFresh(stamp)) return
    const { progress } = this.#options
    const task = `fetching the package lists of Debian ${DEBIAN_SUITE}`
    // Without this option apt calls unreachable indexes a warning and goes on with old ones.
    const args = ['update', '-o', 'APT::Update::Error-Mode=any']
    await this.#apt('apt-get', args, { onFraction: (fraction) => progress?.({ task, fraction }) })
    await writeFile(stamp, '')
    progress?.({ task, isDone: true })
  }

  /** apt gives up at once where it is not alone in its folders. */
  async #alone(body: () => Promise<void>): Promise<void> {
    await withLock(join(this.#options.cacheDir, 'apt.lock'), { signal: this.#options.signal }, body)
  }

  #apt(program: string, args: readonly string[], { onFraction, cwd }: AptCall = {}): Promise<string> {
    const status = onFraction === undefined ? [] : ['-o', 'APT::Status-Fd=3']
    return run(program, ['-c', join(this.#directory, 'apt.conf'), '-q', ...status, ...args], {
      code: 'ERR_SOURCE_FETCH',
      signal: this.#options.signal,
      timeoutMs: DOWNLOAD_TIMEOUT_MS,
      ...(cwd === undefined ? {} : { cwd }),
      ...(onFraction && {
        onStatusLine: (line: string) => {
          const fraction = aptFraction(line)
          if (fraction !== undefined) onFraction(fraction)
        }
      })
    })
  }
}

/** @throws ERR_SOURCE_DIGEST when the file at `path` is not the one that was pinned or signed */
export async function verifyFile(path: string, sha256: string, signal?: AbortSignal): Promise<void> {
  const actual = await fileSha256(path, signal)
  if (actual !== sha256)
    throw new FactoryError('ERR_SOURCE_DIGEST', `${path}: expected sha256 ${sha256}, got ${actual}`)
}
