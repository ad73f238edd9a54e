import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { locateCgroups } from '../../soda-host/resources/cgroup-location.ts'
import { switchNamespace } from '../../soda-host/switch/addresses.ts'
import { placesUsed, RUN_PREFIX } from './temporary.ts'

/** Ids of this run's servers begin so, and their cgroups with it. */
const CGROUP_PREFIX = `ishare-test-${process.pid}-`

/**
 * Fails the run when a test leaves something behind: a child process, a temporary directory, a mount, a
 * network namespace or a cgroup of ours. Others work beside us on the machine: only names that this run alone gives
 * are looked at.
 */
function leftovers(): string[] {
  const found: string[] = []
  for (const name of readdirSync(tmpdir())) if (name.startsWith(RUN_PREFIX)) found.push(`directory ${name}`)
  for (const line of readFileSync('/proc/self/mounts', 'utf8').split('\n'))
    if (line.includes(RUN_PREFIX)) found.push(`mount ${line}`)
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const parent = parentOf(pid)
    if (parent === process.pid) found.push(`child process ${pid}: ${commandOf(pid)}`)
    else if (commandOf(pid).includes(RUN_PREFIX) || placeOf(pid).includes(RUN_PREFIX))
      found.push(`process ${pid}: ${commandOf(pid)}`)
  }
  for (const name of namespaces()) found.push(`network namespace ${name}`)
  for (const path of cgroups()) found.push(`cgroup ${path}`)
  return found
}

/** Those that tests make themselves, and those of switches and gateways of hosts whose state was a directory of ours. */
function namespaces(): string[] {
  const switches = new Set([...placesUsed].map(switchNamespace))
  return entriesOf('/run/netns').filter(
    (name) => name.startsWith(RUN_PREFIX) || switches.has(/^soda-[0-9a-f]{8}/.exec(name)?.[0] ?? '')
  )
}

function cgroups(): string[] {
  const [mounts, own] = ['mountinfo', 'cgroup'].map((name) => readFileSync(`/proc/self/${name}`, 'utf8'))
  const { v1, v2 } = locateCgroups(mounts ?? '', own ?? '')
  return [...v1.values(), ...(v2 === undefined ? [] : [v2])].flatMap((directory) =>
    entriesOf(directory)
      .filter((name) => name.startsWith(CGROUP_PREFIX))
      .map((name) => `${directory}/${name}`)
  )
}

function entriesOf(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}

function parentOf(pid: string): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
  } catch {
    return undefined
  }
}

/** Where a process stands: a program that lost its parents names nobody in its command. */
function placeOf(pid: string): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`)
  } catch {
    return ''
  }
}

function commandOf(pid: string): string {
  try {
    return (
      readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim() ||
      readlinkSync(`/proc/${pid}/exe`)
    )
  } catch {
    return ''
  }
}

export const mochaHooks = {
  afterAll(this: Mocha.Context) {
    const found = leftovers()
    if (found.length > 0) throw new Error(`the tests left behind:\n  ${found.join('\n  ')}`)
  }
}
