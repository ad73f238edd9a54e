/**
 * Outbound bandwidth of servers, as words for `tc` and `nft`. Pure.
 *
 * What a port sends is taken off its end of the bridge, before anything else looks at it, sent through one shared
 * HTB on an intermediate device, and put back where it was. There, on the host's side of the cable, no option of
 * the guest's socket can go round it, and classes can lend to each other. `fwd` of nftables leads there and marks
 * the class, so that no classifier has to search among ports.
 */
import { addressesOf, SHAPER } from './addresses.ts'

/** More than any machine moves: a server without a rate of its own. */
export const UNLIMITED_BITS_PER_SECOND = 100e9
/** Enough to be refused by. Also what a server gets that was granted nothing: links are granted apart. */
const RATE_MIN = 64_000
/** Minor number of the class of slot 0; those below are for the root. */
const CLASS_BASE = 16
/** What may go at once, in milliseconds of the rate, and at least two full frames. */
const BURST_MS = 4
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

/** Commands for `tc -batch`. */
export function shaperRoot(): string[] {
  const rate = `${UNLIMITED_BITS_PER_SECOND}bit`
  return [
    `qdisc replace dev ${SHAPER} root handle 1: htb default 1`,
    `class replace dev ${SHAPER} parent 1: classid 1:1 htb rate ${rate} ceil ${rate} quantum 60000`
  ]
}

/** What a class is given: unlimited where nothing is said. */
export function effectiveRate(outboundBitsPerSecond: number | undefined): number {
  if (outboundBitsPerSecond === undefined) return UNLIMITED_BITS_PER_SECOND
  return Math.min(UNLIMITED_BITS_PER_SECOND, Math.max(RATE_MIN, Math.round(outboundBitsPerSecond)))
}

/** Guarantee and ceiling are what the lease grants: its rate. */
export function shaperClass(slot: number, outboundBitsPerSecond: number | undefined): string[] {
  const rate = effectiveRate(outboundBitsPerSecond)
  const minor = classOf(slot)
  const burst = Math.max(BURST_BYTES_MIN, Math.ceil((rate / 8) * (BURST_MS / 1000)))
  const frames = Math.ceil((rate * (QUEUE_MS / 1000)) / FRAME_BITS)
  const limit = Math.min(QUEUE_FRAMES_MAX, Math.max(QUEUE_FRAMES_MIN, frames))
  return [
    `class replace dev ${SHAPER} parent 1:1 classid 1:${minor} htb rate ${rate}bit ceil ${rate}bit burst ${burst} cburst ${burst} quantum 15140`,
    `qdisc replace dev ${SHAPER} parent 1:${minor} handle ${minor}: pfifo limit ${limit}`
  ]
}

export function withoutShaperClass(slot: number): string[] {
  return [`class delete dev ${SHAPER} classid 1:${classOf(slot)}`]
}

/** The chain that leads a port's frames to its class. The device must exist. */
export function shaperChain(slot: number): string[] {
  const { interface: name } = addressesOf(slot)
  return [
    `add chain netdev soda ${name} { type filter hook ingress device ${name} priority 0; policy drop; }`,
    `flush chain netdev soda ${name}`,
    `add rule netdev soda ${name} meta priority set "1:${classOf(slot)}" fwd to "${SHAPER}"`
  ]
}
