/** The image `debian`: a minimal Debian with Python, numpy and OpenSSH, made by mmdebstrap from the signed archive. */
import type { Command } from './command.ts'
import { start } from './command.ts'
import { DebianArchive } from './debian-archive.ts'
import { DEBIAN_KEYRING, DEBIAN_SUITE, IMAGE_BUILD_TIMEOUT_MS, SOURCE_DATE_EPOCH } from './pins.ts'
import type { FactoryOptions } from './progress.ts'

const PACKAGES = ['python3', 'python3-minimal', 'python3-numpy', 'openssh-server']

/** All that mmdebstrap will ask for: its variant `minbase`, and ours. */
const FETCHED = ['?essential', '?priority(required)', 'apt', ...PACKAGES]

/** Nobody reads manuals in a virtual server; copyright files stay. */
const DPKG_OPTIONS = [
  'path-exclude=/usr/share/man/*',
  'path-exclude=/usr/share/info/*',
  'path-exclude=/usr/share/locale/*',
  'path-exclude=/usr/share/doc/*',
  'path-include=/usr/share/doc/*/copyright'
]

/** A key that every server has is nobody's: who runs sshd makes keys first (`ssh-keygen -A`). */
const HOOKS = ['rm -f "$1"/etc/ssh/ssh_host_*']

export const DEBIAN_RECIPE = JSON.stringify({ DEBIAN_SUITE, PACKAGES, DPKG_OPTIONS, HOOKS })

/** Lines that mmdebstrap prints for its stages, in order; each takes the time of a few percent. */
const STAGES: [stage: RegExp, fraction: number][] = [
  [/apt-get update/, 0.02],
  [/downloading packages/, 0.08],
  [/extracting archives/, 0.2],
  [/installing essential packages/, 0.3],
  [/downloading apt|installing apt/, 0.4],
  [/installing remaining packages/, 0.45],
  [/cleaning package lists/, 0.85],
  [/creating tarball/, 0.9]
]

/** Start making the image; the archive comes out of the program's standard output. */
export async function debianTar(options: FactoryOptions): Promise<Command> {
  const { progress, signal } = options
  const archive = await DebianArchive.open(options)
  if (isRoot()) await archive.fetchAll('downloading the packages of the image debian', FETCHED)
  const task = 'making the image debian'
  const onLine = (line: string): void => {
    const stage = STAGES.find(([pattern]) => pattern.test(line))
    progress?.({ task, detail: line.replace(/^[IWE]: /, ''), ...(stage && { fraction: stage[1] }) })
  }
  const command = start('mmdebstrap', mmdebstrapArgs(archive), {
    code: 'ERR_IMAGE_BUILD',
    signal,
    timeoutMs: IMAGE_BUILD_TIMEOUT_MS,
    onLine,
    env: { SOURCE_DATE_EPOCH: String(SOURCE_DATE_EPOCH) }
  })
  command.stdin.end()
  return command
}

function mmdebstrapArgs(archive: DebianArchive): string[] {
  return [
    ...[
      '--mode=auto',
      '--variant=minbase',
      '--architectures=amd64',
      '--format=tar',
      `--keyring=${DEBIAN_KEYRING}`
    ],
    `--include=${PACKAGES.join(',')}`,
    ...DPKG_OPTIONS.map((option) => `--dpkgopt=${option}`),
    ...HOOKS.map((hook) => `--customize-hook=${hook}`),
    ...(isRoot() ? cacheArgs(archive) : []),
    ...[DEBIAN_SUITE, '-', archive.mirror]
  ]
}

/**
 * mmdebstrap takes lists and packages from our cache, so that an interrupted build does not fetch them again. In a
 * user namespace it is somebody else, who may not look into our folders.
 */
function cacheArgs({ listsDir, packagesDir }: DebianArchive): string[] {
  return [
    '--skip=download/empty',
    '--setup-hook=mkdir -p "$1/var/lib/apt/lists" "$1/var/cache/apt/archives/partial"',
    `--setup-hook=cp ${quoted(listsDir)}/*_* "$1/var/lib/apt/lists/"`,
    `--setup-hook=sync-in ${quoted(packagesDir)} /var/cache/apt/archives`
  ]
}

function isRoot(): boolean {
  return process.getuid?.() === 0
}

/** What a user without root should know when mmdebstrap failed. */
export function debianHint(): string {
  return isRoot()
    ? ''
    : '\nWithout root it needs user namespaces, the package uidmap and a line for you in /etc/subuid and /etc/subgid.'
}

function quoted(path: string): string {
  return `'${path.replaceAll("'", "'\\''")}'`
}
