/** One virtual server without daemon or network: boot to the first user instruction, and memory when idle. */
import { chmod, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { installArtifacts } from '../soda-host/daemon/artifacts.ts'
import { readArtifacts } from '../soda-host/factory/index.ts'
import { umlLauncher } from '../soda-host/virtual-server/index.ts'
import type { LaunchSpec, ProgramSpec, RunningServer } from '../soda-host/virtual-server/types.ts'
import { MIB } from '../src/constants.ts'
import { row, type BenchContext, type Row } from './report.ts'

/** Answers as soon as it runs, then does nothing. */
const IDLE: ProgramSpec = { argv: ['sh', '-c', 'echo up; exec sleep 1000'], env: {} }

interface Sample {
  jailMs: number
  bootMs: number
  programMs: number
  idleBytes: number
}

/** Servers run under uids of their own, which cannot walk to root's cache. */
async function install(artifactsPath: string, directory: string): Promise<Omit<LaunchSpec, 'directory'>> {
  const artifacts = await readArtifacts(artifactsPath)
  const { kernelPath, initrdPath, images } = await installArtifacts({
    artifacts,
    directory,
    inUse: [],
    onProgress: () => undefined
  })
  const image = images.find(({ name }) => name === 'tiny')
  if (image === undefined) throw new Error('there is no image called tiny')
  const limits = {
    cpu: 1,
    memoryBytes: 128 * MIB,
    diskBytes: 256 * MIB,
    processesMax: 128,
    outputBytesMax: MIB
  }
  const host = { id: 'bench-guest-0000000', limits, slot: 0, hostCpu: 1 }
  return { ...host, kernelPath, initrdPath, imagePath: image.path }
}

/** Anonymous and shared memory; the host's page cache of the image is not the guest's own. */
async function memoryOf({ record }: RunningServer): Promise<number> {
  for (const group of record.cgroups) {
    const stat = await readFile(join(group, 'memory.stat'), 'utf8').catch(() => undefined)
    if (stat === undefined) continue
    const value = (name: string) => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(stat)?.[1] ?? 0)
    return value('rss') + value('anon') + value('shmem')
  }
  throw new Error('no memory cgroup: this bench needs one')
}

async function sample(spec: LaunchSpec): Promise<Sample> {
  const { promise: firstByte, resolve } = Promise.withResolvers<undefined>()
  const startedAt = performance.now()
  const server = await umlLauncher().launch(spec, {
    output: async () => resolve(undefined),
    stdinTaken: () => undefined,
    programExited: async () => undefined
  })
  try {
    const jailMs = performance.now() - startedAt
    await server.ready()
    const bootMs = performance.now() - startedAt
    await server.run(IDLE)
    await firstByte
    const programMs = performance.now() - startedAt
    return { jailMs, bootMs, programMs, idleBytes: await memoryOf(server) }
  } finally {
    await server.kill()
  }
}

export async function bench({ artifacts, samples }: BenchContext): Promise<Row[]> {
  const directory = await mkdtemp(join(tmpdir(), 'ishare-bench-'))
  try {
    await chmod(directory, 0o711)
    const installed = join(directory, 'artifacts')
    await mkdir(installed, { mode: 0o711 })
    const spec = await install(artifacts, installed)
    const taken: Sample[] = []
    for (let i = 0; i < samples; i++) {
      const own = join(directory, `server-${i}`)
      await mkdir(own, { mode: 0o711 })
      taken.push(await sample({ ...spec, directory: own }))
    }
    const column = (of: (one: Sample) => number) => taken.map(of)
    return [
      row(
        'launch: cgroups, disk and jail made',
        'ms',
        column(({ jailMs }) => jailMs)
      ),
      row(
        'boot: from launch to the first answer of guest init',
        'ms',
        column(({ bootMs }) => bootMs)
      ),
      row(
        "boot: from launch to a program's first byte",
        'ms',
        column(({ programMs }) => programMs)
      ),
      row(
        'memory of an idle virtual server of 128 MiB',
        'MiB',
        column(({ idleBytes }) => idleBytes / MIB)
      )
    ]
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}
