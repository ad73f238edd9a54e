/** Copies of a virtual server's disk: taken, listed, removed. */
import { Command } from 'commander'
import { formatSize } from '../../config/index.ts'
import { hostOptions } from '../options.ts'
import { printFacts, printJson, printTable } from '../output.ts'
import { openHost, type HostFlags } from './host-servers.ts'

export function snapshotCommand(): Command {
  const command = new Command('snapshot')
    .description("copy a running virtual server's disk, as a power cut would leave it")
    .argument('<server>', 'its id, as `ishare host ps` tells')
    .argument('[name]', 'what to call the copy (default: the time)')
  return hostOptions(command).action(async (id: string, given: string | undefined, flags: HostFlags) => {
    const snapshot = await (await openHost(flags)).takeSnapshot(id, given ?? nameOf(new Date()))
    const { name, bytes } = snapshot
    if (flags.json === true) printJson(snapshot)
    else printFacts({ server: id, snapshot: name, size: formatSize(bytes) }, false)
  })
}

export function snapshotsCommand(): Command {
  const command = new Command('snapshots')
    .description("list the copies of a virtual server's disk, or remove one")
    .argument('<server>', 'its id, as `ishare host ps` tells')
    .option('--remove <name>', 'remove the copy of that name first')
  return hostOptions(command).action(async (id: string, flags: HostFlags & { remove?: string }) => {
    const host = await openHost(flags)
    if (flags.remove !== undefined) await host.removeSnapshot(id, flags.remove)
    const snapshots = await host.snapshots(id)
    if (flags.json === true) for (const each of snapshots) printJson(each)
    else
      printTable(
        ['NAME', 'TAKEN', 'SIZE'],
        snapshots.map(({ name, createdAtMs, bytes }) => [
          name,
          new Date(createdAtMs).toISOString(),
          formatSize(bytes)
        ])
      )
  })
}

/** Such as 20261124t130501. */
function nameOf(time: Date): string {
  return time.toISOString().slice(0, 19).replaceAll(/[-:]/g, '').toLowerCase()
}
