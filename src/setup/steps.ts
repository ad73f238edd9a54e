/** Prints the steps of the main job, each with the command that a user would type for it. */
import { styleText } from 'node:util'

/** Arguments written as one line; what is put in stays one argument. */
export function words(texts: TemplateStringsArray, ...values: readonly string[]): string[] {
  return texts.flatMap((text, index) => {
    const value = values[index]
    return [...text.split(/\s+/).filter((word) => word !== ''), ...(value === undefined ? [] : [value])]
  })
}

/** Quote one argument as a shell wants it. */
function quoted(argument: string): string {
  return /^[\w@%+=:,./$-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", String.raw`'\''`)}'`
}

export class Steps {
  #number = 0
  readonly #total: number
  /** Shell variables in place of long values, so that the commands can be read. */
  readonly #variables = new Map<string, string>()

  constructor(total: number, variables: Record<string, string>) {
    this.#total = total
    for (const [name, value] of Object.entries(variables)) this.define(name, value)
  }

  define(name: string, value: string): void {
    this.#variables.set(name, value)
    this.line(styleText('cyan', `$ ${name}=${value}`))
  }

  next(title: string, args: readonly string[]): void {
    this.#number += 1
    console.log(`\n${styleText('bold', `${this.#number}/${this.#total}  ${title}`)}`)
    this.line(
      styleText('cyan', `$ ishare ${args.map((argument) => quoted(this.#short(argument))).join(' ')}`)
    )
  }

  #short(argument: string): string {
    let text = argument
    for (const [name, value] of this.#variables) text = text.replaceAll(value, `$${name}`)
    return text
  }

  line(text: string): void {
    for (const line of text.trimEnd().split('\n')) console.log(`     ${line}`)
  }
}
