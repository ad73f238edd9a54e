/** The slow, obvious reader of a scanner: what docs/formats/ruleset.md says, word by word. */
import { gramAt, hashOf, markOf } from '../../soda-host/kernort/rules/table/gram.ts'
import { WINDOWS } from '../../soda-host/kernort/rules/table/scanner.ts'
import type { Sections } from '../../soda-host/kernort/rules/table/sections.ts'

/** Rules that `subject` wakes, ascending. */
export function scan(sections: Sections, scanner: number, subject: Uint8Array): number[] {
  const word = (name: keyof Sections, index: number): number => sections[name].content.readUInt32LE(index * 4)
  const folded = subject.map((byte) => byte | 0x20)
  const woken = new Set<number>()
  for (const [table, window] of WINDOWS.entries()) {
    const [markBits, headBits, marks, heads] = [0, 1, 2, 3].map((at) =>
      word('SCANNERS', scanner * 16 + table * 4 + at)
    ) as [number, number, number, number]
    if (markBits === 0) continue
    for (let at = 0; at + window <= folded.length; at++) {
      const gram = gramAt(folded, at, window)
      const { place, bit } = markOf(gram, markBits)
      if ((sections.MARKS.content.readUInt8(marks + place) & bit) === 0) continue
      const bucket = hashOf(gram) >>> (32 - headBits)
      for (let entry = word('HEADS', heads + bucket); entry < word('HEADS', heads + bucket + 1); entry++) {
        if (word('GRAMS', entry * 3) !== gram) continue
        const pattern = word('GRAMS', entry * 3 + 1)
        const [bytes, length, first, count] = [0, 1, 2, 3].map((field) =>
          word('PATTERNS', pattern * 4 + field)
        ) as [number, number, number, number]
        const start = at - word('GRAMS', entry * 3 + 2)
        if (start < 0 || start + length > folded.length) continue
        const wanted = sections.BYTES.content.subarray(bytes, bytes + length)
        if (!wanted.equals(folded.subarray(start, start + length))) continue
        for (let rule = 0; rule < count; rule++) woken.add(word('WORDS', first + rule))
      }
    }
  }
  return [...woken].sort((a, b) => a - b)
}
