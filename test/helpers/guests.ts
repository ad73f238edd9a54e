import { chmod, mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { umlLauncher, type UmlLauncherInit } from '../../soda-host/virtual-server/index.ts'
import type { LaunchSpec, ProgramSpec, RunningServer } from '../../soda-host/virtual-server/types.ts'
import { guestArtifacts } from './guest-artifacts.ts'
import { launchSpec, RecordingListener } from './launched.ts'
import { temporaryDirectory } from './temporary.ts'

export interface Guest {
  spec: LaunchSpec
  server: RunningServer
  listener: RecordingListener
}

/** Real guests of one test; `await using guests = await realGuests()` removes them, whatever happened. */
export interface Guests extends AsyncDisposable {
  spec(changes?: Partial<LaunchSpec>): Promise<LaunchSpec>
  /** Launched and ready; with a program, that has been started. */
  start(program?: ProgramSpec, changes?: Partial<LaunchSpec>): Promise<Guest>
}

export async function realGuests(image = 'tiny', init: UmlLauncherInit = {}): Promise<Guests> {
  const resources = new AsyncDisposableStack()
  const top = resources.use(await temporaryDirectory())
  const artifacts = await guestArtifacts(top.path, image)
  const launcher = umlLauncher(init)

  const guests: Guests = {
    async spec(changes = {}) {
      const directory = await mkdtemp(join(top.path, 's-'))
      await chmod(directory, 0o711)
      const spec = launchSpec(directory, artifacts, changes)
      resources.defer(() => launcher.sweep(spec))
      return spec
    },
    async start(program, changes) {
      const spec = await guests.spec(changes)
      const listener = new RecordingListener()
      const server = await launcher.launch(spec, listener)
      resources.defer(() => server.release())
      await server.ready()
      if (program !== undefined) await server.run(program)
      return { spec, server, listener }
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync()
  }
  return guests
}

/** A program for the guest's shell, which runs as the guest's root. */
export function shell(script: string, changes: Partial<ProgramSpec> = {}): ProgramSpec {
  return { argv: ['sh', '-c', script], env: {}, ...changes }
}
