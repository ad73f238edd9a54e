/** The slow, obvious reader of a scanner: what docs/formats/ruleset.md says, word by word. */
import { gramAt, hashOf, markOf } from '../../soda-host/kernort/rules/table/gram.ts'
import { GRAM_FOLD, MARK_ALONE } from '../../soda-host/kernort/rules/table/layout.ts'
import type { Sections } from '../../soda-host/kernort/rules/table/sections.ts'
import { TABLES } from '../../soda-host/kernort/rules/table/windows.ts'

/** Rules that `subject` wakes, ascending. */
export function scan(sections: Sections, scanner: number, subject: Uint8Array): number[] {
  const word = (name: keyof Sections, index: number): number => sections[name].content.readUInt32LE(index * 4)
  const folded = subject.map((byte) => byte | GRAM_FOLD)
  /** What is not there is as good as a blank. */
  const windowAt = (at: number, width: number): number =>
    gramAt(
      Uint8Array.from({ length: width }, (_, byte) => folded[at + byte] ?? GRAM_FOLD),
      0,
      width
    )
  const woken = new Set<number>()
  for (const [table, { width, stride }] of TABLES.entries()) {
    const [markBits, headBits, marks, heads] = [0, 1, 2, 3].map((at) =>
      word('SCANNERS', scanner * 16 + table * 4 + at)
    ) as [number, number, number, number]
    if (markBits === 0) continue
    const markAt = (gram: number): number =>
      sections.MARKS.content.readUInt8(marks + markOf(gram, markBits).place)
    for (let at = 0; at < folded.length; at += stride) {
      const gram = windowAt(at, width)
      const next = windowAt(at + stride, width)
      const isMarked =
        table === 0
          ? markAt(gram) & ((markAt(next) >> 4) | MARK_ALONE)
          : markAt(gram) & markOf(gram, markBits).bit
      if (isMarked === 0) continue
      const bucket = hashOf(gram) >>> (32 - headBits)
      for (let entry = word('HEADS', heads + bucket); entry < word('HEADS', heads + bucket + 1); entry++) {
        const [windowed = 0, follower = 0, pattern = 0, position = 0] = [0, 1, 2, 3].map((field) =>
          word('GRAMS', entry * 4 + field)
        )
        if (windowed !== gram || (follower !== 0 && follower !== next)) continue
        const start = at - (position | 0)
        const length = sections.PATTERNS.content.readUInt8(pattern * 16 + 4)
        if (start < 0 || start + length > folded.length) continue
        const bytes = word('PATTERNS', pattern * 4)
        const wanted = sections.BYTES.content.subarray(bytes, bytes + length)
        if (!wanted.equals(folded.subarray(start, start + length))) continue
        const [first, count] = [word('PATTERNS', pattern * 4 + 2), word('PATTERNS', pattern * 4 + 3)]
        for (let rule = 0; rule < count; rule++) woken.add(word('WORDS', first + rule))
      }
    }
  }
  return [...woken].sort((a, b) => a - b)
}
