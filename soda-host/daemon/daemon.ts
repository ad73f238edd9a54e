/** Puts the daemon together. */
import { once } from 'node:events'
import pino from 'pino'
import { HostError } from '../../src/errors.ts'
import { readArtifacts } from '../factory/index.ts'
import { diskDevice } from '../resources/disk-share.ts'
import { hostKnobs } from '../resources/limits.ts'
import type { WorkClock } from '../resources/host-work.ts'
import { allowedCpus } from '../resources/cpu-balancer.ts'
import { umlLauncher } from '../virtual-server/index.ts'
import { Switch } from '../switch/index.ts'
import type { ServerLauncher } from '../virtual-server/types.ts'
import { installArtifacts } from './artifacts.ts'
import { hostBootOf, timingOf, type DaemonConfig } from './config.ts'
import { Host } from './host.ts'
import { Links } from './links.ts'
import { httpServer } from './http-server.ts'
import type { DaemonLog } from './log.ts'
import { Outside, portOutside } from './outside.ts'
import { RulesetStore } from './ruleset-store.ts'
import { grantedLimits, isEnded, rulesetInUse } from './server-record.ts'
import { listen } from './socket.ts'
import { StateDirectory } from './state-directory.ts'
import { StateTable } from './state-table.ts'

export interface DaemonComponents {
  /** @default the one that starts User-Mode Linux guests */
  launcher?: ServerLauncher
  /** @default one of its own where the machine allows it and no launcher is given */
  network?: Switch
  /** @default JSON lines on standard error */
  log?: DaemonLog
  /** By which the budgets of guests are filled. @default the machine's */
  workClock?: WorkClock
}

/** A daemon that answers on its socket. */
export interface Daemon extends AsyncDisposable {
  readonly socketPath: string
  /** Stop answering and let go of the servers: they run on, and the next daemon finds them. */
  stop(): Promise<void>
}

/**
 * Start a SODA host on this machine: takes up what an earlier daemon left, then listens.
 *
 * @throws ERR_HOST_STATE when another daemon has the state directory or the socket, ERR_IMAGE_FORMAT when an
 * artifact is missing or not what its digest says
 */
export async function startDaemon(config: DaemonConfig, components: DaemonComponents = {}): Promise<Daemon> {
  const log = components.log ?? pino({ name: 'soda-host' }, pino.destination(2))
  await using undo = new AsyncDisposableStack()
  const directory = await StateDirectory.open(config.stateDir)
  const table = undo.use(new StateTable(directory.database))
  const artifacts = await installArtifacts({
    artifacts: await readArtifacts(config.artifactsPath),
    directory: directory.artifacts,
    inUse: table.all().flatMap((record) => (isEnded(record) ? [] : [record.imageDigest])),
    onProgress: (message) => log.info({}, message)
  })
  const network = components.network ?? (await openNetwork(config, components, table, log))
  if (network !== undefined) undo.defer(() => network.close())
  const outside = network === undefined ? undefined : await Outside.open(config, { network, table, log })
  if (outside === undefined && (config.uplink?.kind ?? 'none') !== 'none')
    throw new HostError('ERR_UPLINK', 'an uplink needs the switch, and this machine has none: see the log')
  if (outside !== undefined) undo.defer(() => outside.close())
  const links = new Links({ table, network, names: outside, log })
  undo.defer(() => links.close())
  if (config.diskBytesPerSecond !== undefined && diskDevice(config.stateDir) === undefined)
    log.warn({}, 'the disk gets no rate: there is no single disk under the state directory')
  const host = new Host(
    {
      slice: config.slice,
      cpus: config.cpus ?? allowedCpus(),
      timing: timingOf(config),
      hostBoot: await hostBootOf(config),
      ...(config.publish !== undefined && { publish: config.publish }),
      ...(config.diskBytesPerSecond !== undefined && { diskBytesPerSecond: config.diskBytesPerSecond })
    },
    {
      table,
      directory,
      launcher: components.launcher ?? umlLauncher(outside === undefined ? {} : { network: outside }),
      artifacts,
      rulesets: await RulesetStore.open(
        directory.rulesets,
        table.all().flatMap((record) => rulesetInUse(record).map(({ digest }) => digest))
      ),
      links,
      outside,
      log,
      ...(components.workClock && { workClock: components.workClock })
    }
  )
  undo.defer(() => host.close())
  await host.open()
  const server = httpServer(timingOf(config), { host, log })
  await listen(server, {
    path: config.socketPath,
    ...(config.socketGroup !== undefined && { group: config.socketGroup })
  })
  undo.defer(async () => {
    const closed = once(server, 'close')
    server.close()
    server.closeAllConnections()
    await closed
  })
  log.info({ socketPath: config.socketPath, stateDir: config.stateDir }, 'the host answers')
  const ending = undo.move()
  const stop = (): Promise<void> => ending.disposeAsync()
  return { socketPath: config.socketPath, stop, [Symbol.asyncDispose]: stop }
}

/** The switch, as the records say; undefined where the machine has none: servers are safe then, but alone. */
async function openNetwork(
  config: DaemonConfig,
  { launcher }: DaemonComponents,
  table: StateTable,
  log: DaemonLog
): Promise<Switch | undefined> {
  if (launcher !== undefined) return undefined
  if (process.getuid?.() !== 0) {
    log.warn({}, 'not root: servers get no network')
    return undefined
  }
  const alive = table.all().filter((record) => record.state !== 'created' && !isEnded(record))
  const ports = alive.map((record) => ({
    id: record.spec.id,
    slot: record.slot,
    ...hostKnobs(grantedLimits(record)).outbound,
    ...portOutside(record, config)
  }))
  try {
    const { outboundBitsPerSecond } = config.slice
    return await Switch.open({
      stateDir: config.stateDir,
      ports,
      links: table.links(),
      ...(outboundBitsPerSecond !== undefined && { outboundBitsPerSecond })
    })
  } catch (error) {
    log.warn({ err: error }, 'this machine has no switch: servers get no network')
    return undefined
  }
}
