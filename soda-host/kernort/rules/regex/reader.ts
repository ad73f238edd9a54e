/** A cursor over the text of an expression that knows where it stands in the rule. */
import { refuse, type Piece, type RefusalReason } from '../refusal.ts'

export class Reader {
  private readonly text: string
  private readonly offset: number
  private at = 0

  constructor(source: Piece) {
    this.text = source.text
    this.offset = source.offset
  }

  get isAtEnd(): boolean {
    return this.at >= this.text.length
  }

  get place(): Piece {
    return { text: '', offset: this.offset + this.at }
  }

  /** `back`: letters before the cursor where the fault is. */
  refuse(message: string, back = 0, reason: RefusalReason = 'regex'): never {
    return refuse(reason, message, { text: '', offset: this.offset + this.at - back })
  }

  next(): string {
    const letter = this.text[this.at]
    if (letter === undefined) return this.refuse('the expression ends too early')
    this.at += 1
    return letter
  }

  peek(letter: string): boolean {
    return this.text[this.at] === letter
  }

  /** Empty at the end. */
  peekLetter(): string {
    return this.text[this.at] ?? ''
  }

  accept(letter: string): boolean {
    if (!this.peek(letter)) return false
    this.at += 1
    return true
  }

  acceptBlank(): boolean {
    if (!/\s/.test(this.peekLetter())) return false
    this.at += 1
    return true
  }

  /** A sticky expression that cannot backtrack far; taken only if `isWanted` agrees. */
  match(
    expression: RegExp,
    isWanted: (found: RegExpExecArray) => boolean = () => true
  ): RegExpExecArray | undefined {
    expression.lastIndex = this.at
    const found = expression.exec(this.text)
    if (found === null || !isWanted(found)) return undefined
    this.at += found[0].length
    return found
  }

  /** Behind the next `letter`, or to the end. */
  skipPast(letter: string): void {
    const found = this.text.indexOf(letter, this.at)
    this.at = found === -1 ? this.text.length : found + 1
  }
}
