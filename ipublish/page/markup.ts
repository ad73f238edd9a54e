/**
 * HTML without a way to forget escaping: whatever is put into {@link html} is text, unless it is markup made
 * by it.
 */

/** Markup that is ready to be sent. */
export class Markup {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

type Part = string | number | Markup | readonly Part[]

/** Build markup from a template; attribute values must stand in double quotes. */
export function html(strings: TemplateStringsArray, ...parts: Part[]): Markup {
  return new Markup(strings.reduce((text, string, index) => text + render(parts[index - 1] ?? '') + string))
}

/**
 * A data block: JSON that cannot end its own `<script>` element, nor begin a comment in it.
 *
 * @see https://www.w3.org/TR/json-ld11/#restrictions-for-contents-of-json-ld-script-elements
 */
export function jsonBlock(type: string, value: unknown): Markup {
  const json = JSON.stringify(value, undefined, 1).replaceAll(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  )
  return new Markup(`<script type="${escape(type)}">\n${json}\n</script>`)
}

function render(part: Part): string {
  if (part instanceof Markup) return part.text
  if (typeof part === 'object') return part.map(render).join('\n')
  return escape(String(part))
}

const ENTITIES: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;'
}

/** Control characters have no place in HTML; those that turn the direction of text could hide what it says. */
function escape(text: string): string {
  return text
    .replaceAll(/[\p{Cc}\p{Cs}\u202a-\u202e\u2066-\u2069]/gu, (character) =>
      character === '\n' || character === '\t' ? character : '\u{fffd}'
    )
    .replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? '')
}
