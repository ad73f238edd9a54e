/** Steps that both cgroup versions share. */
import { accessSync, constants } from 'node:fs'
import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { HostError } from '../../src/errors.ts'

/** Every group of ours is named so; nothing else is ever killed or removed. */
const PREFIX = 'ishare-'
const STEP_MS = 5
const PATIENCE_MS = 10_000

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined
}

function isGone(error: unknown): boolean {
  // ENODEV: the group was removed between open and read.
  return codeOf(error) === 'ENOENT' || codeOf(error) === 'ENODEV'
}

export function groupDirectory(parent: string, id: string): string {
  return join(parent, PREFIX + id)
}

/** By its name. */
export function isOurs(directory: string): boolean {
  return basename(directory).startsWith(PREFIX)
}

/** @throws ERR_CGROUP for a directory that cannot be one of ours */
export function assertOurs(directory: string): void {
  if (!isOurs(directory) || directory.includes('/../'))
    throw new HostError('ERR_CGROUP', `not a cgroup of ours: ${directory}`)
}

export function isWritable(directory: string): boolean {
  try {
    accessSync(directory, constants.W_OK)
    return true
  } catch {
    return false
  }
}

export async function createGroup(directory: string): Promise<void> {
  try {
    await mkdir(directory)
  } catch (cause) {
    if (codeOf(cause) === 'EEXIST') return
    throw new HostError('ERR_CGROUP', `cannot create cgroup ${directory}`, { cause })
  }
}

/** Writes one setting. @throws ERR_CGROUP when the kernel refuses it */
export async function writeSetting(directory: string, name: string, value: string | number): Promise<void> {
  try {
    await writeFile(join(directory, name), String(value))
  } catch (cause) {
    throw new HostError('ERR_CGROUP', `cannot set ${name} to ${value} in ${directory}`, { cause })
  }
}

/** Text of one file of the group; undefined where it does not exist. */
export async function readSetting(directory: string, name: string): Promise<string | undefined> {
  try {
    return await readFile(join(directory, name), 'utf8')
  } catch (error) {
    if (isGone(error)) return undefined
    throw new HostError('ERR_CGROUP', `cannot read ${name} in ${directory}`, { cause: error })
  }
}

export async function processesOf(directory: string): Promise<number[]> {
  const text = (await readSetting(directory, 'cgroup.procs')) ?? ''
  return text.split('\n').filter(Boolean).map(Number)
}

/**
 * Wait until `isSo`, which the kernel brings about by itself.
 * @throws ERR_CGROUP with `complaint` when it does not; `undo` has been called then
 */
export async function settled(
  isSo: () => Promise<boolean>,
  undo: () => Promise<unknown>,
  complaint: string
): Promise<void> {
  for (let waitedMs = 0; waitedMs < PATIENCE_MS; waitedMs += STEP_MS) {
    if (await isSo()) return
    await delay(STEP_MS)
  }
  await undo()
  throw new HostError('ERR_CGROUP', complaint)
}

/** SIGKILL until nobody is left: a process may fork while we look. */
export async function killUntilEmpty(directory: string): Promise<void> {
  for (let waitedMs = 0; waitedMs < PATIENCE_MS; waitedMs += STEP_MS) {
    const pids = await processesOf(directory)
    if (pids.length === 0) return
    for (const pid of pids) kill(pid)
    await delay(STEP_MS)
  }
  throw new HostError('ERR_CGROUP', `processes in ${directory} do not die`)
}

function kill(pid: number): void {
  try {
    // 0 stands for a process outside of our pid namespace, and would kill our own group.
    if (pid > 0) process.kill(pid, 'SIGKILL')
  } catch {
    // It died in between.
  }
}

/** The kernel refuses with EBUSY for as long as a dead process has not been cleaned up. */
export async function removeGroup(directory: string): Promise<void> {
  assertOurs(directory)
  for (let waitedMs = 0; ; waitedMs += STEP_MS) {
    try {
      await rmdir(directory)
      return
    } catch (cause) {
      if (isGone(cause)) return
      if (codeOf(cause) !== 'EBUSY' || waitedMs >= PATIENCE_MS)
        throw new HostError('ERR_CGROUP', `cannot remove cgroup ${directory}`, { cause })
    }
    await delay(STEP_MS)
  }
}
