/**
 * Starts guests, finds them again, removes what is left of them.
 *
 * A launch makes, in this order: cgroups and the port on the switch (their names written down first), writable layer
 * and socket, the chain of processes, the channel. Whatever step fails, everything before it is undone. After a crash of the daemon in the
 * middle, {@link ServerLauncher.sweep} finds all of it from the server's directory alone.
 */
import { open, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { HostError } from '../../src/errors.ts'
import { joinFiles, openCgroups } from '../resources/cgroups.ts'
import type { Cgroups, ServerCgroup } from '../resources/cgroup-types.ts'
import { countsByNamespace } from '../resources/host-kernel.ts'
import { hostKnobs, type HostKnobs } from '../resources/limits.ts'
import type { GuestNetwork, OutboundRates, PortAttachment } from '../switch/types.ts'
import { connectGuestChannel } from './channel.ts'
import { listenForGuest } from './channel-socket.ts'
import { consoleWritten } from './console-log.ts'
import { limitDisk } from './disk-rate.ts'
import { bury } from './guest-end.ts'
import { spawnGuest } from './guest-process.ts'
import {
  BALLOON_FD,
  CHANNEL_FD,
  jailCommand,
  launchCommand,
  LOG_FDS,
  NETWORK_FD,
  RULES_FD,
  uidOfSlot
} from './jail.ts'
import { writeJailFiles } from './jail-files.ts'
import { killJail } from './jail-status.ts'
import { isAlive, type ProcessIdentity } from './process-identity.ts'
import { serverFiles, type ServerFiles } from './server-files.ts'
import { umlArguments } from './uml-arguments.ts'
import { UmlServer } from './uml-server.ts'
import { createWritableLayer } from './writable-layer.ts'
import type {
  Adopted,
  LaunchSpec,
  ProcessRecord,
  RunningServer,
  ServerLauncher,
  ServerListener,
  SweepSpec
} from './types.ts'

export interface UmlLauncherInit {
  /** Where servers get their cgroups. @default what the machine lets us use, see openCgroups */
  cgroups?: Cgroups
  /** The switch that guests get a port on. @default none: guests have no network */
  network?: GuestNetwork
  /** From launch to the guest's first answer, in milliseconds. @default 20000 */
  bootTimeoutMs?: number
}

const BOOT_TIMEOUT_MS = 20_000
const ID_PATTERN = /^[a-z0-9-]{16,64}$/

/** A launcher of User-Mode Linux guests. */
export function umlLauncher(init: UmlLauncherInit = {}): ServerLauncher {
  return new UmlLauncher(init)
}

class UmlLauncher implements ServerLauncher {
  readonly #bootTimeoutMs: number
  readonly #network: GuestNetwork | undefined
  #cgroups: Promise<Cgroups> | undefined

  constructor(init: UmlLauncherInit) {
    this.#bootTimeoutMs = init.bootTimeoutMs ?? BOOT_TIMEOUT_MS
    this.#network = init.network
    if (init.cgroups !== undefined) this.#cgroups = Promise.resolve(init.cgroups)
  }

  async launch(spec: LaunchSpec, listener: ServerListener): Promise<RunningServer> {
    assertSpec(spec)
    await assertFiles(spec)
    const files = serverFiles(spec.directory)
    const cgroups = await this.#openCgroups()
    try {
      const knobs = hostKnobs(spec.limits, spec.memoryCeilingBytes)
      await forget(files, { keepsLayer: isAgain(spec) })
      await writeFile(files.cgroups, JSON.stringify(cgroups.pathsOf(spec.id)), { mode: 0o600 })
      const making = [
        cgroups.create(spec.id, knobs, spec.hostCpu),
        this.#plug(spec, files, knobs),
        makeLayer(spec, files, knobs),
        writeJailFiles(files)
      ] as const
      // Nothing is still being made when one has failed: what there is can be removed then.
      await Promise.allSettled(making)
      const [group, port] = await Promise.all(making)
      await limitDisk(group, files, spec.limits)
      const identity = await this.#start(spec, files, { group, knobs, port })
      return this.#serve(spec, { ...identity, cgroups: group.paths }, group, listener)
    } catch (error) {
      await this.sweep({ ...spec, keepsLayer: isAgain(spec) }).catch((leftover: unknown) => {
        throw new AggregateError([error, leftover], 'a launch failed, and so did its clean-up')
      })
      throw error
    }
  }

  async adopt(spec: LaunchSpec, record: ProcessRecord, listener: ServerListener): Promise<Adopted> {
    const files = serverFiles(spec.directory)
    const cgroups = await this.#openCgroups()
    const group = cgroups.open(record.cgroups)
    if (isAlive(record)) return { isAlive: true, server: this.#serve(spec, record, group, listener) }
    // Its exit code, its console and the counters of its group are there, whoever looked when it died.
    const { end, usage } = await bury(files, group, undefined)
    await this.sweep({ ...spec, keepsLayer: true })
    const { cpuSeconds = 0, memoryPeakBytes = 0 } = usage
    return { isAlive: false, end, usage: { cpuSeconds, memoryPeakBytes } }
  }

  async sweep({ id, directory, keepsLayer = false }: SweepSpec): Promise<void> {
    const files = serverFiles(directory)
    const cgroups = await this.#openCgroups()
    const group = cgroups.open([...new Set([...cgroups.pathsOf(id), ...(await notedCgroups(files))])])
    await killJail(files, () => group.thaw())
    await consoleWritten(files)
    await removeGroup(group)
    await this.#unplug(files)
    await forget(files, { keepsLayer })
  }

  /** The slot is written down first, so that a crash leaves no port that nobody knows of. */
  async #plug(
    { id, slot }: LaunchSpec,
    files: ServerFiles,
    knobs: HostKnobs
  ): Promise<PortAttachment | undefined> {
    const network = this.#network
    if (network === undefined) return undefined
    await writeFile(files.port, String(slot), { mode: 0o600 })
    return await network.addPort({ id, slot, ...knobs.outbound })
  }

  async #unplug(files: ServerFiles): Promise<void> {
    const noted = await readFile(files.port, 'utf8').catch(() => '')
    if (/^\d+$/.test(noted)) await this.#network?.removePort(Number(noted))
  }

  #openCgroups(): Promise<Cgroups> {
    return (this.#cgroups ??= openCgroups())
  }

  #serve(
    { id, directory, limits }: LaunchSpec,
    record: ProcessRecord,
    group: ServerCgroup,
    listener: ServerListener
  ): RunningServer {
    const files = serverFiles(directory)
    const bootTimeoutMs = this.#bootTimeoutMs
    const channel = connectGuestChannel({
      socketPath: files.channelSocket,
      listener,
      work: { cpu: () => server.cpu }
    })
    const setOutbound = async (rates: OutboundRates): Promise<void> => this.#network?.setOutbound(id, rates)
    const server = new UmlServer({ record, limits, files, group, channel, bootTimeoutMs, setOutbound })
    return server
  }

  async #start(
    spec: LaunchSpec,
    files: ServerFiles,
    { group, knobs, port }: Prepared
  ): Promise<ProcessIdentity> {
    const { kernelPath, initrdPath, imagePath, hostCpu, boot = 0, isRestartable = false } = spec
    const command = umlArguments({
      ...knobs,
      processesMax: spec.limits.processesMax,
      channelFd: CHANNEL_FD,
      balloonFd: BALLOON_FD,
      ...((isRestartable || boot > 0) && { boot }),
      ...(spec.log && { log: { ...spec.log, fds: LOG_FDS } }),
      ...(spec.rulesPath !== undefined && { rulesFd: RULES_FD }),
      ...(port && { network: { ...port, fd: NETWORK_FD } })
    })
    const paths = { kernelPath, initrdPath, imagePath, diskPath: files.disk, cpuinfoPath: files.cpuinfo }
    const isCountedApart = countsByNamespace()
    // A uid of its own will do where there is no such namespace; ours, that others use too, will not.
    const isBounded = isCountedApart || uidOf(spec) !== undefined
    const hostProcessesMax = isBounded ? knobs.hostProcessesMax : undefined
    const bounds = { ...knobs, hostProcessesMax, isCountedApart }
    const jail = jailCommand({ ...bounds, ...paths, hostCpu, uid: uidOf(spec), command })
    const cable = port?.openSocket(NETWORK_FD) ?? []
    // Our copies of the sockets are closed before anybody connects: the guest alone shall accept.
    await using socket = await listenForGuest(files.channelSocket)
    await using balloon = await listenForGuest(files.balloonSocket)
    await using rules = spec.rulesPath === undefined ? undefined : await open(spec.rulesPath)
    return await spawnGuest({
      command: launchCommand({
        ...files,
        ...(spec.log && { spool: spec.log.spool }),
        joinFiles: joinFiles(group),
        jail: [...cable, ...jail]
      }),
      files,
      channelFd: socket.fd,
      balloonFd: balloon.fd,
      rulesFd: rules?.fd,
      signal: AbortSignal.timeout(this.#bootTimeoutMs)
    })
  }
}

interface Prepared {
  group: ServerCgroup
  knobs: HostKnobs
  port: PortAttachment | undefined
}

/** @throws TypeError when the caller broke the contract of {@link LaunchSpec} */
function assertSpec({ id, slot, hostCpu }: LaunchSpec): void {
  if (!ID_PATTERN.test(id)) throw new TypeError(`id: expected 16..64 of [a-z0-9-], got ${JSON.stringify(id)}`)
  uidOfSlot(slot)
  if (!Number.isInteger(hostCpu) || hostCpu < 0)
    throw new TypeError(`hostCpu: expected a CPU number, got ${hostCpu}`)
}

/** @throws ERR_BOOT_FAILED when a file that the guest starts from is not there */
async function assertFiles({ kernelPath, initrdPath, imagePath, rulesPath }: LaunchSpec): Promise<void> {
  for (const path of [kernelPath, initrdPath, imagePath, ...(rulesPath === undefined ? [] : [rulesPath])]) {
    const entry = await stat(path).catch(() => undefined)
    if (entry?.isFile() !== true) throw new HostError('ERR_BOOT_FAILED', `no such file: ${path}`)
  }
}

function isAgain({ boot = 0 }: LaunchSpec): boolean {
  return boot > 0
}

/** A copy of an earlier one, a fresh one, or the one that an earlier guest left. @throws ERR_BOOT_FAILED when it left none */
async function makeLayer(spec: LaunchSpec, { disk: path }: ServerFiles, knobs: HostKnobs): Promise<void> {
  const { layerPath: copyOf } = spec
  if (copyOf !== undefined || !isAgain(spec))
    await createWritableLayer({ path, sizeBytes: knobs.diskBytes, uid: uidOf(spec), copyOf })
  else if ((await stat(path).catch(() => undefined))?.isFile() !== true)
    throw new HostError('ERR_BOOT_FAILED', 'the writable layer of the earlier guest is gone')
}

/** Servers get uids of their own only where we may hand them out. */
function uidOf({ slot }: Pick<LaunchSpec, 'slot'>): number | undefined {
  return process.getuid?.() === 0 ? uidOfSlot(slot) : undefined
}

async function removeGroup(group: ServerCgroup): Promise<void> {
  await group.killAll()
  await group.remove()
}

async function notedCgroups(files: ServerFiles): Promise<string[]> {
  const text = await readFile(files.cgroups, 'utf8').catch(() => '[]')
  try {
    const value: unknown = JSON.parse(text)
    return Array.isArray(value) ? value.filter((path) => typeof path === 'string') : []
  } catch {
    // Torn by a crash: then no group was made yet.
    return []
  }
}

/** Files that belong to one guest. The console log stays, for people. */
async function forget(files: ServerFiles, { keepsLayer }: { keepsLayer: boolean }): Promise<void> {
  const { consoleLog: _kept, disk, ...gone } = files
  for (const path of [...Object.values(gone), ...(keepsLayer ? [] : [disk])]) await rm(path, { force: true })
}
