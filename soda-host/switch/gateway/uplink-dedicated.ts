/**
 * A dedicated interface: the owner's machine gives one of its interfaces away, with addresses and routes, and is
 * invisible there from then on. It stands in the gateway's namespace, which answers nothing by itself.
 *
 * What the interface had is written down before it is touched, so that it can be given back by whoever comes later.
 * Addresses are taken as they stand: nobody renews a DHCP lease for it.
 */
import { HostError } from '../../../src/errors.ts'
import type { Place } from './place.ts'
import { UPLINK } from './ruleset.ts'
import type { Uplink, UplinkContext, UplinkRecord } from './uplink.ts'

export type DedicatedRecord = UplinkRecord & { kind: 'dedicated' }

/** @throws ERR_UPLINK when there is no such interface, or nothing to reach by it */
export async function describeDedicated({ host }: UplinkContext, name: string): Promise<DedicatedRecord> {
  if (!(await host.hasInterface(name)))
    throw new HostError('ERR_UPLINK', `this machine has no interface ${name}`)
  const addresses = await host.addresses(name)
  const routes = (await host.routes(name))
    // The kernel makes routes to connected networks by itself.
    .filter(({ protocol }) => protocol !== 'kernel')
    .map(({ dst, gateway }) => ({ dst, ...(gateway !== undefined && { gateway }) }))
  if (addresses.length === 0 || !routes.some(({ dst }) => dst === 'default'))
    throw new HostError(
      'ERR_UPLINK',
      `${name} has ${addresses.length} addresses and no default route by it: give it both, they move with it`
    )
  return { kind: 'dedicated', interface: name, addresses, routes }
}

export async function openDedicated(
  { gateway, host }: UplinkContext,
  record: DedicatedRecord
): Promise<Uplink> {
  if (!(await gateway.hasInterface(UPLINK))) {
    await host.script('ip link set "$1" down; ip link set "$1" netns "$2"', record.interface, gateway.netns)
    await gateway.script(`ip link set "$1" name ${UPLINK}`, record.interface)
  }
  await furnish(gateway, UPLINK, record)
  return { record, arriving: (publishedAddress) => publishedAddress, update: () => Promise.resolve() }
}

/** Give it back as it was. */
export async function closeDedicated(
  { gateway, host }: UplinkContext,
  record: DedicatedRecord
): Promise<void> {
  if (await gateway.hasInterface(UPLINK)) {
    const text = `ip link set ${UPLINK} down; ip addr flush dev ${UPLINK}; ip link set ${UPLINK} name "$1"; ip link set "$1" netns "$2"`
    await gateway.script(text, record.interface, host.netns)
  } else if (await gateway.hasInterface(record.interface))
    await gateway.script('ip link set "$1" netns "$2"', record.interface, host.netns)
  if (await host.hasInterface(record.interface)) await furnish(host, record.interface, record)
}

async function furnish(place: Place, name: string, { addresses, routes }: DedicatedRecord): Promise<void> {
  for (const { address, prefixLength } of addresses)
    await place.run('ip', ['addr', 'replace', `${address}/${prefixLength}`, 'brd', '+', 'dev', name])
  await place.run('ip', ['link', 'set', name, 'up'])
  // Routes that lead to routers come before those that need them.
  for (const { dst, gateway } of routes.toSorted(
    (a, b) => Number(a.gateway !== undefined) - Number(b.gateway !== undefined)
  ))
    await place.run('ip', [
      'route',
      'replace',
      dst,
      ...(gateway === undefined ? [] : ['via', gateway]),
      'dev',
      name
    ])
}
