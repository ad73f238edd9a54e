/** Inclusive ranges of numbers: sorted and disjoint once merged. */

export interface Range<N extends number | bigint> {
  readonly low: N
  readonly high: N
}

/** Sorted, overlapping ones joined. */
export function merge<N extends number | bigint>(ranges: readonly Range<N>[]): Range<N>[] {
  const sorted = ranges.toSorted((a, b) => (a.low < b.low ? -1 : a.low > b.low ? 1 : 0))
  const merged: { low: N; high: N }[] = []
  for (const { low, high } of sorted) {
    const last = merged.at(-1)
    if (last !== undefined && low <= last.high) last.high = high > last.high ? high : last.high
    else merged.push({ low, high })
  }
  return merged
}

/** What of `bottom`..`top` is not in `ranges` (merged); `one` is 1 of the same type. */
export function complement<N extends number | bigint>(
  ranges: readonly Range<N>[],
  bottom: N,
  top: N,
  one: N
): Range<N>[] {
  const left: Range<N>[] = []
  let next = bottom
  for (const { low, high } of ranges) {
    if (low > next) left.push({ low: next, high: minus(low, one) })
    if (high >= top) return left
    next = plus(high, one)
  }
  left.push({ low: next, high: top })
  return left
}

export function intersect<N extends number | bigint>(
  left: readonly Range<N>[],
  right: readonly Range<N>[]
): Range<N>[] {
  const common: Range<N>[] = []
  for (let i = 0, j = 0; ;) {
    const a = left[i]
    const b = right[j]
    if (a === undefined || b === undefined) return common
    const low = a.low > b.low ? a.low : b.low
    const high = a.high < b.high ? a.high : b.high
    if (low <= high) common.push({ low, high })
    if (a.high < b.high) i += 1
    else j += 1
  }
}

function plus<N extends number | bigint>(a: N, b: N): N {
  return ((a as bigint) + (b as bigint)) as N
}

function minus<N extends number | bigint>(a: N, b: N): N {
  return ((a as bigint) - (b as bigint)) as N
}
