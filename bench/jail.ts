/** What the system-call filter costs: boot of a guest, and its system calls and forks, with the filter and without. */
import { execa } from 'execa'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readArtifacts } from '../soda-host/factory/index.ts'
import { SYSCALL_FILTER } from '../soda-host/virtual-server/syscall-filter/compile.ts'
import { row, type BenchContext, type Row } from './report.ts'
import { makeInitrd } from './syscalls.ts'

const FILTER_FD = 3
const OPENER = `exec ${FILTER_FD}< "$1"; shift; exec "$@"`

interface Guest {
  kernelPath: string
  initrdPath: string
  filterPath: string
}

/** From the start of the jail until the guest has powered off. Its console has no input in a jail, and so no output. */
async function lifeMs(guest: Guest, isFiltered: boolean, words: readonly string[]): Promise<number> {
  const seccomp = isFiltered ? ['--seccomp', String(FILTER_FD)] : []
  const jail = [
    'bwrap',
    '--unshare-all',
    '--bind',
    '/',
    '/',
    '--tmpfs',
    '/dev',
    '--tmpfs',
    '/dev/shm',
    ...seccomp
  ]
  const opener = ['/bin/sh', '-c', OPENER, 'opener', guest.filterPath]
  const kernel = [
    guest.kernelPath,
    'mem=128M',
    'seccomp=off',
    'con=null',
    'quiet',
    `initrd=${guest.initrdPath}`
  ]
  const startedAt = performance.now()
  await execa('taskset', ['-c', '1', ...opener, ...jail, ...kernel, ...words], {
    stdin: 'ignore',
    timeout: 300_000
  })
  return performance.now() - startedAt
}

/** One and the other by turns, so that what else the machine does meets both alike. */
async function compare(name: string, guest: Guest, samples: number, words: readonly string[]): Promise<Row> {
  const filtered: number[] = []
  const bare: number[] = []
  await lifeMs(guest, true, words)
  for (let sample = 0; sample < samples; sample++) {
    filtered.push(await lifeMs(guest, true, words))
    bare.push(await lifeMs(guest, false, words))
  }
  return row(name, 'ms', filtered, bare)
}

export async function bench({ artifacts, samples }: BenchContext): Promise<Row[]> {
  const directory = await mkdtemp(join(tmpdir(), 'ishare-bench-'))
  try {
    const { kernel } = await readArtifacts(artifacts)
    const filterPath = join(directory, 'filter')
    await writeFile(filterPath, SYSCALL_FILTER)
    const guest = { kernelPath: kernel.path, initrdPath: await makeInitrd(directory), filterPath }
    return [
      await compare('jail, boot, power-off: filter against none', guest, samples, ['halt']),
      await compare('... with 51,000 system calls and 1,000 forks', guest, samples, [])
    ]
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}
