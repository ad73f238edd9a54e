/**
 * Outbound bandwidth of servers, as words for `tc` and `nft`. Pure.
 *
 * What a port sends to the gateway is taken off its end of the bridge, before anything else looks at it, sent through
 * one shared HTB on an intermediate device, and put back where it was. There, on the host's side of the cable, no option
 * of the guest's socket can go round it. `fwd` of nftables leads there and marks the class, so that no classifier has to
 * search among ports. What goes to other servers passes by: it uses nothing of the uplink.
 *
 * The root is what all of them may send together: the slice. Each server has a class in it with what is guaranteed to
 * it and the most that it may send; what others leave of the slice it borrows, in equal parts with those that want
 * more too.
 */
import { addressesOf, GATEWAY_ADDRESS, macOf, SHAPER } from './addresses.ts'
import type { OutboundRates } from './types.ts'

/** More than any machine moves: where nobody said how much there is. */
export const UNLIMITED_BITS_PER_SECOND = 100e9
/** HTB knows no class without a rate. As good as nothing: a full frame in twelve seconds. */
const RATE_MIN = 1000
/** Minor number of the class of slot 0; those below are for the root. */
const CLASS_BASE = 16
/**
 * What may go at once, in milliseconds of the rate, and at least two full frames. A guest that has to wait for its CPU
 * sends later what it might have sent meanwhile, up to that.
 */
const BURST_MS = 20
const BURST_BYTES_MIN = 3200
/** Longest queue in milliseconds at the rate, within these bounds, in frames. */
const QUEUE_MS = 100
const QUEUE_FRAMES_MIN = 32
const QUEUE_FRAMES_MAX = 2000
const FRAME_BITS = 1514 * 8

/** A slot beyond this has no class of its own number: 16 bits. */
function classOf(slot: number): string {
  return (CLASS_BASE + slot).toString(16)
}

function burstOf(rate: number): number {
  return Math.max(BURST_BYTES_MIN, Math.ceil((rate / 8) * (BURST_MS / 1000)))
}

/** What is in force for a server: guaranteed, and at most. In bits per second. */
export interface EffectiveRates {
  rate: number
  ceiling: number
}

/**
 * @param slice - what all servers may send together; undefined: nobody said. Then there is nothing to borrow from, and
 * what is guaranteed is all there is
 */
export function effectiveRates(rates: OutboundRates, slice: number | undefined): EffectiveRates {
  const { outboundBitsPerSecond: guaranteed, outboundMaxBitsPerSecond: most } = rates
  const all = slice ?? UNLIMITED_BITS_PER_SECOND
  const unasked = slice === undefined ? all : 0
  const rate = Math.min(all, Math.round(guaranteed ?? unasked))
  const ceiling = Math.min(all, Math.round(most ?? (slice === undefined ? rate : all)))
  return { rate: Math.min(rate, ceiling), ceiling }
}

/** Commands for `tc -batch`. */
export function shaperRoot(slice: number | undefined): string[] {
  const rate = Math.max(RATE_MIN, slice ?? UNLIMITED_BITS_PER_SECOND)
  const burst = burstOf(rate)
  return [
    `class replace dev ${SHAPER} parent 1: classid 1:1 htb rate ${rate}bit ceil ${rate}bit burst ${burst} cburst ${burst} quantum 60000`
  ]
}

export function shaperClass(slot: number, { rate, ceiling }: EffectiveRates): string[] {
  const minor = classOf(slot)
  const [guaranteed, most] = [Math.max(RATE_MIN, rate), Math.max(RATE_MIN, ceiling)]
  const frames = Math.ceil((most * (QUEUE_MS / 1000)) / FRAME_BITS)
  const limit = Math.min(QUEUE_FRAMES_MAX, Math.max(QUEUE_FRAMES_MIN, frames))
  return [
    `class replace dev ${SHAPER} parent 1:1 classid 1:${minor} htb rate ${guaranteed}bit ceil ${most}bit burst ${burstOf(guaranteed)} cburst ${burstOf(most)} quantum 15140`,
    `qdisc replace dev ${SHAPER} parent 1:${minor} handle ${minor}: pfifo limit ${limit}`
  ]
}

export function withoutShaperClass(slot: number): string[] {
  return [`class delete dev ${SHAPER} classid 1:${classOf(slot)}`]
}

/**
 * The chain that leads a port's frames to its class. The device must exist. Where nothing may be sent outside, nothing
 * is led there. Questions to the gateway itself are bounded by it.
 */
export function shaperChain(slot: number, { ceiling }: EffectiveRates): string[] {
  const { interface: name } = addressesOf(slot)
  const gateway = macOf(GATEWAY_ADDRESS)
  const rules = [
    'ether type arp accept',
    `ether daddr & 01:00:00:00:00:00 == 00:00:00:00:00:00 ether daddr != ${gateway} accept`,
    `ip daddr ${GATEWAY_ADDRESS} accept`,
    ...(ceiling > 0 ? [`meta priority set "1:${classOf(slot)}" fwd to "${SHAPER}"`] : [])
  ]
  return [
    `add chain netdev soda ${name} { type filter hook ingress device ${name} priority 0; policy drop; }`,
    `flush chain netdev soda ${name}`,
    ...rules.map((rule) => `add rule netdev soda ${name} ${rule}`)
  ]
}
