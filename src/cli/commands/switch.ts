import { Command, InvalidArgumentError } from 'commander'
import { hostClient, type HostClient, type Link } from '../../../soda-host/client/index.ts'
import { formatRate, formatSize, parseDuration, readConfig } from '../../config/index.ts'
import { SECOND_MS } from '../../constants.ts'
import { jsonOption, stateOption } from '../options.ts'
import { note, printJson, printTable } from '../output.ts'

interface Flags {
  json?: boolean
  for?: string
  name?: string
}

const LINK_HELP = `
A link lets programs of <from> open connections to one port of <to>; replies come back, nothing else does.
Servers are named by their ids (ishare host ps). With --name, programs of <from> find <to> by that name while the link
stands. Example:
  ishare switch link 3f0c…-web 91ab…-database tcp/5432 --name database --for 2h`

export function switchCommand(): Command {
  const link = withEnds(new Command('link'))
    .description('let one server open connections to another')
    .option('--for <duration>', 'how long, such as 2h (default: until it is taken away)')
    .option('--name <name>', 'what programs of <from> call <to>: a letter, then letters, digits, - and _')
    .addHelpText('after', LINK_HELP)
  const unlink = withEnds(new Command('unlink')).description('take a link away, and cut what runs over it')
  return new Command('switch')
    .description('the switch between virtual servers: nobody talks to anybody without a link')
    .addCommand(hostOptions(new Command('ports').description('servers on the switch')).action(ports))
    .addCommand(hostOptions(new Command('links').description('who may talk to whom')).action(links))
    .addCommand(
      hostOptions(
        new Command('outside').description('what servers reach outside, and where they are reached')
      ).action(outside)
    )
    .addCommand(hostOptions(new Command('denials').description('what was refused lately')).action(denials))
    .addCommand(hostOptions(link).action(putLink))
    .addCommand(hostOptions(unlink).action(removeLink))
}

function hostOptions(command: Command): Command {
  return jsonOption(stateOption(command)).option('--socket-path <path>', 'where the SODA host listens')
}

function withEnds(command: Command): Command {
  return command
    .argument('<from>', 'server that may open connections')
    .argument('<to>', 'server that is reached')
    .argument('<port>', 'protocol and port, such as tcp/5432', parsePort)
}

type Service = Pick<Link, 'protocol' | 'port'>

function parsePort(text: string): Service {
  const match = /^(tcp|udp)\/(\d{1,5})$/.exec(text)
  const port = Number(match?.[2])
  if (match === null || port < 1 || port > 65_535)
    throw new InvalidArgumentError('expected tcp/PORT or udp/PORT, with a port of 1..65535')
  return { protocol: match[1] === 'udp' ? 'udp' : 'tcp', port }
}

async function connect(flags: Flags): Promise<HostClient> {
  const { socketPath } = await readConfig({ flags: { ...flags, for: undefined, name: undefined } })
  return hostClient({ socketPath })
}

async function ports(flags: Flags): Promise<void> {
  await using host = await connect(flags)
  const found = await host.ports()
  if (flags.json === true) for (const port of found) printJson(port)
  else
    printTable(
      ['SERVER', 'ADDRESS', 'MAC', 'GUARANTEED', 'AT MOST', 'SENT', 'RECEIVED'],
      found.map(({ id, ipv4, mac, outboundBitsPerSecond, outboundMaxBitsPerSecond, ...counts }) => [
        id,
        ipv4,
        mac,
        formatRate(outboundBitsPerSecond),
        formatRate(outboundMaxBitsPerSecond),
        formatSize(counts.sentBytes),
        formatSize(counts.receivedBytes)
      ])
    )
}

async function links(flags: Flags): Promise<void> {
  await using host = await connect(flags)
  const found = await host.links()
  if (flags.json === true) for (const link of found) printJson(link)
  else
    printTable(
      ['FROM', 'TO', 'PORT', 'NAME', 'UNTIL'],
      found.map(({ from, to, protocol, port, name, untilMs }) => [
        from,
        to,
        `${protocol}/${port}`,
        name ?? '',
        untilMs === undefined ? '' : new Date(untilMs).toISOString()
      ])
    )
}

async function denials(flags: Flags): Promise<void> {
  await using host = await connect(flags)
  const found = await host.denials()
  if (flags.json === true) for (const denial of found) printJson(denial)
  else
    printTable(
      ['FROM', 'TO', 'WHAT', 'PACKETS', 'BYTES'],
      found.map(({ from, to, protocol, port, packets, bytes }) => [
        from,
        to,
        [protocol ?? 'all', port].filter((part) => part !== undefined).join('/'),
        String(packets),
        formatSize(bytes)
      ])
    )
}

async function outside(flags: Flags): Promise<void> {
  await using host = await connect(flags)
  const found = await host.outside()
  if (flags.json === true) {
    printJson(found)
    return
  }
  note(`uplink: ${found.uplink}`)
  printTable(
    ['SERVER', 'EGRESS', 'PUBLISHED'],
    found.servers.map(({ id, egress, published }) => [
      id,
      egress.kind === 'allow'
        ? egress.to.map((to) => `${to.host} ${to.protocol}/${to.port}`).join(', ')
        : egress.kind,
      published.map((at) => `${at.publishedAddress}:${at.publishedPort} to tcp/${at.port}`).join(', ')
    ])
  )
  printTable(
    ['REFUSED', 'WHY', 'TO', 'PACKETS'],
    found.denials.map(({ from, reason, flow, packets }) => [
      from,
      reason,
      flow === undefined ? 'all' : `${flow.to} ${flow.protocol}/${flow.port}`,
      String(packets)
    ])
  )
}

async function putLink(from: string, to: string, service: Service, flags: Flags): Promise<void> {
  await using host = await connect(flags)
  const end = flags.for === undefined ? {} : { untilMs: Date.now() + parseDuration(flags.for) * SECOND_MS }
  const name = flags.name === undefined ? {} : { name: flags.name }
  const link = await host.putLink({ from, to, ...service, ...end, ...name })
  if (flags.json === true) printJson(link)
  else {
    const known = flags.name === undefined ? '' : `, which it knows as ${flags.name}`
    note(`${from} may open connections to ${to} on ${service.protocol}/${service.port}${known}`)
  }
}

async function removeLink(from: string, to: string, service: Service, flags: Flags): Promise<void> {
  await using host = await connect(flags)
  await host.removeLink({ from, to, ...service })
  if (flags.json !== true) note('the link is gone, and what ran over it is cut')
}
