import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { RUN_PREFIX } from './temporary.ts'

/**
 * Fails the run when a test leaves something behind: a child process, a temporary directory, a mount, a
 * network namespace or a cgroup of ours.
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
  return found
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
