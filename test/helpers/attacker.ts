/** The attacker program in place of a guest kernel, in a real jail. */
import { execa } from 'execa'
import { chmod, chown, mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { countsByNamespace } from '../../soda-host/resources/host-kernel.ts'
import { hostKnobs } from '../../soda-host/resources/limits.ts'
import { listenForGuest } from '../../soda-host/virtual-server/channel-socket.ts'
import { consoleWritten } from '../../soda-host/virtual-server/console-log.ts'
import { spawnGuest } from '../../soda-host/virtual-server/guest-process.ts'
import { writeJailFiles } from '../../soda-host/virtual-server/jail-files.ts'
import {
  BALLOON_FD,
  CHANNEL_FD,
  jailCommand,
  launchCommand,
  uidOfSlot
} from '../../soda-host/virtual-server/jail.ts'
import { killJail } from '../../soda-host/virtual-server/jail-status.ts'
import { processGone } from '../../soda-host/virtual-server/process-identity.ts'
import { serverFiles } from '../../soda-host/virtual-server/server-files.ts'
import type { LaunchSpec } from '../../soda-host/virtual-server/types.ts'
import { createWritableLayer } from '../../soda-host/virtual-server/writable-layer.ts'
import { umlArguments } from '../../soda-host/virtual-server/uml-arguments.ts'

const ROOT = join(import.meta.dirname, '../..')
const SOURCE = 'test/fixtures/virtual-server/attacker.c'
const PATIENCE_MS = 60_000

/** Compiled into `directory`; it needs no library there. */
export async function buildAttacker(directory: string): Promise<string> {
  const program = join(directory, 'attacker')
  await execa('gcc', ['-static', '-O1', '-Wall', '-Werror', '-o', program, SOURCE], { cwd: ROOT })
  await chmod(program, 0o755)
  return program
}

/** What the attacker is told, where a guest kernel has its initrd. @returns its path */
export async function writeFacts(directory: string, facts: Record<string, string | number>): Promise<string> {
  const path = join(await mkdtemp(join(directory, 'facts-')), 'facts')
  await chmod(join(path, '..'), 0o755)
  await writeFile(
    path,
    Object.entries(facts).map(([name, value]) => `${name} ${value}\n`),
    { mode: 0o644 }
  )
  return path
}

/** What came of each attempt, from the console of a server that has ended. */
export async function outcomesOf(spec: Pick<LaunchSpec, 'directory'>): Promise<Map<string, string>> {
  const lines = (await readFile(serverFiles(spec.directory).consoleLog, 'latin1')).trim().split('\n')
  const outcomes = new Map(lines.map((line) => line.split(' ', 2) as [string, string]))
  if (!outcomes.delete('end')) throw new Error(`the attacker did not come to its end: ${lines.at(-1) ?? ''}`)
  return outcomes
}

export interface AttackOptions {
  /** Take the system-call filter off. */
  isUnfiltered?: boolean
  /** Build the jail as an ordinary user of this uid, as a daemon without root does. */
  asUser?: number
}

/** In the jail that the launcher builds, or part of it, and in no cgroup. @returns what came of each attempt */
export async function attack(spec: LaunchSpec, options: AttackOptions): Promise<Map<string, string>> {
  const files = serverFiles(spec.directory)
  const knobs = hostKnobs(spec.limits)
  const uid = options.asUser ?? uidOfSlot(spec.slot)
  await createWritableLayer({ path: files.disk, sizeBytes: knobs.diskBytes, uid })
  await writeJailFiles(files)
  if (options.asUser !== undefined)
    for (const path of [spec.directory, files.filter, files.cpuinfo, spec.kernelPath, spec.initrdPath])
      await chown(path, uid, uid)
  const jail = jailCommand({
    ...spec,
    ...knobs,
    uid: options.asUser === undefined ? uid : undefined,
    isCountedApart: countsByNamespace(),
    diskPath: files.disk,
    cpuinfoPath: files.cpuinfo,
    command: umlArguments({
      ...knobs,
      processesMax: spec.limits.processesMax,
      channelFd: CHANNEL_FD,
      balloonFd: BALLOON_FD
    })
  })
  if (options.isUnfiltered === true) takeOff(jail, '--seccomp')
  const chain = launchCommand({ ...files, joinFiles: [], jail })
  const asUser = ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'] as const
  try {
    await using socket = await listenForGuest(files.channelSocket)
    await using balloon = await listenForGuest(files.balloonSocket)
    const identity = await spawnGuest({
      command: options.asUser === undefined ? chain : [...asUser, ...chain],
      files,
      channelFd: socket.fd,
      balloonFd: balloon.fd,
      rulesFd: undefined,
      signal: AbortSignal.timeout(PATIENCE_MS)
    })
    await processGone(identity, AbortSignal.timeout(PATIENCE_MS))
  } finally {
    await killJail(files)
    await consoleWritten(files)
  }
  return await outcomesOf(spec)
}

function takeOff(jail: string[], option: string): void {
  const at = jail.indexOf(option)
  if (at < 0) throw new Error(`the jail has no ${option} to take off`)
  jail.splice(at, 2)
}
