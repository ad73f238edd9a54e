import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'

/** PATH for programs of the host: an ordinary user's leaves out sbin, where file system tools live. */
export function hostPath(): string {
  return `${process.env['PATH'] ?? '/usr/bin:/bin'}:/usr/sbin:/sbin`
}

/** Where a program is, or undefined. */
export function findProgram(name: string): string | undefined {
  for (const directory of hostPath().split(':').filter(Boolean)) {
    const path = join(directory, name)
    try {
      accessSync(path, constants.X_OK)
      return path
    } catch {
      // Not in this one.
    }
  }
  return undefined
}
