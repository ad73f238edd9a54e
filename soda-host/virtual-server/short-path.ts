import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { basename, dirname } from 'node:path'

/** Another name of a path, short whatever the path's own length, as long as it is not disposed. */
export interface ShortPath extends AsyncDisposable {
  path: string
}

/**
 * A socket's path has room for 107 bytes (unix(7)), a state directory may be deeper. Through a descriptor of its
 * directory a socket can be bound and connected to wherever it is.
 */
export async function shortPath(path: string): Promise<ShortPath> {
  const directory = await open(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY)
  return {
    path: `/proc/self/fd/${directory.fd}/${basename(path)}`,
    [Symbol.asyncDispose]: () => directory.close()
  }
}
