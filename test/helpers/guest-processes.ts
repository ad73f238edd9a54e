import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { findCgroups } from '../../soda-host/resources/cgroups.ts'
import { uidOfSlot } from '../../soda-host/virtual-server/jail.ts'
import type { LaunchSpec, ProcessRecord } from '../../soda-host/virtual-server/types.ts'

export function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

function linkOrEmpty(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}

export function allPids(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
}

/** Every process in the pid namespace of a guest, the guest kernel and its helpers among them. */
export function processesOf(record: ProcessRecord): number[] {
  const namespace = linkOrEmpty(`/proc/${record.pid}/ns/pid`)
  return namespace === '' ? [] : allPids().filter((pid) => linkOrEmpty(`/proc/${pid}/ns/pid`) === namespace)
}

/** The guest kernel itself: the process through which a hostile guest would have to break out. */
export function guestKernelOf(record: ProcessRecord): number | undefined {
  return processesOf(record).find((pid) => readOrEmpty(`/proc/${pid}/cmdline`).startsWith('/linux\0'))
}

/**
 * What each descriptor of a process leads to, by number. One that was closed while we looked is left out: it is not
 * open. That no process was there to look at, or that we may not look, is still an error.
 */
export function descriptorsOf(pid: number): Map<string, string> {
  const numbers = readdirSync(`/proc/${pid}/fd`)
  const targets = numbers.map((fd) => [fd, readlinkIfThere(`/proc/${pid}/fd/${fd}`)] as const)
  return new Map(targets.filter((entry): entry is [string, string] => entry[1] !== undefined))
}

function readlinkIfThere(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

export interface Mount {
  point: string
  type: string
  options: string[]
}

/** The mounts that a process sees. */
export function mountsOf(pid: number): Mount[] {
  const lines = readFileSync(`/proc/${pid}/mounts`, 'utf8').trim().split('\n')
  return lines.map((line) => {
    const [, point = '', type = '', options = ''] = line.split(' ')
    return { point, type, options: options.split(',') }
  })
}

/** /proc/PID/status by name, as of one moment; empty when the process is gone. */
export function statusOf(pid: number): Map<string, string> {
  const lines = readOrEmpty(`/proc/${pid}/status`).split('\n').filter(Boolean)
  return new Map(
    lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()])
  )
}

/** One field of it; empty when the process is gone. */
export function statusField(pid: number, name: string): string {
  return statusOf(pid).get(name) ?? ''
}

function isLeft(pid: number, spec: LaunchSpec): boolean {
  const status = statusOf(pid)
  if (status.get('State')?.startsWith('Z') !== false) return false
  const isItsUid =
    process.getuid?.() === 0 && status.get('Uid')?.split('\t')[0] === String(uidOfSlot(spec.slot))
  return isItsUid || readOrEmpty(`/proc/${pid}/cmdline`).includes(spec.directory)
}

/** Processes, cgroups and mounts that a server has on this host. */
export function tracesOf(spec: LaunchSpec): string[] {
  const location = findCgroups()
  const groups = [...location.v1.values(), location.v2 ?? ''].map((parent) => `${parent}/ishare-${spec.id}`)
  return [
    ...allPids()
      .filter((pid) => isLeft(pid, spec))
      .map((pid) => `process ${pid}: ${statusOf(pid).get('Name') ?? 'gone'}`),
    ...[...new Set(groups)].filter((path) => existsSync(path)).map((path) => `cgroup ${path}`),
    ...readOrEmpty('/proc/self/mounts')
      .split('\n')
      .filter((line) => line.includes(spec.directory))
      .map((line) => `mount ${line}`)
  ]
}

const PATIENCE_MS = 3000

/** What is left of a server for good: a process that is just being reaped is given time. */
export async function leftoversOf(spec: LaunchSpec): Promise<string[]> {
  for (let waitedMs = 0; waitedMs < PATIENCE_MS && tracesOf(spec).length > 0; waitedMs += 20) await delay(20)
  return tracesOf(spec)
}
