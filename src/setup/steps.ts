/** Prints the steps of the main job, each with the command that a user would type for it. */
import { styleText } from 'node:util'

/** Quote one argument as a shell wants it. */
function quoted(argument: string): string {
  return /^[\w@%+=:,./-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", String.raw`'\''`)}'`
}

/** What a user would type to run `ishare` with these arguments. */
export function typed(args: readonly string[]): string {
  return ['ishare', ...args].map(quoted).join(' ')
}

export class Steps {
  #number = 0
  readonly #total: number

  constructor(total: number) {
    this.#total = total
  }

  next(title: string, args: readonly string[]): void {
    this.#number += 1
    console.log(`\n${styleText('bold', `${this.#number}/${this.#total}  ${title}`)}`)
    console.log(styleText('cyan', `     $ ${typed(args)}`))
  }

  line(text: string): void {
    for (const line of text.trimEnd().split('\n')) console.log(`       ${line}`)
  }
}
