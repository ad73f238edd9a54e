import { join } from 'node:path'
import { isIPv4 } from 'node:net'
import { Command, InvalidArgumentError } from 'commander'
import { hostClient } from '../../../soda-host/client/index.ts'
import type { DaemonConfig } from '../../../soda-host/daemon/index.ts'
import { ConfigError } from '../../errors.ts'
import { formatSize, readConfig } from '../../config/index.ts'
import { hostOptions, sliceOption, sliceWords } from '../options.ts'
import { printFacts, printJson, printTable } from '../output.ts'
import { isRoot, peerAccount } from '../privileges.ts'
import { humanLog, untilToldToEnd } from '../service.ts'
import { dumpCommand } from './dump.ts'
import {
  extendCommand,
  freezeCommand,
  reasonWords,
  reclaimCommand,
  resizeCommand,
  restartCommand,
  restoreCommand,
  returnCommand,
  thawCommand
} from './host-servers.ts'
import { snapshotCommand, snapshotsCommand } from './snapshots.ts'

interface Flags {
  json?: boolean
  slice?: Record<string, string>
  artifacts?: string
  user?: string
  uplink?: NonNullable<DaemonConfig['uplink']>
  dns?: string[]
  publish?: NonNullable<DaemonConfig['publish']>
}

function uplinkWords(text: string): NonNullable<Flags['uplink']> {
  if (text === 'none' || text === 'nat' || text === 'pasta') return { kind: text }
  const [kind, name] = text.split(/:(.*)/s)
  if (kind === 'dedicated' && /^[\w.@-]{1,15}$/.test(name ?? '')) return { kind, interface: name ?? '' }
  throw new InvalidArgumentError(
    'expected none, nat, pasta, or dedicated: and an interface, such as dedicated:eth1'
  )
}

function nameServers(given: readonly string[]): string[] {
  const odd = given.find((address) => !isIPv4(address))
  if (odd !== undefined)
    throw new ConfigError('ERR_CONFIG_VALUE', `--dns: expected IPv4 addresses, got ${odd}`)
  return [...given]
}

function publishWords(text: string): NonNullable<Flags['publish']> {
  const [, address = '', from = '', to = ''] = /^([\d.]+):(\d{1,5})-(\d{1,5})$/.exec(text) ?? []
  const [firstPort, lastPort] = [Number(from), Number(to)]
  if (!isIPv4(address) || firstPort < 1 || lastPort < firstPort || lastPort > 65_535)
    throw new InvalidArgumentError(
      'expected an address of this machine and ports, such as 203.0.113.5:20000-20999'
    )
  return { address, firstPort, lastPort }
}

export function hostCommand(): Command {
  const start = new Command('start')
    .description('run virtual servers on this machine, for the peer beside it')
    .option(
      '--artifacts <file>',
      'the list of kernel, initrd and images (default: the cache of `ishare factory build`)'
    )
    .option('--user <account>', 'the account of the peer, which may use the socket')
    .option(
      '--uplink <way>',
      'how servers with an egress grant reach the outside: none, nat, dedicated:INTERFACE or pasta',
      uplinkWords,
      { kind: 'none' as const }
    )
    .option('--dns <address...>', 'DNS servers to ask for guests (default: those of this machine)')
    .option(
      '--publish <address:from-to>',
      'address of this machine, and ports on it, that inbound ports of servers get',
      publishWords
    )
  const info = new Command('info').description('show the slice, what of it is in use, and the images')
  const servers = new Command('ps').description('list virtual servers, ended ones included')
  return new Command('host')
    .description('the SODA host: the part of a provider that runs virtual servers')
    .addCommand(sliceOption(hostOptions(start)).action(startHost))
    .addCommand(hostOptions(info).action(hostInfo))
    .addCommand(hostOptions(servers).action(hostServers))
    .addCommand(resizeCommand())
    .addCommand(freezeCommand())
    .addCommand(thawCommand())
    .addCommand(restartCommand())
    .addCommand(snapshotCommand())
    .addCommand(snapshotsCommand())
    .addCommand(restoreCommand())
    .addCommand(dumpCommand())
    .addCommand(extendCommand())
    .addCommand(reclaimCommand())
    .addCommand(returnCommand())
}

/** What all servers may send together is part of the slice: 0, if nothing is said. */
function assertBandwidth(uplink: Flags['uplink'], outboundBitsPerSecond: number): void {
  if (outboundBitsPerSecond > 0 || (uplink?.kind ?? 'none') === 'none') return
  throw new ConfigError(
    'ERR_CONFIG_VALUE',
    `--uplink: the slice has no bandwidth, so nothing would go out; say --slice bandwidth=10M or more`
  )
}

async function startHost(flags: Flags): Promise<void> {
  const { slice: parts, ...rest } = flags
  const config = await readConfig({ flags: { ...rest, ...parts } })
  const { cpu, memoryBytes, diskBytes, diskBytesPerSecond, servers, outboundBitsPerSecond } = config.slice
  assertBandwidth(flags.uplink, outboundBitsPerSecond)
  // Asking a daemon something does not take loading one.
  const { startDaemon } = await import('../../../soda-host/daemon/index.ts')
  const daemon = await startDaemon(
    {
      stateDir: join(config.stateDir, 'host'),
      socketPath: config.socketPath,
      slice: { cpu, memoryBytes, diskBytes, servers, outboundBitsPerSecond },
      ...(diskBytesPerSecond > 0 && { diskBytesPerSecond }),
      ...(flags.uplink !== undefined && { uplink: flags.uplink }),
      ...(flags.dns !== undefined && { nameServers: nameServers(flags.dns) }),
      ...(flags.publish !== undefined && { publish: flags.publish }),
      artifactsPath: flags.artifacts ?? join(config.cacheDir, 'artifacts.json'),
      ...(isRoot() ? { socketGroup: (await peerAccount(flags.user)).gid } : {})
    },
    flags.json === true ? {} : { log: humanLog() }
  )
  printFacts(
    {
      slice: sliceWords(config.slice, servers),
      ...(diskBytesPerSecond > 0 && { 'disk, a second': formatSize(diskBytesPerSecond) }),
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
      servers.map((server) => [
        server.id,
        server.state,
        server.owner,
        server.image,
        server.program.argv.join(' '),
        reasonWords(server)
      ])
    )
}
