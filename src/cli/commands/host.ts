import { join } from 'node:path'
import { Command } from 'commander'
import { hostClient } from '../../../soda-host/client/index.ts'
import { startDaemon } from '../../../soda-host/daemon/index.ts'
import { readConfig } from '../../config/index.ts'
import { hostOptions, sliceOption, sliceWords } from '../options.ts'
import { printFacts, printJson, printTable } from '../output.ts'
import { isRoot, peerAccount } from '../privileges.ts'
import { humanLog, untilToldToEnd } from '../service.ts'
import { resizeCommand } from './host-servers.ts'

interface Flags {
  json?: boolean
  slice?: Record<string, string>
  artifacts?: string
  user?: string
}

export function hostCommand(): Command {
  const start = new Command('start')
    .description('run virtual servers on this machine, for the peer beside it')
    .option(
      '--artifacts <file>',
      'the list of kernel, initrd and images (default: the cache of `ishare factory build`)'
    )
    .option('--user <account>', 'the account of the peer, which may use the socket')
  const info = new Command('info').description('show the slice, what of it is in use, and the images')
  const servers = new Command('ps').description('list virtual servers, ended ones included')
  return new Command('host')
    .description('the SODA host: the part of a provider that runs virtual servers')
    .addCommand(sliceOption(hostOptions(start)).action(startHost))
    .addCommand(hostOptions(info).action(hostInfo))
    .addCommand(hostOptions(servers).action(hostServers))
    .addCommand(resizeCommand())
}

async function startHost(flags: Flags): Promise<void> {
  const { slice: parts, ...rest } = flags
  const config = await readConfig({ flags: { ...rest, ...parts } })
  const { cpu, memoryBytes, diskBytes, servers } = config.slice
  const daemon = await startDaemon(
    {
      stateDir: join(config.stateDir, 'host'),
      socketPath: config.socketPath,
      slice: { cpu, memoryBytes, diskBytes, servers },
      artifactsPath: flags.artifacts ?? join(config.cacheDir, 'artifacts.json'),
      ...(isRoot() ? { socketGroup: (await peerAccount(flags.user)).gid } : {})
    },
    flags.json === true ? {} : { log: humanLog() }
  )
  printFacts(
    {
      slice: sliceWords(config.slice, servers),
      listening: daemon.socketPath,
      ready: 'Ctrl+C ends it; servers run on, and are found again'
    },
    flags.json === true
  )
  await untilToldToEnd()
  await daemon.stop()
}

async function hostInfo(flags: Flags): Promise<void> {
  const { socketPath } = await readConfig({ flags: { ...flags } })
  const capacity = await hostClient({ socketPath }).capacity()
  if (flags.json === true) {
    printJson(capacity)
    return
  }
  const { total, used, images } = capacity
  printFacts(
    {
      slice: sliceWords(total, total.servers),
      used: sliceWords(used, used.servers),
      images: images.map((image) => `${image.name} ${image.digest}`)
    },
    false
  )
}

async function hostServers(flags: Flags): Promise<void> {
  const { socketPath } = await readConfig({ flags: { ...flags } })
  const servers = await hostClient({ socketPath }).list()
  if (flags.json === true) for (const server of servers) printJson(server)
  else
    printTable(
      ['SERVER', 'STATE', 'OWNER', 'IMAGE', 'PROGRAM', 'REASON'],
      servers.map(({ id, state, owner, image, program, reason }) => [
        id,
        state,
        owner,
        image,
        program.argv.join(' '),
        reason?.code ?? ''
      ])
    )
}
