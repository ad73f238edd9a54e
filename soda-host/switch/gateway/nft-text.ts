/** A table that is replaced whole, in one transaction. Pure. */
export function replaced(table: string, chains: Readonly<Record<string, readonly string[]>>): string[] {
  return [
    `table ${table}`,
    `delete table ${table}`,
    `table ${table} {`,
    ...Object.entries(chains).map(([head, rules]) => chain(head, rules)),
    '}'
  ]
}

/** `name { type … }`, where the braces hold what makes it a base chain. */
function chain(head: string, rules: readonly string[]): string {
  const [, name, hook] = /^(\S+) \{ (.*) \}$/.exec(head) ?? []
  return [`chain ${name ?? head} {`, hook ?? '', ...rules, '}'].join('\n')
}
