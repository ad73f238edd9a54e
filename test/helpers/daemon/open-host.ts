import { join } from 'node:path'
import { readArtifacts } from '../../../soda-host/factory/artifacts.ts'
import { hostClient, type HostClient } from '../../../soda-host/client/index.ts'
import { startDaemon, type DaemonConfig } from '../../../soda-host/daemon/index.ts'
import type { WorkClock } from '../../../soda-host/resources/host-work.ts'
import type { ServerLauncher } from '../../../soda-host/virtual-server/types.ts'
import { SUITE_SLICE } from '../../compliance/run-host.suite.ts'
import { temporaryDirectory } from '../temporary.ts'
import { quietLog } from './quiet-log.ts'

export interface OpenHostInit {
  launcher: ServerLauncher
  /** Path of an artifacts file; may make one in the directory given. */
  artifacts: (directory: string) => Promise<string>
  config?: Partial<DaemonConfig>
  workClock?: WorkClock
}

export interface OpenedHost extends AsyncDisposable {
  host: HostClient
  directory: string
  socketPath: string
  /** The kernel that servers boot which have none of their own. */
  kernelPath: string
}

/** A daemon in this process, on a socket of its own, and a client of it. */
export async function openHost({
  launcher,
  artifacts,
  config,
  workClock
}: OpenHostInit): Promise<OpenedHost> {
  await using undo = new AsyncDisposableStack()
  const directory = undo.use(await temporaryDirectory()).path
  const socketPath = join(directory, 'run', 'host.sock')
  const artifactsPath = await artifacts(join(directory, 'artifacts'))
  undo.use(
    await startDaemon(
      { stateDir: join(directory, 'state'), socketPath, slice: SUITE_SLICE, artifactsPath, ...config },
      { launcher, log: quietLog, ...(workClock && { workClock }) }
    )
  )
  const host = undo.use(hostClient({ socketPath }))
  const resources = undo.move()
  return {
    host,
    directory,
    socketPath,
    kernelPath: (await readArtifacts(artifactsPath)).kernel.path,
    [Symbol.asyncDispose]: async () => {
      for (const { id } of await host.list()) await host.destroy(id)
      await resources.disposeAsync()
    }
  }
}
