/**
 * Where the daemon keeps things.
 *
 * `state.sqlite`; `reclaim.json` while the owner needs the machine; `artifacts/` kernel, initrd and images by digest; `rulesets/` detection rules by digest; `servers/ID/` per server: `input.tar`, `kernel`,
 * `output`, `files.tar`, `NAME.snapshot`, `log/` and `spool/` of the sealed log, and `guest/`, which belongs to the launcher and goes when the guest has ended. Guests run
 * under uids of their own and must be able to walk to their files, hence 0711; every file of ours is 0600.
 */
import { chmod, mkdir, open, readdir, rm, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { HostError } from '../../src/errors.ts'
import { PART_SUFFIX, syncDirectory } from './durable-file.ts'

const SNAPSHOT_SUFFIX = '.snapshot'

export interface ServerPaths {
  top: string
  input: string
  /** Its own kernel, if it has one. */
  kernel: string
  output: string
  files: string
  log: string
  spool: string
  guest: string
}

export class StateDirectory {
  readonly path: string

  /** @throws ERR_HOST_STATE when the uids of guests could not get to it */
  static async open(path: string): Promise<StateDirectory> {
    const directory = new StateDirectory(path)
    for (const folder of [path, directory.artifacts, directory.servers]) await makeWalkable(folder)
    await assertWalkable(path)
    return directory
  }

  private constructor(path: string) {
    this.path = path
  }

  get database(): string {
    return join(this.path, 'state.sqlite')
  }

  /** Present while the owner has the machine for themselves. */
  get reclaim(): string {
    return join(this.path, 'reclaim.json')
  }

  get artifacts(): string {
    return join(this.path, 'artifacts')
  }

  get rulesets(): string {
    return join(this.path, 'rulesets')
  }

  get servers(): string {
    return join(this.path, 'servers')
  }

  server(id: string): ServerPaths {
    const top = join(this.servers, id)
    return {
      top,
      input: join(top, 'input.tar'),
      kernel: join(top, 'kernel'),
      output: join(top, 'output'),
      files: join(top, 'files.tar'),
      log: join(top, 'log'),
      spool: join(top, 'spool'),
      guest: join(top, 'guest')
    }
  }

  /** The server's directory with an output that may be empty, and without what an interrupted write left. */
  async makeServer(id: string): Promise<void> {
    const { top, output } = this.server(id)
    await makeWalkable(top)
    for (const name of await readdir(top))
      if (name.endsWith(PART_SUFFIX)) await rm(join(top, name), { force: true })
    await (await open(output, 'a', 0o600)).close()
    await syncDirectory(top)
    await syncDirectory(this.servers)
  }

  /** Where a copy of the server's writable layer is. */
  snapshot(id: string, name: string): string {
    return join(this.server(id).top, name + SNAPSHOT_SUFFIX)
  }

  /** All other snapshots of the server are removed. */
  async keepSnapshots(id: string, names: readonly string[]): Promise<void> {
    const { top } = this.server(id)
    const kept = new Set(names.map((name) => name + SNAPSHOT_SUFFIX))
    for (const file of await readdir(top))
      if (file.endsWith(SNAPSHOT_SUFFIX) && !kept.has(file)) await rm(join(top, file))
  }

  /** An empty directory for a new guest. */
  async makeGuest(id: string): Promise<string> {
    const { guest } = this.server(id)
    await rm(guest, { recursive: true, force: true })
    await makeWalkable(guest)
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

/** Whatever our umask is. */
async function makeWalkable(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o711 })
  await chmod(path, 0o711)
}

/** Where guests have uids of their own, every directory on the way must let them pass. */
async function assertWalkable(path: string): Promise<void> {
  if (process.getuid?.() !== 0) return
  for (let above = dirname(resolve(path)); ; above = dirname(above)) {
    if (((await stat(above)).mode & 0o001) === 0)
      throw new HostError(
        'ERR_HOST_STATE',
        `${above} is closed to others, and so to the uids of virtual servers: put the state somewhere else, or chmod o+x it`
      )
    if (above === dirname(above)) return
  }
}
