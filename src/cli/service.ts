/** What long-running commands share: they say when they are ready, and end in order when told to. */

/** Resolves at the first SIGINT or SIGTERM. A second one ends the process at once. */
export async function untilToldToEnd(): Promise<void> {
  await new Promise<void>((resolve) => {
    const end = () => {
      for (const name of ['SIGINT', 'SIGTERM'] as const) process.off(name, end)
      resolve()
    }
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, end)
  })
}

/** Told what goes wrong in the background: one line, code first. */
export function logBackground(error: unknown): void {
  const code = error instanceof Error && 'code' in error ? `${String(error.code)} ` : ''
  console.error(
    `${new Date().toISOString()} ${code}${error instanceof Error ? error.message : String(error)}`
  )
}
