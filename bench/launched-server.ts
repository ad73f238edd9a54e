/** One virtual server of the image `tiny`, in its jail, without daemon or network. */
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { installArtifacts } from '../soda-host/daemon/artifacts.ts'
import { readArtifacts } from '../soda-host/factory/index.ts'
import { umlLauncher } from '../soda-host/virtual-server/index.ts'
import type { RunningServer, ServerListener } from '../soda-host/virtual-server/types.ts'
import { MIB } from '../src/constants.ts'

const LIMITS = {
  cpu: 1,
  memoryBytes: 128 * MIB,
  diskBytes: 1024 * MIB,
  processesMax: 256,
  outputBytesMax: MIB
}

/** Launched and ready when `use` is called; gone afterwards. */
export async function withServer<T>(
  artifactsPath: string,
  listener: ServerListener,
  use: (server: RunningServer) => Promise<T>
): Promise<T> {
  const top = await mkdtemp(join(tmpdir(), 'ishare-bench-'))
  try {
    await chmod(top, 0o711)
    const directory = join(top, 'server')
    const installed = join(top, 'artifacts')
    for (const path of [directory, installed]) await mkdir(path, { mode: 0o711 })
    const artifacts = await readArtifacts(artifactsPath)
    const { kernelPath, initrdPath, images } = await installArtifacts({
      artifacts,
      directory: installed,
      inUse: [],
      onProgress: () => undefined
    })
    const imagePath = images.find(({ name }) => name === 'tiny')?.path
    if (imagePath === undefined) throw new Error('there is no image called tiny')
    const id = `bench-${process.pid}`.padEnd(16, '-')
    const spec = { id, directory, kernelPath, initrdPath, imagePath, limits: LIMITS, slot: 0, hostCpu: 1 }
    const server = await umlLauncher().launch(spec, listener)
    try {
      await server.ready()
      return await use(server)
    } finally {
      await server.kill()
    }
  } finally {
    await rm(top, { recursive: true, force: true })
  }
}
