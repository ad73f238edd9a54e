import type { z } from 'zod'

const ISSUES_MAX = 3
const TEXT_MAX = 80

/** One line that names the fields at fault, bounded however many there are: `slice.cpu: …; labels.0: …`. */
export function describeIssues(error: z.ZodError): string {
  const lines = error.issues
    .slice(0, ISSUES_MAX)
    .map(({ path, message }) => `${shorten(path.join('.') || 'the document')}: ${shorten(message)}`)
  const more = error.issues.length - lines.length
  return lines.join('; ') + (more > 0 ? `; and ${more} more` : '')
}

/** Text of a stranger, cut short and without control characters, so that it can stand in a message. */
export function shorten(text: string): string {
  const clean = text.slice(0, TEXT_MAX).replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, '\u{fffd}')
  return text.length > TEXT_MAX ? `${clean}…` : clean
}
