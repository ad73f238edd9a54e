/** What the owner, or the peer for a tenant, does to one virtual server. */
import { Command } from 'commander'
import { hostClient, type HostClient } from '../../../soda-host/client/index.ts'
import { formatSize, readConfig } from '../../config/index.ts'
import { hostOptions, positive } from '../options.ts'
import { printFacts, printJson } from '../output.ts'

interface Flags {
  json?: boolean
  cpu?: number
  cpuMax?: number | null
  socketPath?: string
  stateDir?: string
  config?: string
}

type Server = Awaited<ReturnType<HostClient['inspect']>>

export function resizeCommand(): Command {
  const command = new Command('resize')
    .description('change what a virtual server may use, within its lease')
    .argument('<server>', 'its id, as `ishare host ps` tells')
    .option('--cpu <number>', 'share of one CPU', positive)
    .option('--cpu-max <number>', 'never more, even of an idle CPU; `none` lifts that', cap)
  return hostOptions(command).action(resize)
}

function cap(text: string): number | null {
  return text === 'none' ? null : positive(text)
}

async function openHost({ socketPath, stateDir, config }: Flags): Promise<HostClient> {
  // Not all flags: those of a resize are no settings.
  return hostClient({
    socketPath: (await readConfig({ flags: { socketPath, stateDir, config } })).socketPath
  })
}

async function resize(id: string, flags: Flags): Promise<void> {
  const { cpu, cpuMax } = flags
  const host = await openHost(flags)
  print(
    await host.setLimits(id, {
      ...(cpu !== undefined && { cpu }),
      ...(cpuMax !== undefined && { cpuMax })
    }),
    flags
  )
}

function print(server: Server, { json }: Flags): void {
  if (json === true) printJson(server)
  else printFacts({ server: server.id, state: server.state, limits: limitWords(server.limits) }, false)
}

function limitWords({ cpu, cpuMax, memoryBytes }: Server['limits']): string {
  const most = cpuMax === undefined ? '' : ` (at most ${cpuMax})`
  return `cpu ${cpu}${most}, memory ${formatSize(memoryBytes)}`
}
