import { randomUUID } from 'node:crypto'
import { renameSync } from 'node:fs'
import { open, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Names of files that are not finished; found at the start of a daemon, they are of no use. */
export const PART_SUFFIX = '.part'

export interface DurableFileInit {
  path: string
  /** Writes the file at the path it is given, forced to the disk. */
  write: (partPath: string) => Promise<void>
  /** Called at the very moment before the file takes its name; throws to prevent that. */
  mayTakeName?: () => void
}

/** A file that is there whole or not at all, whatever happens meanwhile, and stays there when this resolves. */
export async function writeDurably({ path, write, mayTakeName }: DurableFileInit): Promise<void> {
  const part = `${path}.${randomUUID()}${PART_SUFFIX}`
  try {
    await write(part)
    mayTakeName?.()
    renameSync(part, path)
  } finally {
    await rm(part, { force: true })
  }
  await syncDirectory(dirname(path))
}

/** What was created, renamed or removed in it stays so. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

/** Size in bytes; undefined when there is no such file. */
export async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}
