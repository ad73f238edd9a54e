import { open, rename, rm } from 'node:fs/promises'
import { Command } from 'commander'
import { formatSize } from '../../config/index.ts'
import { hostOptions } from '../options.ts'
import { printFacts } from '../output.ts'
import { openHost, type HostFlags } from './host-servers.ts'

export function dumpCommand(): Command {
  const command = new Command('dump')
    .description(
      "write a virtual server's disk and memory, as they are now, into a file that only its tenant can open"
    )
    .argument('<server>', 'its id, as `ishare host ps` tells; it stands still meanwhile')
    .argument('<file>', 'where to; it is there when it is whole')
  return hostOptions(command).action(async (id: string, path: string, flags: HostFlags) => {
    const host = await openHost(flags)
    const part = `${path}.part`
    let bytes = 0
    try {
      await using file = await open(part, 'w', 0o600)
      for await (const chunk of host.dump(id)) {
        await file.writeFile(chunk)
        bytes += chunk.length
      }
      await file.sync()
      await rename(part, path)
    } finally {
      await rm(part, { force: true })
    }
    printFacts({ server: id, dump: path, size: formatSize(bytes) }, flags.json === true)
  })
}
