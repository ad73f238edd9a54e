/**
 * Ports and links as elements of nftables sets. Pure.
 *
 * The rules never change while servers come and go; only set elements do, so a change costs the same however many
 * there are. An element that several things ask for (a pair of servers with two links) is counted, and goes with
 * the last of them.
 */
import { addressesOf } from './addresses.ts'
import type { Link, Outside } from './types.ts'

/** Family, table and set, as nft wants them, then the element. */
export type Element = readonly [set: SetName, element: string]

/** What each set holds is in ruleset.ts. */
export const SETS = {
  sources: 'bridge soda sources',
  places: 'bridge soda places',
  pairs: 'bridge soda pairs',
  addresses: 'inet soda addresses',
  links: 'inet soda links',
  linked: 'inet soda linked',
  egress: 'inet soda egress',
  ingress: 'inet soda ingress'
} as const
export type SetName = keyof typeof SETS

export function elementsOfPort(slot: number): Element[] {
  const { interface: name, ipv4, mac } = addressesOf(slot)
  return [
    ['sources', `${name} . ${mac} . ${ipv4}`],
    ['places', `${name} . ${ipv4}`],
    ['addresses', ipv4]
  ]
}

/** A link between two servers that both have a port. */
export function elementsOfLink({ protocol, port }: Link, fromSlot: number, toSlot: number): Element[] {
  const [from, to] = [addressesOf(fromSlot).ipv4, addressesOf(toSlot).ipv4]
  return [
    ['links', `${from} . ${to} . ${protocol} . ${port}`],
    ['linked', `${from} . ${to}`],
    ['pairs', `${from} . ${to}`],
    ['pairs', `${to} . ${from}`]
  ]
}

/** What a server that has a port may say to the gateway, and the gateway to it. */
export function elementsOfOutside({ egress, ingress }: Outside, slot: number): Element[] {
  const { ipv4 } = addressesOf(slot)
  return [
    ...(egress ? [['egress', ipv4] as const] : []),
    ...ingress.map(({ protocol, port }): Element => ['ingress', `${ipv4} . ${protocol} . ${port}`])
  ]
}

const keyOf = ([set, element]: Element): string => `${set} ${element}`

/** How often each element is asked for. */
export class ElementCounts {
  readonly #counts = new Map<string, { element: Element; count: number }>()

  /** The nft commands for a change that is not made yet; see {@link commit}. Additions come last. */
  commands(add: readonly Element[], remove: readonly Element[]): string[] {
    const appearing: string[] = []
    const vanishing: string[] = []
    for (const { element, delta } of deltas(add, remove)) {
      const before = this.#counts.get(keyOf(element))?.count ?? 0
      const text = `element ${SETS[element[0]]} { ${element[1]} }`
      if (before === 0 && delta > 0) appearing.push(`add ${text}`)
      if (before > 0 && before + delta <= 0) vanishing.push(`delete ${text}`)
    }
    return [...vanishing, ...appearing]
  }

  /** The change has been made. */
  commit(add: readonly Element[], remove: readonly Element[]): void {
    for (const { element, delta } of deltas(add, remove)) {
      const key = keyOf(element)
      const count = (this.#counts.get(key)?.count ?? 0) + delta
      if (count > 0) this.#counts.set(key, { element, count })
      else this.#counts.delete(key)
    }
  }

  /** Commands that make the sets hold these elements and no others. */
  replacement(): string[] {
    const bySet = Map.groupBy(
      [...this.#counts.values()].map(({ element }) => element),
      ([set]) => set
    )
    return (Object.keys(SETS) as SetName[]).flatMap((set) => {
      const elements = (bySet.get(set) ?? []).map(([, element]) => element)
      const flush = `flush set ${SETS[set]}`
      return elements.length === 0 ? [flush] : [flush, `add element ${SETS[set]} { ${elements.join(', ')} }`]
    })
  }
}

function deltas(
  add: readonly Element[],
  remove: readonly Element[]
): Iterable<{ element: Element; delta: number }> {
  const found = new Map<string, { element: Element; delta: number }>()
  const count = (element: Element, by: number): void => {
    const entry = found.get(keyOf(element)) ?? { element, delta: 0 }
    entry.delta += by
    found.set(keyOf(element), entry)
  }
  for (const element of add) count(element, 1)
  for (const element of remove) count(element, -1)
  return found.values()
}
