/** The system programs that the project needs, the Debian packages that hold them, and how they get here. */
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import type { ProgressListener } from '../../soda-host/factory/index.ts'
import { aptFraction, run } from '../../soda-host/factory/index.ts'
import { SetupError } from '../errors.ts'
import { MINUTE_MS } from '../constants.ts'

/** A Debian package, known to be installed by a program on the PATH or by a file. */
export interface SystemPackage {
  name: string
  program?: string
  file?: string
  /** Only needed where we are not root. */
  isForUsers?: boolean
}

const INSTALL_TIMEOUT_MS = 60 * MINUTE_MS

/** What is not in every Debian (`Essential: yes`) already. */
export const SYSTEM_PACKAGES: readonly SystemPackage[] = [
  // The guest kernel and its init are compiled here.
  { name: 'gcc', program: 'gcc' },
  { name: 'make', program: 'make' },
  { name: 'libc6-dev', file: '/usr/include/stdio.h' },
  { name: 'binutils', program: 'ld' },
  { name: 'flex', program: 'flex' },
  { name: 'bison', program: 'bison' },
  { name: 'bc', program: 'bc' },
  { name: 'patch', program: 'patch' },
  { name: 'xz-utils', program: 'xz' },
  // The sealing code is tested in user space on its primitives.
  { name: 'libssl-dev', file: '/usr/include/openssl/evp.h' },
  // Dumps are opened by it in the tests, to be sure that tenants can.
  { name: 'age', program: 'age' },
  // Who logs in to a server in the tests.
  { name: 'openssh-client', program: 'ssh' },
  // Images: what they are made of, who signed it, and how they are packed.
  { name: 'debian-archive-keyring', file: '/usr/share/keyrings/debian-archive-keyring.gpg' },
  { name: 'mmdebstrap', program: 'mmdebstrap' },
  { name: 'uidmap', program: 'newuidmap', isForUsers: true },
  { name: 'squashfs-tools', program: 'sqfstar' },
  // Every virtual server has a writable layer and a jail.
  { name: 'e2fsprogs', program: 'mke2fs' },
  { name: 'bubblewrap', program: 'bwrap' },
  // The switch between them.
  { name: 'nftables', program: 'nft' },
  { name: 'iproute2', program: 'ip' },
  // One of the ways outside.
  { name: 'passt', program: 'pasta' }
]

export interface Machine {
  isRoot: boolean
  hasProgram(name: string): boolean
  hasFile(path: string): boolean
}

function thisMachine(): Machine {
  // Users do not have the sbin folders in their PATH, but what is there can be run.
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin']
  return {
    isRoot: process.getuid?.() === 0,
    hasProgram: (name) => folders.some((folder) => folder !== '' && existsSync(join(folder, name))),
    hasFile: existsSync
  }
}

/** Names of the packages that this machine lacks. */
export function missingPackages(machine: Machine = thisMachine()): string[] {
  return SYSTEM_PACKAGES.filter(({ program, file, isForUsers }) => {
    if (isForUsers === true && machine.isRoot) return false
    const hasProgram = program === undefined || machine.hasProgram(program)
    return !(hasProgram && (file === undefined || machine.hasFile(file)))
  }).map(({ name }) => name)
}

const INSTALL_ARGS = ['install', '--yes', '--no-install-recommends']

export interface PackagesOptions {
  progress?: ProgressListener
  signal: AbortSignal
}

/**
 * Make sure that all system packages are here: install what is missing where we are root on Debian.
 *
 * @throws ERR_PACKAGES_MISSING with the line to type, where we may not install
 * @throws ERR_PACKAGES_INSTALL when apt fails
 */
export async function ensurePackages(options: PackagesOptions): Promise<void> {
  const missing = missingPackages()
  if (missing.length === 0) return
  const machine = thisMachine()
  if (!machine.isRoot || !machine.hasFile('/etc/debian_version') || !machine.hasProgram('apt-get'))
    throw new SetupError('ERR_PACKAGES_MISSING', missingText(missing))
  try {
    await install(missing, options)
  } catch (cause) {
    options.signal.throwIfAborted()
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new SetupError('ERR_PACKAGES_INSTALL', `could not install ${missing.join(' ')}\n${reason}`, {
      cause
    })
  }
  const still = missingPackages()
  if (still.length > 0) throw new SetupError('ERR_PACKAGES_MISSING', missingText(still))
}

export function missingText(missing: readonly string[]): string {
  return (
    `this machine lacks ${missing.join(', ')}. As root on Debian they are installed for you; else type\n\n` +
    `    sudo apt-get update && sudo apt-get ${INSTALL_ARGS.join(' ')} ${missing.join(' ')}\n\nand start again.`
  )
}

async function install(names: readonly string[], { progress, signal }: PackagesOptions): Promise<void> {
  const task = `installing ${names.join(' ')}`
  const apt = (args: readonly string[]): Promise<string> =>
    run('apt-get', ['-q', '-o', 'DPkg::Lock::Timeout=300', '-o', 'APT::Status-Fd=3', ...args], {
      code: 'ERR_SOURCE_FETCH',
      signal,
      timeoutMs: INSTALL_TIMEOUT_MS,
      env: { DEBIAN_FRONTEND: 'noninteractive' },
      onLine: (line) => progress?.({ task, detail: line }),
      onStatusLine: (line) => {
        const fraction = aptFraction(line)
        if (fraction !== undefined) progress?.({ task, fraction })
      }
    })
  progress?.({ task })
  // Packages that an interrupted run left half-installed come first.
  await run('dpkg', ['--configure', '--pending'], {
    code: 'ERR_SOURCE_FETCH',
    signal,
    timeoutMs: INSTALL_TIMEOUT_MS
  })
  try {
    await apt([...INSTALL_ARGS, ...names])
  } catch {
    signal.throwIfAborted()
    // Most often: the package lists are missing, or older than the archive.
    await apt(['update'])
    await apt([...INSTALL_ARGS, ...names])
  }
  progress?.({ task, isDone: true })
}
