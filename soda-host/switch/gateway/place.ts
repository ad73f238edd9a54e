/**
 * The place where an uplink ends: the network namespace of the owner's machine. A parameter, so that tests bring a
 * machine of their own.
 */
import { z } from 'zod'
import { command, inside, nft } from '../commands.ts'
import { parseIpv4, parseRange, type Ipv4Range } from './ipv4.ts'

/** A network namespace by its name, or the daemon's own. */
export class Place {
  readonly namespace: string | undefined

  constructor(namespace: string | undefined) {
    this.namespace = namespace
  }

  /** As `ip link … netns` takes it. */
  get netns(): string {
    return this.namespace ?? String(process.pid)
  }

  run(file: string, args: readonly string[], input?: string): Promise<string> {
    return this.namespace === undefined
      ? command(file, args, input)
      : inside(this.namespace, file, args, input)
  }

  /** A shell script, ended by the first command that fails; `args` are its `$1` and so on. */
  script(text: string, ...args: string[]): Promise<string> {
    return this.run('/bin/sh', ['-euc', text, 'soda-gateway', ...args])
  }

  /** All or nothing. */
  async nft(lines: readonly string[]): Promise<void> {
    if (this.namespace !== undefined) await nft(this.namespace, lines)
    else if (lines.length > 0) await command('nft', ['-f', '-'], `${lines.join('\n')}\n`)
  }

  async hasInterface(name: string): Promise<boolean> {
    return this.run('ip', ['link', 'show', name]).then(
      () => true,
      () => false
    )
  }

  /** IPv4 addresses of one interface, with their prefix lengths. */
  async addresses(name?: string): Promise<InterfaceAddress[]> {
    const text = await this.run('ip', ['-j', '-4', 'addr', 'show', ...(name === undefined ? [] : [name])])
    return links
      .parse(parseJson(text))
      .flatMap(({ addr_info: infos = [] }) =>
        infos.flatMap(({ local, prefixlen }) =>
          local === undefined || prefixlen === undefined ? [] : [{ address: local, prefixLength: prefixlen }]
        )
      )
  }

  /** Routes of all tables, or the main ones of one interface. */
  async routes(name?: string): Promise<Route[]> {
    const which = name === undefined ? ['table', 'all'] : ['dev', name]
    return routes.parse(parseJson(await this.run('ip', ['-j', '-4', 'route', 'show', ...which])))
  }

  /**
   * Everything that is the owner's by what this machine is connected to: its own addresses, and networks that it
   * reaches without a router. A point-to-point default route is not a network that somebody owns: nothing wider than
   * a /8 counts.
   */
  async ownerRanges(): Promise<Ipv4Range[]> {
    const own = (await this.addresses()).flatMap(({ address, prefixLength }) =>
      [`${address}/32`, ...(prefixLength >= 8 ? [`${address}/${prefixLength}`] : [])].map(parseRange)
    )
    const connected = (await this.routes())
      .filter(({ gateway, via, type }) => gateway === undefined && via === undefined && type !== 'blackhole')
      .map(({ dst }) => dst)
      .filter(
        (dst) => parseIpv4(dst.split('/')[0] ?? '') !== undefined && Number(dst.split('/')[1] ?? 32) >= 8
      )
      .map(parseRange)
    return [...own, ...connected]
  }
}

export interface InterfaceAddress {
  address: string
  prefixLength: number
}

const links = z.array(
  z.object({
    addr_info: z
      .array(z.object({ local: z.string().optional(), prefixlen: z.number().optional() }))
      .optional()
  })
)
const route = z.object({
  dst: z.string(),
  gateway: z.string().optional(),
  via: z.unknown().optional(),
  dev: z.string().optional(),
  type: z.string().optional(),
  scope: z.string().optional(),
  protocol: z.string().optional()
})
const routes = z.array(route)
export type Route = z.infer<typeof route>

/** `ip` says nothing at all where there is nothing. */
function parseJson(text: string): unknown {
  return text.trim() === '' ? [] : JSON.parse(text)
}
