/**
 * Where the daemon keeps things.
 *
 * `state.sqlite`; `artifacts/` kernel, initrd and images by digest; `servers/ID/` per server: `input.tar`,
 * `output`, `files.tar`, and `guest/`, which belongs to the launcher and goes when the guest has ended. Guests run
 * under uids of their own and must be able to walk to their files, hence 0711; every file of ours is 0600.
 */
import { mkdir, open, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { PART_SUFFIX, syncDirectory } from './durable-file.ts'

export interface ServerPaths {
  top: string
  input: string
  output: string
  files: string
  guest: string
}

export class StateDirectory {
  readonly path: string

  static async open(path: string): Promise<StateDirectory> {
    const directory = new StateDirectory(path)
    for (const folder of [path, directory.artifacts, directory.servers])
      await mkdir(folder, { recursive: true, mode: 0o711 })
    return directory
  }

  private constructor(path: string) {
    this.path = path
  }

  get database(): string {
    return join(this.path, 'state.sqlite')
  }

  get artifacts(): string {
    return join(this.path, 'artifacts')
  }

  get servers(): string {
    return join(this.path, 'servers')
  }

  server(id: string): ServerPaths {
    const top = join(this.servers, id)
    return {
      top,
      input: join(top, 'input.tar'),
      output: join(top, 'output'),
      files: join(top, 'files.tar'),
      guest: join(top, 'guest')
    }
  }

  /** The server's directory with an output that may be empty, and without what an interrupted write left. */
  async makeServer(id: string): Promise<void> {
    const { top, output } = this.server(id)
    await mkdir(top, { recursive: true, mode: 0o711 })
    for (const name of await readdir(top))
      if (name.endsWith(PART_SUFFIX)) await rm(join(top, name), { force: true })
    await (await open(output, 'a', 0o600)).close()
    await syncDirectory(top)
    await syncDirectory(this.servers)
  }

  /** An empty directory for a new guest. */
  async makeGuest(id: string): Promise<string> {
    const { guest } = this.server(id)
    await rm(guest, { recursive: true, force: true })
    await mkdir(guest, { mode: 0o711 })
    return guest
  }

  async removeGuest(id: string): Promise<void> {
    await rm(this.server(id).guest, { recursive: true, force: true })
  }

  async removeServer(id: string): Promise<void> {
    await rm(this.server(id).top, { recursive: true, force: true })
  }

  /** Ids of all server directories, recorded or not. */
  async serverIds(): Promise<string[]> {
    return readdir(this.servers)
  }
}
