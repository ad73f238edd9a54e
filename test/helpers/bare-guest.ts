import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { connectGuestChannel, type GuestChannel } from '../../soda-host/virtual-server/channel.ts'
import { listenForGuest } from '../../soda-host/virtual-server/channel-socket.ts'
import { createWritableLayer } from '../../soda-host/virtual-server/writable-layer.ts'
import { guestArtifacts } from './guest-artifacts.ts'
import { RecordingListener } from './launched.ts'
import { temporaryDirectory } from './temporary.ts'

const CHANNEL_FD = 3
export const EXTRA_FD = 4
const MIB = 1024 * 1024

export interface BareGuestOptions {
  memoryBytes?: number
  diskBytes?: number
  processesMax?: number
  image?: string
  /** Another kernel than the set-up's. */
  kernelPath?: string
  /** More of its command line. */
  parameters?: readonly string[]
  /** Descriptors that it inherits as well, from `EXTRA_FD` on. */
  fds?: readonly number[]
  /** Words before the kernel's: a command that opens more of them and becomes the kernel. */
  opener?: readonly string[]
}

/** A real guest without jail, cgroup or daemon: kernel, init and channel alone. */
export interface BareGuest extends AsyncDisposable {
  socketPath: string
  process: ChildProcess
  listener: RecordingListener
  /** Connected and ready. */
  channel: GuestChannel
  /** From its start to its first answer, in milliseconds. */
  bootMs: number
  /** What the kernel and init have said. */
  console(): string
  /** Resolves when the guest's processes are gone. */
  ended: Promise<void>
}

/** Boot one and wait until it is ready. Everything of it is gone when it is disposed of. */
export async function bareGuest(options: BareGuestOptions = {}): Promise<BareGuest> {
  const { memoryBytes = 64 * MIB, diskBytes = 256 * MIB, processesMax = 64, image = 'tiny' } = options
  const resources = new AsyncDisposableStack()
  try {
    const directory = resources.use(await temporaryDirectory())
    const artifacts = await guestArtifacts(directory.path, image)
    const disk = join(directory.path, 'disk')
    await createWritableLayer({ path: disk, sizeBytes: diskBytes, uid: undefined })
    const socketPath = join(directory.path, 's')
    const command = [
      ...(options.opener ?? []),
      options.kernelPath ?? artifacts.kernelPath,
      `mem=${memoryBytes / MIB}M`,
      ...['seccomp=off', 'con=null', 'con0=null,fd:1', 'quiet', `initrd=${artifacts.initrdPath}`],
      ...[`ubd0rc=${artifacts.imagePath}`, `ubd1=${disk}`],
      ...[`soda_channel.fd=${CHANNEL_FD}`, `ishare.processes=${processesMax}`],
      ...(options.parameters ?? [])
    ]
    const startedMs = performance.now()
    const { child, ended, output } = await start(command, socketPath, directory.path, options.fds)
    resources.defer(async () => {
      child.kill('SIGKILL')
      await ended
    })
    const listener = new RecordingListener()
    const channel = resources.use(connectGuestChannel({ socketPath, listener }))
    const died = ended.then(() => {
      throw new Error(`the guest died while booting: ${output()}`)
    })
    // A channel that is gone is so because its guest is dying, which says more.
    await Promise.race([channel.ready().catch(() => died), died])
    died.catch(() => undefined)
    const bootMs = performance.now() - startedMs
    return {
      bootMs,
      socketPath,
      process: child,
      listener,
      channel,
      ended,
      console: output,
      [Symbol.asyncDispose]: () => resources.disposeAsync()
    }
  } catch (error) {
    await resources.disposeAsync()
    throw error
  }
}

/** On one CPU: the guest kernel and its processes hand over to each other at every system call. */
async function start(
  command: string[],
  socketPath: string,
  home: string,
  fds: readonly number[] = []
): Promise<{ child: ChildProcess; ended: Promise<void>; output: () => string }> {
  await using socket = await listenForGuest(socketPath)
  const child = spawn('taskset', ['--cpu-list', '1', ...command], {
    stdio: ['ignore', 'pipe', 'pipe', socket.fd, ...fds],
    env: { HOME: home, TMPDIR: '/dev/shm', PATH: process.env['PATH'] }
  })
  let text = ''
  const collect = (chunk: Buffer): void => void (text = (text + chunk.toString()).slice(-16_384))
  child.stdout?.on('data', collect)
  child.stderr?.on('data', collect)
  const ended = once(child, 'close').then(() => undefined)
  return { child, ended, output: () => text }
}
