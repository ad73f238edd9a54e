/** The error that `action` ends with; fails if it ends well. */
export async function errorOf(action: () => unknown): Promise<Error & { code?: string; reasons?: string[] }> {
  try {
    await action()
  } catch (error) {
    if (error instanceof Error) return error
    throw error
  }
  throw new Error('expected an error, there was none')
}

/** Its code, or its name where it has none. */
export async function codeOf(action: () => unknown): Promise<string> {
  const error = await errorOf(action)
  return error.code ?? error.name
}
