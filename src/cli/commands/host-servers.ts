/** What the owner, or the peer for a tenant, does to one virtual server. */
import { Command } from 'commander'
import { hostClient, type HostClient } from '../../../soda-host/client/index.ts'
import { formatSize, readConfig } from '../../config/index.ts'
import { SECOND_MS } from '../../constants.ts'
import { duration, hostOptions, positive, size } from '../options.ts'
import { printFacts, printJson } from '../output.ts'

export interface HostFlags {
  json?: boolean
  socketPath?: string
  stateDir?: string
  config?: string
}

interface Flags extends HostFlags {
  cpu?: number
  cpuMax?: number | null
  memory?: number
  grace?: number
}

type Server = Awaited<ReturnType<HostClient['inspect']>>

export function resizeCommand(): Command {
  const command = new Command('resize')
    .description('change what a virtual server may use, within its lease')
    .argument('<server>', 'its id, as `ishare host ps` tells')
    .option('--cpu <number>', 'share of one CPU', positive)
    .option('--cpu-max <number>', 'never more, even of an idle CPU; `none` lifts that', cap)
    .option('--memory <size>', 'such as 256M; what it gives up is free when this returns', size)
  return hostOptions(command).action(resize)
}

export function freezeCommand(): Command {
  const command = new Command('freeze')
    .description('stop a virtual server where it stands, until it is thawed')
    .argument('<server>', 'its id, as `ishare host ps` tells')
  return hostOptions(command).action(async (id: string, flags: Flags) =>
    print(await (await openHost(flags)).freeze(id), flags)
  )
}

export function thawCommand(): Command {
  const command = new Command('thaw')
    .description('let a frozen virtual server go on')
    .argument('<server>', 'its id, as `ishare host ps` tells')
  return hostOptions(command).action(async (id: string, flags: Flags) =>
    print(await (await openHost(flags)).thaw(id), flags)
  )
}

export function restartCommand(): Command {
  const command = new Command('restart')
    .description("start a virtual server's program again in a new guest, with the files that it has")
    .argument('<server>', 'its id, as `ishare host ps` tells')
    .option('--grace <seconds>', 'from SIGTERM to SIGKILL', positive)
  return hostOptions(command).action(async (id: string, flags: Flags) => {
    const { grace } = flags
    const host = await openHost(flags)
    print(
      await host.restart(id, grace === undefined ? {} : { graceMs: Math.round(grace * SECOND_MS) }),
      flags
    )
  })
}

export function extendCommand(): Command {
  const command = new Command('extend')
    .description('let the lease of a virtual server go on for longer')
    .argument('<server>', 'its id, as `ishare host ps` tells')
    .requiredOption('--time <duration>', 'for how much longer, such as 30m or 2d', duration)
  return hostOptions(command).action(async (id: string, flags: Flags & { time: number }) => {
    const host = await openHost(flags)
    const { expiresAtMs } = await host.inspect(id)
    print(await host.extend(id, { expiresAtMs: expiresAtMs + flags.time * SECOND_MS }), flags)
  })
}

export function restoreCommand(): Command {
  const command = new Command('restore')
    .description("start a virtual server's program again, with the disk that a snapshot holds")
    .argument('<server>', 'its id, as `ishare host ps` tells; what runs in it is killed')
    .argument('<name>', 'of the snapshot, as `ishare host snapshots` tells')
  return hostOptions(command).action(async (id: string, name: string, flags: Flags) =>
    print(await (await openHost(flags)).restore(id, name), flags)
  )
}

export function reclaimCommand(): Command {
  const command = new Command('reclaim')
    .description(
      'I need my machine now: freeze the virtual servers whose rules allow it, and take no new ones'
    )
    .option('--cpu <number>', 'do not freeze them, but leave them so much CPU in all', positive)
    .option('--memory <size>', 'do not freeze them, but leave them so much memory in all', size)
  return hostOptions(command).action(async (flags: Flags) => {
    const { cpu, memory } = flags
    const host = await openHost(flags)
    await host.reclaim({
      ...(cpu !== undefined && { cpu }),
      ...(memory !== undefined && { memoryBytes: memory })
    })
    await printServers(host, flags)
  })
}

export function returnCommand(): Command {
  const command = new Command('return').description('the end of `reclaim`: virtual servers go on')
  return hostOptions(command).action(async (flags: Flags) => {
    const host = await openHost(flags)
    await host.return()
    await printServers(host, flags)
  })
}

/** One line each of those that live. */
async function printServers(host: HostClient, flags: Flags): Promise<void> {
  for (const server of await host.list())
    if (server.state !== 'exited' && server.state !== 'failed') print(server, flags)
}

function stateWords({ state, frozenBy }: Server): string {
  return frozenBy === undefined ? state : `${state}, frozen by ${frozenBy.join(' and ')}`
}

/** Why it ended or, if it goes on, why it was started again and how often. */
export function reasonWords({ reason, restarts }: Server): string {
  const again = restarts === undefined ? [] : [`${restarts.count}x ${restarts.last.reason.code}`]
  return [...(reason === undefined ? [] : [reason.code]), ...again].join(', after ')
}

function cap(text: string): number | null {
  return text === 'none' ? null : positive(text)
}

export async function openHost({ socketPath, stateDir, config }: HostFlags): Promise<HostClient> {
  // Not all flags: those of a resize are no settings.
  return hostClient({
    socketPath: (await readConfig({ flags: { socketPath, stateDir, config } })).socketPath
  })
}

async function resize(id: string, flags: Flags): Promise<void> {
  const { cpu, cpuMax, memory } = flags
  const host = await openHost(flags)
  print(
    await host.setLimits(id, {
      ...(cpu !== undefined && { cpu }),
      ...(cpuMax !== undefined && { cpuMax }),
      ...(memory !== undefined && { memoryBytes: memory })
    }),
    flags
  )
}

function print(server: Server, { json }: Flags): void {
  if (json === true) printJson(server)
  else
    printFacts(
      {
        server: server.id,
        state: stateWords(server),
        limits: limitWords(server.limits),
        'lease until': new Date(server.expiresAtMs).toISOString(),
        ...(server.restarts !== undefined && { restarts: reasonWords(server) })
      },
      false
    )
}

function limitWords({ cpu, cpuMax, memoryBytes }: Server['limits']): string {
  const most = cpuMax === undefined ? '' : ` (at most ${cpuMax})`
  return `cpu ${cpu}${most}, memory ${formatSize(memoryBytes)}`
}
