/**
 * Links between servers: written down, then applied, and taken away in time.
 *
 * A link is in the table before it is on the switch, and gone from the table before it is cut; a daemon that is killed
 * in between leaves the rest to the next one, which makes the switch hold what the table says.
 */
import { HostError } from '../../src/errors.ts'
import { keyOf, type Denial, type Link, type PortState, type Switch } from '../switch/index.ts'
import { Bell, clockReaches } from './bell.ts'
import { LINKS_MAX } from './limits.ts'
import type { DaemonLog } from './log.ts'
import type { StateTable } from './state-table.ts'

export interface LinksComponents {
  table: StateTable
  /** Undefined where the machine has none: servers then have no network. */
  network: Switch | undefined
  /** Hears of every server that may know others by other names now. */
  names: { linksChanged(from: string): Promise<void> } | undefined
  log: DaemonLog
}

export class Links {
  readonly #with: LinksComponents
  readonly #links = new Map<string, Link>()
  readonly #changed = new Bell()
  readonly #closing = new AbortController()

  constructor(components: LinksComponents) {
    this.#with = components
    for (const link of components.table.links()) this.#links.set(keyOf(link), link)
    void this.#removeInTime()
  }

  list(): Link[] {
    return [...this.#links.values()]
  }

  async ports(): Promise<PortState[]> {
    return await this.#switch.ports()
  }

  async denials(): Promise<Denial[]> {
    return await this.#switch.denials()
  }

  /**
   * The same again only changes its end and its name.
   * @throws ERR_SWITCH, ERR_SLICE_FULL when there are too many, ERR_HOST_REQUEST when the name stands for another server
   */
  async put(link: Link): Promise<void> {
    const network = this.#switch
    this.#assertName(link)
    if (this.#links.size >= LINKS_MAX && !this.#links.has(keyOf(link)))
      throw new HostError('ERR_SLICE_FULL', `there are ${LINKS_MAX} links; remove some first`)
    this.#with.table.putLink(link)
    this.#links.set(keyOf(link), link)
    this.#changed.ring()
    await network.addLink(link)
    await this.#with.names?.linksChanged(link.from)
  }

  /** What runs over it is cut. A no-op for one that is not there. */
  async remove(link: Link): Promise<void> {
    this.#with.table.removeLink(link)
    this.#links.delete(keyOf(link))
    await this.#with.network?.removeLink(link)
    await this.#with.names?.linksChanged(link.from)
  }

  /** The server is gone: nobody else shall be linked in its place. */
  async forget(id: string): Promise<void> {
    for (const link of this.list()) if (link.from === id || link.to === id) await this.remove(link)
  }

  close(): void {
    this.#closing.abort(new HostError('ERR_HOST_STATE', 'the host is shutting down'))
  }

  #assertName({ from, to, name }: Link): void {
    if (name === undefined) return
    const other = this.list().find((link) => link.from === from && link.name === name && link.to !== to)
    if (other === undefined) return
    throw new HostError('ERR_HOST_REQUEST', `server ${from} knows ${other.to} as ${name} already`)
  }

  get #switch(): Switch {
    const { network } = this.#with
    if (network === undefined)
      throw new HostError('ERR_SWITCH', 'this host has no switch: it needs root and nftables; see its log')
    return network
  }

  async #removeInTime(): Promise<void> {
    const { signal } = this.#closing
    while (!signal.aborted) {
      const changed = this.#changed.next()
      const ends = this.list().map(({ untilMs }) => untilMs ?? Infinity)
      const nextMs = ends.reduce((least, end) => Math.min(least, end), Infinity)
      const round = new AbortController()
      const due = clockReaches(nextMs, AbortSignal.any([signal, round.signal]))
      await Promise.race([changed, due]).catch(() => undefined)
      round.abort(new HostError('ERR_HOST_STATE', 'looked at again'))
      due.catch(() => undefined)
      for (const link of this.list())
        if ((link.untilMs ?? Infinity) <= Date.now()) await this.#removeSurely(link)
    }
  }

  async #removeSurely(link: Link): Promise<void> {
    try {
      await this.remove(link)
    } catch (error) {
      this.#with.log.error({ err: error, link }, 'could not remove a link whose time is over')
    }
  }
}
